#include "hyp/story/small.h"

#include "hyp/machine/panic.h"
#include "hyp/vm/format.h"

#define RW (S2_READ | S2_WRITE)

_Static_assert(SMALL_BLOCK_IPA % SMALL_BLOCK_SIZE == 0, "a block is aligned");
_Static_assert(SMALL_PAGES_IPA % SMALL_CODE_SIZE == SMALL_PAGE, "PAs are aligned, IPAs are not");

const struct turns_place small_place = {.data = SMALL_BLOCK_IPA, .code = SMALL_CODE_IPA};

struct s2_config small_config(void)
{
    return format_config(&formats[0], SMALL_IPA_BITS);
}

void small_init(struct guest *guest, const char *name, const struct s2_config *config)
{
    guest_init(guest, name, config);
    guest->is_quiet = true;
    guest_add_ram(guest, ipa_range(SMALL_BLOCK_IPA, SMALL_BLOCK_SIZE), RW);
    guest_add_ram(guest, ipa_range(SMALL_PAGES_IPA, SMALL_PAGES_SIZE), RW);
    guest_add_ram(guest, ipa_range(SMALL_CODE_IPA, SMALL_CODE_SIZE), RW | S2_EXEC);
}

bool small_make(struct guest *guest, const char *name, const struct s2_config *config)
{
    small_init(guest, name, config);
    return guest_boot(guest).outcome == GUEST_DONE;
}

pa_t small_pa(struct guest *guest, struct ipa_range range)
{
    struct s2_leaf leaf;

    if (s2_space_lookup(&guest->space, range.start, &leaf) != MAPPING_OK) {
        panic("a small guest has lost an area");
    }
    return leaf.pa;
}

bool small_is_refused(struct guest *guest, enum s2_access access, enum s2_fault_kind kind,
                      ipa_t ipa)
{
    struct guest_result result =
        access == S2_ACCESS_WRITE ? guest_write(guest, ipa, 0) : guest_read(guest, ipa);

    if (result.outcome != GUEST_ABORTED) {
        return false;
    }
    guest_pass(guest);
    return result.abort.access == access && result.abort.kind == kind && result.abort.has_ipa &&
           ipa_eq(result.abort.ipa, ipa);
}

bool small_reads(struct guest *guest, ipa_t ipa, uint64_t word)
{
    struct guest_result result = guest_read(guest, ipa);

    if (result.outcome == GUEST_ABORTED) {
        guest_pass(guest);
        return false;
    }
    return result.outcome == GUEST_DONE && result.answer == word;
}
