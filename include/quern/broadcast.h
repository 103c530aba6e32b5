/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern/broadcast.h: bytes that all ranks have, in one copy a node: tables to look things up in, models, dictionaries.
 *
 *     static const double weights[3] = {0.5, 0.25, 0.25};
 *     quern_shared *model = NULL;
 *     quern_status status = quern_broadcast(context, weights, sizeof weights, &model);
 *     const double *same = quern_shared_data(model); // on every rank, and in callbacks that have model as their user
 *     if (status == QUERN_OK && same[0] == 0.5)
 *         status = quern_run(context);
 *     quern_shared_free(model);
 *
 * What it costs. The bytes go to each node once, and the ranks of a node read the same memory. They count against the node's
 * memory once: each rank's part of it becomes smaller by its part of them, until they are freed. Tools that
 * show the memory of processes may show them for each rank.
 *
 * Limits. Ranks that may not open each other's memory (in containers of their own on one machine, say) get a copy each, as they do with the option
 * shared-memory=off; see quern_shared_is_private(). To join with a small dataset there is quern_join() (quern/operators.h).
 */
#ifndef QUERN_BROADCAST_H
#define QUERN_BROADCAST_H

#include <quern/dataset.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quern_shared quern_shared;

/* Gives every rank the bytes of rank 0. Collective; the same status on all ranks; not lazy. data, bytes: borrowed during the call, of rank 0;
 * of other ranks they have no meaning. Any number of bytes, 0 too (data may then be NULL). Gives *shared_out: until quern_shared_free() or
 * the end of the context. QUERN_ERROR_BUDGET: with it, more than half of the memory would be taken by what is broadcast: raise
 * memory, or free what is not needed any more. QUERN_ERROR_INVALID_ARGUMENT: NULL, or called inside a callback. QUERN_ERROR_NO_MEMORY,
 * QUERN_ERROR_MPI. NULL instead of a context gives the status of the quern_context_create() that failed. Since 0.1. */
QUERN_API quern_status quern_broadcast(quern_context *context, const void *data, size_t bytes,
                                       quern_shared **shared_out);

/* The bytes, at the begin of a page. They can only be read: to write to them ends the process. Local, any thread, inside
 * callbacks too; cannot fail. Borrowed until it is freed. Since 0.1. */
QUERN_API const void *quern_shared_data(const quern_shared *shared);

/* How many bytes. Local, any thread; cannot fail. Since 0.1. */
QUERN_API size_t quern_shared_bytes(const quern_shared *shared);

/* 1 if this rank has a copy of its own though there are others on its node, else 0. Local; cannot fail. Since 0.1. */
QUERN_API int quern_shared_is_private(const quern_shared *shared);

/* Gives it back, at once. Local; the same on all ranks; not inside a callback, where it does nothing. NULL: nothing. Since 0.1. */
QUERN_API void quern_shared_free(quern_shared *shared);

#ifdef __cplusplus
}
#endif
#endif
