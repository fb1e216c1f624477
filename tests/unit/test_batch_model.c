/*
 * test_batch_model.c - batches at random: whatever is batched ends as if it were not, and two
 * threads with a batch each, on the same spaces, lose nothing.
 */
#include "stage2/space/batch.h"

#include "tests/model/random.h"
#include "tests/unit/batch_fixture.h"
#include "tests/unit/test.h"

#include <check.h>
#include <pthread.h>

#define SUITE "batch"

static struct crew crew;

/* --- Batched and not ------------------------------------------------------------------------- */

#define PAIRS \
    2 /* of spaces: the first @PAIRS are changed in batches, each other one after the call */
#define WORLD MIB(8)
#define BASE GIB(1)
#define ROUNDS 120
#define OPS_MAX 10

struct op {
    enum guest_verb verb;
    size_t who;
    struct guest_area area;
};

static struct op random_op(struct random *random)
{
    static const mapping_flags_t kinds[] = {RIG_RW, S2_READ, RIG_RW | S2_NORMAL_NC,
                                            RIG_RWX | S2_CAP_PAGES};
    const uint64_t at = random_below(random, WORLD / KIB(4)) * KIB(4);
    const uint64_t pages = random_once_in(random, 3) ? 512 : 1 + random_below(random, 1024);
    struct op op = {.verb = (enum guest_verb)random_below(random, GUEST_PROTECT + 1),
                    .who = (size_t)random_below(random, PAIRS)};

    op.area = (struct guest_area){BASE + at, pages * KIB(4), 0,
                                  kinds[random_below(random, COUNT(kinds))]};
    if (random_once_in(random, 3)) {
        op.area.ipa = BASE + (at & ~(MIB(2) - 1));
        op.area.size = MIB(2);
    }
    op.area.pa = CREW_PA(op.who) + (op.area.ipa - BASE) + random_below(random, 3) * KIB(64);
    return op;
}

static void assert_areas_alike(const struct s2_space *one, const struct s2_space *other)
{
    const struct memory_set *sets[] = {s2_space_areas(one), s2_space_areas(other)};
    const struct memory_area *a = memory_set_first(sets[0]), *b = memory_set_first(sets[1]);

    for (; a != NULL && b != NULL;
         a = memory_set_next(sets[0], a), b = memory_set_next(sets[1], b)) {
        ck_assert(ipa_range_eq(a->range, b->range) && a->flags == b->flags);
        ck_assert(mapping_backend_eq(&a->backend, &b->backend));
    }
    ck_assert(a == NULL && b == NULL);
}

/* Areas, and every leaf: s2_space_check() proves that the leaves follow from the areas. */
static void assert_pairs_alike(void)
{
    for (size_t i = 0; i < PAIRS; i++) {
        struct s2_space *one = &crew.spaces[i], *other = &crew.spaces[PAIRS + i];

        assert_areas_alike(one, other);
        ck_assert(s2_space_check(one) && s2_space_check(other));
        ck_assert_uint_eq(s2_table_frame_count(s2_space_table(one)),
                          s2_table_frame_count(s2_space_table(other)));
        ck_assert(!s2_table_has_deferred(&one->table));
    }
}

static void random_batch(struct random *random, size_t *refused)
{
    const uint64_t count = 1 + random_below(random, OPS_MAX);
    struct s2_batch batch = S2_BATCH_INIT;

    s2_batch_begin(&batch);
    for (uint64_t i = 0; i < count; i++) {
        const struct op op = random_op(random);
        const enum mapping_error error =
            guest_batch(&batch, &crew.spaces[op.who], op.verb, op.area);

        ck_assert_int_eq(guest_call(&crew.spaces[PAIRS + op.who], op.verb, op.area), error);
        *refused += error == MAPPING_OK ? 0 : 1;
        rig_poison_free(&crew.rig);
        for (size_t k = 0; k < PAIRS; k++) {
            ck_assert(s2_table_check(s2_space_table(&crew.spaces[k])));
        }
    }
    s2_batch_end(&batch);
    monitor_quiesce(crew.rig.monitor);
}

static uint64_t flushes_of(size_t first)
{
    uint64_t flushes = 0;

    for (size_t i = first; i < first + PAIRS; i++) {
        flushes += s2_table_tlb_counters(s2_space_table(&crew.spaces[i]))->flushes;
    }
    return flushes;
}

TEST_EACH(random_batches_end_as_without_them, 6)
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);
    struct random random = {(uint64_t)_i};
    size_t refused = 0;

    setup.config.contiguous = S2_CONTIGUOUS_ON;
    setup.config.size_change = _i % 2 == 0 ? S2_SIZE_CHANGE_BREAK : S2_SIZE_CHANGE_DIRECT;
    setup.cpu.tlb = _i % 3 == 0 ? 0 : 2;
    setup.frame_count = 256;
    crew_init(&crew, setup, 2 * PAIRS);
    for (int i = 0; i < ROUNDS; i++) {
        sim_clear();
        random_batch(&random, &refused);
        assert_pairs_alike();
    }
    ck_assert_uint_gt(refused, 0);
    ck_assert_uint_gt(flushes_of(0), 0);
    ck_assert_uint_lt(flushes_of(0), flushes_of(PAIRS));
    crew_fini(&crew);
}

