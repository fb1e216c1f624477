#include "tests/sim/moving.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define DESC_AF (UINT64_C(1) << 10)
#define DESC_S2AP_WRITE (UINT64_C(1) << 7)
#define DESC_DBM (UINT64_C(1) << 51)

static uint64_t next_random(struct moving *moving)
{
    moving->random ^= moving->random << 13;
    moving->random ^= moving->random >> 7;
    moving->random ^= moving->random << 17;
    return moving->random >> 11;
}

static const struct reach_guest *guest_at(const struct moving *moving, unsigned guest)
{
    return &moving->tlb->reach.guests[guest];
}

static uint64_t page_of(const struct moving *moving, unsigned guest, uint64_t ipa)
{
    return ipa & ~(reach_table_size(guest_at(moving, guest)) - 1);
}

static void problem(struct moving *moving, const char *what, unsigned guest, uint64_t ipa)
{
    if (moving->problem != NULL) {
        return;
    }
    moving->problem = what;
    (void)snprintf(moving->story, sizeof(moving->story),
                   "moving hardware: VMID %u, IPA 0x%" PRIx64 ": %s\n",
                   guest_at(moving, guest)->vmid, ipa, what);
    if (moving->verdict == STALE_TLB_ABORTS) {
        fputs(moving->story, stderr);
        abort();
    }
}

const char *moving_story(const struct moving *moving)
{
    return moving->story;
}

/* --- Records --------------------------------------------------------------------------------- */

size_t moving_record_count(const struct moving *moving)
{
    return moving->record_count < MOVING_RECORDS ? moving->record_count : MOVING_RECORDS;
}

const struct moving_record *moving_record_at(const struct moving *moving, size_t i)
{
    return &moving->records[i];
}

static bool is_forgotten(const struct moving *moving, unsigned guest, uint64_t ipa)
{
    for (size_t i = 0; i < moving->forget_count; i++) {
        const struct moving_range *range = &moving->forgets[i];

        if (range->guest == guest && ipa - range->ipa < range->size) {
            return true;
        }
    }
    return false;
}

static void record(struct moving *moving, unsigned guest, uint64_t ipa, bool is_written)
{
    const uint64_t page = page_of(moving, guest, ipa);

    if (is_forgotten(moving, guest, page)) {
        return;
    }
    for (size_t i = 0; i < moving_record_count(moving); i++) {
        struct moving_record *known = &moving->records[i];

        if (known->guest == guest && known->ipa == page) {
            known->is_written |= is_written;
            return;
        }
    }
    moving->records[moving->record_count % MOVING_RECORDS] =
        (struct moving_record){guest, page, is_written};
    moving->record_count++;
}

void moving_may_forget(struct moving *moving, unsigned guest, uint64_t ipa, uint64_t size)
{
    size_t kept = 0;
    const size_t count = moving_record_count(moving);

    if (moving->forget_count == MOVING_FORGETS) {
        fputs("moving: too many ranges\n", stderr);
        abort();
    }
    moving->forgets[moving->forget_count] = (struct moving_range){guest, ipa, size};
    moving->forget_count++;
    for (size_t i = 0; i < count; i++) {
        if (!is_forgotten(moving, moving->records[i].guest, moving->records[i].ipa)) {
            moving->records[kept] = moving->records[i];
            kept++;
        }
    }
    moving->record_count = kept;
}

/* --- Hardware -------------------------------------------------------------------------------- */

