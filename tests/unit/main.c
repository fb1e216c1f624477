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

#include "tests/unit/test.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A test that hangs is one that fails, but a busy machine is not a hang. */
#define TEST_SECONDS "60"

#define SUITES_MAX 128

/* One of each name, in the order in which they are met, those with slow tests first. */
static struct suite {
    const char *name;
    double seconds;
    struct unit_test *tests;
    struct unit_test **last;
} suites[SUITES_MAX];
static size_t suite_count;

static struct suite *find_suite(const char *name)
{
    for (size_t i = 0; i < suite_count; i++) {
        if (strcmp(suites[i].name, name) == 0) {
            return &suites[i];
        }
    }
    return NULL;
}

/* Before main(), so there is nobody to tell if there are too many suites. */
void unit_test_add(struct unit_test *test)
{
    struct suite *suite = find_suite(test->suite);

    if (suite == NULL) {
        if (suite_count == SUITES_MAX) {
            abort();
        }
        suite = &suites[suite_count++];
        suite->name = test->suite;
        suite->last = &suite->tests;
    }
    *suite->last = test;
    suite->last = &test->next;
    suite->seconds = test->seconds > suite->seconds ? test->seconds : suite->seconds;
}

static int by_time(const void *a, const void *b)
{
    const struct suite *x = a, *y = b;

    if (x->seconds != y->seconds) {
        return x->seconds > y->seconds ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

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
    if (find_suite(name) != NULL) {
        return true;
    }
    fprintf(stderr, "no suite is called %s; there are:", name);
    for (size_t i = 0; i < suite_count; i++) {
        fprintf(stderr, " %s", suites[i].name);
    }
    fputc('\n', stderr);
    return false;
}

static int list_suites(void)
{
    for (size_t i = 0; i < suite_count; i++) {
        puts(suites[i].name);
    }
    return EXIT_SUCCESS;
}

/* A case for each stretch of tests that are set up alike. */
static Suite *make_suite(const struct suite *made)
{
    Suite *suite = suite_create(made->name);
    TCase *tcase = NULL;
    const struct unit_test *before = NULL;

    for (const struct unit_test *test = made->tests; test != NULL; test = test->next) {
        if (before == NULL || before->setup != test->setup || before->teardown != test->teardown ||
            before->seconds != test->seconds) {
            tcase = tcase_create(test->test->name);
            tcase_add_checked_fixture(tcase, test->setup, test->teardown);
            if (test->seconds > 0) {
                tcase_set_timeout(tcase, test->seconds);
            }
            suite_add_tcase(suite, tcase);
        }
        tcase_add_loop_test_raise_signal(tcase, test->test, test->signal, test->first, test->end);
        before = test;
    }
    return suite;
}

static int run_suites(size_t count, char *const wanted[])
{
    SRunner *runner = srunner_create(NULL);
    int failed;
    int passed;

    for (size_t i = 0; i < suite_count; i++) {
        if (is_wanted(suites[i].name, count, wanted)) {
            srunner_add_suite(runner, make_suite(&suites[i]));
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

    qsort(suites, suite_count, sizeof(suites[0]), by_time);
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
