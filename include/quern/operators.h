/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern/operators.h: operators that need records in an order, or together: sort, group, join, unite, number, keep, repeat.
 *
 * Each is a dataset like those of quern/dataset.h, out of core: inputs, groups and the sides of a join may be many times larger
 * than memory.
 *
 *     const char *paths[] = {"/usr/include"};
 *     quern_dataset *lines = quern_read_text(context, paths, 1, NULL);
 *     quern_dataset *sorted = quern_sort_by_key(lines, NULL);
 *     quern_write_text(sorted, "sorted");
 *     quern_status status = quern_run(context);
 *
 * Order. Whatever the number of ranks and the schedule, the records come in the same order. Sorting is by key, and of equal
 * keys by value. Groups and joins come in the order of an internal hash of their keys; in a group, values are in their
 * type's order: bytes as by memcmp(), a prefix first; numbers by size.
 */
#ifndef QUERN_OPERATORS_H
#define QUERN_OPERATORS_H

#include <quern/dataset.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The records of both datasets, which must have the same types: first those of left, then those of right. Each may be read in any way; records
 * that are in both come twice. Local; lazy; moves nothing. QUERN_ERROR_INVALID_PLAN: different types. NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_union(quern_dataset *left, quern_dataset *right);

/* Below 0, 0 or above, as left comes before, with or after right; a total order, the same on all ranks. May be called on
 * a thread of the library's, as quern_reduce_fn. */
typedef int (*quern_compare_fn)(quern_span left, quern_span right, void *user);

/* How to sort. The struct grows at its end; struct_size is handled as in quern_options. */
typedef struct quern_sort_options {
    size_t struct_size;       /* sizeof(quern_sort_options); 0 is refused */
    int descending;           /* not 0: the largest key first; of equal keys the values still ascend */
    quern_compare_fn compare; /* of keys; NULL: the order of their type, many times as fast */
    void *user;               /* of compare; borrowed until quern_run() returns */
} quern_sort_options;

/* All records in one total order by key: the parts of ranks, and of an output, are the sorted whole one behind the other. Records with equal
 * keys are ordered by their values, so that the order of the input has no meaning. The work is divided by a sample, one
 * frequent key among several ranks. Local; lazy; a shuffle at run. options NULL: ascending. QUERN_ERROR_INVALID_ARGUMENT: struct_size.
 * NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_sort_by_key(quern_dataset *in, const quern_sort_options *options);

/* The values of a group, in order; any number, in memory that does not grow with it. */
typedef struct quern_values quern_values;

/* The next value: 1 and *value_out, which lives until the next call; 0 at the end; below 0 if the job is ending: then return
 * that from the callback. Local; only inside the callback it was given to. Since 0.1. */
QUERN_API int quern_values_next(quern_values *values, quern_span *value_out);

/* Begins again with the first value. 0, or below 0 as quern_values_next(). Of a group that is larger than memory the values
 * are read from scratch again. Local; only inside the callback. Since 0.1. */
QUERN_API int quern_values_rewind(quern_values *values);

/* One group: a key and its values, of which it may read as many as it likes. Emits any number of records. key lives until return. */
typedef int (*quern_group_fn)(quern_span key, quern_values *values, quern_emitter *out, void *user);

/* How to group. The struct grows at its end; struct_size is handled as in quern_options. */
typedef struct quern_group_options {
    size_t struct_size;    /* sizeof(quern_group_options); 0 is refused */
    int values_descending; /* not 0: the largest value first */
    quern_compare_fn
        compare_values; /* a secondary order of the user's; values that it calls equal are in their type's. NULL: that alone */
    void *compare_user; /* borrowed until quern_run() returns */
} quern_group_options;

/* Calls fn once for each distinct key with all values of that key. Local; lazy; a shuffle at run, of all records: where an
 * aggregation will do, it moves far less. schema: of what fn emits. A callback that fails is called again with the same group. options NULL: all
 * defaults; user is borrowed until quern_run() returns. NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_group_by_key(quern_dataset *in, quern_schema schema, quern_group_fn fn, void *user,
                                            const quern_group_options *options);

/* The k records with the largest values of each key, largest first. Values of any type. k: 1 or more. Local; lazy; a shuffle at run. NULL on
 * failure. Since 0.1. */
QUERN_API quern_dataset *quern_top_k_by_key(quern_dataset *in, uint64_t k);

/* One key of two datasets with the values of each; either may be empty, not both. As quern_group_fn. */
typedef int (*quern_cogroup_fn)(quern_span key, quern_values *left, quern_values *right, quern_emitter *out,
                                void *user);

/* Calls fn once for each key that is in left or in right. Both have keys of the same type; values may differ. Local; lazy; a shuffle at run.
 * QUERN_ERROR_INVALID_PLAN: keys differ. NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_cogroup(quern_dataset *left, quern_dataset *right, quern_schema schema,
                                       quern_cogroup_fn fn, void *user);

typedef enum quern_join_type {
    QUERN_JOIN_INNER = 1, /* each pair of a left and a right record of equal keys */
    QUERN_JOIN_LEFT = 2,  /* and left records without a partner */
    QUERN_JOIN_RIGHT = 3, /* pairs, and right records without a partner */
    QUERN_JOIN_FULL = 4,  /* pairs, and both kinds of these */
    QUERN_JOIN_SEMI = 5,  /* left records that have a partner, once each */
    QUERN_JOIN_ANTI = 6,  /* left records that have none */
} quern_join_type;

/* Makes records of a pair: left or right is NULL for a record without a partner, right always for SEMI and ANTI. */
typedef int (*quern_join_fn)(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out,
                             void *user);

/* Joins on equal keys. Both have keys of the same type; values may differ. Pairs of a key come in the order of the left value, then of
 * the right one. A key with very many left records is divided among ranks, and its right ones copied to these. Local; lazy; a shuffle at
 * run. schema: of what fn emits; user is borrowed until quern_run() returns. QUERN_ERROR_INVALID_PLAN: keys differ, or an unknown type.
 * NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_join(quern_dataset *left, quern_dataset *right, quern_join_type type,
                                    quern_schema schema, quern_join_fn fn, void *user);

#ifdef __cplusplus
}
#endif
#endif
