/*
 * test_notifier.c - who is told what: a device of what is invalidated, this CPU alone of what is
 * relaxed, and how a leaf that allows more is told from one that allows less.
 */
#include "stage2/space/batch.h"
#include "tests/unit/space_fixture.h"
#include "tests/unit/test.h"

#include <check.h>

#define SUITE "notifier"

static struct rig rig;

/* --- The notifier ---------------------------------------------------------------------------- */

#define CALLS 16
#define ANY S2_TLB_LEVEL_ANY

struct call {
    struct ipa_range range;
    int level;
    size_t events;    /* before it */
    size_t available; /* frames, meanwhile */
};

struct notes {
    const struct frame_pool *pool;
    struct call calls[CALLS];
    size_t count;
};

static struct notes notes;

static void note(void *arg, struct ipa_range range, int level)
{
    struct notes *to = arg;

    ck_assert_uint_lt(to->count, CALLS);
    to->calls[to->count] =
        (struct call){range, level, sim_event_total(), frame_pool_available(to->pool)};
    to->count++;
}

static void listen_to(struct rig_setup *setup, const struct frame_pool *pool)
{
    notes = (struct notes){.pool = pool};
    setup->config.notifier = (struct s2_notifier){note, &notes};
}

static void start(enum s2_size_change size_change)
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);

    setup.config.size_change = size_change;
    listen_to(&setup, &rig.pool);
    rig_init(&rig, setup);
}

/* Forget what was told and done so far. */
static void forget(void)
{
    ck_assert_uint_eq(notes.count, 0);
    sim_clear();
}

#define AT MIB(2)

struct told {
    uint64_t ipa, size;
    int level;
};

/* What one verb tells over what two maps have put there. */
static const struct {
    const char *name;
    enum s2_size_change size_change;
    struct rig_step maps[2], step;
    struct told told[3]; /* size 0: no more */
} verbs[] = {
#define MAP(ipa, size, flags) RIG_MAP, ipa, size, RIG_DATA, flags
#define NO_MAP RIG_MAP, 0, 0, 0, 0
#define UNMAP(ipa, size) RIG_UNMAP, ipa, size, 0, 0
#define PROTECT(ipa, size, flags) RIG_PROTECT, ipa, size, 0, flags
#define REPLACE(ipa, size, pa) RIG_REPLACE, ipa, size, pa, 0
#define FOLD(ipa, size) RIG_FOLD, ipa, size, 0, 0
#define TELLS(name, size_change, map, other, step, ...)               \
    {                                                                 \
        name, S2_SIZE_CHANGE_##size_change, {{map}, {other}}, {step}, \
        {                                                             \
            __VA_ARGS__                                               \
        }                                                             \
    }
    TELLS("unmap a page", BREAK, MAP(AT, KIB(16), RIG_RW), NO_MAP, UNMAP(AT + KIB(4), KIB(4)),
          {AT + KIB(4), KIB(4), 3}),
    TELLS("unmap a block", BREAK, MAP(AT, MIB(4), RIG_RW), NO_MAP, UNMAP(AT, MIB(2)),
          {AT, MIB(2), 2}),
    TELLS("unmap a table", BREAK, MAP(AT, KIB(16), RIG_RW), MAP(0, KIB(4), RIG_RW),
          UNMAP(AT, KIB(16)), {AT, MIB(2), ANY}),
    TELLS("split a block", BREAK, MAP(AT, MIB(2), RIG_RW), NO_MAP, UNMAP(AT + KIB(4), KIB(4)),
          {AT, MIB(2), 2}),
    TELLS("split a block directly", DIRECT, MAP(AT, MIB(2), RIG_RW), NO_MAP,
          UNMAP(AT + KIB(4), KIB(4)), {AT, MIB(2), 2}, {AT + KIB(4), KIB(4), 3}),
    TELLS("split two blocks", BREAK, MAP(AT, MIB(4), RIG_RW), NO_MAP, UNMAP(AT + MIB(1), MIB(2)),
          {AT, MIB(4), 2}),
    TELLS("protect a block and pages", BREAK, MAP(0, MIB(2), RIG_RW),
          MAP(AT, KIB(8), S2_READ | S2_EXEC), PROTECT(0, MIB(4), S2_READ), {0, MIB(2), 2},
          {AT, KIB(8), 3}),
    TELLS("relax a page", BREAK, MAP(AT, KIB(16), S2_READ), NO_MAP, PROTECT(AT, KIB(4), RIG_RW),
          {AT, KIB(4), 3}),
    TELLS("retype pages", BREAK, MAP(AT, KIB(16), RIG_RW), NO_MAP,
          PROTECT(AT, KIB(8), RIG_RW | S2_NORMAL_NC), {AT, KIB(8), 3}),
    TELLS("replace pages", BREAK, MAP(AT, KIB(16), RIG_RW), NO_MAP,
          REPLACE(AT, KIB(8), RIG_DATA + GIB(1)), {AT, KIB(8), 3}),
    TELLS("fold", BREAK, MAP(AT, MIB(2), RIG_RW | S2_CAP_PAGES), NO_MAP, FOLD(0, GIB(1)),
          {AT, MIB(2), ANY}),
    TELLS("fold directly", DIRECT, MAP(AT, MIB(2), RIG_RW | S2_CAP_PAGES), NO_MAP, FOLD(0, GIB(1)),
          {AT, MIB(2), ANY}),
    TELLS("map into a hole", BREAK, MAP(AT, KIB(16), RIG_RW), NO_MAP,
          MAP(AT + KIB(16), KIB(16), RIG_RW), {0}),
    TELLS("unmap a hole", BREAK, MAP(AT, KIB(16), RIG_RW), NO_MAP, UNMAP(MIB(8), KIB(16)), {0}),
#undef TELLS
};

