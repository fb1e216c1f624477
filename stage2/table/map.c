/*
 * map.c - the mapper.
 *
 * Live tables are entered where they exist. Where they do not, a table is taken, filled while it
 * is dark, and linked by one store-release when the cursor leaves it:
 *
 *      live table  [ . . . . s . . . ]           s: still none; walkers fault here
 *                            :
 *                            v  linked last
 *      dark table  [ 0 0 L L L T L 0 ]           zeroed only where the range does not reach
 *                              |
 *                              v  linked at once, as nobody can come this way yet
 *      dark table        [ L L L L ... ]
 */
#include "stage2/table/map.h"

#include "stage2/table/dark.h"
#include "stage2/table/frames.h"
#include "stage2/table/pieces.h"
#include "stage2/table/store.h"

/* --- Counting -------------------------------------------------------------------------------- */

static bool may_be_leaf(const struct s2_geometry *geometry, int level,
                        const struct s2_mapping *mapping)
{
    return level >= mapping->cap && s2_level_is_leaf(geometry, level) &&
           mapping_u64_is_aligned(mapping->offset, s2_level_size(geometry, level));
}

/* How many entries of 2^@shift bytes @range touches. */
static uint64_t entries_touched(struct ipa_range range, unsigned shift)
{
    return ipa_index(ipa_range_last(range), shift) - ipa_index(range.start, shift) + 1;
}

/* How many of them it covers whole. */
static uint64_t entries_covered(struct ipa_range range, unsigned shift)
{
    const uint64_t touched = entries_touched(range, shift);
    const uint64_t ragged = (ipa_is_aligned(range.start, MAPPING_BIT(shift)) ? 0U : 1U) +
                            (ipa_is_aligned(ipa_range_end(range), MAPPING_BIT(shift)) ? 0U : 1U);

    return touched > ragged ? touched - ragged : 0;
}

/*
 * Level by level. As long as no leaf fits, every entry that the piece touches is a table. From the
 * level on where leaves fit, the middle is leaves and only the ragged ends need tables, one each:
 *
 *      |--T--|-- leaf --|-- leaf --|--T--|
 *         ^ the lower end             ^ the upper end
 */
size_t s2_map_tables(const struct s2_geometry *geometry, struct ipa_range piece, int level,
                     const struct s2_mapping *mapping)
{
    size_t tables = 1;
    int next = level + 1;

    MAPPING_ASSERT(level >= geometry->start_level && level < S2_LEVEL_PAGE);
    MAPPING_ASSERT(entries_touched(piece, s2_level_shift(geometry, level)) == 1);
    MAPPING_ASSERT(ipa_range_is_aligned(piece, s2_granule_size(geometry)));
    for (; next < S2_LEVEL_PAGE && (!may_be_leaf(geometry, next, mapping) ||
                                    entries_covered(piece, s2_level_shift(geometry, next)) == 0);
         next++) {
        tables += (size_t)entries_touched(piece, s2_level_shift(geometry, next));
    }
    for (; next < S2_LEVEL_PAGE; next++) {
        const uint64_t size = s2_level_size(geometry, next);

        tables += ipa_is_aligned(piece.start, size) ? 0U : 1U;
        tables += ipa_is_aligned(ipa_range_end(piece), size) ? 0U : 1U;
    }
    return tables;
}

/* --- Filling --------------------------------------------------------------------------------- */

/* Walkers may see each as soon as it is stored: by then memory is what whoever maps it has written. */
static void fill_live(s2_desc_t *slot, size_t count, s2_desc_t leaf, uint64_t size)
{
    for (; count > 0; count--, slot++) {
        arch_desc_publish(slot, leaf);
        leaf = s2_desc_next(leaf, size);
    }
}

static bool is_dark(const struct s2_walk *walk)
{
    return walk->level >= walk->dark;
}

/* How many of the next @count leaves, which go on at @pa, differ in nothing but the low address:
 * up to where the high address bits change, or the contiguous hint does. */
