/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options by argument, by field and by environment.
 *     api_options DIRECTORY          without a launcher: what can be seen in one process
 *     api_options DIRECTORY job …    a job binary that counts lines with what it was given: test_options.py looks at it
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "api_kit.h"

static const char *input[1];

/* ---- reading arguments ---- */

#define ARGUMENT_COUNT_MAX 12

static void check_argv(char **argv, int argc, const char *const *expected)
{
    int count = 0;
    for (; expected[count]; count++)
        CHECK(count < argc && strcmp(argv[count], expected[count]) == 0);
    CHECK_SAME(argc, count);
    CHECK(argv[argc] == NULL);
}

/* Reads a copy of the arguments; argc_out and argv_out show what is left. */
static quern_status read_arguments(const char *const *arguments, quern_options *options, int *argc_out, char **argv_out)
{
    *argc_out = 0;
    quern_options_init(options);
    for (; arguments[*argc_out]; ++*argc_out)
        argv_out[*argc_out] = (char *)(uintptr_t)arguments[*argc_out];
    argv_out[*argc_out] = NULL;
    return quern_options_read_argv(options, argc_out, argv_out);
}

static void arguments_are_taken_and_others_keep_their_order(void)
{
    const char *const given[] = {"prog", "--quern-memory=2G", "a",  "--quern-split-bytes", "3M", "-x", "--quern",
                                 "b",    "--quern-pin=off",   "--", "--quern-memory=1G",   NULL};
    const char *const left[] = {"prog", "a", "-x", "--quern", "b", "--", "--quern-memory=1G", NULL};
    const char *const twice[] = {"prog", "--quern-attempts=2", "--quern-attempts=5", NULL};
    const char *const nothing[] = {NULL}, *const name[] = {"prog", NULL};
    char *argv[ARGUMENT_COUNT_MAX];
    quern_options options;
    int argc = 0;
    CHECK_SAME(read_arguments(given, &options, &argc, argv), QUERN_OK);
    check_argv(argv, argc, left);
    CHECK(options.memory_bytes == UINT64_C(2) << 30 && options.split_bytes == 3 << 20 && options.pin == QUERN_OFF);
    CHECK(options.round_bytes == 0 && options.report_path == NULL && options.progress == QUERN_AUTO);
    CHECK_SAME(read_arguments(twice, &options, &argc, argv), QUERN_OK);
    check_argv(argv, argc, name);
    CHECK_SAME(options.attempt_count_max, 5);
    CHECK_SAME(read_arguments(nothing, &options, &argc, argv), QUERN_OK);
    check_argv(argv, argc, nothing);
    CHECK_SAME(read_arguments(name, &options, &argc, argv), QUERN_OK);
    check_argv(argv, argc, name);
}

static void bad_arguments_change_nothing_and_are_named(void)
{
    static const char *const bad[] = {
        "--quern-memory=",
        "--quern-memory=lots",
        "--quern-memory=0",
        "--quern-memory=-1",
        "--quern-memory=1X",
        "--quern-memory=1.5G",
        "--quern-memory= 1G",
        "--quern-memory=1G ",
        "--quern-memory=20000000T",
        "--quern-memory=99999999999999999999",
        "--quern-memory=0x10",
        "--quern-memory",
        "--quern-attempts=0",
        "--quern-attempts=two",
        "--quern-attempts=3K",
        "--quern-pin=maybe",
        "--quern-pin=ON",
        "--quern-pin=1",
        "--quern-explain=svg",
        "--quern-explain=",
        "--quern-explain=TEXT",
        "--quern-report=",
        "--quern-scratch",
        "--quern-x",
        "--quern-x=1",
        "--quern-",
        "--quern-=1",
        "--quern-memory-=1G",
        "--quern-memor=1G",
        "--quern-MEMORY=1G",
        "--quern-memory_bytes=1G",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *const given[] = {"prog", "a", "--quern-attempts=3", bad[i], NULL};
        char *argv[ARGUMENT_COUNT_MAX], name[40];
        quern_options options, before;
        int argc = 0;
        quern_options_init(&before);
        if (read_arguments(given, &options, &argc, argv) != QUERN_ERROR_INVALID_OPTION)
            kit_fail(__FILE__, __LINE__, "%s was taken", bad[i]);
        check_argv(argv, argc, given);
        CHECK(memcmp(&options, &before, sizeof options) == 0);
        snprintf(name, sizeof name, "%.*s", (int)strcspn(bad[i], "="), bad[i]);
        CHECK_HAS(quern_context_error_text(NULL), name);
    }
    quern_options unready;
    memset(&unready, 0, sizeof unready);
    int argc = 1;
    char *argv[] = {(char[]){"prog"}, NULL};
    CHECK_SAME(quern_options_read_argv(&unready, &argc, argv), QUERN_ERROR_INVALID_ARGUMENT);
}

