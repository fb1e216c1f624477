/*
 * budget.h - how many descriptors a step may look at, and so where it ends.
 *
 * Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_TABLE_BUDGET_H
#define TRESTLE_STAGE2_TABLE_BUDGET_H

#include "stage2/table/cursor.h"
#include "stage2/table/walk.h"

/* Which leaves are cleaned when they are changed. */
enum s2_cleaning { S2_CLEAN_NONE, S2_CLEAN_RETYPED, S2_CLEAN_ALL };

/* What a verb looks at, and what of the budget is left for it. */
struct s2_budget {
    bool sees_pages;           /* also of tables of pages that lie whole in the range */
    enum s2_cleaning cleaning; /* S2_CLEAN_RETYPED: leaves whose type is not that of attr */
    s2_desc_t attr;
    size_t left;
    bool has_any; /* something was taken: the rest may wait */
};

struct s2_budget s2_budget_of(bool sees_pages, enum s2_cleaning cleaning, size_t count);

/* @cost of it is gone. */
void s2_budget_spend(struct s2_budget *budget, size_t cost);

/* Where a step over @rest ends: as far as the budget goes, which is spent. */
ipa_t s2_budget_end(struct s2_budget *budget, struct s2_table *table, struct ipa_range rest);

#endif
