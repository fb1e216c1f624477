/*
 * guest.h - the parts of the guest's program.
 */
#ifndef TRESTLE_HYP_GUEST_GUEST_H
#define TRESTLE_HYP_GUEST_GUEST_H

#include "hyp/guest/abi.h"

#include <stdint.h>

#define GUEST_ARGUMENTS 3

/* entry.S */
uint64_t guest_hvc(uint64_t call, uint64_t args[GUEST_ARGUMENTS]);
uint64_t guest_call_el0(uint64_t va);
extern const uint32_t guest_template[];
extern const uint32_t guest_template_end[];
extern uint64_t guest_irq_count;

/* main.c */
_Noreturn void guest_main(void);

/* stage1.c: builds both address spaces and turns MMU and caches on, in the first of them. */
void guest_stage1_on(void);
void guest_stage1_window(uint64_t asid, uint64_t page, uint64_t ipa);
void guest_stage1_table_entry(uint64_t va, uint64_t ipa);
void guest_stage1_window_table(uint64_t n, uint64_t ipa);
void guest_stage1_use(uint64_t asid);
void guest_stage1_own(uint64_t asid, uint64_t space);

/* steps.c: what each step does, by its number. */
typedef uint64_t (*guest_step_fn)(const uint64_t args[GUEST_ARGUMENTS]);
extern const guest_step_fn guest_steps[GUEST_STEP_COUNT];

#endif
