#include "stage2/table/lookup.h"

#include "stage2/arch/arch.h"

_Static_assert(sizeof(struct s2_leaf) <= 40, "an answer is five words");

/* Where a walk for one address ends. */
struct found {
    const s2_desc_t *slot;
    s2_desc_t desc;
    int level;
    unsigned shift; /* log2 bytes that an entry of this level spans */
};

static struct found find(const struct s2_table *table, ipa_t addr)
{
    const struct s2_geometry *geometry = &table->geometry;
    const unsigned mask = s2_table_entries(geometry) - 1;
    struct found found = {.level = geometry->start_level,
                          .shift = s2_level_shift(geometry, geometry->start_level)};

    MAPPING_ASSERT(table->root != NULL);
    MAPPING_ASSERT(ipa_lt(addr, table->end));
    /* Inside the input size, so the root needs no mask. */
    found.slot = &table->root[ipa_index(addr, found.shift)];
    found.desc = arch_desc_load(found.slot);
    while (s2_desc_is_table(found.desc, found.level)) {
        const s2_desc_t *entries =
            frame_pool_ptr(table->pool, s2_desc_address(&table->format, found.desc));

        MAPPING_ASSERT(entries != NULL);
        found.shift -= geometry->stride;
        found.level++;
        found.slot = &entries[ipa_index(addr, found.shift) & mask];
        found.desc = arch_desc_load(found.slot);
    }
    return found;
}

static bool is_inside(const struct s2_table *table, ipa_t addr)
{
    return ipa_lt(addr, table->end);
}

/* A leaf with the AF and dirty state of its run, which hardware may have set in any member. */
static s2_desc_t run_state(const struct s2_table *table, const struct found *found, ipa_t addr)
{
    const unsigned count = s2_run_entries(&table->geometry, found->level);
    const s2_desc_t bits = s2_desc_hardware_bits(&table->format, found->desc);
    const s2_desc_t *run = found->slot - ipa_index(addr, found->shift) % count;
    s2_desc_t state = found->desc;

    MAPPING_ASSERT(count > 1);
    for (unsigned i = 0; i < count && !s2_desc_is_none(bits); i++) {
        state = s2_desc_or(state, s2_desc_and(arch_desc_load(&run[i]), bits));
    }
    return state;
}

enum mapping_error s2_table_lookup(const struct s2_table *table, ipa_t addr, struct s2_leaf *leaf)
{
    struct found found;
    uint64_t size;

    MAPPING_ASSERT(leaf != NULL);
    if (!is_inside(table, addr)) {
        return MAPPING_INVALID_PARAM;
    }
    found = find(table, addr);
    size = BIT(found.shift);
    if (s2_desc_is_none(found.desc)) {
        *leaf = (struct s2_leaf){.size = size, .level = found.level};
        return MAPPING_NOT_FOUND;
    }
    if (!s2_desc_is_leaf(found.desc, found.level)) {
        return MAPPING_BAD_STATE;
    }
    *leaf = (struct s2_leaf){
        .pa = pa_add(s2_desc_address(&table->format, found.desc), ipa_offset(addr, size)),
        .size = size,
        .level = found.level,
        .run = size,
        .flags = s2_attr_decode(&table->format, found.desc),
    };
    if (s2_desc_is_contiguous(found.desc)) {
        leaf->run = size * s2_run_entries(&table->geometry, found.level);
        leaf->flags = s2_attr_decode(&table->format, run_state(table, &found, addr));
    }
    return MAPPING_OK;
}

/*
 * The fast path. The granule is a constant in each of three copies, and the levels are written out,
 * so that one level is an extract, a load, a test, a mask and an add. It needs tables in one
 * region, which are all at one distance from their PA, and addresses that lie in place in
 * descriptors.
 */
struct fast_walk {
    const s2_desc_t *entries;
    uint64_t bias; /* pointer - PA of every table */
    uint64_t address_mask;
    uint64_t index_mask; /* of the table at entries: the root's indices need none */
    s2_desc_t desc;
};

/* The entry for @addr, where each spans 2^@shift bytes. */
static inline void fast_load(struct fast_walk *walk, ipa_t addr, unsigned shift)
{
    walk->desc = arch_desc_load(&walk->entries[ipa_index(addr, shift) & walk->index_mask]);
}

/* The same, and into the table that it links; false: it links none. */
static inline bool fast_step(struct fast_walk *walk, ipa_t addr, unsigned shift, unsigned stride)
{
    fast_load(walk, addr, shift);
    /* Above level 3, where every caller is, these two bits are all it takes. */
    if (!s2_desc_is_table(walk->desc, S2_LEVEL_FIRST)) {
        return false;
    }
    walk->entries = s2_desc_near_table(walk->desc, walk->address_mask, walk->bias);
    walk->index_mask = BIT(stride) - 1;
    return true;
}

static inline bool fast_finish(const struct fast_walk *walk, ipa_t addr, unsigned shift, pa_t *pa)
{
    if (!s2_desc_is_valid(walk->desc)) {
        return false;
    }
    *pa = s2_desc_output(walk->desc, walk->address_mask, ipa_offset(addr, BIT(shift)));
    return true;
}

static inline __attribute__((always_inline)) bool
fast_translate(const struct s2_table *table, ipa_t addr, unsigned granule, pa_t *pa)
{
    const unsigned stride = granule - 3;
    struct fast_walk walk = {
        .entries = table->root,
        .bias = table->fast_bias,
        .address_mask = table->format.address_mask,
        .index_mask = UINT64_MAX,
    };

    switch (table->geometry.start_level) {
    case 0:
        if (!fast_step(&walk, addr, granule + 3 * stride, stride)) {
            return fast_finish(&walk, addr, granule + 3 * stride, pa);
        }
        __attribute__((fallthrough));
    case 1:
        if (!fast_step(&walk, addr, granule + 2 * stride, stride)) {
            return fast_finish(&walk, addr, granule + 2 * stride, pa);
        }
        __attribute__((fallthrough));
    default:
        if (!fast_step(&walk, addr, granule + stride, stride)) {
            return fast_finish(&walk, addr, granule + stride, pa);
        }
        fast_load(&walk, addr, granule);
        return fast_finish(&walk, addr, granule, pa);
    }
}

static __attribute__((noinline)) bool general_translate(const struct s2_table *table, ipa_t addr,
                                                        pa_t *pa)
{
    const struct found found = find(table, addr);

    if (!s2_desc_is_leaf(found.desc, found.level)) {
        return false;
    }
    *pa = pa_add(s2_desc_address(&table->format, found.desc), ipa_offset(addr, BIT(found.shift)));
    return true;
}

bool s2_table_translate(const struct s2_table *table, ipa_t addr, pa_t *pa)
{
    if (!is_inside(table, addr)) {
        return false;
    }
    if (table->fast_granule == S2_GRANULE_4K) {
        return fast_translate(table, addr, S2_GRANULE_4K, pa);
    }
    if (table->fast_granule == S2_GRANULE_16K) {
        return fast_translate(table, addr, S2_GRANULE_16K, pa);
    }
    if (table->fast_granule == S2_GRANULE_64K) {
        return fast_translate(table, addr, S2_GRANULE_64K, pa);
    }
    return general_translate(table, addr, pa);
}
