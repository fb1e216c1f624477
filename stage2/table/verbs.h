/*
 * verbs.h - what is done to a table: map, map over, unmap, protect, replace. Folding is in
 * stage2/table/fold.h.
 *
 * Each is an operation of its own, or a part of one that is open (stage2/table/operation.h).
 */
#ifndef TRESTLE_STAGE2_TABLE_VERBS_H
#define TRESTLE_STAGE2_TABLE_VERBS_H

#include "core/c.h"
#include "stage2/table/request.h"
#include "stage2/table/table.h"

TRESTLE_BEGIN

/**
 * s2_table_map() - Map @range to equally much memory at @pa, or change nothing.
 * @range:   IPA, granule-aligned, not empty, inside the input size; no part of it mapped.
 * @pa:      first output byte, granule-aligned; all of it inside the output size.
 * @flags:   stage2/arch/flags.h.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM; MAPPING_ALREADY_EXISTS; MAPPING_NO_FRAME;
 *           MAPPING_UNSUPPORTED: such a leaf does not exist here; MAPPING_DENIED: Device memory
 *           with execution, or memory that the pool of the tables has not handed out as data.
 * On error: descriptors, counters and pool unchanged.
 * Owns:     takes frames for tables only; @pa stays the caller's.
 * Order:    tables are filled before they are linked; no TLBI, as invalid entries are not cached.
 *           Instruction caches are invalidated first if executable, unless CTR_EL0.DIC. Data
 *           cleaning is the backend's (stage2/space/backend.h). Visible on return.
 * Cost:     O(leaves + tables) stores, the largest leaf that fits each; counting before: O(tables
 *           that exist in @range).
 * Source:   Arm ARM DDI 0487, D8.14 "TLB maintenance", "ordering of translation table updates".
 */
MAPPING_MUST_USE enum mapping_error s2_table_map(struct s2_table *table, struct ipa_range range,
                                                 pa_t pa, mapping_flags_t flags);

/**
 * s2_table_map_over() - The same, whatever is there: what @range was mapped to goes.
 * @range, @pa, @flags: as for s2_table_map(), but that it may be mapped, in any part.
 * Returns:  as s2_table_map(), MAPPING_ALREADY_EXISTS aside; MAPPING_NO_FRAME: also where a block
 *           that sticks out is split; MAPPING_DENIED: also where transients are refused and anything
 *           is mapped.
 * On error: as s2_table_map(): what was there is there.
 * Order:    unmap, one flush, map, as one operation. @range is invalid in between, and a vCPU that
 *           accesses it then faults for a translation. On return no TLB holds anything of what was
 *           there. Only permissions change: s2_table_protect() does that in place.
 * Cost:     of an unmap and a map.
 */
MAPPING_MUST_USE enum mapping_error
s2_table_map_over(struct s2_table *table, struct ipa_range range, pa_t pa, mapping_flags_t flags);

/**
 * s2_table_unmap() - Remove every mapping from @range; holes are fine.
 * @range:   as for s2_table_map(). A block that sticks out is split exactly, its attributes kept.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM; MAPPING_NO_FRAME: a split needs tables;
 *           MAPPING_DENIED: transients are refused, and a split goes by break-before-make.
 * On error: as s2_table_map().
 * Order:    splits go by break-before-make, what they keep faults for a moment: vCPUs that fault
 *           there find a broken descriptor and retry. With S2_SIZE_CHANGE_DIRECT they go by one
 *           store, and nothing faults. On return no TLB holds anything of @range,
 *           and the frames of emptied tables are back in the pool; the data frames may be reused.
 * Cost:     O(entries of the tables that @range covers partly) + O(non-leaf entries of tables that
 *           it covers whole): their leaves are never visited.
 */
MAPPING_MUST_USE enum mapping_error s2_table_unmap(struct s2_table *table, struct ipa_range range);

/**
 * s2_table_protect() - Give all mappings in @range the attributes of @flags; holes are fine.
 * @flags:   all attributes, not only permissions; S2_BUILD_FLAGS are ignored.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM; MAPPING_NO_FRAME: a split needs tables;
 *           MAPPING_UNSUPPORTED, MAPPING_DENIED: as s2_table_map(), or transients are refused, and
 *           something that is mapped goes by break-before-make.
 * On error: as s2_table_map().
 * Order:    permissions, AF, DBM and software bits change in place; a block or run that sticks out,
 *           a run that is changed, or a changed type or shareability goes by break-before-make, one
 *           flush for all; with S2_SIZE_CHANGE_DIRECT what sticks out is split, and a run is
 *           opened, by single stores. On return no TLB of any CPU holds the old attributes; where
 *           nothing was taken away, and S2_RELAX_HERE, this CPU's.
 * Cost:     O(entries in @range).
 */
MAPPING_MUST_USE enum mapping_error s2_table_protect(struct s2_table *table, struct ipa_range range,
                                                     mapping_flags_t flags);

/**
 * s2_table_replace() - Put other memory under all of @range, attributes kept.
 * @range:   as for s2_table_map(); every byte of it mapped.
 * @pa:      as for s2_table_map(). Where a leaf's new output is not aligned to its size, smaller
 *           ones take its place.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM; MAPPING_NOT_FOUND: a hole in @range;
 *           MAPPING_NO_FRAME; MAPPING_DENIED: as s2_table_map(), or transients are refused: all of
 *           @range is invalid for a moment.
 * On error: as s2_table_map().
 * Order:    break-before-make, once for all of @range. On return no CPU reaches the old memory,
 *           which may be reused; what it held is the caller's to copy, and to clean.
 * Cost:     O(leaves in @range).
 */
MAPPING_MUST_USE enum mapping_error s2_table_replace(struct s2_table *table, struct ipa_range range,
                                                     pa_t pa);

/**
 * s2_table_frames_needed() - Exactly how many frames of the pool @request would take, now.
 * @frames:  written on MAPPING_OK only; what the operation takes at its height, tables that it
 *           empties not yet given back.
 * Returns:  what the verb would answer to these arguments, MAPPING_NO_FRAME aside.
 * Cost:     as the verb's checks; changes nothing.
 */
MAPPING_MUST_USE enum mapping_error s2_table_frames_needed(const struct s2_table *table,
                                                           const struct s2_request *request,
                                                           size_t *frames);

TRESTLE_END

#endif
