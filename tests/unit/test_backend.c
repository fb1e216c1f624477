/*
 * test_backend.c - the protocol of a set over linear areas: what an operation holds is exactly what
 * it needs, a refusal has changed nothing, and the TLBs are flushed once.
 */
#include "stage2/space/backend.h"

#include "tests/unit/space_fixture.h"
#include "tests/unit/test.h"

#include <check.h>

#define SUITE "backend"

#define DATA RIG_DATA
#define MAX_AREAS 5

enum verb { REPLACE, UNMAP, PROTECT };

/* An operation over areas, on 4K with 40 bits, and what it costs. */
struct scenario {
    const char *name;
    enum verb verb;
    struct guest_area change; /* what is replaced, unmapped or protected; unused fields are 0 */
    size_t frames;            /* tables that its pieces need, each alone: what it has to hold */
    size_t nodes;             /* areas there are at the worst moment */
    int kept;                 /* tables that there are more than before; or fewer */
    size_t flushes;
    struct guest_area before[MAX_AREAS];
    struct guest_area after[MAX_AREAS];
};

static const struct scenario scenarios[] = {
    {"4K split out of a 2M block",
     UNMAP,
     {GIB(1) + MIB(1), KIB(4), 0, 0},
     1,
     2,
     1,
     1,
     {{GIB(1), MIB(2), DATA, RIG_RWX}},
     {{GIB(1), MIB(1), DATA, RIG_RWX}, {GIB(1) + KIB(1028), KIB(1020), DATA + KIB(1028), RIG_RWX}}},
    {"4K split out of a 1G block",
     UNMAP,
     {GIB(1) + MIB(513), KIB(4), 0, 0},
     2,
     2,
     2,
     1,
     {{GIB(1), GIB(1), DATA, RIG_RWX}},
     {{GIB(1), MIB(513), DATA, RIG_RWX},
      {GIB(1) + KIB(525316), KIB(523260), DATA + KIB(525316), RIG_RWX}}},
    {"three areas, split at both ends",
     UNMAP,
     {GIB(1) + MIB(1), MIB(1023) + KIB(4), 0, 0},
     3,
     3,
     3,
     2,
     {{GIB(1), MIB(2), DATA, RIG_RWX},
      {GIB(1) + MIB(4), MIB(4), DATA + MIB(4), RIG_RW},
      {GIB(2), GIB(1), DATA + GIB(1), RIG_RWX}},
     {{GIB(1), MIB(1), DATA, RIG_RWX},
      {GIB(2) + KIB(4), GIB(1) - KIB(4), DATA + GIB(1) + KIB(4), RIG_RWX}}},
    {"three whole areas",
     UNMAP,
     {GIB(1), GIB(1) + MIB(2), 0, 0},
     0,
     3,
     -4,
     1,
     {{GIB(1), MIB(2), DATA, RIG_RWX},
      {GIB(1) + MIB(4), KIB(16), DATA + MIB(4), RIG_RW},
      {GIB(2), MIB(2), DATA + KIB(4), RIG_RWX}},
     {{0, 0, 0, 0}}},
    {"three areas protected, split at both ends",
     PROTECT,
     {GIB(1) + MIB(1), MIB(1023) + KIB(4), 0, S2_READ},
     3,
     5,
     3,
     3,
     {{GIB(1), MIB(2), DATA, RIG_RWX},
      {GIB(1) + MIB(4), MIB(4), DATA + MIB(4), RIG_RW},
      {GIB(2), GIB(1), DATA + GIB(1), RIG_RWX}},
     {{GIB(1), MIB(1), DATA, RIG_RWX},
      {GIB(1) + MIB(1), MIB(1), DATA + MIB(1), S2_READ},
      {GIB(1) + MIB(4), MIB(4), DATA + MIB(4), S2_READ},
      {GIB(2), KIB(4), DATA + GIB(1), S2_READ},
      {GIB(2) + KIB(4), GIB(1) - KIB(4), DATA + GIB(1) + KIB(4), RIG_RWX}}},
    {"three whole areas protected",
     PROTECT,
     {GIB(1), GIB(2), 0, S2_READ},
     0,
     3,
     0,
     1,
     {{GIB(1), MIB(2), DATA, RIG_RWX},
      {GIB(1) + MIB(4), KIB(16), DATA + MIB(4), RIG_RW},
      {GIB(2), GIB(1), DATA + GIB(1), RIG_RWX}},
     {{GIB(1), MIB(2), DATA, S2_READ},
      {GIB(1) + MIB(4), KIB(16), DATA + MIB(4), S2_READ},
      {GIB(2), GIB(1), DATA + GIB(1), S2_READ}}},
    {"4K of a 2M block replaced",
     REPLACE,
     {GIB(1) + KIB(4), KIB(4), DATA + GIB(4), RIG_RW},
     1,
     3,
     1,
     1,
     {{GIB(1), MIB(2), DATA, RIG_RWX}},
     {{GIB(1), KIB(4), DATA, RIG_RWX},
      {GIB(1) + KIB(4), KIB(4), DATA + GIB(4), RIG_RW},
      {GIB(1) + KIB(8), KIB(2040), DATA + KIB(8), RIG_RWX}}},
    {"4K of a 1G block replaced",
     REPLACE,
     {GIB(1) + KIB(4), KIB(4), DATA + GIB(4), RIG_RW},
     2,
     3,
     2,
     1,
     {{GIB(1), GIB(1), DATA, RIG_RWX}},
     {{GIB(1), KIB(4), DATA, RIG_RWX},
      {GIB(1) + KIB(4), KIB(4), DATA + GIB(4), RIG_RW},
      {GIB(1) + KIB(8), GIB(1) - KIB(8), DATA + KIB(8), RIG_RWX}}},
    {"2M of a 1G block replaced by pages",
     REPLACE,
     {GIB(1) + MIB(2), MIB(2), DATA + KIB(4), RIG_RW},
     2,
     3,
     2,
     1,
     {{GIB(1), GIB(1), DATA, RIG_RWX}},
     {{GIB(1), MIB(2), DATA, RIG_RWX},
      {GIB(1) + MIB(2), MIB(2), DATA + KIB(4), RIG_RW},
      {GIB(1) + MIB(4), MIB(1020), DATA + MIB(4), RIG_RWX}}},
    {"whole tables, needed again",
     REPLACE,
     {GIB(1), MIB(4), DATA + KIB(8), RIG_RW},
     0,
     1,
     0,
     1,
     {{GIB(1), MIB(4), DATA + KIB(4), RIG_RWX}},
     {{GIB(1), MIB(4), DATA + KIB(8), RIG_RW}}},
    {"whole tables, not needed again",
     REPLACE,
     {GIB(1), MIB(4), DATA + MIB(8), RIG_RW},
     0,
     1,
     -2,
     1,
     {{GIB(1), MIB(4), DATA + KIB(4), RIG_RWX}},
     {{GIB(1), MIB(4), DATA + MIB(8), RIG_RW}}},
    {"a block replaced by pages",
     REPLACE,
     {GIB(1), MIB(2), DATA + KIB(4), RIG_RWX},
     1,
     1,
     1,
     1,
     {{GIB(1), MIB(2), DATA, RIG_RWX}},
     {{GIB(1), MIB(2), DATA + KIB(4), RIG_RWX}}},
    {"a 1G block replaced by 2M blocks",
     REPLACE,
     {GIB(1), GIB(1), DATA + MIB(2), RIG_RWX},
     1,
     1,
     1,
     1,
     {{GIB(1), GIB(1), DATA, RIG_RWX}},
     {{GIB(1), GIB(1), DATA + MIB(2), RIG_RWX}}},
    {"two pages replaced by four",
     REPLACE,
     {GIB(1), KIB(16), DATA + KIB(64), RIG_RW},
     0,
     1,
     0,
     1,
     {{GIB(1), KIB(8), DATA, RIG_RWX}},
     {{GIB(1), KIB(16), DATA + KIB(64), RIG_RW}}},
    {"islands replaced by blocks",
     REPLACE,
     {GIB(1) + MIB(2), MIB(16), DATA + GIB(1) + MIB(2), RIG_RW},
     0,
     2,
     -1,
     1,
     {{GIB(1) + MIB(4) + KIB(4), KIB(8), DATA, RIG_RWX},
      {GIB(1) + MIB(8), MIB(2), DATA + MIB(8), RIG_RWX}},
     {{GIB(1) + MIB(2), MIB(16), DATA + GIB(1) + MIB(2), RIG_RW}}},
    {"pages across 1G replaced by blocks and a page at either end",
     REPLACE,
     {GIB(1) - MIB(2) - KIB(4), MIB(4) + KIB(8), DATA + GIB(8) - MIB(2) - KIB(4), RIG_RW},
     2,
     1,
     0,
     1,
     {{GIB(1) - KIB(4), KIB(8), DATA, RIG_RWX}},
     {{GIB(1) - MIB(2) - KIB(4), MIB(4) + KIB(8), DATA + GIB(8) - MIB(2) - KIB(4), RIG_RW}}},
    {"three areas, the ends split, replaced",
     REPLACE,
     {GIB(1) + MIB(1), MIB(1023) + KIB(4), DATA + GIB(16) + MIB(1), RIG_RW},
     3,
     3,
     3,
     2,
     {{GIB(1), MIB(2), DATA, RIG_RWX},
      {GIB(1) + MIB(4), MIB(4), DATA + MIB(4), RIG_RW},
      {GIB(2), GIB(1), DATA + GIB(1), RIG_RWX}},
     {{GIB(1), MIB(1), DATA, RIG_RWX},
      {GIB(1) + MIB(1), MIB(1023) + KIB(4), DATA + GIB(16) + MIB(1), RIG_RW},
      {GIB(2) + KIB(4), GIB(1) - KIB(4), DATA + GIB(1) + KIB(4), RIG_RWX}}},
};

