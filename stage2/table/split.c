#include "stage2/table/split.h"

#include "stage2/table/operation.h"

bool s2_edit_changes(const struct s2_table *table, const struct s2_edit *edit, s2_desc_t desc)
{
    const s2_desc_t bits = s2_desc_hardware_bits(&table->format, desc);

    if (edit->kind != S2_EDIT_PROTECT) {
        return true;
    }
    /* What the hardware may set in it, and the new attributes do not have, counts as set already:
     * it could be by the time that the piece is done, and then there must be tables for the cut.
     * Of a run it may have set something in one member and not in another, and they go together. */
    return !s2_desc_eq(s2_desc_attr(&table->format, desc), edit->attr) ||
           (s2_desc_is_contiguous(desc) && !s2_desc_is_none(bits)) ||
           !s2_desc_eq(s2_desc_and(edit->attr, bits), bits);
}

uint64_t s2_edit_offset(const struct s2_edit *edit, uint64_t offset)
{
    return edit->kind == S2_EDIT_REPLACE ? edit->offset : offset;
}

/* --- Finding --------------------------------------------------------------------------------- */

/* Down to the leaf that holds the granule at @addr, but no further than an entry that lies whole in
 * @range: nothing below it sticks out. */
static s2_desc_t walk_to(struct s2_walk *walk, struct s2_table *table, struct ipa_range range,
                         ipa_t addr)
{
    s2_desc_t desc;

    s2_walk_begin(walk, table, (struct ipa_range){addr, s2_granule_size(&table->geometry)});
    desc = arch_desc_load(s2_walk_slot(walk));
    while (s2_desc_is_table(desc, walk->level) && !ipa_range_covers(range, s2_walk_entry(walk))) {
        s2_walk_descend(walk, desc);
        desc = arch_desc_load(s2_walk_slot(walk));
    }
    return desc;
}

/* The run that the leaf at the cursor is a member of; one that stands alone is a run of one. */
static struct s2_torn_run run_at(struct s2_walk *walk, s2_desc_t leaf)
{
    const unsigned count =
        s2_desc_is_contiguous(leaf) ? s2_run_entries(&walk->table->geometry, walk->level) : 1;
    const uint64_t size = (uint64_t)count << s2_walk_shift(walk);

    MAPPING_ASSERT(count > 1 || !s2_desc_is_contiguous(leaf));
    MAPPING_ASSERT(s2_level_is_leaf(&walk->table->geometry, walk->level));
    return (struct s2_torn_run){
        .slot = s2_walk_slot(walk) - s2_walk_index(walk) % count,
        .range = {ipa_align_down(walk->at, size), size},
        .count = (uint16_t)count,
        .level = (int8_t)walk->level,
    };
}

/* The run, unless the other end of the range has found it already. Returns: its index. */
static uint8_t run_add(struct s2_edges *edges, struct s2_torn_run run)
{
    if (edges->run_count == 0 || edges->runs[0].slot != run.slot) {
        MAPPING_ASSERT(edges->run_count < 2);
        edges->runs[edges->run_count++] = run;
    }
    MAPPING_ASSERT(edges->runs[edges->run_count - 1].slot == run.slot);
    return (uint8_t)(edges->run_count - 1);
}

static void cut_add(struct s2_edges *edges, struct s2_cut cut)
{
    if (edges->cut_count == 0 || edges->cuts[0].slot != cut.slot) {
        MAPPING_ASSERT(edges->cut_count < 2);
        MAPPING_ASSERT(cut.level < S2_LEVEL_PAGE);
        edges->cuts[edges->cut_count++] = cut;
    }
}

static void edge_find(struct s2_table *table, const struct s2_edit *edit, ipa_t addr,
                      struct s2_edges *edges)
{
    struct s2_torn_run found;
    struct s2_walk walk;
    uint8_t run;
    const s2_desc_t desc = walk_to(&walk, table, edit->range, addr);
    const struct ipa_range block = s2_walk_entry(&walk);

