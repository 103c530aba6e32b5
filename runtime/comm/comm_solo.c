/* SPDX-License-Identifier: BSD-3-Clause */
/* One process: messages to oneself are a queue, collectives are copies, exchanges never happen. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/comm/backend.h"

typedef struct message {
    struct message *next;
    size_t bytes;
    uint8_t data[];
} message;

typedef struct solo_comm {
    qn_comm base;
    message *first;
    message **end;
    message *borrowed;
} solo_comm;

static void solo_destroy(qn_comm *base)
{
    solo_comm *comm = (solo_comm *)base;
    free(comm->borrowed);
    while (comm->first) {
        message *next = comm->first->next;
        free(comm->first);
        comm->first = next;
    }
    free(comm);
}

static quern_status solo_send(qn_comm *base, uint32_t to, const void *data, size_t bytes, qn_error *error)
{
    solo_comm *comm = (solo_comm *)base;
    QN_ASSERT(to == 0);
    message *sent = malloc(sizeof *sent + bytes);
    if (!sent)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a control message");
    sent->next = NULL;
    sent->bytes = bytes;
    memcpy(sent->data, data, bytes);
    *comm->end = sent;
    comm->end = &sent->next;
    return QUERN_OK;
}

static quern_status solo_announce(qn_comm *base, const void *data, size_t bytes, qn_error *error)
{
    (void)base, (void)data, (void)bytes, (void)error;
    return QUERN_OK; /* there is nobody else */
}

static quern_status solo_poll(qn_comm *base, const void **data_out, size_t *bytes_out, uint32_t *from_out,
                              qn_error *error)
{
    solo_comm *comm = (solo_comm *)base;
    (void)error;
    free(comm->borrowed);
    comm->borrowed = comm->first;
    *data_out = NULL;
    if (!comm->first)
        return QUERN_OK;
    *data_out = comm->first->data;
    *bytes_out = comm->first->bytes;
    *from_out = 0;
    comm->first = comm->first->next;
    if (!comm->first)
        comm->end = &comm->first;
    return QUERN_OK;
}

static quern_status solo_broadcast(qn_comm *base, void *data, size_t bytes, uint32_t root, qn_error *error)
{
    (void)base, (void)data, (void)bytes, (void)root, (void)error;
    return QUERN_OK;
}

static quern_status solo_broadcast_within(qn_comm *base, qn_comm_scope scope, void *data, size_t bytes, uint32_t root,
                                          qn_error *error)
{
    (void)scope;
    return solo_broadcast(base, data, bytes, root, error);
}

static quern_status solo_reduce(qn_comm *base, uint64_t *numbers, size_t count, int operation, qn_error *error)
{
    (void)base, (void)numbers, (void)count, (void)operation, (void)error;
    return QUERN_OK;
}

static quern_status solo_gather(qn_comm *base, const void *mine, size_t bytes, void *all_out, qn_error *error)
{
    (void)base, (void)error;
    memcpy(all_out, mine, bytes);
    return QUERN_OK;
}

static quern_status solo_collect(qn_comm *base, const void *mine, size_t bytes, void **all_out, size_t *bytes_out,
                                 qn_error *error)
{
    (void)base;
    void *all = malloc(bytes > 0 ? bytes : 1);
    if (!all)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to collect %zu bytes", bytes);
    memcpy(all, mine, bytes);
    *all_out = all;
    *bytes_out = bytes;
    return QUERN_OK;
}

static quern_status solo_exchange(qn_exchange *exchange, qn_error *error)
{
    (void)exchange, (void)error;
    QN_ASSERT(!"one rank has nobody to exchange with");
    return QUERN_ERROR_INTERNAL;
}

static bool solo_share_hdf5(const qn_comm *base, int64_t access_list)
{
    (void)base, (void)access_list;
    return true;
}

static const qn_comm_ops solo_ops = {
    .destroy = solo_destroy,
    .send = solo_send,
    .announce = solo_announce,
    .poll = solo_poll,
    .broadcast = solo_broadcast,
    .broadcast_within = solo_broadcast_within,
    .reduce = solo_reduce,
    .gather = solo_gather,
    .gather_node = solo_gather,
    .collect = solo_collect,
    .share_hdf5 = solo_share_hdf5,
    .exchange_start = solo_exchange,
    .exchange_test = solo_exchange,
};

quern_status qn_comm_create_solo(qn_comm **comm_out, qn_error *error)
{
    solo_comm *comm = calloc(1, sizeof *comm);
    if (!comm)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a communicator");
    comm->base = (qn_comm){.ops = &solo_ops, .size = 1, .node_count = 1, .node_size = 1, .helper_allowed = true};
    comm->end = &comm->first;
    *comm_out = &comm->base;
    return QUERN_OK;
}
