/*
 * test_judge_library.c - the library before the monitor: every shape of table, on every kind of
 * machine, through every verb, in a fixed order and in random ones. No rule may be broken, whatever
 * the verbs answer.
 */
#include "stage2/trestle.h"
#include "tests/model/random.h"
#include "tests/sim/monitor.h"
#include "tests/unit/test.h"

#include <stddef.h>
#include <stdlib.h>

#define SUITE "judge_library"

#define FRAMES 192
#define DATA UINT64_C(0x1000000000)
#define VMID 0x2a
#define RW (S2_READ | S2_WRITE)
#define STEPS 120
#define GUESTS 2
#define NODES 32

/* --- Machines -------------------------------------------------------------------------------- */

struct shape {
    enum s2_granule granule;
    unsigned ipa_bits;
    uint64_t pool; /* PA */
};

static const struct shape shapes[] = {
    {S2_GRANULE_4K, 40, UINT64_C(0x8040000000)},
    {S2_GRANULE_4K, 48, UINT64_C(0x804040000000)},
    {S2_GRANULE_16K, 48, UINT64_C(0x804040000000)},
    {S2_GRANULE_64K, 48, UINT64_C(0x804040000000)},
    {S2_GRANULE_4K, 52, UINT64_C(0xd804040000000)},
    {S2_GRANULE_16K, 52, UINT64_C(0xd804040000000)},
    {S2_GRANULE_64K, 52, UINT64_C(0xd804040000000)},
};

enum quirk {
    QUIRK_NONE,
    QUIRK_OTHER_CURRENT, /* no guest of ours is loaded */
    QUIRK_HOST,          /* VHE, with HCR_EL2.E2H and TGE set */
    QUIRK_SPECULATIVE_AT,
    QUIRK_NO_TTL,
    QUIRK_NON_COHERENT,
    QUIRK_ACCESS_FLAG,
    QUIRK_DIRTY,
    QUIRK_OTHER_NON_COHERENT, /* and another guest is loaded */
    QUIRK_NO_FWB,
    QUIRK_NO_RUNS,
    QUIRK_SMALL_FRAMES, /* a table of several frames */
    QUIRKS
};

struct court {
    struct sim_memory memory;
    struct frame_pool pool;
    struct s2_features cpu;
    struct s2_config config;
    struct s2_table tables[GUESTS];
    struct monitor *monitor;
    unsigned char *window; /* memory at DATA that a space's guest is given */
};

static bool is_non_coherent(enum quirk quirk)
{
    return quirk == QUIRK_NON_COHERENT || quirk == QUIRK_OTHER_NON_COHERENT;
}

static void make_config(struct court *court, const struct shape *shape, enum quirk quirk)
{
    court->cpu = (struct s2_features){
        .pa_bits = 52,
        .granule_4k = S2_GRANULE_52_BITS,
        .granule_16k = S2_GRANULE_52_BITS,
        .granule_64k = S2_GRANULE_52_BITS,
        .vmid_bits = 16,
        .hafdbs = 2,
        .has_xnx = true,
        .has_fwb = quirk != QUIRK_NO_FWB,
        .has_ttl = quirk != QUIRK_NO_TTL,
        .has_vhe = true,
        .has_lse = true,
        .errata = quirk == QUIRK_SPECULATIVE_AT ? S2_ERRATUM_SPECULATIVE_AT : 0,
        .dcache_line = 64,
    };
    court->config = (struct s2_config){
        .cpu = &court->cpu,
        .granule = shape->granule,
        .ipa_bits = shape->ipa_bits,
        .pa_bits = shape->ipa_bits,
        .walker = is_non_coherent(quirk) ? S2_WALKER_NON_COHERENT : S2_WALKER_COHERENT,
        .hardware_update = quirk == QUIRK_ACCESS_FLAG ? S2_HARDWARE_UPDATE_AF
                           : quirk == QUIRK_DIRTY     ? S2_HARDWARE_UPDATE_DIRTY
                                                      : S2_HARDWARE_UPDATE_NONE,
        .contiguous = quirk == QUIRK_NO_RUNS ? S2_CONTIGUOUS_OFF : S2_CONTIGUOUS_ON,
    };
}

