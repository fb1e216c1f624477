#include "hyp/vm/format.h"

#include "hyp/machine/machine.h"

#define PLAIN_BITS 48
#define WIDE_BITS 52

#define KIB MAPPING_BIT(10)
#define MIB MAPPING_BIT(20)
#define GIB MAPPING_BIT(30)

#define LEAVES_4K (4 * KIB | 2 * MIB | GIB)
#define RUNS_4K (64 * KIB | 32 * MIB | 16 * GIB)
#define LEAVES_16K (16 * KIB | 32 * MIB)
#define RUNS_16K (2 * MIB | GIB)
#define LEAVES_64K (64 * KIB | 512 * MIB)
#define RUNS_64K (2 * MIB | 16 * GIB)

const struct format formats[FORMAT_COUNT] = {
    {.name = "4K pages",
     .guest = "Carol",
     .granule = S2_GRANULE_4K,
     .lpa2 = S2_LPA2_OFF,
     .address_bits = PLAIN_BITS,
     .guest_ipa_bits = 48,
     .guest_root = S2_ROOT_SHALLOW,
     .leaf_sizes = LEAVES_4K,
     .run_sizes = RUNS_4K},
    {.name = "4K pages with LPA2",
     .guest = "Dave",
     .granule = S2_GRANULE_4K,
     .lpa2 = S2_LPA2_ON,
     .address_bits = WIDE_BITS,
     .guest_ipa_bits = 52,
     .guest_root = S2_ROOT_SMALL,
     .leaf_sizes = LEAVES_4K | 512 * GIB,
     .run_sizes = RUNS_4K},
    {.name = "16K pages",
     .guest = "Erin",
     .granule = S2_GRANULE_16K,
     .lpa2 = S2_LPA2_OFF,
     .address_bits = PLAIN_BITS,
     .guest_ipa_bits = 48,
     .guest_root = S2_ROOT_SHALLOW,
     .leaf_sizes = LEAVES_16K,
     .run_sizes = RUNS_16K},
    {.name = "16K pages with LPA2",
     .guest = "Frank",
     .granule = S2_GRANULE_16K,
     .lpa2 = S2_LPA2_ON,
     .address_bits = WIDE_BITS,
     .guest_ipa_bits = 51,
     .guest_root = S2_ROOT_SHALLOW,
     .leaf_sizes = LEAVES_16K | 64 * GIB,
     .run_sizes = RUNS_16K},
    {.name = "64K pages",
     .guest = "Grace",
     .granule = S2_GRANULE_64K,
     .lpa2 = S2_LPA2_AUTO,
     .address_bits = PLAIN_BITS,
     .guest_ipa_bits = 48,
     .guest_root = S2_ROOT_SHALLOW,
     .leaf_sizes = LEAVES_64K,
     .run_sizes = RUNS_64K},
    {.name = "64K pages with LPA",
     .guest = "Heidi",
     .granule = S2_GRANULE_64K,
     .lpa2 = S2_LPA2_AUTO,
     .address_bits = WIDE_BITS,
     .guest_ipa_bits = 52,
     .guest_root = S2_ROOT_SHALLOW,
     .leaf_sizes = LEAVES_64K | 4096 * GIB,
     .run_sizes = RUNS_64K},
};

bool format_is_offered(const struct format *format)
{
    enum s2_granule_support support = s2_features_granule(&machine.cpu, format->granule);

    return support >= (format->address_bits == WIDE_BITS ? S2_GRANULE_52_BITS : S2_GRANULE_48_BITS);
}

unsigned format_ipa_bits_max(const struct format *format)
{
    return (unsigned)mapping_u64_min(format->address_bits, machine.cpu.pa_bits);
}

/* The wide form of 64K is asked for by its output size, the others by name. */
struct s2_config format_config(const struct format *format, unsigned ipa_bits)
{
    bool is_64k = format->granule == S2_GRANULE_64K;
    bool is_wide = format->address_bits == WIDE_BITS;

    return (struct s2_config){
        .cpu = &machine.cpu,
        .granule = format->granule,
        .ipa_bits = ipa_bits,
        .pa_bits = is_64k ? (is_wide ? WIDE_BITS : format_ipa_bits_max(format)) : 0,
        .lpa2 = format->lpa2,
    };
}
