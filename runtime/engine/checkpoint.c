/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/hash.h"
#include "runtime/engine/checkpoint_internal.h"

#define JOURNAL_NAME "journal"
#define KEEP_NAME    "keep"
#define PROGRAM_PATH "/proc/self/exe"
#define DIGEST_PIECE ((size_t)1 << 20)

void qn_checkpoint_say(const qn_checkpoint *checkpoint, const char *format, ...)
{
    char text[QN_ERROR_TEXT_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    qn_log_line(checkpoint->log, "checkpoint: %s", text);
    qn_progress_say(checkpoint->progress, "checkpoint: %s", text);
}

void qn_checkpoint_note_saved(const qn_checkpoint *checkpoint, quern_status status, uint64_t start_ns,
                              const char *format, ...)
{
    char text[QN_ERROR_TEXT_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    int used = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (used > 0 && (size_t)used < sizeof text)
        snprintf(text + used, sizeof text - (size_t)used, ", %.3f s", (double)(qn_clock_ns() - start_ns) / 1e9);
    qn_log_line(checkpoint->log, "checkpoint: %s: %s", text, quern_status_name(status));
    if (status == QUERN_OK)
        qn_progress_tell(checkpoint->progress, QUERN_EVENT_CHECKPOINT, text);
}

char *qn_checkpoint_path(const qn_checkpoint *checkpoint, const char *name)
{
    size_t bytes = strlen(checkpoint->directory) + strlen(name) + 2;
    char *path = malloc(bytes);
    if (path)
        snprintf(path, bytes, "%s/%s", checkpoint->directory, name);
    return path;
}

static quern_status no_memory(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a checkpoint");
}

quern_status qn_checkpoint_digest_file(const char *path, uint64_t *digest, qn_error *error)
{
    uint8_t *piece = malloc(DIGEST_PIECE);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    quern_status status = piece ? QUERN_OK : no_memory(error);
    if (status == QUERN_OK && fd < 0)
        status = qn_error_set(error, QUERN_ERROR_SYSTEM, errno, "cannot read %s", path);
    for (uint64_t offset = 0; status == QUERN_OK;) {
        size_t got = 0;
        status = qn_file_read_at(fd, piece, DIGEST_PIECE, offset, path, QUERN_ERROR_SYSTEM, &got, error);
        if (status != QUERN_OK || got == 0)
            break;
        *digest = qn_checksum(piece, got, *digest);
        offset += got;
    }
    if (fd >= 0)
        close(fd);
    free(piece);
    return status;
}

/* Of the file that runs, and the library's version: another program may mean something else by the same graph. */
static quern_status digest_program(uint64_t *digest_out, qn_error *error)
{
    static const char version[] = QUERN_VERSION;
    uint64_t digest = qn_checksum(version, sizeof version, 0);
    quern_status status = qn_checkpoint_digest_file(PROGRAM_PATH, &digest, error);
    *digest_out = digest & INT64_MAX; /* JSON's integers */
    return status;
}

static quern_status refuse_used(const qn_checkpoint *checkpoint, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_CHECKPOINT, 0,
                        "%s holds the checkpoint of a job that did not end: go on with it by the option resume, or "
                        "remove it, or name another",
                        checkpoint->directory);
}

/* That of the same thing. */
static void drop_line(json_t *lines, const json_t *line)
{
    for (size_t i = json_array_size(lines); i > 0; i--) {
        const json_t *other = json_array_get(lines, i - 1);
        if (qn_json_get_number(other, "run") == qn_json_get_number(line, "run") &&
            qn_json_get_number(other, "stage") == qn_json_get_number(line, "stage"))
            json_array_remove(lines, i - 1);
    }
}

/* In the place of one that is out of date. */
quern_status qn_checkpoint_take_line(json_t *lines, json_t *line, qn_error *error)
{
    drop_line(lines, line);
    return json_array_append(lines, line) == 0 ? QUERN_OK : no_memory(error);
}

static quern_status take_quarantine(qn_checkpoint *checkpoint, const json_t *line, qn_error *error)
{
    const char *directory = json_string_value(json_object_get(line, "directory"));
    char *copy = directory ? strdup(directory) : NULL;
    if (directory && !copy)
        return no_memory(error);
    free(checkpoint->quarantine);
    checkpoint->quarantine = copy;
    return QUERN_OK;
}

quern_status qn_checkpoint_note(qn_checkpoint *checkpoint, json_t *line, qn_error *error)
{
    const char *event = json_string_value(json_object_get(line, "event"));
    if (event && strcmp(event, "stage") == 0) {
        if (json_array_size(json_object_get(line, "files")) > 0)
            drop_line(checkpoint->epochs, line); /* what is there of all of it is better than a part */
        return qn_checkpoint_take_line(checkpoint->stages, line, error);
    }
    if (event && strcmp(event, "epoch") == 0)
        return qn_checkpoint_take_line(checkpoint->epochs, line, error);
    if (event && (strcmp(event, "given") == 0 || strcmp(event, "inputs") == 0))
        return qn_checkpoint_take_told(checkpoint, event, line, error);
    if (event && strcmp(event, "run") == 0)
        return qn_checkpoint_take_line(checkpoint->runs, line, error);
    if (event && (strcmp(event, "commit") == 0 || strcmp(event, "output") == 0))
        return json_array_append(checkpoint->outputs, line) == 0 ? QUERN_OK : no_memory(error);
    if (event && strcmp(event, "quarantine") == 0)
        return take_quarantine(checkpoint, line, error);
    return QUERN_OK;
}

/* Lines of an attempt that was not the last to begin when they were written are of a job that did not know that it was taken over. */
static quern_status read_lines(qn_checkpoint *checkpoint, const json_t *lines, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (size_t i = 0; i < json_array_size(lines) && status == QUERN_OK; i++) {
        json_t *line = json_array_get(lines, i);
        const char *event = json_string_value(json_object_get(line, "event"));
        uint64_t attempt = qn_json_get_number(line, "attempt");
        if (event && strcmp(event, "start") == 0)
            checkpoint->attempt = (uint32_t)attempt;
        else if (attempt == checkpoint->attempt && event && strcmp(event, "parts") == 0)
            status = qn_checkpoint_read_parts(checkpoint, line, error);
        else if (attempt == checkpoint->attempt)
            status = qn_checkpoint_note(checkpoint, line, error);
    }
    return status;
}

static json_t *describe_start(const qn_checkpoint *checkpoint)
{
    return json_pack("{s:s, s:I, s:s, s:I, s:I}", "event", "start", "attempt", (json_int_t)checkpoint->attempt,
                     "version", QUERN_VERSION, "program", (json_int_t)checkpoint->program, "ranks",
                     (json_int_t)checkpoint->comm->size);
}

/* Whether a file is one that nobody needs any more, if the checkpoint is ours. */
static bool is_left(const qn_checkpoint *checkpoint, const char *name)
{
    static const char lock_prefix[] = QN_CHECKPOINT_LOCK_NAME ".";
    if (strncmp(name, lock_prefix, strlen(lock_prefix)) == 0) /* of who died when taking it over */
        return strspn(name + strlen(lock_prefix), "0123456789abcdef") == QN_BEAT_TOKEN_BYTES - 1;
    return strncmp(name, SAVED_PREFIX, strlen(SAVED_PREFIX)) == 0 &&
           !qn_saved_file_is_named(checkpoint->stages, 0, name) && !qn_saved_file_is_named(checkpoint->epochs, 0, name);
}

/* Who was taken over finds files without a line of his that have one of the next owner's. */
void qn_checkpoint_sweep(const qn_checkpoint *checkpoint)
{
    DIR *open = opendir(checkpoint->directory);
    if (!open)
        return;
    for (struct dirent *entry; (entry = readdir(open)) != NULL;)
        if (is_left(checkpoint, entry->d_name) && qn_lock_file_is_held(&checkpoint->lock))
            unlinkat(dirfd(open), entry->d_name, 0);
    closedir(open);
}

static quern_status begin_attempt(qn_checkpoint *checkpoint, const qn_settings *settings, const json_t *lines,
                                  qn_error *error)
{
    if (json_array_size(lines) > 0 && !settings->resumes)
        return refuse_used(checkpoint, error);
    quern_status status = read_lines(checkpoint, lines, error);
    if (status == QUERN_OK)
        status = digest_program(&checkpoint->program, error);
    if (status == QUERN_OK && json_object_size(checkpoint->givens->names) == 0)
        status = qn_givens_note_command(checkpoint->givens, error);
    if (status != QUERN_OK)
        return status;
    qn_checkpoint_sweep(checkpoint);
    checkpoint->attempt++;
    if (settings->resumes)
        qn_checkpoint_say(checkpoint,
                          checkpoint->attempt > 1 ? "going on from %s, attempt %u" : "nothing to go on from in %s",
                          checkpoint->directory, checkpoint->attempt);
    return qn_journal_append(&checkpoint->journal, describe_start(checkpoint), error);
}

/* For its owner only; one that is there may be looked at by others, but who can put files into it would decide what the job gives. */
static quern_status make_directory(const char *path, qn_error *error)
{
    struct stat about;
    if (mkdir(path, 0700) == 0)
        return QUERN_OK;
    if (errno != EEXIST || stat(path, &about) != 0)
        return qn_error_set(error, QUERN_ERROR_CHECKPOINT, errno, "cannot make %s", path);
    if (about.st_mode & (S_IWGRP | S_IWOTH))
        return qn_error_set(error, QUERN_ERROR_CHECKPOINT, 0,
                            "others can write to %s: make it its owner's (chmod 700), or name another", path);
    return QUERN_OK;
}

/* Whose it was gave no sign of life, and may write all the same when it goes on. */
static quern_status take_away(qn_checkpoint *checkpoint, qn_error *error)
{
    qn_checkpoint_say(checkpoint, "%s is taken over from %s, which gave no sign of life", checkpoint->directory,
                      checkpoint->lock.left_by);
    return qn_journal_renew(&checkpoint->journal, error);
}

static quern_status open_journal(qn_checkpoint *checkpoint, const qn_settings *settings, qn_error *error)
{
    json_t *lines = NULL;
    checkpoint->path = qn_checkpoint_path(checkpoint, JOURNAL_NAME);
    checkpoint->stages = json_array();
    checkpoint->epochs = json_array();
    checkpoint->runs = json_array();
    checkpoint->parts = json_array();
    checkpoint->outputs = json_array();
    checkpoint->unwritten = json_array();
    checkpoint->told = json_object();
    checkpoint->stage_inputs = json_array();
    checkpoint->run_inputs = json_array();
    if (!checkpoint->told || !checkpoint->stage_inputs || !checkpoint->run_inputs || !checkpoint->path ||
        !checkpoint->stages || !checkpoint->epochs || !checkpoint->runs || !checkpoint->parts || !checkpoint->outputs ||
        !checkpoint->unwritten)
        return no_memory(error);
    quern_status status = make_directory(checkpoint->directory, error);
    if (status == QUERN_OK)
        status = qn_checkpoint_lock_take(&checkpoint->lock, checkpoint->directory, error);
    if (status == QUERN_OK)
        status = qn_journal_open(&checkpoint->journal, checkpoint->path, settings->cipher, &lines, error);
    if (status == QUERN_OK && checkpoint->lock.left_by[0])
        status = take_away(checkpoint, error);
    if (status == QUERN_OK)
        status = begin_attempt(checkpoint, settings, lines, error);
    if (status == QUERN_OK)
        status = qn_file_sync_directory(checkpoint->directory, error);
    json_decref(lines);
    return status;
}

static void decide_epochs(qn_epochs *when, const qn_settings *settings, const qn_comm *comm)
{
    uint64_t now_ns = qn_clock_ns();
    *when = (qn_epochs){.every_ns = settings->checkpoint_every_ns,
                        .failure_ns = settings->node_failure_ns / comm->node_count,
                        .deadline_ns = settings->deadline_ns > 0 ? settings->deadline_ns : UINT64_MAX,
                        .last_ns = now_ns};
}

quern_status qn_checkpoint_open(qn_checkpoint *checkpoint, qn_comm *comm, const qn_settings *settings,
                                qn_givens *givens, const qn_log *log, qn_progress *progress, qn_error *error)
{
    uint64_t known[] = {0, 0}, wanted = settings->checkpoint_dir != NULL;
    *checkpoint = (qn_checkpoint){.comm = comm,
                                  .settings = settings,
                                  .givens = givens,
                                  .log = log,
                                  .progress = progress,
                                  .lock.fd = -1,
                                  .journal.fd = -1};
    quern_status status = qn_comm_reduce_max(comm, &wanted, 1, error);
    if (status != QUERN_OK || !wanted)
        return status;
    checkpoint->directory = settings->checkpoint_dir;
    if (!checkpoint->directory)
        qn_error_set(error, QUERN_ERROR_INVALID_OPTION, 0, "checkpoint: it is not given to all ranks");
    else if (!givens->names && qn_givens_init(givens, error) != QUERN_OK)
        checkpoint->directory = NULL;
    else if (comm->rank == 0)
        open_journal(checkpoint, settings, error);
    status = qn_comm_agree(comm, error);
    known[0] = checkpoint->attempt;
    if (status == QUERN_OK)
        status = qn_comm_broadcast(comm, known, sizeof known, 0, error);
    checkpoint->attempt = (uint32_t)known[0];
    decide_epochs(&checkpoint->when, settings, comm);
    if (status != QUERN_OK)
        qn_checkpoint_close(checkpoint);
    return status;
}

static void remove_all(qn_checkpoint *checkpoint)
{
    json_array_clear(checkpoint->stages);
    json_array_clear(checkpoint->epochs);
    unlink(checkpoint->path); /* first, for what it says is not there any more then */
    qn_checkpoint_sweep(checkpoint);
}

/* False: there is no such file. What does not get into it is not believed: the job is started again, and finds all done. */
static bool tell_keeper(const qn_checkpoint *checkpoint, quern_status last_run)
{
    char *path = qn_checkpoint_path(checkpoint, KEEP_NAME);
    int fd = path ? open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW) : -1;
    bool is_there = fd >= 0 || (path && access(path, F_OK) == 0);
    if (fd >= 0) {
        dprintf(fd, "%s\n", quern_status_name(last_run));
        close(fd);
    }
    free(path);
    return is_there;
}

void qn_checkpoint_end(qn_checkpoint *checkpoint, quern_status last_run)
{
    bool is_held = qn_lock_file_is_held(&checkpoint->lock);
    bool is_kept = is_held && tell_keeper(checkpoint, last_run);
    if (last_run == QUERN_OK && is_held && checkpoint->journal.fd >= 0 && !is_kept)
        remove_all(checkpoint);
    qn_checkpoint_close(checkpoint);
}

void qn_checkpoint_close(qn_checkpoint *checkpoint)
{
    if (checkpoint->comm)
        qn_journal_close(&checkpoint->journal);
    qn_lock_file_drop(&checkpoint->lock);
    json_decref(checkpoint->stages);
    json_decref(checkpoint->epochs);
    json_decref(checkpoint->runs);
    json_decref(checkpoint->parts);
    json_decref(checkpoint->outputs);
    json_decref(checkpoint->unwritten);
    free(checkpoint->quarantine);
    json_decref(checkpoint->carried);
    json_decref(checkpoint->told);
    json_decref(checkpoint->stage_inputs);
    json_decref(checkpoint->run_inputs);
    free(checkpoint->inputs);
    free(checkpoint->path);
    free(checkpoint->files);
    *checkpoint = (qn_checkpoint){0};
}
