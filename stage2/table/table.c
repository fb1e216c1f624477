#include "stage2/table/table.h"

#include "stage2/arch/arch.h"
#include "stage2/table/map.h"
#include "stage2/table/operation.h"
#include "stage2/table/walk.h"

#define VTTBR_CNP BIT(0)
#define BBM_DIRECT 2 /* FEAT_BBM level */

_Static_assert(sizeof(struct s2_table) <= 2048, "a guest's tables cost the caller at most 2 KiB");
_Static_assert(sizeof(struct s2_leaf) <= 40, "an answer is five words");

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
    if (!frame_pool_is_reachable(pool, pa_of(BIT(geometry->pa_bits)))) {
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

/* VTTBR_EL2.CnP. */
static bool is_common(const struct s2_config *config)
{
    return config->common == S2_COMMON_PROMISED && config->cpu->has_cnp &&
           (config->cpu->errata & S2_ERRATUM_COMMON) == 0;
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
        .end = ipa_of(BIT(geometry->ipa_bits)),
        .vmid_bits = config->cpu->vmid_bits,
        .rules = s2_tlb_rules_of(geometry, config),
        .notifier = config->notifier,
        .sink = config->sink,
        .has_dic = config->cpu->has_dic,
        .is_common = is_common(config),
        .is_direct = is_direct(config),
        .refuses_transient = config->transient == S2_TRANSIENT_REFUSED,
        .cleans_tables = config->walker == S2_WALKER_NON_COHERENT,
        .table_order = geometry->granule_shift - frame_pool_shift(pool),
        .memory = {.pool = pool, .cache_line = config->cpu->dcache_line},
    };
    atomic_init(&table->vmid.tag, 0);
    atomic_init(&table->vmids, NULL);
    atomic_init(&table->has_slow_memory, false);
    frame_reserve_init(&table->operation.held);
    for (int i = 0; i < S2_LEVEL_COUNT; i++) {
        frame_list_init(&table->operation.quarantine[i]);
    }
}

static unsigned root_order(const struct s2_table *table)
{
    return table->table_order + table->geometry.root_order;
}

