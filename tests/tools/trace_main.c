/*
 * trace_main.c - write build/trace.log: two guests whose memory is mapped, split, protected,
 * folded, replaced, unmapped and destroyed by two CPUs, as a trace for casemate-check.
 *
 *   trace FILE [--batches] [--drop tlbi|dsb|break [N]]
 *
 * Without --batches every operation stores at most once to a live tree before its DSB, which is all
 * that Casemate's check of locks and memory orders allows: for "casemate-check FILE". With it, what
 * one flush stands for is many stores, as is this library's way: for "casemate-check -R FILE".
 *
 * --drop has the machine swallow one event that should have reached it: the first TLBI, the middle
 * DSB or the break of the first block that is split; or with N the N-th of its sort, from 1 on, in
 * the whole run. Exit code 2: there is no N-th. Casemate then has to complain.
 *
 * What Casemate cannot follow is kept out: 4K granule; a root of one whole table, so 39 bits of
 * input; one VTCR_EL2 for all; no run, no TLBI by range; no table that is emptied entry by entry
 * and unlinked by one operation (it wants the entries clean before the link goes, though one
 * VMALLS12E1IS after both is enough).
 */
#include "stage2/arch/arch.h"
#include "stage2/trestle.h"
#include "tests/sim/memory.h"
#include "tests/sim/sim.h"
#include "tests/sim/trace.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define K UINT64_C(1024)
#define M (K * K)
#define G (K * M)

#define POOL_BASE (2 * G) /* the tables' frames */
#define POOL_FRAMES 64
#define NODES 32

#define RAM (S2_READ | S2_WRITE | S2_EXEC)
#define ROM (S2_READ | S2_EXEC)
#define REGISTERS (S2_READ | S2_WRITE | S2_DEVICE_nGnRE)

struct guest {
    struct s2_space space;
    struct memory_node nodes[NODES];
    uint64_t lock; /* what Casemate is told that its lock is called */
};

enum drop_sort { DROP_NOTHING, DROP_TLBI, DROP_DSB, DROP_BREAK };

/* Which event is swallowed. */
struct drop {
    enum drop_sort sort;
    const char *step; /* NULL: in any */
    size_t number;    /* from 1 on */
    size_t seen;
};

struct world {
    struct sim_memory memory;
    struct frame_pool pool;
    struct trace trace;
    struct drop drop;
    struct guest a, b;
    struct guest idle; /* what a CPU has loaded that runs no guest: nothing is mapped */
};

static void require(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "trace: %s\n", what);
        exit(EXIT_FAILURE);
    }
}

/* --- Swallowing ------------------------------------------------------------------------------ */

static bool is_of_sort(enum drop_sort sort, const struct sim_event *event)
{
    switch (sort) {
    case DROP_NOTHING:
        return false;
    case DROP_TLBI:
        return sim_is_tlbi(event->kind);
    case DROP_DSB:
        return event->kind == SIM_DSB_ISH;
    case DROP_BREAK:
        return event->kind >= SIM_STORE && event->kind <= SIM_REPLACE && (event->old & 1) == 1 &&
               (event->new & 1) == 0;
    }
    return false;
}

static bool swallow(void *arg, const struct sim_event *event)
{
    struct world *world = arg;
    struct drop *drop = &world->drop;

    if (!is_of_sort(drop->sort, event) ||
        (drop->step != NULL && strcmp(drop->step, world->trace.step) != 0)) {
        return false;
    }
    drop->seen++;
    return drop->seen == drop->number;
}

/* --- Guests ---------------------------------------------------------------------------------- */

static const struct s2_features cpu = {
    .pa_bits = 40,
    .granule_4k = S2_GRANULE_48_BITS,
    .vmid_bits = 16,
    .has_xnx = true,
    .has_fwb = true,
    .has_ttl = true,
    .dcache_line = 64,
};

static pa_t root_of(const struct guest *guest)
{
    const uint64_t vttbr = s2_table_vttbr(s2_space_table(&guest->space));

    return pa_of(vttbr & MAPPING_FIELD(47, 1));
}

