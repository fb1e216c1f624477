/*
 * test_stale_tlb.c - the adversarial TLB is judged: programs written by hand, good and bad.
 *
 * A small machine, 4K granule, 39-bit input, two guests whose tables are alike:
 *
 *      root[1]   1 GiB on        -> middle
 *      middle[0] 1 GiB on        -> low
 *      middle[1] 1 GiB + 2 MiB   a block
 *      low[0..3] 1 GiB on        pages
 *      low[16..31]               a contiguous run of 16 pages
 */
#include "stage2/arch/arch.h"
#include "tests/sim/stale_tlb.h"
#include "tests/unit/test.h"

#include <check.h>
#include <string.h>

#define SUITE "stale_tlb"

/* --- The machine ----------------------------------------------------------------------------- */

#define FRAMES UINT64_C(0x80000000)
#define FRAME_COUNT 16
#define KIB(n) (UINT64_C(n) << 10)
#define MIB(n) (UINT64_C(n) << 20)
#define GIB(n) (UINT64_C(n) << 30)
/* RES1, PS 48 bits, inner shareable write-back, SL0 level 1, T0SZ 25. */
#define VTCR UINT64_C(0x80053559)
#define VTCR_HA (UINT64_C(1) << 21)
#define HCR_VM UINT64_C(1)
#define HCR_HOST (UINT64_C(1) << 34 | UINT64_C(1) << 27)
#define VMID UINT64_C(5)
#define OTHER_VMID UINT64_C(6)

#define DATA GIB(64)
#define ELSEWHERE GIB(65)
#define PAGE(pa) ((pa) | 0x7ff) /* read, write, execute, write-back, AF */
#define BLOCK(pa) ((pa) | 0x7fd)
#define READ_ONLY UINT64_C(0x80) /* less this */
#define ACCESSED UINT64_C(0x400)
#define CONTIGUOUS (UINT64_C(1) << 52)
#define SOFTWARE (UINT64_C(1) << 56)
#define TABLE(pa) ((pa) | 3)
#define BROKEN (UINT64_C(1) << 63)

#define PAGE_IPA(i) (GIB(1) + KIB(4) * (i))
#define BLOCK_IPA (GIB(1) + MIB(2))
#define BY_IPA(ipa) ((ipa) >> 12)
#define LEVEL_3 (UINT64_C(7) << 44) /* 4K granule */
#define LEVEL_2 (UINT64_C(6) << 44)
#define LEVEL_3_OF_16K (UINT64_C(11) << 44)

/* Of @count granules, (NUM + 1) << 1 with SCALE 0. */
#define BY_RANGE(ipa, count) ((ipa) >> 12 | ((UINT64_C(count) >> 1) - 1) << 39 | UINT64_C(1) << 46)
#define RANGE_LEVEL_3 (UINT64_C(3) << 37)

enum table { ROOT, MIDDLE, LOW, SPARE, OTHER_ROOT, OTHER_MIDDLE, OTHER_LOW, TABLES };

static struct {
    struct sim_memory memory;
    struct frame_pool pool;
    pa_t pa[TABLES];
    s2_desc_t *at[TABLES];
    struct stale_tlb tlb;
    unsigned guest, other;
} box;

static const struct mmu_cpu cpu = {.pa_bits = 48,
                                   .has_4k = true,
                                   .has_16k = true,
                                   .has_64k = true,
                                   .xnx = true,
                                   .hafdbs = 2,
                                   .bbm = 2};

static uint64_t table_desc(enum table table)
{
    return TABLE(box.pa[table].raw);
}

static void set_tables(enum table root)
{
    box.at[root][1].raw = table_desc(root + 1);
    box.at[root + 1][0].raw = table_desc(root + 2);
    box.at[root + 1][1].raw = BLOCK(DATA + MIB(2));
    for (unsigned i = 0; i < 4; i++) {
        box.at[root + 2][i].raw = PAGE(DATA + KIB(4) * i);
    }
    for (unsigned i = 16; i < 32; i++) {
        box.at[root + 2][i].raw = PAGE(DATA + KIB(4) * i) | CONTIGUOUS;
    }
}

static uint64_t vttbr_of(enum table root, uint64_t vmid)
{
    return box.pa[root].raw | vmid << 48;
}

static void set_cpus(uint64_t vtcr)
{
    for (size_t i = 0; i < SIM_CPUS; i++) {
        sim_cpu_at(i)->vtcr = vtcr;
        sim_cpu_at(i)->vttbr = vttbr_of(ROOT, VMID);
        sim_cpu_at(i)->hcr = HCR_VM;
    }
}

