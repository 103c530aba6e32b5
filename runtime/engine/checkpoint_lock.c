/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/checkpoint_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "runtime/base/boot_id.h"
#include "runtime/base/clock.h"

/* "boot-id token pid host\n": the first is the machine's since it was started, the token this job's. */
static void describe_self(char text[QN_BEAT_OWNER_BYTES])
{
    char boot[QN_BOOT_ID_BYTES + 1], token[QN_BEAT_TOKEN_BYTES], host[QN_BEAT_HOST_BYTES];
    bool is_known = qn_boot_id_read(boot);
    qn_beat_make_token(token);
    qn_beat_get_host(host);
    snprintf(text, QN_BEAT_OWNER_BYTES, "%s %s %ld %s\n", is_known ? boot : "-", token, (long)getpid(), host);
}

static bool is_on_this_machine(const char *text)
{
    char boot[QN_BOOT_ID_BYTES + 1];
    return qn_boot_id_read(boot) && strncmp(text, boot, QN_BOOT_ID_BYTES) == 0;
}

/* Whether what the file says changes while it is watched. */
static bool beats(const char *path)
{
    char before[QN_BEAT_TEXT_BYTES];
    if (qn_beat_read(path, before) == 0 || is_on_this_machine(before))
        return false; /* it was not locked: its process has ended */
    return qn_beat_goes_on(path, before);
}

static quern_status in_use(const char *path, qn_error *error)
{
    char text[QN_BEAT_TEXT_BYTES], host[QN_BEAT_HOST_BYTES] = "?";
    long pid = 0;
    qn_beat_read(path, text);
    sscanf(text, "%*s %*s %ld %64s", &pid, host);
    return qn_error_set(error, QUERN_ERROR_CHECKPOINT, 0,
                        "a job that is running has the checkpoint of %s (process %ld on %s)", path, pid, host);
}

bool qn_checkpoint_lock_is_held(const qn_checkpoint_lock *lock)
{
    return qn_beat_is_owner(&lock->beat);
}

static quern_status own(qn_checkpoint_lock *lock, qn_error *error)
{
    char before[QN_BEAT_TEXT_BYTES];
    bool is_foreign = qn_beat_read(lock->path, before) > 0 && !is_on_this_machine(before);
    lock->beat = (qn_beat){.path = lock->path, .fd = lock->fd};
    describe_self(lock->beat.owner);
    if (!qn_beat_write(&lock->beat))
        return qn_error_set(error, QUERN_ERROR_CHECKPOINT, errno, "cannot write %s", lock->path);
    if (is_foreign)
        qn_clock_sleep(QN_BEAT_SECONDS * QN_NS_PER_S); /* somebody else may have watched as long as we did */
    if (!qn_checkpoint_lock_is_held(lock))
        return in_use(lock->path, error);
    int reason = qn_beat_start(&lock->beat);
    return reason == 0 ? QUERN_OK : qn_error_set(error, QUERN_ERROR_SYSTEM, reason, "cannot keep %s alive", lock->path);
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
    quern_status status = is_locked || beats(path) ? in_use(path, error) : own(lock, error);
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
    qn_beat_stop(&lock->beat);
    if (qn_checkpoint_lock_is_held(lock))
        unlink(lock->path);
    close(lock->fd);
    free(lock->path);
    *lock = (qn_checkpoint_lock){.fd = -1};
}
