/*
 * floor.h - what cannot be saved: the loads and stores of a task, and nothing around them.
 *
 *      tables   three levels of 512 entries, as stage 2 has them for 40 bits of IPA and 4K pages.
 *               A page is found by two loads, each by the answer of the last, and changed by one
 *               access to its descriptor. All accesses are atomic and relaxed, as a walker may
 *               look.
 *      areas    a sorted array: log2 n loads to find one, a copy to write one. What an insertion
 *               would have to move is left out.
 */
#ifndef TRESTLE_TESTS_BENCH_FLOOR_H
#define TRESTLE_TESTS_BENCH_FLOOR_H

#include <stddef.h>
#include <stdint.h>

#define FLOOR_ENTRIES 512

struct floor_table {
    uint64_t *root;
    uint64_t pages;
};

/* A table of @pages pages from page 0 on: a multiple of 512, at most 2^27. */
void floor_table_init(struct floor_table *table, uint64_t pages);
void floor_table_fini(struct floor_table *table);

static inline uint64_t floor_load(const uint64_t *slot)
{
    return __atomic_load_n(slot, __ATOMIC_RELAXED);
}

static inline void floor_store(uint64_t *slot, uint64_t desc)
{
    __atomic_store_n(slot, desc, __ATOMIC_RELAXED);
}

/* An entry that links a table is its address. */
static inline uint64_t *floor_next(const uint64_t *slot)
{
    return (uint64_t *)(uintptr_t)floor_load(slot);
}

/* The table of level 3 that holds @page: 512 descriptors. */
static inline uint64_t *floor_leaves(const struct floor_table *table, uint64_t page)
{
    return floor_next(floor_next(table->root + (page >> 18)) + ((page >> 9) & 511));
}

/* The descriptor of @page. */
static inline uint64_t *floor_slot(const struct floor_table *table, uint64_t page)
{
    return floor_leaves(table, page) + (page & 511);
}

/* Fill a table: @desc, @desc + @step, and so on. Four stores a turn, so that the turns cost
 * nothing. */
static inline void floor_fill(uint64_t *table, uint64_t desc, uint64_t step)
{
    for (unsigned i = 0; i < FLOOR_ENTRIES; i += 4) {
        floor_store(table + i, desc);
        floor_store(table + i + 1, desc + step);
        floor_store(table + i + 2, desc + 2 * step);
        floor_store(table + i + 3, desc + 3 * step);
        desc += 4 * step;
    }
}

/* Where @key, or the largest start below it, is in @starts: log2 @count loads, no branch on what
 * they find. */
static inline size_t floor_search(const uint64_t *starts, size_t count, uint64_t key)
{
    const uint64_t *base = starts;

    while (count > 1) {
        const size_t half = count / 2;

        base = base[half] <= key ? base + half : base;
        count -= half;
    }
    return (size_t)(base - starts);
}

#endif
