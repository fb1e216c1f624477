/*
 * test_table_unmap.c - s2_table_unmap(): exact splits, frames that come back, subtrees unlinked whole.
 */
#include "tests/unit/table_fixture.h"
#include "tests/unit/test.h"

#define SUITE "table_unmap"

static struct rig rig;

static void start(const struct rig_shape *shape)
{
    rig_init(&rig, rig_setup_of(shape));
}

static void map(uint64_t ipa, uint64_t size, uint64_t pa, mapping_flags_t flags)
{
    rig_must(&rig, (struct rig_step){RIG_MAP, ipa, size, pa, flags});
}

static struct rig_step unmap_step(uint64_t ipa, uint64_t size)
{
    return (struct rig_step){.verb = RIG_UNMAP, .ipa = ipa, .size = size};
}

static void unmap(uint64_t ipa, uint64_t size)
{
    rig_must(&rig, unmap_step(ipa, size));
}

/* Frames of the table beyond its root. */
static size_t tables(void)
{
    return s2_table_frame_count(&rig.table) -
           (size_t)(rig.setup.shape->root_size >> rig.setup.frame_shift);
}

/* --- Whole leaves ---------------------------------------------------------------------------- */

TEST_EACH(unmap_what_was_mapped_leaves_nothing, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);

    start(shape);
    map(block - page, 3 * block, RIG_DATA - page, RIG_RWX);
    ck_assert_uint_gt(tables(), 0);
    unmap(block - page, 3 * block);
    rig_assert_empty(&rig, &rig.table);
    ck_assert_uint_eq(tables(), 0);
    rig_fini(&rig);
}

TEST_EACH(unmap_holes_is_fine_and_touches_nothing, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape);
    size_t changes;

    start(shape);
    unmap(0, UINT64_C(1) << shape->ipa_bits);
    unmap(page, page);
    map(8 * page, page, RIG_DATA, RIG_RW);
    changes = sim_change_count();
    unmap(7 * page, page);
    unmap(9 * page, 5 * page);
    ck_assert_uint_eq(sim_change_count(), changes);
    rig_assert_map(&rig, &rig.table, (struct rig_map){8 * page, page, RIG_DATA, RIG_RW});
    rig_fini(&rig);
}

TEST_EACH(unmap_range_wider_than_its_mappings_removes_them_all, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);

    start(shape);
    map(4 * page, page, RIG_DATA, RIG_RW);
    map(6 * page, 3 * page, RIG_DATA + block, S2_READ);
    map(2 * block, 2 * block, RIG_DATA, RIG_RWX);
    map(5 * block + page, page, RIG_DATA, RIG_RW);
    map(9 * block, block, RIG_DATA, RIG_RW);
    unmap(0, 9 * block);
    rig_assert_map(&rig, &rig.table, (struct rig_map){9 * block, block, RIG_DATA, RIG_RW});
    unmap(0, UINT64_C(1) << shape->ipa_bits);
    rig_assert_empty(&rig, &rig.table);
    ck_assert_uint_eq(tables(), 0);
    rig_fini(&rig);
}

/* A table goes with its last entry, not before, and its parents likewise. */
TEST_EACH(unmap_last_page_of_a_table_frees_it, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);
    const size_t path = (size_t)(3 - shape->start_level);

    start(shape);
    map(0, 2 * page, RIG_DATA, RIG_RW);
    map(block + page, page, RIG_DATA, RIG_RW);
    ck_assert_uint_eq(tables(), path + 1);
    unmap(0, page);
    ck_assert_uint_eq(tables(), path + 1);
    unmap(page, page);
    ck_assert_uint_eq(tables(), path);
    rig_assert_map(&rig, &rig.table, (struct rig_map){block + page, page, RIG_DATA, RIG_RW});
    unmap(block + page, page);
    ck_assert_uint_eq(tables(), 0);
    ck_assert_uint_eq(frame_pool_available(&rig.pool),
                      rig.setup.frame_count - (size_t)(shape->root_size >> rig.setup.frame_shift));
    rig_fini(&rig);
}

