/*
 * test_table_pieces.c - several pieces of one operation share a flush: all that one may is broken
 * first, then flushed, then made.
 */
#include "tests/model/random.h"
#include "tests/unit/requests.h"
#include "tests/unit/space_fixture.h"
#include "tests/unit/test.h"

#include <check.h>
#include <stdlib.h>

#define SUITE "table_pieces"

#define DATA RIG_DATA
#define OTHER (RIG_DATA + GIB(4))
#define BASE GIB(1)
#define AREAS_MAX 12

static struct guest guest;
static struct rig rig;

/* --- The log --------------------------------------------------------------------------------- */

/* What the log says of an operation, event by event. */
struct story {
    size_t breaks;
    size_t makes;
    size_t flushes;    /* closing DSBs */
    size_t open;       /* broken, and neither made nor removed */
    bool has_deferred; /* something was taken away since the last closing DSB */
    bool is_closing;   /* stage 1 was invalidated, and the DSB is still to come */
};

static bool is_valid(uint64_t desc)
{
    return (desc & 1) != 0;
}

static bool is_broken(uint64_t desc)
{
    return !is_valid(desc) && desc >> 63 != 0;
}

static bool is_live_write(const struct sim_event *event)
{
    return event->done && (event->kind == SIM_STORE || event->kind == SIM_PUBLISH ||
                           event->kind == SIM_SWAP || event->kind == SIM_REPLACE);
}

static void story_write(struct story *story, const struct sim_event *event)
{
    if (is_valid(event->old) && is_broken(event->new)) {
        /* What was flushed together is made together, before more is broken. */
        ck_assert(story->has_deferred || story->open == 0);
        story->open++;
        story->breaks++;
    }
    if (is_broken(event->old) && !is_broken(event->new)) {
        ck_assert(event->new == 0 || !story->has_deferred);
        ck_assert_uint_gt(story->open, 0);
        story->open--;
        story->makes += event->new == 0 ? 0 : 1;
    }
    if (is_valid(event->old)) {
        story->has_deferred = true;
    }
}

static void story_event(struct story *story, const struct sim_event *event)
{
    if (is_live_write(event)) {
        story_write(story, event);
    } else if (event->kind == SIM_TLBI_VMALLE1IS || event->kind == SIM_TLBI_VMALLS12E1IS) {
        story->is_closing = true;
    } else if (event->kind == SIM_DSB_ISH && story->is_closing) {
        story->is_closing = false;
        story->has_deferred = false;
        story->flushes++;
    }
}

/* Of all that was logged. At its end nothing is to be invalidated, and nothing left broken. */
static struct story story_of_log(void)
{
    struct story story = {0};

    for (size_t i = 0; i < sim_event_total(); i++) {
        story_event(&story, &sim_events()[i]);
    }
    ck_assert_uint_eq(story.open, 0);
    ck_assert(!story.has_deferred && !story.is_closing);
    return story;
}

/* --- Many areas ------------------------------------------------------------------------------ */

enum layout { BLOCKS, PAGES, RUNS };
enum change { RESTRICT, RETYPE, UNMAP, REPLACE };

#define LAYOUTS (RUNS + 1)
#define CHANGES (REPLACE + 1)
#define NUMBERS (AREAS_MAX - 1) /* of areas: 2 and more */
#define SHARED_COUNT (LAYOUTS * CHANGES * NUMBERS)
#define EVERY 8                 /* MiB from area to area */
#define INTO (MIB(1) + KIB(12)) /* where the range begins in the first, and ends in the last */

static struct guest_area area_of(enum layout layout, size_t i)
{
    static const uint64_t skews[LAYOUTS] = {0, KIB(4), KIB(64)};

    return (struct guest_area){BASE + i * MIB(EVERY), MIB(4), DATA + i * MIB(EVERY) + skews[layout],
                               RIG_RW};
}

static struct ipa_range range_over(size_t count)
{
    return ipa_range(BASE + INTO, (count - 1) * MIB(EVERY));
}

static mapping_flags_t flags_after(enum change change)
{
    return change == RETYPE ? RIG_RW | S2_DEVICE_nGnRE : S2_READ;
}

static enum mapping_error change_range(enum change change, struct ipa_range range,
                                       mapping_flags_t flags)
{
    if (change == UNMAP) {
        return s2_space_unmap(&guest.space, range);
    }
    if (change == REPLACE) {
        return s2_space_replace_linear(&guest.space, range, pa_of(OTHER + (range.start.raw - BASE)),
                                       RIG_RW);
    }
    return s2_space_protect(&guest.space, range, flags);
}

/* How many areas there are then: the first and the last are cut. */
static size_t areas_after(enum change change, size_t count)
{
    return change == UNMAP ? 2 : change == REPLACE ? 3 : count + 2;
}

/* Pieces that break what stays: those whose type changes or that are runs, all; else those that end
 * inside a block or run. */
static size_t breaking(enum layout layout, enum change change, size_t count)
{
    if (change == RETYPE || (layout == RUNS && change == RESTRICT)) {
        return count;
    }
    return layout == PAGES ? 0 : 2;
}

static size_t flushes_for(size_t pieces)
{
    return pieces <= S2_PENDING_MAX ? 1 : (pieces + S2_PENDING_MAX - 1) / S2_PENDING_MAX;
}

