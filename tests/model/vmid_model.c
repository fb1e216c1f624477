#include "tests/model/vmid_model.h"

#include "core/lock.h"
#include "stage2/arch.h"
#include "stage2/regime.h"
#include "stage2/table.h"

#include <stdatomic.h>
#include <string.h>

/* --- The machine ------------------------------------------------------------------------------ */

#define NUMBERS 9 /* and S2_VMID_NOBODY among them */
#define NONE UINT8_MAX
#define ROOT UINT64_C(0x40000000)
#define ROOT_STEP UINT64_C(0x10000)
#define VTTBR_ROOT FIELD(47, 0)
#define VTTBR_NUMBER FIELD(63, 48)

/* An entry of a TLB: what it may hold of one guest under one number. */
#define HAS_STAGE2 BIT(0) /* as the tables are */
#define HAS_STALE BIT(1)  /* as they were */
#define HAS_VCPU(vcpu) ((entry_t)BIT(2 + (vcpu)))

typedef uint8_t entry_t;

struct tlb {
    entry_t entries[NUMBERS][VMID_MODEL_GUESTS];
};

struct machine_cpu {
    uint64_t vtcr;
    uint64_t vttbr;
    uint64_t vttbr_before; /* equal, after the ISB */
    uint64_t history;      /* of what the op under way has read */
    uint8_t guest, vcpu;   /* that it is in; NONE */
    uint8_t el1;           /* vCPU whose stage 1 is walked; NONE */
    bool is_waiting;       /* for the lock */
    struct tlb tlb;
    /* What a TLBI of this CPU's has met, and the DSB will see gone, on every CPU. */
    struct tlb doomed[VMID_MODEL_CPUS];
};

/* All that changes; tables are no more than their roots and tags. */
struct world {
    struct s2_vmid_allocator vmids;
    struct s2_cpu cpus[VMID_MODEL_CPUS];
    struct machine_cpu machine[VMID_MODEL_CPUS];
    bool is_gone[VMID_MODEL_GUESTS]; /* its root leads to nothing */
    size_t cpu_count;
    uint8_t owner; /* CPU that holds the lock; NONE */
};

struct saved_world {
    struct world world;
    struct s2_vmid tags[VMID_MODEL_GUESTS];
};

static struct world world;
static struct s2_table tables[VMID_MODEL_GUESTS];
static s2_desc_t nothing; /* behind every root: nobody looks */

static size_t current;
static void (*point_hook)(void);
static const char *wrong;

static struct machine_cpu *here(void)
{
    return &world.machine[current];
}

