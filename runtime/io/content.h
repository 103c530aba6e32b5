/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/content.h: the bytes that a segment stands for, read forward: a file's own, what they unpack to, or a member of an archive.
 *
 * Readers of records need not know which. A segment of an archive has several contents, one behind the other, numbered from 0:
 * its members. All others have one. How long unpacked bytes are is known only at their end.
 *
 * States: closed → open → closed. Failures name the file and the member.
 */
#ifndef QN_IO_CONTENT_H
#define QN_IO_CONTENT_H

#include "runtime/io/split.h"
#include "runtime/io/unpack.h"

#define QN_BYTES_UNKNOWN UINT64_MAX

typedef struct qn_content {
    const qn_segment *segment; /* borrowed; NULL: closed */
    uint64_t member;
    uint64_t begin, end; /* records that begin there are the segment's; end is QN_BYTES_UNKNOWN where all are */
    uint64_t bytes;      /* of the whole content; QN_BYTES_UNKNOWN until its end was read */
    const char *
        name; /* the path, and that of the member behind it; lives until the next open, with QN_SLACK_BYTES behind it */
    char *joined; /* the name of a member */
    int fd;
    qn_unpacker *unpacker;      /* NULL: the file's own bytes */
    const qn_segment *unpacked; /* what the unpacker is of */
} qn_content;

/* A closed one. */
void qn_content_init(qn_content *content);
void qn_content_fini(qn_content *content); /* takes a zeroed one */

/* Opens content number `member` of the segment, which is borrowed until the next open or close. *found_out false: there are fewer, and it is
 * closed. Going through the members of a segment in order costs nothing extra. QUERN_ERROR_INPUT, QUERN_ERROR_NO_MEMORY: it is closed. */
quern_status qn_content_open(qn_content *content, const qn_segment *segment, uint64_t member, bool *found_out,
                             qn_error *error);
/* Its name stays. What is unpacked is kept for the next member, until another segment is opened or qn_content_leave(). */
void qn_content_close(qn_content *content);
/* Closes also what is kept. Before the segments go. */
void qn_content_leave(qn_content *content);

/* Whether there may be another one behind it in the segment. */
static inline bool qn_content_is_member(const qn_content *content)
{
    return content->unpacker && qn_unpacker_member_path(content->unpacker);
}

static inline bool qn_content_is_open(const qn_content *content)
{
    return content->segment != NULL;
}

/* Reads [offset, offset + bytes); fewer only at the end of the content, whose length is then known. Going back, where the bytes are
 * unpacked, begins at the front again. QUERN_ERROR_INPUT: also if a file has become shorter. */
quern_status qn_content_read(qn_content *content, void *to, uint64_t offset, size_t bytes, size_t *got_out,
                             qn_error *error);

/* The part of the segment's file that was read, from 0 to 1. */
double qn_content_get_share(const qn_content *content);

#endif
