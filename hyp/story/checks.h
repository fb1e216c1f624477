/*
 * checks.h - one line for each thing that must hold, and the count at the end.
 */
#ifndef TRESTLE_HYP_STORY_CHECKS_H
#define TRESTLE_HYP_STORY_CHECKS_H

#include <stdbool.h>

/* A heading over the checks that follow. */
__attribute__((format(printf, 1, 2))) void checks_topic(const char *format, ...);

/* Prints "ok  " or "FAIL" and the sentence; counts; answers @holds. */
__attribute__((format(printf, 2, 3))) bool check(bool holds, const char *format, ...);

/* Prints what a failed check would like to know, indented under it. */
__attribute__((format(printf, 1, 2))) void check_note(const char *format, ...);

/* Prints the last line, "N passed, M failed". Returns the exit code: 0 if none failed and any
 * passed, else 1. */
int checks_finish(void);

#endif
