/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/text_format.h"

#include "runtime/base/assert.h"

#define NUMBER_BYTES_MAX 24

/* The decimal digits of a number, at the end of the field. Returns where they begin. */
static char *format_u64(uint64_t number, char *end)
{
    do {
        *--end = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return end;
}

static quern_status put_field(qn_part *part, quern_type type, quern_span field, char last, qn_error *error)
{
    char digits[NUMBER_BYTES_MAX];
    char *end = digits + sizeof digits - 1;
    *end = last;
    if (type == QUERN_BYTES) {
        quern_status status = qn_part_write(part, field.data, field.bytes, error);
        return status == QUERN_OK ? qn_part_write(part, end, 1, error) : status;
    }
    int64_t number = quern_i64(field);
    char *begin;
    if (type == QUERN_I64 && number < 0) {
        begin = format_u64(-(uint64_t)number, end);
        *--begin = '-';
    } else
        begin = format_u64((uint64_t)number, end);
    return qn_part_write(part, begin, (size_t)(end - begin) + 1, error);
}

quern_status qn_text_put(qn_part *part, const quern_schema *schema, const quern_record *record, qn_error *error)
{
    bool with_value = schema->value != QUERN_NONE;
    quern_status status = put_field(part, schema->key, record->key, with_value ? '\t' : '\n', error);
    if (status == QUERN_OK && with_value)
        status = put_field(part, schema->value, record->value, '\n', error);
    part->summary.records += status == QUERN_OK;
    return status;
}
