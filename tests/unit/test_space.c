/*
 * test_space.c - a guest's space as an embedder sees it: what it answers, and what the guest sees
 * then.
 */
#include "stage2/space/space.h"

#include "tests/unit/space_fixture.h"
#include "tests/unit/test.h"

#include <check.h>
#include <string.h>

#define SUITE "space"

#define DATA RIG_DATA
#define TOP (UINT64_C(1) << 40)

/* --- Init ------------------------------------------------------------------------------------ */

static struct s2_space_config config_of(struct rig *rig)
{
    return (struct s2_space_config){
        .table = rig->setup.config, .table_pool = &rig->pool, .vmid = RIG_VMID};
}

/* The space is refused with @error, and the pool has lost nothing. */
static void expect_no_space(struct rig *rig, const struct s2_space_config *config,
                            enum mapping_error error)
{
    const size_t available = frame_pool_available(&rig->pool);
    struct s2_space space;

    ck_assert_int_eq(s2_space_init(&space, config), error);
    ck_assert_uint_eq(frame_pool_available(&rig->pool), available);
}

TEST(init_of_impossible_space_is_refused)
{
    struct rig_setup setup = guest_setup();
    struct s2_space_config config;
    struct rig rig;

    setup.cpu.vmid_bits = 8;
    setup.cpu.granule_16k = S2_GRANULE_ABSENT;
    rig_init_machine(&rig, setup);
    config = config_of(&rig);
    config.table.cpu = NULL;
    expect_no_space(&rig, &config, MAPPING_INVALID_PARAM);
    config = config_of(&rig);
    config.vmid = 256;
    expect_no_space(&rig, &config, MAPPING_INVALID_PARAM);
    config = config_of(&rig);
    config.table.ipa_bits = 31;
    expect_no_space(&rig, &config, MAPPING_INVALID_PARAM);
    config = config_of(&rig);
    config.table.ipa_bits = 48; /* the output has 40 bits */
    expect_no_space(&rig, &config, MAPPING_UNSUPPORTED);
    config = config_of(&rig);
    config.table.granule = S2_GRANULE_16K;
    expect_no_space(&rig, &config, MAPPING_UNSUPPORTED);
    config = config_of(&rig);
    config.table.pa_bits = 36; /* the pool lies above */
    config.table.ipa_bits = 36;
    expect_no_space(&rig, &config, MAPPING_INVALID_PARAM);
    ck_assert_ptr_nonnull(strstr(s2_space_init_reason(&config), "beyond the output size"));
    config = config_of(&rig);
    rig_leave(&rig, 1); /* the root is two frames */
    expect_no_space(&rig, &config, MAPPING_NO_FRAME);
    rig_fini_machine(&rig);
}

static void *open_nothing(void *ctx, pa_t pa, uint64_t size)
{
    (void)ctx;
    (void)pa;
    (void)size;
    return NULL;
}

static void close_nothing(void *ctx, void *ptr, uint64_t size)
{
    (void)ctx;
    (void)ptr;
    (void)size;
}

/* What would be a trap later, and for some of them with the root's frames already taken. */
static void spoil(struct s2_space_config *config, int how)
{
    static const struct s2_memory_ops halves[] = {{.open = open_nothing}, {.close = close_nothing}};
    static struct s2_vmid_allocator never_begun;
    static struct s2_features cpu;

    cpu = *config->table.cpu;
    switch (how) {
    case 0:
        config->node_count = 1;
        break;
    case 1:
    case 2:
        config->memory = &halves[how - 1];
        break;
    case 3:
        config->vmids = &never_begun;
        break;
    case 4:
        config->vmid = 256;
        cpu.vmid_bits = 8;
        break;
    case 5:
        config->table_pool = NULL;
        break;
    default:
        cpu.vmid_bits = 64; /* no shift by it */
        break;
    }
    config->table.cpu = &cpu;
}

