/*
 * fold.c - uniform tables back into blocks: the way back from a cut.
 *
 * From the lowest block level up, each in two passes with one tail between them:
 *
 *      break   [ T ]  ->  [ t ]      t: broken, but still knows where its table is
 *      tail                          no walker comes to the table any more, so what the hardware
 *                                    set in its entries is final
 *      make    [ t ]  ->  [ B ]      the first entry's output, AF and dirty state of them all
 */
#include "stage2/operation.h"
#include "stage2/walk.h"

/* Whether the table of entries of @level at @entries, one for each, maps one stretch that a leaf
 * of @level - 1 could. */
static bool table_is_uniform(const struct s2_table *table, const s2_desc_t *entries, int level)
{
    const unsigned count = s2_table_entries(&table->geometry);
    const uint64_t size = s2_level_size(&table->geometry, level);
    const s2_desc_t first = arch_desc_load(entries);
    const s2_desc_t bits = s2_desc_hardware_bits(&table->format, first);
    s2_desc_t expected = s2_desc_or(first, bits);

    if (!s2_desc_is_leaf(first, level) ||
        !pa_is_aligned(s2_desc_address(&table->format, first),
                       s2_level_size(&table->geometry, level - 1))) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!s2_desc_eq(s2_desc_or(arch_desc_load(&entries[i]), bits), expected)) {
            return false;
        }
        expected = s2_desc_next(expected, size);
    }
    return true;
}

/* The block that a uniform table of @level makes. */
static s2_desc_t table_fold(const struct s2_table *table, const s2_desc_t *entries, int level)
{
    const s2_desc_t first = arch_desc_load(entries);
    const s2_desc_t bits = s2_desc_hardware_bits(&table->format, first);
    s2_desc_t attr = s2_desc_attr(&table->format, first);

    for (unsigned i = 0; i < s2_table_entries(&table->geometry); i++) {
        attr = s2_desc_or(attr, s2_desc_and(arch_desc_load(&entries[i]), bits));
    }
    return s2_desc_leaf(&table->format, level - 1, s2_desc_address(&table->format, first), attr);
}

static const s2_desc_t *child_entries(const struct s2_table *table, s2_desc_t desc)
{
    const s2_desc_t *entries = frame_pool_ptr(table->pool, s2_desc_address(&table->format, desc));

    MAPPING_ASSERT(entries != NULL);
    return entries;
}

/* First pass over @count entries: break the tables that are uniform; how many those were. */
static unsigned break_uniform(struct s2_walk *walk, unsigned count)
{
    struct s2_table *table = walk->table;
    s2_desc_t *slot = s2_walk_slot(walk);
    unsigned broken = 0;

    for (unsigned i = 0; i < count; i++) {
        const s2_desc_t desc = arch_desc_load(&slot[i]);

        if (s2_desc_is_table(desc, walk->level) &&
            table_is_uniform(table, child_entries(table, desc), walk->level + 1)) {
            arch_desc_store(&slot[i], s2_desc_break(desc));
            s2_operation_stored(table, &slot[i], 1);
            s2_operation_owe(table,
                             s2_entry_stretch(&table->geometry, walk->level, walk->at, i, i + 1),
                             S2_TLB_LEVEL_ANY);
            broken++;
        }
    }
    return broken;
}

/* Second pass: make them blocks; their tables are free. */
static unsigned make_blocks(struct s2_walk *walk, unsigned count)
{
    struct s2_table *table = walk->table;
    s2_desc_t *slot = s2_walk_slot(walk);
    unsigned made = 0;

    for (unsigned i = 0; i < count; i++) {
        const s2_desc_t desc = arch_desc_load(&slot[i]);

        if (s2_desc_is_broken(desc)) {
            s2_operation_link(table, &slot[i],
                              table_fold(table, child_entries(table, desc), walk->level + 1));
            s2_operation_release(table, s2_desc_address(&table->format, desc));
            made++;
        }
    }
    return made;
}

typedef unsigned (*fold_pass_fn)(struct s2_walk *walk, unsigned count);

/* @pass over the whole entries of @level in @range; the sum of its answers. */
static unsigned fold_pass(struct s2_table *table, struct ipa_range range, int level,
                          fold_pass_fn pass)
{
    struct s2_walk walk;
    unsigned sum = 0;

    s2_walk_begin(&walk, table, range);
    while (!s2_walk_is_done(&walk)) {
        const s2_desc_t desc = arch_desc_load(s2_walk_slot(&walk));
        const unsigned count = walk.level == level ? s2_walk_whole(&walk) : 0;

        if (count > 0) {
            sum += pass(&walk, count);
            s2_walk_skip(&walk, count);
        } else if (walk.level < level && s2_desc_is_table(desc, walk.level)) {
            s2_walk_descend(&walk, desc);
        } else {
            s2_walk_skip_entry(&walk);
        }
        s2_walk_ascend_all(&walk);
    }
    return sum;
}

enum mapping_error s2_table_fold(struct s2_table *table, struct ipa_range range)
{
    if (!s2_table_is_range(table, range)) {
        return MAPPING_INVALID_PARAM;
    }
    s2_table_begin(table);
    for (int level = S2_LEVEL_PAGE - 1; level >= table->geometry.start_level; level--) {
        if (s2_level_is_leaf(&table->geometry, level) &&
            fold_pass(table, range, level, break_uniform) > 0) {
            s2_table_flush(table);
            (void)fold_pass(table, range, level, make_blocks);
        }
    }
    s2_table_end(table);
    return MAPPING_OK;
}
