/*
 * operation.h - several changes to a table as one operation: what backends do.
 *
 * An operation flows: check arguments -> hold frames -> build dark -> break -> invalidate -> make
 * -> give frames back. After its first live store nothing can fail; before it nothing has changed.
 *
 *      begin    hold P1  hold P2 ...     do P1  do P2 ...     end
 *               may refuse: end, and     cannot fail          one flush, frames back to the pool
 *               nothing has changed
 *
 * First every piece is held, then every piece is done, then s2_table_end() flushes the TLBs once
 * and gives back what was not needed. Frames that an open operation unlinks stay its own until it
 * ends. So what was held before bounds what is needed, even where one piece removes a table that a
 * later one needs again.
 */
#ifndef TRESTLE_STAGE2_TABLE_OPERATION_H
#define TRESTLE_STAGE2_TABLE_OPERATION_H

#include "core/c.h"
#include "stage2/table/request.h"
#include "stage2/table/table.h"

TRESTLE_BEGIN

/* Open an operation; inside one that is open it nests. Context: no piece is held that is still to
 * be done. */
void s2_table_begin(struct s2_table *table);

/* One request as an operation of its own, or as the only piece of one that nests. Returns: as the
 * verb. */
MAPPING_MUST_USE enum mapping_error s2_table_perform(struct s2_table *table,
                                                     const struct s2_request *request);

/**
 * s2_table_hold() - Check one piece of the open operation and hold what it will need.
 * @request: read, not kept.
 * Returns:  what the verb would, had the pieces held before been done; on an error the caller ends
 *           the operation without doing any piece. MAPPING_ALREADY_EXISTS: also any piece over one
 *           that a held map will fill. MAPPING_NOT_FOUND: also a replace of what a held unmap
 *           clears. MAPPING_DENIED: also a map where another piece unmaps something, if transients
 *           are refused: what is mapped before and after would be invalid between.
 *           MAPPING_UNSUPPORTED: also more than S2_STRETCHES_MAX maps that do not touch.
 * Order:    pieces are held in the order in which they will be done, all before the first is; when
 *           all are done, others may be held.
 */
MAPPING_MUST_USE enum mapping_error s2_table_hold(struct s2_table *table,
                                                  const struct s2_request *request);

/**
 * s2_table_do() - Do a piece that was held: cannot fail.
 * @request: as it was held. To do what was not held, or to hold when some is done and some is not,
 * is
 *           the caller's bug and asserts.
 */
void s2_table_do(struct s2_table *table, const struct s2_request *request);

/* Asked for each part of a map, ascending: @rest is what is left. Returns: how much of that lies in one
 * piece, not nothing; *pa: where. */
typedef uint64_t (*s2_part_fn)(void *arg, struct ipa_range rest, pa_t *pa);

/**
 * s2_table_hold_parts() - Hold a map whose memory does not lie in one piece.
 * @request: its pa is not looked at. What the parts lead to is the caller's to check: s2_table_is_output()
 *           and s2_table_is_data() of each.
 * Returns:  as s2_table_hold(). It holds tables for as many pages, and what blocks save goes back.
 */
MAPPING_MUST_USE enum mapping_error s2_table_hold_parts(struct s2_table *table,
                                                        const struct s2_request *request);

/* Do it, part by part: cannot fail. @request: as it was held. */
void s2_table_do_parts(struct s2_table *table, const struct s2_request *request, s2_part_fn next,
                       void *arg);

/* Once no CPU can reach @size bytes from @pa on, do @what with it (S2_RECLAIM_...): after the
 * flush of this operation, or of a later one if it is deferred. */
void s2_table_reclaim(struct s2_table *table, pa_t pa, uint64_t size, unsigned what);

/* Invalidate what was collected so far, then make what was broken: on return no TLB holds anything
 * that the open operation has removed, and what stays is mapped. */
void s2_table_flush(struct s2_table *table);

/* Close the operation: flush, publish, give back frames. */
void s2_table_end(struct s2_table *table);

/* The same, but let what was removed or tightened wait for whoever flushes next; unless something
 * that stays was broken, or more than @frames tables would wait.
 * Returns: whether something waits. */
bool s2_table_end_deferred(struct s2_table *table, size_t frames);

/* Whether something does. */
bool s2_table_has_deferred(const struct s2_table *table);

TRESTLE_END

#endif
