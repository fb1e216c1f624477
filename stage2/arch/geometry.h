/*
 * geometry.h - the shape of a guest's translation tables, decided from a table of data.
 *
 * Granule, input and output size, start level, concatenation and the registers that say so to the
 * hardware. Nothing here touches a table; everything is known before a guest exists.
 */
#ifndef TRESTLE_STAGE2_ARCH_GEOMETRY_H
#define TRESTLE_STAGE2_ARCH_GEOMETRY_H

#include "core/addr.h"
#include "core/c.h"
#include "core/err.h"
#include "core/frame_guard.h"
#include "stage2/arch/features.h"
#include "stage2/arch/sink.h"

#include <stdbool.h>
#include <stdint.h>

TRESTLE_BEGIN

/* Arm's numbers: 3 is the page level, a smaller number is nearer the root. */
#define S2_LEVEL_FIRST (-1)
#define S2_LEVEL_PAGE 3
#define S2_LEVEL_COUNT (S2_LEVEL_PAGE - S2_LEVEL_FIRST + 1)
#define S2_TLB_LEVEL_ANY INT8_MAX /* in place of a level: a table was there, or several levels */

/* FEAT_LPA2 (VTCR_EL2.DS) for 4K and 16K. */
enum s2_lpa2 {
    S2_LPA2_AUTO, /* only where ipa_bits or pa_bits ask for more than 48 */
    S2_LPA2_OFF,
    S2_LPA2_ON,
};

/* Where several start levels are legal. Either way a start level keeps every block size of the
 * granule but those that only LPA2 brings. */
enum s2_root {
    S2_ROOT_SHALLOW, /* fewest levels to walk, up to 16 concatenated root tables */
    S2_ROOT_SMALL,   /* fewest root tables, at the price of a level */
};

/* How the table walker reaches memory. */
enum s2_walker {
    S2_WALKER_COHERENT,     /* through the caches, as all CPUs do */
    S2_WALKER_NON_COHERENT, /* past them: tables are cleaned to PoC after writing */
};

/* HCR_EL2.FWB. */
enum s2_force_write_back {
    S2_FWB_AUTO, /* where the CPU has it */
    S2_FWB_OFF,
};

/* What the hardware may write into leaves by itself (VTCR_EL2.HA, HD). */
enum s2_hardware_update {
    S2_HARDWARE_UPDATE_NONE,
    S2_HARDWARE_UPDATE_AF,    /* this and the next: not with S2_WALKER_NON_COHERENT, whose writes go
                               * past the caches through which the tables are read here; nor where
                               * an erratum spoils it (S2_ERRATUM_ACCESS_FLAG, S2_ERRATUM_DIRTY) */
    S2_HARDWARE_UPDATE_DIRTY, /* and AF */
};

/* The contiguous hint: an aligned run of equal leaves that lie next to each other in PA too may be
 * cached as one. What changes one of them then breaks and makes the whole run. */
enum s2_contiguous {
    S2_CONTIGUOUS_ON,
    S2_CONTIGUOUS_OFF,
};

/* Whether a leaf may be writable and executable at once. */
enum s2_write_execute {
    S2_WRITE_EXECUTE_ALLOWED,
    S2_WRITE_EXECUTE_DENIED,
};

/* Whether a mapping that stays may be invalid for a moment, between break and make. */
enum s2_transient {
    S2_TRANSIENT_OK,      /* whoever faults there asks again */
    S2_TRANSIENT_REFUSED, /* a device walks the tables and cannot: such a change is MAPPING_DENIED,
                           * unless it can go direct */
};

/* What to do about an erratum. */
enum s2_workaround {
    S2_WORKAROUND_AUTO, /* what the CPU asks for (struct s2_features.errata) */
    S2_WORKAROUND_ON,   /* as if it had the erratum */
    S2_WORKAROUND_OFF,  /* as if it had not: the embedder knows better */
};

