#include "tests/unit/table_scene.h"

#include "tests/unit/table_runs.h"
#include "tests/unit/test.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 2048
#define WORDS 8
#define STRETCHES 64

static struct rig rig;
static struct rig_setup setup;
static struct rig_shape shape; /* its name says where we are */
static struct run_form form;
static int block_level;
static uint64_t ipa; /* of the last step that has one */
static bool is_started;
static struct rig_snapshot remembered;
static char label[512];

/* --- What ought to be mapped ----------------------------------------------------------------- */

static struct rig_map maps[STRETCHES];
static size_t map_count;

static void maps_add(struct rig_map map)
{
    struct rig_map *last = map_count == 0 ? NULL : &maps[map_count - 1];

    if (map.size == 0) {
        return;
    }
    if (last != NULL && last->ipa + last->size == map.ipa && last->pa + last->size == map.pa &&
        last->flags == map.flags) {
        last->size += map.size;
        return;
    }
    ck_assert_uint_lt(map_count, STRETCHES);
    maps[map_count++] = map;
}

/* The part of @map in [@start, @end). */
static struct rig_map part_of(struct rig_map map, uint64_t start, uint64_t end)
{
    const uint64_t from = mapping_u64_max(start, map.ipa),
                   to = mapping_u64_min(end, map.ipa + map.size);

    return (struct rig_map){from, to > from ? to - from : 0, map.pa + (from - map.ipa), map.flags};
}

static void maps_change(struct rig_step step)
{
    const uint64_t end = step.ipa + step.size;
    const struct rig_map new = {step.ipa, step.size, step.pa, step.flags & ~S2_BUILD_FLAGS};
    struct rig_map old[STRETCHES];
    const size_t count = map_count;
    bool is_new = step.verb == RIG_MAP;

    memcpy(old, maps, sizeof(old));
    map_count = 0;
    for (size_t i = 0; i < count && step.verb != RIG_FOLD; i++) {
        struct rig_map inside = part_of(old[i], step.ipa, end);

        if (is_new && old[i].ipa > step.ipa) {
            maps_add(new);
            is_new = false;
        }
        maps_add(part_of(old[i], 0, step.ipa));
        inside.size = step.verb == RIG_UNMAP ? 0 : inside.size;
        inside.flags = step.verb == RIG_PROTECT ? new.flags : inside.flags;
        inside.pa = step.verb == RIG_REPLACE ? step.pa + (inside.ipa - step.ipa) : inside.pa;
        maps_add(inside);
        maps_add(part_of(old[i], end, UINT64_MAX));
    }
    if (is_new) {
        maps_add(new);
    }
    map_count = step.verb == RIG_FOLD ? count : map_count;
}

/* --- Words ----------------------------------------------------------------------------------- */

static bool is(const char *word, const char *name)
{
    return strcmp(word, name) == 0;
}

static uint64_t unit_of(char unit)
{
    const uint64_t *span = &shape.span[block_level + 1];
    const struct {
        char name;
        uint64_t value;
    } units[] = {{'p', rig_page(&shape)},
                 {'b', span[0]},
                 {'s', block_level < 3 ? span[1] : 0},
                 {'B', span[-1]},
                 {'w', shape.span[1 + 1]},
                 {'L', (uint64_t)block_level},
                 {'d', (uint64_t)(3 - shape.start_level)},
                 {'c', shape.span[shape.start_level + 1] * (rig_page(&shape) / sizeof(s2_desc_t))},
                 {'h', UINT64_C(1) << (shape.granule == S2_GRANULE_64K ? 48 : 50)},
                 {'T', UINT64_C(1) << shape.ipa_bits},
                 {'U', UINT64_C(1) << shape.pa_bits},
                 {'D', RIG_DATA},
                 {'O', RIG_DATA + GIB(64)},
                 {'@', ipa},
                 {'r', run_bytes(&form)},
                 {'l', form.leaf},
                 {'n', form.count},
                 {'K', KIB(1)},
                 {'M', MIB(1)},
                 {'G', GIB(1)}};

    for (size_t i = 0; i < COUNT(units); i++) {
        if (units[i].name == unit) {
            return units[i].value;
        }
    }
    ck_abort_msg("%s: no unit is called %c", label, unit);
    return 0;
}

/* A number, a unit, or both. */
static uint64_t factor(char **at)
{
    uint64_t number = isdigit((unsigned char)**at) ? strtoull(*at, at, 0) : 1;

    if (isalpha((unsigned char)**at) || **at == '@') {
        number *= unit_of(**at);
        (*at)++;
    }
    return number;
}

