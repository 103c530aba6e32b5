/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/api/api_kit.h: what the programs of the API tests share: checks that end the whole job at once, files in the
 * test's directory, a naive model of a reduction, and comparing outputs with it.
 *
 * A program is started as PROGRAM DIRECTORY [CASE…] by test_api.py, with mpirun or without. It initialises MPI itself
 * when it was launched, so that a program can make many contexts, one after the other.
 */
#ifndef TESTS_API_KIT_H
#define TESTS_API_KIT_H

#include <quern/quern.h>
#include <stdbool.h>
#include <stdio.h>

/* ---- checks ---- */

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            kit_fail(__FILE__, __LINE__, "%s", #condition);                                                            \
    } while (0)
#define CHECK_SAME(actual, expected)                                                                                   \
    do {                                                                                                               \
        long long actual_ = (long long)(actual), expected_ = (long long)(expected);                                    \
        if (actual_ != expected_)                                                                                      \
            kit_fail(__FILE__, __LINE__, "%s is %lld, not %lld (%s)", #actual, actual_, expected_, #expected);         \
    } while (0)
#define CHECK_STATUS(status, expected, text) kit_check_status(__FILE__, __LINE__, status, expected, text)
#define CHECK_HAS(text, part)                kit_check_has(__FILE__, __LINE__, text, part)

void kit_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4), noreturn));
void kit_check_status(const char *file, int line, quern_status status, quern_status expected, const char *text);
void kit_check_has(const char *file, int line, const char *text, const char *part);

/* ---- the job ---- */

/* MPI_Init_thread(MPI_THREAD_MULTIPLE) if launched and nobody has. argv[1] is the directory. */
void kit_start(int *argc, char ***argv);
int kit_finish(void);
int kit_rank(void);
int kit_size(void);
void kit_barrier(void);
double kit_seconds(void);
/* Names what is tested now and ends the job if it takes longer than that. True if the case was asked for; asked for "list", it only
 * prints the name. */
bool kit_case(const char *name, unsigned seconds_max);
#define RUN(name, seconds_max)                                                                                         \
    if (kit_case(#name, seconds_max))                                                                                  \
    name()
/* On all ranks of the job; must succeed. */
quern_context *kit_context(const quern_options *options);
/* Runs; the report, if one was asked for as report.json, is put with others in reports/. The status and the text must be the same on all ranks of the job. */
void kit_run(quern_context *context);
/* The sum of a figure over ranks and stages in the report of the last kit_run(). */
uint64_t kit_reported(const char *figure);
const char *kit_run_fails(quern_context *context, quern_status expected);
void kit_check_alike(quern_status status, const char *text);
uint64_t kit_sum(uint64_t mine);
uint64_t kit_max(uint64_t mine);

/* ---- files ---- */

/* In the test's directory. One of 16 static texts in turn. */
const char *kit_path(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* True for the first caller of all ranks and times. */
bool kit_first_time(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Counts calls of all ranks under a name; the file survives what the library takes back. */
void kit_note(const char *name);
uint64_t kit_noted(const char *name);
bool kit_exists(const char *path);

typedef struct kit_text {
    char *data;
    size_t bytes, capacity;
} kit_text;

void kit_put(kit_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void kit_put_bytes(kit_text *text, const void *data, size_t bytes);
void kit_write(const char *path, const kit_text *text);
/* On all ranks of the job: rank 0 writes it, and then it is there for all. */
void kit_write_for_all(const char *path, const kit_text *text);
/* A file of the numbers below count, a line each, for all ranks; its path, which stays. */
const char *kit_write_numbers(const char *name, uint64_t count);
kit_text kit_read(const char *path);
void kit_sort_lines(kit_text *text);
void kit_free(kit_text *text);
/* The decimal number with which a field begins; nothing behind the field is read. A negative one wraps. */
uint64_t kit_number(quern_span field);

/* Rank 0: the committed output is these lines; in this order, or in any. Prints its digest, for comparing across numbers of ranks. */
void kit_check_output(const char *directory, kit_text *expected, bool ordered);
kit_text kit_read_output(const char *directory);
/* All bytes of an output are those of another one. */
void kit_check_same_output(const char *one, const char *other);
void kit_check_no_output(const char *directory);

/* ---- a naive model ---- */

typedef struct kit_model {
    void *tree;
    size_t count;
} kit_model;

typedef struct kit_entry {
    size_t key_bytes;
    uint64_t value[32]; /* zeroed when new */
    bool is_new;
    char key[];
} kit_entry;

kit_entry *kit_at(kit_model *model, const void *key, size_t key_bytes);
void kit_each(kit_model *model, void (*fn)(const kit_entry *entry, void *user), void *user);
void kit_forget(kit_model *model);

static inline uint64_t kit_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

#endif
