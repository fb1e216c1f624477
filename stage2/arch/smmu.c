#include "stage2/arch/smmu.h"

#include "core/bits.h"

#include <stdbool.h>
#include <stddef.h>

/* SMMUv3 */
#define IDR0_S2P MAPPING_BIT(0)
#define IDR0_TTF_AARCH64 MAPPING_BIT(3) /* the upper bit of TTF: AArch64, or both */
#define IDR0_COHACC MAPPING_BIT(4)
#define IDR0_HTTU MAPPING_FIELD(7, 6)
#define IDR0_VMID16 MAPPING_BIT(18)
#define IDR3_FWB MAPPING_BIT(8)
#define IDR5_OAS MAPPING_FIELD(2, 0)
#define IDR5_GRAN4K MAPPING_BIT(4)
#define IDR5_GRAN16K MAPPING_BIT(5)
#define IDR5_GRAN64K MAPPING_BIT(6)

#define STE0_V MAPPING_BIT(0)
#define STE0_CONFIG MAPPING_FIELD(3, 1)
#define STE0_CONFIG_STAGE2 6
#define STE1_S2FWB MAPPING_BIT(25)
#define STE1_SHCFG MAPPING_FIELD(45, 44)
#define STE1_SHCFG_INCOMING 1
#define STE2_S2VMID MAPPING_FIELD(15, 0)
#define STE2_VTCR MAPPING_FIELD(50, 32) /* S2T0SZ to S2PS */
#define STE2_S2AA64 MAPPING_BIT(51)
#define STE2_S2HD MAPPING_BIT(55)
#define STE2_S2HA MAPPING_BIT(56)
#define STE2_S2R MAPPING_BIT(58)
#define STE3_S2TTB MAPPING_FIELD(51, 4)

/* SMMUv2 */
#define V2_IDR0_CTTW MAPPING_BIT(14)
#define V2_IDR0_S2TS MAPPING_BIT(29)
#define V2_IDR2_OAS MAPPING_FIELD(7, 4)
#define V2_IDR2_PTFS_4K MAPPING_BIT(12)
#define V2_IDR2_PTFS_16K MAPPING_BIT(13)
#define V2_IDR2_PTFS_64K MAPPING_BIT(14)
#define V2_IDR2_VMID16 MAPPING_BIT(15)
#define CBAR_VMID MAPPING_FIELD(7, 0)
#define CBA2R_VA64 MAPPING_BIT(0)
#define CBA2R_VMID16 MAPPING_FIELD(31, 16)

#define VTCR_SIZES MAPPING_FIELD(18, 0) /* T0SZ, SL0, IRGN0, ORGN0, SH0, TG0, PS */
#define VTCR_IRGN0 MAPPING_FIELD(9, 8)
#define VTCR_RES1 MAPPING_BIT(31)

_Static_assert((STE0_V | MAPPING_FIELD_PREP(STE0_CONFIG, STE0_CONFIG_STAGE2)) == 0xd, "STE[63:0]");
_Static_assert((MAPPING_FIELD_PREP(STE1_SHCFG, STE1_SHCFG_INCOMING) | STE1_S2FWB) ==
                   UINT64_C(0x0000100002000000),
               "STE[127:64]");
_Static_assert((STE2_S2AA64 | STE2_S2HD | STE2_S2HA | STE2_S2R) == UINT64_C(0x0588000000000000),
               "STE[191:128]");
_Static_assert(MAPPING_FIELD_GET(STE2_VTCR, STE2_VTCR) == VTCR_SIZES, "VTCR_EL2 goes in whole");
_Static_assert((IDR0_S2P | IDR0_TTF_AARCH64 | IDR0_COHACC | IDR0_HTTU | IDR0_VMID16) == 0x400d9,
               "SMMU_IDR0");
_Static_assert((IDR5_OAS | IDR5_GRAN4K | IDR5_GRAN16K | IDR5_GRAN64K) == 0x77, "SMMU_IDR5");
_Static_assert((V2_IDR2_PTFS_4K | V2_IDR2_PTFS_16K | V2_IDR2_PTFS_64K | V2_IDR2_VMID16) == 0xf000,
               "SMMU_IDR2 of version 2");

/* What an SMMU of either version can do. */
struct ability {
    bool has_stage2, has_granule, has_vmid16, is_coherent, has_fwb;
    unsigned updates; /* HTTU: 0 none, 1 AF, 2 and dirty state */
    unsigned pa_bits;
};

/* OAS has PARange's code. */
static unsigned oas_bits(uint64_t code)
{
    static const unsigned char bits[] = {32, 36, 40, 42, 44, 48, 52};
    const size_t last = sizeof(bits) - 1;

    return bits[code < last ? code : last];
}

/* What is in the way; NULL: nothing. */
static const char *obstacle(const struct s2_geometry *geometry, uint16_t vmid,
                            const struct ability *smmu)
{
    const bool is_coherent = MAPPING_FIELD_GET(VTCR_IRGN0, geometry->vtcr) != 0;
    const unsigned updates = s2_geometry_has_dirty(geometry)         ? 2
                             : s2_geometry_has_access_flag(geometry) ? 1
                                                                     : 0;

    if (!smmu->has_stage2) {
        return "the SMMU has no stage 2 with AArch64 tables";
    }
    if (!smmu->has_granule) {
        return "the SMMU lacks the tables' granule";
    }
    if (geometry->has_lpa2) {
        return "tables with LPA2 are not shared";
    }
    if (geometry->pa_bits > smmu->pa_bits) {
        return "the tables' output size is beyond the SMMU's";
    }
    if (s2_geometry_has_fwb(geometry) && !smmu->has_fwb) {
        return "the tables force write-back, and the SMMU would take their attributes for others";
    }
    if (updates > smmu->updates) {
        return "hardware updates the tables, and the SMMU would fault on what it does not update";
    }
    if (is_coherent && !smmu->is_coherent) {
        return "the SMMU's walks go past the caches, and the tables are not cleaned";
    }
    return vmid > UINT8_MAX && !smmu->has_vmid16 ? "the SMMU has VMIDs of 8 bits" : NULL;
}

