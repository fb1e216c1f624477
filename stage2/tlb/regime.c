#include "stage2/tlb/regime.h"

#include "stage2/arch/arch.h"

#define HCR_DC MAPPING_BIT(12)
#define HCR_TGE MAPPING_BIT(27)
#define HCR_E2H MAPPING_BIT(34)
#define SCTLR_M MAPPING_BIT(0)
#define TCR_EPD0 MAPPING_BIT(7)
#define TCR_EPD1 MAPPING_BIT(23)

_Static_assert((TCR_EPD0 | TCR_EPD1) == UINT64_C(0x800080), "TCR_EL1");

/* --- Stage 1 --------------------------------------------------------------------------------- */

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

/* With the erratum there is a DSB before, so that no translation of an older instruction is under
 * way, and an ISB after. Without it the ISB is the caller's. */
static void write_hcr(const struct s2_tlb_rules *rules, uint64_t value)
{
    if (rules->has_hcr_write) {
        arch_dsb_nsh();
    }
    arch_write_hcr(value);
    if (rules->has_hcr_write) {
        arch_isb();
    }
}

/* From now on this CPU walks no stage 1 of EL1&0; an ISB has passed on return. Meanwhile other bits
 * of HCR_EL2 than DC and E2H may change, if they are as before at the end. */
static struct s2_stage1 stage1_stop(const struct s2_tlb_rules *rules)
{
    const struct s2_stage1 before = {read_tcr(), read_sctlr(), arch_read_hcr()};

    /* In this order, else the guest's walks begin in between, by registers that it has not set. */
    write_tcr(before.tcr | TCR_EPD0 | TCR_EPD1);
    if ((before.sctlr & SCTLR_M) == 0) {
        write_sctlr(before.sctlr | SCTLR_M);
    }
    if ((before.hcr & HCR_DC) != 0) {
        write_hcr(rules, before.hcr & ~HCR_DC);
        arch_isb();
    }
    return before;
}

/* The opposite, after the ISB that follows the last register of stage 2. */
static void stage1_resume(const struct s2_tlb_rules *rules, const struct s2_stage1 *stage1)
{
    MAPPING_ASSERT((arch_read_hcr() & ~HCR_DC) == (stage1->hcr & ~HCR_DC));

    if ((stage1->hcr & HCR_DC) != 0) {
        write_hcr(rules, stage1->hcr);
        arch_isb();
    }
    if ((stage1->sctlr & SCTLR_M) == 0) {
        write_sctlr(stage1->sctlr);
    }
    write_tcr(stage1->tcr);
}

/* --- For an invalidation --------------------------------------------------------------------- */

/* Whether VTTBR_EL2 is the guest's. Where VMIDs are given, it is under the number that the guest
 * was given last, whatever generations have passed since. The root alone would not do: 0 is one,
 * and is what s2_leave() leaves behind; and what a dead guest's was may be another's by now. */
static bool is_vttbr_of(const struct s2_regime *regime, uint64_t vttbr)
{
    uint16_t number;

    MAPPING_ASSERT(regime->vmids == NULL || regime->vmid != NULL);
    if (regime->vmids == NULL) {
        return vttbr == regime->vttbr;
    }
    number = s2_vmid_last_number(regime->vmid);
    return number != S2_VMID_NOBODY && vttbr == s2_vttbr_with_vmid(regime->vttbr, number);
}

/* The root is the guest's, and no number is, though an allocator gives them. */
static bool is_entered_by_hand(const struct s2_regime *regime, uint64_t vttbr)
{
    return regime->vmids != NULL && vttbr != 0 &&
           vttbr == s2_vttbr_with_vmid(regime->vttbr, S2_VMID_NOBODY);
}

static void mask_and_look(const struct s2_regime *regime, struct s2_regime_before *before)
{
    before->daif = arch_irq_mask();
    before->is_switched = false;
    before->is_pinned = false;
    before->vtcr = arch_read_vtcr();
    before->vttbr = arch_read_vttbr();
    before->is_here = is_vttbr_of(regime, before->vttbr) && before->vtcr == regime->geometry->vtcr;
    before->is_host = regime->rules->has_vhe && (arch_read_hcr() & HCR_TGE) != 0;
    MAPPING_ASSERT(!is_entered_by_hand(regime, before->vttbr));
}

