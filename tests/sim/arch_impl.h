/*
 * arch_impl.h, host, under observation: every primitive is an event of tests/sim/sim.h.
 */
#ifndef TRESTLE_ARCH_IMPL_H
#define TRESTLE_ARCH_IMPL_H

#include "tests/sim/sim.h"

/* --- Descriptors ---------------------------------------------------------------------------- */

static inline uint64_t arch_sim_peek(const s2_desc_t *slot)
{
    return __atomic_load_n(&slot->raw, __ATOMIC_RELAXED);
}

/* A plain write or a swap: what was there is taken in the same step, so that the event's .old is
 * true even when a listener has just moved the descriptor. */
static inline uint64_t arch_sim_write(enum sim_kind kind, s2_desc_t *slot, uint64_t value)
{
    struct sim_event event = {.kind = kind, .slot = slot, .old = arch_sim_peek(slot), .new = value};

    if (sim_begin(&event)) {
        event.old = __atomic_exchange_n(&slot->raw, value, __ATOMIC_ACQ_REL);
        event.done = true;
        sim_end(&event);
    }
    return event.old;
}

static inline s2_desc_t arch_desc_load(const s2_desc_t *slot)
{
    struct sim_event event = {.kind = SIM_LOAD, .slot = slot};

    if (!sim_loads_are_events()) {
        return (s2_desc_t){arch_sim_peek(slot)};
    }
    event.old = arch_sim_peek(slot);
    event.new = event.old;
    (void)sim_begin(&event);
    event.old = arch_sim_peek(slot);
    event.new = event.old;
    event.done = true;
    sim_end(&event);
    return (s2_desc_t){event.new};
}

static inline void arch_desc_fill(s2_desc_t *slot, s2_desc_t desc)
{
    (void)arch_sim_write(SIM_FILL, slot, desc.raw);
}

static inline void arch_desc_store(s2_desc_t *slot, s2_desc_t desc)
{
    (void)arch_sim_write(SIM_STORE, slot, desc.raw);
}

static inline void arch_desc_publish(s2_desc_t *slot, s2_desc_t desc)
{
    (void)arch_sim_write(SIM_PUBLISH, slot, desc.raw);
}

static inline s2_desc_t arch_desc_swap(s2_desc_t *slot, s2_desc_t desc)
{
    return (s2_desc_t){arch_sim_write(SIM_SWAP, slot, desc.raw)};
}

