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

#include "stage2/table/operation.h"

/* --- Counting -------------------------------------------------------------------------------- */

static bool may_be_leaf(const struct s2_geometry *geometry, int level,
                        const struct s2_mapping *mapping)
{
    return level >= mapping->cap && s2_level_is_leaf(geometry, level) &&
           u64_is_aligned(mapping->offset, s2_level_size(geometry, level));
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
    const uint64_t ragged = (ipa_is_aligned(range.start, BIT(shift)) ? 0U : 1U) +
                            (ipa_is_aligned(ipa_range_end(range), BIT(shift)) ? 0U : 1U);

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

/* The two loops that everything is mapped by: @count leaves from @slot on, each @size bytes after
 * the one before; four a turn, as a table is filled faster than a loop is counted. */
static void fill_dark(s2_desc_t *slot, size_t count, s2_desc_t leaf, uint64_t size)
{
    for (; count >= 4; count -= 4, slot += 4) {
        arch_desc_fill(&slot[0], leaf);
        leaf = s2_desc_next(leaf, size);
        arch_desc_fill(&slot[1], leaf);
        leaf = s2_desc_next(leaf, size);
        arch_desc_fill(&slot[2], leaf);
        leaf = s2_desc_next(leaf, size);
        arch_desc_fill(&slot[3], leaf);
        leaf = s2_desc_next(leaf, size);
    }
    for (; count > 0; count--, slot++) {
        arch_desc_fill(slot, leaf);
        leaf = s2_desc_next(leaf, size);
    }
}

static void fill_live(s2_desc_t *slot, size_t count, s2_desc_t leaf, uint64_t size)
{
    for (; count > 0; count--, slot++) {
        arch_desc_store(slot, leaf);
        leaf = s2_desc_next(leaf, size);
    }
}

void s2_zero_dark(s2_desc_t *slot, size_t count)
{
    fill_dark(slot, count, S2_DESC_NONE, 0);
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

    MAPPING_ASSERT(pa_is_aligned(pa, BIT(shift)));
    count = (unsigned)u64_min(count, s2_address_room(&walk->table->format, pa) >> shift);
    *is_run = false;
    if (run == 1 || !u64_is_aligned(mapping->offset, (uint64_t)run << shift)) {
        return count;
    }
    if (into == 0 && count >= run) {
        *is_run = true;
        return count - count % run;
    }
    return (unsigned)u64_min(count, run - into);
}

/* @count leaves from the cursor on, in as many loops as there are stretches that are alike. */
static void fill_leaves(struct s2_walk *walk, const struct s2_mapping *mapping, unsigned count)
{
    const uint64_t size = BIT(s2_walk_shift(walk));

    MAPPING_ASSERT(count <= s2_walk_entries(walk) - s2_walk_index(walk));
    MAPPING_ASSERT(!mapping->is_rewrite || is_dark(walk));
    MAPPING_ASSERT(pa_span_fits(ipa_plus_offset(walk->at, mapping->offset), count * size,
                                BIT(walk->table->geometry.pa_bits)));
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
            fill_dark(slot, part, leaf, size);
        } else {
            fill_live(slot, part, leaf, size);
            s2_operation_stored(walk->table, slot, part);
        }
        s2_walk_skip(walk, part);
        count -= part;
    }
}

/* How many leaves can stand at this level, from the cursor on. */
static unsigned leaves_here(const struct s2_walk *walk, const struct s2_mapping *mapping)
{
    return may_be_leaf(&walk->table->geometry, walk->level, mapping) ? s2_walk_whole(walk) : 0;
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
    s2_zero_dark(entries, first);
    s2_zero_dark(entries + last, s2_walk_entries(walk) - last);
}

/* Into the table at the cursor, which is made if there is none. */
static void enter_table(struct s2_walk *walk)
{
    const bool is_fresh = walk->level >= walk->fresh;
    const s2_desc_t desc = is_fresh ? S2_DESC_NONE : arch_desc_load(s2_walk_slot(walk));
    pa_t pa;

    if (s2_desc_is_table(desc, walk->level)) {
        s2_walk_descend(walk, desc);
        return;
    }
    MAPPING_ASSERT(!s2_desc_is_valid(desc)); /* none, or broken by a replace */
    pa = s2_operation_take(walk->table);
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
    s2_walk_enter(walk, pa);
    MAPPING_ASSERT(*s2_walk_count(walk) == 0);
    zero_rest(walk);
}

