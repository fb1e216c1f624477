#include "hyp/machine/cpu.h"
#include "hyp/machine/sysreg.h"
#include "hyp/story/expect.h"
#include "hyp/story/granule_guest.h"

#define INCREMENTS 100
#define CODE_ANSWER 1234

static void check_accesses(const struct granule_guest *on)
{
    struct guest *guest = on->guest;
    uint64_t runs = ipa_number(on->runs.start);
    uint64_t pages = ipa_number(on->pages.start);
    struct guest_result state = guest_step(guest, GUEST_STEP_STATE, 0, 0, 0);
    uint64_t enabled = SCTLR_M | SCTLR_C | SCTLR_I;

    check(state.outcome == GUEST_DONE && (state.answer & enabled) == enabled,
          "it runs at EL1 with its own MMU and both caches on");
    expect_answer(guest_step(guest, GUEST_STEP_UNALIGNED, runs + on->run, 1, 0), 0,
                  "unaligned accesses across the border of two runs");
    expect_answer(guest_step(guest, GUEST_STEP_UNALIGNED, pages + on->page, 2, 0), 0,
                  "unaligned accesses across the border of two pages");
    expect_answer(guest_step(guest, GUEST_STEP_EXCLUSIVE, runs, INCREMENTS, 0), INCREMENTS,
                  "atomic increments by load- and store-exclusive");
    if (cpu_has_lse()) {
        expect_answer(guest_step(guest, GUEST_STEP_LSE, runs, INCREMENTS, 0), INCREMENTS,
                      "atomic increments by one instruction (LSE)");
    }
}

void granule_el1(const struct granule_guest *on)
{
    uint64_t code = ipa_number(on->code.start);

    check_accesses(on);
    guest_step(on->guest, GUEST_STEP_COPY_CODE, code, CODE_ANSWER, 0);
    expect_answer(guest_step(on->guest, GUEST_STEP_CALL, code, 0, 0), CODE_ANSWER,
                  "it copies code and runs it");
    expect_answer(guest_step(on->guest, GUEST_STEP_CALL_EL0, code, 0, 0), CODE_ANSWER,
                  "it runs it at EL0 too, and comes back");
}
