/*
 * describe.h - areas and tables, for people.
 */
#ifndef TRESTLE_HYP_STORY_DESCRIBE_H
#define TRESTLE_HYP_STORY_DESCRIBE_H

#include "stage2/trestle.h"

/* The CPU's abilities and the memory, in a few lines. */
void describe_machine(void);

/* A line for each area: IPA range, size, PA, permissions, memory type. */
void describe_areas(struct s2_space *space);

/* "rwx" in @text; where EL1 and EL0 differ, x is 1 or 0: who may execute. */
#define DESCRIBE_BYTES 4
const char *describe_permissions(mapping_flags_t flags, char text[DESCRIBE_BYTES]);

/* What tables of @config will cost, before they are made; or why they cannot be. */
void describe_cost(const struct s2_config *config);

/* Which formats the CPU has, a line. */
void describe_formats(void);

/* The translation tables, as s2_table_dump() tells of them. */
void describe_table(const struct s2_table *table);

#endif
