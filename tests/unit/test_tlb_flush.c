/*
 * test_tlb_flush.c - the closing sequence of an operation: its exact events, for this guest and for
 * another, in every form; who is told; what is counted. That no IPA escapes it is looked at where
 * tables are changed, by the monitor.
 */
#include "stage2/tlb/tlb_flush.h"
#include "tests/sim/sim.h"
#include "tests/unit/test.h"

#include <stddef.h>

#define SUITE "tlb_flush"

#define VTCR UINT64_C(0x80023558)          /* 4K, 40 bits */
#define VTTBR UINT64_C(0x0007000040002000) /* of VMID 7 */
#define ROOT UINT64_C(0x0000000040002000)  /* the same, of nobody's */
#define OTHER UINT64_C(0x0009000050000000)
#define VM UINT64_C(0x1)
#define DC UINT64_C(0x1000)
#define TGE UINT64_C(0x8000000)
#define E2H UINT64_C(0x400000000)
#define EPD UINT64_C(0x800080) /* TCR_EL1.EPD1, EPD0 */
#define MMU UINT64_C(0x1)      /* SCTLR_EL1.M */
#define ANY S2_TLB_LEVEL_ANY

static const struct s2_features PART = {.pa_bits = 40,
                                        .granule_4k = S2_GRANULE_48_BITS,
                                        .granule_16k = S2_GRANULE_48_BITS,
                                        .granule_64k = S2_GRANULE_48_BITS,
                                        .vmid_bits = 8,
                                        .dcache_line = 64};
static struct s2_geometry geometry;
static struct s2_tlb_rules rules;
static struct s2_tlb_counters counters;
static struct s2_notifier notifier;
static struct s2_tlb_target target;
static struct s2_vmid_allocator vmids;
static struct s2_vmid vmid;
static struct s2_cpu cpu;

/* What held at every TLBI of the flush: listened to, as some of it is in no event. */
static struct {
    size_t count, nxs;
    size_t locked; /* with the lock of the VMIDs held */
    uint64_t tcr_or, tcr_and, sctlr_and, hcr_or;
    uint64_t daif_and;
    uint64_t vttbr;
} seen;

static void listen_tlbi(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    (void)arg;
    if (phase == SIM_BEFORE && sim_is_tlbi(event->kind)) {
        seen.count++;
        seen.nxs += event->is_nxs ? 1 : 0;
        seen.locked += mapping_lock_is_held(&vmids.lock) ? 1 : 0;
        seen.tcr_or |= sim_cpu()->tcr_el1;
        seen.tcr_and &= sim_cpu()->tcr_el1;
        seen.sctlr_and &= sim_cpu()->sctlr_el1;
        seen.hcr_or |= event->hcr;
        seen.daif_and &= sim_cpu()->daif;
        seen.vttbr = event->vttbr;
        ck_assert(target.regime.vmids != NULL || event->vttbr == target.regime.vttbr);
        ck_assert_uint_eq(event->vtcr, target.regime.geometry->vtcr);
        ck_assert(!rules.has_vhe || (event->hcr & TGE) == 0);
    }
}

static void set_geometry(enum s2_granule granule)
{
    const struct s2_config config = {.cpu = &PART, .granule = granule, .ipa_bits = 40};

    ck_assert_int_eq(s2_geometry_init(&geometry, &config, NULL), MAPPING_OK);
}

static void setup(void)
{
    sim_reset();
    set_geometry(S2_GRANULE_4K);
    ck_assert_uint_eq(geometry.vtcr, VTCR);
    rules = (struct s2_tlb_rules){.has_ttl = false};
    counters = (struct s2_tlb_counters){.flushes = 0};
    notifier = (struct s2_notifier){.invalidated = NULL};
    target = (struct s2_tlb_target){
        .regime = {.geometry = &geometry, .rules = &rules, .vttbr = VTTBR},
        .notifier = &notifier,
        .counters = &counters,
    };
    *sim_cpu() = (struct sim_cpu){.vtcr = VTCR,
                                  .vttbr = VTTBR,
                                  .hcr = VM,
                                  .tcr_el1 = 0x1234500003,
                                  .sctlr_el1 = 0x30d00801,
                                  .daif = 0x80};
    s2_vmid_init(&vmids, 8);
    atomic_init(&vmid.tag, 0);
    seen.count = seen.nxs = seen.locked = 0;
    seen.tcr_or = seen.hcr_or = 0;
    seen.tcr_and = seen.sctlr_and = seen.daif_and = UINT64_MAX;
    ck_assert(sim_listen(listen_tlbi, NULL));
}

