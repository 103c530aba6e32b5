/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A yardstick: the fastest sum by key that we could write by hand, with threads and without a framework.
 *
 *     bare_groupsum [-t THREADS] [-o PREFIX] --ints FILE     rows of two 64-bit integers, key and value
 *     bare_groupsum [-t THREADS] [-o PREFIX] --text FILE     lines key<TAB>integer
 *
 * Sums wrap at 64 bits. With -o PREFIX each thread writes its groups to PREFIX-00000, ...: binary rows, or
 * key<TAB>sum lines. Figures go to standard error; check is the sum over all groups of mix(h + sum), mix being
 * bare_mix(), and h mix(key) of an integer, FNV-1a (64 bits) of a text.
 *
 * Integers: nearly as many groups as rows are the case to be fast in. Rows are partitioned by hash first
 * (bare_partition.h), so that the table of a partition stays in cache; one big table would miss the cache at each row.
 * Text: each thread counts into a table of its own, batch by batch: parse, hash and prefetch 64 rows, then look at
 * their slots. Keys up to 16 bytes are in the slots. Then the tables are merged, hash range by hash range.
 */
#include <getopt.h>

#include "tests/perf/bare_partition.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#ifndef INT_BATCH
#define INT_BATCH 16 /* rows whose slots are prefetched before the first is looked at */
#endif
#ifndef PARTITION_ROWS
#define PARTITION_ROWS 65536 /* in a partition, about */
#endif
#define PARTITION_BITS_MAX 13
#ifndef INT_SLOTS
#define INT_SLOTS ((size_t)1 << 16) /* of a table to begin with */
#endif
#define DRAIN_ROWS 256

#define BATCH         64
#define CHUNK         ((size_t)256 << 10)
#define ROW_BYTES_MAX ((size_t)64 << 10)
#define ROW_GUESS     512 /* read past a chunk in any case, to finish its last row */
#define PAD           64  /* bytes around a text that may be read */
#define TEXT_SLOTS    ((uint64_t)1 << 16)
#define INLINE_MAX    16u
#define TAG_BIG       63u
#define TAG_LOW       63u /* these bits of a tag: length of the key plus one, or TAG_BIG */
#define MERGE_BITS    7   /* 2^7 hash ranges */
#define OUT_BYTES     ((size_t)1 << 20)

struct int_table {
    struct row *slots; /* {key, sum}; key 0: empty */
    unsigned bits;
    uint64_t used;
};

struct slot {
    uint64_t tag;    /* hash, its lowest bits replaced; 0: empty */
    uint64_t k0, k1; /* the key, zero-padded; or address and length */
    uint64_t sum;
};

struct table {
    struct slot *slots;
    unsigned bits, skip; /* 2^bits slots, by the bits of the hash after the first `skip` */
    uint64_t used;
};

struct worker {
    struct partitions partitions;
    struct int_table ints;
    struct table texts, merged;
    uint64_t zero_sum, zero_rows; /* of the key that marks empty slots */
    uint8_t *buffer;
    uint32_t *edges; /* positions of tabs and newlines */
    struct slot items[BATCH];
    uint8_t *arena, *arena_end; /* long keys */
    uint64_t rows, groups, check;
    int out_fd, number;
    size_t out_len;
    char *out;
};

static int nthreads = 2, in_fd;
static const char *out_prefix, *in_path;
static uint64_t in_bytes, next_read, next_part;
static unsigned part_bits;
static struct worker *workers;

/* ---------------------------------------------------------------- output */

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

static void out_add(struct worker *w, const void *from, size_t bytes)
{
    if (w->out_len + bytes > OUT_BYTES)
        out_flush(w);
    memcpy(w->out + w->out_len, from, bytes);
    w->out_len += bytes;
}

static void out_close(struct worker *w)
{
    out_flush(w);
    if (close(w->out_fd))
        bare_die(out_prefix);
}

/* ---------------------------------------------------------------- integers */

static void ints_init(struct int_table *t, unsigned bits)
{
    t->bits = bits;
    t->used = 0;
    t->slots = bare_reserve(sizeof *t->slots << bits);
}

