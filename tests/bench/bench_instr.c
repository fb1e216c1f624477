/*
 * bench_instr.c - what the verbs cost: instructions, and TLBIs (see instr.h).
 *
 * Without callgrind it just works and says what it did. tests/tools/bench_instr.sh drives it.
 */
#include "tests/bench/instr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every frame that a case may take. */
#define INFO_COUNT (UINT64_C(1) << 18)

static struct frame_info infos[INFO_COUNT];

void instr_fail(const char *what, const char *how)
{
    fprintf(stderr, "bench: %s: %s\n", what, how);
    exit(EXIT_FAILURE);
}

struct s2_features instr_cpu(void)
{
    return (struct s2_features){
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
}

void instr_pool_init(struct frame_pool *pool, unsigned frame_shift, size_t frames)
{
    struct frame_region region = {.base = pa_of(GIB), .frame_count = frames, .info = infos};

    instr_must_be(frames <= INFO_COUNT, "too many frames");
    region.memory = aligned_alloc((size_t)1 << frame_shift, frames << frame_shift);
    instr_must_be(region.memory != NULL, "no memory");
    instr_must(frame_pool_init(pool, frame_shift, &region, 1), "pool");
}

void instr_space_init(struct s2_space *space, struct frame_pool *pool, size_t frames,
                      struct memory_node nodes[], size_t node_count)
{
    static struct s2_features cpu;
    const struct s2_space_config config = {
        .table = {.cpu = &cpu, .granule = S2_GRANULE_4K, .ipa_bits = 40},
        .table_pool = pool,
        .nodes = nodes,
        .node_count = node_count,
        .vmid = 1,
    };

    cpu = instr_cpu();
    instr_pool_init(pool, S2_GRANULE_4K, frames);
    instr_must(s2_space_init(space, &config), "space");
}

static const struct instr_case *const GROUPS[] = {INSTR_TABLE, INSTR_SPACE, INSTR_FAULT,
                                                  INSTR_SET,   INSTR_POOL,  INSTR_GROWTH};

#define GROUP_COUNT (sizeof(GROUPS) / sizeof(GROUPS[0]))
#define LISTED_COUNT (GROUP_COUNT - 1)

/* What is measured. Global and not inlined, so that callgrind finds it by name. */
__attribute__((noinline)) void instr_measure(const struct instr_case *one);

void instr_measure(const struct instr_case *one)
{
    one->run();
}

static void print_all(void)
{
    for (size_t i = 0; i < LISTED_COUNT; i++) {
        for (const struct instr_case *one = GROUPS[i]; one->name != NULL; one++) {
            printf("%s %llu %.9g %.9g\n", one->name, (unsigned long long)one->items, one->goal,
                   one->held > 0 ? one->held : one->goal);
        }
    }
}

static int run_case(const char *name)
{
    for (size_t i = 0; i < GROUP_COUNT; i++) {
        for (const struct instr_case *one = GROUPS[i]; one->name != NULL; one++) {
            if (strcmp(name, one->name) == 0) {
                if (one->prepare != NULL) {
                    one->prepare();
                }
                instr_measure(one);
                return EXIT_SUCCESS;
            }
        }
    }
    return EXIT_FAILURE;
}

/* bench_instr: the names of all cases, each with the items it counts, its goal and
 * what it must not exceed.
 * bench_instr NAME: run it.  bench_instr --tlbi: run all that count TLBIs. */
int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--tlbi") == 0) {
        instr_tlbis();
        return EXIT_SUCCESS;
    }
    if (argc > 1) {
        return run_case(argv[1]);
    }
    print_all();
    return EXIT_SUCCESS;
}
