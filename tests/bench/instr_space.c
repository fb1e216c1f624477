/*
 * instr_space.c - what the verbs of a space cost: single pages among 1,000 areas, or 100,000.
 *
 * Every second page of a stretch is an area of its own. Areas do not join, as each has a page of
 * nothing behind it.
 */
#include "tests/bench/instr.h"

#define POOL_FRAMES 4096
#define AREAS 1000
#define AREAS_MANY 100000
#define SINGLES UINT64_C(512)
#define RW (S2_READ | S2_WRITE)

static struct s2_space space;
static struct frame_pool pool;
static struct memory_node nodes[AREAS_MANY + 1024];

static struct ipa_range area_at(uint64_t i)
{
    return ipa_range(GUEST_IPA + 2 * i * PAGE, PAGE);
}

static void map_area(uint64_t i)
{
    instr_must(s2_space_map_linear(&space, area_at(i),
                                   pa_of(GUEST_PA + instr_shuffled(i, 1 << 20) * PAGE), RW),
               "map");
}

static void with_areas(uint64_t count)
{
    instr_space_init(&space, &pool, POOL_FRAMES, nodes, sizeof(nodes) / sizeof(nodes[0]));
    for (uint64_t i = 0; i < count; i++) {
        map_area(i);
    }
}

static void with_1000(void)
{
    with_areas(AREAS);
}

/* Every one of the first so many areas but the first of each table, in random order. */
static uint64_t single(uint64_t i)
{
    return instr_shuffled(i, SINGLES) | 1;
}

static void unmap_singles(void)
{
    for (uint64_t i = 0; i < SINGLES / 2; i++) {
        instr_must(s2_space_unmap(&space, area_at(single(2 * i + 1))), "unmap");
    }
}

static void map_singles(void)
{
    for (uint64_t i = 0; i < SINGLES / 2; i++) {
        map_area(single(2 * i + 1));
    }
}

static void with_gaps(void)
{
    with_1000();
    unmap_singles();
}

static void protect_singles(void)
{
    for (uint64_t i = 0; i < SINGLES / 2; i++) {
        instr_must(s2_space_protect(&space, area_at(single(2 * i + 1)), S2_READ), "protect");
    }
}

static void look_up(void)
{
    for (uint64_t i = 0; i < SINGLES; i++) {
        struct s2_leaf leaf;

        instr_must(s2_space_lookup(&space, area_at(instr_shuffled(i, SINGLES)).start, &leaf),
                   "lookup");
    }
}

static void with_100000(void)
{
    with_areas(AREAS_MANY);
}

static void fold_page(void)
{
    instr_must(s2_space_fold(&space, area_at(AREAS_MANY / 2)), "fold");
}

static void with_pages_of_a_gib(void)
{
    with_areas(0);
    instr_must(s2_space_map_linear(&space, ipa_range(GUEST_IPA, GIB), pa_of(GUEST_PA),
                                   RW | S2_CAP_PAGES | S2_NO_CONTIGUOUS),
               "map");
}

static void audit_pages(void)
{
    static uint64_t words[GIB_PAGES / 64];
    static struct s2_space *const spaces[] = {&space};
    const struct s2_audit_range forbidden = {pa_of(0), GIB};
    struct s2_audit audit = {
        .spaces = spaces,
        .space_count = 1,
        .forbidden = &forbidden,
        .forbidden_count = 1,
        .map = {.base = pa_of(GUEST_PA), .page_count = GIB_PAGES, .words = words},
    };

    instr_must(s2_audit(&audit), "audit");
}

const struct instr_case INSTR_SPACE[] = {
    {"space.map_page", 1100, 0, SINGLES / 2, with_gaps, map_singles},
    {"space.unmap_page", 1300, 0, SINGLES / 2, with_1000, unmap_singles},
    {"space.protect_page", 900, 0, SINGLES / 2, with_1000, protect_singles},
    {"space.lookup", 150, 0, SINGLES, with_1000, look_up},
    {"space.fold_page_1e5", 1500, 0, 1, with_100000, fold_page},
    {"space.audit", 30, 0, GIB_PAGES, with_pages_of_a_gib, audit_pages},
    {NULL, 0, 0, 0, NULL, NULL},
};