INLINE size_t int_slot(const struct int_table *t, uint64_t key)
{
    return bare_hash(key) << part_bits >> (64 - t->bits);
}

/* A new key and one that is there take the same path: which of them it is cannot be predicted. */
INLINE void ints_add(struct int_table *t, size_t at, uint64_t key, uint64_t value)
{
    size_t mask = ((size_t)1 << t->bits) - 1;
    while ((t->slots[at].key != 0) & (t->slots[at].key != key))
        at = (at + 1) & mask;
    t->used += t->slots[at].key == 0;
    t->slots[at].key = key;
    t->slots[at].value += value;
}

static __attribute__((noinline)) void ints_grow(struct int_table *t)
{
    struct int_table old = *t;
    ints_init(t, old.bits + 1);
    for (size_t i = 0; i >> old.bits == 0; i++)
        if (old.slots[i].key)
            ints_add(t, int_slot(t, old.slots[i].key), old.slots[i].key, old.slots[i].value);
    munmap(old.slots, sizeof *old.slots << old.bits);
}

static void ints_add_chunk(struct worker *w, const struct row *rows, size_t n)
{
    struct int_table *t = &w->ints;
    size_t slots[INT_BATCH];
    for (size_t from = 0; from < n; from += INT_BATCH) {
        size_t batch = n - from < INT_BATCH ? n - from : INT_BATCH;
        if ((t->used + batch) * 8 > (uint64_t)6 << t->bits)
            ints_grow(t);
        for (size_t i = 0; i < batch; i++) {
            slots[i] = int_slot(t, rows[from + i].key);
            __builtin_prefetch(t->slots + slots[i], 1);
        }
        for (size_t i = 0; i < batch; i++) {
            struct row row = rows[from + i];
            if (__builtin_expect(row.key == 0, 0)) {
                w->zero_sum += row.value;
                w->zero_rows++;
            } else {
                ints_add(t, slots[i], row.key, row.value);
            }
        }
    }
}

static void ints_emit(struct worker *w, const struct row *groups, size_t n)
{
    uint64_t check = 0;
    for (size_t i = 0; i < n; i++)
        check += bare_mix(bare_mix(groups[i].key) + groups[i].value);
    w->groups += n;
    w->check += check;
    if (out_prefix)
        out_add(w, groups, n * sizeof *groups);
}

/* The groups are moved together without a branch. */
static void ints_drain(struct worker *w)
{
    struct int_table *t = &w->ints;
    struct row groups[DRAIN_ROWS];
    for (size_t from = 0; from >> t->bits == 0; from += DRAIN_ROWS) {
        struct row *slots = t->slots + from;
        size_t n = 0;
        for (size_t i = 0; i < DRAIN_ROWS; i++) {
            groups[n] = slots[i];
            n += slots[i].key != 0;
            slots[i] = (struct row){0, 0};
        }
        ints_emit(w, groups, n);
    }
    t->used = 0;
}

static void *ints_partition(void *arg)
{
    struct worker *w = arg;
    w->buffer = bare_reserve(PARTITION_READ);
    partitions_init(&w->partitions, part_bits, in_bytes / sizeof(struct row) + PARTITION_READ);
    w->rows = partitions_read(&w->partitions, in_fd, in_bytes, &next_read, w->buffer);
    return NULL;
}

static void *ints_sum(void *arg)
{
    struct worker *w = arg;
    ints_init(&w->ints, bare_bits(INT_SLOTS) - 1);
    for (size_t part; (part = __atomic_fetch_add(&next_part, 1, __ATOMIC_RELAXED)) >> part_bits == 0;) {
        for (int i = 0; i < nthreads; i++) {
            const struct partitions *p = &workers[i].partitions;
            for (uint32_t c = p->lasts[part]; c != PARTITION_NONE; c = p->previous[c])
                ints_add_chunk(w, partition_chunk(p, c), partition_chunk_rows(p, part, c));
        }
        ints_drain(w);
    }
    if (w->zero_rows) /* all rows of this key are in one partition */
        ints_emit(w, &(struct row){0, w->zero_sum}, 1);
    return NULL;
}

