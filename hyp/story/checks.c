#include "hyp/story/checks.h"

#include "hyp/machine/print.h"

#include <stdarg.h>

static unsigned passed;
static unsigned failed;

void checks_topic(const char *format, ...)
{
    va_list args;

    print("\n");
    va_start(args, format);
    print_list(format, args);
    va_end(args);
    print("\n");
}

bool check(bool holds, const char *format, ...)
{
    va_list args;

    passed += holds;
    failed += !holds;
    print("  %-4s  ", holds ? "ok" : "FAIL");
    va_start(args, format);
    print_list(format, args);
    va_end(args);
    print("\n");
    return holds;
}

void check_note(const char *format, ...)
{
    va_list args;

    print("          ");
    va_start(args, format);
    print_list(format, args);
    va_end(args);
    print("\n");
}

int checks_finish(void)
{
    print("\n%u passed, %u failed\n", passed, failed);
    return failed == 0 && passed != 0 ? 0 : 1;
}
