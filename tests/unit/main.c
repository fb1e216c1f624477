/*
 * main.c - run the suites, all of them or those named.
 *
 *   run [SUITE...]       or TRESTLE_SUITE=SUITE in the environment
 *   run --list           only print their names
 *
 * libcheck's own variables hold too: CK_FORK=no keeps tests in this process for a debugger (the
 * contract deaths need a process of their own, so they fail then), CK_VERBOSITY=verbose names
 * every test, CK_RUN_CASE picks a test case, CK_TIMEOUT_MULTIPLIER gives a slow tool more time.
 * The last line is "N passed, M failed".
 */
#define _POSIX_C_SOURCE 200809L /* setenv */

#include "tests/unit/suites.h"

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A test that hangs is one that fails, but a busy machine is not a hang. */
#define TEST_SECONDS "60"

static const struct {
    const char *name;
    Suite *(*make)(void);
} suites[] = {
    {"addr", suite_addr},
    {"avl", suite_avl},
    {"frame_pool", suite_frame_pool},
    {"frame_pool_check", suite_frame_pool_check},
    {"frame_pool_model", suite_frame_pool_model},
    {"memory_set", suite_memory_set},
    {"memory_set_protocol", suite_memory_set_protocol},
    {"memory_set_search", suite_memory_set_search},
    {"memory_set_model", suite_memory_set_model},
    {"mmu", suite_mmu},
    {"sim", suite_sim},
    {"trace", suite_trace},
    {"stale_tlb", suite_stale_tlb},
    {"stale_tlb_library", suite_stale_tlb_library},
    {"moving", suite_moving},
    {"programs", suite_programs},
    {"judge_library", suite_judge_library},
    {"errata", suite_errata},
    {"features", suite_features},
    {"geometry", suite_geometry},
    {"geometry_limits", suite_geometry_limits},
    {"desc", suite_desc},
    {"desc_format", suite_desc_format},
    {"tlbi", suite_tlbi},
    {"tlb_batch", suite_tlb_batch},
    {"tlb_flush", suite_tlb_flush},
    {"memory", suite_memory},
    {"vmid", suite_vmid},
    {"vmid_model", suite_vmid_model},
    {"enter", suite_enter},
    {"enter_life", suite_enter_life},
    {"table_map", suite_table_map},
    {"table_unmap", suite_table_unmap},
    {"table_protect", suite_table_protect},
    {"table_fold", suite_table_fold},
    {"table_runs", suite_table_runs},
    {"table_runs_change", suite_table_runs_change},
    {"table_runs_hardware", suite_table_runs_hardware},
    {"table_replace", suite_table_replace},
    {"table_dump", suite_table_dump},
    {"table_needs", suite_table_needs},
    {"table_order", suite_table_order},
    {"table_pieces", suite_table_pieces},
    {"table_race", suite_table_race},
    {"table_direct", suite_table_direct},
    {"table_direct_hardware", suite_table_direct_hardware},
    {"table_transient", suite_table_transient},
    {"notifier", suite_notifier},
    {"table_state", suite_table_state},
    {"table_model", suite_table_model},
    {"step", suite_step},
    {"backend", suite_backend},
    {"space", suite_space},
    {"batch", suite_batch},
    {"space_step", suite_space_step},
    {"space_returned", suite_space_returned},
    {"sink", suite_sink},
    {"space_frames", suite_space_frames},
    {"scope", suite_scope},
};

#define SUITE_COUNT (sizeof(suites) / sizeof(suites[0]))

/* Whether @name is among the @count names of @wanted; no names at all mean every suite. */
static bool is_wanted(const char *name, size_t count, char *const wanted[])
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name, wanted[i]) == 0) {
            return true;
        }
    }
    return count == 0;
}

static bool is_known(const char *name)
{
    for (size_t i = 0; i < SUITE_COUNT; i++) {
        if (strcmp(name, suites[i].name) == 0) {
            return true;
        }
    }
    fprintf(stderr, "no suite is called %s; there are:", name);
    for (size_t i = 0; i < SUITE_COUNT; i++) {
        fprintf(stderr, " %s", suites[i].name);
    }
    fputc('\n', stderr);
    return false;
}

static int list_suites(void)
{
    for (size_t i = 0; i < SUITE_COUNT; i++) {
        puts(suites[i].name);
    }
    return EXIT_SUCCESS;
}

static int run_suites(size_t count, char *const wanted[])
{
    SRunner *runner = srunner_create(NULL);
    int failed;
    int passed;

    for (size_t i = 0; i < SUITE_COUNT; i++) {
        if (is_wanted(suites[i].name, count, wanted)) {
            srunner_add_suite(runner, suites[i].make());
        }
    }
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    passed = srunner_ntests_run(runner) - failed;
    srunner_free(runner);
    printf("%d passed, %d failed\n", passed, failed);
    return passed > 0 && failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char *argv[])
{
    char *from_env = getenv("TRESTLE_SUITE");
    char **wanted = argv + 1;
    size_t count = argc > 0 ? (size_t)argc - 1 : 0;

    if (count == 1 && strcmp(wanted[0], "--list") == 0) {
        return list_suites();
    }
    if (count == 0 && from_env != NULL && *from_env != '\0') {
        wanted = &from_env;
        count = 1;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_known(wanted[i])) {
            return EXIT_FAILURE;
        }
    }
    /* Read when a test case is made; what the user has set stays. */
    if (setenv("CK_DEFAULT_TIMEOUT", TEST_SECONDS, 0) != 0) {
        return EXIT_FAILURE;
    }
    return run_suites(count, wanted);
}