static void require_for(struct s2_tlb_batch *batch, enum s2_tlb_reason reason)
{
    s2_tlb_batch_add(batch, ipa_range(0x40000000, 0x1000), 3, reason);
}

static void flush_page(enum s2_tlb_reason reason)
{
    struct s2_tlb_batch batch = {0};

    require_for(&batch, reason);
    s2_tlb_flush(&target, &batch);
    ck_assert(s2_tlb_batch_is_empty(&batch));
    ck_assert(!batch.is_revoked);
}

static void flush_stretch(uint64_t start, uint64_t size, int level)
{
    struct s2_tlb_batch batch = {0};

    s2_tlb_batch_add(&batch, ipa_range(start, size), level, S2_TLB_REVOKED);
    s2_tlb_flush(&target, &batch);
}

/* The events are exactly those of @kinds, up to IRQ_RESTORE. */
static void check_events(const char *name, const enum sim_kind kinds[])
{
    size_t count = 1;

    while (kinds[count - 1] != SIM_IRQ_RESTORE) {
        count++;
    }
    if (sim_event_total() != count || !sim_matches(0, kinds, count)) {
        sim_dump(stderr);
        ck_abort_msg("%s: not these events", name);
    }
}

#define EXPECT_EVENTS(name, ...) check_events(name, (const enum sim_kind[]){__VA_ARGS__})

/* What was sent to all CPUs since sim_clear(). */
static void check_sent(size_t by_range, size_t by_address, size_t stage1, size_t whole)
{
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_RIPAS2E1IS), by_range);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_IPAS2E1IS), by_address);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_VMALLE1IS), stage1);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_VMALLS12E1IS), whole);
    ck_assert_uint_eq(sim_tlbi_count(), by_range + by_address + stage1 + whole);
}

/* All counters; those that are not named are 0. */
#define EXPECT_COUNTERS(...) check_counters(&(const struct s2_tlb_counters){__VA_ARGS__})

static void check_counters(const struct s2_tlb_counters *expected)
{
    ck_assert_uint_eq(counters.flushes, expected->flushes);
    ck_assert_uint_eq(counters.skipped_flushes, expected->skipped_flushes);
    ck_assert_uint_eq(counters.by_range, expected->by_range);
    ck_assert_uint_eq(counters.by_address, expected->by_address);
    ck_assert_uint_eq(counters.stage1, expected->stage1);
    ck_assert_uint_eq(counters.whole, expected->whole);
    ck_assert_uint_eq(counters.saved, expected->saved);
    ck_assert_uint_eq(counters.saved_flushes, expected->saved_flushes);
}

/* More stretches than a batch has room for, of @size bytes each. */
static struct s2_tlb_batch overflowed(uint64_t size)
{
    struct s2_tlb_batch batch = {0};

    for (uint64_t i = 0; i <= S2_TLB_BATCH_RANGES; i++) {
        s2_tlb_batch_add(&batch, ipa_range(i * (size + 0x1000), size), 3, S2_TLB_REVOKED);
    }
    return batch;
}

/* The guest's number is the allocator's to give. */
static void use_allocator(void)
{
    target.regime.vmids = &vmids;
    target.regime.vmid = &vmid;
    target.regime.vttbr = ROOT;
    sim_cpu()->vttbr = OTHER;
}

static void check_same_cpu(const struct sim_cpu *a, const struct sim_cpu *b)
{
    ck_assert_uint_eq(a->vtcr, b->vtcr);
    ck_assert_uint_eq(a->vttbr, b->vttbr);
    ck_assert_uint_eq(a->hcr, b->hcr);
    ck_assert_uint_eq(a->tcr_el1, b->tcr_el1);
    ck_assert_uint_eq(a->sctlr_el1, b->sctlr_el1);
    ck_assert_uint_eq(a->daif, b->daif);
}

/* --- Events ----------------------------------------------------------------------------------- */

#define BY_ADDRESS SIM_TLBI_IPAS2E1IS, SIM_DSB_ISH, SIM_TLBI_VMALLE1IS, SIM_DSB_ISH, SIM_ISB
#define ENTER SIM_WRITE_VTCR, SIM_WRITE_VTTBR
#define LEAVE SIM_WRITE_VTTBR, SIM_WRITE_VTCR, SIM_ISB
#define WALKS SIM_WRITE_TCR_EL1, SIM_ISB /* stopped, or as before */
#define STAGE1 SIM_WRITE_SCTLR_EL1, SIM_ISB
#define HOST SIM_WRITE_HCR
#define BEGIN SIM_DSB_ISH, SIM_IRQ_MASK
#define END SIM_IRQ_RESTORE

/* AT: the erratum of speculative translations. */
enum part { NO_VHE = 0, VHE = 1, SPECULATIVE = 2, VHE_SPECULATIVE = 3 };

