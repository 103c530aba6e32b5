/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/disk_watch.h: whether a file system is nearly full, seen without waiting for it.
 *
 * Intuition. To ask a file system how full it is may take for ever, if it is on a network and its server is gone. Nobody who has something else to do
 * may ask, so a thread does that does nothing else. If it does not come back it is left behind, with what it needs.
 */
#ifndef QN_ENGINE_DISK_WATCH_H
#define QN_ENGINE_DISK_WATCH_H

#include <stdbool.h>

typedef struct qn_disk_watch qn_disk_watch;

/* Looks at the file system of a directory once a second, from now on. Copies. NULL: no memory, or no thread; calls below take that. */
qn_disk_watch *qn_disk_watch_start(const char *directory);
/* Where it looks; borrowed until the stop. */
const char *qn_disk_watch_get_directory(const qn_disk_watch *watch);
/* As it was last seen; false, too, where it could not be seen. Does not wait. */
bool qn_disk_watch_is_full(const qn_disk_watch *watch);
/* Waits for a look that is going on, but not for long. */
void qn_disk_watch_stop(qn_disk_watch *watch);

#endif
