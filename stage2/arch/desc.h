/*
 * desc.h - stage-2 descriptors: the one place that knows their bits.
 *
 *   63      59 58   55 54 53 52  51  50 48 47           n  16  11 10  9 8  7 6  5   2  1 0
 *  +----------+-------+-----+---+---+-----+--------------+---+---+--+----+----+------+----+
 *  | broken.. | soft  | XN  | C |DBM|     | output addr. | nT|   |AF| SH |S2AP|MemAtt| ty |  leaf
 *  +----------+-------+-----+---+---+-----+--------------+---+---+--+----+----+------+----+
 *
 * The output address lies in place, but for its top bits in the 52-bit formats: 64K has OA[51:48]
 * in [15:12]; LPA2 has OA[49:48] in place and OA[51:50] in [9:8], where SH was.
 *
 * A broken descriptor (between break and make) has bit 0 clear, so that hardware ignores all of
 * it, S2_DESC_BROKEN set, and everything else as it was.
 *
 * Source: Arm ARM DDI 0487, D8.3 "Translation table descriptor formats", D8.6 "Memory region
 * attributes" (stage 2, FEAT_S2FWB), D8.4 "Stage 2 permissions" (FEAT_XNX).
 */
#ifndef TRESTLE_STAGE2_ARCH_DESC_H
#define TRESTLE_STAGE2_ARCH_DESC_H

#include "core/addr.h"
#include "core/c.h"
#include "core/err.h"
#include "stage2/arch/flags.h"
#include "stage2/arch/geometry.h"

TRESTLE_BEGIN

/* A stage-2 descriptor as it lies in memory. */
typedef struct {
    uint64_t raw;
} s2_desc_t;

#define S2_DESC_VALID MAPPING_BIT(0)
#define S2_DESC_TABLE MAPPING_BIT(1) /* above level 3; at level 3 a page has it too */
#define S2_DESC_MEMATTR MAPPING_FIELD(5, 2)
#define S2_DESC_S2AP_READ MAPPING_BIT(6)
#define S2_DESC_S2AP_WRITE MAPPING_BIT(7)
#define S2_DESC_SH MAPPING_FIELD(9, 8)
#define S2_DESC_AF MAPPING_BIT(10)
#define S2_DESC_NT MAPPING_BIT(16)
#define S2_DESC_DBM MAPPING_BIT(51)
#define S2_DESC_CONTIGUOUS MAPPING_BIT(52)
#define S2_DESC_XN MAPPING_FIELD(54, 53)
#define S2_DESC_SOFT MAPPING_FIELD(58, 56)
#define S2_DESC_SOFT3 MAPPING_BIT(55)
#define S2_DESC_BROKEN MAPPING_BIT(63)

#define S2_MEMATTR_WB 0xf
#define S2_MEMATTR_WT 0xa
#define S2_MEMATTR_NC 0x5
#define S2_MEMATTR_FWB_WB 0x6
#define S2_MEMATTR_FWB_STAGE1 0x7
#define S2_MEMATTR_DEVICE_nGnRnE 0x0
#define S2_MEMATTR_DEVICE_nGnRE 0x1
#define S2_MEMATTR_DEVICE_nGRE 0x2
#define S2_MEMATTR_DEVICE_GRE 0x3

#define S2_XN_NONE 0 /* EL1 and EL0 execute */
#define S2_XN_EL1 1  /* EL0 only executes; with FEAT_XNX */
#define S2_XN_ALL 2  /* nobody does */
#define S2_XN_EL0 3  /* EL1 only executes; with FEAT_XNX */

/* What an operation may change in place, without break-before-make. */
#define S2_DESC_IN_PLACE                                                              \
    (S2_DESC_S2AP_READ | S2_DESC_S2AP_WRITE | S2_DESC_AF | S2_DESC_DBM | S2_DESC_XN | \
     S2_DESC_SOFT | S2_DESC_SOFT3)

/* A page of Normal memory at 2 GiB, all permissions, inner shareable, accessed. */
MAPPING_STATIC_ASSERT((UINT64_C(0x80000000) | MAPPING_FIELD_PREP(S2_DESC_MEMATTR, S2_MEMATTR_WB) |
                       S2_DESC_S2AP_READ | S2_DESC_S2AP_WRITE | MAPPING_FIELD_PREP(S2_DESC_SH, 3) |
                       S2_DESC_AF | S2_DESC_TABLE | S2_DESC_VALID) == UINT64_C(0x800007ff),
                      "a page that everybody may use");
