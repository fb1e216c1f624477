#include "hyp/vcpu.h"

#include "hyp/sysreg.h"

#include <stdbool.h>

#define INSTRUCTION_BYTES 4

/* What comes to EL2 beside stage 2 faults: physical interrupts, WFI and SMC. */
#define HCR_TRAPS (HCR_RW | HCR_TSC | HCR_TWI | HCR_AMO | HCR_IMO | HCR_FMO | HCR_SWIO)

unsigned vcpu_enter(struct vcpu_regs *regs); /* vectors.S */

/* The vCPU whose EL1 state this CPU holds. One CPU, so one of them. */
static struct vcpu *loaded;

void vcpu_init(struct vcpu *vcpu, const struct s2_table *table, ipa_t entry)
{
    *vcpu = (struct vcpu){
        .regs = {.pc = ipa_distance(ipa_of(0), entry), .pstate = SPSR_EL1H | SPSR_DAIF},
        .el1 = {.sctlr_el1 = SCTLR_EL1_RESET},
        .table = table,
    };
}

static void save_el1(struct vcpu_el1 *el1)
{
#define SAVE(name) el1->name = read_##name();
    VCPU_EL1_REGISTERS(SAVE)
#undef SAVE
}

static void restore_el1(const struct vcpu_el1 *el1)
{
#define RESTORE(name) write_##name(el1->name);
    VCPU_EL1_REGISTERS(RESTORE)
#undef RESTORE
}

static uint64_t guest_hcr(const struct vcpu *vcpu)
{
    return s2_table_hcr(vcpu->table) | HCR_TRAPS | (vcpu->irq_pending ? HCR_VI : 0);
}

/* Parts with the speculative AT errata (A57, A72, A76 and kin) walk guest tables on their own
 * account, and must not meet one guest's stage 1 with another's stage 2: no walks in between. */
static void stop_guest_walks(void)
{
    write_tcr_el1(read_tcr_el1() | TCR_EL1_EPD0 | TCR_EL1_EPD1);
    isb();
}

void vcpu_unload(void)
{
    if (loaded != NULL) {
        save_el1(&loaded->el1);
        loaded = NULL;
    }
    stop_guest_walks();
    write_hcr_el2(HCR_RW);
    isb();
}

void vcpu_load(struct vcpu *vcpu)
{
    if (loaded == vcpu) {
        return;
    }
    vcpu_unload();
    write_vtcr_el2(s2_table_vtcr(vcpu->table));
    write_vttbr_el2(s2_table_vttbr(vcpu->table));
    isb(); /* the tables are in place before stage 2 is on */
    write_hcr_el2(guest_hcr(vcpu));
    restore_el1(&vcpu->el1);
    stop_guest_walks();
    write_tcr_el1(vcpu->el1.tcr_el1);
    isb();
    loaded = vcpu;
}

void vcpu_set_table(struct vcpu *vcpu, const struct s2_table *table)
{
    vcpu_unload();
    vcpu->table = table;
}

static struct vcpu_exit decode_sync(void)
{
    struct vcpu_exit exit = {.reason = VCPU_EXIT_OTHER, .esr = read_esr_el2()};

    switch (FIELD_GET(ESR_EC, exit.esr)) {
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

struct vcpu_exit vcpu_run(struct vcpu *vcpu)
{
    vcpu_load(vcpu);
    write_hcr_el2(guest_hcr(vcpu));
    switch (vcpu_enter(&vcpu->regs)) {
    case VECTOR_SYNC:
        return decode_sync();
    case VECTOR_IRQ:
    case VECTOR_FIQ:
        return (struct vcpu_exit){.reason = VCPU_EXIT_IRQ};
    default:
        return (struct vcpu_exit){.reason = VCPU_EXIT_OTHER, .esr = read_esr_el2()};
    }
}

void vcpu_skip(struct vcpu *vcpu)
{
    vcpu->regs.pc += INSTRUCTION_BYTES;
}
