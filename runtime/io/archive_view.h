/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/archive_view.h: what libarchive sees of a file: all of it, a stretch, or a zip of some members.
 *
 * A zip of some members is the file up to where their entries in the directory end, and then an end of a directory that has these entries
 * only, made up here. So libarchive looks at no other entry, and members stay where they were.
 */
#ifndef QN_IO_ARCHIVE_VIEW_H
#define QN_IO_ARCHIVE_VIEW_H

#include <archive.h>
#include <stdint.h>

#include "runtime/io/archive_end.h"

#define QN_VIEW_TAIL_BYTES 98 /* the end of a directory: 56 of zip64, 20 that point there, and 22 of old */

typedef struct qn_archive_view {
    int fd; /* borrowed; its position neither matters nor changes */
    uint64_t begin, end;
    uint64_t position;   /* in the file */
    uint64_t read_bytes; /* so far */
    size_t block_bytes;  /* to read at a time */
    uint8_t *block;
    size_t tail_bytes; /* behind `end`: 0 or QN_VIEW_TAIL_BYTES */
    uint8_t tail[QN_VIEW_TAIL_BYTES];
} qn_archive_view;

/* Of the bytes [begin, end). fini frees what open allocates. */
void qn_archive_view_init(qn_archive_view *view, int fd, uint64_t begin, uint64_t end, size_t block_bytes);
/* Of the zip whose entries in the directory are [directory, directory_end). */
void qn_archive_view_init_zip(qn_archive_view *view, int fd, uint64_t directory, uint64_t directory_end,
                              uint64_t entry_count, size_t block_bytes);
void qn_archive_view_fini(qn_archive_view *view); /* takes a zeroed one */

/* archive_read_open() on the view, which stays where it is until the archive is freed. */
int qn_archive_view_open(qn_archive_view *view, struct archive *archive);

/* The view as what libarchive reads (archive_end.h). */
qn_archive_input qn_archive_view_input(const qn_archive_view *view);

#endif
