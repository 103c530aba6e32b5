/* SPDX-License-Identifier: BSD-3-Clause */
/* Sinks of graph.h that write HDF5: what they are made with is checked against the records. */
#include <stdio.h>
#include <string.h>

#include "runtime/data/batch.h"
#include "runtime/plan/graph.h"

#define FIELD_COUNT_MAX     64
#define ROW_RANK_MAX        31
#define ATTRIBUTE_COUNT_MAX 4096
#define CHUNK_BYTES_DEFAULT ((uint64_t)1 << 20)
#define CHUNK_BYTES_MAX     ((uint64_t)64 << 20)
#define WORK_SUFFIX         ".unfinished"
#define DEFLATE_LEVEL_MAX   9

typedef quern_hdf5_write_options write_options;

static bool refuse(qn_error *error, const char *what)
{
    qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "write hdf5: %s", what);
    return false;
}

static bool check_fields(const write_options *options, qn_error *error)
{
    if (options->field_count > FIELD_COUNT_MAX || (options->field_count > 0 && !options->fields))
        return refuse(error, "there may be 64 fields");
    if (options->field_count > 0 && (options->type != QUERN_NONE || options->string_bytes > 0))
        return refuse(error, "with fields type and string_bytes must be left 0");
    if (options->with_key && (options->field_count == 0 || options->row_rank > 0))
        return refuse(error, "with_key needs fields, of which the first is the key, and no row_dims");
    for (size_t i = 0; i < options->field_count; i++) {
        const quern_hdf5_field *field = &options->fields[i];
        if (!field->name || !*field->name || strchr(field->name, '/'))
            return refuse(error, "a field has no name, or a slash in it");
        if (!(field->type == QUERN_BYTES ? field->count > 0 : quern_number_bytes(field->type) > 0))
            return refuse(error, "a field is a number, or QUERN_BYTES with its bytes as count");
        for (size_t other = 0; other < i; other++)
            if (strcmp(options->fields[other].name, field->name) == 0)
                return refuse(error, "two fields have the same name");
    }
    return true;
}

static bool check_attributes(const write_options *options, qn_error *error)
{
    if (options->attribute_count > ATTRIBUTE_COUNT_MAX || (options->attribute_count > 0 && !options->attributes))
        return refuse(error, "there may be 4096 attributes");
    for (size_t i = 0; i < options->attribute_count; i++) {
        const quern_hdf5_attribute *attribute = &options->attributes[i];
        bool is_text = attribute->type == QUERN_BYTES;
        if (!attribute->name || !*attribute->name || (is_text && !attribute->text))
            return refuse(error, "an attribute has no name or no text");
        if (!is_text && attribute->type != QUERN_I64 && attribute->type != QUERN_F64)
            return refuse(error, "an attribute is QUERN_I64, QUERN_F64 or QUERN_BYTES");
    }
    if (!options->like_file != !options->like_dataset || (options->like_type && !options->like_file))
        return refuse(error, "a model is like_file and like_dataset: one of the two is missing");
    return true;
}

static bool check_layout(const write_options *options, qn_error *error)
{
    if (!options->dataset || strspn(options->dataset, "/") == strlen(options->dataset))
        return refuse(error, "the dataset is missing");
    if ((unsigned)options->files > QUERN_HDF5_AT_PATH)
        return refuse(error, "files is none of quern_hdf5_files");
    if (options->row_rank > ROW_RANK_MAX || (options->row_rank > 0 && !options->row_dims))
        return refuse(error, "a row may have 31 dimensions");
    for (uint32_t i = 0; i < options->row_rank; i++)
        if (options->row_dims[i] == 0 || options->row_dims[i] > QN_FIELD_BYTES_MAX)
            return refuse(error, "a dimension of a row is 0, or more than any record can have");
    if (options->deflate_level < 0 || options->deflate_level > DEFLATE_LEVEL_MAX)
        return refuse(error, "deflate_level is 0 to 9");
    return true;
}

/* Bytes of the fields from `first` on; beyond QN_FIELD_BYTES_MAX only that it is more. */
static uint64_t fields_bytes(const write_options *options, size_t first, size_t end)
{
    uint64_t bytes = 0;
    for (size_t i = first; i < end; i++) {
        const quern_hdf5_field *field = &options->fields[i];
        uint64_t each = field->type == QUERN_BYTES ? 1 : quern_number_bytes(field->type);
        bytes += qn_array_field_varies(field) ? sizeof(char *) : each * (field->count ? field->count : 1);
    }
    return bytes;
}

