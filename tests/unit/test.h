/*
 * test.h - a unit test, and that it is run.
 *
 *      #define SUITE "avl"
 *
 *      TEST(insert_in_an_empty_tree_is_the_root)                   once
 *      TEST_EACH(insert_of_each_shape_is_balanced, COUNT(shapes))  for _i from 0 on
 *      TEST_FROM(name, 4, 6)                                       for _i from 4 on, below 6
 *      TEST_DIES(remove_of_a_foreign_node_dies)                    a failed assertion of the library
 *      TEST_EACH_DIES(name, count)
 *      TEST_ABORTS(name)                                           one of the tests' own tools
 *      {
 *          ...
 *      }
 *
 * SUITE is the file's; SETUP and TEARDOWN, functions of it, and SECONDS, the time that a test has,
 * may be defined anew before the first test that needs them. Nothing else has to be told of a test.
 */
#ifndef TRESTLE_TESTS_UNIT_TEST_H
#define TRESTLE_TESTS_UNIT_TEST_H

#include <check.h>
#include <signal.h>
#include <stddef.h>

/* The signal that a failed assertion of the library ends in. */
#if defined(__x86_64__) || defined(__i386__)
#define CONTRACT_DEATH SIGILL
#else
#define CONTRACT_DEATH SIGTRAP
#endif

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define SETUP NULL
#define TEARDOWN NULL
#define SECONDS 0

struct unit_test {
    const char *suite;
    const TTest *test;
    int signal;     /* 0: none is expected */
    int first, end; /* of _i */
    void (*setup)(void);
    void (*teardown)(void);
    double seconds; /* 0: the usual */
    struct unit_test *next;
};

/* @test lives as long as the program. */
void unit_test_add(struct unit_test *test);

/* The bounds may be what only a running program knows. */
#define TEST_SIGNAL(name, number, from, to)                                                  \
    static void name##_fn(int _i);                                                           \
    __attribute__((constructor)) static void name##_add(void)                                \
    {                                                                                        \
        static const TTest test = {#name, name##_fn, __FILE__, __LINE__};                    \
        static struct unit_test added = {.suite = SUITE, .test = &test, .signal = (number)}; \
                                                                                             \
        added.first = (int)(from);                                                           \
        added.end = (int)(to);                                                               \
        added.setup = SETUP;                                                                 \
        added.teardown = TEARDOWN;                                                           \
        added.seconds = SECONDS;                                                             \
        unit_test_add(&added);                                                               \
    }                                                                                        \
    static void name##_fn(int _i CK_ATTRIBUTE_UNUSED)

#define TEST(name) TEST_SIGNAL(name, 0, 0, 1)
#define TEST_EACH(name, count) TEST_SIGNAL(name, 0, 0, count)
#define TEST_FROM(name, from, to) TEST_SIGNAL(name, 0, from, to)
#define TEST_DIES(name) TEST_SIGNAL(name, CONTRACT_DEATH, 0, 1)
#define TEST_EACH_DIES(name, count) TEST_SIGNAL(name, CONTRACT_DEATH, 0, count)
#define TEST_ABORTS(name) TEST_SIGNAL(name, SIGABRT, 0, 1)

#endif
