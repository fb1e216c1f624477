#include "tests/unit/space_fixture.h"

#include <stdlib.h>
#include <string.h>

/* --- Memory ---------------------------------------------------------------------------------- */

static void *memory_open(void *ctx, pa_t pa, uint64_t size)
{
    struct guest_memory *memory = ctx;
    const uint64_t offset = pa.raw - RIG_DATA;

    ck_assert_ptr_null(memory->ptr); /* one at a time */
    ck_assert_uint_gt(size, 0);
    memory->opened++;
    memory->longest = mapping_u64_max(memory->longest, size);
    if ((memory->refuse_from != 0 && memory->opened >= memory->refuse_from &&
         memory->opened - memory->refuse_from < memory->refuse_count) ||
        offset >= memory->size || size > memory->size - offset) {
        return NULL;
    }
    memory->ptr = memory->bytes + offset;
    return memory->ptr;
}

static void memory_close(void *ctx, void *ptr, uint64_t size)
{
    struct guest_memory *memory = ctx;

    ck_assert_ptr_eq(ptr, memory->ptr);
    ck_assert_uint_le(size, memory->longest);
    memory->ptr = NULL;
    memory->closed++;
}

static void memory_init(struct guest_memory *memory, uint64_t size)
{
    *memory = (struct guest_memory){.size = size};
    if (size > 0) {
        memory->bytes = aligned_alloc(4096, (size_t)size);
        ck_assert_ptr_nonnull(memory->bytes);
    }
}

/* --- The guest ------------------------------------------------------------------------------- */

struct rig_setup guest_setup(void)
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);

    setup.cpu.has_fwb = false;
    return setup;
}

struct rig_setup guest_setup_fwb(void)
{
    return rig_setup_of(RIG_4K_40);
}

void guest_init(struct guest *guest, struct rig_setup setup, size_t node_count, uint64_t size)
{
    struct s2_space_config config;

    ck_assert_uint_le(node_count, GUEST_NODES);
    rig_init_machine(&guest->rig, setup);
    memory_init(&guest->memory, size);
    guest->ops = (struct s2_memory_ops){memory_open, memory_close, &guest->memory};
    config = (struct s2_space_config){
        .table = guest->rig.setup.config,
        .table_pool = &guest->rig.pool,
        .nodes = guest->nodes,
        .node_count = node_count,
        .memory = size > 0 ? &guest->ops : NULL,
        .vmid = RIG_VMID,
    };
    ck_assert_int_eq(s2_space_init(&guest->space, &config), MAPPING_OK);
    rig_judge(&guest->rig, s2_space_table(&guest->space));
    if (size > 0) {
        monitor_add_window(guest->rig.monitor, RIG_DATA, guest->memory.bytes, size);
    }
    rig_enter(s2_space_table(&guest->space));
    sim_clear();
}

void guest_fini(struct guest *guest)
{
    rig_dismiss(&guest->rig, s2_space_table(&guest->space));
    ck_assert_int_eq(s2_space_fini(&guest->space), MAPPING_OK);
    ck_assert_ptr_null(guest->memory.ptr);
    rig_fini_machine(&guest->rig);
    free(guest->memory.bytes);
}

/* --- Calls ----------------------------------------------------------------------------------- */

enum mapping_error guest_call(struct s2_space *space, enum guest_verb verb, struct guest_area area)
{
    const struct ipa_range range = ipa_range(area.ipa, area.size);

    switch (verb) {
    case GUEST_MAP:
        return s2_space_map_linear(space, range, pa_of(area.pa), area.flags);
    case GUEST_REPLACE:
        return s2_space_replace_linear(space, range, pa_of(area.pa), area.flags);
    case GUEST_UNMAP:
        return s2_space_unmap(space, range);
    case GUEST_PROTECT:
        return s2_space_protect(space, range, area.flags);
    case GUEST_FOLD:
        break;
    }
    return s2_space_fold(space, range);
}

enum mapping_error guest_batch(struct s2_batch *batch, struct s2_space *space, enum guest_verb verb,
                               struct guest_area area)
{
    const struct ipa_range range = ipa_range(area.ipa, area.size);

    switch (verb) {
    case GUEST_MAP:
        return s2_batch_map_linear(batch, space, range, pa_of(area.pa), area.flags);
    case GUEST_REPLACE:
        return s2_batch_replace_linear(batch, space, range, pa_of(area.pa), area.flags);
    case GUEST_UNMAP:
        return s2_batch_unmap(batch, space, range);
    case GUEST_PROTECT:
    case GUEST_FOLD: /* there is none in a batch */
        break;
    }
    return s2_batch_protect(batch, space, range, area.flags);
}

