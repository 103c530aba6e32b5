/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/stream/records.h: what records look like on the way to commands and back.
 *
 *     lines      a line is a record, of which the part up to the first tab is the key. The value is the rest, with the tab, so that a line comes
 *                back as it was: "a" and "a<TAB>" are two lines, with one key. The last line may lack its end.
 *     lengths    the lengths of key and value, 4 bytes each with the highest first, then key and value: any bytes.
 */
#ifndef QUERN_TOOLS_STREAM_RECORDS_H
#define QUERN_TOOLS_STREAM_RECORDS_H

#include <stdbool.h>
#include <stddef.h>

typedef enum quern_stream_format {
    QUERN_STREAM_LINES = 1,
    QUERN_STREAM_LENGTHS,
} quern_stream_format;

#define QUERN_STREAM_LENGTHS_BYTES 8

typedef struct quern_stream_record {
    const char *key, *value;
    size_t key_bytes, value_bytes;
    size_t whole_bytes; /* in the stream, with all that is around them; but for lines, whose end is not counted */
} quern_stream_record;

/* The first record of some bytes; is_all: nothing follows them. Returns the bytes up to the next one; 0: there is no whole record, and of lengths
 * *wanted_out is how many bytes it has, as far as it is known. */
size_t quern_stream_read_record(quern_stream_format format, const char *data, size_t bytes, bool is_all,
                                quern_stream_record *record_out, size_t *wanted_out);

/* What comes before a record of lengths. */
void quern_stream_write_lengths(size_t key_bytes, size_t value_bytes, char to[QUERN_STREAM_LENGTHS_BYTES]);

#endif
