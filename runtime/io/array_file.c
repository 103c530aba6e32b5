/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/array_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file.h"

#define DIGITS_MIN 5

static quern_status no_memory(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for an output");
}

static quern_status refuse(const char *path, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_OUTPUT_EXISTS, 0, "the output file %s exists: remove it or name another",
                        path);
}

quern_status qn_array_file_check(const char *path, qn_error *error)
{
    struct stat about;
    return lstat(path, &about) == 0 ? refuse(path, error) : QUERN_OK;
}

static void print_name(char *name, size_t bytes, uint64_t number, uint64_t count)
{
    int digits = snprintf(NULL, 0, "%" PRIu64, count > 0 ? count - 1 : 0);
    snprintf(name, bytes, "part-%0*" PRIu64 ".h5", digits > DIGITS_MIN ? digits : DIGITS_MIN, number);
}

char *qn_array_file_path(const char *directory, uint64_t number, uint64_t count)
{
    char *path = NULL, name[64];
    print_name(name, sizeof name, number, count);
    return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

quern_status qn_array_file_begin(qn_output *output, const char *temporary_path, qn_error *error)
{
    if (!(output->joined_temporary_path = strdup(temporary_path)))
        return no_memory(error);
    int fd = open(temporary_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot create %s", temporary_path);
    close(fd);
    return QUERN_OK;
}

/* Not in the place of another, as far as the file system can see to it. */
static bool rename_to(const char *from, const char *to)
{
    struct stat about;
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return true;
    if (errno == EEXIST || (errno != EINVAL && errno != ENOSYS))
        return false;
    if (lstat(to, &about) != 0)
        return rename(from, to) == 0;
    errno = EEXIST;
    return false;
}

/* Its name becomes the output's own only now: until then it may be another's. */
quern_status qn_array_file_commit(qn_output *output, const char *path, qn_error *error)
{
    char *final = path ? strdup(path) : qn_array_file_path(output->directory, 0, 1);
    if (!final)
        return no_memory(error);
    if (rename_to(output->joined_temporary_path, final)) {
        output->joined_path = final;
        return QUERN_OK;
    }
    quern_status status = errno == EEXIST ? refuse(final, error)
                                          : qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot rename %s to %s",
                                                         output->joined_temporary_path, final);
    free(final);
    return status;
}

/* ---- manifests ---- */

/* A part, or a piece of one: name is then NULL. */
static json_t *describe(const char *name, uint64_t offset, const qn_part_summary *summary)
{
    char checksum[32];
    json_int_t bytes = (json_int_t)summary->bytes, records = (json_int_t)summary->records;
    snprintf(checksum, sizeof checksum, "%016" PRIx64, summary->checksum);
    if (name)
        return json_pack("{s:s, s:I, s:I, s:s}", "name", name, "bytes", bytes, "records", records, "xxh3_64", checksum);
    return json_pack("{s:I, s:I, s:I, s:s}", "offset", (json_int_t)offset, "bytes", bytes, "records", records,
                     "xxh3_64", checksum);
}

static json_t *describe_files(const qn_part_summary *summaries, size_t count)
{
    json_t *parts = json_array();
    bool complete = parts != NULL;
    for (size_t i = 0; complete && i < count; i++) {
        char name[64];
        print_name(name, sizeof name, summaries[i].number, count);
        complete = json_array_append_new(parts, describe(name, 0, &summaries[i])) == 0;
    }
    if (complete)
        return parts;
    json_decref(parts);
    return NULL;
}

/* One file, in the pieces that the ranks summed up. */
static json_t *describe_pieces(const char *name, const qn_part_summary *summaries, size_t count)
{
    uint64_t bytes = 0, records = 0;
    json_t *pieces = json_array();
    bool complete = pieces != NULL;
    for (size_t i = 0; complete && i < count; i++) {
        complete = json_array_append_new(pieces, describe(NULL, bytes, &summaries[i])) == 0;
        bytes += summaries[i].bytes;
        records += summaries[i].records;
    }
    if (complete)
        return json_pack("[{s:s, s:I, s:I, s:o}]", "name", name, "bytes", (json_int_t)bytes, "records",
                         (json_int_t)records, "pieces", pieces);
    json_decref(pieces);
    return NULL;
}

/* One that a killed job left is of a file that is not there any more. */
static quern_status seal_beside(qn_output *output, const char *path, const char *text, qn_error *error)
{
    char *copy = strdup(path);
    if (!copy || asprintf(&output->manifest_path, "%s.manifest.json", path) < 0) {
        output->manifest_path = NULL;
        free(copy);
        return no_memory(error);
    }
    unlink(output->manifest_path);
    quern_status status = qn_file_create(output->manifest_path, text, strlen(text), error);
    if (status == QUERN_OK)
        status = qn_file_sync_directory(dirname(copy), error);
    free(copy);
    if (status != QUERN_OK)
        qn_output_unseal(output);
    return status;
}

quern_status qn_array_file_seal(qn_output *output, const char *path, const qn_part_summary *summaries, size_t count,
                                bool is_one_file, qn_error *error)
{
    char name[64], *copy = path ? strdup(path) : NULL;
    if (path && !copy)
        return no_memory(error);
    print_name(name, sizeof name, 0, 1);
    char *text = qn_output_manifest_text(is_one_file ? describe_pieces(copy ? basename(copy) : name, summaries, count)
                                                     : describe_files(summaries, count));
    free(copy);
    if (!text)
        return no_memory(error);
    quern_status status = path ? seal_beside(output, path, text, error) : qn_output_seal_text(output, text, error);
    free(text);
    return status;
}