static void report(void *arg, const struct monitor_verdict *verdict)
{
    (void)arg;
    ck_abort_msg("%s", verdict->story);
}

static void open_court(struct court *court, const struct shape *shape, enum quirk quirk)
{
    const unsigned shift = quirk == QUIRK_SMALL_FRAMES ? 12 : (unsigned)shape->granule;
    struct monitor_config config;

    make_config(court, shape, quirk);
    sim_reset();
    sim_set_log(SIM_LOG_COUNT);
    sim_memory_init(&court->memory, shift);
    sim_memory_add(&court->memory, pa_of(shape->pool),
                   (size_t)FRAMES << ((unsigned)shape->granule - shift));
    sim_memory_pool(&court->memory, &court->pool);
    config = (struct monitor_config){
        .memory = &court->memory,
        .cpu = {.pa_bits = 52,
                .has_4k = true,
                .has_16k = true,
                .has_64k = true,
                .lpa2_4k = true,
                .lpa2_16k = true,
                .xnx = true,
                .fwb = true,
                .vmid16 = true,
                .hafdbs = 2},
        .has_ttl = court->cpu.has_ttl,
        .has_speculative_at = (court->cpu.errata & S2_ERRATUM_SPECULATIVE_AT) != 0,
        .report = report,
    };
    court->monitor = monitor_attach(&config);
    court->window = NULL;
}

static void admit(struct court *court, const struct s2_table *table, enum quirk quirk)
{
    const struct monitor_guest guest = {
        .vtcr = s2_table_vtcr(table),
        .vttbr = s2_table_vttbr(table),
        .hcr = s2_table_hcr(table),
        .pool = &court->pool,
        .is_non_coherent = is_non_coherent(quirk),
    };

    monitor_add_guest(court->monitor, &guest);
}

/* What a CPU has loaded as the operations begin. */
static void load(const struct s2_table *table, enum quirk quirk)
{
    *sim_cpu() = (struct sim_cpu){
        .vtcr = s2_table_vtcr(table), .vttbr = s2_table_vttbr(table), .hcr = s2_table_hcr(table)};
    if (quirk == QUIRK_OTHER_CURRENT || quirk == QUIRK_OTHER_NON_COHERENT ||
        quirk == QUIRK_SPECULATIVE_AT) {
        sim_cpu()->vttbr = 0;
        sim_cpu()->vtcr = 0;
        sim_cpu()->tcr_el1 = 0x1234;
    } else if (quirk == QUIRK_HOST) {
        sim_cpu()->hcr |= UINT64_C(1) << 34 | UINT64_C(1) << 27;
    }
}

static void tables_init(struct court *court, enum quirk quirk)
{
    for (size_t i = 0; i < GUESTS; i++) {
        ck_assert_int_eq(s2_table_init(&court->tables[i], &court->config, &court->pool),
                         MAPPING_OK);
        s2_table_set_vmid(&court->tables[i], (uint16_t)(VMID + i));
        admit(court, &court->tables[i], quirk);
    }
    load(&court->tables[0], quirk);
    monitor_quiesce(court->monitor);
}

static void dismiss(struct court *court, struct s2_table *table)
{
    ck_assert(s2_table_check(table));
    monitor_remove_guest(court->monitor, s2_table_vttbr(table));
    ck_assert_int_eq(s2_table_fini(table), MAPPING_OK);
    monitor_quiesce(court->monitor);
}

static void close_court(struct court *court)
{
    ck_assert(frame_pool_check(&court->pool));
    ck_assert_int_eq(monitor_verdict(court->monitor)->rule, MONITOR_OK);
    monitor_detach(court->monitor);
    sim_memory_fini(&court->memory);
    free(court->window);
}

/* --- Every verb, in order -------------------------------------------------------------------- */

enum verb { MAP, UNMAP, PROTECT, REPLACE, FOLD };

