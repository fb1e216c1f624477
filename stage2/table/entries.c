/*
 * entries.c - the passes over what a range covers: one loop over the entries of each table, no call
 * for each. The hardware may set AF and dirty state in a leaf at any moment, where it was told to:
 * there every change is an exchange.
 */
#include "stage2/table/entries.h"

#include "stage2/table/frames.h"
#include "stage2/table/state.h"
#include "stage2/table/store.h"

/* --- Unmap ----------------------------------------------------------------------------------- */

/* Remove the next @count entries. Subtrees go as they are. */
static unsigned clear_entries(struct s2_walk *walk, unsigned count, void *arg)
{
    const struct ipa_range stretch = s2_walk_stretch(walk, count);
    struct s2_table *table = walk->table;
    s2_desc_t *slot = s2_walk_slot(walk);
    unsigned cleared = 0;
    bool has_tables = false;

    (void)arg;
    MAPPING_ASSERT(count <= s2_walk_entries(walk) - s2_walk_index(walk));
    for (unsigned i = 0; i < count; i++) {
        const s2_desc_t desc = arch_desc_load(&slot[i]);

        if (s2_desc_is_none(desc)) {
            continue;
        }
        arch_desc_store(&slot[i], S2_DESC_NONE);
        cleared++;
        if (s2_desc_is_table(desc, walk->level)) {
            s2_frames_quarantine(table, s2_desc_address(&table->format, desc), walk->level + 1);
            has_tables = true;
        }
    }
    if (cleared > 0) {
        MAPPING_ASSERT(*s2_walk_count(walk) >= cleared);
        *s2_walk_count(walk) -= cleared;
        s2_stored(table, slot, count);
        s2_invalidate(table, stretch, has_tables ? S2_TLB_LEVEL_ANY : walk->level);
    }
    return count;
}

/* The table that the cursor is about to leave goes, if it was emptied. */
static void unlink_if_empty(struct s2_walk *walk, void *arg)
{
    const struct s2_walk_step *step = s2_walk_step(walk);
    uint32_t *above = frame_pool_count(walk->table->pool, step[-1].pa);

    (void)arg;
    MAPPING_ASSERT(*above > 0);
    if (*s2_walk_count(walk) > 0) {
        return;
    }
    MAPPING_ASSERT(
        s2_desc_eq(arch_desc_load(step->slot), s2_desc_table(&walk->table->format, step->pa)));
    arch_desc_store(step->slot, S2_DESC_NONE);
    s2_stored(walk->table, step->slot, 1);
    s2_invalidate(walk->table, s2_walk_span(walk), S2_TLB_LEVEL_ANY);
    /* Nothing hangs below it: it need not be looked at again. */
    s2_frames_quarantine(walk->table, step->pa, S2_LEVEL_PAGE);
    *above -= 1;
}

/* Remove the run of @count leaves from @slot on, which span @range, each by an exchange; one that
 * stands alone is a run of one. What any of them had, all had. */
static void take_run(struct s2_table *table, s2_desc_t *slot, unsigned count,
                     struct ipa_range range)
{
    s2_desc_t all = S2_DESC_NONE;

    for (unsigned i = 0; i < count; i++) {
        all = s2_desc_or(all, arch_desc_swap(&slot[i], S2_DESC_NONE));
    }
    s2_state_removed(table, range, all, S2_DESC_NONE);
}

/* The same as clear_entries(), up to the first table, where somebody is told of what the leaves
 * were: a subtree does not go as it is, as hardware may set something in its leaves until nobody
 * reaches them. Returns: how many entries that were. */
static unsigned take_entries(struct s2_walk *walk, unsigned count, void *arg)
{
    struct s2_table *table = walk->table;
    s2_desc_t *slot = s2_walk_slot(walk);
    unsigned i = 0;

    (void)arg;
    while (i < count) {
        const s2_desc_t desc = arch_desc_load(&slot[i]);
        const unsigned run = s2_desc_is_leaf(desc, walk->level) && s2_desc_is_contiguous(desc)
                                 ? s2_run_entries(&table->geometry, walk->level)
                                 : 1;

        if (s2_desc_is_table(desc, walk->level)) {
            break;
        }
        if (!s2_desc_is_none(desc)) {
            const struct ipa_range range =
                s2_entry_stretch(&table->geometry, walk->level, walk->at, i, i + run);

            MAPPING_ASSERT(i + run <= count);
            MAPPING_ASSERT(*s2_walk_count(walk) >= run);
            take_run(table, &slot[i], run, range);
            *s2_walk_count(walk) -= run;
            s2_stored(table, &slot[i], run);
            s2_invalidate(table, range, walk->level);
        }
        i += run;
    }
    return i;
}

