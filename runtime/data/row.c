/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/row.h"

static uint64_t checksum_of(const qn_block_header *header)
{
    uint64_t seed = qn_checksum(header, offsetof(qn_block_header, checksum), 0);
    return qn_checksum(header + 1, header->payload_bytes, seed);
}

void qn_block_seal(qn_block_header *header, uint32_t flags, uint32_t row_count, uint32_t value_words,
                   uint64_t payload_bytes, uint64_t row_bytes)
{
    *header = (qn_block_header){
        .magic = QN_BLOCK_MAGIC,
        .flags = flags,
        .row_count = row_count,
        .value_words = value_words,
        .payload_bytes = payload_bytes,
        .row_bytes = row_bytes,
    };
    header->checksum = checksum_of(header);
}

bool qn_block_verify(const qn_block_header *header, uint64_t bytes, uint32_t value_words)
{
    if (bytes < sizeof *header || header->magic != QN_BLOCK_MAGIC || header->value_words != value_words)
        return false;
    if (header->payload_bytes != bytes - sizeof *header)
        return false;
    return header->checksum == checksum_of(header);
}
