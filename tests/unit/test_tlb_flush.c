/*
 * test_tlb_flush.c - the closing sequence of an operation: its exact events, for this guest and for another,
 * in every form; that no IPA escapes it; who is told; what is counted.
 */
#include "stage2/tlb/tlb_flush.h"
#include "tests/model/random.h"
#include "tests/sim/sim.h"
#include "tests/unit/test.h"

#include <stddef.h>

#define SUITE "tlb_flush"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

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
        seen.locked += lock_is_held(&vmids.lock) ? 1 : 0;
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

enum part { NO_VHE = 0, VHE = 1, SPECULATIVE = 2, VHE_SPECULATIVE = 3 };

/* What is live on this CPU, what the target's part is like, and the events of a flush of one page. */
static const struct regime_case {
    const char *name;
    uint64_t vtcr, vttbr, hcr;
    enum part part;
    bool is_stage1_off;
    enum sim_kind events[32];
} regime_cases[] = {
    {"this guest", VTCR, VTTBR, VM, NO_VHE, false, {BEGIN, BY_ADDRESS, END}},
    {"this guest, VHE", VTCR, VTTBR, VM | E2H, VHE_SPECULATIVE, false, {BEGIN, BY_ADDRESS, END}},
    {"this guest, no VHE, TGE", VTCR, VTTBR, VM | TGE, NO_VHE, false, {BEGIN, BY_ADDRESS, END}},
    {"another guest",
     VTCR,
     OTHER,
     VM,
     NO_VHE,
     false,
     {BEGIN, ENTER, SIM_ISB, BY_ADDRESS, LEAVE, END}},
    {"another VMID of the same root",
     VTCR,
     VTTBR ^ UINT64_C(1) << 48,
     VM,
     NO_VHE,
     false,
     {BEGIN, ENTER, SIM_ISB, BY_ADDRESS, LEAVE, END}},
    {"the same without CnP",
     VTCR,
     VTTBR ^ 1,
     VM,
     NO_VHE,
     false,
     {BEGIN, ENTER, SIM_ISB, BY_ADDRESS, LEAVE, END}},
    {"another shape of tables",
     0x80053590,
     VTTBR,
     VM,
     NO_VHE,
     false,
     {BEGIN, ENTER, SIM_ISB, BY_ADDRESS, LEAVE, END}},
    {"nothing loaded", 0, 0, 0, NO_VHE, false, {BEGIN, ENTER, SIM_ISB, BY_ADDRESS, LEAVE, END}},
    {"another guest, speculative AT",
     VTCR,
     OTHER,
     VM,
     SPECULATIVE,
     false,
     {BEGIN, WALKS, ENTER, SIM_ISB, BY_ADDRESS, LEAVE, WALKS, END}},
    {"another guest, speculative AT, stage 1 off",
     VTCR,
     OTHER,
     VM,
     SPECULATIVE,
     true,
     {BEGIN, WALKS, STAGE1, ENTER, SIM_ISB, BY_ADDRESS, LEAVE, STAGE1, WALKS, END}},
    {"another guest, speculative AT, default cacheable",
     VTCR,
     OTHER,
     VM | DC,
     SPECULATIVE,
     true,
     {BEGIN, WALKS, STAGE1, HOST, SIM_ISB, ENTER, SIM_ISB, BY_ADDRESS, LEAVE, HOST, SIM_ISB, STAGE1,
      WALKS, END}},
    {"another guest, default cacheable",
     VTCR,
     OTHER,
     VM | DC,
     NO_VHE,
     true,
     {BEGIN, ENTER, SIM_ISB, BY_ADDRESS, LEAVE, END}},
    {"another guest, VHE host",
     VTCR,
     OTHER,
     VM | TGE | E2H,
     VHE,
     false,
     {BEGIN, ENTER, HOST, SIM_ISB, BY_ADDRESS, HOST, LEAVE, END}},
    {"this guest, VHE host",
     VTCR,
     VTTBR,
     VM | TGE | E2H,
     VHE,
     false,
     {BEGIN, HOST, SIM_ISB, BY_ADDRESS, HOST, SIM_ISB, END}},
    {"this guest, VHE host, speculative AT",
     VTCR,
     VTTBR,
     VM | TGE | E2H,
     VHE_SPECULATIVE,
     false,
     {BEGIN, WALKS, HOST, SIM_ISB, BY_ADDRESS, HOST, SIM_ISB, WALKS, END}},
    {"another guest, VHE, speculative AT, stage 1 off",
     VTCR,
     OTHER,
     VM | E2H,
     VHE_SPECULATIVE,
     true,
     {BEGIN, WALKS, STAGE1, ENTER, SIM_ISB, BY_ADDRESS, LEAVE, STAGE1, WALKS, END}},
    {"another guest, VHE host, speculative AT, default cacheable",
     VTCR,
     OTHER,
     VM | TGE | E2H | DC,
     VHE_SPECULATIVE,
     true,
     {BEGIN, WALKS, STAGE1, HOST, SIM_ISB, ENTER, HOST, SIM_ISB, BY_ADDRESS, HOST, LEAVE, HOST,
      SIM_ISB, STAGE1, WALKS, END}},
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
    static const enum sim_kind here[] = {BEGIN, SIM_TLBI_VMALLS12E1IS, SIM_DSB_ISH, SIM_ISB, END};
    static const enum sim_kind there[] = {BEGIN,       ENTER,   SIM_ISB, SIM_TLBI_VMALLS12E1IS,
                                          SIM_DSB_ISH, SIM_ISB, LEAVE,   END};

    rules.is_local = true; /* it was not relaxed */
    s2_tlb_flush_vmid(&target);
    check_events("here", here);
    sim_clear();
    sim_cpu()->vttbr = OTHER;
    s2_tlb_flush_vmid(&target);
    check_events("there", there);
    ck_assert_uint_eq(sim_cpu()->vttbr, OTHER);
    ck_assert_uint_eq(counters.whole, 2);
    ck_assert_uint_eq(counters.flushes, 2);
    ck_assert_uint_eq(counters.saved + counters.saved_flushes + counters.by_address, 0);
}