static void open_with(uint64_t vtcr)
{
    sim_reset();
    sim_set_log(SIM_LOG_COUNT);
    sim_memory_init(&box.memory, 12);
    sim_memory_add(&box.memory, pa_of(FRAMES), FRAME_COUNT);
    sim_memory_pool(&box.memory, &box.pool);
    for (unsigned i = 0; i < TABLES; i++) {
        ck_assert_int_eq(frame_pool_alloc(&box.pool, 0, &box.pa[i]), MAPPING_OK);
        box.at[i] = sim_memory_ptr(&box.memory, box.pa[i]);
        memset(box.at[i], 0, KIB(4));
    }
    set_tables(ROOT);
    set_tables(OTHER_ROOT);
    stale_tlb_init(&box.tlb, &box.memory, cpu, &box.pool, STALE_TLB_RECORDS);
    box.guest = stale_tlb_add_guest(&box.tlb, vtcr, vttbr_of(ROOT, VMID), HCR_VM);
    box.other = stale_tlb_add_guest(&box.tlb, VTCR, vttbr_of(OTHER_ROOT, OTHER_VMID), HCR_VM);
    set_cpus(vtcr);
}

static void open_box(void)
{
    open_with(VTCR);
}

static void close_box(void)
{
    stale_tlb_fini(&box.tlb);
    sim_memory_fini(&box.memory);
}

/* --- Programs -------------------------------------------------------------------------------- */

/* One step: an event, or one of the two below. */
#define QUIESCE SIM_KINDS
#define ON_CPU (SIM_KINDS + 1)

struct act {
    int kind; /* enum sim_kind */
    enum table table;
    unsigned index;
    bool links;     /* value is an enum table, linked */
    uint64_t value; /* descriptor, operand, CPU; WRITE_VTTBR: VMID */
};

static void act_write(const struct act *act)
{
    s2_desc_t *slot = &box.at[act->table][act->index];
    const s2_desc_t desc = {act->links ? table_desc((enum table)act->value) : act->value};

    switch (act->kind) {
    case SIM_FILL:
        arch_desc_fill(slot, desc);
        break;
    case SIM_STORE:
        arch_desc_store(slot, desc);
        break;
    case SIM_PUBLISH:
        arch_desc_publish(slot, desc);
        break;
    default:
        (void)arch_desc_swap(slot, desc);
        break;
    }
}

static void act_tlbi(const struct act *act)
{
    switch (act->kind) {
    case SIM_TLBI_IPAS2E1IS:
        arch_tlbi_ipas2e1is(act->value);
        break;
    case SIM_TLBI_RIPAS2E1IS:
        arch_tlbi_ripas2e1is(act->value);
        break;
    case SIM_TLBI_VMALLE1IS:
        arch_tlbi_vmalle1is();
        break;
    case SIM_TLBI_VMALLS12E1IS:
        arch_tlbi_vmalls12e1is();
        break;
    case SIM_TLBI_ALLE1IS:
        arch_tlbi_alle1is();
        break;
    case SIM_TLBI_IPAS2E1:
        arch_tlbi_ipas2e1(act->value);
        break;
    case SIM_TLBI_VMALLE1:
        arch_tlbi_vmalle1();
        break;
    case SIM_TLBI_ALLE1:
        arch_tlbi_alle1();
        break;
    default:
        arch_tlbi_vmalls12e1();
        break;
    }
}

static void act_rest(const struct act *act)
{
    switch (act->kind) {
    case SIM_DSB_ISH:
        arch_dsb_ish();
        break;
    case SIM_DSB_ISHST:
        arch_dsb_ishst();
        break;
    case SIM_DSB_NSH:
        arch_dsb_nsh();
        break;
    case SIM_ISB:
        arch_isb();
        break;
    case SIM_WRITE_VTTBR:
        arch_write_vttbr(vttbr_of(act->value == VMID ? ROOT : OTHER_ROOT, act->value));
        break;
    case SIM_WRITE_HCR:
        arch_write_hcr(act->value);
        break;
    case ON_CPU:
        sim_set_cpu(act->value);
        break;
    default:
        ck_assert_int_eq(act->kind, QUIESCE);
        (void)stale_tlb_quiesce(&box.tlb);
        break;
    }
}

static void perform(const struct act acts[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int kind = acts[i].kind;

        if (kind >= SIM_FILL && kind <= SIM_REPLACE) {
            act_write(&acts[i]);
        } else if (kind >= SIM_TLBI_IPAS2E1IS && kind <= SIM_TLBI_ALLE1) {
            act_tlbi(&acts[i]);
        } else {
            act_rest(&acts[i]);
        }
    }
}

