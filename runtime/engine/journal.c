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
#define DIGITS_MAX (2 * QN_STAMP_BYTES)
#define SUM_SEED   UINT64_C(0x6a6f75726e616c31)

static quern_status no_memory(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the journal of a checkpoint");
}

static size_t count_digits(const qn_journal *journal)
{
    return journal->cipher ? 2 * QN_STAMP_BYTES : SUM_DIGITS;
}

static void print_sum(const char *text, size_t bytes, char digits[DIGITS_MAX + 1])
{
    snprintf(digits, SUM_DIGITS + 1, "%016" PRIx64, qn_checksum(text, bytes, SUM_SEED));
}

/* Of the next line: its checksum, or its signature. */
static qn_stamp sign(const qn_journal *journal, const char *text, size_t bytes, char digits[DIGITS_MAX + 1])
{
    if (!journal->cipher) {
        print_sum(text, bytes, digits);
        return (qn_stamp){0};
    }
    qn_stamp stamp = qn_cipher_sign(journal->cipher, journal->signature, text, bytes);
    qn_stamp_print(&stamp, digits);
    return stamp;
}

/* The object of the next line, given without its end, or NULL. */
static json_t *parse_line(qn_journal *journal, const char *line, size_t bytes)
{
    char digits[DIGITS_MAX + 1];
    size_t digit_count = count_digits(journal);
    if (bytes < digit_count + 3 || line[digit_count] != ' ')
        return NULL;
    const char *text = line + digit_count + 1;
    size_t text_bytes = bytes - digit_count - 1;
    qn_stamp signature = sign(journal, text, text_bytes, digits);
    if (memcmp(line, digits, digit_count) != 0)
        return NULL;
    json_t *object = json_loadb(text, text_bytes, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(object)) {
        journal->signature = signature;
        return object;
    }
    json_decref(object);
    return NULL;
}

static quern_status read_lines(qn_journal *journal, const char *text, size_t bytes, json_t *lines, qn_error *error)
{
    while (journal->bytes < bytes) {
        const char *line = text + journal->bytes;
        const char *end = memchr(line, '\n', bytes - journal->bytes);
        json_t *object = end ? parse_line(journal, line, (size_t)(end - line)) : NULL;
        if (!object)
            return QUERN_OK;
        if (json_array_append_new(lines, object) != 0)
            return no_memory(error);
        journal->bytes += (uint64_t)(end - line) + 1;
    }
    return QUERN_OK;
}

/* Whether a line looks as if it began with a signature. */
static bool looks_signed(const char *line, size_t bytes)
{
    size_t digit_count = 0;
    while (digit_count < bytes && strchr("0123456789abcdef", line[digit_count]) && line[digit_count])
        digit_count++;
    return digit_count == 2 * QN_STAMP_BYTES && bytes > digit_count + 1 && line[digit_count] == ' ' &&
           line[digit_count + 1] == '{';
}

/* A journal of which not even the first line is right: it may be that of a job with another key, and of use yet. */
static quern_status check_key(const qn_journal *journal, const char *text, size_t bytes, qn_error *error)
{
    qn_journal unsigned_one = {.path = journal->path};
    const char *end = memchr(text, '\n', bytes);
    size_t line_bytes = end ? (size_t)(end - text) : 0;
    const char *why = NULL;
    json_t *object = parse_line(&unsigned_one, text, line_bytes);
    if (object && journal->cipher)
        why = "was written without a key: go on with it without the option encrypt";
    else if (!object && looks_signed(text, line_bytes))
        why = journal->cipher ? "was written with another key, or is damaged: go on with it with that key"
                              : "was written with a key: go on with it with the option encrypt";
    json_decref(object);
    return why ? qn_error_set(error, QUERN_ERROR_CHECKPOINT, 0, "%s %s, or remove it", journal->path, why) : QUERN_OK;
}

static quern_status read_all(qn_journal *journal, json_t *lines, uint64_t *bytes_out, qn_error *error)
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
    if (status == QUERN_OK && json_array_size(lines) == 0)
        status = check_key(journal, text, bytes, error);
    *bytes_out = bytes;
    free(text);
    return status;
}