    if (!s2_desc_is_leaf(desc, walk.level) || !s2_edit_changes(table, edit, desc)) {
        return;
    }
    found = run_at(&walk, desc);
    if (ipa_range_covers(edit->range, found.range)) {
        return;
    }
    run = run_add(edges, found);
    if (!ipa_range_covers(edit->range, block)) {
        cut_add(edges, (struct s2_cut){.slot = s2_walk_slot(&walk),
                                       .desc = desc,
                                       .block = block,
                                       .level = (int8_t)walk.level,
                                       .run = run});
    }
}

void s2_edges_find(struct s2_table *table, const struct s2_edit *edit, struct s2_edges *edges)
{
    const uint64_t granule = s2_granule_size(&table->geometry);

    edges->run_count = 0;
    edges->cut_count = 0;
    edge_find(table, edit, edit->range.start, edges);
    edge_find(table, edit, ipa_align_down(ipa_range_last(edit->range), granule), edges);
    MAPPING_ASSERT(edges->cut_count == 0 || edges->run_count > 0);
}

/* --- Building -------------------------------------------------------------------------------- */

/* How the block maps, as it is. */
static struct s2_mapping cut_mapping(const struct s2_table *table, const struct s2_cut *cut)
{
    return (struct s2_mapping){
        .offset = pa_minus_ipa(s2_desc_address(&table->format, cut->desc), cut->block.start),
        .attr = s2_desc_attr(&table->format, cut->desc),
        .cap = cut->level + 1,
        .has_runs = true,
    };
}

/* How what lies inside the range will be once the operation is over. */
static struct s2_mapping cut_mapping_inside(const struct s2_table *table,
                                            const struct s2_edit *edit, const struct s2_cut *cut)
{
    struct s2_mapping mapping = cut_mapping(table, cut);

    mapping.offset = s2_edit_offset(edit, mapping.offset);
    mapping.attr = edit->kind == S2_EDIT_PROTECT ? edit->attr : mapping.attr;
    return mapping;
}

size_t s2_edges_tables(const struct s2_table *table, const struct s2_edit *edit,
                       const struct s2_edges *edges)
{
    size_t tables = 0;

    for (unsigned i = 0; i < edges->cut_count; i++) {
        const struct s2_cut *cut = &edges->cuts[i];
        const struct s2_mapping mapping = cut_mapping_inside(table, edit, cut);

        tables += s2_map_tables(&table->geometry, ipa_range_meet(cut->block, edit->range),
                                cut->level, &mapping);
    }
    return tables;
}

/* Fill [@start, @end) of the dark table; may be empty. */
static void cut_fill(struct s2_table *table, const struct s2_cut *cut, ipa_t start, ipa_t end,
                     const struct s2_mapping *mapping)
{
    struct s2_walk walk;
    const struct s2_walk_step dark = {.entries = frame_pool_ptr(table->pool, cut->dark),
                                      .pa = cut->dark,
                                      .base = cut->block.start};

    if (ipa_lt(start, end)) {
        s2_walk_begin_dark(&walk, table, ipa_range_between(start, end), cut->level + 1, dark);
        s2_map_fill(&walk, mapping);
    }
}

/* What the block maps, as it is, with the border of the range as a border of leaves. Directly: all of
 * it; else what is outside. */
static void cut_fill_old(struct s2_table *table, const struct s2_edit *edit,
                         const struct s2_cut *cut, bool is_rewrite)
{
    const struct ipa_range inside = ipa_range_meet(cut->block, edit->range);
    struct s2_mapping mapping = cut_mapping(table, cut);

    mapping.is_rewrite = is_rewrite;
    cut_fill(table, cut, cut->block.start, inside.start, &mapping);
    cut_fill(table, cut, ipa_range_end(inside), ipa_range_end(cut->block), &mapping);
    if (table->is_direct) {
        /* What is protected next, in place, must be no run, which would have to be opened first. */
        mapping.has_runs =
            edit->kind != S2_EDIT_PROTECT || !s2_attr_is_alike(mapping.attr, edit->attr);
        cut_fill(table, cut, inside.start, ipa_range_end(inside), &mapping);
    }
}