#define STORE(table, index, value)            \
    {                                         \
        SIM_STORE, table, index, false, value \
    }
#define FILL(table, index, value)            \
    {                                        \
        SIM_FILL, table, index, false, value \
    }
#define LINK(table, index, to)              \
    {                                       \
        SIM_PUBLISH, table, index, true, to \
    }
#define DO(kind)                \
    {                           \
        kind, ROOT, 0, false, 0 \
    }
#define WITH(kind, value)           \
    {                               \
        kind, ROOT, 0, false, value \
    }
#define ISH DO(SIM_DSB_ISH)
#define ISHST DO(SIM_DSB_ISHST)
#define NSH DO(SIM_DSB_NSH)
#define ISB DO(SIM_ISB)
#define IPAS2(operand) WITH(SIM_TLBI_IPAS2E1IS, operand)
#define VMALLE1 DO(SIM_TLBI_VMALLE1IS)
#define ALL DO(SIM_TLBI_VMALLS12E1IS)

/* The flush of one page or block, and of the four pages. */
#define flush(operand) ISH, IPAS2(operand), ISH, VMALLE1, ISH, ISB
#define FOUR_PAGES                                                                      \
    IPAS2(BY_IPA(PAGE_IPA(0))), IPAS2(BY_IPA(PAGE_IPA(1))), IPAS2(BY_IPA(PAGE_IPA(2))), \
        IPAS2(BY_IPA(PAGE_IPA(3)))
#define RUN_AWAY WITH(SIM_TLBI_RIPAS2E1IS, BY_RANGE(PAGE_IPA(16), 16))
#define SWITCH(vmid) WITH(SIM_WRITE_VTTBR, vmid)

#define MAPPED_NO_MORE "a TLB may still hold a translation of what is no longer mapped"
#define ANOTHER "a TLB may still hold another translation"
#define ALLOWS "a TLB may still allow what the tables no longer do"
#define WALK_CACHE "a walk cache may still lead to a table that is no longer linked"
#define SECOND "made while a TLB may still hold another translation"
#define SECOND_BELOW "made while a TLB may still hold smaller translations"
#define SECOND_RUN "made while a TLB may still hold another translation of its run"
#define NO_DSB "a write that walkers see is not followed by a DSB"
#define TORN "a contiguous run is one only in part"
#define WRITTEN "a table is written that a stale pointer still leads to"
#define LIVE_FILL "a table that walkers reach is filled as if it were dark"
#define TWICE "a table is linked in two places"

#define ACTS 32

struct program {
    const char *name;
    const char *problem; /* NULL: none */
    struct act acts[ACTS];
};

/* The end of the list is the first act of kind 0 (a load): no program does that. */
static size_t length(const struct program *program)
{
    size_t count = 0;

    while (count < ACTS && program->acts[count].kind != SIM_LOAD) {
        count++;
    }
    return count;
}

