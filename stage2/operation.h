/*
 * operation.h - what the verbs of a table share: frames in, frames out, the closing tail.
 *
 * A table's frame on its way out:
 *
 *      linked --unlink--> retired --tail--> held --end--> the pool
 *                         walkers may       the operation may use
 *                         still read it     it again
 *
 * Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_OPERATION_H
#define TRESTLE_STAGE2_OPERATION_H

#include "stage2/arch.h"
#include "stage2/table.h"

/* Hold @count more tables. */
MAPPING_MUST_USE enum mapping_error s2_operation_hold(struct s2_table *table, size_t count);

/* A held table, uncleared, count 0; cannot fail. */
pa_t s2_operation_take(struct s2_table *table);

/* A table that was just unlinked, with all that hangs below it: it becomes held by the next flush.
 * @level: of the table. Its count is not a count any more. */
void s2_operation_retire(struct s2_table *table, pa_t pa, int level);

/* A table that no walker can reach any more, without what hangs below it: held at once. */
void s2_operation_release(struct s2_table *table, pa_t pa);

/* The entries of @range, all of @level or of S2_TLB_LEVEL_ANY, were broken or tightened. */
void s2_operation_owe(struct s2_table *table, struct ipa_range range, int level);

/* @count descriptors from @slot on were stored where walkers read. For a walker that is not
 * coherent they are cleaned to PoC. */
void s2_operation_stored(struct s2_table *table, const s2_desc_t *slot, size_t count);

/* Link what is filled, or make what was broken: one store-release, where walkers read. */
void s2_operation_link(struct s2_table *table, s2_desc_t *slot, s2_desc_t desc);

/* Before instructions become executable: no instruction cache holds what was there before. */
void s2_operation_show_code(const struct s2_table *table, mapping_flags_t flags);

/* Clean @count descriptors for a walker that is not coherent; nothing for one that is. */
void s2_clean_descs(const struct s2_table *table, const s2_desc_t *slot, size_t count);

/* Everything that the VMID tags, for s2_table_fini(). */
void s2_operation_flush_vmid(struct s2_table *table);

#endif
