#include "tests/unit/kinds_fixture.h"

#include <string.h>

uint64_t kinds_peek(const struct guest *guest, uint64_t ipa)
{
    const struct mmu mmu = rig_mmu(&guest->rig, s2_space_table(&guest->space));
    const struct mmu_result result = mmu_translate(&mmu, ipa, MMU_READ);
    const void *ptr = frame_pool_ptr(&guest->rig.pool, pa_of(result.pa));
    uint64_t word;

    ck_assert_int_eq(result.status, MMU_OK);
    ck_assert_ptr_nonnull(ptr);
    memcpy(&word, ptr, sizeof(word));
    return word;
}
