/*
 * set_model.c - see set_model.h.
 */
#include "tests/model/set_model.h"

#include <string.h>

/* A step of an operation: cells [first, end) of one area, or of the one to be mapped. */
struct piece {
    size_t first;
    size_t end;
    enum mapping_step step;
    struct model_cell value; /* MAP, PROTECT: what the cells become, but for the number */
    struct mapping_backend backend;
};

struct plan {
    size_t count;
    struct piece piece[MODEL_CELLS + 1];
};

bool model_update(mapping_flags_t old_flags, void *arg, mapping_flags_t *new_flags)
{
    const struct model_update *update = arg;

    if ((old_flags & update->mask) != update->match) {
        return false;
    }
    *new_flags = (old_flags & ~update->clear) | update->set;
    return true;
}

void set_model_init(struct set_model *model, ipa_t base, size_t capacity)
{
    memset(model, 0, sizeof(*model));
    model->base = base;
    model->capacity = capacity;
}

/* The cell of @addr, or the nearest border of the window. */
static size_t cell_index(const struct set_model *model, ipa_t addr)
{
    uint64_t distance;

    if (ipa_lt(addr, model->base)) {
        return 0;
    }
    distance = ipa_distance(model->base, addr);
    return distance < MODEL_CELLS ? (size_t)distance : MODEL_CELLS;
}

static bool continues(const struct set_model *model, size_t i)
{
    return i > 0 && i < MODEL_CELLS && model->cell[i].area_id == model->cell[i - 1].area_id;
}

/* Where the area of cell @i ends. */
static size_t area_end(const struct set_model *model, size_t i)
{
    do {
        i++;
    } while (continues(model, i));
    return i;
}

size_t set_model_len(const struct set_model *model)
{
    size_t count = 0;

    for (size_t i = 0; i < MODEL_CELLS; i++) {
        count += model->cell[i].area_id != 0 && !continues(model, i) ? 1 : 0;
    }
    return count;
}

/* The parts of areas in cells [first, end). */
static void plan_areas(const struct set_model *model, size_t first, size_t end,
                       enum mapping_step step, struct plan *plan)
{
    plan->count = 0;
    for (size_t i = first; i < end;) {
        size_t stop = area_end(model, i);

        stop = stop < end ? stop : end;
        if (model->cell[i].area_id != 0) {
            plan->piece[plan->count++] =
                (struct piece){i, stop, step, model->cell[i], model->cell[i].backend};
        }
        i = stop;
    }
}

static void apply(struct set_model *model, const struct piece *piece)
{
    struct model_cell value = piece->value;

    if (piece->step == MAPPING_STEP_PROTECT && value.flags == model->cell[piece->first].flags) {
        return; /* the area is as it was, and one as before */
    }
    value.area_id = ++model->last_id;
    if (piece->step == MAPPING_STEP_UNMAP) {
        memset(&value, 0, sizeof(value));
    }
    for (size_t i = piece->first; i < piece->end; i++) {
        model->cell[i] = value;
    }
}

/* Whether there is room for the areas after every single piece. */
static bool has_room(const struct set_model *model, const struct plan *plan)
{
    struct set_model trial = *model;

    for (size_t i = 0; i < plan->count; i++) {
        apply(&trial, &plan->piece[i]);
        if (set_model_len(&trial) > model->capacity) {
            return false;
        }
    }
    return true;
}

static enum mapping_error execute(struct set_model *model, const struct plan *plan,
                                  struct mock_faults faults)
{
    size_t holding = 0;

    if (!has_room(model, plan)) {
        return MAPPING_NO_NODE;
    }
    for (size_t i = 0; i < plan->count; i++) {
        holding += mock_backend_holds(&plan->piece[i].backend) ? 1 : 0;
    }
    if (holding != 0 && faults.begin == 1) {
        return MOCK_BEGIN_ERROR;
    }
    if (faults.reserve != 0 && faults.reserve <= holding) {
        return MOCK_RESERVE_ERROR;
    }
    for (size_t i = 0; i < plan->count; i++) {
        if (faults.change == i + 1) {
            return i == 0 ? MOCK_CHANGE_ERROR : MAPPING_BAD_STATE;
        }
        apply(model, &plan->piece[i]);
    }
    return MAPPING_OK;
}

enum mapping_error set_model_map(struct set_model *model, const struct memory_area *area,
                                 enum overlap_policy policy, struct mock_faults faults)
{
    struct plan plan;
    size_t first = cell_index(model, area->range.start);
    size_t end = cell_index(model, ipa_range_end(area->range));

    plan_areas(model, first, end, MAPPING_STEP_UNMAP, &plan);
    if (plan.count != 0 && policy == OVERLAP_REJECT) {
        return MAPPING_ALREADY_EXISTS;
    }
    plan.piece[plan.count++] = (struct piece){
        first, end, MAPPING_STEP_MAP, {0, area->flags, area->backend, area->tag}, area->backend};
    return execute(model, &plan, faults);
}