/* How a leaf changes its size: block to table and back, contiguous hint on and off. */
enum s2_size_change {
    S2_SIZE_CHANGE_AUTO,  /* by one store where FEAT_BBM level 2 is there and its makers say that it
                            * ends in no conflict (struct s2_features.has_conflict_free_sizes), and
                            * no device is known to walk the tables (.notifier, .transient); else by
                            * break-before-make */
    S2_SIZE_CHANGE_BREAK, /* by break-before-make */
    S2_SIZE_CHANGE_DIRECT, /* by one store, where the CPU has FEAT_BBM level 2. The embedder vouches
                            * that no CPU, and no device, answers two sizes of one mapping in its
                            * TLB with a conflict: one that is attributed to stage 1 goes to the
                            * guest, which cannot recover. One that comes to EL2 can:
                            * s2_table_recover_conflict() */
};

/* TLBI by range, where the CPU has it (FEAT_TLBIRANGE). */
enum s2_tlb_ranges {
    S2_TLB_RANGES_AUTO, /* but not with LPA2 (VTCR_EL2.DS), where sources disagree on what scales
                         * the operand's base */
    S2_TLB_RANGES_OFF,
    S2_TLB_RANGES_ON, /* with LPA2 too: base in units of 64 KiB */
};

/* Who hears of it when a permission is relaxed and nothing is taken away. */
enum s2_relax {
    S2_RELAX_EVERYWHERE, /* all CPUs: no access that is allowed now faults any more */
    S2_RELAX_HERE,       /* this CPU. Another may fault once more by what its TLB holds, and calls
                          * s2_table_refresh() for a fault that the tables do not explain */
};

/* A workaround for parts whose TLBI and DSB are over too early: each TLBI is sent again after its
 * DSB. */
enum s2_tlbi_repeat {
    S2_TLBI_AUTO, /* twice where the CPU asks for it: S2_ERRATUM_REPEAT_TLBI */
    S2_TLBI_ONCE,
    S2_TLBI_TWICE,
};

/* VTTBR_EL2.CnP, where the CPU has it, and not S2_ERRATUM_COMMON. */
enum s2_common {
    S2_COMMON_NO,
    S2_COMMON_PROMISED, /* CPUs that share a TLB use equal VTCR_EL2 and VTTBR_EL2 for a VMID */
};

/* Told of every stretch whose translations are invalidated: for a device with a TLB of its own that
 * walks the same tables. */
struct s2_notifier {
    /* @range: any part of it may have changed; all of the input size if that is more than is kept
     * track of. @level: of all leaves in it; S2_TLB_LEVEL_ANY.
     * Order:   after the break is visible to every walker, before the closing DSB, so before any
     *          frame returns and anything is made again: on return the device holds nothing of it.
     * Context: the space is locked; calls nothing of it. */
    void (*invalidated)(void *arg, struct ipa_range range, int level);
    void *arg;
};

MAPPING_STATIC_ASSERT(S2_LEVEL_COUNT == 5, "levels -1, 0, 1, 2, 3");

/* What an embedder asks for. Zero is a good default for all but the first three. */
struct s2_config {
    const struct s2_features *cpu; /* kept by nobody after the call */
    enum s2_granule granule;
    unsigned ipa_bits; /* input size: 32..52; 0: as large as the output size, which none
                        * exceeds (s2_config_cost() tells) */
    unsigned pa_bits;  /* output size: 32, 36, 40, 42, 44, 48, 52; 0: all of the
                                          * CPU's, but no more than 48 unless LPA2 is on or asked
                                          * for by ipa_bits */
    enum s2_lpa2 lpa2;
    enum s2_root root;
    enum s2_walker walker;
    enum s2_force_write_back force_write_back;
    enum s2_hardware_update hardware_update;
    enum s2_contiguous contiguous;
    enum s2_write_execute write_execute;
    enum s2_transient transient;
    enum s2_size_change size_change;
    enum s2_tlb_ranges tlb_ranges;
    enum s2_relax relax;
    enum s2_tlbi_repeat tlbi_repeat;
    enum s2_common common;
    enum s2_workaround speculative_at;   /* stage 1 is stopped while the registers change */
    enum s2_workaround hcr_write;        /* HCR_EL2 is written between a DSB and an ISB */
    enum s2_workaround unusable_updates; /* hardware_update is refused: it is unreliable */
    struct s2_notifier notifier;         /* .invalidated NULL: nobody is told */
    struct s2_sink sink;                 /* .removed NULL: nobody keeps track */
    struct frame_guard *guard; /* kept: what no guest may be shown, beside frames of the table's own
                                * pool; NULL: nothing */
};

