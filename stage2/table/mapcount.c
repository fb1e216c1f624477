#include "stage2/table/mapcount.h"

enum mapping_error s2_mapcount_add(const struct s2_table *table, pa_t pa, uint64_t size)
{
    enum mapping_error error = frame_pool_count_mapping(table->pool, pa, size);

    if (error == MAPPING_OK && table->guard != NULL) {
        error = frame_guard_count_mapping(table->guard, table->pool, pa, size);
        if (error != MAPPING_OK) {
            frame_pool_drop_mapping(table->pool, pa, size);
        }
    }
    return error;
}

void s2_mapcount_drop(const struct s2_table *table, pa_t pa, uint64_t size)
{
    frame_pool_drop_mapping(table->pool, pa, size);
    if (table->guard != NULL) {
        frame_guard_drop_mapping(table->guard, table->pool, pa, size);
    }
}

bool s2_mapcount_has_frames(const struct s2_table *table, pa_t pa, uint64_t size)
{
    return frame_pool_touches(table->pool, pa, size) ||
           (table->guard != NULL && frame_guard_has_frames(table->guard, table->pool, pa, size));
}

bool s2_mapcount_is_counted(const struct s2_table *table, pa_t pa, uint64_t size)
{
    return frame_pool_is_mapped(table->pool, pa, size) &&
           (table->guard == NULL || frame_guard_is_mapped(table->guard, table->pool, pa, size));
}
