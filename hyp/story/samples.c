#include "hyp/story/samples.h"

#include "core/assert.h"
#include "hyp/machine/machine.h"
#include "hyp/vm/bare.h"

#define RW (S2_READ | S2_WRITE)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const mapping_flags_t types[] = {S2_NORMAL,        S2_NORMAL_NC,   S2_DEVICE_nGnRnE,
                                        S2_DEVICE_nGnRE,  S2_DEVICE_nGRE, S2_DEVICE_GRE,
                                        S2_NORMAL_STAGE1, S2_NORMAL_WT};
static const mapping_flags_t permissions[] = {0, S2_READ, S2_WRITE, RW};
static const mapping_flags_t extras[] = {S2_SH_OUTER, S2_SH_NONE, S2_NO_AF, S2_SOFT0 | S2_SOFT1};

#define KIND_COUNT (COUNT(types) * COUNT(permissions))
#define BLOCK_LEVEL (S2_LEVEL_PAGE - 1)

/* --- Where
 * -------------------------------------------------------------------------------------- */

static uint64_t page_size(const struct samples *samples)
{
    return s2_granule_size(samples->geometry);
}

static uint64_t level_size(const struct samples *samples, int level)
{
    return s2_level_size(samples->geometry, level);
}

static uint64_t run_size(const struct samples *samples, int level)
{
    return level_size(samples, level) * s2_run_entries(samples->geometry, level);
}

/* The next @size bytes of input, aligned; false: there is no such room. */
static bool take(struct samples *samples, uint64_t size, uint64_t align, uint64_t *ipa)
{
    uint64_t end = ipa_number(ipa_range_end(samples->free));
    uint64_t start = mapping_u64_align_down(ipa_number(samples->free.start) + align - 1, align);

    if (start > end || end - start < size) {
        return false;
    }
    samples->free = ipa_range(start + size, end - start - size);
    *ipa = start;
    return true;
}

static void aim_at(struct samples *samples, uint64_t ipa, uint64_t size)
{
    MAPPING_ASSERT(samples->range_count < SAMPLES_RANGES);
    samples->ranges[samples->range_count++] = ipa_range(ipa, size);
}

/* Of this memory no byte is touched, so any PA does that is no table. The four top bits take all
 * values with the highest one set, but for those from which @size goes past the output; below them
 * PA and IPA agree. */
static uint64_t next_pa(struct samples *samples, uint64_t ipa, uint64_t size)
{
    unsigned top = samples->geometry->pa_bits;
    uint64_t pa;

    do {
        pa = ipa ^ ((MAPPING_BIT(3) + samples->count++ % MAPPING_BIT(3)) * MAPPING_BIT(top - 4));
    } while (pa > MAPPING_BIT(top) - size);
    return pa;
}

/* --- What
 * --------------------------------------------------------------------------------------- */

static bool map_at(struct samples *samples, uint64_t ipa, uint64_t size, uint64_t pa,
                   mapping_flags_t flags)
{
    return s2_space_map_linear(samples->space, ipa_range(ipa, size), pa_of(pa), flags) ==
           MAPPING_OK;
}

static bool map(struct samples *samples, uint64_t ipa, uint64_t size, mapping_flags_t flags)
{
    return map_at(samples, ipa, size, next_pa(samples, ipa, size), flags);
}

static bool can_have(const struct samples *samples, mapping_flags_t flags)
{
    bool fwb = s2_geometry_has_fwb(samples->geometry);

    if ((flags & S2_SHAREABILITY) != S2_SH_INNER && samples->geometry->has_lpa2) {
        return false;
    }
    switch (flags & S2_TYPE) {
    case S2_NORMAL_STAGE1:
        return fwb;
    case S2_NORMAL_WT:
        return !fwb;
    default:
        return true;
    }
}

/* Every type with every permission as leaves of @level, a hole beside each. */
static bool map_kinds(struct samples *samples, int level)
{
    uint64_t size = level_size(samples, level);
    bool holds = true;
    uint64_t ipa;

    for (size_t i = 0; i < KIND_COUNT && take(samples, 2 * size, size, &ipa); i++) {
        mapping_flags_t flags = types[i / COUNT(permissions)] | permissions[i % COUNT(permissions)];

        holds = map(samples, ipa, size, flags) == can_have(samples, flags) && holds;
        if (i % COUNT(permissions) == 0) {
            aim_at(samples, ipa, 2 * COUNT(permissions) * size);
        }
    }
    return holds;
}