static const struct program good[] = {
    {"nothing", NULL, {DO(QUIESCE)}},
    {"map a page", NULL, {STORE(LOW, 4, PAGE(DATA)), ISHST, ISB}},
    {"unmap a page", NULL, {STORE(LOW, 0, 0), flush(BY_IPA(PAGE_IPA(0)))}},
    {"unmap a page, its level hinted",
     NULL,
     {STORE(LOW, 0, 0), flush(BY_IPA(PAGE_IPA(0)) | LEVEL_3)}},
    {"unmap a block, its level hinted",
     NULL,
     {STORE(MIDDLE, 1, 0), flush(BY_IPA(BLOCK_IPA) | LEVEL_2)}},
    {"unmap a block by an address inside it",
     NULL,
     {STORE(MIDDLE, 1, 0), flush(BY_IPA(BLOCK_IPA + KIB(64)))}},
    {"unmap and invalidate the VMID", NULL, {STORE(LOW, 0, 0), ISH, ALL, ISH, ISB}},
    {"unmap and invalidate everything",
     NULL,
     {STORE(LOW, 0, 0), ISH, DO(SIM_TLBI_ALLE1IS), ISH, ISB}},
    {"unmap and invalidate everything, whoever is about to be loaded",
     NULL,
     {STORE(LOW, 0, 0), ISH, SWITCH(OTHER_VMID), DO(SIM_TLBI_ALLE1IS), ISH, ISB}},
    {"the first DSB is for stores alone",
     NULL,
     {STORE(LOW, 0, 0), ISHST, IPAS2(BY_IPA(PAGE_IPA(0))), ISH, VMALLE1, ISH}},
    {"unmap by range",
     NULL,
     {STORE(LOW, 2, 0), STORE(LOW, 3, 0), ISH,
      WITH(SIM_TLBI_RIPAS2E1IS, BY_RANGE(PAGE_IPA(2), 2) | RANGE_LEVEL_3), ISH, VMALLE1, ISH}},
    {"other memory, break before make",
     NULL,
     {STORE(LOW, 0, BROKEN), flush(BY_IPA(PAGE_IPA(0))), STORE(LOW, 0, PAGE(ELSEWHERE)), ISHST}},
    {"tightened, all of the flush",
     NULL,
     {STORE(LOW, 0, PAGE(DATA) & ~READ_ONLY), flush(BY_IPA(PAGE_IPA(0)))}},
    {"tightened and relaxed again",
     NULL,
     {STORE(LOW, 0, PAGE(DATA) & ~READ_ONLY), STORE(LOW, 0, PAGE(DATA)), ISHST}},
    {"software bits change", NULL, {STORE(LOW, 0, PAGE(DATA) | SOFTWARE), ISHST}},
    {"no leaf with AF 0 is cached",
     NULL,
     {STORE(LOW, 4, PAGE(DATA) & ~ACCESSED), ISHST, STORE(LOW, 4, PAGE(ELSEWHERE)), ISHST}},
    {"split a block",
     NULL,
     {FILL(SPARE, 7, PAGE(DATA + MIB(2) + KIB(28))), STORE(MIDDLE, 1, BROKEN),
      flush(BY_IPA(BLOCK_IPA)), LINK(MIDDLE, 1, SPARE), ISHST}},
    {"unlink a table, its granules one by one",
     NULL,
     {STORE(MIDDLE, 0, 0), ISH, FOUR_PAGES, RUN_AWAY, ISH, VMALLE1, ISH, FILL(LOW, 0, 0)}},
    {"fold a table",
     NULL,
     {STORE(MIDDLE, 0, BROKEN), ISH, ALL, ISH, STORE(MIDDLE, 0, BLOCK(DATA)), ISHST}},
    {"another guest's page, its registers loaded",
     NULL,
     {STORE(OTHER_LOW, 0, 0), ISH, SWITCH(OTHER_VMID), ISB, IPAS2(BY_IPA(PAGE_IPA(0))), ISH,
      VMALLE1, ISH, SWITCH(VMID), ISB}},
    {"a CPU of its own finishes what another wrote",
     NULL,
     {STORE(LOW, 0, 0), ISH, WITH(ON_CPU, 3), IPAS2(BY_IPA(PAGE_IPA(0))), ISH, VMALLE1, ISH,
      WITH(ON_CPU, 0)}},
    {"make a run whole, break it whole",
     NULL,
     {STORE(LOW, 16, 0),
      STORE(LOW, 17, 0),
      STORE(LOW, 18, 0),
      STORE(LOW, 19, 0),
      STORE(LOW, 20, 0),
      STORE(LOW, 21, 0),
      STORE(LOW, 22, 0),
      STORE(LOW, 23, 0),
      STORE(LOW, 24, 0),
      STORE(LOW, 25, 0),
      STORE(LOW, 26, 0),
      STORE(LOW, 27, 0),
      STORE(LOW, 28, 0),
      STORE(LOW, 29, 0),
      STORE(LOW, 30, 0),
      STORE(LOW, 31, 0),
      ISH,
      RUN_AWAY,
      ISH,
      VMALLE1,
      ISH}},
};

