/*
 * test_trace.c - the Casemate trace: which record each event becomes, what the scenario adds, and
 * the one thing a trace is made to be broken with: events that the machine swallows.
 */
#define _POSIX_C_SOURCE 200809L /* open_memstream */

#include "core/frame_pool.h"
#include "stage2/arch/arch.h"
#include "stage2/trestle.h"
#include "tests/sim/memory.h"
#include "tests/sim/sim.h"
#include "tests/sim/trace.h"
#include "tests/unit/test.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUITE "trace"

#define BASE UINT64_C(0x80000000)
#define FRAME UINT64_C(0x1000)
#define FRAMES 16

static struct sim_memory memory;
static struct frame_pool pool;
static struct trace trace;
static FILE *out;
static char *text;
static size_t text_size;
static size_t seen; /* of the text, by the test */

static void setup(void)
{
    sim_reset();
    sim_memory_init(&memory, 12);
    sim_memory_add(&memory, pa_of(BASE), FRAMES);
    sim_memory_pool(&memory, &pool);
    out = open_memstream(&text, &text_size);
    ck_assert_ptr_nonnull(out);
    seen = 0;
    trace_init(&trace, &memory, out);
}

static void teardown(void)
{
    trace_fini(&trace);
    ck_assert_int_eq(fclose(out), 0);
    free(text);
    sim_memory_fini(&memory);
}

#undef SETUP
#define SETUP setup
#undef TEARDOWN
#define TEARDOWN teardown

/* What was written since the last call. */
static const char *news(void)
{
    const size_t from = seen;

    ck_assert_int_eq(fflush(out), 0);
    seen = text_size;
    return text + from;
}

static s2_desc_t desc_of(uint64_t value)
{
    s2_desc_t desc;

    memcpy(&desc, &value, sizeof(desc));
    return desc;
}

static uint64_t value_of(s2_desc_t desc)
{
    uint64_t value;

    memcpy(&value, &desc, sizeof(value));
    return value;
}

static s2_desc_t *slot_at(uint64_t pa)
{
    return sim_memory_ptr(&memory, pa_of(pa));
}

/* --- Descriptors ----------------------------------------------------------------------------- */

static void swap(s2_desc_t *slot, s2_desc_t desc)
{
    (void)arch_desc_swap(slot, desc);
}

static void replace(s2_desc_t *slot, s2_desc_t desc)
{
    s2_desc_t expected = arch_desc_load(slot);

    ck_assert(arch_desc_replace(slot, &expected, desc));
}

static const struct {
    void (*write)(s2_desc_t *slot, s2_desc_t desc);
    const char *order;
} writes[] = {
    {arch_desc_fill, "plain"}, {arch_desc_store, "plain"}, {arch_desc_publish, "release"},
    {swap, "plain"},           {replace, "plain"},
};

TEST_EACH(write_of_each_kind_is_written_with_its_order, COUNT(writes))
{
    char expected[200];

    arch_desc_fill(slot_at(BASE), S2_DESC_NONE);
    (void)news();
    writes[_i].write(slot_at(BASE + 0x18), desc_of(0xabc003));
    snprintf(expected, sizeof(expected),
             "(mem-write (id 2) (tid 0) (mem-order %s) (address 0x80000018) (value 0xabc003) "
             "(src \"start:1\"))\n",
             writes[_i].order);
    ck_assert_str_eq(news(), expected);
    ck_assert_uint_eq(value_of(*slot_at(BASE + 0x18)), 0xabc003);
}

TEST(write_to_a_new_frame_announces_it_once)
{
    arch_desc_fill(slot_at(BASE + FRAME + 8), desc_of(1));
    arch_desc_fill(slot_at(BASE + FRAME + 16), desc_of(2));
    ck_assert_str_eq(
        news(), "(mem-init (id 0) (tid 0) (address 0x80001000) (size 0x1000) (src \"start:0\"))\n"
                "(mem-write (id 1) (tid 0) (mem-order plain) (address 0x80001008) (value 0x1) "
                "(src \"start:0\"))\n"
                "(mem-write (id 2) (tid 0) (mem-order plain) (address 0x80001010) (value 0x2) "
                "(src \"start:1\"))\n");
}

