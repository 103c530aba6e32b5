/* SPDX-License-Identifier: BSD-3-Clause. Clusters points: mpirun -n N kmeans --k K [--iterations 20] PATH */
/*
 * A point is a line of numbers between white space, finite, as strtod() reads them; all have as many. Empty lines are no points. Prints K centres, a
 * line each. The first centres are K different points: those whose bytes have the largest hash, a choice as if by lot that is always the
 * same. Then each point goes to the nearest centre, the first of equals, and each centre to the mean of its points, or stays where
 * it is without any; until nothing moves, or that was done `iterations` times. Sums do not depend on the order of points, and so the centres
 * are the same for any number of ranks.
 */
#include <ctype.h>
#include <getopt.h>
#include <math.h>
#include <quern/quern.h>
#include <stdio.h>
#include <stdlib.h>

#define BUCKETS  64 /* among which ranks divide the choice of the first centres */
#define K_MAX    100000
#define HASH_KEY UINT64_C(0x9e3779b97f4a7c15)

typedef struct job {
    size_t k, dimensions;
    size_t
        dimensions_here; /* of the first line that this rank saw; 0: none yet. Ranks compare them by the first centres */
    size_t center_count;
    double *centers; /* [k][dimensions] */
    double *sums;    /* [k][dimensions + 1]: of coordinates, and how many points */
    char *text;      /* of a line, and a NUL */
    size_t text_capacity;
    double *assigned; /* [dimensions]: the point that looks for its centre */
    double *point;    /* what is read of a line */
    size_t point_capacity;
    unsigned char *ranked; /* a point behind its hash */
    size_t ranked_capacity;
    const char *failure;
} job;

/* Memory for so many bytes at least; what was there before is gone. NULL: there is none. */
static void *room_for(void *data, size_t *capacity, size_t bytes)
{
    void *room = data;
    if (bytes <= *capacity)
        return data;
    room = realloc(data, 2 * bytes);
    *capacity = room ? 2 * bytes : *capacity;
    return room;
}

/* How many numbers the text is; less than 0: it is something else. */
static long read_numbers(const char *text, const char *end, double *numbers_out)
{
    long count = 0;
    for (;; count++) {
        char *behind;
        while (isspace((unsigned char)*text))
            text++;
        if (text == end)
            return count;
        double number = strtod(text, &behind);
        if (behind == text || !isfinite(number) || (behind < end && !isspace((unsigned char)*behind)))
            return -1;
        numbers_out[count] = number + 0.0; /* there is one zero only */
        text = behind;
    }
}

/* A line becomes the bytes of its numbers. */
static int parse_line(const quern_record *line, quern_emitter *out, void *user)
{
    job *all = user;
    size_t bytes = line->key.bytes, numbers_max = bytes / 2 + 1;
    char *text = room_for(all->text, &all->text_capacity, bytes + 1);
    all->text = text ? text : all->text;
    double *point = room_for(all->point, &all->point_capacity, numbers_max * sizeof *point);
    all->point = point ? point : all->point;
    if (!text || !point)
        return quern_fail(out, 0, "no memory for a line");
    memcpy(text, line->key.data, bytes);
    text[bytes] = 0;
    long count = read_numbers(text, text + bytes, point);
    if (count == 0)
        return 0;
    if (count < 0)
        return quern_fail(out, 0, "the line has something that is no finite number");
    if (all->dimensions_here == 0)
        all->dimensions_here = (size_t)count;
    if ((size_t)count != all->dimensions_here)
        return quern_fail(out, 0, "the line has more or less numbers than others");
    return quern_emit(out, quern_bytes(point, (size_t)count * sizeof *point), quern_bytes("", 0));
}

static uint64_t hash_of(const unsigned char *data, size_t bytes)
{
    uint64_t hash = bytes * HASH_KEY;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ data[i]) * HASH_KEY ^ hash >> 29;
    hash = (hash ^ hash >> 32) * HASH_KEY;
    return hash ^ hash >> 29;
}

