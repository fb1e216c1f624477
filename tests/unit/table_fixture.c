#include "tests/unit/table_fixture.h"

#include <check.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* --- Shapes ---------------------------------------------------------------------------------- */

#define SPANS_4K                            \
    {                                       \
        0, GIB(512), GIB(1), MIB(2), KIB(4) \
    }
#define SPANS_16K                              \
    {                                          \
        0, TIB(128), GIB(64), MIB(32), KIB(16) \
    }
#define SPANS_64K                       \
    {                                   \
        0, 0, TIB(4), MIB(512), KIB(64) \
    }

const struct rig_shape rig_shapes[] = {
    {"4K, 40 bits, two tables at level 1", S2_GRANULE_4K, 40, 40, 1, KIB(8), SPANS_4K, 1,
     UINT64_C(0x8040000000)},
    {"4K, 48 bits", S2_GRANULE_4K, 48, 48, 0, KIB(4), SPANS_4K, 1, UINT64_C(0x804040000000)},
    {"16K, 48 bits, two tables at level 1", S2_GRANULE_16K, 48, 48, 1, KIB(32), SPANS_16K, 2,
     UINT64_C(0x804040000000)},
    {"64K, 48 bits", S2_GRANULE_64K, 48, 48, 1, KIB(64), SPANS_64K, 2, UINT64_C(0x804040000000)},
    {"4K, LPA2, 52 bits, 16 tables at level 0", S2_GRANULE_4K, 52, 52, 0, KIB(64), SPANS_4K, 0,
     UINT64_C(0xd804040000000)},
    {"16K, LPA2, 52 bits", S2_GRANULE_16K, 52, 52, 0, KIB(16), SPANS_16K, 1,
     UINT64_C(0xd804040000000)},
    {"64K, LPA, 52 bits", S2_GRANULE_64K, 52, 52, 1, KIB(64), SPANS_64K, 1,
     UINT64_C(0xd804040000000)},
};

const int rig_shape_count = (int)COUNT(rig_shapes);

/* --- Setting up ------------------------------------------------------------------------------ */

struct rig_setup rig_setup_of(const struct rig_shape *shape)
{
    return (struct rig_setup){
        .shape = shape,
        .cpu = {.pa_bits = 52,
                .granule_4k = S2_GRANULE_52_BITS,
                .granule_16k = S2_GRANULE_52_BITS,
                .granule_64k = S2_GRANULE_52_BITS,
                .vmid_bits = 16,
                .hafdbs = 2,
                .bbm = 2,
                .tlb = 2,
                .has_xnx = true,
                .has_fwb = true,
                .has_ttl = true,
                .has_cnp = true,
                .has_small_tables = true,
                .has_vhe = true,
                .has_lse = true,
                .has_xs = true,
                .has_dic = true,
                .has_idc = true,
                .dcache_line = 64},
        /* Without the hint, so that a test says what it means by leaves of one size; table_runs.h
         * has it on. */
        .config = {.contiguous = S2_CONTIGUOUS_OFF,
                   .granule = shape->granule,
                   .ipa_bits = shape->ipa_bits,
                   .pa_bits = shape->pa_bits},
        .frame_shift = (unsigned)shape->granule,
        .frame_count = 64,
    };
}

/* The CPU as the software MMU and the monitor know it. */
static struct mmu_cpu mmu_cpu_of(const struct s2_features *cpu)
{
    return (struct mmu_cpu){
        .pa_bits = cpu->pa_bits,
        .has_4k = cpu->granule_4k != S2_GRANULE_ABSENT,
        .has_16k = cpu->granule_16k != S2_GRANULE_ABSENT,
        .has_64k = cpu->granule_64k != S2_GRANULE_ABSENT,
        .lpa2_4k = cpu->granule_4k == S2_GRANULE_52_BITS,
        .lpa2_16k = cpu->granule_16k == S2_GRANULE_52_BITS,
        .ttst = cpu->has_small_tables,
        .xnx = cpu->has_xnx,
        .fwb = cpu->has_fwb,
        .vmid16 = cpu->vmid_bits == 16,
        .hafdbs = cpu->hafdbs,
        .bbm = cpu->bbm,
    };
}