MAPPING_STATIC_ASSERT((MAPPING_FIELD_PREP(S2_DESC_XN, S2_XN_ALL) | S2_DESC_CONTIGUOUS |
                       S2_DESC_DBM) == UINT64_C(0x0058000000000000),
                      "upper attributes");

MAPPING_STATIC_ASSERT((MAPPING_FIELD_PREP(S2_DESC_MEMATTR, S2_MEMATTR_FWB_WB) | S2_DESC_NT |
                       S2_DESC_VALID) == UINT64_C(0x00010019),
                      "with FWB bit 5 of a leaf is 0");
MAPPING_STATIC_ASSERT(MAPPING_FIELD_PREP(S2_DESC_XN, S2_XN_ALL) == MAPPING_BIT(54),
                      "execute never without FEAT_XNX");
MAPPING_STATIC_ASSERT(MAPPING_FIELD_PREP(S2_DESC_XN, S2_XN_EL1) == MAPPING_BIT(53),
                      "EL0 only executes");
MAPPING_STATIC_ASSERT((S2_DESC_IN_PLACE & (S2_DESC_MEMATTR | S2_DESC_SH | S2_DESC_CONTIGUOUS |
                                           S2_DESC_NT | S2_DESC_TABLE | S2_DESC_VALID)) == 0,
                      "type, shareability, size and the hint change by break-before-make");
MAPPING_STATIC_ASSERT(sizeof(s2_desc_t) == 8, "as the walker reads it");

/* How the descriptors of one table are laid out: constants for the whole life of the table. */
struct s2_format {
    uint64_t address_mask; /* OA bits that lie in place */
    uint64_t high_mask;    /* OA bits that lie elsewhere; 0: none */
    unsigned high_shift;   /* how far below */
    uint64_t attr_mask;    /* all that s2_attr_encode() may set */
    bool has_lpa2;         /* SH is not in the leaf */
    bool has_fwb;
    bool has_xnx;
    bool has_access_flag; /* hardware sets AF */
    bool has_dirty;       /* and dirty state: DBM means something */
    bool denies_write_execute;
};

/* How leaves of tables with @geometry, as @config asks for them, are written. */
struct s2_format s2_format_of(const struct s2_geometry *geometry, const struct s2_config *config);

/**
 * s2_attr_encode() - All of a leaf but its address and type, from flags.
 * @attr:    written on MAPPING_OK only.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM: an unknown flag or number; MAPPING_UNSUPPORTED:
 *           the CPU or the format has no such leaf (EL1 and EL0 execution apart without FEAT_XNX,
 *           a memory type of the other FWB setting, shareability under LPA2, DBM without hardware
 *           dirty state); MAPPING_DENIED: Device memory with execution, or writing and executing
 *           where the configuration forbids it.
 * Cost:     O(1), once per operation.
 */
MAPPING_MUST_USE enum mapping_error s2_attr_encode(const struct s2_format *format,
                                                   mapping_flags_t flags, s2_desc_t *attr);

/* The flags of a leaf, valid or broken: what s2_attr_encode() was given, less the cap. A reserved
 * encoding, which no encode makes, reads as the nearest stricter one. */
mapping_flags_t s2_attr_decode(const struct s2_format *format, s2_desc_t leaf);

/* Whether @desc could have been made by this library as a leaf or table of @level: no reserved
 * value, no bit outside the format. For checks. */
bool s2_desc_is_legal(const struct s2_format *format, s2_desc_t desc, int level);

#define S2_DESC_NONE (MAPPING_VALUE(s2_desc_t, 0))

static inline bool s2_desc_is_valid(s2_desc_t desc)
{
    return (desc.raw & S2_DESC_VALID) != 0;
}

/* Neither valid nor broken: nothing is there, nor will be. */
static inline bool s2_desc_is_none(s2_desc_t desc)
{
    return desc.raw == 0;
}

static inline bool s2_desc_is_broken(s2_desc_t desc)
{
    return (desc.raw & (S2_DESC_VALID | S2_DESC_BROKEN)) == S2_DESC_BROKEN;
}

/* Valid, and leads to a table. Both of the low bits are set if one more leaves none: an instruction
 * less, on every level of every walk. */
static inline bool s2_desc_is_table(s2_desc_t desc, int level)
{
    return level < S2_LEVEL_PAGE &&
           ((desc.raw + S2_DESC_VALID) & (S2_DESC_VALID | S2_DESC_TABLE)) == 0;
}