TEST_EACH(init_of_what_would_trap_later_is_refused_with_its_reason, 7)
{
    static const char *const words[] = {"nodes", "open", "open", "never begun",
                                        "wider", "pool", "VMIDs"};
    struct s2_space_config config;
    struct rig rig;

    rig_init_machine(&rig, guest_setup());
    config = config_of(&rig);
    ck_assert_ptr_null(s2_space_init_reason(&config));
    spoil(&config, _i);
    expect_no_space(&rig, &config, MAPPING_INVALID_PARAM);
    ck_assert_ptr_nonnull(s2_space_init_reason(&config));
    ck_assert_ptr_nonnull(strstr(s2_space_init_reason(&config), words[_i]));
    rig_fini_machine(&rig);
}

TEST(init_with_frames_larger_than_granule_is_refused)
{
    struct rig_setup setup = guest_setup();
    struct s2_space_config config;
    struct rig rig;

    setup.frame_shift = 14;
    rig_init_machine(&rig, setup);
    config = config_of(&rig);
    expect_no_space(&rig, &config, MAPPING_INVALID_PARAM);
    ck_assert_ptr_nonnull(strstr(s2_space_init_reason(&config), "larger than the granule"));
    rig_fini_machine(&rig);
}

TEST(init_with_highest_vmid_shows_it_in_vttbr)
{
    struct rig_setup setup = guest_setup();
    struct s2_space_config config;
    struct s2_space space;
    struct rig rig;

    setup.cpu.vmid_bits = 8;
    rig_init_machine(&rig, setup);
    config = config_of(&rig);
    config.vmid = 255;
    ck_assert_int_eq(s2_space_init(&space, &config), MAPPING_OK);
    /* VMID in [63:48], BADDR: the pool's first two frames. */
    ck_assert_uint_eq(s2_table_vttbr(s2_space_table(&space)), UINT64_C(0x00ff008040000000));
    ck_assert(s2_space_check(&space));
    ck_assert(memory_set_is_empty(s2_space_areas(&space)));
    rig_assert_empty(&rig, s2_space_table(&space));
    ck_assert_int_eq(s2_space_fini(&space), MAPPING_OK);
    rig_fini_machine(&rig);
}

/* Numbers come from the allocator, and the one given is not looked at. */
TEST(init_with_vmids_ignores_the_vmid)
{
    struct rig_setup setup = guest_setup();
    struct s2_vmid_allocator vmids;
    struct s2_space_config config;
    struct s2_space space;
    struct rig rig;

    setup.cpu.vmid_bits = 8;
    rig_init_machine(&rig, setup);
    s2_vmid_init(&vmids, 8);
    config = config_of(&rig);
    config.vmid = 256;
    expect_no_space(&rig, &config, MAPPING_INVALID_PARAM);
    config.vmids = &vmids;
    ck_assert_int_eq(s2_space_init(&space, &config), MAPPING_OK);
    ck_assert_uint_eq(s2_table_vttbr(s2_space_table(&space)) >> 48, 0);
    ck_assert_int_eq(s2_space_fini(&space), MAPPING_OK);
    rig_fini_machine(&rig);
}

/* --- Refusals -------------------------------------------------------------------------------- */

enum call { MAP, REPLACE, UNMAP, PROTECT, FOLD };

static enum mapping_error call(struct guest *guest, enum call verb, const struct guest_area *area)
{
    const struct ipa_range range = ipa_range(area->ipa, area->size);
    struct s2_space *space = &guest->space;

    switch (verb) {
    case MAP:
        return s2_space_map_linear(space, range, pa_of(area->pa), area->flags);
    case REPLACE:
        return s2_space_replace_linear(space, range, pa_of(area->pa), area->flags);
    case UNMAP:
        return s2_space_unmap(space, range);
    case PROTECT:
        return s2_space_protect(space, range, area->flags);
    case FOLD:
        return s2_space_fold(space, range);
    }
    return MAPPING_BAD_STATE;
}

