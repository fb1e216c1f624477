/*
 * test_table_over.c - mapping over whatever is there, as one operation.
 */
#include "tests/model/random.h"
#include "tests/unit/table_fixture.h"
#include "tests/unit/test.h"

#define SUITE "table_over"

#define OTHER (RIG_DATA + GIB(8))

static struct rig rig;

static void start(const struct rig_shape *shape)
{
    rig_init(&rig, rig_setup_of(shape));
}

static struct rig_step over(uint64_t ipa, uint64_t size, uint64_t pa, mapping_flags_t flags)
{
    return (struct rig_step){RIG_OVER, ipa, size, pa, flags};
}

/* --- What is there ---------------------------------------------------------------------------- */

TEST_EACH(over_nothing_is_a_map, rig_shape_count)
{
    const uint64_t block = rig_block(&rig_shapes[_i]);

    start(&rig_shapes[_i]);
    rig_must(&rig, over(block, block, RIG_DATA, RIG_RW));
    rig_assert_map(&rig, &rig.table, (struct rig_map){block, block, RIG_DATA, RIG_RW});
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 1);
    rig_fini(&rig);
}

TEST_EACH(over_a_part_of_a_block_leaves_the_rest_as_it_is, rig_shape_count)
{
    const uint64_t block = rig_block(&rig_shapes[_i]), page = rig_page(&rig_shapes[_i]);
    const struct rig_map maps[] = {
        {block, page, RIG_DATA, RIG_RWX},
        {block + page, 2 * page, OTHER, S2_READ},
        {block + 3 * page, block - 3 * page, RIG_DATA + 3 * page, RIG_RWX},
    };

    start(&rig_shapes[_i]);
    rig_must(&rig, (struct rig_step){RIG_MAP, block, block, RIG_DATA, RIG_RWX});
    rig_must(&rig, over(block + page, 2 * page, OTHER, S2_READ));
    rig_assert_maps(&rig, &rig.table, maps, COUNT(maps));
    rig_fini(&rig);
}

TEST_EACH(over_pages_with_holes_is_a_block, rig_shape_count)
{
    const uint64_t block = rig_block(&rig_shapes[_i]), page = rig_page(&rig_shapes[_i]);

    start(&rig_shapes[_i]);
    for (uint64_t i = 0; i < 8; i++) {
        rig_must(&rig, (struct rig_step){RIG_MAP, block + 2 * i * page, page, RIG_DATA, RIG_RW});
    }
    rig_must(&rig, over(block, block, OTHER, RIG_RW));
    rig_assert_map(&rig, &rig.table, (struct rig_map){block, block, OTHER, RIG_RW});
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 1);
    rig_fini(&rig);
}

TEST_EACH(over_what_is_the_same_changes_nothing_that_is_seen, rig_shape_count)
{
    const uint64_t block = rig_block(&rig_shapes[_i]);
    const struct rig_map map = {block, block, RIG_DATA, RIG_RW};

    start(&rig_shapes[_i]);
    rig_must(&rig, over(block, block, RIG_DATA, RIG_RW));
    rig_must(&rig, over(block, block, RIG_DATA, RIG_RW));
    rig_assert_map(&rig, &rig.table, map);
    rig_fini(&rig);
}

/* One flush, however much goes: it is one operation. */
TEST_EACH(over_many_leaves_is_one_flush, rig_shape_count)
{
    const uint64_t block = rig_block(&rig_shapes[_i]), page = rig_page(&rig_shapes[_i]);
    uint64_t flushes;

    start(&rig_shapes[_i]);
    rig_must(&rig, (struct rig_step){RIG_MAP, block, 16 * page, RIG_DATA, RIG_RW | S2_CAP_PAGES});
    rig_must(&rig, (struct rig_step){RIG_MAP, block + 32 * page, page, RIG_DATA, S2_READ});
    flushes = s2_table_tlb_counters(&rig.table)->flushes;
    rig_must(&rig, over(block, 64 * page, OTHER, RIG_RW));
    ck_assert_uint_eq(s2_table_tlb_counters(&rig.table)->flushes, flushes + 1);
    rig_fini(&rig);
}

/* --- Refusals --------------------------------------------------------------------------------- */

