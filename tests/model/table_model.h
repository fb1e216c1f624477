/*
 * table_model.h - stage-2 tables without tables: one cell for each granule of a few windows.
 *
 * It says what a verb must answer when frames are plenty, and what every granule must then map to.
 * It knows no levels but the sizes of blocks, which a fold merges the hardware's bits over. What
 * lies outside the windows is never mapped.
 */
#ifndef TRESTLE_TESTS_MODEL_TABLE_MODEL_H
#define TRESTLE_TESTS_MODEL_TABLE_MODEL_H

#include "core/addr.h"
#include "core/err.h"
#include "stage2/arch/flags.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_MODEL_WINDOWS 4
#define TABLE_MODEL_BLOCKS 2

/* What decides between yes and no, written by hand for each machine. */
struct model_rules {
    uint64_t granule;                    /* bytes */
    uint64_t blocks[TABLE_MODEL_BLOCKS]; /* bytes of larger leaves, ascending; 0: none */
    unsigned ipa_bits;
    unsigned pa_bits;
    bool has_fwb;
    bool has_xnx;
    bool has_lpa2;
    bool sets_af;    /* the hardware does */
    bool sets_dirty; /* likewise */
    pa_t hidden;     /* memory that no guest may see: where it begins, */
    uint64_t hidden_size;
};

struct model_cell {
    pa_t pa;
    mapping_flags_t flags; /* less S2_BUILD_FLAGS */
    bool is_mapped;
};

struct model_window {
    struct ipa_range range;
    struct model_cell *cells;
};

struct table_model {
    struct model_rules rules;
    struct model_window windows[TABLE_MODEL_WINDOWS]; /* ascending and apart */
    size_t window_count;
};

enum model_verb { MODEL_MAP, MODEL_UNMAP, MODEL_PROTECT, MODEL_FOLD, MODEL_REPLACE };

/* One call of a verb; what it does not take is ignored. */
struct model_step {
    enum model_verb verb;
    struct ipa_range range;
    pa_t pa;
    mapping_flags_t flags;
};

/* Empty windows over @ranges; fini frees their cells. */
void table_model_init(struct table_model *model, const struct model_rules *rules,
                      const struct ipa_range ranges[], size_t count);
void table_model_fini(struct table_model *model);
void table_model_clear(struct table_model *model);

/* What the verb answers if frames are plenty. */
enum mapping_error table_model_answer(const struct table_model *model,
                                      const struct model_step *step);

/* Do it. @step: table_model_answer() says MAPPING_OK. */
void table_model_apply(struct table_model *model, const struct model_step *step);

/* What stands at @addr; a cell that is not mapped where there is no window. */
struct model_cell table_model_at(const struct table_model *model, ipa_t addr);

/* Equal cells from @start on, to @end at most: mapped with the same flags, each PA following the
 * one before; or all holes. How many bytes. @start below @end, in one window. */
uint64_t table_model_run(const struct table_model *model, ipa_t start, ipa_t end);

/* Whether one leaf of @size could map the stretch around @addr, and nothing but it. */
bool table_model_is_block(const struct table_model *model, ipa_t addr, uint64_t size);

#endif
