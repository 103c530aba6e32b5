/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/base/transfers.h: reads and writes of files that go on while their owner works.
 *
 * Past the page cache, a read or a write takes as long as the disk does, and a thread that makes it does nothing else meanwhile. So a
 * thread of its own makes them, one after the other, and the owner waits for one of them only when it needs the result. That thread
 * sleeps nearly all the time, in the system or for the next transfer, and calls nothing but that: it takes no core from the
 * owner, on whose core it is.
 *
 *     owner   start(a) ─ work ─ start(b) ─ work ─ wait(a) ─ …
 *     thread      └─ a ────────────┴─ b ──────────
 *
 * Rejected: io_uring and POSIX aio. The first is switched off in many containers and on many clusters, so that there would have to be a
 * thread beside it anyhow; the second is that thread, with less to say.
 *
 * fork(): a child has the owner's memory without the thread, and what it waits for it makes itself. No transfer goes on
 * during a fork, since on older kernels a child takes the pages along into which the disk is writing.
 */
#ifndef QN_BASE_TRANSFERS_H
#define QN_BASE_TRANSFERS_H

#include "runtime/base/file.h"

/* Set what is in the first part, the rest zero. It, its data, and what `direct` points to are the thread's from start until the end
 * of wait or cancel. */
typedef struct qn_transfer {
    int fd;
    qn_direct *direct; /* or NULL; shared by transfers of one thread only */
    qn_way way;
    void *data;
    size_t bytes;
    uint64_t offset;
    /* After waiting: */
    size_t done_bytes;
    int reason;           /* 0, or the errno of what was not done */
    uint64_t duration_ns; /* of the transfer itself */
    /* private: */
    bool is_pending; /* for the owner */
    bool is_done;    /* by the thread */
    struct qn_transfer *next;
} qn_transfer;

typedef struct qn_transfers qn_transfers;

/* NULL: there is no memory, or may be no thread. All below take NULL then, and a transfer is made when it is started. One owner at a
 * time. */
qn_transfers *qn_transfers_create(void);
/* Nothing is pending. */
void qn_transfers_destroy(qn_transfers *transfers);

void qn_transfers_start(qn_transfers *transfers, qn_transfer *transfer);
/* Returns when it is made. At once for one that is not pending, or zeroed. */
void qn_transfers_wait(qn_transfers *transfers, qn_transfer *transfer);
/* The same, but one that has not begun is not made any more. */
void qn_transfers_cancel(qn_transfers *transfers, qn_transfer *transfer);

#endif
