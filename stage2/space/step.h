/*
 * step.h - long changes to a space in short steps, as those to a table (stage2/table/step.h says
 * how).
 *
 *      struct s2_cursor cursor = s2_cursor(range);
 *
 *      while (error == MAPPING_OK && !s2_cursor_is_done(&cursor)) {
 *          error = s2_space_unmap_step(&space, &cursor, 4096);
 *          ...                                  vCPUs run, interrupts come, locks are free
 *      }
 *
 * Areas go along: after each step, areas and tables are consistent.
 */
#ifndef TRESTLE_STAGE2_SPACE_STEP_H
#define TRESTLE_STAGE2_SPACE_STEP_H

#include "core/c.h"
#include "stage2/space/space.h"
#include "stage2/table/step.h"

TRESTLE_BEGIN

/**
 * s2_space_unmap_step() - The next step of the space's verb of that name. Locks it for the step.
 * s2_space_protect_step()
 * s2_space_fold_step()
 * Returns:  as the verb. MAPPING_NO_NODE: also where only the pause is in the way. A step that ends
 *           inside an area that goes on behind both ends, or that is protected, may need one node
 *           more than the whole change; one that ends elsewhere does not.
 * On error: as above; of a fold, areas that were done are behind the cursor, and areas that are
 * alike
 *           may have been joined.
 * Cost:     as above. Memory that went past the caches is cleaned as it is unmapped, and no leaf is
 *           torn for that: a step takes as long as the largest of them at least.
 */
MAPPING_MUST_USE enum mapping_error s2_space_unmap_step(struct s2_space *space,
                                                        struct s2_cursor *cursor, size_t budget);
MAPPING_MUST_USE enum mapping_error s2_space_protect_step(struct s2_space *space,
                                                          struct s2_cursor *cursor,
                                                          mapping_flags_t flags, size_t budget);
MAPPING_MUST_USE enum mapping_error s2_space_fold_step(struct s2_space *space,
                                                       struct s2_cursor *cursor, size_t budget);

TRESTLE_END

#endif
