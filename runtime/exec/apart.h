/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/exec/apart.h: chains whose operators run in a process of their own, so that a callback that crashes or never returns ends that
 * process and not the rank.
 *
 *     rank:   source ──► load of blocks ──┐           ┌──► qn_chain_deliver() ──► the stage's end
 *     child:                              └► chain ───┘ slots of records
 *
 * The child is forked when the first block comes, so it has what the chains are made of: the graph, closures, what is broadcast, lookups. Blocks
 * are copied into memory that both have, several at a time (a load), since handing over costs more than a small block. What the last
 * operator emits is written where the rank reads it (a slot), and a slot with its records, or the news that a block went through, is passed
 * on in order. So the rank delivers what a chain of its own would have delivered, in the same order, and counts it the same way: all that
 * chain.h says of failed blocks, and hold.h of held ones, is true of these chains too. Operators' figures, counters and places of a
 * block come with the news that it went through, and not before.
 *
 * If the child ends, or is ended because nothing moved in it for too long, what it passed on before is delivered; then the block fails as if
 * the callback had returned an error. The next block has the next child. Nothing that the child writes is believed: lengths and
 * places are looked at before they are used.
 *
 * Turns (chain.h) are on what a rank has already, in memory and in files of its own. That the child has, too, as it was at the fork, so it reads
 * it itself, and takes one turn after the other; the rank gets what they give:
 *
 *     child:  result ──► turns of the chain ──► slots of records ──► rank: qn_chain_deliver()
 *
 * Now and then it says how many turns are through, with all that they gave. If it ends, the next one begins behind these, and what was delivered
 * since is dropped.
 *
 * Rejected: the child reads the input itself, too, which saves a copy, but it would need the readers' libraries in a forked process, and the
 * rank could not say any more on which record a callback failed.
 */
#ifndef QN_EXEC_APART_H
#define QN_EXEC_APART_H

#include "runtime/exec/chain.h"

typedef struct qn_apart qn_apart;

typedef struct qn_apart_config {
    struct qn_chain *const *chains; /* [chain_count]; those without callbacks are left alone; copied */
    uint32_t chain_count;
    uint64_t timeout_ns; /* of a callback that neither comes back nor emits; 0: none */
    bool tells_crash;    /* the child speaks its last words */
    void *user;
    void (*before_fork)(void *user); /* in the rank: no other thread may hold what the child needs */
    void (*after_fork)(void *user);  /* in the rank */
    bool (*look_around)(void *user); /* in the rank, now and then while it waits; false: the job failed elsewhere */
    /* In the child: it works on blocks of that chain for that attempt of that task; or on turns. */
    void (*note)(void *user, uint32_t chain, uint32_t task, uint32_t attempt);
    /* In the child, in place of blocks, and of one chain only: reads what turns are on, and takes them, from turn `first` on. NULL: blocks. */
    quern_status (*take_turns)(void *user, uint64_t first, qn_error *error);
} qn_apart_config;

/* Whether a chain can be run so, and is worth it. */
bool qn_apart_can_run(const qn_chain *chain);
/* From now on the chains run apart. QUERN_ERROR_NO_MEMORY. */
quern_status qn_apart_create(qn_apart **apart_out, const qn_apart_config *config, qn_error *error);
/* Ends the child and waits until it has ended; the chains run here again. Takes NULL. */
void qn_apart_destroy(qn_apart *apart);

#define QN_APART_NO_TASK UINT32_MAX

/* For last words: what the blocks are of that come next; until then they are of no task. */
void qn_apart_label(qn_apart *apart, uint32_t task, uint32_t attempt);

/* What qn_chain_run() does with such a chain. */
quern_status qn_apart_run(qn_chain *chain, const qn_batch *batch, uint64_t skip, qn_error *error);

/* Many blocks at once. Begins a load. */
void qn_apart_begin(qn_apart *apart, const qn_chain *chain);
/* Copies a block into it. QUERN_ERROR_NO_MEMORY. */
quern_status qn_apart_put(qn_apart *apart, const qn_batch *batch, qn_error *error);
/* Whether a block fits in; the first of a load always does. */
bool qn_apart_fits(const qn_apart *apart, const qn_batch *batch);
/* It should be run now. */
bool qn_apart_is_full(const qn_apart *apart);
/* Runs its blocks. skip: of the first one, as in qn_chain_run(). *done_out: how many went through; after a failure chain->delivered and the rest is of
 * the one behind them. */
quern_status qn_apart_run_load(qn_apart *apart, qn_chain *chain, uint64_t skip, uint32_t *done_out, qn_error *error);

/* The record of the source's block on which the child says that it works; anything, if it is damaged. By any thread. */
uint32_t qn_apart_get_record(const qn_apart *apart);

#define QN_APART_BLOCKS_MAX 64 /* of a load */

#define QN_APART_KEY_BYTES 256

/* What the child shows of its turns. It may be anything, as all that it writes. */
typedef struct qn_apart_turn_view {
    bool is_in_turn;                 /* it works on one, */
    uint64_t turn;                   /* this, */
    uint64_t key_bytes;              /* whose key is so long, */
    uint8_t key[QN_APART_KEY_BYTES]; /* and begins so */
    uint64_t attempts, attempts_failed;
    uint64_t record_count, bytes, beside_count; /* its reader's */
} qn_apart_turn_view;

/* In the child, around each turn that it takes. */
void qn_apart_begin_turn(qn_apart *apart, uint64_t turn, quern_span key);
quern_status qn_apart_end_turn(qn_apart *apart, uint64_t turn);

/* Has the child take all turns from *through on; skip: of what they give. *through: all before it are through; after a failure chain->delivered is of what
 * came since. Where chain->ended_apart, the view has the turn. */
quern_status qn_apart_run_turns(qn_apart *apart, qn_chain *chain, uint64_t skip, uint64_t *through, qn_error *error);
/* Of the child, also when it has ended. */
volatile qn_apart_turn_view *qn_apart_get_view(qn_apart *apart);

#endif
