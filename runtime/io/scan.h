/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/scan.h: where delimiters are in text, 64 bytes at a time.
 *
 * A set of delimiters, if all are ASCII, is two tables of 16 bytes, looked up by the low and the high half of a byte: they share a bit if
 * the byte is a delimiter. If no two delimiters have the same low half, as in white space, one table is enough: the only byte
 * that may be a delimiter there, to be compared with. With AVX2 that is two shuffles or one per 32 bytes; without it, a table of 256.
 */
#ifndef QN_IO_SCAN_H
#define QN_IO_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QN_SCAN_STEP_BYTES      64
#define QN_SCAN_SLACK_POSITIONS 64 /* positions_out may be written so far behind what is counted */

typedef struct qn_delimiters {
    uint8_t low[16], high[16];
    uint8_t only[16]; /* the delimiter with that low half, or a byte with another low half */
    uint8_t is_delimiter[256];
    bool wide;     /* the machine has the instructions */
    bool has_only; /* no two delimiters have the same low half */
} qn_delimiters;

/* `set`: any bytes. False if one is not ASCII: then they are scanned for byte by byte. */
bool qn_delimiters_init(qn_delimiters *delimiters, const char *set, size_t count);

/*
 * Positions in data at which the scan of data[from … bytes) has something to say, ascending, up to about positions_max (whole steps
 * are scanned while fewer than that are found). toggles false: the delimiters. toggles true: the places where delimiters change to
 * other bytes and back; *inside says whether the byte before data[from] was no delimiter, and is left so for the
 * next call. Returns the number of positions; *end_out: where the scan ended. QN_SCAN_STEP_BYTES behind the data must be readable.
 * positions_out has room for positions_max + 2 * QN_SCAN_SLACK_POSITIONS. bytes < 2^32.
 */
size_t qn_scan(const qn_delimiters *delimiters, const uint8_t *data, size_t from, size_t bytes, bool toggles,
               bool *inside, uint32_t *positions_out, size_t positions_max, size_t *end_out);

#endif
