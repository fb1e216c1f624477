#include "tests/unit/desc_fixture.h"

#include <check.h>

#define ROOT_PA UINT64_C(0x40000000)

struct desc_setup desc_setup_of(enum s2_granule granule, unsigned pa_bits, bool has_fwb,
                                bool has_xnx, enum s2_hardware_update update)
{
    struct desc_setup setup = {
        .cpu = {.pa_bits = 52,
                .granule_4k = S2_GRANULE_52_BITS,
                .granule_16k = S2_GRANULE_52_BITS,
                .granule_64k = S2_GRANULE_52_BITS,
                .vmid_bits = 16,
                .hafdbs = 2,
                .has_fwb = has_fwb,
                .has_xnx = has_xnx,
                .dcache_line = 64},
        .config = {
            .granule = granule, .ipa_bits = 40, .pa_bits = pa_bits, .hardware_update = update}};

    setup.config.cpu = &setup.cpu;
    ck_assert_int_eq(s2_geometry_init(&setup.geometry, &setup.config, NULL), MAPPING_OK);
    setup.format = s2_format_of(&setup.geometry, &setup.config);
    setup.config.cpu = NULL; /* the copy that is returned lies elsewhere */
    return setup;
}

struct desc_setup desc_setup_number(unsigned number)
{
    static const enum s2_granule granules[3] = {S2_GRANULE_4K, S2_GRANULE_16K, S2_GRANULE_64K};

    return desc_setup_of(granules[number % 3], number / 3 % 2 == 0 ? 48 : 52, number / 6 % 2 != 0,
                         number / 12 % 2 != 0, (enum s2_hardware_update)(number / 24 % 3));
}

struct bus {
    uint64_t root_size, root;
    uint64_t table_pa, table_size, entry;
};

static bool bus_read(void *memory, uint64_t pa, uint64_t *value)
{
    const struct bus *bus = memory;

    if (pa >= ROOT_PA && pa - ROOT_PA < bus->root_size) {
        *value = bus->root;
        return true;
    }
    *value = bus->entry;
    return pa >= bus->table_pa && pa - bus->table_pa < bus->table_size;
}

struct mmu_result desc_walk(const struct desc_setup *setup, uint64_t root, uint64_t table_pa,
                            uint64_t entry, uint64_t ipa, enum mmu_access access)
{
    struct bus bus = {s2_root_size(&setup->geometry), root, table_pa,
                      s2_granule_size(&setup->geometry), entry};
    const struct mmu mmu = {.vtcr = setup->geometry.vtcr,
                            .vttbr = ROOT_PA,
                            .hcr = setup->geometry.hcr,
                            .cpu = {.pa_bits = 52,
                                    .has_4k = true,
                                    .has_16k = true,
                                    .has_64k = true,
                                    .lpa2_4k = true,
                                    .lpa2_16k = true,
                                    .xnx = setup->cpu.has_xnx,
                                    .fwb = setup->cpu.has_fwb,
                                    .vmid16 = true,
                                    .hafdbs = 2},
                            .options = MMU_CHECK_RUNS | MMU_PS_BOUNDS_IPA,
                            .read = bus_read,
                            .memory = &bus};

    if (mmu_config_problem(&mmu) != NULL) {
        ck_abort_msg("%s", mmu_config_problem(&mmu));
    }
    return mmu_translate(&mmu, ipa, access);
}

s2_desc_t desc_attr_of(const struct desc_setup *setup, mapping_flags_t flags)
{
    s2_desc_t attr = {0};

    ck_assert_int_eq(s2_attr_encode(&setup->format, flags, &attr), MAPPING_OK);
    return attr;
}
