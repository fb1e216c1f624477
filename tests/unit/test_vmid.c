/*
 * test_vmid.c - who gets which VMID, who keeps it when a new generation begins, and what is sent.
 * That no guest meets another's entries is test_vmid_model.c's.
 */
#include "stage2/tlb/vmid.h"
#include "tests/sim/sim.h"
#include "tests/unit/test.h"

#include <stdlib.h>

#define SUITE "vmid"

#define CPUS 3
#define GUESTS 32
#define LAST 9 /* numbers that most tests have */

static struct s2_vmid_allocator vmids;
static struct s2_cpu cpus[CPUS];
static struct s2_vmid guests[GUESTS];

/* All CPUs, and the numbers from 1 to @last. */
static void begin(uint16_t last)
{
    s2_vmid_init(&vmids, 8);
    ck_assert_int_eq(s2_vmid_limit(&vmids, last), MAPPING_OK);
    for (size_t i = 0; i < CPUS; i++) {
        ck_assert_int_eq(s2_cpu_init(&cpus[i], &vmids), MAPPING_OK);
    }
}

static void setup(void)
{
    sim_reset();
    begin(LAST);
    for (size_t i = 0; i < GUESTS; i++) {
        atomic_init(&guests[i].tag, 0);
    }
}

#undef SETUP
#define SETUP setup

static unsigned take(size_t cpu, size_t guest)
{
    sim_set_cpu(cpu);
    return s2_vmid_take(&vmids, &guests[guest], &cpus[cpu]);
}

/* The whole of s2_enter() that VMIDs are about. */
static unsigned enter(size_t cpu, size_t guest)
{
    const unsigned number = take(cpu, guest);

    s2_vmid_settle(&cpus[cpu]);
    return number;
}

/* Guests from the last one down, on CPU 2, until a generation begins with them. */
static void roll_over(void)
{
    const uint64_t before = vmids.rollovers;

    for (size_t guest = GUESTS - 1; vmids.rollovers == before; guest--) {
        ck_assert_uint_gt(guest, GUESTS / 2);
        atomic_init(&guests[guest].tag, 0); /* a new guest in an old one's place */
        enter(2, guest);
    }
    s2_vmid_release(&cpus[2]);
    ck_assert_uint_eq(vmids.rollovers, before + 1);
}

/* What s2_vmid_pin() says of the guest: its number, S2_VMID_NOBODY for false. */
static unsigned pin(size_t guest)
{
    uint16_t number = S2_VMID_NOBODY;

    if (s2_vmid_pin(&vmids, &guests[guest], &number)) {
        ck_assert_uint_ne(number, S2_VMID_NOBODY);
        ck_assert(mapping_lock_is_held(&vmids.lock));
        s2_vmid_unpin(&vmids);
    }
    ck_assert(!mapping_lock_is_held(&vmids.lock));
    return number;
}

static unsigned number_of(size_t guest)
{
    return s2_vmid_number(&vmids, &guests[guest]);
}

/* The events since sim_clear() are exactly these. */
#define EXPECT_EVENTS(...)                                     \
    do {                                                       \
        const enum sim_kind expected[] = {__VA_ARGS__};        \
        ck_assert_uint_eq(sim_event_total(), COUNT(expected)); \
        ck_assert(sim_matches(0, expected, COUNT(expected)));  \
    } while (false)

/* All that a new generation sends, and the barrier of the guest that begins it. */
#define GENERATION SIM_DSB_ISH, SIM_TLBI_ALLE1IS, SIM_DSB_ISH

/* --- Numbers ---------------------------------------------------------------------------------- */

TEST_EACH(take_gives_every_number_once_and_then_begins_a_generation, 2)
{
    const unsigned bits = _i == 0 ? 8 : 16;
    const unsigned last = (1U << bits) - 1;
    struct s2_vmid *many = calloc(last + 1, sizeof(*many));

    ck_assert_ptr_nonnull(many);
    s2_vmid_init(&vmids, bits);
    ck_assert_int_eq(s2_cpu_init(&cpus[0], &vmids), MAPPING_OK);
    for (unsigned i = 0; i < last; i++) {
        ck_assert_uint_eq(s2_vmid_take(&vmids, &many[i], &cpus[0]), i + 1);
        s2_vmid_settle(&cpus[0]);
    }
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_ALLE1IS), 0);
    ck_assert_uint_eq(s2_vmid_take(&vmids, &many[last], &cpus[0]), 1);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_ALLE1IS), 1);
    free(many);
}

TEST(take_of_a_number_held_says_nothing_to_anybody)
{
    const unsigned number = enter(0, 0);

    enter(0, 1);
    sim_clear();
    ck_assert_uint_eq(enter(0, 0), number);
    ck_assert_uint_eq(enter(1, 0), number);
    ck_assert_uint_eq(enter(1, 0), number);
    ck_assert_uint_eq(sim_event_total(), 0);
    ck_assert_uint_eq(number_of(0), number);
}

