/*
 * access.h - a guest's memory, as the host reads and writes it.
 *
 * By IPA, across areas, pages and blocks; nothing is taken to lie together because its IPAs do. Lazy
 * areas get their memory as they would by the guest's own access. Traps and guards are refused: there
 * is no memory.
 *
 * A pin holds frames, which are counted (core/frame_pool.h): what the area gives up meanwhile is free when
 * nobody has it any more. Frames of the tables' pool are counted, and of those that the tables' guard
 * knows; lazy memory of any other pool is not pinned. What lies in no pool is the embedder's, and stays.
 *
 * The space is locked for at most S2_ACCESS_CHUNK bytes at a time, and the guest may run. So a long
 * access is not one that happens at once: what a guest, or a change of the map, does meanwhile shows
 * in a part of it.
 */
#ifndef TRESTLE_STAGE2_SPACE_ACCESS_H
#define TRESTLE_STAGE2_SPACE_ACCESS_H

#include "core/c.h"
#include "stage2/space/space.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

TRESTLE_BEGIN

#define S2_ACCESS_CHUNK (UINT64_C(64) << 10)

/* By what right. */
enum s2_right {
    S2_AS_GUEST, /* what stage 2 allows the guest */
    S2_AS_HOST,  /* whatever is memory: to load a kernel, to look at a guest that is dead */
};

/**
 * s2_space_read()    - Copy @size bytes of the guest's memory from @ipa on to @bytes.
 * s2_space_write()   - Copy @bytes there.
 * s2_space_zero()    - Write zeros there.
 * s2_space_compare() - Whether they are there: *@done is less than @size where they are not.
 * @size:    any; a range that wraps is refused.
 * @done:    how many bytes were dealt with, exactly, whatever the answer; NULL: nobody asks.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM: it wraps; MAPPING_NOT_FOUND: no area there;
 *           MAPPING_DENIED: not allowed, a trap, a guard, or memory ops that refused;
 *           MAPPING_UNSUPPORTED: a device, or memory that cannot be reached from here;
 *           MAPPING_NO_FRAME, and whatever else a lazy area's fill is refused with.
 * On error: what came before *@done is done.
 * Order:    aligned 1, 2, 4 and 8 bytes are one access each, as a device's would be; others none in
 *           particular. What was written is where a guest reads it whose caches are off, and
 *           instruction caches are not told: map executable memory after it was written, or
 *           invalidate them. A leaf that hardware would mark dirty on a write is marked.
 * Cost:     O(levels + log n) for each leaf, and the copy.
 */
MAPPING_MUST_USE enum mapping_error s2_space_read(struct s2_space *space, ipa_t ipa, void *bytes,
                                                  size_t size, enum s2_right right, size_t *done);
MAPPING_MUST_USE enum mapping_error s2_space_write(struct s2_space *space, ipa_t ipa,
                                                   const void *bytes, size_t size,
                                                   enum s2_right right, size_t *done);
MAPPING_MUST_USE enum mapping_error s2_space_zero(struct s2_space *space, ipa_t ipa, size_t size,
                                                  enum s2_right right, size_t *done);
MAPPING_MUST_USE enum mapping_error s2_space_compare(struct s2_space *space, ipa_t ipa,
                                                     const void *bytes, size_t size,
                                                     enum s2_right right, size_t *done);

/* A stretch of memory that lies in one piece. */
struct s2_pin {
    pa_t pa;       /* of the first byte */
    uint64_t size; /* bytes */
    void *ptr;     /* where it can be reached here; NULL: only through the memory ops */
};

/**
 * s2_space_pin() - Hold what the guest has from @ipa on, so that it stays where it is and is nobody
 *                  else's until s2_space_unpin().
 * @size:    bytes, not 0. What comes may be less: the rest is asked for anew.
 * @flags:   S2_READ, S2_WRITE: what is to be done with it; a write marks it dirty.
 * @pin:     written on MAPPING_OK only.
 * Returns:  as s2_space_write(); MAPPING_UNSUPPORTED: also lazy memory whose frames nobody counts;
 *           MAPPING_DENIED: also what cannot be counted any more.
 * Order:    caches are the caller's: a device that is not coherent, or a guest that goes past them, asks
 *           for cleaning.
 */
MAPPING_MUST_USE enum mapping_error s2_space_pin(struct s2_space *space, ipa_t ipa, uint64_t size,
                                                 mapping_flags_t flags, enum s2_right right,
                                                 struct s2_pin *pin);

/* Whatever @pin held may go. @space: whose it was; it may have no such page any more. */
void s2_space_unpin(struct s2_space *space, const struct s2_pin *pin);

/**
 * s2_space_cmpxchg() - Put @desired where *@expected is, as one access.
 * @size:     1, 2, 4 or 8; @ipa is aligned to it.
 * @expected: what was there, on MAPPING_OK; equal to what it was before: @desired is there now.
 * Returns:   MAPPING_OK, exchanged or not; MAPPING_INVALID_PARAM; as s2_space_write(), and to read
 *            has to be allowed too.
 * Order:     acquire and release.
 */
MAPPING_MUST_USE enum mapping_error s2_space_cmpxchg(struct s2_space *space, ipa_t ipa, size_t size,
                                                     uint64_t *expected, uint64_t desired,
                                                     enum s2_right right);

TRESTLE_END

#endif