static void cut_build(struct s2_table *table, const struct s2_edit *edit, struct s2_cut *cut)
{
    const struct ipa_range inside = ipa_range_meet(cut->block, edit->range);
    const unsigned entries = s2_table_entries(&table->geometry);
    const struct s2_mapping inner = cut_mapping_inside(table, edit, cut);
    s2_desc_t *dark;

    cut->dark = s2_operation_take(table);
    dark = frame_pool_ptr(table->pool, cut->dark);
    MAPPING_ASSERT(dark != NULL);
    MAPPING_ASSERT(*frame_pool_count(table->pool, cut->dark) == 0);
    s2_zero_dark(dark, entries);
    cut_fill_old(table, edit, cut, false);
    if (edit->kind != S2_EDIT_UNMAP && !table->is_direct) {
        cut_fill(table, cut, inside.start, ipa_range_end(inside), &inner);
    }
    s2_clean_descs(table, dark, entries);
}

void s2_edges_build(struct s2_table *table, const struct s2_edit *edit, struct s2_edges *edges)
{
    MAPPING_ASSERT(frame_reserve_count(&table->operation.held) >=
                   s2_edges_tables(table, edit, edges));
    for (unsigned i = 0; i < edges->cut_count; i++) {
        cut_build(table, edit, &edges->cuts[i]);
    }
}

/* --- Breaking -------------------------------------------------------------------------------- */

s2_desc_t s2_run_break(const struct s2_table *table, s2_desc_t *slot, unsigned count)
{
    s2_desc_t hardware = S2_DESC_NONE;

    for (unsigned i = 0; i < count; i++) {
        const s2_desc_t last = s2_operation_break(&slot[i]);

        hardware =
            s2_desc_or(hardware, s2_desc_and(last, s2_desc_hardware_bits(&table->format, last)));
    }
    for (unsigned i = 0; i < count && !s2_desc_is_none(hardware); i++) {
        arch_desc_store(&slot[i], s2_desc_or(arch_desc_load(&slot[i]), hardware));
    }
    return hardware;
}

static void run_break(struct s2_table *table, struct s2_torn_run *run)
{
    MAPPING_ASSERT(ipa_range_is_aligned(run->range, run->range.size));
    run->hardware = s2_run_break(table, run->slot, run->count);
    s2_operation_stored(table, run->slot, run->count);
    s2_operation_owe(table, run->range, run->level);
}

/* What the hardware has set in the block, up to the last moment, every leaf that is left of it
 * inherits: any page of it may have been the one that was written. @last: the block as it was then. */
static void cut_inherit(struct s2_table *table, const struct s2_edit *edit, struct s2_cut *cut,
                        s2_desc_t last)
{
    const struct ipa_range inside = ipa_range_meet(cut->block, edit->range);
    const bool is_same =
        s2_desc_eq(s2_desc_attr(&table->format, cut->desc), s2_desc_attr(&table->format, last));
    struct s2_mapping mapping;

    if (is_same) {
        return;
    }
    cut->desc = last;
    cut_fill_old(table, edit, cut, true);
    if (edit->kind == S2_EDIT_REPLACE && !table->is_direct) {
        mapping = cut_mapping_inside(table, edit, cut);
        mapping.is_rewrite = true;
        cut_fill(table, cut, inside.start, ipa_range_end(inside), &mapping);
    }
    s2_clean_descs(table, frame_pool_ptr(table->pool, cut->dark),
                   s2_table_entries(&table->geometry));
}

void s2_edges_break(struct s2_table *table, struct s2_edit *edit, struct s2_edges *edges)
{
    for (unsigned i = 0; i < edges->run_count; i++) {
        run_break(table, &edges->runs[i]);
        edit->has_broken |= edges->runs[i].count > 1 && edit->kind != S2_EDIT_UNMAP;
    }
    for (unsigned i = 0; i < edges->cut_count; i++) {
        struct s2_cut *cut = &edges->cuts[i];

        cut_inherit(table, edit, cut, s2_desc_or(cut->desc, edges->runs[cut->run].hardware));
        if (edit->kind != S2_EDIT_REPLACE) {
            s2_operation_removed(table, ipa_range_meet(cut->block, edit->range), cut->desc,
                                 edit->kind == S2_EDIT_PROTECT ? edit->attr : S2_DESC_NONE);
        }
    }
}

/* --- Splitting directly ---------------------------------------------------------------------- */

