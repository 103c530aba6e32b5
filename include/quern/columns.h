/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern/columns.h: records by the array: for loops over plain arrays, and for languages in which each call costs.
 *
 *     const char *paths[] = {"/usr/include"};
 *     quern_dataset *counts = quern_reduce_by_key(quern_read_text(context, paths, 1, NULL), QUERN_COUNT);
 *     quern_columns *found = quern_columns_collect(counts, QUERN_COLLECT_ALL);
 *     if (quern_run(context) == QUERN_OK && quern_columns_count(found) > 0) {
 *         const char *lines = quern_columns_keys(found);
 *         const uint64_t *ends = quern_columns_key_ends(found), *count = quern_columns_values(found);
 *         printf("%.*s: %" PRIu64 "\n", (int)ends[0], lines, count[0]);
 *     }
 *     quern_columns_free(found);
 *
 * A column holds the keys, or the values, of records one behind the other, without padding: numbers and structs are an array of their type, aligned for any; of
 * bytes, and of pairs, `ends` says where each ends (and the next begins); the first begins at 0.
 *
 * Limits. What is collected is in the program's own memory, outside of the option memory, besides what quern_collect() says.
 */
#ifndef QUERN_COLUMNS_H
#define QUERN_COLUMNS_H

#include <quern/dataset.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Puts records->count records out of a callback, as quern_emit() does with each in turn. value may be NULL if the schema has
 * QUERN_NONE. Local; only inside the callback that `out` was given to. Returns as quern_emit(). Since 0.1. */
QUERN_API int quern_emit_block(quern_emitter *out, const quern_block *records);

/* Copies spans one behind the other to `to`, which has room for all their bytes: the keys, or the values, of a block become
 * a column. Local, any thread; cannot fail. data, bytes: [count]. Returns how many bytes it wrote. Since 0.1. */
QUERN_API size_t quern_pack_spans(const void *const *data, const uint32_t *bytes, size_t count, void *to);

/* Records that were collected, as two columns. */
typedef struct quern_columns quern_columns;

/* Asks for the records of a dataset as columns, as quern_collect() asks for them one by one: order and `to` as said there. Local; lazy.
 * Gives columns, empty until the quern_run() that follows returned QUERN_OK, and then those of that run alone; their content has no meaning if it failed. The caller owns them until
 * quern_columns_free(), which must not come before the end of that run. NULL on failure, as builders. Since 0.1. */
QUERN_API quern_columns *quern_columns_collect(quern_dataset *in, quern_collect_to to);

/* How many records there are. Local; cannot fail. Since 0.1. */
QUERN_API size_t quern_columns_count(const quern_columns *columns);

/* The column of keys; borrowed until quern_columns_free(), not NULL. Local; cannot fail. Since 0.1. */
QUERN_API const void *quern_columns_keys(const quern_columns *columns);

/* Where each key ends: [count]; NULL if all keys have the same length. Local; cannot fail. Since 0.1. */
QUERN_API const uint64_t *quern_columns_key_ends(const quern_columns *columns);

/* The column of values, of no bytes if the schema has QUERN_NONE; as quern_columns_keys(). Local; cannot fail. Since 0.1. */
QUERN_API const void *quern_columns_values(const quern_columns *columns);

/* Where each value ends, as quern_columns_key_ends(). Local; cannot fail. Since 0.1. */
QUERN_API const uint64_t *quern_columns_value_ends(const quern_columns *columns);

/* Gives them back; the context they came from may be gone. Local. NULL: nothing. Since 0.1. */
QUERN_API void quern_columns_free(quern_columns *columns);

#ifdef __cplusplus
}
#endif
#endif
