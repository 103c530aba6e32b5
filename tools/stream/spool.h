/* SPDX-License-Identifier: BSD-3-Clause */
/* tools/stream/spool.h: bytes that wait: in memory, and from a bound on in a file without a name. */
#ifndef QUERN_TOOLS_STREAM_SPOOL_H
#define QUERN_TOOLS_STREAM_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#define QUERN_STREAM_SPOOL_BYTES ((size_t)4 << 20) /* in memory */

typedef struct quern_stream_spool {
    const char *directory; /* of the file; borrowed */
    char *memory;          /* the last bytes; all, as long as there is no file */
    size_t memory_bytes;
    int fd;               /* -1: none yet */
    uint64_t file_bytes;  /* in front of those in memory */
    uint64_t given_bytes; /* read so far */
} quern_stream_spool;

/* 0, or errno, as all of these. */
int quern_stream_spool_init(quern_stream_spool *spool, const char *directory);
void quern_stream_spool_fini(quern_stream_spool *spool);
int quern_stream_spool_put(quern_stream_spool *spool, const char *data, size_t bytes);
/* The next bytes, at most so many; *got_out 0: there are no more. After the last put. */
int quern_stream_spool_take(quern_stream_spool *spool, char *to, size_t bytes_max, size_t *got_out);
/* Empty again. */
void quern_stream_spool_clear(quern_stream_spool *spool);

#endif
