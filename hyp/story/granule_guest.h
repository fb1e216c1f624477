/*
 * granule_guest.h - a guest on some granule, and where its areas are: every kind of leaf once.
 *
 *      runs       two contiguous runs of pages: IPA and PA agree below a run's size
 *      pages      as much as one run: IPA and PA disagree there, so each page is one
 *      block      one block, the next size above; empty if the machine has no such RAM to spare
 *      code       executable
 *      constants  read-only, with GRANULE_CONSTANT in the first word
 *      top        the last page that both the input and the guest's own tables reach
 *
 * and the UART, to read only. Addresses are the same for all, sizes follow the granule.
 */
#ifndef TRESTLE_HYP_STORY_GRANULE_GUEST_H
#define TRESTLE_HYP_STORY_GRANULE_GUEST_H

#include "hyp/vm/format.h"
#include "hyp/vm/guest.h"

#define GRANULE_HOLE_IPA 0x230000000
#define GRANULE_UART_IPA 0x1c090000
#define GRANULE_CONSTANT 0x7265737420746865

struct granule_guest {
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
void granule_guest_init(struct granule_guest *on, struct guest *guest, const struct format *format);

/* The chapters of a on. Each finds the areas as above and leaves them so. */
void granule_el1(const struct granule_guest *on); /* MMU, unaligned, atomics, code of its own */
void granule_ram(const struct granule_guest *on); /* written and read through every kind of leaf */
void granule_refused(const struct granule_guest *on); /* what it must not do */
void granule_runs(const struct granule_guest *on);    /* runs are broken and made while it runs */
void granule_replace(
    const struct granule_guest *on); /* s2_table_replace(), in a table without areas */

#endif
