#include "hyp/story/describe.h"

#include "hyp/machine/machine.h"
#include "hyp/machine/print.h"
#include "hyp/machine/size.h"
#include "hyp/vm/format.h"

static const char *type_name(mapping_flags_t flags)
{
    static const char *const names[] = {"Normal WB",      "Normal NC",   "Device nGnRnE",
                                        "Device nGnRE",   "Device nGRE", "Device GRE",
                                        "Normal stage 1", "Normal WT"};

    return names[MAPPING_FIELD_GET(S2_TYPE, flags)];
}

const char *describe_permissions(mapping_flags_t flags, char text[DESCRIBE_BYTES])
{
    static const char execute[] = {'-', '1', '0', 'x'};

    text[0] = (flags & S2_READ) != 0 ? 'r' : '-';
    text[1] = (flags & S2_WRITE) != 0 ? 'w' : '-';
    text[2] = execute[MAPPING_FIELD_GET(S2_EXEC, flags)];
    text[3] = '\0';
    return text;
}

static void print_size(uint64_t size)
{
    print("%4lu %s", size_number(size), size_unit(size));
}

static void print_range(struct ipa_range range)
{
    print("  0x%09lx..0x%09lx  ", ipa_number(range.start), ipa_number(ipa_range_end(range)) - 1);
}

/* What the library works around by itself. */
static void print_errata(unsigned errata)
{
    if (errata != 0) {
        print("  errata:%s%s%s%s%s\n",
              (errata & S2_ERRATUM_SPECULATIVE_AT) != 0 ? " speculative AT" : "",
              (errata & S2_ERRATUM_REPEAT_TLBI) != 0 ? " TLBI to be repeated" : "",
              (errata & (S2_ERRATUM_ACCESS_FLAG | S2_ERRATUM_DIRTY)) != 0 ? " AF and dirty state"
                                                                          : "",
              (errata & S2_ERRATUM_HCR_WRITE) != 0 ? " HCR_EL2" : "",
              (errata & S2_ERRATUM_COMMON) != 0 ? " CnP" : "");
    }
}

void describe_machine(void)
{
    const struct s2_features *cpu = &machine.cpu;

    print("  CPU: %u-bit PA, %u-bit VMIDs%s%s%s%s%s%s%s\n", cpu->pa_bits, cpu->vmid_bits,
          cpu->has_fwb ? ", FWB" : "", cpu->has_xnx ? ", XNX" : "", cpu->has_ttl ? ", TTL" : "",
          cpu->has_cnp ? ", CnP" : "", cpu->bbm > 1 ? ", BBM 2" : "",
          cpu->hafdbs > 1 ? ", dirty state by hardware" : "",
          cpu->tlb > 1 ? ", TLB invalidation by range" : "");
    print_errata(cpu->errata);
    print("  RAM:");
    print_size(machine.ram_size);
    print(" at 0x%lx; %lu frames for tables, %lu for guests\n", machine.ram_start,
          frame_pool_available(&machine.tables), frame_pool_available(&machine.guests));
}

void describe_areas(struct s2_space *space)
{
    const struct memory_set *areas = s2_space_areas(space);
    char text[DESCRIBE_BYTES];

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
        print(" %s  %s\n", describe_permissions(area->flags, text), type_name(area->flags));
    }
}

void describe_cost(const struct s2_config *config)
{
    const char *reason = NULL;
    struct s2_cost cost;

    if (s2_config_cost(config, &cost, &reason) != MAPPING_OK) {
        print("  impossible: %s\n", reason);
        return;
    }
    print("  tables for %lu %s cost a root of %lu %s (%u tables) and walks of %u levels; leaves of "
          "up "
          "to %lu %s\n",
          size_number(cost.reach), size_unit(cost.reach), size_number(cost.root_bytes),
          size_unit(cost.root_bytes), cost.root_tables, cost.levels, size_number(cost.largest_leaf),
          size_unit(cost.largest_leaf));
}

void describe_formats(void)
{
    const char *separator = "  the CPU offers ";

    for (size_t i = 0; i < FORMAT_COUNT; i++) {
        if (format_is_offered(&formats[i])) {
            print("%s%s", separator, formats[i].name);
            separator = ", ";
        }
    }
    print("\n");
}

static void print_line(void *arg, const char *line)
{
    (void)arg;
    print("  %s\n", line);
}

void describe_table(const struct s2_table *table)
{
    uint64_t reach = MAPPING_BIT(s2_table_geometry(table)->ipa_bits);

    print("  VTCR_EL2 0x%lx, VTTBR_EL2 0x%lx, %lu frames of tables\n", s2_table_vtcr(table),
          s2_table_vttbr(table), s2_table_frame_count(table));
    if (s2_table_dump(table, ipa_range(0, reach), print_line, NULL) != MAPPING_OK) {
        print("  not to be told\n");
    }
}
