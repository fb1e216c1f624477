#include "stage2/table/operation.h"

#include "stage2/table/mapcount.h"
#include "stage2/tlb/tlb_flush.h"

static struct s2_tlb_target tlb_target(struct s2_table *table)
{
    return (struct s2_tlb_target){
        .geometry = &table->geometry,
        .rules = &table->rules,
        .notifier = &table->notifier,
        .counters = &table->counters,
        .vttbr = s2_table_vttbr(table),
        .vmids = atomic_load_explicit(&table->vmids, memory_order_acquire),
        .vmid = &table->vmid,
        /* Relaxed: it decides on forms that all CPUs hear, and those are sent under the lock alone,
         * under which it changes. */
        .has_slow_memory = atomic_load_explicit(&table->has_slow_memory, memory_order_relaxed),
    };
}

/* --- Frames ---------------------------------------------------------------------------------- */

/* Of tables that wait for a flush there may be enough. Only when they come from operations before this
 * one can they: it holds before it does anything. */
static enum mapping_error hold_after_flush(struct s2_table *table, size_t count)
{
    const size_t before = frame_reserve_count(&table->operation.held);
    size_t gained;

    s2_table_flush(table);
    gained = frame_reserve_count(&table->operation.held) - before;
    if (gained >= count) {
        return MAPPING_OK;
    }
    return frame_pool_reserve(table->pool, table->table_order, count - gained,
                              &table->operation.held);
}

enum mapping_error s2_operation_hold(struct s2_table *table, size_t count)
{
    enum mapping_error error;

    MAPPING_ASSERT(table->operation.depth > 0);
    /* So a flush takes nothing of what is held. */
    MAPPING_ASSERT(table->operation.pending_count == 0);
    if (count == 0) {
        return MAPPING_OK;
    }
    error = frame_pool_reserve(table->pool, table->table_order, count, &table->operation.held);
    if (error == MAPPING_NO_FRAME && s2_operation_has_quarantined(table)) {
        error = hold_after_flush(table, count);
    }
    return error;
}

pa_t s2_operation_take(struct s2_table *table)
{
    const pa_t pa = frame_pool_take(table->pool, &table->operation.held);

    MAPPING_ASSERT(table->operation.depth > 0);
    MAPPING_ASSERT(pa_is_aligned(pa, s2_granule_size(&table->geometry)));

    frame_pool_seal(table->pool, pa);
    table->table_count++;
    return pa;
}

void s2_operation_quarantine(struct s2_table *table, pa_t pa, int level)
{
    MAPPING_ASSERT(table->operation.depth > 0);
    MAPPING_ASSERT(level > table->geometry.start_level && level <= S2_LEVEL_PAGE);
    MAPPING_ASSERT(!pa_eq(pa, table->root_pa));

    frame_list_push(table->pool, &table->operation.quarantine[level - S2_LEVEL_FIRST], pa);
}

void s2_operation_release(struct s2_table *table, pa_t pa)
{
    MAPPING_ASSERT(table->table_count > 0);
    MAPPING_ASSERT(!pa_eq(pa, table->root_pa));

    table->table_count--;
    frame_pool_untake(table->pool, pa, table->table_order, &table->operation.held);
}

/* --- Invalidations ----------------------------------------------------------------------------------- */

static void invalidate(struct s2_table *table, struct ipa_range range, int level,
                       enum s2_tlb_reason reason)
{
    MAPPING_ASSERT(table->operation.depth > 0);
    MAPPING_ASSERT(level == S2_TLB_LEVEL_ANY || s2_level_is_leaf(&table->geometry, level));
    MAPPING_ASSERT(ipa_le(ipa_range_end(range), table->end));

    s2_tlb_batch_add(&table->operation.invalidations, range, level, reason);
}

void s2_operation_invalidate(struct s2_table *table, struct ipa_range range, int level)
{
    invalidate(table, range, level, S2_TLB_REVOKED);
}

void s2_operation_invalidate_relaxed(struct s2_table *table, struct ipa_range range, int level)
{
    invalidate(table, range, level, S2_TLB_RELAXED);
}

void s2_operation_maps(struct s2_table *table, mapping_flags_t flags)
{
    if (!table->format.has_fwb || (flags & S2_TYPE) != S2_NORMAL) {
        atomic_store_explicit(&table->has_slow_memory, true, memory_order_relaxed);
    }
}

