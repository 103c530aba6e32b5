/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/csv_format.h"

#include <string.h>

#include "runtime/data/csv_field.h"
#include "runtime/io/text_format.h"

#define BYTE_ORDER_MARK       "\xEF\xBB\xBF"
#define BYTE_ORDER_MARK_BYTES 3

/* A field on its way into a row. */
typedef struct piece {
    const char *data;
    size_t bytes;
    bool is_doubled; /* each quote stands there twice */
    char last;       /* what comes behind it */
} piece;

static bool has(const piece *field, char byte)
{
    return memchr(field->data, byte, field->bytes) != NULL;
}

static bool needs_quotes(const qn_text_form *form, const piece *field)
{
    if (field->is_doubled)
        return true;
    if (field->bytes == 0)
        return false;
    return has(field, form->separator) || has(field, '"') || has(field, '\n') || has(field, '\r') ||
           (field->bytes >= BYTE_ORDER_MARK_BYTES && memcmp(field->data, BYTE_ORDER_MARK, BYTE_ORDER_MARK_BYTES) == 0);
}

/* In quotes, with each quote twice. */
static quern_status put_quoted(qn_part *part, const piece *field, qn_error *error)
{
    const char *at = field->data, *end = at + field->bytes;
    quern_status status = qn_part_write(part, "\"", 1, error);
    while (status == QUERN_OK && at < end) {
        const char *quote = field->is_doubled ? NULL : memchr(at, '"', (size_t)(end - at));
        const char *stop = quote ? quote + 1 : end;
        status = qn_part_write(part, at, (size_t)(stop - at), error);
        if (status == QUERN_OK && quote)
            status = qn_part_write(part, "\"", 1, error);
        at = stop;
    }
    const char tail[] = {'"', field->last};
    return status == QUERN_OK ? qn_part_write(part, tail, sizeof tail, error) : status;
}

/* What stands for a byte that cannot stand in TSV; NULL: it can. */
static const char *escape_of(char byte)
{
    switch (byte) {
    case '\t':
        return "\\t";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\\':
        return "\\\\";
    default:
        return NULL;
    }
}

static quern_status put_escaped(qn_part *part, const piece *field, qn_error *error)
{
    const char *at = field->data, *end = at + field->bytes, *plain = at;
    quern_status status = QUERN_OK;
    while (at < end && status == QUERN_OK) {
        const char *escape = escape_of(*at);
        bool is_second = field->is_doubled && *at == '"' && at > plain && at[-1] == '"';
        if (!escape && !is_second) {
            at++;
            continue;
        }
        status = qn_part_write(part, plain, (size_t)(at - plain), error);
        if (status == QUERN_OK && escape)
            status = qn_part_write(part, escape, 2, error);
        plain = ++at;
    }
    if (status == QUERN_OK)
        status = qn_part_write(part, plain, (size_t)(end - plain), error);
    return status == QUERN_OK ? qn_part_write(part, &field->last, 1, error) : status;
}

static quern_status put_as_is(qn_part *part, const piece *field, qn_error *error)
{
    quern_status status = qn_part_write(part, field->data, field->bytes, error);
    return status == QUERN_OK ? qn_part_write(part, &field->last, 1, error) : status;
}

static quern_status put_piece(qn_part *part, const qn_text_form *form, const piece *field, qn_error *error)
{
    if (form->form == QUERN_FORM_TSV)
        return put_escaped(part, field, error);
    return needs_quotes(form, field) ? put_quoted(part, field, error) : put_as_is(part, field, error);
}

/* ---- rows ---- */

/* The byte behind the last field; in CSV another one follows. */
static char row_end(const qn_text_form *form)
{
    return form->form == QUERN_FORM_TSV ? '\n' : '\r';
}

static quern_status end_row(qn_part *part, const qn_text_form *form, qn_error *error)
{
    return form->form == QUERN_FORM_TSV ? QUERN_OK : qn_part_write(part, "\n", 1, error);
}

