#include "hyp/machine/print.h"
#include "hyp/story/expect.h"
#include "hyp/story/small.h"
#include "hyp/story/topics.h"

/*
 * A block and a run of the guest, which it uses right before and right after each change:
 *
 *      a page out of the block, or out of the run    what is around it must change its size
 *      two halves of a block, folded                 both must change theirs
 *      all of a block                                nothing that stays changes anything
 *      another type, other memory                    cannot go without a break
 */
#define BLOCK ipa_range(SMALL_BLOCK_IPA, SMALL_BLOCK_SIZE)
#define PAGE ipa_range(SMALL_BLOCK_IPA + 0x5000, SMALL_PAGE)
#define RUN_PAGE ipa_range(SMALL_CODE_IPA + 0x5000, SMALL_PAGE)
#define SEED 12
#define RW (S2_READ | S2_WRITE)
#define BBM_DIRECT 2

struct way {
    const char *what;
    enum s2_size_change size_change;
    enum s2_transient transient;
};

static const struct way ways[] = {
    {"by break-before-make", S2_SIZE_CHANGE_BREAK, S2_TRANSIENT_OK},
    {"direct if the CPU can", S2_SIZE_CHANGE_DIRECT, S2_TRANSIENT_OK},
    {"direct if the CPU can, nothing that stays may be invalid", S2_SIZE_CHANGE_DIRECT,
     S2_TRANSIENT_REFUSED},
    {"by break-before-make, nothing that stays may be invalid", S2_SIZE_CHANGE_BREAK,
     S2_TRANSIENT_REFUSED},
};

static bool is_direct(const struct way *way)
{
    return way->size_change == S2_SIZE_CHANGE_DIRECT && machine.cpu.bbm >= BBM_DIRECT;
}

static const char *answer_text(enum mapping_error answer)
{
    return answer == MAPPING_OK ? "done" : "denied, and nothing has changed";
}

/* The guest finds everything but @gone as it filled it. */
static bool is_intact(struct guest *guest, struct ipa_range gone)
{
    uint64_t before = ipa_number(gone.start) - SMALL_BLOCK_IPA;
    uint64_t after = ipa_number(ipa_range_end(gone));

    return guest_step(guest, GUEST_STEP_VERIFY, SMALL_BLOCK_IPA, before, SEED).answer == 0 &&
           guest_step(guest, GUEST_STEP_VERIFY, after, SMALL_BLOCK_IPA + SMALL_BLOCK_SIZE - after,
                      SEED)
                   .answer == 0;
}

static bool has_block(struct guest *guest)
{
    struct s2_leaf leaf;

    return s2_space_lookup(&guest->space, BLOCK.start, &leaf) == MAPPING_OK &&
           leaf.size == SMALL_BLOCK_SIZE &&
           guest_step(guest, GUEST_STEP_VERIFY, SMALL_BLOCK_IPA, SMALL_BLOCK_SIZE, SEED).answer ==
               0;
}

/* After a split that was done, all as before. */
static bool is_mended(struct guest *guest, struct ipa_range page, pa_t pa)
{
    return s2_space_map_linear(&guest->space, page, pa, RW) == MAPPING_OK &&
           s2_space_fold(&guest->space, BLOCK) == MAPPING_OK && has_block(guest);
}

static void check_split(struct guest *guest, enum mapping_error answer)
{
    pa_t pa = small_pa(guest, PAGE);
    bool holds = s2_space_unmap(&guest->space, PAGE) == answer;

    if (answer == MAPPING_OK) {
        holds =
            expect_part(small_is_refused(guest, S2_ACCESS_READ, S2_FAULT_TRANSLATION, PAGE.start),
                        "the page is gone") &&
            expect_part(is_intact(guest, PAGE), "all around it is there") &&
            expect_part(is_mended(guest, PAGE, pa), "it comes back, and a fold") && holds;
    } else {
        holds = has_block(guest) && holds;
    }
    check(holds, "a page is split out of a block and folded back: %s", answer_text(answer));
}

