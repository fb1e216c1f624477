#include "stage2/table/page.h"

#include "stage2/table/flush.h"
#include "stage2/table/recent.h"
#include "stage2/table/store.h"

/* Whether the page and its output are such that only the tables decide. */
static bool is_sound(const struct s2_table *table, const struct s2_request *request)
{
    const uint64_t granule = s2_granule_size(&table->geometry);
    const bool has_output = request->verb == S2_VERB_MAP || request->verb == S2_VERB_REPLACE;

    return request->range.size == granule && ipa_is_aligned(request->range.start, granule) &&
           ipa_lt(request->range.start, table->end) &&
           (!has_output || (s2_table_is_output(table, request->pa, granule) &&
                            s2_table_is_data(table, request->pa, granule)));
}

/* Whether a change may be all there is to do, now. */
static bool is_alone(const struct s2_table *table)
{
    MAPPING_ASSERT(table->root != NULL);
    return table->operation.depth == 0 && !s2_flush_has_work(table) &&
           !table->format.has_access_flag;
}

static void store(struct s2_table *table, s2_desc_t *slot, s2_desc_t desc)
{
    arch_desc_store(slot, desc);
    s2_memory_clean_tables(&table->memory, slot, 1);
}

static void flush(struct s2_table *table, struct ipa_range page)
{
    const struct s2_tlb_target target = s2_flush_target(table);

    s2_tlb_flush_leaf(&target, page, S2_LEVEL_PAGE);
}

static bool map(struct s2_table *table, const struct s2_request *request, s2_desc_t *slot)
{
    s2_desc_t attr;

    if (!s2_desc_is_none(arch_desc_load(slot)) ||
        s2_recent_attr(table, request->flags, &attr) != MAPPING_OK) {
        return false;
    }
    s2_memory_show_code(&table->memory, request->flags);
    s2_note_memory(table, request->flags, attr);
    *s2_recent_count(table) += 1;
    arch_desc_publish(slot, s2_desc_leaf(&table->format, S2_LEVEL_PAGE, request->pa, attr));
    s2_memory_clean_tables(&table->memory, slot, 1);
    s2_memory_publish(&table->memory);
    return true;
}

static bool unmap(struct s2_table *table, struct ipa_range page, s2_desc_t *slot)
{
    const s2_desc_t desc = arch_desc_load(slot);
    uint32_t *count = s2_recent_count(table);

    if (!s2_desc_is_leaf(desc, S2_LEVEL_PAGE) || s2_desc_is_contiguous(desc) || *count == 1) {
        return false;
    }
    *count -= 1;
    store(table, slot, S2_DESC_NONE);
    flush(table, page);
    return true;
}

static bool protect(struct s2_table *table, const struct s2_request *request, s2_desc_t *slot)
{
    const s2_desc_t desc = arch_desc_load(slot);
    s2_desc_t attr, next;

    if (!s2_desc_is_leaf(desc, S2_LEVEL_PAGE) || table->rules.is_local ||
        s2_recent_attr(table, request->flags, &attr) != MAPPING_OK) {
        return false;
    }
    next = s2_desc_with_attr(&table->format, desc, attr);
    if (s2_desc_eq(desc, next) || !s2_desc_is_in_place(desc, next)) {
        return false;
    }
    s2_memory_show_code(&table->memory, request->flags);
    s2_note_memory(table, request->flags, attr);
    store(table, slot, next);
    flush(table, request->range);
    return true;
}

static bool replace(struct s2_table *table, const struct s2_request *request, s2_desc_t *slot)
{
    const s2_desc_t desc = arch_desc_load(slot);

    if (!s2_desc_is_leaf(desc, S2_LEVEL_PAGE) || s2_desc_is_contiguous(desc) ||
        table->refuses_transient) {
        return false;
    }
    MAPPING_ASSERT(table->operation.pending_count == 0);
    s2_memory_show_code(&table->memory, S2_EXEC);
    store(table, slot, s2_desc_break(desc));
    flush(table, request->range);
    store(table, slot,
          s2_desc_leaf(&table->format, S2_LEVEL_PAGE, request->pa,
                       s2_desc_attr(&table->format, desc)));
    s2_memory_publish(&table->memory);
    return true;
}

bool s2_page_perform(struct s2_table *table, const struct s2_request *request)
{
    s2_desc_t *slot;

    if (!is_alone(table) || !is_sound(table, request) ||
        !(s2_recent_has(table, request->range) || s2_recent_walk(table, request->range.start))) {
        return false;
    }
    slot = s2_recent_slot(table, request->range.start);
    switch (request->verb) {
    case S2_VERB_MAP:
        return map(table, request, slot);
    case S2_VERB_UNMAP:
        return unmap(table, request->range, slot);
    case S2_VERB_PROTECT:
        return protect(table, request, slot);
    case S2_VERB_REPLACE:
        return replace(table, request, slot);
    }
    return false;
}