static void sizes_have_suffixes(void)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } sizes[] = {{"7", 7},
                 {"7K", 7 << 10},
                 {"7k", 7 << 10},
                 {"7M", 7 << 20},
                 {"7G", UINT64_C(7) << 30},
                 {"7t", UINT64_C(7) << 40},
                 {"7MiB", 7 << 20},
                 {"7kb", 7 << 10},
                 {"0007", 7},
                 {"16777215T", UINT64_C(16777215) << 40},
                 {"18446744073709551615", UINT64_MAX}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const char *const given[] = {"prog", "--quern-memory", sizes[i].text, NULL};
        char *argv[ARGUMENT_COUNT_MAX];
        quern_options options;
        int argc = 0;
        CHECK_SAME(read_arguments(given, &options, &argc, argv), QUERN_OK);
        CHECK(options.memory_bytes == sizes[i].bytes);
    }
}

static void times_have_units(void)
{
    static const struct {
        const char *text;
        uint64_t ms; /* 0: refused */
    } times[] = {{"7", 7000},         {"7s", 7000}, {"7ms", 7},  {"1.5", 1500},   {"0.25m", 15000}, {"2h", 7200000},
                 {"30d", 2592000000}, {"1ms", 1},   {"0", 0},    {"0.1ms", 0},    {"", 0},          {"s", 0},
                 {"-1", 0},           {"1e3", 0},   {"nan", 0},  {"inf", 0},      {"7 s", 0},       {"7S", 0},
                 {"7sec", 0},         {"1.2.3", 0}, {"0x10", 0}, {"99999999d", 0}};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        const char *const given[] = {"prog", "--quern-deadline", times[i].text, NULL};
        char *argv[ARGUMENT_COUNT_MAX];
        quern_options options;
        int argc = 0;
        quern_status status = read_arguments(given, &options, &argc, argv);
        if (status != (times[i].ms > 0 ? QUERN_OK : QUERN_ERROR_INVALID_OPTION) || options.deadline_ms != times[i].ms)
            kit_fail(__FILE__, __LINE__, "'%s' is %llu ms, status %d", times[i].text,
                     (unsigned long long)options.deadline_ms, status);
    }
}

static void the_help_lists_every_option(void)
{
#define HAS_HELP(field, type, name, kind, standard, help) CHECK_HAS(quern_options_help(), "--quern-" name);
    QUERN_OPTION_LIST(HAS_HELP)
#undef HAS_HELP
}

/* ---- what wins ---- */

static const char *const variables[] = {
    "QUERN_MEMORY",    "QUERN_SCRATCH",     "QUERN_REPORT",   "QUERN_LOG",          "QUERN_PROGRESS",
    "QUERN_PIN",       "QUERN_SPLIT_BYTES", "QUERN_ATTEMPTS", "QUERN_RECORD_BYTES", "QUERN_ROUND_BYTES",
    "QUERN_SINGLETON", "QUERN_EXPLAIN",     "QUERN_CHECK"};

static void clear_environment(void)
{
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
}

static int runs;

/* A context with one option by up to three ways (NULL: not that way), and a run on it. */
static quern_status run_with(const char *variable, const char *value, const quern_options *options,
                             const char *argument, bool always_fails);

static int fail_always(const quern_record *in, quern_record *out, void *user)
{
    (void)in;
    (void)out;
    (void)user;
    return 1;
}

static char last_text[1024];

static quern_status run_with(const char *variable, const char *value, const quern_options *options,
                             const char *argument, bool always_fails)
{
    char name[] = "prog", copy[600];
    char *argv[] = {name, copy, NULL};
    int argc = argument ? 2 : 1;
    quern_context *context = NULL;
    const quern_schema only_key = {QUERN_BYTES, QUERN_NONE, 0};
    clear_environment();
    if (value)
        setenv(variable, value, 1);
    snprintf(copy, sizeof copy, "%s", argument ? argument : "");
    if (!argument)
        argv[1] = NULL;
    quern_status status = quern_context_create(&argc, argv, options, &context);
    CHECK(context != NULL || status != QUERN_OK);
    quern_dataset *lines = quern_read_text(context, input, 1, NULL);
    if (always_fails)
        lines = quern_map(lines, only_key, fail_always, NULL);
    quern_write_text(quern_reduce_by_key(lines, QUERN_COUNT), kit_path("out%d", runs++));
    quern_status outcome = quern_run(context);
    CHECK(context != NULL || outcome == status);
    snprintf(last_text, sizeof last_text, "%s", quern_context_error_text(context));
    quern_context_destroy(context);
    return outcome;
}

