#include "stage2/space/batch.h"

#include "stage2/space/locked.h"
#include "stage2/table/operation.h"

static bool batch_has(const struct s2_batch *batch, const struct s2_space *space)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->spaces[i] == space) {
            return true;
        }
    }
    return false;
}

/* What is deferred there, unless somebody else has flushed it by now. */
static void flush(struct s2_space *space)
{
    s2_space_open(space);
    s2_space_close(space);
}

static void flush_all(struct s2_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        flush(batch->spaces[i]);
    }
    batch->count = 0;
}

void s2_batch_begin(struct s2_batch *batch)
{
    if (batch->is_open) {
        flush_all(batch);
    }
    *batch = (struct s2_batch){.is_open = true};
}

/* Before the space is locked, as to flush is to lock others. */
static void open(struct s2_batch *batch, struct s2_space *space)
{
    MAPPING_ASSERT(batch->is_open);

    if (batch->count == S2_BATCH_SPACES && !batch_has(batch, space)) {
        flush_all(batch);
    }
    s2_space_open(space);
}

static void close(struct s2_batch *batch, struct s2_space *space)
{
    const bool has_deferred = s2_table_end_deferred(&space->table, S2_BATCH_FRAMES);

    mapping_lock_release(&space->lock);
    if (has_deferred && !batch_has(batch, space)) {
        MAPPING_ASSERT(batch->count < S2_BATCH_SPACES);
        batch->spaces[batch->count++] = space;
    }
}

static enum mapping_error attempt(struct s2_batch *batch, struct s2_space *space, s2_locked_fn verb,
                                  const struct s2_request *request)
{
    enum mapping_error error;

    open(batch, space);
    error = verb(space, request);
    close(batch, space);
    return error;
}

/* What is missing may be waiting in a space of this batch, whose pool may be the same. */
static enum mapping_error perform(struct s2_batch *batch, struct s2_space *space, s2_locked_fn verb,
                                  const struct s2_request *request)
{
    enum mapping_error error = attempt(batch, space, verb, request);

    if (error == MAPPING_NO_FRAME && batch->count > 0) {
        flush_all(batch);
        error = attempt(batch, space, verb, request);
    }
    return error;
}

enum mapping_error s2_batch_map_linear(struct s2_batch *batch, struct s2_space *space,
                                       struct ipa_range range, pa_t pa, mapping_flags_t flags)
{
    return perform(batch, space, s2_locked_map,
                   &(struct s2_request){S2_VERB_MAP, range, pa, flags});
}

enum mapping_error s2_batch_replace_linear(struct s2_batch *batch, struct s2_space *space,
                                           struct ipa_range range, pa_t pa, mapping_flags_t flags)
{
    return perform(batch, space, s2_locked_replace,
                   &(struct s2_request){S2_VERB_REPLACE, range, pa, flags});
}

enum mapping_error s2_batch_unmap(struct s2_batch *batch, struct s2_space *space,
                                  struct ipa_range range)
{
    return perform(batch, space, s2_locked_unmap,
                   &(struct s2_request){.verb = S2_VERB_UNMAP, .range = range});
}

enum mapping_error s2_batch_protect(struct s2_batch *batch, struct s2_space *space,
                                    struct ipa_range range, mapping_flags_t flags)
{
    return perform(batch, space, s2_locked_protect,
                   &(struct s2_request){.verb = S2_VERB_PROTECT, .range = range, .flags = flags});
}

void s2_batch_drop(struct s2_batch *batch, struct s2_space *space)
{
    MAPPING_ASSERT(batch->is_open);

    for (size_t i = 0; i < batch->count; i++) {
        if (batch->spaces[i] == space) {
            batch->spaces[i] = batch->spaces[--batch->count];
            return;
        }
    }
}

void s2_batch_end(struct s2_batch *batch)
{
    MAPPING_ASSERT(batch->is_open);

    flush_all(batch);
    batch->is_open = false;
}
