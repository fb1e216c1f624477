/*
 * table.h - one guest's stage-2 translation tables.
 *
 * An operation flows: check arguments -> hold frames -> build dark -> break -> invalidate -> make
 * -> give frames back. After its first live store nothing can fail; before it nothing has changed.
 *
 * Every operation may stand alone, or inside one opened by s2_table_begin(), which is how several
 * pieces become one: first every piece is held, then every piece is done, then s2_table_end()
 * flushes the TLBs once and gives back what was not needed.
 *
 *      begin    hold P1  hold P2 ...     do P1  do P2 ...     end
 *               may refuse: end, and     cannot fail          one flush, frames back to the pool
 *               nothing has changed
 *
 * Frames that an open operation unlinks stay its own until it ends: so what was held before bounds
 * what is needed, even where one piece removes a table that a later one needs again.
 *
 * The count of a table's frame (frame_pool_count()) is the number of its entries that are not
 * none. A table below the root with count 0 is unlinked by the operation that emptied it.
 *
 * Context of all: the caller serialises calls on one table (a space does it with its lock) and
 * masks interrupts; vCPUs may run, hardware may walk at any time. Tables may share a pool.
 * Stack: at most 2 KiB; no recursion.
 */
#ifndef TRESTLE_STAGE2_TABLE_TABLE_H
#define TRESTLE_STAGE2_TABLE_TABLE_H

#include "core/addr.h"
#include "core/err.h"
#include "core/frame_pool.h"
#include "stage2/arch/desc.h"
#include "stage2/arch/features.h"
#include "stage2/arch/flags.h"
#include "stage2/arch/geometry.h"
#include "stage2/arch/memory.h"
#include "stage2/table/edit.h"
#include "stage2/table/pieces.h"
#include "stage2/tlb/tlb_batch.h"
#include "stage2/tlb/vmid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An operation that is open on a table. Private. */
struct s2_operation {
    unsigned depth;            /* begins without their end */
    struct frame_reserve held; /* frames promised to it, and those it unlinked and flushed */
    struct frame_list quarantine[S2_LEVEL_COUNT]; /* unlinked, and not yet invalidated; by level */
    struct s2_tlb_batch invalidations;            /* of what was broken or tightened */
    struct s2_pending pending[S2_PENDING_MAX];    /* what was broken and is to be made */
    struct s2_reclaim reclaims[S2_RECLAIM_MAX];
    uint8_t pending_count;
    uint8_t reclaim_count;
    bool is_stored;           /* live stores are not yet followed by a DSB */
    struct s2_reclaim shown;  /* counted for a map that is held, and not yet done; size 0: none */
    pa_t taken, taken_end;    /* where unmapped pieces led that may still be reached, from
                            * lowest to highest; equal: none */
    struct s2_pieces pieces;  /* held, and still to be done */
    struct ipa_range removed; /* whose state was taken out, and is told to the sink when that of */
    unsigned removed_state;   /* something else is, or at the end; 0: nothing is to be told */
};

/* Fields are private. The object does not move once initialised. */
struct s2_table {
    struct s2_geometry geometry;
    struct s2_format format;
    struct frame_pool *pool;
    struct frame_guard *guard; /* or NULL */
    s2_desc_t *root;
    pa_t root_pa;
    ipa_t end;             /* of the input size */
    size_t table_count;    /* below the root */
    uint64_t fast_bias;    /* pointer - PA of every table, if fast_granule is not 0 */
    unsigned fast_granule; /* the granule's shift; 0: s2_table_translate() goes the general way */
    unsigned vmid_bits;
    struct s2_vmid vmid;                     /* the allocator's */
    struct s2_vmid_allocator *_Atomic vmids; /* NULL: none */
    struct s2_tlb_counters counters;
    struct s2_notifier notifier;
    struct s2_sink sink;
    struct s2_memory memory; /* how guests' memory is reached, to clean it */
    struct s2_operation operation;
    unsigned table_order; /* of a table's frames */
    unsigned fini_next;   /* s2_table_fini_step(): the root's entries before it are unlinked; */
    bool is_forgotten;    /* and no TLB holds anything */
    _Atomic bool
        has_slow_memory; /* it has mapped what may have XS = 1: read without the lock, too */
    bool cleans_tables;  /* the walker is not coherent */
    bool has_dic;
    bool is_common;         /* VTTBR_EL2.CnP */
    bool is_direct;         /* sizes change by one store */
    bool refuses_transient; /* nothing that stays may be invalid for a moment */
    struct s2_tlb_rules rules;
    uint16_t given_vmid; /* by s2_table_set_vmid(), as long as no allocator gives one */
};

