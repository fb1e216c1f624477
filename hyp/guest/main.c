#include "hyp/guest/guest.h"

uint64_t guest_irq_count;

static void say(const char *text)
{
    uint64_t args[GUEST_ARGUMENTS] = {(uintptr_t)text, 0, 0};

    while (text[args[1]] != '\0') {
        args[1]++;
    }
    guest_hvc(GUEST_CALL_PRINT, args);
}

_Noreturn void guest_main(void)
{
    uint64_t args[GUEST_ARGUMENTS] = {0, 0, 0};

    say("MMU and caches are on, two address spaces are built");
    for (;;) {
        uint64_t step = guest_hvc(GUEST_CALL_NEXT, args);

        args[0] = step < GUEST_STEP_COUNT ? guest_steps[step](args) : GUEST_SKIPPED;
    }
}
