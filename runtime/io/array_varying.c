/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/array_varying.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"

#define STRINGS_BYTES_MAX ((size_t)16 << 20) /* of the rows of one read; of one row as many as it has */
#define FIELD_COUNT_MAX   64

/* What a key or a value has for the elements, in order. */
typedef struct parts_of_span {
    quern_span at[FIELD_COUNT_MAX];
    bool varies[FIELD_COUNT_MAX];
    size_t count;
} parts_of_span;

static uint32_t bytes_of(const quern_hdf5_field *field)
{
    uint32_t each = field->type == QUERN_BYTES ? 1 : (uint32_t)quern_number_bytes(field->type);
    return each * (field->count ? field->count : 1);
}

/* Up to the NUL behind it, or to the end. */
static size_t string_bytes(const char *data, size_t bytes)
{
    const char *end = memchr(data, 0, bytes);
    return end ? (size_t)(end - data) : bytes;
}

/* False: these are not the bytes of the fields. */
static bool split_fields(const qn_array_output *form, const qn_array_span *span, const char *data, size_t bytes,
                         parts_of_span *out)
{
    size_t at = 0;
    for (uint32_t i = 0; i < span->field_count; i++) {
        const quern_hdf5_field *field = &form->options.fields[span->first_field + i];
        bool varies = qn_array_field_varies(field), is_last = i + 1 == span->field_count;
        size_t taken = varies ? string_bytes(data + at, bytes - at) : bytes_of(field);
        if (taken > bytes - at)
            return false;
        out->at[i] = (quern_span){data + at, taken};
        out->varies[i] = varies;
        at += taken;
        if (varies && at == bytes && !is_last)
            return false;
        at += varies && at < bytes; /* the NUL */
    }
    out->count = span->field_count;
    return at == bytes;
}

static bool split(const qn_array_output *form, const qn_array_span *span, const char *data, size_t bytes,
                  parts_of_span *out)
{
    if (span->field_count > 1 || (span->field_count == 1 && !span->varies))
        return split_fields(form, span, data, bytes, out);
    *out = (parts_of_span){.at = {{data, bytes}}, .varies = {span->varies}, .count = 1};
    return !span->varies || string_bytes(data, bytes) == bytes;
}

quern_status qn_array_varying_put(qn_part *part, const qn_array_output *form, const qn_array_span *span,
                                  const char *what, const void *data, size_t bytes, qn_error *error)
{
    parts_of_span ignored;
    uint32_t count = (uint32_t)bytes;
    if (!split(form, span, data, bytes, &ignored))
        return qn_error_set(error, QUERN_ERROR_OUTPUT, 0,
                            span->field_count > 1 ? "write hdf5: a %s of %zu bytes is not its fields: strings of any "
                                                    "length end with NUL, all else has its bytes"
                                                  : "write hdf5: a %s of %zu bytes holds a NUL, which no string of any "
                                                    "length can",
                            what, bytes);
    quern_status status = qn_part_write(part, &count, sizeof count, error);
    return status == QUERN_OK ? qn_part_write(part, data, bytes, error) : status;
}

/* ---- reading ---- */

void qn_array_varying_init(qn_array_varying *varying, const qn_array_rows *rows, const qn_array_output *form)
{
    *varying = (qn_array_varying){.rows = rows, .form = form};
}

static void close_part(qn_array_varying *varying)
{
    if (varying->part)
        fclose(varying->part);
    varying->part = NULL;
    varying->is_ahead = false;
}

void qn_array_varying_fini(qn_array_varying *varying)
{
    close_part(varying);
    qn_buffer_fini(&varying->row);
    free(varying->strings);
    *varying = (qn_array_varying){0};
}

static quern_status no_memory(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a row of a dataset");
}

static quern_status open_part(qn_array_varying *varying, uint64_t part, qn_error *error)
{
    char *path = qn_array_rows_part_path(varying->rows, part);
    close_part(varying);
    varying->part = path ? fopen(path, "re") : NULL;
    varying->open_part = part;
    varying->next = varying->rows->first_rows[part];
    if (path && !varying->part)
        qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot read %s again", path);
    free(path);
    return varying->part ? QUERN_OK : path ? error->status : no_memory(error);
}

static quern_status short_part(const qn_array_varying *varying, qn_error *error)
{
    bool is_end = feof(varying->part);
    return qn_error_set(error, QUERN_ERROR_OUTPUT, is_end ? 0 : errno, "a part of the rows in %s %s",
                        varying->rows->directory, is_end ? "became shorter" : "cannot be read again");
}

