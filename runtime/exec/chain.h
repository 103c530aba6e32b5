/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/exec/chain.h: a leg's operators run over blocks of records.
 *
 * A block goes through the first operator; what that emits is collected in blocks that go through the next one, and so on, depth
 * first, until they arrive at the chain's end (a shuffle or an output). Filters pass references on; emitted records are
 * copied once, into the emitter's buffer.
 *
 * Exactly once. The unit of work is the block of the source. If a callback fails, the records that already arrived at the end
 * from this block stay there, and their number is kept (delivered): whoever takes the block up again drops that many from
 * the front of what arrives, since equal callbacks emit equal records in equal order. Counters and the operators' record counts of a
 * failed block are taken back.
 *
 * Samples. Whether a record is kept is decided by a hash of the seed, of the identity of the source record that it came from, and of its
 * number among those that came from it to this operator: nothing that depends on where the input was cut. To know what came
 * from which source record, block-wise operators before a sample are handed their records one by one.
 */
#ifndef QN_EXEC_CHAIN_H
#define QN_EXEC_CHAIN_H

#include "runtime/data/batch.h"
#include "runtime/data/running_sum.h"
#include "runtime/plan/stages.h"

/* Takes records at the end of the chain. */
typedef quern_status (*qn_chain_end_fn)(void *user, const qn_batch *batch, qn_error *error);

typedef struct qn_edge_stats {
    uint64_t records_in, records_out, records_dropped;
} qn_edge_stats;

/* A counter of the user's on this rank. */
struct quern_counter {
    const char *name;
    int64_t pending;   /* of the block, or the turn, that is being worked on */
    int64_t set_aside; /* the same, while callbacks are called only for comparison */
    int64_t aside;     /* of a turn, while what it emitted is on its way through another chain */
    int64_t sum;       /* of this rank in this run */
    int64_t marked;    /* the sum at the last mark */
    int64_t total;     /* of all ranks after the last run */
    struct quern_counter *next;
};

static inline size_t qn_counter_count(const struct quern_counter *counters)
{
    size_t count = 0;
    for (; counters; counters = counters->next)
        count++;
    return count;
}

/* What comes before a part of the input: what operators that need places begin with. */
typedef struct qn_place {
    uint64_t record_count;
    uint64_t record_count_all; /* of all parts */
    qn_running_sum sum;        /* of the values, if they are numbers */
} qn_place;

/* Where a chain is in its work, for who looks at it from outside. */
typedef struct qn_chain_shown {
    volatile uint32_t running; /* 1 + the operator whose callbacks are being called; 0: none */
    volatile uint32_t
        record; /* of the source's block, on which it works now, if it takes records one by one; 0 when a block begins */
    volatile uint64_t handed; /* batches that came to the end */
} qn_chain_shown;

struct qn_apart;
struct qn_operator;
struct qn_reduction_check;
struct qn_order_check;
struct qn_block_cut;
struct qn_hold;

typedef struct qn_chain {
    struct qn_operator *operators; /* [operator_count] */
    uint32_t operator_count;
    qn_chain_end_fn end;
    void *end_user;
    struct quern_counter *counters; /* borrowed */
    uint64_t record_bytes_max;      /* of an emitted record; set by the owner */
    uint32_t sampled_count;         /* operators up to the last sample, and with it; 0: there is none */
    const uint64_t *identity;       /* of the source records of the block */
    qn_error *error;                /* of the block that is being worked on */
    uint64_t delivered;             /* records of this block that reached the end, dropped ones included */
    uint64_t skip;                  /* of those, how many to drop */
    uint64_t end_records;           /* handed to the end in all */
    uint64_t marked_end_records;
    bool checks_end;                            /* check mode: one of the next two is there */
    struct qn_reduction_check *reduction_check; /* in a stage that ends in a reduction; else NULL */
    struct qn_order_check *order_check; /* in one that ends in an order by a comparison of the user's; else NULL */
    struct qn_block_cut *block_cut;     /* check mode; else NULL */
    struct qn_apart *apart;             /* operators run in another process: see apart.h; else NULL */
    uint32_t apart_number;              /* of the chain there */
    volatile uint64_t passed_apart;     /* records of blocks that went through there, and are not counted */
    bool ended_apart;                   /* the callback's failure was the end of that process */
    qn_chain_shown own_shown, *shown; /* the second: where it is; the first, unless the chain runs in another process */
    struct qn_hold *hold;             /* where failing records are left out: see hold.h; else NULL */
    uint32_t failed_origin;           /* source record on which a callback failed, or broke its promise */
    bool end_failed;      /* the chain's end did: what it took and what not is unknown, so there is no second attempt */
    bool callback_failed; /* the failure is a callback's: the block can be tried again */
    const struct qn_operator *volatile running; /* whose callbacks are being called; NULL: none */
    volatile bool is_at_end; /* records are being handed to the end: a reduction's callback may run */
    bool has_stretches;      /* some operator gives at the end: stretch.h */
    bool has_turns;          /* and no blocks */
    bool checks_turns;       /* check mode */
    uint64_t turn_attempts, turn_attempts_failed; /* of all turns */
} qn_chain;

