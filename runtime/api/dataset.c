/* SPDX-License-Identifier: BSD-3-Clause */
#include <quern/dataset.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/api/dataset_internal.h"

/* Up to the last field of version 0.1. */
#define TEXT_OPTIONS_FIRST_BYTES (offsetof(quern_text_options, skip_empty) + sizeof(int))

qn_error *qn_dataset_error_of(quern_context *context)
{
    return &context->build_error;
}

quern_dataset *qn_dataset_wrap(quern_context *context, qn_node *node)
{
    if (!node)
        return NULL;
    quern_dataset *dataset = qn_arena_take(&context->graph.arena, sizeof *dataset);
    if (!dataset) {
        qn_error_set(qn_dataset_error_of(context), QUERN_ERROR_NO_MEMORY, 0, "no memory for a dataset");
        return NULL;
    }
    *dataset = (quern_dataset){.context = context, .node = node};
    return dataset;
}

quern_schema quern_dataset_schema(const quern_dataset *dataset)
{
    return dataset ? dataset->node->schema : (quern_schema){QUERN_NONE};
}

quern_dataset *qn_dataset_refuse(quern_context *context, const char *what)
{
    qn_error_set(qn_dataset_error_of(context), QUERN_ERROR_INVALID_ARGUMENT, 0, "%s", what);
    return NULL;
}

bool qn_dataset_are_together(const quern_dataset *left, const quern_dataset *right, const char *what)
{
    if (!left || !right)
        return false;
    if (left->context == right->context)
        return true;
    qn_error_set(qn_dataset_error_of(left->context), QUERN_ERROR_INVALID_ARGUMENT, 0,
                 "%s: the two datasets are of different contexts", what);
    return false;
}

bool qn_dataset_check_paths(quern_context *context, const char *const *paths, size_t path_count, const char *what)
{
    bool complete = paths || path_count == 0;
    for (size_t i = 0; i < path_count && complete; i++)
        complete = paths[i] != NULL;
    if (!complete)
        qn_error_set(qn_dataset_error_of(context), QUERN_ERROR_INVALID_ARGUMENT, 0, "%s: %s", what,
                     paths ? "a path is NULL" : "paths are missing");
    return complete;
}

quern_dataset *quern_read_text(quern_context *context, const char *const *paths, size_t path_count,
                               const quern_text_options *options)
{
    if (!context || !qn_dataset_check_paths(context, paths, path_count, "read text"))
        return NULL;
    quern_text_options known = {.struct_size = sizeof known};
    if (qn_struct_read(&known, sizeof known, TEXT_OPTIONS_FIRST_BYTES, options, "read text: options",
                       "set it to sizeof(quern_text_options)", qn_dataset_error_of(context)) != QUERN_OK)
        return NULL;
    return qn_dataset_wrap(context,
                           qn_graph_add_text(&context->graph, paths, path_count, &known, qn_dataset_error_of(context)));
}

/* The same. */
#define FIXED_OPTIONS_FIRST_BYTES (offsetof(quern_fixed_options, header_bytes) + sizeof(uint64_t))

quern_dataset *quern_read_fixed(quern_context *context, const char *const *paths, size_t path_count,
                                const quern_fixed_options *options)
{
    quern_fixed_options known = {0};
    if (!context || !qn_dataset_check_paths(context, paths, path_count, "read fixed"))
        return NULL;
    qn_error *error = qn_dataset_error_of(context);
    if (!options)
        return qn_dataset_refuse(context, "read fixed: the options are NULL: record_bytes is needed");
    if (qn_struct_read(&known, sizeof known, FIXED_OPTIONS_FIRST_BYTES, options, "read fixed: options",
                       "set it to sizeof(quern_fixed_options)", error) != QUERN_OK)
        return NULL;
    return qn_dataset_wrap(context, qn_graph_add_fixed(&context->graph, paths, path_count, &known, error));
}

quern_dataset *quern_name(quern_dataset *dataset, const char *name)
{
    if (!dataset)
        return NULL;
    if (!name)
        return qn_dataset_refuse(dataset->context, "name: the name is NULL");
    const char *copy = qn_arena_text(&dataset->context->graph.arena, name);
    if (!copy) {
        qn_error_set(qn_dataset_error_of(dataset->context), QUERN_ERROR_NO_MEMORY, 0, "no memory for a name");
        return NULL;
    }
    dataset->node->name = copy;
    if (dataset->aggregation)
        dataset->aggregation->name = copy;
    return dataset;
}

