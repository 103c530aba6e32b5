/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/join_table.h"

#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/io/listing.h"

#define MEMORY_PART      4 /* of the node's memory, of which all tables of a run are */
#define ANSWER_COUNT_MAX 32

/* ---- building ---- */

static quern_status put_packed(const qn_store *stored, qn_shared *packed, qn_error *error)
{
    qn_store_reader reader;
    qn_batch batch = {0};
    uint8_t *to = packed->mine;
    quern_status status = qn_store_reader_open(&reader, stored, error);
    for (size_t part = 0; part < stored->part_count && status == QUERN_OK; part++) {
        qn_store_reader_begin(&reader, part);
        do {
            status = qn_store_reader_next(&reader, &batch, error);
            for (size_t i = 0; status == QUERN_OK && i < batch.block.count; i++) {
                quern_record from = qn_batch_record(&batch, i);
                qn_packed record = {.key = from.key.data,
                                    .key_bytes = (uint32_t)from.key.bytes,
                                    .value = from.value.data,
                                    .value_bytes = (uint32_t)from.value.bytes};
                qn_packed_encode(&stored->layout, &record, to);
                to += qn_packed_bytes(&stored->layout, record.key_bytes, record.value_bytes);
            }
        } while (status == QUERN_OK && batch.block.count > 0);
    }
    QN_ASSERT(status != QUERN_OK || to == packed->mine + packed->mine_bytes);
    qn_store_reader_close(&reader);
    return status;
}

/* The records of the parts before this rank's. */
static quern_status count_before(qn_comm *comm, const qn_shared *memory, uint64_t mine, uint64_t *before_out,
                                 qn_error *error)
{
    uint64_t *counts = calloc(comm->node_size, sizeof *counts);
    if (!counts)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to build a table");
    quern_status status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = qn_comm_gather_node(comm, &mine, sizeof mine, counts, error);
    *before_out = 0;
    for (uint32_t i = 0; status == QUERN_OK && i < qn_shared_helper_number(memory); i++)
        *before_out += counts[i];
    free(counts);
    return status;
}

static quern_status build(qn_engine *engine, qn_join_table *table, qn_error *error)
{
    qn_lookup *lookup = &table->lookup;
    qn_shared *memory = &table->memory;
    uint64_t before = 0;
    qn_lookup_attach(lookup, table->packed.data, memory->data);
    qn_lookup_part part = qn_lookup_part_of(lookup, qn_shared_helper_number(memory), qn_shared_helper_count(memory));
    quern_status status = count_before(engine->comm, memory, qn_lookup_count(lookup, part), &before, error);
    if (status != QUERN_OK)
        return status;
    qn_lookup_place(lookup, part, before);
    status = qn_shared_settle(memory, error);
    if (status == QUERN_OK) {
        qn_lookup_fill(lookup, part);
        status = qn_shared_settle(memory, error);
    }
    if (status == QUERN_OK) {
        qn_lookup_order(lookup, part);
        status = qn_shared_settle(memory, error);
    }
    return status;
}

/* Memory for the packed records and the table, within what a rank may take for it. *got_out: there is. Where a node has no memory,
 * or needs a copy for each rank and that is too much, sorting is the way. */
static quern_status reserve(qn_engine *engine, qn_join_table *table, const qn_store *stored, uint64_t bytes_max,
                            bool *got_out, qn_error *error)
{
    qn_comm *comm = engine->comm;
    bool may_share = engine->settings.shares_memory;
    qn_error refused = {0};
    qn_shared_wish packed = {.bytes = stored->record_bytes, .may_share = may_share};
    qn_shared_wish memory = {.room_bytes = qn_lookup_bytes(&table->lookup), .may_share = may_share};
    quern_status status = qn_shared_create(&table->packed, comm, &packed, &refused);
    if (status == QUERN_OK)
        status = qn_shared_create(&table->memory, comm, &memory, &refused);
    uint64_t too_much = status == QUERN_OK && qn_join_table_charge_bytes(table) > bytes_max / comm->node_size + 2;
    if (status == QUERN_OK)
        status = qn_comm_reduce_max(comm, &too_much, 1, &refused);
    if (status != QUERN_OK && status != QUERN_ERROR_NO_MEMORY)
        return qn_error_set(error, status, 0, "%s", refused.text);
    *got_out = status == QUERN_OK && !too_much;
    return QUERN_OK;
}

static quern_status fill(qn_engine *engine, qn_join_table *table, const qn_store *stored, qn_error *error)
{
    put_packed(stored, &table->packed, error);
    quern_status status = qn_comm_agree(engine->comm, error);
    if (status == QUERN_OK)
        status = qn_shared_spread(&table->packed, error);
    if (status == QUERN_OK)
        status = build(engine, table, error);
    if (status != QUERN_OK)
        return status;
    if (table->lookup.is_compact)
        qn_shared_destroy(&table->packed);
    else
        qn_shared_seal(&table->packed);
    qn_shared_seal(&table->memory);
    return QUERN_OK;
}

