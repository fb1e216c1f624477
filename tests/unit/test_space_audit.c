/*
 * test_space_audit.c - what is between guests, seen from the memory: every breach is found, where it
 * is, whoever made it; and nothing else is.
 */
#include "tests/model/random.h"
#include "tests/unit/kinds_fixture.h"
#include "tests/unit/test.h"

#define SUITE "space_audit"

#define PAGE KIB(4)
#define MAP_PAGES 4096

static struct guest guest;
static struct memory_node other_nodes[GUEST_NODES];
static struct s2_space other;
static struct s2_lazy lazy;
static uint64_t words[MAP_PAGES / 64];
static struct s2_space *const spaces[] = {&guest.space, &other};
static struct s2_audit audit;

/* Another guest on the same pool, which nobody judges as no CPU has it. */
static void setup(void)
{
    struct rig_setup rig = guest_setup_fwb();
    struct s2_space_config config;

    rig.frame_count = 2048;
    guest_init(&guest, rig, GUEST_NODES, 0);
    config = (struct s2_space_config){
        .table = guest.rig.setup.config,
        .table_pool = &guest.rig.pool,
        .nodes = other_nodes,
        .node_count = GUEST_NODES,
        .vmid = RIG_VMID + 1,
    };
    MUST(s2_space_init(&other, &config));
    lazy = (struct s2_lazy){.pool = &guest.rig.pool};
    audit = (struct s2_audit){
        .spaces = spaces,
        .space_count = 2,
        .map = {.base = pa_of(RIG_DATA), .page_count = MAP_PAGES, .words = words},
    };
}

static void teardown(void)
{
    MUST(s2_space_fini(&other));
    guest_fini(&guest);
}

#undef SETUP
#define SETUP setup
#undef TEARDOWN
#define TEARDOWN teardown

static void map(struct s2_space *space, uint64_t ipa, uint64_t size, uint64_t pa,
                mapping_flags_t flags)
{
    MUST(s2_space_map_linear(space, ipa_range(ipa, size), pa_of(pa), flags));
}

/* In steps of @budget. Returns: how many. */
static size_t audit_in_steps(size_t budget, enum mapping_error *error)
{
    bool is_done = false;
    size_t steps = 0;

    s2_audit_begin(&audit);
    do {
        *error = s2_audit_step(&audit, budget, &is_done);
        steps++;
        ck_assert_uint_lt(steps, 100000);
    } while (*error == MAPPING_OK && !is_done);
    return steps;
}

static void check_finding(enum s2_audit_rule rule, const struct s2_space *space, uint64_t ipa,
                          uint64_t pa)
{
    static const size_t budgets[] = {SIZE_MAX, 1, 3, 700};

    for (size_t i = 0; i < COUNT(budgets); i++) {
        enum mapping_error error;

        (void)audit_in_steps(budgets[i], &error);
        ck_assert_int_eq(error, MAPPING_BAD_STATE);
        ck_assert_str_eq(s2_audit_rule_name(audit.finding.rule), s2_audit_rule_name(rule));
        ck_assert_ptr_eq(audit.finding.space, space);
        ck_assert_uint_eq(audit.finding.ipa.raw, ipa);
        ck_assert_uint_eq(audit.finding.pa.raw, pa);
    }
}

TEST(guests_apart_are_sound)
{
    enum mapping_error error;

    map(&guest.space, GIB(1), MIB(4), RIG_DATA, RIG_RWX);
    map(&guest.space, GIB(2), PAGE, RIG_DATA + MIB(6), S2_READ);
    map(&other, GIB(1), MIB(2), RIG_DATA + MIB(4), RIG_RWX);
    map(&other, GIB(3), PAGE, RIG_DATA + MIB(6), S2_READ);
    map(&other, GIB(4), PAGE, RIG_DATA, S2_READ); /* a reader of what one writes */
    MUST(s2_space_map_populated(&guest.space, ipa_range(GIB(5), 20 * PAGE), &lazy, RIG_RW));
    MUST(s2_space_map_populated(&other, ipa_range(GIB(5), 20 * PAGE), &lazy, RIG_RW));
    MUST(s2_audit(&audit));
    ck_assert_int_eq(audit.finding.rule, S2_AUDIT_SOUND);
    ck_assert_uint_gt(audit_in_steps(1, &error), 50);
    MUST(error);
    ck_assert_uint_eq(audit_in_steps(SIZE_MAX, &error), 1);
    MUST(error);
}

