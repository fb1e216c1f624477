/*
 * test_tlb_flush.c - the tail that an operation pays: its exact events, for this guest and for
 * another, and that no owed IPA escapes it.
 */
#include "stage2/tlbi.h"
#include "tests/model/random.h"
#include "tests/sim/sim.h"
#include "tests/unit/suites.h"

#include <stddef.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define VTCR UINT64_C(0x80023558)          /* 4K, 40 bits */
#define VTTBR UINT64_C(0x0007000040002000) /* of VMID 7 */
#define OTHER UINT64_C(0x0009000050000000)
#define VM UINT64_C(0x1)
#define TGE UINT64_C(0x8000000)
#define E2H UINT64_C(0x400000000)
#define EPD UINT64_C(0x800080) /* TCR_EL1.EPD1, EPD0 */

static const struct s2_features PART = {.pa_bits = 40,
                                        .granule_4k = S2_GRANULE_48_BITS,
                                        .granule_16k = S2_GRANULE_48_BITS,
                                        .granule_64k = S2_GRANULE_48_BITS,
                                        .vmid_bits = 8,
                                        .dcache_line = 64};
static struct s2_geometry geometry;
static struct s2_tlb_target target;

/* What held at every TLBI of the tail: listened to, as TCR_EL1 and DAIF are in no event. */
static struct {
    size_t count;
    uint64_t tcr_or, tcr_and;
    uint64_t daif_and;
} seen;