void s2_table_reclaim(struct s2_table *table, pa_t pa, uint64_t size, unsigned what)
{
    struct s2_operation *operation = &table->operation;

    MAPPING_ASSERT(operation->depth > 0);
    MAPPING_ASSERT(what != 0);
    if (operation->reclaim_count > 0) {
        struct s2_reclaim *last = &operation->reclaims[operation->reclaim_count - 1];

        if (pa_eq(pa_add(last->pa, last->size), pa) && last->what == what) {
            last->size += size;
            return;
        }
    }
    if (operation->reclaim_count == S2_RECLAIM_MAX) {
        s2_table_flush(table);
    }
    MAPPING_ASSERT(operation->reclaim_count < S2_RECLAIM_MAX);
    operation->reclaims[operation->reclaim_count++] = (struct s2_reclaim){pa, size, what};
}

/* --- Stores ---------------------------------------------------------------------------------- */

void s2_clean_descs(const struct s2_table *table, const s2_desc_t *slot, size_t count)
{
    if (table->cleans_tables && count > 0) {
        const char *end = (const char *)(slot + count);
        const char *line = (const char *)slot - ((uintptr_t)slot & (table->memory.cache_line - 1U));

        MAPPING_ASSERT(u64_is_pow2(table->memory.cache_line));
        for (; line < end; line += table->memory.cache_line) {
            arch_dc_cvac(line);
        }
    }
}

void s2_operation_stored(struct s2_table *table, const s2_desc_t *slot, size_t count)
{
    MAPPING_ASSERT(table->operation.depth > 0);

    s2_clean_descs(table, slot, count);
    table->operation.is_stored = true;
}

/* The lines of a new table are on their way to memory, which a release does not wait for; nor does a
 * DSB for stores alone. */
static void wait_for_lines(const struct s2_table *table)
{
    if (table->cleans_tables) {
        arch_dsb_ish();
    }
}

void s2_operation_link(struct s2_table *table, s2_desc_t *slot, s2_desc_t desc)
{
    MAPPING_ASSERT(s2_desc_is_valid(desc));

    wait_for_lines(table);
    arch_desc_publish(slot, desc);
    s2_operation_stored(table, slot, 1);
}

bool s2_operation_link_over(struct s2_table *table, s2_desc_t *slot, s2_desc_t *expected,
                            s2_desc_t desc)
{
    MAPPING_ASSERT(table->is_direct);
    MAPPING_ASSERT(s2_desc_is_valid(desc) && s2_desc_is_valid(*expected));

    wait_for_lines(table);
    if (!arch_desc_replace(slot, expected, desc)) {
        return false;
    }
    s2_operation_stored(table, slot, 1);
    return true;
}

void s2_operation_publish(const struct s2_table *table)
{
    if (table->cleans_tables) {
        arch_dsb_ish(); /* cache maintenance is not among the stores */
    } else {
        arch_dsb_ishst();
    }
    arch_isb();
}

s2_desc_t s2_operation_break(s2_desc_t *slot)
{
    const s2_desc_t seen = arch_desc_load(slot);
    const s2_desc_t last = arch_desc_swap(slot, s2_desc_break(seen));

    MAPPING_ASSERT(s2_desc_is_valid(last));
    if (!s2_desc_eq(last, seen)) {
        /* The hardware was faster. It does not write an invalid descriptor, so this is final. */
        arch_desc_store(slot, s2_desc_break(last));
    }
    return last;
}

/* --- State that leaves lose ------------------------------------------------------------------- */

static void tell_removed(struct s2_table *table)
{
    struct s2_operation *operation = &table->operation;

    if (operation->removed_state != 0) {
        table->sink.removed(table->sink.arg, operation->removed, operation->removed_state);
        operation->removed_state = 0;
    }
}

void s2_operation_removed(struct s2_table *table, struct ipa_range range, s2_desc_t old,
                          s2_desc_t next)
{
    struct s2_operation *operation = &table->operation;
    unsigned state;

    MAPPING_ASSERT(operation->depth > 0);
    if (!s2_operation_tracks(table)) {
        return;
    }
    state = s2_desc_state(&table->format, old) & ~s2_desc_state(&table->format, next);
    if (state == 0) {
        return;
    }
    if (state == operation->removed_state &&
        ipa_eq(ipa_range_end(operation->removed), range.start)) {
        operation->removed = ipa_range_join(operation->removed, range);
        return;
    }
    tell_removed(table);
    operation->removed = range;
    operation->removed_state = state;
}

