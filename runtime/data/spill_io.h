/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/spill_io.h: the bytes of a spill file to disk and back, past the page cache where the file system lets them.
 *
 * What is spilled is written once and read once. Much of it would push out of the page cache what others need, and getting pages
 * for it costs more than the disk; so it is written and read directly, in large pieces whose place, length and memory are multiples of
 * QN_SPILL_ALIGN_BYTES. A little of it is best left in the cache, from where it may never have to go to disk: the first
 * QN_SPILL_CACHED_BYTES_MAX of a file. Where the file system refuses direct transfers, at the begin (tmpfs) or later,
 * everything goes through the cache, which is told to write early and to keep nothing beyond that.
 */
#ifndef QN_DATA_SPILL_IO_H
#define QN_DATA_SPILL_IO_H

#include "runtime/data/spill.h"

/* Opens the file if it is not open. QUERN_ERROR_SCRATCH. */
quern_status qn_spill_open_file(qn_spill *spill, qn_error *error);
void qn_spill_close_file(qn_spill *spill); /* and removes what is left of it */

/* Writes all of it, cached or, if it can be, directly. QUERN_ERROR_SCRATCH names the directory, what is in it, and what to do. */
quern_status qn_spill_write(qn_spill *spill, bool cached, const uint8_t *data, uint64_t bytes, uint64_t offset,
                            qn_error *error);
/* Reads up to `bytes`, fewer only at the end of the file. QUERN_ERROR_SCRATCH. */
quern_status qn_spill_read(qn_spill *spill, bool cached, uint8_t *data, uint64_t bytes, uint64_t offset,
                           uint64_t *bytes_out, qn_error *error);

/* The same, begun: set way, data, bytes and offset. What passes by the page cache goes on while the caller works, if there may be
 * a thread; all else is made at once. */
void qn_spill_start(qn_spill *spill, bool cached, qn_transfer *transfer);
/* Waits for it. Errors as above; of reading fewer done_bytes only at the end of the file. */
quern_status qn_spill_wait(qn_spill *spill, bool cached, qn_transfer *transfer, qn_error *error);
/* Gives it up. Takes a zeroed one. */
void qn_spill_cancel(qn_spill *spill, qn_transfer *transfer);

/* What an envelope is bound to. Of what is not in the file itself: the stamp. */
typedef struct qn_envelope_about {
    qn_stamp file;
    uint64_t run, offset, bytes;
    uint32_t magic, reserved;
} qn_envelope_about;
static_assert(sizeof(qn_envelope_about) == 48, "no bytes in it are unknown");

static inline qn_envelope_about qn_spill_envelope_about(const qn_spill *spill, const qn_run *run, uint64_t offset,
                                                        const qn_envelope *envelope)
{
    return (qn_envelope_about){spill->stamp, run->number, offset, envelope->bytes, envelope->magic, envelope->reserved};
}

static inline uint64_t qn_spill_align(uint64_t bytes)
{
    return (bytes + QN_SPILL_ALIGN_BYTES - 1) & ~(QN_SPILL_ALIGN_BYTES - 1);
}

#endif
