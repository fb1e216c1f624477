#include "hyp/machine/sysreg.h"
#include "hyp/story/expect.h"
#include "hyp/story/small.h"
#include "hyp/story/topics.h"

/* This emulator's TLB never has two answers. So here are ESRs as such a CPU would give them; what
 * EL2 does about them is what it does as a guest runs. */
#define ESR_LITERAL 0x92000030
#define ESR_FETCH_LITERAL 0x82000030

_Static_assert((MAPPING_FIELD_PREP(ESR_EC, EC_DABT_LOWER) | ESR_IL | FSC_TLB_CONFLICT) ==
                   ESR_LITERAL,
               "a load or store of a guest, FSC 0b110000");

static void check_decode(void)
{
    struct s2_fault load = abort_decode(ESR_LITERAL);
    struct s2_fault fetch = abort_decode(ESR_FETCH_LITERAL);

    check(load.kind == S2_FAULT_TLB_CONFLICT && load.access == S2_ACCESS_READ && !load.has_ipa &&
              fetch.kind == S2_FAULT_TLB_CONFLICT && fetch.access == S2_ACCESS_FETCH &&
              !fetch.has_ipa,
          "ESR 0x%x and 0x%x are TLB conflicts, at addresses that the CPU does not tell",
          ESR_LITERAL, ESR_FETCH_LITERAL);
}

static void check_recovery(struct guest *guest)
{
    const struct s2_fault abort = abort_decode(ESR_LITERAL);
    const struct s2_tlb_counters *sent = s2_table_tlb_counters(s2_space_table(&guest->space));
    const struct s2_tlb_counters before = *sent;
    const uint64_t times = (machine.cpu.errata & S2_ERRATUM_REPEAT_TLBI) != 0 ? 2 : 1;

    guest_write(guest, ipa_of(SMALL_BLOCK_IPA), 1);
    check(guest_mend(guest, &abort) && sent->whole == before.whole + times &&
              sent->by_address == before.by_address,
          "EL2 invalidates all of the VMID on this CPU, and lets the guest try again");
    check(small_reads(guest, ipa_of(SMALL_BLOCK_IPA), 1), "the guest goes on");
}

void topic_conflict(void)
{
    static struct guest guest;
    const struct s2_config config = small_config();

    check(small_make(&guest, "Rita", &config), "Rita boots");
    check_decode();
    check_recovery(&guest);
    guest_fini(&guest);
}