/* In pages and blocks: of level 2, and of the page level. */
struct step {
    enum verb verb;
    unsigned block, page; /* where */
    unsigned blocks, pages;
    unsigned out; /* pages from where it would lie linearly */
    mapping_flags_t flags;
};

static const struct step story[] = {
    {MAP, 64, 0, 64, 3, 0, RW},           /* blocks, maybe runs of them, and pages */
    {MAP, 200, 1, 0, 300, 0, RW},         /* runs of pages, with ends that are none */
    {MAP, 210, 0, 1, 0, 0, RW | S2_EXEC}, /* a block alone */
    {PROTECT, 200, 40, 0, 1, 0, S2_READ}, /* out of the middle of a run */
    {PROTECT, 200, 0, 1, 0, 0, S2_READ},
    {UNMAP, 64, 5, 0, 1, 0, 0}, /* a page out of a block, maybe of a run */
    {PROTECT, 66, 0, 2, 0, 0, S2_READ},
    {PROTECT, 66, 0, 2, 0, 0, RW},
    {PROTECT, 70, 3, 3, 9, 0, RW | S2_NORMAL_NC}, /* another type, two splits */
    {REPLACE, 71, 0, 1, 0, 1, 0},                 /* no block fits any more */
    {REPLACE, 71, 0, 1, 0, 0, 0},
    {REPLACE, 72, 7, 2, 11, 4096, 0},
    {PROTECT, 64, 0, 64, 3, 0, RW},
    {MAP, 64, 5, 0, 1, 0, RW},
    {FOLD, 64, 0, 64, 0, 0, 0},
    {PROTECT, 200, 0, 1, 0, 0, RW},
    {FOLD, 200, 0, 2, 0, 0, 0},
    {UNMAP, 210, 2, 0, 1, 0, 0},
    {MAP, 210, 2, 0, 1, 0, RW | S2_EXEC},
    {FOLD, 210, 0, 1, 0, 0, 0},
    {UNMAP, 100, 0, 8, 0, 0, 0}, /* whole blocks, out of a run */
    {UNMAP, 0, 0, 256, 0, 0, 0}, /* all, with holes */
    {MAP, 64, 0, 3, 3, 0, RW | S2_CAP_PAGES},
    {FOLD, 64, 0, 4, 0, 0, 0},
    {UNMAP, 64, 0, 64, 3, 0, 0},
};

static enum mapping_error do_step(const struct court *court, struct s2_table *table,
                                  const struct step *step)
{
    const uint64_t page = UINT64_C(1) << court->config.granule;
    const uint64_t block = page << ((unsigned)court->config.granule - 3);
    const uint64_t start = step->block * block + step->page * page;
    const struct ipa_range range = ipa_range(start, step->blocks * block + step->pages * page);
    const pa_t pa = pa_of(DATA + start + step->out * page);

    switch (step->verb) {
    case MAP:
        return s2_table_map(table, range, pa, step->flags);
    case UNMAP:
        return s2_table_unmap(table, range);
    case PROTECT:
        return s2_table_protect(table, range, step->flags);
    case REPLACE:
        return s2_table_replace(table, range, pa);
    case FOLD:
        break;
    }
    return s2_table_fold(table, range);
}

/* Nearly all of it has to succeed, else it would tell nothing; what is refused is judged as
 * well. */
static void tell_story(struct court *court)
{
    size_t done = 0;

    for (size_t i = 0; i < COUNT(story); i++) {
        for (size_t guest = 0; guest < GUESTS; guest++) {
            done += do_step(court, &court->tables[guest], &story[i]) == MAPPING_OK ? 1 : 0;
            monitor_quiesce(court->monitor);
        }
    }
    ck_assert_uint_ge(done, GUESTS * (COUNT(story) - 3));
}

#define CASES ((int)(COUNT(shapes) * QUIRKS))