void s2_operation_show_code(const struct s2_table *table, mapping_flags_t flags)
{
    if ((flags & S2_EXEC) != 0 && !table->has_dic) {
        arch_ic_ialluis();
        arch_dsb_ish();
    }
}

/* --- The flush -------------------------------------------------------------------------------- */

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
            s2_operation_quarantine(table, s2_desc_address(&table->format, desc), level + 1);
        }
    }
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
        frame_pool_untake_all(table->pool, list, table->table_order, &table->operation.held);
        return count;
    }
    for (size_t i = 0; i < budget && frame_list_pop(table->pool, list, &pa); i++) {
        s2_operation_release(table, pa);
    }
    return budget;
}

/* A subtree goes from the top down, without recursion, and the lowest tables there are go first. */
bool s2_operation_release_some(struct s2_table *table, size_t *budget)
{
    const size_t entries = s2_table_entries(&table->geometry);
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
        quarantine_children(table, pa, level);
        s2_operation_release(table, pa);
        *budget -= entries < *budget ? entries : *budget;
    }
    return level >= S2_LEVEL_FIRST;
}

static void release_quarantined(struct s2_table *table)
{
    size_t budget = SIZE_MAX;

    while (s2_operation_release_some(table, &budget)) {
    }
    MAPPING_ASSERT(!s2_operation_has_quarantined(table));
}

/* Tables that wait for a flush; of those that were unlinked with a subtree, the topmost. */
static size_t waiting(const struct s2_table *table)
{
    size_t count = 0;

    for (int i = 0; i < S2_LEVEL_COUNT; i++) {
        count += table->operation.quarantine[i].count;
    }
    return count;
}

bool s2_operation_has_quarantined(const struct s2_table *table)
{
    return waiting(table) > 0;
}

struct s2_pending *s2_operation_pending(struct s2_table *table, struct ipa_range range)
{
    struct s2_operation *operation = &table->operation;
    bool is_free = operation->pending_count < S2_PENDING_MAX;

    for (unsigned i = 0; i < operation->pending_count && is_free; i++) {
        const struct s2_pending *pending = &operation->pending[i];

        is_free = !ipa_range_overlaps(pending->edit.range, range);
        for (unsigned k = 0; k < pending->splits.run_count; k++) {
            is_free &= !ipa_range_overlaps(pending->splits.runs[k].range, range);
        }
    }
    if (!is_free) {
        s2_table_flush(table);
    }
    return &operation->pending[operation->pending_count];
}

void s2_operation_keep(struct s2_table *table, struct s2_pending *pending)
{
    MAPPING_ASSERT(pending == &table->operation.pending[table->operation.pending_count]);
    MAPPING_ASSERT(!s2_tlb_batch_is_empty(&table->operation.invalidations));

    table->operation.pending_count++;
}

/* Nobody reaches it any more: what the guest wrote past the caches is what is there, and whoever it
 * belongs to may have it back. */
static void reclaim_all(struct s2_table *table)
{
    struct s2_operation *operation = &table->operation;

    for (unsigned i = 0; i < operation->reclaim_count; i++) {
        const struct s2_reclaim *reclaim = &operation->reclaims[i];

        if ((reclaim->what & S2_RECLAIM_CLEAN) != 0) {
            s2_memory_reclaim(&table->memory, reclaim->pa, reclaim->size);
        }
        if ((reclaim->what & S2_RECLAIM_DROP) != 0) {
            s2_mapcount_drop(table, reclaim->pa, reclaim->size);
        }
    }
    operation->reclaim_count = 0;
}

static void make_pending(struct s2_table *table)
{
    struct s2_operation *operation = &table->operation;

    MAPPING_ASSERT(s2_tlb_batch_is_empty(&operation->invalidations));
    for (unsigned i = 0; i < operation->pending_count; i++) {
        s2_pending_make(table, &operation->pending[i]);
    }
    operation->pending_count = 0;
}

