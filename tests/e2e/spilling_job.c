/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines counted, sorted, grouped by their first byte and kept for a second run: all that spills. Callbacks copy the files without a name that the process
 * has open to DUMP, unless that is "-": spilling_job OUT DUMP PATH...
 */
#include <fcntl.h>
#include <quern/quern.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FD_COUNT_MAX 256
#define CALLS        5000 /* between copies */
#define COPIES_MAX   6    /* of one kind and process */

typedef struct place {
    const char *name;
    uint64_t call_count, copy_count;
} place;

static const char *dump, *out;
static place counting = {"count"}, sorting = {"sort"}, grouping = {"group"}, keeping = {"keep"}, kept_on = {"kept"};

static void copy_file(int fd, const char *to)
{
    static char piece[1 << 16];
    int copy = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    off_t at = 0;
    for (ssize_t got; copy >= 0 && (got = pread(fd, piece, sizeof piece, at)) > 0; at += got)
        if (write(copy, piece, (size_t)got) != got)
            abort();
    if (copy < 0 || close(copy) != 0)
        abort();
}

/* Through /proc, since the descriptor itself may ask for whole pages. Open files only, with no name, and not shared memory. */
static void copy_scratch(place *here)
{
    if (strcmp(dump, "-") == 0 || here->copy_count >= COPIES_MAX)
        return;
    here->copy_count++;
    for (int fd = 3; fd < FD_COUNT_MAX; fd++) {
        char path[64], to[4096], target[4096] = "";
        struct stat about;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (readlink(path, target, sizeof target - 1) < 0 || target[0] != '/' || strncmp(target, "/dev/", 5) == 0 ||
            strncmp(target, "/memfd", 6) == 0 || fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) ||
            about.st_nlink != 0)
            continue;
        int again = open(path, O_RDONLY | O_CLOEXEC);
        snprintf(to, sizeof to, "%s/%s-%d-%d-%llu-%o", dump, here->name, (int)getpid(), fd,
                 (unsigned long long)here->copy_count, (unsigned)about.st_mode & 0777);
        if (again >= 0)
            copy_file(again, to);
        close(again);
    }
}

static int look(const quern_record *record, int *keep_out, void *user)
{
    place *here = user;
    (void)record;
    if (here->call_count++ % CALLS == 0)
        copy_scratch(here);
    *keep_out = 1;
    return 0;
}

static int first_byte(const quern_record *in, quern_span *key_out, void *user)
{
    (void)user;
    *key_out = (quern_span){in->key.data, in->key.bytes > 0};
    return 0;
}

/* Reads its values twice. */
static int sum_group(quern_span key, quern_values *values, quern_emitter *to, void *user)
{
    uint64_t bytes = 0;
    quern_span value;
    int more = 0;
    while ((more = quern_values_next(values, &value)) > 0)
        bytes += value.bytes;
    copy_scratch(user);
    if (more == 0)
        more = quern_values_rewind(values);
    while (more == 0 && (more = quern_values_next(values, &value)) > 0) {
        bytes += value.bytes > 0 ? ((const uint8_t *)value.data)[0] : 0;
        more = 0;
    }
    return more < 0 ? more : quern_emit(to, key, (quern_span){&bytes, sizeof bytes});
}

static void write_to(quern_dataset *in, place *here)
{
    char directory[4096];
    snprintf(directory, sizeof directory, "%s/%s", out, here->name);
    quern_write_text(quern_filter(in, look, here), directory);
}

int main(int argc, char **argv)
{
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    if (status != QUERN_OK || argc < 4) {
        if (quern_context_rank(NULL) == 0)
            fprintf(stderr, "spilling_job: %s\n", quern_context_error_text(NULL));
        quern_context_destroy(NULL);
        return 2;
    }
    out = argv[1];
    dump = argv[2];
    quern_schema sums = {.key = QUERN_BYTES, .value = QUERN_U64};
    quern_dataset *lines = quern_read_text(context, (const char *const *)argv + 3, (size_t)argc - 3, NULL);
    quern_dataset *kept = quern_cache(lines);
    write_to(quern_count_by_key(lines), &counting);
    write_to(quern_sort_by_key(lines, NULL), &sorting);
    write_to(
        quern_group_by_key(quern_key_by(lines, QUERN_BYTES, 0, first_byte, NULL), sums, sum_group, &grouping, NULL),
        &grouping);
    write_to(quern_count_by_key(kept), &keeping);
    status = quern_run(context);
    if (status == QUERN_OK) {
        write_to(kept, &kept_on);
        status = quern_run(context);
    }
    if (status != QUERN_OK && quern_context_rank(context) == 0)
        fprintf(stderr, "spilling_job: %s\n", quern_context_error_text(context));
    quern_context_destroy(context);
    return status != QUERN_OK;
}
