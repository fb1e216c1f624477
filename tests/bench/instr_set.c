/*
 * instr_set.c - what the verbs of a set of 10,000 areas cost, with a backend that does nothing.
 *
 * An area is 16 KiB, every 64 KiB; every 16th is missing, so that there are larger gaps.
 */
#include "tests/bench/instr.h"

#define AREAS UINT64_C(10000)
#define SLOTS (UINT64_C(1) << 13) /* of these the verbs go through */
#define SLOT (UINT64_C(1) << 16)
#define AREA (UINT64_C(1) << 14)

static struct memory_set set;
static struct memory_node nodes[AREAS * 2];

/* --- The backend ------------------------------------------------------------------------------ */

static enum mapping_error do_map(const struct mapping_backend *self, struct ipa_range range,
                                 mapping_flags_t flags, void *page_table)
{
    (void)self, (void)range, (void)flags, (void)page_table;
    return MAPPING_OK;
}

static enum mapping_error do_unmap(const struct mapping_backend *self, struct ipa_range range,
                                   void *page_table)
{
    (void)self, (void)range, (void)page_table;
    return MAPPING_OK;
}

static enum mapping_error do_begin(void *page_table)
{
    (void)page_table;
    return MAPPING_OK;
}

static enum mapping_error do_reserve(const struct mapping_backend *self,
                                     const struct mapping_change *change, void *page_table)
{
    (void)self, (void)change, (void)page_table;
    return MAPPING_OK;
}

static void do_end(void *page_table, enum mapping_error outcome)
{
    (void)page_table, (void)outcome;
}

static const struct mapping_backend_ops OPS = {
    .map = do_map,
    .unmap = do_unmap,
    .protect = do_map,
    .begin = do_begin,
    .reserve = do_reserve,
    .end = do_end,
};

/* --- Cases ------------------------------------------------------------------------------------ */

static struct ipa_range area_at(uint64_t slot)
{
    return ipa_range(GUEST_IPA + slot * SLOT, AREA);
}

static void map(uint64_t slot, mapping_flags_t flags)
{
    const struct memory_area area = {
        .range = area_at(slot), .flags = flags, .backend = {.ops = &OPS}};

    instr_must(memory_set_map(&set, area, NULL, OVERLAP_REJECT), "map");
}

/* All but every 16th. */
static void with_areas(void)
{
    uint64_t count = 0;

    memory_set_init(&set, nodes, sizeof(nodes) / sizeof(nodes[0]));
    for (uint64_t slot = 0; count < AREAS; slot++) {
        if (slot % 16 != 15) {
            map(slot, 1);
            count++;
        }
    }
}

/* The @i-th slot in random order, one that has an area. */
static uint64_t random_slot(uint64_t i)
{
    const uint64_t slot = instr_shuffled(i, SLOTS);

    return slot % 16 == 15 ? slot - 1 : slot;
}

static void find(void)
{
    for (uint64_t i = 0; i < SLOTS; i++) {
        const uint64_t slot = random_slot(i);
        const struct memory_area *area = memory_set_find(&set, area_at(slot).start);

        instr_must_be(area != NULL && ipa_range_eq(area->range, area_at(slot)), "find");
    }
}

/* Into the gaps behind areas, and out again. */
static void map_all(void)
{
    for (uint64_t i = 0; i < SLOTS; i++) {
        const struct memory_area area = {
            .range = ipa_range(GUEST_IPA + instr_shuffled(i, SLOTS) * SLOT + 2 * AREA, AREA),
            .flags = 1,
            .backend = {.ops = &OPS},
        };

        instr_must(memory_set_map(&set, area, NULL, OVERLAP_REJECT), "map");
    }
}

static void unmap_all(void)
{
    for (uint64_t i = 0; i < SLOTS; i++) {
        const uint64_t start = GUEST_IPA + instr_shuffled(i, SLOTS) * SLOT + 2 * AREA;

        instr_must(memory_set_unmap(&set, ipa_range(start, AREA), NULL), "unmap");
    }
}

static void with_more(void)
{
    with_areas();
    map_all();
}

static bool toggle(mapping_flags_t old_flags, void *arg, mapping_flags_t *new_flags)
{
    (void)arg;
    *new_flags = old_flags ^ 2;
    return true;
}

static void protect_all(void)
{
    for (uint64_t i = 0; i < SLOTS; i++) {
        instr_must(memory_set_protect(&set, area_at(random_slot(i)), toggle, NULL, NULL),
                   "protect");
    }
}

/* What only a missing area leaves room for, from a random hint on. */
static void find_free(void)
{
    const struct ipa_range limit = ipa_range(0, UINT64_C(1) << 40);

    for (uint64_t i = 0; i < SLOTS; i++) {
        ipa_t start;

        instr_must(memory_set_find_free(&set, area_at(instr_shuffled(i, SLOTS)).start, SLOT, AREA,
                                        limit, &start),
                   "find_free");
    }
}

const struct instr_case INSTR_SET[] = {
    {"set.find", 100, 149, SLOTS, with_areas, find},
    {"set.map", 600, 0, SLOTS, with_areas, map_all},
    {"set.unmap", 550, 0, SLOTS, with_more, unmap_all},
    {"set.protect", 250, 296, SLOTS, with_areas, protect_all},
    {"set.find_free", 150, 327, SLOTS, with_areas, find_free},
    {NULL, 0, 0, 0, NULL, NULL},
};
