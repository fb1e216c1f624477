/*
 * test_table_model.c - long random sequences on tables, against a model that has none.
 *
 * TRESTLE_MODEL_OPS sets how many operations in all, TRESTLE_SEED where they start; both are
 * printed. A failure names the machine and the operation's number, so that the same seed leads
 * there again. Every answer is predicted, MAPPING_NO_FRAME too: the tables that a step needs are
 * counted here from what the software MMU sees.
 */
#include "tests/unit/table_run.h"
#include "tests/unit/test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SUITE "table_model"
#undef SECONDS
#define SECONDS 300

#define DEFAULT_OPS 40000 /* `make exhaustive`: 100000 */
#define DEFAULT_SEED 20240521
#define OPS_PER_ROUND 400
#define OPS_PER_CHECK \
    4 /* s2_table_check() is called this often: what is unsound stays so a while */
#define OPS_PER_SWEEP 200 /* every granule of all windows is looked at this often */
#define MAX_RUNS 16384
#define SAMPLES 6

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text == NULL || *text == '\0' ? otherwise : strtoull(text, NULL, 0);
}

static void require(const struct run *run, bool condition, ipa_t addr, const char *what)
{
    if (!condition) {
        ck_abort_msg("%s: operation %" PRIu64 ": IPA 0x%" PRIx64 ": %s", run->shape->name, run->op,
                     addr.raw, what);
    }
}

/* --- The machine ----------------------------------------------------------------------------- */

static void start_model(struct run *run)
{
    const struct machine *machine = run->machine;
    const struct model_rules rules = {
        .granule = rig_page(run->shape),
        .blocks = {machine->blocks[0], machine->blocks[1]},
        .ipa_bits = run->shape->ipa_bits,
        .pa_bits = run->shape->pa_bits,
        .has_fwb = !machine->is_old,
        .has_xnx = !machine->is_old,
        .has_lpa2 = run->shape->pa_bits == 52 && run->shape->granule != S2_GRANULE_64K,
        .sets_af = machine->updates,
        .sets_dirty = machine->updates,
        .hidden_size = run->shape->root_size,
    };

    table_model_init(&run->model, &rules, machine->windows, machine->window_count);
}

static void start_round(struct run *run)
{
    struct rig_setup setup = rig_setup_of(run->shape);

    setup.frame_count = run->machine->frames;
    if (run->machine->is_old) {
        setup.cpu.has_fwb = false;
        setup.cpu.has_xnx = false;
        setup.cpu.vmid_bits = 8;
    }
    setup.config.contiguous = run->machine->hints ? S2_CONTIGUOUS_ON : S2_CONTIGUOUS_OFF;
    if (run->machine->updates) {
        setup.config.hardware_update = S2_HARDWARE_UPDATE_DIRTY;
    }
    rig_init(&run->rig, setup);
    sim_set_log(SIM_LOG_COUNT);
    run->mmu = rig_mmu(&run->rig, &run->rig.table);
    table_model_clear(&run->model);
    run->model.rules.hidden = pa_of(mmu_root_pa(&run->mmu));
}

/* --- Doing ----------------------------------------------------------------------------------- */

/* Whether this operation's unmaps have made room for @step. */
static bool is_replacing(const struct run *run, const struct model_step *step)
{
    return run->step_count > 1 && step->verb == MODEL_MAP && run->steps[0].verb == MODEL_UNMAP;
}

static enum mapping_error predict(const struct run *run)
{
    const size_t available = frame_pool_available(&run->rig.pool);
    size_t tables = 0;

    for (size_t i = 0; i < run->step_count; i++) {
        const struct model_step *step = &run->steps[i];
        enum mapping_error error = table_model_answer(&run->model, step);

        if (error == MAPPING_ALREADY_EXISTS && is_replacing(run, step) && !run->is_partial) {
            error = MAPPING_OK;
        }
        if (error != MAPPING_OK) {
            return error;
        }
        tables += run_tables_for(run, step);
        if (tables > available) {
            return MAPPING_NO_FRAME;
        }
    }
    return MAPPING_OK;
}

/* @step, which is no fold, as the table knows it. */
static struct s2_request request_of(const struct model_step *step)
{
    static const enum s2_verb verbs[] = {[MODEL_MAP] = S2_VERB_MAP,
                                         [MODEL_UNMAP] = S2_VERB_UNMAP,
                                         [MODEL_PROTECT] = S2_VERB_PROTECT,
                                         [MODEL_REPLACE] = S2_VERB_REPLACE};

    return (struct s2_request){verbs[step->verb], step->range, step->pa, step->flags};
}

/* s2_table_frames_needed() answers for one step what the model says, and as many frames. */
static void ask_first(const struct run *run)
{
    const struct model_step *step = &run->steps[0];
    const enum mapping_error predicted = table_model_answer(&run->model, step);
    struct s2_request request;
    size_t frames = SIZE_MAX;

    if (step->verb == MODEL_FOLD) {
        return;
    }
    request = request_of(step);
    require(run, s2_table_frames_needed(&run->rig.table, &request, &frames) == predicted,
            step->range.start, "s2_table_frames_needed() answers otherwise");
    require(run, frames == (predicted == MAPPING_OK ? run_tables_for(run, step) : SIZE_MAX),
            step->range.start, "another number of frames is needed");
}

