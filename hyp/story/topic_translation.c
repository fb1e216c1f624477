#include "hyp/machine/address_translation.h"
#include "hyp/machine/panic.h"
#include "hyp/machine/print.h"
#include "hyp/machine/size.h"
#include "hyp/machine/sysreg.h"
#include "hyp/story/checks.h"
#include "hyp/story/oracle.h"
#include "hyp/story/samples.h"
#include "hyp/story/topics.h"

#define RANDOM_OF_GUEST 10000
#define RANDOM_OF_SAMPLES 2000
#define ASKED_OF_GUEST_MIN 10000
#define ASKED_OF_FORMAT_MIN 20000
#define IPA_BITS_MIN 32
#define LEVEL_M1_BITS 52 /* the input size at which every emulator starts at level -1 */
#define SAMPLES_VMID 77  /* given by hand: none of machine.vmids gives it */
#define AREAS_MAX 16
#define BESIDE MAPPING_BIT(16) /* around an area, bytes */

static void report(const struct oracle *oracle, const char *what)
{
    check(oracle->wrong == 0, "%s: the CPU agrees on %lu addresses", what, oracle->asked);
    check_note("%lu readable, %lu writable, %lu holes", oracle->readable, oracle->writable,
               oracle->holes);
}

/* --- A guest as it stands
 * ----------------------------------------------------------------------- */

/* Its areas, and what is beside them. */
static size_t aim_at_areas(const struct memory_set *areas, struct ipa_range ranges[AREAS_MAX])
{
    size_t count = 0;

    for (const struct memory_area *area = memory_set_first(areas);
         area != NULL && count < AREAS_MAX; area = memory_set_next(areas, area)) {
        ranges[count++] =
            ipa_range(ipa_number(area->range.start) - BESIDE, area->range.size + 2 * BESIDE);
    }
    return count;
}

void topic_translation(struct guest *guest)
{
    struct ipa_range ranges[AREAS_MAX];
    size_t range_count = aim_at_areas(s2_space_areas(&guest->space), ranges);
    struct oracle oracle;

    oracle_begin(&oracle, s2_space_enterable(&guest->space),
                 ipa_of(GUEST_IMAGE_IPA + GUEST_BARE_OFFSET));
    oracle_ask_extents(&oracle);
    oracle_ask_random(&oracle, ranges, range_count, RANDOM_OF_GUEST);
    oracle_end(&oracle);
    report(&oracle, guest->name);
    check(oracle.asked >= ASKED_OF_GUEST_MIN && oracle.readable != 0 && oracle.holes != 0,
          "that is every kind of leaf and of hole, and no less than %u", ASKED_OF_GUEST_MIN);
}

/* --- A format at every input size
 * --------------------------------------------------------------- */

/* What was asked of all the spaces of one format. */
struct tally {
    struct oracle all;
    unsigned rearmed;
    unsigned spaces;
    unsigned left_out;
    unsigned doubtful; /* of the spaces: see is_doubtful() */
    bool all_mapped;
};

/* A root that QEMU 7.2 refuses, though the architecture does not, and later ones take: all such
 * roots of a format, or none. */
static bool is_doubtful(const struct s2_geometry *geometry)
{
    return (geometry->granule_shift == S2_GRANULE_16K && geometry->start_level == 0) ||
           (geometry->start_level == -1 && geometry->ipa_bits != LEVEL_M1_BITS);
}

/* The registers are in place. The input's first page is mapped, so that only the root can be what a
 * translation fault of level 0 is about. */
static bool emulator_refuses(struct tally *tally, const struct samples *samples)
{
    uint64_t par;
    bool is_refused;

    if (!is_doubtful(samples->geometry)) {
        return false;
    }
    par = at_s12e1r(0);
    is_refused = (par & PAR_F) != 0 && MAPPING_FIELD_GET(PAR_FST, par) ==
                                           MAPPING_FIELD_PREP(FSC_KIND, FSC_KIND_TRANSLATION);
    tally->left_out += is_refused;
    tally->doubtful += !is_refused;
    return is_refused;
}

/* Before AT, which may make a clean page dirty, and after it, for what it has denied. */
static void ask_and_store(struct tally *tally, struct samples *samples)
{
    struct oracle oracle;

    oracle_begin_by_hand(&oracle, s2_space_table(samples->space), samples->program);
    if (emulator_refuses(tally, samples)) {
        oracle_end(&oracle);
        return;
    }
    tally->spaces++;
    oracle_store(&oracle, samples->ram);
    tally->rearmed += samples_rearm(samples);
    oracle_ask_extents(&oracle);
    oracle_ask_random(&oracle, samples->ranges, samples->range_count, RANDOM_OF_SAMPLES);
    oracle_store(&oracle, samples->ram);
    oracle_end(&oracle);
    oracle_add(&tally->all, &oracle);
}

