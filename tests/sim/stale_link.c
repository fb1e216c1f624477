#include "tests/sim/stale_private.h"

#include <stdio.h>
#include <stdlib.h>

#define DESC_TABLE (UINT64_C(1) << 1)
#define DESC_MEMATTR (UINT64_C(0xf) << 2)
#define DESC_FORCED (UINT64_C(0x6) << 2) /* with FWB: write-back, whatever stage 1 says */
#define HCR_FWB (UINT64_C(1) << 46)
#define RIGHT_DIRTY 4U
#define RIGHT_ACCESSED 32U
#define DESC_S2AP_READ (UINT64_C(1) << 6)
#define DESC_S2AP_WRITE (UINT64_C(1) << 7)
#define DESC_AF (UINT64_C(1) << 10)
#define DESC_NT (UINT64_C(1) << 16)
#define DESC_DBM (UINT64_C(1) << 51)
#define DESC_CONTIGUOUS (UINT64_C(1) << 52)
#define DESC_XN (UINT64_C(3) << 53)
#define DESC_SOFTWARE (UINT64_C(15) << 55)

static uint64_t field(uint64_t word, unsigned hi, unsigned lo)
{
    return (word << (63 - hi)) >> (63 - hi + lo);
}

/* --- Leaves ---------------------------------------------------------------------------------- */

uint64_t stale_leaf_address(const struct reach_guest *guest, uint64_t desc, int level)
{
    return reach_address(guest, desc) & ~(reach_span(guest, level) - 1);
}

static bool leaf_is_contiguous(const struct reach_guest *guest, uint64_t desc, int level)
{
    return (desc & DESC_CONTIGUOUS) != 0 && reach_run(guest, level) != reach_span(guest, level);
}

/* What a copy allows, one bit each: a stale copy that has one more than the tables is wrong. */
unsigned stale_leaf_rights(const struct reach_guest *guest, uint64_t desc)
{
    const uint64_t xn = field(desc, 54, 53) & (guest->mmu.cpu.xnx ? 3U : 2U);
    const bool is_dirty = (desc & DESC_S2AP_WRITE) != 0;
    const bool can_write = is_dirty || (guest->has_hd && (desc & DESC_DBM) != 0);

    return ((desc & DESC_S2AP_READ) != 0 ? 1U : 0U) | (can_write ? 2U : 0U) |
           (is_dirty ? RIGHT_DIRTY : 0U) | /* writes without marking the page */
           (xn == 0 || xn == 3 ? 8U : 0U) | (xn == 0 || xn == 1 ? 16U : 0U) |
           ((desc & DESC_AF) != 0 ? RIGHT_ACCESSED : 0U);
}

/* What may differ in two leaves that translate alike, but for OA bits. */
static uint64_t aside(const struct reach_guest *guest)
{
    return DESC_S2AP_READ | DESC_S2AP_WRITE | DESC_AF | DESC_NT | DESC_DBM | DESC_XN |
           DESC_SOFTWARE | guest->address_mask | guest->high_mask >> guest->high_shift;
}

/* Two leaves, or entries of a run, that translate alike but for what may change in place. */
bool stale_leaf_is_alike(const struct reach_guest *guest, int level, uint64_t a, uint64_t a_ipa,
                         uint64_t b, uint64_t b_ipa)
{
    return ((a ^ b) & ~aside(guest)) == 0 && stale_leaf_address(guest, a, level) - a_ipa ==
                                                 stale_leaf_address(guest, b, level) - b_ipa;
}

bool stale_leaf_agrees(const struct reach_guest *guest, uint64_t a, struct reach_place a_place,
                       uint64_t b, struct reach_place b_place)
{
    return ((a ^ b) & ~(aside(guest) | DESC_TABLE | DESC_CONTIGUOUS)) == 0 &&
           stale_leaf_address(guest, a, a_place.level) - a_place.ipa ==
               stale_leaf_address(guest, b, b_place.level) - b_place.ipa;
}

/* Whether accesses by the leaf may be slow ones (XS = 1). */
static bool leaf_is_slow(const struct reach_guest *guest, uint64_t desc)
{
    return (guest->mmu.hcr & HCR_FWB) == 0 || (desc & DESC_MEMATTR) != DESC_FORCED;
}

/* --- Changes of size ------------------------------------------------------------------------- */

/* Leaves of a table beside one that stands for all of them. */
struct likeness {
    const struct reach_guest *guest;
    struct reach_place place;
    uint64_t desc;
    uint64_t covered; /* bytes where they agree, in rights too */
};

