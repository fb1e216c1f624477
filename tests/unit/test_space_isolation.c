/*
 * test_space_isolation.c - the wall: what no guest may be shown, what s2_space_check() finds, and
 * several spaces on one pool.
 */
#include "tests/model/random.h"
#include "tests/unit/space_fixture.h"
#include "tests/unit/test.h"

#include <check.h>
#include <pthread.h>

#define SUITE "space"

#define DATA RIG_DATA

static struct guest guest;

static void start(void)
{
    guest_init(&guest, guest_setup_fwb(), GUEST_NODES, 0);
}

static void stop(void)
{
    guest_fini(&guest);
}

/* Another space on the guest's pool. */
static void init_other(struct s2_space *space, struct memory_node nodes[], size_t count,
                       uint16_t vmid)
{
    const struct s2_space_config config = {.table = guest.rig.setup.config,
                                           .table_pool = &guest.rig.pool,
                                           .nodes = nodes,
                                           .node_count = count,
                                           .vmid = vmid};

    MUST(s2_space_init(space, &config));
}

/* --- Memory that no guest may be shown ------------------------------------------------------- */

enum secret { ROOT, ROOT_SECOND, TABLE, OTHERS_TABLE, FREE_FRAME, BEFORE_POOL, SECRETS };

/* Where two pages begin of which the first, or else the second, is what @secret says. */
static uint64_t find_secret(const struct s2_space *other, enum secret secret)
{
    const struct mmu mmu = rig_mmu(&guest.rig, s2_space_table(&guest.space));
    const struct mmu theirs = rig_mmu(&guest.rig, s2_space_table(other));
    const struct mmu_result found = mmu_translate(&mmu, GIB(1), MMU_READ);

    switch (secret) {
    case ROOT:
        return mmu_root_pa(&mmu);
    case ROOT_SECOND:
        return mmu_root_pa(&mmu) + KIB(4);
    case TABLE:
        return found.walk_pa[found.walk_count - 1] & ~UINT64_C(0xfff);
    case OTHERS_TABLE:
        return mmu_root_pa(&theirs);
    case FREE_FRAME:
        return RIG_4K_40->frames + 63 * KIB(4);
    case BEFORE_POOL:
    case SECRETS:
        break;
    }
    return RIG_4K_40->frames - KIB(4); /* two pages: the second is the root */
}

#undef SETUP
#define SETUP start
#undef TEARDOWN
#define TEARDOWN stop

TEST_EACH(map_of_frame_that_is_no_data_is_denied, SECRETS)
{
    const struct guest_area mine = {GIB(1), KIB(8), DATA, RIG_RW};
    struct memory_node nodes[GUEST_NODES];
    struct guest_snapshot before;
    struct s2_space other;
    pa_t pa;

    guest_map(&guest, mine);
    init_other(&other, nodes, GUEST_NODES, 7);
    guest_snapshot_take(&before, &guest);
    pa = pa_of(find_secret(&other, (enum secret)_i));
    ck_assert_int_eq(
        s2_space_map_linear(&guest.space, ipa_range(0, KIB(8)), pa, S2_READ | S2_NORMAL_NC),
        MAPPING_DENIED);
    ck_assert_int_eq(s2_space_replace_linear(&guest.space, ipa_range(GIB(1), KIB(8)), pa, RIG_RW),
                     MAPPING_DENIED);
    /* Also at the end of much else. */
    ck_assert_int_eq(s2_space_map_linear(&guest.space, ipa_range(GIB(4), GIB(1)),
                                         pa_of(pa.raw - GIB(1) + KIB(8)), RIG_RW),
                     MAPPING_DENIED);
    guest_snapshot_assert_same(&before, &guest);
    guest_snapshot_free(&before);
    MUST(s2_space_fini(&other));
}

/* --- What the check finds -------------------------------------------------------------------- */

/* A table of pages and a block, to be tampered with. */
static const struct guest_area sound[] = {
    {GIB(1), MIB(1), DATA, RIG_RW},
    {GIB(1) + MIB(2), MIB(2), DATA + MIB(2), RIG_RWX},
};

static const struct {
    const char *what;
    uint64_t ipa;
    uint64_t flip; /* bits of the descriptor at @ipa; 0: all that are set */
    int used;      /* what the table's count of entries must be told */
} tampered[] = {
    {"a missing page", GIB(1) + KIB(1020), 0, -1},
    {"another page", GIB(1) + KIB(8), UINT64_C(0x1000), 0},
    {"another block", GIB(1) + MIB(2), UINT64_C(0x200000), 0},
    {"not writable", GIB(1), UINT64_C(0x80), 0},
    {"another memory type", GIB(1) + KIB(1020), UINT64_C(0x4), 0},
    {"executable", GIB(1) + KIB(4), UINT64_C(2) << 53, 0},
    {"not accessed", GIB(1) + MIB(2), UINT64_C(0x400), 0},
    {"a software bit", GIB(1) + MIB(2), UINT64_C(1) << 57, 0},
    {"no valid bit, but the rest", GIB(1) + KIB(4), UINT64_C(1), 0},
    {"broken", GIB(1) + MIB(2), UINT64_C(1) << 63 | 1, 0},
    /* A hole is 0, so that these make a page, as this library would. */
    {"a page in a gap", GIB(1) + MIB(1), UINT64_C(0x0040001000100000 | 0x7db), 1},
    {"a page above all areas", GIB(1) + MIB(2) - KIB(4), UINT64_C(0x0040001000100000 | 0x7db), 1},
    {"a block above all areas", GIB(1) + MIB(4), UINT64_C(0x0040001000400000 | 0x7d9), 1},
};

