/*
 * flags.h - what a mapping_flags_t means to stage 2.
 *
 * One memory type, any of the permissions, and what an embedder may add. All zero is Normal memory
 * that nobody may access. What a leaf holds reads back as exactly the flags it was made from, less
 * S2_BUILD_FLAGS, which are instructions to the mapper and lie in no descriptor.
 */
#ifndef TRESTLE_STAGE2_ARCH_FLAGS_H
#define TRESTLE_STAGE2_ARCH_FLAGS_H

#include "core/backend.h"
#include "core/bits.h"
#include "core/c.h"

TRESTLE_BEGIN

/* Permissions. EL1 and EL0 execution differ only with FEAT_XNX; elsewhere give both or none. */
#define S2_READ MAPPING_BIT(0)
#define S2_WRITE MAPPING_BIT(1)
#define S2_EXEC_EL1 MAPPING_BIT(2)
#define S2_EXEC_EL0 MAPPING_BIT(3)
#define S2_EXEC (S2_EXEC_EL1 | S2_EXEC_EL0)
#define S2_PERMISSIONS (S2_READ | S2_WRITE | S2_EXEC)

/* Memory type: exactly one, a number in a field. */
#define S2_TYPE MAPPING_FIELD(6, 4)
#define S2_NORMAL MAPPING_FIELD_PREP(S2_TYPE, 0)    /* write-back; with FWB whatever stage 1 says */
#define S2_NORMAL_NC MAPPING_FIELD_PREP(S2_TYPE, 1) /* non-cacheable */
#define S2_DEVICE_nGnRnE MAPPING_FIELD_PREP(S2_TYPE, 2) /* Device types: no execution */
#define S2_DEVICE_nGnRE MAPPING_FIELD_PREP(S2_TYPE, 3)
#define S2_DEVICE_nGRE MAPPING_FIELD_PREP(S2_TYPE, 4)
#define S2_DEVICE_GRE MAPPING_FIELD_PREP(S2_TYPE, 5)
#define S2_NORMAL_STAGE1 \
    MAPPING_FIELD_PREP(S2_TYPE, 6)                  /* stage 1 decides; with FWB only, as without it
                                                  * S2_NORMAL means just that */
#define S2_NORMAL_WT MAPPING_FIELD_PREP(S2_TYPE, 7) /* write-through; without FWB only */

/* Shareability; anything but inner is refused under LPA2, where VTCR_EL2 has it for all. */
#define S2_SHAREABILITY MAPPING_FIELD(9, 8)
#define S2_SH_INNER MAPPING_FIELD_PREP(S2_SHAREABILITY, 0)
#define S2_SH_OUTER MAPPING_FIELD_PREP(S2_SHAREABILITY, 1)
#define S2_SH_NONE MAPPING_FIELD_PREP(S2_SHAREABILITY, 2)

/* AF = 0: the first access faults, or sets AF where the hardware updates it. */
#define S2_NO_AF MAPPING_BIT(10)

/* DBM: hardware makes the leaf writable on the first write (S2_HARDWARE_UPDATE_DIRTY only).
 * S2_DBM without S2_WRITE is "writable, clean". */
#define S2_DBM MAPPING_BIT(11)

/* Four bits of the leaf that neither hardware nor this library reads: [56], [57], [58], [55].
 * They are free in every format that is made here: NS is in [55] for Realms alone, and
 * AssuredOnly in [58] where VTCR_EL2 says so, which it does not. */
#define S2_SOFT0 MAPPING_BIT(12)
#define S2_SOFT1 MAPPING_BIT(13)
#define S2_SOFT2 MAPPING_BIT(14)
#define S2_SOFT3 MAPPING_BIT(15)
#define S2_SOFT (S2_SOFT0 | S2_SOFT1 | S2_SOFT2 | S2_SOFT3)

/* The largest leaf that may be made: a level. 0 is no cap. Not stored in descriptors. */
#define S2_CAP MAPPING_FIELD(17, 16)
#define S2_CAP_LEVEL1 MAPPING_FIELD_PREP(S2_CAP, 1)
#define S2_CAP_LEVEL2 MAPPING_FIELD_PREP(S2_CAP, 2)
#define S2_CAP_PAGES MAPPING_FIELD_PREP(S2_CAP, 3)

/* No contiguous hint, also where a run would form. Not stored in descriptors either. */
#define S2_NO_CONTIGUOUS MAPPING_BIT(18)

/* What a leaf holds of the flags, what only tells the mapper how to build, and all there are. */
#define S2_LEAF_FLAGS (S2_PERMISSIONS | S2_TYPE | S2_SHAREABILITY | S2_NO_AF | S2_DBM | S2_SOFT)
#define S2_BUILD_FLAGS (S2_CAP | S2_NO_CONTIGUOUS)
#define S2_ALL_FLAGS (S2_LEAF_FLAGS | S2_BUILD_FLAGS)

MAPPING_STATIC_ASSERT(S2_ALL_FLAGS == UINT64_C(0x7ff7f), "bit 7 is free");
MAPPING_STATIC_ASSERT((S2_LEAF_FLAGS & S2_BUILD_FLAGS) == 0,
                      "no flag is both stored and not stored");
MAPPING_STATIC_ASSERT((S2_PERMISSIONS | S2_NORMAL | S2_SH_INNER) == UINT64_C(0xf),
                      "the usual is 0");
MAPPING_STATIC_ASSERT(MAPPING_FIELD_GET(S2_CAP, S2_CAP_PAGES) == 3, "a cap is a level");

/* What an area with @old becomes when it is protected with @flags. It keeps its S2_BUILD_FLAGS: its
 * leaves were made with them, and an area that differed from its neighbour in nothing else would
 * end inside a block. */
static inline mapping_flags_t s2_flags_protected(mapping_flags_t old, mapping_flags_t flags)
{
    return (flags & ~S2_BUILD_FLAGS) | (old & S2_BUILD_FLAGS);
}

static inline bool s2_flags_are_device(mapping_flags_t flags)
{
    const uint64_t type = MAPPING_FIELD_GET(S2_TYPE, flags);

    return type >= MAPPING_FIELD_GET(S2_TYPE, S2_DEVICE_nGnRnE) &&
           type <= MAPPING_FIELD_GET(S2_TYPE, S2_DEVICE_GRE);
}

TRESTLE_END

#endif