static enum mapping_error call(struct s2_table *table, const struct model_step *step)
{
    switch (step->verb) {
    case MODEL_MAP:
        return s2_table_map(table, step->range, step->pa, step->flags);
    case MODEL_UNMAP:
        return s2_table_unmap(table, step->range);
    case MODEL_PROTECT:
        return s2_table_protect(table, step->range, step->flags);
    case MODEL_REPLACE:
        return s2_table_replace(table, step->range, step->pa);
    case MODEL_FOLD:
        return s2_table_fold(table, step->range);
    }
    return MAPPING_BAD_STATE;
}

static enum mapping_error perform(struct run *run)
{
    struct s2_table *table = &run->rig.table;
    enum mapping_error error = MAPPING_OK;

    if (!run->is_open) {
        return call(table, &run->steps[0]);
    }
    s2_table_begin(table);
    for (size_t i = 0; i < run->step_count && error == MAPPING_OK; i++) {
        const struct s2_request request = request_of(&run->steps[i]);

        error = s2_table_hold(table, &request);
    }
    for (size_t i = 0; i < run->step_count && error == MAPPING_OK; i++) {
        const struct s2_request request = request_of(&run->steps[i]);

        s2_table_do(table, &request);
    }
    s2_table_end(table);
    return error;
}

/* --- Looking --------------------------------------------------------------------------------- */

static void look_at(const struct run *run, ipa_t addr)
{
    const struct model_cell cell = table_model_at(&run->model, addr);
    const struct mmu_result found = run_walk(run, addr);

    require(run, cell.is_mapped == found.has_leaf, addr,
            cell.is_mapped ? "a hole, says the MMU" : "a leaf, says the MMU");
    if (cell.is_mapped) {
        rig_assert_leaf(&run->rig, &run->rig.table, addr.raw, cell.pa.raw, found.level, cell.flags);
    } else {
        rig_assert_hole(&run->rig, &run->rig.table, addr.raw);
    }
}

/* The leaf at @addr is the largest that the map or fold of @step allows. */
static void look_at_size(struct run *run, const struct model_step *step, ipa_t addr)
{
    int level = 2;

    while (level >= run->shape->top_leaf) {
        const uint64_t size = run_span(run, level);
        const struct ipa_range entry = {ipa_align_down(addr, size), size};
        const bool fits = step->verb == MODEL_MAP
                              ? run_is_leaf(run, step, entry, level)
                              : ipa_range_covers(step->range, entry) &&
                                    table_model_is_block(&run->model, addr, size);

        if (fits) {
            require(run, run_walk(run, addr).leaf_size >= size, addr, "a larger leaf would fit");
            run->blocks_made += step->verb == MODEL_MAP ? 1 : 0;
            run->blocks_folded += step->verb == MODEL_FOLD ? 1 : 0;
        } else if (step->verb == MODEL_MAP) {
            require(run, run_walk(run, addr).leaf_size < size, addr, "the leaf is too large");
        }
        level--;
    }
}

static void look_around(struct run *run, const struct model_step *step)
{
    const uint64_t page = rig_page(run->shape);
    const uint64_t pages = step->range.size / page;
    const ipa_t top = ipa_of(UINT64_C(1) << run->shape->ipa_bits);
    const ipa_t end = ipa_range_end(step->range);
    const bool sizes = step->verb == MODEL_MAP || step->verb == MODEL_FOLD;

    if (step->range.start.raw > 0) {
        look_at(run, ipa_of(step->range.start.raw - 1));
    }
    if (ipa_lt(end, top)) {
        look_at(run, end);
    }
    for (size_t i = 0; i < SAMPLES; i++) {
        const uint64_t nth = i < 2 ? i * (pages - 1) : random_below(&run->random, pages);
        const ipa_t addr =
            ipa_add(step->range.start, nth * page + 8 * random_below(&run->random, page / 8));

        look_at(run, addr);
        run->runs_seen += run_walk(run, addr).contiguous ? 1 : 0;
        if (sizes) {
            look_at_size(run, step, addr);
        }
    }
}

/* Every granule, and every entry of every table. */
static void look_everywhere(const struct run *run)
{
    static struct rig_map maps[MAX_RUNS];
    size_t count = 0;

    for (size_t i = 0; i < run->model.window_count; i++) {
        const struct ipa_range window = run->model.windows[i].range;
        ipa_t at = window.start;

        while (ipa_lt(at, ipa_range_end(window))) {
            const struct model_cell cell = table_model_at(&run->model, at);
            const uint64_t size = table_model_run(&run->model, at, ipa_range_end(window));

            if (cell.is_mapped) {
                require(run, count < MAX_RUNS, at, "more runs than the test has room for");
                maps[count] = (struct rig_map){at.raw, size, cell.pa.raw, cell.flags};
                count++;
            }
            at = ipa_add(at, size);
        }
    }
    rig_assert_maps(&run->rig, &run->rig.table, maps, count);
}

