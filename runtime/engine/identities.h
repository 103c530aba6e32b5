/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/identities.h: of each record of a result a number of its own, for samples.
 *
 * A record of a source is known by its place (qn_source_identify()). A result is divided among ranks in ways that differ, so its
 * records are known by what they are: by key, which is all it takes where each key is there once; else by key and value and the
 * number among equal records, which stand next to each other.
 */
#ifndef QN_ENGINE_IDENTITIES_H
#define QN_ENGINE_IDENTITIES_H

#include <stdbool.h>

#include "runtime/data/batch.h"

typedef struct qn_identities {
    uint64_t of[QN_BATCH_COUNT_MAX];
    uint64_t last;       /* the hash of the last record so far */
    uint64_t same_count; /* how many of that hash in a row */
} qn_identities;

/* Gives the next block of a result its identities, which live until the next call. Begins with zeros. */
void qn_identities_make(qn_identities *identities, qn_batch *batch, bool repeated);

#endif
