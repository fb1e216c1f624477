/*
 * test_table_needs.c - what is known beforehand: the frames of an operation (at random it is
 * test_table_model.c that asks), the tables of a layout, the cost of a configuration; and the
 * policy that a table is made with.
 */
#include "tests/unit/table_fixture.h"
#include "tests/unit/test.h"

#define SUITE "table_needs"

static struct rig rig;

/* --- Frames of an operation ------------------------------------------------------------------ */

/* Ask about @step: nothing changes; *frames is SIZE_MAX as before on an error. */
static enum mapping_error ask(struct rig_step step, size_t *frames)
{
    const struct s2_request request = rig_request(step);
    struct rig_snapshot before;
    enum mapping_error error;

    rig_poison_free(&rig);
    rig_snapshot_take(&before, &rig);
    sim_clear();
    *frames = SIZE_MAX;
    error = s2_table_frames_needed(&rig.table, &request, frames);
    ck_assert_uint_eq(sim_change_count(), 0);
    ck_assert_uint_eq(sim_event_count(SIM_FILL), 0);
    rig_snapshot_assert_same(&before, &rig);
    rig_snapshot_free(&before);
    ck_assert_uint_eq(error == MAPPING_OK, *frames != SIZE_MAX);
    return error;
}

static void needs(struct rig_step step, size_t expected)
{
    size_t frames;

    ck_assert_int_eq(ask(step, &frames), MAPPING_OK);
    ck_assert_uint_eq(frames, expected);
}

static void refused(struct rig_step step, enum mapping_error error)
{
    size_t frames;

    ck_assert_str_eq(mapping_error_name(ask(step, &frames)), mapping_error_name(error));
    rig_refused(&rig, step, error);
}

static struct rig_step step_of(enum rig_verb verb, uint64_t ipa, uint64_t size, uint64_t pa,
                               mapping_flags_t flags)
{
    return (struct rig_step){verb, ipa, size, pa, flags};
}

TEST(frames_needed_is_what_a_drawing_says)
{
    rig_init(&rig, rig_setup_of(RIG_4K_48));
    needs(step_of(RIG_MAP, MIB(2), KIB(4), RIG_DATA, RIG_RW), 3);
    needs(step_of(RIG_MAP, MIB(2), MIB(2), RIG_DATA, RIG_RW), 2);
    needs(step_of(RIG_MAP, GIB(1), GIB(1), RIG_DATA, RIG_RW), 1);
    needs(step_of(RIG_MAP, GIB(1), GIB(1) + KIB(4), RIG_DATA, RIG_RW), 3);
    needs(step_of(RIG_MAP, GIB(512) - KIB(4), KIB(8), RIG_DATA, RIG_RW), 6);
    needs(step_of(RIG_MAP, GIB(1), GIB(1), RIG_DATA, RIG_RW | S2_CAP_LEVEL2), 2);
    needs(step_of(RIG_MAP, GIB(1), GIB(1), RIG_DATA, RIG_RW | S2_CAP_PAGES), 514);
    needs(step_of(RIG_UNMAP, 0, TIB(256), 0, 0), 0);
    needs(step_of(RIG_PROTECT, 0, TIB(256), 0, S2_READ), 0);
    rig_must(&rig, step_of(RIG_MAP, GIB(1), GIB(2), RIG_DATA, RIG_RW));
    needs(step_of(RIG_UNMAP, GIB(1), GIB(1), 0, 0), 0);
    needs(step_of(RIG_UNMAP, GIB(1), KIB(4), 0, 0), 2);
    needs(step_of(RIG_UNMAP, GIB(2) - KIB(4), KIB(8), 0, 0), 4);
    needs(step_of(RIG_UNMAP, GIB(1), MIB(2), 0, 0), 1);
    needs(step_of(RIG_PROTECT, GIB(1) + KIB(4), MIB(4), 0, S2_READ), 3);
    needs(step_of(RIG_PROTECT, GIB(1) + KIB(4), MIB(4), 0, RIG_RW), 0);
    needs(step_of(RIG_REPLACE, GIB(1), GIB(2), GIB(128), 0), 0);
    needs(step_of(RIG_REPLACE, GIB(1), GIB(2), GIB(128) + MIB(2), 0), 2);
    needs(step_of(RIG_REPLACE, GIB(1), GIB(2), GIB(128) + KIB(4), 0), 1026);
    needs(step_of(RIG_REPLACE, GIB(1) + KIB(4), MIB(2), GIB(128) + KIB(4), 0), 3);
    rig_fini(&rig);
}

