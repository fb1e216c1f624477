#include "tests/sim/monitor_private.h"

#include <stdlib.h>

#define VTTBR_BADDR (((UINT64_C(1) << 48) - 1) & ~UINT64_C(1))
#define VTTBR_CNP UINT64_C(1)

/* --- Who is loaded --------------------------------------------------------------------------- */

/* The guest whose root @vttbr leads to, under whatever VMID; NULL: none, or its tables are gone. */
static struct guest *guest_of(struct monitor *monitor, uint64_t vttbr)
{
    struct guest *guest = monitor->guests;

    while (guest != NULL &&
           (guest->root == NULL || ((guest->given.vttbr ^ vttbr) & VTTBR_BADDR) != 0)) {
        guest = guest->next;
    }
    return guest;
}

static unsigned vmid_of(const struct monitor *monitor, const struct guest *guest, uint64_t vttbr)
{
    const struct mmu mmu = monitor_mmu(monitor, guest->given.vtcr, vttbr, guest->given.hcr);

    return mmu_vmid(&mmu);
}

static struct stay *stay_of(const struct guest *guest, size_t cpu, unsigned vmid)
{
    struct stay *stay = guest->stays;

    while (stay != NULL && (stay->cpu != cpu || stay->vmid != vmid)) {
        stay = stay->next;
    }
    return stay;
}

static struct stay *stay_new(struct monitor *monitor, struct guest *guest, size_t cpu,
                             unsigned vmid)
{
    struct stay *stay = calloc(1, sizeof(*stay));

    if (stay == NULL) {
        abort();
    }
    stay->cpu = cpu;
    stay->vmid = vmid;
    stay->since = monitor->clock;
    stay->next = guest->stays;
    guest->stays = stay;
    return stay;
}

/* --- One VMID, one guest --------------------------------------------------------------------- */

static void blame_shared(struct monitor *monitor, const struct guest *guest,
                         const struct guest *other, size_t cpu, unsigned vmid)
{
    monitor_blame(monitor, MONITOR_SHARED_VMID, NULL,
                  "CPU %zu loads the root at 0x%llx under VMID %u, under which its TLB may hold "
                  "translations of the root at 0x%llx",
                  cpu, (unsigned long long)(guest->given.vttbr & VTTBR_BADDR), vmid,
                  (unsigned long long)(other->given.vttbr & VTTBR_BADDR));
}

/* Whether a stay has left nothing in the TLB. */
static bool is_clean(const struct stay *stay)
{
    return stay->until != 0 && stay->clean_at > stay->until;
}

static void judge_sharing(struct monitor *monitor, const struct guest *guest,
                          const struct guest *others, size_t cpu, unsigned vmid)
{
    for (const struct guest *other = others; other != NULL; other = other->next) {
        const struct stay *stay = stay_of(other, cpu, vmid);
        const bool is_managed = guest->given.is_managed || other->given.is_managed;
        const bool is_anywhere =
            !other->given.is_managed && other->root != NULL && other->vmid == vmid;

        if (other != guest && is_managed && (is_anywhere || (stay != NULL && !is_clean(stay)))) {
            blame_shared(monitor, guest, other, cpu, vmid);
        }
    }
}

/* --- Loading --------------------------------------------------------------------------------- */

/* What was invalidated under another VMID counts for nothing now. */
static void forget_tlbis(struct invalidation *invalidation)
{
    for (; invalidation != NULL; invalidation = invalidation->next) {
        invalidation->covered_at = 0;
        invalidation->gone_at = 0;
        invalidation->sent.count = 0;
    }
}

static void take_vmid(struct guest *guest, uint64_t vttbr, unsigned vmid)
{
    guest->given.vttbr = vttbr & ~VTTBR_CNP;
    if (guest->vmid != vmid) {
        guest->vmid = vmid;
        forget_tlbis(guest->invalidations);
        forget_tlbis(guest->table_invalidations);
    }
}

