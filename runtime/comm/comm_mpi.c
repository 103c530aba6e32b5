/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The MPI backend. Communicators: one each for control messages, the collectives of begin and end, the counts of exchanges
 * and their payload, so that each is a strictly ordered sequence of its own whatever the others do.
 */
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/timeline.h"
#include "runtime/comm/guard.h"
#include "runtime/comm/loss_mpi.h"
#include "runtime/comm/mpi_internal.h"

#define TAG_MESSAGE      1
#define TAG_ANNOUNCEMENT 2
#define TAG_COLLECT      3
#define TAG_BEAT         4
#define PIECE_BYTES_MAX  ((size_t)1 << 30)   /* of one MPI call: counts are int */
#define START_NS_MAX     (300 * QN_NS_PER_S) /* of MPI, where a rank that dies before it has begun is not told of */
#define DRAIN_NS_MAX     (30 * QN_NS_PER_S)  /* of a request in a revoked communicator */

quern_status qn_mpi_fail(int code, const char *call, qn_error *error)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, text, &length);
    return qn_error_set(error, QUERN_ERROR_MPI, 0, "%s failed: %s", call, text);
}

static void revoke_all(qn_mpi_comm *comm)
{
    const qn_mpi_relays *relays = &comm->relays;
    MPI_Comm all[] = {comm->control,       comm->counts,         comm->payload,      comm->node,          comm->leads,
                      relays->near_counts, relays->near_payload, relays->far_counts, relays->far_payload, comm->job};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        qn_loss_revoke(all[i]);
}

/* A rank was lost, as we see, or are told by who does. By any thread. */
static quern_status note_loss(qn_mpi_comm *comm, qn_error *error)
{
    if (comm->base.on_loss == QN_LOSS_ENDS_JOB)
        qn_comm_end_job(&comm->base, QN_COMM_EXIT_LOST, "another rank was lost");
    if (!__atomic_exchange_n(&comm->base.is_broken, true, __ATOMIC_ACQ_REL)) {
        comm->base.broken_ns = qn_clock_ns();
        revoke_all(comm);
    }
    return qn_comm_fail_lost(error);
}

quern_status qn_mpi_comm_fail(qn_mpi_comm *comm, int code, const char *call, qn_error *error)
{
    return comm->base.tells_losses && qn_loss_is_code(code) ? note_loss(comm, error) : qn_mpi_fail(code, call, error);
}

static bool mpi_sees_loss(qn_comm *base)
{
    return qn_loss_is_seen(((qn_mpi_comm *)base)->job);
}

static bool mpi_speaks_for_living(qn_comm *base)
{
    return qn_loss_lowest_living(((qn_mpi_comm *)base)->job) == (int)base->rank;
}

/* MPI tells who waits for the dead, not who waits for those who wait for them. */
static quern_status look_for_loss(qn_mpi_comm *comm, qn_error *error)
{
    return qn_comm_sees_loss(&comm->base) ? note_loss(comm, error) : QUERN_OK;
}

void qn_mpi_drain(qn_mpi_comm *comm, MPI_Request *request)
{
    qn_backoff backoff = {0};
    uint64_t start_ns = qn_clock_ns();
    while (comm->base.tells_losses && *request != MPI_REQUEST_NULL) {
        int done = 0;
        MPI_Test(request, &done, MPI_STATUS_IGNORE);
        if (done)
            return;
        if (qn_clock_ns() - start_ns > DRAIN_NS_MAX)
            qn_comm_end_job(&comm->base, QN_COMM_EXIT_HUNG,
                            "MPI does not give back what was to be sent to a lost rank");
        qn_backoff_wait(&backoff);
    }
}

const char *qn_launch_shared_memory_transport(void)
{
#if defined(OMPI_MAJOR_VERSION) && OMPI_MAJOR_VERSION >= 5
    return "self,sm";
#else
    return "self,vader";
#endif
}