static void report(void *arg, const struct monitor_verdict *verdict)
{
    (void)arg;
    ck_abort_msg("%s", verdict->story);
}

/* The device in front of the rig: it holds nothing any more, and says so. */
static void tell_monitor(void *arg, struct ipa_range range, int level)
{
    const struct rig *rig = arg;

    (void)level;
    if (rig->monitor != NULL && rig->device_of != NULL) {
        monitor_notified(rig->monitor, s2_table_vttbr(rig->device_of), range.start.raw, range.size);
    }
}

static void attach_monitor(struct rig *rig)
{
    const struct s2_features *cpu = &rig->setup.cpu;
    const struct monitor_config config = {
        .memory = &rig->memory,
        .cpu = mmu_cpu_of(cpu),
        .has_ttl = cpu->has_ttl,
        .has_ranges = cpu->tlb >= 2,
        .has_dic = cpu->has_dic,
        .has_xs = cpu->has_xs,
        .has_speculative_at = (cpu->errata & S2_ERRATUM_SPECULATIVE_AT) != 0,
        .is_direct = rig->setup.config.size_change == S2_SIZE_CHANGE_DIRECT && cpu->bbm >= 2,
        .cache_line = cpu->dcache_line,
        .report = report,
    };

    rig->monitor = monitor_attach(&config);
}

void rig_judge(struct rig *rig, const struct s2_table *table)
{
    const struct monitor_guest guest = {
        .vtcr = s2_table_vtcr(table),
        .vttbr = s2_table_vttbr(table),
        .hcr = s2_table_hcr(table),
        .pool = &rig->pool,
        .is_non_coherent = rig->setup.config.walker == S2_WALKER_NON_COHERENT,
        .has_device = rig->setup.has_device,
        .refuses_transient = rig->setup.config.transient == S2_TRANSIENT_REFUSED,
    };

    rig->device_of = table;
    monitor_add_guest(rig->monitor, &guest);
}

void rig_dismiss(struct rig *rig, const struct s2_table *table)
{
    if (rig->monitor != NULL) {
        monitor_quiesce(rig->monitor);
        monitor_remove_guest(rig->monitor, s2_table_vttbr(table));
    }
}

void rig_init_machine(struct rig *rig, struct rig_setup setup)
{
    *rig = (struct rig){.setup = setup};
    rig->setup.config.cpu = &rig->setup.cpu;
    if (setup.has_device) {
        rig->setup.config.notifier = (struct s2_notifier){tell_monitor, rig};
    }
    sim_reset();
    sim_memory_init(&rig->memory, setup.frame_shift);
    sim_memory_add(&rig->memory, pa_of(setup.shape->frames), setup.frame_count);
    sim_memory_pool(&rig->memory, &rig->pool);
    rig->ballast = calloc(setup.frame_count, sizeof(*rig->ballast));
    ck_assert_ptr_nonnull(rig->ballast);
    attach_monitor(rig);
}

void rig_unwatch(struct rig *rig)
{
    monitor_detach(rig->monitor);
    rig->monitor = NULL;
}

void rig_fini_machine(struct rig *rig)
{
    if (rig->monitor != NULL) {
        monitor_quiesce(rig->monitor);
        rig_unwatch(rig);
    }
    while (rig->ballast_count > 0) {
        rig_leave(rig, frame_pool_available(&rig->pool) + 1);
    }
    ck_assert(frame_pool_check(&rig->pool));
    ck_assert_uint_eq(frame_pool_available(&rig->pool), rig->setup.frame_count);
    free(rig->ballast);
    sim_memory_fini(&rig->memory);
}

void rig_enter(const struct s2_table *table)
{
    sim_cpu()->vtcr = s2_table_vtcr(table);
    sim_cpu()->vttbr = s2_table_vttbr(table);
    sim_cpu()->hcr = s2_table_hcr(table);
}

