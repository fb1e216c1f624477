#include "tests/model/vmid_model.h"

#include "core/lock.h"
#include "stage2/arch/arch.h"
#include "stage2/tlb/regime.h"
#include "stage2/trestle.h"

#include <stdatomic.h>
#include <string.h>

/* --- The machine ------------------------------------------------------------------------------ */

#define NUMBERS 9 /* and S2_VMID_NOBODY among them */
#define NONE UINT8_MAX
#define ROOT UINT64_C(0x40000000)
#define ROOT_STEP UINT64_C(0x10000)
#define VTTBR_ROOT MAPPING_FIELD(47, 0)
#define VTTBR_NUMBER MAPPING_FIELD(63, 48)

/* An entry of a TLB: what it may hold of one guest under one number. */
#define HAS_STAGE2 MAPPING_BIT(0) /* as the tables are */
#define HAS_STALE MAPPING_BIT(1)  /* as they were */
#define HAS_VCPU(vcpu) ((entry_t)MAPPING_BIT(2 + (vcpu)))

typedef uint8_t entry_t;

struct tlb {
    entry_t entries[NUMBERS][VMID_MODEL_GUESTS];
};

/* --- Weak memory ------------------------------------------------------------------------------ */

/* The words that CPUs share without the lock. */
enum {
    AT_GENERATION,
    AT_TAGS,
    AT_ACTIVE = AT_TAGS + VMID_MODEL_GUESTS,
    AT_LEAVING = AT_ACTIVE + VMID_MODEL_CPUS,
    LOCATIONS = AT_LEAVING + VMID_MODEL_CPUS
};

#define WRITES_MAX 6  /* values of a location that may still be read; older ones are forgotten */
#define BUFFER_MAX 12 /* stores of a CPU that are not yet visible */

struct written {
    uint64_t value;
    uint32_t at; /* when it became visible */
    uint32_t
        released; /* what is known to whoever acquires it: all that was visible then; 0: nothing */
};

struct location {
    struct written writes[WRITES_MAX]; /* oldest first */
    size_t count;
};

struct buffered {
    uint64_t value;
    uint8_t location;
    bool is_release;
};

/* What a CPU knows and has stored. */
struct view {
    struct buffered buffer[BUFFER_MAX];
    size_t count;
    uint32_t known;           /* no load answers what was overwritten by then */
    uint32_t seen[LOCATIONS]; /* nor what is older than this write */
};

struct memory {
    bool is_weak;
    uint32_t now;
    uint32_t unlocked; /* when the lock was let go last */
    struct location locations[LOCATIONS];
    struct view views[VMID_MODEL_CPUS];
};

struct machine_cpu {
    uint64_t vtcr;
    uint64_t vttbr;
    uint64_t vttbr_before; /* equal, after the ISB */
    uint64_t history;      /* of what the op under way has read */
    uint8_t guest, vcpu;   /* that it is in; NONE */
    uint8_t el1;           /* vCPU whose stage 1 is walked; NONE */
    bool is_waiting;       /* for the lock */
    bool is_off;           /* its TLB holds anything, and hears nothing */
    bool is_gone;          /* the library does not know it */
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
    struct memory memory;
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
static size_t (*choose_hook)(size_t count);
static enum vmid_mutant mutant;
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
    return (size_t)MAPPING_FIELD_GET(VTTBR_NUMBER, vttbr);
}

static size_t guest_in(uint64_t vttbr)
{
    return (size_t)((MAPPING_FIELD_GET(VTTBR_ROOT, vttbr) - ROOT) / ROOT_STEP);
}

