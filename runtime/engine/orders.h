/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/orders.h: the tasks that the scheduler gave out in one step of the master, until they are sent: those of a rank in one message.
 */
#ifndef QN_ENGINE_ORDERS_H
#define QN_ENGINE_ORDERS_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/status.h"

#define QN_ORDERS_MAX 1024 /* before they are sent */

typedef struct qn_given_task {
    uint32_t rank, task, attempt;
    uint32_t next;     /* of the same rank; UINT32_MAX: none */
    bool begins_chain; /* the first one of its rank */
} qn_given_task;

typedef struct qn_orders {
    qn_given_task *items; /* [QN_ORDERS_MAX], as they came */
    uint32_t count;
    uint32_t *last; /* [rank_count] of each rank; UINT32_MAX: none */
} qn_orders;

/* QUERN_ERROR_NO_MEMORY. */
quern_status qn_orders_init(qn_orders *orders, uint32_t rank_count, qn_error *error);
void qn_orders_fini(qn_orders *orders); /* takes a zeroed one */

/* There has to be room. */
void qn_orders_add(qn_orders *orders, uint32_t rank, uint32_t task, uint32_t attempt);

static inline bool qn_orders_is_full(const qn_orders *orders)
{
    return orders->count == QN_ORDERS_MAX;
}

/* They were sent. */
void qn_orders_clear(qn_orders *orders);

#endif