TEST_EACH(library_keeps_the_rules_in_every_verb, CASES)
{
    const enum quirk quirk = (enum quirk)(_i % (int)QUIRKS);
    static struct court court;

    open_court(&court, &shapes[_i / (int)QUIRKS], quirk);
    tables_init(&court, quirk);
    tell_story(&court);
    for (size_t i = 0; i < GUESTS; i++) {
        dismiss(&court, &court.tables[i]);
    }
    close_court(&court);
}

/* More places at once than a batch remembers, far from each other. */
TEST_EACH(library_keeps_the_rules_in_scattered_pages, CASES)
{
    const enum quirk quirk = (enum quirk)(_i % (int)QUIRKS);
    static struct court court;

    open_court(&court, &shapes[_i / (int)QUIRKS], quirk);
    tables_init(&court, quirk);
    for (unsigned i = 0; i < 12; i++) {
        const struct step page = {MAP, 4 * i, i + 1, 0, 1, 0, RW};

        ck_assert_int_eq(do_step(&court, &court.tables[0], &page), MAPPING_OK);
        monitor_quiesce(court.monitor);
    }
    for (size_t i = 0; i < 3; i++) {
        static const struct step all[] = {{PROTECT, 0, 0, 48, 0, 0, S2_READ},
                                          {PROTECT, 0, 0, 48, 0, 0, S2_READ | S2_NORMAL_NC},
                                          {UNMAP, 0, 0, 48, 0, 0, 0}};

        ck_assert_int_eq(do_step(&court, &court.tables[0], &all[i]), MAPPING_OK);
        monitor_quiesce(court.monitor);
    }
    for (size_t i = 0; i < GUESTS; i++) {
        dismiss(&court, &court.tables[i]);
    }
    close_court(&court);
}

/* --- Random orders --------------------------------------------------------------------------- */

static struct step random_step(struct random *random)
{
    static const mapping_flags_t flags[] = {RW,
                                            S2_READ,
                                            RW | S2_EXEC,
                                            RW | S2_NORMAL_NC,
                                            S2_READ | S2_NO_AF,
                                            RW | S2_SOFT0,
                                            RW | S2_CAP_PAGES,
                                            RW | S2_NO_CONTIGUOUS};
    static const unsigned pages[] = {1, 2, 16, 31, 128, 200, 0};
    struct step step = {
        .verb = (enum verb)random_below(random, 5),
        .block = (unsigned)random_below(random, 40),
        .page = random_once_in(random, 2) ? 0 : (unsigned)random_below(random, 64),
        .blocks = random_once_in(random, 3) ? (unsigned)random_below(random, 34) : 0,
        .pages = pages[random_below(random, COUNT(pages))],
        .flags = flags[random_below(random, COUNT(flags))],
        .out = random_once_in(random, 3) ? (unsigned)random_below(random, 64) : 0,
    };

    /* Many blocks of many pages each take their time, and show nothing new. */
    step.blocks = (step.flags & S2_CAP) != 0 && step.blocks > 1 ? 1 : step.blocks;
    return step;
}

TEST_EACH(library_keeps_the_rules_in_random_orders, CASES)
{
    const enum quirk quirk = (enum quirk)(_i % (int)QUIRKS);
    struct random random = {(uint64_t)_i + 1};
    static struct court court;
    size_t done = 0;

    open_court(&court, &shapes[_i / (int)QUIRKS], quirk);
    tables_init(&court, quirk);
    for (int i = 0; i < STEPS; i++) {
        const struct step step = random_step(&random);

        done += do_step(&court, &court.tables[i % GUESTS], &step) == MAPPING_OK ? 1 : 0;
        monitor_quiesce(court.monitor);
    }
    ck_assert_uint_gt(done, STEPS / 3);
    for (size_t i = 0; i < GUESTS; i++) {
        dismiss(&court, &court.tables[i]);
    }
    close_court(&court);
}

/* --- Spaces: memory that our side writes ----------------------------------------------------- */

#define WINDOW (UINT64_C(4) << 20)

static void *window_open(void *ctx, pa_t pa, uint64_t size)
{
    const struct court *court = ctx;
    const uint64_t offset = pa_distance(pa_of(DATA), pa);

    ck_assert_uint_le(size, WINDOW - offset);
    return court->window + offset;
}

