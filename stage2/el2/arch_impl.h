/*
 * arch_impl.h, EL2: the instructions. Nothing is computed here.
 *
 * Every asm clobbers memory, so that the compiler keeps its own stores on the right side.
 */
#ifndef TRESTLE_ARCH_IMPL_H
#define TRESTLE_ARCH_IMPL_H

static inline s2_desc_t arch_desc_load(const s2_desc_t *slot)
{
    return (s2_desc_t){__atomic_load_n(&slot->raw, __ATOMIC_RELAXED)};
}

static inline void arch_desc_fill(s2_desc_t *slot, s2_desc_t desc)
{
    __atomic_store_n(&slot->raw, desc.raw, __ATOMIC_RELAXED);
}

static inline void arch_desc_store(s2_desc_t *slot, s2_desc_t desc)
{
    __atomic_store_n(&slot->raw, desc.raw, __ATOMIC_RELAXED);
}

static inline void arch_desc_publish(s2_desc_t *slot, s2_desc_t desc)
{
    __atomic_store_n(&slot->raw, desc.raw, __ATOMIC_RELEASE);
}

static inline s2_desc_t arch_desc_swap(s2_desc_t *slot, s2_desc_t desc)
{
    return (s2_desc_t){__atomic_exchange_n(&slot->raw, desc.raw, __ATOMIC_RELAXED)};
}

static inline bool arch_desc_replace(s2_desc_t *slot, s2_desc_t *expected, s2_desc_t desc)
{
    return __atomic_compare_exchange_n(&slot->raw, &expected->raw, desc.raw, false,
                                       __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

#define ARCH_PLAIN(name, text)               \
    static inline void name(void)            \
    {                                        \
        __asm__ volatile(text ::: "memory"); \
    }

#define ARCH_OPERAND(name, text, type)                    \
    static inline void name(type operand)                 \
    {                                                     \
        __asm__ volatile(text ::"r"(operand) : "memory"); \
    }

#define ARCH_READ_ONLY(name, text)                                 \
    static inline uint64_t arch_read_##name(void)                  \
    {                                                              \
        uint64_t value;                                            \
                                                                   \
        __asm__ volatile("mrs %0, " text : "=r"(value)::"memory"); \
        return value;                                              \
    }

#define ARCH_REGISTER(name, text)                                     \
    ARCH_READ_ONLY(name, text)                                        \
    static inline void arch_write_##name(uint64_t value)              \
    {                                                                 \
        __asm__ volatile("msr " text ", %0" ::"r"(value) : "memory"); \
    }

ARCH_PLAIN(arch_dsb_ish, "dsb ish")
ARCH_PLAIN(arch_dsb_ishst, "dsb ishst")
ARCH_PLAIN(arch_dsb_nsh, "dsb nsh")
ARCH_PLAIN(arch_isb, "isb")

ARCH_OPERAND(arch_tlbi_ipas2e1is, "tlbi ipas2e1is, %0", uint64_t)
/* RIPAS2E1IS: an assembler for Armv8.0 knows it only by its encoding (op1 4, C8, C0, op2 2). */
ARCH_OPERAND(arch_tlbi_ripas2e1is, "sys #4, c8, c0, #2, %0", uint64_t)
ARCH_PLAIN(arch_tlbi_vmalle1is, "tlbi vmalle1is")
ARCH_PLAIN(arch_tlbi_vmalls12e1is, "tlbi vmalls12e1is")
ARCH_PLAIN(arch_tlbi_alle1is, "tlbi alle1is")

/* FEAT_XS puts nXS into CRn: C9 in place of C8. */
ARCH_OPERAND(arch_tlbi_ipas2e1is_nxs, "sys #4, c9, c0, #1, %0", uint64_t)
ARCH_OPERAND(arch_tlbi_ripas2e1is_nxs, "sys #4, c9, c0, #2, %0", uint64_t)
ARCH_PLAIN(arch_tlbi_vmalle1is_nxs, "sys #0, c9, c3, #0, xzr")
ARCH_PLAIN(arch_tlbi_vmalls12e1is_nxs, "sys #4, c9, c3, #6, xzr")

ARCH_OPERAND(arch_tlbi_ipas2e1, "tlbi ipas2e1, %0", uint64_t)
ARCH_PLAIN(arch_tlbi_vmalle1, "tlbi vmalle1")
ARCH_PLAIN(arch_tlbi_vmalls12e1, "tlbi vmalls12e1")
ARCH_PLAIN(arch_tlbi_alle1, "tlbi alle1")

ARCH_OPERAND(arch_dc_civac, "dc civac, %0", const void *)
ARCH_OPERAND(arch_dc_cvac, "dc cvac, %0", const void *)
ARCH_PLAIN(arch_ic_ialluis, "ic ialluis")

ARCH_READ_ONLY(mmfr0, "id_aa64mmfr0_el1")
ARCH_READ_ONLY(mmfr1, "id_aa64mmfr1_el1")
ARCH_READ_ONLY(mmfr2, "id_aa64mmfr2_el1")
ARCH_READ_ONLY(isar0, "id_aa64isar0_el1")
ARCH_READ_ONLY(isar1, "id_aa64isar1_el1")
ARCH_READ_ONLY(ctr, "ctr_el0")
ARCH_READ_ONLY(midr, "midr_el1")
ARCH_REGISTER(vtcr, "vtcr_el2")
ARCH_REGISTER(vttbr, "vttbr_el2")
ARCH_REGISTER(hcr, "hcr_el2")
ARCH_REGISTER(tcr_el1, "tcr_el1")
ARCH_REGISTER(tcr_el12, "s3_5_c2_c0_2") /* TCR_EL12: FEAT_VHE, newer than the assembler's base */
ARCH_REGISTER(sctlr_el1, "sctlr_el1")
ARCH_REGISTER(sctlr_el12, "s3_5_c1_c0_0")

static inline uint64_t arch_irq_mask(void)
{
    uint64_t state;

    __asm__ volatile("mrs %0, daif\n\tmsr daifset, #0xf" : "=r"(state)::"memory");
    return state;
}

static inline void arch_irq_restore(uint64_t state)
{
    __asm__ volatile("msr daif, %0" ::"r"(state) : "memory");
}

#undef ARCH_PLAIN
#undef ARCH_OPERAND
#undef ARCH_READ_ONLY
#undef ARCH_REGISTER

#endif
