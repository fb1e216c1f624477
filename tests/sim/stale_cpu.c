#include "tests/sim/stale_private.h"

#define VTTBR_BADDR (((UINT64_C(1) << 48) - 1) & ~UINT64_C(1))

/* --- Who holds, who is meant ----------------------------------------------------------------- */

uint8_t stale_holders(const struct stale_tlb *tlb, unsigned guest)
{
    return tlb->cpus[guest].is_managed ? tlb->cpus[guest].held : (uint8_t)ALL_CPUS;
}

bool stale_tlb_is_walked(const struct stale_tlb *tlb, unsigned guest)
{
    return tlb->reach.guests[guest].is_live &&
           (!tlb->cpus[guest].is_managed || tlb->cpus[guest].loaded != 0);
}

bool stale_is_of_all(const struct sim_event *event)
{
    return event->kind == SIM_TLBI_ALLE1IS || event->kind == SIM_TLBI_ALLE1;
}

/* CPUs that hold, or held last, the guest under @vmid. */
static uint8_t tagged(const struct stale_cpus *cpus, unsigned vmid)
{
    uint8_t mask = 0;

    for (size_t i = 0; i < SIM_CPUS; i++) {
        mask |= cpus->vmid[i] == vmid ? stale_cpu_bit(i) : 0;
    }
    return mask;
}

uint8_t stale_addressed(const struct stale_tlb *tlb, unsigned guest, const struct sim_event *event)
{
    const struct mmu now = {.vtcr = event->vtcr, .vttbr = event->vttbr, .cpu = tlb->reach.cpu};
    const unsigned vmid = mmu_vmid(&now);

    if (stale_is_of_all(event)) {
        return ALL_CPUS;
    }
    if (tlb->cpus[guest].is_managed) {
        return tagged(&tlb->cpus[guest], vmid);
    }
    return tlb->reach.guests[guest].vmid == vmid ? ALL_CPUS : 0;
}

/* --- Loading --------------------------------------------------------------------------------- */

static bool is_root_of(const struct reach_guest *guest, uint64_t vttbr)
{
    return guest->is_live && ((guest->mmu.vttbr ^ vttbr) & VTTBR_BADDR) == 0;
}

static unsigned vmid_of(const struct reach_guest *guest, uint64_t vttbr)
{
    const struct mmu mmu = {.vtcr = guest->mmu.vtcr, .vttbr = vttbr, .cpu = guest->mmu.cpu};

    return mmu_vmid(&mmu);
}

/* Whether @cpu may hold something of the guest under @vmid. */
static bool holds_under(const struct stale_tlb *tlb, unsigned guest, size_t cpu, unsigned vmid)
{
    const struct stale_cpus *cpus = &tlb->cpus[guest];

    if (!cpus->is_managed) {
        return tlb->reach.guests[guest].is_live && tlb->reach.guests[guest].vmid == vmid;
    }
    return (cpus->held & stale_cpu_bit(cpu)) != 0 && cpus->vmid[cpu] == vmid;
}

/* What a walker of @cpu may still read, it may have read now. */
static void see_unseen(struct stale_tlb *tlb, unsigned guest, size_t cpu)
{
    for (uint32_t i = tlb->store.first; i != STALE_TLB_NONE;
         i = stale_store_at(&tlb->store, i)->next) {
        struct stale_entry *entry = stale_store_at(&tlb->store, i);
        const uint8_t read = entry->unseen & stale_cpu_bit(cpu);

        if (entry->place.guest == guest) {
            entry->stage2 |= read;
            entry->combined |= entry->is_table ? 0 : read;
        }
    }
}

