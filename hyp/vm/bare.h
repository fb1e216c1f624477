/*
 * bare.h - one access by a guest that is nothing else, under whatever tables are in place.
 *
 * AT S12E1R and AT S12E1W only say what an access would do; this does it. Stage 1 is off, so the VA
 * is the IPA. What stage 2 refuses touches no memory, and so may be tried where there is none.
 */
#ifndef TRESTLE_HYP_VM_BARE_H
#define TRESTLE_HYP_VM_BARE_H

#include "hyp/vm/abort.h"
#include "stage2/trestle.h"

#include <stdbool.h>
#include <stdint.h>

/* Puts the program that does it at the start of @page, of 4 KiB at least, and cleans it as far as
 * a fetch needs. The instruction caches are the caller's: to map the page executable does it. */
void bare_put_program(void *page);

struct bare_result {
    bool is_done;
    uint8_t value;         /* that a load found */
    struct s2_fault abort; /* if it was not done: why; S2_FAULT_OTHER for what is no abort */
};

/**
 * bare_access() - Load or store one byte from EL1.
 * @table:   whose registers are in place (vcpu_load_by_hand(), vcpu_load_table()); no vCPU is.
 * @program: where it shows, readable and executable, what bare_put_program() was given.
 * @access:  S2_ACCESS_READ; or S2_ACCESS_WRITE, of @value.
 */
struct bare_result bare_access(const struct s2_table *table, ipa_t program, enum s2_access access,
                               uint64_t address, uint8_t value);

#endif
