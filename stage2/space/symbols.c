/*
 * symbols.c - the inline functions of stage 2 that a binding from another language needs, as functions
 * that can be linked. The inline ones go by another name here.
 */
#define s2_cursor(...) inline_s2_cursor(__VA_ARGS__)
#define s2_cursor_is_done(...) inline_s2_cursor_is_done(__VA_ARGS__)
#define s2_vmid_rollovers(...) inline_s2_vmid_rollovers(__VA_ARGS__)
#define s2_vmid_last(...) inline_s2_vmid_last(__VA_ARGS__)
#define s2_table_geometry(...) inline_s2_table_geometry(__VA_ARGS__)
#define s2_space_enterable(...) inline_s2_space_enterable(__VA_ARGS__)

#include "stage2/space/space.h"
#include "stage2/space/step.h"

#undef s2_cursor
#undef s2_cursor_is_done
#undef s2_vmid_rollovers
#undef s2_vmid_last
#undef s2_table_geometry
#undef s2_space_enterable

#define SYMBOL(type, name, parameters, arguments) \
    type name parameters;                         \
    type name parameters                          \
    {                                             \
        return inline_##name arguments;           \
    }

SYMBOL(struct s2_cursor, s2_cursor, (struct ipa_range range), (range))
SYMBOL(bool, s2_cursor_is_done, (const struct s2_cursor *cursor), (cursor))
SYMBOL(uint64_t, s2_vmid_rollovers, (const struct s2_vmid_allocator *vmids), (vmids))
SYMBOL(uint32_t, s2_vmid_last, (const struct s2_vmid_allocator *vmids), (vmids))
SYMBOL(const struct s2_geometry *, s2_table_geometry, (const struct s2_table *table), (table))
SYMBOL(struct s2_table *, s2_space_enterable, (struct s2_space * space), (space))