static enum mapping_error judge(const struct s2_geometry *geometry, pa_t root, uint16_t vmid,
                                const struct ability *smmu, const char **reason)
{
    const char *why = obstacle(geometry, vmid, smmu);

    MAPPING_ASSERT(pa_is_aligned(root, s2_root_size(geometry)));
    MAPPING_ASSERT(smmu->updates <= 3);
    if (why != NULL && reason != NULL) {
        *reason = why;
    }
    return why == NULL ? MAPPING_OK : MAPPING_UNSUPPORTED;
}

/* Which of three bits stands for the granule. */
static uint64_t of_granule(const struct s2_geometry *geometry, uint64_t k4, uint64_t k16,
                           uint64_t k64)
{
    switch (geometry->granule_shift) {
    case S2_GRANULE_4K:
        return k4;
    case S2_GRANULE_16K:
        return k16;
    default:
        return k64;
    }
}

enum mapping_error s2_smmu3_share(const struct s2_geometry *geometry, pa_t root, uint16_t vmid,
                                  const struct s2_smmu3_idr *idr, struct s2_smmu3_ste *ste,
                                  const char **reason)
{
    const struct ability smmu = {
        .has_stage2 = (idr->idr0 & IDR0_S2P) != 0 && (idr->idr0 & IDR0_TTF_AARCH64) != 0,
        .has_granule =
            (idr->idr5 & of_granule(geometry, IDR5_GRAN4K, IDR5_GRAN16K, IDR5_GRAN64K)) != 0,
        .has_vmid16 = (idr->idr0 & IDR0_VMID16) != 0,
        .is_coherent = (idr->idr0 & IDR0_COHACC) != 0,
        .has_fwb = (idr->idr3 & IDR3_FWB) != 0,
        .updates = (unsigned)MAPPING_FIELD_GET(IDR0_HTTU, (uint64_t)idr->idr0),
        .pa_bits = oas_bits(MAPPING_FIELD_GET(IDR5_OAS, (uint64_t)idr->idr5)),
    };
    const enum mapping_error error = judge(geometry, root, vmid, &smmu, reason);

    MAPPING_ASSERT(ste != NULL);
    if (error != MAPPING_OK) {
        return error;
    }
    *ste = (struct s2_smmu3_ste){{0}};
    ste->words[0] = STE0_V | MAPPING_FIELD_PREP(STE0_CONFIG, STE0_CONFIG_STAGE2);
    ste->words[1] = MAPPING_FIELD_PREP(STE1_SHCFG, STE1_SHCFG_INCOMING) |
                    (s2_geometry_has_fwb(geometry) ? STE1_S2FWB : 0);
    ste->words[2] = MAPPING_FIELD_PREP(STE2_S2VMID, vmid) |
                    MAPPING_FIELD_PREP(STE2_VTCR, geometry->vtcr & VTCR_SIZES) | STE2_S2AA64 |
                    (s2_geometry_has_access_flag(geometry) ? STE2_S2HA : 0) |
                    (s2_geometry_has_dirty(geometry) ? STE2_S2HD : 0) | STE2_S2R;
    ste->words[3] = pa_distance(pa_of(0), root) & STE3_S2TTB;
    return MAPPING_OK;
}

enum mapping_error s2_smmu2_share(const struct s2_geometry *geometry, pa_t root, uint16_t vmid,
                                  const struct s2_smmu2_idr *idr, struct s2_smmu2_bank *bank,
                                  const char **reason)
{
    const struct ability smmu = {
        .has_stage2 = (idr->idr0 & V2_IDR0_S2TS) != 0,
        .has_granule = (idr->idr2 & of_granule(geometry, V2_IDR2_PTFS_4K, V2_IDR2_PTFS_16K,
                                               V2_IDR2_PTFS_64K)) != 0,
        .has_vmid16 = (idr->idr2 & V2_IDR2_VMID16) != 0,
        .is_coherent = (idr->idr0 & V2_IDR0_CTTW) != 0,
        .pa_bits = oas_bits(mapping_u64_min(MAPPING_FIELD_GET(V2_IDR2_OAS, (uint64_t)idr->idr2),
                                            5 /* 48 bits: no more */)),
    };
    const enum mapping_error error = judge(geometry, root, vmid, &smmu, reason);

    MAPPING_ASSERT(bank != NULL);
    if (error != MAPPING_OK) {
        return error;
    }
    *bank = (struct s2_smmu2_bank){
        .cbar = (uint32_t)(smmu.has_vmid16 ? 0 : MAPPING_FIELD_PREP(CBAR_VMID, vmid)),
        .cba2r =
            (uint32_t)(CBA2R_VA64 | (smmu.has_vmid16 ? MAPPING_FIELD_PREP(CBA2R_VMID16, vmid) : 0)),
        .tcr = (uint32_t)((geometry->vtcr & VTCR_SIZES) | VTCR_RES1),
        .ttbr0 = pa_distance(pa_of(0), root),
    };
    return MAPPING_OK;
}