static void listen_tlbi(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    (void)arg;
    if (phase == SIM_BEFORE && event->kind >= SIM_TLBI_IPAS2E1IS &&
        event->kind <= SIM_TLBI_VMALLS12E1) {
        seen.count++;
        seen.tcr_or |= sim_cpu()->tcr_el1;
        seen.tcr_and &= sim_cpu()->tcr_el1;
        seen.daif_and &= sim_cpu()->daif;
        ck_assert_uint_eq(event->vttbr, target.vttbr);
        ck_assert_uint_eq(event->vtcr, target.geometry->vtcr);
        ck_assert(!target.has_vhe || (event->hcr & TGE) == 0);
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
    target = (struct s2_tlb_target){.geometry = &geometry, .vttbr = VTTBR};
    *sim_cpu() = (struct sim_cpu){
        .vtcr = VTCR, .vttbr = VTTBR, .hcr = VM, .tcr_el1 = 0x1234500003, .daif = 0x80};
    seen.count = 0;
    seen.tcr_or = 0;
    seen.tcr_and = UINT64_MAX;
    seen.daif_and = UINT64_MAX;
    ck_assert(sim_listen(listen_tlbi, NULL));
}

/* --- Events ----------------------------------------------------------------------------------- */

#define BY_ADDRESS SIM_TLBI_IPAS2E1IS, SIM_DSB_ISH, SIM_TLBI_VMALLE1IS, SIM_DSB_ISH, SIM_ISB
#define ENTER SIM_WRITE_VTCR, SIM_WRITE_VTTBR
#define LEAVE SIM_WRITE_VTTBR, SIM_WRITE_VTCR, SIM_ISB

/* What is live on this CPU, what the target's part is like, and the events of a tail of one page.
 * The list ends with IRQ_RESTORE. */
static const struct flush_case {
    const char *name;
    uint64_t vtcr, vttbr, hcr;
    bool has_vhe, has_speculative_at;
    enum sim_kind events[24];
} flush_cases[] = {
    {"this guest",
     VTCR,
     VTTBR,
     VM,
     false,
     false,
     {SIM_DSB_ISH, SIM_IRQ_MASK, BY_ADDRESS, SIM_IRQ_RESTORE}},
    {"this guest, VHE",
     VTCR,
     VTTBR,
     VM | E2H,
     true,
     true,
     {SIM_DSB_ISH, SIM_IRQ_MASK, BY_ADDRESS, SIM_IRQ_RESTORE}},
    {"another guest",
     VTCR,
     OTHER,
     VM,
     false,
     false,
     {SIM_DSB_ISH, SIM_IRQ_MASK, ENTER, SIM_ISB, BY_ADDRESS, LEAVE, SIM_IRQ_RESTORE}},
    {"another VMID of the same root",
     VTCR,
     VTTBR ^ UINT64_C(1) << 48,
     VM,
     false,
     false,
     {SIM_DSB_ISH, SIM_IRQ_MASK, ENTER, SIM_ISB, BY_ADDRESS, LEAVE, SIM_IRQ_RESTORE}},
    {"another shape of tables",
     0x80053590,
     VTTBR,
     VM,
     false,
     false,
     {SIM_DSB_ISH, SIM_IRQ_MASK, ENTER, SIM_ISB, BY_ADDRESS, LEAVE, SIM_IRQ_RESTORE}},
    {"nothing loaded",
     0,
     0,
     0,
     false,
     false,
     {SIM_DSB_ISH, SIM_IRQ_MASK, ENTER, SIM_ISB, BY_ADDRESS, LEAVE, SIM_IRQ_RESTORE}},
    {"another guest, speculative AT",
     VTCR,
     OTHER,
     VM,
     false,
     true,
     {SIM_DSB_ISH, SIM_IRQ_MASK, SIM_WRITE_TCR_EL1, SIM_ISB, SIM_WRITE_SCTLR_EL1, SIM_ISB, ENTER,
      SIM_ISB, BY_ADDRESS, LEAVE, SIM_WRITE_SCTLR_EL1, SIM_ISB, SIM_WRITE_TCR_EL1, SIM_ISB,
      SIM_IRQ_RESTORE}},
    {"another guest, VHE host",
     VTCR,
     OTHER,
     VM | TGE | E2H,
     true,
     false,
     {SIM_DSB_ISH, SIM_IRQ_MASK, ENTER, SIM_WRITE_HCR, SIM_ISB, BY_ADDRESS, SIM_WRITE_HCR, LEAVE,
      SIM_IRQ_RESTORE}},
    {"this guest, VHE host",
     VTCR,
     VTTBR,
     VM | TGE | E2H,
     true,
     false,
     {SIM_DSB_ISH, SIM_IRQ_MASK, ENTER, SIM_WRITE_HCR, SIM_ISB, BY_ADDRESS, SIM_WRITE_HCR, LEAVE,
      SIM_IRQ_RESTORE}},
    {"another guest, VHE host, speculative AT",
     VTCR,
     OTHER,
     VM | TGE | E2H,
     true,
     true,
     {SIM_DSB_ISH, SIM_IRQ_MASK, SIM_WRITE_TCR_EL1, SIM_ISB, SIM_WRITE_SCTLR_EL1, SIM_ISB, ENTER,
      SIM_WRITE_HCR, SIM_ISB, BY_ADDRESS, SIM_WRITE_HCR, LEAVE, SIM_WRITE_SCTLR_EL1, SIM_ISB,
      SIM_WRITE_TCR_EL1, SIM_ISB, SIM_IRQ_RESTORE}},
};

static size_t event_count(const struct flush_case *c)
{
    size_t count = 0;

    while (c->events[count] != SIM_IRQ_RESTORE) {
        count++;
    }
    return count + 1;
}

static void load_case(const struct flush_case *c)
{
    sim_cpu()->vtcr = c->vtcr;
    sim_cpu()->vttbr = c->vttbr;
    sim_cpu()->hcr = c->hcr;
    target.has_vhe = c->has_vhe;
    target.has_speculative_at = c->has_speculative_at;
}

static void check_same_cpu(const struct sim_cpu *a, const struct sim_cpu *b)
{
    ck_assert_uint_eq(a->vtcr, b->vtcr);
    ck_assert_uint_eq(a->vttbr, b->vttbr);
    ck_assert_uint_eq(a->hcr, b->hcr);
    ck_assert_uint_eq(a->tcr_el1, b->tcr_el1);
    ck_assert_uint_eq(a->daif, b->daif);
}

START_TEST(flush_one_page_is_exactly_the_recipe)
{
    const struct flush_case *c = &flush_cases[_i];
    const size_t count = event_count(c);
    struct s2_tlb_batch batch = {0};
    struct sim_cpu before;

    load_case(c);
    before = *sim_cpu();
    s2_tlb_batch_add(&batch, ipa_range(0x40000000, 0x1000), 3);
    s2_tlb_flush(&target, &batch);
    if (sim_event_total() != count || !sim_matches(0, c->events, count)) {
        sim_dump(stderr);
        ck_abort_msg("%s: not these events", c->name);
    }
    ck_assert_uint_eq(sim_events()[sim_find(SIM_TLBI_IPAS2E1IS, 0)].operand, 0x40000);
    check_same_cpu(sim_cpu(), &before);
    ck_assert(s2_tlb_batch_is_empty(&batch));
    /* While it ran: interrupts off, and walks of stage 1 stopped where the part needs it. */
    ck_assert_uint_eq(seen.count, 2);
    ck_assert_uint_eq(seen.daif_and, SIM_DAIF_ALL);
    ck_assert_uint_eq(seen.tcr_or, sim_find(SIM_WRITE_TCR_EL1, 0) == SIM_NONE
                                       ? before.tcr_el1
                                       : before.tcr_el1 | EPD);
    ck_assert_uint_eq(seen.tcr_and, seen.tcr_or);
}
END_TEST

START_TEST(flush_of_whole_vmid_is_one_tlbi)
{
    static const enum sim_kind here[] = {SIM_DSB_ISH, SIM_IRQ_MASK, SIM_TLBI_VMALLS12E1IS,
                                         SIM_DSB_ISH, SIM_ISB,      SIM_IRQ_RESTORE};
    static const enum sim_kind there[] = {SIM_DSB_ISH,           SIM_IRQ_MASK, ENTER,   SIM_ISB,
                                          SIM_TLBI_VMALLS12E1IS, SIM_DSB_ISH,  SIM_ISB, LEAVE,
                                          SIM_IRQ_RESTORE};

    s2_tlb_flush_vmid(&target);
    ck_assert_uint_eq(sim_event_total(), COUNT(here));
    ck_assert(sim_matches(0, here, COUNT(here)));
    sim_clear();
    sim_cpu()->vttbr = OTHER;
    s2_tlb_flush_vmid(&target);
    ck_assert_uint_eq(sim_event_total(), COUNT(there));
    ck_assert(sim_matches(0, there, COUNT(there)));
    ck_assert_uint_eq(sim_cpu()->vttbr, OTHER);
}
END_TEST

START_TEST(flush_of_nothing_does_nothing)
{
    struct s2_tlb_batch batch = {0};

    s2_tlb_flush(&target, &batch);
    ck_assert_uint_eq(sim_event_total(), 0);
}
END_TEST

/* Up to 64 TLBIs go by address; one more, and the VMID goes as a whole. */
START_TEST(flush_beyond_the_threshold_takes_the_whole_vmid)
{
    static const struct {
        uint64_t sizes[2];
        int levels[2];
        size_t by_address; /* 0: whole */
    } cases[] = {
        {{0x40000, 0}, {3, 3}, 64},
        {{0x41000, 0}, {3, 3}, 0},
        {{0x3f000, 0x1000}, {3, S2_TLB_LEVEL_ANY}, 64},
        {{0x40000, 0x1000}, {3, S2_TLB_LEVEL_ANY}, 0},
        {{0x8000000, 0}, {2, 3}, 64},
        {{0x8200000, 0}, {2, 3}, 0},
        {{0x200000, 0}, {S2_TLB_LEVEL_ANY, 3}, 0}, /* a table of pages */
        {{0x40000000, 0x200000}, {1, 2}, 2},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct s2_tlb_batch batch = {0};

        s2_tlb_batch_add(&batch, ipa_range(0x40000000, cases[i].sizes[0]), cases[i].levels[0]);
        if (cases[i].sizes[1] != 0) {
            s2_tlb_batch_add(&batch, ipa_range(0xc0000000, cases[i].sizes[1]), cases[i].levels[1]);
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
END_TEST

START_TEST(flush_of_overflowed_batch_takes_the_whole_vmid)
{
    struct s2_tlb_batch batch = {0};

    for (uint64_t i = 0; i <= S2_TLB_BATCH_RANGES; i++) {
        s2_tlb_batch_add(&batch, ipa_range(i * 0x2000, 0x1000), 3);
    }
    s2_tlb_flush(&target, &batch);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_VMALLS12E1IS), 1);
    ck_assert_uint_eq(sim_tlbi_count(), 1);
    ck_assert(s2_tlb_batch_is_empty(&batch));
    /* The next one starts afresh. */
    s2_tlb_batch_add(&batch, ipa_range(0x1000, 0x1000), 3);
    sim_clear();
    s2_tlb_flush(&target, &batch);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_IPAS2E1IS), 1);
}
END_TEST