static void assert_told(const struct told told[], size_t max, const char *name)
{
    size_t count = 0;

    while (count < max && told[count].size != 0) {
        count++;
    }
    ck_assert_msg(notes.count == count, "%s: told %zu times", name, notes.count);
    for (size_t i = 0; i < count; i++) {
        const struct call *call = &notes.calls[i];

        ck_assert_msg(call->range.start.raw == told[i].ipa && call->range.size == told[i].size &&
                          call->level == told[i].level,
                      "%s: told 0x%llx, 0x%llx, level %d", name,
                      (unsigned long long)call->range.start.raw,
                      (unsigned long long)call->range.size, call->level);
    }
}

static bool is_write(const struct sim_event *event)
{
    return event->kind >= SIM_STORE && event->kind <= SIM_REPLACE;
}

/* A DSB comes right before the call, and after all that was broken; the TLBIs come after it, and so
 * do the makes. */
static void assert_order(const struct call *call)
{
    const struct sim_event *events = sim_events();

    ck_assert_uint_gt(call->events, 0);
    ck_assert_int_eq(events[call->events - 1].kind, SIM_DSB_ISH);
    for (size_t i = 0; i < sim_event_total(); i++) {
        const bool is_before = i < call->events;

        ck_assert(!is_before || !sim_is_tlbi(events[i].kind));
        ck_assert(is_before || !is_write(&events[i]) || (events[i].old & 1) == 0);
    }
    ck_assert_uint_ne(sim_find(SIM_DSB_ISH, call->events), SIM_NONE);
}

TEST_EACH(notify_tells_what_is_invalidated_before_the_tlbs, COUNT(verbs))
{
    size_t available;

    start(verbs[_i].size_change);
    for (size_t i = 0; i < COUNT(verbs[_i].maps); i++) {
        if (verbs[_i].maps[i].size > 0) {
            rig_must(&rig, verbs[_i].maps[i]);
        }
    }
    forget();
    available = frame_pool_available(&rig.pool);
    rig_must(&rig, verbs[_i].step);
    assert_told(verbs[_i].told, COUNT(verbs[_i].told), verbs[_i].name);
    for (size_t i = 0; i < notes.count; i++) {
        assert_order(&notes.calls[i]);
        ck_assert_uint_le(notes.calls[i].available, available);
    }
    rig_fini(&rig);
}

