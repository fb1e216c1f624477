/*
 * test_table_state.c - a table's beginning and end, its registers, s2_table_lookup()'s errors, and
 * what s2_table_check() finds.
 */
#include "tests/unit/requests.h"
#include "tests/unit/table_fixture.h"
#include "tests/unit/test.h"

#include <string.h>

#define SUITE "table_state"

static struct rig rig;

static void start(const struct rig_shape *shape)
{
    rig_init(&rig, rig_setup_of(shape));
}

static void map(uint64_t ipa, uint64_t size, uint64_t pa, mapping_flags_t flags)
{
    rig_must(&rig, (struct rig_step){RIG_MAP, ipa, size, pa, flags});
}

/* --- Beginning ------------------------------------------------------------------------------- */

/* s2_table_init() refuses, with a reason if the configuration is why, and takes no frame. */
static void init_is_refused(struct rig_setup setup, enum mapping_error error, bool has_reason)
{
    struct s2_table table;

    rig_init_machine(&rig, setup);
    ck_assert_str_eq(mapping_error_name(s2_table_init(&table, &rig.setup.config, &rig.pool)),
                     mapping_error_name(error));
    ck_assert(has_reason == (s2_config_reason(&rig.setup.config) != NULL));
    ck_assert(frame_pool_check(&rig.pool));
    rig_fini_machine(&rig);
}

TEST(init_with_a_bad_number_is_refused)
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);

    setup.config.ipa_bits = 31;
    init_is_refused(setup, MAPPING_INVALID_PARAM, true);
    setup.config.ipa_bits = 40;
    setup.config.pa_bits = 41;
    init_is_refused(setup, MAPPING_INVALID_PARAM, true);
}

TEST_EACH(init_on_a_cpu_without_the_granule_is_unsupported, rig_shape_count)
{
    struct rig_setup setup = rig_setup_of(&rig_shapes[_i]);

    setup.cpu.granule_4k = S2_GRANULE_ABSENT;
    setup.cpu.granule_16k = S2_GRANULE_ABSENT;
    setup.cpu.granule_64k = S2_GRANULE_ABSENT;
    init_is_refused(setup, MAPPING_UNSUPPORTED, true);
}

static void no_news(void *arg, struct ipa_range range, int level)
{
    (void)arg;
    (void)range;
    (void)level;
}

/* By itself only where the parts are known for it, and no device is known that walks the tables;
 * by the embedder's word wherever FEAT_BBM level 2 is. */
TEST(sizes_change_directly_only_by_the_list_or_the_embedders_word)
{
    for (unsigned i = 0; i < 3 * 3 * 8; i++) {
        const bool has_list = (i & 1) != 0, has_notifier = (i & 2) != 0, is_refused = (i & 4) != 0;
        struct rig_setup setup = rig_setup_of(RIG_4K_40);

        setup.cpu.bbm = i / 8 % 3;
        setup.cpu.has_conflict_free_sizes = has_list;
        setup.config.size_change = (enum s2_size_change)(i / 24);
        setup.config.notifier.invalidated = has_notifier ? no_news : NULL;
        setup.config.transient = is_refused ? S2_TRANSIENT_REFUSED : S2_TRANSIENT_OK;
        rig_init_machine(&rig, setup);
        ck_assert_int_eq(s2_table_init(&rig.table, &rig.setup.config, &rig.pool), MAPPING_OK);
        ck_assert(rig.table.is_direct ==
                  (setup.cpu.bbm == 2 && (setup.config.size_change == S2_SIZE_CHANGE_DIRECT ||
                                          (setup.config.size_change == S2_SIZE_CHANGE_AUTO &&
                                           has_list && !has_notifier && !is_refused))));
        ck_assert_int_eq(s2_table_fini(&rig.table), MAPPING_OK);
        rig_fini_machine(&rig);
    }
}

