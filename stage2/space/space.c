#include "stage2/space/space.h"

#include "stage2/space/locked.h"
#include "stage2/table/mapcount.h"

/* Whether every number that the guest may be given is one that the CPU has. What is wrong with the CPU
 * itself is for s2_table_init() to say. */
static bool vmids_fit(const struct s2_space_config *config)
{
    const struct s2_features *cpu = config->table.cpu;
    const uint32_t last = config->vmids != NULL ? s2_vmid_last(config->vmids) : config->vmid;

    return cpu == NULL || cpu->vmid_bits > 16 || last < BIT(cpu->vmid_bits);
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
    memory_set_init(&space->set, config->nodes, config->node_count);
    lock_init(&space->lock);
    return error;
}

/* --- Verbs ----------------------------------------------------------------------------------- */

void s2_space_open(struct s2_space *space)
{
    lock_acquire(&space->lock);
    s2_table_begin(&space->table);
}

void s2_space_close(struct s2_space *space)
{
    s2_table_end(&space->table);
    lock_release(&space->lock);
}

enum mapping_error s2_locked_map_linear(struct s2_space *space, const struct memory_area *area,
                                        enum overlap_policy policy)
{
    MAPPING_ASSERT(lock_is_held(&space->lock));

    if (!s2_table_is_range(&space->table, area->range)) {
        return MAPPING_INVALID_PARAM;
    }
    return memory_set_map(&space->set, *area, &space->table, policy);
}

enum mapping_error s2_locked_unmap(struct s2_space *space, struct ipa_range range)
{
    MAPPING_ASSERT(lock_is_held(&space->lock));

    if (!s2_table_is_range(&space->table, range)) {
        return MAPPING_INVALID_PARAM;
    }
    return memory_set_unmap(&space->set, range, &space->table);
}

bool s2_protect_reaches(const struct s2_format *format, mapping_flags_t old_flags,
                        mapping_flags_t flags)
{
    return s2_flags_protected(old_flags, flags) != old_flags ||
           s2_hardware_flags(format, old_flags) != 0;
}

/* The flags that areas get, and what their leaves are made of. */
struct gift {
    const struct s2_format *format;
    mapping_flags_t flags;
};

static bool give_flags(mapping_flags_t old_flags, void *arg, mapping_flags_t *new_flags)
{
    const struct gift *gift = arg;

    *new_flags = s2_flags_protected(old_flags, gift->flags);
    return s2_protect_reaches(gift->format, old_flags, gift->flags);
}

enum mapping_error s2_locked_protect(struct s2_space *space, struct ipa_range range,
                                     mapping_flags_t flags)
{
    enum mapping_error error = MAPPING_INVALID_PARAM;
    struct gift gift = {&space->table.format, flags};

    MAPPING_ASSERT(lock_is_held(&space->lock));
    if (s2_table_is_range(&space->table, range)) {
        error = s2_table_check_flags(&space->table, flags);
    }
    return error == MAPPING_OK
               ? memory_set_protect(&space->set, range, give_flags, &gift, &space->table)
               : error;
}

static enum mapping_error map_linear(struct s2_space *space, const struct memory_area *area,
                                     enum overlap_policy policy)
{
    enum mapping_error error;

    s2_space_open(space);
    error = s2_locked_map_linear(space, area, policy);
    s2_space_close(space);
    return error;
}

enum mapping_error s2_space_map_linear(struct s2_space *space, struct ipa_range range, pa_t pa,
                                       mapping_flags_t flags)
{
    const struct memory_area area = s2_linear_area(range, pa, flags);

    return map_linear(space, &area, OVERLAP_REJECT);
}

enum mapping_error s2_space_replace_linear(struct s2_space *space, struct ipa_range range, pa_t pa,
                                           mapping_flags_t flags)
{
    const struct memory_area area = s2_linear_area(range, pa, flags);

    return map_linear(space, &area, OVERLAP_UNMAP);
}

enum mapping_error s2_space_unmap(struct s2_space *space, struct ipa_range range)
{
    enum mapping_error error;

    s2_space_open(space);
    error = s2_locked_unmap(space, range);
    s2_space_close(space);
    return error;
}

enum mapping_error s2_space_protect(struct s2_space *space, struct ipa_range range,
                                    mapping_flags_t flags)
{
    enum mapping_error error;

    s2_space_open(space);
    error = s2_locked_protect(space, range, flags);
    s2_space_close(space);
    return error;
}

enum mapping_error s2_space_lookup(struct s2_space *space, ipa_t addr, struct s2_leaf *leaf)
{
    enum mapping_error error;

