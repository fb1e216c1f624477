/*
 * test_desc_format.c - descriptors as bit patterns: addresses of every format, tables, broken
 * entries, what is legal and what is not.
 */
#include "stage2/arch/desc.h"
#include "tests/model/random.h"
#include "tests/unit/desc_fixture.h"
#include "tests/unit/test.h"

#include <stddef.h>

#define SUITE "desc_format"

#define K4 S2_GRANULE_4K
#define K16 S2_GRANULE_16K
#define K64 S2_GRANULE_64K
#define RWX (S2_READ | S2_WRITE | S2_EXEC)

/* The six layouts of an address. */
static const struct layout {
    enum s2_granule granule;
    unsigned pa_bits;
    uint64_t bits;     /* of a descriptor that hold the address */
    uint64_t bank;     /* bytes from one change of the high bits to the next; 0: never */
    uint64_t pa, desc; /* one address, and how it lies */
} layouts[] = {
    {K4, 48, 0x0000fffffffff000, 0, 0x0000a5a5a5a5a000, 0x0000a5a5a5a5a000},
    {K16, 48, 0x0000ffffffffc000, 0, 0x0000a5a5a5a58000, 0x0000a5a5a5a58000},
    {K64, 48, 0x0000ffffffff0000, 0, 0x0000a5a5a5a50000, 0x0000a5a5a5a50000},
    {K4, 52, 0x0003fffffffff300, 0x4000000000000, 0x0006a5a5a5a5a000, 0x0002a5a5a5a5a100},
    {K16, 52, 0x0003ffffffffc300, 0x4000000000000, 0x0009a5a5a5a58000, 0x0001a5a5a5a58200},
    {K64, 52, 0x0000fffffffff000, 0x1000000000000, 0x0006a5a5a5a50000, 0x0000a5a5a5a56000},
};

static struct desc_setup layout_setup(const struct layout *layout)
{
    return desc_setup_of(layout->granule, layout->pa_bits, false, true, S2_HARDWARE_UPDATE_NONE);
}

/* --- Addresses -------------------------------------------------------------------------------- */

static void check_address(const struct layout *layout, const struct desc_setup *setup, uint64_t pa)
{
    const uint64_t encoded = s2_address_encode(&setup->format, pa_of(pa));
    const s2_desc_t full = {encoded | ~layout->bits};

    if ((encoded & ~layout->bits) != 0 ||
        s2_desc_address(&setup->format, (s2_desc_t){encoded}).raw != pa ||
        s2_desc_address(&setup->format, full).raw != pa) {
        ck_abort_msg("PA %llx encodes as %llx", (unsigned long long)pa,
                     (unsigned long long)encoded);
    }
}

TEST_EACH(encode_address_of_any_bits_decodes_again, COUNT(layouts))
{
    const struct layout *layout = &layouts[_i];
    const struct desc_setup setup = layout_setup(layout);
    const uint64_t legal = (UINT64_C(1) << layout->pa_bits) - (UINT64_C(1) << layout->granule);
    struct random random = {.state = 21};

    for (unsigned bit = 0; bit < 64; bit++) {
        check_address(layout, &setup, UINT64_C(1) << bit & legal);
        check_address(layout, &setup, ~(UINT64_C(1) << bit) & legal);
    }
    for (int i = 0; i < 20000; i++) {
        check_address(layout, &setup, random_next(&random) & legal);
    }
    ck_assert_uint_eq(s2_address_encode(&setup.format, pa_of(legal)), layout->bits);
    ck_assert_uint_eq(s2_address_encode(&setup.format, pa_of(layout->pa)), layout->desc);
    ck_assert_uint_eq(s2_desc_address(&setup.format, (s2_desc_t){layout->desc}).raw, layout->pa);
}

/* A table descriptor in the root and a leaf in that table, at addresses of all kinds: hardware
 * finds both. The leaf is a page, or a 2M block with 4K, whose root is a level higher. */
