/* bridge.c - the one file that knows the library: what the host calls likewise stays out of here. */
#include "bridge.h"

#include "stage2/trestle.h"

#include <stdalign.h>

void host_assertion(unsigned long place);

#define CPUS 2
#define TABLES 64
#define AREAS 32

static alignas(65536) unsigned char table_memory[TABLES][4096];
static struct frame_info table_infos[TABLES];
static struct frame_pool tables;
static struct s2_meeting meeting;
static struct s2_features common;
static struct s2_vmid_allocator vmids;
static struct s2_cpu cpus[CPUS]; /* not per-CPU data: all CPUs look into each */
static struct memory_node areas[AREAS];
static struct s2_space guest;

/* Step 3. A failed assertion is a bug of ours: the address says which call it was. */
void mapping_assert_failed(uintptr_t place)
{
    host_assertion(place);
}

/* Step 4. Every CPU says what it can do, all at once if they like. */
int stage2_join(void)
{
    const struct s2_features mine = s2_features_read();

    return (int)s2_meeting_join(&meeting, &mine);
}

/* Step 5. Memory for tables; this host has all RAM mapped where it lies. Step 6. And VMIDs. */
int stage2_init(void)
{
    struct frame_region bank = {pa_of((uintptr_t)table_memory), table_memory, TABLES, table_infos};

    common = s2_meeting_close(&meeting);
#ifdef HOST_BUG
    common.vmid_bits = 12;
#endif
    s2_vmid_init(&vmids, common.vmid_bits);
    return (int)frame_pool_init(&tables, 12, &bank, 1);
}

int stage2_cpu(unsigned cpu)
{
    return (int)s2_cpu_init(&cpus[cpu], &vmids);
}

const char *stage2_why(int error)
{
    return mapping_error_name((enum mapping_error)error);
}

static void *memory_open(void *ctx, pa_t pa, uint64_t size)
{
    (void)ctx, (void)size;
    return (void *)(uintptr_t)pa_distance(pa_of(0), pa);
}

static void memory_close(void *ctx, void *at, uint64_t size)
{
    (void)ctx, (void)at, (void)size;
}

/* Step 7. A guest without memory: as many bits as this machine has. */
int guest_init(void)
{
    static const struct s2_memory_ops memory = {memory_open, memory_close, NULL};
    const struct s2_space_config config = {
        .table = {.cpu = &common, .granule = S2_GRANULE_4K},
        .table_pool = &tables,
        .nodes = areas,
        .node_count = AREAS,
        .memory = &memory,
        .vmids = &vmids,
    };

    return (int)s2_space_init(&guest, &config);
}

/* Step 8. Memory for the guest: it is cleaned, and visible, on return. */
int guest_map(unsigned long ipa, unsigned long pa, unsigned long size, int is_executable)
{
    return (int)s2_space_map_linear(&guest, ipa_range(ipa, size), pa_of(pa),
                                    S2_READ | S2_WRITE | (is_executable ? S2_EXEC : 0));
}

int guest_is_sound(void)
{
    return s2_space_check(&guest);
}

/* Step 9. This CPU is about to run it. */
int guest_enter(unsigned cpu)
{
    return (int)s2_enter(s2_space_enterable(&guest), &vmids, &cpus[cpu], cpu);
}

unsigned long guest_hcr(void)
{
    return s2_table_hcr(s2_space_table(&guest));
}

/* Step 10. Take memory back: on return no CPU reaches it. And the end of the guest. */
int guest_unmap(unsigned long ipa, unsigned long size)
{
    return (int)s2_space_unmap(&guest, ipa_range(ipa, size));
}

void guest_leave(unsigned cpu)
{
    s2_leave(&cpus[cpu]);
}

int guest_fini(void)
{
    const enum mapping_error error = s2_space_fini(&guest);

    return error == MAPPING_OK && frame_pool_available(&tables) != TABLES ? -1 : (int)error;
}
