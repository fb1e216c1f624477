#include "tests/sim/monitor_private.h"

#define HCR_TGE (UINT64_C(1) << 27)
#define HCR_E2H (UINT64_C(1) << 34)
#define TCR_EPD ((UINT64_C(1) << 7) | (UINT64_C(1) << 23))
#define SCTLR_M UINT64_C(1)
#define DAIF_IF UINT64_C(0xc0)
#define VTTBR_CNP UINT64_C(1)

bool monitor_is_tlbi(enum sim_kind kind)
{
    return sim_is_tlbi(kind);
}

struct mmu monitor_mmu(const struct monitor *monitor, uint64_t vtcr, uint64_t vttbr, uint64_t hcr)
{
    return (struct mmu){.vtcr = vtcr, .vttbr = vttbr, .hcr = hcr, .cpu = monitor->config.cpu};
}

static bool is_regime_of(const struct guest *guest, uint64_t vtcr, uint64_t vttbr)
{
    return guest->given.vtcr == vtcr && ((guest->given.vttbr ^ vttbr) & ~VTTBR_CNP) == 0;
}

/* The guest whose registers these are; else one of that VMID; else NULL. */
struct guest *monitor_current(struct monitor *monitor, const struct sim_event *event)
{
    const struct mmu mmu = monitor_mmu(monitor, event->vtcr, event->vttbr, event->hcr);
    const unsigned vmid = mmu_vmid(&mmu);
    struct guest *current = NULL;

    for (struct guest *guest = monitor->guests; guest != NULL; guest = guest->next) {
        const bool is_there = !guest->given.is_managed || guest->stays != NULL;

        if (guest->vmid == vmid && is_there &&
            (current == NULL || is_regime_of(guest, event->vtcr, event->vttbr))) {
            current = guest;
        }
    }
    return current;
}

/* What must hold when a TLBI for a guest is executed. */
void monitor_judge_regime(struct monitor *monitor, const struct sim_event *event)
{
    const struct cpu *cpu = &monitor->cpus[event->cpu];
    const uint64_t host = HCR_E2H | HCR_TGE;
    const struct guest *guest;

    if (event->kind == SIM_TLBI_ALLE1IS || event->kind == SIM_TLBI_ALLE1) {
        return; /* whatever the registers say */
    }
    if (cpu->written_at > cpu->isb_at) {
        monitor_blame(monitor, MONITOR_NO_ISB, NULL,
                      "a TLBI after a register was written, without an ISB between");
        return;
    }
    if ((event->hcr & host) == host) {
        monitor_blame(monitor, MONITOR_TGE, NULL, "a TLBI with HCR_EL2.E2H and TGE set");
        return;
    }
    guest = monitor_current(monitor, event);
    if (guest != NULL && !is_regime_of(guest, event->vtcr, event->vttbr)) {
        monitor_blame(monitor, MONITOR_WRONG_REGIME, NULL,
                      "a TLBI under VMID %u with VTCR 0x%llx and VTTBR 0x%llx, whose guest has "
                      "VTCR 0x%llx and VTTBR 0x%llx",
                      guest->vmid, (unsigned long long)event->vtcr,
                      (unsigned long long)event->vttbr, (unsigned long long)guest->given.vtcr,
                      (unsigned long long)guest->given.vttbr);
    }
}

/* Remember the registers that the operation found, before it first touches one. */
void monitor_note_baseline(struct monitor *monitor, const struct sim_event *event)
{
    struct cpu *cpu = &monitor->cpus[event->cpu];

    if (!cpu->has_baseline) {
        cpu->has_baseline = true;
        cpu->baseline = *sim_cpu_at(event->cpu);
    }
}

static bool regime_is_restored(const struct cpu *cpu, const struct sim_cpu *now)
{
    return now->vtcr == cpu->baseline.vtcr && now->vttbr == cpu->baseline.vttbr &&
           now->hcr == cpu->baseline.hcr;
}

/* Stage 1 is on, and its walks are off: no address goes through the guest's mixed registers. */
static bool is_quiet(const struct sim_cpu *now)
{
    return (now->tcr_el1 & TCR_EPD) == TCR_EPD && (now->sctlr_el1 & SCTLR_M) != 0;
}

/* Stage-1 walks of the guest are to be off while its registers are mixed. */
static bool walks_are_off(const struct monitor *monitor, const struct sim_event *event)
{
    const struct cpu *cpu = &monitor->cpus[event->cpu];

    return is_quiet(sim_cpu_at(event->cpu)) && cpu->isb_at >= cpu->stage1_at;
}

static void see_switch(struct monitor *monitor, const struct sim_event *event)
{
    struct cpu *cpu = &monitor->cpus[event->cpu];

    if (event->old == event->new) {
        return;
    }
    cpu->written_at = monitor->clock;
    if ((sim_cpu_at(event->cpu)->daif & DAIF_IF) != DAIF_IF) {
        monitor_blame(monitor, MONITOR_IRQS_UNMASKED, NULL,
                      "a register of the guest's regime is written with interrupts on");
    } else if (monitor->config.has_speculative_at && event->kind != SIM_WRITE_HCR &&
               !walks_are_off(monitor, event)) {
        monitor_blame(monitor, MONITOR_SPECULATIVE_AT, NULL,
                      "registers are switched while stage-1 walks may run");
    }
}

