/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/sort_piles.h: many small records dealt into piles by their prefixes, before each pile is sorted.
 *
 * Where records lie in more memory than the address translation covers, one look at a record costs as much as sorting ten of them,
 * and sorting looks at each several times. So records are copied once, in streams, to piles that fit the cache; what then looks at
 * records of one pile finds them there.
 */
#ifndef QN_DATA_SORT_PILES_H
#define QN_DATA_SORT_PILES_H

#include "runtime/data/sort_entries.h"

/* Whether it pays for records of so many bytes in all. */
bool qn_sort_piles_pay(uint64_t bytes, size_t count);

/* Sorts records that lie one behind the other in [from, from + bytes), `count` of them, with their entries in that order: copies them to
 * `to` (of as many bytes), and makes entries the sorted ones, with places in `to`. scratch: room for as many entries. False: no
 * memory for the piles; then nothing was changed. */
bool qn_sort_piles(const qn_collation *collation, const uint8_t *from, uint64_t bytes, uint8_t *to,
                   qn_sort_entry *entries, qn_sort_entry *scratch, size_t count);

#endif
