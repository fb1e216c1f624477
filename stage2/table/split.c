#include "stage2/table/split.h"

#include "stage2/table/dark.h"
#include "stage2/table/frames.h"
#include "stage2/table/state.h"
#include "stage2/table/store.h"

bool s2_change_reaches(const struct s2_table *table, const struct s2_change *change, s2_desc_t desc)
{
    const s2_desc_t bits = s2_desc_hardware_bits(&table->format, desc);

    if (change->verb != S2_VERB_PROTECT) {
        return true;
    }
    /* What the hardware may set in it, and the new attributes do not have, counts as set already:
     * it could be by the time that the piece is done, and then there must be tables for the split.
     * Of a run it may have set something in one member and not in another, and they go together. */
    return !s2_desc_eq(s2_desc_attr(&table->format, desc), change->to.attr) ||
           (s2_desc_is_contiguous(desc) && !s2_desc_is_none(bits)) ||
           !s2_desc_eq(s2_desc_and(change->to.attr, bits), bits);
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
static struct s2_split_run run_at(struct s2_walk *walk, s2_desc_t leaf)
{
    const unsigned count =
        s2_desc_is_contiguous(leaf) ? s2_run_entries(&walk->table->geometry, walk->level) : 1;
    const uint64_t size = (uint64_t)count << s2_walk_shift(walk);

    MAPPING_ASSERT(count > 1 || !s2_desc_is_contiguous(leaf));
    MAPPING_ASSERT(s2_level_is_leaf(&walk->table->geometry, walk->level));
    return (struct s2_split_run){
        .slot = s2_walk_slot(walk) - s2_walk_index(walk) % count,
        .start = ipa_align_down(walk->at, size),
        .count = (uint16_t)count,
        .level = (int8_t)walk->level,
    };
}

/* The run, unless the other end of the range has found it already. Returns: its index. */
static uint8_t run_add(struct s2_splits *splits, struct s2_split_run run)
{
    if (splits->run_count == 0 || splits->runs[0].slot != run.slot) {
        MAPPING_ASSERT(splits->run_count < 2);
        splits->runs[splits->run_count++] = run;
    }
    MAPPING_ASSERT(splits->runs[splits->run_count - 1].slot == run.slot);
    return (uint8_t)(splits->run_count - 1);
}

static void block_add(struct s2_splits *splits, struct s2_split_block split)
{
    if (splits->block_count == 0 || splits->blocks[0].slot != split.slot) {
        MAPPING_ASSERT(splits->block_count < 2);
        MAPPING_ASSERT(split.level < S2_LEVEL_PAGE);
        splits->blocks[splits->block_count++] = split;
    }
}

static void split_find(struct s2_table *table, const struct s2_change *change, ipa_t addr,
                       struct s2_splits *splits)
{
    struct s2_split_run found;
    struct s2_walk walk;
    uint8_t run;
    const s2_desc_t desc = walk_to(&walk, table, change->range, addr);
    const struct ipa_range block = s2_walk_entry(&walk);

    if (!s2_desc_is_leaf(desc, walk.level) || !s2_change_reaches(table, change, desc)) {
        return;
    }
    found = run_at(&walk, desc);
    if (ipa_range_covers(change->range, s2_split_range(&table->geometry, &found))) {
        return;
    }
    run = run_add(splits, found);
    if (!ipa_range_covers(change->range, block)) {
        block_add(splits, (struct s2_split_block){.slot = s2_walk_slot(&walk),
                                                  .desc = desc,
                                                  .start = block.start,
                                                  .level = (int8_t)walk.level,
                                                  .run = run});
    }
}

void s2_splits_find(struct s2_table *table, struct s2_change *change)
{
    struct s2_splits *splits = &change->splits;
    const ipa_t first = change->range.start;
    const ipa_t last =
        ipa_align_down(ipa_range_last(change->range), s2_granule_size(&table->geometry));

    splits->run_count = 0;
    splits->block_count = 0;
    split_find(table, change, first, splits);
    if (!ipa_eq(first, last)) {
        split_find(table, change, last, splits);
    }
    MAPPING_ASSERT(splits->block_count == 0 || splits->run_count > 0);
}

/* --- Building -------------------------------------------------------------------------------- */

static struct ipa_range block_range(const struct s2_table *table,
                                    const struct s2_split_block *split)
{
    return (struct ipa_range){split->start, s2_level_size(&table->geometry, split->level)};
}

/* How the block maps, as it is. */
static struct s2_mapping block_mapping(const struct s2_table *table,
                                       const struct s2_split_block *split)
{
    return (struct s2_mapping){
        .offset = pa_minus_ipa(s2_desc_address(&table->format, split->desc), split->start),
        .attr = s2_desc_attr(&table->format, split->desc),
        .cap = split->level + 1,
        .has_runs = true,
    };
}

/* How what lies inside the range will be once the operation is over. */
static struct s2_mapping block_mapping_inside(const struct s2_table *table,
                                              const struct s2_change *change,
                                              const struct s2_split_block *split)
{
    struct s2_mapping mapping = block_mapping(table, split);

    mapping.offset = change->verb == S2_VERB_REPLACE ? change->to.offset : mapping.offset;
    mapping.attr = change->verb == S2_VERB_PROTECT ? change->to.attr : mapping.attr;
    return mapping;
}

size_t s2_splits_tables(const struct s2_table *table, const struct s2_change *change)
{
    const struct s2_splits *splits = &change->splits;
    size_t tables = 0;

    for (unsigned i = 0; i < splits->block_count; i++) {
        const struct s2_split_block *split = &splits->blocks[i];
        const struct s2_mapping mapping = block_mapping_inside(table, change, split);

        tables += s2_map_tables(&table->geometry,
                                ipa_range_meet(block_range(table, split), change->range),
                                split->level, &mapping);
    }
    return tables;
}

static struct s2_walk_step dark_top(const struct s2_table *table,
                                    const struct s2_split_block *split)
{
    return (struct s2_walk_step){.entries = frame_pool_ptr(table->pool, split->dark),
                                 .pa = split->dark,
                                 .base = split->start};
}

/* Fill [@start, @end) of the dark table, where nothing is but zeros, or what is filled anew; may be
 * empty. */
static void block_fill_part(struct s2_table *table, const struct s2_split_block *split, ipa_t start,
                            ipa_t end, const struct s2_mapping *mapping)
{
    struct s2_walk walk;

    if (ipa_lt(start, end)) {
        s2_walk_begin_dark(&walk, table, ipa_range_between(start, end), split->level + 1,
                           dark_top(table, split), false);
        s2_map_fill(&walk, mapping);
    }
}

/* All of it: what lies outside of @inside as @outer, what lies inside as @inner. */
static void block_fill_all(struct s2_table *table, const struct s2_split_block *split,
                           struct ipa_range inside, const struct s2_mapping *outer,
                           const struct s2_mapping *inner)
{
    struct s2_walk walk;

    MAPPING_ASSERT(ipa_range_covers(block_range(table, split), inside));
    MAPPING_ASSERT(outer->is_rewrite == inner->is_rewrite);
    s2_walk_begin_dark(&walk, table, block_range(table, split), split->level + 1,
                       dark_top(table, split), !outer->is_rewrite);
    s2_map_fill_to(&walk, inside.start, outer);
    s2_map_fill_to(&walk, ipa_range_end(inside), inner);
    s2_map_fill(&walk, outer);
}

/* The entries of the dark table that @inside touches, where all or part of them stays empty. */
static void block_zero(const struct s2_table *table, const struct s2_split_block *split,
                       struct ipa_range inside)
{
    const unsigned shift = s2_level_shift(&table->geometry, split->level + 1);
    const uint64_t first = ipa_distance(split->start, inside.start) >> shift;
    const uint64_t last = ipa_distance(split->start, ipa_range_last(inside)) >> shift;

    MAPPING_ASSERT(last < s2_table_entries(&table->geometry));
    s2_dark_zero(dark_top(table, split).entries + first, (size_t)(last - first + 1));
}

/* How the block is once the operation is over; where sizes change directly, how it is now, with the
 * border of the range as a border of leaves. @is_rewrite: it has been filled before, and
 * split->desc is another by now. */
static void block_fill(struct s2_table *table, const struct s2_change *change,
                       const struct s2_split_block *split, bool is_rewrite)
{
    const struct ipa_range block = block_range(table, split);
    const struct ipa_range inside = ipa_range_meet(block, change->range);
    struct s2_mapping outer = block_mapping(table, split);
    struct s2_mapping inner = table->is_direct ? outer : block_mapping_inside(table, change, split);

    outer.is_rewrite = is_rewrite;
    inner.is_rewrite = is_rewrite;
    if (change->verb == S2_VERB_UNMAP && !table->is_direct) {
        if (!is_rewrite) {
            block_zero(table, split, inside);
        }
        block_fill_part(table, split, block.start, inside.start, &outer);
        block_fill_part(table, split, ipa_range_end(inside), ipa_range_end(block), &outer);
        return;
    }
    if (table->is_direct) {
        /* What is protected next, in place, must be no run, which would have to be opened first. */
        inner.has_runs =
            change->verb != S2_VERB_PROTECT || !s2_attr_is_alike(inner.attr, change->to.attr);
    }
    block_fill_all(table, split, inside, &outer, &inner);
}

static void block_build(struct s2_table *table, const struct s2_change *change,
                        struct s2_split_block *split)
{
    split->dark = s2_frames_take(table);
    MAPPING_ASSERT(*frame_pool_count(table->pool, split->dark) == 0);
    block_fill(table, change, split, false);
    s2_memory_clean_tables(&table->memory, dark_top(table, split).entries,
                           s2_table_entries(&table->geometry));
}

void s2_splits_build(struct s2_table *table, struct s2_change *change)
{
    struct s2_splits *splits = &change->splits;

    for (unsigned i = 0; i < splits->block_count; i++) {
        block_build(table, change, &splits->blocks[i]);
    }
}

/* --- Breaking -------------------------------------------------------------------------------- */

s2_desc_t s2_run_break(const struct s2_table *table, s2_desc_t *slot, unsigned count)
{
    s2_desc_t hardware = S2_DESC_NONE;

    for (unsigned i = 0; i < count; i++) {
        const s2_desc_t last = s2_store_break(&slot[i]);

        hardware =
            s2_desc_or(hardware, s2_desc_and(last, s2_desc_hardware_bits(&table->format, last)));
    }
    for (unsigned i = 0; i < count && !s2_desc_is_none(hardware); i++) {
        arch_desc_store(&slot[i], s2_desc_or(arch_desc_load(&slot[i]), hardware));
    }
    return hardware;
}

static void run_break(struct s2_table *table, struct s2_split_run *run)
{
    const struct ipa_range range = s2_split_range(&table->geometry, run);

    MAPPING_ASSERT(ipa_range_is_aligned(range, range.size));
    run->hardware = s2_run_break(table, run->slot, run->count);
    s2_stored(table, run->slot, run->count);
    s2_invalidate(table, range, run->level);
}

/* What the hardware has set in the block, up to the last moment, every leaf that is left of it
 * inherits: any page of it may have been the one that was written. @last: the block as it was
 * then. */
static void block_inherit(struct s2_table *table, const struct s2_change *change,
                          struct s2_split_block *split, s2_desc_t last)
{
    const bool is_same =
        s2_desc_eq(s2_desc_attr(&table->format, split->desc), s2_desc_attr(&table->format, last));

    if (is_same) {
        return;
    }
    split->desc = last;
    block_fill(table, change, split, true);
    s2_memory_clean_tables(&table->memory, dark_top(table, split).entries,
                           s2_table_entries(&table->geometry));
}

void s2_splits_break(struct s2_table *table, struct s2_change *change)
{
    struct s2_splits *splits = &change->splits;

    for (unsigned i = 0; i < splits->run_count; i++) {
        run_break(table, &splits->runs[i]);
        change->has_broken |= splits->runs[i].count > 1 && change->verb != S2_VERB_UNMAP;
    }
    for (unsigned i = 0; i < splits->block_count; i++) {
        struct s2_split_block *split = &splits->blocks[i];

        block_inherit(table, change, split,
                      s2_desc_or(split->desc, splits->runs[split->run].hardware));
        if (change->verb != S2_VERB_REPLACE) {
            s2_state_removed(table, ipa_range_meet(block_range(table, split), change->range),
                             split->desc,
                             change->verb == S2_VERB_PROTECT ? change->to.attr : S2_DESC_NONE);
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
static void block_link_over(struct s2_table *table, const struct s2_change *change,
                            struct s2_split_block *split)
{
    s2_desc_t last = arch_desc_load(split->slot);

    MAPPING_ASSERT(s2_desc_is_leaf(last, split->level));
    do {
        block_inherit(table, change, split, last);
    } while (
        !s2_store_link_over(table, split->slot, &last, s2_desc_table(&table->format, split->dark)));
}

void s2_splits_directly(struct s2_table *table, struct s2_change *change)
{
    struct s2_splits *splits = &change->splits;

    for (unsigned i = 0; i < splits->run_count; i++) {
        const struct s2_split_run *run = &splits->runs[i];

        if (run->count > 1) {
            s2_run_open(table, run->slot, run->count);
            s2_stored(table, run->slot, run->count);
        }
        s2_invalidate(table, s2_split_range(&table->geometry, run), run->level);
    }
    for (unsigned i = 0; i < splits->block_count; i++) {
        block_link_over(table, change, &splits->blocks[i]);
    }
}

/* --- Making ---------------------------------------------------------------------------------- */

/* Members that the range does not touch, without the hint. */
static void run_make(struct s2_table *table, const struct s2_change *change,
                     const struct s2_split_run *run)
{
    for (unsigned i = 0; i < run->count; i++) {
        const struct ipa_range member =
            s2_entry_stretch(&table->geometry, run->level, run->start, i, i + 1);

        if (!ipa_range_overlaps(member, change->range)) {
            const s2_desc_t desc = s2_desc_mend(arch_desc_load(&run->slot[i]));

            s2_store_link(table, &run->slot[i], s2_desc_without_hint(desc));
        }
    }
}

/* Memory that changes its type: lines that were cached under the old one must not surface under
 * the new one. No guest can touch it between break and make. */
static void block_clean(const struct s2_table *table, const struct s2_change *change,
                        const struct s2_split_block *split)
{
    const struct ipa_range inside = ipa_range_meet(block_range(table, split), change->range);
    const struct s2_mapping old = block_mapping(table, split);

    if (change->verb == S2_VERB_PROTECT && !s2_attr_is_alike(old.attr, change->to.attr)) {
        s2_memory_reclaim(&table->memory, ipa_plus_offset(inside.start, old.offset), inside.size);
    }
}

void s2_splits_make(struct s2_table *table, const struct s2_change *change)
{
    const struct s2_splits *splits = &change->splits;

    MAPPING_ASSERT(s2_tlb_batch_is_empty(&table->operation.invalidations));
    for (unsigned i = 0; i < splits->run_count; i++) {
        run_make(table, change, &splits->runs[i]);
    }
    for (unsigned i = 0; i < splits->block_count; i++) {
        block_clean(table, change, &splits->blocks[i]);
        s2_store_link(table, splits->blocks[i].slot,
                      s2_desc_table(&table->format, splits->blocks[i].dark));
    }
}
