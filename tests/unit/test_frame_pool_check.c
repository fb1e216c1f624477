/*
 * test_frame_pool_check.c - frame_pool_check() judged: in a sound pool where every kind of block
 * occurs, each corruption alone must be seen.
 */
#include "core/frame_pool.h"
#include "tests/unit/test.h"

#include <check.h>
#include <string.h>

#define SUITE "frame_pool_check"

#define FRAME UINT64_C(4096)

static struct frame_pool pool;
static struct frame_info infos[256];

/* Blocks come and go in an order that lays them out as the tests want them. */
static pa_t must_alloc(unsigned order)
{
    pa_t frame = pa_of(1);

    ck_assert_int_eq(frame_pool_alloc(&pool, order, &frame), MAPPING_OK);
    return frame;
}

static void must_free(pa_t frame, unsigned order)
{
    ck_assert_int_eq(frame_pool_free(&pool, frame, order), MAPPING_OK);
}

static struct {
    pa_t taken[2];
    struct frame_reserve held;
    struct frame_reserve single; /* one frame */
} scene;

static struct frame_info *info_of(pa_t frame)
{
    return &infos[pa_distance(pa_of(0), frame) / FRAME];
}

/* The first block on a free list, of any order but 0. */
static struct frame_info *free_block(unsigned *order)
{
    for (*order = 1; *order < FRAME_POOL_ORDERS; (*order)++) {
        if (pool.free_head[*order] != FRAME_REF_NONE) {
            return &infos[pool.free_head[*order]];
        }
    }
    ck_abort_msg("no free block");
    return NULL;
}

static struct frame_info *first_loose(void)
{
    ck_assert_uint_ne(pool.loose, FRAME_REF_NONE);
    return &infos[pool.loose];
}

static struct frame_info *second_loose(void)
{
    ck_assert_uint_ne(first_loose()->next, FRAME_REF_NONE);
    return &infos[first_loose()->next];
}

static void set_scene(void)
{
    struct frame_region region = {PA_INIT(0), NULL, COUNT(infos), infos};

    ck_assert_int_eq(frame_pool_init(&pool, 12, &region, 1), MAPPING_OK);
    frame_reserve_init(&scene.held);
    ck_assert_int_eq(frame_pool_reserve(&pool, 1, 2, &scene.held), MAPPING_OK);
    scene.taken[0] = must_alloc(3);
    /* Three free blocks of order 4 that cannot merge, as their buddies are in use. */
    for (uint64_t number = 16; number < 96; number += 16) {
        ck_assert(pa_eq(must_alloc(4), pa_of(number * FRAME)));
    }
    must_free(pa_of(16 * FRAME), 4);
    must_free(pa_of(32 * FRAME), 4);
    must_free(pa_of(64 * FRAME), 4);
    scene.taken[1] = must_alloc(0);
    frame_reserve_init(&scene.single);
    ck_assert_int_eq(frame_pool_reserve(&pool, 0, 1, &scene.single), MAPPING_OK);
    must_free(must_alloc(0), 0);
    ck_assert_uint_ne(second_loose()->next, FRAME_REF_NONE);
    ck_assert(frame_pool_check(&pool));
}

static void corrupt_free_next_to_nowhere(void)
{
    unsigned order;

    free_block(&order)->next = 255;
}

static void corrupt_free_next_out_of_range(void)
{
    unsigned order;

    free_block(&order)->next = FRAME_REF_NONE - 1;
}

static void corrupt_free_prev(void)
{
    unsigned order;

    free_block(&order)->prev = 0;
}

static void corrupt_free_prev_out_of_range(void)
{
    unsigned order;

    free_block(&order)->prev = 256;
}

static void corrupt_free_count(void)
{
    unsigned order;

    free_block(&order)->count = 1;
}

static void corrupt_free_order_up(void)
{
    unsigned order;

    free_block(&order)->kind++;
}

static void corrupt_free_order_down(void)
{
    unsigned order;

    free_block(&order)->kind--;
}

static void corrupt_free_into_taken(void)
{
    unsigned order;
    struct frame_info *info = free_block(&order);

    info->kind = info_of(scene.taken[0])->kind - 3 + order;
    info->next = FRAME_REF_NONE;
}

static void corrupt_taken_into_free(void)
{
    unsigned order;
    uint32_t kind = free_block(&order)->kind;

    info_of(scene.taken[0])->kind = kind - order + 3;
}

static void corrupt_taken_order(void)
{
    info_of(scene.taken[0])->kind++;
}

