/*
 * tour.h - a guest on some granule, and where its areas are: every kind of leaf once.
 *
 *      runs       two contiguous runs of pages: IPA and PA agree below a run's size
 *      pages      as much as one run: IPA and PA disagree there, so each page is one
 *      block      one block, the next size above; empty if the machine has no such RAM to spare
 *      code       executable
 *      constants  read-only, with TOUR_CONSTANT in the first word
 *      top        the last page that both the input and the guest's own tables reach
 *
 * and the UART, to read only. Addresses are the same for all, sizes follow the granule.
 */
#ifndef TRESTLE_HYP_STORY_TOUR_H
#define TRESTLE_HYP_STORY_TOUR_H

#include "hyp/vm/format.h"
#include "hyp/vm/guest.h"

#define TOUR_HOLE_IPA 0x230000000
#define TOUR_UART_IPA 0x1c090000
#define TOUR_CONSTANT 0x7265737420746865

struct tour {
    struct guest *guest;
    const struct format *format;
    struct s2_config config;
    uint64_t page; /* bytes of a page */
    uint64_t run;  /* of a contiguous run of pages */
    struct ipa_range runs;
    struct ipa_range pages;
    struct ipa_range block;
    struct ipa_range code;
    struct ipa_range constants;
    struct ipa_range top;
};

/* Makes @guest on @format with these areas; boots nothing. Panics where pools are too small. */
void tour_init(struct tour *tour, struct guest *guest, const struct format *format);

/* The chapters of a tour. Each finds the areas as above and leaves them so. */
void tour_honest(const struct tour *tour);  /* MMU, unaligned, atomics, code of its own */
void tour_ram(const struct tour *tour);     /* written and read through every kind of leaf */
void tour_denied(const struct tour *tour);  /* what it must not do */
void tour_runs(const struct tour *tour);    /* runs are broken and made under its feet */
void tour_replace(const struct tour *tour); /* s2_table_replace(), in a table without areas */

#endif
