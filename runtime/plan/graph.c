/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/plan/graph.h"

#include <string.h>

#include "runtime/base/hash.h"

void qn_graph_init(qn_graph *graph)
{
    *graph = (qn_graph){0};
    qn_arena_init(&graph->arena, 0);
}

void qn_graph_fini(qn_graph *graph)
{
    qn_arena_reset(&graph->arena);
}

static void digest(qn_graph *graph, const void *data, size_t bytes)
{
    graph->digest = qn_checksum(data, bytes, graph->digest);
}

static void digest_number(qn_graph *graph, uint64_t number)
{
    digest(graph, &number, sizeof number);
}

const char *qn_node_kind_name(qn_node_kind kind)
{
    switch (kind) {
    case QN_NODE_TEXT:
        return "read text";
    case QN_NODE_MAP:
        return "map";
    case QN_NODE_FLAT_MAP:
        return "flat map";
    case QN_NODE_FILTER:
        return "filter";
    case QN_NODE_MAP_BLOCK:
        return "map block";
    case QN_NODE_FLAT_MAP_BLOCK:
        return "flat map block";
    case QN_NODE_FILTER_BLOCK:
        return "filter block";
    case QN_NODE_KEYS:
        return "keys";
    case QN_NODE_UNION:
        return "union";
    case QN_NODE_REDUCE:
        return "reduce by key";
    case QN_NODE_STORE:
        return "store";
    case QN_NODE_ZIP:
        return "zip with index";
    case QN_NODE_PREFIX_SUM:
        return "prefix sum";
    }
    return "";
}

static bool schema_is_valid(const quern_schema *schema)
{
    bool key_fits = schema->key == QUERN_BYTES || schema->key == QUERN_I64 || schema->key == QUERN_U64;
    bool value_fits = schema->value == QUERN_FIXED
                          ? schema->value_bytes >= 1 && schema->value_bytes <= QUERN_FIXED_BYTES_MAX
                          : schema->value == QUERN_NONE || schema->value == QUERN_BYTES || schema->value == QUERN_I64 ||
                                schema->value == QUERN_U64;
    return key_fits && value_fits;
}

static qn_node *no_memory(qn_error *error)
{
    qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a dataset");
    return NULL;
}

qn_node *qn_graph_add_node(qn_graph *graph, const qn_node *draft, qn_error *error)
{
    if (!schema_is_valid(&draft->schema)) {
        qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "%s: the schema has a type that its place does not allow",
                     qn_node_kind_name(draft->kind));
        return NULL;
    }
    qn_node *node = qn_arena_copy(&graph->arena, draft, sizeof *draft);
    if (!node)
        return no_memory(error);
    node->number = graph->node_count++;
    node->name = qn_node_kind_name(node->kind);
    digest_number(graph, node->kind);
    digest_number(graph, node->input ? node->input->number : UINT64_MAX);
    digest_number(graph, node->other ? node->other->number : UINT64_MAX);
    digest_number(graph, (uint64_t)node->schema.key << 32 | node->schema.value);
    digest_number(graph, node->schema.value_bytes);
    return node;
}

static bool read_delimiters(const quern_text_options *options, qn_text_input *text, qn_error *error)
{
    const char *delimiters = options && options->delimiters ? options->delimiters : "\n";
    size_t count = strlen(delimiters);
    bool fits = count >= 1 && count <= QN_DELIMITER_COUNT_MAX;
    for (size_t i = 0; i < count && fits; i++)
        fits = (unsigned char)delimiters[i] < 0x80;
    if (!fits) {
        qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "read text: delimiters must be 1 to %d ASCII bytes",
                     QN_DELIMITER_COUNT_MAX);
        return false;
    }
    memcpy(text->delimiters, delimiters, count);
    text->delimiter_count = count;
    text->skip_empty = options && options->skip_empty;
    return true;
}

qn_node *qn_graph_add_text(qn_graph *graph, const char *const *paths, size_t path_count,
                           const quern_text_options *options, qn_error *error)
{
    qn_node draft = {.kind = QN_NODE_TEXT, .schema = {QUERN_BYTES, QUERN_NONE, 0}};
    if (!read_delimiters(options, &draft.text, error))
        return NULL;
    draft.text.paths = qn_arena_take(&graph->arena, (path_count + 1) * sizeof *draft.text.paths);
    if (!draft.text.paths)
        return no_memory(error);
    draft.text.path_count = path_count;
    for (size_t i = 0; i < path_count; i++) {
        draft.text.paths[i] = qn_arena_text(&graph->arena, paths[i]);
        if (!draft.text.paths[i])
            return no_memory(error);
        digest(graph, paths[i], strlen(paths[i]) + 1);
    }
    digest(graph, draft.text.delimiters, draft.text.delimiter_count);
    digest_number(graph, draft.text.skip_empty);
    return qn_graph_add_node(graph, &draft, error);
}