/* ---------------------------------------------------------------- texts: the table */

static void table_init(struct table *t, unsigned bits, unsigned skip)
{
    *t = (struct table){.slots = bare_reserve(sizeof *t->slots << bits), .bits = bits, .skip = skip};
}

INLINE size_t table_home(const struct table *t, uint64_t tag)
{
    return tag << t->skip >> (64 - t->bits);
}

INLINE bool same_key(const struct slot *a, const struct slot *b)
{
    if (a->tag != b->tag)
        return false;
    if ((a->tag & TAG_LOW) != TAG_BIG)
        return ((a->k0 ^ b->k0) | (a->k1 ^ b->k1)) == 0;
    return a->k1 == b->k1 && memcmp((const void *)(uintptr_t)a->k0, (const void *)(uintptr_t)b->k0, a->k1) == 0;
}

/* The slot of the key, or the empty one for it. */
INLINE struct slot *table_find(const struct table *t, const struct slot *item)
{
    size_t mask = ((size_t)1 << t->bits) - 1, at = table_home(t, item->tag);
    while (t->slots[at].tag && !same_key(t->slots + at, item))
        at = (at + 1) & mask;
    return t->slots + at;
}

/* To four times its size: few growths, and still half empty or less when the keys end. */
static __attribute__((noinline)) void table_grow(struct table *t)
{
    struct table old = *t;
    table_init(t, old.bits + 2, old.skip);
    t->used = old.used;
    for (size_t i = 0; i >> old.bits == 0; i++)
        if (old.slots[i].tag)
            *table_find(t, old.slots + i) = old.slots[i];
    munmap(old.slots, sizeof *old.slots << old.bits);
}

static uint64_t keep_long_key(struct worker *w, uint64_t address, uint64_t bytes)
{
    if ((size_t)(w->arena_end - w->arena) < bytes) {
        w->arena = bare_reserve(4 * BARE_HUGE_PAGE);
        w->arena_end = w->arena + 4 * BARE_HUGE_PAGE;
    }
    uint8_t *kept = w->arena;
    memcpy(kept, (const void *)(uintptr_t)address, bytes);
    w->arena += bytes;
    return (uint64_t)(uintptr_t)kept;
}

INLINE void table_add(struct worker *w, struct table *t, const struct slot *item, bool keep)
{
    struct slot *slot = table_find(t, item);
    if (slot->tag) {
        slot->sum += item->sum;
        return;
    }
    *slot = *item;
    t->used++;
    if (keep && (item->tag & TAG_LOW) == TAG_BIG)
        slot->k0 = keep_long_key(w, item->k0, item->k1);
}

/* ---------------------------------------------------------------- texts: parsing */

static size_t find_edges_portable(const uint8_t *text, size_t bytes, uint32_t *edges)
{
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++) {
        edges[n] = (uint32_t)i;
        n += text[i] == '\t' || text[i] == '\n';
    }
    return n;
}

#if defined(__x86_64__)
/* May read and write as much as a step past the ends. */
__attribute__((target("avx2,bmi,popcnt"))) static size_t find_edges_avx2(const uint8_t *text, size_t bytes,
                                                                         uint32_t *edges)
{
    const __m256i tab = _mm256_set1_epi8('\t'), newline = _mm256_set1_epi8('\n');
    size_t n = 0;
    for (size_t i = 0; i < bytes; i += 64) {
        __m256i a = _mm256_loadu_si256((const void *)(text + i)), b = _mm256_loadu_si256((const void *)(text + i + 32));
        a = _mm256_or_si256(_mm256_cmpeq_epi8(a, tab), _mm256_cmpeq_epi8(a, newline));
        b = _mm256_or_si256(_mm256_cmpeq_epi8(b, tab), _mm256_cmpeq_epi8(b, newline));
        uint64_t mask = (uint32_t)_mm256_movemask_epi8(a) | (uint64_t)(uint32_t)_mm256_movemask_epi8(b) << 32;
        if (bytes - i < 64)
            mask &= ((uint64_t)1 << (bytes - i)) - 1;
        size_t found = (size_t)__builtin_popcountll(mask);
        for (size_t k = 0; k < 10; k++) {
            edges[n + k] = (uint32_t)(i + _tzcnt_u64(mask));
            mask = _blsr_u64(mask);
        }
        for (size_t k = 10; k < found; k++) {
            edges[n + k] = (uint32_t)(i + _tzcnt_u64(mask));
            mask = _blsr_u64(mask);
        }
        n += found;
    }
    return n;
}
#endif

