/*
 * oracle.h - asks the CPU about addresses, and compares with what the library says of them.
 *
 * AT S12E1R and AT S12E1W walk the tables as an access would. With HCR_EL2.DC the guest's stage 1
 * is off, and gives Normal write-back: so what comes out is stage 2's doing.
 */
#ifndef TRESTLE_HYP_ORACLE_H
#define TRESTLE_HYP_ORACLE_H

#include "stage2/table.h"

#include <stddef.h>
#include <stdint.h>

struct oracle {
    const struct s2_table *table;
    uint64_t asked;    /* addresses, each for a read and for a write */
    uint64_t readable; /* of these: what the library said */
    uint64_t writable;
    uint64_t holes;
    uint64_t wrong;      /* the CPU said something else */
    uint64_t leaf_sizes; /* that were asked about, bytes, each a bit */
    uint64_t run_sizes;  /* of contiguous runs, likewise */
    uint64_t random;
};

/* Loads @table's registers, with DC, and starts counting. By hand: @table's VMID was given to it,
 * and is none of machine.vmids. */
void oracle_begin(struct oracle *oracle, struct s2_table *table);
void oracle_begin_by_hand(struct oracle *oracle, const struct s2_table *table);
void oracle_end(struct oracle *oracle);

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
