/* SPDX-License-Identifier: BSD-3-Clause */
/* Nodes of graph.h that work on one record at a time, and sources of records of one length: what they are made with is checked. */
#include <string.h>

#include "runtime/data/batch.h"
#include "runtime/plan/graph.h"

#define RECORD_BYTES_END (UINT32_C(1) << 31)

static bool refuse(qn_error *error, const char *what)
{
    qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "%s", what);
    return false;
}

/* A field's bytes if they are not given: those of its type, or the rest of the record. */
static bool place_field(quern_type type, uint32_t type_bytes, uint32_t record_bytes, uint32_t offset, uint32_t *bytes,
                        qn_error *error)
{
    if (offset >= record_bytes)
        return refuse(error, "read fixed: a field begins behind the record");
    if (QUERN_IS_PAIR(type) && qn_type_varies(type))
        return refuse(error, "read fixed: fields are no pairs with QUERN_BYTES; read bytes and map them");
    if (*bytes == 0)
        *bytes = type_bytes > 0 ? type_bytes : record_bytes - offset;
    if (*bytes > record_bytes - offset)
        return refuse(error, "read fixed: a field ends behind the record");
    return type_bytes == 0 || *bytes == type_bytes ||
           refuse(error, "read fixed: a field has another size than its type");
}

static bool make_layout(const quern_fixed_options *options, quern_schema *schema, qn_record_layout *layout,
                        qn_error *error)
{
    bool is_plain = schema->key == QUERN_NONE; /* the caller left the types open */
    uint32_t record_bytes = options->record_bytes;
    if (record_bytes == 0 || record_bytes >= RECORD_BYTES_END)
        return refuse(error, "read fixed: record_bytes must be 1 to 2^31 - 1");
    if (is_plain)
        schema->key = QUERN_BYTES;
    *layout = (qn_record_layout){.header_bytes = options->header_bytes,
                                 .record_bytes = record_bytes,
                                 .key_type = schema->key,
                                 .key_offset = options->key_offset,
                                 .key_bytes = options->key_bytes,
                                 .value_offset = options->value_offset,
                                 .value_bytes = options->value_bytes};
    if (!place_field(schema->key, qn_schema_key_bytes(schema), record_bytes, layout->key_offset, &layout->key_bytes,
                     error))
        return false;
    uint32_t key_end = layout->key_offset + layout->key_bytes;
    if (layout->value_offset == 0 && layout->value_bytes == 0)
        layout->value_offset = key_end;
    if (is_plain)
        schema->value = layout->value_bytes > 0 || layout->value_offset < record_bytes ? QUERN_BYTES : QUERN_NONE;
    layout->value_type = schema->value;
    if (schema->value != QUERN_NONE)
        return place_field(schema->value, qn_schema_value_bytes(schema), record_bytes, layout->value_offset,
                           &layout->value_bytes, error);
    if (!is_plain && (options->value_bytes > 0 || options->value_offset > 0))
        return refuse(error, "read fixed: the place of a value is given, but its type is QUERN_NONE");
    layout->value_offset = layout->value_bytes = 0;
    return true;
}

qn_node *qn_graph_add_fixed(qn_graph *graph, const char *const *paths, size_t path_count,
                            const quern_fixed_options *options, qn_error *error)
{
    qn_node draft = {.kind = QN_NODE_FIXED, .schema = options->schema};
    bool key_fits = draft.schema.key == QUERN_NONE || qn_type_may_be_key(draft.schema.key, draft.schema.key_bytes);
    if (!key_fits || !qn_type_may_be_value(draft.schema.value, draft.schema.value_bytes)) {
        refuse(error, "read fixed: the schema has a type that its place does not allow");
        return NULL;
    }
    qn_record_layout *layout = &draft.of.layout;
    if (!make_layout(options, &draft.schema, layout, error) ||
        !qn_graph_copy_paths(graph, paths, path_count, &draft.text, error))
        return NULL;
    draft.text.as_stored = options->as_stored;
    uint64_t places[] = {draft.text.as_stored, layout->header_bytes, layout->record_bytes, layout->key_offset,
                         layout->key_bytes,    layout->value_offset, layout->value_bytes};
    qn_graph_note_bytes(graph, places, sizeof places);
    return qn_graph_add_node(graph, &draft, error);
}