TEST(flush_nothing_does_nothing)
{
    struct s2_tlb_batch batch = {0};

    s2_tlb_flush(&target, &batch);
    ck_assert_uint_eq(sim_event_total(), 0);
    ck_assert_uint_eq(counters.flushes, 0);
}

/* Up to 64 TLBIs go by address; one more, and the VMID goes as a whole. */
TEST(flush_beyond_the_threshold_takes_the_whole_vmid)
{
    static const struct {
        uint64_t sizes[2];
        int levels[2];
        size_t by_address; /* 0: whole */
    } cases[] = {
        {{0x40000, 0}, {3, 3}, 64},          {{0x41000, 0}, {3, 3}, 0},
        {{0x3f000, 0x1000}, {3, ANY}, 64},   {{0x40000, 0x1000}, {3, ANY}, 0},
        {{0x8000000, 0}, {2, 3}, 64},        {{0x8200000, 0}, {2, 3}, 0},
        {{0x200000, 0}, {ANY, 3}, 0}, /* a table of pages */
        {{0x40000000, 0x200000}, {1, 2}, 2},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct s2_tlb_batch batch = {0};

        s2_tlb_batch_add(&batch, ipa_range(0x40000000, cases[i].sizes[0]), cases[i].levels[0],
                         S2_TLB_REVOKED);
        if (cases[i].sizes[1] != 0) {
            s2_tlb_batch_add(&batch, ipa_range(0xc0000000, cases[i].sizes[1]), cases[i].levels[1],
                             S2_TLB_REVOKED);
        }
        sim_clear();
        s2_tlb_flush(&target, &batch);
        ck_assert_uint_eq(sim_event_count(SIM_TLBI_IPAS2E1IS), cases[i].by_address);
        ck_assert_uint_eq(sim_event_count(SIM_TLBI_VMALLE1IS), cases[i].by_address == 0 ? 0 : 1);
        ck_assert_uint_eq(sim_event_count(SIM_TLBI_VMALLS12E1IS), cases[i].by_address == 0 ? 1 : 0);
        ck_assert_uint_eq(sim_tlbi_count(), cases[i].by_address == 0 ? 1 : cases[i].by_address + 1);
        ck_assert(s2_tlb_batch_is_empty(&batch));
    }
}

