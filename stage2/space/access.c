#include "stage2/space/access.h"

#include "stage2/space/lazy.h"
#include "stage2/table/mapcount.h"
#include "stage2/table/operation.h"

/* What is asked for, and how far it has come. */
struct access {
    struct s2_space *space;
    ipa_t at;
    uint64_t left;
    uint64_t turn;          /* bytes that may be taken before the lock is given back */
    mapping_flags_t wanted; /* S2_READ, S2_WRITE */
    enum s2_right right;
    /* What is done with bytes that are next to each other here. Returns: whether to go on. */
    bool (*take)(struct access *access, void *memory, uint64_t size);
    unsigned char *to;
    const unsigned char *from;
    uint64_t *expected, desired; /* cmpxchg */
    struct s2_pin *pin;          /* in place of take: nothing is done, it is only held */
    uint64_t taken;              /* of the last stretch, where it did not go on */
};

/* Words that a guest may be changing meanwhile are one access, if aligned; others it may find, or have,
 * in parts. */
#define IS_WORD(type, ptr, size) \
    ((size) == sizeof(type) && ((uintptr_t)(ptr) & (sizeof(type) - 1)) == 0)

#define LOAD_WORD(type)                                                          \
    do {                                                                         \
        const type word = __atomic_load_n((const type *)from, __ATOMIC_RELAXED); \
                                                                                 \
        __builtin_memcpy(to, &word, sizeof(word));                               \
        return;                                                                  \
    } while (0)

static void load(unsigned char *to, const void *from, uint64_t size)
{
    if (IS_WORD(uint64_t, from, size)) {
        LOAD_WORD(uint64_t);
    }
    if (IS_WORD(uint32_t, from, size)) {
        LOAD_WORD(uint32_t);
    }
    if (IS_WORD(uint16_t, from, size)) {
        LOAD_WORD(uint16_t);
    }
    __builtin_memcpy(to, from, (size_t)size);
}

#define STORE_WORD(type)                                      \
    do {                                                      \
        type word;                                            \
                                                              \
        __builtin_memcpy(&word, from, sizeof(word));          \
        __atomic_store_n((type *)to, word, __ATOMIC_RELAXED); \
        return;                                               \
    } while (0)

static void store(void *to, const unsigned char *from, uint64_t size)
{
    if (IS_WORD(uint64_t, to, size)) {
        STORE_WORD(uint64_t);
    }
    if (IS_WORD(uint32_t, to, size)) {
        STORE_WORD(uint32_t);
    }
    if (IS_WORD(uint16_t, to, size)) {
        STORE_WORD(uint16_t);
    }
    __builtin_memcpy(to, from, (size_t)size);
}

static bool take_read(struct access *access, void *memory, uint64_t size)
{
    MAPPING_ASSERT(access->to != NULL);
    load(access->to, memory, size);
    access->to += size;
    return true;
}

static bool take_write(struct access *access, void *memory, uint64_t size)
{
    MAPPING_ASSERT(access->from != NULL);
    store(memory, access->from, size);
    access->from += size;
    return true;
}

static bool take_zero(struct access *access, void *memory, uint64_t size)
{
    (void)access;
    __builtin_memset(memory, 0, (size_t)size);
    return true;
}

/* Most are equal: which byte is not is asked once. */
static bool take_compare(struct access *access, void *memory, uint64_t size)
{
    const unsigned char *bytes = memory;
    uint64_t i = 0;

    MAPPING_ASSERT(access->from != NULL);
    if (__builtin_memcmp(memory, access->from, (size_t)size) == 0) {
        access->from += size;
        return true;
    }
    while (i < size && bytes[i] == access->from[i]) {
        i++;
    }
    MAPPING_ASSERT(i <= size);
    access->from += i;
    access->taken = i;
    return i == size; /* the guest has made them equal meanwhile */
}

#define EXCHANGE_ONE(type)                                                                     \
    do {                                                                                       \
        type old = (type)*access->expected;                                                    \
                                                                                               \
        (void)__atomic_compare_exchange_n((type *)(void *)memory, &old, (type)access->desired, \
                                          false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);          \
        *access->expected = old;                                                               \
        return true;                                                                           \
    } while (0)

static bool take_cmpxchg(struct access *access, void *memory, uint64_t size)
{
    MAPPING_ASSERT(mapping_u64_is_aligned((uintptr_t)memory, size)); /* no page ends in it */
    switch (size) {
    case 1:
        EXCHANGE_ONE(uint8_t);
    case 2:
        EXCHANGE_ONE(uint16_t);
    case 4:
        EXCHANGE_ONE(uint32_t);
    default:
        EXCHANGE_ONE(uint64_t);
    }
}