TEST(page_of_two_writers_is_found)
{
    map(&guest.space, GIB(1), MIB(4), RIG_DATA, RIG_RW);
    map(&other, GIB(7), 8 * PAGE, RIG_DATA + MIB(4), RIG_RW);
    MUST(s2_audit(&audit));
    map(&other, GIB(9), 3 * PAGE, RIG_DATA + MIB(4) - 2 * PAGE, RIG_RW);
    check_finding(S2_AUDIT_TWO_WRITERS, &other, GIB(9), RIG_DATA + MIB(4) - 2 * PAGE);
    ck_assert_ptr_eq(audit.finding.other, &guest.space);
    ck_assert_uint_eq(audit.finding.other_ipa.raw, GIB(1) + MIB(4) - 2 * PAGE);
    MUST(s2_space_protect(&other, ipa_range(GIB(9), PAGE), S2_READ));
    check_finding(S2_AUDIT_TWO_WRITERS, &other, GIB(9) + PAGE, RIG_DATA + MIB(4) - PAGE);
    /* Without a map nobody can tell. */
    audit.map.words = NULL;
    MUST(s2_audit(&audit));
}

/* A guest that has its own memory twice harms nobody. */
TEST(page_that_one_guest_has_twice_is_sound)
{
    enum mapping_error error;

    map(&guest.space, GIB(1), 64 * PAGE, RIG_DATA, RIG_RW);
    map(&guest.space, GIB(2), MIB(2), RIG_DATA, RIG_RW);
    MUST(s2_audit(&audit));
    (void)audit_in_steps(2, &error);
    MUST(error);
    /* And does not hide who does. */
    map(&other, GIB(3), PAGE, RIG_DATA + 65 * PAGE, RIG_RW);
    check_finding(S2_AUDIT_TWO_WRITERS, &other, GIB(3), RIG_DATA + 65 * PAGE);
}

static bool share_the_third(void *arg, pa_t pa)
{
    (void)arg;
    return pa.raw == RIG_DATA + 2 * PAGE;
}

TEST(page_that_may_be_shared_is_sound)
{
    map(&guest.space, GIB(1), 4 * PAGE, RIG_DATA, RIG_RW);
    map(&other, GIB(1), PAGE, RIG_DATA + 2 * PAGE, RIG_RW);
    audit.may_share = share_the_third;
    MUST(s2_audit(&audit));
    map(&other, GIB(2), PAGE, RIG_DATA + 3 * PAGE, RIG_RW);
    check_finding(S2_AUDIT_TWO_WRITERS, &other, GIB(2), RIG_DATA + 3 * PAGE);
}

/* What is next to a guest's memory, behind a table that is full or a block, is not the guest's. */
TEST_EACH(hole_behind_a_leaf_is_nobodys, 3)
{
    static const mapping_flags_t caps[] = {S2_CAP_PAGES, 0, S2_CAP_PAGES};
    const struct s2_audit_range forbidden = {pa_of(RIG_DATA + MIB(2)), MIB(512)};
    static const size_t budgets[] = {SIZE_MAX, 1, 512, 513};

    map(&guest.space, GIB(1), MIB(2), RIG_DATA, RIG_RW | caps[_i] | S2_NO_CONTIGUOUS);
    if (_i == 1) { /* a table behind, whose first entry is empty */
        map(&guest.space, GIB(1) + MIB(2) + PAGE, PAGE, RIG_DATA - PAGE, S2_READ);
    }
    if (_i == 2) { /* the end of a table one level up */
        map(&guest.space, GIB(2) - MIB(2), MIB(2), RIG_DATA - MIB(2), RIG_RW | S2_CAP_PAGES);
    }
    audit.forbidden = &forbidden;
    audit.forbidden_count = 1;
    for (size_t i = 0; i < COUNT(budgets); i++) {
        enum mapping_error error;

        (void)audit_in_steps(budgets[i], &error);
        ck_assert_msg(error == MAPPING_OK, "%s at %llx", s2_audit_rule_name(audit.finding.rule),
                      (unsigned long long)audit.finding.ipa.raw);
    }
}

