/*
 * test_table_order.c - in which order the verbs store, wait, invalidate, and let go of frames.
 *
 * The log of an operation is read as a script, a letter an event; equal neighbours of the kinds
 * that come in rows (F S R W P A a) stand once:
 *
 *      F fill (dark)   S store   R replace   W swap   P publish (link or make)
 *      D DSB ISH       d DSB ISHST           i ISB
 *      A TLBI by IPA   a by range            V TLBI VMALLE1IS    X TLBI VMALLS12E1IS
 *      k IC IALLUIS    t v h writes of VTCR, VTTBR, HCR     ( ) interrupts masked, restored
 */
#include "tests/unit/requests.h"
#include "tests/unit/table_fixture.h"
#include "tests/unit/test.h"

#include <string.h>

#define SUITE "table_order"

static struct rig rig;

static void start(const struct rig_shape *shape)
{
    rig_init(&rig, rig_setup_of(shape));
}

/* Loops over all shapes, each on a CPU with TLBIs by range and on one without. With LPA2 they are
 * off unless somebody asks. */
#define EITHER_COUNT (2 * rig_shape_count)

static void start_either(int i)
{
    const struct rig_shape *shape = &rig_shapes[i / 2];

    rig_init(&rig, i % 2 == 0 ? rig_setup_of(shape) : rig_setup_without_ranges(shape));
}

static bool has_ranges(void)
{
    const struct rig_shape *shape = rig.setup.shape;

    return rig.setup.cpu.tlb == 2 && (shape->pa_bits < 52 || shape->granule == S2_GRANULE_64K);
}

static const char *either(const char *by_range, const char *by_address)
{
    return has_ranges() ? by_range : by_address;
}

/* Set the scene: not part of the script. */
static void given(enum rig_verb verb, uint64_t ipa, uint64_t size, uint64_t pa,
                  mapping_flags_t flags)
{
    rig_must(&rig, (struct rig_step){verb, ipa, size, pa, flags});
    sim_clear();
}

static char letter(enum sim_kind kind)
{
    static const char letters[SIM_KINDS] = {
        [SIM_LOAD] = '.',           [SIM_FILL] = 'F',
        [SIM_STORE] = 'S',          [SIM_PUBLISH] = 'P',
        [SIM_SWAP] = 'W',           [SIM_REPLACE] = 'R',
        [SIM_DSB_ISH] = 'D',        [SIM_DSB_ISHST] = 'd',
        [SIM_DSB_NSH] = 'n',        [SIM_ISB] = 'i',
        [SIM_TLBI_IPAS2E1IS] = 'A', [SIM_TLBI_RIPAS2E1IS] = 'a',
        [SIM_TLBI_VMALLE1IS] = 'V', [SIM_TLBI_VMALLS12E1IS] = 'X',
        [SIM_TLBI_ALLE1IS] = '!',   [SIM_TLBI_IPAS2E1] = '!',
        [SIM_TLBI_VMALLE1] = '!',   [SIM_TLBI_VMALLS12E1] = '!',
        [SIM_DC_CIVAC] = 'C',       [SIM_DC_CVAC] = 'c',
        [SIM_IC_IALLUIS] = 'k',     [SIM_WRITE_VTCR] = 't',
        [SIM_WRITE_VTTBR] = 'v',    [SIM_WRITE_HCR] = 'h',
        [SIM_WRITE_TCR_EL1] = 'e',  [SIM_IRQ_MASK] = '(',
        [SIM_IRQ_RESTORE] = ')',
    };

    return letters[kind];
}

/* The log since the scene was set. Masking is left out where the guest is current. */
static const char *script(const char *without)
{
    static char text[256];
    size_t length = 0;

    for (size_t i = 0; i < sim_event_total(); i++) {
        const char next = letter(sim_events()[i].kind);
        const bool repeats = length > 0 && text[length - 1] == next;

        if (strchr(without, next) == NULL && !(repeats && strchr("FSRWPAa", next) != NULL)) {
            ck_assert_uint_lt(length, sizeof(text) - 1);
            text[length++] = next;
        }
    }
    text[length] = '\0';
    return text;
}