static void change_and_look(enum layout layout, enum change change, size_t count,
                            mapping_flags_t flags)
{
    const size_t pieces = breaking(layout, change, count);
    struct story story;

    sim_clear();
    ck_assert_int_eq(change_range(change, range_over(count), flags), MAPPING_OK);
    monitor_quiesce(guest.rig.monitor);
    story = story_of_log();
    ck_assert_uint_eq(story.flushes, flushes_for(pieces));
    ck_assert_uint_eq(guest_flushes(), story.flushes);
    ck_assert((story.breaks > 0) == (pieces > 0));
    ck_assert((story.makes > 0) == (pieces > 0));
    /* Every descriptor follows from an area. */
    ck_assert(s2_space_check(&guest.space));
    ck_assert_uint_eq(memory_set_len(s2_space_areas(&guest.space)), areas_after(change, count));
}

TEST_EACH(change_over_many_areas_shares_the_flush, SHARED_COUNT)
{
    const enum layout layout = (enum layout)(_i % LAYOUTS);
    const enum change change = (enum change)(_i / LAYOUTS % CHANGES);
    const size_t count = 2 + (size_t)(_i / (LAYOUTS * CHANGES));
    struct rig_setup setup = guest_setup_fwb();

    setup.config.contiguous = layout == RUNS ? S2_CONTIGUOUS_ON : S2_CONTIGUOUS_OFF;
    setup.cpu.tlb = count % 2 == 0 ? 2 : 0;
    setup.frame_count = 128;
    guest_init(&guest, setup, GUEST_NODES, 0);
    for (size_t i = 0; i < count; i++) {
        guest_map(&guest, area_of(layout, i));
    }
    change_and_look(layout, change, count, flags_after(change));
    if (change == RETYPE) {
        /* And back: nothing sticks out any more. */
        change_and_look(layout, change, count, RIG_RW);
    }
    guest_fini(&guest);
}

/* --- Many areas past the caches -------------------------------------------------------------- */

#define CACHE_MEMORY MIB(16)
#define CACHE_EVERY KIB(256)
#define CACHE_NEW MIB(8) /* where the memory begins that a replace puts there */

static struct guest_area cached_area(size_t i)
{
    return (struct guest_area){BASE + i * CACHE_EVERY, KIB(128), DATA + i * CACHE_EVERY, RIG_RW};
}

/* Each line of the old memory that was in the range is cleaned once, and none while anything is
 * invalidated. */
static void assert_old_lines_are_cleaned(size_t count)
{
    unsigned char *cleaned = calloc(CACHE_NEW / GUEST_LINE, 1);
    struct story story = {0};

    ck_assert_ptr_nonnull(cleaned);
    for (size_t i = 0; i < sim_event_total(); i++) {
        const struct sim_event *event = &sim_events()[i];
        const uint64_t at =
            event->kind == SIM_DC_CIVAC
                ? (uint64_t)((const unsigned char *)event->slot - guest.memory.bytes)
                : CACHE_NEW;

        story_event(&story, event);
        if (at < CACHE_NEW) {
            ck_assert(!story.has_deferred && story.flushes > 0);
            cleaned[at / GUEST_LINE]++;
        }
    }
    for (uint64_t at = 0; at < CACHE_NEW; at += GUEST_LINE) {
        const uint64_t area = at / CACHE_EVERY, offset = at % CACHE_EVERY;
        const bool is_due = offset < KIB(128) && area < count && (area > 0 || offset >= KIB(4)) &&
                            (area < count - 1 || offset < KIB(4));

        if (cleaned[at / GUEST_LINE] != is_due) {
            ck_abort_msg("line 0x%llx is cleaned %d times", (unsigned long long)at,
                         cleaned[at / GUEST_LINE]);
        }
    }
    free(cleaned);
}

TEST_EACH(change_over_many_areas_cleans_each_after_the_closing_dsb, 3 * NUMBERS)
{
    const enum change change = (enum change)(RETYPE + _i % 3);
    const size_t count = 2 + (size_t)(_i / 3);
    const struct ipa_range range = ipa_range(BASE + KIB(4), (count - 1) * CACHE_EVERY);
    struct rig_setup setup = guest_setup();
    size_t flushes = flushes_for(count);

    setup.config.contiguous = S2_CONTIGUOUS_ON;
    guest_init(&guest, setup, GUEST_NODES, CACHE_MEMORY);
    for (size_t i = 0; i < count; i++) {
        guest_map(&guest, cached_area(i));
    }
    sim_clear();
    if (change == REPLACE) {
        ck_assert_int_eq(
            s2_space_replace_linear(&guest.space, range, pa_of(DATA + CACHE_NEW + KIB(4)), RIG_RW),
            MAPPING_OK);
    } else {
        ck_assert_int_eq(change_range(change, range, RIG_RW | S2_NORMAL_NC), MAPPING_OK);
    }
    monitor_quiesce(guest.rig.monitor);
    if (change != RETYPE) {
        /* One area more than can wait to be cleaned, and there is a flush in between. */
        flushes = 1 + (count - 2) / S2_RECLAIM_MAX;
    }
    ck_assert_uint_eq(story_of_log().flushes, flushes);
    assert_old_lines_are_cleaned(count);
    ck_assert(s2_space_check(&guest.space));
    guest_fini(&guest);
}

/* --- Pieces that touch ----------------------------------------------------------------------- */

/* Two pieces of one operation; places from BASE on, in KiB. OLD: memory where it was. */
#define UNMAP_AT(at, size) RIG_UNMAP, BASE + KIB(at), KIB(size), 0, 0
#define PROTECT_AT(at, size, flags) RIG_PROTECT, BASE + KIB(at), KIB(size), 0, flags
#define REPLACE_AT(at, size, pa) RIG_REPLACE, BASE + KIB(at), KIB(size), pa, 0
#define MAP_AT(at, size, flags) RIG_MAP, BASE + KIB(at), KIB(size), OTHER, flags
#define OLD(at, size, flags)                             \
    {                                                    \
        BASE + KIB(at), KIB(size), DATA + KIB(at), flags \
    }
