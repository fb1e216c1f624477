/*
 * test_space_kinds.c - areas of every kind in one map, and what a guest's faults in them come to.
 */
#include "tests/model/random.h"
#include "tests/unit/kinds_fixture.h"
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

#define SUITE "space_kinds"

#define PAGE KIB(4)
#define RAM GIB(1)
#define UART UINT64_C(0x9000000)
#define TAG UINT64_C(0x1234)

static struct guest guest;
static struct s2_lazy lazy;

static void setup(void)
{
    struct rig_setup setup = guest_setup();

    setup.config.contiguous = S2_CONTIGUOUS_ON;
    setup.frame_count = 2048;
    guest_init(&guest, setup, GUEST_NODES, MIB(4));
    lazy = (struct s2_lazy){.pool = &guest.rig.pool};
}

/* Every frame comes back, as guest_fini() checks. */
static void teardown(void)
{
    ck_assert(s2_space_check(&guest.space));
    guest_fini(&guest);
}

#undef SETUP
#define SETUP setup
#undef TEARDOWN
#define TEARDOWN teardown

static void map_ram(uint64_t size, mapping_flags_t flags)
{
    MUST(s2_space_map_lazy(&guest.space, ipa_range(RAM, size), &lazy, flags));
}

static size_t available(void)
{
    return frame_pool_available(&guest.rig.pool);
}

static void check_retry(struct s2_answer answer, enum s2_retry why)
{
    ck_assert_int_eq(answer.verdict, S2_VERDICT_RETRY);
    ck_assert_int_eq(answer.retry, why);
    monitor_quiesce(guest.rig.monitor);
}

static void check_verdict(struct s2_answer answer, enum s2_verdict verdict)
{
    ck_assert_str_eq(s2_verdict_name(answer.verdict), s2_verdict_name(verdict));
    ck_assert_int_eq(answer.retry, S2_RETRY_NONE);
}

/* --- One map ---------------------------------------------------------------------------------- */

TEST(kinds_do_not_overlap)
{
    const struct s2_area areas[] = {
        {.range = ipa_range(RAM, MIB(1)), .kind = S2_AREA_LAZY, .flags = RIG_RW, .lazy = &lazy},
        {.range = ipa_range(RAM, MIB(1)),
         .kind = S2_AREA_LINEAR,
         .flags = RIG_RW,
         .pa = pa_of(RIG_DATA)},
        {.range = ipa_range(RAM, MIB(1)), .kind = S2_AREA_TRAP},
        {.range = ipa_range(RAM, MIB(1)), .kind = S2_AREA_GUARD},
    };

    for (size_t i = 0; i < COUNT(areas); i++) {
        MUST(s2_space_map(&guest.space, &areas[i]));
        for (size_t j = 0; j < COUNT(areas); j++) {
            struct s2_area other = areas[j];

            other.range = ipa_range(RAM + MIB(1) - PAGE, 2 * PAGE);
            ck_assert_int_eq(s2_space_map(&guest.space, &other), MAPPING_ALREADY_EXISTS);
        }
        ck_assert_int_eq(s2_area_kind(memory_set_first(s2_space_areas(&guest.space))),
                         areas[i].kind);
        ck_assert(s2_space_check(&guest.space));
        MUST(s2_space_replace(&guest.space, &areas[(i + 1) % COUNT(areas)]));
        ck_assert(s2_space_check(&guest.space));
        MUST(s2_space_unmap(&guest.space, areas[i].range));
        ck_assert(memory_set_is_empty(s2_space_areas(&guest.space)));
    }
}

static enum mapping_error own_refuses(const struct mapping_backend *self,
                                      const struct mapping_change *change, void *page_table)
{
    (void)self;
    (void)change;
    (void)page_table;
    return MAPPING_UNSUPPORTED;
}

static enum mapping_error own_map(const struct mapping_backend *self, struct ipa_range range,
                                  mapping_flags_t flags, void *page_table)
{
    (void)self;
    (void)range;
    (void)flags;
    (void)page_table;
    return MAPPING_OK;
}

static enum mapping_error own_unmap(const struct mapping_backend *self, struct ipa_range range,
                                    void *page_table)
{
    (void)self;
    (void)range;
    (void)page_table;
    return MAPPING_OK;
}

static enum mapping_error own_reserve(const struct mapping_backend *self,
                                      const struct mapping_change *change, void *page_table)
{
    (void)self;
    (void)change;
    (void)page_table;
    return MAPPING_OK;
}

/* They differ in how they reserve, and in what they say that they are. */
#define OWN_SET(function)                                                                  \
    {                                                                                      \
        .map = own_map, .unmap = own_unmap, .protect = own_map, .begin = s2_backend_begin, \
        .reserve = (function), .end = s2_backend_end                                       \
    }

static const struct s2_backend_ops own = {.set = OWN_SET(own_reserve), .kind = S2_AREA_OWN};
static const struct s2_backend_ops own_refusing = {.set = OWN_SET(own_refuses),
                                                   .kind = S2_AREA_OWN};
static const struct s2_backend_ops own_lying = {.set = OWN_SET(own_reserve),
                                                .kind = S2_AREA_LINEAR};
static const struct s2_backend_ops own_bare = {
    .set = {.map = own_map, .unmap = own_unmap, .protect = own_map}, .kind = S2_AREA_OWN};

TEST(reason_is_told_for_each_that_is_refused)
{
    static const struct s2_lazy no_pool = {.pool = NULL};
    const struct s2_lazy odd = {&guest.rig.pool, 3 * PAGE}, tiny = {&guest.rig.pool, 2048},
                         huge = {&guest.rig.pool, GIB(2)};
    const struct ipa_range ram = ipa_range(RAM, MIB(1)), small = ipa_range(UART, 0x200);
    const struct s2_area areas[] = {
        {.range = ipa_range(RAM, 0), .kind = S2_AREA_TRAP},
        {.range = ipa_range(GIB(1024) - PAGE, 2 * PAGE), .kind = S2_AREA_GUARD},
        {.range = small, .kind = S2_AREA_TRAP},
        {.range = small, .kind = S2_AREA_LINEAR, .flags = RIG_RW | S2_DEVICE_nGnRE},
        {.range = ram, .kind = S2_AREA_LINEAR, .flags = RIG_RW, .pa = pa_of(RIG_DATA + 1)},
        {.range = ram, .kind = S2_AREA_LINEAR, .flags = RIG_RW, .pa = pa_of(GIB(1024))},
        {.range = ram, .kind = S2_AREA_LAZY, .flags = RIG_RW},
        {.range = ram, .kind = S2_AREA_LAZY, .flags = RIG_RW, .lazy = &no_pool},
        {.range = ram, .kind = S2_AREA_LAZY, .flags = RIG_RW, .lazy = &odd},
        {.range = ram, .kind = S2_AREA_LAZY, .flags = RIG_RW, .lazy = &tiny},
        {.range = ram, .kind = S2_AREA_LAZY, .flags = RIG_RW, .lazy = &huge},
        {.range = ram, .kind = S2_AREA_LAZY, .flags = RIG_RW | S2_DEVICE_GRE, .lazy = &lazy},
        {.range = ram, .kind = S2_AREA_TRAP, .flags = S2_READ},
        {.range = ram, .kind = S2_AREA_GUARD, .flags = S2_READ},
        {.range = ram, .kind = S2_AREA_OWN, .backend = {NULL, 0}},
        {.range = ram, .kind = S2_AREA_OWN, .flags = S2_AREA_EMPTY, .backend = {&own.set, 0}},
        {.range = ram, .kind = S2_AREA_OWN, .backend = {&own_bare.set, 0}},
        {.range = ram, .kind = S2_AREA_OWN, .backend = {&own_lying.set, 0}},
        {.range = ram, .kind = (enum s2_area_kind)9},
    };

    for (size_t i = 0; i < COUNT(areas); i++) {
        ck_assert_msg(s2_space_map_reason(&guest.space, &areas[i]) != NULL, "area %zu", i);
        ck_assert_int_eq(s2_space_map(&guest.space, &areas[i]), MAPPING_INVALID_PARAM);
    }
    ck_assert_ptr_nonnull(strstr(s2_space_map_reason(&guest.space, &areas[3]), "trap"));
    ck_assert(memory_set_is_empty(s2_space_areas(&guest.space)));
}

