/*
 * change.c - unmap and protect: changes to what is mapped.
 *
 * Whole entries change where they stand. A block that sticks out of the range is cut: there are at
 * most two, one at either end, or one that holds the whole range.
 *
 *      block   |============================|        its attributes: A
 *      range           |--------|                    new ones: B, or none
 *
 *      dark    |AAAAAAA|BBBBBBBB|AAAAAAAAAAA|        built first, from the largest leaves that fit
 *      break   |............................|        then the block is broken,
 *      tail     DSB, TLBI, DSB, TLBI, DSB            gone from every TLB,
 *      make    |AAAAAAA|BBBBBBBB|AAAAAAAAAAA|        and the dark table linked in its place
 *
 * Both ends share one tail, together with all that changed between them.
 */
#include "stage2/map.h"
#include "stage2/operation.h"

enum edit_kind { EDIT_UNMAP, EDIT_PROTECT };

/* What is done to a range. */
struct edit {
    struct ipa_range range;
    enum edit_kind kind;
    s2_desc_t attr;  /* EDIT_PROTECT: the new attributes */
    bool has_broken; /* leaves that stay were broken, for a change that cannot be made in place */
};

/* A block that sticks out of the range. */
struct edge {
    struct ipa_range block;
    s2_desc_t *slot;
    s2_desc_t desc;
    int level;
    struct s2_walk_step dark; /* the table that will take its place */
};

struct edges {
    struct edge at[2];
    unsigned count;
};

/* Whether @edit changes a leaf @desc at all. */
static bool edit_changes(const struct s2_table *table, const struct edit *edit, s2_desc_t desc)
{
    return edit->kind == EDIT_UNMAP || !s2_desc_eq(s2_desc_attr(&table->format, desc), edit->attr);
}

/* --- Edges ----------------------------------------------------------------------------------- */

/* Whether the leaf that holds the granule at @addr must be cut, and what it is. */
static bool edge_find(struct s2_table *table, const struct edit *edit, ipa_t addr,
                      struct edge *edge)
{
    const struct ipa_range granule = {addr, s2_granule_size(&table->geometry)};
    struct s2_walk walk;
    s2_desc_t desc;

    s2_walk_begin(&walk, table, granule);
    desc = arch_desc_load(s2_walk_slot(&walk));
    /* No further than an entry that goes whole: nothing below it sticks out. */
    while (s2_desc_is_table(desc, walk.level) &&
           !ipa_range_covers(edit->range, s2_walk_entry(&walk))) {
        s2_walk_descend(&walk, desc);
        desc = arch_desc_load(s2_walk_slot(&walk));
    }
    *edge = (struct edge){
        .block = s2_walk_entry(&walk),
        .slot = s2_walk_slot(&walk),
        .desc = desc,
        .level = walk.level,
    };
    return s2_desc_is_leaf(desc, walk.level) && !ipa_range_covers(edit->range, edge->block) &&
           edit_changes(table, edit, desc);
}

static void edges_find(struct s2_table *table, const struct edit *edit, struct edges *edges)
{
    const uint64_t granule = s2_granule_size(&table->geometry);
    const ipa_t last = ipa_align_down(ipa_range_last(edit->range), granule);

    edges->count = edge_find(table, edit, edit->range.start, &edges->at[0]) ? 1 : 0;
    if (edge_find(table, edit, last, &edges->at[edges->count]) &&
        (edges->count == 0 || edges->at[0].slot != edges->at[1].slot)) {
        edges->count++;
    }
}

static size_t edges_tables(const struct s2_table *table, const struct edit *edit,
                           const struct edges *edges)
{
    size_t tables = 0;

    for (unsigned i = 0; i < edges->count; i++) {
        tables +=
            s2_cut_tables(&table->geometry, edges->at[i].block, edges->at[i].level, edit->range);
    }
    return tables;
}

/* Fill [@start, @end) of the edge's dark table with leaves of the block's output; may be empty. */
static void edge_fill(struct s2_table *table, const struct edge *edge, ipa_t start, ipa_t end,
                      const struct s2_mapping *mapping)
{
    struct s2_walk walk;

    if (ipa_lt(start, end)) {
        s2_walk_begin_dark(&walk, table, ipa_range_between(start, end), edge->level + 1,
                           edge->dark);
        s2_map_fill(&walk, mapping);
    }
}

static struct s2_mapping edge_mapping(const struct s2_table *table, const struct edge *edge)
{
    return (struct s2_mapping){
        .offset = pa_minus_ipa(s2_desc_address(&table->format, edge->desc), edge->block.start),
        .attr = s2_desc_attr(&table->format, edge->desc),
        .cap = edge->level + 1,
    };
}

