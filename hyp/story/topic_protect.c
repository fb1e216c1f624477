#include "hyp/story/expect.h"
#include "hyp/story/plan.h"
#include "hyp/story/topics.h"

#define FRAME_SIZE MAPPING_BIT(MACHINE_FRAME_SHIFT)
#define BLOCK (PLAN_BLOCKS_IPA + 0x600000)
#define BLOCK_SIZE 0x200000
#define PAGE (BLOCK + 0x9000)
#define FIRST 0x1111000000000001
#define SECOND 0x2222000000000002
#define CODE_ANSWER 77

#define RW (S2_READ | S2_WRITE)

static const struct ipa_range page_range = IPA_RANGE_INIT(PAGE, MAPPING_BIT(MACHINE_FRAME_SHIFT));
static const struct ipa_range block_range = IPA_RANGE_INIT(BLOCK, BLOCK_SIZE);
static const struct ipa_range code_range = IPA_RANGE_INIT(PLAN_CODE_IPA, PLAN_CODE_SIZE);

static bool protect(struct guest *guest, struct ipa_range range, mapping_flags_t flags)
{
    return s2_space_protect(&guest->space, range, flags) == MAPPING_OK;
}

static struct expected_abort forbidden(struct guest *guest, enum s2_access access, uint64_t ipa)
{
    return (struct expected_abort){access, S2_FAULT_PERMISSION, walk_level(guest, ipa_of(ipa)),
                                   ipa_of(ipa)};
}

static void check_read_only(struct guest *guest)
{
    guest_write(guest, ipa_of(PAGE), FIRST);
    expect_answer(guest_read(guest, ipa_of(PAGE)), FIRST, "the guest writes and reads a page");
    check(protect(guest, page_range, S2_READ), "EL2 makes the page read-only");
    expect_abort(guest_write(guest, ipa_of(PAGE), SECOND), forbidden(guest, S2_ACCESS_WRITE, PAGE),
                 "the guest's next store");
    check(*(uint64_t *)guest_memory(guest, ipa_of(PAGE)) == FIRST, "the page is as it was");
    check(protect(guest, page_range, RW), "EL2 makes it writable again");
    expect_answer(guest_retry(guest), 0, "the same store, tried again, goes through");
    expect_answer(guest_read(guest, ipa_of(PAGE)), SECOND, "the guest reads what it stored");
    check(guest_write(guest, ipa_of(PAGE + FRAME_SIZE), FIRST).outcome == GUEST_DONE,
          "the page beside it was writable all the time");
}

static void check_block(struct guest *guest)
{
    check(s2_space_fold(&guest->space, block_range) == MAPPING_OK &&
              protect(guest, block_range, S2_READ),
          "EL2 folds the block, and makes it read-only as one");
    expect_leaf(guest, ipa_of(PAGE), BLOCK_SIZE, "it is one 2 MiB block still");
    expect_abort(guest_write(guest, ipa_of(PAGE), FIRST), forbidden(guest, S2_ACCESS_WRITE, PAGE),
                 "the guest's next store");
    check(protect(guest, block_range, RW), "EL2 makes it writable again");
    expect_answer(guest_retry(guest), 0, "the same store, tried again, goes through");
}

static void check_no_access(struct guest *guest)
{
    expect_answer(guest_read(guest, ipa_of(PAGE)), FIRST, "the guest reads the page");
    check(protect(guest, page_range, 0), "EL2 takes all permissions away");
    expect_abort(guest_read(guest, ipa_of(PAGE)), forbidden(guest, S2_ACCESS_READ, PAGE),
                 "the guest's next load");
    check(protect(guest, page_range, RW), "EL2 gives them back");
    expect_answer(guest_retry(guest), FIRST, "the same load, tried again, goes through");
}

static struct guest_result call(struct guest *guest, enum guest_step how)
{
    return guest_step(guest, how, PLAN_CODE_IPA, 0, 0);
}

static void check_execute(struct guest *guest)
{
    guest_step(guest, GUEST_STEP_COPY_CODE, PLAN_CODE_IPA, CODE_ANSWER, 0);
    expect_answer(call(guest, GUEST_STEP_CALL), CODE_ANSWER, "the guest runs code of its own");
    check(protect(guest, code_range, RW), "EL2 forbids to execute it");
    expect_abort(call(guest, GUEST_STEP_CALL), forbidden(guest, S2_ACCESS_FETCH, PLAN_CODE_IPA),
                 "the guest's next call");
    check(protect(guest, code_range, RW | S2_EXEC), "EL2 allows it again");
    expect_answer(guest_retry(guest), CODE_ANSWER, "the same call, tried again, goes through");
}

static void check_execute_by_level(struct guest *guest)
{
    if (!machine.cpu.has_xnx) {
        check(s2_space_protect(&guest->space, code_range, RW | S2_EXEC_EL0) == MAPPING_UNSUPPORTED,
              "this CPU cannot tell EL1's execution from EL0's, and the library says so");
        return;
    }
    check(protect(guest, code_range, RW | S2_EXEC_EL0), "EL2 allows EL0 alone to execute it");
    expect_answer(call(guest, GUEST_STEP_CALL_EL0), CODE_ANSWER, "EL0 runs it");
    expect_abort(call(guest, GUEST_STEP_CALL), forbidden(guest, S2_ACCESS_FETCH, PLAN_CODE_IPA),
                 "EL1's call");
    guest_pass(guest);
    check(protect(guest, code_range, RW | S2_EXEC_EL1), "EL2 allows EL1 alone to execute it");
    expect_answer(call(guest, GUEST_STEP_CALL), CODE_ANSWER, "EL1 runs it");
    expect_abort(call(guest, GUEST_STEP_CALL_EL0), forbidden(guest, S2_ACCESS_FETCH, PLAN_CODE_IPA),
                 "EL0's call");
    guest_pass(guest);
    check(protect(guest, code_range, RW | S2_EXEC), "EL2 allows both again");
}

/* A changed memory type goes by break-before-make; the frame and what it holds stay. */
static void check_memory_type(struct guest *guest)
{
    static const mapping_flags_t types[] = {S2_NORMAL_NC, S2_DEVICE_nGnRnE, S2_DEVICE_GRE,
                                            S2_NORMAL};
    bool holds = true;

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct s2_leaf leaf;

        guest_write(guest, ipa_of(PAGE), FIRST + i);
        holds = holds && protect(guest, page_range, RW | types[i]) &&
                guest_read(guest, ipa_of(PAGE)).answer == FIRST + i &&
                s2_space_lookup(&guest->space, ipa_of(PAGE), &leaf) == MAPPING_OK &&
                (leaf.flags & S2_TYPE) == types[i];
    }
    check(holds, "EL2 changes the memory type of the page four times while the guest runs");
}

void topic_protect(struct guest *guest)
{
    check_read_only(guest);
    check_block(guest);
    check_no_access(guest);
    check_execute(guest);
    check_execute_by_level(guest);
    check_memory_type(guest);
    check(s2_space_check(&guest->space), "areas, tables and pools agree");
}
