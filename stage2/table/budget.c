/*
 * budget.c - how far a step may go.
 *
 *      cursor's range   |-----------------------------------------------|
 *      done             |==============|
 *      this step                       |---------->|
 *      tables            [          ][ ][ ][   block   ][            ]
 *                                      ^next       ^ it must not end here, so it ends before the
 *                                                    block, or behind it if nothing else is done
 *
 * Finding that end reads what the verb will look at, no more, and counts it.
 */
#include "stage2/table/budget.h"

struct s2_budget s2_budget_of(bool sees_pages, enum s2_cleaning cleaning, size_t count)
{
    return (struct s2_budget){.sees_pages = sees_pages, .cleaning = cleaning, .left = count};
}

void s2_budget_spend(struct s2_budget *budget, size_t cost)
{
    budget->left -= cost < budget->left ? cost : budget->left;
}

/* Whether what costs @cost belongs to this step: it does if nothing else would. */
static bool budget_takes(struct s2_budget *budget, uint64_t cost)
{
    MAPPING_ASSERT(cost > 0);
    if (cost > budget->left && budget->has_any) {
        return false;
    }
    s2_budget_spend(budget, cost < SIZE_MAX ? (size_t)cost : SIZE_MAX);
    budget->has_any = true;
    return true;
}

/* Lines to clean for @size bytes that the entry @desc maps. */
static uint64_t lines_of(const struct s2_budget *budget, const struct s2_table *table,
                         s2_desc_t desc, uint64_t size)
{
    const bool is_retyped = budget->cleaning == S2_CLEAN_RETYPED && s2_desc_is_valid(desc) &&
                            !s2_attr_is_alike(s2_desc_attr(&table->format, desc), budget->attr);

    if (budget->cleaning != S2_CLEAN_ALL && !is_retyped) {
        return 0;
    }
    MAPPING_ASSERT(u64_is_pow2(table->memory.cache_line));
    return size / table->memory.cache_line;
}

/* What goes as one from the cursor on: a leaf, the rest of its run, a hole; no further than the
 * range, whose end the verb would split too. */
static struct ipa_range unit_at(const struct s2_walk *walk, s2_desc_t desc)
{
    const bool is_run = s2_desc_is_leaf(desc, walk->level) && s2_desc_is_contiguous(desc);
    const unsigned count = is_run ? s2_run_entries(&walk->table->geometry, walk->level) : 1;
    const uint64_t size = (uint64_t)count << s2_walk_shift(walk);
    const struct ipa_range whole = {ipa_align_down(walk->at, size), size};

    MAPPING_ASSERT(!s2_walk_is_done(walk));
    return ipa_range_between(walk->at, ipa_min(ipa_range_end(whole), walk->end));
}

/* Into the table at the cursor, unless it goes as one: of pages, all of them in the range, with none
 * to be seen and not too many to be cleaned. */
static bool budget_enters(const struct s2_budget *budget, const struct s2_walk *walk,
                          s2_desc_t desc)
{
    const uint64_t size = BIT(s2_walk_shift(walk));

    if (!s2_desc_is_table(desc, walk->level)) {
        return false;
    }
    return budget->sees_pages || walk->level + 1 < S2_LEVEL_PAGE || s2_walk_whole(walk) == 0 ||
           lines_of(budget, walk->table, desc, size) > budget->left;
}

ipa_t s2_budget_end(struct s2_budget *budget, struct s2_table *table, struct ipa_range rest)
{
    struct s2_walk walk;

    MAPPING_ASSERT(rest.size > 0);
    if (budget->left == S2_STEP_ALL) {
        return ipa_range_end(rest);
    }
    s2_walk_begin(&walk, table, rest);
    while (!s2_walk_is_done(&walk)) {
        const s2_desc_t desc = arch_desc_load(s2_walk_slot(&walk));

        if (budget_enters(budget, &walk, desc)) {
            s2_budget_spend(budget, 1);
            s2_walk_descend(&walk, desc);
        } else {
            const struct ipa_range unit = unit_at(&walk, desc);
            const uint64_t entries =
                (unit.size + BIT(s2_walk_shift(&walk)) - 1) >> s2_walk_shift(&walk);

            if (!budget_takes(budget, entries + lines_of(budget, table, desc, unit.size))) {
                return walk.at;
            }
            walk.at = ipa_range_end(unit);
            s2_walk_ascend_all(&walk);
        }
    }
    MAPPING_ASSERT(budget->has_any);
    return walk.at;
}