/* Everything in the range but blocks that stick out, which are broken by now. Where no table is
 * emptied, as was found before, none is looked at above those of pages. */
void s2_entries_clear(struct s2_table *table, const struct s2_change *change)
{
    static const struct s2_visitor clear = {
        .visit = clear_entries, .leave = unlink_if_empty, .takes_tables = true};
    static const struct s2_visitor take = {.visit = take_entries, .leave = unlink_if_empty};
    static const struct s2_visitor clear_recent = {.visit = clear_entries};
    static const struct s2_visitor take_recent = {.visit = take_entries};
    const bool is_tracked = s2_state_is_tracked(table);

    MAPPING_ASSERT(change->verb == S2_VERB_UNMAP);
    if (change->is_recent) {
        (void)s2_walk_visit(table, change->range, is_tracked ? &take_recent : &clear_recent, NULL);
    } else {
        (void)s2_walk_visit(table, change->range, is_tracked ? &take : &clear, NULL);
    }
}

/* --- Protect and replace --------------------------------------------------------------------- */

/* What leaves become that are alike but for where they lead: the same bits change in all of them,
 * or none does. */
struct fate {
    s2_desc_t mask;    /* all bits but the address, */
    s2_desc_t pattern; /* and what they are */
    s2_desc_t flip;    /* what changes; S2_DESC_NONE: nothing */
};

static inline bool is_alike(s2_desc_t desc, const struct fate *fate)
{
    return s2_desc_eq(s2_desc_and(desc, fate->mask), fate->pattern);
}

/* The same of four at once: one test, as it would be half of the work. */
static inline bool are_alike(const s2_desc_t four[4], const struct fate *fate)
{
    const s2_desc_t low =
        s2_desc_or(s2_desc_xor(four[0], fate->pattern), s2_desc_xor(four[1], fate->pattern));
    const s2_desc_t high =
        s2_desc_or(s2_desc_xor(four[2], fate->pattern), s2_desc_xor(four[3], fate->pattern));

    return s2_desc_is_none(s2_desc_and(s2_desc_or(low, high), fate->mask));
}

/* How many entries from @slot on, at most @count, have that fate, which is none. */
static unsigned pass_over(const s2_desc_t *slot, unsigned count, struct fate fate)
{
    const s2_desc_t *const fours = slot + (count & ~3U);
    const s2_desc_t *const end = slot + count;
    const s2_desc_t *at = slot;

    for (; at != fours; at += 4) {
        const s2_desc_t four[4] = {arch_desc_load(&at[0]), arch_desc_load(&at[1]),
                                   arch_desc_load(&at[2]), arch_desc_load(&at[3])};

        if (!are_alike(four, &fate)) {
            break;
        }
    }
    while (at != end && is_alike(arch_desc_load(at), &fate)) {
        at++;
    }
    return (unsigned)(at - slot);
}

/* Store what they become; how many they were. For tables that the hardware does not write. */
static unsigned flip(s2_desc_t *slot, unsigned count, struct fate fate)
{
    const s2_desc_t *const fours = slot + (count & ~3U);
    const s2_desc_t *const end = slot + count;
    s2_desc_t *at = slot;

    for (; at != fours; at += 4) {
        const s2_desc_t four[4] = {arch_desc_load(&at[0]), arch_desc_load(&at[1]),
                                   arch_desc_load(&at[2]), arch_desc_load(&at[3])};

        if (!are_alike(four, &fate)) {
            break;
        }
        arch_desc_store(&at[0], s2_desc_xor(four[0], fate.flip));
        arch_desc_store(&at[1], s2_desc_xor(four[1], fate.flip));
        arch_desc_store(&at[2], s2_desc_xor(four[2], fate.flip));
        arch_desc_store(&at[3], s2_desc_xor(four[3], fate.flip));
    }
    for (; at != end && is_alike(arch_desc_load(at), &fate); at++) {
        arch_desc_store(at, s2_desc_xor(arch_desc_load(at), fate.flip));
    }
    return (unsigned)(at - slot);
}

/* The same where the hardware may set AF and dirty state at any moment. What it sets makes another
 * fate: so nothing is overwritten that was not looked at. */