/* A point under its bucket, behind its hash: compared as bytes, so the hash is written with its high byte first. */
static int rank_point(const quern_record *point, quern_emitter *out, void *user)
{
    job *all = user;
    size_t bytes = sizeof(uint64_t) + point->key.bytes;
    unsigned char *ranked = room_for(all->ranked, &all->ranked_capacity, bytes);
    if (!ranked)
        return quern_fail(out, 0, "no memory for a point");
    all->ranked = ranked;
    uint64_t hash = hash_of(point->key.data, point->key.bytes), bucket = hash % BUCKETS;
    for (int i = 0; i < 8; i++)
        ranked[i] = (unsigned char)(hash >> (56 - 8 * i));
    memcpy(ranked + sizeof hash, point->key.data, point->key.bytes);
    return quern_emit(out, quern_of_u64(&bucket), quern_bytes(ranked, bytes));
}

static int into_one_bucket(const quern_record *in, quern_span *key_out, void *user)
{
    static const uint64_t one = 0;
    (void)in, (void)user;
    *key_out = quern_of_u64(&one);
    return 0;
}

/* The k first centres come, largest hash first. */
static int take_center(const quern_record *ranked, void *user)
{
    job *all = user;
    size_t bytes = ranked->value.bytes - sizeof(uint64_t), dimensions = bytes / sizeof(double);
    if (!all->centers) {
        all->dimensions = dimensions;
        all->centers = calloc(all->k, bytes);
        all->sums = calloc(all->k, bytes + sizeof(double));
        all->assigned = malloc(bytes);
    }
    if (!all->centers || !all->sums || !all->assigned || dimensions != all->dimensions) {
        all->failure =
            all->centers && all->sums && all->assigned ? "not all lines have the same number of numbers" : "no memory";
        return -1;
    }
    memcpy(all->centers + all->center_count++ * dimensions, (const char *)ranked->value.data + sizeof(uint64_t), bytes);
    return 0;
}

static size_t nearest_center(const job *all, const double *point)
{
    size_t nearest = 0;
    double least = INFINITY;
    for (size_t center = 0; center < all->k; center++) {
        const double *at = all->centers + center * all->dimensions;
        double distance = 0;
        for (size_t i = 0; i < all->dimensions; i++)
            distance += (point[i] - at[i]) * (point[i] - at[i]);
        if (distance < least) {
            least = distance;
            nearest = center;
        }
    }
    return nearest;
}

/* Each coordinate under its place in sums, and 1 under that of the number of points. */
static int assign_points(const quern_block *points, quern_emitter *out, void *user)
{
    const double one = 1;
    job *all = user;
    for (size_t p = 0; p < points->count; p++) {
        const size_t bytes = all->dimensions * sizeof(double);
        if (points->key_bytes[p] != bytes)
            return quern_fail(out, p, "the line has more or less numbers than others");
        memcpy(all->assigned, points->key[p], bytes);
        uint64_t place = nearest_center(all, all->assigned) * (all->dimensions + 1);
        for (size_t i = 0; i <= all->dimensions; i++, place++)
            if (quern_emit(out, quern_of_u64(&place), quern_of_f64(i < all->dimensions ? &all->assigned[i] : &one)) !=
                0)
                return -1;
    }
    return 0;
}

static int take_sum(const quern_record *sum, void *user)
{
    ((job *)user)->sums[quern_u64(sum->key)] = quern_f64(sum->value);
    return 0;
}

/* Whether a centre moved. */
static int move_centers(job *all)
{
    int moved = 0;
    for (size_t center = 0; center < all->k; center++) {
        const double *sums = all->sums + center * (all->dimensions + 1);
        for (size_t i = 0; i < all->dimensions && sums[all->dimensions] > 0; i++) {
            double *at = &all->centers[center * all->dimensions + i], mean = sums[i] / sums[all->dimensions] + 0.0;
            moved |= *at != mean;
            *at = mean;
        }
    }
    return moved;
}

