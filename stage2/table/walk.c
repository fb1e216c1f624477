#include "stage2/table/walk.h"

/* Into the table that @desc, the entry at the cursor, links. Returns: false: the visitor stops. */
static bool enter(struct s2_walk *walk, s2_desc_t desc, const struct s2_visitor *visitor, void *arg)
{
    MAPPING_ASSERT(s2_desc_is_table(desc, walk->level));
    s2_walk_descend(walk, desc);
    return visitor->enter == NULL || visitor->enter(walk, arg);
}

/* Into a table, or past the entries that the visitor deals with. Returns: false: it stops. */
static bool advance(struct s2_walk *walk, const struct s2_visitor *visitor, void *arg)
{
    const s2_desc_t desc = arch_desc_load(s2_walk_slot(walk));
    const bool is_table = s2_desc_is_table(desc, walk->level);
    unsigned count, done;

    if (is_table && !visitor->takes_tables) {
        return enter(walk, desc, visitor, arg);
    }
    count = s2_walk_whole(walk);
    if (is_table && count == 0) {
        return enter(walk, desc, visitor, arg);
    }
    done = visitor->visit(walk, count, arg);
    if (done == S2_WALK_STOP) {
        return false;
    }
    if (count == 0) {
        s2_walk_skip_entry(walk);
        return true;
    }
    MAPPING_ASSERT(done <= count);
    s2_walk_skip(walk, done);
    return done == count || enter(walk, arch_desc_load(s2_walk_slot(walk)), visitor, arg);
}

/* In the table that was used last there are only pages. */
static bool visit_recent(struct s2_table *table, struct ipa_range range,
                         const struct s2_visitor *visitor, void *arg)
{
    struct s2_walk walk;

    MAPPING_ASSERT(visitor->leave == NULL && visitor->enter == NULL);
    s2_walk_begin_recent(&walk, table, range);
    return visitor->visit(&walk, (unsigned)(range.size >> walk.shift), arg) != S2_WALK_STOP;
}

static bool visit_from_root(struct s2_table *table, struct ipa_range range,
                            const struct s2_visitor *visitor, void *arg)
{
    struct s2_walk walk;

    s2_walk_begin(&walk, table, range);
    while (!s2_walk_is_done(&walk)) {
        if (!advance(&walk, visitor, arg)) {
            return false;
        }
        while (s2_walk_is_leaving(&walk)) {
            if (visitor->leave != NULL) {
                visitor->leave(&walk, arg);
            }
            s2_walk_ascend(&walk);
        }
    }
    MAPPING_ASSERT(walk.level == walk.top);
    return true;
}

bool s2_walk_visit(struct s2_table *table, struct ipa_range range, const struct s2_visitor *visitor,
                   void *arg)
{
    MAPPING_ASSERT(visitor->visit != NULL);
    if (range.size == 0) {
        return true;
    }
    if (visitor->enter == NULL && visitor->leave == NULL && s2_recent_has(table, range)) {
        return visit_recent(table, range, visitor, arg);
    }
    return visit_from_root(table, range, visitor, arg);
}

/* Above level 3 the two low bits are all it takes. */
static inline bool links(const s2_desc_t *slot)
{
    return s2_desc_is_table(arch_desc_load(slot), S2_LEVEL_FIRST);
}

unsigned s2_walk_next_table(struct s2_walk *walk, unsigned from, unsigned count)
{
    const s2_desc_t *slot = s2_walk_slot(walk);
    const s2_desc_t *at = slot + from;
    const s2_desc_t *const end = slot + count;

    MAPPING_ASSERT(from <= count);
    if (walk->level == S2_LEVEL_PAGE) {
        return count;
    }
    /* Four a turn, as the loop itself would be half of the work. */
    while (end - at >= 4 && !links(&at[0]) && !links(&at[1]) && !links(&at[2]) && !links(&at[3])) {
        at += 4;
    }
    while (at < end && !links(at)) {
        at++;
    }
    return (unsigned)(at - slot);
}

/* No table is empty, so one that lies whole in the range is no hole. */
static unsigned stop_unless_free(struct s2_walk *walk, unsigned count, void *arg)
{
    const s2_desc_t *slot = s2_walk_slot(walk);

    (void)arg;
    for (unsigned i = 0; i < (count > 0 ? count : 1); i++) {
        if (!s2_desc_is_none(arch_desc_load(&slot[i]))) {
            return S2_WALK_STOP;
        }
    }
    return count;
}

bool s2_walk_is_free(struct s2_table *table, ipa_t start, ipa_t end)
{
    static const struct s2_visitor visitor = {.visit = stop_unless_free, .takes_tables = true};

    return !ipa_lt(start, end) ||
           s2_walk_visit(table, ipa_range_between(start, end), &visitor, NULL);
}
