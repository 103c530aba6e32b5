/* SPDX-License-Identifier: BSD-3-Clause. Joins tables: mpirun -n N join -o DIR [--type TYPE] --left PATH --right PATH */
/*
 * The key of a line is what stands before its first tab, the rest what stands behind it; without a tab the line is the key and the rest is
 * empty. Types inner (the default), left, right and full write key<TAB>left rest<TAB>right rest for each pair of lines of equal
 * keys, and for lines without a partner with an empty rest on the other side, if the type keeps them. semi and anti write
 * key<TAB>left rest for each left line that has a partner, or has none. Lines end with \n; a \r before it belongs to the line.
 */
#include <getopt.h>
#include <quern/quern.h>
#include <stdio.h>
#include <stdlib.h>

static int split_lines(const quern_block *lines, quern_emitter *out, void *user)
{
    (void)user;
    for (size_t i = 0; i < lines->count; i++) {
        const char *line = lines->key[i], *end = line + lines->key_bytes[i];
        const char *tab = memchr(line, '\t', lines->key_bytes[i]);
        const char *key_end = tab ? tab : end, *rest = tab ? tab + 1 : end;
        if (quern_emit(out, quern_bytes(line, (size_t)(key_end - line)), quern_bytes(rest, (size_t)(end - rest))) != 0)
            return -1;
    }
    return 0;
}

/* Where a pair is put together; grows. */
typedef struct pair_buffer {
    char *data;
    size_t capacity;
} pair_buffer;

static int pair_rests(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    pair_buffer *pair = user;
    size_t left_bytes = left ? left->bytes : 0, right_bytes = right ? right->bytes : 0;
    size_t bytes = left_bytes + 1 + right_bytes;
    if (bytes > pair->capacity) {
        char *data = realloc(pair->data, 2 * bytes);
        if (!data)
            return quern_fail(out, 0, "no memory for a pair of lines");
        *pair = (pair_buffer){data, 2 * bytes};
    }
    if (left_bytes > 0)
        memcpy(pair->data, left->data, left_bytes);
    pair->data[left_bytes] = '\t';
    if (right_bytes > 0)
        memcpy(pair->data + left_bytes + 1, right->data, right_bytes);
    return quern_emit(out, key, quern_bytes(pair->data, bytes));
}

static int left_alone(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    (void)right, (void)user;
    return quern_emit(out, key, *left);
}

/* 0: there is no such type. */
static quern_join_type type_of(const char *name)
{
    static const char *const names[] = {"inner", "left", "right", "full", "semi", "anti"}; /* as in quern_join_type */
    for (int i = 0; i < 6; i++)
        if (strcmp(name, names[i]) == 0)
            return (quern_join_type)(i + QUERN_JOIN_INNER);
    return (quern_join_type)0;
}

static quern_dataset *read_table(quern_context *context, const char *path)
{
    const quern_schema key_and_rest = {.key = QUERN_BYTES, .value = QUERN_BYTES};
    return quern_flat_map_block(quern_read_text(context, &path, 1, NULL), key_and_rest, split_lines, NULL);
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"output", required_argument, NULL, 'o'},
                                          {"type", required_argument, NULL, 't'},
                                          {"left", required_argument, NULL, 'l'},
                                          {"right", required_argument, NULL, 'r'},
                                          {0}};
    const quern_schema rows = {.key = QUERN_BYTES, .value = QUERN_BYTES};
    const char *values[128] = {['t'] = "inner"};
    pair_buffer pair = {0};
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    int speaks = quern_context_rank(context) == 0, option;
    for (opterr = 0; (option = getopt_long(argc, argv, "o:", names, NULL)) != -1;)
        values[option] = optarg ? optarg : "";
    quern_join_type type = type_of(values['t']);
    int misused = status == QUERN_ERROR_INVALID_OPTION || values['?'] || optind < argc || type == 0 || !values['o'] ||
                  !values['l'] || !values['r'];
    if (!misused) {
        quern_join_fn fn = type == QUERN_JOIN_SEMI || type == QUERN_JOIN_ANTI ? left_alone : pair_rests;
        quern_dataset *left = read_table(context, values['l']), *right = read_table(context, values['r']);
        quern_write_text(quern_join(left, right, type, rows, fn, &pair), values['o']);
        status = quern_run(context);
        if (status != QUERN_OK && speaks)
            fprintf(stderr, "join: %s\n", quern_context_error_text(context));
    } else if (speaks)
        fprintf(stderr, "%s\nusage: join -o DIR [--type inner|left|right|full|semi|anti] --left PATH --right PATH\n",
                quern_context_error_text(context));
    free(pair.data);
    quern_context_destroy(context);
    return misused ? 2 : quern_exit_status(status);
}
