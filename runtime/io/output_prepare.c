/* SPDX-License-Identifier: BSD-3-Clause */
/* The directory of an output from the moment when a job takes it to the one when it gives it out of its hands. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/io/output.h"
#include "runtime/io/output_archive.h"
#include "runtime/io/output_names.h"

#define PREPARE_COUNT_MAX 10
#define CLEAR_COUNT_MAX   10

static bool is_regular(int directory, const char *name)
{
    struct stat about;
    return fstatat(directory, name, &about, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(about.st_mode);
}

static quern_status cannot_use(const char *path, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot use %s as output directory", path);
}

/* What is in a directory, as a reason to take it or not. */
typedef struct contents {
    bool has_lock, has_temporary, has_named, has_others;
} contents;

static void note(contents *found, qn_output_kind kind, bool is_file)
{
    if (kind == QN_OUTPUT_LOCK)
        found->has_lock = true;
    else if (kind == QN_OUTPUT_OTHER || !is_file)
        found->has_others = true;
    else if (kind == QN_OUTPUT_NAMED)
        found->has_named = true;
    else
        found->has_temporary = true;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static quern_status look_into(const char *path, contents *contents_out, qn_error *error)
{
    uint64_t number = 0;
    bool is_own = false;
    DIR *directory = opendir(path);
    *contents_out = (contents){0};
    if (!directory)
        return cannot_use(path, error);
    for (struct dirent *entry; (entry = readdir(directory));)
        if (!is_dots(entry->d_name))
            note(contents_out, qn_output_kind_of(entry->d_name, NULL, &number, &is_own),
                 is_regular(dirfd(directory), entry->d_name));
    closedir(directory);
    return QUERN_OK;
}

/* ---- what a killed job left */

/* A directory that is cleared. */
typedef struct clearing {
    const char *path, *token;
    const qn_kept_parts *kept; /* NULL: nothing stays */
    DIR *directory;
    size_t found; /* in this pass */
} clearing;

static int compare_number(const void *number, const void *summary)
{
    uint64_t left = *(const uint64_t *)number, right = ((const qn_part_summary *)summary)->number;
    return left < right ? -1 : left > right;
}

static bool is_named_as(const clearing *job, const char *name, uint64_t number)
{
    char suffix[16];
    if (job->kept->is_joined)
        return false; /* what has a name is made of all parts */
    qn_part_style_suffix(job->kept->style, suffix);
    char *path = qn_output_part_path(job->path, qn_output_digits(job->kept->part_count), number, suffix);
    bool is_so = path && strcmp(path + strlen(job->path) + 1, name) == 0;
    free(path);
    return is_so;
}

/* Whether it looks like a part that is to stay; whether it is one its checksum will say. */
static bool is_to_stay(const clearing *job, const char *name, qn_output_kind kind, uint64_t number)
{
    struct stat about;
    if (!job->kept || !job->kept->items || (kind != QN_OUTPUT_PART && kind != QN_OUTPUT_NAMED))
        return false;
    const qn_part_summary *summary =
        bsearch(&number, job->kept->items, job->kept->count, sizeof *job->kept->items, compare_number);
    return summary && fstatat(dirfd(job->directory), name, &about, AT_SYMLINK_NOFOLLOW) == 0 &&
           (uint64_t)about.st_size == summary->bytes && (kind == QN_OUTPUT_PART || is_named_as(job, name, number));
}

/* It gets the name that it would have if this job had made it, and another time: who had it before cannot rename it any more, and if it gets its
 * last name, as it may have had one then, does not take it for his own. */
static bool keep(const clearing *job, const char *name, uint64_t number)
{
    char *path =
        qn_output_temporary_path(job->path, qn_output_digits(job->kept->part_count), number, job->token, false);
    bool is_kept = path && renameat(dirfd(job->directory), name, AT_FDCWD, path) == 0 &&
                   utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW) == 0;
    free(path);
    return is_kept;
}

