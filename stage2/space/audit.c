#include "stage2/space/audit.h"

#include "stage2/table/walk.h"

#define WORD_BITS 64U

/* Leaves that lie next to each other, in the guest and in memory, and are alike. */
struct extent {
    ipa_t ipa;
    pa_t pa;
    uint64_t size; /* 0: none yet */
    bool is_writable;
};

/* A step over one space. */
struct sweep {
    struct s2_audit *audit;
    struct s2_space *space;
    struct extent extent;
    int level;          /* that it is in */
    s2_desc_t expected; /* the descriptor that would go on with the extent */
    size_t left;
    ipa_t next;      /* where the next step goes on */
    bool is_suspect; /* somebody may write the page at @next's place before: another guest? */
    pa_t suspect;
};

static uint64_t granule_of(const struct s2_space *space)
{
    return s2_granule_size(&space->table.geometry);
}

static void find(struct sweep *sweep, enum s2_audit_rule rule, uint64_t offset)
{
    MAPPING_ASSERT(rule != S2_AUDIT_SOUND);
    sweep->audit->finding = (struct s2_audit_finding){
        .rule = rule,
        .space = sweep->space,
        .ipa = ipa_add(sweep->extent.ipa, offset),
        .pa = pa_add(sweep->extent.pa, offset),
    };
}

/* --- What an extent leads to ------------------------------------------------------------------ */

static bool is_permitted(struct sweep *sweep)
{
    const struct s2_audit *audit = sweep->audit;
    const struct extent *extent = &sweep->extent;

    MAPPING_ASSERT(extent->size > 0);
    MAPPING_ASSERT(audit->forbidden != NULL || audit->forbidden_count == 0);
    for (size_t i = 0; i < audit->forbidden_count; i++) {
        const struct s2_audit_range *range = &audit->forbidden[i];
        const pa_t end = pa_add(extent->pa, extent->size);

        if (range->size > 0 && pa_lt(range->start, end) &&
            pa_lt(extent->pa, pa_add(range->start, range->size))) {
            find(sweep, S2_AUDIT_FORBIDDEN,
                 pa_distance(extent->pa, pa_max(extent->pa, range->start)));
            return false;
        }
    }
    return true;
}

static bool is_data(struct sweep *sweep)
{
    const struct s2_table *table = &sweep->space->table;
    const struct extent *extent = &sweep->extent;
    const uint64_t granule = granule_of(sweep->space);
    uint64_t offset = 0;

    MAPPING_ASSERT(mapping_u64_is_aligned(extent->size, granule));
    if (s2_table_is_data(table, extent->pa, extent->size)) {
        return true;
    }
    while (offset + granule < extent->size &&
           s2_table_is_data(table, pa_add(extent->pa, offset), granule)) {
        offset += granule;
    }
    find(sweep, S2_AUDIT_NOT_DATA, offset);
    return false;
}

static bool may_share(const struct s2_audit *audit, pa_t pa)
{
    return audit->may_share != NULL && audit->may_share(audit->arg, pa);
}

/* The page at @pa, at @offset of the extent, has a writer already. What is behind it is looked at again,
 * once it is known who that is. */
static void suspect(struct sweep *sweep, pa_t pa, uint64_t offset)
{
    MAPPING_ASSERT(offset < sweep->extent.size);
    sweep->is_suspect = true;
    sweep->suspect = pa;
    sweep->next = ipa_add(sweep->extent.ipa, offset + granule_of(sweep->space));
}

/* Mark @count pages from the map's @page on, all in one word, which are the extent's at @offset.
 * Returns: whether none was marked before that may not be shared; else those behind it are not marked. */
static bool mark(struct sweep *sweep, uint64_t page, unsigned count, uint64_t offset)
{
    const uint64_t granule = granule_of(sweep->space);
    const unsigned first = (unsigned)(page % WORD_BITS);
    uint64_t *word = &sweep->audit->map.words[page / WORD_BITS];
    const uint64_t mask = MAPPING_FIELD(first + count - 1, first);
    uint64_t marked = *word & mask;

    MAPPING_ASSERT(count > 0 && first + count <= WORD_BITS);
    for (; marked != 0; marked &= marked - 1) {
        const unsigned bit = mapping_u64_trailing_zeros(marked);
        const uint64_t at = offset + (bit - first) * granule;
        const pa_t pa = pa_add(sweep->extent.pa, at);

        if (!may_share(sweep->audit, pa)) {
            *word |= mask & MAPPING_FIELD(bit, 0);
            suspect(sweep, pa, at);
            return false;
        }
    }
    *word |= mask;
    return true;
}