void s2_table_flush(struct s2_table *table)
{
    struct s2_operation *operation = &table->operation;

    MAPPING_ASSERT(operation->depth > 0);
    MAPPING_ASSERT(!s2_tlb_batch_is_empty(&operation->invalidations) ||
                   !s2_operation_has_quarantined(table));

    if (!s2_tlb_batch_is_empty(&operation->invalidations)) {
        const struct s2_tlb_target target = tlb_target(table);

        s2_tlb_flush(&target, &operation->invalidations);
        operation->is_stored = false;
    }
    release_quarantined(table);
    reclaim_all(table);
    make_pending(table);
    MAPPING_ASSERT(s2_tlb_batch_is_empty(&operation->invalidations));
}

void s2_operation_flush_vmid(struct s2_table *table)
{
    const struct s2_tlb_target target = tlb_target(table);

    MAPPING_ASSERT(table->operation.depth > 0);

    s2_tlb_flush_vmid(&target);
    table->operation.invalidations = (struct s2_tlb_batch){.count = 0};
    table->operation.is_stored = false;
    reclaim_all(table);
}

/* Once the root is gone the VMID's entries are, or are about to be. To send anything its root would
 * have to be in VTTBR_EL2. */
static bool is_finished(const struct s2_table *table)
{
    return table->root == NULL;
}

void s2_table_recover_conflict(struct s2_table *table)
{
    if (!is_finished(table)) {
        const struct s2_tlb_target target = tlb_target(table);

        s2_tlb_recover_conflict(&target);
    }
}

void s2_table_refresh(struct s2_table *table, ipa_t addr)
{
    /* A guest chooses where it faults. Beyond the input size there is nothing to hold. */
    if (!is_finished(table) && ipa_lt(addr, table->end)) {
        const struct s2_tlb_target target = tlb_target(table);

        s2_tlb_refresh(&target, addr);
    }
}

/* --- Begin and end --------------------------------------------------------------------------- */

void s2_table_begin(struct s2_table *table)
{
    MAPPING_ASSERT(table->root != NULL);
    MAPPING_ASSERT(table->operation.depth < UINT32_MAX);
    MAPPING_ASSERT(table->operation.depth > 0 || !table->operation.is_stored);
    MAPPING_ASSERT(table->operation.pieces.left == 0);
    MAPPING_ASSERT(table->operation.depth > 0 || frame_reserve_count(&table->operation.held) == 0);

    /* A verb inside an open operation: it counts what it needs, and finds all of it made. */
    if (table->operation.pending_count > 0) {
        s2_table_flush(table);
    }
    table->operation.depth++;
}

/* What was held and is not done will not be. */
static void let_go(struct s2_table *table)
{
    struct s2_reclaim *shown = &table->operation.shown;

    s2_pieces_forget(table);
    if (shown->size != 0) {
        s2_mapcount_drop(table, shown->pa, shown->size);
        shown->size = 0;
    }
}

/* All that the operation promised has been kept, but for invalidations that may wait. */
static void operation_close(struct s2_table *table)
{
    struct s2_operation *operation = &table->operation;

    MAPPING_ASSERT(operation->depth == 1);
    MAPPING_ASSERT(operation->pending_count == 0);
    tell_removed(table);
    if (operation->is_stored) {
        s2_operation_publish(table);
        operation->is_stored = false;
    }
    if (!s2_table_has_deferred(table)) {
        operation->taken = pa_of(0);
        operation->taken_end = pa_of(0);
    }
    frame_pool_unreserve(table->pool, &operation->held);
    operation->depth = 0;
    MAPPING_ASSERT(frame_reserve_count(&operation->held) == 0);
}

void s2_table_end(struct s2_table *table)
{
    MAPPING_ASSERT(table->operation.depth > 0);

    let_go(table);
    if (table->operation.depth > 1) {
        table->operation.depth--;
        return;
    }
    s2_table_flush(table);
    operation_close(table);
}

bool s2_table_has_deferred(const struct s2_table *table)
{
    return !s2_tlb_batch_is_empty(&table->operation.invalidations) ||
           s2_operation_has_quarantined(table) || table->operation.reclaim_count > 0;
}

bool s2_table_end_deferred(struct s2_table *table, size_t frames)
{
    MAPPING_ASSERT(table->operation.depth == 1);

    let_go(table);
    /* What stays must not be away for as long as a batch is open. */
    if (table->operation.pending_count > 0 || waiting(table) > frames) {
        s2_table_flush(table);
    }
    operation_close(table);
    return s2_table_has_deferred(table);
}
