/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/base/lock_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/boot_id.h"
#include "runtime/base/clock.h"

/* Who holds a lock, as its file says: "boot-id pid host token", and a beat. Those of earlier versions have neither token nor beat. */
typedef struct owner {
    char boot[QN_BOOT_ID_BYTES + 1]; /* "" is unknown, and equal to nobody's */
    long pid;
    char host[QN_BEAT_HOST_BYTES];
} owner;

/* A lock that is being taken. */
typedef struct taking {
    const char *directory;
    const qn_lock_kind *kind;
    char *path; /* of the lock */
    int fd;     /* its file, when it is ours; else -1 */
    qn_beat *beat;
    char token[QN_BEAT_TOKEN_BYTES];
    bool was_left;
    char left_by[QN_LOCK_OWNER_TEXT_BYTES];
} taking;

static void describe_self(char text[QN_BEAT_OWNER_BYTES], const char *token)
{
    char boot[QN_BOOT_ID_BYTES + 1], host[QN_BEAT_HOST_BYTES];
    bool is_known = qn_boot_id_read(boot);
    qn_beat_get_host(host);
    snprintf(text, QN_BEAT_OWNER_BYTES, "%s %ld %s %s\n", is_known ? boot : "-", (long)getpid(), host[0] ? host : "-",
             token);
}

static owner parse_owner(const char *text)
{
    owner other = {.pid = -1};
    if (sscanf(text, "%36s %ld %64s", other.boot, &other.pid, other.host) != 3)
        other = (owner){.pid = -1};
    return other;
}

static bool is_of_this_machine(const owner *other)
{
    char boot[QN_BOOT_ID_BYTES + 1];
    return qn_boot_id_read(boot) && strcmp(boot, other->boot) == 0;
}

static quern_status refuse(const taking *lock, const owner *other, bool is_alive, qn_error *error)
{
    qn_lock_owner refused = {.pid = other->pid, .is_alive = is_alive};
    memcpy(refused.host, other->host, sizeof refused.host);
    return lock->kind->refuse(lock->directory, &refused, error);
}

static quern_status no_memory(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a file name");
}

/* What is written into a file of ours; owned by the caller. NULL: no memory. */
static qn_beat *make_beat(const char *path, int fd, const char *token)
{
    qn_beat *beat = calloc(1, sizeof *beat);
    if (!beat)
        return NULL;
    beat->path = path;
    beat->fd = fd;
    describe_self(beat->owner, token);
    return beat;
}

static quern_status begin_beat(taking *lock, int fd, const char *path, qn_error *error)
{
    lock->beat = make_beat(lock->path, fd, lock->token);
    if (!lock->beat)
        return no_memory(error);
    if (!qn_beat_write(lock->beat))
        return qn_error_set(error, lock->kind->failed, errno, "cannot write %s", path);
    fsync(fd); /* a lock that says nothing cannot be watched, when the machine died */
    lock->fd = fd;
    return QUERN_OK;
}

static void forget_beat(taking *lock)
{
    free(lock->beat);
    lock->beat = NULL;
    lock->fd = -1;
}

/* A file of our own gets the lock's name. Where there are no locks, the file alone keeps others away. */
static quern_status replace(taking *lock, qn_error *error)
{
    char *path = NULL;
    if (asprintf(&path, "%s.%s", lock->path, lock->token) < 0)
        return no_memory(error);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, lock->kind->mode);
    quern_status status = QUERN_OK;
    if (fd < 0) {
        status = qn_error_set(error, lock->kind->failed, errno, "cannot create %s", path);
    } else {
        flock(fd, LOCK_EX | LOCK_NB);
        status = begin_beat(lock, fd, path, error);
        if (status == QUERN_OK && rename(path, lock->path) != 0)
            status = qn_error_set(error, lock->kind->failed, errno, "cannot rename %s", path);
    }
    if (status != QUERN_OK && fd >= 0) {
        unlink(path);
        forget_beat(lock);
        close(fd);
    }
    free(path);
    return status;
}

static bool is_at(int fd, const char *path)
{
    struct stat named, opened;
    return fstat(fd, &opened) == 0 && stat(path, &named) == 0 && opened.st_ino == named.st_ino &&
           opened.st_dev == named.st_dev;
}

/* Another machine's, or where there are no locks: it may be watched. */
static quern_status take_over_watched(taking *lock, const char *text, bool *gone_out, qn_error *error)
{
    owner other = parse_owner(text);
    if (!qn_beat_has_number(text))
        return refuse(lock, &other, false, error);
    if (qn_beat_goes_on(lock->path, text)) {
        *gone_out = access(lock->path, F_OK) != 0;
        return *gone_out ? QUERN_OK : refuse(lock, &other, true, error);
    }
    quern_status status = replace(lock, error);
    if (status != QUERN_OK)
        return status;
    qn_clock_sleep(QN_BEAT_SECONDS * QN_NS_PER_S); /* somebody else may have watched as long as we did */
    snprintf(lock->left_by, sizeof lock->left_by, "process %ld on %s", other.pid, other.host);
    if (qn_beat_is_owner(lock->beat))
        return QUERN_OK;
    close(lock->fd);
    forget_beat(lock);
    *gone_out = true; /* it is another's now, who will be looked at */
    return QUERN_OK;
}