TEST(device_is_a_device_and_never_code)
{
    const struct ipa_range window = ipa_range(UART, PAGE);
    struct s2_leaf leaf;

    ck_assert_int_eq(s2_space_map_device(&guest.space, window, pa_of(RIG_DATA), RIG_RW),
                     MAPPING_INVALID_PARAM);
    ck_assert_int_eq(
        s2_space_map_device(&guest.space, window, pa_of(RIG_DATA), RIG_RWX | S2_DEVICE_nGnRE),
        MAPPING_INVALID_PARAM);
    MUST(s2_space_map_device(&guest.space, window, pa_of(RIG_DATA), RIG_RW | S2_DEVICE_nGnRE));
    MUST(s2_space_lookup(&guest.space, window.start, &leaf));
    ck_assert(s2_flags_are_device(leaf.flags));
    check_verdict(kinds_fault(&guest.space, KINDS_IABT | KINDS_PERMISSION, UART),
                  S2_VERDICT_PERMISSION);
    /* An unaligned access to it, as QEMU 11 and CPUs tell; before others it passes. */
    check_verdict(kinds_fault(&guest.space, KINDS_DABT | 0x21, UART + 1), S2_VERDICT_ALIGNMENT);
}

TEST(backend_of_ones_own_has_its_faults)
{
    const struct s2_area area = {.range = ipa_range(RAM, MIB(1)),
                                 .kind = S2_AREA_OWN,
                                 .flags = RIG_RW,
                                 .backend = {&own.set, 7},
                                 .tag = TAG};
    struct s2_area refusing = area;
    struct s2_answer answer;

    refusing.backend.ops = &own_refusing.set;
    ck_assert_int_eq(s2_space_map(&guest.space, &refusing), MAPPING_UNSUPPORTED);
    MUST(s2_space_map(&guest.space, &area));
    answer = kinds_read(&guest.space, RAM + 0x123);
    check_verdict(answer, S2_VERDICT_OWN);
    ck_assert_uint_eq(answer.ipa.raw, RAM + 0x123);
    ck_assert_uint_eq(answer.tag, TAG);
    ck_assert(ipa_range_eq(answer.range, area.range) && answer.kind == S2_AREA_OWN);
}

/* --- Traps, guards and holes ------------------------------------------------------------------ */

TEST(trap_tells_what_was_wanted)
{
    /* STRB w9, then LDRSH x3: SAS, SSE, SRT, SF. */
    const uint64_t strb = MAPPING_BIT(24) | 9U << 16 | KINDS_WNR;
    const uint64_t ldrsh =
        MAPPING_BIT(24) | 1U << 22 | MAPPING_BIT(21) | 3U << 16 | MAPPING_BIT(15);
    uint64_t x[31] = {0};
    struct s2_answer answer;

    MUST(s2_space_map_trap(&guest.space, ipa_range(UART, MIB(1)), TAG));
    answer = kinds_fault(&guest.space, KINDS_DABT | KINDS_TRANSLATION | strb, UART + 0x18);
    check_verdict(answer, S2_VERDICT_EMULATE);
    ck_assert(answer.is_write && answer.transfer.is_valid && answer.kind == S2_AREA_TRAP);
    ck_assert_uint_eq(answer.tag, TAG);
    ck_assert_uint_eq(answer.offset, 0x18);
    ck_assert_uint_eq(answer.advance, 4);
    x[9] = UINT64_C(0xfedcba9876543210);
    ck_assert_uint_eq(s2_transfer_stored(&answer.transfer, x), 0x10);

    answer = kinds_fault(&guest.space, KINDS_DABT | KINDS_TRANSLATION | ldrsh, UART + 0xffe);
    ck_assert(!answer.is_write);
    s2_transfer_load(&answer.transfer, x, 0x18000);
    ck_assert_uint_eq(x[3], UINT64_C(0xffffffffffff8000));
    answer.transfer.reg = 31;
    ck_assert_uint_eq(s2_transfer_stored(&answer.transfer, x), 0);
    s2_transfer_load(&answer.transfer, x, 1);
    ck_assert_uint_eq(x[3], UINT64_C(0xffffffffffff8000));
    /* Half of a kernel's aborts do not say. */
    answer = kinds_read(&guest.space, UART + 8);
    check_verdict(answer, S2_VERDICT_EMULATE);
    ck_assert(!answer.transfer.is_valid);
    ck_assert_uint_eq(s2_space_fault_count(&guest.space, S2_VERDICT_EMULATE), 3);
}

/* What is cut keeps its numbers. */
TEST(trap_that_was_cut_counts_from_where_it_began)
{
    struct s2_answer answer;

    MUST(s2_space_map_trap(&guest.space, ipa_range(UART, 8 * PAGE), TAG));
    MUST(s2_space_unmap(&guest.space, ipa_range(UART + PAGE, PAGE)));
    MUST(s2_space_protect(&guest.space, ipa_range(UART, 3 * PAGE), S2_READ));
    answer = kinds_read(&guest.space, UART + 2 * PAGE + 4);
    check_verdict(answer, S2_VERDICT_EMULATE);
    ck_assert_uint_eq(answer.offset, 2 * PAGE + 4);
    check_verdict(kinds_read(&guest.space, UART + PAGE), S2_VERDICT_HOLE);
    MUST(s2_space_fold(&guest.space, ipa_range(0, GIB(1))));
    ck_assert_uint_eq(memory_set_len(s2_space_areas(&guest.space)), 2);
}

/* Nobody can fetch from a device that is emulated, nor have tables in it. */
TEST(trap_that_cannot_be_emulated_is_a_permission)
{
    MUST(s2_space_map_trap(&guest.space, ipa_range(UART, PAGE), TAG));
    check_verdict(kinds_fault(&guest.space, KINDS_IABT | KINDS_TRANSLATION, UART),
                  S2_VERDICT_PERMISSION);
    check_verdict(kinds_fault(&guest.space, KINDS_DABT | KINDS_TRANSLATION | KINDS_S1PTW, UART),
                  S2_VERDICT_PERMISSION);
}

