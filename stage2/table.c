#include "stage2/table.h"

#include "stage2/arch.h"
#include "stage2/operation.h"
#include "stage2/walk.h"

/* --- Init and fini --------------------------------------------------------------------------- */

const char *s2_config_reason(const struct s2_config *config)
{
    struct s2_geometry geometry;
    const char *reason = NULL;

    return s2_geometry_init(&geometry, config, &reason) == MAPPING_OK ? NULL : reason;
}

/* Tables must fit in whole frames, and be where the walker can be sent. */
static bool pool_can_serve(const struct frame_pool *pool, const struct s2_geometry *geometry)
{
    return frame_pool_shift(pool) <= geometry->granule_shift &&
           frame_pool_is_reachable(pool, pa_of(BIT(geometry->pa_bits)));
}

static void table_describe(struct s2_table *table, const struct s2_config *config,
                           const struct s2_geometry *geometry, struct frame_pool *pool)
{
    *table = (struct s2_table){
        .geometry = *geometry,
        .format = s2_format_of(geometry, config->cpu),
        .pool = pool,
        .vmid_bits = config->cpu->vmid_bits,
        .has_ttl = config->cpu->has_ttl,
        .has_vhe = config->cpu->has_vhe,
        .has_speculative_at = config->cpu->has_speculative_at,
        .has_dic = config->cpu->has_dic,
        .cleans_tables = config->walker == S2_WALKER_NON_COHERENT,
        .table_order = geometry->granule_shift - frame_pool_shift(pool),
        .memory = {.pool = pool, .cache_line = config->cpu->dcache_line},
    };
    frame_reserve_init(&table->operation.held);
    frame_list_init(&table->operation.retired);
}

static unsigned root_order(const struct s2_table *table)
{
    return table->table_order + table->geometry.root_order;
}

enum mapping_error s2_table_init(struct s2_table *table, const struct s2_config *config,
                                 struct frame_pool *pool)
{
    struct s2_geometry geometry;
    enum mapping_error error = s2_geometry_init(&geometry, config, NULL);
    size_t entries;
    pa_t root;

    if (error != MAPPING_OK) {
        return error;
    }
    if (!pool_can_serve(pool, &geometry)) {
        return MAPPING_INVALID_PARAM;
    }
    error = frame_pool_alloc(
        pool, geometry.granule_shift - frame_pool_shift(pool) + geometry.root_order, &root);
    if (error != MAPPING_OK) {
        return error;
    }
    table_describe(table, config, &geometry, pool);
    frame_pool_seal(pool, root);
    table->root_pa = root;
    table->root = frame_pool_ptr(pool, root);
    MAPPING_ASSERT(table->root != NULL);
    entries = (size_t)(s2_root_size(&geometry) / sizeof(s2_desc_t));
    for (size_t i = 0; i < entries; i++) {
        arch_desc_fill(&table->root[i], S2_DESC_NONE);
    }
    s2_clean_descs(table, table->root, entries);
    arch_dsb_ishst();
    return MAPPING_OK;
}

void s2_table_fini(struct s2_table *table)
{
    const unsigned entries = s2_root_entries(&table->geometry);
    enum mapping_error error;

    MAPPING_ASSERT(table->operation.depth == 0);

    s2_table_begin(table);
    for (unsigned i = 0; i < entries; i++) {
        const s2_desc_t desc = arch_desc_load(&table->root[i]);

        if (s2_desc_is_table(desc, table->geometry.start_level)) {
            s2_operation_retire(table, s2_desc_address(&table->format, desc),
                                table->geometry.start_level + 1);
        }
    }
    s2_operation_flush_vmid(table);
    s2_table_end(table);
    MAPPING_ASSERT(table->table_count == 0);
    error = frame_pool_free(table->pool, table->root_pa, root_order(table));
    MAPPING_ASSERT(error == MAPPING_OK);
    (void)error;
    table->root = NULL;
}

void s2_table_set_vmid(struct s2_table *table, uint16_t vmid)
{
    MAPPING_ASSERT(vmid < BIT(table->vmid_bits));
    MAPPING_ASSERT(table->operation.depth == 0);

    table->vmid = vmid;
}

void s2_table_set_memory(struct s2_table *table, const struct s2_memory_ops *ops)
{
    table->memory.ops = ops;
}

bool s2_table_is_range(const struct s2_table *table, struct ipa_range range)
{
    return ipa_range_is_valid(range) &&
           ipa_range_is_aligned(range, s2_granule_size(&table->geometry)) &&
           ipa_range_covers(ipa_range(0, BIT(table->geometry.ipa_bits)), range);
}

