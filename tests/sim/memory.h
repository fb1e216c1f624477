/*
 * memory.h - the simulated machine's physical memory: banks whose PA is not their pointer.
 *
 * A bank is host memory under a PA of the test's choosing, ready to be a region of a frame_pool.
 * All of it starts as poison: 0xdbdb... reads as a table descriptor that leads to memory which
 * does not exist, so that a table entry nobody wrote, or a frame used after it was freed, faults
 * in the software MMU instead of looking empty.
 */
#ifndef TRESTLE_TESTS_SIM_MEMORY_H
#define TRESTLE_TESTS_SIM_MEMORY_H

#include "core/addr.h"
#include "core/frame_pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_MEMORY_POISON UINT64_C(0xdbdbdbdbdbdbdbdb)

struct sim_memory {
    unsigned frame_shift;
    size_t bank_count;
    struct frame_region banks[FRAME_POOL_MAX_REGIONS];
};

/* No banks yet. @frame_shift: 12, 14 or 16. */
void sim_memory_init(struct sim_memory *memory, unsigned frame_shift);

/* Add @frame_count frames of poison at @base. @base: frame-aligned, over no other bank. */
void sim_memory_add(struct sim_memory *memory, pa_t base, size_t frame_count);

/* The same without host memory: frames that only guests can reach. */
void sim_memory_add_remote(struct sim_memory *memory, pa_t base, size_t frame_count);

/* Give all banks back to the host; pools over them are dead. */
void sim_memory_fini(struct sim_memory *memory);

/* A pool of all frames of all banks; any failure ends the test program. */
void sim_memory_pool(struct sim_memory *memory, struct frame_pool *pool);

/* Where the byte at @pa lies; NULL: no bank, or one without host memory. */
void *sim_memory_ptr(const struct sim_memory *memory, pa_t pa);

/* The opposite: *pa of the byte at @ptr; false: in no bank. */
bool sim_memory_pa(const struct sim_memory *memory, const void *ptr, pa_t *pa);

/* What a table walker's bus does: the aligned 64-bit word at @pa into *value, false if nothing
 * answers there. @memory is a struct sim_memory: fits mmu_read_fn. */
bool sim_memory_read(void *memory, uint64_t pa, uint64_t *value);

/* Fill with poison; whether all of it is. Both: 8-byte aligned, in one bank. */
void sim_memory_poison(struct sim_memory *memory, pa_t pa, uint64_t size);
bool sim_memory_is_poison(const struct sim_memory *memory, pa_t pa, uint64_t size);

/* Poison every frame that no TAKEN block of @pool holds. O(frames). */
void sim_memory_poison_free(struct sim_memory *memory, const struct frame_pool *pool);

#endif
