/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/givens.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/hash.h"
#include "runtime/base/utf8.h"

#define COMMAND_PATH      "/proc/self/cmdline"
#define OPTION_PREFIX     "--quern-"
#define FILE_BYTES_MAX    ((uint64_t)1 << 30) /* are read */
#define PIECE_BYTES       ((size_t)1 << 20)
#define COMMAND_BYTES_MAX ((size_t)64 << 20) /* the kernel allows less */

static quern_status no_memory(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for what the job was given");
}

quern_status qn_givens_init(qn_givens *givens, qn_error *error)
{
    givens->names = json_object();
    return givens->names ? QUERN_OK : no_memory(error);
}

void qn_givens_fini(qn_givens *givens)
{
    json_decref(givens->names);
    givens->names = NULL;
}

/* A name stands in lines of the journal, and in messages. */
static bool may_be_name(const char *name)
{
    size_t bytes = strlen(name);
    for (size_t i = 0, step; i < bytes; i += step)
        if ((step = qn_utf8_character_bytes(name + i)) == 0 || (unsigned char)name[i] < ' ' || name[i] == 0x7f)
            return false;
    return bytes > 0 && bytes <= QN_GIVEN_NAME_BYTES_MAX;
}

static quern_status note(qn_givens *givens, const char *label, uint64_t digest, qn_error *error)
{
    uint64_t before = (uint64_t)json_integer_value(json_object_get(givens->names, label));
    if (!json_object_get(givens->names, label) && json_object_size(givens->names) >= QN_GIVEN_COUNT_MAX)
        return qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "%s: there are %d of them already", label,
                            QN_GIVEN_COUNT_MAX);
    digest = qn_checksum(&digest, sizeof digest, before) & INT64_MAX; /* JSON's integers */
    return json_object_set_new(givens->names, label, json_integer((json_int_t)digest)) == 0 ? QUERN_OK
                                                                                            : no_memory(error);
}

static void print_label(const char *kind, const char *name, char label[QN_GIVEN_NAME_BYTES_MAX + 64])
{
    snprintf(label, QN_GIVEN_NAME_BYTES_MAX + 64, "%.32s%s%s%s", kind, name ? " '" : "", name ? name : "",
             name ? "'" : "");
}

quern_status qn_givens_note(qn_givens *givens, const char *kind, const char *name, const void *data, size_t bytes,
                            qn_error *error)
{
    char label[QN_GIVEN_NAME_BYTES_MAX + 64];
    if (name && !may_be_name(name))
        return qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0,
                            "%s: a name must be 1 to %d bytes of UTF-8, without control characters", kind,
                            QN_GIVEN_NAME_BYTES_MAX);
    if (!givens->names)
        return QUERN_OK;
    print_label(kind, name, label);
    return note(givens, label, qn_checksum(data, bytes, bytes), error);
}

static quern_status digest_content(int fd, const char *path, uint64_t *digest, qn_error *error)
{
    uint8_t *piece = malloc(PIECE_BYTES);
    quern_status status = piece ? QUERN_OK : no_memory(error);
    for (uint64_t offset = 0; status == QUERN_OK;) {
        size_t got = 0;
        status = qn_file_read_at(fd, piece, PIECE_BYTES, offset, path, QUERN_ERROR_INPUT, &got, error);
        if (got == 0)
            break;
        *digest = qn_checksum(piece, got, *digest);
        offset += got;
    }
    free(piece);
    return status;
}

