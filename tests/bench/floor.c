#include "tests/bench/floor.h"

#include "tests/bench/bench.h"

/* The root, then a table of level 2 for each 1 GiB, then those of level 3. */
void floor_table_init(struct floor_table *table, uint64_t pages)
{
    const uint64_t leaves = pages / FLOOR_ENTRIES;
    const uint64_t middles = (leaves + FLOOR_ENTRIES - 1) / FLOOR_ENTRIES;
    uint64_t *memory = bench_memory((1 + middles + leaves) * FLOOR_ENTRIES * sizeof(*memory));
    uint64_t *middle = memory + FLOOR_ENTRIES;
    uint64_t *leaf = middle + middles * FLOOR_ENTRIES;

    for (uint64_t i = 0; i < middles; i++) {
        memory[i] = (uintptr_t)(middle + i * FLOOR_ENTRIES);
    }
    for (uint64_t i = 0; i < leaves; i++) {
        middle[i] = (uintptr_t)(leaf + i * FLOOR_ENTRIES);
    }
    *table = (struct floor_table){memory, pages};
}

void floor_table_fini(struct floor_table *table)
{
    bench_free(table->root);
}
