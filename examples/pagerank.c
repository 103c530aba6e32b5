/* SPDX-License-Identifier: BSD-3-Clause. Page rank: mpirun -n N pagerank -o DIR [--iterations 20] EDGES... */
/*
 * Lines are source and target between white space, any other bytes; what stands behind a # is a comment. A link that is there twice counts
 * twice. Writes vertex<TAB>rank, with 17 digits. At first all ranks are 1/V for V vertices. Each iteration gives a vertex
 * 0.15/V + 0.85 * (what comes by links + D/V): a source gives its rank to its links in equal shares, and D is the rank of all vertices without
 * links. So ranks sum to 1 but for rounding. Sums are added up in an order that the links alone decide, and so the output is the
 * same for any number of ranks of MPI.
 */
#include <getopt.h>
#include <quern/quern.h>
#include <stdio.h>
#include <stdlib.h>

static const double damping = 0.85;
static const quern_schema links_of = {.key = QUERN_BYTES, .value = QUERN_BYTES};

static int is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* The next vertex of the line from *text on; of 0 bytes at its end or at a comment. */
static quern_span read_vertex(const char **text, const char *end)
{
    while (*text < end && is_blank(**text))
        ++*text;
    const char *begin = *text;
    while (*text < end && !is_blank(**text) && **text != '#')
        ++*text;
    return quern_bytes(begin, (size_t)(*text - begin));
}

static int parse_links(const quern_block *lines, quern_emitter *out, void *user)
{
    (void)user;
    for (size_t i = 0; i < lines->count; i++) {
        const char *text = lines->key[i], *end = text + lines->key_bytes[i];
        quern_span source = read_vertex(&text, end), target = read_vertex(&text, end);
        if (source.bytes == 0)
            continue;
        if (target.bytes == 0 || read_vertex(&text, end).bytes > 0)
            return quern_fail(out, i, "the line is not a source and a target");
        if (quern_emit(out, source, target) != 0)
            return -1;
    }
    return 0;
}

/* totals[0] is D. */
static int rank_vertices(const quern_vertices *some, void *user)
{
    double count = (double)some->vertex_count;
    double base = (1 - damping) / count + damping * some->totals_before[0] / count;
    (void)user;
    for (size_t i = 0; i < some->count; i++) {
        double rank = some->step == 0 ? 1 / count : base + damping * some->come[i];
        some->value[i] = rank;
        some->send[i] = some->links[i] > 0 ? rank / (double)some->links[i] : 0;
        some->totals[0][i] = some->links[i] > 0 ? 0 : rank;
    }
    return 0;
}

static quern_status run(quern_context *context, const char *const *paths, size_t path_count, const char *directory,
                        uint64_t iterations)
{
    quern_vertex_program ranks = {.struct_size = sizeof ranks,
                                  .combine = QUERN_SUM,
                                  .total_count = 1,
                                  .step_count_max = iterations,
                                  .step = rank_vertices};
    quern_dataset *lines = quern_read_text(context, paths, path_count, NULL);
    quern_dataset *links = quern_name(quern_flat_map_block(lines, links_of, parse_links, NULL), "link of a line");
    quern_write_text(quern_iterate_links(links, NULL, &ranks, NULL), directory);
    return quern_run(context);
}

/* A number from 0 on. -1: the text is none. */
static long long read_count(const char *text)
{
    char *end;
    long long count = strtoll(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == 0 ? count : -1;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"output", required_argument, NULL, 'o'}, {"iterations", required_argument, NULL, 'i'}, {0}};
    const char *values[128] = {['i'] = "20"};
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    int speaks = quern_context_rank(context) == 0, option;
    for (opterr = 0; (option = getopt_long(argc, argv, "o:", names, NULL)) != -1;)
        values[option] = optarg ? optarg : "";
    long long iterations = read_count(values['i']);
    int misused =
        status == QUERN_ERROR_INVALID_OPTION || values['?'] || optind == argc || !values['o'] || iterations < 0;
    if (!misused) {
        status = run(context, (const char **)argv + optind, (size_t)(argc - optind), values['o'], (uint64_t)iterations);
        if (status != QUERN_OK && speaks)
            fprintf(stderr, "pagerank: %s\n", quern_context_error_text(context));
    } else if (speaks)
        fprintf(stderr, "%s\nusage: pagerank -o DIR [--iterations N] EDGES...\n", quern_context_error_text(context));
    quern_context_destroy(context);
    return misused ? 2 : quern_exit_status(status);
}
