#include "tests/sim/monitor_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VTTBR_CNP UINT64_C(1)
#define VTTBR_VMID (UINT64_MAX << 48)
#define VTCR_HA (UINT64_C(1) << 21)
#define VTCR_HD (UINT64_C(1) << 22)
#define VTCR_DS (UINT64_C(1) << 32)
#define STORY_WRITES 12U /* of the slot, at most */
#define STORY_EVENTS 40U /* in all, at most */

const char *monitor_rule_name(enum monitor_rule rule)
{
    static const char *const names[MONITOR_RULES] = {
        [MONITOR_OK] = "all is well",
        [MONITOR_NO_BREAK] = "changed without break-before-make",
        [MONITOR_NO_FIRST_DSB] = "no DSB between break and TLBI",
        [MONITOR_NO_STAGE2] = "no stage-2 invalidation",
        [MONITOR_OPERAND] = "TLBI does not cover what was broken",
        [MONITOR_LEVEL_HINT] = "wrong level hint",
        [MONITOR_NO_MIDDLE_DSB] = "no DSB between stage 2 and stage 1",
        [MONITOR_NO_STAGE1] = "no stage-1 invalidation",
        [MONITOR_NO_CLOSING_DSB] = "no closing DSB",
        [MONITOR_LOCAL_ONLY] = "invalidated on one CPU only",
        [MONITOR_SLOW] = "a slow access may still be on its way",
        [MONITOR_NOT_NOTIFIED] = "devices not notified",
        [MONITOR_TRANSIENT] = "a mapping that stays was invalid",
        [MONITOR_WRONG_VMID] = "wrong VMID",
        [MONITOR_WRONG_REGIME] = "wrong VTCR or VTTBR",
        [MONITOR_TGE] = "TLBI with TGE",
        [MONITOR_NO_ISB] = "no ISB",
        [MONITOR_IRQS_UNMASKED] = "registers switched with interrupts on",
        [MONITOR_NOT_RESTORED] = "registers not restored",
        [MONITOR_SPECULATIVE_AT] = "stage-1 walks on during a switch",
        [MONITOR_SHARED_VMID] = "two guests under one VMID",
        [MONITOR_STALE_ASID] = "stage 1 of another vCPU may be cached",
        [MONITOR_EARLY_LINK] = "table linked before it was filled",
        [MONITOR_BAD_TABLE] = "bad table descriptor",
        [MONITOR_FILL_LIVE] = "fill of a linked table",
        [MONITOR_REUSED] = "frame used again before it is clean",
        [MONITOR_RETURNED] = "frame returned before it is clean",
        [MONITOR_EXPOSED] = "table shown to a guest",
        [MONITOR_BAD_RUN] = "misplaced contiguous run",
        [MONITOR_MIXED_RUN] = "mixed contiguous run",
        [MONITOR_HARDWARE] = "hardware's update lost",
        [MONITOR_NOT_VISIBLE] = "stores not visible to walkers",
        [MONITOR_TABLE_DIRTY] = "table not cleaned for its walker",
        [MONITOR_DATA_DIRTY] = "memory shown before it was cleaned",
        [MONITOR_READ_STALE] = "memory read before caches forgot the old",
        [MONITOR_CODE_STALE] = "code shown before caches forgot the old",
    };

    return (size_t)rule < MONITOR_RULES ? names[rule] : "?";
}

/* --- Storage --------------------------------------------------------------------------------- */

void *monitor_grow(void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return array;
    }
    *capacity = *capacity == 0 ? 16 : *capacity * 2;
    array = realloc(array, *capacity * size);
    if (array == NULL) {
        abort();
    }
    return array;
}

void monitor_note_slot(struct slot_list *list, struct slot *slot)
{
    if (list->count > 0 && list->slots[list->count - 1] == slot) {
        return;
    }
    list->slots = monitor_grow(list->slots, list->count, &list->capacity, sizeof(struct slot *));
    list->slots[list->count++] = slot;
}

/* --- The story ------------------------------------------------------------------------------- */