static void load(struct monitor *monitor, size_t cpu, uint64_t vttbr)
{
    struct guest *guest = guest_of(monitor, vttbr);
    struct stay *stay;
    unsigned vmid;

    monitor->cpus[cpu].vttbr = vttbr;
    if (guest == NULL) {
        return;
    }
    vmid = vmid_of(monitor, guest, vttbr);
    if (guest->given.is_managed) {
        take_vmid(guest, vttbr, vmid);
    } else if (guest->vmid != vmid) {
        return; /* judged elsewhere */
    }
    judge_sharing(monitor, guest, monitor->guests, cpu, vmid);
    judge_sharing(monitor, guest, monitor->gone, cpu, vmid);
    stay = stay_of(guest, cpu, vmid);
    if (stay == NULL) {
        stay = stay_new(monitor, guest, cpu, vmid);
    }
    stay->until = 0;
}

static void end_stays_of(struct monitor *monitor, struct guest *guests, size_t cpu)
{
    const uint64_t vttbr = monitor->cpus[cpu].vttbr;

    for (struct guest *guest = guests; guest != NULL; guest = guest->next) {
        const bool is_loaded = ((guest->given.vttbr ^ vttbr) & VTTBR_BADDR) == 0;

        for (struct stay *stay = guest->stays; stay != NULL; stay = stay->next) {
            if (stay->cpu == cpu && stay->until == 0 &&
                (!is_loaded || stay->vmid != vmid_of(monitor, guest, vttbr))) {
                stay->until = monitor->clock;
            }
        }
    }
}

void monitor_end_stays(struct monitor *monitor, size_t cpu)
{
    end_stays_of(monitor, monitor->guests, cpu);
    end_stays_of(monitor, monitor->gone, cpu);
}

/* A register that a test wrote takes effect at once. */
static void poll_vttbr(struct monitor *monitor, size_t cpu, uint64_t vttbr)
{
    if (monitor->cpus[cpu].vttbr != vttbr) {
        load(monitor, cpu, vttbr);
        monitor_end_stays(monitor, cpu);
    }
}

void monitor_note_vttbr(struct monitor *monitor, const struct sim_event *event)
{
    poll_vttbr(monitor, event->cpu, event->vttbr);
}

void monitor_poll_vttbr(struct monitor *monitor)
{
    for (size_t i = 0; i < SIM_CPUS; i++) {
        poll_vttbr(monitor, i, sim_cpu_at(i)->vttbr);
    }
}

void monitor_see_load(struct monitor *monitor, const struct sim_event *event)
{
    load(monitor, event->cpu, event->new);
}

/* Some CPUs may have it in place already. */
void monitor_see_guest(struct monitor *monitor, struct guest *guest)
{
    for (size_t i = 0; i < SIM_CPUS; i++) {
        if (guest_of(monitor, sim_cpu_at(i)->vttbr) == guest) {
            load(monitor, i, sim_cpu_at(i)->vttbr);
        }
    }
}

/* --- Forgetting ------------------------------------------------------------------------------ */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* While a vCPU may be running on it, an invalidation by another CPU leaves what comes after it. */
static void sweep_stay(struct stay *stay, const struct whole *whole, size_t cpu)
{
    const bool is_quiet = cpu == stay->cpu || (stay->until != 0 && stay->until < whole->issued_at);

    if (is_quiet) {
        stay->s1_at = later(stay->s1_at, whole->issued_at);
    }
    if (whole->is_both) {
        stay->clean_at = later(stay->clean_at, whole->issued_at);
        stay->full_at = whole->is_nxs ? stay->full_at : later(stay->full_at, whole->issued_at);
    }
}

static void sweep_guest(struct guest *guest, const struct whole *whole, size_t cpu)
{
    struct stay **link = &guest->stays;

    while (*link != NULL) {
        struct stay *stay = *link;

        if ((whole->is_all || whole->vmid == stay->vmid) &&
            (whole->is_broadcast || cpu == stay->cpu)) {
            sweep_stay(stay, whole, cpu);
        }
        if (stay->until != 0 && stay->full_at > stay->until) {
            *link = stay->next;
            free(stay);
        } else {
            link = &stay->next;
        }
    }
}