TEST(write_to_a_new_frame_under_a_lock_names_its_tree)
{
    trace_lock(&trace, pa_of(BASE), 0x1002);
    arch_desc_fill(slot_at(BASE + FRAME), desc_of(1));
    trace_unlock(&trace, 0x1002);
    arch_desc_fill(slot_at(BASE + 2 * FRAME), desc_of(1));
    ck_assert_str_eq(
        news(),
        "(lock (id 0) (tid 0) (address 0x1002) (src \"start:0\"))\n"
        "(mem-init (id 1) (tid 0) (address 0x80001000) (size 0x1000) (src \"start:0\"))\n"
        "(hint (id 2) (tid 0) (kind set_owner_root) (location 0x80001000) (value 0x80000000) "
        "(src \"start:0\"))\n"
        "(mem-write (id 3) (tid 0) (mem-order plain) (address 0x80001000) (value 0x1) "
        "(src \"start:0\"))\n"
        "(unlock (id 4) (tid 0) (address 0x1002) (src \"start:1\"))\n"
        "(mem-init (id 5) (tid 0) (address 0x80002000) (size 0x1000) (src \"start:1\"))\n"
        "(mem-write (id 6) (tid 0) (mem-order plain) (address 0x80002000) (value 0x1) "
        "(src \"start:1\"))\n");
}

TEST(replace_that_found_something_else_is_not_written)
{
    s2_desc_t expected = desc_of(7);

    ck_assert(!arch_desc_replace(slot_at(BASE), &expected, desc_of(8)));
    ck_assert_str_eq(news(), "");
}

TEST_ABORTS(write_outside_the_memory_dies)
{
    s2_desc_t stranger = S2_DESC_NONE;

    arch_desc_store(&stranger, desc_of(1));
}

/* --- Barriers, TLBIs, registers -------------------------------------------------------------- */

static const struct {
    void (*execute)(void);
    const char *name;
    const char *what;
} plain[] = {
    {arch_dsb_ish, "barrier", "dsb (kind ish)"},  {arch_dsb_ishst, "barrier", "dsb (kind ishst)"},
    {arch_dsb_nsh, "barrier", "dsb (kind nsh)"},  {arch_isb, "barrier", "isb"},
    {arch_tlbi_vmalle1is, "tlbi", "vmalle1is"},   {arch_tlbi_vmalls12e1is, "tlbi", "vmalls12e1is"},
    {arch_tlbi_alle1is, "tlbi", "alle1is"},       {arch_tlbi_vmalle1, "tlbi", "vmalle1"},
    {arch_tlbi_vmalls12e1, "tlbi", "vmalls12e1"},
};

TEST_EACH(execute_each_instruction_is_written_by_its_name, COUNT(plain))
{
    char expected[200];

    plain[_i].execute();
    snprintf(expected, sizeof(expected), "(%s (id 0) (tid 0) %s (src \"start:0\"))\n",
             plain[_i].name, plain[_i].what);
    ck_assert_str_eq(news(), expected);
}

TEST(tlbi_by_ipa_is_written_with_its_operand)
{
    arch_tlbi_ipas2e1is(UINT64_C(0x0000700000040005));
    ck_assert_str_eq(news(), "(tlbi (id 0) (tid 0) ipas2e1is (value 0x700000040005) "
                             "(src \"start:0\"))\n");
}

TEST(write_register_is_written_by_its_name)
{
    arch_write_vtcr(0x80000019);
    arch_write_hcr(1);
    arch_write_vttbr(UINT64_C(0x0002000080000000));
    ck_assert_str_eq(
        news(), "(sysreg-write (id 0) (tid 0) (sysreg vtcr_el2) (value 0x80000019) "
                "(src \"start:0\"))\n"
                "(sysreg-write (id 1) (tid 0) (sysreg hcr_el2) (value 0x1) (src \"start:1\"))\n"
                "(sysreg-write (id 2) (tid 0) (sysreg vttbr_el2) (value 0x2000080000000) "
                "(src \"start:2\"))\n");
}

TEST(execute_what_casemate_ignores_is_left_out)
{
    arch_ic_ialluis();
    arch_dc_cvac(slot_at(BASE));
    arch_dc_civac(slot_at(BASE));
    arch_write_tcr_el1(1);
    arch_irq_restore(arch_irq_mask());
    sim_set_loads(SIM_LOADS_ON);
    (void)arch_desc_load(slot_at(BASE));
    ck_assert_str_eq(news(), "");
    ck_assert_uint_eq(trace_lost(&trace), 0);
}

TEST(execute_what_casemate_cannot_say_is_counted)
{
    arch_tlbi_ripas2e1is(1);
    arch_tlbi_ipas2e1(1);
    ck_assert_str_eq(news(), "");
    ck_assert_uint_eq(trace_lost(&trace), 2);
}

TEST(execute_on_another_cpu_is_another_thread)
{
    sim_set_cpu(3);
    arch_isb();
    ck_assert_str_eq(news(), "(barrier (id 0) (tid 3) isb (src \"start:0\"))\n");
}

TEST_ABORTS(execute_on_a_fifth_cpu_dies)
{
    sim_set_cpu(TRACE_CPUS);
    arch_isb();
}

/* --- The scenario ---------------------------------------------------------------------------- */