static void expect(enum rig_verb verb, uint64_t ipa, uint64_t size, uint64_t pa,
                   mapping_flags_t flags, const char *expected)
{
    sim_clear();
    rig_must(&rig, (struct rig_step){verb, ipa, size, pa, flags});
    ck_assert_str_eq(script("()"), expected);
}

/* The @n-th event of @kind. */
static const struct sim_event *nth(enum sim_kind kind, size_t n)
{
    size_t at = sim_find(kind, 0);

    while (n > 0 && at != SIM_NONE) {
        at = sim_find(kind, at + 1);
        n--;
    }
    ck_assert_uint_ne(at, SIM_NONE);
    return &sim_events()[at];
}

/* --- Map ------------------------------------------------------------------------------------- */

TEST_EACH(map_fills_links_once_and_invalidates_nothing, rig_shape_count)
{
    const uint64_t page = rig_page(&rig_shapes[_i]);

    start(&rig_shapes[_i]);
    expect(RIG_MAP, 7 * page, page, RIG_DATA, RIG_RW, "FPdi"); /* new tables */
    ck_assert_uint_eq(sim_event_count(SIM_PUBLISH), 1);
    ck_assert_ptr_eq(nth(SIM_PUBLISH, 0)->slot,
                     rig_slot_at(&rig, &rig.table, 7 * page, rig_shapes[_i].start_level));
    expect(RIG_MAP, 8 * page, 3 * page, RIG_DATA, RIG_RW, "Pdi"); /* one that is live: what
                                                                 * memory holds comes first */
    ck_assert_uint_eq(sim_event_count(SIM_PUBLISH), 3);
    rig_fini(&rig);
}

/* What is filled whole is not zeroed first. In the tables above, each slot once, too. */
TEST_EACH(map_writes_every_slot_once, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);
    size_t leaves = 0;

    start(shape);
    rig_must(&rig, (struct rig_step){RIG_MAP, block, block, RIG_DATA, RIG_RW | S2_CAP_PAGES});
    for (size_t i = 0; i < sim_event_total(); i++) {
        const struct sim_event *event = &sim_events()[i];

        if (event->slot != NULL) {
            leaves += (event->new & 3) == 3 && event->kind == SIM_FILL ? 1 : 0;
            /* Memory was poison, so whoever finds anything else writes for the second time; but
             * the root's slot was cleared with the root. */
            ck_assert_uint_eq(event->old, event->kind == SIM_PUBLISH ? 0 : SIM_MEMORY_POISON);
        }
    }
    /* All pages, and the tables between the page's and the one that is linked. */
    ck_assert_uint_eq(leaves, block / page + (uint64_t)(2 - shape->start_level));
    rig_fini(&rig);
}

TEST_EACH(map_code_cleans_instruction_caches_before_it_shows, rig_shape_count)
{
    struct rig_setup setup = rig_setup_of(&rig_shapes[_i]);
    const uint64_t page = rig_page(setup.shape);

    setup.cpu.has_dic = false;
    rig_init(&rig, setup);
    expect(RIG_MAP, page, page, RIG_DATA, S2_READ | S2_EXEC_EL0, "kDFPdi");
    expect(RIG_MAP, 2 * page, page, RIG_DATA, RIG_RWX, "kDPdi");
    expect(RIG_MAP, 3 * page, page, RIG_DATA, RIG_RW, "Pdi");
    expect(RIG_PROTECT, 3 * page, page, 0, RIG_RWX, "kDSDADVDi");
    expect(RIG_PROTECT, 3 * page, page, 0, S2_READ, "SDADVDi");
    rig_fini(&rig);
    start(&rig_shapes[_i]);
    expect(RIG_MAP, page, page, RIG_DATA, RIG_RWX, "FPdi");
    expect(RIG_PROTECT, page, page, 0, S2_READ | S2_EXEC_EL1, "SDADVDi");
    rig_fini(&rig);
}