static void window_close(void *ctx, void *ptr, uint64_t size)
{
    (void)ctx;
    (void)ptr;
    (void)size;
}

struct visit {
    enum verb verb;
    uint64_t at, size; /* KiB from the start of the window, of 64K pages */
    mapping_flags_t flags;
};

static const struct visit visits[] = {
    {MAP, 0, 2048, RW},
    {MAP, 2048, 64, RW | S2_EXEC},
    {MAP, 2112, 1024, S2_READ | S2_EXEC | S2_NORMAL_NC},
    {PROTECT, 0, 256, S2_READ | S2_EXEC},
    {PROTECT, 512, 128, RW | S2_NORMAL_NC},
    {PROTECT, 512, 128, RW},
    {UNMAP, 1024, 64, 0},
    {MAP, 1024, 64, RW | S2_EXEC},
    {FOLD, 0, 4096, 0},
    {REPLACE, 0, 512, RW}, /* unmapped and mapped by one operation */
    {REPLACE, 0, 4096, RW | S2_EXEC},
    {UNMAP, 0, 4096, 0},
};

static enum mapping_error do_visit(struct s2_space *space, const struct visit *visit)
{
    const struct ipa_range range =
        ipa_range((UINT64_C(1) << 30) + (visit->at << 10), visit->size << 10);
    const pa_t pa = pa_of(DATA + (visit->at << 10));

    switch (visit->verb) {
    case MAP:
        return s2_space_map_linear(space, range, pa, visit->flags);
    case UNMAP:
        return s2_space_unmap(space, range);
    case PROTECT:
        return s2_space_protect(space, range, visit->flags);
    case REPLACE:
        return s2_space_replace_linear(space, range, pa, visit->flags);
    case FOLD:
        break;
    }
    return s2_space_fold(space, range);
}

/* Our side writes all that it gives, and all that it took back. */
static void write_window(struct court *court, const struct visit *visit)
{
    if (visit->verb == MAP || visit->verb == UNMAP) {
        monitor_wrote(court->monitor, DATA + (visit->at << 10), visit->size << 10);
    }
}

static void visit_all(struct court *court, struct s2_space *space)
{
    for (size_t i = 0; i < COUNT(visits); i++) {
        if (visits[i].verb == MAP) {
            write_window(court, &visits[i]);
        }
        ck_assert_int_eq(do_visit(space, &visits[i]), MAPPING_OK);
        monitor_quiesce(court->monitor);
        if (visits[i].verb == UNMAP) {
            monitor_read(court->monitor, DATA + (visits[i].at << 10), visits[i].size << 10);
            write_window(court, &visits[i]);
        }
    }
}

TEST_EACH(library_cleans_what_it_shows, CASES)
{
    const enum quirk quirk = (enum quirk)(_i % (int)QUIRKS);
    static struct memory_node nodes[NODES];
    static struct s2_space space;
    static struct court court;
    const struct s2_memory_ops ops = {window_open, window_close, &court};
    struct s2_space_config config;

    open_court(&court, &shapes[_i / (int)QUIRKS], quirk);
    court.window = aligned_alloc(4096, WINDOW);
    ck_assert_ptr_nonnull(court.window);
    monitor_add_window(court.monitor, DATA, court.window, WINDOW);
    config = (struct s2_space_config){.table = court.config,
                                      .table_pool = &court.pool,
                                      .nodes = nodes,
                                      .node_count = NODES,
                                      .memory = &ops,
                                      .vmid = VMID};
    ck_assert_int_eq(s2_space_init(&space, &config), MAPPING_OK);
    admit(&court, s2_space_table(&space), quirk);
    load(s2_space_table(&space), quirk);
    visit_all(&court, &space);
    monitor_remove_guest(court.monitor, s2_table_vttbr(s2_space_table(&space)));
    ck_assert_int_eq(s2_space_fini(&space), MAPPING_OK);
    monitor_quiesce(court.monitor);
    close_court(&court);
}
