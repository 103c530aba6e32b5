/* SPDX-License-Identifier: BSD-3-Clause */
/* What a program is told while its job works, and that it is told nothing it did not ask for. */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api_kit.h"

#define LINE_COUNT  3000
#define SPLIT_BYTES 2000
#define KINDS       (QUERN_EVENT_RUN_ENDED + 1)
#define HELD_MAX    4000

static const char *input[1];

/* What was told; by the library's thread, and read when the run is over. */
typedef struct told {
    pthread_t program;
    bool is_of_the_program; /* called by the thread that runs, which is wrong */
    uint32_t counts[KINDS];
    int kinds[HELD_MAX]; /* in their order */
    size_t count;
    quern_event last[KINDS]; /* without texts, */
    char texts[KINDS][512];  /* which are here */
    char topics[KINDS][64], name[64];
    uint64_t most_records; /* in events of progress, */
    quern_event of_first;  /* of which this is the last one of a first stage */
    quern_event of_result; /* of a stage that reads one, the last one that says how much time is left */
    bool goes_back;        /* stages or tasks do */
    long pause_ms;
} told;

static void pause_for(long ms)
{
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static void note(const quern_event *event, void *user)
{
    told *all = user;
    bool is_known = event->kind > 0 && event->kind < KINDS;
    CHECK(event->struct_size == sizeof *event && is_known && all->count < HELD_MAX);
    all->is_of_the_program |= pthread_equal(all->program, pthread_self()) != 0;
    all->kinds[all->count++] = event->kind;
    all->counts[event->kind]++;
    const quern_event *before = &all->last[QUERN_EVENT_PROGRESS];
    if (event->kind == QUERN_EVENT_PROGRESS) {
        bool is_same = before->run == event->run && before->stage == event->stage;
        all->goes_back |= before->run == event->run && before->stage > event->stage;
        all->goes_back |= is_same && before->tasks_done > event->tasks_done;
        all->most_records = event->records > all->most_records ? event->records : all->most_records;
        if (event->stage == 1)
            all->of_first = *event;
        if (event->tasks_all == 0 && event->seconds_left >= 0)
            all->of_result = *event;
    }
    all->last[event->kind] = *event;
    snprintf(all->texts[event->kind], sizeof all->texts[0], "%s", event->text);
    snprintf(all->topics[event->kind], sizeof all->topics[0], "%s", event->topic);
    snprintf(all->name, sizeof all->name, "%s", event->stage_name);
    pause_for(all->pause_ms);
}

static told *listen_to(quern_context *context, long pause_ms)
{
    told *all = calloc(1, sizeof *all);
    CHECK(all != NULL);
    all->program = pthread_self();
    all->pause_ms = pause_ms;
    CHECK_SAME(quern_on_progress(context, note, all), QUERN_OK);
    return all;
}

static quern_context *small_splits(const char *job)
{
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = (uint64_t)SPLIT_BYTES / (kit_size() > 3 ? 4 : 1); /* so that each rank has several */
    options.job_dir = job;
    return kit_context(&options);
}

/* ---- jobs ---- */

typedef struct trouble {
    const char *name; /* of a line that fails once; NULL: none does */
    long sleep_us;    /* for each record */
    bool always;
} trouble;

static int pass(const quern_record *in, quern_emitter *out, void *user)
{
    const trouble *t = user;
    struct timespec pause = {0, t->sleep_us * 1000};
    if (t->sleep_us > 0)
        nanosleep(&pause, NULL);
    if (t->always || (t->name && kit_number(in->key) == 1000 && kit_first_time("%s.%d", t->name, kit_size())))
        return quern_fail(out, 0, "this one not");
    static const char all[] = "all";
    return quern_emit(out, (quern_span){all, 3}, (quern_span){NULL, 0});
}

static void count_lines(quern_context *context, trouble *t)
{
    quern_schema bytes = {QUERN_BYTES, QUERN_NONE, 0, 0};
    quern_dataset *lines = quern_flat_map(quern_read_text(context, input, 1, NULL), bytes, pass, t);
    quern_write_text(quern_reduce_by_key(lines, QUERN_COUNT),
                     kit_path("out-%s-%d", t->name ? t->name : "x", kit_size()));
}

/* ---- cases ---- */

static void a_run_is_told_from_its_begin_to_its_end_on_rank_0_alone(void)
{
    trouble none = {.name = "whole"};
    quern_context *context = small_splits(NULL);
    told *all = listen_to(context, 0);
    count_lines(context, &none);
    kit_run(context);
    const quern_event *end = &all->last[QUERN_EVENT_STAGE_ENDED], *over = &all->last[QUERN_EVENT_RUN_ENDED];
    if (kit_rank() == 0) {
        CHECK(all->kinds[0] == QUERN_EVENT_RUN_BEGUN && all->kinds[1] == QUERN_EVENT_STAGE_BEGUN);
        CHECK(all->kinds[all->count - 1] == QUERN_EVENT_RUN_ENDED && !all->is_of_the_program && !all->goes_back);
        CHECK_SAME(all->last[QUERN_EVENT_RUN_BEGUN].stage_count, 2);
        CHECK_SAME(all->counts[QUERN_EVENT_STAGE_BEGUN], 2);
        CHECK_SAME(all->counts[QUERN_EVENT_STAGE_ENDED], 2);
        CHECK(end->stage == 2 && end->stage_count == 2 && end->records == 1 && end->tasks_all == 0 && end->run == 1);
        CHECK(over->status == QUERN_OK && over->read_bytes > LINE_COUNT && over->seconds >= end->seconds);
        CHECK_HAS(all->texts[QUERN_EVENT_NOTE], "tasks on");
    } else {
        CHECK_SAME(all->count, 0);
    }
    CHECK_SAME(quern_on_progress(context, NULL, NULL), QUERN_OK);
    size_t before = all->count;
    none.name = "unheard";
    count_lines(context, &none);
    kit_run(context);
    CHECK_SAME(all->count, before);
    quern_context_destroy(context);
    free(all);
}

static void figures_of_all_ranks_come_while_callbacks_take_long(void)
{
    trouble slow = {.name = "slow", .sleep_us = 800L * kit_size()};
    quern_context *context = small_splits(NULL);
    told *all = kit_rank() == 0 ? listen_to(context, 0) : NULL; /* others need not ask */
    count_lines(context, &slow);
    kit_run(context);
    if (all) {
        const quern_event *last = &all->of_first;
        CHECK(all->counts[QUERN_EVENT_PROGRESS] >= 5 && all->most_records > 0 && all->most_records <= LINE_COUNT);
        CHECK(last->tasks_all > 1 && last->bytes_all > last->tasks_all && last->seconds > 0.5);
        CHECK(!all->goes_back && all->last[QUERN_EVENT_RUN_ENDED].passed_over == 0);
    }
    quern_context_destroy(context);
    free(all);
}

static int pass_group(quern_span key, quern_values *values, quern_emitter *out, void *user)
{
    (void)values;
    return pass(&(quern_record){.key = key}, out, user);
}

/* Lines in order, or groups of them, worked on slowly. */
static void check_time_left(bool has_groups)
{
    const quern_schema bytes = {QUERN_BYTES, QUERN_NONE, 0, 0};
    trouble slow = {.name = has_groups ? "groups" : "sorted", .sleep_us = 800L * kit_size()};
    quern_context *context = small_splits(NULL);
    told *all = listen_to(context, 0);
    quern_dataset *lines = quern_read_text(context, input, 1, NULL);
    quern_dataset *made = has_groups ? quern_group_by_key(lines, bytes, pass_group, &slow, NULL)
                                     : quern_flat_map(quern_sort_by_key(lines, NULL), bytes, pass, &slow);
    quern_write_text(made, kit_path("out-%s-%d", slow.name, kit_size()));
    kit_run(context);
    const quern_event *of = &all->of_result;
    if (kit_rank() == 0) {
        CHECK(of->stage == 2 && of->seconds > 0.5 && of->seconds_left > 0);
        CHECK_SAME(of->records_all, LINE_COUNT);
        CHECK(of->records > 0 && of->records < LINE_COUNT);
    }
    quern_context_destroy(context);
    free(all);
}

static void a_stage_that_reads_a_result_says_how_much_is_left(void)
{
    check_time_left(false);
    check_time_left(true);
}

static void retries_are_told_and_failures_end_the_run(void)
{
    trouble once = {.name = "once"}, always = {.always = true};
    quern_context *context = small_splits(NULL);
    told *all = listen_to(context, 0);
    count_lines(context, &once);
    kit_run(context);
    if (kit_rank() == 0) {
        CHECK(all->counts[QUERN_EVENT_RETRY] >= 1);
        CHECK_HAS(all->texts[QUERN_EVENT_RETRY], "this one not");
    }
    count_lines(context, &always);
    kit_run_fails(context, QUERN_ERROR_CALLBACK);
    if (kit_rank() == 0) {
        CHECK(all->last[QUERN_EVENT_RUN_ENDED].status == QUERN_ERROR_CALLBACK);
        CHECK_SAME(all->last[QUERN_EVENT_RUN_ENDED].run, 2);
        CHECK_HAS(all->texts[QUERN_EVENT_RUN_ENDED], "this one not");
        CHECK_SAME(all->kinds[all->count - 1], QUERN_EVENT_RUN_ENDED);
    }
    quern_context_destroy(context);
    free(all);
}

/* A function that takes long delays the end of a run, and loses figures only. */
static void a_slow_function_is_told_every_end(void)
{
    trouble none = {.name = "late"};
    quern_context *context = small_splits(NULL);
    told *all = listen_to(context, 40);
    count_lines(context, &none);
    kit_run(context);
    if (kit_rank() == 0)
        CHECK(all->counts[QUERN_EVENT_STAGE_ENDED] == 2 && all->kinds[all->count - 1] == QUERN_EVENT_RUN_ENDED);
    quern_context_destroy(context);
    free(all);
}

static int ask_inside(const quern_record *record, void *user)
{
    (void)record;
    CHECK_SAME(quern_on_progress(user, note, NULL), QUERN_ERROR_INVALID_ARGUMENT);
    return 0;
}

static void within_a_run_and_without_a_context_it_is_refused(void)
{
    quern_context *context = kit_context(NULL);
    quern_top_k(quern_reduce_by_key(quern_read_text(context, input, 1, NULL), QUERN_COUNT), 1, ask_inside, context);
    kit_run(context);
    CHECK_SAME(quern_on_progress(NULL, note, NULL), QUERN_ERROR_INVALID_ARGUMENT);
    quern_context_destroy(context);
}

/* ---- silence ---- */

/* What the process writes to both meanwhile goes to a file. */
typedef struct mute {
    int fd, before[2];
} mute;

static mute begin_mute(void)
{
    mute made;
    const char *path = kit_path("written-%d", kit_rank());
    fflush(stdout);
    fflush(stderr);
    made.fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    CHECK(made.fd >= 0);
    for (int i = 0; i < 2; i++) {
        made.before[i] = fcntl(i + 1, F_DUPFD_CLOEXEC, 10);
        CHECK(made.before[i] >= 0 && dup2(made.fd, i + 1) == i + 1);
    }
    return made;
}

static off_t end_mute(mute *made)
{
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        CHECK(dup2(made->before[i], i + 1) == i + 1);
        close(made->before[i]);
    }
    off_t bytes = lseek(made->fd, 0, SEEK_END);
    close(made->fd);
    return bytes;
}

