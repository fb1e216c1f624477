#include "hyp/story/oracle.h"

#include "hyp/machine/address_translation.h"
#include "hyp/machine/machine.h"
#include "hyp/machine/sysreg.h"
#include "hyp/story/at_habits.h"
#include "hyp/story/checks.h"
#include "hyp/story/extent.h"
#include "hyp/vm/bare.h"
#include "hyp/vm/vcpu.h"

#define NOTES_MAX 5 /* disagreements that are printed; all are counted */
#define RANDOM_SEED 0x5deece66d1234567

/* What PAR_EL1 must say. */
#define PAR_FAULT_MASK (PAR_F | PAR_FST | PAR_PTW | PAR_S)
#define PAR_VALUE_MASK (PAR_F | PAR_SH | PAR_PA_PAGE | PAR_ATTR)

#define SH_OUTER 2
#define SH_INNER 3

struct memory_attributes {
    uint8_t attr; /* as in MAIR */
    bool is_shareable_by_type;
};

/* Normal write-back of stage 1, combined with stage 2's type. */
static struct memory_attributes combined_type(mapping_flags_t flags)
{
    static const struct memory_attributes types[] = {
        [MAPPING_FIELD_GET(S2_TYPE, S2_NORMAL)] = {0xff, false},
        [MAPPING_FIELD_GET(S2_TYPE, S2_NORMAL_NC)] = {0x44, true},
        [MAPPING_FIELD_GET(S2_TYPE, S2_DEVICE_nGnRnE)] = {0x00, true},
        [MAPPING_FIELD_GET(S2_TYPE, S2_DEVICE_nGnRE)] = {0x04, true},
        [MAPPING_FIELD_GET(S2_TYPE, S2_DEVICE_nGRE)] = {0x08, true},
        [MAPPING_FIELD_GET(S2_TYPE, S2_DEVICE_GRE)] = {0x0c, true},
        [MAPPING_FIELD_GET(S2_TYPE, S2_NORMAL_STAGE1)] = {0xff, false},
        [MAPPING_FIELD_GET(S2_TYPE, S2_NORMAL_WT)] = {0xbb, false},
    };

    return types[MAPPING_FIELD_GET(S2_TYPE, flags)];
}

/* Stage 1 with DC is non-shareable, so the leaf decides; Device and non-cacheable memory is outer
 * shareable whatever it says. */
static uint64_t combined_shareability(mapping_flags_t flags)
{
    if (combined_type(flags).is_shareable_by_type) {
        return SH_OUTER;
    }
    switch (flags & S2_SHAREABILITY) {
    case S2_SH_INNER:
        return SH_INNER;
    case S2_SH_OUTER:
        return SH_OUTER;
    default:
        return 0;
    }
}

/* At level -1 there are no leaves, so nothing but translation faults. */
static uint64_t fault(uint64_t kind, int level)
{
    if (level < 0) {
        return PAR_F | PAR_S | MAPPING_FIELD_PREP(PAR_FST, FSC_TRANSLATION_LM1);
    }
    return PAR_F | PAR_S |
           MAPPING_FIELD_PREP(PAR_FST, MAPPING_FIELD_PREP(FSC_KIND, kind) |
                                           MAPPING_FIELD_PREP(FSC_LEVEL, level));
}

static bool sets_access_flag(const struct s2_table *table)
{
    return s2_geometry_has_access_flag(s2_table_geometry(table));
}

static bool may_access(const struct s2_table *table, mapping_flags_t flags, enum s2_access access)
{
    if (access == S2_ACCESS_READ) {
        return (flags & S2_READ) != 0;
    }
    return (flags & S2_WRITE) != 0 ||
           ((flags & S2_DBM) != 0 && s2_geometry_has_dirty(s2_table_geometry(table)));
}

static uint64_t expected_of_leaf(const struct s2_table *table, const struct s2_leaf *leaf,
                                 enum s2_access access)
{
    if ((leaf->flags & S2_NO_AF) != 0 && !sets_access_flag(table)) {
        return fault(FSC_KIND_ACCESS_FLAG, leaf->level);
    }
    if (!may_access(table, leaf->flags, access)) {
        return fault(FSC_KIND_PERMISSION, leaf->level);
    }
    return (pa_number(leaf->pa) & PAR_PA_PAGE) |
           MAPPING_FIELD_PREP(PAR_ATTR, combined_type(leaf->flags).attr) |
           MAPPING_FIELD_PREP(PAR_SH, combined_shareability(leaf->flags));
}