static bool have_varying(const write_options *options, size_t first, size_t end)
{
    bool varies = false;
    for (size_t i = first; i < end; i++)
        varies |= qn_array_field_varies(&options->fields[i]);
    return varies;
}

/* Whether a number is described as what it is. */
static bool is_same_number(quern_type type, const quern_hdf5_field *field)
{
    return field->type == type && field->count <= 1;
}

/* What fields [first, end) are of a key or a value of such a type. */
static bool fit_fields(const write_options *options, size_t first, size_t end, quern_type type, uint32_t fixed_bytes,
                       qn_array_span *span_out, qn_error *error)
{
    uint64_t bytes = fields_bytes(options, first, end);
    bool is_text = end - first == 1 && options->fields[first].type == QUERN_BYTES;
    if (first == end || type == QUERN_NONE)
        return refuse(error, first == end ? "there is no field for the value" : "there are fields for no value");
    if (bytes > QN_FIELD_BYTES_MAX)
        return refuse(error, "the fields are larger than any record");
    if (quern_number_bytes(type) > 0 && !(end - first == 1 && is_same_number(type, &options->fields[first])))
        return refuse(error, "a number is one field, of its own type");
    bool varies = have_varying(options, first, end);
    *span_out = (qn_array_span){(uint32_t)bytes, is_text && type == QUERN_BYTES, varies, (uint32_t)first,
                                (uint32_t)(end - first)};
    if (varies && (type != QUERN_BYTES || options->row_rank > 0))
        return refuse(error, "strings of variable length are of QUERN_BYTES, and are not in rows");
    if (!qn_type_varies(type) && qn_type_bytes(type, fixed_bytes) != bytes && options->row_rank == 0)
        return refuse(error, "the fields have not the bytes of the record");
    return true;
}

static bool fit_compound(qn_array_output *form, const quern_schema *schema, qn_error *error)
{
    const write_options *options = &form->options;
    size_t first = options->with_key ? 1 : 0;
    form->element_bytes = (uint32_t)fields_bytes(options, 0, options->field_count);
    if (options->with_key && !fit_fields(options, 0, 1, schema->key, schema->key_bytes, &form->key, error))
        return false;
    if (options->with_key && options->field_count == 1 && schema->value == QUERN_NONE)
        return true;
    return fit_fields(options, first, options->field_count, schema->value, schema->value_bytes, &form->value, error);
}

/* Elements without fields: the values, or keys that have none. */
static bool fit_plain(qn_array_output *form, quern_type type, qn_array_span *span, qn_error *error)
{
    write_options *options = &form->options;
    if (options->type == QUERN_NONE)
        options->type = type;
    bool is_text = options->type == QUERN_BYTES;
    if (is_text && (options->string_bytes == 0 || options->row_rank > 0))
        return refuse(error, "strings need string_bytes, and are not in rows");
    if (!is_text && quern_number_bytes(options->type) == 0)
        return refuse(error, "the records are neither numbers nor strings: say their type, or their fields");
    if (!is_text && options->string_bytes > 0)
        return refuse(error, "string_bytes is for strings");
    if (quern_number_bytes(type) > 0 && type != options->type)
        return refuse(error, "the records are numbers of another type");
    bool varies = is_text && options->string_bytes == QUERN_HDF5_VARIABLE;
    if (varies && type != QUERN_BYTES)
        return refuse(error, "strings of variable length are of QUERN_BYTES");
    form->element_bytes = varies    ? (uint32_t)sizeof(char *)
                          : is_text ? options->string_bytes
                                    : (uint32_t)quern_number_bytes(options->type);
    *span = (qn_array_span){.bytes = form->element_bytes, .pads = is_text && type == QUERN_BYTES, .varies = varies};
    return form->element_bytes <= QN_FIELD_BYTES_MAX || refuse(error, "the strings are larger than any record");
}

/* As many elements as a row has; the records have so many bytes, as far as their type says. */
static bool fit_row(qn_array_output *form, quern_type type, uint32_t fixed_bytes, qn_array_span *span, qn_error *error)
{
    uint64_t bytes = span->bytes;
    for (uint32_t i = 0; i < form->options.row_rank && bytes <= QN_FIELD_BYTES_MAX; i++)
        bytes *= form->options.row_dims[i];
    if (bytes > QN_FIELD_BYTES_MAX)
        return refuse(error, "a row is larger than any record");
    if (type != QUERN_NONE && !qn_type_varies(type) && qn_type_bytes(type, fixed_bytes) != bytes)
        return refuse(error, "a row has not the bytes of the record");
    span->bytes = (uint32_t)bytes;
    return true;
}

