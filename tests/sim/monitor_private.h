/*
 * monitor_private.h - what the parts of the monitor share.
 *
 *      monitor.c         events in, verdicts out; guests come and go; the end of an operation
 *      monitor_desc.c    what descriptors say
 *      monitor_slot.c    writes to them: tables linked and unlinked, runs
 *      monitor_direct.c  leaves and tables that become each other by one store
 *      monitor_invalidation.c    what the TLBs must lose
 *      monitor_tlbi.c    and how they lose it: TLBIs, barriers
 *      monitor_vmid.c    who is loaded where under which VMID
 *      monitor_device.c  devices: what they are told, and what they must not see
 *      monitor_cpu.c     registers of the CPUs
 *      monitor_memory.c  regions, lines, frames and the pool
 *
 * Times are values of the monitor's clock, which counts events; 0 is never.
 */
#ifndef TRESTLE_TESTS_SIM_MONITOR_PRIVATE_H
#define TRESTLE_TESTS_SIM_MONITOR_PRIVATE_H

#include "tests/sim/monitor.h"

#include <stddef.h>

#define UNIT_SHIFT 12 /* frames are judged in units of the smallest granule */
#define RING_SIZE 16384U
#define REGIONS 16
#define LEVEL_PAGE 3

struct invalidation;
struct guest;
struct table;

/* --- Memory ---------------------------------------------------------------------------------- */

/* An aligned word of a region. */
struct slot {
    uint64_t raw;                      /* what software wrote last */
    uint64_t written_at;               /* by an event */
    struct invalidation *invalidation; /* NULL: clean */
    uint32_t history;                  /* its newest record in the ring; 0: none */
    uint32_t cpu;                      /* that wrote it */
};

struct line {
    uint64_t wrote_at;       /* our side, as data */
    uint64_t cleaned_at;     /* DC CVAC, DC CIVAC */
    uint64_t invalidated_at; /* DC CIVAC */
    size_t cpu;              /* that cleaned it */
};

struct unit {
    struct table *table;  /* that it is part of */
    uint64_t released_at; /* when it last ceased to be one */
    uint64_t wrote_at;    /* our side, as data */
    uint64_t gone_at;     /* when the last guest lost it that might go past the caches */
    uint32_t leaves;      /* entries that lead here, valid or to be invalidated */
};

/* A bank, or a window. */
struct region {
    uint64_t pa;
    uint64_t size;
    uintptr_t base; /* on the host */
    struct slot *slots;
    struct line *lines;
    struct unit *units;
};

/* --- Tables ---------------------------------------------------------------------------------- */

enum table_state { TABLE_LIVE, TABLE_UNLINKED };

struct table {
    struct guest *guest;
    struct table *parent;               /* NULL: the root */
    struct table *child;                /* first of them */
    struct table *next;                 /* sibling */
    struct invalidation *invalidations; /* of its slots */
    struct invalidation *way; /* TABLE_UNLINKED: the invalidation of the slot that led here */
    struct region *region;
    enum table_state state;
    int level;
    uint64_t ipa; /* of its first entry */
    uint64_t pa;
    size_t entries;
    size_t leaves_here; /* entries that lead into regions: others need no accounting */
};

/* Invalidations of everything under one VMID. */
struct sweeps {
    uint64_t s1_done;  /* the newest of stage 1 on all CPUs that is complete: when it was issued */
    uint64_t s12_done; /* the same for both stages */
    uint64_t s1_done_on[SIM_CPUS]; /* and on one CPU at least */
    uint64_t s12_done_on[SIM_CPUS];
};

/* A CPU has, or had, a guest's root in VTTBR_EL2 under a VMID, and its TLB may remember. */
struct stay {
    struct stay *next; /* of the guest */
    size_t cpu;
    unsigned vmid;
    uint64_t since;
    uint64_t until;    /* the ISB that ended it; 0: loaded */
    uint64_t clean_at; /* both stages, newest complete invalidation: when it was issued */
    uint64_t full_at;  /* the newest that was no nXS form */
    uint64_t s1_at;    /* stage 1 at least, while no vCPU ran here */
    uint64_t run_at;   /* monitor_enter(); 0: no vCPU has run */
    uint32_t vcpu;     /* that ran last */
};

/* A leaf that was broken where nothing that stays may be. */
struct torn {
    uint64_t ipa;
    uint64_t size;
    uint64_t pa;
};

