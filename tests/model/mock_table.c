/*
 * mock_table.c - see mock_table.h.
 */
#include "tests/model/mock_table.h"

#include <string.h>

void mock_table_init(struct mock_table *table, ipa_t base)
{
    memset(table, 0, sizeof(*table));
    table->base = base;
}

void mock_table_arm(struct mock_table *table, struct mock_faults faults)
{
    table->faults = faults;
    table->event_count = 0;
    memset(table->call_count, 0, sizeof(table->call_count));
    table->change_count = 0;
    table->held_next = 0;
}

static void law(struct mock_table *table, bool is_kept, const char *text)
{
    if (!is_kept && table->broken_law == NULL) {
        table->broken_law = text;
    }
}

static void record(struct mock_table *table, enum mock_call call,
                   const struct mapping_change *change, enum mapping_error answer)
{
    static const struct mapping_change nothing = {MAPPING_STEP_MAP, IPA_RANGE_INIT(0, 0), 0, 0};

    law(table, table->event_count < MOCK_EVENTS, "the log is full");
    if (table->event_count < MOCK_EVENTS) {
        table->event[table->event_count++] =
            (struct mock_event){call, change == NULL ? nothing : *change, answer};
    }
    table->call_count[call]++;
}

static struct mock_cell *cell_at(struct mock_table *table, ipa_t addr)
{
    return &table->cell[ipa_distance(table->base, addr)];
}

static struct ipa_range window_of(const struct mock_table *table)
{
    return ipa_range_between(table->base, ipa_add(table->base, MOCK_CELLS));
}

/* Pieces come in ascending order, and a map comes last. */
static bool follows(const struct mock_event *before, const struct mapping_change *change)
{
    if (change->step == MAPPING_STEP_MAP) {
        return before->change.step != MAPPING_STEP_MAP;
    }
    return before->change.step == change->step &&
           ipa_le(ipa_range_end(before->change.range), change->range.start);
}

static void check_books(struct mock_table *table)
{
    if (table->set != NULL) {
        law(table, mock_table_agrees(table, table->set), "the set lists what the table holds");
    }
}

/* All cells of @change are as it says: mapped by @self with the old flags, or free for a map. */
static bool cells_are(struct mock_table *table, const struct mapping_backend *self,
                      const struct mapping_change *change, bool with_flags)
{
    for (uint64_t i = 0; i < change->range.size; i++) {
        const struct mock_cell *cell = cell_at(table, ipa_add(change->range.start, i));

        if (change->step == MAPPING_STEP_MAP) {
            if (cell->is_mapped) {
                return false;
            }
        } else if (!cell->is_mapped || cell->cookie != self->cookie ||
                   (with_flags && cell->flags != change->old_flags)) {
            return false;
        }
    }
    return true;
}

static enum mapping_error mock_begin(void *page_table)
{
    struct mock_table *table = page_table;
    enum mapping_error answer =
        table->call_count[MOCK_BEGIN] + 1 == table->faults.begin ? MOCK_BEGIN_ERROR : MAPPING_OK;

    law(table, !table->is_open, "begin comes once");
    law(table, table->event_count == table->call_count[MOCK_ONLY], "begin comes first");
    table->is_open = answer == MAPPING_OK;
    record(table, MOCK_BEGIN, NULL, answer);
    table->held_next = table->event_count;
    return answer;
}

static enum mapping_error mock_reserve(const struct mapping_backend *self,
                                       const struct mapping_change *change, void *page_table)
{
    struct mock_table *table = page_table;
    enum mapping_error answer = table->call_count[MOCK_RESERVE] + 1 == table->faults.reserve
                                    ? MOCK_RESERVE_ERROR
                                    : MAPPING_OK;

    law(table, table->is_open, "reserve comes after begin");
    law(table, table->change_count == 0, "reserve comes before the first change");
    law(table, change->range.size != 0 && ipa_range_covers(window_of(table), change->range),
        "a piece lies in an area");
    if (table->call_count[MOCK_RESERVE] != 0) {
        law(table, follows(&table->event[table->event_count - 1], change), "pieces ascend");
    }
    if (change->step == MAPPING_STEP_MAP) {
        law(table, change->old_flags == 0, "a map has no old flags");
    } else {
        law(table, cells_are(table, self, change, true), "a piece has its area's flags");
        law(table, change->step != MAPPING_STEP_UNMAP || change->new_flags == 0,
            "an unmap has no new flags");
    }
    check_books(table);
    record(table, MOCK_RESERVE, change, answer);
    return answer;
}

