#include "hyp/vm/vcpu.h"

#include "core/assert.h"
#include "hyp/machine/machine.h"
#include "hyp/machine/panic.h"
#include "hyp/machine/sysreg.h"
#include "stage2/trestle.h"

#include <stdbool.h>

#define INSTRUCTION_BYTES 4
#define VECTORS_ALIGN MAPPING_BIT(11)

/* What comes to EL2 beside stage 2 faults: physical interrupts, WFI and SMC. */
#define HCR_TRAPS (HCR_RW | HCR_TSC | HCR_TWI | HCR_AMO | HCR_IMO | HCR_FMO | HCR_SWIO)

/* And what s2_enter() asks for a vCPU that may move: here it cannot, but a stranger looks here. */
#define HCR_MOVES (HCR_FB | HCR_BSU_INNER)

unsigned vcpu_enter(struct vcpu_regs *regs); /* vectors.S */

/* The vCPU whose EL1 state this CPU holds. One CPU, so one of them. */
static struct vcpu *loaded;

void vcpu_init(struct vcpu *vcpu, struct s2_table *table, ipa_t entry)
{
    *vcpu = (struct vcpu){
        .regs = {.pc = ipa_distance(ipa_of(0), entry), .pstate = SPSR_EL1H | SPSR_DAIF},
        .el1 = {.sctlr_el1 = SCTLR_EL1_RESET},
        .table = table,
    };
}

void vcpu_clone(struct vcpu *vcpu, const struct vcpu *from, uint32_t id)
{
    vcpu_unload(); /* from now on @from's registers are where it keeps them */
    *vcpu = *from;
    vcpu->id = id;
}

static void save_el1(struct vcpu_el1 *el1)
{
#define SAVE(name) el1->name = read_##name();
    VCPU_EL1_REGISTERS(SAVE)
    VCPU_EL1_SWITCHES(SAVE)
#undef SAVE
}

/* Walks begin with the last write, by registers that are all the guest's. */
static void restore_el1(const struct vcpu_el1 *el1)
{
#define RESTORE(name)                 \
    if (read_##name() != el1->name) { \
        write_##name(el1->name);      \
    }
    VCPU_EL1_REGISTERS(RESTORE)
    isb();
#define RESTORE_IN_ORDER(name) RESTORE(name) isb();
    VCPU_EL1_SWITCHES(RESTORE_IN_ORDER)
#undef RESTORE_IN_ORDER
#undef RESTORE
}

static uint64_t guest_hcr(const struct vcpu *vcpu)
{
    return s2_table_hcr(vcpu->table) | HCR_TRAPS | HCR_MOVES | (vcpu->irq_pending ? HCR_VI : 0);
}

/* Between two guests the CPU must not meet one's stage 1 with the other's stage 2, neither by
 * speculation nor by the AT of parts with errata (A57, A72, A76 and kin): no walks, and no stage 1
 * that is off, for which there would be none to stop. */
static void stop_guest_walks(void)
{
    write_tcr_el1(read_tcr_el1() | TCR_EL1_EPD0 | TCR_EL1_EPD1);
    isb();
    write_sctlr_el1(read_sctlr_el1() | SCTLR_M);
    isb();
}

/* Nobody's vCPU is loaded, and nothing is walked; VTTBR_EL2 stays. */
static void put_aside(void)
{
    if (loaded != NULL) {
        save_el1(&loaded->el1);
        loaded = NULL;
    }
    stop_guest_walks();
}

void vcpu_unload(void)
{
    put_aside();
    write_hcr_el2(HCR_RW);
    isb();
    s2_leave(&machine.this_cpu);
}

static void enter(struct s2_table *table, uint32_t id)
{
    if (s2_enter(table, &machine.vmids, &machine.this_cpu, id) != MAPPING_OK) {
        panic("a guest cannot be entered");
    }
}

void vcpu_load_table(struct s2_table *table)
{
    vcpu_unload();
    enter(table, 0);
}

void vcpu_load_by_hand(const struct s2_table *table)
{
    vcpu_unload();
    write_vtcr_el2(s2_table_vtcr(table));
    write_vttbr_el2(s2_table_vttbr(table));
    isb();
}

static void load_after_another_guest(const struct vcpu *vcpu)
{
    put_aside();
    enter(vcpu->table, vcpu->id);
    write_hcr_el2(guest_hcr(vcpu));
    isb();
    restore_el1(&vcpu->el1);
}

/* What is walked while registers of both are in place, s2_enter() makes this CPU forget. So the
 * walks need not be stopped, and stage 2 is the same. */
static void load_after_another_vcpu(const struct vcpu *vcpu)
{
    save_el1(&loaded->el1);
    restore_el1(&vcpu->el1);
    enter(vcpu->table, vcpu->id);
}

void vcpu_load(struct vcpu *vcpu)
{
    if (loaded == vcpu) {
        return;
    }
    if (loaded != NULL && loaded->table == vcpu->table && loaded->id != vcpu->id) {
        load_after_another_vcpu(vcpu);
    } else {
        load_after_another_guest(vcpu);
    }
    loaded = vcpu;
}

void vcpu_set_table(struct vcpu *vcpu, struct s2_table *table)
{
    vcpu_unload();
    vcpu->table = table;
}

static struct vcpu_exit decode_sync(void)
{
    struct vcpu_exit exit = {.reason = VCPU_EXIT_OTHER, .esr = read_esr_el2()};

    switch (MAPPING_FIELD_GET(ESR_EC, exit.esr)) {
    case EC_HVC64:
        exit.reason = VCPU_EXIT_HVC;
        break;
    case EC_SMC64:
        exit.reason = VCPU_EXIT_SMC;
        break;
    case EC_WFX:
        exit.reason = VCPU_EXIT_WFX;
        break;
    case EC_IABT_LOWER:
    case EC_DABT_LOWER:
        exit.reason = VCPU_EXIT_ABORT;
        exit.abort = abort_decode(exit.esr);
        break;
    default:
        break;
    }
    return exit;
}

static struct vcpu_exit run_regs(struct vcpu_regs *regs)
{
    switch (vcpu_enter(regs)) {
    case VECTOR_SYNC:
        return decode_sync();
    case VECTOR_IRQ:
    case VECTOR_FIQ:
        return (struct vcpu_exit){.reason = VCPU_EXIT_IRQ};
    default:
        return (struct vcpu_exit){.reason = VCPU_EXIT_OTHER, .esr = read_esr_el2()};
    }
}

struct vcpu_exit vcpu_run(struct vcpu *vcpu)
{
    vcpu_load(vcpu);
    write_hcr_el2(guest_hcr(vcpu));
    return run_regs(&vcpu->regs);
}

void vcpu_stage1_off(const struct s2_table *table)
{
    write_hcr_el2(s2_table_hcr(table) | HCR_TRAPS | HCR_DC);
    isb();
}

/* SCTLR_EL1.M stays on, as stop_guest_walks() left it: under DC it counts as off. */
struct vcpu_exit vcpu_run_by_hand(const struct s2_table *table, struct vcpu_regs *regs)
{
    MAPPING_ASSERT(loaded == NULL);

    write_sctlr_el1(SCTLR_EL1_RESET | SCTLR_M);
    write_vbar_el1(mapping_u64_align_down(regs->pc, VECTORS_ALIGN));
    vcpu_stage1_off(table);
    return run_regs(regs);
}

void vcpu_skip(struct vcpu *vcpu)
{
    vcpu->regs.pc += INSTRUCTION_BYTES;
}