void rig_init(struct rig *rig, struct rig_setup setup)
{
    rig_init_machine(rig, setup);
    ck_assert_int_eq(s2_table_init(&rig->table, &rig->setup.config, &rig->pool), MAPPING_OK);
    s2_table_set_vmid(&rig->table, RIG_VMID);
    rig_judge(rig, &rig->table);
    rig_enter(&rig->table);
    sim_clear();
}

void rig_fini(struct rig *rig)
{
    ck_assert(s2_table_check(&rig->table));
    rig_dismiss(rig, &rig->table);
    ck_assert_int_eq(s2_table_fini(&rig->table), MAPPING_OK);
    rig_fini_machine(rig);
}

void rig_leave(struct rig *rig, size_t count)
{
    while (frame_pool_available(&rig->pool) > count) {
        ck_assert_uint_lt(rig->ballast_count, rig->setup.frame_count);
        ck_assert_int_eq(frame_pool_alloc(&rig->pool, 0, &rig->ballast[rig->ballast_count]),
                         MAPPING_OK);
        rig->ballast_count++;
    }
    while (frame_pool_available(&rig->pool) < count) {
        ck_assert_uint_gt(rig->ballast_count, 0);
        rig->ballast_count--;
        ck_assert_int_eq(frame_pool_free(&rig->pool, rig->ballast[rig->ballast_count], 0),
                         MAPPING_OK);
    }
}

void rig_poison_free(struct rig *rig)
{
    sim_memory_poison_free(&rig->memory, &rig->pool);
}

struct mmu rig_mmu(const struct rig *rig, const struct s2_table *table)
{
    union {
        const struct sim_memory *from;
        void *to;
    } memory = {.from = &rig->memory}; /* read through, never written */

    return (struct mmu){
        .vtcr = s2_table_vtcr(table),
        .vttbr = s2_table_vttbr(table),
        .hcr = s2_table_hcr(table),
        .cpu = mmu_cpu_of(&rig->setup.cpu),
        .options = MMU_CHECK_RUNS | MMU_PS_BOUNDS_IPA,
        .read = sim_memory_read,
        .memory = memory.to,
    };
}

/* --- The oracle ------------------------------------------------------------------------------ */

/* One judgement: the machine's answer for one address, and what the test believes. Plain ifs, as
 * libcheck's assertions are too slow for every leaf. */
struct judge {
    const struct rig *rig;
    const struct s2_table *table;
    struct mmu mmu;
};

static struct judge judge_of(const struct rig *rig, const struct s2_table *table)
{
    const struct judge judge = {rig, table, rig_mmu(rig, table)};
    const char *problem = mmu_config_problem(&judge.mmu);

    if (problem != NULL) {
        ck_abort_msg("%s: the registers are wrong: %s", rig->setup.shape->name, problem);
    }
    return judge;
}

static void require(const struct judge *judge, bool condition, uint64_t ipa, const char *what)
{
    if (!condition) {
        ck_abort_msg("%s: IPA 0x%" PRIx64 ": %s", judge->rig->setup.shape->name, ipa, what);
    }
}

static enum mmu_memory memory_kind(mapping_flags_t flags)
{
    static const enum mmu_memory kinds[] = {
        [MAPPING_FIELD_GET(S2_TYPE, S2_NORMAL)] = MMU_NORMAL_WB,
        [MAPPING_FIELD_GET(S2_TYPE, S2_NORMAL_NC)] = MMU_NORMAL_NC,
        [MAPPING_FIELD_GET(S2_TYPE, S2_NORMAL_WT)] = MMU_NORMAL_WT,
        [MAPPING_FIELD_GET(S2_TYPE, S2_NORMAL_STAGE1)] = MMU_STAGE1,
        [MAPPING_FIELD_GET(S2_TYPE, S2_DEVICE_nGnRnE)] = MMU_DEVICE_NGNRNE,
        [MAPPING_FIELD_GET(S2_TYPE, S2_DEVICE_nGnRE)] = MMU_DEVICE_NGNRE,
        [MAPPING_FIELD_GET(S2_TYPE, S2_DEVICE_nGRE)] = MMU_DEVICE_NGRE,
        [MAPPING_FIELD_GET(S2_TYPE, S2_DEVICE_GRE)] = MMU_DEVICE_GRE,
    };