TEST(notify_of_fini_tells_everything_while_the_frames_are_taken)
{
    const struct told all = {0, UINT64_C(1) << 40, ANY};
    size_t available;

    start(S2_SIZE_CHANGE_BREAK);
    rig_must(&rig, (struct rig_step){RIG_MAP, AT, KIB(8), RIG_DATA, RIG_RW});
    forget();
    available = frame_pool_available(&rig.pool);
    rig_fini(&rig);
    assert_told(&all, 1, "fini");
    ck_assert_uint_eq(notes.calls[0].available, available);
}

/* --- Later, and of who is not known ---------------------------------------------------------- */

static struct guest guest;

static void guest_start(void)
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);

    listen_to(&setup, &guest.rig.pool);
    guest_init(&guest, setup, GUEST_NODES, 0);
    guest_map(&guest, (struct guest_area){AT, KIB(32), RIG_DATA, RIG_RW});
    forget();
}

/* The batch defers, and the device is told when it flushes: with the table's frame still taken. */
TEST(notify_of_a_batch_waits_for_its_end)
{
    const struct told table = {0, GIB(1), ANY}; /* as the table above is empty, too */
    struct s2_batch batch = S2_BATCH_INIT;
    size_t available;

    guest_start();
    available = frame_pool_available(&guest.rig.pool);
    s2_batch_begin(&batch);
    ck_assert_int_eq(s2_batch_unmap(&batch, &guest.space, ipa_range(AT, KIB(32))), MAPPING_OK);
    ck_assert_uint_eq(notes.count, 0);
    s2_batch_end(&batch);
    assert_told(&table, 1, "batch");
    ck_assert_uint_eq(notes.calls[0].available, available);
    ck_assert_uint_gt(frame_pool_available(&guest.rig.pool), available);
    ck_assert_uint_gt(sim_tlbi_count(), 0);
    guest_fini(&guest);
}

/* --- What is relaxed ------------------------------------------------------------------------- */

static void start_relaxed(enum s2_relax relax, enum s2_hardware_update update)
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);

    setup.cpu.tlb = 0;
    setup.config.relax = relax;
    setup.config.hardware_update = update;
    rig_init(&rig, setup);
}

static bool has_local(void)
{
    return sim_event_count(SIM_TLBI_IPAS2E1) + sim_event_count(SIM_TLBI_VMALLE1) > 0;
}

static bool has_broadcast(void)
{
    for (size_t i = 0; i < sim_event_total(); i++) {
        if (sim_is_broadcast(sim_events()[i].kind)) {
            return true;
        }
    }
    return false;
}

#define NONE S2_HARDWARE_UPDATE_NONE
#define DIRTY S2_HARDWARE_UPDATE_DIRTY

/* Two pages side by side, protected together. */
static const struct {
    enum s2_hardware_update update;
    mapping_flags_t from[2], to;
    bool is_local;
} relaxations[] = {
    {NONE, {S2_READ, S2_READ}, RIG_RW, true},
    {NONE, {S2_READ, 0}, RIG_RWX, true},
    {NONE, {S2_READ | S2_NO_AF, S2_READ}, S2_READ, true},
    {NONE, {S2_READ, S2_READ}, S2_READ | S2_SOFT0, true},
    {NONE, {S2_READ, RIG_RW}, S2_READ, false},
    {NONE, {S2_READ, S2_READ | S2_EXEC_EL0}, RIG_RW, false},
    {NONE, {S2_READ | S2_EXEC_EL0, S2_READ | S2_EXEC_EL0}, S2_READ | S2_EXEC, true},
    {NONE, {S2_READ | S2_EXEC_EL0, S2_READ}, S2_READ | S2_EXEC_EL1, false},
    {NONE, {S2_READ, S2_READ}, S2_READ | S2_NO_AF, false},
    {NONE, {S2_READ, S2_READ}, RIG_RW | S2_NORMAL_NC, false},
    {DIRTY, {S2_READ, S2_READ}, S2_READ | S2_DBM, true},
    {DIRTY, {S2_READ | S2_DBM, RIG_RW | S2_DBM}, RIG_RW | S2_DBM, true},
    {DIRTY, {S2_READ, RIG_RW | S2_DBM}, S2_READ | S2_DBM, false},
    {DIRTY, {S2_READ | S2_DBM, S2_READ | S2_DBM}, S2_READ, false},
};

