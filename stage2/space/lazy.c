#include "stage2/space/lazy.h"

#include "stage2/space/locked.h"
#include "stage2/table/budget.h"
#include "stage2/table/flush.h"
#include "stage2/table/mapcount.h"
#include "stage2/table/operation.h"
#include "stage2/table/page.h"
#include "stage2/table/returns.h"
#include "stage2/table/walk.h"

struct mapping_backend s2_lazy_backend(const struct s2_lazy *lazy)
{
    return (struct mapping_backend){.ops = &s2_lazy_ops.set, .cookie = (uintptr_t)lazy};
}

const struct s2_lazy *s2_lazy_of(const struct mapping_backend *backend)
{
    MAPPING_ASSERT(backend->ops == &s2_lazy_ops.set);
    return (const struct s2_lazy *)(uintptr_t)backend->cookie;
}

static bool grain_fits(const struct s2_lazy *lazy, const struct s2_table *table)
{
    return lazy->grain == 0 ||
           (mapping_u64_is_pow2(lazy->grain) && lazy->grain <= S2_LAZY_GRAIN_MAX &&
            lazy->grain >= s2_granule_size(&table->geometry));
}

const char *s2_lazy_reason(const struct s2_lazy *lazy, const struct s2_table *table,
                           mapping_flags_t flags)
{
    if (lazy == NULL || lazy->pool == NULL) {
        return "a lazy area without a pool";
    }
    if (frame_pool_shift(lazy->pool) > table->geometry.granule_shift) {
        return "the frames of a lazy area's pool are larger than the granule";
    }
    if (!grain_fits(lazy, table)) {
        return "the grain of a lazy area is no power of two from the granule to 1 GiB";
    }
    return s2_flags_are_device(flags) ? "a lazy area is memory, not a device" : NULL;
}

/* --- As a set asks ---------------------------------------------------------------------------- */

static enum mapping_error reserve_map(const struct mapping_change *change, struct s2_table *table)
{
    const struct s2_request request = {
        .verb = S2_VERB_MAP, .range = change->range, .flags = change->new_flags};

    return table->operation.prepared == NULL ? s2_table_check_flags(table, change->new_flags)
                                             : s2_table_hold_parts(table, &request);
}

/* Frames that were prepared, in order: as many as lie in one piece. */
struct prepared {
    const struct s2_table *table;
    struct frame_pool *pool;
    struct frame_list *frames;
    bool has_next;
    pa_t next;
};

static uint64_t next_part(void *arg, struct ipa_range rest, pa_t *pa)
{
    struct prepared *prepared = arg;
    const uint64_t granule = s2_granule_size(&prepared->table->geometry);
    uint64_t size = granule;

    MAPPING_ASSERT(prepared->has_next);
    MAPPING_ASSERT(rest.size >= granule);
    *pa = prepared->next;
    prepared->has_next = frame_list_pop(prepared->pool, prepared->frames, &prepared->next);
    while (prepared->has_next && size < rest.size && pa_eq(prepared->next, pa_add(*pa, size))) {
        size += granule;
        prepared->has_next = frame_list_pop(prepared->pool, prepared->frames, &prepared->next);
    }
    return size;
}

static enum mapping_error lazy_reserve(const struct mapping_backend *self,
                                       const struct mapping_change *change, void *page_table)
{
    const struct s2_request request = {
        .verb = change->step == MAPPING_STEP_UNMAP ? S2_VERB_UNMAP : S2_VERB_PROTECT,
        .range = change->range,
        .flags = change->new_flags,
    };

    MAPPING_ASSERT(s2_lazy_of(self)->pool != NULL);
    return change->step == MAPPING_STEP_MAP ? reserve_map(change, page_table)
                                            : s2_table_hold(page_table, &request);
}

static enum mapping_error lazy_map(const struct mapping_backend *self, struct ipa_range range,
                                   mapping_flags_t flags, void *page_table)
{
    const struct s2_request request = {.verb = S2_VERB_MAP, .range = range, .flags = flags};
    struct s2_table *table = page_table;
    struct prepared prepared = {
        .table = table, .pool = s2_lazy_of(self)->pool, .frames = table->operation.prepared};

    MAPPING_ASSERT(s2_table_is_range(page_table, range));
    if (prepared.frames != NULL) {
        prepared.has_next = frame_list_pop(prepared.pool, prepared.frames, &prepared.next);
        s2_table_do_parts(table, &request, next_part, &prepared);
        MAPPING_ASSERT(!prepared.has_next);
    }
    return MAPPING_OK;
}

