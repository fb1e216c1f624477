/*
 * err.h - what an operation can answer.
 *
 * Every operation that can fail answers one of these. On any answer but MAPPING_OK and
 * MAPPING_BAD_STATE nothing has changed: no area, no descriptor, no counter, no frame.
 */
#ifndef TRESTLE_CORE_ERR_H
#define TRESTLE_CORE_ERR_H

#include "core/c.h"

TRESTLE_BEGIN

enum mapping_error {
    MAPPING_OK = 0,
    MAPPING_INVALID_PARAM,  /* misaligned, empty, wrapping or out of range; nothing changed */
    MAPPING_ALREADY_EXISTS, /* overlaps what is there; nothing changed */
    MAPPING_BAD_STATE,      /* a backend refused midway, or areas and tables disagree */
    MAPPING_NOT_FOUND,      /* nothing there, or no gap that fits */
    MAPPING_NO_FRAME,       /* frame pool or quota exhausted; nothing changed */
    MAPPING_NO_NODE,        /* area storage exhausted; nothing changed */
    MAPPING_DENIED,         /* permission or policy forbids it; nothing changed */
    MAPPING_UNSUPPORTED,    /* this CPU or configuration cannot; nothing changed */
};

/* An answer that a caller drops is a wall that nobody looked at. */
#define MAPPING_MUST_USE __attribute__((warn_unused_result))

/**
 * mapping_error_name() - The enumerator's own spelling, for logs and tests.
 * @error:   any value; one that is no enumerator answers "MAPPING_?".
 * Returns:  a string with static lifetime, never NULL.
 */
const char *mapping_error_name(enum mapping_error error);

TRESTLE_END

#endif