/* --- Unmap ----------------------------------------------------------------------------------- */

TEST_EACH(unmap_flushes_all, EITHER_COUNT)
{
    const uint64_t page = rig_page(&rig_shapes[_i / 2]);

    start_either(_i);
    given(RIG_MAP, 7 * page, 4 * page, RIG_DATA, RIG_RW);
    expect(RIG_UNMAP, 8 * page, 2 * page, 0, 0, either("SDaDVDi", "SDADVDi"));
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_IPAS2E1IS), has_ranges() ? 0 : 2);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_RIPAS2E1IS), has_ranges() ? 1 : 0);
    rig_fini(&rig);
}

/* A table goes with its leaves: its whole span, every level. Here that is more than 64 granules: by
 * range, or else everything of the guest. So many ranges of 2 GiB at most are the span of the
 * topmost table that goes, which hangs at the root; 0: too many. */
static const size_t chunks[] = {1, 0, 0, 0, 0, 0, 0};

TEST_EACH(unmap_that_empties_a_table_invalidates_all_of_it, EITHER_COUNT)
{
    const uint64_t page = rig_page(&rig_shapes[_i / 2]);
    size_t count;

    start_either(_i);
    count = has_ranges() ? chunks[_i / 2] : 0;
    given(RIG_MAP, 7 * page, page, RIG_DATA, RIG_RW);
    expect(RIG_UNMAP, 7 * page, page, 0, 0, count > 0 ? "SDaDVDi" : "SDXDi");
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_RIPAS2E1IS), count);
    rig_fini(&rig);
}

/* Several pieces in one operation: one flush, and frames only at its end. */
TEST_EACH(unmap_of_two_pieces_flushes_once, EITHER_COUNT)
{
    const struct rig_shape *shape = &rig_shapes[_i / 2];
    const uint64_t page = rig_page(shape), block = rig_block(shape);
    size_t frames;

    start_either(_i);
    given(RIG_MAP, page, 3 * page, RIG_DATA, RIG_RW);
    given(RIG_MAP, 4 * block + page, page, RIG_DATA, RIG_RW);
    frames = s2_table_frame_count(&rig.table);
    s2_table_begin(&rig.table);
    ck_assert_int_eq(hold_unmap(&rig.table, ipa_range(2 * page, page)), MAPPING_OK);
    ck_assert_int_eq(hold_unmap(&rig.table, ipa_range(4 * block, block)), MAPPING_OK);
    ck_assert_uint_eq(sim_change_count(), 0);
    do_unmap(&rig.table, ipa_range(2 * page, page));
    do_unmap(&rig.table, ipa_range(4 * block, block));
    ck_assert_str_eq(script("()"), "S");
    ck_assert_uint_eq(s2_table_frame_count(&rig.table), frames);
    s2_table_end(&rig.table);
    ck_assert_str_eq(script("()"), either("SDAaDVDi", "SDXDi"));
    ck_assert_uint_eq(s2_table_frame_count(&rig.table), frames - 1);
    rig_fini(&rig);
}

/* --- Break-before-make ----------------------------------------------------------------------- */

/* All that break and make promise of the descriptors at @block: bit 0 goes, bit 63 comes, the rest
 * stays; then a table, at the same place. */
static void assert_broken_and_made(const struct sim_event *broken, const struct sim_event *made,
                                   uint64_t old)
{
    ck_assert_uint_eq(broken->old, old);
    ck_assert_uint_eq(broken->new, (old & ~UINT64_C(1)) | UINT64_C(1) << 63);
    ck_assert_ptr_eq(made->slot, broken->slot);
    ck_assert_uint_eq(made->old, broken->new);
    ck_assert_uint_eq(made->new & 3, 3);
    ck_assert_uint_lt(broken->index, made->index);
}