static bool choose_reducer(quern_reduction reduction, quern_type type, qn_reducer_kind *kind_out)
{
    bool is_signed = type == QUERN_I64;
    bool is_number = is_signed || type == QUERN_U64;
    switch (reduction) {
    case QUERN_COUNT:
        *kind_out = QN_REDUCER_COUNT;
        return true;
    case QUERN_SUM:
        *kind_out = is_signed ? QN_REDUCER_SUM_I64 : QN_REDUCER_SUM_U64;
        return is_number;
    case QUERN_MIN:
        *kind_out = is_signed ? QN_REDUCER_MIN_I64 : QN_REDUCER_MIN_U64;
        return is_number;
    case QUERN_MAX:
        *kind_out = is_signed ? QN_REDUCER_MAX_I64 : QN_REDUCER_MAX_U64;
        return is_number;
    }
    return false;
}

qn_node *qn_graph_add_reduce(qn_graph *graph, const qn_node *input, quern_reduction reduction,
                             int (*fn)(void *into, const void *value, void *user), void *user, qn_error *error)
{
    qn_node draft = {.kind = QN_NODE_REDUCE, .input = input, .schema = input->schema};
    draft.reducer = (qn_reducer){.kind = QN_REDUCER_USER, .key_type = input->schema.key, .fn = fn, .user = user};
    quern_type type = input->schema.value;
    bool fits = fn ? type == QUERN_I64 || type == QUERN_U64 || type == QUERN_FIXED
                   : choose_reducer(reduction, type, &draft.reducer.kind);
    if (!fits) {
        qn_error_set(error, QUERN_ERROR_INVALID_PLAN, 0,
                     "reduce by key: the reduction does not exist for this value type");
        return NULL;
    }
    if (draft.reducer.kind == QN_REDUCER_COUNT)
        draft.schema.value = QUERN_U64;
    draft.reducer.value_bytes = draft.schema.value == QUERN_FIXED ? draft.schema.value_bytes : 8;
    draft.reducer.value_words = draft.reducer.kind == QN_REDUCER_SUM_I64 ? 2 : (draft.reducer.value_bytes + 7) / 8;
    digest_number(graph, draft.reducer.kind);
    return qn_graph_add_node(graph, &draft, error);
}

qn_node *qn_graph_add_aggregate(qn_graph *graph, const qn_node *input, const quern_aggregation *aggregation, void *user,
                                qn_error *error)
{
    uint32_t bytes = aggregation->accumulator_bytes;
    if (!aggregation->accumulate || !aggregation->merge || bytes == 0 || bytes > QUERN_FIXED_BYTES_MAX) {
        qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0,
                     "aggregate by key: accumulate and merge are needed, and accumulator_bytes from 1 to %d",
                     QUERN_FIXED_BYTES_MAX);
        return NULL;
    }
    qn_node draft = {.kind = QN_NODE_REDUCE, .input = input, .schema = {input->schema.key, QUERN_FIXED, bytes}};
    draft.reducer = (qn_reducer){
        .kind = QN_REDUCER_AGGREGATE,
        .value_bytes = bytes,
        .value_words = (bytes + 7) / 8,
        .key_type = input->schema.key,
        .fn = aggregation->merge,
        .init = aggregation->init,
        .accumulate = aggregation->accumulate,
        .user = user,
    };
    digest_number(graph, draft.reducer.kind);
    qn_node *node = qn_graph_add_node(graph, &draft, error);
    if (node)
        node->name = "aggregate by key";
    return node;
}

static bool same_schema(const quern_schema *left, const quern_schema *right)
{
    return left->key == right->key && left->value == right->value &&
           (left->value != QUERN_FIXED || left->value_bytes == right->value_bytes);
}

qn_node *qn_graph_add_union(qn_graph *graph, const qn_node *input, const qn_node *other, qn_error *error)
{
    if (!same_schema(&input->schema, &other->schema)) {
        qn_error_set(error, QUERN_ERROR_INVALID_PLAN, 0,
                     "union: the two datasets have different types: map one of them");
        return NULL;
    }
    return qn_graph_add_node(
        graph, &(qn_node){.kind = QN_NODE_UNION, .input = input, .other = other, .schema = input->schema}, error);
}

qn_node *qn_graph_add_store(qn_graph *graph, qn_node *input, qn_error *error)
{
    if (input->kind == QN_NODE_REDUCE || input->kind == QN_NODE_STORE)
        return input;
    return qn_graph_add_node(graph, &(qn_node){.kind = QN_NODE_STORE, .input = input, .schema = input->schema}, error);
}