TEST(page_of_the_hypervisor_is_found)
{
    const struct s2_audit_range forbidden[] = {{PA_INIT(RIG_DATA - MIB(2)), MIB(2)},
                                               {PA_INIT(RIG_DATA + MIB(4) + PAGE), PAGE}};

    audit.forbidden = forbidden;
    audit.forbidden_count = 2;
    map(&guest.space, GIB(1), MIB(4) + PAGE, RIG_DATA, RIG_RW);
    map(&other, GIB(1), PAGE, RIG_DATA + MIB(4) + 2 * PAGE, RIG_RW);
    MUST(s2_audit(&audit));
    map(&other, GIB(1) + PAGE, 4 * PAGE, RIG_DATA - 3 * PAGE, S2_READ);
    check_finding(S2_AUDIT_FORBIDDEN, &other, GIB(1) + PAGE, RIG_DATA - 3 * PAGE);
    MUST(s2_space_unmap(&other, ipa_range(GIB(1) + PAGE, 3 * PAGE)));
    MUST(s2_space_unmap(&guest.space, ipa_range(GIB(1) + PAGE, PAGE)));
    map(&guest.space, GIB(2), 3 * PAGE, RIG_DATA + MIB(4), S2_READ);
    check_finding(S2_AUDIT_FORBIDDEN, &guest.space, GIB(2) + PAGE, RIG_DATA + MIB(4) + PAGE);
}

/* A wrong descriptor, however it came about: a leaf that leads to a table, or to a free frame. */
TEST_EACH(leaf_that_leads_into_the_pool_is_found, 2)
{
    const uint64_t root = pa_distance(pa_of(0), s2_table_root(s2_space_table(&other)));
    pa_t free_frame;
    s2_desc_t *slot;
    uint64_t old, wrong;

    rig_unwatch(&guest.rig);
    MUST(frame_pool_alloc(&guest.rig.pool, 0, &free_frame));
    MUST(frame_pool_free(&guest.rig.pool, free_frame, 0));
    map(&guest.space, GIB(1), 8 * PAGE, RIG_DATA, S2_READ);
    MUST(s2_audit(&audit));
    slot = rig_slot(&guest.rig, s2_space_table(&guest.space), GIB(1) + 5 * PAGE);
    old = slot->raw;
    wrong = _i == 0 ? root : free_frame.raw;
    slot->raw = (old & ~UINT64_C(0xfffffffff000)) | wrong;
    check_finding(S2_AUDIT_NOT_DATA, &guest.space, GIB(1) + 5 * PAGE, wrong);
    slot->raw = old;
}

TEST(page_is_found_from_its_memory)
{
    ipa_t ipa = ipa_of(1);

    map(&guest.space, GIB(1), MIB(2), RIG_DATA, S2_READ);
    map(&guest.space, GIB(3), 2 * PAGE, RIG_DATA + PAGE, RIG_RW);
    MUST(s2_space_find_pa(&guest.space, pa_of(RIG_DATA + 2 * PAGE), ipa_of(0), 0, &ipa));
    ck_assert_uint_eq(ipa.raw, GIB(1) + 2 * PAGE);
    MUST(s2_space_find_pa(&guest.space, pa_of(RIG_DATA + 2 * PAGE), ipa_of(GIB(1) + 3 * PAGE), 0,
                          &ipa));
    ck_assert_uint_eq(ipa.raw, GIB(3) + PAGE);
    MUST(s2_space_find_pa(&guest.space, pa_of(RIG_DATA + 2 * PAGE), ipa_of(0), S2_WRITE, &ipa));
    ck_assert_uint_eq(ipa.raw, GIB(3) + PAGE);
    ck_assert_int_eq(s2_space_find_pa(&guest.space, pa_of(RIG_DATA + 2 * PAGE),
                                      ipa_of(GIB(3) + 2 * PAGE), 0, &ipa),
                     MAPPING_NOT_FOUND);
    ck_assert_int_eq(s2_space_find_pa(&guest.space, pa_of(RIG_DATA - PAGE), ipa_of(0), 0, &ipa),
                     MAPPING_NOT_FOUND);
    ck_assert_int_eq(s2_space_find_pa(&guest.space, pa_of(RIG_DATA), ipa_of(GIB(1024)), 0, &ipa),
                     MAPPING_NOT_FOUND);
    ck_assert_uint_eq(ipa.raw, GIB(3) + PAGE);
}