static bool has_same_rights(const struct reach_guest *guest, uint64_t a, uint64_t b)
{
    const unsigned by_hardware = RIGHT_DIRTY | RIGHT_ACCESSED;

    return ((stale_leaf_rights(guest, a) ^ stale_leaf_rights(guest, b)) & ~by_hardware) == 0;
}

static void likeness_visit(void *arg, struct reach_place place, uint64_t pa, uint64_t desc)
{
    struct likeness *likeness = arg;
    const struct reach_guest *guest = likeness->guest;

    (void)pa;
    if (reach_kind(guest, desc, place.level) == REACH_LEAF &&
        stale_leaf_agrees(guest, desc, place, likeness->desc, likeness->place) &&
        has_same_rights(guest, desc, likeness->desc)) {
        likeness->covered += reach_span(guest, place.level);
    }
}

static bool tree_is_like(struct stale_tlb *tlb, struct reach_place place, uint64_t table,
                         uint64_t leaf)
{
    const struct reach_guest *guest = stale_guest(tlb, place);
    const struct reach_place first = {place.guest, place.level + 1, place.ipa};
    struct likeness likeness = {guest, place, leaf, 0};

    reach_visit(&tlb->reach, reach_address(guest, table), reach_table_size(guest), first,
                likeness_visit, &likeness);
    return likeness.covered == reach_span(guest, place.level);
}

bool stale_is_direct(struct stale_tlb *tlb, struct reach_place place, const struct sim_event *event)
{
    const struct reach_guest *guest = stale_guest(tlb, place);
    const enum reach_kind before = reach_kind(guest, event->old, place.level);
    const enum reach_kind after = reach_kind(guest, event->new, place.level);

    if (before == REACH_LEAF && after == REACH_LEAF) {
        return ((event->old ^ event->new) & DESC_CONTIGUOUS) != 0 &&
               stale_leaf_agrees(guest, event->old, place, event->new, place) &&
               has_same_rights(guest, event->old, event->new);
    }
    if (before == REACH_INVALID || after == REACH_INVALID || before == after) {
        return false;
    }
    if (!(before == REACH_TABLE ? tree_is_like(tlb, place, event->old, event->new)
                                : tree_is_like(tlb, place, event->new, event->old))) {
        stale_problem(tlb, "a size is changed by one store, and what is new translates otherwise",
                      NULL, event);
    }
    return true;
}

/* --- Entries --------------------------------------------------------------------------------- */

/* Frames of the banks that an entry leads to. */
static void count_frames(const struct stale_tlb *tlb, const struct stale_entry *entry,
                         uint32_t change)
{
    const struct reach_guest *guest = stale_guest(tlb, entry->place);

    if (entry->is_table) {
        reach_count(&tlb->reach, reach_address(guest, entry->desc), reach_table_size(guest), true,
                    change);
    } else {
        reach_count(&tlb->reach, stale_leaf_address(guest, entry->desc, entry->place.level),
                    reach_span(guest, entry->place.level), false, change);
    }
}

void stale_forget(struct stale_tlb *tlb, uint32_t number)
{
    count_frames(tlb, stale_store_at(&tlb->store, number), (uint32_t)-1);
    stale_store_drop(&tlb->store, number);
}

/* The same descriptor may have been stale before: then it is anew. */
static void forget_same(struct stale_tlb *tlb, struct reach_place place, uint64_t desc)
{
    uint32_t number = stale_store_find(&tlb->store, place);

    while (number != STALE_TLB_NONE && stale_store_at(&tlb->store, number)->desc != desc) {
        number = stale_store_find_next(&tlb->store, number);
    }
    if (number != STALE_TLB_NONE) {
        stale_forget(tlb, number);
    }
}

/* @desc at @place is reachable no more, because of @event; NULL: as all walks have stopped. */
static uint32_t expire(struct stale_tlb *tlb, struct reach_place place, uint64_t desc,
                       const struct sim_event *event)
{
    const bool is_table = reach_kind(stale_guest(tlb, place), desc, place.level) == REACH_TABLE;
    struct stale_entry *entry;
    uint32_t number;

    forget_same(tlb, place, desc);
    number = stale_store_add(&tlb->store, place, desc, is_table);
    entry = stale_store_at(&tlb->store, number);
    entry->stage2 = stale_holders(tlb, place.guest);
    entry->combined = is_table ? 0 : entry->stage2;
    entry->is_direct = tlb->in_direct;
    entry->is_slow = !is_table && leaf_is_slow(stale_guest(tlb, place), desc);
    if (event != NULL) {
        entry->unseen = ALL_CPUS;
        entry->writer = (uint8_t)event->cpu;
        stale_entry_note(entry, event, STALE_BORN);
        tlb->has_unseen = true;
    }
    count_frames(tlb, entry, 1);
    return number;
}

