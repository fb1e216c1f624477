/*
 * sysreg.h - the system registers that this hypervisor reads and writes, by Arm's names.
 *
 * SYSREG(name) makes read_<name>() and write_<name>(); neither synchronises, so the caller says
 * isb() where the next instruction relies on the write.
 * Source:   Arm ARM DDI 0487, chapter D, the page of each register.
 */
#ifndef TRESTLE_HYP_MACHINE_SYSREG_H
#define TRESTLE_HYP_MACHINE_SYSREG_H

#include "core/bits.h"

#include <stdint.h>

#define SYSREG_RO(name)                                   \
    static inline uint64_t read_##name(void)              \
    {                                                     \
        uint64_t value;                                   \
                                                          \
        __asm__ volatile("mrs %0, " #name : "=r"(value)); \
        return value;                                     \
    }

#define SYSREG(name)                                                     \
    SYSREG_RO(name)                                                      \
    static inline void write_##name(uint64_t value)                      \
    {                                                                    \
        __asm__ volatile("msr " #name ", %0" : : "r"(value) : "memory"); \
    }

/* Identification. */
SYSREG_RO(id_aa64mmfr0_el1)
SYSREG_RO(id_aa64mmfr1_el1)
SYSREG_RO(id_aa64mmfr2_el1)
SYSREG_RO(id_aa64isar0_el1)
SYSREG_RO(id_aa64isar1_el1)
SYSREG_RO(ctr_el0)
SYSREG_RO(midr_el1)
SYSREG_RO(mpidr_el1)

/* EL2: control, its own stage 1, what a guest runs under, and why it came back. */
SYSREG(hcr_el2)
SYSREG(cptr_el2)
SYSREG(hstr_el2)
SYSREG(mdcr_el2)
SYSREG(cnthctl_el2)
SYSREG(cntvoff_el2)
SYSREG(vpidr_el2)
SYSREG(vmpidr_el2)
SYSREG(sctlr_el2)
SYSREG(tcr_el2)
SYSREG(mair_el2)
SYSREG(ttbr0_el2)
SYSREG(vtcr_el2)
SYSREG(vttbr_el2)
SYSREG_RO(esr_el2)
SYSREG_RO(far_el2)
SYSREG_RO(hpfar_el2)

/* EL1 and EL0, which are the guest's: vcpu.c lists those it keeps per guest. */
SYSREG(sctlr_el1)
SYSREG(cpacr_el1)
SYSREG(ttbr0_el1)
SYSREG(ttbr1_el1)
SYSREG(tcr_el1)
SYSREG(mair_el1)
SYSREG(amair_el1)
SYSREG(vbar_el1)
SYSREG(contextidr_el1)
SYSREG(sp_el0)
SYSREG(sp_el1)
SYSREG(elr_el1)
SYSREG(spsr_el1)
SYSREG(esr_el1)
SYSREG(far_el1)
SYSREG(afsr0_el1)
SYSREG(afsr1_el1)
SYSREG(par_el1)
SYSREG(csselr_el1)
SYSREG(mdscr_el1)
SYSREG(cntkctl_el1)
SYSREG(cntv_ctl_el0)
SYSREG(cntv_cval_el0)
SYSREG(tpidr_el0)
SYSREG(tpidrro_el0)
SYSREG(tpidr_el1)

static inline void isb(void)
{
    __asm__ volatile("isb" : : : "memory");
}

/* HCR_EL2 with E2H = 0. */
#define HCR_SWIO MAPPING_BIT(1)       /* invalidate by set/way cleans too */
#define HCR_FMO MAPPING_BIT(3)        /* FIQs, */
#define HCR_IMO MAPPING_BIT(4)        /* IRQs, */
#define HCR_AMO MAPPING_BIT(5)        /* SErrors come to EL2 */
#define HCR_VI MAPPING_BIT(7)         /* a virtual IRQ is pending for the guest */
#define HCR_FB MAPPING_BIT(9)         /* a guest's TLBIs reach all CPUs */
#define HCR_BSU_INNER MAPPING_BIT(10) /* and so do its barriers */
#define HCR_DC MAPPING_BIT(12)        /* stage 1 off, and its accesses Normal write-back */
#define HCR_TWI MAPPING_BIT(13)       /* WFI comes to EL2 */
#define HCR_TSC MAPPING_BIT(19)       /* SMC comes to EL2 */
#define HCR_RW MAPPING_BIT(31)        /* EL1 is AArch64 */

/* CPTR_EL2 with E2H = 0: RES1 bits (two of them trap SVE and SME, where those exist), and the trap
 * of FP and SIMD. */
#define CPTR_RES1 (MAPPING_FIELD(9, 0) | MAPPING_FIELD(13, 12))
#define CPTR_TFP MAPPING_BIT(10)

/* CNTHCTL_EL2 with E2H = 0: EL1 may use the physical counter and timer. */
#define CNTHCTL_EL1PCTEN MAPPING_BIT(0)
#define CNTHCTL_EL1PCEN MAPPING_BIT(1)

/* MDCR_EL2: the performance monitors and the debug registers come to EL2. */
#define MDCR_TPMCR MAPPING_BIT(5)
#define MDCR_TPM MAPPING_BIT(6)
#define MDCR_TDA MAPPING_BIT(9)
#define MDCR_TDOSA MAPPING_BIT(10)
#define MDCR_TDRA MAPPING_BIT(11)

/* TCR_EL2 with E2H = 0. */
#define TCR_EL2_T0SZ MAPPING_FIELD(5, 0)
#define TCR_EL2_IRGN0 MAPPING_FIELD(9, 8)
#define TCR_EL2_ORGN0 MAPPING_FIELD(11, 10)
#define TCR_EL2_SH0 MAPPING_FIELD(13, 12)
#define TCR_EL2_PS MAPPING_FIELD(18, 16)
#define TCR_EL2_RES1 (MAPPING_BIT(23) | MAPPING_BIT(31))
#define TCR_RGN_WB 1 /* write-back, read- and write-allocate */
#define TCR_SH_INNER 3

/* SCTLR_EL2 with E2H = 0. */
#define SCTLR_M MAPPING_BIT(0)
#define SCTLR_C MAPPING_BIT(2)
#define SCTLR_SA MAPPING_BIT(3)
#define SCTLR_I MAPPING_BIT(12)
#define SCTLR_WXN MAPPING_BIT(19)
#define SCTLR_EL2_RES1                                                           \
    (MAPPING_FIELD(5, 4) | MAPPING_BIT(11) | MAPPING_BIT(16) | MAPPING_BIT(18) | \
     MAPPING_FIELD(23, 22) | MAPPING_FIELD(29, 28))

/* SCTLR_EL1 as a guest finds it at reset: MMU and caches off. */
#define SCTLR_EL1_RESET \
    (MAPPING_BIT(11) | MAPPING_BIT(20) | MAPPING_FIELD(23, 22) | MAPPING_FIELD(29, 28))

/* TCR_EL1: no walks by TTBR0, by TTBR1. */
#define TCR_EL1_EPD0 MAPPING_BIT(7)
#define TCR_EL1_EPD1 MAPPING_BIT(23)

#define VTTBR_BADDR MAPPING_FIELD(47, 1)
#define VTTBR_CNP MAPPING_BIT(0)
#define VTTBR_VMID MAPPING_FIELD(63, 48)

/* MAIR attribute bytes. */
#define MAIR_DEVICE_nGnRE 0x04
#define MAIR_NORMAL_WB 0xff

/* ID_AA64MMFR0_EL1 and ID_AA64ISAR0_EL1. */
#define MMFR0_PARANGE MAPPING_FIELD(3, 0)
#define PARANGE_48 5 /* larger ones need a 52-bit descriptor format */
#define ISAR0_ATOMIC MAPPING_FIELD(23, 20)

/* SPSR_EL2: EL1 with its own stack pointer; D, A, I and F masked. */
#define SPSR_EL1H 5
#define SPSR_DAIF MAPPING_FIELD(9, 6)

/* ESR_EL2. */
#define ESR_EC MAPPING_FIELD(31, 26)
#define ESR_IL MAPPING_BIT(25) /* a 32-bit instruction */
#define EC_WFX 0x01
#define EC_HVC64 0x16
#define EC_SMC64 0x17
#define EC_IABT_LOWER 0x20
#define EC_DABT_LOWER 0x24

/* ISS of aborts. */
#define ISS_FSC MAPPING_FIELD(5, 0)

/* FSC: the kinds whose level is in [1:0], as values of [5:2]; and level -1's own code. */
#define FSC_KIND MAPPING_FIELD(5, 2)
#define FSC_LEVEL MAPPING_FIELD(1, 0)
#define FSC_KIND_ADDRESS_SIZE 0x0
#define FSC_KIND_TRANSLATION 0x1
#define FSC_KIND_ACCESS_FLAG 0x2
#define FSC_KIND_PERMISSION 0x3
#define FSC_TLB_CONFLICT 0x30
#define FSC_TRANSLATION_LM1 0x2b

/* PAR_EL1 after an address translation. */
#define PAR_F MAPPING_BIT(0)
#define PAR_FST MAPPING_FIELD(6, 1)
#define PAR_SH MAPPING_FIELD(8, 7)
#define PAR_PTW MAPPING_BIT(8)
#define PAR_S MAPPING_BIT(9)
#define PAR_PA_PAGE MAPPING_FIELD(51, 12)
#define PAR_ATTR MAPPING_FIELD(63, 56)

#endif
