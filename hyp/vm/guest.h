/*
 * guest.h - a guest as EL2 has it: a space, a vCPU, the frames it owns; and the way to have the
 * guest's program do one step.
 */
#ifndef TRESTLE_HYP_VM_GUEST_H
#define TRESTLE_HYP_VM_GUEST_H

#include "hyp/guest/abi.h"
#include "hyp/machine/machine.h"
#include "hyp/vm/vcpu.h"
#include "stage2/trestle.h"

#include <stddef.h>
#include <stdint.h>

#define GUEST_NODES 64
#define GUEST_BLOCKS 24
#define GUEST_VCPUS 2

/* Frames of the guest, to be given back at its end. */
struct guest_block {
    pa_t pa;
    unsigned order;
};

struct guest {
    const char *name;
    struct s2_space space;
    struct memory_node nodes[GUEST_NODES];
    struct vcpu vcpus[GUEST_VCPUS];
    struct vcpu *vcpu; /* the one that does the steps */
    struct guest_block blocks[GUEST_BLOCKS];
    size_t block_count;
    struct s2_answer answer;    /* to its last abort */
    uint64_t port, port_offset; /* of its emulated device: what was written last, and where */
    unsigned waits;             /* WFIs seen */
    unsigned let_through;       /* trapped accesses that were (stage2/space/trap.h) */
    bool stopped_at_fetch;      /* the last abort was of an instruction, not of its access */
    bool is_quiet;              /* what it says is not printed */
    bool has_port;              /* what it does in trap areas is emulated */
    bool is_told;               /* its next abort that cannot be mended becomes its own exception */
};

enum guest_outcome {
    GUEST_DONE,    /* the step is done: .answer */
    GUEST_ABORTED, /* it stands at an access that stage 2 refused: .abort */
    GUEST_DIED,    /* it took an exception of its own, or left in a way nobody knows */
};

struct guest_result {
    enum guest_outcome outcome;
    uint64_t answer;
    struct s2_fault abort;
};

/**
 * guest_init() - Make a guest with the built-in program in its image area, ready to boot.
 * @table:   what its stage 2 is to be.
 * Panics where the pools cannot give it its image.
 */
void guest_init(struct guest *guest, const char *name, const struct s2_config *table);

/* Gives all frames back, tables and RAM. */
void guest_fini(struct guest *guest);

/* The second half of that, for one who has ended the space. */
void guest_release_ram(struct guest *guest);

/**
 * guest_add_vcpu() - A second vCPU, at the same point of the program as the first: before a step.
 * guest_use_vcpu() - Which one does the steps from now on: 0 or 1.
 * They share the program's data, its stack too. So no step of one begins inside one of the other.
 */
void guest_add_vcpu(struct guest *guest);
void guest_use_vcpu(struct guest *guest, unsigned vcpu);

/* What the library does about an abort: whether the guest may try again. guest->answer is the whole
 * verdict. */
bool guest_mend(struct guest *guest, const struct s2_fault *abort);

/* Takes a zeroed block of at least @size bytes that belongs to @guest; maps nothing. Panics if
 * there is none. */
pa_t guest_take_block(struct guest *guest, uint64_t size);

/* Whether guest_take_block() would find @size bytes, a power of two. */
bool guest_has_block(uint64_t size);

/* The bytes of guests' RAM at @pa; panics if there are none. */
void *guest_frame(pa_t pa);

/* Maps a zeroed block of its own at @range; panics if that is refused. */
pa_t guest_add_ram(struct guest *guest, struct ipa_range range, mapping_flags_t flags);

/* What the guest has at @ipa, as EL2 sees it; NULL if that is no RAM of it. */
void *guest_memory(struct guest *guest, ipa_t ipa);

/* Bytes of the contiguous run, or else of the leaf, that @ipa is in; 0: it is in none. */
uint64_t guest_run_size(struct guest *guest, ipa_t ipa);

/* Runs its program from reset until it asks for its first step. */
struct guest_result guest_boot(struct guest *guest);

/* Lets it do one step (see hyp/guest/abi.h), until done or refused. */
struct guest_result guest_step(struct guest *guest, enum guest_step step, uint64_t a, uint64_t b,
                               uint64_t c);

/* Goes on after GUEST_ABORTED: does the access again; or passes over it, so that a load answers
 * GUEST_SKIPPED, a store does nothing, and a call returns GUEST_SKIPPED at once. */
struct guest_result guest_retry(struct guest *guest);
struct guest_result guest_pass(struct guest *guest);

/* The two steps that every script uses. */
static inline struct guest_result guest_read(struct guest *guest, ipa_t va)
{
    return guest_step(guest, GUEST_STEP_READ, ipa_number(va), 0, 0);
}

static inline struct guest_result guest_write(struct guest *guest, ipa_t va, uint64_t value)
{
    return guest_step(guest, GUEST_STEP_WRITE, ipa_number(va), value, 0);
}

#endif
