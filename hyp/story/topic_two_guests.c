#include "hyp/story/expect.h"
#include "hyp/story/plan.h"
#include "hyp/story/topics.h"
#include "hyp/story/turns.h"

#define FRAME_SIZE MAPPING_BIT(MACHINE_FRAME_SHIFT)
#define ROUNDS 8
#define PLACE (PLAN_BLOCKS_IPA + 0x800000)
#define PAGE (PLAN_PAGES_IPA + 0x9000)

static const struct ipa_range page_range = IPA_RANGE_INIT(PAGE, MAPPING_BIT(MACHINE_FRAME_SHIFT));

/* Each writes and reads at the same IPAs and calls its own code. */
static void check_turns(struct guest *guests[])
{
    const struct turns_place place = {.data = PLACE, .code = PLAN_CODE_IPA};
    bool holds = true;

    for (unsigned turn = 0; turn < 2 * ROUNDS; turn++) {
        holds = turns_take(guests[turn % 2], &place, turn % 2, turn / 2) && holds;
    }
    check(holds, "%u turns each: either finds its own data and code at the same IPAs", ROUNDS);
    check(guest_memory(guests[0], ipa_of(PLACE)) != guest_memory(guests[1], ipa_of(PLACE)),
          "they are in different frames");
}

/* What is done to one while the other's tables are in VTTBR_EL2 reaches the right one. */
static void check_change_from_outside(struct guest *guest, struct guest *other)
{
    struct s2_leaf leaf = {0};

    guest_write(guest, ipa_of(PAGE), 1);
    guest_write(other, ipa_of(PAGE), 2);
    check(s2_space_lookup(&guest->space, ipa_of(PAGE), &leaf) == MAPPING_OK &&
              s2_space_unmap(&guest->space, page_range) == MAPPING_OK,
          "EL2 unmaps a page of %s while %s is loaded", guest->name, other->name);
    expect_answer(guest_read(other, ipa_of(PAGE)), 2, "the loaded one keeps its own page there");
    expect_abort(guest_read(guest, ipa_of(PAGE)),
                 (struct expected_abort){S2_ACCESS_READ, S2_FAULT_TRANSLATION, 3, ipa_of(PAGE)},
                 "the other's next load");
    check(s2_space_map_linear(&guest->space, page_range, leaf.pa, S2_READ | S2_WRITE) == MAPPING_OK,
          "EL2 maps it again");
    expect_answer(guest_retry(guest), 1, "the same load, tried again, goes through");
}

void topic_two_guests(struct guest *guest, struct guest *other)
{
    struct guest *guests[] = {guest, other};

    check_turns(guests);
    check_change_from_outside(guest, other);
    check_change_from_outside(other, guest);
}