static void expect(bool is_so, const char *what)
{
    if (!is_so && wrong == NULL) {
        wrong = what;
    }
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static void remember(uint64_t value)
{
    here()->history = mix(here()->history, value);
}

static size_t number_in(uint64_t vttbr)
{
    return (size_t)FIELD_GET(VTTBR_NUMBER, vttbr);
}

static size_t guest_in(uint64_t vttbr)
{
    return (size_t)((FIELD_GET(VTTBR_ROOT, vttbr) - ROOT) / ROOT_STEP);
}

/* The CPU walks by @vttbr: what comes in so is not met by a TLBI that was sent before. */
static void fill_by(size_t cpu, uint64_t vttbr)
{
    const struct machine_cpu *filling = &world.machine[cpu];
    entry_t filled = HAS_STAGE2;
    entry_t *entry;

    if (vttbr == 0 || world.is_gone[guest_in(vttbr)]) {
        return;
    }
    /* Nobody lets the vCPU of one guest run on the tables of another. */
    if (filling->el1 != NONE && filling->guest == guest_in(vttbr)) {
        filled |= HAS_VCPU(filling->el1);
    }
    entry = &world.machine[cpu].tlb.entries[number_in(vttbr)][guest_in(vttbr)];
    *entry |= filled;
    for (size_t i = 0; i < world.cpu_count; i++) {
        world.machine[i].doomed[cpu].entries[number_in(vttbr)][guest_in(vttbr)] &= (entry_t)~filled;
    }
}

static void expect_alone(size_t cpu, uint64_t vttbr)
{
    for (size_t guest = 0; vttbr != 0 && guest < VMID_MODEL_GUESTS; guest++) {
        expect(guest == guest_in(vttbr) ||
                   world.machine[cpu].tlb.entries[number_in(vttbr)][guest] == 0,
               "a CPU is in a guest under a number that its TLB holds another's entries of");
    }
}

static void fill_all(void)
{
    for (size_t cpu = 0; cpu < world.cpu_count; cpu++) {
        fill_by(cpu, world.machine[cpu].vttbr);
        fill_by(cpu, world.machine[cpu].vttbr_before);
        expect_alone(cpu, world.machine[cpu].vttbr);
        expect_alone(cpu, world.machine[cpu].vttbr_before);
    }
}

/* Others may go on before the step that follows. */
static void point(void)
{
    fill_all();
    here()->history = mix(here()->history, 1); /* one point further */
    if (point_hook != NULL) {
        point_hook();
    }
}

static void begin_tlbi(size_t cpu, size_t first, size_t last)
{
    struct machine_cpu *sender = here();

    for (size_t number = first; number <= last; number++) {
        for (size_t guest = 0; guest < VMID_MODEL_GUESTS; guest++) {
            sender->doomed[cpu].entries[number][guest] =
                world.machine[cpu].tlb.entries[number][guest];
        }
    }
}

static void begin_tlbi_everywhere(size_t first, size_t last)
{
    point();
    for (size_t cpu = 0; cpu < world.cpu_count; cpu++) {
        begin_tlbi(cpu, first, last);
    }
}

static void complete_on(size_t cpu)
{
    entry_t *held = &world.machine[cpu].tlb.entries[0][0];
    entry_t *doomed = &here()->doomed[cpu].entries[0][0];

    for (size_t i = 0; i < sizeof(struct tlb) / sizeof(entry_t); i++) {
        held[i] &= (entry_t)~doomed[i];
        doomed[i] = 0;
    }
}

/* --- The primitives --------------------------------------------------------------------------- */

static void model_dsb_ish(void)
{
    point();
    for (size_t cpu = 0; cpu < world.cpu_count; cpu++) {
        complete_on(cpu);
    }
}

static void model_dsb_nsh(void)
{
    point();
    complete_on(current);
}

static void model_isb(void)
{
    point();
    here()->vttbr_before = here()->vttbr;
}

static void model_write_vttbr(uint64_t value)
{
    point();
    here()->vttbr = value;
    here()->el1 = NONE; /* the caller's part: it is loaded after s2_enter() */
}

static void model_tlbi_vmalle1(void)
{
    struct machine_cpu *sender = here();
    const size_t number = number_in(sender->vttbr);

    point();
    sender->el1 = NONE;
    for (size_t guest = 0; guest < VMID_MODEL_GUESTS; guest++) {
        sender->doomed[current].entries[number][guest] =
            sender->tlb.entries[number][guest] & (entry_t) ~(HAS_STAGE2 | HAS_STALE);
    }
}

/* What a look from outside finds. */
static uint64_t peek(const _Atomic uint64_t *object)
{
    return atomic_load(object);
}

static uint64_t model_load(const _Atomic uint64_t *object)
{
    uint64_t value;

    /* What changes under the lock alone does not change now. */
    if (world.owner != current || (uintptr_t)object - (uintptr_t)world.cpus < sizeof(world.cpus)) {
        point();
    }
    value = peek(object);
    remember(value);
    return value;
}

static void model_store(_Atomic uint64_t *object, uint64_t value)
{
    point();
    atomic_store(object, value);
}

static uint64_t model_exchange(_Atomic uint64_t *object, uint64_t value)
{
    point();
    value = atomic_exchange(object, value);
    remember(value);
    return value;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the exchange writes it */
static bool model_replace(_Atomic uint64_t *object, uint64_t *expected, uint64_t value)
{
    bool is_done;

    point();
    is_done = atomic_compare_exchange_strong(object, expected, value);
    remember(*expected);
    remember(is_done);
    return is_done;
}

static uint64_t hash_shared(uint64_t hash);

static void model_lock(struct lock *lock)
{
    here()->is_waiting = true;
    point();
    here()->is_waiting = false;
    world.owner = (uint8_t)current;
    lock_acquire(lock);
    here()->history = hash_shared(here()->history); /* all of it may be read now */
}

static void model_unlock(struct lock *lock)
{
    point();
    world.owner = NONE;
    lock_release(lock);
}

/* --- The library, on these primitives --------------------------------------------------------- */

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_strong_explicit
#define atomic_load_explicit(object, order) model_load(object)
#define atomic_store_explicit(object, value, order) model_store(object, value)
#define atomic_exchange_explicit(object, value, order) model_exchange(object, value)
#define atomic_compare_exchange_strong_explicit(object, expected, value, success, failure) \
    model_replace(object, expected, value)
#define lock_acquire(lock) model_lock(lock)
#define lock_release(lock) model_unlock(lock)

#define arch_dsb_ish() model_dsb_ish()
#define arch_dsb_nsh() model_dsb_nsh()
#define arch_isb() model_isb()
#define arch_tlbi_alle1is() begin_tlbi_everywhere(0, NUMBERS - 1)
#define arch_tlbi_vmalle1() model_tlbi_vmalle1()
#define arch_read_vtcr() (here()->vtcr)
#define arch_write_vtcr(value) (here()->vtcr = (value))
#define arch_read_vttbr() (here()->vttbr)
#define arch_write_vttbr(value) model_write_vttbr(value)

/* So few slots that numbers share them. */
#undef S2_CPU_GUESTS
#define S2_CPU_GUESTS 2

#define s2_vmid_init model_vmid_init
#define s2_vmid_limit model_vmid_limit
#define s2_cpu_init model_cpu_init
#define s2_cpu_fini model_cpu_fini
#define s2_vmid_take model_vmid_take
#define s2_vmid_settle model_vmid_settle
#define s2_vmid_release model_vmid_release
#define s2_vmid_pin model_vmid_pin
#define s2_vmid_unpin model_vmid_unpin
#define s2_vmid_number model_vmid_number
#define s2_vmid_last_number model_vmid_last_number
#define s2_vmid_is_held model_vmid_is_held
#define s2_vmid_changes_vcpu model_vmid_changes_vcpu
#define s2_vmid_repeat model_vmid_repeat
#define s2_enter model_enter
#define s2_leave model_leave

/* The headers are in already, by their own names. */
void s2_vmid_init(struct s2_vmid_allocator *vmids, unsigned bits);
enum mapping_error s2_vmid_limit(struct s2_vmid_allocator *vmids, uint16_t last);
enum mapping_error s2_cpu_init(struct s2_cpu *cpu, struct s2_vmid_allocator *vmids);
void s2_cpu_fini(struct s2_cpu *cpu);
uint16_t s2_vmid_take(struct s2_vmid_allocator *vmids, struct s2_vmid *vmid, struct s2_cpu *cpu);
void s2_vmid_settle(struct s2_cpu *cpu);
void s2_vmid_release(struct s2_cpu *cpu);
bool s2_vmid_pin(struct s2_vmid_allocator *vmids, struct s2_vmid *vmid, uint16_t *number);
void s2_vmid_unpin(struct s2_vmid_allocator *vmids);
void s2_vmid_repeat(struct s2_vmid_allocator *vmids);
uint16_t s2_vmid_number(const struct s2_vmid_allocator *vmids, const struct s2_vmid *vmid);
uint16_t s2_vmid_last_number(const struct s2_vmid *vmid);
bool s2_vmid_is_held(struct s2_vmid_allocator *vmids, const struct s2_vmid *vmid);
bool s2_vmid_changes_vcpu(struct s2_cpu *cpu, const struct s2_vmid *vmid, uint32_t vcpu_id);

#include "stage2/enter.c" /* NOLINT(bugprone-suspicious-include) */
#include "stage2/vmid.c"  /* NOLINT(bugprone-suspicious-include) */

/* --- The verbs -------------------------------------------------------------------------------- */

static void do_enter(struct vmid_op op)
{
    struct machine_cpu *cpu = here();
    const struct tlb *tlb = &cpu->tlb;

    expect(s2_enter(&tables[op.guest], &world.vmids, &world.cpus[current], op.vcpu) == MAPPING_OK,
           "a guest is refused");
    for (size_t number = 0; number < NUMBERS; number++) {
        const entry_t seen = tlb->entries[number][op.guest];

        expect(number != number_in(cpu->vttbr) || (seen >> 2 & ~(HAS_VCPU(op.vcpu) >> 2)) == 0,
               "a vCPU is entered where stage 1 of another is in the TLB");
    }
    expect(guest_in(cpu->vttbr) == op.guest && number_in(cpu->vttbr) != S2_VMID_NOBODY,
           "another guest is entered than was asked for");
    cpu->guest = op.guest;
    cpu->vcpu = op.vcpu;
    cpu->el1 = op.vcpu;
}

static void do_leave(void)
{
    s2_leave(&world.cpus[current]);
    here()->guest = NONE;
    here()->vcpu = NONE;
}

/* All that the number in VTTBR_EL2 tags, on all CPUs. */
static void flush_current(void)
{
    const size_t number = number_in(here()->vttbr);

    begin_tlbi_everywhere(number, number);
    model_dsb_ish();
}

/* As stage2/tail.c does it. */
static void pay_tail(size_t guest)
{
    struct s2_table *table = &tables[guest];
    const uint64_t before = here()->vttbr;
    const uint8_t el1 = here()->el1;
    uint16_t number = S2_VMID_NOBODY;

    model_dsb_ish();
    if (before != 0 && guest_in(before) == guest) {
        flush_current();
        return;
    }
    if (!s2_vmid_pin(&world.vmids, &table->vmid, &number)) {
        return;
    }
    model_write_vttbr(vttbr_of(table, number));
    model_isb();
    flush_current();
    model_write_vttbr(before);
    model_isb();
    s2_vmid_unpin(&world.vmids);
    here()->el1 = el1;
}

/* Of what the tables were, if a guest lives on; of anything, if it does not. */
static void expect_gone(size_t guest, entry_t what, const char *complaint)
{
    for (size_t cpu = 0; cpu < world.cpu_count; cpu++) {
        for (size_t number = 0; number < NUMBERS; number++) {
            expect((world.machine[cpu].tlb.entries[number][guest] & what) == 0, complaint);
        }
    }
}

/* The tables have changed: what @cpu holds of them is old from now on. If all of it is on its way out
 * already, that is, too. */
static void make_stale(size_t cpu, size_t number, size_t guest)
{
    entry_t *entry = &world.machine[cpu].tlb.entries[number][guest];
    const entry_t before = *entry;

    if (before == 0) {
        return;
    }
    *entry |= HAS_STALE;
    for (size_t i = 0; i < world.cpu_count; i++) {
        entry_t *doomed = &world.machine[i].doomed[cpu].entries[number][guest];

        if ((before & ~*doomed) == 0) {
            *doomed |= HAS_STALE;
        }
    }
}

static void do_change(size_t guest)
{
    point();
    for (size_t cpu = 0; cpu < world.cpu_count; cpu++) {
        for (size_t number = 0; number < NUMBERS; number++) {
            make_stale(cpu, number, guest);
        }
    }
    pay_tail(guest);
    expect_gone(guest, HAS_STALE, "a change is done, and a TLB holds what was before it");
}

static void do_reuse(size_t guest)
{
    point();
    world.is_gone[guest] = true;
    pay_tail(guest);
    expect_gone(guest, UINT8_MAX, "a guest is gone, and a TLB holds something of it");
    atomic_init(&tables[guest].vmid.tag, 0);
    world.is_gone[guest] = false;
}

bool vmid_model_allows(size_t cpu, struct vmid_op op)
{
    if (op.verb == VMID_LEAVE) {
        return world.machine[cpu].guest != NONE;
    }
    for (size_t i = 0; i < world.cpu_count; i++) {
        const bool is_in = world.machine[i].guest == op.guest;

        /* A guest that ends runs nowhere. A vCPU runs on one CPU. */
        if (is_in && (op.verb == VMID_REUSE ||
                      (op.verb == VMID_ENTER && i != cpu && world.machine[i].vcpu == op.vcpu))) {
            return false;
        }
    }
    return true;
}

void vmid_model_do(size_t cpu, struct vmid_op op)
{
    current = cpu;
    switch (op.verb) {
    case VMID_ENTER:
        do_enter(op);
        break;
    case VMID_LEAVE:
        do_leave();
        break;
    case VMID_CHANGE:
        do_change(op.guest);
        break;
    case VMID_REUSE:
        do_reuse(op.guest);
        break;
    }
    fill_all();
    here()->history = 0; /* it has forgotten all but what it is in */
}

/* --- Generations that mean the same ----------------------------------------------------------- */

/* What a tag can still do: be of the present generation, be found in what a CPU holds, or neither. */
enum { GENERATION_GONE = 1, GENERATION_HELD, GENERATION_PRESENT };

static bool is_held(uint64_t tag)
{
    for (size_t i = 0; i < world.cpu_count; i++) {
        const struct s2_cpu *cpu = &world.cpus[i];

        if (cpu->reserved[0] == tag || cpu->reserved[1] == tag) {
            return true;
        }
    }
    return false;
}

static uint64_t normal_tag(uint64_t tag, uint64_t generation, bool can_be_found)
{
    if (tag < GENERATION_STEP) {
        return tag;
    }
    if (is_of(tag, generation)) {
        return GENERATION_PRESENT * GENERATION_STEP | number_of(tag);
    }
    return can_be_found ? GENERATION_HELD * GENERATION_STEP | number_of(tag)
                        : GENERATION_GONE * GENERATION_STEP;
}

static void normalise_cpu(struct s2_cpu *cpu, uint64_t generation)
{
    atomic_init(&cpu->active, normal_tag(peek(&cpu->active), generation, true));
    for (size_t i = 0; i < S2_CPU_HOLDS; i++) {
        cpu->reserved[i] = normal_tag(cpu->reserved[i], generation, true);
    }
    for (size_t i = 0; i < S2_CPU_GUESTS; i++) {
        cpu->runs[i].tag = normal_tag(cpu->runs[i].tag, generation, true);
    }
}

void vmid_model_normalise(void)
{
    const uint64_t generation = peek(&world.vmids.generation);

    for (size_t i = 0; i < VMID_MODEL_GUESTS; i++) {
        _Atomic uint64_t *tag = &tables[i].vmid.tag;
        const uint64_t before = peek(tag);

        atomic_init(tag, normal_tag(before, generation, is_held(before)));
    }
    for (size_t i = 0; i < world.cpu_count; i++) {
        normalise_cpu(&world.cpus[i], generation);
        world.machine[i].history = 0;
    }
    atomic_init(&world.vmids.generation, GENERATION_PRESENT * GENERATION_STEP);
    world.vmids.rollovers = 1;
}

/* --- For the explorers ------------------------------------------------------------------------ */

void vmid_model_init(size_t cpus, uint16_t last)
{
    const struct s2_features part = {
        .pa_bits = 40, .granule_4k = S2_GRANULE_48_BITS, .vmid_bits = 8, .dcache_line = 64};
    const struct s2_config config = {.cpu = &part, .granule = S2_GRANULE_4K, .ipa_bits = 40};

    point_hook = NULL;
    wrong = NULL;
    current = 0;
    memset(&world, 0, sizeof(world));
    world.cpu_count = cpus;
    world.owner = NONE;
    for (size_t i = 0; i < VMID_MODEL_GUESTS; i++) {
        struct s2_table *table = &tables[i];

        *table = (struct s2_table){
            .root = &nothing, .root_pa = pa_of(ROOT + i * ROOT_STEP), .vmid_bits = 8};
        expect(s2_geometry_init(&table->geometry, &config, NULL) == MAPPING_OK, "no geometry");
    }
    s2_vmid_init(&world.vmids, 8);
    expect(last < NUMBERS, "more numbers than are kept track of");
    expect(s2_vmid_limit(&world.vmids, last) == MAPPING_OK, "the limit is refused");
    for (size_t i = 0; i < cpus; i++) {
        world.machine[i].guest = NONE;
        world.machine[i].vcpu = NONE;
        world.machine[i].el1 = NONE;
        expect(s2_cpu_init(&world.cpus[i], &world.vmids) == MAPPING_OK, "a CPU is refused");
        world.machine[i].history = 0;
    }
    world.machine[0].history = 0;
}

const char *vmid_model_wrong(void)
{
    return wrong;
}

uint64_t vmid_model_rollovers(void)
{
    return world.vmids.rollovers;
}

void vmid_model_set_hook(void (*hook)(void))
{
    point_hook = hook;
}

void vmid_model_resume(size_t cpu)
{
    current = cpu;
}

bool vmid_model_is_blocked(size_t cpu)
{
    return world.machine[cpu].is_waiting && world.owner != NONE;
}

static uint64_t hash_shared(uint64_t hash)
{
    hash = mix(hash, world.vmids.next);
    hash = mix(hash, peek(&world.vmids.generation));
    for (size_t i = 0; i < VMID_MODEL_GUESTS; i++) {
        hash = mix(hash, peek(&tables[i].vmid.tag));
    }
    for (size_t i = 0; i < world.cpu_count; i++) {
        hash = mix(hash, peek(&world.cpus[i].active));
        hash = mix(hash, peek(&world.cpus[i].leaving));
        hash = mix(hash, world.cpus[i].reserved[0]);
        hash = mix(hash, world.cpus[i].reserved[1]);
    }
    return hash;
}

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i += sizeof(hash)) {
        uint64_t word = 0;

        memcpy(&word, (const char *)bytes + i, size - i < sizeof(word) ? size - i : sizeof(word));
        hash = mix(hash, word);
    }
    return hash;
}