/* Waits without burning a core. */
static quern_status wait_asleep(qn_mpi_comm *comm, MPI_Request *request, qn_error *error)
{
    qn_backoff backoff = {0};
    for (;;) {
        int done = 0, code = MPI_Test(request, &done, MPI_STATUS_IGNORE);
        if (code == MPI_SUCCESS && done)
            return QUERN_OK;
        quern_status status =
            code == MPI_SUCCESS ? look_for_loss(comm, error) : qn_mpi_comm_fail(comm, code, "MPI_Test", error);
        if (status != QUERN_OK) {
            qn_mpi_drain(comm, request);
            return status;
        }
        comm->base.waits++;
        qn_backoff_wait(&backoff);
    }
}

static quern_status wait_for(qn_mpi_comm *comm, MPI_Request *request, qn_error *error)
{
    qn_timeline_state before = qn_timeline_enter(QN_TIMELINE_WAIT);
    quern_status status = wait_asleep(comm, request, error);
    qn_timeline_enter(before);
    return status;
}

static quern_status reap_sent(qn_mpi_comm *comm, qn_error *error)
{
    qn_mpi_outgoing **link = &comm->sending;
    while (*link) {
        qn_mpi_outgoing *sent = *link;
        int done = 0;
        COMM_TRY(MPI_Test(&sent->request, &done, MPI_STATUS_IGNORE));
        if (done) {
            *link = sent->next;
            free(sent);
        } else
            link = &sent->next;
    }
    return QUERN_OK;
}

static quern_status send_tagged(qn_mpi_comm *comm, uint32_t to, const void *data, size_t bytes, int tag,
                                qn_error *error)
{
    qn_mpi_outgoing *sent = malloc(sizeof *sent + bytes);
    if (!sent)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a control message");
    memcpy(sent->data, data, bytes);
    int code = MPI_Isend(sent->data, (int)bytes, MPI_BYTE, (int)to, tag, comm->control, &sent->request);
    if (code != MPI_SUCCESS) {
        free(sent);
        return qn_mpi_comm_fail(comm, code, "MPI_Isend", error);
    }
    sent->next = comm->sending;
    comm->sending = sent;
    return QUERN_OK;
}

static quern_status mpi_send(qn_comm *base, uint32_t to, const void *data, size_t bytes, qn_error *error)
{
    return send_tagged((qn_mpi_comm *)base, to, data, bytes, TAG_MESSAGE, error);
}

/* A binary tree: rank r passes on to 2r + 1 and 2r + 2. */
static quern_status mpi_announce(qn_comm *base, const void *data, size_t bytes, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (uint64_t to = 2 * (uint64_t)base->rank + 1; to <= 2 * (uint64_t)base->rank + 2; to++)
        if (to < base->size && status == QUERN_OK)
            status = send_tagged((qn_mpi_comm *)base, (uint32_t)to, data, bytes, TAG_ANNOUNCEMENT, error);
    return status;
}

static quern_status receive_matched(qn_mpi_comm *comm, MPI_Message *matched, MPI_Status *envelope, size_t *bytes_out,
                                    qn_error *error)
{
    int bytes = 0;
    COMM_TRY(MPI_Get_count(envelope, MPI_BYTE, &bytes));
    if ((size_t)bytes > comm->incoming_capacity) {
        uint8_t *larger = realloc(comm->incoming, (size_t)bytes);
        if (!larger)
            return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a control message");
        comm->incoming = larger;
        comm->incoming_capacity = (size_t)bytes;
    }
    MPI_Request request;
    COMM_TRY(MPI_Imrecv(comm->incoming, bytes, MPI_BYTE, matched, &request));
    *bytes_out = (size_t)bytes;
    return wait_for(comm, &request, error); /* for who sent it, who may die meanwhile */
}

