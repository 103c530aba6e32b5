/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A yardstick: the fastest inner join that we could write by hand, with threads and without a framework.
 *
 *     bare_join [-t THREADS] [-o PREFIX] BUILD PROBE
 *
 * Both files hold rows of two 64-bit integers, key and value; keys may repeat in either. Each pair of rows with one key
 * is a match: (key, value of BUILD, value of PROBE). With -o PREFIX each thread writes its matches, 24 bytes each, to
 * PREFIX-00000, .... Figures go to standard error; check is the sum over all matches of
 * mix(mix(mix(key) + value of BUILD) + value of PROBE), mix being bare_mix().
 *
 * Both sides are partitioned by hash (bare_partition.h), so that the build rows of a partition stay in cache. There
 * they are put in the order of their hash, with an index of where each range of hashes begins: a key that owns half of
 * the rows makes a long range, not a long search for others.
 */
#include <getopt.h>

#include "tests/perf/bare_partition.h"

#ifndef BUILD_ROWS
#define BUILD_ROWS 8192 /* in a partition, about */
#endif
#define PARTITION_BITS_MAX 13
#define MATCH_BATCH        512
#define OUT_BYTES          (MATCH_BATCH * sizeof(struct match) * 64)

struct match {
    uint64_t key, build, probe;
};

struct worker {
    struct partitions build, probe;
    uint8_t *buffer;
    struct row *rows; /* of BUILD in one partition, by slots */
    uint64_t rows_max;
    uint32_t *starts; /* of each slot, and the end of the last */
    unsigned slot_bits;
    struct match matches[MATCH_BATCH];
    size_t nmatches;
    uint64_t build_rows, probe_rows, matched, check;
    int number, out_fd;
    size_t out_len;
    uint8_t *out;
};

static int nthreads = 2, build_fd, probe_fd;
static const char *out_prefix;
static uint64_t build_bytes, probe_bytes, next_build, next_probe, next_part;
static unsigned part_bits;
static struct worker *workers;

static void out_open(struct worker *w)
{
    char path[4096];
    snprintf(path, sizeof path, "%s-%05d", out_prefix, w->number);
    w->out = bare_reserve(OUT_BYTES);
    w->out_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->out_fd < 0)
        bare_die(path);
}

static void out_flush(struct worker *w)
{
    for (size_t done = 0; done < w->out_len;) {
        ssize_t n = write(w->out_fd, w->out + done, w->out_len - done);
        if (n <= 0)
            bare_die("write");
        done += (size_t)n;
    }
    w->out_len = 0;
}

static void matches_flush(struct worker *w)
{
    uint64_t check = 0;
    for (size_t i = 0; i < w->nmatches; i++)
        check += bare_mix(bare_mix(bare_mix(w->matches[i].key) + w->matches[i].build) + w->matches[i].probe);
    w->check += check;
    w->matched += w->nmatches;
    if (out_prefix) {
        if (w->out_len + w->nmatches * sizeof(struct match) > OUT_BYTES)
            out_flush(w);
        memcpy(w->out + w->out_len, w->matches, w->nmatches * sizeof(struct match));
        w->out_len += w->nmatches * sizeof(struct match);
    }
    w->nmatches = 0;
}

INLINE size_t slot_of(const struct worker *w, uint64_t key)
{
    return bare_hash(key) << part_bits >> (64 - w->slot_bits);
}

/* Calls for each chunk of rows that the threads have in a partition of one side. */
#define FOR_CHUNKS(side, part, rows, n)                                                                                \
    for (int thread_ = 0; thread_ < nthreads; thread_++)                                                               \
        for (uint32_t c_ = workers[thread_].side.lasts[part]; c_ != PARTITION_NONE;                                    \
             c_ = workers[thread_].side.previous[c_])                                                                  \
            for (size_t n = partition_chunk_rows(&workers[thread_].side, part, c_), once_ = 1; once_; once_ = 0)       \
                for (const struct row *rows = partition_chunk(&workers[thread_].side, c_); once_; once_ = 0)

static uint64_t build_rows_of(size_t part)
{
    uint64_t rows = 0;
    for (int i = 0; i < nthreads; i++)
        rows += partition_rows(&workers[i].build, part);
    return rows;
}

static void worker_reserve(struct worker *w, uint64_t n)
{
    for (w->slot_bits = 4; n >> w->slot_bits; w->slot_bits++)
        ;
    if (n < w->rows_max)
        return;
    w->rows_max = 2 * n + 1;
    w->rows = bare_reserve(w->rows_max * sizeof *w->rows);
    w->starts = bare_reserve((4 * w->rows_max + 32) * sizeof *w->starts);
}

