/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The MPI backend. Communicators: one each for control messages, the collectives of begin and end, the counts of exchanges
 * and their payload, so that each is a strictly ordered sequence of its own whatever the others do.
 */
#define OMPI_SKIP_MPICXX  1
#define MPICH_SKIP_MPICXX 1
#include <hdf5.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/comm/backend.h"

#define TAG_MESSAGE      1
#define TAG_ANNOUNCEMENT 2
#define TAG_COLLECT      3
#define TAG_BEAT         4
#define PIECE_BYTES_MAX  ((size_t)1 << 30) /* of one MPI call: counts are int */

typedef struct outgoing {
    struct outgoing *next;
    MPI_Request request;
    uint8_t data[];
} outgoing;

/* Of the first rank of a node; both requests are null between two beats. */
typedef struct beat_ring {
    MPI_Request sending, receiving;
    qn_comm_beat sent, received;
    bool is_open; /* a beat is on its way, or was */
} beat_ring;

typedef struct mpi_comm {
    qn_comm base;
    beat_ring ring;
    MPI_Comm control, job, counts, payload, node;
    MPI_Comm leads;   /* of the first rank of each node, where there are several; else null */
    bool initialised; /* by us: finalise it */
    outgoing *sending;
    uint8_t *incoming; /* the message that the last poll gave */
    size_t incoming_capacity;
} mpi_comm;

static quern_status mpi_failed(int code, const char *call, qn_error *error)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, text, &length);
    return qn_error_set(error, QUERN_ERROR_MPI, 0, "%s failed: %s", call, text);
}

/* Every MPI call goes through this. */
#define MPI_TRY(call)                                                                                                  \
    do {                                                                                                               \
        int code_ = (call);                                                                                            \
        if (code_ != MPI_SUCCESS)                                                                                      \
            return mpi_failed(code_, #call, error);                                                                    \
    } while (0)

const char *qn_launch_shared_memory_transport(void)
{
#if defined(OMPI_MAJOR_VERSION) && OMPI_MAJOR_VERSION >= 5
    return "self,sm";
#else
    return "self,vader";
#endif
}

/* Waits without burning a core. */
static quern_status wait_for(mpi_comm *comm, MPI_Request *request, qn_error *error)
{
    qn_backoff backoff = {0};
    for (;;) {
        int done = 0;
        MPI_TRY(MPI_Test(request, &done, MPI_STATUS_IGNORE));
        if (done)
            return QUERN_OK;
        comm->base.waits++;
        qn_backoff_wait(&backoff);
    }
}

static quern_status reap_sent(mpi_comm *comm, qn_error *error)
{
    outgoing **link = &comm->sending;
    while (*link) {
        outgoing *sent = *link;
        int done = 0;
        MPI_TRY(MPI_Test(&sent->request, &done, MPI_STATUS_IGNORE));
        if (done) {
            *link = sent->next;
            free(sent);
        } else
            link = &sent->next;
    }
    return QUERN_OK;
}

static quern_status send_tagged(mpi_comm *comm, uint32_t to, const void *data, size_t bytes, int tag, qn_error *error)
{
    outgoing *sent = malloc(sizeof *sent + bytes);
    if (!sent)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a control message");
    memcpy(sent->data, data, bytes);
    int code = MPI_Isend(sent->data, (int)bytes, MPI_BYTE, (int)to, tag, comm->control, &sent->request);
    if (code != MPI_SUCCESS) {
        free(sent);
        return mpi_failed(code, "MPI_Isend", error);
    }
    sent->next = comm->sending;
    comm->sending = sent;
    return QUERN_OK;
}

static quern_status mpi_send(qn_comm *base, uint32_t to, const void *data, size_t bytes, qn_error *error)
{
    return send_tagged((mpi_comm *)base, to, data, bytes, TAG_MESSAGE, error);
}

/* A binary tree: rank r passes on to 2r + 1 and 2r + 2. */
static quern_status mpi_announce(qn_comm *base, const void *data, size_t bytes, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (uint64_t to = 2 * (uint64_t)base->rank + 1; to <= 2 * (uint64_t)base->rank + 2; to++)
        if (to < base->size && status == QUERN_OK)
            status = send_tagged((mpi_comm *)base, (uint32_t)to, data, bytes, TAG_ANNOUNCEMENT, error);
    return status;
}

static quern_status receive_matched(mpi_comm *comm, MPI_Message *matched, MPI_Status *envelope, size_t *bytes_out,
                                    qn_error *error)
{
    int bytes = 0;
    MPI_TRY(MPI_Get_count(envelope, MPI_BYTE, &bytes));
    if ((size_t)bytes > comm->incoming_capacity) {
        uint8_t *larger = realloc(comm->incoming, (size_t)bytes);
        if (!larger)
            return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a control message");
        comm->incoming = larger;
        comm->incoming_capacity = (size_t)bytes;
    }
    MPI_TRY(MPI_Mrecv(comm->incoming, bytes, MPI_BYTE, matched, MPI_STATUS_IGNORE));
    *bytes_out = (size_t)bytes;
    return QUERN_OK;
}

static quern_status mpi_poll(qn_comm *base, const void **data_out, size_t *bytes_out, uint32_t *from_out,
                             qn_error *error)
{
    mpi_comm *comm = (mpi_comm *)base;
    MPI_Message matched;
    MPI_Status envelope;
    int here = 0;
    *data_out = NULL;
    quern_status status = reap_sent(comm, error);
    if (status != QUERN_OK)
        return status;
    MPI_TRY(MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm->control, &here, &matched, &envelope));
    if (!here)
        return QUERN_OK;
    size_t bytes = 0;
    status = receive_matched(comm, &matched, &envelope, &bytes, error);
    if (status == QUERN_OK && envelope.MPI_TAG == TAG_ANNOUNCEMENT)
        status = mpi_announce(base, comm->incoming, bytes, error);
    if (status != QUERN_OK)
        return status;
    *data_out = comm->incoming;
    *bytes_out = bytes;
    *from_out = envelope.MPI_TAG == TAG_ANNOUNCEMENT ? 0 : (uint32_t)envelope.MPI_SOURCE;
    return QUERN_OK;
}

