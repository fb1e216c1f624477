/*
 * step.c - how far a step may go, and then the verb over just that.
 *
 *      cursor's range   |-----------------------------------------------|
 *      done             |==============|
 *      this step                       |---------->|
 *      tables            [          ][ ][ ][   block   ][            ]
 *                                      ^next       ^ it must not end here, so it ends before the
 *                                                    block, or behind it if nothing else is done
 *
 * Finding that end reads what the verb will look at, no more, and counts it.
 */
#include "stage2/step.h"

#include "stage2/locked.h"
#include "stage2/operation.h"
#include "stage2/walk.h"

/* --- How far --------------------------------------------------------------------------------- */

/* Which leaves are cleaned when they are changed. */
enum cleaning { CLEAN_NONE, CLEAN_RETYPED, CLEAN_ALL };

/* What a verb looks at, and what of the budget is left for it. */
struct plan {
    bool sees_pages;        /* also of tables of pages that lie whole in the range */
    enum cleaning cleaning; /* CLEAN_RETYPED: leaves whose type is not that of attr */
    s2_desc_t attr;
    size_t left;
    bool has_any; /* something was taken: the rest may wait */
};

static struct plan plan_of(bool sees_pages, enum cleaning cleaning, size_t budget)
{
    return (struct plan){.sees_pages = sees_pages, .cleaning = cleaning, .left = budget};
}

static void plan_spend(struct plan *plan, size_t cost)
{
    plan->left -= cost < plan->left ? cost : plan->left;
}

/* Whether what costs @cost belongs to this step: it does if nothing else would. */
static bool plan_takes(struct plan *plan, uint64_t cost)
{
    MAPPING_ASSERT(cost > 0);
    if (cost > plan->left && plan->has_any) {
        return false;
    }
    plan_spend(plan, cost < SIZE_MAX ? (size_t)cost : SIZE_MAX);
    plan->has_any = true;
    return true;
}

/* Lines to clean for @size bytes that the entry @desc maps. */
static uint64_t lines_of(const struct plan *plan, const struct s2_table *table, s2_desc_t desc,
                         uint64_t size)
{
    const bool is_retyped = plan->cleaning == CLEAN_RETYPED && s2_desc_is_valid(desc) &&
                            !s2_attr_is_alike(s2_desc_attr(&table->format, desc), plan->attr);

    if (plan->cleaning != CLEAN_ALL && !is_retyped) {
        return 0;
    }
    MAPPING_ASSERT(u64_is_pow2(table->memory.cache_line));
    return size / table->memory.cache_line;
}

/* What goes as one from the cursor on: a leaf, the rest of its run, a hole; no further than the
 * range, whose end the verb would cut too. */
static struct ipa_range unit_at(const struct s2_walk *walk, s2_desc_t desc)
{
    const bool is_run = s2_desc_is_leaf(desc, walk->level) && s2_desc_is_contiguous(desc);
    const unsigned count = is_run ? s2_run_entries(&walk->table->geometry, walk->level) : 1;
    const uint64_t size = (uint64_t)count << s2_walk_shift(walk);
    const struct ipa_range whole = {ipa_align_down(walk->at, size), size};

    MAPPING_ASSERT(!s2_walk_is_done(walk));
    return ipa_range_between(walk->at, ipa_min(ipa_range_end(whole), walk->end));
}

/* Into the table at the cursor, unless it goes as one: of pages, all of them in the range, with none
 * to be seen and not too many to be cleaned. */
static bool plan_enters(const struct plan *plan, const struct s2_walk *walk, s2_desc_t desc)
{
    const uint64_t size = BIT(s2_walk_shift(walk));

    if (!s2_desc_is_table(desc, walk->level)) {
        return false;
    }
    return plan->sees_pages || walk->level + 1 < S2_LEVEL_PAGE || s2_walk_whole(walk) == 0 ||
           lines_of(plan, walk->table, desc, size) > plan->left;
}

