/*
 * test_moving.c - hardware that moves is judged: what it does, and what it complains about.
 *
 * A page is mapped by the library; then its descriptor is written by hand, rightly and wrongly,
 * while walkers look and, where the hardware may, AF and dirty state are set.
 */
#include "stage2/arch/arch.h"
#include "tests/unit/judged.h"
#include "tests/unit/test.h"

#include <check.h>
#include <string.h>

#define SUITE "moving"

#define IPA UINT64_C(0x40000000)
#define BROKEN (UINT64_C(1) << 63)
#define VALID UINT64_C(1)
#define TYPE UINT64_C(3)
#define AF UINT64_C(0x400)
#define S2AP_WRITE UINT64_C(0x80)
#define SOFTWARE (UINT64_C(1) << 56)
#define MOVED (UINT64_C(1) << 28) /* elsewhere in guests' memory */
#define CLEAN (S2_READ | S2_DBM | S2_NO_AF)

static struct judged judged;

/* A page at IPA, hardware at rest; problems are recorded. */
static void open_page(mapping_flags_t flags, uint64_t seed)
{
    struct judged_setup setup = judged_setup_of(&judged_shapes[0]);

    setup.verdict = STALE_TLB_RECORDS;
    setup.is_moving = false;
    setup.seed = seed;
    judged_open(&judged, setup);
    judged_must(&judged,
                (struct judged_step){0, JUDGED_MAP, IPA, judged_page(&judged), JUDGED_DATA, flags});
    moving_watch(&judged.moving, judged.guests[0], IPA);
}

/* The descriptor of the page, where it lies. */
static s2_desc_t *page_slot(void)
{
    const struct reach_guest *guest = &judged.tlb.reach.guests[judged.guests[0]];
    const struct mmu_result found = mmu_translate(&guest->mmu, IPA, MMU_READ);

    ck_assert(found.has_leaf);
    return sim_memory_ptr(&judged.memory, pa_of(found.walk_pa[found.walk_count - 1]));
}

static void put(s2_desc_t *slot, uint64_t desc)
{
    arch_desc_store(slot, (s2_desc_t){desc});
}

/* --- What walkers see ------------------------------------------------------------------------ */

/* What is xor-ed into the descriptor, one after the other, from what it was at first. */
static const struct {
    const char *problem;
    uint64_t changes[4];
    unsigned count;
} walks[] = {
    {NULL, {0}, 0},
    {NULL, {SOFTWARE}, 1},
    {NULL, {BROKEN | VALID, MOVED}, 2},
    {NULL, {BROKEN | VALID, 0}, 2},
    {"left between break and make", {BROKEN | VALID}, 1},
    {"a walker saw neither the old translation nor the new", {MOVED, MOVED * 2}, 2},
    {"a walker saw neither the old translation nor the new", {MOVED, 0}, 2},
    {"a walker saw the old translation after the new one", {MOVED, 0, MOVED}, 3},
    {"a walk meets what is no descriptor", {UINT64_C(0x3000000000000)}, 1},
};

TEST_EACH(walk_during_a_change_is_judged, COUNT(walks))
{
    const char *problem;
    s2_desc_t *slot;
    uint64_t first;

    open_page(S2_READ, 1);
    slot = page_slot();
    first = slot->raw;
    moving_begin(&judged.moving);
    for (unsigned i = 0; i < walks[_i].count; i++) {
        put(slot, first ^ walks[_i].changes[i]);
    }
    problem = moving_end(&judged.moving);
    if (walks[_i].problem == NULL) {
        ck_assert_ptr_null(problem);
    } else {
        ck_assert_str_eq(problem, walks[_i].problem);
        ck_assert_ptr_nonnull(strstr(moving_story(&judged.moving), "VMID 17, IPA 0x40000000"));
    }
    judged_abandon(&judged);
}

/* A hole where a page is, before and after: the guest's fault would look like its own. */
TEST(hole_instead_of_a_broken_descriptor_is_found)
{
    s2_desc_t *slot;
    uint64_t first;

    open_page(S2_READ, 1);
    slot = page_slot();
    first = slot->raw;
    moving_begin(&judged.moving);
    put(slot, 0);
    put(slot, first ^ MOVED);
    ck_assert_str_eq(moving_end(&judged.moving),
                     "what stays mapped looked like a hole, with no mark that it is broken");
    judged_abandon(&judged);
}

TEST(write_into_another_guest_is_found)
{
    s2_desc_t *slot;

    open_page(S2_READ, 1);
    slot = page_slot();
    moving_unwatch_all(&judged.moving);
    judged.setup.is_moving = true;
    sim_set_cpu(0);
    /* While guest 1 is mapped something, guest 0's page moves to and fro, by another hand. */
    moving_watch(&judged.moving, judged.guests[0], IPA);
    moving_begin(&judged.moving);
    put(slot, slot->raw ^ MOVED);
    ck_assert_int_eq(s2_table_map(&judged.tables[1], ipa_range(IPA, judged_page(&judged)),
                                  pa_of(JUDGED_DATA), S2_READ),
                     MAPPING_OK);
    put(slot, slot->raw ^ MOVED);
    ck_assert_str_eq(moving_end(&judged.moving),
                     "a walker saw neither the old translation nor the new");
    judged_abandon(&judged);
}

