/*
 * judged.h - two guests on tables of the library, under the adversarial TLB and hardware that
 * moves.
 *
 * Every verb goes through judged_do(), which watches addresses around the range, lets the hardware
 * move meanwhile, and judges afterwards. A problem ends the test, or is answered, as the setup
 * says.
 */
#ifndef TRESTLE_TESTS_UNIT_JUDGED_H
#define TRESTLE_TESTS_UNIT_JUDGED_H

#include "stage2/trestle.h"
#include "tests/sim/memory.h"
#include "tests/sim/moving.h"
#include "tests/sim/stale_tlb.h"

#define JUDGED_GUESTS 2
#define JUDGED_DATA UINT64_C(0x1000000000) /* 64 GiB: guests' memory, not on the host */

struct judged_shape {
    const char *name;
    enum s2_granule granule;
    unsigned bits; /* of IPA and PA */
    unsigned frame_shift;
    uint64_t block; /* bytes of a level 2 entry */
};

extern const struct judged_shape judged_shapes[];
extern const int judged_shape_count;

struct judged_setup {
    const struct judged_shape *shape;
    enum s2_hardware_update update;
    enum s2_contiguous contiguous;
    enum s2_walker walker;
    enum s2_size_change size_change;
    bool has_ttl;
    bool is_moving; /* hardware moves during operations */
    bool has_loads; /* between loads, too */
    enum stale_verdict verdict;
    uint64_t seed;
};

/* All features, contiguous runs, dirty state by hardware, which moves; problems end the test. */
struct judged_setup judged_setup_of(const struct judged_shape *shape);

struct judged {
    struct judged_setup setup;
    struct s2_features cpu;
    struct sim_memory memory;
    struct frame_pool pool;
    struct s2_table tables[JUDGED_GUESTS];
    unsigned guests[JUDGED_GUESTS]; /* numbers of the models */
    struct stale_tlb tlb;
    struct moving moving;
    uint64_t random;
};

enum judged_verb {
    JUDGED_MAP,
    JUDGED_UNMAP,
    JUDGED_PROTECT,
    JUDGED_REPLACE,
    JUDGED_FOLD,
    JUDGED_VERBS
};

struct judged_step {
    unsigned guest;
    enum judged_verb verb;
    uint64_t ipa, size;
    uint64_t pa; /* map, replace */
    mapping_flags_t flags;
};

void judged_open(struct judged *judged, struct judged_setup setup);

/* Take the guests apart, under the models too; every frame must be back. */
void judged_close(struct judged *judged);

/* The same without the library, after a test that left it in pieces. */
void judged_abandon(struct judged *judged);

/* What the verb answers; *problem, unless NULL, what the models said. */
enum mapping_error judged_do(struct judged *judged, struct judged_step step, const char **problem);

/* It answers MAPPING_OK, and nobody complains. */
void judged_must(struct judged *judged, struct judged_step step);

/* A number below @limit, by the setup's seed. */
uint64_t judged_random(struct judged *judged, uint64_t limit);

static inline uint64_t judged_page(const struct judged *judged)
{
    return UINT64_C(1) << (unsigned)judged->setup.shape->granule;
}

#endif
