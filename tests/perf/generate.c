/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes the inputs of the measurements from a seed: the same bytes for any number of threads.
 *
 *     generate KIND -o FILE [--rows N] [--keys D] [--choice uniform|each|zipf|half] [--seed S] [-t THREADS]
 *
 *   records  100-byte records: 10 random bytes of key, the row's number, filler
 *   lines    the same in printable characters, the last byte a newline
 *   ints     16-byte rows: key and value, 64-bit integers, little-endian; keys are mixed, values within +-1000000
 *   text     key<TAB>value, keys are k and a number below D
 *   words    one key a line
 *   edges    source<TAB>target of an R-MAT graph of D vertices (rounded up to a power of two), or, with --choice,
 *            sources uniform and targets chosen so
 *
 * How a row gets its key: uniform draws from D keys; each goes through all D in an order of its own before it begins
 * again, so that N rows have min(N, D) distinct keys; zipf draws number k with a weight of 1 / k^1.2; half draws one
 * key for every second row or so and uniformly for the others.
 *
 * Blocks of rows have random numbers of their own; threads claim blocks and write them in turn.
 */
#include <getopt.h>
#include <math.h>

#include "tests/perf/bare.h"

#define BLOCK_ROWS     ((uint64_t)1 << 16)
#define ROW_BYTES_MAX  100
#define RECORD_BYTES   100
#define KEY_BYTES      10
#define ZIPF_EXPONENT  1.2
#define VALUE_MAX      1000000
#define FEISTEL_ROUNDS 4

enum kind { RECORDS, LINES, INTS, TEXT, WORDS, EDGES, NKINDS };
enum choice { UNIFORM, EACH, ZIPF, HALF, NCHOICES };

static const char *const kind_names[NKINDS] = {"records", "lines", "ints", "text", "words", "edges"};
static const char *const choice_names[NCHOICES] = {"uniform", "each", "zipf", "half"};

/* Draws from 1 .. n with weights 1 / k^s by inversion of the integral and rejection of what is too much. */
struct zipf {
    double n, s, low, high;
};

static enum kind kind;
static enum choice choice;
static bool choice_given;
static uint64_t rows = 1000000, keys = 1000, seed = 1, next_block;
static int nthreads = 2, out_fd;
static struct zipf zipf;
static pthread_mutex_t turn_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_changed = PTHREAD_COND_INITIALIZER;
static uint64_t turn;

INLINE uint64_t draw(uint64_t *state)
{
    *state += BARE_SEED0;
    return bare_mix(*state);
}

INLINE double draw_unit(uint64_t *state)
{
    return (double)(draw(state) >> 11) * 0x1p-53;
}

static double zipf_integral(double x)
{
    return (pow(x, 1 - zipf.s) - 1) / (1 - zipf.s);
}

static double zipf_inverse(double y)
{
    return pow(1 + y * (1 - zipf.s), 1 / (1 - zipf.s));
}

static void zipf_init(void)
{
    zipf.n = (double)keys;
    zipf.s = ZIPF_EXPONENT;
    zipf.low = zipf_integral(1.5) - 1;
    zipf.high = zipf_integral(zipf.n + 0.5);
}

static uint64_t zipf_draw(uint64_t *state)
{
    for (;;) {
        double y = zipf.low + draw_unit(state) * (zipf.high - zipf.low);
        double x = zipf_inverse(y), k = floor(x + 0.5);
        k = k < 1 ? 1 : k > zipf.n ? zipf.n : k;
        if (y >= zipf_integral(k + 0.5) - pow(k, -zipf.s))
            return (uint64_t)k - 1;
    }
}

/* The place of i in a random order of 0 .. n-1: a cipher of enough bits, repeated until it falls below n. */
static uint64_t shuffled(uint64_t i, uint64_t n, uint64_t order)
{
    unsigned half = (bare_bits(n - 1) + 1) / 2;
    uint64_t mask = ((uint64_t)1 << half) - 1;
    do {
        uint64_t left = i >> half, right = i & mask;
        for (uint64_t round = 0; round < FEISTEL_ROUNDS; round++) {
            uint64_t old = left;
            left = right;
            right = old ^ (bare_mix(right ^ (order + round) * BARE_SEED1) & mask);
        }
        i = left << half | right;
    } while (i >= n);
    return i;
}

static uint64_t key_of(uint64_t row, uint64_t *state)
{
    switch (choice) {
    case EACH:
        return keys > 1 ? shuffled(row % keys, keys, seed + row / keys * FEISTEL_ROUNDS) : 0;
    case ZIPF:
        return zipf_draw(state);
    case HALF:
        return draw(state) >> 63 ? 0 : bare_scale(draw(state), keys);
    default:
        return bare_scale(draw(state), keys);
    }
}

static int64_t value_of(uint64_t *state)
{
    return (int64_t)bare_scale(draw(state), 2 * VALUE_MAX) - VALUE_MAX;
}

static char *put_number(char *to, uint64_t number)
{
    char digits[20];
    int n = 0;
    do
        digits[n++] = (char)('0' + number % 10);
    while (number /= 10);
    while (n)
        *to++ = digits[--n];
    return to;
}

