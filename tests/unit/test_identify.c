/*
 * test_identify.c - what CPUs say as they come up, one by one, at once, and too late.
 */
#include "stage2/arch/identify.h"
#include "tests/sim/sim.h"
#include "tests/unit/test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#define SUITE "identify"

/* Cortex-A76 and Cortex-A53, as they read. */
static const struct s2_id_regs A76 = {0x101122, 0x10212122, 0x1011,    0x100010211120,
                                      0,        0x8444c004, 0x413fd0c1};
static const struct s2_id_regs A53 = {0x1122, 0, 0, 0x11120, 0, 0x84448004, 0x410fd034};

static void check_same(const struct s2_features *a, const struct s2_features *b)
{
    ck_assert(s2_features_cover(a, b) && s2_features_cover(b, a));
}

TEST(read_is_what_the_registers_of_this_cpu_say)
{
    const struct s2_features decoded = s2_features_decode(&A76);
    struct s2_features found;

    sim_reset();
    sim_cpu()->id = A76;
    found = s2_features_read();
    check_same(&found, &decoded);
    ck_assert_uint_eq(found.pa_bits, 40);
    ck_assert_uint_eq(found.hafdbs, 2);
    ck_assert_uint_eq(found.vmid_bits, 16);
    ck_assert_uint_eq(found.dcache_line, 64);
    ck_assert(found.has_xnx && found.has_vhe && !found.has_fwb);
    sim_reset();
}

/* One field less, and what needs it is not covered; one more, and it is. */
static void check_number(unsigned *have, const struct s2_features *cpu,
                         const struct s2_features *need)
{
    ck_assert(s2_features_cover(cpu, need));
    *have -= 1;
    ck_assert(!s2_features_cover(cpu, need));
    *have += 2;
    ck_assert(s2_features_cover(cpu, need));
    *have -= 1;
}

static void check_flag(bool *have, bool *needed, bool is_burden, const struct s2_features *cpu,
                       const struct s2_features *need)
{
    *have = is_burden;
    *needed = !is_burden;
    ck_assert(!s2_features_cover(cpu, need));
    *have = !is_burden;
    *needed = is_burden;
    ck_assert(s2_features_cover(cpu, need));
    *have = is_burden;
}

TEST(cover_asks_for_every_feature)
{
    struct s2_features cpu = s2_features_decode(&A76), need = cpu;

    cpu.bbm = need.bbm = cpu.tlb = need.tlb = cpu.hafdbs = need.hafdbs = 1;
    check_number(&cpu.pa_bits, &cpu, &need);
    check_number(&cpu.vmid_bits, &cpu, &need);
    check_number(&cpu.hafdbs, &cpu, &need);
    check_number(&cpu.bbm, &cpu, &need);
    check_number(&cpu.tlb, &cpu, &need);
    check_number(&cpu.dcache_line, &cpu, &need);
    check_flag(&cpu.has_xnx, &need.has_xnx, false, &cpu, &need);
    check_flag(&cpu.has_fwb, &need.has_fwb, false, &cpu, &need);
    check_flag(&cpu.has_ttl, &need.has_ttl, false, &cpu, &need);
    check_flag(&cpu.has_cnp, &need.has_cnp, false, &cpu, &need);
    check_flag(&cpu.has_small_tables, &need.has_small_tables, false, &cpu, &need);
    check_flag(&cpu.has_vhe, &need.has_vhe, true, &cpu, &need);
    check_flag(&cpu.has_lse, &need.has_lse, false, &cpu, &need);
    check_flag(&cpu.has_xs, &need.has_xs, false, &cpu, &need);
    check_flag(&cpu.has_dic, &need.has_dic, false, &cpu, &need);
    check_flag(&cpu.has_idc, &need.has_idc, false, &cpu, &need);
    check_flag(&cpu.has_conflict_free_sizes, &need.has_conflict_free_sizes, false, &cpu, &need);
    need.errata = 1;
    cpu.errata = 0;
    ck_assert(s2_features_cover(&cpu, &need));
    cpu.errata = 3;
    ck_assert(!s2_features_cover(&cpu, &need));
}

