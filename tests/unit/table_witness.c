#include "tests/unit/table_witness.h"
#include "tests/unit/test.h"

#include <check.h>
#include <inttypes.h>

/* Writes of one kind in a row that are all looked at; of those that follow, one in so many. */
#define LOOK_ALWAYS 70
#define LOOK_SELDOM 509

/* --- Pictures -------------------------------------------------------------------------------- */

/* Where bits of the attributes stand: each of its own. */
static uint64_t attr_of(const struct mmu *mmu, const struct mmu_result *found, unsigned details)
{
    const bool shows_state = (details & PICTURE_STATE) != 0;
    const bool has_ha = (mmu->vtcr >> 21 & 1) != 0 && !shows_state;
    const bool is_tracked = (mmu->vtcr >> 22 & 1) != 0 && found->dbm && !shows_state;
    uint64_t attr = found->memattr | (uint64_t)found->sh << 4 | (uint64_t)found->software << 6 |
                    (uint64_t)found->xn << 10 | (uint64_t)(found->s2ap & 1) << 12;

    attr |= (found->dbm ? UINT64_C(1) : 0) << 13;
    attr |= (is_tracked ? UINT64_C(1) : found->s2ap >> 1) << 14;
    attr |= (has_ha || found->af ? UINT64_C(1) : 0) << 15;
    if ((details & PICTURE_LEVELS) != 0) {
        attr |= (uint64_t)(found->level + 1) << 16;
    }
    if ((details & PICTURE_HINTS) != 0) {
        attr |= (found->contiguous ? UINT64_C(1) : 0) << 20;
    }
    return attr;
}

static bool is_alike(const struct picture_stretch *a, const struct picture_stretch *b)
{
    return a->is_mapped == b->is_mapped && a->offset == b->offset && a->attr == b->attr;
}

static void picture_add(struct picture *picture, struct picture_stretch next)
{
    if (picture->count > 0 && is_alike(&picture->stretches[picture->count - 1], &next)) {
        picture->stretches[picture->count - 1].end = next.end;
        return;
    }
    if (picture->count == PICTURE_STRETCHES) {
        ck_abort_msg("too many stretches for a picture");
    }
    picture->stretches[picture->count] = next;
    picture->count++;
}

/* Where the entry at @ipa ends; fails the test for what is no entry. */
static uint64_t entry_end(const struct mmu_result *found, uint64_t ipa)
{
    const uint64_t size = found->has_leaf ? found->leaf_size : found->hole_size;

    if (found->res0 != 0 || size == 0) {
        ck_abort_msg("IPA 0x%" PRIx64 ": a walker meets a bad descriptor at level %d", ipa,
                     found->level);
    }
    return (ipa & ~(size - 1)) + size;
}

void picture_take(struct picture *picture, const struct mmu *mmu, uint64_t start, uint64_t end,
                  unsigned details)
{
    picture->count = 0;
    for (uint64_t ipa = start; ipa < end;) {
        const struct mmu_result found = mmu_translate(mmu, ipa, MMU_READ);
        const uint64_t next = entry_end(&found, ipa);
        struct picture_stretch stretch = {.start = ipa, .end = next < end ? next : end};

        if (found.has_leaf) {
            stretch.is_mapped = true;
            stretch.offset = found.pa - ipa;
            stretch.attr = attr_of(mmu, &found, details);
        }
        picture_add(picture, stretch);
        ipa = stretch.end;
    }
}

void picture_assert_same(const struct picture *a, const struct picture *b, const char *what)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        const struct picture_stretch *x = &a->stretches[i];
        const struct picture_stretch *y = &b->stretches[i];

        if (x->start != y->start || x->end != y->end || !is_alike(x, y)) {
            ck_abort_msg("%s: IPA 0x%" PRIx64 " to 0x%" PRIx64 ", offset 0x%" PRIx64
                         ", attributes 0x%" PRIx64 "; and IPA 0x%" PRIx64 " to 0x%" PRIx64
                         ", offset 0x%" PRIx64 ", attributes 0x%" PRIx64,
                         what, x->start, x->end, x->offset, x->attr, y->start, y->end, y->offset,
                         y->attr);
        }
    }
    ck_assert_msg(a->count == b->count, "%s: %zu stretches and %zu", what, a->count, b->count);
}

/* The stretch that holds @ipa. */
static const struct picture_stretch *stretch_at(const struct picture *picture, uint64_t ipa)
{
    size_t i = 0;

    while (i + 1 < picture->count && picture->stretches[i].end <= ipa) {
        i++;
    }
    return &picture->stretches[i];
}

/* --- What is seen ---------------------------------------------------------------------------- */

/* Gaps are kept in no order, but none touches another. */
static void note_gap(struct witness *witness, uint64_t start, uint64_t end)
{
    size_t kept = 0;

    for (size_t i = 0; i < witness->gap_count; i++) {
        const struct witness_gap gap = witness->gaps[i];

        if (gap.start <= end && start <= gap.end) {
            start = gap.start < start ? gap.start : start;
            end = gap.end > end ? gap.end : end;
        } else {
            witness->gaps[kept] = gap;
            kept++;
        }
    }
    if (kept == WITNESS_GAPS) {
        ck_abort_msg("too many gaps for a witness");
    }
    witness->gaps[kept] = (struct witness_gap){start, end};
    witness->gap_count = kept + 1;
}

