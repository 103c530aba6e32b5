/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two files of mates as one dataset of pairs, made of operators that there are: both sides are numbered, and joined by number.
 *
 * The obvious way, to cut the first file anywhere and to look for the same records in the second one, needs the number of the record at each
 * cut, that is a pass over both files beforehand; and packed files, which most of these are, cannot be entered in the middle, so
 * that one rank would have to read both and the others to look on. Here each file is read by itself, as well as it can be cut, on whatever
 * ranks; the price is that each record is stored and sent once.
 */
#include <quern/bad_records.h>
#include <quern/formats.h>
#include <quern/operators.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/api/dataset_internal.h"
#include "runtime/io/sequence_grammar.h"

#define BOTH             QUERN_PAIR(QUERN_BYTES, QUERN_BYTES)
#define SHOWN_NAME_BYTES 80
#define TEXT_BYTES       2048

/* Memory of a callback that grows with its records. */
typedef struct room {
    char *data;
    size_t bytes;
} room;

struct qn_pairing {
    const char *paths[2]; /* in the graph's arena */
    room key, value;
    struct qn_pairing *next;
};

void qn_pairings_destroy(struct qn_pairing *pairing)
{
    while (pairing) {
        struct qn_pairing *next = pairing->next;
        free(pairing->key.data);
        free(pairing->value.data);
        free(pairing);
        pairing = next;
    }
}

/* The pair of the two, in the room; data NULL: no memory. */
static quern_span pair_of(room *in, quern_span first, quern_span second)
{
    size_t bytes = quern_pair_bytes(BOTH, first, second);
    if (bytes > in->bytes) {
        free(in->data);
        in->bytes = 2 * bytes;
        in->data = malloc(in->bytes);
    }
    if (in->data)
        return quern_pair_put(BOTH, first, second, in->data);
    in->bytes = 0;
    return quern_bytes(NULL, 0);
}

/* A read under its number: header and sequence together are the value. */
static int number_read(const quern_record *in, uint64_t index, quern_record *out, void *user)
{
    static _Thread_local uint64_t number;
    struct qn_pairing *pairing = user;
    number = index;
    out->key = quern_of_u64(&number);
    out->value = pair_of(&pairing->value, in->key, in->value);
    return out->value.data ? 0 : -1;
}

static int shown_bytes(quern_span name)
{
    return (int)(name.bytes < SHOWN_NAME_BYTES ? name.bytes : SHOWN_NAME_BYTES);
}

static int fail_alone(const struct qn_pairing *pairing, uint64_t number, const quern_span *left,
                      const quern_span *right, quern_emitter *out)
{
    char text[TEXT_BYTES];
    quern_span name = quern_pair_first(BOTH, left ? *left : *right);
    snprintf(text, sizeof text, "%s has fewer records than %s: record %llu of that, \"%.*s\", has no mate",
             pairing->paths[left != NULL], pairing->paths[left == NULL], (unsigned long long)number, shown_bytes(name),
             (const char *)name.data);
    return quern_fail(out, 0, text);
}

static int fail_names(const struct qn_pairing *pairing, uint64_t number, quern_span first, quern_span second,
                      quern_emitter *out)
{
    char text[TEXT_BYTES];
    snprintf(text, sizeof text,
             "record %llu of %s, \"%.*s\", and that of %s, \"%.*s\", are no mates: their names differ",
             (unsigned long long)number, pairing->paths[0], shown_bytes(first), (const char *)first.data,
             pairing->paths[1], shown_bytes(second), (const char *)second.data);
    return quern_fail(out, 0, text);
}

static int join_mates(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    struct qn_pairing *pairing = user;
    uint64_t number = quern_u64(key) + 1;
    if (!left || !right)
        return fail_alone(pairing, number, left, right, out);
    quern_span first = quern_pair_first(BOTH, *left), second = quern_pair_first(BOTH, *right);
    if (!qn_sequence_are_mates(first, second))
        return fail_names(pairing, number, first, second, out);
    quern_span names = pair_of(&pairing->key, first, second);
    quern_span mates = pair_of(&pairing->value, quern_pair_second(BOTH, *left), quern_pair_second(BOTH, *right));
    return names.data && mates.data ? quern_emit(out, names, mates) : -1;
}

static struct qn_pairing *create_pairing(quern_context *context, const char *first, const char *second)
{
    struct qn_pairing *pairing = calloc(1, sizeof *pairing);
    if (pairing) {
        pairing->paths[0] = qn_arena_text(&context->graph.arena, first);
        pairing->paths[1] = qn_arena_text(&context->graph.arena, second);
    }
    if (pairing && pairing->paths[0] && pairing->paths[1]) {
        pairing->next = context->pairings;
        return context->pairings = pairing;
    }
    free(pairing);
    qn_error_set(qn_dataset_error_of(context), QUERN_ERROR_NO_MEMORY, 0, "no memory for a dataset");
    return NULL;
}

static quern_dataset *number_reads(quern_context *context, const char *path, const quern_sequence_options *options,
                                   struct qn_pairing *pairing)
{
    const quern_schema schema = {QUERN_U64, QUERN_BYTES, 0, 0};
    quern_dataset *reads = quern_read_sequences(context, &path, 1, options);
    /* Without a record that is bad all behind it would have other mates. */
    reads = quern_tolerate(reads, QUERN_BAD_FAIL, 0);
    return quern_name(quern_zip_with_index(reads, schema, number_read, pairing), "number reads");
}

quern_dataset *quern_read_sequence_pairs(quern_context *context, const char *first_path, const char *second_path,
                                         const quern_sequence_options *options)
{
    const quern_sequence_options plain = {.struct_size = sizeof plain};
    const quern_schema schema = {BOTH, QUERN_BYTES, 0, 0};
    if (!context)
        return NULL;
    if (!first_path || !second_path)
        return qn_dataset_refuse(context, "read sequence pairs: a path is NULL");
    if (options && (options->interleaved || options->piece_bases > 0))
        return qn_dataset_refuse(context,
                                 "read sequence pairs: mates of two files are neither interleaved nor in pieces");
    struct qn_pairing *pairing = create_pairing(context, first_path, second_path);
    if (!pairing)
        return NULL;
    const quern_sequence_options *how = options ? options : &plain;
    quern_dataset *first = number_reads(context, first_path, how, pairing);
    quern_dataset *second = number_reads(context, second_path, how, pairing);
    return quern_name(quern_join(first, second, QUERN_JOIN_FULL, schema, join_mates, pairing), "pair reads");
}