static quern_status clear_entry(clearing *job, const char *name, qn_error *error)
{
    uint64_t number = 0;
    bool is_own = false;
    qn_output_kind kind = qn_output_kind_of(name, job->token, &number, &is_own);
    if (kind == QN_OUTPUT_OTHER || kind == QN_OUTPUT_LOCK || is_own)
        return QUERN_OK;
    job->found++;
    if (is_to_stay(job, name, kind, number) && keep(job, name, number))
        return QUERN_OK;
    if (unlinkat(dirfd(job->directory), name, 0) == 0 || errno == ENOENT)
        return QUERN_OK;
    return qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot remove %s/%s", job->path, name);
}

static quern_status clear_once(clearing *job, qn_error *error)
{
    quern_status status = QUERN_OK;
    job->directory = opendir(job->path);
    job->found = 0;
    if (!job->directory)
        return cannot_use(job->path, error);
    for (struct dirent *entry; status == QUERN_OK && (entry = readdir(job->directory));)
        status = clear_entry(job, entry->d_name, error);
    closedir(job->directory);
    return status;
}

/* Until a pass finds nothing: who was taken over may be renaming, and a pass sees neither the old name nor the new one then; but each
 * of these has an old name that one pass at most can miss. */
static quern_status clear_all(clearing *job, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (int pass = 0; status == QUERN_OK && pass < CLEAR_COUNT_MAX && (pass == 0 || job->found > 0); pass++)
        status = clear_once(job, error);
    return status;
}

static quern_status remove_those(const char *path, const char *token,
                                 bool (*is_among)(qn_output_kind kind, bool is_own), qn_error *error)
{
    DIR *directory = opendir(path);
    if (!directory)
        return cannot_use(path, error);
    for (struct dirent *entry; (entry = readdir(directory));) {
        uint64_t number = 0;
        bool is_own = false;
        qn_output_kind kind = qn_output_kind_of(entry->d_name, token, &number, &is_own);
        if (is_among(kind, is_own))
            unlinkat(dirfd(directory), entry->d_name, 0);
    }
    closedir(directory);
    return QUERN_OK;
}

static bool is_commit(qn_output_kind kind, bool is_own)
{
    (void)is_own;
    return kind == QN_OUTPUT_COMMIT;
}

static bool is_temporary(qn_output_kind kind)
{
    return kind != QN_OUTPUT_OTHER && kind != QN_OUTPUT_LOCK && kind != QN_OUTPUT_NAMED;
}

static bool is_left_by_others(qn_output_kind kind, bool is_own)
{
    return is_temporary(kind) && !is_own;
}

static bool is_left_by_us(qn_output_kind kind, bool is_own)
{
    return is_temporary(kind) && is_own;
}

static quern_status refuse_contents(const char *directory, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_OUTPUT_EXISTS, 0,
                        "the output directory %s is not empty: remove it or name another", directory);
}

/* Under the lock: the last look, since before it another job may have come and gone. Named parts are nobody's only if the lock was: one that
 * is new may have come in between the end of another job's and its _SUCCESS. */
static quern_status clear(const char *directory, const qn_lock_file *lock, const qn_kept_parts *kept, qn_error *error)
{
    contents found = {0};
    clearing job = {.path = directory, .token = lock->token, .kept = kept};
    /* From here on who was taken over cannot end with success. */
    quern_status status = remove_those(directory, NULL, is_commit, error);
    if (status == QUERN_OK)
        status = look_into(directory, &found, error);
    if (status == QUERN_OK && (found.has_others || (found.has_named && !lock->was_left)))
        status = refuse_contents(directory, error);
    bool has_any = found.has_temporary || found.has_named;
    return status == QUERN_OK && has_any ? clear_all(&job, error) : status;
}

void qn_output_sweep(const qn_output *output)
{
    qn_error ignored = {0};
    remove_those(output->directory, output->lock.token, is_left_by_others, &ignored);
}

/* Parts that were kept, and then nobody went on with: without the lock they would make the directory one that nobody may use. */
static void remove_own(const char *directory, const qn_lock_file *lock)
{
    qn_error ignored = {0};
    remove_those(directory, lock->token, is_left_by_us, &ignored);
}

/* ---- taking it, and giving it back */