/* --- Shared and pinned ------------------------------------------------------------------------ */

static size_t available(void)
{
    return frame_pool_available(&guest.rig.pool);
}

/* Whoever lets go first, the frame is free once, and not before. */
TEST_EACH(shared_page_is_freed_once, 2)
{
    struct s2_space *const first = _i == 0 ? &guest.space : &other;
    struct s2_space *const second = _i == 0 ? &other : &guest.space;
    const uint64_t at[] = {GIB(1), GIB(3)};
    uint64_t word = 77;
    size_t before, shared;

    MUST(s2_space_map_lazy(&guest.space, ipa_range(GIB(1), 8 * PAGE), &lazy, RIG_RW));
    MUST(s2_space_write(&guest.space, ipa_of(GIB(1) + 2 * PAGE), &word, 8, S2_AS_GUEST, NULL));
    MUST(
        s2_space_share(&guest.space, ipa_range(GIB(1), 4 * PAGE), &other, ipa_of(GIB(3)), S2_READ));
    ck_assert(s2_space_check(&guest.space) && s2_space_check(&other));
    MUST(s2_audit(&audit));
    MUST(s2_space_read(&other, ipa_of(GIB(3) + 2 * PAGE), &word, 8, S2_AS_GUEST, NULL));
    ck_assert_uint_eq(word, 77);
    ck_assert_int_eq(s2_space_write(&other, ipa_of(GIB(3)), &word, 8, S2_AS_GUEST, NULL),
                     MAPPING_DENIED);
    before = available();
    MUST(s2_space_unmap(first, ipa_range(at[_i], 8 * PAGE)));
    shared = available() - before; /* tables, none of the four frames */
    ck_assert_uint_le(shared, 2);
    if (_i == 0) {
        MUST(s2_space_read(&other, ipa_of(GIB(3) + 2 * PAGE), &word, 8, S2_AS_GUEST, NULL));
        ck_assert_uint_eq(word, 77);
        ck_assert(s2_space_check(&other));
    }
    before = available();
    MUST(s2_space_unmap(second, ipa_range(at[1 - _i], 8 * PAGE)));
    ck_assert_uint_ge(available() - before, 4);
    ck_assert(frame_pool_check(&guest.rig.pool));
}

/* Another guest whose tables come from another pool would not count the frame. */
TEST(share_with_who_does_not_count_is_refused)
{
    static _Alignas(65536) unsigned char bytes[16 * 4096];
    static struct frame_info infos[16];
    static struct frame_pool apart;
    static struct memory_node nodes[4];
    static struct s2_space stranger;
    struct frame_region region = {PA_INIT(RIG_DATA), bytes, 16, infos};
    const struct s2_space_config config = {
        .table = guest.rig.setup.config,
        .table_pool = &apart,
        .nodes = nodes,
        .node_count = COUNT(nodes),
        .vmid = RIG_VMID + 2,
    };

    rig_unwatch(&guest.rig);
    MUST(frame_pool_init(&apart, 12, &region, 1));
    MUST(s2_space_init(&stranger, &config));
    MUST(s2_space_map_lazy(&guest.space, ipa_range(GIB(1), PAGE), &lazy, RIG_RW));
    ck_assert_int_eq(
        s2_space_share(&guest.space, ipa_range(GIB(1), PAGE), &stranger, ipa_of(GIB(1)), S2_READ),
        MAPPING_UNSUPPORTED);
    ck_assert(memory_set_is_empty(s2_space_areas(&stranger)));
    MUST(s2_space_fini(&stranger));
}

