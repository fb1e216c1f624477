#include "hyp/story/expect.h"
#include "hyp/story/small.h"
#include "hyp/story/topics.h"
#include "stage2/trestle.h"

/*
 * A big area, changed in steps, and where the change stands:
 *
 *      [ done . . . . . . . . . . | not yet . . . . . . . . . ]
 *                        before  next
 *
 * After each step the guest looks at the word before the border, and at all that is after it.
 */
#define BIG_SIZE 0x800000
#define BLOCKS 4
#define AREA_IPA 0x240000000
#define PAGES_IPA 0x248001000 /* IPA and PA disagree: single pages */
#define BUDGET 256
#define TAKE_BUDGET 64 /* a whole table costs no more than one */
#define SEED 4
#define RW (S2_READ | S2_WRITE)
#define WORD sizeof(uint64_t)

_Static_assert(BIG_SIZE == BLOCKS * SMALL_BLOCK_SIZE, "whole blocks");

/* What is done, in steps, and what the guest sees of what is behind and before the border. */
struct change {
    struct ipa_range range;
    enum mapping_error (*step)(struct s2_space *space, struct s2_cursor *cursor);
    /* The word at @at, which lies before @next, is in the new state. */
    bool (*is_done)(struct guest *guest, ipa_t at, ipa_t next);
};

/* What went past the caches is cleaned as it is taken back, and each line counts. */
static size_t take_budget(void)
{
    return machine.cpu.has_fwb ? TAKE_BUDGET
                               : BUDGET * (size_t)(SMALL_PAGE / machine.cpu.dcache_line);
}

static enum mapping_error unmap_step(struct s2_space *space, struct s2_cursor *cursor)
{
    return s2_space_unmap_step(space, cursor, take_budget());
}

static enum mapping_error protect_step(struct s2_space *space, struct s2_cursor *cursor)
{
    return s2_space_protect_step(space, cursor, S2_READ, BUDGET);
}

static enum mapping_error fold_step(struct s2_space *space, struct s2_cursor *cursor)
{
    return s2_space_fold_step(space, cursor, BUDGET);
}

static bool is_unmapped(struct guest *guest, ipa_t at, ipa_t next)
{
    (void)next;
    return small_is_refused(guest, S2_ACCESS_READ, S2_FAULT_TRANSLATION, at);
}

static bool is_read_only(struct guest *guest, ipa_t at, ipa_t next)
{
    (void)next;
    return small_is_refused(guest, S2_ACCESS_WRITE, S2_FAULT_PERMISSION, at) &&
           small_reads(guest, at, guest_pattern(ipa_number(at), SEED));
}

/* A guest cannot tell: the table can. What the border lies in need not be whole yet. */
static bool is_block(struct guest *guest, ipa_t at, ipa_t next)
{
    ipa_t end = ipa_add(ipa_align_down(at, SMALL_BLOCK_SIZE), SMALL_BLOCK_SIZE);
    struct s2_leaf leaf;

    return s2_space_lookup(&guest->space, at, &leaf) == MAPPING_OK &&
           (ipa_lt(next, end) || leaf.size == SMALL_BLOCK_SIZE) &&
           small_reads(guest, at, guest_pattern(ipa_number(at), SEED));
}

/* All from @next on is as filled, and can be written. */
static bool is_untouched(struct guest *guest, struct ipa_range range, ipa_t next)
{
    uint64_t start = ipa_number(next);
    uint64_t size = ipa_number(ipa_range_end(range)) - start;

    return size == 0 ||
           (guest_step(guest, GUEST_STEP_VERIFY, start, size, SEED).answer == 0 &&
            guest_write(guest, next, guest_pattern(start, SEED)).outcome == GUEST_DONE);
}

static bool is_done_between(struct guest *guest, const struct change *change, ipa_t before,
                            ipa_t next)
{
    return change->is_done(guest, before, next) &&
           change->is_done(guest, ipa_of(ipa_number(next) - WORD), next);
}

