/*
 * smmu.h - a device that shares a guest's tables: what its SMMU has to be told, and whether it can.
 *
 *      SMMUv3   s2_smmu3_share(geometry, root, vmid, &idr, &ste, &reason)   the stream table entry
 *      SMMUv2   s2_smmu2_share(geometry, root, vmid, &idr, &bank, &reason)  a stage 2 context bank
 *
 * Nothing is written to the SMMU: that is its driver's. geometry, root and VMID are the guest's
 * (s2_table_geometry(), s2_table_root(), s2_table_vmid()). What both must agree on is judged here:
 *
 *      stage 2, AArch64 tables, granule, output size    the SMMU has them
 *      FWB       attributes are encoded otherwise with it: it has FWB if the tables have
 *      AF, dirty if hardware updates the tables, the SMMU does too (HTTU): an entry that is clean, or
 *                old, would be a fault for it
 *      coherent  its walks see what CPUs store, or tables are cleaned (S2_WALKER_NON_COHERENT)
 *      VMID      above 255 it has 16 bits
 *      DS        tables with LPA2 are refused: they are not shared
 *
 * And what is the embedder's: an SMMU cannot ask again, so whatever is mapped must never be invalid
 * for a moment (S2_TRANSIENT_REFUSED, or FEAT_BBM level 2 with IDR3.BBML = 2 and
 * S2_SIZE_CHANGE_DIRECT), access is not trapped (stage2/table/trap.h); and TLBIs of CPUs reach it
 * only with broadcast (IDR0.BTM), else s2_notifier tells what to send (CMD_TLBI_S2_IPA). An SMMU
 * without XNX takes what EL0 alone, or EL1 alone, may execute by the upper bit of the two.
 */
#ifndef TRESTLE_STAGE2_ARCH_SMMU_H
#define TRESTLE_STAGE2_ARCH_SMMU_H

#include "core/addr.h"
#include "core/c.h"
#include "core/err.h"
#include "stage2/arch/geometry.h"

#include <stdint.h>

TRESTLE_BEGIN

/* As read from the SMMU: SMMU_IDR0, SMMU_IDR3, SMMU_IDR5. */
struct s2_smmu3_idr {
    uint32_t idr0;
    uint32_t idr3;
    uint32_t idr5;
};

/* A stream table entry: eight words, the first of which is written last. */
struct s2_smmu3_ste {
    uint64_t words[8];
};

/**
 * s2_smmu3_share() - The entry that makes a device's accesses go by stage 2 alone, under the guest's
 *                    tables.
 * @root, @vmid: as in VTTBR_EL2.
 * @reason:  if not NULL: on an error, why, as a sentence with static lifetime.
 * Returns:  MAPPING_OK; MAPPING_UNSUPPORTED: the SMMU cannot, as above.
 * On error: @ste is as before.
 * Cost:     O(1).
 * Source:   Arm IHI 0070, 5.2 "Stream Table Entry": V, Config = stage 2, SHCFG = incoming, S2FWB,
 *           S2VMID, S2T0SZ to S2PS as in VTCR_EL2, S2AA64, S2AFFD, S2HA, S2HD, S2R, S2TTB.
 */
MAPPING_MUST_USE enum mapping_error s2_smmu3_share(const struct s2_geometry *geometry, pa_t root,
                                                   uint16_t vmid, const struct s2_smmu3_idr *idr,
                                                   struct s2_smmu3_ste *ste, const char **reason);

/* As read from the SMMU: SMMU_IDR0, SMMU_IDR2. */
struct s2_smmu2_idr {
    uint32_t idr0;
    uint32_t idr2;
};

/* Registers of a context bank of stage 2 (CBAR.TYPE = 0). */
struct s2_smmu2_bank {
    uint32_t cbar;  /* SMMU_CBARn: the type, and the VMID of 8 bits */
    uint32_t cba2r; /* SMMU_CBA2Rn: VA64, and the VMID of 16 bits */
    uint32_t tcr;   /* SMMU_CBn_TCR */
    uint64_t ttbr0; /* SMMU_CBn_TTBR0 */
};

/* The same for an SMMUv2, which has neither FWB nor HTTU. Source: Arm IHI 0062, the registers by
 * their names. */
MAPPING_MUST_USE enum mapping_error s2_smmu2_share(const struct s2_geometry *geometry, pa_t root,
                                                   uint16_t vmid, const struct s2_smmu2_idr *idr,
                                                   struct s2_smmu2_bank *bank, const char **reason);

TRESTLE_END

#endif
