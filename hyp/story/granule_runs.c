#include "hyp/story/expect.h"
#include "hyp/story/granule_guest.h"

/*
 * Two contiguous runs of the guest, A and B, and a page P of A:
 *
 *      [ A  . . . . P . . . ][ B  . . . . . . . . ]
 *
 * What changes P must take the hint from all of A and from nothing of B; and when P is again what
 * its neighbours are, a fold gives the hint back. The guest uses P right before and right after.
 */
#define SEED 6
#define OTHER_WORD 0xbbbb000000000002
#define RW (S2_READ | S2_WRITE)

struct places {
    struct ipa_range a;
    struct ipa_range b;
    struct ipa_range page;
    ipa_t last; /* word of A */
    pa_t pa;    /* of A */
    pa_t page_pa;
};

static bool find_places(const struct granule_guest *on, struct places *places)
{
    uint64_t a = ipa_number(on->runs.start);
    struct s2_leaf leaf;

    places->a = ipa_range(a, on->run);
    places->b = ipa_range(a + on->run, on->run);
    places->page = ipa_range(a + on->run / 2, on->page);
    places->last = ipa_of(a + on->run - sizeof(uint64_t));
    if (s2_space_lookup(&on->guest->space, places->a.start, &leaf) != MAPPING_OK) {
        return false;
    }
    places->pa = leaf.pa;
    places->page_pa = pa_add(leaf.pa, on->run / 2);
    return true;
}

/* Words that are not as filled, in what is left of A and in all of B. */
static uint64_t wrong_around(const struct granule_guest *on, const struct places *places)
{
    struct ipa_range gone = places->page;
    uint64_t start = ipa_number(places->a.start);
    uint64_t before = ipa_number(gone.start) - start;
    uint64_t after = ipa_number(ipa_range_end(gone));
    uint64_t end = ipa_number(ipa_range_end(places->b));

    return guest_step(on->guest, GUEST_STEP_VERIFY, start, before, SEED).answer +
           guest_step(on->guest, GUEST_STEP_VERIFY, after, end - after, SEED).answer;
}

static void check_broken(const struct granule_guest *on, const struct places *places)
{
    check(guest_run_size(on->guest, places->a.start) == on->page &&
              guest_run_size(on->guest, places->last) == on->page &&
              guest_run_size(on->guest, places->b.start) == on->run,
          "A is single pages now, B is one run still");
    check(wrong_around(on, places) == 0, "all the rest of both holds what it held");
}

static void check_folded(const struct granule_guest *on, const struct places *places)
{
    check(s2_space_fold(&on->guest->space, on->runs) == MAPPING_OK &&
              guest_run_size(on->guest, places->page.start) == on->run &&
              guest_run_size(on->guest, places->a.start) == on->run,
          "EL2 folds: A is one run again");
    check(guest_step(on->guest, GUEST_STEP_VERIFY, ipa_number(on->runs.start), on->runs.size, SEED)
                  .answer == 0,
          "and the guest sees no difference");
}

static void check_unmap(const struct granule_guest *on, const struct places *places, pa_t other)
{
    struct guest *guest = on->guest;
    ipa_t page = places->page.start;
    uint64_t word = guest_pattern(ipa_number(page), SEED);

    check(guest_run_size(guest, page) == on->run, "before: the page is one of a run");
    expect_answer(guest_read(guest, page), word, "the guest uses it");
    check(s2_space_unmap(&guest->space, places->page) == MAPPING_OK, "EL2 unmaps that page alone");
    check_broken(on, places);
    expect_abort(guest_read(guest, page),
                 (struct expected_abort){S2_ACCESS_READ, S2_FAULT_TRANSLATION, S2_LEVEL_PAGE, page},
                 "the guest's next load");
    check(s2_space_map_linear(&guest->space, places->page, other, RW) == MAPPING_OK,
          "EL2 maps another frame there");
    expect_answer(guest_retry(guest), OTHER_WORD, "the same load, tried again, sees that frame");
    check(s2_space_replace_linear(&guest->space, places->page, places->page_pa, RW) == MAPPING_OK,
          "EL2 puts the first frame back in its place, in one operation");
    expect_answer(guest_read(guest, page), word, "the guest sees that one at once");
    check_folded(on, places);
}

static void check_protect_page(const struct granule_guest *on, const struct places *places)
{
    struct guest *guest = on->guest;
    ipa_t page = places->page.start;
    uint64_t word = guest_pattern(ipa_number(page), SEED);

    check(s2_space_protect(&guest->space, places->page, S2_READ) == MAPPING_OK,
          "EL2 makes that page alone read-only");
    check_broken(on, places);
    expect_abort(guest_write(guest, page, word),
                 (struct expected_abort){S2_ACCESS_WRITE, S2_FAULT_PERMISSION, S2_LEVEL_PAGE, page},
                 "the guest's next store");
    check(s2_space_protect(&guest->space, places->page, RW) == MAPPING_OK,
          "EL2 makes it writable again");
    expect_answer(guest_retry(guest), 0, "the same store, tried again, goes through");
    check_folded(on, places);
}

/* All of the run changes alike, so it stays one. */
static void check_protect_run(const struct granule_guest *on, const struct places *places)
{
    struct guest *guest = on->guest;
    uint64_t word = guest_pattern(ipa_number(places->last), SEED);

    check(s2_space_protect(&guest->space, places->a, S2_READ) == MAPPING_OK,
          "EL2 makes all of A read-only");
    check(guest_run_size(guest, places->last) == on->run, "it is one run still");
    expect_abort(
        guest_write(guest, places->last, word),
        (struct expected_abort){S2_ACCESS_WRITE, S2_FAULT_PERMISSION, S2_LEVEL_PAGE, places->last},
        "the guest's next store");
    check(s2_space_protect(&guest->space, places->a, RW) == MAPPING_OK,
          "EL2 makes it writable again");
    expect_answer(guest_retry(guest), 0, "the same store, tried again, goes through");
}

static void check_replace_run(const struct granule_guest *on, const struct places *places)
{
    struct guest *guest = on->guest;
    pa_t other = guest_take_block(guest, on->run);

    check(guest_read(guest, places->last).answer == guest_pattern(ipa_number(places->last), SEED) &&
              s2_space_replace_linear(&guest->space, places->a, other, RW) == MAPPING_OK,
          "EL2 puts other memory under all of A");
    expect_answer(guest_read(guest, places->last), 0, "the guest sees it at once");
    check(guest_run_size(guest, places->a.start) == on->run, "it is one run from the start");
    check(s2_space_replace_linear(&guest->space, places->a, places->pa, RW) == MAPPING_OK &&
              wrong_around(on, places) == 0,
          "and the first memory again, which holds what it held");
}

void granule_runs(const struct granule_guest *on)
{
    pa_t other = guest_take_block(on->guest, on->page);
    struct places places;

    *(uint64_t *)guest_frame(other) = OTHER_WORD;
    if (!check(find_places(on, &places), "the runs A and B are there")) {
        return;
    }
    guest_step(on->guest, GUEST_STEP_FILL, ipa_number(on->runs.start), on->runs.size, SEED);
    check_unmap(on, &places, other);
    check_protect_page(on, &places);
    check_protect_run(on, &places);
    check_replace_run(on, &places);
    check(s2_space_fold(&on->guest->space, on->runs) == MAPPING_OK &&
              s2_space_check(&on->guest->space),
          "areas, tables and pools agree");
}