/* What is there, when something is refused: a 1G block and some pages. */
static const struct guest_area there[] = {
    {GIB(1), GIB(1), DATA, RIG_RWX},
    {GIB(2), KIB(16), DATA + GIB(2) + KIB(64), RIG_RW},
};

#define COUNT RIG_COUNT(there)

static void expect_refusal(struct guest *guest, enum call verb, const struct guest_area *area,
                           enum mapping_error error)
{
    struct guest_snapshot before;
    enum mapping_error answer;

    guest_snapshot_take(&before, guest);
    sim_clear();
    answer = call(guest, verb, area);
    ck_assert_msg(answer == error, "verb %d at 0x%llx answers %s, not %s", (int)verb,
                  (unsigned long long)area->ipa, mapping_error_name(answer),
                  mapping_error_name(error));
    ck_assert_uint_eq(sim_write_count() + sim_tlbi_count(), 0);
    guest_snapshot_assert_same(&before, guest);
    guest_snapshot_free(&before);
}

/* No verb takes these ranges. */
static const struct guest_area bad_ranges[] = {
    {GIB(1) + 8, KIB(4), DATA, RIG_RW},
    {GIB(1), KIB(4) + 8, DATA, RIG_RW},
    {GIB(1), KIB(2), DATA, RIG_RW},
    {GIB(1), 0, DATA, RIG_RW},
    {0, 0, DATA, RIG_RW},
    {TOP, KIB(4), DATA, RIG_RW},
    {TOP - KIB(4), KIB(8), DATA, RIG_RW},
    {UINT64_MAX - KIB(4) + 1, KIB(4), DATA, RIG_RW},
    {UINT64_MAX - KIB(4) + 1, KIB(8), DATA, RIG_RW},
    {GIB(1), UINT64_MAX - KIB(4) + 1, DATA, RIG_RW},
};

TEST_EACH(change_of_bad_range_is_refused, RIG_COUNT(bad_ranges))
{
    struct guest guest;

    guest_init(&guest, guest_setup_fwb(), GUEST_NODES, 0);
    guest_map_all(&guest, there, COUNT);
    for (enum call verb = MAP; verb <= FOLD; verb++) {
        expect_refusal(&guest, verb, &bad_ranges[_i], MAPPING_INVALID_PARAM);
    }
    guest_fini(&guest);
}