static void runs_grow(struct stale_tlb *tlb)
{
    tlb->run_capacity = tlb->run_capacity == 0 ? 64 : tlb->run_capacity * 2;
    tlb->runs = realloc(tlb->runs, tlb->run_capacity * sizeof(*tlb->runs));
    if (tlb->runs == NULL) {
        fputs("stale TLB: no memory\n", stderr);
        abort();
    }
}

static bool is_last_run(const struct stale_tlb *tlb, struct reach_place place)
{
    const struct reach_place *last;

    if (tlb->run_count == 0) {
        return false;
    }
    last = &tlb->runs[tlb->run_count - 1];
    return last->ipa == place.ipa && last->level == place.level && last->guest == place.guest;
}

/* The run that @desc is, or was, a member of is looked at when all is at rest. */
static void note_run(struct stale_tlb *tlb, struct reach_place place, uint64_t desc)
{
    const struct reach_guest *guest = stale_guest(tlb, place);

    if (reach_kind(guest, desc, place.level) != REACH_LEAF ||
        !leaf_is_contiguous(guest, desc, place.level)) {
        return;
    }
    place.ipa &= ~(reach_run(guest, place.level) - 1);
    if (!is_last_run(tlb, place)) {
        if (tlb->run_count == tlb->run_capacity) {
            runs_grow(tlb);
        }
        tlb->runs[tlb->run_count] = place;
        tlb->run_count++;
    }
}

/* --- Unlinking ------------------------------------------------------------------------------- */

/* A subtree on its way out: which stale pointer leads to each level. */
struct unlinking {
    struct stale_tlb *tlb;
    const struct sim_event *event;
    uint32_t above[REACH_LEVELS + 1]; /* by level + 1: the pointer to that level's table */
};

static void unlink_visit(void *arg, struct reach_place place, uint64_t pa, uint64_t desc)
{
    struct unlinking *unlinking = arg;
    struct stale_tlb *tlb = unlinking->tlb;
    const struct reach_guest *guest = stale_guest(tlb, place);
    const uint32_t parent = unlinking->above[place.level + 1];
    const bool is_table = reach_kind(guest, desc, place.level) == REACH_TABLE;
    struct stale_entry *entry;
    uint32_t number;

    (void)pa;
    if (!is_table && (desc & DESC_AF) == 0) {
        if (!guest->has_ha) {
            return;
        }
        desc |= DESC_AF; /* a walk through the stale pointer may set it */
    }
    number = expire(tlb, place, desc, unlinking->event);
    if (is_table) {
        unlinking->above[place.level + 2] = number;
        reach_unlink(&tlb->reach, reach_address(guest, desc), place.guest);
    }
    if (parent != STALE_TLB_NONE) {
        entry = stale_store_at(&tlb->store, number);
        entry->parent = parent;
        entry->parent_serial = stale_store_at(&tlb->store, parent)->serial;
    }
}

void stale_unlink(struct stale_tlb *tlb, struct reach_place place, uint64_t desc,
                  const struct sim_event *event)
{
    const struct reach_guest *guest = stale_guest(tlb, place);
    struct unlinking unlinking = {.tlb = tlb, .event = event};

    note_run(tlb, place, desc);
    if (reach_kind(guest, desc, place.level) == REACH_TABLE) {
        struct reach_place first = {place.guest, place.level + 1, place.ipa};

        unlinking.above[first.level + 1] = expire(tlb, place, desc, event);
        reach_unlink(&tlb->reach, reach_address(guest, desc), place.guest);
        reach_visit(&tlb->reach, reach_address(guest, desc), reach_table_size(guest), first,
                    unlink_visit, &unlinking);
    } else if ((desc & DESC_AF) != 0) {
        (void)expire(tlb, place, desc, event);
    }
}

/* --- Linking --------------------------------------------------------------------------------- */

