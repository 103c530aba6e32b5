/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/row_grammar.h"

#include <stdlib.h>

#include "runtime/data/csv_field.h"

#define FRONT_BYTES ((size_t)64 << 10) /* read at once where the first row is looked at again */

#define FIRST_ROW_ELSEWHERE (UINT64_MAX - 1) /* offsets count from where the segment's units begin, and it is before */

static const char byte_order_mark[] = "\xef\xbb\xbf";

/* A row as it stands. */
typedef struct row {
    qn_csv_field key;
    bool has_key;
    uint32_t column_count;
    size_t end, next;
} row;

static bool is_named(const qn_csv_field *field, const char *name)
{
    char *plain = malloc(field->bytes + 1);
    size_t bytes = plain ? qn_csv_unquote(field, plain) : 0;
    bool same = plain && bytes == strlen(name) && memcmp(plain, name, bytes) == 0;
    free(plain);
    return same;
}

static qn_finding bad_quote(qn_record_source *source, const qn_view *view, size_t at, bool is_open, qn_error *error)
{
    return qn_record_fail(source, view->offset + at, error,
                          is_open ? "the quotes that begin here are not closed"
                                  : "a quote within a field, or something behind a closing quote");
}

static bool holds_newline(const qn_csv_field *field)
{
    return field->bytes > 0 && memchr(field->data, '\n', field->bytes) != NULL;
}

/* The row at `at`. key_name: the column is found by it; NULL: by number. */
static qn_finding parse_row(qn_record_source *source, const qn_view *view, size_t at, uint32_t key_column,
                            const char *key_name, row *to, qn_error *error)
{
    const qn_row_format *format = &source->format.rows;
    const char *data = (const char *)view->data;
    *to = (row){0};
    for (;; to->column_count++) {
        qn_csv_field field;
        qn_csv_end ends =
            qn_csv_field_at(data, view->bytes, at, view->at_end, format->separator, format->has_quotes, &field);
        if (ends == QN_CSV_MORE)
            return QN_MORE;
        if (ends == QN_CSV_BAD)
            return bad_quote(source, view, field.end, field.end == at && data[at] == '"', error);
        if (format->has_quotes && !format->has_quoted_newlines && data[at] == '"' && holds_newline(&field))
            return qn_record_fail(source, view->offset + at, error,
                                  "a field holds a line break, which no_quoted_newlines says none does");
        if (key_name ? is_named(&field, key_name) && !to->has_key : to->column_count == key_column) {
            to->key = field;
            to->has_key = true;
            key_column = to->column_count;
        }
        to->end = field.end;
        to->next = at = field.next;
        if (ends != QN_CSV_SEPARATOR)
            break;
    }
    to->column_count++;
    return QN_FOUND;
}

/* Takes from the first row of a content what the others need. */
static qn_finding learn(qn_record_source *source, const qn_view *view, size_t at, row *first, qn_error *error)
{
    const qn_row_format *format = &source->format.rows;
    qn_grammar_state *state = &source->state;
    const char *name = format->key_name;
    size_t begin = at;
    state->key_column = format->key_column;
    qn_finding finding = parse_row(source, view, at, format->key_column, name, first, error);
    if (finding != QN_FOUND)
        return finding;
    if (name && !first->has_key)
        return qn_record_fail(source, view->offset, error, "the header has no column of the key's name");
    state->column_count = first->column_count;
    state->first_offset = view->offset + begin;
    for (uint32_t i = 0; name && i < first->column_count; i++) {
        qn_csv_field field;
        qn_csv_field_at((const char *)view->data, view->bytes, at, view->at_end, format->separator, format->has_quotes,
                        &field);
        if (field.data == first->key.data)
            state->key_column = i;
        at = field.next;
    }
    return QN_FOUND;
}

/* Bytes of the line break at `at`; 0: there is none. */
static size_t break_bytes(const qn_view *view, size_t at)
{
    if (at == view->bytes)
        return 0;
    if (view->data[at] == '\r')
        return at + 1 == view->bytes ? view->at_end : 2 * (view->data[at + 1] == '\n');
    return view->data[at] == '\n';
}

