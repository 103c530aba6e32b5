/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/orders.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"

#define NONE UINT32_MAX

quern_status qn_orders_init(qn_orders *orders, uint32_t rank_count, qn_error *error)
{
    *orders = (qn_orders){.items = calloc(QN_ORDERS_MAX, sizeof *orders->items),
                          .last = malloc(rank_count * sizeof *orders->last)};
    if (!orders->items || !orders->last)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to schedule on %u ranks", rank_count);
    memset(orders->last, 0xff, rank_count * sizeof *orders->last);
    return QUERN_OK;
}

void qn_orders_fini(qn_orders *orders)
{
    free(orders->items);
    free(orders->last);
    *orders = (qn_orders){0};
}

void qn_orders_add(qn_orders *orders, uint32_t rank, uint32_t task, uint32_t attempt)
{
    uint32_t before = orders->last[rank];
    QN_ASSERT(orders->count < QN_ORDERS_MAX);
    orders->items[orders->count] = (qn_given_task){rank, task, attempt, NONE, before == NONE};
    if (before != NONE)
        orders->items[before].next = orders->count;
    orders->last[rank] = orders->count++;
}

void qn_orders_clear(qn_orders *orders)
{
    for (uint32_t i = 0; i < orders->count; i++)
        orders->last[orders->items[i].rank] = NONE;
    orders->count = 0;
}
