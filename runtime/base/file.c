/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCRATCH_DIRECTORY "/quern-spill-XXXXXX"
#define SCRATCH_FILE      "/runs"

void qn_file_set_direct(int fd, qn_direct *direct, bool on)
{
    if (direct->is_on == on || (on && direct->is_refused))
        return;
    int flags = fcntl(fd, F_GETFL);
    bool is_set = flags >= 0 && fcntl(fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
    direct->is_on = is_set ? on : direct->is_on;
    direct->is_refused = direct->is_refused || !is_set;
}

/* After a call failed: whether it may succeed when it is made again. It was interrupted, or the file system could not do it past the
 * cache, which is not tried any more. */
static bool can_go_on(int fd, qn_direct *direct, int reason)
{
    if (reason == EINTR)
        return true;
    if (reason != EINVAL || !direct || !direct->is_on)
        return false;
    qn_file_set_direct(fd, direct, false);
    direct->is_refused = true;
    return !direct->is_on;
}

int qn_file_move(int fd, qn_direct *direct, qn_way way, void *data, size_t bytes, uint64_t offset, size_t *done_out)
{
    int reason = 0;
    *done_out = 0;
    while (*done_out < bytes && reason == 0) {
        char *at = (char *)data + *done_out;
        off_t place = (off_t)(offset + *done_out);
        ssize_t moved =
            way == QN_WAY_READ ? pread(fd, at, bytes - *done_out, place) : pwrite(fd, at, bytes - *done_out, place);
        if (moved == 0 && way == QN_WAY_READ)
            break;
        if (moved > 0)
            *done_out += (size_t)moved;
        else
            reason = moved == 0 ? ENOSPC : errno;
        if (moved < 0 && can_go_on(fd, direct, reason))
            reason = 0;
    }
    return reason;
}

quern_status qn_file_read_at(int fd, void *data, size_t bytes, uint64_t offset, const char *path, quern_status failure,
                             size_t *bytes_out, qn_error *error)
{
    size_t done_bytes = 0;
    int reason = qn_file_move(fd, NULL, QN_WAY_READ, data, bytes, offset, &done_bytes);
    if (reason != 0)
        return qn_error_set(error, failure, reason, "cannot read %s at byte %llu", path,
                            (unsigned long long)(offset + done_bytes));
    *bytes_out = done_bytes;
    return QUERN_OK;
}

quern_status qn_file_write_direct(int fd, qn_direct *direct, const void *data, size_t bytes, uint64_t offset,
                                  const char *path, quern_status failure, qn_error *error)
{
    size_t done_bytes = 0;
    int reason = qn_file_move(fd, direct, QN_WAY_WRITE, (void *)data, bytes, offset, &done_bytes);
    if (reason != 0)
        return qn_error_set(error, failure, reason, "cannot write %s at byte %llu", path,
                            (unsigned long long)(offset + done_bytes));
    return QUERN_OK;
}

quern_status qn_file_write_at(int fd, const void *data, size_t bytes, uint64_t offset, const char *path,
                              quern_status failure, qn_error *error)
{
    return qn_file_write_direct(fd, NULL, data, bytes, offset, path, failure, error);
}

quern_status qn_file_create(const char *path, const void *data, size_t bytes, qn_error *error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot create %s", path);
    quern_status status = qn_file_write_at(fd, data, bytes, 0, path, QUERN_ERROR_OUTPUT, error);
    if (status == QUERN_OK && fsync(fd) != 0)
        status = qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot sync %s", path);
    if (close(fd) != 0 && status == QUERN_OK)
        status = qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot close %s", path);
    if (status != QUERN_OK)
        unlink(path);
    return status;
}

quern_status qn_file_sync_directory(const char *path, qn_error *error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot open directory %s", path);
    int failed = fsync(fd) != 0 && errno != EINVAL && errno != EROFS;
    int reason = errno;
    close(fd);
    if (failed)
        return qn_error_set(error, QUERN_ERROR_OUTPUT, reason, "cannot sync directory %s", path);
    return QUERN_OK;
}

/* Puts a name behind the directory's, calls what needs it, and takes it off again. */
static int at_scratch_file(char *path, int (*call)(const char *path))
{
    size_t length = strlen(path);
    strcpy(path + length, SCRATCH_FILE);
    int result = call(path);
    path[length] = 0;
    return result;
}

static int create_private(const char *path)
{
    return open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

/* `path` is a template with room for SCRATCH_FILE. */
static quern_status open_named(char *path, int *fd_out, char **left_out)
{
    if (!mkdtemp(path))
        return QUERN_ERROR_SCRATCH;
    int fd = at_scratch_file(path, create_private);
    int reason = errno;
    (void)at_scratch_file(path, unlink);
    bool left = rmdir(path) != 0;
    errno = reason;
    if (fd < 0)
        return QUERN_ERROR_SCRATCH;
    *left_out = left ? strdup(path) : NULL;
    *fd_out = fd;
    return QUERN_OK;
}

quern_status qn_file_open_scratch(const char *directory, int *fd_out, char **left_out, qn_error *error)
{
    char path[PATH_MAX + sizeof SCRATCH_FILE];
    int length = snprintf(path, PATH_MAX, "%s" SCRATCH_DIRECTORY, directory);
    if (length < 0 || length >= PATH_MAX)
        return qn_error_set(error, QUERN_ERROR_SCRATCH, ENAMETOOLONG, "scratch directory %s", directory);
    int fd = open(directory, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0) {
        *fd_out = fd;
        *left_out = NULL;
        return QUERN_OK;
    }
    if (open_named(path, fd_out, left_out) == QUERN_OK)
        return QUERN_OK;
    return qn_error_set(error, QUERN_ERROR_SCRATCH, errno,
                        "cannot create a spill file in %s: name another directory with --quern-scratch", directory);
}

void qn_file_remove_scratch(char *left)
{
    if (!left)
        return;
    char path[PATH_MAX + sizeof SCRATCH_FILE];
    snprintf(path, PATH_MAX, "%s", left);
    (void)at_scratch_file(path, unlink);
    rmdir(path);
    free(left);
}