/* VTTBR_EL2.CnP: promised, there, and not broken. */
TEST(common_translations_only_where_nothing_is_in_the_way)
{
    for (unsigned i = 0; i < 8; i++) {
        struct rig_setup setup = rig_setup_of(RIG_4K_40);

        setup.cpu.has_cnp = (i & 1) != 0;
        setup.cpu.errata = (i & 2) != 0 ? S2_ERRATUM_COMMON : ~(unsigned)S2_ERRATUM_COMMON;
        setup.config.common = (i & 4) != 0 ? S2_COMMON_PROMISED : S2_COMMON_NO;
        rig_init_machine(&rig, setup);
        ck_assert_int_eq(s2_table_init(&rig.table, &rig.setup.config, &rig.pool), MAPPING_OK);
        ck_assert((s2_table_vttbr(&rig.table) & 1) == (i == 5 ? 1 : 0));
        ck_assert_int_eq(s2_table_fini(&rig.table), MAPPING_OK);
        rig_fini_machine(&rig);
    }
}

/* Frames larger than a table; frames the walker cannot be sent to; frames EL2 cannot write. */
TEST(init_with_a_pool_that_cannot_serve_is_refused)
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);
    struct rig_shape shape = *RIG_4K_40;
    struct s2_table table;

    setup.frame_shift = 16;
    init_is_refused(setup, MAPPING_INVALID_PARAM, false);
    shape.frames = UINT64_C(1) << 40;
    setup = rig_setup_of(&shape);
    init_is_refused(setup, MAPPING_INVALID_PARAM, false);
    rig_init_machine(&rig, rig_setup_of(RIG_4K_40));
    sim_memory_add_remote(&rig.memory, pa_of(GIB(1)), 4);
    sim_memory_pool(&rig.memory, &rig.pool);
    ck_assert_int_eq(s2_table_init(&table, &rig.setup.config, &rig.pool), MAPPING_INVALID_PARAM);
    ck_assert_uint_eq(frame_pool_available(&rig.pool), 68);
    sim_memory_fini(&rig.memory);
}

/* One frame short of the root; then the root and nothing else. */
TEST_EACH(init_without_room_for_the_root_takes_nothing, rig_shape_count)
{
    struct rig_setup setup = rig_setup_of(&rig_shapes[_i]);

    setup.frame_count = (size_t)(setup.shape->root_size >> setup.frame_shift) - 1;
    if (setup.frame_count > 0) {
        init_is_refused(setup, MAPPING_NO_FRAME, false);
    }
    setup.frame_count += 1;
    rig_init(&rig, setup);
    rig_refused(&rig, (struct rig_step){RIG_MAP, 0, rig_page(setup.shape), RIG_DATA, RIG_RW},
                MAPPING_NO_FRAME);
    rig_fini(&rig);
}

/* --- Registers ------------------------------------------------------------------------------- */

/* Written by hand from the register's layout: RES1, VS, PS, TG0, SH0 inner, write-back walks, SL0,
 * T0SZ; DS for LPA2. */
static const uint64_t vtcrs[] = {
    UINT64_C(0x00000000800a3558), UINT64_C(0x00000000800d3590), UINT64_C(0x00000000800db590),
    UINT64_C(0x00000000800d7590), UINT64_C(0x00000001800e358c), UINT64_C(0x00000001800eb5cc),
    UINT64_C(0x00000000800e758c),
};

TEST_EACH(registers_are_what_the_manual_asks, COUNT(vtcrs))
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t low = shape->frames & UINT64_C(0xffffffffffff);
    const uint64_t high = shape->frames >> 48;

    start(shape);
    ck_assert_uint_eq(s2_table_vtcr(&rig.table), vtcrs[_i]);
    ck_assert_uint_eq(s2_table_vttbr(&rig.table), UINT64_C(0x002a000000000000) | low | high << 2);
    ck_assert_uint_eq(s2_table_hcr(&rig.table), UINT64_C(0x0000400000000001));
    s2_table_set_vmid(&rig.table, 0xfffe);
    rig_judge(&rig, &rig.table);
    ck_assert_uint_eq(s2_table_vttbr(&rig.table) >> 48, 0xfffe);
    rig_fini(&rig);
}