/* Where the first row begins: behind empty lines and a mark. SIZE_MAX: not in the view. */
static size_t first_row(const qn_view *view)
{
    size_t mark_bytes = sizeof byte_order_mark - 1, at = 0;
    if (view->bytes < mark_bytes && !view->at_end)
        return SIZE_MAX;
    if (view->bytes >= mark_bytes && memcmp(view->data, byte_order_mark, mark_bytes) == 0)
        at = mark_bytes;
    for (size_t passed = 1; passed > 0; at += passed)
        passed = break_bytes(view, at);
    return at < view->bytes || view->at_end ? at : SIZE_MAX;
}

/* The first row is not in what will be read: it is read for itself. */
static quern_status read_first_row(qn_record_source *source, qn_error *error)
{
    for (size_t bytes = FRONT_BYTES;; bytes *= 2) {
        uint8_t *data = calloc(1, bytes + QN_WINDOW_SLACK_BYTES);
        size_t got = 0;
        row first;
        if (!data)
            return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the first row of %s",
                                source->task.window.content.name);
        quern_status status = qn_content_read_front(&source->task.window.content, data, bytes, &got, error);
        qn_view view = {.data = data, .bytes = got, .at_end = got < bytes};
        size_t at = first_row(&view);
        qn_finding finding = status != QUERN_OK ? QN_FAILED
                             : at == SIZE_MAX   ? QN_MORE
                             : at == got        ? QN_FOUND /* there is none, nor any other */
                                                : learn(source, &view, at, &first, error);
        free(data);
        if (finding != QN_MORE)
            return finding == QN_FOUND ? QUERN_OK : error->status;
        if (got > source->record_bytes_max)
            return qn_error_set(error, QUERN_ERROR_RECORD_TOO_LARGE, 0,
                                "the first row of %s is longer than record-bytes", source->task.window.content.name);
    }
}

static quern_status open_rows(qn_record_source *source, qn_error *error)
{
    const qn_text_place *place = &source->task.place;
    source->state.column_count = 0;
    source->state.first_offset = UINT64_MAX;
    source->state.is_quoted = source->task.segments[place->segment].begins_quoted;
    source->state.row_state = source->task.segments[place->segment].row_state;
    if (place->started && place->scan_offset == 0)
        return QUERN_OK;
    quern_status status = read_first_row(source, error);
    const qn_content *content = &source->task.window.content;
    if (qn_content_is_behind_units(content) && !qn_content_knows_offsets(content))
        source->state.first_offset = FIRST_ROW_ELSEWHERE;
    return status;
}

static void tell_rows(const qn_record_source *source, qn_buffer *to)
{
    qn_buffer_append_u32(to, source->state.column_count);
    qn_buffer_append_u32(to, source->state.key_column);
    qn_buffer_append_u64(to, source->state.first_offset);
}

static quern_status hear_rows(qn_record_source *source, qn_reader *told, qn_error *error)
{
    if (source->task.window.content.begin == 0)
        return open_rows(source, error); /* the first row is in the piece */
    source->state.column_count = qn_reader_u32(told);
    source->state.key_column = qn_reader_u32(told);
    source->state.first_offset = qn_reader_u64(told);
    return told->failed ? qn_error_set(error, QUERN_ERROR_INTERNAL, 0, "a piece of a file says too little") : QUERN_OK;
}

static qn_finding give_row(qn_record_source *source, const qn_view *view, size_t at, const row *found, qn_error *error)
{
    quern_span key = {found->key.data, found->key.bytes};
    if (!found->has_key)
        return qn_record_fail(source, view->offset + at, error, "this row has no field of the key's column");
    if (found->column_count != source->state.column_count && !source->format.rows.is_ragged)
        return qn_record_fail(source, view->offset + at, error, "this row has another number of fields than the first");
    if (found->key.is_doubled) {
        uint8_t *room = qn_record_room(source, view, error);
        if (!room)
            return QN_FAILED;
        room += source->joined_bytes;
        key = (quern_span){room, qn_csv_unquote(&found->key, (char *)room)};
        source->joined_bytes += key.bytes;
    }
    source->task.place.scan_offset = view->offset + found->next;
    return qn_record_add(source, key, (quern_span){view->data + at, found->end - at}, view->offset + at, error);
}

/* Where a content begins, its first row may not: that one is of the stretch in which it does. */
static qn_finding pass_front(qn_record_source *source, const qn_view *view)
{
    size_t at = first_row(view);
    if (at == SIZE_MAX)
        return QN_MORE;
    source->state.first_offset = at;
    source->task.place.scan_offset = at;
    return at > 0 ? QN_PASSED : QN_FOUND;
}