static void create(struct world *world, struct guest *guest, uint16_t vmid)
{
    const struct s2_space_config config = {
        .table = {.cpu = &cpu,
                  .granule = S2_GRANULE_4K,
                  .ipa_bits = 39,
                  .contiguous = S2_CONTIGUOUS_OFF},
        .table_pool = &world->pool,
        .nodes = guest->nodes,
        .node_count = NODES,
        .vmid = vmid,
    };

    require(s2_space_init(&guest->space, &config) == MAPPING_OK, "a guest was refused");
    guest->lock = UINT64_C(0x1000) + vmid;
    trace_root(&world->trace, root_of(guest), guest->lock);
}

/* What a hypervisor does on its way into a guest. */
static void load(size_t number, const struct guest *guest)
{
    const struct s2_table *table = s2_space_table(&guest->space);

    sim_set_cpu(number);
    arch_write_vtcr(s2_table_vtcr(table));
    arch_write_hcr(s2_table_hcr(table));
    arch_write_vttbr(s2_table_vttbr(table));
    arch_isb();
}

static void begin(struct world *world, struct guest *guest, const char *step)
{
    trace_step(&world->trace, step);
    trace_lock(&world->trace, root_of(guest), guest->lock);
}

static void end(struct world *world, const struct guest *guest, enum mapping_error error)
{
    if (error != MAPPING_OK) {
        fprintf(stderr, "trace: %s: %s\n", world->trace.step, mapping_error_name(error));
        exit(EXIT_FAILURE);
    }
    trace_unlock(&world->trace, guest->lock);
    trace_returned(&world->trace, &world->pool);
}

static void destroy(struct world *world, struct guest *guest, const char *step)
{
    const pa_t root = root_of(guest);

    require(world->drop.sort != DROP_NOTHING || s2_space_check(&guest->space),
            "areas and tables disagree");
    begin(world, guest, step);
    require(s2_space_fini(&guest->space) == MAPPING_OK, "the guest does not end");
    trace_unlock(&world->trace, guest->lock);
    trace_release(&world->trace, root);
    trace_returned(&world->trace, &world->pool);
}

/* --- Verbs ----------------------------------------------------------------------------------- */

static void map(struct world *world, struct guest *guest, const char *step, struct ipa_range range,
                uint64_t pa, mapping_flags_t flags)
{
    begin(world, guest, step);
    end(world, guest, s2_space_map_linear(&guest->space, range, pa_of(pa), flags));
}

static void replace(struct world *world, struct guest *guest, const char *step,
                    struct ipa_range range, uint64_t pa)
{
    begin(world, guest, step);
    end(world, guest, s2_space_replace_linear(&guest->space, range, pa_of(pa), RAM));
}

static void unmap(struct world *world, struct guest *guest, const char *step,
                  struct ipa_range range)
{
    begin(world, guest, step);
    end(world, guest, s2_space_unmap(&guest->space, range));
}

static void protect(struct world *world, struct guest *guest, const char *step,
                    struct ipa_range range, mapping_flags_t flags)
{
    begin(world, guest, step);
    end(world, guest, s2_space_protect(&guest->space, range, flags));
}

static void fold(struct world *world, struct guest *guest, const char *step, struct ipa_range range)
{
    begin(world, guest, step);
    end(world, guest, s2_space_fold(&guest->space, range));
}

/* --- The story ------------------------------------------------------------------------------- */

/* CPU 0 runs guest a, CPU 1 guest b. */
static void power_on(struct world *world)
{
    trace_step(&world->trace, "create");
    create(world, &world->idle, 1);
    create(world, &world->a, 2);
    create(world, &world->b, 3);
    trace_step(&world->trace, "load");
    load(0, &world->idle);
    load(1, &world->idle);
    load(0, &world->a);
    load(1, &world->b);
    sim_set_cpu(0);
}

