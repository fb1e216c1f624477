#include "hyp/story/expect.h"
#include "hyp/story/tour.h"

#define CODE_ANSWER 99

/* The guest stands at an access of @ipa that stage 2 refused, and passes over it. */
static void check_refused(const struct tour *tour, struct guest_result result,
                          enum abort_access access, enum abort_kind kind, ipa_t ipa,
                          const char *what)
{
    expect_abort(result, (struct expected_abort){access, kind, walk_level(tour->guest, ipa), ipa},
                 what);
    guest_pass(tour->guest);
}

static void check_fetch(const struct tour *tour, struct ipa_range range, const char *what)
{
    uint64_t at = ipa_number(range.start) + tour->page;

    guest_step(tour->guest, GUEST_STEP_COPY_CODE, at, CODE_ANSWER, 0);
    check_refused(tour, guest_step(tour->guest, GUEST_STEP_CALL, at, 0, 0), ABORT_FETCH,
                  ABORT_PERMISSION, ipa_of(at), what);
}

static void check_no_execute(const struct tour *tour)
{
    check_fetch(tour, tour->runs, "fetch from a no-execute run");
    check_fetch(tour, tour->pages, "fetch from a no-execute page");
    if (tour->block.size != 0) {
        check_fetch(tour, tour->block, "fetch from a no-execute block");
    }
}

void tour_denied(const struct tour *tour)
{
    struct guest *guest = tour->guest;
    ipa_t hole = ipa_of(TOUR_HOLE_IPA + 0x128);
    ipa_t end = ipa_range_end(tour->pages);

    check_refused(tour, guest_write(guest, tour->constants.start, 0), ABORT_WRITE, ABORT_PERMISSION,
                  tour->constants.start, "write to a read-only page");
    expect_answer(guest_read(guest, tour->constants.start), TOUR_CONSTANT,
                  "it is as it was, and the guest may read it");
    check_no_execute(tour);
    check_refused(tour, guest_read(guest, hole), ABORT_READ, ABORT_TRANSLATION, hole,
                  "read of a hole");
    check_refused(tour, guest_write(guest, hole, 1), ABORT_WRITE, ABORT_TRANSLATION, hole,
                  "write to a hole");
    check_refused(tour, guest_read(guest, end), ABORT_READ, ABORT_TRANSLATION, end,
                  "the first word after an area");
}