#define SCENARIO_COUNT ((int)RIG_COUNT(scenarios))

static size_t count_areas(const struct guest_area areas[])
{
    size_t count = 0;

    while (count < MAX_AREAS && areas[count].size != 0) {
        count++;
    }
    return count;
}

static bool give(mapping_flags_t old_flags, void *arg, mapping_flags_t *new_flags)
{
    const mapping_flags_t *flags = arg;

    (void)old_flags;
    *new_flags = *flags;
    return true;
}

/* What an embedder with a set of its own does. */
static enum mapping_error run_scenario(struct guest *guest, const struct scenario *scenario)
{
    const struct guest_area *change = &scenario->change;
    const struct ipa_range range = ipa_range(change->ipa, change->size);
    struct memory_set *set = &guest->space.set;
    struct s2_table *table = &guest->space.table;
    mapping_flags_t flags = change->flags;

    if (scenario->verb == UNMAP) {
        return memory_set_unmap(set, range, table);
    }
    if (scenario->verb == PROTECT) {
        return memory_set_protect(set, range, give, &flags, table);
    }
    return memory_set_map(set,
                          (struct memory_area){
                              .range = range,
                              .flags = flags,
                              .backend = s2_linear_backend(range.start, pa_of(change->pa)),
                          },
                          table, OVERLAP_UNMAP);
}

