#include "stage2/arch/desc.h"

#include <stddef.h>

#define SH_INNER 3
#define SH_OUTER 2
#define SH_NONE 0
#define NO_MEMATTR 0xff
#define SOFT_IN_ROW (S2_SOFT0 | S2_SOFT1 | S2_SOFT2) /* as they lie in S2_DESC_SOFT */

/* MemAttr by the type's number in the flags, without FWB and with. */
static const uint8_t MEMATTR[2][8] = {
    {S2_MEMATTR_WB, S2_MEMATTR_NC, S2_MEMATTR_DEVICE_nGnRnE, S2_MEMATTR_DEVICE_nGnRE,
     S2_MEMATTR_DEVICE_nGRE, S2_MEMATTR_DEVICE_GRE, NO_MEMATTR, S2_MEMATTR_WT},
    {S2_MEMATTR_FWB_WB, S2_MEMATTR_NC, S2_MEMATTR_DEVICE_nGnRnE, S2_MEMATTR_DEVICE_nGnRE,
     S2_MEMATTR_DEVICE_nGRE, S2_MEMATTR_DEVICE_GRE, S2_MEMATTR_FWB_STAGE1, NO_MEMATTR},
};

/* SH by the number in the flags; the last one is no flag. */
static const uint8_t SHAREABILITY[4] = {SH_INNER, SH_OUTER, SH_NONE, UINT8_MAX};

_Static_assert(sizeof(MEMATTR[0]) == MAPPING_FIELD_GET(S2_TYPE, S2_TYPE) + 1,
               "an entry for each type");
_Static_assert(sizeof(SHAREABILITY) == MAPPING_FIELD_GET(S2_SHAREABILITY, S2_SHAREABILITY) + 1,
               "an entry for each shareability");
_Static_assert(MAPPING_FIELD_GET(S2_DESC_SOFT, S2_DESC_SOFT) ==
                   MAPPING_FIELD_GET(SOFT_IN_ROW, SOFT_IN_ROW),
               "a leaf's bit for each software flag");
_Static_assert(MAPPING_FIELD_GET(S2_DESC_DBM | S2_DESC_SOFT3, S2_DESC_DBM | S2_DESC_SOFT3) ==
                   MAPPING_FIELD_GET(S2_DBM | S2_SOFT3, S2_DBM | S2_SOFT3),
               "and two that move together");
_Static_assert(MAPPING_FIELD_GET(S2_DESC_MEMATTR, S2_DESC_MEMATTR) < NO_MEMATTR,
               "no MemAttr is none");

struct s2_format s2_format_of(const struct s2_geometry *geometry, const struct s2_config *config)
{
    const unsigned top = geometry->has_lpa2 ? 49 : 47;
    struct s2_format format = {
        .address_mask = MAPPING_FIELD(top, geometry->granule_shift),
        .attr_mask = S2_DESC_MEMATTR | S2_DESC_S2AP_READ | S2_DESC_S2AP_WRITE | S2_DESC_AF |
                     S2_DESC_DBM | S2_DESC_XN | S2_DESC_SOFT | S2_DESC_SOFT3,
        .has_lpa2 = geometry->has_lpa2,
        .has_fwb = s2_geometry_has_fwb(geometry),
        .has_xnx = config->cpu->has_xnx,
        .has_access_flag = s2_geometry_has_access_flag(geometry),
        .has_dirty = s2_geometry_has_dirty(geometry),
        .denies_write_execute = config->write_execute == S2_WRITE_EXECUTE_DENIED,
    };

    if (geometry->has_lpa2) {
        format.high_mask = MAPPING_FIELD(51, 50);
        format.high_shift = 50 - 8;
    } else {
        format.attr_mask |= S2_DESC_SH;
    }
    if (geometry->has_lpa) {
        format.high_mask = MAPPING_FIELD(51, 48);
        format.high_shift = 48 - 12;
    }
    MAPPING_ASSERT(!geometry->has_lpa2 || !geometry->has_lpa);
    MAPPING_ASSERT((format.address_mask & format.high_mask) == 0);
    MAPPING_ASSERT(((format.address_mask | (format.high_mask >> format.high_shift)) &
                    (format.attr_mask | S2_DESC_CONTIGUOUS | S2_DESC_BROKEN)) == 0);
    return format;
}

/* Flags that mean nothing, or nothing here. */
static enum mapping_error check_flags(const struct s2_format *format, mapping_flags_t flags)
{
    const uint64_t exec = flags & S2_EXEC;