static qn_finding next_row(qn_record_source *source, const qn_view *view, qn_error *error)
{
    row found;
    if (view->offset == 0) {
        qn_finding finding = pass_front(source, view);
        if (finding != QN_FOUND)
            return finding;
    }
    bool is_first = view->offset == source->state.first_offset;
    if (view->bytes == 0)
        return QN_MORE;
    size_t passed = break_bytes(view, 0);
    if (passed > 0) {
        source->task.place.scan_offset += passed;
        return QN_PASSED;
    }
    qn_finding finding = is_first ? learn(source, view, 0, &found, error)
                                  : parse_row(source, view, 0, source->state.key_column, NULL, &found, error);
    if (finding == QN_FAILED && is_first)
        source->bad_reason = NULL; /* nothing is known of the others */
    if (finding != QN_FOUND)
        return finding;
    if (is_first && source->format.rows.has_header) {
        source->task.place.scan_offset = view->offset + found.next;
        return QN_PASSED;
    }
    return give_row(source, view, 0, &found, error);
}

/* Whether line breaks can be within rows. */
static bool has_states(const qn_row_format *format)
{
    return format->has_quotes && format->has_quoted_newlines;
}

/* Goes over a byte on the way to the first row; whether it is a line break behind which one begins. The byte before the stretch is in what was
 * counted. */
static bool ends_row(qn_record_source *source, const qn_view *view, size_t at, bool counts)
{
    qn_grammar_state *state = &source->state;
    char byte = (char)view->data[at];
    bool is_before = view->offset + at < source->task.window.content.begin;
    if (!source->task.bad || !counts) {
        state->is_quoted ^= counts && !is_before && byte == '"';
        return byte == '\n' && !state->is_quoted;
    }
    qn_row_state before = (qn_row_state)state->row_state;
    if (!is_before)
        state->row_state = qn_row_step(&source->format.rows, before, byte);
    return byte == '\n' && (is_before ? before == QN_ROW_FIELD : qn_row_may_end(before));
}

/* Counts quotes to the first line break that is outside of them. */
static qn_finding enter_rows(qn_record_source *source, const qn_view *view, qn_error *error)
{
    (void)error;
    bool counts = has_states(&source->format.rows);
    uint64_t mark_end = sizeof byte_order_mark - 1, begin = source->task.window.content.begin;
    if (begin <= mark_end && source->state.first_offset == mark_end && view->offset + view->bytes > mark_end &&
        mark_end < source->task.window.content.end) {
        source->task.place.scan_offset = mark_end; /* no line break is before the first row */
        return QN_FOUND;
    }
    for (size_t at = 0; at < view->bytes; at++) {
        if (ends_row(source, view, at, counts)) {
            source->task.place.scan_offset = view->offset + at + 1;
            return QN_FOUND;
        }
        if (view->offset + at + 1 >= source->task.window.content.end)
            return QN_END;
    }
    source->task.place.scan_offset = view->offset + view->bytes;
    return view->at_end ? QN_END : view->bytes > 0 ? QN_PASSED : QN_MORE;
}

/* To the line break that ends the bad row. state.passing is the state, and one. */
static qn_finding pass_row(qn_record_source *source, const qn_view *view)
{
    const qn_row_format *format = &source->format.rows;
    qn_row_state state = source->state.passing > 0 ? (qn_row_state)(source->state.passing - 1) : QN_ROW_FIELD;
    bool ended = false;
    size_t at = 0;
    for (; at < view->bytes && !ended; at++) {
        char byte = (char)view->data[at];
        ended = byte == '\n' && (!has_states(format) || qn_row_may_end(state));
        state = qn_row_step(format, state, byte);
    }
    source->state.passing = (uint8_t)(state + 1);
    source->task.place.scan_offset = view->offset + at;
    return ended || view->at_end ? QN_FOUND : at > 0 ? QN_PASSED : QN_MORE;
}

const qn_grammar qn_row_grammar = {
    .open = open_rows,
    .tell = tell_rows,
    .hear = hear_rows,
    .enter = enter_rows,
    .next = next_row,
    .pass = pass_row,
};

uint64_t qn_quotes_count(const uint8_t *data, size_t bytes)
{
    uint64_t count = 0;
    for (size_t at = 0; at < bytes; at++) /* compilers make vectors of it */
        count += data[at] == '"';
    return count;
}
