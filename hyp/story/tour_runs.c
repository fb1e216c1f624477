#include "hyp/story/expect.h"
#include "hyp/story/tour.h"

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

static bool find_places(const struct tour *tour, struct places *places)
{
    uint64_t a = ipa_number(tour->runs.start);
    struct s2_leaf leaf;

    places->a = ipa_range(a, tour->run);
    places->b = ipa_range(a + tour->run, tour->run);
    places->page = ipa_range(a + tour->run / 2, tour->page);
    places->last = ipa_of(a + tour->run - sizeof(uint64_t));
    if (s2_space_lookup(&tour->guest->space, places->a.start, &leaf) != MAPPING_OK) {
        return false;
    }
    places->pa = leaf.pa;
    places->page_pa = pa_add(leaf.pa, tour->run / 2);
    return true;
}

/* Words that are not as filled, in what is left of A and in all of B. */
static uint64_t wrong_around(const struct tour *tour, const struct places *places)
{
    struct ipa_range gone = places->page;
    uint64_t start = ipa_number(places->a.start);
    uint64_t before = ipa_number(gone.start) - start;
    uint64_t after = ipa_number(ipa_range_end(gone));
    uint64_t end = ipa_number(ipa_range_end(places->b));

    return guest_step(tour->guest, GUEST_STEP_VERIFY, start, before, SEED).answer +
           guest_step(tour->guest, GUEST_STEP_VERIFY, after, end - after, SEED).answer;
}

static void check_broken(const struct tour *tour, const struct places *places)
{
    check(guest_run_size(tour->guest, places->a.start) == tour->page &&
              guest_run_size(tour->guest, places->last) == tour->page &&
              guest_run_size(tour->guest, places->b.start) == tour->run,
          "A is single pages now, B is one run still");
    check(wrong_around(tour, places) == 0, "all the rest of both holds what it held");
}

static void check_folded(const struct tour *tour, const struct places *places)
{
    check(s2_space_fold(&tour->guest->space, tour->runs) == MAPPING_OK &&
              guest_run_size(tour->guest, places->page.start) == tour->run &&
              guest_run_size(tour->guest, places->a.start) == tour->run,
          "EL2 folds: A is one run again");
    check(guest_step(tour->guest, GUEST_STEP_VERIFY, ipa_number(tour->runs.start), tour->runs.size,
                     SEED)
                  .answer == 0,
          "and the guest sees no difference");
}

static void check_unmap(const struct tour *tour, const struct places *places, pa_t other)
{
    struct guest *guest = tour->guest;
    ipa_t page = places->page.start;
    uint64_t word = guest_pattern(ipa_number(page), SEED);

    check(guest_run_size(guest, page) == tour->run, "before: the page is one of a run");
    expect_answer(guest_read(guest, page), word, "the guest uses it");
    check(s2_space_unmap(&guest->space, places->page) == MAPPING_OK, "EL2 unmaps that page alone");
    check_broken(tour, places);
    expect_abort(guest_read(guest, page),
                 (struct expected_abort){ABORT_READ, ABORT_TRANSLATION, S2_LEVEL_PAGE, page},
                 "the guest's next load");
    check(s2_space_map_linear(&guest->space, places->page, other, RW) == MAPPING_OK,
          "EL2 maps another frame there");
    expect_answer(guest_retry(guest), OTHER_WORD, "the same load, tried again, sees that frame");
    check(s2_space_replace_linear(&guest->space, places->page, places->page_pa, RW) == MAPPING_OK,
          "EL2 puts the first frame back in its place, in one operation");
    expect_answer(guest_read(guest, page), word, "the guest sees that one at once");
    check_folded(tour, places);
}

static void check_protect_page(const struct tour *tour, const struct places *places)
{
    struct guest *guest = tour->guest;
    ipa_t page = places->page.start;
    uint64_t word = guest_pattern(ipa_number(page), SEED);

    check(s2_space_protect(&guest->space, places->page, S2_READ) == MAPPING_OK,
          "EL2 makes that page alone read-only");
    check_broken(tour, places);
    expect_abort(guest_write(guest, page, word),
                 (struct expected_abort){ABORT_WRITE, ABORT_PERMISSION, S2_LEVEL_PAGE, page},
                 "the guest's next store");
    check(s2_space_protect(&guest->space, places->page, RW) == MAPPING_OK,
          "EL2 makes it writable again");
    expect_answer(guest_retry(guest), 0, "the same store, tried again, goes through");
    check_folded(tour, places);
}

/* All of the run changes alike, so it stays one. */
static void check_protect_run(const struct tour *tour, const struct places *places)
{
    struct guest *guest = tour->guest;
    uint64_t word = guest_pattern(ipa_number(places->last), SEED);

    check(s2_space_protect(&guest->space, places->a, S2_READ) == MAPPING_OK,
          "EL2 makes all of A read-only");
    check(guest_run_size(guest, places->last) == tour->run, "it is one run still");
    expect_abort(
        guest_write(guest, places->last, word),
        (struct expected_abort){ABORT_WRITE, ABORT_PERMISSION, S2_LEVEL_PAGE, places->last},
        "the guest's next store");
    check(s2_space_protect(&guest->space, places->a, RW) == MAPPING_OK,
          "EL2 makes it writable again");
    expect_answer(guest_retry(guest), 0, "the same store, tried again, goes through");
}

static void check_replace_run(const struct tour *tour, const struct places *places)
{
    struct guest *guest = tour->guest;
    pa_t other = guest_take_block(guest, tour->run);

    check(guest_read(guest, places->last).answer == guest_pattern(ipa_number(places->last), SEED) &&
              s2_space_replace_linear(&guest->space, places->a, other, RW) == MAPPING_OK,
          "EL2 puts other memory under all of A");
    expect_answer(guest_read(guest, places->last), 0, "the guest sees it at once");
    check(guest_run_size(guest, places->a.start) == tour->run, "it is one run from the start");
    check(s2_space_replace_linear(&guest->space, places->a, places->pa, RW) == MAPPING_OK &&
              wrong_around(tour, places) == 0,
          "and the first memory again, which holds what it held");
}

void tour_runs(const struct tour *tour)
{
    pa_t other = guest_take_block(tour->guest, tour->page);
    struct places places;

    *(uint64_t *)guest_frame(other) = OTHER_WORD;
    if (!check(find_places(tour, &places), "the runs A and B are there")) {
        return;
    }
    guest_step(tour->guest, GUEST_STEP_FILL, ipa_number(tour->runs.start), tour->runs.size, SEED);
    check_unmap(tour, &places, other);
    check_protect_page(tour, &places);
    check_protect_run(tour, &places);
    check_replace_run(tour, &places);
    check(s2_space_fold(&tour->guest->space, tour->runs) == MAPPING_OK &&
              s2_space_check(&tour->guest->space),
          "areas, tables and pools agree");
}