static quern_status broadcast_on(mpi_comm *comm, MPI_Comm on, void *data, size_t bytes, uint32_t root, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (size_t done = 0; done < bytes && status == QUERN_OK; done += PIECE_BYTES_MAX) {
        size_t piece = bytes - done < PIECE_BYTES_MAX ? bytes - done : PIECE_BYTES_MAX;
        MPI_Request request;
        MPI_TRY(MPI_Ibcast((uint8_t *)data + done, (int)piece, MPI_BYTE, (int)root, on, &request));
        status = wait_for(comm, &request, error);
    }
    return status;
}

static quern_status mpi_broadcast(qn_comm *base, void *data, size_t bytes, uint32_t root, qn_error *error)
{
    mpi_comm *comm = (mpi_comm *)base;
    return broadcast_on(comm, comm->job, data, bytes, root, error);
}

static quern_status mpi_broadcast_within(qn_comm *base, qn_comm_scope scope, void *data, size_t bytes, uint32_t root,
                                         qn_error *error)
{
    mpi_comm *comm = (mpi_comm *)base;
    MPI_Comm on = scope == QN_COMM_NODE ? comm->node : comm->leads;
    return on == MPI_COMM_NULL ? QUERN_OK : broadcast_on(comm, on, data, bytes, root, error);
}

static quern_status mpi_reduce(qn_comm *base, uint64_t *numbers, size_t count, int operation, qn_error *error)
{
    mpi_comm *comm = (mpi_comm *)base;
    MPI_Request request;
    MPI_TRY(MPI_Iallreduce(MPI_IN_PLACE, numbers, (int)count, MPI_UINT64_T,
                           operation == QN_COMM_SUM ? MPI_SUM : MPI_MAX, comm->job, &request));
    return wait_for(comm, &request, error);
}