TEST_EACH(split_fills_breaks_invalidates_and_makes, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape);

    for (int level = shape->top_leaf; level < 3; level++) {
        const uint64_t block = shape->span[level + 1];
        uint64_t old;

        start(shape);
        given(RIG_MAP, 2 * block, 2 * block, 2 * block, RIG_RWX | S2_SOFT1);
        old = rig_desc(&rig, &rig.table, 2 * block);
        expect(RIG_UNMAP, 2 * block + page, page, 0, 0, "FWDADVDiPdi");
        ck_assert_uint_eq(sim_event_count(SIM_TLBI_IPAS2E1IS), 1);
        assert_broken_and_made(nth(SIM_SWAP, 0), nth(SIM_PUBLISH, 0), old);
        old = rig_desc(&rig, &rig.table, 3 * block);
        expect(RIG_PROTECT, 3 * block + page, page, 0, S2_READ, "FWDADVDiPdi");
        assert_broken_and_made(nth(SIM_SWAP, 0), nth(SIM_PUBLISH, 0), old);
        rig_fini(&rig);
    }
}

TEST(split_names_the_block_as_it_was)
{
    start(RIG_4K_48);
    given(RIG_MAP, GIB(5), GIB(1), GIB(64), RIG_RW);
    expect(RIG_UNMAP, GIB(5) + KIB(4), KIB(4), 0, 0, "FWDADVDiPdi");
    ck_assert_uint_eq(nth(SIM_TLBI_IPAS2E1IS, 0)->operand, UINT64_C(0x0000500000140000));
    rig_fini(&rig);
}

TEST_EACH(split_at_both_ends_flushes_once, EITHER_COUNT)
{
    const struct rig_shape *shape = &rig_shapes[_i / 2];
    const uint64_t page = rig_page(shape), block = rig_block(shape);

    start_either(_i);
    given(RIG_MAP, 2 * block, 4 * block, RIG_DATA, RIG_RW);
    expect(RIG_UNMAP, 2 * block + page, 3 * block, 0, 0, either("FWSDaDVDiPdi", "FWSDADVDiPdi"));
    ck_assert_uint_eq(sim_event_count(SIM_SWAP), 2);
    ck_assert_uint_eq(sim_event_count(SIM_PUBLISH), 2);
    /* Four blocks, of 2^9, 2^11 or 2^13 granules each: one range. */
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_IPAS2E1IS), has_ranges() ? 0 : 4);
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_RIPAS2E1IS), has_ranges() ? 1 : 0);
    given(RIG_MAP, 8 * block, 4 * block, RIG_DATA, RIG_RW);
    expect(RIG_PROTECT, 8 * block + page, 3 * block, 0, S2_READ,
           either("FWSDaDVDiPdi", "FWSDADVDiPdi"));
    rig_fini(&rig);
}

TEST_EACH(protect_in_place_never_breaks, EITHER_COUNT)
{
    const uint64_t page = rig_page(&rig_shapes[_i / 2]);
    const mapping_flags_t kinds[] = {S2_READ,           RIG_RWX,           S2_WRITE | S2_NO_AF,
                                     RIG_RW | S2_SOFT0, S2_READ | S2_EXEC, 0};

    start_either(_i);
    given(RIG_MAP, page, 4 * page, RIG_DATA, RIG_RW);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        expect(RIG_PROTECT, page, 4 * page, 0, kinds[i], either("SDaDVDi", "SDADVDi"));
        for (size_t n = 0; n < sim_event_total(); n++) {
            const struct sim_event *event = &sim_events()[n];

            ck_assert(event->slot == NULL || (event->new & 1) == 1);
        }
    }
    rig_fini(&rig);
}

