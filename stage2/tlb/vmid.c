#include "stage2/tlb/vmid.h"

#include "stage2/arch/arch.h"

#define TAG_NUMBER MAPPING_FIELD(15, 0)
#define TAG_GENERATION MAPPING_FIELD(63, 16)
#define GENERATION_STEP MAPPING_BIT(16)
#define NUMBER_FIRST (S2_VMID_NOBODY + 1)

_Static_assert(MAPPING_FIELD_LSB(TAG_GENERATION) == GENERATION_STEP,
               "a generation is a tag's high part");
_Static_assert(S2_CPU_IDLE < GENERATION_STEP, "idle is no tag: generations begin with 1");

/* --- Tags ------------------------------------------------------------------------------------ */

static uint16_t number_of(uint64_t tag)
{
    return (uint16_t)MAPPING_FIELD_GET(TAG_NUMBER, tag);
}

static bool is_of(uint64_t tag, uint64_t generation)
{
    return (tag & TAG_GENERATION) == generation;
}

/* Relaxed: who needs it exact holds the lock, under which alone it changes. Without the lock an old
 * value only makes a tag look stale, or is found out by the exchange in take_fast(). */
static uint64_t generation_of(const struct s2_vmid_allocator *vmids)
{
    return atomic_load_explicit(&vmids->generation, memory_order_relaxed);
}

/* --- What CPUs hold -------------------------------------------------------------------------- */

/* Whether a number is kept for the guest that had it as this generation began. */
static bool is_number_reserved(const struct s2_vmid_allocator *vmids, uint32_t number)
{
    for (const struct s2_cpu *cpu = vmids->cpus; cpu != NULL; cpu = cpu->next) {
        for (size_t i = 0; i < S2_CPU_HOLDS; i++) {
            if (number_of(cpu->reserved[i]) == number) {
                return true;
            }
        }
    }
    return false;
}

/* Each CPU that holds exactly @old holds @new from now on. Returns: whether there was any. A tag is
 * one guest's alone, so the guest that has it in its table is the one that CPU is in. */
static bool move_reservations(struct s2_vmid_allocator *vmids, uint64_t old, uint64_t new)
{
    bool is_found = false;

    for (struct s2_cpu *cpu = vmids->cpus; cpu != NULL; cpu = cpu->next) {
        uint64_t expected = old;

        for (size_t i = 0; i < S2_CPU_HOLDS; i++) {
            if (cpu->reserved[i] == old) {
                cpu->reserved[i] = new;
                is_found = true;
            }
        }
        /* The CPU may be about to say that it has left: that must not be undone. Relaxed: both
         * values name the same guest, and the next generation reads it under this lock. */
        atomic_compare_exchange_strong_explicit(&cpu->leaving, &expected, new, memory_order_relaxed,
                                                memory_order_relaxed);
    }
    return is_found;
}

/*
 * What @cpu may walk until it takes something under the lock: the generation that begins leaves it
 * alone.
 *
 * The exchange is what take_fast() is measured by: either this one sees what the CPU took, or the
 * CPU sees the 0. It acquires, so that whoever sees what was taken sees what is being left.
 */
static void reserve_held(struct s2_cpu *cpu)
{
    const uint64_t active = atomic_exchange_explicit(&cpu->active, 0, memory_order_acq_rel);
    /* Acquire: a 0 says that the ISB after VTTBR_EL2 has passed; the TLBI comes after it. */
    const uint64_t leaving = atomic_load_explicit(&cpu->leaving, memory_order_acquire);

    if (active == S2_CPU_IDLE) {
        cpu->reserved[0] = 0;
        cpu->reserved[1] = 0;
    } else if (active != 0) {
        cpu->reserved[0] = active;
        cpu->reserved[1] = leaving;
    } else if (leaving == 0) {
        /* Since the generation before it has run the same, and is done with what it had left. */
        cpu->reserved[1] = 0;
    }
}

