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
#define AT GIB(1)
#define MAX_AREAS 5

/* An operation over areas, on 4K with 40 bits, and what it costs. */
struct scenario {
    const char *name;
    enum guest_verb verb;
    struct guest_area change; /* what is replaced, unmapped or protected; unused fields are 0 */
    size_t frames;            /* tables that its pieces need, each alone: what it has to hold */
    size_t nodes;             /* areas there are at the worst moment */
    int kept;                 /* tables that there are more than before; or fewer */
    size_t flushes;
    struct guest_area before[MAX_AREAS];
};

/* What is there before. */
#define ONE(size, pa) ROW(AT, size, DATA + (pa), RIG_RWX)
#define BLOCK_2M ONE(MIB(2), 0)
#define BLOCK_1G ONE(GIB(1), 0)
#define PAGES_4M ONE(MIB(4), KIB(4))
#define BLOCK_AT_2G ROW(GIB(2), GIB(1), DATA + GIB(1), RIG_RWX)
#define SMALL BLOCK_2M, ROW(AT + MIB(4), KIB(16), DATA + MIB(4), RIG_RW)
#define THREE BLOCK_2M, ROW(AT + MIB(4), MIB(4), DATA + MIB(4), RIG_RW), BLOCK_AT_2G
#define ISLANDS                                       \
    ROW(AT + MIB(4) + KIB(4), KIB(8), DATA, RIG_RWX), \
        ROW(AT + MIB(8), MIB(2), DATA + MIB(8), RIG_RWX)

/* What is changed: bytes from AT on, the size, and where the new memory lies from DATA on. */
#define UNMAP(at, size) GUEST_UNMAP, ROW(AT + (at), size, 0, 0)
#define PROTECT(at, size) GUEST_PROTECT, ROW(AT + (at), size, 0, S2_READ)
#define REPLACE(at, size, pa) GUEST_REPLACE, ROW(AT + (at), size, DATA + (pa), RIG_RW)

static const struct scenario scenarios[] = {
    ROW("4K split out of a 2M block", UNMAP(MIB(1), KIB(4)), 1, 2, 1, 1, ROW(BLOCK_2M)),
    ROW("4K split out of a 1G block", UNMAP(MIB(513), KIB(4)), 2, 2, 2, 1, ROW(BLOCK_1G)),
    ROW("three areas, split at both ends", UNMAP(MIB(1), MIB(1023) + KIB(4)), 3, 3, 3, 2,
        ROW(THREE)),
    ROW("three whole areas", UNMAP(0, GIB(1) + MIB(2)), 0, 3, -4, 1,
        ROW(SMALL, ROW(GIB(2), MIB(2), DATA + KIB(4), RIG_RWX))),
    ROW("three areas protected, split at both ends", PROTECT(MIB(1), MIB(1023) + KIB(4)), 3, 5, 3,
        3, ROW(THREE)),
    ROW("three whole areas protected", PROTECT(0, GIB(2)), 0, 3, 0, 1, ROW(SMALL, BLOCK_AT_2G)),
    ROW("4K of a 2M block replaced", REPLACE(KIB(4), KIB(4), GIB(4)), 1, 3, 1, 1, ROW(BLOCK_2M)),
    ROW("4K of a 1G block replaced", REPLACE(KIB(4), KIB(4), GIB(4)), 2, 3, 2, 1, ROW(BLOCK_1G)),
    ROW("2M of a 1G block replaced by pages", REPLACE(MIB(2), MIB(2), KIB(4)), 2, 3, 2, 1,
        ROW(BLOCK_1G)),
    ROW("whole tables, needed again", REPLACE(0, MIB(4), KIB(8)), 0, 1, 0, 1, ROW(PAGES_4M)),
    ROW("whole tables, not needed again", REPLACE(0, MIB(4), MIB(8)), 0, 1, -2, 1, ROW(PAGES_4M)),
    ROW("a block replaced by pages", REPLACE(0, MIB(2), KIB(4)), 1, 1, 1, 1, ROW(BLOCK_2M)),
    ROW("a 1G block replaced by 2M blocks", REPLACE(0, GIB(1), MIB(2)), 1, 1, 1, 1, ROW(BLOCK_1G)),
    ROW("two pages replaced by four", REPLACE(0, KIB(16), KIB(64)), 0, 1, 0, 1,
        ROW(ONE(KIB(8), 0))),
    ROW("islands replaced by blocks", REPLACE(MIB(2), MIB(16), GIB(1) + MIB(2)), 0, 2, -1, 1,
        ROW(ISLANDS)),
    ROW("pages across 1G replaced by blocks and a page at either end",
        REPLACE(-MIB(2) - KIB(4), MIB(4) + KIB(8), GIB(8) - MIB(2) - KIB(4)), 2, 1, 0, 1,
        ROW(ROW(AT - KIB(4), KIB(8), DATA, RIG_RWX))),
    ROW("three areas, the ends split, replaced",
        REPLACE(MIB(1), MIB(1023) + KIB(4), GIB(16) + MIB(1)), 3, 3, 3, 2, ROW(THREE)),
};