static quern_status mpi_gather(qn_comm *base, const void *mine, size_t bytes, void *all_out, qn_error *error)
{
    mpi_comm *comm = (mpi_comm *)base;
    MPI_Request request;
    QN_ASSERT(bytes <= PIECE_BYTES_MAX);
    MPI_TRY(MPI_Igather(mine, (int)bytes, MPI_BYTE, all_out, (int)bytes, MPI_BYTE, 0, comm->job, &request));
    return wait_for(comm, &request, error);
}

static quern_status mpi_gather_node(qn_comm *base, const void *mine, size_t bytes, void *all_out, qn_error *error)
{
    mpi_comm *comm = (mpi_comm *)base;
    MPI_Request request;
    QN_ASSERT(bytes <= PIECE_BYTES_MAX);
    MPI_TRY(MPI_Iallgather(mine, (int)bytes, MPI_BYTE, all_out, (int)bytes, MPI_BYTE, comm->node, &request));
    return wait_for(comm, &request, error);
}

static quern_status send_pieces(mpi_comm *comm, const uint8_t *data, size_t bytes, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (size_t done = 0; done < bytes && status == QUERN_OK; done += PIECE_BYTES_MAX) {
        size_t piece = bytes - done < PIECE_BYTES_MAX ? bytes - done : PIECE_BYTES_MAX;
        MPI_Request request;
        MPI_TRY(MPI_Isend(data + done, (int)piece, MPI_BYTE, 0, TAG_COLLECT, comm->job, &request));
        status = wait_for(comm, &request, error);
    }
    return status;
}

static quern_status receive_pieces(mpi_comm *comm, uint8_t *data, size_t bytes, uint32_t from, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (size_t done = 0; done < bytes && status == QUERN_OK; done += PIECE_BYTES_MAX) {
        size_t piece = bytes - done < PIECE_BYTES_MAX ? bytes - done : PIECE_BYTES_MAX;
        MPI_Request request;
        MPI_TRY(MPI_Irecv(data + done, (int)piece, MPI_BYTE, (int)from, TAG_COLLECT, comm->job, &request));
        status = wait_for(comm, &request, error);
    }
    return status;
}

/* Rank 0's part of a collect: everybody's bytes behind each other. sizes: [size]. */
static quern_status receive_all(mpi_comm *comm, const void *mine, const uint64_t *sizes, uint8_t *all, qn_error *error)
{
    quern_status status = QUERN_OK;
    size_t at = sizes[0];
    memcpy(all, mine, sizes[0]);
    for (uint32_t from = 1; from < comm->base.size && status == QUERN_OK; from++) {
        status = receive_pieces(comm, all + at, sizes[from], from, error);
        at += sizes[from];
    }
    return status;
}

static quern_status mpi_collect(qn_comm *base, const void *mine, size_t bytes, void **all_out, size_t *bytes_out,
                                qn_error *error)
{
    mpi_comm *comm = (mpi_comm *)base;
    uint64_t my_bytes = bytes;
    uint64_t *sizes = calloc(base->size, sizeof *sizes);
    if (!sizes)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to collect");
    quern_status status = mpi_gather(base, &my_bytes, sizeof my_bytes, sizes, error);
    uint8_t *all = NULL;
    size_t all_bytes = 0;
    for (uint32_t from = 0; from < base->size; from++)
        all_bytes += sizes[from];
    /* Rank 0 must have the memory before anybody sends: the answer is agreed on. */
    if (status == QUERN_OK && base->rank == 0 && !(all = malloc(all_bytes > 0 ? all_bytes : 1)))
        status = qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to collect %zu bytes", all_bytes);
    if (error->status == QUERN_OK || error->status == QUERN_ERROR_NO_MEMORY)
        status = qn_comm_agree(base, error);
    if (status == QUERN_OK)
        status = base->rank == 0 ? receive_all(comm, mine, sizes, all, error) : send_pieces(comm, mine, bytes, error);
    free(sizes);
    if (status != QUERN_OK) {
        free(all);
        return status;
    }
    *all_out = all;
    *bytes_out = base->rank == 0 ? all_bytes : 0;
    return QUERN_OK;
}

