/*
 * fold.c - uniform tables back into blocks and runs: the way back from a split.
 *
 * From the lowest block level up, each in two passes with one flush between them, and then the
 * runs:
 *
 *      break   [ T ]  ->  [ t ]      t: broken, but still knows where its table is
 *      flush                          no walker comes to the table any more, so what the hardware
 *                                    set in its entries is final
 *      make    [ t ]  ->  [ B ]      the first entry's output, AF and dirty state of them all
 *
 * Where sizes may change directly, one pass does it, and all levels share the flush at the end. Not
 * a table to a block where hardware updates entries: it could still do so in the old table, which
 * nobody would read again.
 */
#include "stage2/table/fold.h"

#include "stage2/table/flush.h"
#include "stage2/table/frames.h"
#include "stage2/table/operation.h"
#include "stage2/table/recent.h"
#include "stage2/table/store.h"
#include "stage2/table/walk.h"

/* Whether an entry is what is expected of it, with the @ignored bits set; then of the next it is
 * what maps @size bytes behind. */
static inline bool goes_on(const s2_desc_t *entry, s2_desc_t *expected, s2_desc_t ignored,
                           uint64_t size)
{
    const bool is_so = s2_desc_eq(s2_desc_or(arch_desc_load(entry), ignored), *expected);

    *expected = s2_desc_next(*expected, size);
    return is_so;
}

/* Whether all entries up to @end do. Eight a turn: of entries there is a multiple of it. */
static bool all_go_on(const s2_desc_t *entry, const s2_desc_t *end, s2_desc_t expected,
                      s2_desc_t ignored, uint64_t size)
{
    MAPPING_ASSERT((end - entry) % 8 == 0);
    for (; entry != end; entry += 8) {
        if (!goes_on(&entry[0], &expected, ignored, size) ||
            !goes_on(&entry[1], &expected, ignored, size) ||
            !goes_on(&entry[2], &expected, ignored, size) ||
            !goes_on(&entry[3], &expected, ignored, size) ||
            !goes_on(&entry[4], &expected, ignored, size) ||
            !goes_on(&entry[5], &expected, ignored, size) ||
            !goes_on(&entry[6], &expected, ignored, size) ||
            !goes_on(&entry[7], &expected, ignored, size)) {
            return false;
        }
    }
    return true;
}

/* Whether the @count leaves of @level at @entries map one stretch that is aligned to its size, and
 * are alike but for the hint and for AF and dirty state where the hardware sets them. */
static bool is_uniform(const struct s2_table *table, const s2_desc_t *entries, unsigned count,
                       int level)
{
    const uint64_t size = s2_level_size(&table->geometry, level);
    const s2_desc_t first = arch_desc_load(entries);
    const s2_desc_t ignored = s2_desc_with_hint(s2_desc_hardware_bits(&table->format, first));
    s2_desc_t expected = s2_desc_or(first, ignored);

    MAPPING_ASSERT(mapping_u64_is_pow2(count));
    if (!s2_desc_is_leaf(first, level) ||
        !pa_is_aligned(s2_desc_address(&table->format, first), count * size)) {
        return false;
    }
    return all_go_on(entries, entries + count, expected, ignored, size);
}

/* AF and dirty state of any of @count leaves that are uniform. */
static s2_desc_t hardware_state(const struct s2_table *table, const s2_desc_t *entries,
                                unsigned count)
{
    const s2_desc_t bits = s2_desc_hardware_bits(&table->format, arch_desc_load(entries));
    s2_desc_t state = S2_DESC_NONE;

    for (unsigned i = 0; i < count && !s2_desc_is_none(bits); i++) {
        state = s2_desc_or(state, s2_desc_and(arch_desc_load(&entries[i]), bits));
    }
    return state;
}

/* --- Blocks ---------------------------------------------------------------------------------- */

static const s2_desc_t *child_entries(const struct s2_table *table, s2_desc_t desc)
{
    const s2_desc_t *entries = frame_pool_ptr(table->pool, s2_desc_address(&table->format, desc));

    MAPPING_ASSERT(entries != NULL);
    return entries;
}

/* Whether the cursor's @i-th entry links a table that could be a block. */
static bool is_foldable(struct s2_walk *walk, unsigned i)
{
    const struct s2_table *table = walk->table;
    const s2_desc_t desc = arch_desc_load(s2_walk_slot(walk) + i);

    return s2_desc_is_table(desc, walk->level) &&
           is_uniform(table, child_entries(table, desc), s2_table_entries(&table->geometry),
                      walk->level + 1);
}

/* How many of @count entries are. */
static unsigned count_tables(struct s2_walk *walk, unsigned count)
{
    unsigned found = 0;

    for (unsigned i = s2_walk_next_table(walk, 0, count); i < count;
         i = s2_walk_next_table(walk, i + 1, count)) {
        found += is_foldable(walk, i) ? 1 : 0;
    }
    return found;
}