/* First each member gives up the hint, in an exchange that knows what the hardware had set there;
 * from then on it sets nothing on behalf of the run, and what it had set anywhere each is given. */
void s2_run_open(const struct s2_table *table, s2_desc_t *slot, unsigned count)
{
    s2_desc_t hardware = S2_DESC_NONE;

    MAPPING_ASSERT(table->is_direct);
    for (unsigned i = 0; i < count; i++) {
        s2_desc_t desc = arch_desc_load(&slot[i]);

        while (!arch_desc_replace(&slot[i], &desc, s2_desc_without_hint(desc))) {
            MAPPING_ASSERT(s2_desc_is_contiguous(desc));
        }
        hardware =
            s2_desc_or(hardware, s2_desc_and(desc, s2_desc_hardware_bits(&table->format, desc)));
    }
    for (unsigned i = 0; i < count && !s2_desc_is_none(hardware); i++) {
        s2_desc_t desc = arch_desc_load(&slot[i]);

        while (!arch_desc_replace(&slot[i], &desc, s2_desc_or(desc, hardware))) {
            MAPPING_ASSERT(s2_desc_is_valid(desc));
        }
    }
}

/* The dark table over the block: as long as the hardware was faster, with what it had set. */
static void cut_split(struct s2_table *table, const struct s2_edit *edit, struct s2_cut *cut)
{
    s2_desc_t last = arch_desc_load(cut->slot);

    MAPPING_ASSERT(s2_desc_is_leaf(last, cut->level));
    do {
        cut_inherit(table, edit, cut, last);
    } while (
        !s2_operation_link_over(table, cut->slot, &last, s2_desc_table(&table->format, cut->dark)));
}

void s2_edges_split(struct s2_table *table, const struct s2_edit *edit, struct s2_edges *edges)
{
    for (unsigned i = 0; i < edges->run_count; i++) {
        const struct s2_torn_run *run = &edges->runs[i];

        if (run->count > 1) {
            s2_run_open(table, run->slot, run->count);
            s2_operation_stored(table, run->slot, run->count);
        }
        s2_operation_owe(table, run->range, run->level);
    }
    for (unsigned i = 0; i < edges->cut_count; i++) {
        cut_split(table, edit, &edges->cuts[i]);
    }
}

/* --- Making ---------------------------------------------------------------------------------- */

/* Members that the range does not touch, without the hint. */
static void run_make(struct s2_table *table, const struct s2_edit *edit,
                     const struct s2_torn_run *run)
{
    for (unsigned i = 0; i < run->count; i++) {
        const struct ipa_range member =
            s2_entry_stretch(&table->geometry, run->level, run->range.start, i, i + 1);

        if (!ipa_range_overlaps(member, edit->range)) {
            const s2_desc_t desc = s2_desc_mend(arch_desc_load(&run->slot[i]));

            s2_operation_link(table, &run->slot[i], s2_desc_without_hint(desc));
        }
    }
}

/* Memory that changes its type: lines that were cached under the old one must not surface under
 * the new one. No guest can touch it between break and make. */
static void cut_clean(const struct s2_table *table, const struct s2_edit *edit,
                      const struct s2_cut *cut)
{
    const struct ipa_range inside = ipa_range_meet(cut->block, edit->range);
    const struct s2_mapping old = cut_mapping(table, cut);

    if (edit->kind == S2_EDIT_PROTECT && !s2_attr_is_alike(old.attr, edit->attr)) {
        s2_memory_reclaim(&table->memory, ipa_plus_offset(inside.start, old.offset), inside.size);
    }
}

void s2_edges_make(struct s2_table *table, const struct s2_edit *edit, const struct s2_edges *edges)
{
    MAPPING_ASSERT(s2_tlb_batch_is_empty(&table->operation.owed));
    for (unsigned i = 0; i < edges->run_count; i++) {
        run_make(table, edit, &edges->runs[i]);
    }
    for (unsigned i = 0; i < edges->cut_count; i++) {
        cut_clean(table, edit, &edges->cuts[i]);
        s2_operation_link(table, edges->cuts[i].slot,
                          s2_desc_table(&table->format, edges->cuts[i].dark));
    }
}
