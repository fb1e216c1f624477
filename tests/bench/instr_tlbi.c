/*
 * instr_tlbi.c - how many TLBIs and flushes a verb sends.
 */
#include "tests/bench/instr.h"

#include <stdio.h>

#define POOL_FRAMES 8192

static struct s2_table table;
static struct frame_pool pool;

static struct ipa_range from_guest(uint64_t offset, uint64_t size)
{
    return ipa_range(GUEST_IPA + offset, size);
}

static void map_pages(void)
{
    instr_must(s2_table_map(&table, from_guest(0, GIB), pa_of(GUEST_PA),
                            S2_READ | S2_WRITE | S2_EXEC | S2_CAP_PAGES),
               "map");
}

static void unmap_pages(void)
{
    instr_must(s2_table_unmap(&table, from_guest(0, GIB)), "unmap");
}

static void map_block(void)
{
    instr_must(s2_table_map(&table, from_guest(0, 2 * GIB), pa_of(GUEST_PA), S2_READ | S2_WRITE),
               "map");
}

/* With a page elsewhere under the same table of level 1, so that it stays. */
static void map_with_neighbour(void)
{
    map_pages();
    instr_must(s2_table_map(&table, from_guest(8 * GIB, PAGE), pa_of(GUEST_PA + 8 * GIB),
                            S2_READ | S2_WRITE),
               "map");
}

static void write_protect_2m(void)
{
    instr_must(s2_table_protect(&table, from_guest(MIB, 2 * MIB), S2_READ | S2_EXEC), "protect");
}

static void split_page(void)
{
    instr_must(s2_table_unmap(&table, from_guest(3 * MIB, PAGE)), "split");
}

static void split_both_ends(void)
{
    instr_must(s2_table_protect(&table, from_guest(3 * MIB, GIB), S2_READ), "split");
}

struct tlbi_case {
    const char *name;
    unsigned tlb; /* s2_features.tlb: 2 has ranges */
    void (*prepare)(void);
    void (*run)(void);
};

static const struct tlbi_case CASES[] = {
    {"tlbi.unmap_1g_of_pages", 2, map_with_neighbour, unmap_pages},
    {"tlbi.unmap_1g_of_pages_no_ranges", 0, map_with_neighbour, unmap_pages},
    {"tlbi.unmap_1g_of_pages_all_there_is", 2, map_pages, unmap_pages},
    {"tlbi.write_protect_2m_of_pages", 2, map_pages, write_protect_2m},
    {"tlbi.write_protect_2m_no_ranges", 0, map_pages, write_protect_2m},
    {"tlbi.split_page_of_1g", 2, map_block, split_page},
    {"tlbi.split_page_of_1g_no_ranges", 0, map_block, split_page},
    {"tlbi.split_both_ends", 2, map_block, split_both_ends},
    {"tlbi.split_both_ends_no_ranges", 0, map_block, split_both_ends},
};

#define CASE_COUNT (sizeof(CASES) / sizeof(CASES[0]))

static uint64_t tlbis_of(const struct s2_tlb_counters *counters)
{
    return counters->by_address + counters->by_range + counters->stage1 + counters->whole;
}

static void run_case(const struct tlbi_case *one)
{
    struct s2_features cpu = instr_cpu();
    const struct s2_config config = {
        .cpu = &cpu, .granule = S2_GRANULE_4K, .ipa_bits = 48, .contiguous = S2_CONTIGUOUS_OFF};
    struct s2_tlb_counters before, after;

    cpu.tlb = one->tlb;
    instr_pool_init(&pool, S2_GRANULE_4K, POOL_FRAMES);
    instr_must(s2_table_init(&table, &config, &pool), "table");
    s2_table_set_vmid(&table, 1);
    one->prepare();
    before = *s2_table_tlb_counters(&table);
    one->run();
    after = *s2_table_tlb_counters(&table);
    printf("%s %llu %llu\n", one->name, (unsigned long long)(tlbis_of(&after) - tlbis_of(&before)),
           (unsigned long long)(after.flushes - before.flushes));
    instr_must(s2_table_fini(&table), "fini");
}

void instr_tlbis(void)
{
    for (size_t i = 0; i < CASE_COUNT; i++) {
        run_case(&CASES[i]);
    }
}
