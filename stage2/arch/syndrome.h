/*
 * syndrome.h - what a guest's abort says, and what the guest is told of it.
 *
 * Pure: registers in, a fault out. So one that came from elsewhere, a log or a fuzzer, decodes as
 * one that has just been taken.
 *
 *      ESR_EL2    EC | IL | ISV SAS SSE SRT SF AR | FnV EA CM S1PTW WnR FSC
 *      FAR_EL2    the guest's virtual address, unless FnV
 *      HPFAR_EL2  the page that stage 2 refused; UNKNOWN for a permission fault of the guest's own
 *                 access and for all that never came to stage 2
 *      PAR_EL1    what AT S1E1R says of FAR_EL2: the page, where HPFAR_EL2 does not have it
 *
 * Whatever a guest does to make these registers, the answer is a struct s2_fault, never an
 * assertion.
 * Source: Arm ARM DDI 0487, ESR_EL2 ("ISS encoding for an exception from a Data Abort", "...
 * Instruction Abort"), FAR_EL2, HPFAR_EL2, PAR_EL1; D1.3.1 "Exception entry"; SPSR_EL1.
 */
#ifndef TRESTLE_STAGE2_ARCH_SYNDROME_H
#define TRESTLE_STAGE2_ARCH_SYNDROME_H

#include "core/addr.h"
#include "core/c.h"

#include <stdbool.h>
#include <stdint.h>

TRESTLE_BEGIN

/* As they are after the exit, before anything else is taken. */
struct s2_fault_regs {
    uint64_t esr;   /* ESR_EL2 */
    uint64_t far;   /* FAR_EL2 */
    uint64_t hpfar; /* HPFAR_EL2 */
    uint64_t par; /* PAR_EL1 after AT S1E1R on far, if s2_fault_needs_par(); S2_PAR_F: not asked */
};

#define S2_PAR_F (UINT64_C(1) << 0) /* PAR_EL1.F: the translation failed */

enum s2_fault_kind {
    S2_FAULT_NONE, /* no abort of a lower level: an exit of another kind */
    S2_FAULT_ADDRESS_SIZE,
    S2_FAULT_TRANSLATION,
    S2_FAULT_ACCESS_FLAG,
    S2_FAULT_PERMISSION,
    S2_FAULT_ALIGNMENT,    /* an unaligned access, or DC ZVA, to what stage 2 calls a device */
    S2_FAULT_TLB_CONFLICT, /* the TLB has two answers, of which stage 2 is one */
    S2_FAULT_UPDATE,       /* hardware could not write its update of a descriptor atomically */
    S2_FAULT_EXTERNAL, /* the memory answered with an error, parity and protection included, or cannot
                            * do an exclusive or atomic access */
    S2_FAULT_OTHER,    /* what the manual reserves, or implementations define */
};

/* What was refused. */
enum s2_access {
    S2_ACCESS_READ,
    S2_ACCESS_WRITE,
    S2_ACCESS_FETCH,
    S2_ACCESS_CLEAN, /* cache maintenance by address, which WnR calls a write: it is none */
};

/* What the guest's load or store wanted, if the CPU says (ISV): enough to emulate it. */
struct s2_transfer {
    bool is_valid;
    unsigned bytes;  /* 1, 2, 4 or 8 */
    unsigned reg;    /* x0..x30, or 31: xzr */
    bool is_signed;  /* a load extends the sign */
    bool is_64bit;   /* the register is Xt, not Wt */
    bool is_ordered; /* load-acquire or store-release */
};

struct s2_fault {
    enum s2_fault_kind kind;
    enum s2_access access;
    int level;     /* that the CPU gives: of stage 2; for on_walk faults QEMU before 10 gives the
                      * guest's own; 0 where the kind has none */
    bool is_fetch; /* the instruction abort class, whatever access says */
    bool on_walk;  /* S1PTW: the walk of the guest's own tables was refused */
    bool has_va;   /* va is the address that the guest used */
    bool has_ipa;  /* ipa is known */
    bool is_short; /* a 16-bit instruction */
    uint64_t va;   /* virtual; 0: unknown */
    ipa_t ipa;     /* exact to the byte; to the page if on_walk or not has_va; 0: unknown */
    uint64_t esr;
    struct s2_transfer transfer;
};

/* Whether @esr is an abort of a lower level, and so one to be decoded. */
bool s2_fault_is(uint64_t esr);

/* Whether HPFAR_EL2 does not say which page it was, but AT S1E1R on FAR_EL2 does, with the guest's
 * registers live (HCR_EL2.TGE = 0), an ISB before PAR_EL1 is read, and PAR_EL1, which is the
 * guest's, put back. The guest chooses what AT walks, and an external abort on that walk is taken at EL2:
 * the host's vector has to know the instruction, and go on with S2_PAR_F. For guests with FEAT_S1PIE or
 * FEAT_S1POE it is AT S1E1A (FEAT_ATS1A), as EL1 may be unable to read what EL0 faulted on. */
bool s2_fault_needs_par(uint64_t esr);

/**
 * s2_fault_decode() - What the registers of an exit say.
 * @regs:    any.
 * Returns:  the fault; kind S2_FAULT_NONE unless s2_fault_is(). has_ipa is false where the CPU
 *           gives no address and @regs->par none either: the guest's own tables no longer translate
 *           it, as another of its CPUs has changed them; it is to run again.
 *           A permission fault on a walk is a write to the page that HPFAR_EL2 names, whatever EC
 *           and WnR say: the CPU wanted to set a flag in the guest's table. Any other on a walk is
 *           a read.
 * Cost:     some 160 instructions.
 */
struct s2_fault s2_fault_decode(const struct s2_fault_regs *regs);

/* For people: "translation", "read". Static. */
const char *s2_fault_kind_name(enum s2_fault_kind kind);
const char *s2_access_name(enum s2_access access);

/* A load's value as its register gets it: extended from @transfer's size, a Wt zero-extended. */
uint64_t s2_transfer_extend(const struct s2_transfer *transfer, uint64_t value);

/* The guest where it was stopped: ELR_EL2, SPSR_EL2, and its own registers (with HCR_EL2.E2H = 1
 * those named _EL12). */
struct s2_guest_state {
    uint64_t pc;
    uint64_t spsr;
    uint64_t sctlr_el1;
    uint64_t vbar_el1;
    bool has_mte; /* the guest has FEAT_MTE2: its exceptions are taken with PSTATE.TCO = 1 */
};

/* What it finds once it is entered again with pc in ELR_EL2 and spsr in SPSR_EL2. */
struct s2_injection {
    uint64_t esr_el1;
    uint64_t far_el1;
    uint64_t elr_el1;
    uint64_t spsr_el1;
    uint64_t pc;
    uint64_t spsr;
};

/**
 * s2_fault_inject() - The guest is told of its access: a synchronous external abort, as if the
 *                     address had no memory behind it.
 * @fault:   any that s2_fault_is().
 * @guest:   an EL1 that runs in AArch64, its EL0 in AArch64 or AArch32.
 * Returns:  the registers to be written. Whether it was a fetch or not, WnR and CM are as in the
 *           fault; FSC is external, not on a walk.
 * Order:    the interrupts of the guest are masked then, as by any exception.
 * Not here: ALLINT (FEAT_NMI), SCTLR2_EL1.EASE and EXLOCK (FEAT_GCS): the host's, if it gives them to
 *           its guests.
 */
struct s2_injection s2_fault_inject(const struct s2_fault *fault,
                                    const struct s2_guest_state *guest);

TRESTLE_END

#endif
