#include "tests/model/scope.h"

#include "stage2/trestle.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <string.h>

#define PAGE UINT64_C(4096)
#define BLOCK UINT64_C(0x200000)
#define BORDER UINT64_C(0x40200000)
#define WINDOW (BORDER - 4 * PAGE)
#define MEMORY UINT64_C(0x1000000000) /* what the guests are shown; in no pool */
#define BESIDE (MEMORY + 16 * BLOCK + PAGE)
#define POOL UINT64_C(0x80000000)
#define FRAMES 14
#define NODES 12
#define COPIES 6
#define REST (SCOPE_PAGES - 1)

/* Descriptors, by hand. */
#define D_VALID UINT64_C(1)
#define D_TABLE UINT64_C(2)
#define D_WRITE (UINT64_C(1) << 7)
#define D_AF (UINT64_C(1) << 10)
#define D_DBM (UINT64_C(1) << 51)
#define D_CONT (UINT64_C(1) << 52)
#define D_ADDRESS UINT64_C(0x0000fffffffff000)
#define D_KIND (UINT64_C(15) << 2 | UINT64_C(3) << 8) /* memory type, shareability */
#define D_RIGHTS (UINT64_C(3) << 6 | UINT64_C(3) << 53)

#define RW (S2_READ | S2_WRITE)
#define CLEAN (S2_READ | S2_DBM | S2_NO_AF)

static const mapping_flags_t all_flags[] = {RW, S2_READ, CLEAN, RW | S2_NORMAL_NC};

static const struct {
    unsigned first, count;
} all_ranges[] = {{0, 8}, {3, 1}, {4, 1}, {2, 4}, {3, 2}, {6, 2}, {0, 2}, {0, 0}};

/* Of programs; the last is of pieces alone: the lower block, and the window above it. */
#define RANGES 7

/* What a verb does with pages, and by which call. */
enum act { NO_ACT, MAPS, REPLACES, UNMAPS, PROTECTS };
enum way { BY_CALL, BY_STEPS, BY_BATCH, BY_GUEST };

static const struct {
    const char *name;
    enum act act;
    enum way way;
} verbs[SCOPE_VERBS] = {
    [SCOPE_MAP] = {"map", MAPS, BY_CALL},
    [SCOPE_REPLACE] = {"replace", REPLACES, BY_CALL},
    [SCOPE_UNMAP] = {"unmap", UNMAPS, BY_CALL},
    [SCOPE_PROTECT] = {"protect", PROTECTS, BY_CALL},
    [SCOPE_FOLD] = {"fold", NO_ACT, BY_CALL},
    [SCOPE_LOOKUP] = {"lookup", NO_ACT, BY_GUEST},
    [SCOPE_UNMAP_STEPS] = {"unmap steps", UNMAPS, BY_STEPS},
    [SCOPE_PROTECT_STEPS] = {"protect steps", PROTECTS, BY_STEPS},
    [SCOPE_FOLD_STEPS] = {"fold steps", NO_ACT, BY_STEPS},
    [SCOPE_BATCH_BEGIN] = {"batch begin", NO_ACT, BY_BATCH},
    [SCOPE_BATCH_MAP] = {"batch map", MAPS, BY_BATCH},
    [SCOPE_BATCH_REPLACE] = {"batch replace", REPLACES, BY_BATCH},
    [SCOPE_BATCH_UNMAP] = {"batch unmap", UNMAPS, BY_BATCH},
    [SCOPE_BATCH_PROTECT] = {"batch protect", PROTECTS, BY_BATCH},
    [SCOPE_BATCH_DROP] = {"batch drop", NO_ACT, BY_BATCH},
    [SCOPE_BATCH_END] = {"batch end", NO_ACT, BY_BATCH},
    [SCOPE_ENTER] = {"enter", NO_ACT, BY_GUEST},
    [SCOPE_LEAVE] = {"leave", NO_ACT, BY_GUEST},
    [SCOPE_TOUCH] = {"guest writes", NO_ACT, BY_GUEST},
};

/* --- The machine ----------------------------------------------------------------------------- */

/* What a walk for a page ends at. */
struct view {
    uint64_t desc; /* 0: nothing valid */
    uint64_t pa;   /* of the page */
    uint64_t size; /* bytes that are translated alike */
};

/* A copy in a TLB: as stage 2 alone, and combined with stage 1. */
struct copy {
    struct view view;
    bool has_stage2, has_combined;
    bool ends_stage2, ends_combined; /* with the next DSB */
};

/* What a guest's page ought to be. */
struct cell {
    bool is_mapped;
    bool is_written; /* by the guest, tracked, and nobody was told */
    uint8_t flags;
    uint64_t pa;
};

struct side {
    struct s2_space space;
    uint64_t root;                /* PA of its tables */
    struct view now[SCOPE_PAGES]; /* what walks end at, as the tables are */
    struct memory_node nodes[NODES];
    struct cell cells[SCOPE_PAGES];
    struct copy copies[SCOPE_PAGES][COPIES];
    uint8_t held[SCOPE_PAGES]; /* how many of them */
    uint8_t told[SCOPE_PAGES]; /* states, in the present call */
};

