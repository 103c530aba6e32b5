/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/identities.h"

#include "runtime/base/hash.h"

void qn_identities_make(qn_identities *identities, qn_batch *batch, bool repeated)
{
    for (size_t i = 0; i < batch->block.count; i++) {
        quern_record record = qn_batch_record(batch, i);
        uint64_t hash = qn_checksum(record.key.data, record.key.bytes, 0);
        if (repeated)
            hash = qn_checksum(record.value.data, record.value.bytes, hash);
        identities->same_count = hash == identities->last ? identities->same_count + 1 : 0;
        identities->last = hash;
        identities->of[i] = qn_checksum(&identities->same_count, sizeof identities->same_count, hash);
    }
    batch->identity = identities->of;
}