static uint64_t value_of(char *at)
{
    uint64_t sum = 0;

    do {
        const bool is_minus = *at == '-';
        uint64_t term, divisor;

        at += *at == '-' || *at == '+' ? 1 : 0;
        term = factor(&at);
        while (*at == '/') {
            at++;
            divisor = factor(&at);
            ck_assert_uint_ne(divisor, 0);
            term /= divisor;
        }
        sum += is_minus ? 0 - term : term;
    } while (*at == '+' || *at == '-');
    ck_assert_msg(*at == '\0', "%s: %s is no number", label, at);
    return sum;
}

static const struct {
    const char *word;
    mapping_flags_t flag;
} flag_words[] = {{"-", 0},
                  {"r", S2_READ},
                  {"w", S2_WRITE},
                  {"rw", RIG_RW},
                  {"rwxu", RIG_RWX},
                  {"x", S2_EXEC_EL1},
                  {"u", S2_EXEC_EL0},
                  {"nc", S2_NORMAL_NC},
                  {"wt", S2_NORMAL_WT},
                  {"stage1", S2_NORMAL_STAGE1},
                  {"nGnRnE", S2_DEVICE_nGnRnE},
                  {"nGnRE", S2_DEVICE_nGnRE},
                  {"nGRE", S2_DEVICE_nGRE},
                  {"GRE", S2_DEVICE_GRE},
                  {"outer", S2_SH_OUTER},
                  {"nonshareable", S2_SH_NONE},
                  {"badshareable", S2_SHAREABILITY},
                  {"noaf", S2_NO_AF},
                  {"dbm", S2_DBM},
                  {"soft0", S2_SOFT0},
                  {"soft1", S2_SOFT1},
                  {"level1", S2_CAP_LEVEL1},
                  {"level2", S2_CAP_LEVEL2},
                  {"pages", S2_CAP_PAGES},
                  {"nohint", S2_NO_CONTIGUOUS},
                  {"unknown", UINT64_C(1) << 40}};

static mapping_flags_t flag_of(const char *word, size_t length)
{
    for (size_t i = 0; i < COUNT(flag_words); i++) {
        if (strlen(flag_words[i].word) == length && memcmp(flag_words[i].word, word, length) == 0) {
            return flag_words[i].flag;
        }
    }
    ck_abort_msg("%s: no flag is called %s", label, word);
    return 0;
}

static mapping_flags_t flags_of(const char *at)
{
    mapping_flags_t flags = 0;

    while (*at != '\0') {
        const size_t length = strcspn(at, "+");

        flags |= flag_of(at, length);
        at += length + (at[length] == '+' ? 1 : 0);
    }
    return flags;
}

/* --- Verbs ----------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum rig_verb verb;
    bool has_pa, has_flags;
} verbs[] = {{"map", RIG_MAP, true, true},
             {"unmap", RIG_UNMAP, false, false},
             {"protect", RIG_PROTECT, false, true},
             {"replace", RIG_REPLACE, true, false},
             {"fold", RIG_FOLD, false, true}};

static bool step_of(char *words[], struct rig_step *step)
{
    for (size_t i = 0; i < COUNT(verbs); i++) {
        if (is(words[0], verbs[i].name)) {
            ipa = value_of(words[1]);
            *step = (struct rig_step){verbs[i].verb, ipa, value_of(words[2]), 0, 0};
            step->pa = verbs[i].has_pa ? value_of(words[3]) : 0;
            step->flags = verbs[i].has_flags ? flags_of(words[verbs[i].has_pa ? 4 : 3]) : 0;
            return true;
        }
    }
    return false;
}

static const struct {
    const char *word;
    enum mapping_error error;
} answers[] = {{"nothing", MAPPING_OK},
               {"invalid", MAPPING_INVALID_PARAM},
               {"exists", MAPPING_ALREADY_EXISTS},
               {"missing", MAPPING_NOT_FOUND},
               {"denied", MAPPING_DENIED},
               {"unsupported", MAPPING_UNSUPPORTED},
               {"noframe", MAPPING_NO_FRAME}};

static bool play_refusal(char *words[])
{
    struct rig_step step;

    for (size_t i = 0; i < COUNT(answers); i++) {
        if (is(words[0], answers[i].word)) {
            ck_assert(step_of(words + 1, &step));
            rig_refused(&rig, step, answers[i].error);
            return true;
        }
    }
    return false;
}

struct hand {
    s2_desc_t *slot;
    uint64_t bits;
    bool is_done;
};

static void hand_event(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    struct hand *hand = arg;

    if (phase == SIM_BEFORE && event->kind == SIM_SWAP && event->slot == hand->slot &&
        !hand->is_done) {
        hand->slot->raw |= hand->bits;
        hand->is_done = true;
    }
}

static void race(struct rig_step step, uint64_t addr, uint64_t bits)
{
    struct hand hand = {rig_slot(&rig, &rig.table, addr), bits, false};

    ck_assert(sim_listen(hand_event, &hand));
    rig_must(&rig, step);
    ck_assert(sim_unlisten(hand_event, &hand));
    ck_assert_msg(hand.is_done, "%s: the leaf is never broken", label);
}

static bool play_verb(char *words[])
{
    struct rig_step step;

    if (step_of(words, &step)) {
        rig_must(&rig, step);
    } else if (is(words[0], "needs") && step_of(words + 2, &step)) {
        rig_needs(&rig, step, (size_t)value_of(words[1]));
    } else if (is(words[0], "race") && step_of(words + 3, &step)) {
        race(step, value_of(words[1]), value_of(words[2]));
    } else {
        return play_refusal(words);
    }
    maps_change(step);
    return true;
}

/* --- Other steps ----------------------------------------------------------------------------- */

