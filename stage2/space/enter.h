/*
 * enter.h - which guest a CPU runs.
 *
 *      s2_enter(table, vmids, cpu, vcpu_id)     VMID, VTCR_EL2, VTTBR_EL2, stale stage 1
 *      ... the embedder's own way into the guest and back, as often as it likes ...
 *      s2_enter(another, ...)                   or
 *      s2_leave(cpu)                            nobody's
 *
 * Before either, a guest's SPE and TRBE buffers are drained (stage2/space/space.h, which says what
 * else the host owes: suspend, HCR_EL2.PTW, interrupts).
 */
#ifndef TRESTLE_STAGE2_SPACE_ENTER_H
#define TRESTLE_STAGE2_SPACE_ENTER_H

#include "core/c.h"
#include "stage2/table/table.h"
#include "stage2/tlb/vmid.h"

TRESTLE_BEGIN

/**
 * s2_enter() - This CPU's EL1&0 translations are @table's from now on.
 * @vmids:   the same for all calls on @table, which has its VMID from there from now on; it gives
 *           no number that is too wide for the table. If other CPUs may change the table during its
 *           first s2_enter(), it was named by s2_table_set_vmids() before.
 * @cpu:     this CPU's, of the same @vmids.
 * @vcpu_id: any number that tells the guest's vCPUs apart: their ASIDs have nothing to do with each
 *           other, so when another one ran here last, this CPU forgets stage 1 of the VMID.
 * Returns:  MAPPING_OK; MAPPING_BAD_STATE: the table is finished, or about to be;
 *           MAPPING_INVALID_PARAM: @vmids gives numbers that are too wide for the table, or is
 *           another than before, or not the one that @cpu was made for (s2_cpu_init()).
 * On error: this CPU is in whatever it was in before: it must not run the guest.
 * Order:    VTCR_EL2 and VTTBR_EL2 are written, and an ISB has passed, on return. On CPUs with the
 *           speculative-AT errata stage-1 walks are stopped in between.
 * Cost:     some loads and a store if the vCPU is loaded already; else at most two register writes
 *           and an ISB; one TLBI VMALLE1 and a DSB on this CPU where vCPUs change; now and then a
 *           new generation of VMIDs (stage2/tlb/vmid.h).
 * Context:  interrupts masked; not while this CPU is in a call on the table. Other CPUs may enter
 *           it, and change it, at the same time. HCR_EL2 is the caller's: s2_table_hcr(); its TGE
 *           is 0 for a moment where vCPUs change under VHE. With S2_ERRATUM_HCR_WRITE the caller
 *           writes it between a DSB and an ISB, as is done here. A vCPU that may move to another
 *           CPU runs with HCR_EL2.FB = 1 and BSU = 1 (inner shareable): else what it invalidates
 *           for itself on one CPU stays behind on another that it was on. The EL1 registers are the
 *           caller's, too. Where speculative AT instructions may use them
 *           (S2_ERRATUM_SPECULATIVE_AT) they must not be another guest's: the caller sets
 *           TCR_EL1.EPD0 and EPD1, and SCTLR_EL1.M, from before it loads the first of them until
 *           s2_enter() is done.
 */
MAPPING_MUST_USE enum mapping_error s2_enter(struct s2_table *table,
                                             struct s2_vmid_allocator *vmids, struct s2_cpu *cpu,
                                             uint32_t vcpu_id);

/**
 * s2_leave() - This CPU runs no guest: VTTBR_EL2 is 0, VMID S2_VMID_NOBODY.
 * Context:  interrupts masked; stage 2 is off (HCR_EL2.VM), and the guest's stage 1 is not walked
 *           (its registers are gone, or TCR_EL1.EPD0 and EPD1 are set).
 */
void s2_leave(struct s2_cpu *cpu);

TRESTLE_END

#endif
