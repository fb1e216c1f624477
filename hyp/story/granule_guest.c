#include "hyp/story/granule_guest.h"

#include "hyp/machine/panic.h"
#include "hyp/machine/pl011.h"

#define RUNS_IPA 0x210000000
#define PAGES_IPA 0x218000000
#define CODE_IPA 0x220000000
#define CONSTANTS_IPA 0x220400000
#define BLOCK_IPA 0x240000000
#define SMALL_SIZE 0x10000 /* whole pages of any granule */
#define STAGE1_BITS 48     /* of an IPA, in the guest's own tables */

#define RW (S2_READ | S2_WRITE)

_Static_assert(RUNS_IPA % MAPPING_BIT(21) == 0, "aligned to the runs of pages of any granule");
_Static_assert(BLOCK_IPA % MAPPING_BIT(29) == 0, "aligned to level 2's block of any granule");

/* The pool gives a power of two aligned to its size: so IPA and PA agree below a run's size, or are
 * as far apart there as the IPA is from its own alignment. */
static void place_runs(struct granule_guest *on, const struct s2_geometry *geometry)
{
    on->page = s2_granule_size(geometry);
    on->run = on->page * s2_run_entries(geometry, S2_LEVEL_PAGE);
    on->runs = ipa_range(RUNS_IPA, 2 * on->run);
    on->pages = ipa_range(PAGES_IPA + on->page, on->run);
    guest_add_ram(on->guest, on->runs, RW);
    guest_add_ram(on->guest, on->pages, RW);
}

/* The block first, before anything breaks up what the pool has. */
static void place_block(struct granule_guest *on, const struct s2_geometry *geometry)
{
    uint64_t size = s2_level_size(geometry, S2_LEVEL_PAGE - 1);

    on->block = ipa_range(BLOCK_IPA, 0);
    if (guest_has_block(size)) {
        on->block.size = size;
        guest_add_ram(on->guest, on->block, RW);
    }
}

static void place_constants(struct granule_guest *on)
{
    pa_t pa = guest_take_block(on->guest, SMALL_SIZE);

    /* Written before it is mapped: mapping cleans the caches. */
    *(uint64_t *)guest_frame(pa) = GRANULE_CONSTANT;
    on->constants = ipa_range(CONSTANTS_IPA, SMALL_SIZE);
    if (s2_space_map_linear(&on->guest->space, on->constants, pa, S2_READ) != MAPPING_OK) {
        panic("the constants cannot be mapped");
    }
}

static void place_rest(struct granule_guest *on)
{
    uint64_t reach = MAPPING_BIT(mapping_u64_min(on->config.ipa_bits, STAGE1_BITS));

    on->code = ipa_range(CODE_IPA, SMALL_SIZE);
    on->top = ipa_range(reach - on->page, on->page);
    guest_add_ram(on->guest, on->code, RW | S2_EXEC);
    guest_add_ram(on->guest, on->top, RW);
    if (s2_space_map_linear(&on->guest->space, ipa_range(GRANULE_UART_IPA, on->page),
                            (pa_t)PL011_PAGE, S2_READ | S2_DEVICE_nGnRE) != MAPPING_OK) {
        panic("the UART cannot be mapped");
    }
}

void granule_guest_init(struct granule_guest *on, struct guest *guest, const struct format *format)
{
    const struct s2_geometry *geometry;

    on->guest = guest;
    on->format = format;
    on->config = format_config(
        format, (unsigned)mapping_u64_min(format->guest_ipa_bits, format_ipa_bits_max(format)));
    on->config.root = format->guest_root;
    guest_init(guest, format->guest, &on->config);
    geometry = s2_table_geometry(s2_space_table(&guest->space));
    place_block(on, geometry);
    place_runs(on, geometry);
    place_constants(on);
    place_rest(on);
}
