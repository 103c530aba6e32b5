/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/collect.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/buffer.h"
#include "runtime/base/callback_failure.h"
#include "runtime/base/hash.h"
#include "runtime/base/pages.h"

#define HUGE_BUDGET_BYTES_MIN (64 * QN_PAGE_HUGE_BYTES) /* below, whole huge pages would be too coarse */
#define HUGE_FROM_BYTES       (QN_PAGE_HUGE_BYTES / 4)  /* a few records take less time than zeroing one does */

/* Before the records of a part; not aligned. Of a record: the lengths of its key and value as far as they vary, 4 bytes each;
 * then the key and the value. */
typedef struct part_header {
    uint64_t number;
    uint64_t bytes; /* of the records */
} part_header;
static_assert(sizeof(part_header) == 16, "ranks send it to each other");

typedef struct part {
    uint64_t number;
    const uint8_t *records;
    size_t bytes;
} part;

quern_status qn_collect_init(qn_sink_writer *writer, qn_error *error)
{
    writer->huge_at_bytes = writer->kept_bytes_max >= HUGE_BUDGET_BYTES_MIN ? HUGE_FROM_BYTES : UINT64_MAX;
    writer->collected = qn_pages_reserve(writer->kept_bytes_max, false);
    if (!writer->collected)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no address space to collect %llu MiB of records",
                            (unsigned long long)(writer->kept_bytes_max >> 20));
    return QUERN_OK;
}

void qn_collect_free(qn_sink_writer *writer)
{
    qn_pages_unreserve(writer->collected, writer->kept_bytes_max);
    writer->collected = NULL;
    writer->kept_bytes = writer->kept_part_count = 0;
}

/* ---- keeping ---- */

static quern_status too_many_here(const qn_sink_writer *writer, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_BUDGET, 0,
                        "the records that a rank collects take more than the %.1f MiB that memory allows for them: "
                        "raise memory, use more nodes, or collect fewer records",
                        (double)writer->kept_bytes_max / (1 << 20));
}

/* NULL: beyond the budget. */
static uint8_t *take_room(qn_sink_writer *writer, size_t bytes)
{
    if (QN_UNLIKELY(bytes > writer->kept_bytes_max - writer->kept_bytes))
        return NULL;
    uint8_t *room = writer->collected + writer->kept_bytes;
    writer->kept_bytes += bytes;
    if (QN_UNLIKELY(writer->kept_bytes > writer->huge_at_bytes)) {
        qn_pages_advise_huge(writer->collected, writer->kept_bytes_max);
        writer->huge_at_bytes = UINT64_MAX;
    }
    return room;
}

quern_status qn_collect_begin_part(qn_sink_writer *writer, uint64_t number, qn_error *error)
{
    part_header header = {number, 0};
    writer->part_at_bytes = writer->kept_bytes;
    uint8_t *room = take_room(writer, sizeof header);
    if (!room)
        return too_many_here(writer, error);
    memcpy(room, &header, sizeof header);
    return QUERN_OK;
}

void qn_collect_end_part(qn_sink_writer *writer)
{
    part_header header;
    uint8_t *at = writer->collected + writer->part_at_bytes;
    memcpy(&header, at, sizeof header);
    header.bytes = writer->kept_bytes - writer->part_at_bytes - sizeof header;
    memcpy(at, &header, sizeof header);
    if (header.bytes > 0)
        writer->kept_part_count++;
    else
        qn_collect_drop_part(writer); /* many tasks of a sieve give nothing */
}

void qn_collect_drop_part(qn_sink_writer *writer)
{
    writer->kept_bytes = writer->part_at_bytes;
}

static size_t length_bytes(quern_type type)
{
    return qn_type_varies(type) ? sizeof(uint32_t) : 0;
}

static uint8_t *put_length(uint8_t *to, quern_type type, size_t bytes)
{
    uint32_t length = (uint32_t)bytes;
    if (!qn_type_varies(type))
        return to;
    memcpy(to, &length, sizeof length);
    return to + sizeof length;
}

