/*
 * request.h - one change to a table, as it is asked for: what every floor hands down.
 */
#ifndef TRESTLE_STAGE2_TABLE_REQUEST_H
#define TRESTLE_STAGE2_TABLE_REQUEST_H

#include "core/addr.h"
#include "core/backend.h"
#include "core/c.h"

TRESTLE_BEGIN

enum s2_verb { S2_VERB_MAP, S2_VERB_UNMAP, S2_VERB_PROTECT, S2_VERB_REPLACE };

struct s2_request {
    enum s2_verb verb;
    struct ipa_range range;
    pa_t pa;               /* map, replace */
    mapping_flags_t flags; /* map, protect */
};

TRESTLE_END

#endif
