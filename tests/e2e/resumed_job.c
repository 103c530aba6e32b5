/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two runs that count lines, and in the callback WHERE (lines, first, second, third, none) is killed at the line "die"; slow: the first run takes 50 us and more
 * for a line; slower: 2 ms; leave, linger: the program ends behind the first run, at once or after two seconds, and destroys nothing:
 * resumed_job WHERE OUT OUT2 PATH... OUT2 -: the first run only.
 *
 * What no command line says: JOB_LIMIT is noted as a parameter, JOB_MODEL as a file, JOB_TABLE is broadcast, and with JOB_GRAPH the first run has one operator more.
 */
#include <quern/quern.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/told.h"

typedef struct step {
    const char *name;
    quern_counter *counter;
} step;

static const char *where;
static step lines_step = {"lines", NULL}, first = {"first", NULL}, second = {"second", NULL}, third = {"third", NULL};

static int look(const quern_record *record, int *keep_out, void *user)
{
    const step *here = user;
    quern_counter_add(here->counter, 1);
    if (strcmp(where, here->name) == 0 && record->key.bytes == 3 && memcmp(record->key.data, "die", 3) == 0)
        kill(getpid(), SIGKILL);
    if (here == &lines_step && strncmp(where, "slow", 4) == 0)
        nanosleep(&(struct timespec){.tv_nsec = where[4] ? 2000000 : 50000}, NULL);
    *keep_out = 1;
    return 0;
}

static int pass(const quern_record *record, int *keep_out, void *user)
{
    (void)record;
    (void)user;
    *keep_out = 1;
    return 0;
}

static quern_dataset *look_at(quern_context *context, quern_dataset *in, step *here)
{
    here->counter = quern_counter_create(context, here->name);
    return quern_name(quern_filter(in, look, here), here->name);
}

static quern_status run(quern_context *context)
{
    quern_status status = quern_run(context);
    int rank = quern_context_rank(context);
    const step *steps[] = {&lines_step, &first, &second, &third};
    for (size_t i = 0; i < 4 && status == QUERN_OK && rank == 0; i++)
        if (steps[i]->counter)
            printf("%s %lld\n", steps[i]->name, (long long)quern_counter_value(steps[i]->counter));
    if (status != QUERN_OK && rank == 0)
        fprintf(stderr, "resumed_job: %s\n", quern_context_error_text(context));
    return status;
}

static quern_status take_environment(quern_context *context)
{
    const char *limit = getenv("JOB_LIMIT"), *model = getenv("JOB_MODEL"), *table = getenv("JOB_TABLE");
    quern_shared *shared;
    if (limit)
        quern_note_parameter(context, "limit", limit, strlen(limit));
    if (model)
        quern_note_file(context, model);
    return table ? quern_broadcast(context, table, strlen(table), &shared) : QUERN_OK;
}

/* A line of each event but those that come five times a second: its kind, the run, the status, the text. */
static void note_event(const quern_event *event, void *user)
{
    FILE *file = event->kind == QUERN_EVENT_PROGRESS ? NULL : fopen(user, "a");
    if (!file)
        return;
    fprintf(file, "%d %u %d %s\n", event->kind, event->run, event->status, event->text);
    fclose(file);
}

int main(int argc, char **argv)
{
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    if (status != QUERN_OK || argc < 5) {
        if (quern_context_rank(NULL) == 0)
            fprintf(stderr, "resumed_job: %s\n", quern_context_error_text(NULL));
        quern_context_destroy(NULL);
        return 2;
    }
    where = told(argv, 1);
    status = take_environment(context);
    if (status == QUERN_OK && getenv("JOB_EVENTS"))
        status = quern_on_progress(context, note_event, getenv("JOB_EVENTS"));
    const char *const *paths = (const char *const *)argv + 4;
    quern_dataset *lines = look_at(context, quern_read_text(context, paths, (size_t)argc - 4, NULL), &lines_step);
    if (getenv("JOB_GRAPH"))
        lines = quern_filter(lines, pass, NULL);
    quern_dataset *counts = quern_name(quern_count_by_key(lines), "counts");
    quern_dataset *ones = quern_name(quern_count_by_key(look_at(context, counts, &first)), "ones");
    quern_write_text(look_at(context, ones, &second), argv[2]);
    if (status == QUERN_OK)
        status = run(context);
    if (strcmp(where, "linger") == 0)
        sleep(2);
    if (strcmp(where, "linger") == 0 || strcmp(where, "leave") == 0)
        _exit(0);
    if (status == QUERN_OK && strcmp(argv[3], "-") != 0) {
        quern_write_text(
            look_at(context, quern_name(quern_count_by_key(quern_read_text(context, paths, 1, NULL)), "again"), &third),
            argv[3]);
        status = run(context);
    }
    quern_context_destroy(context);
    return quern_exit_status(status);
}
