#include "stage2/space/fault.h"

#include "stage2/space/locked.h"
#include "stage2/table/operation.h"
#include "stage2/table/recover.h"
#include "stage2/table/trap.h"

#define ZERO_REGISTER 31U

/* What there is where the guest faulted. */
struct place {
    bool has_area;
    struct memory_area area; /* a copy: the lock is given back */
    enum mapping_error found;
    struct s2_leaf leaf; /* found: MAPPING_OK */
};

static struct s2_answer answer_of(const struct s2_fault *fault, enum s2_verdict verdict)
{
    return (struct s2_answer){
        .verdict = verdict,
        .ipa = fault->ipa,
        .advance = fault->is_short ? 2 : 4,
    };
}

static struct s2_answer retry(const struct s2_fault *fault, enum s2_retry why)
{
    struct s2_answer answer = answer_of(fault, S2_VERDICT_RETRY);

    MAPPING_ASSERT(why != S2_RETRY_NONE);
    answer.retry = why;
    return answer;
}

/* And what the area says of itself. */
static struct s2_answer answer_in(const struct s2_fault *fault, const struct memory_area *area,
                                  enum s2_verdict verdict)
{
    struct s2_answer answer = answer_of(fault, verdict);

    answer.range = area->range;
    answer.kind = s2_area_kind(area);
    answer.flags = area->flags & ~S2_AREA_EMPTY;
    answer.tag = area->tag;
    return answer;
}

/* What an area, or a leaf, allows: what hardware marks as it is written may be written. */
static mapping_flags_t allows(mapping_flags_t flags)
{
    return (flags & S2_DBM) != 0 ? flags | S2_WRITE : flags;
}

static mapping_flags_t wanted_by(const struct s2_fault *fault)
{
    switch (fault->access) {
    case S2_ACCESS_READ:
        return S2_READ;
    case S2_ACCESS_WRITE: /* a walk reads what it writes */
        return fault->on_walk ? S2_READ | S2_WRITE : S2_WRITE;
    case S2_ACCESS_FETCH:
        return S2_EXEC; /* at EL1 or EL0: the fault does not say */
    case S2_ACCESS_CLEAN:
        break;
    }
    return 0;
}

static bool is_allowed(const struct s2_fault *fault, mapping_flags_t flags)
{
    const mapping_flags_t wanted = wanted_by(fault);

    if (wanted == S2_EXEC && fault->kind != S2_FAULT_PERMISSION) {
        return (flags & S2_EXEC) != 0; /* hardware knows whose it is, and says so then */
    }
    return (allows(flags) & wanted) == wanted;
}

static struct s2_answer refuse(const struct s2_fault *fault, const struct memory_area *area)
{
    const bool is_readable = !fault->on_walk || (area->flags & S2_READ) != 0;
    const bool is_write =
        fault->access == S2_ACCESS_WRITE && is_readable && (allows(area->flags) & S2_WRITE) == 0;

    return answer_in(fault, area, is_write ? S2_VERDICT_READ_ONLY : S2_VERDICT_PERMISSION);
}

/* --- Where nothing is mapped by design -------------------------------------------------------- */

static struct s2_answer emulate(const struct s2_fault *fault, const struct memory_area *area)
{
    struct s2_answer answer;

    if (fault->on_walk || fault->access == S2_ACCESS_FETCH) {
        return answer_in(fault, area, S2_VERDICT_PERMISSION);
    }
    MAPPING_ASSERT(s2_area_kind(area) == S2_AREA_TRAP && fault->has_ipa);
    answer = answer_in(fault, area, S2_VERDICT_EMULATE);
    answer.offset = ipa_distance(ipa_of(area->backend.cookie), fault->ipa);
    answer.is_write = fault->access == S2_ACCESS_WRITE;
    answer.transfer = fault->transfer;
    return answer;
}

