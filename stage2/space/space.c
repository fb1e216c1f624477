#include "stage2/space/space.h"

/* Whether every number that the guest may be given is one that the CPU has. What is wrong with the
 * CPU itself is for s2_table_init() to say. */
static bool vmids_fit(const struct s2_space_config *config)
{
    const struct s2_features *cpu = config->table.cpu;
    const uint32_t last = config->vmids != NULL ? s2_vmid_last(config->vmids) : config->vmid;

    return cpu == NULL || cpu->vmid_bits > 16 || last < MAPPING_BIT(cpu->vmid_bits);
}

/* What is wrong with it, its table and that table's pool aside. */
static const char *own_reason(const struct s2_space_config *config)
{
    const struct s2_memory_ops *memory = config->memory;

    if (config->nodes == NULL && config->node_count != 0) {
        return "a number of nodes, but no nodes given";
    }
    if (memory != NULL && (memory->open == NULL || memory->close == NULL)) {
        return "the memory ops lack open or close";
    }
    if (config->vmids != NULL && s2_vmid_last(config->vmids) == S2_VMID_NOBODY) {
        return "the allocator of VMIDs was never begun";
    }
    return vmids_fit(config) ? NULL : "a VMID is wider than the CPU has them";
}

const char *s2_space_init_reason(const struct s2_space_config *config)
{
    const char *reason = own_reason(config);

    return reason != NULL ? reason : s2_table_init_reason(&config->table, config->table_pool);
}

enum mapping_error s2_space_init(struct s2_space *space, const struct s2_space_config *config)
{
    enum mapping_error error;

    MAPPING_ASSERT(space != NULL);
    MAPPING_ASSERT(config != NULL);

    if (own_reason(config) != NULL) {
        return MAPPING_INVALID_PARAM;
    }
    error = s2_table_init(&space->table, &config->table, config->table_pool);
    if (error != MAPPING_OK) {
        return error;
    }
    if (config->vmids != NULL) {
        error = s2_table_set_vmids(&space->table, config->vmids);
        MAPPING_ASSERT(error == MAPPING_OK); /* they fit */
    } else {
        s2_table_set_vmid(&space->table, config->vmid);
    }
    s2_table_set_memory(&space->table, config->memory);
    space->table.data_quota = config->data_quota;
    memory_set_init(&space->set, config->nodes, config->node_count);
    mapping_lock_init(&space->lock);
    space->reclaimed = ipa_of(0);
    for (unsigned i = 0; i < S2_SPACE_VERDICTS; i++) {
        MAPPING_ATOMIC_INIT(&space->faults[i], 0);
    }
    return error;
}

enum mapping_error s2_space_lookup(struct s2_space *space, ipa_t addr, struct s2_leaf *leaf)
{
    enum mapping_error error;

    mapping_lock_acquire(&space->lock);
    error = s2_table_lookup(&space->table, addr, leaf);
    mapping_lock_release(&space->lock);
    return error;
}

const struct s2_table *s2_space_table(const struct s2_space *space)
{
    return &space->table;
}

const struct memory_set *s2_space_areas(const struct s2_space *space)
{
    return &space->set;
}