/* A row of one field. */
static quern_status put_single(qn_part *part, const qn_text_form *form, const piece *field, qn_error *error)
{
    bool is_nothing = field->bytes == 0 && form->form == QUERN_FORM_CSV;
    return is_nothing ? put_quoted(part, field, error) : put_piece(part, form, field, error);
}

quern_status qn_csv_put_header(qn_part *part, const qn_text_form *form, qn_error *error)
{
    quern_status status = QUERN_OK;
    if (form->name_count == 0)
        return QUERN_OK;
    for (size_t i = 0; i < form->name_count && status == QUERN_OK; i++) {
        bool is_last = i + 1 == form->name_count;
        piece name = {form->names[i], strlen(form->names[i]), false, is_last ? row_end(form) : form->separator};
        status = form->name_count == 1 ? put_single(part, form, &name, error) : put_piece(part, form, &name, error);
    }
    return status == QUERN_OK ? end_row(part, form, error) : status;
}

static quern_status no_row(size_t at, size_t bytes, qn_error *error)
{
    return qn_error_set(
        error, QUERN_ERROR_OUTPUT, 0,
        "write files: a value of %zu bytes is no row: at byte %zu is a line break or a quote that cannot "
        "be there",
        bytes, at);
}

/* The fields of a row that stands in another form. */
static quern_status put_fields(qn_part *part, const qn_text_form *form, quern_span row, qn_error *error)
{
    quern_status status = QUERN_OK;
    qn_csv_field field = {0};
    for (qn_csv_end ends = QN_CSV_SEPARATOR; ends == QN_CSV_SEPARATOR && status == QUERN_OK;) {
        bool is_first = field.next == 0;
        ends =
            qn_csv_field_at(row.data, row.bytes, field.next, true, form->row_separator, form->row_has_quotes, &field);
        if (ends != QN_CSV_SEPARATOR && ends != QN_CSV_END)
            return no_row(field.end, row.bytes, error);
        piece taken = {field.data, field.bytes, field.is_doubled,
                       ends == QN_CSV_SEPARATOR ? form->separator : row_end(form)};
        if (form->form == QUERN_FORM_TSV && !form->row_has_quotes)
            status = put_as_is(part, &taken, error);
        else
            status = is_first && ends == QN_CSV_END ? put_single(part, form, &taken, error)
                                                    : put_piece(part, form, &taken, error);
    }
    return status;
}

static quern_status put_simple(qn_part *part, const qn_text_form *form, quern_type type, quern_span span, char last,
                               bool is_single, qn_error *error)
{
    piece field = {span.data, span.bytes, false, last};
    if (type != QUERN_BYTES && type != QUERN_FIXED)
        return qn_text_put_simple(part, type, span, last, error);
    return is_single ? put_single(part, form, &field, error) : put_piece(part, form, &field, error);
}

static quern_status put_field(qn_part *part, const qn_text_form *form, quern_type type, quern_span span, char last,
                              bool is_single, qn_error *error)
{
    if (!QUERN_IS_PAIR(type))
        return put_simple(part, form, type, span, last, is_single, error);
    quern_status status =
        put_simple(part, form, QUERN_PAIR_FIRST(type), quern_pair_first(type, span), form->separator, false, error);
    if (status != QUERN_OK)
        return status;
    return put_simple(part, form, QUERN_PAIR_SECOND(type), quern_pair_second(type, span), last, false, error);
}

quern_status qn_csv_put(qn_part *part, const qn_text_form *form, const quern_schema *schema, const quern_record *record,
                        qn_error *error)
{
    bool with_value = schema->value != QUERN_NONE;
    char end = row_end(form);
    quern_status status = QUERN_OK;
    if (form->is_row)
        status = put_fields(part, form, record->value, error);
    else
        status =
            put_field(part, form, schema->key, record->key, with_value ? form->separator : end, !with_value, error);
    if (status == QUERN_OK && with_value && !form->is_row)
        status = put_field(part, form, schema->value, record->value, end, false, error);
    if (status == QUERN_OK)
        status = end_row(part, form, error);
    part->summary.records += status == QUERN_OK;
    return status;
}
