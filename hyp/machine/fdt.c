#include "hyp/machine/fdt.h"

#include "core/bits.h"

#include <stdbool.h>
#include <stddef.h>

#define FDT_ADDRESS UINT64_C(0x40000000) /* the start of RAM on the virt machine */
#define FDT_MAGIC 0xd00dfeed

enum fdt_token { FDT_BEGIN_NODE = 1, FDT_END_NODE = 2, FDT_PROP = 3, FDT_NOP = 4, FDT_END = 9 };

/* Words of the header, of a property, and of /memory's reg. */
enum { HEADER_MAGIC = 0, HEADER_STRUCT = 2, HEADER_STRINGS = 3 };
enum { PROP_LENGTH = 1, PROP_NAME = 2, PROP_VALUE = 3 };

static uint32_t fdt_word(const uint32_t *at)
{
    return __builtin_bswap32(*at);
}

static uint64_t fdt_cells(const uint32_t *at)
{
    return MAPPING_FIELD_PREP(MAPPING_FIELD(63, 32), fdt_word(at)) | fdt_word(at + 1);
}

static const unsigned char *fdt_bytes(uint64_t offset)
{
    return (const unsigned char *)(FDT_ADDRESS + offset);
}

static size_t text_length(const unsigned char *text)
{
    size_t length = 0;

    while (text[length] != '\0') {
        length++;
    }
    return length;
}

static bool starts_with(const unsigned char *text, const char *prefix)
{
    while (*prefix != '\0' && *text == (unsigned char)*prefix) {
        text++;
        prefix++;
    }
    return *prefix == '\0';
}

static const uint32_t *after_bytes(const uint32_t *at, size_t bytes)
{
    return at + (bytes + sizeof(*at) - 1) / sizeof(*at);
}

static bool is_reg(const uint32_t *header, const uint32_t *prop)
{
    uint32_t name = fdt_word(&header[HEADER_STRINGS]) + fdt_word(&prop[PROP_NAME]);

    return starts_with(fdt_bytes(name), "reg");
}

struct fdt_memory fdt_memory(void)
{
    const uint32_t *header = (const uint32_t *)FDT_ADDRESS;
    const uint32_t *at = header;
    bool in_memory = false;

    if (fdt_word(&header[HEADER_MAGIC]) != FDT_MAGIC) {
        return (struct fdt_memory){0, 0};
    }
    at += fdt_word(&header[HEADER_STRUCT]) / sizeof(*header);
    for (;;) {
        switch (fdt_word(at)) {
        case FDT_BEGIN_NODE:
            in_memory = starts_with((const unsigned char *)(at + 1), "memory@");
            at = after_bytes(at + 1, text_length((const unsigned char *)(at + 1)) + 1);
            break;
        case FDT_PROP:
            if (in_memory && is_reg(header, at)) {
                return (struct fdt_memory){fdt_cells(&at[PROP_VALUE]),
                                           fdt_cells(&at[PROP_VALUE + 2])};
            }
            at = after_bytes(at + PROP_VALUE, fdt_word(&at[PROP_LENGTH]));
            break;
        case FDT_END_NODE:
        case FDT_NOP:
            at++;
            break;
        default: /* FDT_END, or what we do not understand */
            return (struct fdt_memory){0, 0};
        }
    }
}