static void start(struct guest *guest, const struct scenario *scenario, size_t nodes)
{
    guest_init(guest, guest_setup_fwb(), nodes, 0);
    guest_map_all(guest, scenario->before, count_areas(scenario->before));
    sim_clear();
}

/* The operation is refused with @error, and nobody can tell that it was tried. */
static void expect_refusal(struct guest *guest, const struct scenario *scenario,
                           enum mapping_error error)
{
    struct guest_snapshot before;

    rig_poison_free(&guest->rig);
    guest_snapshot_take(&before, guest);
    sim_clear();
    ck_assert_msg(run_scenario(guest, scenario) == error, "%s: not refused with %s", scenario->name,
                  mapping_error_name(error));
    ck_assert_uint_eq(sim_change_count(), 0);
    guest_snapshot_assert_same(&before, guest);
    guest_snapshot_free(&before);
}

TEST_EACH(change_areas_succeeds_with_exactly_the_frames_it_needs, SCENARIO_COUNT)
{
    const struct scenario *scenario = &scenarios[_i];
    struct guest guest;
    size_t tables;

    start(&guest, scenario, GUEST_NODES);
    tables = s2_table_frame_count(s2_space_table(&guest.space));
    for (size_t frames = 0; frames < scenario->frames; frames++) {
        rig_leave(&guest.rig, frames);
        expect_refusal(&guest, scenario, MAPPING_NO_FRAME);
    }
    rig_leave(&guest.rig, scenario->frames);
    rig_poison_free(&guest.rig);
    ck_assert_msg(run_scenario(&guest, scenario) == MAPPING_OK, "%s: refused", scenario->name);
    guest_assert(&guest, scenario->after, count_areas(scenario->after));
    ck_assert_int_eq((int)s2_table_frame_count(s2_space_table(&guest.space)) - (int)tables,
                     scenario->kept);
    ck_assert_int_eq((int)frame_pool_available(&guest.rig.pool),
                     (int)scenario->frames - scenario->kept);
    guest_fini(&guest);
}

TEST_EACH(change_areas_succeeds_with_exactly_the_nodes_it_needs, SCENARIO_COUNT)
{
    const struct scenario *scenario = &scenarios[_i];
    struct guest guest;

    for (size_t nodes = count_areas(scenario->before); nodes < scenario->nodes; nodes++) {
        start(&guest, scenario, nodes);
        expect_refusal(&guest, scenario, MAPPING_NO_NODE);
        guest_fini(&guest);
    }
    start(&guest, scenario, scenario->nodes);
    ck_assert_msg(run_scenario(&guest, scenario) == MAPPING_OK, "%s: refused", scenario->name);
    guest_assert(&guest, scenario->after, count_areas(scenario->after));
    guest_fini(&guest);
}

/* However many pages and areas: one flush, but for blocks that are split, which each need their own
 * between break and make. */
