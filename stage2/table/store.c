#include "stage2/table/store.h"

void s2_stored_copy(struct s2_table *table, const s2_desc_t *slot, size_t count)
{
    const uintptr_t offset = (uintptr_t)slot - (uintptr_t)table->root;
    const size_t first = offset / sizeof(*slot);

    if (first >= s2_root_entries(&table->geometry)) {
        return;
    }
    MAPPING_ASSERT(offset % sizeof(*slot) == 0);
    MAPPING_ASSERT(first + count <= s2_root_entries(&table->geometry));
    for (size_t i = first; i < first + count; i++) {
        s2_desc_t *hardware = &table->hardware_root[i];
        const s2_desc_t desc = arch_desc_load(&table->root[i]);

        if (s2_desc_is_none(arch_desc_load(hardware))) {
            continue;
        }
        if (s2_desc_is_valid(desc)) {
            arch_desc_publish(hardware, desc);
        } else {
            arch_desc_store(hardware, desc);
        }
        s2_memory_clean_tables(&table->memory, hardware, 1);
    }
}

void s2_store_link(struct s2_table *table, s2_desc_t *slot, s2_desc_t desc)
{
    MAPPING_ASSERT(s2_desc_is_valid(desc));

    s2_memory_await_tables(&table->memory);
    arch_desc_publish(slot, desc);
    s2_stored(table, slot, 1);
}

bool s2_store_link_over(struct s2_table *table, s2_desc_t *slot, s2_desc_t *expected,
                        s2_desc_t desc)
{
    MAPPING_ASSERT(table->is_direct);
    MAPPING_ASSERT(s2_desc_is_valid(desc) && s2_desc_is_valid(*expected));

    s2_memory_await_tables(&table->memory);
    if (!arch_desc_replace(slot, expected, desc)) {
        return false;
    }
    s2_stored(table, slot, 1);
    return true;
}

s2_desc_t s2_store_break(s2_desc_t *slot)
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

/* --- Invalidations ---------------------------------------------------------------------------- */

static void invalidate(struct s2_table *table, struct ipa_range range, int level,
                       enum s2_tlb_reason reason)
{
    struct s2_tlb_batch *batch = &table->operation.invalidations;

    MAPPING_ASSERT(table->operation.depth > 0);
    MAPPING_ASSERT(level == S2_TLB_LEVEL_ANY || s2_level_is_leaf(&table->geometry, level));
    MAPPING_ASSERT(ipa_le(ipa_range_end(range), table->end));

    if (s2_tlb_batch_is_empty(batch)) {
        s2_tlb_batch_start(batch, range, level, reason);
    } else if (!s2_tlb_batch_extend(batch, range, level, reason)) {
        s2_tlb_batch_add(batch, range, level, reason);
    }
}

void s2_invalidate(struct s2_table *table, struct ipa_range range, int level)
{
    invalidate(table, range, level, S2_TLB_REVOKED);
}

void s2_invalidate_relaxed(struct s2_table *table, struct ipa_range range, int level)
{
    invalidate(table, range, level, S2_TLB_RELAXED);
}
