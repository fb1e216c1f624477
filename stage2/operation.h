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

/* Check one piece as the verb of that name does, and count the tables that it needs. Read only. */
MAPPING_MUST_USE enum mapping_error s2_count_map(struct s2_table *table, struct ipa_range range,
                                                 pa_t pa, mapping_flags_t flags, size_t *tables);
MAPPING_MUST_USE enum mapping_error s2_count_unmap(struct s2_table *table, struct ipa_range range,
                                                   size_t *tables);
MAPPING_MUST_USE enum mapping_error s2_count_protect(struct s2_table *table, struct ipa_range range,
                                                     mapping_flags_t flags, size_t *tables);
MAPPING_MUST_USE enum mapping_error s2_count_replace(struct s2_table *table, struct ipa_range range,
                                                     pa_t pa, size_t *tables);

/* Hold @count more tables. */
MAPPING_MUST_USE enum mapping_error s2_operation_hold(struct s2_table *table, size_t count);

/* A held table, uncleared, count 0; cannot fail. */
pa_t s2_operation_take(struct s2_table *table);

/* A table that was just unlinked, with all that hangs below it: it becomes held by the next flush.
 * @level: of the table. */
void s2_operation_retire(struct s2_table *table, pa_t pa, int level);

/* Whether such a table still waits for its tail. */
bool s2_operation_has_retired(const struct s2_table *table);

/* A table that no walker can reach any more, without what hangs below it: held at once. */
void s2_operation_release(struct s2_table *table, pa_t pa);

/* The entries of @range, all of @level or of S2_TLB_LEVEL_ANY, were broken or tightened. */
void s2_operation_owe(struct s2_table *table, struct ipa_range range, int level);

/* @count descriptors from @slot on were stored where walkers read. For a walker that is not
 * coherent they are cleaned to PoC. */
void s2_operation_stored(struct s2_table *table, const s2_desc_t *slot, size_t count);

/* Link what is filled, or make what was broken: one store-release, where walkers read. */
void s2_operation_link(struct s2_table *table, s2_desc_t *slot, s2_desc_t desc);

/* What was stored, and cleaned, is visible to walkers, and this CPU's next access sees it. */
void s2_operation_publish(const struct s2_table *table);

/* Break the leaf in @slot, by an exchange: it is invalid and marked, with all that the hardware had
 * set in it up to then. Returns: what it was. The caller owes the range and says stored. */
s2_desc_t s2_operation_break(s2_desc_t *slot);

/* Before instructions become executable: no instruction cache holds what was there before. */
void s2_operation_show_code(const struct s2_table *table, mapping_flags_t flags);

/* Clean @count descriptors for a walker that is not coherent; nothing for one that is. */
void s2_clean_descs(const struct s2_table *table, const s2_desc_t *slot, size_t count);

/* Everything that the VMID tags, for s2_table_fini(). */
void s2_operation_flush_vmid(struct s2_table *table);

#endif