/* Write a descriptor as hardware does: only if it is still what the walk read. */
static bool update(struct moving *moving, uint64_t pa, uint64_t desc, uint64_t updated)
{
    uint64_t *slot = sim_memory_ptr(moving->tlb->reach.memory, pa_of(pa));

    if (desc != updated && __atomic_compare_exchange_n(slot, &desc, updated, false,
                                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        moving->updates++;
        return true;
    }
    return false;
}

bool moving_access(struct moving *moving, unsigned guest, uint64_t ipa, enum mmu_access access)
{
    const struct reach_guest *walker = guest_at(moving, guest);
    const struct mmu_result found = mmu_translate(&walker->mmu, ipa, access);

    if (found.has_leaf) {
        const size_t last = found.walk_count - 1;

        (void)update(moving, found.walk_pa[last], found.walk_desc[last], found.updated);
        if (walker->has_ha && (found.updated & DESC_AF) != 0) {
            record(moving, guest, ipa,
                   found.status == MMU_OK && access == MMU_WRITE && walker->has_hd && found.dbm);
        }
    }
    return found.status == MMU_OK;
}

static enum mmu_access random_access(struct moving *moving)
{
    static const enum mmu_access kinds[] = {MMU_WRITE, MMU_WRITE, MMU_READ, MMU_FETCH_EL1};

    return kinds[next_random(moving) % 4];
}

/* Some page of what the slot that is about to be written maps. */
static void touch_slot(struct moving *moving, const struct sim_event *event)
{
    const struct reach_guest *guest;
    struct reach_place place;
    uint64_t span;
    pa_t pa;

    if (!sim_memory_pa(moving->tlb->reach.memory, event->slot, &pa) ||
        !reach_place(&moving->tlb->reach, pa_distance(pa_of(0), pa), &place) ||
        !stale_tlb_is_walked(moving->tlb, place.guest)) {
        return;
    }
    guest = guest_at(moving, place.guest);
    span = reach_span(guest, place.level);
    /* Half of the time another member of the run, if it is one. */
    if (next_random(moving) % 2 == 0) {
        span = reach_run(guest, place.level);
        place.ipa &= ~(span - 1);
    }
    place.ipa += next_random(moving) % span;
    if (place.ipa >> guest->input_bits == 0) {
        (void)moving_access(moving, place.guest, place.ipa, random_access(moving));
    }
}

/* Where a walk that goes on from a stale pointer ends: the leaf for one random page, if any. */
static bool walk_from(struct moving *moving, const struct stale_entry *entry,
                      struct reach_place *place, uint64_t *slot, uint64_t *desc)
{
    const struct reach_guest *guest = guest_at(moving, entry->place.guest);
    const uint64_t ipa =
        entry->place.ipa + next_random(moving) % reach_span(guest, entry->place.level);

    *place = entry->place;
    *desc = entry->desc;
    while (reach_kind(guest, *desc, place->level) == REACH_TABLE) {
        const uint64_t table = reach_address(guest, *desc);

        place->level++;
        *slot =
            table + (ipa >> (guest->granule_shift + (unsigned)(3 - place->level) * guest->stride) &
                     (reach_table_size(guest) / 8 - 1)) *
                        8;
        if (!sim_memory_read(moving->tlb->reach.memory, *slot, desc)) {
            return false;
        }
    }
    place->ipa = ipa;
    return reach_kind(guest, *desc, place->level) == REACH_LEAF;
}

/* An access through a walk cache that still leads into an unlinked table. */
static void touch_stale(struct moving *moving)
{
    const struct stale_entry *entry = stale_tlb_pick_table(moving->tlb, next_random(moving));
    const struct reach_guest *guest;
    struct reach_place place;
    uint64_t slot = 0, desc = 0, updated;
    bool is_write;

    if (entry == NULL || !walk_from(moving, entry, &place, &slot, &desc)) {
        return;
    }
    guest = guest_at(moving, place.guest);
    if (!stale_tlb_is_walked(moving->tlb, place.guest) || !guest->has_ha) {
        return;
    }
    is_write = guest->has_hd && (desc & DESC_DBM) != 0 && next_random(moving) % 2 == 0;
    updated = desc | DESC_AF | (is_write ? DESC_S2AP_WRITE : 0);
    if (update(moving, slot, desc, updated)) {
        moving->stale_updates++;
    }
    record(moving, place.guest, place.ipa, is_write);
}

static void touch_watched(struct moving *moving)
{
    if (moving->watch_count > 0) {
        const struct moving_watch *watch =
            &moving->watches[next_random(moving) % (moving->watch_count < MOVING_WATCHES
                                                        ? moving->watch_count
                                                        : MOVING_WATCHES)];

        if (stale_tlb_is_walked(moving->tlb, watch->guest)) {
            (void)moving_access(moving, watch->guest, watch->ipa, random_access(moving));
        }
    }
}

static bool is_live_write(enum sim_kind kind)
{
    return kind >= SIM_STORE && kind <= SIM_REPLACE;
}

/* Before an event: at the worst moment often, elsewhere now and then. */
static void move(struct moving *moving, const struct sim_event *event)
{
    const uint64_t chance = next_random(moving);

    if (is_live_write(event->kind)) {
        if (chance % 2 == 0) {
            touch_slot(moving, event);
        }
    } else if (event->kind == SIM_LOAD) {
        if (chance % 16 == 0) {
            touch_slot(moving, event);
        }
    } else if (event->kind != SIM_FILL && chance % 2 == 0) {
        touch_stale(moving);
    }
    if (chance / 16 % 16 == 0) {
        touch_watched(moving);
    }
}

/* --- Walkers --------------------------------------------------------------------------------- */

static struct moving_view view_of(const struct moving *moving, unsigned guest, uint64_t ipa)
{
    const struct mmu_result found = mmu_translate(&guest_at(moving, guest)->mmu, ipa, MMU_READ);

    if (!found.has_leaf) {
        const bool is_fault = found.status == MMU_TRANSLATION && !found.config;
        const bool is_none = found.walk_count > 0 && found.walk_desc[found.walk_count - 1] == 0;

        return (struct moving_view){.kind = !is_fault || found.res0 != 0 ? MOVING_BAD
                                            : is_none                    ? MOVING_HOLE
                                                                         : MOVING_BROKEN};
    }
    return (struct moving_view){
        .kind = found.res0 == 0 ? MOVING_MAPPED : MOVING_BAD,
        .pa = found.pa,
        .memattr = found.memattr,
        .sh = found.sh,
        .software = found.software,
        .rights = (found.can_read ? 1U : 0U) | (found.can_write ? 2U : 0U) |
                  (found.can_fetch_el1 ? 4U : 0U) | (found.can_fetch_el0 ? 8U : 0U),
    };
}

static bool view_eq(const struct moving_view *a, const struct moving_view *b)
{
    return a->kind == b->kind && a->pa == b->pa && a->memattr == b->memattr && a->sh == b->sh &&
           a->software == b->software && a->rights == b->rights;
}

static size_t watch_total(const struct moving *moving)
{
    return moving->watch_count < MOVING_WATCHES ? moving->watch_count : MOVING_WATCHES;
}

static void watch_look(struct moving *moving, struct moving_watch *watch)
{
    const struct moving_view view = view_of(moving, watch->guest, watch->ipa);

    moving->walks++;
    if (view_eq(&view, &watch->now)) {
        return;
    }
    watch->now = view;
    if (view_eq(&view, &watch->before)) {
        watch->has_returned |= watch->has_middle || watch->has_hole;
    } else if (view.kind == MOVING_BAD) {
        problem(moving, "a walk meets what is no descriptor", watch->guest, watch->ipa);
    } else if (view.kind == MOVING_BROKEN) {
        watch->has_broken = true;
        moving->faults++;
    } else if (view.kind == MOVING_HOLE) {
        watch->has_hole = true;
    } else if (!watch->has_middle) {
        watch->has_middle = true;
        watch->middle = view;
    } else {
        watch->has_third |= !view_eq(&view, &watch->middle);
    }
}

static void look_everywhere(struct moving *moving)
{
    for (size_t i = 0; i < watch_total(moving); i++) {
        if (guest_at(moving, moving->watches[i].guest)->is_live) {
            watch_look(moving, &moving->watches[i]);
        }
    }
}

static void on_event(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    struct moving *moving = arg;

    if (!moving->is_open) {
        return;
    }
    if (phase == SIM_BEFORE) {
        move(moving, event);
    } else if (is_live_write(event->kind)) {
        look_everywhere(moving);
    }
}

/* --- Around an operation --------------------------------------------------------------------- */

void moving_init(struct moving *moving, struct stale_tlb *tlb, uint64_t seed,
                 enum stale_verdict verdict)
{
    *moving = (struct moving){.tlb = tlb, .random = seed, .verdict = verdict};
    if (seed == 0 || !sim_listen(on_event, moving)) {
        fputs("moving: no seed, or too many listeners\n", stderr);
        abort();
    }
}

void moving_fini(struct moving *moving)
{
    (void)sim_unlisten(on_event, moving);
}

void moving_watch(struct moving *moving, unsigned guest, uint64_t ipa)
{
    moving->watches[moving->watch_count % MOVING_WATCHES] =
        (struct moving_watch){.guest = guest, .ipa = ipa};
    moving->watch_count++;
}

void moving_unwatch_all(struct moving *moving)
{
    moving->watch_count = 0;
}

void moving_begin(struct moving *moving)
{
    for (size_t i = 0; i < watch_total(moving); i++) {
        struct moving_watch *watch = &moving->watches[i];

        *watch = (struct moving_watch){.guest = watch->guest, .ipa = watch->ipa};
        watch->before = view_of(moving, watch->guest, watch->ipa);
        watch->now = watch->before;
    }
    moving->is_open = true;
}

static void judge_watch(struct moving *moving, const struct moving_watch *watch)
{
    const struct moving_view now = view_of(moving, watch->guest, watch->ipa);
    const bool is_hole = now.kind == MOVING_HOLE || watch->before.kind == MOVING_HOLE;

    if (now.kind == MOVING_BROKEN || now.kind == MOVING_BAD) {
        problem(moving, "left between break and make", watch->guest, watch->ipa);
    } else if (watch->has_third || (watch->has_middle && !view_eq(&watch->middle, &now))) {
        problem(moving, "a walker saw neither the old translation nor the new", watch->guest,
                watch->ipa);
    } else if (watch->has_returned && !view_eq(&watch->before, &now)) {
        problem(moving, "a walker saw the old translation after the new one", watch->guest,
                watch->ipa);
    } else if (watch->has_hole && !is_hole) {
        problem(moving, "what stays mapped looked like a hole, with no mark that it is broken",
                watch->guest, watch->ipa);
    }
}

static void judge_record(struct moving *moving, const struct moving_record *made)
{
    struct mmu mmu = guest_at(moving, made->guest)->mmu;
    struct mmu_result now;

    mmu.options |= MMU_CHECK_RUNS;
    now = mmu_translate(&mmu, made->ipa, MMU_READ);
    if (!now.has_leaf) {
        problem(moving, "a page that was accessed is not mapped any more", made->guest, made->ipa);
    } else if (!now.run_af) {
        problem(moving, "a page that was accessed does not show it", made->guest, made->ipa);
    } else if (made->is_written && !now.run_dirty) {
        problem(moving, "a page that was written is not dirty", made->guest, made->ipa);
    }
}

const char *moving_end(struct moving *moving)
{
    moving->is_open = false;
    for (size_t i = 0; i < watch_total(moving); i++) {
        if (guest_at(moving, moving->watches[i].guest)->is_live) {
            judge_watch(moving, &moving->watches[i]);
        }
    }
    for (size_t i = 0; i < moving_record_count(moving); i++) {
        if (guest_at(moving, moving->records[i].guest)->is_live) {
            judge_record(moving, &moving->records[i]);
        }
    }
    moving->forget_count = 0;
    return moving->problem;
}
