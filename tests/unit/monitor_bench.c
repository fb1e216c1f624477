#include "tests/unit/monitor_bench.h"

#include "tests/sim/stale_tlb.h"

#include <check.h>
#include <string.h>

#define ROOT_OTHER 4

/* --- Primitives ------------------------------------------------------------------------------ */

void bench_fill(s2_desc_t *slot, uint64_t value)
{
    arch_desc_fill(slot, (s2_desc_t){value});
}

void bench_store(s2_desc_t *slot, uint64_t value)
{
    arch_desc_store(slot, (s2_desc_t){value});
}

void bench_publish(s2_desc_t *slot, uint64_t value)
{
    arch_desc_publish(slot, (s2_desc_t){value});
}

void bench_swap(s2_desc_t *slot, uint64_t value)
{
    (void)arch_desc_swap(slot, (s2_desc_t){value});
}

void bench_end(void)
{
    arch_dsb_ishst();
    arch_isb();
}

void bench_flush(uint64_t operand)
{
    arch_dsb_ish();
    arch_tlbi_ipas2e1is(operand);
    arch_dsb_ish();
    arch_tlbi_vmalle1is();
    arch_dsb_ish();
    arch_isb();
}

void bench_flush_range(uint64_t operand)
{
    arch_dsb_ish();
    arch_tlbi_ripas2e1is(operand);
    arch_dsb_ish();
    arch_tlbi_vmalle1is();
    arch_dsb_ish();
    arch_isb();
}

void bench_flush_whole(void)
{
    arch_dsb_ish();
    arch_tlbi_vmalls12e1is();
    arch_dsb_ish();
    arch_isb();
}

uint64_t bench_operand(uint64_t ipa, unsigned hint)
{
    return ipa / 4096 | (uint64_t)hint << 44;
}

uint64_t bench_range_operand(uint64_t ipa, unsigned scale, unsigned num, unsigned level)
{
    return ipa / 4096 | (uint64_t)level << 37 | (uint64_t)num << 39 | (uint64_t)scale << 44 |
           UINT64_C(1) << 46;
}

void bench_switch(const struct monitor_guest *guest)
{
    arch_write_vtcr(guest->vtcr);
    arch_write_vttbr(guest->vttbr);
    arch_isb();
}

/* --- The machine ----------------------------------------------------------------------------- */

pa_t bench_frame(size_t frame)
{
    return pa_add(pa_of(BENCH_PA), (uint64_t)frame * 4096);
}

uint64_t bench_table(size_t frame)
{
    return (BENCH_PA + frame * 4096) | BENCH_TABLE;
}

s2_desc_t *bench_slot(struct bench *bench, size_t frame, size_t index)
{
    s2_desc_t *entries = sim_memory_ptr(&bench->memory, bench_frame(frame));

    return &entries[index];
}

void bench_fill_table(struct bench *bench, size_t frame, uint64_t first)
{
    for (size_t i = 0; i < 512; i++) {
        bench_fill(bench_slot(bench, frame, i), i == 0 ? first : 0);
    }
}

static void note(void *arg, const struct monitor_verdict *verdict)
{
    (void)arg;
    (void)verdict;
}

static struct monitor_guest guest_with(unsigned options, size_t root, uint64_t vmid)
{
    return (struct monitor_guest){
        .vtcr = BENCH_VTCR | ((options & BENCH_HARDWARE) != 0 ? UINT64_C(3) << 21 : 0) |
                ((options & BENCH_DS) != 0 ? UINT64_C(1) << 32 : 0),
        .vttbr = vmid << 48 | (BENCH_PA + root * 4096),
        .hcr = (options & BENCH_FWB) != 0 ? UINT64_C(0x400000000001) : 1,
        .is_non_coherent = (options & BENCH_NON_COHERENT) != 0,
        .is_managed = (options & BENCH_MANAGED) != 0,
        .has_device = (options & BENCH_DEVICE) != 0,
        .refuses_transient = (options & BENCH_REFUSES) != 0,
    };
}

/* Without a word from the primitives, but the fills. */
static void build_tables(struct bench *bench)
{
    for (size_t frame = 0; frame <= ROOT_OTHER; frame++) {
        bench_fill_table(bench, frame, 0);
    }
    bench_fill(ROOT(0), bench_table(1));
    bench_fill(MIDDLE(0), bench_table(2));
    bench_fill(MIDDLE(1), BENCH_DATA | UINT64_C(0x200000) | BENCH_BLOCK);
    bench_fill(MIDDLE(2), bench_table(3));
    for (uint64_t i = 0; i < 8; i++) {
        bench_fill(PAGES(i), (BENCH_DATA + i * 4096) | BENCH_PAGE);
    }
    for (uint64_t i = 16; i < 32; i++) {
        bench_fill(PAGES(i), (BENCH_DATA + i * 4096) | BENCH_PAGE | BENCH_HINT);
    }
    bench_fill(OTHER(0), (BENCH_DATA + UINT64_C(0x400000)) | BENCH_PAGE);
    for (size_t line = 0; line < (ROOT_OTHER + 1) * 64; line++) {
        arch_dc_cvac(bench_slot(bench, 0, line * 8));
    }
    arch_dsb_ish();
    arch_isb();
}

