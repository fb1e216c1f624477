#include "hyp/story/at_habits.h"

#include "core/bits.h"
#include "hyp/machine/address_translation.h"
#include "hyp/machine/machine.h"
#include "hyp/machine/panic.h"
#include "hyp/machine/sysreg.h"
#include "hyp/story/checks.h"
#include "hyp/vm/format.h"
#include "hyp/vm/vcpu.h"

#define PROBE_IPA_BITS 32
#define PROBE_NODES 4
#define PROBE_VMID 78 /* given by hand: none of machine.vmids gives it */
#define PAGE MAPPING_BIT(MACHINE_FRAME_SHIFT)
#define CLEAN PAGE     /* a page that is writable, but nobody has written yet */
#define OLD (3 * PAGE) /* and one whose AF is 0 */

struct at_habits at_habits;

/* What AT left of a page, and what it said. */
struct probe {
    uint64_t par;
    mapping_flags_t before;
    mapping_flags_t after;
};

static mapping_flags_t flags_at(struct s2_space *space, uint64_t address)
{
    struct s2_leaf leaf;

    if (s2_space_lookup(space, ipa_of(address), &leaf) != MAPPING_OK) {
        panic("a page of the probe is gone");
    }
    return leaf.flags;
}

/* No byte of the page is touched, so its PA is of no matter. */
static struct probe probe_page(struct s2_space *space, uint64_t address, mapping_flags_t flags)
{
    const struct s2_table *table = s2_space_table(space);
    struct probe probe;

    if (s2_space_map_linear(space, ipa_range(address, PAGE), pa_of(address), flags) != MAPPING_OK) {
        panic("a page of the probe cannot be mapped");
    }
    vcpu_load_by_hand(table);
    vcpu_stage1_off(table);
    probe.before = flags_at(space, address);
    probe.par = at_s12e1w(address);
    probe.after = flags_at(space, address);
    vcpu_unload();
    return probe;
}

static bool succeeds(const struct probe *probe)
{
    return (probe->par & PAR_F) == 0;
}

static bool is_denied(const struct probe *probe)
{
    return !succeeds(probe) &&
           MAPPING_FIELD_GET(FSC_KIND, MAPPING_FIELD_GET(PAR_FST, probe->par)) ==
               FSC_KIND_PERMISSION;
}

static const char *say_clean(const struct probe *clean)
{
    at_habits.denies_clean = is_denied(clean) && clean->after == clean->before;
    at_habits.dirties_clean = succeeds(clean) && clean->after == (clean->before | S2_WRITE);
    if (at_habits.denies_clean) {
        return "is denied, which is wrong: a store will tell";
    }
    if (at_habits.dirties_clean) {
        return "succeeds, and sets dirty state, which is wrong";
    }
    return succeeds(clean) && clean->after == clean->before ? "succeeds, and writes nothing" : NULL;
}

static const char *say_old(const struct probe *old)
{
    if (!succeeds(old)) {
        return NULL;
    }
    if (old->after == old->before) {
        return "leaves AF";
    }
    return old->after == (old->before & ~S2_NO_AF) ? "sets AF" : NULL;
}

static void probe_both(struct s2_space *space)
{
    struct probe clean = probe_page(space, CLEAN, S2_READ | S2_DBM);
    struct probe old = probe_page(space, OLD, S2_READ | S2_WRITE | S2_NO_AF);
    const char *of_clean = say_clean(&clean);
    const char *of_old = say_old(&old);

    check(of_clean != NULL && of_old != NULL,
          "AT of a write to a clean page %s; to an old one it %s",
          of_clean != NULL ? of_clean : "does what nobody knows",
          of_old != NULL ? of_old : "does what nobody knows");
}

void at_habits_probe(void)
{
    static struct memory_node nodes[PROBE_NODES];
    static struct s2_space space;
    struct s2_space_config config = {
        .table = format_config(&formats[0], PROBE_IPA_BITS),
        .table_pool = &machine.tables,
        .nodes = nodes,
        .node_count = PROBE_NODES,
        .vmid = PROBE_VMID,
    };

    if (machine.cpu.hafdbs < S2_HARDWARE_UPDATE_DIRTY) {
        return; /* nothing of a leaf is hardware's to write */
    }
    config.table.hardware_update = S2_HARDWARE_UPDATE_DIRTY;
    if (s2_space_init(&space, &config) != MAPPING_OK) {
        panic("the space of the probe cannot be made");
    }
    probe_both(&space);
    if (s2_space_fini(&space) != MAPPING_OK) {
        panic("the space of the probe does not end");
    }
}
