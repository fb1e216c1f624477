#include "stage2/space/statistics.h"

#include "stage2/table/walk.h"

static unsigned count_leaves(struct s2_walk *walk, unsigned count, void *arg)
{
    const s2_desc_t *slot = s2_walk_slot(walk);
    const unsigned run = s2_run_entries(&walk->table->geometry, walk->level);
    struct s2_space_statistics *statistics = arg;
    size_t leaves = 0, members = 0;
    unsigned i = 0;

    MAPPING_ASSERT(count > 0); /* the range is the whole input size */
    while (i < count) {
        const s2_desc_t desc = arch_desc_load(&slot[i]);

        if (s2_desc_is_table(desc, walk->level)) {
            break;
        }
        if (s2_desc_is_leaf(desc, walk->level)) {
            leaves++;
            members += s2_desc_is_contiguous(desc) ? 1 : 0;
        }
        i++;
    }
    MAPPING_ASSERT(members % run == 0);
    statistics->leaves[walk->level - S2_LEVEL_FIRST] += leaves;
    statistics->runs[walk->level - S2_LEVEL_FIRST] += members / run;
    statistics->mapped += (uint64_t)leaves << s2_walk_shift(walk);
    return i;
}

void s2_space_statistics(struct s2_space *space, struct s2_space_statistics *statistics)
{
    static const struct s2_visitor visitor = {.visit = count_leaves};
    struct s2_table *table = &space->table;

    *statistics = (struct s2_space_statistics){.areas = 0};
    mapping_lock_acquire(&space->lock);
    statistics->areas = memory_set_len(&space->set);
    statistics->table_frames = s2_table_frame_count(table);
    statistics->data_pages = table->data_count;
    statistics->data_pages_high = table->data_high;
    statistics->data_quota = table->data_quota;
    statistics->tlb = s2_table_tlb_snapshot(table);
    if (table->root != NULL) {
        (void)s2_walk_visit(table, ipa_range_between(ipa_of(0), table->end), &visitor, statistics);
    }
    mapping_lock_release(&space->lock);
    for (unsigned i = 0; i < S2_SPACE_VERDICTS; i++) {
        statistics->faults[i] = s2_space_fault_count(space, (enum s2_verdict)i);
    }
}
