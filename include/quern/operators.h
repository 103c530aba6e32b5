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
 * keys by value. Groups, and joins by sorting, come in the order of an internal hash of their keys; joins by broadcast in that of their large side; in a group, values are in their
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
    int descending;           /* not 0: the largest key first, by compare too; of equal keys the values still ascend */
    quern_compare_fn compare; /* of keys; NULL: the order of their type, many times as fast */
    void *user;               /* of compare; borrowed until quern_run() returns */
    int whole_keys;           /* not 0: all records of a key are on one rank, and in one part, however many they are */
} quern_sort_options;

/* All records in one total order by key: the parts of ranks, and of an output, are the sorted whole one behind the other. Records with equal
 * keys are ordered by their values, so that the order of the input has no meaning. The work is divided by a sample, one
 * frequent key among several ranks unless whole_keys says otherwise. Local; lazy; a shuffle at run. options NULL: ascending. QUERN_ERROR_INVALID_ARGUMENT: struct_size.
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

/* The k records with the largest values of each key, largest first. Values of any type. k: 1 or more. Local; lazy; a shuffle at run, of all records: those
 * of a key go to one rank. Where k is small an aggregation with room for k values moves far less. NULL on failure. Since 0.1. */
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

/* How a join is to be made. */
typedef enum quern_join_strategy {
    QUERN_JOIN_AUTO = 0,            /* BROADCAST where one side is small, as said below; else SORT */
    QUERN_JOIN_SORT = 1,            /* both sides are sent and sorted */
    QUERN_JOIN_BROADCAST_LEFT = 2,  /* the left side becomes a table on each node: INNER and RIGHT only */
    QUERN_JOIN_BROADCAST_RIGHT = 3, /* the right one: INNER, LEFT, SEMI and ANTI only */
} quern_join_strategy;

/* Of a join by sorting, the side that is streamed past the other one: the side for hot keys. */
typedef enum quern_join_outer {
    QUERN_JOIN_OUTER_AUTO = 0, /* as said below: the larger one */
    QUERN_JOIN_OUTER_LEFT = 1,
    QUERN_JOIN_OUTER_RIGHT = 2,
} quern_join_outer;

/* How to join. The struct grows at its end; struct_size is handled as in quern_options. */
typedef struct quern_join_options {
    size_t struct_size; /* sizeof(quern_join_options); 0 is refused */
    quern_join_strategy strategy;
    quern_join_outer outer; /* without a meaning where the join is by broadcast */
} quern_join_options;

/* Joins on equal keys. Both have keys of the same type; values may differ. Local; lazy. schema: of what fn emits; user is borrowed until
 * quern_run() returns.
 *
 * By sorting, which is a shuffle at run of both sides: one of them, the outer one, is streamed, and the other one, the inner one, is kept for each
 * key to be read again and again. The order is that of groups, and pairs of a key come in the order of the outer value, then of the inner one. A
 * key with very many outer records is divided among ranks, and its inner ones are copied to these; one with very many inner records is one rank's
 * work. So the outer side should be the one with hot keys. The program says which it is, or the library takes the side that is made of
 * more bytes of files (or of arrays, or of what quern_cache() kept when it was first joined), the left one of equal and of unknown sides; but never
 * a reduction, whose keys are all different, if the other side is none. That depends on the graph and the input alone, and quern_explain()
 * says which it is. SEMI and ANTI come in the order of the left value in any case.
 *
 * By broadcast: the small side becomes one read-only table on each node, and the other one is not sent at all, whatever keys are
 * frequent in it: its records come in the order of their dataset, and the pairs of one in the order of the small side's values.
 * If several outputs read the join, the large side is read for each of them, as it is behind a map.
 *
 * The library broadcasts the side (of two the smaller, of equal ones the right) that the type allows, if the files that it is made of, or what
 * quern_cache() kept of it, have at most as many bytes as the option broadcast says, and as a quarter of the node's memory; if its records
 * then, with their table, are as small, shared among the results that exist at the same time; and if one
 * output reads the join. Else it sorts, and so it does where a side that the program chose is too large for memory. So which way is taken, and with it the
 * order, depends on the input, the options and the node's memory, and not on the number of ranks or the schedule; quern_explain() says which.
 *
 * QUERN_ERROR_INVALID_PLAN: keys differ, an unknown type, or a strategy that the type does not allow. QUERN_ERROR_INVALID_ARGUMENT:
 * struct_size, an unknown strategy or outer side. NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_join_with(quern_dataset *left, quern_dataset *right, quern_join_type type,
                                         quern_schema schema, quern_join_fn fn, void *user,
                                         const quern_join_options *options);

/* quern_join_with() with QUERN_JOIN_AUTO. Local; lazy. NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_join(quern_dataset *left, quern_dataset *right, quern_join_type type,
                                    quern_schema schema, quern_join_fn fn, void *user);

/* Keeps the records of a dataset from the first run that needs them on, for that run and all later ones: its input is not read, and its
 * callbacks are not called, again. Local; lazy. Gives a dataset of the same records in the same order; use that one. They are kept where
 * they were made, nothing is sent: in memory as far as that goes, then in scratch, within the budget; what is kept from earlier runs
 * leaves at least half of the memory to the next. Of a reduction the result itself is
 * kept and not copied, and what is given is the same dataset. Where later runs join or cogroup it, they sort it once and keep that, too.
 * Nothing is kept of a run that fails. Until quern_uncache() or the end of
 * the context. NULL on failure. Since 0.1. Read next: quern_uncache(), docs/howto/keep-and-repeat.md. */