#define NEW(at, size, pa, flags)             \
    {                                        \
        BASE + KIB(at), KIB(size), pa, flags \
    }
#define RW_NC (RIG_RW | S2_NORMAL_NC)
#define PAIR(name, first, second, flushes, size, ...) \
    {                                                 \
        name, {{first}, {second}}, flushes, size,     \
        {                                             \
            __VA_ARGS__                               \
        }                                             \
    }

static const struct pair {
    const char *name;
    struct rig_step steps[2];
    size_t flushes;
    uint64_t size; /* KiB that are mapped before */
    struct rig_map after[5];
} pairs[] = {
    PAIR("two pages of one block", PROTECT_AT(1024, 4, S2_READ), PROTECT_AT(1536, 4, S2_READ), 2,
         2048, OLD(0, 1024, RIG_RW), OLD(1024, 4, S2_READ), OLD(1028, 508, RIG_RW),
         OLD(1536, 4, S2_READ), OLD(1540, 508, RIG_RW)),
    PAIR("a page of each of two blocks", PROTECT_AT(0, 4, S2_READ), PROTECT_AT(4092, 4, S2_READ), 1,
         4096, OLD(0, 4, S2_READ), OLD(4, 4088, RIG_RW), OLD(4092, 4, S2_READ)),
    PAIR("two neighbours, both of another type", PROTECT_AT(0, 2048, RW_NC),
         PROTECT_AT(2048, 2048, RIG_RW | S2_DEVICE_GRE), 1, 4096, OLD(0, 2048, RW_NC),
         OLD(2048, 2048, RIG_RW | S2_DEVICE_GRE)),
    PAIR("both ends of a run, the first of another type", PROTECT_AT(0, 16, RW_NC),
         PROTECT_AT(32, 32, S2_READ), 2, 64, OLD(0, 16, RW_NC), OLD(16, 16, RIG_RW),
         OLD(32, 32, S2_READ)),
    PAIR("a page of each of two runs", UNMAP_AT(60, 4), UNMAP_AT(68, 4), 1, 128, OLD(0, 60, RIG_RW),
         OLD(64, 4, RIG_RW), OLD(72, 56, RIG_RW)),
    PAIR("a hole and another type in one block", UNMAP_AT(8, 4), PROTECT_AT(1024, 1024, RW_NC), 2,
         2048, OLD(0, 8, RIG_RW), OLD(12, 1012, RIG_RW), OLD(1024, 1024, RW_NC)),
    PAIR("other memory and a hole in one block", REPLACE_AT(8, 4, OTHER), UNMAP_AT(12, 4), 2, 2048,
         OLD(0, 8, RIG_RW), NEW(8, 4, OTHER, RIG_RW), OLD(16, 2032, RIG_RW)),
    PAIR("all of what the first put in its place", REPLACE_AT(0, 2048, OTHER + KIB(4)),
         PROTECT_AT(0, 2048, RW_NC), 2, 2048, NEW(0, 2048, OTHER + KIB(4), RW_NC)),
    PAIR("a hole, and a map in it", UNMAP_AT(8, 8), MAP_AT(8, 4, S2_READ), 1, 2048,
         OLD(0, 8, RIG_RW), NEW(8, 4, OTHER, S2_READ), OLD(16, 2032, RIG_RW)),
    PAIR("a hole, and a map elsewhere", UNMAP_AT(8, 8), MAP_AT(2048, 4, S2_READ), 1, 2048,
         OLD(0, 8, RIG_RW), OLD(16, 2032, RIG_RW), NEW(2048, 4, OTHER, S2_READ)),
};

static enum mapping_error piece_hold(struct s2_table *table, const struct rig_step *step)
{
    const struct s2_request request = rig_request(*step);

    return s2_table_hold(table, &request);
}

static void piece_do(struct s2_table *table, const struct rig_step *step)
{
    const struct s2_request request = rig_request(*step);

    s2_table_do(table, &request);
}

/* One operation of @count pieces: the answer of the first that is refused. */
static enum mapping_error do_pieces(struct s2_table *table, const struct rig_step steps[],
                                    size_t count)
{
    enum mapping_error error = MAPPING_OK;

    s2_table_begin(table);
    for (size_t i = 0; i < count && error == MAPPING_OK; i++) {
        error = piece_hold(table, &steps[i]);
    }
    for (size_t i = 0; i < count && error == MAPPING_OK; i++) {
        piece_do(table, &steps[i]);
    }
    s2_table_end(table);
    return error;
}

/* Where sizes change directly: fewer waits, nothing else. */
TEST_EACH(piece_that_touches_another_waits_until_it_is_made, 2 * COUNT(pairs))
{
    const struct pair *pair = &pairs[_i / 2];
    const bool is_direct = _i % 2 != 0;
    struct rig_setup setup = rig_setup_of(RIG_4K_40);
    size_t count = 0, flushes;

    setup.config.contiguous = S2_CONTIGUOUS_ON;
    setup.config.size_change = is_direct ? S2_SIZE_CHANGE_DIRECT : S2_SIZE_CHANGE_BREAK;
    setup.has_device = true;
    rig_init(&rig, setup);
    rig_must(&rig, (struct rig_step){RIG_MAP, BASE, pair->size * KIB(1), DATA, RIG_RW});
    sim_clear();
    ck_assert_int_eq(do_pieces(&rig.table, pair->steps, 2), MAPPING_OK);
    monitor_quiesce(rig.monitor);
    flushes = story_of_log().flushes;
    ck_assert_msg(is_direct ? flushes <= pair->flushes : flushes == pair->flushes,
                  "%s: %zu flushes", pair->name, flushes);
    while (count < COUNT(pair->after) && pair->after[count].size != 0) {
        count++;
    }
    rig_assert_maps(&rig, &rig.table, pair->after, count);
    rig_fini(&rig);
}

