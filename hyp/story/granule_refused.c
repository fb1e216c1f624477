#include "hyp/story/expect.h"
#include "hyp/story/granule_guest.h"

#define CODE_ANSWER 99

/* The guest stands at an access of @ipa that stage 2 refused, and passes over it. */
static void check_refused(const struct granule_guest *on, struct guest_result result,
                          enum s2_access access, enum s2_fault_kind kind, ipa_t ipa,
                          const char *what)
{
    expect_abort(result, (struct expected_abort){access, kind, walk_level(on->guest, ipa), ipa},
                 what);
    guest_pass(on->guest);
}

static void check_fetch(const struct granule_guest *on, struct ipa_range range, const char *what)
{
    uint64_t at = ipa_number(range.start) + on->page;

    guest_step(on->guest, GUEST_STEP_COPY_CODE, at, CODE_ANSWER, 0);
    check_refused(on, guest_step(on->guest, GUEST_STEP_CALL, at, 0, 0), S2_ACCESS_FETCH,
                  S2_FAULT_PERMISSION, ipa_of(at), what);
}

static void check_no_execute(const struct granule_guest *on)
{
    check_fetch(on, on->runs, "fetch from a no-execute run");
    check_fetch(on, on->pages, "fetch from a no-execute page");
    if (on->block.size != 0) {
        check_fetch(on, on->block, "fetch from a no-execute block");
    }
}

void granule_refused(const struct granule_guest *on)
{
    struct guest *guest = on->guest;
    ipa_t hole = ipa_of(GRANULE_HOLE_IPA + 0x128);
    ipa_t end = ipa_range_end(on->pages);

    check_refused(on, guest_write(guest, on->constants.start, 0), S2_ACCESS_WRITE,
                  S2_FAULT_PERMISSION, on->constants.start, "write to a read-only page");
    expect_answer(guest_read(guest, on->constants.start), GRANULE_CONSTANT,
                  "it is as it was, and the guest may read it");
    check_no_execute(on);
    check_refused(on, guest_read(guest, hole), S2_ACCESS_READ, S2_FAULT_TRANSLATION, hole,
                  "read of a hole");
    check_refused(on, guest_write(guest, hole, 1), S2_ACCESS_WRITE, S2_FAULT_TRANSLATION, hole,
                  "write to a hole");
    check_refused(on, guest_read(guest, end), S2_ACCESS_READ, S2_FAULT_TRANSLATION, end,
                  "the first word after an area");
}