static bool map_extras(struct samples *samples)
{
    uint64_t page = page_size(samples);
    bool holds = true;
    uint64_t ipa;

    for (size_t i = 0; i < COUNT(extras) && take(samples, 2 * page, page, &ipa); i++) {
        holds = map(samples, ipa, page, RW | extras[i]) == can_have(samples, extras[i]) && holds;
    }
    return holds;
}

/* --- With memory behind it
 * ---------------------------------------------------------------------- */

/* The page of the program, then those that are stored to; one more is a hole. WRITABLE stands for a
 * page that is writable, but nobody has written yet: where hardware keeps no dirty state, for one
 * that is just writable. */
#define WRITABLE S2_DBM

static const mapping_flags_t stores[] = {
    S2_READ | S2_EXEC, S2_READ, S2_READ | WRITABLE, S2_READ | WRITABLE | S2_NO_AF,
    WRITABLE,          RW,      S2_READ | S2_NO_AF, 0};

#define STORE_PAGES (COUNT(stores) + 1)
#define STORE_ORDER 4 /* pages for those, as a power of two */

_Static_assert(STORE_PAGES <= MAPPING_BIT(STORE_ORDER), "memory for each");

static mapping_flags_t store_flags(const struct samples *samples, size_t i)
{
    const bool has_dirty = s2_geometry_has_dirty(samples->geometry);

    return !has_dirty && (stores[i] & WRITABLE) != 0 ? (stores[i] & ~WRITABLE) | S2_WRITE
                                                     : stores[i];
}

static struct ipa_range store_page(const struct samples *samples, size_t i)
{
    const uint64_t page = page_size(samples);

    return ipa_range(ipa_number(samples->ram.start) + i * page, page);
}

static bool has_dirty_refusal(struct samples *samples, uint64_t ipa)
{
    return s2_geometry_has_dirty(samples->geometry) ||
           !map(samples, ipa, page_size(samples), S2_READ | S2_DBM);
}

static bool map_stores(struct samples *samples)
{
    const uint64_t page = page_size(samples);
    uint64_t ipa;
    bool holds;

    samples->memory_order = samples->geometry->granule_shift - MACHINE_FRAME_SHIFT + STORE_ORDER;
    if (!take(samples, (STORE_PAGES + 1) * page, page, &ipa) ||
        frame_pool_alloc(&machine.guests, samples->memory_order, &samples->memory) != MAPPING_OK) {
        samples->memory_order = 0;
        return false;
    }
    samples->program = ipa_of(ipa);
    samples->ram = ipa_range(ipa, STORE_PAGES * page);
    aim_at(samples, ipa, (STORE_PAGES + 1) * page);
    bare_put_program(frame_pool_ptr(&machine.guests, samples->memory));
    holds = has_dirty_refusal(samples, ipa);
    for (size_t i = 0; i < COUNT(stores); i++) {
        holds = map_at(samples, ipa + i * page, page, pa_number(samples->memory) + i * page,
                       store_flags(samples, i)) &&
                holds;
    }
    return holds;
}

bool samples_rearm(struct samples *samples)
{
    bool holds = true;

    for (size_t i = 0; i < COUNT(stores); i++) {
        const struct ipa_range page = store_page(samples, i);
        const mapping_flags_t flags = store_flags(samples, i);
        struct s2_leaf leaf;

        holds = s2_space_protect(samples->space, page, flags) == MAPPING_OK &&
                s2_space_lookup(samples->space, page.start, &leaf) == MAPPING_OK &&
                leaf.flags == flags && holds;
    }
    return holds;
}

void samples_release(struct samples *samples)
{
    if (samples->memory_order != 0) {
        const enum mapping_error error =
            frame_pool_free(&machine.guests, samples->memory, samples->memory_order);

        MAPPING_ASSERT(error == MAPPING_OK);
        (void)error;
    }
}

/* --- All of it
 * ---------------------------------------------------------------------------------- */

/* The PA is off by @by, so that nothing larger than @by forms. */
static bool map_misaligned(struct samples *samples, uint64_t size, uint64_t by)
{
    uint64_t ipa;

    if (!take(samples, size, size, &ipa)) {
        return true;
    }
    aim_at(samples, ipa, size);
    return map_at(samples, ipa, size, next_pa(samples, ipa, size + by) + by, RW);
}

