/*
 * state.h - AF and dirty state that leaves lose, on its way to the sink (stage2/arch/sink.h).
 *
 * Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_TABLE_STATE_H
#define TRESTLE_STAGE2_TABLE_STATE_H

#include "stage2/table/table.h"

/* Whether somebody is told of it. */
static inline bool s2_state_is_tracked(const struct s2_table *table)
{
    return table->sink.removed != NULL && table->format.has_access_flag;
}

/* The leaf @old of @range was exchanged for @next, S2_DESC_NONE if for nothing: the sink is told of
 * the state that it had and @next does not, now or by s2_state_tell(). */
void s2_state_removed(struct s2_table *table, struct ipa_range range, s2_desc_t old,
                      s2_desc_t next);

/* The sink is told of all that it has not been told of yet. */
void s2_state_tell(struct s2_table *table);

#endif
