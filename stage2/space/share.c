#include "stage2/space/share.h"

#include "stage2/space/verbs.h"
#include "stage2/table/mapcount.h"

/* Whether frames that the owner's tables count are counted by the other's as well: else they could be
 * freed while it has them. */
static bool counts_alike(const struct s2_space *owner, const struct s2_space *with,
                         const struct s2_pin *pin)
{
    MAPPING_ASSERT(pin->size > 0);
    return !s2_mapcount_has_frames(&owner->table, pin->pa, pin->size) ||
           s2_mapcount_has_frames(&with->table, pin->pa, pin->size);
}

/* The next piece of @range, mapped; *size: of it. The pin keeps it from going meanwhile, as no two
 * spaces are locked at once. */
static enum mapping_error share_piece(struct s2_space *owner, struct ipa_range range,
                                      struct s2_space *with, ipa_t at, mapping_flags_t flags,
                                      uint64_t *size)
{
    enum mapping_error error;
    struct s2_pin pin;

    error = s2_space_pin(owner, range.start, range.size, S2_READ, S2_AS_HOST, &pin);
    if (error != MAPPING_OK) {
        return error;
    }
    MAPPING_ASSERT(pin.size > 0 && pin.size <= range.size);
    *size = pin.size;
    error = counts_alike(owner, with, &pin)
                ? s2_space_map_linear(with, (struct ipa_range){at, pin.size}, pin.pa, flags)
                : MAPPING_UNSUPPORTED;
    s2_space_unpin(owner, &pin);
    return error;
}

static void take_back(struct s2_space *with, ipa_t at, ipa_t end)
{
    if (ipa_lt(at, end)) {
        /* All of it is areas of its own: nothing is split, unless another call has folded them. */
        const enum mapping_error error = s2_space_unmap(with, ipa_range_between(at, end));

        (void)error;
    }
}

enum mapping_error s2_space_share(struct s2_space *owner, struct ipa_range range,
                                  struct s2_space *with, ipa_t at, mapping_flags_t flags)
{
    const uint64_t granule = s2_granule_size(s2_table_geometry(s2_space_table(with)));
    const ipa_t start = at;
    enum mapping_error error = MAPPING_OK;

    MAPPING_ASSERT(owner != NULL && with != NULL);
    if (!ipa_range_is_valid(range) || !ipa_range_is_aligned(range, granule) ||
        ipa_range_wraps((struct ipa_range){at, range.size})) {
        return MAPPING_INVALID_PARAM;
    }
    while (error == MAPPING_OK && range.size > 0) {
        uint64_t size = 0;

        error = share_piece(owner, range, with, at, flags, &size);
        if (error == MAPPING_OK) {
            range = (struct ipa_range){ipa_add(range.start, size), range.size - size};
            at = ipa_add(at, size);
        }
    }
    if (error != MAPPING_OK) {
        take_back(with, start, at);
    }
    return error;
}
