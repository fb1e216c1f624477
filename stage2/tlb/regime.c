#include "stage2/tlb/regime.h"

#include "stage2/arch/arch.h"

#define HCR_DC BIT(12)
#define HCR_E2H BIT(34)
#define SCTLR_M BIT(0)
#define TCR_EPD0 BIT(7)
#define TCR_EPD1 BIT(23)

_Static_assert((TCR_EPD0 | TCR_EPD1) == UINT64_C(0x800080), "TCR_EL1");

/* Under HCR_EL2.E2H the guest's registers have other names; by the usual ones they are EL2's. */
static bool is_e2h(void)
{
    return (arch_read_hcr() & HCR_E2H) != 0;
}

static uint64_t read_tcr(void)
{
    return is_e2h() ? arch_read_tcr_el12() : arch_read_tcr_el1();
}

static void write_tcr(uint64_t value)
{
    if (is_e2h()) {
        arch_write_tcr_el12(value);
    } else {
        arch_write_tcr_el1(value);
    }
    arch_isb();
}

static uint64_t read_sctlr(void)
{
    return is_e2h() ? arch_read_sctlr_el12() : arch_read_sctlr_el1();
}

static void write_sctlr(uint64_t value)
{
    if (is_e2h()) {
        arch_write_sctlr_el12(value);
    } else {
        arch_write_sctlr_el1(value);
    }
    arch_isb();
}

void s2_hcr_write(uint64_t value, bool has_hcr_write)
{
    if (has_hcr_write) {
        arch_dsb_nsh();
    }
    arch_write_hcr(value);
    if (has_hcr_write) {
        arch_isb();
    }
}

struct s2_stage1 s2_stage1_stop(bool has_hcr_write)
{
    const struct s2_stage1 before = {read_tcr(), read_sctlr(), arch_read_hcr(), has_hcr_write};

    /* In this order, else the guest's walks begin in between, by registers that it has not set. */
    write_tcr(before.tcr | TCR_EPD0 | TCR_EPD1);
    if ((before.sctlr & SCTLR_M) == 0) {
        write_sctlr(before.sctlr | SCTLR_M);
    }
    if ((before.hcr & HCR_DC) != 0) {
        s2_hcr_write(before.hcr & ~HCR_DC, has_hcr_write);
        arch_isb();
    }
    return before;
}

void s2_stage1_resume(const struct s2_stage1 *stage1)
{
    MAPPING_ASSERT((arch_read_hcr() & ~HCR_DC) == (stage1->hcr & ~HCR_DC));

    if ((stage1->hcr & HCR_DC) != 0) {
        s2_hcr_write(stage1->hcr, stage1->has_hcr_write);
        arch_isb();
    }
    if ((stage1->sctlr & SCTLR_M) == 0) {
        write_sctlr(stage1->sctlr);
    }
    write_tcr(stage1->tcr);
}