/* Where a step over @rest ends: as far as the budget goes. */
static ipa_t plan_end(struct plan *plan, struct s2_table *table, struct ipa_range rest)
{
    struct s2_walk walk;

    MAPPING_ASSERT(rest.size > 0);
    if (plan->left == S2_STEP_ALL) {
        return ipa_range_end(rest);
    }
    s2_walk_begin(&walk, table, rest);
    while (!s2_walk_is_done(&walk)) {
        const s2_desc_t desc = arch_desc_load(s2_walk_slot(&walk));

        if (plan_enters(plan, &walk, desc)) {
            plan_spend(plan, 1);
            s2_walk_descend(&walk, desc);
        } else {
            const struct ipa_range unit = unit_at(&walk, desc);
            const uint64_t entries =
                (unit.size + BIT(s2_walk_shift(&walk)) - 1) >> s2_walk_shift(&walk);

            if (!plan_takes(plan, entries + lines_of(plan, table, desc, unit.size))) {
                return walk.at;
            }
            walk.at = ipa_range_end(unit);
            s2_walk_ascend_all(&walk);
        }
    }
    MAPPING_ASSERT(plan->has_any);
    return walk.at;
}

/* What is left of the change. */
static struct ipa_range cursor_rest(const struct s2_cursor *cursor)
{
    MAPPING_ASSERT(ipa_range_has(cursor->range, cursor->next));
    return ipa_range_between(cursor->next, ipa_range_end(cursor->range));
}

/* All before @end is done. */
static void cursor_move(struct s2_cursor *cursor, ipa_t end)
{
    MAPPING_ASSERT(ipa_le(cursor->next, end));
    MAPPING_ASSERT(ipa_le(end, ipa_range_end(cursor->range)));
    cursor->next = end;
}

/* --- Tables ---------------------------------------------------------------------------------- */

enum mapping_error s2_table_unmap_step(struct s2_table *table, struct s2_cursor *cursor,
                                       size_t budget)
{
    struct plan plan = plan_of(false, CLEAN_NONE, budget);
    enum mapping_error error;
    ipa_t end;

    if (!s2_table_is_range(table, cursor->range)) {
        return MAPPING_INVALID_PARAM;
    }
    end = plan_end(&plan, table, cursor_rest(cursor));
    error = s2_table_unmap(table, ipa_range_between(cursor->next, end));
    if (error == MAPPING_OK) {
        cursor_move(cursor, end);
    }
    return error;
}

enum mapping_error s2_table_protect_step(struct s2_table *table, struct s2_cursor *cursor,
                                         mapping_flags_t flags, size_t budget)
{
    struct plan plan = plan_of(true, CLEAN_RETYPED, budget);
    enum mapping_error error = MAPPING_INVALID_PARAM;
    ipa_t end;

    if (s2_table_is_range(table, cursor->range)) {
        error = s2_attr_encode(&table->format, flags, &plan.attr);
    }
    if (error != MAPPING_OK) {
        return error;
    }
    end = plan_end(&plan, table, cursor_rest(cursor));
    error = s2_table_protect(table, ipa_range_between(cursor->next, end), flags);
    if (error == MAPPING_OK) {
        cursor_move(cursor, end);
    }
    return error;
}

enum mapping_error s2_table_fold_step(struct s2_table *table, struct s2_cursor *cursor,
                                      mapping_flags_t flags, size_t budget)
{
    struct plan plan = plan_of(true, CLEAN_NONE, budget);
    enum mapping_error error;
    ipa_t end;

    if (!s2_table_is_range(table, cursor->range)) {
        return MAPPING_INVALID_PARAM;
    }
    end = plan_end(&plan, table, cursor_rest(cursor));
    error = s2_table_fold_part(table, cursor->range, ipa_range_between(cursor->next, end), flags);
    if (error == MAPPING_OK) {
        cursor_move(cursor, end);
    }
    return error;
}

/* --- Spaces ---------------------------------------------------------------------------------- */

/* The flags that areas get; NULL: they are unmapped. */
struct change {
    const mapping_flags_t *flags;
    s2_desc_t attr;
};

/* How the tables of @area will be looked at. */
static void plan_area(struct plan *plan, const struct s2_space *space, const struct change *change,
                      const struct memory_area *area)
{
    if (change->flags != NULL) {
        plan->cleaning = CLEAN_RETYPED;
        plan->attr = change->attr;
    } else {
        plan->cleaning = s2_table_needs_clean(&space->table, area->flags) ? CLEAN_ALL : CLEAN_NONE;
    }
    plan->sees_pages = change->flags != NULL;
}