TEST_EACH(change_areas_flushes_once, SCENARIO_COUNT)
{
    const struct scenario *scenario = &scenarios[_i];
    struct guest guest;

    start(&guest, scenario, GUEST_NODES);
    ck_assert_int_eq(run_scenario(&guest, scenario), MAPPING_OK);
    ck_assert_msg(guest_flushes() <= scenario->flushes && guest_flushes() > 0, "%s: %zu flushes",
                  scenario->name, guest_flushes());
    guest_fini(&guest);
}

/* --- Frames on their way out ----------------------------------------------------------------- */

/* What the pool had when the machine was told something. */
struct watch {
    const struct frame_pool *pool;
    size_t available; /* before the operation */
    size_t too_early; /* events at which there was more */
    bool is_closed;   /* a DSB ISH followed the last TLBI */
};

static void watch_frames(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    struct watch *watch = arg;

    if (frame_pool_available(watch->pool) > watch->available) {
        watch->too_early++;
    }
    if (phase == SIM_AFTER && guest_is_tlbi(event->kind)) {
        watch->is_closed = false;
    } else if (phase == SIM_AFTER && event->kind == SIM_DSB_ISH) {
        watch->is_closed = true;
    }
}

TEST(unmap_tables_frees_frames_after_closing_dsb)
{
    struct guest guest;
    struct watch watch = {.pool = &guest.rig.pool};

    guest_init(&guest, guest_setup_fwb(), GUEST_NODES, 0);
    guest_map(&guest, (struct guest_area){GIB(1), MIB(4), DATA + KIB(4), RIG_RW});
    guest_map(&guest, (struct guest_area){GIB(2), MIB(4), DATA + KIB(4), RIG_RW});
    watch.available = frame_pool_available(&guest.rig.pool);
    ck_assert(sim_listen(watch_frames, &watch));
    guest_unmap(&guest, GIB(1), GIB(1) + MIB(2));
    ck_assert(sim_unlisten(watch_frames, &watch));
    ck_assert_uint_eq(watch.too_early, 0);
    ck_assert(watch.is_closed);
    /* Level 2 and its two tables of pages; one table of pages above 2 GiB. */
    ck_assert_uint_eq(frame_pool_available(&guest.rig.pool), watch.available + 4);
    guest_fini(&guest);
}

/* A table that is quarantined and needed again within the operation is not written before the flush. */
TEST(replace_tables_reuses_frames_after_the_flush)
{
    struct guest guest;
    size_t flush;

    guest_init(&guest, guest_setup_fwb(), GUEST_NODES, 0);
    guest_map(&guest, (struct guest_area){GIB(1), MIB(2), DATA + KIB(4), RIG_RW});
    rig_leave(&guest.rig, 0);
    sim_clear();
    ck_assert_int_eq(s2_space_replace_linear(&guest.space, ipa_range(GIB(1), MIB(2)),
                                             pa_of(DATA + KIB(8)), RIG_RW),
                     MAPPING_OK);
    flush = guest_last_tlbi();
    ck_assert_uint_gt(sim_find(SIM_FILL, 0), sim_find(SIM_DSB_ISH, flush));
    guest_assert(&guest, (struct guest_area[]){{GIB(1), MIB(2), DATA + KIB(8), RIG_RW}}, 1);
    guest_fini(&guest);
}

TEST(map_costs_no_invalidation)
{
    struct guest guest;

    guest_init(&guest, guest_setup_fwb(), GUEST_NODES, 0);
    guest_map(&guest, (struct guest_area){GIB(1), GIB(1) + KIB(4), DATA, RIG_RWX});
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    guest_fini(&guest);
}

/* --- Cookies --------------------------------------------------------------------------------- */

static const struct {
    uint64_t ipa, pa, addr, answer;
} cookies[] = {
    {0, 0, 0x1234, 0x1234},
    {0x40000000, 0x48000000, 0x40001008, 0x48001008},
    {0x8000000000, 0x40000000, 0x8000003000, 0x40003000}, /* PA below IPA */
    {0xfffffffff000, 0, 0xfffffffff008, 8},
};

TEST_EACH(linear_pa_of_address_keeps_its_distance, RIG_COUNT(cookies))
{
    const struct mapping_backend backend =
        s2_linear_backend(ipa_of(cookies[_i].ipa), pa_of(cookies[_i].pa));

    ck_assert_ptr_eq(backend.ops, &s2_linear_ops);
    ck_assert_uint_eq(s2_linear_pa(&backend, ipa_of(cookies[_i].addr)).raw, cookies[_i].answer);
}

TEST(linear_ops_are_a_complete_backend)
{
    const struct mapping_backend backend = s2_linear_backend(ipa_of(0), pa_of(0));

    ck_assert(mapping_backend_is_complete(&backend));
    ck_assert_ptr_nonnull((const void *)(uintptr_t)backend.ops->reserve);
}
