/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/key_text.h"

#include <inttypes.h>
#include <stdio.h>

#include "runtime/data/type.h"

/* The decimal point of another locale, of any length, becomes a point. */
static size_t plain_point(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        bool plain = strchr("0123456789+-einfa", *from) != NULL;
        if (plain)
            *to++ = *from;
        else if (to[-1] != '.')
            *to++ = '.';
    }
    *to = 0;
    return (size_t)(to - text);
}

static size_t describe_float(double number, int digits, char text_out[QN_NUMBER_TEXT_BYTES_MAX])
{
    snprintf(text_out, QN_NUMBER_TEXT_BYTES_MAX, "%.*g", digits, number);
    if (number != number)
        strcpy(text_out, "nan");
    return plain_point(text_out);
}

size_t qn_number_describe(quern_type type, const void *data, char text_out[QN_NUMBER_TEXT_BYTES_MAX])
{
    quern_span span = {data, 0};
    switch (type) {
    case QUERN_I64:
        return (size_t)snprintf(text_out, QN_NUMBER_TEXT_BYTES_MAX, "%" PRId64, quern_i64(span));
    case QUERN_I32:
        return (size_t)snprintf(text_out, QN_NUMBER_TEXT_BYTES_MAX, "%" PRId32, quern_i32(span));
    case QUERN_U32:
        return (size_t)snprintf(text_out, QN_NUMBER_TEXT_BYTES_MAX, "%" PRIu32, quern_u32(span));
    case QUERN_F64:
        return describe_float(quern_f64(span), 17, text_out);
    case QUERN_F32:
        return describe_float((double)quern_f32(span), 9, text_out);
    default:
        return (size_t)snprintf(text_out, QN_NUMBER_TEXT_BYTES_MAX, "%" PRIu64, quern_u64(span));
    }
}

/* Appends to text, of which `used` bytes are written, as far as there is room. Returns how many are then. */
static size_t append(char *text, size_t used, const char *from, size_t bytes)
{
    for (size_t i = 0; i < bytes && used < QN_KEY_TEXT_BYTES_MAX; i++)
        text[used++] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
    return used;
}

static size_t append_simple(char *text, size_t used, quern_type type, quern_span span)
{
    char number[QN_NUMBER_TEXT_BYTES_MAX];
    if (qn_type_is_number(type))
        return append(text, used, number, qn_number_describe(type, span.data, number));
    return append(text, used, span.data, span.bytes);
}

void qn_key_describe(quern_type type, const void *data, size_t bytes, char text_out[QN_KEY_TEXT_BYTES_MAX + 1])
{
    quern_span key = {data, bytes};
    size_t used = 0;
    if (QUERN_IS_PAIR(type)) {
        used = append_simple(text_out, used, QUERN_PAIR_FIRST(type), quern_pair_first(type, key));
        used = append(text_out, used, ", ", 2);
        used = append_simple(text_out, used, QUERN_PAIR_SECOND(type), quern_pair_second(type, key));
    } else
        used = append_simple(text_out, used, type, key);
    text_out[used] = 0;
}