TEST_EACH(encode_table_leads_hardware_to_its_leaf, COUNT(layouts))
{
    const struct layout *layout = &layouts[_i];
    const struct desc_setup setup = layout_setup(layout);
    const uint64_t top = UINT64_C(1) << layout->pa_bits;
    const int level = layout->granule == K4 ? 2 : 3;
    const uint64_t size = layout->granule == K4 ? 0x200000 : UINT64_C(1) << layout->granule;
    const s2_desc_t attr = desc_attr_of(&setup, RWX);
    struct random random = {.state = 22};

    for (int i = 0; i < 2000; i++) {
        /* Clear of the root, which stands at 1 GiB. */
        const uint64_t table = (random_below(&random, top) | UINT64_C(1) << 46) & ~(size - 1);
        const uint64_t pa = random_below(&random, top) & ~(size - 1);
        const s2_desc_t link = s2_desc_table(&setup.format, pa_of(table));
        const s2_desc_t leaf = s2_desc_leaf(&setup.format, level, pa_of(pa), attr);
        const struct mmu_result result =
            desc_walk(&setup, link.raw, table, leaf.raw, 0x12345678, MMU_WRITE);

        ck_assert_int_eq(result.status, MMU_OK);
        ck_assert_int_eq(result.level, level);
        ck_assert_uint_eq(result.pa, pa + (0x12345678 & (size - 1)));
        ck_assert_uint_eq(result.res0, 0);
    }
}

TEST_EACH(room_ends_where_the_high_bits_change, COUNT(layouts))
{
    const struct layout *layout = &layouts[_i];
    const struct desc_setup setup = layout_setup(layout);
    const uint64_t granule = UINT64_C(1) << layout->granule;
    const s2_desc_t attr = desc_attr_of(&setup, RWX);

    if (layout->bank == 0) {
        ck_assert_uint_eq(s2_address_room(&setup.format, pa_of(0)), UINT64_MAX);
        ck_assert_uint_eq(s2_address_room(&setup.format, pa_of(0xfffffff00000)), UINT64_MAX);
        return;
    }
    for (uint64_t start = 0; start < 4 * layout->bank; start += layout->bank) {
        const uint64_t last = start + layout->bank - granule;
        const s2_desc_t before = s2_desc_leaf(&setup.format, 3, pa_of(last - granule), attr);
        const s2_desc_t leaf = s2_desc_leaf(&setup.format, 3, pa_of(last), attr);

        ck_assert_uint_eq(s2_address_room(&setup.format, pa_of(start)), layout->bank);
        ck_assert_uint_eq(s2_address_room(&setup.format, pa_of(start + 3 * granule)),
                          layout->bank - 3 * granule);
        ck_assert_uint_eq(s2_address_room(&setup.format, pa_of(last)), granule);
        /* Up to there the next leaf is a sum, and beyond it is not. */
        ck_assert(s2_desc_eq(s2_desc_next(before, granule), leaf));
        if (last + granule < UINT64_C(1) << layout->pa_bits) {
            ck_assert(!s2_desc_eq(s2_desc_next(leaf, granule),
                                  s2_desc_leaf(&setup.format, 3, pa_of(last + granule), attr)));
        }
    }
}

/* --- Tables ----------------------------------------------------------------------------------- */

TEST(encode_table_is_its_address_and_nothing_else)
{
    static const struct {
        size_t layout;
        uint64_t pa, desc;
    } cases[] = {
        {0, 0x40001000, 0x40001003},
        {1, 0x40004000, 0x40004003},
        {2, 0x40010000, 0x40010003},
        {3, 0xc000040001000, 0x40001303},
        {3, 0x7000040001000, 0x0003000040001103},
        {4, 0x8000040004000, 0x40004203},
        {5, 0x5000040010000, 0x40015003},
        {5, 0x40010000, 0x40010003},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct desc_setup setup = layout_setup(&layouts[cases[i].layout]);
        const s2_desc_t table = s2_desc_table(&setup.format, pa_of(cases[i].pa));

        ck_assert_uint_eq(table.raw, cases[i].desc);
        ck_assert_uint_eq(s2_desc_address(&setup.format, table).raw, cases[i].pa);
        for (int level = -1; level < 3; level++) {
            ck_assert(s2_desc_is_table(table, level) && !s2_desc_is_leaf(table, level));
            ck_assert(s2_desc_is_legal(&setup.format, table, level));
        }
        ck_assert(!s2_desc_is_table(table, 3));
    }
}