static struct machine {
    _Alignas(4096) unsigned char frames[FRAMES * 4096];
    struct frame_info infos[FRAMES];
    struct frame_pool pool;
    struct s2_vmid_allocator vmids;
    struct s2_cpu cpu;
    struct s2_batch batch;
    struct side sides[SCOPE_SPACES];
    struct sim_cpu registers;
    bool has_numbers;
} machine;

static struct scope_verdict verdict;
static bool is_watching;
static bool checks_all; /* both guests after each call, also the one that it does not reach */
static bool is_filled;  /* the TLB: it would be the same again */

static void expect(bool is_so, const char *rule, const char *what)
{
    if (!is_so && verdict.rule == NULL) {
        verdict = (struct scope_verdict){rule, what};
    }
}

static uint64_t ipa_of_page(size_t page)
{
    return page == REST ? BORDER - BLOCK : WINDOW + page * PAGE;
}

/* --- The walker ------------------------------------------------------------------------------ */

static uint64_t read_desc(uint64_t pa)
{
    uint64_t desc = 0;

    if (pa >= POOL && pa - POOL < sizeof(machine.frames)) {
        memcpy(&desc, machine.frames + (pa - POOL), sizeof(desc));
    }
    return desc;
}

static uint64_t root_in(uint64_t vttbr)
{
    return vttbr & UINT64_C(0x0000fffffffffffe);
}

/* From level 1 down, as the tables of a 33-bit input are. */
static struct view walk(const struct side *side, size_t page)
{
    const uint64_t ipa = ipa_of_page(page);
    uint64_t table = side->root;
    unsigned shift = 30;

    for (;; shift -= 9) {
        const uint64_t desc = read_desc(table + (ipa >> shift & 511) * 8);
        const uint64_t leaf = UINT64_C(1) << shift;

        if ((desc & D_VALID) == 0 || (shift == 12 && (desc & D_TABLE) == 0)) {
            return (struct view){0, 0, 0};
        }
        if (shift == 12 || (desc & D_TABLE) == 0) {
            return (struct view){
                desc, ((desc & D_ADDRESS) & ~(leaf - 1)) + (ipa & (leaf - 1) & ~(PAGE - 1)),
                (desc & D_CONT) != 0 ? leaf * 16 : leaf};
        }
        table = desc & D_ADDRESS;
    }
}

/* For all pages, whenever descriptors may have changed. */
static void walk_all(void)
{
    is_filled = false;
    for (size_t i = 0; i < SCOPE_SPACES * SCOPE_PAGES; i++) {
        struct side *side = &machine.sides[i / SCOPE_PAGES];

        side->now[i % SCOPE_PAGES] = walk(side, i % SCOPE_PAGES);
    }
}

/* --- The TLB --------------------------------------------------------------------------------- */

static bool is_loaded(const struct side *side)
{
    return !machine.has_numbers || root_in(sim_cpu()->vttbr) == side->root;
}

/* One more of what is there, or a new one. What has AF clear is not cached: hardware sets it
 * first. */
static void fill(struct side *side, size_t page)
{
    struct copy *copies = side->copies[page];
    struct view view = side->now[page];
    size_t i = 0;

    view.desc |= D_AF;
    while (i < side->held[page] &&
           (copies[i].view.desc != view.desc || copies[i].view.pa != view.pa)) {
        i++;
    }
    expect(i < COPIES, "the judge", "more copies than there is room for");
    if (i < COPIES) {
        copies[i] = (struct copy){.view = view, .has_stage2 = true, .has_combined = true};
        side->held[page] = (uint8_t)(i == side->held[page] ? i + 1 : side->held[page]);
    }
}

/* What stays as stage 2 alone may be combined anew. */
static void fill_page(struct side *side, size_t page)
{
    if (side->now[page].desc != 0 && is_loaded(side)) {
        fill(side, page);
    }
    for (size_t i = 0; i < side->held[page]; i++) {
        struct copy *copy = &side->copies[page][i];

        if (copy->has_stage2) {
            copy->has_combined = true;
            copy->ends_combined = false;
        }
    }
}

static void fill_all(void)
{
    for (size_t i = 0; i < SCOPE_SPACES * SCOPE_PAGES && !is_filled; i++) {
        fill_page(&machine.sides[i / SCOPE_PAGES], i % SCOPE_PAGES);
    }
    is_filled = true;
}

/* A TLBI of [@start, @end) under @vttbr. */
static void mark(uint64_t vttbr, uint64_t start, uint64_t end, bool stage2, bool combined)
{
    for (size_t i = 0; i < SCOPE_SPACES * SCOPE_PAGES; i++) {
        struct side *side = &machine.sides[i / SCOPE_PAGES];
        const size_t page = i % SCOPE_PAGES;

        for (size_t k = 0; root_in(vttbr) == side->root && k < side->held[page]; k++) {
            struct copy *copy = &side->copies[page][k];
            const uint64_t first = ipa_of_page(page) & ~(copy->view.size - 1);
            const bool is_met = start < first + copy->view.size && first < end;

            copy->ends_stage2 |= is_met && stage2;
            copy->ends_combined |= is_met && combined;
        }
    }
}

