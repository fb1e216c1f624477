#include "hyp/machine/panic.h"

#include "core/assert.h"
#include "hyp/machine/layout.h"
#include "hyp/machine/print.h"
#include "hyp/machine/semihost.h"
#include "hyp/machine/sysreg.h"

static const char *vector_name(unsigned vector)
{
    switch (vector) {
    case VECTOR_SYNC:
        return "a synchronous exception";
    case VECTOR_IRQ:
        return "an IRQ";
    case VECTOR_FIQ:
        return "an FIQ";
    default:
        return "an SError";
    }
}

_Noreturn void el2_panic(unsigned vector, uint64_t esr, uint64_t elr, uint64_t far)
{
    print("\nPANIC: EL2 took %s: EC 0x%lx, ESR 0x%lx, ELR 0x%lx, FAR 0x%lx\n", vector_name(vector),
          MAPPING_FIELD_GET(ESR_EC, esr), esr, elr, far);
    semihost_exit(PANIC_EXIT_CODE);
}

_Noreturn void panic(const char *what)
{
    print("\nPANIC: %s\n", what);
    semihost_exit(PANIC_EXIT_CODE);
}

#ifdef MAPPING_ASSERT_TEXT
void mapping_assert_failed(const char *place)
{
    print("\nPANIC: %s\n", place);
    semihost_exit(PANIC_EXIT_CODE);
}
#else
void mapping_assert_failed(uintptr_t place)
{
    print("\nPANIC: an assertion failed before 0x%lx\n", (uint64_t)place);
    semihost_exit(PANIC_EXIT_CODE);
}
#endif