static quern_dataset *add_operator(quern_dataset *in, const qn_node *draft, bool has_callback)
{
    if (!has_callback)
        return qn_dataset_refuse(in->context, "an operator's callback is NULL");
    qn_node node = *draft;
    node.input = in->node;
    return qn_dataset_wrap(in->context,
                           qn_graph_add_node(&in->context->graph, &node, qn_dataset_error_of(in->context)));
}

quern_dataset *quern_map(quern_dataset *in, quern_schema schema, quern_map_fn fn, void *user)
{
    qn_node draft = {.kind = QN_NODE_MAP, .schema = schema, .fn.map = fn, .user = user};
    return in ? add_operator(in, &draft, fn != NULL) : NULL;
}

quern_dataset *quern_flat_map(quern_dataset *in, quern_schema schema, quern_flat_map_fn fn, void *user)
{
    qn_node draft = {.kind = QN_NODE_FLAT_MAP, .schema = schema, .fn.flat_map = fn, .user = user};
    return in ? add_operator(in, &draft, fn != NULL) : NULL;
}

quern_dataset *quern_filter(quern_dataset *in, quern_filter_fn fn, void *user)
{
    if (!in)
        return NULL;
    qn_node draft = {.kind = QN_NODE_FILTER, .schema = in->node->schema, .fn.filter = fn, .user = user};
    return add_operator(in, &draft, fn != NULL);
}

quern_dataset *quern_map_block(quern_dataset *in, quern_schema schema, quern_flat_map_block_fn fn, void *user)
{
    qn_node draft = {.kind = QN_NODE_MAP_BLOCK, .schema = schema, .fn.flat_map_block = fn, .user = user};
    return in ? add_operator(in, &draft, fn != NULL) : NULL;
}

quern_dataset *quern_flat_map_block(quern_dataset *in, quern_schema schema, quern_flat_map_block_fn fn, void *user)
{
    qn_node draft = {.kind = QN_NODE_FLAT_MAP_BLOCK, .schema = schema, .fn.flat_map_block = fn, .user = user};
    return in ? add_operator(in, &draft, fn != NULL) : NULL;
}

quern_dataset *quern_flat_map_stretch(quern_dataset *in, quern_schema schema, const quern_stretch_operator *callbacks,
                                      void *user)
{
    quern_stretch_operator known = {.struct_size = sizeof known};
    if (!in)
        return NULL;
    qn_error *error = qn_dataset_error_of(in->context);
    if (qn_struct_read(&known, sizeof known, sizeof known, callbacks, "flat map of stretches: callbacks",
                       "set it to sizeof(quern_stretch_operator)", error) != QUERN_OK)
        return NULL;
    if (!known.take || !known.end)
        return qn_dataset_refuse(in->context, "an operator's callback is NULL");
    return qn_dataset_wrap(in->context,
                           qn_graph_add_stretch(&in->context->graph, in->node, schema, &known, user, error));
}

quern_dataset *quern_filter_block(quern_dataset *in, quern_filter_block_fn fn, void *user)
{
    if (!in)
        return NULL;
    qn_node draft = {.kind = QN_NODE_FILTER_BLOCK, .schema = in->node->schema, .fn.filter_block = fn, .user = user};
    return add_operator(in, &draft, fn != NULL);
}

quern_dataset *quern_reduce_by_key(quern_dataset *in, quern_reduction reduction)
{
    if (!in)
        return NULL;
    return qn_dataset_wrap(
        in->context, qn_graph_add_reduce(&in->context->graph, in->node, reduction, qn_dataset_error_of(in->context)));
}

quern_dataset *qn_dataset_combine(quern_dataset *in, const qn_reducer *reducer, const quern_schema *schema)
{
    quern_context *context = in->context;
    return qn_dataset_wrap(
        context, qn_graph_add_reduce_with(&context->graph, in->node, reducer, schema, qn_dataset_error_of(context)));
}

