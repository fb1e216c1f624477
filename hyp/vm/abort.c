#include "hyp/vm/abort.h"

#include "hyp/machine/address_translation.h"
#include "hyp/machine/sysreg.h"

struct s2_fault_regs abort_read(uint64_t esr)
{
    struct s2_fault_regs regs = {
        .esr = esr, .far = read_far_el2(), .hpfar = read_hpfar_el2(), .par = S2_PAR_F};

    if (s2_fault_needs_par(esr)) {
        regs.par = at_s1e1r(regs.far);
    }
    return regs;
}

struct s2_fault abort_decode(uint64_t esr)
{
    const struct s2_fault_regs regs = abort_read(esr);

    return s2_fault_decode(&regs);
}