TEST(flush_overflowed_batch_takes_the_whole_vmid)
{
    struct s2_tlb_batch batch = {0};

    for (uint64_t i = 0; i <= S2_TLB_BATCH_RANGES; i++) {
        s2_tlb_batch_add(&batch, ipa_range(i * 0x2000, 0x1000), 3, S2_TLB_REVOKED);
    }
    s2_tlb_flush(&target, &batch);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_VMALLS12E1IS), 1);
    ck_assert_uint_eq(sim_tlbi_count(), 1);
    ck_assert(s2_tlb_batch_is_empty(&batch));
    /* The next one starts afresh. */
    sim_clear();
    flush_page(S2_TLB_REVOKED);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_IPAS2E1IS), 1);
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
    static const enum sim_kind events[] = {BEGIN,
                                           SIM_TLBI_RIPAS2E1IS,
                                           SIM_TLBI_IPAS2E1IS,
                                           SIM_DSB_ISH,
                                           SIM_TLBI_VMALLE1IS,
                                           SIM_DSB_ISH,
                                           SIM_ISB,
                                           END};

    rules.has_ranges = true;
    flush_stretch(0x40000000, 0x3000, 3);
    check_events("three pages", events);
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
    ck_assert_uint_eq(sim_tlbi_count(), 2);
    ck_assert_uint_eq(sim_events()[sim_find(SIM_TLBI_RIPAS2E1IS, 0)].operand, 0x718000040000);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_VMALLE1IS), 1);
    ck_assert_uint_eq(counters.by_range, 1);
    ck_assert_uint_eq(counters.saved, 0x40000 - 1);
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
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_RIPAS2E1IS), 4);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_IPAS2E1IS), 4);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_VMALLE1IS), 4);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_VMALLS12E1IS), 4);
}

TEST(flush_vmid_takes_no_nxs_form)
{
    rules.has_xs = true;
    s2_tlb_flush_vmid(&target);
    ck_assert_uint_eq(seen.count, 1);
    ck_assert_uint_eq(seen.nxs, 0);
}

/* --- Parts that may miss one ------------------------------------------------------------------- */

TEST(flush_on_forgetful_part_sends_each_phase_again)
{
    static const enum sim_kind parts[] = {BEGIN,
                                          SIM_TLBI_IPAS2E1IS,
                                          SIM_TLBI_IPAS2E1IS,
                                          SIM_DSB_ISH,
                                          SIM_TLBI_IPAS2E1IS,
                                          SIM_TLBI_IPAS2E1IS,
                                          SIM_DSB_ISH,
                                          SIM_TLBI_VMALLE1IS,
                                          SIM_DSB_ISH,
                                          SIM_TLBI_VMALLE1IS,
                                          SIM_DSB_ISH,
                                          SIM_ISB,
                                          END};
    static const enum sim_kind whole[] = {
        BEGIN, SIM_TLBI_VMALLS12E1IS, SIM_DSB_ISH, SIM_TLBI_VMALLS12E1IS, SIM_DSB_ISH, SIM_ISB,
        END};

    rules.is_repeated = true;
    flush_stretch(0x40000000, 0x2000, 3);
    check_events("parts", parts);
    ck_assert_uint_eq(sim_events()[2].operand, sim_events()[5].operand);
    ck_assert_uint_eq(sim_events()[3].operand, sim_events()[6].operand);
    ck_assert_uint_eq(counters.by_address, 4);
    ck_assert_uint_eq(counters.stage1, 2);
    ck_assert_uint_eq(counters.saved, 0);
    sim_clear();
    s2_tlb_flush_vmid(&target);
    check_events("whole", whole);
}

/* --- Local ------------------------------------------------------------------------------------ */

#define BY_ADDRESS_HERE SIM_TLBI_IPAS2E1, SIM_DSB_NSH, SIM_TLBI_VMALLE1, SIM_DSB_NSH, SIM_ISB