bool s2_table_is_data(const struct s2_table *table, pa_t pa, uint64_t size)
{
    return frame_pool_is_data(table->pool, pa, size);
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
    return s2_geometry_vttbr(&table->geometry, table->root_pa, table->vmid);
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
    s2_desc_t desc;
    int level;
    unsigned shift; /* log2 bytes that an entry of this level spans */
};

static inline struct found find(const struct s2_table *table, ipa_t addr)
{
    const struct s2_geometry *geometry = &table->geometry;
    const unsigned mask = s2_table_entries(geometry) - 1;
    struct found found = {.level = geometry->start_level,
                          .shift = s2_level_shift(geometry, geometry->start_level)};

    /* Inside the input size, so the root needs no mask. */
    found.desc = arch_desc_load(&table->root[ipa_index(addr, found.shift)]);
    while (s2_desc_is_table(found.desc, found.level)) {
        const s2_desc_t *entries =
            frame_pool_ptr(table->pool, s2_desc_address(&table->format, found.desc));

        found.shift -= geometry->stride;
        found.level++;
        found.desc = arch_desc_load(&entries[ipa_index(addr, found.shift) & mask]);
    }
    return found;
}

static bool is_inside(const struct s2_table *table, ipa_t addr)
{
    return ipa_index(addr, table->geometry.ipa_bits) == 0;
}

enum mapping_error s2_table_lookup(const struct s2_table *table, ipa_t addr, struct s2_leaf *leaf)
{
    struct found found;
    uint64_t size;

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
        .flags = s2_attr_decode(&table->format, found.desc),
    };
    return MAPPING_OK;
}

bool s2_table_translate(const struct s2_table *table, ipa_t addr, pa_t *pa)
{
    struct found found;

    if (!is_inside(table, addr)) {
        return false;
    }
    found = find(table, addr);
    if (!s2_desc_is_leaf(found.desc, found.level)) {
        return false;
    }
    *pa = pa_add(s2_desc_address(&table->format, found.desc), ipa_offset(addr, BIT(found.shift)));
    return true;
}

/* --- Check ----------------------------------------------------------------------------------- */

/* Whether a valid leaf stands where leaves may, aligned and inside the output size. */
static bool leaf_is_sound(const struct s2_table *table, s2_desc_t desc, int level)
{
    const uint64_t size = s2_level_size(&table->geometry, level);
    const pa_t pa = s2_desc_address(&table->format, desc);

    return s2_level_is_leaf(&table->geometry, level) && pa_is_aligned(pa, size) &&
           pa_span_fits(pa, size, BIT(table->geometry.pa_bits));
}

static bool child_is_sound(const struct s2_table *table, s2_desc_t desc)
{
    const pa_t pa = s2_desc_address(&table->format, desc);

    return frame_pool_is_taken(table->pool, pa, table->table_order) &&
           frame_pool_ptr(table->pool, pa) != NULL;
}

/* The table that the cursor has just entered: its entries and its count. */
static bool check_table(struct s2_walk *walk, size_t *tables)
{
    const struct s2_table *table = walk->table;
    const s2_desc_t *entries = s2_walk_step(walk)->entries;
    uint32_t used = 0;

    for (unsigned i = 0; i < s2_walk_entries(walk); i++) {
        const s2_desc_t desc = arch_desc_load(&entries[i]);
        const bool is_table = s2_desc_is_table(desc, walk->level);

        if (!s2_desc_is_legal(&table->format, desc, walk->level) ||
            (is_table && !child_is_sound(table, desc)) ||
            (s2_desc_is_leaf(desc, walk->level) && !leaf_is_sound(table, desc, walk->level))) {
            return false;
        }
        used += s2_desc_is_none(desc) ? 0 : 1;
        *tables += is_table ? 1 : 0;
    }
    return used == *s2_walk_count(walk) && (used > 0 || walk->level == walk->top);
}

bool s2_table_check(const struct s2_table *table)
{
    /* The walk asks for a table that it may change; this one only looks. */
    struct s2_table view = *table;
    struct s2_walk walk;
    size_t tables = 0;

    if (table->operation.depth != 0 || frame_reserve_count(&table->operation.held) != 0 ||
        table->operation.retired.count != 0 || !s2_tlb_batch_is_empty(&table->operation.owed)) {
        return false;
    }
    s2_walk_begin(&walk, &view, ipa_range(0, BIT(table->geometry.ipa_bits)));
    if (!check_table(&walk, &tables)) {
        return false;
    }
    while (!s2_walk_is_done(&walk)) {
        const s2_desc_t desc = arch_desc_load(s2_walk_slot(&walk));

        if (s2_desc_is_table(desc, walk.level)) {
            s2_walk_descend(&walk, desc);
            if (!check_table(&walk, &tables)) {
                return false;
            }
        } else {
            s2_walk_skip_entry(&walk);
        }
        s2_walk_ascend_all(&walk);
    }
    return tables == table->table_count;
}
