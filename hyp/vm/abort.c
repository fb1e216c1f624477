#include "hyp/vm/abort.h"

#include "hyp/machine/address_translation.h"
#include "hyp/machine/sysreg.h"

bool abort_is(uint64_t esr)
{
    uint64_t class = MAPPING_FIELD_GET(ESR_EC, esr);

    return class == EC_IABT_LOWER || class == EC_DABT_LOWER;
}

static void decode_status(struct abort *abort, uint64_t fsc)
{
    static const enum abort_kind kinds[] = {
        [FSC_KIND_ADDRESS_SIZE] = ABORT_ADDRESS_SIZE,
        [FSC_KIND_TRANSLATION] = ABORT_TRANSLATION,
        [FSC_KIND_ACCESS_FLAG] = ABORT_ACCESS_FLAG,
        [FSC_KIND_PERMISSION] = ABORT_PERMISSION,
    };

    abort->kind = ABORT_OTHER;
    if (fsc == FSC_TRANSLATION_LM1 || fsc == FSC_ADDRESS_SIZE_LM1) {
        abort->kind = fsc == FSC_TRANSLATION_LM1 ? ABORT_TRANSLATION : ABORT_ADDRESS_SIZE;
        abort->level = -1;
    } else if (fsc == FSC_TLB_CONFLICT) {
        abort->kind = ABORT_TLB_CONFLICT;
    } else if (fsc <= (MAPPING_FIELD_PREP(FSC_KIND, FSC_KIND_PERMISSION) | FSC_LEVEL)) {
        abort->kind = kinds[MAPPING_FIELD_GET(FSC_KIND, fsc)];
        abort->level = (int)MAPPING_FIELD_GET(FSC_LEVEL, fsc);
    }
}

/* On a stage 1 walk only a permission fault tells of a write: hardware's own update of the guest's
 * descriptor. Cache maintenance reports WnR = 1 but needs no write permission. */
static enum abort_access decode_access(uint64_t esr, const struct abort *abort)
{
    if (MAPPING_FIELD_GET(ESR_EC, esr) == EC_IABT_LOWER) {
        return ABORT_FETCH;
    }
    if (abort->on_s1_walk && abort->kind != ABORT_PERMISSION) {
        return ABORT_READ;
    }
    return (esr & ISS_WNR) != 0 && (esr & ISS_CM) == 0 ? ABORT_WRITE : ABORT_READ;
}

static struct abort_syndrome decode_syndrome(uint64_t esr)
{
    if (MAPPING_FIELD_GET(ESR_EC, esr) != EC_DABT_LOWER || (esr & ISS_ISV) == 0) {
        return (struct abort_syndrome){0};
    }
    return (struct abort_syndrome){
        .valid = true,
        .bytes = (unsigned)MAPPING_BIT(MAPPING_FIELD_GET(ISS_SAS, esr)),
        .srt = (unsigned)MAPPING_FIELD_GET(ISS_SRT, esr),
        .sign_extends = (esr & ISS_SSE) != 0,
        .is_64bit = (esr & ISS_SF) != 0,
    };
}

/* Bits of the IPA below the page: stage 1 never changes them, but a walk's are not in FAR. */
static uint64_t page_offset(const struct abort *abort)
{
    return abort->on_s1_walk ? 0 : abort->va & IPA_PAGE_OFFSET;
}

static void find_ipa(struct abort *abort, uint64_t hpfar)
{
    ipa_t page = ipa_of(MAPPING_FIELD_PREP(IPA_PAGE, MAPPING_FIELD_GET(HPFAR_FIPA, hpfar)));

    switch (abort->kind) {
    case ABORT_TRANSLATION:
    case ABORT_ACCESS_FLAG:
    case ABORT_ADDRESS_SIZE:
        abort->has_ipa = true;
        break;
    case ABORT_PERMISSION:
        abort->has_ipa = abort->on_s1_walk || (abort->has_va && at_s1e1r(abort->va, &page));
        break;
    case ABORT_TLB_CONFLICT: /* HPFAR_EL2 is UNKNOWN */
    case ABORT_OTHER:
        break;
    }
    abort->ipa = ipa_add(page, page_offset(abort));
}

struct abort abort_decode(uint64_t esr)
{
    struct abort abort = {.esr = esr};

    abort.on_s1_walk = (esr & ISS_S1PTW) != 0;
    abort.has_va = (esr & ISS_FNV) == 0;
    abort.va = abort.has_va ? read_far_el2() : 0;
    decode_status(&abort, MAPPING_FIELD_GET(ISS_FSC, esr));
    abort.access = decode_access(esr, &abort);
    abort.syndrome = decode_syndrome(esr);
    find_ipa(&abort, read_hpfar_el2());
    return abort;
}

const char *abort_kind_name(enum abort_kind kind)
{
    switch (kind) {
    case ABORT_TRANSLATION:
        return "translation";
    case ABORT_PERMISSION:
        return "permission";
    case ABORT_ACCESS_FLAG:
        return "access flag";
    case ABORT_ADDRESS_SIZE:
        return "address size";
    case ABORT_TLB_CONFLICT:
        return "TLB conflict";
    case ABORT_OTHER:
        break;
    }
    return "other";
}

const char *abort_access_name(enum abort_access access)
{
    switch (access) {
    case ABORT_READ:
        return "read";
    case ABORT_WRITE:
        return "write";
    case ABORT_FETCH:
        break;
    }
    return "fetch";
}
