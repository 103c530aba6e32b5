/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A yardstick: the fastest sort of 100-byte records by their first 10 bytes that we could write by hand, with threads
 * and without a framework.
 *
 *     bare_sort [-t THREADS] [-o FILE] INPUT                                    in memory
 *     bare_sort [-t THREADS] -o FILE --memory 512M [--scratch DIR] INPUT        within that memory
 *     bare_sort --check FILE...                                                 what the figures below would be
 *
 * Keys compare as bytes; equal ones by the rest of the record, so that there is one right order. Figures go to standard
 * error. order is the sum of (i + 1) * h(key i), so that it depends on the order of keys and on nothing else; records is
 * the sum of hashes of whole records. They are computed after the clock has stopped, and files one after the other count
 * as one.
 *
 * In memory: a sample of the input gives a table from key to bucket, for about as many buckets as make each fit in the
 * cache. Threads claim pieces of the input, which stay in cache, and scatter records to the chunks of their buckets. Then
 * they claim buckets, sort (first 8 bytes, address) pairs by counting and insertion, and gather the records into a
 * small buffer, which is streamed past the caches to its place or written.
 *
 * Within less memory: the same with partitions instead of buckets, of which one for each thread fits in memory; blocks
 * of them go to a scratch file. All large files but the input bypass the page cache. Twice as many threads as asked for
 * take turns: half of them wait for the disk.
 *
 * Limits: below --memory a key or a narrow range of keys that owns a large part of the input needs as much memory.
 */
#include <getopt.h>

#include "tests/perf/bare.h"

#define RECORD ((size_t)100)
#define KEY    10

#ifndef BUCKET_BYTES
#define BUCKET_BYTES ((uint64_t)512 << 10)
#endif
#define BUCKETS_MAX    8192
#define CHUNK          ((size_t)32 << 10)
#define CHUNK_RECORDS  (CHUNK / RECORD)
#define READ_RECORDS   2560 /* claimed at a time */
#define SAMPLE_PLACES  64
#define SAMPLE_RECORDS 1024 /* at each place */
#define SLOT_BITS      15   /* of the table from key to bucket */
#define INSERTION_MAX  24
#define NONE           UINT32_MAX
#define DISK_BLOCK     ((size_t)4096)
#define WRITE_BYTES    ((size_t)4 << 20)
#define STREAM_BYTES   ((size_t)16 << 10)
#define SPILL_MIN      ((size_t)64 << 10)
#define SPILL_MAX      ((size_t)1 << 20)

struct pair {
    uint64_t prefix;
    const uint8_t *record;
};

/* Which bucket a key belongs to: ranges of slots, slots being equal ranges of the sampled keys. */
struct splitter {
    uint64_t low, high;
    unsigned shift;
    uint16_t buckets[1 << SLOT_BITS];
};

/* Puts records one after the other into memory or into a file from some offset on, in aligned pieces. */
struct writer {
    uint8_t *memory;   /* or NULL */
    int direct, plain; /* the file, past the page cache and through it */
    uint8_t *buffer;   /* stands for the file or the memory from `at` on, which is a multiple of align */
    size_t skip, used, full, align;
    uint64_t at;
};

/* Records of one bucket or partition that one thread has found. */
struct chunks {
    uint8_t *end;
    uint32_t left, last; /* records that still fit; last chunk */
};

struct spill {
    uint8_t *buffer;
    size_t used;
    uint32_t first, last; /* blocks */
    uint64_t bytes;
};

struct worker {
    struct chunks *chunks;
    uint32_t *links; /* chunk before each */
    uint8_t *arena;
    uint32_t nchunks;
    struct spill *spills;
    uint8_t *input, *part;
    struct pair *pairs, *sorted;
    uint64_t pairs_max;
    size_t part_max;
    uint32_t *counts;
    size_t npairs;
    struct writer writer;
};

