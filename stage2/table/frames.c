#include "stage2/table/frames.h"

#include "stage2/arch/arch.h"
#include "stage2/table/recent.h"

enum mapping_error s2_frames_hold(struct s2_table *table, size_t count)
{
    MAPPING_ASSERT(table->operation.depth > 0);

    return count == 0
               ? MAPPING_OK
               : frame_pool_reserve(table->pool, table->table_order, count, &table->operation.held);
}

pa_t s2_frames_take(struct s2_table *table)
{
    const pa_t pa = frame_pool_take_sealed(table->pool, &table->operation.held);

    MAPPING_ASSERT(table->operation.depth > 0);
    MAPPING_ASSERT(pa_is_aligned(pa, s2_granule_size(&table->geometry)));

    if (__builtin_expect(!frame_pool_is_near(table->pool, pa), 0)) {
        table->fast_shape = S2_FAST_NONE; /* the pool has grown: there is no bias for all */
    }
    table->table_count++;
    return pa;
}

/* Onto the list of its level. */
static void quarantine(struct s2_table *table, pa_t pa, int level)
{
    MAPPING_ASSERT(table->operation.depth > 0);
    MAPPING_ASSERT(level > table->geometry.start_level && level <= S2_LEVEL_PAGE);
    MAPPING_ASSERT(!pa_eq(pa, table->root_pa));

    table->operation.quarantined++;
    frame_list_push(table->pool, &table->operation.quarantine[level - S2_LEVEL_FIRST], pa);
}

void s2_frames_quarantine(struct s2_table *table, pa_t pa, int level)
{
    s2_recent_forget(table);
    quarantine(table, pa, level);
}

void s2_frames_release(struct s2_table *table, pa_t pa)
{
    MAPPING_ASSERT(table->table_count > 0);
    MAPPING_ASSERT(!pa_eq(pa, table->root_pa));

    table->table_count--;
    frame_pool_untake(table->pool, pa, table->table_order, &table->operation.held);
}

/* The children of the table at @pa follow it out, onto the list of their level. */
static void quarantine_children(struct s2_table *table, pa_t pa, int level)
{
    const s2_desc_t *entries = frame_pool_ptr(table->pool, pa);
    const unsigned count = s2_table_entries(&table->geometry);

    MAPPING_ASSERT(entries != NULL);
    MAPPING_ASSERT(level < S2_LEVEL_PAGE);
    for (unsigned i = 0; i < count; i++) {
        const s2_desc_t desc = arch_desc_load(&entries[i]);

        if (s2_desc_is_table(desc, level)) {
            quarantine(table, s2_desc_address(&table->format, desc), level + 1);
        }
    }
}

/* The same for a parent of tables of pages, which hold no table that would have to wait: they need
 * no list of their level. The last first: so they are taken again in the order of their addresses,
 * which is how memory is filled fastest. */
static void release_children(struct s2_table *table, pa_t pa)
{
    const s2_desc_t *entries = frame_pool_ptr(table->pool, pa);
    const unsigned count = s2_table_entries(&table->geometry);
    struct frame_list list = FRAME_LIST_INIT;
    struct frame_list children;

    MAPPING_ASSERT(entries != NULL);
    for (unsigned i = count; i-- > 0;) {
        const s2_desc_t desc = arch_desc_load(&entries[i]);

        if (s2_desc_is_table(desc, S2_LEVEL_PAGE - 1)) {
            frame_list_push(table->pool, &list, s2_desc_address(&table->format, desc));
        }
    }
    MAPPING_ASSERT(table->table_count >= list.count);
    table->table_count -= list.count;
    children = list; /* so that nobody has the address of the one above, which stays in registers */
    frame_pool_untake_all(table->pool, &children, table->table_order, &table->operation.held);
}

/* A table that holds tables, and those, or that they are the next to go. How much of @budget that
 * took: so many frames are held again at most. */
static size_t release_parent(struct s2_table *table, pa_t pa, int level, size_t budget)
{
    const size_t entries = s2_table_entries(&table->geometry);
    const bool has_room = level == S2_LEVEL_PAGE - 1 && budget > entries;

    table->operation.quarantined--;
    if (has_room) {
        release_children(table, pa);
    } else {
        quarantine_children(table, pa, level);
    }
    s2_frames_release(table, pa);
    return has_room ? entries + 1 : mapping_u64_min(entries, budget);
}

/* Tables of pages, up to @budget of them; their entries are not looked at. How many that were. */
static size_t release_pages(struct s2_table *table, size_t budget)
{
    struct frame_list *list = &table->operation.quarantine[S2_LEVEL_PAGE - S2_LEVEL_FIRST];
    const size_t count = list->count;
    pa_t pa;

    MAPPING_ASSERT(table->table_count >= count);
    if (count <= budget) {
        table->table_count -= count;
        table->operation.quarantined -= count;
        frame_pool_untake_all(table->pool, list, table->table_order, &table->operation.held);
        return count;
    }
    for (size_t i = 0; i < budget && frame_list_pop(table->pool, list, &pa); i++) {
        table->operation.quarantined--;
        s2_frames_release(table, pa);
    }
    return budget;
}

/* A subtree goes from the top down, without recursion, and the lowest tables there are go first. */
bool s2_frames_release_some(struct s2_table *table, size_t *budget)
{
    int level = S2_LEVEL_PAGE;
    pa_t pa;

    MAPPING_ASSERT(*budget > 0);
    while (level >= S2_LEVEL_FIRST &&
           table->operation.quarantine[level - S2_LEVEL_FIRST].count == 0) {
        level--;
    }
    if (level == S2_LEVEL_PAGE) {
        *budget -= release_pages(table, *budget);
    } else if (level >= S2_LEVEL_FIRST &&
               frame_list_pop(table->pool, &table->operation.quarantine[level - S2_LEVEL_FIRST],
                              &pa)) {
        const size_t used = release_parent(table, pa, level, *budget);

        MAPPING_ASSERT(used <= *budget);
        *budget -= used;
    }
    return level >= S2_LEVEL_FIRST;
}

void s2_frames_release_all(struct s2_table *table)
{
    size_t budget = SIZE_MAX;

    while (s2_frames_quarantined(table) > 0 && s2_frames_release_some(table, &budget)) {
    }
    MAPPING_ASSERT(s2_frames_quarantined(table) == 0);
}