/**
 * s2_table_init() - An empty table: every IPA faults.
 * @config:  read, not kept; s2_config_reason() tells why one is refused.
 * @pool:    kept. Frames no larger than the granule, with memory, all inside the output size.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM: a number no CPU takes, no pool or one that cannot serve;
 *           MAPPING_UNSUPPORTED: not on this CPU; MAPPING_NO_FRAME: no room for the root.
 * Owns:     the root's frames, until s2_table_fini(). VMID 0 until s2_table_set_vmid().
 * Order:    the root is published on return.
 */
MAPPING_MUST_USE enum mapping_error
s2_table_init(struct s2_table *table, const struct s2_config *config, struct frame_pool *pool);

/* Why s2_table_init() would answer anything but MAPPING_OK for @config: a sentence with static
 * lifetime; NULL if only the pool could be in the way. And with the pool: NULL if only room for the
 * root could be missing. */
const char *s2_config_reason(const struct s2_config *config);
const char *s2_table_init_reason(const struct s2_config *config, const struct frame_pool *pool);

/**
 * s2_table_set_vmid() - Which VMID this guest runs under, and invalidations go to.
 * @vmid:    below 2^VMIDBits; not in use by another live table; 0 is best kept for nobody.
 * Order:    nothing is invalidated: the VMID's entries are gone (a new one, or after fini).
 * Context:  the guest is not running.
 */
void s2_table_set_vmid(struct s2_table *table, uint16_t vmid);

/**
 * s2_table_set_vmids() - The VMID comes from @vmids, at the first s2_enter() and after each of its
 *                        generations. Implied by the first s2_enter().
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM: @vmids gives numbers that are too wide for the table, or
 *           none (it was never begun), or is another than before; MAPPING_BAD_STATE: the table is
 *           finished, or about to be.
 * Order:    until the first s2_enter() nothing is cached of it, and no change sends a closing sequence.
 * Context:  the table has not been entered by hand.
 */
MAPPING_MUST_USE enum mapping_error s2_table_set_vmids(struct s2_table *table,
                                                       struct s2_vmid_allocator *vmids);

/* How memory outside the pool is reached, to clean it; NULL: it is not. Kept. */
void s2_table_set_memory(struct s2_table *table, const struct s2_memory_ops *ops);

/* Whether @range is one that the verbs take: granule-aligned, not empty, inside the input size. */
bool s2_table_is_range(const struct s2_table *table, struct ipa_range range);

/* Whether @size bytes from @pa on can be an output: granule-aligned, inside the output size. */
bool s2_table_is_output(const struct s2_table *table, pa_t pa, uint64_t size);

/* Whether a leaf with @flags can be made here: MAPPING_OK, or what s2_table_map() would answer. */
MAPPING_MUST_USE enum mapping_error s2_table_check_flags(const struct s2_table *table,
                                                         mapping_flags_t flags);

/* Whether a guest may be shown [@pa, @pa + @size): no part of it is a frame of the tables' pool, or of
 * one that is guarded (s2_config.guard), that is free, held or a translation table, this guest's or
 * another's, or forbidden. A table does not count what it shows: its space does. */
bool s2_table_is_data(const struct s2_table *table, pa_t pa, uint64_t size);

/* Whether a guest that is given memory with @flags may go past the caches to it, so that it has to
 * be cleaned: no device, and stage 2 does not force write-back. */
bool s2_table_needs_clean(const struct s2_table *table, mapping_flags_t flags);

/**
 * s2_table_map() - Map @range to equally much memory at @pa, or change nothing.
 * @range:   IPA, granule-aligned, not empty, inside the input size; no part of it mapped.
 * @pa:      first output byte, granule-aligned; all of it inside the output size.
 * @flags:   stage2/arch/flags.h.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM; MAPPING_ALREADY_EXISTS; MAPPING_NO_FRAME;
 *           MAPPING_UNSUPPORTED: such a leaf does not exist here; MAPPING_DENIED: Device memory
 *           with execution, or memory that the pool of the tables has not handed out as data.
 * On error: descriptors, counters and pool unchanged.
 * Owns:     takes frames for tables only; @pa stays the caller's.
 * Order:    tables are filled before they are linked; no TLBI, as invalid entries are not cached.
 *           Instruction caches are invalidated first if executable, unless CTR_EL0.DIC. Data
 *           cleaning is the backend's (stage2/space/backend.h). Visible on return.
 * Cost:     O(leaves + tables) stores, the largest leaf that fits each; counting before: O(tables
 *           that exist in @range).
 * Source:   Arm ARM DDI 0487, D8.14 "TLB maintenance", "ordering of translation table updates".
 */