static void load(struct stale_tlb *tlb, unsigned guest, size_t cpu, uint64_t vttbr)
{
    struct stale_cpus *cpus = &tlb->cpus[guest];
    const unsigned vmid = vmid_of(&tlb->reach.guests[guest], vttbr);
    const uint8_t bit = stale_cpu_bit(cpu);

    if ((cpus->held & bit) != 0 && cpus->vmid[cpu] != vmid) {
        stale_problem(tlb, "a guest is loaded while the TLB may hold it under another VMID", NULL,
                      NULL);
    }
    for (unsigned other = 0; other < tlb->reach.guest_count; other++) {
        if (other != guest && holds_under(tlb, other, cpu, vmid)) {
            stale_problem(tlb, "a guest is loaded under a VMID that tags another in the TLB", NULL,
                          NULL);
        }
    }
    cpus->loaded |= bit;
    cpus->leaving = (uint8_t)(cpus->leaving & ~bit);
    cpus->held |= bit;
    cpus->vmid[cpu] = vmid;
    for (size_t i = 0; i < SIM_CPUS; i++) {
        cpus->marks[i] = (uint8_t)(cpus->marks[i] & ~bit);
    }
    see_unseen(tlb, guest, cpu);
}

/* VTTBR_EL2 of @cpu is another: who was loaded is walked until the ISB. */
static void change(struct stale_tlb *tlb, size_t cpu, uint64_t vttbr)
{
    tlb->vttbr[cpu] = vttbr;
    for (unsigned i = 0; i < tlb->reach.guest_count; i++) {
        struct stale_cpus *cpus = &tlb->cpus[i];

        if (!cpus->is_managed) {
            continue;
        }
        cpus->leaving |= cpus->loaded & stale_cpu_bit(cpu);
        if (is_root_of(&tlb->reach.guests[i], vttbr)) {
            load(tlb, i, cpu, vttbr);
        }
    }
}

void stale_on_load(struct stale_tlb *tlb, const struct sim_event *event)
{
    change(tlb, event->cpu, event->new);
}

void stale_on_isb(struct stale_tlb *tlb, size_t cpu)
{
    for (unsigned i = 0; i < tlb->reach.guest_count; i++) {
        struct stale_cpus *cpus = &tlb->cpus[i];
        const uint8_t left = cpus->leaving & stale_cpu_bit(cpu);

        cpus->loaded = (uint8_t)(cpus->loaded & ~left);
        cpus->leaving = (uint8_t)(cpus->leaving & ~left);
    }
}

/* A register that a test wrote takes effect at once. */
void stale_note_vttbr(struct stale_tlb *tlb, size_t cpu, uint64_t vttbr)
{
    if (tlb->vttbr[cpu] != vttbr) {
        change(tlb, cpu, vttbr);
        stale_on_isb(tlb, cpu);
    }
}

void stale_tlb_manage_guest(struct stale_tlb *tlb, unsigned guest)
{
    tlb->cpus[guest].is_managed = true;
    for (size_t i = 0; i < SIM_CPUS; i++) {
        if (is_root_of(&tlb->reach.guests[guest], sim_cpu_at(i)->vttbr)) {
            tlb->vttbr[i] = sim_cpu_at(i)->vttbr;
            load(tlb, guest, i, tlb->vttbr[i]);
        }
    }
}

/* --- Forgetting ------------------------------------------------------------------------------ */

/* Slow accesses outlive an nXS form, and with them what they use. */
void stale_on_sweep(struct stale_tlb *tlb, const struct sim_event *event, uint8_t targets)
{
    const bool is_lost =
        (tlb->out_of_context & stale_cpu_bit(event->cpu)) != 0 && !stale_is_of_all(event);

    for (unsigned i = 0; i < tlb->reach.guest_count && !is_lost && !event->is_nxs; i++) {
        struct stale_cpus *cpus = &tlb->cpus[i];

        if (cpus->is_managed) {
            cpus->marks[event->cpu] |=
                (uint8_t)(targets & stale_addressed(tlb, i, event) & ~cpus->loaded);
        }
    }
}

void stale_sweep_done(struct stale_tlb *tlb, size_t cpu, uint8_t scope)
{
    for (unsigned i = 0; i < tlb->reach.guest_count; i++) {
        struct stale_cpus *cpus = &tlb->cpus[i];

        cpus->held = (uint8_t)(cpus->held & ~(cpus->marks[cpu] & scope));
        cpus->marks[cpu] = (uint8_t)(cpus->marks[cpu] & ~scope);
    }
}