/* A 64K table from a pool of 4K frames: sixteen to a table. */
TEST(frames_needed_are_frames_of_the_pool)
{
    struct rig_setup setup = rig_setup_of(&rig_shapes[3]);
    size_t available;

    setup.frame_shift = 12;
    setup.frame_count = 256;
    rig_init(&rig, setup);
    needs(step_of(RIG_MAP, 0, KIB(64), RIG_DATA, RIG_RW), 32);
    available = frame_pool_available(&rig.pool);
    rig_must(&rig, step_of(RIG_MAP, 0, KIB(64), RIG_DATA, RIG_RW));
    ck_assert_uint_eq(available - frame_pool_available(&rig.pool), 32);
    rig_fini(&rig);
}

TEST_EACH(frames_needed_refuses_what_the_verb_refuses, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);
    const uint64_t top = UINT64_C(1) << shape->ipa_bits, out = UINT64_C(1) << shape->pa_bits;
    const struct s2_request no_verb = {.verb = (enum s2_verb)(S2_VERB_REPLACE + 1),
                                       .range = {{0}, page}};
    size_t frames = 77;

    rig_init(&rig, rig_setup_of(shape));
    rig_must(&rig, step_of(RIG_MAP, block, block, RIG_DATA, RIG_RW));
    for (enum rig_verb verb = RIG_MAP; verb <= RIG_REPLACE; verb++) {
        if (verb == RIG_FOLD) {
            continue;
        }
        refused(step_of(verb, page / 2, page, RIG_DATA, RIG_RW), MAPPING_INVALID_PARAM);
        refused(step_of(verb, page, 0, RIG_DATA, RIG_RW), MAPPING_INVALID_PARAM);
        refused(step_of(verb, top, page, RIG_DATA, RIG_RW), MAPPING_INVALID_PARAM);
        refused(step_of(verb, 0 - page, 2 * page, RIG_DATA, RIG_RW), MAPPING_INVALID_PARAM);
        if (verb == RIG_MAP || verb == RIG_REPLACE) {
            refused(step_of(verb, page, page, RIG_DATA + 8, RIG_RW), MAPPING_INVALID_PARAM);
            refused(step_of(verb, page, page, out, RIG_RW), MAPPING_INVALID_PARAM);
            refused(step_of(verb, page, page, shape->frames, RIG_RW), MAPPING_DENIED);
        }
        if (verb == RIG_MAP || verb == RIG_PROTECT) {
            refused(step_of(verb, page, page, RIG_DATA, MAPPING_BIT(40)), MAPPING_INVALID_PARAM);
            refused(step_of(verb, page, page, RIG_DATA, S2_NORMAL_WT), MAPPING_UNSUPPORTED);
            refused(step_of(verb, page, page, RIG_DATA, S2_EXEC | S2_DEVICE_GRE), MAPPING_DENIED);
        }
    }
    refused(step_of(RIG_MAP, block, page, RIG_DATA, RIG_RW), MAPPING_ALREADY_EXISTS);
    refused(step_of(RIG_REPLACE, 2 * block - page, 2 * page, RIG_DATA, 0), MAPPING_NOT_FOUND);
    ck_assert_int_eq(s2_table_frames_needed(&rig.table, &no_verb, &frames), MAPPING_INVALID_PARAM);
    ck_assert_uint_eq(frames, 77);
    rig_fini(&rig);
}

/* --- Tables of a layout ---------------------------------------------------------------------- */

/* Constant expressions: the sizes of arrays, and numbers known by drawing. Two pages astride a
 * border of the root's entries lie in two tables on every level. */