/*
 * A new generation. The order is what makes it safe:
 *
 *      generation      nobody takes a tag of the old one any more, unless
 *      exchanges       it was first, and then it is reserved
 *      DSB ISH         all that is seen by all, and what was read of the CPUs was true, before
 *      ALLE1IS         all goes; what fills again is what is reserved
 *      DSB ISH         complete on every CPU, before the first number is given anew; both twice on
 *                      parts that may miss a TLBI, as flushes that are not sent later rest on it
 */
static void begin_generation(struct s2_vmid_allocator *vmids)
{
    const uint64_t generation = generation_of(vmids) + GENERATION_STEP;
    const uint64_t times = atomic_load_explicit(&vmids->times, memory_order_relaxed);

    MAPPING_ASSERT(generation != 0);

    /* Relaxed: the exchanges that follow release it to those who find a 0. */
    atomic_store_explicit(&vmids->generation, generation, memory_order_relaxed);
    for (struct s2_cpu *cpu = vmids->cpus; cpu != NULL; cpu = cpu->next) {
        reserve_held(cpu);
    }
    arch_dsb_ish();
    for (uint64_t i = 0; i < times; i++) {
        arch_tlbi_alle1is();
        arch_dsb_ish();
    }
    vmids->next = NUMBER_FIRST;
    __atomic_store_n(&vmids->rollovers, vmids->rollovers + 1, __ATOMIC_RELAXED);
}

/* --- Numbers --------------------------------------------------------------------------------- */

/* The next number of this generation that nobody has; S2_VMID_NOBODY: all are given. What is
 * reserved stays so as long as the generation does, so none is passed over for good that could
 * be given, and none given twice. */
static uint32_t next_number(struct s2_vmid_allocator *vmids)
{
    while (vmids->next <= vmids->last) {
        const uint32_t number = vmids->next++;

        if (!is_number_reserved(vmids, number)) {
            return number;
        }
    }
    return S2_VMID_NOBODY;
}

/* There is one after at most one new generation: this CPU holds only what it runs (its .leaving is
 * 0, or the same, from a fast attempt that failed), and the others at most S2_CPU_HOLDS each. */
static uint32_t free_number(struct s2_vmid_allocator *vmids)
{
    uint32_t number = next_number(vmids);

    if (number == S2_VMID_NOBODY) {
        begin_generation(vmids);
        number = next_number(vmids);
    }
    MAPPING_ASSERT(number != S2_VMID_NOBODY && number <= vmids->last);
    return number;
}

/* Released: a CPU that takes it without the lock sees the generation that it is of. */
static void set_tag(struct s2_vmid *vmid, uint64_t tag)
{
    atomic_store_explicit(&vmid->tag, tag, memory_order_release);
}

/* Bring the guest's tag into this generation, if it may keep its number: a CPU was in it as the
 * generation began. Returns: whether the tag is of this generation now. Under the lock. */
static bool carry_over(struct s2_vmid_allocator *vmids, struct s2_vmid *vmid)
{
    /* Relaxed, as tags change under the lock alone. */
    const uint64_t tag = atomic_load_explicit(&vmid->tag, memory_order_relaxed);
    const uint64_t generation = generation_of(vmids);

    MAPPING_ASSERT((tag & TAG_GENERATION) <= generation);

    if (is_of(tag, generation)) {
        return true;
    }
    if (tag == 0 || !move_reservations(vmids, tag, generation | number_of(tag))) {
        return false;
    }
    set_tag(vmid, generation | number_of(tag));
    return true;
}

/* The guest's tag, of this generation or of one that begins here. Under the lock. */
static uint64_t renew(struct s2_vmid_allocator *vmids, struct s2_vmid *vmid)
{
    if (!carry_over(vmids, vmid)) {
        const uint32_t number = free_number(vmids);

        set_tag(vmid, generation_of(vmids) | number);
    }
    return atomic_load_explicit(&vmid->tag, memory_order_relaxed);
}

/* --- Init and fini --------------------------------------------------------------------------- */

