/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/shuffle/splitters.h: which stretch of an order each rank gets, by a sample of all ranks' records.
 *
 * Every rank gets the same samples and so cuts at the same records. Rank r gets what is at or after cut r - 1 and before cut r.
 * Where a key must not be divided, cuts are at the begin of keys. Where it may, a cut is a record: so a key with half of
 * all records is divided by their values; and records that are the same bytes as a cut, which no order can divide, go to the ranks on both sides of
 * it in the proportion that the sample found.
 *
 * A join divides only its outer side: the inner records of a key that is divided go to every rank that has a part of it. These copies are work,
 * too, so cuts are where every rank has as little as can be with them. A cut cannot be among inner records, and is in front of their key then: so
 * a rank has at most an even share, the copies of the key that it begins in, and what is missing behind the one that ended in front of another.
 */
#ifndef QN_SHUFFLE_SPLITTERS_H
#define QN_SHUFFLE_SPLITTERS_H

#include "runtime/base/status.h"
#include "runtime/data/collation.h"

#define QN_SIDE_INNER 0 /* as joins collate: the inner records of a key come before the outer ones */
#define QN_SIDE_OUTER 1

typedef enum qn_division {
    QN_DIVIDE_RECORDS, /* anywhere */
    QN_DIVIDE_KEYS,    /* between keys */
    QN_DIVIDE_OUTER,   /* between keys, and between outer records of one */
} qn_division;

typedef struct qn_cut {
    qn_packed record; /* borrows the samples */
    uint64_t prefix;  /* of the collation */
    bool whole_key;   /* at the begin of the record's key */
    uint32_t before;  /* of 2^16 records equal to the cut, how many belong before it */
} qn_cut;

typedef struct qn_splitters {
    const qn_collation *collation; /* borrowed */
    qn_cut *cuts;                  /* [count], ascending */
    uint32_t count;                /* ranks less one; 0 until they are made */
    uint32_t turn;                 /* of records that are equal to a cut */
    void *keys;                    /* of the cuts, once qn_splitters_keep(); owned */
    bool has_hot_key;              /* a key has a good part of a rank's share */
    bool is_uneven;                /* records of other keys, ordered by hash, would go to few of the ranks */
} qn_splitters;

/* Samples of one rank. */
typedef struct qn_rank_sample {
    const uint8_t *packed; /* records */
    uint64_t bytes;
    uint64_t record_count; /* that they stand for */
} qn_rank_sample;

/* Cuts the order for `size` ranks. The samples' bytes are borrowed until fini. QUERN_ERROR_NO_MEMORY, QUERN_ERROR_CORRUPT. */
quern_status qn_splitters_init(qn_splitters *splitters, const qn_collation *collation, qn_division division,
                               const qn_rank_sample *samples, uint32_t size, qn_error *error);
void qn_splitters_fini(qn_splitters *splitters); /* takes a zeroed one */
/* Of cuts between keys: they borrow nothing any more but the collation. QUERN_ERROR_NO_MEMORY: all is as before. */
quern_status qn_splitters_keep(qn_splitters *splitters, qn_error *error);
/* The same cuts between keys, for the records of another collation with the same order of keys. `from` is borrowed until fini.
 * QUERN_ERROR_NO_MEMORY. */
quern_status qn_splitters_init_like(qn_splitters *splitters, const qn_splitters *from, const qn_collation *collation,
                                    qn_error *error);

/* The ranks [*first, *last] that a record goes to: one; only inner records may have several. */
void qn_splitters_route(qn_splitters *splitters, const qn_packed *record, uint32_t *first, uint32_t *last);

/* Whether a key's outer records are divided so that rank `rank` has only a part of them; *is_first_out: no rank before it has another one. All of
 * these ranks have the inner records, even one that got none of the outer ones. */
bool qn_splitters_is_divided(const qn_splitters *splitters, uint32_t rank, const qn_packed *record, bool *is_first_out);

#endif