TEST(share_is_all_or_nothing)
{
    const size_t areas = 2;

    MUST(s2_space_map_lazy(&guest.space, ipa_range(GIB(1), 3 * PAGE), &lazy, RIG_RW));
    MUST(s2_space_map_guard(&guest.space, ipa_range(GIB(1) + 3 * PAGE, PAGE)));
    map(&other, GIB(5), PAGE, RIG_DATA, RIG_RW);
    map(&other, GIB(6), PAGE, RIG_DATA, RIG_RW);
    ck_assert_int_eq(
        s2_space_share(&guest.space, ipa_range(GIB(1), 4 * PAGE), &other, ipa_of(GIB(3)), RIG_RW),
        MAPPING_DENIED);
    ck_assert_int_eq(s2_space_share(&guest.space, ipa_range(GIB(1), 3 * PAGE), &other,
                                    ipa_of(GIB(5) - 2 * PAGE), RIG_RW),
                     MAPPING_ALREADY_EXISTS);
    ck_assert_int_eq(
        s2_space_share(&guest.space, ipa_range(GIB(1), PAGE / 2), &other, ipa_of(GIB(3)), RIG_RW),
        MAPPING_INVALID_PARAM);
    ck_assert_int_eq(s2_space_share(&guest.space, ipa_range(GIB(1), PAGE), &other,
                                    ipa_of(UINT64_MAX - PAGE + 1), RIG_RW),
                     MAPPING_INVALID_PARAM);
    ck_assert_int_eq(
        s2_space_share(&guest.space, ipa_range(GIB(9), PAGE), &other, ipa_of(GIB(3)), RIG_RW),
        MAPPING_NOT_FOUND);
    ck_assert_uint_eq(memory_set_len(s2_space_areas(&other)), areas);
    ck_assert(s2_space_check(&other) && s2_space_check(&guest.space));
}

/* The same memory at two addresses of one guest. */
TEST(alias_is_the_same_memory)
{
    uint64_t word = 5;

    MUST(s2_space_map_lazy(&guest.space, ipa_range(GIB(1), 3 * PAGE), &lazy, RIG_RW));
    MUST(s2_space_share(&guest.space, ipa_range(GIB(1), 3 * PAGE), &guest.space, ipa_of(GIB(4)),
                        RIG_RW));
    MUST(s2_space_write(&guest.space, ipa_of(GIB(4) + PAGE), &word, 8, S2_AS_GUEST, NULL));
    ck_assert_uint_eq(kinds_peek(&guest, GIB(1) + PAGE), 5);
    MUST(s2_space_unmap(&guest.space, ipa_range(GIB(1), 3 * PAGE)));
    ck_assert_uint_eq(kinds_peek(&guest, GIB(4) + PAGE), 5);
    MUST(s2_audit(&audit));
}

/* What a device has is not freed behind it, whatever becomes of the guest's area. */
TEST(pinned_memory_stays)
{
    struct s2_pin pin;
    size_t before;

    lazy.grain = MIB(2);
    MUST(s2_space_map_lazy(&guest.space, ipa_range(GIB(1), MIB(4)), &lazy, RIG_RW));
    MUST(s2_space_pin(&guest.space, ipa_of(GIB(1) + MIB(2) - 8), MIB(1), S2_WRITE, S2_AS_GUEST,
                      &pin));
    ck_assert_uint_eq(pin.size, 8); /* to the end of the block */
    s2_space_unpin(&guest.space, &pin);
    MUST(s2_space_pin(&guest.space, ipa_of(GIB(1) + PAGE + 8), 2 * PAGE, S2_READ | S2_WRITE,
                      S2_AS_GUEST, &pin));
    ck_assert_uint_eq(pin.size, 2 * PAGE);
    ck_assert_ptr_eq(pin.ptr, frame_pool_ptr(&guest.rig.pool, pin.pa));
    before = available();
    MUST(s2_space_unmap(&guest.space, ipa_range(GIB(1), MIB(4))));
    ck_assert_uint_eq(available() - before,
                      512 + 1 - 3); /* a table; three pages are the device's */
    ck_assert(frame_pool_check(&guest.rig.pool));
    s2_space_unpin(&guest.space, &pin);
    ck_assert_uint_eq(available() - before, 512 + 1);
}

