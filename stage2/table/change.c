#include "stage2/table/change.h"

#include "stage2/table/entries.h"
#include "stage2/table/flush.h"
#include "stage2/table/map.h"
#include "stage2/table/pieces.h"
#include "stage2/table/split.h"
#include "stage2/table/store.h"

/* --- What a request comes to ----------------------------------------------------------------- */

/* All of it but what is in the tables. */
static enum mapping_error change_of(struct s2_table *table, const struct s2_request *request,
                                    struct s2_change *change)
{
    const unsigned cap = (unsigned)MAPPING_FIELD_GET(S2_CAP, request->flags);

    change->range = request->range;
    change->verb = request->verb;
    change->flags = 0;
    change->to = (struct s2_mapping){.offset = pa_minus_ipa(request->pa, request->range.start),
                                     .cap = cap == 0 ? S2_LEVEL_FIRST : (int)cap,
                                     .has_runs = (request->flags & S2_NO_CONTIGUOUS) == 0};
    change->splits.run_count = 0;
    change->splits.block_count = 0;
    change->tables = 0;
    change->is_recent = false;
    change->has_broken = false;
    if (request->verb == S2_VERB_UNMAP || request->verb == S2_VERB_REPLACE) {
        return MAPPING_OK;
    }
    change->flags = request->flags;
    return s2_recent_attr(table, request->flags, &change->to.attr);
}

void s2_change_work_out(struct s2_table *table, const struct s2_request *request,
                        struct s2_change *change)
{
    const enum mapping_error error = change_of(table, request, change);

    MAPPING_ASSERT(error == MAPPING_OK);
    (void)error;
    if (request->verb != S2_VERB_MAP) {
        s2_splits_find(table, change);
    }
}

/* --- Checks ---------------------------------------------------------------------------------- */

/* Whether a protect would break leaf @desc for a moment, had its run been opened if it can be. */
static bool is_transient(const struct s2_table *table, const struct s2_change *change,
                         s2_desc_t desc)
{
    const s2_desc_t now = table->is_direct ? s2_desc_without_hint(desc) : desc;

    return s2_change_reaches(table, change, desc) &&
           !s2_desc_is_in_place(now, s2_desc_with_attr(&table->format, now, change->to.attr));
}

static unsigned stop_if_transient(struct s2_walk *walk, unsigned count, void *arg)
{
    const s2_desc_t *slot = s2_walk_slot(walk);

    for (unsigned i = 0; i < (count > 0 ? count : 1); i++) {
        const s2_desc_t desc = arch_desc_load(&slot[i]);

        if (s2_desc_is_table(desc, walk->level)) {
            return i;
        }
        if (s2_desc_is_leaf(desc, walk->level) && is_transient(walk->table, arg, desc)) {
            return S2_WALK_STOP;
        }
    }
    return count;
}

/* Whether all leaves in the range can be protected as they stand. */
static bool can_stay_valid(struct s2_table *table, struct s2_change *change)
{
    static const struct s2_visitor visitor = {.visit = stop_if_transient};

    return s2_walk_visit(table, change->range, &visitor, change);
}

/* A replace needs tables for whole blocks that the new output does not fit. Every byte must be
 * mapped. */
static unsigned count_replaced(struct s2_walk *walk, unsigned count, void *arg)
{
    const s2_desc_t *slot = s2_walk_slot(walk);
    struct s2_change *change = arg;
    const bool fits = mapping_u64_is_aligned(change->to.offset, MAPPING_BIT(s2_walk_shift(walk)));
    const struct s2_mapping mapping = {.offset = change->to.offset, .cap = walk->level};

    for (unsigned i = 0; i < (count > 0 ? count : 1); i++) {
        const s2_desc_t desc = arch_desc_load(&slot[i]);

        if (s2_desc_is_none(desc)) {
            return S2_WALK_STOP;
        }
        if (s2_desc_is_table(desc, walk->level)) {
            return i;
        }
        if (count > 0 && !fits) {
            const struct s2_geometry *geometry = &walk->table->geometry;

            change->tables +=
                s2_map_tables(geometry, s2_entry_stretch(geometry, walk->level, walk->at, i, i + 1),
                              walk->level, &mapping);
        }
    }
    return count;
}

/* The tables that the splits need; MAPPING_DENIED, if what stays would be invalid for a moment. */
static enum mapping_error check_splits(struct s2_table *table, struct s2_change *change)
{
    s2_splits_find(table, change);
    change->tables += s2_splits_tables(table, change);
    return table->refuses_transient && !table->is_direct && change->splits.run_count > 0
               ? MAPPING_DENIED
               : MAPPING_OK;
}

static enum mapping_error check_map(struct s2_table *table, struct s2_change *change)
{
    const struct ipa_range range = change->range;

    if (!s2_pieces_leave_free(table, range)) {
        return MAPPING_ALREADY_EXISTS;
    }
    /* Mapped before and after, so invalid for a moment in between: as a replace. */
    if (table->refuses_transient && !s2_walk_is_free(table, range.start, ipa_range_end(range))) {
        return MAPPING_DENIED;
    }
    if (!s2_pieces_have_room(table, range)) {
        return MAPPING_UNSUPPORTED;
    }
    change->tables = s2_map_count(table, range, &change->to);
    return MAPPING_OK;
}

