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
Suite *suite_trace(void);
Suite *suite_stale_tlb(void);
Suite *suite_stale_tlb_library(void);
Suite *suite_moving(void);
Suite *suite_programs(void);
Suite *suite_judge_library(void);
Suite *suite_errata(void);
Suite *suite_features(void);
Suite *suite_table_map(void);
Suite *suite_table_unmap(void);
Suite *suite_table_protect(void);
Suite *suite_table_fold(void);
Suite *suite_table_runs(void);
Suite *suite_table_runs_change(void);
Suite *suite_table_runs_hardware(void);
Suite *suite_table_replace(void);
Suite *suite_table_dump(void);
Suite *suite_table_needs(void);
Suite *suite_table_order(void);
Suite *suite_table_pieces(void);
Suite *suite_table_race(void);
Suite *suite_table_direct(void);
Suite *suite_table_direct_hardware(void);
Suite *suite_table_transient(void);
Suite *suite_notifier(void);
Suite *suite_table_state(void);
Suite *suite_geometry(void);
Suite *suite_geometry_limits(void);
Suite *suite_table_model(void);
Suite *suite_step(void);
Suite *suite_backend(void);
Suite *suite_space(void);
Suite *suite_batch(void);
Suite *suite_space_step(void);
Suite *suite_space_returned(void);
Suite *suite_sink(void);
Suite *suite_space_frames(void);
Suite *suite_scope(void);
Suite *suite_desc(void);
Suite *suite_desc_format(void);
Suite *suite_tlbi(void);
Suite *suite_tlb_batch(void);
Suite *suite_tlb_flush(void);
Suite *suite_memory(void);
Suite *suite_vmid(void);
Suite *suite_vmid_model(void);
Suite *suite_enter(void);
Suite *suite_enter_life(void);

#endif