static unsigned alike(const struct s2_walk *walk, const struct s2_mapping *mapping, pa_t pa,
                      unsigned count, bool *is_run)
{
    const struct s2_geometry *geometry = &walk->table->geometry;
    const unsigned shift = s2_walk_shift(walk);
    const unsigned run = mapping->has_runs ? s2_run_entries(geometry, walk->level) : 1;
    const unsigned into = s2_walk_index(walk) % run; /* since the last border of a run */

    MAPPING_ASSERT(pa_is_aligned(pa, MAPPING_BIT(shift)));
    count = (unsigned)mapping_u64_min(count, s2_address_room(&walk->table->format, pa) >> shift);
    *is_run = false;
    if (run == 1 || !mapping_u64_is_aligned(mapping->offset, (uint64_t)run << shift)) {
        return count;
    }
    if (into == 0 && count >= run) {
        *is_run = true;
        return count - count % run;
    }
    return (unsigned)mapping_u64_min(count, run - into);
}

/* @count leaves from the cursor on, in as many loops as there are stretches that are alike. */
static void fill_leaves(struct s2_walk *walk, const struct s2_mapping *mapping, unsigned count)
{
    const uint64_t size = MAPPING_BIT(s2_walk_shift(walk));

    MAPPING_ASSERT(count <= s2_walk_entries(walk) - s2_walk_index(walk));
    MAPPING_ASSERT(!mapping->is_rewrite || is_dark(walk));
    MAPPING_ASSERT(pa_span_fits(ipa_plus_offset(walk->at, mapping->offset), count * size,
                                MAPPING_BIT(walk->table->geometry.pa_bits)));
    *s2_walk_count(walk) += mapping->is_rewrite ? 0 : count;
    MAPPING_ASSERT(*s2_walk_count(walk) <= s2_walk_entries(walk));
    while (count > 0) {
        const pa_t pa = ipa_plus_offset(walk->at, mapping->offset);
        s2_desc_t leaf = s2_desc_leaf(&walk->table->format, walk->level, pa, mapping->attr);
        s2_desc_t *slot = s2_walk_slot(walk);
        bool is_run;
        const unsigned part = alike(walk, mapping, pa, count, &is_run);

        MAPPING_ASSERT(part > 0 && part <= count);
        leaf = is_run ? s2_desc_with_hint(leaf) : leaf;
        if (is_dark(walk)) {
            s2_dark_fill(slot, part, leaf, size);
        } else {
            fill_live(slot, part, leaf, size);
            s2_stored(walk->table, slot, part);
        }
        s2_walk_skip(walk, part);
        count -= part;
    }
}

/* How many leaves can stand at this level, from the cursor on and before @end. */
static unsigned leaves_here(const struct s2_walk *walk, ipa_t end, const struct s2_mapping *mapping)
{
    return may_be_leaf(&walk->table->geometry, walk->level, mapping) ? s2_walk_whole_to(walk, end)
                                                                     : 0;
}

/* What the range does not reach of a table that is new, and that the cursor has just entered. */
static void zero_rest(struct s2_walk *walk)
{
    const unsigned first = s2_walk_index(walk);
    const struct ipa_range reached =
        ipa_range_meet(s2_walk_span(walk), ipa_range_between(walk->at, walk->end));
    const unsigned last = first + (unsigned)entries_touched(reached, s2_walk_shift(walk));
    s2_desc_t *entries = s2_walk_step(walk)->entries;

    MAPPING_ASSERT(is_dark(walk));
    MAPPING_ASSERT(last <= s2_walk_entries(walk));
    if (first > 0) {
        s2_dark_zero(entries, first);
    }
    if (last < s2_walk_entries(walk)) {
        s2_dark_zero(entries + last, s2_walk_entries(walk) - last);
    }
}

/* A table for the entry at the cursor, which is none, or broken by a replace. @is_fresh: it is in a
 * table that is new itself. */
static pa_t add_table(struct s2_walk *walk, bool is_fresh)
{
    const pa_t pa = s2_frames_take(walk->table);

    *s2_walk_count(walk) += 1;
    MAPPING_ASSERT(*s2_walk_count(walk) <= s2_walk_entries(walk));
    if (is_dark(walk)) {
        arch_desc_fill(s2_walk_slot(walk), s2_desc_table(&walk->table->format, pa));
    } else {
        walk->dark = walk->level + 1;
    }
    if (!is_fresh) {
        walk->fresh = walk->level + 1;
    }
    return pa;
}

