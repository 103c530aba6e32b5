/* SPDX-License-Identifier: BSD-3-Clause. Columns of a dataset in figures: mpirun -n N h5stat --dataset NAME [--all] FILE... */
/*
 * One line for each column, or with --all one for all: its number, or in a table the name of its field, then count, minimum, maximum, mean and
 * population standard deviation of the numbers that are no NaN, and how many are; by tabs, 17 digits each. Rank 0 prints them. The columns of a
 * row are its elements, however many dimensions they have; those of a table (compounds) its fields that are numbers, of arrays name[0] and so on.
 *
 * The digits are the same for any number of ranks: the mean is QUERN_MEAN, which does not depend on the order of additions, and so are the means
 * of the distances from it and of their squares in a second run, when mean, minimum and maximum are known. The distances are scaled by a power of
 * two, so that no square is too large or too small; and since the mean of them is 0 but for what was rounded, its square puts that right. -0.0 is
 * less than 0.0. With an infinity there is no deviation: NaN.
 *
 * What the fields of a table are, rank 0 sees in the first file, and tells the others.
 */
#include <getopt.h>
#include <hdf5.h>
#include <inttypes.h>
#include <math.h>
#include <quern/quern.h>
#include <stdio.h>
#include <stdlib.h>

#define FIELD_COUNT_MAX 64

typedef struct bounds {
    uint64_t count, nan_count;
    double min, max;
} bounds;

typedef struct column {
    bounds bounds;
    double mean;
    int has_distances; /* there are several numbers, all finite */
    int exponent;      /* distances divided by 2^exponent are at most 1 */
    double moments[2]; /* means of the squares of these, and of themselves; rank 0 */
} column;

typedef struct job {
    int of_all;
    quern_hdf5_field fields[FIELD_COUNT_MAX];
    size_t field_count; /* 0: no table */
    column *columns;    /* [column_count] once they are known */
    uint64_t column_count;
} job;

/* ---- the fields of a table, by rank 0 ---- */

static int add_field(job *of, hid_t table, unsigned number)
{
    hid_t member = H5Tget_member_type(table, number), base = member;
    int is_array = H5Tget_class(member) == H5T_ARRAY;
    if (is_array)
        base = H5Tget_super(member);
    H5T_class_t class = H5Tget_class(base);
    int is_number = class == H5T_INTEGER || class == H5T_FLOAT || class == H5T_ENUM, fits = 1;
    uint32_t count = (uint32_t)(H5Tget_size(member) / H5Tget_size(base));
    if (is_number && of->field_count < FIELD_COUNT_MAX)
        of->fields[of->field_count++] = (quern_hdf5_field){H5Tget_member_name(table, number), QUERN_F64, count};
    else
        fits = !is_number;
    if (is_array)
        H5Tclose(base);
    H5Tclose(member);
    return fits;
}