/* The file was there: takes it over if its owner is dead. *gone_out: somebody removed it before it was locked. */
static quern_status take_over(taking *lock, int fd, bool *gone_out, qn_error *error)
{
    char text[QN_BEAT_TEXT_BYTES];
    qn_beat_read(lock->path, text);
    owner other = parse_owner(text);
    bool is_locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
    bool is_held = !is_locked && errno == EWOULDBLOCK;
    lock->was_left = true;
    if (is_held)
        return refuse(lock, &other, other.pid >= 0, error);
    if (!is_of_this_machine(&other) || !is_locked)
        return take_over_watched(lock, text, gone_out, error);
    *gone_out = !is_at(fd, lock->path);
    return *gone_out ? QUERN_OK : replace(lock, error);
}

/* A file that gets its name when it is locked and says whose it is: a job that is killed leaves none without an owner. False: it is not made,
 * since there is one (EEXIST), or since the file system cannot. */
static bool make_whole(taking *lock)
{
    char own[64];
    qn_error ignored = {0};
    int fd = open(lock->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, lock->kind->mode);
    if (fd < 0)
        return false;
    snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
    flock(fd, LOCK_EX | LOCK_NB);
    if (begin_beat(lock, fd, lock->path, &ignored) == QUERN_OK &&
        linkat(AT_FDCWD, own, AT_FDCWD, lock->path, AT_SYMLINK_FOLLOW) == 0)
        return true;
    forget_beat(lock);
    close(fd);
    return false;
}

/* The file is new and ours. */
static quern_status begin_lock(taking *lock, int fd, qn_error *error)
{
    flock(fd, LOCK_EX | LOCK_NB);
    quern_status status = begin_beat(lock, fd, lock->path, error);
    if (status == QUERN_OK)
        return QUERN_OK;
    unlink(lock->path);
    forget_beat(lock);
    close(fd);
    return status;
}

static quern_status open_lock(taking *lock, bool *gone_out, qn_error *error)
{
    if (make_whole(lock))
        return QUERN_OK;
    int fd = open(lock->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, lock->kind->mode);
    if (fd >= 0)
        return begin_lock(lock, fd, error);
    if (errno == EEXIST)
        fd = open(lock->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    *gone_out = fd < 0 && errno == ENOENT;
    if (*gone_out)
        return QUERN_OK;
    if (fd < 0)
        return qn_error_set(error, lock->kind->failed, errno, "cannot use %s", lock->path);
    quern_status status = take_over(lock, fd, gone_out, error);
    close(fd);
    return status;
}

/* A thread of its own, since rank 0 may be in a callback for minutes. */
static quern_status begin_heart(taking *lock, qn_error *error)
{
    int reason = qn_beat_start(lock->beat);
    if (reason == 0)
        return QUERN_OK;
    unlink(lock->path);
    close(lock->fd);
    forget_beat(lock);
    return qn_error_set(error, QUERN_ERROR_SYSTEM, reason, "cannot keep %s alive", lock->path);
}

quern_status qn_lock_file_take(qn_lock_file *lock, const char *directory, const qn_lock_kind *kind, bool *gone_out,
                               qn_error *error)
{
    taking ours = {.directory = directory, .kind = kind, .fd = -1};
    *gone_out = false;
    if (asprintf(&ours.path, "%s/%s", directory, kind->name) < 0)
        return no_memory(error);
    qn_beat_make_token(ours.token);
    quern_status status = open_lock(&ours, gone_out, error);
    if (status == QUERN_OK && !*gone_out)
        status = begin_heart(&ours, error);
    if (status != QUERN_OK || *gone_out) {
        free(ours.path);
        return status;
    }
    *lock =
        (qn_lock_file){.path = ours.path, .fd = ours.fd, .named = true, .was_left = ours.was_left, .beat = ours.beat};
    memcpy(lock->token, ours.token, sizeof lock->token);
    memcpy(lock->left_by, ours.left_by, sizeof lock->left_by);
    return QUERN_OK;
}

bool qn_lock_file_is_held(const qn_lock_file *lock)
{
    return lock->path && lock->named && qn_beat_is_owner(lock->beat);
}

void qn_lock_file_drop(qn_lock_file *lock)
{
    if (!lock->path)
        return;
    qn_beat_stop(lock->beat);
    if (qn_lock_file_is_held(lock))
        unlink(lock->path);
    close(lock->fd);
    free(lock->beat);
    free(lock->path);
    *lock = (qn_lock_file){0};
}