/* One attempt; *gone_out: the directory or its lock vanished meanwhile. */
static quern_status try_prepare(qn_output *output, const char *directory, const qn_kept_parts *kept, bool *gone_out,
                                qn_error *error)
{
    bool created = mkdir(directory, 0777) == 0;
    contents found = {0};
    if (!created && errno != EEXIST)
        return qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot create the output directory %s", directory);
    quern_status status = created ? QUERN_OK : look_into(directory, &found, error);
    if (status == QUERN_OK && (found.has_others || ((found.has_temporary || found.has_named) && !found.has_lock)))
        status = refuse_contents(directory, error);
    if (status == QUERN_OK)
        status = qn_output_lock_take(&output->lock, directory, gone_out, error);
    if (status == QUERN_OK && !*gone_out)
        status = clear(directory, &output->lock, kept, error);
    if (status == QUERN_OK && !*gone_out) {
        output->directory = directory;
        output->created = created;
        return QUERN_OK;
    }
    if (status != QUERN_OK && output->lock.path)
        remove_own(directory, &output->lock);
    qn_lock_file_drop(&output->lock);
    if (created && !*gone_out)
        rmdir(directory);
    return status;
}

quern_status qn_output_prepare(qn_output *output, const char *directory, const qn_kept_parts *kept, qn_error *error)
{
    *output = (qn_output){0};
    for (int i = 0; i < PREPARE_COUNT_MAX; i++) {
        bool gone = false;
        quern_status status = try_prepare(output, directory, kept, &gone, error);
        if (status != QUERN_OK || !gone)
            return status;
    }
    return qn_error_set(error, QUERN_ERROR_OUTPUT_EXISTS, 0, "other jobs begin and end in the output directory %s",
                        directory);
}

static quern_status say_lost(const qn_output *output, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_OUTPUT_EXISTS, 0,
                        "another job took over the output directory %s, since this one gave no sign of life for long",
                        output->directory);
}

quern_status qn_output_check_held(const qn_output *output, qn_error *error)
{
    bool is_ours = !output->directory || qn_lock_file_is_held(&output->lock);
    return is_ours ? QUERN_OK : say_lost(output, error);
}

quern_status qn_output_check_not_lost(const qn_output *output, qn_error *error)
{
    bool is_lost = output->lock.path && output->lock.named && qn_beat_is_lost(output->lock.beat);
    return is_lost ? say_lost(output, error) : QUERN_OK;
}

quern_status qn_output_forget(const char *directory, qn_error *error)
{
    qn_lock_file lock = {0};
    bool gone = false;
    quern_status status = qn_output_lock_take(&lock, directory, &gone, error);
    if (status != QUERN_OK || gone)
        return status;
    char *path = NULL;
    if (asprintf(&path, "%s/" QN_OUTPUT_SUCCESS_NAME, directory) >= 0) {
        unlink(path);
        free(path);
    }
    lock.named = false; /* it stays, as if a job had been killed there */
    qn_lock_file_drop(&lock);
    return QUERN_OK;
}

void qn_output_settle(const char *directory)
{
    qn_lock_file lock = {0};
    qn_error ignored = {0};
    bool gone = false;
    char *path = NULL;
    if (asprintf(&path, "%s/" QN_OUTPUT_LOCK_NAME, directory) < 0)
        return;
    if (access(path, F_OK) == 0 && qn_output_lock_take(&lock, directory, &gone, &ignored) == QUERN_OK)
        qn_lock_file_drop(&lock);
    free(path);
}

void qn_output_release(qn_output *output)
{
    free(output->joined_path);
    free(output->joined_temporary_path);
    free(output->joined_offsets);
    qn_lock_file_drop(&output->lock);
    if (output->manifest_path && output->directory)
        rmdir(output->directory); /* there was only work in it */
    free(output->manifest_path);
    *output = (qn_output){0};
}

void qn_output_leave(qn_output *output, bool is_given_again)
{
    qn_error ignored = {0}; /* whoever prepares the directory will say what is wrong with it */
    const char *directory = output->directory;
    bool is_whole = output->has_success;
    output->lock.named = false;
    qn_output_release(output);
    if (directory && is_whole && is_given_again)
        qn_output_forget(directory, &ignored);
}

void qn_output_withdraw(qn_output *output)
{
    const char *directory = output->directory;
    bool created = output->created;
    if (directory && output->lock.path)
        remove_own(directory, &output->lock);
    qn_output_release(output);
    if (directory && created)
        rmdir(directory); /* not if somebody else put something there meanwhile */
}
