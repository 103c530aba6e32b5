/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/bad_list.h: bad input that a reader passed over, until somebody answers for it.
 *
 * A reader that has such a list passes over what is no record of its format, says so here, and goes on. Without a list bad input is a
 * failure. What a call of qn_source_next() passed over belongs to the block that the same call gave: it counts when the block went through, and is
 * forgotten if it did not, since whoever takes up the block finds it again. A call that passes over something in front of its first record gives an
 * empty block, so that nothing is in front of the place where a block begins.
 *
 * Where bad input begins and ends is a matter of the content alone, so that it is the same wherever that is cut:
 * a text record that is too long ends at its delimiter, a row at the first line break at which its quotes, read from the file's begin, allow one, a
 * sequence where the next one begins, whole files and what is behind the last record of one length at the end, and what
 * cannot be unpacked is all that was to come, or up to where reading can go on behind a damaged unit (content.h).
 */
#ifndef QN_IO_BAD_LIST_H
#define QN_IO_BAD_LIST_H

#include "runtime/base/buffer.h"
#include "runtime/io/content.h"

#define QN_BAD_RAW_BYTES_MAX ((size_t)1 << 20) /* of a bad record, kept; of a longer one the first */

typedef struct qn_bad_item {
    uint64_t file;          /* by its number: with the place, the order of the input */
    qn_content_place place; /* where it begins, wherever the file was cut */
    uint64_t bytes;         /* QN_BYTES_UNKNOWN: what was to come */
    qn_buffer texts;        /* the content's name and the reason, each with its NUL; then the bytes as they stand */
    size_t reason_at, raw_at;
} qn_bad_item;

typedef struct qn_bad_list {
    bool keeps_raw;
    qn_bad_item *items; /* [count] */
    size_t count, capacity;
    bool failed; /* no memory */
} qn_bad_list;

void qn_bad_list_fini(qn_bad_list *list); /* takes a zeroed one */
void qn_bad_list_clear(qn_bad_list *list);

/* Something bad begins at this place of the file. */
void qn_bad_list_begin_at(qn_bad_list *list, const char *name, uint64_t file, const qn_content_place *place,
                          const char *reason);
/* The same at a byte of a content that is open, or was the last. */
void qn_bad_list_begin(qn_bad_list *list, const qn_content *content, uint64_t offset, const char *reason);
/* Bytes of it, in order. */
void qn_bad_list_add_raw(qn_bad_list *list, const void *data, size_t bytes);
/* Takes an item of another list over. */
void qn_bad_list_move(qn_bad_list *list, qn_bad_item *item);
/* How long it is. */
void qn_bad_list_end(qn_bad_list *list, uint64_t bytes);

/* Of a content with damage: what was to come from this byte on, of which these bytes are there. The damage is then told. */
void qn_bad_list_tell_damage(qn_bad_list *list, qn_content *content, uint64_t offset, const void *data, size_t bytes);
/* Of a content that could not be opened: the same of all that the segment still has; the content is then left. */
void qn_bad_list_tell_missing(qn_bad_list *list, qn_content *content);

static inline const char *qn_bad_item_name(const qn_bad_item *item)
{
    return (const char *)item->texts.data;
}

static inline const char *qn_bad_item_reason(const qn_bad_item *item)
{
    return (const char *)item->texts.data + item->reason_at;
}

#endif