static void note_attr(struct witness *witness, uint64_t attr)
{
    for (size_t i = 0; i < witness->attr_count; i++) {
        if (witness->attrs[i] == attr) {
            return;
        }
    }
    if (witness->attr_count == COUNT(witness->attrs)) {
        ck_abort_msg("too many attributes for a witness");
    }
    witness->attrs[witness->attr_count] = attr;
    witness->attr_count++;
}

/* [@start, @end) reads as @now and read as @before. */
static void judge(struct witness *witness, uint64_t start, uint64_t end,
                  const struct picture_stretch *before, const struct picture_stretch *now)
{
    const bool is_inside = start >= witness->change_start && end <= witness->change_end;

    if (is_alike(before, now)) {
        return;
    }
    if (!now->is_mapped) {
        note_gap(witness, start, end);
    } else if (!is_inside) {
        ck_abort_msg("IPA 0x%" PRIx64 " to 0x%" PRIx64
                     ", which stays, reads otherwise: offset 0x%" PRIx64 ", attributes 0x%" PRIx64
                     ", not 0x%" PRIx64 ", 0x%" PRIx64,
                     start, end, now->offset, now->attr, before->offset, before->attr);
    } else {
        note_attr(witness, now->attr);
    }
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Up to where nothing begins: the change, or another stretch. */
static uint64_t piece_end(const struct witness *witness, uint64_t ipa)
{
    uint64_t end =
        least(stretch_at(&witness->before, ipa)->end, stretch_at(&witness->now, ipa)->end);

    if (ipa < witness->change_start) {
        end = least(end, witness->change_start);
    } else if (ipa < witness->change_end) {
        end = least(end, witness->change_end);
    }
    return end;
}

static void look(struct witness *witness)
{
    witness->looks++;
    picture_take(&witness->now, &witness->mmu, witness->start, witness->end, 0);
    for (uint64_t ipa = witness->start; ipa < witness->end;) {
        const uint64_t end = piece_end(witness, ipa);

        judge(witness, ipa, end, stretch_at(&witness->before, ipa), stretch_at(&witness->now, ipa));
        ipa = end;
    }
}

static void on_event(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    struct witness *witness = arg;

    if (phase != SIM_AFTER) {
        return;
    }
    /* Nothing else changes what a walk finds; what is wrong with a dark table shows once it is
     * linked. But what comes after it is told from what came before. */
    if (event->kind < SIM_STORE || event->kind > SIM_REPLACE) {
        if (witness->alike > 0) {
            look(witness);
        }
        witness->alike = 0;
        witness->kind = event->kind;
        return;
    }
    witness->alike = event->kind == witness->kind ? witness->alike + 1 : 0;
    witness->kind = event->kind;
    if (witness->alike < LOOK_ALWAYS || witness->alike % LOOK_SELDOM == 0) {
        look(witness);
    }
}

void witness_begin(struct witness *witness, const struct rig *rig, const struct s2_table *table,
                   struct ipa_range window, struct ipa_range change)
{
    *witness = (struct witness){
        .mmu = rig_mmu(rig, table),
        .start = window.start.raw,
        .end = window.start.raw + window.size,
        .change_start = change.start.raw,
        .change_end = change.start.raw + change.size,
    };
    witness->mmu.options &= ~(unsigned)MMU_CHECK_RUNS; /* a run may be mixed for a moment */
    picture_take(&witness->before, &witness->mmu, witness->start, witness->end, 0);
    ck_assert(sim_listen(on_event, witness));
}

/* Whether any byte of [@start, @end) is mapped in @picture. */
static bool is_mapped_in(const struct picture *picture, uint64_t start, uint64_t end)
{
    for (size_t i = 0; i < picture->count; i++) {
        const struct picture_stretch *stretch = &picture->stretches[i];

        if (stretch->is_mapped && stretch->start < end && start < stretch->end) {
            return true;
        }
    }
    return false;
}

static bool has_attr(const struct picture *picture, uint64_t attr)
{
    for (size_t i = 0; i < picture->count; i++) {
        if (picture->stretches[i].is_mapped && picture->stretches[i].attr == attr) {
            return true;
        }
    }
    return false;
}

bool witness_end(struct witness *witness)
{
    bool has_transient = false;

    ck_assert(sim_unlisten(on_event, witness));
    look(witness);
    for (size_t i = 0; i < witness->gap_count; i++) {
        has_transient |= is_mapped_in(&witness->now, witness->gaps[i].start, witness->gaps[i].end);
    }
    for (size_t i = 0; i < witness->attr_count; i++) {
        ck_assert_msg(has_attr(&witness->now, witness->attrs[i]) ||
                          has_attr(&witness->before, witness->attrs[i]),
                      "attributes 0x%" PRIx64 " were seen, neither old nor new", witness->attrs[i]);
    }
    return has_transient;
}