MAPPING_MUST_USE enum mapping_error s2_table_map(struct s2_table *table, struct ipa_range range,
                                                 pa_t pa, mapping_flags_t flags);

/**
 * s2_table_unmap() - Remove every mapping from @range; holes are fine.
 * @range:   as for s2_table_map(). A block that sticks out is split exactly, its attributes kept.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM; MAPPING_NO_FRAME: a split needs tables;
 *           MAPPING_DENIED: transients are refused, and a split goes by break-before-make.
 * On error: as s2_table_map().
 * Order:    splits go by break-before-make, what they keep faults for a moment: vCPUs that fault
 *           there find a broken descriptor and retry. With S2_SIZE_CHANGE_DIRECT they go by one
 *           store, and nothing faults. On return no TLB holds anything of @range,
 *           and the frames of emptied tables are back in the pool; the data frames may be reused.
 * Cost:     O(entries of the tables that @range covers partly) + O(non-leaf entries of tables that
 *           it covers whole): their leaves are never visited.
 */
MAPPING_MUST_USE enum mapping_error s2_table_unmap(struct s2_table *table, struct ipa_range range);

/**
 * s2_table_protect() - Give all mappings in @range the attributes of @flags; holes are fine.
 * @flags:   all attributes, not only permissions; S2_BUILD_FLAGS are ignored.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM; MAPPING_NO_FRAME: a split needs tables;
 *           MAPPING_UNSUPPORTED, MAPPING_DENIED: as s2_table_map(), or transients are refused, and
 *           something that is mapped goes by break-before-make.
 * On error: as s2_table_map().
 * Order:    permissions, AF, DBM and software bits change in place; a block or run that sticks
 *           out, a run that is changed, or a changed type or shareability goes by
 *           break-before-make, one flush for all; with S2_SIZE_CHANGE_DIRECT what sticks out is split,
 *           and a run is opened, by single stores. On return no TLB of any CPU holds the old
 *           attributes; where nothing was taken away, and S2_RELAX_HERE, this CPU's.
 * Cost:     O(entries in @range).
 */
MAPPING_MUST_USE enum mapping_error s2_table_protect(struct s2_table *table, struct ipa_range range,
                                                     mapping_flags_t flags);

/**
 * s2_table_replace() - Put other memory under all of @range, attributes kept.
 * @range:   as for s2_table_map(); every byte of it mapped.
 * @pa:      as for s2_table_map(). Where a leaf's new output is not aligned to its size, smaller
 *           ones take its place.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM; MAPPING_NOT_FOUND: a hole in @range;
 *           MAPPING_NO_FRAME; MAPPING_DENIED: as s2_table_map(), or transients are refused: all of
 *           @range is invalid for a moment.
 * On error: as s2_table_map().
 * Order:    break-before-make, once for all of @range. On return no CPU reaches the old memory,
 *           which may be reused; what it held is the caller's to copy, and to clean.
 * Cost:     O(leaves in @range).
 */
MAPPING_MUST_USE enum mapping_error s2_table_replace(struct s2_table *table, struct ipa_range range,
                                                     pa_t pa);

/**
 * s2_table_fold() - Turn tables in @range whose entries are one uniform stretch into blocks, and
 *                   uniform runs into contiguous ones.
 * @range:   as for s2_table_map(); tables and runs that stick out of it stay.
 * Returns:  MAPPING_OK, also if there was nothing to fold; MAPPING_INVALID_PARAM; MAPPING_DENIED:
 *           transients are refused, and something would be folded by break-before-make.
 * Order:    break-before-make, one flush a level; or directly, one flush for all. Frames are back in
 *           the pool on return.
 * Cost:     O(entries in @range). AF and dirty state of the entries are merged by OR.
 */
MAPPING_MUST_USE enum mapping_error s2_table_fold(struct s2_table *table, struct ipa_range range);

/* The same within the S2_BUILD_FLAGS of @flags: no block above the cap, no runs if they say so. */
MAPPING_MUST_USE enum mapping_error
s2_table_fold_within(struct s2_table *table, struct ipa_range range, mapping_flags_t flags);

/* Whether that would not be MAPPING_DENIED: nothing that stays mapped would be invalid for a moment,
 * or it may be. @range, @flags: as there. Changes nothing. O(entries in @range). */
