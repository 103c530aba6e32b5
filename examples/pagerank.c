/* SPDX-License-Identifier: BSD-3-Clause. Page rank: mpirun -n N pagerank -o DIR [--iterations 20] EDGES... */
/*
 * Lines are source and target between white space, any other bytes; what stands behind a # is a comment. A link that is there twice counts
 * twice. Writes vertex<TAB>rank, with 17 digits. At first all ranks are 1/V for V vertices. Each iteration gives a vertex
 * 0.15/V + 0.85 * (what comes by links + D/V): a source gives its rank to its links in equal shares, and D is the rank of all vertices without
 * links. So ranks sum to 1 but for rounding. Sums do not depend on the order of links, and so the output is the same for any
 * number of ranks of MPI.
 */
#include <getopt.h>
#include <quern/quern.h>
#include <stdio.h>
#include <stdlib.h>

static const double damping = 0.85;
static const quern_schema links_of = {.key = QUERN_BYTES, .value = QUERN_BYTES},
                          sums_of = {.key = QUERN_BYTES, .value = QUERN_F64};

typedef struct job {
    quern_dataset *links;
    quern_counter *vertices;
    double vertex_count;
    double dangling; /* D of the iteration before, */
    double gathered; /* and of this one, when it is over */
    int is_first;    /* no iteration was made yet: all have the same rank */
} job;

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

static int list_vertices(const quern_block *links, quern_emitter *out, void *user)
{
    const double nothing = 0;
    (void)user;
    for (size_t i = 0; i < links->count; i++)
        if (quern_emit(out, quern_bytes(links->key[i], links->key_bytes[i]), quern_of_f64(&nothing)) != 0 ||
            quern_emit(out, quern_bytes(links->value[i], links->value_bytes[i]), quern_of_f64(&nothing)) != 0)
            return -1;
    return 0;
}

static int count_vertex(const quern_record *vertex, quern_record *out, void *user)
{
    (void)vertex, (void)out;
    quern_counter_add(((job *)user)->vertices, 1);
    return 0;
}

/* The rank of a vertex to which so much came by links in the last iteration. */
static double rank_of(const job *all, double sum)
{
    if (all->is_first)
        return 1 / all->vertex_count;
    return (1 - damping) / all->vertex_count + damping * (sum + all->dangling / all->vertex_count);
}

/* Gives a rank to the targets in equal shares. */
static int spread_rank(double rank, quern_values *targets, quern_emitter *out)
{
    quern_span target;
    uint64_t count = 0;
    int more;
    while ((more = quern_values_next(targets, &target)) > 0)
        count++;
    double share = rank / (double)count;
    if (more == 0 && count == 0)
        return quern_emit(out, quern_bytes("", 0), quern_of_f64(&rank)); /* to D: no vertex is of 0 bytes */
    if (more < 0 || quern_values_rewind(targets) != 0)
        return -1;
    while ((more = quern_values_next(targets, &target)) > 0)
        if (quern_emit(out, target, quern_of_f64(&share)) != 0)
            return -1;
    return more;
}

static int follow_links(quern_span vertex, quern_values *targets, quern_values *sums, quern_emitter *out, void *user)
{
    const double nothing = 0; /* so that there is a sum of each vertex */
    quern_span sum;
    int more = quern_values_next(sums, &sum);
    if (more <= 0 || vertex.bytes == 0)
        return more < 0 ? more : 0;
    if (quern_emit(out, vertex, quern_of_f64(&nothing)) != 0)
        return -1;
    return spread_rank(rank_of(user, quern_f64(sum)), targets, out);
}

static int is_dangling(const quern_record *sum, int *keep_out, void *user)
{
    (void)user;
    *keep_out = sum->key.bytes == 0;
    return 0;
}

static int take_dangling(const quern_record *sum, void *user)
{
    ((job *)user)->gathered = quern_f64(sum->value);
    return 0;
}

static int give_rank(const quern_record *sum, quern_emitter *out, void *user)
{
    double rank = rank_of(user, quern_f64(sum->value));
    return sum->key.bytes > 0 ? quern_emit(out, sum->key, quern_of_f64(&rank)) : 0;
}

/* What the iterations before left, for callbacks of the next run. */
static void look_back(job *all, uint64_t step)
{
    all->is_first = step == 0;
    if (all->is_first)
        all->vertex_count = (double)quern_counter_value(all->vertices);
    all->dangling = all->gathered;
    all->gathered = 0;
}

static quern_dataset *iterate(quern_dataset *sums, uint64_t step, void *user)
{
    job *all = user;
    look_back(all, step);
    quern_dataset *shares = quern_cogroup(all->links, sums, sums_of, follow_links, all);
    quern_dataset *next = quern_reduce_by_key(shares, QUERN_SUM);
    quern_collect(quern_filter(next, is_dangling, NULL), QUERN_COLLECT_ALL, take_dangling, all);
    return next;
}

static quern_status run(quern_context *context, const char *const *paths, size_t path_count, const char *directory,
                        uint64_t iterations)
{
    job all = {.vertices = quern_counter_create(context, "vertices")};
    quern_iteration often = {.struct_size = sizeof often, .step_count_max = iterations, .step = iterate};
    quern_dataset *lines = quern_read_text(context, paths, path_count, NULL), *sums = NULL;
    all.links = quern_cache(quern_name(quern_flat_map_block(lines, links_of, parse_links, NULL), "link of a line"));
    quern_dataset *named = quern_flat_map_block(all.links, sums_of, list_vertices, NULL);
    quern_dataset *vertices = quern_map(quern_reduce_by_key(named, QUERN_MAX), sums_of, count_vertex, &all);
    quern_status status = quern_iterate(context, vertices, &often, &all, &sums);
    if (status != QUERN_OK)
        return status;
    look_back(&all, iterations);
    quern_write_text(quern_flat_map(sums, sums_of, give_rank, &all), directory);
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
