/*
 * test_enter_life.c - spaces whose VMIDs an allocator gives, from their first s2_enter() to their
 * end: which guest a CPU is in after s2_leave(), wherever the tables lie, and that none ends while
 * a CPU is in it.
 */
#include "stage2/trestle.h"
#include "tests/unit/table_fixture.h"
#include "tests/unit/test.h"

#include <check.h>

#define SUITE "enter_life"

#define NODES 8
#define SPACES 3
#define AT GIB(1)

static struct rig rig;
static struct rig_shape shape;
static struct s2_vmid_allocator vmids;
static struct s2_cpu cpus[2];
static struct memory_node nodes[SPACES][NODES];
static struct s2_space spaces[SPACES];

static void init_space(size_t i)
{
    const struct s2_space_config config = {.table = rig.setup.config,
                                           .table_pool = &rig.pool,
                                           .nodes = nodes[i],
                                           .node_count = NODES,
                                           .vmids = &vmids};

    ck_assert_int_eq(s2_space_init(&spaces[i], &config), MAPPING_OK);
}

/* Spaces on a machine whose tables lie from @base on. The first root is the pool's first frame. */
static void start(uint64_t base)
{
    struct rig_setup setup;

    shape = *RIG_4K_48;
    shape.frames = base;
    setup = rig_setup_of(&shape);
    rig_init_machine(&rig, setup);
    rig_unwatch(&rig); /* it knows no numbers that are given */
    s2_vmid_init(&vmids, 8);
    for (size_t i = 0; i < COUNT(cpus); i++) {
        ck_assert_int_eq(s2_cpu_init(&cpus[i], &vmids), MAPPING_OK);
    }
    for (size_t i = 0; i < SPACES; i++) {
        init_space(i);
        ck_assert_int_eq(
            s2_space_map_linear(&spaces[i], ipa_range(AT, MIB(2)), pa_of(RIG_DATA), RIG_RW),
            MAPPING_OK);
    }
    sim_clear();
}

static void enter(size_t cpu, size_t space)
{
    sim_set_cpu(cpu);
    ck_assert_int_eq(s2_enter(s2_space_enterable(&spaces[space]), &vmids, &cpus[cpu], 0),
                     MAPPING_OK);
}

static void leave(size_t cpu)
{
    sim_set_cpu(cpu);
    s2_leave(&cpus[cpu]);
}

static void stop(void)
{
    for (size_t i = 0; i < COUNT(cpus); i++) {
        leave(i);
    }
    for (size_t i = 0; i < SPACES; i++) {
        ck_assert(s2_space_check(&spaces[i]));
        ck_assert_int_eq(s2_space_fini(&spaces[i]), MAPPING_OK);
    }
    sim_set_cpu(0);
    rig_fini_machine(&rig);
}

/* Every TLBI of the log went by @vttbr, and there is one. */
static void expect_sent_by(uint64_t vttbr)
{
    ck_assert_uint_gt(sim_tlbi_count(), 0);
    for (size_t i = 0; i < sim_event_total(); i++) {
        const struct sim_event *event = &sim_events()[i];

        if (sim_is_tlbi(event->kind)) {
            ck_assert_uint_eq(event->vttbr, vttbr);
        }
    }
}

static uint64_t vttbr_of(size_t space)
{
    return s2_table_vttbr(s2_space_table(&spaces[space]));
}

static void unmap_page(size_t space)
{
    sim_clear();
    ck_assert_int_eq(s2_space_unmap(&spaces[space], ipa_range(AT, KIB(4))), MAPPING_OK);
}

/* --- Which guest is current ------------------------------------------------------------------ */

/* DRAM at 0: the first root is PA 0, which is also what s2_leave() leaves in VTTBR_EL2. */
TEST_EACH(guest_whose_root_is_pa_0_is_not_current_after_leave, 2)
{
    start(_i == 0 ? 0 : RIG_4K_48->frames);
    enter(0, 0);
    leave(0);
    ck_assert_uint_eq(sim_cpu()->vttbr, 0);
    unmap_page(0);
    expect_sent_by(vttbr_of(0));
    ck_assert_uint_ne(vttbr_of(0) >> 48, S2_VMID_NOBODY);
    ck_assert_uint_eq(sim_cpu()->vttbr, 0);
    stop();
}

/* And before it ever was entered: it has no number, and nothing is sent. */
TEST(guest_whose_root_is_pa_0_is_not_current_before_its_first_enter)
{
    start(0);
    ck_assert_uint_eq(sim_cpu()->vttbr, 0);
    unmap_page(0);
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    stop();
}

/* A dead guest's VTTBR_EL2 is still on this CPU, and its root's frame is another guest's root by
 * now: who changes that one is not in it. */