static bool put_record(qn_sink_writer *writer, const quern_record *record)
{
    const quern_schema *schema = &writer->schema;
    size_t value_bytes = schema->value == QUERN_NONE ? 0 : record->value.bytes;
    size_t lengths_bytes = length_bytes(schema->key) + length_bytes(schema->value);
    uint8_t *to = take_room(writer, lengths_bytes + record->key.bytes + value_bytes);
    if (!to)
        return false;
    to = put_length(to, schema->key, record->key.bytes);
    to = put_length(to, schema->value, value_bytes);
    memcpy(to, record->key.data, record->key.bytes);
    memcpy(to + record->key.bytes, record->value.data, value_bytes);
    return true;
}

quern_status qn_collect_put(qn_sink_writer *writer, const qn_batch *batch, qn_error *error)
{
    for (size_t i = 0; i < batch->block.count; i++) {
        quern_record record = qn_batch_record(batch, i);
        if (!put_record(writer, &record))
            return too_many_here(writer, error);
    }
    return QUERN_OK;
}

/* ---- handing out ---- */

static int compare_parts(const void *a, const void *b)
{
    uint64_t left = ((const part *)a)->number, right = ((const part *)b)->number;
    return left < right ? -1 : left > right;
}

/* The parts in the order of their numbers. */
static void list_parts(const uint8_t *all, size_t bytes, part *parts, size_t part_count)
{
    qn_reader reader = qn_reader_of(all, bytes);
    for (size_t i = 0; i < part_count; i++) {
        parts[i].number = qn_reader_u64(&reader);
        parts[i].bytes = qn_reader_u64(&reader);
        parts[i].records = qn_reader_take(&reader, parts[i].bytes);
    }
    QN_ASSERT(!reader.failed && reader.left_bytes == 0);
    qsort(parts, part_count, sizeof *parts, compare_parts);
    for (size_t i = 1; i < part_count; i++)
        QN_ASSERT(parts[i - 1].number < parts[i].number); /* each task once */
}

static size_t read_length(qn_reader *reader, quern_type type, size_t fixed_bytes)
{
    return qn_type_varies(type) ? qn_reader_u32(reader) : fixed_bytes;
}

static uint64_t digest(const quern_record *record)
{
    return qn_checksum(record->value.data, record->value.bytes,
                       qn_checksum(record->key.data, record->key.bytes, record->key.bytes));
}

static quern_status give(const qn_sink_writer *writer, const quern_record *record, qn_error *error)
{
    int code = writer->sink->each(record, writer->sink->user);
    if (QN_LIKELY(code == 0))
        return QUERN_OK;
    return qn_callback_failed(error, "collect", code);
}

/* In check mode. The callback is called only once then, too: what it does with a record is not known, but it must not change it. */
static quern_status give_and_look(const qn_sink_writer *writer, const quern_record *record, qn_error *error)
{
    quern_record given = *record;
    uint64_t before = digest(record);
    quern_status status = give(writer, &given, error);
    if (status != QUERN_OK || digest(record) == before)
        return status;
    return qn_error_set(error, QUERN_ERROR_CHECK, 0,
                        "the callback of 'collect' of '%s' changed a record that it was given, and may only read",
                        writer->sink->input->name);
}

static quern_status hand_out_part(const qn_sink_writer *writer, const part *from, qn_error *error)
{
    const quern_schema *schema = &writer->schema;
    qn_reader reader = qn_reader_of(from->records, from->bytes);
    while (reader.left_bytes > 0) {
        quern_record record;
        record.key.bytes = read_length(&reader, schema->key, qn_schema_key_bytes(schema));
        record.value.bytes = read_length(&reader, schema->value, qn_schema_value_bytes(schema));
        record.key.data = qn_reader_take(&reader, record.key.bytes);
        record.value.data = qn_reader_take(&reader, record.value.bytes);
        QN_ASSERT(!reader.failed);
        quern_status status =
            QN_LIKELY(!writer->checks) ? give(writer, &record, error) : give_and_look(writer, &record, error);
        if (status != QUERN_OK)
            return status;
    }
    return QUERN_OK;
}

