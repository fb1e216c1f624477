/*
 * test_symbols.c - inline functions that exist as symbols, too, answer as the inline ones do. These go by
 * another name here, as in symbols.c.
 */
#define ipa_of(...) inline_ipa_of(__VA_ARGS__)
#define pa_of(...) inline_pa_of(__VA_ARGS__)
#define ipa_range(...) inline_ipa_range(__VA_ARGS__)
#define ipa_distance(...) inline_ipa_distance(__VA_ARGS__)
#define pa_distance(...) inline_pa_distance(__VA_ARGS__)
#define frame_pool_alloc(...) inline_frame_pool_alloc(__VA_ARGS__)
#define frame_pool_free(...) inline_frame_pool_free(__VA_ARGS__)
#define frame_pool_ptr(...) inline_frame_pool_ptr(__VA_ARGS__)
#define s2_cursor(...) inline_s2_cursor(__VA_ARGS__)
#define s2_cursor_is_done(...) inline_s2_cursor_is_done(__VA_ARGS__)
#define s2_vmid_rollovers(...) inline_s2_vmid_rollovers(__VA_ARGS__)
#define s2_vmid_last(...) inline_s2_vmid_last(__VA_ARGS__)
#define s2_table_geometry(...) inline_s2_table_geometry(__VA_ARGS__)
#define s2_space_enterable(...) inline_s2_space_enterable(__VA_ARGS__)

#include "stage2/trestle.h"
#include "tests/unit/test.h"

#undef ipa_of
#undef pa_of
#undef ipa_range
#undef ipa_distance
#undef pa_distance
#undef frame_pool_alloc
#undef frame_pool_free
#undef frame_pool_ptr
#undef s2_cursor
#undef s2_cursor_is_done
#undef s2_vmid_rollovers
#undef s2_vmid_last
#undef s2_table_geometry
#undef s2_space_enterable

#define SUITE "symbols"

/* As a binding declares them. */
ipa_t ipa_of(uint64_t raw);
pa_t pa_of(uint64_t raw);
struct ipa_range ipa_range(uint64_t start, uint64_t size);
uint64_t ipa_distance(ipa_t from, ipa_t to);
uint64_t pa_distance(pa_t from, pa_t to);
enum mapping_error frame_pool_alloc(struct frame_pool *pool, unsigned order, pa_t *frame);
enum mapping_error frame_pool_free(struct frame_pool *pool, pa_t frame, unsigned order);
void *frame_pool_ptr(const struct frame_pool *pool, pa_t frame);
struct s2_cursor s2_cursor(struct ipa_range range);
bool s2_cursor_is_done(const struct s2_cursor *cursor);
uint64_t s2_vmid_rollovers(const struct s2_vmid_allocator *vmids);
uint32_t s2_vmid_last(const struct s2_vmid_allocator *vmids);
const struct s2_geometry *s2_table_geometry(const struct s2_table *table);
struct s2_table *s2_space_enterable(struct s2_space *space);

TEST(addresses_are_what_the_inline_ones_are)
{
    const struct ipa_range range = ipa_range(0x1000, 0x2000);

    ck_assert(ipa_eq(ipa_of(0x1234), inline_ipa_of(0x1234)));
    ck_assert(pa_eq(pa_of(0x1234), inline_pa_of(0x1234)));
    ck_assert(ipa_range_eq(range, inline_ipa_range(0x1000, 0x2000)));
    ck_assert_uint_eq(ipa_distance(range.start, ipa_range_end(range)), 0x2000);
    ck_assert_uint_eq(pa_distance(pa_of(1), pa_of(8)), 7);
}

TEST(frames_come_and_go)
{
    static unsigned char memory[4 * 4096] __attribute__((aligned(65536)));
    static struct frame_info infos[4];
    struct frame_region bank = {PA_INIT(0x40000000), memory, 4, infos};
    struct frame_pool pool;
    pa_t frame;

    ck_assert_int_eq(frame_pool_init(&pool, 12, &bank, 1), MAPPING_OK);
    ck_assert_int_eq(frame_pool_alloc(&pool, 1, &frame), MAPPING_OK);
    ck_assert_ptr_eq(frame_pool_ptr(&pool, frame), inline_frame_pool_ptr(&pool, frame));
    ck_assert_uint_eq(frame_pool_available(&pool), 2);
    ck_assert_int_eq(frame_pool_free(&pool, frame, 1), MAPPING_OK);
    ck_assert_int_eq(frame_pool_free(&pool, frame, 1), MAPPING_BAD_STATE);
    ck_assert_uint_eq(frame_pool_available(&pool), 4);
}

TEST(objects_of_stage2_are_looked_into)
{
    struct s2_cursor cursor = s2_cursor(ipa_range(0x1000, 0x1000));
    static struct s2_vmid_allocator vmids;
    static struct s2_space space;

    ck_assert(!s2_cursor_is_done(&cursor));
    cursor.next = ipa_of(0x2000);
    ck_assert(s2_cursor_is_done(&cursor));
    s2_vmid_init(&vmids, 8);
    ck_assert_uint_eq(s2_vmid_last(&vmids), 255);
    ck_assert_uint_eq(s2_vmid_rollovers(&vmids), 0);
    ck_assert_ptr_eq(s2_space_enterable(&space), inline_s2_space_enterable(&space));
    ck_assert_ptr_eq(s2_table_geometry(s2_space_enterable(&space)),
                     inline_s2_table_geometry(s2_space_enterable(&space)));
}