static unsigned flip_exchanging(s2_desc_t *slot, unsigned count, struct fate fate)
{
    for (unsigned i = 0; i < count; i++) {
        s2_desc_t desc = arch_desc_load(&slot[i]);

        do {
            if (!is_alike(desc, &fate)) {
                return i;
            }
        } while (!arch_desc_replace(&slot[i], &desc, s2_desc_xor(desc, fate.flip)));
    }
    return count;
}

/* What a leaf becomes in the first pass: what it shall be, or broken on the way there. */
static s2_desc_t first_pass(const struct s2_table *table, const struct s2_change *change,
                            s2_desc_t desc, bool *is_broken)
{
    const s2_desc_t next = s2_desc_with_attr(&table->format, desc, change->to.attr);

    *is_broken = change->verb == S2_VERB_REPLACE || !s2_desc_is_in_place(desc, next);
    return *is_broken ? s2_desc_break(desc) : next;
}

/* The fate of @desc, an entry of @level, and of its like. */
static struct fate fate_of(const struct s2_table *table, const struct s2_change *change,
                           s2_desc_t desc, int level, bool *is_broken)
{
    struct fate fate = {.mask = s2_desc_rest_mask(&table->format)};

    *is_broken = false;
    fate.pattern = s2_desc_and(desc, fate.mask);
    if (s2_desc_is_leaf(desc, level) && s2_change_reaches(table, change, desc)) {
        fate.flip = s2_desc_xor(desc, first_pass(table, change, desc, is_broken));
    }
    return fate;
}

/* Whether nothing that @desc allows is refused by @next. */
static bool is_relaxed(const struct s2_table *table, s2_desc_t desc, s2_desc_t next, bool is_broken)
{
    return table->rules.is_local && !is_broken && s2_desc_allows(&table->format, next, desc);
}

/* What the entries [@first, @last), counted from the cursor, span. */
static struct ipa_range entries_at(const struct s2_walk *walk, unsigned first, unsigned last)
{
    const unsigned shift = s2_walk_shift(walk);

    MAPPING_ASSERT(first <= last);
    return (struct ipa_range){ipa_add(walk->at, (uint64_t)first << shift), (uint64_t)(last - first)
                                                                               << shift};
}

/* They were changed. */
static void invalidate_entries(struct s2_walk *walk, unsigned first, unsigned last,
                               bool has_revoked)
{
    const struct ipa_range stretch = entries_at(walk, first, last);

    s2_stored(walk->table, s2_walk_slot(walk) + first, last - first);
    if (has_revoked) {
        s2_invalidate(walk->table, stretch, walk->level);
    } else {
        s2_invalidate_relaxed(walk->table, stretch, walk->level);
    }
}

/* The cursor's entries [@first, @last) were like @desc, and have changed as @fate says. Apart, as
 * few tables come here. */
static __attribute__((noinline)) void tell_changed(struct s2_walk *walk, unsigned first,
                                                   unsigned last, s2_desc_t desc,
                                                   const struct fate *fate)
{
    if (first < last) {
        s2_state_removed(walk->table, entries_at(walk, first, last), desc,
                         s2_desc_xor(desc, fate->flip));
    }
}

/* Change the @i-th entry from the cursor, which is @desc, and those that follow it and are alike.
 * Returns: how many those were; none: the hardware was faster, and it is another by now. Where it
 * updates entries, a run that is broken goes as one: it lies whole in the range, as the splits took
 * those that do not. */
static unsigned change_alike(struct s2_walk *walk, unsigned i, unsigned count, s2_desc_t desc,
                             const struct fate *fate, bool is_broken)
{
    const unsigned run = s2_run_entries(&walk->table->geometry, walk->level);
    s2_desc_t *slot = s2_walk_slot(walk) + i;

    if (!walk->table->format.has_access_flag) {
        return flip(slot, count, *fate);
    }
    if (is_broken && s2_desc_is_contiguous(desc)) {
        MAPPING_ASSERT((s2_walk_index(walk) + i) % run == 0);
        (void)s2_run_break(walk->table, slot, run);
        return run;
    }
    count = flip_exchanging(slot, count, *fate);
    if (!is_broken) {
        tell_changed(walk, i, i + count, desc, fate);
    }
    return count;
}