    return kinds[MAPPING_FIELD_GET(S2_TYPE, flags)];
}

static unsigned shareability(mapping_flags_t flags)
{
    const mapping_flags_t kind = flags & S2_SHAREABILITY;

    return kind == S2_SH_INNER ? 3 : kind == S2_SH_OUTER ? 2 : 0;
}

/* Bits of software at [58:55], by the field's own bit. */
static unsigned software(mapping_flags_t flags)
{
    return ((flags & S2_SOFT0) != 0 ? 2U : 0U) | ((flags & S2_SOFT1) != 0 ? 4U : 0U) |
           ((flags & S2_SOFT2) != 0 ? 8U : 0U) | ((flags & S2_SOFT3) != 0 ? 1U : 0U);
}

/* The leaf that the machine found means @flags, in every bit; AF and dirty state of all its run. */
static void judge_attributes(const struct judge *judge, uint64_t ipa,
                             const struct mmu_result *found, mapping_flags_t flags)
{
    const bool is_tracked = (judge->mmu.vtcr >> 22 & 1) != 0 && (flags & S2_DBM) != 0;

    require(judge, found->res0 == 0, ipa, "a bit that should be 0 is set");
    require(judge, found->memory == memory_kind(flags), ipa, "the memory type differs");
    require(judge, found->sh == shareability(flags), ipa, "the shareability differs");
    require(judge, (found->s2ap & 1) == ((flags & S2_READ) != 0), ipa, "S2AP[0] differs");
    require(judge, found->run_dirty == ((flags & S2_WRITE) != 0), ipa, "S2AP[1] differs");
    require(judge, found->can_read == ((flags & S2_READ) != 0), ipa, "reading differs");
    require(judge, found->can_write == (is_tracked || (flags & S2_WRITE) != 0), ipa,
            "writing differs");
    require(judge, found->can_fetch_el1 == ((flags & S2_EXEC_EL1) != 0), ipa,
            "EL1 execution differs");
    require(judge, found->can_fetch_el0 == ((flags & S2_EXEC_EL0) != 0), ipa,
            "EL0 execution differs");
    require(judge, found->run_af == ((flags & S2_NO_AF) == 0), ipa, "the access flag differs");
    require(judge, found->dbm == ((flags & S2_DBM) != 0), ipa, "DBM differs");
    require(judge, found->software == software(flags), ipa, "the software bits differ");
    require(judge, !found->nt, ipa, "nT is set");
}

/* The library's own answers for an address agree with the machine's. */
static void judge_lookup(const struct judge *judge, uint64_t ipa, const struct mmu_result *found,
                         mapping_flags_t flags)
{
    struct s2_leaf leaf;
    pa_t pa;

    require(judge, s2_table_lookup(judge->table, ipa_of(ipa), &leaf) == MAPPING_OK, ipa,
            "lookup finds no leaf");
    require(judge, leaf.pa.raw == found->pa, ipa, "lookup answers another PA");
    require(judge, leaf.size == found->leaf_size, ipa, "lookup answers another size");
    require(judge, leaf.level == found->level, ipa, "lookup answers another level");
    require(judge, leaf.flags == flags, ipa, "lookup answers other flags");
    require(judge, s2_table_translate(judge->table, ipa_of(ipa), &pa) && pa.raw == found->pa, ipa,
            "translate answers another PA");
}

static void judge_leaf(const struct judge *judge, uint64_t ipa, const struct mmu_result *found,
                       uint64_t pa, mapping_flags_t flags)
{
    require(judge, found->has_leaf && found->status != MMU_BAD_RUN, ipa, "nothing is mapped here");
    require(judge, found->pa == pa, ipa, "the PA differs");
    judge_attributes(judge, ipa, found, flags);
    judge_lookup(judge, ipa, found, flags);
}

