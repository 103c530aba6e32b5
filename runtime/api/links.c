/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Values that flow along links. What makes numbers of vertices, and puts links by their numbers into order, are ordinary operators: so it is out
 * of core, balanced, spilled, saved and explained as these are.
 *
 *     links ─ store ─┬─ ends of each ─ count by vertex ─ order by links out ─ store ─ number ─ store ─┬─────────────┐
 *                    │                                                        (vertices) ─────────────┤             │
 *                    └─ source and target ─ join on source ─ join on target ─ union with vertices ─ sort ─ iterate ─┘
 */
#include <quern/links.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/api/dataset_internal.h"
#include "runtime/base/callback_failure.h"
#include "runtime/base/hash.h"
#include "runtime/data/link_key.h"

#define PROGRAM_FIRST_BYTES sizeof(quern_vertex_program)
#define SMALL_BYTES         512
#define DEGREE_MAX          UINT16_MAX /* more links out are one class */

/* What callbacks know; in the graph's arena. */
typedef struct link_plan {
    quern_type pair; /* of the keys of links; QUERN_NONE: they are sources, and values are targets */
    bool both_ways, has_weights;
    double value;
    qn_vertex_note note; /* the callback's last one */
    uint64_t key;
} link_plan;

typedef struct link_ends {
    quern_span source, target;
    const void *weight;
} link_ends;

static link_ends ends_of(const link_plan *plan, const quern_block *links, size_t i)
{
    quern_span key = {links->key[i], links->key_bytes[i]};
    if (plan->pair == QUERN_NONE)
        return (link_ends){key, {links->value[i], links->value_bytes[i]}, NULL};
    return (link_ends){quern_pair_first(plan->pair, key), quern_pair_second(plan->pair, key),
                       plan->has_weights ? links->value[i] : NULL};
}

/* ---- vertices ---- */

static int list_ends(const quern_block *links, quern_emitter *out, void *user)
{
    const link_plan *plan = user;
    const qn_vertex_ends source = {.out = 1, .in = plan->both_ways}, target = {.out = plan->both_ways, .in = 1};
    int code = 0;
    for (size_t i = 0; i < links->count && code == 0; i++) {
        link_ends ends = ends_of(plan, links, i);
        code = quern_emit(out, ends.source, quern_bytes(&source, sizeof source));
        if (code == 0)
            code = quern_emit(out, ends.target, quern_bytes(&target, sizeof target));
    }
    return code;
}

static int list_initial(const quern_block *values, quern_emitter *out, void *user)
{
    (void)user;
    int code = 0;
    for (size_t i = 0; i < values->count && code == 0; i++) {
        qn_vertex_ends vertex = {.value_count = 1};
        memcpy(&vertex.value, values->value[i], sizeof vertex.value);
        code = quern_emit(out, quern_bytes(values->key[i], values->key_bytes[i]), quern_bytes(&vertex, sizeof vertex));
    }
    return code;
}

/* A total order of all doubles, NaN too: the least of several must not depend on which came first. */
static uint64_t rank_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static int add_ends(void *into, const void *value, void *user)
{
    qn_vertex_ends all, more;
    (void)user;
    memcpy(&all, into, sizeof all);
    memcpy(&more, value, sizeof more);
    all.out += more.out;
    all.in += more.in;
    if (more.value_count > 0 && (all.value_count == 0 || rank_of(more.value) < rank_of(all.value)))
        all.value = more.value;
    all.value_count |= more.value_count;
    memcpy(into, &all, sizeof all);
    return 0;
}

/* Two fields one behind the other, in `small` or in memory that is to be freed. NULL: no memory. */
static uint8_t *join_fields(const void *first, size_t first_bytes, quern_span second, uint8_t small[SMALL_BYTES])
{
    uint8_t *to = first_bytes + second.bytes <= SMALL_BYTES ? small : malloc(first_bytes + second.bytes);
    if (!to)
        return NULL;
    memcpy(to, first, first_bytes);
    memcpy(to + first_bytes, second.data, second.bytes);
    return to;
}

static int emit_joined(quern_emitter *out, quern_span key, const void *first, size_t first_bytes, quern_span second)
{
    uint8_t small[SMALL_BYTES], *joined = join_fields(first, first_bytes, second, small);
    if (!joined)
        return quern_fail(out, 0, "no memory for a vertex");
    int code = quern_emit(out, key, quern_bytes(joined, first_bytes + second.bytes));
    if (joined != small)
        free(joined);
    return code;
}

/* By falling number of links out, so that what many ask for lies close together; then by a hash, then as values. */
static int give_order(const quern_block *vertices, quern_emitter *out, void *user)
{
    int code = 0;
    (void)user;
    for (size_t i = 0; i < vertices->count && code == 0; i++) {
        qn_vertex_ends ends;
        memcpy(&ends, vertices->value[i], sizeof ends);
        uint64_t degree = ends.out < DEGREE_MAX ? ends.out : DEGREE_MAX;
        uint64_t order = (DEGREE_MAX - degree) << 48 | qn_checksum(vertices->key[i], vertices->key_bytes[i], 0) >> 16;
        code = emit_joined(out, quern_of_u64(&order), &ends, sizeof ends,
                           quern_bytes(vertices->key[i], vertices->key_bytes[i]));
    }
    return code;
}

