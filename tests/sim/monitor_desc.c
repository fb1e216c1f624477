#include "tests/sim/monitor_private.h"

#define BIT_AT(n) (UINT64_C(1) << (n))
#define MASK(hi, lo) ((UINT64_MAX >> (63 - (hi))) & (UINT64_MAX << (lo)))

#define DESC_VALID BIT_AT(0)
#define DESC_TABLE BIT_AT(1)
#define DESC_READ BIT_AT(6)
#define DESC_WRITE BIT_AT(7)
#define DESC_AF BIT_AT(10)
#define DESC_DBM BIT_AT(51)
#define DESC_XN MASK(54, 53)

/* --- Descriptors ----------------------------------------------------------------------------- */

enum entry_kind monitor_entry_kind(int level, uint64_t raw)
{
    if ((raw & DESC_VALID) == 0) {
        return ENTRY_INVALID;
    }
    if (level == LEVEL_PAGE) {
        return (raw & DESC_TABLE) != 0 ? ENTRY_LEAF : ENTRY_INVALID;
    }
    return (raw & DESC_TABLE) != 0 ? ENTRY_TABLE : ENTRY_LEAF;
}

/* Where the address lies in a descriptor: in place, and elsewhere. */
uint64_t monitor_address_bits(const struct guest *guest)
{
    if (guest->has_ds) {
        return MASK(49, guest->shift) | MASK(9, 8);
    }
    return MASK(47, guest->shift) | (guest->shift == 16 ? MASK(15, 12) : 0);
}

uint64_t monitor_output(const struct guest *guest, uint64_t raw)
{
    if (guest->has_ds) {
        return (raw & MASK(49, guest->shift)) | (raw & MASK(9, 8)) << 42;
    }
    return (raw & MASK(47, guest->shift)) | (guest->shift == 16 ? (raw & MASK(15, 12)) << 36 : 0);
}

static unsigned level_shift(const struct guest *guest, int level)
{
    return guest->shift + (unsigned)(LEVEL_PAGE - level) * guest->stride;
}

uint64_t monitor_span(const struct guest *guest, int level)
{
    return UINT64_C(1) << level_shift(guest, level);
}

/* Entries of a contiguous run; 1: there are none. */
size_t monitor_run_entries(const struct guest *guest, int level)
{
    switch (guest->shift) {
    case 12:
        return level >= 1 ? 16 : 1;
    case 14:
        return level == 3 ? 128 : level == 2 ? 32 : 1;
    default:
        return level >= 2 ? 32 : 1;
    }
}

/* What hardware may write into a leaf. */
uint64_t monitor_hardware_bits(const struct guest *guest, uint64_t raw)
{
    const bool is_tracked = guest->has_hd && (raw & DESC_DBM) != 0;

    return (guest->has_ha ? DESC_AF : 0) | (is_tracked ? DESC_WRITE : 0);
}

/* --- Permissions ----------------------------------------------------------------------------- */

static unsigned execution(const struct monitor *monitor, uint64_t raw)
{
    static const unsigned by_xn[] = {ACCESS_EL1 | ACCESS_EL0, ACCESS_EL0, 0, ACCESS_EL1};
    const unsigned xn = (unsigned)((raw & DESC_XN) >> 53);

    return by_xn[monitor->config.cpu.xnx ? xn : xn & 2];
}

unsigned monitor_accesses(const struct monitor *monitor, const struct guest *guest, uint64_t raw)
{
    const bool is_tracked = guest->has_hd && (raw & DESC_DBM) != 0;

    return ((raw & DESC_READ) != 0 ? ACCESS_READ : 0U) |
           ((raw & DESC_WRITE) != 0 || is_tracked ? ACCESS_WRITE : 0U) |
           ((raw & DESC_AF) != 0 || guest->has_ha ? ACCESS_ANY : 0U) | execution(monitor, raw);
}

bool monitor_can_execute(const struct monitor *monitor, uint64_t raw)
{
    return execution(monitor, raw) != 0;
}

/* A walk that ends here is cached only if it may set AF, or AF is set. */
bool monitor_is_cacheable(const struct guest *guest, uint64_t raw)
{
    return (raw & DESC_AF) != 0 || guest->has_ha;
}
