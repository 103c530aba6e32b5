/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/shuffle/rounds.h"

#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"

#define HEADER_BYTES         sizeof(qn_block_header)
#define COMPRESSED_BYTES_MIN 512 /* of rows: less is not worth a trial */

/* A row of another rank of which pieces have arrived. */
struct qn_rounds_partial {
    uint8_t *row;
    uint64_t row_bytes;
    uint64_t got_bytes;
};

static size_t stride_of(const qn_comm *comm, size_t round_bytes)
{
    size_t stride = (round_bytes / comm->size) & ~(size_t)63;
    return stride > QN_ROUNDS_CHUNK_BYTES_MIN ? stride : QN_ROUNDS_CHUNK_BYTES_MIN;
}

uint32_t qn_rounds_in_flight(const qn_comm *comm, size_t round_bytes)
{
    return stride_of(comm, round_bytes) < QN_ROUNDS_CHUNK_BYTES_GOOD ? 1 : QN_ROUNDS_IN_FLIGHT;
}

size_t qn_rounds_bytes(const qn_comm *comm, size_t round_bytes)
{
    size_t stride = stride_of(comm, round_bytes);
    return qn_rounds_in_flight(comm, round_bytes) * qn_exchange_bytes(comm, stride) +
           (comm->node_count > 1 ? stride : 0);
}

static qn_compression compression_of(const qn_comm *comm)
{
    if (comm->compress_links == QUERN_ON)
        return QN_COMPRESS_ALL;
    return comm->compress_links == QUERN_OFF ? QN_COMPRESS_NONE : QN_COMPRESS_WHERE_IT_PAYS;
}

quern_status qn_rounds_init(qn_rounds *rounds, qn_comm *comm, uint32_t value_words, size_t round_bytes,
                            qn_rounds_receive_fn receive, void *user, qn_error *error)
{
    size_t stride = stride_of(comm, round_bytes);
    *rounds =
        (qn_rounds){.comm = comm, .value_words = value_words, .last = UINT64_MAX, .receive = receive, .user = user};
    rounds->compressor = (qn_compressor){.compression = compression_of(comm), .goes_one_way = true};
    rounds->in_flight = qn_rounds_in_flight(comm, round_bytes);
    bool has_far = comm->node_count > 1;
    rounds->plain = has_far ? malloc(stride) : NULL;
    rounds->row_counts = calloc(comm->size, sizeof *rounds->row_counts);
    rounds->packed = calloc(comm->size, sizeof *rounds->packed);
    rounds->partial_sent_bytes = calloc(comm->size, sizeof *rounds->partial_sent_bytes);
    rounds->partial_received = calloc(comm->size, sizeof *rounds->partial_received);
    quern_status status = QUERN_OK;
    if (!rounds->row_counts || !rounds->packed || !rounds->partial_sent_bytes || !rounds->partial_received ||
        (has_far && !rounds->plain))
        status = qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the shuffle");
    for (uint32_t i = 0; i < rounds->in_flight && status == QUERN_OK; i++)
        status = qn_exchange_init(&rounds->exchanges[i], comm, stride, error);
    if (status != QUERN_OK)
        qn_rounds_fini(rounds);
    return status;
}

void qn_rounds_fini(qn_rounds *rounds)
{
    for (uint32_t i = 0; i < QN_ROUNDS_IN_FLIGHT; i++)
        qn_exchange_fini(&rounds->exchanges[i]);
    for (uint32_t from = 0; rounds->partial_received && from < rounds->comm->size; from++)
        free(rounds->partial_received[from].row);
    free(rounds->row_counts);
    free(rounds->plain);
    free(rounds->packed);
    free(rounds->partial_sent_bytes);
    free(rounds->partial_received);
    *rounds = (qn_rounds){0};
}

static qn_exchange *exchange_of(qn_rounds *rounds, uint64_t round)
{
    return &rounds->exchanges[round % rounds->in_flight];
}

bool qn_rounds_is_open(const qn_rounds *rounds)
{
    return rounds->exchanges[rounds->started % rounds->in_flight].state == QN_EXCHANGE_IDLE;
}

