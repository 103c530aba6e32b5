/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/row_states.h"

#define RUN_BYTES ((size_t)4 << 10) /* between looks at which states became one */

qn_row_state qn_row_step(const qn_row_format *format, qn_row_state state, char byte)
{
    if (state == QN_ROW_QUOTED)
        return byte == '"' ? QN_ROW_CLOSED : QN_ROW_QUOTED;
    if (byte == '\n')
        return QN_ROW_FIELD;
    if (byte == format->separator && state != QN_ROW_RETURN && state != QN_ROW_BAD)
        return QN_ROW_FIELD;
    switch (state) {
    case QN_ROW_FIELD:
        return byte == '"' && format->has_quotes ? QN_ROW_QUOTED : QN_ROW_PLAIN;
    case QN_ROW_PLAIN:
        return byte == '"' && format->has_quotes ? QN_ROW_BAD : QN_ROW_PLAIN;
    case QN_ROW_CLOSED:
        return byte == '"' ? QN_ROW_QUOTED : byte == '\r' ? QN_ROW_RETURN : QN_ROW_BAD;
    default:
        return QN_ROW_BAD;
    }
}

static qn_row_state run_from(const qn_row_format *format, qn_row_state state, const char *data, size_t bytes)
{
    for (size_t at = 0; at < bytes; at++)
        state = qn_row_step(format, state, data[at]);
    return state;
}

qn_row_map qn_row_map_run(const qn_row_format *format, qn_row_map map, const char *data, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += RUN_BYTES) {
        size_t count = bytes - at < RUN_BYTES ? bytes - at : RUN_BYTES;
        qn_row_state reached[QN_ROW_STATE_COUNT];
        bool is_known[QN_ROW_STATE_COUNT] = {false};
        qn_row_map next = 0;
        for (int from = 0; from < QN_ROW_STATE_COUNT; from++) {
            qn_row_state state = qn_row_map_get(map, (qn_row_state)from);
            if (!is_known[state])
                reached[state] = run_from(format, state, data + at, count);
            is_known[state] = true;
            next |= (qn_row_map)reached[state] << 4 * from;
        }
        map = next;
    }
    return map;
}
