/*
 * tlb_batch.h - the invalidations of one guest, collected, and the plan by which they are sent.
 *
 * What is broken or tightened is collected, with levels, and sent
 * at once, in one closing sequence (stage2/tlb/tlb_flush.h).
 *
 * The plan, for what a batch holds:
 *
 *      each stretch   by ranges, if the CPU has them and they are fewer instructions than one
 *                     TLBI for each leaf (of known level; for each granule, if it is not known);
 *                     else by address. The level goes along as a hint only where FEAT_TTL is there
 *                     and the level is known.
 *      all stretches  if that is more than S2_TLB_PARTS_MAX instructions, or more stretches than
 *                     a batch holds, or one by range is longer than S2_TLB_CHUNKS_MAX times what
 *                     one
 *                     TLBI covers at most: the whole VMID, one instruction, but the guest refills.
 *      afterwards     stage 1, by VMALLE1IS: a combined entry has no IPA to go by. (The whole VMID
 *                     includes it.)
 *      nXS            where FEAT_XS is there and nothing that was mapped can have XS = 1: all that
 *                     the table maps is write-back by force.
 *      local          where nothing was taken away (S2_RELAX_HERE), and the guest is current on this
 *                     CPU. By address only. If it is not, nobody says which CPU will ask: then all.
 */
#ifndef TRESTLE_STAGE2_TLB_TLB_BATCH_H
#define TRESTLE_STAGE2_TLB_TLB_BATCH_H

#include "core/addr.h"
#include "core/c.h"
#include "stage2/arch/features.h"
#include "stage2/arch/geometry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

TRESTLE_BEGIN

/* More TLBIs by address and range than this in one flush, and the whole VMID is cheaper: a
 * broadcast costs about as much as refilling a few entries, and guests seldom have more than some
 * hundred live ones. A rule of thumb until it is measured on a board. */
#define S2_TLB_PARTS_MAX 64

/* Of S2_TLBI_SIZE_MAX each: 32 GiB. What a table near the root spans, often, when the last page
 * below it goes: little that the guest has is outside, and it need not be sent in 64 pieces. */
#define S2_TLB_CHUNKS_MAX 16

#define S2_TLB_BATCH_RANGES 8

/* Why entries must go. */
enum s2_tlb_reason {
    S2_TLB_REVOKED, /* broken, unlinked or tightened */
    S2_TLB_RELAXED, /* more is allowed now, and nothing else has changed */
};

/* A stretch of IPAs whose entries at @level must go. */
struct s2_tlb_range {
    struct ipa_range range;
    int8_t level;
};

/* What must go for one guest. Zero is an empty batch. */
struct s2_tlb_batch {
    struct s2_tlb_range ranges[S2_TLB_BATCH_RANGES];
    uint8_t count;
    bool is_whole;   /* more than ranges[] could hold: the whole VMID */
    bool is_revoked; /* not only relaxed */
};

MAPPING_STATIC_ASSERT(S2_TLB_BATCH_RANGES <= UINT8_MAX, "they are counted so");
MAPPING_STATIC_ASSERT(S2_TLB_BATCH_RANGES <= S2_TLB_PARTS_MAX,
                      "a full batch of single leaves is sent so");
MAPPING_STATIC_ASSERT(S2_TLB_LEVEL_ANY <= INT8_MAX && S2_TLB_LEVEL_ANY > S2_LEVEL_PAGE, "no level");

/* What a table's CPU offers, and asks for; decided once. */
struct s2_tlb_rules {
    bool has_ttl;
    bool has_ranges;
    bool has_xs;
    bool has_vhe;
    bool has_speculative_at; /* the erratum, as the next */
    bool has_hcr_write;
    bool is_repeated; /* each TLBI is sent twice */
    bool is_local;    /* S2_RELAX_HERE */
};

/* What was sent, and what was not. Never reset; statistics, not state. Counted atomically, as CPUs
 * that refresh or recover do not lock the space: whoever reads meanwhile does it by
 * s2_table_tlb_snapshot(). */