static int next_node(const qn_comm *base, uint32_t step)
{
    return (int)((base->node + step) % base->node_count);
}

static quern_status expect_beat(mpi_comm *comm, qn_error *error)
{
    MPI_TRY(MPI_Irecv(&comm->ring.received, (int)sizeof comm->ring.received, MPI_BYTE,
                      next_node(&comm->base, comm->base.node_count - 1), TAG_BEAT, comm->leads, &comm->ring.receiving));
    return QUERN_OK;
}

static quern_status send_beat(mpi_comm *comm, const qn_comm_beat *beat, qn_error *error)
{
    int is_gone = 1;
    if (comm->ring.is_open)
        MPI_TRY(MPI_Test(&comm->ring.sending, &is_gone, MPI_STATUS_IGNORE));
    if (!is_gone)
        return QUERN_OK; /* one at a time: nothing piles up before a node that does not answer */
    comm->ring.sent = *beat;
    MPI_TRY(MPI_Isend(&comm->ring.sent, (int)sizeof comm->ring.sent, MPI_BYTE, next_node(&comm->base, 1), TAG_BEAT,
                      comm->leads, &comm->ring.sending));
    return QUERN_OK;
}

static quern_status mpi_beat(qn_comm *base, const qn_comm_beat *mine, qn_comm_beat *theirs_out, qn_error *error)
{
    mpi_comm *comm = (mpi_comm *)base;
    qn_comm_beat newest = {0};
    quern_status status = send_beat(comm, mine, error);
    if (status == QUERN_OK && !comm->ring.is_open)
        status = expect_beat(comm, error);
    comm->ring.is_open = true;
    for (int here = 1; status == QUERN_OK && comm->ring.receiving != MPI_REQUEST_NULL;) {
        MPI_TRY(MPI_Test(&comm->ring.receiving, &here, MPI_STATUS_IGNORE));
        if (!here)
            break;
        newest = comm->ring.received;
        if (newest.number != QN_COMM_LAST_BEAT) /* nothing comes behind that */
            status = expect_beat(comm, error);
    }
    *theirs_out = newest;
    return status;
}

/* The last beat of each node is waited for, so that no message is left. */
static quern_status mpi_end_beats(qn_comm *base, qn_error *error)
{
    mpi_comm *comm = (mpi_comm *)base;
    const qn_comm_beat last = {.number = QN_COMM_LAST_BEAT, .rank = base->rank};
    quern_status status = comm->ring.is_open ? wait_for(comm, &comm->ring.sending, error) : expect_beat(comm, error);
    if (status == QUERN_OK)
        status = send_beat(comm, &last, error);
    if (status == QUERN_OK)
        status = wait_for(comm, &comm->ring.sending, error);
    while (status == QUERN_OK && comm->ring.receiving != MPI_REQUEST_NULL) {
        status = wait_for(comm, &comm->ring.receiving, error);
        if (status == QUERN_OK && comm->ring.received.number != QN_COMM_LAST_BEAT)
            status = expect_beat(comm, error);
    }
    comm->ring.is_open = false;
    return status;
}

#define COPIES 3 /* of a count, where the network is not trusted */

/* What an exchange keeps for MPI: behind the struct are copies of counts, to be sent and received, [2][size][COPIES], and
 * arrays of int, [4][size]. */
typedef struct exchange_backend {
    MPI_Request request;
    uint64_t copies[];
} exchange_backend;

size_t qn_exchange_backend_bytes(uint32_t size)
{
    return sizeof(exchange_backend) + (2 * COPIES * sizeof(uint64_t) + 4 * sizeof(int)) * (size_t)size;
}

/* What most of the copies say: a wrong count would not only be wrong, but leave the ranks out of step, and the job would hang. */
static bool vote(const uint64_t copies[COPIES], uint64_t *count_out)
{
    *count_out = copies[0] == copies[2] ? copies[0] : copies[1];
    return copies[0] == copies[1] || copies[0] == copies[2] || copies[1] == copies[2];
}