MAPPING_MUST_USE bool s2_table_may_fold(const struct s2_table *table, struct ipa_range range,
                                        mapping_flags_t flags);

/* A change to ask about. */
enum s2_verb { S2_VERB_MAP, S2_VERB_UNMAP, S2_VERB_PROTECT, S2_VERB_REPLACE };

struct s2_request {
    enum s2_verb verb;
    struct ipa_range range;
    pa_t pa;               /* map, replace */
    mapping_flags_t flags; /* map, protect */
};

/**
 * s2_table_frames_needed() - Exactly how many frames of the pool @request would take, now.
 * @frames:  written on MAPPING_OK only; what the operation takes at its height, tables that it
 *           empties not yet given back.
 * Returns:  what the verb would answer to these arguments, MAPPING_NO_FRAME aside.
 * Cost:     as the verb's checks; changes nothing.
 */
MAPPING_MUST_USE enum mapping_error s2_table_frames_needed(const struct s2_table *table,
                                                           const struct s2_request *request,
                                                           size_t *frames);

/* A leaf as s2_table_lookup() finds it. */
struct s2_leaf {
    pa_t pa;               /* of the address asked */
    uint64_t size;         /* bytes of the leaf; of a hole: of the aligned stretch around the
                            * address that one empty entry spans */
    int level;             /* of the leaf, or of the empty entry */
    uint64_t run;          /* bytes of the contiguous run that it is in; size: of none */
    mapping_flags_t flags; /* as mapped, less S2_BUILD_FLAGS; AF and dirty state of all the run */
};

/**
 * s2_table_lookup() - What @addr translates to.
 * Returns:  MAPPING_OK; MAPPING_NOT_FOUND: a hole, whose leaf.size and leaf.level are filled, the
 *           one exception to "written only on MAPPING_OK"; MAPPING_INVALID_PARAM: beyond the input
 *           size; MAPPING_BAD_STATE: between break and make, ask again.
 * Cost:     O(levels).
 */
MAPPING_MUST_USE enum mapping_error s2_table_lookup(const struct s2_table *table, ipa_t addr,
                                                    struct s2_leaf *leaf);

/* The fast path: false, and *pa as before, for what s2_table_lookup() does not answer MAPPING_OK.
 * O(levels). */
MAPPING_MUST_USE bool s2_table_translate(const struct s2_table *table, ipa_t addr, pa_t *pa);

/**
 * s2_table_dump() - Say what is mapped in @range, a line for each run of equal leaves.
 * @range:   as for s2_table_map().
 * @line:    called once a line, ascending; the text lives until it returns, without a newline.
 *
 * The format is stable; words are separated by one space:
 *
 *      0x0000000040000000 0x000000007fffffff 0x0000000140000000 L2 512x2M rwxu normal contiguous
 *      first and last IPA                    first PA           level, leaves x size
 *
 * permissions: read, write, execute at EL1 (x), at EL0 (u), each "-" if not; memory type: normal,
 * nc, nGnRnE, nGnRE, nGRE, GRE, stage1, wt; then what differs from the usual, in this order:
 * contiguous, outer or nonshareable, noaf, dbm, soft0, soft1; "broken" if between break and make.
 * Leaves that begin before @range or end after it are told whole.
 *
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM: then @line was not called.
 * Cost:     O(entries in @range); no allocation; stack <= 512 bytes without @line's.
 */
typedef void (*s2_dump_fn)(void *arg, const char *line);
MAPPING_MUST_USE enum mapping_error
s2_table_dump(const struct s2_table *table, struct ipa_range range, s2_dump_fn line, void *arg);

/**
 * s2_table_recover_conflict() - After a TLB conflict abort that came to EL2 (FSC 0b110000): this CPU
 * holds nothing of the VMID any more, and the guest may try again.
 * s2_table_refresh() - After a permission or translation fault at @addr that the tables do not
 * explain: this CPU holds nothing of that page any more. @addr: any; beyond the input size nothing is
 * held, and nothing is sent.
 * Order:    of a table that has come to its end nobody holds anything: then nothing is sent, and its
 *           root, which is the pool's again, is not loaded.
 * Context:  the guest is current on this CPU. The table is not locked: other calls on it may be under
 *           way, s2_table_fini() aside.
 */
void s2_table_recover_conflict(struct s2_table *table);
void s2_table_refresh(struct s2_table *table, ipa_t addr);