/* What checks reductions looks at them where they are combined. */
static quern_dataset *reduce_with(quern_dataset *in, const qn_reducer *reducer, const quern_schema *schema)
{
    const qn_settings *settings = &in->context->engine.settings;
    bool is_apart = settings->isolate && !settings->check;
    return is_apart ? qn_dataset_fold(in, reducer, schema) : qn_dataset_combine(in, reducer, schema);
}

quern_dataset *quern_reduce_by_key_with(quern_dataset *in, quern_reduce_fn fn, void *user)
{
    qn_reducer reducer;
    if (!in)
        return NULL;
    if (!fn)
        return qn_dataset_refuse(in->context, "reduce by key: the callback is NULL");
    const quern_schema *schema = &in->node->schema;
    if (!qn_reducer_choose_user(&reducer, schema, fn, user, qn_dataset_error_of(in->context)))
        return NULL;
    return reduce_with(in, &reducer, schema);
}

static quern_dataset *accumulate(quern_dataset *in, const quern_aggregation *aggregation, void *user)
{
    qn_reducer reducer;
    quern_schema schema = in->node->schema;
    if (!qn_reducer_choose_aggregation(&reducer, &schema, aggregation, user, qn_dataset_error_of(in->context)))
        return NULL;
    schema.value = QUERN_FIXED;
    schema.value_bytes = aggregation->accumulator_bytes;
    return quern_name(reduce_with(in, &reducer, &schema), "aggregate by key");
}

/* The same. */
#define AGGREGATION_FIRST_BYTES sizeof(quern_aggregation)

quern_dataset *quern_aggregate_by_key(quern_dataset *in, const quern_aggregation *aggregation, void *user)
{
    quern_aggregation known = {0};
    if (!in)
        return NULL;
    qn_error *error = qn_dataset_error_of(in->context);
    if (!aggregation)
        return qn_dataset_refuse(in->context, "aggregate by key: the aggregation is NULL");
    if (qn_struct_read(&known, sizeof known, AGGREGATION_FIRST_BYTES, aggregation, "aggregate by key",
                       "set it to sizeof(quern_aggregation)", error) != QUERN_OK)
        return NULL;
    quern_dataset *accumulators = accumulate(in, &known, user);
    if (!accumulators || !known.finish)
        return accumulators;
    quern_dataset *made = quern_name(quern_map(accumulators, known.schema, known.finish, user), "finish");
    if (made)
        made->aggregation = accumulators->node;
    return made;
}

quern_dataset *quern_keys(quern_dataset *in)
{
    if (!in)
        return NULL;
    qn_node draft = {.kind = QN_NODE_KEYS, .schema = in->node->schema};
    draft.schema.value = QUERN_NONE;
    draft.schema.value_bytes = 0;
    return add_operator(in, &draft, true);
}

quern_dataset *quern_key_by(quern_dataset *in, quern_type key_type, uint32_t key_bytes, quern_key_fn fn, void *user)
{
    if (!in)
        return NULL;
    qn_node draft = {.kind = QN_NODE_KEY_BY, .schema = in->node->schema, .fn.key = fn, .user = user};
    if (draft.schema.value == QUERN_NONE) {
        draft.schema.value = in->node->schema.key;
        draft.schema.value_bytes = in->node->schema.key_bytes;
    }
    draft.schema.key = key_type;
    draft.schema.key_bytes = key_bytes;
    return add_operator(in, &draft, fn != NULL);
}

quern_dataset *quern_value_as_key(quern_dataset *in)
{
    if (!in)
        return NULL;
    const quern_schema *schema = &in->node->schema;
    if (schema->value == QUERN_NONE) {
        qn_error_set(qn_dataset_error_of(in->context), QUERN_ERROR_INVALID_PLAN, 0,
                     "value as key: the dataset has no values");
        return NULL;
    }
    qn_node draft = {.kind = QN_NODE_VALUE_AS_KEY, .schema = {.key = schema->value, .key_bytes = schema->value_bytes}};
    return add_operator(in, &draft, true);
}

quern_dataset *quern_sample(quern_dataset *in, double fraction, uint64_t seed)
{
    if (!in)
        return NULL;
    return qn_dataset_wrap(in->context, qn_graph_add_sample(&in->context->graph, in->node, fraction, seed,
                                                            qn_dataset_error_of(in->context)));
}

