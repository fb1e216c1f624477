/*
 * backend.h - what stands behind the areas of a guest: backends over a struct s2_table.
 *
 * The page table that a set hands through is the struct s2_table. All backends share its begin and
 * end, so that one operation over areas of several kinds is one operation on the table.
 */
#ifndef TRESTLE_STAGE2_SPACE_BACKEND_H
#define TRESTLE_STAGE2_SPACE_BACKEND_H

#include "core/backend.h"
#include "core/c.h"
#include "core/memory_area.h"
#include "stage2/table/table.h"

TRESTLE_BEGIN

struct s2_space;

enum s2_area_kind {
    S2_AREA_LINEAR, /* each IPA has its PA at a fixed distance */
    S2_AREA_LAZY,   /* frames of a pool, as they are touched (stage2/space/lazy.h) */
    S2_AREA_TRAP,   /* nothing is there: accesses are the embedder's to emulate */
    S2_AREA_GUARD,  /* nothing is there, and nobody is to look */
    S2_AREA_OWN,    /* the embedder's own backend */
};

/* What a space wants of a backend beyond what a set does. A set's backend.ops is the address of the
 * first member: s2_backend_ops_of() leads back. */
struct s2_backend_ops {
    /* begin and end are s2_backend_begin() and s2_backend_end(). */
    struct mapping_backend_ops set;
    enum s2_area_kind kind;
    /* Frames for the page at @at, where there is none. @area: a copy, which may have changed since.
     * Returns: MAPPING_OK; MAPPING_ALREADY_EXISTS, MAPPING_NOT_FOUND: there is one by now, or
     *          another area; MAPPING_NO_FRAME, and whatever else a map is refused with.
     * Context: the space is not locked. NULL: the kind has all its memory from the start. */
    enum mapping_error (*fill)(struct s2_space *space, const struct memory_area *area, ipa_t at);
    /* Before the tables go for good: the area gives back its frames, some of them, and goes.
     * Context: the space is locked. NULL: the kind has none. */
    enum mapping_error (*drain)(struct s2_space *space, const struct memory_area *area,
                                size_t budget);
};

static inline const struct s2_backend_ops *s2_backend_ops_of(const struct mapping_backend *backend)
{
    return (const struct s2_backend_ops *)(const void *)backend->ops;
}

static inline enum s2_area_kind s2_area_kind(const struct memory_area *area)
{
    return s2_backend_ops_of(&area->backend)->kind;
}

/* One operation over areas of several kinds is one operation on the table. (Hidden: to compare with
 * them needs no table of offsets.) */
#pragma GCC visibility push(hidden)
enum mapping_error s2_backend_begin(void *page_table);
void s2_backend_end(void *page_table, enum mapping_error outcome);
#pragma GCC visibility pop

/* In the flags of an area, not of a leaf: no leaf will be made of it, and to protect it is nothing. */
#define S2_AREA_EMPTY MAPPING_BIT(63)

MAPPING_STATIC_ASSERT((S2_AREA_EMPTY & S2_ALL_FLAGS) == 0, "no leaf has it");
MAPPING_STATIC_ASSERT(offsetof(struct s2_backend_ops, set) == 0, "a set's ops lead back");

/*
 * Linear areas: each IPA has its PA at a fixed distance. The cookie is PA - IPA modulo 2^64, so a
 * part of an area needs no other one.
 *
 * Caches (arm-arm D7.5): memory that is about to be shown is cleaned to PoC when it is held, and
 * memory that was taken back is cleaned and invalidated after the flush, each unless stage 2 forces
 * write-back (HCR_EL2.FWB with S2_NORMAL) or the area is a device. What cannot be reached, as
 * there are no memory ops, is the embedder's to clean.
 */
extern const struct s2_backend_ops s2_linear_ops;

/* The backend of an area that starts at @start and maps to @pa on. */
struct mapping_backend s2_linear_backend(ipa_t start, pa_t pa);

/* Where @addr, in an area of @backend, a linear one, lies. */
pa_t s2_linear_pa(const struct mapping_backend *backend, ipa_t addr);

/* Areas that map nothing. The cookie of a trap is where it began: parts of it know what they were
 * parts of. */
extern const struct s2_backend_ops s2_trap_ops;
extern const struct s2_backend_ops s2_guard_ops;

/* The backend of a trap that begins at @start. */
struct mapping_backend s2_trap_backend(ipa_t start);

/* The backend of any guard. */
struct mapping_backend s2_guard_backend(void);

TRESTLE_END

#endif
