#include "stage2/table/table.h"

#include "stage2/arch/arch.h"
#include "stage2/table/dark.h"

#define BBM_DIRECT 2 /* FEAT_BBM level */

_Static_assert(sizeof(struct s2_table) <= 2048, "a guest's tables cost the caller at most 2 KiB");

/* --- Init and fini --------------------------------------------------------------------------- */

const char *s2_config_reason(const struct s2_config *config)
{
    struct s2_geometry geometry;
    const char *reason = NULL;

    return s2_geometry_init(&geometry, config, &reason) == MAPPING_OK ? NULL : reason;
}

/* Why @pool cannot serve: tables must fit in whole frames, and be where the walker can be sent. */
static const char *pool_reason(const struct frame_pool *pool, const struct s2_geometry *geometry)
{
    if (pool == NULL) {
        return "no pool for the tables given";
    }
    if (frame_pool_shift(pool) > geometry->granule_shift) {
        return "the frames of the tables' pool are larger than the granule";
    }
    if (!frame_pool_is_reachable(pool, pa_of(MAPPING_BIT(geometry->pa_bits)))) {
        return "the tables' pool has frames without memory, or beyond the output size";
    }
    return NULL;
}

const char *s2_table_init_reason(const struct s2_config *config, const struct frame_pool *pool)
{
    struct s2_geometry geometry;
    const char *reason = NULL;
    const enum mapping_error error = s2_geometry_init(&geometry, config, &reason);

    return error == MAPPING_OK ? pool_reason(pool, &geometry) : reason;
}

/* Whether sizes change by one store. By itself no device is vouched for. */
static bool is_direct(const struct s2_config *config)
{
    const bool has_device =
        config->notifier.invalidated != NULL || config->transient == S2_TRANSIENT_REFUSED;

    return config->cpu->bbm >= BBM_DIRECT &&
           (config->size_change == S2_SIZE_CHANGE_DIRECT ||
            (config->size_change == S2_SIZE_CHANGE_AUTO && config->cpu->has_conflict_free_sizes &&
             !has_device));
}

static void table_describe(struct s2_table *table, const struct s2_config *config,
                           const struct s2_geometry *geometry, struct frame_pool *pool)
{
    *table = (struct s2_table){
        .geometry = *geometry,
        .format = s2_format_of(geometry, config),
        .pool = pool,
        .guard = config->guard,
        .end = ipa_of(MAPPING_BIT(geometry->ipa_bits)),
        .vmid_bits = config->cpu->vmid_bits,
        .rules = s2_tlb_rules_of(geometry, config),
        .notifier = config->notifier,
        .sink = config->sink,
        .recent = {.base = IPA_INIT(S2_RECENT_NO_BASE),
                   .span = s2_level_size(geometry, S2_LEVEL_PAGE - 1),
                   .flags = S2_RECENT_NO_FLAGS},
        .is_direct = is_direct(config),
        .refuses_transient = config->transient == S2_TRANSIENT_REFUSED,
        .table_order = geometry->granule_shift - frame_pool_shift(pool),
        .memory = {.pool = pool,
                   .cache_line = config->cpu->dcache_line,
                   .cleans_tables = config->walker == S2_WALKER_NON_COHERENT,
                   .has_dic = config->cpu->has_dic},
    };
    atomic_init(&table->vmid.tag, 0);
    atomic_init(&table->vmids, NULL);
    atomic_init(&table->has_slow_memory, false);
    frame_reserve_init(&table->operation.held);
    frame_list_init(&table->operation.returns.frames);
    for (int i = 0; i < S2_LEVEL_COUNT; i++) {
        frame_list_init(&table->operation.quarantine[i]);
    }
}

static unsigned root_order(const struct s2_table *table)
{
    return table->table_order + table->geometry.root_order;
}

/* Whether lookups may go the fast way (lookup.c). */
static void table_decide_fast(struct s2_table *table)
{
    uint64_t bias;

    if (frame_pool_bias(table->pool, &bias) && table->format.high_mask == 0 &&
        table->geometry.start_level >= 0 && table->geometry.start_level < S2_LEVEL_PAGE) {
        table->fast_bias = bias;
        table->fast_shape =
            S2_FAST_SHAPE(table->geometry.granule_shift, table->geometry.start_level);
    }
}

enum mapping_error s2_table_init(struct s2_table *table, const struct s2_config *config,
                                 struct frame_pool *pool)
{
    struct s2_geometry geometry;
    enum mapping_error error = s2_geometry_init(&geometry, config, NULL);
    size_t entries;
    pa_t root;

    MAPPING_ASSERT(table != NULL);
    if (error != MAPPING_OK) {
        return error;
    }
    if (pool_reason(pool, &geometry) != NULL) {
        return MAPPING_INVALID_PARAM;
    }
    error = frame_pool_alloc(
        pool, geometry.granule_shift - frame_pool_shift(pool) + geometry.root_order, &root);
    if (error != MAPPING_OK) {
        return error;
    }
    table_describe(table, config, &geometry, pool);
    table_decide_fast(table);
    frame_pool_seal(pool, root);
    table->root_pa = root;
    table->vttbr = s2_geometry_vttbr(&geometry, root, 0);
    table->root = frame_pool_ptr(pool, root);
    MAPPING_ASSERT(table->root != NULL);
    entries = (size_t)(s2_root_size(&geometry) / sizeof(s2_desc_t));
    s2_dark_zero(table->root, entries);
    s2_memory_clean_tables(&table->memory, table->root, entries);
    s2_memory_publish(&table->memory);
    return MAPPING_OK;
}

