/*
 * test_smmu.c - what an SMMU is told of tables that a device shares, and when it cannot share them.
 */
#include "stage2/arch/smmu.h"
#include "tests/unit/table_fixture.h"
#include "tests/unit/test.h"

#include <string.h>

#define SUITE "smmu"

/* Everything that an SMMUv3 has: S2P, both TTFs, COHACC, HTTU 2, VMID16; FWB; 52 bits, granules. */
static const struct s2_smmu3_idr FULL3 = {0x4009d | 1 << 18, 1 << 8, 0x76};
/* S2TS, CTTW; 48 bits, granules, VMID16. */
static const struct s2_smmu2_idr FULL2 = {0x20004000, 0xf055};

static uint64_t bits(uint64_t word, unsigned high, unsigned low)
{
    return word << (63 - high) >> (63 - high + low);
}

static struct rig rig;

static void start(const struct rig_shape *shape, enum s2_hardware_update update)
{
    struct rig_setup setup = rig_setup_of(shape);

    setup.config.hardware_update = update;
    rig_init(&rig, setup);
}

/* The entry says of the tables what VTCR_EL2 and VTTBR_EL2 say of them: by the manual's bits. */
TEST_EACH(share3_says_what_the_registers_say, rig_shape_count)
{
    const struct s2_geometry *geometry;
    struct s2_smmu3_ste ste;
    const char *reason = NULL;
    uint64_t vtcr;

    start(&rig_shapes[_i], S2_HARDWARE_UPDATE_DIRTY);
    geometry = s2_table_geometry(&rig.table);
    vtcr = s2_table_vtcr(&rig.table);
    memset(&ste, 0xa5, sizeof(ste));
    if (geometry->has_lpa2) {
        ck_assert_int_eq(
            s2_smmu3_share(geometry, s2_table_root(&rig.table), 7, &FULL3, &ste, &reason),
            MAPPING_UNSUPPORTED);
        ck_assert_str_eq(reason, "tables with LPA2 are not shared");
        rig_fini(&rig);
        return;
    }
    ck_assert_int_eq(s2_smmu3_share(geometry, s2_table_root(&rig.table), s2_table_vmid(&rig.table),
                                    &FULL3, &ste, NULL),
                     MAPPING_OK);
    ck_assert_uint_eq(bits(ste.words[0], 0, 0), 1);
    ck_assert_uint_eq(bits(ste.words[0], 63, 1), 6); /* stage 2 alone, no context descriptors */
    ck_assert_uint_eq(bits(ste.words[1], 25, 25), 1);
    ck_assert_uint_eq(bits(ste.words[1], 45, 44), 1);
    ck_assert_uint_eq(bits(ste.words[2], 15, 0), RIG_VMID);
    ck_assert_uint_eq(bits(ste.words[2], 37, 32), bits(vtcr, 5, 0));   /* T0SZ */
    ck_assert_uint_eq(bits(ste.words[2], 39, 38), bits(vtcr, 7, 6));   /* SL0 */
    ck_assert_uint_eq(bits(ste.words[2], 41, 40), bits(vtcr, 9, 8));   /* IRGN0 */
    ck_assert_uint_eq(bits(ste.words[2], 43, 42), bits(vtcr, 11, 10)); /* ORGN0 */
    ck_assert_uint_eq(bits(ste.words[2], 45, 44), bits(vtcr, 13, 12)); /* SH0 */
    ck_assert_uint_eq(bits(ste.words[2], 47, 46), bits(vtcr, 15, 14)); /* TG0 */
    ck_assert_uint_eq(bits(ste.words[2], 50, 48), bits(vtcr, 18, 16)); /* PS */
    ck_assert_uint_eq(bits(ste.words[2], 54, 51), 1);                  /* AA64, little, AFFD, PTW */
    ck_assert_uint_eq(bits(ste.words[2], 56, 55), 3);                  /* HD, HA */
    ck_assert_uint_eq(bits(ste.words[2], 63, 57), 2);                  /* faults are recorded */
    ck_assert_uint_eq(ste.words[3], pa_distance(pa_of(0), s2_table_root(&rig.table)));
    ck_assert_uint_eq(ste.words[4] | ste.words[5] | ste.words[6] | ste.words[7], 0);
    rig_fini(&rig);
}

