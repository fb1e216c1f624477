/*
 * kinds_fixture.h - a guest whose memory comes from its pool as it is touched: what it does, and what
 * is seen of it.
 */
#ifndef TRESTLE_TESTS_UNIT_KINDS_FIXTURE_H
#define TRESTLE_TESTS_UNIT_KINDS_FIXTURE_H

#include "tests/unit/space_fixture.h"

/* ESR_EL2 of what a guest did: a data abort with a 32-bit instruction. */
#define KINDS_DABT (UINT64_C(0x24) << 26 | MAPPING_BIT(25))
#define KINDS_IABT (UINT64_C(0x20) << 26 | MAPPING_BIT(25))
#define KINDS_TRANSLATION UINT64_C(0x07)
#define KINDS_ACCESS_FLAG UINT64_C(0x0b)
#define KINDS_PERMISSION UINT64_C(0x0f)
#define KINDS_WNR MAPPING_BIT(6)
#define KINDS_S1PTW MAPPING_BIT(7)
#define KINDS_CM MAPPING_BIT(8)

/* The answer to an abort with @esr at @ipa, whose page HPFAR_EL2 and AT both tell. */
static inline struct s2_answer kinds_fault(struct s2_space *space, uint64_t esr, uint64_t ipa)
{
    const struct s2_fault_regs regs = {.esr = esr,
                                       .far = UINT64_C(0xffff000000000000) | (ipa & 0xfff),
                                       .hpfar = ipa >> 12 << 4,
                                       .par = ipa >> 12 << 12};
    const struct s2_fault fault = s2_fault_decode(&regs);

    return s2_space_handle_fault(space, &fault);
}

static inline struct s2_answer kinds_read(struct s2_space *space, uint64_t ipa)
{
    return kinds_fault(space, KINDS_DABT | KINDS_TRANSLATION, ipa);
}

static inline struct s2_answer kinds_write(struct s2_space *space, uint64_t ipa)
{
    return kinds_fault(space, KINDS_DABT | KINDS_TRANSLATION | KINDS_WNR, ipa);
}

/* What the guest finds at @ipa, as the software MMU leads it there; the test fails where it faults. */
uint64_t kinds_peek(const struct guest *guest, uint64_t ipa);

#endif
