#include "stage2/operation.h"

static struct s2_tlb_target tlb_target(const struct s2_table *table)
{
    return (struct s2_tlb_target){
        .geometry = &table->geometry,
        .vttbr = s2_table_vttbr(table),
        .has_ttl = table->has_ttl,
        .has_vhe = table->has_vhe,
        .has_speculative_at = table->has_speculative_at,
    };
}

enum mapping_error s2_operation_hold(struct s2_table *table, size_t count)
{
    MAPPING_ASSERT(table->operation.depth > 0);

    if (count == 0) {
        return MAPPING_OK;
    }
    return frame_pool_reserve(table->pool, table->table_order, count, &table->operation.held);
}

pa_t s2_operation_take(struct s2_table *table)
{
    const pa_t pa = frame_pool_take(table->pool, &table->operation.held);

    MAPPING_ASSERT(table->operation.depth > 0);
    MAPPING_ASSERT(pa_is_aligned(pa, s2_granule_size(&table->geometry)));

    frame_pool_seal(table->pool, pa);
    table->table_count++;
    return pa;
}

void s2_operation_retire(struct s2_table *table, pa_t pa, int level)
{
    MAPPING_ASSERT(table->operation.depth > 0);
    MAPPING_ASSERT(level > table->geometry.start_level && level <= S2_LEVEL_PAGE);
    MAPPING_ASSERT(!pa_eq(pa, table->root_pa));

    frame_list_push(table->pool, &table->operation.retired[level - S2_LEVEL_FIRST], pa);
}

void s2_operation_release(struct s2_table *table, pa_t pa)
{
    MAPPING_ASSERT(table->table_count > 0);
    MAPPING_ASSERT(!pa_eq(pa, table->root_pa));

    table->table_count--;
    frame_pool_untake(table->pool, pa, table->table_order, &table->operation.held);
}

void s2_operation_owe(struct s2_table *table, struct ipa_range range, int level)
{
    MAPPING_ASSERT(table->operation.depth > 0);
    MAPPING_ASSERT(level == S2_TLB_LEVEL_ANY || s2_level_is_leaf(&table->geometry, level));
    MAPPING_ASSERT(ipa_le(ipa_range_end(range), table->end));

    s2_tlb_batch_add(&table->operation.owed, range, level);
}

void s2_clean_descs(const struct s2_table *table, const s2_desc_t *slot, size_t count)
{
    if (table->cleans_tables && count > 0) {
        const char *end = (const char *)(slot + count);
        const char *line = (const char *)slot - ((uintptr_t)slot & (table->memory.cache_line - 1U));

        MAPPING_ASSERT(u64_is_pow2(table->memory.cache_line));
        for (; line < end; line += table->memory.cache_line) {
            arch_dc_cvac(line);
        }
    }
}

void s2_operation_stored(struct s2_table *table, const s2_desc_t *slot, size_t count)
{
    MAPPING_ASSERT(table->operation.depth > 0);

    s2_clean_descs(table, slot, count);
    table->operation.is_stored = true;
}

void s2_operation_link(struct s2_table *table, s2_desc_t *slot, s2_desc_t desc)
{
    MAPPING_ASSERT(s2_desc_is_valid(desc));

    if (table->cleans_tables) {
        /* The lines of the new table are on their way to memory, which a release does not wait
         * for; nor does a DSB for stores alone. */
        arch_dsb_ish();
    }
    arch_desc_publish(slot, desc);
    s2_operation_stored(table, slot, 1);
}

void s2_operation_publish(const struct s2_table *table)
{
    if (table->cleans_tables) {
        arch_dsb_ish(); /* cache maintenance is not among the stores */
    } else {
        arch_dsb_ishst();
    }
    arch_isb();
}

s2_desc_t s2_operation_break(s2_desc_t *slot)
{
    const s2_desc_t seen = arch_desc_load(slot);
    const s2_desc_t last = arch_desc_swap(slot, s2_desc_break(seen));

    MAPPING_ASSERT(s2_desc_is_valid(last));
    if (!s2_desc_eq(last, seen)) {
        /* The hardware was faster. It does not write an invalid descriptor, so this is final. */
        arch_desc_store(slot, s2_desc_break(last));
    }
    return last;
}