static quern_status mpi_poll(qn_comm *base, const void **data_out, size_t *bytes_out, uint32_t *from_out,
                             qn_error *error)
{
    qn_mpi_comm *comm = (qn_mpi_comm *)base;
    MPI_Message matched;
    MPI_Status envelope;
    int here = 0;
    *data_out = NULL;
    quern_status status = look_for_loss(comm, error);
    if (status == QUERN_OK)
        status = reap_sent(comm, error);
    if (status != QUERN_OK)
        return status;
    COMM_TRY(MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm->control, &here, &matched, &envelope));
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

static quern_status broadcast_on(qn_mpi_comm *comm, MPI_Comm on, void *data, size_t bytes, uint32_t root,
                                 qn_error *error)
{
    quern_status status = QUERN_OK;
    for (size_t done = 0; done < bytes && status == QUERN_OK; done += PIECE_BYTES_MAX) {
        size_t piece = bytes - done < PIECE_BYTES_MAX ? bytes - done : PIECE_BYTES_MAX;
        MPI_Request request;
        COMM_TRY(MPI_Ibcast((uint8_t *)data + done, (int)piece, MPI_BYTE, (int)root, on, &request));
        status = wait_for(comm, &request, error);
    }
    return status;
}

static quern_status mpi_broadcast(qn_comm *base, void *data, size_t bytes, uint32_t root, qn_error *error)
{
    qn_mpi_comm *comm = (qn_mpi_comm *)base;
    return broadcast_on(comm, comm->job, data, bytes, root, error);
}

static quern_status mpi_broadcast_within(qn_comm *base, qn_comm_scope scope, void *data, size_t bytes, uint32_t root,
                                         qn_error *error)
{
    qn_mpi_comm *comm = (qn_mpi_comm *)base;
    MPI_Comm on = scope == QN_COMM_NODE ? comm->node : comm->leads;
    return on == MPI_COMM_NULL ? QUERN_OK : broadcast_on(comm, on, data, bytes, root, error);
}

static quern_status mpi_reduce(qn_comm *base, uint64_t *numbers, size_t count, int operation, qn_error *error)
{
    qn_mpi_comm *comm = (qn_mpi_comm *)base;
    MPI_Request request;
    COMM_TRY(MPI_Iallreduce(MPI_IN_PLACE, numbers, (int)count, MPI_UINT64_T,
                            operation == QN_COMM_SUM ? MPI_SUM : MPI_MAX, comm->job, &request));
    return wait_for(comm, &request, error);
}

static quern_status mpi_gather(qn_comm *base, const void *mine, size_t bytes, void *all_out, qn_error *error)
{
    qn_mpi_comm *comm = (qn_mpi_comm *)base;
    MPI_Request request;
    QN_ASSERT(bytes <= PIECE_BYTES_MAX);
    COMM_TRY(MPI_Igather(mine, (int)bytes, MPI_BYTE, all_out, (int)bytes, MPI_BYTE, 0, comm->job, &request));
    return wait_for(comm, &request, error);
}

static quern_status mpi_gather_node(qn_comm *base, const void *mine, size_t bytes, void *all_out, qn_error *error)
{
    qn_mpi_comm *comm = (qn_mpi_comm *)base;
    MPI_Request request;
    QN_ASSERT(bytes <= PIECE_BYTES_MAX);
    COMM_TRY(MPI_Iallgather(mine, (int)bytes, MPI_BYTE, all_out, (int)bytes, MPI_BYTE, comm->node, &request));
    return wait_for(comm, &request, error);
}

static quern_status send_pieces(qn_mpi_comm *comm, const uint8_t *data, size_t bytes, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (size_t done = 0; done < bytes && status == QUERN_OK; done += PIECE_BYTES_MAX) {
        size_t piece = bytes - done < PIECE_BYTES_MAX ? bytes - done : PIECE_BYTES_MAX;
        MPI_Request request;
        COMM_TRY(MPI_Isend(data + done, (int)piece, MPI_BYTE, 0, TAG_COLLECT, comm->job, &request));
        status = wait_for(comm, &request, error);
    }
    return status;
}

