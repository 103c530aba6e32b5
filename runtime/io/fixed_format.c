/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/fixed_format.h"

quern_status qn_fixed_put(qn_part *part, const quern_block *block, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (size_t i = 0; i < block->count && status == QUERN_OK; i++) {
        status = qn_part_write(part, block->key[i], block->key_bytes[i], error);
        if (status == QUERN_OK && block->value)
            status = qn_part_write(part, block->value[i], block->value_bytes[i], error);
        part->summary.records += status == QUERN_OK;
    }
    return status;
}
