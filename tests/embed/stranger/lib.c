#include "host.h"

void *memset(void *to, int byte, unsigned long size)
{
    u8 *at = to;

    while (size-- > 0) {
        *at++ = (u8)byte;
    }
    return to;
}

void *memcpy(void *to, const void *from, unsigned long size)
{
    const u8 *source = from;
    u8 *at = to;

    while (size-- > 0) {
        *at++ = *source++;
    }
    return to;
}

void *memmove(void *to, const void *from, unsigned long size)
{
    const u8 *source = from;
    u8 *at = to;

    if (at < source) {
        return memcpy(to, from, size);
    }
    while (size-- > 0) {
        at[size] = source[size];
    }
    return to;
}

int memcmp(const void *a, const void *b, unsigned long size)
{
    const u8 *left = a, *right = b;

    for (; size > 0; size--, left++, right++) {
        if (*left != *right) {
            return *left - *right;
        }
    }
    return 0;
}

static u64 semihost(u64 operation, const void *argument)
{
    register u64 x0 __asm__("x0") = operation;
    register const void *x1 __asm__("x1") = argument;

    __asm__ volatile("hlt #0xf000" : "+r"(x0) : "r"(x1) : "memory");
    return x0;
}

void print(const char *text)
{
    (void)semihost(0x04, text);
}

void print_number(u64 number)
{
    char digits[24];
    char *at = &digits[23];

    *at = '\0';
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    print(at);
}

_Noreturn void stop(u64 code)
{
    const u64 block[2] = {0x20026, code};

    (void)semihost(0x20, block);
    for (;;) {
    }
}