/* Out of the tables that are done. The topmost dark one is linked now that it is filled. */
static void leave_tables(struct s2_walk *walk)
{
    while (s2_walk_is_leaving(walk)) {
        const struct s2_walk_step *step = s2_walk_step(walk);

        if (is_dark(walk)) {
            s2_clean_descs(walk->table, step->entries, s2_walk_entries(walk));
        }
        if (walk->level == walk->dark) {
            s2_operation_link(walk->table, step->slot,
                              s2_desc_table(&walk->table->format, step->pa));
            walk->dark = S2_DARK_NONE;
        }
        if (walk->level == walk->fresh) {
            walk->fresh = S2_DARK_NONE;
        }
        s2_walk_ascend(walk);
    }
}

void s2_map_fill(struct s2_walk *walk, const struct s2_mapping *mapping)
{
    while (!s2_walk_is_done(walk)) {
        const unsigned count = leaves_here(walk, mapping);

        if (count > 0) {
            fill_leaves(walk, mapping, count);
        } else {
            enter_table(walk);
        }
        leave_tables(walk);
    }
    MAPPING_ASSERT(walk->level == walk->top);
    MAPPING_ASSERT(walk->dark == S2_DARK_NONE || walk->dark == walk->top);
}

/* --- The verb -------------------------------------------------------------------------------- */

static enum mapping_error mapping_init(const struct s2_table *table, struct ipa_range range,
                                       pa_t pa, mapping_flags_t flags, struct s2_mapping *mapping)
{
    const unsigned cap = (unsigned)FIELD_GET(S2_CAP, flags);

    *mapping = (struct s2_mapping){
        .offset = pa_minus_ipa(pa, range.start),
        .cap = cap == 0 ? S2_LEVEL_FIRST : (int)cap,
        .has_runs = (flags & S2_NO_CONTIGUOUS) == 0,
    };
    return s2_attr_encode(&table->format, flags, &mapping->attr);
}

/* Whether the next @count entries are none. One that is a table is not: no table is empty. */
static bool entries_are_none(struct s2_walk *walk, unsigned count)
{
    const s2_desc_t *slot = s2_walk_slot(walk);

    for (unsigned i = 0; i < count; i++) {
        if (!s2_desc_is_none(arch_desc_load(&slot[i]))) {
            return false;
        }
    }
    return true;
}

bool s2_map_is_free(struct s2_table *table, ipa_t start, ipa_t end)
{
    struct s2_walk walk;

    if (!ipa_lt(start, end)) {
        return true;
    }
    s2_walk_begin(&walk, table, ipa_range_between(start, end));
    while (!s2_walk_is_done(&walk)) {
        const s2_desc_t desc = arch_desc_load(s2_walk_slot(&walk));
        const unsigned count = s2_walk_whole(&walk);

        if (count == 0 && s2_desc_is_table(desc, walk.level)) {
            s2_walk_descend(&walk, desc);
            continue;
        }
        if (!entries_are_none(&walk, count == 0 ? 1 : count)) {
            return false;
        }
        if (count > 0) {
            s2_walk_skip(&walk, count);
        } else {
            s2_walk_skip_entry(&walk);
        }
        s2_walk_ascend_all(&walk);
    }
    return true;
}

/* The tables for what lies in the entry at the cursor, which no leaf of @mapping fills; enters it
 * if it is a table. A block of which held unmaps split a part leaves behind the tables of that. */
