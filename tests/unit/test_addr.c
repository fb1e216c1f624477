/*
 * test_addr.c - the small headers that everything stands on: addr.h, bits.h, err.h, lock.h.
 */
#include <sched.h>

/* Two threads on one processor: who waits should not wait for the end of his time slice. */
#define MAPPING_CPU_RELAX() ((void)sched_yield())

#include "core/addr.h"
#include "core/bits.h"
#include "core/err.h"
#include "core/lock.h"
#include "tests/unit/test.h"

#include <check.h>
#include <pthread.h>
#include <stddef.h>

#define SUITE "addr"

#define TOP UINT64_MAX
/* err.h */

static const struct {
    enum mapping_error error;
    const char *name;
} error_names[] = {
    {MAPPING_OK, "MAPPING_OK"},
    {MAPPING_INVALID_PARAM, "MAPPING_INVALID_PARAM"},
    {MAPPING_ALREADY_EXISTS, "MAPPING_ALREADY_EXISTS"},
    {MAPPING_BAD_STATE, "MAPPING_BAD_STATE"},
    {MAPPING_NOT_FOUND, "MAPPING_NOT_FOUND"},
    {MAPPING_NO_FRAME, "MAPPING_NO_FRAME"},
    {MAPPING_NO_NODE, "MAPPING_NO_NODE"},
    {MAPPING_DENIED, "MAPPING_DENIED"},
    {MAPPING_UNSUPPORTED, "MAPPING_UNSUPPORTED"},
};

TEST_EACH(name_every_error_is_its_own_spelling, COUNT(error_names))
{
    ck_assert_str_eq(mapping_error_name(error_names[_i].error), error_names[_i].name);
    ck_assert_int_eq((int)error_names[_i].error, _i);
}

TEST(name_no_error_is_a_question_mark)
{
    ck_assert_str_eq(mapping_error_name((enum mapping_error)COUNT(error_names)), "MAPPING_?");
    ck_assert_str_eq(mapping_error_name((enum mapping_error)1000), "MAPPING_?");
}

/* bits.h */

/* One bit at a time, which cannot go wrong in the same way. */
static uint64_t slow_mask(unsigned hi, unsigned lo)
{
    uint64_t mask = 0;

    for (unsigned bit = lo; bit <= hi; bit++) {
        mask |= UINT64_C(1) << bit;
    }
    return mask;
}

TEST_EACH(field_of_every_width_selects_its_bits, 64)
{
    unsigned lo = (unsigned)_i;

    for (unsigned hi = lo; hi < 64; hi++) {
        uint64_t mask = slow_mask(hi, lo);
        uint64_t pattern = UINT64_C(0xa5c3960ff01b7e2d);

        ck_assert_uint_eq(MAPPING_FIELD(hi, lo), mask);
        ck_assert_uint_eq(MAPPING_FIELD_LSB(MAPPING_FIELD(hi, lo)), UINT64_C(1) << lo);
        ck_assert_uint_eq(MAPPING_FIELD_GET(MAPPING_FIELD(hi, lo), pattern),
                          (pattern & mask) >> lo);
        ck_assert_uint_eq(MAPPING_FIELD_PREP(MAPPING_FIELD(hi, lo), pattern),
                          (pattern << lo) & mask);
    }
}

TEST(align_at_borders_is_exact)
{
    ck_assert(mapping_u64_is_aligned(0, 4096));
    ck_assert(mapping_u64_is_aligned(TOP, 1));
    ck_assert(!mapping_u64_is_aligned(TOP, 2));
    ck_assert(!mapping_u64_is_aligned(4095, 4096));
    ck_assert(!mapping_u64_is_aligned(4097, 4096));
    ck_assert(mapping_u64_is_aligned(MAPPING_BIT(63), MAPPING_BIT(63)));
    ck_assert_uint_eq(mapping_u64_align_down(4095, 4096), 0);
    ck_assert_uint_eq(mapping_u64_align_down(4096, 4096), 4096);
    ck_assert_uint_eq(mapping_u64_align_down(TOP, MAPPING_BIT(63)), MAPPING_BIT(63));
}

