/* SPDX-License-Identifier: BSD-3-Clause. Columns of a dataset in figures: mpirun -n N h5stat --dataset NAME [--all] FILE... */
/*
 * One line for each column (of the first row's elements, however many dimensions they have), or with --all one for all: number, count, minimum,
 * maximum, mean and population standard deviation of the numbers that are no NaN, and how many are; by tabs, 17 digits each.
 * Rank 0 prints them.
 *
 * Nothing is lost to cancellation: the mean is known before the deviations from it are squared, so the file is read twice; and sums are kept in
 * two doubles, so that the digits are the same whoever added what first.
 */
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <quern/quern.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct figures {
    uint64_t count, nan_count;
    double min, max;
    double sum, sum_rest; /* the sum is both */
} figures;

typedef struct job {
    int of_all;
    figures *columns; /* [column_count] once they are known */
    uint64_t column_count;
    figures *squares; /* [column_count] of the second run, rank 0 */
} job;

/* Adds without loss: what rounds away is kept. */
static void add(figures *to, double number, double rest)
{
    double sum = to->sum + number, part = sum - to->sum;
    double lost = (to->sum - (sum - part)) + (number - part) + to->sum_rest + rest;
    to->sum = sum + lost;
    to->sum_rest = isfinite(to->sum) ? lost - (to->sum - sum) : 0;
}

static int start(void *accumulator, void *user)
{
    (void)user;
    *(figures *)accumulator = (figures){.min = INFINITY, .max = -INFINITY};
    return 0;
}

static int take(void *accumulator, quern_span value, void *user)
{
    figures *to = accumulator;
    double number = quern_f64(value);
    (void)user;
    if (isnan(number)) {
        to->nan_count++;
        return 0;
    }
    to->count++;
    to->min = number < to->min ? number : to->min;
    to->max = number > to->max ? number : to->max;
    add(to, number, 0);
    return 0;
}

static int merge(void *into, const void *value, void *user)
{
    figures *to = into;
    const figures *from = value;
    (void)user;
    to->count += from->count;
    to->nan_count += from->nan_count;
    to->min = from->min < to->min ? from->min : to->min;
    to->max = from->max > to->max ? from->max : to->max;
    add(to, from->sum, from->sum_rest);
    return 0;
}

static double mean_of(const figures *of)
{
    return (of->sum + of->sum_rest) / (double)of->count;
}

/* How far a number is from the mean, which is known to more digits than a double has. */
static double distance_of(const figures *of, double number)
{
    double mean = mean_of(of), rest = (fma(-mean, (double)of->count, of->sum) + of->sum_rest) / (double)of->count;
    return (number - mean) - rest;
}

/* A row's elements, each under its column; in the second run the squares of how far they are from the mean. */
static int spread(const quern_record *in, quern_emitter *out, void *user)
{
    const job *of = user;
    for (uint64_t i = 0; i < in->value.bytes / sizeof(double); i++) {
        double number = quern_f64(quern_bytes((const char *)in->value.data + i * sizeof number, sizeof number));
        uint64_t column = of->of_all ? 0 : i;
        double distance = column < of->column_count ? distance_of(&of->columns[column], number) : 0;
        number = column < of->column_count ? distance * distance : number;
        if (quern_emit(out, quern_of_u64(&column), quern_of_f64(&number)) != 0)
            return 1;
    }
    return 0;
}

static int keep(const quern_record *record, void *user)
{
    job *of = user;
    uint64_t column = quern_u64(record->key);
    figures *to = of->squares;
    if (!to && column >= of->column_count) {
        if (!(to = realloc(of->columns, (column + 1) * sizeof *to)))
            return 1;
        of->columns = to;
        of->column_count = column + 1;
    }
    memcpy((of->squares ? of->squares : of->columns) + column, record->value.data, sizeof *to);
    return 0;
}

/* Of every column, to `keep`. */
static quern_status gather(quern_context *context, quern_dataset *rows, job *of, quern_collect_to to)
{
    const quern_aggregation form = {.struct_size = sizeof form,
                                    .accumulator_bytes = sizeof(figures),
                                    .init = start,
                                    .accumulate = take,
                                    .merge = merge};
    quern_dataset *numbers = quern_flat_map(rows, (quern_schema){QUERN_U64, QUERN_F64, 0, 0}, spread, of);
    quern_collect(quern_aggregate_by_key(numbers, &form, NULL), to, keep, of);
    return quern_run(context);
}

static void print(const job *of)
{
    for (uint64_t i = 0; i < of->column_count; i++) {
        const figures *column = &of->columns[i];
        const double *bounds = column->count > 0 ? &column->min : (const double[]){NAN, NAN};
        printf("%" PRIu64 "\t%" PRIu64 "\t%.17g\t%.17g\t%.17g\t%.17g\t%" PRIu64 "\n", i, column->count, bounds[0],
               bounds[1], column->count > 0 ? mean_of(column) : NAN,
               column->count > 0 ? sqrt((of->squares[i].sum + of->squares[i].sum_rest) / (double)column->count) : NAN,
               column->nan_count);
    }
}

/* Two runs: the means, then how far all is from them. */
static quern_status work(quern_context *context, const char *dataset, char **files, size_t file_count, job *of)
{
    quern_hdf5_options form = {.struct_size = sizeof form, .dataset = dataset, .convert = 1};
    quern_dataset *rows = quern_read_hdf5(context, (const char *const *)files, file_count, &form);
    quern_status status = gather(context, rows, of, QUERN_COLLECT_ALL);
    of->squares = calloc(of->column_count + 1, sizeof *of->squares);
    if (status == QUERN_OK && of->column_count > 0 && of->squares)
        status = gather(context, rows, of, QUERN_COLLECT_ROOT);
    return status == QUERN_OK && !of->squares ? QUERN_ERROR_NO_MEMORY : status;
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
    job of = {.of_all = values['a'] != NULL};
    if (!misused) {
        status = work(context, values['d'], argv + optind, (size_t)(argc - optind), &of);
        if (status != QUERN_OK && speaks)
            fprintf(stderr, "h5stat: %s\n", quern_context_error_text(context));
        else if (speaks)
            print(&of);
    } else if (speaks)
        fprintf(stderr, "%s\nusage: h5stat --dataset NAME [--all] FILE...\n", quern_context_error_text(context));
    quern_context_destroy(context);
    free(of.columns);
    free(of.squares);
    return misused ? 2 : quern_exit_status(status);
}
