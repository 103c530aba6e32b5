/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/plan/graph.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/data/batch.h"

void qn_graph_init(qn_graph *graph)
{
    *graph = (qn_graph){0};
    qn_arena_init(&graph->arena, 0);
    qn_arena_init(&graph->sink_arena, 0);
}

void qn_graph_fini(qn_graph *graph)
{
    qn_arena_reset(&graph->arena);
    qn_arena_reset(&graph->sink_arena);
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
    case QN_NODE_FIXED:
        return "read fixed";
    case QN_NODE_HDF5:
        return "read hdf5";
    case QN_NODE_SEQUENCES:
        return "read sequences";
    case QN_NODE_ROWS:
        return "read csv";
    case QN_NODE_FILES:
        return "read files";
    case QN_NODE_MEMORY:
        return "read memory";
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
    case QN_NODE_KEY_BY:
        return "key by";
    case QN_NODE_VALUE_AS_KEY:
        return "value as key";
    case QN_NODE_SAMPLE:
        return "sample";
    case QN_NODE_BIN:
        return "bin";
    case QN_NODE_UNION:
        return "union";
    case QN_NODE_GROUP:
        return "group by key";
    case QN_NODE_TOP_OF_KEY:
        return "top k by key";
    case QN_NODE_COGROUP:
        return "cogroup";
    case QN_NODE_JOIN:
        return "join";
    case QN_NODE_COLLATE:
        return "sort by key";
    case QN_NODE_REDUCE:
        return "reduce by key";
    case QN_NODE_STORE:
        return "store";
    case QN_NODE_ZIP:
        return "zip with index";
    case QN_NODE_PREFIX_SUM:
        return "prefix sum";
    case QN_NODE_QUANTILES:
        return "quantiles";
    case QN_NODE_LINKS:
        return "iterate links";
    }
    return "";
}

static bool schema_is_valid(const quern_schema *schema)
{
    return qn_type_may_be_key(schema->key, schema->key_bytes) &&
           qn_type_may_be_value(schema->value, schema->value_bytes);
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
    digest_number(graph, node->schema.key_bytes);
    if (node->kind == QN_NODE_JOIN)
        digest_number(graph, node->of.join_type);
    if (node->kind == QN_NODE_TOP_OF_KEY)
        digest_number(graph, node->of.k);
    return node;
}

static bool read_delimiters(const quern_text_options *options, qn_text_input *text, qn_error *error)
{
    const char *delimiters = options && options->delimiters ? options->delimiters : "\n";
    size_t count =
        options && options->delimiters && options->delimiter_count > 0 ? options->delimiter_count : strlen(delimiters);
    if (count < 1 || count > QN_DELIMITER_COUNT_MAX) {
        qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "read text: delimiters must be 1 to %d bytes",
                     QN_DELIMITER_COUNT_MAX);
        return false;
    }
    memcpy(text->delimiters, delimiters, count);
    text->delimiter_count = count;
    text->skip_empty = options && options->skip_empty;
    text->as_stored = options && options->as_stored;
    return true;
}

/* False: there is no such value. */
static bool read_value(const quern_text_options *options, qn_node *draft, qn_error *error)
{
    static const quern_type types[] = {QUERN_NONE, QUERN_BYTES, QUERN_U64, QUERN_BYTES};
    draft->text.value = options ? options->value : QUERN_TEXT_NO_VALUE;
    if ((size_t)draft->text.value >= sizeof types / sizeof types[0]) {
        qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "read text: the value is none of quern_text_value");
        return false;
    }
    draft->schema.value = types[draft->text.value];
    return true;
}

/* By the texts alone: equal, or below it. */
static bool is_below(const char *path, const char *directory, size_t directory_bytes)
{
    while (directory_bytes > 0 && directory[directory_bytes - 1] == '/')
        directory_bytes--;
    return strncmp(path, directory, directory_bytes) == 0 &&
           (path[directory_bytes] == 0 || path[directory_bytes] == '/');
}

static bool is_on_nodes(const qn_graph *graph, const char *path)
{
    for (const char *at = graph->node_local; at && *at; at += *at == ':') {
        size_t bytes = strcspn(at, ":");
        if (bytes > 0 && is_below(path, at, bytes))
            return true;
        at += bytes;
    }
    return false;
}

