/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/shuffle/sample_bytes.h: how much of a long key or value is needed in a sample.
 *
 * A cut is a record, or the begin of one: its first bytes stand where they tell records apart. Where all are alike for thousands
 * of bytes, too few bytes would make one run of them that cannot be divided. So a few of the records are put in order, and neighbours are
 * compared: as many bytes are taken as nearly all of these have in common, and some more. Each rank chooses for its own samples, since what is
 * compared with a cut is its bytes, however many.
 *
 * A bound remains: so many samples have room whatever their lengths. Records that are alike for longer than that go to one rank.
 */
#ifndef QN_SHUFFLE_SAMPLE_BYTES_H
#define QN_SHUFFLE_SAMPLE_BYTES_H

#include "runtime/data/collation.h"

typedef struct qn_sample_bytes {
    uint32_t key_max, value_max; /* of those that may be cut short: see qn_sample_cut_short() */
} qn_sample_bytes;

/* For samples of `count` packed records, which together have room_bytes. */
qn_sample_bytes qn_sample_bytes_choose(const qn_collation *collation, const uint8_t *packed, uint64_t bytes,
                                       uint64_t count, uint64_t room_bytes);

/* The record as it is sampled. What the user compares, or what is hashed, stays whole. */
qn_packed qn_sample_cut_short(const qn_collation *collation, qn_packed record, qn_sample_bytes limits);

#endif
