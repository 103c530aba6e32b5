/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/base/beat.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/thread.h"

#define NUMBER_FORMAT "%020" PRIu64 "\n"
#define NUMBER_DIGITS 20

void qn_beat_make_token(char token[QN_BEAT_TOKEN_BYTES])
{
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        number = (uint64_t)time(NULL) << 32 | (uint64_t)getpid();
    snprintf(token, QN_BEAT_TOKEN_BYTES, "%016" PRIx64, number);
}

void qn_beat_get_host(char host[QN_BEAT_HOST_BYTES])
{
    struct utsname names = {.nodename = "?"};
    uname(&names);
    snprintf(host, QN_BEAT_HOST_BYTES, "%.*s", QN_BEAT_HOST_BYTES - 1, names.nodename);
}

static size_t read_text(int fd, char text[QN_BEAT_TEXT_BYTES])
{
    size_t bytes = 0;
    if (qn_file_read_at(fd, text, QN_BEAT_TEXT_BYTES - 1, 0, "", QUERN_ERROR_SYSTEM, &bytes, NULL) != QUERN_OK)
        bytes = 0;
    text[bytes] = 0;
    return bytes;
}

size_t qn_beat_read(const char *path, char text[QN_BEAT_TEXT_BYTES])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    text[0] = 0;
    if (fd < 0)
        return 0;
    size_t bytes = read_text(fd, text);
    close(fd);
    return bytes;
}

bool qn_beat_has_number(const char *text)
{
    const char *end = strchr(text, '\n');
    return end && strspn(end + 1, "0123456789") == NUMBER_DIGITS;
}

bool qn_beat_goes_on(const char *path, const char *before)
{
    char now[QN_BEAT_TEXT_BYTES];
    for (int beat = 0; beat < QN_BEATS_MISSED_MAX; beat++) {
        qn_clock_sleep(QN_BEAT_SECONDS * QN_NS_PER_S);
        qn_beat_read(path, now);
        if (strcmp(before, now) != 0)
            return true;
    }
    return false;
}

bool qn_beat_write(qn_beat *beat)
{
    char text[QN_BEAT_TEXT_BYTES];
    int bytes = snprintf(text, sizeof text, "%s" NUMBER_FORMAT, beat->owner, ++beat->number);
    return pwrite(beat->fd, text, (size_t)bytes, 0) == bytes && (beat->number > 1 || ftruncate(beat->fd, bytes) == 0);
}

typedef enum ownership {
    IS_OURS,
    IS_LOST,
    IS_UNKNOWN, /* the file system does not answer, say */
} ownership;

static ownership look(const qn_beat *beat)
{
    char text[QN_BEAT_TEXT_BYTES];
    struct stat ours, there;
    int fd = open(beat->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? IS_LOST : IS_UNKNOWN;
    bool is_seen = fstat(beat->fd, &ours) == 0 && fstat(fd, &there) == 0 && read_text(fd, text) > 0;
    bool is_ours = is_seen && ours.st_dev == there.st_dev && ours.st_ino == there.st_ino &&
                   strncmp(text, beat->owner, strlen(beat->owner)) == 0;
    close(fd);
    return is_ours ? IS_OURS : is_seen ? IS_LOST : IS_UNKNOWN;
}

bool qn_beat_is_owner(const qn_beat *beat)
{
    return look(beat) == IS_OURS;
}

static void *beat_on(void *user)
{
    qn_beat *beat = user;
    while (!qn_thread_pause(&beat->stop, QN_BEAT_SECONDS * QN_NS_PER_S)) {
        ownership found = look(beat);
        if (found == IS_LOST)
            atomic_store_explicit(&beat->is_lost, true, memory_order_relaxed);
        else if (found == IS_OURS)
            qn_beat_write(beat);
    }
    return NULL;
}

int qn_beat_start(qn_beat *beat)
{
    sem_init(&beat->stop, 0, 0);
    int reason = qn_thread_start(&beat->heart, beat_on, beat);
    beat->is_started = reason == 0;
    if (reason != 0)
        sem_destroy(&beat->stop);
    return reason;
}

void qn_beat_stop(qn_beat *beat)
{
    if (!beat->is_started)
        return;
    sem_post(&beat->stop);
    pthread_join(beat->heart, NULL);
    sem_destroy(&beat->stop);
    beat->is_started = false;
}