TEST_EACH(pow2_and_logs_of_every_bit_agree, 64)
{
    unsigned bit = (unsigned)_i;

    ck_assert(mapping_u64_is_pow2(MAPPING_BIT(bit)));
    ck_assert_uint_eq(mapping_u64_log2(MAPPING_BIT(bit)), bit);
    ck_assert_uint_eq(mapping_u64_log2(MAPPING_BIT(bit) | (MAPPING_BIT(bit) - 1)), bit);
    ck_assert_uint_eq(mapping_u64_trailing_zeros(MAPPING_BIT(bit)), bit);
    ck_assert_uint_eq(mapping_u64_trailing_zeros(MAPPING_BIT(bit) | MAPPING_BIT(63)), bit);
    if (bit > 0) {
        ck_assert(!mapping_u64_is_pow2(MAPPING_BIT(bit) | 1));
    }
}

TEST(bits_of_zero_are_defined)
{
    ck_assert(!mapping_u64_is_pow2(0));
    ck_assert_uint_eq(mapping_u64_trailing_zeros(0), 64);
}

TEST(min_and_max_choose_the_right_one)
{
    ck_assert_uint_eq(mapping_u64_min(1, TOP), 1);
    ck_assert_uint_eq(mapping_u64_min(TOP, 1), 1);
    ck_assert_uint_eq(mapping_u64_max(1, TOP), TOP);
    ck_assert_uint_eq(mapping_u64_max(TOP, 1), TOP);
}

TEST(add_up_to_the_last_value_works)
{
    uint64_t sum = 7;

    ck_assert(mapping_u64_add(TOP - 3, 3, &sum));
    ck_assert_uint_eq(sum, TOP);
    ck_assert(mapping_u64_add(0, 0, &sum));
    ck_assert_uint_eq(sum, 0);
}

TEST(add_beyond_the_last_value_writes_nothing)
{
    uint64_t sum = 7;

    ck_assert(!mapping_u64_add(TOP - 3, 4, &sum));
    ck_assert(!mapping_u64_add(TOP, TOP, &sum));
    ck_assert(!mapping_u64_add(1, TOP, &sum));
    ck_assert_uint_eq(sum, 7);
}

/* addr.h */

TEST(compare_addresses_follows_their_numbers)
{
    ck_assert(ipa_eq(ipa_of(5), ipa_of(5)));
    ck_assert(!ipa_eq(ipa_of(5), ipa_of(6)));
    ck_assert(ipa_lt(ipa_of(5), ipa_of(TOP)));
    ck_assert(!ipa_lt(ipa_of(TOP), ipa_of(5)));
    ck_assert(!ipa_lt(ipa_of(5), ipa_of(5)));
    ck_assert(ipa_le(ipa_of(5), ipa_of(5)));
    ck_assert(!ipa_le(ipa_of(6), ipa_of(5)));
    ck_assert(ipa_eq(ipa_min(ipa_of(1), ipa_of(2)), ipa_of(1)));
    ck_assert(ipa_eq(ipa_min(ipa_of(2), ipa_of(1)), ipa_of(1)));
    ck_assert(ipa_eq(ipa_max(ipa_of(1), ipa_of(2)), ipa_of(2)));
    ck_assert(ipa_eq(ipa_max(ipa_of(2), ipa_of(1)), ipa_of(2)));
    ck_assert(pa_eq(pa_of(TOP), pa_of(TOP)));
    ck_assert(!pa_eq(pa_of(0), pa_of(TOP)));
    ck_assert(pa_lt(pa_of(0), pa_of(1)));
    ck_assert(!pa_lt(pa_of(1), pa_of(1)));
    ck_assert(pa_eq(pa_min(pa_of(1), pa_of(TOP)), pa_of(1)));
    ck_assert(pa_eq(pa_min(pa_of(TOP), pa_of(1)), pa_of(1)));
    ck_assert(pa_eq(pa_max(pa_of(1), pa_of(TOP)), pa_of(TOP)));
    ck_assert(pa_eq(pa_max(pa_of(TOP), pa_of(1)), pa_of(TOP)));
}

TEST(static_tables_equal_what_functions_make)
{
    static const ipa_t ipa = IPA_INIT(0x1000);
    static const pa_t pa = PA_INIT(0x2000);
    static const struct ipa_range range = IPA_RANGE_INIT(0x3000, 0x4000);

    ck_assert(ipa_eq(ipa, ipa_of(0x1000)));
    ck_assert(pa_eq(pa, pa_of(0x2000)));
    ck_assert(ipa_range_eq(range, ipa_range(0x3000, 0x4000)));
    ck_assert(!ipa_range_eq(range, ipa_range(0x3000, 0x4001)));
    ck_assert(!ipa_range_eq(range, ipa_range(0x3001, 0x4000)));
}