TEST(pin_that_cannot_hold_is_refused)
{
    static _Alignas(4096) unsigned char bytes[4 * 4096];
    static struct frame_info infos[4];
    static struct frame_pool apart;
    static const struct s2_lazy uncounted = {.pool = &apart};
    struct frame_region region = {PA_INIT(RIG_DATA), bytes, 4, infos};
    struct s2_pin pin = {pa_of(1), 2, NULL};

    MUST(frame_pool_init(&apart, 12, &region, 1));
    MUST(s2_space_map_lazy(&guest.space, ipa_range(GIB(1), PAGE), &uncounted, RIG_RW));
    map(&guest.space, GIB(2), PAGE, RIG_DATA + MIB(1), S2_READ);
    MUST(s2_space_map_trap(&guest.space, ipa_range(GIB(3), PAGE), 0));
    /* Nobody would count it, neither the tables' pool nor a guard. */
    ck_assert_int_eq(s2_space_pin(&guest.space, ipa_of(GIB(1)), 8, S2_READ, S2_AS_GUEST, &pin),
                     MAPPING_UNSUPPORTED);
    ck_assert_int_eq(s2_space_pin(&guest.space, ipa_of(GIB(2)), 8, S2_WRITE, S2_AS_GUEST, &pin),
                     MAPPING_DENIED);
    ck_assert_int_eq(s2_space_pin(&guest.space, ipa_of(GIB(3)), 8, S2_READ, S2_AS_HOST, &pin),
                     MAPPING_DENIED);
    ck_assert_int_eq(s2_space_pin(&guest.space, ipa_of(GIB(2)), 0, S2_READ, S2_AS_HOST, &pin),
                     MAPPING_INVALID_PARAM);
    ck_assert_int_eq(s2_space_pin(&guest.space, ipa_of(GIB(2)), 8, S2_EXEC, S2_AS_HOST, &pin),
                     MAPPING_INVALID_PARAM);
    ck_assert_uint_eq(pin.size, 2);
    /* The embedder's own memory is not counted, and stays. */
    MUST(s2_space_pin(&guest.space, ipa_of(GIB(2)), 2 * PAGE, S2_READ, S2_AS_GUEST, &pin));
    ck_assert(pin.pa.raw == RIG_DATA + MIB(1) && pin.size == PAGE && pin.ptr == NULL);
    s2_space_unpin(&guest.space, &pin);
}

/* Against a list of who may write what: at random, two guests of some pages each. */
TEST_EACH(breaches_at_random_are_those_of_a_list, 20)
{
    struct random random = {(uint64_t)_i};
    bool writes[2][64] = {{false}};
    enum mapping_error error;
    bool is_breached = false;

    for (unsigned i = 0; i < 12; i++) {
        const size_t who = (size_t)random_below(&random, 2);
        const uint64_t first = random_below(&random, 60), count = 1 + random_below(&random, 4);
        const bool is_write = random_once_in(&random, 3);

        if (s2_space_map_linear(spaces[who], ipa_range(GIB(1) + i * MIB(1), count * PAGE),
                                pa_of(RIG_DATA + first * PAGE),
                                is_write ? RIG_RW : S2_READ) != MAPPING_OK) {
            continue;
        }
        for (uint64_t page = first; page < first + count; page++) {
            writes[who][page] = writes[who][page] || is_write;
        }
    }
    for (size_t page = 0; page < 64; page++) {
        is_breached = is_breached || (writes[0][page] && writes[1][page]);
    }
    (void)audit_in_steps(_i % 2 == 0 ? SIZE_MAX : 5, &error);
    ck_assert_int_eq(error, is_breached ? MAPPING_BAD_STATE : MAPPING_OK);
    if (is_breached) {
        const size_t page = (size_t)((audit.finding.pa.raw - RIG_DATA) / PAGE);

        ck_assert_int_eq(audit.finding.rule, S2_AUDIT_TWO_WRITERS);
        ck_assert(writes[0][page] && writes[1][page]);
    }
}
