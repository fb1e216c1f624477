#include "hyp/machine/print.h"
#include "hyp/machine/sysreg.h"
#include "hyp/story/expect.h"
#include "hyp/story/pair.h"
#include "hyp/story/small.h"
#include "hyp/story/topics.h"
#include "hyp/vm/format.h"

/* One exercise of two guests (hyp/story/pair.h), many variants: they must not see a difference.
 * What was sent is counted. */
#define TLB_HAS_RANGES 2

struct variant {
    const char *name;
    enum s2_lpa2 lpa2;
    enum s2_tlb_ranges ranges;
    enum s2_tlbi_repeat repeat;
    enum s2_relax relax;
    enum s2_common common;
};

enum variant_name {
    VARIANT_NO_RANGES,
    VARIANT_DEFAULT,
    VARIANT_LPA2,
    VARIANT_LPA2_RANGES,
    VARIANT_TWICE,
    VARIANT_ERRATA,
    VARIANT_HERE,
    VARIANT_COMMON,
    VARIANT_COUNT,
};

static const struct variant variants[VARIANT_COUNT] = {
    [VARIANT_NO_RANGES] = {.name = "no ranges",
                           .lpa2 = S2_LPA2_OFF,
                           .repeat = S2_TLBI_ONCE,
                           .ranges = S2_TLB_RANGES_OFF},
    [VARIANT_DEFAULT] = {.name = "by default", .lpa2 = S2_LPA2_OFF, .repeat = S2_TLBI_ONCE},
    [VARIANT_LPA2] = {.name = "LPA2", .lpa2 = S2_LPA2_ON, .repeat = S2_TLBI_ONCE},
    [VARIANT_LPA2_RANGES] = {.name = "LPA2, ranges",
                             .lpa2 = S2_LPA2_ON,
                             .repeat = S2_TLBI_ONCE,
                             .ranges = S2_TLB_RANGES_ON},
    [VARIANT_TWICE] = {.name = "each twice", .lpa2 = S2_LPA2_OFF, .repeat = S2_TLBI_TWICE},
    [VARIANT_ERRATA] = {.name = "by its errata", .lpa2 = S2_LPA2_OFF, .repeat = S2_TLBI_AUTO},
    [VARIANT_HERE] = {.name = "relax here",
                      .lpa2 = S2_LPA2_OFF,
                      .repeat = S2_TLBI_ONCE,
                      .relax = S2_RELAX_HERE},
    [VARIANT_COMMON] = {.name = "common (CnP)",
                        .lpa2 = S2_LPA2_OFF,
                        .repeat = S2_TLBI_ONCE,
                        .common = S2_COMMON_PROMISED},
};

static bool has_lpa2(void)
{
    return machine.cpu.granule_4k == S2_GRANULE_52_BITS;
}

static bool has_ranges(void)
{
    return machine.cpu.tlb >= TLB_HAS_RANGES;
}

/* --- What was sent ------------------------------------------------------------------------ */

static void add(struct s2_tlb_counters *sum, const struct guest *guest)
{
    const struct s2_tlb_counters *sent = s2_table_tlb_counters(s2_space_table(&guest->space));

    sum->flushes += sent->flushes;
    sum->by_address += sent->by_address;
    sum->by_range += sent->by_range;
    sum->stage1 += sent->stage1;
    sum->whole += sent->whole;
    sum->saved += sent->saved;
}

static void print_row(const char *name, const struct s2_tlb_counters *sent)
{
    print("          %-13s %6lu  %10lu  %8lu  %7lu  %6lu  %11lu\n", name, sent->flushes,
          sent->by_address, sent->by_range, sent->stage1, sent->whole, sent->saved);
}

static void print_table(const struct s2_tlb_counters sent[VARIANT_COUNT])
{
    print("          %-13s %6s  %10s  %8s  %7s  %6s  %11s\n", "sent", "flushes", "by address",
          "by range", "stage 1", "whole", "TLBIs saved");
    for (unsigned i = 0; i < VARIANT_COUNT; i++) {
        if (sent[i].flushes != 0) {
            print_row(variants[i].name, &sent[i]);
        }
    }
}

static bool is_equal(const struct s2_tlb_counters *a, const struct s2_tlb_counters *b)
{
    return a->flushes == b->flushes && a->by_address == b->by_address &&
           a->by_range == b->by_range && a->stage1 == b->stage1 && a->whole == b->whole &&
           a->saved == b->saved;
}

static bool is_double(const struct s2_tlb_counters *twice, const struct s2_tlb_counters *once)
{
    return twice->flushes == once->flushes && twice->by_address == 2 * once->by_address &&
           twice->by_range == 2 * once->by_range && twice->stage1 == 2 * once->stage1 &&
           twice->whole == 2 * once->whole && twice->saved == once->saved;
}