static size_t count_entry(struct s2_walk *walk, const struct s2_mapping *mapping)
{
    const struct s2_geometry *geometry = &walk->table->geometry;
    const s2_desc_t desc = arch_desc_load(s2_walk_slot(walk));
    const struct ipa_range piece = s2_walk_piece(walk);
    const struct ipa_range entry = s2_walk_entry(walk);
    size_t tables;

    if (s2_desc_is_table(desc, walk->level)) {
        s2_walk_descend(walk, desc);
        return 0;
    }
    tables = s2_map_tables(geometry, piece, walk->level, mapping);
    if (!s2_desc_is_none(desc)) {
        const size_t left = s2_pieces_tables_left(walk->table, entry, walk->level, piece);

        MAPPING_ASSERT(left <= tables);
        tables -= left;
    }
    s2_walk_skip_entry(walk);
    return tables;
}

static size_t count_tables(struct s2_table *table, struct ipa_range range,
                           const struct s2_mapping *mapping)
{
    struct s2_walk walk;
    size_t tables = 0;

    s2_walk_begin(&walk, table, range);
    while (!s2_walk_is_done(&walk)) {
        const unsigned count = leaves_here(&walk, mapping);

        if (count > 0) {
            s2_walk_skip(&walk, count);
        } else {
            tables += count_entry(&walk, mapping);
        }
        s2_walk_ascend_all(&walk);
    }
    return tables;
}

enum mapping_error s2_count_map(struct s2_table *table, struct ipa_range range, pa_t pa,
                                mapping_flags_t flags, size_t *tables)
{
    struct s2_mapping mapping;
    enum mapping_error error;

    if (!s2_table_is_range(table, range) || !s2_table_is_output(table, pa, range.size)) {
        return MAPPING_INVALID_PARAM;
    }
    error = mapping_init(table, range, pa, flags, &mapping);
    if (error != MAPPING_OK) {
        return error;
    }
    if (!s2_table_is_data(table, pa, range.size)) {
        return MAPPING_DENIED;
    }
    if (!s2_pieces_leave_free(table, range)) {
        return MAPPING_ALREADY_EXISTS;
    }
    /* Mapped before and after, so invalid for a moment in between: as a replace. */
    if (table->refuses_transient && !s2_map_is_free(table, range.start, ipa_range_end(range))) {
        return MAPPING_DENIED;
    }
    *tables = count_tables(table, range, &mapping);
    return MAPPING_OK;
}

enum mapping_error s2_table_hold_map(struct s2_table *table, struct ipa_range range, pa_t pa,
                                     mapping_flags_t flags)
{
    size_t tables;
    enum mapping_error error = s2_count_map(table, range, pa, flags, &tables);

    if (error == MAPPING_OK && !s2_pieces_have_room(table, range)) {
        error = MAPPING_UNSUPPORTED;
    }
    if (error == MAPPING_OK) {
        error = s2_operation_hold(table, tables);
    }
    if (error == MAPPING_OK) {
        s2_pieces_held_map(table, range);
    }
    return error;
}

void s2_table_do_map(struct s2_table *table, struct ipa_range range, pa_t pa, mapping_flags_t flags)
{
    struct s2_mapping mapping;
    struct s2_walk walk;
    const enum mapping_error error = mapping_init(table, range, pa, flags, &mapping);

    MAPPING_ASSERT(error == MAPPING_OK);
    MAPPING_ASSERT(table->operation.depth > 0);
    MAPPING_ASSERT(s2_table_is_range(table, range));
    MAPPING_ASSERT(s2_table_is_output(table, pa, range.size));
    (void)error;
    s2_pieces_do(table);
    /* What was removed here may still be cached; a make before its flush would put two translations of
     * one IPA into the world. It also frees the tables that are needed again: what they spanned is
     * among the invalidations. */
    if (s2_tlb_batch_touches(&table->operation.invalidations, range)) {
        s2_table_flush(table);
    }
    s2_operation_show_code(table, flags);
    s2_operation_maps(table, flags);
    s2_walk_begin(&walk, table, range);
    s2_map_fill(&walk, &mapping);
}

enum mapping_error s2_table_map(struct s2_table *table, struct ipa_range range, pa_t pa,
                                mapping_flags_t flags)
{
    enum mapping_error error;

    s2_table_begin(table);
    error = s2_table_hold_map(table, range, pa, flags);
    if (error == MAPPING_OK) {
        s2_table_do_map(table, range, pa, flags);
    }
    s2_table_end(table);
    return error;
}