static char *put_record(char *to, uint64_t row, uint64_t *state)
{
    uint64_t a = draw(state), b = draw(state);
    memcpy(to, &a, 8);
    memcpy(to + 8, &b, KEY_BYTES - 8);
    memset(to + KEY_BYTES, (int)('A' + row % 26), RECORD_BYTES - KEY_BYTES);
    to[KEY_BYTES] = ' ';
    *put_number(to + KEY_BYTES + 1, row) = ' ';
    return to + RECORD_BYTES;
}

static char *put_line(char *to, uint64_t row, uint64_t *state)
{
    char *end = put_record(to, row, state);
    for (int i = 0; i < KEY_BYTES; i++)
        to[i] = (char)('!' + (unsigned char)to[i] % 94);
    end[-1] = '\n';
    return end;
}

static char *put_ints(char *to, uint64_t row, uint64_t *state)
{
    uint64_t key = bare_mix(key_of(row, state) + 1);
    int64_t value = value_of(state);
    memcpy(to, &key, 8);
    memcpy(to + 8, &value, 8);
    return to + 16;
}

static char *put_text(char *to, uint64_t row, uint64_t *state)
{
    *to++ = 'k';
    to = put_number(to, key_of(row, state));
    if (kind == TEXT) {
        int64_t value = value_of(state);
        *to++ = '\t';
        if (value < 0)
            *to++ = '-';
        to = put_number(to, (uint64_t)(value < 0 ? -value : value));
    }
    *to++ = '\n';
    return to;
}

/* R-MAT with the usual 0.57, 0.19, 0.19, 0.05: a quadrant of the matrix for each bit of the two numbers. */
static void rmat(uint64_t *state, uint64_t *from_out, uint64_t *to_out)
{
    uint64_t from = 0, to = 0;
    for (unsigned bits = bare_bits(keys - 1); bits > 0; bits--) {
        uint32_t u = (uint32_t)(draw(state) >> 32) / 42949673; /* 0 to 99 */
        from = from << 1 | (u >= 76);
        to = to << 1 | ((u >= 57 && u < 76) || u >= 95);
    }
    *from_out = from;
    *to_out = to;
}

static char *put_edge(char *to, uint64_t row, uint64_t *state)
{
    uint64_t source, target;
    if (choice_given) {
        source = bare_scale(draw(state), keys);
        target = key_of(row, state);
    } else {
        rmat(state, &source, &target);
    }
    to = put_number(to, source);
    *to++ = '\t';
    to = put_number(to, target);
    *to++ = '\n';
    return to;
}

static char *put_row(char *to, uint64_t row, uint64_t *state)
{
    switch (kind) {
    case RECORDS:
        return put_record(to, row, state);
    case LINES:
        return put_line(to, row, state);
    case INTS:
        return put_ints(to, row, state);
    case EDGES:
        return put_edge(to, row, state);
    default:
        return put_text(to, row, state);
    }
}

static void write_in_turn(uint64_t block, const char *from, size_t bytes)
{
    static uint64_t offset;
    pthread_mutex_lock(&turn_lock);
    while (turn != block)
        pthread_cond_wait(&turn_changed, &turn_lock);
    uint64_t at = offset;
    offset += bytes;
    turn++;
    pthread_cond_broadcast(&turn_changed);
    pthread_mutex_unlock(&turn_lock);
    bare_pwrite(out_fd, from, bytes, at);
}

static void *generate(void *unused)
{
    char *buffer = bare_reserve(BLOCK_ROWS * ROW_BYTES_MAX);
    uint64_t block;
    while ((block = __atomic_fetch_add(&next_block, 1, __ATOMIC_RELAXED)) * BLOCK_ROWS < rows) {
        uint64_t state = bare_mix(bare_mix(seed) + block), row = block * BLOCK_ROWS;
        uint64_t end = row + BLOCK_ROWS < rows ? row + BLOCK_ROWS : rows;
        char *to = buffer;
        for (; row < end; row++)
            to = put_row(to, row, &state);
        write_in_turn(block, buffer, (size_t)(to - buffer));
    }
    return unused;
}

static int named(const char *name, const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    errno = EINVAL;
    bare_die(name);
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"rows", required_argument, NULL, 'r'},
                                          {"keys", required_argument, NULL, 'k'},
                                          {"choice", required_argument, NULL, 'c'},
                                          {"seed", required_argument, NULL, 's'},
                                          {NULL, 0, NULL, 0}};
    const char *path = NULL;
    for (int c; (c = getopt_long(argc, argv, "o:t:", names, NULL)) != -1;) {
        if (c == 'r')
            rows = bare_number(optarg, 1000);
        else if (c == 'k')
            keys = bare_number(optarg, 1000);
        else if (c == 's')
            seed = strtoull(optarg, NULL, 10);
        else if (c == 'c')
            choice = (enum choice)named(optarg, choice_names, NCHOICES), choice_given = true;
        else if (c == 't')
            nthreads = bare_threads(optarg);
        else if (c == 'o')
            path = optarg;
        else
            return 2;
    }
    if (optind + 1 != argc || !path || keys == 0) {
        fputs("usage: generate records|lines|ints|text|words|edges -o FILE [--rows N] [--keys D]\n"
              "                [--choice uniform|each|zipf|half] [--seed S] [-t THREADS]\n",
              stderr);
        return 2;
    }
    kind = (enum kind)named(argv[optind], kind_names, NKINDS);
    zipf_init();
    out_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out_fd < 0)
        bare_die(path);
    bare_run(nthreads, generate, NULL, 0);
    if (close(out_fd))
        bare_die(path);
    return 0;
}