/* The CPU walks by @vttbr: what comes in so is not met by a TLBI that was sent before. */
static void fill_by(size_t cpu, uint64_t vttbr)
{
    const struct machine_cpu *filling = &world.machine[cpu];
    entry_t filled = HAS_STAGE2;
    entry_t *entry;

    if (vttbr == 0 || filling->is_off || world.is_gone[guest_in(vttbr)]) {
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

/* No two CPUs are in two guests under one number: what one sends would hit the other's, and the
 * ways of both meet in a TLB in the end. */
static void expect_apart(uint64_t a, uint64_t b)
{
    expect(a == 0 || b == 0 || number_in(a) != number_in(b) || guest_in(a) == guest_in(b),
           "two CPUs are in two guests under one number");
}

static void fill_all(void)
{
    for (size_t i = 0; i < world.cpu_count; i++) {
        for (size_t j = 0; j < i; j++) {
            expect_apart(world.machine[i].vttbr, world.machine[j].vttbr);
        }
    }
    for (size_t cpu = 0; cpu < world.cpu_count; cpu++) {
        fill_by(cpu, world.machine[cpu].vttbr);
        fill_by(cpu, world.machine[cpu].vttbr_before);
        expect_alone(cpu, world.machine[cpu].vttbr);
        expect_alone(cpu, world.machine[cpu].vttbr_before);
    }
}

static void pass_point(void)
{
    here()->history = mix(here()->history, 1); /* one point further */
    if (point_hook != NULL) {
        point_hook();
    }
}

/* Others may go on before the step that follows: an access to what CPUs share. */
static void shared_point(void)
{
    fill_all();
    pass_point();
}

/* The same for all else. In weakly ordered memory there is enough to go on with: what such a step
 * does is done together with the access before it. */
static void point(void)
{
    fill_all();
    if (!world.memory.is_weak) {
        pass_point();
    }
}

static void begin_tlbi(size_t cpu, size_t first, size_t last)
{
    struct machine_cpu *sender = here();

    for (size_t number = first; number <= last && !world.machine[cpu].is_off; number++) {
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

static void show_all_stores(void);

static void model_dsb_ish(void)
{
    point();
    show_all_stores();
    world.memory.views[current].known = world.memory.now;
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
    shared_point(); /* what CPUs walk is shared, too */
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

/* --- Stores and loads, in the order that they come in, or not -------------------------------- */

static _Atomic uint64_t *object_at(size_t location)
{
    if (location == AT_GENERATION) {
        return &world.vmids.generation;
    }
    if (location < AT_ACTIVE) {
        return &tables[location - AT_TAGS].vmid.tag;
    }
    return location < AT_LEAVING ? &world.cpus[location - AT_ACTIVE].active
                                 : &world.cpus[location - AT_LEAVING].leaving;
}

static size_t location_of(const _Atomic uint64_t *object)
{
    size_t location = 0;

    while (location < LOCATIONS && object_at(location) != object) {
        location++;
    }
    return location;
}

/* Whether it is one whose order matters here. */
static bool is_weak_at(size_t location)
{
    return world.memory.is_weak && location < LOCATIONS;
}

static struct view *view(void)
{
    return &world.memory.views[current];
}

static struct written *newest(size_t location)
{
    struct location *at = &world.memory.locations[location];

    return &at->writes[at->count - 1];
}

/* The oldest value that @cpu may still read. */
static size_t oldest_for(size_t cpu, size_t location)
{
    const struct location *at = &world.memory.locations[location];
    const struct view *of = &world.memory.views[cpu];
    size_t i = 0;

    while (i + 1 < at->count &&
           (at->writes[i + 1].at <= of->known || at->writes[i].at < of->seen[location])) {
        i++;
    }
    return i;
}

/* Forget what nobody may read any more, and one more where there is no room. */
static void trim(size_t location)
{
    struct location *at = &world.memory.locations[location];
    size_t oldest = at->count - 1;

    for (size_t cpu = 0; cpu < world.cpu_count; cpu++) {
        const size_t first = oldest_for(cpu, location);

        oldest = first < oldest ? first : oldest;
    }
    oldest = oldest == 0 && at->count == WRITES_MAX ? 1 : oldest;
    at->count -= oldest;
    memmove(at->writes, at->writes + oldest, at->count * sizeof(at->writes[0]));
}

/* It is what is newest there from now on, for all. */
static void make_visible(size_t cpu, size_t location, struct written what)
{
    struct location *at = &world.memory.locations[location];

    trim(location);
    what.at = world.memory.now;
    at->writes[at->count++] = what;
    world.memory.views[cpu].seen[location] = what.at;
    atomic_store(object_at(location), what.value);
}

/* Whether the @index-th store of @cpu may become visible: no other to the same place comes before
 * it, and none at all if it releases. */
static bool may_show(size_t cpu, size_t index)
{
    const struct view *of = &world.memory.views[cpu];

    for (size_t i = 0; i < index; i++) {
        if (of->buffer[index].is_release || of->buffer[i].location == of->buffer[index].location) {
            return false;
        }
    }
    return true;
}

static void show(size_t cpu, size_t index)
{
    struct view *of = &world.memory.views[cpu];
    const struct buffered store = of->buffer[index];

    world.memory.now++;
    make_visible(cpu, store.location,
                 (struct written){.value = store.value,
                                  .released = store.is_release ? world.memory.now : 0});
    of->count--;
    memmove(of->buffer + index, of->buffer + index + 1,
            (of->count - index) * sizeof(of->buffer[0]));
}

static void show_all_stores(void)
{
    while (view()->count > 0) {
        show(current, 0);
    }
}

/* All of this CPU's up to the last to @location. */
static void show_stores_to(size_t location)
{
    size_t count = view()->count;

    while (count > 0 && view()->buffer[count - 1].location != location) {
        count--;
    }
    for (; count > 0; count--) {
        show(current, 0);
    }
}

size_t vmid_model_stores(void)
{
    size_t count = 0;

    for (size_t cpu = 0; cpu < world.cpu_count; cpu++) {
        for (size_t i = 0; i < world.memory.views[cpu].count; i++) {
            count += may_show(cpu, i) ? 1 : 0;
        }
    }
    return count;
}

void vmid_model_show_store(size_t index)
{
    for (size_t cpu = 0; cpu < world.cpu_count; cpu++) {
        for (size_t i = 0; i < world.memory.views[cpu].count; i++) {
            if (may_show(cpu, i) && index-- == 0) {
                show(cpu, i);
                return;
            }
        }
    }
}

static void learn(uint32_t time)
{
    view()->known = view()->known < time ? time : view()->known;
}

static bool acquires(memory_order order)
{
    return order == memory_order_acquire || order == memory_order_acq_rel;
}

static bool releases(memory_order order)
{
    return order == memory_order_release || order == memory_order_acq_rel;
}

/* The newest of this CPU's own stores that wait; else one of those that it may still read. */
static uint64_t weak_load(size_t location, memory_order order)
{
    const struct location *at = &world.memory.locations[location];
    const size_t oldest = oldest_for(current, location);
    size_t which = at->count - 1;

    for (size_t i = view()->count; i > 0; i--) {
        if (view()->buffer[i - 1].location == location) {
            return view()->buffer[i - 1].value;
        }
    }
    if (which > oldest && choose_hook != NULL) {
        which -= choose_hook(at->count - oldest);
    }
    view()->seen[location] = at->writes[which].at;
    if (acquires(order)) {
        learn(at->writes[which].released);
    }
    return at->writes[which].value;
}

static uint64_t model_load(const _Atomic uint64_t *object, memory_order order)
{
    const size_t location = location_of(object);
    uint64_t value;

    /* What changes under the lock alone does not change now. */
    if (world.owner != current || (uintptr_t)object - (uintptr_t)world.cpus < sizeof(world.cpus)) {
        shared_point();
    }
    value = is_weak_at(location) ? weak_load(location, order) : peek(object);
    remember(value);
    return value;
}

static void model_store(_Atomic uint64_t *object, uint64_t value, memory_order order)
{
    const size_t location = location_of(object);

    shared_point();
    if (!is_weak_at(location)) {
        atomic_store(object, value);
        return;
    }
    expect(view()->count < BUFFER_MAX, "more stores wait than there is room for");
    view()->buffer[view()->count++] = (struct buffered){value, (uint8_t)location, releases(order)};
}

/* Up to where an exchange reads what is newest. */
static void begin_exchange(size_t location, memory_order order)
{
    if (is_weak_at(location) && releases(order)) {
        show_all_stores();
    } else if (is_weak_at(location)) {
        show_stores_to(location);
    }
}

/* It has stored @value. One that does not release hands on what was released before. */
static void end_exchange(size_t location, uint64_t value, memory_order order)
{
    uint32_t before;

    if (!is_weak_at(location)) {
        return;
    }
    before = newest(location)->released;
    if (acquires(order)) {
        learn(before);
    }
    world.memory.now++;
    make_visible(
        current, location,
        (struct written){.value = value, .released = releases(order) ? world.memory.now : before});
}

static uint64_t model_exchange(_Atomic uint64_t *object, uint64_t value, memory_order order)
{
    const size_t location = location_of(object);
    const bool is_leaving = value == S2_CPU_IDLE;
    uint64_t before;

    if (is_leaving && (mutant == VMID_RELEASE_BY_STORE || mutant == VMID_RELEASE_BY_SEQ_STORE)) {
        model_store(object, value, memory_order_release);
        if (mutant == VMID_RELEASE_BY_SEQ_STORE) {
            show_all_stores();
        }
        return 0;
    }
    if (mutant == (is_leaving ? VMID_RELEASE_BY_RELEASE : VMID_GENERATION_BY_RELEASE)) {
        order = memory_order_release;
    }
    shared_point();
    begin_exchange(location, order);
    before = atomic_exchange(object, value);
    end_exchange(location, value, order);
    remember(before);
    return before;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the exchange writes it */
static bool model_replace(_Atomic uint64_t *object, uint64_t *expected, uint64_t value,
                          memory_order order)
{
    const size_t location = location_of(object);
    bool is_done;

    if (mutant == VMID_TAKE_BY_ACQUIRE && order == memory_order_acq_rel) {
        order = memory_order_acquire;
    }
    shared_point();
    begin_exchange(location, order);
    is_done = atomic_compare_exchange_strong(object, expected, value);
    if (is_done) {
        end_exchange(location, value, order);
    } else if (is_weak_at(location)) {
        view()->seen[location] = newest(location)->at;
    }
    remember(*expected);
    remember(is_done);
    return is_done;
}

static uint64_t hash_shared(uint64_t hash);

static void model_lock(struct mapping_lock *lock)
{
    here()->is_waiting = true;
    shared_point();
    here()->is_waiting = false;
    world.owner = (uint8_t)current;
    mapping_lock_acquire(lock);
    learn(world.memory.unlocked);
    here()->history = hash_shared(here()->history); /* all of it may be read now */
}

static void model_unlock(struct mapping_lock *lock)
{
    shared_point();
    show_all_stores();
    world.memory.unlocked = ++world.memory.now;
    world.owner = NONE;
    mapping_lock_release(lock);
}

/* --- The library, on these primitives --------------------------------------------------------- */

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_strong_explicit
#define atomic_load_explicit(object, order) model_load(object, order)
#define atomic_store_explicit(object, value, order) model_store(object, value, order)
#define atomic_exchange_explicit(object, value, order) model_exchange(object, value, order)
#define atomic_compare_exchange_strong_explicit(object, expected, value, success, failure) \
    model_replace(object, expected, value, success)
#define mapping_lock_acquire(lock) model_lock(lock)
#define mapping_lock_release(lock) model_unlock(lock)

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
#define s2_vmid_note_vcpu model_vmid_note_vcpu
#define s2_vmid_repeat model_vmid_repeat
#define s2_regime_borrow model_regime_borrow
#define s2_regime_return model_regime_return
#define s2_regime_load model_regime_load
#define s2_regime_from_host model_regime_from_host
#define s2_regime_to_host model_regime_to_host
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
bool s2_vmid_note_vcpu(struct s2_cpu *cpu, const struct s2_vmid *vmid, uint32_t vcpu_id);
bool s2_regime_borrow(const struct s2_regime *regime, struct s2_regime_before *before);
void s2_regime_return(const struct s2_regime *regime, const struct s2_regime_before *before);
void s2_regime_load(const struct s2_regime *regime, uint64_t vttbr);
uint64_t s2_regime_from_host(const struct s2_tlb_rules *rules);
void s2_regime_to_host(const struct s2_tlb_rules *rules, uint64_t hcr);
enum mapping_error s2_enter(struct s2_table *table, struct s2_vmid_allocator *vmids,
                            struct s2_cpu *cpu, uint32_t vcpu_id);
void s2_leave(struct s2_cpu *cpu);

#include "stage2/space/enter.c" /* NOLINT(bugprone-suspicious-include) */
#include "stage2/tlb/regime.c"  /* NOLINT(bugprone-suspicious-include) */
#include "stage2/tlb/vmid.c"    /* NOLINT(bugprone-suspicious-include) */

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

/* As stage2/tlb/tlb_flush.c does it. */
static void flush_guest(size_t guest)
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
    model_write_vttbr(s2_geometry_vttbr(&table->geometry, table->root_pa, number));
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
        for (size_t number = 0; number < NUMBERS && !world.machine[cpu].is_off; number++) {
            expect((world.machine[cpu].tlb.entries[number][guest] & what) == 0, complaint);
        }
    }
}

/* The tables have changed: what @cpu holds of them is old from now on. If all of it is on its way
 * out already, that is, too. */
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
    flush_guest(guest);
    expect_gone(guest, HAS_STALE, "a change is done, and a TLB holds what was before it");
}

static void do_reuse(size_t guest)
{
    point();
    world.is_gone[guest] = true;
    flush_guest(guest);
    expect_gone(guest, UINT8_MAX, "a guest is gone, and a TLB holds something of it");
    atomic_init(&tables[guest].vmid.tag, 0);
    world.is_gone[guest] = false;
}

/* A CPU that is off hears nothing, and what its TLB holds when it comes up again is anything. */
static void turn_off(void)
{
    struct machine_cpu *cpu = here();

    cpu->vtcr = 0;
    cpu->vttbr = 0;
    cpu->vttbr_before = 0;
    cpu->el1 = NONE;
    cpu->is_off = true;
    memset(&cpu->tlb, 0xff, sizeof(cpu->tlb));
    memset(cpu->doomed, 0, sizeof(cpu->doomed));
    for (size_t i = 0; i < world.cpu_count; i++) {
        memset(&world.machine[i].doomed[current], 0, sizeof(struct tlb));
    }
}

static void turn_on(bool forgets)
{
    here()->is_off = false;
    if (forgets) {
        begin_tlbi(current, 0, NUMBERS - 1);
        model_dsb_nsh();
    }
}

static void do_go(void)
{
    s2_cpu_fini(&world.cpus[current]);
    memset(&world.cpus[current], 0, sizeof(world.cpus[current]));
    here()->is_gone = true;
    turn_off();
}

static void do_come(void)
{
    turn_on(mutant != VMID_COME_WITHOUT_TLBI);
    expect(s2_cpu_init(&world.cpus[current], &world.vmids) == MAPPING_OK, "a CPU is refused");
    here()->is_gone = false;
}

bool vmid_model_allows(size_t cpu, struct vmid_op op)
{
    const struct machine_cpu *on = &world.machine[cpu];

    if (on->is_off) {
        return op.verb == (on->is_gone ? VMID_COME : VMID_WAKE);
    }
    if (op.verb == VMID_COME || op.verb == VMID_WAKE) {
        return false;
    }
    if (op.verb == VMID_GO) {
        return on->guest == NONE;
    }
    if (op.verb == VMID_SLEEP) {
        return true;
    }
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
    case VMID_GO:
        do_go();
        break;
    case VMID_COME:
        do_come();
        break;
    case VMID_SLEEP:
        turn_off();
        break;
    case VMID_WAKE:
        turn_on(mutant != VMID_WAKE_WITHOUT_TLBI);
        break;
    }
    fill_all();
    here()->history = 0; /* it has forgotten all but what it is in */
}

/* --- Generations that mean the same ----------------------------------------------------------- */

/* What a tag can still do: be of the present generation, be found in what a CPU holds, or
 * neither. */
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
        cpu->vcpus[i].tag = normal_tag(cpu->vcpus[i].tag, generation, true);
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
    choose_hook = NULL;
    mutant = VMID_AS_IT_IS;
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

void vmid_model_mutate(enum vmid_mutant what)
{
    mutant = what;
}

void vmid_model_weaken(size_t (*choose)(size_t count))
{
    struct memory *memory = &world.memory;

    choose_hook = choose;
    *memory = (struct memory){.is_weak = true, .now = 1, .unlocked = 1};
    for (size_t i = 0; i < LOCATIONS; i++) {
        memory->locations[i].count = 1;
        memory->locations[i].writes[0] = (struct written){peek(object_at(i)), 1, 1};
    }
    for (size_t cpu = 0; cpu < VMID_MODEL_CPUS; cpu++) {
        memory->views[cpu].known = 1;
        for (size_t i = 0; i < LOCATIONS; i++) {
            memory->views[cpu].seen[i] = 1;
        }
    }
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
    hash =
        mix(hash, (uint64_t)cpu->guest << 24 | (uint64_t)cpu->vcpu << 16 | (uint64_t)cpu->el1 << 8 |
                      (uint64_t)cpu->is_off << 2 | (uint64_t)cpu->is_gone << 1 | cpu->is_waiting);
    hash = hash_bytes(hash, &cpu->tlb, sizeof(cpu->tlb));
    return hash_bytes(hash, cpu->doomed, world.cpu_count * sizeof(cpu->doomed[0]));
}

/* How many of the times that matter come before @time: what counts is their order. */
static uint64_t rank(uint32_t time)
{
    const struct memory *memory = &world.memory;
    uint64_t before = memory->unlocked < time ? 1 : 0;

    for (size_t i = 0; i < LOCATIONS; i++) {
        for (size_t j = 0; j < memory->locations[i].count; j++) {
            before += memory->locations[i].writes[j].at < time ? 1 : 0;
        }
    }
    for (size_t cpu = 0; cpu < world.cpu_count; cpu++) {
        before += memory->views[cpu].known < time ? 1 : 0;
    }
    return before;
}

static uint64_t hash_view(uint64_t hash, size_t cpu)
{
    const struct view *of = &world.memory.views[cpu];

    hash = mix(hash, rank(of->known));
    for (size_t i = 0; i < of->count; i++) {
        hash = mix(hash, of->buffer[i].value);
        hash = mix(hash, (uint64_t)of->buffer[i].location << 1 | of->buffer[i].is_release);
    }
    for (size_t i = 0; i < LOCATIONS; i++) {
        hash = mix(hash, world.memory.locations[i].count - oldest_for(cpu, i));
    }
    return hash;
}

static uint64_t hash_memory(uint64_t hash)
{
    const struct memory *memory = &world.memory;

    for (size_t i = 0; i < LOCATIONS; i++) {
        for (size_t j = 0; j < memory->locations[i].count; j++) {
            const struct written *write = &memory->locations[i].writes[j];

            hash = mix(hash, write->value);
            hash = mix(hash, rank(write->at) << 32 | rank(write->released));
        }
    }
    for (size_t cpu = 0; cpu < world.cpu_count; cpu++) {
        hash = hash_view(hash, cpu);
    }
    return mix(hash, rank(memory->unlocked));
}

uint64_t vmid_model_hash(void)
{
    uint64_t hash = hash_shared(world.owner);

    if (world.memory.is_weak) {
        for (size_t i = 0; i < LOCATIONS; i++) {
            trim(i);
        }
        hash = hash_memory(hash);
    }

    for (size_t i = 0; i < world.cpu_count; i++) {
        hash = hash_machine(hash, &world.machine[i]);
        for (size_t j = 0; j < S2_CPU_GUESTS; j++) {
            hash = mix(hash, world.cpus[i].vcpus[j].tag);
            hash = mix(hash, world.cpus[i].vcpus[j].vcpu_id);
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
