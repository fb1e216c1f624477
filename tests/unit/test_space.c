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

static struct guest guest;
static struct rig rig;

/* --- Init ------------------------------------------------------------------------------------ */

static void start_machine(unsigned frame_shift)
{
    struct rig_setup setup = guest_setup();

    setup.cpu.vmid_bits = 8;
    setup.cpu.granule_16k = S2_GRANULE_ABSENT;
    setup.frame_shift = frame_shift;
    rig_init_machine(&rig, setup);
}

static struct s2_space_config config_of(uint16_t vmid)
{
    return (struct s2_space_config){
        .table = rig.setup.config, .table_pool = &rig.pool, .vmid = vmid};
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

static const struct s2_memory_ops halves[] = {{.open = open_nothing}, {.close = close_nothing}};
static struct s2_vmid_allocator never_begun;

/* What is not as usual: 8 bits of VMID, 4K frames and granule, 40 bits of IPA and PA. Some of it
 * would be a trap later, with the root's frames already taken. */
static const struct {
    const char *reason; /* a word of it; NULL: none is asked for */
    enum mapping_error error;
    enum s2_granule granule;
    unsigned ipa_bits, pa_bits; /* 0: as usual */
    bool has_no_cpu, has_no_pool;
    unsigned vmid_bits; /* 0: 8 */
    const struct s2_memory_ops *memory;
    struct s2_vmid_allocator *vmids;
    uint16_t vmid;
    size_t nodes;
    unsigned frame_shift; /* 0: 12 */
    size_t left;          /* frames */
} impossible[] = {
    {.error = MAPPING_INVALID_PARAM, .has_no_cpu = true},
    {.error = MAPPING_INVALID_PARAM, .vmid = 256, .reason = "wider"},
    {.error = MAPPING_INVALID_PARAM, .ipa_bits = 31},
    {.error = MAPPING_UNSUPPORTED, .ipa_bits = 48}, /* the output has 40 bits */
    {.error = MAPPING_UNSUPPORTED, .granule = S2_GRANULE_16K},
    {.error = MAPPING_INVALID_PARAM, .ipa_bits = 36, .pa_bits = 36, .reason = "beyond the output"},
    {.error = MAPPING_NO_FRAME, .left = 1}, /* the root is two */
    {.error = MAPPING_INVALID_PARAM, .nodes = 1, .reason = "nodes"},
    {.error = MAPPING_INVALID_PARAM, .memory = &halves[0], .reason = "open"},
    {.error = MAPPING_INVALID_PARAM, .memory = &halves[1], .reason = "open"},
    {.error = MAPPING_INVALID_PARAM, .vmids = &never_begun, .reason = "never begun"},
    {.error = MAPPING_INVALID_PARAM, .has_no_pool = true, .reason = "pool"},
    {.error = MAPPING_INVALID_PARAM, .vmid_bits = 64, .reason = "VMIDs"}, /* no shift by it */
    {.error = MAPPING_INVALID_PARAM, .frame_shift = 14, .reason = "larger than the granule"},
};

static unsigned either(unsigned asked, unsigned usual)
{
    return asked != 0 ? asked : usual;
}

static void spoil(struct s2_space_config *config, int how)
{
    static struct s2_features cpu;

    cpu = *config->table.cpu;
    cpu.vmid_bits = either(impossible[how].vmid_bits, cpu.vmid_bits);
    config->table.granule = either(impossible[how].granule, config->table.granule);
    config->table.ipa_bits = either(impossible[how].ipa_bits, config->table.ipa_bits);
    config->table.pa_bits = either(impossible[how].pa_bits, config->table.pa_bits);
    config->memory = impossible[how].memory;
    config->vmids = impossible[how].vmids;
    config->node_count = impossible[how].nodes;
    config->table.cpu = impossible[how].has_no_cpu ? NULL : &cpu;
    if (impossible[how].has_no_pool) {
        config->table_pool = NULL;
    }
    if (impossible[how].left != 0) {
        rig_leave(&rig, impossible[how].left);
    }
}

/* The pool has lost nothing then. */
TEST_EACH(init_of_impossible_space_is_refused_with_its_reason, COUNT(impossible))
{
    const char *word = impossible[_i].reason;
    struct s2_space_config config;
    struct s2_space space;
    size_t available;

    start_machine(either(impossible[_i].frame_shift, 12));
    config = config_of(impossible[_i].vmid);
    spoil(&config, _i);
    available = frame_pool_available(&rig.pool);
    ck_assert_int_eq(s2_space_init(&space, &config), impossible[_i].error);
    ck_assert_uint_eq(frame_pool_available(&rig.pool), available);
    if (word != NULL) {
        ck_assert_ptr_nonnull(s2_space_init_reason(&config));
        ck_assert_ptr_nonnull(strstr(s2_space_init_reason(&config), word));
    }
    rig_fini_machine(&rig);
}

TEST(init_with_highest_vmid_shows_it_in_vttbr)
{
    struct s2_space_config config;
    struct s2_space space;

    start_machine(12);
    config = config_of(255);
    ck_assert_ptr_null(s2_space_init_reason(&config));
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
    struct s2_vmid_allocator vmids;
    struct s2_space_config config;
    struct s2_space space;

    start_machine(12);
    s2_vmid_init(&vmids, 8);
    config = config_of(256);
    config.vmids = &vmids;
    ck_assert_int_eq(s2_space_init(&space, &config), MAPPING_OK);
    ck_assert_uint_eq(s2_table_vttbr(s2_space_table(&space)) >> 48, 0);
    ck_assert_int_eq(s2_space_fini(&space), MAPPING_OK);
    rig_fini_machine(&rig);
}

/* --- Refusals -------------------------------------------------------------------------------- */

/* What is there, when something is refused: a 1G block and some pages. */
static const struct guest_area there[] = {
    {GIB(1), GIB(1), DATA, RIG_RWX},
    {GIB(2), KIB(16), DATA + GIB(2) + KIB(64), RIG_RW},
};

#define THERE COUNT(there)

static void start(void)
{
    guest_init(&guest, guest_setup_fwb(), GUEST_NODES, 0);
}

static void start_there(void)
{
    start();
    guest_map_all(&guest, there, THERE);
}

static void stop(void)
{
    guest_fini(&guest);
}

static void expect_refusal(enum guest_verb verb, const struct guest_area *area,
                           enum mapping_error error)
{
    struct guest_snapshot before;
    enum mapping_error answer;

