/*
 * regime.h - which guest is current on this CPU: VTCR_EL2, VTTBR_EL2, HCR_EL2.TGE are written here
 * and nowhere else, for an invalidation and for running the guest alike.
 *
 *      s2_regime_borrow() ... s2_regime_return()     for an invalidation: afterwards all is as before
 *      s2_regime_load()                              for good: this CPU runs the guest
 *
 * On parts with the speculative-AT errata an AT instruction that is executed speculatively walks
 * with whatever VTCR_EL2 and VTTBR_EL2 hold at that moment, even half of one guest and half of
 * another, and what it finds is cached. So there no stage 1 is walked while they change:
 *
 *      TCR_EL1.EPD0, EPD1 = 1    stage 1 is not walked
 *      ISB
 *      SCTLR_EL1.M = 1, ISB      only where it was 0: then there is no stage 1 that EPD could stop,
 *                                every address goes straight to stage 2
 *      HCR_EL2.DC = 0, ISB       only where it was 1: it turns stage 1 off whatever M says
 *      VTCR_EL2, VTTBR_EL2 ...
 *      ISB
 *      all of it back, in the reverse order
 *
 * Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_TLB_REGIME_H
#define TRESTLE_STAGE2_TLB_REGIME_H

#include "stage2/arch/geometry.h"
#include "stage2/tlb/tlb_batch.h"
#include "stage2/tlb/vmid.h"

#include <stdbool.h>
#include <stdint.h>

/* A guest, as its registers say. */
struct s2_regime {
    const struct s2_geometry *geometry;
    const struct s2_tlb_rules *rules;
    uint64_t vttbr;                  /* with the VMID, unless vmids gives it */
    struct s2_vmid_allocator *vmids; /* NULL: none does */
    struct s2_vmid *vmid;            /* the guest's */
};

/* What stage 1 was before it was stopped. */
struct s2_stage1 {
    uint64_t tcr;
    uint64_t sctlr;
    uint64_t hcr;
};

/* What was current before a guest was borrowed. Private but for is_here. */
struct s2_regime_before {
    uint64_t daif, vtcr, vttbr;
    struct s2_stage1 stage1;
    bool is_here;     /* the guest was current already */
    bool is_host;     /* HCR_EL2.TGE was set: what is meant for EL1&0 would go to EL2&0 */
    bool is_switched; /* so something was changed */
    bool is_pinned;   /* the lock of the VMIDs is held */
};

/**
 * s2_regime_borrow() - Make the guest current for invalidations, with HCR_EL2.TGE = 0.
 * @before:  for s2_regime_return(), which follows in any case.
 * Returns:  true; false: nothing was changed, as no TLB can hold anything of the guest.
 * Order:    an ISB has passed on return if anything was written.
 * Context:  interrupts are masked until it is returned, as a handler would run under the wrong
 *           guest. Where VMIDs are given, and the guest is not current, their lock is held as long.
 */
MAPPING_MUST_USE bool s2_regime_borrow(const struct s2_regime *regime,
                                       struct s2_regime_before *before);

/* All as it was; interrupts too. */
void s2_regime_return(const struct s2_regime *regime, const struct s2_regime_before *before);

/* This CPU runs the guest, under @vttbr. Only what differs is written, most often nothing; then an
 * ISB follows. Context: interrupts are masked. */
void s2_regime_load(const struct s2_regime *regime, uint64_t vttbr);

/* HCR_EL2.TGE = 0 until s2_regime_to_host(), so that a TLBI for EL1&0 does not go to EL2&0.
 * Returns: HCR_EL2 as it was. Order: an ISB has passed if it was written; likewise in the other. */
uint64_t s2_regime_from_host(const struct s2_tlb_rules *rules);
void s2_regime_to_host(const struct s2_tlb_rules *rules, uint64_t hcr);

#endif