TEST(guards_and_holes_are_told_apart)
{
    const uint64_t clean = KINDS_DABT | KINDS_TRANSLATION | KINDS_CM | KINDS_WNR;

    MUST(s2_space_map_guard(&guest.space, ipa_range(GIB(2), PAGE)));
    MUST(s2_space_map_trap(&guest.space, ipa_range(UART, PAGE), 0));
    map_ram(PAGE, RIG_RW);
    check_verdict(kinds_read(&guest.space, GIB(2)), S2_VERDICT_GUARD);
    check_verdict(kinds_write(&guest.space, GIB(2) + PAGE), S2_VERDICT_HOLE);
    check_verdict(kinds_write(&guest.space, GIB(1024)), S2_VERDICT_HOLE);
    check_verdict(kinds_fault(&guest.space, KINDS_DABT | 0x29, UINT64_C(1) << 51), S2_VERDICT_HOLE);
    /* A clean reports a write, and is none: where nothing is there is nothing to clean. */
    check_verdict(kinds_fault(&guest.space, clean, GIB(2) + PAGE), S2_VERDICT_SKIP);
    check_verdict(kinds_fault(&guest.space, clean, UART), S2_VERDICT_SKIP);
    check_verdict(kinds_fault(&guest.space, clean, RAM), S2_VERDICT_SKIP);
    check_verdict(kinds_fault(&guest.space, clean, GIB(2)), S2_VERDICT_GUARD);
    ck_assert_uint_eq(s2_space_fault_count(&guest.space, S2_VERDICT_SKIP), 3);
}

/* --- Lazy memory ------------------------------------------------------------------------------ */

TEST(touched_page_is_there_and_zero)
{
    const size_t before = available();

    rig_poison_free(&guest.rig);
    map_ram(GIB(1), RIG_RWX);
    ck_assert_uint_eq(available(), before);
    check_retry(kinds_write(&guest.space, RAM + 5 * PAGE + 8), S2_RETRY_FILLED);
    ck_assert_uint_eq(kinds_peek(&guest, RAM + 5 * PAGE), 0);
    ck_assert_uint_eq(kinds_peek(&guest, RAM + 6 * PAGE - 8), 0);
    rig_assert_hole(&guest.rig, s2_space_table(&guest.space), RAM + 4 * PAGE);
    ck_assert_uint_eq(available(), before - 3); /* and two tables */
    /* Somebody else was there first. */
    check_retry(kinds_read(&guest.space, RAM + 5 * PAGE), S2_RETRY_RACED);
    ck_assert_uint_eq(available(), before - 3);
    ck_assert(s2_space_check(&guest.space));
    /* Whoever gets the frame next does not see what was in it. */
    MUST(s2_space_write(&guest.space, ipa_of(RAM + 5 * PAGE), "secret", 7, S2_AS_GUEST, NULL));
    MUST(s2_space_unmap(&guest.space, ipa_range(RAM, GIB(1))));
    ck_assert_uint_eq(available(), before);
    map_ram(PAGE, RIG_RW);
    check_retry(kinds_read(&guest.space, RAM), S2_RETRY_FILLED);
    ck_assert_uint_eq(kinds_peek(&guest, RAM), 0);
}

/* The zeros come before the descriptor, for every CPU: it is a release, into a table that is live. */
TEST(touched_page_is_published)
{
    map_ram(2 * PAGE, RIG_RW);
    check_retry(kinds_write(&guest.space, RAM), S2_RETRY_FILLED);
    sim_clear();
    check_retry(kinds_write(&guest.space, RAM + PAGE), S2_RETRY_FILLED);
    ck_assert_uint_eq(sim_event_count(SIM_PUBLISH), 1);
    ck_assert_uint_eq(sim_event_count(SIM_STORE), 0);
}

/* Without write-back by force the guest may look past the caches: lines are cleaned before the
 * descriptor is stored. */
TEST(touched_page_is_cleaned_before_it_is_shown)
{
    size_t cleans = 0;

    map_ram(PAGE, RIG_RW);
    sim_clear();
    check_retry(kinds_write(&guest.space, RAM), S2_RETRY_FILLED);
    for (size_t i = 0; i < sim_event_total(); i++) {
        const enum sim_kind kind = sim_events()[i].kind;

        cleans += kind == SIM_DC_CIVAC;
        if (kind == SIM_PUBLISH || kind == SIM_STORE) {
            ck_assert_uint_eq(cleans, PAGE / GUEST_LINE);
        }
    }
    ck_assert_uint_eq(cleans, PAGE / GUEST_LINE);
}

/* Any access in the grain fills it: a block, where area, tables and pool have one. */
TEST(grain_is_a_block_where_it_can_be)
{
    const size_t frames = available();

    lazy.grain = MIB(2);
    map_ram(MIB(2) + 4 * PAGE, RIG_RW);
    check_retry(kinds_write(&guest.space, RAM + MIB(1) + 5), S2_RETRY_FILLED);
    ck_assert_uint_eq(rig_leaf_count(&guest.rig, s2_space_table(&guest.space), 2), 1);
    ck_assert_uint_eq(frames - available(), 512 + 1);
    /* What does not fit is filled by pages. */
    check_retry(kinds_write(&guest.space, RAM + MIB(2)), S2_RETRY_FILLED);
    ck_assert_uint_eq(frames - available(), 512 + 1 + 2);
    ck_assert(s2_space_check(&guest.space));
    /* A page of the block goes: the rest stays, and the page is the pool's. */
    MUST(s2_space_unmap(&guest.space, ipa_range(RAM + 7 * PAGE, PAGE)));
    ck_assert_uint_eq(frames - available(), 512 + 1 + 2 + 1 - 1); /* and a table more */
    rig_assert_hole(&guest.rig, s2_space_table(&guest.space), RAM + 7 * PAGE);
    ck_assert_uint_eq(kinds_peek(&guest, RAM + 8 * PAGE), 0);
    ck_assert(s2_space_check(&guest.space));
    MUST(s2_space_unmap(&guest.space, ipa_range(RAM, MIB(2))));
    ck_assert_uint_eq(frames - available(), 1 + 2);
}

TEST(grain_that_the_pool_lacks_is_a_page)
{
    pa_t blocks[4];
    size_t count = 0;

    lazy.grain = MIB(2);
    map_ram(MIB(4), RIG_RW);
    while (count < COUNT(blocks) &&
           frame_pool_alloc(&guest.rig.pool, 9, &blocks[count]) == MAPPING_OK) {
        count++;
    }
    check_retry(kinds_write(&guest.space, RAM + PAGE), S2_RETRY_FILLED);
    /* 64K is a run, of which the pool still has some. */
    ck_assert_uint_eq(kinds_peek(&guest, RAM + 15 * PAGE), 0);
    rig_assert_hole(&guest.rig, s2_space_table(&guest.space), RAM + 16 * PAGE);
    while (count-- > 0) {
        MUST(frame_pool_free(&guest.rig.pool, blocks[count], 9));
    }
}

TEST(empty_pool_is_told_and_can_be_filled)
{
    struct s2_answer answer;

    map_ram(MIB(1), RIG_RW);
    for (size_t frames = 0; frames < 3; frames++) { /* data and two tables */
        rig_leave(&guest.rig, frames);
        answer = kinds_write(&guest.space, RAM);
        check_verdict(answer, S2_VERDICT_FAILED);
        ck_assert_int_eq(answer.error, MAPPING_NO_FRAME);
        ck_assert_uint_eq(available(), frames);
        ck_assert(s2_space_check(&guest.space));
    }
    rig_leave(&guest.rig, 3);
    check_retry(kinds_write(&guest.space, RAM), S2_RETRY_FILLED);
    rig_leave(&guest.rig, 64);
}

