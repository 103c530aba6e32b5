/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/top_k.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/buffer.h"
#include "runtime/base/callback_failure.h"
#include "runtime/data/order.h"

struct qn_top_row {
    uint64_t rank_value; /* the value's prefix, of order.h */
    uint8_t *key;        /* owned, but borrowed after the collect */
    size_t key_bytes;
};

typedef struct qn_top_row top_row;

#define KEY_BYTES_EXPECTED 1024 /* few keys are longer */
#define KEY_BYTES_EXTRA    16   /* of an allocation */

uint64_t qn_top_k_expect_bytes(const qn_sink *sink, uint64_t bytes_max)
{
    const quern_schema *schema = &sink->input->schema;
    uint64_t key_bytes = qn_type_varies(schema->key) ? KEY_BYTES_EXPECTED : qn_schema_key_bytes(schema);
    uint64_t row_bytes = 2 * sizeof(top_row) + KEY_BYTES_EXTRA + key_bytes; /* k is at most 2^31 */
    return sink->k * row_bytes < bytes_max ? sink->k * row_bytes : bytes_max;
}

/* Negative: a comes before b in the result. */
static int compare_rows(quern_type key_type, const top_row *a, const top_row *b)
{
    if (a->rank_value != b->rank_value)
        return a->rank_value > b->rank_value ? -1 : 1;
    return qn_order_compare(key_type, (quern_span){a->key, a->key_bytes}, (quern_span){b->key, b->key_bytes});
}

/* Restores the heap downwards: a parent comes after its children in the result. */
static void sift_down(qn_sink_writer *writer, size_t at)
{
    top_row *rows = writer->rows;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= writer->row_count)
            return;
        if (child + 1 < writer->row_count && compare_rows(writer->schema.key, &rows[child], &rows[child + 1]) < 0)
            child++;
        if (compare_rows(writer->schema.key, &rows[at], &rows[child]) >= 0)
            return;
        top_row moved = rows[at];
        rows[at] = rows[child];
        rows[child] = moved;
        at = child;
    }
}

static void sift_up(qn_sink_writer *writer, size_t at)
{
    top_row *rows = writer->rows;
    while (at > 0 && compare_rows(writer->schema.key, &rows[at], &rows[(at - 1) / 2]) > 0) {
        top_row moved = rows[at];
        rows[at] = rows[(at - 1) / 2];
        rows[(at - 1) / 2] = moved;
        at = (at - 1) / 2;
    }
}

static quern_status no_memory(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the top k");
}

static quern_status too_large(const qn_sink_writer *writer, uint64_t bytes, uint64_t bytes_max, qn_error *error)
{
    return qn_error_set(
        error, QUERN_ERROR_BUDGET, 0,
        "the records of a top k of %llu take %llu MiB, more than the %llu MiB that memory allows for them: "
        "raise memory or take a smaller k",
        (unsigned long long)writer->sink->k, (unsigned long long)(bytes >> 20), (unsigned long long)(bytes_max >> 20));
}

static uint64_t key_memory_bytes(const top_row *row)
{
    return row->key_bytes + KEY_BYTES_EXTRA;
}

static quern_status add_row(qn_sink_writer *writer, const top_row *row, qn_error *error)
{
    if (writer->row_count == writer->row_capacity) {
        size_t capacity = writer->row_capacity ? 2 * writer->row_capacity : 64;
        writer->kept_bytes += (capacity - writer->row_capacity) * sizeof(top_row);
        top_row *rows = realloc(writer->rows, capacity * sizeof *rows);
        if (!rows)
            return no_memory(error);
        writer->rows = rows;
        writer->row_capacity = capacity;
    }
    writer->rows[writer->row_count++] = *row;
    sift_up(writer, writer->row_count - 1);
    return QUERN_OK;
}

static quern_status put_row(qn_sink_writer *writer, uint64_t rank_value, const void *key, size_t key_bytes,
                            qn_error *error)
{
    top_row row = {rank_value, (uint8_t *)(uintptr_t)key, key_bytes};
    bool full = writer->row_count == writer->sink->k;
    if (full && compare_rows(writer->schema.key, &row, &writer->rows[0]) >= 0)
        return QUERN_OK;
    writer->kept_bytes += key_memory_bytes(&row);
    if (full)
        writer->kept_bytes -= key_memory_bytes(&writer->rows[0]);
    if (writer->kept_bytes > writer->kept_bytes_max)
        return too_large(writer, writer->kept_bytes, writer->kept_bytes_max, error);
    row.key = malloc(key_bytes > 0 ? key_bytes : 1);
    if (!row.key)
        return no_memory(error);
    memcpy(row.key, key, key_bytes);
    if (full) {
        free(writer->rows[0].key);
        writer->rows[0] = row;
        sift_down(writer, 0);
        return QUERN_OK;
    }
    quern_status status = add_row(writer, &row, error);
    if (status != QUERN_OK)
        free(row.key);
    return status;
}

