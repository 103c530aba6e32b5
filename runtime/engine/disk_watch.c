/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/disk_watch.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "runtime/base/clock.h"
#include "runtime/base/thread.h"

#define PATIENCE_NS (QN_NS_PER_S / 2) /* with a look, at the end */

struct qn_disk_watch {
    pthread_t thread;
    sem_t wake; /* posted: the end */
    uint64_t every_ns;
    atomic_uint_fast64_t bytes, free_bytes; /* a pair that is torn is put right by the next look */
    atomic_int owner_count;                 /* the thread is one, who started it the other: the last one frees it */
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
        if (statvfs(watch->directory, &disk) != 0)
            disk = (struct statvfs){0};
        atomic_store(&watch->free_bytes, (uint64_t)disk.f_bavail * disk.f_frsize);
        atomic_store(&watch->bytes, (uint64_t)disk.f_blocks * disk.f_frsize);
    } while (!qn_thread_pause(&watch->wake, watch->every_ns));
    leave(watch);
    return NULL;
}

qn_disk_watch *qn_disk_watch_start(const char *directory, uint64_t every_ns)
{
    size_t bytes = strlen(directory) + 1;
    qn_disk_watch *watch = calloc(1, sizeof *watch + bytes);
    if (!watch)
        return NULL;
    memcpy(watch->directory, directory, bytes);
    watch->every_ns = every_ns;
    atomic_store(&watch->owner_count, 2);
    sem_init(&watch->wake, 0, 0);
    if (qn_thread_start(&watch->thread, look_on, watch) == 0)
        return watch;
    sem_destroy(&watch->wake);
    free(watch);
    return NULL;
}

qn_disk_view qn_disk_watch_get(const qn_disk_watch *watch)
{
    if (!watch)
        return (qn_disk_view){0};
    return (qn_disk_view){.bytes = atomic_load(&watch->bytes), .free_bytes = atomic_load(&watch->free_bytes)};
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