/* What the library says of an address. */
struct view {
    uint64_t address;
    enum mapping_error error;
    struct s2_leaf leaf; /* on MAPPING_NOT_FOUND size and level, on MAPPING_OK all of it */
};

static struct view look(const struct s2_table *table, uint64_t address)
{
    struct view view = {.address = address};

    view.error = s2_table_lookup(table, ipa_of(address), &view.leaf);
    return view;
}

/* What the library, and the manual where the library has no say, make of an access. */
static uint64_t expected(const struct s2_table *table, const struct view *view,
                         enum s2_access access)
{
    if (view->address >= MAPPING_BIT(machine.cpu.pa_bits)) {
        return PAR_F; /* stage 1 puts out no such IPA: its address size fault, level 0 */
    }
    if (view->error == MAPPING_OK) {
        return expected_of_leaf(table, &view->leaf, access);
    }
    /* Beyond the input size no entry is looked at, and the level is 0. */
    return fault(FSC_KIND_TRANSLATION, view->error == MAPPING_NOT_FOUND ? view->leaf.level : 0);
}

/* --- A guest's own accesses
 * --------------------------------------------------------------------- */

/* What a store that is allowed leaves of a leaf: accessed and dirty, where hardware says so. */
static mapping_flags_t flags_after_store(const struct oracle *oracle, mapping_flags_t flags)
{
    flags &= sets_access_flag(oracle->table) ? ~S2_NO_AF : ~UINT64_C(0);
    return flags | ((flags & S2_DBM) != 0 ? S2_WRITE : 0);
}

/* By the fault that AT would tell of, at the very address. */
static bool is_refusal_for(const struct s2_fault *abort, uint64_t wanted, uint64_t address,
                           enum s2_access access)
{
    return abort->access == access && abort->has_ipa && ipa_eq(abort->ipa, ipa_of(address)) &&
           MAPPING_FIELD_GET(ISS_FSC, abort->esr) == MAPPING_FIELD_GET(PAR_FST, wanted);
}

static bool is_unchanged(const struct oracle *oracle, const struct view *before)
{
    struct view after = look(oracle->table, before->address);

    return after.error == before->error &&
           (after.error != MAPPING_OK || after.leaf.flags == before->leaf.flags);
}

/* An access that is to be refused as @wanted says is, and leaves everything as it is. */
static bool is_refused(struct oracle *oracle, const struct view *view, enum s2_access access,
                       uint64_t wanted)
{
    struct bare_result result =
        bare_access(oracle->table, oracle->program, access, view->address, 0);

    oracle->refused += !result.is_done;
    return !result.is_done && is_refusal_for(&result.abort, wanted, view->address, access) &&
           is_unchanged(oracle, view);
}

/* A store of what is not there yet is done: the byte is EL2's to see, and the leaf is dirty. */
static bool is_stored(struct oracle *oracle, const struct view *view, const volatile uint8_t *byte)
{
    uint8_t value = (uint8_t) ~*byte;
    struct bare_result result =
        bare_access(oracle->table, oracle->program, S2_ACCESS_WRITE, view->address, value);
    struct view after = look(oracle->table, view->address);

    oracle->stored += result.is_done;
    return result.is_done && *byte == value && after.error == MAPPING_OK &&
           after.leaf.flags == flags_after_store(oracle, view->leaf.flags);
}

static bool store_is_right(struct oracle *oracle, const struct view *view)
{
    uint64_t wanted = expected(oracle->table, view, S2_ACCESS_WRITE);
    const volatile uint8_t *byte =
        view->error == MAPPING_OK ? frame_pool_ptr(&machine.guests, view->leaf.pa) : NULL;
    uint8_t old = byte != NULL ? *byte : 0;

    if ((wanted & PAR_F) != 0) {
        return is_refused(oracle, view, S2_ACCESS_WRITE, wanted) && (byte == NULL || *byte == old);
    }
    return byte != NULL && is_stored(oracle, view, byte);
}

static void try_store(struct oracle *oracle, uint64_t address)
{
    struct view view = look(oracle->table, address);

    if (!store_is_right(oracle, &view)) {
        oracle->wrong++;
        check_note("a store at 0x%lx: not what flags 0x%lx mean", address,
                   view.error == MAPPING_OK ? view.leaf.flags : 0);
    }
}

