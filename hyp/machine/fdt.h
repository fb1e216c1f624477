/*
 * fdt.h - what we ask of the device tree: how much RAM there is.
 */
#ifndef TRESTLE_HYP_MACHINE_FDT_H
#define TRESTLE_HYP_MACHINE_FDT_H

#include <stdint.h>

struct fdt_memory {
    uint64_t start; /* bytes; 0 and 0: there is no tree, or it names no memory */
    uint64_t size;
};

/**
 * fdt_memory() - The first bank that the tree's /memory node names.
 * Context:  works with the MMU off; QEMU puts the tree at the start of RAM for a bare ELF.
 * Source:   Devicetree Specification v0.4, chapter 5 and section 3.4. The root's #address-cells and
 *           #size-cells are taken to be 2, as they are on every virt machine.
 */
struct fdt_memory fdt_memory(void);

#endif