static quern_status receive_pieces(qn_mpi_comm *comm, uint8_t *data, size_t bytes, uint32_t from, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (size_t done = 0; done < bytes && status == QUERN_OK; done += PIECE_BYTES_MAX) {
        size_t piece = bytes - done < PIECE_BYTES_MAX ? bytes - done : PIECE_BYTES_MAX;
        MPI_Request request;
        COMM_TRY(MPI_Irecv(data + done, (int)piece, MPI_BYTE, (int)from, TAG_COLLECT, comm->job, &request));
        status = wait_for(comm, &request, error);
    }
    return status;
}

/* Rank 0's part of a collect: everybody's bytes behind each other. sizes: [size]. */
static quern_status receive_all(qn_mpi_comm *comm, const void *mine, const uint64_t *sizes, uint8_t *all,
                                qn_error *error)
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
    qn_mpi_comm *comm = (qn_mpi_comm *)base;
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

static quern_status expect_beat(qn_mpi_comm *comm, qn_error *error)
{
    COMM_TRY(MPI_Irecv(&comm->ring.received, (int)sizeof comm->ring.received, MPI_BYTE,
                       next_node(&comm->base, comm->base.node_count - 1), TAG_BEAT, comm->leads,
                       &comm->ring.receiving));
    return QUERN_OK;
}

static quern_status send_beat(qn_mpi_comm *comm, const qn_comm_beat *beat, qn_error *error)
{
    int is_gone = 1;
    if (comm->ring.is_open)
        COMM_TRY(MPI_Test(&comm->ring.sending, &is_gone, MPI_STATUS_IGNORE));
    if (!is_gone)
        return QUERN_OK; /* one at a time: nothing piles up before a node that does not answer */
    comm->ring.sent = *beat;
    COMM_TRY(MPI_Isend(&comm->ring.sent, (int)sizeof comm->ring.sent, MPI_BYTE, next_node(&comm->base, 1), TAG_BEAT,
                       comm->leads, &comm->ring.sending));
    return QUERN_OK;
}