static bool is_only_writer(struct sweep *sweep)
{
    const struct s2_audit_map *map = &sweep->audit->map;
    const struct extent *extent = &sweep->extent;
    const unsigned shift = mapping_u64_log2(granule_of(sweep->space));
    const pa_t start = pa_max(extent->pa, map->base);
    const pa_t end = pa_min(pa_add(extent->pa, extent->size),
                            pa_add(map->base, (uint64_t)map->page_count << shift));
    uint64_t page, left;

    if (!extent->is_writable || map->words == NULL || !pa_lt(start, end)) {
        return true;
    }
    MAPPING_ASSERT(pa_is_aligned(map->base, MAPPING_BIT(shift)));
    page = pa_distance(map->base, start) >> shift;
    for (left = pa_distance(start, end) >> shift; left > 0;) {
        const unsigned count = (unsigned)mapping_u64_min(left, WORD_BITS - page % WORD_BITS);
        const uint64_t offset = pa_distance(extent->pa, pa_add(map->base, page << shift));

        if (!mark(sweep, page, count, offset)) {
            return false;
        }
        page += count;
        left -= count;
    }
    return true;
}

/* Returns: whether to go on. */
static bool judge(struct sweep *sweep)
{
    const bool goes_on =
        sweep->extent.size == 0 || (is_permitted(sweep) && is_data(sweep) && is_only_writer(sweep));

    sweep->extent.size = 0;
    return goes_on;
}

/* --- Leaf by leaf ----------------------------------------------------------------------------- */

static bool note(struct sweep *sweep, const struct extent *leaf)
{
    struct extent *extent = &sweep->extent;

    MAPPING_ASSERT(leaf->size > 0);
    if (extent->size > 0 && extent->is_writable == leaf->is_writable &&
        pa_eq(pa_add(extent->pa, extent->size), leaf->pa) &&
        ipa_eq(ipa_add(extent->ipa, extent->size), leaf->ipa)) {
        extent->size += leaf->size;
        return true;
    }
    if (!judge(sweep)) {
        return false;
    }
    *extent = *leaf;
    return true;
}

static bool note_entry(struct sweep *sweep, const struct s2_walk *walk, s2_desc_t desc,
                       struct ipa_range piece)
{
    const uint64_t offset = ipa_offset(piece.start, MAPPING_BIT(s2_walk_shift(walk)));
    const struct extent leaf = {
        .ipa = piece.start,
        .pa = pa_add(s2_desc_address(&walk->table->format, desc), offset),
        .size = piece.size,
        .is_writable = s2_desc_may_be_written(desc),
    };

    MAPPING_ASSERT(s2_desc_is_leaf(desc, walk->level));
    sweep->next = piece.start;
    sweep->expected = s2_desc_next(desc, piece.size);
    return note(sweep, &leaf);
}

/* How many entries from @slot on, of the next @most, go on with the extent: each is the one before it and
 * a page more. */
static unsigned goes_on(struct sweep *sweep, const s2_desc_t *slot, ipa_t at, unsigned most,
                        uint64_t size)
{
    struct extent *extent = &sweep->extent;
    s2_desc_t expected = sweep->expected;
    unsigned count = 0;

    if (extent->size == 0 || s2_desc_is_none(expected) || /* a hole is no next leaf */
        !ipa_eq(ipa_add(extent->ipa, extent->size), at)) {
        return 0;
    }
    while (count < most && s2_desc_eq(arch_desc_load(&slot[count]), expected)) {
        expected = s2_desc_next(expected, size);
        count++;
    }
    sweep->expected = expected;
    extent->size += count * size;
    return count;
}