static void judge_hole(const struct judge *judge, uint64_t ipa, const struct mmu_result *found)
{
    struct s2_leaf leaf;
    pa_t pa = pa_of(1);

    require(judge, !found->has_leaf, ipa, "something is mapped here");
    require(judge, found->status == MMU_TRANSLATION && !found->config, ipa,
            "not a plain translation fault");
    require(judge, s2_table_lookup(judge->table, ipa_of(ipa), &leaf) == MAPPING_NOT_FOUND, ipa,
            "lookup does not see the hole");
    require(judge, leaf.size == found->hole_size && leaf.level == found->level, ipa,
            "lookup sees a hole of another size");
    require(judge, !s2_table_translate(judge->table, ipa_of(ipa), &pa) && pa.raw == 1, ipa,
            "translate does not see the hole");
}

void rig_assert_leaf(const struct rig *rig, const struct s2_table *table, uint64_t ipa, uint64_t pa,
                     int level, mapping_flags_t flags)
{
    const struct judge judge = judge_of(rig, table);
    const struct mmu_result found = mmu_translate(&judge.mmu, ipa, MMU_READ);

    judge_leaf(&judge, ipa, &found, pa, flags);
    require(&judge, found.level == level, ipa, "the leaf is of another level");
}

void rig_assert_hole(const struct rig *rig, const struct s2_table *table, uint64_t ipa)
{
    const struct judge judge = judge_of(rig, table);
    const struct mmu_result found = mmu_translate(&judge.mmu, ipa, MMU_READ);

    judge_hole(&judge, ipa, &found);
}

/* What stands at an address: where it begins, and where the next one does. */
struct stop {
    struct mmu_result found;
    uint64_t ipa;
    uint64_t next;
};

static struct stop stop_at(const struct judge *judge, uint64_t ipa)
{
    struct stop stop = {.found = mmu_translate(&judge->mmu, ipa, MMU_READ), .ipa = ipa};
    const uint64_t size = stop.found.has_leaf ? stop.found.leaf_size : stop.found.hole_size;

    require(judge, size != 0, ipa, mmu_status_name(stop.found.status));
    require(judge, ipa % size == 0, ipa, "an entry begins elsewhere");
    stop.next = ipa + size;
    return stop;
}

/* A leaf at @stop belongs to @map, at either end. */
static void judge_stop(const struct judge *judge, const struct stop *stop,
                       const struct rig_map *map)
{
    const uint64_t last = stop->next - 1;
    const struct mmu_result at_last = mmu_translate(&judge->mmu, last, MMU_READ);

    require(judge, stop->next <= map->ipa + map->size, stop->ipa, "the leaf sticks out");
    judge_leaf(judge, stop->ipa, &stop->found, map->pa + (stop->ipa - map->ipa), map->flags);
    judge_leaf(judge, last, &at_last, map->pa + (last - map->ipa), map->flags);
}

void rig_assert_maps(const struct rig *rig, const struct s2_table *table,
                     const struct rig_map maps[], size_t count)
{
    const struct judge judge = judge_of(rig, table);
    const uint64_t end = UINT64_C(1) << rig->setup.shape->ipa_bits;
    size_t at = 0;
    struct stop stop;

    for (uint64_t ipa = 0; ipa < end; ipa = stop.next) {
        while (at < count && ipa >= maps[at].ipa + maps[at].size) {
            at++;
        }
        stop = stop_at(&judge, ipa);
        if (at < count && ipa >= maps[at].ipa) {
            judge_stop(&judge, &stop, &maps[at]);
        } else {
            judge_hole(&judge, ipa, &stop.found);
            require(&judge, at == count || stop.next <= maps[at].ipa, ipa, "a hole is too long");
        }
    }
    require(&judge, s2_table_check(table), 0, "s2_table_check() finds a fault");
    require(&judge, frame_pool_check(&rig->pool), 0, "frame_pool_check() finds a fault");
}