/* What a leaf, or the part of one that lies in the range, leads to. */
static void collect_leaf(struct s2_walk *walk, s2_desc_t desc, struct ipa_range piece)
{
    const uint64_t offset = ipa_offset(piece.start, MAPPING_BIT(s2_walk_shift(walk)));

    MAPPING_ASSERT(offset + piece.size <= MAPPING_BIT(s2_walk_shift(walk)));
    MAPPING_ASSERT(s2_desc_is_leaf(desc, walk->level));
    s2_returns_add(walk->table, pa_add(s2_desc_address(&walk->table->format, desc), offset),
                   piece.size);
}

static unsigned collect(struct s2_walk *walk, unsigned count, void *arg)
{
    const s2_desc_t *slot = s2_walk_slot(walk);
    const uint64_t size = MAPPING_BIT(s2_walk_shift(walk));

    (void)arg;
    if (count == 0) {
        const s2_desc_t desc = arch_desc_load(slot);

        if (!s2_desc_is_none(desc)) {
            collect_leaf(walk, desc, s2_walk_piece(walk));
        }
        return 0;
    }
    for (unsigned i = 0; i < count; i++) {
        const s2_desc_t desc = arch_desc_load(&slot[i]);

        if (s2_desc_is_table(desc, walk->level)) {
            return i;
        }
        if (!s2_desc_is_none(desc)) {
            collect_leaf(walk, desc, (struct ipa_range){ipa_add(walk->at, i * size), size});
        }
    }
    return count;
}

/* The frames are taken down while the leaves are there, and are on their way once these are gone:
 * no flush in between may have them. A leaf that two areas share, as its attributes are those of both,
 * may have been broken by the piece before: then it is made first. */
static enum mapping_error lazy_unmap(const struct mapping_backend *self, struct ipa_range range,
                                     void *page_table)
{
    static const struct s2_visitor visitor = {.visit = collect};
    const struct s2_request request = {.verb = S2_VERB_UNMAP, .range = range};
    struct frame_pool *pool = s2_lazy_of(self)->pool;
    struct s2_table *table = page_table;

    if (!s2_returns_fit(table, pool) || table->operation.pending_count > 0) {
        s2_table_flush(table);
    }
    MAPPING_ASSERT(table->operation.depth > 0);
    s2_returns_open(table, pool);
    (void)s2_walk_visit(table, range, &visitor, NULL);
    s2_table_do(table, &request);
    s2_returns_close(table);
    return MAPPING_OK;
}

static enum mapping_error lazy_protect(const struct mapping_backend *self, struct ipa_range range,
                                       mapping_flags_t new_flags, void *page_table)
{
    const struct s2_request request = {.verb = S2_VERB_PROTECT, .range = range, .flags = new_flags};
    const struct frame_pool *pool = s2_lazy_of(self)->pool;
    struct s2_table *table = page_table;

    if (pool == table->memory.pool) {
        s2_table_do(table, &request);
        return MAPPING_OK;
    }
    /* Memory whose type changes is cleaned between break and make: by the way to these frames. */
    s2_table_flush(table);
    table->memory.pool = pool;
    s2_table_do(table, &request);
    s2_table_flush(table);
    table->memory.pool = table->pool;
    return MAPPING_OK;
}

static bool lazy_only(const struct mapping_backend *self, const struct mapping_change *change,
                      void *page_table)
{
    const struct s2_request request = {
        .verb = S2_VERB_PROTECT, .range = change->range, .flags = change->new_flags};

    (void)self;
    return change->step == MAPPING_STEP_PROTECT && s2_page_perform(page_table, &request);
}

/* --- Filling ---------------------------------------------------------------------------------- */

static struct s2_memory memory_of(const struct s2_table *table, const struct s2_lazy *lazy)
{
    struct s2_memory memory = table->memory;

    memory.pool = lazy->pool;
    return memory;
}

