#include "tests/unit/table_run.h"

/* Whether the entry of @level that spans @entry leads to a table; @step takes place in it. An
 * unmap in the same operation, of a block that reaches out of the range, leaves one there. */
static bool has_table(const struct run *run, const struct model_step *step, struct ipa_range entry,
                      int level)
{
    const ipa_t inside = ipa_max(entry.start, step->range.start);
    const struct mmu_result found = run_walk(run, inside);
    const int tables = level - run->shape->start_level + 1;

    if (found.walk_count > (size_t)tables) {
        return true;
    }
    return found.has_leaf && !ipa_range_covers(step->range, entry);
}

bool run_is_leaf(const struct run *run, const struct model_step *step, struct ipa_range entry,
                 int level)
{
    const int cap = (int)MAPPING_FIELD_GET(S2_CAP, step->flags);

    return ipa_range_covers(step->range, entry) && level >= run->shape->top_leaf &&
           (cap == 0 || level >= cap) && (step->pa.raw - step->range.start.raw) % entry.size == 0;
}

/* Tables that a map lacks below the entries of @level in @part. */
static size_t tables_for_map(const struct run *run, const struct model_step *step,
                             struct ipa_range part, int level)
{
    const ipa_t end = ipa_range_end(part);
    ipa_t at = part.start;
    size_t tables = 0;

    while (ipa_lt(at, end)) {
        const struct ipa_range entry = {ipa_align_down(at, run_span(run, level)),
                                        run_span(run, level)};
        const ipa_t stop = ipa_min(ipa_range_end(entry), end);

        if (!run_is_leaf(run, step, entry, level)) {
            tables += has_table(run, step, entry, level) ? 0 : 1;
            tables +=
                level < 2 ? tables_for_map(run, step, ipa_range_between(at, stop), level + 1) : 0;
        }
        at = stop;
    }
    return tables;
}

/* A table that a split makes: of this level, from here on. */
struct split {
    int level;
    ipa_t start;
};

/* The splits at @border, which lies in the block that @found is; those not yet in @splits. */
static size_t add_splits(const struct run *run, ipa_t border, int block, struct split *splits,
                         size_t count)
{
    for (int level = block; level < 3; level++) {
        const struct split split = {level, ipa_align_down(border, run_span(run, level))};
        bool is_new = !ipa_eq(split.start, border);

        for (size_t i = 0; i < count; i++) {
            is_new = is_new && (splits[i].level != level || !ipa_eq(splits[i].start, split.start));
        }
        if (is_new) {
            splits[count] = split;
            count++;
        }
    }
    return count;
}

/* Whether @step changes a leaf with @flags, or would if the hardware wrote it first: what it could
 * set must have its table, too. */
static bool is_changed(const struct run *run, const struct model_step *step, mapping_flags_t flags)
{
    const struct model_rules *rules = &run->model.rules;
    const mapping_flags_t new_flags = step->flags & ~S2_BUILD_FLAGS;

    return step->verb == MODEL_UNMAP || flags != new_flags ||
           (rules->sets_af && (new_flags & S2_NO_AF) != 0) ||
           (rules->sets_dirty && (flags & S2_DBM) != 0 && (new_flags & S2_WRITE) == 0);
}

static size_t tables_for_split(const struct run *run, const struct model_step *step)
{
    const uint64_t page = rig_page(run->shape);
    const ipa_t borders[2] = {step->range.start, ipa_range_end(step->range)};
    const ipa_t inside[2] = {borders[0], ipa_align_down(ipa_range_last(step->range), page)};
    struct split splits[2 * RIG_LEVELS];
    size_t count = 0;

    for (size_t i = 0; i < 2; i++) {
        const struct mmu_result found = run_walk(run, inside[i]);
        const mapping_flags_t flags = table_model_at(&run->model, inside[i]).flags;

        if (found.has_leaf && is_changed(run, step, flags)) {
            count = add_splits(run, borders[i], found.level, splits, count);
        }
    }
    return count;
}

/* Tables that it takes to put the new output of @step below @entry, a leaf of @level. */
static size_t tables_under(const struct run *run, const struct model_step *step,
                           struct ipa_range entry, int level)
{
    const uint64_t size = level < 3 ? run_span(run, level + 1) : 0;
    size_t tables = 1;

    if (level == 3 || !ipa_range_overlaps(step->range, entry) ||
        run_is_leaf(run, step, entry, level)) {
        return 0;
    }
    for (uint64_t at = 0; level < 2 && at < entry.size; at += size) {
        const struct ipa_range part = {ipa_add(entry.start, at), size};

        tables += tables_under(run, step, part, level + 1);
    }
    return tables;
}

static size_t tables_for_replace(const struct run *run, const struct model_step *step)
{
    const ipa_t end = ipa_range_end(step->range);
    ipa_t at = step->range.start;
    size_t tables = 0;

    while (ipa_lt(at, end)) {
        const struct mmu_result found = run_walk(run, at);
        const struct ipa_range leaf = {ipa_align_down(at, found.leaf_size), found.leaf_size};

        tables += tables_under(run, step, leaf, found.level);
        at = ipa_range_end(leaf);
    }
    return tables;
}

size_t run_tables_for(const struct run *run, const struct model_step *step)
{
    switch (step->verb) {
    case MODEL_MAP:
        return tables_for_map(run, step, step->range, run->shape->start_level);
    case MODEL_UNMAP:
    case MODEL_PROTECT:
        return tables_for_split(run, step);
    case MODEL_REPLACE:
        return tables_for_replace(run, step);
    case MODEL_FOLD:
        return 0;
    }
    return 0;
}
