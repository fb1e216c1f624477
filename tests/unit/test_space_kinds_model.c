/*
 * test_space_kinds_model.c - a guest at random: what it may do, finds and is refused, page by page,
 * agrees with a model that knows pages and nothing else.
 *
 * TRESTLE_MODEL_OPS shortens it. The model has a state for each page; the space has areas, tables,
 * blocks, runs, a pool and lazy frames.
 */
#include "tests/model/random.h"
#include "tests/unit/kinds_fixture.h"
#include "tests/unit/test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUITE "space_kinds_model"

#undef SECONDS
#define SECONDS 300

#define PAGE KIB(4)
#define BASE (GIB(1) - MIB(2))
#define PAGES 1536 /* of the model: 6 MiB across a border of tables */
#define DEFAULT_OPS 6000

enum kind { NOTHING, LINEAR, LAZY, TRAP, GUARD, KINDS };

struct page {
    enum kind kind;
    mapping_flags_t flags;
    bool is_there;      /* LAZY: it has a frame */
    uint64_t word;      /* the first of it */
    uint64_t trap_base; /* TRAP: where the area began */
};

static struct guest guest;
static struct s2_lazy lazies[2];
static struct page pages[PAGES];
static struct random random_state;
static size_t refused, done;

static struct page *page_at(uint64_t ipa)
{
    return &pages[(ipa - BASE) / PAGE];
}

static struct ipa_range random_range(void)
{
    uint64_t first = random_below(&random_state, PAGES);
    uint64_t count = 1 + random_below(&random_state, random_once_in(&random_state, 3) ? 600 : 20);

    if (random_once_in(&random_state, 4)) { /* blocks */
        first &= ~UINT64_C(511);
        count = 512;
    }
    return ipa_range(BASE + first * PAGE, mapping_u64_min(count, PAGES - first) * PAGE);
}

static mapping_flags_t random_flags(void)
{
    static const mapping_flags_t flags[] = {RIG_RW, S2_READ, RIG_RWX, S2_READ | S2_EXEC};

    return flags[random_below(&random_state, COUNT(flags))];
}

static bool is_free(struct ipa_range range)
{
    for (uint64_t at = 0; at < range.size; at += PAGE) {
        if (page_at(range.start.raw + at)->kind != NOTHING) {
            return false;
        }
    }
    return true;
}

/* Whether it is refused for want of a node or a frame, of which there are few: nothing has changed
 * then, as every look at the pages shows. */
static bool is_short(enum mapping_error error)
{
    refused += error != MAPPING_OK;
    done += error == MAPPING_OK;
    return error == MAPPING_NO_NODE || error == MAPPING_NO_FRAME;
}

static uint64_t pa_at(uint64_t ipa)
{
    return RIG_DATA + (ipa - BASE);
}

static uint64_t *linear_word(uint64_t ipa)
{
    return (uint64_t *)(void *)(guest.memory.bytes + (ipa - BASE));
}

static void fill_model(struct ipa_range range, struct page page)
{
    for (uint64_t at = 0; at < range.size; at += PAGE) {
        struct page *to = page_at(range.start.raw + at);

        *to = page;
        if (page.kind == LINEAR) {
            to->word = *linear_word(range.start.raw + at);
        }
    }
}

static void step_map(void)
{
    static const enum s2_area_kind kinds[] = {[LINEAR] = S2_AREA_LINEAR,
                                              [LAZY] = S2_AREA_LAZY,
                                              [TRAP] = S2_AREA_TRAP,
                                              [GUARD] = S2_AREA_GUARD};
    const struct ipa_range range = random_range();
    const enum kind kind = (enum kind)(1 + random_below(&random_state, KINDS - 1));
    const bool has_flags = kind == LINEAR || kind == LAZY;
    const struct s2_area area = {
        .range = range,
        .kind = kinds[kind],
        .flags = has_flags ? random_flags() : 0,
        .pa = pa_of(pa_at(range.start.raw)),
        .lazy = &lazies[random_below(&random_state, 2)],
        .is_full = random_once_in(&random_state, 3),
    };
    const bool replaces = random_once_in(&random_state, 3);
    const bool free = is_free(range);
    const enum mapping_error error =
        replaces ? s2_space_replace(&guest.space, &area) : s2_space_map(&guest.space, &area);

    if (is_short(error)) {
        return;
    }
    ck_assert_int_eq(error, free || replaces ? MAPPING_OK : MAPPING_ALREADY_EXISTS);
    if (error == MAPPING_OK) {
        fill_model(range, (struct page){kind, area.flags, kind == LAZY && area.is_full, 0,
                                        range.start.raw});
    }
}