/* What cannot be opened here is no table: quern_run() will say what is wrong. */
static const char *find_fields(job *of, const char *file, const char *dataset)
{
    const char *problem = "";
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t opened = H5Fopen(file, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t found = opened >= 0 ? H5Dopen2(opened, dataset, H5P_DEFAULT) : -1;
    hid_t type = found >= 0 ? H5Dget_type(found) : -1;
    if (type >= 0 && H5Tget_class(type) == H5T_COMPOUND) {
        for (unsigned i = 0; i < (unsigned)H5Tget_nmembers(type) && !*problem; i++)
            problem = add_field(of, type, i) ? "" : "the table has more than 64 fields that are numbers";
        if (of->field_count == 0)
            problem = "the table has no field that is a number";
    }
    H5Tclose(type);
    H5Dclose(found);
    H5Fclose(opened);
    return problem;
}

/* The problem; then the count and the name of each field. */
static char *say_fields(const job *of, const char *problem, size_t *bytes_out)
{
    size_t bytes = strlen(problem) + 1, at = bytes;
    for (size_t i = 0; i < of->field_count; i++)
        bytes += sizeof of->fields[i].count + strlen(of->fields[i].name) + 1;
    char *said = malloc(bytes);
    if (!said)
        return NULL;
    memcpy(said, problem, at);
    for (size_t i = 0; i < of->field_count; i++) {
        size_t name_bytes = strlen(of->fields[i].name) + 1;
        memcpy(said + at, &of->fields[i].count, sizeof of->fields[i].count);
        memcpy(said + at + sizeof of->fields[i].count, of->fields[i].name, name_bytes);
        at += sizeof of->fields[i].count + name_bytes;
    }
    *bytes_out = bytes;
    return said;
}

static void hear_fields(job *of, const char *said, size_t bytes)
{
    of->field_count = 0;
    for (size_t at = strlen(said) + 1; at < bytes;) {
        const char *name = said + at + sizeof(uint32_t);
        of->fields[of->field_count++] =
            (quern_hdf5_field){name, QUERN_F64, quern_u32(quern_bytes(said + at, sizeof(uint32_t)))};
        at += sizeof(uint32_t) + strlen(name) + 1;
    }
}

/* ---- figures ---- */

static int start(void *accumulator, void *user)
{
    (void)user;
    *(bounds *)accumulator = (bounds){.min = INFINITY, .max = -INFINITY};
    return 0;
}

static int is_less(double left, double right)
{
    return left < right || (left == right && signbit(left) > signbit(right));
}

static int merge(void *into, const void *value, void *user)
{
    bounds *to = into;
    const bounds *from = value;
    (void)user;
    to->count += from->count;
    to->nan_count += from->nan_count;
    to->min = is_less(from->min, to->min) ? from->min : to->min;
    to->max = is_less(to->max, from->max) ? from->max : to->max;
    return 0;
}

static int take(void *accumulator, quern_span value, void *user)
{
    double number = quern_f64(value);
    bounds one = {.count = 1, .min = number, .max = number};
    if (isnan(number))
        one = (bounds){.nan_count = 1, .min = INFINITY, .max = -INFINITY};
    return merge(accumulator, &one, user);
}

/* A row's elements, each under its column. */
static int spread(const quern_record *in, quern_emitter *out, void *user)
{
    const job *of = user;
    for (uint64_t i = 0; i < in->value.bytes / sizeof(double); i++) {
        uint64_t key = of->of_all ? 0 : i;
        quern_span number = quern_bytes((const char *)in->value.data + i * sizeof(double), sizeof(double));
        if (quern_emit(out, quern_of_u64(&key), number) != 0)
            return 1;
    }
    return 0;
}

static int keep_numbers(const quern_record *in, int *keep_out, void *user)
{
    (void)user;
    *keep_out = !isnan(quern_f64(in->value));
    return 0;
}

/* How far it is from the mean of its column, and the square of that. */
static int measure(const quern_record *in, quern_emitter *out, void *user)
{
    const job *of = user;
    uint64_t number = quern_u64(in->key), keys[2] = {2 * number, 2 * number + 1};
    const column *at = number < of->column_count ? &of->columns[number] : NULL;
    if (!at || !at->has_distances || isnan(quern_f64(in->value)))
        return 0;
    double distance = scalbn(quern_f64(in->value), -at->exponent) - scalbn(at->mean, -at->exponent);
    double square = distance * distance;
    return quern_emit(out, quern_of_u64(&keys[0]), quern_of_f64(&square)) != 0 ||
           quern_emit(out, quern_of_u64(&keys[1]), quern_of_f64(&distance)) != 0;
}

static column *column_at(job *of, uint64_t number)
{
    if (number >= of->column_count) {
        column *more = realloc(of->columns, (number + 1) * sizeof *more);
        if (!more)
            return NULL;
        memset(more + of->column_count, 0, (number + 1 - of->column_count) * sizeof *more);
        of->columns = more;
        of->column_count = number + 1;
    }
    return &of->columns[number];
}

static int keep_bounds(const quern_record *record, void *user)
{
    column *at = column_at(user, quern_u64(record->key));
    if (at)
        memcpy(&at->bounds, record->value.data, sizeof at->bounds);
    return !at;
}

static int keep_mean(const quern_record *record, void *user)
{
    column *at = column_at(user, quern_u64(record->key));
    if (at)
        at->mean = quern_f64(record->value);
    return !at;
}

static int keep_moment(const quern_record *record, void *user)
{
    job *of = user;
    uint64_t key = quern_u64(record->key);
    of->columns[key / 2].moments[key % 2] = quern_f64(record->value);
    return 0;
}

static void scale(column *to)
{
    double width = to->bounds.max - to->bounds.min;
    int is_too_wide = isinf(width) && isfinite(to->bounds.max) && isfinite(to->bounds.min);
    if (is_too_wide)
        width = to->bounds.max / 2 - to->bounds.min / 2;
    to->has_distances = to->bounds.count > 0 && isfinite(width) && width > 0;
    if (to->has_distances)
        frexp(width, &to->exponent);
    to->exponent += is_too_wide;
}

static double deviation_of(const column *of)
{
    if (!of->has_distances)
        return of->bounds.min == of->bounds.max && isfinite(of->bounds.min) ? 0 : NAN;
    double variance = of->moments[0] - of->moments[1] * of->moments[1];
    return scalbn(sqrt(variance > 0 ? variance : 0), of->exponent);
}

/* ---- the job ---- */

/* Two runs: the means and bounds, then how far all is from the means. */
static quern_status work(quern_context *context, const char *dataset, char **files, size_t file_count, job *of)
{
    static const quern_aggregation form = {.struct_size = sizeof form,
                                           .accumulator_bytes = sizeof(bounds),
                                           .init = start,
                                           .accumulate = take,
                                           .merge = merge};
    static const quern_schema number = {QUERN_U64, QUERN_F64, 0, 0};
    quern_hdf5_options from = {.struct_size = sizeof from,
                               .dataset = dataset,
                               .fields = of->fields,
                               .field_count = of->field_count,
                               .convert = 1};
    quern_dataset *rows = quern_read_hdf5(context, (const char *const *)files, file_count, &from);
    quern_dataset *numbers = quern_flat_map(rows, number, spread, of);
    quern_dataset *means = quern_reduce_by_key(quern_filter(numbers, keep_numbers, NULL), QUERN_MEAN);
    quern_collect(quern_aggregate_by_key(numbers, &form, NULL), QUERN_COLLECT_ALL, keep_bounds, of);
    quern_collect(means, QUERN_COLLECT_ALL, keep_mean, of);
    quern_status status = quern_run(context);
    int any = 0;
    for (uint64_t i = 0; i < of->column_count; i++) {
        scale(&of->columns[i]);
        any |= of->columns[i].has_distances;
    }
    if (status != QUERN_OK || !any)
        return status;
    quern_dataset *moments = quern_reduce_by_key(quern_flat_map(numbers, number, measure, of), QUERN_MEAN);
    quern_collect(moments, QUERN_COLLECT_ROOT, keep_moment, of);
    return quern_run(context);
}

/* A name that would look like several fields or lines is shown otherwise. */
static void print_name(const job *of, uint64_t number)
{
    size_t field = 0;
    uint64_t element = number;
    while (field < of->field_count && element >= of->fields[field].count)
        element -= of->fields[field++].count;
    if (of->of_all || field == of->field_count) {
        printf("%" PRIu64, number);
        return;
    }
    for (const char *c = of->fields[field].name; *c; c++)
        putchar((unsigned char)*c < ' ' ? '?' : *c);
    if (of->fields[field].count > 1)
        printf("[%" PRIu64 "]", element);
}

static void print(const job *of)
{
    for (uint64_t i = 0; i < of->column_count; i++) {
        const bounds *at = &of->columns[i].bounds;
        int any = at->count > 0;
        print_name(of, i);
        printf("\t%" PRIu64 "\t%.17g\t%.17g\t%.17g\t%.17g\t%" PRIu64 "\n", at->count, any ? at->min : NAN,
               any ? at->max : NAN, any && !isnan(of->columns[i].mean) ? of->columns[i].mean : NAN,
               any ? deviation_of(&of->columns[i]) : NAN, at->nan_count);
    }
}

/* Rank 0 looks at the first file for all. */
static quern_status prepare(quern_context *context, const char *file, const char *dataset, job *of, quern_shared **said)
{
    char *words = NULL;
    size_t bytes = 0;
    if (quern_context_rank(context) == 0) {
        const char *problem = find_fields(of, file, dataset);
        words = say_fields(of, problem, &bytes);
        for (size_t i = 0; i < of->field_count; i++)
            H5free_memory((char *)of->fields[i].name);
    }
    quern_status status = quern_broadcast(context, words, bytes, said);
    if (status == QUERN_OK && quern_shared_bytes(*said) == 0)
        status = QUERN_ERROR_NO_MEMORY;
    if (status == QUERN_OK)
        hear_fields(of, quern_shared_data(*said), quern_shared_bytes(*said));
    free(words);
    return status;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"dataset", required_argument, NULL, 'd'}, {"all", no_argument, NULL, 'a'}, {0}};
    const char *values[128] = {0};
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    int speaks = quern_context_rank(context) == 0, option;
    for (opterr = 0; (option = getopt_long(argc, argv, "", names, NULL)) != -1;)
        values[option] = optarg ? optarg : "";
    int misused = status == QUERN_ERROR_INVALID_OPTION || values['?'] || optind == argc || !values['d'];
    static job of;
    quern_shared *said = NULL;
    of.of_all = values['a'] != NULL;
    if (!misused && status == QUERN_OK)
        status = prepare(context, argv[optind], values['d'], &of, &said);
    const char *problem = said && status == QUERN_OK ? quern_shared_data(said) : "";
    if (*problem)
        status = QUERN_ERROR_INPUT;
    if (!misused && status == QUERN_OK)
        status = work(context, values['d'], argv + optind, (size_t)(argc - optind), &of);
    if (speaks && (misused || status != QUERN_OK))
        fprintf(stderr, "h5stat: %s%s%s\n%s", *problem ? argv[optind] : quern_context_error_text(context),
                *problem ? ": " : "", problem, misused ? "usage: h5stat --dataset NAME [--all] FILE...\n" : "");
    else if (speaks)
        print(&of);
    quern_shared_free(said);
    quern_context_destroy(context);
    free(of.columns);
    return misused ? 2 : quern_exit_status(status);
}
