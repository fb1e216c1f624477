#include "tests/unit/judged.h"

#include <check.h>

#define POOL UINT64_C(0x8040000000)
#define POOL_TABLES 256
#define FIRST_VMID 0x11

const struct judged_shape judged_shapes[] = {
    {"4K, 40 bits", S2_GRANULE_4K, 40, 12, UINT64_C(0x200000)},
    {"16K, 48 bits", S2_GRANULE_16K, 48, 14, UINT64_C(0x2000000)},
    {"64K, 48 bits", S2_GRANULE_64K, 48, 16, UINT64_C(0x20000000)},
    {"4K, LPA2", S2_GRANULE_4K, 52, 12, UINT64_C(0x200000)},
    {"16K, LPA2, frames of 4K", S2_GRANULE_16K, 52, 12, UINT64_C(0x2000000)},
    {"64K, LPA, frames of 16K", S2_GRANULE_64K, 52, 14, UINT64_C(0x20000000)},
};

const int judged_shape_count = (int)(sizeof(judged_shapes) / sizeof(judged_shapes[0]));

struct judged_setup judged_setup_of(const struct judged_shape *shape)
{
    return (struct judged_setup){.shape = shape,
                                 .update = S2_HARDWARE_UPDATE_DIRTY,
                                 .has_ttl = true,
                                 .is_moving = true,
                                 .verdict = STALE_TLB_ABORTS,
                                 .seed = 1};
}

/* Frames for POOL_TABLES tables. */
static size_t pool_frames(const struct judged *judged)
{
    const struct judged_shape *shape = judged->setup.shape;

    return (size_t)POOL_TABLES << ((unsigned)shape->granule - shape->frame_shift);
}

uint64_t judged_random(struct judged *judged, uint64_t limit)
{
    judged->random = judged->random * UINT64_C(6364136223846793005) + 1;
    return (judged->random >> 24) % limit;
}

/* --- Setting up ------------------------------------------------------------------------------ */

static struct s2_features newest_cpu(bool has_ttl)
{
    return (struct s2_features){.pa_bits = 52,
                                .granule_4k = S2_GRANULE_52_BITS,
                                .granule_16k = S2_GRANULE_52_BITS,
                                .granule_64k = S2_GRANULE_52_BITS,
                                .vmid_bits = 16,
                                .hafdbs = 2,
                                .bbm = 2,
                                .has_xnx = true,
                                .has_fwb = true,
                                .has_ttl = has_ttl,
                                .has_small_tables = true,
                                .has_vhe = true,
                                .has_lse = true,
                                .has_dic = true,
                                .has_idc = true,
                                .dcache_line = 64};
}

static const struct mmu_cpu newest_mmu = {.pa_bits = 52,
                                          .has_4k = true,
                                          .has_16k = true,
                                          .has_64k = true,
                                          .lpa2_4k = true,
                                          .lpa2_16k = true,
                                          .ttst = true,
                                          .xnx = true,
                                          .fwb = true,
                                          .vmid16 = true,
                                          .hafdbs = 2,
                                          .bbm = 2};

static void open_guest(struct judged *judged, unsigned i)
{
    const struct judged_setup *setup = &judged->setup;
    struct s2_table *table = &judged->tables[i];
    const struct s2_config config = {.cpu = &judged->cpu,
                                     .granule = setup->shape->granule,
                                     .ipa_bits = setup->shape->bits,
                                     .pa_bits = setup->shape->bits,
                                     .walker = setup->walker,
                                     .hardware_update = setup->update,
                                     .contiguous = setup->contiguous,
                                     .size_change = setup->size_change};

    ck_assert_int_eq(s2_table_init(table, &config, &judged->pool), MAPPING_OK);
    s2_table_set_vmid(table, (uint16_t)(FIRST_VMID + i));
    judged->guests[i] = stale_tlb_add_guest(&judged->tlb, s2_table_vtcr(table),
                                            s2_table_vttbr(table), s2_table_hcr(table));
}

/* All CPUs run the first guest: what is done to the second has to switch. */
static void load_first(const struct judged *judged)
{
    for (size_t i = 0; i < SIM_CPUS; i++) {
        sim_cpu_at(i)->vtcr = s2_table_vtcr(&judged->tables[0]);
        sim_cpu_at(i)->vttbr = s2_table_vttbr(&judged->tables[0]);
        sim_cpu_at(i)->hcr = s2_table_hcr(&judged->tables[0]);
    }
}

void judged_open(struct judged *judged, struct judged_setup setup)
{
    *judged =
        (struct judged){.setup = setup, .cpu = newest_cpu(setup.has_ttl), .random = setup.seed};
    sim_reset();
    sim_set_log(SIM_LOG_COUNT);
    sim_set_loads(setup.has_loads ? SIM_LOADS_ON : SIM_LOADS_OFF);
    sim_memory_init(&judged->memory, setup.shape->frame_shift);
    sim_memory_add(&judged->memory, pa_of(POOL), pool_frames(judged));
    sim_memory_pool(&judged->memory, &judged->pool);
    stale_tlb_init(&judged->tlb, &judged->memory, newest_mmu, &judged->pool, setup.verdict);
    if (setup.size_change == S2_SIZE_CHANGE_DIRECT) {
        stale_tlb_allow_direct(&judged->tlb);
    }
    for (unsigned i = 0; i < JUDGED_GUESTS; i++) {
        open_guest(judged, i);
    }
    load_first(judged);
    moving_init(&judged->moving, &judged->tlb, setup.seed, setup.verdict);
    ck_assert_ptr_null(stale_tlb_quiesce(&judged->tlb));
}

