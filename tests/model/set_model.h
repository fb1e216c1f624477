/*
 * set_model.h - what a MemorySet should do, by the simplest means: one entry per byte.
 *
 * A small window of addresses, each with the number of its area and that area's attributes. An
 * area is a run of equal numbers. Every operation predicts the answer and the new state, refusals
 * and lack of nodes included, without a tree and without a shortcut.
 */
#ifndef TRESTLE_TESTS_MODEL_SET_MODEL_H
#define TRESTLE_TESTS_MODEL_SET_MODEL_H

#include "core/memory_set.h"
#include "tests/model/mock_table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_CELLS MOCK_CELLS

struct model_cell {
    uint64_t area_id; /* 0: free */
    mapping_flags_t flags;
    struct mapping_backend backend;
    uint64_t tag;
};

struct set_model {
    ipa_t base;
    size_t capacity; /* areas there may be at once */
    uint64_t last_id;
    struct model_cell cell[MODEL_CELLS];
};

/* An update function of memory_set_protect(): areas with (flags & mask) == match change, and their
 * flags are or-ed with `set` after losing `clear`. */
struct model_update {
    mapping_flags_t mask;
    mapping_flags_t match;
    mapping_flags_t clear;
    mapping_flags_t set;
};

bool model_update(mapping_flags_t old_flags, void *arg, mapping_flags_t *new_flags);

void set_model_init(struct set_model *model, ipa_t base, size_t capacity);

/* Ranges may stick out of the window, areas that are mapped may not. */
enum mapping_error set_model_map(struct set_model *model, const struct memory_area *area,
                                 enum overlap_policy policy, struct mock_faults faults);
enum mapping_error set_model_unmap(struct set_model *model, struct ipa_range range,
                                   struct mock_faults faults);
enum mapping_error set_model_protect(struct set_model *model, struct ipa_range range,
                                     struct model_update update, struct mock_faults faults);
void set_model_merge(struct set_model *model, struct ipa_range range);

/* @limit: a few hundred bytes at most, anywhere; what lies out of the window is free. */
enum mapping_error set_model_find_free(const struct set_model *model, ipa_t hint, uint64_t size,
                                       uint64_t align, struct ipa_range limit, ipa_t *start);

/* Whether @set lists the model's areas, and its queries answer by them. */
bool set_model_agrees(const struct set_model *model, const struct memory_set *set);

/* The areas there are. */
size_t set_model_len(const struct set_model *model);

#endif