/* Of one pair of ranks in one round, so that what comes late or goes astray is noticed, too. */
static uint64_t place_of(uint64_t round, uint32_t from, uint32_t to)
{
    const uint64_t place[] = {round, (uint64_t)from << 32 | to};
    return qn_checksum(place, sizeof place, 0);
}

/* Of the round that is filled. */
static void sign_chunk(const qn_rounds *rounds, uint32_t to, qn_block_header *header)
{
    if (!rounds->comm->trusts_network)
        header->checksum = qn_block_sum(header, place_of(rounds->started, rounds->comm->rank, to));
}

/* Makes the payload smaller, if that pays. */
static void compress_chunk(qn_rounds *rounds, uint32_t to, qn_block_header *header)
{
    qn_compressor *compressor = &rounds->compressor;
    uint64_t raw_bytes = header->payload_bytes;
    compressor->disk_bytes = rounds->comm->link_bytes;
    compressor->disk_ns = rounds->comm->link_ns;
    if (qn_comm_is_near(rounds->comm, to) || raw_bytes < COMPRESSED_BYTES_MIN || !qn_compressor_wants(compressor))
        return;
    uint64_t start_ns = qn_clock_ns();
    uint64_t packed_bytes = qn_compress(header + 1, raw_bytes, rounds->plain, raw_bytes - 1);
    uint64_t ns = qn_clock_ns() - start_ns;
    rounds->compress_ns += ns;
    if (!qn_compressor_judge(compressor, raw_bytes, packed_bytes, ns))
        return;
    memcpy(header + 1, rounds->plain, packed_bytes);
    if (header->flags & QN_BLOCK_FRAGMENT)
        header->row_count = (uint32_t)raw_bytes;
    else
        header->row_bytes = raw_bytes;
    header->flags |= QN_BLOCK_LZ4;
    header->payload_bytes = packed_bytes;
}

/* Gives the bytes of it that are to be sent. */
static uint64_t seal_chunk(qn_rounds *rounds, uint32_t to, uint8_t *chunk, uint64_t bytes)
{
    qn_block_header *header = (qn_block_header *)chunk;
    if (rounds->row_counts[to] > 0)
        qn_block_fill(header, 0, rounds->row_counts[to], rounds->packed[to] ? QN_BLOCK_PACKED : rounds->value_words,
                      bytes - HEADER_BYTES, 0);
    compress_chunk(rounds, to, header);
    sign_chunk(rounds, to, header);
    return HEADER_BYTES + header->payload_bytes;
}

/* Copies bytes [from, from + bytes) of the row of a long key, as qn_row_encode() would write it. */
static void copy_row_piece(const qn_key *key, const uint64_t *value, uint32_t value_words, uint64_t from,
                           uint64_t bytes, uint8_t *to)
{
    uint64_t prefix[2 + QUERN_FIXED_BYTES_MAX / 8];
    uint64_t prefix_bytes = 8 * (2 + (uint64_t)value_words);
    prefix[0] = key->tag;
    memcpy(prefix + 1, value, 8 * (size_t)value_words);
    prefix[1 + value_words] = key->k1;
    uint64_t key_end = prefix_bytes + key->k1;
    for (uint64_t at = from; at < from + bytes;) {
        uint64_t left = from + bytes - at;
        uint64_t piece = left;
        if (at < prefix_bytes) {
            piece = left < prefix_bytes - at ? left : prefix_bytes - at;
            memcpy(to, (const uint8_t *)prefix + at, piece);
        } else if (at < key_end) {
            piece = left < key_end - at ? left : key_end - at;
            memcpy(to, (const uint8_t *)(uintptr_t)key->k0 + (at - prefix_bytes), piece);
        } else
            memset(to, 0, piece);
        to += piece;
        at += piece;
    }
}

/* A row that is larger than a chunk: one of a table, or a packed record. */
typedef struct giant {
    const qn_key *key;
    const uint64_t *value;
    const uint8_t *packed; /* NULL: key and value */
    uint64_t bytes;
} giant;