/* The cursor's entries [@first, @last), broken or made larger, must be invalidated. */
static void invalidate_entries(struct s2_walk *walk, unsigned first, unsigned last, int level)
{
    s2_stored(walk->table, s2_walk_slot(walk) + first, last - first);
    s2_invalidate(walk->table,
                  s2_entry_stretch(&walk->table->geometry, walk->level, walk->at, first, last),
                  level);
}

/* First pass over @count entries: break the tables that are uniform; how many those were. */
static unsigned break_tables(struct s2_walk *walk, unsigned count)
{
    s2_desc_t *slot = s2_walk_slot(walk);
    unsigned broken = 0;

    for (unsigned i = s2_walk_next_table(walk, 0, count); i < count;
         i = s2_walk_next_table(walk, i + 1, count)) {
        if (is_foldable(walk, i)) {
            arch_desc_store(&slot[i], s2_desc_break(arch_desc_load(&slot[i])));
            invalidate_entries(walk, i, i + 1, S2_TLB_LEVEL_ANY);
            broken++;
        }
    }
    return broken;
}

/* The block that the uniform table at @child can be, at the cursor's level. */
static s2_desc_t block_of(const struct s2_walk *walk, const s2_desc_t *child)
{
    const struct s2_table *table = walk->table;
    const s2_desc_t first = arch_desc_load(child);
    const s2_desc_t attr =
        s2_desc_or(s2_desc_attr(&table->format, first),
                   hardware_state(table, child, s2_table_entries(&table->geometry)));

    return s2_desc_leaf(&table->format, walk->level, s2_desc_address(&table->format, first), attr);
}

/* The only pass, where that goes directly: blocks in place of the tables, which are quarantined. */
static unsigned swap_tables(struct s2_walk *walk, unsigned count)
{
    struct s2_table *table = walk->table;
    s2_desc_t *slot = s2_walk_slot(walk);
    unsigned swapped = 0;

    MAPPING_ASSERT(table->is_direct && !table->format.has_access_flag);
    for (unsigned i = s2_walk_next_table(walk, 0, count); i < count;
         i = s2_walk_next_table(walk, i + 1, count)) {
        if (is_foldable(walk, i)) {
            const s2_desc_t old = arch_desc_load(&slot[i]);

            arch_desc_publish(&slot[i], block_of(walk, child_entries(table, old)));
            invalidate_entries(walk, i, i + 1, S2_TLB_LEVEL_ANY);
            s2_frames_quarantine(table, s2_desc_address(&table->format, old), walk->level + 1);
            swapped++;
        }
    }
    return swapped;
}

/* Second pass: make them blocks; their tables are free. */
static unsigned make_blocks(struct s2_walk *walk, unsigned count)
{
    struct s2_table *table = walk->table;
    const unsigned entries = s2_table_entries(&table->geometry);
    s2_desc_t *slot = s2_walk_slot(walk);
    unsigned made = 0;

    for (unsigned i = 0; i < count; i++) {
        const s2_desc_t desc = arch_desc_load(&slot[i]);

        if (s2_desc_is_broken(desc)) {
            const pa_t pa = s2_desc_address(&table->format, desc);

            MAPPING_ASSERT(*frame_pool_count(table->pool, pa) == entries);
            s2_store_link(table, &slot[i], block_of(walk, child_entries(table, desc)));
            s2_recent_forget(table);
            s2_frames_release(table, pa);
            made++;
        }
    }
    return made;
}

/* --- Runs ------------------------------------------------------------------------------------ */

/* What becomes of an aligned group of entries that could be a run and is none yet. */
typedef void (*group_fn)(s2_desc_t *slot, unsigned run);

/* @visit, if any, each of them among @count entries; how many those were. */
static unsigned visit_groups(struct s2_walk *walk, unsigned count, group_fn visit)
{
    const unsigned run = s2_run_entries(&walk->table->geometry, walk->level);
    s2_desc_t *slot = s2_walk_slot(walk);
    unsigned visited = 0;

    MAPPING_ASSERT(run > 1);
    for (unsigned i = (run - s2_walk_index(walk) % run) % run; i + run <= count; i += run) {
        if (s2_desc_is_contiguous(arch_desc_load(&slot[i])) ||
            !is_uniform(walk->table, &slot[i], run, walk->level)) {
            continue;
        }
        if (visit != NULL) {
            visit(&slot[i], run);
            invalidate_entries(walk, i, i + run, walk->level);
        }
        visited++;
    }
    return visited;
}

static unsigned count_groups(struct s2_walk *walk, unsigned count)
{
    return visit_groups(walk, count, NULL);
}

static void break_group(s2_desc_t *slot, unsigned run)
{
    for (unsigned i = 0; i < run; i++) {
        (void)s2_store_break(&slot[i]);
    }
}

