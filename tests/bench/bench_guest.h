/*
 * bench_guest.h - what the cases of tables and spaces measure on: a CPU, a pool, a guest's pages.
 *
 * Page p of a guest lies at IPA p * 4 KiB, in its data at p * 4 KiB. 40 bits of input: three levels
 * from level 1. No contiguous hint, so that one page is one descriptor.
 */
#ifndef TRESTLE_TESTS_BENCH_BENCH_GUEST_H
#define TRESTLE_TESTS_BENCH_BENCH_GUEST_H

#include "stage2/trestle.h"
#include "tests/bench/bench.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_SHIFT 12
#define GUEST_PAGE (UINT64_C(1) << GUEST_SHIFT)
#define GUEST_GIB (UINT64_C(1) << 30)
#define GUEST_PAGES_OF_GIB (GUEST_GIB / GUEST_PAGE)
#define GUEST_FLAGS (S2_READ | S2_WRITE | S2_EXEC | S2_CAP_PAGES)

/* Frames for tables. */
struct guest_pool {
    struct frame_pool pool;
    struct frame_info *infos;
    void *memory;
    size_t frame_count;
};

void guest_pool_init(struct guest_pool *pool, size_t frame_count);

/* Ends the program if a frame is missing, or the pool is not in order. */
void guest_pool_fini(struct guest_pool *pool);

/* 40 bits, 4K pages, no hint, a CPU of FEAT_S2FWB and TLBIs by range; hardware keeps dirty state if
 * it is told to. */
struct s2_config guest_config(enum s2_hardware_update hardware_update);

static inline struct ipa_range guest_pages(uint64_t first, uint64_t count)
{
    return ipa_range(first << GUEST_SHIFT, count << GUEST_SHIFT);
}

static inline struct ipa_range guest_page(uint64_t page)
{
    return guest_pages(page, 1);
}

/* Where a guest's data begins, and what it has at @page. */
static inline pa_t guest_pa(uint64_t page)
{
    return pa_of((UINT64_C(1) << 43) + (page << GUEST_SHIFT));
}

/* Ends the program unless @error is MAPPING_OK. Inline, as it is part of what is measured. */
static inline void guest_must(enum mapping_error error)
{
    if (error != MAPPING_OK) {
        bench_fail(mapping_error_name(error));
    }
}

/* Whether @table translates @page to @pa; whether it maps nothing there. */
bool guest_translates(const struct s2_table *table, uint64_t page, pa_t pa);
bool guest_has_hole(const struct s2_table *table, uint64_t page);

/* Whether @page is mapped with @flags, less S2_BUILD_FLAGS. */
bool guest_has_flags(const struct s2_table *table, uint64_t page, mapping_flags_t flags);

#endif