/* What was marked is gone. */
static void complete_page(struct side *side, size_t page)
{
    struct copy *copies = side->copies[page];
    size_t kept = 0;

    for (size_t i = 0; i < side->held[page]; i++) {
        struct copy copy = copies[i];

        copy.has_stage2 = copy.has_stage2 && !copy.ends_stage2;
        copy.has_combined = copy.has_combined && !copy.ends_combined;
        copy.ends_stage2 = copy.ends_combined = false;
        if (copy.has_stage2 || copy.has_combined) {
            copies[kept++] = copy;
        }
    }
    side->held[page] = (uint8_t)kept;
}

/* A second translation of one address: another output, memory type or size. */
static bool clashes(const struct view *a, const struct view *b)
{
    return a->pa != b->pa || ((a->desc ^ b->desc) & D_KIND) != 0 || a->size != b->size;
}

static void expect_one_translation(void)
{
    for (size_t s = 0; s < SCOPE_SPACES; s++) {
        const struct side *side = &machine.sides[s];

        for (size_t page = 0; page < SCOPE_PAGES; page++) {
            const struct view *now = &side->now[page];

            for (size_t i = 0; i < side->held[page] && now->desc != 0; i++) {
                expect(!clashes(&side->copies[page][i].view, now), "promise 7: break before make",
                       "a page is made while a TLB may hold what it was");
            }
        }
    }
}

static bool is_write(enum sim_kind kind)
{
    return kind == SIM_STORE || kind == SIM_PUBLISH || kind == SIM_SWAP || kind == SIM_REPLACE;
}

static void watch(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    const uint64_t base = (event->operand & UINT64_C(0xfffffffff)) << 12;

    (void)arg;
    if (!is_watching) {
        return;
    }
    if (phase == SIM_BEFORE) {
        fill_all();
        return;
    }
    is_filled = event->kind == SIM_ISB || event->kind == SIM_DSB_ISHST;
    switch ((int)event->kind) {
    case SIM_TLBI_IPAS2E1IS:
        mark(event->vttbr, base, base + PAGE, true, false);
        break;
    case SIM_TLBI_RIPAS2E1IS: {
        const uint64_t pages = (event->operand >> 39 & 31) + 1;
        const unsigned scale = (unsigned)(event->operand >> 44 & 3);

        mark(event->vttbr, base, base + (pages << (5 * scale + 1)) * PAGE, true, false);
        break;
    }
    case SIM_TLBI_VMALLE1IS:
        mark(event->vttbr, 0, UINT64_MAX, false, true);
        break;
    case SIM_TLBI_VMALLS12E1IS:
        mark(event->vttbr, 0, UINT64_MAX, true, true);
        break;
    case SIM_TLBI_ALLE1IS:
        for (size_t s = 0; s < SCOPE_SPACES; s++) {
            mark(machine.sides[s].root, 0, UINT64_MAX, true, true);
        }
        break;
    case SIM_DSB_ISH:
        for (size_t i = 0; i < SCOPE_SPACES * SCOPE_PAGES; i++) {
            complete_page(&machine.sides[i / SCOPE_PAGES], i % SCOPE_PAGES);
        }
        break;
    default:
        if (is_write(event->kind)) {
            walk_all();
            expect_one_translation();
        }
        break;
    }
}

/* --- The naive model ------------------------------------------------------------------------- */

static size_t first_of(struct scope_op op)
{
    return all_ranges[op.range].first;
}

static size_t end_of(struct scope_op op)
{
    return first_of(op) + all_ranges[op.range].count;
}

static struct ipa_range range_of(struct scope_op op)
{
    return op.range == RANGES
               ? ipa_range(BORDER - BLOCK, BLOCK + 4 * PAGE)
               : ipa_range(ipa_of_page(first_of(op)), all_ranges[op.range].count * PAGE);
}

static uint64_t pa_of_op(struct scope_op op)
{
    if (op.range == RANGES) {
        return op.pa == 0 ? MEMORY : MEMORY + 32 * BLOCK + PAGE;
    }
    return (op.pa == 0 ? MEMORY + BLOCK - 4 * PAGE : BESIDE) + first_of(op) * PAGE;
}

static bool is_any_mapped(const struct side *side, struct scope_op op)
{
    for (size_t page = first_of(op); page < end_of(op); page++) {
        if (side->cells[page].is_mapped) {
            return true;
        }
    }
    return false;
}

/* What the call ought to answer, where there are frames and nodes. */
static enum mapping_error foretell(const struct side *side, struct scope_op op)
{
    if (op.verb == SCOPE_LOOKUP) {
        return side->cells[first_of(op)].is_mapped ? MAPPING_OK : MAPPING_NOT_FOUND;
    }
    return verbs[op.verb].act == MAPS && is_any_mapped(side, op) ? MAPPING_ALREADY_EXISTS
                                                                 : MAPPING_OK;
}