    if ((flags & ~S2_ALL_FLAGS) != 0 ||
        SHAREABILITY[MAPPING_FIELD_GET(S2_SHAREABILITY, flags)] == UINT8_MAX) {
        return MAPPING_INVALID_PARAM;
    }
    if (MEMATTR[format->has_fwb][MAPPING_FIELD_GET(S2_TYPE, flags)] == NO_MEMATTR) {
        return MAPPING_UNSUPPORTED;
    }
    if (!format->has_xnx && exec != 0 && exec != S2_EXEC) {
        return MAPPING_UNSUPPORTED;
    }
    if (format->has_lpa2 && (flags & S2_SHAREABILITY) != S2_SH_INNER) {
        return MAPPING_UNSUPPORTED;
    }
    if (!format->has_dirty && (flags & S2_DBM) != 0) {
        return MAPPING_UNSUPPORTED;
    }
    if (exec != 0 && (s2_flags_are_device(flags) ||
                      (format->denies_write_execute && (flags & (S2_WRITE | S2_DBM)) != 0))) {
        return MAPPING_DENIED;
    }
    return MAPPING_OK;
}

static unsigned xn_encode(mapping_flags_t flags)
{
    switch (flags & S2_EXEC) {
    case S2_EXEC:
        return S2_XN_NONE;
    case S2_EXEC_EL0:
        return S2_XN_EL1;
    case S2_EXEC_EL1:
        return S2_XN_EL0;
    default:
        return S2_XN_ALL;
    }
}

/* What XN, MemAttr and SH read back as. */
static const uint8_t EXEC[4] = {
    [S2_XN_NONE] = S2_EXEC,
    [S2_XN_EL1] = S2_EXEC_EL0,
    [S2_XN_ALL] = 0,
    [S2_XN_EL0] = S2_EXEC_EL1,
};

/* By the four bits of MemAttr, without FWB and with; a reserved code reads as the strictest
 * type. */
static const uint8_t TYPES[2][16] = {
    {[S2_MEMATTR_DEVICE_nGnRnE] = S2_DEVICE_nGnRnE,
     [S2_MEMATTR_DEVICE_nGnRE] = S2_DEVICE_nGnRE,
     [S2_MEMATTR_DEVICE_nGRE] = S2_DEVICE_nGRE,
     [S2_MEMATTR_DEVICE_GRE] = S2_DEVICE_GRE,
     [0x4] = S2_DEVICE_nGnRnE,
     [S2_MEMATTR_NC] = S2_NORMAL_NC,
     [0x6] = S2_DEVICE_nGnRnE,
     [0x7] = S2_DEVICE_nGnRnE,
     [0x8] = S2_DEVICE_nGnRnE,
     [0x9] = S2_DEVICE_nGnRnE,
     [S2_MEMATTR_WT] = S2_NORMAL_WT,
     [0xb] = S2_DEVICE_nGnRnE,
     [0xc] = S2_DEVICE_nGnRnE,
     [0xd] = S2_DEVICE_nGnRnE,
     [0xe] = S2_DEVICE_nGnRnE,
     [S2_MEMATTR_WB] = S2_NORMAL},
    {[S2_MEMATTR_DEVICE_nGnRnE] = S2_DEVICE_nGnRnE,
     [S2_MEMATTR_DEVICE_nGnRE] = S2_DEVICE_nGnRE,
     [S2_MEMATTR_DEVICE_nGRE] = S2_DEVICE_nGRE,
     [S2_MEMATTR_DEVICE_GRE] = S2_DEVICE_GRE,
     [0x4] = S2_DEVICE_nGnRnE,
     [S2_MEMATTR_NC] = S2_NORMAL_NC,
     [S2_MEMATTR_FWB_WB] = S2_NORMAL,
     [S2_MEMATTR_FWB_STAGE1] = S2_NORMAL_STAGE1,
     [0x8] = S2_DEVICE_nGnRnE,
     [0x9] = S2_DEVICE_nGnRnE,
     [0xa] = S2_DEVICE_nGnRnE,
     [0xb] = S2_DEVICE_nGnRnE,
     [0xc] = S2_DEVICE_nGnRnE,
     [0xd] = S2_DEVICE_nGnRnE,
     [0xe] = S2_DEVICE_nGnRnE,
     [0xf] = S2_DEVICE_nGnRnE},
};

static const uint16_t SHAREABILITIES[4] = {
    [SH_NONE] = S2_SH_NONE,
    [1] = S2_SH_INNER, /* reserved */
    [SH_OUTER] = S2_SH_OUTER,
    [SH_INNER] = S2_SH_INNER,
};

