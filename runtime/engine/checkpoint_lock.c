/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/checkpoint_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/boot_id.h"
#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/thread.h"

#define HOST_BYTES  64
#define BEAT_FORMAT "%020" PRIu64 "\n"
#define BEAT_BYTES  21

/* "boot-id token pid host\n": the first is the machine's since it was started, the token this job's. */
static void describe_self(char text[QN_LOCK_TEXT_BYTES])
{
    char boot[QN_BOOT_ID_BYTES + 1];
    uint64_t token = 0;
    struct utsname names = {.nodename = "?"};
    bool is_known = qn_boot_id_read(boot);
    if (getrandom(&token, sizeof token, 0) != (ssize_t)sizeof token)
        token = (uint64_t)time(NULL) << 32 | (uint64_t)getpid();
    uname(&names);
    snprintf(text, QN_LOCK_TEXT_BYTES, "%s %016" PRIx64 " %ld %.*s\n", is_known ? boot : "-", token, (long)getpid(),
             HOST_BYTES, names.nodename);
}

static size_t read_text(int fd, char text[QN_LOCK_TEXT_BYTES + BEAT_BYTES])
{
    size_t bytes = 0;
    if (qn_file_read_at(fd, text, QN_LOCK_TEXT_BYTES + BEAT_BYTES - 1, 0, "", QUERN_ERROR_CHECKPOINT, &bytes, NULL) !=
        QUERN_OK)
        bytes = 0;
    text[bytes] = 0;
    return bytes;
}

static bool is_on_this_machine(const char *text)
{
    char boot[QN_BOOT_ID_BYTES + 1];
    return qn_boot_id_read(boot) && strncmp(text, boot, QN_BOOT_ID_BYTES) == 0;
}

/* Whether what the file says changes while it is watched. */
static bool beats(int fd)
{
    char before[QN_LOCK_TEXT_BYTES + BEAT_BYTES], now[QN_LOCK_TEXT_BYTES + BEAT_BYTES];
    size_t bytes = read_text(fd, before);
    if (bytes == 0 || is_on_this_machine(before))
        return false; /* it was not locked: its process has ended */
    for (int beat = 0; beat < QN_LOCK_BEATS_MAX; beat++) {
        qn_clock_sleep(QN_LOCK_BEAT_SECONDS * QN_NS_PER_S);
        if (read_text(fd, now) != bytes || memcmp(before, now, bytes) != 0)
            return true;
    }
    return false;
}

static quern_status in_use(int fd, const char *path, qn_error *error)
{
    char text[QN_LOCK_TEXT_BYTES + BEAT_BYTES], host[HOST_BYTES + 1] = "?";
    long pid = 0;
    read_text(fd, text);
    sscanf(text, "%*s %*s %ld %64s", &pid, host);
    return qn_error_set(error, QUERN_ERROR_CHECKPOINT, 0,
                        "a job that is running has the checkpoint of %s (process %ld on %s)", path, pid, host);
}

/* The owner's line in the first beat, then only the beat: a reader sees one owner or the other. */
static bool write_beat(qn_checkpoint_lock *lock)
{
    char text[QN_LOCK_TEXT_BYTES + BEAT_BYTES];
    int bytes = snprintf(text, sizeof text, "%s" BEAT_FORMAT, lock->owner, ++lock->beat);
    return pwrite(lock->fd, text, (size_t)bytes, 0) == bytes && (lock->beat > 1 || ftruncate(lock->fd, bytes) == 0);
}

static void *beat_on(void *user)
{
    qn_checkpoint_lock *lock = user;
    while (!qn_thread_pause(&lock->stop, QN_LOCK_BEAT_SECONDS * QN_NS_PER_S))
        if (qn_checkpoint_lock_is_held(lock))
            write_beat(lock);
    return NULL;
}

bool qn_checkpoint_lock_is_held(const qn_checkpoint_lock *lock)
{
    char text[QN_LOCK_TEXT_BYTES + BEAT_BYTES];
    struct stat ours, there;
    bool is_there = fstat(lock->fd, &ours) == 0 && stat(lock->path, &there) == 0 && ours.st_dev == there.st_dev &&
                    ours.st_ino == there.st_ino;
    return is_there && read_text(lock->fd, text) > 0 && strncmp(text, lock->owner, strlen(lock->owner)) == 0;
}

/* A thread of its own, since rank 0 may be in a callback for minutes. */
static quern_status start_heart(qn_checkpoint_lock *lock, qn_error *error)
{
    sem_init(&lock->stop, 0, 0);
    int reason = qn_thread_start(&lock->heart, beat_on, lock);
    return reason == 0 ? QUERN_OK : qn_error_set(error, QUERN_ERROR_SYSTEM, reason, "cannot keep %s alive", lock->path);
}

static quern_status own(qn_checkpoint_lock *lock, qn_error *error)
{
    char before[QN_LOCK_TEXT_BYTES + BEAT_BYTES];
    bool is_foreign = read_text(lock->fd, before) > 0 && !is_on_this_machine(before);
    describe_self(lock->owner);
    if (!write_beat(lock))
        return qn_error_set(error, QUERN_ERROR_CHECKPOINT, errno, "cannot write %s", lock->path);
    if (is_foreign)
        qn_clock_sleep(QN_LOCK_BEAT_SECONDS * QN_NS_PER_S); /* somebody else may have watched as long as we did */
    if (!qn_checkpoint_lock_is_held(lock))
        return in_use(lock->fd, lock->path, error);
    return start_heart(lock, error);
}

quern_status qn_checkpoint_lock_take(qn_checkpoint_lock *lock, const char *path, qn_error *error)
{
    *lock = (qn_checkpoint_lock){.fd = -1};
    char *copy = strdup(path);
    if (!copy)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the lock of a checkpoint");
    lock->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock->fd < 0) {
        qn_error_set(error, QUERN_ERROR_CHECKPOINT, errno, "cannot open %s", path);
        free(copy);
        return QUERN_ERROR_CHECKPOINT;
    }
    lock->path = copy;
    bool is_locked = flock(lock->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    quern_status status = is_locked || beats(lock->fd) ? in_use(lock->fd, path, error) : own(lock, error);
    if (status == QUERN_OK)
        return QUERN_OK;
    close(lock->fd);
    free(lock->path);
    *lock = (qn_checkpoint_lock){.fd = -1};
    return status;
}

void qn_checkpoint_lock_drop(qn_checkpoint_lock *lock)
{
    if (!lock->path)
        return;
    sem_post(&lock->stop);
    pthread_join(lock->heart, NULL);
    sem_destroy(&lock->stop);
    if (qn_checkpoint_lock_is_held(lock))
        unlink(lock->path);
    close(lock->fd);
    free(lock->path);
    *lock = (qn_checkpoint_lock){.fd = -1};
}
