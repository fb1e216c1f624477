/*
 * arch.h - the contract of the primitives: every store to a table, every barrier, every TLB and
 * cache instruction and every register that this library touches goes through here.
 *
 * Bodies are static inline in "arch_impl.h", which the build chooses with one -I:
 *   stage2/el2   the instructions themselves; nowhere else in core and stage2 is there one
 *   tests/sim    the host: each call is an event that tests assert on
 *   tests/bench  the host without a listener, for benchmarks and for an embedder's own host tests
 *
 * Operands arrive encoded; nothing is computed behind this line. All stores and loads of
 * descriptors are single-copy atomic: one aligned 64-bit access.
 * Source: Arm ARM DDI 0487, D8 "The AArch64 Virtual Memory System Architecture" and C5.5 "A64
 * system instructions for TLB maintenance".
 */
#ifndef TRESTLE_STAGE2_ARCH_ARCH_H
#define TRESTLE_STAGE2_ARCH_ARCH_H

#include "stage2/arch/desc.h"

#include <stdbool.h>
#include <stdint.h>

/* --- Descriptors ---------------------------------------------------------------------------- */

/* Read a descriptor of any table. Relaxed. */
static inline s2_desc_t arch_desc_load(const s2_desc_t *slot);

/* Write into a table that no walker can reach yet: dark. */
static inline void arch_desc_fill(s2_desc_t *slot, s2_desc_t desc);

/* Write into a table that walkers may be reading: a leaf where nothing or something broken was,
 * valid to invalid, or a change that needs no break. Relaxed; a barrier of the caller's orders
 * it. */
static inline void arch_desc_store(s2_desc_t *slot, s2_desc_t desc);

/* Link a filled table, or map memory: store-release, so that whoever sees this descriptor sees all that
 * was written before it. */
static inline void arch_desc_publish(s2_desc_t *slot, s2_desc_t desc);

/* Exchange, atomically: answers what was there, with what the hardware had set in it. */
static inline s2_desc_t arch_desc_swap(s2_desc_t *slot, s2_desc_t desc);

/* Replace *expected by @desc and answer true; if the slot holds something else, write that to
 * *expected and answer false. Atomic; a release where it succeeds, as it may link a table. */
static inline bool arch_desc_replace(s2_desc_t *slot, s2_desc_t *expected, s2_desc_t desc);

/* --- Barriers ------------------------------------------------------------------------------- */

static inline void arch_dsb_ish(void);
static inline void arch_dsb_ishst(void);
static inline void arch_dsb_nsh(void);
static inline void arch_isb(void);

/* --- TLB maintenance, EL1&0 regime of the current VMID -------------------------------------- */

static inline void arch_tlbi_ipas2e1is(uint64_t operand);  /* stage 2, by IPA, all CPUs */
static inline void arch_tlbi_ripas2e1is(uint64_t operand); /* stage 2, by range; FEAT_TLBIRANGE */
static inline void arch_tlbi_vmalle1is(void);              /* stage 1 and combined, all CPUs */
static inline void arch_tlbi_vmalls12e1is(void);           /* both stages, all CPUs */
static inline void arch_tlbi_alle1is(void);                /* every VMID, all CPUs */

/* FEAT_XS: the same, without waiting for accesses whose XS attribute is 1 (slow devices). */
static inline void arch_tlbi_ipas2e1is_nxs(uint64_t operand);
static inline void arch_tlbi_ripas2e1is_nxs(uint64_t operand);
static inline void arch_tlbi_vmalle1is_nxs(void);
static inline void arch_tlbi_vmalls12e1is_nxs(void);

/* This CPU only. */
static inline void arch_tlbi_ipas2e1(uint64_t operand);
static inline void arch_tlbi_vmalle1(void);
static inline void arch_tlbi_vmalls12e1(void);
static inline void arch_tlbi_alle1(void);

/* --- Caches --------------------------------------------------------------------------------- */

static inline void arch_dc_civac(const void *line); /* clean and invalidate to PoC, by VA */
static inline void arch_dc_cvac(const void *line);  /* clean to PoC, by VA */
static inline void arch_ic_ialluis(void);           /* all instruction caches, to PoU */

/* --- Registers ------------------------------------------------------------------------------ */

static inline uint64_t arch_read_mmfr0(void); /* ID_AA64MMFR0_EL1, and so on */
static inline uint64_t arch_read_mmfr1(void);
static inline uint64_t arch_read_mmfr2(void);
static inline uint64_t arch_read_isar0(void);
static inline uint64_t arch_read_isar1(void);
static inline uint64_t arch_read_ctr(void);  /* CTR_EL0 */
static inline uint64_t arch_read_midr(void); /* MIDR_EL1 */
static inline uint64_t arch_read_vtcr(void);
static inline void arch_write_vtcr(uint64_t value);
static inline uint64_t arch_read_vttbr(void);
static inline void arch_write_vttbr(uint64_t value);
static inline uint64_t arch_read_hcr(void);
static inline void arch_write_hcr(uint64_t value);
static inline uint64_t arch_read_tcr_el1(void); /* with HCR_EL2.E2H = 0 the guest's */
static inline void arch_write_tcr_el1(uint64_t value);
static inline uint64_t arch_read_tcr_el12(void); /* with HCR_EL2.E2H = 1 the guest's */
static inline void arch_write_tcr_el12(uint64_t value);
static inline uint64_t arch_read_sctlr_el1(void); /* with E2H = 0 and 1 likewise */
static inline void arch_write_sctlr_el1(uint64_t value);
static inline uint64_t arch_read_sctlr_el12(void);
static inline void arch_write_sctlr_el12(uint64_t value);

/* Mask interrupts on this CPU; answers the state before, for the restore. */
static inline uint64_t arch_irq_mask(void);
static inline void arch_irq_restore(uint64_t state);

#include "arch_impl.h"

#endif
