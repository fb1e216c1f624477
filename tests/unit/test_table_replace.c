/*
 * test_table_replace.c - s2_table_replace(): other memory under what is mapped, all else as it was.
 */
#include "tests/unit/requests.h"
#include "tests/unit/table_runs.h"
#include "tests/unit/test.h"

#define SUITE "table_replace"

static struct rig rig;
static uint64_t page, block;

/* Other memory, congruent to RIG_DATA for every block but the largest. */
#define OTHER (RIG_DATA + GIB(64))

static void start(int shape)
{
    rig_init(&rig, rig_setup_of(&rig_shapes[shape]));
    page = rig_page(&rig_shapes[shape]);
    block = rig_block(&rig_shapes[shape]);
}

static void map(uint64_t ipa, uint64_t size, uint64_t pa, mapping_flags_t flags)
{
    rig_must(&rig, (struct rig_step){RIG_MAP, ipa, size, pa, flags});
}

static struct rig_step replace_step(uint64_t ipa, uint64_t size, uint64_t pa)
{
    return (struct rig_step){.verb = RIG_REPLACE, .ipa = ipa, .size = size, .pa = pa};
}

static void replace(uint64_t ipa, uint64_t size, uint64_t pa)
{
    rig_must(&rig, replace_step(ipa, size, pa));
}

static void expect_map(uint64_t ipa, uint64_t size, uint64_t pa, mapping_flags_t flags)
{
    rig_assert_map(&rig, &rig.table, (struct rig_map){ipa, size, pa, flags});
}

/* --- Leaves that stay as large as they are --------------------------------------------------- */

TEST_EACH(replace_congruent_output_keeps_every_leaf, rig_shape_count)
{
    start(_i);
    map(block, 2 * block + 3 * page, RIG_DATA, RIG_RWX);
    rig_leave(&rig, 0);
    replace(block, 2 * block + 3 * page, OTHER);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 2);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 3), 3);
    expect_map(block, 2 * block + 3 * page, OTHER, RIG_RWX);
    replace(block, 2 * block + 3 * page, OTHER); /* by itself: nothing is lost */
    expect_map(block, 2 * block + 3 * page, OTHER, RIG_RWX);
    rig_fini(&rig);
}

TEST_EACH(replace_pages_by_any_pages_needs_no_frame, rig_shape_count)
{
    start(_i);
    map(block, 9 * page, RIG_DATA, RIG_RW);
    rig_leave(&rig, 0);
    replace(block + 2 * page, 4 * page, OTHER + 7 * page);
    rig_assert_maps(&rig, &rig.table,
                    (struct rig_map[]){
                        {block, 2 * page, RIG_DATA, RIG_RW},
                        {block + 2 * page, 4 * page, OTHER + 7 * page, RIG_RW},
                        {block + 6 * page, 3 * page, RIG_DATA + 6 * page, RIG_RW},
                    },
                    3);
    rig_fini(&rig);
}

/* Leaves do not grow: what were pages are pages, though a block would fit. */
TEST_EACH(replace_all_pages_of_a_block_leaves_pages, rig_shape_count)
{
    start(_i);
    map(block, block, RIG_DATA, RIG_RW | S2_CAP_PAGES);
    replace(block, block, OTHER);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 3), block / page);
    expect_map(block, block, OTHER, RIG_RW);
    rig_fini(&rig);
}

/* --- Blocks that the new output does not fit ------------------------------------------------- */

TEST_EACH(replace_blocks_by_a_page_beside_needs_a_table_each, rig_shape_count)
{
    start(_i);
    map(block, 3 * block, RIG_DATA, RIG_RW | S2_SOFT1);
    rig_needs(&rig, replace_step(block, 3 * block, OTHER + page), 3);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 3), 3 * block / page);
    expect_map(block, 3 * block, OTHER + page, RIG_RW | S2_SOFT1);
    rig_fini(&rig);
}