static const struct program bad[] = {
    {"no TLBI at all", MAPPED_NO_MORE, {STORE(LOW, 0, 0), ISH}},
    {"no stage-1 TLBI", MAPPED_NO_MORE, {STORE(LOW, 0, 0), ISH, IPAS2(BY_IPA(PAGE_IPA(0))), ISH}},
    {"no stage-2 TLBI", MAPPED_NO_MORE, {STORE(LOW, 0, 0), ISH, VMALLE1, ISH}},
    {"no middle DSB",
     MAPPED_NO_MORE,
     {STORE(LOW, 0, 0), ISH, IPAS2(BY_IPA(PAGE_IPA(0))), VMALLE1, ISH}},
    {"stages in the wrong order",
     MAPPED_NO_MORE,
     {STORE(LOW, 0, 0), ISH, VMALLE1, ISH, IPAS2(BY_IPA(PAGE_IPA(0))), ISH}},
    {"no first DSB",
     MAPPED_NO_MORE,
     {STORE(LOW, 0, 0), IPAS2(BY_IPA(PAGE_IPA(0))), ISH, VMALLE1, ISH}},
    {"no last DSB",
     MAPPED_NO_MORE,
     {STORE(LOW, 0, 0), ISH, IPAS2(BY_IPA(PAGE_IPA(0))), ISH, VMALLE1}},
    {"the middle DSB is for stores alone",
     MAPPED_NO_MORE,
     {STORE(LOW, 0, 0), ISH, IPAS2(BY_IPA(PAGE_IPA(0))), ISHST, VMALLE1, ISH}},
    {"the last DSB is for stores alone", MAPPED_NO_MORE, {STORE(LOW, 0, 0), ISH, ALL, ISHST}},
    {"the last DSB is this CPU's alone", MAPPED_NO_MORE, {STORE(LOW, 0, 0), ISH, ALL, NSH}},
    {"the DSB is another CPU's",
     MAPPED_NO_MORE,
     {STORE(LOW, 0, 0), ISH, ALL, WITH(ON_CPU, 1), ISH, WITH(ON_CPU, 0)}},
    {"the first DSB is another CPU's",
     MAPPED_NO_MORE,
     {STORE(LOW, 0, 0), WITH(ON_CPU, 1), ISH, WITH(ON_CPU, 0), ALL, ISH}},
    {"local forms only",
     MAPPED_NO_MORE,
     {STORE(LOW, 0, 0), ISH, WITH(SIM_TLBI_IPAS2E1, BY_IPA(PAGE_IPA(0))), NSH, DO(SIM_TLBI_VMALLE1),
      NSH}},
    {"a local form of both stages",
     MAPPED_NO_MORE,
     {STORE(LOW, 0, 0), ISH, DO(SIM_TLBI_VMALLS12E1), ISH}},
    {"the address is not shifted", MAPPED_NO_MORE, {STORE(LOW, 0, 0), flush(PAGE_IPA(0))}},
    {"the address is of another page",
     MAPPED_NO_MORE,
     {STORE(LOW, 0, 0), flush(BY_IPA(PAGE_IPA(1)))}},
    {"the level hint is of a block",
     MAPPED_NO_MORE,
     {STORE(LOW, 0, 0), flush(BY_IPA(PAGE_IPA(0)) | LEVEL_2)}},
    {"the level hint is of a page",
     MAPPED_NO_MORE,
     {STORE(MIDDLE, 1, 0), flush(BY_IPA(BLOCK_IPA) | LEVEL_3)}},
    {"the hint is for another granule",
     MAPPED_NO_MORE,
     {STORE(LOW, 0, 0), flush(BY_IPA(PAGE_IPA(0)) | LEVEL_3_OF_16K)}},
    {"the range is too short",
     MAPPED_NO_MORE,
     {STORE(LOW, 1, 0), STORE(LOW, 3, 0), ISH, WITH(SIM_TLBI_RIPAS2E1IS, BY_RANGE(PAGE_IPA(0), 2)),
      ISH, VMALLE1, ISH}},
    {"the range names no granule",
     MAPPED_NO_MORE,
     {STORE(LOW, 0, 0), ISH,
      WITH(SIM_TLBI_RIPAS2E1IS, BY_RANGE(PAGE_IPA(0), 2) & ~(UINT64_C(3) << 46)), ISH, VMALLE1,
      ISH}},
    {"the range is for blocks",
     MAPPED_NO_MORE,
     {STORE(LOW, 0, 0), ISH,
      WITH(SIM_TLBI_RIPAS2E1IS, BY_RANGE(PAGE_IPA(0), 2) | UINT64_C(2) << 37), ISH, VMALLE1, ISH}},
    {"another VMID is current", MAPPED_NO_MORE, {STORE(OTHER_LOW, 0, 0), ISH, ALL, ISH}},
    {"no ISB after the switch",
     MAPPED_NO_MORE,
     {STORE(OTHER_LOW, 0, 0), ISH, SWITCH(OTHER_VMID), ALL, ISH, SWITCH(VMID), ISB}},
    {"the VMID is switched back before the second stage",
     MAPPED_NO_MORE,
     {STORE(OTHER_LOW, 0, 0), ISH, SWITCH(OTHER_VMID), ISB, IPAS2(BY_IPA(PAGE_IPA(0))), ISH,
      SWITCH(VMID), ISB, VMALLE1, ISH}},
    {"stage 1 of the host",
     MAPPED_NO_MORE,
     {STORE(LOW, 0, 0), ISH, IPAS2(BY_IPA(PAGE_IPA(0))), ISH,
      WITH(SIM_WRITE_HCR, HCR_VM | HCR_HOST), ISB, VMALLE1, ISH}},
    {"make without break", SECOND, {STORE(LOW, 0, PAGE(ELSEWHERE)), ISH, ALL, ISH}},
    {"another type without break",
     SECOND,
     {STORE(LOW, 0, PAGE(DATA) & ~UINT64_C(0x38)), ISH, ALL, ISH}},
    {"make before the TLBI",
     SECOND,
     {STORE(LOW, 0, 0), ISH, STORE(LOW, 0, PAGE(ELSEWHERE)), ISH, ALL, ISH}},
    {"make before the last DSB",
     SECOND,
     {STORE(LOW, 0, 0), ISH, ALL, STORE(LOW, 0, PAGE(ELSEWHERE)), ISH}},
    {"make before stage 1 is invalidated",
     SECOND,
     {STORE(LOW, 0, 0), ISH, IPAS2(BY_IPA(PAGE_IPA(0))), ISH, STORE(LOW, 0, PAGE(ELSEWHERE)), ISH,
      VMALLE1, ISH}},
    {"a split without break",
     SECOND,
     {FILL(SPARE, 0, PAGE(DATA + MIB(2))), LINK(MIDDLE, 1, SPARE), ISH, ALL, ISH}},
    {"a split whose block is in a TLB",
     SECOND,
     {FILL(SPARE, 0, PAGE(DATA + MIB(2))), STORE(MIDDLE, 1, 0), ISH, LINK(MIDDLE, 1, SPARE), ISH,
      ALL, ISH}},
    {"a fold without break", SECOND, {STORE(MIDDLE, 0, BLOCK(DATA)), ISH, ALL, ISH}},
    {"a fold whose pages are in a TLB",
     SECOND_BELOW,
     {STORE(LOW, 0, 0), ISH, STORE(MIDDLE, 0, BROKEN), ISH, IPAS2(BY_IPA(PAGE_IPA(1))),
      IPAS2(BY_IPA(PAGE_IPA(2))), IPAS2(BY_IPA(PAGE_IPA(3))), RUN_AWAY, ISH, VMALLE1, ISH,
      STORE(MIDDLE, 0, BLOCK(DATA)), ISH}},
    {"another table without break", SECOND, {LINK(MIDDLE, 0, SPARE), ISH, ALL, ISH}},
    {"tightened without a TLBI", ALLOWS, {STORE(LOW, 0, PAGE(DATA) & ~READ_ONLY), ISH}},
    {"tightened with a local flush",
     ALLOWS,
     {STORE(LOW, 0, PAGE(DATA) & ~READ_ONLY), ISH, DO(SIM_TLBI_VMALLS12E1), NSH}},
    {"aged without a TLBI", ALLOWS, {STORE(LOW, 0, PAGE(DATA) & ~ACCESSED), ISH}},
    {"a table unlinked, one granule invalidated",
     MAPPED_NO_MORE,
     {STORE(MIDDLE, 0, 0), ISH, IPAS2(BY_IPA(PAGE_IPA(0))), ISH, VMALLE1, ISH}},
    {"a table unlinked, its leaves hinted",
     WALK_CACHE,
     {STORE(MIDDLE, 0, 0), ISH, IPAS2(BY_IPA(PAGE_IPA(0)) | LEVEL_3),
      IPAS2(BY_IPA(PAGE_IPA(1)) | LEVEL_3), IPAS2(BY_IPA(PAGE_IPA(2)) | LEVEL_3),
      IPAS2(BY_IPA(PAGE_IPA(3)) | LEVEL_3),
      WITH(SIM_TLBI_RIPAS2E1IS, BY_RANGE(PAGE_IPA(16), 16) | RANGE_LEVEL_3), ISH, VMALLE1, ISH}},
    {"the walk cache goes after the leaves, which it refills",
     MAPPED_NO_MORE,
     {STORE(MIDDLE, 0, 0), ISH, IPAS2(BY_IPA(PAGE_IPA(0)) | LEVEL_3),
      IPAS2(BY_IPA(PAGE_IPA(1)) | LEVEL_3), IPAS2(BY_IPA(PAGE_IPA(2)) | LEVEL_3),
      IPAS2(BY_IPA(PAGE_IPA(3)) | LEVEL_3),
      WITH(SIM_TLBI_RIPAS2E1IS, BY_RANGE(PAGE_IPA(16), 16) | RANGE_LEVEL_3), ISH,
      IPAS2(BY_IPA(PAGE_IPA(100))), ISH, VMALLE1, ISH}},
    {"an upper table unlinked, 2 MiB of it invalidated",
     MAPPED_NO_MORE,
     {STORE(ROOT, 1, 0), ISH, FOUR_PAGES, RUN_AWAY, ISH, VMALLE1, ISH}},
    {"a table's link word before the TLBI",
     WRITTEN,
     {STORE(MIDDLE, 0, 0), ISH, FILL(LOW, 0, 1), ALL, ISH}},
    {"a table's frame reused before the last DSB",
     WRITTEN,
     {STORE(MIDDLE, 0, 0), ISH, ALL, FILL(LOW, 0, 0), ISH}},
    {"a live table filled", LIVE_FILL, {FILL(LOW, 5, PAGE(DATA)), ISH}},
    {"a table filled after it was linked",
     LIVE_FILL,
     {LINK(MIDDLE, 2, SPARE), FILL(SPARE, 0, PAGE(DATA)), ISH}},
    {"a table linked twice", TWICE, {LINK(MIDDLE, 2, LOW), ISH}},
    {"a page of a run broken alone", TORN, {STORE(LOW, 20, 0), flush(BY_IPA(PAGE_IPA(20)))}},
    {"a page of a run made alone",
     SECOND_RUN,
     {STORE(LOW, 20, 0), flush(BY_IPA(PAGE_IPA(20))), STORE(LOW, 21, 0), ISH,
      STORE(LOW, 20, PAGE(ELSEWHERE)), ISH, ALL, ISH}},
    {"everything is invalidated on one CPU",
     MAPPED_NO_MORE,
     {STORE(LOW, 0, 0), ISH, DO(SIM_TLBI_ALLE1), ISH}},
    {"mapped without a DSB", NO_DSB, {STORE(LOW, 4, PAGE(DATA)), ISB}},
    {"mapped with a DSB for this CPU alone", NO_DSB, {STORE(LOW, 4, PAGE(DATA)), NSH, ISB}},
};