/* What the block maps outside the range, as it was. */
static void edge_fill_outside(struct s2_table *table, const struct edit *edit,
                              const struct edge *edge, const struct s2_mapping *mapping)
{
    const struct ipa_range cut = ipa_range_meet(edge->block, edit->range);

    edge_fill(table, edge, edge->block.start, cut.start, mapping);
    edge_fill(table, edge, ipa_range_end(cut), ipa_range_end(edge->block), mapping);
}

static void edge_build(struct s2_table *table, const struct edit *edit, struct edge *edge)
{
    const struct ipa_range cut = ipa_range_meet(edge->block, edit->range);
    const unsigned entries = s2_table_entries(&table->geometry);
    const pa_t pa = s2_operation_take(table);
    struct s2_mapping mapping;

    edge->dark = (struct s2_walk_step){
        .entries = frame_pool_ptr(table->pool, pa), .pa = pa, .base = edge->block.start};
    MAPPING_ASSERT(edge->dark.entries != NULL);
    for (unsigned i = 0; i < entries; i++) {
        arch_desc_fill(&edge->dark.entries[i], S2_DESC_NONE);
    }
    mapping = edge_mapping(table, edge);
    edge_fill_outside(table, edit, edge, &mapping);
    if (edit->kind == EDIT_PROTECT) {
        mapping.attr = edit->attr;
        edge_fill(table, edge, cut.start, ipa_range_end(cut), &mapping);
    }
    s2_clean_descs(table, edge->dark.entries, entries);
}

static void edges_build(struct s2_table *table, const struct edit *edit, struct edges *edges)
{
    for (unsigned i = 0; i < edges->count; i++) {
        edge_build(table, edit, &edges->at[i]);
    }
}

/* What the hardware set in the block after the dark table was filled from it, every leaf outside
 * the range inherits: any page of the block may have been the one that was written. */
static void edge_inherit(struct s2_table *table, const struct edit *edit, const struct edge *edge)
{
    struct s2_mapping mapping = edge_mapping(table, edge);

    mapping.is_rewrite = true;
    edge_fill_outside(table, edit, edge, &mapping);
    s2_clean_descs(table, edge->dark.entries, s2_table_entries(&table->geometry));
}

static void edges_break(struct s2_table *table, const struct edit *edit, struct edges *edges)
{
    for (unsigned i = 0; i < edges->count; i++) {
        struct edge *edge = &edges->at[i];
        const s2_desc_t filled = edge->desc;

        edge->desc = arch_desc_swap(edge->slot, s2_desc_break(filled));
        s2_operation_stored(table, edge->slot, 1);
        s2_operation_owe(table, edge->block, edge->level);
        if (!s2_desc_eq(edge->desc, filled)) {
            edge_inherit(table, edit, edge);
        }
    }
}

/* Memory that changes its type: lines that were cached under the old one must not surface under
 * the new one. No guest can touch it between break and make. */
static void edge_clean(const struct s2_table *table, const struct edit *edit,
                       const struct edge *edge)
{
    const struct ipa_range cut = ipa_range_meet(edge->block, edit->range);
    const struct s2_mapping old = edge_mapping(table, edge);

    if (edit->kind == EDIT_PROTECT && !s2_attr_is_in_place(old.attr, edit->attr)) {
        s2_memory_reclaim(&table->memory, ipa_plus_offset(cut.start, old.offset), cut.size);
    }
}

static void edges_make(struct s2_table *table, const struct edit *edit, const struct edges *edges)
{
    for (unsigned i = 0; i < edges->count; i++) {
        edge_clean(table, edit, &edges->at[i]);
        s2_operation_link(table, edges->at[i].slot,
                          s2_desc_table(&table->format, edges->at[i].dark.pa));
    }
}

/* --- Unmap ----------------------------------------------------------------------------------- */

/* Remove the next @count entries. Subtrees go as they are. */
static void clear_entries(struct s2_walk *walk, unsigned count)
{
    const struct ipa_range stretch = s2_walk_stretch(walk, count);
    struct s2_table *table = walk->table;
    s2_desc_t *slot = s2_walk_slot(walk);
    unsigned cleared = 0;
    bool has_tables = false;

    for (unsigned i = 0; i < count; i++) {
        const s2_desc_t desc = arch_desc_load(&slot[i]);

        if (s2_desc_is_none(desc)) {
            continue;
        }
        arch_desc_store(&slot[i], S2_DESC_NONE);
        cleared++;
        if (s2_desc_is_table(desc, walk->level)) {
            s2_operation_retire(table, s2_desc_address(&table->format, desc), walk->level + 1);
            has_tables = true;
        }
    }
    if (cleared > 0) {
        *s2_walk_count(walk) -= cleared;
        s2_operation_stored(table, slot, count);
        s2_operation_owe(table, stretch, has_tables ? S2_TLB_LEVEL_ANY : walk->level);
    }
}

