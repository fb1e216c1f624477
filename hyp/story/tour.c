#include "hyp/story/tour.h"

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

_Static_assert(RUNS_IPA % BIT(21) == 0, "aligned to the runs of pages of any granule");
_Static_assert(BLOCK_IPA % BIT(29) == 0, "aligned to level 2's block of any granule");

/* The pool gives a power of two aligned to its size: so IPA and PA agree below a run's size, or are
 * as far apart there as the IPA is from its own alignment. */
static void place_runs(struct tour *tour, const struct s2_geometry *geometry)
{
    tour->page = s2_granule_size(geometry);
    tour->run = tour->page * s2_run_entries(geometry, S2_LEVEL_PAGE);
    tour->runs = ipa_range(RUNS_IPA, 2 * tour->run);
    tour->pages = ipa_range(PAGES_IPA + tour->page, tour->run);
    guest_add_ram(tour->guest, tour->runs, RW);
    guest_add_ram(tour->guest, tour->pages, RW);
}

/* The block first, before anything breaks up what the pool has. */
static void place_block(struct tour *tour, const struct s2_geometry *geometry)
{
    uint64_t size = s2_level_size(geometry, S2_LEVEL_PAGE - 1);

    tour->block = ipa_range(BLOCK_IPA, 0);
    if (guest_has_block(size)) {
        tour->block.size = size;
        guest_add_ram(tour->guest, tour->block, RW);
    }
}

static void place_constants(struct tour *tour)
{
    pa_t pa = guest_take_block(tour->guest, SMALL_SIZE);

    /* Written before it is mapped: mapping cleans the caches. */
    *(uint64_t *)guest_frame(pa) = TOUR_CONSTANT;
    tour->constants = ipa_range(CONSTANTS_IPA, SMALL_SIZE);
    if (s2_space_map_linear(&tour->guest->space, tour->constants, pa, S2_READ) != MAPPING_OK) {
        panic("the constants cannot be mapped");
    }
}

static void place_rest(struct tour *tour)
{
    uint64_t reach = BIT(u64_min(tour->config.ipa_bits, STAGE1_BITS));

    tour->code = ipa_range(CODE_IPA, SMALL_SIZE);
    tour->top = ipa_range(reach - tour->page, tour->page);
    guest_add_ram(tour->guest, tour->code, RW | S2_EXEC);
    guest_add_ram(tour->guest, tour->top, RW);
    if (s2_space_map_linear(&tour->guest->space, ipa_range(TOUR_UART_IPA, tour->page),
                            (pa_t)PL011_PAGE, S2_READ | S2_DEVICE_nGnRE) != MAPPING_OK) {
        panic("the UART cannot be mapped");
    }
}

void tour_init(struct tour *tour, struct guest *guest, const struct format *format)
{
    const struct s2_geometry *geometry;

    tour->guest = guest;
    tour->format = format;
    tour->config = format_config(
        format, (unsigned)u64_min(format->guest_ipa_bits, format_ipa_bits_max(format)));
    tour->config.root = format->guest_root;
    guest_init(guest, format->guest, &tour->config);
    geometry = s2_table_geometry(s2_space_table(&guest->space));
    place_block(tour, geometry);
    place_runs(tour, geometry);
    place_constants(tour);
    place_rest(tour);
}