/* Verbs inside an open operation: each counts what the one before has made. Two tables for the
 * first page of a 1G block, one more for a page in another of its 2M blocks. */
TEST(verb_inside_an_operation_finds_the_one_before_made)
{
    rig_init(&rig, rig_setup_of(RIG_4K_40));
    rig_must(&rig, (struct rig_step){RIG_MAP, GIB(1), GIB(1), DATA, RIG_RW});
    rig_leave(&rig, 3);
    sim_clear();
    s2_table_begin(&rig.table);
    ck_assert_int_eq(s2_table_protect(&rig.table, ipa_range(GIB(1), KIB(4)), S2_READ), MAPPING_OK);
    ck_assert_int_eq(s2_table_protect(&rig.table, ipa_range(GIB(1) + MIB(512), KIB(4)), S2_READ),
                     MAPPING_OK);
    ck_assert_int_eq(s2_table_unmap(&rig.table, ipa_range(GIB(2) - KIB(4), KIB(4))),
                     MAPPING_NO_FRAME);
    s2_table_end(&rig.table);
    ck_assert_uint_eq(story_of_log().flushes, 2);
    rig_assert_maps(
        &rig, &rig.table,
        (struct rig_map[]){
            {GIB(1), KIB(4), DATA, S2_READ},
            {GIB(1) + KIB(4), MIB(512) - KIB(4), DATA + KIB(4), RIG_RW},
            {GIB(1) + MIB(512), KIB(4), DATA + MIB(512), S2_READ},
            {GIB(1) + MIB(512) + KIB(4), MIB(512) - KIB(4), DATA + MIB(512) + KIB(4), RIG_RW},
        },
        4);
    rig_fini(&rig);
}

/* --- What a change costs --------------------------------------------------------------------- */

/* With ranges and without. */
static void start_cost(int i, size_t frames)
{
    struct rig_setup setup =
        i % 2 == 0 ? rig_setup_of(RIG_4K_40) : rig_setup_without_ranges(RIG_4K_40);

    setup.frame_count = frames;
    rig_init(&rig, setup);
}

static const struct rig_step splits[] = {
    {RIG_UNMAP, GIB(1) + MIB(3), KIB(4), 0, 0},
    {RIG_PROTECT, GIB(1) + MIB(3), KIB(4), 0, S2_READ},
    {RIG_PROTECT, GIB(1) + MIB(3), KIB(4), 0, RIG_RW | S2_NORMAL_NC},
    {RIG_REPLACE, GIB(1) + MIB(3), KIB(4), OTHER, 0},
    {RIG_UNMAP, GIB(1) + MIB(3), GIB(1), 0, 0}, /* at both ends */
    {RIG_PROTECT, GIB(1) + MIB(3), GIB(1), 0, RIG_RW | S2_NORMAL_NC},
    {RIG_REPLACE, GIB(1) + MIB(3), GIB(1), OTHER + MIB(3), 0},
};

TEST_EACH(split_flushes_once, 2 * COUNT(splits))
{
    start_cost(_i, 64);
    rig_must(&rig, (struct rig_step){RIG_MAP, GIB(1), GIB(2), DATA, RIG_RW});
    sim_clear();
    rig_must(&rig, splits[_i / 2]);
    ck_assert_uint_eq(story_of_log().flushes, 1);
    ck_assert_uint_eq(guest_flushes(), 1);
    ck_assert_uint_eq(s2_table_tlb_counters(&rig.table)->flushes, 1);
    ck_assert_uint_le(sim_tlbi_count(), 3);
    rig_fini(&rig);
}

/* 512 pages, protected, or 1 GiB of them, unmapped: a range and stage 1, or the whole VMID. */
TEST_EACH(change_of_many_pages_costs_two_tlbis_or_one, 4)
{
    const struct rig_step steps[] = {
        {RIG_PROTECT, GIB(1) + KIB(4), MIB(2), 0, S2_READ},
        {RIG_UNMAP, GIB(1), GIB(1), 0, 0},
    };

    start_cost(_i, 600);
    rig_must(&rig, (struct rig_step){RIG_MAP, GIB(1), GIB(1), DATA, RIG_RW | S2_CAP_PAGES});
    sim_clear();
    rig_must(&rig, steps[_i / 2]);
    ck_assert_uint_eq(story_of_log().flushes, 1);
    ck_assert_uint_eq(guest_flushes(), 1);
    ck_assert_uint_eq(sim_tlbi_count(), _i % 2 == 0 ? 2 : 1);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_RIPAS2E1IS), _i % 2 == 0 ? 1 : 0);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_VMALLS12E1IS), _i % 2 == 0 ? 0 : 1);
    rig_fini(&rig);
}

/* --- What an operation has unmapped ---------------------------------------------------------- */

static struct ipa_range pages_at(uint64_t first, uint64_t count)
{
    return ipa_range(BASE + first * KIB(4), count * KIB(4));
}

/* Held, of those pages; what is mapped lies at OTHER. */
static enum mapping_error hold_map_pages(uint64_t first, uint64_t count)
{
    return hold_map(&rig.table, pages_at(first, count), pa_of(OTHER), RIG_RW);
}

static enum mapping_error hold_unmap_page(uint64_t page)
{
    return hold_unmap(&rig.table, pages_at(page, 1));
}

#define EXPECT(error, call) ck_assert_int_eq(call, MAPPING_##error)