    guest_snapshot_take(&before, &guest);
    sim_clear();
    answer = guest_call(&guest.space, verb, *area);
    ck_assert_msg(answer == error, "verb %d at 0x%llx answers %s, not %s", (int)verb,
                  (unsigned long long)area->ipa, mapping_error_name(answer),
                  mapping_error_name(error));
    ck_assert_uint_eq(sim_write_count() + sim_tlbi_count(), 0);
    guest_snapshot_assert_same(&before, &guest);
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

TEST_EACH(change_of_bad_range_is_refused, COUNT(bad_ranges))
{
    start_there();
    for (enum guest_verb verb = GUEST_MAP; verb <= GUEST_FOLD; verb++) {
        expect_refusal(verb, &bad_ranges[_i], MAPPING_INVALID_PARAM);
    }
    guest_fini(&guest);
}

/* Each with so many frames left, and nodes in all. */
static const struct {
    enum guest_verb verb;
    enum mapping_error error;
    struct guest_area area;
    size_t frames;
    size_t nodes;
} refusals[] = {
    {GUEST_MAP, MAPPING_INVALID_PARAM, {0, KIB(4), DATA + 8, RIG_RW}, 40, 16},
    {GUEST_MAP, MAPPING_INVALID_PARAM, {0, KIB(4), TOP, RIG_RW}, 40, 16},
    {GUEST_MAP, MAPPING_INVALID_PARAM, {0, KIB(8), TOP - KIB(4), RIG_RW}, 40, 16},
    {GUEST_MAP, MAPPING_INVALID_PARAM, {0, KIB(4), UINT64_MAX - KIB(4) + 1, RIG_RW}, 40, 16},
    {GUEST_MAP, MAPPING_INVALID_PARAM, {0, KIB(4), DATA, RIG_RW | UINT64_C(1) << 63}, 40, 16},
    {GUEST_MAP, MAPPING_INVALID_PARAM, {0, KIB(4), DATA, RIG_RW | S2_SHAREABILITY}, 40, 16},
    {GUEST_MAP, MAPPING_ALREADY_EXISTS, {GIB(2) + KIB(12), KIB(8), DATA, RIG_RW}, 40, 16},
    {GUEST_MAP, MAPPING_ALREADY_EXISTS, {GIB(1) + MIB(2), KIB(4), DATA, RIG_RW}, 40, 16},
    {GUEST_MAP, MAPPING_ALREADY_EXISTS, {0, GIB(4), DATA, RIG_RW}, 40, 16},
    {GUEST_MAP, MAPPING_NO_FRAME, {0, KIB(4), DATA, RIG_RW}, 1, 16},
    {GUEST_MAP, MAPPING_NO_NODE, {0, KIB(4), DATA, RIG_RW}, 40, 2},
    {GUEST_MAP, MAPPING_UNSUPPORTED, {0, KIB(4), DATA, RIG_RW | S2_NORMAL_WT}, 40, 16},
    {GUEST_MAP, MAPPING_UNSUPPORTED, {0, KIB(4), DATA, RIG_RW | S2_DBM}, 40, 16},
    {GUEST_MAP, MAPPING_DENIED, {0, KIB(4), DATA, RIG_RWX | S2_DEVICE_nGnRE}, 40, 16},
    {GUEST_REPLACE, MAPPING_INVALID_PARAM, {GIB(1), KIB(4), DATA + 8, RIG_RW}, 40, 16},
    {GUEST_REPLACE, MAPPING_INVALID_PARAM, {GIB(1), GIB(1), TOP - MIB(2), RIG_RW}, 40, 16},
    {GUEST_REPLACE, MAPPING_NO_FRAME, {GIB(1), KIB(4), DATA + MIB(1), RIG_RW}, 1, 16},
    {GUEST_REPLACE, MAPPING_NO_NODE, {GIB(1) + KIB(4), KIB(4), DATA + MIB(1), RIG_RW}, 40, 3},
    {GUEST_REPLACE, MAPPING_UNSUPPORTED, {GIB(1), GIB(2), DATA, RIG_RW | S2_NORMAL_WT}, 40, 16},
    {GUEST_REPLACE, MAPPING_DENIED, {GIB(1), GIB(2), DATA, RIG_RWX | S2_DEVICE_GRE}, 40, 16},
    {GUEST_UNMAP, MAPPING_NO_FRAME, {GIB(1) + KIB(4), KIB(4), 0, 0}, 1, 16},
    {GUEST_UNMAP, MAPPING_NO_FRAME, {GIB(1) + MIB(2), MIB(2), 0, 0}, 0, 16},
    {GUEST_UNMAP, MAPPING_NO_NODE, {GIB(1) + KIB(4), KIB(4), 0, 0}, 40, 2},
    {GUEST_PROTECT, MAPPING_NO_FRAME, {GIB(1) + KIB(4), KIB(4), 0, S2_READ}, 1, 16},
    {GUEST_PROTECT, MAPPING_NO_NODE, {GIB(1) + KIB(4), KIB(4), 0, S2_READ}, 40, 3},
    {GUEST_PROTECT, MAPPING_UNSUPPORTED, {GIB(1), GIB(2), 0, RIG_RW | S2_NORMAL_WT}, 40, 16},
    {GUEST_PROTECT, MAPPING_DENIED, {GIB(1), GIB(2), 0, RIG_RWX | S2_DEVICE_nGRE}, 40, 16},
    {GUEST_PROTECT, MAPPING_INVALID_PARAM, {GIB(1), GIB(2), 0, RIG_RW | UINT64_C(1) << 40}, 40, 16},
    /* Also where nothing is mapped. */
    {GUEST_PROTECT, MAPPING_DENIED, {GIB(8), GIB(2), 0, RIG_RWX | S2_DEVICE_nGRE}, 40, 16},
};

TEST_EACH(change_that_cannot_be_is_refused_and_changes_nothing, COUNT(refusals))
{
    guest_init(&guest, guest_setup_fwb(), refusals[_i].nodes, 0);
    guest_map_all(&guest, there, THERE);
    rig_leave(&guest.rig, refusals[_i].frames);
    expect_refusal(refusals[_i].verb, &refusals[_i].area, refusals[_i].error);
    guest_assert(&guest, there, THERE);
    guest_fini(&guest);
}

/* --- What the guest sees --------------------------------------------------------------------- */

#undef SETUP
#define SETUP start
#undef TEARDOWN
#define TEARDOWN stop

TEST(change_of_holes_is_fine)
{
    guest_map_all(&guest, there, THERE);
    sim_clear();
    MUST(s2_space_unmap(&guest.space, ipa_range(0, GIB(1))));
    MUST(s2_space_protect(&guest.space, ipa_range(0, GIB(1)), 0));
    MUST(s2_space_fold(&guest.space, ipa_range(0, TOP)));
    ck_assert_uint_eq(sim_change_count(), 0);
    guest_assert(&guest, there, THERE);
    MUST(s2_space_unmap(&guest.space, ipa_range(0, TOP)));
    guest_assert(&guest, NULL, 0);
}

TEST(unmap_then_map_again_folds_into_one_block)
{
    static const struct guest_area whole = {GIB(1), GIB(1), DATA, RIG_RWX};
    static const struct guest_area split[] = {
        {GIB(1), MIB(3), DATA, RIG_RWX},
        {GIB(1) + MIB(3), KIB(4), DATA + MIB(3), RIG_RWX},
        {GIB(1) + KIB(3076), GIB(1) - KIB(3076), DATA + KIB(3076), RIG_RWX},
    };
    size_t available;

    guest_map(&guest, whole);
    available = frame_pool_available(&guest.rig.pool);
    guest_unmap(&guest, split[1].ipa, split[1].size);
    guest_map(&guest, split[1]);
    guest_assert(&guest, split, 3);
    ck_assert_uint_eq(frame_pool_available(&guest.rig.pool), available - 2);
    MUST(s2_space_fold(&guest.space, ipa_range(GIB(1), GIB(1))));
    guest_assert(&guest, &whole, 1);
    ck_assert_uint_eq(frame_pool_available(&guest.rig.pool), available);
    rig_assert_leaf(&guest.rig, s2_space_table(&guest.space), GIB(1) + MIB(3), DATA + MIB(3), 1,
                    RIG_RWX);
}

TEST(fold_leaves_capped_areas_as_they_are)
{
    static const struct guest_area areas[] = {
        {GIB(1), MIB(2), DATA, RIG_RWX | S2_CAP_PAGES},
        {GIB(1) + MIB(2), MIB(2), DATA + MIB(2), RIG_RWX},
        {GIB(1) + MIB(4), MIB(2), DATA + MIB(4), RIG_RW},
    };

    guest_map_all(&guest, areas, 3);
    MUST(s2_space_fold(&guest.space, ipa_range(0, TOP)));
    guest_assert(&guest, areas, 3);
    ck_assert_uint_eq(rig_leaf_count(&guest.rig, s2_space_table(&guest.space), 3), 512);
    ck_assert_uint_eq(rig_leaf_count(&guest.rig, s2_space_table(&guest.space), 2), 2);
}

/* A cap tells the mapper how to map, and protect maps nothing: areas keep theirs, so that no block
 * ever spans two of them. */
TEST(protect_with_cap_splits_no_area_inside_a_block)
{
    static const struct guest_area areas[] = {
        {GIB(1), MIB(2), DATA, RIG_RWX},
        {GIB(1) + MIB(2), KIB(8), DATA + MIB(2), RIG_RWX | S2_CAP_PAGES},
    };

    guest_map_all(&guest, areas, 2);
    MUST(s2_space_protect(&guest.space, ipa_range(GIB(1), MIB(1)), RIG_RWX | S2_CAP_PAGES));
    MUST(s2_space_protect(&guest.space, ipa_range(GIB(1) + MIB(2), KIB(8)), RIG_RWX));
    guest_assert(&guest, areas, 2);
    rig_leave(&guest.rig, 0);
    guest_unmap(&guest, GIB(1), MIB(2));
}

/* Taking everything apart must not need a frame that nobody has: the end of each test counts
 * them. */
TEST(fini_with_empty_pool_gives_everything_back)
{
    guest_map_all(&guest, there, THERE);
    MUST(s2_space_protect(&guest.space, ipa_range(GIB(1), MIB(1)), RIG_RWX | S2_CAP_PAGES));
    guest_unmap(&guest, GIB(1) + MIB(4), KIB(4));
    rig_leave(&guest.rig, 0);
}
