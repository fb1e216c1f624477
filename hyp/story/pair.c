#include "hyp/story/pair.h"

#include "hyp/story/expect.h"
#include "hyp/story/small.h"

#define ONE_PAGE ipa_range(SMALL_PAGES_IPA + 0x2000, SMALL_PAGE)
#define SOME_PAGES ipa_range(SMALL_PAGES_IPA + 0xf000, 16 * SMALL_PAGE) /* aligned to 64 KiB */
#define ALL_PAGES ipa_range(SMALL_PAGES_IPA, SMALL_PAGES_SIZE)
#define ROUNDS 3
#define RW (S2_READ | S2_WRITE)

/* The last word of @range. */
static ipa_t last_of(struct ipa_range range)
{
    return ipa_of(ipa_number(ipa_range_end(range)) - sizeof(uint64_t));
}

static void use(struct guest *guest, struct ipa_range range, uint64_t word)
{
    guest_write(guest, range.start, word);
    guest_write(guest, last_of(range), word);
}

static bool finds(struct guest *guest, struct ipa_range range, uint64_t word)
{
    return small_reads(guest, range.start, word) && small_reads(guest, last_of(range), word);
}

/* @other, which is loaded, or @guest itself, has the same addresses. */
static bool loses(struct guest *guest, struct guest *other, struct ipa_range range)
{
    pa_t pa = small_pa(guest, range);
    bool holds;

    use(guest, range, 1);
    use(other, range, other == guest ? 1 : 2);
    holds = expect_part(s2_space_unmap(&guest->space, range) == MAPPING_OK, "EL2 unmaps it");
    holds = expect_part(other == guest || finds(other, range, 2), "the loaded one keeps its own") &&
            expect_part(
                small_is_refused(guest, S2_ACCESS_READ, S2_FAULT_TRANSLATION, range.start) &&
                    small_is_refused(guest, S2_ACCESS_READ, S2_FAULT_TRANSLATION, last_of(range)),
                "the guest loses it") &&
            holds;
    return expect_part(s2_space_map_linear(&guest->space, range, pa, RW) == MAPPING_OK &&
                           finds(guest, range, 1),
                       "and finds it where it is mapped again") &&
           holds;
}

static bool moves(struct guest *guest, struct guest *other, struct ipa_range range, pa_t to)
{
    pa_t pa = small_pa(guest, range);
    bool holds;

    use(guest, range, 1);
    use(other, range, other == guest ? 1 : 2);
    holds = s2_space_replace_linear(&guest->space, range, to, RW) == MAPPING_OK &&
            (other == guest || finds(other, range, 2)) && finds(guest, range, 0);
    return expect_part(s2_space_replace_linear(&guest->space, range, pa, RW) == MAPPING_OK &&
                           finds(guest, range, 1) && holds,
                       "other memory comes and goes under a page");
}

/* EL2 lets the guest try again, and has this CPU forget the page. */
static bool is_mended(struct guest *guest, const struct s2_fault *abort)
{
    const struct s2_tlb_counters *sent = s2_table_tlb_counters(s2_space_table(&guest->space));
    uint64_t before = sent->by_address;

    return guest_mend(guest, abort) && sent->by_address > before;
}

/* EL2 relaxes while the guest stands at the fault, and then takes that fault for one that the
 * tables do not explain: as another CPU would, that had not heard of it. */
static bool is_tightened(struct guest *guest, struct guest *other, struct ipa_range range)
{
    struct guest_result result;
    bool holds;

    use(guest, range, 1);
    use(other, range, other == guest ? 1 : 2);
    holds = s2_space_protect(&guest->space, range, S2_READ) == MAPPING_OK &&
            (other == guest || guest_write(other, range.start, 2).outcome == GUEST_DONE);
    result = guest_write(guest, range.start, 3);
    holds =
        expect_part(result.outcome == GUEST_ABORTED && result.abort.kind == S2_FAULT_PERMISSION &&
                        !guest_mend(guest, &result.abort),
                    "the guest's store is refused, and the tables say so too") &&
        holds;
    holds = s2_space_protect(&guest->space, range, RW) == MAPPING_OK && holds;
    holds = expect_part(is_mended(guest, &result.abort), "the page's TLB entries go") && holds;
    return expect_part(guest_retry(guest).outcome == GUEST_DONE &&
                           small_reads(guest, range.start, 3) && holds,
                       "relaxed, it goes through");
}

static bool take_turns(struct guest *guests[PAIR])
{
    bool holds = true;

    for (unsigned turn = 0; turn < PAIR * ROUNDS; turn++) {
        holds = turns_take(guests[turn % PAIR], &small_place, turn % PAIR, turn / PAIR) && holds;
    }
    return expect_part(holds, "both find their own data and code");
}

bool pair_check(struct guest *guests[PAIR])
{
    bool holds = take_turns(guests);

    for (unsigned i = 0; i < 2 * PAIR; i++) {
        struct guest *guest = guests[i % PAIR], *other = guests[(i + i / PAIR + 1) % PAIR];
        pa_t to = guest_take_block(guest, SMALL_PAGE);

        holds = loses(guest, other, ONE_PAGE) && loses(guest, other, SOME_PAGES) &&
                loses(guest, other, ALL_PAGES) && moves(guest, other, ONE_PAGE, to) &&
                is_tightened(guest, other, SOME_PAGES) && holds;
    }
    return take_turns(guests) && holds;
}
