/*
 * test_space_clean.c - memory that a guest has is cleaned when somebody asks for it.
 */
#include "stage2/space/clean.h"
#include "tests/unit/space_fixture.h"
#include "tests/unit/test.h"

#include <string.h>

#define SUITE "space_clean"

#define MEMORY MIB(4)
#define LINES (MEMORY / GUEST_LINE)

static struct guest guest;
static unsigned char cleaned[LINES]; /* how often each line was */

static void start(void)
{
    guest_init(&guest, guest_setup(), GUEST_NODES, MEMORY);
}

static void start_unreached(void)
{
    guest_init(&guest, guest_setup_fwb(), GUEST_NODES, 0);
}

static void stop(void)
{
    guest_fini(&guest);
}

/* Two pages, a hole of one, a page; a device; a block. */
static void map_some(void)
{
    const struct guest_area areas[] = {
        {GIB(1), KIB(8), RIG_DATA, RIG_RW},
        {GIB(1) + KIB(12), KIB(4), RIG_DATA + KIB(64), S2_READ},
        {GIB(1) + KIB(16), KIB(4), RIG_DATA + KIB(128), RIG_RW | S2_DEVICE_nGnRE},
        {GIB(2), MIB(2), RIG_DATA + MIB(2), RIG_RW},
    };

    guest_map_all(&guest, areas, COUNT(areas));
    sim_clear();
}

/* How often each line was cleaned since the log was cleared. */
static void count_lines(void)
{
    const struct sim_event *events = sim_events();

    memset(cleaned, 0, sizeof(cleaned));
    for (size_t i = 0; i < sim_event_total(); i++) {
        if (events[i].kind == SIM_DC_CIVAC) {
            const unsigned char *line = events[i].slot;

            ck_assert(line >= guest.memory.bytes && line < guest.memory.bytes + MEMORY);
            cleaned[(size_t)(line - guest.memory.bytes) / GUEST_LINE]++;
        }
    }
}

static void expect(uint64_t offset, uint64_t size, unsigned times)
{
    for (uint64_t i = offset / GUEST_LINE; i < (offset + size) / GUEST_LINE; i++) {
        if (cleaned[i] != times) {
            ck_abort_msg("line %u of the memory was cleaned %u times", (unsigned)i, cleaned[i]);
        }
    }
}

#undef SETUP
#define SETUP start
#undef TEARDOWN
#define TEARDOWN stop

TEST(clean_reaches_all_that_is_mapped_and_no_device)
{
    map_some();
    MUST(s2_space_clean(&guest.space, ipa_range(0, GIB(4))));
    count_lines();
    expect(0, KIB(8), 1);
    expect(KIB(8), KIB(56), 0);
    expect(KIB(64), KIB(4), 1);
    expect(KIB(68), MIB(2) - KIB(68), 0);
    expect(MIB(2), MIB(2), 1);
    ck_assert_uint_eq(sim_write_count() + sim_tlbi_count(), 0);
    ck_assert_uint_ge(sim_event_count(SIM_DSB_ISH), 1);
    ck_assert_uint_eq(guest.memory.opened, guest.memory.closed);
}

TEST(clean_of_a_part_reaches_that_part)
{
    map_some();
    MUST(s2_space_clean(&guest.space, ipa_range(GIB(2) + KIB(4), KIB(8))));
    MUST(s2_space_clean(&guest.space, ipa_range(GIB(3), KIB(8))));
    count_lines();
    expect(0, MIB(2) + KIB(4), 0);
    expect(MIB(2) + KIB(4), KIB(8), 1);
    expect(MIB(2) + KIB(12), MIB(2) - KIB(12), 0);
}

TEST_EACH(clean_in_steps_reaches_each_line_once, 4)
{
    static const size_t budgets[] = {1, 64, 100, 5000};
    struct s2_cursor cursor = s2_cursor(ipa_range(0, GIB(4)));
    unsigned steps = 0;

    map_some();
    while (!s2_cursor_is_done(&cursor)) {
        const size_t before = sim_event_count(SIM_DC_CIVAC);

        MUST(s2_space_clean_step(&guest.space, &cursor, budgets[_i]));
        ck_assert_uint_le(sim_event_count(SIM_DC_CIVAC) - before, budgets[_i] + 64);
        steps++;
    }
    ck_assert_uint_ge(steps, MIB(2) / GUEST_LINE / (budgets[_i] + 64));
    count_lines();
    expect(0, KIB(8), 1);
    expect(KIB(64), KIB(4), 1);
    expect(MIB(2), MIB(2), 1);
}

TEST(clean_of_no_range_is_refused)
{
    struct s2_cursor none = s2_cursor(ipa_range(GIB(1), 0));

    map_some();
    ck_assert_int_eq(s2_space_clean(&guest.space, ipa_range(GIB(1) + 1, KIB(4))),
                     MAPPING_INVALID_PARAM);
    ck_assert_int_eq(s2_space_clean(&guest.space, ipa_range(UINT64_MAX - KIB(4) + 1, KIB(8))),
                     MAPPING_INVALID_PARAM);
    ck_assert_int_eq(s2_space_clean_step(&guest.space, &none, 1), MAPPING_INVALID_PARAM);
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), 0);
}

/* The rest is cleaned all the same; a step stays where it was. */
TEST(clean_of_what_does_not_open_says_so)
{
    struct s2_cursor cursor = s2_cursor(ipa_range(GIB(1), KIB(64)));

    map_some();
    guest.memory.refuse_from = guest.memory.opened + 1;
    guest.memory.refuse_count = 1;
    ck_assert_int_eq(s2_space_clean(&guest.space, ipa_range(0, GIB(4))), MAPPING_DENIED);
    count_lines();
    expect(0, KIB(4), 0);
    expect(KIB(64), KIB(4), 1);
    expect(MIB(2), MIB(2), 1);
    guest.memory.refuse_from = guest.memory.opened + 1;
    ck_assert_int_eq(s2_space_clean_step(&guest.space, &cursor, 1), MAPPING_DENIED);
    ck_assert(ipa_eq(cursor.next, ipa_of(GIB(1))));
    guest.memory.refuse_from = 0;
    MUST(s2_space_clean_step(&guest.space, &cursor, S2_STEP_ALL));
    ck_assert(s2_cursor_is_done(&cursor));
}

#undef SETUP
#define SETUP start_unreached

/* Frames of the pool can be reached, and nothing else. */
TEST(clean_without_a_way_to_memory_is_not_supported)
{
    pa_t frame;

    MUST(frame_pool_alloc(&guest.rig.pool, 0, &frame));
    guest_map(&guest, (struct guest_area){GIB(1), KIB(4), frame.raw, RIG_RW});
    sim_clear();
    MUST(s2_space_clean(&guest.space, ipa_range(0, GIB(4))));
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), KIB(4) / GUEST_LINE);
    guest_map(&guest, (struct guest_area){GIB(2), KIB(4), RIG_DATA, RIG_RW});
    ck_assert_int_eq(s2_space_clean(&guest.space, ipa_range(0, GIB(4))), MAPPING_UNSUPPORTED);
    guest_unmap(&guest, GIB(1), KIB(4));
    MUST(frame_pool_free(&guest.rig.pool, frame, 0));
}