/* Whether s2_table_translate() may go the fast way; see there. */
static void table_decide_fast(struct s2_table *table)
{
    uint64_t bias;

    if (frame_pool_bias(table->pool, &bias) && table->format.high_mask == 0 &&
        table->geometry.start_level >= 0 && table->geometry.start_level < S2_LEVEL_PAGE) {
        table->fast_bias = bias;
        table->fast_granule = table->geometry.granule_shift;
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
    table->root = frame_pool_ptr(pool, root);
    MAPPING_ASSERT(table->root != NULL);
    entries = (size_t)(s2_root_size(&geometry) / sizeof(s2_desc_t));
    s2_zero_dark(table->root, entries);
    s2_clean_descs(table, table->root, entries);
    s2_operation_publish(table);
    return MAPPING_OK;
}

void s2_table_set_vmid(struct s2_table *table, uint16_t vmid)
{
    MAPPING_ASSERT(vmid < BIT(table->vmid_bits));
    MAPPING_ASSERT(table->operation.depth == 0);
    MAPPING_ASSERT(atomic_load_explicit(&table->vmids, memory_order_relaxed) == NULL);
    MAPPING_ASSERT(!s2_table_has_deferred(table)); /* it would go to the wrong one */

    table->given_vmid = vmid;
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
        s2_vmid_last(vmids) >= BIT(table->vmid_bits)) {
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

bool s2_table_is_range(const struct s2_table *table, struct ipa_range range)
{
    MAPPING_ASSERT(table->root != NULL);
    return ipa_range_is_valid(range) &&
           ipa_range_is_aligned(range, s2_granule_size(&table->geometry)) &&
           ipa_le(ipa_range_end(range), table->end);
}

bool s2_table_is_output(const struct s2_table *table, pa_t pa, uint64_t size)
{
    return pa_is_aligned(pa, s2_granule_size(&table->geometry)) &&
           pa_span_fits(pa, size, BIT(table->geometry.pa_bits));
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

uint64_t s2_table_vtcr(const struct s2_table *table)
{
    return table->geometry.vtcr;
}

uint64_t s2_table_vttbr(const struct s2_table *table)
{
    const struct s2_vmid_allocator *vmids =
        atomic_load_explicit(&table->vmids, memory_order_acquire);
    const uint16_t vmid = vmids == NULL ? table->given_vmid : s2_vmid_number(vmids, &table->vmid);

    return s2_geometry_vttbr(&table->geometry, table->root_pa, vmid) |
           (table->is_common ? VTTBR_CNP : 0);
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

size_t s2_table_frame_count(const struct s2_table *table)
{
    return (table->table_count << table->table_order) + ((size_t)1 << root_order(table));
}

/* --- Lookup ---------------------------------------------------------------------------------- */

/* Where a walk for one address ends. */
struct found {
    const s2_desc_t *slot;
    s2_desc_t desc;
    int level;
    unsigned shift; /* log2 bytes that an entry of this level spans */
};

static struct found find(const struct s2_table *table, ipa_t addr)
{
    const struct s2_geometry *geometry = &table->geometry;
    const unsigned mask = s2_table_entries(geometry) - 1;
    struct found found = {.level = geometry->start_level,
                          .shift = s2_level_shift(geometry, geometry->start_level)};

    MAPPING_ASSERT(table->root != NULL);
    MAPPING_ASSERT(ipa_lt(addr, table->end));
    /* Inside the input size, so the root needs no mask. */
    found.slot = &table->root[ipa_index(addr, found.shift)];
    found.desc = arch_desc_load(found.slot);
    while (s2_desc_is_table(found.desc, found.level)) {
        const s2_desc_t *entries =
            frame_pool_ptr(table->pool, s2_desc_address(&table->format, found.desc));

        MAPPING_ASSERT(entries != NULL);
        found.shift -= geometry->stride;
        found.level++;
        found.slot = &entries[ipa_index(addr, found.shift) & mask];
        found.desc = arch_desc_load(found.slot);
    }
    return found;
}

static bool is_inside(const struct s2_table *table, ipa_t addr)
{
    return ipa_lt(addr, table->end);
}

/* A leaf with the AF and dirty state of its run, which hardware may have set in any member. */
static s2_desc_t run_state(const struct s2_table *table, const struct found *found, ipa_t addr)
{
    const unsigned count = s2_run_entries(&table->geometry, found->level);
    const s2_desc_t bits = s2_desc_hardware_bits(&table->format, found->desc);
    const s2_desc_t *run = found->slot - ipa_index(addr, found->shift) % count;
    s2_desc_t state = found->desc;

    MAPPING_ASSERT(count > 1);
    for (unsigned i = 0; i < count && !s2_desc_is_none(bits); i++) {
        state = s2_desc_or(state, s2_desc_and(arch_desc_load(&run[i]), bits));
    }
    return state;
}

enum mapping_error s2_table_lookup(const struct s2_table *table, ipa_t addr, struct s2_leaf *leaf)
{
    struct found found;
    uint64_t size;

    MAPPING_ASSERT(leaf != NULL);
    if (!is_inside(table, addr)) {
        return MAPPING_INVALID_PARAM;
    }
    found = find(table, addr);
    size = BIT(found.shift);
    if (s2_desc_is_none(found.desc)) {
        *leaf = (struct s2_leaf){.size = size, .level = found.level};
        return MAPPING_NOT_FOUND;
    }
    if (!s2_desc_is_leaf(found.desc, found.level)) {
        return MAPPING_BAD_STATE;
    }
    *leaf = (struct s2_leaf){
        .pa = pa_add(s2_desc_address(&table->format, found.desc), ipa_offset(addr, size)),
        .size = size,
        .level = found.level,
        .run = size,
        .flags = s2_attr_decode(&table->format, found.desc),
    };
    if (s2_desc_is_contiguous(found.desc)) {
        leaf->run = size * s2_run_entries(&table->geometry, found.level);
        leaf->flags = s2_attr_decode(&table->format, run_state(table, &found, addr));
    }
    return MAPPING_OK;
}

/*
 * The fast path. The granule is a constant in each of three copies, and the levels are written out,
 * so that one level is an extract, a load, a test, a mask and an add. It needs tables in one region,
 * which are all at one distance from their PA, and addresses that lie in place in descriptors.
 */
struct fast_walk {
    const s2_desc_t *entries;
    uint64_t bias; /* pointer - PA of every table */
    uint64_t address_mask;
    uint64_t index_mask; /* of the table at entries: the root's indices need none */
    s2_desc_t desc;
};

/* The entry for @addr, where each spans 2^@shift bytes. */
static inline void fast_load(struct fast_walk *walk, ipa_t addr, unsigned shift)
{
    walk->desc = arch_desc_load(&walk->entries[ipa_index(addr, shift) & walk->index_mask]);
}

/* The same, and into the table that it links; false: it links none. */
static inline bool fast_step(struct fast_walk *walk, ipa_t addr, unsigned shift, unsigned stride)
{
    fast_load(walk, addr, shift);
    /* Above level 3, where every caller is, these two bits are all it takes. */
    if (!s2_desc_is_table(walk->desc, S2_LEVEL_FIRST)) {
        return false;
    }
    walk->entries = s2_desc_near_table(walk->desc, walk->address_mask, walk->bias);
    walk->index_mask = BIT(stride) - 1;
    return true;
}

static inline bool fast_finish(const struct fast_walk *walk, ipa_t addr, unsigned shift, pa_t *pa)
{
    if (!s2_desc_is_valid(walk->desc)) {
        return false;
    }
    *pa = s2_desc_output(walk->desc, walk->address_mask, ipa_offset(addr, BIT(shift)));
    return true;
}

static inline __attribute__((always_inline)) bool
fast_translate(const struct s2_table *table, ipa_t addr, unsigned granule, pa_t *pa)
{
    const unsigned stride = granule - 3;
    struct fast_walk walk = {
        .entries = table->root,
        .bias = table->fast_bias,
        .address_mask = table->format.address_mask,
        .index_mask = UINT64_MAX,
    };

    switch (table->geometry.start_level) {
    case 0:
        if (!fast_step(&walk, addr, granule + 3 * stride, stride)) {
            return fast_finish(&walk, addr, granule + 3 * stride, pa);
        }
        __attribute__((fallthrough));
    case 1:
        if (!fast_step(&walk, addr, granule + 2 * stride, stride)) {
            return fast_finish(&walk, addr, granule + 2 * stride, pa);
        }
        __attribute__((fallthrough));
    default:
        if (!fast_step(&walk, addr, granule + stride, stride)) {
            return fast_finish(&walk, addr, granule + stride, pa);
        }
        fast_load(&walk, addr, granule);
        return fast_finish(&walk, addr, granule, pa);
    }
}

static __attribute__((noinline)) bool general_translate(const struct s2_table *table, ipa_t addr,
                                                        pa_t *pa)
{
    const struct found found = find(table, addr);

    if (!s2_desc_is_leaf(found.desc, found.level)) {
        return false;
    }
    *pa = pa_add(s2_desc_address(&table->format, found.desc), ipa_offset(addr, BIT(found.shift)));
    return true;
}

bool s2_table_translate(const struct s2_table *table, ipa_t addr, pa_t *pa)
{
    if (!is_inside(table, addr)) {
        return false;
    }
    if (table->fast_granule == S2_GRANULE_4K) {
        return fast_translate(table, addr, S2_GRANULE_4K, pa);
    }
    if (table->fast_granule == S2_GRANULE_16K) {
        return fast_translate(table, addr, S2_GRANULE_16K, pa);
    }
    if (table->fast_granule == S2_GRANULE_64K) {
        return fast_translate(table, addr, S2_GRANULE_64K, pa);
    }
    return general_translate(table, addr, pa);
}

/* --- Counting -------------------------------------------------------------------------------- */

enum mapping_error s2_table_frames_needed(const struct s2_table *table,
                                          const struct s2_request *request, size_t *frames)
{
    struct s2_table *view = s2_walk_reading(table);
    enum mapping_error error = MAPPING_INVALID_PARAM;
    size_t tables = 0;

    MAPPING_ASSERT(frames != NULL);
    switch (request->verb) {
    case S2_VERB_MAP:
        error = s2_count_map(view, request->range, request->pa, request->flags, &tables);
        break;
    case S2_VERB_UNMAP:
        error = s2_count_unmap(view, request->range, &tables);
        break;
    case S2_VERB_PROTECT:
        error = s2_count_protect(view, request->range, request->flags, &tables);
        break;
    case S2_VERB_REPLACE:
        error = s2_count_replace(view, request->range, request->pa, &tables);
        break;
    }
    if (error == MAPPING_OK) {
        *frames = tables << table->table_order;
    }
    return error;
}