enum mapping_error set_model_unmap(struct set_model *model, struct ipa_range range,
                                   struct mock_faults faults)
{
    struct plan plan;

    plan_areas(model, cell_index(model, range.start), cell_index(model, ipa_range_end(range)),
               MAPPING_STEP_UNMAP, &plan);
    return execute(model, &plan, faults);
}

enum mapping_error set_model_protect(struct set_model *model, struct ipa_range range,
                                     struct model_update update, struct mock_faults faults)
{
    struct plan all;
    struct plan chosen = {.count = 0};

    plan_areas(model, cell_index(model, range.start), cell_index(model, ipa_range_end(range)),
               MAPPING_STEP_PROTECT, &all);
    for (size_t i = 0; i < all.count; i++) {
        mapping_flags_t *flags = &all.piece[i].value.flags;

        if (model_update(*flags, &update, flags)) {
            chosen.piece[chosen.count++] = all.piece[i];
        }
    }
    return execute(model, &chosen, faults);
}

static bool is_alike(const struct model_cell *a, const struct model_cell *b)
{
    return a->flags == b->flags && a->tag == b->tag && a->backend.ops == b->backend.ops &&
           a->backend.cookie == b->backend.cookie;
}

/* Give the area before cell @border and the one after it one number. */
static void join_at(struct set_model *model, size_t border)
{
    size_t first = border - 1;
    size_t end = area_end(model, border);
    uint64_t id = ++model->last_id;

    while (continues(model, first)) {
        first--;
    }
    for (size_t i = first; i < end; i++) {
        model->cell[i].area_id = id;
    }
}

void set_model_merge(struct set_model *model, struct ipa_range range)
{
    size_t first = cell_index(model, range.start);
    size_t end = cell_index(model, ipa_range_end(range));

    for (size_t i = first; i <= end && i < MODEL_CELLS; i++) {
        const struct model_cell *cell = &model->cell[i];

        if (i > 0 && cell->area_id != 0 && cell[-1].area_id != 0 && !continues(model, i) &&
            is_alike(cell - 1, cell)) {
            join_at(model, i);
        }
    }
}

static bool is_free(const struct set_model *model, ipa_t addr)
{
    size_t i = cell_index(model, addr);

    return ipa_lt(addr, model->base) || i == MODEL_CELLS || model->cell[i].area_id == 0;
}

enum mapping_error set_model_find_free(const struct set_model *model, ipa_t hint, uint64_t size,
                                       uint64_t align, struct ipa_range limit, ipa_t *start)
{
    uint64_t free_bytes = 0; /* from the address looked at upwards */
    bool is_above = false;
    bool is_found = false;

    /* Downwards, so that the last place seen is the lowest; below the hint only if none is above */
    for (uint64_t i = limit.size; i > 0; i--) {
        ipa_t addr = ipa_add(limit.start, i - 1);

        free_bytes = is_free(model, addr) ? free_bytes + 1 : 0;
        if (free_bytes < size || !ipa_is_aligned(addr, align)) {
            continue;
        }
        if (ipa_le(hint, addr) || !is_above) {
            is_above = ipa_le(hint, addr);
            is_found = true;
            *start = addr;
        }
    }
    return is_found ? MAPPING_OK : MAPPING_NOT_FOUND;
}

static bool area_is(const struct set_model *model, const struct memory_area *area, size_t first,
                    size_t end)
{
    struct model_cell listed = {0, area->flags, area->backend, area->tag};
    struct ipa_range range =
        ipa_range_between(ipa_add(model->base, first), ipa_add(model->base, end));

    return ipa_range_eq(area->range, range) && is_alike(&listed, &model->cell[first]);
}

static bool queries_agree(const struct set_model *model, const struct memory_set *set, size_t first,
                          size_t end, const struct memory_area *area)
{
    ipa_t start = ipa_add(model->base, first);
    ipa_t last = ipa_add(model->base, end - 1);

    return memory_set_find(set, start) == area && memory_set_find(set, last) == area &&
           memory_set_overlaps(set, ipa_range_between(start, ipa_add(model->base, end))) ==
               (area != NULL);
}

bool set_model_agrees(const struct set_model *model, const struct memory_set *set)
{
    const struct memory_area *next = memory_set_first(set);

    for (size_t i = 0; i < MODEL_CELLS;) {
        size_t end = area_end(model, i);
        const struct memory_area *area = NULL;

        if (model->cell[i].area_id != 0) {
            area = next;
            if (area == NULL || !area_is(model, area, i, end)) {
                return false;
            }
            next = memory_set_next(set, area);
        }
        if (!queries_agree(model, set, i, end, area)) {
            return false;
        }
        i = end;
    }
    return next == NULL && memory_set_len(set) == set_model_len(model) &&
           memory_set_is_empty(set) == (set_model_len(model) == 0);
}