static void change_cells(struct side *side, struct scope_op op)
{
    const enum act act = verbs[op.verb].act;

    for (size_t page = first_of(op); act != NO_ACT && page < end_of(op); page++) {
        struct cell *cell = &side->cells[page];

        if (act == UNMAPS) {
            cell->is_mapped = false;
            continue;
        }
        cell->flags = op.flags;
        if (act != PROTECTS) {
            cell->is_mapped = true;
            cell->pa = pa_of_op(op) + (page - first_of(op)) * PAGE;
        }
    }
}

/* --- What must hold -------------------------------------------------------------------------- */

static bool is_tracked(const struct cell *cell)
{
    return (all_flags[cell->flags] & S2_DBM) != 0;
}

static uint64_t rights_of(mapping_flags_t flags)
{
    return ((flags & S2_READ) != 0 ? UINT64_C(1) << 6 : 0) |
           ((flags & S2_WRITE) != 0 ? D_WRITE : 0) | UINT64_C(2) << 53;
}

static void expect_page(const struct side *side, size_t page)
{
    const struct cell *cell = &side->cells[page];
    const mapping_flags_t flags = all_flags[cell->flags];
    const struct view now = side->now[page];
    const uint64_t ignored = is_tracked(cell) ? D_WRITE : 0;

    expect((now.desc != 0) == cell->is_mapped, "the model of pages",
           cell->is_mapped ? "a page is gone that nobody took"
                           : "a page is there that nobody gave");
    if (now.desc == 0 || !cell->is_mapped) {
        return;
    }
    expect(now.pa == cell->pa, "the model of pages", "a page leads elsewhere");
    expect(((now.desc ^ rights_of(flags)) & D_RIGHTS & ~ignored) == 0, "the model of pages",
           "a page has other rights");
    expect(((now.desc & D_DBM) != 0) == is_tracked(cell), "the model of pages",
           "a page is tracked, or is not");
    expect(((now.desc >> 2 & 15) == 5) == ((flags & S2_TYPE) == S2_NORMAL_NC), "the model of pages",
           "a page has another type");
}

/* What was written is still dirty, or somebody was told. */
static void expect_nothing_lost(struct side *side, size_t page)
{
    struct cell *cell = &side->cells[page];
    const struct view now = side->now[page];
    const bool is_told = (side->told[page] & S2_STATE_DIRTY) != 0;
    const bool is_dirty = (now.desc & D_DBM) != 0 && (now.desc & D_WRITE) != 0;

    expect(!cell->is_written || is_told || is_dirty,
           "promise 6: nothing that hardware wrote is lost",
           "a page was written, is clean, and nobody was told");
    cell->is_written = cell->is_written && !is_told;
}

/* No TLB holds of @page what is not there, or more than is there. */
static void expect_gone(const struct side *side, size_t page)
{
    const struct view now = side->now[page];

    for (size_t i = 0; i < side->held[page]; i++) {
        const struct copy *copy = &side->copies[page][i];
        const bool may_write = (copy->view.desc & D_WRITE) != 0;
        const bool is_more = may_write && (now.desc & D_WRITE) == 0;

        expect(now.desc != 0 && copy->view.pa == now.pa && !is_more,
               "promise 5: returned means gone",
               "a call has returned, and a TLB holds what it, or another, took away");
    }
}

/* What a call has returned for: the end of a batch for all. In a batch nothing has, and a lookup
 * takes nothing from anybody, nor does a guest. */
static void expect_all_gone(struct scope_op op)
{
    const bool is_end = op.verb == SCOPE_BATCH_END;
    const enum way way = verbs[op.verb].way;

    for (size_t i = 0;
         (is_end || way == BY_CALL || way == BY_STEPS) && i < SCOPE_SPACES * SCOPE_PAGES; i++) {
        const size_t s = i / SCOPE_PAGES, page = i % SCOPE_PAGES;

        if (is_end || (s == op.space && page >= first_of(op) && page < end_of(op))) {
            expect_gone(&machine.sides[s], page);
        }
    }
}

/* A protect has given exactly its flags, whatever hardware had set. */
static void expect_rearmed(const struct side *side, struct scope_op op)
{
    for (size_t page = first_of(op); page < end_of(op); page++) {
        const struct view now = side->now[page];

        expect(now.desc == 0 || all_flags[op.flags] != CLEAN || (now.desc & (D_WRITE | D_AF)) == 0,
               "promise 6: a protect re-arms what hardware has changed",
               "a page is dirty, or not old, right after");
    }
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 31;
}

/* Areas and leaves of one guest. Not how many tables there are: a call that is refused may have
 * flushed those that waited for a batch. */