void s2_vmid_init(struct s2_vmid_allocator *vmids, unsigned bits)
{
    MAPPING_ASSERT(bits == 8 || bits == 16);

    *vmids =
        (struct s2_vmid_allocator){.next = NUMBER_FIRST, .last = (uint32_t)(MAPPING_BIT(bits) - 1)};
    mapping_lock_init(&vmids->lock);
    atomic_init(&vmids->generation, GENERATION_STEP);
    atomic_init(&vmids->times, 1);
}

/* Whether no TLB can hold anything under a number of @vmids. */
static bool is_fresh(const struct s2_vmid_allocator *vmids)
{
    return vmids->next == NUMBER_FIRST && vmids->rollovers == 0;
}

static bool are_enough(uint32_t numbers, size_t cpus)
{
    return cpus <= numbers / S2_CPU_HOLDS;
}

enum mapping_error s2_vmid_limit(struct s2_vmid_allocator *vmids, uint16_t last)
{
    enum mapping_error error = MAPPING_OK;

    mapping_lock_acquire(&vmids->lock);
    MAPPING_ASSERT(are_enough(vmids->last, vmids->cpu_count));
    if (last < NUMBER_FIRST || last > vmids->last || !are_enough(last, vmids->cpu_count)) {
        error = MAPPING_INVALID_PARAM;
    } else if (!is_fresh(vmids)) {
        error = MAPPING_BAD_STATE;
    } else {
        vmids->last = last;
    }
    mapping_lock_release(&vmids->lock);
    return error;
}

/* Where the pointer to @cpu is; at the end of the list if it is not there. */
static struct s2_cpu **find_cpu(struct s2_vmid_allocator *vmids, const struct s2_cpu *cpu)
{
    struct s2_cpu **link = &vmids->cpus;

    while (*link != NULL && *link != cpu) {
        link = &(*link)->next;
    }
    return link;
}

enum mapping_error s2_cpu_init(struct s2_cpu *cpu, struct s2_vmid_allocator *vmids)
{
    enum mapping_error error = MAPPING_DENIED;

    mapping_lock_acquire(&vmids->lock);
    if (*find_cpu(vmids, cpu) != NULL) {
        error = MAPPING_ALREADY_EXISTS;
    } else if (are_enough(vmids->last, vmids->cpu_count + 1)) {
        *cpu = (struct s2_cpu){.vmids = vmids, .next = vmids->cpus};
        atomic_init(&cpu->active, S2_CPU_IDLE);
        atomic_init(&cpu->leaving, 0);
        vmids->cpus = cpu;
        vmids->cpu_count++;
        error = MAPPING_OK;
    }
    mapping_lock_release(&vmids->lock);
    return error;
}

/* Whether @cpu runs nothing; under the lock. */
static bool is_idle(const struct s2_cpu *cpu)
{
    const uint64_t active = atomic_load_explicit(&cpu->active, memory_order_relaxed);

    return active == S2_CPU_IDLE || (active == 0 && cpu->reserved[0] == 0);
}

/*
 * What it ran as this generation began may still be reserved by it, and be refreshed since, by
 * another CPU that does not reserve it. If it just went, the number could be given once more.
 */
void s2_cpu_fini(struct s2_cpu *cpu)
{
    struct s2_vmid_allocator *vmids = cpu->vmids;
    struct s2_cpu **link;

    MAPPING_ASSERT(vmids != NULL);

    mapping_lock_acquire(&vmids->lock);
    MAPPING_ASSERT(is_idle(cpu));
    link = find_cpu(vmids, cpu);
    MAPPING_ASSERT(*link == cpu);
    *link = cpu->next;
    vmids->cpu_count--;
    if (!is_fresh(vmids)) {
        begin_generation(vmids);
    }
    mapping_lock_release(&vmids->lock);
    cpu->vmids = NULL;
}

/* Relaxed: the CPU that says so sees it under the lock in its next rollover; another one's, before
 * it was said by anybody, leaves behind only guests that do not ask for it. */
void s2_vmid_repeat(struct s2_vmid_allocator *vmids)
{
    atomic_store_explicit(&vmids->times, 2, memory_order_relaxed);
}

