/*
 * describe.h - areas and tables, for people.
 */
#ifndef TRESTLE_HYP_DESCRIBE_H
#define TRESTLE_HYP_DESCRIBE_H

#include "stage2/space.h"

/* The CPU's abilities and the memory, in a few lines. */
void describe_machine(void);

/* A line for each area: IPA range, size, PA, permissions, memory type. */
void describe_areas(struct s2_space *space);

/* The translation tables: a line for each run of equal leaves that lie side by side. */
void describe_table(const struct s2_table *table);

#endif