enum { GUEST_ROOT = 2, GUEST_FRAMES = GUEST_ROOT + S2_LAYOUT_TABLES(S2_GRANULE_4K, 2, 1, KIB(8)) };

static _Alignas(4096) unsigned char guest_memory[(size_t)GUEST_FRAMES << 12];
static struct frame_info guest_info[GUEST_FRAMES];

_Static_assert(S2_LAYOUT_TABLES(S2_GRANULE_4K, 3, 1, KIB(8)) == 6, "two pages astride a border");
_Static_assert(S2_LAYOUT_TABLES(S2_GRANULE_64K, 2, 1, KIB(128)) == 4, "of 64K");
_Static_assert(S2_LAYOUT_TABLES(S2_GRANULE_4K, 2, 1, GIB(1)) == 2 + 512 + 2 + 1,
               "1 GiB of 4K pages that begins anywhere");
_Static_assert(S2_LAYOUT_TABLES(S2_GRANULE_16K, 1, 3, MIB(64)) == 6 + 2, "tables of 32 MiB");
_Static_assert(S2_LAYOUT_TABLES(S2_GRANULE_64K, 4, 1, KIB(64)) == 8, "no level is too high");

/* Not a frame too few, and for this layout none too many. */
TEST(layout_sizes_a_static_pool)
{
    struct frame_region region = {PA_INIT(0x80000000), guest_memory, GUEST_FRAMES, guest_info};
    struct rig_setup setup = rig_setup_of(RIG_4K_40);
    struct s2_table table;
    struct frame_pool pool;

    setup.config.cpu = &setup.cpu;
    ck_assert_int_eq(frame_pool_init(&pool, 12, &region, 1), MAPPING_OK);
    ck_assert_int_eq(s2_table_init(&table, &setup.config, &pool), MAPPING_OK);
    ck_assert_uint_eq(frame_pool_available(&pool), 4);
    ck_assert_int_eq(
        s2_table_map(&table, ipa_range(GIB(512) - KIB(4), KIB(8)), pa_of(RIG_DATA), RIG_RW),
        MAPPING_OK);
    ck_assert_uint_eq(frame_pool_available(&pool), 0);
    ck_assert_int_eq(s2_table_fini(&table), MAPPING_OK);
    ck_assert_uint_eq(frame_pool_available(&pool), GUEST_FRAMES);
}

/* Two pages astride the border of two entries of the root take all that the bound says. */
TEST_EACH(layout_of_two_pages_astride_a_border_is_exact, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const unsigned levels = (unsigned)(3 - shape->start_level);
    const uint64_t page = rig_page(shape), border = shape->span[shape->start_level + 1];
    size_t before;

    rig_init(&rig, rig_setup_of(shape));
    before = s2_table_frame_count(&rig.table);
    rig_must(&rig, step_of(RIG_MAP, border - page, 2 * page, RIG_DATA, RIG_RW));
    ck_assert_uint_eq(s2_table_frame_count(&rig.table) - before,
                      S2_LAYOUT_TABLES(shape->granule, levels, 1, 2 * page));
    rig_fini(&rig);
}

/* The worst that can be done to a layout: areas that begin and end beside every border, pages only,
 * or blocks split page by page. The tables at their most never exceed the bound. */
TEST_EACH(layout_bounds_the_worst_that_is_done_to_it, 2 * rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i / 2];
    const bool splits = _i % 2 != 0;
    const unsigned levels = (unsigned)(3 - shape->start_level);
    const uint64_t page = rig_page(shape), block = rig_block(shape);
    const uint64_t sizes[] = {2 * page, block, block + 2 * page, 2 * block, 2 * block + 2 * page};
    struct rig_setup setup = rig_setup_of(shape);
    uint64_t total = 0;
    size_t root, tables;

    setup.frame_count = 100;
    rig_init(&rig, setup);
    root = s2_table_frame_count(&rig.table);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        /* Each around another entry of level 1, beginning a page before it. */
        const uint64_t ipa = (i + 1) * shape->span[1 + 1] - page;

        total += sizes[i];
        rig_must(&rig, step_of(RIG_MAP, ipa, sizes[i], splits ? RIG_DATA - page : RIG_DATA,
                               RIG_RW | (splits ? 0 : S2_CAP_PAGES)));
        for (uint64_t at = ipa; splits && at < ipa + sizes[i]; at += block / 2) {
            rig_must(&rig, step_of(RIG_PROTECT, at, page, 0, S2_READ));
        }
        tables = s2_table_frame_count(&rig.table) - root;
        ck_assert_uint_le(tables, S2_LAYOUT_TABLES(shape->granule, levels, i + 1, total));
        ck_assert_uint_ge(tables, 2 * (i + 1)); /* it was bad indeed */
    }
    rig_fini(&rig);
}

