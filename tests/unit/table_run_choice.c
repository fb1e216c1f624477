#include "tests/unit/table_run.h"
#include "tests/unit/test.h"

#include <string.h>

const struct machine machines[] = {
    {.shape = 0, /* 4K, 40 bits: two tables at level 1 meet at 512 GiB */
     .share = 50,
     .frames = 40,
     .is_old = true,
     .hints = true,
     .blocks = {MIB(2), GIB(1)},
     .windows = {IPA_RANGE_INIT(0, MIB(6)), IPA_RANGE_INIT(GIB(1) - MIB(2), GIB(2) + MIB(4)),
                 IPA_RANGE_INIT(GIB(512) - MIB(4), MIB(8)),
                 IPA_RANGE_INIT(TIB(1) - MIB(6), MIB(6))},
     .window_count = 4,
     .anchors = {RIG_DATA, GIB(128), TIB(1) - GIB(1)}},
    {.shape = 2, /* 16K, 48 bits: two tables at level 1 meet at 128 TiB */
     .share = 15,
     .frames = 28,
     .updates = true,
     .blocks = {MIB(32), 0},
     .windows = {IPA_RANGE_INIT(0, MIB(96)), IPA_RANGE_INIT(GIB(64) - MIB(64), MIB(128)),
                 IPA_RANGE_INIT(TIB(128) - MIB(64), MIB(128)),
                 IPA_RANGE_INIT(TIB(256) - MIB(96), MIB(96))},
     .window_count = 4,
     .anchors = {RIG_DATA, GIB(128), TIB(256) - MIB(64)}},
    {.shape = 6, /* 64K, 52 bits: OA[51:48] lie in [15:12] */
     .share = 5,
     .frames = 14,
     .hints = true,
     .blocks = {MIB(512), 0},
     .windows = {IPA_RANGE_INIT(0, GIB(1)), IPA_RANGE_INIT(TIB(4) - MIB(512), GIB(1)),
                 IPA_RANGE_INIT(TIB(4096) - GIB(1), GIB(1))},
     .window_count = 3,
     .anchors = {RIG_DATA, TIB(256) - MIB(512), TIB(1024) - MIB(512)}},
    {.shape = 4, /* 4K, LPA2: 16 tables at level 0, two of them meet at 256 TiB */
     .share = 30,
     .frames = 40,
     .blocks = {MIB(2), GIB(1)},
     .windows = {IPA_RANGE_INIT(0, MIB(6)), IPA_RANGE_INIT(GIB(512) - MIB(4), MIB(8)),
                 IPA_RANGE_INIT(TIB(256) - GIB(1) - MIB(2), GIB(1) + MIB(6)),
                 IPA_RANGE_INIT(TIB(4096) - MIB(6), MIB(6))},
     .window_count = 4,
     .anchors = {RIG_DATA, TIB(256) - GIB(1), TIB(1024) - GIB(1)}},
};

const int machine_count = (int)COUNT(machines);

static const struct model_window *some_window(struct run *run)
{
    const struct model_window *window =
        &run->model.windows[random_below(&run->random, run->model.window_count)];

    /* A window of a whole large block is a hundred times as long as the others: seldom that. */
    if (window->range.size >= GIB(1) && rig_page(run->shape) == KIB(4) &&
        !random_once_in(&run->random, 8)) {
        window = &run->model.windows[0];
    }
    return window;
}

/* A stretch of a window: around the border of a block, of whole blocks, or any. */
static struct ipa_range some_part(struct run *run, const struct model_window *window)
{
    const uint64_t page = rig_page(run->shape);
    const uint64_t block = run->machine->blocks[0];
    const uint64_t pages = window->range.size / page;
    const uint64_t blocks = window->range.size / block;
    uint64_t first = random_below(&run->random, pages);
    uint64_t count = 1 + random_below(&run->random, pages - first);

    if (random_once_in(&run->random, 3)) {
        first = random_below(&run->random, blocks) * (block / page);
        count = 1 + random_below(&run->random, (pages - first) / (block / page)) * (block / page);
        count += random_once_in(&run->random, 3) ? 0 : block / page - 1;
    } else if (random_once_in(&run->random, 2)) {
        first = random_below(&run->random, blocks) * (block / page) + random_below(&run->random, 8);
        count = 1 + random_below(&run->random, 24);
    } else if (random_once_in(&run->random, 12)) {
        first = 0;
        count = pages;
    }
    return ipa_range(window->range.start.raw + first * page,
                     mapping_u64_min(count, pages - first) * page);
}

/* Now and then a range that no verb takes. */
static struct ipa_range spoil(struct run *run, struct ipa_range range)
{
    const uint64_t top = UINT64_C(1) << run->shape->ipa_bits;

