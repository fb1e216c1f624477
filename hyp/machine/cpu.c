#include "hyp/machine/cpu.h"

#include "hyp/machine/sysreg.h"

bool cpu_has_lse(void)
{
    return MAPPING_FIELD_GET(ISAR0_ATOMIC, read_id_aa64isar0_el1()) != 0;
}

void cpu_init(void)
{
    /* What no vCPU keeps (vcpu.h), no guest may have: FP and SIMD, monitors, debug registers. */
    write_cptr_el2(CPTR_RES1 | CPTR_TFP);
    write_mdcr_el2(read_mdcr_el2() | MDCR_TPM | MDCR_TPMCR | MDCR_TDA | MDCR_TDOSA | MDCR_TDRA);
    write_hstr_el2(0);
    write_cnthctl_el2(CNTHCTL_EL1PCTEN | CNTHCTL_EL1PCEN);
    write_cntvoff_el2(0);
    write_vpidr_el2(read_midr_el1());
    write_vmpidr_el2(read_mpidr_el1());
    /* Whoever was here before may have left anything in the TLB, under any VMID. */
    __asm__ volatile("tlbi alle1\n\tdsb nsh" : : : "memory");
    isb();
}