/* What an open batch has deferred is frames, too: they come back before anybody is refused. */
TEST(frames_that_wait_for_a_batch_are_found)
{
    struct s2_batch batch = S2_BATCH_INIT;

    map_ram(MIB(1), RIG_RW);
    check_retry(kinds_write(&guest.space, RAM), S2_RETRY_FILLED);
    check_retry(kinds_write(&guest.space, RAM + PAGE), S2_RETRY_FILLED);
    rig_leave(&guest.rig, 0);
    s2_batch_begin(&batch);
    MUST(s2_batch_unmap(&batch, &guest.space, ipa_range(RAM, PAGE)));
    ck_assert_uint_eq(available(), 0); /* CPUs may still reach it */
    check_retry(kinds_write(&guest.space, RAM + 2 * PAGE), S2_RETRY_FILLED);
    s2_batch_end(&batch);
    ck_assert_uint_eq(available(), 0);
    rig_leave(&guest.rig, 64);
}

TEST(read_only_memory_is_filled_and_a_write_is_told)
{
    map_ram(MIB(1), S2_READ);
    check_verdict(kinds_write(&guest.space, RAM), S2_VERDICT_READ_ONLY);
    check_retry(kinds_read(&guest.space, RAM), S2_RETRY_FILLED);
    for (unsigned i = 0; i < 3; i++) { /* no livelock: it is told each time */
        check_verdict(kinds_fault(&guest.space, KINDS_DABT | KINDS_PERMISSION | KINDS_WNR, RAM),
                      S2_VERDICT_READ_ONLY);
    }
    check_verdict(kinds_fault(&guest.space, KINDS_IABT | KINDS_PERMISSION, RAM),
                  S2_VERDICT_PERMISSION);
    /* The guest's own table lies there: its walker wants to set a flag, by whatever access. */
    check_verdict(kinds_fault(&guest.space, KINDS_IABT | KINDS_PERMISSION | KINDS_S1PTW, RAM),
                  S2_VERDICT_READ_ONLY);
    check_verdict(kinds_fault(&guest.space, KINDS_DABT | KINDS_PERMISSION | KINDS_S1PTW, RAM),
                  S2_VERDICT_READ_ONLY);
    /* And a clean of it is no write. */
    check_verdict(
        kinds_fault(&guest.space, KINDS_DABT | KINDS_PERMISSION | KINDS_CM | KINDS_WNR, RAM),
        S2_VERDICT_SKIP);
}

/* What was relaxed on one CPU is learnt by another from its fault. */
TEST(stale_permission_is_refreshed)
{
    map_ram(MIB(1), S2_READ);
    check_retry(kinds_read(&guest.space, RAM), S2_RETRY_FILLED);
    MUST(s2_space_protect(&guest.space, ipa_range(RAM, MIB(1)), RIG_RW));
    check_retry(kinds_fault(&guest.space, KINDS_DABT | KINDS_PERMISSION | KINDS_WNR, RAM),
                S2_RETRY_STALE);
    check_retry(kinds_write(&guest.space, RAM + PAGE), S2_RETRY_FILLED);
}

TEST(access_flag_is_set_for_the_leaf)
{
    struct s2_leaf leaf;

    map_ram(MIB(1), RIG_RW | S2_NO_AF);
    check_retry(kinds_read(&guest.space, RAM), S2_RETRY_FILLED);
    check_retry(kinds_fault(&guest.space, KINDS_DABT | KINDS_ACCESS_FLAG, RAM), S2_RETRY_ACCESSED);
    MUST(s2_space_lookup(&guest.space, ipa_of(RAM), &leaf));
    ck_assert_uint_eq(leaf.flags & S2_NO_AF, 0);
    check_retry(kinds_fault(&guest.space, KINDS_DABT | KINDS_ACCESS_FLAG, RAM), S2_RETRY_STALE);
}

TEST(page_that_moved_away_is_retried)
{
    const struct s2_fault_regs regs = {.esr = KINDS_DABT | KINDS_PERMISSION, .par = S2_PAR_F};
    const struct s2_fault gone = s2_fault_decode(&regs);
    const struct s2_fault_regs lost_regs = {.esr = KINDS_DABT | KINDS_PERMISSION | MAPPING_BIT(10)};
    const struct s2_fault lost = s2_fault_decode(&lost_regs);

    check_retry(s2_space_handle_fault(&guest.space, &gone), S2_RETRY_GONE);
    check_verdict(s2_space_handle_fault(&guest.space, &lost), S2_VERDICT_PERMISSION);
    check_verdict(kinds_fault(&guest.space, KINDS_DABT | 0x10, RAM), S2_VERDICT_EXTERNAL);
    check_verdict(kinds_fault(&guest.space, KINDS_DABT | 0x31, RAM), S2_VERDICT_EXTERNAL);
    check_verdict(kinds_fault(&guest.space, KINDS_DABT | 0x3f, RAM), S2_VERDICT_FOREIGN);
    check_verdict(kinds_fault(&guest.space, UINT64_C(0x16) << 26, RAM), S2_VERDICT_FOREIGN);
    check_retry(kinds_fault(&guest.space, KINDS_DABT | 0x30, RAM), S2_RETRY_CONFLICT);
}

TEST(trapped_access_is_let_through)
{
    monitor_keep_unlinked(guest.rig.monitor, true);
    map_ram(MIB(1), RIG_RW);
    check_retry(kinds_write(&guest.space, RAM), S2_RETRY_FILLED);
    MUST(s2_space_trap(&guest.space));
    check_retry(kinds_read(&guest.space, RAM), S2_RETRY_TRAPPED);
    check_retry(kinds_read(&guest.space, RAM), S2_RETRY_RACED);
    s2_space_trap_end(&guest.space);
}

/* Only EL0 may execute: which of the two it was, hardware knows, once the page is there. */
TEST(page_for_one_level_is_filled_by_its_fetch)
{
    map_ram(PAGE, S2_READ | S2_EXEC_EL0);
    check_retry(kinds_fault(&guest.space, KINDS_IABT | KINDS_TRANSLATION, RAM), S2_RETRY_FILLED);
    check_verdict(kinds_fault(&guest.space, KINDS_IABT | KINDS_PERMISSION, RAM),
                  S2_VERDICT_PERMISSION);
    check_retry(kinds_fault(&guest.space, KINDS_IABT | KINDS_TRANSLATION, RAM), S2_RETRY_RACED);
}

/* A clean that only this CPU's TLB refuses is not passed over: there is memory to clean. */
TEST(stale_clean_is_done_again)
{
    map_ram(PAGE, RIG_RW);
    check_retry(kinds_write(&guest.space, RAM), S2_RETRY_FILLED);
    check_retry(
        kinds_fault(&guest.space, KINDS_DABT | KINDS_PERMISSION | KINDS_CM | KINDS_WNR, RAM),
        S2_RETRY_STALE);
}

