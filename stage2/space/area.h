/*
 * area.h - what a guest's address space is made of: areas of every kind, in one map.
 *
 *      RAM        linear: memory that the embedder chose     lazy: frames as they are touched
 *      devices    linear with a device type: passed on       trap: accesses come back decoded
 *      nothing    guard: any access is an error              (a hole: as well, but anybody may map it)
 *
 * None overlaps another, of whatever kind. s2_space_unmap() takes any, or a part; s2_space_protect()
 * changes those with memory and leaves the others as they are.
 */
#ifndef TRESTLE_STAGE2_SPACE_AREA_H
#define TRESTLE_STAGE2_SPACE_AREA_H

#include "core/c.h"
#include "stage2/space/lazy.h"
#include "stage2/space/space.h"

TRESTLE_BEGIN

struct s2_area {
    struct ipa_range range;
    enum s2_area_kind kind;
    mapping_flags_t flags;      /* linear, lazy, own: stage2/arch/flags.h; others: 0 */
    pa_t pa;                    /* linear: of the first byte */
    const struct s2_lazy *lazy; /* lazy: kept */
    bool is_full;               /* lazy: all of it is there from the start, or it is not mapped */
    struct mapping_backend backend; /* own: its ops the first member of a struct s2_backend_ops */
    uint64_t tag;                   /* the embedder's: which device, which bank */
};

/**
 * s2_space_map() - Add @area.
 * @area:    read, not kept; what it points to is, as said there.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM: s2_space_map_reason() tells why;
 *           MAPPING_ALREADY_EXISTS: an area is in the way, of any kind; MAPPING_NO_NODE; linear also
 *           as s2_space_map_linear(), lazy MAPPING_UNSUPPORTED for flags that no leaf can have.
 * Order:    on return it is there for all CPUs.
 * Cost:     as s2_space_map_linear(); what maps nothing O(log n).
 */
MAPPING_MUST_USE enum mapping_error s2_space_map(struct s2_space *space,
                                                 const struct s2_area *area);

/* The same over whatever is there, as s2_space_replace_linear(). */
MAPPING_MUST_USE enum mapping_error s2_space_replace(struct s2_space *space,
                                                     const struct s2_area *area);

/* What is wrong with @area by itself: a sentence with static lifetime; NULL: nothing that could be
 * seen without looking at what is there. */
const char *s2_space_map_reason(const struct s2_space *space, const struct s2_area *area);

/* RAM that is filled as it is touched: flags may be read-only. */
MAPPING_MUST_USE enum mapping_error s2_space_map_lazy(struct s2_space *space,
                                                      struct ipa_range range,
                                                      const struct s2_lazy *lazy,
                                                      mapping_flags_t flags);

/* RAM that is there from the start: all frames, or MAPPING_NO_FRAME and none. Afterwards it is as lazy
 * memory is that has been touched: what is taken out of it is the pool's, and mapped again it is lazy. */
MAPPING_MUST_USE enum mapping_error s2_space_map_populated(struct s2_space *space,
                                                           struct ipa_range range,
                                                           const struct s2_lazy *lazy,
                                                           mapping_flags_t flags);

/* A device that the guest has for itself, its registers from @pa on. @flags: a device type, and
 * S2_READ, S2_WRITE; never S2_EXEC. A window smaller than a granule is refused, as the guest would
 * get what lies beside it: trap it. */
MAPPING_MUST_USE enum mapping_error
s2_space_map_device(struct s2_space *space, struct ipa_range range, pa_t pa, mapping_flags_t flags);

/* Accesses are emulated: s2_space_handle_fault() says what the guest wanted, and @tag. */
MAPPING_MUST_USE enum mapping_error s2_space_map_trap(struct s2_space *space,
                                                      struct ipa_range range, uint64_t tag);

/* Any access is an error, and nothing else can be mapped there meanwhile. */
MAPPING_MUST_USE enum mapping_error s2_space_map_guard(struct s2_space *space,
                                                       struct ipa_range range);

TRESTLE_END

#endif