static int nthreads = 2, in_fd, out_direct = -1, out_plain = -1, spill_fd = -1;
static const char *in_path, *out_path, *scratch;
static uint64_t in_bytes, memory_bytes, next_read, next_bucket, spill_blocks, blocks_max;
static size_t spill_bytes;
static uint32_t nbuckets, *block_links;
static uint64_t *offsets; /* of each bucket in the output, and the end */
static uint8_t *output;
static struct splitter splitter;
static struct worker *workers;

INLINE uint64_t prefix_of(const uint8_t *record)
{
    return __builtin_bswap64(bare_load64(record));
}

/* ---------------------------------------------------------------- splitting */

INLINE size_t slot_of(uint64_t prefix)
{
    prefix = prefix < splitter.low ? splitter.low : prefix;
    prefix = prefix > splitter.high ? splitter.high : prefix;
    return (prefix - splitter.low) >> splitter.shift;
}

INLINE uint32_t bucket_of(const uint8_t *record)
{
    return splitter.buckets[slot_of(prefix_of(record))];
}

static size_t read_sample(uint64_t *prefixes)
{
    static uint8_t buffer[SAMPLE_RECORDS * RECORD];
    uint64_t nrecords = in_bytes / RECORD;
    size_t n = 0;
    for (uint64_t place = 0; place < SAMPLE_PLACES; place++) {
        size_t bytes = bare_pread(in_fd, buffer, sizeof buffer, nrecords * place / SAMPLE_PLACES * RECORD);
        for (size_t i = 0; i < bytes / RECORD; i++)
            prefixes[n++] = prefix_of(buffer + i * RECORD);
    }
    return n;
}

/* Each slot weighs one more than its sampled keys, which evens out what chance does to a small sample. */
static void choose_splitter(void)
{
    static uint64_t prefixes[SAMPLE_PLACES * SAMPLE_RECORDS];
    static uint32_t weights[1 << SLOT_BITS];
    size_t n = read_sample(prefixes);
    splitter.low = UINT64_MAX;
    for (size_t i = 0; i < n; i++) {
        splitter.low = prefixes[i] < splitter.low ? prefixes[i] : splitter.low;
        splitter.high = prefixes[i] > splitter.high ? prefixes[i] : splitter.high;
    }
    unsigned bits = bare_bits(splitter.high - splitter.low);
    splitter.shift = bits > SLOT_BITS ? bits - SLOT_BITS : 0;
    size_t nslots = slot_of(splitter.high) + 1, weight = n + nslots, sum = 0;
    for (size_t i = 0; i < n; i++)
        weights[slot_of(prefixes[i])]++;
    for (size_t slot = 0; slot < nslots; slot++) {
        splitter.buckets[slot] = (uint16_t)((sum + weights[slot] / 2) * nbuckets / weight);
        sum += weights[slot] + 1;
    }
}

/* ---------------------------------------------------------------- writing */

static void writer_init(struct writer *w)
{
    w->memory = output;
    w->direct = out_direct;
    w->plain = out_plain;
    w->align = output ? 64 : DISK_BLOCK;
    w->full = output ? STREAM_BYTES : WRITE_BYTES;
    w->buffer = bare_reserve(w->full + RECORD);
}

static void writer_start(struct writer *w, uint64_t offset)
{
    w->skip = w->used = offset % w->align;
    w->at = offset - w->skip;
}

/* Writes [from, from + bytes) of the buffer; what shares an aligned block with others goes by bytes. */
static void writer_put(struct writer *w, size_t from, size_t bytes, bool whole)
{
    if (w->memory && whole)
        for (size_t i = 0; i < bytes; i += 64)
            bare_stream_line(w->memory + w->at + from + i, w->buffer + from + i);
    else if (w->memory)
        memcpy(w->memory + w->at + from, w->buffer + from, bytes);
    else if (bytes)
        bare_pwrite(whole ? w->direct : w->plain, w->buffer + from, bytes, w->at + from);
}

