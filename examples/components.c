/* SPDX-License-Identifier: BSD-3-Clause. Connected components: mpirun -n N components -o DIR EDGES... */
/*
 * Lines are two vertices between white space, integers of 64 bits with sign; the direction of an edge has no meaning. What stands behind
 * a # is a comment. Writes vertex<TAB>the smallest vertex that it is connected with, for each vertex that is named. An edge of a
 * vertex with itself names a vertex that is alone.
 *
 * Two steps in turn (Kiveris and others, "Connected components in MapReduce and beyond", 2014): the large star connects the larger
 * neighbours of each vertex with its smallest neighbour, the small star the smaller ones and itself. Neither changes what is connected; when
 * nothing changes any more, each component is a star around its smallest vertex. A chain becomes shorter by half each time, so there are few
 * steps. Edges always go from the larger to the smaller vertex.
 */
#include <getopt.h>
#include <quern/quern.h>
#include <stdio.h>

static const quern_schema edges_of = {.key = QUERN_I64, .value = QUERN_I64}; /* larger vertex, smaller one */

static int is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Reads an integer from *text on, behind white space. 1: there was one; 0: the line ends; -1: something else. */
static int read_vertex(const char **text, const char *end, int64_t *vertex_out)
{
    while (*text < end && is_blank(**text))
        ++*text;
    if (*text == end || **text == '#')
        return 0;
    int is_negative = **text == '-';
    uint64_t size = 0, most = (uint64_t)INT64_MAX + (uint64_t)is_negative;
    const char *digits = *text += is_negative || **text == '+';
    for (; *text < end && !is_blank(**text) && **text != '#'; ++*text) {
        uint64_t digit = (uint64_t)(unsigned char)**text - '0';
        if (digit > 9 || size > (most - digit) / 10)
            return -1;
        size = 10 * size + digit;
    }
    *vertex_out = (int64_t)(is_negative ? -size : size);
    return *text > digits ? 1 : -1;
}

static int emit_edge(quern_emitter *out, int64_t from, int64_t to)
{
    return quern_emit(out, quern_of_i64(&from), quern_of_i64(&to));
}

static int parse_edges(const quern_block *lines, quern_emitter *out, void *user)
{
    (void)user;
    for (size_t i = 0; i < lines->count; i++) {
        const char *text = lines->key[i], *end = text + lines->key_bytes[i];
        int64_t from, to, more;
        int first = read_vertex(&text, end, &from);
        if (first == 0)
            continue;
        if (first < 0 || read_vertex(&text, end, &to) != 1 || read_vertex(&text, end, &more) != 0)
            return quern_fail(out, i, "the line is not two integers of 64 bits");
        if (emit_edge(out, from > to ? from : to, from > to ? to : from) != 0)
            return -1;
    }
    return 0;
}

/* Both vertices of each edge, as their own component. */
static int list_vertices(const quern_block *edges, quern_emitter *out, void *user)
{
    (void)user;
    for (size_t i = 0; i < edges->count; i++) {
        quern_span from = quern_bytes(edges->key[i], 8), to = quern_bytes(edges->value[i], 8);
        if (quern_emit(out, from, from) != 0 || (quern_i64(from) != quern_i64(to) && quern_emit(out, to, to) != 0))
            return -1;
    }
    return 0;
}

/* Each edge as one of both vertices, but for those of a vertex with itself. */
static int turn_edges(const quern_block *edges, quern_emitter *out, void *user)
{
    (void)user;
    for (size_t i = 0; i < edges->count; i++) {
        quern_span from = quern_bytes(edges->key[i], 8), to = quern_bytes(edges->value[i], 8);
        if (quern_i64(from) != quern_i64(to) && (quern_emit(out, from, to) != 0 || quern_emit(out, to, from) != 0))
            return -1;
    }
    return 0;
}

