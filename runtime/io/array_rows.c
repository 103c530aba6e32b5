/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/array_rows.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/base/file.h"
#include "runtime/io/array_varying.h"

#define PADDING_BYTES 4096

static quern_status pad(qn_part *part, uint64_t bytes, qn_error *error)
{
    static const char nothing[PADDING_BYTES];
    quern_status status = QUERN_OK;
    for (uint64_t left = bytes; left > 0 && status == QUERN_OK;) {
        size_t now = left < sizeof nothing ? (size_t)left : sizeof nothing;
        status = qn_part_write(part, nothing, now, error);
        left -= now;
    }
    return status;
}

static quern_status put_span(qn_part *part, const qn_array_output *form, const qn_array_span *span, const char *what,
                             const void *data, size_t bytes, qn_error *error)
{
    if (span->varies)
        return qn_array_varying_put(part, form, span, what, data, bytes, error);
    if (QN_UNLIKELY(bytes != span->bytes && !(span->pads && bytes < span->bytes)))
        return qn_error_set(
            error, QUERN_ERROR_OUTPUT, 0,
            "write hdf5: a %s has %zu bytes, but %s %u: say the type, fields or string_bytes that it has", what, bytes,
            span->pads ? "the strings of the dataset have" : "a row of the dataset takes", span->bytes);
    quern_status status = qn_part_write(part, data, bytes, error);
    return status == QUERN_OK && bytes < span->bytes ? pad(part, span->bytes - bytes, error) : status;
}

quern_status qn_array_rows_put(qn_part *part, const qn_array_output *form, const quern_block *block, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (size_t i = 0; i < block->count && status == QUERN_OK; i++) {
        if (form->key.bytes > 0)
            status = put_span(part, form, &form->key, "key", block->key[i], block->key_bytes[i], error);
        if (status == QUERN_OK && form->value.bytes > 0)
            status = put_span(part, form, &form->value, "value", block->value[i], block->value_bytes[i], error);
        part->summary.records += status == QUERN_OK;
    }
    return status;
}

quern_status qn_array_rows_init(qn_array_rows *rows, const char *directory, const char *token,
                                const qn_part_summary *parts, uint64_t part_count, uint64_t row_bytes, qn_error *error)
{
    *rows = (qn_array_rows){
        .directory = directory, .token = token, .row_bytes = row_bytes, .part_count = part_count, .fd = -1};
    rows->first_rows = calloc(part_count + 1, sizeof *rows->first_rows);
    if (!rows->first_rows)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for %llu parts",
                            (unsigned long long)part_count);
    for (uint64_t i = 0; i < part_count; i++) {
        QN_ASSERT(parts[i].number == i);
        rows->first_rows[i + 1] = rows->first_rows[i] + parts[i].records;
    }
    return QUERN_OK;
}

static void close_part(qn_array_rows *rows)
{
    if (rows->first_rows && rows->fd >= 0)
        close(rows->fd);
    rows->fd = -1;
}

void qn_array_rows_fini(qn_array_rows *rows)
{
    close_part(rows);
    free(rows->first_rows);
    *rows = (qn_array_rows){.fd = -1};
}

uint64_t qn_array_rows_get_count(const qn_array_rows *rows)
{
    return rows->first_rows[rows->part_count];
}

uint64_t qn_array_rows_find_part(const qn_array_rows *rows, uint64_t row)
{
    uint64_t low = 0, high = rows->part_count;
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (rows->first_rows[middle] <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

char *qn_array_rows_part_path(const qn_array_rows *rows, uint64_t part)
{
    return qn_part_temporary_path(rows->directory, part, rows->part_count, rows->token);
}

static quern_status read_part(qn_array_rows *rows, uint64_t part, uint64_t first, uint64_t count, void *data_out,
                              qn_error *error)
{
    char *path = qn_array_rows_part_path(rows, part);
    size_t bytes = (size_t)(count * rows->row_bytes), got = 0;
    quern_status status = path ? QUERN_OK : qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a file name");
    if (path && (rows->fd < 0 || rows->open_part != part)) {
        close_part(rows);
        rows->fd = open(path, O_RDONLY | O_CLOEXEC);
        rows->open_part = part;
        if (rows->fd < 0)
            status = qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot read %s again", path);
    }
    if (status == QUERN_OK)
        status = qn_file_read_at(rows->fd, data_out, bytes, (first - rows->first_rows[part]) * rows->row_bytes, path,
                                 QUERN_ERROR_OUTPUT, &got, error);
    if (status == QUERN_OK && got < bytes)
        status = qn_error_set(error, QUERN_ERROR_OUTPUT, 0, "%s became shorter", path);
    free(path);
    return status;
}

quern_status qn_array_rows_read(qn_array_rows *rows, uint64_t first, uint64_t count, void *data_out, qn_error *error)
{
    quern_status status = QUERN_OK;
    uint8_t *to = data_out;
    QN_ASSERT(first + count <= qn_array_rows_get_count(rows));
    while (count > 0 && status == QUERN_OK) {
        uint64_t part = qn_array_rows_find_part(rows, first), here = rows->first_rows[part + 1] - first;
        uint64_t now = here < count ? here : count;
        status = read_part(rows, part, first, now, to, error);
        first += now;
        count -= now;
        to += now * rows->row_bytes;
    }
    return status;
}