/* Valid, and maps memory. */
static inline bool s2_desc_is_leaf(s2_desc_t desc, int level)
{
    const uint64_t leaf = level == S2_LEVEL_PAGE ? S2_DESC_VALID | S2_DESC_TABLE : S2_DESC_VALID;

    return (desc.raw & (S2_DESC_VALID | S2_DESC_TABLE)) == leaf;
}

static inline bool s2_desc_is_contiguous(s2_desc_t leaf)
{
    return (leaf.raw & S2_DESC_CONTIGUOUS) != 0;
}

static inline s2_desc_t s2_desc_with_hint(s2_desc_t leaf)
{
    return MAPPING_VALUE(s2_desc_t, leaf.raw | S2_DESC_CONTIGUOUS);
}

static inline s2_desc_t s2_desc_without_hint(s2_desc_t leaf)
{
    return MAPPING_VALUE(s2_desc_t, leaf.raw & ~S2_DESC_CONTIGUOUS);
}

static inline bool s2_desc_eq(s2_desc_t a, s2_desc_t b)
{
    return a.raw == b.raw;
}

static inline s2_desc_t s2_desc_or(s2_desc_t a, s2_desc_t b)
{
    return MAPPING_VALUE(s2_desc_t, a.raw | b.raw);
}

static inline s2_desc_t s2_desc_and(s2_desc_t a, s2_desc_t b)
{
    return MAPPING_VALUE(s2_desc_t, a.raw & b.raw);
}

static inline s2_desc_t s2_desc_xor(s2_desc_t a, s2_desc_t b)
{
    return MAPPING_VALUE(s2_desc_t, a.raw ^ b.raw);
}

static inline s2_desc_t s2_desc_break(s2_desc_t desc)
{
    return MAPPING_VALUE(s2_desc_t, (desc.raw & ~S2_DESC_VALID) | S2_DESC_BROKEN);
}

/* What was broken, valid again. */
static inline s2_desc_t s2_desc_mend(s2_desc_t desc)
{
    MAPPING_ASSERT(s2_desc_is_broken(desc));
    return MAPPING_VALUE(s2_desc_t, (desc.raw & ~S2_DESC_BROKEN) | S2_DESC_VALID);
}

/* An address as it lies in a descriptor. @pa: granule-aligned and inside the output size. */
static inline uint64_t s2_address_encode(const struct s2_format *format, pa_t pa)
{
    return (pa.raw & format->address_mask) | ((pa.raw & format->high_mask) >> format->high_shift);
}

/* The address in a table descriptor or leaf, in full. */
static inline pa_t s2_desc_address(const struct s2_format *format, s2_desc_t desc)
{
    return pa_of((desc.raw & format->address_mask) |
                 ((desc.raw << format->high_shift) & format->high_mask));
}

/* The table that @desc links, as s2_desc_table() made it, where all tables lie at one distance from
 * their PA and all of the address lies in place. @bias: pointer - PA, modulo 2^64. */
static inline s2_desc_t *s2_desc_near_table(s2_desc_t desc, uint64_t bias)
{
    return (s2_desc_t *)(uintptr_t)(desc.raw - (S2_DESC_TABLE | S2_DESC_VALID) + bias);
}

/* The output of a leaf whose address lies in place, @offset bytes in. */
static inline pa_t s2_desc_output(s2_desc_t leaf, uint64_t address_mask, uint64_t offset)
{
    return pa_of((leaf.raw & address_mask) | offset);
}

/* How many bytes from @pa on have equal high address bits: within them, the next leaf's descriptor
 * is this one plus its size. */
static inline uint64_t s2_address_room(const struct s2_format *format, pa_t pa)
{
    const uint64_t bank = MAPPING_FIELD_LSB(format->high_mask);

    return bank == 0 ? UINT64_MAX : bank - (pa.raw & (bank - 1));
}

/* All bits of a leaf but those of where it leads. */
static inline s2_desc_t s2_desc_rest_mask(const struct s2_format *format)
{
    return MAPPING_VALUE(s2_desc_t,
                         ~(format->address_mask | (format->high_mask >> format->high_shift)));
}

/* All of a leaf but where it leads. */
static inline s2_desc_t s2_desc_without_address(const struct s2_format *format, s2_desc_t leaf)
{
    return s2_desc_and(leaf, s2_desc_rest_mask(format));
}

/* A table descriptor: the address and nothing else. */
static inline s2_desc_t s2_desc_table(const struct s2_format *format, pa_t table)
{
    MAPPING_ASSERT((table.raw & ~(format->address_mask | format->high_mask)) == 0);
    return MAPPING_VALUE(s2_desc_t,
                         s2_address_encode(format, table) | S2_DESC_TABLE | S2_DESC_VALID);
}