/* --- Stretch by stretch ----------------------------------------------------------------------- */

/* The hardware would set S2AP[1] of a leaf that it tracks; so do we. */
static enum mapping_error mark_dirty(struct s2_table *table, ipa_t at, const struct s2_leaf *leaf)
{
    const uint64_t size = mapping_u64_max(leaf->size, leaf->run);
    const struct s2_request request = {
        .verb = S2_VERB_PROTECT,
        .range = {ipa_align_down(at, size), size},
        .flags = leaf->flags | S2_WRITE,
    };

    MAPPING_ASSERT((leaf->flags & S2_DBM) != 0);
    return s2_table_perform(table, &request);
}

static enum mapping_error check_allowed(const struct access *access, const struct s2_leaf *leaf)
{
    mapping_flags_t flags = leaf->flags;

    if (s2_flags_are_device(flags)) {
        return MAPPING_UNSUPPORTED;
    }
    flags |= (flags & S2_DBM) != 0 ? S2_WRITE : 0; /* writable, and clean */
    return access->right == S2_AS_HOST || (flags & access->wanted) == access->wanted
               ? MAPPING_OK
               : MAPPING_DENIED;
}

/* How memory that a leaf at @at leads to is reached: the tables' pool and the ops, or the pool of a lazy
 * area. @room is for the latter. */
static const struct s2_memory *memory_at(const struct s2_space *space, ipa_t at, pa_t pa,
                                         struct s2_memory *room)
{
    const struct s2_memory *memory = &space->table.memory;
    const struct memory_area *area;

    if (frame_pool_touches(memory->pool, pa, 1)) {
        return memory;
    }
    area = memory_set_find(&space->set, at);
    MAPPING_ASSERT(area != NULL); /* or nothing would be mapped */
    if (s2_area_kind(area) != S2_AREA_LAZY) {
        return memory;
    }
    *room = *memory;
    room->pool = s2_lazy_of(&area->backend)->pool;
    return room;
}

/* A window on what lies in @leaf from the access's place on. *memory: how it was opened; NULL: it is in
 * one frame of the tables' pool, which most are, and needs no more than a look. @room is for memory_at(). */
static enum mapping_error open_leaf(const struct access *access, const struct s2_leaf *leaf,
                                    uint64_t size, struct s2_window *window,
                                    const struct s2_memory **memory, struct s2_memory *room)
{
    const struct frame_pool *pool = access->space->table.memory.pool;
    const uint64_t frame = MAPPING_BIT(frame_pool_shift(pool));
    unsigned char *ptr = frame_pool_ptr(pool, leaf->pa);

    MAPPING_ASSERT(
        ipa_range_has(ipa_range_between(ipa_of(0), access->space->table.end), access->at));
    *memory = NULL;
    if (ptr != NULL && size <= frame - pa_offset(leaf->pa, frame)) {
        *window = (struct s2_window){ptr, size, false};
        return MAPPING_OK;
    }
    *memory = memory_at(access->space, access->at, leaf->pa, room);
    return s2_memory_open(*memory, leaf->pa, size, window);
}

/* Past the caches, where the guest may go past them. */
static enum mapping_error take_leaf(struct access *access, const struct s2_leaf *leaf)
{
    const struct s2_table *table = &access->space->table;
    const bool cleans = s2_table_needs_clean(table, leaf->flags);
    const uint64_t in_leaf = leaf->size - ipa_offset(access->at, leaf->size);
    const uint64_t most = mapping_u64_min(mapping_u64_min(access->left, in_leaf), access->turn);
    const struct s2_memory *memory;
    struct s2_memory room;
    struct s2_window window;
    enum mapping_error error;
    uint64_t size;

    MAPPING_ASSERT(most > 0 && mapping_u64_is_pow2(leaf->size));
    error = open_leaf(access, leaf, most, &window, &memory, &room);
    if (error != MAPPING_OK) {
        return error;
    }
    size = mapping_u64_min(most, window.size);
    if (cleans) {
        s2_memory_clean_window(&table->memory, &window);
    }
    access->taken = size;
    if (!access->take(access, window.ptr, size)) {
        access->left = access->taken;
    }
    if (cleans && (access->wanted & S2_WRITE) != 0) {
        s2_memory_clean_window(&table->memory, &window);
    }
    if (memory != NULL) {
        s2_memory_close(memory, &window);
    }
    MAPPING_ASSERT(access->taken <= size && access->taken <= access->left);
    access->at = ipa_add(access->at, access->taken);
    access->left -= access->taken;
    access->turn -= access->taken;
    return MAPPING_OK;
}

