#include "stage2/arch/sink.h"

#include "core/assert.h"
#include "core/bits.h"

#define WORD_BITS 64U

/* Bits [@first, @end) of one word, @end at most 64. */
static uint64_t bits_between(unsigned first, unsigned end)
{
    MAPPING_ASSERT(first < end && end <= WORD_BITS);
    return (UINT64_MAX >> (WORD_BITS - (end - first))) << first;
}

static void set_bits(uint64_t *words, size_t first, size_t end)
{
    while (first < end) {
        const size_t word = first / WORD_BITS;
        const size_t stop = end < (word + 1) * WORD_BITS ? end : (word + 1) * WORD_BITS;

        words[word] |=
            bits_between((unsigned)(first % WORD_BITS), (unsigned)(stop - word * WORD_BITS));
        first = stop;
    }
}

/* Pages that @range touches, as far as there are bits for them. */
void s2_state_bitmap_note(void *bitmap, struct ipa_range range, unsigned state)
{
    const struct s2_state_bitmap *to = bitmap;
    const struct ipa_range all = {to->start, (uint64_t)to->page_count << to->shift};
    struct ipa_range part;

    MAPPING_ASSERT(ipa_is_aligned(to->start, MAPPING_BIT(to->shift)));
    if ((state & to->states) == 0 || !ipa_range_overlaps(all, range)) {
        return;
    }
    part = ipa_range_meet(all, range);
    set_bits(to->words, (size_t)(ipa_distance(to->start, part.start) >> to->shift),
             (size_t)(ipa_distance(to->start, ipa_range_last(part)) >> to->shift) + 1);
}