static void tell(struct monitor_verdict *verdict, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void tell(struct monitor_verdict *verdict, const char *format, ...)
{
    const size_t length = strlen(verdict->story);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(verdict->story + length, sizeof(verdict->story) - length, format, args);
    va_end(args);
}

static void tell_event(struct monitor_verdict *verdict, const struct sim_event *event)
{
    tell(verdict, "  %8llu cpu%zu %-17s", (unsigned long long)event->index, event->cpu,
         sim_kind_name(event->kind));
    if (event->kind <= SIM_REPLACE) {
        tell(verdict, " 0x%016llx -> 0x%016llx%s", (unsigned long long)event->old,
             (unsigned long long)event->new, event->done ? "" : " (refused)");
    } else if (monitor_is_tlbi(event->kind)) {
        tell(verdict, "%s operand 0x%llx vttbr 0x%llx", event->is_nxs ? " nXS" : "",
             (unsigned long long)event->operand, (unsigned long long)event->vttbr);
    } else if (event->kind >= SIM_WRITE_VTCR) {
        tell(verdict, " 0x%llx -> 0x%llx", (unsigned long long)event->old,
             (unsigned long long)event->new);
    }
    tell(verdict, "\n");
}

static bool is_kept(const struct monitor *monitor, uint32_t number)
{
    return number != 0 && monitor->ring_head - number < RING_SIZE;
}

static const struct record *record_at(const struct monitor *monitor, uint32_t number)
{
    return &monitor->ring[number % RING_SIZE];
}

/* What everybody waits for, or is told. */
static bool is_for_all(enum sim_kind kind)
{
    return kind >= SIM_DSB_ISH && kind != SIM_DC_CIVAC && kind != SIM_DC_CVAC;
}

static bool is_in_story(const struct monitor *monitor, uint32_t number, const void *address)
{
    const struct sim_event *event = &record_at(monitor, number)->event;

    return is_for_all(event->kind) || event->slot == address;
}

/* The last writes of the slot, and all barriers, TLBIs and registers since the first of them. */
static void tell_history(struct monitor *monitor, const struct slot *slot)
{
    const struct place place = monitor_place_of(monitor, slot);
    const uint64_t pa = place.region->pa + place.index * sizeof(uint64_t);
    const void *address = (const void *)(place.region->base + place.index * sizeof(uint64_t));
    uint32_t from = slot->history;
    uint32_t count = 0;

    tell(&monitor->verdict, "the slot at PA 0x%llx, its history:\n", (unsigned long long)pa);
    for (unsigned i = 1; i < STORY_WRITES && is_kept(monitor, from) &&
                         is_kept(monitor, record_at(monitor, from)->previous);
         i++) {
        from = record_at(monitor, from)->previous;
    }
    if (!is_kept(monitor, from)) {
        return;
    }
    for (uint32_t at = from; at != monitor->ring_head + 1; at++) {
        count += is_in_story(monitor, at, address) ? 1 : 0;
    }
    for (uint32_t at = from; at != monitor->ring_head + 1; at++) {
        if (is_in_story(monitor, at, address) && count-- <= STORY_EVENTS) {
            tell_event(&monitor->verdict, &record_at(monitor, at)->event);
        }
    }
}

static void tell_recent(struct monitor *monitor)
{
    uint32_t count = 0;

    tell(&monitor->verdict, "the last events:\n");
    while (count + 1 < STORY_EVENTS && is_kept(monitor, monitor->ring_head - count)) {
        count++;
    }
    for (; count > 0; count--) {
        tell_event(&monitor->verdict, &record_at(monitor, monitor->ring_head - count + 1)->event);
    }
}

bool monitor_is_silent(const struct monitor *monitor)
{
    return monitor->verdict.rule != MONITOR_OK;
}

void monitor_blame(struct monitor *monitor, enum monitor_rule rule, const struct slot *slot,
                   const char *format, ...)
{
    struct monitor_verdict *verdict = &monitor->verdict;
    const size_t size = sizeof(verdict->story);
    va_list args;

    if (monitor_is_silent(monitor)) {
        return;
    }
    verdict->rule = rule;
    (void)snprintf(verdict->story, size, "monitor: %s: ", monitor_rule_name(rule));
    va_start(args, format);
    (void)vsnprintf(verdict->story + strlen(verdict->story), size - strlen(verdict->story), format,
                    args);
    va_end(args);
    tell(verdict, monitor->event == NULL ? "\nas the operation ends\n" : "\nby\n");
    if (monitor->event != NULL) {
        tell_event(verdict, monitor->event);
    }
    if (slot != NULL) {
        tell_history(monitor, slot);
    } else {
        tell_recent(monitor);
    }
    if (monitor->config.report == NULL) {
        (void)fputs(verdict->story, stderr);
        abort();
    }
    monitor->config.report(monitor->config.arg, verdict);
}

const struct monitor_verdict *monitor_verdict(const struct monitor *monitor)
{
    return &monitor->verdict;
}

/* --- Events ---------------------------------------------------------------------------------- */

static bool is_write(enum sim_kind kind)
{
    return kind >= SIM_FILL && kind <= SIM_REPLACE;
}

static bool is_dsb(enum sim_kind kind)
{
    return kind >= SIM_DSB_ISH && kind <= SIM_DSB_NSH;
}

static void remember(struct monitor *monitor, const struct sim_event *event)
{
    struct record *record;
    struct place place;

    monitor->ring_head++;
    record = &monitor->ring[monitor->ring_head % RING_SIZE];
    record->event = *event;
    record->previous = 0;
    if (is_write(event->kind) && monitor_place(monitor, event->slot, &place)) {
        record->previous = place.slot->history;
        place.slot->history = monitor->ring_head;
    }
}

static void see_before(struct monitor *monitor, const struct sim_event *event)
{
    if (is_dsb(event->kind) || monitor_is_tlbi(event->kind)) {
        monitor_poll_pool(monitor);
    } else if (event->kind >= SIM_WRITE_VTCR) {
        monitor_note_baseline(monitor, event);
    }
}

static void see_after(struct monitor *monitor, const struct sim_event *event)
{
    monitor->clock++;
    remember(monitor, event);
    monitor_note_vttbr(monitor, event);
    if (is_write(event->kind)) {
        monitor_see_write(monitor, event);
    } else if (is_dsb(event->kind)) {
        monitor_see_dsb(monitor, event);
    } else if (monitor_is_tlbi(event->kind)) {
        monitor_see_tlbi(monitor, event);
    } else if (event->kind == SIM_DC_CIVAC || event->kind == SIM_DC_CVAC) {
        monitor_see_clean(monitor, event);
    } else {
        monitor_see_register(monitor, event);
    }
}

static void listen(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    struct monitor *monitor = arg;

    if (monitor_is_silent(monitor) || event->kind == SIM_LOAD) {
        return;
    }
    monitor->event = event;
    if (phase == SIM_BEFORE) {
        see_before(monitor, event);
    } else {
        see_after(monitor, event);
    }
    monitor->event = NULL;
}

/* --- Attaching ------------------------------------------------------------------------------- */

struct monitor *monitor_attach(const struct monitor_config *config)
{
    struct monitor *monitor = calloc(1, sizeof(*monitor));

    if (monitor == NULL) {
        abort();
    }
    monitor->config = *config;
    monitor->ring = calloc(RING_SIZE, sizeof(*monitor->ring));
    if (monitor->ring == NULL || !sim_listen(listen, monitor)) {
        abort();
    }
    monitor_map_banks(monitor);
    return monitor;
}

static void free_invalidation(struct invalidation *invalidation)
{
    free(invalidation->sent.extents);
    free(invalidation->told.extents);
    free(invalidation);
}

static void free_table(struct table *table)
{
    while (table != NULL) {
        struct table *next = table->next;

        free_table(table->child);
        for (struct invalidation *invalidation = table->invalidations; invalidation != NULL;) {
            struct invalidation *next_invalidation = invalidation->next_here;

            free_invalidation(invalidation);
            invalidation = next_invalidation;
        }
        free(table);
        table = next;
    }
}

static void free_guests(struct guest *guest)
{
    while (guest != NULL) {
        struct guest *next = guest->next;

        free_table(guest->root);
        monitor_free_stays(guest);
        free(guest->torn);
        free(guest);
        guest = next;
    }
}

void monitor_detach(struct monitor *monitor)
{
    (void)sim_unlisten(listen, monitor);
    free_guests(monitor->guests);
    free_guests(monitor->gone);
    while (monitor->free_invalidations != NULL) {
        struct invalidation *next = monitor->free_invalidations->next;

        free_invalidation(monitor->free_invalidations);
        monitor->free_invalidations = next;
    }
    for (size_t i = 0; i < SIM_CPUS; i++) {
        free(monitor->cpus[i].unpublished.refs);
        free(monitor->cpus[i].issued.refs);
        free(monitor->cpus[i].wholes);
    }
    free(monitor->runs.slots);
    free(monitor->lines.slots);
    free(monitor->ring);
    monitor_unmap_banks(monitor);
    free(monitor);
}

void monitor_add_window(struct monitor *monitor, uint64_t pa, const void *memory, uint64_t size)
{
    (void)monitor_region_add(monitor, pa, memory, size);
}

void monitor_trust(struct monitor *monitor, const void *slot)
{
    struct place place;

    if (monitor_place(monitor, slot, &place)) {
        place.slot->raw = monitor_peek(&place);
    }
}

/* --- Guests ---------------------------------------------------------------------------------- */

static struct guest *guest_of_root(struct monitor *monitor, uint64_t pa)
{
    struct guest *guest = monitor->guests;

    while (guest != NULL && (guest->root == NULL || guest->root->pa != pa)) {
        guest = guest->next;
    }
    return guest;
}

static struct guest *guest_new(struct monitor *monitor, const struct monitor_guest *given,
                               const struct mmu *mmu)
{
    static const unsigned shifts[] = {12, 16, 14, 12}; /* by VTCR_EL2.TG0 */
    struct guest *guest = calloc(1, sizeof(*guest));

    if (guest == NULL) {
        abort();
    }
    guest->given = *given;
    guest->vmid = mmu_vmid(mmu);
    guest->shift = shifts[mmu->vtcr >> 14 & 3];
    guest->stride = guest->shift - 3;
    guest->ipa_bits = mmu_input_bits(mmu);
    guest->start_level = mmu_start_level(mmu);
    guest->has_ds = (mmu->vtcr & VTCR_DS) != 0 && guest->shift != 16;
    guest->has_ha = (mmu->vtcr & VTCR_HA) != 0;
    guest->has_hd = guest->has_ha && (mmu->vtcr & VTCR_HD) != 0;
    guest->next = monitor->guests;
    monitor->guests = guest;
    return guest;
}

/* The VMID changed, or is an allocator's from now on. */
static void rename_guest(struct monitor *monitor, struct guest *guest,
                         const struct monitor_guest *given, unsigned vmid)
{
    if (guest->given.is_managed && given->is_managed) {
        return; /* that is told by VTTBR_EL2 */
    }
    monitor_settle_all(monitor);
    if (guest->invalidations != NULL || guest->table_invalidations != NULL) {
        const struct invalidation *invalidation =
            guest->invalidations != NULL ? guest->invalidations : guest->table_invalidations;

        monitor_blame(monitor, monitor_invalidation_rule(monitor, invalidation), invalidation->slot,
                      "the guest takes another VMID and has this to invalidate under the old one");
    }
    guest->given = *given;
    guest->vmid = vmid;
}

void monitor_add_guest(struct monitor *monitor, const struct monitor_guest *guest)
{
    const struct mmu mmu = monitor_mmu(monitor, guest->vtcr, guest->vttbr, guest->hcr);
    const uint64_t pa = mmu_root_pa(&mmu);
    struct guest *known = guest_of_root(monitor, pa);

    monitor->clock++;
    if (known != NULL) {
        rename_guest(monitor, known, guest, mmu_vmid(&mmu));
    } else if (mmu_root_size(&mmu) == 0) {
        monitor_blame(monitor, MONITOR_WRONG_REGIME, NULL, "VTCR 0x%llx is illegal",
                      (unsigned long long)guest->vtcr);
    } else {
        known = guest_new(monitor, guest, &mmu);
        monitor_link_root(
            monitor, known, pa, mmu_root_size(&mmu),
            (size_t)((UINT64_C(1) << known->ipa_bits) / monitor_span(known, known->start_level)));
    }
    if (!monitor_is_silent(monitor)) {
        monitor_see_guest(monitor, known);
    }
}

void monitor_remove_guest(struct monitor *monitor, uint64_t vttbr)
{
    for (struct guest *guest = monitor->guests; guest != NULL; guest = guest->next) {
        const uint64_t aside = VTTBR_CNP | (guest->given.is_managed ? VTTBR_VMID : 0);

        if (((guest->given.vttbr ^ vttbr) & ~aside) == 0 && !guest->is_leaving) {
            monitor->clock++;
            guest->is_leaving = true;
            guest->left_at = monitor->clock;
            monitor_let_go(monitor, guest);
        }
    }
}

/* Those that have left are out of the way; what a CPU still remembers of them stays readable. */
static void bury_guests(struct monitor *monitor)
{
    struct guest **link = &monitor->guests;

    while (*link != NULL) {
        struct guest *guest = *link;

        if (!guest->is_leaving) {
            link = &guest->next;
            continue;
        }
        if (guest->root != NULL) {
            monitor_blame(monitor, MONITOR_NO_STAGE2, NULL,
                          "VMID %u is gone and not invalidated, its table taken apart",
                          guest->vmid);
            return;
        }
        *link = guest->next;
        guest->next = monitor->gone;
        monitor->gone = guest;
    }
}

/* --- The end of an operation ----------------------------------------------------------------- */

void monitor_expect_entry(struct monitor *monitor)
{
    monitor->expects_entry = true;
}

static void judge_invalidations(struct monitor *monitor)
{
    for (const struct guest *guest = monitor->guests; guest != NULL; guest = guest->next) {
        const struct invalidation *invalidation =
            guest->table_invalidations != NULL ? guest->table_invalidations : guest->invalidations;

        if (invalidation != NULL) {
            monitor_blame(monitor, monitor_invalidation_rule(monitor, invalidation),
                          invalidation->slot,
                          "0x%llx at IPA 0x%llx, level %d, is not gone from all TLBs",
                          (unsigned long long)invalidation->old,
                          (unsigned long long)invalidation->ipa, invalidation->level);
        }
    }
}

static void judge_lines(struct monitor *monitor)
{
    for (size_t i = 0; i < monitor->lines.count && !monitor_is_silent(monitor); i++) {
        const struct slot *slot = monitor->lines.slots[i];
        const struct place place = monitor_place_of(monitor, slot);

        if (place.table != NULL && place.table->state == TABLE_LIVE &&
            !monitor_line_is_clean(monitor, monitor_line(monitor, &place), slot->written_at)) {
            monitor_blame(monitor, MONITOR_TABLE_DIRTY, slot,
                          "stored, and its line not cleaned since");
        }
    }
    monitor->lines.count = 0;
}

void monitor_keep_unlinked(struct monitor *monitor, bool keeps)
{
    monitor->keeps_unlinked = keeps;
}

void monitor_quiesce(struct monitor *monitor)
{
    if (monitor_is_silent(monitor)) {
        return;
    }
    monitor->clock++;
    monitor_poll_vttbr(monitor);
    monitor_settle_all(monitor);
    judge_invalidations(monitor);
    monitor_judge_torn(monitor);
    judge_lines(monitor);
    monitor_judge_runs(monitor);
    monitor_judge_rest(monitor);
    bury_guests(monitor);
    monitor_poll_pool(monitor);
}