/* One more piece of it, in a chunk of its own. True when it was the last. */
static bool put_fragment(qn_rounds *rounds, uint32_t to, const giant *row)
{
    qn_exchange *exchange = exchange_of(rounds, rounds->started);
    uint64_t *sent_bytes = &rounds->partial_sent_bytes[to];
    if (exchange->state != QN_EXCHANGE_IDLE || exchange->sent[to] != 0)
        return false;
    uint64_t room = exchange->stride - HEADER_BYTES;
    uint64_t piece = row->bytes - *sent_bytes < room ? row->bytes - *sent_bytes : room;
    uint8_t *chunk = exchange->send_chunks + to * exchange->stride;
    if (row->packed)
        memcpy(chunk + HEADER_BYTES, row->packed + *sent_bytes, piece);
    else
        copy_row_piece(row->key, row->value, rounds->value_words, *sent_bytes, piece, chunk + HEADER_BYTES);
    qn_block_fill((qn_block_header *)chunk, QN_BLOCK_FRAGMENT, 0, rounds->value_words, piece, row->bytes);
    exchange->sent[to] = HEADER_BYTES + piece;
    *sent_bytes += piece;
    if (*sent_bytes < row->bytes)
        return false;
    *sent_bytes = 0;
    rounds->sent_rows++;
    return true;
}

bool qn_rounds_is_giant(const qn_rounds *rounds, uint64_t row_bytes)
{
    return row_bytes > rounds->exchanges[0].stride - HEADER_BYTES;
}

static qn_rounds_chunk open_chunk(qn_rounds *rounds, uint32_t to, bool packed)
{
    qn_exchange *exchange = exchange_of(rounds, rounds->started);
    uint64_t used = exchange->sent[to] ? exchange->sent[to] : HEADER_BYTES;
    bool holds_fragment = exchange->sent[to] != 0 && rounds->row_counts[to] == 0;
    qn_rounds_chunk chunk = {.next = exchange->send_chunks + to * exchange->stride + used};
    bool holds_others = rounds->row_counts[to] > 0 && rounds->packed[to] != packed;
    if (exchange->state != QN_EXCHANGE_IDLE || holds_fragment || holds_others)
        return chunk;
    chunk.left_bytes = exchange->stride - used;
    rounds->packed[to] = packed;
    return chunk;
}

qn_rounds_chunk qn_rounds_open_chunk(qn_rounds *rounds, uint32_t to)
{
    return open_chunk(rounds, to, false);
}

qn_rounds_chunk qn_rounds_open_packed_chunk(qn_rounds *rounds, uint32_t to)
{
    return open_chunk(rounds, to, true);
}

void qn_rounds_close_chunk(qn_rounds *rounds, uint32_t to, const qn_rounds_chunk *chunk)
{
    qn_exchange *exchange = exchange_of(rounds, rounds->started);
    if (chunk->row_count == 0)
        return;
    exchange->sent[to] = (uint64_t)(chunk->next - (exchange->send_chunks + to * exchange->stride));
    rounds->row_counts[to] += chunk->row_count;
}

bool qn_rounds_put(qn_rounds *rounds, uint32_t to, const qn_key *key, const uint64_t *value)
{
    uint64_t row_bytes = qn_row_bytes(key, rounds->value_words);
    if (QN_UNLIKELY(qn_rounds_is_giant(rounds, row_bytes)))
        return put_fragment(rounds, to, &(giant){.key = key, .value = value, .bytes = row_bytes});
    qn_rounds_chunk chunk = qn_rounds_open_chunk(rounds, to);
    bool added = qn_rounds_chunk_add(&chunk, key, value, rounds->value_words);
    qn_rounds_close_chunk(rounds, to, &chunk);
    return added;
}

bool qn_rounds_put_packed(qn_rounds *rounds, uint32_t to, const void *record, uint64_t bytes)
{
    if (QN_UNLIKELY(qn_rounds_is_giant(rounds, bytes)))
        return put_fragment(rounds, to, &(giant){.packed = record, .bytes = bytes});
    qn_rounds_chunk chunk = qn_rounds_open_chunk(rounds, to);
    bool added = qn_rounds_chunk_add_packed(&chunk, record, bytes);
    qn_rounds_close_chunk(rounds, to, &chunk);
    return added;
}