static quern_status hand_out(const qn_sink_writer *writer, const uint8_t *all, size_t bytes, size_t part_count,
                             qn_error *error)
{
    part *parts = calloc(part_count + 1, sizeof *parts);
    if (!parts)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the order of collected records");
    list_parts(all, bytes, parts, part_count);
    quern_status status = QUERN_OK;
    for (size_t i = 0; i < part_count && status == QUERN_OK; i++)
        status = hand_out_part(writer, &parts[i], error);
    free(parts);
    return status;
}

/* ---- bringing together ---- */

typedef struct gathered {
    uint8_t *data; /* NULL on ranks that get nothing */
    size_t bytes, part_count;
} gathered;

/* Whether this rank, if it is to get them, has room for the records of all beside its own. */
static void check_room(const qn_sink_writer *writer, const qn_comm *comm, const gathered *all, uint64_t memory_bytes,
                       qn_error *error)
{
    uint64_t need_bytes = writer->kept_bytes + all->bytes + all->part_count * sizeof(part);
    if ((writer->sink->collect_to == QUERN_COLLECT_ROOT && comm->rank != 0) || need_bytes <= memory_bytes)
        return;
    qn_error_set(
        error, QUERN_ERROR_BUDGET, 0,
        "the collected records of all ranks take %.1f MiB on rank %u beside its own, together %.1f MiB, more than "
        "the %.1f MiB that memory leaves there: raise memory, collect fewer records, or leave them on their "
        "ranks with QUERN_COLLECT_LOCAL",
        (double)(need_bytes - writer->kept_bytes) / (1 << 20), comm->rank, (double)need_bytes / (1 << 20),
        (double)memory_bytes / (1 << 20));
}

/* From rank 0 to all others. */
static quern_status spread(qn_comm *comm, gathered *all, qn_error *error)
{
    if (comm->rank != 0 && !(all->data = malloc(all->bytes > 0 ? all->bytes : 1)))
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for %zu bytes of collected records", all->bytes);
    quern_status status = qn_comm_agree(comm, error);
    return status == QUERN_OK ? qn_comm_broadcast(comm, all->data, all->bytes, 0, error) : status;
}

/* Gives this rank's own records up. all->data is freed by the caller, after a failure too. */
static quern_status gather(qn_sink_writer *writer, qn_comm *comm, uint64_t memory_bytes, gathered *all, qn_error *error)
{
    uint64_t sums[2] = {writer->kept_bytes, writer->kept_part_count};
    quern_status status = qn_comm_reduce_sum(comm, sums, 2, error);
    if (status != QUERN_OK)
        return status;
    all->bytes = sums[0];
    all->part_count = sums[1];
    check_room(writer, comm, all, memory_bytes, error);
    status = qn_comm_agree(comm, error);
    if (status != QUERN_OK)
        return status;
    void *data = NULL;
    size_t bytes = 0;
    status = qn_comm_collect(comm, writer->collected, writer->kept_bytes, &data, &bytes, error);
    if (status != QUERN_OK)
        return status;
    QN_ASSERT(bytes == (comm->rank == 0 ? all->bytes : 0));
    all->data = data;
    qn_collect_free(writer);
    return writer->sink->collect_to == QUERN_COLLECT_ALL ? spread(comm, all, error) : QUERN_OK;
}

quern_status qn_collect_deliver(qn_sink_writer *writer, qn_comm *comm, uint64_t memory_bytes, qn_error *error)
{
    gathered all = {0};
    quern_status status = QUERN_OK;
    if (writer->sink->collect_to == QUERN_COLLECT_LOCAL || comm->size == 1)
        hand_out(writer, writer->collected, writer->kept_bytes, writer->kept_part_count, error);
    else {
        status = gather(writer, comm, memory_bytes, &all, error);
        if (status == QUERN_OK && all.data)
            hand_out(writer, all.data, all.bytes, all.part_count, error);
    }
    free(all.data);
    qn_collect_free(writer);
    return status == QUERN_OK ? qn_comm_agree(comm, error) : status;
}
