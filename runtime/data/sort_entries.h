/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/sort_entries.h: sorts packed records that lie in memory by moving small entries instead of them.
 *
 * An entry is the word that decides most comparisons, and where its record lies. Entries are dealt out by their words, ever finer
 * (a radix sort over the range that there is, so skew costs a pass at most); runs of equal words are sorted by the next bytes of
 * the key, then by side and value, in the same way. So long common beginnings are read once per record and not once per
 * comparison. Where the user compares, it is a merge sort, whose steps depend only on the number of records: a comparison that
 * contradicts itself gives a wrong order and nothing worse.
 */
#ifndef QN_DATA_SORT_ENTRIES_H
#define QN_DATA_SORT_ENTRIES_H

#include <stddef.h>

#include "runtime/data/collation.h"

typedef struct qn_sort_entry {
    uint64_t prefix; /* qn_collation_prefix() of the record; any word when sorted */
    uint64_t place;  /* offset of the record */
} qn_sort_entry;

#define QN_SORT_FETCH_AHEAD     24
#define QN_SORT_FETCH_BYTES_MAX 256

/* The whole record at a place, which was looked at before it came there. */
static inline uint64_t qn_sort_decode(const qn_layout *layout, const uint8_t *record, qn_packed *record_out)
{
    return qn_packed_decode(layout, record, UINT64_MAX, record_out);
}

/* Records lie scattered: brings the begin of one into the cache before it is needed. */
static inline void qn_sort_fetch(const uint8_t *record)
{
    __builtin_prefetch(record);
    __builtin_prefetch(record + 64);
}

/* The same with all of a record of about that many bytes; of a long one the begin, behind which the processor goes on by itself. */
static inline void qn_sort_fetch_whole(const uint8_t *record, size_t bytes)
{
    size_t fetched_bytes = bytes < QN_SORT_FETCH_BYTES_MAX ? bytes : QN_SORT_FETCH_BYTES_MAX;
    for (size_t at = 0; at + 1 < fetched_bytes; at += 64)
        __builtin_prefetch(record + at);
    __builtin_prefetch(record + fetched_bytes - 1);
}

/* Puts the entries of records that lie behind `records` into the order of the collation. scratch: room for as many, untouched if
 * they are in order already. */
void qn_sort_entries(const qn_collation *collation, const uint8_t *records, qn_sort_entry *entries,
                     qn_sort_entry *scratch, size_t count);

#endif
