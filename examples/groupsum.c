/* SPDX-License-Identifier: BSD-3-Clause. Sums up by key: mpirun -n N groupsum -o DIR PATH... */
/*
 * Lines are key<TAB>integer, of 64 bits with sign, and end with \n or \r\n; what is written is key<TAB>sum. A key has no tab, but
 * may be empty. A line of another form, and a sum beyond 64 bits, end the job.
 */
#include <getopt.h>
#include <quern/quern.h>
#include <stdio.h>

/* So many digits are within 64 bits, whatever they are. */
#define SAFE_DIGITS_MAX 18

/* The integer that these bytes are, all of them. */
static int read_integer(const char *text, const char *end, int64_t *number_out)
{
    int is_negative = text < end && *text == '-';
    uint64_t size = 0, most = (uint64_t)INT64_MAX + (uint64_t)is_negative;
    text += text < end && (*text == '-' || *text == '+');
    if (text == end)
        return -1;
    for (int is_safe = end - text <= SAFE_DIGITS_MAX; text < end; text++) {
        uint64_t digit = (uint64_t)(unsigned char)*text - '0';
        if (digit > 9 || (!is_safe && size > (most - digit) / 10))
            return -1;
        size = 10 * size + digit;
    }
    *number_out = (int64_t)(is_negative ? -size : size);
    return 0;
}

static int parse_lines(const quern_block *lines, quern_emitter *out, void *user)
{
    (void)user;
    for (size_t i = 0; i < lines->count; i++) {
        const char *line = lines->key[i], *end = line + lines->key_bytes[i];
        const char *tab = memchr(line, '\t', lines->key_bytes[i]);
        int64_t number;
        if (tab && end[-1] == '\r')
            end--;
        if (!tab || read_integer(tab + 1, end, &number) != 0)
            return quern_fail(out, i, tab ? "behind the tab is no integer of 64 bits" : "the line has no tab");
        if (quern_emit(out, quern_bytes(line, (size_t)(tab - line)), quern_of_i64(&number)) != 0)
            return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"output", required_argument, NULL, 'o'}, {0}};
    const quern_schema numbers = {.key = QUERN_BYTES, .value = QUERN_I64};
    const char *directory = NULL;
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    int speaks = quern_context_rank(context) == 0, misused = status == QUERN_ERROR_INVALID_OPTION, option;
    for (opterr = 0; (option = getopt_long(argc, argv, "o:", names, NULL)) != -1;) {
        misused |= option == '?';
        directory = option == 'o' ? optarg : directory;
    }
    misused |= !directory || optind == argc;
    if (!misused) {
        quern_dataset *lines = quern_read_text(context, (const char **)argv + optind, (size_t)(argc - optind), NULL);
        quern_dataset *parsed = quern_flat_map_block(lines, numbers, parse_lines, NULL);
        quern_write_text(quern_reduce_by_key(quern_name(parsed, "key and integer"), QUERN_SUM), directory);
        status = quern_run(context);
        if (status != QUERN_OK && speaks)
            fprintf(stderr, "groupsum: %s\n", quern_context_error_text(context));
    } else if (speaks)
        fprintf(stderr, "%s\nusage: groupsum -o DIR PATH...\n", quern_context_error_text(context));
    quern_context_destroy(context);
    return misused ? 2 : quern_exit_status(status);
}
