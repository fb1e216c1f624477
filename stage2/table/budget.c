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

#include "stage2/table/store.h"

struct s2_budget s2_budget_of(bool sees_pages, enum s2_cleaning cleaning, size_t count)
{
    return (struct s2_budget){.sees_pages = sees_pages, .cleaning = cleaning, .left = count};
}

void s2_budget_spend(struct s2_budget *budget, size_t cost)
{
    budget->left -= cost < budget->left ? cost : budget->left;
}

/* Spend @cost. Returns: false: it does not belong to this step, as something else does already. */
static bool budget_take(struct s2_budget *budget, uint64_t cost)
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
    MAPPING_ASSERT(mapping_u64_is_pow2(table->memory.cache_line));
    return size / table->memory.cache_line;
}

/* What goes as one from the @i-th entry on: a leaf, the rest of its run, a hole; no further than
 * the range, whose end the verb would split too. */
static struct ipa_range unit_at(const struct s2_walk *walk, ipa_t at, s2_desc_t desc)
{
    const bool is_run = s2_desc_is_leaf(desc, walk->level) && s2_desc_is_contiguous(desc);
    const unsigned count = is_run ? s2_run_entries(&walk->table->geometry, walk->level) : 1;
    const uint64_t size = (uint64_t)count << s2_walk_shift(walk);
    const struct ipa_range whole = {ipa_align_down(at, size), size};

    return ipa_range_between(at, ipa_min(ipa_range_end(whole), walk->end));
}

/* Whether a table is entered, or goes as one: of pages, all of them in the range, with none to be
 * seen and not too many to be cleaned. */
static bool budget_enters(const struct s2_budget *budget, const struct s2_walk *walk,
                          s2_desc_t desc)
{
    const uint64_t size = MAPPING_BIT(s2_walk_shift(walk));

    if (!s2_desc_is_table(desc, walk->level)) {
        return false;
    }
    return budget->sees_pages || walk->level + 1 < S2_LEVEL_PAGE ||
           lines_of(budget, walk->table, desc, size) > budget->left;
}

/* How far a step has come. */
struct reach {
    struct s2_budget *budget;
    ipa_t end;
};

/* A look into a table costs one. */
static bool spend_on_table(struct s2_walk *walk, void *arg)
{
    struct reach *reach = arg;

    (void)walk;
    s2_budget_spend(reach->budget, 1);
    return true;
}

/* How many entries from the cursor's on a step has gone through, the last maybe in part. */
static unsigned entries_behind(const struct reach *reach, const struct s2_walk *walk)
{
    const unsigned shift = s2_walk_shift(walk);
    const ipa_t start = s2_walk_entry(walk).start;

    return ipa_lt(walk->at, reach->end)
               ? (unsigned)((ipa_distance(start, reach->end) + MAPPING_BIT(shift) - 1) >> shift)
               : 0;
}

/* Pages that are not cleaned cost one each, whatever they are: as many as the budget has, from the
 * @i-th of @count on, less what would tear a run. Returns: false: that is none. */
static bool spend_on_pages(struct reach *reach, struct s2_walk *walk, unsigned i, unsigned count)
{
    const unsigned run = s2_run_entries(&walk->table->geometry, S2_LEVEL_PAGE);
    const s2_desc_t *slot = s2_walk_slot(walk) + i;
    struct s2_budget *budget = reach->budget;
    unsigned pages;

    MAPPING_ASSERT(i < count || count == 0);
    if (walk->level != S2_LEVEL_PAGE || budget->cleaning != S2_CLEAN_NONE || budget->left == 0) {
        return false;
    }
    pages = (unsigned)mapping_u64_min(count - i, budget->left);
    if (pages < count - i && s2_desc_is_contiguous(arch_desc_load(&slot[pages - 1]))) {
        const unsigned torn = (s2_walk_index(walk) + i + pages) % run;

        pages = torn < pages ? pages - torn : 0;
    }
    if (pages == 0) {
        return false;
    }
    MAPPING_ASSERT(pages <= budget->left);
    s2_budget_spend(budget, pages);
    budget->has_any = true;
    reach->end = ipa_range_end(
        s2_entry_stretch(&walk->table->geometry, S2_LEVEL_PAGE, walk->at, i, i + pages));
    return true;
}

enum spent { SPENT, SPENT_ALL, SPENT_ON_TABLE };

/* The unit that the @i-th entry from the cursor is, or goes on with. */
static enum spent spend_on_unit(struct reach *reach, struct s2_walk *walk, unsigned i)
{
    const unsigned shift = s2_walk_shift(walk);
    const s2_desc_t desc = arch_desc_load(s2_walk_slot(walk) + i);
    const struct ipa_range unit = unit_at(walk, ipa_max(reach->end, walk->at), desc);
    const uint64_t entries = (unit.size + MAPPING_BIT(shift) - 1) >> shift;

    if (budget_enters(reach->budget, walk, desc)) {
        return SPENT_ON_TABLE;
    }
    if (!budget_take(reach->budget,
                     entries + lines_of(reach->budget, walk->table, desc, unit.size))) {
        return SPENT_ALL;
    }
    reach->end = ipa_range_end(unit);
    return SPENT;
}

/* Up to the first table that is entered, or as far as the budget goes. A unit may have begun in the
 * entries that were shown before. */
static unsigned spend_on_entries(struct s2_walk *walk, unsigned count, void *arg)
{
    struct reach *reach = arg;
    unsigned i;

    while ((i = entries_behind(reach, walk)) < (count > 0 ? count : 1)) {
        enum spent spent = SPENT;

        if (!spend_on_pages(reach, walk, i, count)) {
            spent = spend_on_unit(reach, walk, i);
        }
        if (spent != SPENT) {
            return spent == SPENT_ALL ? S2_WALK_STOP : i;
        }
    }
    return count;
}

ipa_t s2_budget_end(struct s2_budget *budget, struct s2_table *table, struct ipa_range rest)
{
    static const struct s2_visitor visitor = {
        .visit = spend_on_entries, .enter = spend_on_table, .takes_tables = true};
    struct reach reach = {.budget = budget, .end = rest.start};

    MAPPING_ASSERT(rest.size > 0);
    if (budget->left == SIZE_MAX) {
        return ipa_range_end(rest);
    }
    if (budget->cleaning == S2_CLEAN_RETYPED && s2_has_only(table, budget->attr)) {
        budget->cleaning = S2_CLEAN_NONE;
    }
    (void)s2_walk_visit(table, rest, &visitor, &reach);
    MAPPING_ASSERT(budget->has_any);
    MAPPING_ASSERT(ipa_le(rest.start, reach.end) && ipa_le(reach.end, ipa_range_end(rest)));
    return reach.end;
}