TEST(take_for_the_first_time_sends_one_barrier)
{
    ck_assert_uint_eq(number_of(0), S2_VMID_NOBODY);
    ck_assert_uint_eq(take(0, 0), 1);
    EXPECT_EVENTS(SIM_DSB_ISH);
}

TEST(take_of_the_last_number_and_one_more_flushes_all_guests_once)
{
    for (size_t i = 0; i < LAST; i++) {
        enter(0, i);
    }
    sim_clear();
    enter(0, LAST);
    EXPECT_EVENTS(GENERATION, SIM_DSB_ISH);
    ck_assert_uint_eq(vmids.rollovers, 1);
    /* The one that ran here keeps its number, the others have none. */
    ck_assert_uint_eq(pin(LAST - 1), LAST);
    ck_assert_uint_eq(number_of(0), S2_VMID_NOBODY);
    ck_assert_uint_eq(pin(0), S2_VMID_NOBODY);
}

/* Every generation from then on, and no more often for being said twice. */
TEST(generation_after_repeat_flushes_twice)
{
    s2_vmid_repeat(&vmids);
    s2_vmid_repeat(&vmids);
    for (size_t i = 0; i < LAST; i++) {
        enter(0, i);
    }
    sim_clear();
    enter(0, LAST);
    EXPECT_EVENTS(GENERATION, SIM_TLBI_ALLE1IS, SIM_DSB_ISH, SIM_DSB_ISH);
    roll_over();
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_ALLE1IS), 4);
}

/* --- Who keeps its number --------------------------------------------------------------------- */

TEST(generation_leaves_what_runs_and_drops_what_has_left)
{
    const unsigned runs = enter(0, 0);
    const unsigned left = enter(1, 1);

    s2_vmid_release(&cpus[1]);
    roll_over();
    ck_assert_uint_eq(pin(0), runs);
    ck_assert_uint_eq(number_of(0), runs);
    ck_assert_uint_ne(left, S2_VMID_NOBODY);
    ck_assert_uint_eq(pin(1), S2_VMID_NOBODY);
}

TEST(generation_after_generation_leaves_what_runs)
{
    const unsigned runs = enter(0, 0);

    for (size_t i = 0; i < 4; i++) {
        roll_over();
    }
    ck_assert_uint_eq(enter(1, 0), runs); /* its vCPU on another CPU */
    for (size_t i = 0; i < 4; i++) {
        roll_over();
    }
    ck_assert_uint_eq(pin(0), runs);
    s2_vmid_release(&cpus[0]);
    roll_over();
    ck_assert_uint_eq(pin(0), runs); /* the other CPU is in it still */
    s2_vmid_release(&cpus[1]);
    roll_over();
    ck_assert_uint_eq(pin(0), S2_VMID_NOBODY);
}

/* --- Flushes
 * ------------------------------------------------------------------------------------ */

TEST(pin_of_a_guest_that_ran_holds_the_lock)
{
    uint16_t number = 77;

    ck_assert(!s2_vmid_pin(&vmids, &guests[4], &number)); /* it has not yet */
    ck_assert_uint_eq(number, 77);
    ck_assert(!mapping_lock_is_held(&vmids.lock));
    enter(0, 3);
    enter(0, 4);
    s2_vmid_release(&cpus[0]);
    sim_clear();
    ck_assert(s2_vmid_pin(&vmids, &guests[4], &number));
    ck_assert_uint_eq(number, 2);
    ck_assert(mapping_lock_is_held(&vmids.lock));
    s2_vmid_unpin(&vmids);
    ck_assert(!mapping_lock_is_held(&vmids.lock));
    ck_assert_uint_eq(sim_event_total(), 0);
}

/* --- CPUs come and go ------------------------------------------------------------------------- */

TEST(limit_that_cannot_be_is_refused)
{
    ck_assert_int_eq(s2_vmid_limit(&vmids, 0), MAPPING_INVALID_PARAM);
    ck_assert_int_eq(s2_vmid_limit(&vmids, LAST + 1), MAPPING_INVALID_PARAM);
    ck_assert_int_eq(s2_vmid_limit(&vmids, 2 * CPUS - 1), MAPPING_INVALID_PARAM);
    ck_assert_int_eq(s2_vmid_limit(&vmids, 2 * CPUS), MAPPING_OK);
    s2_vmid_init(&vmids, 8);
    ck_assert_int_eq(s2_vmid_limit(&vmids, 256), MAPPING_INVALID_PARAM);
    ck_assert_int_eq(s2_vmid_limit(&vmids, 255), MAPPING_OK);
}

TEST(limit_after_a_number_was_given_is_refused)
{
    enter(0, 0);
    ck_assert_int_eq(s2_vmid_limit(&vmids, LAST), MAPPING_BAD_STATE);
    s2_vmid_release(&cpus[0]);
    s2_cpu_fini(&cpus[0]); /* a new generation: none is given in it yet */
    ck_assert_int_eq(s2_vmid_limit(&vmids, LAST), MAPPING_BAD_STATE);
    ck_assert(!mapping_lock_is_held(&vmids.lock));
}