void oracle_store(struct oracle *oracle, struct ipa_range ram)
{
    uint64_t granule = s2_granule_size(s2_table_geometry(oracle->table));
    uint64_t start = ipa_number(ram.start);

    oracle->ram = ram;
    for (uint64_t at = start; at < start + ram.size; at += granule) {
        try_store(oracle, at);
        try_store(oracle, at + granule - 1);
    }
}

/* --- AT
 * ----------------------------------------------------------------------------------------- */

static bool is_clean(const struct view *view)
{
    return view->error == MAPPING_OK && (view->leaf.flags & (S2_DBM | S2_WRITE)) == S2_DBM;
}

/* What this CPU's AT answers, though a store tells another story. Where none tells it, there is no
 * exception. */
static bool is_denied_wrongly(const struct oracle *oracle, const struct view *view,
                              enum s2_access access)
{
    return at_habits.denies_clean && access == S2_ACCESS_WRITE && is_clean(view) &&
           ipa_range_has(oracle->ram, ipa_of(view->address));
}

static bool agrees(uint64_t par, uint64_t wanted)
{
    uint64_t mask = (wanted & PAR_F) != 0 ? PAR_FAULT_MASK : PAR_VALUE_MASK;

    return (par & mask) == (wanted & mask);
}

/* Whether AT left the leaf as it may: all that it may write is AF, and what this CPU is known
 * to. */
static bool is_left_alone(const struct oracle *oracle, const struct view *before,
                          enum s2_access access)
{
    struct view after = look(oracle->table, before->address);
    mapping_flags_t changed = before->leaf.flags ^ after.leaf.flags;
    mapping_flags_t may_change = 0;

    if (before->error != MAPPING_OK) {
        return after.error == before->error;
    }
    may_change |= sets_access_flag(oracle->table) ? before->leaf.flags & S2_NO_AF : 0;
    if (access == S2_ACCESS_WRITE && at_habits.dirties_clean && is_clean(before)) {
        may_change |= S2_WRITE;
    }
    return after.error == MAPPING_OK && pa_eq(after.leaf.pa, before->leaf.pa) &&
           (changed & ~may_change) == 0;
}

static void note_wrong(struct oracle *oracle, const struct view *view, enum s2_access access,
                       uint64_t par, uint64_t wanted)
{
    oracle->wrong++;
    if (oracle->wrong <= NOTES_MAX) {
        check_note("%s of 0x%lx: PAR_EL1 is 0x%lx, the library means 0x%lx of flags 0x%lx",
                   s2_access_name(access), view->address, par, wanted,
                   view->error == MAPPING_OK ? view->leaf.flags : 0);
    }
}

static void ask_at(struct oracle *oracle, const struct view *view, enum s2_access access,
                   uint64_t wanted)
{
    uint64_t said = is_denied_wrongly(oracle, view, access)
                        ? fault(FSC_KIND_PERMISSION, view->leaf.level)
                        : wanted;
    uint64_t par = access == S2_ACCESS_READ ? at_s12e1r(view->address) : at_s12e1w(view->address);

    if (!agrees(par, said) || !is_left_alone(oracle, view, access)) {
        note_wrong(oracle, view, access, par, said);
    }
}

static bool is_permission_fault(uint64_t wanted)
{
    return (wanted & PAR_F) != 0 && wanted != PAR_F &&
           MAPPING_FIELD_GET(FSC_KIND, MAPPING_FIELD_GET(PAR_FST, wanted)) == FSC_KIND_PERMISSION;
}

static void compare(struct oracle *oracle, uint64_t address, enum s2_access access)
{
    /* First the library, as the CPU may set AF and dirty state while it answers. */
    struct view view = look(oracle->table, address);
    uint64_t wanted = expected(oracle->table, &view, access);

    if (!is_permission_fault(wanted)) {
        ask_at(oracle, &view, access, wanted);
    } else if (!is_refused(oracle, &view, access, wanted)) {
        note_wrong(oracle, &view, access, 0, wanted);
    }
    oracle->readable += access == S2_ACCESS_READ && (wanted & PAR_F) == 0;
    oracle->writable += access == S2_ACCESS_WRITE && (wanted & PAR_F) == 0;
}

/* @table's registers are in place. */
static void start(struct oracle *oracle, const struct s2_table *table, ipa_t program)
{
    *oracle = (struct oracle){.table = table, .program = program, .random = RANDOM_SEED};
    vcpu_stage1_off(table);
}