static bool play_change(char *words[])
{
    const uint64_t first = words[1][0] != '\0' ? value_of(words[1]) : 0;

    if (is(words[0], "leave")) {
        rig_leave(&rig, (size_t)first);
    } else if (is(words[0], "clear")) {
        sim_clear();
    } else if (is(words[0], "mark")) {
        rig_slot(&rig, &rig.table, first)->raw |= value_of(words[2]);
    } else if (is(words[0], "seen")) {
        maps_change(
            (struct rig_step){RIG_PROTECT, first, value_of(words[2]), 0, flags_of(words[3])});
    } else if (is(words[0], "remember")) {
        rig_poison_free(&rig);
        rig_snapshot_take(&remembered, &rig);
    } else if (is(words[0], "same")) {
        rig_poison_free(&rig);
        rig_snapshot_assert_same(&remembered, &rig);
        rig_snapshot_free(&remembered);
    } else {
        return false;
    }
    return true;
}

static void expect(const char *what, uint64_t found, char *must)
{
    ck_assert_msg(found == value_of(must), "%s: there are %llu %s", label,
                  (unsigned long long)found, what);
}

static bool play_count(char *words[])
{
    const uint64_t tables =
        ((s2_table_frame_count(&rig.table) << setup.frame_shift) - shape.root_size) /
        rig_page(&shape);

    if (is(words[0], "leaves")) {
        expect("leaves", rig_leaf_count(&rig, &rig.table, (int)value_of(words[1])), words[2]);
    } else if (is(words[0], "below")) {
        for (int level = block_level + 1; level <= 3; level++) {
            expect("leaves", rig_leaf_count(&rig, &rig.table, level), words[1]);
        }
    } else if (is(words[0], "tables")) {
        expect("tables", tables, words[1]);
    } else if (is(words[0], "available")) {
        expect("frames", frame_pool_available(&rig.pool), words[1]);
    } else if (is(words[0], "writes")) {
        expect("writes", sim_write_count(), words[1]);
    } else if (is(words[0], "swaps")) {
        expect("swaps", sim_event_count(SIM_SWAP), words[1]);
    } else if (is(words[0], "ics")) {
        expect("IC IALLUIS", sim_event_count(SIM_IC_IALLUIS), words[1]);
    } else {
        return false;
    }
    return true;
}

/* Of all that is mapped in the range. */
static void expect_hint(uint64_t start, uint64_t size, bool has_hint)
{
    for (size_t i = 0; i < map_count; i++) {
        const struct rig_map part = part_of(maps[i], start, start + size);

        runs_assert_hint(&rig, &form, part.ipa, part.size, has_hint);
    }
}

static void expect_desc(const s2_desc_t *slot, uint64_t value)
{
    ck_assert_msg(slot->raw == value, "%s: it is 0x%llx", label, (unsigned long long)slot->raw);
}

