/*
 * table_fixture.h - a rig: simulated memory, a pool over it, one table in it, and the software MMU
 * to judge what was built.
 *
 * A shape is a granule and its sizes, all numbers written by hand. A setup is a shape with the CPU
 * and the options a test wants changed. Physical memory that guests are shown lies at RIG_DATA and
 * does not exist on the host: stage 2 never reads it. The pool's frames lie at an address that asks
 * for the highest address bits of the shape.
 *
 *      struct rig rig;
 *
 *      rig_init(&rig, rig_setup_of(&rig_shapes[_i]));
 *      ...
 *      rig_assert_maps(&rig, &rig.table, maps, count);
 *      rig_fini(&rig);
 */
#ifndef TRESTLE_TESTS_UNIT_TABLE_FIXTURE_H
#define TRESTLE_TESTS_UNIT_TABLE_FIXTURE_H

#include "stage2/trestle.h"
#include "tests/sim/memory.h"
#include "tests/sim/mmu.h"
#include "tests/sim/monitor.h"
#include "tests/sim/sim.h"
#include "tests/unit/test.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIB(n) (UINT64_C(n) << 10)
#define MIB(n) (UINT64_C(n) << 20)
#define GIB(n) (UINT64_C(n) << 30)
#define TIB(n) (UINT64_C(n) << 40)

#define RIG_LEVELS 5 /* -1 to 3: what stands at index level + 1 */
#define RIG_VMID 0x2a
#define RIG_RW (S2_READ | S2_WRITE)
#define RIG_RWX (S2_READ | S2_WRITE | S2_EXEC)

/* 64 GiB: aligned for every block but the largest, below the smallest output size. No pool is
 * near. */
#define RIG_DATA UINT64_C(0x1000000000)

struct rig_shape {
    const char *name;
    enum s2_granule granule;
    unsigned ipa_bits;
    unsigned pa_bits;
    int start_level;
    uint64_t root_size;        /* bytes, concatenated tables and all */
    uint64_t span[RIG_LEVELS]; /* bytes that an entry of the level stands for; 0: no such level */
    int top_leaf;              /* nearest level to the root where a leaf may stand */
    uint64_t frames;           /* PA of the pool */
};

/* 4K at 40 and at 48 bits come first. */
extern const struct rig_shape rig_shapes[];
extern const int rig_shape_count;
#define RIG_4K_40 (&rig_shapes[0])
#define RIG_4K_48 (&rig_shapes[1])

/* The smaller block of @shape (level 2), and a page. */
static inline uint64_t rig_page(const struct rig_shape *shape)
{
    return shape->span[3 + 1];
}

static inline uint64_t rig_block(const struct rig_shape *shape)
{
    return shape->span[2 + 1];
}

/* What a test may change before rig_init(): a newest CPU with everything, a pool of 64 frames of
 * the granule's size, FWB, no hardware updates. */
struct rig_setup {
    const struct rig_shape *shape;
    struct s2_features cpu;
    struct s2_config config; /* its cpu is filled in by rig_init() */
    unsigned frame_shift;
    size_t frame_count;
    bool has_device; /* one walks the table that is judged last; its notifier tells the monitor */
};

struct rig_setup rig_setup_of(const struct rig_shape *shape);

struct rig {
    struct rig_setup setup;
    struct sim_memory memory;
    struct frame_pool pool;
    struct s2_table table;
    struct monitor *monitor;          /* watches every event of the machine */
    const struct s2_table *device_of; /* setup.has_device: whose it walks */
    pa_t *ballast;                    /* frames taken by rig_leave() */
    size_t ballast_count;
};

/* A CPU as it was before TLBIs by range: level hints as its newest, all else too. */
static inline struct rig_setup rig_setup_without_ranges(const struct rig_shape *shape)
{
    struct rig_setup setup = rig_setup_of(shape);

    setup.cpu.tlb = 0;
    return setup;
}

/* The machine alone: memory, pool, and setup.config ready for tables of the test's own. */
void rig_init_machine(struct rig *rig, struct rig_setup setup);
void rig_fini_machine(struct rig *rig);

/* And with rig->table, VMID RIG_VMID, loaded on CPU 0. The log is empty. rig_fini() takes the
 * table apart and fails the test unless it is sound and every frame comes back. */
void rig_init(struct rig *rig, struct rig_setup setup);
void rig_fini(struct rig *rig);

/* Tell the monitor of a table of the test's own, once it has its VMID; and before its fini. */
void rig_judge(struct rig *rig, const struct s2_table *table);
void rig_dismiss(struct rig *rig, const struct s2_table *table);