quern_dataset *quern_count_by_key(quern_dataset *in)
{
    return quern_name(quern_reduce_by_key(in, QUERN_COUNT), "count by key");
}

quern_dataset *quern_histogram(quern_dataset *in, const double *bounds, size_t bound_count)
{
    if (!in)
        return NULL;
    quern_dataset *bins = qn_dataset_wrap(in->context, qn_graph_add_bin(&in->context->graph, in->node, bounds,
                                                                        bound_count, qn_dataset_error_of(in->context)));
    return quern_name(quern_reduce_by_key(bins, QUERN_COUNT), "histogram");
}

quern_dataset *quern_distinct(quern_dataset *in)
{
    return quern_keys(quern_name(quern_reduce_by_key(in, QUERN_COUNT), "distinct"));
}

static quern_status add_sink(quern_dataset *in, const qn_sink *draft)
{
    return qn_graph_add_sink(&in->context->graph, draft, qn_dataset_error_of(in->context));
}

static quern_status write_files(quern_dataset *in, qn_sink_kind kind, const char *directory, const char *refusal)
{
    if (!in)
        return QUERN_ERROR_INVALID_ARGUMENT;
    if (!directory || !*directory) {
        qn_dataset_refuse(in->context, refusal);
        return QUERN_ERROR_INVALID_ARGUMENT;
    }
    return add_sink(in, &(qn_sink){.kind = kind, .input = in->node, .directory = directory});
}

/* Up to the last field of version 0.1. */
#define OUTPUT_OPTIONS_FIRST_BYTES (offsetof(quern_output_options, one_file) + sizeof(int))

static bool can_archive(const quern_output_options *options)
{
    if (options->archive == QUERN_ZIP)
        return options->compression <= QUERN_GZIP;
    return options->archive == QUERN_NO_ARCHIVE || options->archive == QUERN_TAR;
}

static bool has_all_names(const quern_output_options *options)
{
    for (size_t i = 0; options->names && i < options->name_count; i++)
        if (!options->names[i])
            return false;
    return options->names || options->name_count == 0;
}

/* False: what is asked for makes no rows. */
static bool read_text_form(const quern_output_options *options, qn_text_form *form, qn_error *error)
{
    bool is_tsv = options->form == QUERN_FORM_TSV, has_rows = is_tsv || options->form == QUERN_FORM_CSV;
    bool asks = options->separator || options->rows || options->row_separator || options->row_no_quotes ||
                options->name_count > 0;
    char separator = options->separator ? options->separator : is_tsv ? '\t' : ',';
    char row_separator = options->row_separator ? options->row_separator : ',';
    const char *problem = NULL;
    if (asks && !has_rows)
        problem = "separators, rows and names are of CSV and TSV";
    else if (!qn_may_separate(separator) || !qn_may_separate(row_separator) || (is_tsv && separator != '\t'))
        problem = "the separator must be an ASCII byte, no quote and no line break, and of TSV the tab";
    else if (!has_all_names(options))
        problem = "a name of a column is missing";
    if (problem) {
        qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "write files: %s", problem);
        return false;
    }
    if (has_rows)
        *form = (qn_text_form){.form = options->form,
                               .separator = separator,
                               .is_row = options->rows != 0,
                               .row_separator = row_separator,
                               .row_has_quotes = !options->row_no_quotes,
                               .names = options->names,
                               .name_count = options->name_count};
    return true;
}

/* False: a value that there is not. */
static bool read_output(const quern_output_options *options, qn_sink *draft, qn_error *error)
{
    bool has_form = options->form >= QUERN_FORM_TEXT && options->form <= QUERN_FORM_TSV;
    bool has_compression = options->compression >= QUERN_NOT_COMPRESSED && options->compression <= QUERN_LZ4;
    if (!has_form || !has_compression) {
        qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "write files: the %s is none of %s",
                     has_form ? "compression" : "form", has_form ? "quern_compression" : "quern_form");
        return false;
    }
    if (!can_archive(options)) {
        qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0,
                     "write files: the archive is none of quern_archive, or a zip with a compression other than gzip");
        return false;
    }
    draft->kind = options->form == QUERN_FORM_FIXED ? QN_SINK_FIXED : QN_SINK_TEXT;
    draft->compression = options->compression;
    draft->level = options->level;
    draft->one_file = options->one_file || options->archive;
    draft->archive = options->archive;
    return read_text_form(options, &draft->text, error);
}