/* The guest that is running: 1 GiB in one block, split, filled and folded again. */
static void change_own(struct world *world)
{
    struct guest *a = &world->a;
    const struct ipa_range hole = ipa_range(1 * G + 5 * M, 4 * K);

    map(world, a, "map", ipa_range(1 * G, 1 * G), 4 * G, RAM);
    unmap(world, a, "split", hole);
    protect(world, a, "protect", ipa_range(1 * G + 4 * M, 4 * K), ROM);
    protect(world, a, "relax", ipa_range(1 * G + 4 * M, 4 * K), RAM);
    protect(world, a, "retype", ipa_range(1 * G + 8 * M, 2 * M), REGISTERS);
    protect(world, a, "retype back", ipa_range(1 * G + 8 * M, 2 * M), RAM);
    map(world, a, "fill the hole", hole, 4 * G + 5 * M, RAM);
    fold(world, a, "fold pages", ipa_range(1 * G + 4 * M, 2 * M));
    fold(world, a, "fold blocks", ipa_range(1 * G, 1 * G));
    replace(world, a, "replace", ipa_range(1 * G, 1 * G), 6 * G);
}

/* Another guest, whose VMID the CPU has to take on for each flush: by CPU 0 first, while CPU 1 runs
 * it, then by CPU 1 itself. */
static void change_other(struct world *world)
{
    struct guest *b = &world->b;
    const struct ipa_range block = ipa_range(1 * G + 6 * M, 2 * M);
    const struct ipa_range page = ipa_range(1 * G + 7 * M, 4 * K);

    map(world, b, "map other", ipa_range(1 * G, 1 * G), 16 * G, RAM);
    protect(world, b, "split other", block, ROM);
    protect(world, b, "split other again", page, RAM);
    sim_set_cpu(1);
    protect(world, b, "retype by cpu 1", page, REGISTERS);
    protect(world, b, "retype back by cpu 1", page, ROM);
    fold(world, b, "fold by cpu 1", block);
    sim_set_cpu(0);
    protect(world, b, "protect other back", block, RAM);
    fold(world, b, "fold other", ipa_range(1 * G, 1 * G));
}

/* Give a page back that was split out, so that all is one area again, but not one block. */
static void fill(struct world *world, struct guest *guest, struct ipa_range page, uint64_t pa)
{
    map(world, guest, "fill", page, pa, RAM | S2_CAP_LEVEL2);
    fold(world, guest, "merge", page);
}

/* Tables that are unlinked whole, with all below them; their frames serve again. */
static void unlink_tables(struct world *world)
{
    struct guest *a = &world->a;
    const struct ipa_range blocks = ipa_range(2 * G, 1 * G);
    const struct ipa_range block = ipa_range(2 * G + 6 * M, 2 * M);
    const struct ipa_range page = ipa_range(2 * G + 7 * M, 4 * K);

    map(world, a, "map blocks", blocks, 8 * G, RAM | S2_CAP_LEVEL2);
    unmap(world, a, "split a block", page);
    fill(world, a, page, 8 * G + 7 * M);
    unmap(world, a, "unmap a table", block);
    fill(world, a, block, 8 * G + 6 * M);
    unmap(world, a, "split a block again", page);
    fill(world, a, page, 8 * G + 7 * M);
    unmap(world, a, "unmap a tree", blocks);
}

/* One flush for many stores, in the guest that is running. */
static void change_own_batches(struct world *world)
{
    struct guest *a = &world->a;
    const struct ipa_range across = ipa_range(5 * G - 4 * K, 1 * G + 8 * K);
    const struct ipa_range many = ipa_range(4 * G + 16 * M, 64 * M);
    const struct ipa_range part = ipa_range(6 * G + 7 * M, 4 * M);

    map(world, a, "map three blocks", ipa_range(4 * G, 3 * G), 20 * G, RAM);
    unmap(world, a, "split two blocks", across);
    map(world, a, "map across", across, 21 * G - 4 * K, RAM);
    protect(world, a, "split and protect", ipa_range(4 * G + 3 * M, 8 * M), ROM);
    protect(world, a, "retype many", ipa_range(4 * G + 1 * M, 8 * M), REGISTERS);
    unmap(world, a, "unmap many", many);
    map(world, a, "map many", many, 20 * G + 16 * M, RAM);
    replace(world, a, "replace a part", part, 40 * G + 4 * K);
    replace(world, a, "replace it back", part, 22 * G + 7 * M);
    protect(world, a, "protect all", ipa_range(4 * G, 1 * G), RAM);
    fold(world, a, "fold two levels", ipa_range(4 * G, 3 * G));
}