/* What is live on this CPU, what the target's part is like, and the events of a flush of one
 * page. */
static const struct regime_case {
    const char *name;
    uint64_t vtcr, vttbr, hcr;
    enum part part;
    bool is_stage1_off;
    enum sim_kind events[32];
} regime_cases[] = {
#define SWITCHED ENTER, SIM_ISB, BY_ADDRESS, LEAVE
#define HOSTED HOST, SIM_ISB, BY_ADDRESS, HOST
#define CASE(name, vtcr, vttbr, hcr, part, is_stage1_off, ...) \
    {                                                          \
        name, vtcr, vttbr, hcr, part, is_stage1_off,           \
        {                                                      \
            BEGIN, __VA_ARGS__, END                            \
        }                                                      \
    }
    CASE("this guest", VTCR, VTTBR, VM, NO_VHE, false, BY_ADDRESS),
    CASE("this guest, VHE", VTCR, VTTBR, VM | E2H, VHE_SPECULATIVE, false, BY_ADDRESS),
    CASE("this guest, no VHE, TGE", VTCR, VTTBR, VM | TGE, NO_VHE, false, BY_ADDRESS),
    CASE("another guest", VTCR, OTHER, VM, NO_VHE, false, SWITCHED),
    CASE("another VMID of the root", VTCR, VTTBR ^ MAPPING_BIT(48), VM, NO_VHE, false, SWITCHED),
    CASE("the same without CnP", VTCR, VTTBR ^ 1, VM, NO_VHE, false, SWITCHED),
    CASE("another shape of tables", 0x80053590, VTTBR, VM, NO_VHE, false, SWITCHED),
    CASE("nothing loaded", 0, 0, 0, NO_VHE, false, SWITCHED),
    CASE("another, AT", VTCR, OTHER, VM, SPECULATIVE, false, WALKS, SWITCHED, WALKS),
    CASE("another, AT, stage 1 off", VTCR, OTHER, VM, SPECULATIVE, true, WALKS, STAGE1, SWITCHED,
         STAGE1, WALKS),
    CASE("another, AT, default cacheable", VTCR, OTHER, VM | DC, SPECULATIVE, true, WALKS, STAGE1,
         HOST, SIM_ISB, SWITCHED, HOST, SIM_ISB, STAGE1, WALKS),
    CASE("another, default cacheable", VTCR, OTHER, VM | DC, NO_VHE, true, SWITCHED),
    CASE("another, VHE host", VTCR, OTHER, VM | TGE | E2H, VHE, false, ENTER, HOSTED, LEAVE),
    CASE("this guest, VHE host", VTCR, VTTBR, VM | TGE | E2H, VHE, false, HOSTED, SIM_ISB),
    CASE("this guest, VHE host, AT", VTCR, VTTBR, VM | TGE | E2H, VHE_SPECULATIVE, false, WALKS,
         HOSTED, SIM_ISB, WALKS),
    CASE("another, VHE, AT, stage 1 off", VTCR, OTHER, VM | E2H, VHE_SPECULATIVE, true, WALKS,
         STAGE1, SWITCHED, STAGE1, WALKS),
    CASE("another, VHE host, AT, default cacheable", VTCR, OTHER, VM | TGE | E2H | DC,
         VHE_SPECULATIVE, true, WALKS, STAGE1, HOST, SIM_ISB, ENTER, HOSTED, LEAVE, HOST, SIM_ISB,
         STAGE1, WALKS),
#undef CASE
};

static void load_case(const struct regime_case *c)
{
    sim_cpu()->vtcr = c->vtcr;
    sim_cpu()->vttbr = c->vttbr;
    sim_cpu()->hcr = c->hcr;
    sim_cpu()->sctlr_el1 &= ~(c->is_stage1_off ? MMU : 0);
    rules.has_vhe = (c->part & VHE) != 0;
    rules.has_speculative_at = (c->part & SPECULATIVE) != 0;
}

/* Whenever VTCR_EL2 or VTTBR_EL2 is written, no stage 1 is walked, and since that is so an ISB has
 * passed. @before: the registers as the flush began. */
static void check_switches_without_walks(const struct sim_cpu *before)
{
    struct sim_cpu now = *before;
    bool is_synced = false;

    for (size_t i = 0; i < sim_event_total(); i++) {
        const struct sim_event *event = &sim_events()[i];

        if (event->kind == SIM_WRITE_TCR_EL1) {
            now.tcr_el1 = event->new;
            is_synced = false;
        } else if (event->kind == SIM_WRITE_SCTLR_EL1) {
            now.sctlr_el1 = event->new;
            is_synced = false;
        } else if (event->kind == SIM_WRITE_HCR) {
            is_synced = is_synced && ((event->old ^ event->new) & DC) == 0;
            now.hcr = event->new;
        } else if (event->kind == SIM_WRITE_VTCR || event->kind == SIM_WRITE_VTTBR) {
            ck_assert((now.tcr_el1 & EPD) == EPD && (now.sctlr_el1 & MMU) != 0);
            ck_assert((now.hcr & DC) == 0 && is_synced);
        } else if (event->kind == SIM_ISB) {
            is_synced = true;
        }
    }
}