QUERN_API quern_dataset *quern_cache(quern_dataset *in);

/* Gives back what quern_cache() kept, however often that was called for it. Local, at once; the same on all ranks; not inside a
 * callback. The dataset can be used as before, and is worked out anew in each run that needs it. One that is not kept, and
 * NULL: nothing. Since 0.1. */
QUERN_API void quern_uncache(quern_dataset *dataset);

/* A record and its place in the order of its dataset, from 0. As quern_map_fn. */
typedef int (*quern_zip_fn)(const quern_record *in, uint64_t index, quern_record *out, void *user);

/* Gives each record its place in the dataset's order, which is the same for any number of ranks: the order of the input, or that of a
 * reduction. fn makes a record of the schema of the two; NULL: the value becomes the index (QUERN_U64), and schema has no meaning.
 * Local; lazy. At run the records are stored first, on their ranks and out of core, since nobody knows how many are before them;
 * those of quern_cache() are stored already, but for a reduction. user: borrowed until quern_run() returns. NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_zip_with_index(quern_dataset *in, quern_schema schema, quern_zip_fn fn, void *user);

/* Replaces each value, a number, by the sum of all values up to and including it, in the dataset's order. Sums have the types of those of
 * QUERN_SUM: QUERN_I64, QUERN_U64, or QUERN_F64, whose bits are the same for any number of ranks. An integer beyond 64 bits fails the
 * run and names a key at which it is, even if later values would bring it back. Local; lazy; stores as
 * quern_zip_with_index(). QUERN_ERROR_INVALID_PLAN: other values. NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_prefix_sum(quern_dataset *in);

/* Quantiles of the values, exactly: for each fraction f (0 … 1) the smallest value that at least that part of all values is not above; for 0 the
 * smallest one. A part is the number of values divided by that of all, as a double, so that f may be written in decimals: 0.07 of 100 values is
 * the 7th. Records of the value as key, and the number of its fraction (QUERN_U64, from 0) as value, in the order
 * of the values; none where there are no values. Values of any type that can be a key. Local; lazy; sorts and stores all values at run.
 * fractions are copied; fraction_count: 1 … 4096. QUERN_ERROR_INVALID_ARGUMENT: another count, or a fraction that is not 0 … 1.
 * QUERN_ERROR_INVALID_PLAN: there are no values. NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_quantiles(quern_dataset *in, const double *fractions, size_t fraction_count);

/* Makes the dataset of the next state with the ordinary calls; step counts from 0. May ask for outputs of it, or of anything else, which the
 * step's run then gives. NULL: failure. The same on all ranks. */
typedef quern_dataset *(*quern_step_fn)(quern_dataset *state, uint64_t step, void *user);
/* Sets *stop_out (preset 0) to 1 to end after this step; on all ranks alike. */
typedef int (*quern_until_fn)(uint64_t step, int *stop_out, void *user);

/* How to repeat. The struct grows at its end; struct_size is handled as in quern_options. */
typedef struct quern_iteration {
    size_t struct_size;      /* sizeof(quern_iteration); 0 is refused */
    uint64_t step_count_max; /* 0: none, only initial is worked out */
    quern_step_fn step;
    quern_until_fn until; /* after each step, on every rank; NULL: all steps are made */
} quern_iteration;

/* Repeats quern_run(): works initial out and keeps it as quern_cache() does; then, step after step, works out what step makes of the
 * state, keeps that, and gives back the state before, unless the program keeps it itself. A step reads the state, and other cached
 * datasets, and no input again. Everything asked for before runs with the first run. Collective, not lazy; the same status on all
 * ranks. Gives *result_out, the last state, still kept: quern_uncache() it in the end. Datasets that a step makes take memory until the
 * context ends, about 300 bytes for each call on each rank. After a failure of a step no state is kept, and *result_out is as
 * it was.
 * QUERN_ERROR_INVALID_ARGUMENT: struct_size, no step, NULL instead of result_out, or called inside a callback.
 * QUERN_ERROR_CALLBACK: until returned a failure, or step NULL. QUERN_ERROR_PLAN_MISMATCH: until did not decide alike on all
 * ranks. Those of quern_run(). Since 0.1. */
QUERN_API quern_status quern_iterate(quern_context *context, quern_dataset *initial, const quern_iteration *iteration,
                                     void *user, quern_dataset **result_out);

#ifdef __cplusplus
}
#endif
#endif
