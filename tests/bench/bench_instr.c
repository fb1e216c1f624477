/*
 * bench_instr.c - what the verbs of a table cost: instructions, and TLBIs.
 *
 * Run under callgrind, which counts what happens inside the functions named bench_*: one case a
 * run, so that the count is that case's alone. Without callgrind it just works and says what it
 * did. TLBIs and flushes the table counts itself. tests/tools/bench_instr.sh drives it.
 */
#include "stage2/trestle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE (UINT64_C(1) << 12)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define POOL_FRAMES 8192
#define GUEST_IPA (UINT64_C(4) * GIB)
#define GUEST_PA (UINT64_C(64) * GIB)

struct bench {
    struct s2_table table;
    struct frame_pool pool;
    void *memory; /* the pool's */
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

static void bench_init(struct bench *bench, const struct s2_features *cpu, enum s2_granule granule,
                       enum s2_contiguous contiguous)
{
    const struct s2_config config = {
        .cpu = cpu, .granule = granule, .ipa_bits = 48, .contiguous = contiguous};
    const size_t bytes = (size_t)POOL_FRAMES << granule;
    struct frame_region region = {.base = pa_of(GIB), .frame_count = POOL_FRAMES, .info = infos};

    region.memory = aligned_alloc((size_t)1 << granule, bytes);
    if (region.memory == NULL) {
        fprintf(stderr, "bench: no memory\n");
        exit(EXIT_FAILURE);
    }
    bench->memory = region.memory;
    bench->granule = granule;
    bench->pages = GIB >> granule;
    must(frame_pool_init(&bench->pool, granule, &region, 1), "pool");
    must(s2_table_init(&bench->table, &config, &bench->pool), "table");
    s2_table_set_vmid(&bench->table, 1);
}

static void bench_fini(struct bench *bench)
{
    must(s2_table_fini(&bench->table), "fini");
    free(bench->memory);
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

/* --- TLBIs ----------------------------------------------------------------------------------- */

static struct ipa_range from_guest(uint64_t offset, uint64_t size)
{
    return ipa_range(GUEST_IPA + offset, size);
}

static void map_block(struct bench *bench)
{
    must(s2_table_map(&bench->table, from_guest(0, 2 * GIB), pa_of(GUEST_PA), S2_READ | S2_WRITE),
         "map");
}

/* With a page elsewhere under the same table of level 1, so that it stays. */
static void map_with_neighbour(struct bench *bench)
{
    bench_map(bench);
    must(s2_table_map(&bench->table, from_guest(8 * GIB, PAGE), pa_of(GUEST_PA + 8 * GIB),
                      S2_READ | S2_WRITE),
         "map");
}

static void write_protect_2m(struct bench *bench)
{
    must(s2_table_protect(&bench->table, from_guest(MIB, 2 * MIB), S2_READ | S2_EXEC), "protect");
}

static void split_page(struct bench *bench)
{
    must(s2_table_unmap(&bench->table, from_guest(3 * MIB, PAGE)), "split");
}

static void split_both_ends(struct bench *bench)
{
    must(s2_table_protect(&bench->table, from_guest(3 * MIB, GIB), S2_READ), "split");
}

struct tlbi_case {
    const char *name;
    unsigned tlb; /* s2_features.tlb: 2 has ranges */
    void (*prepare)(struct bench *bench);
    void (*run)(struct bench *bench);
};

static const struct tlbi_case TLBI_CASES[] = {
    {"tlbi.unmap_1g_of_pages", 2, map_with_neighbour, bench_unmap},
    {"tlbi.unmap_1g_of_pages_no_ranges", 0, map_with_neighbour, bench_unmap},
    {"tlbi.unmap_1g_of_pages_all_there_is", 2, bench_map, bench_unmap},
    {"tlbi.write_protect_2m_of_pages", 2, bench_map, write_protect_2m},
    {"tlbi.write_protect_2m_no_ranges", 0, bench_map, write_protect_2m},
    {"tlbi.split_page_of_1g", 2, map_block, split_page},
    {"tlbi.split_page_of_1g_no_ranges", 0, map_block, split_page},
    {"tlbi.split_both_ends", 2, map_block, split_both_ends},
    {"tlbi.split_both_ends_no_ranges", 0, map_block, split_both_ends},
};

#define TLBI_CASE_COUNT (sizeof(TLBI_CASES) / sizeof(TLBI_CASES[0]))

static uint64_t tlbis_of(const struct s2_tlb_counters *counters)
{
    return counters->by_address + counters->by_range + counters->stage1 + counters->whole;
}

/* Print its name, TLBIs and flushes. */
static void run_tlbi_case(struct bench *bench, const struct tlbi_case *one)
{
    struct s2_features cpu = CPU;
    struct s2_tlb_counters before, after;

    cpu.tlb = one->tlb;
    bench_init(bench, &cpu, S2_GRANULE_4K, S2_CONTIGUOUS_OFF);
    one->prepare(bench);
    before = *s2_table_tlb_counters(&bench->table);
    one->run(bench);
    after = *s2_table_tlb_counters(&bench->table);
    printf("%s %llu %llu\n", one->name, (unsigned long long)(tlbis_of(&after) - tlbis_of(&before)),
           (unsigned long long)(after.flushes - before.flushes));
    bench_fini(bench);
}

static int run_case(struct bench *bench, const char *name)
{
    for (size_t i = 0; i < CASE_COUNT; i++) {
        if (strcmp(name, CASES[i].name) == 0) {
            bench_init(bench, &CPU, CASES[i].granule, CASES[i].contiguous);
            CASES[i].run(bench);
            bench_fini(bench);
            return EXIT_SUCCESS;
        }
    }
    return EXIT_FAILURE;
}

/* bench_instr: the names of all cases, each with the items it counts.  bench_instr NAME: run it.
 * bench_instr --tlbi: run all that count TLBIs. */
int main(int argc, char **argv)
{
    static struct bench bench;

    if (argc > 1 && strcmp(argv[1], "--tlbi") == 0) {
        for (size_t i = 0; i < TLBI_CASE_COUNT; i++) {
            run_tlbi_case(&bench, &TLBI_CASES[i]);
        }
        return EXIT_SUCCESS;
    }
    if (argc > 1) {
        return run_case(&bench, argv[1]);
    }
    for (size_t i = 0; i < CASE_COUNT; i++) {
        printf("%s %llu\n", CASES[i].name, (unsigned long long)(GIB >> CASES[i].granule));
    }
    return EXIT_SUCCESS;
}