static bool play_look(char *words[])
{
    const uint64_t first = words[1][0] != '\0' ? value_of(words[1]) : 0;
    const uint64_t second = words[2][0] != '\0' ? value_of(words[2]) : 0;
    const int level = words[3][0] != '\0' ? (int)value_of(words[3]) : block_level;

    if (is(words[0], "is")) {
        rig_assert_maps(&rig, &rig.table, maps, map_count);
    } else if (is(words[0], "leaf")) {
        rig_assert_leaf(&rig, &rig.table, first, second, level, flags_of(words[4]));
    } else if (is(words[0], "desc")) {
        expect_desc(words[3][0] == '\0' ? rig_slot(&rig, &rig.table, first)
                                        : rig_slot_at(&rig, &rig.table, first, level),
                    second);
    } else if (is(words[0], "hole")) {
        rig_assert_hole(&rig, &rig.table, first);
    } else if (is(words[0], "hint") || is(words[0], "nohint")) {
        expect_hint(first, second, words[0][0] == 'h');
    } else if (is(words[0], "broken")) {
        runs_assert_broken_whole(rig_slot_at(&rig, &rig.table, first, level), (unsigned)second);
    } else if (is(words[0], "untouched")) {
        runs_assert_untouched(rig_slot_at(&rig, &rig.table, first, level), (unsigned)second);
    } else {
        return false;
    }
    return true;
}

/* What is unlike rig_setup_of(). Returns: whether there is such an option. */
static bool play_option(const char *option)
{
    if (is(option, "dirty") || is(option, "af")) {
        setup.config.hardware_update =
            option[0] == 'd' ? S2_HARDWARE_UPDATE_DIRTY : S2_HARDWARE_UPDATE_AF;
    } else if (is(option, "hints") || is(option, "nohints")) {
        setup.config.contiguous = option[0] == 'h' ? S2_CONTIGUOUS_ON : S2_CONTIGUOUS_OFF;
    } else if (is(option, "noxnx")) {
        setup.cpu.has_xnx = false;
    } else if (is(option, "nofwb")) {
        setup.config.force_write_back = S2_FWB_OFF;
    } else if (is(option, "smallframes")) {
        setup.frame_count <<= setup.frame_shift - 12;
        setup.frame_shift = 12;
    } else if (is(option, "manyframes")) {
        setup.frame_count = 600;
    } else {
        return false;
    }
    return true;
}

static void start(void)
{
    if (!is_started) {
        rig_init(&rig, setup);
        is_started = true;
        map_count = 0;
        if (setup.frame_count > 512) {
            sim_set_log(SIM_LOG_COUNT);
        }
    }
}

/* --- Scenes ---------------------------------------------------------------------------------- */

static void play_step(char *text)
{
    static char none[] = "";
    char *words[WORDS];
    size_t count = 0;

    for (text += strspn(text, " "); *text != '\0'; text += strspn(text, " ")) {
        ck_assert_uint_lt(count, WORDS);
        words[count++] = text;
        text += strcspn(text, " ");
        if (*text != '\0') {
            *text++ = '\0';
        }
    }
    while (count < WORDS) {
        words[count++] = none;
    }
    if (is(words[0], "with") && !is_started) {
        ck_assert_msg(play_option(words[1]), "%s: there is no such option", label);
        return;
    }
    start();
    ck_assert_msg(play_verb(words) || play_change(words) || play_count(words) || play_look(words),
                  "%s: there is no such step", label);
}

static void play_text(const struct scene *scene, const char *where, char *text)
{
    shape.name = label;
    form.shape = &shape;
    setup.shape = &shape;
    is_started = false;
    while (*text != '\0') {
        const size_t length = strcspn(text, ";");
        const bool is_last = text[length] == '\0';

        text[length] = '\0';
        snprintf(label, sizeof(label), "%s: %s: \"%s\"", scene->name, where,
                 text + strspn(text, " "));
        play_step(text);
        text += length + (is_last ? 0 : 1);
    }
    start();
    rig_assert_maps(&rig, &rig.table, maps, map_count);
    rig_fini(&rig);
}

enum kind { SHAPES, LEVELS, LARGE, TOP, RUNS, BLOCK_RUNS, SUB_RUNS };

/* Where a scene is played, how often, and the rest of it. */
struct plan {
    const struct scene *scene;
    enum kind kind;
    unsigned shapes; /* bit i: on rig_shapes[i] */
    const char *each;
    size_t each_length;
    const char *text;
};