/* How many steps it took; 0: one was refused, or the guest saw something else. */
static unsigned change_in_steps(struct guest *guest, const struct change *change)
{
    struct s2_cursor cursor = s2_cursor(change->range);
    unsigned steps = 0;

    while (!s2_cursor_is_done(&cursor)) {
        ipa_t before = cursor.next;
        bool is_done = change->step(&guest->space, &cursor) == MAPPING_OK;

        if (!expect_part(is_done && ipa_lt(before, cursor.next), "a step is done") ||
            !expect_part(is_done_between(guest, change, before, cursor.next),
                         "what the step was over is changed") ||
            !expect_part(is_untouched(guest, change->range, cursor.next), "the rest is not")) {
            return 0;
        }
        steps++;
    }
    return steps;
}

static void fill(struct guest *guest, struct ipa_range range)
{
    guest_step(guest, GUEST_STEP_FILL, ipa_number(range.start), range.size, SEED);
}

/* One page of each block differs for a while, and the blocks stay tables. */
static bool tear_blocks(struct guest *guest, struct ipa_range area)
{
    bool holds = true;

    for (unsigned i = 0; i < BLOCKS; i++) {
        struct ipa_range page =
            ipa_range(ipa_number(area.start) + i * SMALL_BLOCK_SIZE + 0x5000, SMALL_PAGE);

        holds = s2_space_protect(&guest->space, page, S2_READ) == MAPPING_OK &&
                s2_space_protect(&guest->space, page, RW) == MAPPING_OK && holds;
    }
    return holds;
}

static void check_fold(struct guest *guest, struct ipa_range area)
{
    const struct change fold = {area, fold_step, is_block};
    unsigned steps;

    fill(guest, area);
    check(tear_blocks(guest, area), "EL2 takes the blocks of 8 MiB apart");
    steps = change_in_steps(guest, &fold);
    check(steps >= BLOCKS,
          "it folds them in %u steps, and the guest, running in between, sees no "
          "difference",
          steps);
}

static void check_pages(struct guest *guest, struct ipa_range area)
{
    const struct change protect = {area, protect_step, is_read_only};
    const struct change unmap = {area, unmap_step, is_unmapped};
    unsigned steps;

    fill(guest, area);
    steps = change_in_steps(guest, &protect);
    check(steps >= area.size / SMALL_PAGE / BUDGET,
          "8 MiB of pages become read-only in %u steps: the guest writes what is not done yet, and "
          "cannot write what is",
          steps);
    check(s2_space_protect(&guest->space, area, RW) == MAPPING_OK &&
              is_untouched(guest, area, area.start),
          "and writable again in one");
    steps = change_in_steps(guest, &unmap);
    check(steps >= BLOCKS,
          "they are unmapped in %u steps: the guest keeps what is not done yet, and loses what is",
          steps);
    check(s2_space_check(&guest->space), "areas, tables and pools agree");
}

/* Ends as guest_fini(), but in steps. */
static void check_fini(struct guest *guest, size_t frames)
{
    unsigned steps = 0;
    bool is_done = false;

    vcpu_unload();
    while (!is_done && s2_space_fini_step(&guest->space, take_budget(), &is_done) == MAPPING_OK) {
        steps++;
    }
    guest_release_ram(guest);
    check(is_done && steps > 1 && frame_pool_available(&machine.tables) == frames,
          "the guest ends in %u steps: every frame of its tables is back", steps);
}

void topic_steps(void)
{
    static struct guest guest;
    const struct ipa_range area = ipa_range(AREA_IPA, BIG_SIZE);
    const struct ipa_range pages = ipa_range(PAGES_IPA, BIG_SIZE);
    const struct s2_config config = small_config();
    size_t frames = frame_pool_available(&machine.tables);
    pa_t pa;

    check(small_make(&guest, "Sam", &config), "Sam boots");
    guest_add_ram(&guest, area, RW);
    pa = guest_add_ram(&guest, pages, RW);
    check_fold(&guest, area);
    check_pages(&guest, pages);
    check(s2_space_map_linear(&guest.space, pages, pa, RW) == MAPPING_OK &&
              tear_blocks(&guest, area),
          "everything is mapped again, with many tables");
    check_fini(&guest, frames);
}
