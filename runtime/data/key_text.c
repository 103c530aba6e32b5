/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/key_text.h"

#include <inttypes.h>
#include <stdio.h>

void qn_key_describe(quern_type type, const void *data, size_t bytes, char text_out[QN_KEY_TEXT_BYTES_MAX + 1])
{
    const char *from = data;
    size_t count = bytes < QN_KEY_TEXT_BYTES_MAX ? bytes : QN_KEY_TEXT_BYTES_MAX;
    if (type == QUERN_I64) {
        snprintf(text_out, QN_KEY_TEXT_BYTES_MAX, "%" PRId64, quern_i64((quern_span){data, 8}));
        return;
    }
    if (type == QUERN_U64) {
        snprintf(text_out, QN_KEY_TEXT_BYTES_MAX, "%" PRIu64, quern_u64((quern_span){data, 8}));
        return;
    }
    for (size_t i = 0; i < count; i++)
        text_out[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
    text_out[count] = 0;
}