/* --- States ----------------------------------------------------------------------------------- */

TEST(state_follows_type_and_level)
{
    static const struct {
        uint64_t raw;
        bool valid, none, broken;
        bool table, leaf;           /* above level 3 */
        bool page_table, page_leaf; /* at level 3 */
    } cases[] = {
        {0x0, false, true, false, false, false, false, false},
        {0x40000401, true, false, false, false, true, false, false},
        {0x40000403, true, false, false, true, false, false, true},
        {0x40000402, false, false, false, false, false, false, false},
        {0x8000000040000402, false, false, true, false, false, false, false},
        {0x8000000040000400, false, false, true, false, false, false, false},
        {0x8000000040000401, true, false, false, false, true, false, false},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        const s2_desc_t desc = {cases[i].raw};

        ck_assert(s2_desc_is_valid(desc) == cases[i].valid);
        ck_assert(s2_desc_is_none(desc) == cases[i].none);
        ck_assert(s2_desc_is_broken(desc) == cases[i].broken);
        for (int level = -1; level < 3; level++) {
            ck_assert(s2_desc_is_table(desc, level) == cases[i].table);
            ck_assert(s2_desc_is_leaf(desc, level) == cases[i].leaf);
        }
        ck_assert(s2_desc_is_table(desc, 3) == cases[i].page_table);
        ck_assert(s2_desc_is_leaf(desc, 3) == cases[i].page_leaf);
    }
    ck_assert(s2_desc_is_none(S2_DESC_NONE));
}

TEST(break_keeps_all_and_mend_undoes_it)
{
    static const struct {
        uint64_t valid, broken;
    } cases[] = {
        {0x00000000800007ff, 0x80000000800007fe}, /* page */
        {0x03480000802007fd, 0x83480000802007fc}, /* block with upper attributes */
        {0x0000000040001003, 0x8000000040001002}, /* table */
    };
    const struct desc_setup setup = layout_setup(&layouts[0]);

    for (size_t i = 0; i < COUNT(cases); i++) {
        const s2_desc_t valid = {cases[i].valid};
        const s2_desc_t broken = s2_desc_break(valid);

        ck_assert_uint_eq(broken.raw, cases[i].broken);
        ck_assert(s2_desc_eq(s2_desc_mend(broken), valid));
        ck_assert(s2_desc_eq(s2_desc_break(broken), broken));
        ck_assert(s2_desc_is_broken(broken) && !s2_desc_is_valid(broken));
        ck_assert(!s2_desc_is_none(broken) && !s2_desc_is_legal(&setup.format, broken, 2));
        ck_assert(!s2_desc_is_broken(valid));
        ck_assert_uint_eq(s2_attr_decode(&setup.format, broken),
                          s2_attr_decode(&setup.format, valid));
        ck_assert_uint_eq(s2_desc_address(&setup.format, broken).raw,
                          s2_desc_address(&setup.format, valid).raw);
        /* Hardware sees a hole. */
        ck_assert_int_eq(desc_walk(&setup, broken.raw, 0, 0, 0, MMU_READ).status, MMU_TRANSLATION);
    }
}

#define NONE S2_HARDWARE_UPDATE_NONE
#define AF S2_HARDWARE_UPDATE_AF
#define DIRTY S2_HARDWARE_UPDATE_DIRTY

/* --- Legality --------------------------------------------------------------------------------- */

/* A good descriptor, and the single bits that may flip without making it a bad one. Address bits
 * below a block's size are the table's to judge, so they are left out of blocks. */
