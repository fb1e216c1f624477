/*
 * arch_impl.h, EL2, counted: stage2/el2's instructions under other names, and around each barrier
 * and TLBI a function that counts it. The instructions are the same ones, in the same order.
 */
#ifndef TRESTLE_BENCH_COUNTED_ARCH_IMPL_H
#define TRESTLE_BENCH_COUNTED_ARCH_IMPL_H

#include "tests/bench/qemu_counts.h"

#define arch_dsb_ish el2_dsb_ish
#define arch_dsb_ishst el2_dsb_ishst
#define arch_dsb_nsh el2_dsb_nsh
#define arch_isb el2_isb
#define arch_tlbi_ipas2e1is el2_tlbi_ipas2e1is
#define arch_tlbi_ripas2e1is el2_tlbi_ripas2e1is
#define arch_tlbi_vmalle1is el2_tlbi_vmalle1is
#define arch_tlbi_vmalls12e1is el2_tlbi_vmalls12e1is
#define arch_tlbi_alle1is el2_tlbi_alle1is
#define arch_tlbi_ipas2e1is_nxs el2_tlbi_ipas2e1is_nxs
#define arch_tlbi_ripas2e1is_nxs el2_tlbi_ripas2e1is_nxs
#define arch_tlbi_vmalle1is_nxs el2_tlbi_vmalle1is_nxs
#define arch_tlbi_vmalls12e1is_nxs el2_tlbi_vmalls12e1is_nxs
#define arch_tlbi_ipas2e1 el2_tlbi_ipas2e1
#define arch_tlbi_vmalle1 el2_tlbi_vmalle1
#define arch_tlbi_vmalls12e1 el2_tlbi_vmalls12e1
#define arch_tlbi_alle1 el2_tlbi_alle1

#include "stage2/el2/arch_impl.h"

#undef arch_dsb_ish
#undef arch_dsb_ishst
#undef arch_dsb_nsh
#undef arch_isb
#undef arch_tlbi_ipas2e1is
#undef arch_tlbi_ripas2e1is
#undef arch_tlbi_vmalle1is
#undef arch_tlbi_vmalls12e1is
#undef arch_tlbi_alle1is
#undef arch_tlbi_ipas2e1is_nxs
#undef arch_tlbi_ripas2e1is_nxs
#undef arch_tlbi_vmalle1is_nxs
#undef arch_tlbi_vmalls12e1is_nxs
#undef arch_tlbi_ipas2e1
#undef arch_tlbi_vmalle1
#undef arch_tlbi_vmalls12e1
#undef arch_tlbi_alle1

#define COUNTED_PLAIN(kind, name)        \
    static inline void arch_##name(void) \
    {                                    \
        arch_counts.kind++;              \
        el2_##name();                    \
    }

#define COUNTED_OPERAND(kind, name)                  \
    static inline void arch_##name(uint64_t operand) \
    {                                                \
        arch_counts.kind++;                          \
        el2_##name(operand);                         \
    }

COUNTED_PLAIN(dsb, dsb_ish)
COUNTED_PLAIN(dsb, dsb_ishst)
COUNTED_PLAIN(dsb, dsb_nsh)
COUNTED_PLAIN(isb, isb)
COUNTED_OPERAND(tlbi, tlbi_ipas2e1is)
COUNTED_OPERAND(tlbi, tlbi_ripas2e1is)
COUNTED_PLAIN(tlbi, tlbi_vmalle1is)
COUNTED_PLAIN(tlbi, tlbi_vmalls12e1is)
COUNTED_PLAIN(tlbi, tlbi_alle1is)
COUNTED_OPERAND(tlbi, tlbi_ipas2e1is_nxs)
COUNTED_OPERAND(tlbi, tlbi_ripas2e1is_nxs)
COUNTED_PLAIN(tlbi, tlbi_vmalle1is_nxs)
COUNTED_PLAIN(tlbi, tlbi_vmalls12e1is_nxs)
COUNTED_OPERAND(tlbi, tlbi_ipas2e1)
COUNTED_PLAIN(tlbi, tlbi_vmalle1)
COUNTED_PLAIN(tlbi, tlbi_vmalls12e1)
COUNTED_PLAIN(tlbi, tlbi_alle1)

#undef COUNTED_PLAIN
#undef COUNTED_OPERAND

#endif
