#include "hyp/story/block.h"

#include "hyp/machine/size.h"
#include "hyp/story/expect.h"

#define SAMPLES 16
#define SAMPLE_SIZE MAPPING_BIT(MACHINE_FRAME_SHIFT)
#define SEED 7

/* The last bytes of each sixteenth. */
static void check_samples(struct guest *guest, struct ipa_range range)
{
    uint64_t step = range.size / SAMPLES;
    uint64_t wrong = 0;

    for (uint64_t i = 1; i <= SAMPLES; i++) {
        uint64_t at = ipa_number(range.start) + i * step - SAMPLE_SIZE;

        guest_step(guest, GUEST_STEP_FILL, at, SAMPLE_SIZE, SEED);
    }
    for (uint64_t i = 1; i <= SAMPLES; i++) {
        uint64_t at = ipa_number(range.start) + i * step - SAMPLE_SIZE;

        wrong += guest_step(guest, GUEST_STEP_VERIFY, at, SAMPLE_SIZE, SEED).answer;
        wrong += count_wrong_words(guest, ipa_range(at, SAMPLE_SIZE), SEED);
    }
    check(wrong == 0, "the guest and EL2 agree on pages all over it");
}

static void check_split(struct guest *guest, struct ipa_range range, pa_t pa)
{
    uint64_t size = s2_granule_size(s2_table_geometry(s2_space_table(&guest->space)));
    struct ipa_range page = ipa_range(ipa_number(range.start) + range.size / 2, size);
    ipa_t before = ipa_of(ipa_number(page.start) - sizeof(uint64_t));
    ipa_t after = ipa_range_end(page);

    guest_write(guest, before, 1);
    guest_write(guest, page.start, 2);
    guest_write(guest, after, 3);
    check(s2_space_unmap(&guest->space, page) == MAPPING_OK, "EL2 splits %lu %s out of it",
          size_number(size), size_unit(size));
    expect_abort(
        guest_read(guest, page.start),
        (struct expected_abort){S2_ACCESS_READ, S2_FAULT_TRANSLATION, S2_LEVEL_PAGE, page.start},
        "the guest's next load");
    guest_pass(guest);
    check(guest_read(guest, before).answer == 1 && guest_read(guest, after).answer == 3,
          "the words on both sides of the split are there");
    check(s2_space_map_linear(&guest->space, page, pa_add(pa, range.size / 2),
                              S2_READ | S2_WRITE) == MAPPING_OK &&
              s2_space_fold(&guest->space, range) == MAPPING_OK,
          "EL2 puts the page back and folds");
    expect_leaf(guest, page.start, range.size, "it is one block again");
    expect_answer(guest_read(guest, page.start), 2, "and the guest finds what it had there");
}

void block_check(struct guest *guest, struct ipa_range range)
{
    struct s2_leaf leaf = {.size = 0};

    if (check(s2_space_lookup(&guest->space, range.start, &leaf) == MAPPING_OK &&
                  leaf.size == range.size && pa_number(leaf.pa) != ipa_number(range.start),
              "%lu %s at 0x%lx are one block, elsewhere in PA", size_number(range.size),
              size_unit(range.size), ipa_number(range.start))) {
        check_samples(guest, range);
        check_split(guest, range, leaf.pa);
    }
}