/* A clean of what has no memory has nothing to do: hardware would not mind either. */
static struct s2_answer without_memory(const struct s2_fault *fault, const struct place *place)
{
    MAPPING_ASSERT(place->found != MAPPING_OK);
    if (fault->access == S2_ACCESS_CLEAN &&
        !(place->has_area && s2_area_kind(&place->area) == S2_AREA_GUARD)) {
        return answer_of(fault, S2_VERDICT_SKIP);
    }
    if (!place->has_area) {
        return answer_of(fault, S2_VERDICT_HOLE);
    }
    return s2_area_kind(&place->area) == S2_AREA_TRAP
               ? emulate(fault, &place->area)
               : answer_in(fault, &place->area, S2_VERDICT_GUARD);
}

/* --- Where memory is, or is to be ------------------------------------------------------------- */

static struct s2_answer fail(const struct s2_fault *fault, const struct memory_area *area,
                             enum mapping_error error)
{
    struct s2_answer answer = answer_in(fault, area, S2_VERDICT_FAILED);

    MAPPING_ASSERT(error != MAPPING_OK);
    answer.error = error;
    return answer;
}

/* Who was first may have taken the last frame: for this page. */
static bool is_there(struct s2_space *space, ipa_t ipa)
{
    struct s2_leaf leaf;

    return s2_space_lookup(space, ipa, &leaf) == MAPPING_OK;
}

static struct s2_answer fill(struct s2_space *space, const struct s2_fault *fault,
                             const struct memory_area *area)
{
    const struct s2_backend_ops *ops = s2_backend_ops_of(&area->backend);
    enum mapping_error error;

    MAPPING_ASSERT(ops->fill != NULL);
    MAPPING_ASSERT(ipa_range_has(area->range, fault->ipa));
    if (fault->access == S2_ACCESS_CLEAN) {
        return answer_of(fault, S2_VERDICT_SKIP);
    }
    if (!is_allowed(fault, area->flags)) {
        return refuse(fault, area);
    }
    error = ops->fill(space, area, fault->ipa);
    if (error == MAPPING_OK) {
        return retry(fault, S2_RETRY_FILLED);
    }
    if (error == MAPPING_ALREADY_EXISTS || error == MAPPING_NOT_FOUND ||
        (error == MAPPING_NO_FRAME && is_there(space, fault->ipa))) {
        return retry(fault, S2_RETRY_RACED);
    }
    return fail(fault, area, error);
}

/* The whole leaf has been accessed: it has one flag. The area keeps S2_NO_AF, for what is made later.
 * Returns: what refused: a run goes by break-before-make, which may not be allowed. */
static enum mapping_error set_accessed(struct s2_space *space, const struct s2_fault *fault)
{
    struct s2_table *table = &space->table;
    enum mapping_error error = MAPPING_OK;
    struct s2_leaf leaf;

    s2_space_enter_call(space);
    if (s2_table_lookup(table, fault->ipa, &leaf) == MAPPING_OK && (leaf.flags & S2_NO_AF) != 0) {
        const uint64_t size = mapping_u64_max(leaf.size, leaf.run);
        const struct s2_request request = {
            .verb = S2_VERB_PROTECT,
            .range = {ipa_align_down(fault->ipa, size), size},
            .flags = leaf.flags & ~S2_NO_AF,
        };

        MAPPING_ASSERT(mapping_u64_is_pow2(size));
        error = s2_table_perform(table, &request);
    }
    s2_space_leave_call(space);
    return error;
}

/* Where a leaf is, which does not allow it as it is. */
static struct s2_answer mapped(struct s2_space *space, const struct s2_fault *fault,
                               const struct place *place)
{
    MAPPING_ASSERT(place->has_area && place->found == MAPPING_OK);
    if (fault->kind == S2_FAULT_ALIGNMENT) {
        return answer_in(fault, &place->area, S2_VERDICT_ALIGNMENT);
    }
    if ((place->leaf.flags & S2_NO_AF) != 0 && fault->kind == S2_FAULT_ACCESS_FLAG) {
        const enum mapping_error error = set_accessed(space, fault);

        return error == MAPPING_OK ? retry(fault, S2_RETRY_ACCESSED)
                                   : fail(fault, &place->area, error);
    }
    if (fault->access == S2_ACCESS_CLEAN) {
        return answer_of(fault, S2_VERDICT_SKIP);
    }
    return refuse(fault, &place->area);
}