static quern_status start_copies(qn_exchange *exchange, qn_error *error)
{
    mpi_comm *comm = (mpi_comm *)exchange->comm;
    exchange_backend *backend = exchange->backend;
    uint64_t *mine = backend->copies, *theirs = mine + COPIES * (size_t)comm->base.size;
    for (size_t i = 0; i < COPIES * (size_t)comm->base.size; i++)
        mine[i] = exchange->sent[i / COPIES];
    MPI_TRY(MPI_Ialltoall(mine, COPIES, MPI_UINT64_T, theirs, COPIES, MPI_UINT64_T, comm->counts, &backend->request));
    return QUERN_OK;
}

static quern_status see_copies(qn_exchange *exchange, qn_error *error)
{
    uint32_t size = exchange->comm->size;
    exchange_backend *backend = exchange->backend;
    const uint64_t *theirs = backend->copies + COPIES * (size_t)size;
    for (uint32_t from = 0; from < size; from++, theirs += COPIES) {
        if (!vote(theirs, &exchange->received[from]))
            return qn_error_set(error, QUERN_ERROR_MPI, 0,
                                "what MPI brought from rank %u to rank %u are not the counts of a shuffle", from,
                                exchange->comm->rank);
        if (theirs[0] != theirs[1] || theirs[0] != theirs[2])
            exchange->damaged_from = from;
    }
    return QUERN_OK;
}

static quern_status mpi_exchange_start(qn_exchange *exchange, qn_error *error)
{
    mpi_comm *comm = (mpi_comm *)exchange->comm;
    exchange_backend *backend = exchange->backend;
    if (comm->base.trusts_network)
        MPI_TRY(MPI_Ialltoall(exchange->sent, 1, MPI_UINT64_T, exchange->received, 1, MPI_UINT64_T, comm->counts,
                              &backend->request));
    else if (start_copies(exchange, error) != QUERN_OK)
        return error->status;
    exchange->state = QN_EXCHANGE_COUNTS;
    return QUERN_OK;
}

/* Displacements stay below 2^31: the buffers do (qn_shuffle sees to it). */
static quern_status start_payload(qn_exchange *exchange, qn_error *error)
{
    mpi_comm *comm = (mpi_comm *)exchange->comm;
    exchange_backend *backend = exchange->backend;
    uint32_t size = comm->base.size;
    if (!comm->base.trusts_network && see_copies(exchange, error) != QUERN_OK)
        return QUERN_ERROR_MPI;
    int *send_counts = (int *)(backend->copies + 2 * COPIES * (size_t)size), *send_at = send_counts + size;
    int *receive_counts = send_at + size, *receive_at = receive_counts + size;
    for (uint32_t i = 0; i < size; i++) {
        send_counts[i] = (int)(exchange->sent[i] & QN_EXCHANGE_BYTES_MASK);
        receive_counts[i] = (int)(exchange->received[i] & QN_EXCHANGE_BYTES_MASK);
        QN_ASSERT((size_t)send_counts[i] <= exchange->stride);
        QN_ASSERT((size_t)receive_counts[i] <= exchange->stride);
        send_at[i] = receive_at[i] = (int)(i * exchange->stride);
    }
    MPI_TRY(MPI_Ialltoallv(exchange->send_chunks, send_counts, send_at, MPI_BYTE, exchange->receive_chunks,
                           receive_counts, receive_at, MPI_BYTE, comm->payload, &backend->request));
    exchange->state = QN_EXCHANGE_PAYLOAD;
    return QUERN_OK;
}

static quern_status mpi_exchange_test(qn_exchange *exchange, qn_error *error)
{
    exchange_backend *backend = exchange->backend;
    while (exchange->state == QN_EXCHANGE_COUNTS || exchange->state == QN_EXCHANGE_PAYLOAD) {
        int done = 0;
        MPI_TRY(MPI_Test(&backend->request, &done, MPI_STATUS_IGNORE));
        if (!done)
            return QUERN_OK;
        if (exchange->state == QN_EXCHANGE_PAYLOAD)
            exchange->state = QN_EXCHANGE_DONE;
        else {
            quern_status status = start_payload(exchange, error);
            if (status != QUERN_OK)
                return status;
        }
    }
    return QUERN_OK;
}

