/*
 * operation.h - what the verbs of a table share: frames in, frames out, the closing sequence.
 *
 * A table's frame on its way out:
 *
 *      linked --unlink--> quarantined --flush--> held --end--> the pool
 *                         walkers may           the operation may use
 *                         still read it         it again
 *
 * A piece that breaks what stays waits in between, with the others:
 *
 *      break P1  break P2 ...    flush    make P1  make P2 ...
 *
 * Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_TABLE_OPERATION_H
#define TRESTLE_STAGE2_TABLE_OPERATION_H

#include "stage2/arch/arch.h"
#include "stage2/table/table.h"

/* Check one piece as the verb of that name does, and count the tables that it needs. Read only. */
MAPPING_MUST_USE enum mapping_error s2_count_map(struct s2_table *table, struct ipa_range range,
                                                 pa_t pa, mapping_flags_t flags, size_t *tables);
MAPPING_MUST_USE enum mapping_error s2_count_unmap(struct s2_table *table, struct ipa_range range,
                                                   size_t *tables);
MAPPING_MUST_USE enum mapping_error s2_count_protect(struct s2_table *table, struct ipa_range range,
                                                     mapping_flags_t flags, size_t *tables);
MAPPING_MUST_USE enum mapping_error s2_count_replace(struct s2_table *table, struct ipa_range range,
                                                     pa_t pa, size_t *tables);

/* Fold what in @range is done now that all of it up to the end of @part is at hand, as one operation.
 * @part:    lies in @range; all of @range before it was such a part, or is still to be found as it
 *           is. All parts one by one fold what s2_table_fold_within() does over @range.
 * @flags:   as there.
 * Cost:     O(entries in @part) + one table's entries for each level. */
MAPPING_MUST_USE enum mapping_error s2_table_fold_part(struct s2_table *table,
                                                       struct ipa_range range,
                                                       struct ipa_range part,
                                                       mapping_flags_t flags);

/* Hold @count more tables. */
MAPPING_MUST_USE enum mapping_error s2_operation_hold(struct s2_table *table, size_t count);

/* A held table, uncleared, count 0; cannot fail. */
pa_t s2_operation_take(struct s2_table *table);

/* A table that was just unlinked, with all that hangs below it: it becomes held by the next flush.
 * @level: of the table. */
void s2_operation_quarantine(struct s2_table *table, pa_t pa, int level);

/* Whether such a table still waits for its flush. */
bool s2_operation_has_quarantined(const struct s2_table *table);

/* Of such tables, now that no walker can reach them: one with the look that its children need, which
 * costs as many of *budget as it has entries, or as many tables of pages, each one, as *budget lasts.
 * Held at once. false: none waited. */
bool s2_operation_release_some(struct s2_table *table, size_t *budget);

/* A table that no walker can reach any more, without what hangs below it: held at once. */
void s2_operation_release(struct s2_table *table, pa_t pa);

/* The entries of @range, all of @level or of S2_TLB_LEVEL_ANY, were broken or tightened; or more is
 * allowed now, and nothing less. */
void s2_operation_invalidate(struct s2_table *table, struct ipa_range range, int level);
void s2_operation_invalidate_relaxed(struct s2_table *table, struct ipa_range range, int level);

/* @count descriptors from @slot on were stored where walkers read. For a walker that is not
 * coherent they are cleaned to PoC. */
void s2_operation_stored(struct s2_table *table, const s2_desc_t *slot, size_t count);

/* Link what is filled, or make what was broken: one store-release, where walkers read. */
void s2_operation_link(struct s2_table *table, s2_desc_t *slot, s2_desc_t desc);

/* The same over a leaf, directly, in an exchange: false if it is no longer *expected, which is then
 * what it is. */
bool s2_operation_link_over(struct s2_table *table, s2_desc_t *slot, s2_desc_t *expected,
                            s2_desc_t desc);

/* Room for a piece that is about to break something: the others are made first if there is none, or
 * if it has to do with what they broke. Until s2_operation_keep() it is the caller's. */
struct s2_pending *s2_operation_pending(struct s2_table *table, struct ipa_range range);

/* That piece was broken: the next flush makes it. */
void s2_operation_keep(struct s2_table *table, struct s2_pending *pending);

/* --- Pieces (stage2/table/pieces.h) ---------------------------------------------------------------- */

/* Whether nothing is mapped in @range once all that is held is done, so that a map may be held. */
bool s2_pieces_leave_free(struct s2_table *table, struct ipa_range range);

/* Of the tables that a map of @piece needs in @block, a block of @level: how many the held unmaps,
 * which clear @piece, leave there as they split it. O(levels). */
size_t s2_pieces_tables_left(const struct s2_table *table, struct ipa_range block, int level,
                             struct ipa_range piece);

/* Whether a map of @range can be held beside the others. */
bool s2_pieces_have_room(const struct s2_table *table, struct ipa_range range);

/* That a piece was held: an unmap, a map, something else. Nothing of the operation that is still to
 * be done has begun. */
void s2_pieces_held_unmap(struct s2_table *table, struct ipa_range range);
void s2_pieces_held_map(struct s2_table *table, struct ipa_range range);
void s2_pieces_held(struct s2_table *table);

/* One of them is done now; or none of them will be. */
void s2_pieces_do(struct s2_table *table);
void s2_pieces_forget(struct s2_table *table);

/* --- Stores and the end ---------------------------------------------------------------------- */

/* What was stored, and cleaned, is visible to walkers, and this CPU's next access sees it. */
void s2_operation_publish(const struct s2_table *table);

/* Whether somebody is told of AF and dirty state that leaves lose. */
static inline bool s2_operation_tracks(const struct s2_table *table)
{
    return table->sink.removed != NULL && table->format.has_access_flag;
}

/* The leaf @old of @range was exchanged for @next, S2_DESC_NONE if for nothing: tell of the state that
 * it had and @next does not. */
void s2_operation_removed(struct s2_table *table, struct ipa_range range, s2_desc_t old,
                          s2_desc_t next);

/* Break the leaf in @slot, by an exchange: it is invalid and marked, with all that the hardware had
 * set in it up to then. Returns: what it was. The caller invalidates the range and says stored. */
s2_desc_t s2_operation_break(s2_desc_t *slot);

/* Before instructions become executable: no instruction cache holds what was there before. */
void s2_operation_show_code(const struct s2_table *table, mapping_flags_t flags);

/* Clean @count descriptors for a walker that is not coherent; nothing for one that is. */
void s2_clean_descs(const struct s2_table *table, const s2_desc_t *slot, size_t count);

/* Make what s2_operation_keep() was told of: after the flush. change.c. */
void s2_pending_make(struct s2_table *table, struct s2_pending *pending);

/* Memory with @flags is about to be mapped: whether a TLBI must wait for accesses to slow devices. */
void s2_operation_maps(struct s2_table *table, mapping_flags_t flags);

/* Everything that the VMID tags, and so all that was collected, for s2_table_fini(). What is quarantined is left
 * to s2_operation_release_some(). */
void s2_operation_flush_vmid(struct s2_table *table);

#endif