/* A type that changes: all leaves are broken, one flush, all are made. */
TEST_EACH(retype_breaks_all_then_makes_all, EITHER_COUNT)
{
    const struct rig_shape *shape = &rig_shapes[_i / 2];
    const uint64_t page = rig_page(shape), block = rig_block(shape);

    start_either(_i);
    given(RIG_MAP, block, block + 3 * page, RIG_DATA, RIG_RW);
    expect(RIG_PROTECT, block, block + 3 * page, 0, RIG_RW | S2_NORMAL_NC,
           either("SDAaADVDiSdi", "SDADVDiSdi"));
    /* The block and three pages: broken, then made. By stores, as the hardware writes none. */
    ck_assert_uint_eq(sim_event_count(SIM_SWAP), 0);
    ck_assert_uint_eq(sim_event_count(SIM_STORE), 4 + 4);
    for (size_t i = 0; i < 4; i++) {
        const struct sim_event *broken = nth(SIM_STORE, i);
        const struct sim_event *made = nth(SIM_STORE, 4 + i);

        ck_assert_uint_eq(broken->new, (broken->old & ~UINT64_C(1)) | UINT64_C(1) << 63);
        ck_assert_ptr_eq(made->slot, broken->slot);
        /* MemAttr [5:2], with FWB: 6 becomes 5; all else stays. */
        ck_assert_uint_eq(broken->old & 0x3c, 6 << 2);
        ck_assert_uint_eq(made->new, (broken->old & ~UINT64_C(0x3c)) | 5 << 2);
    }
    rig_fini(&rig);
}

TEST_EACH(fold_flushes_once_a_level, 4)
{
    uint64_t old;

    start_either(_i);
    given(RIG_MAP, GIB(1), GIB(2), GIB(64), RIG_RW);
    given(RIG_UNMAP, GIB(1) + KIB(4), KIB(4), 0, 0);
    given(RIG_UNMAP, GIB(2) + KIB(4), KIB(4), 0, 0);
    given(RIG_MAP, GIB(1) + KIB(4), KIB(4), GIB(64) + KIB(4), RIG_RW);
    given(RIG_MAP, GIB(2) + KIB(4), KIB(4), GIB(65) + KIB(4), RIG_RW);
    old = rig_slot_at(&rig, &rig.table, GIB(1), 2)->raw;
    expect(RIG_FOLD, GIB(1), GIB(2), 0, 0, either("SDaDVDiPSDaDVDiPdi", "SDXDiPSDXDiPdi"));
    ck_assert_uint_eq(sim_event_count(SIM_STORE), 4);
    ck_assert_uint_eq(sim_event_count(SIM_PUBLISH), 4);
    ck_assert_uint_eq(nth(SIM_STORE, 0)->old, old);
    ck_assert_uint_eq(nth(SIM_STORE, 0)->new, (old & ~UINT64_C(1)) | UINT64_C(1) << 63);
    rig_fini(&rig);
}

/* --- Whose TLBs ------------------------------------------------------------------------------ */

/* The same VTTBR with another VMID is another guest. */
TEST(unmap_after_a_new_vmid_goes_to_the_new_one)
{
    start(RIG_4K_40);
    given(RIG_MAP, KIB(4), KIB(8), RIG_DATA, RIG_RW);
    s2_table_set_vmid(&rig.table, 0x1234);
    rig_judge(&rig, &rig.table);
    rig_must(&rig, (struct rig_step){.verb = RIG_UNMAP, .ipa = KIB(4), .size = KIB(4)});
    ck_assert_str_eq(script(""), "SD(tviADVDivti)");
    ck_assert_uint_eq(nth(SIM_TLBI_IPAS2E1IS, 0)->vttbr >> 48, 0x1234);
    ck_assert_uint_eq(nth(SIM_TLBI_VMALLE1IS, 0)->vttbr >> 48, 0x1234);
    rig_fini(&rig);
}

/* --- The end --------------------------------------------------------------------------------- */

/* Every frame comes back, the root's as well, after the whole VMID is gone from the TLBs. (While
 * the table lives that is the monitor's to see.) */
static void watch_fini(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    const size_t *available = arg;
    const size_t tlbi = sim_find(SIM_TLBI_VMALLS12E1IS, 0);

    (void)phase;
    (void)event;
    if (tlbi == SIM_NONE || sim_find(SIM_DSB_ISH, tlbi) == SIM_NONE) {
        ck_assert_uint_eq(frame_pool_available(&rig.pool), *available);
    }
}

