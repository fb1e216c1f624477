#include "tests/sim/reach.h"

#include <stdio.h>
#include <stdlib.h>

#define DESC_VALID UINT64_C(1)
#define DESC_TABLE UINT64_C(2)

static void require(bool condition, const char *rule)
{
    if (!condition) {
        fprintf(stderr, "reach: %s\n", rule);
        abort();
    }
}

static uint64_t bits(unsigned hi, unsigned lo)
{
    return (UINT64_MAX >> (63 - hi)) & (UINT64_MAX << lo);
}

/* --- Frames ---------------------------------------------------------------------------------- */

void reach_init(struct reach *reach, struct sim_memory *memory, struct mmu_cpu cpu)
{
    *reach = (struct reach){.memory = memory, .cpu = cpu};
    for (size_t i = 0; i < memory->bank_count; i++) {
        reach->frames[i] = calloc(memory->banks[i].frame_count, sizeof(struct reach_frame));
        require(reach->frames[i] != NULL, "no memory for the frames");
    }
}

void reach_fini(struct reach *reach)
{
    for (size_t i = 0; i < FRAME_POOL_MAX_REGIONS; i++) {
        free(reach->frames[i]);
        reach->frames[i] = NULL;
    }
}

struct reach_frame *reach_frame(const struct reach *reach, uint64_t pa)
{
    const struct sim_memory *memory = reach->memory;

    for (size_t i = 0; i < memory->bank_count; i++) {
        const struct frame_region *bank = &memory->banks[i];

        if (!pa_lt(pa_of(pa), bank->base)) {
            const uint64_t frame = pa_distance(bank->base, pa_of(pa)) >> memory->frame_shift;

            if (frame < bank->frame_count) {
                return &reach->frames[i][frame];
            }
        }
    }
    return NULL;
}

void reach_count(const struct reach *reach, uint64_t pa, uint64_t size, bool is_table,
                 uint32_t change)
{
    const struct sim_memory *memory = reach->memory;

    for (size_t i = 0; i < memory->bank_count; i++) {
        const struct frame_region *bank = &memory->banks[i];
        const uint64_t base = pa_distance(pa_of(0), bank->base);
        const uint64_t end = base + ((uint64_t)bank->frame_count << memory->frame_shift);
        const uint64_t from = pa > base ? pa : base;
        const uint64_t to = pa + size < end ? pa + size : end;

        for (uint64_t at = from; at < to; at += UINT64_C(1) << memory->frame_shift) {
            struct reach_frame *frame = &reach->frames[i][(at - base) >> memory->frame_shift];

            if (is_table) {
                frame->stale_tables += change;
            } else {
                frame->stale_leaves += change;
            }
        }
    }
}

bool reach_place(const struct reach *reach, uint64_t pa, struct reach_place *place)
{
    const struct reach_frame *frame = reach_frame(reach, pa);
    const struct reach_guest *guest;
    uint64_t index;

    if (frame == NULL || !frame->is_linked) {
        return false;
    }
    guest = &reach->guests[frame->guest];
    index = (pa & ((UINT64_C(1) << reach->memory->frame_shift) - 1)) / 8;
    place->guest = frame->guest;
    place->level = frame->level;
    place->ipa = frame->ipa + index * reach_span(guest, frame->level);
    /* A root may be smaller than its frame. */
    return place->ipa >> guest->input_bits == 0;
}

/* Mark as many frames as @size bytes are. */
static bool link_frames(struct reach *reach, uint64_t pa, uint64_t size, struct reach_place first)
{
    const uint64_t step = UINT64_C(1) << reach->memory->frame_shift;
    const uint64_t span = reach_span(&reach->guests[first.guest], first.level);

    for (uint64_t at = 0; at < size; at += step) {
        const struct reach_frame *frame = reach_frame(reach, pa + at);

        if (frame == NULL || frame->is_linked) {
            return false;
        }
    }
    for (uint64_t at = 0; at < size; at += step) {
        struct reach_frame *frame = reach_frame(reach, pa + at);

        frame->is_linked = true;
        frame->guest = (uint8_t)first.guest;
        frame->level = (int16_t)first.level;
        frame->ipa = first.ipa + at / 8 * span;
    }
    return true;
}

bool reach_link(struct reach *reach, uint64_t pa, struct reach_place first)
{
    return link_frames(reach, pa, reach_table_size(&reach->guests[first.guest]), first);
}

void reach_unlink(struct reach *reach, uint64_t pa, unsigned guest)
{
    const uint64_t step = UINT64_C(1) << reach->memory->frame_shift;
    const uint64_t size = reach_table_size(&reach->guests[guest]);

    for (uint64_t at = 0; at < size; at += step) {
        struct reach_frame *frame = reach_frame(reach, pa + at);

        if (frame != NULL) {
            frame->is_linked = false;
        }
    }
}

/* --- Guests ---------------------------------------------------------------------------------- */

