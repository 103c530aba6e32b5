/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/row_states.h: where in a row of CSV a byte is, told by the bytes before it, bad rows and all.
 *
 * Where rows may be bad, the number of quotes before a place says nothing: one quote too many turns it around for the rest of the file. But
 * what a reader does from byte to byte is a machine of six states, if a bad row ends at the first line break behind what is bad in it. A
 * machine of so few states can be run over a stretch without knowing in which of them it begins: from each of them (they soon become
 * one or two). So ranks work out their stretches at the same time, and put together what these make of the state at the begin of
 * the file, which is known.
 */
#ifndef QN_IO_ROW_STATES_H
#define QN_IO_ROW_STATES_H

#include "runtime/data/record_format.h"

typedef enum qn_row_state {
    QN_ROW_FIELD,  /* a field begins; so does a row */
    QN_ROW_PLAIN,  /* in a field without quotes */
    QN_ROW_QUOTED, /* within quotes */
    QN_ROW_CLOSED, /* behind a quote that ends them, or is the first of two */
    QN_ROW_RETURN, /* behind a '\r' behind them */
    QN_ROW_BAD,    /* to the end of the line */
} qn_row_state;

#define QN_ROW_STATE_COUNT 6

qn_row_state qn_row_step(const qn_row_format *format, qn_row_state state, char byte);

/* Whether a line break in this state ends a row. */
static inline bool qn_row_may_end(qn_row_state state)
{
    return state != QN_ROW_QUOTED;
}

/* What bytes make of each state: 4 bits each. */
typedef uint64_t qn_row_map;

#define QN_ROW_MAP_NONE ((qn_row_map)0x543210) /* of no bytes */

qn_row_map qn_row_map_run(const qn_row_format *format, qn_row_map map, const char *data, size_t bytes);

static inline qn_row_state qn_row_map_get(qn_row_map map, qn_row_state from)
{
    return (qn_row_state)(map >> 4 * from & 15);
}

#endif