/* Writes [skip, bytes), of which bytes is aligned unless it is the end. */
static void writer_flush(struct writer *w, size_t bytes)
{
    size_t from = w->skip, end = bytes / w->align * w->align;
    if (from) {
        size_t head = bytes < w->align ? bytes : w->align;
        writer_put(w, from, head - from, false);
        from = head;
    }
    if (from < end)
        writer_put(w, from, end - from, true);
    if (end < bytes && bytes > from)
        writer_put(w, end > from ? end : from, bytes - (end > from ? end : from), false);
    w->skip = 0;
}

INLINE void writer_add(struct writer *w, const uint8_t *record)
{
    memcpy(w->buffer + w->used, record, RECORD);
    w->used += RECORD;
    if (__builtin_expect(w->used >= w->full, 0)) {
        writer_flush(w, w->full);
        w->used -= w->full;
        w->at += w->full;
        memcpy(w->buffer, w->buffer + w->full, w->used);
    }
}

static void writer_end(struct writer *w)
{
    writer_flush(w, w->used);
    bare_stream_end();
}

/* ---------------------------------------------------------------- sorting pairs */

INLINE bool pair_less(const struct pair *a, const struct pair *b)
{
    return a->prefix != b->prefix ? a->prefix < b->prefix : memcmp(a->record + 8, b->record + 8, RECORD - 8) < 0;
}

static int compare_pairs(const void *a, const void *b)
{
    return pair_less(a, b) ? -1 : pair_less(b, a);
}

INLINE void insertion_sort(struct pair *pairs, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct pair p = pairs[i];
        size_t at = i;
        for (; at > 0 && pair_less(&p, pairs + at - 1); at--)
            pairs[at] = pairs[at - 1];
        pairs[at] = p;
    }
}

static void sort_slots(struct pair *pairs, const uint32_t *ends, size_t nslots)
{
    for (size_t slot = 0, from = 0; slot < nslots; from = ends[slot++]) {
        size_t n = ends[slot] - from;
        if (n > INSERTION_MAX)
            qsort(pairs + from, n, sizeof *pairs, compare_pairs);
        else if (n > 1)
            insertion_sort(pairs + from, n);
    }
}

/* By counting into about as many equal ranges of prefixes as there are pairs: for random keys that nearly sorts. */
static void sort_pairs(struct worker *w)
{
    size_t n = w->npairs;
    uint64_t low = UINT64_MAX, high = 0;
    for (size_t i = 0; i < n; i++) {
        low = w->pairs[i].prefix < low ? w->pairs[i].prefix : low;
        high = w->pairs[i].prefix > high ? w->pairs[i].prefix : high;
    }
    if (n == 0)
        return;
    unsigned bits = bare_bits(high - low), wanted = bare_bits(n), shift = bits > wanted ? bits - wanted : 0;
    size_t nslots = ((high - low) >> shift) + 1;
    uint32_t sum = 0;
    memset(w->counts, 0, nslots * sizeof *w->counts);
    for (size_t i = 0; i < n; i++)
        w->counts[(w->pairs[i].prefix - low) >> shift]++;
    for (size_t slot = 0; slot < nslots; slot++) {
        uint32_t count = w->counts[slot];
        w->counts[slot] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++)
        w->sorted[w->counts[(w->pairs[i].prefix - low) >> shift]++] = w->pairs[i];
    sort_slots(w->sorted, w->counts, nslots);
}

static void pairs_reserve(struct worker *w, uint64_t n)
{
    w->npairs = 0;
    if (n <= w->pairs_max)
        return;
    w->pairs_max = n + n / 4;
    w->pairs = bare_reserve(w->pairs_max * sizeof *w->pairs);
    w->sorted = bare_reserve(w->pairs_max * sizeof *w->sorted);
    w->counts = bare_reserve((4 * w->pairs_max + 4) * sizeof *w->counts);
}

