#include "stage2/table/state.h"

void s2_state_tell(struct s2_table *table)
{
    struct s2_operation *operation = &table->operation;

    if (operation->removed_state != 0) {
        table->sink.removed(table->sink.arg, operation->removed, operation->removed_state);
        operation->removed_state = 0;
    }
}

void s2_state_removed(struct s2_table *table, struct ipa_range range, s2_desc_t old, s2_desc_t next)
{
    struct s2_operation *operation = &table->operation;
    unsigned state;

    MAPPING_ASSERT(operation->depth > 0);
    if (!s2_state_is_tracked(table)) {
        return;
    }
    state = s2_desc_state(&table->format, old) & ~s2_desc_state(&table->format, next);
    if (state == 0) {
        return;
    }
    if (state == operation->removed_state &&
        ipa_eq(ipa_range_end(operation->removed), range.start)) {
        operation->removed = ipa_range_join(operation->removed, range);
        return;
    }
    s2_state_tell(table);
    operation->removed = range;
    operation->removed_state = state;
}