TEST(guest_with_the_root_of_a_dead_one_is_not_current_where_that_was)
{
    uint64_t dead;

    start(RIG_4K_48->frames);
    enter(0, 0);
    dead = vttbr_of(0);
    leave(0);
    sim_cpu()->vttbr = dead; /* somebody's restore of what it had saved */
    enter(1, 1);             /* so the next number is another */
    sim_set_cpu(0);
    ck_assert_int_eq(s2_space_unmap(&spaces[0], ipa_range(AT, MIB(2))), MAPPING_OK);
    atomic_init(&spaces[0].table.vmid.tag, 0); /* as a new guest at the same root */
    ck_assert_int_eq(
        s2_space_map_linear(&spaces[0], ipa_range(AT, MIB(2)), pa_of(RIG_DATA), RIG_RW),
        MAPPING_OK);
    enter(1, 0);
    ck_assert_uint_ne(vttbr_of(0), dead);
    sim_set_cpu(0);
    unmap_page(0);
    expect_sent_by(vttbr_of(0));
    ck_assert_uint_eq(sim_cpu()->vttbr, dead);
    stop();
}

/* --- The end --------------------------------------------------------------------------------- */

enum end { WHOLE, STEPS, TABLE, TABLE_STEPS, ENDS };

static enum mapping_error end_by(enum end end, struct s2_space *space)
{
    bool is_done = false;

    switch (end) {
    case WHOLE:
        return s2_space_fini(space);
    case STEPS:
        return s2_space_fini_step(space, 1, &is_done);
    case TABLE:
        return s2_table_fini(&space->table);
    case TABLE_STEPS:
    case ENDS:
        break;
    }
    return s2_table_fini_step(&space->table, 1, &is_done);
}

static void expect_no_end(size_t space)
{
    for (enum end end = WHOLE; end < ENDS; end++) {
        const size_t available = frame_pool_available(&rig.pool);

        sim_clear();
        ck_assert_int_eq(end_by(end, &spaces[space]), MAPPING_BAD_STATE);
        ck_assert_uint_eq(sim_event_total(), 0);
        ck_assert_uint_eq(frame_pool_available(&rig.pool), available);
        ck_assert(s2_space_check(&spaces[space]));
    }
}

TEST(guest_that_a_cpu_is_in_does_not_end)
{
    start(RIG_4K_48->frames);
    enter(0, 0);
    expect_no_end(0);
    enter(1, 0);
    leave(0);
    expect_no_end(0); /* the other is in it */
    stop();
}

/* A generation begins while a CPU is in it: what it holds is reserved, and it is in it all the
 * same. */
TEST(guest_that_a_cpu_was_in_as_a_generation_began_does_not_end)
{
    start(RIG_4K_48->frames);
    enter(0, 0);
    while (vmids.rollovers == 0) {
        atomic_init(&spaces[1].table.vmid.tag, 0); /* one guest after the other */
        enter(1, 1);
    }
    expect_no_end(0);
    enter(0, 2); /* it has left, and its number stays reserved until the generation ends */
    ck_assert_int_eq(s2_space_fini(&spaces[0]), MAPPING_OK);
    init_space(0);
    stop();
}

/* Between s2_vmid_take() of another and the ISB, VTTBR_EL2 still leads to it. */
TEST(guest_that_a_cpu_is_leaving_does_not_end)
{
    start(RIG_4K_48->frames);
    enter(0, 0);
    s2_vmid_take(&vmids, &spaces[1].table.vmid, &cpus[0]);
    expect_no_end(0);
    expect_no_end(1);
    s2_vmid_settle(&cpus[0]);
    expect_no_end(1);
    ck_assert(!s2_vmid_is_held(&vmids, &spaces[0].table.vmid));
    enter(0, 1);
    stop();
}

/* --- What an embedder gets wrong -------------------------------------------------------------- */

TEST(space_with_an_allocator_too_wide_for_it_is_refused)
{
    struct s2_space_config config;
    struct s2_vmid_allocator wide;
    struct s2_features narrow;
    struct s2_space space;
    size_t available;

    start(RIG_4K_48->frames);
    available = frame_pool_available(&rig.pool);
    narrow = rig.setup.cpu;
    narrow.vmid_bits = 8;
    config = (struct s2_space_config){
        .table = rig.setup.config, .table_pool = &rig.pool, .vmids = &wide};
    config.table.cpu = &narrow;
    s2_vmid_init(&wide, 16);
    ck_assert_int_eq(s2_space_init(&space, &config), MAPPING_INVALID_PARAM);
    ck_assert_uint_eq(frame_pool_available(&rig.pool), available);
    ck_assert_int_eq(s2_vmid_limit(&wide, 255), MAPPING_OK);
    ck_assert_int_eq(s2_space_init(&space, &config), MAPPING_OK);
    ck_assert_int_eq(s2_space_fini(&space), MAPPING_OK);
    stop();
}
