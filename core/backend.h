/*
 * backend.h - what stands behind an area: who builds and tears down its translations.
 *
 * A MemorySet keeps the books, a backend does the work. For core a page table is a void pointer
 * that is handed through, and flags are a word that is compared and stored.
 *
 * An operation of a set on its backends, where P1, P2, ... are its pieces in ascending order, the
 * mapping of a replacement last:
 *
 *      begin    reserve P1  reserve P2 ...    change P1  change P2 ...    end
 *      |        |                             |                           |
 *      open     hold all that can run out     nothing fails from here     give back what is left,
 *      a batch  (any refusal: straight to     on                          close the batch
 *               end, nothing has changed)
 *
 * A backend without begin, reserve and end is called for its changes only. Then all-or-nothing
 * reaches as far as its first change: see memory_set.h.
 */
#ifndef TRESTLE_CORE_BACKEND_H
#define TRESTLE_CORE_BACKEND_H

#include "core/addr.h"
#include "core/c.h"
#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

TRESTLE_BEGIN

typedef uint64_t mapping_flags_t; /* opaque to core */

struct mapping_backend;

enum mapping_step { MAPPING_STEP_MAP, MAPPING_STEP_UNMAP, MAPPING_STEP_PROTECT };

/* One piece of an operation: never empty, never across the border of an area. */
struct mapping_change {
    enum mapping_step step;
    struct ipa_range range;
    mapping_flags_t old_flags; /* the area's; 0 for a map */
    mapping_flags_t new_flags; /* 0 for an unmap */
};

/*
 * The first three are required. Each changes all of @range or, on an error, nothing; where it has
 * reserved, it may not refuse. @self is the area's backend and lies in the set.
 *
 * begin, reserve, end: all three or none; the same begin and end for every backend over one page
 * table, since a set calls those of the first piece that has them.
 *   begin:   once per operation, before anything else; may nest. One that refuses has opened
 *            nothing, and no end follows.
 *   reserve: once per piece, ascending, before the first change. HOLDS what the piece will need,
 *            on top of what was held before, and touches no descriptor.
 *   end:     once after a begin that was MAPPING_OK, whatever the outcome, with the answer that
 *            the operation will give; the set already lists what is then true. Gives back what is
 *            left and closes the TLB batch.
 *
 * only: may be NULL. Asked before anything else where a set sees at once that an operation has one
 *       piece and no more: to do @change whole, in one call, as begin, reserve, the change and end
 *       would together, because it is so simple. Returns: false: it is not, nothing has changed,
 *       and they are called; errors are for them to tell.
 * None of them may call into the set that calls them.
 */
struct mapping_backend_ops {
    enum mapping_error (*map)(const struct mapping_backend *self, struct ipa_range range,
                              mapping_flags_t flags, void *page_table);
    enum mapping_error (*unmap)(const struct mapping_backend *self, struct ipa_range range,
                                void *page_table);
    enum mapping_error (*protect)(const struct mapping_backend *self, struct ipa_range range,
                                  mapping_flags_t new_flags, void *page_table);
    enum mapping_error (*begin)(void *page_table);
    enum mapping_error (*reserve)(const struct mapping_backend *self,
                                  const struct mapping_change *change, void *page_table);
    void (*end)(void *page_table, enum mapping_error outcome);
    bool (*only)(const struct mapping_backend *self, const struct mapping_change *change,
                 void *page_table);
};

/* Copied when an area is split; so whatever differs within an area follows from address and
 * cookie. */
struct mapping_backend {
    const struct mapping_backend_ops *ops;
    uint64_t cookie; /* the backend's own: pa - ipa of a linear area, say */
};

/* Whether @backend can be called as described above. */
static inline bool mapping_backend_is_complete(const struct mapping_backend *backend)
{
    const struct mapping_backend_ops *ops = backend->ops;

    if (ops == NULL || ops->map == NULL || ops->unmap == NULL || ops->protect == NULL) {
        return false;
    }
    return (ops->begin == NULL) == (ops->reserve == NULL) &&
           (ops->begin == NULL) == (ops->end == NULL);
}

static inline bool mapping_backend_eq(const struct mapping_backend *a,
                                      const struct mapping_backend *b)
{
    return a->ops == b->ops && a->cookie == b->cookie;
}

TRESTLE_END

#endif