/* Each with so many frames left, and nodes in all. */
static const struct {
    enum call verb;
    enum mapping_error error;
    struct guest_area area;
    size_t frames;
    size_t nodes;
} refusals[] = {
    {MAP, MAPPING_INVALID_PARAM, {0, KIB(4), DATA + 8, RIG_RW}, 40, 16},
    {MAP, MAPPING_INVALID_PARAM, {0, KIB(4), TOP, RIG_RW}, 40, 16},
    {MAP, MAPPING_INVALID_PARAM, {0, KIB(8), TOP - KIB(4), RIG_RW}, 40, 16},
    {MAP, MAPPING_INVALID_PARAM, {0, KIB(4), UINT64_MAX - KIB(4) + 1, RIG_RW}, 40, 16},
    {MAP, MAPPING_INVALID_PARAM, {0, KIB(4), DATA, RIG_RW | UINT64_C(1) << 63}, 40, 16},
    {MAP, MAPPING_INVALID_PARAM, {0, KIB(4), DATA, RIG_RW | S2_SHAREABILITY}, 40, 16},
    {MAP, MAPPING_ALREADY_EXISTS, {GIB(2) + KIB(12), KIB(8), DATA, RIG_RW}, 40, 16},
    {MAP, MAPPING_ALREADY_EXISTS, {GIB(1) + MIB(2), KIB(4), DATA, RIG_RW}, 40, 16},
    {MAP, MAPPING_ALREADY_EXISTS, {0, GIB(4), DATA, RIG_RW}, 40, 16},
    {MAP, MAPPING_NO_FRAME, {0, KIB(4), DATA, RIG_RW}, 1, 16},
    {MAP, MAPPING_NO_NODE, {0, KIB(4), DATA, RIG_RW}, 40, 2},
    {MAP, MAPPING_UNSUPPORTED, {0, KIB(4), DATA, RIG_RW | S2_NORMAL_WT}, 40, 16},
    {MAP, MAPPING_UNSUPPORTED, {0, KIB(4), DATA, RIG_RW | S2_DBM}, 40, 16},
    {MAP, MAPPING_DENIED, {0, KIB(4), DATA, RIG_RWX | S2_DEVICE_nGnRE}, 40, 16},
    {REPLACE, MAPPING_INVALID_PARAM, {GIB(1), KIB(4), DATA + 8, RIG_RW}, 40, 16},
    {REPLACE, MAPPING_INVALID_PARAM, {GIB(1), GIB(1), TOP - MIB(2), RIG_RW}, 40, 16},
    {REPLACE, MAPPING_NO_FRAME, {GIB(1), KIB(4), DATA + MIB(1), RIG_RW}, 1, 16},
    {REPLACE, MAPPING_NO_NODE, {GIB(1) + KIB(4), KIB(4), DATA + MIB(1), RIG_RW}, 40, 3},
    {REPLACE, MAPPING_UNSUPPORTED, {GIB(1), GIB(2), DATA, RIG_RW | S2_NORMAL_WT}, 40, 16},
    {REPLACE, MAPPING_DENIED, {GIB(1), GIB(2), DATA, RIG_RWX | S2_DEVICE_GRE}, 40, 16},
    {UNMAP, MAPPING_NO_FRAME, {GIB(1) + KIB(4), KIB(4), 0, 0}, 1, 16},
    {UNMAP, MAPPING_NO_FRAME, {GIB(1) + MIB(2), MIB(2), 0, 0}, 0, 16},
    {UNMAP, MAPPING_NO_NODE, {GIB(1) + KIB(4), KIB(4), 0, 0}, 40, 2},
    {PROTECT, MAPPING_NO_FRAME, {GIB(1) + KIB(4), KIB(4), 0, S2_READ}, 1, 16},
    {PROTECT, MAPPING_NO_NODE, {GIB(1) + KIB(4), KIB(4), 0, S2_READ}, 40, 3},
    {PROTECT, MAPPING_UNSUPPORTED, {GIB(1), GIB(2), 0, RIG_RW | S2_NORMAL_WT}, 40, 16},
    {PROTECT, MAPPING_DENIED, {GIB(1), GIB(2), 0, RIG_RWX | S2_DEVICE_nGRE}, 40, 16},
    {PROTECT, MAPPING_INVALID_PARAM, {GIB(1), GIB(2), 0, RIG_RW | UINT64_C(1) << 40}, 40, 16},
    /* Also where nothing is mapped. */
    {PROTECT, MAPPING_DENIED, {GIB(8), GIB(2), 0, RIG_RWX | S2_DEVICE_nGRE}, 40, 16},
};

TEST_EACH(change_that_cannot_be_is_refused_and_changes_nothing, RIG_COUNT(refusals))
{
    struct guest guest;

    guest_init(&guest, guest_setup_fwb(), refusals[_i].nodes, 0);
    guest_map_all(&guest, there, COUNT);
    rig_leave(&guest.rig, refusals[_i].frames);
    expect_refusal(&guest, refusals[_i].verb, &refusals[_i].area, refusals[_i].error);
    guest_assert(&guest, there, COUNT);
    guest_fini(&guest);
}

TEST(map_of_type_that_needs_fwb_is_refused_without_it)
{
    const struct guest_area area = {0, KIB(4), DATA, RIG_RW | S2_NORMAL_STAGE1};
    struct guest guest;

    guest_init(&guest, guest_setup(), GUEST_NODES, 0);
    expect_refusal(&guest, MAP, &area, MAPPING_UNSUPPORTED);
    guest_fini(&guest);
}

/* --- What the guest sees --------------------------------------------------------------------- */

