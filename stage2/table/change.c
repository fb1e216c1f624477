/*
 * change.c - unmap, protect, replace: changes to what is mapped.
 *
 * In one order, whatever the change:
 *
 *      find the splits    what sticks out of the range                    reads only
 *      build dark         tables for the blocks that are split
 *      break the ends     ----- from here on hardware sees it; or split them directly
 *      the range          unmap: remove. protect: in place where that is allowed, else break.
 *                         replace: break
 *      flush               at the end of the operation, or before something that was broken is needed
 *      make the ends      ----- s2_pending_make(): what was broken, of all pieces
 *      make the range
 *
 * One flush for all of it.
 */
#include "stage2/table/entries.h"
#include "stage2/table/operation.h"
#include "stage2/table/split.h"

/* --- The verbs ------------------------------------------------------------------------------- */

/* The tables that the splits need; MAPPING_DENIED, if what stays would be invalid for a moment. */
static enum mapping_error count_splits(struct s2_table *table, const struct s2_edit *edit,
                                       size_t *tables)
{
    struct s2_splits splits;

    s2_splits_find(table, edit, &splits);
    *tables = s2_splits_tables(table, edit, &splits);
    return table->refuses_transient && !table->is_direct && splits.run_count > 0 ? MAPPING_DENIED
                                                                                 : MAPPING_OK;
}

/* What a direct change does first: nothing sticks out, and no run has to be broken. */
static void split_directly(struct s2_table *table, struct s2_edit *edit, struct s2_splits *splits)
{
    s2_splits_directly(table, edit, splits);
    splits->run_count = 0;
    splits->block_count = 0;
    if (edit->kind == S2_EDIT_PROTECT) {
        s2_entries_open(table, edit);
    }
}

/* Up to the flush; the rest waits for it. */
static void edit_do(struct s2_table *table, struct s2_edit edit)
{
    struct s2_pending *pending = s2_operation_pending(table, edit.range);
    struct s2_splits *splits = &pending->splits;

    MAPPING_ASSERT(table->operation.depth > 0);
    MAPPING_ASSERT(s2_table_is_range(table, edit.range));
    MAPPING_ASSERT(!edit.has_broken);
    s2_pieces_do(table);
    pending->edit = edit;
    s2_splits_find(table, &edit, splits);
    s2_splits_build(table, &edit, splits);
    if (table->is_direct) {
        split_directly(table, &pending->edit, splits);
    } else {
        s2_splits_break(table, &pending->edit, splits);
    }
    if (edit.kind == S2_EDIT_UNMAP) {
        s2_entries_clear(table, edit.range);
    } else {
        s2_entries_change(table, &pending->edit);
    }
    if (splits->run_count > 0 || pending->edit.has_broken) {
        s2_operation_keep(table, pending);
    }
}

void s2_pending_make(struct s2_table *table, struct s2_pending *pending)
{
    struct s2_edit *edit = &pending->edit;

    s2_splits_make(table, edit, &pending->splits);
    if (edit->has_broken) {
        s2_entries_make(table, edit);
    }
}

/* Whether a protect would break leaf @desc for a moment, had its run been opened if it can be. */
static bool is_transient(const struct s2_table *table, const struct s2_edit *edit, s2_desc_t desc)
{
    const s2_desc_t now = table->is_direct ? s2_desc_without_hint(desc) : desc;

    return s2_edit_changes(table, edit, desc) &&
           !s2_desc_is_in_place(now, s2_desc_with_attr(&table->format, now, edit->attr));
}

/* Whether all leaves in the range can be protected as they stand. */
static bool can_stay_valid(struct s2_table *table, const struct s2_edit *edit)
{
    struct s2_walk walk;

    s2_walk_begin(&walk, table, edit->range);
    while (!s2_walk_is_done(&walk)) {
        const s2_desc_t desc = arch_desc_load(s2_walk_slot(&walk));

        if (s2_desc_is_table(desc, walk.level)) {
            s2_walk_descend(&walk, desc);
            continue;
        }
        if (s2_desc_is_leaf(desc, walk.level) && is_transient(table, edit, desc)) {
            return false;
        }
        s2_walk_skip_entry(&walk);
        s2_walk_ascend_all(&walk);
    }
    return true;
}

/* What a replace needs inside the range: whole blocks that the new output does not fit. Every byte
 * of it must be mapped. */
static enum mapping_error count_replace(struct s2_table *table, const struct s2_edit *edit,
                                        size_t *tables)
{
    struct s2_walk walk;
    enum mapping_error error;

    error = count_splits(table, edit, tables);
    s2_walk_begin(&walk, table, edit->range);
    while (!s2_walk_is_done(&walk)) {
        const s2_desc_t desc = arch_desc_load(s2_walk_slot(&walk));
        const struct s2_mapping mapping = {.offset = edit->offset, .cap = walk.level};

        if (s2_desc_is_none(desc)) {
            return MAPPING_NOT_FOUND;
        }
        if (s2_desc_is_table(desc, walk.level)) {
            s2_walk_descend(&walk, desc);
            continue;
        }
        if (s2_walk_whole(&walk) > 0 && !u64_is_aligned(edit->offset, BIT(s2_walk_shift(&walk)))) {
            *tables += s2_map_tables(&table->geometry, s2_walk_piece(&walk), walk.level, &mapping);
        }
        s2_walk_skip_entry(&walk);
        s2_walk_ascend_all(&walk);
    }
    /* All of it is mapped, so all of it would be invalid for a moment. */
    return table->refuses_transient ? MAPPING_DENIED : error;
}