static void check_tighten(struct guest *guest, struct ipa_range page, enum mapping_error answer,
                          const char *what)
{
    mapping_flags_t flags = RW | (ipa_eq(page.start, RUN_PAGE.start) ? S2_EXEC : 0);
    uint64_t run = guest_run_size(guest, page.start);
    bool holds;

    guest_write(guest, page.start, guest_pattern(ipa_number(page.start), SEED));
    holds = s2_space_protect(&guest->space, page, flags & ~S2_WRITE) == answer;
    if (answer == MAPPING_OK) {
        holds = small_is_refused(guest, S2_ACCESS_WRITE, S2_FAULT_PERMISSION, page.start) &&
                s2_space_protect(&guest->space, page, flags) == MAPPING_OK &&
                s2_space_fold(&guest->space, ipa_range(SMALL_BLOCK_IPA, MAPPING_BIT(30))) ==
                    MAPPING_OK &&
                holds;
    }
    holds = guest_run_size(guest, page.start) == run && holds;
    holds = guest_write(guest, page.start, guest_pattern(ipa_number(page.start), SEED)).outcome ==
                GUEST_DONE &&
            holds;
    check(holds, "%s becomes read-only, and back: %s", what, answer_text(answer));
}

/* Nothing is around it: done in every way. */
static void check_whole(struct guest *guest)
{
    check(s2_space_protect(&guest->space, BLOCK, S2_READ) == MAPPING_OK &&
              small_is_refused(guest, S2_ACCESS_WRITE, S2_FAULT_PERMISSION, PAGE.start) &&
              s2_space_protect(&guest->space, BLOCK, RW) == MAPPING_OK && has_block(guest),
          "a whole block becomes read-only, and back: done");
}

/* The block is unmapped and comes back as halves, which is done in every way. */
static void check_fold(struct guest *guest, enum mapping_error answer)
{
    const uint64_t half = SMALL_BLOCK_SIZE / 2;
    pa_t pa = small_pa(guest, BLOCK);
    bool is_halved = s2_space_unmap(&guest->space, BLOCK) == MAPPING_OK &&
                     small_is_refused(guest, S2_ACCESS_READ, S2_FAULT_TRANSLATION, BLOCK.start) &&
                     s2_space_map_linear(&guest->space, ipa_range(SMALL_BLOCK_IPA, half), pa, RW) ==
                         MAPPING_OK &&
                     s2_space_map_linear(&guest->space, ipa_range(SMALL_BLOCK_IPA + half, half),
                                         pa_add(pa, half), RW) == MAPPING_OK &&
                     is_intact(guest, ipa_range(SMALL_BLOCK_IPA, 0));
    bool is_answered = s2_space_fold(&guest->space, BLOCK) == answer;

    check(is_halved && is_answered && has_block(guest) == (answer == MAPPING_OK) &&
              is_intact(guest, ipa_range(SMALL_BLOCK_IPA, 0)),
          "two halves of a block are folded: %s", answer_text(answer));
}

static void check_break(struct guest *guest, enum mapping_error answer)
{
    pa_t other = guest_take_block(guest, SMALL_BLOCK_SIZE);
    bool holds = s2_space_protect(&guest->space, BLOCK, RW | S2_NORMAL_NC) == answer;

    holds = s2_space_protect(&guest->space, BLOCK, RW) == MAPPING_OK && holds;
    holds = s2_space_replace_linear(&guest->space, BLOCK, other, RW) == answer && holds;
    holds = small_reads(guest, PAGE.start,
                        answer == MAPPING_OK ? 0 : guest_pattern(ipa_number(PAGE.start), SEED)) &&
            holds;
    holds = expect_part(s2_space_check(&guest->space), "areas, tables and pools agree") && holds;
    check(holds, "a block gets another memory type, and other memory: %s", answer_text(answer));
}

static void check_way(const struct way *way)
{
    static struct guest guest;
    const bool is_refused = way->transient == S2_TRANSIENT_REFUSED;
    const enum mapping_error resized = is_refused && !is_direct(way) ? MAPPING_DENIED : MAPPING_OK;
    const enum mapping_error broken = is_refused ? MAPPING_DENIED : MAPPING_OK;
    struct s2_config config = small_config();

    config.size_change = way->size_change;
    config.transient = way->transient;
    if (!check(small_make(&guest, "Tess", &config), "sizes change %s: Tess boots", way->what)) {
        return;
    }
    guest_step(&guest, GUEST_STEP_FILL, SMALL_BLOCK_IPA, SMALL_BLOCK_SIZE, SEED);
    check_split(&guest, resized);
    check_tighten(&guest, PAGE, resized, "a page of a block");
    check_tighten(&guest, RUN_PAGE, resized, "a page of a run");
    check_whole(&guest);
    check_fold(&guest, resized);
    check_break(&guest, broken);
    guest_fini(&guest);
}

void topic_sizes(void)
{
    if (machine.cpu.bbm < BBM_DIRECT) {
        print("  (not on this CPU: direct changes, FEAT_BBM level 2; so they go by break)\n");
    }
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        check_way(&ways[i]);
    }
}
