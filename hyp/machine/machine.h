/*
 * machine.h - the memory of the machine, and who has it.
 *
 *      RAM   [ device tree | image | infos | table pool | guest pool .................. ]
 *
 * Two pools, so that no guest can be given a frame that ever was a table, and each can be counted
 * by itself. EL2 maps all RAM at its own PA, so a PA of RAM is a pointer.
 */
#ifndef TRESTLE_HYP_MACHINE_MACHINE_H
#define TRESTLE_HYP_MACHINE_MACHINE_H

#include "core/frame_guard.h"
#include "core/frame_pool.h"
#include "stage2/trestle.h"

#include <stdint.h>

#define MACHINE_FRAME_SHIFT 12

/* So few VMIDs are given to guests that they run out all the time. Those above are for who gives
 * them by hand. */
#define MACHINE_VMID_LAST 3

struct machine {
    struct frame_pool tables;
    struct frame_pool guests;
    struct frame_guard guard; /* neither pool, nor what lies below them, is shown by mistake */
    struct s2_features cpu;
    struct s2_vmid_allocator vmids;
    struct s2_cpu this_cpu; /* there is no other */
    uint64_t ram_start;     /* PA */
    uint64_t ram_size;      /* bytes */
};

extern struct machine machine;

/* How the library reaches guests' RAM, which is not in the pool that it takes its tables from. */
extern const struct s2_memory_ops machine_memory;

/* Finds RAM and makes the pools of it; panics without RAM to speak of. Once. */
void machine_init(void);

/* An address as a number, to print it or to give it to hardware. */
static inline uint64_t ipa_number(ipa_t ipa)
{
    return ipa_distance(ipa_of(0), ipa);
}

static inline uint64_t pa_number(pa_t pa)
{
    return pa_distance(pa_of(0), pa);
}

#endif