/* First pass: break them. */
static unsigned break_groups(struct s2_walk *walk, unsigned count)
{
    return visit_groups(walk, count, break_group);
}

/* Hardware may set AF and dirty state in any entry up to the exchange, and after it. */
static void join_group(s2_desc_t *slot, unsigned run)
{
    for (unsigned i = 0; i < run; i++) {
        s2_desc_t desc = arch_desc_load(&slot[i]);

        while (!arch_desc_replace(&slot[i], &desc, s2_desc_with_hint(desc))) {
            MAPPING_ASSERT(s2_desc_is_valid(desc));
        }
    }
}

/* The only pass, where that goes directly. */
static unsigned join_groups(struct s2_walk *walk, unsigned count)
{
    return visit_groups(walk, count, join_group);
}

/* Second pass: make them runs. */
static unsigned make_runs(struct s2_walk *walk, unsigned count)
{
    struct s2_table *table = walk->table;
    const unsigned run = s2_run_entries(&table->geometry, walk->level);
    s2_desc_t *slot = s2_walk_slot(walk);
    unsigned made = 0;

    for (unsigned i = (run - s2_walk_index(walk) % run) % run; i + run <= count; i += run) {
        if (!s2_desc_is_broken(arch_desc_load(&slot[i]))) {
            continue;
        }
        for (unsigned k = 0; k < run; k++) {
            const s2_desc_t leaf = s2_desc_mend(arch_desc_load(&slot[i + k]));

            arch_desc_store(&slot[i + k], s2_desc_with_hint(leaf));
        }
        s2_stored(table, &slot[i], run);
        made++;
    }
    return made;
}

/* --- The verb -------------------------------------------------------------------------------- */

typedef unsigned (*fold_pass_fn)(struct s2_walk *walk, unsigned count);

struct fold_pass {
    fold_pass_fn pass;
    int level;
    unsigned sum; /* of its answers */
};

static unsigned fold_entries(struct s2_walk *walk, unsigned count, void *arg)
{
    struct fold_pass *fold = arg;

    if (walk->level != fold->level) {
        return s2_walk_to_table(walk, count);
    }
    fold->sum += count > 0 ? fold->pass(walk, count) : 0;
    return count;
}

/* @pass over the whole entries of @level in @range; the sum of its answers. */
static unsigned fold_pass(struct s2_table *table, struct ipa_range range, int level,
                          fold_pass_fn pass)
{
    static const struct s2_visitor visitor = {.visit = fold_entries, .takes_tables = true};
    struct fold_pass fold = {.pass = pass, .level = level};

    MAPPING_ASSERT(level >= table->geometry.start_level && level <= S2_LEVEL_PAGE);
    (void)s2_walk_visit(table, range, &visitor, &fold);
    return fold.sum;
}

/* How something becomes larger. */
struct fold_way {
    fold_pass_fn find;   /* how many could */
    fold_pass_fn once;   /* in one pass, */
    fold_pass_fn first;  /* or in two: break, */
    fold_pass_fn second; /* and make */
};

static const struct fold_way INTO_BLOCKS = {count_tables, swap_tables, break_tables, make_blocks};
static const struct fold_way INTO_RUNS = {count_groups, join_groups, break_groups, make_runs};

static bool goes_directly(const struct s2_table *table, const struct fold_way *way)
{
    return table->is_direct && (way == &INTO_RUNS || !table->format.has_access_flag);
}

/* Where in @range the first pass has broken anything: it lies in what is to be invalidated. */
static struct ipa_range broken_part(const struct s2_table *table, struct ipa_range range)
{
    const struct s2_tlb_batch *batch = &table->operation.invalidations;
    struct ipa_range part = batch->ranges[0].range;

    MAPPING_ASSERT(!s2_tlb_batch_is_empty(batch));
    if (batch->is_whole) {
        return range;
    }
    for (unsigned i = 1; i < batch->count; i++) {
        part = ipa_range_join(part, batch->ranges[i].range);
    }
    return ipa_range_meet(part, range);
}

/* Bytes of what it would be. */
static uint64_t folded_size(const struct s2_table *table, int level, const struct fold_way *way)
{
    const unsigned run = way == &INTO_RUNS ? s2_run_entries(&table->geometry, level) : 1;

    MAPPING_ASSERT(way == &INTO_BLOCKS || run > 1);
    return run * s2_level_size(&table->geometry, level);
}