void rig_assert_map(const struct rig *rig, const struct s2_table *table, struct rig_map map)
{
    rig_assert_maps(rig, table, &map, 1);
}

void rig_assert_empty(const struct rig *rig, const struct s2_table *table)
{
    rig_assert_maps(rig, table, NULL, 0);
}

size_t rig_leaf_count(const struct rig *rig, const struct s2_table *table, int level)
{
    const struct judge judge = judge_of(rig, table);
    const uint64_t end = UINT64_C(1) << rig->setup.shape->ipa_bits;
    size_t count = 0;
    struct stop stop;

    for (uint64_t ipa = 0; ipa < end; ipa = stop.next) {
        stop = stop_at(&judge, ipa);
        count += stop.found.has_leaf && stop.found.level == level ? 1 : 0;
    }
    return count;
}

/* --- Descriptors ----------------------------------------------------------------------------- */

/* Where the @step-th entry of the walk that @found is lies. */
static s2_desc_t *slot_of(const struct rig *rig, const struct mmu_result *found, size_t step)
{
    s2_desc_t *slot;

    ck_assert_uint_lt(step, found->walk_count);
    slot = sim_memory_ptr(&rig->memory, pa_of(found->walk_pa[step]));
    ck_assert_ptr_nonnull(slot);
    return slot;
}

s2_desc_t *rig_slot_at(const struct rig *rig, const struct s2_table *table, uint64_t ipa, int level)
{
    const struct mmu mmu = rig_mmu(rig, table);
    const struct mmu_result found = mmu_translate(&mmu, ipa, MMU_READ);

    return slot_of(rig, &found, (size_t)(level - rig->setup.shape->start_level));
}

s2_desc_t *rig_slot(const struct rig *rig, const struct s2_table *table, uint64_t ipa)
{
    const struct mmu mmu = rig_mmu(rig, table);
    const struct mmu_result found = mmu_translate(&mmu, ipa, MMU_READ);

    return slot_of(rig, &found, found.walk_count - 1);
}

uint64_t rig_desc(const struct rig *rig, const struct s2_table *table, uint64_t ipa)
{
    return rig_slot(rig, table, ipa)->raw;
}

/* --- Snapshots ------------------------------------------------------------------------------- */

static pa_t frame_at(const struct rig *rig, size_t frame)
{
    return pa_add(pa_of(rig->setup.shape->frames), (uint64_t)frame << rig->setup.frame_shift);
}

/* Order + 1 of the taken block that starts at @pa; 0: none does. */
static unsigned char taken_at(const struct rig *rig, pa_t pa)
{
    for (unsigned order = 0; order < FRAME_POOL_ORDERS; order++) {
        if (frame_pool_is_taken(&rig->pool, pa, order)) {
            return (unsigned char)(order + 1);
        }
    }
    return 0;
}

void rig_snapshot_take(struct rig_snapshot *snapshot, const struct rig *rig)
{
    const size_t frames = rig->setup.frame_count;
    const size_t size = frames << rig->setup.frame_shift;

    ck_assert_uint_gt(frames, 0);
    *snapshot = (struct rig_snapshot){
        .bytes = malloc(size),
        .counts = calloc(frames, sizeof(uint32_t)),
        .taken = calloc(frames, 1),
        .available = frame_pool_available(&rig->pool),
        .held = rig->pool.held,
        .table_frames = s2_table_frame_count(&rig->table),
    };
    ck_assert(snapshot->bytes != NULL && snapshot->counts != NULL && snapshot->taken != NULL);
    memcpy(snapshot->bytes, rig->memory.banks[0].memory, size);
    for (size_t i = 0; i < frames; i++) {
        const pa_t pa = frame_at(rig, i);

        snapshot->taken[i] = taken_at(rig, pa);
        snapshot->counts[i] = snapshot->taken[i] != 0 ? *frame_pool_count(&rig->pool, pa) : 0;
    }
}

