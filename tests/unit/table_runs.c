#include "tests/unit/table_runs.h"
#include "tests/unit/test.h"

#include <check.h>
#include <inttypes.h>

#define SHAPE_4K_40 (&rig_shapes[0])
#define SHAPE_16K_48 (&rig_shapes[2])
#define SHAPE_64K_48 (&rig_shapes[3])
#define SHAPE_4K_52 (&rig_shapes[4])
#define SHAPE_16K_52 (&rig_shapes[5])
#define SHAPE_64K_52 (&rig_shapes[6])

const struct run_form run_forms[] = {
    {SHAPE_4K_40, 3, 16, KIB(4)},    {SHAPE_4K_40, 2, 16, MIB(2)},   {SHAPE_4K_40, 1, 16, GIB(1)},
    {SHAPE_16K_48, 3, 128, KIB(16)}, {SHAPE_16K_48, 2, 32, MIB(32)}, {SHAPE_64K_48, 3, 32, KIB(64)},
    {SHAPE_64K_48, 2, 32, MIB(512)}, {SHAPE_4K_52, 3, 16, KIB(4)},   {SHAPE_4K_52, 1, 16, GIB(1)},
    {SHAPE_16K_52, 3, 128, KIB(16)}, {SHAPE_16K_52, 2, 32, MIB(32)}, {SHAPE_64K_52, 3, 32, KIB(64)},
    {SHAPE_64K_52, 2, 32, MIB(512)},
};

const int run_form_count = (int)COUNT(run_forms);

struct rig_setup runs_setup_of(const struct rig_shape *shape)
{
    struct rig_setup setup = rig_setup_of(shape);

    setup.config.contiguous = S2_CONTIGUOUS_ON;
    setup.frame_count = shape->granule == S2_GRANULE_4K ? 40 : 12; /* few: they are all poisoned */
    return setup;
}

/* What is wrong with the leaf @found, which the library answers as @leaf; NULL: nothing. */
static const char *hint_problem(const struct run_form *form, const struct mmu_result *found,
                                const struct s2_leaf *leaf, bool has_hint)
{
    const uint64_t run = has_hint ? run_bytes(form) : form->leaf;
    const bool is_set = (found->walk_desc[found->walk_count - 1] >> 52 & 1) != 0;

    if (!found->has_leaf || found->status == MMU_BAD_RUN || found->level != form->level ||
        found->leaf_size != form->leaf) {
        return "no sound leaf of the level";
    }
    if (is_set != has_hint || found->contiguous != has_hint || found->run_size != run) {
        return is_set ? "the hint is set" : "the hint is clear";
    }
    return leaf->run != run || leaf->size != form->leaf ? "lookup answers another run" : NULL;
}

void runs_assert_hint(const struct rig *rig, const struct run_form *form, uint64_t ipa,
                      uint64_t size, bool has_hint)
{
    const struct mmu mmu = rig_mmu(rig, &rig->table);

    for (uint64_t at = ipa; at < ipa + size; at += form->leaf) {
        const struct mmu_result found = mmu_translate(&mmu, at, MMU_READ);
        struct s2_leaf leaf = {0};
        const bool is_found = s2_table_lookup(&rig->table, ipa_of(at), &leaf) == MAPPING_OK;
        const char *problem =
            is_found ? hint_problem(form, &found, &leaf, has_hint) : "lookup finds no leaf";

        if (problem != NULL) {
            ck_abort_msg("%s: IPA 0x%" PRIx64 ": %s", form->shape->name, at, problem);
        }
    }
}

/* --- The log --------------------------------------------------------------------------------- */

static bool is_flush(const struct sim_event *event)
{
    return event->kind == SIM_TLBI_VMALLE1IS || event->kind == SIM_TLBI_VMALLS12E1IS;
}

size_t runs_flush_count(void)
{
    return sim_event_count(SIM_TLBI_VMALLE1IS) + sim_event_count(SIM_TLBI_VMALLS12E1IS);
}

static size_t find_flush(void)
{
    size_t at = 0;

    while (at < sim_event_total() && !is_flush(&sim_events()[at])) {
        at++;
    }
    return at;
}

static bool writes(const struct sim_event *event, const s2_desc_t *slot)
{
    return event->slot == slot && event->kind >= SIM_FILL && event->kind <= SIM_REPLACE;
}

/* Not libcheck's assertions: they are too slow for every event. */
static void require(bool condition, unsigned entry, const char *what)
{
    if (!condition) {
        ck_abort_msg("entry %u %s", entry, what);
    }
}

void runs_assert_broken_whole(const s2_desc_t *slot, unsigned count)
{
    const size_t flush = find_flush();

    ck_assert_uint_eq(runs_flush_count(), 1);
    for (unsigned i = 0; i < count; i++) {
        size_t writes_before = 0;

        for (size_t at = 0; at < flush; at++) {
            const struct sim_event *event = &sim_events()[at];

            if (writes(event, &slot[i])) {
                require((event->new & 1) == 0, i, "is changed in place");
                writes_before++;
            }
        }
        require(writes_before > 0, i, "is not broken");
    }
}

void runs_assert_untouched(const s2_desc_t *slot, unsigned count)
{
    for (size_t at = 0; at < sim_event_total(); at++) {
        for (unsigned i = 0; i < count; i++) {
            require(!writes(&sim_events()[at], &slot[i]), i, "is stored");
        }
    }
}