/* --- Cost ------------------------------------------------------------------------------------ */

static const struct {
    enum s2_granule granule;
    unsigned ipa_bits, pa_bits;
    enum s2_lpa2 lpa2;
    enum s2_root root;
    struct s2_cost cost; /* levels, root tables, root bytes, reach, largest leaf */
} costs[] = {
    {S2_GRANULE_4K, 32, 40, S2_LPA2_AUTO, S2_ROOT_SHALLOW, {3, 1, KIB(4), GIB(4), GIB(1)}},
    {S2_GRANULE_4K, 40, 40, S2_LPA2_AUTO, S2_ROOT_SHALLOW, {3, 2, KIB(8), TIB(1), GIB(1)}},
    {S2_GRANULE_4K, 42, 42, S2_LPA2_AUTO, S2_ROOT_SHALLOW, {3, 8, KIB(32), TIB(4), GIB(1)}},
    {S2_GRANULE_4K, 43, 48, S2_LPA2_AUTO, S2_ROOT_SHALLOW, {3, 16, KIB(64), TIB(8), GIB(1)}},
    {S2_GRANULE_4K, 43, 48, S2_LPA2_AUTO, S2_ROOT_SMALL, {4, 1, KIB(4), TIB(8), GIB(1)}},
    {S2_GRANULE_4K, 48, 48, S2_LPA2_AUTO, S2_ROOT_SHALLOW, {4, 1, KIB(4), TIB(256), GIB(1)}},
    {S2_GRANULE_4K, 52, 52, S2_LPA2_AUTO, S2_ROOT_SHALLOW, {4, 16, KIB(64), TIB(4096), GIB(512)}},
    {S2_GRANULE_4K, 52, 52, S2_LPA2_AUTO, S2_ROOT_SMALL, {5, 1, KIB(4), TIB(4096), GIB(512)}},
    {S2_GRANULE_4K, 48, 48, S2_LPA2_ON, S2_ROOT_SHALLOW, {4, 1, KIB(4), TIB(256), GIB(512)}},
    {S2_GRANULE_16K, 40, 40, S2_LPA2_AUTO, S2_ROOT_SHALLOW, {2, 16, KIB(256), TIB(1), MIB(32)}},
    {S2_GRANULE_16K, 48, 48, S2_LPA2_AUTO, S2_ROOT_SHALLOW, {3, 2, KIB(32), TIB(256), MIB(32)}},
    {S2_GRANULE_16K, 52, 52, S2_LPA2_AUTO, S2_ROOT_SMALL, {4, 1, KIB(16), TIB(4096), GIB(64)}},
    {S2_GRANULE_64K, 42, 48, S2_LPA2_AUTO, S2_ROOT_SHALLOW, {2, 1, KIB(64), TIB(4), MIB(512)}},
    {S2_GRANULE_64K, 48, 48, S2_LPA2_AUTO, S2_ROOT_SHALLOW, {3, 1, KIB(64), TIB(256), MIB(512)}},
    {S2_GRANULE_64K, 52, 52, S2_LPA2_AUTO, S2_ROOT_SHALLOW, {3, 1, KIB(64), TIB(4096), TIB(4)}},
};

