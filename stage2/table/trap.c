#include "stage2/table/trap.h"

#include "stage2/table/flush.h"
#include "stage2/table/frames.h"
#include "stage2/table/operation.h"
#include "stage2/table/store.h"

static unsigned copy_order(const struct s2_table *table)
{
    return table->table_order + table->geometry.root_order;
}

/* From here on all else goes by the copy. */
static enum mapping_error make_copy(struct s2_table *table)
{
    const unsigned entries = s2_root_entries(&table->geometry);
    const enum mapping_error error =
        frame_pool_alloc(table->pool, copy_order(table), &table->root_copy);
    s2_desc_t *copy;

    if (error != MAPPING_OK) {
        return error;
    }
    MAPPING_ASSERT(pa_is_aligned(table->root_copy, s2_granule_size(&table->geometry)));
    frame_pool_seal(table->pool, table->root_copy);
    copy = frame_pool_ptr(table->pool, table->root_copy);
    MAPPING_ASSERT(copy != NULL);
    for (unsigned i = 0; i < entries; i++) {
        arch_desc_fill(&copy[i], arch_desc_load(&table->root[i]));
    }
    table->hardware_root = table->root;
    table->root = copy;
    return MAPPING_OK;
}

static void empty_hardware_root(struct s2_table *table)
{
    const unsigned entries = s2_root_entries(&table->geometry);

    MAPPING_ASSERT(table->hardware_root != NULL && table->hardware_root != table->root);
    MAPPING_ASSERT(table->operation.pending_count == 0);
    for (unsigned i = 0; i < entries; i++) {
        s2_desc_t *slot = &table->hardware_root[i];

        if (!s2_desc_is_none(arch_desc_load(slot))) {
            arch_desc_store(slot, S2_DESC_NONE);
            s2_memory_clean_tables(&table->memory, slot, 1);
        }
    }
    table->operation.is_stored = true;
}

enum mapping_error s2_table_trap(struct s2_table *table)
{
    enum mapping_error error = MAPPING_OK;

    if (table->refuses_transient) {
        return MAPPING_DENIED;
    }
    if (table->format.has_access_flag &&
        s2_level_is_leaf(&table->geometry, table->geometry.start_level)) {
        return MAPPING_UNSUPPORTED;
    }
    MAPPING_ASSERT(table->operation.depth == 0);
    s2_table_begin(table);
    if (table->hardware_root == NULL) {
        error = make_copy(table);
    }
    if (error == MAPPING_OK) {
        empty_hardware_root(table);
        s2_flush_vmid(table);
        if (s2_frames_quarantined(table) > 0) {
            s2_frames_release_all(table); /* of a batch: this was its flush, too */
        }
    }
    s2_table_end(table);
    return error;
}

/* Give entry @i back to the hardware, if it was trapped. */
static bool let_through(struct s2_table *table, unsigned i)
{
    s2_desc_t *slot = &table->hardware_root[i];
    const s2_desc_t desc = arch_desc_load(&table->root[i]);

    if (s2_desc_is_none(desc) || !s2_desc_is_none(arch_desc_load(slot))) {
        return false;
    }
    MAPPING_ASSERT(s2_desc_is_valid(desc));
    arch_desc_publish(slot, desc);
    s2_memory_clean_tables(&table->memory, slot, 1);
    return true;
}

bool s2_table_untrap(struct s2_table *table, ipa_t addr)
{
    const unsigned shift = s2_level_shift(&table->geometry, table->geometry.start_level);
    bool is_back;

    MAPPING_ASSERT(table->operation.depth == 0);
    if (table->hardware_root == NULL || !ipa_lt(addr, table->end)) {
        return false;
    }
    is_back = let_through(table, (unsigned)ipa_index(addr, shift));
    if (is_back) {
        s2_memory_publish(&table->memory);
    }
    return is_back;
}

void s2_table_trap_end(struct s2_table *table)
{
    const unsigned entries = s2_root_entries(&table->geometry);
    enum mapping_error error;

    MAPPING_ASSERT(table->operation.depth == 0);
    if (table->hardware_root == NULL) {
        return;
    }
    for (unsigned i = 0; i < entries; i++) {
        (void)let_through(table, i);
    }
    s2_memory_publish(&table->memory);
    table->root = table->hardware_root;
    table->hardware_root = NULL;
    error = frame_pool_free(table->pool, table->root_copy, copy_order(table));
    MAPPING_ASSERT(error == MAPPING_OK);
    (void)error;
}
