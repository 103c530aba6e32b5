/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/faults/fault_comm.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/comm/backend.h"
#include "runtime/engine/message.h"
#include "tools/faults/fault_world.h"

#define FAST_NS      20000 /* most messages take up to so long */
#define LOOK_NS      300
#define WAIT_NS      30000
#define SLOW_PERCENT 4

typedef struct packet {
    struct packet *next;
    uint64_t arrives_ns;
    uint32_t from;
    bool is_announcement;
    size_t bytes;
    uint8_t data[];
} packet;

/* A collective, or (round) an exchange: what each rank brought. */
typedef struct meeting {
    struct meeting *next;
    qn_comm_scope scope;
    uint32_t node; /* of scope NODE */
    bool is_round, is_job;
    uint64_t number;
    uint32_t member_count, came_count, left_count;
    bool came[QN_FAULT_RANKS_MAX], paid[QN_FAULT_RANKS_MAX];
    size_t bytes[QN_FAULT_RANKS_MAX];
    uint8_t *brought[QN_FAULT_RANKS_MAX];
    uint8_t *payload[QN_FAULT_RANKS_MAX]; /* of a round: [rank_count][stride] */
    uint64_t ready_ns[QN_FAULT_RANKS_MAX];
} meeting;

typedef struct fault_comm {
    qn_comm base;
    uint64_t meetings, node_meetings, lead_meetings, rounds; /* that this rank came to */
    uint32_t node_of[QN_FAULT_RANKS_MAX];
    packet *taken;
} fault_comm;

/* What is between the ranks. */
static struct {
    packet *first[QN_FAULT_RANKS_MAX]; /* to each */
    uint64_t last_ns[QN_FAULT_RANKS_MAX][QN_FAULT_RANKS_MAX];
    meeting *meetings;
} net;

static uint64_t draw_latency_ns(void)
{
    uint64_t slow_ns = qn_fault_get_weather()->slow_ns;
    return 500 + qn_fault_below(slow_ns > 0 && qn_fault_below(100) < SLOW_PERCENT ? slow_ns : FAST_NS);
}

static quern_status no_memory(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a message");
}

/* ---- messages */

static void trace_message(const char *what, uint32_t other, const void *data, size_t bytes)
{
    static const char *const names[] = {
        [QN_MESSAGE_TASK] = "TASK",       [QN_MESSAGE_DONE] = "DONE",       [QN_MESSAGE_FAILED] = "FAILED",
        [QN_MESSAGE_HELPER] = "HELPER",   [QN_MESSAGE_LENT] = "LENT",       [QN_MESSAGE_RETURNED] = "RETURNED",
        [QN_MESSAGE_WANT_ROUND] = "WANT", [QN_MESSAGE_ROUND] = "ROUND",     [QN_MESSAGE_IDLE] = "IDLE",
        [QN_MESSAGE_PAUSE] = "PAUSE",     [QN_MESSAGE_GIVEN_BACK] = "BACK", [QN_MESSAGE_SUSPEND] = "SUSPEND",
        [QN_MESSAGE_END] = "END",         [QN_MESSAGE_BROKEN] = "BROKEN",   [QN_MESSAGE_ABORT] = "ABORT",
    };
    uint32_t words[4] = {0};
    memcpy(words, data, bytes < sizeof words ? bytes : sizeof words);
    const char *name = words[0] < sizeof names / sizeof *names && names[words[0]] ? names[words[0]] : "?";
    qn_fault_trace("%s %u: %s of stage %u, %u, %u", what, other, name, words[1], words[2], words[3]);
}

static quern_status post(qn_comm *comm, uint32_t to, const void *data, size_t bytes, bool is_announcement,
                         qn_error *error)
{
    packet *sent = malloc(sizeof *sent + bytes);
    if (!sent)
        return no_memory(error);
    qn_fault_at(QN_FAULT_SENDING);
    trace_message("to", to, data, bytes);
    uint64_t *last_ns = &net.last_ns[comm->rank][to];
    uint64_t arrives_ns = qn_fault_now_ns() + draw_latency_ns();
    *last_ns = arrives_ns > *last_ns ? arrives_ns : *last_ns;
    *sent = (packet){.arrives_ns = *last_ns, .from = comm->rank, .is_announcement = is_announcement, .bytes = bytes};
    memcpy(sent->data, data, bytes);
    packet **link = &net.first[to];
    while (*link && (*link)->arrives_ns <= sent->arrives_ns)
        link = &(*link)->next;
    sent->next = *link;
    *link = sent;
    return QUERN_OK;
}