static void start_three_pages(void)
{
    rig_init(&rig, rig_setup_of(RIG_4K_40));
    rig_must(&rig, (struct rig_step){RIG_MAP, BASE, KIB(12), DATA, RIG_RW});
    s2_table_begin(&rig.table);
}

/* An unmap is over once it is done: what is mapped after it in the same operation is mapped. */
TEST_EACH(map_over_a_map_over_an_unmap_is_refused, 3)
{
    const uint64_t page = (uint64_t)_i; /* of those unmapped */

    start_three_pages();
    ck_assert_int_eq(s2_table_unmap(&rig.table, pages_at(0, 3)), MAPPING_OK);
    ck_assert_int_eq(s2_table_map(&rig.table, pages_at(page, 1), pa_of(OTHER), RIG_RW), MAPPING_OK);
    ck_assert_int_eq(s2_table_map(&rig.table, pages_at(page, 1), pa_of(OTHER + KIB(8)), S2_READ),
                     MAPPING_ALREADY_EXISTS);
    ck_assert_int_eq(s2_table_map(&rig.table, pages_at(0, 3), pa_of(OTHER), S2_READ),
                     MAPPING_ALREADY_EXISTS);
    s2_table_end(&rig.table);
    rig_assert_map(&rig, &rig.table, (struct rig_map){BASE + page * KIB(4), KIB(4), OTHER, RIG_RW});
    rig_fini(&rig);
}

/* What was held is done before anything else is held, or done: the page between the two is mapped,
 * and held by nobody, and a verb may not take it for a hole. */
TEST_EACH_DIES(anything_else_between_held_and_done_is_death, 3)
{
    start_three_pages();
    EXPECT(OK, hold_unmap_page(0));
    if (_i == 0) {
        do_unmap(&rig.table, pages_at(0, 1));
        do_unmap(&rig.table, pages_at(1, 1)); /* which was not held */
    }
    EXPECT(OK, hold_unmap_page(2));
    do_unmap(&rig.table, pages_at(0, 1));
    if (_i == 1) {
        EXPECT(OK, hold_map_pages(0, 1));
    } else {
        EXPECT(OK, s2_table_map(&rig.table, pages_at(1, 1), pa_of(OTHER), RIG_RW));
    }
}

/* When all is done, the operation may go on. */
TEST(hold_after_all_is_done_goes_on)
{
    start_three_pages();
    for (uint64_t page = 0; page < 3; page++) {
        const struct ipa_range range = pages_at(page, 1);
        const pa_t pa = pa_of(OTHER + page * KIB(4));

        ck_assert_int_eq(hold_unmap(&rig.table, range), MAPPING_OK);
        ck_assert_int_eq(hold_map(&rig.table, range, pa, S2_READ), MAPPING_OK);
        do_unmap(&rig.table, range);
        do_map(&rig.table, range, pa, S2_READ);
    }
    s2_table_end(&rig.table);
    rig_assert_map(&rig, &rig.table, (struct rig_map){BASE, KIB(12), OTHER, S2_READ});
    rig_fini(&rig);
}

/* Also when what was done has broken a block that stays: it is made before the next is counted. */
TEST(hold_after_a_block_was_broken_finds_it_made)
{
    const struct ipa_range first = ipa_range(GIB(1), KIB(4));
    const struct ipa_range second = ipa_range(GIB(1) + MIB(512), KIB(4));

    rig_init(&rig, rig_setup_of(RIG_4K_40));
    rig_must(&rig, (struct rig_step){RIG_MAP, GIB(1), GIB(1), DATA, RIG_RW});
    rig_leave(&rig, 3); /* two tables for the first page, one more for the second */
    sim_clear();
    s2_table_begin(&rig.table);
    EXPECT(OK, hold_unmap(&rig.table, first));
    do_unmap(&rig.table, first);
    EXPECT(OK, hold_unmap(&rig.table, second));
    do_unmap(&rig.table, second);
    s2_table_end(&rig.table);
    ck_assert_uint_eq(story_of_log().flushes, 2);
    rig_assert_maps(
        &rig, &rig.table,
        (struct rig_map[]){
            {GIB(1) + KIB(4), MIB(512) - KIB(4), DATA + KIB(4), RIG_RW},
            {GIB(1) + MIB(512) + KIB(4), MIB(512) - KIB(4), DATA + MIB(512) + KIB(4), RIG_RW},
        },
        2);
    rig_fini(&rig);
}

/* Pieces one of which is over what another leaves: held against that, or refused. */
#define OVERLAP(name, first, second, error)        \
    {                                              \
        name, {{first}, {second}}, MAPPING_##error \
    }

static const struct overlap {
    const char *name;
    struct rig_step steps[2];
    enum mapping_error error; /* of the second */
} overlaps[] = {
    OVERLAP("map over a map", MAP_AT(16, 8, RIG_RW), MAP_AT(20, 8, RIG_RW), ALREADY_EXISTS),
    OVERLAP("map over half of a map of a block", MAP_AT(2048, 2048, RIG_RW),
            MAP_AT(3072, 4, RIG_RW), ALREADY_EXISTS),
    OVERLAP("unmap of a part of a map of a block", MAP_AT(2048, 2048, RIG_RW), UNMAP_AT(3072, 4),
            ALREADY_EXISTS),
    OVERLAP("protect of a part of a map of a block", MAP_AT(2048, 2048, RIG_RW),
            PROTECT_AT(3072, 4, S2_READ), ALREADY_EXISTS),
    OVERLAP("replace of a map", MAP_AT(16, 8, RIG_RW), REPLACE_AT(16, 4, DATA), ALREADY_EXISTS),
    OVERLAP("replace over a hole", UNMAP_AT(4, 4), REPLACE_AT(0, 12, OTHER), NOT_FOUND),
    OVERLAP("protect around a hole", UNMAP_AT(4, 4), PROTECT_AT(0, 12, S2_READ), OK),
    OVERLAP("unmap around a hole", UNMAP_AT(4, 4), UNMAP_AT(0, 12), OK),
    OVERLAP("map of more than a hole", UNMAP_AT(4, 4), MAP_AT(4, 8, RIG_RW), ALREADY_EXISTS),
};

