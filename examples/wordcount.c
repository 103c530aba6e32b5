/* SPDX-License-Identifier: BSD-3-Clause */
/* Counts words: mpirun -n N wordcount [-o DIR] [--top K] PATH... */
#include <getopt.h>
#include <inttypes.h>
#include <quern/quern.h>
#include <stdio.h>
#include <stdlib.h>

static int print_word(const quern_record *word, void *out)
{
    fprintf(out, "%" PRIu64 "\t", quern_u64(word->value));
    fwrite(word->key.data, 1, word->key.bytes, out);
    return putc('\n', out) == EOF;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"top", required_argument, NULL, 'k'}, {0}};
    const char *directory = NULL;
    long top = 0;
    int usage_error = 0;
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    for (int option; (option = getopt_long(argc, argv, "o:", names, NULL)) != -1;) {
        directory = option == 'o' ? optarg : directory;
        top = option == 'k' ? atol(optarg) : top;
        usage_error |= option == '?' || top < 0;
    }
    quern_text_options words_of = {sizeof words_of, " \t\n\v\f\r", 1};
    quern_dataset *words = quern_read_text(context, (const char *const *)argv + optind, argc - optind, &words_of);
    quern_dataset *counts = quern_reduce_by_key(words, QUERN_COUNT);
    if (directory)
        quern_write_text(counts, directory);
    if (!directory || top)
        quern_top_k(counts, top ? top : 20, print_word, stdout);
    status = quern_run(context);
    if (status != QUERN_OK && quern_context_rank(context) == 0)
        fprintf(stderr, "wordcount: %s\n", quern_context_error_text(context));
    quern_context_destroy(context);
    return status != QUERN_OK;
}