static void free_comm(MPI_Comm *comm)
{
    if (*comm != MPI_COMM_NULL)
        MPI_Comm_free(comm);
}

static void mpi_destroy(qn_comm *base)
{
    mpi_comm *comm = (mpi_comm *)base;
    qn_error ignored = {0};
    while (comm->sending && reap_sent(comm, &ignored) == QUERN_OK)
        ;
    free_comm(&comm->control);
    free_comm(&comm->job);
    free_comm(&comm->counts);
    free_comm(&comm->payload);
    free_comm(&comm->node);
    free_comm(&comm->leads);
    if (comm->initialised)
        MPI_Finalize();
    free(comm->incoming);
    free(comm);
}

static bool mpi_share_hdf5(const qn_comm *base, int64_t access_list)
{
#ifdef H5_HAVE_PARALLEL
    return H5Pset_fapl_mpio((hid_t)access_list, ((const mpi_comm *)base)->job, MPI_INFO_NULL) >= 0;
#else
    (void)base, (void)access_list;
    return false;
#endif
}

static const qn_comm_ops mpi_ops = {
    .destroy = mpi_destroy,
    .send = mpi_send,
    .announce = mpi_announce,
    .poll = mpi_poll,
    .broadcast = mpi_broadcast,
    .broadcast_within = mpi_broadcast_within,
    .reduce = mpi_reduce,
    .gather = mpi_gather,
    .gather_node = mpi_gather_node,
    .collect = mpi_collect,
    .share_hdf5 = mpi_share_hdf5,
    .beat = mpi_beat,
    .end_beats = mpi_end_beats,
    .exchange_start = mpi_exchange_start,
    .exchange_test = mpi_exchange_test,
};

static quern_status duplicate(MPI_Comm from, MPI_Comm *to_out, qn_error *error)
{
    MPI_TRY(MPI_Comm_dup(from, to_out));
    MPI_TRY(MPI_Comm_set_errhandler(*to_out, MPI_ERRORS_RETURN));
    return QUERN_OK;
}

/* The ranks that share memory; node_size_max: of each such node at most so many are taken for one. */
static quern_status split_nodes(mpi_comm *comm, int rank, uint32_t node_size_max, qn_error *error)
{
    MPI_Comm whole;
    int place = 0;
    MPI_TRY(MPI_Comm_split_type(comm->job, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &comm->node));
    if (node_size_max > 0) {
        whole = comm->node;
        MPI_TRY(MPI_Comm_rank(whole, &place));
        int code = MPI_Comm_split(whole, place / (int)node_size_max, rank, &comm->node);
        MPI_Comm_free(&whole);
        MPI_TRY(code);
    }
    MPI_TRY(MPI_Comm_set_errhandler(comm->node, MPI_ERRORS_RETURN));
    return QUERN_OK;
}

static quern_status split_leads(mpi_comm *comm, uint32_t leads, int rank, qn_error *error)
{
    MPI_TRY(MPI_Comm_split(comm->job, leads ? 0 : MPI_UNDEFINED, rank, &comm->leads));
    if (leads)
        MPI_TRY(MPI_Comm_set_errhandler(comm->leads, MPI_ERRORS_RETURN));
    return QUERN_OK;
}

