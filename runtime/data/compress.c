/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/compress.h"

#include <limits.h>
#include <lz4.h>

#include "runtime/base/assert.h"

#define DISK_BYTES_MAX (UINT64_C(256) << 20) /* remembered, so that a disk which others begin to use is noticed */
#define WAYS           2  /* what is written is read once: the disk is taken to read as fast as it writes */
#define UNPACKING_PART 4  /* of the time of compressing */
#define SAVED_PART_MIN 16 /* of the block: less is not worth a trial's doubt */

void qn_compressor_note_disk(qn_compressor *compressor, uint64_t bytes, uint64_t ns)
{
    compressor->disk_bytes += bytes;
    compressor->disk_ns += ns;
    if (compressor->disk_bytes > DISK_BYTES_MAX) {
        compressor->disk_bytes /= 2;
        compressor->disk_ns /= 2;
    }
}

bool qn_compressor_wants(qn_compressor *compressor)
{
    if (compressor->compression == QN_COMPRESS_NONE)
        return false;
    if (compressor->compression == QN_COMPRESS_WHERE_IT_PAYS && compressor->disk_bytes == 0)
        return false;
    if (compressor->skip_left == 0)
        return true;
    compressor->skip_left--;
    return false;
}

static bool pays(const qn_compressor *compressor, uint64_t raw_bytes, uint64_t packed_bytes, uint64_t ns)
{
    if (packed_bytes == 0 || packed_bytes > raw_bytes - raw_bytes / SAVED_PART_MIN)
        return false;
    if (compressor->compression == QN_COMPRESS_ALL)
        return true;
    double ways = compressor->goes_one_way ? 1 : WAYS;
    double saved_ns =
        ways * (double)(raw_bytes - packed_bytes) * (double)compressor->disk_ns / (double)compressor->disk_bytes;
    return (double)(ns + ns / UNPACKING_PART) < saved_ns;
}

bool qn_compressor_judge(qn_compressor *compressor, uint64_t raw_bytes, uint64_t packed_bytes, uint64_t ns)
{
    QN_ASSERT(compressor->compression == QN_COMPRESS_ALL || compressor->disk_bytes > 0);
    if (pays(compressor, raw_bytes, packed_bytes, ns)) {
        compressor->skip_count = 0;
        return true;
    }
    uint32_t skip_count = compressor->skip_count ? 2 * compressor->skip_count : QN_COMPRESS_SKIP_COUNT_MIN;
    compressor->skip_count = skip_count < QN_COMPRESS_SKIP_COUNT_MAX ? skip_count : QN_COMPRESS_SKIP_COUNT_MAX;
    compressor->skip_left = compressor->skip_count;
    return false;
}

size_t qn_compress(const void *data, size_t bytes, void *to, size_t bytes_max)
{
    QN_ASSERT(bytes <= LZ4_MAX_INPUT_SIZE && bytes_max <= INT_MAX);
    int packed_bytes = LZ4_compress_default(data, to, (int)bytes, (int)bytes_max);
    return packed_bytes > 0 ? (size_t)packed_bytes : 0;
}

bool qn_decompress(const void *data, size_t bytes, void *to, size_t raw_bytes)
{
    if (bytes > INT_MAX || raw_bytes > INT_MAX)
        return false;
    return LZ4_decompress_safe(data, to, (int)bytes, (int)raw_bytes) == (int)raw_bytes;
}