struct guest {
    struct guest *next;
    struct monitor_guest given;
    unsigned vmid;
    unsigned shift;  /* of the granule */
    unsigned stride; /* index bits a level */
    unsigned ipa_bits;
    int start_level;
    bool has_ds;
    bool has_ha;
    bool has_hd;
    bool is_leaving;
    uint64_t left_at;
    struct table *root;
    struct invalidation *invalidations;       /* that are not complete, */
    struct invalidation *table_invalidations; /* and those that led to tables */
    uint64_t own_tlbi_at;                     /* last TLBI of its VMID */
    uint64_t address_tlbi_at;                 /* by address or range */
    uint64_t foreign_tlbi_at;                 /* last TLBI that went elsewhere */
    uint64_t s1_issued_at;                    /* last TLBI of stage 1 on all CPUs, */
    uint64_t s12_issued_at;                   /* and of both stages */
    struct sweeps any;                        /* whole invalidations, of every form, */
    struct sweeps full;                       /* and those that waited for slow accesses */
    struct stay *stays;
    struct torn *torn; /* in this operation */
    size_t torn_count;
    size_t torn_capacity;
};

/* --- Invalidations
 * ----------------------------------------------------------------------------------- */

enum invalidation_kind {
    DEBT_RELAXED,   /* in place, and nothing was taken away */
    DEBT_TIGHTENED, /* in place */
    DEBT_LEAF,      /* broken */
    DEBT_TABLE      /* broken; leads to tables */
};

struct extent {
    uint64_t start;
    uint64_t end;
};

/* Parts of an invalidation's span; those that touch are one. */
struct cover {
    struct extent *extents;
    size_t count;
    size_t capacity;
};

struct invalidation {
    struct slot *slot;
    struct table *table;       /* that the slot is in */
    struct table *below;       /* DEBT_TABLE: that it led to */
    struct invalidation *next; /* of the guest; of free ones */
    struct invalidation *
        *link; /* that points here; NULL: absorbed by the invalidation of a table above */
    struct invalidation *older;      /* of the same slot */
    struct invalidation *next_here;  /* of the table */
    struct invalidation **link_here; /* that points here */
    enum invalidation_kind kind;
    uint32_t generation; /* changes with every reuse: lists of CPUs may hold on to it */
    size_t cpu;
    size_t tlbi_cpu;
    int level;
    uint64_t old; /* descriptor */
    uint64_t ipa;
    uint64_t size;
    uint64_t begun_at;
    uint64_t published_at;
    uint64_t covered_at; /* the TLBI that completed the cover */
    uint64_t gone_at;    /* its DSB */
    bool missed_early;   /* TLBIs that would have counted but were too early, */
    bool missed_hint;    /* had another hint, */
    bool missed_local;   /* or were local */
    bool missed_slow;    /* or did not wait for slow accesses */
    bool is_slow;        /* such an access may be on its way */
    bool is_direct;      /* what replaced it is as large, and in place */
    bool had_hint;       /* in place: a TLB may hold a whole run */
    bool is_unheld;      /* by no CPU, when it was published */
    size_t told_cpu;     /* that told the devices, */
    uint64_t told_at;    /* and when all of it was told */
    struct cover sent;   /* DEBT_TABLE: what TLBIs by address have covered */
    struct cover told;   /* what devices were told of */
};

/* An invalidation that a CPU's next barrier moves on, if it is still the same. */
struct invalidation_ref {
    struct invalidation *invalidation;
    uint32_t generation;
    bool is_broadcast; /* takes a DSB ISH, not only NSH */
};

struct invalidation_list {
    struct invalidation_ref *refs;
    size_t count;
    size_t capacity;
};

/* A whole invalidation that awaits its DSB. */
struct whole {
    struct guest *guest; /* NULL: of the stays, under .vmid */
    unsigned vmid;
    uint64_t issued_at;
    bool is_all;  /* VMIDs */
    bool is_both; /* stages */
    bool is_broadcast;
    bool is_nxs;
};

struct cpu {
    uint64_t stored_at;  /* last live descriptor write */
    uint64_t dsb_at;     /* ISH or ISHST */
    uint64_t visible_at; /* the first of them after stored_at */
    uint64_t dsb_ish_at;
    uint64_t isb_at;
    uint64_t written_at; /* VTCR, VTTBR, HCR */
    uint64_t stage1_at;  /* TCR_EL1, SCTLR_EL1 */
    uint64_t vttbr;      /* as last seen */
    uint64_t ic_at;
    bool has_baseline;
    struct sim_cpu baseline; /* the registers that the operation found */
    struct invalidation_list unpublished;
    struct invalidation_list issued;
    struct whole *wholes;
    size_t whole_count;
    size_t whole_capacity;
};

