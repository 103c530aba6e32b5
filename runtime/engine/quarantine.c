/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/quarantine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/utf8.h"

static quern_status refuse(const char *directory, int reason, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_OUTPUT, reason, "cannot write to the quarantine %s", directory);
}

static quern_status check_empty(const char *directory, qn_error *error)
{
    DIR *open = opendir(directory);
    bool is_empty = true;
    if (!open)
        return refuse(directory, errno, error);
    for (struct dirent *entry; (entry = readdir(open)) != NULL;)
        is_empty &= strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(open);
    if (is_empty)
        return QUERN_OK;
    return qn_error_set(error, QUERN_ERROR_OUTPUT_EXISTS, 0,
                        "the quarantine %s is not empty: see to what is in it, or name another", directory);
}

static quern_status make_directory(qn_quarantine *quarantine, qn_error *error)
{
    quarantine->created = mkdir(quarantine->directory, 0777) == 0;
    if (quarantine->created)
        return QUERN_OK;
    if (errno != EEXIST)
        return refuse(quarantine->directory, errno, error);
    return quarantine->run == 0 ? check_empty(quarantine->directory, error) : QUERN_OK;
}

quern_status qn_quarantine_open(qn_quarantine *quarantine, qn_comm *comm, const char *directory, uint32_t run,
                                qn_error *error)
{
    *quarantine = (qn_quarantine){.run = run, .rank = comm->rank};
    if (!directory)
        qn_error_set(error, QUERN_ERROR_INVALID_OPTION, 0,
                     "bad records are to be set apart: name a directory by the option quarantine");
    quarantine->directory = directory;
    if (directory && comm->rank == 0)
        make_directory(quarantine, error);
    return qn_comm_agree(comm, error);
}

static char *name_file(const qn_quarantine *quarantine, const char *begin, const char *end)
{
    size_t bytes = strlen(quarantine->directory) + 64;
    char *name = malloc(bytes);
    if (name)
        snprintf(name, bytes, "%s/%sbad-%05u-%05u.jsonl%s", quarantine->directory, begin, quarantine->run,
                 quarantine->rank, end);
    return name;
}

static quern_status open_file(qn_quarantine *quarantine, qn_error *error)
{
    quarantine->temporary = name_file(quarantine, ".", ".tmp");
    quarantine->path = name_file(quarantine, "", "");
    if (!quarantine->temporary || !quarantine->path)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the quarantine");
    int fd = open(quarantine->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return refuse(quarantine->temporary, errno, error);
    quarantine->file = fdopen(fd, "w");
    if (quarantine->file)
        return QUERN_OK;
    close(fd);
    unlink(quarantine->temporary);
    return refuse(quarantine->temporary, errno, error);
}

static json_t *text_json(const char *text, size_t bytes)
{
    char *copy = strndup(text, bytes);
    char *repaired = copy ? qn_utf8_repair(copy) : NULL;
    json_t *json = repaired ? json_string(repaired) : NULL;
    free(copy);
    free(repaired);
    return json;
}

/* RFC 4648, with padding. */
static json_t *base64_json(const uint8_t *data, size_t bytes)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t used = 0;
    char *text = malloc((bytes + 2) / 3 * 4 + 1);
    if (!text)
        return NULL;
    for (size_t at = 0; at < bytes; at += 3) {
        size_t count = bytes - at < 3 ? bytes - at : 3;
        uint32_t word = 0;
        for (size_t i = 0; i < 3; i++)
            word = word << 8 | (i < count ? data[at + i] : 0u);
        for (size_t i = 0; i < 4; i++)
            text[used++] = i <= count ? letters[word >> (18 - 6 * i) & 63] : '=';
    }
    json_t *json = json_stringn_nocheck(text, used);
    free(text);
    return json;
}

static json_t *describe(const char *source, uint32_t stage, uint32_t path_bytes, const qn_bad_item *item)
{
    const char *name = qn_bad_item_name(item), *reason = qn_bad_item_reason(item);
    size_t name_bytes = strlen(name), raw_bytes = item->texts.bytes - item->raw_at;
    bool is_member = path_bytes < name_bytes && name[path_bytes] == '/';
    json_t *line = json_object();
    json_object_set_new(line, "source", text_json(source, strlen(source)));
    json_object_set_new(line, "stage", json_integer(stage));
    json_object_set_new(line, "file", text_json(name, is_member ? path_bytes : name_bytes));
    json_object_set_new(line, "member",
                        is_member ? text_json(name + path_bytes + 1, name_bytes - path_bytes - 1) : json_null());
    uint64_t unit = item->place.unit;
    json_object_set_new(line, "unit", unit > 0 ? json_integer((json_int_t)unit) : json_null());
    json_object_set_new(line, "offset", json_integer((json_int_t)item->place.offset));
    json_object_set_new(line, "bytes",
                        item->bytes == QN_BYTES_UNKNOWN ? json_null() : json_integer((json_int_t)item->bytes));
    json_object_set_new(line, "reason", text_json(reason, strlen(reason)));
    json_object_set_new(line, "data", base64_json(item->texts.data + item->raw_at, raw_bytes));
    return line;
}

quern_status qn_quarantine_put(qn_quarantine *quarantine, const char *source, uint32_t stage, uint32_t path_bytes,
                               const qn_bad_item *item, qn_error *error)
{
    quern_status status = quarantine->file ? QUERN_OK : open_file(quarantine, error);
    if (status != QUERN_OK)
        return status;
    json_t *line = describe(source, stage, path_bytes, item);
    bool written =
        line && json_dumpf(line, quarantine->file, JSON_COMPACT) == 0 && fputc('\n', quarantine->file) != EOF;
    json_decref(line);
    return written ? QUERN_OK : refuse(quarantine->temporary, errno, error);
}

quern_status qn_quarantine_commit(qn_quarantine *quarantine, qn_error *error)
{
    if (!quarantine->file)
        return QUERN_OK;
    bool written = fflush(quarantine->file) == 0 && fsync(fileno(quarantine->file)) == 0 &&
                   rename(quarantine->temporary, quarantine->path) == 0;
    quarantine->has_name = written;
    return written ? qn_file_sync_directory(quarantine->directory, error) : refuse(quarantine->temporary, errno, error);
}

void qn_quarantine_close(qn_quarantine *quarantine, bool keep)
{
    if (quarantine->file) {
        fclose(quarantine->file);
        if (!keep || !quarantine->has_name)
            unlink(quarantine->has_name ? quarantine->path : quarantine->temporary);
    }
    free(quarantine->temporary);
    free(quarantine->path);
    quarantine->file = NULL;
    quarantine->temporary = quarantine->path = NULL;
}

void qn_quarantine_withdraw(qn_quarantine *quarantine)
{
    if (quarantine->created)
        rmdir(quarantine->directory);
}