/* One level. @is_trial: only ask whether something that stays would be invalid for a moment. */
static enum mapping_error fold_level(struct s2_table *table, struct ipa_range range, int level,
                                     const struct fold_way *way, bool is_trial)
{
    unsigned broken, made;

    if (range.size < folded_size(table, level, way)) {
        return MAPPING_OK;
    }

    if (is_trial) {
        return !goes_directly(table, way) && fold_pass(table, range, level, way->find) > 0
                   ? MAPPING_DENIED
                   : MAPPING_OK;
    }
    if (goes_directly(table, way)) {
        (void)fold_pass(table, range, level, way->once);
        return MAPPING_OK;
    }
    broken = fold_pass(table, range, level, way->first);
    if (broken > 0) {
        const struct ipa_range part = broken_part(table, range);

        s2_flush(table);
        made = fold_pass(table, part, level, way->second);
        MAPPING_ASSERT(made == broken);
        (void)made;
    }
    return MAPPING_OK;
}

/*
 * What a step folds of @range at one level: all that ends in @part. It may begin before, in what
 * the steps before have gone through.
 *
 *      range     |------------------------------------------------|
 *      part                   |~~~~~~~~~~~~~~~~~|
 *      tables    [       ][         ][         ][         ][      ]
 *      blocks             |---------------------|
 *
 * @span: of what is made, or what it waits for. @grain: where it may end before the range does.
 */
static struct ipa_range window(struct ipa_range range, struct ipa_range part, uint64_t span,
                               uint64_t grain)
{
    const ipa_t end = ipa_range_end(part);
    const bool is_last = ipa_eq(end, ipa_range_end(range));
    const ipa_t from = ipa_max(range.start, ipa_align_down(part.start, span));
    const ipa_t to = is_last ? end : ipa_align_down(end, grain);

    MAPPING_ASSERT(ipa_range_covers(range, part));
    return ipa_lt(from, to) ? ipa_range_between(from, to) : (struct ipa_range){from, 0};
}

static struct ipa_range block_window(const struct s2_geometry *geometry, struct ipa_range range,
                                     struct ipa_range part, int level)
{
    return window(range, part, s2_level_size(geometry, level), s2_granule_size(geometry));
}

/* Runs wait for the end of their table, so that none is made of what then becomes a block. In the
 * root there is nothing to wait for. */
static struct ipa_range run_window(const struct s2_geometry *geometry, struct ipa_range range,
                                   struct ipa_range part, int level)
{
    const uint64_t run = s2_run_entries(geometry, level) * s2_level_size(geometry, level);
    const uint64_t span = level > geometry->start_level ? s2_level_size(geometry, level - 1) : run;

    return window(range, part, span, span);
}

static enum mapping_error fold(struct s2_table *table, struct ipa_range range,
                               struct ipa_range part, mapping_flags_t flags, bool is_trial)
{
    const struct s2_geometry *geometry = &table->geometry;
    const int cap = (int)MAPPING_FIELD_GET(S2_CAP, flags);
    const int first = cap > geometry->start_level ? cap : geometry->start_level;
    enum mapping_error error = MAPPING_OK;

    for (int level = S2_LEVEL_PAGE - 1; level >= first && error == MAPPING_OK; level--) {
        if (s2_level_is_leaf(geometry, level)) {
            error = fold_level(table, block_window(geometry, range, part, level), level,
                               &INTO_BLOCKS, is_trial);
        }
    }
    if ((flags & S2_NO_CONTIGUOUS) != 0) {
        return error;
    }
    for (int level = S2_LEVEL_PAGE; level >= first && error == MAPPING_OK; level--) {
        if (s2_level_is_leaf(geometry, level) && s2_run_entries(geometry, level) > 1) {
            error = fold_level(table, run_window(geometry, range, part, level), level, &INTO_RUNS,
                               is_trial);
        }
    }
    return error;
}

bool s2_table_may_fold(const struct s2_table *table, struct ipa_range range, mapping_flags_t flags)
{
    MAPPING_ASSERT(s2_table_is_range(table, range));
    return !table->refuses_transient ||
           fold(s2_walk_reading(table), range, range, flags, true) == MAPPING_OK;
}

enum mapping_error s2_table_fold_part(struct s2_table *table, struct ipa_range range,
                                      struct ipa_range part, mapping_flags_t flags)
{
    enum mapping_error error = MAPPING_OK;

    if (!s2_table_is_range(table, range) || (flags & ~S2_ALL_FLAGS) != 0) {
        return MAPPING_INVALID_PARAM;
    }
    MAPPING_ASSERT(s2_table_is_range(table, part));
    s2_table_begin(table);
    if (table->refuses_transient) {
        error = fold(table, range, part, flags, true);
    }
    if (error == MAPPING_OK) {
        error = fold(table, range, part, flags, false);
    }
    s2_table_end(table);
    return error;
}

enum mapping_error s2_table_fold_within(struct s2_table *table, struct ipa_range range,
                                        mapping_flags_t flags)
{
    return s2_table_fold_part(table, range, range, flags);
}

enum mapping_error s2_table_fold(struct s2_table *table, struct ipa_range range)
{
    return s2_table_fold_within(table, range, 0);
}
