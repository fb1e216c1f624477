#include "stage2/space/backend.h"

#include "stage2/table/lookup.h"
#include "stage2/table/mapcount.h"
#include "stage2/table/operation.h"
#include "stage2/table/page.h"

struct mapping_backend s2_linear_backend(ipa_t start, pa_t pa)
{
    return (struct mapping_backend){.ops = &s2_linear_ops.set, .cookie = pa_minus_ipa(pa, start)};
}

pa_t s2_linear_pa(const struct mapping_backend *backend, ipa_t addr)
{
    MAPPING_ASSERT(backend->ops == &s2_linear_ops.set);

    return ipa_plus_offset(addr, backend->cookie);
}

enum mapping_error s2_backend_begin(void *page_table)
{
    MAPPING_ASSERT(page_table != NULL);

    s2_table_begin(page_table);
    return MAPPING_OK;
}

void s2_backend_end(void *page_table, enum mapping_error outcome)
{
    (void)outcome; /* nothing was done, or all of it was: either way the rest goes back */
    s2_table_end(page_table);
}

/* From here on nobody frees it. One map is held at a time. */
static enum mapping_error hold_frames(struct s2_table *table, pa_t pa, uint64_t size)
{
    enum mapping_error error;

    MAPPING_ASSERT(table->operation.counted.size == 0);
    error = s2_mapcount_add(table, pa, size);
    if (error == MAPPING_OK) {
        table->operation.counted = (struct s2_reclaim){pa, size, S2_RECLAIM_DROP};
    }
    return error;
}

static enum mapping_error hold_map(const struct s2_request *request, struct s2_table *table)
{
    enum mapping_error error = s2_table_hold(table, request);

    if (error == MAPPING_OK) {
        error = hold_frames(table, request->pa, request->range.size);
    }
    if (error != MAPPING_OK || !s2_table_needs_clean(table, request->flags)) {
        return error;
    }
    return s2_memory_clean(&table->memory, request->pa, request->range.size);
}

/* The request of a step over @range of an area. */
static struct s2_request linear_request(const struct mapping_backend *self, enum mapping_step step,
                                        struct ipa_range range, mapping_flags_t flags)
{
    static const enum s2_verb verbs[] = {
        [MAPPING_STEP_MAP] = S2_VERB_MAP,
        [MAPPING_STEP_UNMAP] = S2_VERB_UNMAP,
        [MAPPING_STEP_PROTECT] = S2_VERB_PROTECT,
    };

    MAPPING_ASSERT(step <= MAPPING_STEP_PROTECT);
    return (struct s2_request){
        .verb = verbs[step],
        .range = range,
        .pa = s2_linear_pa(self, range.start),
        .flags = flags,
    };
}

static enum mapping_error linear_reserve(const struct mapping_backend *self,
                                         const struct mapping_change *change, void *page_table)
{
    const struct s2_request request =
        linear_request(self, change->step, change->range, change->new_flags);

    return change->step == MAPPING_STEP_MAP ? hold_map(&request, page_table)
                                            : s2_table_hold(page_table, &request);
}

/* Remember that the guest had the memory from @pa on, and has until the flush. */
static void take_back(struct s2_table *table, pa_t pa, uint64_t size)
{
    struct s2_operation *operation = &table->operation;
    const bool is_first = pa_eq(operation->taken, operation->taken_end);

    operation->taken = is_first ? pa : pa_min(operation->taken, pa);
    operation->taken_end = pa_max(operation->taken_end, pa_add(pa, size));
    MAPPING_ASSERT(pa_lt(operation->taken, operation->taken_end));
}

/* Whether it had any of it in this operation, or in one whose flush is deferred. */
static bool was_taken_back(const struct s2_table *table, pa_t pa, uint64_t size)
{
    return pa_lt(pa, table->operation.taken_end) && pa_lt(table->operation.taken, pa_add(pa, size));
}

static enum mapping_error linear_map(const struct mapping_backend *self, struct ipa_range range,
                                     mapping_flags_t flags, void *page_table)
{
    const struct s2_request request = linear_request(self, MAPPING_STEP_MAP, range, flags);
    struct s2_table *table = page_table;

    if (s2_table_needs_clean(table, flags) && was_taken_back(table, request.pa, range.size)) {
        /* It was cleaned as it was held, and the guest may have written it through the caches
         * since, until the flush. */
        s2_table_flush(table);
        s2_memory_reclaim(&table->memory, request.pa, range.size);
    }
    s2_table_do(table, &request);
    table->operation.counted.size = 0;
    return MAPPING_OK;
}

/* Whether what @range maps, one area's, went past the caches while the guest had it. Its first leaf
 * tells, which the piece before may have broken, if areas share a block: then it is made first. */
static bool was_uncached(struct s2_table *table, struct ipa_range range)
{
    struct s2_leaf leaf;
    enum mapping_error error;

    if (!s2_table_may_be_uncached(table)) {
        return false;
    }
    error = s2_table_lookup(table, range.start, &leaf);
    if (error == MAPPING_BAD_STATE) {
        s2_table_flush(table);
        error = s2_table_lookup(table, range.start, &leaf);
    }
    MAPPING_ASSERT(error == MAPPING_OK || error == MAPPING_NOT_FOUND);
    return error == MAPPING_OK && s2_table_needs_clean(table, leaf.flags);
}

static enum mapping_error linear_unmap(const struct mapping_backend *self, struct ipa_range range,
                                       void *page_table)
{
    const struct s2_request request = linear_request(self, MAPPING_STEP_UNMAP, range, 0);
    struct s2_table *table = page_table;
    const bool cleans = was_uncached(table, range);
    unsigned what;

    s2_table_do(table, &request);
    take_back(table, request.pa, range.size);
    what = (cleans ? S2_RECLAIM_CLEAN : 0U) |
           (s2_mapcount_has_frames(table, request.pa, range.size) ? S2_RECLAIM_DROP : 0U);
    if (what != 0) {
        s2_table_reclaim(table, request.pa, range.size, what);
    }
    return MAPPING_OK;
}

static enum mapping_error linear_protect(const struct mapping_backend *self, struct ipa_range range,
                                         mapping_flags_t new_flags, void *page_table)
{
    const struct s2_request request = linear_request(self, MAPPING_STEP_PROTECT, range, new_flags);

    s2_table_do(page_table, &request);
    return MAPPING_OK;
}

/* Whether neither caches nor counts of frames have to do with memory that a guest gets or gives
 * back. */
static bool is_plain(struct s2_table *table, const struct s2_request *request)
{
    const bool is_cached = request->verb == S2_VERB_MAP
                               ? !s2_table_needs_clean(table, request->flags)
                               : !s2_table_may_be_uncached(table);

    MAPPING_ASSERT(request->verb == S2_VERB_MAP || request->verb == S2_VERB_UNMAP);
    return is_cached && !s2_mapcount_has_frames(table, request->pa, request->range.size);
}

/* One page, most often. */
static bool linear_only(const struct mapping_backend *self, const struct mapping_change *change,
                        void *page_table)
{
    const struct s2_request request =
        linear_request(self, change->step, change->range, change->new_flags);

    return (request.verb == S2_VERB_PROTECT || is_plain(page_table, &request)) &&
           s2_page_perform(page_table, &request);
}

const struct s2_backend_ops s2_linear_ops = {
    .set =
        {
            .map = linear_map,
            .unmap = linear_unmap,
            .protect = linear_protect,
            .begin = s2_backend_begin,
            .reserve = linear_reserve,
            .end = s2_backend_end,
            .only = linear_only,
        },
    .kind = S2_AREA_LINEAR,
};