TEST(flush_relaxed_here_stays_on_this_cpu)
{
    static const enum sim_kind by_address[] = {BEGIN, BY_ADDRESS_HERE, END};
    static const enum sim_kind whole[] = {BEGIN, SIM_TLBI_VMALLS12E1, SIM_DSB_NSH, SIM_ISB, END};
    struct s2_tlb_batch batch = {0};

    rules.is_local = true;
    rules.has_ranges = true;
    rules.has_xs = true;
    flush_page(S2_TLB_RELAXED);
    check_events("by address", by_address);
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
    check_events("whole", whole);
}

TEST(flush_relaxed_here_under_vhe_host_stays_on_this_cpu)
{
    static const enum sim_kind events[] = {BEGIN, HOST,    SIM_ISB, BY_ADDRESS_HERE,
                                           HOST,  SIM_ISB, END};

    rules.is_local = true;
    rules.has_vhe = true;
    sim_cpu()->hcr = VM | E2H | TGE;
    flush_page(S2_TLB_RELAXED);
    check_events("this guest, VHE host", events);
}

/* Relaxed for a guest that is not here, or not asked to stay here, or not only relaxed. */
TEST(flush_not_only_relaxed_here_goes_to_all_cpus)
{
    struct s2_tlb_batch batch = {0};

    flush_page(S2_TLB_RELAXED);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_IPAS2E1IS), 1);
    rules.is_local = true;
    flush_page(S2_TLB_REVOKED);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_IPAS2E1IS), 2);
    require_for(&batch, S2_TLB_RELAXED);
    require_for(&batch, S2_TLB_REVOKED);
    s2_tlb_flush(&target, &batch);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_IPAS2E1IS), 3);
    sim_cpu()->vttbr = OTHER;
    flush_page(S2_TLB_RELAXED);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_IPAS2E1IS), 4);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_VMALLE1IS), 4);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_IPAS2E1), 0);
    ck_assert_uint_eq(sim_event_count(SIM_DSB_NSH), 0);
}

TEST(flush_local_on_forgetful_part_sends_each_phase_again)
{
    static const enum sim_kind events[] = {
        BEGIN,       SIM_TLBI_IPAS2E1, SIM_DSB_NSH, SIM_TLBI_IPAS2E1, SIM_DSB_NSH, SIM_TLBI_VMALLE1,
        SIM_DSB_NSH, SIM_TLBI_VMALLE1, SIM_DSB_NSH, SIM_ISB,          END};

    rules.is_local = true;
    rules.is_repeated = true;
    flush_page(S2_TLB_RELAXED);
    check_events("local, twice", events);
}

TEST(recover_forgets_the_vmid_on_this_cpu)
{
    static const enum sim_kind here[] = {SIM_IRQ_MASK, SIM_TLBI_VMALLS12E1, SIM_DSB_NSH, SIM_ISB,
                                         END};
    static const enum sim_kind host[] = {
        SIM_IRQ_MASK, HOST, SIM_ISB, SIM_TLBI_VMALLS12E1, SIM_DSB_NSH, SIM_ISB, HOST, SIM_ISB, END};

    s2_tlb_recover_conflict(&target);
    check_events("here", here);
    sim_clear();
    rules.has_vhe = true;
    sim_cpu()->hcr = VM | E2H | TGE;
    s2_tlb_recover_conflict(&target);
    check_events("VHE host", host);
    ck_assert_uint_eq(sim_cpu()->hcr, VM | E2H | TGE);
    ck_assert_uint_eq(counters.whole, 2);
    ck_assert_uint_eq(counters.flushes, 2);
}

TEST(refresh_forgets_the_page_on_this_cpu)
{
    static const enum sim_kind events[] = {SIM_IRQ_MASK, BY_ADDRESS_HERE, END};

    rules.has_ttl = true;
    s2_tlb_refresh(&target, ipa_of(0x40001fff));
    check_events("4K", events);
    ck_assert_uint_eq(sim_events()[1].operand, 0x40001); /* of any level */
    ck_assert_uint_eq(counters.by_address, 1);
    ck_assert_uint_eq(counters.stage1, 1);
    ck_assert_uint_eq(counters.flushes, 1);
    set_geometry(S2_GRANULE_64K);
    sim_cpu()->vtcr = geometry.vtcr;
    sim_clear();
    s2_tlb_refresh(&target, ipa_of(0x4001ffff));
    check_events("64K", events);
    ck_assert_uint_eq(sim_events()[1].operand, 0x40010);
}

