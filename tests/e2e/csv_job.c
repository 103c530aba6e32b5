/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A job that writes the rows it reads as a table again: csv_job -o OUT [-i SEPARATOR] [-q] [-H] [-f csv|tsv] [-s SEPARATOR] [-n NAME]... [-1] [-a]
 * [-k] PATH...
 *
 * -i, -q and -H are of the input: its separator, that quotes mean nothing, and that its first row is a header. -1: one file; -a: a tar. -k: the first field and
 * the whole row are written as two fields.
 */
#include <quern/quern.h>
#include <stdio.h>
#include <unistd.h>

#define NAME_COUNT_MAX 64

int main(int argc, char **argv)
{
    quern_csv_options from = {.struct_size = sizeof from, .ragged = 1};
    quern_output_options to = {.struct_size = sizeof to, .form = QUERN_FORM_CSV, .rows = 1};
    const char *names[NAME_COUNT_MAX], *out = NULL;
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    to.names = names;
    for (int option; (option = getopt(argc, argv, "o:i:qHf:s:n:1ak")) != -1;) {
        out = option == 'o' ? optarg : out;
        from.separator = option == 'i' ? *optarg : from.separator;
        from.no_quotes |= option == 'q';
        from.header |= option == 'H';
        to.form = option == 'f' && *optarg == 't' ? QUERN_FORM_TSV : to.form;
        to.separator = option == 's' ? *optarg : to.separator;
        to.one_file |= option == '1';
        to.archive = option == 'a' ? QUERN_TAR : to.archive;
        to.rows &= option != 'k';
        if (option == 'n' && to.name_count < NAME_COUNT_MAX)
            names[to.name_count++] = optarg;
    }
    to.row_separator = from.separator;
    to.row_no_quotes = from.no_quotes;
    quern_dataset *rows = quern_read_csv(context, (const char *const *)argv + optind, (size_t)(argc - optind), &from);
    quern_write_files(rows, out, &to);
    if (status == QUERN_OK && (status = quern_run(context)) != QUERN_OK && quern_context_rank(context) == 0)
        fprintf(stderr, "csv_job: %s\n", quern_context_error_text(context));
    quern_context_destroy(context);
    return quern_exit_status(status);
}
