#include "tests/bench/bench_guest.h"

#include "tests/bench/bench.h"

#define POOL_PA (UINT64_C(1) << 42)

static const struct s2_features CPU = {
    .pa_bits = 48,
    .granule_4k = S2_GRANULE_48_BITS,
    .vmid_bits = 16,
    .hafdbs = 2,
    .tlb = 2,
    .has_fwb = true,
    .has_ttl = true,
    .has_lse = true,
    .has_dic = true,
    .has_idc = true,
    .dcache_line = 64,
};

void guest_pool_init(struct guest_pool *pool, size_t frame_count)
{
    struct frame_region region = {.base = pa_of(POOL_PA), .frame_count = frame_count};

    pool->memory = bench_memory(frame_count << GUEST_SHIFT);
    pool->infos = bench_memory(frame_count * sizeof(*pool->infos));
    pool->frame_count = frame_count;
    region.memory = pool->memory;
    region.info = pool->infos;
    guest_must(frame_pool_init(&pool->pool, GUEST_SHIFT, &region, 1));
}

void guest_pool_fini(struct guest_pool *pool)
{
    bench_must(frame_pool_available(&pool->pool) == pool->frame_count, "a frame is missing");
    bench_must(frame_pool_check(&pool->pool), "the pool is not in order");
    bench_free(pool->infos);
    bench_free(pool->memory);
}

struct s2_config guest_config(enum s2_hardware_update hardware_update)
{
    return (struct s2_config){
        .cpu = &CPU,
        .granule = S2_GRANULE_4K,
        .ipa_bits = 40,
        .contiguous = S2_CONTIGUOUS_OFF,
        .hardware_update = hardware_update,
    };
}

bool guest_translates(const struct s2_table *table, uint64_t page, pa_t pa)
{
    pa_t found;

    return s2_table_translate(table, guest_page(page).start, &found) && pa_eq(found, pa);
}

bool guest_has_hole(const struct s2_table *table, uint64_t page)
{
    struct s2_leaf leaf;

    return s2_table_lookup(table, guest_page(page).start, &leaf) == MAPPING_NOT_FOUND;
}

bool guest_has_flags(const struct s2_table *table, uint64_t page, mapping_flags_t flags)
{
    struct s2_leaf leaf;

    return s2_table_lookup(table, guest_page(page).start, &leaf) == MAPPING_OK &&
           leaf.flags == (flags & ~S2_BUILD_FLAGS);
}