/* --- VMIDs that are given --------------------------------------------------------------------- */

static void take_number(uint16_t expected)
{
    target.regime.vmids = &vmids;
    target.regime.vmid = &vmid;
    target.regime.vttbr = ROOT;
    ck_assert_int_eq(s2_cpu_init(&cpu, &vmids), MAPPING_OK);
    ck_assert_uint_eq(s2_vmid_take(&vmids, &vmid, &cpu), expected);
    sim_clear();
}

TEST(flush_guest_without_a_number_sends_nothing)
{
    static const enum sim_kind events[] = {BEGIN, SIM_ISB, END};

    target.regime.vmids = &vmids;
    target.regime.vmid = &vmid;
    target.regime.vttbr = ROOT;
    sim_cpu()->vttbr = OTHER;
    rules.has_speculative_at = true;
    flush_page(S2_TLB_REVOKED);
    check_events("a page", events);
    sim_clear();
    s2_tlb_flush_vmid(&target);
    check_events("all", events);
    ck_assert_uint_eq(counters.skipped_flushes, 2);
    ck_assert_uint_eq(counters.flushes + counters.saved + counters.saved_flushes, 0);
    ck_assert(!lock_is_held(&vmids.lock));
    ck_assert_uint_eq(sim_cpu()->daif, 0x80);
}

TEST(flush_guest_elsewhere_goes_to_its_number_under_the_lock)
{
    static const enum sim_kind events[] = {BEGIN, ENTER, SIM_ISB, BY_ADDRESS, LEAVE, END};

    take_number(1);
    sim_cpu()->vttbr = OTHER;
    flush_page(S2_TLB_REVOKED);
    check_events("elsewhere", events);
    ck_assert_uint_eq(seen.vttbr, UINT64_C(1) << 48 | ROOT);
    ck_assert_uint_eq(seen.count, 2);
    ck_assert_uint_eq(seen.locked, 2);
    ck_assert(!lock_is_held(&vmids.lock));
    ck_assert_uint_eq(sim_cpu()->vttbr, OTHER);
    ck_assert_uint_eq(counters.flushes, 1);
    ck_assert_uint_eq(counters.skipped_flushes, 0);
}

/* The lock is held until nothing of the guest is in VTTBR_EL2 any more. */
static void listen_vttbr(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    size_t *locked = arg;

    if (phase == SIM_AFTER && (event->kind == SIM_WRITE_VTTBR || event->kind == SIM_ISB)) {
        *locked += lock_is_held(&vmids.lock) ? 1 : 0;
    }
}

TEST(flush_guest_elsewhere_unlocks_after_the_switch_back)
{
    size_t locked = 0;

    take_number(1);
    sim_cpu()->vttbr = OTHER;
    ck_assert(sim_listen(listen_vttbr, &locked));
    flush_page(S2_TLB_REVOKED);
    ck_assert_uint_eq(locked, sim_event_count(SIM_WRITE_VTTBR) + sim_event_count(SIM_ISB));
}

TEST(flush_guest_here_goes_to_what_is_loaded)
{
    static const enum sim_kind events[] = {BEGIN, BY_ADDRESS, END};

    take_number(1);
    sim_cpu()->vttbr = UINT64_C(1) << 48 | ROOT;
    flush_page(S2_TLB_REVOKED);
    check_events("here", events);
    ck_assert_uint_eq(seen.locked, 0);
    /* Another shape is another guest's, whatever the root. */
    sim_cpu()->vtcr ^= 1;
    flush_page(S2_TLB_REVOKED);
    ck_assert_uint_eq(seen.locked, 2);
}

TEST_DIES(flush_guest_entered_by_hand_dies)
{
    take_number(1);
    sim_cpu()->vttbr = ROOT;
    flush_page(S2_TLB_REVOKED);
}

