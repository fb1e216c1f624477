/*
 * identify.h - what this CPU can do, and what all that come up can do together.
 *
 *      static struct s2_meeting meeting;                   zeroed: nobody has come yet
 *
 *      each CPU    mine = s2_features_read();
 *                  s2_meeting_join(&meeting, &mine)        all at once, or one by one
 *      then one    common = s2_meeting_close(&meeting);    tables are made for that
 *      any later   s2_meeting_join(&meeting, &mine)        MAPPING_UNSUPPORTED: it runs no guest
 */
#ifndef TRESTLE_STAGE2_ARCH_IDENTIFY_H
#define TRESTLE_STAGE2_ARCH_IDENTIFY_H

#include "core/c.h"
#include "core/err.h"
#include "core/lock.h"
#include "stage2/arch/features.h"

#include <stdbool.h>

TRESTLE_BEGIN

/* Fields are private. Zero is an empty meeting. Seen by all CPUs at one address. */
struct s2_meeting {
    struct s2_features common;
    struct mapping_lock lock;
    bool has_any;
    bool is_closed;
};

/* What the ID registers of the CPU that this runs on say. Context: EL2; the thread stays on its
 * CPU. */
struct s2_features s2_features_read(void);

/* Whether tables that were made for @need work on a CPU with @cpu: it can do as much, and asks
 * for no workaround that they leave out. */
bool s2_features_cover(const struct s2_features *cpu, const struct s2_features *need);

/**
 * s2_meeting_join() - One more CPU, with @mine: before the meeting is closed, what is common is no
 *                     more than that from now on.
 * Returns:  MAPPING_OK; MAPPING_UNSUPPORTED: the meeting is closed, and tables were promised what
 *           this CPU cannot keep (s2_features_cover()); nothing has changed.
 * Context:  any number of CPUs at once; their caches are on.
 */
MAPPING_MUST_USE enum mapping_error s2_meeting_join(struct s2_meeting *meeting,
                                                    const struct s2_features *mine);

/* What all that have joined can do, for good: who joins later is measured by it. That nobody has
 * joined is the caller's bug. May be called again, and answers the same. */
struct s2_features s2_meeting_close(struct s2_meeting *meeting);

TRESTLE_END

#endif