/* The entry at @slot. Returns: false: stop. */
static bool sweep_entry(struct sweep *sweep, const struct s2_walk *walk, s2_desc_t desc,
                        struct ipa_range piece)
{
    if (sweep->left == 0) {
        sweep->next = piece.start;
        return false;
    }
    sweep->left--;
    return !s2_desc_is_leaf(desc, walk->level) || note_entry(sweep, walk, desc, piece);
}

static unsigned sweep_entries(struct s2_walk *walk, unsigned count, void *arg)
{
    const s2_desc_t *slot = s2_walk_slot(walk);
    const uint64_t size = MAPPING_BIT(s2_walk_shift(walk));
    struct sweep *sweep = arg;
    unsigned i = 0;

    if (count == 0) { /* what is left of one that a step before ended in */
        return sweep_entry(sweep, walk, arch_desc_load(slot), s2_walk_piece(walk)) ? 0
                                                                                   : S2_WALK_STOP;
    }
    if (sweep->level != walk->level) { /* a table may look like the next of other leaves */
        sweep->level = walk->level;
        sweep->expected = S2_DESC_NONE;
    }
    while (i < count) {
        const ipa_t at = ipa_add(walk->at, i * size);
        const unsigned most = (unsigned)mapping_u64_min(count - i, sweep->left);
        const unsigned alike = goes_on(sweep, &slot[i], at, most, size);
        const s2_desc_t desc = arch_desc_load(&slot[i]);

        sweep->left -= alike;
        i += alike;
        if (alike > 0) {
            continue;
        }
        if (s2_desc_is_table(desc, walk->level)) {
            return i;
        }
        if (!sweep_entry(sweep, walk, desc, (struct ipa_range){at, size})) {
            return S2_WALK_STOP;
        }
        i++;
    }
    return count;
}

/* --- Steps ------------------------------------------------------------------------------------ */

void s2_audit_begin(struct s2_audit *audit)
{
    const size_t words = (audit->map.page_count + WORD_BITS - 1) / WORD_BITS;

    MAPPING_ASSERT(audit->spaces != NULL || audit->space_count == 0);
    if (audit->map.words != NULL) {
        __builtin_memset(audit->map.words, 0, words * sizeof(*audit->map.words));
    }
    audit->finding = (struct s2_audit_finding){.rule = S2_AUDIT_SOUND};
    audit->space = 0;
    audit->next = ipa_of(0);
}

/* Up to the end of the space, or of the budget. Returns: whether it is the end of the space. */
static bool sweep_space(struct sweep *sweep)
{
    static const struct s2_visitor visitor = {.visit = sweep_entries};
    struct s2_table *table = &sweep->space->table;
    bool is_whole = true;

    mapping_lock_acquire(&sweep->space->lock);
    if (table->root != NULL && ipa_lt(sweep->next, table->end)) {
        is_whole =
            s2_walk_visit(table, ipa_range_between(sweep->next, table->end), &visitor, sweep);
    }
    is_whole = judge(sweep) && is_whole;
    mapping_lock_release(&sweep->space->lock);
    return is_whole;
}

/* A page that somebody may write whom we have seen before: this guest itself at another address, or
 * another one. No two locks are held at once. */
static bool is_of_another(struct s2_audit *audit, const struct sweep *sweep)
{
    const uint64_t granule = granule_of(sweep->space);

    MAPPING_ASSERT(sweep->is_suspect);
    for (size_t i = 0; i < audit->space_count; i++) {
        struct s2_space *other = audit->spaces[i];
        ipa_t ipa;

        if (other != sweep->space &&
            s2_space_find_pa(other, sweep->suspect, ipa_of(0), S2_WRITE, &ipa) == MAPPING_OK) {
            audit->finding = (struct s2_audit_finding){
                .rule = S2_AUDIT_TWO_WRITERS,
                .space = sweep->space,
                .other = other,
                .ipa = ipa_of(ipa_distance(ipa_of(granule), sweep->next)),
                .other_ipa = ipa,
                .pa = sweep->suspect,
            };
            return true;
        }
    }
    return false;
}

enum mapping_error s2_audit_step(struct s2_audit *audit, size_t budget, bool *is_done)
{
    struct sweep sweep = {.audit = audit, .left = budget > 0 ? budget : 1};