static uint64_t in_report(const char *path, const char *figure)
{
    char name[80];
    kit_text report = kit_read(path);
    snprintf(name, sizeof name, "\"%s\":", figure);
    const char *at = strstr(report.data, name);
    CHECK(at != NULL);
    uint64_t number = strtoull(at + strlen(name), NULL, 10);
    kit_free(&report);
    unlink(path);
    return number;
}

static void an_argument_wins_over_the_field_and_that_over_the_environment(void)
{
    quern_options options;
    char argument[600], report[512];
    snprintf(report, sizeof report, "%s", kit_path("report"));
    for (int ways = 0; ways < 8; ways++) { /* bits: environment, field, argument */
        quern_options_init(&options);
        options.report_path = report;
        options.memory_bytes = ways & 2 ? UINT64_C(65) << 20 : 0;
        CHECK_SAME(
            run_with("QUERN_MEMORY", ways & 1 ? "64M" : NULL, &options, ways & 4 ? "--quern-memory=66M" : NULL, false),
            QUERN_OK);
        uint64_t mib = in_report(report, "memory_bytes_per_node") >> 20;
        CHECK(ways == 0 ? mib > 70 : mib == (ways & 4 ? 66 : ways & 2 ? 65 : 64));

        quern_options_init(&options);
        options.report_path = report;
        options.split_bytes = ways & 2 ? 1000 : 0;
        run_with("QUERN_SPLIT_BYTES", ways & 1 ? "2000" : NULL, &options, ways & 4 ? "--quern-split-bytes=500" : NULL,
                 false);
        CHECK_SAME(in_report(report, "tasks"), ways & 4 ? 8 : ways & 2 ? 4 : ways & 1 ? 2 : 1);

        quern_options_init(&options);
        options.attempt_count_max = ways & 2 ? 2 : 0;
        CHECK_SAME(
            run_with("QUERN_ATTEMPTS", ways & 1 ? "8" : NULL, &options, ways & 4 ? "--quern-attempts=1" : NULL, true),
            QUERN_ERROR_CALLBACK);
        snprintf(argument, sizeof argument, "(attempt %d)", ways & 4 ? 1 : ways & 2 ? 2 : ways & 1 ? 8 : 4);
        CHECK_HAS(last_text, argument);

        quern_options_init(&options);
        options.scratch_dir = ways & 2 ? "/no/field" : NULL;
        quern_status status = run_with("QUERN_SCRATCH", ways & 1 ? "/no/variable" : NULL, &options,
                                       ways & 4 ? "--quern-scratch=/no/argument" : NULL, false);
        CHECK_SAME(status, ways ? QUERN_ERROR_SCRATCH : QUERN_OK);
        CHECK_HAS(last_text, ways & 4 ? "/no/argument" : ways & 2 ? "/no/field" : ways & 1 ? "/no/variable" : "");

        quern_options_init(&options);
        options.record_bytes_max = ways & 2 ? 3 : 0; /* lines have 4 bytes, except with the argument */
        status = run_with("QUERN_RECORD_BYTES", ways & 1 ? "2" : NULL, &options,
                          ways & 4 ? "--quern-record-bytes=4" : NULL, false);
        CHECK_SAME(status, ways & 4 || ways == 0 ? QUERN_OK : QUERN_ERROR_RECORD_TOO_LARGE);
    }
}

static void texts_and_switches_come_by_all_three_ways(void)
{
    char argument[600], by_variable[512], by_field[512], by_argument[512];
    snprintf(by_variable, sizeof by_variable, "%s", kit_path("by-variable"));
    snprintf(by_field, sizeof by_field, "%s", kit_path("by-field"));
    snprintf(by_argument, sizeof by_argument, "%s", kit_path("by-argument"));
    for (int kind = 0; kind < 2; kind++) {
        for (int ways = 1; ways < 8; ways++) {
            quern_options options;
            quern_options_init(&options);
            *(kind ? &options.log_path : &options.report_path) = ways & 2 ? by_field : NULL;
            snprintf(argument, sizeof argument, "--quern-%s=%s", kind ? "log" : "report", by_argument);
            CHECK_SAME(run_with(kind ? "QUERN_LOG" : "QUERN_REPORT", ways & 1 ? by_variable : NULL, &options,
                                ways & 4 ? argument : NULL, false),
                       QUERN_OK);
            CHECK(kit_exists(by_argument) == (ways >= 4));
            CHECK(kit_exists(by_field) == ((ways & 6) == 2));
            CHECK(kit_exists(by_variable) == (ways == 1));
            unlink(by_argument);
            unlink(by_field);
            unlink(by_variable);
        }
    }
}