static void corrupt_taken_kind(void)
{
    info_of(scene.taken[0])->kind = UINT32_MAX;
}

static void corrupt_taken_state(void)
{
    info_of(scene.taken[0])->kind += 0x100;
}

static void corrupt_taken_prev(void)
{
    info_of(scene.taken[0])->prev = 5; /* neither FRAME_REF_NONE nor FRAME_SEALED */
}

static void corrupt_taken_next(void)
{
    unsigned order;
    const struct frame_info *info = free_block(&order);

    info_of(scene.taken[0])->next = (uint32_t)(info - infos);
}

static void corrupt_taken_next_out_of_range(void)
{
    info_of(scene.taken[0])->next = 0x10000000;
}

static void corrupt_held_prev(void)
{
    infos[scene.held.blocks.head].prev = FRAME_SEALED;
}

static void corrupt_held_count(void)
{
    infos[scene.held.blocks.head].count = 1;
}

static void corrupt_held_next(void)
{
    infos[scene.held.blocks.head].next = (uint32_t)(info_of(scene.taken[0]) - infos);
}

static void corrupt_held_into_taken(void)
{
    struct frame_info *info = &infos[infos[scene.held.blocks.head].next];

    info->kind = info_of(scene.taken[0])->kind - 2;
}

static void corrupt_inside_kind(void)
{
    info_of(scene.taken[0])[1].kind = info_of(scene.taken[1])->kind;
}

static void corrupt_inside_count(void)
{
    info_of(scene.taken[0])[7].count = 1;
}

static void corrupt_inside_next(void)
{
    info_of(scene.taken[0])[1].next = 1;
}

static void corrupt_inside_prev(void)
{
    info_of(scene.taken[0])[1].prev = 1;
}

static void corrupt_first_into_inside(void)
{
    memset(info_of(scene.taken[0]), 0, sizeof(struct frame_info));
}

static void corrupt_loose_count(void)
{
    second_loose()->count = 1;
}

static void corrupt_loose_prev(void)
{
    second_loose()->prev = pool.loose;
}

static void corrupt_loose_order(void)
{
    second_loose()->kind++;
}

static void corrupt_loose_into_taken(void)
{
    second_loose()->kind = info_of(scene.taken[1])->kind;
}

static void corrupt_loose_next_out_of_range(void)
{
    second_loose()->next = 256;
}

static void corrupt_loose_next_to_a_larger_block(void)
{
    second_loose()->next = scene.held.blocks.head;
}

static void corrupt_loose_ring(void)
{
    second_loose()->next = pool.loose;
}

static void corrupt_loose_head_out_of_range(void)
{
    pool.loose = 0x10000000;
}

static void corrupt_loose_head_lost(void)
{
    pool.loose = FRAME_REF_NONE;
}

static void corrupt_loose_frame_lost(void)
{
    pool.loose = first_loose()->next;
}

static void corrupt_single_held(void)
{
    info_of(scene.taken[1])->kind -= 0x100; /* TAKEN: HELD */
    pool.held++;
}

/* Counts agree, but single frames are not set aside. */
static void corrupt_loose_into_held(void)
{
    struct frame_info *info = first_loose();

    pool.loose = info->next;
    info->next = FRAME_REF_NONE;
    info->kind += 0x100;
    pool.held++;
    atomic_fetch_sub(&pool.stock, 1);
}

static void corrupt_available(void)
{
    atomic_fetch_add(&pool.stock, MAPPING_BIT(32));
}

static void corrupt_above(void)
{
    atomic_fetch_add(&pool.stock, 1);
}

static void corrupt_held_below_what_is_set_aside(void)
{
    pool.held -= 2;
    atomic_fetch_add(&pool.stock, 2);
}

static void corrupt_mergers(void)
{
    pool.mergers++;
}

static void corrupt_held(void)
{
    pool.held++;
}

static void corrupt_frame_count(void)
{
    pool.frame_count++;
}

static void corrupt_order_bit_set(void)
{
    pool.free_orders |= UINT32_C(1) << 19;
}

static void corrupt_order_bit_beyond_the_last(void)
{
    pool.free_orders |= UINT32_C(1) << FRAME_POOL_ORDERS;
}

static void corrupt_order_bit_clear(void)
{
    unsigned order;

    (void)free_block(&order);
    pool.free_orders &= ~(UINT32_C(1) << order);
}

static void corrupt_head_lost(void)
{
    unsigned order;

    (void)free_block(&order);
    pool.free_head[order] = FRAME_REF_NONE;
}