TEST_EACH(unmap_across_concatenated_roots_is_seamless, 3)
{
    static const struct {
        int shape;
        uint64_t border;
    } roots[] = {{0, GIB(512)}, {2, TIB(128)}, {4, TIB(256)}};
    const struct rig_shape *shape = &rig_shapes[roots[_i].shape];
    const uint64_t page = rig_page(shape), block = rig_block(shape), at = roots[_i].border;

    start(shape);
    map(at - 2 * block, 4 * block, RIG_DATA, RIG_RW);
    unmap(at - page, 2 * page);
    rig_assert_maps(&rig, &rig.table,
                    (struct rig_map[]){
                        {at - 2 * block, 2 * block - page, RIG_DATA, RIG_RW},
                        {at + page, 2 * block - page, RIG_DATA + 2 * block + page, RIG_RW},
                    },
                    2);
    unmap(at - 2 * block, 4 * block);
    rig_assert_empty(&rig, &rig.table);
    rig_fini(&rig);
}

TEST_EACH(unmap_at_the_top_of_the_input_is_done, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);
    const uint64_t top = UINT64_C(1) << shape->ipa_bits;

    start(shape);
    map(top - block, block, RIG_DATA, RIG_RW);
    unmap(top - page, page);
    rig_assert_map(&rig, &rig.table, (struct rig_map){top - block, block - page, RIG_DATA, RIG_RW});
    unmap(top - block, block);
    rig_assert_empty(&rig, &rig.table);
    rig_fini(&rig);
}

/* --- Splits ------------------------------------------------------------------------------------ */

/* What a leaf may carry that a split must carry on. */
static const mapping_flags_t carried[] = {
    S2_READ | S2_EXEC_EL0 | S2_NORMAL_NC | S2_SOFT1,
    S2_WRITE | S2_DEVICE_nGnRE | S2_NO_AF | S2_SOFT0,
    S2_READ | S2_WRITE | S2_EXEC | S2_NORMAL_STAGE1 | S2_SOFT0 | S2_SOFT1,
    0,
};

/* @hole out of a block of @level: all else stays, and comes from leaves as large as can be. */
static void split(const struct rig_shape *shape, int level, uint64_t from, uint64_t size,
                  mapping_flags_t flags)
{
    const uint64_t block = shape->span[level + 1], ipa = 3 * block, pa = 5 * block;
    const struct rig_map before = {ipa, from, pa, flags};
    const struct rig_map after = {ipa + from + size, block - from - size, pa + from + size, flags};

    start(shape);
    map(ipa, block, pa, flags);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, level), 1);
    unmap(ipa + from, size);
    if (before.size == 0 || after.size == 0) {
        rig_assert_map(&rig, &rig.table, before.size == 0 ? after : before);
    } else {
        rig_assert_maps(&rig, &rig.table, (struct rig_map[]){before, after}, 2);
    }
    for (int below = level + 1; size == rig_page(shape) && below <= 3; below++) {
        /* A page is missing, so one entry of each level is no leaf. */
        ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, below),
                          shape->span[below] / shape->span[below + 1] - 1);
    }
    rig_fini(&rig);
}

TEST_EACH(unmap_middle_of_block_splits_exactly, rig_shape_count *(int)RIG_COUNT(carried))
{
    const struct rig_shape *shape = &rig_shapes[_i % rig_shape_count];
    const mapping_flags_t flags = carried[_i / rig_shape_count];
    const uint64_t page = rig_page(shape);

    for (int level = shape->top_leaf; level < 3; level++) {
        const uint64_t block = shape->span[level + 1];

        split(shape, level, block / 2 + 3 * page, page, flags);
        split(shape, level, block / 2 - page, 2 * page, flags);
    }
}

TEST_EACH(unmap_either_end_of_block_keeps_the_rest, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape);

    for (int level = shape->top_leaf; level < 3; level++) {
        const uint64_t block = shape->span[level + 1];

        split(shape, level, 0, page, RIG_RW | S2_SOFT0);
        split(shape, level, block - page, page, RIG_RW | S2_SOFT0);
        split(shape, level, page, block - page, RIG_RW | S2_SOFT0);
        split(shape, level, 0, block - page, RIG_RW | S2_SOFT0);
        split(shape, level, page, block - 2 * page, RIG_RW | S2_SOFT0);
    }
}