#undef SETUP
#define SETUP setup
#undef TEARDOWN
#define TEARDOWN NULL

TEST_EACH(flush_one_page_is_exactly_the_recipe, COUNT(regime_cases))
{
    const struct regime_case *c = &regime_cases[_i];
    struct sim_cpu before;

    load_case(c);
    before = *sim_cpu();
    flush_page(S2_TLB_REVOKED);
    check_events(c->name, c->events);
    ck_assert_uint_eq(sim_events()[sim_find(SIM_TLBI_IPAS2E1IS, 0)].operand, 0x40000);
    check_same_cpu(sim_cpu(), &before);
    /* While it ran: interrupts off, and walks of stage 1 stopped where the part needs it. */
    ck_assert_uint_eq(seen.count, 2);
    ck_assert_uint_eq(seen.nxs, 0);
    ck_assert_uint_eq(seen.daif_and, SIM_DAIF_ALL);
    if (sim_find(SIM_WRITE_TCR_EL1, 0) == SIM_NONE) {
        ck_assert_uint_eq(seen.tcr_or, before.tcr_el1);
    } else {
        ck_assert_uint_eq(seen.tcr_or, before.tcr_el1 | EPD);
        ck_assert_uint_eq(seen.sctlr_and, before.sctlr_el1 | MMU);
        ck_assert_uint_eq(seen.hcr_or & DC, 0);
    }
    ck_assert_uint_eq(seen.tcr_and, seen.tcr_or);
    if (rules.has_speculative_at) {
        check_switches_without_walks(&before);
    }
}

/* Where a write of HCR_EL2 spoils translations that are under way: none is, before and after. */
TEST_EACH(flush_with_hcr_erratum_writes_hcr_between_dsb_and_isb, COUNT(regime_cases))
{
    const struct regime_case *c = &regime_cases[_i];
    size_t writes = 0;
    struct sim_cpu before;

    load_case(c);
    for (size_t i = 0; i < COUNT(c->events); i++) {
        writes += c->events[i] == SIM_WRITE_HCR ? 1 : 0;
    }
    rules.has_hcr_write = true;
    before = *sim_cpu();
    flush_page(S2_TLB_REVOKED);
    check_same_cpu(sim_cpu(), &before);
    ck_assert_uint_eq(sim_event_count(SIM_WRITE_HCR), writes);
    for (size_t i = sim_find(SIM_WRITE_HCR, 0); i != SIM_NONE; i = sim_find(SIM_WRITE_HCR, i + 1)) {
        ck_assert_int_eq(sim_events()[i - 1].kind, SIM_DSB_NSH);
        ck_assert_int_eq(sim_events()[i + 1].kind, SIM_ISB);
    }
}

TEST(flush_vmid_is_one_tlbi)
{
    rules.is_local = true; /* it was not relaxed */
    s2_tlb_flush_vmid(&target);
    EXPECT_EVENTS("here", BEGIN, SIM_TLBI_VMALLS12E1IS, SIM_DSB_ISH, SIM_ISB, END);
    sim_clear();
    sim_cpu()->vttbr = OTHER;
    s2_tlb_flush_vmid(&target);
    EXPECT_EVENTS("there", BEGIN, ENTER, SIM_ISB, SIM_TLBI_VMALLS12E1IS, SIM_DSB_ISH, SIM_ISB,
                  LEAVE, END);
    ck_assert_uint_eq(sim_cpu()->vttbr, OTHER);
    EXPECT_COUNTERS(.flushes = 2, .whole = 2);
}

TEST(flush_nothing_does_nothing)
{
    struct s2_tlb_batch batch = {0};

    s2_tlb_flush(&target, &batch);
    ck_assert_uint_eq(sim_event_total(), 0);
    EXPECT_COUNTERS(.flushes = 0);
}

TEST(flush_overflowed_batch_takes_the_whole_vmid)
{
    struct s2_tlb_batch batch = overflowed(0x1000);

    s2_tlb_flush(&target, &batch);
    check_sent(0, 0, 0, 1);
    ck_assert(s2_tlb_batch_is_empty(&batch));
    /* The next one starts afresh. */
    sim_clear();
    flush_page(S2_TLB_REVOKED);
    check_sent(0, 1, 1, 0);
}