/* Whether the walk to a new leaf or pointer at @made goes through what the stale entry says. */
bool stale_pointer_is_live(const struct stale_tlb *tlb, const struct stale_entry *entry)
{
    const struct reach_guest *guest = stale_guest(tlb, entry->place);
    const struct mmu_result walk = mmu_translate(&guest->mmu, entry->place.ipa, MMU_READ);
    const size_t step = (size_t)(entry->place.level - guest->start_level);

    return walk.walk_count > step &&
           reach_kind(guest, walk.walk_desc[step], entry->place.level) == REACH_TABLE &&
           reach_address(guest, walk.walk_desc[step]) == reach_address(guest, entry->desc);
}

/* Whether a stale entry at the place of the new descriptor, or above it, is a second
 * translation. */
static bool is_second(const struct stale_tlb *tlb, const struct stale_entry *entry,
                      struct reach_place made, uint64_t desc)
{
    const struct reach_guest *guest = stale_guest(tlb, made);
    const bool is_leaf = reach_kind(guest, desc, made.level) == REACH_LEAF;

    if (entry->is_table) { /* a direct change: what its leaves translate is looked at by itself */
        return !entry->is_direct && !stale_pointer_is_live(tlb, entry);
    }
    if (is_leaf && entry->is_direct) {
        return !stale_leaf_agrees(guest, entry->desc, entry->place, desc, made);
    }
    if (!is_leaf) {
        return false; /* a pointer translates nothing; its leaves are looked at by themselves */
    }
    return entry->place.level != made.level ||
           !stale_leaf_is_alike(guest, made.level, entry->desc, entry->place.ipa, desc, made.ipa);
}

static void check_above(struct stale_tlb *tlb, struct reach_place made, uint64_t desc,
                        const struct sim_event *event)
{
    const struct reach_guest *guest = stale_guest(tlb, made);

    for (int level = guest->start_level; level <= made.level; level++) {
        const struct reach_place at = {made.guest, level,
                                       made.ipa & ~(reach_span(guest, level) - 1)};
        uint32_t i = stale_store_find(&tlb->store, at);

        for (; i != STALE_TLB_NONE; i = stale_store_find_next(&tlb->store, i)) {
            const struct stale_entry *entry = stale_store_at(&tlb->store, i);

            if (is_second(tlb, entry, made, desc)) {
                stale_problem(tlb, "made while a TLB may still hold another translation", entry,
                              event);
            }
        }
    }
}

/* Stale entries below a new leaf. */
static void check_below(struct stale_tlb *tlb, struct reach_place made, uint64_t desc,
                        const struct sim_event *event)
{
    const struct reach_guest *guest = stale_guest(tlb, made);
    const uint64_t span = reach_span(guest, made.level);

    for (uint32_t i = tlb->store.first; i != STALE_TLB_NONE;
         i = stale_store_at(&tlb->store, i)->next) {
        const struct stale_entry *entry = stale_store_at(&tlb->store, i);

        const bool is_alike =
            entry->is_direct &&
            (entry->is_table || stale_leaf_agrees(guest, entry->desc, entry->place, desc, made));

        if (entry->place.guest == made.guest && entry->place.level > made.level &&
            entry->place.ipa - made.ipa < span && !is_alike) {
            stale_problem(tlb, "made while a TLB may still hold smaller translations", entry,
                          event);
        }
    }
}

/* A copy of any member of a run translates for all of them. */
static void check_run(struct stale_tlb *tlb, struct reach_place made, uint64_t desc,
                      const struct sim_event *event)
{
    const struct reach_guest *guest = stale_guest(tlb, made);
    const uint64_t span = reach_span(guest, made.level);
    const uint64_t run = reach_run(guest, made.level);
    struct reach_place at = {made.guest, made.level, made.ipa & ~(run - 1)};
    const uint64_t end = at.ipa + run;

    for (; at.ipa < end; at.ipa += span) {
        uint32_t i = stale_store_find(&tlb->store, at);

        for (; i != STALE_TLB_NONE; i = stale_store_find_next(&tlb->store, i)) {
            const struct stale_entry *entry = stale_store_at(&tlb->store, i);

            if (entry->is_direct &&
                stale_leaf_agrees(guest, entry->desc, entry->place, desc, made)) {
                continue;
            }
            if (!entry->is_table && ((entry->desc | desc) & DESC_CONTIGUOUS) != 0 &&
                !stale_leaf_is_alike(guest, made.level, entry->desc, entry->place.ipa, desc,
                                     made.ipa)) {
                stale_problem(tlb, "made while a TLB may still hold another translation of its run",
                              entry, event);
            }
        }
    }
}

