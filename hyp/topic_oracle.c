#include "hyp/checks.h"
#include "hyp/oracle.h"
#include "hyp/plan.h"
#include "hyp/samples.h"
#include "hyp/topics.h"

#define RANDOM_OF_GUEST 8000
#define RANDOM_OF_SAMPLES 1000
#define ASKED_MIN 10000
#define SAMPLES_VMID 77

static const struct ipa_range guest_ranges[] = {
    IPA_RANGE_INIT(GUEST_IMAGE_IPA - BIT(21), GUEST_IMAGE_SIZE + 2 * BIT(21)),
    IPA_RANGE_INIT(PLAN_BLOCKS_IPA - BIT(21), PLAN_BLOCKS_SIZE + 2 * BIT(21)),
    IPA_RANGE_INIT(PLAN_PAGES_IPA - BIT(16), PLAN_PAGES_SIZE + 2 * BIT(16)),
    IPA_RANGE_INIT(PLAN_CODE_IPA - BIT(16), PLAN_CODE_SIZE + 2 * BIT(16)),
    IPA_RANGE_INIT(PLAN_CONSTANTS_IPA - BIT(16), PLAN_CONSTANTS_SIZE + 2 * BIT(16)),
    IPA_RANGE_INIT(PLAN_UART_IPA - BIT(16), 2 * BIT(16)),
};

/* What changes how a table looks, or how hardware reads it. */
static const struct shape {
    unsigned ipa_bits;
    enum s2_root root;
    enum s2_force_write_back force_write_back;
    enum s2_hardware_update hardware_update;
} shapes[] = {
    {32, S2_ROOT_SHALLOW, S2_FWB_AUTO, S2_HARDWARE_UPDATE_NONE},
    {36, S2_ROOT_SHALLOW, S2_FWB_OFF, S2_HARDWARE_UPDATE_NONE},
    {39, S2_ROOT_SHALLOW, S2_FWB_AUTO, S2_HARDWARE_UPDATE_AF},
    {40, S2_ROOT_SHALLOW, S2_FWB_OFF, S2_HARDWARE_UPDATE_DIRTY},
    {40, S2_ROOT_SMALL, S2_FWB_AUTO, S2_HARDWARE_UPDATE_NONE},
    {42, S2_ROOT_SHALLOW, S2_FWB_AUTO, S2_HARDWARE_UPDATE_NONE},
    {44, S2_ROOT_SHALLOW, S2_FWB_OFF, S2_HARDWARE_UPDATE_AF},
    {48, S2_ROOT_SHALLOW, S2_FWB_AUTO, S2_HARDWARE_UPDATE_DIRTY},
};

static void report(const struct oracle *oracle, const char *what)
{
    check(oracle->wrong == 0, "%s: the CPU agrees on %lu addresses", what, oracle->asked);
    check_note("%lu readable, %lu writable, %lu holes", oracle->readable, oracle->writable,
               oracle->holes);
}

static void check_guest(struct guest *guest)
{
    struct oracle oracle;

    oracle_begin(&oracle, s2_space_table(&guest->space));
    oracle_ask_extents(&oracle);
    oracle_ask_random(&oracle, guest_ranges, sizeof(guest_ranges) / sizeof(guest_ranges[0]),
                      RANDOM_OF_GUEST);
    oracle_end(&oracle);
    report(&oracle, guest->name);
    check(oracle.asked >= ASKED_MIN && oracle.readable != 0 && oracle.holes != 0,
          "that is every leaf and every hole, and no less than %u", ASKED_MIN);
}

static void check_samples(struct s2_space *space, const struct shape *shape)
{
    const struct s2_geometry *geometry = s2_table_geometry(s2_space_table(space));
    struct samples samples;
    struct oracle oracle;

    check(samples_map(space, &samples) && s2_space_check(space),
          "%u-bit input, %u table(s) at level %d%s%s%s: mapped", shape->ipa_bits,
          1U << geometry->root_order, geometry->start_level,
          s2_geometry_has_fwb(geometry) ? ", FWB" : "",
          s2_geometry_has_access_flag(geometry) ? ", AF by hardware" : "",
          s2_geometry_has_dirty(geometry) ? ", dirty too" : "");
    oracle_begin(&oracle, s2_space_table(space));
    oracle_ask_extents(&oracle);
    oracle_ask_random(&oracle, samples.ranges, samples.range_count, RANDOM_OF_SAMPLES);
    oracle_end(&oracle);
    report(&oracle, "every type, permission and leaf size");
}

/* The most of what @shape asks for that this CPU has. */
static enum s2_hardware_update best_update(const struct shape *shape)
{
    return machine.cpu.hafdbs < (unsigned)shape->hardware_update
               ? (enum s2_hardware_update)machine.cpu.hafdbs
               : shape->hardware_update;
}

static void check_shape(const struct shape *shape)
{
    static struct memory_node nodes[SAMPLES_NODES];
    static struct s2_space space;
    struct s2_space_config config = {
        .table = {.cpu = &machine.cpu,
                  .granule = S2_GRANULE_4K,
                  .ipa_bits = shape->ipa_bits,
                  .root = shape->root,
                  .force_write_back = shape->force_write_back,
                  .hardware_update = best_update(shape)},
        .table_pool = &machine.tables, /* no memory ops: none of what is mapped is RAM */
        .nodes = nodes,
        .node_count = SAMPLES_NODES,
        .vmid = SAMPLES_VMID,
    };

    if (shape->ipa_bits > machine.cpu.pa_bits) {
        return; /* the architecture has no such input on this CPU */
    }
    if (check(s2_space_init(&space, &config) == MAPPING_OK, "a space of %u bits is made",
              shape->ipa_bits)) {
        check_samples(&space, shape);
        s2_space_fini(&space);
    }
}

void topic_oracle(struct guest *guest)
{
    check_guest(guest);
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        check_shape(&shapes[i]);
    }
}
