/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/unpack.h: archives and compressed files by libarchive, and what a file is by its content.
 *
 * Unpacked bytes are handed to whoever asks, never written anywhere: paths, links and devices of an archive are text and nothing else. Only
 * the members that are regular files count; hard links without bytes of their own do not.
 */
#ifndef QN_IO_UNPACK_H
#define QN_IO_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

/* What the bytes of a file are. */
typedef enum qn_packing {
    QN_PACKING_NONE,    /* to be taken as they are */
    QN_PACKING_UNKNOWN, /* nobody looked yet: whoever opens the file finds out */
    QN_PACKING_STREAM,  /* compressed as one; or an archive, whose members come one after the other */
    QN_PACKING_INLINE,  /* not a file: the bytes are in the task's message (piece.h) */
} qn_packing;

typedef struct qn_unpacker qn_unpacker;

/* Looks at the first bytes. Most files are said to be QN_PACKING_NONE without libarchive. fd: of a file of so many bytes; its position is left
 * anywhere. path is for messages. QUERN_ERROR_INPUT, QUERN_ERROR_NO_MEMORY. */
quern_status qn_unpack_examine(int fd, const char *path, uint64_t file_bytes, qn_packing *packing_out, qn_error *error);

/* Begins at the front of the file. fd and path are borrowed. */
quern_status qn_unpacker_create(qn_unpacker **unpacker_out, int fd, const char *path, qn_error *error);
void qn_unpacker_destroy(qn_unpacker *unpacker); /* takes NULL */

/* Goes on to the front of member number `member`, from 0; of a compressed file there is one. Only forward, and not to the one that it is in
 * unless nothing of that was read: false in *found_out at the end. QUERN_ERROR_INPUT. */
quern_status qn_unpacker_enter(qn_unpacker *unpacker, uint64_t member, bool *found_out, qn_error *error);
/* Whether qn_unpacker_enter() can still go there. */
bool qn_unpacker_can_enter(const qn_unpacker *unpacker, uint64_t member);

/* The path of the present member in the archive, as text: bytes as they are there. NULL: a compressed file has no members. Until
 * the next enter. */
const char *qn_unpacker_member_path(const qn_unpacker *unpacker);
/* How many bytes of the present member were read. */
uint64_t qn_unpacker_get_offset(const qn_unpacker *unpacker);

/* The next bytes of the present member; fewer only at its end. to NULL: they are dropped. QUERN_ERROR_INPUT. */
quern_status qn_unpacker_read(qn_unpacker *unpacker, void *to, size_t bytes, size_t *got_out, qn_error *error);

#endif
