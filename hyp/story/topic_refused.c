#include "hyp/machine/sysreg.h"
#include "hyp/story/expect.h"
#include "hyp/story/plan.h"
#include "hyp/story/topics.h"

#define FRAME_SIZE MAPPING_BIT(MACHINE_FRAME_SHIFT)
#define CODE_ANSWER 99

#define WINDOW 1 /* which part of the window gets its table from a hole */

static struct expected_abort refused(struct guest *guest, enum s2_access access,
                                     enum s2_fault_kind kind, uint64_t ipa)
{
    return (struct expected_abort){access, kind, walk_level(guest, ipa_of(ipa)), ipa_of(ipa)};
}

static void check_read_only(struct guest *guest)
{
    uint64_t ipa = PLAN_CONSTANTS_IPA;
    struct guest_result result = guest_write(guest, ipa_of(ipa), 0);
    const uint64_t *word = guest_memory(guest, ipa_of(ipa));

    expect_abort(result, refused(guest, S2_ACCESS_WRITE, S2_FAULT_PERMISSION, ipa),
                 "write to a read-only page");
    check(result.abort.transfer.is_valid && result.abort.transfer.bytes == sizeof(*word),
          "the syndrome tells what the store was: 8 bytes");
    guest_pass(guest);
    check(word != NULL && *word == PLAN_CONSTANT, "the read-only page is as it was");
    expect_answer(guest_read(guest, ipa_of(ipa)), PLAN_CONSTANT, "and the guest may read it");
}

/* The same code runs where execution is allowed: topic_el1. */
static void check_fetch(struct guest *guest, uint64_t ipa, const char *what)
{
    guest_step(guest, GUEST_STEP_COPY_CODE, ipa, CODE_ANSWER, 0);
    expect_abort(guest_step(guest, GUEST_STEP_CALL, ipa, 0, 0),
                 refused(guest, S2_ACCESS_FETCH, S2_FAULT_PERMISSION, ipa), what);
    guest_pass(guest);
}

static void check_hole(struct guest *guest)
{
    uint64_t ipa = PLAN_HOLE_IPA + 0x128;

    expect_abort(guest_read(guest, ipa_of(ipa)),
                 refused(guest, S2_ACCESS_READ, S2_FAULT_TRANSLATION, ipa), "read of a hole");
    expect_answer(guest_pass(guest), GUEST_SKIPPED, "EL2 passes over the load, the guest goes on");
    expect_abort(guest_write(guest, ipa_of(ipa), 1),
                 refused(guest, S2_ACCESS_WRITE, S2_FAULT_TRANSLATION, ipa), "write to a hole");
    guest_pass(guest);
    expect_abort(guest_step(guest, GUEST_STEP_CALL, ipa, 0, 0),
                 refused(guest, S2_ACCESS_FETCH, S2_FAULT_TRANSLATION, ipa), "fetch from a hole");
    guest_pass(guest);
}

static void check_borders(struct guest *guest)
{
    uint64_t end = PLAN_PAGES_IPA + PLAN_PAGES_SIZE;
    uint64_t last = end - sizeof(uint64_t);

    check(guest_read(guest, ipa_of(last)).outcome == GUEST_DONE,
          "the last word of an area can be read");
    expect_abort(guest_read(guest, ipa_of(end)),
                 refused(guest, S2_ACCESS_READ, S2_FAULT_TRANSLATION, end),
                 "and the first word after it cannot");
    guest_pass(guest);
}

/* An IPA with more bits than VTCR_EL2.T0SZ lets in: refused before any table is looked at. */
static void check_input_size(struct guest *guest)
{
    uint64_t ipa = MAPPING_BIT(PLAN_IPA_BITS) + 0x2000;

    expect_abort(guest_read(guest, ipa_of(ipa)),
                 (struct expected_abort){S2_ACCESS_READ, S2_FAULT_TRANSLATION, 0, ipa_of(ipa)},
                 "read beyond the input size");
    guest_pass(guest);
}

/* The guest's own table lies in a hole: its walk is refused, and EL2 learns the table's IPA. The
 * level is not looked at: QEMU 7.2 gives that of the guest's walk, not that of stage 2's. */
static void check_table_walk(struct guest *guest)
{
    struct guest_result result;

    guest_step(guest, GUEST_STEP_WINDOW_TABLE, WINDOW, PLAN_HOLE_IPA, 0);
    result = guest_read(guest, ipa_of(GUEST_WINDOW_TABLE_VA(WINDOW)));
    check(result.outcome == GUEST_ABORTED && result.abort.kind == S2_FAULT_TRANSLATION &&
              result.abort.access == S2_ACCESS_READ && result.abort.has_ipa &&
              ipa_eq(result.abort.ipa, ipa_of(PLAN_HOLE_IPA)),
          "a page table of its own in a hole: read, translation fault, IPA 0x%lx", PLAN_HOLE_IPA);
    check(result.abort.on_walk && result.abort.va == GUEST_WINDOW_TABLE_VA(WINDOW),
          "EL2 knows that it was the guest's table walk, and for which VA");
    guest_pass(guest);
}

static void check_device(struct guest *guest)
{
    expect_abort(guest_write(guest, ipa_of(PLAN_UART_IPA), 'x'),
                 refused(guest, S2_ACCESS_WRITE, S2_FAULT_PERMISSION, PLAN_UART_IPA),
                 "write to a device that it may only read");
    guest_pass(guest);
}

/* EL2's caller errs, and the library knows: a page table is nothing to show to a guest. */
static void check_table_frame(struct guest *guest)
{
    uint64_t root = s2_table_vttbr(s2_space_table(&guest->space)) & VTTBR_BADDR;

    check(s2_space_map_linear(&guest->space, ipa_range(PLAN_HOLE_IPA, FRAME_SIZE), pa_of(root),
                              S2_READ) == MAPPING_DENIED,
          "a frame of its stage 2 tables cannot be mapped for the guest: MAPPING_DENIED");
}

/* Nor is the hypervisor itself; nor does a frame go back to its pool that the guest has. */
static void check_frames(const struct guest_block *block, struct guest *guest)
{
    check(s2_space_map_linear(&guest->space, ipa_range(PLAN_HOLE_IPA, FRAME_SIZE),
                              pa_of(machine.ram_start), S2_READ) == MAPPING_DENIED,
          "nor can memory of EL2 itself");
    check(frame_pool_free(&machine.guests, block->pa, block->order) == MAPPING_BAD_STATE,
          "a frame that the guest has does not go back to its pool: MAPPING_BAD_STATE");
}

void topic_refused(struct guest *guest)
{
    check_read_only(guest);
    check_fetch(guest, PLAN_BLOCKS_IPA + 0x3000, "fetch from a no-execute block");
    check_fetch(guest, PLAN_PAGES_IPA + 0x3000, "fetch from a no-execute page");
    check_hole(guest);
    check_borders(guest);
    check_input_size(guest);
    check_table_walk(guest);
    check_device(guest);
    check_table_frame(guest);
    check_frames(&guest->blocks[0], guest);
}
