#include "stage2/table/verbs.h"

#include "stage2/table/change.h"
#include "stage2/table/operation.h"
#include "stage2/table/walk.h"

enum mapping_error s2_table_map(struct s2_table *table, struct ipa_range range, pa_t pa,
                                mapping_flags_t flags)
{
    return s2_table_perform(table, &(struct s2_request){S2_VERB_MAP, range, pa, flags});
}

enum mapping_error s2_table_map_over(struct s2_table *table, struct ipa_range range, pa_t pa,
                                     mapping_flags_t flags)
{
    const struct s2_request unmap = {.verb = S2_VERB_UNMAP, .range = range};
    const struct s2_request map = {S2_VERB_MAP, range, pa, flags};
    enum mapping_error error;

    s2_table_begin(table);
    error = s2_table_hold(table, &unmap);
    if (error == MAPPING_OK) {
        error = s2_table_hold(table, &map);
    }
    if (error == MAPPING_OK) {
        s2_table_do(table, &unmap);
        s2_table_do(table, &map);
    }
    s2_table_end(table);
    return error;
}

enum mapping_error s2_table_unmap(struct s2_table *table, struct ipa_range range)
{
    return s2_table_perform(table, &(struct s2_request){.verb = S2_VERB_UNMAP, .range = range});
}

enum mapping_error s2_table_protect(struct s2_table *table, struct ipa_range range,
                                    mapping_flags_t flags)
{
    return s2_table_perform(
        table, &(struct s2_request){.verb = S2_VERB_PROTECT, .range = range, .flags = flags});
}

enum mapping_error s2_table_replace(struct s2_table *table, struct ipa_range range, pa_t pa)
{
    return s2_table_perform(
        table, &(struct s2_request){.verb = S2_VERB_REPLACE, .range = range, .pa = pa});
}

enum mapping_error s2_table_frames_needed(const struct s2_table *table,
                                          const struct s2_request *request, size_t *frames)
{
    struct s2_table *view = s2_walk_reading(table);
    struct s2_change change;
    enum mapping_error error = s2_change_begin(view, request, &change);

    MAPPING_ASSERT(frames != NULL);
    if (error == MAPPING_OK) {
        error = s2_change_count(view, &change);
    }
    if (error == MAPPING_OK) {
        *frames = change.tables << table->table_order;
    }
    return error;
}
