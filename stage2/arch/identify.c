#include "stage2/arch/identify.h"

#include "stage2/arch/arch.h"

struct s2_features s2_features_read(void)
{
    const struct s2_id_regs regs = {
        .mmfr0 = arch_read_mmfr0(),
        .mmfr1 = arch_read_mmfr1(),
        .mmfr2 = arch_read_mmfr2(),
        .isar0 = arch_read_isar0(),
        .isar1 = arch_read_isar1(),
        .ctr = arch_read_ctr(),
        .midr = arch_read_midr(),
    };

    return s2_features_decode(&regs);
}

/* Both can do more, or as much, and no erratum is of the one alone: then what they have in common is
 * all that @need is. */
bool s2_features_cover(const struct s2_features *cpu, const struct s2_features *need)
{
    const struct s2_features common = s2_features_meet(cpu, need);

    MAPPING_ASSERT(common.pa_bits <= need->pa_bits);
    return common.pa_bits == need->pa_bits && common.granule_4k == need->granule_4k &&
           common.granule_16k == need->granule_16k && common.granule_64k == need->granule_64k &&
           common.vmid_bits == need->vmid_bits && common.hafdbs == need->hafdbs &&
           common.bbm == need->bbm && common.tlb == need->tlb && common.has_xnx == need->has_xnx &&
           common.has_fwb == need->has_fwb && common.has_ttl == need->has_ttl &&
           common.has_cnp == need->has_cnp && common.has_small_tables == need->has_small_tables &&
           common.has_vhe == need->has_vhe && common.has_lse == need->has_lse &&
           common.has_xs == need->has_xs && common.has_dic == need->has_dic &&
           common.has_idc == need->has_idc &&
           common.has_conflict_free_sizes == need->has_conflict_free_sizes &&
           common.errata == need->errata && common.dcache_line == need->dcache_line;
}

enum mapping_error s2_meeting_join(struct s2_meeting *meeting, const struct s2_features *mine)
{
    enum mapping_error error = MAPPING_OK;

    MAPPING_ASSERT(mine != NULL);
    mapping_lock_acquire(&meeting->lock);
    MAPPING_ASSERT(!meeting->is_closed || meeting->has_any);
    if (meeting->is_closed) {
        error = s2_features_cover(mine, &meeting->common) ? MAPPING_OK : MAPPING_UNSUPPORTED;
    } else {
        meeting->common = meeting->has_any ? s2_features_meet(&meeting->common, mine) : *mine;
        meeting->has_any = true;
    }
    mapping_lock_release(&meeting->lock);
    return error;
}

struct s2_features s2_meeting_close(struct s2_meeting *meeting)
{
    struct s2_features common;

    mapping_lock_acquire(&meeting->lock);
    MAPPING_ASSERT(meeting->has_any);
    meeting->is_closed = true;
    common = meeting->common;
    mapping_lock_release(&meeting->lock);
    return common;
}