/* The text with $ and % for the alternative @each, of @length. */
static void play_each(const struct plan *plan, const char *where, const char *each, size_t length)
{
    const char *colon = memchr(each, ':', length);
    const size_t first = colon == NULL ? length : (size_t)(colon - each);
    char text[TEXT_BYTES];
    size_t at = 0;

    for (const char *from = plan->text; *from != '\0'; from++) {
        const char *put = *from == '$' ? each : *from == '%' ? each + first + 1 : from;
        const size_t size = *from == '$' ? first : *from == '%' ? length - first - 1 : 1;

        ck_assert_uint_lt(at + size + 1, TEXT_BYTES);
        memcpy(text + at, put, size);
        at += size;
    }
    text[at] = '\0';
    play_text(plan->scene, where, text);
}

static void play_here(const struct plan *plan, const struct rig_setup *as, int level)
{
    const char *each = plan->each, *end = plan->each + plan->each_length;

    block_level = level;
    while (each <= end) {
        const char *bar = memchr(each, '|', (size_t)(end - each));
        const char *stop = bar == NULL ? end : bar;

        setup = *as;
        shape = *as->shape;
        play_each(plan, as->shape->name, each, (size_t)(stop - each));
        each = stop + 1;
    }
}

static void play_on_shape(const struct plan *plan, const struct rig_shape *on)
{
    struct rig_setup as = rig_setup_of(on);
    const int first = plan->kind == SHAPES ? 2 : on->top_leaf;
    const int end = plan->kind == TOP ? first + 1 : plan->kind == LARGE ? 2 : 3;

    /* Few, as they are all poisoned: the root's, and more than any scene takes. */
    as.frame_count = (size_t)(on->root_size >> as.frame_shift) + 24;
    for (int level = first; level < end; level++) {
        form = (struct run_form){on, level, 1, on->span[level + 1]};
        play_here(plan, &as, level);
    }
}

static void play_on_runs(const struct plan *plan, const struct run_form *on)
{
    const struct rig_setup as = runs_setup_of(on->shape);

    if (plan->kind == RUNS || (plan->kind == BLOCK_RUNS && on->level < 3) ||
        (plan->kind == SUB_RUNS && on->level > on->shape->top_leaf)) {
        form = *on;
        play_here(plan, &as, on->level);
    }
}

/* What follows @word at the beginning of what is left of the text, if it is there; its length. */
static const char *directive(struct plan *plan, const char *word, size_t *length)
{
    const size_t skip = strlen(word);
    const char *found = plan->text + skip;

    *length = 0;
    if (strncmp(plan->text, word, skip) != 0) {
        return "";
    }
    *length = strcspn(found, ";");
    plan->text = found + *length + strspn(found + *length, "; ");
    return found;
}

static void plan_where(struct plan *plan)
{
    static const struct {
        const char *word;
        enum kind kind;
        unsigned shapes;
    } places[] = {{"", SHAPES, 0x7f},       {"4K", SHAPES, 0x3},          {"4K40", SHAPES, 0x1},
                  {"4K48", SHAPES, 0x2},    {"lpa2", SHAPES, 0x10},       {"lpa", SHAPES, 0x40},
                  {"52", SHAPES, 0x70},     {"sh", SHAPES, 0xf},          {"joined", SHAPES, 0x15},
                  {"levels", LEVELS, 0x7f}, {"large", LARGE, 0x7f},       {"top52", TOP, 0x70},
                  {"runs", RUNS, 0},        {"blockruns", BLOCK_RUNS, 0}, {"subruns", SUB_RUNS, 0}};
    size_t length;
    const char *where = directive(plan, "on ", &length);

    for (size_t i = 0; i < COUNT(places); i++) {
        if (strlen(places[i].word) == length && memcmp(places[i].word, where, length) == 0) {
            plan->kind = places[i].kind;
            plan->shapes = places[i].shapes;
            return;
        }
    }
    ck_abort_msg("%s: there is no such place", plan->scene->name);
}

void scene_play(const struct scene *scene)
{
    struct plan plan = {.scene = scene, .text = scene->text};

    plan_where(&plan);
    plan.each = directive(&plan, "each ", &plan.each_length);
    for (int i = 0; i < rig_shape_count; i++) {
        if ((plan.shapes >> i & 1) != 0) {
            play_on_shape(&plan, &rig_shapes[i]);
        }
    }
    for (int i = 0; i < run_form_count; i++) {
        play_on_runs(&plan, &run_forms[i]);
    }
}
