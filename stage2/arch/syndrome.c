#include "stage2/arch/syndrome.h"

#include "core/bits.h"

#include <stddef.h>

/* ESR_ELx. */
#define ESR_EC MAPPING_FIELD(31, 26)
#define ESR_IL MAPPING_BIT(25)
#define EC_IABT_LOWER UINT64_C(0x20)
#define EC_DABT_LOWER UINT64_C(0x24)
#define EC_SAME MAPPING_BIT(0) /* the same class, from the level that takes it */

#define ISS_FSC MAPPING_FIELD(5, 0)
#define ISS_WNR MAPPING_BIT(6)
#define ISS_S1PTW MAPPING_BIT(7)
#define ISS_CM MAPPING_BIT(8)
#define ISS_FNV MAPPING_BIT(10)
#define ISS_AR MAPPING_BIT(14)
#define ISS_SF MAPPING_BIT(15)
#define ISS_SRT MAPPING_FIELD(20, 16)
#define ISS_SSE MAPPING_BIT(21)
#define ISS_SAS MAPPING_FIELD(23, 22)
#define ISS_ISV MAPPING_BIT(24)

/* Fault status codes: 0b0000LL to 0b0011LL have a level, and so have those on a walk. */
#define FSC_LEVEL MAPPING_FIELD(1, 0)
#define FSC_KIND MAPPING_FIELD(5, 2)
#define FSC_EXTERNAL UINT64_C(0x10)
#define FSC_PARITY UINT64_C(0x18)
#define FSC_PARITY_ON_WALK UINT64_C(0x1b) /* level -1; 0x1c to 0x1f: levels 0 to 3 */
#define FSC_ALIGNMENT UINT64_C(0x21)
#define FSC_PROTECTION UINT64_C(0x23) /* of granules (FEAT_RME): level -1; to 0x28: 0 to 3, none */
#define FSC_PROTECTION_LAST UINT64_C(0x28)
#define FSC_ADDRESS_SIZE_LM1 UINT64_C(0x29)
#define FSC_TRANSLATION_LM1 UINT64_C(0x2b)
#define FSC_TLB_CONFLICT UINT64_C(0x30)
#define FSC_UPDATE UINT64_C(0x31)
#define FSC_EXCLUSIVE UINT64_C(0x35) /* unsupported exclusive or atomic access */

#define HPFAR_FIPA MAPPING_FIELD(43, 4) /* IPA[51:12] */
#define PAR_PAGE MAPPING_FIELD(51, 12)
#define IPA_PAGE MAPPING_FIELD(51, 12)
#define PAGE_OFFSET MAPPING_FIELD(11, 0)

/* SPSR_ELx, as an exception to AArch64 makes it. */
#define SPSR_NZCV MAPPING_FIELD(31, 28)
#define SPSR_TCO MAPPING_BIT(25)
#define SPSR_DIT MAPPING_BIT(24)
#define SPSR_PAN MAPPING_BIT(22)
#define SPSR_DIT_AARCH32 MAPPING_BIT(21)
#define SPSR_SSBS MAPPING_BIT(12)
#define SPSR_DAIF MAPPING_FIELD(9, 6)
#define SPSR_AARCH32 MAPPING_BIT(4)
#define SPSR_EL MAPPING_FIELD(3, 2)
#define SPSR_SP MAPPING_BIT(0)
#define SPSR_EL1H UINT64_C(5)

#define SCTLR_SPAN MAPPING_BIT(23) /* 0: an exception sets PAN */
#define SCTLR_DSSBS MAPPING_BIT(44)

/* Vectors: where the exception comes from. */
#define VECTOR_CURRENT_SP0 UINT64_C(0x000)
#define VECTOR_CURRENT_SPX UINT64_C(0x200)
#define VECTOR_LOWER UINT64_C(0x400)
#define VECTOR_LOWER_AARCH32 UINT64_C(0x600)

MAPPING_STATIC_ASSERT(MAPPING_FIELD_GET(FSC_KIND, UINT64_C(0x0c)) == 3, "0b0011LL: permission");
MAPPING_STATIC_ASSERT(MAPPING_FIELD_PREP(ESR_EC, EC_DABT_LOWER) == UINT64_C(0x90000000),
                      "EC is on top");
MAPPING_STATIC_ASSERT((ISS_ISV | ISS_SAS | ISS_SSE | ISS_SRT | ISS_SF | ISS_AR) ==
                          UINT64_C(0x1ffc000),
                      "what tells of a transfer is in one piece");