TEST_EACH(protect_is_local_only_if_nothing_is_taken_away, COUNT(relaxations))
{
    for (int relax = S2_RELAX_EVERYWHERE; relax <= S2_RELAX_HERE; relax++) {
        const bool is_local = relax == S2_RELAX_HERE && relaxations[_i].is_local;

        start_relaxed((enum s2_relax)relax, relaxations[_i].update);
        for (uint64_t i = 0; i < 2; i++) {
            rig_must(&rig, (struct rig_step){RIG_MAP, AT + i * KIB(4), KIB(4),
                                             RIG_DATA + i * KIB(4), relaxations[_i].from[i]});
        }
        sim_clear();
        rig_must(&rig, (struct rig_step){RIG_PROTECT, AT, KIB(8), 0, relaxations[_i].to});
        ck_assert_uint_eq(has_local(), is_local);
        ck_assert_uint_eq(has_broadcast(), !is_local);
        rig_fini(&rig);
    }
}

/* Hardware that writes the page just before a protect that calls it clean: another CPU may hold it
 * as dirty, and would not say so again. */
struct hand {
    s2_desc_t *slot;
    uint64_t bits;
};

static void hand_event(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    struct hand *hand = arg;

    if (phase == SIM_BEFORE && event->kind == SIM_REPLACE && event->slot == hand->slot) {
        hand->slot->raw |= hand->bits;
        hand->bits = 0;
    }
}

TEST_EACH(protect_that_overwrites_what_hardware_sets_goes_to_all, 4)
{
    static const struct {
        mapping_flags_t from, to;
        uint64_t bits;
    } races[] = {
        {S2_READ | S2_DBM, S2_READ | S2_DBM | S2_EXEC, UINT64_C(1) << 7},
        {S2_READ | S2_NO_AF, S2_READ | S2_NO_AF | S2_EXEC, UINT64_C(1) << 10},
    };
    struct hand hand = {.bits = _i % 2 == 0 ? 0 : races[_i / 2].bits};

    start_relaxed(S2_RELAX_HERE, S2_HARDWARE_UPDATE_DIRTY);
    rig_must(&rig, (struct rig_step){RIG_MAP, AT, KIB(4), RIG_DATA, races[_i / 2].from});
    hand.slot = rig_slot(&rig, &rig.table, AT);
    ck_assert(sim_listen(hand_event, &hand));
    sim_clear();
    rig_must(&rig, (struct rig_step){RIG_PROTECT, AT, KIB(4), 0, races[_i / 2].to});
    ck_assert(sim_unlisten(hand_event, &hand));
    ck_assert_uint_eq(hand.bits, 0);
    ck_assert_uint_eq(has_broadcast(), _i % 2 != 0);
    ck_assert_uint_eq(has_local(), _i % 2 == 0);
    rig_fini(&rig);
}

/* --- What allows more ------------------------------------------------------------------------ */

/* All that may change in place, by hand from the manual: two bits S2AP, AF, DBM, two bits XN. */
#define CODES 64

static uint64_t code_bits(unsigned code)
{
    return (uint64_t)(code & 3) << 6 | (uint64_t)(code >> 2 & 1) << 10 |
           (uint64_t)(code >> 3 & 1) << 51 | (uint64_t)(code >> 4) << 53;
}

/* Rights, one bit each: read, write, accessed, tracked, execution at EL1 and at EL0. */
static unsigned rights_of(unsigned code, bool has_dirty)
{
    static const unsigned execution[4] = {3, 2, 0, 1}; /* both; EL0 only; none; EL1 only */

    return (code & 7) | (has_dirty ? code & 8 : 0) | execution[code >> 4] << 4;
}