TEST(share3_without_updates_or_fwb_asks_for_none)
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);
    const struct s2_smmu3_idr bare = {0x19, 0, 0x12}; /* S2P, AArch64, COHACC; 4K, 40 bits */
    struct s2_smmu3_ste ste;

    setup.config.force_write_back = S2_FWB_OFF;
    rig_init(&rig, setup);
    ck_assert_int_eq(s2_smmu3_share(s2_table_geometry(&rig.table), s2_table_root(&rig.table), 255,
                                    &bare, &ste, NULL),
                     MAPPING_OK);
    ck_assert_uint_eq(bits(ste.words[1], 25, 25), 0);
    ck_assert_uint_eq(bits(ste.words[2], 56, 55), 0);
    rig_fini(&rig);
}

/* One ability less, and the word of the sentence that says so. */
static const struct {
    const char *word;
    struct s2_smmu3_idr idr;
    uint16_t vmid;
} lacks3[] = {
    {"stage 2", {0x400dc, 1 << 8, 0x76}, 1},
    {"stage 2", {0x400d5, 1 << 8, 0x76}, 1},
    {"granule", {0x400dd, 1 << 8, 0x66}, 1},
    {"output size", {0x400dd, 1 << 8, 0x71}, 1},
    {"write-back", {0x400dd, 0, 0x76}, 1},
    {"updates", {0x4005d, 1 << 8, 0x76}, 1},
    {"updates", {0x4001d, 1 << 8, 0x76}, 1},
    {"caches", {0x400cd & ~0x10, 1 << 8, 0x76}, 1},
    {"8 bits", {0x000dd & ~0x40, 1 << 8, 0x76}, 256},
};

TEST_EACH(share3_is_refused_with_a_reason, COUNT(lacks3))
{
    struct s2_smmu3_ste ste, before;
    const char *reason = NULL;

    start(RIG_4K_40, S2_HARDWARE_UPDATE_DIRTY);
    memset(&ste, 0x5a, sizeof(ste));
    before = ste;
    ck_assert_int_eq(s2_smmu3_share(s2_table_geometry(&rig.table), s2_table_root(&rig.table),
                                    lacks3[_i].vmid, &lacks3[_i].idr, &ste, &reason),
                     MAPPING_UNSUPPORTED);
    ck_assert_ptr_nonnull(reason);
    ck_assert_msg(strstr(reason, lacks3[_i].word) != NULL, "%s", reason);
    ck_assert_mem_eq(&ste, &before, sizeof(ste));
    ck_assert_int_eq(s2_smmu3_share(s2_table_geometry(&rig.table), s2_table_root(&rig.table),
                                    lacks3[_i].vmid, &lacks3[_i].idr, &ste, NULL),
                     MAPPING_UNSUPPORTED);
    rig_fini(&rig);
}

/* As read from QEMU 10.0.13 and 11.1.3, -M virt,iommu=smmuv3: 44 bits, neither FWB nor HTTU. */
TEST(share3_with_the_emulators_smmu_asks_for_tables_without_fwb)
{
    static const struct s2_smmu3_idr emulated = {0x0d44101b, 0x1414, 0x74};
    struct rig_setup setup = rig_setup_of(RIG_4K_40);
    struct s2_smmu3_ste ste;
    const char *reason = NULL;

    rig_init(&rig, setup);
    ck_assert_int_eq(s2_smmu3_share(s2_table_geometry(&rig.table), s2_table_root(&rig.table), 1,
                                    &emulated, &ste, &reason),
                     MAPPING_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(reason, "write-back"));
    rig_fini(&rig);
    setup.config.force_write_back = S2_FWB_OFF;
    rig_init(&rig, setup);
    ck_assert_int_eq(s2_smmu3_share(s2_table_geometry(&rig.table), s2_table_root(&rig.table),
                                    0xffff, &emulated, &ste, NULL),
                     MAPPING_OK);
    rig_fini(&rig);
}