void oracle_begin(struct oracle *oracle, struct s2_table *table, ipa_t program)
{
    vcpu_load_table(table);
    start(oracle, table, program);
}

void oracle_begin_by_hand(struct oracle *oracle, const struct s2_table *table, ipa_t program)
{
    vcpu_load_by_hand(table);
    start(oracle, table, program);
}

void oracle_end(struct oracle *oracle)
{
    oracle->table = NULL;
    vcpu_unload();
}

void oracle_ask(struct oracle *oracle, uint64_t address)
{
    compare(oracle, address, S2_ACCESS_READ);
    compare(oracle, address, S2_ACCESS_WRITE);
    oracle->asked++;
}

/* --- Many addresses
 * ----------------------------------------------------------------------------- */

static void ask_around(struct oracle *oracle, uint64_t address)
{
    oracle_ask(oracle, address - 1);
    oracle_ask(oracle, address);
}

/* Extents of one kind, side by side. */
struct stretch {
    struct extent last;
    uint64_t count;
};

static bool continues(const struct stretch *stretch, const struct extent *extent)
{
    const struct extent *last = &stretch->last;

    return stretch->count != 0 && extent->is_leaf == last->is_leaf &&
           extent->range.size == last->range.size &&
           (!extent->is_leaf ||
            (extent->leaf.flags == last->leaf.flags && extent->leaf.run == last->leaf.run));
}

static void ask_extent(struct oracle *oracle, const struct extent *extent)
{
    uint64_t start = ipa_number(extent->range.start);

    oracle_ask(oracle, start);
    oracle_ask(oracle, start + extent->range.size / 2);
    oracle_ask(oracle, start + extent->range.size - 1);
}

static void note_extent(struct oracle *oracle, const struct extent *extent)
{
    oracle->holes += !extent->is_leaf;
    oracle->leaf_sizes |= extent->is_leaf ? extent->leaf.size : 0;
    oracle->run_sizes |=
        extent->is_leaf && extent->leaf.run != extent->leaf.size ? extent->leaf.run : 0;
}

/* The last of a stretch is known by what follows it. */
static void ask_next(struct oracle *oracle, struct stretch *stretch, const struct extent *extent)
{
    if (!continues(stretch, extent)) {
        if (stretch->count > 1) {
            ask_extent(oracle, &stretch->last);
        }
        stretch->count = 0;
    }
    stretch->last = *extent;
    stretch->count++;
    if (mapping_u64_is_pow2(stretch->count)) {
        note_extent(oracle, extent);
        ask_extent(oracle, extent);
    }
}

void oracle_ask_extents(struct oracle *oracle)
{
    const struct s2_geometry *geometry = s2_table_geometry(oracle->table);
    struct stretch stretch = {.count = 0};
    struct extent extent;

    for (bool more = extent_at(oracle->table, ipa_of(0), &extent); more;
         more = extent_next(oracle->table, &extent)) {
        ask_next(oracle, &stretch, &extent);
    }
    ask_extent(oracle, &stretch.last);
    ask_around(oracle, MAPPING_BIT(geometry->ipa_bits));
    ask_around(oracle, MAPPING_BIT(machine.cpu.pa_bits));
}

/* Marsaglia's xorshift: any seed but 0. */
static uint64_t next_random(struct oracle *oracle)
{
    uint64_t x = oracle->random;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    oracle->random = x;
    return x;
}

void oracle_ask_random(struct oracle *oracle, const struct ipa_range ranges[], size_t range_count,
                       unsigned count)
{
    uint64_t reach = 2 * MAPPING_BIT(s2_table_geometry(oracle->table)->ipa_bits);

    for (unsigned i = 0; i < count; i += 2) {
        struct ipa_range range = ranges[next_random(oracle) % range_count];

        oracle_ask(oracle, ipa_number(range.start) + next_random(oracle) % range.size);
        oracle_ask(oracle, next_random(oracle) % reach);
    }
}

void oracle_add(struct oracle *sum, const struct oracle *part)
{
    sum->asked += part->asked;
    sum->readable += part->readable;
    sum->writable += part->writable;
    sum->holes += part->holes;
    sum->wrong += part->wrong;
    sum->stored += part->stored;
    sum->refused += part->refused;
    sum->leaf_sizes |= part->leaf_sizes;
    sum->run_sizes |= part->run_sizes;
}
