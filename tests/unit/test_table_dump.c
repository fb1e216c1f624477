/*
 * test_table_dump.c - s2_table_dump(): the text, to the letter.
 */
#include "tests/unit/table_runs.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>

#define SUITE "table_dump"

static struct rig rig;

/* --- Listening ------------------------------------------------------------------------------- */

struct page_of_text {
    char text[16384];
    size_t length;
    size_t lines;
};

static void take_line(void *arg, const char *line)
{
    struct page_of_text *page = arg;
    const size_t length = strlen(line);

    ck_assert_uint_lt(page->length + length + 1, sizeof(page->text));
    memcpy(page->text + page->length, line, length);
    page->length += length;
    page->text[page->length++] = '\n';
    page->text[page->length] = '\0';
    page->lines++;
}

static struct page_of_text heard;

/* Dump [@ipa, @ipa + @size); the lines, each with a newline. Nothing is changed by it. */
static const char *dump(uint64_t ipa, uint64_t size)
{
    const size_t events = sim_change_count();

    heard = (struct page_of_text){.length = 0};
    ck_assert_int_eq(s2_table_dump(&rig.table, ipa_range(ipa, size), take_line, &heard),
                     MAPPING_OK);
    ck_assert_uint_eq(sim_change_count(), events);
    return heard.text;
}

static const char *dump_all(void)
{
    return dump(0, UINT64_C(1) << rig.setup.config.ipa_bits);
}

static void map(uint64_t ipa, uint64_t size, uint64_t pa, mapping_flags_t flags)
{
    rig_must(&rig, (struct rig_step){RIG_MAP, ipa, size, pa, flags});
}

static void start(int shape, enum s2_contiguous contiguous)
{
    struct rig_setup setup = rig_setup_of(&rig_shapes[shape]);

    setup.config.contiguous = contiguous;
    rig_init(&rig, setup);
}

/* --- Stretches ------------------------------------------------------------------------------- */

TEST_EACH(dump_of_an_empty_table_says_nothing, rig_shape_count)
{
    struct rig_snapshot before;

    start(_i, S2_CONTIGUOUS_ON);
    rig_poison_free(&rig);
    rig_snapshot_take(&before, &rig);
    ck_assert_str_eq(dump_all(), "");
    ck_assert_uint_eq(heard.lines, 0);
    rig_snapshot_assert_same(&before, &rig);
    rig_snapshot_free(&before);
    rig_fini(&rig);
}