/* The tables say otherwise than the fault did: somebody has put the page there since; what is not valid
 * is in no TLB. Or this CPU's TLB remembers what is no more. */
static struct s2_answer allowed(struct s2_space *space, const struct s2_fault *fault)
{
    if (fault->kind == S2_FAULT_TRANSLATION) {
        return retry(fault, S2_RETRY_RACED);
    }
    MAPPING_ASSERT(fault->has_ipa);
    s2_table_refresh(&space->table, fault->ipa);
    return retry(fault, S2_RETRY_STALE);
}

/* --- The verdict ------------------------------------------------------------------------------ */

/* Whether a fault says something that the leaf confirms: then no look at permissions is needed. */
static bool is_confirmed(const struct s2_fault *fault, mapping_flags_t flags)
{
    switch (fault->kind) {
    case S2_FAULT_ALIGNMENT:
        return s2_flags_are_device(flags);
    case S2_FAULT_ACCESS_FLAG:
        return (flags & S2_NO_AF) != 0;
    case S2_FAULT_PERMISSION:
        return fault->access == S2_ACCESS_CLEAN &&
               (flags & (S2_READ | S2_WRITE)) != (S2_READ | S2_WRITE);
    case S2_FAULT_NONE:
    case S2_FAULT_ADDRESS_SIZE:
    case S2_FAULT_TRANSLATION:
    case S2_FAULT_TLB_CONFLICT:
    case S2_FAULT_UPDATE:
    case S2_FAULT_EXTERNAL:
    case S2_FAULT_OTHER:
        break;
    }
    return false;
}

/* Whether @place is one that would be reached: then the fault is no more, or never was. */
static bool is_reached(const struct s2_fault *fault, const struct place *place)
{
    return place->found == MAPPING_OK && !is_confirmed(fault, place->leaf.flags) &&
           is_allowed(fault, place->leaf.flags);
}

enum look { LOOK_TRAPPED, LOOK_REACHED, LOOK_REFUSED };

/* LOOK_TRAPPED: it is let through. LOOK_REACHED: @place has no area, as nobody needs to know. */
static enum look look(struct s2_space *space, const struct s2_fault *fault, struct place *place)
{
    const struct memory_area *area;
    enum look seen = LOOK_TRAPPED;

    mapping_lock_acquire(&space->lock);
    if (fault->kind != S2_FAULT_TRANSLATION || !s2_table_untrap(&space->table, fault->ipa)) {
        place->found = s2_table_lookup(&space->table, fault->ipa, &place->leaf);
        seen = is_reached(fault, place) ? LOOK_REACHED : LOOK_REFUSED;
    }
    if (seen == LOOK_REFUSED) {
        area = memory_set_find(&space->set, fault->ipa);
        place->has_area = area != NULL;
        if (area != NULL) {
            place->area = *area;
        }
    }
    mapping_lock_release(&space->lock);
    return seen;
}

static struct s2_answer judge_place(struct s2_space *space, const struct s2_fault *fault)
{
    struct place place;
    const enum look seen = look(space, fault, &place);

    if (seen != LOOK_REFUSED) {
        return seen == LOOK_REACHED ? allowed(space, fault) : retry(fault, S2_RETRY_TRAPPED);
    }
    if (place.found == MAPPING_BAD_STATE) {
        return retry(fault, S2_RETRY_BROKEN);
    }
    if (!place.has_area || (place.area.flags & S2_AREA_EMPTY) != 0) {
        return without_memory(fault, &place);
    }
    if (place.found == MAPPING_OK) {
        return mapped(space, fault, &place);
    }
    if (s2_backend_ops_of(&place.area.backend)->fill != NULL) {
        return fill(space, fault, &place.area);
    }
    return answer_in(fault, &place.area,
                     s2_area_kind(&place.area) == S2_AREA_OWN ? S2_VERDICT_OWN : S2_VERDICT_HOLE);
}

