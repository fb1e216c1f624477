#include "hyp/story/extent.h"

#include "hyp/machine/machine.h"

bool extent_at(const struct s2_table *table, ipa_t addr, struct extent *extent)
{
    struct s2_leaf leaf;
    enum mapping_error error = s2_table_lookup(table, addr, &leaf);
    uint64_t start;

    if (error != MAPPING_OK && error != MAPPING_NOT_FOUND) {
        return false;
    }
    start = mapping_u64_align_down(ipa_number(addr), leaf.size);
    extent->range = ipa_range(start, leaf.size);
    extent->is_leaf = error == MAPPING_OK;
    extent->leaf = leaf;
    if (extent->is_leaf) {
        extent->leaf.pa = pa_of(mapping_u64_align_down(pa_number(leaf.pa), leaf.size));
    }
    return true;
}

bool extent_next(const struct s2_table *table, struct extent *extent)
{
    return extent_at(table, ipa_range_end(extent->range), extent);
}