quern_status qn_top_k_put(qn_sink_writer *writer, const qn_batch *batch, qn_error *error)
{
    quern_status status = QUERN_OK;
    quern_type type = writer->schema.value;
    for (size_t i = 0; i < batch->block.count && status == QUERN_OK; i++) {
        uint64_t rank_value = qn_order_of_number(type, batch->block.value[i]);
        bool full = writer->row_count == writer->sink->k;
        if (!full || rank_value >= writer->rows[0].rank_value)
            status = put_row(writer, rank_value, batch->block.key[i], batch->block.key_bytes[i], error);
    }
    return status;
}

static void pack_rows(const qn_sink_writer *writer, qn_buffer *packed)
{
    for (size_t i = 0; i < writer->row_count; i++) {
        qn_buffer_append_u64(packed, writer->rows[i].rank_value);
        qn_buffer_append_span(packed, writer->rows[i].key, writer->rows[i].key_bytes);
    }
}

static int compare_for_sort(const void *a, const void *b, void *key_type)
{
    return compare_rows(*(const quern_type *)key_type, a, b);
}

static size_t unpack_rows(const void *all, size_t bytes, top_row *rows, size_t rows_max)
{
    qn_reader reader = qn_reader_of(all, bytes);
    size_t count = 0;
    for (; reader.left_bytes > 0 && count < rows_max; count++) {
        rows[count].rank_value = qn_reader_u64(&reader);
        rows[count].key = (uint8_t *)(uintptr_t)qn_reader_span(&reader, &rows[count].key_bytes);
    }
    return count;
}

static quern_status hand_out(const qn_sink_writer *writer, top_row *rows, size_t count, qn_error *error)
{
    quern_type type = writer->schema.key;
    quern_type value_type = writer->schema.value;
    qsort_r(rows, count, sizeof *rows, compare_for_sort, &type);
    for (size_t i = 0; i < count && i < writer->sink->k; i++) {
        uint64_t value;
        qn_order_to_number(value_type, rows[i].rank_value, &value);
        quern_record record = {{rows[i].key, rows[i].key_bytes}, {&value, quern_number_bytes(value_type)}};
        int code = writer->sink->each(&record, writer->sink->user);
        if (code != 0)
            return qn_callback_failed(error, "top k", code);
    }
    return QUERN_OK;
}

/* sums_out: rows, and their bytes on the wire, of all ranks. */
static quern_status check_sums(const qn_sink_writer *writer, qn_comm *comm, const qn_buffer *packed,
                               uint64_t memory_bytes, uint64_t sums_out[2], qn_error *error)
{
    sums_out[0] = writer->row_count;
    sums_out[1] = packed->bytes;
    quern_status status = qn_comm_reduce_sum(comm, sums_out, 2, error);
    if (status != QUERN_OK)
        return status;
    uint64_t bytes = sums_out[1] + sums_out[0] * sizeof(top_row);
    if (comm->rank == 0 && bytes > memory_bytes)
        too_large(writer, bytes, memory_bytes, error);
    return qn_comm_agree(comm, error);
}

quern_status qn_top_k_deliver(qn_sink_writer *writer, qn_comm *comm, uint64_t memory_bytes, qn_error *error)
{
    qn_buffer packed = {0};
    void *all = NULL;
    size_t bytes = 0;
    uint64_t sums[2];
    pack_rows(writer, &packed);
    if (packed.failed)
        no_memory(error);
    quern_status status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = check_sums(writer, comm, &packed, memory_bytes, sums, error);
    if (status == QUERN_OK)
        status = qn_comm_collect(comm, packed.data ? packed.data : (const void *)"", packed.bytes, &all, &bytes, error);
    qn_buffer_fini(&packed);
    if (status != QUERN_OK)
        return status;
    if (comm->rank == 0) {
        top_row *rows = calloc(sums[0] + 1, sizeof *rows);
        if (rows)
            hand_out(writer, rows, unpack_rows(all, bytes, rows, sums[0]), error);
        else
            no_memory(error);
        free(rows);
    }
    free(all);
    return qn_comm_agree(comm, error);
}

void qn_top_k_free(qn_sink_writer *writer)
{
    for (size_t i = 0; i < writer->row_count; i++)
        free(writer->rows[i].key);
    free(writer->rows);
    writer->rows = NULL;
    writer->row_count = writer->row_capacity = 0;
}