/* A larger block: the next size still fits, so one table is all it takes. */
TEST_EACH(replace_large_block_by_a_block_beside_needs_one_table, 4)
{
    static const struct {
        int shape, level;
        uint64_t large, small;
    } blocks[] = {
        {0, 1, GIB(1), MIB(2)},
        {4, 0, GIB(512), GIB(1)},
        {5, 1, GIB(64), MIB(32)},
        {6, 1, TIB(4), MIB(512)},
    };
    const uint64_t large = blocks[_i].large, small = blocks[_i].small;

    start(blocks[_i].shape);
    map(2 * large, large, 4 * large, S2_READ);
    rig_assert_leaf(&rig, &rig.table, 2 * large, 4 * large, blocks[_i].level, S2_READ);
    rig_needs(&rig, replace_step(2 * large, large, 8 * large + small), 1);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, blocks[_i].level + 1), large / small);
    expect_map(2 * large, large, 8 * large + small, S2_READ);
    rig_fini(&rig);
}

/* 1 GiB by 4K pages: 512 tables of pages, and the one that they hang in. */
TEST(replace_1_gib_by_a_page_beside_needs_513_tables)
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);

    setup.frame_count = 520;
    rig_init(&rig, setup);
    sim_set_log(SIM_LOG_COUNT);
    map(GIB(1), GIB(1), RIG_DATA, RIG_RW);
    rig_leave(&rig, 512);
    rig_refused(&rig, replace_step(GIB(1), GIB(1), OTHER + KIB(4)), MAPPING_NO_FRAME);
    rig_leave(&rig, 513);
    replace(GIB(1), GIB(1), OTHER + KIB(4));
    ck_assert_uint_eq(frame_pool_available(&rig.pool), 0);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 3), 262144);
    expect_map(GIB(1), GIB(1), OTHER + KIB(4), RIG_RW);
    rig_fini(&rig);
}

/* --- Edges ----------------------------------------------------------------------------------- */

/* From one block into another, over two whole ones. The outside keeps its memory. */
TEST_EACH(replace_splits_blocks_that_stick_out, 2 * rig_shape_count)
{
    const bool is_congruent = _i % 2 == 0;
    uint64_t from, size, pa;

    start(_i / 2);
    from = block / 2 + page;
    size = 3 * block + 2 * page;
    pa = OTHER + from + (is_congruent ? 0 : page);
    map(block, 5 * block, RIG_DATA, RIG_RW);
    rig_needs(&rig, replace_step(block + from, size, pa), is_congruent ? 2 : 4);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), is_congruent ? 3 : 1);
    rig_assert_maps(
        &rig, &rig.table,
        (struct rig_map[]){
            {block, from, RIG_DATA, RIG_RW},
            {block + from, size, pa, RIG_RW},
            {block + from + size, 5 * block - from - size, RIG_DATA + from + size, RIG_RW},
        },
        3);
    rig_fini(&rig);
}

/* Both ends in one block. */
TEST_EACH(replace_inside_a_block_splits_it_once, 2 * rig_shape_count)
{
    const uint64_t beside = _i % 2 == 0 ? 0 : 1;
    uint64_t from, pa;

    start(_i / 2);
    from = 5 * page;
    pa = OTHER + from + beside * page;
    map(block, block, RIG_DATA, RIG_RWX);
    rig_needs(&rig, replace_step(block + from, 3 * page, pa), 1);
    rig_assert_maps(
        &rig, &rig.table,
        (struct rig_map[]){
            {block, from, RIG_DATA, RIG_RWX},
            {block + from, 3 * page, pa, RIG_RWX},
            {block + from + 3 * page, block - from - 3 * page, RIG_DATA + from + 3 * page, RIG_RWX},
        },
        3);
    rig_fini(&rig);
}

/* In a 1 GiB block, two whole 2 MiB and a page to either side. Congruent they stay 2 MiB: one table
 * of those and two of pages. Else they are pages, too: four of pages. */
TEST_EACH(replace_inside_a_large_block_takes_the_largest_leaves_that_fit, 2)
{
    const bool is_congruent = _i == 0;
    const uint64_t from = MIB(8) - KIB(4), size = MIB(4) + KIB(8);
    const uint64_t pa = OTHER + from + (is_congruent ? 0 : KIB(4));

    start(0);
    map(GIB(1), GIB(1), RIG_DATA, RIG_RW);
    rig_needs(&rig, replace_step(GIB(1) + from, size, pa), is_congruent ? 3 : 5);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), is_congruent ? 510 : 508);
    rig_assert_maps(
        &rig, &rig.table,
        (struct rig_map[]){
            {GIB(1), from, RIG_DATA, RIG_RW},
            {GIB(1) + from, size, pa, RIG_RW},
            {GIB(1) + from + size, GIB(1) - from - size, RIG_DATA + from + size, RIG_RW},
        },
        3);
    rig_fini(&rig);
}