/* "Writable, and clean": a write that finds no page, or an old entry, is no write to read-only memory. */
TEST(write_to_what_hardware_marks_is_allowed)
{
    struct s2_features cpu = guest.rig.setup.cpu;
    struct s2_space_config config = {
        .table = guest.rig.setup.config, .table_pool = &guest.rig.pool, .vmid = RIG_VMID + 1};
    static struct memory_node nodes[4];
    static struct s2_space space;

    cpu.hafdbs = 2;
    config.table.cpu = &cpu;
    config.table.hardware_update = S2_HARDWARE_UPDATE_DIRTY;
    config.nodes = nodes;
    config.node_count = COUNT(nodes);
    MUST(s2_space_init(&space, &config));
    MUST(s2_space_map_lazy(&space, ipa_range(RAM, MIB(1)), &lazy, S2_READ | S2_DBM));
    check_retry(kinds_write(&space, RAM), S2_RETRY_FILLED);
    check_retry(kinds_fault(&space, KINDS_DABT | KINDS_PERMISSION | KINDS_WNR, RAM),
                S2_RETRY_STALE);
    MUST(s2_space_fini(&space));
}

/* A walk that may not even read is no write. */
TEST(walk_that_cannot_read_is_a_permission)
{
    map_ram(PAGE, S2_EXEC);
    check_retry(kinds_fault(&guest.space, KINDS_IABT | KINDS_TRANSLATION, RAM), S2_RETRY_FILLED);
    check_verdict(kinds_fault(&guest.space, KINDS_DABT | KINDS_PERMISSION | KINDS_S1PTW, RAM),
                  S2_VERDICT_PERMISSION);
}

/* Whatever the CPU says, and wherever: a verdict, and the space is whole. */
TEST(no_fault_of_a_guest_is_too_strange)
{
    struct random random = {7};
    size_t verdicts[S2_SPACE_VERDICTS] = {0};
    uint64_t counted = 0;

    map_ram(MIB(2), RIG_RW | S2_NO_AF);
    MUST(s2_space_map_trap(&guest.space, ipa_range(UART, PAGE), 0));
    MUST(s2_space_map_guard(&guest.space, ipa_range(GIB(2), PAGE)));
    guest_map(&guest, (struct guest_area){GIB(3), PAGE, RIG_DATA, S2_READ});
    sim_set_log(SIM_LOG_COUNT);
    for (unsigned i = 0; i < 40000; i++) {
        static const uint64_t places[] = {RAM, UART, GIB(2), GIB(3), UINT64_C(1) << 51, 0};
        const uint64_t esr = (random_once_in(&random, 3) ? KINDS_IABT : KINDS_DABT) |
                             (random_next(&random) & MAPPING_FIELD(24, 0));
        const uint64_t ipa = places[random_below(&random, COUNT(places))] +
                             random_below(&random, random_once_in(&random, 2) ? PAGE : GIB(1));
        const struct s2_fault_regs regs = {
            esr, random_next(&random),
            random_once_in(&random, 4) ? random_next(&random) : ipa >> 12 << 4,
            random_once_in(&random, 4) ? random_next(&random) : ipa >> 12 << 12};
        const struct s2_fault fault = s2_fault_decode(&regs);

        verdicts[s2_space_handle_fault(&guest.space, &fault).verdict]++;
    }
    for (unsigned i = 0; i < S2_SPACE_VERDICTS; i++) {
        ck_assert_uint_eq(s2_space_fault_count(&guest.space, (enum s2_verdict)i), verdicts[i]);
        counted += verdicts[i];
        ck_assert_msg(verdicts[i] > 0 || i == S2_VERDICT_OWN || i == S2_VERDICT_FAILED, "%s",
                      s2_verdict_name((enum s2_verdict)i));
    }
    ck_assert_uint_eq(counted, 40000);
    sim_set_log(SIM_LOG_KEEP);
}

/* --- Populated memory ------------------------------------------------------------------------- */

/* Blocks where they fit, pages at the ends; all zero, and nobody faults. */
TEST(populated_memory_is_all_there)
{
    const size_t before = available();
    const struct ipa_range range = ipa_range(RAM + MIB(2) - 2 * PAGE, MIB(2) + 5 * PAGE);

    lazy.grain = MIB(2);
    rig_poison_free(&guest.rig);
    MUST(s2_space_map_populated(&guest.space, range, &lazy, RIG_RW));
    monitor_quiesce(guest.rig.monitor);
    ck_assert_uint_eq(rig_leaf_count(&guest.rig, s2_space_table(&guest.space), 2), 1);
    ck_assert_uint_eq(rig_leaf_count(&guest.rig, s2_space_table(&guest.space), 3), 5);
    for (uint64_t at = 0; at < range.size; at += PAGE) {
        ck_assert_uint_eq(kinds_peek(&guest, range.start.raw + at), 0);
    }
    ck_assert_uint_eq(before - available(), 512 + 5 + 3);
    check_retry(kinds_write(&guest.space, RAM + MIB(2)), S2_RETRY_RACED);
    ck_assert(s2_space_check(&guest.space));
    MUST(s2_space_unmap(&guest.space, range));
    ck_assert_uint_eq(available(), before);
}

/* Every second frame is somebody else's: one area all the same. */
TEST(populated_memory_may_be_scattered)
{
    static pa_t frames[2048];
    size_t count = 0;

    while (frame_pool_alloc(&guest.rig.pool, 0, &frames[count]) == MAPPING_OK) {
        count++;
    }
    for (size_t i = 0; i < count; i += 2) {
        MUST(frame_pool_free(&guest.rig.pool, frames[i], 0));
    }
    lazy.grain = MIB(2);
    MUST(s2_space_map_populated(&guest.space, ipa_range(RAM, MIB(2)), &lazy, RIG_RW));
    monitor_quiesce(guest.rig.monitor);
    ck_assert_uint_eq(rig_leaf_count(&guest.rig, s2_space_table(&guest.space), 3), 512);
    ck_assert_uint_eq(memory_set_len(s2_space_areas(&guest.space)), 1);
    ck_assert(s2_space_check(&guest.space));
    for (size_t i = 1; i < count; i += 2) {
        MUST(frame_pool_free(&guest.rig.pool, frames[i], 0));
    }
}

/* All frames or none: whichever is missing, a page's or a table's. */
TEST(populated_memory_is_all_or_nothing)
{
    const struct ipa_range range = ipa_range(RAM, 40 * PAGE);

    for (size_t frames = 0; frames < 40 + 2; frames++) {
        rig_leave(&guest.rig, frames);
        ck_assert_int_eq(s2_space_map_populated(&guest.space, range, &lazy, RIG_RW),
                         MAPPING_NO_FRAME);
        ck_assert_uint_eq(available(), frames);
        ck_assert(memory_set_is_empty(s2_space_areas(&guest.space)));
        ck_assert(s2_space_check(&guest.space));
    }
    rig_leave(&guest.rig, 40 + 2);
    MUST(s2_space_map_populated(&guest.space, range, &lazy, RIG_RW));
    ck_assert_uint_eq(available(), 0);
    ck_assert_int_eq(s2_space_map_populated(&guest.space, range, &lazy, RIG_RW),
                     MAPPING_ALREADY_EXISTS);
    ck_assert_int_eq(s2_space_map_populated(&guest.space, ipa_range(GIB(2), PAGE), &lazy,
                                            RIG_RW | MAPPING_BIT(7)),
                     MAPPING_INVALID_PARAM);
    ck_assert_uint_eq(available(), 0);
    rig_leave(&guest.rig, 100);
}

