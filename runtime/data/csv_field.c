/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/csv_field.h"

#include <quern/formats.h>
#include <string.h>

/* What ends a field at `at`, which is not within quotes. */
static qn_csv_end end_at(const char *data, size_t bytes, size_t at, bool at_end, char separator, qn_csv_field *field)
{
    field->end = at;
    field->next = at + 1;
    if (at < bytes && data[at] == separator)
        return QN_CSV_SEPARATOR;
    if (at < bytes && data[at] == '\n')
        return QN_CSV_NEWLINE;
    if (at + 1 < bytes && data[at] == '\r' && data[at + 1] == '\n') {
        field->next = at + 2;
        return QN_CSV_NEWLINE;
    }
    bool is_seen = at < bytes && (data[at] != '\r' || at + 1 < bytes);
    if (!is_seen && at_end) {
        field->next = bytes;
        return QN_CSV_END;
    }
    return is_seen ? QN_CSV_BAD : QN_CSV_MORE;
}

static qn_csv_end quoted_field(const char *data, size_t bytes, size_t at, bool at_end, char separator,
                               qn_csv_field *field)
{
    size_t begin = at + 1;
    field->is_doubled = false;
    for (at = begin;; at += 2) {
        const char *quote = at < bytes ? memchr(data + at, '"', bytes - at) : NULL;
        field->end = begin - 1;
        if (!quote)
            return at_end ? QN_CSV_BAD : QN_CSV_MORE;
        at = (size_t)(quote - data);
        if (at + 1 == bytes || data[at + 1] != '"')
            break;
        field->is_doubled = true;
    }
    field->data = data + begin;
    field->bytes = at - begin;
    return end_at(data, bytes, at + 1, at_end, separator, field);
}

qn_csv_end qn_csv_field_at(const char *data, size_t bytes, size_t at, bool at_end, char separator, bool has_quotes,
                           qn_csv_field *field_out)
{
    if (has_quotes && at < bytes && data[at] == '"')
        return quoted_field(data, bytes, at, at_end, separator, field_out);
    qn_csv_end ends = QN_CSV_MORE;
    *field_out = (qn_csv_field){.data = data + at};
    for (size_t begin = at;; at++) {
        while (at < bytes && data[at] != separator && data[at] != '\n' && data[at] != '\r' && data[at] != '"')
            at++;
        if (at < bytes && data[at] == '"' && !has_quotes)
            continue;
        ends = end_at(data, bytes, at, at_end, separator, field_out);
        field_out->bytes = at - begin;
        if (ends != QN_CSV_BAD || data[at] == '"')
            return ends; /* a '\r' that no '\n' follows is a letter */
    }
}

size_t qn_csv_unquote(const qn_csv_field *field, char *to)
{
    size_t bytes = 0;
    for (size_t at = 0; at < field->bytes; at++) {
        to[bytes++] = field->data[at];
        at += field->is_doubled && field->data[at] == '"';
    }
    return bytes;
}

int quern_csv_next_field(quern_csv_cursor *cursor, void *room, quern_span *field_out)
{
    qn_csv_field field;
    if (cursor->ended)
        return 0;
    qn_csv_end ends = qn_csv_field_at(cursor->data, cursor->bytes, cursor->at, true,
                                      cursor->separator ? cursor->separator : ',', !cursor->no_quotes, &field);
    if (ends == QN_CSV_BAD)
        return -1;
    cursor->at = field.next;
    cursor->ended = ends != QN_CSV_SEPARATOR;
    *field_out = quern_bytes(field.data, field.bytes);
    if (field.is_doubled)
        *field_out = quern_bytes(room, qn_csv_unquote(&field, room));
    return 1;
}
