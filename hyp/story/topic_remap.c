#include "hyp/story/expect.h"
#include "hyp/story/plan.h"
#include "hyp/story/topics.h"

/*
 * One 2 MiB block of the guest, its page P, and a hole H that is split out:
 *
 *      block  [..........P.................HHHHHHHHHHHHHHHH.............................]
 *
 * Before each change the guest has just used the address, so its translation sits in the TLB
 * combined with the guest's own; right after it, the guest uses it again.
 */
#define BLOCK (PLAN_BLOCKS_IPA + 0x400000)
#define BLOCK_SIZE 0x200000
#define PAGE (BLOCK + 0x5000)
#define HOLE (BLOCK + 0x100000)
#define HOLE_SIZE 0x10000
#define FRAME_SIZE MAPPING_BIT(MACHINE_FRAME_SHIFT)
#define WORD sizeof(uint64_t)

#define WINDOW 2 /* which part of the guest's window, see hyp/guest/abi.h */
#define OWN_TABLE (PLAN_BLOCKS_IPA + 0xa00000)
#define OTHER_TABLE (PLAN_BLOCKS_IPA + 0xc00000)
#define TARGET (PLAN_BLOCKS_IPA + 0x800000)
#define OTHER_TARGET (PLAN_BLOCKS_IPA + 0x801000)

#define SEED 9
#define FIRST 0xaaaa000000000001
#define SECOND 0xbbbb000000000002
#define THIRD 0xcccc000000000003
#define FOURTH 0xdddd000000000004

static const struct ipa_range page_range = IPA_RANGE_INIT(PAGE, MAPPING_BIT(MACHINE_FRAME_SHIFT));
static const struct ipa_range block_range = IPA_RANGE_INIT(BLOCK, BLOCK_SIZE);
static const struct ipa_range hole_range = IPA_RANGE_INIT(HOLE, HOLE_SIZE);

/* A frame that holds @word first. */
static pa_t frame_with(struct guest *guest, uint64_t word)
{
    pa_t pa = guest_take_block(guest, FRAME_SIZE);

    *(uint64_t *)guest_frame(pa) = word;
    return pa;
}

static uint64_t word_in(pa_t pa)
{
    return *(volatile uint64_t *)guest_frame(pa);
}

static struct expected_abort unmapped(enum s2_access access, uint64_t ipa, int level)
{
    return (struct expected_abort){access, S2_FAULT_TRANSLATION, level, ipa_of(ipa)};
}

static bool map(struct guest *guest, struct ipa_range range, pa_t pa)
{
    return s2_space_map_linear(&guest->space, range, pa, S2_READ | S2_WRITE) == MAPPING_OK;
}

static bool unmap(struct guest *guest, struct ipa_range range)
{
    return s2_space_unmap(&guest->space, range) == MAPPING_OK;
}

/* Words of [start, end) that are not as filled. */
static uint64_t wrong_between(struct guest *guest, uint64_t start, uint64_t end)
{
    struct guest_result result = guest_step(guest, GUEST_STEP_VERIFY, start, end - start, SEED);

    return result.outcome == GUEST_DONE ? result.answer : UINT64_MAX;
}

static bool block_is_intact_around(struct guest *guest, struct ipa_range gone)
{
    return wrong_between(guest, BLOCK, ipa_number(gone.start)) == 0 &&
           wrong_between(guest, ipa_number(ipa_range_end(gone)), BLOCK + BLOCK_SIZE) == 0;
}

/* The page is taken away from under the guest, and another frame put there while it stands at the
 * fault: the very same load goes through. */
static void check_unmap(struct guest *guest, pa_t second)
{
    expect_leaf(guest, ipa_of(PAGE), BLOCK_SIZE, "before: the page is part of a 2 MiB block");
    guest_write(guest, ipa_of(PAGE), FIRST);
    expect_answer(guest_read(guest, ipa_of(PAGE)), FIRST, "the guest uses it");
    check(unmap(guest, page_range), "EL2 unmaps that page alone");
    expect_abort(guest_read(guest, ipa_of(PAGE)), unmapped(S2_ACCESS_READ, PAGE, 3),
                 "the guest's next load");
    check(map(guest, page_range, second), "EL2 maps another frame there");
    expect_answer(guest_retry(guest), SECOND, "the same load, tried again, sees that frame");
    check(block_is_intact_around(guest, page_range), "the rest of the block is as it was");
}

static void check_remap(struct guest *guest, pa_t second, pa_t third)
{
    expect_answer(guest_read(guest, ipa_of(PAGE)), SECOND, "the guest uses the page");
    check(s2_space_replace_linear(&guest->space, page_range, third, S2_READ | S2_WRITE) ==
              MAPPING_OK,
          "EL2 puts yet another frame there, in one operation");
    expect_answer(guest_read(guest, ipa_of(PAGE)), THIRD, "the guest sees that one at once");
    guest_write(guest, ipa_of(PAGE), FOURTH);
    check(word_in(third) == FOURTH && word_in(second) == SECOND,
          "what it writes goes there, and not to the frame before");
}