TEST(flush_by_address_gives_literal_operands)
{
    static const uint64_t plain[] = {0x40000, 0x40200, 0x80000, 0x80001, 0x100000};
    static const uint64_t hinted[] = {0x600000040000, 0x600000040200, 0x80000, 0x80001,
                                      0x500000100000};

    for (unsigned ttl = 0; ttl < 2; ttl++) {
        struct s2_tlb_batch batch = {0};
        size_t at = 0;

        rules.has_ttl = ttl != 0;
        s2_tlb_batch_add(&batch, ipa_range(0x40000000, 0x400000), 2, S2_TLB_REVOKED);
        s2_tlb_batch_add(&batch, ipa_range(0x80000000, 0x2000), ANY, S2_TLB_REVOKED);
        s2_tlb_batch_add(&batch, ipa_range(0x100000000, 0x40000000), 1, S2_TLB_REVOKED);
        sim_clear();
        s2_tlb_flush(&target, &batch);
        ck_assert_uint_eq(sim_event_count(SIM_TLBI_IPAS2E1IS), COUNT(plain));
        for (size_t i = 0; i < COUNT(plain); i++) {
            at = sim_find(SIM_TLBI_IPAS2E1IS, at);
            ck_assert_uint_eq(sim_events()[at].operand, ttl != 0 ? hinted[i] : plain[i]);
            at++;
        }
    }
}

/* --- Ranges ----------------------------------------------------------------------------------- */

TEST(flush_by_range_is_the_recipe_with_ranges)
{
    rules.has_ranges = true;
    flush_stretch(0x40000000, 0x3000, 3);
    EXPECT_EVENTS("three pages", BEGIN, SIM_TLBI_RIPAS2E1IS, BY_ADDRESS, END);
    ck_assert_uint_eq(sim_events()[2].operand, 0x400000040000);
    ck_assert_uint_eq(sim_events()[3].operand, 0x40002);
    sim_clear();
    rules.has_ttl = true;
    flush_stretch(0x40000000, 0x3000, 3);
    ck_assert_uint_eq(sim_events()[2].operand, 0x406000040000);
    ck_assert_uint_eq(sim_events()[3].operand, 0x700000040002);
}

TEST(flush_unlinked_gib_is_one_range)
{
    rules.has_ranges = true;
    flush_stretch(0x40000000, 0x40000000, ANY);
    check_sent(1, 0, 1, 0);
    ck_assert_uint_eq(sim_events()[sim_find(SIM_TLBI_RIPAS2E1IS, 0)].operand, 0x718000040000);
    EXPECT_COUNTERS(.flushes = 1, .by_range = 1, .stage1 = 1, .saved = 0x40000 - 1);
}

/* --- nXS -------------------------------------------------------------------------------------- */

TEST(flush_takes_nxs_forms_where_all_memory_is_fast)
{
    for (unsigned slow = 0; slow < 2; slow++) {
        for (unsigned has = 0; has < 2; has++) {
            rules.has_xs = has != 0;
            rules.has_ranges = true;
            target.has_slow_memory = slow != 0;
            seen.count = seen.nxs = 0;
            flush_stretch(0x40000000, 0x3000, 3);
            flush_stretch(0, UINT64_C(1) << 40, ANY);
            ck_assert_uint_eq(seen.count, 4); /* one of each */
            ck_assert_uint_eq(seen.nxs, has != 0 && slow == 0 ? 4 : 0);
        }
    }
    check_sent(4, 4, 4, 4);
    /* The end of a guest waits for all. */
    rules.has_xs = true;
    target.has_slow_memory = false;
    seen.count = seen.nxs = 0;
    s2_tlb_flush_vmid(&target);
    ck_assert(seen.count == 1 && seen.nxs == 0);
}

/* --- Parts that may miss one
 * ------------------------------------------------------------------- */

TEST(flush_on_forgetful_part_sends_each_phase_again)
{
#define TWO_PAGES SIM_TLBI_IPAS2E1IS, SIM_TLBI_IPAS2E1IS, SIM_DSB_ISH
    rules.is_repeated = true;
    flush_stretch(0x40000000, 0x2000, 3);
    EXPECT_EVENTS("parts", BEGIN, TWO_PAGES, TWO_PAGES, SIM_TLBI_VMALLE1IS, SIM_DSB_ISH,
                  SIM_TLBI_VMALLE1IS, SIM_DSB_ISH, SIM_ISB, END);
    ck_assert_uint_eq(sim_events()[2].operand, sim_events()[5].operand);
    ck_assert_uint_eq(sim_events()[3].operand, sim_events()[6].operand);
    EXPECT_COUNTERS(.flushes = 1, .by_address = 4, .stage1 = 2);
    sim_clear();
    s2_tlb_flush_vmid(&target);
    EXPECT_EVENTS("whole", BEGIN, SIM_TLBI_VMALLS12E1IS, SIM_DSB_ISH, SIM_TLBI_VMALLS12E1IS,
                  SIM_DSB_ISH, SIM_ISB, END);
}

