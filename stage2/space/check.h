/*
 * check.h - whether the wall between guests stands.
 */
#ifndef TRESTLE_STAGE2_SPACE_CHECK_H
#define TRESTLE_STAGE2_SPACE_CHECK_H

#include "core/c.h"
#include "stage2/space/space.h"

TRESTLE_BEGIN

/**
 * s2_space_check() - Whether every descriptor follows from an area.
 * Proves: set and tables are each consistent; every leaf follows from an area, with its flags; of a
 * linear one every byte is mapped, to its output, of a lazy one any part, to granules of its pool,
 * and of traps and guards nothing; no area shows a frame of the tables' pool, or of a guarded one,
 * that the pool has not handed out as data, and each that it shows is counted.
 * Cost: O(entries + areas + frames of the pool that are mapped). Locks the space.
 */
bool s2_space_check(struct s2_space *space);

TRESTLE_END

#endif
