/*
 * walk.h - going through the tables in ascending order, without recursion and without starting over
 * at the root.
 *
 * A visitor is shown the entries of a range table by table: one call for as many as lie whole in
 * the range, no call for each.
 *
 *      range          |~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~|
 *      entries    [  block  ][ B ][ B ][ T ][ B ][  block   ]
 *                  visit(0)   visit(4)       visit(1)  visit(0)   0: lies partly in the range
 *                             answers 2: into the table
 *
 * Underneath is a cursor, for one who builds tables on the way (stage2/table/map.c).
 *
 * Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_TABLE_WALK_H
#define TRESTLE_STAGE2_TABLE_WALK_H

#include "stage2/arch/arch.h"
#include "stage2/table/link.h"
#include "stage2/table/recent.h"
#include "stage2/table/table.h"

#define S2_DARK_NONE (S2_LEVEL_PAGE + 1)

struct s2_walk_step {
    s2_desc_t *entries; /* the table of this level */
    s2_desc_t *slot;    /* the entry that links it; NULL for the topmost */
    pa_t pa;            /* of the table */
    ipa_t base;         /* what its first entry maps */
    uint32_t *count;    /* of its entries in use; NULL: not yet asked for */
};

struct s2_walk {
    struct s2_table *table;
    ipa_t at, end;        /* the cursor, and where the range ends */
    int top;              /* level of the topmost table */
    int level;            /* of the table that the cursor is in */
    unsigned shift, mask; /* of its entries: log2 bytes that each spans, and their number less 1 */
    int dark;             /* this level and below are not yet linked; S2_DARK_NONE: all is live */
    int fresh; /* this level and below were made by this walk: what it has not filled yet is
                    * unwritten; S2_DARK_NONE: none was */
    struct s2_walk_step path[S2_LEVEL_COUNT];
};

/* The cursor is in a table of @level. */
static inline void s2_walk_set_level(struct s2_walk *walk, int level)
{
    const struct s2_geometry *geometry = &walk->table->geometry;

    walk->level = level;
    walk->shift = s2_level_shift(geometry, level);
    walk->mask =
        (level == geometry->start_level ? s2_root_entries(geometry) : s2_table_entries(geometry)) -
        1;
}

/* A table to walk and not to change. The cursor asks for one that may be changed; and a copy would
 * be large, and be taken while another CPU gives the guest a VMID. */
static inline struct s2_table *s2_walk_reading(const struct s2_table *table)
{
    return (struct s2_table *)(uintptr_t)table;
}

/* Over @range from the root. @range: inside the input size. */
static inline void s2_walk_begin(struct s2_walk *walk, struct s2_table *table,
                                 struct ipa_range range)
{
    MAPPING_ASSERT(table->root != NULL);
    MAPPING_ASSERT(ipa_range_is_aligned(range, s2_granule_size(&table->geometry)));
    MAPPING_ASSERT(ipa_le(ipa_range_end(range), table->end));
    /* The path is written as it is gone. */
    walk->table = table;
    walk->at = range.start;
    walk->end = ipa_range_end(range);
    walk->top = table->geometry.start_level;
    s2_walk_set_level(walk, walk->top);
    walk->dark = S2_DARK_NONE;
    walk->fresh = S2_DARK_NONE;
    walk->path[walk->top - S2_LEVEL_FIRST] =
        (struct s2_walk_step){table->root, NULL, table->root_pa, IPA_INIT(0), NULL};
}

/* Over @range, which lies in the table that was used last, from there. */
static inline void s2_walk_begin_recent(struct s2_walk *walk, struct s2_table *table,
                                        struct ipa_range range)
{
    const struct s2_recent *recent = &table->recent;

    MAPPING_ASSERT(s2_recent_has(table, range));
    walk->table = table;
    walk->at = range.start;
    walk->end = ipa_range_end(range);
    walk->top = S2_LEVEL_PAGE;
    walk->level = S2_LEVEL_PAGE;
    walk->shift = table->geometry.granule_shift;
    walk->mask = s2_table_entries(&table->geometry) - 1;
    walk->dark = S2_DARK_NONE;
    walk->fresh = S2_DARK_NONE;
    walk->path[S2_LEVEL_PAGE - S2_LEVEL_FIRST] =
        (struct s2_walk_step){recent->entries, NULL, s2_desc_address(&table->format, recent->link),
                              recent->base, recent->count};
}