TEST_EACH(piece_over_what_another_leaves_is_held_against_it, COUNT(overlaps))
{
    const struct overlap *overlap = &overlaps[_i];
    struct rig_snapshot before;

    start_three_pages();
    s2_table_end(&rig.table);
    monitor_quiesce(rig.monitor);
    rig_poison_free(&rig);
    rig_snapshot_take(&before, &rig);
    ck_assert_msg(do_pieces(&rig.table, overlap->steps, 2) == overlap->error, "%s", overlap->name);
    if (overlap->error != MAPPING_OK) {
        rig_snapshot_assert_same(&before, &rig);
    }
    rig_snapshot_free(&before);
    monitor_quiesce(rig.monitor);
    rig_fini(&rig);
}

/* A map inside a hole of a 1G block: what the split leaves is not counted once more, and what it
 * does not is. Both in KiB from the block on. */
static const struct hole_map {
    uint64_t hole, hole_size, map, map_size;
    uint64_t pa;
    size_t tables; /* of both: of the split, and what the map needs beside them */
} hole_maps[] = {
    {3072, 4, 3072, 4, OTHER, 2},
    {2048, 2048, 2048, 2048, OTHER, 1},
    {2048, 2048, 2048, 2048, OTHER + KIB(4), 2},
    {2048, 2048, 2056, 4, OTHER, 2},
    {3072, 8192, 6144, 4, OTHER, 4},
    {3072, 8192, 3072, 4, OTHER, 3},
    {3072, 8192, 10240, 1024, OTHER, 3},
    {3072, 8192, 3072, 8192, OTHER + MIB(1), 3},
    {3072, 8192, 3072, 8192, OTHER + KIB(4), 6},
    {0, 1048576, 3072, 4, OTHER, 2},
    {0, 1024, 512, 4, OTHER, 2},
    {1043456, 5120, 1048572, 4, OTHER, 3},
};

static void start_hole(size_t frames)
{
    rig_init(&rig, rig_setup_of(RIG_4K_40));
    rig_must(&rig, (struct rig_step){RIG_MAP, GIB(1), GIB(1), DATA, RIG_RW});
    rig_leave(&rig, frames);
    sim_clear();
}

/* The block, less the hole, with the map. */
static void assert_hole_map(const struct hole_map *each)
{
    const uint64_t hole = each->hole * KIB(1), end = hole + each->hole_size * KIB(1);
    struct rig_map maps[3];
    size_t count = 0;

    if (hole > 0) {
        maps[count++] = (struct rig_map){GIB(1), hole, DATA, RIG_RW};
    }
    maps[count++] =
        (struct rig_map){GIB(1) + each->map * KIB(1), each->map_size * KIB(1), each->pa, S2_READ};
    if (end < GIB(1)) {
        maps[count++] = (struct rig_map){GIB(1) + end, GIB(1) - end, DATA + end, RIG_RW};
    }
    rig_assert_maps(&rig, &rig.table, maps, count);
}

/* One frame short, the one or the other is refused. */
TEST_EACH(hold_map_inside_a_held_hole_counts_what_the_split_leaves, COUNT(hole_maps))
{
    const struct hole_map *each = &hole_maps[_i];
    const struct rig_step steps[] = {
        {RIG_UNMAP, GIB(1) + each->hole * KIB(1), each->hole_size * KIB(1), 0, 0},
        {RIG_MAP, GIB(1) + each->map * KIB(1), each->map_size * KIB(1), each->pa, S2_READ},
    };

    start_hole(each->tables - 1);
    ck_assert_int_eq(do_pieces(&rig.table, steps, 2), MAPPING_NO_FRAME);
    ck_assert_uint_eq(sim_change_count(), 0);
    rig_assert_map(&rig, &rig.table, (struct rig_map){GIB(1), GIB(1), DATA, RIG_RW});
    rig_leave(&rig, each->tables);
    s2_table_begin(&rig.table);
    ck_assert_int_eq(piece_hold(&rig.table, &steps[0]), MAPPING_OK);
    ck_assert_int_eq(piece_hold(&rig.table, &steps[1]), MAPPING_OK);
    ck_assert_uint_eq(frame_pool_available(&rig.pool), 0);
    piece_do(&rig.table, &steps[0]);
    piece_do(&rig.table, &steps[1]);
    s2_table_end(&rig.table);
    monitor_quiesce(rig.monitor);
    assert_hole_map(each);
    rig_fini(&rig);
}

/* Maps that do not touch, as many as are known; one more is refused, what joins one is not. */
TEST(more_maps_apart_than_are_known_are_refused)
{
    rig_init(&rig, rig_setup_of(RIG_4K_40));
    s2_table_begin(&rig.table);
    for (uint64_t i = 0; i < S2_STRETCHES_MAX; i++) {
        EXPECT(OK, hold_map_pages(2 * i, 1));
    }
    EXPECT(UNSUPPORTED, hold_map_pages(100, 1));
    EXPECT(OK, hold_map_pages(1, 1));
    EXPECT(OK, hold_map_pages(100, 1));
    s2_table_end(&rig.table);
    rig_fini(&rig);
}