quern_status qn_givens_note_file(qn_givens *givens, const char *path, qn_error *error)
{
    char label[QN_GIVEN_NAME_BYTES_MAX + 64];
    struct stat about;
    size_t length = strlen(path);
    if (!givens->names)
        return QUERN_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        int code = fd < 0 ? errno : EINVAL;
        if (fd >= 0)
            close(fd);
        return qn_error_set(error, QUERN_ERROR_INPUT, code, "cannot read %s, by which the work is known", path);
    }
    uint64_t numbers[] = {(uint64_t)about.st_size, 0, 0};
    bool is_read = numbers[0] <= FILE_BYTES_MAX;
    if (!is_read) {
        numbers[1] = (uint64_t)about.st_mtim.tv_sec;
        numbers[2] = (uint64_t)about.st_mtim.tv_nsec;
    }
    uint64_t digest = qn_checksum(numbers, sizeof numbers, qn_checksum(path, length, 0));
    quern_status status = is_read ? digest_content(fd, path, &digest, error) : QUERN_OK;
    close(fd);
    char *name =
        status == QUERN_OK
            ? qn_utf8_repair(length > QN_GIVEN_NAME_BYTES_MAX / 3 ? path + length - QN_GIVEN_NAME_BYTES_MAX / 3 : path)
            : NULL; /* each byte may become three; the whole path is in the digest */
    if (status != QUERN_OK)
        return status;
    if (!name)
        return no_memory(error);
    qn_utf8_replace_controls(name);
    print_label("file", name, label);
    free(name);
    return note(givens, label, digest, error);
}

/* ---- the command line ---- */

/* All of a file that has no size; a NUL is behind it. NULL: no memory, or it cannot be read. */
static char *read_command(size_t *bytes_out)
{
    size_t bytes = 0, capacity = 4096;
    char *text = malloc(capacity + 1);
    int fd = open(COMMAND_PATH, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : 1;
    while (text && got > 0 && capacity <= COMMAND_BYTES_MAX) {
        if (bytes == capacity) {
            char *grown = realloc(text, 2 * capacity + 1);
            if (!grown)
                break;
            text = grown;
            capacity *= 2;
        }
        got = read(fd, text + bytes, capacity - bytes);
        bytes += got > 0 ? (size_t)got : 0;
    }
    if (fd >= 0)
        close(fd);
    if (text && got == 0) {
        text[bytes] = 0;
        *bytes_out = bytes;
        return text;
    }
    free(text);
    return NULL;
}

/* An option of the library has its value in the same word, or in the next one. What is behind "--" is the program's. */
static uint64_t digest_words(const char *text, size_t bytes)
{
    const char *slash = strrchr(text, '/');
    const char *word = slash ? slash + 1 : text;
    bool is_open = true, is_value = false;
    uint64_t digest = 0;
    for (; word < text + bytes; word += strlen(word) + 1) {
        bool is_option = is_open && !is_value && strncmp(word, OPTION_PREFIX, strlen(OPTION_PREFIX)) == 0;
        if (!is_option && !is_value)
            digest = qn_checksum(word, strlen(word) + 1, digest);
        is_open = is_open && (is_value || strcmp(word, "--") != 0);
        is_value = is_option && !strchr(word, '=');
    }
    return digest;
}

quern_status qn_givens_note_command(qn_givens *givens, qn_error *error)
{
    size_t bytes = 0;
    char *text = givens->names ? read_command(&bytes) : NULL;
    if (!text)
        return QUERN_OK; /* a machine without /proc: then it is known by less */
    uint64_t digest = digest_words(text, bytes);
    free(text);
    return note(givens, "command line", digest, error);
}

/* ---- all of them ---- */

uint64_t qn_givens_digest(const json_t *names)
{
    uint64_t sum = 0;
    const char *label;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)names, label, value)
    {
        uint64_t number = (uint64_t)json_integer_value(value);
        sum += qn_checksum(label, strlen(label), number); /* in any order */
    }
    return sum & INT64_MAX;
}

static bool has_changed(const json_t *here, const json_t *there, const char *how, char *text, size_t bytes)
{
    const char *label;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)here, label, value)
    {
        const json_t *other = json_object_get(there, label);
        if (other && json_integer_value(value) == json_integer_value(other))
            continue;
        snprintf(text, bytes, "the %s %s", label, other ? "is another one" : how);
        return true;
    }
    return false;
}

bool qn_givens_compare(const json_t *before, const json_t *names, char *text, size_t bytes)
{
    return has_changed(names, before, "was not given before", text, bytes) ||
           has_changed(before, names, "is not given any more", text, bytes);
}
