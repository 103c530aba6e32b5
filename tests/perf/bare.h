/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the bare programs for the operators share: memory in huge pages, threads, hashing, lists of chunks, and figures.
 *
 * Memory of 2 MiB and more is aligned and asked for in huge pages: in virtual machines that decides more than any
 * algorithm. Nothing is freed before the end: a yardstick runs once.
 */
#ifndef TESTS_PERF_BARE_H
#define TESTS_PERF_BARE_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define INLINE           static inline __attribute__((always_inline))
#define BARE_HUGE_PAGE   ((size_t)2 << 20)
#define BARE_THREADS_MAX 64
#define BARE_SEED0       UINT64_C(0x9e3779b97f4a7c15)
#define BARE_SEED1       UINT64_C(0xd6e8feb86659fd93)

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the files and the tricks are little-endian");

static _Noreturn __attribute__((unused)) void bare_die(const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, errno ? strerror(errno) : "failed");
    exit(1);
}

static inline double bare_now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Address space in huge pages, zero, used when touched. */
static inline void *bare_reserve(size_t bytes)
{
    size_t all = bytes + 2 * BARE_HUGE_PAGE;
    uint8_t *p = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        bare_die("mmap");
    p = (uint8_t *)(((uintptr_t)p + BARE_HUGE_PAGE - 1) & ~(uintptr_t)(BARE_HUGE_PAGE - 1));
    madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

/* Processor time of all threads. On a busy machine it says more than the clock. */
static inline double bare_cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

INLINE uint64_t bare_load64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

INLINE uint64_t bare_fold(uint64_t a, uint64_t b)
{
    unsigned __int128 m = (unsigned __int128)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* hash * n / 2^64 */
INLINE uint64_t bare_scale(uint64_t hash, uint64_t n)
{
    return (uint64_t)(((unsigned __int128)hash * n) >> 64);
}

INLINE uint64_t bare_hash(uint64_t key)
{
    return bare_fold(key ^ BARE_SEED0, BARE_SEED1);
}

/* One to one; what checksums and generators are made of. Finalizer with two rounds of multiply and shift. */
INLINE uint64_t bare_mix(uint64_t x)
{
    x = (x ^ x >> 32) * BARE_SEED0;
    x = (x ^ x >> 29) * BARE_SEED1;
    return x ^ x >> 32;
}

/* The number of bits of x: 0 for 0. */
INLINE unsigned bare_bits(uint64_t x)
{
    return x ? 64 - (unsigned)__builtin_clzll(x) : 0;
}

/* 64 bytes, aligned on both sides, past the caches. */
INLINE void bare_stream_line(void *to, const void *from)
{
#if defined(__x86_64__)
    typedef long long two __attribute__((vector_size(16)));
    const two *f = from;
    for (int i = 0; i < 4; i++)
        __builtin_ia32_movntdq((two *)to + i, f[i]);
#else
    memcpy(to, from, 64);
#endif
}

/* Makes streamed bytes visible to the other threads. */
INLINE void bare_stream_end(void)
{
#if defined(__x86_64__)
    __builtin_ia32_sfence();
#endif
}

static inline int bare_open(const char *path, uint64_t *bytes_out)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st))
        bare_die(path);
    *bytes_out = (uint64_t)st.st_size;
    return fd;
}

/* Exactly `bytes` unless the file ends before; returns how many. */
static inline size_t bare_pread(int fd, void *to, size_t bytes, uint64_t offset)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t n = pread(fd, (uint8_t *)to + done, bytes - done, (off_t)(offset + done));
        if (n < 0)
            bare_die("read");
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return done;
}

static inline void bare_pwrite(int fd, const void *from, size_t bytes, uint64_t offset)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t n = pwrite(fd, (const uint8_t *)from + done, bytes - done, (off_t)(offset + done));
        if (n <= 0)
            bare_die("write");
        done += (size_t)n;
    }
}

/* Calls body once on each of nthreads threads, with the address of the worker of its number. */
static inline void bare_run(int nthreads, void *(*body)(void *), void *workers, size_t worker_bytes)
{
    pthread_t threads[BARE_THREADS_MAX];
    for (int i = 0; i < nthreads; i++) {
        errno = pthread_create(threads + i, NULL, body, (char *)workers + (size_t)i * worker_bytes);
        if (errno)
            bare_die("pthread_create");
    }
    for (int i = 0; i < nthreads; i++)
        pthread_join(threads[i], NULL);
}

static inline int bare_threads(const char *text)
{
    int n = atoi(text);
    if (n < 1 || n > BARE_THREADS_MAX) {
        errno = EINVAL;
        bare_die("number of threads");
    }
    return n;
}

/* A number with K, M or G (of 1024 for sizes, of 1000 for counts: that is `unit`). */
static inline uint64_t bare_number(const char *text, uint64_t unit)
{
    char *end;
    double n = strtod(text, &end);
    for (const char *u = "KMG"; *u && *end; u++) {
        n *= (double)unit;
        if (*u == *end) {
            end++;
            break;
        }
    }
    errno = EINVAL;
    if (*end || end == text || n < 0)
        bare_die(text);
    errno = 0;
    return (uint64_t)n;
}

/* The most memory this process has used, in MiB. */
static inline long bare_peak_rss_mib(void)
{
    long kib = 0;
    char line[256];
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %ld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib >> 10;
}

#endif
