#include "hyp/vm/bare.h"

#include "core/assert.h"
#include "hyp/machine/layout.h"
#include "hyp/machine/machine.h"
#include "hyp/machine/string.h"
#include "hyp/machine/sysreg.h"
#include "hyp/vm/vcpu.h"

#define PROGRAM_BYTES ((size_t)(bare_program_end - bare_program))
#define INSTRUCTIONS 2 /* the access, and the HVC that tells of it */
#define INSTRUCTION_BYTES 4
#define LINE_MIN 16 /* bytes of the smallest line that a cache may have */

/* bare_program.S */
extern const unsigned char bare_program[];
extern const unsigned char bare_program_end[];

void bare_put_program(void *page)
{
    memcpy(page, bare_program, PROGRAM_BYTES);
    for (uintptr_t at = (uintptr_t)page; at < (uintptr_t)page + PROGRAM_BYTES; at += LINE_MIN) {
        __asm__ volatile("dc cvau, %0" : : "r"(at) : "memory");
    }
    __asm__ volatile("dsb ish" : : : "memory");
}

struct bare_result bare_access(const struct s2_table *table, ipa_t program, enum s2_access access,
                               uint64_t address, uint8_t value)
{
    uint64_t entry = ipa_number(program) + (access == S2_ACCESS_WRITE ? BARE_STORE : BARE_LOAD);
    struct vcpu_regs regs = {.x = {address, value}, .pc = entry, .pstate = SPSR_EL1H | SPSR_DAIF};
    struct bare_result result = {.abort = {.kind = S2_FAULT_OTHER}};
    struct vcpu_exit exit = vcpu_run_by_hand(table, &regs);

    MAPPING_ASSERT(access != S2_ACCESS_FETCH);
    if (exit.reason == VCPU_EXIT_ABORT) {
        result.abort = exit.abort;
        return result;
    }
    result.is_done =
        exit.reason == VCPU_EXIT_HVC && regs.pc == entry + INSTRUCTIONS * INSTRUCTION_BYTES;
    result.value = (uint8_t)regs.x[1];
    result.abort.esr = exit.esr;
    return result;
}