/* Into the table at the cursor, which is made if there is none. */
static void enter_table(struct s2_walk *walk)
{
    const bool is_fresh = walk->level >= walk->fresh;
    const s2_desc_t desc = is_fresh ? S2_DESC_NONE : arch_desc_load(s2_walk_slot(walk));
    const bool is_new = !s2_desc_is_table(desc, walk->level);

    MAPPING_ASSERT(!is_new || !s2_desc_is_valid(desc));
    if (is_new) {
        const pa_t pa = add_table(walk, is_fresh);

        s2_walk_enter(walk, pa, frame_pool_ptr(walk->table->pool, pa));
        MAPPING_ASSERT(*s2_walk_count(walk) == 0);
        zero_rest(walk);
    } else {
        s2_walk_descend(walk, desc);
    }
}

/* Out of the tables that are done. The topmost dark one is linked now that it is filled. */
static void leave_tables(struct s2_walk *walk)
{
    while (s2_walk_is_leaving(walk)) {
        const struct s2_walk_step *step = s2_walk_step(walk);

        if (is_dark(walk)) {
            s2_memory_clean_tables(&walk->table->memory, step->entries, s2_walk_entries(walk));
        }
        if (walk->level == walk->dark) {
            s2_store_link(walk->table, step->slot, s2_desc_table(&walk->table->format, step->pa));
            walk->dark = S2_DARK_NONE;
        }
        if (walk->level == walk->fresh) {
            walk->fresh = S2_DARK_NONE;
        }
        s2_walk_ascend(walk);
    }
}

void s2_map_fill_to(struct s2_walk *walk, ipa_t end, const struct s2_mapping *mapping)
{
    MAPPING_ASSERT(ipa_le(end, walk->end));
    while (ipa_lt(walk->at, end)) {
        const unsigned count = leaves_here(walk, end, mapping);

        if (count > 0) {
            fill_leaves(walk, mapping, count);
        } else {
            enter_table(walk);
        }
        leave_tables(walk);
    }
}

void s2_map_fill(struct s2_walk *walk, const struct s2_mapping *mapping)
{
    s2_map_fill_to(walk, walk->end, mapping);
    MAPPING_ASSERT(walk->level == walk->top);
    MAPPING_ASSERT(walk->dark == S2_DARK_NONE || walk->dark == walk->top);
}

/* --- Counting a range ------------------------------------------------------------------------ */

struct count {
    const struct s2_mapping *mapping;
    size_t tables;
};

/* The tables for @piece of @entry, which no leaf of the mapping fills. A block of which held unmaps
 * split a part leaves behind the tables of that. */
static size_t entry_tables(const struct s2_walk *walk, const struct s2_mapping *mapping,
                           s2_desc_t desc, struct ipa_range entry, struct ipa_range piece)
{
    const size_t tables = s2_map_tables(&walk->table->geometry, piece, walk->level, mapping);
    size_t left = 0;

    if (!s2_desc_is_none(desc)) {
        left = s2_pieces_tables_left(walk->table, entry, walk->level, piece);
    }
    MAPPING_ASSERT(left <= tables);
    return tables - left;
}

/* Up to the first table, which is entered; where leaves fit there is nothing to count. */
static unsigned count_entries(struct s2_walk *walk, unsigned count, void *arg)
{
    const struct s2_geometry *geometry = &walk->table->geometry;
    const s2_desc_t *slot = s2_walk_slot(walk);
    struct count *counted = arg;

    if (count == 0) {
        counted->tables += entry_tables(walk, counted->mapping, arch_desc_load(slot),
                                        s2_walk_entry(walk), s2_walk_piece(walk));
        return 0;
    }
    if (may_be_leaf(geometry, walk->level, counted->mapping)) {
        return count;
    }
    for (unsigned i = 0; i < count; i++) {
        const s2_desc_t desc = arch_desc_load(&slot[i]);
        const struct ipa_range entry = s2_entry_stretch(geometry, walk->level, walk->at, i, i + 1);

        if (s2_desc_is_table(desc, walk->level)) {
            return i;
        }
        counted->tables += entry_tables(walk, counted->mapping, desc, entry, entry);
    }
    return count;
}

size_t s2_map_count(struct s2_table *table, struct ipa_range range,
                    const struct s2_mapping *mapping)
{
    static const struct s2_visitor visitor = {.visit = count_entries, .takes_tables = true};
    struct count count = {.mapping = mapping};

    (void)s2_walk_visit(table, range, &visitor, &count);
    return count.tables;
}
