/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/compress.h: whether blocks are compressed on their way to disk, or to another node, decided by what it cost and what it saved.
 *
 * LZ4 saves bytes at the price of a core. Where the disk is faster than the core, or the bytes are like noise, that is a loss; on a shared
 * or a slow disk it is a gain. The same holds for a link, where "disk" is to be read as that. So one block is tried now and then, its time is held against that of the bytes saved, on their
 * way out and back in, at the speed that the disk has shown; when it did not pay, the next blocks are left alone, twice as many each
 * time. Time is passed in, so this part is a function of its history.
 */
#ifndef QN_DATA_COMPRESS_H
#define QN_DATA_COMPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QN_COMPRESS_SKIP_COUNT_MIN UINT32_C(16)
#define QN_COMPRESS_SKIP_COUNT_MAX UINT32_C(1024)

typedef enum qn_compression {
    QN_COMPRESS_WHERE_IT_PAYS,
    QN_COMPRESS_ALL, /* however fast the disk is; noise is left alone all the same */
    QN_COMPRESS_NONE,
} qn_compression;

typedef struct qn_compressor {
    qn_compression compression;
    bool goes_one_way;   /* what is saved is saved once: it is not read back */
    uint32_t skip_count; /* blocks to leave alone after the next trial that does not pay; 0: the least */
    uint32_t skip_left;  /* blocks still to be left alone */
    uint64_t disk_bytes; /* lately written, and the time that it took */
    uint64_t disk_ns;
} qn_compressor;

/* The disk took so long for so many bytes. */
void qn_compressor_note_disk(qn_compressor *compressor, uint64_t bytes, uint64_t ns);

/* Whether to try the next block. Never, where it has to pay, before anything is known of the disk. */
bool qn_compressor_wants(qn_compressor *compressor);

/* A block of raw_bytes became packed_bytes (0: it did not become smaller) in so long: whether to keep it so. */
bool qn_compressor_judge(qn_compressor *compressor, uint64_t raw_bytes, uint64_t packed_bytes, uint64_t ns);

/* The bytes in LZ4's block format; 0 if they take more than bytes_max. Less than 2 GiB. */
size_t qn_compress(const void *data, size_t bytes, void *to, size_t bytes_max);
/* The other way, whatever `data` is; false unless it is exactly raw_bytes that come out. */
bool qn_decompress(const void *data, size_t bytes, void *to, size_t raw_bytes);

#endif