TEST(align_of_addresses_is_exact)
{
    ck_assert(ipa_is_aligned(ipa_of(0x3000), 0x1000));
    ck_assert(!ipa_is_aligned(ipa_of(0x3000), 0x2000));
    ck_assert(pa_is_aligned(pa_of(0x3000), 0x1000));
    ck_assert(!pa_is_aligned(pa_of(0x3001), 0x1000));
    ck_assert(ipa_range_is_aligned(ipa_range(0x3000, 0x5000), 0x1000));
    ck_assert(!ipa_range_is_aligned(ipa_range(0x3000, 0x5001), 0x1000));
    ck_assert(!ipa_range_is_aligned(ipa_range(0x3001, 0x5000), 0x1000));
}

TEST(sum_and_distance_are_inverse)
{
    ck_assert(ipa_eq(ipa_add(ipa_of(TOP - 1), 1), ipa_of(TOP)));
    ck_assert(pa_eq(pa_add(pa_of(0), TOP), pa_of(TOP)));
    ck_assert_uint_eq(ipa_distance(ipa_of(0), ipa_of(TOP)), TOP);
    ck_assert_uint_eq(ipa_distance(ipa_of(9), ipa_of(9)), 0);
    ck_assert_uint_eq(ipa_minus(ipa_of(9), ipa_of(2)), 7);
    ck_assert_uint_eq(ipa_minus(ipa_of(2), ipa_of(9)), UINT64_MAX - 6);
    ck_assert_uint_eq(pa_distance(pa_of(1), pa_of(TOP)), TOP - 1);
}

TEST(align_down_and_offset_share_out_the_address)
{
    static const uint64_t addresses[] = {0, 1, 0xfff, 0x1000, 0x12345678, TOP - 0x1000, TOP};

    for (size_t i = 0; i < COUNT(addresses); i++) {
        ipa_t ipa = ipa_of(addresses[i]);
        pa_t pa = pa_of(addresses[i]);

        ck_assert(ipa_is_aligned(ipa_align_down(ipa, 0x1000), 0x1000));
        ck_assert_uint_lt(ipa_offset(ipa, 0x1000), 0x1000);
        ck_assert(ipa_eq(ipa_add(ipa_align_down(ipa, 0x1000), ipa_offset(ipa, 0x1000)), ipa));
        ck_assert(pa_is_aligned(pa_align_down(pa, 0x1000), 0x1000));
        ck_assert_uint_lt(pa_offset(pa, 0x1000), 0x1000);
        ck_assert(pa_eq(pa_add(pa_align_down(pa, 0x1000), pa_offset(pa, 0x1000)), pa));
        ck_assert_uint_eq(ipa_index(ipa, 12) * 0x1000 + ipa_offset(ipa, 0x1000), addresses[i]);
    }
}

TEST(align_up_below_the_top_is_the_next_multiple)
{
    ipa_t aligned = ipa_of(7);

    ck_assert(ipa_align_up(ipa_of(0), 0x1000, &aligned));
    ck_assert(ipa_eq(aligned, ipa_of(0)));
    ck_assert(ipa_align_up(ipa_of(1), 0x1000, &aligned));
    ck_assert(ipa_eq(aligned, ipa_of(0x1000)));
    ck_assert(ipa_align_up(ipa_of(0x1000), 0x1000, &aligned));
    ck_assert(ipa_eq(aligned, ipa_of(0x1000)));
    ck_assert(ipa_align_up(ipa_of(TOP), 1, &aligned));
    ck_assert(ipa_eq(aligned, ipa_of(TOP)));
    ck_assert(ipa_align_up(ipa_of(TOP - 0xfff), 0x1000, &aligned));
    ck_assert(ipa_eq(aligned, ipa_of(TOP - 0xfff)));
    ck_assert(ipa_align_up(ipa_of(1), MAPPING_BIT(63), &aligned));
    ck_assert(ipa_eq(aligned, ipa_of(MAPPING_BIT(63))));
}

TEST(align_up_beyond_the_top_writes_nothing)
{
    ipa_t aligned = ipa_of(7);

    ck_assert(!ipa_align_up(ipa_of(TOP), 2, &aligned));
    ck_assert(!ipa_align_up(ipa_of(TOP - 0xffe), 0x1000, &aligned));
    ck_assert(!ipa_align_up(ipa_of(MAPPING_BIT(63) + 1), MAPPING_BIT(63), &aligned));
    ck_assert(ipa_eq(aligned, ipa_of(7)));
}

