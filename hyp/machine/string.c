#include "hyp/machine/string.h"

#include "core/bits.h"

#include <stdbool.h>
#include <stdint.h>

/* Words that may alias anything, as bytes may. */
typedef uint64_t __attribute__((may_alias)) word_t;
#define WORD sizeof(word_t)

/* Keeps the compiler from seeing a loop that "is memset" and calling what it is compiling. */
#define NOT_A_LIBRARY_CALL() __asm__ volatile("" : : : "memory")

static bool is_word_aligned(const void *a, const void *b, size_t size)
{
    return mapping_u64_is_aligned((uintptr_t)a | (uintptr_t)b | size, WORD);
}

static void copy_up(unsigned char *to, const unsigned char *from, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        to[i] = from[i];
        NOT_A_LIBRARY_CALL();
    }
}

static void copy_down(unsigned char *to, const unsigned char *from, size_t size)
{
    for (size_t i = size; i > 0; i--) {
        to[i - 1] = from[i - 1];
        NOT_A_LIBRARY_CALL();
    }
}

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    if (!is_word_aligned(to, from, size)) {
        copy_up(to, from, size);
        return to;
    }
    for (size_t i = 0; i < size / WORD; i++) {
        ((word_t *)to)[i] = ((const word_t *)from)[i];
        NOT_A_LIBRARY_CALL();
    }
    return to;
}

void *memmove(void *to, const void *from, size_t size)
{
    if ((uintptr_t)to - (uintptr_t)from >= size) {
        copy_up(to, from, size);
    } else {
        copy_down(to, from, size);
    }
    return to;
}

void *memset(void *to, int value, size_t size)
{
    uint64_t word = (unsigned char)value * (UINT64_MAX / UINT8_MAX);

    if (!is_word_aligned(to, to, size)) {
        for (size_t i = 0; i < size; i++) {
            ((unsigned char *)to)[i] = (unsigned char)value;
            NOT_A_LIBRARY_CALL();
        }
        return to;
    }
    for (size_t i = 0; i < size / WORD; i++) {
        ((word_t *)to)[i] = word;
        NOT_A_LIBRARY_CALL();
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const unsigned char *left = a;
    const unsigned char *right = b;

    for (size_t i = 0; i < size; i++) {
        if (left[i] != right[i]) {
            return left[i] < right[i] ? -1 : 1;
        }
    }
    return 0;
}
