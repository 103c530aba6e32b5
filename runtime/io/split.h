/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/split.h: the input cut into tasks, and a task's part of it as a message.
 *
 * The files of a listing, one behind the other, are cut into stretches of about equal cost; small files share a task, large ones
 * are cut at byte ranges, what is packed at borders of its units (units.h) or not at all, and is
 * then a task alone. A stretch may begin and end in the middle of a record; the source gives each record to
 * the stretch in which it begins.
 *
 * Offsets are bytes of files as they are stored: a stretch of units of a file stands for what these unpack to.
 */
#ifndef QN_IO_SPLIT_H
#define QN_IO_SPLIT_H

#include "runtime/base/buffer.h"
#include "runtime/io/listing.h"

#define QN_SPLIT_FILE_COST_BYTES ((uint64_t)16 << 10) /* opening a file is worth reading that much */
#define QN_SPLIT_SEGMENTS_MAX    4096                 /* files of one task */

/* A byte range of one file; where that is packed, what content.h makes of it. */
typedef struct qn_segment {
    const char *path;
    uint64_t begin, end; /* of what is not packed: records that begin in [begin, end) are its */
    uint64_t file_bytes;
    uint64_t file;         /* by its number in the input */
    uint64_t before_bytes; /* of the segments before it (qn_segments_count()); not in messages */
    qn_packing packing;
    const uint8_t *data; /* INLINE: the bytes [begin, end) of the content, borrowed */
    uint64_t entry;      /* INLINE: the content's number in its archive */
    const void *
        marks; /* INLINE: [marks_bytes], borrowed: qn_marks of the units that the bytes are of, at bytes of the content */
    size_t marks_bytes;
    const uint8_t *told; /* INLINE: [told_bytes], what the format's reader has to know, borrowed */
    size_t told_bytes;
    bool begins_quoted; /* of rows: an odd number of quotes is before begin */
    uint8_t row_state;  /* of rows of which bad ones are passed over: of row_states.h, at begin */
    qn_unit_part part;  /* QN_PACKING_UNITS, QN_PACKING_MEMBERS */
} qn_segment;

typedef struct qn_split {
    size_t file;     /* the first, by its index in the listing */
    uint64_t offset; /* in it */
    size_t end_file; /* the last one, and where to stop in it */
    uint64_t end_offset;
    uint64_t bytes;
    bool begins_quoted; /* these two as those of its first segment */
    uint8_t row_state;
} qn_split;

typedef struct qn_splits {
    qn_split *items;
    uint32_t count, capacity;
} qn_splits;

/* Cuts the listing at about split_bytes (> 0). QUERN_ERROR_INPUT if that gives 2^31 tasks or more. */
quern_status qn_splits_create(qn_splits *splits, const qn_listing *listing, uint64_t split_bytes, qn_error *error);
/* Appends one. QUERN_ERROR_INPUT if there are then 2^31 or more; QUERN_ERROR_NO_MEMORY. */
quern_status qn_splits_add(qn_splits *splits, const qn_split *split, qn_error *error);
void qn_splits_destroy(qn_splits *splits); /* takes a zeroed one */

/* split_bytes for so many workers, if the user did not say: 64 splits for each, of 1 to 64 MiB; larger ones where that is more than a million splits
 * and more than 8 for each. */
uint64_t qn_splits_choose_bytes(uint64_t input_bytes, uint32_t worker_count);

/* Appends one segment. */
void qn_segment_encode(const qn_segment *segment, qn_buffer *message);
/* Appends a split's segments, behind their number (u32). */
void qn_split_encode(const qn_split *split, const qn_listing *listing, qn_buffer *message);

/* Reads them back: *segments_out is freed by the caller, its paths borrow the message. */
quern_status qn_split_decode(qn_reader *message, qn_segment **segments_out, uint32_t *count_out, qn_error *error);

/* The same from a copy of the message, *copy_out, which the caller frees after the segments. */
quern_status qn_split_decode_copy(const void *message, size_t bytes, uint8_t **copy_out, qn_segment **segments_out,
                                  uint32_t *count_out, qn_error *error);

/* Whether an encoded split is one file that only one reader can unpack. */
bool qn_split_is_packed(const void *message, size_t bytes);

/* Says in all of them how many bytes are before each; returns the bytes of all. */
uint64_t qn_segments_count(qn_segment *segments, uint32_t count);

#endif
