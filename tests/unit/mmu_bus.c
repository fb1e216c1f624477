#include "tests/unit/mmu_bus.h"
#include "tests/unit/test.h"

#include <stdbool.h>

const struct mmu_cpu cpu_52 = {.pa_bits = 52,
                               .has_4k = true,
                               .has_16k = true,
                               .has_64k = true,
                               .lpa2_4k = true,
                               .lpa2_16k = true,
                               .ttst = true,
                               .xnx = true,
                               .fwb = true,
                               .vmid16 = true,
                               .hafdbs = 2,
                               .bbm = 2};
const struct mmu_cpu cpu_48 = {
    .pa_bits = 48, .has_4k = true, .has_16k = true, .has_64k = true, .xnx = true, .hafdbs = 2};
const struct mmu_cpu cpu_44 = {.pa_bits = 44, .has_4k = true, .has_64k = true};
const struct mmu_cpu cpu_42 = {.pa_bits = 42, .has_4k = true, .has_16k = true, .has_64k = true};
const struct mmu_cpu cpu_40 = {.pa_bits = 40, .has_4k = true, .has_16k = true, .has_64k = true};
const struct mmu_cpu cpu_40_ttst = {
    .pa_bits = 40, .has_4k = true, .has_16k = true, .has_64k = true, .ttst = true};

static struct {
    struct cell cells[512];
    size_t count;
} bus;

void mmu_bus_clear(void)
{
    bus.count = 0;
}

void mmu_bus_keep(size_t count)
{
    ck_assert_uint_le(count, bus.count);
    bus.count = count;
}

static struct cell *find(uint64_t pa)
{
    for (size_t i = 0; i < bus.count; i++) {
        if (bus.cells[i].pa == pa) {
            return &bus.cells[i];
        }
    }
    return NULL;
}

void mmu_bus_put(uint64_t pa, uint64_t value)
{
    struct cell *cell = find(pa);

    if (cell == NULL) {
        ck_assert_uint_lt(bus.count, COUNT(bus.cells));
        cell = &bus.cells[bus.count];
        bus.count++;
    }
    *cell = (struct cell){pa, value};
}

static bool bus_read(void *memory, uint64_t pa, uint64_t *value)
{
    const struct cell *cell = find(pa);

    ck_assert_ptr_eq(memory, &bus);
    if (cell == NULL) {
        return false;
    }
    *value = cell->value;
    return true;
}

struct mmu mmu_bus_mmu(uint64_t vtcr, uint64_t vttbr, const struct mmu_cpu *cpu)
{
    return (struct mmu){
        .vtcr = vtcr, .vttbr = vttbr, .hcr = HCR_VM, .cpu = *cpu, .read = bus_read, .memory = &bus};
}