void qn_rounds_announce(qn_rounds *rounds, uint64_t number)
{
    uint64_t on = number == UINT64_MAX ? number : number + 1;
    if (on > rounds->on)
        rounds->on = on;
}

bool qn_rounds_ask(qn_rounds *rounds, uint64_t *number_out)
{
    if (rounds->on > rounds->started || rounds->asked > rounds->started)
        return false;
    *number_out = rounds->started;
    rounds->asked = rounds->started + 1;
    return true;
}

void qn_rounds_reopen(qn_rounds *rounds)
{
    QN_ASSERT(qn_rounds_is_over(rounds) && rounds->started == rounds->completed);
    rounds->on = rounds->asked = rounds->started;
    rounds->last = UINT64_MAX;
    rounds->ended = rounds->more = rounds->said_ended = false;
}

bool qn_rounds_can_start(const qn_rounds *rounds)
{
    bool may_be_over = rounds->said_ended && rounds->counted < rounds->started;
    return rounds->started < rounds->on && rounds->started < rounds->last && !may_be_over && qn_rounds_is_open(rounds);
}

quern_status qn_rounds_start(qn_rounds *rounds, qn_error *error)
{
    qn_exchange *exchange = exchange_of(rounds, rounds->started);
    uint64_t flags = (rounds->ended ? QN_EXCHANGE_ENDED : 0) | (rounds->more ? QN_EXCHANGE_MORE : 0);
    for (uint32_t to = 0; to < rounds->comm->size; to++) {
        rounds->sent_plain_bytes += exchange->sent[to];
        if (exchange->sent[to] > 0)
            exchange->sent[to] =
                seal_chunk(rounds, to, exchange->send_chunks + to * exchange->stride, exchange->sent[to]);
        rounds->sent_bytes += exchange->sent[to];
        rounds->sent_group_bytes[qn_rounds_group_of(rounds->comm, to)] += exchange->sent[to];
        rounds->sent_rows += rounds->row_counts[to];
        rounds->row_counts[to] = 0;
        rounds->packed[to] = false;
        exchange->sent[to] |= flags;
    }
    rounds->started++;
    rounds->said_ended = rounds->ended;
    uint64_t start_ns = qn_clock_ns();
    quern_status status = qn_exchange_start(exchange, error);
    rounds->exchange_ns += qn_clock_ns() - start_ns;
    return status;
}

/* The counts of a round tell whether another follows. */
static void see_counts(qn_rounds *rounds, const qn_exchange *exchange)
{
    uint64_t all = QN_EXCHANGE_ENDED, any = 0;
    for (uint32_t from = 0; from < rounds->comm->size; from++) {
        all &= exchange->received[from];
        any |= exchange->received[from];
    }
    if (any & QN_EXCHANGE_MORE)
        qn_rounds_announce(rounds, rounds->counted + 1);
    rounds->counted++;
    if (all & QN_EXCHANGE_ENDED)
        rounds->last = rounds->counted;
}

/* The round is the one that is received. */
static quern_status damaged(const qn_rounds *rounds, uint32_t from, const char *what, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_CORRUPT, 0, "%s from rank %u to rank %u in round %llu of a shuffle: %s",
                        what, from, rounds->comm->rank, (unsigned long long)rounds->completed,
                        "the network, or the memory of one of their nodes, changes data");
}

static quern_status receive_fragment(qn_rounds *rounds, uint32_t from, const qn_block_header *header, qn_error *error)
{
    struct qn_rounds_partial *partial = &rounds->partial_received[from];
    if (!partial->row) {
        partial->row = malloc(header->row_bytes);
        if (!partial->row)
            return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a record of %llu bytes",
                                (unsigned long long)header->row_bytes);
        partial->row_bytes = header->row_bytes;
        partial->got_bytes = 0;
    }
    if (header->row_bytes != partial->row_bytes || header->payload_bytes > partial->row_bytes - partial->got_bytes)
        return damaged(rounds, from, "a block is damaged", error);
    memcpy(partial->row + partial->got_bytes, header + 1, header->payload_bytes);
    partial->got_bytes += header->payload_bytes;
    if (partial->got_bytes < partial->row_bytes)
        return QUERN_OK;
    quern_status status =
        rounds->receive(rounds->user, from, (const uint64_t *)partial->row, partial->row_bytes, 1, error);
    rounds->received_rows++;
    free(partial->row);
    partial->row = NULL;
    return status;
}