TEST_EACH(check_finds_descriptor_that_does_not_follow, COUNT(tampered))
{
    const int added = tampered[_i].used;
    s2_desc_t *slot, was;
    uint32_t *used;
    pa_t table;

    guest_map_all(&guest, sound, 2);
    guest_assert(&guest, sound, 2);
    slot = rig_slot(&guest.rig, s2_space_table(&guest.space), tampered[_i].ipa);
    ck_assert(sim_memory_pa(&guest.rig.memory, slot, &table));
    used = frame_pool_count(&guest.rig.pool, pa_align_down(table, KIB(4)));
    was = *slot;
    slot->raw ^= tampered[_i].flip != 0 ? tampered[_i].flip : was.raw;
    *used += (uint32_t)added;
    /* The table alone cannot tell that an entry is missing, or one too many. */
    ck_assert(added == 0 || s2_table_check(s2_space_table(&guest.space)));
    ck_assert_msg(!s2_space_check(&guest.space), "not found: %s", tampered[_i].what);
    *slot = was;
    *used -= (uint32_t)added;
    ck_assert(s2_space_check(&guest.space));
}

#undef SETUP
#define SETUP start
#undef TEARDOWN
#define TEARDOWN NULL

/* A frame that a guest has, and that the pool does not count, or has given to a table. */
TEST(check_finds_area_that_shows_a_frame_which_is_not_counted)
{
    pa_t frame;

    MUST(frame_pool_alloc(&guest.rig.pool, 0, &frame));
    guest_map(&guest, (struct guest_area){GIB(1), KIB(4), frame.raw, RIG_RW});
    ck_assert(s2_space_check(&guest.space));
    frame_pool_drop_mapping(&guest.rig.pool, frame, KIB(4));
    ck_assert(!s2_space_check(&guest.space));
    rig_unwatch(&guest.rig); /* the monitor would not stand by either */
    MUST(frame_pool_free(&guest.rig.pool, frame, 0));
    guest_map(&guest, (struct guest_area){GIB(8), KIB(4), DATA, RIG_RW}); /* a table takes it */
    ck_assert(!s2_space_check(&guest.space));
}

/* AF = 1 and S2AP[1] = 1, written by the hardware, are what the flags allow. */
TEST(check_accepts_what_the_hardware_wrote)
{
    struct rig_setup setup = guest_setup_fwb();
    s2_desc_t *slot;

    setup.config.hardware_update = S2_HARDWARE_UPDATE_DIRTY;
    guest_init(&guest, setup, GUEST_NODES, 0);
    guest_map(&guest, (struct guest_area){GIB(1), MIB(2), DATA, S2_READ | S2_DBM | S2_NO_AF});
    slot = rig_slot(&guest.rig, s2_space_table(&guest.space), GIB(1));
    ck_assert_uint_eq(slot->raw & UINT64_C(0x480), 0);
    slot->raw |= UINT64_C(0x400);
    ck_assert(s2_space_check(&guest.space));
    slot->raw |= UINT64_C(0x80);
    ck_assert(s2_space_check(&guest.space));
    guest_map(&guest, (struct guest_area){GIB(2), MIB(2), DATA, S2_READ});
    slot = rig_slot(&guest.rig, s2_space_table(&guest.space), GIB(2));
    slot->raw |= UINT64_C(0x80); /* no DBM: the hardware would not */
    ck_assert(!s2_space_check(&guest.space));
    monitor_trust(guest.rig.monitor, slot);
    stop();
}

/* --- Several spaces on one pool -------------------------------------------------------------- */

/* --- Two CPUs -------------------------------------------------------------------------------- */

#define THREAD_OPS 10000
#define THREAD_CELLS 16

/* A thread, its guest, and what the guest has: one page of data, or none, in each cell. */
struct worker {
    struct s2_space space;
    struct memory_node nodes[2 * THREAD_CELLS];
    struct random random;
    pa_t data[THREAD_CELLS];
    bool has[THREAD_CELLS];
    size_t surprises; /* answers that cannot be */
    size_t maps;
};

/* Cells lie apart, so that each needs tables of its own. */
static struct ipa_range cell_range(size_t cell)
{
    return ipa_range(cell * MIB(514) + KIB(4), KIB(4));
}