MAPPING_STATIC_ASSERT(((ISS_ISV | ISS_SAS | ISS_SSE | ISS_SRT | ISS_SF | ISS_AR) &
                       (ISS_WNR | ISS_CM | ISS_FNV | ISS_S1PTW | ISS_FSC)) == 0,
                      "and apart from what tells of the fault");
MAPPING_STATIC_ASSERT(FSC_PROTECTION_LAST < FSC_ADDRESS_SIZE_LM1,
                      "0x23 to 0x28 are granule protection");
MAPPING_STATIC_ASSERT(S2_PAR_F == 1, "PAR_EL1.F is bit 0");
MAPPING_STATIC_ASSERT(FSC_EXCLUSIVE > FSC_UPDATE, "neither protection, nor a level of its own");
MAPPING_STATIC_ASSERT(FSC_PARITY_ON_WALK + 5 == UINT64_C(0x20), "five levels, from -1 to 3");
MAPPING_STATIC_ASSERT((EC_IABT_LOWER | EC_SAME) == 0x21 && (EC_DABT_LOWER | EC_SAME) == 0x25,
                      "the classes of the guest's own level");
MAPPING_STATIC_ASSERT((PAR_PAGE & PAGE_OFFSET) == 0, "a page and what lies in it");
MAPPING_STATIC_ASSERT(IPA_PAGE >> 12 == HPFAR_FIPA >> 4, "HPFAR_EL2 holds IPA[51:12]");
MAPPING_STATIC_ASSERT((SPSR_DAIF | SPSR_EL1H) == UINT64_C(0x3c5), "masked, on a stack of its own");

bool s2_fault_is(uint64_t esr)
{
    const uint64_t class = MAPPING_FIELD_GET(ESR_EC, esr);

    return class == EC_IABT_LOWER || class == EC_DABT_LOWER;
}

/* Those whose code ends in a level. */
static enum s2_fault_kind kind_with_level(uint64_t fsc)
{
    static const enum s2_fault_kind kinds[] = {S2_FAULT_ADDRESS_SIZE, S2_FAULT_TRANSLATION,
                                               S2_FAULT_ACCESS_FLAG, S2_FAULT_PERMISSION};

    MAPPING_ASSERT(fsc < FSC_EXTERNAL);
    return kinds[MAPPING_FIELD_GET(FSC_KIND, fsc)];
}

/* 0x10, 0x13 (level -1) to 0x17 on a walk; parity likewise; granule protection. */
static bool is_external(uint64_t fsc)
{
    return fsc == FSC_EXTERNAL || fsc == FSC_EXCLUSIVE ||
           (fsc > FSC_EXTERNAL + 2 && fsc <= FSC_PARITY) ||
           (fsc >= FSC_PARITY_ON_WALK && fsc < FSC_PARITY_ON_WALK + 5) ||
           (fsc >= FSC_PROTECTION && fsc <= FSC_PROTECTION_LAST);
}

static void decode_status(struct s2_fault *fault, uint64_t fsc)
{
    if (fsc < FSC_EXTERNAL) {
        fault->kind = kind_with_level(fsc);
        fault->level = (int)MAPPING_FIELD_GET(FSC_LEVEL, fsc);
    } else if (fsc == FSC_TRANSLATION_LM1 || fsc == FSC_ADDRESS_SIZE_LM1) {
        fault->kind = fsc == FSC_TRANSLATION_LM1 ? S2_FAULT_TRANSLATION : S2_FAULT_ADDRESS_SIZE;
        fault->level = -1;
    } else if (fsc == FSC_ALIGNMENT) {
        fault->kind = S2_FAULT_ALIGNMENT;
    } else if (fsc == FSC_TLB_CONFLICT) {
        fault->kind = S2_FAULT_TLB_CONFLICT;
    } else if (fsc == FSC_UPDATE) {
        fault->kind = S2_FAULT_UPDATE;
    } else {
        fault->kind = is_external(fsc) ? S2_FAULT_EXTERNAL : S2_FAULT_OTHER;
    }
}

static enum s2_access decode_access(uint64_t esr, const struct s2_fault *fault)
{
    if (fault->on_walk) {
        return fault->kind == S2_FAULT_PERMISSION ? S2_ACCESS_WRITE : S2_ACCESS_READ;
    }
    if (fault->is_fetch) {
        return S2_ACCESS_FETCH;
    }
    if ((esr & ISS_CM) != 0) {
        return S2_ACCESS_CLEAN;
    }
    return (esr & ISS_WNR) != 0 ? S2_ACCESS_WRITE : S2_ACCESS_READ;
}