static void mock_end(void *page_table, enum mapping_error outcome)
{
    struct mock_table *table = page_table;
    bool is_spent = table->held_next == table->event_count ||
                    table->event[table->held_next].call != MOCK_RESERVE;

    law(table, table->is_open, "end comes once, after begin");
    law(table, outcome != MAPPING_OK || is_spent, "what was reserved is done");
    check_books(table);
    table->is_open = false;
    record(table, MOCK_END, NULL, outcome);
}

/* A change by a backend that holds must be the next one that was reserved. */
static void check_held(struct mock_table *table, const struct mapping_change *change)
{
    const struct mock_event *held = &table->event[table->held_next];

    law(table, table->is_open, "a holding backend changes between begin and end");
    law(table,
        table->held_next < table->event_count && held->call == MOCK_RESERVE &&
            held->change.step == change->step && held->change.new_flags == change->new_flags &&
            ipa_range_eq(held->change.range, change->range),
        "changes come as they were reserved");
    table->held_next++;
}

/* What all changes have in common: judged, logged, refused if it is their turn. */
static enum mapping_error mock_change(const struct mapping_backend *self, enum mock_call call,
                                      const struct mapping_change *change, void *page_table)
{
    struct mock_table *table = page_table;
    bool is_refused = ++table->change_count == table->faults.change;

    law(table, change->range.size != 0 && ipa_range_covers(window_of(table), change->range),
        "a piece lies in an area");
    law(table, cells_are(table, self, change, false), "a piece belongs to its backend");
    if (table->change_count > 1) {
        law(table, follows(&table->event[table->event_count - 1], change), "pieces ascend");
    }
    if (mock_backend_holds(self)) {
        check_held(table, change);
    }
    check_books(table);
    record(table, call, change, is_refused ? MOCK_CHANGE_ERROR : MAPPING_OK);
    return is_refused ? MOCK_CHANGE_ERROR : MAPPING_OK;
}

static void fill(struct mock_table *table, struct ipa_range range, struct mock_cell with)
{
    for (uint64_t i = 0; i < range.size; i++) {
        *cell_at(table, ipa_add(range.start, i)) = with;
    }
}

static enum mapping_error mock_map(const struct mapping_backend *self, struct ipa_range range,
                                   mapping_flags_t flags, void *page_table)
{
    struct mapping_change change = {MAPPING_STEP_MAP, range, 0, flags};
    enum mapping_error answer = mock_change(self, MOCK_MAP, &change, page_table);

    if (answer == MAPPING_OK) {
        fill(page_table, range, (struct mock_cell){true, flags, self->cookie});
    }
    return answer;
}

static enum mapping_error mock_unmap(const struct mapping_backend *self, struct ipa_range range,
                                     void *page_table)
{
    struct mapping_change change = {MAPPING_STEP_UNMAP, range, 0, 0};
    enum mapping_error answer = mock_change(self, MOCK_UNMAP, &change, page_table);

    if (answer == MAPPING_OK) {
        fill(page_table, range, (struct mock_cell){false, 0, 0});
    }
    return answer;
}

static enum mapping_error mock_protect(const struct mapping_backend *self, struct ipa_range range,
                                       mapping_flags_t new_flags, void *page_table)
{
    struct mapping_change change = {MAPPING_STEP_PROTECT, range, 0, new_flags};
    enum mapping_error answer = mock_change(self, MOCK_PROTECT, &change, page_table);

    if (answer == MAPPING_OK) {
        fill(page_table, range, (struct mock_cell){true, new_flags, self->cookie});
    }
    return answer;
}