static quern_status mpi_beat(qn_comm *base, const qn_comm_beat *mine, qn_comm_beat *theirs_out, qn_error *error)
{
    qn_mpi_comm *comm = (qn_mpi_comm *)base;
    qn_comm_beat newest = {0};
    quern_status status = send_beat(comm, mine, error);
    if (status == QUERN_OK && !comm->ring.is_open)
        status = expect_beat(comm, error);
    comm->ring.is_open = true;
    for (int here = 1; status == QUERN_OK && comm->ring.receiving != MPI_REQUEST_NULL;) {
        COMM_TRY(MPI_Test(&comm->ring.receiving, &here, MPI_STATUS_IGNORE));
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
    qn_mpi_comm *comm = (qn_mpi_comm *)base;
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

void qn_mpi_free_comm(MPI_Comm *comm)
{
    if (*comm != MPI_COMM_NULL)
        MPI_Comm_free(comm);
}

static void free_comms(qn_mpi_comm *comm)
{
    qn_mpi_free_comm(&comm->control);
    qn_mpi_free_comm(&comm->job);
    qn_mpi_free_comm(&comm->counts);
    qn_mpi_free_comm(&comm->payload);
    qn_mpi_free_comm(&comm->node);
    qn_mpi_free_comm(&comm->leads);
    qn_mpi_forget_relays(comm);
}

/* Where losses are told of MPI_Finalize does not wait for the others. */
static void meet_before_end(qn_mpi_comm *comm)
{
    qn_error ignored = {0};
    uint64_t nothing = 0;
    comm->base.on_loss = QN_LOSS_FAILS;
    if (comm->base.tells_losses && !qn_comm_is_broken(&comm->base))
        mpi_reduce(&comm->base, &nothing, 1, QN_COMM_SUM, &ignored);
}

/* Takes what others sent to the end of a run that failed, and nobody read: a long message would keep its sender here. A rank joins the barrier when
 * all of its own were taken, so behind it there are none. Not if MPI is broken. */
static void empty_mail(qn_mpi_comm *comm)
{
    qn_backoff backoff = {0};
    MPI_Request others = MPI_REQUEST_NULL;
    bool has_joined = false;
    int all = comm->control == MPI_COMM_NULL || qn_comm_is_broken(&comm->base);
    while (!all) {
        qn_error ignored = {0};
        const void *data;
        size_t bytes;
        uint32_t from;
        if (mpi_poll(&comm->base, &data, &bytes, &from, &ignored) != QUERN_OK)
            return;
        if (!comm->sending && !has_joined) {
            has_joined = true;
            if (MPI_Ibarrier(comm->control, &others) != MPI_SUCCESS)
                return;
        }
        if (has_joined && MPI_Test(&others, &all, MPI_STATUS_IGNORE) != MPI_SUCCESS)
            return;
        if (!all && !data)
            qn_backoff_wait(&backoff);
    }
}

static void mpi_destroy(qn_comm *base)
{
    qn_mpi_comm *comm = (qn_mpi_comm *)base;
    empty_mail(comm);
    if (comm->initialised)
        meet_before_end(comm);
    free_comms(comm);
    if (comm->first != MPI_GROUP_NULL)
        MPI_Group_free(&comm->first);
    if (comm->initialised)
        MPI_Finalize();
    free(comm->incoming);
    free(comm);
}

static bool mpi_share_hdf5(const qn_comm *base, int64_t access_list)
{
#ifdef H5_HAVE_PARALLEL
    return H5Pset_fapl_mpio((hid_t)access_list, ((const qn_mpi_comm *)base)->job, MPI_INFO_NULL) >= 0;
#else
    (void)base, (void)access_list;
    return false;
#endif
}

quern_status qn_mpi_duplicate(MPI_Comm from, MPI_Comm *to_out, qn_error *error)
{
    MPI_TRY(MPI_Comm_dup(from, to_out));
    MPI_TRY(MPI_Comm_set_errhandler(*to_out, MPI_ERRORS_RETURN));
    return QUERN_OK;
}

/* The ranks that share memory; node_size_max: of each such node at most so many are taken for one. */
static quern_status split_nodes(qn_mpi_comm *comm, int rank, uint32_t node_size_max, qn_error *error)
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

static quern_status split_leads(qn_mpi_comm *comm, uint32_t leads, int rank, qn_error *error)
{
    MPI_TRY(MPI_Comm_split(comm->job, leads ? 0 : MPI_UNDEFINED, rank, &comm->leads));
    if (leads)
        MPI_TRY(MPI_Comm_set_errhandler(comm->leads, MPI_ERRORS_RETURN));
    return QUERN_OK;
}

/* Ranks, and which of them share a node. */
static quern_status learn_places(qn_mpi_comm *comm, uint32_t node_size_max, qn_error *error)
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

/* The communicators, and who this rank is in them. */
static quern_status set_up(qn_mpi_comm *comm, MPI_Comm from, qn_error *error)
{
    MPI_Comm *all[] = {&comm->job, &comm->control, &comm->counts, &comm->payload};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        quern_status status = qn_mpi_duplicate(from, all[i], error);
        if (status != QUERN_OK)
            return status;
    }
    quern_status status = learn_places(comm, comm->node_size_max, error);
    return status == QUERN_OK ? qn_mpi_learn_relays(comm, error) : status;
}

/* ---- after a loss */

static quern_status mpi_conclude(qn_comm *base, uint32_t *flags, bool *is_lost_out, qn_error *error)
{
    qn_mpi_comm *comm = (qn_mpi_comm *)base;
    MPI_Request request;
    qn_backoff backoff = {0};
    int all = (int)*flags, done = 0;
    int code = qn_loss_agree_start(comm->job, &all, &request);
    while (code == MPI_SUCCESS && !done) {
        code = MPI_Test(&request, &done, MPI_STATUS_IGNORE);
        base->waits++;
        if (!done)
            qn_backoff_wait(&backoff);
    }
    if (code != MPI_SUCCESS && !qn_loss_is_code(code))
        return qn_mpi_fail(code, "MPIX_Comm_iagree", error);
    *flags = (uint32_t)all;
    *is_lost_out = code != MPI_SUCCESS;
    if (*is_lost_out)
        note_loss(comm, &(qn_error){
                            0}); /* that all know: whoever had not noticed must not begin anything in there any more */
    return QUERN_OK;
}

/* What was on its way is MPI's no longer. */
static void give_up_messages(qn_mpi_comm *comm)
{
    while (comm->sending) {
        qn_mpi_outgoing *sent = comm->sending;
        comm->sending = sent->next;
        qn_mpi_drain(comm, &sent->request);
        free(sent);
    }
    qn_mpi_drain(comm, &comm->ring.sending);
    qn_mpi_drain(comm, &comm->ring.receiving);
    comm->ring.is_open = false;
}

static quern_status name_lost(qn_mpi_comm *comm, MPI_Group before, qn_comm_loss *loss_out, qn_error *error)
{
    MPI_Group now, lost;
    int count = 0, places[QN_COMM_LOST_NAMED_MAX], names[QN_COMM_LOST_NAMED_MAX], root = 0, root_now = 0;
    MPI_TRY(MPI_Comm_group(comm->job, &now));
    MPI_TRY(MPI_Group_difference(before, now, &lost));
    MPI_TRY(MPI_Group_size(lost, &count));
    MPI_TRY(MPI_Group_translate_ranks(before, 1, &root, now, &root_now));
    *loss_out = (qn_comm_loss){
        .lost_count = (uint32_t)count, .survivor_count = comm->base.size, .lost_root = root_now == MPI_UNDEFINED};
    int named = count < QN_COMM_LOST_NAMED_MAX ? count : QN_COMM_LOST_NAMED_MAX;
    for (int i = 0; i < named; i++)
        places[i] = i;
    MPI_TRY(MPI_Group_translate_ranks(lost, named, places, comm->first, names));
    for (int i = 0; i < named; i++)
        loss_out->lost[i] = (uint32_t)names[i];
    MPI_Group_free(&now);
    MPI_Group_free(&lost);
    return QUERN_OK;
}

/* All communicators anew, from one that only the living are in; *is_whole_out: on all ranks. Who fails lets nobody wait. */
static quern_status set_up_together(qn_mpi_comm *comm, MPI_Comm from, bool *is_whole_out, qn_error *error)
{
    MPI_Request request;
    qn_error ignored = {0};
    int is_whole = set_up(comm, from, &ignored) == QUERN_OK;
    if (!is_whole) {
        revoke_all(comm);
        qn_loss_revoke(from);
    }
    int code = qn_loss_agree_start(from, &is_whole, &request);
    if (code == MPI_SUCCESS)
        code = MPI_Wait(&request, MPI_STATUS_IGNORE);
    if (code != MPI_SUCCESS && !qn_loss_is_code(code))
        return qn_mpi_fail(code, "MPIX_Comm_iagree", error);
    *is_whole_out = is_whole;
    return QUERN_OK;
}

/* Others may die meanwhile: then it is done once more. */
static quern_status mpi_recover(qn_comm *base, qn_comm_loss *loss_out, qn_error *error)
{
    qn_mpi_comm *comm = (qn_mpi_comm *)base;
    MPI_Comm from = comm->job, shrunk = MPI_COMM_NULL;
    MPI_Group before;
    bool is_whole = false;
    quern_status status = QUERN_OK;
    MPI_TRY(MPI_Comm_group(from, &before));
    give_up_messages(comm);
    comm->job = MPI_COMM_NULL;
    free_comms(comm);
    while (status == QUERN_OK && !is_whole) {
        MPI_TRY(qn_loss_shrink(from, &shrunk));
        MPI_TRY(MPI_Comm_set_errhandler(shrunk, MPI_ERRORS_RETURN));
        MPI_Comm_free(&from);
        from = shrunk;
        status = set_up_together(comm, from, &is_whole, error);
        if (!is_whole)
            free_comms(comm);
    }
    MPI_Comm_free(&from);
    if (status == QUERN_OK)
        status = name_lost(comm, before, loss_out, error);
    MPI_Group_free(&before);
    __atomic_store_n(&base->is_broken, false, __ATOMIC_RELEASE);
    return status;
}

/* ---- */

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
    .exchange_start = qn_mpi_exchange_start,
    .exchange_test = qn_mpi_exchange_test,
    .exchange_abandon = qn_mpi_exchange_abandon,
    .sees_loss = mpi_sees_loss,
    .speaks_for_living = mpi_speaks_for_living,
    .conclude = mpi_conclude,
    .recover = mpi_recover,
};

