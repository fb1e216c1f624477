/*
 * instr_growth.c - how the verbs of sets and spaces grow with the number of areas.
 *
 * Every second page of a stretch is an area, as in instr_space.c. Each verb goes through 1,000 of
 * them anywhere, in a function of its own, so that callgrind tells them apart.
 */
#include "tests/bench/instr.h"

#define AREAS_MAX 1000000
#define CALLS 1000
#define POOL_FRAMES 8192
#define RW (S2_READ | S2_WRITE)

static struct s2_space space;
static struct frame_pool pool;
static struct memory_node nodes[AREAS_MAX];
static uint64_t area_count;

#define GROWTH __attribute__((noinline)) void

GROWTH growth_set_find(void);
GROWTH growth_set_find_free(void);
GROWTH growth_space_map(void);
GROWTH growth_space_unmap(void);
GROWTH growth_space_protect(void);
GROWTH growth_space_lookup(void);
GROWTH growth_space_fold(void);

/* The @i-th area of those that are gone through: anywhere, each once. */
static uint64_t chosen(uint64_t i)
{
    return i * UINT64_C(7919) % area_count;
}

static struct ipa_range area_at(uint64_t i)
{
    return ipa_range(GUEST_IPA + 2 * i * PAGE, PAGE);
}

static void map_area(uint64_t i)
{
    instr_must(s2_space_map_linear(&space, area_at(i), pa_of(GUEST_PA + i * PAGE), RW), "map");
}

static void with_areas(uint64_t count)
{
    static struct s2_features cpu;
    const struct s2_space_config config = {
        .table = {.cpu = &cpu, .granule = S2_GRANULE_4K, .ipa_bits = 40},
        .table_pool = &pool,
        .nodes = nodes,
        .node_count = AREAS_MAX,
        .vmid = 1,
    };

    cpu = instr_cpu();
    area_count = count;
    instr_pool_init(&pool, S2_GRANULE_4K, POOL_FRAMES);
    instr_must(s2_space_init(&space, &config), "space");
    for (uint64_t i = 0; i < count; i++) {
        map_area(i);
    }
}

static void with_1e3(void)
{
    with_areas(1000);
}

static void with_1e6(void)
{
    with_areas(1000000);
}

GROWTH growth_set_find(void)
{
    for (uint64_t i = 0; i < CALLS; i++) {
        const ipa_t addr = area_at(chosen(i)).start;

        instr_must_be(memory_set_find(s2_space_areas(&space), addr) != NULL, "find");
    }
}

GROWTH growth_set_find_free(void)
{
    const struct ipa_range limit = ipa_range(0, UINT64_C(1) << 40);

    for (uint64_t i = 0; i < CALLS; i++) {
        const ipa_t hint = area_at(chosen(i)).start;
        ipa_t start;

        instr_must(memory_set_find_free(s2_space_areas(&space), hint, PAGE, PAGE, limit, &start),
                   "find_free");
    }
}

GROWTH growth_space_unmap(void)
{
    for (uint64_t i = 0; i < CALLS; i++) {
        instr_must(s2_space_unmap(&space, area_at(chosen(i))), "unmap");
    }
}

GROWTH growth_space_map(void)
{
    for (uint64_t i = 0; i < CALLS; i++) {
        map_area(chosen(i));
    }
}

GROWTH growth_space_protect(void)
{
    for (uint64_t i = 0; i < CALLS; i++) {
        instr_must(s2_space_protect(&space, area_at(chosen(i)), S2_READ), "protect");
    }
}

GROWTH growth_space_lookup(void)
{
    for (uint64_t i = 0; i < CALLS; i++) {
        struct s2_leaf leaf;

        instr_must(s2_space_lookup(&space, area_at(chosen(i)).start, &leaf), "lookup");
    }
}

GROWTH growth_space_fold(void)
{
    for (uint64_t i = 0; i < CALLS; i++) {
        instr_must(s2_space_fold(&space, area_at(chosen(i))), "fold");
    }
}

static void all_verbs(void)
{
    growth_set_find();
    growth_set_find_free();
    growth_space_protect();
    growth_space_lookup();
    growth_space_fold();
    growth_space_unmap();
    growth_space_map();
}

const struct instr_case INSTR_GROWTH[] = {
    {"growth.1e3", 0, 0, CALLS, with_1e3, all_verbs},
    {"growth.1e6", 0, 0, CALLS, with_1e6, all_verbs},
    {NULL, 0, 0, 0, NULL, NULL},
};
