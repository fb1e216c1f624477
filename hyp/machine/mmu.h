/*
 * mmu.h - EL2's own stage 1: the identity, with caches on.
 */
#ifndef TRESTLE_HYP_MACHINE_MMU_H
#define TRESTLE_HYP_MACHINE_MMU_H

#include "core/bits.h"

/* RAM is mapped in blocks of this size, as far as this address. */
#define MMU_RAM_BLOCK MAPPING_BIT(21)
#define MMU_RAM_END (UINT64_C(5) * MAPPING_BIT(30))

/**
 * mmu_enable() - Build EL2's tables and turn its MMU, caches and WXN on.
 *
 * Devices nGnRE, RAM Normal write-back inner shareable; of RAM, the image's code and constants are
 * read-only and executable, all else is writable and not executable.
 * Context:  once, from boot.S, with the MMU off and BSS cleared.
 */
void mmu_enable(void);

#endif