/* --- Local ------------------------------------------------------------------------------------ */

#define BY_ADDRESS_HERE SIM_TLBI_IPAS2E1, SIM_DSB_NSH, SIM_TLBI_VMALLE1, SIM_DSB_NSH, SIM_ISB
#define WHOLE_HERE SIM_TLBI_VMALLS12E1, SIM_DSB_NSH, SIM_ISB

TEST(flush_relaxed_here_stays_on_this_cpu)
{
    struct s2_tlb_batch batch = {0};

    rules.is_local = true;
    rules.has_ranges = true;
    rules.has_xs = true;
    flush_page(S2_TLB_RELAXED);
    EXPECT_EVENTS("by address", BEGIN, BY_ADDRESS_HERE, END);
    ck_assert_uint_eq(sim_events()[2].operand, 0x40000);
    /* There is no local form by range here. */
    sim_clear();
    s2_tlb_batch_add(&batch, ipa_range(0x40000000, 0x40000), 3, S2_TLB_RELAXED);
    s2_tlb_flush(&target, &batch);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_IPAS2E1), 64);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_RIPAS2E1IS), 0);
    sim_clear();
    s2_tlb_batch_add(&batch, ipa_range(0x40000000, 0x41000), 3, S2_TLB_RELAXED);
    s2_tlb_flush(&target, &batch);
    EXPECT_EVENTS("whole", BEGIN, WHOLE_HERE, END);
}

TEST(flush_relaxed_here_under_vhe_host_stays_on_this_cpu)
{
    rules.is_local = true;
    rules.has_vhe = true;
    sim_cpu()->hcr = VM | E2H | TGE;
    flush_page(S2_TLB_RELAXED);
    EXPECT_EVENTS("VHE host", BEGIN, HOST, SIM_ISB, BY_ADDRESS_HERE, HOST, SIM_ISB, END);
}

/* Relaxed for a guest that is not here, or not asked to stay here, or not only relaxed. */
TEST(flush_not_only_relaxed_here_goes_to_all_cpus)
{
    struct s2_tlb_batch batch = {0};

    flush_page(S2_TLB_RELAXED);
    check_sent(0, 1, 1, 0);
    rules.is_local = true;
    flush_page(S2_TLB_REVOKED);
    check_sent(0, 2, 2, 0);
    require_for(&batch, S2_TLB_RELAXED);
    require_for(&batch, S2_TLB_REVOKED);
    s2_tlb_flush(&target, &batch);
    check_sent(0, 3, 3, 0);
    sim_cpu()->vttbr = OTHER;
    flush_page(S2_TLB_RELAXED);
    check_sent(0, 4, 4, 0);
    ck_assert_uint_eq(sim_event_count(SIM_DSB_NSH), 0);
}

TEST(flush_local_on_forgetful_part_sends_each_phase_again)
{
    rules.is_local = true;
    rules.is_repeated = true;
    flush_page(S2_TLB_RELAXED);
    EXPECT_EVENTS("local, twice", BEGIN, SIM_TLBI_IPAS2E1, SIM_DSB_NSH, SIM_TLBI_IPAS2E1,
                  SIM_DSB_NSH, SIM_TLBI_VMALLE1, SIM_DSB_NSH, SIM_TLBI_VMALLE1, SIM_DSB_NSH,
                  SIM_ISB, END);
}

TEST(recover_forgets_the_vmid_on_this_cpu)
{
    s2_tlb_recover_conflict(&target);
    EXPECT_EVENTS("here", SIM_IRQ_MASK, WHOLE_HERE, END);
    sim_clear();
    rules.has_vhe = true;
    sim_cpu()->hcr = VM | E2H | TGE;
    s2_tlb_recover_conflict(&target);
    EXPECT_EVENTS("VHE host", SIM_IRQ_MASK, HOST, SIM_ISB, WHOLE_HERE, HOST, SIM_ISB, END);
    ck_assert_uint_eq(sim_cpu()->hcr, VM | E2H | TGE);
    EXPECT_COUNTERS(.flushes = 2, .whole = 2);
}