#define SCENARIO_COUNT ((int)COUNT(scenarios))

static size_t count_areas(const struct guest_area areas[])
{
    size_t count = 0;

    while (count < MAX_AREAS && areas[count].size != 0) {
        count++;
    }
    return count;
}

/* What of [@start, @end) @area has, to @to; how many areas that is. */
static size_t add_part(const struct guest_area *area, uint64_t start, uint64_t end,
                       struct guest_area *to)
{
    const uint64_t from = mapping_u64_max(start, area->ipa),
                   stop = mapping_u64_min(end, area->ipa + area->size);

    if (from < stop) {
        *to = (struct guest_area){from, stop - from, area->pa + (from - area->ipa), area->flags};
    }
    return from < stop ? 1 : 0;
}

/* Which areas there are afterwards, in order; how many. */
static size_t areas_after(const struct scenario *scenario, struct guest_area after[MAX_AREAS])
{
    const struct guest_area *change = &scenario->change, *area = scenario->before;
    const uint64_t end = change->ipa + change->size;
    size_t count = 0, i = 0;

    for (; area[i].size != 0 && area[i].ipa < end; i++) {
        count += add_part(&area[i], 0, change->ipa, &after[count]);
        if (scenario->verb == GUEST_PROTECT &&
            add_part(&area[i], change->ipa, end, &after[count])) {
            after[count++].flags = change->flags;
        }
    }
    if (scenario->verb == GUEST_REPLACE) {
        after[count++] = *change;
    }
    for (i = 0; area[i].size != 0; i++) {
        count += add_part(&area[i], end, UINT64_MAX, &after[count]);
    }
    return count;
}

static struct guest guest;

static bool give(mapping_flags_t old_flags, void *arg, mapping_flags_t *new_flags)
{
    const mapping_flags_t *flags = arg;

    (void)old_flags;
    *new_flags = *flags;
    return true;
}

/* What an embedder with a set of its own does. */
static enum mapping_error run_scenario(const struct scenario *scenario)
{
    const struct guest_area *change = &scenario->change;
    const struct ipa_range range = ipa_range(change->ipa, change->size);
    const struct memory_area area = {.range = range,
                                     .flags = change->flags,
                                     .backend = s2_linear_backend(range.start, pa_of(change->pa))};
    struct memory_set *set = &guest.space.set;
    struct s2_table *table = &guest.space.table;
    mapping_flags_t flags = change->flags;

    if (scenario->verb == GUEST_UNMAP) {
        return memory_set_unmap(set, range, table);
    }
    if (scenario->verb == GUEST_PROTECT) {
        return memory_set_protect(set, range, give, &flags, table);
    }
    return memory_set_map(set, area, table, OVERLAP_UNMAP);
}

static void start_empty(void)
{
    guest_init(&guest, guest_setup_fwb(), GUEST_NODES, 0);
}

static void start(const struct scenario *scenario, size_t nodes)
{
    guest_init(&guest, guest_setup_fwb(), nodes, 0);
    guest_map_all(&guest, scenario->before, count_areas(scenario->before));
    sim_clear();
}