/* Counts the rows of each slot, sums up, and puts each row in its place. */
static void build(struct worker *w, size_t part)
{
    worker_reserve(w, build_rows_of(part));
    size_t nslots = (size_t)1 << w->slot_bits;
    uint32_t *starts = w->starts, sum = 0;
    memset(starts, 0, (nslots + 2) * sizeof *starts);
    FOR_CHUNKS(build, part, rows, n)
    {
        for (size_t i = 0; i < n; i++)
            starts[slot_of(w, rows[i].key) + 2]++;
    }
    for (size_t i = 2; i < nslots + 2; i++)
        starts[i] = sum += starts[i];
    FOR_CHUNKS(build, part, rows, n)
    {
        for (size_t i = 0; i < n; i++)
            w->rows[starts[slot_of(w, rows[i].key) + 1]++] = rows[i];
    }
}

/* Writes every candidate, and goes on if it was a match: whether it is one cannot be predicted. */
static void probe_rows(struct worker *w, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct row row = rows[i];
        size_t slot = slot_of(w, row.key);
        for (size_t at = w->starts[slot], end = w->starts[slot + 1]; at < end; at++) {
            w->matches[w->nmatches] = (struct match){row.key, w->rows[at].value, row.value};
            w->nmatches += w->rows[at].key == row.key;
            if (__builtin_expect(w->nmatches == MATCH_BATCH, 0))
                matches_flush(w);
        }
    }
}

static void *partition_thread(void *arg)
{
    struct worker *w = arg;
    w->buffer = bare_reserve(PARTITION_READ);
    partitions_init(&w->build, part_bits, build_bytes / sizeof(struct row));
    partitions_init(&w->probe, part_bits, probe_bytes / sizeof(struct row));
    w->build_rows = partitions_read(&w->build, build_fd, build_bytes, &next_build, w->buffer);
    w->probe_rows = partitions_read(&w->probe, probe_fd, probe_bytes, &next_probe, w->buffer);
    return NULL;
}

static void *join_thread(void *arg)
{
    struct worker *w = arg;
    for (size_t part; (part = __atomic_fetch_add(&next_part, 1, __ATOMIC_RELAXED)) >> part_bits == 0;) {
        build(w, part);
        FOR_CHUNKS(probe, part, rows, n)
        {
            probe_rows(w, rows, n);
        }
    }
    matches_flush(w);
    if (out_prefix) {
        out_flush(w);
        if (close(w->out_fd))
            bare_die(out_prefix);
    }
    return NULL;
}

static void parse(int argc, char **argv)
{
    for (int c; (c = getopt(argc, argv, "t:o:")) != -1;) {
        if (c == 't')
            nthreads = bare_threads(optarg);
        else if (c == 'o')
            out_prefix = optarg;
        else
            exit(2);
    }
    if (optind + 2 != argc) {
        fputs("usage: bare_join [-t THREADS] [-o PREFIX] BUILD PROBE\n", stderr);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    double start = bare_now_s();
    build_fd = bare_open(argv[optind], &build_bytes);
    probe_fd = bare_open(argv[optind + 1], &probe_bytes);
    if (build_bytes % sizeof(struct row) || probe_bytes % sizeof(struct row))
        bare_die("not a whole number of rows");
    uint64_t rows = build_bytes / sizeof(struct row);
    for (part_bits = 1; part_bits < PARTITION_BITS_MAX && rows >> part_bits > BUILD_ROWS;)
        part_bits++;
    workers = bare_reserve((size_t)nthreads * sizeof *workers);
    for (int i = 0; i < nthreads; i++) {
        workers[i].number = i;
        if (out_prefix)
            out_open(workers + i);
    }
    bare_run(nthreads, partition_thread, workers, sizeof *workers);
    double read = bare_now_s();
    bare_run(nthreads, join_thread, workers, sizeof *workers);
    double end = bare_now_s();
    uint64_t probed = 0, matched = 0, check = 0;
    for (int i = 0; i < nthreads; i++) {
        probed += workers[i].probe_rows;
        matched += workers[i].matched;
        check += workers[i].check;
    }
    fprintf(stderr,
            "bare_join threads=%d bytes=%" PRIu64 " build=%" PRIu64 " probe=%" PRIu64 " matches=%" PRIu64
            " check=%016" PRIx64 " read_s=%.3f join_s=%.3f total_s=%.3f cpu_s=%.3f Mrows_s=%.1f peak_rss_mb=%ld\n",
            nthreads, build_bytes + probe_bytes, rows, probed, matched, check, read - start, end - read, end - start,
            bare_cpu_s(), (double)(rows + probed) / 1e6 / (end - start), bare_peak_rss_mib());
    return 0;
}
