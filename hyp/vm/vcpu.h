/*
 * vcpu.h - a guest's CPU: its registers while it does not run, and why it stopped.
 *
 * vcpu_run() puts the guest's EL1 registers and tables in place only when another vCPU was there
 * before. So a guest that comes back after a moment at EL2 finds its TLB as it left it: were an
 * invalidation missing, it would see what is no longer true. From one vCPU of a guest to another
 * nothing is written that is the same for both, and what the TLB holds is s2_enter()'s affair.
 */
#ifndef TRESTLE_HYP_VM_VCPU_H
#define TRESTLE_HYP_VM_VCPU_H

#include "hyp/machine/layout.h"
#include "hyp/vm/abort.h"
#include "stage2/trestle.h"

#include <stddef.h>
#include <stdint.h>

/* vectors.S saves and restores these. */
struct vcpu_regs {
    uint64_t x[31];
    uint64_t pc;
    uint64_t pstate;
};

_Static_assert(offsetof(struct vcpu_regs, x) == VCPU_REGS_X(0), "layout.h");
_Static_assert(offsetof(struct vcpu_regs, pc) == VCPU_REGS_PC, "layout.h");
_Static_assert(offsetof(struct vcpu_regs, pstate) == VCPU_REGS_PSTATE, "layout.h");

/* EL1's and EL0's system registers that a guest could leave something in for another. What is not
 * among them traps: cpu_init(). */
/* clang-format off */
#define VCPU_EL1_REGISTERS(X)                                                              \
    X(cpacr_el1) X(ttbr0_el1) X(ttbr1_el1) X(mair_el1) X(amair_el1) X(vbar_el1)            \
    X(contextidr_el1) X(sp_el0) X(sp_el1) X(elr_el1) X(spsr_el1) X(esr_el1) X(far_el1)     \
    X(afsr0_el1) X(afsr1_el1) X(par_el1) X(csselr_el1) X(mdscr_el1) X(cntkctl_el1)         \
    X(cntv_ctl_el0) X(cntv_cval_el0) X(tpidr_el0) X(tpidrro_el0) X(tpidr_el1)
/* clang-format on */

/* Those that say whether stage 1 is walked: put in place last, in this order. */
#define VCPU_EL1_SWITCHES(X) X(sctlr_el1) X(tcr_el1)

struct vcpu_el1 {
#define VCPU_EL1_FIELD(name) uint64_t name;
    VCPU_EL1_REGISTERS(VCPU_EL1_FIELD)
    VCPU_EL1_SWITCHES(VCPU_EL1_FIELD)
#undef VCPU_EL1_FIELD
};

struct vcpu {
    struct vcpu_regs regs;
    struct vcpu_el1 el1; /* stale while the vCPU is loaded */
    struct s2_table *table;
    uint32_t id;      /* among the guest's */
    bool irq_pending; /* a virtual IRQ waits for the guest */
};

enum vcpu_exit_reason {
    VCPU_EXIT_HVC,
    VCPU_EXIT_SMC,
    VCPU_EXIT_WFX,
    VCPU_EXIT_ABORT, /* .abort says more */
    VCPU_EXIT_IRQ,   /* IRQ or FIQ */
    VCPU_EXIT_OTHER, /* SError, or a trap that nobody asked for: .esr says more */
};

struct vcpu_exit {
    enum vcpu_exit_reason reason;
    uint64_t esr;
    struct s2_fault abort;
};

/**
 * vcpu_init() - A vCPU as after reset: EL1, MMU and caches off, exceptions masked.
 * @table:   the guest's stage 2; must outlive the vCPU.
 * @entry:   IPA of its first instruction.
 */
void vcpu_init(struct vcpu *vcpu, struct s2_table *table, ipa_t entry);

/* Another vCPU of @from's guest, at the same point and with the same registers. Unloads. */
void vcpu_clone(struct vcpu *vcpu, const struct vcpu *from, uint32_t id);

/**
 * vcpu_run() - Run the guest until it comes back to EL2.
 * Returns:  why it did. After an HVC the program counter is past it; after any other exit it is at
 *           the instruction, so that running again tries again.
 */
struct vcpu_exit vcpu_run(struct vcpu *vcpu);

/* Let the guest go on under @table, which must show what it stands on where it stands. */
void vcpu_set_table(struct vcpu *vcpu, struct s2_table *table);

/* Pass over the instruction that it stopped at. All of AArch64's are 4 bytes. */
void vcpu_skip(struct vcpu *vcpu);

/**
 * vcpu_load() - Put @vcpu's EL1 registers, VTCR_EL2, VTTBR_EL2 and HCR_EL2 in place.
 * vcpu_unload() - Take whichever is loaded off, and turn stage 2 off: needed before its table goes.
 * vcpu_load_table() - As vcpu_unload(), but @table is the one in place, with no vCPU.
 * vcpu_load_by_hand() - The same for one whose VMID was given to it, and is none of machine.vmids.
 */
void vcpu_load(struct vcpu *vcpu);
void vcpu_unload(void);
void vcpu_load_table(struct s2_table *table);
void vcpu_load_by_hand(const struct s2_table *table);

/**
 * vcpu_run_by_hand() - Run @regs at EL1 as nobody's vCPU, with stage 1 off.
 * @table:   the one in place, with no vCPU.
 * Returns:  as vcpu_run(). Exceptions of its own go to the 2 KiB where it begins.
 *
 * vcpu_stage1_off() - The half of it that AT needs: HCR_EL2.DC, so that EL1's accesses are Normal
 *           write-back and by IPA.
 */
struct vcpu_exit vcpu_run_by_hand(const struct s2_table *table, struct vcpu_regs *regs);
void vcpu_stage1_off(const struct s2_table *table);

#endif
