/*
 * reach.h - which frames of the simulated memory are translation tables that walkers reach, and for
 * which IPAs.
 *
 * Kept by frame, so that the descriptor behind a pointer is placed in O(banks), and by the events
 * of its owner, who says what was linked and what was unlinked. Written from the manual, like the
 * software MMU; nothing of the library's is in it.
 */
#ifndef TRESTLE_TESTS_SIM_REACH_H
#define TRESTLE_TESTS_SIM_REACH_H

#include "tests/sim/memory.h"
#include "tests/sim/mmu.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REACH_GUESTS 8
#define REACH_LEVELS 5 /* -1 to 3 */

/* One guest's registers, and what they mean. */
struct reach_guest {
    struct mmu mmu; /* without MMU_CHECK_RUNS */
    bool is_live;   /* walkers may walk */
    unsigned vmid;
    unsigned granule_shift;
    unsigned stride;
    unsigned input_bits;
    int start_level;
    uint64_t root_pa;
    uint64_t root_size;
    uint64_t address_mask; /* of descriptors: OA bits in place */
    uint64_t high_mask;    /* and those that lie elsewhere */
    unsigned high_shift;   /* how far below */
    bool has_ha;
    bool has_hd;
};

/* Where a descriptor stands. */
struct reach_place {
    unsigned guest;
    int level;
    uint64_t ipa; /* first byte of input that it stands for */
};

/* One frame of the banks. */
struct reach_frame {
    uint64_t ipa; /* of its first descriptor */
    uint8_t guest;
    int16_t level;
    bool is_linked;
    uint32_t stale_tables; /* the owner's: stale pointers that lead here */
    uint32_t stale_leaves; /* the owner's: stale leaves that lead here */
};

struct reach {
    struct sim_memory *memory;
    struct mmu_cpu cpu;
    struct reach_frame *frames[FRAME_POOL_MAX_REGIONS]; /* by bank */
    struct reach_guest guests[REACH_GUESTS];
    unsigned guest_count;
};

enum reach_kind { REACH_INVALID, REACH_TABLE, REACH_LEAF };

/* @memory: all banks added. Allocates; a failure ends the program. */
void reach_init(struct reach *reach, struct sim_memory *memory, struct mmu_cpu cpu);
void reach_fini(struct reach *reach);

/* A guest with these registers, which must be legal; its number. Its root's frames are linked. */
unsigned reach_add_guest(struct reach *reach, uint64_t vtcr, uint64_t vttbr, uint64_t hcr);

/* The frame of @pa; NULL: in no bank. */
struct reach_frame *reach_frame(const struct reach *reach, uint64_t pa);

/* Add @change to stale_tables (@is_table) or stale_leaves of every frame of the banks in
 * [@pa, @pa + @size). */
void reach_count(const struct reach *reach, uint64_t pa, uint64_t size, bool is_table,
                 uint32_t change);

/* Where the descriptor at @pa stands; false: in no linked table. */
bool reach_place(const struct reach *reach, uint64_t pa, struct reach_place *place);

/* Mark the frames of one table, at @pa. link: false, and nothing is marked, if one is linked
 * already or none of them exists. */
bool reach_link(struct reach *reach, uint64_t pa, struct reach_place first);
void reach_unlink(struct reach *reach, uint64_t pa, unsigned guest);

/* What @desc is at @level; the address in it; the bytes that one entry of @level stands for; and
 * those of a contiguous run there, the same if there is no such form. */
enum reach_kind reach_kind(const struct reach_guest *guest, uint64_t desc, int level);
uint64_t reach_address(const struct reach_guest *guest, uint64_t desc);
uint64_t reach_span(const struct reach_guest *guest, int level);
uint64_t reach_run(const struct reach_guest *guest, int level);

/**
 * reach_visit_fn - Told of a valid descriptor.
 * @pa:      where it lies.
 */
typedef void (*reach_visit_fn)(void *arg, struct reach_place place, uint64_t pa, uint64_t desc);

/* Call @visit for all valid descriptors of the table of @size bytes at @pa and of those below it, a
 * pointer before what it leads to. @first: where its first descriptor stands. */
void reach_visit(struct reach *reach, uint64_t pa, uint64_t size, struct reach_place first,
                 reach_visit_fn visit, void *arg);

/* Bytes of a table of this guest below the root. */
static inline uint64_t reach_table_size(const struct reach_guest *guest)
{
    return UINT64_C(1) << guest->granule_shift;
}

#endif
