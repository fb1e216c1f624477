/*
 * memory_set.h - the areas of one guest: disjoint, ordered, backed.
 *
 * An AVL tree of areas over storage that the caller gives: one struct memory_node per area that
 * may exist at the same time. Every operation that changes it drives the backends of the areas it
 * touches, in two phases (backend.h draws them):
 *
 *   1. check the arguments, find the pieces, count the nodes, hold what the backends need;
 *   2. change piece by piece, ascending, and list each change as soon as its backend made it.
 *
 * All or nothing: a refusal in phase 1 has changed nothing and is passed on as it is. A backend
 * that holds cannot refuse in phase 2. One that does, or one without reserve: if it was the very
 * first change, nothing has changed and its error is passed on; else the answer is
 * MAPPING_BAD_STATE, and the set lists exactly what the backends hold.
 *
 * Areas are never joined behind the caller's back: memory_set_merge() does it when asked.
 *
 * Cost: n is the number of areas. No call recurses; stack <= 512 bytes without the backends'.
 * Context: the set takes no lock. The caller serialises all calls on one set (an address space
 * does it with its own lock); a set does not move once initialised.
 */
#ifndef TRESTLE_CORE_MEMORY_SET_H
#define TRESTLE_CORE_MEMORY_SET_H

#include "core/addr.h"
#include "core/avl.h"
#include "core/backend.h"
#include "core/c.h"
#include "core/err.h"
#include "core/memory_area.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

TRESTLE_BEGIN

/* How many areas there may be at once at most: nodes name each other in 32 bits. */
#define MEMORY_SET_NODES_MAX AVL_NODES_MAX

/* One area's storage, 72 bytes, is a struct memory_node: the caller gives an array of them. All
 * fields are private. */
struct memory_set {
    struct avl_tree tree;
    size_t node_count;
    size_t free_count; /* the nodes that are no area, */
    uint32_t free;     /* the link of the first of them; of each the next one; 0: the end */
};

enum overlap_policy {
    OVERLAP_REJECT, /* refuse to map over what is there */
    OVERLAP_UNMAP   /* unmap what is in the way, in the same operation */
};

/* Which areas to protect, and how. @new_flags holds the old ones at first. false: leave this area
 * alone. Pure: may be asked twice. */
typedef bool (*memory_set_update_fn)(mapping_flags_t old_flags, void *arg,
                                     mapping_flags_t *new_flags);

/**
 * memory_set_init() - Make @set empty.
 * @nodes:      the caller's array, the set's until it is forgotten. Overwritten.
 * @node_count: how many areas there may be at once, at most MEMORY_SET_NODES_MAX (59,652,324; more
 *              asserts); with 0 @nodes may be NULL.
 * Cost:     O(@node_count).
 */
void memory_set_init(struct memory_set *set, struct memory_node nodes[], size_t node_count);

/* The number of areas. O(1). */
size_t memory_set_len(const struct memory_set *set);
bool memory_set_is_empty(const struct memory_set *set);

/* Whether any byte of @range lies in an area; of one that wraps, what lies below the top. An empty
 * range overlaps nothing. O(log n). */
bool memory_set_overlaps(const struct memory_set *set, struct ipa_range range);

/**
 * memory_set_find() - The area that holds @addr.
 * Returns:  the area; NULL: none holds it. Valid until the set next changes.
 * Cost:     O(log n).
 */
const struct memory_area *memory_set_find(const struct memory_set *set, ipa_t addr);

/* The lowest area that @addr is in or below: where to start on what lies from @addr on. NULL: none;
 * valid until the set next changes. O(log n). */
const struct memory_area *memory_set_find_from(const struct memory_set *set, ipa_t addr);

/**
 * memory_set_first() - The lowest area.
 * memory_set_next()  - The one above @area.
 * @area:    from this set, which has not changed since; a stranger's asserts.
 * Returns:  the area; NULL: there is none. Valid until the set next changes.
 * Cost:     O(log n); all areas one by one O(n).
 */
const struct memory_area *memory_set_first(const struct memory_set *set);
const struct memory_area *memory_set_next(const struct memory_set *set,
                                          const struct memory_area *area);