TEST(linear_offset_leads_from_ipa_to_pa_both_ways_round)
{
    ck_assert_uint_eq(pa_minus_ipa(pa_of(0x9000), ipa_of(0x1000)), 0x8000);
    ck_assert(pa_eq(ipa_plus_offset(ipa_of(0x1234), 0x8000), pa_of(0x9234)));
    ck_assert_uint_eq(pa_minus_ipa(pa_of(0x1000), ipa_of(0x9000)), TOP - 0x7fff);
    ck_assert(pa_eq(ipa_plus_offset(ipa_of(0x9234), TOP - 0x7fff), pa_of(0x1234)));
}

TEST(join_of_ranges_holds_both_and_what_is_between)
{
    struct ipa_range low = ipa_range(0x1000, 0x1000);
    struct ipa_range high = ipa_range(TOP - 5, 5);
    struct ipa_range whole = ipa_range(0x1000, TOP - 0x1000);

    ck_assert(ipa_range_eq(ipa_range_join(low, high), whole));
    ck_assert(ipa_range_eq(ipa_range_join(high, low), whole));
    ck_assert(ipa_range_eq(ipa_range_join(whole, low), whole));
    ck_assert(ipa_range_eq(ipa_range_join(low, low), low));
}

TEST(last_byte_of_a_range_is_inside_it)
{
    ck_assert(ipa_eq(ipa_range_last(ipa_range(5, 1)), ipa_of(5)));
    ck_assert(ipa_eq(ipa_range_last(ipa_range(0x1000, TOP - 0x1000)), ipa_of(TOP - 1)));
}

TEST_DIES(last_byte_of_an_empty_range_dies)
{
    (void)ipa_range_last(ipa_range(5, 0));
}

TEST_DIES(add_to_ipa_beyond_the_top_dies)
{
    (void)ipa_add(ipa_of(TOP), 1);
}

TEST_DIES(add_to_pa_beyond_the_top_dies)
{
    (void)pa_add(pa_of(2), TOP - 1);
}

TEST_DIES(distance_backwards_between_ipas_dies)
{
    (void)ipa_distance(ipa_of(1), ipa_of(0));
}

TEST_DIES(distance_backwards_between_pas_dies)
{
    (void)pa_distance(pa_of(1), pa_of(0));
}

/* What is no power of two has no mask: any answer would be about something else. */
TEST_EACH_DIES(offset_above_a_multiple_of_no_power_of_two_dies, 6)
{
    static const uint64_t aligns[] = {0, 3, 0x3000};

    if (_i % 2 == 0) {
        (void)ipa_offset(ipa_of(0x5123), aligns[_i / 2]);
    } else {
        (void)pa_offset(pa_of(0x5123), aligns[_i / 2]);
    }
}

TEST_DIES(end_of_a_wrapping_range_dies)
{
    (void)ipa_range_end(ipa_range(TOP, 1));
}

TEST_DIES(meet_of_apart_ranges_dies)
{
    (void)ipa_range_meet(ipa_range(0, 1), ipa_range(2, 1));
}

/* Every range is checked against the definition; the last byte of the space lies in none. */
static const struct {
    uint64_t start, size;
    bool is_valid, wraps;
} range_cases[] = {
    {0, 0, false, false},
    {0, 1, true, false},
    {TOP, 0, false, false},
    {TOP, 1, false, true},
    {TOP - 1, 1, true, false},
    {TOP - 1, 2, false, true},
    {0, TOP, true, false},
    {1, TOP, false, true},
    {1, TOP - 1, true, false},
    {MAPPING_BIT(63), MAPPING_BIT(63), false, true},
    {MAPPING_BIT(63), MAPPING_BIT(63) - 1, true, false},
};

TEST_EACH(judge_range_at_the_top_is_exact, COUNT(range_cases))
{
    struct ipa_range range = ipa_range(range_cases[_i].start, range_cases[_i].size);

    ck_assert_int_eq(ipa_range_is_valid(range), range_cases[_i].is_valid);
    ck_assert_int_eq(ipa_range_wraps(range), range_cases[_i].wraps);
}

/* All pairs of ranges in a space of six bytes at the bottom, and again below the top, against byte
 * sets. */