static void switch_to(const struct s2_regime *regime, struct s2_regime_before *before,
                      uint64_t vttbr)
{
    MAPPING_ASSERT(regime->vmids == NULL || before->is_here ||
                   s2_vttbr_vmid(vttbr) != S2_VMID_NOBODY);
    MAPPING_ASSERT(!before->is_switched);

    if (regime->rules->has_speculative_at) {
        before->stage1 = stage1_stop(regime->rules);
    }
    if (!before->is_here) {
        arch_write_vtcr(regime->geometry->vtcr);
        arch_write_vttbr(vttbr);
    }
    if (before->is_host) {
        write_hcr(regime->rules, arch_read_hcr() & ~HCR_TGE);
    }
    arch_isb();
    before->is_switched = true;
}

static void switch_back(const struct s2_regime *regime, const struct s2_regime_before *before)
{
    if (before->is_host) {
        write_hcr(regime->rules, arch_read_hcr() | HCR_TGE);
    }
    if (!before->is_here) {
        arch_write_vttbr(before->vttbr);
        arch_write_vtcr(before->vtcr);
    }
    arch_isb();
    if (regime->rules->has_speculative_at) {
        stage1_resume(regime->rules, &before->stage1);
    }
}

bool s2_regime_borrow(const struct s2_regime *regime, struct s2_regime_before *before)
{
    uint64_t vttbr = regime->vttbr;
    uint16_t number;

    mask_and_look(regime, before);
    if (!before->is_here && regime->vmids != NULL) {
        if (!s2_vmid_pin(regime->vmids, regime->vmid, &number)) {
            return false;
        }
        before->is_pinned = true;
        vttbr = s2_vttbr_with_vmid(vttbr, number);
    }
    if (!before->is_here || before->is_host) {
        switch_to(regime, before, vttbr);
    }
    return true;
}

void s2_regime_return(const struct s2_regime *regime, const struct s2_regime_before *before)
{
    MAPPING_ASSERT(!before->is_pinned || before->is_switched);

    if (before->is_switched) {
        switch_back(regime, before);
    }
    if (before->is_pinned) {
        s2_vmid_unpin(regime->vmids); /* not before its number is out of VTTBR_EL2 */
    }
    arch_irq_restore(before->daif);
}

/* --- For good -------------------------------------------------------------------------------- */

static void write_registers(uint64_t vtcr, uint64_t vttbr)
{
    if (arch_read_vtcr() != vtcr) {
        arch_write_vtcr(vtcr);
    }
    if (arch_read_vttbr() != vttbr) {
        arch_write_vttbr(vttbr);
    }
    arch_isb();
}

void s2_regime_load(const struct s2_regime *regime, uint64_t vttbr)
{
    const uint64_t vtcr = regime->geometry->vtcr;

    if (arch_read_vttbr() == vttbr && arch_read_vtcr() == vtcr) {
        return;
    }
    if (regime->rules->has_speculative_at) {
        const struct s2_stage1 stage1 = stage1_stop(regime->rules);

        write_registers(vtcr, vttbr);
        stage1_resume(regime->rules, &stage1);
    } else {
        write_registers(vtcr, vttbr);
    }
}

uint64_t s2_regime_from_host(const struct s2_tlb_rules *rules)
{
    const uint64_t hcr = rules->has_vhe ? arch_read_hcr() : 0;

    if ((hcr & HCR_TGE) != 0) {
        write_hcr(rules, hcr & ~HCR_TGE);
        arch_isb();
    }
    return hcr;
}

void s2_regime_to_host(const struct s2_tlb_rules *rules, uint64_t hcr)
{
    if ((hcr & HCR_TGE) != 0) {
        write_hcr(rules, hcr);
        arch_isb();
    }
}