/* --- The monitor ----------------------------------------------------------------------------- */

/* What a guest may do by a leaf. */
enum access { ACCESS_READ = 1, ACCESS_WRITE = 2, ACCESS_EL1 = 4, ACCESS_EL0 = 8, ACCESS_ANY = 16 };

struct record {
    struct sim_event event;
    uint32_t previous; /* of the same slot; 0: none */
};

struct slot_list {
    struct slot **slots;
    size_t count;
    size_t capacity;
};

struct monitor {
    struct monitor_config config;
    struct monitor_verdict verdict;
    uint64_t clock;
    const struct sim_event *event; /* that is judged; NULL: none, an operation ends */
    struct region regions[REGIONS];
    size_t region_count;
    struct guest *guests;
    struct guest *gone; /* have left */
    struct invalidation *free_invalidations;
    struct cpu cpus[SIM_CPUS];
    struct slot_list runs;  /* first members of runs that were touched */
    struct slot_list lines; /* live entries that a walker which is not coherent may miss */
    bool expects_entry;
    bool keeps_unlinked; /* monitor_keep_unlinked() */
    uint32_t ring_head;  /* number of the newest record */
    struct record *ring;
};

/* A descriptor in place: the slot, where it stands, and its table or NULL. */
struct place {
    struct region *region;
    size_t index; /* of the slot in the region */
    struct slot *slot;
    struct unit *unit;
    struct table *table;
};

enum entry_kind { ENTRY_INVALID, ENTRY_LEAF, ENTRY_TABLE };

/* monitor.c */
void monitor_blame(struct monitor *monitor, enum monitor_rule rule, const struct slot *slot,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));
bool monitor_is_silent(const struct monitor *monitor); /* a rule was broken: no more judging */
void *monitor_grow(void *array, size_t count, size_t *capacity, size_t size);
void monitor_note_slot(struct slot_list *list, struct slot *slot);

/* monitor_memory.c */
void monitor_map_banks(struct monitor *monitor);
void monitor_unmap_banks(struct monitor *monitor);
struct region *monitor_region_add(struct monitor *monitor, uint64_t pa, const void *memory,
                                  uint64_t size);
bool monitor_place(struct monitor *monitor, const void *address, struct place *place);
bool monitor_place_pa(struct monitor *monitor, uint64_t pa, struct place *place);
struct place monitor_place_of(struct monitor *monitor, const struct slot *slot);
uint64_t monitor_peek(const struct place *place); /* what memory holds */
struct line *monitor_line(const struct monitor *monitor, const struct place *place);
bool monitor_line_is_clean(const struct monitor *monitor, const struct line *line, uint64_t since);
void monitor_see_clean(struct monitor *monitor, const struct sim_event *event);
/* A leaf @raw of @table becomes visible, or is gone for good. */
void monitor_leaf_shown(struct monitor *monitor, struct table *table, struct slot *slot,
                        uint64_t raw);
void monitor_leaf_gone(struct monitor *monitor, struct table *table, uint64_t raw);
/* The content of @raw's output is fit for the guest to see. */
void monitor_judge_data(struct monitor *monitor, const struct table *table, const struct slot *slot,
                        uint64_t raw);
bool monitor_is_write_back(const struct guest *guest, uint64_t raw); /* whatever stage 1 says */
void monitor_poll_pool(struct monitor *monitor);
bool monitor_is_taken(const struct guest *guest, uint64_t pa, uint64_t size);

/* monitor_slot.c */
void monitor_see_write(struct monitor *monitor, const struct sim_event *event);
void monitor_link_root(struct monitor *monitor, struct guest *guest, uint64_t pa, uint64_t size,
                       size_t entries);
void monitor_link_below(struct monitor *monitor, struct table *parent, struct slot *slot,
                        uint64_t raw, bool is_release);
void monitor_unlink(struct table *table, struct invalidation *way); /* with all below */
void monitor_release(struct monitor *monitor, struct table *table); /* likewise */
void monitor_judge_runs(struct monitor *monitor);
void monitor_judge_run(struct monitor *monitor, struct table *table, struct slot *slot,
                       uint64_t raw);
void monitor_judge_atomic(struct monitor *monitor, const struct table *table,
                          const struct slot *slot, const struct sim_event *event);