/* --- Lookup ---------------------------------------------------------------------------------- */

TEST_EACH(lookup_beyond_the_input_size_is_refused, rig_shape_count)
{
    const uint64_t top = UINT64_C(1) << rig_shapes[_i].ipa_bits;
    struct s2_leaf leaf = {.level = 99};
    pa_t pa = pa_of(7);

    start(&rig_shapes[_i]);
    map(top - rig_page(&rig_shapes[_i]), rig_page(&rig_shapes[_i]), RIG_DATA, RIG_RW);
    ck_assert_int_eq(s2_table_lookup(&rig.table, ipa_of(top), &leaf), MAPPING_INVALID_PARAM);
    ck_assert_int_eq(s2_table_lookup(&rig.table, ipa_of(UINT64_MAX), &leaf), MAPPING_INVALID_PARAM);
    ck_assert_int_eq(leaf.level, 99);
    ck_assert(!s2_table_translate(&rig.table, ipa_of(top), &pa));
    ck_assert_uint_eq(pa.raw, 7);
    ck_assert_int_eq(s2_table_lookup(&rig.table, ipa_of(top - 1), &leaf), MAPPING_OK);
    rig_fini(&rig);
}

/* --- Check ----------------------------------------------------------------------------------- */

/* The scene of every corruption: a block, and two pages in a table of their own. */
static uint64_t page, block;

static void check_start(const struct rig_shape *shape)
{
    page = rig_page(shape);
    block = rig_block(shape);
    start(shape);
    map(block, block, RIG_DATA, RIG_RW);
    map(2 * block + 3 * page, 2 * page, RIG_DATA + block, RIG_RW);
    ck_assert(s2_table_check(&rig.table));
}

static s2_desc_t *page_slot(void)
{
    return rig_slot(&rig, &rig.table, 2 * block + 3 * page);
}

static s2_desc_t *block_slot(void)
{
    return rig_slot(&rig, &rig.table, block);
}

static s2_desc_t *table_slot(void)
{
    return rig_slot_at(&rig, &rig.table, 2 * block + 3 * page, 2);
}

/* With @value in @slot the table is unsound; without, it is what it was. */
static void finds(s2_desc_t *slot, uint64_t value, const char *what)
{
    const bool was_sound = s2_table_check(&rig.table);
    const uint64_t before = slot->raw;

    slot->raw = value;
    ck_assert_msg(!s2_table_check(&rig.table), "%s: %s: 0x%llx instead of 0x%llx is not found",
                  rig.setup.shape->name, what, (unsigned long long)value,
                  (unsigned long long)before);
    slot->raw = before;
    ck_assert(s2_table_check(&rig.table) == was_sound);
}

/* The count of the table that @slot lies in. */
static uint32_t *count_at(const s2_desc_t *slot)
{
    pa_t pa;

    ck_assert(sim_memory_pa(&rig.memory, slot, &pa));
    return frame_pool_count(&rig.pool, pa_align_down(pa, page));
}

TEST_EACH(check_finds_a_count_that_is_off_by_one, rig_shape_count)
{
    uint32_t *counts[3];

    check_start(&rig_shapes[_i]);
    counts[0] = count_at(page_slot());
    counts[1] = count_at(table_slot());
    counts[2] = frame_pool_count(&rig.pool, pa_of(rig.setup.shape->frames)); /* the root's */
    ck_assert_uint_eq(*counts[0], 2);
    ck_assert_uint_eq(*counts[1], 2);
    ck_assert_uint_eq(*counts[2], 1);
    for (size_t i = 0; i < COUNT(counts); i++) {
        *counts[i] += 1;
        ck_assert(!s2_table_check(&rig.table));
        *counts[i] -= 2;
        ck_assert(!s2_table_check(&rig.table));
        *counts[i] += 1;
        ck_assert(s2_table_check(&rig.table));
    }
    rig_fini(&rig);
}

