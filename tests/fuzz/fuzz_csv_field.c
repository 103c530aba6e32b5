/* SPDX-License-Identifier: BSD-3-Clause */
/* Fields of any row: they end, lie in the row or in the room, and are the same when they are quoted and read again. First byte: the separator, and whether there are quotes. */
#include <quern/formats.h>

#include "tests/fuzz/fuzz.h"

static void *copy(const void *data, size_t bytes)
{
    void *room = malloc(bytes > 0 ? bytes : 1);
    FUZZ_CHECK(room, "no memory");
    if (bytes > 0)
        memcpy(room, data, bytes);
    return room;
}

static bool is_in(quern_span field, const uint8_t *from, size_t bytes)
{
    const uint8_t *data = field.data;
    return field.bytes == 0 || (data >= from && field.bytes <= bytes && data <= from + (bytes - field.bytes));
}

/* Appends the fields, each quoted, as a row. Its status. */
static int quote_fields(quern_csv_cursor cursor, qn_buffer *row, qn_buffer *fields)
{
    uint8_t *room = copy(cursor.data, cursor.bytes);
    quern_span field;
    int status;
    size_t count = 0;
    while ((status = quern_csv_next_field(&cursor, room, &field)) > 0) {
        FUZZ_CHECK(++count <= cursor.bytes + 1, "more fields than bytes");
        FUZZ_CHECK(is_in(field, (const uint8_t *)cursor.data, cursor.bytes) || is_in(field, room, cursor.bytes),
                   "field %zu is elsewhere", count);
        qn_buffer_append_span(fields, field.data, field.bytes);
        if (count > 1)
            qn_buffer_append(row, &cursor.separator, 1);
        qn_buffer_append(row, "\"", 1);
        for (size_t i = 0; i < field.bytes; i++)
            qn_buffer_append(row, (const char *)field.data + i, 1),
                qn_buffer_append(row, "\"", ((const char *)field.data)[i] == '"');
        qn_buffer_append(row, "\"", 1);
    }
    free(room);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static qn_buffer row, fields, again_row, again_fields;
    fuzz_input content = {data, bytes};
    uint8_t choice = fuzz_take(&content);
    char *whole = copy(content.data, content.bytes);
    row.bytes = fields.bytes = again_row.bytes = again_fields.bytes = 0;
    quern_csv_cursor cursor = {
        .data = whole, .bytes = content.bytes, .separator = choice & 1 ? '\t' : ',', .no_quotes = choice & 2};
    if (quote_fields(cursor, &row, &fields) == 0) {
        cursor = (quern_csv_cursor){.data = (const char *)row.data, .bytes = row.bytes, .separator = cursor.separator};
        FUZZ_CHECK(quote_fields(cursor, &again_row, &again_fields) == 0, "what was quoted is no row");
        FUZZ_CHECK(fields.bytes == again_fields.bytes && memcmp(fields.data, again_fields.data, fields.bytes) == 0,
                   "other fields when they are quoted");
    }
    free(whole);
    return 0;
}
