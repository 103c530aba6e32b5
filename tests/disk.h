/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/disk.h: a disk that counts, waits or fails when a test wants it to. For programs linked with pread64 and pwrite64 (what pread
 * and pwrite become) wrapped; included by one source of each.
 */
#ifndef TESTS_DISK_H
#define TESTS_DISK_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

typedef struct disk_way {
    uint64_t calls, bytes;
    int calls_left; /* until one fails, and all behind it; negative: none does */
    int reason;     /* its errno */
} disk_way;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_held;
    unsigned waiting; /* calls that have begun while it was held */
    unsigned under_way;
    disk_way reads, writes;
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .changed = PTHREAD_COND_INITIALIZER,
          .reads.calls_left = -1,
          .writes.calls_left = -1};

ssize_t __real_pread64(int fd, void *data, size_t bytes, off_t offset);
ssize_t __wrap_pread64(int fd, void *data, size_t bytes, off_t offset);
ssize_t __real_pwrite64(int fd, const void *data, size_t bytes, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t bytes, off_t offset);

/* Returns the errno with which a call fails. */
static int disk_begin(disk_way *way)
{
    pthread_mutex_lock(&disk.lock);
    way->calls++;
    disk.under_way++;
    disk.waiting++;
    pthread_cond_broadcast(&disk.changed);
    while (disk.is_held)
        pthread_cond_wait(&disk.changed, &disk.lock);
    disk.waiting--;
    int reason = way->calls_left == 0 ? way->reason : 0;
    way->calls_left -= way->calls_left > 0;
    pthread_mutex_unlock(&disk.lock);
    return reason;
}

static ssize_t disk_end(disk_way *way, ssize_t moved)
{
    int reason = errno;
    pthread_mutex_lock(&disk.lock);
    way->bytes += moved > 0 ? (uint64_t)moved : 0;
    disk.under_way--;
    pthread_mutex_unlock(&disk.lock);
    errno = reason;
    return moved;
}

ssize_t __wrap_pread64(int fd, void *data, size_t bytes, off_t offset)
{
    errno = disk_begin(&disk.reads);
    return disk_end(&disk.reads, errno ? -1 : __real_pread64(fd, data, bytes, offset));
}

ssize_t __wrap_pwrite64(int fd, const void *data, size_t bytes, off_t offset)
{
    errno = disk_begin(&disk.writes);
    return disk_end(&disk.writes, errno ? -1 : __real_pwrite64(fd, data, bytes, offset));
}

/* Holds all calls that begin, or lets them go. */
static inline void disk_hold(bool is_held)
{
    pthread_mutex_lock(&disk.lock);
    disk.is_held = is_held;
    pthread_cond_broadcast(&disk.changed);
    pthread_mutex_unlock(&disk.lock);
}

/* Waits until a call is held. */
static inline void disk_await_call(void)
{
    pthread_mutex_lock(&disk.lock);
    while (disk.waiting == 0)
        pthread_cond_wait(&disk.changed, &disk.lock);
    pthread_mutex_unlock(&disk.lock);
}

static inline void *disk_release_later(void *user)
{
    (void)user;
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    disk_hold(false);
    return NULL;
}

/* From now on calls of a way fail, but for the next so many. Negative: none does. */
static inline void disk_fail(disk_way *way, int calls_left, int reason)
{
    pthread_mutex_lock(&disk.lock);
    way->calls_left = calls_left;
    way->reason = reason;
    pthread_mutex_unlock(&disk.lock);
}

static inline void disk_reset(void)
{
    disk_hold(false);
    disk.reads = disk.writes = (disk_way){.calls_left = -1};
}

#endif