TEST(change_of_holes_is_fine)
{
    struct guest guest;

    guest_init(&guest, guest_setup_fwb(), GUEST_NODES, 0);
    guest_map_all(&guest, there, COUNT);
    sim_clear();
    ck_assert_int_eq(s2_space_unmap(&guest.space, ipa_range(0, GIB(1))), MAPPING_OK);
    ck_assert_int_eq(s2_space_protect(&guest.space, ipa_range(0, GIB(1)), 0), MAPPING_OK);
    ck_assert_int_eq(s2_space_fold(&guest.space, ipa_range(0, TOP)), MAPPING_OK);
    ck_assert_uint_eq(sim_change_count(), 0);
    guest_assert(&guest, there, COUNT);
    ck_assert_int_eq(s2_space_unmap(&guest.space, ipa_range(0, TOP)), MAPPING_OK);
    guest_assert(&guest, NULL, 0);
    guest_fini(&guest);
}

TEST(unmap_then_map_again_folds_into_one_block)
{
    static const struct guest_area whole = {GIB(1), GIB(1), DATA, RIG_RWX};
    static const struct guest_area split[] = {
        {GIB(1), MIB(3), DATA, RIG_RWX},
        {GIB(1) + MIB(3), KIB(4), DATA + MIB(3), RIG_RWX},
        {GIB(1) + KIB(3076), GIB(1) - KIB(3076), DATA + KIB(3076), RIG_RWX},
    };
    struct guest guest;
    size_t available;

    guest_init(&guest, guest_setup_fwb(), GUEST_NODES, 0);
    guest_map(&guest, whole);
    available = frame_pool_available(&guest.rig.pool);
    guest_unmap(&guest, split[1].ipa, split[1].size);
    guest_map(&guest, split[1]);
    guest_assert(&guest, split, 3);
    ck_assert_uint_eq(frame_pool_available(&guest.rig.pool), available - 2);
    ck_assert_int_eq(s2_space_fold(&guest.space, ipa_range(GIB(1), GIB(1))), MAPPING_OK);
    guest_assert(&guest, &whole, 1);
    ck_assert_uint_eq(frame_pool_available(&guest.rig.pool), available);
    rig_assert_leaf(&guest.rig, s2_space_table(&guest.space), GIB(1) + MIB(3), DATA + MIB(3), 1,
                    RIG_RWX);
    guest_fini(&guest);
}

TEST(fold_leaves_capped_areas_as_they_are)
{
    static const struct guest_area areas[] = {
        {GIB(1), MIB(2), DATA, RIG_RWX | S2_CAP_PAGES},
        {GIB(1) + MIB(2), MIB(2), DATA + MIB(2), RIG_RWX},
        {GIB(1) + MIB(4), MIB(2), DATA + MIB(4), RIG_RW},
    };
    struct guest guest;

    guest_init(&guest, guest_setup_fwb(), GUEST_NODES, 0);
    guest_map_all(&guest, areas, 3);
    ck_assert_int_eq(s2_space_fold(&guest.space, ipa_range(0, TOP)), MAPPING_OK);
    guest_assert(&guest, areas, 3);
    ck_assert_uint_eq(rig_leaf_count(&guest.rig, s2_space_table(&guest.space), 3), 512);
    ck_assert_uint_eq(rig_leaf_count(&guest.rig, s2_space_table(&guest.space), 2), 2);
    guest_fini(&guest);
}

/* A cap tells the mapper how to map, and protect maps nothing: areas keep theirs, so that no block
 * ever spans two of them. */
