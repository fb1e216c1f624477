#include "hyp/machine/cpu.h"
#include "hyp/machine/sysreg.h"
#include "hyp/story/expect.h"
#include "hyp/story/plan.h"
#include "hyp/story/topics.h"

#define INCREMENTS 1000
#define ATOMIC_IPA (PLAN_BLOCKS_IPA + 0x40)
#define CODE_ANSWER 1234
#define OTHER_ANSWER 4321

static void check_state(struct guest *guest)
{
    struct guest_result state = guest_step(guest, GUEST_STEP_STATE, 0, 0, 0);
    uint64_t on = SCTLR_M | SCTLR_C | SCTLR_I;

    check(state.outcome == GUEST_DONE && (state.answer & on) == on,
          "it runs at EL1 with its own MMU and both caches on");
}

static void check_accesses(struct guest *guest)
{
    expect_answer(guest_step(guest, GUEST_STEP_UNALIGNED, PLAN_BLOCKS_IPA + 0x1000, 1, 0), 0,
                  "unaligned accesses across a page border inside a block");
    expect_answer(guest_step(guest, GUEST_STEP_UNALIGNED, PLAN_BLOCKS_IPA + 0x200000, 2, 0), 0,
                  "unaligned accesses across the border of two blocks");
    expect_answer(guest_step(guest, GUEST_STEP_UNALIGNED, PLAN_PAGES_IPA + 0x3000, 3, 0), 0,
                  "unaligned accesses across the border of two pages");
    expect_answer(guest_step(guest, GUEST_STEP_EXCLUSIVE, ATOMIC_IPA, INCREMENTS, 0), INCREMENTS,
                  "1000 atomic increments by load- and store-exclusive");
    if (cpu_has_lse()) {
        expect_answer(guest_step(guest, GUEST_STEP_LSE, ATOMIC_IPA, INCREMENTS, 0), INCREMENTS,
                      "1000 atomic increments by one instruction (LSE)");
    }
}

static void check_own_code(struct guest *guest)
{
    guest_step(guest, GUEST_STEP_COPY_CODE, PLAN_CODE_IPA, CODE_ANSWER, 0);
    expect_answer(guest_step(guest, GUEST_STEP_CALL, PLAN_CODE_IPA, 0, 0), CODE_ANSWER,
                  "it copies code and runs it");
    guest_step(guest, GUEST_STEP_COPY_CODE, PLAN_CODE_IPA, OTHER_ANSWER, 0);
    expect_answer(guest_step(guest, GUEST_STEP_CALL, PLAN_CODE_IPA, 0, 0), OTHER_ANSWER,
                  "it writes over that code and runs what it wrote");
    expect_answer(guest_step(guest, GUEST_STEP_CALL_EL0, PLAN_CODE_IPA, 0, 0), OTHER_ANSWER,
                  "it runs it at EL0 too, and comes back");
}

static void check_wait(struct guest *guest)
{
    struct guest_result woken = guest_step(guest, GUEST_STEP_WAIT, 0, 0, 0);

    check(woken.outcome == GUEST_DONE && woken.answer == 1 && guest->waits == 1,
          "it waits (WFI comes to EL2), and a virtual interrupt wakes it");
}

/* One VA, two ASIDs, two IPAs: and behind those, two frames that EL2 looks into. */
static void check_address_spaces(struct guest *guest)
{
    ipa_t window = ipa_of(GUEST_WINDOW_VA);
    ipa_t ipas[GUEST_ASIDS] = {ipa_of(PLAN_BLOCKS_IPA + 0x5000), ipa_of(PLAN_PAGES_IPA + 0x7000)};
    bool holds = true;

    for (unsigned i = 0; i < GUEST_ASIDS; i++) {
        guest_step(guest, GUEST_STEP_WINDOW, i + 1, 0, ipa_number(ipas[i]));
    }
    for (unsigned i = 0; i < GUEST_ASIDS; i++) {
        guest_step(guest, GUEST_STEP_USE_ASID, i + 1, 0, 0);
        guest_write(guest, window, guest_pattern(i, 1));
    }
    for (unsigned i = 0; i < GUEST_ASIDS; i++) {
        const uint64_t *frame = guest_memory(guest, ipas[i]);

        guest_step(guest, GUEST_STEP_USE_ASID, i + 1, 0, 0);
        holds = holds && guest_read(guest, window).answer == guest_pattern(i, 1) && frame != NULL &&
                *frame == guest_pattern(i, 1);
    }
    guest_step(guest, GUEST_STEP_USE_ASID, 1, 0, 0);
    check(holds, "two address spaces (ASIDs) of its own put one VA at two IPAs");
}

void topic_el1(struct guest *guest)
{
    check_state(guest);
    check_accesses(guest);
    check_own_code(guest);
    check_wait(guest);
    check_address_spaces(guest);
}
