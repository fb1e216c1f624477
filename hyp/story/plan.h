/*
 * plan.h - which areas the first guest has. One table, so that the checks can say "a read-only
 * page" and mean the same.
 *
 * No IPA here is the PA behind it: they begin above all RAM that EL2 maps.
 */
#ifndef TRESTLE_HYP_STORY_PLAN_H
#define TRESTLE_HYP_STORY_PLAN_H

#include "hyp/vm/guest.h"

/* Input size of the first guest, in bits. */
#define PLAN_IPA_BITS 36

/* Whole 2 MiB blocks: IPA and PA agree below 2 MiB. */
#define PLAN_BLOCKS_IPA 0x210000000
#define PLAN_BLOCKS_SIZE 0x1000000

/* Pages: IPA and PA disagree below 2 MiB. */
#define PLAN_PAGES_IPA 0x218001000
#define PLAN_PAGES_SIZE 0x200000

/* The guest's code that it makes itself; executable. */
#define PLAN_CODE_IPA 0x220000000
#define PLAN_CODE_SIZE 0x10000

/* Read-only, with PLAN_CONSTANT in its first word. */
#define PLAN_CONSTANTS_IPA 0x220400000
#define PLAN_CONSTANTS_SIZE 0x10000
#define PLAN_CONSTANT 0x7265737420746865

/* Nothing is ever mapped here. */
#define PLAN_HOLE_IPA 0x230000000

/* The UART's registers, to read only, at an address that is not theirs. */
#define PLAN_UART_IPA 0x1c090000

/* A whole 1 GiB block, if the machine has that much to spare. */
#define PLAN_GIGABYTE_IPA 0x300000000
#define PLAN_GIGABYTE_SIZE 0x40000000

/* Maps them all for @guest, the gigabyte if there is one. Panics if that is refused. */
void plan_map(struct guest *guest);

#endif