/* First pass over the next @count entries, up to the first table; how many entries that were. */
static unsigned change_entries(struct s2_walk *walk, unsigned count, void *arg)
{
    struct s2_change *change = arg;
    const struct s2_table *table = walk->table;
    const s2_desc_t *slot = s2_walk_slot(walk);
    unsigned first = count, last = 0, i = 0;
    bool has_revoked = false;

    MAPPING_ASSERT(change->verb != S2_VERB_UNMAP);
    while (i < count) {
        const s2_desc_t desc = arch_desc_load(&slot[i]);
        bool is_broken;
        const struct fate fate = fate_of(table, change, desc, walk->level, &is_broken);

        if (s2_desc_is_table(desc, walk->level)) {
            break;
        }
        if (s2_desc_is_none(fate.flip)) {
            i += pass_over(&slot[i], count - i, fate);
            continue;
        }
        first = i < first ? i : first;
        i += change_alike(walk, i, count - i, desc, &fate, is_broken);
        last = i;
        change->has_broken |= is_broken;
        has_revoked |= !is_relaxed(table, desc, s2_desc_xor(desc, fate.flip), is_broken);
    }
    MAPPING_ASSERT(i <= count);
    if (first < last) {
        invalidate_entries(walk, first, last, has_revoked);
    }
    return i;
}

/* Before it, where sizes change directly: the runs that a protect changes are opened, so that each
 * member can be changed in place. Folding makes them runs again. One whose type changes has to be
 * broken anyway, and stays a run. */
static unsigned open_runs(struct s2_walk *walk, unsigned count, void *arg)
{
    struct s2_change *change = arg;
    struct s2_table *table = walk->table;
    const unsigned run = s2_run_entries(&table->geometry, walk->level);
    s2_desc_t *slot = s2_walk_slot(walk);
    unsigned i = 0;

    while (i < count) {
        const s2_desc_t desc = arch_desc_load(&slot[i]);

        if (s2_desc_is_table(desc, walk->level)) {
            break;
        }
        if (!s2_desc_is_leaf(desc, walk->level) || !s2_desc_is_contiguous(desc) ||
            !s2_change_reaches(table, change, desc) ||
            !s2_attr_is_alike(s2_desc_attr(&table->format, desc), change->to.attr)) {
            i++;
            continue;
        }
        MAPPING_ASSERT((s2_walk_index(walk) + i) % run == 0 && i + run <= count);
        s2_run_open(table, &slot[i], run);
        invalidate_entries(walk, i, i + run, true);
        i += run;
    }
    return i;
}

/* What a broken leaf in the range is made, in a protect: with the new attributes, and with the hint
 * only if all of its run is. */
static s2_desc_t second_pass(const struct s2_walk *walk, const struct s2_change *change, ipa_t at,
                             s2_desc_t broken)
{
    const struct s2_table *table = walk->table;
    const uint64_t size = (uint64_t)s2_run_entries(&table->geometry, walk->level)
                          << s2_walk_shift(walk);
    const s2_desc_t leaf = s2_desc_with_attr(&table->format, s2_desc_mend(broken), change->to.attr);
    const struct ipa_range run = {ipa_align_down(at, size), size};

    MAPPING_ASSERT(ipa_range_has(change->range, at));
    return ipa_range_covers(change->range, run) ? leaf : s2_desc_without_hint(leaf);
}

/* How many of the entries [@i, @count) may follow one that was @desc and became @next: those with
 * the same fate as to the hint. It is kept up to the last run that lies whole among them, and
 * dropped up to the border of the run that is torn. */
static unsigned stretch_left(const struct s2_walk *walk, s2_desc_t desc, s2_desc_t next, unsigned i,
                             unsigned count)
{
    const unsigned run = s2_run_entries(&walk->table->geometry, walk->level);
    const unsigned index = s2_walk_index(walk);
    const unsigned torn = (index + count) % run;
    const unsigned into = (index + i) % run;

    if (!s2_desc_is_contiguous(desc)) {
        return count - i;
    }
    if (s2_desc_is_contiguous(next)) {
        return count - i > torn ? count - i - torn : 0;
    }
    return into == 0 ? 0 : (unsigned)mapping_u64_min(count - i, run - into);
}

