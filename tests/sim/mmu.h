/*
 * mmu.h - a stage-2 MMU in software: registers and descriptors in, what hardware would answer out.
 *
 * It judges the tables that the library builds, so it shares nothing with it: written from the
 * manual, plain register values, its own bit arithmetic, memory reached through a callback by PA.
 * It walks afresh on every call (no TLB) and never writes; what hardware would write back is in
 * the answer.
 *
 * Modelled: 4K, 16K and 64K granules; FEAT_LPA, FEAT_LPA2, FEAT_TTST, FEAT_XNX, FEAT_S2FWB,
 * FEAT_HAFDBS, FEAT_BBM (nT); concatenated roots; the Contiguous bit; address sizes. Not modelled:
 * 128-bit descriptors, permission indirection and overlays, Realm and Secure state, MTE,
 * HCR_EL2.TGE.
 *
 * Source: Arm ARM DDI 0487, D8 "The AArch64 Virtual Memory System Architecture" and the pseudocode
 * AArch64.S2Translate, S2Walk, S2InvalidSL, S2InconsistentSL, S2TTBaseAddress, OAOutOfRange,
 * BlockDescSupported, ContiguousBitFaults, BlocknTFaults, StageOA.
 */
#ifndef TRESTLE_TESTS_SIM_MMU_H
#define TRESTLE_TESTS_SIM_MMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MMU_WALK_MAX 5 /* level -1 to level 3 */

/* What one CPU can do, as far as a stage-2 walk depends on it. */
struct mmu_cpu {
    unsigned pa_bits; /* 32, 36, 40, 42, 44, 48 or 52 */
    bool has_4k;      /* granules at stage 2 */
    bool has_16k;
    bool has_64k;
    bool lpa2_4k; /* 52-bit addresses with VTCR_EL2.DS */
    bool lpa2_16k;
    bool ttst;       /* small tables: T0SZ above 39 */
    bool xnx;        /* two-bit XN */
    bool fwb;        /* HCR_EL2.FWB */
    bool vmid16;     /* VTCR_EL2.VS */
    unsigned hafdbs; /* hardware updates: 0 none, 1 AF, 2 AF and dirty */
    unsigned bbm;    /* FEAT_BBM level, 0..2 */
};

/* From ID_AA64MMFR0_EL1, ID_AA64MMFR1_EL1 and ID_AA64MMFR2_EL1. */
struct mmu_cpu mmu_cpu_decode(uint64_t mmfr0, uint64_t mmfr1, uint64_t mmfr2);

/* Where the manual leaves a choice, or where a table is worse than hardware tells. */
enum mmu_option {
    MMU_CHECK_RUNS = 1 << 0,   /* read whole contiguous runs; MMU_BAD_RUN if misprogrammed */
    MMU_NT_FAULTS = 1 << 1,    /* a block with nT = 1 faults where FEAT_BBM lets it */
    MMU_PS_BOUNDS_IPA = 1 << 2 /* input size and start level obey PS too, not only PARange */
};

/* The aligned 64-bit word at @pa into *value; false: nothing answers there. */
typedef bool (*mmu_read_fn)(void *memory, uint64_t pa, uint64_t *value);

struct mmu {
    uint64_t vtcr;
    uint64_t vttbr;
    uint64_t hcr;
    struct mmu_cpu cpu;
    unsigned options; /* enum mmu_option, or-ed */
    mmu_read_fn read;
    void *memory; /* for @read */
};

enum mmu_access { MMU_READ, MMU_WRITE, MMU_FETCH_EL1, MMU_FETCH_EL0 };

enum mmu_status {
    MMU_OK,
    MMU_TRANSLATION,
    MMU_ADDRESS_SIZE,
    MMU_ACCESS_FLAG,
    MMU_PERMISSION,
    MMU_EXTERNAL, /* on the walk: a descriptor could not be read */
    MMU_BAD_RUN   /* no fault of the manual's: hardware may do as it likes. MMU_CHECK_RUNS only */
};

