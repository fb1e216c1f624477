/*
 * abi.h - what EL2 and its built-in guest say to each other.
 *
 * The guest is a servant: it asks for a step, does it with its own MMU on, answers, and asks for
 * the next. EL2 writes the play: so a check reads as one script (touch, change, touch again), and
 * the guest has touched the page a few instructions before the change and does so a few after it.
 *
 *      guest                                  EL2
 *      hvc NEXT(answer of the last step)  ->  keeps the answer, decides
 *      x0 = step, x1..x3 = arguments      <-  returns
 *      ... does it: may fault to EL2, which looks, mends or skips ...
 *      hvc NEXT(answer)                   ->
 *
 * Call number in x0, arguments and answers in x1..x3.
 */
#ifndef TRESTLE_HYP_GUEST_ABI_H
#define TRESTLE_HYP_GUEST_ABI_H

/* Calls of the guest, hvc #0. */
#define GUEST_CALL_NEXT 1  /* x1: the answer of the step just done */
#define GUEST_CALL_PRINT 2 /* x1: the guest's address (= IPA) of a text, x2: its bytes */
#define GUEST_CALL_IRQ 3   /* the virtual IRQ was taken: take it away */
#define GUEST_CALL_DIED 4  /* an exception of its own: x1 ESR_EL1, x2 ELR_EL1, x3 FAR_EL1 */

/* Where its program is linked, entered, and expects to be: one area of GUEST_IMAGE_SIZE. */
#define GUEST_IMAGE_IPA 0x200000000
#define GUEST_IMAGE_SIZE 0x200000

/* The last page of it is not the program's: bare_put_program(). */
#define GUEST_BARE_OFFSET 0x1ff000

/*
 * The guest's own address spaces: VA = IPA everywhere below 256 GiB, but for two windows. A page of
 * the private window is translated by each of the two address spaces (ASIDs) to an IPA of its own
 * choice, and is not global.
 */
#define GUEST_ASIDS 2
#define GUEST_WINDOW_VA 0x4000000000
#define GUEST_WINDOW_PAGES 512
#define GUEST_WINDOW_TABLE_VA(n) (GUEST_WINDOW_VA + (n)*UINT64_C(0x200000))
#define GUEST_PAGE_SIZE 0x1000

/* What a load answers if EL2 passes over it. */
#define GUEST_SKIPPED 0xdeadc0de5c1bbed5

#ifndef __ASSEMBLER__
#include "core/bits.h"

#include <stdint.h>

enum guest_step {
    GUEST_STEP_READ,         /* (va): the 64 bits there */
    GUEST_STEP_WRITE,        /* (va, value) */
    GUEST_STEP_READ32,       /* (va): the 32 bits there, as from a device */
    GUEST_STEP_FILL,         /* (va, bytes, seed): write guest_pattern() everywhere */
    GUEST_STEP_VERIFY,       /* (va, bytes, seed): number of words that differ from it */
    GUEST_STEP_COPY_CODE,    /* (va, number): put a function there that answers number */
    GUEST_STEP_CALL,         /* (va): call it: its answer */
    GUEST_STEP_CALL_EL0,     /* (va): call it at EL0: its answer */
    GUEST_STEP_UNALIGNED,    /* (va, seed): unaligned accesses around va, a border: mismatches */
    GUEST_STEP_EXCLUSIVE,    /* (va, n): n LDXR/STXR increments: the sum reached */
    GUEST_STEP_LSE,          /* (va, n): n LDADD increments: the sum reached */
    GUEST_STEP_WAIT,         /* (): WFI with IRQs on: number of IRQs taken so far */
    GUEST_STEP_WINDOW,       /* (asid, page, ipa): let that page of the window be ipa */
    GUEST_STEP_TABLE_ENTRY,  /* (va, ipa): let the page table at va begin with that page */
    GUEST_STEP_WINDOW_TABLE, /* (n, ipa): translate the window's n-th 2 MiB by the table at ipa */
    GUEST_STEP_USE_ASID,     /* (asid): 1 or 2: go on in that address space */
    GUEST_STEP_OWN_TABLES,   /* (asid, n): as a CPU that comes up: tables of space n, as asid */
    GUEST_STEP_STATE,        /* (): SCTLR_EL1 */
    GUEST_STEP_COUNT,
};

/* The word that belongs at @va: no two words of a guest are alike, nor those of two seeds. */
static inline uint64_t guest_pattern(uint64_t va, uint64_t seed)
{
    return (va ^ MAPPING_FIELD_PREP(MAPPING_FIELD(63, 48), seed)) * UINT64_C(0x9e3779b97f4a7c15);
}
#endif

#endif