/* How far a chunk reaches in a dimension of the row. */
static uint64_t chunk_dim(const write_options *options, uint32_t d)
{
    uint64_t wanted = options->chunk_dims ? options->chunk_dims[d] : 0;
    return wanted > 0 && wanted < options->row_dims[d] ? wanted : options->row_dims[d];
}

/* Chunks that fail in a filter are stored without it. When ranks write together, HDF5 does not say so in the file. */
static bool may_pass(const write_options *options)
{
    const int deflate = 1, fletcher32 = 3; /* between them shuffle */
    bool may = false;
    for (size_t i = 0; i < options->filter_count; i++)
        may |= options->filters[i].number < deflate || options->filters[i].number > fletcher32;
    return may;
}

/* All chunks that have a row in them are written by one rank, at once. */
static bool fit_chunk(qn_array_output *form, qn_error *error)
{
    const write_options *options = &form->options;
    form->row_bytes = (uint64_t)form->key.bytes + form->value.bytes;
    form->varies = form->key.varies || form->value.varies;
    form->is_single = form->varies || may_pass(options);
    uint64_t rows = options->chunk_rows, piece_bytes = form->row_bytes;
    if (form->row_bytes > CHUNK_BYTES_MAX || rows > CHUNK_BYTES_MAX / form->row_bytes)
        return refuse(error, "the rows of a chunk are more than 64 MiB");
    form->row_chunks = 1;
    for (uint32_t d = 0; d < options->row_rank; d++) {
        uint64_t dim = options->row_dims[d], reach = chunk_dim(options, d);
        form->row_chunks *= (dim - 1) / reach + 1;
        piece_bytes = piece_bytes / dim * reach;
    }
    uint64_t usual = CHUNK_BYTES_DEFAULT / piece_bytes, most = CHUNK_BYTES_MAX / form->row_bytes;
    usual = usual < most ? usual : most;
    form->chunk_rows = rows > 0 ? rows : usual > 0 ? usual : 1;
    return true;
}

static bool fit(qn_array_output *form, const quern_schema *schema, qn_error *error)
{
    bool of_key = schema->value == QUERN_NONE && !form->options.with_key;
    quern_type type = of_key ? schema->key : schema->value;
    uint32_t fixed_bytes = of_key ? schema->key_bytes : schema->value_bytes;
    qn_array_span *span = of_key ? &form->key : &form->value;
    const write_options *options = &form->options;
    bool fits = options->with_key ? fit_compound(form, schema, error)
                : options->field_count > 0
                    ? fit_fields(options, 0, options->field_count, type, fixed_bytes, span, error)
                    : fit_plain(form, type, span, error);
    if (fits && !options->with_key) {
        form->element_bytes = span->bytes;
        fits = fit_row(form, type, fixed_bytes, span, error);
    }
    return fits && fit_chunk(form, error);
}

static bool copy_text(qn_graph *graph, const char **text)
{
    if (!*text)
        return true;
    qn_graph_note(graph, *text);
    return (*text = qn_arena_text(&graph->arena, *text)) != NULL;
}

static bool copy_fields(qn_graph *graph, write_options *options)
{
    quern_hdf5_field *fields = qn_arena_copy(&graph->arena, options->field_count > 0 ? options->fields : (void *)"",
                                             options->field_count * sizeof *fields);
    for (size_t i = 0; fields && i < options->field_count; i++) {
        uint32_t numbers[] = {fields[i].type, fields[i].count};
        qn_graph_note_bytes(graph, numbers, sizeof numbers);
        if (!copy_text(graph, &fields[i].name))
            return false;
    }
    options->fields = fields;
    return fields != NULL;
}

