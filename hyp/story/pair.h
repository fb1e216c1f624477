/*
 * pair.h - two small guests by turns, and what is done to either from outside.
 */
#ifndef TRESTLE_HYP_STORY_PAIR_H
#define TRESTLE_HYP_STORY_PAIR_H

#include "hyp/vm/guest.h"

#define PAIR 2

/**
 * pair_check() - Both keep what is theirs, and lose what is taken.
 * @guests:  two of hyp/story/small.h, booted; as before in the end.
 *
 * They take turns. Then each of this is done to one while the other is loaded, and once more while
 * it is loaded itself:
 *
 *      one page, 16 pages, all pages    unmapped, and mapped again
 *      a page                           gets other memory, and its own again
 *      16 pages                         read-only; writable again while it stands at the fault
 *
 * Returns:  whether they saw what they should; if not, notes say what they did not.
 */
bool pair_check(struct guest *guests[PAIR]);

#endif