/* Over @range below a table of @level that nobody else can reach yet. @range: inside its span.
 * @is_fresh: nothing is in it yet, not even zeros, and all that it maps is in the range. */
static inline void s2_walk_begin_dark(struct s2_walk *walk, struct s2_table *table,
                                      struct ipa_range range, int level, struct s2_walk_step top,
                                      bool is_fresh)
{
    MAPPING_ASSERT(level > table->geometry.start_level && level <= S2_LEVEL_PAGE);
    MAPPING_ASSERT(top.entries != NULL);
    MAPPING_ASSERT(ipa_range_covers(
        (struct ipa_range){top.base, s2_level_size(&table->geometry, level - 1)}, range));
    s2_walk_begin(walk, table, range);
    walk->top = level;
    s2_walk_set_level(walk, level);
    walk->dark = level;
    walk->fresh = is_fresh ? level : S2_DARK_NONE;
    walk->path[level - S2_LEVEL_FIRST] = top;
}

static inline bool s2_walk_is_done(const struct s2_walk *walk)
{
    return !ipa_lt(walk->at, walk->end);
}

static inline struct s2_walk_step *s2_walk_step(struct s2_walk *walk)
{
    return &walk->path[walk->level - S2_LEVEL_FIRST];
}

static inline unsigned s2_walk_shift(const struct s2_walk *walk)
{
    return walk->shift;
}

/* Entries of the table that the cursor is in. */
static inline unsigned s2_walk_entries(const struct s2_walk *walk)
{
    return walk->mask + 1;
}

/* Which entry of it the cursor is at. */
static inline unsigned s2_walk_index(const struct s2_walk *walk)
{
    return (unsigned)ipa_index(walk->at, walk->shift) & walk->mask;
}

static inline s2_desc_t *s2_walk_slot(struct s2_walk *walk)
{
    s2_desc_t *entries = s2_walk_step(walk)->entries;

    MAPPING_ASSERT(entries != NULL);
    return &entries[s2_walk_index(walk)];
}

/* What the entry at the cursor spans, all of it. */
static inline struct ipa_range s2_walk_entry(const struct s2_walk *walk)
{
    const uint64_t size = MAPPING_BIT(s2_walk_shift(walk));

    return (struct ipa_range){ipa_align_down(walk->at, size), size};
}

/* How much of it lies in the range, from the cursor on. */
static inline struct ipa_range s2_walk_piece(const struct s2_walk *walk)
{
    MAPPING_ASSERT(!s2_walk_is_done(walk));
    return ipa_range_between(walk->at, ipa_min(ipa_range_end(s2_walk_entry(walk)), walk->end));
}

/* How many entries of this table, from the cursor on, lie whole before @end. */
static inline unsigned s2_walk_whole_to(const struct s2_walk *walk, ipa_t end)
{
    const unsigned shift = s2_walk_shift(walk);
    const uint64_t left = ipa_distance(walk->at, end) >> shift;

    if (left == 0 || !ipa_is_aligned(walk->at, MAPPING_BIT(shift))) {
        return 0;
    }
    return (unsigned)mapping_u64_min(left, s2_walk_entries(walk) - s2_walk_index(walk));
}

/* ... and in the range. */
static inline unsigned s2_walk_whole(const struct s2_walk *walk)
{
    return s2_walk_whole_to(walk, walk->end);
}

/* The stretch of the next @count entries, from the cursor on. */
static inline struct ipa_range s2_walk_stretch(const struct s2_walk *walk, unsigned count)
{
    return (struct ipa_range){walk->at, (uint64_t)count << s2_walk_shift(walk)};
}

/* What the table that the cursor is in spans; below the root. */
static inline struct ipa_range s2_walk_span(const struct s2_walk *walk)
{
    MAPPING_ASSERT(walk->level > walk->table->geometry.start_level);
    return (struct ipa_range){walk->path[walk->level - S2_LEVEL_FIRST].base,
                              s2_level_size(&walk->table->geometry, walk->level - 1)};
}

/* Past @count whole entries; past what is left of this one. */
static inline void s2_walk_skip(struct s2_walk *walk, unsigned count)
{
    walk->at = ipa_range_end(s2_walk_stretch(walk, count));
    MAPPING_ASSERT(ipa_le(walk->at, walk->end));
}

