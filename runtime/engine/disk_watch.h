/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/disk_watch.h: whether a file system is nearly full, seen without waiting for it.
 *
 * Intuition. To ask a file system how full it is may take for ever, if it is on a network and its server is gone. Nobody who has something else to do
 * may ask, so a thread does that does nothing else. If it does not come back it is left behind, with what it needs.
 */
#ifndef QN_ENGINE_DISK_WATCH_H
#define QN_ENGINE_DISK_WATCH_H

#include <stdint.h>

#define QN_DISK_NEAR 0.95                          /* so full is nearly full, while a job runs and at its end */
#define QN_DISK_OF   "the scratch file system of " /* as what is told of it begins, before the name of the host */

typedef struct qn_disk_watch qn_disk_watch;

/* As it was last seen; all 0 where it could not be seen. */
typedef struct qn_disk_view {
    uint64_t bytes, free_bytes;
} qn_disk_view;

/* Looks at the file system of a directory every so often, from now on. Copies. NULL: no memory, or no thread; calls below take that. */
qn_disk_watch *qn_disk_watch_start(const char *directory, uint64_t every_ns);
/* Does not wait. */
qn_disk_view qn_disk_watch_get(const qn_disk_watch *watch);
/* Waits for a look that is going on, but not for long. */
void qn_disk_watch_stop(qn_disk_watch *watch);

#endif
