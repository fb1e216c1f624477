/*
 * format.h - the translation formats of stage 2: a granule, and how wide its addresses are.
 *
 * One image knows them all, and asks the CPU which of them it has.
 */
#ifndef TRESTLE_HYP_VM_FORMAT_H
#define TRESTLE_HYP_VM_FORMAT_H

#include "stage2/arch/geometry.h"

#include <stdbool.h>
#include <stdint.h>

struct format {
    const char *name;
    const char *guest; /* who lives on it */
    enum s2_granule granule;
    enum s2_lpa2 lpa2;
    unsigned address_bits;   /* of IPA and PA at most: 48, or 52 */
    unsigned guest_ipa_bits; /* of its guest, where the CPU's PA has as many */
    enum s2_root guest_root;
    uint64_t leaf_sizes; /* bytes, each a bit: as the manual has them */
    uint64_t run_sizes;  /* of contiguous runs, likewise */
};

#define FORMAT_COUNT 6
extern const struct format formats[FORMAT_COUNT]; /* [0]: 4K pages, which every CPU here has */

/* Whether the CPU has it, by its ID registers alone. */
bool format_is_offered(const struct format *format);

/* The largest input size of @format on this CPU, in bits. */
unsigned format_ipa_bits_max(const struct format *format);

/* A table of @format for @ipa_bits of input, all else by default. */
struct s2_config format_config(const struct format *format, unsigned ipa_bits);

#endif