/* Where a step over the areas in @rest ends. Between them there is nothing to look at. */
static ipa_t plan_areas(struct s2_space *space, struct ipa_range rest, const struct change *change,
                        size_t budget)
{
    const ipa_t end = ipa_range_end(rest);
    const struct memory_area *area = memory_set_find_from(&space->set, rest.start);
    struct plan plan = plan_of(false, CLEAN_NONE, budget);

    MAPPING_ASSERT(lock_is_held(&space->lock));
    for (; area != NULL && budget != S2_STEP_ALL && ipa_lt(area->range.start, end);
         area = memory_set_next(&space->set, area)) {
        const struct ipa_range piece = ipa_range_meet(area->range, rest);
        ipa_t at;

        if (plan.left == 0 && plan.has_any) {
            return piece.start;
        }
        plan_spend(&plan, 1);
        if (change->flags != NULL &&
            !s2_protect_reaches(&space->table.format, area->flags, *change->flags)) {
            plan.has_any = true;
            continue;
        }
        plan_area(&plan, space, change, area);
        at = plan_end(&plan, &space->table, piece);
        if (ipa_lt(at, ipa_range_end(piece))) {
            return at;
        }
    }
    return end;
}

enum mapping_error s2_space_unmap_step(struct s2_space *space, struct s2_cursor *cursor,
                                       size_t budget)
{
    const struct change change = {0};
    enum mapping_error error = MAPPING_INVALID_PARAM;

    s2_space_open(space);
    if (s2_table_is_range(&space->table, cursor->range)) {
        const ipa_t end = plan_areas(space, cursor_rest(cursor), &change, budget);

        error = s2_locked_unmap(space, ipa_range_between(cursor->next, end));
        if (error == MAPPING_OK) {
            cursor_move(cursor, end);
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
                                     mapping_flags_t flags)
{
    const bool is_split = splits_area(space, cursor, end);
    const enum mapping_error error =
        s2_locked_protect(space, ipa_range_between(cursor->next, end), flags);

    if (error == MAPPING_OK) {
        /* Only what the last pause parted: areas that are alike now were two before. */
        if (cursor->is_split) {
            join_at(space, cursor->next);
        }
        cursor->is_split = is_split;
        cursor_move(cursor, end);
    }
    return error;
}

enum mapping_error s2_space_protect_step(struct s2_space *space, struct s2_cursor *cursor,
                                         mapping_flags_t flags, size_t budget)
{
    struct change change = {.flags = &flags};
    enum mapping_error error = MAPPING_INVALID_PARAM;

    s2_space_open(space);
    if (s2_table_is_range(&space->table, cursor->range)) {
        error = s2_attr_encode(&space->table.format, flags, &change.attr);
    }
    if (error == MAPPING_OK) {
        const ipa_t end = plan_areas(space, cursor_rest(cursor), &change, budget);

        error = protect_to(space, cursor, end, flags);
    }
    s2_space_close(space);
    return error;
}

/* Fold the area at the cursor, as far as the budget goes. Areas that are alike were joined up to
 * here; one that goes on behind its end will be then, and what lies across is folded next. */
static enum mapping_error fold_area(struct s2_space *space, struct s2_cursor *cursor,
                                    const struct memory_area *area, struct plan *plan)
{
    const struct ipa_range range = ipa_range_meet(area->range, cursor->range);
    const ipa_t start = ipa_max(range.start, cursor->next);
    const ipa_t end = plan_end(plan, &space->table, ipa_range_between(start, ipa_range_end(range)));
    enum mapping_error error = MAPPING_OK;

    MAPPING_ASSERT(lock_is_held(&space->lock));
    if (ipa_lt(start, end)) {
        error =
            s2_table_fold_part(&space->table, range, ipa_range_between(start, end), area->flags);
    }
    if (error == MAPPING_OK) {
        cursor_move(cursor, end);
    }
    return error;
}

static enum mapping_error fold_areas(struct s2_space *space, struct s2_cursor *cursor,
                                     size_t budget)
{
    struct plan plan = plan_of(true, CLEAN_NONE, budget);
    enum mapping_error error = MAPPING_OK;

    do {
        const struct memory_area *area;

        join_at(space, cursor->next);
        area = memory_set_find_from(&space->set, cursor->next);
        plan_spend(&plan, budget == S2_STEP_ALL ? 0 : 1);
        if (area == NULL || !ipa_range_overlaps(area->range, cursor_rest(cursor))) {
            cursor_move(cursor, ipa_range_end(cursor->range));
        } else {
            error = fold_area(space, cursor, area, &plan);
        }
    } while (error == MAPPING_OK && plan.left > 0 && !s2_cursor_is_done(cursor));
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