qn_node *qn_graph_add_stretch(qn_graph *graph, const qn_node *input, quern_schema schema,
                              const quern_stretch_operator *callbacks, void *user, qn_error *error)
{
    const quern_stretch_operator *copy = qn_arena_copy(&graph->arena, callbacks, sizeof *callbacks);
    if (!copy) {
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for an operator");
        return NULL;
    }
    const qn_node draft = {.kind = QN_NODE_FLAT_MAP_BLOCK,
                           .input = input,
                           .schema = schema,
                           .fn.flat_map_block = copy->take,
                           .user = user,
                           .of.stretch = copy};
    qn_graph_note(graph, "stretches");
    return qn_graph_add_node(graph, &draft, error);
}

/* What comes at the end of a stretch comes from no record. */
static bool has_stretches_before(const qn_node *node)
{
    for (; node && !qn_node_is_source(node); node = node->input)
        if (qn_node_has_stretches(node) || (node->other && has_stretches_before(node->other)))
            return true;
    return false;
}

qn_node *qn_graph_add_sample(qn_graph *graph, const qn_node *input, double fraction, uint64_t seed, qn_error *error)
{
    qn_node draft = {.kind = QN_NODE_SAMPLE, .input = input, .schema = input->schema};
    if (!(fraction >= 0 && fraction <= 1)) {
        refuse(error, "sample: the fraction must be 0 to 1");
        return NULL;
    }
    if (has_stretches_before(input)) {
        qn_error_set(error, QUERN_ERROR_INVALID_PLAN, 0,
                     "sample: its records come from stretches; sort or cache them before");
        return NULL;
    }
    draft.of.sample = (qn_sample){.kept = (uint64_t)(fraction * (double)QN_SAMPLE_WHOLE), .seed = seed};
    qn_graph_note_bytes(graph, &draft.of.sample, sizeof draft.of.sample);
    return qn_graph_add_node(graph, &draft, error);
}

static bool check_bounds(const double *bounds, size_t bound_count, qn_error *error)
{
    if (!bounds || bound_count == 0 || bound_count > QN_BOUND_COUNT_MAX)
        return refuse(error, "histogram: there must be 1 to 65536 bounds");
    for (size_t i = 0; i < bound_count; i++)
        if (bounds[i] != bounds[i] || (i > 0 && !(bounds[i - 1] < bounds[i])))
            return refuse(error, "histogram: the bounds must be numbers that ascend, none twice");
    return true;
}

qn_node *qn_graph_add_bin(qn_graph *graph, const qn_node *input, const double *bounds, size_t bound_count,
                          qn_error *error)
{
    qn_node draft = {.kind = QN_NODE_BIN, .input = input, .schema = {QUERN_U64, QUERN_NONE, 0}};
    if (!check_bounds(bounds, bound_count, error))
        return NULL;
    if (!qn_bins_take(input->schema.value)) {
        qn_error_set(error, QUERN_ERROR_INVALID_PLAN, 0, "histogram: values must be numbers");
        return NULL;
    }
    draft.of.bins = (qn_bins){.type = input->schema.value, .bound_count = bound_count};
    draft.of.bins.bounds = qn_arena_copy(&graph->arena, bounds, bound_count * sizeof *bounds);
    if (!draft.of.bins.bounds) {
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the bounds of a histogram");
        return NULL;
    }
    qn_graph_note_bytes(graph, bounds, bound_count * sizeof *bounds);
    return qn_graph_add_node(graph, &draft, error);
}