static size_t find_edges(const uint8_t *text, size_t bytes, uint32_t *edges)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi"))
        return find_edges_avx2(text, bytes, edges);
#endif
    return find_edges_portable(text, bytes, edges);
}

static _Noreturn void bad_row(void)
{
    errno = EINVAL;
    bare_die("a row is not key<TAB>integer");
}

static __attribute__((noinline)) uint64_t parse_long(const uint8_t *p, const uint8_t *end)
{
    uint64_t v = 0;
    if (p == end)
        bad_row();
    for (; p < end; p++) {
        if (*p < '0' || *p > '9')
            bad_row();
        v = 10 * v + (*p - '0');
    }
    return v;
}

/* Up to eight digits at once: the bytes before them become zeros, neighbours are added as pairs, fours, all. */
INLINE uint64_t parse_integer(const uint8_t *p, const uint8_t *end)
{
    uint64_t negative = *p == '-', v;
    p += negative;
    size_t len = (size_t)(end - p);
    if (__builtin_expect(len - 1 < 8, 1)) {
        v = (bare_load64(end - 8) ^ UINT64_C(0x3030303030303030)) >> (64 - 8 * len) << (64 - 8 * len);
        if (__builtin_expect(((v + UINT64_C(0x7676767676767676)) | v) & UINT64_C(0x8080808080808080), 0))
            bad_row();
        v = v * 10 + (v >> 8);
        v = ((v & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x000f424000000064) +
             (v >> 16 & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x0000271000000001)) >>
            32;
    } else {
        v = parse_long(p, end);
    }
    return (v ^ -negative) + negative;
}

static const uint64_t key_masks[INLINE_MAX + 1][2] = {
    {0, 0},
    {~0ull >> 56, 0},
    {~0ull >> 48, 0},
    {~0ull >> 40, 0},
    {~0ull >> 32, 0},
    {~0ull >> 24, 0},
    {~0ull >> 16, 0},
    {~0ull >> 8, 0},
    {~0ull, 0},
    {~0ull, ~0ull >> 56},
    {~0ull, ~0ull >> 48},
    {~0ull, ~0ull >> 40},
    {~0ull, ~0ull >> 32},
    {~0ull, ~0ull >> 24},
    {~0ull, ~0ull >> 16},
    {~0ull, ~0ull >> 8},
    {~0ull, ~0ull},
};

static __attribute__((noinline)) void long_key(const uint8_t *p, size_t len, struct slot *item)
{
    uint64_t h = len;
    for (size_t i = 0; i + 8 < len; i += 8)
        h = bare_fold(h ^ bare_load64(p + i), BARE_SEED1);
    h = bare_fold(h ^ bare_load64(p + len - 8), BARE_SEED0);
    item->k0 = (uint64_t)(uintptr_t)p;
    item->k1 = len;
    item->tag = h | TAG_BIG;
}

INLINE void read_key(const uint8_t *p, size_t len, struct slot *item)
{
    if (__builtin_expect(len > INLINE_MAX, 0)) {
        long_key(p, len, item);
        return;
    }
    item->k0 = bare_load64(p) & key_masks[len][0];
    item->k1 = bare_load64(p + 8) & key_masks[len][1];
    item->tag = (bare_fold(item->k0 ^ BARE_SEED0, item->k1 ^ BARE_SEED1) & ~(uint64_t)TAG_LOW) | (len + 1);
}