TEST(protect_with_cap_splits_no_area_inside_a_block)
{
    static const struct guest_area areas[] = {
        {GIB(1), MIB(2), DATA, RIG_RWX},
        {GIB(1) + MIB(2), KIB(8), DATA + MIB(2), RIG_RWX | S2_CAP_PAGES},
    };
    struct guest guest;

    guest_init(&guest, guest_setup_fwb(), GUEST_NODES, 0);
    guest_map_all(&guest, areas, 2);
    ck_assert_int_eq(
        s2_space_protect(&guest.space, ipa_range(GIB(1), MIB(1)), RIG_RWX | S2_CAP_PAGES),
        MAPPING_OK);
    ck_assert_int_eq(s2_space_protect(&guest.space, ipa_range(GIB(1) + MIB(2), KIB(8)), RIG_RWX),
                     MAPPING_OK);
    guest_assert(&guest, areas, 2);
    rig_leave(&guest.rig, 0);
    guest_unmap(&guest, GIB(1), MIB(2));
    guest_fini(&guest);
}

/* Taking everything apart must not need a frame that nobody has. */
TEST(fini_with_empty_pool_gives_everything_back)
{
    struct guest guest;

    guest_init(&guest, guest_setup_fwb(), GUEST_NODES, 0);
    guest_map_all(&guest, there, COUNT);
    ck_assert_int_eq(
        s2_space_protect(&guest.space, ipa_range(GIB(1), MIB(1)), RIG_RWX | S2_CAP_PAGES),
        MAPPING_OK);
    guest_unmap(&guest, GIB(1) + MIB(4), KIB(4));
    rig_leave(&guest.rig, 0);
    guest_fini(&guest); /* counts the frames */
}

TEST(protect_of_middle_gives_three_areas)
{
    static const struct guest_area after[] = {
        {GIB(1), MIB(2), DATA, RIG_RWX},
        {GIB(1) + MIB(2), KIB(4), DATA + MIB(2), S2_READ},
        {GIB(1) + KIB(2052), GIB(1) - KIB(2052), DATA + KIB(2052), RIG_RWX},
    };
    struct guest guest;
    struct mmu mmu;

    guest_init(&guest, guest_setup_fwb(), GUEST_NODES, 0);
    guest_map(&guest, there[0]);
    ck_assert_int_eq(s2_space_protect(&guest.space, ipa_range(GIB(1) + MIB(2), KIB(4)), S2_READ),
                     MAPPING_OK);
    guest_assert(&guest, after, 3);
    mmu = rig_mmu(&guest.rig, s2_space_table(&guest.space));
    ck_assert_int_eq(mmu_translate(&mmu, GIB(1) + MIB(2), MMU_WRITE).status, MMU_PERMISSION);
    ck_assert_int_eq(mmu_translate(&mmu, GIB(1) + MIB(2) + KIB(4), MMU_WRITE).status, MMU_OK);
    ck_assert_int_eq(mmu_translate(&mmu, GIB(1) + MIB(2) - 1, MMU_WRITE).status, MMU_OK);
    guest_fini(&guest);
}

TEST(lookup_answers_leaf_hole_and_beyond)
{
    struct guest guest;
    struct s2_leaf leaf;

    guest_init(&guest, guest_setup_fwb(), GUEST_NODES, 0);
    guest_map_all(&guest, there, COUNT);
    ck_assert_int_eq(s2_space_lookup(&guest.space, ipa_of(0x40123456), &leaf), MAPPING_OK);
    ck_assert_uint_eq(leaf.pa.raw, UINT64_C(0x1000123456));
    ck_assert_uint_eq(leaf.size, GIB(1));
    ck_assert_int_eq(leaf.level, 1);
    ck_assert_uint_eq(leaf.flags, RIG_RWX);
    ck_assert_int_eq(s2_space_lookup(&guest.space, ipa_of(GIB(2) + KIB(16)), &leaf),
                     MAPPING_NOT_FOUND);
    ck_assert_uint_eq(leaf.size, KIB(4));
    ck_assert_int_eq(s2_space_lookup(&guest.space, ipa_of(0), &leaf), MAPPING_NOT_FOUND);
    ck_assert_uint_eq(leaf.size, GIB(1));
    ck_assert_int_eq(s2_space_lookup(&guest.space, ipa_of(TOP), &leaf), MAPPING_INVALID_PARAM);
    guest_fini(&guest);
}