    while (audit->space < audit->space_count && sweep.left > 0) {
        bool is_whole;

        sweep.space = audit->spaces[audit->space];
        sweep.next = audit->next;
        sweep.is_suspect = false;
        sweep.extent.size = 0;
        sweep.expected = S2_DESC_NONE;
        sweep.level = S2_LEVEL_FIRST;
        is_whole = sweep_space(&sweep);
        if (audit->finding.rule != S2_AUDIT_SOUND ||
            (sweep.is_suspect && is_of_another(audit, &sweep))) {
            return MAPPING_BAD_STATE;
        }
        audit->next = is_whole ? ipa_of(0) : sweep.next;
        audit->space += is_whole ? 1 : 0;
    }
    MAPPING_ASSERT(audit->space <= audit->space_count);
    *is_done = audit->space == audit->space_count;
    return MAPPING_OK;
}

enum mapping_error s2_audit(struct s2_audit *audit)
{
    enum mapping_error error = MAPPING_OK;
    bool is_done = false;

    s2_audit_begin(audit);
    while (error == MAPPING_OK && !is_done) {
        error = s2_audit_step(audit, SIZE_MAX, &is_done);
    }
    return error;
}

const char *s2_audit_rule_name(enum s2_audit_rule rule)
{
    static const char *const names[] = {
        [S2_AUDIT_SOUND] = "sound",
        [S2_AUDIT_FORBIDDEN] = "forbidden",
        [S2_AUDIT_NOT_DATA] = "no data",
        [S2_AUDIT_TWO_WRITERS] = "two writers",
    };

    MAPPING_ASSERT((unsigned)rule <= S2_AUDIT_TWO_WRITERS);
    return names[rule];
}

/* --- From memory to guests -------------------------------------------------------------------- */

struct search {
    pa_t pa;
    bool is_writer; /* only where it may be written */
    ipa_t found;
};

/* Whether @desc, for the @size bytes at @at, leads there; *ipa: from where. */
static bool leads_to(const struct s2_walk *walk, const struct search *search, s2_desc_t desc)
{
    return s2_desc_is_leaf(desc, walk->level) &&
           (!search->is_writer || s2_desc_may_be_written(desc));
}

static unsigned search_entries(struct s2_walk *walk, unsigned count, void *arg)
{
    const s2_desc_t *slot = s2_walk_slot(walk);
    const uint64_t size = MAPPING_BIT(s2_walk_shift(walk));
    const ipa_t first = ipa_align_down(walk->at, size);
    struct search *search = arg;

    for (unsigned i = 0; i < (count > 0 ? count : 1); i++) {
        const s2_desc_t desc = arch_desc_load(&slot[i]);

        if (count > 0 && s2_desc_is_table(desc, walk->level)) {
            return i;
        }
        if (leads_to(walk, search, desc)) {
            const pa_t pa = s2_desc_address(&walk->table->format, desc);
            uint64_t offset;

            if (pa_span_offset(pa, size, search->pa, &offset) &&
                ipa_le(walk->at, ipa_add(first, i * size + offset))) {
                search->found = ipa_add(first, i * size + offset);
                return S2_WALK_STOP;
            }
        }
    }
    return count;
}

enum mapping_error s2_space_find_pa(struct s2_space *space, pa_t pa, ipa_t from,
                                    mapping_flags_t flags, ipa_t *ipa)
{
    static const struct s2_visitor visitor = {.visit = search_entries};
    struct search search = {
        .pa = pa,
        .is_writer = (flags & S2_WRITE) != 0,
    };
    bool is_there = false;

    mapping_lock_acquire(&space->lock);
    from = ipa_align_down(from, granule_of(space));
    if (space->table.root != NULL && ipa_lt(from, space->table.end)) {
        is_there = !s2_walk_visit(&space->table, ipa_range_between(from, space->table.end),
                                  &visitor, &search);
    }
    mapping_lock_release(&space->lock);
    if (is_there) {
        *ipa = search.found;
    }
    return is_there ? MAPPING_OK : MAPPING_NOT_FOUND;
}