static bool choose_place(qn_graph *graph, qn_text_input *into, qn_error *error)
{
    size_t count = 0;
    for (size_t i = 0; i < into->path_count; i++)
        count += is_on_nodes(graph, into->paths[i]);
    into->is_on_nodes = count > 0;
    digest_number(graph, into->is_on_nodes);
    if (count == 0 || count == into->path_count)
        return true;
    qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0,
                 "node-local: of the paths of a source all or none may be on nodes: read %s by a source of its own",
                 into->paths[is_on_nodes(graph, into->paths[0]) ? 0 : into->path_count - 1]);
    return false;
}

bool qn_graph_copy_paths(qn_graph *graph, const char *const *paths, size_t path_count, qn_text_input *into,
                         qn_error *error)
{
    const char **copies = qn_arena_take(&graph->arena, (path_count + 1) * sizeof *copies);
    for (size_t i = 0; copies && i < path_count; i++) {
        copies[i] = qn_arena_text(&graph->arena, paths[i]);
        if (!copies[i])
            return no_memory(error) != NULL;
        digest(graph, paths[i], strlen(paths[i]) + 1);
    }
    into->paths = copies;
    into->path_count = path_count;
    return copies ? choose_place(graph, into, error) : no_memory(error) != NULL;
}

qn_node *qn_graph_add_text(qn_graph *graph, const char *const *paths, size_t path_count,
                           const quern_text_options *options, qn_error *error)
{
    qn_node draft = {.kind = QN_NODE_TEXT, .schema = {QUERN_BYTES, QUERN_NONE, 0}};
    if (!read_delimiters(options, &draft.text, error) || !read_value(options, &draft, error))
        return NULL;
    if (!qn_graph_copy_paths(graph, paths, path_count, &draft.text, error))
        return NULL;
    digest(graph, draft.text.delimiters, draft.text.delimiter_count);
    digest_number(graph, draft.text.skip_empty);
    digest_number(graph, draft.text.value);
    digest_number(graph, draft.text.as_stored);
    return qn_graph_add_node(graph, &draft, error);
}

qn_node *qn_graph_add_reduce_with(qn_graph *graph, const qn_node *input, const qn_reducer *reducer,
                                  const quern_schema *schema, qn_error *error)
{
    digest_number(graph, reducer->kind);
    digest_number(graph, reducer->finish);
    return qn_graph_add_node(
        graph, &(qn_node){.kind = QN_NODE_REDUCE, .input = input, .schema = *schema, .reducer = *reducer}, error);
}

qn_node *qn_graph_add_reduce(qn_graph *graph, const qn_node *input, quern_reduction reduction, qn_error *error)
{
    qn_reducer reducer;
    quern_schema schema = input->schema;
    if (!qn_reducer_choose(&reducer, reduction, schema.value, &schema.value, error))
        return NULL;
    reducer.key_type = schema.key;
    return qn_graph_add_reduce_with(graph, input, &reducer, &schema, error);
}

static bool same_keys(const quern_schema *left, const quern_schema *right)
{
    return left->key == right->key && (!qn_type_has_fixed(left->key) || left->key_bytes == right->key_bytes);
}

static bool same_schema(const quern_schema *left, const quern_schema *right)
{
    return same_keys(left, right) && left->value == right->value &&
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

qn_node *qn_graph_add_collate(qn_graph *graph, const qn_node *input, const qn_node *other, const qn_collate *collate,
                              qn_error *error)
{
    if (other && !same_keys(&other->schema, &input->schema)) {
        qn_error_set(error, QUERN_ERROR_INVALID_PLAN, 0,
                     "the keys of the two datasets are of different types: map one of them");
        return NULL;
    }
    digest_number(graph, (uint64_t)collate->kind << 8 | collate->descending << 1 | collate->values_descending);
    return qn_graph_add_node(
        graph,
        &(qn_node){
            .kind = QN_NODE_COLLATE, .input = input, .other = other, .schema = input->schema, .of.collate = *collate},
        error);
}

/* Whether a side may be the table: nobody would know of its records without a partner. */
static bool may_build(quern_join_type type, int side)
{
    if (type == QUERN_JOIN_INNER)
        return true;
    return side == QN_BUILD_LEFT ? type == QUERN_JOIN_RIGHT
                                 : type == QUERN_JOIN_LEFT || type == QUERN_JOIN_SEMI || type == QUERN_JOIN_ANTI;
}

static bool check_strategy(quern_join_type type, quern_join_strategy strategy, qn_error *error)
{
    bool is_left = strategy == QUERN_JOIN_BROADCAST_LEFT, is_right = strategy == QUERN_JOIN_BROADCAST_RIGHT;
    if ((unsigned)strategy > QUERN_JOIN_BROADCAST_RIGHT) {
        qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "join: the strategy must be one of quern_join_strategy");
        return false;
    }
    if ((is_left && !may_build(type, QN_BUILD_LEFT)) || (is_right && !may_build(type, QN_BUILD_RIGHT))) {
        qn_error_set(error, QUERN_ERROR_INVALID_PLAN, 0,
                     "join: a join of this type cannot broadcast its %s side: left is for inner and right joins, right "
                     "for inner, left, semi and anti joins; use QUERN_JOIN_AUTO",
                     is_left ? "left" : "right");
        return false;
    }
    return true;
}