TEST(root_is_announced_with_its_lock)
{
    trace_root(&trace, pa_of(BASE), 0x1002);
    ck_assert_str_eq(
        news(), "(mem-init (id 0) (tid 0) (address 0x80000000) (size 0x1000) (src \"start:0\"))\n"
                "(hint (id 1) (tid 0) (kind set_root_lock) (location 0x80000000) (value 0x1002) "
                "(src \"start:0\"))\n");
}

TEST_ABORTS(root_with_lock_zero_dies)
{
    trace_root(&trace, pa_of(BASE), 0);
}

TEST(release_is_a_hint)
{
    trace_release(&trace, pa_of(BASE));
    ck_assert_str_eq(news(), "(hint (id 0) (tid 0) (kind release_table) (location 0x80000000) "
                             "(value 0x0) (src \"start:0\"))\n");
}

TEST(step_names_the_source)
{
    trace_step(&trace, "split a block");
    arch_isb();
    ck_assert_str_eq(news(), "(barrier (id 0) (tid 0) isb (src \"split a block:0\"))\n");
}

TEST_ABORTS(step_that_would_end_its_string_dies)
{
    trace_step(&trace, "the \"split\"");
}

TEST(return_of_a_frame_frees_it_and_it_can_come_again)
{
    pa_t kept, given;

    ck_assert_int_eq(frame_pool_alloc(&pool, 0, &kept), MAPPING_OK);
    ck_assert_int_eq(frame_pool_alloc(&pool, 0, &given), MAPPING_OK);
    ck_assert(pa_eq(given, pa_of(BASE + FRAME)));
    arch_desc_fill(sim_memory_ptr(&memory, kept), S2_DESC_NONE);
    arch_desc_fill(sim_memory_ptr(&memory, given), S2_DESC_NONE);
    trace_returned(&trace, &pool);
    ck_assert_ptr_null(strstr(news(), "mem-free"));

    ck_assert_int_eq(frame_pool_free(&pool, given, 0), MAPPING_OK);
    trace_returned(&trace, &pool);
    ck_assert_str_eq(
        news(), "(mem-free (id 4) (tid 0) (address 0x80001000) (size 0x1000) (src \"start:2\"))\n");
    trace_returned(&trace, &pool);
    ck_assert_str_eq(news(), "");

    arch_desc_fill(slot_at(BASE + FRAME), S2_DESC_NONE);
    ck_assert_ptr_nonnull(strstr(news(), "(mem-init (id 5) (tid 0) (address 0x80001000)"));
}

TEST_ABORTS(init_over_frames_of_16k_dies)
{
    struct sim_memory large;

    sim_memory_init(&large, 14);
    trace_init(&trace, &large, out);
}

TEST(init_amid_events_goes_on_with_their_number)
{
    trace_fini(&trace);
    arch_dsb_ish();
    trace_init(&trace, &memory, out);
    arch_isb();
    ck_assert_str_eq(news(), "(barrier (id 0) (tid 0) isb (src \"start:1\"))\n");
}

TEST(fini_stops_listening)
{
    trace_fini(&trace);
    arch_isb();
    ck_assert_str_eq(news(), "");
}

/* --- The library ----------------------------------------------------------------------------- */

/* The next record's words at @*at, without numbers: "(tlbi ipas2e1is". False: no more. */
static bool next_words(const char **at, char words[64])
{
    const char *line = *at;
    const char *middle = strstr(line, "(tid 0) ");
    char first[24], second[24];

    if (*line == '\0') {
        return false;
    }
    ck_assert_ptr_nonnull(middle);
    ck_assert_int_eq(sscanf(line, "(%23s", first), 1);
    ck_assert_int_eq(sscanf(middle, "(tid 0) %23s", second), 1);
    snprintf(words, 64, "%s %s", first, second);
    *at = strchr(line, '\n') + 1;
    return true;
}