/* Held unmaps in any order: holes that touch, or have nothing between them, are one; of more than
 * are known, a map over the last is refused. */
TEST_EACH(holes_are_known_exactly_whatever_the_order, 4)
{
    static const uint64_t orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {0, 3, 1, 2}, {2, 0, 3, 1}};

    rig_init(&rig, rig_setup_of(RIG_4K_40));
    rig_must(&rig, (struct rig_step){RIG_MAP, BASE, KIB(20), DATA, RIG_RW});
    s2_table_begin(&rig.table);
    for (size_t i = 0; i < 4; i++) {
        const uint64_t page = orders[_i][i];

        EXPECT(ALREADY_EXISTS, hold_map_pages(0, 4));
        EXPECT(OK, hold_unmap_page(page));
    }
    EXPECT(ALREADY_EXISTS, hold_map_pages(0, 5));
    EXPECT(OK, hold_map_pages(0, 4));
    for (size_t i = 0; i < 4; i++) {
        do_unmap(&rig.table, pages_at(orders[_i][i], 1));
    }
    do_map(&rig.table, pages_at(0, 4), pa_of(OTHER), RIG_RW);
    s2_table_end(&rig.table);
    rig_assert_maps(&rig, &rig.table,
                    (struct rig_map[]){{BASE, KIB(16), OTHER, RIG_RW},
                                       {BASE + KIB(16), KIB(4), DATA + KIB(16), RIG_RW}},
                    2);
    rig_fini(&rig);
}

TEST(map_over_a_hole_that_is_not_known_is_refused)
{
    rig_init(&rig, rig_setup_of(RIG_4K_40));
    rig_must(&rig,
             (struct rig_step){RIG_MAP, BASE, KIB(4) * 2 * (S2_STRETCHES_MAX + 1), DATA, RIG_RW});
    s2_table_begin(&rig.table);
    for (uint64_t i = 0; i <= S2_STRETCHES_MAX; i++) {
        EXPECT(OK, hold_unmap_page(2 * i));
    }
    EXPECT(OK, hold_map_pages(0, 1));
    EXPECT(ALREADY_EXISTS, hold_map_pages(2 * S2_STRETCHES_MAX, 1));
    s2_table_end(&rig.table);
    rig_fini(&rig);
}

/* A map beside a held unmap breaks nothing that stays, also where nothing may. */
TEST(map_beside_a_held_unmap_is_no_transient)
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);

    setup.config.transient = S2_TRANSIENT_REFUSED;
    rig_init(&rig, setup);
    rig_must(&rig, (struct rig_step){RIG_MAP, BASE, KIB(12), DATA, RIG_RW | S2_NO_CONTIGUOUS});
    s2_table_begin(&rig.table);
    EXPECT(OK, hold_unmap_page(0));
    EXPECT(OK, hold_map_pages(3, 1));
    do_unmap(&rig.table, pages_at(0, 1));
    do_map(&rig.table, pages_at(3, 1), pa_of(OTHER), RIG_RW);
    EXPECT(OK, hold_unmap_page(1));
    EXPECT(DENIED, hold_map_pages(1, 1));
    s2_table_end(&rig.table);
    rig_assert_maps(&rig, &rig.table,
                    (struct rig_map[]){{BASE + KIB(4), KIB(8), DATA + KIB(4), RIG_RW},
                                       {BASE + KIB(12), KIB(4), OTHER, RIG_RW}},
                    2);
    rig_fini(&rig);
}

/* --- At random ------------------------------------------------------------------------------- */

#define WORLD MIB(8)
#define ROUNDS 150
#define PIECES_MAX 12

struct random_run {
    struct random random;
    struct s2_table apart; /* every piece an operation of its own */
    bool is_wild;          /* pieces overlap, and come in any order */
    size_t flushes[2];     /* of those together, of those apart */
    size_t done;
};

static mapping_flags_t random_flags(struct random *random)
{
    static const mapping_flags_t kinds[] = {RIG_RW, S2_READ, RIG_RW | S2_NORMAL_NC,
                                            RIG_RW | S2_DEVICE_nGRE, RIG_RWX | S2_SOFT0};

    return kinds[random_below(random, COUNT(kinds))];
}

/* Pieces of all sizes; ascending and apart, unless @run is wild. Returns: how many. */
static size_t random_pieces(struct random_run *run, struct rig_step steps[])
{
    struct random *random = &run->random;
    static const enum rig_verb verbs[] = {RIG_UNMAP, RIG_PROTECT, RIG_PROTECT, RIG_REPLACE,
                                          RIG_MAP};
    const uint64_t count = 2 + random_below(random, PIECES_MAX - 1);
    uint64_t at = 0;
    size_t n = 0;

    while (n < count && at < WORLD) {
        const uint64_t skip = random_once_in(random, 3) ? 0 : random_below(random, WORLD / count);
        const uint64_t size = random_once_in(random, 2) ? KIB(4) : random_below(random, MIB(3));
        const uint64_t pa = random_below(random, 16) * MIB(2) + random_below(random, 3) * KIB(64);

        at = (run->is_wild ? random_below(random, WORLD) : at + skip) & ~(KIB(4) - 1);
        steps[n] =
            (struct rig_step){verbs[random_below(random, COUNT(verbs))], BASE + at,
                              (size & ~(KIB(4) - 1)) + KIB(4), OTHER + pa, random_flags(random)};
        at += steps[n].size;
        n++;
    }
    return n;
}

