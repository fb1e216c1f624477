/*
 * regime.h - no stage-1 walks while the registers of stage 2 are those of two guests by turns.
 *
 * On parts with the speculative-AT errata an AT instruction that is executed speculatively walks
 * with whatever VTCR_EL2 and VTTBR_EL2 hold at that moment, even half of one guest and half of
 * another, and what it finds is cached. So:
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

#include <stdbool.h>
#include <stdint.h>

/* What the registers were. */
struct s2_stage1 {
    uint64_t tcr;
    uint64_t sctlr;
    uint64_t hcr;
    bool has_hcr_write; /* struct s2_tlb_rules */
};

/* Write HCR_EL2. @has_hcr_write: with the erratum (S2_ERRATUM_HCR_WRITE), a DSB before it, so that no
 * translation of an older instruction is under way, and an ISB after it. Without it the ISB is the
 * caller's. */
void s2_hcr_write(uint64_t value, bool has_hcr_write);

/**
 * s2_stage1_stop() - From now on this CPU walks no stage 1 of EL1&0.
 * @has_hcr_write: as above, until it is resumed.
 * Returns:  what s2_stage1_resume() puts back.
 * Order:    an ISB has passed on return.
 * Context:  interrupts are masked until it is resumed. Meanwhile other bits of HCR_EL2 than DC and
 *           E2H may change, if they are as before at the end.
 */
struct s2_stage1 s2_stage1_stop(bool has_hcr_write);

/* The opposite, after the ISB that follows the last register of stage 2. Order: as above. */
void s2_stage1_resume(const struct s2_stage1 *stage1);

#endif