/* The cells that @change leaves. */
static struct mock_cell cell_after(const struct mapping_backend *self,
                                   const struct mapping_change *change)
{
    if (change->step == MAPPING_STEP_UNMAP) {
        return (struct mock_cell){false, 0, 0};
    }
    return (struct mock_cell){true, change->new_flags, self->cookie};
}

static bool mock_only(const struct mapping_backend *self, const struct mapping_change *change,
                      void *page_table)
{
    struct mock_table *table = page_table;
    const struct mock_faults *faults = &table->faults;
    const bool is_taken =
        !faults->only && faults->begin == 0 && faults->reserve == 0 && faults->change == 0;

    law(table, table->event_count == 0, "only comes before all, once");
    law(table, change->range.size != 0 && ipa_range_covers(window_of(table), change->range),
        "a piece lies in an area");
    law(table, cells_are(table, self, change, true), "a piece has its area's flags");
    law(table, change->step != MAPPING_STEP_MAP || change->old_flags == 0,
        "a map has no old flags");
    law(table, change->step != MAPPING_STEP_UNMAP || change->new_flags == 0,
        "an unmap has no new flags");
    check_books(table);
    record(table, MOCK_ONLY, change, is_taken ? MAPPING_OK : MAPPING_UNSUPPORTED);
    if (is_taken) {
        table->change_count++;
        fill(table, change->range, cell_after(self, change));
    }
    return is_taken;
}

static const struct mapping_backend_ops plain_ops = {
    .map = mock_map,
    .unmap = mock_unmap,
    .protect = mock_protect,
};

static const struct mapping_backend_ops holding_ops = {
    .map = mock_map,
    .unmap = mock_unmap,
    .protect = mock_protect,
    .begin = mock_begin,
    .reserve = mock_reserve,
    .end = mock_end,
};

static const struct mapping_backend_ops eager_ops = {
    .map = mock_map,
    .unmap = mock_unmap,
    .protect = mock_protect,
    .begin = mock_begin,
    .reserve = mock_reserve,
    .end = mock_end,
    .only = mock_only,
};

struct mapping_backend mock_backend(enum mock_kind kind, uint64_t cookie)
{
    static const struct mapping_backend_ops *const ops[MOCK_KINDS] = {&plain_ops, &holding_ops,
                                                                      &eager_ops};

    return (struct mapping_backend){ops[kind], cookie};
}

bool mock_backend_holds(const struct mapping_backend *backend)
{
    return backend->ops != &plain_ops;
}

bool mock_table_is_lawful(const struct mock_table *table, enum mapping_error outcome)
{
    size_t begun = table->call_count[MOCK_BEGIN];
    const struct mock_event *last;

    if (table->broken_law != NULL || table->is_open || begun > 1) {
        return false;
    }
    if (begun == 0) {
        return table->call_count[MOCK_END] == 0;
    }
    if (table->event[table->call_count[MOCK_ONLY]].answer != MAPPING_OK) {
        return table->event_count == table->call_count[MOCK_ONLY] + 1 &&
               outcome == MOCK_BEGIN_ERROR;
    }
    last = &table->event[table->event_count - 1];
    return table->call_count[MOCK_END] == 1 && last->call == MOCK_END && last->answer == outcome;
}

static bool agrees_with(const struct mock_cell *cell, const struct memory_area *area)
{
    if (area == NULL) {
        return !cell->is_mapped;
    }
    return cell->is_mapped && cell->flags == area->flags && cell->cookie == area->backend.cookie;
}

bool mock_table_agrees(const struct mock_table *table, const struct memory_set *set)
{
    const struct memory_area *area = memory_set_first(set);

    for (size_t i = 0; i < MOCK_CELLS; i++) {
        ipa_t addr = ipa_add(table->base, i);

        while (area != NULL && ipa_le(ipa_range_end(area->range), addr)) {
            area = memory_set_next(set, area);
        }
        if (!agrees_with(&table->cell[i],
                         area != NULL && ipa_le(area->range.start, addr) ? area : NULL)) {
            return false;
        }
    }
    return area == NULL ||
           (ipa_range_covers(window_of(table), area->range) && memory_set_next(set, area) == NULL);
}