/* What is tried after @size: a run of pages, then one. */
static uint64_t smaller(const struct s2_table *table, uint64_t size)
{
    const uint64_t granule = s2_granule_size(&table->geometry);
    const uint64_t run = granule * s2_run_entries(&table->geometry, S2_LEVEL_PAGE);

    MAPPING_ASSERT(size > granule);
    return size > run ? run : granule;
}

static struct ipa_range piece_at(ipa_t at, uint64_t size)
{
    MAPPING_ASSERT(mapping_u64_is_pow2(size));
    return (struct ipa_range){ipa_align_down(at, size), size};
}

static size_t pages_of(const struct s2_table *table, uint64_t size)
{
    return (size_t)(size >> table->geometry.granule_shift);
}

/* Whether the guest may have so much more. */
static bool is_in_quota(const struct s2_table *table, uint64_t size)
{
    MAPPING_ASSERT(table->data_count <= table->data_high);
    return table->data_quota == 0 ||
           (table->data_count <= table->data_quota &&
            pages_of(table, size) <= table->data_quota - table->data_count);
}

static void count_data(struct s2_table *table, uint64_t size)
{
    table->data_count += pages_of(table, size);
    table->data_high = table->data_count > table->data_high ? table->data_count : table->data_high;
}

/* Whether @piece can be filled as one: it is all in the area, nothing is there, and the guest may have
 * that much. */
static bool may_fill(struct s2_space *space, const struct memory_area *area, struct ipa_range piece)
{
    return is_in_quota(&space->table, piece.size) && ipa_range_covers(area->range, piece) &&
           s2_walk_is_free(&space->table, piece.start, ipa_range_end(piece));
}

/* How much of it at most, at once. */
static uint64_t most_at(struct s2_space *space, const struct memory_area *area, ipa_t at)
{
    const uint64_t granule = s2_granule_size(&space->table.geometry);
    uint64_t size = mapping_u64_max(s2_lazy_of(&area->backend)->grain, granule);

    if (size == granule) {
        return size;
    }
    mapping_lock_acquire(&space->lock);
    while (size > granule && !may_fill(space, area, piece_at(at, size))) {
        size = smaller(&space->table, size);
    }
    mapping_lock_release(&space->lock);
    return size;
}

/* Frames of a space's own that only wait for a flush. */
static void flush_deferred(struct s2_space *space)
{
    s2_space_open(space);
    s2_space_close(space);
}

/* As one block, taken apart at once: pages are given back. @size is what could be had. */
static enum mapping_error take(struct s2_space *space, const struct s2_lazy *lazy, uint64_t *size,
                               pa_t *pa)
{
    const struct s2_table *table = &space->table;
    const unsigned page_order = s2_pool_order(table, lazy->pool);
    const uint64_t granule = s2_granule_size(&table->geometry);
    enum mapping_error error;
    unsigned order;

    for (;;) {
        order = mapping_u64_log2(*size) - frame_pool_shift(lazy->pool);
        error =
            order < FRAME_POOL_ORDERS ? frame_pool_alloc(lazy->pool, order, pa) : MAPPING_NO_FRAME;
        if (error == MAPPING_OK || *size == granule) {
            break;
        }
        *size = smaller(table, *size);
    }
    if (error != MAPPING_OK) {
        flush_deferred(space);
        error = frame_pool_alloc(lazy->pool, order, pa);
    }
    if (error == MAPPING_OK && order > page_order) {
        frame_pool_split(lazy->pool, *pa, order, page_order);
    }
    return error;
}

static void give_back(const struct s2_table *table, const struct s2_lazy *lazy, pa_t pa,
                      uint64_t size)
{
    const uint64_t granule = s2_granule_size(&table->geometry);

    MAPPING_ASSERT(mapping_u64_is_aligned(size, granule));
    for (; size > 0; size -= granule) {
        const enum mapping_error error =
            frame_pool_leave(lazy->pool, pa, s2_pool_order(table, lazy->pool));

        MAPPING_ASSERT(error == MAPPING_OK);
        (void)error;
        pa = pa_add(pa, granule);
    }
}

/* Nothing of what it held before is seen, whether the guest's caches are on or off. */
static enum mapping_error prepare(const struct s2_table *table, const struct memory_area *area,
                                  pa_t pa, uint64_t size)
{
    const struct s2_memory memory = memory_of(table, s2_lazy_of(&area->backend));
    const enum mapping_error error = s2_memory_zero(&memory, pa, size);

    return error == MAPPING_OK && s2_table_needs_clean(table, area->flags)
               ? s2_memory_clean(&memory, pa, size)
               : error;
}