static uint64_t hash_machine(uint64_t hash, const struct machine_cpu *cpu)
{
    hash = mix(hash, cpu->vttbr);
    hash = mix(hash, cpu->vttbr_before);
    hash = mix(hash, cpu->history);
    hash = mix(hash, (uint64_t)cpu->guest << 24 | (uint64_t)cpu->vcpu << 16 |
                         (uint64_t)cpu->el1 << 8 | cpu->is_waiting);
    hash = hash_bytes(hash, &cpu->tlb, sizeof(cpu->tlb));
    return hash_bytes(hash, cpu->doomed, world.cpu_count * sizeof(cpu->doomed[0]));
}

uint64_t vmid_model_hash(void)
{
    uint64_t hash = hash_shared(world.owner);

    for (size_t i = 0; i < world.cpu_count; i++) {
        hash = hash_machine(hash, &world.machine[i]);
        for (size_t j = 0; j < S2_CPU_GUESTS; j++) {
            hash = mix(hash, world.cpus[i].runs[j].tag);
            hash = mix(hash, world.cpus[i].runs[j].vcpu_id);
        }
    }
    return hash;
}

size_t vmid_model_size(void)
{
    return sizeof(struct saved_world);
}

void vmid_model_save(void *copy)
{
    struct saved_world *saved = copy;

    saved->world = world;
    for (size_t i = 0; i < VMID_MODEL_GUESTS; i++) {
        saved->tags[i] = tables[i].vmid;
    }
}

void vmid_model_load(const void *copy)
{
    const struct saved_world *saved = copy;

    world = saved->world;
    for (size_t i = 0; i < VMID_MODEL_GUESTS; i++) {
        tables[i].vmid = saved->tags[i];
    }
}