/* --- Attributes ------------------------------------------------------------------------------ */

/* Blocks and pages of many kinds side by side; each leaf keeps its own. */
TEST_EACH(replace_keeps_the_attributes_of_each_leaf, 2 * rig_shape_count)
{
    static const mapping_flags_t kinds[] = {
        RIG_RWX,
        S2_READ,
        S2_WRITE,
        0,
        RIG_RW | S2_EXEC_EL0,
        S2_READ | S2_EXEC_EL1,
        RIG_RW | S2_NORMAL_NC,
        RIG_RW | S2_DEVICE_nGnRE,
        RIG_RW | S2_NORMAL_STAGE1,
        RIG_RW | S2_NO_AF,
        RIG_RW | S2_SOFT0,
        RIG_RW | S2_SOFT0 | S2_SOFT1,
    };
    struct rig_map maps[2 * RIG_COUNT(kinds)];
    const size_t count = RIG_COUNT(kinds);
    const uint64_t beside = _i % 2 == 0 ? 0 : 1;
    uint64_t pages, pa;

    start(_i / 2);
    pages = block + count * block;
    pa = OTHER + beside * page;
    for (size_t i = 0; i < count; i++) {
        maps[i] = (struct rig_map){block + i * block, block, pa + i * block, kinds[i]};
        maps[count + i] =
            (struct rig_map){pages + i * page, page, pa + (pages - block) + i * page, kinds[i]};
        map(maps[i].ipa, block, RIG_DATA + i * block, kinds[i]);
        map(maps[count + i].ipa, page, RIG_DATA + (pages - block) + i * page, kinds[i]);
    }
    replace(block, pages - block + count * page, pa);
    rig_assert_maps(&rig, &rig.table, maps, 2 * count);
    rig_fini(&rig);
}

TEST(replace_keeps_shareability)
{
    static const mapping_flags_t kinds[] = {RIG_RW, RIG_RW | S2_SH_OUTER, RIG_RW | S2_SH_NONE};

    start(0);
    for (size_t i = 0; i < 3; i++) {
        map(MIB(2) * (i + 1), MIB(2), RIG_DATA + MIB(2) * i, kinds[i]);
    }
    replace(MIB(2), MIB(6), OTHER + KIB(4));
    for (size_t i = 0; i < 3; i++) {
        rig_assert_leaf(&rig, &rig.table, MIB(2) * (i + 1), OTHER + KIB(4) + MIB(2) * i, 3,
                        kinds[i]);
    }
    rig_fini(&rig);
}

/* --- Order ----------------------------------------------------------------------------------- */

/* All leaves are gone before the one flush, and only after it does anything lead to new memory. */
TEST_EACH(replace_breaks_all_before_one_flush, rig_shape_count)
{
    const s2_desc_t *pages, *blocks;

    start(_i);
    map(block, 3 * block + 8 * page, RIG_DATA, RIG_RW);
    blocks = rig_slot(&rig, &rig.table, block);
    pages = rig_slot(&rig, &rig.table, 4 * block);
    sim_clear();
    replace(block + page, 3 * block + 6 * page, OTHER + 7 * page);
    runs_assert_broken_whole(blocks, 3);
    runs_assert_broken_whole(pages, 7);
    runs_assert_untouched(pages + 7, 1);
    ck_assert_uint_eq(sim_event_count(SIM_IC_IALLUIS), 0); /* DIC */
    rig_fini(&rig);
}

/* The new memory may hold code: no instruction cache has what was there before. */
TEST(replace_invalidates_instruction_caches_before_it_makes)
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);
    size_t made = SIM_NONE;

    setup.cpu.has_dic = false;
    rig_init(&rig, setup);
    map(MIB(2), KIB(16), RIG_DATA, S2_READ | S2_EXEC);
    sim_clear();
    replace(MIB(2), KIB(16), OTHER);
    for (size_t i = 0; i < sim_event_total() && made == SIM_NONE; i++) {
        if (sim_events()[i].slot != NULL && (sim_events()[i].new & 1) != 0) {
            made = i;
        }
    }
    ck_assert_uint_eq(sim_event_count(SIM_IC_IALLUIS), 1);
    ck_assert_uint_lt(sim_find(SIM_IC_IALLUIS, 0), made);
    rig_fini(&rig);
}

