#include "stage2/table/lookup.h"

#include "stage2/arch/arch.h"

_Static_assert(sizeof(struct s2_leaf) <= 40, "an answer is five words");

_Static_assert(S2_FAST_SHAPE(S2_GRANULE_4K, 0) != S2_FAST_NONE, "every shape is one");
_Static_assert(S2_FAST_SHAPE(S2_GRANULE_4K, S2_LEVEL_PAGE) < S2_FAST_SHAPE(S2_GRANULE_16K, 0) &&
                   S2_FAST_SHAPE(S2_GRANULE_16K, S2_LEVEL_PAGE) < S2_FAST_SHAPE(S2_GRANULE_64K, 0),
               "and no other");

/* Where a walk for one address ends. */
struct found {
    const s2_desc_t *slot;
    s2_desc_t desc;
    int level;
    unsigned shift; /* log2 bytes that an entry of this level spans */
};

static struct found general_find(const struct s2_table *table, ipa_t addr)
{
    const struct s2_geometry *geometry = &table->geometry;
    const unsigned mask = s2_table_entries(geometry) - 1;
    struct found found = {.level = geometry->start_level,
                          .shift = s2_level_shift(geometry, geometry->start_level)};

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

/*
 * The fast way. Granule and start level are constants in each of its copies, and the levels are
 * written out, so that a level is an extract, a load, a test and an add. It needs tables in one
 * region, which are all at one distance from their PA, and addresses that lie in place in
 * descriptors.
 */
#define INLINE static inline __attribute__((always_inline))

/* Into the table that found->desc links; false: it links none. */
INLINE bool fast_step(struct found *found, uint64_t bias, ipa_t addr, unsigned stride)
{
    /* Above level 3, where every caller is, the two low bits are all it takes. */
    if (!s2_desc_is_table(found->desc, S2_LEVEL_FIRST)) {
        return false;
    }
    found->shift -= stride;
    found->level++;
    found->slot = s2_desc_near_table(found->desc, bias) +
                  (ipa_index(addr, found->shift) & (MAPPING_BIT(stride) - 1));
    found->desc = arch_desc_load(found->slot);
    return true;
}

INLINE struct found fast_find(const struct s2_table *table, ipa_t addr, unsigned granule, int start)
{
    const unsigned stride = granule - 3;
    const uint64_t bias = table->fast_bias;
    struct found found = {.level = start,
                          .shift = granule + (unsigned)(S2_LEVEL_PAGE - start) * stride};

    found.slot = &table->root[ipa_index(addr, found.shift)];
    found.desc = arch_desc_load(found.slot);
    if (start <= 0 && !fast_step(&found, bias, addr, stride)) {
        return found;
    }
    if (start <= 1 && !fast_step(&found, bias, addr, stride)) {
        return found;
    }
    (void)fast_step(&found, bias, addr, stride);
    return found;
}

static bool is_inside(const struct s2_table *table, ipa_t addr)
{
    return ipa_lt(addr, table->end);
}

/* A leaf of a run tells of all the run: AF and dirty state, which hardware may have set in any
 * member, and its size. Apart, so that other leaves are answered without. @slot: of @addr. */
static __attribute__((noinline)) void tell_run(const struct s2_table *table, const s2_desc_t *slot,
                                               ipa_t addr, struct s2_leaf *leaf)
{
    const unsigned count = s2_run_entries(&table->geometry, leaf->level);
    const unsigned shift = s2_level_shift(&table->geometry, leaf->level);
    const s2_desc_t *run = slot - ipa_index(addr, shift) % count;
    s2_desc_t state = arch_desc_load(slot);
    const s2_desc_t bits = s2_desc_hardware_bits(&table->format, state);

    MAPPING_ASSERT(count > 1);
    for (unsigned i = 0; i < count && !s2_desc_is_none(bits); i++) {
        state = s2_desc_or(state, s2_desc_and(arch_desc_load(&run[i]), bits));
    }
    leaf->run = leaf->size * count;
    leaf->flags = s2_attr_decode(&table->format, state);
}

static __attribute__((noinline)) enum mapping_error tell_hole(s2_desc_t desc, int level,
                                                              unsigned shift, struct s2_leaf *leaf)
{
    if (!s2_desc_is_none(desc)) {
        return MAPPING_BAD_STATE;
    }
    *leaf = (struct s2_leaf){.size = MAPPING_BIT(shift), .level = level};
    return MAPPING_NOT_FOUND;
}

INLINE enum mapping_error answer(const struct s2_table *table, struct found found, ipa_t addr,
                                 pa_t pa, struct s2_leaf *leaf)
{
    if (!s2_desc_is_leaf(found.desc, found.level)) {
        return tell_hole(found.desc, found.level, found.shift, leaf);
    }
    leaf->pa = pa;
    leaf->size = MAPPING_BIT(found.shift);
    leaf->run = MAPPING_BIT(found.shift);
    leaf->level = found.level;
    if (s2_desc_is_contiguous(found.desc)) {
        tell_run(table, found.slot, addr, leaf);
    } else {
        leaf->flags = s2_attr_decode(&table->format, found.desc);
    }
    return MAPPING_OK;
}

static __attribute__((noinline)) enum mapping_error general_lookup(const struct s2_table *table,
                                                                   ipa_t addr, struct s2_leaf *leaf)
{
    const struct found found = general_find(table, addr);
    const pa_t pa = pa_add(s2_desc_address(&table->format, found.desc),
                           ipa_offset(addr, MAPPING_BIT(found.shift)));

    return answer(table, found, addr, pa, leaf);
}

enum mapping_error s2_table_lookup(const struct s2_table *table, ipa_t addr, struct s2_leaf *leaf)
{
    MAPPING_ASSERT(leaf != NULL);
    MAPPING_ASSERT(table->root != NULL);
    if (!is_inside(table, addr)) {
        return MAPPING_INVALID_PARAM;
    }
    if (__builtin_expect(table->fast_shape == S2_FAST_SHAPE(S2_GRANULE_4K, 1), 1)) {
        const struct found found = fast_find(table, addr, S2_GRANULE_4K, 1);
        const pa_t pa = s2_desc_output(found.desc, table->format.address_mask,
                                       ipa_offset(addr, MAPPING_BIT(found.shift)));

        return answer(table, found, addr, pa, leaf);
    }
    return general_lookup(table, addr, leaf);
}

/* --- The address alone ------------------------------------------------------------------------ */

INLINE bool finish(const struct s2_table *table, struct found found, ipa_t addr, pa_t *pa)
{
    /* Nothing is looked for below a leaf, so what is valid is one. */
    if (!s2_desc_is_valid(found.desc)) {
        return false;
    }
    *pa = s2_desc_output(found.desc, table->format.address_mask,
                         ipa_offset(addr, MAPPING_BIT(found.shift)));
    return true;
}

INLINE bool fast_translate(const struct s2_table *table, ipa_t addr, unsigned granule, int start,
                           pa_t *pa)
{
    return finish(table, fast_find(table, addr, granule, start), addr, pa);
}

static __attribute__((noinline)) bool general_translate(const struct s2_table *table, ipa_t addr,
                                                        pa_t *pa)
{
    const struct found found = general_find(table, addr);

    if (!s2_desc_is_leaf(found.desc, found.level)) {
        return false;
    }
    *pa = pa_add(s2_desc_address(&table->format, found.desc),
                 ipa_offset(addr, MAPPING_BIT(found.shift)));
    return true;
}

bool s2_table_translate(const struct s2_table *table, ipa_t addr, pa_t *pa)
{
    if (!is_inside(table, addr)) {
        return false;
    }
    /* Up to 40 bits, and so most guests. */
    if (__builtin_expect(table->fast_shape == S2_FAST_SHAPE(S2_GRANULE_4K, 1), 1)) {
        return fast_translate(table, addr, S2_GRANULE_4K, 1, pa);
    }
    switch (table->fast_shape) {
    case S2_FAST_SHAPE(S2_GRANULE_4K, 0):
        return fast_translate(table, addr, S2_GRANULE_4K, 0, pa);
    case S2_FAST_SHAPE(S2_GRANULE_4K, 2):
        return fast_translate(table, addr, S2_GRANULE_4K, 2, pa);
    case S2_FAST_SHAPE(S2_GRANULE_16K, 1):
        return fast_translate(table, addr, S2_GRANULE_16K, 1, pa);
    case S2_FAST_SHAPE(S2_GRANULE_16K, 2):
        return fast_translate(table, addr, S2_GRANULE_16K, 2, pa);
    case S2_FAST_SHAPE(S2_GRANULE_64K, 1):
        return fast_translate(table, addr, S2_GRANULE_64K, 1, pa);
    case S2_FAST_SHAPE(S2_GRANULE_64K, 2):
        return fast_translate(table, addr, S2_GRANULE_64K, 2, pa);
    default:
        return general_translate(table, addr, pa);
    }
}