static void add_pairs(struct worker *w, const uint8_t *records, size_t n)
{
    struct pair *to = w->pairs + w->npairs;
    for (size_t i = 0; i < n; i++, records += RECORD)
        to[i] = (struct pair){prefix_of(records), records};
    w->npairs += n;
}

static void write_sorted(struct worker *w)
{
    for (size_t i = 0; i < w->npairs; i++) {
        if (i + 8 < w->npairs) {
            __builtin_prefetch(w->sorted[i + 8].record);
            __builtin_prefetch(w->sorted[i + 8].record + RECORD - 1);
        }
        writer_add(&w->writer, w->sorted[i].record);
    }
}

/* ---------------------------------------------------------------- in memory */

static __attribute__((noinline)) void new_chunk(struct worker *w, struct chunks *c)
{
    w->links[w->nchunks] = c->last;
    c->last = w->nchunks;
    c->end = w->arena + w->nchunks++ * CHUNK;
    c->left = CHUNK_RECORDS;
}

static void scatter(struct worker *w, const uint8_t *records, size_t n)
{
    for (size_t i = 0; i < n; i++, records += RECORD) {
        struct chunks *c = w->chunks + bucket_of(records);
        if (__builtin_expect(c->left == 0, 0))
            new_chunk(w, c);
        memcpy(c->end, records, RECORD);
        c->end += RECORD;
        c->left--;
    }
}

static void *scatter_thread(void *arg)
{
    struct worker *w = arg;
    size_t chunks_max = in_bytes / (CHUNK_RECORDS * RECORD) + nbuckets + 1;
    w->input = bare_reserve(READ_RECORDS * RECORD);
    w->chunks = bare_reserve(nbuckets * sizeof *w->chunks);
    w->links = bare_reserve(chunks_max * sizeof *w->links);
    w->arena = bare_reserve(chunks_max * CHUNK);
    for (uint32_t b = 0; b < nbuckets; b++)
        w->chunks[b].last = NONE;
    for (uint64_t at; (at = __atomic_fetch_add(&next_read, READ_RECORDS * RECORD, __ATOMIC_RELAXED)) < in_bytes;)
        scatter(w, w->input, bare_pread(in_fd, w->input, READ_RECORDS * RECORD, at) / RECORD);
    return NULL;
}

/* Records that thread has in a bucket. */
static uint64_t bucket_records(const struct worker *w, uint32_t bucket)
{
    uint64_t n = 0;
    for (uint32_t c = w->chunks[bucket].last; c != NONE; c = w->links[c])
        n += CHUNK_RECORDS;
    return n - w->chunks[bucket].left;
}

static void sort_bucket(struct worker *w, uint32_t bucket)
{
    pairs_reserve(w, (offsets[bucket + 1] - offsets[bucket]) / RECORD);
    for (int i = 0; i < nthreads; i++) {
        const struct worker *from = workers + i;
        const struct chunks *chunks = from->chunks + bucket;
        for (uint32_t c = chunks->last; c != NONE; c = from->links[c])
            add_pairs(w, from->arena + c * CHUNK, c == chunks->last ? CHUNK_RECORDS - chunks->left : CHUNK_RECORDS);
    }
    sort_pairs(w);
    write_sorted(w);
}

/* Claims buckets, several at a time where they go to a file, for the sake of larger writes. */
static void *sort_thread(void *arg)
{
    struct worker *w = arg;
    uint32_t step = output ? 1 : (uint32_t)(4 * WRITE_BYTES / BUCKET_BYTES);
    writer_init(&w->writer);
    for (uint64_t b; (b = __atomic_fetch_add(&next_bucket, step, __ATOMIC_RELAXED)) < nbuckets;) {
        writer_start(&w->writer, offsets[b]);
        for (uint64_t end = b + step; b < end && b < nbuckets; b++)
            sort_bucket(w, (uint32_t)b);
        writer_end(&w->writer);
    }
    return NULL;
}