/* And in the other one. */
static void change_other_batches(struct world *world)
{
    struct guest *b = &world->b;
    const struct ipa_range blocks = ipa_range(2 * G, 1 * G);
    const struct ipa_range pages = ipa_range(2 * G + 1 * M, 2 * M);

    map(world, b, "map other blocks", blocks, 44 * G, RAM | S2_CAP_LEVEL2);
    protect(world, b, "protect across", pages, ROM);
    protect(world, b, "retype across", pages, REGISTERS);
    unmap(world, b, "unmap across", pages);
    map(world, b, "map back", pages, 44 * G + 1 * M, RAM | S2_CAP_LEVEL2);
    fold(world, b, "fold one level", blocks);
    protect(world, b, "protect across again", pages, ROM);
    protect(world, b, "protect back", pages, RAM | S2_CAP_LEVEL2);
    fold(world, b, "merge other", pages);
}

static void power_off(struct world *world)
{
    trace_step(&world->trace, "unload");
    load(1, &world->idle);
    load(0, &world->idle);
    destroy(world, &world->a, "destroy");
    sim_set_cpu(1);
    destroy(world, &world->b, "destroy other");
    require(frame_pool_available(&world->pool) == POOL_FRAMES - 1, "frames are missing");
}

static void tell(struct world *world, FILE *out, bool has_batches)
{
    sim_reset();
    sim_set_log(SIM_LOG_COUNT);
    sim_set_swallow(swallow, world);
    sim_memory_init(&world->memory, 12);
    sim_memory_add(&world->memory, pa_of(POOL_BASE), POOL_FRAMES);
    sim_memory_pool(&world->memory, &world->pool);
    trace_init(&world->trace, &world->memory, out);
    power_on(world);
    change_own(world);
    change_other(world);
    unlink_tables(world);
    if (has_batches) {
        change_own_batches(world);
        change_other_batches(world);
    }
    power_off(world);
    require(trace_lost(&world->trace) == 0, "events that Casemate does not know");
    trace_fini(&world->trace);
    sim_memory_fini(&world->memory);
}

/* --- The command line ------------------------------------------------------------------------ */

static struct drop parse_drop(const char *sort, const char *number)
{
    static const struct {
        const char *name;
        struct drop drop;
    } drops[] = {
        {"tlbi", {DROP_TLBI, "split", 1, 0}},
        {"dsb", {DROP_DSB, "split", 2, 0}},
        {"break", {DROP_BREAK, "split", 1, 0}},
    };

    for (size_t i = 0; sort != NULL && i < sizeof(drops) / sizeof(drops[0]); i++) {
        if (strcmp(sort, drops[i].name) == 0) {
            struct drop drop = drops[i].drop;

            if (number != NULL) {
                drop.step = NULL;
                drop.number = (size_t)strtoul(number, NULL, 10);
            }
            return drop;
        }
    }
    require(false, "--drop what: tlbi, dsb or break?");
    return drops[0].drop;
}

int main(int argc, char *argv[])
{
    static struct world world;
    bool has_batches = false;
    FILE *out;
    int i = 2;

    require(argc > 1, "usage: trace FILE [--batches] [--drop tlbi|dsb|break [N]]");
    if (i < argc && strcmp(argv[i], "--batches") == 0) {
        has_batches = true;
        i++;
    }
    if (i < argc) {
        require(strcmp(argv[i], "--drop") == 0 && argc <= i + 3, "no such argument");
        /* argv ends with a NULL, which is what parse_drop takes for one that is not given. */
        world.drop = parse_drop(argv[i + 1], argv[i + 1] == NULL ? NULL : argv[i + 2]);
    }
    out = fopen(argv[1], "w");
    require(out != NULL, "the file cannot be written");
    tell(&world, out, has_batches);
    require(ferror(out) == 0 && fclose(out) == 0, "the file was not written");
    return world.drop.seen < world.drop.number ? 2 : EXIT_SUCCESS;
}
