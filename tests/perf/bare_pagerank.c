/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A yardstick: the fastest PageRank that we could write by hand, with threads and without a framework.
 *
 *     bare_pagerank [-t THREADS] [-n ITERATIONS] [-k TOP] [-o FILE] EDGES
 *
 * EDGES has lines source<whitespace>target, both below 2^32 (and not far above the number of vertices: memory and time
 * go by the greatest of them); an edge that stands there twice counts twice, and a vertex
 * is what occurs in an edge. Each iteration: rank(v) = 0.15/n + 0.85 * (sum over edges u -> v of rank(u)/outdegree(u) +
 * (sum of the ranks of vertices without edges out)/n). Starts from 1/n. Standard output gets the TOP vertices as
 * vertex<TAB>rank; -o writes all of them. Figures go to standard error: loading and iterating apart.
 *
 * Loading: threads parse pieces of the file into edges; vertices get numbers by falling number of edges out of them, so
 * that the ranks that are asked for most share cache lines; edges are grouped by target. Iterating: each thread claims
 * ranges of targets with about as many edges each, and sums what flows in; nothing is written that another reads.
 */
#include <getopt.h>

#include "tests/perf/bare.h"

#define DAMPING        0.85
#define CHUNK          ((size_t)256 << 10)
#define EDGE_BYTES_MAX 256 /* bytes */
#define RANGE_EDGES    ((uint64_t)1 << 16)
#define DEGREES_MAX    4096 /* greater degrees are one class */
#define VERTEX_NONE    UINT32_MAX

struct edge {
    uint32_t source, target;
};

struct worker {
    struct edge *edges;
    uint64_t nedges;
    uint32_t id_max;
    double dangling, sum; /* of the last iteration */
    int number;
    char *buffer;
};

static int nthreads = 2, iterations = 20, top = 10, in_fd;
static uint64_t in_bytes, next_read, nedges, nids;
static struct worker *workers;
static uint32_t *numbers, *ids; /* vertex of an id, and the other way round */
static uint32_t nvertices, nranges, next_range;
static uint32_t *outs;                              /* edges out of each id, then of each vertex */
static uint64_t *starts;                            /* of the sources of each vertex */
static uint32_t *sources;                           /* by target */
static uint32_t *ranges;                            /* first vertex of each */
static double *ranks, *flows, *flows_next, *shares; /* shares: 1 / edges out */
static double base;
static pthread_barrier_t barrier;

/* ---------------------------------------------------------------- reading */

static _Noreturn void bad_line(void)
{
    errno = EINVAL;
    bare_die("a line is not two numbers below 2^32");
}

INLINE const char *parse_id(const char *p, uint32_t *id_out)
{
    uint64_t id = 0;
    const char *begin = p;
    for (unsigned digit; (digit = (unsigned)(unsigned char)*p - '0') < 10; p++)
        id = id * 10 + digit;
    if (__builtin_expect(p == begin || p - begin > 10 || id >= VERTEX_NONE, 0))
        bad_line();
    *id_out = (uint32_t)id;
    return p;
}

INLINE const char *skip_blanks(const char *p)
{
    while (*p == ' ' || *p == '\t' || *p == '\r')
        p++;
    return p;
}

/* The lines that begin in [p, end); text ends with a newline. */
static void parse_lines(struct worker *w, const char *p, const char *end)
{
    struct edge *to = w->edges + w->nedges;
    uint32_t most = w->id_max;
    for (; p < end; p++) {
        p = skip_blanks(p);
        if (*p == '\n')
            continue;
        struct edge e;
        p = skip_blanks(parse_id(p, &e.source));
        p = skip_blanks(parse_id(p, &e.target));
        if (__builtin_expect(*p != '\n', 0))
            bad_line();
        most = most > e.source ? most : e.source;
        most = most > e.target ? most : e.target;
        *to++ = e;
    }
    w->id_max = most;
    w->nedges = (uint64_t)(to - w->edges);
}

static void read_chunk(struct worker *w, uint64_t at)
{
    char *text = w->buffer + 1, *begin = text;
    size_t own = in_bytes - at < CHUNK ? in_bytes - at : CHUNK, before = at > 0;
    size_t bytes = bare_pread(in_fd, text - before, own + before + EDGE_BYTES_MAX, at - before) - before;
    if (bytes == 0 || text[bytes - 1] != '\n')
        text[bytes++] = '\n';
    if (before && text[-1] != '\n') {
        begin = memchr(text, '\n', bytes);
        if (!begin)
            bad_line();
        begin++;
    }
    if (begin < text + own)
        parse_lines(w, begin, text + own);
}

