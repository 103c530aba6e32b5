/*
 * The yardstick: the fastest word count we could write by hand, with threads and without a framework.
 *
 *     gcc -O3 -std=gnu11 -pthread bare_wordcount.c -o bare_wordcount
 *     ./bare_wordcount -t 2 --warm 6 kernel.txt /usr/include
 *
 * A word is a maximal run of bytes other than space, \t, \n, \v, \f and \r; any other byte, NUL included, belongs to
 * it. Arguments are files and directories (walked recursively; regular files only, symlinks inside not followed).
 * Standard output gets the top K words as count<TAB>word, most frequent first and ties by bytes ascending; with
 * -o PREFIX every word goes as word<TAB>count to one of the files PREFIX-00000 ... of which each thread writes one.
 *
 * How it works. Threads claim chunks of files, read them with pread into a buffer that stays in cache, and count into
 * tables of their own. A chunk owns the words that start in it. Afterwards all threads merge the tables, hash range
 * by hash range; a range of all tables fits in cache.
 *
 *  - The tokeniser turns 64 bytes into a bit mask of separators, and the bits that differ from their neighbour, word
 *    starts and ends by turns, into a list of positions, a dozen at a time without a branch.
 *  - Words are sorted by length into three lists without a branch. Each list is handled by loops of its own, in
 *    batches: compute hash and slot of every word and prefetch, then look at the slots.
 *      tiny (up to 7 bytes)   bytes and length are one 64-bit key; a slot is {key, count}, four to a cache line.
 *                             They are 70 % of all text but few distinct words: they stay in cache.
 *      mid  (8 to 16 bytes)   a slot is {tag, k0, k1, count} with the key inside; two to a line.
 *      big  (17 and more)     the same slots, with address and length of the key. Up to 64 bytes are hashed, compared
 *                             and copied as four overlapping 16-byte pieces, so that no branch depends on the length.
 *  - The slot of a hash is mulhi(hash, nslots): tables are in hash order, more or less, with probing to the right only
 *    and no wrapping around. So a table of any size can grow in place, swept once from right to left; it lives in
 *    reserved address space, and neither a second table nor random access is needed. It grows to the size that the
 *    share of the text already read lets one expect, by up to 8 times, which makes it as fast as a table of the right
 *    size from the start. Half full at most: fuller is slower, and so is emptier.
 *  - Tables and buffers lie in huge pages.
 *
 * Memory that is new to the virtual machine is ten times slower to touch than memory recycled by its kernel, and some
 * hosts take free pages back within a second. --warm GiB therefore touches memory in a child process just before the
 * clock starts, which frees it little by little, 768 MiB ahead of what this process has in use.
 *
 * Limits: little-endian machines; words under 4 GiB; files must not shrink while they are read.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Tunables; override with -D to repeat the measurements. */
#ifndef BATCH
#define BATCH 64 /* words hashed and prefetched before the first is looked up */
#endif
#ifndef LOAD_PERCENT
#define LOAD_PERCENT 50 /* a fuller table grows */
#endif
#ifndef GROW_PERCENT
#define GROW_PERCENT 0 /* to this share of its size; 0: to what it will probably need */
#endif
#ifndef GROW_MAX
#define GROW_MAX 8.0 /* but not more than that many times its size */
#endif
#ifndef GROW_WINDOW
#define GROW_WINDOW 256u /* slots moved at a time */
#endif
#ifndef CHUNK
#define CHUNK (256u << 10) /* bytes claimed at a time */
#endif
#ifndef BLOCK
#define BLOCK (8u << 10) /* bytes tokenised at a time, a multiple of 64 */
#endif

#define SLOTS_INITIAL (32u << 10)
#define HUGE_PAGE     ((size_t)2 << 20)
#define TINY_MAX      7u
#define MID_MAX       16u
#define BIG_FAST_MAX  64u /* bytes of a big key handled without a branch */
#define TAG_BIG       31u
#define TAG_LOW       31u   /* these bits of a tag hold the length of the key, or TAG_BIG */
#define READ_AHEAD    256u  /* bytes read past a chunk, to finish its last word */
#define PAD           128u  /* bytes that may be read past a text */
#define PART_ENTRIES  2048u /* entries of one hash range in the merge */
#define PARTS_CLAIMED 8u
#define OUT_BYTES     ((size_t)1 << 20)
#define WARM_AHEAD    ((uint64_t)768 << 20)
#define WARM_SLICE    ((uint64_t)32 << 20)

#define INLINE static inline __attribute__((always_inline))

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tiny keys keep their length in the last byte");
_Static_assert(BLOCK % 64 == 0, "the tokeniser works in steps of 64 bytes");

struct tiny {
    uint64_t key; /* bytes, and length in the highest byte; 0: empty */
    uint64_t count;
};

struct slot {
    uint64_t tag;    /* hash, its lowest bits replaced by length or TAG_BIG; 0: empty */
    uint64_t k0, k1; /* the key, zero-padded; or address and length */
    uint64_t count;
};

/* Of struct tiny or struct slot. Both start with a word that is 0 when empty. */
struct table {
    void *slots;
    uint64_t nslots, used, used_max, nslots_max;
};

struct tiny_item {
    uint64_t key;
    struct tiny *slot;
};

struct item {
    uint64_t tag, k0, k1;
    struct slot *slot;
};

/* Words waiting to be counted: start in the low half, end in the high one. */
struct list {
    uint64_t words[2 * BATCH];
    size_t n;
};

