#include "stage2/space/step.h"

#include "stage2/space/backend.h"
#include "stage2/space/locked.h"
#include "stage2/table/budget.h"
#include "stage2/table/fold.h"

/* How the tables of @area will be looked at. */
static void budget_for(struct s2_budget *left, const struct s2_space *space, enum s2_verb verb,
                       const struct memory_area *area)
{
    left->sees_pages = verb == S2_VERB_PROTECT || s2_area_kind(area) == S2_AREA_LAZY;
    if (verb == S2_VERB_PROTECT) {
        left->cleaning = S2_CLEAN_RETYPED;
    } else {
        left->cleaning =
            s2_table_needs_clean(&space->table, area->flags) ? S2_CLEAN_ALL : S2_CLEAN_NONE;
    }
}

/* Whether @request has anything to do in an area with @flags. */
static bool reaches(const struct s2_space *space, const struct s2_request *request,
                    mapping_flags_t flags)
{
    return request->verb != S2_VERB_PROTECT ||
           s2_protect_reaches(&space->table.format, flags, request->flags);
}

/* Where a step of @request, which is over what is left of the change, ends. Between areas there is
 * nothing to look at. */
static ipa_t step_end(struct s2_space *space, const struct s2_request *request,
                      struct s2_budget left)
{
    const ipa_t end = ipa_range_end(request->range);
    const struct memory_area *area = memory_set_find_from(&space->set, request->range.start);
    const bool is_bound = left.left != S2_STEP_ALL;

    MAPPING_ASSERT(mapping_lock_is_held(&space->lock));
    for (; area != NULL && is_bound && ipa_lt(area->range.start, end);
         area = memory_set_next(&space->set, area)) {
        const struct ipa_range piece = ipa_range_meet(area->range, request->range);
        ipa_t at;

        if (left.left == 0 && left.has_any) {
            return piece.start;
        }
        s2_budget_spend(&left, 1);
        if (!reaches(space, request, area->flags)) {
            left.has_any = true;
            continue;
        }
        budget_for(&left, space, request->verb, area);
        at = s2_budget_end(&left, &space->table, piece);
        if (ipa_lt(at, ipa_range_end(piece))) {
            return at;
        }
    }
    return end;
}

enum mapping_error s2_space_unmap_step(struct s2_space *space, struct s2_cursor *cursor,
                                       size_t budget)
{
    struct s2_request request = {.verb = S2_VERB_UNMAP};
    enum mapping_error error = MAPPING_INVALID_PARAM;

    s2_space_open(space);
    if (s2_table_is_range(&space->table, cursor->range)) {
        ipa_t end;

        request.range = s2_cursor_rest(cursor);
        end = step_end(space, &request, s2_budget_of(false, S2_CLEAN_NONE, budget));
        request.range = ipa_range_between(cursor->next, end);
        error = s2_locked_unmap(space, &request);
        if (error == MAPPING_OK) {
            s2_cursor_move(cursor, end);
        }
    }
    s2_space_close(space);
    return error;
}

/* Whether a protect up to @at splits an area that the whole change may not split there. */
static bool splits_area(const struct s2_space *space, const struct s2_cursor *cursor, ipa_t at)
{
    const struct memory_area *area = memory_set_find(&space->set, at);

    return area != NULL && ipa_lt(area->range.start, at) && ipa_range_has(cursor->range, at);
}

/* Join what touches at @at and is alike. */
static void join_at(struct s2_space *space, ipa_t at)
{
    const enum mapping_error error = memory_set_merge(&space->set, ipa_range_between(at, at));

    MAPPING_ASSERT(error == MAPPING_OK);
    (void)error;
}

static enum mapping_error protect_to(struct s2_space *space, struct s2_cursor *cursor, ipa_t end,
                                     struct s2_request request)
{
    const bool is_split = splits_area(space, cursor, end);
    enum mapping_error error;

    request.range = ipa_range_between(cursor->next, end);
    error = s2_locked_protect(space, &request);
    if (error == MAPPING_OK) {
        /* Only what the last pause parted: areas that are alike now were two before. */
        if (cursor->is_split) {
            join_at(space, cursor->next);
        }
        cursor->is_split = is_split;
        s2_cursor_move(cursor, end);
    }
    return error;
}

enum mapping_error s2_space_protect_step(struct s2_space *space, struct s2_cursor *cursor,
                                         mapping_flags_t flags, size_t budget)
{
    struct s2_request request = {.verb = S2_VERB_PROTECT, .flags = flags};
    struct s2_budget left = s2_budget_of(true, S2_CLEAN_RETYPED, budget);
    enum mapping_error error = MAPPING_INVALID_PARAM;

    s2_space_open(space);
    if (s2_table_is_range(&space->table, cursor->range)) {
        error = s2_attr_encode(&space->table.format, flags, &left.attr);
    }
    if (error == MAPPING_OK) {
        request.range = s2_cursor_rest(cursor);
        error = protect_to(space, cursor, step_end(space, &request, left), request);
    }
    s2_space_close(space);
    return error;
}

/* Fold the area at the cursor, as far as the budget goes. Areas that are alike were joined up to
 * here; one that goes on behind its end will be then, and what lies across is folded next. */
static enum mapping_error fold_area(struct s2_space *space, struct s2_cursor *cursor,
                                    const struct memory_area *area, struct s2_budget *left)
{
    const struct ipa_range range = ipa_range_meet(area->range, cursor->range);
    const ipa_t start = ipa_max(range.start, cursor->next);
    const ipa_t end =
        s2_budget_end(left, &space->table, ipa_range_between(start, ipa_range_end(range)));
    enum mapping_error error = MAPPING_OK;

    MAPPING_ASSERT(mapping_lock_is_held(&space->lock));
    if (ipa_lt(start, end) && (area->flags & S2_AREA_EMPTY) == 0) {
        error =
            s2_table_fold_part(&space->table, range, ipa_range_between(start, end), area->flags);
    }
    if (error == MAPPING_OK) {
        s2_cursor_move(cursor, end);
    }
    return error;
}

static enum mapping_error fold_areas(struct s2_space *space, struct s2_cursor *cursor,
                                     size_t budget)
{
    struct s2_budget left = s2_budget_of(true, S2_CLEAN_NONE, budget);
    enum mapping_error error = MAPPING_OK;

    do {
        const struct memory_area *area;

        join_at(space, cursor->next);
        area = memory_set_find_from(&space->set, cursor->next);
        s2_budget_spend(&left, budget == S2_STEP_ALL ? 0 : 1);
        if (area == NULL || !ipa_range_overlaps(area->range, s2_cursor_rest(cursor))) {
            s2_cursor_move(cursor, ipa_range_end(cursor->range));
        } else {
            error = fold_area(space, cursor, area, &left);
        }
    } while (error == MAPPING_OK && left.left > 0 && !s2_cursor_is_done(cursor));
    if (s2_cursor_is_done(cursor)) {
        join_at(space, cursor->next);
    }
    return error;
}

enum mapping_error s2_space_fold_step(struct s2_space *space, struct s2_cursor *cursor,
                                      size_t budget)
{
    enum mapping_error error = MAPPING_INVALID_PARAM;

    s2_space_open(space);
    if (s2_table_is_range(&space->table, cursor->range)) {
        error = fold_areas(space, cursor, budget);
    }
    s2_space_close(space);
    return error;
}
