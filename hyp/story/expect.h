/*
 * expect.h - checks on what a guest's step came to.
 */
#ifndef TRESTLE_HYP_STORY_EXPECT_H
#define TRESTLE_HYP_STORY_EXPECT_H

#include "hyp/story/checks.h"
#include "hyp/vm/guest.h"

/* The step was done and answered @answer. */
bool expect_answer(struct guest_result result, uint64_t answer, const char *what);

/* Stage 2 refused the access, and EL2 learnt exactly this of it. */
struct expected_abort {
    enum s2_access access;
    enum s2_fault_kind kind;
    int level;
    ipa_t ipa;
};
bool expect_abort(struct guest_result result, struct expected_abort expected, const char *what);

/* s2_space_lookup() finds a leaf of @size at @ipa, or nothing (@size 0). */
bool expect_leaf(struct guest *guest, ipa_t ipa, uint64_t size, const char *what);

/* A part of what a check is about to say: printed only if it does not hold. Answers @holds. */
bool expect_part(bool holds, const char *what);

/* How many words of @range EL2 does not find as GUEST_STEP_FILL wrote them, where
 * s2_space_lookup() says that they lie. */
uint64_t count_wrong_words(struct guest *guest, struct ipa_range range, uint64_t seed);

/* The level at which a walk for @ipa ends, by s2_space_lookup(): at a leaf or at an empty entry.
 * WALK_LEVEL_NONE: nowhere, it lies beyond the input size. */
#define WALK_LEVEL_NONE (-2)
int walk_level(struct guest *guest, ipa_t ipa);

#endif