static void check_ranges(const struct s2_tlb_counters *with, const struct s2_tlb_counters *without)
{
    if (has_ranges()) {
        check(with->by_range != 0 && with->whole == 0 && with->by_address < without->by_address &&
                  with->saved > without->saved,
              "with ranges: fewer TLBIs, and never a whole VMID for a part of it");
    } else {
        print("  (not on this CPU: ranges)\n");
        check(is_equal(with, without), "so by default it is as without");
    }
}

/* Ranges have no local form here: what is relaxed where the guest is loaded goes by address. */
static void check_here(const struct s2_tlb_counters *here, const struct s2_tlb_counters *usual)
{
    if (has_ranges()) {
        check(here->flushes == usual->flushes && here->by_range < usual->by_range &&
                  here->by_address > usual->by_address,
              "relaxed here: some TLBIs are local now, and by address");
    } else {
        check(is_equal(here, usual), "relaxed here: as many TLBIs, some of them local");
    }
}

static void check_counts(const struct s2_tlb_counters sent[VARIANT_COUNT])
{
    const struct s2_tlb_counters *usual = &sent[VARIANT_DEFAULT];

    check(sent[VARIANT_NO_RANGES].by_range == 0 && sent[VARIANT_NO_RANGES].whole != 0 &&
              sent[VARIANT_NO_RANGES].stage1 + sent[VARIANT_NO_RANGES].whole ==
                  sent[VARIANT_NO_RANGES].flushes,
          "without ranges: what is more than 64 pages goes by the whole VMID");
    check_ranges(usual, &sent[VARIANT_NO_RANGES]);
    if (has_lpa2()) {
        check(is_equal(&sent[VARIANT_LPA2], &sent[VARIANT_NO_RANGES]),
              "LPA2 by default: as without ranges");
        check((sent[VARIANT_LPA2_RANGES].by_range != 0) == has_ranges() &&
                  (sent[VARIANT_LPA2_RANGES].whole == 0) == has_ranges(),
              "LPA2 with ranges asked for: used, if the CPU has them");
    }
    check(is_double(&sent[VARIANT_TWICE], usual),
          "each twice: the same flushes with twice the TLBIs");
    if ((machine.cpu.errata & S2_ERRATUM_REPEAT_TLBI) != 0) {
        check(is_equal(&sent[VARIANT_ERRATA], &sent[VARIANT_TWICE]),
              "by its errata: this CPU asks for each twice");
    } else {
        check(is_equal(&sent[VARIANT_ERRATA], usual),
              "by its errata: this CPU is content with each once");
    }
    check_here(&sent[VARIANT_HERE], usual);
    check(is_equal(&sent[VARIANT_COMMON], usual), "common: nothing is sent that was not before");
}

/* --- The variants ---------------------------------------------------------------------------- */

static struct s2_config config_of(const struct variant *variant)
{
    struct s2_config config = small_config();

    config.lpa2 = variant->lpa2;
    config.tlb_ranges = variant->ranges;
    config.tlbi_repeat = variant->repeat;
    config.relax = variant->relax;
    config.common = variant->common;
    return config;
}

/* What the CPU runs the guest under right now. */
static bool has_common(void)
{
    return (read_vttbr_el2() & VTTBR_CNP) != 0;
}

static void run(const struct variant *variant, struct s2_tlb_counters *sent)
{
    static struct guest uma, vic;
    struct guest *guests[PAIR] = {&uma, &vic};
    const struct s2_config config = config_of(variant);
    bool is_common = variant->common == S2_COMMON_PROMISED && machine.cpu.has_cnp;
    bool holds = small_make(&uma, "Uma", &config) && small_make(&vic, "Vic", &config);

    holds = holds && pair_check(guests);
    holds = expect_part(has_common() == is_common, "VTTBR_EL2.CnP is as promised") && holds;
    check(holds, "%s: Uma and Vic keep what is theirs, and lose what is taken", variant->name);
    add(sent, &uma);
    add(sent, &vic);
    guest_fini(&uma);
    guest_fini(&vic);
}

void topic_invalidation(void)
{
    struct s2_tlb_counters sent[VARIANT_COUNT] = {{.flushes = 0}};

    for (unsigned i = 0; i < VARIANT_COUNT; i++) {
        if (variants[i].lpa2 == S2_LPA2_ON && !has_lpa2()) {
            print("  (not on this CPU: %s)\n", variants[i].name);
        } else {
            run(&variants[i], &sent[i]);
        }
    }
    if (!machine.cpu.has_cnp) {
        print("  (not on this CPU: CnP, so what is common stays the CPU's own)\n");
    }
    if (!machine.cpu.has_xs) {
        print("  (not on this CPU: nXS forms)\n");
    }
    print_table(sent);
    check_counts(sent);
}
