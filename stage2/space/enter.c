#include "stage2/space/enter.h"

#include "stage2/arch/arch.h"
#include "stage2/tlb/regime.h"

/* Under HCR_EL2.TGE the TLBI would hit EL2&0, and leave the guest's. */
static void forget_other_vcpus(const struct s2_tlb_rules *rules)
{
    const uint64_t hcr = s2_regime_from_host(rules);

    for (unsigned i = 0; i < (rules->is_repeated ? 2U : 1U); i++) {
        arch_tlbi_vmalle1();
        arch_dsb_nsh();
    }
    arch_isb();
    s2_regime_to_host(rules, hcr);
}

enum mapping_error s2_enter(struct s2_table *table, struct s2_vmid_allocator *vmids,
                            struct s2_cpu *cpu, uint32_t vcpu_id)
{
    enum mapping_error error = MAPPING_INVALID_PARAM;
    const struct s2_regime regime = {.geometry = &table->geometry, .rules = &table->rules};
    uint16_t number;

    if (cpu->vmids == vmids) {
        error = s2_table_set_vmids(table, vmids);
    }
    if (error != MAPPING_OK) {
        return error;
    }
    if (table->rules.is_repeated) {
        s2_vmid_repeat(vmids);
    }
    number = s2_vmid_take(vmids, &table->vmid, cpu);
    s2_regime_load(&regime, s2_geometry_vttbr(&table->geometry, table->root_pa, number));
    s2_vmid_settle(cpu);
    if (s2_vmid_note_vcpu(cpu, &table->vmid, vcpu_id)) {
        forget_other_vcpus(&table->rules);
    }
    return MAPPING_OK;
}

/* The order is the point: only when nothing is walked under the number any more may a new
 * generation give it to another. */
void s2_leave(struct s2_cpu *cpu)
{
    arch_write_vttbr(0);
    arch_isb();
    s2_vmid_release(cpu);
}