/* --- Statistics and quota --------------------------------------------------------------------- */

TEST(statistics_say_what_the_guest_has)
{
    struct s2_space_statistics got;

    lazy.grain = MIB(2);
    map_ram(MIB(4), RIG_RW);
    MUST(s2_space_map_guard(&guest.space, ipa_range(GIB(3), PAGE)));
    guest_map(&guest, (struct guest_area){GIB(2), KIB(64), RIG_DATA, RIG_RW});
    check_retry(kinds_write(&guest.space, RAM), S2_RETRY_FILLED);
    check_verdict(kinds_write(&guest.space, GIB(3)), S2_VERDICT_GUARD);
    MUST(s2_space_unmap(&guest.space, ipa_range(RAM + MIB(1), MIB(1))));
    s2_space_statistics(&guest.space, &got);
    ck_assert_uint_eq(got.areas, 4);
    ck_assert_uint_eq(got.table_frames, s2_table_frame_count(s2_space_table(&guest.space)));
    ck_assert_uint_eq(got.data_pages, 256);
    ck_assert_uint_eq(got.data_pages_high, 512);
    ck_assert_uint_eq(got.data_quota, 0);
    ck_assert_uint_eq(got.faults[S2_VERDICT_RETRY], 1);
    ck_assert_uint_eq(got.faults[S2_VERDICT_GUARD], 1);
    ck_assert_uint_eq(got.leaves[3 - S2_LEVEL_FIRST], 256 + 16);
    ck_assert_uint_eq(got.runs[3 - S2_LEVEL_FIRST], 256 / 16 + 1);
    ck_assert_uint_eq(got.leaves[2 - S2_LEVEL_FIRST], 0);
    ck_assert_uint_eq(got.mapped, MIB(1) + KIB(64));
    ck_assert_uint_gt(got.tlb.flushes, 0);
}

/* A space of its own, as the quota is told at its beginning. What is taken away counts no more. */
TEST(quota_bounds_what_a_guest_gets)
{
    struct s2_space_config config = {.table = guest.rig.setup.config,
                                     .table_pool = &guest.rig.pool,
                                     .vmid = RIG_VMID + 1,
                                     .data_quota = 20};
    static struct memory_node nodes[8];
    static struct s2_space space;
    struct s2_answer answer;

    config.nodes = nodes;
    config.node_count = COUNT(nodes);
    lazy.grain = KIB(64);
    MUST(s2_space_init(&space, &config));
    MUST(s2_space_map_lazy(&space, ipa_range(RAM, MIB(1)), &lazy, RIG_RW));
    check_retry(kinds_write(&space, RAM), S2_RETRY_FILLED); /* 16 pages */
    for (unsigned i = 0; i < 4; i++) {                      /* and then one by one */
        check_retry(kinds_write(&space, RAM + KIB(64) + i * PAGE), S2_RETRY_FILLED);
    }
    answer = kinds_write(&space, RAM + KIB(64) + 4 * PAGE);
    check_verdict(answer, S2_VERDICT_FAILED);
    ck_assert_int_eq(answer.error, MAPPING_NO_FRAME);
    ck_assert_int_eq(s2_space_map_populated(&space, ipa_range(GIB(2), PAGE), &lazy, RIG_RW),
                     MAPPING_NO_FRAME);
    MUST(s2_space_unmap(&space, ipa_range(RAM, 3 * PAGE)));
    check_retry(kinds_write(&space, RAM + KIB(64) + 4 * PAGE), S2_RETRY_FILLED);
    MUST(s2_space_map_populated(&space, ipa_range(GIB(2), 2 * PAGE), &lazy, RIG_RW));
    check_verdict(kinds_write(&space, RAM + KIB(64) + 5 * PAGE), S2_VERDICT_FAILED);
    ck_assert(s2_space_check(&space));
    MUST(s2_space_fini(&space));
}

/* --- Where areas share a leaf, and pools differ ----------------------------------------------- */

/* The access flag of a whole run is set by a fault: then half of its area gets just those flags, and the
 * run, which has them, is not split. What unmaps both areas breaks it first. */
TEST_EACH(run_of_two_areas_is_given_back, 2)
{
    const uint64_t size = _i == 0 ? KIB(64) : MIB(2);
    const size_t before = available();

    lazy.grain = size;
    map_ram(size, RIG_RW | S2_NO_AF);
    check_retry(kinds_read(&guest.space, RAM), S2_RETRY_FILLED);
    check_retry(kinds_fault(&guest.space, KINDS_DABT | KINDS_ACCESS_FLAG, RAM), S2_RETRY_ACCESSED);
    MUST(s2_space_protect(&guest.space, ipa_range(RAM + size / 2, size / 2), RIG_RW));
    ck_assert_uint_eq(memory_set_len(s2_space_areas(&guest.space)), 2);
    ck_assert(s2_space_check(&guest.space));
    MUST(s2_space_unmap(&guest.space, ipa_range(RAM, size)));
    monitor_quiesce(guest.rig.monitor);
    ck_assert_uint_eq(available(), before);
}

/* A block takes the last frames, which its table would need: a page does. */
TEST(page_is_filled_where_a_block_leaves_no_table)
{
    pa_t block;

    lazy.grain = MIB(2);
    map_ram(MIB(4), RIG_RW);
    MUST(frame_pool_alloc(&guest.rig.pool, 9, &block));
    rig_leave(&guest.rig, 0);
    MUST(frame_pool_free(&guest.rig.pool, block, 9));
    check_retry(kinds_write(&guest.space, RAM), S2_RETRY_FILLED);
    ck_assert_uint_eq(available(), 512 - 3);
    rig_leave(&guest.rig, 64);
}

/* Frames of another pool than the tables'. */
static struct frame_pool apart;
static _Alignas(4096) unsigned char apart_bytes[4 * 4096];

static void use_pool_apart(uint64_t base)
{
    static struct frame_info infos[4];
    struct frame_region region = {pa_of(base), apart_bytes, 4, infos};

    MUST(frame_pool_init(&apart, 12, &region, 1));
    lazy.pool = &apart;
}

static size_t cleans_since(size_t from)
{
    size_t cleans = 0;

    for (size_t i = from; i < sim_event_total(); i++) {
        const unsigned char *line = (const unsigned char *)sim_events()[i].slot;

        cleans += sim_events()[i].kind == SIM_DC_CIVAC && line >= apart_bytes &&
                  line < apart_bytes + sizeof(apart_bytes);
    }
    return cleans;
}

/* What the guest is to see past the caches is cleaned, wherever the frames come from. */
TEST(retyped_page_of_another_pool_is_cleaned)
{
    use_pool_apart(RIG_DATA);
    map_ram(PAGE, RIG_RW);
    rig_unwatch(&guest.rig);
    check_verdict(kinds_write(&guest.space, RAM + GIB(1)), S2_VERDICT_HOLE);
    ck_assert_int_eq(kinds_write(&guest.space, RAM).retry, S2_RETRY_FILLED);
    sim_clear();
    MUST(s2_space_protect(&guest.space, ipa_range(RAM, PAGE), RIG_RW | S2_NORMAL_NC));
    ck_assert_uint_eq(cleans_since(0), PAGE / GUEST_LINE);
    ck_assert_ptr_eq(s2_space_table(&guest.space)->memory.pool, &guest.rig.pool);
}