TEST_EACH(check_finds_a_number_of_tables_that_is_off_by_one, rig_shape_count)
{
    check_start(&rig_shapes[_i]);
    rig.table.table_count++;
    ck_assert(!s2_table_check(&rig.table));
    rig.table.table_count -= 2;
    ck_assert(!s2_table_check(&rig.table));
    rig.table.table_count++;
    rig_fini(&rig);
}

enum slot { PAGE, BLOCK, TABLE };

#define VALID UINT64_C(1)
#define MARKER (UINT64_C(1) << 63) /* of what is broken */
#define MEMATTR UINT64_C(0x3c)
#define SH UINT64_C(0x300)
#define BIT_OF(n) (UINT64_C(1) << (n))
#define NO_LPA2 0x4f /* shapes whose leaves have a shareability */

/* What no table of this library has: some bits cleared, others set. */
static const struct {
    const char *what;
    enum slot slot;
    unsigned shapes; /* bit i: rig_shapes[i] */
    uint64_t cleared, set;
} wrong[] = {{"a block whose output is not aligned", BLOCK, 0x7f, 0, BIT_OF(16)},
             {"a broken page", PAGE, 0x7f, VALID, MARKER},
             {"a broken block", BLOCK, 0x7f, VALID, MARKER},
             {"a broken table", TABLE, 0x7f, VALID, MARKER},
             {"a page that is invalid, without the marker", PAGE, 0x7f, VALID, 0},
             {"an empty entry that is counted", PAGE, 0x7f, UINT64_MAX, 0},
             {"a page beyond an output of 40 bits", PAGE, 0x1, 0, BIT_OF(40)},
             {"a block beyond an output of 40 bits", BLOCK, 0x1, 0, BIT_OF(40)},
             {"a reserved address bit", PAGE, 0xe, 0, BIT_OF(48)},
             {"another reserved address bit", PAGE, 0xe, 0, BIT_OF(50)},
             {"a block where a page should be", PAGE, 0x7f, BIT_OF(1), 0},
             {"a table at address 0", TABLE, 0x7f, UINT64_MAX, 3},
             {"a table in memory of nobody", TABLE, 0x7f, UINT64_MAX, RIG_DATA | 3},
             {"a reserved memory type", PAGE, 0x7f, MEMATTR, 4 << 2},
             {"another reserved memory type", PAGE, 0x7f, MEMATTR, 8 << 2},
             {"a memory type of other CPUs", PAGE, 0x7f, MEMATTR, 15 << 2},
             {"DBM, which nobody updates", PAGE, 0x7f, 0, BIT_OF(51)},
             {"a reserved shareability", PAGE, NO_LPA2, SH, BIT_OF(8)}};

TEST_EACH(check_finds_what_is_wrong_with_a_descriptor, rig_shape_count)
{
    check_start(&rig_shapes[_i]);
    for (size_t i = 0; i < COUNT(wrong); i++) {
        s2_desc_t *const slots[] = {page_slot(), block_slot(), table_slot()};
        s2_desc_t *slot = slots[wrong[i].slot];

        if ((wrong[i].shapes >> _i & 1) != 0) {
            finds(slot, (slot->raw & ~wrong[i].cleared) | wrong[i].set, wrong[i].what);
        }
    }
    finds(block_slot(), block_slot()->raw + (block >> 1), "a block at half its size");
    finds(page_slot() + 4, page_slot()->raw, "an entry that nobody counted");
    /* A frame behind all that are taken: free, though its bytes are those of a good table. */
    memcpy((unsigned char *)page_slot() - 3 * sizeof(s2_desc_t) + 16 * page,
           (unsigned char *)page_slot() - 3 * sizeof(s2_desc_t), (size_t)page);
    finds(table_slot(), table_slot()->raw + 16 * page, "a table in a free frame");
    rig_fini(&rig);
}

/* Bits that nobody writes: reserved, PBHA, the marker beside a valid bit; nT; in a
 * table descriptor anything but the address. */