TEST(refresh_forgets_the_page_on_this_cpu)
{
    rules.has_ttl = true;
    s2_tlb_refresh(&target, ipa_of(0x40001fff));
    EXPECT_EVENTS("4K", SIM_IRQ_MASK, BY_ADDRESS_HERE, END);
    ck_assert_uint_eq(sim_events()[1].operand, 0x40001); /* of any level */
    EXPECT_COUNTERS(.flushes = 1, .by_address = 1, .stage1 = 1);
    set_geometry(S2_GRANULE_64K);
    sim_cpu()->vtcr = geometry.vtcr;
    sim_clear();
    s2_tlb_refresh(&target, ipa_of(0x4001ffff));
    EXPECT_EVENTS("64K", SIM_IRQ_MASK, BY_ADDRESS_HERE, END);
    ck_assert_uint_eq(sim_events()[1].operand, 0x40010);
}

/* --- VMIDs that are given --------------------------------------------------------------------- */

/* The first that is given is 1. */
static void take_number(void)
{
    use_allocator();
    ck_assert_int_eq(s2_cpu_init(&cpu, &vmids), MAPPING_OK);
    ck_assert_uint_eq(s2_vmid_take(&vmids, &vmid, &cpu), 1);
    sim_clear();
}

TEST(flush_guest_without_a_number_sends_nothing)
{
    use_allocator();
    rules.has_speculative_at = true;
    flush_page(S2_TLB_REVOKED);
    EXPECT_EVENTS("a page", BEGIN, SIM_ISB, END);
    sim_clear();
    s2_tlb_flush_vmid(&target);
    EXPECT_EVENTS("all", BEGIN, SIM_ISB, END);
    EXPECT_COUNTERS(.skipped_flushes = 2);
    ck_assert(!mapping_lock_is_held(&vmids.lock));
    ck_assert_uint_eq(sim_cpu()->daif, 0x80);
}

TEST(flush_guest_elsewhere_goes_to_its_number_under_the_lock)
{
    take_number();
    flush_page(S2_TLB_REVOKED);
    EXPECT_EVENTS("elsewhere", BEGIN, SWITCHED, END);
    ck_assert_uint_eq(seen.vttbr, UINT64_C(1) << 48 | ROOT);
    ck_assert_uint_eq(seen.count, 2);
    ck_assert_uint_eq(seen.locked, 2);
    ck_assert(!mapping_lock_is_held(&vmids.lock));
    ck_assert_uint_eq(sim_cpu()->vttbr, OTHER);
    EXPECT_COUNTERS(.flushes = 1, .by_address = 1, .stage1 = 1);
}

/* The lock is held until nothing of the guest is in VTTBR_EL2 any more. */
static void listen_vttbr(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    size_t *locked = arg;

    if (phase == SIM_AFTER && (event->kind == SIM_WRITE_VTTBR || event->kind == SIM_ISB)) {
        *locked += mapping_lock_is_held(&vmids.lock) ? 1 : 0;
    }
}

TEST(flush_guest_elsewhere_unlocks_after_the_switch_back)
{
    size_t locked = 0;

    take_number();
    ck_assert(sim_listen(listen_vttbr, &locked));
    flush_page(S2_TLB_REVOKED);
    ck_assert_uint_eq(locked, sim_event_count(SIM_WRITE_VTTBR) + sim_event_count(SIM_ISB));
}

TEST(flush_guest_here_goes_to_what_is_loaded)
{
    take_number();
    sim_cpu()->vttbr = UINT64_C(1) << 48 | ROOT;
    flush_page(S2_TLB_REVOKED);
    EXPECT_EVENTS("here", BEGIN, BY_ADDRESS, END);
    ck_assert_uint_eq(seen.locked, 0);
    /* Another shape is another guest's, whatever the root. */
    sim_cpu()->vtcr ^= 1;
    flush_page(S2_TLB_REVOKED);
    ck_assert_uint_eq(seen.locked, 2);
}

TEST_DIES(flush_guest_entered_by_hand_dies)
{
    take_number();
    sim_cpu()->vttbr = ROOT;
    flush_page(S2_TLB_REVOKED);
}

TEST(refresh_of_guest_that_is_nowhere_sends_nothing)
{
    use_allocator();
    s2_tlb_refresh(&target, ipa_of(0x1000));
    s2_tlb_recover_conflict(&target);
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    ck_assert_uint_eq(sim_cpu()->vttbr, OTHER);
    ck_assert_uint_eq(sim_cpu()->daif, 0x80);
    EXPECT_COUNTERS(.flushes = 0);
}

/* --- The notifier ----------------------------------------------------------------------------- */

static struct {
    struct s2_tlb_range calls[S2_TLB_BATCH_RANGES + 1];
    size_t count;
    size_t at; /* how many events were before the last one */
    bool is_locked;
} told;