void s2_operation_show_code(const struct s2_table *table, mapping_flags_t flags)
{
    if ((flags & S2_EXEC) != 0 && !table->has_dic) {
        arch_ic_ialluis();
        arch_dsb_ish();
    }
}

/* The children of the table at @pa follow it out, onto the list of their level. */
static void retire_children(struct s2_table *table, pa_t pa, int level)
{
    const s2_desc_t *entries = frame_pool_ptr(table->pool, pa);
    const unsigned count = s2_table_entries(&table->geometry);

    MAPPING_ASSERT(entries != NULL);
    MAPPING_ASSERT(level < S2_LEVEL_PAGE);
    for (unsigned i = 0; i < count; i++) {
        const s2_desc_t desc = arch_desc_load(&entries[i]);

        if (s2_desc_is_table(desc, level)) {
            s2_operation_retire(table, s2_desc_address(&table->format, desc), level + 1);
        }
    }
}

/* From the top down, so that a subtree goes without recursion; without a look at its leaves. */
static void release_retired(struct s2_table *table)
{
    struct s2_operation *operation = &table->operation;
    pa_t pa;

    for (int level = S2_LEVEL_FIRST; level < S2_LEVEL_PAGE; level++) {
        while (frame_list_pop(table->pool, &operation->retired[level - S2_LEVEL_FIRST], &pa)) {
            retire_children(table, pa, level);
            s2_operation_release(table, pa);
        }
    }
    MAPPING_ASSERT(table->table_count >= operation->retired[S2_LEVEL_PAGE - S2_LEVEL_FIRST].count);
    table->table_count -= operation->retired[S2_LEVEL_PAGE - S2_LEVEL_FIRST].count;
    frame_pool_untake_all(table->pool, &operation->retired[S2_LEVEL_PAGE - S2_LEVEL_FIRST],
                          table->table_order, &operation->held);
    MAPPING_ASSERT(!s2_operation_has_retired(table));
}

bool s2_operation_has_retired(const struct s2_table *table)
{
    for (int i = 0; i < S2_LEVEL_COUNT; i++) {
        if (table->operation.retired[i].count != 0) {
            return true;
        }
    }
    return false;
}

void s2_table_flush(struct s2_table *table)
{
    struct s2_operation *operation = &table->operation;

    MAPPING_ASSERT(operation->depth > 0);
    MAPPING_ASSERT(!s2_tlb_batch_is_empty(&operation->owed) || !s2_operation_has_retired(table));

    if (!s2_tlb_batch_is_empty(&operation->owed)) {
        const struct s2_tlb_target target = tlb_target(table);

        s2_tlb_flush(&target, &operation->owed);
        operation->is_stored = false;
    }
    release_retired(table);
    MAPPING_ASSERT(s2_tlb_batch_is_empty(&operation->owed));
}

void s2_operation_flush_vmid(struct s2_table *table)
{
    const struct s2_tlb_target target = tlb_target(table);

    MAPPING_ASSERT(table->operation.depth > 0);

    s2_tlb_flush_vmid(&target);
    release_retired(table);
}

void s2_table_begin(struct s2_table *table)
{
    MAPPING_ASSERT(table->root != NULL);
    MAPPING_ASSERT(table->operation.depth < UINT32_MAX);
    MAPPING_ASSERT(table->operation.depth > 0 || !table->operation.is_stored);
    MAPPING_ASSERT(table->operation.depth > 0 || frame_reserve_count(&table->operation.held) == 0);

    table->operation.depth++;
}

void s2_table_end(struct s2_table *table)
{
    struct s2_operation *operation = &table->operation;

    MAPPING_ASSERT(operation->depth > 0);

    if (operation->depth > 1) {
        operation->depth--;
        return;
    }
    s2_table_flush(table);
    if (operation->is_stored) {
        s2_operation_publish(table);
        operation->is_stored = false;
    }
    operation->unmapping = ipa_range(0, 0);
    frame_pool_unreserve(table->pool, &operation->held);
    operation->depth = 0;
    MAPPING_ASSERT(frame_reserve_count(&operation->held) == 0);
}