/* Prepares the operators of a leg (borrowed until fini). */
quern_status qn_chain_init(qn_chain *chain, const qn_node *const *operators, uint32_t operator_count,
                           struct quern_counter *counters, qn_chain_end_fn end, void *end_user, qn_error *error);
void qn_chain_fini(qn_chain *chain); /* takes a zeroed one */

/* Which of the ways that lead to a sample this chain is: records of two ways are decided independently. For qn_stage_way_of(). */
void qn_chain_set_way(qn_chain *chain, uint32_t index, uint32_t way);

struct qn_lookup;

/* The table that operator `index`, a join, looks its records up in (borrowed until fini), and which side it is: QN_BUILD_…. */
void qn_chain_set_lookup(qn_chain *chain, uint32_t index, const struct qn_lookup *lookup, int build);

/* For a crash: the name of the operator that is running, or NULL, and whether the record of the source's block is known on which it does. */
const char *qn_chain_running_name(const qn_chain *chain);
bool qn_chain_running_record(const qn_chain *chain, uint32_t *record_out);

/* Whether blocks need identities. */
static inline bool qn_chain_samples(const qn_chain *chain)
{
    return chain->sampled_count > 0;
}

/* From now on looks whether the callbacks of the chain keep what they promise, and those of the result in which it ends (a reduction's; an
 * order's; NULL: there are none): QUERN_ERROR_CHECK from qn_chain_run() and qn_chain_turn() names the operator that does not. Blocks are cut
 * in two on the way, at a place that their bytes decide. name: of the result, as the user knows it. Both are borrowed until fini. After a
 * failure of this call the chain is to be finished. */
quern_status qn_chain_check(qn_chain *chain, const qn_node *result, const char *name, qn_error *error);

/* Whether failed_origin is the record on which qn_chain_run() failed. */
static inline bool qn_chain_knows_record(const qn_chain *chain, const qn_error *failure)
{
    return chain->callback_failed || failure->status == QUERN_ERROR_CHECK;
}
/* Whether an operator needs to know the place of each part: only the first of a chain may. */
bool qn_chain_needs_places(const qn_chain *chain);
/* The blocks that follow are of a part with so much before it. */
void qn_chain_begin_part(qn_chain *chain, const qn_place *place);

/* Whether it calls back, and may do so from another process. */
bool qn_chain_has_callbacks(const qn_chain *chain);

/* Sends one block of the source through. skip: how many records at the end to drop. On failure see callback_failed, failed_origin and
 * delivered. */
quern_status qn_chain_run(qn_chain *chain, const qn_batch *batch, uint64_t skip, qn_error *error);

/* Has blocks of the chain held back until they went through: hold.h. At most so many bytes. QUERN_ERROR_NO_MEMORY. */
quern_status qn_chain_hold(qn_chain *chain, uint64_t bytes_max, qn_error *error);

/* How many records of the source it went through since its owner counted them: the records of a block are counted when the block is over, which
 * takes long if callbacks do. About, as far as operators take records one by one, and by the one that works now: it begins at 0 again where the next operator takes what the first
 * emitted. By any thread, as long as the chain stays. */
uint64_t qn_chain_get_uncounted(const qn_chain *chain);
/* They are counted, or are not to be. */
void qn_chain_note_counted(qn_chain *chain);

/* One turn of the first operator in a chain that has no source of blocks: whoever has the records calls the callback, turn by turn. */
typedef struct qn_turn {
    int (*call)(quern_emitter *out, void *user);
    uint64_t (*digest)(void *user); /* of what the callback is given, and may only read; NULL: it is not checked */
    void *user;
} qn_turn;

#define QN_TURN_CALLS_MAX 1024 /* of a turn that calls its callback over and over, so many are repeated in check mode */

/* One turn; a callback that fails has another attempt, up to so many in all. What it emits is passed on
 * when there is enough for a block. In check mode the callback is called a second time, and what it then emits is only compared with what
 * it emitted: QUERN_ERROR_CHECK. */
quern_status qn_chain_turn(qn_chain *chain, const qn_turn *turn, uint32_t attempt_count_max, qn_error *error);
/* A turn that calls its callback over and over says so before each call. False: it has done enough, and ends with success. */
bool qn_chain_turn_goes_on(quern_emitter *out);
/* Passes on what is left, after the last turn; all were on record_count records. */
quern_status qn_chain_end_turns(qn_chain *chain, uint64_t record_count, qn_error *error);

/* Where a whole attempt is thrown away if it fails, not only a block: marks what was counted so far, and goes back to the
 * mark. */
void qn_chain_mark(qn_chain *chain);
void qn_chain_roll_back(qn_chain *chain);

/* What was counted so far, by operators and the program's counters, and what was handed to the end, as numbers of which two states of the
 * chain between blocks have equally many: [qn_chain_tally_count()]. */
size_t qn_chain_tally_count(const qn_chain *chain);
void qn_chain_tally(const qn_chain *chain, uint64_t *tally_out);
/* What was counted between two tallies does not count. Between blocks. */
void qn_chain_take_back(qn_chain *chain, const uint64_t *from, const uint64_t *to);

/* What operator `index` saw so far. */
qn_edge_stats qn_chain_edge(const qn_chain *chain, uint32_t index);

#endif
