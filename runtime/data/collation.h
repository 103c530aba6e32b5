/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/collation.h: the total order in which packed records are partitioned, sorted and read.
 *
 * By key first (by its hash, by its type, or as the user compares), then by key bytes, side, and value. Two records that compare
 * equal are the same bytes, so whatever the ranks and the schedule, the sorted sequence is the same bytes too: there is no order
 * of arrival in it.
 */
#ifndef QN_DATA_COLLATION_H
#define QN_DATA_COLLATION_H

#include <quern/types.h>

#include "runtime/data/packed.h"

typedef enum qn_collation_kind {
    QN_COLLATE_BY_HASH, /* equal keys together, in no order that means anything */
    QN_COLLATE_BY_KEY,
    QN_COLLATE_BY_USER, /* compare_keys; keys that it calls equal stay apart by their bytes */
} qn_collation_kind;

typedef int (*qn_compare_fn)(quern_span left, quern_span right, void *user);

typedef struct qn_collation {
    qn_collation_kind kind;
    qn_layout layout;
    bool descending;              /* keys, largest first; not by hash */
    bool values_descending;       /* within a key */
    qn_compare_fn compare_keys;   /* BY_USER */
    qn_compare_fn compare_values; /* NULL: by their type */
    void *user;                   /* of both; borrowed */
} qn_collation;

/* The word that decides most comparisons: a smaller one sorts first. 0 for all where the user compares. */
static inline uint64_t qn_collation_prefix(const qn_collation *collation, const qn_packed *record)
{
    if (collation->kind == QN_COLLATE_BY_USER)
        return 0;
    return collation->descending ? ~record->prefix : record->prefix;
}

/* Below 0, 0 or above. Keys only: 0 means the same key. */
int qn_collation_compare_keys(const qn_collation *collation, const qn_packed *left, const qn_packed *right);
/* The whole order. */
int qn_collation_compare(const qn_collation *collation, const qn_packed *left, const qn_packed *right);

#endif
