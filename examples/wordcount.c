/* SPDX-License-Identifier: BSD-3-Clause. Counts words: mpirun -n N wordcount [-o DIR] [--top K] PATH... */
#include <getopt.h>
#include <inttypes.h>
#include <quern/quern.h>
#include <stdio.h>
#include <stdlib.h>

static int print_word(const quern_record *word, void *out)
{
    fprintf(out, "%" PRIu64 "\t", quern_u64(word->value));
    fwrite(word->key.data, 1, word->key.bytes, out);
    return putc('\n', out) == EOF || fflush(out) != 0;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"top", required_argument, NULL, 'k'}, {0}};
    const char *values[128] = {NULL};
    char *end = NULL;
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    int speaks = quern_context_rank(context) == 0, option;
    for (opterr = 0; (option = getopt_long(argc, argv, "o:", names, NULL)) != -1;)
        values[option] = optarg ? optarg : "";
    long long top = values['k'] ? strtoll(values['k'], &end, 10) : 20;
    int misused = status == QUERN_ERROR_INVALID_OPTION || values['?'] || (end && *end) || top < 1 || optind == argc;
    quern_text_options words_of = {.struct_size = sizeof words_of, .delimiters = " \t\n\v\f\r", .skip_empty = 1};
    quern_dataset *words = quern_read_text(context, (const char **)argv + optind, (size_t)(argc - optind), &words_of);
    quern_dataset *counts = quern_reduce_by_key(words, QUERN_COUNT);
    if (values['o'])
        quern_write_text(counts, values['o']);
    if (values['k'] || !values['o'])
        quern_top_k(counts, (uint64_t)top, print_word, stdout);
    if (!misused && (status = quern_run(context)) != QUERN_OK && speaks)
        fprintf(stderr, "wordcount: %s\n", quern_context_error_text(context));
    if (misused && speaks)
        fprintf(stderr, "%s\nusage: wordcount [-o DIR] [--top K] PATH...\n", quern_context_error_text(context));
    quern_context_destroy(context);
    return misused ? 2 : quern_exit_status(status);
}