/* Whether to work around @erratum. */
static inline bool s2_works_around(const struct s2_features *cpu, enum s2_erratum erratum,
                                   enum s2_workaround choice)
{
    return choice == S2_WORKAROUND_ON ||
           (choice == S2_WORKAROUND_AUTO && (cpu->errata & (unsigned)erratum) != 0);
}

/* What was decided. */
struct s2_geometry {
    unsigned granule_shift; /* log2 bytes of a page and of a table: 12, 14, 16 */
    unsigned stride;        /* index bits a level: 9, 11, 13 */
    unsigned ipa_bits;
    unsigned pa_bits;
    int start_level;
    unsigned root_order; /* log2 of the concatenated tables: 0..4 */
    bool has_lpa2;       /* DS = 1 */
    bool has_lpa;        /* 64K with 52-bit PA */
    uint8_t leaf_levels; /* bit (level - S2_LEVEL_FIRST): a leaf may stand at this level */
    uint8_t run_shift[S2_LEVEL_COUNT]; /* log2 of a contiguous run's entries, by level; 0: none */
    bool is_common;                    /* VTTBR_EL2.CnP = 1 */
    uint64_t vtcr;                     /* VTCR_EL2, ready to write */
    uint64_t hcr;                      /* HCR_EL2 bits relied on: VM, FWB */
};

/**
 * s2_geometry_init() - Decide the shape of the tables for @config.
 * @reason:  if not NULL: on an error, why, as a sentence with static lifetime.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM: a number that no CPU takes, also in .cpu, or an
 *           option without such a value; MAPPING_UNSUPPORTED: this CPU does not, or the combination
 *           is illegal.
 * Cost:     O(1). Writes @geometry on MAPPING_OK only.
 * Source:   Arm ARM DDI 0487, D8.2 "Translation process", the tables of stage 2 start levels;
 *           AArch64.S2StartLevel(), AArch64.S2InconsistentSL() of its pseudocode.
 */
MAPPING_MUST_USE enum mapping_error
s2_geometry_init(struct s2_geometry *geometry, const struct s2_config *config, const char **reason);

/* What the registers ask of the hardware. */
bool s2_geometry_has_fwb(const struct s2_geometry *geometry);
bool s2_geometry_has_access_flag(const struct s2_geometry *geometry); /* it sets AF */
bool s2_geometry_has_dirty(const struct s2_geometry *geometry);       /* and dirty state */

/* VTTBR_EL2, all of it: BADDR, VMID, CnP. @root: aligned to its concatenated size. */
uint64_t s2_geometry_vttbr(const struct s2_geometry *geometry, pa_t root, uint16_t vmid);

/* The same under another VMID; and which it is under. */
uint64_t s2_vttbr_with_vmid(uint64_t vttbr, uint16_t vmid);
uint16_t s2_vttbr_vmid(uint64_t vttbr);

/* Whether @level is one of Arm's. */
static inline bool s2_is_level(int level)
{
    return level >= S2_LEVEL_FIRST && level <= S2_LEVEL_PAGE;
}

/* log2 of the bytes that one entry of @level spans. */
static inline unsigned s2_level_shift(const struct s2_geometry *geometry, int level)
{
    MAPPING_ASSERT(s2_is_level(level));
    return geometry->granule_shift + (unsigned)(S2_LEVEL_PAGE - level) * geometry->stride;
}

/* Bytes that one entry of @level spans. */
static inline uint64_t s2_level_size(const struct s2_geometry *geometry, int level)
{
    return MAPPING_BIT(s2_level_shift(geometry, level));
}

static inline bool s2_level_is_leaf(const struct s2_geometry *geometry, int level)
{
    MAPPING_ASSERT(s2_is_level(level));
    return (geometry->leaf_levels & MAPPING_BIT(level - S2_LEVEL_FIRST)) != 0;
}

/* Entries of a contiguous run at @level; 1: there are none. */
static inline unsigned s2_run_entries(const struct s2_geometry *geometry, int level)
{
    MAPPING_ASSERT(s2_is_level(level));
    return 1U << geometry->run_shift[level - S2_LEVEL_FIRST];
}