static quern_status learn_mpi(qn_mpi_comm *comm, MPI_Comm from, qn_error *error)
{
    int threads = MPI_THREAD_SINGLE;
    MPI_TRY(MPI_Query_thread(&threads));
    MPI_TRY(MPI_Comm_group(from, &comm->first));
    comm->base.helper_allowed = threads >= MPI_THREAD_SERIALIZED;
    comm->base.threads_allowed = threads == MPI_THREAD_MULTIPLE;
    comm->base.tells_losses = qn_loss_is_told();
    comm->base.on_loss = comm->base.in_host ? QN_LOSS_FAILS : QN_LOSS_ENDS_JOB;
    return QUERN_OK;
}

static quern_status create_mpi(MPI_Comm from, bool initialised, uint32_t node_size_max, qn_comm **comm_out,
                               qn_error *error)
{
    qn_mpi_comm *comm = calloc(1, sizeof *comm);
    if (!comm)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a communicator");
    comm->base.ops = &mpi_ops;
    comm->base.in_host = !initialised;
    comm->control = comm->job = comm->counts = comm->payload = comm->node = comm->leads = MPI_COMM_NULL;
    comm->relays.near_counts = comm->relays.near_payload = MPI_COMM_NULL;
    comm->relays.far_counts = comm->relays.far_payload = MPI_COMM_NULL;
    comm->ring.sending = comm->ring.receiving = MPI_REQUEST_NULL;
    comm->first = MPI_GROUP_NULL;
    comm->node_size_max = node_size_max;
    quern_status status = learn_mpi(comm, from, error);
    if (status == QUERN_OK)
        status = set_up(comm, from, error);
    if (status != QUERN_OK) {
        mpi_destroy(&comm->base);
        return status;
    }
    comm->initialised = initialised;
    comm->base.first_rank = comm->base.rank;
    *comm_out = &comm->base;
    return QUERN_OK;
}