TEST(refresh_of_guest_that_is_nowhere_sends_nothing)
{
    target.regime.vmids = &vmids;
    target.regime.vmid = &vmid;
    sim_cpu()->vttbr = OTHER;
    s2_tlb_refresh(&target, ipa_of(0x1000));
    s2_tlb_recover_conflict(&target);
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    ck_assert_uint_eq(sim_cpu()->vttbr, OTHER);
    ck_assert_uint_eq(sim_cpu()->daif, 0x80);
    ck_assert_uint_eq(counters.flushes, 0);
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
    told.is_locked = told.is_locked || lock_is_held(&vmids.lock);
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

    take_number(1);
    sim_cpu()->vttbr = OTHER;
    s2_tlb_batch_add(&batch, ipa_range(0x1000, 0x2000), 3, S2_TLB_REVOKED);
    s2_tlb_batch_add(&batch, ipa_range(0x200000, 0x200000), ANY, S2_TLB_REVOKED);
    s2_tlb_flush(&target, &batch);
    /* The VMID goes as a whole, but the device hears what it was about. */
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_VMALLS12E1IS), 1);
    ck_assert_uint_eq(told.count, 2);
    check_told(0, 0x1000, 0x2000, 3);
    check_told(1, 0x200000, 0x200000, ANY);
    ck_assert_uint_eq(told.at, 1);
    ck_assert_int_eq(sim_events()[0].kind, SIM_DSB_ISH);
    ck_assert(!told.is_locked);
}

TEST(notify_of_more_than_is_tracked_is_all)
{
    struct s2_tlb_batch batch = {0};

    for (uint64_t i = 0; i <= S2_TLB_BATCH_RANGES; i++) {
        s2_tlb_batch_add(&batch, ipa_range(i * 0x2000, 0x1000), 3, S2_TLB_REVOKED);
    }
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
    target.regime.vmids = &vmids;
    target.regime.vmid = &vmid;
    sim_cpu()->vttbr = OTHER;
    flush_page(S2_TLB_REVOKED);
    s2_tlb_flush_vmid(&target);
    ck_assert_uint_eq(told.count, 2);
    ck_assert_uint_eq(counters.skipped_flushes, 2);
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
    ck_assert_uint_eq(counters.flushes, 1);
    ck_assert_uint_eq(counters.by_range, 2);
    ck_assert_uint_eq(counters.by_address, 2);
    ck_assert_uint_eq(counters.stage1, 1);
    ck_assert_uint_eq(counters.whole, 0);
    ck_assert_uint_eq(counters.saved, 516 - 4);
    ck_assert_uint_eq(counters.saved_flushes, 2);
    rules.has_ranges = false;
    flush_stretch(0xc0000000, 0x200000, ANY);
    ck_assert_uint_eq(counters.flushes, 2);
    ck_assert_uint_eq(counters.whole, 1);
    ck_assert_uint_eq(counters.stage1, 1);
    ck_assert_uint_eq(counters.saved, 512 + 511);
    ck_assert_uint_eq(counters.saved_flushes, 2);
    ck_assert_uint_eq(counters.skipped_flushes, 0);
}

TEST(counters_of_an_overflowed_batch_count_what_it_held)
{
    struct s2_tlb_batch batch = {0};

    for (uint64_t i = 0; i <= S2_TLB_BATCH_RANGES; i++) {
        s2_tlb_batch_add(&batch, ipa_range(i * 0x3000, 0x2000), 3, S2_TLB_REVOKED);
    }
    s2_tlb_flush(&target, &batch);
    ck_assert_uint_eq(counters.whole, 1);
    ck_assert_uint_eq(counters.saved, 2 * S2_TLB_BATCH_RANGES - 1);
    ck_assert_uint_eq(counters.saved_flushes, S2_TLB_BATCH_RANGES);
}

/* --- Cover ------------------------------------------------------------------------------------ */

/* log2 of a leaf's bytes by level 0..3, and the hint that names it; 0: there is no such leaf. */
static const struct cover_case {
    enum s2_granule granule;
    unsigned shift[4];
    uint64_t ttl[4];
} cover_cases[] = {
    {S2_GRANULE_4K, {0, 30, 21, 12}, {0, 5, 6, 7}},
    {S2_GRANULE_16K, {0, 0, 25, 14}, {0, 0, 10, 11}},
    {S2_GRANULE_64K, {0, 0, 29, 16}, {0, 0, 14, 15}},
};