TEST(pool_beyond_the_output_size_is_refused)
{
    struct s2_answer answer;

    use_pool_apart(GIB(1024));
    ck_assert_int_eq(s2_space_map_populated(&guest.space, ipa_range(RAM, PAGE), &lazy, RIG_RW),
                     MAPPING_INVALID_PARAM);
    map_ram(PAGE, RIG_RW);
    answer = kinds_write(&guest.space, RAM);
    check_verdict(answer, S2_VERDICT_FAILED);
    ck_assert_int_eq(answer.error, MAPPING_INVALID_PARAM);
    ck_assert_uint_eq(frame_pool_available(&apart), 4);
}

/* --- Races ------------------------------------------------------------------------------------ */

/* A pool of the guest's RAM alone: frames that are reached by the memory ops, which tell when a fill is
 * at its zeros, unlocked: whatever happens there is another CPU's doing. */
static struct frame_pool remote;
static struct frame_info remote_infos[1024];
static void (*meanwhile)(void);
static void *(*open_before)(void *ctx, pa_t pa, uint64_t size);

static void *open_and_wait(void *ctx, pa_t pa, uint64_t size)
{
    void (*const act)(void) = meanwhile;

    meanwhile = NULL;
    if (act != NULL) {
        act();
    }
    return open_before(ctx, pa, size);
}

static void race_with(void (*act)(void))
{
    struct frame_region region = {PA_INIT(RIG_DATA), NULL, COUNT(remote_infos), remote_infos};

    MUST(frame_pool_init(&remote, 12, &region, 1));
    lazy.pool = &remote;
    memset(guest.memory.bytes, 0xee, (size_t)guest.memory.size);
    open_before = guest.ops.open;
    guest.ops.open = open_and_wait;
    meanwhile = act;
}

static void end_race(size_t taken)
{
    guest.ops.open = open_before;
    ck_assert(meanwhile == NULL);
    ck_assert(s2_space_check(&guest.space));
    ck_assert(frame_pool_check(&remote));
    ck_assert_uint_eq(frame_pool_available(&remote), COUNT(remote_infos) - taken);
}

static void touch_it_too(void)
{
    check_retry(kinds_write(&guest.space, RAM + 8), S2_RETRY_FILLED);
}

static void take_it_away(void)
{
    MUST(s2_space_unmap(&guest.space, ipa_range(RAM, PAGE)));
}

static void make_it_read_only(void)
{
    MUST(s2_space_protect(&guest.space, ipa_range(RAM, MIB(2)), S2_READ));
}

static void make_it_a_trap(void)
{
    const struct s2_area area = {.range = ipa_range(RAM, PAGE), .kind = S2_AREA_TRAP};

    MUST(s2_space_replace(&guest.space, &area));
}

static void give_it_another_pool(void)
{
    static struct s2_lazy other;
    const struct s2_area area = {
        .range = ipa_range(RAM, MIB(2)), .kind = S2_AREA_LAZY, .flags = RIG_RW, .lazy = &other};

    other.pool = &guest.rig.pool;
    MUST(s2_space_replace(&guest.space, &area));
}

static void cut_it(void)
{
    MUST(s2_space_unmap(&guest.space, ipa_range(RAM + MIB(1), PAGE)));
}

/* Two vCPUs get one frame, and the later one's goes back; an area that has changed gets none. */
TEST_EACH(lost_race_leaves_what_the_winner_did, 6)
{
    static void (*const acts[])(void) = {touch_it_too,   take_it_away, make_it_read_only,
                                         make_it_a_trap, cut_it,       give_it_another_pool};
    static const uint64_t grains[] = {0, 0, 0, 0, MIB(2), 0};

    lazy.grain = grains[_i];
    map_ram(MIB(2), RIG_RW);
    race_with(acts[_i]);
    check_retry(kinds_write(&guest.space, RAM), S2_RETRY_RACED);
    end_race(_i == 0 ? 1 : 0);
    /* The guest asks again. */
    switch (_i) {
    case 0:
        check_retry(kinds_write(&guest.space, RAM), S2_RETRY_RACED);
        break;
    case 1:
        check_verdict(kinds_write(&guest.space, RAM), S2_VERDICT_HOLE);
        break;
    case 2:
        check_verdict(kinds_write(&guest.space, RAM), S2_VERDICT_READ_ONLY);
        break;
    case 3:
        check_verdict(kinds_write(&guest.space, RAM), S2_VERDICT_EMULATE);
        break;
    default:
        check_retry(kinds_write(&guest.space, RAM), S2_RETRY_FILLED);
        break;
    }
}

/* The same, of a host that writes. */
TEST(lost_race_of_an_access_goes_on)
{
    uint64_t word = 7;

    map_ram(MIB(2), RIG_RW);
    race_with(touch_it_too);
    MUST(s2_space_write(&guest.space, ipa_of(RAM), &word, sizeof(word), S2_AS_GUEST, NULL));
    end_race(1);
    MUST(s2_space_read(&guest.space, ipa_of(RAM), &word, sizeof(word), S2_AS_GUEST, NULL));
    ck_assert_uint_eq(word, 7);
}

/* Memory that cannot be zeroed is not given. */
TEST(frame_that_cannot_be_reached_is_not_given)
{
    struct s2_answer answer;

    map_ram(MIB(2), RIG_RW);
    race_with(NULL);
    guest.memory.refuse_from = guest.memory.opened + 1;
    guest.memory.refuse_count = 1;
    answer = kinds_write(&guest.space, RAM);
    check_verdict(answer, S2_VERDICT_FAILED);
    ck_assert_int_eq(answer.error, MAPPING_DENIED);
    end_race(0);
    check_retry(kinds_write(&guest.space, RAM), S2_RETRY_FILLED);
    ck_assert_uint_eq(guest.memory.bytes[0], 0);
}

/* --- What the host does ----------------------------------------------------------------------- */

TEST(access_goes_across_areas_pages_and_blocks)
{
    unsigned char in[3 * PAGE + 40], out[sizeof(in)];
    size_t done = 0;

    lazy.grain = MIB(2);
    map_ram(MIB(2), RIG_RW);
    guest_map(&guest, (struct guest_area){RAM + MIB(2), PAGE, RIG_DATA + PAGE, RIG_RW});
    MUST(s2_space_map_lazy(&guest.space, ipa_range(RAM + MIB(2) + PAGE, MIB(1)), &lazy, RIG_RW));
    for (size_t i = 0; i < sizeof(in); i++) {
        in[i] = (unsigned char)(i * 7 + i / 256);
    }
    MUST(s2_space_write(&guest.space, ipa_of(RAM + MIB(2) - PAGE - 3), in, sizeof(in), S2_AS_GUEST,
                        &done));
    ck_assert_uint_eq(done, sizeof(in));
    ck_assert(memcmp(guest.memory.bytes + PAGE, in + PAGE + 3, PAGE) == 0);
    MUST(s2_space_read(&guest.space, ipa_of(RAM + MIB(2) - PAGE - 3), out, sizeof(out), S2_AS_GUEST,
                       &done));
    ck_assert(done == sizeof(out) && memcmp(in, out, sizeof(in)) == 0);
    MUST(s2_space_compare(&guest.space, ipa_of(RAM + MIB(2) - PAGE - 3), in, sizeof(in),
                          S2_AS_GUEST, &done));
    ck_assert_uint_eq(done, sizeof(in));
    in[2 * PAGE + 1]++;
    MUST(s2_space_compare(&guest.space, ipa_of(RAM + MIB(2) - PAGE - 3), in, sizeof(in),
                          S2_AS_GUEST, &done));
    ck_assert_uint_eq(done, 2 * PAGE + 1);
    MUST(s2_space_zero(&guest.space, ipa_of(RAM + MIB(2) - 8), 16, S2_AS_GUEST, &done));
    ck_assert_uint_eq(done, 16);
    ck_assert_uint_eq(kinds_peek(&guest, RAM + MIB(2) - 8), 0);
    ck_assert(guest.memory.bytes[PAGE] == 0 && guest.memory.bytes[PAGE + 8] != 0);
    ck_assert(s2_space_check(&guest.space));
}

