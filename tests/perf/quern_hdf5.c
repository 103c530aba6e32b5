/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern_hdf5 FILE DATASET: what bare_hdf5 does, by Quern: rows, each added up in a callback of blocks.
 *
 * Prints the rows, and the seconds of quern_run() on rank 0.
 */
#include <quern/quern.h>
#include <stdio.h>
#include <time.h>

static double sum;

static int add_up(const quern_block *in, uint8_t *keep_out, void *user)
{
    (void)user;
    for (size_t i = 0; i < in->count; i++) {
        const double *numbers = in->value[i];
        double of_row = 0;
        for (size_t n = 0; n < in->value_bytes[i] / sizeof *numbers; n++)
            of_row += numbers[n];
        sum += of_row;
        keep_out[i] = 0;
    }
    return 0;
}

static int ignore(const quern_record *record, void *user)
{
    (void)record, (void)user;
    return 0;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    quern_hdf5_options form = {.struct_size = sizeof form, .dataset = argv[2]};
    quern_dataset *rows = quern_read_hdf5(context, (const char *const *)&argv[1], 1, &form);
    quern_collect(quern_filter_block(rows, add_up, NULL), QUERN_COLLECT_ROOT, ignore, NULL);
    double start = now();
    if (status == QUERN_OK)
        status = quern_run(context);
    double seconds = now() - start;
    if (quern_context_rank(context) == 0)
        printf("%.17g\t%s\t%.6f\n", sum, quern_status_name(status), seconds);
    quern_context_destroy(context);
    return status != QUERN_OK;
}
