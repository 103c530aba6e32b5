/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/record_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/io/content.h"
#include "runtime/io/sequence_grammar.h"
#include "runtime/io/window.h"

#define FRONT_BYTES ((size_t)64 << 10) /* of a content, from which its form is known */

typedef enum decision {
    CUT_ALL,
    CUT_NONE,
    CUT_BY_FRONT,
} decision;

static decision decide(const qn_record_format *format, bool is_plain)
{
    switch (format->kind) {
    case QN_RECORDS_SEQUENCES:
        return qn_sequence_needs_front(&format->sequences) ? CUT_BY_FRONT : CUT_ALL;
    case QN_RECORDS_ROWS:
        return !is_plain && format->rows.has_quotes && format->rows.has_quoted_newlines ? CUT_NONE : CUT_ALL;
    case QN_RECORDS_FILES:
        break;
    }
    return CUT_NONE;
}

/* The bytes [begin, end) of the file begin so. */
static quern_status read_stored(const qn_input_file *file, uint64_t begin, uint64_t end, uint8_t *front,
                                size_t *got_out, qn_error *error)
{
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return qn_error_set(error, QUERN_ERROR_INPUT, errno, "cannot open %s", file->path);
    size_t wanted = end - begin < FRONT_BYTES ? (size_t)(end - begin) : FRONT_BYTES;
    quern_status status = qn_file_read_at(fd, front, wanted, begin, file->path, QUERN_ERROR_INPUT, got_out, error);
    close(fd);
    return status;
}

/* What the file unpacks to begins so. */
static quern_status read_unpacked(const qn_input_file *file, uint8_t *front, size_t *got_out, qn_error *error)
{
    qn_content content;
    bool found = false;
    const qn_segment segment = {
        .path = file->path, .end = file->bytes, .file_bytes = file->bytes, .packing = QN_PACKING_STREAM};
    qn_content_init(&content);
    quern_status status = qn_content_open(&content, &segment, 0, &found, error);
    if (status == QUERN_OK && found)
        status = qn_content_read(&content, front, 0, FRONT_BYTES, got_out, error);
    qn_content_fini(&content);
    return status;
}

static bool can_be_cut(const qn_record_format *format, const uint8_t *front, size_t got)
{
    return qn_sequence_can_be_cut(&format->sequences, front, got, got < FRONT_BYTES);
}

static quern_status plan_plain(const qn_record_format *format, qn_input_file *file, uint8_t *front, qn_error *error)
{
    size_t got = 0;
    decision how = decide(format, true);
    quern_status status = how == CUT_BY_FRONT ? read_stored(file, 0, file->bytes, front, &got, error) : QUERN_OK;
    file->is_whole = how == CUT_NONE || (how == CUT_BY_FRONT && !can_be_cut(format, front, got));
    return status;
}

static void keep_as_stream(qn_input_file *file)
{
    qn_units_destroy(&file->units);
    file->packing = QN_PACKING_STREAM;
}

/* Damage is left to those who read. */
static void plan_units(const qn_record_format *format, qn_input_file *file, uint8_t *front)
{
    size_t got = 0;
    qn_error unread = {0};
    decision how = decide(format, false);
    bool is_read = how == CUT_BY_FRONT && read_unpacked(file, front, &got, &unread) == QUERN_OK;
    file->is_whole = how == CUT_NONE || (is_read && !can_be_cut(format, front, got));
    if (file->is_whole)
        keep_as_stream(file);
}

/* Each member that is a part by itself. */
static quern_status plan_members(const qn_record_format *format, qn_input_file *file, uint8_t *front, qn_error *error)
{
    decision how = decide(format, false);
    quern_status status = QUERN_OK;
    for (size_t i = 0; i < file->units.count && how != CUT_ALL && status == QUERN_OK; i++) {
        qn_border *border = &file->units.borders[i];
        size_t got = 0;
        if (border->member && how == CUT_BY_FRONT)
            status = read_stored(file, border->data_begin, border->data_begin + border->data_bytes, front, &got, error);
        if (how == CUT_NONE || !can_be_cut(format, front, got))
            border->member = NULL;
    }
    if (file->units.count == 1 && !file->units.borders[0].member)
        keep_as_stream(file);
    return status;
}

static quern_status plan_file(const qn_record_format *format, qn_input_file *file, uint8_t *front, qn_error *error)
{
    switch (file->packing) {
    case QN_PACKING_NONE:
        return plan_plain(format, file, front, error);
    case QN_PACKING_UNITS:
        plan_units(format, file, front);
        return QUERN_OK;
    case QN_PACKING_MEMBERS:
        return plan_members(format, file, front, error);
    case QN_PACKING_UNKNOWN:
    case QN_PACKING_STREAM:
    case QN_PACKING_INLINE:
        break;
    }
    return QUERN_OK;
}

quern_status qn_record_plan(const qn_record_format *format, qn_listing *listing, qn_error *error)
{
    quern_status status = QUERN_OK;
    uint8_t *front = malloc(FRONT_BYTES + QN_WINDOW_SLACK_BYTES);
    if (!front)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to look at the input");
    for (size_t i = 0; i < listing->file_count && status == QUERN_OK; i++)
        status = plan_file(format, &listing->files[i], front, error);
    free(front);
    return status;
}