/* Three runs of @level, and what sticks out at either end; in the last one an entry differs. */
static bool map_runs(struct samples *samples, int level)
{
    uint64_t entry = level_size(samples, level);
    uint64_t run = run_size(samples, level);
    uint64_t ipa;

    if (run == entry || !take(samples, 5 * run, run, &ipa)) {
        return true;
    }
    aim_at(samples, ipa, 5 * run);
    return map(samples, ipa + run - entry, 3 * run + 2 * entry, RW) &&
           s2_space_protect(samples->space, ipa_range(ipa + 3 * run, entry), S2_READ) == MAPPING_OK;
}

/* Pages, though the whole could be a block; and single pages, though they could be a run. */
static bool map_capped(struct samples *samples)
{
    uint64_t block = level_size(samples, BLOCK_LEVEL);
    uint64_t run = run_size(samples, S2_LEVEL_PAGE);
    uint64_t ipa;

    if (take(samples, run, run, &ipa)) {
        aim_at(samples, ipa, run);
        if (!map(samples, ipa, run, RW | S2_NO_CONTIGUOUS)) {
            return false;
        }
    }
    if (take(samples, block, block, &ipa)) {
        aim_at(samples, ipa, block);
        return map(samples, ipa, block, S2_READ | S2_CAP_PAGES);
    }
    return true;
}

/* A page goes, a block becomes read-only, some pages at an odd place get another type. */
static bool split(struct samples *samples, uint64_t ipa)
{
    uint64_t page = page_size(samples);
    uint64_t block = level_size(samples, BLOCK_LEVEL);
    struct ipa_range hole = ipa_range(ipa + 3 * block + 45 * page, page);
    struct ipa_range read_only = ipa_range(ipa + 7 * block, block);
    struct ipa_range odd = ipa_range(ipa + 11 * block + page, 5 * page);

    aim_at(samples, ipa + 2 * block, 10 * block);
    aim_at(samples, ipa_number(hole.start) - page, 3 * page);
    return s2_space_unmap(samples->space, hole) == MAPPING_OK &&
           s2_space_protect(samples->space, read_only, S2_READ) == MAPPING_OK &&
           s2_space_protect(samples->space, odd, RW | S2_NORMAL_NC) == MAPPING_OK;
}

/* A leaf of @level that is left whole, one that is split, and one's size in blocks of the level
 * below. */
static bool map_large(struct samples *samples, int level)
{
    static const mapping_flags_t caps[] = {S2_CAP_LEVEL1, S2_CAP_LEVEL2};
    uint64_t size = level_size(samples, level);
    uint64_t ipa;

    if (!s2_level_is_leaf(samples->geometry, level) || !take(samples, size, size, &ipa)) {
        return true;
    }
    aim_at(samples, ipa, size);
    if (!map(samples, ipa, size, RW)) {
        return false;
    }
    if (take(samples, size, size, &ipa) && !(map(samples, ipa, size, RW) && split(samples, ipa))) {
        return false;
    }
    return !take(samples, size, size, &ipa) || map(samples, ipa, size, RW | caps[level]);
}

static void begin(struct samples *samples, struct s2_space *space)
{
    const struct s2_geometry *geometry = s2_table_geometry(s2_space_table(space));
    uint64_t page = s2_granule_size(geometry);

    *samples = (struct samples){
        .space = space,
        .geometry = geometry,
        .free = ipa_range(2 * page, MAPPING_BIT(geometry->ipa_bits) - 4 * page),
    };
}

bool samples_map(struct samples *samples, struct s2_space *space)
{
    uint64_t page, last;

    begin(samples, space);
    page = page_size(samples);
    last = MAPPING_BIT(samples->geometry->ipa_bits) - page;
    aim_at(samples, 0, 2 * page);
    aim_at(samples, last - page, 2 * page);
    return map(samples, 0, page, RW) && map(samples, last, page, S2_READ) &&
           map_kinds(samples, S2_LEVEL_PAGE) && map_extras(samples) && map_stores(samples) &&
           map_misaligned(samples, run_size(samples, S2_LEVEL_PAGE), page) &&
           map_runs(samples, S2_LEVEL_PAGE) && map_capped(samples) &&
           map_misaligned(samples, level_size(samples, BLOCK_LEVEL),
                          run_size(samples, S2_LEVEL_PAGE)) &&
           map_kinds(samples, BLOCK_LEVEL) && map_runs(samples, BLOCK_LEVEL) &&
           map_large(samples, 1) && map_runs(samples, 1) && map_large(samples, 0);
}
