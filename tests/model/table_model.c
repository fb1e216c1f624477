#include "tests/model/table_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t cell_count(const struct table_model *model, const struct model_window *window)
{
    return (size_t)(window->range.size / model->rules.granule);
}

void table_model_init(struct table_model *model, const struct model_rules *rules,
                      const struct ipa_range ranges[], size_t count)
{
    *model = (struct table_model){.rules = *rules, .window_count = count};
    for (size_t i = 0; i < count; i++) {
        struct model_window *window = &model->windows[i];

        window->range = ranges[i];
        window->cells = calloc(cell_count(model, window), sizeof(*window->cells));
        if (window->cells == NULL) {
            fputs("table_model: no memory for the cells\n", stderr);
            abort();
        }
    }
}

void table_model_fini(struct table_model *model)
{
    for (size_t i = 0; i < model->window_count; i++) {
        free(model->windows[i].cells);
    }
    model->window_count = 0;
}

void table_model_clear(struct table_model *model)
{
    for (size_t i = 0; i < model->window_count; i++) {
        struct model_window *window = &model->windows[i];

        memset(window->cells, 0, cell_count(model, window) * sizeof(*window->cells));
    }
}

/* --- Cells ----------------------------------------------------------------------------------- */

/* The cell of @addr; NULL: in no window. */
static struct model_cell *cell_at(const struct table_model *model, ipa_t addr)
{
    for (size_t i = 0; i < model->window_count; i++) {
        const struct model_window *window = &model->windows[i];

        if (ipa_range_has(window->range, addr)) {
            return &window->cells[ipa_distance(window->range.start, addr) / model->rules.granule];
        }
    }
    return NULL;
}

/* The cells of @range that are in windows, as stretches. */
struct stretch {
    struct model_cell *cells;
    size_t count;
    uint64_t offset; /* of the first, from the start of the range */
};

static struct stretch stretch_of(const struct table_model *model, size_t window,
                                 struct ipa_range range)
{
    const struct model_window *here = &model->windows[window];
    struct stretch stretch = {NULL, 0, 0};

    if (ipa_range_overlaps(here->range, range)) {
        const struct ipa_range part = ipa_range_meet(here->range, range);

        stretch.cells =
            &here->cells[ipa_distance(here->range.start, part.start) / model->rules.granule];
        stretch.count = (size_t)(part.size / model->rules.granule);
        stretch.offset = ipa_distance(range.start, part.start);
    }
    return stretch;
}

struct model_cell table_model_at(const struct table_model *model, ipa_t addr)
{
    const struct model_cell *cell = cell_at(model, addr);
    struct model_cell answer = {PA_INIT(0), 0, false};

    if (cell != NULL && cell->is_mapped) {
        answer = *cell;
        answer.pa = pa_add(cell->pa, ipa_offset(addr, model->rules.granule));
    }
    return answer;
}

static bool continues(const struct model_cell *cell, const struct model_cell *next,
                      uint64_t granule)
{
    if (!cell->is_mapped || !next->is_mapped) {
        return cell->is_mapped == next->is_mapped;
    }
    return cell->flags == next->flags && pa_eq(pa_add(cell->pa, granule), next->pa);
}

uint64_t table_model_run(const struct table_model *model, ipa_t start, ipa_t end)
{
    const uint64_t granule = model->rules.granule;
    const struct model_cell *cell = cell_at(model, start);
    const uint64_t limit = ipa_distance(start, end);
    uint64_t size = granule;

    while (size < limit && continues(cell, cell + 1, granule)) {
        cell++;
        size += granule;
    }
    return size;
}

/* --- Answers --------------------------------------------------------------------------------- */

static bool is_range(const struct model_rules *rules, struct ipa_range range)
{
    const uint64_t top = UINT64_C(1) << rules->ipa_bits;

    return range.size != 0 && range.start.raw % rules->granule == 0 &&
           range.size % rules->granule == 0 && range.start.raw < top &&
           range.size <= top - range.start.raw;
}

static bool is_output(const struct model_rules *rules, pa_t pa, uint64_t size)
{
    const uint64_t top = UINT64_C(1) << rules->pa_bits;

    return pa.raw % rules->granule == 0 && pa.raw < top && size <= top - pa.raw;
}