/* What is mapped, and what all of it is told in. */
static const struct {
    const char *name;
    struct {
        int shape;
        enum s2_contiguous contiguous;
        struct rig_map maps[5];
    } as;
    const char *text;
} told[] = {
    {"32 runs of 16 blocks are one line, as in the header's comment",
     {0, S2_CONTIGUOUS_ON, {{0x40000000, GIB(1), 0x140000000, RIG_RWX | S2_CAP_LEVEL2}}},
     "0x0000000040000000 0x000000007fffffff 0x0000000140000000 L2 512x2M rwxu normal contiguous\n"},
    {"4K: pages and 1 GiB",
     {1, S2_CONTIGUOUS_OFF, {{0x3fffe000, 0x40003000, 0x103fffe000, RIG_RW}}},
     "0x000000003fffe000 0x000000003fffffff 0x000000103fffe000 L3 2x4K rw-- normal\n"
     "0x0000000040000000 0x000000007fffffff 0x0000001040000000 L1 1x1G rw-- normal\n"
     "0x0000000080000000 0x0000000080000fff 0x0000001080000000 L3 1x4K rw-- normal\n"},
    {"16K: pages and 32 MiB",
     {2, S2_CONTIGUOUS_OFF, {{0x1ffc000, 0x4008000, 0x1001ffc000, RIG_RW}}},
     "0x0000000001ffc000 0x0000000001ffffff 0x0000001001ffc000 L3 1x16K rw-- normal\n"
     "0x0000000002000000 0x0000000005ffffff 0x0000001002000000 L2 2x32M rw-- normal\n"
     "0x0000000006000000 0x0000000006003fff 0x0000001006000000 L3 1x16K rw-- normal\n"},
    {"64K: a page and 512 MiB",
     {3, S2_CONTIGUOUS_OFF, {{0x1fff0000, 0x20010000, 0x101fff0000, RIG_RW}}},
     "0x000000001fff0000 0x000000001fffffff 0x000000101fff0000 L3 1x64K rw-- normal\n"
     "0x0000000020000000 0x000000003fffffff 0x0000001020000000 L2 1x512M rw-- normal\n"},
    {"4K with LPA2: 512 GiB",
     {4, S2_CONTIGUOUS_OFF, {{0x8000000000, 0x18040000000, 0x8000000000000, RIG_RW}}},
     "0x0000008000000000 0x000001ffffffffff 0x0008000000000000 L0 3x512G rw-- normal\n"
     "0x0000020000000000 0x000002003fffffff 0x0008018000000000 L1 1x1G rw-- normal\n"},
    {"16K with LPA2: 64 GiB",
     {5, S2_CONTIGUOUS_OFF, {{0x1000000000, 0x2002000000, 0x8000000000000, RIG_RW}}},
     "0x0000001000000000 0x0000002fffffffff 0x0008000000000000 L1 2x64G rw-- normal\n"
     "0x0000003000000000 0x0000003001ffffff 0x0008002000000000 L2 1x32M rw-- normal\n"},
    {"64K with LPA: 4 TiB",
     {6, S2_CONTIGUOUS_OFF, {{0x40000000000, 0x40020000000, 0x8000000000000, RIG_RW}}},
     "0x0000040000000000 0x000007ffffffffff 0x0008000000000000 L1 1x4T rw-- normal\n"
     "0x0000080000000000 0x000008001fffffff 0x0008040000000000 L2 1x512M rw-- normal\n"},
    {"pages are merged over the border of two tables, of two above those, and of two roots",
     {0,
      S2_CONTIGUOUS_OFF,
      {{0x1ff000, KIB(8), 0x10001ff000, RIG_RW},
       {0x3ffff000, KIB(8), 0x103ffff000, RIG_RW},
       {0x7ffffff000, KIB(8), 0x107ffff000, RIG_RW}}},
     "0x00000000001ff000 0x0000000000200fff 0x00000010001ff000 L3 2x4K rw-- normal\n"
     "0x000000003ffff000 0x0000000040000fff 0x000000103ffff000 L3 2x4K rw-- normal\n"
     "0x0000007ffffff000 0x0000008000000fff 0x000000107ffff000 L3 2x4K rw-- normal\n"},
    {"pages are merged where the bits change that a 52-bit descriptor keeps elsewhere",
     {4, S2_CONTIGUOUS_OFF, {{0x1fe000, KIB(16), 0x3ffffffffe000, RIG_RW}}},
     "0x00000000001fe000 0x0000000000201fff 0x0003ffffffffe000 L3 4x4K rw-- normal\n"},
    {"a hole, another output, level, attribute or hint begins a line, and so does another input",
     {0,
      S2_CONTIGUOUS_ON,
      {{0x1f0000, MIB(2) + KIB(128), 0x10001f0000, RIG_RW},
       {0x411000, KIB(4), 0x1000411000, RIG_RW},
       {0x412000, KIB(4), 0x1000411000, RIG_RW},
       {0x413000, KIB(4), 0x1000412000, S2_READ},
       {0x415000, KIB(4), 0x1000413000, S2_READ}}},
     "0x00000000001f0000 0x00000000001fffff 0x00000010001f0000 L3 16x4K rw-- normal contiguous\n"
     "0x0000000000200000 0x00000000003fffff 0x0000001000200000 L2 1x2M rw-- normal\n"
     "0x0000000000400000 0x000000000040ffff 0x0000001000400000 L3 16x4K rw-- normal contiguous\n"
     "0x0000000000411000 0x0000000000411fff 0x0000001000411000 L3 1x4K rw-- normal\n"
     "0x0000000000412000 0x0000000000412fff 0x0000001000411000 L3 1x4K rw-- normal\n"
     "0x0000000000413000 0x0000000000413fff 0x0000001000412000 L3 1x4K r--- normal\n"
     "0x0000000000415000 0x0000000000415fff 0x0000001000413000 L3 1x4K r--- normal\n"}};