static uint64_t hash_shape(const struct side *side)
{
    const struct memory_set *set = &side->space.set;
    const struct memory_area *area = memory_set_first(set);
    uint64_t hash = memory_set_len(set);

    for (; area != NULL; area = memory_set_next(set, area)) {
        hash = mix(hash, area->range.start.raw);
        hash = mix(hash, area->range.size);
        hash = mix(hash, area->flags);
        hash = mix(hash, area->backend.cookie);
    }
    for (size_t page = 0; page < SCOPE_PAGES; page++) {
        const struct view now = side->now[page];

        hash = mix(hash, now.desc & ~D_ADDRESS);
        hash = mix(hash, now.pa);
        hash = mix(hash, now.size);
    }
    return hash;
}

/* Whether @op may have done something to that guest: its own, or any that a batch flushes. A guest
 * that enters, leaves or writes is looked at with the next call. */
static bool is_reached(struct scope_op op, uint8_t space)
{
    return verbs[op.verb].way == BY_BATCH || op.space == space;
}

static void look(struct scope_op op, enum mapping_error error, uint64_t before)
{
    struct side *side = &machine.sides[op.space];
    const enum mapping_error foretold = foretell(side, op);
    const bool is_short = error == MAPPING_NO_FRAME || error == MAPPING_NO_NODE;

    if (verbs[op.verb].act != NO_ACT || op.verb < SCOPE_BATCH_BEGIN) {
        expect(error == foretold || (is_short && foretold == MAPPING_OK), "the model of pages",
               "another answer");
        expect(error == MAPPING_OK || hash_shape(side) == before || verbs[op.verb].way == BY_STEPS,
               "promise 1: all or nothing", "an error has changed something");
    }
    if (error == MAPPING_OK) {
        change_cells(side, op);
    }
    for (size_t s = 0; s < SCOPE_SPACES; s++) {
        for (size_t page = 0; page < SCOPE_PAGES; page++) {
            expect_page(&machine.sides[s], page);
            expect_nothing_lost(&machine.sides[s], page);
        }
    }
    if (error == MAPPING_OK) {
        expect_all_gone(op);
    }
    if (error == MAPPING_OK && verbs[op.verb].act == PROTECTS) {
        expect_rearmed(side, op);
    }
    for (uint8_t s = 0; s < SCOPE_SPACES; s++) {
        expect(!(checks_all || is_reached(op, s)) || s2_space_check(&machine.sides[s].space),
               "promise 9: isolation is checkable", "s2_space_check() says no");
    }
    expect(frame_pool_check(&machine.pool), "the pool", "frame_pool_check() says no");
}

/* --- Doing ----------------------------------------------------------------------------------- */

static enum mapping_error do_steps(struct s2_space *space, struct scope_op op)
{
    struct s2_cursor cursor = s2_cursor(range_of(op));
    enum mapping_error error = MAPPING_OK;

    while (error == MAPPING_OK && !s2_cursor_is_done(&cursor)) {
        error = verbs[op.verb].act == UNMAPS ? s2_space_unmap_step(space, &cursor, 1)
                : verbs[op.verb].act == PROTECTS
                    ? s2_space_protect_step(space, &cursor, all_flags[op.flags], 1)
                    : s2_space_fold_step(space, &cursor, 1);
    }
    return error;
}

/* A guest writes by a walk of its own. */
static void touch(struct side *side, size_t page)
{
    const struct view now = side->now[page];
    uint64_t table = side->root;
    unsigned shift = 30;
    uint64_t *slot;

    if (now.desc == 0 || (now.desc & (D_WRITE | D_DBM)) == 0) {
        return;
    }
    for (;; shift -= 9) {
        slot = (uint64_t *)(void *)(machine.frames + (table - POOL) +
                                    (ipa_of_page(page) >> shift & 511) * 8);
        if (shift == 12 || (*slot & D_TABLE) == 0) {
            break;
        }
        table = *slot & D_ADDRESS;
    }
    *slot |= D_AF | ((*slot & D_DBM) != 0 ? D_WRITE : 0);
    side->cells[page].is_written = (*slot & D_DBM) != 0;
}

static enum mapping_error do_batched(struct s2_space *space, struct scope_op op)
{
    const mapping_flags_t flags = all_flags[op.flags];

    switch (op.verb) {
    case SCOPE_BATCH_MAP:
        return s2_batch_map_linear(&machine.batch, space, range_of(op), pa_of(pa_of_op(op)), flags);
    case SCOPE_BATCH_REPLACE:
        return s2_batch_replace_linear(&machine.batch, space, range_of(op), pa_of(pa_of_op(op)),
                                       flags);
    case SCOPE_BATCH_UNMAP:
        return s2_batch_unmap(&machine.batch, space, range_of(op));
    case SCOPE_BATCH_PROTECT:
        return s2_batch_protect(&machine.batch, space, range_of(op), flags);
    case SCOPE_BATCH_BEGIN:
        s2_batch_begin(&machine.batch);
        return MAPPING_OK;
    case SCOPE_BATCH_DROP:
        s2_batch_drop(&machine.batch, space);
        return MAPPING_OK;
    default:
        s2_batch_end(&machine.batch);
        return MAPPING_OK;
    }
}