static struct s2_transfer decode_transfer(uint64_t esr, const struct s2_fault *fault)
{
    if (fault->is_fetch || fault->on_walk || (esr & ISS_ISV) == 0) {
        return (struct s2_transfer){.is_valid = false};
    }
    return (struct s2_transfer){
        .is_valid = true,
        .bytes = (unsigned)MAPPING_BIT(MAPPING_FIELD_GET(ISS_SAS, esr)),
        .reg = (unsigned)MAPPING_FIELD_GET(ISS_SRT, esr),
        .is_signed = (esr & ISS_SSE) != 0,
        .is_64bit = (esr & ISS_SF) != 0,
        .is_ordered = (esr & ISS_AR) != 0,
    };
}

/* Where the page that was refused is told. */
enum page_source { PAGE_UNKNOWN, PAGE_IN_HPFAR, PAGE_IN_PAR };

static enum page_source page_source(const struct s2_fault *fault)
{
    switch (fault->kind) {
    case S2_FAULT_TRANSLATION:
    case S2_FAULT_ACCESS_FLAG:
    case S2_FAULT_ADDRESS_SIZE:
        return PAGE_IN_HPFAR;
    case S2_FAULT_PERMISSION:
        if (fault->on_walk) {
            return PAGE_IN_HPFAR;
        }
        return fault->has_va ? PAGE_IN_PAR : PAGE_UNKNOWN;
    case S2_FAULT_ALIGNMENT:
        return fault->has_va && !fault->on_walk ? PAGE_IN_PAR : PAGE_UNKNOWN;
    case S2_FAULT_NONE:
    case S2_FAULT_TLB_CONFLICT:
    case S2_FAULT_UPDATE:
    case S2_FAULT_EXTERNAL:
    case S2_FAULT_OTHER:
        break;
    }
    return PAGE_UNKNOWN;
}

static void find_ipa(struct s2_fault *fault, const struct s2_fault_regs *regs)
{
    const enum page_source source = page_source(fault);
    uint64_t page = MAPPING_FIELD_PREP(IPA_PAGE, MAPPING_FIELD_GET(HPFAR_FIPA, regs->hpfar));

    fault->has_ipa =
        source == PAGE_IN_HPFAR || (source == PAGE_IN_PAR && (regs->par & S2_PAR_F) == 0);
    if (!fault->has_ipa) {
        return;
    }
    MAPPING_ASSERT(source != PAGE_UNKNOWN);
    if (source == PAGE_IN_PAR) {
        page = regs->par & PAR_PAGE;
    }
    /* Stage 1 never changes the bits below the page; but those of a walk are not in FAR_EL2. */
    fault->ipa = ipa_of(page | (fault->on_walk ? 0 : fault->va & PAGE_OFFSET));
}

/* All but the address. */
static struct s2_fault decode_esr(uint64_t esr)
{
    struct s2_fault fault = {.kind = S2_FAULT_NONE, .esr = esr};

    MAPPING_ASSERT(!fault.has_ipa && !fault.transfer.is_valid);
    if (s2_fault_is(esr)) {
        fault.is_fetch = MAPPING_FIELD_GET(ESR_EC, esr) == EC_IABT_LOWER;
        fault.on_walk = (esr & ISS_S1PTW) != 0;
        fault.has_va = (esr & ISS_FNV) == 0;
        fault.is_short = (esr & ESR_IL) == 0;
        decode_status(&fault, MAPPING_FIELD_GET(ISS_FSC, esr));
    }
    return fault;
}

bool s2_fault_needs_par(uint64_t esr)
{
    const struct s2_fault fault = decode_esr(esr);

    return page_source(&fault) == PAGE_IN_PAR;
}

struct s2_fault s2_fault_decode(const struct s2_fault_regs *regs)
{
    struct s2_fault fault;

    MAPPING_ASSERT(regs != NULL);
    fault = decode_esr(regs->esr);
    if (fault.kind != S2_FAULT_NONE) {
        fault.va = fault.has_va ? regs->far : 0;
        fault.access = decode_access(regs->esr, &fault);
        fault.transfer = decode_transfer(regs->esr, &fault);
        find_ipa(&fault, regs);
    }
    return fault;
}