TEST_EACH(dump_tells_what_is_mapped, COUNT(told))
{
    start(told[_i].as.shape, told[_i].as.contiguous);
    for (size_t i = 0; i < COUNT(told[_i].as.maps) && told[_i].as.maps[i].size > 0; i++) {
        const struct rig_map *one = &told[_i].as.maps[i];

        map(one->ipa, one->size, one->pa, one->flags);
    }
    ck_assert_msg(strcmp(dump_all(), told[_i].text) == 0, "%s:\n%s", told[_i].name, heard.text);
    rig_fini(&rig);
}

/* Under level -1 the levels have the same names. */
TEST(dump_of_five_levels_counts_from_the_pages)
{
    struct rig_setup setup = rig_setup_of(&rig_shapes[4]);
    struct rig_shape shape = rig_shapes[4];

    setup.config.root = S2_ROOT_SMALL;
    shape.start_level = -1;
    shape.root_size = KIB(4);
    setup.shape = &shape;
    rig_init(&rig, setup);
    ck_assert_int_eq(s2_table_geometry(&rig.table)->start_level, -1);
    map(0x1000000000000, 0x8000201000, 0x8000000000000, RIG_RW);
    ck_assert_str_eq(
        dump_all(),
        "0x0001000000000000 0x0001007fffffffff 0x0008000000000000 L0 1x512G rw-- normal\n"
        "0x0001008000000000 0x00010080001fffff 0x0008008000000000 L2 1x2M rw-- normal\n"
        "0x0001008000200000 0x0001008000200fff 0x0008008000200000 L3 1x4K rw-- normal\n");
    rig_fini(&rig);
}

/* Only what the range touches, but leaves whole. */
TEST(dump_of_a_part_tells_leaves_whole)
{
    start(0, S2_CONTIGUOUS_OFF);
    map(0x200000, MIB(6), 0x1000200000, RIG_RW);
    map(0x800000, KIB(16), 0x1000800000, RIG_RW);
    ck_assert_str_eq(
        dump(0x3ff000, KIB(8)),
        "0x0000000000200000 0x00000000005fffff 0x0000001000200000 L2 2x2M rw-- normal\n");
    ck_assert_str_eq(
        dump(0x7ff000, KIB(8)),
        "0x0000000000600000 0x00000000007fffff 0x0000001000600000 L2 1x2M rw-- normal\n"
        "0x0000000000800000 0x0000000000800fff 0x0000001000800000 L3 1x4K rw-- normal\n");
    ck_assert_str_eq(
        dump(0x801000, KIB(8)),
        "0x0000000000801000 0x0000000000802fff 0x0000001000801000 L3 2x4K rw-- normal\n");
    ck_assert_str_eq(dump(0x804000, GIB(1)), "");
    ck_assert_str_eq(dump(0, MIB(2)), "");
    rig_fini(&rig);
}

/* --- Words ----------------------------------------------------------------------------------- */

static const struct {
    mapping_flags_t flags;
    const char *words;
} plain_words[] = {
    {0, "---- normal"},
    {S2_READ, "r--- normal"},
    {S2_WRITE, "-w-- normal"},
    {S2_EXEC_EL1, "--x- normal"},
    {S2_EXEC_EL0, "---u normal"},
    {RIG_RWX, "rwxu normal"},
    {RIG_RW | S2_NORMAL_NC, "rw-- nc"},
    {RIG_RW | S2_DEVICE_nGnRnE, "rw-- nGnRnE"},
    {RIG_RW | S2_DEVICE_nGnRE, "rw-- nGnRE"},
    {RIG_RW | S2_DEVICE_nGRE, "rw-- nGRE"},
    {RIG_RW | S2_DEVICE_GRE, "rw-- GRE"},
    {RIG_RW | S2_NORMAL_STAGE1, "rw-- stage1"},
    {RIG_RW | S2_SH_OUTER, "rw-- normal outer"},
    {RIG_RW | S2_SH_NONE, "rw-- normal nonshareable"},
    {RIG_RW | S2_NO_AF, "rw-- normal noaf"},
    {S2_READ | S2_DBM, "r--- normal dbm"},
    {RIG_RW | S2_SOFT0, "rw-- normal soft0"},
    {RIG_RW | S2_SOFT1, "rw-- normal soft1"},
    {RIG_RW | S2_SOFT2 | S2_SOFT3, "rw-- normal soft2 soft3"},
    {RIG_RW | S2_NORMAL_NC | S2_SH_NONE | S2_NO_AF | S2_DBM | S2_SOFT0 | S2_SOFT1,
     "rw-- nc nonshareable noaf dbm soft0 soft1"},
};