/* Of one vertex: its larger neighbours with the smallest. Neighbours come in order, some of them several times. */
static int make_large_star(quern_span key, quern_values *neighbours, quern_emitter *out, void *changes)
{
    int64_t vertex = quern_i64(key), least = vertex, last = vertex;
    quern_span value;
    int more;
    while ((more = quern_values_next(neighbours, &value)) > 0) {
        int64_t neighbour = quern_i64(value);
        least = neighbour < least ? neighbour : least;
        if (neighbour <= last) /* a smaller one, or one that was here */
            continue;
        if (last == vertex && least < vertex)
            quern_counter_add(changes, 1);
        last = neighbour;
        if (emit_edge(out, neighbour, least) != 0)
            return -1;
    }
    return more;
}

/* Of one vertex: its smaller neighbours, and itself, with the smallest. */
static int make_small_star(quern_span key, quern_values *neighbours, quern_emitter *out, void *changes)
{
    int64_t vertex = quern_i64(key), least = 0, last = 0;
    quern_span value;
    int more = quern_values_next(neighbours, &value);
    if (more <= 0)
        return more;
    least = last = quern_i64(value);
    if (emit_edge(out, vertex, least) != 0)
        return -1;
    while ((more = quern_values_next(neighbours, &value)) > 0) {
        int64_t neighbour = quern_i64(value);
        if (neighbour == last)
            continue;
        if (last == least)
            quern_counter_add(changes, 1);
        last = neighbour;
        if (emit_edge(out, neighbour, least) != 0)
            return -1;
    }
    return more;
}

static quern_dataset *make_stars(quern_dataset *edges, uint64_t step, void *changes)
{
    (void)step;
    quern_dataset *turned = quern_flat_map_block(edges, edges_of, turn_edges, NULL);
    quern_dataset *large = quern_group_by_key(turned, edges_of, make_large_star, changes, NULL);
    return quern_group_by_key(large, edges_of, make_small_star, changes, NULL);
}

static int nothing_changed(uint64_t step, int *stop_out, void *changes)
{
    (void)step;
    *stop_out = quern_counter_value(changes) == 0;
    return 0;
}

static quern_status run(quern_context *context, const char *const *paths, size_t path_count, const char *directory)
{
    quern_iteration until_stars = {
        .struct_size = sizeof until_stars, .step_count_max = 1000, .step = make_stars, .until = nothing_changed};
    quern_counter *changes = quern_counter_create(context, "changes");
    quern_dataset *lines = quern_read_text(context, paths, path_count, NULL), *stars = NULL;
    quern_dataset *edges =
        quern_cache(quern_name(quern_flat_map_block(lines, edges_of, parse_edges, NULL), "edge of a line"));
    quern_status status = quern_iterate(context, edges, &until_stars, changes, &stars);
    if (status != QUERN_OK)
        return status;
    quern_dataset *alone = quern_flat_map_block(edges, edges_of, list_vertices, NULL);
    quern_write_text(quern_reduce_by_key(quern_union(alone, stars), QUERN_MIN), directory);
    return quern_run(context);
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"output", required_argument, NULL, 'o'}, {0}};
    const char *directory = NULL;
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    int speaks = quern_context_rank(context) == 0, misused = status == QUERN_ERROR_INVALID_OPTION, option;
    for (opterr = 0; (option = getopt_long(argc, argv, "o:", names, NULL)) != -1;) {
        misused |= option == '?';
        directory = option == 'o' ? optarg : directory;
    }
    misused |= !directory || optind == argc;
    if (!misused) {
        status = run(context, (const char **)argv + optind, (size_t)(argc - optind), directory);
        if (status != QUERN_OK && speaks)
            fprintf(stderr, "components: %s\n", quern_context_error_text(context));
    } else if (speaks)
        fprintf(stderr, "%s\nusage: components -o DIR EDGES...\n", quern_context_error_text(context));
    quern_context_destroy(context);
    return misused ? 2 : quern_exit_status(status);
}