static void step_unmap(void)
{
    const struct ipa_range range = random_range();

    if (!is_short(s2_space_unmap(&guest.space, range))) {
        fill_model(range, (struct page){.kind = NOTHING});
    }
}

static void step_protect(void)
{
    const struct ipa_range range = random_range();
    const mapping_flags_t flags = random_flags();

    if (is_short(s2_space_protect(&guest.space, range, flags))) {
        return;
    }
    for (uint64_t at = 0; at < range.size; at += PAGE) {
        struct page *page = page_at(range.start.raw + at);

        if (page->kind == LINEAR || page->kind == LAZY) {
            page->flags = flags;
        }
    }
}

static void step_fold(void)
{
    MUST(s2_space_fold(&guest.space, random_range()));
}

/* A touch may fill the pages around, as far as they are lazy and were empty: the tables tell which,
 * and each is checked for what it holds later. */
static void learn_filled(void)
{
    for (uint64_t i = 0; i < PAGES; i++) {
        struct s2_leaf leaf;

        if (pages[i].kind == LAZY && !pages[i].is_there &&
            s2_space_lookup(&guest.space, ipa_of(BASE + i * PAGE), &leaf) == MAPPING_OK) {
            pages[i].is_there = true;
            pages[i].word = 0;
        }
    }
}

enum access { READ, WRITE, FETCH };

static bool may(const struct page *page, enum access access)
{
    static const mapping_flags_t wanted[] = {S2_READ, S2_WRITE, S2_EXEC};

    return (page->flags & wanted[access]) == wanted[access];
}

static enum s2_verdict expected_verdict(const struct page *page, enum access access)
{
    switch (page->kind) {
    case TRAP:
        return access == FETCH ? S2_VERDICT_PERMISSION : S2_VERDICT_EMULATE;
    case GUARD:
        return S2_VERDICT_GUARD;
    case LINEAR:
    case LAZY:
        if (may(page, access)) {
            return S2_VERDICT_RETRY;
        }
        return access == WRITE ? S2_VERDICT_READ_ONLY : S2_VERDICT_PERMISSION;
    case NOTHING:
    case KINDS:
        break;
    }
    return S2_VERDICT_HOLE;
}

static void step_fault(void)
{
    const uint64_t ipa = BASE + random_below(&random_state, PAGES * PAGE);
    struct page *page = page_at(ipa);
    const enum access access = (enum access)random_below(&random_state, 3);
    const bool is_permission =
        (page->kind == LINEAR || page->is_there) && !random_once_in(&random_state, 4);
    const uint64_t esr = (access == FETCH ? KINDS_IABT : KINDS_DABT) |
                         (access == WRITE ? KINDS_WNR : 0) |
                         (is_permission ? KINDS_PERMISSION : KINDS_TRANSLATION);
    const struct s2_answer answer = kinds_fault(&guest.space, esr, ipa);

    if (answer.verdict == S2_VERDICT_FAILED) {
        ck_assert(page->kind == LAZY && !page->is_there);
        ck_assert_int_eq(answer.error, MAPPING_NO_FRAME);
        refused++;
        return;
    }
    ck_assert_str_eq(s2_verdict_name(answer.verdict),
                     s2_verdict_name(expected_verdict(page, access)));
    if (answer.verdict == S2_VERDICT_RETRY && page->kind == LAZY && !page->is_there) {
        ck_assert_int_eq(answer.retry, S2_RETRY_FILLED);
        learn_filled();
        ck_assert(page->is_there);
    }
    if (answer.verdict == S2_VERDICT_EMULATE) {
        ck_assert_uint_eq(answer.offset, ipa - page->trap_base);
    }
    done++;
}

/* By the guest's right, a word at the beginning of some page. */
static void step_access(void)
{
    const uint64_t ipa = BASE + random_below(&random_state, PAGES) * PAGE;
    struct page *page = page_at(ipa);
    const enum access access = (enum access)random_below(&random_state, 2);
    uint64_t word = random_next(&random_state), got = 0;
    const enum mapping_error error =
        access == READ
            ? s2_space_read(&guest.space, ipa_of(ipa), &got, sizeof(got), S2_AS_GUEST, NULL)
            : s2_space_write(&guest.space, ipa_of(ipa), &word, sizeof(word), S2_AS_GUEST, NULL);

    if (is_short(error)) {
        ck_assert(page->kind == LAZY && !page->is_there);
        return;
    }
    if (page->kind == NOTHING) {
        ck_assert_int_eq(error, MAPPING_NOT_FOUND);
    } else if (page->kind == TRAP || page->kind == GUARD || !may(page, access)) {
        ck_assert_int_eq(error, MAPPING_DENIED);
    } else {
        ck_assert_int_eq(error, MAPPING_OK);
        learn_filled();
        ck_assert(access == WRITE || got == page->word);
        page->word = access == WRITE ? word : page->word;
    }
}

