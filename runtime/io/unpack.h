/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/unpack.h: archives and compressed files by libarchive, and what a file is by its content.
 *
 * Unpacked bytes are handed to whoever asks, never written anywhere: paths, links and devices of an archive are text and nothing else. Only
 * the members that are regular files count; hard links without bytes of their own do not. An archive in an archive is a member like any
 * other and not opened.
 *
 * What a file can make its reader do is limited: memory by the windows of decoders (QN_UNPACK_WINDOW_BYTES_MAX), since nothing is ever
 * unpacked as a whole; and bytes by QN_UNPACK_RATIO_MAX. libarchive sets no bounds of its own: members of zip are looked at before they are
 * unpacked, and of 7-Zip the header (sevenzip.h).
 */
#ifndef QN_IO_UNPACK_H
#define QN_IO_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"
#include "runtime/io/decoder.h"
#include "runtime/io/units.h"

/* What the bytes of a file are. */
typedef enum qn_packing {
    QN_PACKING_NONE,    /* to be taken as they are */
    QN_PACKING_UNKNOWN, /* nobody looked yet: whoever opens the file finds out */
    QN_PACKING_STREAM,  /* to be unpacked from its begin to its end by one reader */
    QN_PACKING_UNITS,   /* compressed in units (units.h): readers have some each */
    QN_PACKING_MEMBERS, /* an archive: readers have some members each, or bytes of one that is stored as it is */
    QN_PACKING_INLINE,  /* not a file: the bytes are in the task's message (piece.h) */
} qn_packing;

typedef struct qn_unpacker qn_unpacker;

/* Looks at the first bytes: QN_PACKING_NONE or QN_PACKING_STREAM, and of what kind the units are that it may have. Most files are said to be
 * QN_PACKING_NONE without libarchive. fd: of a file of so many bytes; its position is left anywhere. path is for messages.
 * QUERN_ERROR_INPUT, QUERN_ERROR_NO_MEMORY. */
quern_status qn_unpack_examine(int fd, const char *path, uint64_t file_bytes, qn_packing *packing_out,
                               qn_unit_kind *kind_out, qn_error *error);

/* By the first bytes of a file alone: in what units it may be compressed. */
qn_unit_kind qn_unpack_kind_of(const uint8_t *head, size_t bytes);

#define QN_UNPACK_FREE_BYTES ((uint64_t)1 << 30)
#define QN_UNPACK_RATIO_MAX                                                                                            \
    10000 /* what gives more bytes than that for one, and more than QN_UNPACK_FREE_BYTES, is refused */

/* Begins at the front of a part of the file; kind QN_UNITS_NONE and behind.offset its length: whatever it is, by libarchive. fd and path are
 * borrowed, the part is copied. */
quern_status qn_unpacker_create(qn_unpacker **unpacker_out, int fd, const char *path, uint64_t file_bytes,
                                const qn_unit_part *part, qn_error *error);
void qn_unpacker_destroy(qn_unpacker *unpacker); /* takes NULL */

/* Goes on to the front of member number `member`, from 0; of a compressed file there is one. Only forward, and not to the one that it is in
 * unless nothing of that was read: false in *found_out at the end. QUERN_ERROR_INPUT. */
quern_status qn_unpacker_enter(qn_unpacker *unpacker, uint64_t member, bool *found_out, qn_error *error);
/* Whether it came to the end of what it is of, though what it found there may have been an error. */
bool qn_unpacker_is_at_end(const qn_unpacker *unpacker);
/* Whether qn_unpacker_enter() can still go there. */
bool qn_unpacker_can_enter(const qn_unpacker *unpacker, uint64_t member);

/* The path of the present member in the archive, as text: bytes as they are there. NULL: a compressed file has no members. Until
 * the next enter. */
const char *qn_unpacker_member_path(const qn_unpacker *unpacker);
/* Which of the archive's entries it is, directories and all, in the whole file. 0 without members. */
uint64_t qn_unpacker_get_entry(const qn_unpacker *unpacker);
/* Of units, else NULL: where things are in them. */
qn_decoder *qn_unpacker_get_decoder(const qn_unpacker *unpacker);
/* After the first enter: it is neither compressed nor an archive; it is a tar and not compressed. */
bool qn_unpacker_changes_nothing(const qn_unpacker *unpacker);
bool qn_unpacker_is_bare_tar(const qn_unpacker *unpacker);
/* After an enter that failed, or came to the end: whether the archive has entries, be they directories. */
bool qn_unpacker_has_entries(const qn_unpacker *unpacker);
/* How many bytes of the file were read for what was unpacked so far; those that were read twice count twice. */
uint64_t qn_unpacker_get_packed(const qn_unpacker *unpacker);
/* How many bytes of the present member were read. */
uint64_t qn_unpacker_get_offset(const qn_unpacker *unpacker);

/* The next bytes of the present member; fewer only at its end. to NULL: they are dropped. QUERN_ERROR_INPUT. */
quern_status qn_unpacker_read(qn_unpacker *unpacker, void *to, size_t bytes, size_t *got_out, qn_error *error);

#endif
