/*
 * dump.h - a table as text.
 */
#ifndef TRESTLE_STAGE2_TABLE_DUMP_H
#define TRESTLE_STAGE2_TABLE_DUMP_H

#include "core/c.h"
#include "stage2/table/table.h"

TRESTLE_BEGIN

/**
 * s2_table_dump() - Say what is mapped in @range, a line for each stretch of equal leaves.
 * @range:   as for s2_table_map().
 * @line:    called once a line, ascending; the text lives until it returns, without a newline.
 *
 * The format is stable; words are separated by one space:
 *
 *      0x0000000040000000 0x000000007fffffff 0x0000000140000000 L2 512x2M rwxu normal contiguous
 *      first and last IPA                    first PA           level, leaves x size
 *
 * permissions: read, write, execute at EL1 (x), at EL0 (u), each "-" if not; memory type: normal,
 * nc, nGnRnE, nGnRE, nGRE, GRE, stage1, wt; then what differs from the usual, in this order:
 * contiguous, outer or nonshareable, noaf, dbm, soft0 to soft3; "broken" if between break and make.
 * Leaves that begin before @range or end after it are told whole.
 *
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM: then @line was not called.
 * Cost:     O(entries in @range); no allocation; stack <= 512 bytes without @line's.
 */
typedef void (*s2_dump_fn)(void *arg, const char *line);
MAPPING_MUST_USE enum mapping_error
s2_table_dump(const struct s2_table *table, struct ipa_range range, s2_dump_fn line, void *arg);

TRESTLE_END

#endif
