/*
 * oracle.h - asks the CPU about addresses, and compares with what the library says of them.
 *
 * AT S12E1R and AT S12E1W walk the tables as an access would. With HCR_EL2.DC the guest's stage 1
 * is off, and gives Normal write-back: so what comes out is stage 2's doing. To a leaf AT may do
 * nothing but set its AF, where hardware does.
 *
 * Two things are no question for AT, but are done for real, by a guest (hyp/vm/bare.h):
 *  - what the library's permissions forbid. It says more, and touches no memory; and QEMU 10.0.2
 *  ends
 *    by an assertion of its own when AT meets such a refusal.
 *  - a store to a page that is writable, but that nobody has written yet: some emulators' AT is
 *  wrong
 *    there (hyp/story/at_habits.h). The wrong answer is expected of it then, but only where the
 *    store is
 *    done too.
 */
#ifndef TRESTLE_HYP_STORY_ORACLE_H
#define TRESTLE_HYP_STORY_ORACLE_H

#include "stage2/trestle.h"

#include <stddef.h>
#include <stdint.h>

struct oracle {
    const struct s2_table *table;
    ipa_t program;        /* where a guest has what does its accesses */
    struct ipa_range ram; /* where it stores: oracle_store() */
    uint64_t asked;       /* addresses, each for a read and for a write */
    uint64_t readable;    /* of these: what the library said */
    uint64_t writable;
    uint64_t holes;
    uint64_t wrong;      /* the CPU said something else */
    uint64_t leaf_sizes; /* that were asked about, bytes, each a bit */
    uint64_t run_sizes;  /* of contiguous runs, likewise */
    uint64_t stored;     /* guest's stores that were done */
    uint64_t refused;    /* its loads and stores that were not */
    uint64_t random;
};

/* Loads @table's registers, with DC, and starts counting. @program: where @table shows what was
 * given to bare_put_program(). By hand: @table's VMID was given to it, and is none of
 * machine.vmids. */
void oracle_begin(struct oracle *oracle, struct s2_table *table, ipa_t program);
void oracle_begin_by_hand(struct oracle *oracle, const struct s2_table *table, ipa_t program);
void oracle_end(struct oracle *oracle);

/* A guest stores at the start and the end of each granule of @ram, which has memory of
 * machine.guests wherever it is mapped. What is writable takes it, also where nobody has written
 * yet, and becomes dirty; all else refuses it, and stays as it is. */
void oracle_store(struct oracle *oracle, struct ipa_range ram);

/* One address. */
void oracle_ask(struct oracle *oracle, uint64_t address);

/* The borders and the middle of leaves and holes, and what is around the input size and the CPU's
 * PA size. Where many of a kind lie side by side, of the first, second, fourth, eighth and so on,
 * and of the last. */
void oracle_ask_extents(struct oracle *oracle);

/* @count pseudo-random addresses: half of them inside @ranges, the others up to twice the input
 * size. */
void oracle_ask_random(struct oracle *oracle, const struct ipa_range ranges[], size_t range_count,
                       unsigned count);

/* Adds what @part counted to @sum. */
void oracle_add(struct oracle *sum, const struct oracle *part);

#endif
