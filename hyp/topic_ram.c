#include "hyp/expect.h"
#include "hyp/pl011.h"
#include "hyp/plan.h"
#include "hyp/print.h"
#include "hyp/topics.h"

#define FRAME_SIZE BIT(MACHINE_FRAME_SHIFT)
#define MIB BIT(20)
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

/* EL2 finds each word where s2_space_lookup() says that it lies. */
static uint64_t count_wrong_words(struct guest *guest, struct ipa_range range, uint64_t seed)
{
    uint64_t wrong = 0;

    for (uint64_t page = 0; page < range.size; page += FRAME_SIZE) {
        ipa_t start = ipa_add(range.start, page);
        const uint64_t *words = guest_memory(guest, start);

        for (uint64_t i = 0; i < FRAME_SIZE / sizeof(*words); i++) {
            uint64_t va = ipa_number(start) + i * sizeof(*words);

            wrong += words == NULL || words[i] != guest_pattern(va, seed);
        }
    }
    return wrong;
}

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

/* One page goes, and all the rest of the gigabyte stays. */
static void cut_gigabyte(struct guest *guest, pa_t pa)
{
    struct ipa_range all = ipa_range(PLAN_GIGABYTE_IPA, PLAN_GIGABYTE_SIZE);
    struct ipa_range page = ipa_range(PLAN_GIGABYTE_IPA + PLAN_GIGABYTE_SIZE / 2, FRAME_SIZE);
    ipa_t before = ipa_of(ipa_number(page.start) - sizeof(uint64_t));
    ipa_t after = ipa_range_end(page);

    guest_write(guest, before, 1);
    guest_write(guest, page.start, 2);
    guest_write(guest, after, 3);
    check(s2_space_unmap(&guest->space, page) == MAPPING_OK, "EL2 cuts 4 KiB out of it");
    expect_abort(guest_read(guest, page.start),
                 (struct expected_abort){ABORT_READ, ABORT_TRANSLATION, 3, page.start},
                 "the guest's next load");
    guest_pass(guest);
    check(guest_read(guest, before).answer == 1 && guest_read(guest, after).answer == 3,
          "the words on both sides of the cut are there");
    check(s2_space_map_linear(&guest->space, page, pa_add(pa, PLAN_GIGABYTE_SIZE / 2),
                              S2_READ | S2_WRITE) == MAPPING_OK &&
              s2_space_fold(&guest->space, all) == MAPPING_OK,
          "EL2 puts the page back and folds");
    expect_leaf(guest, page.start, PLAN_GIGABYTE_SIZE, "it is one block again");
    expect_answer(guest_read(guest, page.start), 2, "and the guest finds what it had there");
}

/* A few pages of it: 1 GiB would cost the emulator's host as much. */
static void check_gigabyte(struct guest *guest)
{
    uint64_t step = PLAN_GIGABYTE_SIZE / 16;
    uint64_t wrong = 0;
    struct s2_leaf leaf;

    if (s2_space_lookup(&guest->space, ipa_of(PLAN_GIGABYTE_IPA), &leaf) != MAPPING_OK) {
        print("        (no 1 GiB block: the machine has too little RAM; try -m 3G)\n");
        return;
    }
    check(leaf.size == PLAN_GIGABYTE_SIZE, "1 GiB at 0x%lx is one block", PLAN_GIGABYTE_IPA);
    for (uint64_t at = PLAN_GIGABYTE_IPA; at < PLAN_GIGABYTE_IPA + PLAN_GIGABYTE_SIZE; at += step) {
        uint64_t last = at + step - FRAME_SIZE;

        guest_step(guest, GUEST_STEP_FILL, last, FRAME_SIZE, SEED);
        wrong += guest_step(guest, GUEST_STEP_VERIFY, last, FRAME_SIZE, SEED).answer;
        wrong += count_wrong_words(guest, ipa_range(last, FRAME_SIZE), SEED);
    }
    check(wrong == 0, "the guest and EL2 agree on pages all over it");
    cut_gigabyte(guest, leaf.pa);
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
