/*
 * scope.h - a machine so small that all short programs on it can be run: two guests and a batch
 * over a window of eight pages, and what must hold after every call.
 *
 *      pages      -4  -3  -2  -1 |  0   1   2   3         | a border of 2 MiB blocks
 *      rest      the first page of the lower block, outside the window: what no call names
 *
 * All of it lies in one object, and nothing of it anywhere else: it is saved and loaded as bytes.
 *
 * What watches shares no code with the library: a walker of its own; a naive model, page by page;
 * and a TLB that holds at every event all that a walk could have brought in, by address, each as a
 * stage-2 copy and as a combined one, until the TLBIs and DSBs that remove either. It knows no
 * level hints and one CPU: tests/sim/monitor.h and stale_tlb.h do.
 */
#ifndef TRESTLE_TESTS_MODEL_SCOPE_H
#define TRESTLE_TESTS_MODEL_SCOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCOPE_SPACES 2
#define SCOPE_PAGES 9 /* of the window, and the rest's */
#define SCOPE_OPS_MAX 1024

enum scope_verb {
    SCOPE_MAP,
    SCOPE_REPLACE,
    SCOPE_UNMAP,
    SCOPE_PROTECT,
    SCOPE_FOLD,
    SCOPE_LOOKUP,
    SCOPE_UNMAP_STEPS, /* to the end, by the smallest steps */
    SCOPE_PROTECT_STEPS,
    SCOPE_FOLD_STEPS,
    SCOPE_BATCH_BEGIN,
    SCOPE_BATCH_MAP,
    SCOPE_BATCH_REPLACE,
    SCOPE_BATCH_UNMAP,
    SCOPE_BATCH_PROTECT,
    SCOPE_BATCH_DROP,
    SCOPE_BATCH_END,
    SCOPE_ENTER,
    SCOPE_LEAVE,
    SCOPE_TOUCH, /* the guest writes the first page of the range, and hardware its descriptor */
    SCOPE_VERBS
};

struct scope_op {
    uint8_t verb;  /* enum scope_verb */
    uint8_t space; /* 0, 1 */
    uint8_t range; /* which of the ranges */
    uint8_t pa;    /* 0: as the block; 1: a page beside, shared with nobody's place */
    uint8_t flags; /* which of the flags */
};

enum scope_start {
    SCOPE_EMPTY,
    SCOPE_BLOCK,   /* a block over the lower half, of each guest, of the same memory */
    SCOPE_SCARCE,  /* the same, and one frame left */
    SCOPE_NUMBERS, /* empty, VMIDs from an allocator: nothing is cached of who was not entered */
    SCOPE_TABLES,  /* as SCOPE_BLOCK, but without areas: for scope_do_pieces() */
    SCOPE_STARTS
};

/* What a mutant of the library leaves out is found by the name of the rule. */
struct scope_verdict {
    const char *rule; /* NULL: all holds */
    const char *what;
};

/* The machine as it begins; and which programs are written on it: their ops. @few: fewer
 * arguments. */
void scope_open(enum scope_start start);
size_t scope_ops(enum scope_start start, bool few, struct scope_op ops[SCOPE_OPS_MAX]);

bool scope_allows(struct scope_op op);

/* Do it. @checks: and look whether everything holds, which the verdict tells. */
void scope_do(struct scope_op op, bool checks);
struct scope_verdict scope_verdict(void);

/* The pieces, of maps, replaces, unmaps and protects: together in one operation of the first
 * guest's table, each held and then each done; and if none is refused, one by one as verbs on the
 * second's, which is then equal. The machine is used up. */
void scope_do_pieces(const struct scope_op pieces[], size_t count);

/* All that a piece can be. */
size_t scope_pieces(struct scope_op ops[SCOPE_OPS_MAX]);

/* Two machines with equal answers go on alike, the guests' places taken apart. */
uint64_t scope_hash(void);

size_t scope_size(void);
void scope_save(void *copy);
void scope_load(const void *copy);

/* In words, into @text. */
void scope_describe(struct scope_op op, char *text, size_t size);

#endif