struct worker {
    struct list tiny, mid, big;
    struct tiny_item tiny_items[2 * BATCH];
    struct item items[2 * BATCH];
    uint32_t edges[BLOCK + 64];
    struct table tinies, others;
    uint8_t *arena, *arena_end; /* big keys */
    uint8_t *buf;
    size_t buf_cap;
    int fd;
    const char *fd_path;
    uint64_t bytes, words, distinct;
    struct slot *merged; /* one part of the result */
    uint32_t *index;     /* hash table of positions in it, plus one; 0: empty */
    size_t nmerged, merged_cap, nhomes;
    struct slot *top;
    size_t ntop;
    int out_fd;
    char *out;
    size_t out_len;
    double output_s;
    pthread_t thread;
};

struct task {
    const char *path;
    uint64_t offset, bytes;
};

static int nthreads = 2;
static size_t top_k = 20;
static uint64_t slots_wanted;
static const char *out_prefix;
static bool pin_threads;
static double warm_gib;

static struct worker *workers;
static struct task *tasks;
static size_t ntasks, tasks_cap;
static atomic_size_t next_task, next_part;
static unsigned part_bits;

/* ---------------------------------------------------------------- odds and ends */

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "bare_wordcount: %s: %s\n", what, errno ? strerror(errno) : "failed");
    exit(1);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint64_t ram_bytes(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Address space in huge pages, zero, used when touched. */
static void *reserve(size_t bytes)
{
    size_t all = bytes + 2 * HUGE_PAGE;
    uint8_t *p = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        die("mmap");
    p = (uint8_t *)(((uintptr_t)p + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
    madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

static void *resized(void *p, size_t bytes)
{
    p = realloc(p, bytes);
    if (!p)
        die("realloc");
    return p;
}

INLINE uint64_t load64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

/* ---------------------------------------------------------------- hashing */

#define SEED0 UINT64_C(0x9e3779b97f4a7c15)
#define SEED1 UINT64_C(0xd6e8feb86659fd93)
#define SEED2 UINT64_C(0xa0761d6478bd642f)
#define SEED3 UINT64_C(0xe7037ed1a0b428db)

INLINE uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 m = (unsigned __int128)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

INLINE uint64_t scale(uint64_t hash, uint64_t n)
{
    return (uint64_t)(((unsigned __int128)hash * n) >> 64);
}

INLINE uint64_t tiny_hash(uint64_t key)
{
    return fold(key ^ SEED0, SEED1);
}

INLINE uint64_t mid_hash(uint64_t k0, uint64_t k1)
{
    return fold(k0 ^ SEED0, k1 ^ SEED1);
}

/* Where the second and third 16-byte piece of a big key start; they overlap if it is short. */
INLINE size_t big_piece(size_t piece, size_t len)
{
    return 16 * piece < len - 16 ? 16 * piece : len - 16;
}

INLINE uint64_t big_hash(const uint8_t *p, size_t len)
{
    const uint8_t *b = p + big_piece(1, len), *c = p + big_piece(2, len), *d = p + len - 16;
    uint64_t h = fold(load64(p) ^ SEED0, load64(p + 8) ^ len) ^ fold(load64(b) ^ SEED1, load64(b + 8) ^ SEED2);
    uint64_t g = fold(load64(c) ^ SEED2, load64(c + 8) ^ SEED3) ^ fold(load64(d) ^ SEED3, load64(d + 8) ^ SEED0);
    if (len > BIG_FAST_MAX)
        for (p += 48; p < d; p += 16)
            h = fold(load64(p) ^ h, load64(p + 8) ^ SEED1);
    return fold(h ^ SEED1, g ^ SEED3);
}

typedef uint64_t pair __attribute__((vector_size(16)));

INLINE pair load_pair(const void *p)
{
    pair v;
    memcpy(&v, p, 16);
    return v;
}

INLINE bool big_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
    size_t o1 = big_piece(1, len), o2 = big_piece(2, len), o3 = len - 16;
    pair d = (load_pair(a) ^ load_pair(b)) | (load_pair(a + o1) ^ load_pair(b + o1)) |
             (load_pair(a + o2) ^ load_pair(b + o2)) | (load_pair(a + o3) ^ load_pair(b + o3));
    return (d[0] | d[1]) == 0 && (len <= BIG_FAST_MAX || memcmp(a, b, len) == 0);
}

/* ---------------------------------------------------------------- tables */

static void table_init(struct table *t, uint64_t nslots, size_t slot_bytes)
{
    uint64_t bytes = ram_bytes();
    t->slots = reserve(bytes);
    t->nslots = nslots;
    t->used_max = nslots * LOAD_PERCENT / 100;
    t->nslots_max = bytes / slot_bytes - bytes / slot_bytes / 16; /* the rest is for what probing pushes past the end */
}

INLINE uint64_t first_word(const struct table *t, size_t slot_bytes, uint64_t i)
{
    return load64((const uint8_t *)t->slots + i * slot_bytes);
}

INLINE uint64_t slot_hash(const void *slot, size_t slot_bytes)
{
    return slot_bytes == sizeof(struct tiny) ? tiny_hash(load64(slot)) : load64(slot);
}

INLINE void table_place(struct table *t, const void *slot, size_t slot_bytes)
{
    uint64_t at = scale(slot_hash(slot, slot_bytes), t->nslots);
    while (first_word(t, slot_bytes, at))
        at++;
    memcpy((uint8_t *)t->slots + at * slot_bytes, slot, slot_bytes);
}

/* Takes all entries of slots [0, end) out and puts them back. */
INLINE void table_replace(struct table *t, uint64_t end, size_t slot_bytes)
{
    uint8_t *copy = resized(NULL, end * slot_bytes + 1);
    memcpy(copy, t->slots, end * slot_bytes);
    memset(t->slots, 0, end * slot_bytes);
    for (uint64_t i = 0; i < end; i++)
        if (load64(copy + i * slot_bytes))
            table_place(t, copy + i * slot_bytes, slot_bytes);
    free(copy);
}

/* Moves entries to their new places, window by window from the right. Homes move to the right, most of them out of the
   window, where only moved entries are. The first entry for which that is not so ends the sweep: it is near the left
   end, as its old place must be further from its home than its home has moved. The rest is done another way. */
INLINE void table_grow(struct table *t, uint64_t nslots, size_t slot_bytes)
{
    uint64_t end = t->nslots;
    while (first_word(t, slot_bytes, end))
        end++;
    if (nslots > t->nslots_max)
        die("table too large");
    t->nslots = nslots;
    t->used_max = nslots * LOAD_PERCENT / 100;
    while (end > 0) {
        uint64_t start = end > GROW_WINDOW ? end - GROW_WINDOW : 0;
        uint8_t *slots = t->slots, *used[GROW_WINDOW];
        size_t n = 0;
        for (uint64_t i = start; i < end; i++) {
            used[n] = slots + i * slot_bytes;
            __builtin_prefetch(used[n] - 2 * GROW_WINDOW * slot_bytes, 1);
            n += load64(used[n]) != 0;
        }
        for (size_t i = 0; i < n; i++)
            __builtin_prefetch(slots + scale(slot_hash(used[i], slot_bytes), nslots) * slot_bytes, 1);
        for (size_t i = 0; i < n; i++) {
            if (scale(slot_hash(used[i], slot_bytes), nslots) < end) {
                table_replace(t, end, slot_bytes);
                return;
            }
            table_place(t, used[i], slot_bytes);
            memset(used[i], 0, slot_bytes);
        }
        end = start;
    }
}

/* How large a full table should become: as large as it will need to be if the number of distinct words goes on growing
   1.8-fold with each doubling of the text, within limits. */
static uint64_t larger(uint64_t nslots)
{
#if GROW_PERCENT
    return nslots * GROW_PERCENT / 100;
#else
    double factor = 1, left = (double)ntasks / (double)(atomic_load(&next_task) + 1);
    for (; left > 1 && factor < GROW_MAX; left /= 2)
        factor *= left > 2 ? 1.8 : 1 + 0.8 * (left - 1);
    factor = factor < 1.5 ? 1.5 : factor > GROW_MAX ? GROW_MAX : factor;
    return (uint64_t)((double)nslots * factor);
#endif
}

static __attribute__((noinline)) void tinies_grow(struct table *t)
{
    table_grow(t, larger(t->nslots), sizeof(struct tiny));
}

static __attribute__((noinline)) void others_grow(struct table *t)
{
    table_grow(t, larger(t->nslots), sizeof(struct slot));
}

/* ---------------------------------------------------------------- counting */

static const uint64_t low_bytes[9] = {0,           0xff,        0xffff,     0xffffff, 0xffffffff,
                                      ~0ull >> 24, ~0ull >> 16, ~0ull >> 8, ~0ull};

static __attribute__((noinline)) void count_tinies(struct worker *w, const uint8_t *text)
{
    struct table *t = &w->tinies;
    struct tiny_item *items = w->tiny_items;
    size_t n = w->tiny.n;
    w->tiny.n = 0;
    if (t->used + n > t->used_max)
        tinies_grow(t);
    struct tiny *slots = t->slots;
    uint64_t nslots = t->nslots, used = t->used;
    for (size_t i = 0; i < n; i++) {
        uint64_t word = w->tiny.words[i], len = (word >> 32) - (uint32_t)word;
        uint64_t key = (load64(text + (uint32_t)word) & low_bytes[len]) | len << 56;
        items[i].key = key;
        items[i].slot = slots + scale(tiny_hash(key), nslots);
        __builtin_prefetch(items[i].slot, 1);
    }
    for (size_t i = 0; i < n; i++) {
        struct tiny *s = items[i].slot;
        uint64_t key = items[i].key;
        while (s->key != key && s->key != 0)
            s++;
        used += s->key == 0;
        s->key = key;
        s->count++;
    }
    t->used = used;
}

static __attribute__((noinline)) void count_mids(struct worker *w, const uint8_t *text)
{
    struct table *t = &w->others;
    struct item *items = w->items;
    size_t n = w->mid.n;
    w->mid.n = 0;
    if (t->used + n > t->used_max)
        others_grow(t);
    struct slot *slots = t->slots;
    uint64_t nslots = t->nslots, used = t->used;
    for (size_t i = 0; i < n; i++) {
        uint64_t word = w->mid.words[i], len = (word >> 32) - (uint32_t)word;
        const uint8_t *p = text + (uint32_t)word;
        uint64_t k0 = load64(p), k1 = load64(p + 8) & low_bytes[len - 8];
        uint64_t tag = (mid_hash(k0, k1) & ~(uint64_t)TAG_LOW) | len;
        items[i] = (struct item){tag, k0, k1, slots + scale(tag, nslots)};
        __builtin_prefetch(items[i].slot, 1);
    }
    for (size_t i = 0; i < n; i++) {
        struct slot *s = items[i].slot;
        uint64_t tag = items[i].tag, k0 = items[i].k0, k1 = items[i].k1;
        while (s->tag != 0 && (s->tag != tag || s->k0 != k0 || s->k1 != k1))
            s++;
        used += s->tag == 0;
        *s = (struct slot){tag, k0, k1, s->count + 1};
    }
    t->used = used;
}

static uint64_t arena_copy(struct worker *w, const uint8_t *key, size_t len)
{
    uint8_t *p = w->arena;
    if (len + BIG_FAST_MAX > (size_t)(w->arena_end - p))
        die("key memory full");
    memcpy(p, key, BIG_FAST_MAX);
    if (len > BIG_FAST_MAX)
        memcpy(p, key, len);
    w->arena = p + len;
    return (uintptr_t)p;
}

static __attribute__((noinline)) void count_bigs(struct worker *w, const uint8_t *text)
{
    struct table *t = &w->others;
    struct item *items = w->items;
    size_t n = w->big.n;
    w->big.n = 0;
    if (t->used + n > t->used_max)
        others_grow(t);
    struct slot *slots = t->slots;
    for (size_t i = 0; i < n; i++) {
        uint64_t word = w->big.words[i], len = (word >> 32) - (uint32_t)word;
        const uint8_t *p = text + (uint32_t)word;
        uint64_t tag = big_hash(p, len) | TAG_BIG;
        items[i] = (struct item){tag, (uintptr_t)p, len, slots + scale(tag, t->nslots)};
        __builtin_prefetch(items[i].slot, 1);
    }
    for (size_t i = 0; i < n; i++) {
        struct slot *s = items[i].slot;
        while (s->tag != 0 && s->tag != items[i].tag)
            s++;
        items[i].slot = s;
        if (s->tag != 0)
            __builtin_prefetch((const void *)(uintptr_t)s->k0);
    }
    for (size_t i = 0; i < n; i++) {
        struct slot *s = items[i].slot;
        const uint8_t *key = (const uint8_t *)(uintptr_t)items[i].k0;
        uint64_t tag = items[i].tag, len = items[i].k1;
        while (s->tag != 0 &&
               (s->tag != tag || s->k1 != len || !big_equal((const uint8_t *)(uintptr_t)s->k0, key, len)))
            s++;
        if (s->tag == 0) {
            *s = (struct slot){tag, arena_copy(w, key, len), len, 0};
            t->used++;
        }
        s->count++;
    }
}

/* Sorts words, given as pairs of edges, into the three lists. */
static void count_words(struct worker *w, const uint8_t *text, const uint32_t *edges, size_t nwords)
{
    for (size_t at = 0; at < nwords; at += BATCH) {
        size_t end = at + BATCH < nwords ? at + BATCH : nwords;
        size_t ntiny = w->tiny.n, nmid = w->mid.n, nbig = w->big.n;
        for (size_t i = at; i < end; i++) {
            uint64_t word = load64(edges + 2 * i);
            uint32_t len = (uint32_t)(word >> 32) - (uint32_t)word;
            w->tiny.words[ntiny] = word;
            w->mid.words[nmid] = word;
            w->big.words[nbig] = word;
            ntiny += len <= TINY_MAX;
            nmid += len - TINY_MAX - 1 < MID_MAX - TINY_MAX;
            nbig += len > MID_MAX;
        }
        w->tiny.n = ntiny;
        w->mid.n = nmid;
        w->big.n = nbig;
        if (ntiny >= BATCH)
            count_tinies(w, text);
        if (nmid >= BATCH)
            count_mids(w, text);
        if (nbig >= BATCH)
            count_bigs(w, text);
    }
}

/* ---------------------------------------------------------------- tokenising */

static const uint8_t is_space[256] = {[' '] = 1, ['\t'] = 1, ['\n'] = 1, ['\v'] = 1, ['\f'] = 1, ['\r'] = 1};

/* Appends base plus the position of each bit. Writes up to 12 more than there are. */
INLINE uint32_t *put_edges(uint32_t *out, uint32_t base, uint64_t bits)
{
    const uint64_t last = UINT64_C(1) << 63;
    uint32_t *end = out + __builtin_popcountll(bits);
    do {
#pragma GCC unroll 12
        for (int i = 0; i < 12; i++) {
            *out++ = base + (uint32_t)__builtin_ctzll(bits | last); /* last: defined when none is left */
            bits &= bits - 1;
            __asm__ volatile("" ::: "memory"); /* or GCC assembles vectors of four, slowly */
        }
    } while (__builtin_expect(out < end, 0));
    return end;
}

/* Bit i is set if byte i is a separator. */
static inline uint64_t spaces_plain(const uint8_t *p)
{
    uint64_t bits = 0;
    for (int i = 0; i < 64; i++)
        bits |= (uint64_t)is_space[p[i]] << i;
    return bits;
}

/* Positions in text[from, to), a multiple of 64 bytes, where a word starts or ends. was_space: the byte before. */
#define DEFINE_TOKENISE(name, spaces)                                                                                  \
    static uint32_t *name(const uint8_t *text, size_t from, size_t to, uint32_t *out, uint64_t *was_space)             \
    {                                                                                                                  \
        uint64_t before = *was_space;                                                                                  \
        for (size_t i = from; i < to; i += 64) {                                                                       \
            uint64_t bits = spaces(text + i);                                                                          \
            out = put_edges(out, (uint32_t)i, bits ^ (bits << 1 | before));                                            \
            before = bits >> 63;                                                                                       \
        }                                                                                                              \
        *was_space = before;                                                                                           \
        return out;                                                                                                    \
    }

DEFINE_TOKENISE(tokenise_plain, spaces_plain)

#if defined(__x86_64__)
static inline uint64_t spaces_sse2(const uint8_t *p)
{
    uint64_t bits = 0;
    for (int i = 0; i < 4; i++) {
        __m128i v = _mm_loadu_si128((const __m128i *)(p + 16 * i));
        __m128i from_tab = _mm_sub_epi8(v, _mm_set1_epi8('\t'));
        __m128i controls = _mm_cmpeq_epi8(_mm_min_epu8(from_tab, _mm_set1_epi8('\r' - '\t')), from_tab);
        __m128i blanks = _mm_cmpeq_epi8(v, _mm_set1_epi8(' '));
        bits |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_or_si128(controls, blanks)) << 16 * i;
    }
    return bits;
}

DEFINE_TOKENISE(tokenise_sse2, spaces_sse2)

#define AVX2 __attribute__((target("avx2,bmi,popcnt")))

/* Looks up each byte's low four bits in a table that holds a separator where there is one, and compares. */
AVX2 static inline uint64_t spaces_avx2(const uint8_t *p)
{
    const __m256i separators = _mm256_setr_epi8(' ', 0, 0, 0, 0, 0, 0, 0, 0, '\t', '\n', '\v', '\f', '\r', 0, 0, ' ', 0,
                                                0, 0, 0, 0, 0, 0, 0, '\t', '\n', '\v', '\f', '\r', 0, 0);
    __m256i a = _mm256_loadu_si256((const __m256i *)p), b = _mm256_loadu_si256((const __m256i *)(p + 32));
    __m256i spaces_a = _mm256_cmpeq_epi8(a, _mm256_shuffle_epi8(separators, a));
    __m256i spaces_b = _mm256_cmpeq_epi8(b, _mm256_shuffle_epi8(separators, b));
    return (uint32_t)_mm256_movemask_epi8(spaces_a) | (uint64_t)(uint32_t)_mm256_movemask_epi8(spaces_b) << 32;
}

AVX2 DEFINE_TOKENISE(tokenise_avx2, spaces_avx2)
#endif

    static uint32_t *(*tokenise)(const uint8_t *, size_t, size_t, uint32_t *, uint64_t *) = tokenise_plain;

static void choose_tokeniser(void)
{
#if defined(__x86_64__)
    tokenise = tokenise_sse2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt"))
        tokenise = tokenise_avx2;
#endif
}

/* ---------------------------------------------------------------- reading */

/* Counts all words of text, which ends in a separator and is a multiple of 64 bytes long. */
static void count_text(struct worker *w, const uint8_t *text, size_t len)
{
    uint64_t was_space = 1;
    size_t open = 0; /* 1: edges[0] is the start of a word whose end was not in the last block */
    for (size_t at = 0; at < len; at += BLOCK) {
        size_t to = at + BLOCK < len ? at + BLOCK : len;
        size_t nedges = (size_t)(tokenise(text, at, to, w->edges + open, &was_space) - w->edges);
        count_words(w, text, w->edges, nedges / 2);
        w->words += nedges / 2;
        open = nedges & 1;
        w->edges[0] = w->edges[nedges - open];
    }
    count_tinies(w, text);
    count_mids(w, text);
    count_bigs(w, text);
}

static void open_file(struct worker *w, const char *path)
{
    if (w->fd_path == path)
        return;
    if (w->fd >= 0)
        close(w->fd);
    w->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (w->fd < 0)
        die(path);
    w->fd_path = path;
}

static void buf_make_room(struct worker *w, size_t used, size_t more)
{
    if (used + more + PAD <= w->buf_cap)
        return;
    size_t cap = 2 * (used + more + PAD);
    uint8_t *buf = reserve(cap);
    if (w->buf) {
        memcpy(buf, w->buf, used);
        munmap(w->buf, w->buf_cap);
    }
    w->buf = buf;
    w->buf_cap = cap;
}

/* Reads into buf[at...]; less than asked for only at the end of the file. */
static size_t read_at(struct worker *w, size_t at, size_t bytes, uint64_t offset)
{
    size_t done = 0;
    buf_make_room(w, at, bytes);
    while (done < bytes) {
        ssize_t n = pread(w->fd, w->buf + at + done, bytes - done, (off_t)(offset + done));
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            die(w->fd_path);
        done += n > 0 ? (size_t)n : 0;
    }
    return done;
}

/* buf[..have) is read and is at position have_offset of the file: finds the separator at or after at, reading on. */
static size_t find_word_end(struct worker *w, size_t at, size_t have, uint64_t have_offset)
{
    for (size_t step = 4096;; step *= 2) {
        while (at < have && !is_space[w->buf[at]])
            at++;
        if (at < have)
            return at;
        size_t got = read_at(w, have, step, have_offset);
        if (got == 0)
            return have;
        have += got;
        have_offset += got;
    }
}

/* Counts the words that start in a chunk. It is read to buf[64], the byte before it to buf[63]. */
static void count_chunk(struct worker *w, const struct task *task)
{
    size_t from = 64, before = task->offset > 0;
    open_file(w, task->path);
    size_t have = 64 - before + read_at(w, 64 - before, before + task->bytes + READ_AHEAD, task->offset - before);
    size_t end = have < 64 + task->bytes ? have : 64 + task->bytes;
    w->bytes += end - 64;
    if (before && !is_space[w->buf[63]])
        while (from < end && !is_space[w->buf[from]])
            from++;
    if (from >= end)
        return;
    if (!is_space[w->buf[end - 1]])
        end = find_word_end(w, end, have, task->offset + (have - 64));
    if (end - from > UINT32_MAX - BLOCK)
        die("word of 4 GiB");
    memset(w->buf + end, ' ', 64);
    count_text(w, w->buf + from, (end - from) / 64 * 64 + 64);
}

static void *map_thread(void *arg)
{
    struct worker *w = arg;
    uint64_t bytes = ram_bytes(), nslots = slots_wanted > SLOTS_INITIAL ? slots_wanted : SLOTS_INITIAL;
    table_init(&w->tinies, nslots / 8 + SLOTS_INITIAL, sizeof(struct tiny));
    table_init(&w->others, nslots, sizeof(struct slot));
    w->arena = reserve(bytes);
    w->arena_end = w->arena + bytes;
    w->fd = -1;
    for (size_t i; (i = atomic_fetch_add(&next_task, 1)) < ntasks;)
        count_chunk(w, tasks + i);
    if (w->fd >= 0)
        close(w->fd);
    return NULL;
}

/* ---------------------------------------------------------------- results */

static const char *slot_key(const struct slot *s, size_t *len_out)
{
    bool big = (s->tag & TAG_LOW) == TAG_BIG;
    *len_out = big ? s->k1 : s->tag & TAG_LOW;
    return big ? (const char *)(uintptr_t)s->k0 : (const char *)&s->k0;
}

/* Is a above b in the list of top words? */
static bool ranks_before(const struct slot *a, const struct slot *b)
{
    if (a->count != b->count)
        return a->count > b->count;
    size_t na, nb;
    const char *ka = slot_key(a, &na), *kb = slot_key(b, &nb);
    int order = memcmp(ka, kb, na < nb ? na : nb);
    return order ? order < 0 : na < nb;
}

static void top_add(struct worker *w, const struct slot *s)
{
    if (top_k == 0 || (w->ntop == top_k && !ranks_before(s, w->top + top_k - 1)))
        return;
    size_t i = w->ntop < top_k ? w->ntop++ : top_k - 1;
    for (; i > 0 && ranks_before(s, w->top + i - 1); i--)
        w->top[i] = w->top[i - 1];
    w->top[i] = *s;
}

static void out_flush(struct worker *w)
{
    for (size_t at = 0; at < w->out_len;) {
        ssize_t n = write(w->out_fd, w->out + at, w->out_len - at);
        if (n < 0 && errno != EINTR)
            die(out_prefix);
        at += n > 0 ? (size_t)n : 0;
    }
    w->out_len = 0;
}

static void out_bytes(struct worker *w, const char *p, size_t n)
{
    while (n > 0) {
        size_t room = OUT_BYTES - w->out_len, part = n < room ? n : room;
        memcpy(w->out + w->out_len, p, part);
        w->out_len += part;
        p += part;
        n -= part;
        if (w->out_len == OUT_BYTES)
            out_flush(w);
    }
}

static void out_line(struct worker *w, const struct slot *s)
{
    char text[24], *p = text + sizeof text;
    size_t len;
    const char *key = slot_key(s, &len);
    *--p = '\n';
    for (uint64_t n = s->count; n > 0; n /= 10)
        *--p = (char)('0' + n % 10);
    *--p = '\t';
    out_bytes(w, key, len);
    out_bytes(w, p, (size_t)(text + sizeof text - p));
}

static void out_open(struct worker *w)
{
    char path[4096];
    snprintf(path, sizeof path, "%s-%05d", out_prefix, (int)(w - workers));
    w->out_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->out_fd < 0)
        die(path);
    w->out = reserve(OUT_BYTES);
}

static void emit(struct worker *w, const struct slot *slots, size_t n)
{
    w->distinct += n;
    for (size_t i = 0; i < n; i++)
        if (w->ntop < top_k || (top_k && slots[i].count >= w->top[top_k - 1].count))
            top_add(w, slots + i);
    if (!out_prefix)
        return;
    double start = now_s();
    for (size_t i = 0; i < n; i++)
        out_line(w, slots + i);
    w->output_s += now_s() - start;
}

/* ---------------------------------------------------------------- merging */

INLINE struct slot as_slot(const void *p, size_t slot_bytes)
{
    if (slot_bytes == sizeof(struct slot))
        return *(const struct slot *)p;
    const struct tiny *s = p;
    uint64_t tag = (tiny_hash(s->key) & ~(uint64_t)TAG_LOW) | s->key >> 56;
    return (struct slot){tag, s->key & low_bytes[TINY_MAX], 0, s->count};
}

INLINE bool same_key(const struct slot *a, const struct slot *b)
{
    if (a->tag != b->tag || a->k1 != b->k1)
        return false;
    if ((a->tag & TAG_LOW) != TAG_BIG)
        return a->k0 == b->k0;
    return big_equal((const uint8_t *)(uintptr_t)a->k0, (const uint8_t *)(uintptr_t)b->k0, a->k1);
}

/* The slots that may hold hashes of a part: from the first one's home to the gap after the last one's. */
INLINE const uint8_t *part_range(const struct table *t, uint64_t part, size_t slot_bytes, const uint8_t **end_out)
{
    uint64_t first = part << (64 - part_bits), last = first | UINT64_MAX >> part_bits;
    uint64_t end = scale(last, t->nslots) + 1;
    while (first_word(t, slot_bytes, end))
        end++;
    *end_out = (const uint8_t *)t->slots + end * slot_bytes;
    return (const uint8_t *)t->slots + scale(first, t->nslots) * slot_bytes;
}

/* Makes room for entries and an empty index of them. */
static void merged_clear(struct worker *w, size_t entries)
{
    w->nmerged = 0;
    w->nhomes = 2 * entries + 1;
    if (entries >= w->merged_cap) {
        w->merged_cap = 2 * entries + 1;
        free(w->merged);
        free(w->index);
        w->merged = resized(NULL, w->merged_cap * sizeof *w->merged);
        w->index = resized(NULL, (3 * w->merged_cap + 2) * sizeof *w->index);
    }
    if (nthreads > 1) /* homes, room for all entries after the last, and a gap */
        memset(w->index, 0, (w->nhomes + entries + 1) * sizeof *w->index);
}

INLINE void merge_slot(struct worker *w, const struct slot *s)
{
    uint32_t *at = w->index + scale(s->tag << part_bits, w->nhomes);
    while (*at != 0 && !same_key(w->merged + *at - 1, s))
        at++;
    if (*at != 0) {
        w->merged[*at - 1].count += s->count;
    } else {
        w->merged[w->nmerged++] = *s;
        *at = (uint32_t)w->nmerged;
    }
}

INLINE void merge_table(struct worker *w, const struct table *t, uint64_t part, size_t slot_bytes)
{
    const uint8_t *end, *p = part_range(t, part, slot_bytes, &end);
    for (; p < end; p += slot_bytes) {
        if (load64(p) == 0)
            continue;
        struct slot s = as_slot(p, slot_bytes);
        if (s.tag >> (64 - part_bits) != part)
            continue;
        if (nthreads > 1)
            merge_slot(w, &s);
        else
            w->merged[w->nmerged++] = s;
    }
}

/* Merges one part of all tables of a kind, which lie at that offset in each worker. */
INLINE void merge_part(struct worker *w, uint64_t part, size_t table_offset, size_t slot_bytes)
{
    size_t entries = 0;
    for (int i = 0; i < nthreads; i++) {
        const struct table *t = (const struct table *)((const char *)(workers + i) + table_offset);
        const uint8_t *end, *p = part_range(t, part, slot_bytes, &end);
        for (; p < end; p += slot_bytes)
            entries += load64(p) != 0;
    }
    merged_clear(w, entries);
    for (int i = 0; i < nthreads; i++)
        merge_table(w, (const struct table *)((const char *)(workers + i) + table_offset), part, slot_bytes);
    emit(w, w->merged, w->nmerged);
}

static void *merge_thread(void *arg)
{
    struct worker *w = arg;
    size_t nparts = (size_t)1 << part_bits;
    w->top = resized(NULL, (top_k + 1) * sizeof(struct slot));
    if (out_prefix)
        out_open(w);
    for (size_t at; (at = atomic_fetch_add(&next_part, PARTS_CLAIMED)) < nparts;)
        for (size_t part = at; part < at + PARTS_CLAIMED && part < nparts; part++) {
            merge_part(w, part, offsetof(struct worker, tinies), sizeof(struct tiny));
            merge_part(w, part, offsetof(struct worker, others), sizeof(struct slot));
        }
    double start = now_s();
    if (out_prefix) {
        out_flush(w);
        if (close(w->out_fd))
            die(out_prefix);
    }
    w->output_s += now_s() - start;
    return NULL;
}

/* ---------------------------------------------------------------- files */

static void add_file(const char *path, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at += CHUNK) {
        if (ntasks == tasks_cap) {
            tasks_cap = tasks_cap ? 2 * tasks_cap : 4096;
            tasks = resized(tasks, tasks_cap * sizeof *tasks);
        }
        tasks[ntasks++] = (struct task){path, at, bytes - at < CHUNK ? bytes - at : CHUNK};
    }
}