static int give_number(const quern_record *in, uint64_t index, quern_record *out, void *user)
{
    link_plan *plan = user;
    qn_vertex_ends ends;
    if (index >= QN_LINK_VERTEX_MAX)
        return quern_fail_because("there are more than 2^31 - 2 vertices");
    memcpy(&ends, in->value.data, sizeof ends);
    plan->note = (qn_vertex_note){.out = ends.out,
                                  .value = ends.value_count > 0 ? ends.value : plan->value,
                                  .number = (uint32_t)index,
                                  .is_hub = ends.in >= QN_LINK_HUB_LINKS};
    out->key = quern_bytes((const uint8_t *)in->value.data + sizeof ends, in->value.bytes - sizeof ends);
    out->value = quern_bytes(&plan->note, sizeof plan->note);
    return 0;
}

/* ---- links ---- */

/* From a vertex to another: the value is the other, behind the weight if there is one. */
static int emit_link(const link_plan *plan, quern_span from, quern_span to, const void *weight, quern_emitter *out)
{
    return plan->has_weights ? emit_joined(out, from, weight, sizeof(double), to) : quern_emit(out, from, to);
}

static int list_links(const quern_block *links, quern_emitter *out, void *user)
{
    const link_plan *plan = user;
    int code = 0;
    for (size_t i = 0; i < links->count && code == 0; i++) {
        link_ends ends = ends_of(plan, links, i);
        code = emit_link(plan, ends.source, ends.target, ends.weight, out);
        if (code == 0 && plan->both_ways)
            code = emit_link(plan, ends.target, ends.source, ends.weight, out);
    }
    return code;
}

typedef struct numbered_link {
    double weight;
    uint64_t source;
} numbered_link;

static uint32_t number_of(const quern_span *note)
{
    qn_vertex_note known;
    memcpy(&known, note->data, sizeof known);
    return known.number;
}

static int number_source(quern_span source, const quern_span *target, const quern_span *note, quern_emitter *out,
                         void *user)
{
    const link_plan *plan = user;
    numbered_link link = {.source = number_of(note)};
    size_t weight_bytes = plan->has_weights ? sizeof link.weight : 0;
    (void)source;
    memcpy(&link.weight, target->data, weight_bytes);
    quern_span vertex = quern_bytes((const uint8_t *)target->data + weight_bytes, target->bytes - weight_bytes);
    return quern_emit(out, vertex, plan->has_weights ? quern_bytes(&link, sizeof link) : quern_of_u64(&link.source));
}

static int number_target(quern_span target, const quern_span *source, const quern_span *note, quern_emitter *out,
                         void *user)
{
    const link_plan *plan = user;
    numbered_link link = {0};
    qn_vertex_note known;
    (void)target;
    memcpy(&known, note->data, sizeof known);
    if (plan->has_weights)
        memcpy(&link, source->data, sizeof link);
    else
        link.source = quern_u64(*source);
    uint64_t key = qn_link_key(known.number, known.is_hub, (uint32_t)link.source);
    return quern_emit(out, quern_of_u64(&key), quern_bytes(&link.weight, plan->has_weights ? sizeof link.weight : 0));
}

static int give_vertex_key(const quern_record *in, quern_record *out, void *user)
{
    static const double none = 0;
    link_plan *plan = user;
    qn_vertex_note known;
    memcpy(&known, in->value.data, sizeof known);
    plan->key = qn_link_key(known.number, known.is_hub, QN_LINK_NO_SOURCE);
    out->key = quern_of_u64(&plan->key);
    out->value = quern_bytes(&none, plan->has_weights ? sizeof none : 0);
    return 0;
}

/* ---- the plan ---- */

static quern_schema fixed(const quern_schema *vertex, size_t bytes)
{
    return (quern_schema){vertex->key, QUERN_FIXED, (uint32_t)bytes, vertex->key_bytes};
}

static quern_dataset *stored(quern_dataset *in)
{
    if (!in)
        return NULL;
    return qn_dataset_wrap(in->context,
                           qn_graph_add_store(&in->context->graph, in->node, qn_dataset_error_of(in->context)));
}

/* By a callback that is not the user's. */
static quern_dataset *count_ends(quern_dataset *all, link_plan *plan)
{
    qn_reducer reducer;
    if (!all)
        return NULL;
    const quern_schema *schema = &all->node->schema;
    bool fits = qn_reducer_choose_user(&reducer, schema, add_ends, plan, qn_dataset_error_of(all->context));
    return fits ? qn_dataset_combine(all, &reducer, schema) : NULL;
}