static unsigned bytes_of(uint64_t first, uint64_t size)
{
    unsigned set = 0;

    for (uint64_t i = first; i < first + size; i++) {
        set |= 1U << i;
    }
    return set;
}

static void compare_pair(uint64_t shift, struct ipa_range a, struct ipa_range b)
{
    unsigned a_set = bytes_of(ipa_distance(ipa_of(shift), a.start), a.size);
    unsigned b_set = bytes_of(ipa_distance(ipa_of(shift), b.start), b.size);

    ck_assert_int_eq(ipa_range_overlaps(a, b), (a_set & b_set) != 0);
    ck_assert_int_eq(ipa_range_covers(a, b), (a_set & b_set) == b_set);
    if ((a_set & b_set) != 0) {
        struct ipa_range meet = ipa_range_meet(a, b);

        ck_assert_uint_eq(bytes_of(ipa_distance(ipa_of(shift), meet.start), meet.size),
                          a_set & b_set);
    }
}

static struct ipa_range nth_range(uint64_t shift, unsigned n)
{
    return ipa_range(shift + n / 6, 1 + n % 6);
}

TEST_EACH(relate_every_pair_of_ranges_agrees_with_byte_sets, 2)
{
    uint64_t shift = _i == 0 ? 0 : TOP - 11;

    for (unsigned a = 0; a < 36; a++) {
        for (unsigned b = 0; b < 36; b++) {
            compare_pair(shift, nth_range(shift, a), nth_range(shift, b));
        }
    }
}

TEST(has_address_at_borders_is_exact)
{
    struct ipa_range range = ipa_range(0x1000, 0x1000);

    ck_assert(!ipa_range_has(range, ipa_of(0xfff)));
    ck_assert(ipa_range_has(range, ipa_of(0x1000)));
    ck_assert(ipa_range_has(range, ipa_of(0x1fff)));
    ck_assert(!ipa_range_has(range, ipa_of(0x2000)));
    ck_assert(!ipa_range_has(range, ipa_of(0)));
    ck_assert(!ipa_range_has(range, ipa_of(TOP)));
    ck_assert(!ipa_range_has(ipa_range(5, 0), ipa_of(5)));
    ck_assert(ipa_range_has(ipa_range(0, TOP), ipa_of(TOP - 1)));
    ck_assert(!ipa_range_has(ipa_range(0, TOP), ipa_of(TOP)));
}

TEST(end_and_between_are_inverse)
{
    struct ipa_range range = ipa_range(0x1000, TOP - 0x1000);

    ck_assert(ipa_eq(ipa_range_end(range), ipa_of(TOP)));
    ck_assert(ipa_range_eq(ipa_range_between(range.start, ipa_range_end(range)), range));
    ck_assert_uint_eq(ipa_range_between(ipa_of(4), ipa_of(4)).size, 0);
}

TEST(fit_of_pa_span_at_the_limit_is_exact)
{
    ck_assert(pa_span_fits(pa_of(0), 1, 1));
    ck_assert(!pa_span_fits(pa_of(0), 0, 1));
    ck_assert(!pa_span_fits(pa_of(0), 2, 1));
    ck_assert(!pa_span_fits(pa_of(1), 1, 1));
    ck_assert(pa_span_fits(pa_of(MAPPING_BIT(48) - 4096), 4096, MAPPING_BIT(48)));
    ck_assert(!pa_span_fits(pa_of(MAPPING_BIT(48) - 4096), 4097, MAPPING_BIT(48)));
    ck_assert(pa_span_fits(pa_of(TOP - 1), 1, TOP));
    ck_assert(!pa_span_fits(pa_of(TOP), 1, TOP));
    ck_assert(!pa_span_fits(pa_of(1), TOP, TOP));
}