enum mapping_error guest_step(struct s2_space *space, enum guest_verb verb,
                              struct s2_cursor *cursor, mapping_flags_t flags, size_t budget)
{
    if (verb == GUEST_UNMAP) {
        return s2_space_unmap_step(space, cursor, budget);
    }
    return verb == GUEST_PROTECT ? s2_space_protect_step(space, cursor, flags, budget)
                                 : s2_space_fold_step(space, cursor, budget);
}

void guest_map(struct guest *guest, struct guest_area area)
{
    MUST(guest_call(&guest->space, GUEST_MAP, area));
}

void guest_map_all(struct guest *guest, const struct guest_area areas[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        guest_map(guest, areas[i]);
    }
}

void guest_unmap(struct guest *guest, uint64_t ipa, uint64_t size)
{
    MUST(s2_space_unmap(&guest->space, ipa_range(ipa, size)));
}

/* --- Looking --------------------------------------------------------------------------------- */

void guest_assert(struct guest *guest, const struct guest_area areas[], size_t count)
{
    const struct memory_set *set = s2_space_areas(&guest->space);
    const struct memory_area *area = memory_set_first(set);
    struct rig_map maps[GUEST_NODES];

    ck_assert_uint_eq(memory_set_len(set), count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_ptr_nonnull(area);
        ck_assert_uint_eq(area->range.start.raw, areas[i].ipa);
        ck_assert_uint_eq(area->range.size, areas[i].size);
        ck_assert_uint_eq(area->flags, areas[i].flags);
        maps[i] = (struct rig_map){areas[i].ipa, areas[i].size, areas[i].pa,
                                   areas[i].flags & ~S2_BUILD_FLAGS};
        area = memory_set_next(set, area);
    }
    ck_assert_ptr_null(area);
    rig_assert_maps(&guest->rig, s2_space_table(&guest->space), maps, count);
    ck_assert(s2_space_check(&guest->space));
}

/* The rig's snapshots look at its table. */
static void show_table(struct guest *guest)
{
    guest->rig.table = guest->space.table;
}

size_t guest_list(const struct guest *guest, struct memory_area areas[GUEST_NODES])
{
    const struct memory_set *set = s2_space_areas(&guest->space);
    const struct memory_area *area = memory_set_first(set);
    size_t count = 0;

    for (; area != NULL; area = memory_set_next(set, area)) {
        areas[count] = *area;
        count++;
    }
    return count;
}

void guest_snapshot_take(struct guest_snapshot *snapshot, struct guest *guest)
{
    show_table(guest);
    rig_snapshot_take(&snapshot->rig, &guest->rig);
    snapshot->area_count = guest_list(guest, snapshot->areas);
}

void guest_snapshot_assert_same(const struct guest_snapshot *snapshot, struct guest *guest)
{
    struct memory_area areas[GUEST_NODES];

    show_table(guest);
    rig_snapshot_assert_same(&snapshot->rig, &guest->rig);
    ck_assert_uint_eq(guest_list(guest, areas), snapshot->area_count);
    for (size_t i = 0; i < snapshot->area_count; i++) {
        const struct memory_area *old = &snapshot->areas[i];

        ck_assert(ipa_range_eq(areas[i].range, old->range));
        ck_assert_uint_eq(areas[i].flags, old->flags);
        ck_assert_uint_eq(areas[i].tag, old->tag);
        ck_assert(mapping_backend_eq(&areas[i].backend, &old->backend));
    }
    ck_assert(s2_space_check(&guest->space));
}

void guest_snapshot_free(struct guest_snapshot *snapshot)
{
    rig_snapshot_free(&snapshot->rig);
}

size_t guest_flushes(void)
{
    return sim_event_count(SIM_TLBI_VMALLE1IS) + sim_event_count(SIM_TLBI_VMALLS12E1IS);
}

bool guest_is_tlbi(enum sim_kind kind)
{
    return sim_is_tlbi(kind);
}

size_t guest_last_tlbi(void)
{
    const struct sim_event *events = sim_events();
    size_t i = sim_event_total();

    while (i > 0 && !guest_is_tlbi(events[i - 1].kind)) {
        i--;
    }
    return i > 0 ? i - 1 : SIM_NONE;
}