const char *s2_fault_kind_name(enum s2_fault_kind kind)
{
    static const char *const names[] = {
        [S2_FAULT_NONE] = "none",
        [S2_FAULT_ADDRESS_SIZE] = "address size",
        [S2_FAULT_TRANSLATION] = "translation",
        [S2_FAULT_ACCESS_FLAG] = "access flag",
        [S2_FAULT_PERMISSION] = "permission",
        [S2_FAULT_ALIGNMENT] = "alignment",
        [S2_FAULT_TLB_CONFLICT] = "TLB conflict",
        [S2_FAULT_UPDATE] = "hardware update",
        [S2_FAULT_EXTERNAL] = "external",
        [S2_FAULT_OTHER] = "other",
    };

    MAPPING_ASSERT((unsigned)kind <= S2_FAULT_OTHER);
    return names[kind];
}

const char *s2_access_name(enum s2_access access)
{
    static const char *const names[] = {
        [S2_ACCESS_READ] = "read",
        [S2_ACCESS_WRITE] = "write",
        [S2_ACCESS_FETCH] = "fetch",
        [S2_ACCESS_CLEAN] = "clean",
    };

    MAPPING_ASSERT((unsigned)access <= S2_ACCESS_CLEAN);
    return names[access];
}

uint64_t s2_transfer_extend(const struct s2_transfer *transfer, uint64_t value)
{
    const unsigned bits = 8 * transfer->bytes;
    const uint64_t sign = MAPPING_BIT(bits - 1);

    MAPPING_ASSERT(transfer->is_valid);
    MAPPING_ASSERT(mapping_u64_is_pow2(bits) && bits >= 8 && bits <= 64);
    value &= MAPPING_FIELD(bits - 1, 0);
    if (transfer->is_signed) {
        value = (value ^ sign) - sign;
    }
    return transfer->is_64bit ? value : value & UINT32_MAX;
}

/* --- Injection -------------------------------------------------------------------------------- */

static bool is_from_el0(uint64_t spsr)
{
    return (spsr & SPSR_AARCH32) != 0 || (spsr & SPSR_EL) == 0;
}

static uint64_t vector_of(uint64_t spsr)
{
    if ((spsr & SPSR_AARCH32) != 0) {
        return VECTOR_LOWER_AARCH32;
    }
    if (is_from_el0(spsr)) {
        return VECTOR_LOWER;
    }
    return (spsr & SPSR_SP) != 0 ? VECTOR_CURRENT_SPX : VECTOR_CURRENT_SP0;
}

/* The state that an exception to EL1 begins in: UAO, SS, IL and BTYPE are 0. */
static uint64_t state_in_el1(const struct s2_guest_state *guest)
{
    const uint64_t dit =
        (guest->spsr & SPSR_AARCH32) != 0 ? SPSR_DIT_AARCH32 : SPSR_DIT; /* where it was */
    uint64_t spsr = SPSR_EL1H | SPSR_DAIF | (guest->spsr & (SPSR_NZCV | SPSR_PAN));

    spsr |= (guest->spsr & dit) != 0 ? SPSR_DIT : 0;
    spsr |= (guest->sctlr_el1 & SCTLR_SPAN) == 0 ? SPSR_PAN : 0;
    spsr |= (guest->sctlr_el1 & SCTLR_DSSBS) != 0 ? SPSR_SSBS : 0;
    return spsr | (guest->has_mte ? SPSR_TCO : 0);
}

struct s2_injection s2_fault_inject(const struct s2_fault *fault,
                                    const struct s2_guest_state *guest)
{
    const uint64_t class = (fault->is_fetch ? EC_IABT_LOWER : EC_DABT_LOWER) |
                           (is_from_el0(guest->spsr) ? 0 : EC_SAME);
    const uint64_t kept = fault->is_fetch ? 0 : ISS_WNR | ISS_CM;

    MAPPING_ASSERT(s2_fault_is(fault->esr));
    return (struct s2_injection){
        .esr_el1 = MAPPING_FIELD_PREP(ESR_EC, class) | ESR_IL | (fault->esr & kept) | FSC_EXTERNAL |
                   (fault->has_va ? 0 : ISS_FNV),
        .far_el1 = fault->va,
        .elr_el1 = guest->pc,
        .spsr_el1 = guest->spsr,
        .pc = guest->vbar_el1 + vector_of(guest->spsr),
        .spsr = state_in_el1(guest),
    };
}