static void *read_thread(void *arg)
{
    struct worker *w = arg;
    w->buffer = bare_reserve(CHUNK + 2 * EDGE_BYTES_MAX);
    w->edges = bare_reserve((in_bytes / 4 + CHUNK) * sizeof *w->edges);
    for (uint64_t at; (at = __atomic_fetch_add(&next_read, CHUNK, __ATOMIC_RELAXED)) < in_bytes;)
        read_chunk(w, at);
    return NULL;
}

/* ---------------------------------------------------------------- the graph */

static void *count_thread(void *arg)
{
    const struct worker *w = arg;
    uint32_t *into = numbers; /* for now: occurs as a target */
    for (int i = w->number; i < nthreads; i += nthreads)
        for (uint64_t e = 0; e < workers[i].nedges; e++) {
            __atomic_fetch_add(outs + workers[i].edges[e].source, 1, __ATOMIC_RELAXED);
            into[workers[i].edges[e].target] = 1;
        }
    return NULL;
}

/* Numbers vertices by falling degree: counts each degree, then places. */
static void number_vertices(void)
{
    static uint32_t places[DEGREES_MAX + 2];
    for (uint64_t id = 0; id < nids; id++)
        if (outs[id] || numbers[id])
            places[outs[id] < DEGREES_MAX ? outs[id] : DEGREES_MAX]++;
    for (int degree = DEGREES_MAX; degree >= 0; degree--) {
        uint32_t n = places[degree];
        places[degree] = nvertices;
        nvertices += n;
    }
    for (uint64_t id = 0; id < nids; id++) {
        bool is = outs[id] || numbers[id];
        numbers[id] = is ? places[outs[id] < DEGREES_MAX ? outs[id] : DEGREES_MAX]++ : VERTEX_NONE;
        if (is)
            ids[numbers[id]] = (uint32_t)id;
    }
}

/* First of [0, nvertices] for a thread. */
static uint32_t first_vertex(int thread)
{
    return (uint32_t)((uint64_t)nvertices * (uint64_t)thread / (uint64_t)nthreads);
}

