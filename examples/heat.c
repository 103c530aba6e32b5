/* SPDX-License-Identifier: BSD-3-Clause. A simulation that analyses itself: mpirun -n N heat [--cells 256] [--steps 1000] [--every 100] [--top 10] -o DIR */
/*
 * The heat equation in a square of cells * cells, whose border is held at 0, with two warm spots at the begin; an explicit scheme, in a grid of
 * ranks (MPI_Cart_create), each with a halo of one cell. Every `every` steps Quern looks at the field where it stands, on the simulation's own
 * communicator: nothing of it is copied or gathered. This is then in DIR, whose parent must exist, with STEP of eight digits:
 *
 *     histogram-STEP.h5  /histogram: bin (0 to 31, of equal width from 0 to 1), count; bins without cells are left out
 *     quantiles-STEP.h5  /quantiles: temperature, and which of 0, 0.25, 0.5, 0.75, 0.9, 0.99 and 1 it is of
 *     hottest-STEP.h5    /hottest: row, column and temperature of the `top` hottest cells
 *
 * Each is whole or absent, and its bytes are the same for any number of ranks: the scheme does the same arithmetic for a cell wherever it is,
 * and what Quern gives does not depend on who has which cells.
 */
#include <errno.h>
#include <getopt.h>
#include <quern/quern.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define BINS        32
#define CELLS_MAX   65536
#define TOP_MAX     1000000
#define DIFFUSION   0.2 /* below 0.25 the scheme is stable */
#define COUNT_OF(x) (sizeof(x) / sizeof *(x))

/* This rank's rectangle of cells. Rows are `stride` apart, since the halo is around them. */
typedef struct domain {
    MPI_Comm grid;
    int low, high, left, right;   /* neighbours, or MPI_PROC_NULL */
    size_t cells, row, column;    /* of the whole; where this part begins */
    size_t rows, columns, stride; /* of this part */
    double *now, *next;           /* [rows + 2][stride] */
    uint64_t *place;              /* [rows][columns]: row * cells + column in the whole */
    quern_memory_array *lines;    /* [rows] */
    MPI_Datatype side;            /* a column of the part */
} domain;

/* One of the hottest cells, as it is written. */
typedef struct hot {
    uint64_t row, column;
    double temperature;
} hot;

typedef struct analysis {
    quern_context *context;
    quern_dataset *field, *histogram, *quantiles, *hottest;
    const char *directory;
    domain *of;
    hot *found; /* [top], of rank 0 */
    uint64_t *order;
    size_t found_count, top;
} analysis;

/* ---- the simulation: it knows nothing of Quern ---- */

static double *cell(const domain *of, double *field, size_t row, size_t column)
{
    return field + (row + 1) * of->stride + column + 1;
}

/* Part `number` of `count` of the cells of a side. */
static size_t border(size_t cells, int number, int count)
{
    return cells * (size_t)number / (size_t)count;
}

static double warmth_at_start(size_t cells, size_t row, size_t column)
{
    double y = ((double)row + 0.5) / (double)cells, x = ((double)column + 0.5) / (double)cells;
    double big = (x - 0.3) * (x - 0.3) + (y - 0.4) * (y - 0.4), small = (x - 0.75) * (x - 0.75) + (y - 0.7) * (y - 0.7);
    return big < 0.04 ? 1 : small < 0.01 ? 0.5 : 0;
}

static int make_domain(domain *of, size_t cells)
{
    int size, rank, dims[2] = {0, 0}, wraps[2] = {0, 0}, at[2];
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Dims_create(size, 2, dims);
    MPI_Cart_create(MPI_COMM_WORLD, 2, dims, wraps, 1, &of->grid);
    MPI_Comm_rank(of->grid, &rank);
    MPI_Cart_coords(of->grid, rank, 2, at);
    MPI_Cart_shift(of->grid, 0, 1, &of->low, &of->high);
    MPI_Cart_shift(of->grid, 1, 1, &of->left, &of->right);
    of->cells = cells;
    of->row = border(cells, at[0], dims[0]);
    of->column = border(cells, at[1], dims[1]);
    of->rows = border(cells, at[0] + 1, dims[0]) - of->row;
    of->columns = border(cells, at[1] + 1, dims[1]) - of->column;
    of->stride = of->columns + 2;
    of->now = calloc((of->rows + 2) * of->stride, sizeof *of->now);
    of->next = calloc((of->rows + 2) * of->stride, sizeof *of->next);
    of->place = calloc(of->rows * of->columns + 1, sizeof *of->place);
    of->lines = calloc(of->rows + 1, sizeof *of->lines);
    MPI_Type_vector((int)of->rows, 1, (int)of->stride, MPI_DOUBLE, &of->side);
    MPI_Type_commit(&of->side);
    return of->now && of->next && of->place && of->lines;
}