static const struct corruption {
    const char *name;
    enum s2_granule granule;
    unsigned pa_bits;
    bool has_fwb, has_xnx;
    enum s2_hardware_update update;
    int level;
    uint64_t desc;
    uint64_t harmless;
    uint64_t not_judged;
} corruptions[] = {
    /* S2AP, SH inner to outer, AF, the address; contiguous, XN, software. */
    {"page", K4, 48, false, true, NONE, 3, 0x800007ff, 0x07f0fffffffff5c0, 0},
    {"page, no XNX", K4, 48, false, false, NONE, 3, 0x800007ff, 0x07d0fffffffff5c0, 0},
    {"page, hardware dirty", K4, 48, false, true, DIRTY, 3, 0x800007ff, 0x07f8fffffffff5c0, 0},
    {"page, hardware AF", K4, 48, false, true, AF, 3, 0x800007ff, 0x07f0fffffffff5c0, 0},
    /* FWB: 0110 to 0111 is another type; to 0010 a device, and that may not be executed. */
    {"page, FWB", K4, 48, true, true, NONE, 3, 0x800007db, 0x07f0fffffffff5c4, 0},
    {"page, FWB, nobody executes", K4, 48, true, true, NONE, 3, 0x00400000800007db,
     0x07f0fffffffff5d4, 0},
    /* Device: the types differ by their lower two bits, 0101 is Normal;
     * any execution would be denied. */
    {"device nGnRE", K4, 48, false, true, NONE, 3, 0x00400000090007c7, 0x0790fffffffff5dc, 0},
    {"16K page", K16, 48, false, true, NONE, 3, 0x800007ff, 0x07f0ffffffffc5c0, 0},
    {"64K page", K64, 48, false, true, NONE, 3, 0x800007ff, 0x07f0ffffffff05c0, 0},
    {"64K page, 52 bits", K64, 52, false, true, NONE, 3, 0x800007ff, 0x07f0fffffffff5c0, 0},
    {"4K page, LPA2", K4, 52, false, true, NONE, 3, 0x800007ff, 0x07f3fffffffff7c0, 0},
    {"16K page, LPA2", K16, 52, false, true, NONE, 3, 0x800007ff, 0x07f3ffffffffc7c0, 0},
    {"2M block", K4, 48, false, true, NONE, 2, 0x802007fd, 0x07f0ffffffe005c0, 0x1ff000},
    /* Tables: the address alone. One without bit 1 would be a block of nobody. */
    {"4K table", K4, 48, false, true, DIRTY, 1, 0x40001003, 0x0000fffffffff000, 0},
    {"16K table", K16, 48, false, true, DIRTY, 2, 0x40004003, 0x0000ffffffffc000, 0},
    {"64K table, 52 bits", K64, 52, false, true, DIRTY, 2, 0x40010003, 0x0000fffffffff000, 0},
    {"4K table, LPA2", K4, 52, false, true, DIRTY, 0, 0x40001003, 0x0003fffffffff300, 0},
};

TEST_EACH(legal_ends_with_one_wrong_bit, COUNT(corruptions))
{
    const struct corruption *c = &corruptions[_i];
    const struct desc_setup setup =
        desc_setup_of(c->granule, c->pa_bits, c->has_fwb, c->has_xnx, c->update);

    ck_assert(s2_desc_is_legal(&setup.format, (s2_desc_t){c->desc}, c->level));
    for (unsigned bit = 0; bit < 64; bit++) {
        const uint64_t flip = UINT64_C(1) << bit;

        if ((c->not_judged & flip) == 0) {
            ck_assert_msg(s2_desc_is_legal(&setup.format, (s2_desc_t){c->desc ^ flip}, c->level) ==
                              ((c->harmless & flip) != 0),
                          "%s, bit %u", c->name, bit);
        }
    }
}

