/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/output_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "runtime/base/boot_id.h"
#include "runtime/base/file.h"

#define HOST_BYTES_MAX  64
#define OWNER_BYTES_MAX 160

/* Who holds a lock, as its file says: "boot-id pid host". */
typedef struct owner {
    char boot[QN_BOOT_ID_BYTES + 1]; /* "" is unknown, and equal to nobody's */
    long pid;
    char host[HOST_BYTES_MAX + 1];
} owner;

static owner describe_self(void)
{
    owner self = {.pid = (long)getpid()};
    struct utsname names;
    qn_boot_id_read(self.boot);
    if (uname(&names) == 0)
        snprintf(self.host, sizeof self.host, "%.*s", HOST_BYTES_MAX, names.nodename);
    return self;
}

static owner read_owner(int fd)
{
    owner other = {.pid = -1};
    char text[OWNER_BYTES_MAX + 1] = "";
    size_t bytes = 0;
    if (qn_file_read_at(fd, text, OWNER_BYTES_MAX, 0, QN_OUTPUT_LOCK_NAME, QUERN_ERROR_OUTPUT, &bytes, NULL) ==
            QUERN_OK &&
        sscanf(text, "%36s %ld %64s", other.boot, &other.pid, other.host) != 3)
        other = (owner){.pid = -1};
    return other;
}

static quern_status write_owner(int fd, const char *path, qn_error *error)
{
    owner self = describe_self();
    char text[OWNER_BYTES_MAX];
    snprintf(text, sizeof text, "%s %ld %s\n", self.boot[0] ? self.boot : "-", self.pid,
             self.host[0] ? self.host : "-");
    quern_status status = qn_file_write_at(fd, text, strlen(text), 0, path, QUERN_ERROR_OUTPUT, error);
    if (status == QUERN_OK && ftruncate(fd, (off_t)strlen(text)) != 0)
        status = qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot write %s", path);
    return status; /* there was never less in it than an owner */
}

static bool is_of_this_machine(const owner *other)
{
    owner self = describe_self();
    return self.boot[0] && strcmp(self.boot, other->boot) == 0;
}

static quern_status refuse(const char *directory, const owner *other, bool surely_alive, qn_error *error)
{
    if (surely_alive)
        return qn_error_set(error, QUERN_ERROR_OUTPUT_EXISTS, 0,
                            "the output directory %s is being written by another job (process %ld on %s): name another",
                            directory, other->pid, other->host);
    return qn_error_set(error, QUERN_ERROR_OUTPUT_EXISTS, 0,
                        "the output directory %s is being written by another job, or was left by one that was killed "
                        "(process %ld on %s): see that it has ended, then remove the directory, or name another",
                        directory, other->pid, other->host[0] ? other->host : "a machine that is not known");
}

/* The file is new and ours. Where there are no locks, the file alone keeps others away. */
static quern_status begin_lock(int fd, const char *path, qn_error *error)
{
    flock(fd, LOCK_EX | LOCK_NB);
    quern_status status = write_owner(fd, path, error);
    if (status != QUERN_OK)
        unlink(path);
    return status;
}

/* The file was there: takes it over if its owner is surely dead. *gone_out: somebody removed it before it was locked. */
static quern_status take_over(int fd, const char *directory, const char *path, bool *gone_out, qn_error *error)
{
    owner other = read_owner(fd);
    struct stat named, opened;
    if (!is_of_this_machine(&other))
        return refuse(directory, &other, false, error);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return refuse(directory, &other, errno == EWOULDBLOCK, error);
    *gone_out = fstat(fd, &opened) != 0 || stat(path, &named) != 0 || opened.st_ino != named.st_ino ||
                opened.st_dev != named.st_dev;
    return *gone_out ? QUERN_OK : write_owner(fd, path, error);
}

/* A file that gets its name when it is locked and says whose it is: a job that is killed leaves none without an owner. -1: it is not made,
 * since there is one (EEXIST), or since the file system cannot. */
static int make_whole(const char *path, const char *directory)
{
    char own[64];
    qn_error ignored = {0};
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
    if (fd < 0)
        return -1;
    snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
    flock(fd, LOCK_EX | LOCK_NB);
    if (write_owner(fd, path, &ignored) == QUERN_OK && linkat(AT_FDCWD, own, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
        return fd;
    close(fd);
    return -1;
}

static quern_status open_lock(char *path, const char *directory, int *fd_out, bool *was_left_out, bool *gone_out,
                              qn_error *error)
{
    int fd = make_whole(path, directory);
    bool is_whole = fd >= 0;
    if (!is_whole)
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    bool is_new = fd >= 0;
    if (!is_new && errno == EEXIST)
        fd = open(path, O_RDWR | O_CLOEXEC);
    *gone_out = fd < 0 && errno == ENOENT;
    if (*gone_out)
        return QUERN_OK;
    if (fd < 0)
        return qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot use %s as output directory", directory);
    quern_status status = QUERN_OK;
    if (!is_whole)
        status = is_new ? begin_lock(fd, path, error) : take_over(fd, directory, path, gone_out, error);
    if (status != QUERN_OK || *gone_out) {
        close(fd);
        return status;
    }
    *fd_out = fd;
    *was_left_out = !is_new;
    return QUERN_OK;
}

quern_status qn_output_lock_take(qn_output_lock *lock, const char *directory, bool *gone_out, qn_error *error)
{
    char *path = NULL;
    int fd = -1;
    bool was_left = false;
    if (asprintf(&path, "%s/" QN_OUTPUT_LOCK_NAME, directory) < 0)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a file name");
    quern_status status = open_lock(path, directory, &fd, &was_left, gone_out, error);
    if (fd < 0) {
        free(path);
        return status;
    }
    *lock = (qn_output_lock){.path = path, .fd = fd, .named = true, .was_left = was_left};
    return QUERN_OK;
}

void qn_output_lock_remove(qn_output_lock *lock)
{
    if (lock->path && lock->named)
        unlink(lock->path);
    lock->named = false;
}

void qn_output_lock_drop(qn_output_lock *lock)
{
    if (!lock->path)
        return;
    qn_output_lock_remove(lock);
    close(lock->fd);
    free(lock->path);
    *lock = (qn_output_lock){0};
}