    switch (random_below(&run->random, 5)) {
    case 0:
        return ipa_range(range.start.raw, 0);
    case 1:
        return ipa_range(range.start.raw + rig_page(run->shape) / 2, range.size);
    case 2:
        return ipa_range(range.start.raw, range.size + 8);
    case 3:
        return ipa_range(top - range.size, range.size + rig_page(run->shape));
    default:
        return ipa_range(top, range.size);
    }
}

/* The first hole in @range, if it has one: so that not every map is refused. */
static struct ipa_range hole_of(const struct run *run, struct ipa_range range)
{
    const ipa_t end = ipa_range_end(range);
    ipa_t at = range.start;

    while (ipa_lt(at, end)) {
        const uint64_t size = table_model_run(&run->model, at, end);

        if (!table_model_at(&run->model, at).is_mapped) {
            return (struct ipa_range){at, size};
        }
        at = ipa_add(at, size);
    }
    return range;
}

/* The first part of @range that is mapped without a hole, if it has one. */
static struct ipa_range mapped_of(const struct run *run, struct ipa_range range)
{
    const ipa_t end = ipa_range_end(range);
    ipa_t start = range.start, at;

    while (ipa_lt(start, end) && !table_model_at(&run->model, start).is_mapped) {
        start = ipa_add(start, table_model_run(&run->model, start, end));
    }
    at = start;
    while (ipa_lt(at, end) && table_model_at(&run->model, at).is_mapped) {
        at = ipa_add(at, table_model_run(&run->model, at, end));
    }
    return ipa_lt(start, at) ? ipa_range_between(start, at) : range;
}

/* Mostly one of few, so that neighbours are often alike and fold. */
static mapping_flags_t some_flags(struct run *run)
{
    static const mapping_flags_t usual[] = {RIG_RWX, RIG_RW, RIG_RWX | S2_SOFT0,
                                            S2_READ | S2_NORMAL_NC};
    mapping_flags_t flags =
        usual[random_below(&run->random, run->machine->updates ? 2 : COUNT(usual))];

    if (random_once_in(&run->random, 6)) {
        flags = random_below(&run->random, 16) |
                MAPPING_FIELD_PREP(S2_TYPE, random_below(&run->random, 9)) |
                (random_once_in(&run->random, 4) ? S2_SOFT1 | S2_SOFT3 : 0) |
                MAPPING_FIELD_PREP(S2_SHAREABILITY, random_below(&run->random, 40) / 13);
    }
    flags |= random_once_in(&run->random, run->machine->updates ? 2 : 8) ? S2_NO_AF : 0;
    flags |= random_once_in(&run->random, run->machine->updates ? 3 : 60) ? S2_DBM : 0;
    flags |=
        random_once_in(&run->random, 200) ? MAPPING_BIT(19 + random_below(&run->random, 45)) : 0;
    flags |= random_once_in(&run->random, 8) ? S2_NO_CONTIGUOUS : 0;
    flags |= random_once_in(&run->random, 6)
                 ? MAPPING_FIELD_PREP(S2_CAP, random_below(&run->random, 4))
                 : 0;
    return flags;
}

/* Mostly congruent to the IPA, modulo the largest block. */
static pa_t some_pa(struct run *run, const struct model_window *window, struct ipa_range range)
{
    const uint64_t page = rig_page(run->shape);
    const uint64_t large = mapping_u64_max(run->machine->blocks[0], run->machine->blocks[1]);
    const ipa_t origin = ipa_align_down(window->range.start, large);
    const size_t anchor =
        random_once_in(&run->random, 6) ? random_below(&run->random, RUN_ANCHORS) : 0;
    pa_t pa = pa_of(run->machine->anchors[anchor] + (range.start.raw - origin.raw));

    if (random_once_in(&run->random, 4)) {
        pa = pa_add(pa, random_once_in(&run->random, 2) ? run->machine->blocks[0]
                                                        : page * random_below(&run->random, 3));
    }
    if (random_once_in(&run->random, 60)) {
        pa = pa_of(pa.raw | random_below(&run->random, page));
    } else if (random_once_in(&run->random, 60)) {
        pa = pa_add(run->model.rules.hidden, run->shape->root_size - page);
    }
    return pa;
}

static struct model_step some_step(struct run *run)
{
    const struct model_window *window = some_window(run);
    const uint64_t dice = random_below(&run->random, 100);
    struct model_step step = {.range = some_part(run, window), .flags = some_flags(run)};

