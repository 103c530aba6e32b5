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

#define LOCK_NAME         ".quern-lock" /* as of an output: `quern clean` finds it */
#define SUFFIX            ".jsonl"
#define TEMPORARY_END     ".tmp"
#define NUMBER_DIGITS     5  /* of a run and a rank, and more if need be */
#define NUMBER_DIGITS_MAX 10 /* of 32 bits */
#define TAKE_COUNT_MAX    10 /* while other jobs begin and end there */
#define CLEAR_COUNT_MAX   10

static quern_status refuse(const char *directory, int reason, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_OUTPUT, reason, "cannot write to the quarantine %s", directory);
}

/* ---- the directory ---- */

static quern_status refuse_lock(const char *directory, const qn_lock_owner *owner, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_OUTPUT_EXISTS, 0,
                        owner->is_alive
                            ? "another job has the quarantine %s (process %ld on %s): name another"
                            : "another job has the quarantine %s, or was killed (process %ld on %s): see that it has "
                              "ended, then remove " LOCK_NAME " in it, or name another",
                        directory, owner->pid, owner->host[0] ? owner->host : "a machine that is not known");
}

typedef enum kind { OTHER, LOCK, TEMPORARY, NAMED } kind;

/* "-00012": past it, and the number; NULL: something else. */
static const char *pass_number(const char *text, uint64_t *number_out)
{
    size_t digits = *text == '-' ? strspn(text + 1, "0123456789") : 0;
    if (digits < NUMBER_DIGITS || digits > NUMBER_DIGITS_MAX)
        return NULL;
    *number_out = strtoull(text + 1, NULL, 10);
    return text + 1 + digits;
}

/* run_out: of a file of bad records. */
static kind kind_of(const char *name, uint64_t *run_out)
{
    uint64_t rank;
    bool is_hidden = *name == '.';
    if (strncmp(name, LOCK_NAME, strlen(LOCK_NAME)) == 0)
        return name[strlen(LOCK_NAME)] == 0 || name[strlen(LOCK_NAME)] == '.' ? LOCK : OTHER;
    const char *rest = strncmp(name + is_hidden, "bad", 3) == 0 ? pass_number(name + is_hidden + 3, run_out) : NULL;
    rest = rest ? pass_number(rest, &rank) : NULL;
    if (!rest)
        return OTHER;
    if (!is_hidden)
        return strcmp(rest, SUFFIX) == 0 ? NAMED : OTHER;
    bool has_token = *rest == '.' && strspn(rest + 1, "0123456789abcdef") == QN_BEAT_TOKEN_BYTES - 1;
    return strcmp(rest + (has_token ? QN_BEAT_TOKEN_BYTES : 0), SUFFIX TEMPORARY_END) == 0 ? TEMPORARY : OTHER;
}

/* Of what is there, what is nobody's any more. */
static bool is_to_go(const qn_quarantine *quarantine, const qn_quarantine_place *place, const char *name)
{
    uint64_t run = 0;
    kind what = kind_of(name, &run);
    if (what == TEMPORARY)
        return place->is_ours || quarantine->lock.was_left;
    return what == NAMED && place->is_ours && run >= quarantine->run;
}

static bool is_strange(const char *name)
{
    uint64_t run;
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && kind_of(name, &run) != LOCK;
}

/* One pass: *found_out: how many were removed; *strange_out: how many are there that are to stay. */
static quern_status clear_once(const qn_quarantine *quarantine, const qn_quarantine_place *place, size_t *found_out,
                               size_t *strange_out, qn_error *error)
{
    quern_status status = QUERN_OK;
    DIR *open = opendir(quarantine->directory);
    *found_out = *strange_out = 0;
    if (!open)
        return refuse(quarantine->directory, errno, error);
    for (struct dirent *entry; status == QUERN_OK && (entry = readdir(open)) != NULL;) {
        bool goes = is_to_go(quarantine, place, entry->d_name);
        *found_out += goes;
        *strange_out += !goes && is_strange(entry->d_name);
        if (goes && unlinkat(dirfd(open), entry->d_name, 0) != 0 && errno != ENOENT)
            status = refuse(quarantine->directory, errno, error);
    }
    closedir(open);
    return status;
}

/* Until a pass finds nothing: who was taken over may be renaming. */
static quern_status clear(const qn_quarantine *quarantine, const qn_quarantine_place *place, qn_error *error)
{
    quern_status status = QUERN_OK;
    size_t found = 1, strange = 0;
    for (int pass = 0; status == QUERN_OK && pass < CLEAR_COUNT_MAX && found > 0; pass++)
        status = clear_once(quarantine, place, &found, &strange, error);
    if (status == QUERN_OK && strange > 0 && quarantine->run == 0 && !place->is_ours)
        return qn_error_set(error, QUERN_ERROR_OUTPUT_EXISTS, 0,
                            "the quarantine %s is not empty: see to what is in it, or name another",
                            quarantine->directory);
    return status;
}

