/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/content.h: the bytes that a segment stands for, read forward: a file's own, what they unpack to, or a member of an archive.
 *
 * Readers of records need not know which. A segment of an archive has several contents, one behind the other, numbered from 0:
 * its members. All others have one. How long unpacked bytes are is known only at their end.
 *
 * A segment of units (units.h) is what these unpack to, and offsets are those in what the file unpacks to where headers tell them; elsewhere they
 * count from the segment's begin. Readers may use them as if they were those of a file, with one thing to mind: where
 * sizes are unknown, `end` is QN_BYTES_UNKNOWN until reading came by it, so it has to be looked at after a read, not only before. Such segments end a byte
 * behind the border, so that what decides whether a record begins there, the byte before, is the first of the next unit and not the last of
 * one that would have to be unpacked for it.
 *
 * Readers that pass over bad input have contents that forgive: where unpacking fails the content ends, with damage. A segment of an archive
 * may go on with its next member; where it does not, that is the same damage. They, and those of attempts before that do not forgive yet, unpack in steps of one size from the begin on, of units from
 * each unit's begin, whatever is asked for, since how much comes of what is damaged may depend on how much is asked for.
 *
 * Behind a damaged unit readers that can begin anywhere go on: with another content of the segment, whose number is the byte of the file at which
 * the next unit begins. It is what a segment cut there would be, so what is lost is the same wherever the file is cut: all up to the first record
 * that begins behind the first byte of that unit. Whose record was open tells the damage, once; who had none yet is silent.
 *
 * States: closed → open → closed. Failures name the file and the member.
 */
#ifndef QN_IO_CONTENT_H
#define QN_IO_CONTENT_H

#include "runtime/io/split.h"
#include "runtime/io/unpack.h"

/* Where a reader can go on behind a damaged unit. */
typedef enum qn_resumption {
    QN_RESUMES_NEVER,
    QN_RESUMES_WHERE_TOLD, /* where headers tell which byte that is */
    QN_RESUMES_ANYWHERE,
} qn_resumption;

typedef struct qn_content {
    const qn_segment *segment; /* borrowed; NULL: closed */
    uint64_t file;             /* the segment's; also of a closed one */
    uint64_t member;
    uint64_t begin, end; /* records that begin there are the segment's; end is QN_BYTES_UNKNOWN where all are */
    uint64_t bytes;      /* of the whole content; QN_BYTES_UNKNOWN until its end was read */
    const char *
        name; /* the path, and that of the member behind it; lives until the next open, with QN_SLACK_BYTES behind it */
    char *joined;    /* the name of a member */
    char *unit_name; /* of the unit that was asked for last */
    int fd;
    uint64_t base;              /* the offset of the first byte that is unpacked, or in the file */
    qn_unpacker *unpacker;      /* NULL: the file's own bytes */
    const qn_segment *unpacked; /* what the unpacker is of */
    qn_unit_part part;          /* and how */
    uint64_t entry;             /* of a member that is stored as it is: its number in the archive */
    const qn_segment *piece;    /* the segment, also of a closed one, if it is a piece */
    bool in_steps;              /* of a reader that may forgive in another attempt: they see the same bytes */
    bool forgives;              /* what cannot be unpacked is an end, of which `damage` says why; in steps, too */
    qn_resumption resumes;
    uint64_t next_member; /* of units: the content behind the damage; 0: none */
    char *damage;         /* of the open content, or of what was to be opened; NULL: none */
    bool was_damaged;     /* something in what the unpacker is of was */
    uint8_t *step;        /* of one in steps: what was unpacked last; NULL: nothing yet */
    uint64_t step_offset;
    size_t step_bytes;
    bool is_last_step;
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
/* Whose content comes behind it in its segment; 0: there is none. Of one that is closed or at its end. */
uint64_t qn_content_next_member(const qn_content *content);
/* Damage was told to somebody: the content ends there like any other. */
void qn_content_forget_damage(qn_content *content);
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

/* Whether it is of units (of a piece of them that is lent that is not asked). */
static inline bool qn_content_has_units(const qn_content *content)
{
    return content->unpacker && qn_unpacker_get_decoder(content->unpacker);
}

/* Whether it is of units that are not the first of the file. */
static inline bool qn_content_is_behind_units(const qn_content *content)
{
    return qn_content_has_units(content) && content->part.first.offset > 0;
}

/* Whether an offset is that in what the whole file unpacks to. */
static inline bool qn_content_knows_offsets(const qn_content *content)
{
    return !qn_content_has_units(content) || content->part.first.logical != QN_BYTES_UNKNOWN;
}

/* Whether it was cut behind: there are units of the file that are other segments'. */
static inline bool qn_content_goes_on(const qn_content *content)
{
    return content->segment->packing == QN_PACKING_UNITS &&
           content->segment->part.behind.offset < content->segment->file_bytes;
}

/* Where a byte of it is, wherever the file was cut: unit (0 where offsets say it) and the byte in that. Both of what is
 * in the window or came with the last read. */
typedef struct qn_content_place {
    uint64_t entry; /* the member's number in its archive */
    uint64_t unit;  /* the byte of the file where the unit begins */
    uint64_t offset;
} qn_content_place;

qn_content_place qn_content_place_of(const qn_content *content, uint64_t offset);
/* What a message calls that of which place.offset is a byte: the content's name, and the unit's. Until the next call. */
const char *qn_content_name_of(qn_content *content, const qn_content_place *place);

/* Appends the marks of the units that have bytes of [begin, end): what a piece of these needs to tell the same places. */
void qn_content_append_marks(const qn_content *content, uint64_t begin, uint64_t end, qn_buffer *to);

/* Places before this offset are not asked for any more. */
void qn_content_forget(qn_content *content, uint64_t offset);

/* Reads [offset, offset + bytes); fewer only at the end of the content, whose length is then known. Going back, where the bytes are
 * unpacked, begins at the front again. QUERN_ERROR_INPUT: also if a file has become shorter. */
quern_status qn_content_read(qn_content *content, void *to, uint64_t offset, size_t bytes, size_t *got_out,
                             qn_error *error);

/* The same of the first bytes of the whole content, wherever the segment begins in it. */
quern_status qn_content_read_front(qn_content *content, void *to, size_t bytes, size_t *got_out, qn_error *error);

/* The part of the segment's file that was read, from 0 to 1. */
double qn_content_get_share(const qn_content *content);

#endif
