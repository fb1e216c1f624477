#include "tests/sim/stale_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ANY_LEVEL 4
#define PICKS 8
#define PICK_STEP 0x9e3779b1U
#define NO_GRANULE 1 /* a reserved code: fits none */

#define HCR_TGE (UINT64_C(1) << 27)
#define HCR_E2H (UINT64_C(1) << 34)

static uint64_t field(uint64_t word, unsigned hi, unsigned lo)
{
    return (word << (63 - hi)) >> (63 - hi + lo);
}

/* --- Telling --------------------------------------------------------------------------------- */

static const char *reason_text(enum stale_reason reason)
{
    static const char *const texts[STALE_REASONS] = {
        [STALE_BORN] = "overwrote the descriptor, or a pointer above it",
        [STALE_MARKED] = "invalidates it, once that CPU's DSB completes it",
        [STALE_WRONG_LEVEL] = "covers it, but the level hint is for another level",
        [STALE_WRONG_GRANULE] = "covers it, but names another granule",
        [STALE_WRONG_VMID] = "covers it, but for another VMID",
        [STALE_NOT_VISIBLE] = "came before a DSB made the write visible to walkers",
        [STALE_NOT_IN_CONTEXT] = "came before an ISB after a write to VTTBR, VTCR or HCR",
        [STALE_REFILLED] = "in vain: the stage-2 copy is still held, and refills the combined one",
        [STALE_STILL_SLOW] = "does not wait for slow accesses, which may be by it",
        [STALE_BELOW_STALE] = "in vain: a stale table pointer above leads to it again",
    };

    return texts[reason];
}