static enum mapping_error answer_flags(const struct model_rules *rules, mapping_flags_t flags)
{
    const mapping_flags_t type = flags & S2_TYPE;
    const mapping_flags_t exec = flags & S2_EXEC;
    const bool is_device = type == S2_DEVICE_nGnRnE || type == S2_DEVICE_nGnRE ||
                           type == S2_DEVICE_nGRE || type == S2_DEVICE_GRE;

    if (flags >> 19 != 0 || (flags & S2_SHAREABILITY) == MAPPING_FIELD_PREP(S2_SHAREABILITY, 3)) {
        return MAPPING_INVALID_PARAM;
    }
    if ((type == S2_NORMAL_STAGE1 && !rules->has_fwb) || (type == S2_NORMAL_WT && rules->has_fwb) ||
        (!rules->has_xnx && (exec == S2_EXEC_EL0 || exec == S2_EXEC_EL1)) ||
        (rules->has_lpa2 && (flags & S2_SHAREABILITY) != S2_SH_INNER) ||
        (!rules->sets_dirty && (flags & S2_DBM) != 0)) {
        return MAPPING_UNSUPPORTED;
    }
    return is_device && exec != 0 ? MAPPING_DENIED : MAPPING_OK;
}

static bool is_hidden(const struct model_rules *rules, pa_t pa, uint64_t size)
{
    return pa.raw < rules->hidden.raw + rules->hidden_size && rules->hidden.raw < pa.raw + size;
}

static bool has_mapping(const struct table_model *model, struct ipa_range range)
{
    for (size_t i = 0; i < model->window_count; i++) {
        const struct stretch stretch = stretch_of(model, i, range);

        for (size_t n = 0; n < stretch.count; n++) {
            if (stretch.cells[n].is_mapped) {
                return true;
            }
        }
    }
    return false;
}

static bool is_all_mapped(const struct table_model *model, struct ipa_range range)
{
    uint64_t left = range.size / model->rules.granule;

    for (size_t i = 0; i < model->window_count; i++) {
        const struct stretch stretch = stretch_of(model, i, range);

        for (size_t n = 0; n < stretch.count; n++) {
            left -= stretch.cells[n].is_mapped ? 1 : 0;
        }
    }
    return left == 0;
}

enum mapping_error table_model_answer(const struct table_model *model,
                                      const struct model_step *step)
{
    const struct model_rules *rules = &model->rules;
    const bool takes_flags = step->verb == MODEL_MAP || step->verb == MODEL_PROTECT;
    const bool takes_pa = step->verb == MODEL_MAP || step->verb == MODEL_REPLACE;
    enum mapping_error error = MAPPING_OK;

    if (!is_range(rules, step->range) ||
        (takes_pa && !is_output(rules, step->pa, step->range.size))) {
        return MAPPING_INVALID_PARAM;
    }
    if (takes_flags) {
        error = answer_flags(rules, step->flags);
    }
    if (error != MAPPING_OK || !takes_pa) {
        return error;
    }
    if (is_hidden(rules, step->pa, step->range.size)) {
        return MAPPING_DENIED;
    }
    if (step->verb == MODEL_REPLACE) {
        return is_all_mapped(model, step->range) ? MAPPING_OK : MAPPING_NOT_FOUND;
    }
    return has_mapping(model, step->range) ? MAPPING_ALREADY_EXISTS : MAPPING_OK;
}

/* --- Changes --------------------------------------------------------------------------------- */

static void apply_to(const struct table_model *model, const struct model_step *step,
                     struct stretch stretch)
{
    for (size_t i = 0; i < stretch.count; i++) {
        const uint64_t offset = stretch.offset + i * model->rules.granule;
        struct model_cell *cell = &stretch.cells[i];

        if (step->verb == MODEL_MAP) {
            *cell =
                (struct model_cell){pa_add(step->pa, offset), step->flags & ~S2_BUILD_FLAGS, true};
        } else if (step->verb == MODEL_REPLACE) {
            cell->pa = pa_add(step->pa, offset);
        } else if (step->verb == MODEL_UNMAP) {
            *cell = (struct model_cell){PA_INIT(0), 0, false};
        } else if (cell->is_mapped) {
            cell->flags = step->flags & ~S2_BUILD_FLAGS;
        }
    }
}