static void sort_in_memory(double *read_out)
{
    nbuckets = (uint32_t)(in_bytes / BUCKET_BYTES < BUCKETS_MAX ? in_bytes / BUCKET_BYTES + 1 : BUCKETS_MAX);
    choose_splitter();
    bare_run(nthreads, scatter_thread, workers, sizeof *workers);
    *read_out = bare_now_s();
    offsets = bare_reserve((nbuckets + 1) * sizeof *offsets);
    for (uint32_t b = 0; b < nbuckets; b++) {
        offsets[b + 1] = offsets[b];
        for (int i = 0; i < nthreads; i++)
            offsets[b + 1] += bucket_records(workers + i, b) * RECORD;
    }
    if (!out_path)
        output = bare_reserve(in_bytes);
    bare_run(nthreads, sort_thread, workers, sizeof *workers);
}

/* ---------------------------------------------------------------- within less memory */

static void spill_flush(struct spill *s)
{
    uint32_t block = (uint32_t)__atomic_fetch_add(&spill_blocks, 1, __ATOMIC_RELAXED);
    size_t whole = (s->used + DISK_BLOCK - 1) / DISK_BLOCK * DISK_BLOCK;
    bare_pwrite(spill_fd, s->buffer, whole, block * spill_bytes);
    if (s->first == NONE)
        s->first = block;
    else
        block_links[s->last] = block;
    s->last = block;
    s->bytes += s->used;
    s->used = 0;
}

INLINE void spill_add(struct spill *s, const uint8_t *record)
{
    size_t fits = spill_bytes - s->used;
    if (__builtin_expect(fits < RECORD, 0)) {
        memcpy(s->buffer + s->used, record, fits);
        s->used += fits;
        spill_flush(s);
        memcpy(s->buffer, record + fits, RECORD - fits);
        s->used = RECORD - fits;
        return;
    }
    memcpy(s->buffer + s->used, record, RECORD);
    s->used += RECORD;
}

static void *spill_thread(void *arg)
{
    struct worker *w = arg;
    uint8_t *buffers = bare_reserve(nbuckets * spill_bytes);
    w->input = bare_reserve(READ_RECORDS * RECORD);
    w->spills = bare_reserve(nbuckets * sizeof *w->spills);
    for (uint32_t p = 0; p < nbuckets; p++)
        w->spills[p] = (struct spill){.buffer = buffers + p * spill_bytes, .first = NONE, .last = NONE};
    for (uint64_t at; (at = __atomic_fetch_add(&next_read, READ_RECORDS * RECORD, __ATOMIC_RELAXED)) < in_bytes;) {
        size_t n = bare_pread(in_fd, w->input, READ_RECORDS * RECORD, at) / RECORD;
        for (size_t i = 0; i < n; i++)
            spill_add(w->spills + bucket_of(w->input + i * RECORD), w->input + i * RECORD);
    }
    for (uint32_t p = 0; p < nbuckets; p++)
        if (w->spills[p].used)
            spill_flush(w->spills + p);
    munmap(buffers, nbuckets * spill_bytes);
    return NULL;
}

/* Reads what a thread has spilled of a partition to `to`; returns where the next may go. */
static uint8_t *read_spill(const struct spill *s, uint8_t *to)
{
    uint64_t left = s->bytes;
    for (uint32_t block = s->first; left > 0; block = block_links[block]) {
        uint64_t n = left < spill_bytes ? left : spill_bytes;
        size_t whole = (n + DISK_BLOCK - 1) / DISK_BLOCK * DISK_BLOCK;
        if (bare_pread(spill_fd, to, whole, block * spill_bytes) < n)
            bare_die("scratch file is too short");
        to += whole;
        left -= n;
    }
    return to;
}

