/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/hash.h"

#define SUM_DIGITS 16
#define SUM_SEED   UINT64_C(0x6a6f75726e616c31)

static quern_status no_memory(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the journal of a checkpoint");
}

static void print_sum(const char *text, size_t bytes, char digits[SUM_DIGITS + 1])
{
    snprintf(digits, SUM_DIGITS + 1, "%016" PRIx64, qn_checksum(text, bytes, SUM_SEED));
}

/* The object of a line without its end, or NULL. */
static json_t *parse_line(const char *line, size_t bytes)
{
    char digits[SUM_DIGITS + 1];
    if (bytes < SUM_DIGITS + 3 || line[SUM_DIGITS] != ' ')
        return NULL;
    const char *text = line + SUM_DIGITS + 1;
    size_t text_bytes = bytes - SUM_DIGITS - 1;
    print_sum(text, text_bytes, digits);
    if (memcmp(line, digits, SUM_DIGITS) != 0)
        return NULL;
    json_t *object = json_loadb(text, text_bytes, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(object))
        return object;
    json_decref(object);
    return NULL;
}

static quern_status read_lines(qn_journal *journal, const char *text, size_t bytes, json_t *lines, qn_error *error)
{
    while (journal->bytes < bytes) {
        const char *line = text + journal->bytes;
        const char *end = memchr(line, '\n', bytes - journal->bytes);
        json_t *object = end ? parse_line(line, (size_t)(end - line)) : NULL;
        if (!object)
            return QUERN_OK;
        if (json_array_append_new(lines, object) != 0)
            return no_memory(error);
        journal->bytes += (uint64_t)(end - line) + 1;
    }
    return QUERN_OK;
}

static quern_status read_all(qn_journal *journal, json_t *lines, qn_error *error)
{
    struct stat about;
    if (fstat(journal->fd, &about) != 0 || !S_ISREG(about.st_mode))
        return qn_error_set(error, QUERN_ERROR_CHECKPOINT, errno, "cannot read %s", journal->path);
    size_t bytes = (size_t)about.st_size;
    char *text = malloc(bytes + 1);
    if (!text)
        return no_memory(error);
    quern_status status =
        qn_file_read_at(journal->fd, text, bytes, 0, journal->path, QUERN_ERROR_CHECKPOINT, &bytes, error);
    if (status == QUERN_OK)
        status = read_lines(journal, text, bytes, lines, error);
    free(text);
    return status;
}

quern_status qn_journal_open(qn_journal *journal, const char *path, json_t **lines_out, qn_error *error)
{
    *journal = (qn_journal){.path = path, .fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
    if (journal->fd < 0)
        return qn_error_set(error, QUERN_ERROR_CHECKPOINT, errno, "cannot open %s", path);
    json_t *lines = json_array();
    quern_status status = lines ? read_all(journal, lines, error) : no_memory(error);
    if (status == QUERN_OK) {
        *lines_out = lines;
        return QUERN_OK;
    }
    json_decref(lines);
    qn_journal_close(journal);
    return status;
}

/* Whatever a failed write left is cut off, or will be written over. */
static quern_status write_line(qn_journal *journal, const char *text, qn_error *error)
{
    char digits[SUM_DIGITS + 1];
    size_t bytes = strlen(text), line_bytes = SUM_DIGITS + 1 + bytes + 1;
    char *line = malloc(line_bytes + 1);
    if (!line)
        return no_memory(error);
    print_sum(text, bytes, digits);
    snprintf(line, line_bytes + 1, "%s %s\n", digits, text);
    quern_status status = QUERN_OK;
    if (ftruncate(journal->fd, (off_t)journal->bytes) != 0)
        status = qn_error_set(error, QUERN_ERROR_CHECKPOINT, errno, "cannot write %s", journal->path);
    if (status == QUERN_OK)
        status = qn_file_write_at(journal->fd, line, line_bytes, journal->bytes, journal->path, QUERN_ERROR_CHECKPOINT,
                                  error);
    if (status == QUERN_OK && fdatasync(journal->fd) != 0)
        status = qn_error_set(error, QUERN_ERROR_CHECKPOINT, errno, "cannot write %s", journal->path);
    free(line);
    if (status == QUERN_OK)
        journal->bytes += line_bytes;
    else
        (void)!ftruncate(journal->fd, (off_t)journal->bytes);
    return status;
}

quern_status qn_journal_append(qn_journal *journal, json_t *line, qn_error *error)
{
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    json_decref(line);
    if (!text)
        return no_memory(error);
    quern_status status = write_line(journal, text, error);
    free(text);
    return status;
}

quern_status qn_journal_clear(qn_journal *journal, qn_error *error)
{
    if (ftruncate(journal->fd, 0) != 0 || fdatasync(journal->fd) != 0)
        return qn_error_set(error, QUERN_ERROR_CHECKPOINT, errno, "cannot write %s", journal->path);
    journal->bytes = 0;
    return QUERN_OK;
}

void qn_journal_close(qn_journal *journal)
{
    if (journal->fd >= 0)
        close(journal->fd);
    journal->fd = -1;
}