/* No monitor from here on: for a test that breaks the wall on purpose. */
void rig_unwatch(struct rig *rig);

/* Load @table on the current CPU, without events. */
void rig_enter(const struct s2_table *table);

/* Leave exactly @count frames available, by taking the others or giving taken ones back. */
void rig_leave(struct rig *rig, size_t count);

/* Poison what no table owns, so that a frame used after it was freed is seen. */
void rig_poison_free(struct rig *rig);

/* The software MMU with the table's own registers. */
struct mmu rig_mmu(const struct rig *rig, const struct s2_table *table);

/* What ought to be mapped: equal flags from @ipa on, linear. */
struct rig_map {
    uint64_t ipa;
    uint64_t size;
    uint64_t pa;
    mapping_flags_t flags; /* less the cap */
};

/* Walk the whole input size with the software MMU: fails the test unless exactly @maps are mapped,
 * in ascending order, each leaf with its attributes, and unless s2_table_lookup(),
 * s2_table_translate(), s2_table_check() and frame_pool_check() agree. */
void rig_assert_maps(const struct rig *rig, const struct s2_table *table,
                     const struct rig_map maps[], size_t count);
void rig_assert_map(const struct rig *rig, const struct s2_table *table, struct rig_map map);
void rig_assert_empty(const struct rig *rig, const struct s2_table *table);

/* The same for one address: it translates to @pa by a leaf of @level with @flags; it is a hole. */
void rig_assert_leaf(const struct rig *rig, const struct s2_table *table, uint64_t ipa, uint64_t pa,
                     int level, mapping_flags_t flags);
void rig_assert_hole(const struct rig *rig, const struct s2_table *table, uint64_t ipa);

/* How many leaves of @level the whole table has, as the software MMU finds them. */
size_t rig_leaf_count(const struct rig *rig, const struct s2_table *table, int level);

/* The descriptor that @ipa's walk ends at, and where it lies on the host. */
uint64_t rig_desc(const struct rig *rig, const struct s2_table *table, uint64_t ipa);
s2_desc_t *rig_slot(const struct rig *rig, const struct s2_table *table, uint64_t ipa);

/* The same for the entry of @level on @ipa's way. */
s2_desc_t *rig_slot_at(const struct rig *rig, const struct s2_table *table, uint64_t ipa,
                       int level);

/* One call of a verb. */
enum rig_verb { RIG_MAP, RIG_UNMAP, RIG_PROTECT, RIG_FOLD, RIG_REPLACE, RIG_OVER };

struct rig_step {
    enum rig_verb verb;
    uint64_t ipa;
    uint64_t size;
    uint64_t pa; /* RIG_MAP, RIG_REPLACE, RIG_OVER */
    mapping_flags_t flags;
};

/* As a table is asked; no fold, no map over. */
static inline struct s2_request rig_request(struct rig_step step)
{
    static const enum s2_verb verbs[] = {[RIG_MAP] = S2_VERB_MAP,
                                         [RIG_UNMAP] = S2_VERB_UNMAP,
                                         [RIG_PROTECT] = S2_VERB_PROTECT,
                                         [RIG_REPLACE] = S2_VERB_REPLACE};

    return (struct s2_request){verbs[step.verb], ipa_range(step.ipa, step.size), pa_of(step.pa),
                               step.flags};
}

enum mapping_error rig_do(struct rig *rig, struct rig_step step);
void rig_must(struct rig *rig, struct rig_step step); /* it answers MAPPING_OK */

/* It answers @error, and nothing has changed. */
void rig_refused(struct rig *rig, struct rig_step step, enum mapping_error error);

/* It succeeds with exactly @frames available, all of which become tables, and with any fewer it
 * answers MAPPING_NO_FRAME and changes nothing. Afterwards all other frames are available again. */
void rig_needs(struct rig *rig, struct rig_step step, size_t frames);

/* All that "nothing changed" is about: the bytes of every frame, who owns it, the counters. */
struct rig_snapshot {
    unsigned char *bytes;
    uint32_t *counts;     /* of taken blocks */
    unsigned char *taken; /* order + 1 of the block that starts there; 0: none does */
    size_t available;
    size_t held;
    size_t table_frames;
};

void rig_snapshot_take(struct rig_snapshot *snapshot, const struct rig *rig);
void rig_snapshot_assert_same(const struct rig_snapshot *snapshot, const struct rig *rig);
void rig_snapshot_free(struct rig_snapshot *snapshot);

#endif