TEST(init_of_more_cpus_than_there_are_numbers_for_is_denied)
{
    struct s2_cpu more = {.vmids = NULL};
    struct s2_cpu *unknown = malloc(sizeof(*unknown));

    ck_assert_ptr_nonnull(unknown);
    ck_assert_int_eq(s2_cpu_init(unknown, &vmids), MAPPING_OK); /* 4 CPUs, 9 numbers */
    ck_assert_int_eq(s2_cpu_init(&more, &vmids), MAPPING_DENIED);
    ck_assert_ptr_null(more.vmids);
    s2_cpu_fini(unknown);
    free(unknown); /* its storage is free */
    ck_assert_int_eq(s2_cpu_init(&more, &vmids), MAPPING_OK);
    s2_cpu_fini(&more);
    ck_assert_uint_eq(sim_event_total(), 0); /* nothing was given, so no TLB holds anything */
    roll_over();
}

TEST(fini_of_a_cpu_that_was_idle_as_a_generation_began_is_fine)
{
    enter(0, 0);
    s2_vmid_release(&cpus[0]);
    roll_over();
    sim_clear();
    s2_cpu_fini(&cpus[0]);
    EXPECT_EVENTS(GENERATION);
    ck_assert_uint_eq(vmids.cpu_count, CPUS - 1);
    roll_over();
}

/* --- vCPUs ------------------------------------------------------------------------------------ */

static bool changes(size_t cpu, size_t guest, uint32_t vcpu)
{
    enter(cpu, guest);
    return s2_vmid_note_vcpu(&cpus[cpu], &guests[guest], vcpu);
}

TEST(changes_vcpu_tells_vcpus_of_a_guest_apart_on_each_cpu)
{
    ck_assert(!changes(0, 0, 7));
    ck_assert(!changes(0, 0, 7));
    ck_assert(!changes(1, 0, 8)); /* another TLB */
    ck_assert(changes(0, 0, 8));
    ck_assert(!changes(0, 0, 8));
    ck_assert(!changes(0, 1, 9)); /* another number */
    ck_assert(!changes(0, 0, 8));
    ck_assert(changes(0, 0, 0));
}

/* Numbers 1 and 1 + S2_CPU_GUESTS share a slot. */
static void give_all_slots_twice(void)
{
    begin(GUESTS);
    for (size_t i = 0; i < GUESTS; i++) {
        ck_assert_uint_eq(enter(0, i), i + 1);
    }
}

TEST(changes_vcpu_of_a_forgotten_guest_is_true_in_its_generation)
{
    give_all_slots_twice();
    ck_assert(!changes(0, 0, 7));
    ck_assert(changes(0, S2_CPU_GUESTS, 7));
    ck_assert(changes(0, 0, 7));
    ck_assert(!changes(0, 0, 7));
    ck_assert(!changes(0, 1, 7)); /* a slot of its own */
}

TEST(changes_vcpu_of_a_forgotten_guest_is_false_in_a_later_generation)
{
    give_all_slots_twice();
    ck_assert(!changes(0, 0, 7));
    ck_assert(changes(0, S2_CPU_GUESTS, 7));
    enter(1, 0); /* where it keeps its number */
    atomic_init(&guests[5].tag, 0);
    ck_assert_uint_eq(enter(2, 5), 2);
    ck_assert_uint_eq(vmids.rollovers, 1);
    ck_assert_uint_eq(enter(0, 0), 1);
    ck_assert(!changes(0, 0, 8)); /* not since all TLBs were emptied */
    ck_assert(changes(0, 0, 7));
}

/* A CPU that comes up again without s2_cpu_fini() before: what it holds stays reserved. */
TEST(init_of_a_cpu_twice_is_refused)
{
    uint64_t active;

    (void)take(0, 0);
    active = atomic_load(&cpus[0].active);
    ck_assert_int_eq(s2_cpu_init(&cpus[0], &vmids), MAPPING_ALREADY_EXISTS);
    ck_assert_uint_eq(atomic_load(&cpus[0].active), active);
    ck_assert_uint_eq(vmids.cpu_count, CPUS);
}

/* --- Contract deaths -------------------------------------------------------------------------- */

TEST_DIES(init_with_no_width_of_a_cpu_dies)
{
    s2_vmid_init(&vmids, 7);
}

TEST_DIES(take_on_a_cpu_of_another_allocator_dies)
{
    struct s2_vmid_allocator other;

    s2_vmid_init(&other, 8);
    (void)s2_vmid_take(&other, &guests[0], &cpus[0]);
}

TEST_DIES(release_on_the_way_dies)
{
    enter(0, 0);
    take(0, 1);
    s2_vmid_release(&cpus[0]);
}

TEST_EACH_DIES(fini_of_a_running_cpu_dies, 2)
{
    enter(0, 0);
    if (_i == 1) {
        roll_over(); /* though it does not say so itself any more */
    }
    s2_cpu_fini(&cpus[0]);
}

TEST_DIES(unpin_without_pin_dies)
{
    s2_vmid_unpin(&vmids);
}
