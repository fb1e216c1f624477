/*
 * audit.h - whether the walls between guests stand, seen from the memory: what each page of the machine
 * is shown to whom.
 *
 *      space 1   [ leaves ] ---+          forbidden: the hypervisor's own     -> S2_AUDIT_FORBIDDEN
 *      space 2   [ leaves ] ---+--> PA    no data of a pool: free, or a table -> S2_AUDIT_NOT_DATA
 *      ...                     |          two guests may write it             -> S2_AUDIT_TWO_WRITERS
 *
 * s2_space_check() proves that a guest's tables follow from its areas; this that the areas of all go
 * together. In steps, each under the lock of one space; what changes behind a step is seen by the
 * next audit.
 */
#ifndef TRESTLE_STAGE2_SPACE_AUDIT_H
#define TRESTLE_STAGE2_SPACE_AUDIT_H

#include "core/c.h"
#include "stage2/space/space.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

TRESTLE_BEGIN

enum s2_audit_rule {
    S2_AUDIT_SOUND,
    S2_AUDIT_FORBIDDEN,   /* it is the hypervisor's own */
    S2_AUDIT_NOT_DATA,    /* it is a pool's, and not handed out as data: free, held, or a table */
    S2_AUDIT_TWO_WRITERS, /* another guest may write it too */
};

/* What was found first. */
struct s2_audit_finding {
    enum s2_audit_rule rule;
    const struct s2_space *space, *other; /* other: TWO_WRITERS */
    ipa_t ipa, other_ipa;
    pa_t pa;
};

/* Memory that no guest is to see. */
struct s2_audit_range {
    pa_t start;
    uint64_t size;
};

/* A bit for each page of memory, the caller's, so that two guests which may write it are seen in one
 * pass: 32 KiB for 1 GiB of 4K pages. */
struct s2_audit_map {
    pa_t base;         /* of the page that bit 0 of words[0] is for */
    size_t page_count; /* pages beyond are not compared */
    uint64_t *words;   /* page_count bits, rounded up to words; NULL: nothing is compared */
};

/* What is to be looked at. The first members are the caller's, and stay until it is done; the others
 * are private. All spaces have granules of one size. */
struct s2_audit {
    struct s2_space *const *spaces;
    size_t space_count;
    const struct s2_audit_range *forbidden;
    size_t forbidden_count;
    struct s2_audit_map map;
    bool (*may_share)(void *arg, pa_t pa); /* two guests may write the page; NULL: none */
    void *arg;

    struct s2_audit_finding finding;
    size_t space; /* the one that is looked at */
    ipa_t next;
};

/* Begin, or begin anew: the map is cleared. */
void s2_audit_begin(struct s2_audit *audit);

/**
 * s2_audit_step() - Look at up to @budget descriptors more, one table at least.
 * @is_done: written on MAPPING_OK only.
 * Returns:  MAPPING_OK; MAPPING_BAD_STATE: audit->finding tells what, where and whose; there may be
 *           more, which are found once this one is mended and the audit begun anew.
 * Cost:     some 30 instructions a descriptor where memory lies in one piece; a look at the pool more
 *           for each piece. What two guests may write: O(leaves of all).
 * Context:  none of the spaces is locked. They may change.
 */
MAPPING_MUST_USE enum mapping_error s2_audit_step(struct s2_audit *audit, size_t budget,
                                                  bool *is_done);

/* All of it at once. */
MAPPING_MUST_USE enum mapping_error s2_audit(struct s2_audit *audit);

/**
 * s2_space_find_pa() - Where the guest has the page at @pa.
 * @from:    the page to begin at; to go on, the one behind the last answer.
 * @flags:   S2_WRITE: where it may be written; 0: anywhere.
 * @ipa:     the lowest that leads there; written on MAPPING_OK only.
 * Returns:  MAPPING_OK; MAPPING_NOT_FOUND: none does.
 * Cost:     O(leaves), some 10 instructions each, with the space locked.
 */
MAPPING_MUST_USE enum mapping_error s2_space_find_pa(struct s2_space *space, pa_t pa, ipa_t from,
                                                     mapping_flags_t flags, ipa_t *ipa);

/* "sound", "forbidden": for people. Static. */
const char *s2_audit_rule_name(enum s2_audit_rule rule);

TRESTLE_END

#endif
