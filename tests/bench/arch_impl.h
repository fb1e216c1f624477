/*
 * arch_impl.h, host, nobody listening: descriptors are memory, the rest leaves no trace but the
 * registers' values. For benchmarks, and for the archive that an embedder's host tests link.
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

/* clang-format off */
static inline void arch_dsb_ish(void) {}
static inline void arch_dsb_ishst(void) {}
static inline void arch_dsb_nsh(void) {}
static inline void arch_isb(void) {}

static inline void arch_tlbi_ipas2e1is(uint64_t operand) { (void)operand; }
static inline void arch_tlbi_ripas2e1is(uint64_t operand) { (void)operand; }
static inline void arch_tlbi_vmalle1is(void) {}
static inline void arch_tlbi_vmalls12e1is(void) {}
static inline void arch_tlbi_alle1is(void) {}
static inline void arch_tlbi_ipas2e1(uint64_t operand) { (void)operand; }
static inline void arch_tlbi_vmalle1(void) {}
static inline void arch_tlbi_vmalls12e1(void) {}
static inline void arch_tlbi_alle1(void) {}
static inline void arch_tlbi_ipas2e1is_nxs(uint64_t operand) { (void)operand; }
static inline void arch_tlbi_ripas2e1is_nxs(uint64_t operand) { (void)operand; }
static inline void arch_tlbi_vmalle1is_nxs(void) {}
static inline void arch_tlbi_vmalls12e1is_nxs(void) {}

static inline void arch_dc_civac(const void *line) { (void)line; }
static inline void arch_dc_cvac(const void *line) { (void)line; }
static inline void arch_ic_ialluis(void) {}

/* A CPU of 48 bits of PA and the 4K granule, without extras. */
static inline uint64_t arch_read_mmfr0(void) { return 5; }
static inline uint64_t arch_read_mmfr1(void) { return 0; }
static inline uint64_t arch_read_mmfr2(void) { return 0; }
static inline uint64_t arch_read_isar0(void) { return 0; }
static inline uint64_t arch_read_isar1(void) { return 0; }
static inline uint64_t arch_read_ctr(void) { return 0; }
static inline uint64_t arch_read_midr(void) { return 0; }

/* No guest is current: a register nobody listens to reads as zero. */
static inline uint64_t arch_read_vtcr(void) { return 0; }
static inline void arch_write_vtcr(uint64_t value) { (void)value; }
static inline uint64_t arch_read_vttbr(void) { return 0; }
static inline void arch_write_vttbr(uint64_t value) { (void)value; }
static inline uint64_t arch_read_hcr(void) { return 0; }
static inline void arch_write_hcr(uint64_t value) { (void)value; }
static inline uint64_t arch_read_tcr_el1(void) { return 0; }
static inline void arch_write_tcr_el1(uint64_t value) { (void)value; }
static inline uint64_t arch_read_tcr_el12(void) { return 0; }
static inline void arch_write_tcr_el12(uint64_t value) { (void)value; }
static inline uint64_t arch_read_sctlr_el1(void) { return 0; }
static inline void arch_write_sctlr_el1(uint64_t value) { (void)value; }
static inline uint64_t arch_read_sctlr_el12(void) { return 0; }
static inline void arch_write_sctlr_el12(uint64_t value) { (void)value; }

static inline uint64_t arch_irq_mask(void) { return 0; }
static inline void arch_irq_restore(uint64_t state) { (void)state; }
/* clang-format on */

#endif
