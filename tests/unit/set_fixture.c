/*
 * set_fixture.c - see set_fixture.h.
 */
#include "tests/unit/set_fixture.h"

#include <check.h>
#include <ctype.h>
#include <string.h>

const struct set_case set_cases[] = {
    /* Unmap: one area. */
    {CASE_UNMAP, 0, "..Aaaa..", 2, 4, "........", 1, 1},
    {CASE_UNMAP, 0, "..Aaaa..", 0, 8, "........", 1, 1},
    {CASE_UNMAP, 0, "..Aaaa..", 0, 4, "....Aa..", 1, 1},
    {CASE_UNMAP, 0, "..Aaaa..", 2, 2, "....Aa..", 1, 1},
    {CASE_UNMAP, 0, "..Aaaa..", 4, 2, "..Aa....", 1, 1},
    {CASE_UNMAP, 0, "..Aaaa..", 4, 4, "..Aa....", 1, 1},
    {CASE_UNMAP, 0, "..Aaaa..", 3, 2, "..A..A..", 2, 1},
    {CASE_UNMAP, 0, "..Aaaa..", 3, 1, "..A.Aa..", 2, 1},
    /* Unmap: nothing. */
    {CASE_UNMAP, 0, "..Aaaa..", 0, 2, "..Aaaa..", 1, 0},
    {CASE_UNMAP, 0, "..Aaaa..", 6, 2, "..Aaaa..", 1, 0},
    {CASE_UNMAP, 0, "..Aaaa..", 4, 0, "..Aaaa..", 1, 0},
    {CASE_UNMAP, 0, "Aa....Bb", 2, 4, "Aa....Bb", 2, 0},
    {CASE_UNMAP, 0, "........", 0, 8, "........", 0, 0},
    /* Unmap: several. */
    {CASE_UNMAP, 0, "AaBbCcDd", 2, 4, "Aa....Dd", 4, 2},
    {CASE_UNMAP, 0, "AaaBbbCc", 1, 4, "A....BCc", 3, 2},
    {CASE_UNMAP, 0, "AaaBbbCc", 1, 6, "A......C", 3, 3},
    {CASE_UNMAP, 0, "Aa.Bb.Cc", 1, 6, "A......C", 3, 3},
    {CASE_UNMAP, 0, "AaAaAaAa", 0, 7, ".......A", 4, 4},
    {CASE_UNMAP, 0, "ABCDEFGH", 1, 6, "A......H", 8, 6},
    /* Protect: one area. */
    {CASE_PROTECT, 'b', "..Aaaa..", 2, 4, "..Bbbb..", 1, 1},
    {CASE_PROTECT, 'b', "..Aaaa..", 0, 8, "..Bbbb..", 1, 1},
    {CASE_PROTECT, 'b', "..Aaaa..", 1, 3, "..BbAa..", 2, 1},
    {CASE_PROTECT, 'b', "..Aaaa..", 4, 3, "..AaBb..", 2, 1},
    {CASE_PROTECT, 'b', "..Aaaa..", 3, 2, "..ABbA..", 3, 1},
    /* Protect: the flags that it has; nothing; a part that says no. */
    {CASE_PROTECT, 'a', "..Aaaa..", 3, 2, "..Aaaa..", 1, 1},
    {CASE_PROTECT, 'b', "AaaBbbCc", 1, 6, "ABbBbbBC", 5, 3},
    {CASE_PROTECT, 'b', "..Aaaa..", 6, 2, "..Aaaa..", 1, 0},
    {CASE_PROTECT, 'b', "..Aaaa..", 3, 0, "..Aaaa..", 1, 0},
    {CASE_PROTECT, 'b', "..Xxxx..", 3, 2, "..Xxxx..", 1, 0},
    {CASE_PROTECT, 'b', "AaaXxCcc", 1, 6, "ABbXxBbC", 5, 2},
    {CASE_PROTECT, 'b', "XxxAaXxx", 1, 6, "XxxBbXxx", 3, 1},
    {CASE_PROTECT, 'b', "XxxAaCcc", 1, 6, "XxxBbBbC", 4, 2},
    {CASE_PROTECT, 'b', "AaaCcXxx", 1, 6, "ABbBbXxx", 4, 2},
    /* Protect: several. */
    {CASE_PROTECT, 'b', "AaaCccDd", 1, 4, "ABbBbCDd", 5, 2},
    {CASE_PROTECT, 'b', "Aa.Cc.Dd", 0, 8, "Bb.Bb.Bb", 3, 3},
    {CASE_PROTECT, 'b', "Aa.Cc.Dd", 1, 6, "AB.Bb.BD", 5, 3},
    /* Replace: free space; the same range; a larger one. */
    {CASE_REPLACE, 'b', "Aa....Cc", 2, 4, "AaBbbbCc", 3, 1},
    {CASE_REPLACE, 'b', "Aa....Cc", 3, 2, "Aa.Bb.Cc", 3, 1},
    {CASE_REPLACE, 'b', "..Aaaa..", 2, 4, "..Bbbb..", 1, 2},
    {CASE_REPLACE, 'b', "..Aaaa..", 1, 6, ".Bbbbbb.", 1, 2},
    /* Replace: one end, both ends, the middle. */
    {CASE_REPLACE, 'b', "..Aaaa..", 0, 4, "BbbbAa..", 2, 2},
    {CASE_REPLACE, 'b', "..Aaaa..", 2, 2, "..BbAa..", 2, 2},
    {CASE_REPLACE, 'b', "..Aaaa..", 4, 2, "..AaBb..", 2, 2},
    {CASE_REPLACE, 'b', "..Aaaa..", 4, 4, "..AaBbbb", 2, 2},
    {CASE_REPLACE, 'b', "..Aaaa..", 3, 2, "..ABbA..", 3, 2},
    {CASE_REPLACE, 'b', "AaaCccDd", 1, 4, "ABbbbCDd", 4, 3},
    {CASE_REPLACE, 'b', "Aa.Cc.Dd", 1, 6, "ABbbbbbD", 3, 4},
    {CASE_REPLACE, 'b', "AaCcDdEe", 0, 8, "Bbbbbbbb", 4, 5},
    {CASE_REPLACE, 'b', "Aa.Cc.Dd", 0, 7, "BbbbbbbD", 3, 4},
    {CASE_REPLACE, 'b', "BbBbBbBb", 2, 4, "BbBbbbBb", 4, 3},
    /* Clear. */
    {CASE_CLEAR, 0, "........", 0, 0, "........", 0, 0},
    {CASE_CLEAR, 0, "..Aaaa..", 0, 0, "........", 1, 1},
    {CASE_CLEAR, 0, "Aa.BbCcc", 0, 0, "........", 3, 3},
};