/* A store of the input, whose parts have places whatever made them. */
static qn_node *add_placed(qn_graph *graph, qn_node *input, qn_node *draft, qn_error *error)
{
    qn_node *stored = input;
    if (input->kind != QN_NODE_STORE)
        stored =
            qn_graph_add_node(graph, &(qn_node){.kind = QN_NODE_STORE, .input = input, .schema = input->schema}, error);
    draft->input = stored;
    return stored ? qn_graph_add_node(graph, draft, error) : NULL;
}

qn_node *qn_graph_add_zip(qn_graph *graph, qn_node *input, const quern_schema *schema, quern_zip_fn fn, void *user,
                          qn_error *error)
{
    qn_node draft = {.kind = QN_NODE_ZIP, .schema = {input->schema.key, QUERN_U64, 0}, .fn.zip = fn, .user = user};
    if (fn)
        draft.schema = *schema;
    return add_placed(graph, input, &draft, error);
}

qn_node *qn_graph_add_prefix_sum(qn_graph *graph, qn_node *input, qn_error *error)
{
    qn_node draft = {.kind = QN_NODE_PREFIX_SUM, .schema = input->schema};
    if (input->schema.value != QUERN_I64 && input->schema.value != QUERN_U64) {
        qn_error_set(error, QUERN_ERROR_INVALID_PLAN, 0,
                     "prefix sum: values must be QUERN_I64 or QUERN_U64: map them first");
        return NULL;
    }
    return add_placed(graph, input, &draft, error);
}

void qn_graph_cache(qn_graph *graph, qn_node *node)
{
    digest_number(graph, node->number);
    if (node->is_cached)
        return;
    node->is_cached = true;
    node->next_cached = graph->cached;
    graph->cached = node;
}

void qn_graph_uncache(qn_graph *graph, qn_node *node)
{
    digest_number(graph, ~(uint64_t)node->number);
    qn_node **at = &graph->cached;
    while (*at && *at != node)
        at = &(*at)->next_cached;
    if (*at)
        *at = node->next_cached;
    node->is_cached = node->is_made = false;
    node->next_cached = NULL;
}

static quern_status check_sink(const qn_sink *sink, qn_error *error)
{
    quern_type type = sink->input->schema.value;
    if (sink->kind == QN_SINK_TEXT && type == QUERN_FIXED)
        return qn_error_set(error, QUERN_ERROR_INVALID_PLAN, 0,
                            "write text: values of QUERN_FIXED have no text; map them to bytes first");
    if (sink->kind == QN_SINK_TOP_K && type != QUERN_U64 && type != QUERN_I64)
        return qn_error_set(error, QUERN_ERROR_INVALID_PLAN, 0, "top k: values must be integers");
    if (sink->kind == QN_SINK_TOP_K && (sink->k == 0 || sink->k > UINT64_C(1) << 31))
        return qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "top k: k must be 1 to 2^31");
    if (sink->kind == QN_SINK_COLLECT &&
        (sink->collect_to < QUERN_COLLECT_ROOT || sink->collect_to > QUERN_COLLECT_LOCAL))
        return qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0,
                            "collect: to must be QUERN_COLLECT_ROOT, QUERN_COLLECT_ALL or QUERN_COLLECT_LOCAL");
    return QUERN_OK;
}

quern_status qn_graph_add_sink(qn_graph *graph, const qn_sink *draft, qn_error *error)
{
    quern_status status = check_sink(draft, error);
    if (status != QUERN_OK)
        return status;
    qn_sink *sink = qn_arena_copy(&graph->arena, draft, sizeof *draft);
    if (sink && draft->directory && !(sink->directory = qn_arena_text(&graph->arena, draft->directory)))
        sink = NULL;
    if (!sink)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for an output");
    digest_number(graph, sink->kind);
    digest_number(graph, sink->input->number);
    digest_number(graph, sink->k);
    digest_number(graph, sink->collect_to);
    if (sink->directory)
        digest(graph, sink->directory, strlen(sink->directory));
    sink->next = NULL;
    qn_sink **end = &graph->sinks;
    while (*end)
        end = &(*end)->next;
    *end = sink;
    return QUERN_OK;
}

void qn_graph_note_counter(qn_graph *graph, const char *name)
{
    digest(graph, name, strlen(name) + 1);
}

void qn_graph_note(qn_graph *graph, const char *text)
{
    digest(graph, text, strlen(text) + 1);
}

void qn_graph_forget_sinks(qn_graph *graph)
{
    graph->sinks = NULL;
    graph->wanted = NULL;
}
