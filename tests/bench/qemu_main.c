/*
 * qemu_main.c - what the verbs of a table take at EL2, with the instructions that ship.
 *
 * Each verb is done to REPEATS places, one after the other, and judged: it did its work, sent no
 * more flushes than its header says, and sent the same each time. A line of figures is
 *
 *      figure VERB SHAPE instructions flushes tlbis dsb isb
 *
 * of one call. Barriers and TLBIs are those of the counted image; there, instructions include the
 * counting. tests/bench/bench_qemu.sh takes each figure from the image that has it right.
 */
#include "hyp/machine/cpu.h"
#include "hyp/machine/machine.h"
#include "hyp/machine/panic.h"
#include "hyp/machine/print.h"
#include "hyp/story/checks.h"
#include "tests/bench/qemu_counts.h"

#include <stddef.h>

#define REPEATS 32
#define PAGE UINT64_C(0x1000)
#define BLOCK UINT64_C(0x200000)
#define PLACES_IPA (UINT64_C(1) << 32)
#define PLACES_PA (UINT64_C(1) << 36)
#define ELSEWHERE (UINT64_C(1) << 34) /* PA of other memory, past that */
#define FLAGS (S2_READ | S2_WRITE)
#define IPA_BITS 40
#define VMID 7

/* What a verb is done to: a stretch at the start of a block's worth of IPAs. */
struct shape {
    const char *name;
    uint64_t size;
    mapping_flags_t build;
    uint64_t leaf_size;
    bool has_neighbour; /* a page in the same table, that stays */
};

static const struct shape SHAPES[] = {
    {"page", PAGE, S2_CAP_PAGES, PAGE, true},
    {"block", BLOCK, 0, BLOCK, false},
    {"pages", BLOCK, S2_CAP_PAGES, PAGE, false},
};

struct verb {
    const char *name;
    enum mapping_error (*run)(const struct shape *shape, struct ipa_range range, pa_t pa);
    unsigned most_flushes; /* as stage2/table/verbs.h says */
    uint64_t pa_offset;    /* of what is mapped afterwards */
    bool is_mapped;        /* afterwards */
    mapping_flags_t flags;
};

struct figures {
    uint64_t instructions;
    uint64_t flushes;
    uint64_t tlbis; /* as the table counts them */
    struct arch_counts arch;
};

int hyp_main(void);

static struct s2_table table;

static enum mapping_error run_map(const struct shape *shape, struct ipa_range range, pa_t pa)
{
    return s2_table_map(&table, range, pa, FLAGS | shape->build);
}

static enum mapping_error run_lookup(const struct shape *shape, struct ipa_range range, pa_t pa)
{
    struct s2_leaf leaf;
    enum mapping_error error = s2_table_lookup(&table, range.start, &leaf);

    (void)pa;
    return error == MAPPING_OK && leaf.size != shape->leaf_size ? MAPPING_BAD_STATE : error;
}

static enum mapping_error run_translate(const struct shape *shape, struct ipa_range range, pa_t pa)
{
    pa_t found;

    (void)shape;
    return s2_table_translate(&table, range.start, &found) && pa_eq(found, pa) ? MAPPING_OK
                                                                               : MAPPING_BAD_STATE;
}

static enum mapping_error run_protect(const struct shape *shape, struct ipa_range range, pa_t pa)
{
    (void)shape, (void)pa;
    return s2_table_protect(&table, range, S2_READ);
}

static enum mapping_error run_replace(const struct shape *shape, struct ipa_range range, pa_t pa)
{
    (void)shape;
    return s2_table_replace(&table, range, pa_add(pa, ELSEWHERE));
}

static enum mapping_error run_unmap(const struct shape *shape, struct ipa_range range, pa_t pa)
{
    (void)shape, (void)pa;
    return s2_table_unmap(&table, range);
}

