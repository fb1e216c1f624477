#include "stage2/table/step.h"

#include "stage2/table/budget.h"
#include "stage2/table/fold.h"
#include "stage2/table/verbs.h"

enum mapping_error s2_table_unmap_step(struct s2_table *table, struct s2_cursor *cursor,
                                       size_t budget)
{
    struct s2_budget left = s2_budget_of(false, S2_CLEAN_NONE, budget);
    enum mapping_error error;
    ipa_t end;

    if (!s2_table_is_range(table, cursor->range)) {
        return MAPPING_INVALID_PARAM;
    }
    end = s2_budget_end(&left, table, s2_cursor_rest(cursor));
    error = s2_table_unmap(table, ipa_range_between(cursor->next, end));
    if (error == MAPPING_OK) {
        s2_cursor_move(cursor, end);
    }
    return error;
}

enum mapping_error s2_table_protect_step(struct s2_table *table, struct s2_cursor *cursor,
                                         mapping_flags_t flags, size_t budget)
{
    struct s2_budget left = s2_budget_of(true, S2_CLEAN_RETYPED, budget);
    enum mapping_error error = MAPPING_INVALID_PARAM;
    ipa_t end;

    if (s2_table_is_range(table, cursor->range)) {
        error = s2_attr_encode(&table->format, flags, &left.attr);
    }
    if (error != MAPPING_OK) {
        return error;
    }
    end = s2_budget_end(&left, table, s2_cursor_rest(cursor));
    error = s2_table_protect(table, ipa_range_between(cursor->next, end), flags);
    if (error == MAPPING_OK) {
        s2_cursor_move(cursor, end);
    }
    return error;
}

enum mapping_error s2_table_fold_step(struct s2_table *table, struct s2_cursor *cursor,
                                      mapping_flags_t flags, size_t budget)
{
    struct s2_budget left = s2_budget_of(true, S2_CLEAN_NONE, budget);
    enum mapping_error error;
    ipa_t end;

    if (!s2_table_is_range(table, cursor->range)) {
        return MAPPING_INVALID_PARAM;
    }
    end = s2_budget_end(&left, table, s2_cursor_rest(cursor));
    error = s2_table_fold_part(table, cursor->range, ipa_range_between(cursor->next, end), flags);
    if (error == MAPPING_OK) {
        s2_cursor_move(cursor, end);
    }
    return error;
}
