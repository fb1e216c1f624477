/*
 * suites.h - one suite per module; main.c runs them.
 */
#ifndef TRESTLE_TESTS_UNIT_SUITES_H
#define TRESTLE_TESTS_UNIT_SUITES_H

#include <check.h>
#include <signal.h>

/* What a failed assertion dies of: MAPPING_PANIC is __builtin_trap(). */
#if defined(__x86_64__) || defined(__i386__)
#define CONTRACT_DEATH SIGILL
#else
#define CONTRACT_DEATH SIGTRAP
#endif

Suite *suite_addr(void);
Suite *suite_avl(void);
Suite *suite_frame_pool(void);
Suite *suite_frame_pool_check(void);
Suite *suite_frame_pool_model(void);
Suite *suite_memory_set(void);
Suite *suite_memory_set_protocol(void);
Suite *suite_memory_set_search(void);
Suite *suite_memory_set_model(void);
Suite *suite_mmu(void);
Suite *suite_sim(void);

#endif
