/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/disk_watch.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "runtime/base/clock.h"
#include "runtime/base/thread.h"

#define EVERY_NS    QN_NS_PER_S
#define PATIENCE_NS (QN_NS_PER_S / 2) /* with a look, at the end */
#define PART_LEFT   0.05              /* of a file system that is nearly full */

struct qn_disk_watch {
    pthread_t thread;
    sem_t wake; /* posted: the end */
    atomic_bool is_full;
    atomic_int owner_count; /* the thread is one, who started it the other: the last one frees it */
    char directory[];
};

static void leave(qn_disk_watch *watch)
{
    if (atomic_fetch_sub(&watch->owner_count, 1) > 1)
        return;
    sem_destroy(&watch->wake);
    free(watch);
}

static void *look_on(void *user)
{
    qn_disk_watch *watch = user;
    struct statvfs disk;
    do {
        bool is_seen = statvfs(watch->directory, &disk) == 0;
        atomic_store(&watch->is_full, is_seen && (double)disk.f_bavail < PART_LEFT * (double)disk.f_blocks);
    } while (!qn_thread_pause(&watch->wake, EVERY_NS));
    leave(watch);
    return NULL;
}

qn_disk_watch *qn_disk_watch_start(const char *directory)
{
    size_t bytes = strlen(directory) + 1;
    qn_disk_watch *watch = calloc(1, sizeof *watch + bytes);
    if (!watch)
        return NULL;
    memcpy(watch->directory, directory, bytes);
    atomic_store(&watch->owner_count, 2);
    sem_init(&watch->wake, 0, 0);
    if (qn_thread_start(&watch->thread, look_on, watch) == 0)
        return watch;
    sem_destroy(&watch->wake);
    free(watch);
    return NULL;
}

const char *qn_disk_watch_get_directory(const qn_disk_watch *watch)
{
    return watch ? watch->directory : "";
}

bool qn_disk_watch_is_full(const qn_disk_watch *watch)
{
    return watch && atomic_load(&watch->is_full);
}

void qn_disk_watch_stop(qn_disk_watch *watch)
{
    if (!watch)
        return;
    uint64_t until_ns = qn_clock_ns() + PATIENCE_NS;
    struct timespec until = {(time_t)(until_ns / QN_NS_PER_S), (long)(until_ns % QN_NS_PER_S)};
    sem_post(&watch->wake);
    if (pthread_clockjoin_np(watch->thread, NULL, CLOCK_MONOTONIC, &until) != 0)
        pthread_detach(watch->thread);
    leave(watch);
}