const int set_case_count = sizeof(set_cases) / sizeof(set_cases[0]);

struct ipa_range fixture_range(uint64_t first, uint64_t size)
{
    return ipa_range(FIXTURE_BASE + first, size);
}

mapping_flags_t fixture_flags(char letter)
{
    return (mapping_flags_t)(unsigned char)letter;
}

struct memory_area fixture_area(uint64_t first, uint64_t size, char letter, enum mock_kind kind)
{
    return (struct memory_area){
        .range = fixture_range(first, size),
        .flags = fixture_flags(letter),
        .backend = mock_backend(kind, FIXTURE_COOKIE),
        .tag = FIXTURE_TAG,
    };
}

bool fixture_update(mapping_flags_t old_flags, void *arg, mapping_flags_t *new_flags)
{
    const char *letter = arg;

    if (old_flags == fixture_flags('x')) {
        return false;
    }
    *new_flags = fixture_flags(*letter);
    return true;
}

void fixture_draw(struct set_fixture *fixture, const char *drawing, size_t node_count,
                  enum mock_kind kind)
{
    static const struct mock_faults none;
    size_t size;

    ck_assert_uint_le(node_count, FIXTURE_NODES);
    memory_set_init(&fixture->set, fixture->nodes, node_count);
    mock_table_init(&fixture->table, ipa_of(FIXTURE_BASE));
    fixture->table.set = &fixture->set;
    for (size_t i = 0; drawing[i] != '\0'; i += size) {
        struct memory_area area;

        size = 1;
        if (drawing[i] == '.') {
            continue;
        }
        size += strspn(drawing + i + 1, (const char[]){(char)tolower(drawing[i]), '\0'});
        area = fixture_area(i, size, (char)tolower(drawing[i]), kind);
        mock_table_arm(&fixture->table, none);
        ck_assert_int_eq(memory_set_map(&fixture->set, area, &fixture->table, OVERLAP_REJECT),
                         MAPPING_OK);
    }
    mock_table_arm(&fixture->table, none);
}

enum mapping_error fixture_run(struct set_fixture *fixture, const struct set_case *entry,
                               enum mock_kind kind, struct mock_faults faults)
{
    struct ipa_range range = fixture_range(entry->first, entry->size);
    char letter = entry->letter;

    mock_table_arm(&fixture->table, faults);
    switch (entry->op) {
    case CASE_UNMAP:
        return memory_set_unmap(&fixture->set, range, &fixture->table);
    case CASE_PROTECT:
        return memory_set_protect(&fixture->set, range, fixture_update, &letter, &fixture->table);
    case CASE_REPLACE:
        return memory_set_map(&fixture->set, fixture_area(entry->first, entry->size, letter, kind),
                              &fixture->table, OVERLAP_UNMAP);
    case CASE_CLEAR:
        break;
    }
    return memory_set_clear(&fixture->set, &fixture->table);
}

/* What the set would be drawn like, as long as @drawing is. */
static void draw(const struct set_fixture *fixture, char *drawing, size_t length)
{
    const struct memory_area *area = memory_set_first(&fixture->set);

    memset(drawing, '.', length);
    drawing[length] = '\0';
    for (; area != NULL; area = memory_set_next(&fixture->set, area)) {
        uint64_t first = ipa_distance(ipa_of(FIXTURE_BASE), area->range.start);

        ck_assert_uint_le(first + area->range.size, length);
        memset(drawing + first, (int)area->flags, area->range.size);
        drawing[first] = (char)toupper(drawing[first]);
        ck_assert_uint_eq(area->backend.cookie, FIXTURE_COOKIE);
        ck_assert_uint_eq(area->tag, FIXTURE_TAG);
    }
}

void fixture_assert(const struct set_fixture *fixture, const char *drawing,
                    enum mapping_error outcome)
{
    char drawn[MOCK_CELLS + 1];

    ck_assert(memory_set_check(&fixture->set));
    draw(fixture, drawn, strlen(drawing));
    ck_assert_str_eq(drawn, drawing);
    ck_assert(mock_table_agrees(&fixture->table, &fixture->set));
    ck_assert_msg(mock_table_is_lawful(&fixture->table, outcome), "%s",
                  fixture->table.broken_law == NULL ? "begin and end do not match"
                                                    : fixture->table.broken_law);
}