/* Everything agrees but that two buddies stand side by side. */
static void corrupt_unmerged(void)
{
    uint32_t whole = pool.free_head[7];
    uint32_t half = whole + 64;

    ck_assert_uint_ne(whole, FRAME_REF_NONE);
    ck_assert_uint_eq(pool.free_head[6], FRAME_REF_NONE);
    infos[whole].kind--;
    infos[half] = infos[whole];
    infos[whole].next = half;
    infos[half].prev = whole;
    pool.free_head[7] = FRAME_REF_NONE;
    pool.free_head[6] = whole;
    pool.free_orders ^= UINT32_C(3) << 6;
}

/* Blocks that only know each other, and no list that knows them. */
static void corrupt_ring_without_a_list(void)
{
    uint32_t first = pool.free_head[4];
    uint32_t last = infos[infos[first].next].next;

    infos[first].prev = last;
    infos[last].next = first;
    pool.free_head[4] = FRAME_REF_NONE;
    pool.free_orders &= ~(UINT32_C(1) << 4);
}

/* The same beside a list that is in order. */
static void corrupt_ring_beside_a_list(void)
{
    uint32_t first = pool.free_head[4];
    uint32_t second = infos[first].next;
    uint32_t last = infos[second].next;

    ck_assert_uint_ne(last, FRAME_REF_NONE);
    infos[first].next = FRAME_REF_NONE;
    infos[second].prev = last;
    infos[last].next = second;
}

#define CORRUPTION(name) \
    {                    \
#name, name      \
    }

static const struct {
    const char *name;
    void (*apply)(void);
} corruptions[] = {
    CORRUPTION(corrupt_free_next_to_nowhere),
    CORRUPTION(corrupt_free_next_out_of_range),
    CORRUPTION(corrupt_free_prev),
    CORRUPTION(corrupt_free_prev_out_of_range),
    CORRUPTION(corrupt_free_count),
    CORRUPTION(corrupt_free_order_up),
    CORRUPTION(corrupt_free_order_down),
    CORRUPTION(corrupt_free_into_taken),
    CORRUPTION(corrupt_taken_into_free),
    CORRUPTION(corrupt_taken_order),
    CORRUPTION(corrupt_taken_kind),
    CORRUPTION(corrupt_taken_state),
    CORRUPTION(corrupt_taken_prev),
    CORRUPTION(corrupt_taken_next),
    CORRUPTION(corrupt_taken_next_out_of_range),
    CORRUPTION(corrupt_held_prev),
    CORRUPTION(corrupt_held_count),
    CORRUPTION(corrupt_held_next),
    CORRUPTION(corrupt_held_into_taken),
    CORRUPTION(corrupt_inside_kind),
    CORRUPTION(corrupt_inside_count),
    CORRUPTION(corrupt_inside_next),
    CORRUPTION(corrupt_inside_prev),
    CORRUPTION(corrupt_first_into_inside),
    CORRUPTION(corrupt_loose_count),
    CORRUPTION(corrupt_loose_prev),
    CORRUPTION(corrupt_loose_order),
    CORRUPTION(corrupt_loose_into_taken),
    CORRUPTION(corrupt_loose_next_out_of_range),
    CORRUPTION(corrupt_loose_next_to_a_larger_block),
    CORRUPTION(corrupt_loose_ring),
    CORRUPTION(corrupt_loose_head_out_of_range),
    CORRUPTION(corrupt_loose_head_lost),
    CORRUPTION(corrupt_loose_frame_lost),
    CORRUPTION(corrupt_single_held),
    CORRUPTION(corrupt_loose_into_held),
    CORRUPTION(corrupt_available),
    CORRUPTION(corrupt_above),
    CORRUPTION(corrupt_held_below_what_is_set_aside),
    CORRUPTION(corrupt_mergers),
    CORRUPTION(corrupt_held),
    CORRUPTION(corrupt_frame_count),
    CORRUPTION(corrupt_order_bit_set),
    CORRUPTION(corrupt_order_bit_beyond_the_last),
    CORRUPTION(corrupt_order_bit_clear),
    CORRUPTION(corrupt_head_lost),
    CORRUPTION(corrupt_unmerged),
    CORRUPTION(corrupt_ring_without_a_list),
    CORRUPTION(corrupt_ring_beside_a_list),
};

TEST_EACH(check_of_a_corrupt_pool_is_false, COUNT(corruptions))
{
    set_scene();
    corruptions[_i].apply();
    ck_assert_msg(!frame_pool_check(&pool), "%s", corruptions[_i].name);
}