/* Out of the tables that are done; unlink those that were emptied. */
static void leave_and_prune(struct s2_walk *walk)
{
    while (s2_walk_is_leaving(walk)) {
        const struct s2_walk_step step = *s2_walk_step(walk);
        const struct ipa_range span = s2_walk_span(walk);
        const bool is_empty = *s2_walk_count(walk) == 0;

        if (is_empty) {
            arch_desc_store(step.slot, S2_DESC_NONE);
            s2_operation_stored(walk->table, step.slot, 1);
            s2_operation_owe(walk->table, span, S2_TLB_LEVEL_ANY);
            s2_operation_retire(walk->table, step.pa, walk->level);
        }
        s2_walk_ascend(walk);
        *s2_walk_count(walk) -= is_empty ? 1 : 0;
    }
}

/* Everything in @range but blocks that stick out, which are broken by now. */
static void clear_range(struct s2_table *table, struct ipa_range range)
{
    struct s2_walk walk;

    s2_walk_begin(&walk, table, range);
    while (!s2_walk_is_done(&walk)) {
        const unsigned count = s2_walk_whole(&walk);
        const s2_desc_t desc = arch_desc_load(s2_walk_slot(&walk));

        if (count > 0) {
            clear_entries(&walk, count);
            s2_walk_skip(&walk, count);
        } else if (s2_desc_is_table(desc, walk.level)) {
            s2_walk_descend(&walk, desc);
        } else {
            s2_walk_skip_entry(&walk);
        }
        leave_and_prune(&walk);
    }
}

/* --- Protect --------------------------------------------------------------------------------- */

/* Change one leaf, in place or by breaking it for make_range(). */
static void protect_leaf(struct s2_table *table, struct edit *edit, s2_desc_t *slot, s2_desc_t desc)
{
    const s2_desc_t next = s2_desc_with_attr(&table->format, desc, edit->attr);

    if (s2_attr_is_in_place(desc, next)) {
        s2_desc_t seen = desc;

        /* Hardware may set AF or dirty state at any moment; the new flags say what they shall
         * be, so what it set meanwhile is overwritten, knowingly. */
        while (!arch_desc_replace(slot, &seen, next)) {
            MAPPING_ASSERT(s2_desc_is_valid(seen));
        }
    } else {
        (void)arch_desc_swap(slot, s2_desc_break(desc));
        edit->has_broken = true;
    }
}

/* How many leaves from @slot on, at most @count, continue @desc without a change but the address;
 * each takes the new attributes by one store. For tables that the hardware does not write. */
static unsigned protect_run(s2_desc_t *slot, unsigned count, s2_desc_t desc, s2_desc_t next,
                            uint64_t size)
{
    unsigned i = 0;

    while (i < count && s2_desc_eq(arch_desc_load(&slot[i]), desc)) {
        arch_desc_store(&slot[i], next);
        desc = s2_desc_next(desc, size);
        next = s2_desc_next(next, size);
        i++;
    }
    return i;
}

/* Change the leaves among the next @count entries, up to the first table; how many entries that
 * were. */
static unsigned protect_entries(struct s2_walk *walk, struct edit *edit, unsigned count)
{
    struct s2_table *table = walk->table;
    const uint64_t size = BIT(s2_walk_shift(walk));
    const bool hardware_writes = table->format.has_access_flag;
    s2_desc_t *slot = s2_walk_slot(walk);
    unsigned first = count, last = 0, i = 0;

    while (i < count) {
        const s2_desc_t desc = arch_desc_load(&slot[i]);

        if (s2_desc_is_table(desc, walk->level)) {
            break;
        }
        if (!s2_desc_is_leaf(desc, walk->level) || !edit_changes(table, edit, desc)) {
            i++;
            continue;
        }
        protect_leaf(table, edit, &slot[i], desc);
        first = i < first ? i : first;
        i++;
        if (!edit->has_broken && !hardware_writes) {
            const s2_desc_t next = s2_desc_with_attr(&table->format, desc, edit->attr);

            i += protect_run(&slot[i], count - i, s2_desc_next(desc, size),
                             s2_desc_next(next, size), size);
        }
        last = i;
    }
    if (first < last) {
        s2_operation_stored(table, slot + first, last - first);
        s2_operation_owe(table,
                         s2_entry_stretch(&table->geometry, walk->level, walk->at, first, last),
                         walk->level);
    }
    return i;
}

/* Make the broken leaves among the next @count entries, up to the first table. Their type changes,
 * so their lines are cleaned first, as in edge_clean(). */
