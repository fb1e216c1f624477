#include "hyp/machine/machine.h"

#include "hyp/machine/cpu.h"
#include "hyp/machine/fdt.h"
#include "hyp/machine/image.h"
#include "hyp/machine/mmu.h"
#include "hyp/machine/panic.h"

#include <stddef.h>

#define FRAME_SIZE MAPPING_BIT(MACHINE_FRAME_SHIFT)
#define TABLE_POOL_FRAMES 4096 /* a table of 64K takes 16, a root of 16 such tables 256 */
#define SMALLEST_GUEST_POOL (UINT64_C(64) << 20)

struct machine machine;

static struct frame_region table_region;
static struct frame_region guest_region;

/* Free RAM, given out once and from below, before there are pools. */
static uint64_t free_start;
static uint64_t free_end;

static void *carve(uint64_t bytes)
{
    uint64_t start = free_start;

    free_start = mapping_u64_align_down(start + bytes + FRAME_SIZE - 1, FRAME_SIZE);
    if (free_start > free_end) {
        panic("RAM is too small");
    }
    return (void *)start;
}

static void make_pool(struct frame_pool *pool, struct frame_region *region, uint64_t frames)
{
    region->info = carve(frames * sizeof(*region->info));
    region->memory = carve(frames * FRAME_SIZE);
    region->base = pa_of((uintptr_t)region->memory);
    region->frame_count = frames;
    if (frame_pool_init(pool, MACHINE_FRAME_SHIFT, region, 1) != MAPPING_OK) {
        panic("a pool cannot be made");
    }
}

static void make_vmids(void)
{
    s2_vmid_init(&machine.vmids, machine.cpu.vmid_bits);
    if (s2_vmid_limit(&machine.vmids, MACHINE_VMID_LAST) != MAPPING_OK ||
        s2_cpu_init(&machine.this_cpu, &machine.vmids) != MAPPING_OK) {
        panic("there are too few VMIDs");
    }
}

/* From the start of RAM on lie the device tree and this image. */
static void make_guard(void)
{
    static struct frame_guard_range ranges[3];
    const uint64_t below = (uintptr_t)__image_end - machine.ram_start;

    frame_guard_init(&machine.guard, ranges, sizeof(ranges) / sizeof(ranges[0]));
    if (frame_guard_forbid(&machine.guard, pa_of(machine.ram_start), below) != MAPPING_OK ||
        frame_guard_add_pool(&machine.guard, &machine.tables) != MAPPING_OK ||
        frame_guard_add_pool(&machine.guard, &machine.guests) != MAPPING_OK) {
        panic("the machine's own memory cannot be guarded");
    }
}

void machine_init(void)
{
    struct fdt_memory ram = fdt_memory();

    free_start = (uintptr_t)__image_end;
    free_end =
        mapping_u64_align_down(mapping_u64_min(ram.start + ram.size, MMU_RAM_END), MMU_RAM_BLOCK);
    if (free_end < free_start + SMALLEST_GUEST_POOL) {
        panic("the device tree names no RAM, or too little");
    }
    machine.cpu = s2_features_read();
    make_vmids();
    machine.ram_start = ram.start;
    machine.ram_size = ram.size;
    make_pool(&machine.tables, &table_region, TABLE_POOL_FRAMES);
    /* Each frame costs its own bytes and its info's; a frame is kept back for rounding. */
    make_pool(&machine.guests, &guest_region,
              (free_end - free_start - FRAME_SIZE) / (FRAME_SIZE + sizeof(struct frame_info)));
    make_guard();
}

/* Guests' RAM and nothing else: what is asked for here is about to be a guest's. */
static void *open_memory(void *ctx, pa_t pa, uint64_t size)
{
    const struct machine *m = ctx;

    return frame_pool_covers(&m->guests, pa, size) ? frame_pool_ptr(&m->guests, pa) : NULL;
}

static void close_memory(void *ctx, void *ptr, uint64_t size)
{
    (void)ctx;
    (void)ptr;
    (void)size;
}

const struct s2_memory_ops machine_memory = {open_memory, close_memory, &machine};
