#include "stage2/table/returns.h"

#include "stage2/table/mapcount.h"

static void release(struct s2_table *table)
{
    struct s2_returns *returns = &table->operation.returns;
    const uint64_t granule = s2_granule_size(&table->geometry);
    const bool counts = table->guard != NULL || returns->pool == table->pool;
    struct s2_memory memory = table->memory;
    const unsigned order = s2_pool_order(table, returns->pool);
    pa_t frame;

    MAPPING_ASSERT(!returns->is_open);
    memory.pool = returns->pool;
    while (frame_list_pop(returns->pool, &returns->frames, &frame)) {
        enum mapping_error error;

        if (s2_table_may_be_uncached(table)) {
            s2_memory_reclaim(&memory, frame, granule);
        }
        if (counts) {
            s2_mapcount_drop(table, frame, granule);
        }
        MAPPING_ASSERT(table->data_count > 0);
        table->data_count--;
        error = frame_pool_leave(returns->pool, frame, order);
        MAPPING_ASSERT(error == MAPPING_OK);
        (void)error;
    }
}

void s2_returns_open(struct s2_table *table, struct frame_pool *pool)
{
    struct s2_returns *returns = &table->operation.returns;

    MAPPING_ASSERT(table->operation.depth > 0);
    MAPPING_ASSERT(!returns->is_open && s2_returns_fit(table, pool));
    returns->pool = pool;
    returns->release = release;
    returns->is_open = true;
}

void s2_returns_close(struct s2_table *table)
{
    MAPPING_ASSERT(table->operation.returns.is_open);
    table->operation.returns.is_open = false;
}

void s2_returns_add(struct s2_table *table, pa_t pa, uint64_t size)
{
    const uint64_t granule = s2_granule_size(&table->geometry);
    struct s2_returns *returns = &table->operation.returns;

    MAPPING_ASSERT(returns->is_open && mapping_u64_is_aligned(size, granule));
    for (; size > 0; size -= granule) {
        frame_list_push(returns->pool, &returns->frames, pa);
        pa = pa_add(pa, granule);
    }
}