static quern_status choose_centers(quern_context *context, quern_dataset *points, job *all)
{
    const quern_schema ranked = {.key = QUERN_U64, .value = QUERN_BYTES};
    quern_dataset *buckets = quern_flat_map(quern_distinct(points), ranked, rank_point, all);
    quern_dataset *bucket = quern_key_by(quern_top_k_by_key(buckets, all->k), QUERN_U64, 0, into_one_bucket, NULL);
    quern_collect(quern_top_k_by_key(bucket, all->k), QUERN_COLLECT_ALL, take_center, all);
    return quern_run(context);
}

static quern_status improve_centers(quern_context *context, quern_dataset *points, job *all, uint64_t iterations)
{
    const quern_schema coordinates = {.key = QUERN_U64, .value = QUERN_F64};
    quern_dataset *assigned = quern_flat_map_block(points, coordinates, assign_points, all);
    quern_dataset *sums = quern_reduce_by_key(assigned, QUERN_SUM);
    quern_status status = QUERN_OK;
    int moved = 1;
    for (uint64_t i = 0; i < iterations && moved && status == QUERN_OK; i++) {
        memset(all->sums, 0, all->k * (all->dimensions + 1) * sizeof *all->sums);
        quern_collect(sums, QUERN_COLLECT_ALL, take_sum, all);
        status = quern_run(context);
        moved = status == QUERN_OK && move_centers(all);
    }
    return status;
}

static int print_centers(const job *all)
{
    for (size_t i = 0; i < all->k * all->dimensions; i++)
        printf("%.17g%c", all->centers[i], (i + 1) % all->dimensions ? ' ' : '\n');
    return ferror(stdout) || fflush(stdout) != 0;
}

/* A number from 0 on. -1: the text is none. */
static long long read_count(const char *text)
{
    char *end;
    long long count = strtoll(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == 0 ? count : -1;
}

static quern_status run(quern_context *context, const char *path, job *all, uint64_t iterations)
{
    const quern_schema keys = {.key = QUERN_BYTES, .value = QUERN_NONE};
    quern_dataset *points = quern_flat_map(quern_read_text(context, &path, 1, NULL), keys, parse_line, all);
    points = quern_cache(quern_name(points, "point of a line")); /* read once, for all iterations */
    quern_status status = choose_centers(context, points, all);
    if (status == QUERN_OK && all->center_count < all->k)
        all->failure = "there are less different points than centres";
    return status == QUERN_OK && !all->failure ? improve_centers(context, points, all, iterations) : status;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"k", required_argument, NULL, 'k'}, {"iterations", required_argument, NULL, 'i'}, {0}};
    const char *values[128] = {['k'] = "", ['i'] = "20"};
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    int speaks = quern_context_rank(context) == 0, failed = 0, option;
    for (opterr = 0; (option = getopt_long(argc, argv, "", names, NULL)) != -1;)
        values[option] = optarg ? optarg : "";
    long long k = read_count(values['k']), iterations = read_count(values['i']);
    int misused = status == QUERN_ERROR_INVALID_OPTION || values['?'] || optind != argc - 1 || k < 1 || k > K_MAX ||
                  iterations < 0;
    job all = {.k = k > 0 ? (size_t)k : 0};
    if (misused && speaks)
        fprintf(stderr, "%s\nusage: kmeans --k K [--iterations N] PATH\n", quern_context_error_text(context));
    if (!misused) {
        status = run(context, argv[optind], &all, (uint64_t)iterations);
        failed = status != QUERN_OK || all.failure || (speaks && print_centers(&all) != 0);
        if (failed && speaks)
            fprintf(stderr, "kmeans: %s\n", all.failure ? all.failure : quern_context_error_text(context));
    }
    free(all.centers);
    free(all.sums);
    free(all.assigned);
    free(all.text);
    free(all.point);
    free(all.ranked);
    quern_context_destroy(context);
    return misused ? 2 : failed;
}