static const char *verdict_of(const struct program *program)
{
    perform(program->acts, length(program));
    return stale_tlb_quiesce(&box.tlb);
}

TEST_EACH(judge_good_program_finds_nothing, COUNT(good))
{
    const struct program *program = &good[_i];

    open_box();
    ck_assert_msg(verdict_of(program) == NULL, "good_ %s: %s", program->name,
                  stale_tlb_story(&box.tlb));
    close_box();
}

TEST_EACH(judge_bad_program_names_what_is_wrong, COUNT(bad))
{
    const struct program *program = &bad[_i];
    const char *problem;

    open_box();
    problem = verdict_of(program);
    ck_assert_msg(problem != NULL, "bad_ %s: nothing was found", program->name);
    ck_assert_msg(strcmp(problem, program->problem) == 0, "bad_ %s: %s", program->name,
                  stale_tlb_story(&box.tlb));
    close_box();
}

/* Every bad program is told with a story that names the VMID where an entry is to blame. */
TEST(judge_bad_program_tells_its_story)
{
    const struct act missing[] = {STORE(LOW, 0, 0), ISH, IPAS2(BY_IPA(PAGE_IPA(0))), VMALLE1, ISH};
    const char *story = stale_tlb_story(&box.tlb);

    open_box();
    perform(missing, COUNT(missing));
    ck_assert_ptr_nonnull(stale_tlb_quiesce(&box.tlb));
    ck_assert_ptr_nonnull(strstr(story, "VMID 5, level 3, IPA 0x40000000"));
    ck_assert_ptr_nonnull(strstr(story, "refills the combined one"));
    close_box();
}

