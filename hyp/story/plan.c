#include "hyp/story/plan.h"

#include "hyp/machine/panic.h"
#include "hyp/machine/pl011.h"

#define FRAME_SIZE MAPPING_BIT(MACHINE_FRAME_SHIFT)

static void map_constants(struct guest *guest)
{
    struct ipa_range range = ipa_range(PLAN_CONSTANTS_IPA, PLAN_CONSTANTS_SIZE);
    pa_t pa = guest_take_block(guest, range.size);

    /* Written before it is mapped: mapping cleans the caches. */
    *(uint64_t *)guest_frame(pa) = PLAN_CONSTANT;
    if (s2_space_map_linear(&guest->space, range, pa, S2_READ) != MAPPING_OK) {
        panic("the constants cannot be mapped");
    }
}

static void map_uart(struct guest *guest)
{
    if (s2_space_map_linear(&guest->space, ipa_range(PLAN_UART_IPA, FRAME_SIZE), (pa_t)PL011_PAGE,
                            S2_READ | S2_DEVICE_nGnRE) != MAPPING_OK) {
        panic("the UART cannot be mapped");
    }
}

void plan_map(struct guest *guest)
{
    /* First, as anything else could break up the only block there is. */
    if (guest_has_block(PLAN_GIGABYTE_SIZE)) {
        guest_add_ram(guest, ipa_range(PLAN_GIGABYTE_IPA, PLAN_GIGABYTE_SIZE), S2_READ | S2_WRITE);
    }
    guest_add_ram(guest, ipa_range(PLAN_BLOCKS_IPA, PLAN_BLOCKS_SIZE), S2_READ | S2_WRITE);
    guest_add_ram(guest, ipa_range(PLAN_PAGES_IPA, PLAN_PAGES_SIZE), S2_READ | S2_WRITE);
    guest_add_ram(guest, ipa_range(PLAN_CODE_IPA, PLAN_CODE_SIZE), S2_READ | S2_WRITE | S2_EXEC);
    map_constants(guest);
    map_uart(guest);
}
