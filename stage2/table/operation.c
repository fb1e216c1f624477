#include "stage2/table/operation.h"

#include "stage2/table/change.h"
#include "stage2/table/flush.h"
#include "stage2/table/frames.h"
#include "stage2/table/mapcount.h"
#include "stage2/table/page.h"
#include "stage2/table/pieces.h"
#include "stage2/table/state.h"

static inline void begin(struct s2_table *table)
{
    struct s2_operation *operation = &table->operation;

    MAPPING_ASSERT(table->root != NULL);
    MAPPING_ASSERT(operation->depth < UINT32_MAX);
    MAPPING_ASSERT(operation->depth > 0 || !operation->is_stored);
    MAPPING_ASSERT(operation->pieces.left == 0);
    MAPPING_ASSERT(operation->depth > 0 || frame_reserve_count(&operation->held) == 0);

    /* A verb inside an open operation: it counts what it needs, and finds all of it made. */
    if (operation->pending_count > 0) {
        s2_change_flush(table);
    }
    operation->depth++;
}

void s2_table_begin(struct s2_table *table)
{
    begin(table);
}

/* --- Pieces ---------------------------------------------------------------------------------- */

/* Of tables that are quarantined there may be enough. Only if they come from operations before this
 * one: it holds before it does anything. */
static enum mapping_error hold_after_flush(struct s2_table *table, size_t count)
{
    const size_t before = frame_reserve_count(&table->operation.held);
    size_t gained;

    s2_flush(table);
    gained = frame_reserve_count(&table->operation.held) - before;
    return gained >= count ? MAPPING_OK : s2_frames_hold(table, count - gained);
}

static enum mapping_error hold_frames(struct s2_table *table, size_t count)
{
    const enum mapping_error error = s2_frames_hold(table, count);

    /* So a flush takes nothing of what is held. */
    MAPPING_ASSERT(table->operation.pending_count == 0);
    return error == MAPPING_NO_FRAME && s2_frames_quarantined(table) > 0
               ? hold_after_flush(table, count)
               : error;
}

static enum mapping_error count_and_hold(struct s2_table *table, struct s2_change *change)
{
    const enum mapping_error error = s2_change_count(table, change);

    return error == MAPPING_OK ? hold_frames(table, change->tables) : error;
}

static enum mapping_error check_and_hold(struct s2_table *table, const struct s2_request *request,
                                         struct s2_change *change)
{
    enum mapping_error error = s2_change_begin(table, request, change);

    if (error == MAPPING_OK && !s2_change_is_recent(table, change)) {
        error = count_and_hold(table, change);
    }
    return error;
}

/* What the request comes to stays where s2_table_do() finds it, if no other is held. */
enum mapping_error s2_table_hold(struct s2_table *table, const struct s2_request *request)
{
    struct s2_operation *operation = &table->operation;
    struct s2_change *change = &operation->pending[0];
    enum mapping_error error;

    MAPPING_ASSERT(operation->depth > 0);
    if (operation->pending_count > 0) {
        MAPPING_ASSERT(operation->pieces.left == 0);
        s2_change_flush(table);
    }
    error = check_and_hold(table, request, change);
    if (error == MAPPING_OK) {
        s2_pieces_held(table, request->verb, request->range);
    }
    operation->is_worked_out = error == MAPPING_OK && operation->pieces.left == 1;
    return error;
}

void s2_table_do(struct s2_table *table, const struct s2_request *request)
{
    struct s2_operation *operation = &table->operation;
    const bool is_worked_out = operation->is_worked_out;
    struct s2_change *change = operation->pending_count == 0
                                   ? &operation->pending[0]
                                   : s2_change_room(table, request->range);

    MAPPING_ASSERT(operation->depth > 0);
    s2_pieces_do(table);
    operation->is_worked_out = false;
    if (!is_worked_out) {
        s2_change_work_out(table, request, change);
    }
    MAPPING_ASSERT(change->verb == request->verb && ipa_range_eq(change->range, request->range));
    s2_change_do(table, change);
}

enum mapping_error s2_table_hold_parts(struct s2_table *table, const struct s2_request *request)
{
    struct s2_operation *operation = &table->operation;
    struct s2_change *change = &operation->pending[0];
    enum mapping_error error;

    MAPPING_ASSERT(operation->depth > 0);
    if (operation->pending_count > 0) {
        s2_change_flush(table);
    }
    error = s2_change_begin_parts(table, request, change);
    if (error == MAPPING_OK) {
        error = count_and_hold(table, change);
    }
    if (error == MAPPING_OK) {
        s2_pieces_held(table, request->verb, request->range);
    }
    operation->is_worked_out = false;
    return error;
}

