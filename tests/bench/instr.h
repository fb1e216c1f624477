/*
 * instr.h - what is counted: cases, each a preparation and a measured part.
 *
 * callgrind counts what happens inside instr_measure(), one case a run
 * (tests/tools/bench_instr.sh). Loops around the verbs are counted too: a few instructions an item.
 */
#ifndef TRESTLE_TESTS_BENCH_INSTR_H
#define TRESTLE_TESTS_BENCH_INSTR_H

#include "stage2/trestle.h"

#include <stddef.h>
#include <stdint.h>

#define PAGE (UINT64_C(1) << 12)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define GUEST_IPA (UINT64_C(4) * GIB)
#define GUEST_PA (UINT64_C(64) * GIB)
#define GIB_PAGES (GIB / PAGE)

struct instr_case {
    const char *name;
    double goal; /* instructions an item that it is meant to take at most; 0: none */
    double held; /* and that it must not exceed, as long as it does not reach that; 0: it does */
    uint64_t items;
    void (*prepare)(void); /* or NULL */
    void (*run)(void);     /* the measured part */
};

/* The cases of one file each, up to one without a name. */
extern const struct instr_case INSTR_TABLE[];
extern const struct instr_case INSTR_SPACE[];
extern const struct instr_case INSTR_FAULT[];
extern const struct instr_case INSTR_SET[];
extern const struct instr_case INSTR_POOL[];
extern const struct instr_case INSTR_GROWTH[]; /* not among the others: told function by function */

/* Run every case that counts TLBIs, and print its name, TLBIs and flushes. */
void instr_tlbis(void);

/* --- For the cases ---------------------------------------------------------------------------- */

/* End the program: @what went wrong. */
_Noreturn void instr_fail(const char *what, const char *how);

/* ... unless @error is MAPPING_OK; unless it @is_so. Few instructions, as they are counted. */
static inline void instr_must(enum mapping_error error, const char *what)
{
    if (error != MAPPING_OK) {
        instr_fail(what, mapping_error_name(error));
    }
}

static inline void instr_must_be(bool is_so, const char *what)
{
    if (!is_so) {
        instr_fail(what, "is not so");
    }
}

/* A CPU of 48 bits with every granule, and nothing that would change a count. */
struct s2_features instr_cpu(void);

/* A pool of @frames frames, from PA 1 GiB on, with memory. One at a time. */
void instr_pool_init(struct frame_pool *pool, unsigned frame_shift, size_t frames);

/* A space of 40 bits on 4K pages, on such a CPU, with a pool of @frames frames of its own. */
void instr_space_init(struct s2_space *space, struct frame_pool *pool, size_t frames,
                      struct memory_node nodes[], size_t node_count);

/* The @i-th of a sequence that goes once through all numbers below @count, a power of two, and
 * looks random. */
static inline uint64_t instr_shuffled(uint64_t i, uint64_t count)
{
    return (i * UINT64_C(0x9e3779b1)) & (count - 1);
}

#endif