quern_status qn_join_table_create(qn_join_table **table_out, qn_engine *engine, const qn_store *stored,
                                  const qn_join_table_limit *limit, qn_error *error)
{
    uint64_t all[] = {stored->record_count, stored->record_bytes};
    bool got = false;
    *table_out = NULL;
    qn_join_table *table = calloc(1, sizeof *table);
    if (!table)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a table");
    quern_status status = qn_comm_agree(engine->comm, error);
    if (status == QUERN_OK)
        status = qn_comm_reduce_sum(engine->comm, all, 2, error);
    if (status == QUERN_OK && all[0] <= QN_LOOKUP_RECORD_COUNT_MAX && all[1] <= limit->record_bytes_max) {
        table->lookup = qn_lookup_of(&stored->layout, all[0], all[1]);
        if (all[1] + qn_lookup_bytes(&table->lookup) <= limit->bytes_max)
            status = reserve(engine, table, stored, limit->bytes_max, &got, error);
    }
    if (status == QUERN_OK && got)
        status = fill(engine, table, stored, error);
    if (status == QUERN_OK && got)
        *table_out = table;
    else
        qn_join_table_destroy(table);
    return status;
}

void qn_join_table_destroy(qn_join_table *table)
{
    if (!table)
        return;
    qn_shared_destroy(&table->packed);
    qn_shared_destroy(&table->memory);
    free(table);
}

uint64_t qn_join_table_charge_bytes(const qn_join_table *table)
{
    uint64_t bytes = table->memory.comm ? qn_shared_charge_bytes(&table->memory) : 0;
    return bytes + (table->packed.comm ? qn_shared_charge_bytes(&table->packed) : 0);
}

/* ---- choosing ---- */

qn_join_table_limit qn_join_table_limit_of(const qn_engine *engine, const qn_node *collate, uint32_t live_count)
{
    const qn_settings *settings = &engine->settings;
    uint64_t bytes_max = settings->least_node_memory_bytes / MEMORY_PART / (live_count > 0 ? live_count : 1);
    return (qn_join_table_limit){qn_join_is_chosen(collate) ? UINT64_MAX : settings->broadcast_bytes, bytes_max};
}

uint64_t qn_join_table_input_bytes_max(const qn_engine *engine)
{
    uint64_t bytes_max = engine->settings.least_node_memory_bytes / MEMORY_PART;
    return engine->settings.broadcast_bytes < bytes_max ? engine->settings.broadcast_bytes : bytes_max;
}

/* Of a source. What cannot be listed is not known; whoever reads it will say why. */
static uint64_t listed_bytes(const qn_node *source)
{
    qn_listing listing = {0};
    qn_error ignored = {0};
    uint64_t bytes = QN_INPUT_BYTES_UNKNOWN;
    if (qn_listing_create(&listing, source->text.paths, source->text.path_count, &ignored) == QUERN_OK)
        bytes = listing.bytes;
    qn_listing_destroy(&listing);
    return bytes;
}

/* Of reductions only the reader knows how many records they have. */
static uint64_t kept_bytes(const qn_engine *engine, const qn_node *node)
{
    const qn_result *kept = qn_cache_find(&engine->cache, node);
    return kept && kept->stored ? kept->stored->record_bytes : QN_INPUT_BYTES_UNKNOWN;
}

/* What this rank has of a source of arrays. */
static uint64_t memory_bytes(const qn_node *node)
{
    uint64_t record_bytes = qn_schema_key_bytes(&node->schema) + qn_schema_value_bytes(&node->schema);
    return qn_memory_arrays_count_elements(node->of.arrays) * record_bytes;
}

uint64_t qn_join_table_guess_bytes(const qn_node *node, void *engine)
{
    uint64_t bytes = QN_INPUT_BYTES_UNKNOWN;
    if (node->is_made)
        return kept_bytes(engine, node);
    if (node->kind == QN_NODE_MEMORY) /* what this rank has is not what all have */
        return QN_INPUT_BYTES_UNKNOWN;
    return qn_listing_foresee(node->text.paths, node->text.path_count, &bytes) ? bytes : QN_INPUT_BYTES_UNKNOWN;
}

typedef struct answer {
    const qn_node *node;
    uint64_t bytes;
} answer;

/* Asks all ranks. Joins often have the same inputs. */
typedef struct survey {
    qn_engine *engine;
    qn_error *error;
    answer answers[ANSWER_COUNT_MAX];
    uint32_t answer_count;
} survey;

/* Collective: all ranks come here in the same order, since they got the same answers before. */
static uint64_t ask_all(survey *on, const qn_node *node)
{
    uint64_t bytes = 0, sums[] = {0, 0}; /* ranks that do not know, and bytes */
    if (node->is_made)
        bytes = kept_bytes(on->engine, node);
    else if (node->kind == QN_NODE_MEMORY)
        bytes = memory_bytes(node);
    else if (on->engine->comm->rank == 0)
        bytes = listed_bytes(node);
    sums[0] = bytes == QN_INPUT_BYTES_UNKNOWN;
    sums[1] = sums[0] ? 0 : bytes;
    quern_status status = qn_comm_reduce_sum(on->engine->comm, sums, 2, on->error);
    return status == QUERN_OK && sums[0] == 0 ? sums[1] : QN_INPUT_BYTES_UNKNOWN;
}

static uint64_t ask(const qn_node *node, void *user)
{
    survey *on = user;
    for (uint32_t i = 0; i < on->answer_count; i++)
        if (on->answers[i].node == node)
            return on->answers[i].bytes;
    if (on->error->status != QUERN_OK)
        return QN_INPUT_BYTES_UNKNOWN;
    uint64_t bytes = ask_all(on, node);
    if (on->answer_count < ANSWER_COUNT_MAX)
        on->answers[on->answer_count++] = (answer){node, bytes};
    return bytes;
}

quern_status qn_join_tables_choose(qn_engine *engine, const qn_graph *graph, qn_error *error)
{
    survey on = {.engine = engine, .error = error};
    qn_account_create(graph, qn_join_table_input_bytes_max(engine), ask, &on, &engine->account, error);
    return error->status;
}