/* A store of each side that may be the table; nothing works them out until one of them is. */
static bool add_stores(qn_graph *graph, qn_join_choice *choice, const qn_node *const inputs[2], quern_join_type type,
                       qn_error *error)
{
    for (int side = QN_BUILD_LEFT; side <= QN_BUILD_RIGHT; side++) {
        const qn_node *input = inputs[side - 1];
        bool unwanted = choice->strategy == QUERN_JOIN_SORT ||
                        (side == QN_BUILD_LEFT && choice->strategy == QUERN_JOIN_BROADCAST_RIGHT) ||
                        (side == QN_BUILD_RIGHT && choice->strategy == QUERN_JOIN_BROADCAST_LEFT);
        if (unwanted || !may_build(type, side))
            continue;
        qn_node *stored = (qn_node *)(uintptr_t)input;
        if (input->kind != QN_NODE_STORE)
            stored = qn_graph_add_node(
                graph, &(qn_node){.kind = QN_NODE_STORE, .input = input, .schema = input->schema}, error);
        if (!stored)
            return false;
        choice->stored[side - 1] = stored;
    }
    return true;
}

qn_node *qn_graph_add_join_input(qn_graph *graph, const qn_node *left, const qn_node *right, quern_join_type type,
                                 quern_join_strategy strategy, quern_join_outer outer, qn_error *error)
{
    qn_join_choice choice = {.strategy = strategy, .outer = outer};
    if ((unsigned)outer > QUERN_JOIN_OUTER_RIGHT) {
        qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "join: the outer side must be one of quern_join_outer");
        return NULL;
    }
    if (!check_strategy(type, strategy, error))
        return NULL;
    qn_node *node = qn_graph_add_collate(graph, left, right,
                                         &(qn_collate){.kind = QN_COLLATE_BY_HASH, .divides_keys = true}, error);
    digest_number(graph, (uint64_t)strategy << 8 | outer);
    if (!node || !add_stores(graph, &choice, (const qn_node *const[]){left, right}, type, error))
        return NULL;
    node->join = choice;
    node->name = "gather both sides";
    node->next_join = graph->joins;
    graph->joins = node;
    return node;
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
    draft.schema.value = qn_type_of_sums(input->schema.value);
    if (draft.schema.value == QUERN_NONE) {
        qn_error_set(error, QUERN_ERROR_INVALID_PLAN, 0, "prefix sum: values must be numbers: map them first");
        return NULL;
    }
    return add_placed(graph, input, &draft, error);
}

static int compare_quantiles(const void *left, const void *right)
{
    const qn_quantile *a = left, *b = right;
    if (a->fraction != b->fraction)
        return a->fraction < b->fraction ? -1 : 1;
    return (a->number > b->number) - (a->number < b->number);
}

static const qn_quantile *order_quantiles(qn_graph *graph, const double *fractions, size_t count)
{
    qn_quantile *items = qn_arena_take(&graph->arena, count * sizeof *items);
    for (size_t i = 0; items && i < count; i++)
        items[i] = (qn_quantile){fractions[i], i};
    if (items)
        qsort(items, count, sizeof *items, compare_quantiles);
    return items;
}

qn_node *qn_graph_add_quantiles(qn_graph *graph, qn_node *sorted, const double *fractions, size_t count,
                                qn_error *error)
{
    bool fits = fractions && count >= 1 && count <= QN_QUANTILE_COUNT_MAX;
    for (size_t i = 0; fits && i < count; i++)
        fits = fractions[i] >= 0 && fractions[i] <= 1;
    if (!fits) {
        qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "quantiles: 1 to %d fractions from 0 to 1 are needed",
                     QN_QUANTILE_COUNT_MAX);
        return NULL;
    }
    qn_node draft = {.kind = QN_NODE_QUANTILES,
                     .schema = {sorted->schema.key, QUERN_U64, 0, sorted->schema.key_bytes},
                     .of.quantiles = {order_quantiles(graph, fractions, count), count}};
    if (!draft.of.quantiles.items)
        return no_memory(error);
    qn_graph_note_bytes(graph, fractions, count * sizeof *fractions);
    return add_placed(graph, sorted, &draft, error);
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
    node->is_cached = node->is_made = node->is_weighed = false;
    node->next_cached = NULL;
    if (node->sorted)
        qn_graph_uncache(graph, node->sorted);
    node->sorted = NULL;
}