/* Whether the area is as it was when its frames were asked for. */
static bool is_same(const struct s2_space *space, const struct memory_area *area,
                    struct ipa_range piece)
{
    const struct memory_area *now = memory_set_find(&space->set, piece.start);

    return now != NULL && mapping_backend_eq(&now->backend, &area->backend) &&
           now->flags == area->flags && ipa_range_covers(now->range, piece);
}

static enum mapping_error map_counted(struct s2_table *table, const struct s2_request *request)
{
    enum mapping_error error = s2_mapcount_add(table, request->pa, request->range.size);

    if (error == MAPPING_OK) {
        error = s2_table_perform(table, request);
        if (error != MAPPING_OK) {
            s2_mapcount_drop(table, request->pa, request->range.size);
        }
    }
    return error;
}

static enum mapping_error place(struct s2_space *space, const struct memory_area *area,
                                struct ipa_range piece, pa_t pa)
{
    const struct s2_request request = {S2_VERB_MAP, piece, pa, area->flags};
    enum mapping_error error = MAPPING_NOT_FOUND;

    mapping_lock_acquire(&space->lock);
    if (is_same(space, area, piece)) {
        error = is_in_quota(&space->table, piece.size) ? map_counted(&space->table, &request)
                                                       : MAPPING_NO_FRAME;
    }
    if (error == MAPPING_OK) {
        count_data(&space->table, piece.size);
    }
    mapping_lock_release(&space->lock);
    return error;
}

/* Up to @size bytes; the space is not locked while memory is zeroed: whoever is first has it. */
static enum mapping_error fill_most(struct s2_space *space, const struct memory_area *area,
                                    ipa_t at, uint64_t size)
{
    const struct s2_lazy *lazy = s2_lazy_of(&area->backend);
    enum mapping_error error;
    pa_t pa;

    MAPPING_ASSERT(ipa_range_has(area->range, at));
    error = take(space, lazy, &size, &pa);
    if (error != MAPPING_OK) {
        return error;
    }
    MAPPING_ASSERT(pa_is_aligned(pa, size));
    error = prepare(&space->table, area, pa, size);
    if (error == MAPPING_OK) {
        error = place(space, area, piece_at(at, size), pa);
    }
    if (error != MAPPING_OK) {
        give_back(&space->table, lazy, pa, size);
    }
    return error;
}

/* Where a block took the last frames, which its tables need, or where frames of the quota only wait for
 * a flush, a page may do. */
static enum mapping_error lazy_fill(struct s2_space *space, const struct memory_area *area,
                                    ipa_t at)
{
    enum mapping_error error = fill_most(space, area, at, most_at(space, area, at));

    if (error == MAPPING_NO_FRAME) {
        flush_deferred(space);
        error = fill_most(space, area, at, s2_granule_size(&space->table.geometry));
    }
    return error;
}

/* --- Full from the start ---------------------------------------------------------------------- */

/* The largest size of a block that ends at @end, not before @start, as its address is aligned. */
static uint64_t size_before(const struct s2_table *table, const struct s2_lazy *lazy, ipa_t start,
                            ipa_t end)
{
    const uint64_t granule = s2_granule_size(&table->geometry);
    uint64_t size = mapping_u64_max(lazy->grain, granule);

    while (size > granule && (size > ipa_distance(start, end) || !ipa_is_aligned(end, size))) {
        size = smaller(table, size);
    }
    return size;
}

/* Pushed from the last granule to the first, so that they come in order. */
static void push_pages(const struct s2_table *table, const struct s2_lazy *lazy, pa_t pa,
                       uint64_t size, struct frame_list *list)
{
    const uint64_t granule = s2_granule_size(&table->geometry);

    MAPPING_ASSERT(mapping_u64_is_aligned(size, granule));
    while (size > 0) {
        size -= granule;
        frame_list_push(lazy->pool, list, pa_add(pa, size));
    }
}