static quern_status open_as(qn_journal *journal, int flags, const char *path, const qn_cipher *cipher,
                            json_t **lines_out, uint64_t *bytes_out, qn_error *error)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    *journal = (qn_journal){.path = path, .fd = fd, .cipher = cipher};
    if (journal->fd < 0)
        return qn_error_set(error, QUERN_ERROR_CHECKPOINT, errno, "cannot open %s", path);
    json_t *lines = json_array();
    quern_status status = lines ? read_all(journal, lines, bytes_out, error) : no_memory(error);
    if (status == QUERN_OK) {
        *lines_out = lines;
        return QUERN_OK;
    }
    json_decref(lines);
    qn_journal_close(journal);
    return status;
}

quern_status qn_journal_open(qn_journal *journal, const char *path, const qn_cipher *cipher, json_t **lines_out,
                             qn_error *error)
{
    uint64_t bytes = 0;
    return open_as(journal, O_RDWR | O_CREAT | O_NOFOLLOW, path, cipher, lines_out, &bytes, error);
}

quern_status qn_journal_look(qn_journal *journal, const char *path, const qn_cipher *cipher, json_t **lines_out,
                             uint64_t *bytes_out, qn_error *error)
{
    return open_as(journal, O_RDONLY | O_NONBLOCK, path, cipher, lines_out, bytes_out, error);
}

/* Whatever a failed write left is cut off, or will be written over. */
static quern_status write_line(qn_journal *journal, const char *text, qn_error *error)
{
    char digits[DIGITS_MAX + 1];
    size_t bytes = strlen(text), line_bytes = count_digits(journal) + 1 + bytes + 1;
    char *line = malloc(line_bytes + 1);
    if (!line)
        return no_memory(error);
    qn_stamp signature = sign(journal, text, bytes, digits);
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
    if (status == QUERN_OK) {
        journal->bytes += line_bytes;
        journal->signature = signature;
    } else {
        (void)!ftruncate(journal->fd, (off_t)journal->bytes);
    }
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

/* Of the lines that are whole. */
static quern_status copy_lines(const qn_journal *journal, int into, const char *path, qn_error *error)
{
    size_t bytes = 0;
    char *text = malloc((size_t)journal->bytes + 1);
    if (!text)
        return no_memory(error);
    quern_status status = qn_file_read_at(journal->fd, text, (size_t)journal->bytes, 0, journal->path,
                                          QUERN_ERROR_CHECKPOINT, &bytes, error);
    if (status == QUERN_OK && bytes < journal->bytes)
        status = qn_error_set(error, QUERN_ERROR_CHECKPOINT, 0, "%s became shorter", journal->path);
    if (status == QUERN_OK)
        status = qn_file_write_at(into, text, bytes, 0, path, QUERN_ERROR_CHECKPOINT, error);
    free(text);
    if (status == QUERN_OK && fsync(into) != 0)
        status = qn_error_set(error, QUERN_ERROR_CHECKPOINT, errno, "cannot write %s", path);
    return status;
}

quern_status qn_journal_renew(qn_journal *journal, qn_error *error)
{
    char *path = NULL;
    if (asprintf(&path, "%s.new", journal->path) < 0)
        return no_memory(error);
    unlink(path); /* of who died here */
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    quern_status status = fd < 0 ? qn_error_set(error, QUERN_ERROR_CHECKPOINT, errno, "cannot create %s", path)
                                 : copy_lines(journal, fd, path, error);
    if (status == QUERN_OK && rename(path, journal->path) != 0)
        status = qn_error_set(error, QUERN_ERROR_CHECKPOINT, errno, "cannot rename %s", path);
    if (status == QUERN_OK) {
        close(journal->fd);
        journal->fd = fd;
    } else if (fd >= 0) {
        unlink(path);
        close(fd);
    }
    free(path);
    return status;
}

void qn_journal_close(qn_journal *journal)
{
    if (journal->fd >= 0)
        close(journal->fd);
    journal->fd = -1;
}