/* --- What programs cannot say ---------------------------------------------------------------- */

/* Where hardware sets AF, a leaf with AF = 0 in an unlinked table may be accessed through it. */
TEST(unlink_with_hardware_af_caches_leaves_not_yet_accessed)
{
    const struct act unlink[] = {STORE(MIDDLE, 0, 0), ISH, FOUR_PAGES, RUN_AWAY, ISH, VMALLE1, ISH};

    open_with(VTCR | VTCR_HA);
    perform((struct act[]){STORE(LOW, 100, PAGE(DATA) & ~ACCESSED), ISHST}, 2);
    ck_assert_ptr_null(stale_tlb_quiesce(&box.tlb));
    perform(unlink, COUNT(unlink));
    ck_assert_str_eq(stale_tlb_quiesce(&box.tlb), MAPPED_NO_MORE);
    close_box();
}

TEST(give_back_table_before_its_flush_is_found)
{
    open_box();
    perform((struct act[]){STORE(MIDDLE, 0, 0), ISH}, 2);
    ck_assert_int_eq(frame_pool_free(&box.pool, box.pa[LOW], 0), MAPPING_OK);
    perform((struct act[]){ALL, ISH}, 2);
    ck_assert_str_eq(stale_tlb_quiesce(&box.tlb),
                     "a table is given back while a stale pointer leads to it");
    close_box();
}