/* --- Taking and leaving ---------------------------------------------------------------------- */

/*
 * Without the lock: the tag is of the present generation as far as this CPU knows, and it says so
 * by an exchange that fails if a new one has come by. If that comes by later, it sees the tag.
 */
static bool take_fast(struct s2_vmid_allocator *vmids, const struct s2_vmid *vmid,
                      struct s2_cpu *cpu, uint64_t *tag)
{
    /* Acquire: with set_tag(). Relaxed: nobody else writes it but a 0. */
    const uint64_t taken = atomic_load_explicit(&vmid->tag, memory_order_acquire);
    uint64_t active = atomic_load_explicit(&cpu->active, memory_order_relaxed);

    if (active == 0 || !is_of(taken, generation_of(vmids))) {
        return false;
    }
    *tag = taken;
    if (active == taken) {
        return true;
    }
    /* Relaxed: the exchange releases it. */
    atomic_store_explicit(&cpu->leaving, active == S2_CPU_IDLE ? 0 : active, memory_order_relaxed);
    /* Acquire as well: what other CPUs did under the number was before. */
    return atomic_compare_exchange_strong_explicit(&cpu->active, &active, taken,
                                                   memory_order_acq_rel, memory_order_relaxed);
}

/* What VTTBR_EL2 of @cpu may hold; 0: nothing. Under the lock. Acquire: nothing is walked there any
 * more if it is idle. */
static uint64_t walked_by(const struct s2_cpu *cpu)
{
    const uint64_t active = atomic_load_explicit(&cpu->active, memory_order_acquire);

    if (active == S2_CPU_IDLE) {
        return 0;
    }
    return active != 0 ? active : cpu->reserved[0];
}

static uint64_t take_slow(struct s2_vmid_allocator *vmids, struct s2_vmid *vmid, struct s2_cpu *cpu)
{
    uint64_t tag;

    mapping_lock_acquire(&vmids->lock);
    tag = renew(vmids, vmid);
    /* Relaxed, both: generations begin under the lock. */
    atomic_store_explicit(&cpu->leaving, walked_by(cpu), memory_order_relaxed);
    atomic_store_explicit(&cpu->active, tag, memory_order_relaxed);
    mapping_lock_release(&vmids->lock);
    /* Who found that the guest has no number (s2_vmid_pin()) sent no TLBI: the walks that are to
     * come see what it stored. */
    arch_dsb_ish();
    return tag;
}

uint16_t s2_vmid_take(struct s2_vmid_allocator *vmids, struct s2_vmid *vmid, struct s2_cpu *cpu)
{
    uint64_t tag;

    MAPPING_ASSERT(cpu->vmids == vmids);

    if (!take_fast(vmids, vmid, cpu, &tag)) {
        tag = take_slow(vmids, vmid, cpu);
    }
    MAPPING_ASSERT(number_of(tag) != S2_VMID_NOBODY);
    return number_of(tag);
}

/* Released, here and below: whoever sees it knows that the ISB has passed. */
void s2_vmid_settle(struct s2_cpu *cpu)
{
    MAPPING_ASSERT(cpu->vmids != NULL);

    atomic_store_explicit(&cpu->leaving, 0, memory_order_release);
}

void s2_vmid_release(struct s2_cpu *cpu)
{
    MAPPING_ASSERT(cpu->vmids != NULL);
    MAPPING_ASSERT(atomic_load_explicit(&cpu->leaving, memory_order_relaxed) == 0);

    /* An exchange, as every change of this word: a store would put IDLE over the 0 of a generation
     * that has just begun, unread, and the next s2_vmid_take() would find nothing wrong with a tag
     * of the one before. Released: whoever sees IDLE knows that the ISB has passed. Acquired:
     * whoever finds the 0 sees the generation, however early its later loads are satisfied. */
    (void)atomic_exchange_explicit(&cpu->active, S2_CPU_IDLE, memory_order_acq_rel);
}

