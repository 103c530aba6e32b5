/* SPDX-License-Identifier: BSD-3-Clause. Counts lines, then the counts, and hangs in the callback WHERE: hung_job WHERE HOW DIR MARK PATH...
 *
 * WHERE: first (of lines), second (of counts) or none. HOW: wait (each record takes a moment as long as there is MARK.wait, and who comes there
 * makes MARK.RANK), sleep or spin (for ever, at the line "hang") or fifo (at that line the last PATH becomes a pipe that nobody writes to). */
#include <fcntl.h>
#include <quern/quern.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/e2e/told.h"

static const char *where, *how, *mark, *last_path;
static int rank;

static void touch(const char *base, int number)
{
    char path[4096];
    snprintf(path, sizeof path, "%s.%d", base, number);
    int file = open(path, O_CREAT | O_WRONLY, 0600);
    if (file >= 0)
        close(file);
}

static void hold_up(void)
{
    char path[4096];
    static int is_marked;
    snprintf(path, sizeof path, "%s.wait", mark);
    if (!is_marked)
        touch(mark, rank);
    is_marked = 1;
    if (access(path, F_OK) == 0)
        usleep(20000);
}

static void hang(void)
{
    for (volatile int i = 0; strcmp(how, "spin") == 0; i++)
        ;
    while (strcmp(how, "sleep") == 0)
        pause();
    if (strcmp(how, "fifo") == 0 && unlink(last_path) == 0)
        mkfifo(last_path, 0600);
}

static int look(const quern_record *record, int *keep_out, void *user)
{
    *keep_out = 1;
    if (strcmp(where, user) != 0)
        return 0;
    if (strcmp(how, "wait") == 0)
        hold_up();
    else if (record->key.bytes == 4 && memcmp(record->key.data, "hang", 4) == 0)
        hang();
    return 0;
}

int main(int argc, char **argv)
{
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    if (status != QUERN_OK || argc < 6) {
        fprintf(stderr, "%s\n", quern_context_error_text(context));
        return 2;
    }
    where = told(argv, 1), how = told(argv, 2), mark = argv[4], last_path = argv[argc - 1];
    rank = quern_context_rank(context);
    quern_dataset *lines = quern_read_text(context, (const char *const *)argv + 5, (size_t)argc - 5, NULL);
    quern_dataset *counts = quern_count_by_key(quern_name(quern_filter(lines, look, "first"), "look at lines"));
    quern_name(counts, "counts");
    quern_dataset *ones = quern_count_by_key(quern_name(quern_filter(counts, look, "second"), "look at counts"));
    quern_write_text(ones, argv[3]);
    status = quern_run(context);
    if (status != QUERN_OK && rank == 0)
        fprintf(stderr, "hung_job: %s\n", quern_context_error_text(context));
    quern_context_destroy(context);
    return status != QUERN_OK;
}