void s2_table_set_vmid(struct s2_table *table, uint16_t vmid)
{
    MAPPING_ASSERT(vmid < MAPPING_BIT(table->vmid_bits));
    MAPPING_ASSERT(table->operation.depth == 0);
    MAPPING_ASSERT(atomic_load_explicit(&table->vmids, memory_order_relaxed) == NULL);
    /* They would go to the wrong one. */
    MAPPING_ASSERT(s2_tlb_batch_is_empty(&table->operation.invalidations));
    MAPPING_ASSERT(table->operation.reclaim_count == 0);

    table->vttbr = s2_vttbr_with_vmid(table->vttbr, vmid);
}

/* Released for whoever finds the pointer: nothing but the pointer is new, yet a change that goes on
 * without it must come before the guest's first walk. */
enum mapping_error s2_table_set_vmids(struct s2_table *table, struct s2_vmid_allocator *vmids)
{
    struct s2_vmid_allocator *before = atomic_load_explicit(&table->vmids, memory_order_relaxed);

    MAPPING_ASSERT(vmids != NULL);
    if (table->root == NULL) {
        return MAPPING_BAD_STATE;
    }
    if (before == vmids) {
        return MAPPING_OK;
    }
    if (before != NULL || s2_vmid_last(vmids) == S2_VMID_NOBODY ||
        s2_vmid_last(vmids) >= MAPPING_BIT(table->vmid_bits)) {
        return MAPPING_INVALID_PARAM;
    }
    atomic_store_explicit(&table->vmids, vmids, memory_order_release);
    return MAPPING_OK;
}

void s2_table_set_memory(struct s2_table *table, const struct s2_memory_ops *ops)
{
    MAPPING_ASSERT(ops == NULL || (ops->open != NULL && ops->close != NULL));

    table->memory.ops = ops;
}

bool s2_table_is_data(const struct s2_table *table, pa_t pa, uint64_t size)
{
    return frame_pool_is_data(table->pool, pa, size) &&
           (table->guard == NULL || frame_guard_is_data(table->guard, table->pool, pa, size));
}

enum mapping_error s2_table_check_flags(const struct s2_table *table, mapping_flags_t flags)
{
    s2_desc_t attr;

    return s2_attr_encode(&table->format, flags, &attr);
}

bool s2_table_needs_clean(const struct s2_table *table, mapping_flags_t flags)
{
    const bool is_forced = table->format.has_fwb && (flags & S2_TYPE) == S2_NORMAL;

    return !s2_flags_are_device(flags) && !is_forced;
}

/* --- Registers ------------------------------------------------------------------------------- */

unsigned s2_table_parange(const struct s2_table *table)
{
    static const uint8_t bits[] = {32, 36, 40, 42, 44, 48, 52};
    unsigned parange = sizeof(bits) - 1;

    MAPPING_ASSERT(table->geometry.ipa_bits >= bits[0]);
    while (bits[parange] > table->geometry.ipa_bits) {
        parange--;
    }
    return parange;
}

uint64_t s2_table_vtcr(const struct s2_table *table)
{
    return table->geometry.vtcr;
}

uint64_t s2_table_vttbr(const struct s2_table *table)
{
    const struct s2_vmid_allocator *vmids =
        atomic_load_explicit(&table->vmids, memory_order_acquire);

    return vmids == NULL ? table->vttbr
                         : s2_vttbr_with_vmid(table->vttbr, s2_vmid_number(vmids, &table->vmid));
}

/* The other side of the compilers' own atomics by which they are counted. */
static uint64_t read_count(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

struct s2_tlb_counters s2_table_tlb_snapshot(const struct s2_table *table)
{
    const struct s2_tlb_counters *counters = &table->counters;

    return (struct s2_tlb_counters){
        .flushes = read_count(&counters->flushes),
        .by_address = read_count(&counters->by_address),
        .by_range = read_count(&counters->by_range),
        .stage1 = read_count(&counters->stage1),
        .whole = read_count(&counters->whole),
        .saved = read_count(&counters->saved),
        .saved_flushes = read_count(&counters->saved_flushes),
        .skipped_flushes = read_count(&counters->skipped_flushes),
    };
}

const struct s2_tlb_counters *s2_table_tlb_counters(const struct s2_table *table)
{
    return &table->counters;
}

uint64_t s2_table_hcr(const struct s2_table *table)
{
    return table->geometry.hcr;
}

uint16_t s2_table_vmid(const struct s2_table *table)
{
    return s2_vttbr_vmid(s2_table_vttbr(table));
}

size_t s2_table_frame_count(const struct s2_table *table)
{
    const size_t roots = table->hardware_root != NULL ? 2 : 1;

    return (table->table_count << table->table_order) + (roots << root_order(table));
}