static quern_status fault_send(qn_comm *comm, uint32_t to, const void *data, size_t bytes, qn_error *error)
{
    return post(comm, to, data, bytes, false, error);
}

static quern_status fault_announce(qn_comm *comm, const void *data, size_t bytes, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (uint32_t to = 2 * comm->rank + 1; to <= 2 * comm->rank + 2; to++)
        if (to < comm->size && status == QUERN_OK)
            status = post(comm, to, data, bytes, true, error);
    return status;
}

static quern_status fault_poll(qn_comm *base, const void **data_out, size_t *bytes_out, uint32_t *from_out,
                               qn_error *error)
{
    fault_comm *comm = (fault_comm *)base;
    quern_status status = QUERN_OK;
    free(comm->taken);
    comm->taken = NULL;
    *data_out = NULL;
    qn_fault_sleep(LOOK_NS);
    packet *here = net.first[base->rank];
    if (!here || here->arrives_ns > qn_fault_now_ns())
        return QUERN_OK;
    net.first[base->rank] = here->next;
    comm->taken = here;
    trace_message("from", here->from, here->data, here->bytes);
    qn_fault_at(QN_FAULT_RECEIVING);
    if (here->is_announcement)
        status = fault_announce(base, here->data, here->bytes, error);
    *data_out = here->data;
    *bytes_out = here->bytes;
    *from_out = here->is_announcement ? 0 : here->from;
    return status;
}

/* ---- meetings */

/* A rank's number among those of a meeting. */
static uint32_t member_of(const qn_comm *comm, const meeting *at)
{
    return at->is_job || at->is_round ? comm->rank : at->scope == QN_COMM_NODE ? comm->node_rank : comm->node;
}

static meeting *find_meeting(const meeting *like)
{
    for (meeting *at = net.meetings; at; at = at->next)
        if (at->number == like->number && at->is_round == like->is_round && at->is_job == like->is_job &&
            at->scope == like->scope && at->node == like->node)
            return at;
    meeting *made = malloc(sizeof *made);
    if (!made)
        abort();
    *made = *like;
    made->next = net.meetings;
    net.meetings = made;
    return made;
}

static void *copy_of(const void *data, size_t bytes)
{
    void *copy = malloc(bytes + 1);
    if (!copy)
        abort();
    if (bytes > 0)
        memcpy(copy, data, bytes);
    return copy;
}

static void come(const qn_comm *comm, meeting *at, const void *brought, size_t bytes)
{
    uint32_t self = member_of(comm, at);
    at->came[self] = true;
    at->came_count++;
    at->bytes[self] = bytes;
    at->brought[self] = copy_of(brought, bytes);
}

static void leave(meeting *at)
{
    if (++at->left_count < at->member_count)
        return;
    meeting **link = &net.meetings;
    while (*link != at)
        link = &(*link)->next;
    *link = at->next;
    for (uint32_t i = 0; i < QN_FAULT_RANKS_MAX; i++) {
        free(at->brought[i]);
        free(at->payload[i]);
    }
    free(at);
}

static meeting *join(fault_comm *comm, bool is_job, qn_comm_scope scope, const void *brought, size_t bytes)
{
    const qn_comm *base = &comm->base;
    bool is_node = !is_job && scope == QN_COMM_NODE;
    uint64_t *number = is_job ? &comm->meetings : is_node ? &comm->node_meetings : &comm->lead_meetings;
    meeting like = {.is_job = is_job,
                    .scope = scope,
                    .node = is_node ? base->node : 0,
                    .number = (*number)++,
                    .member_count = is_job    ? base->size
                                    : is_node ? base->node_size
                                              : base->node_count};
    qn_fault_trace("meets %s", is_job ? "all" : is_node ? "its node" : "the first ones");
    qn_fault_at(QN_FAULT_MEETING);
    meeting *at = find_meeting(&like);
    come(base, at, brought, bytes);
    return at;
}

static void wait_for(qn_comm *comm, const bool *came, uint32_t count)
{
    uint64_t since_ns = qn_fault_now_ns();
    for (uint32_t i = 0; i < count; i++)
        while (!came[i]) {
            comm->waits++;
            qn_fault_sleep(1 + qn_fault_below(WAIT_NS + (qn_fault_now_ns() - since_ns) / 4));
        }
    qn_fault_sleep(draw_latency_ns());
}