/* The block as it was before it was compressed, in `plain`; NULL: it is none that could have been. */
static const qn_block_header *unpack_chunk(qn_rounds *rounds, const qn_block_header *packed)
{
    qn_block_header *header = (qn_block_header *)rounds->plain;
    bool is_fragment = packed->flags & QN_BLOCK_FRAGMENT;
    uint64_t raw_bytes = is_fragment ? packed->row_count : packed->row_bytes;
    if (!header || raw_bytes > rounds->exchanges[0].stride - HEADER_BYTES)
        return NULL;
    uint64_t start_ns = qn_clock_ns();
    bool is_whole = qn_decompress(packed + 1, packed->payload_bytes, header + 1, raw_bytes);
    rounds->compress_ns += qn_clock_ns() - start_ns;
    *header = *packed;
    header->payload_bytes = raw_bytes;
    if (is_fragment)
        header->row_count = 0;
    else
        header->row_bytes = 0;
    return is_whole ? header : NULL;
}

static quern_status receive_chunk(qn_rounds *rounds, uint32_t from, const uint8_t *chunk, uint64_t bytes,
                                  qn_error *error)
{
    const qn_block_header *header = (const qn_block_header *)chunk;
    bool packed = rounds->receive_packed && bytes >= HEADER_BYTES && header->value_words == QN_BLOCK_PACKED;
    if (!qn_block_fits(header, bytes, packed ? QN_BLOCK_PACKED : rounds->value_words) ||
        (!rounds->comm->trusts_network &&
         header->checksum != qn_block_sum(header, place_of(rounds->completed, from, rounds->comm->rank))))
        return damaged(rounds, from, "a block is damaged", error);
    rounds->received_bytes += bytes;
    if (header->flags & QN_BLOCK_LZ4)
        header = unpack_chunk(rounds, header);
    if (!header)
        return damaged(rounds, from, "a block is damaged", error);
    if (header->flags & QN_BLOCK_FRAGMENT)
        return receive_fragment(rounds, from, header, error);
    rounds->received_rows += header->row_count;
    qn_rounds_receive_fn receive = packed ? rounds->receive_packed : rounds->receive;
    return receive(rounds->user, from, (const uint64_t *)(header + 1), header->payload_bytes, header->row_count, error);
}

/* Hands out a finished round and opens its chunks again, whether that went well or not: the others need the rounds to go on. */
static quern_status receive_round(qn_rounds *rounds, qn_exchange *exchange, qn_error *error)
{
    quern_status status = QUERN_OK;
    if (exchange->damaged_from != UINT32_MAX)
        status = damaged(rounds, exchange->damaged_from, "a count is damaged", error);
    for (uint32_t from = 0; from < rounds->comm->size && status == QUERN_OK; from++) {
        uint64_t bytes = exchange->received[from] & QN_EXCHANGE_BYTES_MASK;
        if (bytes > 0)
            status = receive_chunk(rounds, from, exchange->receive_chunks + from * exchange->stride, bytes, error);
    }
    qn_exchange_reopen(exchange);
    rounds->completed++;
    return status;
}

quern_status qn_rounds_progress(qn_rounds *rounds, qn_error *error)
{
    for (uint64_t round = rounds->completed; round < rounds->started; round++) {
        qn_exchange *exchange = exchange_of(rounds, round);
        uint64_t start_ns = qn_clock_ns();
        quern_status status = qn_exchange_test(exchange, error);
        rounds->exchange_ns += qn_clock_ns() - start_ns;
        if (status != QUERN_OK)
            return status;
        if (exchange->state == QN_EXCHANGE_COUNTS)
            return QUERN_OK; /* later rounds wait for the payload of this one to be on its way */
        if (rounds->counted == round)
            see_counts(rounds, exchange);
        if (exchange->state == QN_EXCHANGE_DONE && round == rounds->completed) {
            status = receive_round(rounds, exchange, error);
            if (status != QUERN_OK)
                return status;
        }
    }
    return QUERN_OK;
}