static void list_files(char **paths)
{
    FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
    if (!fts)
        die("fts_open");
    for (FTSENT *e; (errno = 0, e = fts_read(fts)) != NULL;) {
        if (e->fts_info == FTS_NS || e->fts_info == FTS_ERR || e->fts_info == FTS_DNR) {
            errno = e->fts_errno;
            die(e->fts_path);
        }
        if (e->fts_info == FTS_F && S_ISREG(e->fts_statp->st_mode))
            add_file(strdup(e->fts_path), (uint64_t)e->fts_statp->st_size);
    }
    if (errno)
        die("fts_read");
    fts_close(fts);
}

/* ---------------------------------------------------------------- warming */

static uint64_t resident_bytes(int statm)
{
    char line[128] = {0};
    uint64_t size, resident;
    if (pread(statm, line, sizeof line - 1, 0) <= 0 || sscanf(line, "%" SCNu64 " %" SCNu64, &size, &resident) != 2)
        return UINT64_MAX / 2;
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* The child: frees what it touched a little ahead of what the parent uses. */
static _Noreturn void keep_warm(uint64_t bytes, int parent_statm, int ready)
{
    uint64_t freed = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    uint8_t *p = reserve(bytes);
    for (uint64_t i = 0; i < bytes; i += 4096)
        p[i] = 1;
    for (bool told = false; freed < bytes; usleep(2000)) {
        uint64_t wanted = resident_bytes(parent_statm) + WARM_AHEAD;
        for (; freed < bytes && freed < wanted; freed += WARM_SLICE)
            munmap(p + freed, WARM_SLICE);
        if (!told)
            told = write(ready, "", 1) == 1;
    }
    _exit(0);
}

static pid_t warm_start(void)
{
    uint64_t bytes = (uint64_t)(warm_gib * (1 << 30)) / WARM_SLICE * WARM_SLICE;
    int pipe_ends[2], statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    char byte;
    if (bytes == 0)
        return 0;
    if (statm < 0 || pipe(pipe_ends))
        die("warm");
    pid_t child = fork();
    if (child < 0)
        die("fork");
    if (child == 0)
        keep_warm(bytes, statm, pipe_ends[1]);
    close(pipe_ends[1]);
    if (read(pipe_ends[0], &byte, 1) != 1)
        die("warming child");
    return child;
}

static void warm_stop(pid_t child)
{
    if (child) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
}

/* ---------------------------------------------------------------- main */

/* Pins a thread to the index-th processor this process may use. */
static void pin(pthread_t thread, int index)
{
    cpu_set_t allowed, one;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof allowed, &allowed))
        die("sched_getaffinity");
    int left = index % CPU_COUNT(&allowed), cpu = 0;
    while (!CPU_ISSET(cpu, &allowed) || left-- > 0)
        cpu++;
    CPU_SET(cpu, &one);
    pthread_setaffinity_np(thread, sizeof one, &one);
}