static void *sort_spills_thread(void *arg)
{
    struct worker *w = arg;
    writer_init(&w->writer);
    for (uint64_t p; (p = __atomic_fetch_add(&next_bucket, 1, __ATOMIC_RELAXED)) < nbuckets;) {
        size_t bytes = offsets[p + 1] - offsets[p];
        if (bytes > w->part_max) {
            if (w->part)
                munmap(w->part, w->part_max);
            w->part_max = bytes + bytes / 8 + 2 * BARE_THREADS_MAX * DISK_BLOCK;
            w->part = bare_reserve(w->part_max);
        }
        pairs_reserve(w, bytes / RECORD);
        uint8_t *to = w->part;
        for (int i = 0; i < nthreads; i++) {
            const struct spill *s = workers[i].spills + p;
            uint8_t *end = read_spill(s, to);
            add_pairs(w, to, s->bytes / RECORD);
            to = end;
        }
        sort_pairs(w);
        writer_start(&w->writer, offsets[p]);
        write_sorted(w);
        writer_end(&w->writer);
    }
    return NULL;
}

/* Room on the disk in advance: else direct writes wait for each other. */
static void make_room(int fd, uint64_t bytes)
{
    if (fallocate(fd, 0, 0, (off_t)bytes) && ftruncate(fd, (off_t)bytes))
        bare_die("room for a file");
}

static void open_spill(void)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/bare_sort.XXXXXX", scratch);
    int fd = mkstemp(path);
    if (fd < 0)
        bare_die(path);
    spill_fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (spill_fd < 0)
        spill_fd = open(path, O_RDWR | O_CLOEXEC);
    if (spill_fd < 0 || unlink(path) || close(fd))
        bare_die(path);
}

/* A sixteenth of the memory for a partition: each thread has one with its pairs, and they differ in size. Half of it for
   the blocks that are being filled. */
static void sort_within_memory(double *read_out)
{
    nbuckets = (uint32_t)(in_bytes / (memory_bytes / 16) + 1);
    spill_bytes = memory_bytes / 2 / (nbuckets * (size_t)nthreads) / DISK_BLOCK * DISK_BLOCK;
    spill_bytes = spill_bytes < SPILL_MIN ? SPILL_MIN : spill_bytes > SPILL_MAX ? SPILL_MAX : spill_bytes;
    if (nbuckets > BUCKETS_MAX)
        bare_die("--memory is too small");
    choose_splitter();
    open_spill();
    blocks_max = in_bytes / spill_bytes + nbuckets * (uint64_t)nthreads;
    make_room(spill_fd, blocks_max * spill_bytes);
    block_links = bare_reserve(blocks_max * sizeof *block_links);
    bare_run(nthreads, spill_thread, workers, sizeof *workers);
    *read_out = bare_now_s();
    offsets = bare_reserve((nbuckets + 1) * sizeof *offsets);
    for (uint32_t p = 0; p < nbuckets; p++) {
        offsets[p + 1] = offsets[p];
        for (int i = 0; i < nthreads; i++)
            offsets[p + 1] += workers[i].spills[p].bytes;
    }
    bare_run(nthreads, sort_spills_thread, workers, sizeof *workers);
    close(spill_fd);
}

/* ---------------------------------------------------------------- checking */

struct check {
    uint64_t count, order, records, prefix;
    uint16_t tail;
    bool sorted;
};

static void check_record(struct check *c, const uint8_t *record)
{
    uint64_t prefix = prefix_of(record), h = BARE_SEED0;
    uint16_t tail = (uint16_t)(record[8] << 8 | record[9]);
    if (c->count && (prefix < c->prefix || (prefix == c->prefix && tail < c->tail)))
        c->sorted = false;
    c->prefix = prefix;
    c->tail = tail;
    for (size_t i = 0; i + 8 < RECORD; i += 8)
        h = bare_fold(h ^ bare_load64(record + i), BARE_SEED1);
    c->records += bare_fold(h ^ bare_load64(record + RECORD - 8), BARE_SEED1);
    c->order += ++c->count * bare_mix(bare_mix(prefix) + tail);
}

