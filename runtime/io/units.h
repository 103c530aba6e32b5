/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/units.h: where a packed file can be cut, found by hops from header to header and not by reading it.
 *
 * Many packed files are units one behind the other, each of which unpacks by itself: blocks of BGZF and of xz, frames of zstd and lz4,
 * streams of bzip2, members of tar and zip. A border is where a unit begins. What is between two borders is a part, which one rank reads.
 *
 * Borders may be wrong, because a file is damaged or lies: that costs an error and never a wrong answer. Who reads a part must come by
 * the border at its end, exactly, having unpacked as many bytes as the borders say; the first border is the begin of the file, so all are
 * then right. Where headers make no sense, there are no more borders, and who reads the rest finds out why.
 *
 * Cost for the one who looks: BGZF, one read of 22 bytes for a block (of up to 64 KiB unpacked); zstd and lz4, one for a block (128 KiB, up to
 * 4 MiB); xz, the index at the end; zip, the directory at the end; tar, a read of 16 KiB for a member; bzip2, a search from each place where a
 * cut is wanted to the next stream, given up after 64 MiB.
 */
#ifndef QN_IO_UNITS_H
#define QN_IO_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/arena.h"
#include "runtime/base/status.h"

#define QN_BYTES_UNKNOWN UINT64_MAX

typedef enum qn_unit_kind {
    QN_UNITS_NONE, /* no units that we know */
    QN_UNITS_BGZF,
    QN_UNITS_ZSTD,
    QN_UNITS_LZ4,
    QN_UNITS_BZIP2,
    QN_UNITS_XZ,
    QN_UNITS_TAR,
    QN_UNITS_ZIP,
} qn_unit_kind;

typedef struct qn_border {
    uint64_t offset;     /* in the file */
    uint64_t logical;    /* of the first unpacked byte; QN_BYTES_UNKNOWN where headers do not say */
    uint64_t number;     /* archives: of the first entry, of all that there are; XZ: the kind of its checksums */
    uint64_t directory;  /* ZIP: of the first entry in the directory */
    const char *member;  /* not NULL: the part is one member, stored as it is; its path */
    uint64_t data_begin; /* its bytes in the file */
    uint64_t data_bytes;
} qn_border;

typedef struct qn_units {
    qn_unit_kind kind;
    qn_border *borders; /* [count + 1]: of each part, from 0 on, and the end of the file */
    size_t count, capacity;
} qn_units;

/* What lies between two borders. */
typedef struct qn_unit_part {
    qn_unit_kind kind;
    qn_border first, behind; /* behind.offset is the file's length: all that is left */
} qn_unit_part;

/* Whether places in it are told by unit and byte in the unit, because how long units are is known only when they are unpacked. */
static inline bool qn_units_are_marked(qn_unit_kind kind)
{
    return kind == QN_UNITS_ZSTD || kind == QN_UNITS_LZ4 || kind == QN_UNITS_BZIP2;
}

static inline bool qn_units_are_members(qn_unit_kind kind)
{
    return kind == QN_UNITS_TAR || kind == QN_UNITS_ZIP;
}

/* Finds borders at least `spacing` (> 0) bytes from each other. Names of members go to the arena. logical_only: only those whose `logical` is
 * known. count 1: it cannot be cut. QUERN_ERROR_INPUT: it cannot be read; QUERN_ERROR_NO_MEMORY. */
quern_status qn_units_find(qn_units *units, qn_unit_kind kind, int fd, const char *path, uint64_t file_bytes,
                           uint64_t spacing, bool logical_only, qn_arena *names, qn_error *error);
void qn_units_destroy(qn_units *units); /* takes a zeroed one */

/* The first unit that begins at `offset` or behind, found by the same hops as all borders, from the border `from` on (itself, or before that). Not of
 * members. *found_out false: there is none, or headers on the way to it make no sense. QUERN_ERROR_INPUT, QUERN_ERROR_NO_MEMORY. */
quern_status qn_units_next(qn_unit_kind kind, int fd, const char *path, uint64_t file_bytes, const qn_border *from,
                           uint64_t offset, qn_border *border_out, bool *found_out, qn_error *error);

/* Where a part that begins at `offset` (a border, or within a stored member) can end so that it has about `bytes` bytes. */
uint64_t qn_units_cut(const qn_units *units, uint64_t offset, uint64_t bytes);
/* The piece that a byte of the file is in: the last border that is not behind it. */
size_t qn_units_at(const qn_units *units, uint64_t offset);

/* QUERN_ERROR_INPUT: the members of a zip, by its directory, have more bytes together than the file, so some have the same ones. What is no zip or has no
 * directory is good. */
quern_status qn_units_check_zip(int fd, const char *path, uint64_t file_bytes, qn_error *error);

/* Of a header of a block of BGZF its length, at most 64 KiB; 0: it is none. */
#define QN_BGZF_HEAD_BYTES 18
uint32_t qn_bgzf_block_bytes(const uint8_t head[QN_BGZF_HEAD_BYTES]);

/* Frames that decoders of zstd and of lz4 leave out. */
bool qn_is_skippable_frame(const uint8_t head[4]);

static inline uint32_t qn_le32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static inline uint64_t qn_le64(const uint8_t *bytes)
{
    return qn_le32(bytes) | (uint64_t)qn_le32(bytes + 4) << 32;
}

#endif
