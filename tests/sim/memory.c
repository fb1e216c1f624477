#include "tests/sim/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void require(bool condition, const char *rule)
{
    if (!condition) {
        fprintf(stderr, "sim: %s\n", rule);
        abort();
    }
}

static uint64_t bank_size(const struct sim_memory *memory, const struct frame_region *bank)
{
    return (uint64_t)bank->frame_count << memory->frame_shift;
}

void sim_memory_init(struct sim_memory *memory, unsigned frame_shift)
{
    *memory = (struct sim_memory){.frame_shift = frame_shift};
}

void sim_memory_add_remote(struct sim_memory *memory, pa_t base, size_t frame_count)
{
    struct frame_region *bank = &memory->banks[memory->bank_count];

    require(memory->bank_count < FRAME_POOL_MAX_REGIONS, "too many banks");
    require(pa_is_aligned(base, MAPPING_BIT(memory->frame_shift)), "a bank at a misaligned PA");
    bank->base = base;
    bank->memory = NULL;
    bank->frame_count = frame_count;
    bank->info = calloc(frame_count, sizeof(*bank->info));
    require(bank->info != NULL, "no memory for a bank's infos");
    memory->bank_count++;
}

void sim_memory_add(struct sim_memory *memory, pa_t base, size_t frame_count)
{
    struct frame_region *bank = &memory->banks[memory->bank_count];
    uint64_t size;

    sim_memory_add_remote(memory, base, frame_count);
    size = bank_size(memory, bank);
    bank->memory = aligned_alloc((size_t)MAPPING_BIT(memory->frame_shift), (size_t)size);
    require(bank->memory != NULL, "no memory for a bank");
    sim_memory_poison(memory, base, size);
}

void sim_memory_fini(struct sim_memory *memory)
{
    for (size_t i = 0; i < memory->bank_count; i++) {
        free(memory->banks[i].memory);
        free(memory->banks[i].info);
    }
    memory->bank_count = 0;
}

void sim_memory_pool(struct sim_memory *memory, struct frame_pool *pool)
{
    enum mapping_error error =
        frame_pool_init(pool, memory->frame_shift, memory->banks, memory->bank_count);

    require(error == MAPPING_OK, "a pool over the banks was refused");
}

void *sim_memory_ptr(const struct sim_memory *memory, pa_t pa)
{
    for (size_t i = 0; i < memory->bank_count; i++) {
        const struct frame_region *bank = &memory->banks[i];

        if (!pa_lt(pa, bank->base) && pa_distance(bank->base, pa) < bank_size(memory, bank)) {
            return bank->memory == NULL
                       ? NULL
                       : (unsigned char *)bank->memory + pa_distance(bank->base, pa);
        }
    }
    return NULL;
}

bool sim_memory_pa(const struct sim_memory *memory, const void *ptr, pa_t *pa)
{
    for (size_t i = 0; i < memory->bank_count; i++) {
        const struct frame_region *bank = &memory->banks[i];
        uint64_t offset = (uint64_t)((uintptr_t)ptr - (uintptr_t)bank->memory);

        if (bank->memory != NULL && offset < bank_size(memory, bank)) {
            *pa = pa_add(bank->base, offset);
            return true;
        }
    }
    return false;
}

bool sim_memory_read(void *memory, uint64_t pa, uint64_t *value)
{
    const uint64_t *word = sim_memory_ptr(memory, pa_of(pa));

    if (word == NULL || pa % sizeof(*word) != 0) {
        return false;
    }
    *value = __atomic_load_n(word, __ATOMIC_RELAXED);
    return true;
}

/* The words of [pa, pa + size), which must lie in one bank. */
static uint64_t *words_at(const struct sim_memory *memory, pa_t pa, uint64_t size)
{
    unsigned char *first = sim_memory_ptr(memory, pa);
    unsigned char *last = sim_memory_ptr(memory, pa_add(pa, size - 1));

    require(first != NULL && last == first + (size - 1), "memory that is not in one bank");
    require(pa_is_aligned(pa, sizeof(uint64_t)) && size % sizeof(uint64_t) == 0,
            "poison comes in aligned words");
    return (uint64_t *)(void *)first;
}

void sim_memory_poison(struct sim_memory *memory, pa_t pa, uint64_t size)
{
    memset(words_at(memory, pa, size), (int)(SIM_MEMORY_POISON & 0xff), (size_t)size);
}

bool sim_memory_is_poison(const struct sim_memory *memory, pa_t pa, uint64_t size)
{
    const uint64_t *words = words_at(memory, pa, size);

    for (uint64_t i = 0; i < size / sizeof(*words); i++) {
        if (words[i] != SIM_MEMORY_POISON) {
            return false;
        }
    }
    return true;
}

/* Frames of the TAKEN block that starts at @frame; 0: none starts there. */
static size_t taken_frames(const struct frame_pool *pool, pa_t frame)
{
    for (unsigned order = 0; order < FRAME_POOL_ORDERS; order++) {
        if (frame_pool_is_taken(pool, frame, order)) {
            return (size_t)1 << order;
        }
    }
    return 0;
}

void sim_memory_poison_free(struct sim_memory *memory, const struct frame_pool *pool)
{
    for (size_t i = 0; i < memory->bank_count; i++) {
        const struct frame_region *bank = &memory->banks[i];
        size_t frame = 0;

        while (bank->memory != NULL && frame < bank->frame_count) {
            pa_t pa = pa_add(bank->base, (uint64_t)frame << memory->frame_shift);
            size_t taken = taken_frames(pool, pa);

            if (taken == 0) {
                sim_memory_poison(memory, pa, MAPPING_BIT(memory->frame_shift));
            }
            frame += taken == 0 ? 1 : taken;
        }
    }
}
