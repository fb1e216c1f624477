/*
 * features.h - what a CPU can do at stage 2, read from its ID registers.
 */
#ifndef TRESTLE_STAGE2_ARCH_FEATURES_H
#define TRESTLE_STAGE2_ARCH_FEATURES_H

#include "core/c.h"
#include "stage2/arch/errata.h"

#include <stdbool.h>
#include <stdint.h>

TRESTLE_BEGIN

/* The numbers are log2 of the granule's bytes. */
enum s2_granule { S2_GRANULE_4K = 12, S2_GRANULE_16K = 14, S2_GRANULE_64K = 16 };

/* As read on the CPU. */
struct s2_id_regs {
    uint64_t mmfr0; /* ID_AA64MMFR0_EL1 */
    uint64_t mmfr1; /* ID_AA64MMFR1_EL1 */
    uint64_t mmfr2; /* ID_AA64MMFR2_EL1 */
    uint64_t isar0; /* ID_AA64ISAR0_EL1 */
    uint64_t isar1; /* ID_AA64ISAR1_EL1 */
    uint64_t ctr;   /* CTR_EL0 */
    uint64_t midr;  /* MIDR_EL1 */
};

/* How wide an address a granule takes at stage 2. Ordered: the lower can do less. */
enum s2_granule_support {
    S2_GRANULE_ABSENT = 0,
    S2_GRANULE_48_BITS, /* addresses of up to 48 bits */
    S2_GRANULE_52_BITS, /* 4K, 16K: FEAT_LPA2. 64K: FEAT_LPA */
};

/* Made by s2_features_decode(), or by hand: s2_config_reason() tells of a number that no CPU has.
 * Every field is ordered: the lower value is what any CPU with the higher one can do too. Two are
 * burdens rather than abilities, so that there more is the lower: has_vhe (a register to look
 * after) and errata (to work around). What a part's number tells, errata and
 * has_conflict_free_sizes, is the embedder's to correct before it makes tables; for one table at a
 * time there are options in struct s2_config. */
struct s2_features {
    unsigned pa_bits;                    /* 32, 36, 40, 42, 44, 48 or 52 */
    enum s2_granule_support granule_4k;  /* at stage 2 */
    enum s2_granule_support granule_16k; /* at stage 2 */
    enum s2_granule_support granule_64k; /* at stage 2 */
    unsigned vmid_bits;                  /* 8 or 16 */
    unsigned hafdbs;                     /* 0 none, 1 hardware sets AF, 2 and dirty too */
    unsigned bbm;                        /* FEAT_BBM level 0, 1 or 2 */
    unsigned tlb;                        /* 0 none, 1 outer-shareable TLBI, 2 ranges too */
    bool has_xnx;                        /* execute-never apart for EL1 and EL0 */
    bool has_fwb;                        /* stage 2 forces write-back */
    bool has_ttl;                        /* TLBI by IPA takes a level hint */
    bool has_cnp;                        /* VTTBR_EL2.CnP */
    bool has_small_tables;               /* FEAT_TTST: inputs below 25 bits */
    bool has_vhe;                        /* HCR_EL2.E2H and TGE mean something */
    bool has_lse;                        /* atomic instructions */
    bool has_xs;                         /* TLBI with nXS */
    bool has_dic;                        /* no instruction cache invalidation needed */
    bool has_idc;                        /* no data cache clean to PoU needed */
    bool has_conflict_free_sizes;        /* with FEAT_BBM level 2 no change of a mapping's size
                                          * ends in a TLB conflict, on any CPU */
    unsigned errata;                     /* S2_ERRATUM_ bits: of any CPU */
    unsigned dcache_line;                /* bytes of the smallest data cache line: a power of two,
                                          * 4..128 KiB */
};

/**
 * s2_features_decode() - What the registers say, without asking the CPU.
 * @regs:    as read; values that a later architecture adds are taken as the highest known one.
 * Source:   Arm ARM DDI 0487, D19.2 "General system control registers", each by its name; what
 *           MIDR_EL1 tells: stage2/arch/errata.c.
 */
struct s2_features s2_features_decode(const struct s2_id_regs *regs);

/**
 * s2_features_meet() - What two CPUs can both do: a table made for it works on either.
 * A machine with unequal CPUs (big.LITTLE) folds this over all of them. Errata add up.
 */
struct s2_features s2_features_meet(const struct s2_features *a, const struct s2_features *b);

/* What @cpu offers for one granule. */
enum s2_granule_support s2_features_granule(const struct s2_features *cpu, enum s2_granule granule);

TRESTLE_END

#endif