/* The bits of @from in @raw as those of @to, a mask of the same shape. */
static uint64_t moved(uint64_t raw, uint64_t from, uint64_t to)
{
    return MAPPING_FIELD_PREP(to, MAPPING_FIELD_GET(from, raw));
}

enum mapping_error s2_attr_encode(const struct s2_format *format, mapping_flags_t flags,
                                  s2_desc_t *attr)
{
    const enum mapping_error error = check_flags(format, flags);
    uint64_t raw;

    if (error != MAPPING_OK) {
        return error;
    }
    raw = MAPPING_FIELD_PREP(S2_DESC_MEMATTR,
                             MEMATTR[format->has_fwb][MAPPING_FIELD_GET(S2_TYPE, flags)]);
    raw |= MAPPING_FIELD_PREP(S2_DESC_XN, xn_encode(flags));
    raw |= moved(flags, SOFT_IN_ROW, S2_DESC_SOFT);
    raw |= (flags & S2_READ) != 0 ? S2_DESC_S2AP_READ : 0;
    raw |= (flags & S2_WRITE) != 0 ? S2_DESC_S2AP_WRITE : 0;
    raw |= (flags & S2_NO_AF) != 0 ? 0 : S2_DESC_AF;
    raw |= moved(flags, S2_DBM | S2_SOFT3, S2_DESC_DBM | S2_DESC_SOFT3);
    if (!format->has_lpa2) {
        raw |=
            MAPPING_FIELD_PREP(S2_DESC_SH, SHAREABILITY[MAPPING_FIELD_GET(S2_SHAREABILITY, flags)]);
    }
    MAPPING_ASSERT((raw & ~format->attr_mask) == 0);
    *attr = (s2_desc_t){raw};
    return MAPPING_OK;
}

mapping_flags_t s2_attr_decode(const struct s2_format *format, s2_desc_t leaf)
{
    const uint64_t raw = leaf.raw;
    mapping_flags_t flags = TYPES[format->has_fwb][MAPPING_FIELD_GET(S2_DESC_MEMATTR, raw)];

    flags |= EXEC[MAPPING_FIELD_GET(S2_DESC_XN, raw)];
    flags |= moved(raw, S2_DESC_S2AP_READ | S2_DESC_S2AP_WRITE, S2_READ | S2_WRITE);
    flags |= moved(raw, S2_DESC_SOFT, SOFT_IN_ROW);
    flags |= moved(raw, S2_DESC_DBM | S2_DESC_SOFT3, S2_DBM | S2_SOFT3);
    flags |= moved(~raw, S2_DESC_AF, S2_NO_AF);
    if (!format->has_lpa2) {
        flags |= SHAREABILITIES[MAPPING_FIELD_GET(S2_DESC_SH, raw)];
    }
    return flags;
}

bool s2_desc_allows(const struct s2_format *format, s2_desc_t to, s2_desc_t from)
{
    const uint64_t granted =
        S2_DESC_S2AP_READ | S2_DESC_S2AP_WRITE | S2_DESC_AF | (format->has_dirty ? S2_DESC_DBM : 0);
    const unsigned lost = EXEC[MAPPING_FIELD_GET(S2_DESC_XN, from.raw)] &
                          ~(unsigned)EXEC[MAPPING_FIELD_GET(S2_DESC_XN, to.raw)];

    return (from.raw & granted & ~to.raw) == 0 && lost == 0;
}

static bool leaf_is_legal(const struct s2_format *format, s2_desc_t desc)
{
    const uint64_t address = format->address_mask | (format->high_mask >> format->high_shift);
    const uint64_t known =
        address | format->attr_mask | S2_DESC_CONTIGUOUS | S2_DESC_VALID | S2_DESC_TABLE;
    s2_desc_t again;

    return (desc.raw & ~known) == 0 &&
           s2_attr_encode(format, s2_attr_decode(format, desc), &again) == MAPPING_OK &&
           s2_desc_eq(again, s2_desc_attr(format, desc));
}

bool s2_desc_is_legal(const struct s2_format *format, s2_desc_t desc, int level)
{
    if (s2_desc_is_none(desc)) {
        return true;
    }
    if (s2_desc_is_table(desc, level)) {
        return s2_desc_eq(desc, s2_desc_table(format, s2_desc_address(format, desc)));
    }
    return s2_desc_is_leaf(desc, level) && leaf_is_legal(format, desc);
}