/* What the two hold of every page is the same. */
static void assert_alike(const struct random_run *run)
{
    for (uint64_t at = 0; at < 2 * WORLD; at += KIB(4)) {
        struct s2_leaf one = {.level = 0}, other = {.level = 0};
        const enum mapping_error error = s2_table_lookup(&rig.table, ipa_of(BASE + at), &one);

        if (error != s2_table_lookup(&run->apart, ipa_of(BASE + at), &other) ||
            (error == MAPPING_OK && (!pa_eq(one.pa, other.pa) || one.flags != other.flags))) {
            ck_abort_msg("0x%llx differs", (unsigned long long)at);
        }
    }
    ck_assert(s2_table_check(&rig.table) && s2_table_check(&run->apart));
}

/* All together, then one by one: whatever refuses the whole refuses a part. */
static void random_round(struct random_run *run)
{
    struct rig_step steps[PIECES_MAX];
    const size_t count = random_pieces(run, steps);
    enum mapping_error error;

    rig_poison_free(&rig);
    sim_clear();
    error = do_pieces(&rig.table, steps, count);
    monitor_quiesce(rig.monitor);
    run->flushes[0] += story_of_log().flushes;
    for (size_t i = 0; i < count && error == MAPPING_OK; i++) {
        sim_clear();
        ck_assert_int_eq(do_pieces(&run->apart, &steps[i], 1), MAPPING_OK);
        monitor_quiesce(rig.monitor);
        run->flushes[1] += story_of_log().flushes;
    }
    run->done += error == MAPPING_OK ? 1 : 0;
    assert_alike(run);
}

static void random_fill(struct s2_table *table)
{
    ck_assert_int_eq(s2_table_map(table, ipa_range(BASE, MIB(4)), pa_of(DATA), RIG_RW), MAPPING_OK);
    ck_assert_int_eq(
        s2_table_map(table, ipa_range(BASE + MIB(4), MIB(4)), pa_of(DATA + KIB(64)), RIG_RW),
        MAPPING_OK);
    monitor_quiesce(rig.monitor);
}

static void random_pieces_run(uint64_t seed, bool is_wild)
{
    static struct random_run run;
    struct rig_setup setup = rig_setup_of(RIG_4K_40);

    run = (struct random_run){.random = {seed}, .is_wild = is_wild};
    setup.config.contiguous = S2_CONTIGUOUS_ON;
    setup.config.size_change = seed % 2 == 0 ? S2_SIZE_CHANGE_BREAK : S2_SIZE_CHANGE_DIRECT;
    setup.frame_count = 128;
    rig_init(&rig, setup);
    ck_assert_int_eq(s2_table_init(&run.apart, &rig.setup.config, &rig.pool), MAPPING_OK);
    s2_table_set_vmid(&run.apart, RIG_VMID + 1);
    rig_judge(&rig, &run.apart);
    for (int i = 0; i < ROUNDS; i++) {
        /* Anew now and then, else all is small pages in the end. */
        if (i % 10 == 0) {
            rig_must(&rig, (struct rig_step){.verb = RIG_UNMAP, .ipa = 0, .size = TIB(1)});
            ck_assert_int_eq(s2_table_unmap(&run.apart, ipa_range(0, TIB(1))), MAPPING_OK);
            random_fill(&rig.table);
            random_fill(&run.apart);
        }
        random_round(&run);
    }
    ck_assert_uint_gt(run.done, is_wild ? ROUNDS / 16 : ROUNDS / 8);
    ck_assert_uint_lt(run.flushes[0], run.flushes[1]);
    rig_dismiss(&rig, &run.apart);
    ck_assert_int_eq(s2_table_fini(&run.apart), MAPPING_OK);
    rig_fini(&rig);
}

/* In order and apart; then overlapping, too. */
TEST_EACH(random_pieces_end_as_one_by_one, 12)
{
    random_pieces_run((uint64_t)_i % 6, _i >= 6);
}

/* --- A flush between hold and do -------------------------------------------------------------- */

static void unmap_deferring(struct ipa_range range)
{
    s2_table_begin(&rig.table);
    ck_assert_int_eq(hold_unmap(&rig.table, range), MAPPING_OK);
    do_unmap(&rig.table, range);
    ck_assert(s2_table_end_deferred(&rig.table, SIZE_MAX));
}

/* What is mapped where something is still to be flushed has that flushed first, and with it whole
 * subtrees that went in the meantime. Its own table stays, and is still the one it was held in. */
TEST_EACH(map_of_pages_that_flushes_a_subtree_first_finds_its_table, 4)
{
    const struct ipa_range pages = ipa_range(KIB(16), _i % 2 == 0 ? KIB(4) : KIB(8));
    const uint64_t subtree = _i / 2 == 0 ? GIB(1) : GIB(512); /* two tables, or three */
    struct s2_leaf leaf;

    rig_init(&rig, rig_setup_of(&rig_shapes[_i / 2]));
    rig_must(&rig, (struct rig_step){RIG_MAP, 0, KIB(64), DATA, RIG_RW | S2_CAP_PAGES});
    rig_must(&rig, (struct rig_step){RIG_MAP, subtree + KIB(4), KIB(4), OTHER, RIG_RW});
    unmap_deferring(pages);
    unmap_deferring(ipa_range(subtree, subtree));
    s2_table_begin(&rig.table);
    ck_assert_int_eq(hold_map(&rig.table, pages, pa_of(OTHER), RIG_RW), MAPPING_OK);
    do_map(&rig.table, pages, pa_of(OTHER), RIG_RW);
    s2_table_end(&rig.table);
    ck_assert_int_eq(s2_table_lookup(&rig.table, pages.start, &leaf), MAPPING_OK);
    ck_assert(pa_eq(leaf.pa, pa_of(OTHER)));
    ck_assert(s2_table_check(&rig.table));
    rig_fini(&rig);
}