/* --- Refusals -------------------------------------------------------------------------------- */

/* A page, a block, a table: missing first, in the middle, last. */
TEST_EACH(replace_with_a_hole_is_refused, rig_shape_count)
{
    start(_i);
    map(block, 8 * page, RIG_DATA, RIG_RW);
    map(2 * block, block, RIG_DATA, RIG_RW);
    rig_refused(&rig, replace_step(block - page, 2 * page, OTHER), MAPPING_NOT_FOUND);
    rig_refused(&rig, replace_step(block + 7 * page, 2 * page, OTHER), MAPPING_NOT_FOUND);
    rig_refused(&rig, replace_step(block, 2 * block, OTHER), MAPPING_NOT_FOUND);
    rig_refused(&rig, replace_step(2 * block, block + page, OTHER), MAPPING_NOT_FOUND);
    rig_refused(&rig, replace_step(2 * block + page, 9 * block, OTHER + page), MAPPING_NOT_FOUND);
    rig_refused(&rig, replace_step(8 * block, page, OTHER), MAPPING_NOT_FOUND);
    rig_must(&rig, (struct rig_step){.verb = RIG_UNMAP, .ipa = block + 3 * page, .size = page});
    rig_refused(&rig, replace_step(block, 8 * page, OTHER), MAPPING_NOT_FOUND);
    replace(block + 4 * page, 4 * page, OTHER);
    rig_fini(&rig);
}

TEST_EACH(replace_bad_range_or_output_is_refused, rig_shape_count)
{
    const uint64_t top = UINT64_C(1) << rig_shapes[_i].ipa_bits;
    const uint64_t pa_top = UINT64_C(1) << rig_shapes[_i].pa_bits;

    start(_i);
    map(block, block, RIG_DATA, RIG_RW);
    {
        const struct rig_step bad[] = {
            replace_step(block + page / 2, page, OTHER),
            replace_step(block, page / 2, OTHER),
            replace_step(block, 0, OTHER),
            replace_step(top, page, OTHER),
            replace_step(top - page, 2 * page, OTHER),
            replace_step(0 - page, 2 * page, OTHER),
            replace_step(block, page, OTHER + page / 2),
            replace_step(block, page, pa_top),
            replace_step(block, 2 * page, pa_top - page),
            replace_step(block, 2 * page, 0 - page),
        };

        for (size_t i = 0; i < RIG_COUNT(bad); i++) {
            rig_refused(&rig, bad[i], MAPPING_INVALID_PARAM);
        }
    }
    replace(block, page, pa_top - page);
    rig_fini(&rig);
}

/* The root, a table, a free frame of the tables' pool, and a stretch that reaches into it. A frame
 * that was handed out as data is the caller's to show. */
TEST_EACH(replace_by_frames_of_the_tables_is_denied, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    struct mmu mmu;
    uint64_t table;
    pa_t data;

    start(_i);
    map(block, 4 * page, RIG_DATA, RIG_RW);
    ck_assert_int_eq(frame_pool_alloc(&rig.pool, 0, &data), MAPPING_OK);
    mmu = rig_mmu(&rig, &rig.table);
    table = mmu_translate(&mmu, block, MMU_READ).walk_pa[3 - shape->start_level] & ~(page - 1);
    rig_refused(&rig, replace_step(block, page, mmu_root_pa(&mmu)), MAPPING_DENIED);
    rig_refused(&rig, replace_step(block, page, table), MAPPING_DENIED);
    rig_refused(&rig, replace_step(block, page, shape->frames + 63 * page), MAPPING_DENIED);
    rig_refused(&rig, replace_step(block, 2 * page, shape->frames - page), MAPPING_DENIED);
    replace(block, page, data.raw);
    rig_assert_leaf(&rig, &rig.table, block, data.raw, 3, RIG_RW);
    ck_assert_int_eq(frame_pool_free(&rig.pool, data, 0), MAPPING_OK);
    rig_fini(&rig);
}

