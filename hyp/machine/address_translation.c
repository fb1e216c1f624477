#include "hyp/machine/address_translation.h"

#include "hyp/machine/sysreg.h"

/* @instruction writes PAR_EL1; the ISB lets the read see it. */
#define DEFINE_AT(function, instruction)                                          \
    static uint64_t function(uint64_t va)                                         \
    {                                                                             \
        uint64_t saved = read_par_el1();                                          \
        uint64_t answer;                                                          \
                                                                                  \
        __asm__ volatile("at " instruction ", %0\n\tisb" : : "r"(va) : "memory"); \
        answer = read_par_el1();                                                  \
        write_par_el1(saved);                                                     \
        return answer;                                                            \
    }

DEFINE_AT(par_of_s1e1r, "s1e1r")
DEFINE_AT(par_of_s12e1r, "s12e1r")
DEFINE_AT(par_of_s12e1w, "s12e1w")

uint64_t at_s1e1r(uint64_t va)
{
    return par_of_s1e1r(va);
}

uint64_t at_s12e1r(uint64_t va)
{
    return par_of_s12e1r(va);
}

uint64_t at_s12e1w(uint64_t va)
{
    return par_of_s12e1w(va);
}