/* --- What is seen ----------------------------------------------------------------------------- */

static void check_page(const struct mmu *mmu, uint64_t ipa)
{
    static const enum mmu_access accesses[] = {MMU_READ, MMU_WRITE, MMU_FETCH_EL1};
    const struct page *page = page_at(ipa);
    const bool is_mapped = page->kind == LINEAR || page->is_there;

    for (size_t i = 0; i < COUNT(accesses); i++) {
        const struct mmu_result result = mmu_translate(mmu, ipa, accesses[i]);
        const enum mmu_status wanted = !is_mapped                  ? MMU_TRANSLATION
                                       : may(page, (enum access)i) ? MMU_OK
                                                                   : MMU_PERMISSION;
        const uint64_t *word;

        if (result.status != wanted) {
            ck_abort_msg("%#" PRIx64 ", access %zu: %d instead of %d", ipa, i, result.status,
                         wanted);
        }
        if (!is_mapped) {
            return;
        }
        word = page->kind == LINEAR ? linear_word(ipa)
                                    : frame_pool_ptr(&guest.rig.pool, pa_of(result.pa));
        if (page->kind == LINEAR ? result.pa != pa_at(ipa) : *word != page->word) {
            ck_abort_msg("%#" PRIx64 " is not what was written", ipa);
        }
    }
}

/* All pages, and that every frame of the pool is a table, somebody's page, or free. */
static void check_all(size_t frames)
{
    const struct mmu mmu = rig_mmu(&guest.rig, s2_space_table(&guest.space));
    struct s2_space_statistics statistics;
    size_t filled = 0, linear = 0;

    for (uint64_t i = 0; i < PAGES; i++) {
        check_page(&mmu, BASE + i * PAGE);
        filled += pages[i].is_there;
        linear += pages[i].kind == LINEAR;
    }
    s2_space_statistics(&guest.space, &statistics);
    ck_assert_uint_eq(statistics.data_pages, filled);
    ck_assert_uint_ge(statistics.data_pages_high, filled);
    ck_assert_uint_eq(statistics.mapped, (filled + linear) * PAGE);
    ck_assert_uint_eq(statistics.areas, memory_set_len(s2_space_areas(&guest.space)));
    ck_assert_uint_eq(frame_pool_available(&guest.rig.pool) + filled +
                          s2_table_frame_count(s2_space_table(&guest.space)),
                      frames);
    ck_assert(s2_space_check(&guest.space));
    ck_assert(frame_pool_check(&guest.rig.pool));
}

static uint64_t model_ops(void)
{
    const char *text = getenv("TRESTLE_MODEL_OPS");

    return text == NULL || *text == '\0' ? DEFAULT_OPS
                                         : mapping_u64_min(DEFAULT_OPS, strtoull(text, NULL, 0));
}

/* @variant: how sizes change, whether write-back is forced, and whether frames are few. */
static void start(int variant)
{
    struct rig_setup setup = variant % 2 == 0 ? guest_setup() : guest_setup_fwb();

    setup.config.contiguous = S2_CONTIGUOUS_ON;
    setup.config.size_change = variant / 2 % 2 == 0 ? S2_SIZE_CHANGE_BREAK : S2_SIZE_CHANGE_DIRECT;
    setup.frame_count = variant < 3 ? 4096 : 700;
    guest_init(&guest, setup, GUEST_NODES, PAGES * PAGE);
    memset(guest.memory.bytes, 0, PAGES * PAGE);
    memset(pages, 0, sizeof(pages));
    lazies[0] = (struct s2_lazy){.pool = &guest.rig.pool};
    lazies[1] = (struct s2_lazy){.pool = &guest.rig.pool, .grain = MIB(2)};
    random_state = (struct random){(uint64_t)variant};
    refused = done = 0;
    sim_set_log(SIM_LOG_COUNT);
}

TEST_EACH(guest_at_random_agrees_with_its_pages, 4)
{
    static void (*const steps[])(void) = {step_map,     step_map,    step_unmap,
                                          step_protect, step_fault,  step_fault,
                                          step_access,  step_access, step_fold};
    const uint64_t ops = model_ops() / 4;
    size_t frames;

    start(_i);
    frames = guest.rig.setup.frame_count;
    for (uint64_t op = 0; op < ops; op++) {
        steps[random_below(&random_state, COUNT(steps))]();
        monitor_quiesce(guest.rig.monitor);
        rig_poison_free(&guest.rig);
        if (op % 8 == 0) {
            check_all(frames);
        }
    }
    check_all(frames);
    ck_assert_uint_gt(done, ops / 4);
    ck_assert_uint_gt(refused, 0);
    guest_fini(&guest);
}