static quern_status spread(fault_comm *comm, bool is_job, qn_comm_scope scope, void *data, size_t bytes, uint32_t root)
{
    meeting *at = join(comm, is_job, scope, data, bytes);
    if (member_of(&comm->base, at) != root) {
        wait_for(&comm->base, &at->came[root], 1);
        memcpy(data, at->brought[root], bytes < at->bytes[root] ? bytes : at->bytes[root]);
    }
    leave(at);
    return QUERN_OK;
}

static quern_status fault_broadcast(qn_comm *base, void *data, size_t bytes, uint32_t root, qn_error *error)
{
    (void)error;
    return spread((fault_comm *)base, true, QN_COMM_NODE, data, bytes, root);
}

static quern_status fault_broadcast_within(qn_comm *base, qn_comm_scope scope, void *data, size_t bytes, uint32_t root,
                                           qn_error *error)
{
    (void)error;
    return spread((fault_comm *)base, false, scope, data, bytes, root);
}

static quern_status fault_reduce(qn_comm *base, uint64_t *numbers, size_t count, int operation, qn_error *error)
{
    (void)error;
    meeting *at = join((fault_comm *)base, true, QN_COMM_NODE, numbers, count * sizeof *numbers);
    wait_for(base, at->came, base->size);
    for (uint32_t rank = 0; rank < base->size; rank++) {
        const uint64_t *theirs = (const uint64_t *)(const void *)at->brought[rank];
        for (size_t i = 0; i < count; i++) {
            uint64_t before = rank == 0 ? 0 : numbers[i];
            numbers[i] = operation == QN_COMM_SUM ? before + theirs[i] : before > theirs[i] ? before : theirs[i];
        }
    }
    leave(at);
    return QUERN_OK;
}

/* All that was brought, one behind the other. */
static void lay_out(const meeting *at, uint8_t *all_out)
{
    for (uint32_t i = 0; i < at->member_count; i++) {
        memcpy(all_out, at->brought[i], at->bytes[i]);
        all_out += at->bytes[i];
    }
}

static quern_status fault_gather(qn_comm *base, const void *mine, size_t bytes, void *all_out, qn_error *error)
{
    (void)error;
    meeting *at = join((fault_comm *)base, true, QN_COMM_NODE, mine, bytes);
    if (base->rank == 0) {
        wait_for(base, at->came, base->size);
        lay_out(at, all_out);
    }
    leave(at);
    return QUERN_OK;
}

static quern_status fault_gather_node(qn_comm *base, const void *mine, size_t bytes, void *all_out, qn_error *error)
{
    (void)error;
    meeting *at = join((fault_comm *)base, false, QN_COMM_NODE, mine, bytes);
    wait_for(base, at->came, base->node_size);
    lay_out(at, all_out);
    leave(at);
    return QUERN_OK;
}

static quern_status fault_collect(qn_comm *base, const void *mine, size_t bytes, void **all_out, size_t *bytes_out,
                                  qn_error *error)
{
    meeting *at = join((fault_comm *)base, true, QN_COMM_NODE, mine, bytes);
    *all_out = NULL;
    *bytes_out = 0;
    if (base->rank == 0) {
        wait_for(base, at->came, base->size);
        for (uint32_t i = 0; i < base->size; i++)
            *bytes_out += at->bytes[i];
        if (!(*all_out = malloc(*bytes_out + 1)))
            return no_memory(error);
        lay_out(at, *all_out);
    }
    leave(at);
    return QUERN_OK;
}

/* ---- rounds of the shuffle */

static meeting **meeting_of(qn_exchange *exchange)
{
    return exchange->backend; /* it has room for more */
}

static quern_status fault_exchange_start(qn_exchange *exchange, qn_error *error)
{
    fault_comm *comm = (fault_comm *)exchange->comm;
    (void)error;
    qn_fault_at(QN_FAULT_ROUND);
    meeting like = {.is_round = true, .number = comm->rounds++, .member_count = comm->base.size};
    meeting *at = find_meeting(&like);
    qn_fault_trace("begins round %llu of all", (unsigned long long)like.number);
    come(&comm->base, at, exchange->sent, comm->base.size * sizeof *exchange->sent);
    *meeting_of(exchange) = at;
    exchange->state = QN_EXCHANGE_COUNTS;
    return QUERN_OK;
}