/* Ranks, and which of them share a node. */
static quern_status learn_places(mpi_comm *comm, uint32_t node_size_max, qn_error *error)
{
    int rank = 0, size = 0, node_rank = 0, node_size = 0;
    MPI_TRY(MPI_Comm_rank(comm->job, &rank));
    MPI_TRY(MPI_Comm_size(comm->job, &size));
    quern_status status = split_nodes(comm, rank, node_size_max, error);
    if (status != QUERN_OK)
        return status;
    MPI_TRY(MPI_Comm_rank(comm->node, &node_rank));
    MPI_TRY(MPI_Comm_size(comm->node, &node_size));
    uint32_t leads = node_rank == 0, node = 0, node_count = 0;
    MPI_TRY(MPI_Exscan(&leads, &node, 1, MPI_UINT32_T, MPI_SUM, comm->job));
    MPI_TRY(MPI_Allreduce(&leads, &node_count, 1, MPI_UINT32_T, MPI_SUM, comm->job));
    if (rank == 0)
        node = 0; /* MPI_Exscan leaves it undefined there */
    MPI_TRY(MPI_Bcast(&node, 1, MPI_UINT32_T, 0, comm->node));
    comm->base.rank = (uint32_t)rank;
    comm->base.size = (uint32_t)size;
    comm->base.node = node;
    comm->base.node_count = node_count;
    comm->base.node_rank = (uint32_t)node_rank;
    comm->base.node_size = (uint32_t)node_size;
    return node_count > 1 ? split_leads(comm, leads, rank, error) : QUERN_OK;
}

static quern_status set_up(mpi_comm *comm, MPI_Comm from, uint32_t node_size_max, qn_error *error)
{
    int threads = MPI_THREAD_SINGLE;
    MPI_TRY(MPI_Query_thread(&threads));
    comm->base.helper_allowed = threads >= MPI_THREAD_SERIALIZED;
    comm->base.threads_allowed = threads == MPI_THREAD_MULTIPLE;
    MPI_Comm *all[] = {&comm->job, &comm->control, &comm->counts, &comm->payload};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        quern_status status = duplicate(from, all[i], error);
        if (status != QUERN_OK)
            return status;
    }
    return learn_places(comm, node_size_max, error);
}

static quern_status create_mpi(MPI_Comm from, bool initialised, uint32_t node_size_max, qn_comm **comm_out,
                               qn_error *error)
{
    mpi_comm *comm = calloc(1, sizeof *comm);
    if (!comm)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a communicator");
    comm->base.ops = &mpi_ops;
    comm->base.in_host = !initialised;
    comm->control = comm->job = comm->counts = comm->payload = comm->node = comm->leads = MPI_COMM_NULL;
    comm->ring.sending = comm->ring.receiving = MPI_REQUEST_NULL;
    quern_status status = set_up(comm, from, node_size_max, error);
    if (status != QUERN_OK) {
        mpi_destroy(&comm->base);
        return status;
    }
    comm->initialised = initialised;
    *comm_out = &comm->base;
    return QUERN_OK;
}

quern_status qn_comm_create(const qn_comm_start *start, qn_comm **comm_out, qn_error *error)
{
    int initialised = 0, finalised = 0;
    MPI_TRY(MPI_Initialized(&initialised));
    MPI_TRY(MPI_Finalized(&finalised));
    if (finalised || (start->mpi_comm && !initialised))
        return qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "MPI is %s",
                            finalised ? "finalised already" : "not initialised");
    if (start->mpi_comm)
        return create_mpi(*(const MPI_Comm *)start->mpi_comm, false, start->node_size_max, comm_out, error);
    if (initialised)
        return create_mpi(MPI_COMM_WORLD, false, start->node_size_max, comm_out, error);
    qn_launch launch = qn_launch_query();
    bool alone = !launch.launched || (start->singleton && launch.rank_count <= 1);
    if (alone) {
        quern_status status = start->singleton ? QUERN_OK : qn_launch_check(&launch, 1, error);
        return status == QUERN_OK ? qn_comm_create_solo(comm_out, error) : status;
    }
    qn_launch_tune(&launch);
    int threads = MPI_THREAD_SINGLE;
    MPI_TRY(MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &threads));
    quern_status status = create_mpi(MPI_COMM_WORLD, true, start->node_size_max, comm_out, error);
    if (status == QUERN_OK && (status = qn_launch_check(&launch, (*comm_out)->size, error)) != QUERN_OK)
        qn_comm_destroy(*comm_out);
    return status;
}