TEST(unmap_from_a_block_is_written_in_the_order_of_the_architecture)
{
    static const char *const flush[] = {
        "mem-write (mem-order", "barrier dsb", "tlbi ipas2e1is", "barrier dsb",
        "tlbi vmalle1is",       "barrier dsb", "barrier isb",    "mem-write (mem-order",
    };
    const struct s2_features cpu = {.pa_bits = 40,
                                    .granule_4k = S2_GRANULE_48_BITS,
                                    .vmid_bits = 8,
                                    .has_fwb = true,
                                    .dcache_line = 64};
    const struct s2_config config = {.cpu = &cpu, .granule = S2_GRANULE_4K, .ipa_bits = 39};
    struct s2_table table;
    const char *at;
    char words[64];
    size_t step = 0;

    ck_assert_int_eq(s2_table_init(&table, &config, &pool), MAPPING_OK);
    ck_assert_uint_eq(s2_table_vttbr(&table), BASE);
    arch_write_vtcr(s2_table_vtcr(&table));
    arch_write_vttbr(s2_table_vttbr(&table));
    ck_assert_int_eq(
        s2_table_map(&table, ipa_range(0, MAPPING_BIT(30)), pa_of(MAPPING_BIT(32)), S2_READ),
        MAPPING_OK);
    (void)news();
    ck_assert_int_eq(s2_table_unmap(&table, ipa_range(0x5000, 0x1000)), MAPPING_OK);
    at = strstr(news(), "(address 0x80000000) (value 0x");
    ck_assert_ptr_nonnull(at);
    while (at != text && at[-1] != '\n') {
        at--;
    }
    for (; step < COUNT(flush) && next_words(&at, words); step++) {
        ck_assert_str_eq(words, flush[step]);
    }
    ck_assert_uint_eq(step, COUNT(flush));
    ck_assert_ptr_nonnull(strstr(text, "(mem-order release) (address 0x80000000)"));
    ck_assert_int_eq(s2_table_fini(&table), MAPPING_OK);
}

/* --- Swallowed events ------------------------------------------------------------------------ */

static bool swallow_kind(void *arg, const struct sim_event *event)
{
    const enum sim_kind *kind = arg;

    return event->kind == *kind;
}

TEST(swallow_write_leaves_no_trace)
{
    enum sim_kind kind = SIM_STORE;
    s2_desc_t *slot = slot_at(BASE);
    const uint64_t before = value_of(*slot);

    sim_set_swallow(swallow_kind, &kind);
    arch_desc_store(slot, desc_of(1));
    ck_assert_uint_eq(value_of(*slot), before);
    ck_assert_uint_eq(sim_event_total(), 0);
    ck_assert_uint_eq(sim_event_count(SIM_STORE), 0);
    ck_assert_str_eq(news(), "");
    arch_desc_publish(slot, desc_of(1));
    ck_assert_uint_eq(value_of(*slot), 1);
}

TEST(swallow_swap_answers_what_is_there)
{
    enum sim_kind kind = SIM_SWAP;
    s2_desc_t *slot = slot_at(BASE);

    arch_desc_store(slot, desc_of(5));
    sim_set_swallow(swallow_kind, &kind);
    ck_assert_uint_eq(value_of(arch_desc_swap(slot, desc_of(6))), 5);
    ck_assert_uint_eq(value_of(*slot), 5);
}

TEST(swallow_replace_answers_that_it_was_done)
{
    enum sim_kind kind = SIM_REPLACE;
    s2_desc_t *slot = slot_at(BASE);
    s2_desc_t expected = desc_of(5);

    arch_desc_store(slot, desc_of(5));
    sim_set_swallow(swallow_kind, &kind);
    ck_assert(arch_desc_replace(slot, &expected, desc_of(6)));
    ck_assert_uint_eq(value_of(expected), 5);
    ck_assert_uint_eq(value_of(*slot), 5);
}

TEST(swallow_instruction_is_in_no_log)
{
    enum sim_kind kind = SIM_DSB_ISH;

    sim_set_swallow(swallow_kind, &kind);
    arch_dsb_ish();
    arch_dsb_ishst();
    ck_assert_uint_eq(sim_event_total(), 1);
    ck_assert_int_eq(sim_events()[0].kind, SIM_DSB_ISHST);
    ck_assert_str_eq(news(), "(barrier (id 0) (tid 0) dsb (kind ishst) (src \"start:0\"))\n");
}

TEST(swallow_register_keeps_its_value)
{
    enum sim_kind kind = SIM_WRITE_VTTBR;

    arch_write_vttbr(5);
    sim_set_swallow(swallow_kind, &kind);
    arch_write_vttbr(6);
    ck_assert_uint_eq(arch_read_vttbr(), 5);
}

TEST(swallow_is_not_asked_about_loads)
{
    enum sim_kind kind = SIM_LOAD;

    sim_set_loads(SIM_LOADS_ON);
    sim_set_swallow(swallow_kind, &kind);
    (void)arch_desc_load(slot_at(BASE));
    ck_assert_uint_eq(sim_event_count(SIM_LOAD), 1);
}

TEST(swallow_ends_with_null_and_with_reset)
{
    enum sim_kind kind = SIM_ISB;

    sim_set_swallow(swallow_kind, &kind);
    sim_set_swallow(NULL, NULL);
    arch_isb();
    ck_assert_uint_eq(sim_event_count(SIM_ISB), 1);
    sim_set_swallow(swallow_kind, &kind);
    sim_reset();
    arch_isb();
    ck_assert_uint_eq(sim_event_count(SIM_ISB), 1);
}

/* --- Suite ----------------------------------------------------------------------------------- */