/* --- What hardware writes -------------------------------------------------------------------- */

TEST(access_sets_what_hardware_would)
{
    s2_desc_t *slot;
    uint64_t first;

    open_page(CLEAN, 1);
    slot = page_slot();
    first = slot->raw;
    ck_assert(!moving_access(&judged.moving, judged.guests[0], IPA, MMU_FETCH_EL1));
    ck_assert_uint_eq(slot->raw, first | AF);
    ck_assert(moving_access(&judged.moving, judged.guests[0], IPA, MMU_WRITE));
    ck_assert_uint_eq(slot->raw, first | AF | S2AP_WRITE);
    ck_assert_uint_eq(judged.moving.updates, 2);
    ck_assert_uint_eq(moving_record_count(&judged.moving), 1);
    ck_assert(moving_record_at(&judged.moving, 0)->is_written);
    ck_assert(
        !moving_access(&judged.moving, judged.guests[0], IPA + judged_page(&judged), MMU_READ));
    ck_assert_uint_eq(judged.moving.updates, 2);
    judged_close(&judged);
}

/* What a page that was written must still show: descriptor bits that a bad hand clears. */
static const struct {
    const char *problem;
    uint64_t cleared;
} losses[] = {
    {NULL, 0},
    {"a page that was accessed does not show it", AF},
    {"a page that was written is not dirty", S2AP_WRITE},
    {"a page that was accessed is not mapped any more", TYPE},
};

TEST_EACH(state_that_is_lost_is_found, 2 * COUNT(losses))
{
    const bool may_forget = _i >= (int)COUNT(losses);
    const size_t which = (size_t)_i % COUNT(losses);
    s2_desc_t *slot;
    const char *problem;

    open_page(CLEAN, 1);
    slot = page_slot();
    ck_assert(moving_access(&judged.moving, judged.guests[0], IPA, MMU_WRITE));
    if (may_forget) {
        moving_may_forget(&judged.moving, judged.guests[0], IPA, judged_page(&judged));
    }
    slot->raw &= ~losses[which].cleared; /* not an event: what the operation ends in counts */
    if (losses[which].cleared == TYPE) {
        slot->raw = 0;
    }
    moving_unwatch_all(&judged.moving);
    moving_begin(&judged.moving);
    problem = moving_end(&judged.moving);
    if (may_forget || losses[which].problem == NULL) {
        ck_assert_ptr_null(problem);
    } else {
        ck_assert_str_eq(problem, losses[which].problem);
    }
    judged_abandon(&judged);
}

#define SEEDS 32

/* One change of a live leaf where hardware writes: how often is something lost? */
static unsigned losses_of(bool is_atomic)
{
    unsigned lost = 0;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        s2_desc_t *slot;
        s2_desc_t seen;

        open_page(CLEAN, seed);
        slot = page_slot();
        moving_begin(&judged.moving);
        seen = arch_desc_load(slot);
        if (is_atomic) {
            while (!arch_desc_replace(slot, &seen, (s2_desc_t){seen.raw | SOFTWARE})) {
            }
        } else {
            put(slot, seen.raw | SOFTWARE);
        }
        lost += moving_end(&judged.moving) != NULL ? 1U : 0U;
        judged_abandon(&judged);
    }
    return lost;
}

TEST(load_then_store_loses_updates_and_is_found)
{
    ck_assert_uint_gt(losses_of(false), SEEDS / 8);
}

TEST(replacement_loses_no_update)
{
    ck_assert_uint_eq(losses_of(true), 0);
}

/* A swap answers the last state; who makes it again of what was loaded before forgets that. */
TEST(break_that_ignores_the_swap_loses_updates_and_is_found)
{
    unsigned lost = 0;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        s2_desc_t *slot;
        s2_desc_t seen;

        open_page(CLEAN, seed);
        slot = page_slot();
        moving_begin(&judged.moving);
        seen = arch_desc_load(slot);
        (void)arch_desc_swap(slot, (s2_desc_t){(seen.raw | BROKEN) & ~VALID});
        put(slot, seen.raw);
        lost += moving_end(&judged.moving) != NULL ? 1U : 0U;
        judged_abandon(&judged);
    }
    ck_assert_uint_gt(lost, SEEDS / 8);
}

/* --- Through stale pointers ------------------------------------------------------------------ */

/* Between the break of a table and the end of its flush walkers still write into it. */
TEST_EACH(fold_is_written_through_stale_pointers_and_keeps_all, judged_shape_count)
{
    const struct judged_shape *shape = &judged_shapes[_i];
    size_t updates = 0;

    for (uint64_t seed = 1; seed <= SEEDS / 8; seed++) {
        struct judged_setup setup = judged_setup_of(shape);
        const struct judged_step map = {0,           JUDGED_MAP,          0, shape->block,
                                        JUDGED_DATA, CLEAN | S2_CAP_PAGES};

        setup.seed = seed;
        judged_open(&judged, setup);
        judged_must(&judged, map);
        judged_must(&judged,
                    (struct judged_step){.verb = JUDGED_FOLD, .ipa = 0, .size = shape->block});
        updates += judged.moving.stale_updates;
        judged_close(&judged);
    }
    ck_assert_uint_gt(updates, 0);
}