TEST_EACH(dump_has_a_word_for_each_attribute, COUNT(plain_words))
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);
    char expected[256];

    setup.config.hardware_update = S2_HARDWARE_UPDATE_DIRTY;
    rig_init(&rig, setup);
    map(0x5000, KIB(4), 0x1000005000, plain_words[_i].flags);
    snprintf(expected, sizeof(expected),
             "0x0000000000005000 0x0000000000005fff 0x0000001000005000 L3 1x4K %s\n",
             plain_words[_i].words);
    ck_assert_str_eq(dump_all(), expected);
    rig_fini(&rig);
}

TEST(dump_without_fwb_knows_write_through)
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);

    setup.config.force_write_back = S2_FWB_OFF;
    rig_init(&rig, setup);
    map(0x5000, KIB(4), 0x1000005000, S2_READ | S2_NORMAL_WT);
    map(0x6000, KIB(4), 0x1000006000, S2_READ);
    ck_assert_str_eq(
        dump_all(),
        "0x0000000000005000 0x0000000000005fff 0x0000001000005000 L3 1x4K r--- wt\n"
        "0x0000000000006000 0x0000000000006fff 0x0000001000006000 L3 1x4K r--- normal\n");
    rig_fini(&rig);
}

static void dump_at_the_flush(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    (void)arg;
    if (phase == SIM_BEFORE && event->kind == SIM_TLBI_VMALLE1IS) {
        (void)dump_all();
    }
}

/* In the middle of a retype, and with every word there is. */
TEST(dump_between_break_and_make_says_broken)
{
    const mapping_flags_t flags =
        S2_READ | S2_SH_NONE | S2_NO_AF | S2_DBM | S2_SOFT0 | S2_SOFT1 | S2_DEVICE_nGnRnE;
    struct rig_setup setup = runs_setup_of(RIG_4K_48);

    setup.config.hardware_update = S2_HARDWARE_UPDATE_DIRTY;
    rig_init(&rig, setup);
    map(0x7ffffff00000, KIB(64), 0x1000000000, flags);
    ck_assert(sim_listen(dump_at_the_flush, NULL));
    rig_must(&rig, (struct rig_step){RIG_PROTECT, 0x7ffffff00000, KIB(64), 0, RIG_RW});
    ck_assert(sim_unlisten(dump_at_the_flush, NULL));
    ck_assert_str_eq(heard.text, "0x00007ffffff00000 0x00007ffffff0ffff 0x0000001000000000 L3"
                                 " 16x4K r--- nGnRnE contiguous nonshareable noaf dbm soft0 soft1"
                                 " broken\n");
    ck_assert_str_eq(dump_all(), "0x00007ffffff00000 0x00007ffffff0ffff 0x0000001000000000 L3"
                                 " 16x4K rw-- normal contiguous\n");
    rig_fini(&rig);
}

TEST_EACH(dump_of_a_bad_range_is_refused_and_says_nothing, 6)
{
    static const struct ipa_range bad[] = {
        IPA_RANGE_INIT(TIB(1), KIB(4)), IPA_RANGE_INIT(0, TIB(1) + KIB(4)),
        IPA_RANGE_INIT(0, 0),           IPA_RANGE_INIT(KIB(2), KIB(4)),
        IPA_RANGE_INIT(0, KIB(2)),      IPA_RANGE_INIT(UINT64_MAX - 0xfff, KIB(8)),
    };

    start(0, S2_CONTIGUOUS_OFF);
    map(0, KIB(4), RIG_DATA, RIG_RW);
    heard = (struct page_of_text){.length = 0};
    ck_assert_int_eq(s2_table_dump(&rig.table, bad[_i], take_line, &heard), MAPPING_INVALID_PARAM);
    ck_assert_uint_eq(heard.lines, 0);
    rig_fini(&rig);
}
