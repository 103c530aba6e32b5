/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/exec/chain_kit.h: chains of random operators, a plain model of them, and callbacks that fail when they are told
 * to. Values carry the index of their source record in the upper half; the operators here keep it there.
 */
#ifndef TESTS_EXEC_CHAIN_KIT_H
#define TESTS_EXEC_CHAIN_KIT_H

#include "runtime/exec/chain.h"
#include "tests/kit.h"

#define KIT_KEY_BYTES_MAX 24

extern const quern_schema kit_plain; /* of all rows */
extern qn_error kit_error;           /* of the last run */

/* ---- rows ---- */

typedef struct kit_row {
    uint8_t key[KIT_KEY_BYTES_MAX + QN_SLACK_BYTES];
    uint32_t key_bytes;
    uint64_t value;
} kit_row;

typedef struct kit_rows {
    kit_row *items;
    size_t count, capacity;
} kit_rows;

uint32_t kit_index_of(uint64_t value);
void kit_add_row(kit_rows *to, const void *key, size_t key_bytes, uint64_t value);
/* Random ones, with their indices. */
void kit_make_rows(kit_rows *made, size_t count, uint64_t *state);
void kit_check_rows(const kit_rows *got, const kit_rows *expected);
void kit_free_rows(kit_rows *of);
/* A block over rows, borrowed; good until the next call. */
qn_batch kit_make_batch(const kit_rows *of);

/* ---- operators ---- */

/* What all callbacks share: when to fail, and what was seen then. */
extern struct kit_world {
    uint64_t call_count;
    uint64_t fail_at; /* the call that fails; 0: none */
    uint32_t failed_index;
    bool ignore_emit; /* callbacks do not look at what quern_emit() says */
    struct quern_counter counter;
} kit_world;

void kit_choose_kinds(qn_node_kind *kinds, uint32_t depth, uint64_t *state);
qn_node kit_make_node(qn_node_kind kind);
/* What the operators make of the rows, one operator behind the other; adds to the edges what each saw. */
void kit_model_chain(const kit_rows *in, const qn_node_kind *kinds, uint32_t depth, kit_rows *out,
                     qn_edge_stats *edges);

/* ---- chains ---- */

/* The end of a chain: what arrived. */
typedef struct kit_collector {
    kit_rows got;
    uint64_t batch_count;
    uint64_t fail_at; /* the batch that fails; 0: none */
    quern_status failure;
    uint64_t misplaced_count; /* rows whose origin is not their source record */
} kit_collector;

typedef struct kit_chain {
    qn_node nodes[QN_CHAIN_COUNT_MAX];
    const qn_node *operators[QN_CHAIN_COUNT_MAX];
    uint32_t operator_count;
    qn_chain chain;
    kit_collector end;
} kit_chain;

/* Of kit_make_node() each, into the collector; begins a new kit_world. */
void kit_open_chain(kit_chain *tested, const qn_node_kind *kinds, uint32_t depth);
/* Of any operators, without counters, into any end. */
void kit_open_operators(kit_chain *tested, const qn_node *nodes, uint32_t count, qn_chain_end_fn end, void *end_user);
/* One block of rows; kit_error is that of this run. */
quern_status kit_run_chain(kit_chain *tested, const kit_rows *in, uint64_t skip);
void kit_check_edges(const qn_chain *chain, const qn_edge_stats *expected, uint32_t depth);
void kit_close_chain(kit_chain *tested);

/* An end that counts into a uint64_t, and looks at how values are aligned. */
quern_status kit_count_records(void *user, const qn_batch *batch, qn_error *failure);

#endif
