/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/exec/grouper.h: a collated result read group by group: the callbacks of group, cogroup, join and top k by key.
 *
 * The records of a key come one behind the other, those of the inner side first. The values of a group are kept to be
 * read (again): a reference each where the result is in memory, a copy otherwise, and on disk when they are many. A join keeps only its
 * inner side, and streams the outer one past it. So memory has a bound, whatever one key has. Which input is the outer side the collator says.
 *
 * Several ranks may have outer records of a key; they all have its inner ones. So what is made of inner records alone is made by
 * the first of them, or by none: a key that is divided has outer records.
 *
 * The two sides may be in two collated results with the same cuts, one of them kept from earlier: groups are then what a merge of both by key
 * gives.
 *
 * A group (of a join, an outer record) is a turn of the chain (chain.h): the unit that is attempted again. Turns of one result are the same,
 * in the same order, whoever reads it.
 */
#ifndef QN_EXEC_GROUPER_H
#define QN_EXEC_GROUPER_H

#include "runtime/exec/chain.h"
#include "runtime/shuffle/collator.h"

typedef struct qn_grouper qn_grouper;

/* Who wants to know of each turn. */
typedef struct qn_turn_watch {
    void (*begin)(void *user, uint64_t turn, quern_span key);        /* turns are numbered from 0 */
    quern_status (*end)(void *user, uint64_t turn, qn_error *error); /* it went through */
    void *user;
} qn_turn_watch;

typedef struct qn_grouper_config {
    const qn_node *node;        /* the operator */
    qn_collator *collator;      /* rewound; borrowed */
    qn_collator *beside;        /* the same: NULL, or one side is in here, and the other in the collator */
    uint32_t beside_side;       /* as QN_SIDE_INNER says */
    qn_chain *chain;            /* of that operator alone; borrowed */
    uint32_t attempt_count_max; /* of a turn */
    uint64_t kept_bytes_max;    /* of a group's values, in memory */
    uint64_t first_turn;        /* those before it were taken: they are read, and left out */
    const qn_turn_watch *watch; /* borrowed; NULL: nobody */
} qn_grouper_config;

/* What was read so far. */
typedef struct qn_group_reads {
    uint64_t record_count;
    uint64_t bytes;        /* of their keys and values */
    uint64_t beside_count; /* of the records, those that were beside */
} qn_group_reads;

quern_status qn_grouper_create(qn_grouper **grouper_out, const qn_grouper_config *config, qn_error *error);
void qn_grouper_destroy(qn_grouper *grouper); /* takes NULL */

/* Works on the next group. *more_out false: there was none. A failure's text names the key. */
quern_status qn_grouper_next(qn_grouper *grouper, bool *more_out, qn_error *error);

qn_group_reads qn_grouper_get_reads(const qn_grouper *grouper);

#endif