static quern_dataset *number_vertices(quern_dataset *links, quern_dataset *initial, const quern_schema *vertex,
                                      link_plan *plan)
{
    quern_schema ends = fixed(vertex, sizeof(qn_vertex_ends)), notes = fixed(vertex, sizeof(qn_vertex_note));
    quern_schema order = {QUERN_U64, QUERN_BYTES, 0, 0};
    quern_dataset *all = quern_name(quern_flat_map_block(links, ends, list_ends, plan), "ends of a link");
    if (initial)
        all = quern_union(all, quern_name(quern_flat_map_block(initial, ends, list_initial, plan), "initial values"));
    quern_dataset *counted = quern_name(count_ends(all, plan), "count links of vertices");
    quern_dataset *ordered =
        quern_sort_by_key(quern_name(quern_flat_map_block(counted, order, give_order, plan), "links out"), NULL);
    return quern_name(
        stored(quern_name(quern_zip_with_index(quern_name(ordered, "order vertices"), notes, give_number, plan),
                          "number vertices")),
        "vertices");
}

static quern_dataset *join_numbers(quern_dataset *links, quern_dataset *vertices, quern_schema schema, quern_join_fn fn,
                                   link_plan *plan)
{
    const quern_join_options how = {
        .struct_size = sizeof how, .strategy = QUERN_JOIN_BROADCAST_RIGHT, .outer = QUERN_JOIN_OUTER_LEFT};
    return quern_join_with(links, vertices, QUERN_JOIN_INNER, schema, fn, plan, &how);
}

static quern_dataset *sort_links(quern_dataset *links, quern_dataset *vertices, const quern_schema *vertex,
                                 link_plan *plan)
{
    quern_sort_options whole = {.struct_size = sizeof whole, .whole_keys = 1};
    quern_schema ends = {vertex->key, vertex->key, vertex->key_bytes, vertex->key_bytes};
    quern_schema sources = plan->has_weights ? fixed(vertex, sizeof(numbered_link))
                                             : (quern_schema){vertex->key, QUERN_U64, 0, vertex->key_bytes};
    quern_schema keys = {QUERN_U64, plan->has_weights ? QUERN_F64 : QUERN_NONE, 0, 0};
    if (plan->has_weights)
        ends = (quern_schema){vertex->key, QUERN_BYTES, 0, vertex->key_bytes};
    if (plan->pair != QUERN_NONE || plan->both_ways)
        links = quern_name(quern_flat_map_block(links, ends, list_links, plan), "source and target");
    links = quern_name(join_numbers(links, vertices, sources, number_source, plan), "number sources");
    links = quern_name(join_numbers(links, vertices, keys, number_target, plan), "number targets");
    quern_dataset *owned = quern_name(quern_map(vertices, keys, give_vertex_key, plan), "vertices to be owned");
    return quern_name(quern_sort_by_key(quern_union(links, owned), &whole), "order links");
}

static quern_dataset *add_links(quern_dataset *links, quern_dataset *initial, const quern_vertex_program *program,
                                const quern_schema *vertex, void *user)
{
    quern_context *context = links->context;
    link_plan plan = {.pair = QUERN_IS_PAIR(links->node->schema.key) ? links->node->schema.key : QUERN_NONE,
                      .both_ways = program->both_ways != 0,
                      .has_weights = program->weight != QUERN_WEIGHT_NONE,
                      .value = program->value};
    link_plan *kept = qn_arena_copy(&context->graph.arena, &plan, sizeof plan);
    if (!kept) {
        qn_error_set(qn_dataset_error_of(context), QUERN_ERROR_NO_MEMORY, 0, "no memory for a dataset");
        return NULL;
    }
    links = stored(links);
    quern_dataset *vertices = number_vertices(links, initial, vertex, kept);
    quern_dataset *sorted = sort_links(links, vertices, vertex, kept);
    if (!vertices || !sorted)
        return NULL;
    qn_graph_note_bytes(&context->graph, &kept->both_ways, sizeof kept->both_ways);
    return qn_dataset_wrap(context, qn_graph_add_links(&context->graph, vertices->node, sorted->node, program, user,
                                                       qn_dataset_error_of(context)));
}

quern_dataset *quern_iterate_links(quern_dataset *links, quern_dataset *initial, const quern_vertex_program *program,
                                   void *user)
{
    quern_vertex_program known = {.struct_size = sizeof known};
    quern_schema vertex;
    if (!links || (initial && !qn_dataset_are_together(links, initial, "iterate links")))
        return NULL;
    qn_error *error = qn_dataset_error_of(links->context);
    if (!program)
        return qn_dataset_refuse(links->context, "iterate links: the program is NULL");
    if (qn_struct_read(&known, sizeof known, PROGRAM_FIRST_BYTES, program, "iterate links: the program",
                       "set it to sizeof(quern_vertex_program)", error) != QUERN_OK ||
        !qn_graph_check_vertex_program(&known, error) ||
        !qn_graph_check_links(links->node, initial ? initial->node : NULL, &known, &vertex, error))
        return NULL;
    return add_links(links, initial, &known, &vertex, user);
}