/* Of a table that is made so, too. */
TEST_EACH(cost_of_a_configuration_is_known_before_it_is_made, COUNT(costs))
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);
    struct s2_cost cost;
    const char *reason = NULL;

    setup.frame_shift = costs[_i].granule;
    setup.config.granule = costs[_i].granule;
    setup.config.ipa_bits = costs[_i].ipa_bits;
    setup.config.pa_bits = costs[_i].pa_bits;
    setup.config.lpa2 = costs[_i].lpa2;
    setup.config.root = costs[_i].root;
    setup.config.cpu = &setup.cpu;
    ck_assert_int_eq(s2_config_cost(&setup.config, &cost, &reason), MAPPING_OK);
    ck_assert_ptr_null(reason);
    ck_assert(cost.levels == costs[_i].cost.levels &&
              cost.root_tables == costs[_i].cost.root_tables &&
              cost.root_bytes == costs[_i].cost.root_bytes && cost.reach == costs[_i].cost.reach &&
              cost.largest_leaf == costs[_i].cost.largest_leaf);
}

TEST(cost_of_an_illegal_configuration_is_refused)
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);
    const char *reason = NULL;
    struct s2_cost cost = {.levels = 77};

    setup.config.cpu = &setup.cpu;
    setup.config.ipa_bits = 48; /* and 40 bits of output */
    ck_assert_int_eq(s2_config_cost(&setup.config, &cost, &reason), MAPPING_UNSUPPORTED);
    ck_assert_str_eq(reason, "the input size is larger than the output size");
    setup.config.ipa_bits = 31;
    ck_assert_int_eq(s2_config_cost(&setup.config, &cost, &reason), MAPPING_INVALID_PARAM);
    ck_assert_str_eq(reason, "the input size is neither 0 nor 32..52 bits");
    ck_assert_int_eq(s2_config_cost(&setup.config, &cost, NULL), MAPPING_INVALID_PARAM);
    ck_assert_uint_eq(cost.levels, 77);
}

/* --- Policy ---------------------------------------------------------------------------------- */

/* What could be written and executed at once, DBM being a way to write. */
TEST_EACH(write_and_execute_can_be_forbidden_per_table, rig_shape_count)
{
    static const mapping_flags_t denied[] = {
        RIG_RWX,
        S2_WRITE | S2_EXEC_EL0,
        RIG_RW | S2_EXEC_EL1,
        S2_READ | S2_DBM | S2_EXEC,
        S2_READ | S2_DBM | S2_EXEC_EL0 | S2_NORMAL_NC,
    };
    static const mapping_flags_t allowed[] = {RIG_RW, S2_READ | S2_EXEC, RIG_RW | S2_DBM,
                                              S2_EXEC_EL0};
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);
    struct rig_setup setup = rig_setup_of(shape);

    setup.config.write_execute = S2_WRITE_EXECUTE_DENIED;
    setup.config.hardware_update = S2_HARDWARE_UPDATE_DIRTY;
    rig_init(&rig, setup);
    rig_must(&rig, step_of(RIG_MAP, block, block, RIG_DATA, S2_READ));
    for (size_t i = 0; i < COUNT(denied); i++) {
        refused(step_of(RIG_MAP, 2 * block, page, RIG_DATA, denied[i]), MAPPING_DENIED);
        refused(step_of(RIG_PROTECT, block, page, 0, denied[i]), MAPPING_DENIED);
        refused(step_of(RIG_PROTECT, block, block, 0, denied[i]), MAPPING_DENIED);
    }
    for (size_t i = 0; i < COUNT(allowed); i++) {
        rig_must(&rig, step_of(RIG_PROTECT, block, block, 0, allowed[i]));
        rig_assert_map(&rig, &rig.table, (struct rig_map){block, block, RIG_DATA, allowed[i]});
    }
    rig_fini(&rig);
    /* Another table of the same kind, without the policy. */
    setup.config.write_execute = S2_WRITE_EXECUTE_ALLOWED;
    rig_init(&rig, setup);
    rig_must(&rig, step_of(RIG_MAP, block, block, RIG_DATA, RIG_RWX));
    rig_must(&rig, step_of(RIG_PROTECT, block, block, 0, S2_READ | S2_DBM | S2_EXEC));
    rig_assert_map(&rig, &rig.table,
                   (struct rig_map){block, block, RIG_DATA, S2_READ | S2_DBM | S2_EXEC});
    rig_fini(&rig);
}
