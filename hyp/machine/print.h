/*
 * print.h - a small printf on the UART.
 *
 * Takes %% %c %s %d %u %x, l (64 bits) before the last three, a width, '-' (left) and '0' (zeros).
 * Anything else is printed as it stands, so that a slip shows.
 */
#ifndef TRESTLE_HYP_MACHINE_PRINT_H
#define TRESTLE_HYP_MACHINE_PRINT_H

#include <stdarg.h>

__attribute__((format(printf, 1, 2))) void print(const char *format, ...);
__attribute__((format(printf, 1, 0))) void print_list(const char *format, va_list args);

#endif