/* Tables that are cleaned serve an SMMU that does not look into caches. */
TEST(share3_of_cleaned_tables_needs_no_coherent_walks)
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);
    const struct s2_smmu3_idr idr = {0x4008d & ~0x80, 1 << 8, 0x76};
    struct s2_smmu3_ste ste;

    setup.config.walker = S2_WALKER_NON_COHERENT;
    rig_init(&rig, setup);
    ck_assert_int_eq(s2_smmu3_share(s2_table_geometry(&rig.table), s2_table_root(&rig.table), 1,
                                    &idr, &ste, NULL),
                     MAPPING_OK);
    ck_assert_uint_eq(bits(ste.words[2], 43, 40), 0);
    rig_fini(&rig);
}

static void start_version2(const struct rig_shape *shape)
{
    struct rig_setup setup = rig_setup_of(shape);

    setup.config.force_write_back = S2_FWB_OFF;
    rig_init(&rig, setup);
}

TEST_EACH(share2_says_what_the_registers_say, rig_shape_count)
{
    struct s2_smmu2_bank bank;
    const struct s2_geometry *geometry;

    start_version2(&rig_shapes[_i]);
    geometry = s2_table_geometry(&rig.table);
    if (geometry->has_lpa2 || geometry->pa_bits > 48) {
        ck_assert_int_eq(
            s2_smmu2_share(geometry, s2_table_root(&rig.table), 1, &FULL2, &bank, NULL),
            MAPPING_UNSUPPORTED);
        rig_fini(&rig);
        return;
    }
    ck_assert_int_eq(
        s2_smmu2_share(geometry, s2_table_root(&rig.table), 0x1234, &FULL2, &bank, NULL),
        MAPPING_OK);
    ck_assert_uint_eq(bank.cbar, 0);
    ck_assert_uint_eq(bank.cba2r, 0x12340001);
    ck_assert_uint_eq(bank.tcr, (s2_table_vtcr(&rig.table) & 0x7ffff) | 0x80000000);
    ck_assert_uint_eq(bank.ttbr0, pa_distance(pa_of(0), s2_table_root(&rig.table)));
    rig_fini(&rig);
}

TEST(share2_with_short_vmids_has_it_in_cbar)
{
    const struct s2_smmu2_idr idr = {FULL2.idr0, FULL2.idr2 & ~0x8000U};
    struct s2_smmu2_bank bank;
    const char *reason = NULL;

    start_version2(RIG_4K_40);
    ck_assert_int_eq(s2_smmu2_share(s2_table_geometry(&rig.table), s2_table_root(&rig.table), 0x34,
                                    &idr, &bank, NULL),
                     MAPPING_OK);
    ck_assert_uint_eq(bank.cbar, 0x34);
    ck_assert_uint_eq(bank.cba2r, 1);
    ck_assert_int_eq(s2_smmu2_share(s2_table_geometry(&rig.table), s2_table_root(&rig.table), 256,
                                    &idr, &bank, &reason),
                     MAPPING_UNSUPPORTED);
    ck_assert_str_eq(reason, "the SMMU has VMIDs of 8 bits");
    rig_fini(&rig);
}

TEST(share2_has_neither_fwb_nor_updates)
{
    struct s2_smmu2_bank bank;
    const char *reason = NULL;

    start(RIG_4K_40, S2_HARDWARE_UPDATE_NONE);
    ck_assert_int_eq(s2_smmu2_share(s2_table_geometry(&rig.table), s2_table_root(&rig.table), 1,
                                    &FULL2, &bank, &reason),
                     MAPPING_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(reason, "write-back"));
    rig_fini(&rig);
}
