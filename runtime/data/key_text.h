/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/data/key_text.h: a key as a person can read it, for messages. */
#ifndef QN_DATA_KEY_TEXT_H
#define QN_DATA_KEY_TEXT_H

#include <quern/types.h>

#define QN_KEY_TEXT_BYTES_MAX 64

/* Room for a number as text, with a NUL. */
#define QN_NUMBER_TEXT_BYTES_MAX 32

/* Writes a number: integers in decimal, floating-point numbers with as many digits as tell them apart, in the "C" locale whatever
 * the program's; "nan" whatever its sign. Returns the length. */
size_t qn_number_describe(quern_type type, const void *data, char text_out[QN_NUMBER_TEXT_BYTES_MAX]);

/* Numbers as above; pairs as "first, second"; of bytes the first QN_KEY_TEXT_BYTES_MAX, what is not printable ASCII as '?'. */
void qn_key_describe(quern_type type, const void *data, size_t bytes, char text_out[QN_KEY_TEXT_BYTES_MAX + 1]);

#endif