/* Whether it is so on all ranks: one that is without memory must not leave the others waiting. */
static int agree(int is_so)
{
    int all = 0;
    MPI_Allreduce(&is_so, &all, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    return all;
}

static void begin(domain *of)
{
    for (size_t row = 0; row < of->rows; row++)
        for (size_t column = 0; column < of->columns; column++) {
            *cell(of, of->now, row, column) = warmth_at_start(of->cells, of->row + row, of->column + column);
            of->place[row * of->columns + column] = (of->row + row) * of->cells + of->column + column;
        }
}

static void free_domain(domain *of)
{
    free(of->now);
    free(of->next);
    free(of->place);
    free(of->lines);
    MPI_Type_free(&of->side);
    MPI_Comm_free(&of->grid);
}

static void exchange_halo(domain *of)
{
    double *field = of->now;
    int columns = (int)of->columns;
    MPI_Sendrecv(cell(of, field, 0, 0), columns, MPI_DOUBLE, of->low, 0, cell(of, field, of->rows, 0), columns,
                 MPI_DOUBLE, of->high, 0, of->grid, MPI_STATUS_IGNORE);
    MPI_Sendrecv(cell(of, field, of->rows - 1, 0), columns, MPI_DOUBLE, of->high, 1, cell(of, field, 0, 0) - of->stride,
                 columns, MPI_DOUBLE, of->low, 1, of->grid, MPI_STATUS_IGNORE);
    MPI_Sendrecv(cell(of, field, 0, 0), 1, of->side, of->left, 2, cell(of, field, 0, of->columns), 1, of->side,
                 of->right, 2, of->grid, MPI_STATUS_IGNORE);
    MPI_Sendrecv(cell(of, field, 0, of->columns - 1), 1, of->side, of->right, 3, cell(of, field, 0, 0) - 1, 1, of->side,
                 of->left, 3, of->grid, MPI_STATUS_IGNORE);
}

static void advance(domain *of)
{
    exchange_halo(of);
    for (size_t row = 0; row < of->rows; row++) {
        const double *from = cell(of, of->now, row, 0), *below = from - of->stride, *above = from + of->stride;
        double *to = cell(of, of->next, row, 0);
        for (size_t i = 0; i < of->columns; i++)
            to[i] = from[i] + DIFFUSION * (((below[i] + above[i]) + (from[i - 1] + from[i + 1])) - 4 * from[i]);
    }
    double *swapped = of->now;
    of->now = of->next;
    of->next = swapped;
}

/* ---- the analysis ---- */

/* The field as it is now: each row of the part is an array, keys are places in the whole. */
static quern_memory_array *point_at_field(domain *of)
{
    for (size_t row = 0; row < of->rows; row++)
        of->lines[row] = (quern_memory_array){
            .count = of->columns, .key = of->place + row * of->columns, .value = cell(of, of->now, row, 0)};
    return of->lines;
}

/* Once: what is asked of the field in each analysis. */
static int plan_analysis(analysis *plan)
{
    static const double fractions[] = {0, 0.25, 0.5, 0.75, 0.9, 0.99, 1};
    double bounds[BINS - 1];
    for (int i = 0; i < BINS - 1; i++)
        bounds[i] = (i + 1) / (double)BINS;
    plan->field = quern_read_memory(plan->context, (quern_schema){QUERN_U64, QUERN_F64, 0, 0}, point_at_field(plan->of),
                                    plan->of->rows);
    plan->histogram = quern_sort_by_key(quern_histogram(plan->field, bounds, BINS - 1), NULL);
    plan->quantiles = quern_quantiles(plan->field, fractions, COUNT_OF(fractions));
    plan->hottest = quern_read_memory(plan->context, (quern_schema){QUERN_U64, QUERN_FIXED, sizeof(hot), 0}, NULL, 0);
    plan->found = calloc(plan->top, sizeof *plan->found);
    plan->order = calloc(plan->top, sizeof *plan->order);
    return plan->found && plan->order;
}

static const char *file_of(const analysis *plan, const char *what, unsigned long step)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s-%08lu.h5", plan->directory, what, step);
    return path;
}

/* On rank 0, hottest first. */
static int take_hot(const quern_record *record, void *user)
{
    analysis *plan = user;
    uint64_t place = quern_u64(record->key);
    plan->order[plan->found_count] = plan->found_count;
    plan->found[plan->found_count++] =
        (hot){place / plan->of->cells, place % plan->of->cells, quern_f64(record->value)};
    return 0;
}

