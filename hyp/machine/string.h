/*
 * string.h - the four functions that a freestanding compiler may call by itself, which is all that
 * the library asks of its embedder. ISO C's contracts.
 */
#ifndef TRESTLE_HYP_MACHINE_STRING_H
#define TRESTLE_HYP_MACHINE_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
int memcmp(const void *a, const void *b, size_t size);

#endif
