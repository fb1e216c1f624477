/*
 * check.h - whether a table is as this library makes it.
 */
#ifndef TRESTLE_STAGE2_TABLE_CHECK_H
#define TRESTLE_STAGE2_TABLE_CHECK_H

#include "core/c.h"
#include "stage2/table/table.h"

TRESTLE_BEGIN

/**
 * s2_table_check() - Whether the tables are as this library makes them.
 * Proves: every descriptor is legal, at its level, inside the output size, and none is broken;
 * every table frame is taken from the pool, no table below the root is empty; counts agree; no
 * operation is open. While tables wait for a batch's flush, only that more are counted than linked.
 * Cost: O(entries). Context: at rest, or with the space locked.
 */
bool s2_table_check(const struct s2_table *table);

TRESTLE_END

#endif