void s2_table_do_parts(struct s2_table *table, const struct s2_request *request, s2_part_fn next,
                       void *arg)
{
    struct s2_operation *operation = &table->operation;
    const ipa_t end = ipa_range_end(request->range);
    struct s2_request part = *request;

    MAPPING_ASSERT(operation->depth > 0);
    s2_pieces_do(table);
    operation->is_worked_out = false;
    while (ipa_lt(part.range.start, end)) {
        struct s2_change *change;

        part.range = ipa_range_between(part.range.start, end);
        part.range.size = next(arg, part.range, &part.pa);
        MAPPING_ASSERT(part.range.size > 0 && ipa_le(ipa_range_end(part.range), end));
        change = operation->pending_count == 0 ? &operation->pending[0]
                                               : s2_change_room(table, part.range);
        s2_change_work_out(table, &part, change);
        s2_change_do(table, change);
        part.range.start = ipa_range_end(part.range);
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
        s2_change_flush(table);
    }
    MAPPING_ASSERT(operation->reclaim_count < S2_RECLAIM_MAX);
    operation->reclaims[operation->reclaim_count++] = (struct s2_reclaim){pa, size, what};
}

void s2_table_flush(struct s2_table *table)
{
    s2_change_flush(table);
}

/* --- End ------------------------------------------------------------------------------------- */

/* What was held and is not done will not be. */
static void let_go(struct s2_table *table)
{
    struct s2_reclaim *counted = &table->operation.counted;

    if (table->operation.pieces.left > 0) {
        s2_pieces_forget(table);
        table->operation.is_worked_out = false;
    }
    if (counted->size != 0) {
        s2_mapcount_drop(table, counted->pa, counted->size);
        counted->size = 0;
    }
}

/* All that the operation promised has been kept, but for invalidations that may wait. */
static void operation_close(struct s2_table *table, bool has_deferred)
{
    struct s2_operation *operation = &table->operation;

    MAPPING_ASSERT(operation->depth == 1);
    MAPPING_ASSERT(operation->pending_count == 0);
    if (operation->removed_state != 0) {
        s2_state_tell(table);
    }
    if (operation->is_stored) {
        s2_memory_publish(&table->memory);
        operation->is_stored = false;
    }
    if (!has_deferred) {
        operation->taken = pa_of(0);
        operation->taken_end = pa_of(0);
    }
    if (frame_reserve_count(&operation->held) > 0) {
        frame_pool_unreserve(table->pool, &operation->held);
    }
    operation->depth = 0;
}

static inline void end(struct s2_table *table)
{
    MAPPING_ASSERT(table->operation.depth > 0);

    let_go(table);
    if (table->operation.depth > 1) {
        table->operation.depth--;
        return;
    }
    if (s2_flush_has_work(table)) {
        s2_change_flush(table);
    }
    operation_close(table, false);
}

void s2_table_end(struct s2_table *table)
{
    end(table);
}

bool s2_table_has_deferred(const struct s2_table *table)
{
    return !s2_tlb_batch_is_empty(&table->operation.invalidations) ||
           s2_frames_quarantined(table) > 0 || table->operation.reclaim_count > 0 ||
           s2_returns_wait(table);
}

bool s2_table_end_deferred(struct s2_table *table, size_t frames)
{
    bool has_deferred;

    MAPPING_ASSERT(table->operation.depth == 1);

    let_go(table);
    /* What stays must not be away for as long as a batch is open. */
    if (table->operation.pending_count > 0 || s2_frames_quarantined(table) > frames ||
        table->operation.returns.frames.count > frames) {
        s2_change_flush(table);
    }
    has_deferred = s2_table_has_deferred(table);
    operation_close(table, has_deferred);
    return has_deferred;
}

/* --- One by itself ---------------------------------------------------------------------------- */

static enum mapping_error perform(struct s2_table *table, const struct s2_request *request)
{
    struct s2_change *change = &table->operation.pending[0];
    enum mapping_error error;

    begin(table);
    error = check_and_hold(table, request, change);
    if (error == MAPPING_OK) {
        s2_change_do(table, change);
    }
    end(table);
    return error;
}

enum mapping_error s2_table_perform(struct s2_table *table, const struct s2_request *request)
{
    return s2_page_perform(table, request) ? MAPPING_OK : perform(table, request);
}