static void bench_init(struct bench *bench, unsigned options)
{
    sim_reset();
    sim_memory_init(&bench->memory, 12);
    sim_memory_add(&bench->memory, pa_of(BENCH_PA), BENCH_FRAMES);
    sim_memory_pool(&bench->memory, &bench->pool);
    for (size_t i = 0; i < BENCH_FRAMES; i++) {
        pa_t frame;

        ck_assert_int_eq(frame_pool_alloc(&bench->pool, 0, &frame), MAPPING_OK);
    }
    bench->config = (struct monitor_config){
        .memory = &bench->memory,
        .cpu =
            {.pa_bits = 52, .has_4k = true, .lpa2_4k = true, .xnx = true, .fwb = true, .hafdbs = 2},
        .has_ttl = (options & BENCH_NO_TTL) == 0,
        .has_ranges = (options & BENCH_NO_RANGES) == 0,
        .has_dic = (options & BENCH_DIC) != 0,
        .has_speculative_at = (options & BENCH_SPECULATIVE) != 0,
        .has_xs = (options & BENCH_XS) != 0,
        .is_direct = (options & BENCH_DIRECT) != 0,
        .report = note,
    };
    bench->guest = guest_with(options, 0, BENCH_VMID);
    bench->other = guest_with(options, ROOT_OTHER, BENCH_OTHER_VMID);
    bench->guest.pool = &bench->pool;
    bench->monitor = monitor_attach(&bench->config);
    monitor_add_window(bench->monitor, BENCH_WINDOW, bench->window, sizeof(bench->window));
    build_tables(bench);
    monitor_add_guest(bench->monitor, &bench->guest);
    monitor_add_guest(bench->monitor, &bench->other);
    *sim_cpu() = (struct sim_cpu){
        .vtcr = bench->guest.vtcr, .vttbr = bench->guest.vttbr, .hcr = bench->guest.hcr};
    *sim_cpu_at(1) = *sim_cpu();
    monitor_quiesce(bench->monitor);
    ck_assert_msg(monitor_verdict(bench->monitor)->rule == MONITOR_OK, "the bench itself: %s",
                  monitor_verdict(bench->monitor)->story);
}

static char last_story[sizeof(((struct monitor_verdict *)NULL)->story)];

const char *bench_story(void)
{
    return last_story;
}

void bench_judge(const struct bench_program *program)
{
    static struct bench bench;
    const struct monitor_verdict *verdict;

    bench_init(&bench, program->options);
    program->run(&bench);
    monitor_quiesce(bench.monitor);
    verdict = monitor_verdict(bench.monitor);
    ck_assert_msg(verdict->rule == program->rule, "%s: expected of %s, but: %s",
                  monitor_rule_name(program->rule), program->name,
                  verdict->rule == MONITOR_OK ? "all is well" : verdict->story);
    memcpy(last_story, verdict->story, sizeof(last_story));
    monitor_detach(bench.monitor);
    sim_memory_fini(&bench.memory);
}

static void watch(struct stale_tlb *tlb, struct bench *bench)
{
    const struct monitor_guest *guests[] = {&bench->guest, &bench->other};

    stale_tlb_init(tlb, &bench->memory, bench->config.cpu, &bench->pool, STALE_TLB_RECORDS);
    for (size_t i = 0; i < 2; i++) {
        const unsigned number =
            stale_tlb_add_guest(tlb, guests[i]->vtcr, guests[i]->vttbr, guests[i]->hcr);

        if (guests[i]->is_managed) {
            stale_tlb_manage_guest(tlb, number);
        }
    }
    if (bench->config.is_direct) {
        stale_tlb_allow_direct(tlb);
    }
}

void bench_judge_tlb(const struct bench_program *program)
{
    static struct bench bench;
    static struct stale_tlb tlb;
    const char *problem;

    bench_init(&bench, program->options);
    watch(&tlb, &bench);
    program->run(&bench);
    problem = stale_tlb_quiesce(&tlb);
    ck_assert_msg((problem == NULL) == (program->problem == NULL) &&
                      (problem == NULL || strcmp(problem, program->problem) == 0),
                  "%s: expected of %s, but: %s",
                  program->problem == NULL ? "nothing" : program->problem, program->name,
                  problem == NULL ? "nothing" : stale_tlb_story(&tlb));
    stale_tlb_fini(&tlb);
    monitor_detach(bench.monitor);
    sim_memory_fini(&bench.memory);
}