/* @whole, of @cpu's, is complete. */
void monitor_sweep_stays(struct monitor *monitor, const struct whole *whole, size_t cpu)
{
    for (struct guest *guest = monitor->guests; guest != NULL; guest = guest->next) {
        sweep_guest(guest, whole, cpu);
    }
    for (struct guest *guest = monitor->gone; guest != NULL; guest = guest->next) {
        sweep_guest(guest, whole, cpu);
    }
}

static bool is_held_by(const struct invalidation *invalidation, const struct stay *stay)
{
    const struct guest *guest = invalidation->table->guest;
    const struct sweeps *sweeps = invalidation->is_slow ? &guest->full : &guest->any;
    const uint64_t clean_at = invalidation->is_slow ? stay->full_at : stay->clean_at;

    if ((invalidation->kind == DEBT_RELAXED && stay->cpu != invalidation->cpu) ||
        (invalidation->published_at != 0 && stay->since > invalidation->published_at)) {
        return false;
    }
    return clean_at <= invalidation->published_at &&
           (stay->vmid != guest->vmid || invalidation->gone_at == 0 ||
            sweeps->s1_done_on[stay->cpu] <= invalidation->gone_at);
}

bool monitor_is_held(const struct invalidation *invalidation)
{
    const struct stay *stay = invalidation->table->guest->stays;

    while (stay != NULL && !is_held_by(invalidation, stay)) {
        stay = stay->next;
    }
    return stay != NULL;
}

/* A guest that is leaving is loaded once more at most, by who invalidates the last of it. */
bool monitor_is_deserted(const struct guest *guest)
{
    const struct stay *stay = guest->stays;

    while (stay != NULL && stay->since > guest->left_at && stay->full_at > stay->since) {
        stay = stay->next;
    }
    return stay == NULL;
}

void monitor_free_stays(struct guest *guest)
{
    while (guest->stays != NULL) {
        struct stay *next = guest->stays->next;

        free(guest->stays);
        guest->stays = next;
    }
}

/* --- vCPUs ----------------------------------------------------------------------------------- */

static void run(struct monitor *monitor, struct stay *stay, uint32_t vcpu_id)
{
    if (stay->run_at != 0 && stay->vcpu != vcpu_id && stay->s1_at < stay->run_at) {
        monitor_blame(monitor, MONITOR_STALE_ASID, NULL,
                      "CPU %zu runs vCPU %u under VMID %u, and ran vCPU %u since stage 1 was "
                      "invalidated",
                      stay->cpu, vcpu_id, stay->vmid, stay->vcpu);
    }
    stay->vcpu = vcpu_id;
    stay->run_at = monitor->clock;
}

void monitor_enter(struct monitor *monitor, uint32_t vcpu_id)
{
    const size_t number = sim_cpu_number();
    const struct sim_cpu *cpu = sim_cpu();
    struct guest *guest;
    struct stay *stay;

    if (monitor_is_silent(monitor)) {
        return;
    }
    monitor->clock++;
    monitor_poll_vttbr(monitor);
    guest = guest_of(monitor, cpu->vttbr);
    if (monitor->cpus[number].written_at > monitor->cpus[number].isb_at) {
        monitor_blame(monitor, MONITOR_NO_ISB, NULL,
                      "a guest runs after a register was written, without an ISB between");
        return;
    }
    stay = guest == NULL ? NULL : stay_of(guest, number, vmid_of(monitor, guest, cpu->vttbr));
    if (stay == NULL || stay->until != 0 || cpu->vtcr != guest->given.vtcr) {
        monitor_blame(monitor, MONITOR_WRONG_REGIME, NULL,
                      "CPU %zu runs a guest with VTCR 0x%llx and VTTBR 0x%llx, which are nobody's",
                      number, (unsigned long long)cpu->vtcr, (unsigned long long)cpu->vttbr);
        return;
    }
    run(monitor, stay, vcpu_id);
}
