/* SPDX-License-Identifier: BSD-3-Clause */
/* Nodes of graph.h that read HDF5: what they are made with is checked. */
#include <string.h>

#include "runtime/data/batch.h"
#include "runtime/plan/graph.h"

#define FIELD_COUNT_MAX 64

static bool refuse(qn_error *error, const char *what)
{
    qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "read hdf5: %s", what);
    return false;
}

static bool check_options(const quern_hdf5_options *options, qn_error *error)
{
    if (!options->dataset || !*options->dataset)
        return refuse(error, "the dataset is missing");
    if ((unsigned)options->record > QUERN_HDF5_CHUNKS)
        return refuse(error, "an unknown kind of record");
    if ((unsigned)options->key > QUERN_HDF5_PLACE)
        return refuse(error, "an unknown kind of key");
    if (options->field_count > FIELD_COUNT_MAX || (options->field_count > 0 && !options->fields))
        return refuse(error, "there may be 64 fields");
    if (options->field_count > 0 && options->type != QUERN_NONE)
        return refuse(error, "with fields the type must be left 0");
    if (options->type == QUERN_BYTES && options->record != QUERN_HDF5_ELEMENTS)
        return refuse(error, "strings are read as elements");
    if (options->type != QUERN_NONE && options->type != QUERN_BYTES && !qn_type_is_number(options->type))
        return refuse(error, "elements are numbers or QUERN_BYTES");
    return true;
}

/* 0: it is none. */
static uint64_t field_bytes(const quern_hdf5_field *field)
{
    if (!field->name || !*field->name)
        return 0;
    if (field->type == QUERN_BYTES)
        return qn_array_field_varies(field) ? sizeof(char *) : field->count;
    return qn_type_is_number(field->type)
               ? (uint64_t)quern_number_bytes(field->type) * (field->count ? field->count : 1)
               : 0;
}

static bool measure(qn_array_form *form, qn_error *error)
{
    uint64_t bytes = qn_type_is_number(form->options.type) ? quern_number_bytes(form->options.type) : 0;
    for (size_t i = 0; i < form->options.field_count; i++) {
        uint64_t of_field = field_bytes(&form->options.fields[i]);
        if (of_field == 0)
            return refuse(error, "a field has no name, no type that a field can have, or no bytes");
        bytes += of_field;
        form->varies |= qn_array_field_varies(&form->options.fields[i]);
    }
    if (form->varies && form->options.record != QUERN_HDF5_ROWS)
        return refuse(error,
                      "strings of variable length, as they are, are read in rows: else say how many bytes they have");
    if (bytes > QN_FIELD_BYTES_MAX)
        return refuse(error, "the fields are larger than any record");
    if (form->options.field_count > 0 && form->options.record == QUERN_HDF5_ELEMENTS && bytes > QUERN_FIXED_BYTES_MAX)
        return refuse(error, "the fields of an element are more than QUERN_FIXED_BYTES_MAX bytes: read rows");
    form->element_bytes = (uint32_t)bytes;
    return true;
}

static const qn_array_form *no_memory(qn_error *error)
{
    qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a dataset");
    return NULL;
}

static const qn_array_form *copy_form(qn_graph *graph, const qn_array_form *from, qn_error *error)
{
    const quern_hdf5_options *options = &from->options;
    qn_array_form *form = qn_arena_copy(&graph->arena, from, sizeof *from);
    quern_hdf5_field *fields =
        qn_arena_copy(&graph->arena, options->field_count > 0 ? options->fields : (const void *)from,
                      options->field_count * sizeof *fields);
    if (!form || !fields || !(form->options.dataset = qn_arena_text(&graph->arena, options->dataset)))
        return no_memory(error);
    qn_graph_note(graph, options->dataset);
    for (size_t i = 0; i < options->field_count; i++) {
        if (!(fields[i].name = qn_arena_text(&graph->arena, fields[i].name)))
            return no_memory(error);
        uint32_t numbers[] = {fields[i].type, fields[i].count};
        qn_graph_note(graph, fields[i].name);
        qn_graph_note_bytes(graph, numbers, sizeof numbers);
    }
    form->options.fields = fields;
    uint32_t numbers[] = {options->record, options->key, options->type, options->convert != 0, options->external != 0};
    qn_graph_note_bytes(graph, numbers, sizeof numbers);
    return form;
}

static quern_schema schema_of(const qn_array_form *form)
{
    quern_schema schema = {.key = form->options.key == QUERN_HDF5_PLACE ? QUERN_BYTES : QUERN_U64,
                           .value = QUERN_BYTES};
    if (form->options.record != QUERN_HDF5_ELEMENTS)
        return schema;
    schema.value = form->options.field_count > 0 ? QUERN_FIXED : form->options.type;
    schema.value_bytes = form->options.field_count > 0 ? form->element_bytes : 0;
    return schema;
}

qn_node *qn_graph_add_hdf5(qn_graph *graph, const char *const *paths, size_t path_count,
                           const quern_hdf5_options *options, qn_error *error)
{
    qn_node draft = {.kind = QN_NODE_HDF5};
    qn_array_form form = {.options = *options};
    if (!check_options(options, error))
        return NULL;
    if (form.options.type == QUERN_NONE && form.options.field_count == 0)
        form.options.type = QUERN_F64;
    if (!measure(&form, error) || !(draft.of.array = copy_form(graph, &form, error)) ||
        !qn_graph_copy_paths(graph, paths, path_count, &draft.text, error))
        return NULL;
    if (draft.text.is_on_nodes) {
        qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "node-local: HDF5 files must be seen by all nodes");
        return NULL;
    }
    draft.schema = schema_of(&form);
    return qn_graph_add_node(graph, &draft, error);
}