/* By what it does: with progress a job says something on standard error, which here is a file. */
static bool shows_progress(const char *variable, quern_switch field, const char *argument)
{
    quern_options options;
    quern_options_init(&options);
    options.progress = field;
    const char *said = kit_path("said");
    int before = dup(STDERR_FILENO), file = open(said, O_CREAT | O_TRUNC | O_WRONLY, 0666);
    CHECK(before >= 0 && file >= 0 && dup2(file, STDERR_FILENO) >= 0);
    quern_status status = run_with("QUERN_PROGRESS", variable, &options, argument, false);
    CHECK(dup2(before, STDERR_FILENO) >= 0);
    close(before);
    close(file);
    CHECK_SAME(status, QUERN_OK);
    kit_text text = kit_read(said);
    bool shown = text.bytes > 0;
    kit_free(&text);
    return shown;
}

static void auto_wins_over_weaker_sources_like_any_other_value(void)
{
    CHECK(shows_progress("on", QUERN_AUTO, NULL));
    CHECK(!shows_progress("on", QUERN_AUTO, "--quern-progress=auto"));
    CHECK(!shows_progress(NULL, QUERN_ON, "--quern-progress=auto"));
    CHECK(!shows_progress("on", QUERN_ON, "--quern-progress=auto"));
    CHECK(!shows_progress("on", QUERN_DEFAULT, NULL));
    CHECK(shows_progress("on", QUERN_DEFAULT, "--quern-progress=on"));
    CHECK(!shows_progress("auto", QUERN_AUTO, NULL));
    const char *const given[] = {"prog", "--quern-progress=auto", NULL};
    char *argv[ARGUMENT_COUNT_MAX];
    quern_options options;
    int argc = 0;
    CHECK_SAME(read_arguments(given, &options, &argc, argv), QUERN_OK);
    CHECK(options.progress == QUERN_DEFAULT);
}