TEST_EACH(leaf_allows_another_if_it_has_all_its_rights, 4)
{
    const bool has_dirty = _i % 2 != 0, has_xnx = _i / 2 != 0;
    const struct s2_format format = {
        .has_dirty = has_dirty, .has_access_flag = has_dirty, .has_xnx = has_xnx};
    size_t allowed = 0;

    for (unsigned from = 0; from < CODES; from++) {
        for (unsigned to = 0; to < CODES; to++) {
            const unsigned lost = rights_of(from, has_dirty) & ~rights_of(to, has_dirty);
            const s2_desc_t a = {code_bits(from) | RIG_DATA | 3},
                            b = {code_bits(to) | RIG_DATA | 3};

            if (!has_xnx && ((from | to) & 16) != 0) {
                continue; /* there are no such leaves */
            }
            if (s2_desc_allows(&format, b, a) != (lost == 0)) {
                ck_abort_msg("from code 0x%x to 0x%x", from, to);
            }
            allowed += lost == 0 ? 1 : 0;
        }
    }
    ck_assert_uint_gt(allowed, 0);
}

/* --- What a fault handler calls -------------------------------------------------------------- */

/* The root is the pool's again, and may be another guest's table: it is not put into VTTBR_EL2. */
TEST_EACH(refresh_of_a_finished_table_loads_no_root, 2)
{
    start(S2_SIZE_CHANGE_BREAK);
    rig_dismiss(&rig, &rig.table);
    ck_assert_int_eq(s2_table_fini(&rig.table), MAPPING_OK);
    sim_clear();
    if (_i == 0) {
        s2_table_refresh(&rig.table, ipa_of(AT));
    } else {
        s2_table_recover_conflict(&rig.table);
    }
    ck_assert_uint_eq(sim_event_count(SIM_WRITE_VTTBR) + sim_event_count(SIM_WRITE_VTCR), 0);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_VMALLE1) + sim_event_count(SIM_TLBI_VMALLS12E1), 0);
    rig_fini_machine(&rig);
}

/* Where a guest faults is the guest's choice. The sequences are test_tlb_flush.c's. */
TEST(refresh_and_recover_go_to_this_cpu_alone)
{
    const uint64_t end = UINT64_C(1) << RIG_4K_40->ipa_bits;
    const uint64_t beyond[] = {end, end + 1, UINT64_MAX};

    start_relaxed(S2_RELAX_HERE, S2_HARDWARE_UPDATE_NONE);
    for (size_t i = 0; i < COUNT(beyond); i++) {
        s2_table_refresh(&rig.table, ipa_of(beyond[i]));
        ck_assert_uint_eq(sim_event_total(), 0);
    }
    s2_table_refresh(&rig.table, ipa_of(end - 1));
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_IPAS2E1), 1);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_VMALLE1), 1);
    ck_assert_uint_eq(sim_events()[sim_find(SIM_TLBI_IPAS2E1, 0)].operand, (end >> 12) - 1);
    s2_table_recover_conflict(&rig.table);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_VMALLS12E1), 1);
    ck_assert_uint_eq(sim_tlbi_count(), 3);
    rig_fini(&rig);
}

TEST_EACH(common_bit_is_set_only_if_promised_and_there, 4)
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);

    setup.config.common = _i % 2 == 0 ? S2_COMMON_NO : S2_COMMON_PROMISED;
    setup.cpu.has_cnp = _i / 2 != 0;
    rig_init(&rig, setup);
    ck_assert_uint_eq(s2_table_vttbr(&rig.table) & 1, _i == 3 ? 1 : 0);
    rig_must(&rig, (struct rig_step){RIG_MAP, AT, KIB(8), RIG_DATA, RIG_RW});
    sim_clear();
    rig_must(&rig, (struct rig_step){RIG_UNMAP, AT, KIB(4), 0, 0});
    ck_assert_uint_eq(sim_event_count(SIM_WRITE_VTTBR), 0); /* it is current, bit and all */
    rig_fini(&rig);
}
