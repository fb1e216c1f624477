/* A stranger's program, built from what was installed: a guest of bytes. */
#include "core/memory_set.h"

#include <stdint.h>

static mapping_flags_t page_flags[16]; /* by page of 4 KiB; 0: not mapped */

static enum mapping_error set_pages(struct ipa_range range, mapping_flags_t flags)
{
    uint64_t first = ipa_distance(ipa_of(0), range.start) / 4096;

    for (uint64_t i = 0; i < range.size / 4096; i++) {
        page_flags[first + i] = flags;
    }
    return MAPPING_OK;
}

static enum mapping_error map(const struct mapping_backend *self, struct ipa_range range,
                              mapping_flags_t flags, void *page_table)
{
    (void)self, (void)page_table;
    return set_pages(range, flags);
}

static enum mapping_error unmap(const struct mapping_backend *self, struct ipa_range range,
                                void *page_table)
{
    (void)self, (void)page_table;
    return set_pages(range, 0);
}

static const struct mapping_backend_ops bytes = {.map = map, .unmap = unmap, .protect = map};

int main(void)
{
    static struct memory_node nodes[4];
    struct memory_set set;
    struct memory_area ram = {.range = ipa_range(0, 0x8000), .flags = 3, .backend = {&bytes, 0}};

    memory_set_init(&set, nodes, 4);
    if (memory_set_map(&set, ram, NULL, OVERLAP_REJECT) != MAPPING_OK ||
        memory_set_unmap(&set, ipa_range(0x2000, 0x1000), NULL) != MAPPING_OK) {
        return 1;
    }
    return memory_set_len(&set) == 2 && page_flags[1] == 3 && page_flags[2] == 0 ? 0 : 2;
}