/* TCR_EL1 or SCTLR_EL1. */
static void see_stage1(struct monitor *monitor, const struct sim_event *event)
{
    struct cpu *cpu = &monitor->cpus[event->cpu];
    const struct sim_cpu *now = sim_cpu_at(event->cpu);
    const bool is_back = monitor->expects_entry || regime_is_restored(cpu, now);

    if (event->old == event->new) {
        return;
    }
    cpu->stage1_at = monitor->clock;
    if (monitor->config.has_speculative_at && !is_quiet(now) &&
        (cpu->written_at > cpu->isb_at || !is_back)) {
        monitor_blame(monitor, MONITOR_SPECULATIVE_AT, NULL,
                      "stage-1 walks are on again before the registers are back");
    }
}

static void see_unmask(struct monitor *monitor, const struct sim_event *event)
{
    const struct cpu *cpu = &monitor->cpus[event->cpu];

    if ((event->new &DAIF_IF) == DAIF_IF) {
        return;
    }
    if (cpu->written_at > cpu->isb_at) {
        monitor_blame(monitor, MONITOR_NO_ISB, NULL,
                      "interrupts are on after a register was written, without an ISB between");
    } else if (!monitor->expects_entry && !regime_is_restored(cpu, sim_cpu_at(event->cpu))) {
        monitor_blame(monitor, MONITOR_NOT_RESTORED, NULL,
                      "interrupts are on and the registers are another guest's");
    }
}

void monitor_see_register(struct monitor *monitor, const struct sim_event *event)
{
    struct cpu *cpu = &monitor->cpus[event->cpu];

    if (event->kind == SIM_ISB) {
        cpu->isb_at = monitor->clock;
        monitor_end_stays(monitor, event->cpu);
    } else if (event->kind == SIM_IC_IALLUIS) {
        cpu->ic_at = monitor->clock;
    } else if (event->kind == SIM_WRITE_TCR_EL1 || event->kind == SIM_WRITE_SCTLR_EL1) {
        see_stage1(monitor, event);
    } else if (event->kind == SIM_IRQ_RESTORE) {
        see_unmask(monitor, event);
    } else if (event->kind >= SIM_WRITE_VTCR && event->kind <= SIM_WRITE_HCR) {
        see_switch(monitor, event);
        if (event->kind == SIM_WRITE_VTTBR) {
            monitor_see_load(monitor, event);
        }
    }
}

/* Another guest may be entered; its stage 1 stays what its own registers say. */
static bool is_as_found(const struct monitor *monitor, const struct cpu *cpu,
                        const struct sim_cpu *now)
{
    return (monitor->expects_entry || regime_is_restored(cpu, now)) &&
           now->tcr_el1 == cpu->baseline.tcr_el1 && now->sctlr_el1 == cpu->baseline.sctlr_el1 &&
           now->daif == cpu->baseline.daif;
}

static void blame_registers(struct monitor *monitor, size_t number, const struct sim_cpu *now)
{
    const struct sim_cpu *then = &monitor->cpus[number].baseline;

    monitor_blame(monitor, MONITOR_NOT_RESTORED, NULL,
                  "CPU %zu: VTCR 0x%llx VTTBR 0x%llx HCR 0x%llx TCR_EL1 0x%llx SCTLR_EL1 0x%llx "
                  "DAIF 0x%llx; they were 0x%llx 0x%llx 0x%llx 0x%llx 0x%llx 0x%llx",
                  number, (unsigned long long)now->vtcr, (unsigned long long)now->vttbr,
                  (unsigned long long)now->hcr, (unsigned long long)now->tcr_el1,
                  (unsigned long long)now->sctlr_el1, (unsigned long long)now->daif,
                  (unsigned long long)then->vtcr, (unsigned long long)then->vttbr,
                  (unsigned long long)then->hcr, (unsigned long long)then->tcr_el1,
                  (unsigned long long)then->sctlr_el1, (unsigned long long)then->daif);
}

static void judge_registers(struct monitor *monitor, size_t number)
{
    struct cpu *cpu = &monitor->cpus[number];
    const struct sim_cpu *now = sim_cpu_at(number);

    if (cpu->written_at > cpu->isb_at) {
        monitor_blame(monitor, MONITOR_NO_ISB, NULL,
                      "CPU %zu: no ISB after the last register write", number);
    } else if (cpu->has_baseline && !is_as_found(monitor, cpu, now)) {
        blame_registers(monitor, number, now);
    }
    cpu->has_baseline = false;
}

void monitor_judge_rest(struct monitor *monitor)
{
    for (size_t i = 0; i < SIM_CPUS && !monitor_is_silent(monitor); i++) {
        const struct cpu *cpu = &monitor->cpus[i];

        if (cpu->stored_at > cpu->dsb_at) {
            monitor_blame(monitor, MONITOR_NOT_VISIBLE, NULL,
                          "CPU %zu: no DSB after the last descriptor store", i);
        } else if (cpu->visible_at > cpu->isb_at) {
            monitor_blame(monitor, MONITOR_NO_ISB, NULL,
                          "CPU %zu: no ISB after the DSB that made descriptors visible", i);
        } else {
            judge_registers(monitor, i);
        }
    }
    monitor->expects_entry = false;
}
