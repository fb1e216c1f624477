#include "tests/bench/scale.h"

#include "tests/bench/bench.h"
#include "tests/bench/bench_guest.h"

#define ENTRIES 512
#define PAGES_OF_BLOCK 512
#define RAM_PAGES (UINT64_C(128) * 1024) /* of each of the thousand: 512 MiB */
#define FRAMES_OF_GUEST 16
#define NODES_OF_GUEST 4
#define FLAGS (S2_READ | S2_WRITE)

/* Time from here to lap_end(). */
static uint64_t lap_start;

static void lap_begin(void)
{
    lap_start = bench_clock();
}

static uint64_t lap_end(void)
{
    return bench_clock() - lap_start;
}

/* --- One table ------------------------------------------------------------------------------- */

enum table_step { TABLE_MAP, TABLE_LOOK, TABLE_PROTECT, TABLE_UNMAP };

static struct guest_pool pool;
static struct s2_table table;

static void make_table(uint64_t tables)
{
    const struct s2_config config = guest_config(S2_HARDWARE_UPDATE_NONE);

    guest_pool_init(&pool, (size_t)(tables + tables / ENTRIES + 64));
    guest_must(s2_table_init(&table, &config, &pool.pool));
    s2_table_set_vmid(&table, 1);
}

static void end_table(void)
{
    bench_must(s2_table_check(&table), "the table is not sound");
    guest_must(s2_table_fini(&table));
    guest_pool_fini(&pool);
}

/* Each leaf of @leaf pages once. */
static void look_at_all(uint64_t pages, uint64_t leaf)
{
    for (uint64_t page = 0; page < pages; page += leaf) {
        bench_must(guest_translates(&table, page, guest_pa(page)), "not mapped there");
    }
}

/* All of @pages in leaves of @leaf, by one call a step. */
static void run_table(uint64_t pages, uint64_t leaf, mapping_flags_t cap,
                      struct scale_figures *figures)
{
    const struct ipa_range all = guest_pages(0, pages);

    lap_begin();
    guest_must(s2_table_map(&table, all, guest_pa(0), FLAGS | cap));
    figures->ns[TABLE_MAP] = lap_end();
    figures->frames = s2_table_frame_count(&table);
    lap_begin();
    look_at_all(pages, leaf);
    figures->ns[TABLE_LOOK] = lap_end();
    lap_begin();
    guest_must(s2_table_protect(&table, all, S2_READ));
    figures->ns[TABLE_PROTECT] = lap_end();
    bench_must(guest_has_flags(&table, pages - 1, S2_READ), "not protected");
    lap_begin();
    guest_must(s2_table_unmap(&table, all));
    figures->ns[TABLE_UNMAP] = lap_end();
    bench_must(guest_has_hole(&table, pages - 1), "not unmapped");
}

static void run_blocks(uint64_t n, struct scale_figures *figures)
{
    make_table(n / ENTRIES);
    run_table(n * PAGES_OF_BLOCK, PAGES_OF_BLOCK, S2_CAP_LEVEL2, figures);
    end_table();
}

static void run_pages(uint64_t n, struct scale_figures *figures)
{
    make_table(n / ENTRIES);
    run_table(n, 1, S2_CAP_PAGES, figures);
    end_table();
}

const struct scale_scene scale_blocks = {
    .name = "1 TiB in blocks of 2 MiB",
    .things = "blocks",
    .small = 512,
    .large = 524288,
    .steps = {"map", "translate each", "protect", "unmap"},
    .run = run_blocks,
};

const struct scale_scene scale_pages = {
    .name = "64 GiB in pages",
    .things = "pages",
    .small = GUEST_PAGES_OF_GIB / 8,
    .large = 64 * GUEST_PAGES_OF_GIB,
    .steps = {"map", "translate each", "protect", "unmap"},
    .run = run_pages,
};

/* --- Guests ---------------------------------------------------------------------------------- */

enum guests_step { GUESTS_MAKE, GUESTS_SHRINK, GUESTS_LOOK, GUESTS_END };

static struct s2_space *spaces;

static void make_guest(uint64_t i, struct memory_node nodes[])
{
    const struct s2_space_config config = {
        .table = guest_config(S2_HARDWARE_UPDATE_NONE),
        .table_pool = &pool.pool,
        .nodes = nodes,
        .node_count = NODES_OF_GUEST,
        .vmid = (uint16_t)(i + 1),
    };

    guest_must(s2_space_init(&spaces[i], &config));
    guest_must(
        s2_space_map_linear(&spaces[i], guest_pages(0, RAM_PAGES), guest_pa(i * RAM_PAGES), FLAGS));
}