/* --- As pieces of one operation -------------------------------------------------------------- */

TEST_EACH(replace_in_an_open_operation_is_held_and_done, rig_shape_count)
{
    struct ipa_range first, second, gone;

    start(_i);
    map(block, 4 * block, RIG_DATA, RIG_RW);
    first = ipa_range(block, block);
    gone = ipa_range(2 * block, block);
    second = ipa_range(3 * block + page, page);
    rig_leave(&rig, 2); /* a table for the first, one for the second */
    s2_table_begin(&rig.table);
    ck_assert_int_eq(hold_replace(&rig.table, first, pa_of(OTHER + page)), MAPPING_OK);
    ck_assert_int_eq(hold_unmap(&rig.table, gone), MAPPING_OK);
    ck_assert_int_eq(hold_replace(&rig.table, second, pa_of(OTHER + 8 * block)), MAPPING_OK);
    ck_assert_uint_eq(frame_pool_available(&rig.pool), 0);
    do_replace(&rig.table, first, pa_of(OTHER + page));
    do_unmap(&rig.table, gone);
    do_replace(&rig.table, second, pa_of(OTHER + 8 * block));
    s2_table_end(&rig.table);
    rig_assert_maps(
        &rig, &rig.table,
        (struct rig_map[]){
            {block, block, OTHER + page, RIG_RW},
            {3 * block, page, RIG_DATA + 2 * block, RIG_RW},
            {3 * block + page, page, OTHER + 8 * block, RIG_RW},
            {3 * block + 2 * page, 2 * block - 2 * page, RIG_DATA + 2 * block + 2 * page, RIG_RW},
        },
        4);
    rig_fini(&rig);
}

/* The second piece is refused, for want of a frame or for a hole: the first changes nothing. */
TEST_EACH(replace_in_an_operation_that_is_refused_changes_nothing, 2 * rig_shape_count)
{
    const bool is_hole = _i % 2 != 0;
    struct rig_snapshot before;
    struct ipa_range second;

    start(_i / 2);
    map(block, 2 * block, RIG_DATA, RIG_RW);
    second = ipa_range(is_hole ? 4 * block : 2 * block, block);
    rig_leave(&rig, 1);
    rig_poison_free(&rig);
    rig_snapshot_take(&before, &rig);
    sim_clear();
    s2_table_begin(&rig.table);
    ck_assert_int_eq(hold_replace(&rig.table, ipa_range(block, block), pa_of(OTHER + page)),
                     MAPPING_OK);
    ck_assert_int_eq(hold_replace(&rig.table, second, pa_of(OTHER + block + page)),
                     is_hole ? MAPPING_NOT_FOUND : MAPPING_NO_FRAME);
    s2_table_end(&rig.table);
    ck_assert_uint_eq(sim_change_count(), 0);
    rig_snapshot_assert_same(&before, &rig);
    rig_snapshot_free(&before);
    rig_fini(&rig);
}

/* --- With the hint --------------------------------------------------------------------------- */

/* A run by one that lies as well is a run; beside it, it is not, and takes no frame either way. */
TEST_EACH(replace_of_runs_keeps_the_hint_only_where_a_run_forms, run_form_count)
{
    const struct run_form *form = &run_forms[_i];
    const uint64_t ipa = runs_ipa(form), run = run_bytes(form), other = runs_other(form);

    rig_init(&rig, runs_setup_of(form->shape));
    map(ipa, 2 * run, RIG_DATA, RIG_RW);
    rig_leave(&rig, 0);
    replace(ipa, 2 * run, other);
    runs_assert_hint(&rig, form, ipa, 2 * run, true);
    replace(ipa, run, other + 4 * run + form->leaf);
    runs_assert_hint(&rig, form, ipa, run, false);
    runs_assert_hint(&rig, form, ipa + run, run, true);
    rig_assert_maps(&rig, &rig.table,
                    (struct rig_map[]){
                        {ipa, run, other + 4 * run + form->leaf, RIG_RW},
                        {ipa + run, run, other + run, RIG_RW},
                    },
                    2);
    rig_fini(&rig);
}