static enum mapping_error do_guest(struct side *side, struct scope_op op)
{
    struct s2_leaf leaf;

    switch (op.verb) {
    case SCOPE_LOOKUP:
        return s2_space_lookup(&side->space, range_of(op).start, &leaf);
    case SCOPE_ENTER:
        return s2_enter(&side->space.table, &machine.vmids, &machine.cpu, 0);
    case SCOPE_LEAVE:
        s2_leave(&machine.cpu);
        return MAPPING_OK;
    default:
        touch(side, first_of(op));
        return MAPPING_OK;
    }
}

static enum mapping_error do_call(struct s2_space *space, struct scope_op op)
{
    const mapping_flags_t flags = all_flags[op.flags];

    switch (verbs[op.verb].act) {
    case MAPS:
        return s2_space_map_linear(space, range_of(op), pa_of(pa_of_op(op)), flags);
    case REPLACES:
        return s2_space_replace_linear(space, range_of(op), pa_of(pa_of_op(op)), flags);
    case UNMAPS:
        return s2_space_unmap(space, range_of(op));
    case PROTECTS:
        return s2_space_protect(space, range_of(op), flags);
    case NO_ACT:
        break;
    }
    return s2_space_fold(space, range_of(op));
}

static enum mapping_error do_op(struct side *side, struct scope_op op)
{
    switch (verbs[op.verb].way) {
    case BY_CALL:
        return do_call(&side->space, op);
    case BY_STEPS:
        return do_steps(&side->space, op);
    case BY_BATCH:
        return do_batched(&side->space, op);
    case BY_GUEST:
        break;
    }
    return do_guest(side, op);
}

bool scope_allows(struct scope_op op)
{
    return verbs[op.verb].way != BY_BATCH || op.verb == SCOPE_BATCH_BEGIN || machine.batch.is_open;
}

void scope_do(struct scope_op op, bool checks)
{
    const uint64_t before = checks ? hash_shape(&machine.sides[op.space]) : 0;
    enum mapping_error error;

    verdict = (struct scope_verdict){NULL, NULL};
    memset(machine.sides[0].told, 0, sizeof(machine.sides[0].told));
    memset(machine.sides[1].told, 0, sizeof(machine.sides[1].told));
    is_watching = true;
    error = do_op(&machine.sides[op.space], op);
    walk_all();
    fill_all();
    is_watching = false;
    look(op, error, before);
}

struct scope_verdict scope_verdict(void)
{
    return verdict;
}

/* --- Opening --------------------------------------------------------------------------------- */

static void hear(void *arg, struct ipa_range range, unsigned state)
{
    struct side *side = arg;

    for (size_t page = 0; page < SCOPE_PAGES; page++) {
        if (ipa_range_has(range, ipa_of(ipa_of_page(page)))) {
            side->told[page] |= (uint8_t)state;
        }
    }
}

static const struct s2_features CPU = {.pa_bits = 48,
                                       .granule_4k = S2_GRANULE_48_BITS,
                                       .vmid_bits = 8,
                                       .hafdbs = 2,
                                       .tlb = 2,
                                       .has_fwb = true,
                                       .has_xnx = true,
                                       .has_ttl = true,
                                       .has_idc = true,
                                       .has_dic = true,
                                       .dcache_line = 64};

static bool open_side(size_t number)
{
    struct side *side = &machine.sides[number];
    const struct s2_space_config config = {
        .table = {.cpu = &CPU,
                  .granule = S2_GRANULE_4K,
                  .ipa_bits = 33,
                  .hardware_update = S2_HARDWARE_UPDATE_DIRTY,
                  .sink = {.removed = hear, .arg = side}},
        .table_pool = &machine.pool,
        .nodes = side->nodes,
        .node_count = NODES,
        .vmids = machine.has_numbers ? &machine.vmids : NULL,
        .vmid = (uint16_t)(1 + number),
    };

    if (s2_space_init(&side->space, &config) != MAPPING_OK) {
        return false;
    }
    side->root = root_in(s2_table_vttbr(&side->space.table));
    return true;
}

static bool map_table(struct side *side)
{
    return s2_table_map(&side->space.table, ipa_range(BORDER - BLOCK, BLOCK), pa_of(MEMORY), RW) ==
           MAPPING_OK;
}

static bool map_block(struct side *side)
{
    for (size_t page = 0; page < 4; page++) {
        side->cells[page] =
            (struct cell){.is_mapped = true, .pa = MEMORY + BLOCK - (4 - page) * PAGE};
    }
    side->cells[REST] = (struct cell){.is_mapped = true, .pa = MEMORY};
    return s2_space_map_linear(&side->space, ipa_range(BORDER - BLOCK, BLOCK), pa_of(MEMORY), RW) ==
           MAPPING_OK;
}