static void *renumber_thread(void *arg)
{
    struct worker *w = arg;
    for (uint64_t e = 0; e < w->nedges; e++) {
        w->edges[e].source = numbers[w->edges[e].source];
        w->edges[e].target = numbers[w->edges[e].target];
        __atomic_fetch_add(starts + w->edges[e].target + 2, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void *group_thread(void *arg)
{
    const struct worker *w = arg;
    for (uint64_t e = 0; e < w->nedges; e++) {
        uint64_t at = __atomic_fetch_add(starts + w->edges[e].target + 1, 1, __ATOMIC_RELAXED);
        sources[at] = w->edges[e].source;
    }
    return NULL;
}

static void choose_ranges(void)
{
    ranges = bare_reserve((nedges / RANGE_EDGES + nvertices / RANGE_EDGES + 3) * sizeof *ranges);
    uint64_t work = RANGE_EDGES;
    for (uint32_t v = 0; v < nvertices; v++) {
        if (work >= RANGE_EDGES) {
            ranges[nranges++] = v;
            work = 0;
        }
        work += starts[v + 1] - starts[v] + 1;
    }
    ranges[nranges] = nvertices;
}

static void load(void)
{
    bare_run(nthreads, read_thread, workers, sizeof *workers);
    for (int i = 0; i < nthreads; i++) {
        nedges += workers[i].nedges;
        nids = nids > workers[i].id_max ? nids : workers[i].id_max;
    }
    nids++;
    numbers = bare_reserve(nids * sizeof *numbers);
    outs = bare_reserve(nids * sizeof *outs);
    ids = bare_reserve(nids * sizeof *ids);
    if (nedges)
        bare_run(nthreads, count_thread, workers, sizeof *workers);
    number_vertices();
    starts = bare_reserve((nvertices + 2) * sizeof *starts);
    sources = bare_reserve(nedges * sizeof *sources);
    bare_run(nthreads, renumber_thread, workers, sizeof *workers);
    for (uint32_t v = 2; v < nvertices + 2; v++)
        starts[v] += starts[v - 1];
    bare_run(nthreads, group_thread, workers, sizeof *workers);
    choose_ranges();
}

/* ---------------------------------------------------------------- iterating */

static void start_ranks(struct worker *w)
{
    w->dangling = 0;
    for (uint32_t v = first_vertex(w->number); v < first_vertex(w->number + 1); v++) {
        uint32_t degree = outs[ids[v]];
        ranks[v] = 1 / (double)nvertices;
        shares[v] = degree ? 1 / (double)degree : 0;
        flows[v] = ranks[v] * shares[v];
        w->dangling += degree ? 0 : ranks[v];
    }
}

static void sum_range(struct worker *w, uint32_t range)
{
    for (uint32_t v = ranges[range]; v < ranges[range + 1]; v++) {
        double in0 = 0, in1 = 0;
        uint64_t e = starts[v], end = starts[v + 1];
        for (; e + 2 <= end; e += 2) {
            in0 += flows[sources[e]];
            in1 += flows[sources[e + 1]];
        }
        if (e < end)
            in0 += flows[sources[e]];
        double rank = base + DAMPING * (in0 + in1);
        ranks[v] = rank;
        flows_next[v] = rank * shares[v];
        w->dangling += shares[v] == 0 ? rank : 0;
        w->sum += rank;
    }
}

/* By one thread while the others wait. */
static void next_iteration(int iteration)
{
    double dangling = 0, *flows_old = flows;
    for (int i = 0; i < nthreads; i++)
        dangling += workers[i].dangling;
    base = (1 - DAMPING + DAMPING * dangling) / (double)nvertices;
    if (iteration > 0) {
        flows = flows_next;
        flows_next = flows_old;
    }
    next_range = 0;
}

static void *rank_thread(void *arg)
{
    struct worker *w = arg;
    start_ranks(w);
    for (int i = 0; i < iterations; i++) {
        if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
            next_iteration(i);
        pthread_barrier_wait(&barrier);
        w->dangling = w->sum = 0;
        for (uint32_t r; (r = __atomic_fetch_add(&next_range, 1, __ATOMIC_RELAXED)) < nranges;)
            sum_range(w, r);
    }
    return NULL;
}

static void iterate(void)
{
    ranks = bare_reserve(nvertices * sizeof *ranks);
    shares = bare_reserve(nvertices * sizeof *shares);
    flows = bare_reserve(nvertices * sizeof *flows);
    flows_next = bare_reserve(nvertices * sizeof *flows_next);
    pthread_barrier_init(&barrier, NULL, (unsigned)nthreads);
    bare_run(nthreads, rank_thread, workers, sizeof *workers);
}

/* ---------------------------------------------------------------- main */

static int by_rank(const void *a, const void *b)
{
    uint32_t v = *(const uint32_t *)a, u = *(const uint32_t *)b;
    if (ranks[v] != ranks[u])
        return ranks[v] > ranks[u] ? -1 : 1;
    return ids[v] < ids[u] ? -1 : 1;
}

static void print_ranks(const char *path)
{
    uint32_t *order = bare_reserve(nvertices * sizeof *order);
    for (uint32_t v = 0; v < nvertices; v++)
        order[v] = v;
    qsort(order, nvertices, sizeof *order, by_rank);
    FILE *all = path ? fopen(path, "w") : NULL;
    if (path && !all)
        bare_die(path);
    for (uint32_t i = 0; i < nvertices && (all || i < (uint32_t)top); i++) {
        if (i < (uint32_t)top)
            printf("%" PRIu32 "\t%.12g\n", ids[order[i]], ranks[order[i]]);
        if (all)
            fprintf(all, "%" PRIu32 "\t%.15g\n", ids[order[i]], ranks[order[i]]);
    }
    if (fflush(stdout) || (all && fclose(all)))
        bare_die("output");
}

int main(int argc, char **argv)
{
    const char *path = NULL;
    for (int c; (c = getopt(argc, argv, "t:n:k:o:")) != -1;) {
        if (c == 't')
            nthreads = bare_threads(optarg);
        else if (c == 'n')
            iterations = atoi(optarg);
        else if (c == 'k')
            top = atoi(optarg);
        else if (c == 'o')
            path = optarg;
        else
            return 2;
    }
    if (optind + 1 != argc || iterations < 1) {
        fputs("usage: bare_pagerank [-t THREADS] [-n ITERATIONS] [-k TOP] [-o FILE] EDGES\n", stderr);
        return 2;
    }
    double start = bare_now_s();
    in_fd = bare_open(argv[optind], &in_bytes);
    workers = bare_reserve((size_t)nthreads * sizeof *workers);
    for (int i = 0; i < nthreads; i++)
        workers[i].number = i;
    load();
    if (nedges == 0) {
        errno = 0;
        bare_die("no edges");
    }
    double loaded = bare_now_s();
    iterate();
    double end = bare_now_s(), sum = 0;
    for (int i = 0; i < nthreads; i++)
        sum += workers[i].sum;
    print_ranks(path);
    fprintf(stderr,
            "bare_pagerank threads=%d bytes=%" PRIu64 " edges=%" PRIu64 " vertices=%" PRIu32
            " iterations=%d sum=%.12f load_s=%.3f iteration_s=%.6f total_s=%.3f cpu_s=%.3f peak_rss_mb=%ld\n",
            nthreads, in_bytes, nedges, nvertices, iterations, sum, loaded - start, (end - loaded) / iterations,
            end - start, bare_cpu_s(), bare_peak_rss_mib());
    return 0;
}