    lock_acquire(&space->lock);
    error = s2_table_lookup(&space->table, addr, leaf);
    lock_release(&space->lock);
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

/* Whether all areas can be folded, those that are alike joined as memory_set_merge() would: one that
 * cannot is known before anything is joined. */
static bool may_fold(const struct s2_space *space, struct ipa_range range)
{
    const struct memory_area *area = memory_set_first(&space->set);
    const struct memory_area *next;
    bool is_allowed = true;

    for (; area != NULL && is_allowed; area = next) {
        struct ipa_range joined = area->range;

        next = memory_set_next(&space->set, area);
        while (next != NULL && memory_area_continues(area, next)) {
            joined = ipa_range_join(joined, next->range);
            area = next;
            next = memory_set_next(&space->set, area);
        }
        is_allowed = !ipa_range_overlaps(joined, range) ||
                     s2_table_may_fold(&space->table, ipa_range_meet(joined, range), area->flags);
    }
    return is_allowed;
}

/* Area by area, so that no block or run spans two, and each keeps to its own caps. */
static enum mapping_error fold_areas(struct s2_space *space, struct ipa_range range)
{
    const struct memory_area *area = memory_set_first(&space->set);
    enum mapping_error error = MAPPING_OK;

    MAPPING_ASSERT(lock_is_held(&space->lock));
    for (; area != NULL && error == MAPPING_OK; area = memory_set_next(&space->set, area)) {
        if (ipa_range_overlaps(area->range, range)) {
            error = s2_table_fold_within(&space->table, ipa_range_meet(area->range, range),
                                         area->flags);
        }
    }
    return error;
}

enum mapping_error s2_space_fold(struct s2_space *space, struct ipa_range range)
{
    enum mapping_error error = MAPPING_INVALID_PARAM;

    s2_space_open(space);
    if (s2_table_is_range(&space->table, range)) {
        error = may_fold(space, range) ? memory_set_merge(&space->set, range) : MAPPING_DENIED;
    }
    if (error == MAPPING_OK) {
        error = fold_areas(space, range);
    }
    s2_space_close(space);
    return error;
}

/* --- Check ----------------------------------------------------------------------------------- */

/* Whether a leaf with @flags may follow from an area with @wanted: all alike, but for what the
 * hardware sets by itself. */
static bool flags_follow(const struct s2_table *table, mapping_flags_t flags,
                         mapping_flags_t wanted)
{
    const mapping_flags_t hardware = s2_hardware_flags(&table->format, wanted);

    return ((flags ^ wanted) & S2_LEAF_FLAGS & ~hardware) == 0;
}

/* Whether the leaf at @at is as @area says; *next: where to go on. */
static bool leaf_follows(const struct s2_space *space, const struct memory_area *area, ipa_t at,
                         ipa_t *next)
{
    struct s2_leaf leaf;

    if (s2_table_lookup(&space->table, at, &leaf) != MAPPING_OK) {
        return false;
    }
    *next = ipa_range_end((struct ipa_range){ipa_align_down(at, leaf.size), leaf.size});
    return pa_eq(leaf.pa, s2_linear_pa(&area->backend, at)) &&
           flags_follow(&space->table, leaf.flags, area->flags);
}

static bool area_is_mapped(const struct s2_space *space, const struct memory_area *area)
{
    const ipa_t end = ipa_range_end(area->range);
    ipa_t at = area->range.start;

    while (ipa_lt(at, end)) {
        if (!leaf_follows(space, area, at, &at)) {
            return false;
        }
    }
    return true;
}

/* Whether nothing is mapped in [@at, @end). */
static bool gap_is_empty(const struct s2_space *space, ipa_t at, ipa_t end)
{
    struct s2_leaf hole;

    while (ipa_lt(at, end)) {
        if (s2_table_lookup(&space->table, at, &hole) != MAPPING_NOT_FOUND) {
            return false;
        }
        at = ipa_range_end((struct ipa_range){ipa_align_down(at, hole.size), hole.size});
    }
    return true;
}

static bool tables_follow_areas(const struct s2_space *space)
{
    const struct memory_area *area = memory_set_first(&space->set);
    ipa_t at = ipa_of(0);

    for (; area != NULL; area = memory_set_next(&space->set, area)) {
        if (!gap_is_empty(space, at, area->range.start) || !area_is_mapped(space, area) ||
            !s2_table_is_data(&space->table, s2_linear_pa(&area->backend, area->range.start),
                              area->range.size) ||
            !s2_mapcount_is_counted(&space->table, s2_linear_pa(&area->backend, area->range.start),
                                    area->range.size)) {
            return false;
        }
        at = ipa_range_end(area->range);
    }
    return gap_is_empty(space, at, ipa_of(BIT(space->table.geometry.ipa_bits)));
}

bool s2_space_check(struct s2_space *space)
{
    bool is_sound;

    lock_acquire(&space->lock);
    is_sound = memory_set_check(&space->set) && s2_table_check(&space->table) &&
               tables_follow_areas(space);
    lock_release(&space->lock);
    return is_sound;
}