static void write_table(quern_dataset *table, const char *path, const char *name, const quern_hdf5_field *fields,
                        size_t field_count, int with_key)
{
    quern_hdf5_write_options as = {.struct_size = sizeof as,
                                   .dataset = name,
                                   .files = QUERN_HDF5_AT_PATH,
                                   .fields = fields,
                                   .field_count = field_count,
                                   .with_key = with_key};
    quern_write_hdf5(table, path, &as); /* what is wrong quern_run() says */
}

/* Two jobs: what the first one finds is an array in memory for the second one, which writes it. */
static quern_status analyse(analysis *plan, unsigned long step)
{
    static const quern_hdf5_field bins[] = {{"bin", QUERN_U64, 0}, {"count", QUERN_U64, 0}};
    static const quern_hdf5_field parts[] = {{"temperature", QUERN_F64, 0}, {"quantile", QUERN_U64, 0}};
    static const quern_hdf5_field cells[] = {
        {"row", QUERN_U64, 0}, {"column", QUERN_U64, 0}, {"temperature", QUERN_F64, 0}};
    plan->found_count = 0;
    quern_renew_memory(plan->field, point_at_field(plan->of), plan->of->rows);
    write_table(plan->histogram, file_of(plan, "histogram", step), "/histogram", bins, COUNT_OF(bins), 1);
    write_table(plan->quantiles, file_of(plan, "quantiles", step), "/quantiles", parts, COUNT_OF(parts), 1);
    quern_top_k(plan->field, plan->top, take_hot, plan);
    quern_status status = quern_run(plan->context);
    if (status != QUERN_OK)
        return status;
    quern_memory_array found = {.count = plan->found_count, .key = plan->order, .value = plan->found};
    quern_renew_memory(plan->hottest, &found, 1);
    write_table(plan->hottest, file_of(plan, "hottest", step), "/hottest", cells, COUNT_OF(cells), 0);
    return quern_run(plan->context);
}

/* ---- */

static int read_count(const char *text, unsigned long least, unsigned long most, unsigned long *count)
{
    char *end = NULL;
    if (!text)
        return 1;
    errno = 0;
    *count = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && *count >= least && *count <= most;
}

static quern_status simulate(analysis *plan, unsigned long steps, unsigned long every)
{
    quern_status status = agree(plan_analysis(plan)) ? analyse(plan, 0) : QUERN_ERROR_NO_MEMORY;
    for (unsigned long step = 1; status == QUERN_OK && step <= steps; step++) {
        advance(plan->of);
        if (step % every == 0)
            status = analyse(plan, step);
    }
    return status;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"cells", required_argument, NULL, 'c'},
                                          {"steps", required_argument, NULL, 's'},
                                          {"every", required_argument, NULL, 'e'},
                                          {"top", required_argument, NULL, 't'},
                                          {0}};
    const char *values[128] = {0};
    unsigned long cells = 256, steps = 1000, every = 100, top = 10;
    int option, rank, size;
    domain of = {0};
    quern_options options;
    MPI_Init(&argc, &argv);
    quern_options_init(&options);
    quern_status status = quern_options_read_argv(&options, &argc, argv);
    for (opterr = 0; (option = getopt_long(argc, argv, "o:", names, NULL)) != -1;)
        values[option] = optarg ? optarg : "";
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    int misused = status != QUERN_OK || values['?'] || optind != argc || !values['o'] ||
                  !read_count(values['c'], (unsigned long)size, CELLS_MAX, &cells) ||
                  !read_count(values['s'], 0, 99999999, &steps) || !read_count(values['e'], 1, 99999999, &every) ||
                  !read_count(values['t'], 1, TOP_MAX, &top);
    int ready = !misused && agree(make_domain(&of, cells));
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (ready) {
        analysis plan = {.directory = values['o'], .of = &of, .top = top};
        begin(&of);
        if (rank == 0)
            mkdir(plan.directory, 0777); /* if it cannot be used the first analysis says so */
        MPI_Barrier(of.grid);
        status = quern_context_create_on(of.grid, &options, &plan.context);
        if (status == QUERN_OK)
            status = simulate(&plan, steps, every);
        if (rank == 0 && status != QUERN_OK)
            fprintf(stderr, "heat: %s\n", quern_context_error_text(plan.context));
        quern_context_destroy(plan.context);
        free(plan.found);
        free(plan.order);
    } else if (!misused) {
        status = QUERN_ERROR_NO_MEMORY;
        if (rank == 0)
            fprintf(stderr, "heat: no memory for the cells\n");
    }
    if (!misused)
        free_domain(&of);
    if (misused && rank == 0)
        fprintf(stderr, "heat: %s\nusage: heat [--cells 256] [--steps 1000] [--every 100] [--top 10] -o DIR\n",
                quern_context_error_text(NULL));
    MPI_Finalize();
    return misused ? 2 : quern_exit_status(status);
}