/* Bytes of a page, and of a table. */
static inline uint64_t s2_granule_size(const struct s2_geometry *geometry)
{
    return MAPPING_BIT(geometry->granule_shift);
}

/* The stretch of entries [@first, @last) of @level, counted from the one that starts at @at. */
static inline struct ipa_range s2_entry_stretch(const struct s2_geometry *geometry, int level,
                                                ipa_t at, unsigned first, unsigned last)
{
    const uint64_t size = s2_level_size(geometry, level);

    MAPPING_ASSERT(first <= last);
    MAPPING_ASSERT(ipa_is_aligned(at, size));
    return ipa_range_between(ipa_add(at, first * size), ipa_add(at, last * size));
}

/* Entries of one table below the root. */
static inline unsigned s2_table_entries(const struct s2_geometry *geometry)
{
    return 1U << geometry->stride;
}

/* Entries of the root, all its concatenated tables together. */
static inline unsigned s2_root_entries(const struct s2_geometry *geometry)
{
    return 1U << (geometry->ipa_bits - s2_level_shift(geometry, geometry->start_level));
}

/* Bytes that the root takes, at least one table. */
static inline uint64_t s2_root_size(const struct s2_geometry *geometry)
{
    return MAPPING_BIT(geometry->granule_shift + geometry->root_order);
}

/*
 * How many tables a layout can need at worst, as a constant expression, so that a static pool can
 * be sized before anything runs: any @areas areas of @bytes together, at any addresses, with leaves
 * of any size, split in any way. A table of level L spans 2^(shift of L - 1) bytes; an area touches
 * at most two more of them than fit into it. @levels: below the root, at most 4 - start level - 1.
 *
 *      static unsigned char pool[S2_LAYOUT_TABLES(S2_GRANULE_4K, 3, 8, 4 * GIB) << 12];
 *
 * To this comes the root: 2^root_order tables, at most 16.
 */
#define S2_TABLE_SPAN_SHIFT(granule, above) ((granule) + ((above) + 1) * ((granule)-3))
#define S2_LAYOUT_LEVEL(granule, above, areas, bytes) \
    (2 * (uint64_t)(areas) +                          \
     (S2_TABLE_SPAN_SHIFT(granule, above) > 63        \
          ? 0                                         \
          : (uint64_t)(bytes) >> (S2_TABLE_SPAN_SHIFT(granule, above) % 64)))
#define S2_LAYOUT_TABLES(granule, levels, areas, bytes)               \
    (S2_LAYOUT_LEVEL(granule, 0, areas, bytes) +                      \
     ((levels) > 1 ? S2_LAYOUT_LEVEL(granule, 1, areas, bytes) : 0) + \
     ((levels) > 2 ? S2_LAYOUT_LEVEL(granule, 2, areas, bytes) : 0) + \
     ((levels) > 3 ? S2_LAYOUT_LEVEL(granule, 3, areas, bytes) : 0))

MAPPING_STATIC_ASSERT(S2_TABLE_SPAN_SHIFT(S2_GRANULE_4K, 0) == 21,
                      "a level 3 table of 4K spans 2M");
MAPPING_STATIC_ASSERT(S2_TABLE_SPAN_SHIFT(S2_GRANULE_64K, 1) == 42,
                      "a level 2 table of 64K spans 4T");
MAPPING_STATIC_ASSERT(S2_LAYOUT_TABLES(S2_GRANULE_4K, 2, 1, MAPPING_BIT(30)) == 512 + 2 + 1 + 2,
                      "1 GiB of pages, ends anywhere");

/* What a configuration costs, before any guest exists. */
struct s2_cost {
    unsigned levels;      /* of a full walk */
    unsigned root_tables; /* concatenated: 1..16 */
    uint64_t root_bytes;  /* and their alignment in PA */
    uint64_t reach;       /* bytes of IPA space */
    uint64_t largest_leaf;
};

/**
 * s2_config_cost() - What tables of @config cost.
 * Returns:  as s2_geometry_init(); @cost is written on MAPPING_OK only.
 */
MAPPING_MUST_USE enum mapping_error s2_config_cost(const struct s2_config *config,
                                                   struct s2_cost *cost, const char **reason);

TRESTLE_END

#endif