TEST(access_stops_exactly_where_it_is_refused)
{
    unsigned char bytes[2 * PAGE] = {0};
    const struct ipa_range beyond = ipa_range(RAM + 3 * PAGE, PAGE);
    static const enum mapping_error answers[] = {MAPPING_NOT_FOUND, MAPPING_DENIED, MAPPING_DENIED,
                                                 MAPPING_UNSUPPORTED};
    size_t done;

    map_ram(3 * PAGE, RIG_RW);
    for (size_t i = 0; i < COUNT(answers); i++) {
        switch (i) {
        case 1:
            MUST(s2_space_map_trap(&guest.space, beyond, 0));
            break;
        case 2:
            MUST(s2_space_map_guard(&guest.space, beyond));
            break;
        case 3:
            MUST(s2_space_map_device(&guest.space, beyond, pa_of(RIG_DATA),
                                     RIG_RW | S2_DEVICE_nGnRnE));
            break;
        default:
            break;
        }
        done = 0;
        ck_assert_int_eq(s2_space_write(&guest.space, ipa_of(RAM + 2 * PAGE - 5), bytes,
                                        sizeof(bytes), S2_AS_HOST, &done),
                         answers[i]);
        ck_assert_uint_eq(done, PAGE + 5);
        ck_assert_int_eq(s2_space_read(&guest.space, beyond.start, bytes, 1, S2_AS_HOST, &done),
                         answers[i]);
        ck_assert_uint_eq(done, 0);
        MUST(s2_space_unmap(&guest.space, beyond));
    }
    ck_assert_int_eq(
        s2_space_read(&guest.space, ipa_of(UINT64_MAX - 3), bytes, 8, S2_AS_HOST, &done),
        MAPPING_INVALID_PARAM);
    MUST(s2_space_read(&guest.space, ipa_of(RAM), bytes, 0, S2_AS_GUEST, NULL));
}

TEST(access_by_the_guests_right_is_the_guests)
{
    uint64_t word = 5;

    map_ram(PAGE, S2_READ);
    ck_assert_int_eq(s2_space_write(&guest.space, ipa_of(RAM), &word, 8, S2_AS_GUEST, NULL),
                     MAPPING_DENIED);
    MUST(s2_space_write(&guest.space, ipa_of(RAM), &word, 8, S2_AS_HOST, NULL));
    ck_assert_uint_eq(kinds_peek(&guest, RAM), 5);
    MUST(s2_space_protect(&guest.space, ipa_range(RAM, PAGE), S2_WRITE));
    ck_assert_int_eq(s2_space_read(&guest.space, ipa_of(RAM), &word, 8, S2_AS_GUEST, NULL),
                     MAPPING_DENIED);
    MUST(s2_space_zero(&guest.space, ipa_of(RAM), 4, S2_AS_GUEST, NULL));
}

TEST(access_without_a_frame_says_so)
{
    uint64_t word = 5;
    size_t done = 9;

    map_ram(MIB(1), RIG_RW);
    rig_leave(&guest.rig, 3);
    ck_assert_int_eq(
        s2_space_write(&guest.space, ipa_of(RAM + PAGE - 4), &word, 8, S2_AS_GUEST, &done),
        MAPPING_NO_FRAME);
    ck_assert_uint_eq(done, 4);
    rig_leave(&guest.rig, 64);
}

TEST_EACH(cmpxchg_exchanges_what_is_expected, 4)
{
    const size_t size = (size_t)1 << _i;
    const uint64_t mask = MAPPING_FIELD(8 * size - 1, 0);
    uint64_t expected = 0;

    map_ram(PAGE, RIG_RW);
    MUST(
        s2_space_cmpxchg(&guest.space, ipa_of(RAM + 16), size, &expected, UINT64_MAX, S2_AS_GUEST));
    ck_assert_uint_eq(expected, 0);
    ck_assert_uint_eq(kinds_peek(&guest, RAM + 16), mask);
    expected = 3;
    MUST(s2_space_cmpxchg(&guest.space, ipa_of(RAM + 16), size, &expected, 7, S2_AS_GUEST));
    ck_assert_uint_eq(expected, mask);
    ck_assert_uint_eq(kinds_peek(&guest, RAM + 16), mask);
    ck_assert_int_eq(s2_space_cmpxchg(&guest.space, ipa_of(RAM + 1), size == 1 ? 3 : size,
                                      &expected, 7, S2_AS_GUEST),
                     MAPPING_INVALID_PARAM);
    ck_assert_int_eq(s2_space_cmpxchg(&guest.space, ipa_of(RAM), 16, &expected, 7, S2_AS_GUEST),
                     MAPPING_INVALID_PARAM);
}

/* --- The end ---------------------------------------------------------------------------------- */

/* The space is gone already. */
static void teardown_machine(void)
{
    rig_fini_machine(&guest.rig);
    free(guest.memory.bytes);
}

#undef TEARDOWN
#define TEARDOWN teardown_machine

/* In steps, too, each frame comes back, and only once nobody can reach it. */
TEST_EACH(end_gives_every_frame_back, 4)
{
    static const size_t budgets[] = {1, 7, 600, SIZE_MAX};
    bool is_done = false;
    size_t steps = 0;

    lazy.grain = MIB(2);
    map_ram(MIB(4), RIG_RW);
    MUST(s2_space_map_trap(&guest.space, ipa_range(UART, PAGE), 0));
    MUST(s2_space_map_lazy(&guest.space, ipa_range(GIB(2), MIB(1)), &lazy, RIG_RW));
    guest_map(&guest, (struct guest_area){GIB(3), MIB(2), RIG_DATA, RIG_RW});
    check_retry(kinds_write(&guest.space, RAM), S2_RETRY_FILLED);
    check_retry(kinds_write(&guest.space, RAM + MIB(2)), S2_RETRY_FILLED);
    check_retry(kinds_write(&guest.space, GIB(2) + 3 * PAGE), S2_RETRY_FILLED);
    MUST(s2_space_unmap(&guest.space, ipa_range(RAM + 5 * PAGE, PAGE)));
    rig_dismiss(&guest.rig, s2_space_table(&guest.space));
    while (!is_done) {
        MUST(s2_space_fini_step(&guest.space, budgets[_i], &is_done));
        ck_assert_uint_lt(steps++, 10000);
    }
    ck_assert(_i == 3 ? steps == 5 : steps > 5); /* three areas, tables, memory */
    ck_assert_uint_eq(available(), 2048);
}