static struct s2_answer judge(struct s2_space *space, const struct s2_fault *fault)
{
    switch (fault->kind) {
    case S2_FAULT_NONE:
    case S2_FAULT_OTHER:
        return answer_of(fault, S2_VERDICT_FOREIGN);
    case S2_FAULT_EXTERNAL:
    case S2_FAULT_UPDATE:
        return answer_of(fault, S2_VERDICT_EXTERNAL);
    case S2_FAULT_TLB_CONFLICT:
        s2_table_recover_conflict(&space->table);
        return retry(fault, S2_RETRY_CONFLICT);
    case S2_FAULT_ADDRESS_SIZE:
    case S2_FAULT_TRANSLATION:
    case S2_FAULT_ACCESS_FLAG:
    case S2_FAULT_PERMISSION:
    case S2_FAULT_ALIGNMENT:
        break;
    }
    if (!fault->has_ipa) {
        return fault->has_va ? retry(fault, S2_RETRY_GONE)
                             : answer_of(fault, S2_VERDICT_PERMISSION);
    }
    return judge_place(space, fault);
}

struct s2_answer s2_space_handle_fault(struct s2_space *space, const struct s2_fault *fault)
{
    struct s2_answer answer;

    MAPPING_ASSERT(space != NULL && fault != NULL);
    answer = judge(space, fault);
    MAPPING_ASSERT((answer.verdict == S2_VERDICT_RETRY) == (answer.retry != S2_RETRY_NONE));
    (void)MAPPING_ATOMIC_FETCH_ADD(&space->faults[answer.verdict], 1, relaxed);
    return answer;
}

uint64_t s2_space_fault_count(const struct s2_space *space, enum s2_verdict verdict)
{
    MAPPING_ASSERT((unsigned)verdict < S2_SPACE_VERDICTS);
    return MAPPING_ATOMIC_LOAD(&space->faults[verdict], relaxed);
}

const char *s2_verdict_name(enum s2_verdict verdict)
{
    static const char *const names[] = {
        [S2_VERDICT_RETRY] = "retry",
        [S2_VERDICT_SKIP] = "skip",
        [S2_VERDICT_EMULATE] = "emulate",
        [S2_VERDICT_READ_ONLY] = "read-only",
        [S2_VERDICT_PERMISSION] = "permission",
        [S2_VERDICT_ALIGNMENT] = "alignment",
        [S2_VERDICT_GUARD] = "guard",
        [S2_VERDICT_HOLE] = "hole",
        [S2_VERDICT_OWN] = "own",
        [S2_VERDICT_FAILED] = "failed",
        [S2_VERDICT_EXTERNAL] = "external",
        [S2_VERDICT_FOREIGN] = "foreign",
    };

    MAPPING_ASSERT((unsigned)verdict < S2_SPACE_VERDICTS);
    return names[verdict];
}

/* --- Registers -------------------------------------------------------------------------------- */

uint64_t s2_transfer_stored(const struct s2_transfer *transfer, const uint64_t x[31])
{
    MAPPING_ASSERT(transfer->is_valid);
    MAPPING_ASSERT(transfer->reg <= ZERO_REGISTER);
    if (transfer->reg >= ZERO_REGISTER) {
        return 0;
    }
    return x[transfer->reg] & MAPPING_FIELD(8 * transfer->bytes - 1, 0);
}

void s2_transfer_load(const struct s2_transfer *transfer, uint64_t x[31], uint64_t value)
{
    MAPPING_ASSERT(transfer->is_valid);
    MAPPING_ASSERT(transfer->reg <= ZERO_REGISTER);
    if (transfer->reg < ZERO_REGISTER) {
        x[transfer->reg] = s2_transfer_extend(transfer, value);
    }
}