/* Second pass of a protect. Memory whose type changes is cleaned before a guest sees it again. */
static unsigned make_protected(struct s2_walk *walk, unsigned count, void *arg)
{
    struct s2_change *change = arg;
    struct s2_table *table = walk->table;
    const uint64_t size = MAPPING_BIT(s2_walk_shift(walk));
    struct fate fate = {.mask = s2_desc_rest_mask(&table->format)};
    s2_desc_t *slot = s2_walk_slot(walk);
    unsigned i = 0, start;

    MAPPING_ASSERT(change->verb == S2_VERB_PROTECT);
    MAPPING_ASSERT(s2_tlb_batch_is_empty(&table->operation.invalidations));
    while (i < count) {
        const s2_desc_t desc = arch_desc_load(&slot[i]);
        s2_desc_t next;

        if (s2_desc_is_table(desc, walk->level)) {
            break;
        }
        fate.pattern = s2_desc_and(desc, fate.mask);
        if (!s2_desc_is_broken(desc)) {
            i += pass_over(&slot[i], count - i, fate);
            continue;
        }
        next = second_pass(walk, change, ipa_add(walk->at, i * size), desc);
        fate.flip = s2_desc_xor(desc, next);
        start = i;
        if (!s2_attr_is_alike(s2_desc_attr(&table->format, desc), change->to.attr)) {
            s2_memory_reclaim(&table->memory, s2_desc_address(&table->format, desc), size);
            i += flip(&slot[i], 1, fate);
        } else {
            i += flip(&slot[i], 1 + stretch_left(walk, desc, next, i + 1, count), fate);
        }
        s2_state_removed(table, entries_at(walk, start, i), desc, next);
    }
    MAPPING_ASSERT(i <= count);
    s2_stored(table, slot, i);
    return i;
}

/* How many of @count entries from the cursor on are broken leaves with the attributes of the first,
 * whatever their outputs. */
static unsigned alike_broken(const struct s2_table *table, const s2_desc_t *slot, unsigned count)
{
    const s2_desc_t attr = s2_desc_attr(&table->format, arch_desc_load(slot));
    unsigned i = 0;

    while (i < count && s2_desc_is_broken(arch_desc_load(&slot[i])) &&
           s2_desc_eq(s2_desc_attr(&table->format, arch_desc_load(&slot[i])), attr)) {
        i++;
    }
    MAPPING_ASSERT(i > 0);
    return i;
}

/* Second pass of a replace, over a stretch of broken leaves that are alike: mapped anew with the
 * attributes they had, in leaves as large as the new output allows. Each stays broken until then,
 * so that whoever faults there knows to ask again. */
static void map_replaced(struct s2_walk *walk, const struct s2_change *change, unsigned count)
{
    struct s2_table *table = walk->table;
    const struct s2_mapping mapping = {
        .offset = change->to.offset,
        .attr = s2_desc_attr(&table->format, arch_desc_load(s2_walk_slot(walk))),
        .cap = walk->level,
        .has_runs = true,
    };
    struct s2_walk stretch = *walk;

    MAPPING_ASSERT(*s2_walk_count(walk) >= count);
    *s2_walk_count(walk) -= count;
    stretch.end = ipa_range_end(s2_walk_stretch(walk, count));
    s2_map_fill(&stretch, &mapping);
}

static unsigned make_replaced(struct s2_walk *walk, unsigned count, void *arg)
{
    struct s2_change *change = arg;
    const s2_desc_t *slot = s2_walk_slot(walk);
    struct s2_walk at = *walk;
    unsigned i = 0;

    MAPPING_ASSERT(change->verb == S2_VERB_REPLACE);
    MAPPING_ASSERT(s2_tlb_batch_is_empty(&walk->table->operation.invalidations));
    while (i < count) {
        const s2_desc_t desc = arch_desc_load(&slot[i]);
        unsigned step = 1;

        if (s2_desc_is_table(desc, walk->level)) {
            break;
        }
        if (s2_desc_is_broken(desc)) {
            step = alike_broken(walk->table, &slot[i], count - i);
            map_replaced(&at, change, step);
        }
        s2_walk_skip(&at, step);
        i += step;
    }
    return i;
}

void s2_entries_open(struct s2_table *table, struct s2_change *change)
{
    static const struct s2_visitor visitor = {.visit = open_runs};

    MAPPING_ASSERT(table->is_direct && change->verb == S2_VERB_PROTECT);
    (void)s2_walk_visit(table, change->range, &visitor, change);
}

void s2_entries_change(struct s2_table *table, struct s2_change *change)
{
    static const struct s2_visitor visitor = {.visit = change_entries};

    MAPPING_ASSERT(change->verb != S2_VERB_UNMAP);
    (void)s2_walk_visit(table, change->range, &visitor, change);
}

void s2_entries_make(struct s2_table *table, struct s2_change *change)
{
    static const struct s2_visitor protected = {.visit = make_protected};
    static const struct s2_visitor replaced = {.visit = make_replaced};

    MAPPING_ASSERT(change->has_broken);
    (void)s2_walk_visit(table, change->range,
                        change->verb == S2_VERB_PROTECT ? &protected : &replaced, change);
}
