/* SPDX-License-Identifier: BSD-3-Clause. Sorts records: mpirun -n N sortrecords -o DIR [--record 100] [--key 10] PATH... */
/*
 * Files are records of one length, the first bytes of each its key. The parts of DIR, one behind the other, are all records in the
 * order of their keys, as by memcmp(); those with equal keys in the order of their other bytes.
 */
#include <getopt.h>
#include <quern/quern.h>
#include <stdio.h>
#include <stdlib.h>

/* 0: the text is no number of bytes that a record can have. */
static uint32_t read_bytes(const char *text)
{
    char *end;
    unsigned long long bytes = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == 0 && bytes <= INT32_MAX ? (uint32_t)bytes : 0;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"output", required_argument, NULL, 'o'},
                                          {"record", required_argument, NULL, 'r'},
                                          {"key", required_argument, NULL, 'k'},
                                          {0}};
    const char *values[128] = {['r'] = "100", ['k'] = "10"};
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    int speaks = quern_context_rank(context) == 0, option;
    for (opterr = 0; (option = getopt_long(argc, argv, "o:", names, NULL)) != -1;)
        values[option] = optarg ? optarg : "";
    quern_fixed_options form = {
        .struct_size = sizeof form, .record_bytes = read_bytes(values['r']), .key_bytes = read_bytes(values['k'])};
    int misused = status == QUERN_ERROR_INVALID_OPTION || values['?'] || optind == argc || !values['o'] ||
                  form.key_bytes == 0 || form.key_bytes > form.record_bytes;
    form.schema.key = QUERN_BYTES;
    form.schema.value = form.key_bytes < form.record_bytes ? QUERN_BYTES : QUERN_NONE;
    if (!misused) {
        quern_dataset *records =
            quern_read_fixed(context, (const char **)argv + optind, (size_t)(argc - optind), &form);
        quern_write_fixed(quern_sort_by_key(records, NULL), values['o']);
        status = quern_run(context);
        if (status != QUERN_OK && speaks)
            fprintf(stderr, "sortrecords: %s\n", quern_context_error_text(context));
    } else if (speaks)
        fprintf(stderr, "%s\nusage: sortrecords -o DIR [--record BYTES] [--key BYTES] PATH...\n",
                quern_context_error_text(context));
    quern_context_destroy(context);
    return misused ? 2 : quern_exit_status(status);
}
