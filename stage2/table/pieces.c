#include "stage2/table/pieces.h"

/* --- Stretches ------------------------------------------------------------------------------- */

static bool touch(struct ipa_range a, struct ipa_range b)
{
    return ipa_le(a.start, ipa_range_end(b)) && ipa_le(b.start, ipa_range_end(a));
}

/* Whether nothing is mapped between the two, which do not touch. */
static bool is_free_between(struct s2_table *table, struct ipa_range a, struct ipa_range b)
{
    const struct ipa_range low = ipa_lt(a.start, b.start) ? a : b;
    const struct ipa_range high = ipa_lt(a.start, b.start) ? b : a;

    return s2_walk_is_free(table, ipa_range_end(low), high.start);
}

static void forget(struct s2_stretches *stretches, size_t index)
{
    MAPPING_ASSERT(index < stretches->count);
    stretches->at[index] = stretches->at[--stretches->count];
}

/* Add @range, as one with all that it touches. */
static void add(struct s2_stretches *stretches, struct ipa_range range)
{
    for (size_t i = stretches->count; i > 0; i--) {
        if (touch(stretches->at[i - 1], range)) {
            range = ipa_range_join(stretches->at[i - 1], range);
            forget(stretches, i - 1);
        }
    }
    MAPPING_ASSERT(stretches->count < S2_STRETCHES_MAX);
    stretches->at[stretches->count++] = range;
}

static bool has_room(const struct s2_stretches *stretches, struct ipa_range range)
{
    for (size_t i = 0; i < stretches->count; i++) {
        if (touch(stretches->at[i], range)) {
            return true;
        }
    }
    return stretches->count < S2_STRETCHES_MAX;
}

/* --- What the pieces held so far leave -------------------------------------------------------- */

/* The first hole that goes on behind @at, or begins there; an empty one at @end if there is
 * none. */
static struct ipa_range next_hole(const struct s2_stretches *holes, ipa_t at, ipa_t end)
{
    struct ipa_range next = ipa_range_between(end, end);

    for (size_t i = 0; i < holes->count; i++) {
        const struct ipa_range hole = holes->at[i];

        if (ipa_lt(at, ipa_range_end(hole)) && ipa_lt(hole.start, next.start)) {
            next = hole;
        }
    }
    return next;
}

bool s2_pieces_leave_free(struct s2_table *table, struct ipa_range range)
{
    const struct s2_pieces *pieces = &table->operation.pieces;
    const ipa_t end = ipa_range_end(range);
    ipa_t at = range.start;

    if (s2_stretches_meet(&pieces->maps, range) != NULL) {
        return false;
    }
    while (ipa_lt(at, end)) {
        const struct ipa_range hole = next_hole(&pieces->holes, at, end);

        if (!s2_walk_is_free(table, at, hole.start)) {
            return false;
        }
        at = ipa_max(ipa_range_end(hole), hole.start);
    }
    return true;
}

/* Whether a split at @end goes through an entry of @size bytes in @block that @piece needs a table
 * for, as it is in it and does not fill it. */
static bool leaves_table(struct ipa_range block, ipa_t end, uint64_t size, struct ipa_range piece)
{
    const struct ipa_range entry = {ipa_align_down(end, size), size};

    return ipa_range_has(block, end) && !ipa_is_aligned(end, size) &&
           ipa_range_overlaps(entry, piece);
}

/*
 * A split leaves a table in every entry, from the block itself down to the tables of pages, that
 * one of its ends goes through:
 *
 *      block    |==============.==============|      level 1
 *      entries  |======|=.====|       |===.===|      level 2
 *      hole               |                |
 *      piece                    |~~~|                 needs the first, and neither of the two below
 */
size_t s2_pieces_tables_left(const struct s2_table *table, struct ipa_range block, int level,
                             struct ipa_range piece)
{
    const struct s2_geometry *geometry = &table->geometry;
    const struct ipa_range *hole = s2_stretches_meet(&table->operation.pieces.holes, piece);
    size_t tables = 0;

    if (hole == NULL) {
        return 0;
    }
    MAPPING_ASSERT(ipa_range_covers(*hole, piece)); /* the rest of the block stays mapped */
    for (; level < S2_LEVEL_PAGE; level++) {
        const uint64_t size = s2_level_size(geometry, level);
        const ipa_t end = ipa_range_end(*hole);
        const bool is_low = leaves_table(block, hole->start, size, piece);
        const bool is_high = leaves_table(block, end, size, piece);
        const bool is_same = ipa_eq(ipa_align_down(hole->start, size), ipa_align_down(end, size));

        tables += (is_low ? 1U : 0U) + (is_high && !(is_low && is_same) ? 1U : 0U);
    }
    return tables;
}

/* --- Holding and doing ------------------------------------------------------------------------ */

/* Nothing is mapped between two that are one, now that the operation changes nothing yet. */
static void add_hole(struct s2_table *table, struct ipa_range range)
{
    struct s2_stretches *holes = &table->operation.pieces.holes;

    for (size_t i = holes->count; i > 0; i--) {
        const struct ipa_range hole = holes->at[i - 1];

        if (touch(hole, range) || is_free_between(table, hole, range)) {
            range = ipa_range_join(hole, range);
            forget(holes, i - 1);
            i = holes->count + 1; /* it may be one with those that were passed, too */
        }
    }
    if (holes->count < S2_STRETCHES_MAX) {
        add(holes, range);
    }
}

void s2_pieces_add(struct s2_table *table, enum s2_verb verb, struct ipa_range range)
{
    MAPPING_ASSERT(table->operation.pieces.left > 1);
    MAPPING_ASSERT(ipa_range_is_valid(range));
    if (verb == S2_VERB_UNMAP) {
        add_hole(table, range);
    } else if (verb == S2_VERB_MAP) {
        add(&table->operation.pieces.maps, range);
    }
}

bool s2_pieces_have_room(const struct s2_table *table, struct ipa_range range)
{
    return has_room(&table->operation.pieces.maps, range);
}
