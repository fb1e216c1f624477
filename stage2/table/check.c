/*
 * check.c - whether the tables are as this library makes them.
 */
#include "stage2/table/operation.h"
#include "stage2/table/walk.h"

/* Whether a valid leaf stands where leaves may, aligned and inside the output size. */
static bool leaf_is_sound(const struct s2_table *table, s2_desc_t desc, int level)
{
    const uint64_t size = s2_level_size(&table->geometry, level);
    const pa_t pa = s2_desc_address(&table->format, desc);

    return s2_level_is_leaf(&table->geometry, level) && pa_is_aligned(pa, size) &&
           pa_span_fits(pa, size, BIT(table->geometry.pa_bits));
}

static bool child_is_sound(const struct s2_table *table, s2_desc_t desc)
{
    const pa_t pa = s2_desc_address(&table->format, desc);

    return frame_pool_is_taken(table->pool, pa, table->table_order) &&
           frame_pool_ptr(table->pool, pa) != NULL;
}

/* Whether the run of @count leaves of @level from @entries on, the first of which has the hint, is one
 * that hardware may take for one: all alike but for AF and dirty state, side by side in PA. */
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

/* The table that the cursor has just entered: its entries and its count. */
static bool check_table(struct s2_walk *walk, size_t *tables)
{
    const struct s2_table *table = walk->table;
    const s2_desc_t *entries = s2_walk_step(walk)->entries;
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

bool s2_table_check(const struct s2_table *table)
{
    struct s2_walk walk;
    size_t tables = 0;

    if (table->operation.depth != 0 || frame_reserve_count(&table->operation.held) != 0 ||
        table->operation.pending_count != 0) {
        return false;
    }
    s2_walk_begin(&walk, s2_walk_reading(table), ipa_range(0, BIT(table->geometry.ipa_bits)));
    if (!check_table(&walk, &tables)) {
        return false;
    }
    while (!s2_walk_is_done(&walk)) {
        const s2_desc_t desc = arch_desc_load(s2_walk_slot(&walk));

        if (s2_desc_is_table(desc, walk.level)) {
            s2_walk_descend(&walk, desc);
            if (!check_table(&walk, &tables)) {
                return false;
            }
        } else {
            s2_walk_skip_entry(&walk);
        }
        s2_walk_ascend_all(&walk);
    }
    /* What waits for a batch's flush is linked nowhere any more, and still counted. */
    return s2_operation_has_quarantined(table) ? tables < table->table_count
                                               : tables == table->table_count;
}
