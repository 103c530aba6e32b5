/* @NAME@: for each key, how many lines of the input have it, and the sum of their numbers. mpirun -n N @NAME@ -o DIR PATH... */
#include <getopt.h>
#include <quern/quern.h>
#include <stdio.h>
#include <stdlib.h>

/* What is kept of each key. It is copied as it is: no pointers. */
typedef struct figures {
    int64_t count, sum;
} figures;

/* Called for each line of the input: gives a record or several, or none. It must give the same for the same line. */
static int read_line(const quern_record *line, quern_emitter *out, void *bad_lines)
{
    char number[32];
    const char *text = line->key.data, *tab = memchr(text, '\t', line->key.bytes);
    size_t bytes = tab ? line->key.bytes - (size_t)(tab + 1 - text) : sizeof number;
    if (bytes >= sizeof number) {
        quern_counter_add(bad_lines, 1);
        return 0;
    }
    memcpy(number, tab + 1, bytes);
    number[bytes] = 0;
    figures one = {1, strtoll(number, NULL, 10)};
    return quern_emit(out, quern_bytes(text, (size_t)(tab - text)), quern_bytes(&one, sizeof one));
}

/* Puts the figures of some lines of a key to those of others, in any order. */
static int add(void *into, const void *value, void *user)
{
    figures *all = into;
    const figures *more = value;
    (void)user;
    all->count += more->count;
    all->sum += more->sum;
    return 0;
}

/* What is written behind the key. */
static int write_figures(const quern_record *in, quern_record *out, void *user)
{
    static char text[64];
    figures all;
    (void)user;
    memcpy(&all, in->value.data, sizeof all);
    snprintf(text, sizeof text, "%lld\t%lld", (long long)all.count, (long long)all.sum);
    out->value = quern_text(text);
    return 0;
}

int main(int argc, char **argv)
{
    const quern_schema figures_of_keys = {.key = QUERN_BYTES, .value = QUERN_FIXED, .value_bytes = sizeof(figures)};
    const quern_schema text = {.key = QUERN_BYTES, .value = QUERN_BYTES};
    const char *directory = NULL;
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context); /* takes the options --quern-... out */
    int speaks = quern_context_rank(context) == 0, is_misused = status == QUERN_ERROR_INVALID_OPTION;
    for (int option; (option = getopt(argc, argv, "o:")) != -1;) {
        directory = optarg;
        is_misused |= option == '?';
    }
    is_misused |= !directory || optind == argc;
    if (status == QUERN_OK && !is_misused) {
        quern_counter *bad_lines = quern_counter_create(context, "bad lines");
        quern_dataset *lines = quern_read_text(context, (const char **)argv + optind, (size_t)(argc - optind), NULL);
        quern_dataset *records = quern_flat_map(lines, figures_of_keys, read_line, bad_lines);
        quern_dataset *sums = quern_reduce_by_key_with(records, add, NULL);
        quern_write_text(quern_map(sums, text, write_figures, NULL), directory);
        status = quern_run(context); /* nothing was done before */
        if (speaks && status == QUERN_OK)
            printf("%lld bad lines\n", (long long)quern_counter_value(bad_lines));
    }
    if (speaks && is_misused)
        fprintf(stderr, "usage: @NAME@ -o DIR [--quern-OPTION=VALUE...] PATH...\n%s", quern_options_help());
    else if (speaks && status != QUERN_OK)
        fprintf(stderr, "@NAME@: %s\n", quern_context_error_text(context));
    quern_context_destroy(context);
    return is_misused ? 2 : quern_exit_status(status);
}