/* A leaf of @level. @attr: of s2_attr_encode(). */
static inline s2_desc_t s2_desc_leaf(const struct s2_format *format, int level, pa_t pa,
                                     s2_desc_t attr)
{
    const uint64_t type = level == S2_LEVEL_PAGE ? S2_DESC_TABLE | S2_DESC_VALID : S2_DESC_VALID;

    MAPPING_ASSERT((pa.raw & ~(format->address_mask | format->high_mask)) == 0);
    MAPPING_ASSERT((attr.raw & ~format->attr_mask) == 0);
    return MAPPING_VALUE(s2_desc_t, s2_address_encode(format, pa) | attr.raw | type);
}

/* The leaf that follows @leaf, @size bytes on; inside s2_address_room(). */
static inline s2_desc_t s2_desc_next(s2_desc_t leaf, uint64_t size)
{
    return MAPPING_VALUE(s2_desc_t, leaf.raw + size);
}

/* A leaf's attributes alone, as s2_attr_encode() makes them. */
static inline s2_desc_t s2_desc_attr(const struct s2_format *format, s2_desc_t leaf)
{
    return MAPPING_VALUE(s2_desc_t, leaf.raw & format->attr_mask);
}

/* @leaf with the attributes of @attr in place of its own. */
static inline s2_desc_t s2_desc_with_attr(const struct s2_format *format, s2_desc_t leaf,
                                          s2_desc_t attr)
{
    return MAPPING_VALUE(s2_desc_t, (leaf.raw & ~format->attr_mask) | attr.raw);
}

/* Which bits of @leaf the hardware may set by itself, when it is told to. */
static inline s2_desc_t s2_desc_hardware_bits(const struct s2_format *format, s2_desc_t leaf)
{
    const bool is_tracked = format->has_dirty && (leaf.raw & S2_DESC_DBM) != 0;

    return MAPPING_VALUE(s2_desc_t, (format->has_access_flag ? S2_DESC_AF : 0) |
                                        (is_tracked ? S2_DESC_S2AP_WRITE : 0));
}

/* AF and dirty state of @leaf, valid or broken, where hardware keeps them: S2_STATE_... */
static inline unsigned s2_desc_state(const struct s2_format *format, s2_desc_t leaf)
{
    const uint64_t set = leaf.raw & s2_desc_hardware_bits(format, leaf).raw;

    return ((set & S2_DESC_AF) != 0 ? S2_STATE_ACCESSED : 0U) |
           ((set & S2_DESC_S2AP_WRITE) != 0 ? S2_STATE_DIRTY : 0U);
}

/* The same as flags: which of the flags of a leaf that was made with @flags the hardware may have
 * changed since. None: it is as it was made. */
static inline mapping_flags_t s2_hardware_flags(const struct s2_format *format,
                                                mapping_flags_t flags)
{
    const bool is_old = format->has_access_flag && (flags & S2_NO_AF) != 0;
    const bool is_clean = format->has_dirty && (flags & (S2_DBM | S2_WRITE)) == S2_DBM;

    return (is_old ? S2_NO_AF : 0) | (is_clean ? S2_WRITE : 0);
}

/* Whether @to refuses no access that @from allows; both leaves that differ in what may change in
 * place, at most. An access flag that is clear refuses the first. */
bool s2_desc_allows(const struct s2_format *format, s2_desc_t to, s2_desc_t from);

/* Whether a guest may write what @leaf maps, now or once hardware has marked it. */
static inline bool s2_desc_may_be_written(s2_desc_t leaf)
{
    return (leaf.raw & (S2_DESC_S2AP_WRITE | S2_DESC_DBM)) != 0;
}

/* Whether two attributes have the same memory type and shareability. s2_desc_attr() makes them:
 * under LPA2 a leaf has bits of its address where others have the shareability. */
static inline bool s2_attr_is_alike(s2_desc_t a, s2_desc_t b)
{
    return ((a.raw ^ b.raw) & (S2_DESC_MEMATTR | S2_DESC_SH)) == 0;
}

/* Whether a valid leaf may become @to by one store: no run is torn, nothing changes that a TLB may
 * not hold twice. */
static inline bool s2_desc_is_in_place(s2_desc_t from, s2_desc_t to)
{
    return ((from.raw ^ to.raw) & ~S2_DESC_IN_PLACE) == 0 && !s2_desc_is_contiguous(from);
}

TRESTLE_END

#endif
