/* SPDX-License-Identifier: BSD-3-Clause */
/* Nodes of graph.h in which values flow along links: what they are made with is checked. */
#include "runtime/data/link_key.h"
#include "runtime/plan/graph.h"

static bool program_is_valid(const quern_vertex_program *program)
{
    return program->step && program->combine >= QUERN_SUM && program->combine <= QUERN_MAX &&
           (unsigned)program->weight <= QUERN_WEIGHT_MULTIPLY && program->total_count <= QUERN_TOTAL_COUNT_MAX;
}

bool qn_graph_check_vertex_program(const quern_vertex_program *program, qn_error *error)
{
    if (!program_is_valid(program))
        qn_error_set(
            error, QUERN_ERROR_INVALID_ARGUMENT, 0,
            "iterate links: a step is needed, combine must be QUERN_SUM, QUERN_MIN or QUERN_MAX, weight one of "
            "quern_weight, and there are at most %d totals",
            QUERN_TOTAL_COUNT_MAX);
    return error->status == QUERN_OK;
}

bool qn_graph_check_links(const qn_node *links, const qn_node *initial, const quern_vertex_program *program,
                          quern_schema *vertex_out, qn_error *error)
{
    const quern_schema *schema = &links->schema;
    bool is_pair = QUERN_IS_PAIR(schema->key);
    quern_schema vertex = {schema->key, QUERN_NONE, 0, schema->key_bytes};
    if (is_pair)
        vertex.key = QUERN_PAIR_FIRST(schema->key);
    bool fits = is_pair ? QUERN_PAIR_SECOND(schema->key) == vertex.key &&
                              schema->value == (program->weight == QUERN_WEIGHT_NONE ? QUERN_NONE : QUERN_F64)
                        : program->weight == QUERN_WEIGHT_NONE && schema->value == schema->key &&
                              (schema->key != QUERN_FIXED || schema->value_bytes == schema->key_bytes);
    if (!fits)
        qn_error_set(
            error, QUERN_ERROR_INVALID_PLAN, 0,
            "iterate links: links are records of the source as key and the target as value, of one type; or of "
            "the pair of both as key and a weight (QUERN_F64), or nothing if there are none, as value: map them");
    else if (initial && (initial->schema.key != vertex.key || initial->schema.value != QUERN_F64 ||
                         (vertex.key == QUERN_FIXED && initial->schema.key_bytes != vertex.key_bytes)))
        qn_error_set(error, QUERN_ERROR_INVALID_PLAN, 0,
                     "iterate links: the initial values are not records of a vertex and a QUERN_F64: map them");
    *vertex_out = vertex;
    return error->status == QUERN_OK;
}

qn_node *qn_graph_add_links(qn_graph *graph, const qn_node *numbered, const qn_node *sorted,
                            const quern_vertex_program *program, void *user, qn_error *error)
{
    quern_vertex_program *copy = qn_arena_copy(&graph->arena, program, sizeof *program);
    if (!copy) {
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a dataset");
        return NULL;
    }
    const uint64_t numbers[] = {(uint64_t)program->combine, (uint64_t)program->weight, program->total_count,
                                program->step_count_max, program->until != NULL};
    qn_graph_note_bytes(graph, numbers, sizeof numbers);
    qn_graph_note_bytes(graph, &program->value, sizeof program->value);
    return qn_graph_add_node(graph,
                             &(qn_node){.kind = QN_NODE_LINKS,
                                        .input = numbered,
                                        .other = sorted,
                                        .schema = {numbered->schema.key, QUERN_F64, 0, numbered->schema.key_bytes},
                                        .user = user,
                                        .of.program = copy},
                             error);
}