/* The flags that stand for bits which the hardware may set in a leaf with @flags. */
static mapping_flags_t hardware_flags(const struct model_rules *rules, mapping_flags_t flags)
{
    return (rules->sets_af ? S2_NO_AF : 0) |
           (rules->sets_dirty && (flags & S2_DBM) != 0 ? S2_WRITE : 0);
}

/* Whether @count cells from @first on are one leaf's, but for what the hardware may have set. */
static bool is_uniform(const struct table_model *model, const struct model_cell *first,
                       size_t count)
{
    const mapping_flags_t ignored = hardware_flags(&model->rules, first->flags);

    if (!first->is_mapped || first->pa.raw % (count * model->rules.granule) != 0) {
        return false;
    }
    for (size_t i = 1; i < count; i++) {
        if (!first[i].is_mapped || first[i].pa.raw != first->pa.raw + i * model->rules.granule ||
            ((first[i].flags ^ first->flags) & ~ignored) != 0) {
            return false;
        }
    }
    return true;
}

/* Accessed and dirty are the OR over a leaf's cells: S2_NO_AF is there if all have it. */
static void merge_hardware(const struct table_model *model, struct model_cell *first, size_t count)
{
    const mapping_flags_t hardware = hardware_flags(&model->rules, first->flags);
    mapping_flags_t any = 0;
    mapping_flags_t all = ~UINT64_C(0);

    for (size_t i = 0; i < count; i++) {
        any |= first[i].flags;
        all &= first[i].flags;
    }
    for (size_t i = 0; i < count; i++) {
        first[i].flags =
            (first->flags & ~hardware) | (any & hardware & S2_WRITE) | (all & hardware & S2_NO_AF);
    }
}

/* The cells of the stretch of @size that @addr lies in, if it is all in one window; else NULL. */
static struct model_cell *block_at(const struct table_model *model, ipa_t addr, uint64_t size)
{
    const ipa_t start = ipa_align_down(addr, size);

    for (size_t i = 0; i < model->window_count; i++) {
        const struct ipa_range window = model->windows[i].range;

        if (ipa_range_has(window, start) && ipa_range_has(window, ipa_add(start, size - 1))) {
            return cell_at(model, start);
        }
    }
    return NULL;
}

static void fold(const struct table_model *model, struct ipa_range range, uint64_t block)
{
    const size_t count = (size_t)(block / model->rules.granule);
    const ipa_t end = ipa_range_end(range);
    ipa_t at = range.start;

    if (!ipa_align_up(at, block, &at)) {
        return;
    }
    for (; ipa_le(at, end) && ipa_distance(at, end) >= block; at = ipa_add(at, block)) {
        struct model_cell *first = block_at(model, at, block);

        if (first != NULL && is_uniform(model, first, count)) {
            merge_hardware(model, first, count);
        }
    }
}

static void fold_windows(const struct table_model *model, struct ipa_range range)
{
    for (size_t i = 0; i < model->window_count; i++) {
        const struct ipa_range window = model->windows[i].range;

        for (size_t size = 0; size < TABLE_MODEL_BLOCKS; size++) {
            if (model->rules.blocks[size] != 0 && ipa_range_overlaps(window, range)) {
                fold(model, ipa_range_meet(window, range), model->rules.blocks[size]);
            }
        }
    }
}

void table_model_apply(struct table_model *model, const struct model_step *step)
{
    if (step->verb == MODEL_FOLD) {
        fold_windows(model, step->range);
        return;
    }
    for (size_t i = 0; i < model->window_count; i++) {
        apply_to(model, step, stretch_of(model, i, step->range));
    }
}

bool table_model_is_block(const struct table_model *model, ipa_t addr, uint64_t size)
{
    const struct model_cell *first = block_at(model, addr, size);

    return first != NULL && is_uniform(model, first, (size_t)(size / model->rules.granule));
}
