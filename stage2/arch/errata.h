/*
 * errata.h - what single parts do other than the architecture says, as far as stage 2 meets it.
 *
 * One table of data (errata.c), looked up by MIDR_EL1. A machine of unequal CPUs has every erratum
 * that any of them has, and an ability only if all of them have it.
 *
 *      S2_ERRATUM_               what goes wrong                          what the library does
 *      SPECULATIVE_AT            an AT that is executed speculatively     stops stage 1 while the
 *                                walks with half of one guest's           registers change
 *                                registers and half of another's          (stage2/tlb/regime.h)
 *      REPEAT_TLBI               TLBI, DSB is over before an access by    sends each TLBI again after
 *                                the old translation is                   its DSB (stage2/tlb/tlb_flush.h)
 *      ACCESS_FLAG               AF is set in what is no entry any more   refuses VTCR_EL2.HA
 *      DIRTY                     so is dirty state; or it is lost         refuses VTCR_EL2.HD
 *      HCR_WRITE                 a write of HCR_EL2 spoils translations   DSB before it, ISB after
 *                                that are under way
 *      COMMON                    entries of CPUs that share a TLB mix     leaves VTTBR_EL2.CnP 0
 */
#ifndef TRESTLE_STAGE2_ARCH_ERRATA_H
#define TRESTLE_STAGE2_ARCH_ERRATA_H

#include "core/c.h"

#include <stdbool.h>
#include <stdint.h>

TRESTLE_BEGIN

/* Bits: an unsigned holds a set of them. */
enum s2_erratum {
    S2_ERRATUM_SPECULATIVE_AT = 1 << 0,
    S2_ERRATUM_REPEAT_TLBI = 1 << 1,
    S2_ERRATUM_ACCESS_FLAG = 1 << 2,
    S2_ERRATUM_DIRTY = 1 << 3,
    S2_ERRATUM_HCR_WRITE = 1 << 4,
    S2_ERRATUM_COMMON = 1 << 5,
};

/* What else is known of a part by its number alone. */
struct s2_part {
    unsigned errata;              /* S2_ERRATUM_ bits */
    bool has_conflict_free_sizes; /* its makers say that with FEAT_BBM level 2 no change of a
                                   * mapping's size ends in a TLB conflict */
};

/**
 * s2_part_of() - What is known of the part that reads @midr.
 * @midr:    MIDR_EL1. Of a part that is not in the table nothing is known.
 * Cost:     O(rows), some sixty. For when a machine comes up.
 * Source:   errata.c, row by row.
 */
struct s2_part s2_part_of(uint64_t midr);

TRESTLE_END

#endif
