#include "stage2/space/enter.h"

#include "stage2/arch/arch.h"
#include "stage2/tlb/regime.h"

#define HCR_TGE BIT(27)
#define VTTBR_CNP BIT(0)

static uint64_t vttbr_of(const struct s2_table *table, uint16_t number)
{
    return s2_geometry_vttbr(&table->geometry, table->root_pa, number) |
           (table->is_common ? VTTBR_CNP : 0);
}

/* Only what differs is written: most often neither. */
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

static void load_guest(const struct s2_table *table, uint64_t vttbr)
{
    const uint64_t vtcr = table->geometry.vtcr;

    if (arch_read_vttbr() == vttbr && arch_read_vtcr() == vtcr) {
        return;
    }
    if (table->rules.has_speculative_at) {
        const struct s2_stage1 stage1 = s2_stage1_stop(table->rules.has_hcr_write);

        write_registers(vtcr, vttbr);
        s2_stage1_resume(&stage1);
    } else {
        write_registers(vtcr, vttbr);
    }
}

static void forget_stage1(const struct s2_table *table)
{
    for (unsigned i = 0; i < (table->rules.is_repeated ? 2U : 1U); i++) {
        arch_tlbi_vmalle1();
        arch_dsb_nsh();
    }
    arch_isb();
}

/* Under HCR_EL2.TGE the TLBI would hit EL2&0, and leave the guest's. */
static void forget_other_vcpus(const struct s2_table *table)
{
    const uint64_t hcr = table->rules.has_vhe ? arch_read_hcr() : 0;

    if ((hcr & HCR_TGE) == 0) {
        forget_stage1(table);
        return;
    }
    s2_hcr_write(hcr & ~HCR_TGE, table->rules.has_hcr_write);
    arch_isb();
    forget_stage1(table);
    s2_hcr_write(hcr, table->rules.has_hcr_write);
    arch_isb();
}

enum mapping_error s2_enter(struct s2_table *table, struct s2_vmid_allocator *vmids,
                            struct s2_cpu *cpu, uint32_t vcpu_id)
{
    enum mapping_error error = MAPPING_INVALID_PARAM;
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
    load_guest(table, vttbr_of(table, number));
    s2_vmid_settle(cpu);
    if (s2_vmid_changes_vcpu(cpu, &table->vmid, vcpu_id)) {
        forget_other_vcpus(table);
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