static void run(void *(*body)(void *))
{
    for (int i = 0; i < nthreads; i++) {
        errno = pthread_create(&workers[i].thread, NULL, body, workers + i);
        if (errno)
            die("pthread_create");
        if (pin_threads)
            pin(workers[i].thread, i);
    }
    for (int i = 0; i < nthreads; i++)
        pthread_join(workers[i].thread, NULL);
}

static void choose_parts(void)
{
    uint64_t entries = 0;
    for (int i = 0; i < nthreads; i++)
        entries += workers[i].tinies.used + workers[i].others.used;
    for (part_bits = 1; entries >> part_bits > PART_ENTRIES;)
        part_bits++;
}

static void print_top(const struct worker *w)
{
    for (size_t i = 0; i < w->ntop; i++) {
        size_t len;
        const char *key = slot_key(w->top + i, &len);
        printf("%" PRIu64 "\t", w->top[i].count);
        fwrite(key, 1, len, stdout);
        putchar('\n');
    }
    if (fflush(stdout))
        die("standard output");
}

/* The most memory this process has used, in MiB. */
static long peak_rss_mib(void)
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

static void usage(void)
{
    fputs("usage: bare_wordcount [-t THREADS] [-k K] [-s SLOTS] [-o PREFIX] [--pin] [--warm GIB] PATH...\n"
          "  -t  threads, 2 by default          -k  how many top words to print, 20 by default\n"
          "  -s  size of each thread's table, in slots; small and growing by default\n"
          "  -o  write all words to PREFIX-00000, PREFIX-00001...\n"
          "  --pin   a processor for each thread\n"
          "  --warm  touch that much memory before the clock starts and hand it over\n",
          stderr);
    exit(2);
}