TEST_EACH(fini_gives_everything_back_after_the_vmid_is_gone, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);
    size_t available;

    start(shape);
    given(RIG_MAP, page, page, RIG_DATA, RIG_RW);
    given(RIG_MAP, 3 * block - page, 2 * block, RIG_DATA, RIG_RW);
    given(RIG_MAP, (UINT64_C(1) << shape->ipa_bits) - page, page, RIG_DATA, RIG_RW);
    available = frame_pool_available(&rig.pool);
    ck_assert_uint_lt(available, rig.setup.frame_count - 4);
    ck_assert(sim_listen(watch_fini, &available));
    rig_dismiss(&rig, &rig.table);
    ck_assert_int_eq(s2_table_fini(&rig.table), MAPPING_OK);
    ck_assert(sim_unlisten(watch_fini, &available));
    /* The root is emptied before: while its VMID is in VTTBR_EL2 for the TLBI, this CPU may walk
     * it. */
    ck_assert_str_eq(script("()"), "SDXDi");
    ck_assert_uint_eq(frame_pool_available(&rig.pool), rig.setup.frame_count);
    rig_fini_machine(&rig);
}

/* --- nXS ------------------------------------------------------------------------------------- */

/* Every type whose accesses may have XS = 1, as a leaf of every size, the root's blocks too, mapped
 * or protected so: from then on no TLBI may leave its accesses out. */
static const mapping_flags_t slow_types[] = {
    S2_NORMAL_NC,   S2_DEVICE_nGnRnE, S2_DEVICE_nGnRE,
    S2_DEVICE_nGRE, S2_DEVICE_GRE,    S2_NORMAL_STAGE1,
};

static size_t nxs_forms(void)
{
    size_t count = 0;

    for (size_t i = 0; i < sim_event_total(); i++) {
        count += sim_events()[i].is_nxs ? 1 : 0;
    }
    return count;
}

TEST_EACH(no_tlbi_leaves_out_slow_accesses_once_any_leaf_may_have_them, 2 * rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i / 2];
    const bool is_protected = _i % 2 != 0;

    for (int level = shape->top_leaf; level <= 3; level++) {
        const uint64_t size = shape->span[level + 1];

        for (size_t i = 0; size != 0 && i < COUNT(slow_types); i++) {
            struct rig_setup setup = rig_setup_of(shape);

            setup.cpu.has_fwb = true;
            rig_init(&rig, setup);
            rig_must(&rig, (struct rig_step){RIG_MAP, 0, size, 0,
                                             is_protected ? RIG_RW : RIG_RW | slow_types[i]});
            if (is_protected) {
                rig_must(&rig, (struct rig_step){RIG_PROTECT, 0, size, 0, RIG_RW | slow_types[i]});
            }
            sim_clear();
            rig_must(&rig, (struct rig_step){.verb = RIG_UNMAP, .ipa = 0, .size = size});
            ck_assert_uint_gt(sim_tlbi_count(), 0);
            ck_assert_uint_eq(nxs_forms(), 0);
            rig_fini(&rig);
        }
    }
}

TEST_EACH(tlbis_leave_out_slow_accesses_where_all_memory_is_fast, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t size = shape->span[shape->top_leaf + 1];
    struct rig_setup setup = rig_setup_of(shape);

    setup.cpu.has_fwb = true;
    rig_init(&rig, setup);
    rig_must(&rig, (struct rig_step){RIG_MAP, 0, size, 0, RIG_RW});
    sim_clear();
    rig_must(&rig, (struct rig_step){.verb = RIG_UNMAP, .ipa = 0, .size = size});
    ck_assert_uint_gt(sim_tlbi_count(), 0);
    ck_assert_uint_eq(nxs_forms(), sim_tlbi_count());
    rig_fini(&rig);
}