quern_status qn_graph_want_sorted(qn_graph *graph, qn_node *node, qn_error *error)
{
    const qn_collate how = {.kind = QN_COLLATE_BY_HASH};
    if (node->sorted)
        return QUERN_OK;
    node->sorted = qn_graph_add_collate(graph, node, NULL, &how, error);
    if (!node->sorted)
        return error->status;
    node->sorted->name = "keep in order";
    qn_graph_cache(graph, node->sorted);
    return QUERN_OK;
}

static quern_status check_sink(const qn_sink *sink, qn_error *error)
{
    quern_type type = sink->input->schema.value;
    if (sink->kind == QN_SINK_TEXT && type == QUERN_FIXED)
        return qn_error_set(error, QUERN_ERROR_INVALID_PLAN, 0,
                            "write text: values of QUERN_FIXED have no text; map them to bytes first");
    if (sink->kind == QN_SINK_TEXT && sink->text.is_row && type != QUERN_BYTES)
        return qn_error_set(error, QUERN_ERROR_INVALID_PLAN, 0, "write files: rows are values of QUERN_BYTES");
    if (sink->kind == QN_SINK_TOP_K && !qn_type_is_number(type))
        return qn_error_set(error, QUERN_ERROR_INVALID_PLAN, 0, "top k: values must be numbers");
    if (sink->kind == QN_SINK_TOP_K && (sink->k == 0 || sink->k > UINT64_C(1) << 31))
        return qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "top k: k must be 1 to 2^31");
    if (sink->kind == QN_SINK_COLLECT &&
        (sink->collect_to < QUERN_COLLECT_ROOT || sink->collect_to > QUERN_COLLECT_LOCAL))
        return qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0,
                            "collect: to must be QUERN_COLLECT_ROOT, QUERN_COLLECT_ALL or QUERN_COLLECT_LOCAL");
    return QUERN_OK;
}

/* False: no memory. */
static bool copy_text_form(qn_graph *graph, qn_text_form *form)
{
    const char **names = qn_arena_copy(&graph->sink_arena, form->name_count > 0 ? (const void *)form->names : form,
                                       form->name_count * sizeof *names);
    uint64_t numbers[] = {form->form,           (unsigned char)form->separator,
                          form->is_row,         (unsigned char)form->row_separator,
                          form->row_has_quotes, form->name_count};
    digest(graph, numbers, sizeof numbers);
    for (size_t i = 0; names && i < form->name_count; i++) {
        digest(graph, names[i], strlen(names[i]) + 1);
        if (!(names[i] = qn_arena_text(&graph->sink_arena, names[i])))
            return false;
    }
    form->names = names;
    return names != NULL;
}

quern_status qn_graph_add_sink(qn_graph *graph, const qn_sink *draft, qn_error *error)
{
    quern_status status = check_sink(draft, error);
    if (status != QUERN_OK)
        return status;
    if (!graph->sinks) /* nobody asks for the plan of the last run any more */
        qn_arena_rewind(&graph->sink_arena);
    qn_sink *sink = qn_arena_copy(&graph->sink_arena, draft, sizeof *draft);
    if (sink && draft->directory && !(sink->directory = qn_arena_text(&graph->sink_arena, draft->directory)))
        sink = NULL;
    if (!sink || !copy_text_form(graph, &sink->text))
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for an output");
    digest_number(graph, sink->kind);
    digest_number(graph, sink->input->number);
    digest_number(graph, sink->k);
    digest_number(graph, sink->collect_to);
    digest_number(graph, (uint64_t)sink->compression << 32 | sink->one_file);
    digest_number(graph, (uint64_t)sink->level);
    digest_number(graph, sink->archive);
    if (sink->directory)
        digest(graph, sink->directory, strlen(sink->directory));
    sink->next = NULL;
    qn_sink **end = &graph->sinks;
    while (*end)
        end = &(*end)->next;
    *end = sink;
    return QUERN_OK;
}

void qn_graph_note_bytes(qn_graph *graph, const void *data, size_t bytes)
{
    digest(graph, data, bytes);
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