TEST(give_back_table_after_its_flush_is_fine)
{
    open_box();
    perform((struct act[]){STORE(MIDDLE, 0, 0), ISH, ALL, ISH}, 4);
    ck_assert_int_eq(frame_pool_free(&box.pool, box.pa[LOW], 0), MAPPING_OK);
    ck_assert_ptr_null(stale_tlb_quiesce(&box.tlb));
    close_box();
}

/* A guest's page out of the pool: given back, and made a table, while it may still be accessed. */
TEST_EACH(reuse_data_frame_before_its_flush_is_found, 2)
{
    const uint64_t page = PAGE(box.pa[SPARE].raw);

    open_box();
    perform((struct act[]){STORE(LOW, 4, PAGE(FRAMES + KIB(4) * SPARE)), ISH}, 2);
    ck_assert_uint_eq(box.at[LOW][4].raw | page, box.at[LOW][4].raw);
    ck_assert_ptr_null(stale_tlb_quiesce(&box.tlb));
    perform((struct act[]){STORE(LOW, 4, 0), ISH}, 2);
    ck_assert(stale_tlb_leads_to(&box.tlb, FRAMES + KIB(4) * SPARE + 8, 8));
    if (_i == 0) {
        perform((struct act[]){FILL(SPARE, 0, 0)}, 1);
        ck_assert_str_eq(stale_tlb_quiesce(&box.tlb),
                         "a table is written where a stale leaf still leads");
    } else {
        ck_assert_int_eq(frame_pool_free(&box.pool, box.pa[SPARE], 0), MAPPING_OK);
        perform((struct act[]){ALL, ISH}, 2);
        ck_assert_str_eq(stale_tlb_quiesce(&box.tlb),
                         "a frame is given back while a stale leaf leads to it");
    }
    close_box();
}

/* Relaxed with a local flush: other CPUs keep the stricter copy, and may. Once the page goes, so
 * must that copy. */
TEST(relax_with_local_flush_leaves_stricter_copies_that_later_go)
{
    open_box();
    perform((struct act[]){STORE(LOW, 0, PAGE(DATA) & ~READ_ONLY), flush(BY_IPA(PAGE_IPA(0)))}, 7);
    perform((struct act[]){STORE(LOW, 0, PAGE(DATA)), ISH,
                           WITH(SIM_TLBI_IPAS2E1, BY_IPA(PAGE_IPA(0))), NSH, DO(SIM_TLBI_VMALLE1),
                           NSH},
            6);
    ck_assert_ptr_null(stale_tlb_quiesce(&box.tlb));
    ck_assert_uint_eq(stale_tlb_held(&box.tlb), 1);
    perform((struct act[]){STORE(LOW, 0, 0), flush(BY_IPA(PAGE_IPA(0)))}, 7);
    ck_assert_ptr_null(stale_tlb_quiesce(&box.tlb));
    ck_assert_uint_eq(stale_tlb_held(&box.tlb), 0);
    close_box();
}

TEST_EACH(stop_guest_leaves_all_it_reached_in_the_tlbs, 2)
{
    open_box();
    stale_tlb_stop_guest(&box.tlb, box.guest);
    /* Two pointers, a block, four pages and a run of sixteen. */
    ck_assert_uint_eq(stale_tlb_held(&box.tlb), 2 + 1 + 4 + 16);
    if (_i == 0) {
        perform((struct act[]){ISH, ALL, ISH}, 3);
        ck_assert_uint_eq(stale_tlb_held(&box.tlb), 0);
        (void)stale_tlb_add_guest(&box.tlb, VTCR, vttbr_of(ROOT, VMID), HCR_VM);
        ck_assert_ptr_null(stale_tlb_quiesce(&box.tlb));
    } else {
        (void)stale_tlb_add_guest(&box.tlb, VTCR, vttbr_of(ROOT, VMID), HCR_VM);
        ck_assert_str_eq(stale_tlb_quiesce(&box.tlb),
                         "a VMID is given to a guest while TLBs hold another's");
    }
    close_box();
}