TEST(offset_inside_pa_span_is_exact)
{
    uint64_t offset = 77;

    ck_assert(!pa_span_offset(pa_of(0x1000), 0x1000, pa_of(0xfff), &offset));
    ck_assert(!pa_span_offset(pa_of(0x1000), 0x1000, pa_of(0x2000), &offset));
    ck_assert(!pa_span_offset(pa_of(0x1000), 0x1000, pa_of(TOP), &offset));
    ck_assert(!pa_span_offset(pa_of(0x1000), 0, pa_of(0x1000), &offset));
    ck_assert(!pa_span_offset(pa_of(TOP - 2), 2, pa_of(TOP), &offset));
    ck_assert_uint_eq(offset, 77);
    ck_assert(pa_span_offset(pa_of(0x1000), 0x1000, pa_of(0x1000), &offset));
    ck_assert_uint_eq(offset, 0);
    ck_assert(pa_span_offset(pa_of(0x1000), 0x1000, pa_of(0x1fff), &offset));
    ck_assert_uint_eq(offset, 0xfff);
    ck_assert(pa_span_offset(pa_of(TOP - 2), 2, pa_of(TOP - 1), &offset));
    ck_assert_uint_eq(offset, 1);
}

TEST(unit_number_counts_what_begins_in_the_span_and_nothing_else)
{
    const pa_t base = pa_of(0x40003000);

    for (unsigned shift = 12; shift <= 16; shift += 2) {
        for (uint64_t i = 0; i < 5; i++) {
            ck_assert_uint_eq(pa_unit_number(base, pa_unit(base, i, shift), shift), i);
        }
        ck_assert(pa_eq(pa_unit(base, 3, shift), pa_add(base, 3 * MAPPING_BIT(shift))));
        for (unsigned bit = 0; bit < shift; bit++) {
            ck_assert_uint_ge(pa_unit_number(base, pa_add(base, MAPPING_BIT(bit)), shift),
                              MAPPING_BIT(48));
        }
    }
    /* Below the base: no fewer than fit behind it. */
    ck_assert_uint_ge(pa_unit_number(base, pa_of(0x40002000), 12), (UINT64_MAX - 0x40003000) >> 12);
    ck_assert_uint_ge(pa_unit_number(base, pa_of(0), 12), (UINT64_MAX - 0x40003000) >> 12);
}

/* lock.h */

static struct mapping_lock lock;

TEST(acquire_and_release_show_in_is_held)
{
    mapping_lock_init(&lock);
    ck_assert(!mapping_lock_is_held(&lock));
    mapping_lock_acquire(&lock);
    ck_assert(mapping_lock_is_held(&lock));
    mapping_lock_release(&lock);
    ck_assert(!mapping_lock_is_held(&lock));
}

TEST(acquire_after_the_last_ticket_starts_again_at_zero)
{
    atomic_init(&lock.next, UINT32_MAX);
    atomic_init(&lock.serving, UINT32_MAX);
    for (int i = 0; i < 3; i++) {
        mapping_lock_acquire(&lock);
        ck_assert(mapping_lock_is_held(&lock));
        mapping_lock_release(&lock);
        ck_assert(!mapping_lock_is_held(&lock));
    }
    ck_assert_uint_eq(atomic_load(&lock.serving), 2);
}

TEST(release_by_ticket_serves_the_next)
{
    atomic_init(&lock.next, UINT32_MAX);
    atomic_init(&lock.serving, UINT32_MAX);
    for (int i = 0; i < 3; i++) {
        uint32_t ticket = mapping_lock_acquire_ticket(&lock);

        ck_assert(mapping_lock_is_held(&lock));
        mapping_lock_release_ticket(&lock, ticket);
        ck_assert(!mapping_lock_is_held(&lock));
        mapping_lock_acquire(&lock);
        mapping_lock_release(&lock);
    }
    ck_assert_uint_eq(atomic_load(&lock.serving), 5);
}

TEST_DIES(release_of_a_free_lock_dies)
{
    mapping_lock_init(&lock);
    mapping_lock_release(&lock);
}

#define LOCK_ROUNDS 10000U

static unsigned guarded;

static void *count_up(void *unused)
{
    for (unsigned i = 0; i < LOCK_ROUNDS; i++) {
        uint32_t ticket;

        mapping_lock_acquire(&lock);
        guarded++;
        mapping_lock_release(&lock);
        ticket = mapping_lock_acquire_ticket(&lock);
        guarded++;
        mapping_lock_release_ticket(&lock, ticket);
    }
    return unused;
}

TEST(acquire_from_two_threads_excludes_one)
{
    pthread_t threads[2];

    mapping_lock_init(&lock);
    guarded = 0;
    for (size_t i = 0; i < COUNT(threads); i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, count_up, NULL), 0);
    }
    for (size_t i = 0; i < COUNT(threads); i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    ck_assert_uint_eq(guarded, 4 * LOCK_ROUNDS);
    ck_assert(!mapping_lock_is_held(&lock));
}