/* --- For flushes
 * ------------------------------------------------------------------------------- */

/*
 * A guest whose tag is stale, and that no CPU was in as this generation began, is in no TLB: the
 * ALLE1IS was the last of it. It takes the lock to run again, after this one has let it go, and so
 * sees what the caller stored.
 */
bool s2_vmid_pin(struct s2_vmid_allocator *vmids, struct s2_vmid *vmid, uint16_t *number)
{
    mapping_lock_acquire(&vmids->lock);
    if (!carry_over(vmids, vmid)) {
        mapping_lock_release(&vmids->lock);
        return false;
    }
    *number = number_of(atomic_load_explicit(&vmid->tag, memory_order_relaxed));
    MAPPING_ASSERT(*number != S2_VMID_NOBODY);
    return true;
}

void s2_vmid_unpin(struct s2_vmid_allocator *vmids)
{
    MAPPING_ASSERT(mapping_lock_is_held(&vmids->lock));

    mapping_lock_release(&vmids->lock);
}

/* Acquire: the CPU that was in it has left, if it says so. */
bool s2_vmid_is_held(struct s2_vmid_allocator *vmids, const struct s2_vmid *vmid)
{
    bool is_held = false;
    uint64_t tag;

    mapping_lock_acquire(&vmids->lock);
    tag = atomic_load_explicit(&vmid->tag, memory_order_relaxed);
    for (const struct s2_cpu *cpu = vmids->cpus; cpu != NULL && tag != 0; cpu = cpu->next) {
        is_held |= walked_by(cpu) == tag ||
                   atomic_load_explicit(&cpu->leaving, memory_order_acquire) == tag;
    }
    mapping_lock_release(&vmids->lock);
    return is_held;
}

uint16_t s2_vmid_last_number(const struct s2_vmid *vmid)
{
    return number_of(atomic_load_explicit(&vmid->tag, memory_order_acquire));
}

uint16_t s2_vmid_number(const struct s2_vmid_allocator *vmids, const struct s2_vmid *vmid)
{
    const uint64_t tag = atomic_load_explicit(&vmid->tag, memory_order_acquire);

    return is_of(tag, generation_of(vmids)) ? number_of(tag) : S2_VMID_NOBODY;
}

/* --- vCPUs ----------------------------------------------------------------------------------- */

/*
 * A slot names the vCPU that this CPU ran last under one of its numbers, and when.
 *
 *      it has our number      All that the TLB holds under the number since then is that vCPU's.
 *                             What was there before went when the guest changed, or in a new
 *                             generation if another guest had the number.
 *      it has another one     Ours may have been here before it. If a generation has begun since,
 *                             that is gone: for it to come again, this CPU would have been in the
 *                             guest, and the slot would say so.
 *
 * What is written is the allocator's generation, read after VTTBR_EL2 has left the guest before.
 * The tag may be older: its generation may have ended on the way, while that guest was still
 * walked. What it is compared with is the tag's generation. The allocator's number runs ahead of
 * its ALLE1IS, and no tag is of a generation whose ALLE1IS is yet to come.
 */
bool s2_vmid_note_vcpu(struct s2_cpu *cpu, const struct s2_vmid *vmid, uint32_t vcpu_id)
{
    const uint64_t tag = atomic_load_explicit(&vmid->tag, memory_order_acquire);
    const uint16_t number = number_of(tag);
    struct s2_vmid_vcpu *last = &cpu->vcpus[number % S2_CPU_GUESTS];
    const struct s2_vmid_vcpu before = *last;

    MAPPING_ASSERT(number != S2_VMID_NOBODY);
    MAPPING_ASSERT(atomic_load_explicit(&cpu->leaving, memory_order_relaxed) == 0);

    *last = (struct s2_vmid_vcpu){generation_of(cpu->vmids) | number, vcpu_id};
    if (number_of(before.tag) == number) {
        return before.vcpu_id != vcpu_id;
    }
    return (before.tag & TAG_GENERATION) >= (tag & TAG_GENERATION);
}
