#include "hyp/machine/size.h"

#include "core/bits.h"

static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};

static unsigned unit_of(uint64_t bytes)
{
    unsigned unit = 0;

    while (bytes != 0 && bytes % MAPPING_BIT(10 * (unit + 1)) == 0 &&
           unit + 1 < sizeof(units) / sizeof(units[0])) {
        unit++;
    }
    return unit;
}

uint64_t size_number(uint64_t bytes)
{
    return bytes / MAPPING_BIT(10 * unit_of(bytes));
}

const char *size_unit(uint64_t bytes)
{
    return units[unit_of(bytes)];
}