static void see_counts(qn_exchange *exchange, meeting *at)
{
    const qn_comm *comm = exchange->comm;
    for (uint32_t from = 0; from < comm->size; from++)
        memcpy(&exchange->received[from], at->brought[from] + comm->rank * sizeof(uint64_t), sizeof(uint64_t));
    qn_fault_at(QN_FAULT_ROUND);
    at->payload[comm->rank] = copy_of(exchange->send_chunks, exchange->stride * comm->size);
    at->paid[comm->rank] = true;
    at->ready_ns[comm->rank] = 0;
    exchange->state = QN_EXCHANGE_PAYLOAD;
}

static void take_payload(qn_exchange *exchange, meeting *at)
{
    const qn_comm *comm = exchange->comm;
    for (uint32_t from = 0; from < comm->size; from++)
        memcpy(exchange->receive_chunks + from * exchange->stride, at->payload[from] + comm->rank * exchange->stride,
               exchange->received[from] & QN_EXCHANGE_BYTES_MASK);
    exchange->state = QN_EXCHANGE_DONE;
    leave(at);
}

/* Everybody came, and it took its time. */
static bool is_here(const qn_comm *comm, meeting *at, const bool *came)
{
    for (uint32_t i = 0; i < comm->size; i++)
        if (!came[i])
            return false;
    uint64_t *ready_ns = &at->ready_ns[comm->rank];
    if (*ready_ns == 0)
        *ready_ns = qn_fault_now_ns() + draw_latency_ns();
    return qn_fault_now_ns() >= *ready_ns;
}

static quern_status fault_exchange_test(qn_exchange *exchange, qn_error *error)
{
    (void)error;
    meeting *at = *meeting_of(exchange);
    if (exchange->state == QN_EXCHANGE_COUNTS && is_here(exchange->comm, at, at->came))
        see_counts(exchange, at);
    if (exchange->state == QN_EXCHANGE_PAYLOAD && is_here(exchange->comm, at, at->paid))
        take_payload(exchange, at);
    return QUERN_OK;
}

/* ---- the rest */

static bool fault_share_hdf5(const qn_comm *base, int64_t access_list)
{
    (void)base, (void)access_list;
    return false;
}

static quern_status fault_beat(qn_comm *base, const qn_comm_beat *mine, qn_comm_beat *theirs_out, qn_error *error)
{
    (void)base, (void)mine, (void)error;
    *theirs_out = (qn_comm_beat){0};
    return QUERN_OK;
}

static quern_status fault_end_beats(qn_comm *base, qn_error *error)
{
    (void)base, (void)error;
    return QUERN_OK;
}

static void fault_destroy(qn_comm *base)
{
    fault_comm *comm = (fault_comm *)base;
    free(comm->taken);
    free(comm);
}

static const qn_comm_ops fault_ops = {
    .destroy = fault_destroy,
    .send = fault_send,
    .announce = fault_announce,
    .poll = fault_poll,
    .broadcast = fault_broadcast,
    .broadcast_within = fault_broadcast_within,
    .reduce = fault_reduce,
    .gather = fault_gather,
    .gather_node = fault_gather_node,
    .collect = fault_collect,
    .share_hdf5 = fault_share_hdf5,
    .beat = fault_beat,
    .end_beats = fault_end_beats,
    .exchange_start = fault_exchange_start,
    .exchange_test = fault_exchange_test,
};

static uint32_t node_of(uint32_t rank)
{
    const qn_fault_weather *weather = qn_fault_get_weather();
    return rank * weather->node_count / weather->rank_count;
}

qn_comm *qn_fault_comm_create(void)
{
    const qn_fault_weather *weather = qn_fault_get_weather();
    fault_comm *comm = calloc(1, sizeof *comm);
    if (!comm)
        return NULL;
    qn_comm *base = &comm->base;
    *base = (qn_comm){
        .ops = &fault_ops, .rank = qn_fault_rank(), .size = weather->rank_count, .node_count = weather->node_count};
    base->node = node_of(base->rank);
    base->node_of = base->node_count > 1 ? comm->node_of : NULL;
    for (uint32_t rank = 0; rank < base->size; rank++) {
        comm->node_of[rank] = node_of(rank);
        base->node_rank += node_of(rank) == base->node && rank < base->rank;
        base->node_size += node_of(rank) == base->node;
    }
    return base;
}

/* Instead of that of comm.c, which would ask who launched this process. */
quern_status __wrap_qn_comm_create(const qn_comm_start *start, qn_comm **comm_out, qn_error *error);
quern_status __wrap_qn_comm_create(const qn_comm_start *start, qn_comm **comm_out, qn_error *error)
{
    (void)start;
    *comm_out = qn_fault_comm_create();
    return *comm_out ? QUERN_OK : no_memory(error);
}