/* Whether all of it is counted that could be freed behind our back. */
static bool can_be_pinned(const struct access *access, pa_t pa, uint64_t size)
{
    const struct memory_area *area = memory_set_find(&access->space->set, access->at);

    return area != NULL && (s2_area_kind(area) != S2_AREA_LAZY ||
                            s2_mapcount_has_frames(&access->space->table, pa, size));
}

/* The granules that [@pa, @pa + @size) touches. */
static uint64_t granules_of(const struct s2_table *table, pa_t pa, uint64_t size, pa_t *first)
{
    const uint64_t granule = s2_granule_size(&table->geometry);

    MAPPING_ASSERT(size > 0);
    *first = pa_align_down(pa, granule);
    return mapping_u64_align_down(pa_distance(*first, pa) + size + granule - 1, granule);
}

/* As much of @leaf as lies in one piece here, too. */
static enum mapping_error pin_leaf(struct access *access, const struct s2_leaf *leaf)
{
    const struct s2_table *table = &access->space->table;
    const uint64_t in_leaf = leaf->size - ipa_offset(access->at, leaf->size);
    struct s2_memory room;
    const struct s2_memory *memory = memory_at(access->space, access->at, leaf->pa, &room);
    struct s2_pin pin = {leaf->pa, mapping_u64_min(access->left, in_leaf),
                         frame_pool_ptr(memory->pool, leaf->pa)};
    enum mapping_error error;
    uint64_t size;
    pa_t first;

    if (pin.ptr != NULL) {
        struct s2_window window;

        error = s2_memory_open(memory, pin.pa, pin.size, &window);
        MAPPING_ASSERT(error == MAPPING_OK && !window.is_opened);
        pin.size = window.size;
    }
    size = granules_of(table, pin.pa, pin.size, &first);
    if (!can_be_pinned(access, first, size)) {
        return MAPPING_UNSUPPORTED;
    }
    error = s2_mapcount_add(table, first, size);
    MAPPING_ASSERT(pin.size > 0 && pin.size <= access->left);
    if (error == MAPPING_OK) {
        *access->pin = pin;
        access->left = 0;
    }
    return error;
}

void s2_space_unpin(struct s2_space *space, const struct s2_pin *pin)
{
    pa_t first;
    const uint64_t size = granules_of(&space->table, pin->pa, pin->size, &first);

    MAPPING_ASSERT(pin->size > 0);
    s2_mapcount_drop(&space->table, first, size);
}

static bool is_clean(const struct access *access, const struct s2_leaf *leaf)
{
    return (access->wanted & S2_WRITE) != 0 && (leaf->flags & (S2_DBM | S2_WRITE)) == S2_DBM;
}

static enum mapping_error take_mapped(struct access *access, const struct s2_leaf *leaf)
{
    enum mapping_error error = check_allowed(access, leaf);

    if (error == MAPPING_OK && is_clean(access, leaf)) {
        error = mark_dirty(&access->space->table, access->at, leaf);
    }
    if (error != MAPPING_OK) {
        return error;
    }
    return access->pin != NULL ? pin_leaf(access, leaf) : take_leaf(access, leaf);
}

/* Where nothing is mapped. *missing: an area that has to be filled first, a copy. */
static enum mapping_error take_missing(const struct access *access, struct memory_area *missing,
                                       bool *is_missing)
{
    const struct memory_area *area = memory_set_find(&access->space->set, access->at);
    struct s2_leaf leaf;

    if (area == NULL) {
        return MAPPING_NOT_FOUND;
    }
    if ((area->flags & S2_AREA_EMPTY) != 0) {
        return MAPPING_DENIED;
    }
    if (s2_backend_ops_of(&area->backend)->fill == NULL) {
        return MAPPING_NOT_FOUND;
    }
    MAPPING_ASSERT((area->flags & ~S2_ALL_FLAGS) == 0);
    leaf.flags = area->flags;
    *missing = *area;
    *is_missing = true;
    return check_allowed(access, &leaf);
}

/* Under the lock. */
static enum mapping_error take_next(struct access *access, struct memory_area *missing,
                                    bool *is_missing)
{
    struct s2_leaf leaf;
    const enum mapping_error error = s2_table_lookup(&access->space->table, access->at, &leaf);

    *is_missing = false;
    if (error == MAPPING_OK) {
        return take_mapped(access, &leaf);
    }
    /* Beyond the input size there is nothing, too. */
    return error == MAPPING_BAD_STATE ? error : take_missing(access, missing, is_missing);
}