/* --- Two threads ----------------------------------------------------------------------------- */

#define THREADS 2
#define SPACES 3
#define CELLS 4 /* of each thread in each space, each in a table of its own */
#define THREAD_CHANGES 5000

struct worker {
    size_t number;
    struct random random;
    mapping_flags_t flags[SPACES][CELLS]; /* of what is mapped there; 0: nothing is */
    size_t surprises; /* answers that cannot be; libcheck's assertions are for the test's thread */
    size_t changes;
};

static struct guest_area cell_area(const struct worker *worker, size_t who, size_t cell)
{
    const uint64_t number = worker->number * CELLS + cell;

    return (struct guest_area){GIB(1) + number * MIB(2) + KIB(4), KIB(4),
                               CREW_PA(who) + number * KIB(4), 0};
}

/* One change of a cell, in the batch or without it: mapped, protected, unmapped by turns. */
static void cell_change(struct worker *worker, struct s2_batch *batch)
{
    const size_t who = (size_t)random_below(&worker->random, SPACES);
    const size_t cell = (size_t)random_below(&worker->random, CELLS);
    mapping_flags_t *flags = &worker->flags[who][cell];
    const enum guest_verb verb = *flags == 0        ? GUEST_MAP
                                 : *flags == RIG_RW ? GUEST_PROTECT
                                                    : GUEST_UNMAP;
    struct guest_area area = cell_area(worker, who, cell);
    enum mapping_error error;

    area.flags = verb == GUEST_MAP ? RIG_RW : verb == GUEST_PROTECT ? S2_READ : 0;
    error = random_once_in(&worker->random, 5) ? guest_call(&crew.spaces[who], verb, area)
                                               : guest_batch(batch, &crew.spaces[who], verb, area);
    if (error == MAPPING_OK) {
        *flags = area.flags;
        worker->changes++;
    } else if (verb != GUEST_MAP || error != MAPPING_NO_FRAME) {
        worker->surprises++;
    }
}

static void cell_look(struct worker *worker, size_t who, size_t cell)
{
    const struct guest_area area = cell_area(worker, who, cell);
    const mapping_flags_t flags = worker->flags[who][cell];
    struct s2_leaf leaf;
    const enum mapping_error error = s2_space_lookup(&crew.spaces[who], ipa_of(area.ipa), &leaf);

    if (flags == 0 ? error != MAPPING_NOT_FOUND
                   : error != MAPPING_OK || leaf.flags != flags || leaf.pa.raw != area.pa) {
        worker->surprises++;
    }
}

static void cells_clear(struct worker *worker)
{
    for (size_t i = 0; i < SPACES * CELLS; i++) {
        if (worker->flags[i / CELLS][i % CELLS] != 0) {
            const struct guest_area area = cell_area(worker, i / CELLS, i % CELLS);

            worker->surprises +=
                guest_call(&crew.spaces[i / CELLS], GUEST_UNMAP, area) != MAPPING_OK;
        }
    }
}

static void *work(void *arg)
{
    struct worker *worker = arg;

    sim_reset(); /* a thread is a machine of its own */
    sim_set_log(SIM_LOG_COUNT);
    while (worker->changes < THREAD_CHANGES) {
        const uint64_t count = 1 + random_below(&worker->random, 8);
        struct s2_batch batch = S2_BATCH_INIT;

        s2_batch_begin(&batch);
        for (uint64_t i = 0; i < count; i++) {
            cell_change(worker, &batch);
        }
        s2_batch_end(&batch);
        for (size_t i = 0; i < SPACES * CELLS; i++) {
            cell_look(worker, i / CELLS, i % CELLS);
        }
    }
    cells_clear(worker);
    return NULL;
}

/* So few frames that tables must often come back from a batch. Who is done gives back its own, or
 * the other, that did not get a turn, might have none for good. */
TEST(two_threads_with_a_batch_each_share_spaces_and_pool)
{
    static struct worker workers[THREADS];
    pthread_t threads[THREADS];

    crew_init(&crew, rig_setup_of(RIG_4K_40), SPACES);
    rig_unwatch(&crew.rig); /* it sees one machine */
    rig_leave(&crew.rig, SPACES + THREADS * SPACES * CELLS / 2);
    for (size_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.number = i, .random = {i}};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        ck_assert_uint_eq(workers[i].surprises, 0);
    }
    for (size_t i = 0; i < SPACES; i++) {
        ck_assert(!s2_table_has_deferred(&crew.spaces[i].table));
        ck_assert(s2_space_check(&crew.spaces[i]));
    }
    ck_assert(frame_pool_check(&crew.rig.pool));
    crew_fini(&crew);
}