/* Whether a map that is held will make what this piece would have to be counted against. */
static bool will_be_mapped_over(const struct s2_table *table, struct ipa_range range)
{
    return s2_stretches_meet(&table->operation.pieces.maps, range) != NULL;
}

enum mapping_error s2_count_unmap(struct s2_table *table, struct ipa_range range, size_t *tables)
{
    const struct s2_edit edit = {.range = range, .kind = S2_EDIT_UNMAP};

    if (!s2_table_is_range(table, range)) {
        return MAPPING_INVALID_PARAM;
    }
    return will_be_mapped_over(table, range) ? MAPPING_ALREADY_EXISTS
                                             : count_splits(table, &edit, tables);
}

enum mapping_error s2_count_protect(struct s2_table *table, struct ipa_range range,
                                    mapping_flags_t flags, size_t *tables)
{
    struct s2_edit edit = {.range = range, .kind = S2_EDIT_PROTECT};
    enum mapping_error error;

    if (!s2_table_is_range(table, range)) {
        return MAPPING_INVALID_PARAM;
    }
    if (will_be_mapped_over(table, range)) {
        return MAPPING_ALREADY_EXISTS;
    }
    error = s2_attr_encode(&table->format, flags, &edit.attr);
    if (error == MAPPING_OK && table->refuses_transient && !can_stay_valid(table, &edit)) {
        error = MAPPING_DENIED;
    }
    return error == MAPPING_OK ? count_splits(table, &edit, tables) : error;
}

enum mapping_error s2_count_replace(struct s2_table *table, struct ipa_range range, pa_t pa,
                                    size_t *tables)
{
    const struct s2_edit edit = {
        .range = range, .kind = S2_EDIT_REPLACE, .offset = pa_minus_ipa(pa, range.start)};

    if (!s2_table_is_range(table, range) || !s2_table_is_output(table, pa, range.size)) {
        return MAPPING_INVALID_PARAM;
    }
    if (!s2_table_is_data(table, pa, range.size)) {
        return MAPPING_DENIED;
    }
    if (will_be_mapped_over(table, range)) {
        return MAPPING_ALREADY_EXISTS;
    }
    if (s2_stretches_meet(&table->operation.pieces.holes, range) != NULL) {
        return MAPPING_NOT_FOUND;
    }
    return count_replace(table, &edit, tables);
}

enum mapping_error s2_table_hold_unmap(struct s2_table *table, struct ipa_range range)
{
    size_t tables;
    enum mapping_error error = s2_count_unmap(table, range, &tables);

    if (error == MAPPING_OK) {
        error = s2_operation_hold(table, tables);
    }
    if (error == MAPPING_OK) {
        s2_pieces_held_unmap(table, range);
    }
    return error;
}

/* What needs @tables, and leaves neither a hole nor something that was not there. */
static enum mapping_error hold(struct s2_table *table, size_t tables)
{
    const enum mapping_error error = s2_operation_hold(table, tables);

    if (error == MAPPING_OK) {
        s2_pieces_held(table);
    }
    return error;
}

enum mapping_error s2_table_hold_protect(struct s2_table *table, struct ipa_range range,
                                         mapping_flags_t flags)
{
    size_t tables;
    const enum mapping_error error = s2_count_protect(table, range, flags, &tables);

    return error == MAPPING_OK ? hold(table, tables) : error;
}

enum mapping_error s2_table_hold_replace(struct s2_table *table, struct ipa_range range, pa_t pa)
{
    size_t tables;
    const enum mapping_error error = s2_count_replace(table, range, pa, &tables);

    return error == MAPPING_OK ? hold(table, tables) : error;
}

void s2_table_do_unmap(struct s2_table *table, struct ipa_range range)
{
    edit_do(table, (struct s2_edit){.range = range, .kind = S2_EDIT_UNMAP});
}

void s2_table_do_protect(struct s2_table *table, struct ipa_range range, mapping_flags_t flags)
{
    struct s2_edit edit = {.range = range, .kind = S2_EDIT_PROTECT};
    const enum mapping_error error = s2_attr_encode(&table->format, flags, &edit.attr);

    MAPPING_ASSERT(error == MAPPING_OK);
    (void)error;
    s2_operation_show_code(table, flags);
    s2_operation_maps(table, flags);
    edit_do(table, edit);
}

void s2_table_do_replace(struct s2_table *table, struct ipa_range range, pa_t pa)
{
    const struct s2_edit edit = {
        .range = range, .kind = S2_EDIT_REPLACE, .offset = pa_minus_ipa(pa, range.start)};

    MAPPING_ASSERT(s2_table_is_output(table, pa, range.size));
    s2_operation_show_code(table, S2_EXEC);
    edit_do(table, edit);
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

enum mapping_error s2_table_replace(struct s2_table *table, struct ipa_range range, pa_t pa)
{
    enum mapping_error error;

    s2_table_begin(table);
    error = s2_table_hold_replace(table, range, pa);
    if (error == MAPPING_OK) {
        s2_table_do_replace(table, range, pa);
    }
    s2_table_end(table);
    return error;
}
