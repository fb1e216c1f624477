/*
 * requests.h - the pieces of an operation, held and done, with their operands in a line.
 */
#ifndef TRESTLE_TESTS_UNIT_REQUESTS_H
#define TRESTLE_TESTS_UNIT_REQUESTS_H

#include "stage2/table/operation.h"

static inline enum mapping_error hold_map(struct s2_table *table, struct ipa_range range, pa_t pa,
                                          mapping_flags_t flags)
{
    return s2_table_hold(table, &(struct s2_request){S2_VERB_MAP, range, pa, flags});
}

static inline enum mapping_error hold_unmap(struct s2_table *table, struct ipa_range range)
{
    return s2_table_hold(table, &(struct s2_request){.verb = S2_VERB_UNMAP, .range = range});
}

static inline enum mapping_error hold_protect(struct s2_table *table, struct ipa_range range,
                                              mapping_flags_t flags)
{
    return s2_table_hold(
        table, &(struct s2_request){.verb = S2_VERB_PROTECT, .range = range, .flags = flags});
}

static inline enum mapping_error hold_replace(struct s2_table *table, struct ipa_range range,
                                              pa_t pa)
{
    return s2_table_hold(table,
                         &(struct s2_request){.verb = S2_VERB_REPLACE, .range = range, .pa = pa});
}

static inline void do_map(struct s2_table *table, struct ipa_range range, pa_t pa,
                          mapping_flags_t flags)
{
    s2_table_do(table, &(struct s2_request){S2_VERB_MAP, range, pa, flags});
}

static inline void do_unmap(struct s2_table *table, struct ipa_range range)
{
    s2_table_do(table, &(struct s2_request){.verb = S2_VERB_UNMAP, .range = range});
}

static inline void do_protect(struct s2_table *table, struct ipa_range range, mapping_flags_t flags)
{
    s2_table_do(table,
                &(struct s2_request){.verb = S2_VERB_PROTECT, .range = range, .flags = flags});
}

static inline void do_replace(struct s2_table *table, struct ipa_range range, pa_t pa)
{
    s2_table_do(table, &(struct s2_request){.verb = S2_VERB_REPLACE, .range = range, .pa = pa});
}

#endif