/* The operation is refused with @error, and nobody can tell that it was tried. */
static void expect_refusal(const struct scenario *scenario, enum mapping_error error)
{
    struct guest_snapshot before;

    rig_poison_free(&guest.rig);
    guest_snapshot_take(&before, &guest);
    sim_clear();
    ck_assert_msg(run_scenario(scenario) == error, "%s: not refused with %s", scenario->name,
                  mapping_error_name(error));
    ck_assert_uint_eq(sim_change_count(), 0);
    guest_snapshot_assert_same(&before, &guest);
    guest_snapshot_free(&before);
}

static void assert_after(const struct scenario *scenario)
{
    struct guest_area after[MAX_AREAS + 1];

    guest_assert(&guest, after, areas_after(scenario, after));
}

TEST_EACH(change_areas_succeeds_with_exactly_the_frames_it_needs, SCENARIO_COUNT)
{
    const struct scenario *scenario = &scenarios[_i];
    size_t tables;

    start(scenario, GUEST_NODES);
    tables = s2_table_frame_count(s2_space_table(&guest.space));
    for (size_t frames = 0; frames < scenario->frames; frames++) {
        rig_leave(&guest.rig, frames);
        expect_refusal(scenario, MAPPING_NO_FRAME);
    }
    rig_leave(&guest.rig, scenario->frames);
    rig_poison_free(&guest.rig);
    ck_assert_msg(run_scenario(scenario) == MAPPING_OK, "%s: refused", scenario->name);
    assert_after(scenario);
    ck_assert_int_eq((int)s2_table_frame_count(s2_space_table(&guest.space)) - (int)tables,
                     scenario->kept);
    ck_assert_int_eq((int)frame_pool_available(&guest.rig.pool),
                     (int)scenario->frames - scenario->kept);
    guest_fini(&guest);
}

/* And however many pages and areas: one flush, but for blocks that are split, which each need their
 * own between break and make. */
TEST_EACH(change_areas_with_exactly_the_nodes_it_needs_flushes_once, SCENARIO_COUNT)
{
    const struct scenario *scenario = &scenarios[_i];

    for (size_t nodes = count_areas(scenario->before); nodes < scenario->nodes; nodes++) {
        start(scenario, nodes);
        expect_refusal(scenario, MAPPING_NO_NODE);
        guest_fini(&guest);
    }
    start(scenario, scenario->nodes);
    ck_assert_msg(run_scenario(scenario) == MAPPING_OK, "%s: refused", scenario->name);
    ck_assert_msg(guest_flushes() <= scenario->flushes && guest_flushes() > 0, "%s: %zu flushes",
                  scenario->name, guest_flushes());
    assert_after(scenario);
    guest_fini(&guest);
}

/* --- Frames on their way out ----------------------------------------------------------------- */

/* A table that is quarantined and needed again within the operation is not written before the
 * flush. */
TEST(replace_tables_reuses_frames_after_the_flush)
{
    const struct guest_area after = {GIB(1), MIB(2), DATA + KIB(8), RIG_RW};
    size_t flush;

    start_empty();
    guest_map(&guest, (struct guest_area){GIB(1), MIB(2), DATA + KIB(4), RIG_RW});
    rig_leave(&guest.rig, 0);
    sim_clear();
    MUST(guest_call(&guest.space, GUEST_REPLACE, after));
    flush = guest_last_tlbi();
    ck_assert_uint_gt(sim_find(SIM_FILL, 0), sim_find(SIM_DSB_ISH, flush));
    guest_assert(&guest, &after, 1);
    guest_fini(&guest);
}

TEST(map_costs_no_invalidation)
{
    start_empty();
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

TEST_EACH(linear_pa_of_address_keeps_its_distance, COUNT(cookies))
{
    const struct mapping_backend backend =
        s2_linear_backend(ipa_of(cookies[_i].ipa), pa_of(cookies[_i].pa));

    ck_assert_ptr_eq(backend.ops, &s2_linear_ops.set);
    ck_assert(mapping_backend_is_complete(&backend));
    ck_assert_ptr_nonnull((const void *)(uintptr_t)backend.ops->reserve);
    ck_assert_uint_eq(s2_linear_pa(&backend, ipa_of(cookies[_i].addr)).raw, cookies[_i].answer);
}
