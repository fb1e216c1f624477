/*
 * fold.c - uniform tables back into blocks and runs: the way back from a cut.
 *
 * From the lowest block level up, each in two passes with one tail between them, and then the runs:
 *
 *      break   [ T ]  ->  [ t ]      t: broken, but still knows where its table is
 *      tail                          no walker comes to the table any more, so what the hardware
 *                                    set in its entries is final
 *      make    [ t ]  ->  [ B ]      the first entry's output, AF and dirty state of them all
 */
#include "stage2/operation.h"
#include "stage2/walk.h"

/* Whether the @count leaves of @level at @entries map one stretch that is aligned to its size, and
 * are alike but for the hint and for AF and dirty state where the hardware sets them. */
static bool is_uniform(const struct s2_table *table, const s2_desc_t *entries, unsigned count,
                       int level)
{
    const uint64_t size = s2_level_size(&table->geometry, level);
    const s2_desc_t first = arch_desc_load(entries);
    const s2_desc_t ignored = s2_desc_with_hint(s2_desc_hardware_bits(&table->format, first));
    s2_desc_t expected = s2_desc_or(first, ignored);

    MAPPING_ASSERT(u64_is_pow2(count));
    if (!s2_desc_is_leaf(first, level) ||
        !pa_is_aligned(s2_desc_address(&table->format, first), count * size)) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!s2_desc_eq(s2_desc_or(arch_desc_load(&entries[i]), ignored), expected)) {
            return false;
        }
        expected = s2_desc_next(expected, size);
    }
    return true;
}

/* AF and dirty state of any of @count leaves that are uniform. */
static s2_desc_t hardware_state(const struct s2_table *table, const s2_desc_t *entries,
                                unsigned count)
{
    const s2_desc_t bits = s2_desc_hardware_bits(&table->format, arch_desc_load(entries));
    s2_desc_t state = S2_DESC_NONE;

    for (unsigned i = 0; i < count && !s2_desc_is_none(bits); i++) {
        state = s2_desc_or(state, s2_desc_and(arch_desc_load(&entries[i]), bits));
    }
    return state;
}

/* --- Blocks ---------------------------------------------------------------------------------- */

static const s2_desc_t *child_entries(const struct s2_table *table, s2_desc_t desc)
{
    const s2_desc_t *entries = frame_pool_ptr(table->pool, s2_desc_address(&table->format, desc));

    MAPPING_ASSERT(entries != NULL);
    return entries;
}

