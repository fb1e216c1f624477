/*
 * map.h - spaces as lines that `make map.svg` draws (tests/tools/map_svg.awk): an area each, and a
 * stretch of leaves that are alike each.
 *
 *      map: NAME area KIND PERMISSIONS START END
 *      map: NAME leaf BYTES PERMISSIONS STATE START END      STATE: own, shared, dirty
 *
 * Addresses are IPAs, decimal.
 */
#ifndef TRESTLE_HYP_STORY_MAP_H
#define TRESTLE_HYP_STORY_MAP_H

#include "hyp/vm/guest.h"

#include <stddef.h>

/* All of @guests. A page is shared if another of them has it, too. */
void map_print(struct guest *const guests[], size_t count);

#endif