/* With a retry, an alert (each record has one key), a failure, and a job directory, which must not make a difference. */
static void who_asked_for_nothing_reads_nothing(void)
{
    trouble slow = {.name = "silent", .sleep_us = 1000L * kit_size()}, always = {.always = true};
    const char *job = strdup(kit_path("job-%d", kit_size()));
    mute all = begin_mute();
    quern_context *context = small_splits(job);
    count_lines(context, &slow);
    kit_run(context);
    kit_text log = {0};
    if (kit_rank() == 0)
        log = kit_read(kit_path("job-%d/log", kit_size()));
    count_lines(context, &always);
    kit_run_fails(context, QUERN_ERROR_CALLBACK);
    quern_context_destroy(context);
    CHECK_SAME(end_mute(&all), 0);
    if (kit_rank() == 0) {
        kit_put_bytes(&log, "", 1);
        CHECK_HAS(log.data, "hot key");
        CHECK(kit_exists(kit_path("first.silent.%d", kit_size())));
    }
    kit_free(&log);
    free((void *)job);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    input[0] = kit_write_numbers("lines", LINE_COUNT);
    RUN(a_run_is_told_from_its_begin_to_its_end_on_rank_0_alone, 20);
    RUN(figures_of_all_ranks_come_while_callbacks_take_long, 30);
    RUN(a_stage_that_reads_a_result_says_how_much_is_left, 30);
    RUN(retries_are_told_and_failures_end_the_run, 20);
    RUN(a_slow_function_is_told_every_end, 20);
    RUN(within_a_run_and_without_a_context_it_is_refused, 20);
    RUN(who_asked_for_nothing_reads_nothing, 30);
    return kit_finish();
}