/* First pass over @count entries: break the tables that are uniform; how many those were. */
static unsigned break_tables(struct s2_walk *walk, unsigned count)
{
    struct s2_table *table = walk->table;
    s2_desc_t *slot = s2_walk_slot(walk);
    unsigned broken = 0;

    for (unsigned i = 0; i < count; i++) {
        const s2_desc_t desc = arch_desc_load(&slot[i]);

        if (s2_desc_is_table(desc, walk->level) &&
            is_uniform(table, child_entries(table, desc), s2_table_entries(&table->geometry),
                       walk->level + 1)) {
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
    const unsigned entries = s2_table_entries(&table->geometry);
    s2_desc_t *slot = s2_walk_slot(walk);
    unsigned made = 0;

    for (unsigned i = 0; i < count; i++) {
        const s2_desc_t desc = arch_desc_load(&slot[i]);

        if (s2_desc_is_broken(desc)) {
            const pa_t pa = s2_desc_address(&table->format, desc);
            const s2_desc_t *child = child_entries(table, desc);
            const s2_desc_t first = arch_desc_load(child);
            const s2_desc_t attr = s2_desc_or(s2_desc_attr(&table->format, first),
                                              hardware_state(table, child, entries));

            MAPPING_ASSERT(*frame_pool_count(table->pool, pa) == entries);
            s2_operation_link(table, &slot[i],
                              s2_desc_leaf(&table->format, walk->level,
                                           s2_desc_address(&table->format, first), attr));
            s2_operation_release(table, pa);
            made++;
        }
    }
    return made;
}

/* --- Runs ------------------------------------------------------------------------------------ */

/* First pass: break the aligned groups that could be a run and are not yet. */
static unsigned break_groups(struct s2_walk *walk, unsigned count)
{
    struct s2_table *table = walk->table;
    const unsigned run = s2_run_entries(&table->geometry, walk->level);
    s2_desc_t *slot = s2_walk_slot(walk);
    unsigned broken = 0;

    MAPPING_ASSERT(run > 1);
    for (unsigned i = (run - s2_walk_index(walk) % run) % run; i + run <= count; i += run) {
        if (s2_desc_is_contiguous(arch_desc_load(&slot[i])) ||
            !is_uniform(table, &slot[i], run, walk->level)) {
            continue;
        }
        for (unsigned k = 0; k < run; k++) {
            (void)s2_operation_break(&slot[i + k]);
        }
        s2_operation_stored(table, &slot[i], run);
        s2_operation_owe(table,
                         s2_entry_stretch(&table->geometry, walk->level, walk->at, i, i + run),
                         walk->level);
        broken++;
    }
    return broken;
}

/* Second pass: make them runs. */
static unsigned make_runs(struct s2_walk *walk, unsigned count)
{
    struct s2_table *table = walk->table;
    const unsigned run = s2_run_entries(&table->geometry, walk->level);
    s2_desc_t *slot = s2_walk_slot(walk);
    unsigned made = 0;

    for (unsigned i = (run - s2_walk_index(walk) % run) % run; i + run <= count; i += run) {
        if (!s2_desc_is_broken(arch_desc_load(&slot[i]))) {
            continue;
        }
        for (unsigned k = 0; k < run; k++) {
            const s2_desc_t leaf = s2_desc_mend(arch_desc_load(&slot[i + k]));

            arch_desc_store(&slot[i + k], s2_desc_with_hint(leaf));
        }
        s2_operation_stored(table, &slot[i], run);
        made++;
    }
    return made;
}

/* --- The verb -------------------------------------------------------------------------------- */

typedef unsigned (*fold_pass_fn)(struct s2_walk *walk, unsigned count);

/* @pass over the whole entries of @level in @range; the sum of its answers. */
static unsigned fold_pass(struct s2_table *table, struct ipa_range range, int level,
                          fold_pass_fn pass)
{
    struct s2_walk walk;
    unsigned sum = 0;

    MAPPING_ASSERT(level >= table->geometry.start_level && level <= S2_LEVEL_PAGE);
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

static void fold_level(struct s2_table *table, struct ipa_range range, int level,
                       fold_pass_fn break_pass, fold_pass_fn make_pass)
{
    const unsigned broken = fold_pass(table, range, level, break_pass);
    unsigned made;

    if (broken > 0) {
        s2_table_flush(table);
        made = fold_pass(table, range, level, make_pass);
        MAPPING_ASSERT(made == broken);
        (void)made;
    }
}

static void fold(struct s2_table *table, struct ipa_range range, mapping_flags_t flags)
{
    const int cap = (int)FIELD_GET(S2_CAP, flags);
    const int first = cap > table->geometry.start_level ? cap : table->geometry.start_level;

    for (int level = S2_LEVEL_PAGE - 1; level >= first; level--) {
        if (s2_level_is_leaf(&table->geometry, level)) {
            fold_level(table, range, level, break_tables, make_blocks);
        }
    }
    for (int level = S2_LEVEL_PAGE; level >= first && (flags & S2_NO_CONTIGUOUS) == 0; level--) {
        if (s2_level_is_leaf(&table->geometry, level) &&
            s2_run_entries(&table->geometry, level) > 1) {
            fold_level(table, range, level, break_groups, make_runs);
        }
    }
}

enum mapping_error s2_table_fold_within(struct s2_table *table, struct ipa_range range,
                                        mapping_flags_t flags)
{
    if (!s2_table_is_range(table, range) || (flags & ~S2_ALL_FLAGS) != 0) {
        return MAPPING_INVALID_PARAM;
    }
    s2_table_begin(table);
    fold(table, range, flags);
    s2_table_end(table);
    return MAPPING_OK;
}

enum mapping_error s2_table_fold(struct s2_table *table, struct ipa_range range)
{
    return s2_table_fold_within(table, range, 0);
}
