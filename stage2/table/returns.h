/*
 * returns.h - frames of a guest's memory that the library gave it, on their way back to their pool.
 *
 *      open      what is collected from here on is still mapped: a flush leaves it alone
 *      add       a frame that a leaf leads to
 *      close     the leaves are gone, and the next flush may have them
 *      flush     nobody reaches them any more: each is counted no more as this guest's, and free
 *
 * They are linked through their infos, so there is room for any number; of one pool at a time.
 *
 * Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_TABLE_RETURNS_H
#define TRESTLE_STAGE2_TABLE_RETURNS_H

#include "stage2/table/table.h"

/* Whether frames of @pool can be collected now, or others have to be flushed first. */
static inline bool s2_returns_fit(const struct s2_table *table, const struct frame_pool *pool)
{
    return table->operation.returns.frames.count == 0 || table->operation.returns.pool == pool;
}

/* From here on s2_returns_add(), up to s2_returns_close(). @pool: s2_returns_fit(). */
void s2_returns_open(struct s2_table *table, struct frame_pool *pool);
void s2_returns_close(struct s2_table *table);

/* Granules that begin at @pa, each a TAKEN block of the pool. */
void s2_returns_add(struct s2_table *table, pa_t pa, uint64_t size);

/* For the flush: whether there is anything to give back; then it calls release. (By pointer: a host
 * without such memory does not link it.) A frame that another guest still has is free when that has it
 * no more. */
static inline bool s2_returns_wait(const struct s2_table *table)
{
    return table->operation.returns.frames.count > 0 && !table->operation.returns.is_open;
}

#endif