static void check_file(struct check *c, const char *path)
{
    static uint8_t buffer[READ_RECORDS * RECORD];
    uint64_t bytes;
    int fd = bare_open(path, &bytes);
    for (uint64_t at = 0; at < bytes; at += sizeof buffer) {
        size_t n = bare_pread(fd, buffer, sizeof buffer, at) / RECORD;
        for (size_t i = 0; i < n; i++)
            check_record(c, buffer + i * RECORD);
    }
    close(fd);
}

static void print_check(const struct check *c)
{
    fprintf(stderr, " count=%" PRIu64 " sorted=%d order=%016" PRIx64 " records=%016" PRIx64 "\n", c->count, c->sorted,
            c->order, c->records);
}

static int check_files(char **paths)
{
    struct check c = {.sorted = true};
    for (; *paths; paths++)
        check_file(&c, *paths);
    fprintf(stderr, "bare_sort");
    print_check(&c);
    return c.sorted ? 0 : 1;
}

/* ---------------------------------------------------------------- main */

static void usage(void)
{
    fputs("usage: bare_sort [-t THREADS] [-o FILE] [--memory BYTES [--scratch DIR]] [--no-check] INPUT\n"
          "       bare_sort --check FILE...\n",
          stderr);
    exit(2);
}

static void parse(int argc, char **argv, bool *check_out)
{
    static const struct option names[] = {{"memory", required_argument, NULL, 'm'},
                                          {"scratch", required_argument, NULL, 's'},
                                          {"no-check", no_argument, NULL, 'n'},
                                          {"check", no_argument, NULL, 'c'},
                                          {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "t:o:", names, NULL)) != -1;) {
        if (c == 't')
            nthreads = bare_threads(optarg);
        else if (c == 'o')
            out_path = optarg;
        else if (c == 'm')
            memory_bytes = bare_number(optarg, 1024);
        else if (c == 's')
            scratch = optarg;
        else if (c == 'n')
            *check_out = false;
        else if (c == 'c')
            exit(check_files(argv + optind));
        else
            usage();
    }
    if (optind + 1 != argc || (memory_bytes && !out_path))
        usage();
    in_path = argv[optind];
}

static void open_output(void)
{
    out_plain = open(out_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out_plain < 0)
        bare_die(out_path);
    out_direct = open(out_path, O_WRONLY | O_DIRECT | O_CLOEXEC);
    if (out_direct < 0)
        out_direct = out_plain;
    make_room(out_plain, in_bytes);
}

int main(int argc, char **argv)
{
    bool checks = true;
    parse(argc, argv, &checks);
    double start = bare_now_s(), read = 0;
    int asked = nthreads;
    in_fd = bare_open(in_path, &in_bytes);
    if (in_bytes % RECORD)
        bare_die("not a whole number of records");
    if (out_path)
        open_output();
    if (!scratch)
        scratch = getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp";
    if (memory_bytes && nthreads * 2 <= BARE_THREADS_MAX)
        nthreads *= 2;
    workers = bare_reserve((size_t)nthreads * sizeof *workers);
    if (memory_bytes)
        sort_within_memory(&read);
    else
        sort_in_memory(&read);
    double end = bare_now_s();
    fprintf(stderr,
            "bare_sort threads=%d bytes=%" PRIu64 " buckets=%" PRIu32
            " read_s=%.3f sort_s=%.3f total_s=%.3f cpu_s=%.3f GBps=%.2f peak_rss_mb=%ld",
            asked, in_bytes, nbuckets, read - start, end - read, end - start, bare_cpu_s(),
            (double)in_bytes / 1e9 / (end - start), bare_peak_rss_mib());
    struct check c = {.sorted = true};
    if (checks && output)
        for (uint64_t i = 0; i < in_bytes; i += RECORD)
            check_record(&c, output + i);
    else if (checks)
        check_file(&c, out_path);
    print_check(&c);
    return c.sorted ? 0 : 1;
}