/* Whole rows whose first begins at start; edges holds two positions for each. */
static void add_rows(struct worker *w, const uint8_t *text, size_t start, const uint32_t *edges, size_t nrows)
{
    struct table *t = &w->texts;
    for (size_t from = 0; from < nrows; from += BATCH) {
        size_t n = nrows - from < BATCH ? nrows - from : BATCH;
        if (2 * (t->used + n) > (uint64_t)1 << t->bits)
            table_grow(t);
        for (size_t i = 0; i < n; i++) {
            size_t tab = edges[2 * (from + i)], end = edges[2 * (from + i) + 1];
            if (__builtin_expect(text[tab] != '\t' || text[end] != '\n', 0))
                bad_row();
            read_key(text + start, tab - start, w->items + i);
            w->items[i].sum = parse_integer(text + tab + 1, text + end);
            __builtin_prefetch(t->slots + table_home(t, w->items[i].tag), 1);
            start = end + 1;
        }
        for (size_t i = 0; i < n; i++)
            table_add(w, t, w->items + i, true);
    }
    w->rows += nrows;
}

/* Reads a chunk with the byte before it and what its last row needs; returns the bytes from the chunk's start on. */
static size_t read_chunk(struct worker *w, uint64_t at, size_t *own_out)
{
    uint8_t *text = w->buffer;
    size_t own = in_bytes - at < CHUNK ? in_bytes - at : CHUNK, bytes = bare_pread(in_fd, text, own + ROW_GUESS, at);
    *own_out = own;
    if (bytes < own + ROW_GUESS) {
        if (bytes && text[bytes - 1] != '\n')
            text[bytes++] = '\n';
    } else if (!memchr(text + own - 1, '\n', bytes - own + 1)) {
        bytes += bare_pread(in_fd, text + bytes, ROW_BYTES_MAX - ROW_GUESS, at + bytes);
    }
    return bytes;
}

static void add_chunk(struct worker *w, uint64_t at)
{
    uint8_t *text = w->buffer;
    size_t own, bytes = read_chunk(w, at, &own), start = 0, end;
    if (at) {
        /* A row that begins in the chunk before is that chunk's. */
        uint8_t before;
        if (bare_pread(in_fd, &before, 1, at - 1) != 1)
            bare_die(in_path);
        uint8_t *newline = before == '\n' ? text - 1 : memchr(text, '\n', bytes);
        if (!newline)
            bad_row();
        start = (size_t)(newline + 1 - text);
    }
    if (start >= own)
        return;
    uint8_t *newline = memchr(text + own - 1, '\n', bytes - own + 1);
    if (!newline)
        bad_row();
    end = (size_t)(newline + 1 - text);
    size_t n = find_edges(text + start, end - start, w->edges);
    if (n % 2)
        bad_row();
    add_rows(w, text + start, 0, w->edges, n / 2);
}

static void *texts_read(void *arg)
{
    struct worker *w = arg;
    w->buffer = (uint8_t *)bare_reserve(CHUNK + ROW_BYTES_MAX + 2 * PAD) + PAD;
    w->edges = bare_reserve((CHUNK + ROW_BYTES_MAX + PAD) * sizeof *w->edges);
    table_init(&w->texts, bare_bits(TEXT_SLOTS) - 1, 0);
    for (uint64_t at; (at = __atomic_fetch_add(&next_read, CHUNK, __ATOMIC_RELAXED)) < in_bytes;)
        add_chunk(w, at);
    return NULL;
}

/* ---------------------------------------------------------------- texts: merging */

static void texts_emit(struct worker *w, const struct slot *group)
{
    size_t len = (group->tag & TAG_LOW) - 1;
    const uint8_t *key = (const uint8_t *)&group->k0;
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    if ((group->tag & TAG_LOW) == TAG_BIG) {
        len = group->k1;
        key = (const uint8_t *)(uintptr_t)group->k0;
    }
    for (size_t i = 0; i < len; i++)
        h = (h ^ key[i]) * UINT64_C(0x100000001b3);
    w->groups++;
    w->check += bare_mix(h + group->sum);
    if (out_prefix) {
        char tail[32];
        out_add(w, key, len);
        out_add(w, tail, (size_t)snprintf(tail, sizeof tail, "\t%" PRId64 "\n", (int64_t)group->sum));
    }
}