static void bad_variables_and_fields_are_named(void)
{
    static const char *const bad[][2] = {{"QUERN_MEMORY", "much"},
                                         {"QUERN_PIN", "yes"},
                                         {"QUERN_ATTEMPTS", "0"},
                                         {"QUERN_ATTEMPTS", "9"},
                                         {"QUERN_SPLIT_BYTES", "1Q"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_SAME(run_with(bad[i][0], bad[i][1], NULL, NULL, false), QUERN_ERROR_INVALID_OPTION);
        CHECK_HAS(last_text, bad[i][1]);
    }
    CHECK_SAME(run_with("QUERN_MEMORY", "", NULL, NULL, false), QUERN_OK); /* empty is not set */
    /* A variable that something wins over is not looked at. */
    CHECK_SAME(run_with("QUERN_PIN", "yes", NULL, "--quern-pin=off", false), QUERN_OK);
    CHECK_SAME(run_with(NULL, NULL, NULL, "--quern-x=1", false), QUERN_ERROR_INVALID_OPTION);
    CHECK_HAS(last_text, "--quern-x");
    quern_options options;
    quern_options_init(&options);
    options.attempt_count_max = UINT64_C(1) << 32 | 1;
    CHECK_SAME(run_with(NULL, NULL, &options, NULL, false), QUERN_ERROR_INVALID_OPTION);
    quern_options_init(&options);
    options.pin = (quern_switch)7;
    CHECK_SAME(run_with(NULL, NULL, &options, NULL, false), QUERN_ERROR_INVALID_OPTION);
    CHECK_HAS(last_text, "pin");
    options.explain = (quern_explain_form)6;
    options.pin = QUERN_AUTO;
    CHECK_SAME(run_with(NULL, NULL, &options, NULL, false), QUERN_ERROR_INVALID_OPTION);
    CHECK_HAS(last_text, "explain");
    options.progress = (quern_switch)-1;
    CHECK_SAME(run_with(NULL, NULL, &options, NULL, false), QUERN_ERROR_INVALID_OPTION);
}

/* A caller that is newer than the library. */
static void a_longer_struct_is_taken_unless_it_asks_for_what_is_not_known(void)
{
    struct {
        quern_options options;
        uint64_t unknown;
    } newer;
    char report[512];
    snprintf(report, sizeof report, "%s", kit_path("report"));
    quern_options_init(&newer.options);
    newer.options.struct_size = sizeof newer;
    newer.options.report_path = report;
    newer.unknown = 0;
    CHECK_SAME(run_with(NULL, NULL, &newer.options, "--quern-memory=64M", false), QUERN_OK);
    CHECK_SAME(in_report(report, "memory_bytes_per_node"), 64 << 20);
    const char *const given[] = {"prog", "--quern-attempts=3", NULL};
    char *argv[] = {(char *)(uintptr_t)given[0], (char *)(uintptr_t)given[1], NULL};
    int argc = 2;
    CHECK_SAME(quern_options_read_argv(&newer.options, &argc, argv), QUERN_OK);
    CHECK(newer.options.attempt_count_max == 3 && newer.options.struct_size == sizeof newer);
    newer.unknown = 99;
    CHECK_SAME(run_with(NULL, NULL, &newer.options, NULL, false), QUERN_ERROR_INVALID_ARGUMENT);
    CHECK_HAS(last_text, "does not know");
}

static void a_struct_without_its_size_is_refused_with_the_remedy(void)
{
    const size_t sizes[] = {0, 1, offsetof(quern_options, check), SIZE_MAX};
    quern_options options;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        quern_options_init(&options);
        options.struct_size = sizes[i];
        CHECK_SAME(run_with(NULL, NULL, &options, NULL, false), QUERN_ERROR_INVALID_ARGUMENT);
        CHECK_HAS(last_text, "quern_options_init()");
        int argc = 0;
        CHECK_SAME(quern_options_read_argv(&options, &argc, (char *[]){NULL}), QUERN_ERROR_INVALID_ARGUMENT);
    }
    quern_options_init(&options); /* the padding at its end is not the caller's to set */
    options.struct_size = offsetof(quern_options, check) + sizeof options.check;
    CHECK_SAME(run_with(NULL, NULL, &options, NULL, false), QUERN_OK);
}

/* ---- a job binary ---- */

static int job(int argc, char **argv)
{
    quern_context *context = NULL;
    quern_options options;
    quern_options_init(&options);
    if (getenv("KIT_MEMORY"))
        options.memory_bytes = strtoull(getenv("KIT_MEMORY"), NULL, 10);
    const char *directory = argv[1];
    quern_status status = quern_context_create(&argc, argv, &options, &context);
    const char *paths[] = {NULL};
    char lines[512], output[512];
    snprintf(lines, sizeof lines, "%s/lines", directory);
    snprintf(output, sizeof output, "%s/out", directory);
    paths[0] = lines;
    if (context && quern_context_rank(context) == 0) {
        printf("size %d\narguments", quern_context_size(context));
        for (int i = 1; i < argc; i++)
            printf(" %s", strcmp(argv[i], directory) == 0 ? "DIRECTORY" : argv[i]);
        printf("\n");
    }
    quern_write_text(quern_reduce_by_key(quern_read_text(context, paths, 1, NULL), QUERN_COUNT), output);
    status = quern_run(context);
    if (quern_context_rank(context) == 0)
        printf("status %s %s\n", quern_status_name(status), quern_context_error_text(context));
    fflush(stdout);
    quern_context_destroy(context);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[2], "job") == 0)
        return job(argc, argv);
    kit_start(&argc, &argv);
    kit_text lines = {0};
    for (int i = 0; i < 800; i++) /* 4000 bytes */
        kit_put(&lines, "%04d\n", i);
    input[0] = strdup(kit_path("lines"));
    kit_write(input[0], &lines);
    RUN(arguments_are_taken_and_others_keep_their_order, 10);
    RUN(bad_arguments_change_nothing_and_are_named, 10);
    RUN(sizes_have_suffixes, 10);
    RUN(times_have_units, 10);
    RUN(the_help_lists_every_option, 10);
    RUN(an_argument_wins_over_the_field_and_that_over_the_environment, 10);
    RUN(texts_and_switches_come_by_all_three_ways, 10);
    RUN(auto_wins_over_weaker_sources_like_any_other_value, 10);
    RUN(bad_variables_and_fields_are_named, 10);
    RUN(a_longer_struct_is_taken_unless_it_asks_for_what_is_not_known, 10);
    RUN(a_struct_without_its_size_is_refused_with_the_remedy, 10);
    return kit_finish();
}