/* Whoever put memory there first, or changed the area: the next look tells. */
static enum mapping_error fill(struct access *access, const struct memory_area *area)
{
    const enum mapping_error error =
        s2_backend_ops_of(&area->backend)->fill(access->space, area, access->at);

    return error == MAPPING_ALREADY_EXISTS || error == MAPPING_NOT_FOUND ? MAPPING_OK : error;
}

static enum mapping_error perform(struct access *access, size_t *done)
{
    const ipa_t start = access->at;
    enum mapping_error error = MAPPING_OK;

    MAPPING_ASSERT((access->take != NULL) == (access->pin == NULL) && access->wanted != 0);
    if (ipa_range_wraps((struct ipa_range){start, access->left})) {
        error = MAPPING_INVALID_PARAM;
    }
    while (error == MAPPING_OK && access->left > 0) {
        struct memory_area missing;
        bool is_missing;

        mapping_lock_acquire(&access->space->lock);
        access->turn = S2_ACCESS_CHUNK;
        do {
            error = take_next(access, &missing, &is_missing);
        } while (error == MAPPING_OK && !is_missing && access->left > 0 && access->turn > 0);
        mapping_lock_release(&access->space->lock);
        if (error == MAPPING_OK && is_missing) {
            error = fill(access, &missing);
        }
    }
    if (done != NULL) {
        *done = (size_t)ipa_distance(start, access->at);
    }
    return error;
}

/* --- What the host does ----------------------------------------------------------------------- */

/* From @ipa on, nothing of it done yet; @wanted: what has to be allowed. */
static inline struct access access_at(struct s2_space *space, ipa_t ipa, uint64_t size,
                                      enum s2_right right, mapping_flags_t wanted)
{
    return (struct access){
        .space = space, .at = ipa, .left = size, .wanted = wanted, .right = right};
}

enum mapping_error s2_space_read(struct s2_space *space, ipa_t ipa, void *bytes, size_t size,
                                 enum s2_right right, size_t *done)
{
    struct access access = access_at(space, ipa, size, right, S2_READ);

    access.take = take_read;
    access.to = bytes;
    return perform(&access, done);
}

enum mapping_error s2_space_write(struct s2_space *space, ipa_t ipa, const void *bytes, size_t size,
                                  enum s2_right right, size_t *done)
{
    struct access access = access_at(space, ipa, size, right, S2_WRITE);

    access.take = take_write;
    access.from = bytes;
    return perform(&access, done);
}

enum mapping_error s2_space_zero(struct s2_space *space, ipa_t ipa, size_t size,
                                 enum s2_right right, size_t *done)
{
    struct access access = access_at(space, ipa, size, right, S2_WRITE);

    access.take = take_zero;
    return perform(&access, done);
}

enum mapping_error s2_space_compare(struct s2_space *space, ipa_t ipa, const void *bytes,
                                    size_t size, enum s2_right right, size_t *done)
{
    struct access access = access_at(space, ipa, size, right, S2_READ);

    access.take = take_compare;
    access.from = bytes;
    return perform(&access, done);
}

enum mapping_error s2_space_pin(struct s2_space *space, ipa_t ipa, uint64_t size,
                                mapping_flags_t flags, enum s2_right right, struct s2_pin *pin)
{
    struct access access = access_at(space, ipa, size, right, flags);

    if (size == 0 || flags == 0 || (flags & ~(S2_READ | S2_WRITE)) != 0) {
        return MAPPING_INVALID_PARAM;
    }
    access.pin = pin;
    return perform(&access, NULL);
}

enum mapping_error s2_space_cmpxchg(struct s2_space *space, ipa_t ipa, size_t size,
                                    uint64_t *expected, uint64_t desired, enum s2_right right)
{
    struct access access = access_at(space, ipa, size, right, S2_READ | S2_WRITE);
    uint64_t word = *expected;
    enum mapping_error error;

    if (size > sizeof(uint64_t) || !mapping_u64_is_pow2(size) || !ipa_is_aligned(ipa, size)) {
        return MAPPING_INVALID_PARAM;
    }
    access.take = take_cmpxchg;
    access.expected = &word;
    access.desired = desired;
    error = perform(&access, NULL);
    if (error == MAPPING_OK) {
        *expected = word;
    }
    return error;
}
