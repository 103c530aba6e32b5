/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/kit.h: what the unit tests of several rooms share: repeatable random numbers, a directory of their own, a main.
 */
#ifndef TESTS_KIT_H
#define TESTS_KIT_H

#include <check.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "runtime/base/status.h"

#define KIT_TEST_SECONDS_MAX 60

/* Whether all sizes and combinations are wanted, as tools/nightly wants them. */
static inline bool kit_is_slow(void)
{
    const char *slow = getenv("E2E_SLOW");
    return slow && strcmp(slow, "1") == 0;
}

#ifdef __SANITIZE_ADDRESS__
#define KIT_SANITIZED true
#else
#define KIT_SANITIZED false
#endif

/* How many of `all` random inputs are tried: under sanitizers, which take several times as long, a third by default. */
static inline uint64_t kit_rounds(uint64_t all)
{
    return KIT_SANITIZED && !kit_is_slow() ? (all + 2) / 3 : all;
}

/* Whether one combination of a matrix is wanted, `number` being the sum of its indices: by default every `among`th is. */
static inline bool kit_is_chosen(size_t number, size_t among)
{
    return number % among == 0 || kit_is_slow();
}

static inline uint64_t kit_random(uint64_t *state)
{
    uint64_t mixed = (*state += UINT64_C(0x9e3779b97f4a7c15));
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

static inline uint64_t kit_random_below(uint64_t *state, uint64_t bound)
{
    return kit_random(state) % bound;
}

static inline double kit_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Memory that a test cannot go on without. */
static inline void *kit_take(size_t bytes)
{
    void *memory = calloc(bytes > 0 ? bytes : 1, 1);
    ck_assert_ptr_nonnull(memory);
    return memory;
}

#define kit_assert_ok(call, error) ck_assert_msg((call) == QUERN_OK, "%s", (error)->text)

typedef struct kit_directory {
    char path[64];
} kit_directory;

static inline void kit_make_directory(kit_directory *directory)
{
    strcpy(directory->path, "/tmp/quern_unit_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory->path));
}

static inline int kit_remove_entry(const char *path, const struct stat *status, int flag, struct FTW *where)
{
    (void)status;
    (void)flag;
    (void)where;
    return remove(path);
}

static inline void kit_remove_directory(kit_directory *directory)
{
    nftw(directory->path, kit_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* The path of a name in it, good until the fourth call from now. */
static inline const char *kit_path(const kit_directory *directory, const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", directory->path, name);
    return path;
}

static inline void kit_write_file(const char *path, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    ck_assert_msg(file != NULL, "%s", path);
    ck_assert_uint_eq(fwrite(data, 1, bytes, file), bytes);
    ck_assert_int_eq(fclose(file), 0);
}

/* A file of text at root + path, with the directories above it. */
static inline void kit_write_below(const char *root, const char *path, const char *text)
{
    char full[4096];
    int length = snprintf(full, sizeof full, "%s%s", root, path);
    ck_assert(length > 0 && (size_t)length < sizeof full);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        (void)mkdir(full, 0700);
        *slash = '/';
    }
    kit_write_file(full, text, strlen(text));
}

/* The content with a NUL behind it, to be freed; NULL if there is no such file. */
static inline char *kit_read_file(const char *path, size_t *bytes_out)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    size_t bytes = (size_t)ftell(file);
    rewind(file);
    char *data = kit_take(bytes + 1);
    ck_assert_uint_eq(fread(data, 1, bytes, file), bytes);
    fclose(file);
    if (bytes_out)
        *bytes_out = bytes;
    return data;
}

static inline int kit_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* The main of a program of tests, each of them between set_up and tear_down, of which either may be NULL. */
static inline int kit_run_tests(const char *name, const TTest *const *tests, size_t count, SFun set_up, SFun tear_down)
{
    Suite *suite = suite_create(name);
    TCase *all = tcase_create(name);
    tcase_set_timeout(all, KIT_TEST_SECONDS_MAX);
    tcase_add_checked_fixture(all, set_up, tear_down);
    for (size_t i = 0; i < count; i++)
        tcase_add_test(all, tests[i]);
    suite_add_tcase(suite, all);
    return kit_run(suite);
}

#endif