static unsigned make_entries(struct s2_walk *walk, struct edit *edit, unsigned count)
{
    struct s2_table *table = walk->table;
    const uint64_t size = BIT(s2_walk_shift(walk));
    s2_desc_t *slot = s2_walk_slot(walk);

    for (unsigned i = 0; i < count; i++) {
        const s2_desc_t desc = arch_desc_load(&slot[i]);

        if (s2_desc_is_table(desc, walk->level)) {
            return i;
        }
        if (s2_desc_is_broken(desc)) {
            s2_memory_reclaim(&table->memory, s2_desc_address(&table->format, desc), size);
            s2_operation_link(table, &slot[i],
                              s2_desc_with_attr(&table->format, s2_desc_mend(desc), edit->attr));
        }
    }
    return count;
}

typedef unsigned (*visit_fn)(struct s2_walk *walk, struct edit *edit, unsigned count);

/* Call @visit for each stretch of whole entries of one table; it answers how many it did before
 * it met a table, which is entered next. */
static void visit_range(struct s2_table *table, struct edit *edit, visit_fn visit)
{
    struct s2_walk walk;

    s2_walk_begin(&walk, table, edit->range);
    while (!s2_walk_is_done(&walk)) {
        const unsigned count = s2_walk_whole(&walk);
        const unsigned done = count > 0 ? visit(&walk, edit, count) : 0;
        s2_desc_t desc;

        s2_walk_skip(&walk, done);
        if (done == 0 || done < count) {
            desc = arch_desc_load(s2_walk_slot(&walk));
            if (s2_desc_is_table(desc, walk.level)) {
                s2_walk_descend(&walk, desc);
            } else {
                s2_walk_skip_entry(&walk);
            }
        }
        s2_walk_ascend_all(&walk);
    }
}

/* --- The verbs ------------------------------------------------------------------------------- */

static enum mapping_error edit_hold(struct s2_table *table, const struct edit *edit)
{
    struct edges edges;

    edges_find(table, edit, &edges);
    return s2_operation_hold(table, edges_tables(table, edit, &edges));
}

static void edit_do(struct s2_table *table, struct edit *edit)
{
    struct edges edges;

    edges_find(table, edit, &edges);
    edges_build(table, edit, &edges);
    edges_break(table, edit, &edges);
    if (edit->kind == EDIT_UNMAP) {
        clear_range(table, edit->range);
    } else {
        visit_range(table, edit, protect_entries);
    }
    if (edges.count > 0 || edit->has_broken) {
        s2_table_flush(table);
        edges_make(table, edit, &edges);
    }
    if (edit->has_broken) {
        visit_range(table, edit, make_entries);
    }
}

enum mapping_error s2_table_hold_unmap(struct s2_table *table, struct ipa_range range)
{
    struct s2_operation *operation = &table->operation;
    const struct edit edit = {.range = range, .kind = EDIT_UNMAP};
    enum mapping_error error;

    if (!s2_table_is_range(table, range)) {
        return MAPPING_INVALID_PARAM;
    }
    error = edit_hold(table, &edit);
    if (error == MAPPING_OK) {
        operation->unmapping =
            operation->unmapping.size == 0 ? range : ipa_range_join(operation->unmapping, range);
    }
    return error;
}

void s2_table_do_unmap(struct s2_table *table, struct ipa_range range)
{
    struct edit edit = {.range = range, .kind = EDIT_UNMAP};

    edit_do(table, &edit);
}

enum mapping_error s2_table_hold_protect(struct s2_table *table, struct ipa_range range,
                                         mapping_flags_t flags)
{
    struct edit edit = {.range = range, .kind = EDIT_PROTECT};
    enum mapping_error error;

    if (!s2_table_is_range(table, range)) {
        return MAPPING_INVALID_PARAM;
    }
    error = s2_attr_encode(&table->format, flags, &edit.attr);
    return error == MAPPING_OK ? edit_hold(table, &edit) : error;
}

void s2_table_do_protect(struct s2_table *table, struct ipa_range range, mapping_flags_t flags)
{
    struct edit edit = {.range = range, .kind = EDIT_PROTECT};
    const enum mapping_error error = s2_attr_encode(&table->format, flags, &edit.attr);

    MAPPING_ASSERT(error == MAPPING_OK);
    (void)error;
    s2_operation_show_code(table, flags);
    edit_do(table, &edit);
}

enum mapping_error s2_table_unmap(struct s2_table *table, struct ipa_range range)
{
    enum mapping_error error;

    s2_table_begin(table);
    error = s2_table_hold_unmap(table, range);
    if (error == MAPPING_OK) {
        s2_table_do_unmap(table, range);
    }
    s2_table_end(table);
    return error;
}

enum mapping_error s2_table_protect(struct s2_table *table, struct ipa_range range,
                                    mapping_flags_t flags)
{
    enum mapping_error error;

    s2_table_begin(table);
    error = s2_table_hold_protect(table, range, flags);
    if (error == MAPPING_OK) {
        s2_table_do_protect(table, range, flags);
    }
    s2_table_end(table);
    return error;
}