/* Without LPA2 a leaf has its shareability, too. */
TEST_EACH(unmap_part_of_block_keeps_shareability, 4)
{
    split(&rig_shapes[_i], 2, rig_page(&rig_shapes[_i]), rig_page(&rig_shapes[_i]),
          RIG_RW | S2_SH_OUTER);
    split(&rig_shapes[_i], 2, rig_page(&rig_shapes[_i]), rig_page(&rig_shapes[_i]),
          RIG_RW | S2_SH_NONE);
}

/* What the hardware has set in a block, its pages have. */
TEST_EACH(unmap_part_of_block_keeps_what_hardware_set, rig_shape_count)
{
    struct rig_setup setup = rig_setup_of(&rig_shapes[_i]);
    const uint64_t page = rig_page(setup.shape), block = rig_block(setup.shape);

    setup.config.hardware_update = S2_HARDWARE_UPDATE_DIRTY;
    rig_init(&rig, setup);
    map(block, block, RIG_DATA, S2_READ | S2_DBM | S2_NO_AF);
    rig_slot(&rig, &rig.table, block)->raw |= 0x480; /* AF, S2AP[1] */
    unmap(block + page, page);
    rig_assert_maps(&rig, &rig.table,
                    (struct rig_map[]){
                        {block, page, RIG_DATA, RIG_RW | S2_DBM},
                        {block + 2 * page, block - 2 * page, RIG_DATA + 2 * page, RIG_RW | S2_DBM},
                    },
                    2);
    rig_fini(&rig);
}

/* From inside one block to inside another, over a whole one and pages. */
TEST_EACH(unmap_from_block_into_block_splits_both, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);
    const uint64_t pa = RIG_DATA + 8 * block;

    start(shape);
    map(2 * block, 2 * block, RIG_DATA, S2_READ | S2_SOFT0);
    map(4 * block + page, 2 * page, RIG_DATA, RIG_RW);
    map(5 * block, block, pa, RIG_RW | S2_NORMAL_NC);
    unmap(2 * block + page, 3 * block + 4 * page);
    rig_assert_maps(
        &rig, &rig.table,
        (struct rig_map[]){
            {2 * block, page, RIG_DATA, S2_READ | S2_SOFT0},
            {5 * block + 5 * page, block - 5 * page, pa + 5 * page, RIG_RW | S2_NORMAL_NC},
        },
        2);
    rig_fini(&rig);
}

/* 4 KiB out of 1 GiB: 511 blocks of 2 MiB and 511 pages. */
TEST_EACH(unmap_4_kib_of_1_gib_keeps_the_rest, 2)
{
    start(&rig_shapes[_i]);
    map(GIB(1), GIB(1), GIB(64), RIG_RWX);
    rig_needs(&rig, unmap_step(GIB(1) + MIB(6) + KIB(20), KIB(4)), 2);
    rig_assert_maps(
        &rig, &rig.table,
        (struct rig_map[]){
            {GIB(1), MIB(6) + KIB(20), GIB(64), RIG_RWX},
            {GIB(1) + MIB(6) + KIB(24), MIB(1018) - KIB(24), GIB(64) + MIB(6) + KIB(24), RIG_RWX},
        },
        2);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 511);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 3), 511);
    rig_fini(&rig);
}

/* --- Subtrees -------------------------------------------------------------------------------- */

/* The leaves of a table that goes whole. */
struct watched {
    const unsigned char *first;
    uint64_t size;
    size_t touches;
};

static void watch(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    struct watched *watched = arg;
    const unsigned char *slot = event->slot;

    if (phase == SIM_AFTER && slot != NULL && slot >= watched->first &&
        slot < watched->first + watched->size) {
        watched->touches++;
    }
}

