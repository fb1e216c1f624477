#include "hyp/machine/sysreg.h"
#include "hyp/story/expect.h"
#include "hyp/story/small.h"
#include "hyp/story/topics.h"

/*
 * More guests than VMIDs, by turns:
 *
 *      guest   Ivan Judy Kim | Leo Mia | Ivan Judy | ...
 *      VMID      1    2    3 |  1   2  |   1    3  |        a bar: the numbers ran out, and whoever
 *                                                           was here just then kept its own
 *
 * This emulator's TLB knows no VMIDs: it forgets all when VTTBR_EL2 gets another one. So two guests
 * that shared one would show here, and what is stale under a number would not; that is for the
 * host's model.
 */
#define GUESTS 5
#define ROUNDS 6
#define PAGE SMALL_PAGES_IPA
#define SEED 5

_Static_assert(GUESTS > MACHINE_VMID_LAST + 1, "some always have none");

static struct guest guests[GUESTS];

static uint64_t live_vmid(void)
{
    return MAPPING_FIELD_GET(VTTBR_VMID, read_vttbr_el2());
}

static const struct s2_tlb_counters *counters_of(const struct guest *guest)
{
    return s2_table_tlb_counters(s2_space_table(&guest->space));
}

/* Before the first turn: nobody can have anything of it in a TLB. */
static void check_unborn(struct guest *guest)
{
    struct ipa_range page = ipa_range(PAGE, SMALL_PAGE);
    pa_t pa = small_pa(guest, page);
    const struct s2_tlb_counters *sent = counters_of(guest);
    uint64_t skipped = sent->skipped_flushes;

    check(s2_space_unmap(&guest->space, page) == MAPPING_OK &&
              s2_space_map_linear(&guest->space, page, pa, S2_READ | S2_WRITE) == MAPPING_OK &&
              sent->flushes == 0 && sent->skipped_flushes == skipped + 1,
          "%s has not run yet: EL2 unmaps and maps a page, and sends nothing to the TLBs",
          guest->name);
}

static bool make_all(void)
{
    static const char *const names[GUESTS] = {"Ivan", "Judy", "Kim", "Leo", "Mia"};
    const struct s2_config config = small_config();
    bool holds = true;

    for (unsigned i = 0; i < GUESTS; i++) {
        small_init(&guests[i], names[i], &config);
    }
    check_unborn(&guests[0]);
    for (unsigned i = 0; i < GUESTS; i++) {
        holds = guest_boot(&guests[i]).outcome == GUEST_DONE && holds;
    }
    return holds;
}

/* Who has which VMID, as VTTBR_EL2 tells it by and by. */
struct owners {
    const struct guest *of[MACHINE_VMID_LAST + 1];
    const struct guest *last; /* that was loaded */
    uint64_t rollovers;
};

/* When the numbers have run out, all are free but that of the one who was here. */
static void forget_owners(struct owners *owners)
{
    for (unsigned i = 0; i <= MACHINE_VMID_LAST; i++) {
        owners->of[i] = owners->of[i] == owners->last ? owners->last : NULL;
    }
    owners->rollovers = s2_vmid_rollovers(&machine.vmids);
}

/* @guest is loaded: whether its number is one of those given, and nobody else's. */
static bool owns_vmid(struct owners *owners, const struct guest *guest)
{
    uint64_t number = live_vmid();

    if (number == S2_VMID_NOBODY || number > MACHINE_VMID_LAST) {
        return false;
    }
    if (owners->rollovers != s2_vmid_rollovers(&machine.vmids)) {
        forget_owners(owners);
    }
    if (owners->of[number] != NULL && owners->of[number] != guest) {
        return false;
    }
    owners->of[number] = guest;
    owners->last = guest;
    return true;
}

static void check_turns(void)
{
    uint64_t before = s2_vmid_rollovers(&machine.vmids);
    struct owners owners = {.rollovers = before};
    bool holds = true, is_owned = true;

    for (unsigned turn = 0; turn < ROUNDS * GUESTS; turn++) {
        unsigned who = turn % GUESTS;

        holds = turns_take(&guests[who], &small_place, who, turn / GUESTS) && holds;
        is_owned = owns_vmid(&owners, &guests[who]) && is_owned;
    }
    check(holds, "%u turns each: everyone finds its own data and code at the same IPAs", ROUNDS);
    check(is_owned && s2_vmid_rollovers(&machine.vmids) - before >= ROUNDS,
          "no two had the same VMID of 1..%u, which ran out %lu times", MACHINE_VMID_LAST,
          s2_vmid_rollovers(&machine.vmids) - before);
}

/* One that had its turn so long ago that its number is another's now. */
static void check_stale(struct guest *stale, struct guest *current)
{
    struct ipa_range page = ipa_range(PAGE, SMALL_PAGE);
    const struct s2_tlb_counters before = *counters_of(stale);
    pa_t pa = small_pa(stale, page);

    guest_write(current, page.start, 1);
    check(s2_space_unmap(&stale->space, page) == MAPPING_OK &&
              counters_of(stale)->flushes == before.flushes &&
              counters_of(stale)->skipped_flushes == before.skipped_flushes + 1,
          "%s has no VMID any more: EL2 unmaps a page, and sends nothing to the TLBs", stale->name);
    check(small_reads(current, page.start, 1) &&
              small_is_refused(stale, S2_ACCESS_READ, S2_FAULT_TRANSLATION, page.start),
          "the next time %s runs it is gone, and %s keeps its own", stale->name, current->name);
    check(s2_space_map_linear(&stale->space, page, pa, S2_READ | S2_WRITE) == MAPPING_OK &&
              small_reads(stale, page.start, 0),
          "EL2 maps it again, and there it is");
}

/* The same ASID, other tables of the guest's own: the VA of the window leads to two IPAs. */
static void set_up_vcpus(struct guest *guest, const ipa_t ipas[GUEST_VCPUS])
{
    for (unsigned i = 0; i < GUEST_VCPUS; i++) {
        guest_step(guest, GUEST_STEP_WINDOW, i + 1, 0, ipa_number(ipas[i]));
        guest_write(guest, ipas[i], guest_pattern(i, SEED));
    }
    guest_add_vcpu(guest);
    guest_use_vcpu(guest, 1);
    guest_step(guest, GUEST_STEP_OWN_TABLES, 1, 2, 0);
}

static void check_vcpus(struct guest *guest)
{
    const ipa_t ipas[GUEST_VCPUS] = {ipa_of(SMALL_BLOCK_IPA + 0x5000),
                                     ipa_of(SMALL_PAGES_IPA + 0x7000)};
    uint64_t vmid;
    bool holds = true;

    set_up_vcpus(guest, ipas);
    vmid = live_vmid();
    for (unsigned turn = 0; turn < ROUNDS * GUEST_VCPUS; turn++) {
        unsigned who = turn % GUEST_VCPUS;

        guest_use_vcpu(guest, who);
        holds = small_reads(guest, ipa_of(GUEST_WINDOW_VA), guest_pattern(who, SEED)) &&
                live_vmid() == vmid && holds;
    }
    check(holds,
          "two vCPUs of %s with one ASID and two stage-1 tables, by turns on this CPU: each "
          "sees its own",
          guest->name);
    guest_use_vcpu(guest, 0);
}

void topic_vmids(void)
{
    check(make_all(), "%u small guests boot on %u VMIDs", GUESTS, MACHINE_VMID_LAST);
    check_turns();
    check_stale(&guests[0], &guests[GUESTS - 1]);
    check_vcpus(&guests[1]);
    for (unsigned i = 0; i < GUESTS; i++) {
        guest_fini(&guests[i]);
    }
}
