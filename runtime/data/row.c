/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/row.h"

uint64_t qn_block_sum(const qn_block_header *header, uint64_t place)
{
    uint64_t seed = qn_checksum(header, offsetof(qn_block_header, checksum), place);
    return qn_checksum(header + 1, header->payload_bytes, seed);
}

void qn_block_fill(qn_block_header *header, uint32_t flags, uint32_t row_count, uint32_t value_words,
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
}

void qn_block_seal(qn_block_header *header, uint32_t flags, uint32_t row_count, uint32_t value_words,
                   uint64_t payload_bytes, uint64_t row_bytes)
{
    qn_block_fill(header, flags, row_count, value_words, payload_bytes, row_bytes);
    header->checksum = qn_block_sum(header, 0);
}

bool qn_block_fits(const qn_block_header *header, uint64_t bytes, uint32_t value_words)
{
    return bytes >= sizeof *header && header->magic == QN_BLOCK_MAGIC && header->value_words == value_words &&
           header->payload_bytes == bytes - sizeof *header;
}

bool qn_block_verify(const qn_block_header *header, uint64_t bytes, uint32_t value_words)
{
    return qn_block_fits(header, bytes, value_words) && header->checksum == qn_block_sum(header, 0);
}