static uint64_t frames_in_use(void)
{
    return pool.frame_count - frame_pool_available(&pool.pool);
}

static void look_at_guests(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        const struct s2_table *own = s2_space_table(&spaces[i]);

        bench_must(guest_has_hole(own, i) &&
                       guest_translates(own, i + 1, guest_pa(i * RAM_PAGES + i + 1)),
                   "a guest is not as it was made");
    }
}

static void run_guests(uint64_t n, struct scale_figures *figures)
{
    struct memory_node *nodes = bench_memory(n * NODES_OF_GUEST * sizeof(*nodes));

    guest_pool_init(&pool, (size_t)(n * FRAMES_OF_GUEST));
    spaces = bench_memory(n * sizeof(*spaces));
    lap_begin();
    for (uint64_t i = 0; i < n; i++) {
        make_guest(i, nodes + i * NODES_OF_GUEST);
    }
    figures->ns[GUESTS_MAKE] = lap_end();
    lap_begin();
    for (uint64_t i = 0; i < n; i++) {
        guest_must(s2_space_unmap(&spaces[i], guest_page(i)));
    }
    figures->ns[GUESTS_SHRINK] = lap_end();
    figures->frames = frames_in_use();
    figures->node_bytes = n * NODES_OF_GUEST * sizeof(*nodes);
    lap_begin();
    look_at_guests(n);
    figures->ns[GUESTS_LOOK] = lap_end();
    lap_begin();
    for (uint64_t i = 0; i < n; i++) {
        guest_must(s2_space_fini(&spaces[i]));
    }
    figures->ns[GUESTS_END] = lap_end();
    guest_pool_fini(&pool);
    bench_free(spaces);
    bench_free(nodes);
}

const struct scale_scene scale_guests = {
    .name = "1,000 guests on one pool",
    .things = "guests",
    .small = 10,
    .large = 1000,
    .steps = {"make, with 512 MiB", "take a page away", "look", "end"},
    .run = run_guests,
};

/* --- Areas ----------------------------------------------------------------------------------- */

enum areas_step { AREAS_MAP, AREAS_LOOK, AREAS_PROTECT, AREAS_UNMAP };

static struct s2_space space;

static void look_at_areas(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        struct s2_leaf leaf;

        guest_must(s2_space_lookup(&space, guest_page(2 * i).start, &leaf));
        bench_must(pa_eq(leaf.pa, guest_pa(4 * n - i)), "an area is not where it was put");
    }
}

static void run_areas(uint64_t n, struct scale_figures *figures)
{
    struct memory_node *nodes = bench_memory(n * sizeof(*nodes));
    const struct s2_space_config config = {
        .table = guest_config(S2_HARDWARE_UPDATE_NONE),
        .table_pool = &pool.pool,
        .nodes = nodes,
        .node_count = (size_t)n,
        .vmid = 1,
    };
    const struct ipa_range all = guest_pages(0, 2 * n);

    guest_pool_init(&pool, (size_t)(2 * n / ENTRIES + 2 * n / ENTRIES / ENTRIES + 64));
    guest_must(s2_space_init(&space, &config));
    lap_begin();
    for (uint64_t i = 0; i < n; i++) {
        guest_must(s2_space_map_linear(&space, guest_page(2 * i), guest_pa(4 * n - i), FLAGS));
    }
    figures->ns[AREAS_MAP] = lap_end();
    figures->frames = frames_in_use();
    figures->node_bytes = n * sizeof(*nodes);
    lap_begin();
    look_at_areas(n);
    figures->ns[AREAS_LOOK] = lap_end();
    lap_begin();
    guest_must(s2_space_protect(&space, all, S2_READ));
    figures->ns[AREAS_PROTECT] = lap_end();
    bench_must(s2_space_check(&space), "areas and tables disagree");
    lap_begin();
    guest_must(s2_space_unmap(&space, all));
    figures->ns[AREAS_UNMAP] = lap_end();
    bench_must(memory_set_is_empty(s2_space_areas(&space)), "an area is left");
    guest_must(s2_space_fini(&space));
    guest_pool_fini(&pool);
    bench_free(nodes);
}

const struct scale_scene scale_areas = {
    .name = "1,000,000 areas in one space",
    .things = "areas",
    .small = 1000,
    .large = 1000000,
    .steps = {"map, one by one", "look up each", "protect all at once", "unmap all at once"},
    .run = run_areas,
};
