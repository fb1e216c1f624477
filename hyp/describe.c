#include "hyp/describe.h"

#include "hyp/extent.h"
#include "hyp/machine.h"
#include "hyp/print.h"

#define TEXT_BYTES 12

static const char *type_name(mapping_flags_t flags)
{
    static const char *const names[] = {"Normal WB",      "Normal NC",   "Device nGnRnE",
                                        "Device nGnRE",   "Device nGRE", "Device GRE",
                                        "Normal stage 1", "Normal WT"};

    return names[FIELD_GET(S2_TYPE, flags)];
}

/* "rwx"; where EL1 and EL0 differ, x is 1 or 0: who may execute. */
static const char *permissions_text(mapping_flags_t flags, char text[TEXT_BYTES])
{
    static const char execute[] = {'-', '1', '0', 'x'};

    text[0] = (flags & S2_READ) != 0 ? 'r' : '-';
    text[1] = (flags & S2_WRITE) != 0 ? 'w' : '-';
    text[2] = execute[FIELD_GET(S2_EXEC, flags)];
    text[3] = '\0';
    return text;
}

/* "4 KiB", "16 MiB", "1 GiB": in the largest unit that leaves no rest. */
static void print_size(uint64_t size)
{
    static const char units[] = {'K', 'M', 'G', 'T'};
    unsigned unit = 0;

    size /= BIT(10);
    while (size % BIT(10) == 0 && unit + 1 < sizeof(units)) {
        size /= BIT(10);
        unit++;
    }
    print("%4lu %ciB", size, units[unit]);
}

static void print_range(struct ipa_range range)
{
    print("  0x%09lx..0x%09lx  ", ipa_number(range.start), ipa_number(ipa_range_end(range)) - 1);
}

void describe_machine(void)
{
    const struct s2_features *cpu = &machine.cpu;

    print("  CPU: %u-bit PA, %u-bit VMIDs%s%s%s%s%s\n", cpu->pa_bits, cpu->vmid_bits,
          cpu->has_fwb ? ", FWB" : "", cpu->has_xnx ? ", XNX" : "", cpu->has_ttl ? ", TTL" : "",
          cpu->hafdbs > 1 ? ", dirty state by hardware" : "",
          cpu->tlb > 1 ? ", TLB invalidation by range" : "");
    print("  RAM:");
    print_size(machine.ram_size);
    print(" at 0x%lx; %lu frames for tables, %lu for guests\n", machine.ram_start,
          frame_pool_available(&machine.tables), frame_pool_available(&machine.guests));
}

void describe_areas(struct s2_space *space)
{
    const struct memory_set *areas = s2_space_areas(space);
    char text[TEXT_BYTES];

    print("  %-26s  %8s  %-12s rwx  memory\n", "IPA", "size", "PA");
    for (const struct memory_area *area = memory_set_first(areas); area != NULL;
         area = memory_set_next(areas, area)) {
        struct s2_leaf leaf = {0};

        print_range(area->range);
        print_size(area->range.size);
        if (s2_space_lookup(space, area->range.start, &leaf) == MAPPING_OK) {
            print("  0x%09lx ", pa_number(leaf.pa));
        } else {
            print("  %-12s", "-");
        }
        print(" %s  %s\n", permissions_text(area->flags, text), type_name(area->flags));
    }
}

/* Leaves side by side, in IPA and in PA, and alike. */
struct run {
    struct extent first;
    uint64_t leaves;
};

static bool continues(const struct run *run, const struct extent *extent)
{
    uint64_t bytes = run->leaves * run->first.range.size;

    return run->leaves != 0 && extent->range.size == run->first.range.size &&
           extent->leaf.flags == run->first.leaf.flags &&
           ipa_eq(extent->range.start, ipa_add(run->first.range.start, bytes)) &&
           pa_eq(extent->leaf.pa, pa_add(run->first.leaf.pa, bytes));
}

static void print_run(const struct run *run)
{
    const struct s2_leaf *leaf = &run->first.leaf;
    char text[TEXT_BYTES];

    if (run->leaves == 0) {
        return;
    }
    print_range(ipa_range(ipa_number(run->first.range.start), run->leaves * leaf->size));
    print("->  0x%09lx  %4lu x", pa_number(leaf->pa), run->leaves);
    print_size(leaf->size);
    print("  level %d  %s  %s\n", leaf->level, permissions_text(leaf->flags, text),
          type_name(leaf->flags));
}

void describe_table(const struct s2_table *table)
{
    struct extent extent;
    struct run run = {.leaves = 0};

    print("  VTCR_EL2 0x%lx, VTTBR_EL2 0x%lx, %lu frames of tables\n", s2_table_vtcr(table),
          s2_table_vttbr(table), s2_table_frame_count(table));
    for (bool more = extent_at(table, ipa_of(0), &extent); more;
         more = extent_next(table, &extent)) {
        if (extent.is_leaf && continues(&run, &extent)) {
            run.leaves++;
            continue;
        }
        print_run(&run);
        run = (struct run){.first = extent, .leaves = extent.is_leaf};
    }
    print_run(&run);
}
