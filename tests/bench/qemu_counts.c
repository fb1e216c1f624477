#include "tests/bench/qemu_counts.h"

#include "tests/bench/qemu_monitor.h"

struct arch_counts arch_counts;

bool counts_begin(void)
{
    if ((read_pmceid0_el0() & PMCEID0_INST_RETIRED) == 0) {
        return false;
    }
    write_pmevtyper0_el0(PMEVTYPER_NSH | EVENT_INST_RETIRED);
    write_pmcntenset_el0(PMCNTEN_COUNTER_0);
    write_pmcr_el0(read_pmcr_el0() | PMCR_E);
    isb();
    return true;
}

uint32_t counts_instructions(void)
{
    isb(); /* what comes before has retired */
    return (uint32_t)read_pmevcntr0_el0();
}

/* Two instructions a turn, and the move before them. */
static uint32_t count_loop(uint64_t turns)
{
    const uint32_t began = counts_instructions();
    uint64_t left;

    __asm__ volatile("mov %0, %1\n1: subs %0, %0, #1\n\tb.ne 1b"
                     : "=&r"(left)
                     : "r"(turns)
                     : "cc", "memory");
    return counts_instructions() - began;
}

/* Two loops that differ in their turns alone, as it takes some instructions to count. */
bool counts_are_exact(void)
{
    return count_loop(2000) - count_loop(1000) == 2000;
}
