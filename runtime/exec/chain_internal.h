/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/exec/chain_internal.h: what an operator of a chain is made of, for the chain and for who checks its callbacks.
 */
#ifndef QN_EXEC_CHAIN_INTERNAL_H
#define QN_EXEC_CHAIN_INTERNAL_H

#include "runtime/data/type.h"
#include "runtime/exec/chain.h"
#include "runtime/exec/operator_check.h"

/* What the callback of a turn emits, in check mode. */
typedef struct qn_turn_trace {
    bool trial; /* what is emitted goes nowhere */
    uint64_t count, digest;
    uint64_t
        call_count; /* of a callback that a turn calls over and over, and these two after QN_TURN_CALLS_MAX of them */
    uint64_t part_count, part_digest;
} qn_turn_trace;

/* Collects the records that one operator gives. */
struct quern_emitter {
    qn_chain *chain;
    struct qn_operator *owner;
    qn_trace *trace; /* check mode, while the callback runs: what it gives; else NULL */
    uint8_t *buffer; /* the records' bytes, unless they are references */
    size_t capacity_bytes, used_bytes;
    size_t count;
    uint32_t origin;       /* of what is emitted now */
    const qn_batch *batch; /* that a callback of blocks works on, or NULL */
    bool failed;
    bool is_lent;              /* the buffer is somebody else's */
    bool is_watched;           /* one of the next two is in force */
    uint64_t drop_count;       /* records that an earlier attempt passed on already */
    qn_turn_trace *turn_trace; /* check mode, while the callback of a turn runs; else NULL */
    const void *key[QN_BATCH_COUNT_MAX];
    uint32_t key_bytes[QN_BATCH_COUNT_MAX];
    const void *value[QN_BATCH_COUNT_MAX];
    uint32_t value_bytes[QN_BATCH_COUNT_MAX];
    uint32_t origins[QN_BATCH_COUNT_MAX];
};

struct qn_operator {
    const qn_node *node;
    qn_type_shape key_shape, value_shape; /* of what it emits */
    uint32_t index;
    qn_edge_stats stats, committed, marked;
    qn_place place, committed_place; /* what is before the next record */
    uint32_t way;                    /* of a sample */
    bool in_stretch;                 /* of one that gives at the end: it has begun */
    uint32_t sampled_origin;         /* the source record whose records it saw last, */
    uint64_t sampled_count;          /* and how many */
    const struct qn_lookup *lookup;  /* of a join by broadcast */
    int build;                       /* which side that is */
    qn_operator_check *check;        /* check mode, where there is a callback; else NULL */
    quern_emitter out;
};

/* The record under another key, which is copied; its value, or the old key in its place, is referred to. */
void qn_emitter_put_under_key(quern_emitter *out, const quern_record *in, bool has_value, quern_span key);

/* After a callback: its code, or a failure behind it that it did not pass on. */
quern_status qn_operator_outcome(struct qn_operator *op, int code, uint32_t origin);

/* Runs the operator over a block and sends what it gives to the next one. */
quern_status qn_operator_call(struct qn_operator *op, const qn_batch *batch);

/* The callback is called with a record that came from this one of the source's block. */
static inline void qn_operator_begin_record(struct qn_operator *op, uint32_t origin)
{
    op->out.origin = origin;
    op->out.chain->shown->record = origin;
}

/* What arrives at the end, less what an earlier attempt delivered. */
quern_status qn_chain_deliver(qn_chain *chain, const qn_batch *batch);

/* What was counted since the last time counts, or not; emitters are empty. */
void qn_chain_settle(qn_chain *chain, bool keep);

/* Sends what the emitter holds to the next operator. */
quern_status qn_emitter_flush(quern_emitter *out);

/* Whether a record that is emitted in a turn goes on. */
bool qn_emitter_watch(quern_emitter *out, quern_span key, quern_span value);

/* Around the end of a chain of turns: that may be another chain, which settles what is counted in it, not what this turn counted so far. */
void qn_counters_hide(struct quern_counter *counters);
void qn_counters_show(struct quern_counter *counters);

/* What was counted since the last time counts, or not. */
void qn_counters_settle(struct quern_counter *counters, bool keep);

#endif