void rig_snapshot_assert_same(const struct rig_snapshot *snapshot, const struct rig *rig)
{
    const size_t frames = rig->setup.frame_count;
    struct rig_snapshot now;

    rig_snapshot_take(&now, rig);
    ck_assert_mem_eq(now.taken, snapshot->taken, frames);
    ck_assert_mem_eq(now.counts, snapshot->counts, frames * sizeof(uint32_t));
    ck_assert_msg(memcmp(now.bytes, snapshot->bytes, frames << rig->setup.frame_shift) == 0,
                  "%s: memory changed", rig->setup.shape->name);
    ck_assert_uint_eq(now.available, snapshot->available);
    ck_assert_uint_eq(now.held, snapshot->held);
    ck_assert_uint_eq(now.table_frames, snapshot->table_frames);
    ck_assert(s2_table_check(&rig->table));
    ck_assert(frame_pool_check(&rig->pool));
    rig_snapshot_free(&now);
}

void rig_snapshot_free(struct rig_snapshot *snapshot)
{
    free(snapshot->bytes);
    free(snapshot->counts);
    free(snapshot->taken);
    *snapshot = (struct rig_snapshot){0};
}

/* --- Steps ----------------------------------------------------------------------------------- */

static enum mapping_error perform(struct rig *rig, struct rig_step step)
{
    const struct ipa_range range = ipa_range(step.ipa, step.size);

    switch (step.verb) {
    case RIG_MAP:
        return s2_table_map(&rig->table, range, pa_of(step.pa), step.flags);
    case RIG_UNMAP:
        return s2_table_unmap(&rig->table, range);
    case RIG_PROTECT:
        return s2_table_protect(&rig->table, range, step.flags);
    case RIG_REPLACE:
        return s2_table_replace(&rig->table, range, pa_of(step.pa));
    case RIG_OVER:
        return s2_table_map_over(&rig->table, range, pa_of(step.pa), step.flags);
    case RIG_FOLD:
        break;
    }
    return step.flags == 0 ? s2_table_fold(&rig->table, range)
                           : s2_table_fold_within(&rig->table, range, step.flags);
}

enum mapping_error rig_do(struct rig *rig, struct rig_step step)
{
    enum mapping_error error;

    rig_poison_free(rig);
    error = perform(rig, step);
    monitor_quiesce(rig->monitor);
    return error;
}

void rig_must(struct rig *rig, struct rig_step step)
{
    const enum mapping_error error = rig_do(rig, step);

    ck_assert_msg(error == MAPPING_OK, "%s: %s", rig->setup.shape->name, mapping_error_name(error));
}

void rig_refused(struct rig *rig, struct rig_step step, enum mapping_error error)
{
    struct rig_snapshot before;
    enum mapping_error answer;
    size_t changes;

    rig_poison_free(rig);
    rig_snapshot_take(&before, rig);
    changes = sim_change_count();
    answer = rig_do(rig, step);
    ck_assert_msg(answer == error, "%s: %s", rig->setup.shape->name, mapping_error_name(answer));
    rig_snapshot_assert_same(&before, rig);
    ck_assert_uint_eq(sim_change_count(), changes);
    rig_snapshot_free(&before);
}

void rig_needs(struct rig *rig, struct rig_step step, size_t frames)
{
    const size_t before = s2_table_frame_count(&rig->table);
    const size_t available = frame_pool_available(&rig->pool);

    for (size_t n = 0; n < frames; n++) {
        rig_leave(rig, n);
        rig_refused(rig, step, MAPPING_NO_FRAME);
    }
    rig_leave(rig, frames);
    rig_must(rig, step);
    ck_assert_uint_eq(s2_table_frame_count(&rig->table), before + frames);
    ck_assert_uint_eq(frame_pool_available(&rig->pool), 0);
    rig_leave(rig, available - frames);
    ck_assert_uint_eq(rig->ballast_count, 0);
}