/**
 * memory_set_find_free() - Where @size bytes would fit: the lowest place at or above @hint, else
 *                          the lowest one below it.
 * @hint:    anywhere, also outside @limit; rounded up to @align.
 * @size:    bytes, at least 1.
 * @align:   of the answer; a power of two.
 * @limit:   all of [*start, *start + @size) lies in it. Not empty, does not wrap.
 * @start:   the place; written on MAPPING_OK only. Nothing is taken.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM; MAPPING_NOT_FOUND: no such place.
 * Cost:     O(log n) where @size >= @align and the borders of the areas are multiples of @align;
 *           else O(log n) more for each gap that is long enough but misaligned, and for m of them
 *           O(m log(n / m)) in all.
 */
MAPPING_MUST_USE enum mapping_error memory_set_find_free(const struct memory_set *set, ipa_t hint,
                                                         uint64_t size, uint64_t align,
                                                         struct ipa_range limit, ipa_t *start);

/**
 * memory_set_map() - Add @area and have its backend map it.
 * @area:    copied. Its range is not empty and does not wrap; its backend is complete.
 * @policy:  what becomes of areas in the way. OVERLAP_UNMAP: they lose what @area takes, by one
 *           unmap each, ascending, before the map; what is left of them stays as it is.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM: range, backend or policy; MAPPING_ALREADY_EXISTS:
 *           something is in the way and the policy is OVERLAP_REJECT; MAPPING_NO_NODE;
 *           MAPPING_BAD_STATE; whatever a backend refused with.
 * On error: nothing has changed, MAPPING_BAD_STATE as said above.
 * Cost:     O(log n + areas in the way).
 */
MAPPING_MUST_USE enum mapping_error memory_set_map(struct memory_set *set, struct memory_area area,
                                                   void *page_table, enum overlap_policy policy);

/**
 * memory_set_unmap() - Remove all that lies in @range; areas that stick out lose their part.
 * @range:   holes in it are fine. Empty: nothing is asked, MAPPING_OK.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM: it wraps; MAPPING_NO_NODE: it lies inside one area,
 *           which would become two; MAPPING_BAD_STATE; whatever a backend refused with.
 * On error: nothing has changed, MAPPING_BAD_STATE as said above.
 * Cost:     O(log n + areas in @range).
 */
MAPPING_MUST_USE enum mapping_error memory_set_unmap(struct memory_set *set, struct ipa_range range,
                                                     void *page_table);

/**
 * memory_set_protect() - Give new flags to what lies in @range.
 * @range:   as for memory_set_unmap(). Areas that stick out are split in two or three, and the
 *           parts outside keep their flags.
 * @update:  asked for each area that overlaps @range; not NULL. Where it answers true the backend
 *           is called, even if the new flags equal the old ones: it may know of changes to what is
 *           mapped that the flags do not show. The area is then not split, and takes no node.
 * @arg:     handed to @update.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM: @range wraps, no @update; MAPPING_NO_NODE;
 *           MAPPING_BAD_STATE; whatever a backend refused with.
 * On error: nothing has changed, MAPPING_BAD_STATE as said above.
 * Cost:     O(log n + areas in @range).
 */
MAPPING_MUST_USE enum mapping_error memory_set_protect(struct memory_set *set,
                                                       struct ipa_range range,
                                                       memory_set_update_fn update, void *arg,
                                                       void *page_table);

/**
 * memory_set_clear() - Unmap everything, as one operation.
 * Returns:  MAPPING_OK; MAPPING_BAD_STATE; whatever a backend refused with.
 * On error: nothing has changed; on MAPPING_BAD_STATE what remains is still listed.
 * Cost:     O(n).
 */
MAPPING_MUST_USE enum mapping_error memory_set_clear(struct memory_set *set, void *page_table);

/**
 * memory_set_merge() - Join neighbours that touch and have equal flags, backend and tag.
 * @range:   every pair is looked at of which both overlap or touch it; so an empty range joins
 *           across that address. No backend is called: the translations stay as they are.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM: it wraps.
 * Cost:     O(log n + areas that overlap or touch @range).
 */
MAPPING_MUST_USE enum mapping_error memory_set_merge(struct memory_set *set,
                                                     struct ipa_range range);

/**
 * memory_set_check() - Whether all that the set believes is consistent.
 * Proves: areas are not empty, in order and disjoint, their backends complete; the tree's links,
 * its balance and what it knows of gaps are right; every node is an area or free, none is both.
 * Cost: O(node_count). For tests and for checks at rest.
 */
bool memory_set_check(const struct memory_set *set);

TRESTLE_END

#endif