struct s2_tlb_counters {
    uint64_t flushes;       /* that sent anything */
    uint64_t by_address;    /* IPAS2E1*, single granules of a cover by ranges included */
    uint64_t by_range;      /* RIPAS2E1* */
    uint64_t stage1;        /* VMALLE1* */
    uint64_t whole;         /* VMALLS12E1* */
    uint64_t saved;         /* TLBIs fewer than one by address for each leaf, or granule of a table:
                             * of the stretches that the batch held, repetitions aside */
    uint64_t saved_flushes; /* stretches that shared a flush with another; all that was too much for
                             * a batch is one */
    uint64_t skipped_flushes; /* not sent at all: no CPU could hold anything of the guest */
};

/* How one flush will be sent. */
struct s2_tlb_plan {
    bool is_whole;
    bool is_local;  /* on this CPU only */
    uint64_t naive; /* TLBIs by address that its stretches would take */
    uint64_t parts; /* TLBIs by address and range that they do take, or would */
};

/* What the CPU offers of what @config asks for. */
struct s2_tlb_rules s2_tlb_rules_of(const struct s2_geometry *geometry,
                                    const struct s2_config *config);

static inline bool s2_tlb_batch_is_empty(const struct s2_tlb_batch *batch)
{
    return batch->count == 0 && !batch->is_whole;
}

static inline void s2_tlb_batch_clear(struct s2_tlb_batch *batch)
{
    batch->count = 0;
    batch->is_whole = false;
    batch->is_revoked = false;
}

/**
 * s2_tlb_batch_add() - Remember that the entries of @range must go.
 * @level:   of every leaf in it; S2_TLB_LEVEL_ANY if a table was unlinked or levels are mixed.
 * Order:    after the stores, or before: the flush orders them.
 * Cost:     O(S2_TLB_BATCH_RANGES); never fails: what lies in a stretch of any level is in it
 *           already, what goes on where another of its level ends is joined to it, and a full batch
 *           becomes the whole VMID.
 */
void s2_tlb_batch_add(struct s2_tlb_batch *batch, struct ipa_range range, int level,
                      enum s2_tlb_reason reason);

/* The same for the first that is remembered: @batch is empty. O(1). */
static inline void s2_tlb_batch_start(struct s2_tlb_batch *batch, struct ipa_range range, int level,
                                      enum s2_tlb_reason reason)
{
    batch->ranges[0].range = range;
    batch->ranges[0].level = (int8_t)level;
    batch->count = 1;
    batch->is_revoked = reason == S2_TLB_REVOKED;
}

/* The same where the only stretch there is goes on, and is sent as before: what a long change adds,
 * table after table. Returns: false: it is not so, and nothing was added. O(1). */
static inline bool s2_tlb_batch_extend(struct s2_tlb_batch *batch, struct ipa_range range,
                                       int level, enum s2_tlb_reason reason)
{
    struct s2_tlb_range *only = &batch->ranges[0];

    if (batch->count != 1 || batch->is_whole || only->level != level ||
        !ipa_eq(ipa_range_end(only->range), range.start) ||
        !(batch->is_revoked || reason == S2_TLB_RELAXED)) {
        return false;
    }
    only->range.size += range.size;
    return true;
}

/* Whether @range has anything to do with what is collected. */
bool s2_tlb_batch_touches(const struct s2_tlb_batch *batch, struct ipa_range range);

/* How far apart the IPAs of TLBIs by address are: a leaf, or a granule where the level is not
 * known. And log2 of it. */
static inline unsigned s2_tlb_step_shift(const struct s2_geometry *geometry,
                                         const struct s2_tlb_range *stretch)
{
    return stretch->level == S2_TLB_LEVEL_ANY ? geometry->granule_shift
                                              : s2_level_shift(geometry, stretch->level);
}

static inline uint64_t s2_tlb_step(const struct s2_geometry *geometry,
                                   const struct s2_tlb_range *stretch)
{
    return MAPPING_BIT(s2_tlb_step_shift(geometry, stretch));
}

/* Whether a stretch goes by ranges (s2_tlbi_next()) and not by address, in a flush that is not
 * local: ranges have no local form here. */
bool s2_tlb_goes_by_range(const struct s2_geometry *geometry, const struct s2_tlb_rules *rules,
                          const struct s2_tlb_range *stretch);

/* How @batch will be sent. Pure. O(S2_TLB_BATCH_RANGES). */
struct s2_tlb_plan s2_tlb_plan(const struct s2_geometry *geometry, const struct s2_tlb_rules *rules,
                               const struct s2_tlb_batch *batch);

TRESTLE_END

#endif