TEST_EACH(over_that_is_refused_leaves_what_is_there, rig_shape_count)
{
    const uint64_t block = rig_block(&rig_shapes[_i]), page = rig_page(&rig_shapes[_i]);
    const uint64_t frames = rig_shapes[_i].frames, top = UINT64_C(1) << rig_shapes[_i].ipa_bits;

    start(&rig_shapes[_i]);
    rig_must(&rig, (struct rig_step){RIG_MAP, block, block, RIG_DATA, RIG_RW});
    rig_refused(&rig, over(block + 1, page, OTHER, RIG_RW), MAPPING_INVALID_PARAM);
    rig_refused(&rig, over(block, page + 1, OTHER, RIG_RW), MAPPING_INVALID_PARAM);
    rig_refused(&rig, over(block, page, OTHER + 1, RIG_RW), MAPPING_INVALID_PARAM);
    rig_refused(&rig, over(block, 0, OTHER, RIG_RW), MAPPING_INVALID_PARAM);
    rig_refused(&rig, over(top, page, OTHER, RIG_RW), MAPPING_INVALID_PARAM);
    rig_refused(&rig, over(block, page, OTHER, RIG_RW | UINT64_C(1) << 40), MAPPING_INVALID_PARAM);
    rig_refused(&rig, over(block, page, OTHER, RIG_RWX | S2_DEVICE_nGnRE), MAPPING_DENIED);
    rig_refused(&rig, over(block, page, frames, RIG_RW), MAPPING_DENIED);
    rig_fini(&rig);
}

/* The table that the split of a block takes is the one that the new page lies in. */
TEST_EACH(over_a_page_of_a_block_needs_the_table_of_the_split, rig_shape_count)
{
    const uint64_t block = rig_block(&rig_shapes[_i]), page = rig_page(&rig_shapes[_i]);

    start(&rig_shapes[_i]);
    rig_must(&rig, (struct rig_step){RIG_MAP, block, block, RIG_DATA, RIG_RW});
    rig_needs(&rig, over(block + page, page, OTHER, RIG_RW), 1);
    rig_fini(&rig);
}

TEST_EACH(over_anything_is_denied_where_transients_are_refused, rig_shape_count)
{
    const uint64_t block = rig_block(&rig_shapes[_i]), page = rig_page(&rig_shapes[_i]);
    struct rig_setup setup = rig_setup_of(&rig_shapes[_i]);

    setup.config.transient = S2_TRANSIENT_REFUSED;
    rig_init(&rig, setup);
    rig_must(&rig, over(block, page, RIG_DATA, RIG_RW));
    rig_refused(&rig, over(block, 2 * page, OTHER, RIG_RW), MAPPING_DENIED);
    rig_must(&rig, over(block + page, page, OTHER, RIG_RW));
    rig_fini(&rig);
}

/* --- A model of pages ------------------------------------------------------------------------- */

#define CELLS 48

struct cell {
    uint64_t pa; /* 0: a hole */
    mapping_flags_t flags;
};

static void put(struct cell cells[], unsigned first, unsigned count, uint64_t pa,
                mapping_flags_t flags)
{
    for (unsigned i = first; i < first + count; i++) {
        cells[i] = (struct cell){pa == 0 ? 0 : pa + (i - first) * KIB(4), flags};
    }
}

static size_t maps_of(const struct cell cells[], struct rig_map maps[])
{
    size_t count = 0;

    for (unsigned i = 0; i < CELLS; i++) {
        struct rig_map *last = &maps[count == 0 ? 0 : count - 1];
        const uint64_t ipa = MIB(2) - KIB(64) + i * KIB(4);

        if (cells[i].pa == 0) {
            continue;
        }
        if (count > 0 && last->ipa + last->size == ipa && last->pa + last->size == cells[i].pa &&
            last->flags == cells[i].flags) {
            last->size += KIB(4);
        } else {
            maps[count++] = (struct rig_map){ipa, KIB(4), cells[i].pa, cells[i].flags};
        }
    }
    return count;
}

/* Over the border of two tables of pages; each verb at random. */
TEST_EACH(over_at_random_is_what_a_model_of_pages_says, 20)
{
    static const mapping_flags_t kinds[] = {RIG_RW, S2_READ, RIG_RW | S2_NORMAL_NC, RIG_RWX};
    struct random random = {0x6f766572 + (uint64_t)_i};
    struct cell cells[CELLS] = {{0, 0}};
    struct rig_map maps[CELLS];

    start(RIG_4K_40);
    for (unsigned round = 0; round < 60; round++) {
        const unsigned first = (unsigned)random_below(&random, CELLS);
        const unsigned count = 1 + (unsigned)random_below(&random, CELLS - first);
        const uint64_t pa = RIG_DATA + random_below(&random, 4) * MIB(2) + first * KIB(4);
        const mapping_flags_t flags = kinds[random_below(&random, COUNT(kinds))];
        const struct rig_step step = {random_once_in(&random, 4) ? RIG_UNMAP : RIG_OVER,
                                      MIB(2) - KIB(64) + first * KIB(4), count * KIB(4), pa, flags};

        rig_must(&rig, step);
        put(cells, first, count, step.verb == RIG_UNMAP ? 0 : pa, flags);
        rig_assert_maps(&rig, &rig.table, maps, maps_of(cells, maps));
    }
    rig_fini(&rig);
}