static quern_status take_directory(qn_quarantine *quarantine, qn_error *error)
{
    static const qn_lock_kind lock = {
        .name = LOCK_NAME, .mode = 0666, .failed = QUERN_ERROR_OUTPUT, .refuse = refuse_lock};
    const char *directory = quarantine->directory;
    for (int i = 0; i < TAKE_COUNT_MAX; i++) {
        bool gone = false;
        quarantine->created = mkdir(directory, 0777) == 0;
        if (!quarantine->created && errno != EEXIST)
            return refuse(directory, errno, error);
        quern_status status = qn_lock_file_take(&quarantine->lock, directory, &lock, &gone, error);
        if (status != QUERN_OK || !gone)
            return status;
    }
    return qn_error_set(error, QUERN_ERROR_OUTPUT_EXISTS, 0, "other jobs begin and end in the quarantine %s",
                        directory);
}

quern_status qn_quarantine_open(qn_quarantine *quarantine, qn_comm *comm, const qn_quarantine_place *place,
                                qn_error *error)
{
    *quarantine = (qn_quarantine){.directory = place->directory, .run = place->run, .rank = comm->rank};
    if (!place->directory)
        qn_error_set(error, QUERN_ERROR_INVALID_OPTION, 0,
                     "bad records are to be set apart: name a directory by the option quarantine");
    else if (comm->rank == 0 && take_directory(quarantine, error) == QUERN_OK)
        clear(quarantine, place, error);
    memcpy(quarantine->token, quarantine->lock.token, sizeof quarantine->token);
    quern_status status = qn_comm_agree(comm, error);
    return status == QUERN_OK ? qn_comm_broadcast(comm, quarantine->token, sizeof quarantine->token, 0, error) : status;
}

/* ---- a rank's file ---- */

/* token: "" for the last name. */
static char *name_file(const qn_quarantine *quarantine, const char *token)
{
    char *name = NULL;
    int bytes = asprintf(&name, "%s/%sbad-%0*u-%0*u%s%s%s%s", quarantine->directory, *token ? "." : "", NUMBER_DIGITS,
                         quarantine->run, NUMBER_DIGITS, quarantine->rank, *token ? "." : "", token, SUFFIX,
                         *token ? TEMPORARY_END : "");
    return bytes >= 0 ? name : NULL;
}

static quern_status open_file(qn_quarantine *quarantine, qn_error *error)
{
    quarantine->temporary = name_file(quarantine, quarantine->token);
    quarantine->path = name_file(quarantine, "");
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

static quern_status give_name(qn_quarantine *quarantine, qn_error *error)
{
    if (!quarantine->file)
        return QUERN_OK;
    bool written = fflush(quarantine->file) == 0 && fsync(fileno(quarantine->file)) == 0 &&
                   rename(quarantine->temporary, quarantine->path) == 0;
    quarantine->has_name = written;
    return written ? qn_file_sync_directory(quarantine->directory, error) : refuse(quarantine->temporary, errno, error);
}

quern_status qn_quarantine_commit(qn_quarantine *quarantine, qn_comm *comm, qn_error *error)
{
    if (comm->rank == 0 && !qn_lock_file_is_held(&quarantine->lock))
        qn_error_set(error, QUERN_ERROR_OUTPUT_EXISTS, 0,
                     "another job took over the quarantine %s, since this one gave no sign of life for long",
                     quarantine->directory);
    if (qn_comm_agree(comm, error) == QUERN_OK)
        give_name(quarantine, error);
    return qn_comm_agree(comm, error);
}

/* Who took the directory over may have a file of that name. */
static bool is_own(const qn_quarantine *quarantine, const char *path)
{
    struct stat named, opened;
    return fstat(fileno(quarantine->file), &opened) == 0 && stat(path, &named) == 0 && opened.st_ino == named.st_ino &&
           opened.st_dev == named.st_dev;
}

static void remove_file(const qn_quarantine *quarantine)
{
    const char *path = quarantine->has_name ? quarantine->path : quarantine->temporary;
    if (is_own(quarantine, path))
        unlink(path);
}

void qn_quarantine_close(qn_quarantine *quarantine, bool keep)
{
    if (quarantine->file) {
        if (!keep || !quarantine->has_name)
            remove_file(quarantine);
        fclose(quarantine->file);
    }
    free(quarantine->temporary);
    free(quarantine->path);
    quarantine->file = NULL;
    quarantine->temporary = quarantine->path = NULL;
    if (keep)
        qn_lock_file_drop(&quarantine->lock);
}

void qn_quarantine_withdraw(qn_quarantine *quarantine)
{
    qn_lock_file_drop(&quarantine->lock);
    if (quarantine->created)
        rmdir(quarantine->directory);
}
