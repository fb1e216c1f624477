#include "hyp/machine/pl011.h"
#include "hyp/machine/print.h"
#include "hyp/machine/size.h"
#include "hyp/story/block.h"
#include "hyp/story/expect.h"
#include "hyp/story/granule_guest.h"

#define SEED 5
#define WINDOW_PAGE 3 /* of the guest's window, see hyp/guest/abi.h */
#define WORD 0x5747

/* All of @range is written, and read back by both. @run: bytes of the contiguous runs in it. */
static void check_range(const struct granule_guest *on, struct ipa_range range, uint64_t run)
{
    struct guest *guest = on->guest;
    uint64_t start = ipa_number(range.start);
    struct s2_leaf leaf = {.size = 0};

    check(s2_space_lookup(&guest->space, range.start, &leaf) == MAPPING_OK &&
              leaf.size == on->page && leaf.run == run && pa_number(leaf.pa) != start,
          "%lu %s at 0x%lx are %s of %lu %s, elsewhere in PA", size_number(range.size),
          size_unit(range.size), start, run == on->page ? "pages" : "contiguous runs",
          size_number(run), size_unit(run));
    guest_step(guest, GUEST_STEP_FILL, start, range.size, SEED);
    expect_answer(guest_step(guest, GUEST_STEP_VERIFY, start, range.size, SEED), 0,
                  "the guest wrote all of them, and reads back what it wrote");
    check(count_wrong_words(guest, range, SEED) == 0, "EL2 finds every word behind its IPA");
}

/* VA = IPA ends far below it: the guest looks at it through its window. */
static void check_top(const struct granule_guest *on)
{
    struct guest *guest = on->guest;
    ipa_t window = ipa_of(GUEST_WINDOW_VA + WINDOW_PAGE * GUEST_PAGE_SIZE);
    const uint64_t *word = guest_memory(guest, on->top.start);

    guest_step(guest, GUEST_STEP_WINDOW, 1, WINDOW_PAGE, ipa_number(on->top.start));
    guest_write(guest, window, WORD);
    expect_answer(guest_read(guest, window), WORD, "the guest uses a page at the far end");
    check(word != NULL && *word == WORD, "EL2 finds that word behind IPA 0x%lx",
          ipa_number(on->top.start));
}

void granule_ram(const struct granule_guest *on)
{
    check_range(on, on->runs, on->run);
    check_range(on, on->pages, on->page);
    if (on->block.size != 0) {
        block_check(on->guest, on->block);
    } else {
        print("        (no block: the machine has too little RAM; try -m 1536M)\n");
    }
    check_top(on);
    expect_answer(
        guest_step(on->guest, GUEST_STEP_READ32, GRANULE_UART_IPA + PL011_PERIPHID0, 0, 0),
        PL011_PERIPHID0_VALUE, "a device page elsewhere than it is: the UART answers");
}