TEST(legal_nothing_is_and_leftovers_are_not)
{
    const struct desc_setup setup = layout_setup(&layouts[0]);

    for (int level = -1; level <= 3; level++) {
        ck_assert(s2_desc_is_legal(&setup.format, S2_DESC_NONE, level));
        for (unsigned bit = 0; bit < 64; bit++) {
            /* An invalid entry that is not empty; bit 0 alone is a block that nobody may use. */
            ck_assert(bit == 0 ||
                      !s2_desc_is_legal(&setup.format, (s2_desc_t){UINT64_C(1) << bit}, level));
        }
    }
    /* A block at the page level is a reserved encoding. */
    ck_assert(!s2_desc_is_legal(&setup.format, (s2_desc_t){0x802007fd}, 3));
    ck_assert(s2_desc_is_legal(&setup.format, (s2_desc_t){0x802007fd}, 2));
}

/* --- Changes ---------------------------------------------------------------------------------- */

/* AF wherever hardware keeps it; S2AP[1] only with DBM. */
TEST(hardware_bits_are_af_and_tracked_write)
{
    static const struct {
        enum s2_hardware_update update;
        uint64_t leaf, bits;
    } cases[] = {
        {NONE, 0x000800008000077f, 0},      {AF, 0x000800008000077f, 0x400},
        {AF, 0x000000008000077f, 0x400},    {DIRTY, 0x000000008000077f, 0x400},
        {DIRTY, 0x000800008000077f, 0x480}, {DIRTY, 0x00080000800007ff, 0x480},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct desc_setup setup = desc_setup_of(K4, 48, false, true, cases[i].update);
        const s2_desc_t leaf = {cases[i].leaf};

        ck_assert_uint_eq(s2_desc_hardware_bits(&setup.format, leaf).raw, cases[i].bits);
    }
}

/* Each bit of a leaf: S2AP, AF, DBM, XN and software bits go by one store, all else by a break. */
TEST(change_in_place_is_permissions_and_software_only)
{
    const uint64_t in_place = 0x07e80000000004c0;
    const s2_desc_t leaf = {0x00000000800007ff};

    ck_assert(s2_desc_is_in_place(leaf, leaf));
    for (unsigned bit = 0; bit < 64; bit++) {
        const s2_desc_t other = {leaf.raw ^ UINT64_C(1) << bit};

        ck_assert_msg(s2_desc_is_in_place(leaf, other) == ((in_place >> bit & 1) != 0), "bit %u",
                      bit);
        ck_assert(s2_desc_is_in_place(other, leaf) == s2_desc_is_in_place(leaf, other));
    }
}

TEST(attributes_replaced_keep_address_type_and_contiguous)
{
    static const struct {
        size_t layout;
        uint64_t leaf, attr, result;
    } cases[] = {
        {0, 0x00100000802007fd, 0x00400000000007c4, 0x00500000802007c5},
        {0, 0x00000000800007ff, 0x036000000000043c, 0x036000008000043f},
        {3, 0x00130000800007ff, 0x0040000000000454, 0x0053000080000757},
        {5, 0x000000008000f7ff, 0x0040000000000454, 0x004000008000f457},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct desc_setup setup = layout_setup(&layouts[cases[i].layout]);
        const s2_desc_t attr = {cases[i].attr};
        const s2_desc_t result = s2_desc_with_attr(&setup.format, (s2_desc_t){cases[i].leaf}, attr);

        ck_assert_uint_eq(result.raw, cases[i].result);
        ck_assert_uint_eq(s2_desc_attr(&setup.format, result).raw, cases[i].attr);
    }
}

TEST(combine_is_by_bits)
{
    const s2_desc_t a = {0xf0f0};
    const s2_desc_t b = {0xff00};

    ck_assert_uint_eq(s2_desc_or(a, b).raw, 0xfff0);
    ck_assert_uint_eq(s2_desc_and(a, b).raw, 0xf000);
    ck_assert(s2_desc_eq(a, a) && !s2_desc_eq(a, b));
}