/* Appends the bytes of a key or a value to the row. */
static quern_status read_span(qn_array_varying *varying, const qn_array_span *span, qn_error *error)
{
    uint32_t bytes = span->bytes;
    if (span->varies && fread(&bytes, sizeof bytes, 1, varying->part) != 1)
        return short_part(varying, error);
    size_t at = varying->row.bytes;
    qn_buffer_extend(&varying->row, bytes);
    if (varying->row.failed)
        return no_memory(error);
    if (bytes > 0 && fread(varying->row.data + at, bytes, 1, varying->part) != 1)
        return short_part(varying, error);
    return QUERN_OK;
}

static quern_status read_row(qn_array_varying *varying, qn_error *error)
{
    varying->row.bytes = 0;
    quern_status status = read_span(varying, &varying->form->key, error);
    varying->key_bytes = varying->row.bytes;
    if (status == QUERN_OK)
        status = read_span(varying, &varying->form->value, error);
    varying->next += status == QUERN_OK;
    varying->is_ahead = status == QUERN_OK;
    return status;
}

/* Has this row ahead. */
static quern_status go_to(qn_array_varying *varying, uint64_t row, qn_error *error)
{
    quern_status status = QUERN_OK;
    uint64_t part = qn_array_rows_find_part(varying->rows, row);
    bool is_there = varying->part && varying->open_part == part && varying->next - varying->is_ahead <= row;
    if (!is_there)
        status = open_part(varying, part, error);
    while (status == QUERN_OK && !(varying->is_ahead && varying->next == row + 1))
        status = read_row(varying, error);
    return status;
}

/* Room for the strings of one more row. */
static bool have_room(qn_array_varying *varying, size_t bytes)
{
    if (varying->strings_bytes + bytes <= varying->strings_capacity)
        return true;
    if (varying->strings_bytes > 0)
        return false; /* those that are there are pointed to */
    size_t capacity = bytes > STRINGS_BYTES_MAX ? bytes : STRINGS_BYTES_MAX;
    free(varying->strings);
    varying->strings = malloc(capacity);
    varying->strings_capacity = varying->strings ? capacity : 0;
    return varying->strings != NULL;
}

static uint8_t *put_parts(qn_array_varying *varying, const parts_of_span *parts, uint8_t *element)
{
    for (size_t i = 0; i < parts->count; i++) {
        const quern_span *at = &parts->at[i];
        if (!parts->varies[i]) {
            memcpy(element, at->data, at->bytes);
            element += at->bytes;
            continue;
        }
        char *string = varying->strings + varying->strings_bytes;
        memcpy(string, at->data, at->bytes);
        string[at->bytes] = 0;
        varying->strings_bytes += at->bytes + 1;
        memcpy(element, &string, sizeof string);
        element += sizeof string;
    }
    return element;
}

/* The row that is ahead as an element. */
static void put_element(qn_array_varying *varying, uint8_t *element)
{
    const qn_array_output *form = varying->form;
    const char *row = varying->row.bytes > 0 ? (const char *)varying->row.data : ""; /* an empty one may be nowhere */
    parts_of_span parts;
    bool is_whole = true;
    if (form->key.bytes > 0) {
        is_whole = split(form, &form->key, row, varying->key_bytes, &parts);
        element = put_parts(varying, &parts, element);
    }
    if (form->value.bytes > 0) {
        is_whole &=
            split(form, &form->value, row + varying->key_bytes, varying->row.bytes - varying->key_bytes, &parts);
        put_parts(varying, &parts, element);
    }
    QN_ASSERT(is_whole); /* as it was put */
    varying->is_ahead = false;
}

quern_status qn_array_varying_read(qn_array_varying *varying, uint64_t first, uint64_t count_max, void *elements_out,
                                   uint64_t *count_out, qn_error *error)
{
    uint64_t count = 0;
    quern_status status = QUERN_OK;
    varying->strings_bytes = 0;
    while (count < count_max && (status = go_to(varying, first + count, error)) == QUERN_OK) {
        if (!have_room(varying, varying->row.bytes + FIELD_COUNT_MAX)) {
            status = count > 0 ? QUERN_OK : no_memory(error);
            break;
        }
        put_element(varying, (uint8_t *)elements_out + count * varying->form->element_bytes);
        count++;
    }
    *count_out = count;
    return status;
}
