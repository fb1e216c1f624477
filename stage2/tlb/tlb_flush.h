/*
 * tlb_flush.h - the closing sequence: how invalidations are sent, whichever guest is current.
 *
 *      DSB ISH            what was broken is visible to every walker
 *      notifier           devices with TLBs of their own
 *      interrupts masked
 *      switch             if another guest, or none, is current: stage-1 walks stopped where the
 *                                                                CPU
 *                         asks for it (stage2/tlb/regime.h), VTCR_EL2, VTTBR_EL2, TGE = 0, ISB
 *      TLBI               by address, by range
 *      DSB ISH            else another CPU refills a combined entry from what is on its way out
 *      TLBI VMALLE1IS
 *      DSB ISH, ISB       gone on every CPU, and so are the accesses that used it
 *      switch back
 *
 * Sent twice (enum s2_tlbi_repeat): between a phase's TLBIs and the DSB after them there is that
 * DSB and all of them once more. Local: the forms and DSBs of this CPU alone, but for the first.
 *
 * It stands in tlb_flush.c and nowhere else. Private to stage2/.
 *
 * Source: Arm ARM DDI 0487, D8.14 "TLB maintenance", "break-before-make"; B2.3 "Completion of TLB
 * maintenance".
 */
#ifndef TRESTLE_STAGE2_TLB_TLB_FLUSH_H
#define TRESTLE_STAGE2_TLB_TLB_FLUSH_H

#include "stage2/tlb/regime.h"
#include "stage2/tlb/tlb_batch.h"

/* The guest that a flush is for. */
struct s2_tlb_target {
    struct s2_regime regime;
    const struct s2_notifier *notifier;
    struct s2_tlb_counters *counters;
    bool has_slow_memory; /* something it maps may have XS = 1 */
};

/**
 * s2_tlb_flush() - One closing sequence for all that @batch holds; empty afterwards, nothing if it
 * was.
 * Order:    on return, no walker and no TLB of any CPU holds anything that was broken before the
 *           call; an access that used it has completed. Stores made before the call are visible.
 *           If all was relaxed, and S2_RELAX_HERE: on this CPU.
 * Cost:     at most S2_TLB_PARTS_MAX TLBIs and VMALLE1IS, or one for the VMID. Nothing is sent
 *           where VMIDs are given and no CPU can hold anything of the guest: it has not run yet, or
 *           not in this generation of VMIDs.
 * Context:  where VMIDs are given, takes their lock as long as the guest is in VTTBR_EL2 on behalf
 *           of the flush: nobody may give its VMID to a third meanwhile. The notifier is called
 *           without it.
 */
void s2_tlb_flush(const struct s2_tlb_target *target, struct s2_tlb_batch *batch);

/* The same for one leaf of @level, @range, that was revoked: what most flushes are for. */
void s2_tlb_flush_leaf(const struct s2_tlb_target *target, struct ipa_range range, int level);

/* The same for everything that the guest's VMID tags, both stages; neither local nor nXS. */
void s2_tlb_flush_vmid(const struct s2_tlb_target *target);

/**
 * s2_tlb_recover_conflict() - This CPU holds nothing of the guest's VMID any more: after a TLB
 * conflict. s2_tlb_refresh() - It holds nothing of the page at @addr any more, nor of stage 1:
 * after a fault
 *                     that the tables do not explain.
 * Order:    both see all that was stored and published before the tables were last let go of.
 *           Nobody is notified.
 * Context:  the guest is current on this CPU; if it is not, it is made so meanwhile.
 */
void s2_tlb_recover_conflict(const struct s2_tlb_target *target);
void s2_tlb_refresh(const struct s2_tlb_target *target, ipa_t addr);

#endif