TEST(cover_asks_for_every_granule)
{
    const struct s2_features all = {.pa_bits = 48,
                                    .granule_4k = S2_GRANULE_48_BITS,
                                    .granule_16k = S2_GRANULE_48_BITS,
                                    .granule_64k = S2_GRANULE_48_BITS,
                                    .vmid_bits = 8,
                                    .dcache_line = 64};
    struct s2_features less[3] = {all, all, all};

    less[0].granule_4k = S2_GRANULE_ABSENT;
    less[1].granule_16k = S2_GRANULE_ABSENT;
    less[2].granule_64k = S2_GRANULE_ABSENT;
    for (size_t i = 0; i < COUNT(less); i++) {
        ck_assert(!s2_features_cover(&less[i], &all));
        ck_assert(s2_features_cover(&all, &less[i]));
    }
}

TEST(join_of_unequal_cpus_leaves_what_both_can_do)
{
    struct s2_meeting meeting = {.has_any = false};
    const struct s2_features big = s2_features_decode(&A76), little = s2_features_decode(&A53);
    const struct s2_features both = s2_features_meet(&big, &little);
    struct s2_features common;

    ck_assert_int_eq(s2_meeting_join(&meeting, &big), MAPPING_OK);
    ck_assert_int_eq(s2_meeting_join(&meeting, &little), MAPPING_OK);
    common = s2_meeting_close(&meeting);
    check_same(&common, &both);
    common = s2_meeting_close(&meeting);
    check_same(&common, &both);
}

TEST(join_after_the_close_must_keep_what_was_promised)
{
    struct s2_meeting meeting = {.has_any = false};
    const struct s2_features big = s2_features_decode(&A76), little = s2_features_decode(&A53);
    struct s2_features common;

    ck_assert_int_eq(s2_meeting_join(&meeting, &big), MAPPING_OK);
    common = s2_meeting_close(&meeting);
    ck_assert_int_eq(s2_meeting_join(&meeting, &little), MAPPING_UNSUPPORTED);
    ck_assert_int_eq(s2_meeting_join(&meeting, &big), MAPPING_OK);
    check_same(&common, &big);
    common = s2_meeting_close(&meeting);
    check_same(&common, &big);
}

TEST_DIES(close_of_a_meeting_without_anybody_dies)
{
    struct s2_meeting meeting = {.has_any = false};

    (void)s2_meeting_close(&meeting);
}

#define CPUS 4
static struct s2_meeting at_once;
static atomic_uint waiting; /* for all to be there */

/* The @arg-th lacks bits of PA, more than those before it. */
static void *come_up(void *arg)
{
    struct s2_features mine = s2_features_decode(&A76);

    mine.pa_bits = *(const unsigned *)arg;
    atomic_fetch_sub(&waiting, 1);
    while (atomic_load(&waiting) != 0) {
        (void)sched_yield();
    }
    return s2_meeting_join(&at_once, &mine) == MAPPING_OK ? arg : NULL;
}

TEST(join_of_many_at_once_misses_none)
{
    static unsigned sizes[CPUS] = {44, 40, 48, 36};
    pthread_t threads[CPUS];

    for (unsigned round = 0; round < 100; round++) {
        memset(&at_once, 0, sizeof(at_once));
        atomic_store(&waiting, CPUS);
        for (size_t i = 0; i < CPUS; i++) {
            ck_assert_int_eq(pthread_create(&threads[i], NULL, come_up, &sizes[i]), 0);
        }
        for (size_t i = 0; i < CPUS; i++) {
            void *joined = NULL;

            ck_assert_int_eq(pthread_join(threads[i], &joined), 0);
            ck_assert_ptr_eq(joined, &sizes[i]);
        }
        ck_assert_uint_eq(s2_meeting_close(&at_once).pa_bits, 36);
    }
}