/* With its old frame back, the block's table says again what one entry can say. */
static void check_fold(struct guest *guest, pa_t original)
{
    check(unmap(guest, page_range) && map(guest, page_range, original),
          "EL2 puts the first frame back");
    expect_answer(guest_read(guest, ipa_of(PAGE)), FIRST, "the guest sees what it wrote there");
    expect_leaf(guest, ipa_of(PAGE), FRAME_SIZE, "the page has an entry of its own");
    check(s2_space_fold(&guest->space, block_range) == MAPPING_OK, "EL2 folds the block");
    expect_answer(guest_read(guest, ipa_of(PAGE)), FIRST, "the guest sees no difference");
    expect_leaf(guest, ipa_of(PAGE), BLOCK_SIZE, "but it is one 2 MiB block again");
    check(block_is_intact_around(guest, page_range), "and holds what it held");
    check(unmap(guest, block_range), "EL2 unmaps the folded block");
    expect_abort(guest_read(guest, ipa_of(PAGE)), unmapped(S2_ACCESS_READ, PAGE, 2),
                 "the guest's next load");
    guest_pass(guest);
}

static void check_split(struct guest *guest, pa_t block)
{
    const uint64_t end = HOLE + HOLE_SIZE;

    check(map(guest, block_range, block), "EL2 maps the block anew");
    check(wrong_between(guest, HOLE - FRAME_SIZE, end + FRAME_SIZE) == 0,
          "the guest uses 64 KiB in its middle, and what is around");
    check(unmap(guest, hole_range), "EL2 splits the 64 KiB out");
    expect_abort(guest_read(guest, ipa_of(HOLE)), unmapped(S2_ACCESS_READ, HOLE, 3),
                 "the first word of the hole");
    guest_pass(guest);
    expect_abort(guest_write(guest, ipa_of(end - WORD), 0),
                 unmapped(S2_ACCESS_WRITE, end - WORD, 3), "the last word of the hole");
    guest_pass(guest);
    check(guest_read(guest, ipa_of(HOLE - WORD)).answer == guest_pattern(HOLE - WORD, SEED) &&
              guest_read(guest, ipa_of(end)).answer == guest_pattern(end, SEED),
          "the words on both sides of it are there");
    check(wrong_between(guest, PAGE + FRAME_SIZE, HOLE) == 0 &&
              wrong_between(guest, end, BLOCK + BLOCK_SIZE) == 0,
          "and so is all the rest");
    check(map(guest, hole_range, pa_add(block, HOLE - BLOCK)) &&
              s2_space_fold(&guest->space, block_range) == MAPPING_OK,
          "EL2 closes the hole and folds");
    check(wrong_between(guest, HOLE, end) == 0, "the guest finds what it had there");
    expect_leaf(guest, ipa_of(HOLE), BLOCK_SIZE, "it is one 2 MiB block again");
}

/*
 * The guest's own page tables are memory like any other. Two of them lie in two frames:
 *
 *      window -> IPA OWN_TABLE    -> [ first page: IPA TARGET       | ... ]
 *                IPA OTHER_TABLE  -> [ first page: IPA OTHER_TARGET | ... ]
 *
 * When OWN_TABLE gets the frame of OTHER_TABLE, the guest's walk must go through the new one: what
 * the CPU cached of stage 2 for table walks is another thing than what it cached for data.
 */
static void check_own_tables(struct guest *guest)
{
    struct ipa_range own = ipa_range(OWN_TABLE, FRAME_SIZE);
    ipa_t window = ipa_of(GUEST_WINDOW_TABLE_VA(WINDOW));
    struct s2_leaf first, second;

    guest_write(guest, ipa_of(TARGET), FIRST);
    guest_write(guest, ipa_of(OTHER_TARGET), SECOND);
    guest_step(guest, GUEST_STEP_TABLE_ENTRY, OWN_TABLE, TARGET, 0);
    guest_step(guest, GUEST_STEP_TABLE_ENTRY, OTHER_TABLE, OTHER_TARGET, 0);
    guest_step(guest, GUEST_STEP_WINDOW_TABLE, WINDOW, OWN_TABLE, 0);
    expect_answer(guest_read(guest, window), FIRST, "the guest reads through a table of its own");
    check(s2_space_lookup(&guest->space, own.start, &first) == MAPPING_OK &&
              s2_space_lookup(&guest->space, ipa_of(OTHER_TABLE), &second) == MAPPING_OK &&
              s2_space_replace_linear(&guest->space, own, second.pa, S2_READ | S2_WRITE) ==
                  MAPPING_OK,
          "EL2 puts another frame behind that table");
    expect_answer(guest_read(guest, window), SECOND, "the guest's walk goes through the new table");
    check(s2_space_replace_linear(&guest->space, own, first.pa, S2_READ | S2_WRITE) == MAPPING_OK,
          "EL2 puts the old frame back");
    expect_answer(guest_read(guest, window), FIRST, "the guest's walk goes through the old table");
}

void topic_remap(struct guest *guest)
{
    pa_t second = frame_with(guest, SECOND);
    pa_t third = frame_with(guest, THIRD);
    struct s2_leaf leaf;

    if (!check(s2_space_lookup(&guest->space, block_range.start, &leaf) == MAPPING_OK,
               "the block is there")) {
        return;
    }
    guest_step(guest, GUEST_STEP_FILL, BLOCK, BLOCK_SIZE, SEED);
    check_unmap(guest, second);
    check_remap(guest, second, third);
    check_fold(guest, pa_add(leaf.pa, PAGE - BLOCK));
    check_split(guest, leaf.pa);
    check_own_tables(guest);
    check(s2_space_check(&guest->space), "areas, tables and pools agree");
}