/* Whether @event removes the entry at @entry: it names an IPA inside, and no level or its own. */
static bool removes(const struct sim_event *event, uint64_t entry, uint64_t size, uint64_t ttl)
{
    const uint64_t x = event->operand;
    const uint64_t ipa = (x & 0xffffffffff) << 12;
    const uint64_t base = (x & 0x1fffffffff) << geometry.granule_shift;
    const uint64_t bytes = ((x >> 39 & 0x1f) + 1)
                           << (5 * (x >> 44 & 3) + 1) << geometry.granule_shift;

    if (event->kind == SIM_TLBI_IPAS2E1IS) {
        return ipa >= entry && ipa - entry < size && (x >> 44 == 0 || x >> 44 == ttl);
    }
    return event->kind == SIM_TLBI_RIPAS2E1IS && base < entry + size && entry < base + bytes &&
           ((x >> 37 & 3) == 0 || (ttl != 0 && (x >> 37 & 3) == (ttl & 3)));
}

static bool is_hit(uint64_t entry, uint64_t size, uint64_t ttl)
{
    for (size_t i = 0; i < sim_event_total(); i++) {
        if (removes(&sim_events()[i], entry, size, ttl)) {
            return true;
        }
    }
    return false;
}

struct stretch {
    uint64_t start, size;
    uint64_t step; /* bytes of an entry */
    uint64_t ttl;  /* of its level; 0: only an operand without a hint will do */
};

/* A few stretches of a few entries each; every fourth of mixed levels. */
static size_t random_batch(struct random *random, const struct cover_case *c,
                           struct stretch stretch[], struct s2_tlb_batch *batch)
{
    const size_t count = 1 + (size_t)random_below(random, S2_TLB_BATCH_RANGES);

    for (size_t i = 0; i < count; i++) {
        const bool is_mixed = random_once_in(random, 4);
        int level = 3 - (int)random_below(random, 3);
        struct stretch *one = &stretch[i];

        if (c->shift[level] == 0 || is_mixed) {
            level = 3;
        }
        one->step = UINT64_C(1) << c->shift[level];
        one->start = random_below(random, 256) * one->step;
        one->size = (1 + random_below(random, 8)) * one->step;
        one->ttl = is_mixed ? 0 : c->ttl[level];
        s2_tlb_batch_add(batch, ipa_range(one->start, one->size), is_mixed ? ANY : level,
                         S2_TLB_REVOKED);
    }
    return count;
}

TEST_EACH(flush_at_random_hits_every_collected_entry, COUNT(cover_cases))
{
    const struct cover_case *c = &cover_cases[_i];
    struct random random = {.state = 31 + (uint64_t)_i};

    set_geometry(c->granule);
    sim_cpu()->vtcr = geometry.vtcr;
    for (int round = 0; round < 400; round++) {
        struct stretch stretch[S2_TLB_BATCH_RANGES];
        struct s2_tlb_batch batch = {0};
        const size_t count = random_batch(&random, c, stretch, &batch);
        size_t entries = 0;

        rules.has_ttl = round % 2 != 0;
        rules.has_ranges = round % 3 != 0;
        sim_clear();
        s2_tlb_flush(&target, &batch);
        ck_assert_uint_eq(sim_event_count(SIM_TLBI_VMALLS12E1IS), 0);
        for (size_t i = 0; i < count; i++) {
            for (uint64_t at = 0; at < stretch[i].size; at += stretch[i].step) {
                entries++;
                if (!is_hit(stretch[i].start + at, stretch[i].step, stretch[i].ttl)) {
                    ck_abort_msg("entry %llx escapes", (unsigned long long)(stretch[i].start + at));
                }
            }
        }
        /* And nobody else is disturbed. */
        ck_assert_uint_le(
            sim_event_count(SIM_TLBI_IPAS2E1IS) + sim_event_count(SIM_TLBI_RIPAS2E1IS), entries);
    }
}
