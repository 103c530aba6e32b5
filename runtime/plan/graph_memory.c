/* SPDX-License-Identifier: BSD-3-Clause */
/* Nodes of graph.h that read arrays in memory: what they are made with is checked. */
#include <string.h>

#include "runtime/data/batch.h"
#include "runtime/plan/graph.h"

static bool refuse(qn_error *error, const char *what)
{
    qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "read memory: %s", what);
    return false;
}

static bool check_schema(const quern_schema *schema, qn_error *error)
{
    if (!qn_type_may_be_key(schema->key, schema->key_bytes) ||
        !qn_type_may_be_value(schema->value, schema->value_bytes))
        return refuse(error, "the schema has a type that its place does not allow");
    if (qn_type_varies(schema->key) || qn_type_varies(schema->value))
        return refuse(error, "keys and values are numbers, pairs of numbers or QUERN_FIXED: of one length");
    return true;
}

static bool reaches_too_far(size_t count, size_t stride, size_t bytes)
{
    return count > 1 && stride > (SIZE_MAX / 2 - bytes) / (count - 1);
}

static bool check_array(const quern_memory_array *array, const quern_schema *schema, qn_error *error)
{
    if (array->count == 0)
        return true;
    if (!array->key)
        return refuse(error, "an array has elements, but its key is NULL");
    if (schema->value == QUERN_NONE)
        return !array->value || refuse(error, "an array has values, but their type is QUERN_NONE");
    if (!array->value)
        return refuse(error, "an array has elements, but its value is NULL");
    return true;
}

/* What is left 0 filled in. */
static quern_memory_array complete(const quern_memory_array *array, const quern_schema *schema)
{
    quern_memory_array full = *array;
    if (full.key_stride == 0)
        full.key_stride = qn_schema_key_bytes(schema);
    if (full.value_stride == 0)
        full.value_stride = qn_schema_value_bytes(schema);
    return full;
}

static bool check_arrays(const quern_memory_array *arrays, size_t array_count, const quern_schema *schema,
                         qn_error *error)
{
    if (!arrays && array_count > 0)
        return refuse(error, "the arrays are missing");
    for (size_t i = 0; i < array_count; i++) {
        quern_memory_array full = complete(&arrays[i], schema);
        if (!check_array(&full, schema, error))
            return false;
        if (reaches_too_far(full.count, full.key_stride, qn_schema_key_bytes(schema)) ||
            reaches_too_far(full.count, full.value_stride, qn_schema_value_bytes(schema)))
            return refuse(error, "an array has more bytes than there are addresses");
    }
    return true;
}

/* Room for so many. What was taken before stays the arena's, so room doubles. */
static bool have_room(qn_graph *graph, qn_memory_arrays *into, size_t count, qn_error *error)
{
    size_t capacity = count > 2 * into->capacity ? count : 2 * into->capacity;
    if (count <= into->capacity)
        return true;
    quern_memory_array *items =
        capacity < SIZE_MAX / sizeof *items ? qn_arena_take(&graph->arena, capacity * sizeof *items) : NULL;
    if (!items) {
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the places of %zu arrays", count);
        return false;
    }
    into->items = items;
    into->capacity = capacity;
    return true;
}

static bool put_arrays(qn_graph *graph, qn_memory_arrays *into, const quern_memory_array *arrays, size_t array_count,
                       const quern_schema *schema, qn_error *error)
{
    if (!check_arrays(arrays, array_count, schema, error) || !have_room(graph, into, array_count, error))
        return false;
    into->count = 0;
    for (size_t i = 0; i < array_count; i++)
        into->items[into->count++] = complete(&arrays[i], schema);
    return true;
}

qn_node *qn_graph_add_memory(qn_graph *graph, const quern_schema *schema, const quern_memory_array *arrays,
                             size_t array_count, qn_error *error)
{
    qn_node draft = {.kind = QN_NODE_MEMORY, .schema = *schema};
    const qn_memory_arrays none = {0};
    if (!check_schema(schema, error))
        return NULL;
    draft.of.arrays = qn_arena_copy(&graph->arena, &none, sizeof none);
    if (!draft.of.arrays) {
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a dataset");
        return NULL;
    }
    if (!put_arrays(graph, draft.of.arrays, arrays, array_count, schema, error))
        return NULL;
    graph->reads_memory = true;
    return qn_graph_add_node(graph, &draft, error);
}

quern_status qn_graph_renew_memory(qn_graph *graph, const qn_node *node, const quern_memory_array *arrays,
                                   size_t array_count, qn_error *error)
{
    qn_error failure = {0};
    if (node->kind != QN_NODE_MEMORY)
        refuse(&failure, "the dataset is not one of quern_read_memory()");
    else
        put_arrays(graph, node->of.arrays, arrays, array_count, &node->schema, &failure);
    if (failure.status != QUERN_OK)
        qn_error_set(error, failure.status, 0, "%s", failure.text);
    return failure.status;
}