/* In this order, each on what the last one left. */
static const struct verb VERBS[] = {
    {"map", run_map, 0, 0, true, FLAGS},
    {"lookup", run_lookup, 0, 0, true, FLAGS},
    {"translate", run_translate, 0, 0, true, FLAGS},
    {"protect", run_protect, 1, 0, true, S2_READ},
    {"replace", run_replace, 1, ELSEWHERE, true, S2_READ},
    {"unmap", run_unmap, 1, 0, false, 0},
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static struct ipa_range place_of(const struct shape *shape, unsigned i)
{
    return ipa_range(PLACES_IPA + i * BLOCK, shape->size);
}

static pa_t memory_of(unsigned i)
{
    return pa_of(PLACES_PA + i * BLOCK);
}

/* --- Counting -------------------------------------------------------------------------------- */

static struct figures read_figures(void)
{
    const struct s2_tlb_counters sent = s2_table_tlb_snapshot(&table);

    return (struct figures){
        .flushes = sent.flushes,
        .tlbis = sent.by_address + sent.by_range + sent.stage1 + sent.whole,
        .arch = arch_counts,
    };
}

/* One call; *@took: what it took, less what it takes to count. */
static enum mapping_error count_call(const struct verb *verb, const struct shape *shape,
                                     unsigned place, struct figures *took)
{
    const struct figures before = read_figures();
    const uint32_t nothing = counts_instructions();
    const uint32_t began = counts_instructions();
    const enum mapping_error error = verb->run(shape, place_of(shape, place), memory_of(place));
    const uint32_t ended = counts_instructions();
    const struct figures after = read_figures();

    took->instructions = (ended - began) - (began - nothing);
    took->flushes = after.flushes - before.flushes;
    took->tlbis = after.tlbis - before.tlbis;
    took->arch.dsb = after.arch.dsb - before.arch.dsb;
    took->arch.isb = after.arch.isb - before.arch.isb;
    took->arch.tlbi = after.arch.tlbi - before.arch.tlbi;
    return error;
}

static bool are_same_sent(const struct figures *a, const struct figures *b)
{
    return a->flushes == b->flushes && a->tlbis == b->tlbis && a->arch.dsb == b->arch.dsb &&
           a->arch.isb == b->arch.isb;
}

/* What the tables say after a verb, at the last byte of the place. */
static bool did_its_work(const struct verb *verb, const struct shape *shape, unsigned place)
{
    const uint64_t last = shape->size - 1;
    const ipa_t ipa = ipa_add(place_of(shape, place).start, last);
    struct s2_leaf leaf;

    if (!verb->is_mapped) {
        return s2_table_lookup(&table, ipa, &leaf) == MAPPING_NOT_FOUND;
    }
    return s2_table_lookup(&table, ipa, &leaf) == MAPPING_OK && leaf.flags == verb->flags &&
           leaf.size == shape->leaf_size &&
           pa_eq(leaf.pa, pa_add(memory_of(place), verb->pa_offset + last));
}

/* --- Judging --------------------------------------------------------------------------------- */

static void measure(const struct verb *verb, const struct shape *shape)
{
    struct figures first = {0}, took;
    uint64_t instructions = 0;
    bool works = true, is_same = true;

    for (unsigned place = 0; place < REPEATS; place++) {
        works = count_call(verb, shape, place, &took) == MAPPING_OK && works;
        works = did_its_work(verb, shape, place) && works;
        first = place == 0 ? took : first;
        is_same = is_same && are_same_sent(&first, &took);
        instructions += took.instructions;
    }
    check(works, "%s of a %s does its work, %u times", verb->name, shape->name, REPEATS);
    check(is_same, "and sends the same each time");
    check(first.flushes <= verb->most_flushes, "flushes: %lu, at most %u", first.flushes,
          verb->most_flushes);
    check(first.arch.tlbi == 0 || first.arch.tlbi == first.tlbis,
          "TLBIs: %lu, as the table counts them", first.tlbis);
    print("figure %s %s %lu %lu %lu %lu %lu\n", verb->name, shape->name,
          (instructions + REPEATS / 2) / REPEATS, first.flushes, first.tlbis, first.arch.dsb,
          first.arch.isb);
}

static void map_page_that_stays(ipa_t start)
{
    if (s2_table_map(&table, ipa_range_between(start, ipa_add(start, PAGE)), pa_of(PLACES_PA),
                     FLAGS | S2_CAP_PAGES) != MAPPING_OK) {
        panic("a neighbour cannot be mapped");
    }
}

/* One behind all places, so that the last of them to go does not take tables along. */
static void map_neighbours(const struct shape *shape)
{
    map_page_that_stays(place_of(shape, REPEATS).start);
    for (unsigned place = 0; place < REPEATS && shape->has_neighbour; place++) {
        map_page_that_stays(ipa_add(place_of(shape, place).start, shape->size));
    }
}

static void measure_shape(const struct shape *shape)
{
    checks_topic("%s", shape->name);
    map_neighbours(shape);
    for (size_t i = 0; i < COUNT_OF(VERBS); i++) {
        measure(&VERBS[i], shape);
    }
    check(s2_table_unmap(&table, ipa_range(PLACES_IPA, (REPEATS + 1) * BLOCK)) == MAPPING_OK &&
              s2_table_check(&table),
          "the table is sound, and empty again");
}

int hyp_main(void)
{
    size_t frames;

    cpu_init();
    machine_init();
    frames = frame_pool_available(&machine.tables);
    checks_topic("The verbs of a table at EL2");
    if (check(counts_begin() && counts_are_exact(),
              "the CPU counts instructions, and exactly (QEMU: -icount shift=0)")) {
        const struct s2_config config = {
            .cpu = &machine.cpu, .granule = S2_GRANULE_4K, .ipa_bits = IPA_BITS};

        if (s2_table_init(&table, &config, &machine.tables) != MAPPING_OK) {
            panic("no table");
        }
        s2_table_set_vmid(&table, VMID);
        for (size_t i = 0; i < COUNT_OF(SHAPES); i++) {
            measure_shape(&SHAPES[i]);
        }
        check(s2_table_fini(&table) == MAPPING_OK &&
                  frame_pool_available(&machine.tables) == frames,
              "every frame is back in its pool");
    }
    return checks_finish();
}