void scope_open(enum scope_start start)
{
    struct frame_region region = {PA_INIT(POOL), machine.frames, FRAMES, machine.infos};
    bool is_open;
    pa_t ballast;

    memset(&machine, 0, sizeof(machine));
    sim_reset();
    sim_set_log(SIM_LOG_COUNT);
    (void)sim_listen(watch, NULL);
    is_watching = false;
    machine.has_numbers = start == SCOPE_NUMBERS;
    s2_vmid_init(&machine.vmids, 8);
    is_open = frame_pool_init(&machine.pool, 12, &region, 1) == MAPPING_OK &&
              s2_cpu_init(&machine.cpu, &machine.vmids) == MAPPING_OK && open_side(0) &&
              open_side(1);
    for (size_t s = 0; s < SCOPE_SPACES && (start == SCOPE_BLOCK || start == SCOPE_SCARCE); s++) {
        is_open = is_open && map_block(&machine.sides[s]);
    }
    for (size_t s = 0; s < SCOPE_SPACES && start == SCOPE_TABLES; s++) {
        is_open = is_open && map_table(&machine.sides[s]);
    }
    while (start == SCOPE_SCARCE && frame_pool_available(&machine.pool) > 1) {
        is_open = is_open && frame_pool_alloc(&machine.pool, 0, &ballast) == MAPPING_OK;
    }
    walk_all();
    verdict = (struct scope_verdict){NULL, NULL};
    expect(is_open, "the judge", "the machine cannot be made");
}

/* --- Pieces ---------------------------------------------------------------------------------- */

static struct s2_request request_of(struct scope_op op)
{
    static const enum s2_verb acts[] = {[MAPS] = S2_VERB_MAP,
                                        [REPLACES] = S2_VERB_REPLACE,
                                        [UNMAPS] = S2_VERB_UNMAP,
                                        [PROTECTS] = S2_VERB_PROTECT};

    return (struct s2_request){.verb = acts[verbs[op.verb].act],
                               .range = range_of(op),
                               .pa = pa_of(pa_of_op(op)),
                               .flags = all_flags[op.flags]};
}

static enum mapping_error do_together(struct s2_table *table, const struct scope_op pieces[],
                                      size_t count)
{
    struct s2_request requests[3];
    enum mapping_error error = MAPPING_OK;

    s2_table_begin(table);
    for (size_t i = 0; i < count && error == MAPPING_OK; i++) {
        requests[i] = request_of(pieces[i]);
        error = s2_table_hold(table, &requests[i]);
    }
    for (size_t i = 0; i < count && error == MAPPING_OK; i++) {
        s2_table_do(table, &requests[i]);
    }
    s2_table_end(table);
    return error;
}

void scope_do_pieces(const struct scope_op pieces[], size_t count)
{
    struct side *one = &machine.sides[0], *other = &machine.sides[1];
    const uint64_t before = hash_shape(one);
    enum mapping_error error;

    verdict = (struct scope_verdict){NULL, NULL};
    is_watching = true;
    error = do_together(&one->space.table, pieces, count);
    walk_all();
    fill_all();
    expect(error == MAPPING_OK || hash_shape(one) == before, "promise 1: all or nothing",
           "an operation was refused and has changed something");
    for (size_t i = 0; i < count && error == MAPPING_OK; i++) {
        expect(do_together(&other->space.table, &pieces[i], 1) == MAPPING_OK,
               "pieces together are the pieces one by one", "one that was done is refused alone");
    }
    is_watching = false;
    walk_all();
    for (size_t page = 0; page < SCOPE_PAGES; page++) {
        const struct view a = one->now[page], b = other->now[page];

        expect(error != MAPPING_OK || (a.pa == b.pa && ((a.desc ^ b.desc) & (D_VALID | D_RIGHTS |
                                                                             D_KIND | D_DBM)) == 0),
               "pieces together are the pieces one by one", "a page has become another");
        expect_gone(one, page);
    }
    expect(s2_table_check(&one->space.table) && s2_table_check(&other->space.table), "the tables",
           "s2_table_check() says no");
    expect(frame_pool_check(&machine.pool), "the pool", "frame_pool_check() says no");
}

/* --- Which programs -------------------------------------------------------------------------- */

struct list {
    struct scope_op *ops;
    size_t count;
};

static void add(struct list *list, struct scope_op op)
{
    if (list->count < SCOPE_OPS_MAX) {
        list->ops[list->count++] = op;
    }
}

/* All arguments that mean something to the verb. */
static void add_verb(struct list *list, enum scope_verb verb, uint8_t space, uint8_t ranges,
                     bool few)
{
    const enum act act = verbs[verb].act;
    const bool has_pa = act == MAPS || act == REPLACES;
    const bool has_flags = has_pa || act == PROTECTS;
    const uint8_t pas = has_pa ? 2 : 1;
    const uint8_t flags = !has_flags ? 1 : few ? 3 : 4;

    for (unsigned i = 0; i < (unsigned)ranges * pas * flags; i++) {
        const uint8_t f = (uint8_t)(i % flags);

        if (!few || !has_pa || f != 1) { /* maps of read-only pages are left to protect */
            add(list, (struct scope_op){(uint8_t)verb, space, (uint8_t)(i / flags / pas),
                                        (uint8_t)(i / flags % pas), f});
        }
    }
}