void judged_abandon(struct judged *judged)
{
    moving_fini(&judged->moving);
    stale_tlb_fini(&judged->tlb);
    sim_memory_fini(&judged->memory);
}

void judged_close(struct judged *judged)
{
    for (unsigned i = 0; i < JUDGED_GUESTS; i++) {
        ck_assert(s2_table_check(&judged->tables[i]));
        stale_tlb_stop_guest(&judged->tlb, judged->guests[i]);
        ck_assert_int_eq(s2_table_fini(&judged->tables[i]), MAPPING_OK);
        ck_assert_ptr_null(stale_tlb_quiesce(&judged->tlb));
    }
    ck_assert(frame_pool_check(&judged->pool));
    ck_assert_uint_eq(frame_pool_available(&judged->pool), pool_frames(judged));
    judged_abandon(judged);
}

/* --- Verbs ----------------------------------------------------------------------------------- */

static enum mapping_error call_verb(struct s2_table *table, struct judged_step step)
{
    const struct ipa_range range = ipa_range(step.ipa, step.size);

    switch (step.verb) {
    case JUDGED_MAP:
        return s2_table_map(table, range, pa_of(step.pa), step.flags);
    case JUDGED_UNMAP:
        return s2_table_unmap(table, range);
    case JUDGED_PROTECT:
        return s2_table_protect(table, range, step.flags);
    case JUDGED_REPLACE:
        return s2_table_replace(table, range, pa_of(step.pa));
    case JUDGED_FOLD:
    case JUDGED_VERBS:
    default:
        return s2_table_fold(table, range);
    }
}

/* The borders of the range, what is around them, and the same in the other guest. */
static void watch_step(struct judged *judged, struct judged_step step)
{
    const uint64_t page = judged_page(judged);
    const unsigned guest = judged->guests[step.guest];

    moving_unwatch_all(&judged->moving);
    for (unsigned i = 0; i < 4; i++) {
        const uint64_t off = i * page;

        moving_watch(&judged->moving, guest, step.ipa + off);
        moving_watch(&judged->moving, guest, step.ipa + step.size + off);
        moving_watch(&judged->moving, guest, step.ipa + step.size - page - off % step.size);
        moving_watch(&judged->moving, guest, step.ipa >= off + page ? step.ipa - off - page : 0);
        moving_watch(&judged->moving, guest, step.ipa + judged_random(judged, step.size));
        moving_watch(&judged->moving, judged->guests[1 - step.guest], step.ipa + off);
    }
}

/* What hardware saw happen to a page is what a lookup answers. */
static void check_lookups(struct judged *judged)
{
    for (size_t i = 0; i < moving_record_count(&judged->moving); i++) {
        const struct moving_record *record = moving_record_at(&judged->moving, i);
        const unsigned guest = record->guest == judged->guests[0] ? 0 : 1;
        struct s2_leaf leaf;

        ck_assert_int_eq(s2_table_lookup(&judged->tables[guest], ipa_of(record->ipa), &leaf),
                         MAPPING_OK);
        ck_assert_uint_eq(leaf.flags & S2_NO_AF, 0);
        ck_assert(!record->is_written || (leaf.flags & S2_WRITE) != 0);
    }
}

enum mapping_error judged_do(struct judged *judged, struct judged_step step, const char **problem)
{
    enum mapping_error error;
    const char *moved = NULL;
    const char *stale;

    if (judged->setup.is_moving) {
        watch_step(judged, step);
        if (step.verb == JUDGED_UNMAP || step.verb == JUDGED_PROTECT) {
            moving_may_forget(&judged->moving, judged->guests[step.guest], step.ipa, step.size);
        }
        moving_begin(&judged->moving);
    }
    error = call_verb(&judged->tables[step.guest], step);
    if (judged->setup.is_moving) {
        moved = moving_end(&judged->moving);
        if (moved == NULL) {
            check_lookups(judged);
        }
    }
    stale = stale_tlb_quiesce(&judged->tlb);
    if (problem != NULL) {
        *problem = stale != NULL ? stale : moved;
    }
    return error;
}

void judged_must(struct judged *judged, struct judged_step step)
{
    const char *problem = NULL;
    const enum mapping_error error = judged_do(judged, step, &problem);

    ck_assert_int_eq(error, MAPPING_OK);
    ck_assert_msg(problem == NULL, "%s: %s%s", judged->setup.shape->name,
                  stale_tlb_story(&judged->tlb), moving_story(&judged->moving));
}