quern_status quern_write_files(quern_dataset *in, const char *directory, const quern_output_options *options)
{
    quern_output_options known = {.struct_size = sizeof known};
    if (!in)
        return QUERN_ERROR_INVALID_ARGUMENT;
    qn_error *error = qn_dataset_error_of(in->context);
    qn_sink draft = {.input = in->node, .directory = directory};
    if (qn_struct_read(&known, sizeof known, OUTPUT_OPTIONS_FIRST_BYTES, options, "write files: options",
                       "set it to sizeof(quern_output_options)", error) != QUERN_OK ||
        !read_output(&known, &draft, error))
        return QUERN_ERROR_INVALID_ARGUMENT;
    if (!directory || !*directory) {
        qn_dataset_refuse(in->context, "write files: the directory is missing");
        return QUERN_ERROR_INVALID_ARGUMENT;
    }
    return add_sink(in, &draft);
}

quern_status quern_write_text(quern_dataset *in, const char *directory)
{
    return write_files(in, QN_SINK_TEXT, directory, "write text: the directory is missing");
}

quern_status quern_write_fixed(quern_dataset *in, const char *directory)
{
    return write_files(in, QN_SINK_FIXED, directory, "write fixed: the directory is missing");
}

quern_status quern_top_k(quern_dataset *in, uint64_t k, quern_each_fn fn, void *user)
{
    if (!in)
        return QUERN_ERROR_INVALID_ARGUMENT;
    if (!fn) {
        qn_dataset_refuse(in->context, "top k: the callback is NULL");
        return QUERN_ERROR_INVALID_ARGUMENT;
    }
    return add_sink(in, &(qn_sink){.kind = QN_SINK_TOP_K, .input = in->node, .k = k, .each = fn, .user = user});
}

quern_status quern_collect(quern_dataset *in, quern_collect_to to, quern_each_fn fn, void *user)
{
    if (!in)
        return QUERN_ERROR_INVALID_ARGUMENT;
    if (!fn) {
        qn_dataset_refuse(in->context, "collect: the callback is NULL");
        return QUERN_ERROR_INVALID_ARGUMENT;
    }
    return add_sink(in,
                    &(qn_sink){.kind = QN_SINK_COLLECT, .input = in->node, .collect_to = to, .each = fn, .user = user});
}

quern_counter *quern_counter_create(quern_context *context, const char *name)
{
    if (!context)
        return NULL;
    if (!name) {
        qn_dataset_refuse(context, "counter create: the name is NULL");
        return NULL;
    }
    quern_counter *counter = qn_arena_take(&context->graph.arena, sizeof *counter);
    const char *copy = qn_arena_text(&context->graph.arena, name);
    if (!counter || !copy) {
        qn_error_set(qn_dataset_error_of(context), QUERN_ERROR_NO_MEMORY, 0, "no memory for a counter");
        return NULL;
    }
    *counter = (quern_counter){.name = copy, .next = context->counters};
    context->counters = counter;
    qn_graph_note(&context->graph, name);
    qn_graph_note_counter(&context->graph, copy);
    return counter;
}

void quern_counter_add(quern_counter *counter, int64_t amount)
{
    if (counter)
        counter->pending += amount;
}

int64_t quern_counter_value(const quern_counter *counter)
{
    return counter ? counter->total : 0;
}

quern_status quern_run(quern_context *context)
{
    quern_status refused = qn_context_check(context);
    if (refused != QUERN_OK)
        return refused;
    qn_error_clear(&context->error);
    context->error = context->build_error;
    qn_error_clear(&context->build_error);
    context->running = true; /* a rank whose graph could not be built tells the others there */
    quern_status status = context->engine.settings.only_explains
                              ? qn_explain_only(context, &context->error)
                              : qn_engine_run(&context->engine, &context->graph, context->counters, &context->error);
    context->running = false;
    if (status == QUERN_OK)
        qn_stages_learn(&context->engine.account->stages, &context->graph, qn_dataset_error_of(context));
    qn_graph_forget_sinks(&context->graph);
    return status;
}