size_t scope_pieces(struct scope_op ops[SCOPE_OPS_MAX])
{
    const uint8_t ranges = RANGES + 1;
    struct list list = {ops, 0};

    for (uint8_t r = 0; r < ranges; r++) {
        add(&list, (struct scope_op){SCOPE_UNMAP, 0, r, 0, 0});
        add(&list, (struct scope_op){SCOPE_PROTECT, 0, r, 0, 1});
        add(&list, (struct scope_op){SCOPE_PROTECT, 0, r, 0, 3});
        for (uint8_t p = 0; p < 2; p++) {
            add(&list, (struct scope_op){SCOPE_MAP, 0, r, p, 0});
            add(&list, (struct scope_op){SCOPE_REPLACE, 0, r, p, 0});
        }
    }
    return list.count;
}

size_t scope_ops(enum scope_start start, bool few, struct scope_op ops[SCOPE_OPS_MAX])
{
    const uint8_t ranges = few ? 3 : RANGES;
    struct list list = {ops, 0};

    checks_all = !few;
    for (uint8_t s = 0; s < SCOPE_SPACES; s++) {
        for (enum scope_verb verb = SCOPE_MAP; verb < SCOPE_VERBS; verb++) {
            const bool is_whole =
                verb == SCOPE_BATCH_BEGIN || verb == SCOPE_BATCH_END || verb == SCOPE_LEAVE;

            if ((is_whole && s > 0) || (machine.has_numbers && start != SCOPE_NUMBERS) ||
                (start != SCOPE_NUMBERS && (verb == SCOPE_ENTER || verb == SCOPE_LEAVE))) {
                continue;
            }
            add_verb(&list, verb, s,
                     is_whole || verb == SCOPE_BATCH_DROP || verb == SCOPE_ENTER ? 1 : ranges, few);
        }
    }
    return list.count;
}

/* --- Telling machines apart ------------------------------------------------------------------ */

static uint64_t hash_waiting(uint64_t hash, const struct s2_operation *operation)
{
    const struct s2_tlb_batch *batch = &operation->invalidations;

    hash = mix(hash, batch->count);
    hash = mix(hash, batch->is_whole);
    for (unsigned i = 0; i < batch->count && !batch->is_whole; i++) {
        hash = mix(hash, batch->ranges[i].range.start.raw);
        hash = mix(hash, batch->ranges[i].range.size);
        hash = mix(hash, (uint64_t)(int64_t)batch->ranges[i].level);
    }
    for (int i = 0; i < S2_LEVEL_COUNT; i++) {
        hash = mix(hash, operation->quarantine[i].count);
    }
    return mix(hash, operation->taken.raw ^ operation->taken_end.raw);
}

static uint64_t hash_side(const struct side *side)
{
    uint64_t hash = hash_waiting(hash_shape(side), &side->space.table.operation);

    hash = mix(hash, side->space.table.table_count);
    for (size_t page = 0; page < SCOPE_PAGES; page++) {
        uint64_t copies = 0;

        hash = mix(hash, side->cells[page].is_written);
        for (size_t i = 0; i < side->held[page]; i++) {
            const struct copy *copy = &side->copies[page][i];

            copies +=
                mix(mix(copy->view.desc, copy->view.pa),
                    copy->view.size | copy->has_stage2 | (copy->has_combined ? 2 : UINT64_C(0)));
        }
        hash = mix(hash, copies);
    }
    for (size_t i = 0; i < machine.batch.count; i++) {
        hash += machine.batch.spaces[i] == &side->space ? UINT64_C(0x5bd1e995) : 0;
    }
    return mix(hash, is_loaded(side));
}

/* The sum of both guests', so that it does not matter which is which. */
uint64_t scope_hash(void)
{
    uint64_t hash = hash_side(&machine.sides[0]) + hash_side(&machine.sides[1]);

    hash = mix(hash, machine.batch.is_open);
    hash = mix(hash, frame_pool_available(&machine.pool));
    return machine.has_numbers ? mix(hash, machine.cpu.active != S2_CPU_IDLE) : hash;
}

size_t scope_size(void)
{
    return sizeof(machine);
}

void scope_save(void *copy)
{
    machine.registers = *sim_cpu();
    memcpy(copy, &machine, sizeof(machine));
}

void scope_load(const void *copy)
{
    memcpy(&machine, copy, sizeof(machine));
    *sim_cpu() = machine.registers;
}

void scope_describe(struct scope_op op, char *text, size_t size)
{
    static const char *const flags[] = {"rw", "read only", "clean", "rw uncached"};

    snprintf(text, size, "%s, guest %u, pages %d to %d, memory %u, %s", verbs[op.verb].name,
             op.space, (int)first_of(op) - 4, (int)end_of(op) - 5, op.pa, flags[op.flags]);
}
