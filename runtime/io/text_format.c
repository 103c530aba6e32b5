/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/text_format.h"

#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/data/key_text.h"

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

static quern_status put_bytes(qn_part *part, quern_span field, char last, qn_error *error)
{
    quern_status status = qn_part_write(part, field.data, field.bytes, error);
    return status == QUERN_OK ? qn_part_write(part, &last, 1, error) : status;
}

static quern_status put_integer(qn_part *part, bool minus, uint64_t number, char last, qn_error *error)
{
    char digits[NUMBER_BYTES_MAX];
    char *end = digits + sizeof digits - 1;
    *end = last;
    char *begin = format_u64(minus ? -number : number, end);
    if (minus)
        *--begin = '-';
    return qn_part_write(part, begin, (size_t)(end - begin) + 1, error);
}

static quern_status put_float(qn_part *part, quern_type type, quern_span field, char last, qn_error *error)
{
    char text[QN_NUMBER_TEXT_BYTES_MAX];
    size_t bytes = qn_number_describe(type, field.data, text);
    text[bytes] = last;
    return qn_part_write(part, text, bytes + 1, error);
}

quern_status qn_text_put_simple(qn_part *part, quern_type type, quern_span field, char last, qn_error *error)
{
    switch (type) {
    case QUERN_I64:
        return put_integer(part, quern_i64(field) < 0, quern_u64(field), last, error);
    case QUERN_U64:
        return put_integer(part, false, quern_u64(field), last, error);
    case QUERN_I32:
        return put_integer(part, quern_i32(field) < 0, (uint64_t)quern_i32(field), last, error);
    case QUERN_U32:
        return put_integer(part, false, quern_u32(field), last, error);
    case QUERN_F32:
    case QUERN_F64:
        return put_float(part, type, field, last, error);
    default:
        return put_bytes(part, field, last, error);
    }
}

static __attribute__((noinline)) quern_status put_pair(qn_part *part, quern_type type, quern_span field, char last,
                                                       qn_error *error)
{
    quern_status status = qn_text_put_simple(part, QUERN_PAIR_FIRST(type), quern_pair_first(type, field), '\t', error);
    if (status != QUERN_OK)
        return status;
    return qn_text_put_simple(part, QUERN_PAIR_SECOND(type), quern_pair_second(type, field), last, error);
}

/* The usual types first. */
static inline quern_status put_field(qn_part *part, quern_type type, quern_span field, char last, qn_error *error)
{
    if (QN_LIKELY(type == QUERN_BYTES))
        return put_bytes(part, field, last, error);
    if (QN_LIKELY(type == QUERN_U64))
        return put_integer(part, false, quern_u64(field), last, error);
    return QUERN_IS_PAIR(type) ? put_pair(part, type, field, last, error)
                               : qn_text_put_simple(part, type, field, last, error);
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