static enum mapping_error check_protect(struct s2_table *table, struct s2_change *change)
{
    if (table->refuses_transient && !can_stay_valid(table, change)) {
        return MAPPING_DENIED;
    }
    return check_splits(table, change);
}

static enum mapping_error check_replace(struct s2_table *table, struct s2_change *change)
{
    static const struct s2_visitor visitor = {.visit = count_replaced};
    const enum mapping_error error = check_splits(table, change);

    if (s2_stretches_meet(&table->operation.pieces.holes, change->range) != NULL ||
        !s2_walk_visit(table, change->range, &visitor, change)) {
        return MAPPING_NOT_FOUND;
    }
    /* All of it is mapped, so all of it would be invalid for a moment. */
    return table->refuses_transient ? MAPPING_DENIED : error;
}

/* Whether a map that is held will make what this piece would have to be counted against. */
static bool will_be_mapped_over(const struct s2_table *table, struct ipa_range range)
{
    return s2_stretches_meet(&table->operation.pieces.maps, range) != NULL;
}

static bool has_output(enum s2_verb verb)
{
    return verb == S2_VERB_MAP || verb == S2_VERB_REPLACE;
}

enum mapping_error s2_change_begin(struct s2_table *table, const struct s2_request *request,
                                   struct s2_change *change)
{
    enum mapping_error error;

    if (!s2_table_is_range(table, request->range) ||
        (has_output(request->verb) &&
         !s2_table_is_output(table, request->pa, request->range.size))) {
        return MAPPING_INVALID_PARAM;
    }
    error = change_of(table, request, change);
    if (error != MAPPING_OK) {
        return error;
    }
    if (has_output(request->verb) && !s2_table_is_data(table, request->pa, request->range.size)) {
        return MAPPING_DENIED;
    }
    return will_be_mapped_over(table, request->range) ? MAPPING_ALREADY_EXISTS : MAPPING_OK;
}

enum mapping_error s2_change_begin_parts(struct s2_table *table, const struct s2_request *request,
                                         struct s2_change *change)
{
    const struct s2_request pages = {
        .verb = S2_VERB_MAP,
        .range = request->range,
        .flags = (request->flags & ~S2_CAP) | S2_CAP_PAGES,
    };
    enum mapping_error error;

    MAPPING_ASSERT(request->verb == S2_VERB_MAP);
    MAPPING_ASSERT(table->operation.depth > 0);
    if (!s2_table_is_range(table, request->range)) {
        return MAPPING_INVALID_PARAM;
    }
    error = change_of(table, &pages, change);
    if (error != MAPPING_OK) {
        return error;
    }
    return will_be_mapped_over(table, request->range) ? MAPPING_ALREADY_EXISTS : MAPPING_OK;
}

enum mapping_error s2_change_count(struct s2_table *table, struct s2_change *change)
{
    MAPPING_ASSERT(!change->is_recent);
    switch (change->verb) {
    case S2_VERB_MAP:
        return check_map(table, change);
    case S2_VERB_UNMAP:
        return check_splits(table, change);
    case S2_VERB_PROTECT:
        return check_protect(table, change);
    case S2_VERB_REPLACE:
        return check_replace(table, change);
    }
    return MAPPING_INVALID_PARAM;
}

/* Whether @count entries from @slot on are all of the kind that a map, or a replace, is made of. */
static bool are_all(const s2_desc_t *slot, unsigned count, enum s2_verb verb)
{
    unsigned i = 0;

    if (verb == S2_VERB_MAP) {
        while (i < count && s2_desc_is_none(arch_desc_load(&slot[i]))) {
            i++;
        }
    } else {
        while (i < count && s2_desc_is_leaf(arch_desc_load(&slot[i]), S2_LEVEL_PAGE)) {
            i++;
        }
    }
    return i == count;
}

/* A page of no run can be changed by itself; one of a run may leave others behind. */
static bool sticks_out(const s2_desc_t *slot, unsigned count)
{
    MAPPING_ASSERT(count > 0);
    return s2_desc_is_contiguous(arch_desc_load(&slot[0])) ||
           s2_desc_is_contiguous(arch_desc_load(&slot[count - 1]));
}

static bool is_simple(struct s2_table *table, enum s2_verb verb, const s2_desc_t *slot,
                      unsigned count)
{
    switch (verb) {
    case S2_VERB_MAP:
        return are_all(slot, count, S2_VERB_MAP);
    case S2_VERB_UNMAP:
        return count < *s2_recent_count(table) && !sticks_out(slot, count);
    case S2_VERB_PROTECT:
        return !table->refuses_transient && !table->is_direct && !sticks_out(slot, count);
    case S2_VERB_REPLACE:
        return !table->refuses_transient && !sticks_out(slot, count) &&
               are_all(slot, count, S2_VERB_REPLACE);
    }
    return false;
}

