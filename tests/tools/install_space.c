/* A stranger's program, built from what was installed: a guest's address space, split in the
 * middle. */
#include "stage2/trestle.h"

#include <stdalign.h>
#include <stdint.h>

#define FRAMES 16
#define RAM_PA UINT64_C(0x48000000)

static alignas(65536) unsigned char memory[FRAMES * 4096]; /* at PA 0x80000000, say */
static struct frame_info infos[FRAMES];
static struct memory_node nodes[8];

int main(void)
{
    const struct s2_id_regs regs = {.mmfr0 = 5 /* 48 bits of PA, the 4K granule */};
    const struct s2_features cpu = s2_features_decode(&regs);
    struct frame_region bank = {PA_INIT(0x80000000), memory, FRAMES, infos};
    struct frame_pool pool;
    struct s2_space space;
    struct s2_leaf leaf;
    const struct s2_space_config config = {
        .table = {.cpu = &cpu, .granule = S2_GRANULE_4K, .ipa_bits = 40},
        .table_pool = &pool,
        .nodes = nodes,
        .node_count = 8,
        .vmid = 1,
    };

    if (frame_pool_init(&pool, 12, &bank, 1) != MAPPING_OK ||
        s2_space_init(&space, &config) != MAPPING_OK ||
        s2_space_map_linear(&space, ipa_range(0x40000000, 0x200000), pa_of(RAM_PA),
                            S2_READ | S2_WRITE | S2_EXEC) != MAPPING_OK ||
        s2_space_unmap(&space, ipa_range(0x40001000, 0x1000)) != MAPPING_OK) {
        return 1;
    }
    if (s2_space_lookup(&space, ipa_of(0x40001000), &leaf) != MAPPING_NOT_FOUND ||
        s2_space_lookup(&space, ipa_of(0x40002010), &leaf) != MAPPING_OK ||
        !pa_eq(leaf.pa, pa_of(RAM_PA + 0x2010)) || !s2_space_check(&space)) {
        return 2;
    }
    return s2_space_fini(&space) == MAPPING_OK && frame_pool_available(&pool) == FRAMES ? 0 : 3;
}