TEST_EACH(unmap_whole_table_never_looks_at_its_leaves, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);
    struct watched watched = {NULL, page, 0};

    start(shape);
    map(block, block, RIG_DATA + page, RIG_RW);
    map(3 * block, page, RIG_DATA, RIG_RW);
    watched.first = (const unsigned char *)rig_slot(&rig, &rig.table, block);
    sim_set_loads(SIM_LOADS_ON);
    ck_assert(sim_listen(watch, &watched));
    unmap(block, block);
    ck_assert_uint_eq(watched.touches, 0);
    ck_assert(sim_unlisten(watch, &watched));
    sim_set_loads(SIM_LOADS_OFF);
    rig_assert_map(&rig, &rig.table, (struct rig_map){3 * block, page, RIG_DATA, RIG_RW});
    rig_fini(&rig);
}

/* A whole level-1 entry of tables and tables of tables goes by one store. */
TEST_EACH(unmap_whole_subtree_stores_once, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape), wide = shape->span[1 + 1];
    const size_t path = (size_t)(3 - shape->start_level);

    start(shape);
    map(0, page, RIG_DATA, RIG_RW);
    map(wide + page, 2 * block, RIG_DATA, RIG_RW);
    map(wide + 8 * block, 2 * block, RIG_DATA, RIG_RW);
    map(2 * wide - page, page, RIG_DATA, RIG_RW);
    ck_assert_uint_eq(tables(), path + 1 + 4);
    sim_clear();
    unmap(wide, wide);
    ck_assert_uint_eq(sim_write_count(), 1);
    ck_assert_uint_eq(tables(), path);
    rig_assert_map(&rig, &rig.table, (struct rig_map){0, page, RIG_DATA, RIG_RW});
    rig_fini(&rig);
}

/* --- Frames and errors ----------------------------------------------------------------------- */

TEST_EACH(split_out_of_frames_changes_nothing, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape);

    for (int level = shape->top_leaf; level < 3; level++) {
        const uint64_t block = shape->span[level + 1], sub = shape->span[level + 2];
        const size_t deep = (size_t)(3 - level);

        start(shape);
        map(2 * block, 4 * block, 2 * block, RIG_RW | S2_SOFT1);
        /* A page: a table of each level below. An entry of the next level: one table. */
        rig_needs(&rig, unmap_step(2 * block + page, page), deep);
        rig_needs(&rig, unmap_step(3 * block + sub, sub), 1);
        /* Where two entries meet in the middle of a block: ragged in both of them. */
        if (level < 2) {
            rig_needs(&rig, unmap_step(4 * block + sub - page, 2 * page), 1 + 2 * (deep - 1));
        }
        /* Nothing sticks out: no frame. */
        rig_needs(&rig, unmap_step(5 * block, block), 0);
        rig_fini(&rig);
    }
}

/* Two splits at the two ends of one range; either alone would be served. */
TEST_EACH(split_at_both_ends_needs_the_frames_of_both, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape);

    for (int level = shape->top_leaf; level < 3; level++) {
        const uint64_t block = shape->span[level + 1];

        start(shape);
        map(2 * block, 4 * block, 2 * block, RIG_RW);
        rig_needs(&rig, unmap_step(2 * block + page, 3 * block), 2 * (size_t)(3 - level));
        rig_assert_maps(&rig, &rig.table,
                        (struct rig_map[]){
                            {2 * block, page, 2 * block, RIG_RW},
                            {5 * block + page, block - page, 5 * block + page, RIG_RW},
                        },
                        2);
        rig_fini(&rig);
    }
}

TEST_EACH(unmap_bad_range_is_refused, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), top = UINT64_C(1) << shape->ipa_bits;
    const struct rig_step bad[] = {
        unmap_step(page / 2, page),       unmap_step(page, page / 2),
        unmap_step(page + 1, page),       unmap_step(page, 0),
        unmap_step(0 - page, page),       unmap_step(page, 0 - page),
        unmap_step(0 - page, 2 * page),   unmap_step(top, page),
        unmap_step(top - page, 2 * page), unmap_step(page, top),
    };

    start(shape);
    map(0, rig_block(shape), RIG_DATA, RIG_RW);
    map(top - page, page, RIG_DATA, RIG_RW);
    for (size_t i = 0; i < RIG_COUNT(bad); i++) {
        rig_refused(&rig, bad[i], MAPPING_INVALID_PARAM);
    }
    rig_fini(&rig);
}