static inline bool arch_desc_replace(s2_desc_t *slot, s2_desc_t *expected, s2_desc_t desc)
{
    struct sim_event event = {.kind = SIM_REPLACE,
                              .slot = slot,
                              .operand = expected->raw,
                              .old = arch_sim_peek(slot),
                              .new = desc.raw};

    if (!sim_begin(&event)) {
        return true;
    }
    event.old = expected->raw;
    event.done = __atomic_compare_exchange_n(&slot->raw, &event.old, desc.raw, false,
                                             __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    sim_end(&event);
    /* On success the two are equal already. */
    expected->raw = event.old;
    return event.done;
}

/* --- Instructions without a result ----------------------------------------------------------- */

static inline void arch_sim_execute(struct sim_event event)
{
    if (sim_begin(&event)) {
        event.done = true;
        sim_end(&event);
    }
}

#define ARCH_SIM_PLAIN(name, number)                            \
    static inline void arch_##name(void)                        \
    {                                                           \
        arch_sim_execute((struct sim_event){.kind = (number)}); \
    }

#define ARCH_SIM_OPERAND(name, number)                                              \
    static inline void arch_##name(uint64_t operand)                                \
    {                                                                               \
        arch_sim_execute((struct sim_event){.kind = (number), .operand = operand}); \
    }

#define ARCH_SIM_LINE(name, number)                                           \
    static inline void arch_##name(const void *line)                          \
    {                                                                         \
        arch_sim_execute((struct sim_event){.kind = (number), .slot = line}); \
    }

/* The nXS form is the same event, and says so. */
#define ARCH_SIM_PLAIN_NXS(name, number)                                        \
    static inline void arch_##name##_nxs(void)                                  \
    {                                                                           \
        arch_sim_execute((struct sim_event){.kind = (number), .is_nxs = true}); \
    }

#define ARCH_SIM_OPERAND_NXS(name, number)                                             \
    static inline void arch_##name##_nxs(uint64_t operand)                             \
    {                                                                                  \
        arch_sim_execute(                                                              \
            (struct sim_event){.kind = (number), .is_nxs = true, .operand = operand}); \
    }

ARCH_SIM_PLAIN(dsb_ish, SIM_DSB_ISH)
ARCH_SIM_PLAIN(dsb_ishst, SIM_DSB_ISHST)
ARCH_SIM_PLAIN(dsb_nsh, SIM_DSB_NSH)
ARCH_SIM_PLAIN(isb, SIM_ISB)

ARCH_SIM_OPERAND(tlbi_ipas2e1is, SIM_TLBI_IPAS2E1IS)
ARCH_SIM_OPERAND(tlbi_ripas2e1is, SIM_TLBI_RIPAS2E1IS)
ARCH_SIM_PLAIN(tlbi_vmalle1is, SIM_TLBI_VMALLE1IS)
ARCH_SIM_PLAIN(tlbi_vmalls12e1is, SIM_TLBI_VMALLS12E1IS)
ARCH_SIM_PLAIN(tlbi_alle1is, SIM_TLBI_ALLE1IS)
ARCH_SIM_OPERAND(tlbi_ipas2e1, SIM_TLBI_IPAS2E1)
ARCH_SIM_PLAIN(tlbi_vmalle1, SIM_TLBI_VMALLE1)
ARCH_SIM_PLAIN(tlbi_vmalls12e1, SIM_TLBI_VMALLS12E1)
ARCH_SIM_PLAIN(tlbi_alle1, SIM_TLBI_ALLE1)

ARCH_SIM_OPERAND_NXS(tlbi_ipas2e1is, SIM_TLBI_IPAS2E1IS)
ARCH_SIM_OPERAND_NXS(tlbi_ripas2e1is, SIM_TLBI_RIPAS2E1IS)
ARCH_SIM_PLAIN_NXS(tlbi_vmalle1is, SIM_TLBI_VMALLE1IS)
ARCH_SIM_PLAIN_NXS(tlbi_vmalls12e1is, SIM_TLBI_VMALLS12E1IS)

ARCH_SIM_LINE(dc_civac, SIM_DC_CIVAC)
ARCH_SIM_LINE(dc_cvac, SIM_DC_CVAC)
ARCH_SIM_PLAIN(ic_ialluis, SIM_IC_IALLUIS)

/* --- Registers ------------------------------------------------------------------------------ */

/* @reg: of the current CPU, still current after the listeners. */
static inline void arch_sim_register(enum sim_kind kind, uint64_t *reg, uint64_t value)
{
    struct sim_event event = {.kind = kind, .operand = value, .old = *reg, .new = value};

    if (sim_begin(&event)) {
        event.old = *reg;
        *reg = value;
        event.done = true;
        sim_end(&event);
    }
}

#define ARCH_SIM_ID(name)                         \
    static inline uint64_t arch_read_##name(void) \
    {                                             \
        return sim_cpu()->id.name;                \
    }

ARCH_SIM_ID(mmfr0)
ARCH_SIM_ID(mmfr1)
ARCH_SIM_ID(mmfr2)
ARCH_SIM_ID(isar0)
ARCH_SIM_ID(isar1)
ARCH_SIM_ID(ctr)
ARCH_SIM_ID(midr)

#define ARCH_SIM_REGISTER(name, kind)                       \
    static inline uint64_t arch_read_##name(void)           \
    {                                                       \
        return sim_cpu()->name;                             \
    }                                                       \
    static inline void arch_write_##name(uint64_t value)    \
    {                                                       \
        arch_sim_register((kind), &sim_cpu()->name, value); \
    }

ARCH_SIM_REGISTER(vtcr, SIM_WRITE_VTCR)
ARCH_SIM_REGISTER(vttbr, SIM_WRITE_VTTBR)
ARCH_SIM_REGISTER(hcr, SIM_WRITE_HCR)

/* The guest's registers: under HCR_EL2.E2H by names of their own, which there are none of without
 * it; the usual ones are then the hypervisor's, and nobody's business here. */
#define ARCH_SIM_HCR_E2H MAPPING_BIT(34)

static inline uint64_t *arch_sim_guest(uint64_t *reg, bool is_el12)
{
    MAPPING_ASSERT(((sim_cpu()->hcr & ARCH_SIM_HCR_E2H) != 0) == is_el12);
    return reg;
}

#define ARCH_SIM_GUEST(name, field, kind, is_el12)                                      \
    static inline uint64_t arch_read_##name(void)                                       \
    {                                                                                   \
        return *arch_sim_guest(&sim_cpu()->field, (is_el12));                           \
    }                                                                                   \
    static inline void arch_write_##name(uint64_t value)                                \
    {                                                                                   \
        arch_sim_register((kind), arch_sim_guest(&sim_cpu()->field, (is_el12)), value); \
    }

ARCH_SIM_GUEST(tcr_el1, tcr_el1, SIM_WRITE_TCR_EL1, false)
ARCH_SIM_GUEST(tcr_el12, tcr_el1, SIM_WRITE_TCR_EL1, true)
ARCH_SIM_GUEST(sctlr_el1, sctlr_el1, SIM_WRITE_SCTLR_EL1, false)
ARCH_SIM_GUEST(sctlr_el12, sctlr_el1, SIM_WRITE_SCTLR_EL1, true)

static inline uint64_t arch_irq_mask(void)
{
    uint64_t before = sim_cpu()->daif;

    arch_sim_register(SIM_IRQ_MASK, &sim_cpu()->daif, SIM_DAIF_ALL);
    return before;
}

static inline void arch_irq_restore(uint64_t state)
{
    arch_sim_register(SIM_IRQ_RESTORE, &sim_cpu()->daif, state);
}

#undef ARCH_SIM_PLAIN
#undef ARCH_SIM_OPERAND
#undef ARCH_SIM_LINE
#undef ARCH_SIM_PLAIN_NXS
#undef ARCH_SIM_OPERAND_NXS
#undef ARCH_SIM_ID
#undef ARCH_SIM_REGISTER
#undef ARCH_SIM_GUEST
#undef ARCH_SIM_HCR_E2H

#endif