/* Where output addresses lie: in place, and the top bits of the 52-bit formats elsewhere. */
static void decode_format(struct reach_guest *guest)
{
    const bool has_ds = (guest->mmu.vtcr >> 32 & 1) != 0;

    guest->address_mask = bits(47, guest->granule_shift);
    if (guest->granule_shift == 16 && guest->mmu.cpu.pa_bits == 52) {
        guest->high_mask = bits(51, 48);
        guest->high_shift = 48 - 12;
    } else if (has_ds && guest->granule_shift != 16) {
        guest->address_mask |= bits(49, 48);
        guest->high_mask = bits(51, 50);
        guest->high_shift = 50 - 8;
    }
}

unsigned reach_add_guest(struct reach *reach, uint64_t vtcr, uint64_t vttbr, uint64_t hcr)
{
    static const unsigned shifts[4] = {12, 16, 14, 0};
    struct reach_guest *guest = &reach->guests[reach->guest_count];
    struct reach_place first = {.guest = reach->guest_count};

    require(reach->guest_count < REACH_GUESTS, "too many guests");
    *guest = (struct reach_guest){
        .mmu = {.vtcr = vtcr,
                .vttbr = vttbr,
                .hcr = hcr,
                .cpu = reach->cpu,
                .options = MMU_PS_BOUNDS_IPA,
                .read = sim_memory_read,
                .memory = reach->memory},
        .is_live = true,
    };
    require(mmu_config_problem(&guest->mmu) == NULL, "registers that are illegal");
    guest->vmid = mmu_vmid(&guest->mmu);
    guest->granule_shift = shifts[vtcr >> 14 & 3];
    guest->stride = guest->granule_shift - 3;
    guest->input_bits = mmu_input_bits(&guest->mmu);
    guest->start_level = mmu_start_level(&guest->mmu);
    guest->root_pa = mmu_root_pa(&guest->mmu);
    guest->root_size = mmu_root_size(&guest->mmu);
    guest->has_ha = (vtcr >> 21 & 1) != 0;
    guest->has_hd = (vtcr >> 22 & 1) != 0;
    decode_format(guest);
    first.level = guest->start_level;
    require(link_frames(reach, guest->root_pa, guest->root_size, first),
            "a root that is no memory, or a table already");
    reach->guest_count++;
    return first.guest;
}

/* --- Descriptors ----------------------------------------------------------------------------- */

static bool may_be_block(const struct reach_guest *guest, int level)
{
    const bool is_wide = guest->granule_shift == 16 ? guest->mmu.cpu.pa_bits == 52
                                                    : (guest->mmu.vtcr >> 32 & 1) != 0;
    const int first = guest->granule_shift == 12 ? 1 : 2;

    return level >= (is_wide ? first - 1 : first);
}

enum reach_kind reach_kind(const struct reach_guest *guest, uint64_t desc, int level)
{
    if ((desc & DESC_VALID) == 0) {
        return REACH_INVALID;
    }
    if ((desc & DESC_TABLE) != 0) {
        return level == 3 ? REACH_LEAF : REACH_TABLE;
    }
    return level < 3 && may_be_block(guest, level) ? REACH_LEAF : REACH_INVALID;
}

uint64_t reach_address(const struct reach_guest *guest, uint64_t desc)
{
    return (desc & guest->address_mask) | (desc << guest->high_shift & guest->high_mask);
}

uint64_t reach_span(const struct reach_guest *guest, int level)
{
    return UINT64_C(1) << (guest->granule_shift + (unsigned)(3 - level) * guest->stride);
}

uint64_t reach_run(const struct reach_guest *guest, int level)
{
    unsigned shift = 0;

    switch (guest->granule_shift) {
    case 12:
        shift = level >= 1 ? 4 : 0;
        break;
    case 14:
        shift = level == 3 ? 7 : level == 2 ? 5 : 0;
        break;
    default:
        shift = level >= 2 ? 5 : 0;
        break;
    }
    return reach_span(guest, level) << shift;
}

/* --- Subtrees -------------------------------------------------------------------------------- */

struct step {
    uint64_t pa;
    uint64_t size;
    uint64_t at; /* the next descriptor, in bytes */
    struct reach_place first;
};

void reach_visit(struct reach *reach, uint64_t pa, uint64_t size, struct reach_place first,
                 reach_visit_fn visit, void *arg)
{
    const struct reach_guest *guest = &reach->guests[first.guest];
    struct step steps[REACH_LEVELS] = {{pa, size, 0, first}};
    size_t depth = 1;

    while (depth > 0) {
        struct step *step = &steps[depth - 1];
        struct reach_place place = step->first;
        const uint64_t slot = step->pa + step->at;
        uint64_t desc = 0;
        enum reach_kind kind;

        if (step->at >= step->size) {
            depth--;
            continue;
        }
        place.ipa += step->at / 8 * reach_span(guest, place.level);
        step->at += 8;
        if (!sim_memory_read(reach->memory, slot, &desc)) {
            depth--; /* no memory is there, nor does the rest of the table lie elsewhere */
            continue;
        }
        kind = reach_kind(guest, desc, place.level);
        if (kind != REACH_INVALID) {
            visit(arg, place, slot, desc);
        }
        if (kind == REACH_TABLE) {
            place.level++;
            steps[depth] =
                (struct step){reach_address(guest, desc), reach_table_size(guest), 0, place};
            depth++;
        }
    }
}
