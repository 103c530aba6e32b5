/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/row.h"

void qn_row_encode(const qn_key *key, const uint64_t *value, uint32_t value_words, uint64_t *to)
{
    to[0] = key->tag;
    for (uint32_t word = 0; word < value_words; word++)
        to[1 + word] = value[word];
    uint64_t *key_words = to + 1 + value_words;
    uint64_t code = QN_TAG_CODE(key->tag);
    if (QN_TAG_IS_TINY(key->tag))
        return;
    if (code != QN_TAG_LONG) {
        key_words[0] = key->k0;
        if (code > 9)
            key_words[1] = key->k1;
        return;
    }
    key_words[0] = key->k1;
    key_words[(key->k1 + 7) / 8] = 0; /* zero-fills the last word */
    qn_copy_long(key_words + 1, qn_key_data(key), key->k1);
}

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
