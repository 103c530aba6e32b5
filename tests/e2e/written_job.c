/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A job that reads lines and writes them as they come, and counts them in a second output: written_job WHAT WHERE OUT OUT2 PATH...
 *
 * WHAT: text, fixed, csv, gzip, zstd, one (one file), tar, zip. WHERE: lines, counts: killed in that callback at the line "die"; commit: when the second
 * output is whole, before the program ends; slow: 50 us and more for a line; none. A line of n bytes is written 1 + n % 3 times, those with an x not at all. OUT2 may be
 * "-": there is only one output.
 */
#include <quern/quern.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/told.h"

static const char *where;
static quern_counter *looks, *copies;

static void die_at(const char *here, const quern_record *record)
{
    if (strcmp(where, here) == 0 && record->key.bytes == 3 && memcmp(record->key.data, "die", 3) == 0)
        kill(getpid(), SIGKILL);
}

static int look(const quern_record *record, int *keep_out, void *user)
{
    (void)user;
    quern_counter_add(looks, 1);
    die_at("lines", record);
    if (strcmp(where, "slow") == 0)
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    *keep_out = record->key.bytes == 0 || !memchr(record->key.data, 'x', record->key.bytes);
    return 0;
}

static int copy(const quern_record *in, quern_emitter *emitter, void *user)
{
    (void)user;
    for (size_t i = 0; i < 1 + in->key.bytes % 3; i++) {
        quern_counter_add(copies, 1);
        if (quern_emit(emitter, in->key, in->value) != 0)
            return 1;
    }
    return 0;
}

static int see(const quern_record *record, int *keep_out, void *user)
{
    (void)user;
    die_at("counts", record);
    *keep_out = 1;
    return 0;
}

static void write_as(const char *what, quern_dataset *lines, const char *out)
{
    quern_output_options how = {.struct_size = sizeof how};
    how.form = strcmp(what, "csv") == 0     ? QUERN_FORM_CSV
               : strcmp(what, "fixed") == 0 ? QUERN_FORM_FIXED
                                            : QUERN_FORM_TEXT;
    how.compression = strcmp(what, "gzip") == 0 || strcmp(what, "zip") == 0 ? QUERN_GZIP : QUERN_NOT_COMPRESSED;
    if (strcmp(what, "zstd") == 0)
        how.compression = QUERN_ZSTD;
    how.one_file = strcmp(what, "one") == 0;
    how.archive = strcmp(what, "tar") == 0 ? QUERN_TAR : strcmp(what, "zip") == 0 ? QUERN_ZIP : QUERN_NO_ARCHIVE;
    quern_write_files(lines, out, &how);
}

int main(int argc, char **argv)
{
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    if (status != QUERN_OK || argc < 6) {
        if (quern_context_rank(NULL) == 0)
            fprintf(stderr, "written_job: %s\n", quern_context_error_text(NULL));
        quern_context_destroy(NULL);
        return 2;
    }
    where = told(argv, 2);
    looks = quern_counter_create(context, "looks");
    copies = quern_counter_create(context, "copies");
    const char *const *paths = (const char *const *)argv + 5;
    quern_dataset *read = quern_read_text(context, paths, (size_t)argc - 5, NULL);
    quern_schema same = {.key = QUERN_BYTES, .value = QUERN_NONE};
    write_as(argv[1], quern_name(quern_flat_map(quern_filter(read, look, NULL), same, copy, NULL), "copies"), argv[3]);
    if (strcmp(argv[4], "-") != 0)
        quern_write_text(quern_filter(quern_count_by_key(read), see, NULL), argv[4]);
    status = quern_run(context);
    if (quern_context_rank(context) == 0 && status == QUERN_OK)
        printf("looks %lld copies %lld\n", (long long)quern_counter_value(looks),
               (long long)quern_counter_value(copies));
    else if (quern_context_rank(context) == 0)
        fprintf(stderr, "written_job: %s\n", quern_context_error_text(context));
    if (status == QUERN_OK && strcmp(where, "commit") == 0)
        kill(getpid(), SIGKILL);
    quern_context_destroy(context);
    return quern_exit_status(status);
}