static void check_made(struct stale_tlb *tlb, struct reach_place made, uint64_t desc,
                       const struct sim_event *event)
{
    const struct reach_guest *guest = stale_guest(tlb, made);

    if (tlb->store.held_by[made.guest] == 0) {
        return;
    }
    check_above(tlb, made, desc, event);
    if (reach_kind(guest, desc, made.level) == REACH_LEAF) {
        if (made.level < 3) {
            check_below(tlb, made, desc, event);
        }
        if (reach_run(guest, made.level) != reach_span(guest, made.level)) {
            check_run(tlb, made, desc, event);
        }
    }
}

struct linking {
    struct stale_tlb *tlb;
    const struct sim_event *event;
};

static void link_table(struct stale_tlb *tlb, struct reach_place place, uint64_t desc,
                       const struct sim_event *event)
{
    const uint64_t pa = reach_address(stale_guest(tlb, place), desc);
    const struct reach_place first = {place.guest, place.level + 1, place.ipa};

    if (reach_frame(&tlb->reach, pa) != NULL && !reach_link(&tlb->reach, pa, first)) {
        stale_problem(tlb, "a table is linked in two places", NULL, event);
    }
}

static void link_visit(void *arg, struct reach_place place, uint64_t pa, uint64_t desc)
{
    const struct linking *linking = arg;

    (void)pa;
    note_run(linking->tlb, place, desc);
    check_made(linking->tlb, place, desc, linking->event);
    if (reach_kind(stale_guest(linking->tlb, place), desc, place.level) == REACH_TABLE) {
        link_table(linking->tlb, place, desc, linking->event);
    }
}

/* @desc has become reachable at @place. @event NULL: with the guest. */
void stale_link(struct stale_tlb *tlb, struct reach_place place, uint64_t desc,
                const struct sim_event *event)
{
    const struct reach_guest *guest = stale_guest(tlb, place);
    struct linking linking = {tlb, event};
    const struct reach_place first = {place.guest, place.level + 1, place.ipa};

    link_visit(&linking, place, 0, desc);
    if (reach_kind(guest, desc, place.level) == REACH_TABLE) {
        reach_visit(&tlb->reach, reach_address(guest, desc), reach_table_size(guest), first,
                    link_visit, &linking);
    }
}

/* --- Guests ---------------------------------------------------------------------------------- */

unsigned stale_tlb_add_guest(struct stale_tlb *tlb, uint64_t vtcr, uint64_t vttbr, uint64_t hcr)
{
    const unsigned number = reach_add_guest(&tlb->reach, vtcr, vttbr, hcr);
    const struct reach_guest *guest = &tlb->reach.guests[number];
    const struct reach_place first = {number, guest->start_level, 0};
    struct linking linking = {tlb, NULL};

    for (uint32_t i = tlb->store.first; i != STALE_TLB_NONE;
         i = stale_store_at(&tlb->store, i)->next) {
        const struct stale_entry *entry = stale_store_at(&tlb->store, i);

        if (!tlb->cpus[entry->place.guest].is_managed &&
            stale_guest(tlb, entry->place)->vmid == guest->vmid) {
            stale_problem(tlb, "a VMID is given to a guest while TLBs hold another's", entry, NULL);
        }
    }
    reach_visit(&tlb->reach, guest->root_pa, guest->root_size, first, link_visit, &linking);
    tlb->run_count = 0;
    return number;
}

void stale_tlb_stop_guest(struct stale_tlb *tlb, unsigned guest)
{
    struct reach_guest *stopped = &tlb->reach.guests[guest];
    const struct reach_place first = {guest, stopped->start_level, 0};
    struct unlinking unlinking = {.tlb = tlb};
    const uint64_t step = UINT64_C(1) << tlb->reach.memory->frame_shift;

    for (unsigned i = 0; i <= REACH_LEVELS; i++) {
        unlinking.above[i] = STALE_TLB_NONE;
    }
    reach_visit(&tlb->reach, stopped->root_pa, stopped->root_size, first, unlink_visit, &unlinking);
    for (uint64_t at = 0; at < stopped->root_size; at += step) {
        reach_frame(&tlb->reach, stopped->root_pa + at)->is_linked = false;
    }
    stopped->is_live = false;
    tlb->cpus[guest].loaded = 0;
    for (uint32_t i = tlb->store.first; i != STALE_TLB_NONE;) {
        const struct stale_entry *entry = stale_store_at(&tlb->store, i);
        const uint32_t next = entry->next;

        if ((entry->stage2 | entry->combined | entry->unseen) == 0) {
            stale_forget(tlb, i); /* nobody had walked there */
        }
        i = next;
    }
}
