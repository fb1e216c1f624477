/*
 * fault.h - a guest's fault, and what is to be done about it.
 *
 *      ESR_EL2, FAR_EL2, HPFAR_EL2 --> s2_fault_decode() --> s2_space_handle_fault() --> one verdict
 *
 *      RETRY       the guest is entered again, as it is: what was missing is there
 *      SKIP        its instruction is passed over: pc + advance
 *      EMULATE     a device of the host's: do what transfer says, then as SKIP
 *      others      the host's policy; s2_fault_inject() tells the guest
 *
 * To pass over an instruction is the host's: PSTATE.BTYPE and SS are 0 behind it, and IT of an AArch32 EL0
 * moves on. So is byte order, where SCTLR_EL1.EE or SPSR.E says big-endian.
 *
 * A guest chooses where it faults, and how. It causes verdicts, and nothing else.
 */
#ifndef TRESTLE_STAGE2_SPACE_FAULT_H
#define TRESTLE_STAGE2_SPACE_FAULT_H

#include "core/c.h"
#include "stage2/arch/syndrome.h"
#include "stage2/space/backend.h"
#include "stage2/space/space.h"

TRESTLE_BEGIN

enum s2_verdict {
    S2_VERDICT_RETRY,
    S2_VERDICT_SKIP,      /* a cache operation on what has no memory */
    S2_VERDICT_EMULATE,   /* in a trap area; without transfer.is_valid the CPU does not say what was
                            * wanted: read the instruction, or inject */
    S2_VERDICT_READ_ONLY, /* a write, the guest's or its table walk's, to what it may not write */
    S2_VERDICT_PERMISSION, /* another access that the area's flags do not allow, or that cannot be
                            * emulated: a fetch, or a walk, in a trap area */
    S2_VERDICT_ALIGNMENT,  /* unaligned, to memory that stage 2 calls a device */
    S2_VERDICT_GUARD,
    S2_VERDICT_HOLE,   /* no area, or beyond the input size */
    S2_VERDICT_OWN,    /* in an area of the embedder's own backend */
    S2_VERDICT_FAILED, /* memory cannot be put there; error says why. MAPPING_NO_FRAME: give a pool
                            * frames, and enter the guest again */
    S2_VERDICT_EXTERNAL, /* the memory itself answered with an error */
    S2_VERDICT_FOREIGN,  /* no abort of a guest, or of a kind that the manual reserves */
};

MAPPING_STATIC_ASSERT(S2_VERDICT_FOREIGN + 1 == S2_SPACE_VERDICTS, "a counter for each");

/* Why the guest is to try again. */
enum s2_retry {
    S2_RETRY_NONE,     /* it is not */
    S2_RETRY_FILLED,   /* memory was put there */
    S2_RETRY_RACED,    /* somebody else has put it there, or changed the area */
    S2_RETRY_STALE,    /* the tables allow it: this CPU's TLB did not know, and does now */
    S2_RETRY_BROKEN,   /* between break and make, by another CPU */
    S2_RETRY_ACCESSED, /* AF was set */
    S2_RETRY_TRAPPED,  /* s2_space_trap(): let through */
    S2_RETRY_CONFLICT, /* the TLB had two answers, and has none now */
    S2_RETRY_GONE,     /* the guest's own tables no longer lead there */
};

struct s2_answer {
    enum s2_verdict verdict;
    enum s2_retry retry;
    enum mapping_error error;    /* FAILED: what refused; else MAPPING_OK */
    ipa_t ipa;                   /* the fault's; 0: unknown */
    struct ipa_range range;      /* of the area; empty: none */
    enum s2_area_kind kind;      /* of the area, if there is one */
    mapping_flags_t flags;       /* likewise */
    uint64_t tag;                /* likewise */
    uint64_t offset;             /* EMULATE: from where the trap began, before it was cut */
    bool is_write;               /* EMULATE */
    struct s2_transfer transfer; /* EMULATE */
    unsigned advance; /* bytes of the instruction: 4; 2 only where transfer.is_valid tells */
};

/**
 * s2_space_handle_fault() - What to do about @fault.
 * @fault:   of a vCPU of this space, decoded.
 * Returns:  one verdict. Where it is RETRY all that there is to do has been done.
 * Order:    memory that was put there is zero, and visible.
 * Context:  on the CPU that took the fault, the guest still current on it (s2_enter()), with
 *           interrupts masked. Any number at once.
 * Cost:     O(log n) to find the area; to fill it: frames, zeros and a map; the space is not locked
 *           while memory is zeroed.
 */
struct s2_answer s2_space_handle_fault(struct s2_space *space, const struct s2_fault *fault);

/* What an emulated store writes: the low bytes of the register, of @x: x0 to x30. */
uint64_t s2_transfer_stored(const struct s2_transfer *transfer, const uint64_t x[31]);

/* What an emulated load does to the registers. xzr takes nothing. */
void s2_transfer_load(const struct s2_transfer *transfer, uint64_t x[31], uint64_t value);

/* How often each verdict was given; one that is being counted may be missing. */
uint64_t s2_space_fault_count(const struct s2_space *space, enum s2_verdict verdict);

/* "retry", "skip": for people. Static. */
const char *s2_verdict_name(enum s2_verdict verdict);

TRESTLE_END

#endif