static void on_invalidated(void *arg, struct ipa_range range, int level)
{
    ck_assert_ptr_eq(arg, &told);
    ck_assert_uint_lt(told.count, COUNT(told.calls));
    told.calls[told.count++] = (struct s2_tlb_range){range, (int8_t)level};
    told.at = sim_event_total();
    told.is_locked = told.is_locked || mapping_lock_is_held(&vmids.lock);
}

static void setup_notifier(void)
{
    setup();
    told.count = 0;
    told.is_locked = false;
    notifier = (struct s2_notifier){on_invalidated, &told};
}

static void check_told(size_t at, uint64_t start, uint64_t size, int level)
{
    ck_assert(ipa_range_eq(told.calls[at].range, ipa_range(start, size)));
    ck_assert_int_eq(told.calls[at].level, level);
}

#undef SETUP
#define SETUP setup_notifier
#undef TEARDOWN
#define TEARDOWN NULL

TEST(notify_each_stretch_once_after_the_first_dsb)
{
    struct s2_tlb_batch batch = {0};

    take_number();
    s2_tlb_batch_add(&batch, ipa_range(0x1000, 0x2000), 3, S2_TLB_REVOKED);
    s2_tlb_batch_add(&batch, ipa_range(0x200000, 0x200000), ANY, S2_TLB_REVOKED);
    s2_tlb_flush(&target, &batch);
    /* The VMID goes as a whole, but the device hears what it was about. */
    check_sent(0, 0, 0, 1);
    ck_assert_uint_eq(told.count, 2);
    check_told(0, 0x1000, 0x2000, 3);
    check_told(1, 0x200000, 0x200000, ANY);
    ck_assert_uint_eq(told.at, 1);
    ck_assert_int_eq(sim_events()[0].kind, SIM_DSB_ISH);
    ck_assert(!told.is_locked);
}

TEST(notify_of_more_than_is_tracked_is_all)
{
    struct s2_tlb_batch batch = overflowed(0x1000);

    s2_tlb_flush(&target, &batch);
    ck_assert_uint_eq(told.count, 1);
    check_told(0, 0, UINT64_C(1) << 40, ANY);
    ck_assert_uint_eq(told.at, 1);
    s2_tlb_flush_vmid(&target);
    ck_assert_uint_eq(told.count, 2);
    check_told(1, 0, UINT64_C(1) << 40, ANY);
}

/* A device may hold what no CPU does. */
TEST(notify_even_where_no_cpu_holds_anything)
{
    use_allocator();
    flush_page(S2_TLB_REVOKED);
    s2_tlb_flush_vmid(&target);
    ck_assert_uint_eq(told.count, 2);
    EXPECT_COUNTERS(.skipped_flushes = 2);
}

TEST(notify_nobody_of_what_only_this_cpu_forgets)
{
    s2_tlb_recover_conflict(&target);
    s2_tlb_refresh(&target, ipa_of(0x1000));
    ck_assert_uint_eq(told.count, 0);
}

/* --- Counters --------------------------------------------------------------------------------- */

#undef SETUP
#define SETUP setup
#undef TEARDOWN
#define TEARDOWN NULL

TEST(counters_say_what_was_sent_and_saved)
{
    struct s2_tlb_batch batch = {0};

    rules.has_ranges = true;
    s2_tlb_batch_add(&batch, ipa_range(0x40000000, 0x3000), 3, S2_TLB_REVOKED);
    s2_tlb_batch_add(&batch, ipa_range(0x80000000, 0x200000), 2, S2_TLB_REVOKED);
    s2_tlb_batch_add(&batch, ipa_range(0xc0000000, 0x200000), ANY, S2_TLB_REVOKED);
    s2_tlb_flush(&target, &batch);
    /* 2 pages by range and 1 by address, 1 block, 1 table by range; naive 3 + 1 + 512. */
    EXPECT_COUNTERS(.flushes = 1, .by_range = 2, .by_address = 2, .stage1 = 1, .saved = 516 - 4,
                    .saved_flushes = 2);
    rules.has_ranges = false;
    flush_stretch(0xc0000000, 0x200000, ANY);
    EXPECT_COUNTERS(.flushes = 2, .by_range = 2, .by_address = 2, .stage1 = 1, .whole = 1,
                    .saved = 512 + 511, .saved_flushes = 2);
}

TEST(counters_of_an_overflowed_batch_count_what_it_held)
{
    struct s2_tlb_batch batch = overflowed(0x2000);

    s2_tlb_flush(&target, &batch);
    EXPECT_COUNTERS(.flushes = 1, .whole = 1, .saved = 2 * S2_TLB_BATCH_RANGES - 1,
                    .saved_flushes = S2_TLB_BATCH_RANGES);
}