START_TEST(flush_by_address_gives_literal_operands)
{
    static const uint64_t plain[] = {0x40000, 0x40200, 0x80000, 0x80001, 0x100000};
    static const uint64_t hinted[] = {0x600000040000, 0x600000040200, 0x80000, 0x80001,
                                      0x500000100000};

    for (unsigned ttl = 0; ttl < 2; ttl++) {
        struct s2_tlb_batch batch = {0};
        size_t at = 0;

        target.has_ttl = ttl != 0;
        s2_tlb_batch_add(&batch, ipa_range(0x40000000, 0x400000), 2);
        s2_tlb_batch_add(&batch, ipa_range(0x80000000, 0x2000), S2_TLB_LEVEL_ANY);
        s2_tlb_batch_add(&batch, ipa_range(0x100000000, 0x40000000), 1);
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
END_TEST

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

/* Whether some operand of the tail removes the entry at @entry: it names an IPA inside, and no
 * level or the entry's own. */
static bool is_hit(uint64_t entry, uint64_t size, uint64_t ttl)
{
    for (size_t i = 0; i < sim_event_total(); i++) {
        const uint64_t operand = sim_events()[i].operand;
        const uint64_t ipa = (operand & 0xffffffffff) << 12;
        const uint64_t hint = operand >> 44;

        if (sim_events()[i].kind == SIM_TLBI_IPAS2E1IS && ipa >= entry && ipa - entry < size &&
            (hint == 0 || hint == ttl)) {
            return true;
        }
    }
    return false;
}

struct owed {
    uint64_t start, size;
    uint64_t step; /* bytes of an entry */
    uint64_t ttl;  /* of its level; 0: only an operand without a hint will do */
};

/* A few stretches of a few entries each; every fourth of mixed levels. */
static size_t random_batch(struct random *random, const struct cover_case *c, struct owed owed[],
                           struct s2_tlb_batch *batch)
{
    const size_t count = 1 + (size_t)random_below(random, S2_TLB_BATCH_RANGES);

    for (size_t i = 0; i < count; i++) {
        const bool is_mixed = random_once_in(random, 4);
        int level = 3 - (int)random_below(random, 3);
        struct owed *one = &owed[i];

        if (c->shift[level] == 0 || is_mixed) {
            level = 3;
        }
        one->step = UINT64_C(1) << c->shift[level];
        one->start = random_below(random, 256) * one->step;
        one->size = (1 + random_below(random, 8)) * one->step;
        one->ttl = is_mixed ? 0 : c->ttl[level];
        s2_tlb_batch_add(batch, ipa_range(one->start, one->size),
                         is_mixed ? S2_TLB_LEVEL_ANY : level);
    }
    return count;
}

START_TEST(flush_by_address_hits_every_owed_entry)
{
    const struct cover_case *c = &cover_cases[_i];
    struct random random = {.state = 31 + (uint64_t)_i};

    set_geometry(c->granule);
    sim_cpu()->vtcr = geometry.vtcr;
    for (int round = 0; round < 400; round++) {
        struct owed owed[S2_TLB_BATCH_RANGES];
        struct s2_tlb_batch batch = {0};
        const size_t count = random_batch(&random, c, owed, &batch);
        size_t entries = 0;

        target.has_ttl = round % 2 != 0;
        sim_clear();
        s2_tlb_flush(&target, &batch);
        ck_assert_uint_eq(sim_event_count(SIM_TLBI_VMALLS12E1IS), 0);
        for (size_t i = 0; i < count; i++) {
            for (uint64_t at = 0; at < owed[i].size; at += owed[i].step) {
                entries++;
                if (!is_hit(owed[i].start + at, owed[i].step, owed[i].ttl)) {
                    ck_abort_msg("entry %llx escapes", (unsigned long long)(owed[i].start + at));
                }
            }
        }
        /* And nobody else is disturbed. */
        ck_assert_uint_eq(sim_event_count(SIM_TLBI_IPAS2E1IS), entries);
    }
}
END_TEST

Suite *suite_tlb_flush(void)
{
    Suite *suite = suite_create("tlb_flush");
    TCase *tcase = tcase_create("flush");

    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_loop_test(tcase, flush_one_page_is_exactly_the_recipe, 0, (int)COUNT(flush_cases));
    tcase_add_test(tcase, flush_of_whole_vmid_is_one_tlbi);
    tcase_add_test(tcase, flush_of_nothing_does_nothing);
    tcase_add_test(tcase, flush_beyond_the_threshold_takes_the_whole_vmid);
    tcase_add_test(tcase, flush_of_overflowed_batch_takes_the_whole_vmid);
    tcase_add_test(tcase, flush_by_address_gives_literal_operands);
    tcase_add_loop_test(tcase, flush_by_address_hits_every_owed_entry, 0, (int)COUNT(cover_cases));
    suite_add_tcase(suite, tcase);
    return suite;
}