bool s2_change_is_recent(struct s2_table *table, struct s2_change *change)
{
    const struct ipa_range range = change->range;
    const unsigned count = (unsigned)(range.size >> table->geometry.granule_shift);

    MAPPING_ASSERT(!change->is_recent);
    if (table->operation.pieces.left > 0 || !s2_recent_find(table, range) ||
        !is_simple(table, change->verb, s2_recent_slot(table, range.start), count)) {
        return false;
    }
    change->is_recent = true;
    return true;
}

/* --- Doing ----------------------------------------------------------------------------------- */

static bool touches(const struct s2_table *table, const struct s2_change *change,
                    struct ipa_range range)
{
    bool is_touching = ipa_range_overlaps(change->range, range);

    for (unsigned i = 0; i < change->splits.run_count; i++) {
        is_touching |=
            ipa_range_overlaps(s2_split_range(&table->geometry, &change->splits.runs[i]), range);
    }
    return is_touching;
}

struct s2_change *s2_change_room(struct s2_table *table, struct ipa_range range)
{
    struct s2_operation *operation = &table->operation;
    bool has_room = operation->pending_count < S2_PENDING_MAX;

    for (unsigned i = 0; i < operation->pending_count && has_room; i++) {
        has_room = !touches(table, &operation->pending[i], range);
    }
    if (!has_room) {
        s2_change_flush(table);
    }
    return &operation->pending[operation->pending_count];
}

static void do_map(struct s2_table *table, const struct s2_change *change)
{
    struct s2_walk walk;

    MAPPING_ASSERT(change->splits.run_count == 0);
    /* What was removed here may still be cached; a make before its flush would put two translations
     * of one IPA into the world. It also frees the tables that are needed again: what they spanned
     * is among the invalidations. */
    if (!s2_tlb_batch_is_empty(&table->operation.invalidations) &&
        s2_tlb_batch_touches(&table->operation.invalidations, change->range)) {
        s2_change_flush(table);
    }
    s2_memory_show_code(&table->memory, change->flags);
    s2_note_memory(table, change->flags, change->to.attr);
    if (change->is_recent) {
        s2_walk_begin_recent(&walk, table, change->range);
    } else {
        s2_walk_begin(&walk, table, change->range);
    }
    s2_map_fill(&walk, &change->to);
}

/* What a direct change does first: nothing sticks out, and no run has to be broken. */
static void split_directly(struct s2_table *table, struct s2_change *change)
{
    s2_splits_directly(table, change);
    change->splits.run_count = 0;
    change->splits.block_count = 0;
    if (change->verb == S2_VERB_PROTECT) {
        s2_entries_open(table, change);
    }
}

/* What sticks out of the range, if anything. */
static void split(struct s2_table *table, struct s2_change *change)
{
    MAPPING_ASSERT(!change->is_recent && change->verb != S2_VERB_MAP);
    s2_splits_build(table, change);
    if (table->is_direct) {
        split_directly(table, change);
    } else {
        s2_splits_break(table, change);
    }
}

/* Its instruction caches, and what it means for TLBIs. A replace may be of memory that is
 * executed. */
static void prepare(struct s2_table *table, const struct s2_change *change)
{
    if (change->verb == S2_VERB_PROTECT) {
        s2_memory_show_code(&table->memory, change->flags);
        s2_note_memory(table, change->flags, change->to.attr);
    } else if (change->verb == S2_VERB_REPLACE) {
        s2_memory_show_code(&table->memory, S2_EXEC);
    }
}

/* What was broken waits for the flush, where it stands. */
static void do_to_mapped(struct s2_table *table, struct s2_change *change)
{
    struct s2_operation *operation = &table->operation;

    prepare(table, change);
    if (!change->is_recent) {
        split(table, change);
    }
    if (change->verb == S2_VERB_UNMAP) {
        s2_entries_clear(table, change);
    } else {
        s2_entries_change(table, change);
    }
    if (change->splits.run_count > 0 || change->has_broken) {
        MAPPING_ASSERT(change == &operation->pending[operation->pending_count]);
        MAPPING_ASSERT(!s2_tlb_batch_is_empty(&operation->invalidations));
        operation->pending_count++;
    }
}

void s2_change_do(struct s2_table *table, struct s2_change *change)
{
    MAPPING_ASSERT(table->operation.depth > 0);
    MAPPING_ASSERT(!change->has_broken);

    if (change->verb == S2_VERB_MAP) {
        do_map(table, change);
    } else {
        do_to_mapped(table, change);
    }
}

void s2_change_flush(struct s2_table *table)
{
    struct s2_operation *operation = &table->operation;

    s2_flush(table);
    MAPPING_ASSERT(s2_tlb_batch_is_empty(&operation->invalidations));
    for (unsigned i = 0; i < operation->pending_count; i++) {
        struct s2_change *change = &operation->pending[i];

        s2_splits_make(table, change);
        if (change->has_broken) {
            s2_entries_make(table, change);
        }
    }
    operation->pending_count = 0;
    MAPPING_ASSERT(s2_tlb_batch_is_empty(&operation->invalidations));
}
