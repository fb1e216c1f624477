#include "stage2/table/check.h"

#include "stage2/table/frames.h"
#include "stage2/table/walk.h"

/* Whether a valid leaf stands where leaves may, aligned and inside the output size. */
static bool leaf_is_sound(const struct s2_table *table, s2_desc_t desc, int level)
{
    const uint64_t size = s2_level_size(&table->geometry, level);
    const pa_t pa = s2_desc_address(&table->format, desc);

    return s2_level_is_leaf(&table->geometry, level) && pa_is_aligned(pa, size) &&
           pa_span_fits(pa, size, MAPPING_BIT(table->geometry.pa_bits));
}

static bool child_is_sound(const struct s2_table *table, s2_desc_t desc)
{
    const pa_t pa = s2_desc_address(&table->format, desc);

    return frame_pool_is_taken(table->pool, pa, table->table_order) &&
           frame_pool_ptr(table->pool, pa) != NULL;
}

/* Whether the run of @count leaves of @level from @entries on, the first of which has the hint, is
 * one that hardware may take for one: all alike but for AF and dirty state, side by side in PA. */
static bool run_is_sound(const struct s2_table *table, const s2_desc_t *entries, unsigned count,
                         int level)
{
    const uint64_t size = s2_level_size(&table->geometry, level);
    const s2_desc_t first = arch_desc_load(entries);
    const s2_desc_t bits = s2_desc_hardware_bits(&table->format, first);
    s2_desc_t expected = s2_desc_or(first, bits);

    if (count == 1 || !pa_is_aligned(s2_desc_address(&table->format, first), count * size)) {
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

/* Whether no run of the table that the cursor is in is torn, mixed or misaligned. */
static bool runs_are_sound(struct s2_walk *walk)
{
    const unsigned run = s2_run_entries(&walk->table->geometry, walk->level);
    const s2_desc_t *entries = s2_walk_step(walk)->entries;

    for (unsigned i = 0; i < s2_walk_entries(walk); i++) {
        const s2_desc_t desc = arch_desc_load(&entries[i]);

        if (s2_desc_is_leaf(desc, walk->level) && s2_desc_is_contiguous(desc) &&
            !(i % run == 0 ? run_is_sound(walk->table, &entries[i], run, walk->level)
                           : s2_desc_is_contiguous(arch_desc_load(&entries[i - 1])))) {
            return false;
        }
    }
    return true;
}

/* The table that the cursor has just entered: its entries, its count and its runs. @arg: how many
 * tables were linked so far. */
static bool table_is_sound(struct s2_walk *walk, void *arg)
{
    const struct s2_table *table = walk->table;
    const s2_desc_t *entries = s2_walk_step(walk)->entries;
    size_t *tables = arg;
    uint32_t used = 0;

    for (unsigned i = 0; i < s2_walk_entries(walk); i++) {
        const s2_desc_t desc = arch_desc_load(&entries[i]);
        const bool is_table = s2_desc_is_table(desc, walk->level);

        if (!s2_desc_is_legal(&table->format, desc, walk->level) ||
            (is_table && !child_is_sound(table, desc)) ||
            (s2_desc_is_leaf(desc, walk->level) && !leaf_is_sound(table, desc, walk->level))) {
            return false;
        }
        used += s2_desc_is_none(desc) ? 0 : 1;
        *tables += is_table ? 1 : 0;
    }
    return used == *s2_walk_count(walk) && (used > 0 || walk->level == walk->top) &&
           runs_are_sound(walk);
}

static unsigned pass_leaves(struct s2_walk *walk, unsigned count, void *arg)
{
    (void)arg;
    return s2_walk_to_table(walk, count);
}

bool s2_table_check(const struct s2_table *table)
{
    static const struct s2_visitor visitor = {.visit = pass_leaves, .enter = table_is_sound};
    const struct ipa_range all = ipa_range(0, MAPPING_BIT(table->geometry.ipa_bits));
    struct s2_table *view = s2_walk_reading(table);
    struct s2_walk root;
    size_t tables = 0;

    if (table->operation.depth != 0 || frame_reserve_count(&table->operation.held) != 0 ||
        table->operation.pending_count != 0) {
        return false;
    }
    s2_walk_begin(&root, view, all);
    if (!table_is_sound(&root, &tables) || !s2_walk_visit(view, all, &visitor, &tables)) {
        return false;
    }
    /* What is deferred is linked nowhere any more, and still counted. */
    return s2_frames_quarantined(table) > 0 ? tables < table->table_count
                                            : tables == table->table_count;
}
