/*
 * lookup.h - what an IPA translates to.
 */
#ifndef TRESTLE_STAGE2_TABLE_LOOKUP_H
#define TRESTLE_STAGE2_TABLE_LOOKUP_H

#include "core/c.h"
#include "stage2/table/table.h"

TRESTLE_BEGIN

/* A leaf as s2_table_lookup() finds it. */
struct s2_leaf {
    pa_t pa;               /* of the address asked */
    uint64_t size;         /* bytes of the leaf; of a hole: of the aligned stretch around the
                            * address that one empty entry spans */
    int level;             /* of the leaf, or of the empty entry */
    uint64_t run;          /* bytes of the contiguous run that it is in; size: of none */
    mapping_flags_t flags; /* as mapped, less S2_BUILD_FLAGS; AF and dirty state of all the run */
};

/**
 * s2_table_lookup() - What @addr translates to.
 * Returns:  MAPPING_OK; MAPPING_NOT_FOUND: a hole, whose leaf.size and leaf.level are filled, the
 *           one exception to "written only on MAPPING_OK"; MAPPING_INVALID_PARAM: beyond the input
 *           size; MAPPING_BAD_STATE: between break and make, ask again.
 * Cost:     O(levels).
 */
MAPPING_MUST_USE enum mapping_error s2_table_lookup(const struct s2_table *table, ipa_t addr,
                                                    struct s2_leaf *leaf);

/* The fast path: false, and *pa as before, for what s2_table_lookup() does not answer MAPPING_OK.
 * O(levels). */
MAPPING_MUST_USE bool s2_table_translate(const struct s2_table *table, ipa_t addr, pa_t *pa);

TRESTLE_END

#endif
