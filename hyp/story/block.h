/*
 * block.h - checks on a large block of a guest's RAM: too large to write all of it.
 */
#ifndef TRESTLE_HYP_STORY_BLOCK_H
#define TRESTLE_HYP_STORY_BLOCK_H

#include "hyp/vm/guest.h"

/* @range is mapped by one block, which is readable and writable: guest and EL2 agree on pages all
 * over it; a page is split out of its middle, and all the rest stays; the page comes back, and a
 * fold makes it one block again. */
void block_check(struct guest *guest, struct ipa_range range);

#endif
