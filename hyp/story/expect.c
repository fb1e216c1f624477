#include "hyp/story/expect.h"

#define FRAME_SIZE MAPPING_BIT(MACHINE_FRAME_SHIFT)

static void note_result(struct guest_result result)
{
    switch (result.outcome) {
    case GUEST_DONE:
        check_note("the guest's answer: 0x%lx", result.answer);
        break;
    case GUEST_ABORTED:
        check_note("EL2 took: %s, %s fault, level %d, IPA 0x%lx%s, ESR 0x%lx",
                   s2_access_name(result.abort.access), s2_fault_kind_name(result.abort.kind),
                   result.abort.level, ipa_number(result.abort.ipa),
                   result.abort.has_ipa ? "" : " (unknown)", result.abort.esr);
        break;
    case GUEST_DIED:
        check_note("the guest died");
        break;
    }
}

bool expect_answer(struct guest_result result, uint64_t answer, const char *what)
{
    bool holds = result.outcome == GUEST_DONE && result.answer == answer;

    check(holds, "%s", what);
    if (!holds) {
        check_note("expected the answer 0x%lx", answer);
        note_result(result);
    }
    return holds;
}

static bool abort_matches(const struct s2_fault *abort, const struct expected_abort *expected)
{
    return abort->access == expected->access && abort->kind == expected->kind &&
           abort->level == expected->level && abort->has_ipa && ipa_eq(abort->ipa, expected->ipa);
}

bool expect_abort(struct guest_result result, struct expected_abort expected, const char *what)
{
    bool holds = result.outcome == GUEST_ABORTED && abort_matches(&result.abort, &expected);

    check(holds, "%s: %s, %s fault at level %d, IPA 0x%lx", what, s2_access_name(expected.access),
          s2_fault_kind_name(expected.kind), expected.level, ipa_number(expected.ipa));
    if (!holds) {
        note_result(result);
    }
    return holds;
}

bool expect_leaf(struct guest *guest, ipa_t ipa, uint64_t size, const char *what)
{
    struct s2_leaf leaf;
    bool found = s2_space_lookup(&guest->space, ipa, &leaf) == MAPPING_OK;
    bool holds = found ? leaf.size == size : size == 0;

    check(holds, "%s", what);
    if (!holds) {
        check_note("IPA 0x%lx is %s of 0x%lx bytes", ipa_number(ipa),
                   found ? "in a leaf" : "a hole", leaf.size);
    }
    return holds;
}

uint64_t count_wrong_words(struct guest *guest, struct ipa_range range, uint64_t seed)
{
    uint64_t wrong = 0;

    for (uint64_t page = 0; page < range.size; page += FRAME_SIZE) {
        ipa_t start = ipa_add(range.start, page);
        const uint64_t *words = guest_memory(guest, start);

        for (uint64_t i = 0; i < FRAME_SIZE / sizeof(*words); i++) {
            uint64_t va = ipa_number(start) + i * sizeof(*words);

            wrong += words == NULL || words[i] != guest_pattern(va, seed);
        }
    }
    return wrong;
}

int walk_level(struct guest *guest, ipa_t ipa)
{
    struct s2_leaf leaf;
    enum mapping_error error = s2_space_lookup(&guest->space, ipa, &leaf);

    return error == MAPPING_OK || error == MAPPING_NOT_FOUND ? leaf.level : WALK_LEVEL_NONE;
}

bool expect_part(bool holds, const char *what)
{
    if (!holds) {
        check_note("not so: %s", what);
    }
    return holds;
}