/* A block: taken, zeroed, cleaned, and counted as the guest's. *size: what could be had. */
static enum mapping_error take_prepared(struct s2_space *space, const struct memory_area *area,
                                        uint64_t *size, pa_t *pa)
{
    const struct s2_lazy *lazy = s2_lazy_of(&area->backend);
    enum mapping_error error = take(space, lazy, size, pa);

    if (error != MAPPING_OK) {
        return error;
    }
    error = s2_table_is_output(&space->table, *pa, *size) ? prepare(&space->table, area, *pa, *size)
                                                          : MAPPING_INVALID_PARAM;
    if (error == MAPPING_OK) {
        error = s2_mapcount_add(&space->table, *pa, *size);
    }
    if (error != MAPPING_OK) {
        give_back(&space->table, lazy, *pa, *size);
    }
    return error;
}

static void drop_all(struct s2_space *space, const struct s2_lazy *lazy, struct frame_list *list)
{
    const uint64_t granule = s2_granule_size(&space->table.geometry);
    pa_t pa;

    MAPPING_ASSERT(lazy->pool != NULL);
    while (frame_list_pop(lazy->pool, list, &pa)) {
        s2_mapcount_drop(&space->table, pa, granule);
        give_back(&space->table, lazy, pa, granule);
    }
}

/* What can be known before anything is taken. */
static enum mapping_error check_full(struct s2_space *space, const struct memory_area *area,
                                     enum overlap_policy policy)
{
    bool is_free = true;

    if (policy == OVERLAP_REJECT) {
        mapping_lock_acquire(&space->lock);
        is_free = !memory_set_overlaps(&space->set, area->range);
        mapping_lock_release(&space->lock);
    }
    return is_free ? s2_table_check_flags(&space->table, area->flags) : MAPPING_ALREADY_EXISTS;
}

static enum mapping_error add_prepared(struct s2_space *space, const struct memory_area *area,
                                       enum overlap_policy policy, struct frame_list *list)
{
    struct s2_table *table = &space->table;
    enum mapping_error error;

    if (!is_in_quota(table, area->range.size)) {
        return MAPPING_NO_FRAME;
    }
    MAPPING_ASSERT(table->operation.prepared == NULL);
    table->operation.prepared = list;
    error = s2_locked_add(space, area, policy);
    table->operation.prepared = NULL;
    if (error == MAPPING_OK) {
        count_data(table, area->range.size);
    }
    return error;
}

enum mapping_error s2_lazy_add_full(struct s2_space *space, const struct memory_area *area,
                                    enum overlap_policy policy)
{
    const struct s2_lazy *lazy = s2_lazy_of(&area->backend);
    struct frame_list list = FRAME_LIST_INIT;
    ipa_t at = ipa_range_end(area->range);
    enum mapping_error error = check_full(space, area, policy);

    while (error == MAPPING_OK && ipa_lt(area->range.start, at)) {
        uint64_t size = size_before(&space->table, lazy, area->range.start, at);
        pa_t pa;

        error = take_prepared(space, area, &size, &pa);
        if (error == MAPPING_OK) {
            push_pages(&space->table, lazy, pa, size, &list);
            at = ipa_of(ipa_distance(ipa_of(size), at));
        }
    }
    if (error == MAPPING_OK) {
        s2_space_enter_call(space);
        error = add_prepared(space, area, policy, &list);
        s2_space_leave_call(space);
    }
    drop_all(space, lazy, &list);
    return error;
}

/* --- The end ---------------------------------------------------------------------------------- */

static enum mapping_error lazy_drain(struct s2_space *space, const struct memory_area *area,
                                     size_t budget)
{
    struct s2_budget left = s2_budget_of(true, S2_CLEAN_NONE, budget > 0 ? budget : 1);
    const ipa_t end = s2_budget_end(&left, &space->table, area->range);
    const struct s2_request request = {.verb = S2_VERB_UNMAP,
                                       .range = ipa_range_between(area->range.start, end)};

    MAPPING_ASSERT(mapping_lock_is_held(&space->lock));
    return s2_locked_unmap(space, &request);
}

const struct s2_backend_ops s2_lazy_ops = {
    .set =
        {
            .map = lazy_map,
            .unmap = lazy_unmap,
            .protect = lazy_protect,
            .begin = s2_backend_begin,
            .reserve = lazy_reserve,
            .end = s2_backend_end,
            .only = lazy_only,
        },
    .kind = S2_AREA_LAZY,
    .fill = lazy_fill,
    .drain = lazy_drain,
};