static bool copy_attributes(qn_graph *graph, write_options *options)
{
    quern_hdf5_attribute *attributes =
        qn_arena_copy(&graph->arena, options->attribute_count > 0 ? options->attributes : (void *)"",
                      options->attribute_count * sizeof *attributes);
    for (size_t i = 0; attributes && i < options->attribute_count; i++) {
        quern_hdf5_attribute *attribute = &attributes[i];
        int is_text = attribute->type == QUERN_BYTES;
        attribute->text = is_text ? attribute->text : NULL;
        qn_graph_note_bytes(graph, &attribute->integer, is_text ? 0 : sizeof attribute->integer);
        if (!copy_text(graph, &attribute->name) || !copy_text(graph, &attribute->text))
            return false;
    }
    options->attributes = attributes;
    return attributes != NULL;
}

static bool copy_filters(qn_graph *graph, write_options *options)
{
    quern_hdf5_filter *filters = qn_arena_copy(&graph->arena, options->filter_count > 0 ? options->filters : (void *)"",
                                               options->filter_count * sizeof *filters);
    for (size_t i = 0; filters && i < options->filter_count; i++) {
        quern_hdf5_filter *filter = &filters[i];
        size_t bytes = filter->value_count * sizeof *filter->values;
        filter->values = qn_arena_copy(&graph->arena, bytes > 0 ? filter->values : (void *)"", bytes);
        if (!filter->values)
            return false;
        qn_graph_note_bytes(graph, &filter->number, sizeof filter->number);
        qn_graph_note_bytes(graph, filter->values, bytes);
    }
    options->filters = filters;
    return filters != NULL;
}

/* The row's dimensions, and those of a chunk in it. */
static bool copy_dims(qn_graph *graph, write_options *options)
{
    size_t bytes = options->row_rank * sizeof(uint64_t);
    uint64_t *dims = qn_arena_copy(&graph->arena, bytes > 0 ? options->row_dims : (void *)"", bytes);
    uint64_t *chunk = qn_arena_take(&graph->arena, bytes);
    for (uint32_t d = 0; chunk && d < options->row_rank; d++)
        chunk[d] = chunk_dim(options, d);
    options->row_dims = dims;
    options->chunk_dims = chunk;
    if (!dims || !chunk)
        return false;
    qn_graph_note_bytes(graph, dims, bytes);
    qn_graph_note_bytes(graph, chunk, bytes);
    return true;
}

static const qn_array_output *copy_form(qn_graph *graph, const qn_array_output *from, qn_error *error)
{
    qn_array_output *form = qn_arena_copy(&graph->arena, from, sizeof *from);
    write_options *options = form ? &form->options : NULL;
    if (!form || !copy_dims(graph, options) || !copy_text(graph, &options->dataset) ||
        !copy_text(graph, &options->like_file) || !copy_text(graph, &options->like_dataset) ||
        !copy_fields(graph, options) || !copy_attributes(graph, options) || !copy_filters(graph, options)) {
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for an output");
        return NULL;
    }
    uint64_t numbers[] = {options->type,
                          options->files,
                          form->row_bytes,
                          form->chunk_rows,
                          (uint64_t)options->deflate_level,
                          options->shuffle != 0,
                          options->fletcher32 != 0,
                          options->with_key != 0,
                          form->varies,
                          options->like_type != 0};
    qn_graph_note_bytes(graph, numbers, sizeof numbers);
    return form;
}

/* Until the file is whole, all is in a directory beside it. */
static bool name_work(qn_graph *graph, qn_sink *draft, const char *path, qn_error *error)
{
    size_t bytes = strlen(path) + sizeof WORK_SUFFIX;
    char *work = qn_arena_take(&graph->arena, bytes);
    draft->directory = work;
    draft->path = qn_arena_text(&graph->arena, path);
    if (work && draft->path)
        return snprintf(work, bytes, "%s" WORK_SUFFIX, path) > 0;
    qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for an output");
    return false;
}

quern_status qn_graph_add_hdf5_sink(qn_graph *graph, const qn_node *input, const char *path,
                                    const quern_hdf5_write_options *options, qn_error *error)
{
    qn_array_output form = {.options = *options};
    if (!check_layout(options, error) || !check_fields(options, error) || !check_attributes(options, error) ||
        !fit(&form, &input->schema, error))
        return error->status;
    qn_sink draft = {
        .kind = QN_SINK_HDF5, .input = input, .directory = path, .one_file = options->files != QUERN_HDF5_PER_RANK};
    if (options->files == QUERN_HDF5_AT_PATH && !name_work(graph, &draft, path, error))
        return error->status;
    if (!(draft.array = copy_form(graph, &form, error)))
        return error->status;
    return qn_graph_add_sink(graph, &draft, error);
}
