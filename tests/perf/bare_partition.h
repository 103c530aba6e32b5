/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Radix partitioning of (key, value) rows by hash, as the bare group-by-sum and the bare join need it.
 *
 * Each thread has its own partitions. A row goes into a line of four rows per partition; the lines of all partitions
 * stay in cache, and a full one is streamed past the caches to the partition's chunk. Chunks come from one arena a
 * thread; those of a partition are linked backwards. All but the last of them are full.
 */
#ifndef TESTS_PERF_BARE_PARTITION_H
#define TESTS_PERF_BARE_PARTITION_H

#include "tests/perf/bare.h"

#ifndef PARTITION_CHUNK
#define PARTITION_CHUNK ((size_t)16 << 10) /* bytes, a power of two */
#endif
#define PARTITION_LINE_ROWS 4
#define PARTITION_NONE      UINT32_MAX

struct row {
    uint64_t key, value;
};

struct partitions {
    unsigned bits; /* 2^bits partitions, by the highest bits of the hash */
    struct row (*lines)[PARTITION_LINE_ROWS];
    uint8_t *fills;    /* rows in each line */
    struct row **ends; /* where the next line goes; at the start of a chunk: a new one is needed */
    uint32_t *lasts;   /* last chunk */
    uint32_t *previous;
    uint8_t *arena;
    uint32_t nchunks;
};

static inline void partitions_init(struct partitions *p, unsigned bits, uint64_t rows_max)
{
    size_t n = (size_t)1 << bits;
    size_t chunks_max = rows_max * sizeof(struct row) / PARTITION_CHUNK + n + 1;
    p->bits = bits;
    p->lines = bare_reserve(n * sizeof *p->lines);
    p->fills = bare_reserve(n);
    p->ends = bare_reserve(n * sizeof *p->ends);
    p->lasts = bare_reserve(n * sizeof *p->lasts);
    p->previous = bare_reserve(chunks_max * sizeof *p->previous);
    p->arena = bare_reserve(chunks_max * PARTITION_CHUNK);
    p->nchunks = 0;
    memset(p->lasts, 0xff, n * sizeof *p->lasts);
}

static inline struct row *partition_chunk(const struct partitions *p, uint32_t chunk)
{
    return (struct row *)(p->arena + chunk * PARTITION_CHUNK);
}

/* Where the next line of a partition goes. */
INLINE struct row *partition_end(struct partitions *p, size_t part)
{
    struct row *end = p->ends[part];
    if (__builtin_expect(((uintptr_t)end & (PARTITION_CHUNK - 1)) == 0, 0)) {
        p->previous[p->nchunks] = p->lasts[part];
        p->lasts[part] = p->nchunks;
        end = partition_chunk(p, p->nchunks++);
    }
    return end;
}

INLINE void partitions_add(struct partitions *p, const struct row *rows, size_t n)
{
    unsigned shift = 64 - p->bits;
    for (size_t i = 0; i < n; i++) {
        size_t part = bare_hash(rows[i].key) >> shift;
        unsigned fill = p->fills[part];
        p->lines[part][fill] = rows[i];
        if (fill == PARTITION_LINE_ROWS - 1) {
            struct row *end = partition_end(p, part);
            bare_stream_line(end, p->lines[part]);
            p->ends[part] = end + PARTITION_LINE_ROWS;
            fill = (unsigned)-1;
        }
        p->fills[part] = (uint8_t)(fill + 1);
    }
}

/* Writes the unfinished lines. */
static inline void partitions_end(struct partitions *p)
{
    for (size_t part = 0; part < (size_t)1 << p->bits; part++)
        if (p->fills[part]) {
            struct row *end = partition_end(p, part);
            memcpy(end, p->lines[part], p->fills[part] * sizeof *end);
            p->ends[part] = end + p->fills[part];
        }
    bare_stream_end();
}

/* The rows of a chunk of a partition. */
INLINE size_t partition_chunk_rows(const struct partitions *p, size_t part, uint32_t chunk)
{
    return chunk == p->lasts[part] ? (size_t)(p->ends[part] - partition_chunk(p, chunk))
                                   : PARTITION_CHUNK / sizeof(struct row);
}

static inline uint64_t partition_rows(const struct partitions *p, size_t part)
{
    uint64_t rows = 0;
    for (uint32_t c = p->lasts[part]; c != PARTITION_NONE; c = p->previous[c])
        rows += partition_chunk_rows(p, part, c);
    return rows;
}

#define PARTITION_READ ((size_t)128 << 10)

/* Partitions a file of rows, of which all threads claim pieces through next; buffer has PARTITION_READ bytes.
   Returns how many rows this thread had. */
static inline uint64_t partitions_read(struct partitions *p, int fd, uint64_t bytes, uint64_t *next, void *buffer)
{
    uint64_t at, rows = 0;
    while ((at = __atomic_fetch_add(next, PARTITION_READ, __ATOMIC_RELAXED)) < bytes) {
        size_t n = bare_pread(fd, buffer, PARTITION_READ, at) / sizeof(struct row);
        partitions_add(p, buffer, n);
        rows += n;
    }
    partitions_end(p);
    return rows;
}

#endif
