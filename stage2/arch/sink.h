/*
 * sink.h - what becomes of AF and dirty state that hardware has set in leaves that a verb removes
 * or overwrites: it is handed to whoever keeps track, so that none is lost.
 *
 *      unmap, replace_linear    the state of what goes
 *      protect                  what the new flags do not have: dirty state of a leaf that is clean
 *                               again, or not tracked any more; AF of one that is old again
 *      a split                  the parts that stay inherit it; the part that goes has it, too, as
 *                               any page of the block may have been the one
 *      fold, replace            nothing: the new leaf has it
 *      fini                     nothing: the guest's end. Who wants its state unmaps first
 *
 * A leaf is dirty if it has S2_DBM and S2_WRITE, accessed if it has no S2_NO_AF, whether hardware
 * or the flags that it was mapped with made it so. In a contiguous run one member stands for all:
 * each is what any of them is, as a TLB that holds the run asks no other member.
 *
 * Once a leaf was exchanged for what follows it, no walker sets anything in it: the update is an
 * atomic read and write of a descriptor that is still as it was read, and a CPU whose TLB holds the
 * leaf as clean goes back to the descriptor before it writes (Arm ARM DDI 0487, D8.5 "Hardware
 * management of the dirty state").
 */
#ifndef TRESTLE_STAGE2_ARCH_SINK_H
#define TRESTLE_STAGE2_ARCH_SINK_H

#include "core/addr.h"
#include "core/c.h"

#include <stddef.h>
#include <stdint.h>

TRESTLE_BEGIN

#define S2_STATE_ACCESSED 1U
#define S2_STATE_DIRTY 2U

/* Where a table hands such state to. */
struct s2_sink {
    /* @range: leaves, or parts of them, that had @state and have it no more. Each removal is told
     * once;
     *         stretches with equal state are told as one.
     * Order:   after the exchange that removed it, before the verb returns. Memory that is told dirty may
     *          still be written until the verb, of a batch s2_batch_end(), has returned: note it
     *          now,
     *          and copy it then.
     * Context: the space is locked, interrupts are masked; calls nothing of it, and does not
     * wait. */
    void (*removed)(void *arg, struct ipa_range range, unsigned state);
    void *arg;
};

/* A sink that sets a bit for each page, of any of @states, in a range; what lies outside is not
 * noted. */
struct s2_state_bitmap {
    ipa_t start;       /* of the page that bit 0 of words[0] stands for */
    size_t page_count; /* bits */
    unsigned shift;    /* log2 bytes of a page */
    unsigned states;   /* S2_STATE_...: any of them is noted */
    uint64_t *words;   /* the caller's; bits are set, never cleared */
};

/* For struct s2_sink: @bitmap is the arg. O(pages / 64 + 1). */
void s2_state_bitmap_note(void *bitmap, struct ipa_range range, unsigned state);

TRESTLE_END

#endif