static void tell(struct stale_tlb *tlb, size_t *used, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(struct stale_tlb *tlb, size_t *used, const char *format, ...)
{
    va_list arguments;
    int written;

    va_start(arguments, format);
    written = vsnprintf(tlb->story + *used, sizeof(tlb->story) - *used, format, arguments);
    va_end(arguments);
    if (written > 0 && *used + (size_t)written < sizeof(tlb->story)) {
        *used += (size_t)written;
    }
}

static void tell_entry(struct stale_tlb *tlb, size_t *used, const struct stale_entry *entry)
{
    const struct reach_guest *guest = stale_guest(tlb, entry->place);
    const uint64_t oldest =
        entry->note_count > STALE_TLB_NOTES ? entry->note_count - STALE_TLB_NOTES : 0;

    tell(tlb, used,
         "  %s, VMID %u, level %d, IPA 0x%" PRIx64 ", descriptor 0x%016" PRIx64
         "\n  held at stage 2 by CPUs 0x%02x, combined by 0x%02x\n",
         entry->stage2 == 0 && entry->combined == 0 ? "live leaf"
         : entry->is_table                          ? "stale table pointer"
                                                    : "stale leaf",
         guest->vmid, entry->place.level, entry->place.ipa, entry->desc, entry->stage2,
         entry->combined);
    for (uint64_t i = oldest; i < entry->note_count; i++) {
        const struct stale_note *note = &entry->notes[i % STALE_TLB_NOTES];

        tell(tlb, used, "    event %" PRIu64 " cpu%u %s: %s\n", note->event, note->cpu,
             sim_kind_name(note->kind), reason_text(note->reason));
    }
}

/* Only the first problem is told; what follows it may be its echo. */
void stale_problem(struct stale_tlb *tlb, const char *what, const struct stale_entry *entry,
                   const struct sim_event *event)
{
    size_t used = 0;

    if (tlb->problem != NULL) {
        return;
    }
    tlb->problem = what;
    tell(tlb, &used, "stale TLB: %s\n", what);
    if (event != NULL) {
        tell(tlb, &used, "  at event %" PRIu64 " cpu%zu %s 0x%016" PRIx64 " -> 0x%016" PRIx64 "\n",
             event->index, event->cpu, sim_kind_name(event->kind), event->old, event->new);
    }
    if (entry != NULL) {
        tell_entry(tlb, &used, entry);
    }
    if (tlb->verdict == STALE_TLB_ABORTS) {
        fputs(tlb->story, stderr);
        abort();
    }
}

const char *stale_tlb_story(const struct stale_tlb *tlb)
{
    return tlb->story;
}

/* --- Writes ---------------------------------------------------------------------------------- */

static const struct stale_entry *entry_into(const struct stale_tlb *tlb, uint64_t pa, uint64_t size)
{
    for (uint32_t i = tlb->store.first; i != STALE_TLB_NONE;
         i = stale_store_at(&tlb->store, i)->next) {
        const struct stale_entry *entry = stale_store_at(&tlb->store, i);
        const struct reach_guest *guest = stale_guest(tlb, entry->place);
        const uint64_t start = entry->is_table
                                   ? reach_address(guest, entry->desc)
                                   : stale_leaf_address(guest, entry->desc, entry->place.level);
        const uint64_t bytes =
            entry->is_table ? reach_table_size(guest) : reach_span(guest, entry->place.level);

        if (start < pa + size && pa < start + bytes) {
            return entry;
        }
    }
    return NULL;
}

bool stale_tlb_leads_to(const struct stale_tlb *tlb, uint64_t pa, uint64_t size)
{
    return entry_into(tlb, pa, size) != NULL;
}

static void check_frame(struct stale_tlb *tlb, const struct reach_frame *frame, uint64_t pa,
                        const struct sim_event *event)
{
    if (frame->stale_leaves > 0) {
        stale_problem(tlb, "a table is written where a stale leaf still leads",
                      entry_into(tlb, pa, 8), event);
    } else if (frame->stale_tables > 0 && !frame->is_linked) {
        stale_problem(tlb, "a table is written that a stale pointer still leads to",
                      entry_into(tlb, pa, 8), event);
    }
}

static void on_write(struct stale_tlb *tlb, const struct sim_event *event)
{
    struct reach_place place;
    const struct reach_frame *frame;
    uint64_t slot;
    pa_t pa;

    if (!event->done || !sim_memory_pa(tlb->reach.memory, event->slot, &pa)) {
        return;
    }
    slot = pa_distance(pa_of(0), pa);
    frame = reach_frame(&tlb->reach, slot);
    check_frame(tlb, frame, slot, event);
    if (!frame->is_linked || !reach_place(&tlb->reach, slot, &place)) {
        return;
    }
    if (event->kind == SIM_FILL) {
        stale_problem(tlb, "a table that walkers reach is filled as if it were dark", NULL, event);
    }
    tlb->unpublished |= stale_cpu_bit(event->cpu);
    if (event->old == event->new) {
        return;
    }
    tlb->in_direct = tlb->is_direct && stale_is_direct(tlb, place, event);
    if (reach_kind(stale_guest(tlb, place), event->old, place.level) != REACH_INVALID) {
        stale_unlink(tlb, place, event->old, event);
    }
    if (reach_kind(stale_guest(tlb, place), event->new, place.level) != REACH_INVALID) {
        stale_link(tlb, place, event->new, event);
    }
    tlb->in_direct = false;
}

/* --- Invalidations --------------------------------------------------------------------------- */

/* One TLBI, decoded. */
struct invalidation {
    const struct sim_event *event;
    uint8_t targets; /* CPUs */
    uint64_t serial;
    uint64_t start, size; /* by address */
    int level;            /* ANY_LEVEL; else leaves of that level only */
    unsigned granule;     /* its shift that the hint or range names; 0: none */
    bool is_stage2;       /* stage-2 copies go */
    bool is_combined;     /* combined copies go */
};

/* Stage-2 copies: only where no walker can still read the descriptor, in memory or through a stale
 * pointer that stays. */
static void mark_stage2(struct stale_tlb *tlb, const struct invalidation *tlbi,
                        struct stale_entry *entry)
{
    const size_t cpu = tlbi->event->cpu;
    const struct stale_entry *parent = stale_store_parent(&tlb->store, entry);
    uint8_t marked = (uint8_t)(tlbi->targets & ~entry->unseen);
    enum stale_reason reason = marked == tlbi->targets ? STALE_MARKED : STALE_NOT_VISIBLE;

    if (parent != NULL) {
        const uint8_t going = parent->marked_by == tlbi->serial ? parent->stage2_marks[cpu] : 0;
        const uint8_t staying = (uint8_t)(parent->stage2 & ~going);

        reason = reason == STALE_MARKED && (marked & staying) != 0 ? STALE_BELOW_STALE : reason;
        marked = (uint8_t)(marked & ~staying);
    }
    entry->stage2_marks[cpu] |= marked;
    entry->marked_by = tlbi->serial;
    if (tlbi->is_combined) {
        entry->combined_marks[cpu] |= marked;
    }
    stale_entry_note(entry, tlbi->event, reason);
}

/* Combined copies alone: those that no stage-2 copy can refill. */
static void mark_combined(const struct invalidation *tlbi, struct stale_entry *entry)
{
    const uint8_t refilled = entry->stage2 & entry->combined & tlbi->targets;

    entry->combined_marks[tlbi->event->cpu] |= (uint8_t)(tlbi->targets & ~entry->stage2);
    if (!entry->is_table) {
        stale_entry_note(entry, tlbi->event, refilled != 0 ? STALE_REFILLED : STALE_MARKED);
    }
}

/* What the invalidation does to an entry that it covers. */
static void apply(struct stale_tlb *tlb, const struct invalidation *tlbi, uint32_t number)
{
    struct stale_entry *entry = stale_store_at(&tlb->store, number);
    const struct reach_guest *guest = stale_guest(tlb, entry->place);
    const struct sim_event *event = tlbi->event;
    struct invalidation here = *tlbi;

    here.targets &= stale_addressed(tlb, entry->place.guest, event);
    if (here.targets == 0) {
        stale_entry_note(entry, event, STALE_WRONG_VMID);
    } else if ((tlb->out_of_context & stale_cpu_bit(event->cpu)) != 0 && !stale_is_of_all(event)) {
        stale_entry_note(entry, event, STALE_NOT_IN_CONTEXT);
    } else if (event->is_nxs && entry->is_slow) {
        stale_entry_note(entry, event, STALE_STILL_SLOW);
    } else if (tlbi->granule != 0 && tlbi->granule != guest->granule_shift) {
        stale_entry_note(entry, event, STALE_WRONG_GRANULE);
    } else if (tlbi->level != ANY_LEVEL && (entry->is_table || tlbi->level != entry->place.level)) {
        stale_entry_note(entry, event, STALE_WRONG_LEVEL);
    } else if (tlbi->is_stage2) {
        mark_stage2(tlb, &here, entry);
    } else {
        mark_combined(&here, entry);
    }
}

/* One IPA: the few entries that could translate it, those nearer the root first. */
static void apply_at(struct stale_tlb *tlb, const struct invalidation *tlbi)
{
    for (unsigned i = 0; i < tlb->reach.guest_count; i++) {
        const struct reach_guest *guest = &tlb->reach.guests[i];

        for (int level = guest->start_level; tlb->store.held_by[i] > 0 && level <= 3; level++) {
            const struct reach_place at = {i, level, tlbi->start & ~(reach_span(guest, level) - 1)};
            uint32_t n = stale_store_find(&tlb->store, at);

            for (; n != STALE_TLB_NONE; n = stale_store_find_next(&tlb->store, n)) {
                apply(tlb, tlbi, n);
            }
        }
    }
}

/* All entries that the range touches: older first, so that a pointer comes before what it leads
 * to. */
static void apply_over(struct stale_tlb *tlb, const struct invalidation *tlbi)
{
    for (uint32_t i = tlb->store.first; i != STALE_TLB_NONE;
         i = stale_store_at(&tlb->store, i)->next) {
        const struct stale_entry *entry = stale_store_at(&tlb->store, i);
        const uint64_t span = reach_span(stale_guest(tlb, entry->place), entry->place.level);

        if (tlbi->size == UINT64_MAX || (entry->place.ipa < tlbi->start + tlbi->size &&
                                         tlbi->start < entry->place.ipa + span)) {
            apply(tlb, tlbi, i);
        }
    }
}

static unsigned granule_of(uint64_t code)
{
    static const unsigned shifts[4] = {0, 12, 14, 16};

    return shifts[code & 3];
}

/* By IPA: IPA[51:12] in [39:0] whatever the granule, TTL in [47:44]. A hint that the architecture
 * reserves is taken as one that fits nothing. */
static void decode_address(struct invalidation *tlbi)
{
    const uint64_t operand = tlbi->event->operand;

    tlbi->start = field(operand, 39, 0) << 12;
    tlbi->granule = granule_of(field(operand, 47, 46));
    tlbi->level = tlbi->granule == 0 ? ANY_LEVEL : (int)field(operand, 45, 44);
}

/* By range: BaseADDR [36:0] in granules, or in 64 KiB with VTCR_EL2.DS; a level of 0 is any. */
static void decode_range(struct invalidation *tlbi)
{
    const uint64_t operand = tlbi->event->operand;
    const bool has_ds = (tlbi->event->vtcr >> 32 & 1) != 0;
    const unsigned scale = (unsigned)field(operand, 45, 44);

    tlbi->granule = granule_of(field(operand, 47, 46));
    tlbi->granule = tlbi->granule == 0 ? NO_GRANULE : tlbi->granule;
    tlbi->level = field(operand, 38, 37) == 0 ? ANY_LEVEL : (int)field(operand, 38, 37);
    tlbi->start = field(operand, 36, 0) << (has_ds ? 16 : tlbi->granule);
    tlbi->size = (field(operand, 43, 39) + 1) << (5 * scale + 1 + tlbi->granule);
}

static bool is_by_address(enum sim_kind kind)
{
    return kind == SIM_TLBI_IPAS2E1IS || kind == SIM_TLBI_IPAS2E1;
}

static bool is_vmalle1(enum sim_kind kind)
{
    return kind == SIM_TLBI_VMALLE1IS || kind == SIM_TLBI_VMALLE1;
}

static void on_tlbi(struct stale_tlb *tlb, const struct sim_event *event)
{
    const uint64_t in_host = HCR_TGE | HCR_E2H;
    const bool is_local = !sim_is_broadcast(event->kind);
    struct invalidation tlbi = {.event = event,
                                .targets = is_local ? stale_cpu_bit(event->cpu) : (uint8_t)ALL_CPUS,
                                .serial = ++tlb->tlbi_count,
                                .size = UINT64_MAX,
                                .level = ANY_LEVEL};

    if (is_vmalle1(event->kind) && (event->hcr & in_host) == in_host) {
        return; /* the EL2&0 regime's */
    }
    if (event->kind == SIM_TLBI_RIPAS2E1IS) {
        decode_range(&tlbi);
        tlbi.is_stage2 = true;
    } else if (is_by_address(event->kind)) {
        decode_address(&tlbi);
        tlbi.is_stage2 = true;
    } else {
        tlbi.is_combined = true;
        tlbi.is_stage2 = !is_vmalle1(event->kind);
    }
    tlb->has_marks |= stale_cpu_bit(event->cpu);
    if (tlbi.is_stage2 && tlbi.is_combined) {
        stale_on_sweep(tlb, event, tlbi.targets);
    }
    if (is_by_address(event->kind)) {
        apply_at(tlb, &tlbi);
    } else {
        apply_over(tlb, &tlbi);
    }
}

/* --- Barriers -------------------------------------------------------------------------------- */

/* A frame that a stale entry leads to is still somebody's: a guest's, or a table. */
static void check_taken(struct stale_tlb *tlb, const struct stale_entry *entry,
                        const struct sim_event *event)
{
    const struct reach_guest *guest = stale_guest(tlb, entry->place);
    const uint64_t pa = stale_leaf_address(guest, entry->desc, entry->place.level);
    const uint64_t span = reach_span(guest, entry->place.level);

    if (entry->is_table) {
        const pa_t table = pa_of(reach_address(guest, entry->desc));
        const unsigned order = guest->granule_shift - frame_pool_shift(tlb->pool);

        if (frame_pool_touches(tlb->pool, table, reach_table_size(guest)) &&
            !frame_pool_is_taken(tlb->pool, table, order)) {
            stale_problem(tlb, "a table is given back while a stale pointer leads to it", entry,
                          event);
        }
    } else if (frame_pool_touches(tlb->pool, pa_of(pa), span) &&
               !frame_pool_is_data(tlb->pool, pa_of(pa), span)) {
        stale_problem(tlb, "a frame is given back while a stale leaf leads to it", entry, event);
    }
}

static void check_frames_taken(struct stale_tlb *tlb, const struct sim_event *event)
{
    for (uint32_t i = tlb->store.first; tlb->pool != NULL && i != STALE_TLB_NONE;
         i = stale_store_at(&tlb->store, i)->next) {
        check_taken(tlb, stale_store_at(&tlb->store, i), event);
    }
}

/* What no TLB holds, and no walker can read any more. */
static void forget_if_gone(struct stale_tlb *tlb, uint32_t number)
{
    const struct stale_entry *entry = stale_store_at(&tlb->store, number);

    if ((entry->stage2 | entry->combined | entry->unseen) == 0) {
        stale_forget(tlb, number);
    }
}

/* What @cpu wrote is visible to the walkers of @scope. */
static void settle(struct stale_tlb *tlb, size_t cpu, uint8_t scope)
{
    uint32_t i = tlb->store.first;
    uint8_t rest = 0;

    while (i != STALE_TLB_NONE) {
        struct stale_entry *entry = stale_store_at(&tlb->store, i);
        const uint32_t next = entry->next;

        if (entry->writer == cpu) {
            entry->unseen = (uint8_t)(entry->unseen & ~scope);
        }
        rest |= entry->unseen;
        forget_if_gone(tlb, i);
        i = next;
    }
    tlb->has_unseen = rest != 0;
}

/* What @cpu invalidated is gone from the CPUs of @scope. */
static void complete(struct stale_tlb *tlb, size_t cpu, uint8_t scope)
{
    uint32_t i = tlb->store.first;

    while (i != STALE_TLB_NONE) {
        struct stale_entry *entry = stale_store_at(&tlb->store, i);
        const uint32_t next = entry->next;

        entry->stage2 = (uint8_t)(entry->stage2 & ~(entry->stage2_marks[cpu] & scope));
        entry->combined = (uint8_t)(entry->combined & ~(entry->combined_marks[cpu] & scope));
        entry->stage2_marks[cpu] = (uint8_t)(entry->stage2_marks[cpu] & ~scope);
        entry->combined_marks[cpu] = (uint8_t)(entry->combined_marks[cpu] & ~scope);
        forget_if_gone(tlb, i);
        i = next;
    }
    stale_sweep_done(tlb, cpu, scope);
}

static void on_dsb(struct stale_tlb *tlb, const struct sim_event *event)
{
    const uint8_t self = stale_cpu_bit(event->cpu);
    const uint8_t scope = event->kind == SIM_DSB_NSH ? self : (uint8_t)ALL_CPUS;

    if (tlb->has_unseen) {
        settle(tlb, event->cpu, scope);
    }
    if (event->kind != SIM_DSB_NSH) {
        tlb->unpublished = (uint8_t)(tlb->unpublished & ~self);
    }
    if (event->kind != SIM_DSB_ISHST && (tlb->has_marks & self) != 0) {
        check_frames_taken(tlb, event);
        complete(tlb, event->cpu, scope);
        if (scope == ALL_CPUS) {
            tlb->has_marks = (uint8_t)(tlb->has_marks & ~self);
        }
    }
}

/* --- The listener ---------------------------------------------------------------------------- */

static void on_event(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    struct stale_tlb *tlb = arg;

    if (phase == SIM_BEFORE) {
        return;
    }
    stale_note_vttbr(tlb, event->cpu, event->vttbr);
    if (event->kind >= SIM_FILL && event->kind <= SIM_REPLACE) {
        on_write(tlb, event);
    } else if (event->kind >= SIM_DSB_ISH && event->kind <= SIM_DSB_NSH) {
        on_dsb(tlb, event);
    } else if (event->kind == SIM_ISB) {
        tlb->out_of_context = (uint8_t)(tlb->out_of_context & ~stale_cpu_bit(event->cpu));
        stale_on_isb(tlb, event->cpu);
    } else if (sim_is_tlbi(event->kind)) {
        on_tlbi(tlb, event);
    } else if (event->kind >= SIM_WRITE_VTCR && event->kind <= SIM_WRITE_HCR) {
        tlb->out_of_context |= stale_cpu_bit(event->cpu);
        if (event->kind == SIM_WRITE_VTTBR) {
            stale_on_load(tlb, event);
        }
    }
}

void stale_tlb_init(struct stale_tlb *tlb, struct sim_memory *memory, struct mmu_cpu cpu,
                    struct frame_pool *pool, enum stale_verdict verdict)
{
    *tlb = (struct stale_tlb){.pool = pool, .verdict = verdict};
    reach_init(&tlb->reach, memory, cpu);
    stale_store_init(&tlb->store);
    if (!sim_listen(on_event, tlb)) {
        fputs("stale TLB: too many listeners\n", stderr);
        abort();
    }
}

void stale_tlb_allow_direct(struct stale_tlb *tlb)
{
    tlb->is_direct = true;
}

void stale_tlb_fini(struct stale_tlb *tlb)
{
    (void)sim_unlisten(on_event, tlb); /* a reset of the machine has done it already */
    stale_store_fini(&tlb->store);
    reach_fini(&tlb->reach);
    free(tlb->runs);
    tlb->runs = NULL;
}

/* --- At rest --------------------------------------------------------------------------------- */

static const char *judge_leaf(const struct stale_tlb *tlb, const struct stale_entry *entry)
{
    const struct reach_guest *guest = stale_guest(tlb, entry->place);
    const struct mmu_result now = mmu_translate(&guest->mmu, entry->place.ipa, MMU_READ);
    uint64_t desc;

    if (!guest->is_live || !now.has_leaf) {
        return "a TLB may still hold a translation of what is no longer mapped";
    }
    desc = now.walk_desc[now.walk_count - 1];
    if (now.level != entry->place.level ||
        !stale_leaf_is_alike(guest, now.level, entry->desc, entry->place.ipa, desc,
                             entry->place.ipa)) {
        return "a TLB may still hold another translation";
    }
    if ((stale_leaf_rights(guest, entry->desc) & ~stale_leaf_rights(guest, desc)) != 0) {
        return "a TLB may still allow what the tables no longer do";
    }
    return NULL;
}

static const char *judge_entry(const struct stale_tlb *tlb, const struct stale_entry *entry)
{
    if ((entry->stage2 | entry->combined) == 0) {
        return NULL; /* on its way to walkers, and held by nobody */
    }
    if (!entry->is_table) {
        return judge_leaf(tlb, entry);
    }
    return stale_guest(tlb, entry->place)->is_live && stale_pointer_is_live(tlb, entry)
               ? NULL
               : "a walk cache may still lead to a table that is no longer linked";
}

/* A run that is one only in part: a copy of a member translates for those that are not. */
static bool run_is_torn(const struct stale_tlb *tlb, struct reach_place run)
{
    const struct reach_guest *guest = stale_guest(tlb, run);
    struct mmu mmu = guest->mmu;
    const uint64_t span = reach_span(guest, run.level);
    const uint64_t size = reach_run(guest, run.level);

    mmu.options |= MMU_CHECK_RUNS;
    for (uint64_t at = 0; guest->is_live && at < size; at += span) {
        const struct mmu_result now = mmu_translate(&mmu, run.ipa + at, MMU_READ);

        if (now.has_leaf && now.level == run.level && now.contiguous) {
            return now.status == MMU_BAD_RUN;
        }
    }
    return false;
}

/* Told by its first entry, as that is now. */
static void torn_run(struct stale_tlb *tlb, struct reach_place run)
{
    const struct reach_guest *guest = stale_guest(tlb, run);
    struct stale_entry first = {.place = run};
    const struct mmu_result now = mmu_translate(&guest->mmu, run.ipa, MMU_READ);

    first.desc = now.walk_count > 0 ? now.walk_desc[now.walk_count - 1] : 0;
    stale_problem(tlb, "a contiguous run is one only in part", &first, NULL);
}

const char *stale_tlb_quiesce(struct stale_tlb *tlb)
{
    for (size_t i = 0; i < SIM_CPUS; i++) {
        stale_note_vttbr(tlb, i, sim_cpu_at(i)->vttbr);
    }
    for (uint32_t i = tlb->store.first; i != STALE_TLB_NONE;
         i = stale_store_at(&tlb->store, i)->next) {
        const struct stale_entry *entry = stale_store_at(&tlb->store, i);
        const char *what = judge_entry(tlb, entry);

        if (what != NULL) {
            stale_problem(tlb, what, entry, NULL);
        }
    }
    check_frames_taken(tlb, NULL);
    if (tlb->unpublished != 0) {
        stale_problem(tlb, "a write that walkers see is not followed by a DSB", NULL, NULL);
    }
    for (size_t i = 0; i < tlb->run_count; i++) {
        if (run_is_torn(tlb, tlb->runs[i])) {
            torn_run(tlb, tlb->runs[i]);
        }
    }
    tlb->run_count = 0;
    return tlb->problem;
}

size_t stale_tlb_held(const struct stale_tlb *tlb)
{
    return tlb->store.held;
}

/* A table, or the one above a leaf; without looking at all entries. */
const struct stale_entry *stale_tlb_pick_table(const struct stale_tlb *tlb, uint64_t random)
{
    const struct stale_store *store = &tlb->store;

    for (uint64_t i = 0; store->tables_held > 0 && i < PICKS; i++) {
        const uint64_t number =
            i + 1 < PICKS ? (random + i * PICK_STEP) % store->capacity : store->first;
        const struct stale_entry *entry = stale_store_at(store, (uint32_t)number);

        if (entry->serial != 0 && !entry->is_table) {
            entry = stale_store_parent(store, entry);
        }
        if (entry != NULL && entry->serial != 0 && entry->stage2 != 0) {
            return entry;
        }
    }
    return NULL;
}