static void ask_samples(struct tally *tally, struct samples *samples, struct s2_space *space)
{
    bool mapped = samples_map(samples, space) && s2_space_check(space);

    if (!mapped) {
        check_note("%u bits of input, root at level %d: the samples cannot be mapped",
                   samples->geometry->ipa_bits, samples->geometry->start_level);
    }
    ask_and_store(tally, samples);
    tally->all_mapped = tally->all_mapped && mapped;
}

static void ask_space(struct tally *tally, const struct s2_config *table)
{
    static struct memory_node nodes[SAMPLES_NODES];
    static struct s2_space space;
    struct s2_space_config config = {
        .table = *table,
        .table_pool = &machine.tables, /* no memory ops: none of what is mapped is RAM */
        .nodes = nodes,
        .node_count = SAMPLES_NODES,
        .vmid = SAMPLES_VMID,
    };
    struct samples samples;

    if (s2_space_init(&space, &config) != MAPPING_OK) {
        check_note("%u bits of input: no space can be made", table->ipa_bits);
        tally->all_mapped = false;
        return;
    }
    ask_samples(tally, &samples, &space);
    if (s2_space_fini(&space) != MAPPING_OK) {
        panic("a space that nobody entered does not end");
    }
    samples_release(&samples);
}

/* FWB, and what hardware updates, take turns from one space to the next. */
static struct s2_config vary(const struct format *format, unsigned ipa_bits, unsigned turn)
{
    struct s2_config config = format_config(format, ipa_bits);
    unsigned update = turn % (S2_HARDWARE_UPDATE_DIRTY + 1);

    config.force_write_back = turn % 2 == 0 ? S2_FWB_AUTO : S2_FWB_OFF;
    config.hardware_update = (enum s2_hardware_update)mapping_u64_min(
        update, mapping_u64_min(machine.cpu.hafdbs, update));
    /* Also where the part that is emulated could not be trusted with it. */
    config.unusable_updates = S2_WORKAROUND_OFF;
    return config;
}

/* Both kinds of root, where they are not the same. */
static void ask_input_size(struct tally *tally, const struct format *format, unsigned ipa_bits)
{
    int seen = S2_LEVEL_PAGE;

    for (unsigned root = S2_ROOT_SHALLOW; root <= S2_ROOT_SMALL; root++) {
        struct s2_config config = vary(format, ipa_bits, tally->spaces + tally->left_out);
        struct s2_geometry geometry = {.start_level = S2_LEVEL_PAGE};

        config.root = (enum s2_root)root;
        if (s2_geometry_init(&geometry, &config, NULL) == MAPPING_OK &&
            geometry.start_level == seen) {
            continue;
        }
        seen = geometry.start_level;
        ask_space(tally, &config);
    }
}

static void print_sizes(const char *what, uint64_t sizes)
{
    print("          %s", what);
    for (; sizes != 0; sizes &= sizes - 1) {
        uint64_t size = sizes & (0 - sizes);

        print(" %lu %s%s", size_number(size), size_unit(size), size == sizes ? "" : ",");
    }
    print("\n");
}

static void check_sizes_seen(const struct oracle *all, const struct format *format)
{
    check(all->leaf_sizes == format->leaf_sizes && all->run_sizes == format->run_sizes,
          "there were leaves and runs of every size that the format has, and of no other");
    print_sizes("leaves of", all->leaf_sizes);
    print_sizes("contiguous runs of", all->run_sizes);
}

/* Some of either kind in each space. */
static void check_stores(const struct tally *tally)
{
    check(tally->all.stored >= tally->spaces && tally->all.refused >= tally->spaces,
          "a guest's own accesses: %lu stores done, which made clean pages dirty; %lu refused",
          tally->all.stored, tally->all.refused);
    check(tally->rearmed == tally->spaces,
          "protecting these pages to what they were made them clean and old again");
}

void topic_translation_sizes(const struct format *format)
{
    unsigned last = format_ipa_bits_max(format);
    struct tally tally = {.all_mapped = true};

    for (unsigned ipa_bits = IPA_BITS_MIN; ipa_bits <= last; ipa_bits++) {
        ask_input_size(&tally, format, ipa_bits);
    }
    check(tally.all_mapped, "every type, permission and size is mapped in %u spaces of %u..%u bits",
          tally.spaces, IPA_BITS_MIN, last);
    if (tally.left_out != 0) {
        check(tally.doubtful == 0,
              "left out: all %u spaces with a root at level %d, which this emulator refuses",
              tally.left_out, format->granule == S2_GRANULE_16K ? 0 : -1);
    }
    report(&tally.all, format->name);
    check(tally.all.asked >= ASKED_OF_FORMAT_MIN && tally.all.readable != 0 &&
              tally.all.writable != 0 && tally.all.holes != 0,
          "that is no less than %u", ASKED_OF_FORMAT_MIN);
    check_stores(&tally);
    check_sizes_seen(&tally.all, format);
}
