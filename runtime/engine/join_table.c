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

/* A sum over the parts of the table before this rank's, and over all. */
static quern_status sum_parts(qn_comm *comm, const qn_shared *shared, uint64_t mine, uint64_t *before_out,
                              uint64_t *all_out, qn_error *error)
{
    uint32_t number = qn_shared_helper_number(shared), count = qn_shared_helper_count(shared);
    uint64_t *sums = calloc(comm->node_size, sizeof *sums);
    if (!sums)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to build a table");
    quern_status status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = qn_comm_gather_node(comm, &mine, sizeof mine, sums, error);
    *before_out = 0;
    *all_out = count == 1 ? mine : 0; /* who builds alone has it all */
    for (uint32_t i = 0; status == QUERN_OK && count > 1 && i < count; i++) {
        *before_out += i < number ? sums[i] : 0;
        *all_out += sums[i];
    }
    free(sums);
    return status;
}

/* What is being built, and within what. */
typedef struct building {
    qn_engine *engine;
    qn_join_table *table;
    qn_shared counts; /* of the records of each line; goes when the table stands */
    uint64_t bytes_max;
    bool has_room; /* so far; the same on all ranks */
} building;

/* Memory that the ranks of a node have in common, within what a rank may take for the table. Where a node has none, or needs a copy for
 * each rank and that is too much, sorting is the way. Collective. */
static quern_status reserve(building *on, qn_shared *shared, uint64_t mine_bytes, uint64_t room_bytes, qn_error *error)
{
    qn_comm *comm = on->engine->comm;
    qn_error refused = {0};
    qn_shared_wish wish = {mine_bytes, room_bytes, on->engine->settings.shares_memory};
    quern_status status = qn_shared_create(shared, comm, &wish, &refused);
    uint64_t charge_bytes = qn_join_table_charge_bytes(on->table) + qn_shared_charge_bytes(&on->counts);
    uint64_t too_much = status == QUERN_OK && charge_bytes > on->bytes_max / comm->node_size + 3;
    if (status == QUERN_OK && on->counts.comm && shared->is_private != on->counts.is_private)
        too_much = 1; /* who counted together cannot fill alone */
    if (status == QUERN_OK)
        status = qn_comm_reduce_max(comm, &too_much, 1, &refused);
    if (status != QUERN_OK && status != QUERN_ERROR_NO_MEMORY)
        return qn_error_set(error, status, 0, "%s", refused.text);
    on->has_room = status == QUERN_OK && !too_much;
    return QUERN_OK;
}

/* All packed records on all nodes. */
static quern_status bring(building *on, const qn_store *stored, qn_error *error)
{
    qn_shared *packed = &on->table->packed;
    quern_status status = reserve(on, packed, stored->record_bytes, 0, error);
    if (status != QUERN_OK || !on->has_room)
        return status;
    put_packed(stored, packed, error);
    status = qn_comm_agree(on->engine->comm, error);
    return status == QUERN_OK ? qn_shared_spread(packed, error) : status;
}

/* How many records belong to each line; and room for them. */
static quern_status count(building *on, uint64_t *before_out, qn_error *error)
{
    qn_lookup *lookup = &on->table->lookup;
    uint64_t overflow_count = 0;
    quern_status status = reserve(on, &on->counts, 0, qn_lookup_count_bytes(lookup), error);
    if (status != QUERN_OK || !on->has_room)
        return status;
    uint32_t number = qn_shared_helper_number(&on->counts), helpers = qn_shared_helper_count(&on->counts);
    qn_lookup_attach_counts(lookup, on->table->packed.data, on->counts.data);
    qn_lookup_count(lookup, qn_lookup_records_of(lookup, number, helpers));
    status = qn_shared_settle(&on->counts, error);
    if (status == QUERN_OK) {
        uint64_t mine = qn_lookup_overflow(lookup, qn_lookup_lines_of(lookup, number, helpers));
        status = sum_parts(on->engine->comm, &on->counts, mine, before_out, &overflow_count, error);
    }
    if (status == QUERN_OK)
        status = reserve(on, &on->table->memory, 0, qn_lookup_bytes(lookup, overflow_count), error);
    return status;
}

static quern_status fill(building *on, uint64_t before, qn_error *error)
{
    qn_lookup *lookup = &on->table->lookup;
    qn_shared *memory = &on->table->memory;
    uint32_t number = qn_shared_helper_number(&on->counts), helpers = qn_shared_helper_count(&on->counts);
    qn_lookup_part lines = qn_lookup_lines_of(lookup, number, helpers);
    qn_lookup_attach(lookup, memory->data);
    qn_lookup_place(lookup, lines, before);
    quern_status status = qn_shared_settle(memory, error);
    if (status == QUERN_OK) {
        qn_lookup_fill(lookup, qn_lookup_records_of(lookup, number, helpers));
        status = qn_shared_settle(memory, error);
    }
    if (status == QUERN_OK) {
        qn_lookup_order(lookup, lines);
        status = qn_shared_settle(memory, error);
    }
    return status;
}

static quern_status build(building *on, const qn_store *stored, qn_error *error)
{
    qn_join_table *table = on->table;
    uint64_t before = 0;
    quern_status status = bring(on, stored, error);
    if (status == QUERN_OK && on->has_room)
        status = count(on, &before, error);
    if (status == QUERN_OK && on->has_room)
        status = fill(on, before, error);
    qn_shared_destroy(&on->counts);
    if (status != QUERN_OK || !on->has_room)
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
    building on = {.engine = engine, .table = calloc(1, sizeof *on.table), .bytes_max = limit->bytes_max};
    *table_out = NULL;
    if (!on.table)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a table");
    quern_status status = qn_comm_agree(engine->comm, error);
    if (status == QUERN_OK)
        status = qn_comm_reduce_sum(engine->comm, all, 2, error);
    if (status == QUERN_OK && all[0] <= QN_LOOKUP_RECORD_COUNT_MAX && all[1] <= limit->record_bytes_max) {
        on.table->lookup = qn_lookup_of(&stored->layout, all[0], all[1]);
        if (all[1] + qn_lookup_bytes(&on.table->lookup, 0) <= limit->bytes_max)
            status = build(&on, stored, error);
    }
    if (status == QUERN_OK && on.has_room)
        *table_out = on.table;
    else
        qn_join_table_destroy(on.table);
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
    if (node->kind == QN_NODE_MEMORY || node->text.is_on_nodes) /* what is here is not what all have */
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
    const qn_known_sizes sizes = {ask, &on, qn_join_table_input_bytes_max(engine), true};
    qn_account_create(graph, &sizes, &engine->account, error);
    return error->status;
}
