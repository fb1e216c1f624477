/*
 * abort.h - a guest's access that stage 2 refused: where, how, and at which level.
 */
#ifndef TRESTLE_HYP_VM_ABORT_H
#define TRESTLE_HYP_VM_ABORT_H

#include "core/addr.h"

#include <stdbool.h>
#include <stdint.h>

enum abort_access { ABORT_READ, ABORT_WRITE, ABORT_FETCH };

enum abort_kind {
    ABORT_TRANSLATION,
    ABORT_PERMISSION,
    ABORT_ACCESS_FLAG,
    ABORT_ADDRESS_SIZE,
    ABORT_TLB_CONFLICT, /* the TLB has two answers, of which stage 2 is one */
    ABORT_OTHER,        /* external, parity, alignment: see the ESR */
};

/* What a guest's load or store wanted, if the CPU says (ISV): enough to emulate it. */
struct abort_syndrome {
    bool valid;
    unsigned bytes; /* 1, 2, 4 or 8 */
    unsigned srt;   /* x0..x30, or 31: xzr */
    bool sign_extends;
    bool is_64bit; /* the register is Xt, not Wt */
};

struct abort {
    enum abort_access access;
    enum abort_kind kind;
    int level;       /* of the stage 2 walk; 0 if the kind has none */
    bool on_s1_walk; /* the guest's own table walk was refused, not its access */
    bool has_va;     /* va is the address that the guest used */
    bool has_ipa;    /* ipa is known: without it there is nothing to do but run again */
    uint64_t va;     /* virtual */
    ipa_t ipa;       /* exact to the byte; to the page if on_s1_walk */
    uint64_t esr;
    struct abort_syndrome syndrome;
};

/**
 * abort_is() - Whether @esr is an abort from a guest.
 */
bool abort_is(uint64_t esr);

/**
 * abort_decode() - Read the fault registers after a guest's exit.
 * @esr:     ESR_EL2, for which abort_is().
 * Returns:  the abort. has_ipa is false where the CPU gives no IPA and the guest's own tables no
 *           longer translate the address (it changed them meanwhile), and for kinds without one.
 * Context:  the guest's EL1 registers, VTTBR_EL2 and HCR_EL2 are live; before any other exception.
 * Source:   Arm ARM DDI 0487, HPFAR_EL2, FAR_EL2, and ISS encodings for aborts; the manual leaves
 *           HPFAR_EL2 UNKNOWN for a permission fault that is not on a stage 1 walk.
 */
struct abort abort_decode(uint64_t esr);

const char *abort_kind_name(enum abort_kind kind);
const char *abort_access_name(enum abort_access access);

#endif
