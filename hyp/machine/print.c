#include "hyp/machine/print.h"

#include "hyp/machine/pl011.h"

#include <stdbool.h>
#include <stdint.h>

#define DIGITS_MAX 20 /* of 2^64 - 1 in decimal */

/* %[-][0][width][l]conversion */
struct directive {
    bool left;
    bool zeros;
    bool is_long;
    int width;
    char conversion;
};

static void put_char(char c)
{
    if (c == '\n') {
        pl011_put('\r');
    }
    pl011_put(c);
}

static void put_repeated(char c, int count)
{
    for (int i = 0; i < count; i++) {
        put_char(c);
    }
}

/* @text with @length characters, in a field of d->width. */
static void put_padded(const struct directive *d, const char *text, int length)
{
    if (!d->left) {
        put_repeated(d->zeros ? '0' : ' ', d->width - length);
    }
    for (int i = 0; i < length; i++) {
        put_char(text[i]);
    }
    if (d->left) {
        put_repeated(' ', d->width - length);
    }
}

static void put_string(const struct directive *d, const char *text)
{
    int length = 0;

    while (text[length] != '\0') {
        length++;
    }
    put_padded(d, text, length);
}

static void put_number(const struct directive *d, uint64_t value, unsigned base, bool negative)
{
    char digits[DIGITS_MAX + 1];
    int first = DIGITS_MAX + 1;

    do {
        digits[--first] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    if (negative) {
        digits[--first] = '-';
    }
    put_padded(d, &digits[first], DIGITS_MAX + 1 - first);
}

static const char *parse_directive(const char *format, struct directive *d)
{
    *d = (struct directive){0};
    for (; *format == '-' || *format == '0'; format++) {
        d->left = d->left || *format == '-';
        d->zeros = d->zeros || *format == '0';
    }
    for (; *format >= '0' && *format <= '9'; format++) {
        d->width = d->width * 10 + (*format - '0');
    }
    if (*format == 'l') {
        d->is_long = true;
        format++;
    }
    d->conversion = *format;
    return *format == '\0' ? format : format + 1;
}

/* va_list is an array or a struct by platform; inside a struct it can be handed on by pointer. */
struct arguments {
    va_list list;
};

static void put_signed(const struct directive *d, int64_t value)
{
    uint64_t bits = (uint64_t)value;

    put_number(d, value < 0 ? 0 - bits : bits, 10, value < 0);
}

static void put_directive(const struct directive *d, struct arguments *args)
{
    char c;

    switch (d->conversion) {
    case '%':
        put_char('%');
        break;
    case 'c':
        c = (char)va_arg(args->list, int);
        put_padded(d, &c, 1);
        break;
    case 's':
        put_string(d, va_arg(args->list, const char *));
        break;
    case 'd':
        put_signed(d, d->is_long ? va_arg(args->list, long) : va_arg(args->list, int));
        break;
    case 'u':
    case 'x':
        put_number(d, d->is_long ? va_arg(args->list, unsigned long) : va_arg(args->list, unsigned),
                   d->conversion == 'x' ? 16 : 10, false);
        break;
    default:
        put_char('%');
        put_char(d->conversion);
    }
}

void print_list(const char *format, va_list args)
{
    struct directive directive;
    struct arguments rest;

    va_copy(rest.list, args);
    while (*format != '\0') {
        if (*format != '%') {
            put_char(*format++);
            continue;
        }
        format = parse_directive(format + 1, &directive);
        put_directive(&directive, &rest);
    }
    va_end(rest.list);
}

void print(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_list(format, args);
    va_end(args);
}
