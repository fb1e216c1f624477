#include "tests/unit/batch_fixture.h"

#include <string.h>

void crew_init(struct crew *crew, struct rig_setup setup, size_t count)
{
    ck_assert_uint_le(count, CREW_MAX);
    setup.frame_count = setup.frame_count < 128 ? 128 : setup.frame_count;
    rig_init_machine(&crew->rig, setup);
    crew->count = count;
    for (size_t i = 0; i < count; i++) {
        const struct s2_space_config config = {
            .table = crew->rig.setup.config,
            .table_pool = &crew->rig.pool,
            .nodes = crew->nodes[i],
            .node_count = CREW_NODES,
            .vmid = (uint16_t)(RIG_VMID + i),
        };

        MUST(s2_space_init(&crew->spaces[i], &config));
        rig_judge(&crew->rig, s2_space_table(&crew->spaces[i]));
    }
    rig_enter(s2_space_table(&crew->spaces[0]));
    sim_clear();
}

void crew_fini(struct crew *crew)
{
    if (crew->rig.monitor != NULL) {
        monitor_quiesce(crew->rig.monitor);
    }
    while (crew->count > 0) {
        struct s2_space *last = &crew->spaces[--crew->count];

        if (crew->rig.monitor != NULL) {
            monitor_remove_guest(crew->rig.monitor, s2_table_vttbr(s2_space_table(last)));
        }
        MUST(s2_space_fini(last));
    }
    rig_fini_machine(&crew->rig);
}

void crew_map(struct crew *crew, size_t who, uint64_t ipa, uint64_t size, uint64_t pa)
{
    MUST(s2_space_map_linear(&crew->spaces[who], ipa_range(ipa, size), pa_of(pa), RIG_RW));
}

static bool ends_flush(const struct sim_event *event)
{
    return event->kind == SIM_TLBI_VMALLE1IS || event->kind == SIM_TLBI_VMALLS12E1IS;
}

size_t crew_flushes(const struct crew *crew, size_t who)
{
    const uint64_t vttbr = s2_table_vttbr(s2_space_table(&crew->spaces[who]));
    size_t flushes = 0;

    for (size_t i = 0; i < sim_event_total(); i++) {
        flushes += ends_flush(&sim_events()[i]) && sim_events()[i].vttbr == vttbr ? 1 : 0;
    }
    return flushes;
}

static void watch_event(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    struct frame_watch *watch = arg;
    const bool is_back = frame_pool_available(watch->pool) > watch->available ||
                         !frame_pool_is_taken(watch->pool, watch->table, 0);

    if (is_back && watch->flushes == 0) {
        watch->early++;
    }
    if (phase == SIM_AFTER && ends_flush(event) && event->vttbr == watch->vttbr) {
        watch->is_pending = true;
    } else if (phase == SIM_AFTER && event->kind == SIM_DSB_ISH && watch->is_pending) {
        watch->is_pending = false;
        watch->flushes++;
    }
}

void crew_watch(struct crew *crew, struct frame_watch *watch, size_t who, uint64_t ipa)
{
    const s2_desc_t *slot = rig_slot(&crew->rig, s2_space_table(&crew->spaces[who]), ipa);
    pa_t pa;

    ck_assert(sim_memory_pa(&crew->rig.memory, slot, &pa));
    *watch = (struct frame_watch){.pool = &crew->rig.pool,
                                  .available = frame_pool_available(&crew->rig.pool),
                                  .vttbr = s2_table_vttbr(s2_space_table(&crew->spaces[who])),
                                  .table = pa_align_down(pa, rig_page(crew->rig.setup.shape))};
    ck_assert(frame_pool_is_taken(watch->pool, watch->table, 0));
    ck_assert(sim_listen(watch_event, watch));
}

void crew_unwatch(struct frame_watch *watch)
{
    ck_assert(sim_unlisten(watch_event, watch));
    ck_assert(!frame_pool_is_taken(watch->pool, watch->table, 0));
}