TEST_EACH(check_finds_a_stray_bit, rig_shape_count)
{
    static const unsigned leaf_bits[] = {11, 59, 60, 61, 62, 63};
    static const unsigned table_bits[] = {2, 6, 10, 11, 52, 54, 55, 59, 60, 61, 62, 63};

    check_start(&rig_shapes[_i]);
    for (size_t i = 0; i < COUNT(leaf_bits); i++) {
        finds(page_slot(), page_slot()->raw | BIT_OF(leaf_bits[i]), "a stray bit of a page");
        finds(block_slot(), block_slot()->raw | BIT_OF(leaf_bits[i]), "a stray bit of a block");
    }
    for (size_t i = 0; i < COUNT(table_bits); i++) {
        finds(table_slot(), table_slot()->raw | BIT_OF(table_bits[i]), "a stray bit of a table");
    }
    rig_fini(&rig);
}

/* The last two pages go by hand, counts and all: an empty table is left. */
TEST_EACH(check_finds_an_empty_table, rig_shape_count)
{
    s2_desc_t pages[2];
    s2_desc_t *slot;

    check_start(&rig_shapes[_i]);
    slot = page_slot();
    memcpy(pages, slot, sizeof(pages));
    memset(slot, 0, sizeof(pages));
    *count_at(slot) = 0;
    ck_assert(!s2_table_check(&rig.table));
    memcpy(slot, pages, sizeof(pages));
    *count_at(slot) = 2;
    rig_fini(&rig);
}

/* A block nearer to the root than any may be: counted, with good attributes, at PA 0, so nothing
 * else is wrong with it. */
TEST_EACH(check_finds_a_leaf_at_an_illegal_level, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    uint32_t *count;
    s2_desc_t *slot;

    check_start(shape);
    if (shape->top_leaf > shape->start_level) {
        count = frame_pool_count(&rig.pool, pa_of(shape->frames));
        slot = rig_slot_at(&rig, &rig.table, block, shape->start_level) + 1;
        *count += 1;
        finds(slot, block_slot()->raw & ~UINT64_C(0x0000fffffffff000), "a leaf too near the root");
        *count -= 1;
    }
    rig_fini(&rig);
}

TEST_EACH(check_finds_an_xn_that_the_cpu_lacks, rig_shape_count)
{
    struct rig_setup setup = rig_setup_of(&rig_shapes[_i]);

    setup.cpu.has_xnx = false;
    page = rig_page(setup.shape);
    block = rig_block(setup.shape);
    rig_init(&rig, setup);
    map(2 * block + 3 * page, 2 * page, RIG_DATA, RIG_RWX);
    finds(page_slot(), page_slot()->raw | BIT_OF(53), "XN for EL1 alone");
    rig_fini(&rig);
}

TEST_EACH(check_finds_an_open_operation, rig_shape_count)
{
    check_start(&rig_shapes[_i]);
    s2_table_begin(&rig.table);
    ck_assert(!s2_table_check(&rig.table));
    s2_table_end(&rig.table);
    ck_assert(s2_table_check(&rig.table));
    rig_fini(&rig);
}

/* --- Contract deaths ------------------------------------------------------------------------- */

TEST_DIES(set_vmid_beyond_the_cpus_bits_is_death)
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);

    setup.cpu.vmid_bits = 8;
    rig_init(&rig, setup);
    s2_table_set_vmid(&rig.table, 0xff);
    s2_table_set_vmid(&rig.table, 0x100);
}

TEST_DIES(end_without_begin_is_death)
{
    start(RIG_4K_40);
    s2_table_end(&rig.table);
}

TEST_DIES(fini_inside_an_operation_is_death)
{
    start(RIG_4K_40);
    s2_table_begin(&rig.table);
    ck_assert_int_eq(s2_table_fini(&rig.table), MAPPING_OK);
}

TEST_DIES(do_map_over_a_mapping_is_death)
{
    start(RIG_4K_40);
    map(MIB(2), MIB(2), RIG_DATA, RIG_RW);
    s2_table_begin(&rig.table);
    do_map(&rig.table, ipa_range(MIB(2) + KIB(4), KIB(4)), pa_of(RIG_DATA), RIG_RW);
}