static void worker_map(struct worker *worker, size_t cell)
{
    struct frame_pool *pool = &guest.rig.pool;
    enum mapping_error error = frame_pool_alloc(pool, 0, &worker->data[cell]);

    if (error == MAPPING_OK) {
        error = s2_space_map_linear(&worker->space, cell_range(cell), worker->data[cell], RIG_RW);
        if (error != MAPPING_OK) {
            worker->surprises += error != MAPPING_NO_FRAME ? 1 : 0;
            error = frame_pool_free(pool, worker->data[cell], 0);
            worker->surprises += error != MAPPING_OK ? 1 : 0;
            return;
        }
        worker->has[cell] = true;
        worker->maps++;
    } else {
        worker->surprises += error != MAPPING_NO_FRAME ? 1 : 0;
    }
}

static void worker_unmap(struct worker *worker, size_t cell)
{
    struct s2_leaf leaf;

    if (s2_space_lookup(&worker->space, cell_range(cell).start, &leaf) != MAPPING_OK ||
        !pa_eq(leaf.pa, worker->data[cell]) ||
        s2_space_protect(&worker->space, cell_range(cell), S2_READ) != MAPPING_OK ||
        s2_space_unmap(&worker->space, cell_range(cell)) != MAPPING_OK ||
        frame_pool_free(&guest.rig.pool, worker->data[cell], 0) != MAPPING_OK) {
        worker->surprises++;
    }
    worker->has[cell] = false;
}

static void *work(void *arg)
{
    struct worker *worker = arg;

    sim_reset(); /* a thread is a machine of its own */
    sim_set_log(SIM_LOG_COUNT);
    for (size_t i = 0; i < THREAD_OPS; i++) {
        const size_t cell = (size_t)random_below(&worker->random, THREAD_CELLS);

        if (worker->has[cell]) {
            worker_unmap(worker, cell);
        } else {
            worker_map(worker, cell);
        }
    }
    return NULL;
}

#undef SETUP
#define SETUP start
#undef TEARDOWN
#define TEARDOWN stop

TEST(two_threads_share_a_pool_safely)
{
    static struct worker workers[2];
    pthread_t threads[2];

    for (uint16_t i = 0; i < 2; i++) {
        workers[i] = (struct worker){.random = {i}};
        init_other(&workers[i].space, workers[i].nodes, 2 * THREAD_CELLS, (uint16_t)(i + 1));
    }
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    ck_assert(frame_pool_check(&guest.rig.pool));
    for (size_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(workers[i].surprises, 0);
        ck_assert_uint_gt(workers[i].maps, THREAD_OPS / 8);
        ck_assert(s2_space_check(&workers[i].space));
        for (size_t cell = 0; cell < THREAD_CELLS; cell++) {
            if (workers[i].has[cell]) {
                rig_assert_leaf(&guest.rig, s2_space_table(&workers[i].space),
                                cell_range(cell).start.raw, workers[i].data[cell].raw, 3, RIG_RW);
                worker_unmap(&workers[i], cell);
            }
        }
        MUST(s2_space_fini(&workers[i].space));
    }
}

#define REFRESHES 100000

static void *refresh_often(void *arg)
{
    struct s2_space *space = arg;

    sim_reset();
    sim_set_log(SIM_LOG_COUNT);
    for (size_t i = 0; i < REFRESHES; i++) {
        s2_table_refresh(s2_space_enterable(space), ipa_of(GIB(1)));
    }
    return NULL;
}

/* What a CPU reads without the lock while another writes it under the lock is atomic: no tool of
 * this suite would see the race. */
_Static_assert(_Generic(&((struct s2_table *)NULL)->has_slow_memory, _Atomic bool * : 1,
                        default : 0),
               "refresh reads it without the lock");

/* CPUs that refresh do not lock the space; neither does who reads what they count. */
TEST(two_threads_that_refresh_are_counted_exactly)
{
    struct s2_tlb_counters before = {0};
    const struct s2_table *table;
    struct s2_tlb_counters counters;
    pthread_t threads[2];

    table = s2_space_table(&guest.space);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, refresh_often, &guest.space), 0);
    }
    do {
        counters = s2_table_tlb_snapshot(table);
        ck_assert(counters.flushes >= before.flushes && counters.by_address >= before.by_address &&
                  counters.stage1 >= before.stage1);
        before = counters;
    } while (counters.flushes < 2 * REFRESHES);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    counters = s2_table_tlb_snapshot(table);
    ck_assert_uint_eq(counters.flushes, 2 * REFRESHES);
    ck_assert_uint_eq(counters.by_address, 2 * REFRESHES);
    ck_assert_uint_eq(counters.stage1, 2 * REFRESHES);
    ck_assert_mem_eq(&counters, s2_table_tlb_counters(table), sizeof(counters));
}