enum mmu_memory {
    MMU_DEVICE_NGNRNE,
    MMU_DEVICE_NGNRE,
    MMU_DEVICE_NGRE,
    MMU_DEVICE_GRE,
    MMU_NORMAL_NC,
    MMU_NORMAL_WT,
    MMU_NORMAL_WB,
    MMU_NORMAL_MIXED, /* inner and outer cacheability differ */
    MMU_STAGE1,       /* FWB: stage 1 alone decides */
    MMU_RESERVED
};

struct mmu_result {
    enum mmu_status status;
    int level;   /* of the leaf, or of the fault */
    bool config; /* MMU_TRANSLATION at level 0: VTCR_EL2 is illegal; no table was read */
    bool flat;   /* MMU_OK, stage 2 is off: pa is the IPA, nothing else applies */

    /* The descriptors that were read, root first. */
    size_t walk_count;
    uint64_t walk_pa[MMU_WALK_MAX];
    uint64_t walk_desc[MMU_WALK_MAX];
    uint64_t res0;      /* bits that should be 0 and are not, in any of them */
    uint64_t hole_size; /* an invalid descriptor ended the walk: bytes of input it stands for */

    /* The leaf; all valid whenever a leaf was reached, faults or not. */
    bool has_leaf;
    uint64_t pa;        /* of the IPA asked */
    uint64_t leaf_size; /* bytes of one entry */
    uint64_t run_size;  /* bytes translated alike: more than leaf_size if contiguous */
    unsigned memattr;   /* bits [5:2] */
    enum mmu_memory memory;
    unsigned s2ap; /* bits [7:6] */
    unsigned sh;   /* bits [9:8], or VTCR_EL2.SH0 with DS */
    unsigned xn;   /* bits [54:53]; without FEAT_XNX 0 or 2 */
    bool can_read;
    bool can_write; /* by S2AP, or by DBM where hardware manages dirty */
    bool can_fetch_el1;
    bool can_fetch_el0;
    bool af;
    bool dbm;
    bool contiguous; /* the bit, where it means something */
    bool nt;
    unsigned software; /* bits [58:55] */
    bool run_af;       /* OR over the run with MMU_CHECK_RUNS, else as the entry */
    bool run_dirty;    /* S2AP[1], likewise */

    /* What hardware writes to walk_pa[walk_count - 1] in the course of this access; differs from
     * the descriptor read only where VTCR_EL2.HA or HD ask for it. */
    uint64_t updated;
};

/**
 * mmu_translate() - Translate @ipa for one access.
 * Returns:  the first fault in the manual's order: configuration and input size; per level external
 *           abort, descriptor type, table address; then run, nT, output size, access flag,
 *           permission.
 */
struct mmu_result mmu_translate(const struct mmu *mmu, uint64_t ipa, enum mmu_access access);

/**
 * mmu_config_problem() - Whether the registers are as they should be.
 * Returns:  NULL; or one sentence. Sterner than hardware: fields that it would ignore or clamp
 *           count too (a clear RES1, DS without FEAT_LPA2, a root below its alignment, ...).
 */
const char *mmu_config_problem(const struct mmu *mmu);

/* Level of the root's tables, input size in bits, bytes of the whole (concatenated) root, and its
 * PA: what the registers say, or 0 if they are illegal (level: 4). */
int mmu_start_level(const struct mmu *mmu);
unsigned mmu_input_bits(const struct mmu *mmu);
uint64_t mmu_root_size(const struct mmu *mmu);
uint64_t mmu_root_pa(const struct mmu *mmu);

/* The VMID in VTTBR_EL2: 16 bits with VTCR_EL2.VS where the CPU has them, else 8. */
unsigned mmu_vmid(const struct mmu *mmu);

/* The fault status code of an abort with this result; MMU_OK and MMU_BAD_RUN have none: 0. */
unsigned mmu_fault_status_code(const struct mmu_result *result);

const char *mmu_status_name(enum mmu_status status); /* "translation" */
const char *mmu_memory_name(enum mmu_memory memory); /* "device-nGnRE" */

#endif
