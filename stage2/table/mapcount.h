/*
 * mapcount.h - memory that a table shows its guest, where it is frames of a pool: each is counted
 * as long as the guest can reach it, so that it is not given back meanwhile (core/frame_pool.h,
 * core/frame_guard.h). Memory that is in no pool is not counted, and costs nothing.
 *
 *      hold a map     counted: nobody can free it from here on
 *      do it          stays so; if it is not done, dropped
 *      unmap          dropped when the closing sequence is over, with what is cleaned then
 *
 * Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_TABLE_MAPCOUNT_H
#define TRESTLE_STAGE2_TABLE_MAPCOUNT_H

#include "stage2/table/table.h"

/* Count [@pa, @pa + @size). Returns: MAPPING_OK; MAPPING_DENIED: a part is no data, or cannot be
 * counted any more; nothing has changed. */
MAPPING_MUST_USE enum mapping_error s2_mapcount_add(const struct s2_table *table, pa_t pa,
                                                    uint64_t size);

/* No CPU and no device can reach it that way any more. */
void s2_mapcount_drop(const struct s2_table *table, pa_t pa, uint64_t size);

/* Whether any of it is frames that are counted. */
bool s2_mapcount_has_frames(const struct s2_table *table, pa_t pa, uint64_t size);

/* Whether it is counted at least once, where it is frames. */
bool s2_mapcount_is_counted(const struct s2_table *table, pa_t pa, uint64_t size);

#endif
