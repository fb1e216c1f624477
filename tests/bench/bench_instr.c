/*
 * bench_instr.c - what the verbs of a table cost, in instructions.
 *
 * Run under callgrind, which counts what happens inside the functions named bench_*: one case a
 * run, so that the count is that case's alone. Without callgrind it just works and says what it
 * did. tests/tools/bench_instr.sh drives it.
 */
#include "stage2/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIB (UINT64_C(1) << 30)
#define POOL_FRAMES 8192
#define GUEST_IPA (UINT64_C(4) * GIB)
#define GUEST_PA (UINT64_C(64) * GIB)

struct bench {
    struct s2_table table;
    struct frame_pool pool;
    enum s2_granule granule;
    uint64_t pages;
};

static struct frame_info infos[POOL_FRAMES];

/* A CPU of 48 bits with every granule and nothing that would change an instruction count. */
static const struct s2_features CPU = {
    .pa_bits = 48,
    .granule_4k = S2_GRANULE_48_BITS,
    .granule_16k = S2_GRANULE_48_BITS,
    .granule_64k = S2_GRANULE_48_BITS,
    .vmid_bits = 16,
    .has_fwb = true,
    .has_dic = true,
    .has_idc = true,
    .dcache_line = 64,
};

static void must(enum mapping_error error, const char *what)
{
    if (error != MAPPING_OK) {
        fprintf(stderr, "bench: %s: %s\n", what, mapping_error_name(error));
        exit(EXIT_FAILURE);
    }
}

static void bench_init(struct bench *bench, enum s2_granule granule, enum s2_contiguous contiguous)
{
    const struct s2_config config = {
        .cpu = &CPU, .granule = granule, .ipa_bits = 48, .contiguous = contiguous};
    const size_t bytes = (size_t)POOL_FRAMES << granule;
    struct frame_region region = {.base = pa_of(GIB), .frame_count = POOL_FRAMES, .info = infos};

    region.memory = aligned_alloc((size_t)1 << granule, bytes);
    if (region.memory == NULL) {
        fprintf(stderr, "bench: no memory\n");
        exit(EXIT_FAILURE);
    }
    bench->granule = granule;
    bench->pages = GIB >> granule;
    must(frame_pool_init(&bench->pool, granule, &region, 1), "pool");
    must(s2_table_init(&bench->table, &config, &bench->pool), "table");
    s2_table_set_vmid(&bench->table, 1);
}

/* The measured parts. Global and not inlined, so that callgrind finds them by name. */
#define MEASURED __attribute__((noinline)) void

MEASURED bench_map(struct bench *bench);
MEASURED bench_protect(struct bench *bench);
MEASURED bench_unmap(struct bench *bench);
MEASURED bench_translate(struct bench *bench);

MEASURED bench_map(struct bench *bench)
{
    must(s2_table_map(&bench->table, ipa_range(GUEST_IPA, GIB), pa_of(GUEST_PA),
                      S2_READ | S2_WRITE | S2_EXEC | S2_CAP_PAGES),
         "map");
}

MEASURED bench_protect(struct bench *bench)
{
    must(s2_table_protect(&bench->table, ipa_range(GUEST_IPA, GIB), S2_READ | S2_EXEC), "protect");
}

MEASURED bench_unmap(struct bench *bench)
{
    must(s2_table_unmap(&bench->table, ipa_range(GUEST_IPA, GIB)), "unmap");
}

MEASURED bench_translate(struct bench *bench)
{
    for (uint64_t page = 0; page < bench->pages; page++) {
        pa_t pa;

        if (!s2_table_translate(&bench->table, ipa_of(GUEST_IPA + (page << bench->granule)), &pa) ||
            !pa_eq(pa, pa_of(GUEST_PA + (page << bench->granule)))) {
            must(MAPPING_NOT_FOUND, "translate");
        }
    }
}

/* --- Cases ----------------------------------------------------------------------------------- */

struct bench_case {
    const char *name;
    enum s2_granule granule;
    enum s2_contiguous contiguous;
    void (*run)(struct bench *bench);
};

static void run_protect(struct bench *bench)
{
    bench_map(bench);
    bench_protect(bench);
}

static void run_unmap(struct bench *bench)
{
    bench_map(bench);
    bench_unmap(bench);
}

static void run_translate(struct bench *bench)
{
    bench_map(bench);
    bench_translate(bench);
}

static const struct bench_case CASES[] = {
    {"table.map_4k_1g", S2_GRANULE_4K, S2_CONTIGUOUS_OFF, bench_map},
    {"table.protect_4k_1g", S2_GRANULE_4K, S2_CONTIGUOUS_OFF, run_protect},
    {"table.unmap_whole_1g", S2_GRANULE_4K, S2_CONTIGUOUS_OFF, run_unmap},
    {"table.translate_1g", S2_GRANULE_4K, S2_CONTIGUOUS_OFF, run_translate},
    {"table.map_4k_1g_runs", S2_GRANULE_4K, S2_CONTIGUOUS_ON, bench_map},
    {"table.protect_4k_1g_runs", S2_GRANULE_4K, S2_CONTIGUOUS_ON, run_protect},
    {"table.map_16k_1g", S2_GRANULE_16K, S2_CONTIGUOUS_OFF, bench_map},
    {"table.protect_16k_1g", S2_GRANULE_16K, S2_CONTIGUOUS_OFF, run_protect},
    {"table.map_64k_1g", S2_GRANULE_64K, S2_CONTIGUOUS_OFF, bench_map},
    {"table.protect_64k_1g", S2_GRANULE_64K, S2_CONTIGUOUS_OFF, run_protect},
};

#define CASE_COUNT (sizeof(CASES) / sizeof(CASES[0]))

/* bench_instr: the names of all cases, each with the items it counts.  bench_instr NAME: run it. */
int main(int argc, char **argv)
{
    static struct bench bench;

    for (size_t i = 0; i < CASE_COUNT; i++) {
        if (argc < 2) {
            printf("%s %llu\n", CASES[i].name, (unsigned long long)(GIB >> CASES[i].granule));
        } else if (strcmp(argv[1], CASES[i].name) == 0) {
            bench_init(&bench, CASES[i].granule, CASES[i].contiguous);
            CASES[i].run(&bench);
            return EXIT_SUCCESS;
        }
    }
    return argc < 2 ? EXIT_SUCCESS : EXIT_FAILURE;
}