/* The entries of one hash range: those probing has pushed beyond its end follow without a gap. */
static void merge_range(struct worker *w, const struct table *t, size_t part)
{
    unsigned shift = t->bits - MERGE_BITS;
    size_t start = part << shift, end = (part + 1) << shift, mask = ((size_t)1 << t->bits) - 1;
    for (size_t i = start; i < end || (t->slots[i & mask].tag && i <= end + mask); i++) {
        const struct slot *slot = t->slots + (i & mask);
        size_t home = table_home(t, slot->tag);
        if (slot->tag && home >= start && home < end) {
            if (2 * w->merged.used >= (uint64_t)1 << w->merged.bits)
                table_grow(&w->merged);
            table_add(w, &w->merged, slot, false);
        }
    }
}

static void *texts_merge(void *arg)
{
    struct worker *w = arg;
    table_init(&w->merged, bare_bits(TEXT_SLOTS) - 2, MERGE_BITS);
    for (size_t part; (part = __atomic_fetch_add(&next_part, 1, __ATOMIC_RELAXED)) < (size_t)1 << MERGE_BITS;) {
        for (int i = 0; i < nthreads; i++)
            merge_range(w, &workers[i].texts, part);
        for (size_t i = 0; i >> w->merged.bits == 0; i++)
            if (w->merged.slots[i].tag)
                texts_emit(w, w->merged.slots + i);
        memset(w->merged.slots, 0, sizeof *w->merged.slots << w->merged.bits);
        w->merged.used = 0;
    }
    return NULL;
}

/* ---------------------------------------------------------------- main */

static void parse(int argc, char **argv, bool *ints_out)
{
    static const struct option names[] = {
        {"ints", required_argument, NULL, 'i'}, {"text", required_argument, NULL, 'x'}, {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "t:o:", names, NULL)) != -1;) {
        if (c == 't')
            nthreads = bare_threads(optarg);
        else if (c == 'o')
            out_prefix = optarg;
        else if (c == 'i' || c == 'x')
            in_path = optarg, *ints_out = c == 'i';
        else
            exit(2);
    }
    if (!in_path || optind != argc) {
        fputs("usage: bare_groupsum [-t THREADS] [-o PREFIX] --ints FILE | --text FILE\n", stderr);
        exit(2);
    }
}

static void choose_parts(void)
{
    uint64_t rows = in_bytes / sizeof(struct row);
    for (part_bits = 1; part_bits < PARTITION_BITS_MAX && rows >> part_bits > PARTITION_ROWS;)
        part_bits++;
}

int main(int argc, char **argv)
{
    bool ints = false;
    parse(argc, argv, &ints);
    double start = bare_now_s();
    in_fd = bare_open(in_path, &in_bytes);
    if (ints && in_bytes % sizeof(struct row))
        bare_die("not a whole number of rows");
    workers = bare_reserve((size_t)nthreads * sizeof *workers);
    for (int i = 0; i < nthreads; i++) {
        workers[i].number = i;
        if (out_prefix)
            out_open(workers + i);
    }
    choose_parts();
    bare_run(nthreads, ints ? ints_partition : texts_read, workers, sizeof *workers);
    double read = bare_now_s();
    bare_run(nthreads, ints ? ints_sum : texts_merge, workers, sizeof *workers);
    for (int i = 0; i < nthreads && out_prefix; i++)
        out_close(workers + i);
    double end = bare_now_s();
    uint64_t rows = 0, groups = 0, check = 0;
    for (int i = 0; i < nthreads; i++) {
        rows += workers[i].rows;
        groups += workers[i].groups;
        check += workers[i].check;
    }
    fprintf(stderr,
            "bare_groupsum threads=%d bytes=%" PRIu64 " rows=%" PRIu64 " groups=%" PRIu64 " check=%016" PRIx64
            " read_s=%.3f sum_s=%.3f total_s=%.3f cpu_s=%.3f Mrows_s=%.1f peak_rss_mb=%ld\n",
            nthreads, in_bytes, rows, groups, check, read - start, end - read, end - start, bare_cpu_s(),
            (double)rows / 1e6 / (end - start), bare_peak_rss_mib());
    return 0;
}
