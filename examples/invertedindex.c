/* SPDX-License-Identifier: BSD-3-Clause. Which files have a word: mpirun -n N invertedindex -o DIR PATH... */
/*
 * Writes word<TAB>file,file,… for each word: maximal runs of bytes that are no white space, as in wordcount. Files are named as given, or as
 * found below a directory that was, each once, in byte order. Their names are written as they are: one with a comma or a newline in it
 * does not read back.
 */
#include <getopt.h>
#include <quern/quern.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct text_buffer {
    char *data;
    size_t bytes, capacity;
} text_buffer;

static int make_room(text_buffer *in, size_t bytes)
{
    char *data = bytes > in->capacity ? realloc(in->data, 2 * bytes) : in->data;
    if (!data)
        return -1;
    in->capacity = bytes > in->capacity ? 2 * bytes : in->capacity;
    in->data = data;
    return 0;
}

static int put(text_buffer *to, quern_span what)
{
    if (make_room(to, to->bytes + what.bytes) != 0)
        return -1;
    memcpy(to->data + to->bytes, what.data, what.bytes);
    to->bytes += what.bytes;
    return 0;
}

static const quern_type file_and_word = QUERN_PAIR(QUERN_BYTES, QUERN_BYTES);

/* File and word become one key, so that a word counts once in each file before it travels. */
static int join_key(const quern_block *words, quern_emitter *out, void *user)
{
    text_buffer *room = user;
    for (size_t i = 0; i < words->count; i++) {
        quern_span word = quern_bytes(words->key[i], words->key_bytes[i]);
        quern_span file = quern_bytes(words->value[i], words->value_bytes[i]);
        if (make_room(room, quern_pair_bytes(file_and_word, file, word)) != 0)
            return quern_fail(out, i, "no memory for a word");
        if (quern_emit(out, quern_pair_put(file_and_word, file, word, room->data), quern_bytes("", 0)) != 0)
            return -1;
    }
    return 0;
}

static int split_key(const quern_block *pairs, quern_emitter *out, void *user)
{
    (void)user;
    for (size_t i = 0; i < pairs->count; i++) {
        quern_span pair = quern_bytes(pairs->key[i], pairs->key_bytes[i]);
        if (quern_emit(out, quern_pair_second(file_and_word, pair), quern_pair_first(file_and_word, pair)) != 0)
            return -1;
    }
    return 0;
}

static int list_files(quern_span word, quern_values *files, quern_emitter *out, void *user)
{
    text_buffer *list = user;
    quern_span file;
    int more;
    for (list->bytes = 0; (more = quern_values_next(files, &file)) > 0;)
        if ((list->bytes > 0 && put(list, quern_text(",")) != 0) || put(list, file) != 0)
            return quern_fail(out, 0, "no memory for a list of files");
    return more < 0 ? more : quern_emit(out, word, quern_bytes(list->data, list->bytes));
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"output", required_argument, NULL, 'o'}, {0}};
    const quern_schema keys = {.key = file_and_word, .value = QUERN_NONE},
                       lists = {.key = QUERN_BYTES, .value = QUERN_BYTES};
    const char *directory = NULL;
    text_buffer key = {0}, list = {0};
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    int speaks = quern_context_rank(context) == 0, misused = status == QUERN_ERROR_INVALID_OPTION, option;
    for (opterr = 0; (option = getopt_long(argc, argv, "o:", names, NULL)) != -1;) {
        misused |= option == '?';
        directory = option == 'o' ? optarg : directory;
    }
    misused |= !directory || optind == argc;
    if (!misused) {
        quern_text_options words_of = {
            .struct_size = sizeof words_of, .delimiters = " \t\n\v\f\r", .skip_empty = 1, .value = QUERN_TEXT_PATH};
        quern_dataset *words =
            quern_read_text(context, (const char **)argv + optind, (size_t)(argc - optind), &words_of);
        quern_dataset *pairs = quern_distinct(quern_flat_map_block(words, keys, join_key, &key));
        quern_dataset *files_of_words = quern_flat_map_block(pairs, lists, split_key, NULL);
        quern_write_text(quern_group_by_key(files_of_words, lists, list_files, &list, NULL), directory);
        status = quern_run(context);
        if (status != QUERN_OK && speaks)
            fprintf(stderr, "invertedindex: %s\n", quern_context_error_text(context));
    } else if (speaks)
        fprintf(stderr, "%s\nusage: invertedindex -o DIR PATH...\n", quern_context_error_text(context));
    free(key.data);
    free(list.data);
    quern_context_destroy(context);
    return misused ? 2 : quern_exit_status(status);
}