bool monitor_is_release(const struct sim_event *event);
size_t monitor_index_of(const struct table *table, const struct slot *slot);

/* monitor_desc.c */
uint64_t monitor_address_bits(const struct guest *guest);
uint64_t monitor_output(const struct guest *guest, uint64_t raw);
uint64_t monitor_span(const struct guest *guest, int level); /* bytes of an entry */
size_t monitor_run_entries(const struct guest *guest, int level);
enum entry_kind monitor_entry_kind(int level, uint64_t raw);
unsigned monitor_accesses(const struct monitor *monitor, const struct guest *guest, uint64_t raw);
bool monitor_can_execute(const struct monitor *monitor, uint64_t raw);
bool monitor_is_cacheable(const struct guest *guest, uint64_t raw);
uint64_t monitor_hardware_bits(const struct guest *guest, uint64_t raw);

/* monitor_direct.c */
/* A leaf became a table, or a table a leaf. */
void monitor_see_direct(struct monitor *monitor, struct table *table, struct slot *slot,
                        const struct sim_event *event);
/* Whether nothing changed but the contiguous hint, and what may change with it. */
bool monitor_is_hint_change(const struct guest *guest, uint64_t old, uint64_t new);
/* What was made at @slot agrees with the larger leaves and runs that TLBs may still hold. */
void monitor_judge_larger(struct monitor *monitor, struct table *table, struct slot *slot,
                          uint64_t raw);

/* monitor_invalidation.c */
struct invalidation *monitor_require(struct monitor *monitor, struct table *table,
                                     struct slot *slot, uint64_t old, enum invalidation_kind kind);
void monitor_settle(struct monitor *monitor, struct invalidation *invalidation);
void monitor_absorb(struct table *table); /* an invalidation above it stands for all in it */
bool monitor_is_complete(const struct monitor *monitor, const struct invalidation *invalidation);
/* The newest of a slot's invalidations that is not complete; NULL: all are. */
const struct invalidation *monitor_incomplete(const struct monitor *monitor,
                                              const struct slot *slot);
enum monitor_rule monitor_invalidation_rule(const struct monitor *monitor,
                                            const struct invalidation *invalidation);
void monitor_settle_all(struct monitor *monitor); /* what is complete */
/* Note [start, end), of an invalidation's span; whether all of it is there now. */
bool monitor_cover(const struct invalidation *invalidation, struct cover *cover, uint64_t start,
                   uint64_t end);

/* monitor_tlbi.c */
void monitor_see_tlbi(struct monitor *monitor, const struct sim_event *event);
void monitor_see_dsb(struct monitor *monitor, const struct sim_event *event);
void monitor_await(struct monitor *monitor,
                   struct invalidation *invalidation); /* the DSB that publishes it */
void monitor_let_go(struct monitor *monitor, struct guest *guest);

/* monitor_vmid.c */
void monitor_poll_vttbr(struct monitor *monitor); /* registers that were written by no event */
void monitor_note_vttbr(struct monitor *monitor, const struct sim_event *event);
void monitor_see_load(struct monitor *monitor, const struct sim_event *event);
void monitor_see_guest(struct monitor *monitor, struct guest *guest); /* one that is new */
void monitor_end_stays(struct monitor *monitor, size_t cpu);          /* an ISB */
void monitor_sweep_stays(struct monitor *monitor, const struct whole *whole, size_t cpu);
bool monitor_is_held(
    const struct invalidation *invalidation); /* some CPU of a managed guest's may hold it */
bool monitor_is_deserted(const struct guest *guest);
void monitor_free_stays(struct guest *guest);

/* monitor_device.c */
bool monitor_is_told(const struct monitor *monitor, const struct invalidation *invalidation);
void monitor_note_torn(struct monitor *monitor, const struct table *table, const struct slot *slot,
                       uint64_t raw);
void monitor_judge_torn(struct monitor *monitor);

/* monitor_cpu.c */
bool monitor_is_tlbi(enum sim_kind kind);
void monitor_see_register(struct monitor *monitor, const struct sim_event *event);
void monitor_note_baseline(struct monitor *monitor, const struct sim_event *event);
void monitor_judge_regime(struct monitor *monitor, const struct sim_event *event);
void monitor_judge_rest(struct monitor *monitor); /* registers, at the end of an operation */
struct guest *monitor_current(struct monitor *monitor, const struct sim_event *event);
struct mmu monitor_mmu(const struct monitor *monitor, uint64_t vtcr, uint64_t vttbr, uint64_t hcr);

#endif
