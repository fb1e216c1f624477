#include "hyp/machine/pl011.h"
#include "hyp/machine/print.h"
#include "hyp/story/block.h"
#include "hyp/story/expect.h"
#include "hyp/story/plan.h"
#include "hyp/story/topics.h"

#define FRAME_SIZE MAPPING_BIT(MACHINE_FRAME_SHIFT)
#define MIB MAPPING_BIT(20)
#define SEED 7

static const struct ram_area {
    const char *name;
    uint64_t ipa;
    uint64_t size;
    uint64_t leaf; /* what it is mapped with */
} ram_areas[] = {
    {"2 MiB blocks", PLAN_BLOCKS_IPA, PLAN_BLOCKS_SIZE, 2 * MIB},
    {"4 KiB pages", PLAN_PAGES_IPA, PLAN_PAGES_SIZE, FRAME_SIZE},
};

static void check_area(struct guest *guest, const struct ram_area *area)
{
    struct ipa_range range = ipa_range(area->ipa, area->size);
    struct guest_result filled, verified;
    struct s2_leaf leaf;

    check(s2_space_lookup(&guest->space, range.start, &leaf) == MAPPING_OK &&
              leaf.size == area->leaf && pa_number(leaf.pa) != area->ipa,
          "%lu MiB at 0x%lx lie in %s, elsewhere in PA", area->size / MIB, area->ipa, area->name);
    filled = guest_step(guest, GUEST_STEP_FILL, area->ipa, area->size, SEED);
    verified = guest_step(guest, GUEST_STEP_VERIFY, area->ipa, area->size, SEED);
    check(filled.outcome == GUEST_DONE && verified.outcome == GUEST_DONE && verified.answer == 0,
          "the guest wrote all of them, and reads back what it wrote");
    check(count_wrong_words(guest, range, SEED) == 0, "EL2 finds every word behind its IPA");
}

static void check_gigabyte(struct guest *guest)
{
    struct s2_leaf leaf;

    if (s2_space_lookup(&guest->space, ipa_of(PLAN_GIGABYTE_IPA), &leaf) != MAPPING_OK) {
        print("        (no 1 GiB block: the machine has too little RAM; try -m 3G)\n");
        return;
    }
    block_check(guest, ipa_range(PLAN_GIGABYTE_IPA, PLAN_GIGABYTE_SIZE));
}

void topic_ram(struct guest *guest)
{
    for (size_t i = 0; i < sizeof(ram_areas) / sizeof(ram_areas[0]); i++) {
        check_area(guest, &ram_areas[i]);
    }
    check_gigabyte(guest);
    expect_answer(guest_step(guest, GUEST_STEP_READ32, PLAN_UART_IPA + PL011_PERIPHID0, 0, 0),
                  PL011_PERIPHID0_VALUE, "a device page elsewhere than it is: the UART answers");
}
