/*
 * desc_fixture.h - the formats that descriptors come in, and the software MMU to read them.
 */
#ifndef TRESTLE_TESTS_UNIT_DESC_FIXTURE_H
#define TRESTLE_TESTS_UNIT_DESC_FIXTURE_H

#include "stage2/arch/desc.h"
#include "tests/sim/mmu.h"

#include <stdbool.h>

/* Granule, width, FWB, XNX and hardware updates: every number below is one combination. */
#define DESC_FORMATS 72

/* A 40-bit input, so that leaves may stand in the root: 1G, 32M or 512M. */
struct desc_setup {
    struct s2_features cpu;
    struct s2_config config;
    struct s2_geometry geometry;
    struct s2_format format;
};

struct desc_setup desc_setup_of(enum s2_granule granule, unsigned pa_bits, bool has_fwb,
                                bool has_xnx, enum s2_hardware_update update);

/* The combination of this number, 0..DESC_FORMATS - 1. */
struct desc_setup desc_setup_number(unsigned number);

/* Walk @ipa where every entry of the root is @root, and every entry of a table at @table_pa is
 * @entry; other memory does not answer. */
struct mmu_result desc_walk(const struct desc_setup *setup, uint64_t root, uint64_t table_pa,
                            uint64_t entry, uint64_t ipa, enum mmu_access access);

/* The attributes of @flags; the test fails if they are refused. */
s2_desc_t desc_attr_of(const struct desc_setup *setup, mapping_flags_t flags);

#endif
