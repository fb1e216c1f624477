/*
 * mmu_bus.h - memory and parts for the software MMU's tests.
 *
 * Memory is a list of the very few words that an example gives; any other address does not answer.
 * So a walker that reads one wrong place is told by an external abort.
 */
#ifndef TRESTLE_TESTS_UNIT_MMU_BUS_H
#define TRESTLE_TESTS_UNIT_MMU_BUS_H

#include "tests/sim/mmu.h"

#include <check.h>
#include <stddef.h>
#include <stdint.h>

#define HCR_VM UINT64_C(0x0000000000000001)
#define HCR_VM_FWB UINT64_C(0x0000400000000001)
#define AF UINT64_C(0x400)
#define NT UINT64_C(0x10000)
#define DBM UINT64_C(0x0008000000000000)
#define CONTIGUOUS UINT64_C(0x0010000000000000)

struct cell {
    uint64_t pa;
    uint64_t value;
};

/* Parts by their PA size: the largest has every feature, cpu_44 and cpu_40 are Armv8.0. */
extern const struct mmu_cpu cpu_52;
extern const struct mmu_cpu cpu_48;
extern const struct mmu_cpu cpu_44;
extern const struct mmu_cpu cpu_42;
extern const struct mmu_cpu cpu_40;
extern const struct mmu_cpu cpu_40_ttst;

void mmu_bus_clear(void);
void mmu_bus_put(uint64_t pa, uint64_t value); /* a later value replaces an earlier */
void mmu_bus_keep(size_t count);               /* only the first @count addresses answer */

/* Stage 2 on, with this memory behind it. */
struct mmu mmu_bus_mmu(uint64_t vtcr, uint64_t vttbr, const struct mmu_cpu *cpu);

/* The parts of the suite that have files of their own. */
void mmu_add_config_cases(Suite *suite);
void mmu_add_leaf_cases(Suite *suite);

#endif