/* What was sent to the TLBs for this table since it was made, and what was saved: as it is now, while
 * any call may be under way. Each number is read whole; together they may be of different moments. */
struct s2_tlb_counters s2_table_tlb_snapshot(const struct s2_table *table);

/* The same where it is counted: for one who knows that no call on the table is under way. */
const struct s2_tlb_counters *s2_table_tlb_counters(const struct s2_table *table);

/* Ready to write. HCR_EL2: the bits that this table relies on, VM and FWB. VTTBR_EL2: where VMIDs
 * come from an allocator, with S2_VMID_NOBODY while the table has none: s2_enter() is what enters
 * it. */
uint64_t s2_table_vtcr(const struct s2_table *table);
uint64_t s2_table_vttbr(const struct s2_table *table);
uint64_t s2_table_hcr(const struct s2_table *table);

/* Frames of all its tables, root included, in frames of the pool. */
size_t s2_table_frame_count(const struct s2_table *table);

static inline const struct s2_geometry *s2_table_geometry(const struct s2_table *table)
{
    return &table->geometry;
}

/**
 * s2_table_check() - Whether the tables are as this library makes them.
 * Proves: every descriptor is legal, at its level, inside the output size, and none is broken;
 * every table frame is taken from the pool, no table below the root is empty; counts agree; no
 * operation is open. While tables wait for a batch's flush, only that more are counted than linked.
 * Cost: O(entries). Context: at rest, or with the space locked.
 */
bool s2_table_check(const struct s2_table *table);

/* --- Several pieces as one operation: for backends ------------------------------------------- */

/* Context: no piece is held that is still to be done. */
void s2_table_begin(struct s2_table *table);

/**
 * s2_table_hold_map() - Check one piece of the open operation and hold what it will need.
 * s2_table_hold_unmap()
 * s2_table_hold_protect()
 * s2_table_hold_replace()
 * Returns:  what the operation of that name would, had the pieces held before been done; on an
 *           error the caller ends the operation without doing any piece. MAPPING_ALREADY_EXISTS: also
 *           any piece over one that a held map will fill. MAPPING_NOT_FOUND: also a replace of what
 *           a held unmap clears. MAPPING_DENIED: also a map where another piece unmaps something, if
 *           transients are refused: what is mapped before and after would be invalid between.
 *           MAPPING_UNSUPPORTED: also more than S2_STRETCHES_MAX maps that do not touch.
 * Order:    pieces are held in the order in which they will be done, all before the first is; when
 *           all are done, others may be held.
 */
MAPPING_MUST_USE enum mapping_error
s2_table_hold_map(struct s2_table *table, struct ipa_range range, pa_t pa, mapping_flags_t flags);
MAPPING_MUST_USE enum mapping_error s2_table_hold_unmap(struct s2_table *table,
                                                        struct ipa_range range);
MAPPING_MUST_USE enum mapping_error
s2_table_hold_protect(struct s2_table *table, struct ipa_range range, mapping_flags_t flags);

MAPPING_MUST_USE enum mapping_error s2_table_hold_replace(struct s2_table *table,
                                                          struct ipa_range range, pa_t pa);

/* Do what was held, in that order: cannot fail. To do what was not held, or to hold when some is done
 * and some is not, is the caller's bug and asserts. */
void s2_table_do_map(struct s2_table *table, struct ipa_range range, pa_t pa,
                     mapping_flags_t flags);
void s2_table_do_unmap(struct s2_table *table, struct ipa_range range);
void s2_table_do_protect(struct s2_table *table, struct ipa_range range, mapping_flags_t flags);
void s2_table_do_replace(struct s2_table *table, struct ipa_range range, pa_t pa);

/* Once no CPU can reach @size bytes from @pa on, do @what with it (S2_RECLAIM_...): after the
 * flush of this operation, or of a later one if it is deferred. */
void s2_table_reclaim(struct s2_table *table, pa_t pa, uint64_t size, unsigned what);

/* Invalidate what was collected so far, then make what was broken: on return no TLB holds anything that the open
 * operation has removed, and what stays is mapped. */
void s2_table_flush(struct s2_table *table);

/* Close the operation: flush, publish, give back frames. */
void s2_table_end(struct s2_table *table);

/* The same, but let what was removed or tightened wait for whoever flushes next; unless something
 * that stays was broken, or more than @frames tables would wait.
 * Returns: whether something waits. */
bool s2_table_end_deferred(struct s2_table *table, size_t frames);

/* Whether something does. */
bool s2_table_has_deferred(const struct s2_table *table);

#endif
