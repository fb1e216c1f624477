#include "stage2/table/dump.h"

#include "stage2/table/walk.h"

#define LINE_BYTES 160 /* the longest line has some 130 */

/* --- Text ------------------------------------------------------------------------------------ */

struct line {
    char text[LINE_BYTES];
    size_t length;
};

static void put_char(struct line *line, char c)
{
    MAPPING_ASSERT(line->length + 1 < LINE_BYTES);
    line->text[line->length++] = c;
    line->text[line->length] = '\0';
}

static void put_text(struct line *line, const char *text)
{
    while (*text != '\0') {
        put_char(line, *text++);
    }
}

static void put_word(struct line *line, const char *word)
{
    put_char(line, ' ');
    put_text(line, word);
}

/* Sixteen digits, whatever the number. */
static void put_hex(struct line *line, uint64_t number)
{
    put_text(line, "0x");
    for (unsigned digit = 16; digit-- > 0;) {
        put_char(line, "0123456789abcdef"[(number >> (4 * digit)) % 16]);
    }
}

static void put_decimal(struct line *line, uint64_t number)
{
    uint64_t unit = 1;

    while (number / unit >= 10) {
        unit *= 10;
    }
    for (; unit > 0; unit /= 10) {
        put_char(line, (char)('0' + number / unit % 10));
    }
}

/* A power of two of at least 1024 bytes, in K, M, G or T. */
static void put_size(struct line *line, uint64_t size)
{
    const char *unit = "KMGT";

    MAPPING_ASSERT(mapping_u64_is_pow2(size) && size >= 1024);
    for (size /= 1024; size >= 1024 && unit[1] != '\0'; size /= 1024) {
        unit++;
    }
    put_decimal(line, size);
    put_char(line, *unit);
}

/* --- Leaves ---------------------------------------------------------------------------------- */

/* Leaves that follow each other in IPA and PA and are alike. */
struct stretch {
    struct ipa_range range; /* empty: none yet */
    pa_t pa;
    int level;
    s2_desc_t first; /* the first leaf, its address aside: attributes, hint, broken or not */
};

static void put_permissions(struct line *line, mapping_flags_t flags)
{
    put_char(line, ' ');
    put_char(line, (flags & S2_READ) != 0 ? 'r' : '-');
    put_char(line, (flags & S2_WRITE) != 0 ? 'w' : '-');
    put_char(line, (flags & S2_EXEC_EL1) != 0 ? 'x' : '-');
    put_char(line, (flags & S2_EXEC_EL0) != 0 ? 'u' : '-');
}

static void put_attributes(struct line *line, mapping_flags_t flags, s2_desc_t leaf)
{
    static const char *const types[] = {"normal", "nc",  "nGnRnE", "nGnRE",
                                        "nGRE",   "GRE", "stage1", "wt"};

    static const char soft[][6] = {"soft0", "soft1", "soft2", "soft3"};
    _Static_assert(sizeof(types) / sizeof(types[0]) == MAPPING_FIELD_GET(S2_TYPE, S2_TYPE) + 1,
                   "a name for each type");
    put_permissions(line, flags);
    put_word(line, types[MAPPING_FIELD_GET(S2_TYPE, flags)]);
    if (s2_desc_is_contiguous(leaf)) {
        put_word(line, "contiguous");
    }
    if ((flags & S2_SHAREABILITY) != S2_SH_INNER) {
        put_word(line, (flags & S2_SHAREABILITY) == S2_SH_OUTER ? "outer" : "nonshareable");
    }
    if ((flags & S2_NO_AF) != 0) {
        put_word(line, "noaf");
    }
    if ((flags & S2_DBM) != 0) {
        put_word(line, "dbm");
    }
    for (size_t i = 0; i < sizeof(soft) / sizeof(soft[0]); i++) {
        if ((flags & (S2_SOFT0 << i)) != 0) {
            put_word(line, soft[i]);
        }
    }
    if (s2_desc_is_broken(leaf)) {
        put_word(line, "broken");
    }
}

struct dump {
    const struct s2_table *table;
    struct stretch stretch;
    s2_dump_fn line;
    void *arg;
};

static void dump_stretch(struct dump *dump)
{
    const struct stretch *stretch = &dump->stretch;
    const uint64_t size = s2_level_size(&dump->table->geometry, stretch->level);
    struct line line = {.length = 0};

    if (stretch->range.size == 0) {
        return;
    }
    MAPPING_ASSERT(ipa_range_is_aligned(stretch->range, size));
    MAPPING_ASSERT(stretch->level >= 0);
    put_hex(&line, ipa_distance(ipa_of(0), stretch->range.start));
    put_char(&line, ' ');
    put_hex(&line, ipa_distance(ipa_of(0), ipa_range_last(stretch->range)));
    put_char(&line, ' ');
    put_hex(&line, pa_distance(pa_of(0), stretch->pa));
    put_text(&line, " L");
    put_decimal(&line, (uint64_t)stretch->level);
    put_char(&line, ' ');
    put_decimal(&line, stretch->range.size / size);
    put_char(&line, 'x');
    put_size(&line, size);
    put_attributes(&line, s2_attr_decode(&dump->table->format, stretch->first), stretch->first);
    dump->line(dump->arg, line.text);
}

/* A leaf, or a broken one, that spans @range. */
static void dump_leaf(struct dump *dump, s2_desc_t leaf, int level, struct ipa_range range)
{
    struct stretch *stretch = &dump->stretch;
    const pa_t pa = s2_desc_address(&dump->table->format, leaf);
    const s2_desc_t rest = s2_desc_without_address(&dump->table->format, leaf);

    if (stretch->range.size != 0 && stretch->level == level && s2_desc_eq(stretch->first, rest) &&
        ipa_eq(ipa_range_end(stretch->range), range.start) &&
        pa_eq(pa_add(stretch->pa, stretch->range.size), pa)) {
        stretch->range.size += range.size;
        return;
    }
    dump_stretch(dump);
    *stretch = (struct stretch){.range = range, .pa = pa, .level = level, .first = rest};
}

/* Leaves and broken ones, up to the first table, which is entered. One that sticks out is told
 * whole. */
static unsigned dump_entries(struct s2_walk *walk, unsigned count, void *arg)
{
    const s2_desc_t *slot = s2_walk_slot(walk);
    const ipa_t start = s2_walk_entry(walk).start;

    for (unsigned i = 0; i < (count > 0 ? count : 1); i++) {
        const s2_desc_t desc = arch_desc_load(&slot[i]);

        if (s2_desc_is_table(desc, walk->level)) {
            return i;
        }
        if (!s2_desc_is_none(desc)) {
            dump_leaf(arg, desc, walk->level,
                      s2_entry_stretch(&walk->table->geometry, walk->level, start, i, i + 1));
        }
    }
    return count;
}

enum mapping_error s2_table_dump(const struct s2_table *table, struct ipa_range range,
                                 s2_dump_fn line, void *arg)
{
    static const struct s2_visitor visitor = {.visit = dump_entries};
    struct dump dump = {.table = table, .line = line, .arg = arg};

    MAPPING_ASSERT(line != NULL);
    if (!s2_table_is_range(table, range)) {
        return MAPPING_INVALID_PARAM;
    }
    (void)s2_walk_visit(s2_walk_reading(table), range, &visitor, &dump);
    dump_stretch(&dump);
    return MAPPING_OK;
}