/* Sound, and every frame is the table's, taken away by the test, or free. */
static void look_at_frames(const struct run *run)
{
    const struct rig *rig = &run->rig;

    require(run, run->op % OPS_PER_CHECK != 0 || s2_table_check(&rig->table), ipa_of(0),
            "s2_table_check() finds a fault");
    require(run, frame_pool_check(&rig->pool), ipa_of(0), "frame_pool_check() finds a fault");
    require(run,
            s2_table_frame_count(&rig->table) + rig->ballast_count +
                    frame_pool_available(&rig->pool) ==
                rig->setup.frame_count,
            ipa_of(0), "frames are missing");
}

/* --- Running --------------------------------------------------------------------------------- */

static void try_operation(struct run *run)
{
    const enum mapping_error predicted = predict(run);
    struct rig_snapshot before = {0};
    enum mapping_error answer;

    ask_first(run);
    rig_poison_free(&run->rig);
    if (predicted != MAPPING_OK) {
        rig_snapshot_take(&before, &run->rig);
    }
    answer = perform(run);
    if (answer != predicted) {
        ck_abort_msg("%s: operation %" PRIu64 " (%zu steps, verb %d, IPA 0x%" PRIx64
                     ", size 0x%" PRIx64 ", PA 0x%" PRIx64 ") answers %s, the model says %s",
                     run->shape->name, run->op, run->step_count, (int)run->steps[0].verb,
                     run->steps[0].range.start.raw, run->steps[0].range.size, run->steps[0].pa.raw,
                     mapping_error_name(answer), mapping_error_name(predicted));
    }
    run->answered[answer]++;
    if (answer != MAPPING_OK) {
        rig_snapshot_assert_same(&before, &run->rig);
        rig_snapshot_free(&before);
        return;
    }
    for (size_t i = 0; i < run->step_count; i++) {
        table_model_apply(&run->model, &run->steps[i]);
    }
    look_at_frames(run);
    look_around(run, &run->steps[run->step_count - 1]);
    look_around(run, &run->steps[0]);
}

static void try_anything(struct run *run)
{
    run_choose(run);
    if (random_once_in(&run->random, 4)) {
        rig_leave(&run->rig, mapping_u64_min(random_below(&run->random, 6),
                                             frame_pool_available(&run->rig.pool)));
    }
    try_operation(run);
    rig_leave(&run->rig, frame_pool_available(&run->rig.pool) + run->rig.ballast_count);
}

/* A run that never met a refusal, or never saw a block, would prove little. */
static void require_variety(const struct run *run, uint64_t ops)
{
    static const unsigned one_in[] = {[MAPPING_OK] = 3,          [MAPPING_ALREADY_EXISTS] = 100,
                                      [MAPPING_NO_FRAME] = 200,  [MAPPING_INVALID_PARAM] = 200,
                                      [MAPPING_DENIED] = 1000,   [MAPPING_UNSUPPORTED] = 1000,
                                      [MAPPING_NOT_FOUND] = 1000};

    for (size_t i = 0; i < COUNT(one_in); i++) {
        ck_assert_msg(one_in[i] == 0 || run->answered[i] > ops / one_in[i], "too few answers %s",
                      mapping_error_name((enum mapping_error)i));
    }
    ck_assert_uint_gt(run->blocks_made, ops / 100);
    ck_assert_uint_gt(run->blocks_folded, ops / 1000);
    if (run->machine->hints) {
        ck_assert_uint_gt(run->runs_seen, ops / 10);
    } else {
        ck_assert_uint_eq(run->runs_seen, 0);
    }
}

TEST_EACH(change_at_random_agrees_with_model_and_mmu, machine_count)
{
    static struct run run;
    const struct machine *machine = &machines[_i];
    const uint64_t all = from_environment("TRESTLE_MODEL_OPS", DEFAULT_OPS);
    const uint64_t seed = from_environment("TRESTLE_SEED", DEFAULT_SEED);
    const uint64_t ops = all * machine->share / 100;

    run = (struct run){.machine = machine, .shape = &rig_shapes[machine->shape]};
    run.random.state = seed + (uint64_t)_i;
    printf("table_model: %s: %" PRIu64 " of TRESTLE_MODEL_OPS=%" PRIu64 " TRESTLE_SEED=%" PRIu64
           "\n",
           run.shape->name, ops, all, seed);
    fflush(stdout);
    start_model(&run);
    start_round(&run);
    for (run.op = 1; run.op <= ops; run.op++) {
        try_anything(&run);
        if (run.op % OPS_PER_SWEEP == 0) {
            look_everywhere(&run);
        }
        if (run.op % OPS_PER_ROUND == 0) {
            rig_fini(&run.rig);
            start_round(&run);
        }
    }
    look_everywhere(&run);
    rig_fini(&run.rig);
    table_model_fini(&run.model);
    if (ops >= 2000) {
        require_variety(&run, ops);
    }
}
