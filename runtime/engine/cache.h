/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/cache.h: results that outlive the run that made them, and their memory.
 *
 * What is kept takes memory that later runs would have. So before each run what is kept is brought below a bound that leaves at least
 * half to that run: each of the kept results to an equal share, of which the small ones leave to the large what they do not
 * need. What is above its share goes to scratch, and stays there.
 */
#ifndef QN_ENGINE_CACHE_H
#define QN_ENGINE_CACHE_H

#include "runtime/plan/explain.h"
#include "runtime/shuffle/result.h"

typedef struct qn_cached {
    qn_node *node;
    qn_result *result;  /* owned; retired */
    bool is_sized;      /* the next one is known */
    uint64_t all_bytes; /* what it took on all ranks when it was kept, in memory and in scratch */
    struct qn_cached *next;
} qn_cached;

typedef struct qn_cache {
    qn_cached *first;
} qn_cache;

void qn_cache_fini(qn_cache *cache); /* takes a zeroed one */

/* Takes a result that a run made for the node, which is then made. QUERN_ERROR_NO_MEMORY, QUERN_ERROR_SCRATCH: nothing
 * is taken. */
quern_status qn_cache_add(qn_cache *cache, qn_node *node, qn_result *result, qn_error *error);
/* The result of a node, borrowed; NULL if it is not here. */
qn_result *qn_cache_find(const qn_cache *cache, const qn_node *node);
/* Frees it. Takes one that is not here. */
void qn_cache_forget(qn_cache *cache, const qn_node *node);

/* Collective, after results were added: learns what those of all ranks take. The same nodes on all ranks. */
quern_status qn_cache_learn_sizes(qn_cache *cache, qn_comm *comm, qn_error *error);
/* Notes the sizes of the kept results of the account's stages. */
void qn_cache_tell_sizes(const qn_cache *cache, qn_account *account);

/* Frees all of them. */
void qn_cache_forget_all(qn_cache *cache);

uint64_t qn_cache_get_memory_bytes(const qn_cache *cache);
/* Spills until all take at most bytes_max together, as far as that goes. QUERN_ERROR_SCRATCH, QUERN_ERROR_NO_MEMORY. */
quern_status qn_cache_shrink(qn_cache *cache, uint64_t bytes_max, qn_error *error);

#endif