    step.verb = dice < 45 ? MODEL_MAP : dice < 67 ? MODEL_UNMAP : MODEL_PROTECT;
    if (dice >= 82) {
        step.verb = dice < 91 ? MODEL_REPLACE : MODEL_FOLD;
    }
    if (step.verb == MODEL_REPLACE) {
        step.flags = 0;
        step.range = random_once_in(&run->random, 4) ? step.range : mapped_of(run, step.range);
    }
    if (step.verb == MODEL_MAP && !random_once_in(&run->random, 4)) {
        step.range = hole_of(run, step.range);
    }
    step.pa = some_pa(run, window, step.range);
    if (random_once_in(&run->random, 50)) {
        step.range = spoil(run, step.range);
    }
    if (step.verb == MODEL_UNMAP && random_once_in(&run->random, 100)) {
        step.range = ipa_range(0, UINT64_C(1) << run->shape->ipa_bits);
    }
    return step;
}

/* One step, alone or in an operation of its own. */
static void choose_one(struct run *run)
{
    run->steps[0] = some_step(run);
    run->step_count = 1;
    run->is_open = run->steps[0].verb != MODEL_FOLD && random_once_in(&run->random, 3);
}

/* Two steps or three that share nothing; maps never beside unmaps, which might free their place. */
static void choose_several(struct run *run)
{
    const size_t count = 2 + random_below(&run->random, 2);
    const bool maps = random_once_in(&run->random, 2);

    run->step_count = 0;
    run->is_open = true;
    while (run->step_count < count) {
        struct model_step step = some_step(run);

        if (step.verb == MODEL_FOLD || (step.verb == MODEL_MAP) != maps ||
            ipa_range_wraps(step.range)) {
            continue;
        }
        for (size_t i = 0; i < run->step_count; i++) {
            if (ipa_range_overlaps(run->steps[i].range, step.range)) {
                return;
            }
        }
        run->steps[run->step_count] = step;
        run->step_count++;
    }
}

/* A map over what is there: everything in its way goes in the same operation; sometimes all but
 * the first piece or the last. */
static void choose_replace(struct run *run)
{
    const struct model_window *window = some_window(run);
    const struct ipa_range range = some_part(run, window);
    const ipa_t end = ipa_range_end(range);
    ipa_t at = range.start;

    run->step_count = 0;
    run->is_open = true;
    while (ipa_lt(at, end) && run->step_count < RUN_MAX_STEPS - 1) {
        const struct ipa_range piece = {at, table_model_run(&run->model, at, end)};

        if (table_model_at(&run->model, at).is_mapped) {
            run->steps[run->step_count] = (struct model_step){.verb = MODEL_UNMAP, .range = piece};
            run->step_count++;
        }
        at = ipa_range_end(piece);
    }
    if (run->step_count > 1 && random_once_in(&run->random, 8)) {
        run->is_partial = true;
        run->step_count--;
        if (random_once_in(&run->random, 2)) {
            memmove(run->steps, run->steps + 1, run->step_count * sizeof(run->steps[0]));
        }
    }
    run->steps[run->step_count] = (struct model_step){MODEL_MAP, ipa_range_between(range.start, at),
                                                      some_pa(run, window, range), some_flags(run)};
    run->step_count++;
}

/* What the hardware does, done by protect: some of a uniform block is accessed, or written, or not
 * any more. Then, or another time, the block is folded. Whether there is such a block. */
static bool choose_touch(struct run *run)
{
    const struct model_window *window = some_window(run);
    const uint64_t block = run->machine->blocks[0];
    const uint64_t blocks = window->range.size / block;
    const ipa_t start = ipa_add(window->range.start, block * random_below(&run->random, blocks));
    const struct model_cell cell = table_model_at(&run->model, start);
    struct model_step *step = &run->steps[0];

    if (!table_model_is_block(&run->model, start, block)) {
        return false;
    }
    run->step_count = 1;
    run->is_open = false;
    *step = (struct model_step){.verb = MODEL_FOLD, .range = {start, block}, .flags = cell.flags};
    if (!random_once_in(&run->random, 3)) {
        step->verb = MODEL_PROTECT;
        step->flags ^=
            (cell.flags & S2_DBM) != 0 && random_once_in(&run->random, 2) ? S2_WRITE : S2_NO_AF;
        step->range.size = rig_page(run->shape) * (1 + random_below(&run->random, 64));
        step->range.start = ipa_add(start, random_once_in(&run->random, 2) ? 0 : MIB(1));
    }
    return true;
}

void run_choose(struct run *run)
{
    const uint64_t dice = random_below(&run->random, 100);

    run->is_partial = false;
    if (run->machine->updates && dice < 25 && choose_touch(run)) {
        return;
    }
    if (dice < 75) {
        choose_one(run);
    } else if (dice < 87) {
        choose_several(run);
    } else {
        choose_replace(run);
    }
}