static inline void s2_walk_skip_entry(struct s2_walk *walk)
{
    walk->at = ipa_range_end(s2_walk_piece(walk));
}

/* Into the table at @pa, whose entries those are, that the entry at the cursor links, or will. */
static inline void s2_walk_enter(struct s2_walk *walk, pa_t pa, s2_desc_t *entries)
{
    s2_desc_t *slot = s2_walk_slot(walk);
    const ipa_t base = s2_walk_entry(walk).start;

    MAPPING_ASSERT(walk->level < S2_LEVEL_PAGE);
    MAPPING_ASSERT(entries != NULL);
    MAPPING_ASSERT(!s2_walk_is_done(walk));
    walk->level++;
    walk->shift -= walk->table->geometry.stride;
    walk->mask = s2_table_entries(&walk->table->geometry) - 1;
    *s2_walk_step(walk) = (struct s2_walk_step){entries, slot, pa, base, NULL};
}

/* Into the table that @desc, the entry at the cursor, links. */
static inline void s2_walk_descend(struct s2_walk *walk, s2_desc_t desc)
{
    s2_walk_enter(walk, s2_desc_address(&walk->table->format, desc), s2_linked(walk->table, desc));
}

/* Whether the cursor has left this level's table: past its span, or done. */
static inline bool s2_walk_is_leaving(const struct s2_walk *walk)
{
    const uint64_t span =
        MAPPING_BIT(walk->shift) * (walk->mask + 1); /* of a table below the topmost */

    return walk->level > walk->top &&
           (s2_walk_is_done(walk) ||
            ipa_minus(walk->at, walk->path[walk->level - S2_LEVEL_FIRST].base) >= span);
}

static inline void s2_walk_ascend(struct s2_walk *walk)
{
    const struct s2_geometry *geometry = &walk->table->geometry;

    walk->level--;
    walk->shift += geometry->stride;
    walk->mask = (walk->level == geometry->start_level ? s2_root_entries(geometry)
                                                       : s2_table_entries(geometry)) -
                 1;
}

static inline void s2_walk_ascend_all(struct s2_walk *walk)
{
    while (s2_walk_is_leaving(walk)) {
        s2_walk_ascend(walk);
    }
}

/* The number of entries in use of the table that the cursor is in. */
static inline uint32_t *s2_walk_count(struct s2_walk *walk)
{
    struct s2_walk_step *step = s2_walk_step(walk);

    if (step->count == NULL) {
        step->count = frame_pool_count(walk->table->pool, step->pa);
    }
    return step->count;
}

/* --- Visitors -------------------------------------------------------------------------------- */

/* In place of a count: the visitor has seen enough. */
#define S2_WALK_STOP UINT32_MAX

struct s2_visitor {
    /* The next @count entries of one table lie whole in the range. Or, with @count 0, the entry at
     * the cursor lies partly in it, and is no table.
     * Returns: how many of @count are dealt with: all, or those before the first table, which is
     * entered
     *          then; with @count 0 anything; S2_WALK_STOP. */
    unsigned (*visit)(struct s2_walk *walk, unsigned count, void *arg);
    /* The cursor has come into a table below the root; NULL: nothing. Returns: false: stop. */
    bool (*enter)(struct s2_walk *walk, void *arg);
    /* All entries of its table in the range are done, and it is about to leave; NULL: nothing. */
    void (*leave)(struct s2_walk *walk, void *arg);
    /* It may deal with tables that lie whole in the range: the first entry that it is shown may be
     * one. */
    bool takes_tables;
};

/* Show @visitor all of @range, which may be empty. Returns: whether it went on to the end. */
bool s2_walk_visit(struct s2_table *table, struct ipa_range range, const struct s2_visitor *visitor,
                   void *arg);

/* Which of the next entries, from the @from-th from the cursor on, is the first table; @count: none
 * of so many. And for a visitor that only looks for tables. */
unsigned s2_walk_next_table(struct s2_walk *walk, unsigned from, unsigned count);

static inline unsigned s2_walk_to_table(struct s2_walk *walk, unsigned count)
{
    return s2_walk_next_table(walk, 0, count);
}

/* Whether nothing is mapped in [@start, @end), which may be empty. O(tables that exist there). */
bool s2_walk_is_free(struct s2_table *table, ipa_t start, ipa_t end);

#endif