static void parse(int argc, char **argv)
{
    static const struct option names[] = {
        {"warm", required_argument, NULL, 'w'}, {"pin", no_argument, NULL, 'p'}, {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "t:k:s:o:", names, NULL)) != -1;) {
        if (c == 't')
            nthreads = atoi(optarg);
        else if (c == 'k')
            top_k = strtoull(optarg, NULL, 10);
        else if (c == 's')
            slots_wanted = strtoull(optarg, NULL, 10);
        else if (c == 'o')
            out_prefix = optarg;
        else if (c == 'w')
            warm_gib = atof(optarg);
        else if (c == 'p')
            pin_threads = true;
        else
            usage();
    }
    if (optind == argc || nthreads < 1 || nthreads > 1024)
        usage();
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    choose_tokeniser();
    pid_t warmer = warm_start();
    double start = now_s();
    list_files(argv + optind);
    workers = reserve((size_t)nthreads * sizeof *workers);
    run(map_thread);
    double mapped = now_s();
    choose_parts();
    run(merge_thread);
    struct worker *all = workers;
    for (struct worker *w = workers + 1; w < workers + nthreads; w++) {
        for (size_t i = 0; i < w->ntop; i++)
            top_add(all, w->top + i);
        all->bytes += w->bytes;
        all->words += w->words;
        all->distinct += w->distinct;
        all->output_s = w->output_s > all->output_s ? w->output_s : all->output_s;
    }
    double total_s = now_s() - start, merge_s = start + total_s - mapped - all->output_s;
    warm_stop(warmer);
    print_top(all);
    fprintf(stderr,
            "bare_wordcount threads=%d bytes=%" PRIu64 " words=%" PRIu64 " distinct=%" PRIu64
            " read_map_s=%.3f merge_s=%.3f output_s=%.3f total_s=%.3f MBps=%.0f peak_rss_mb=%ld\n",
            nthreads, all->bytes, all->words, all->distinct, mapped - start, merge_s, all->output_s, total_s,
            (double)all->bytes / 1e6 / total_s, peak_rss_mib());
    return 0;
}