static quern_status init_mpi(bool lets_live, qn_error *error)
{
    int threads = MPI_THREAD_SINGLE;
    MPI_TRY(MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &threads));
    if (lets_live)
        MPI_TRY(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    return QUERN_OK;
}

/* Where losses are told of, a rank that dies before MPI has begun is not. */
static quern_status start_mpi(const qn_launch *launch, uint32_t node_size_max, qn_comm **comm_out, qn_error *error)
{
    qn_guard guard = {0};
    qn_launch_tune(launch);
    if (launch->lets_live)
        qn_guard_start(&guard, NULL, START_NS_MAX, QN_COMM_EXIT_HUNG,
                       "MPI does not start: another rank may have died before it did");
    quern_status status = init_mpi(launch->lets_live, error);
    if (status == QUERN_OK)
        status = create_mpi(MPI_COMM_WORLD, true, node_size_max, comm_out, error);
    qn_guard_stop(&guard);
    if (status == QUERN_ERROR_MPI && launch->lets_live)
        qn_comm_end_job(NULL, QN_COMM_EXIT_LOST, error->text);
    return status;
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
    quern_status status = start_mpi(&launch, start->node_size_max, comm_out, error);
    if (status == QUERN_OK && (status = qn_launch_check(&launch, (*comm_out)->size, error)) != QUERN_OK)
        qn_comm_destroy(*comm_out);
    return status;
}
