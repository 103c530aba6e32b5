/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/journal.h: what is durable of a job, a line for each thing, which only grows.
 *
 * A line is a checksum in 16 hexadecimal digits, a space, and an object of JSON. It is written by one call and synced before
 * anybody relies on it. A job that dies in the midst of that leaves a line that its checksum does not fit: reading ends before it, and the next line
 * is written in its place.
 *
 * With a key the checksum is a signature, in 32 digits, of the line and all lines before it: none can be made, changed, moved or left out by
 * who does not have the key; only the last ones can be taken away, as if the job had died before. The lines themselves are not hidden.
 */
#ifndef QN_ENGINE_JOURNAL_H
#define QN_ENGINE_JOURNAL_H

#include <jansson.h>
#include <stdint.h>

#include "runtime/base/cipher.h"
#include "runtime/base/status.h"

typedef struct qn_journal {
    const char *path;        /* borrowed */
    int fd;                  /* -1: closed */
    uint64_t bytes;          /* of the lines that are whole */
    const qn_cipher *cipher; /* borrowed; NULL: none */
    qn_stamp signature;      /* of the last line */
} qn_journal;

/* Opens it, creating it 0600 if it is not there, and reads its lines: *lines_out is an array of objects, the caller's to release.
 * QUERN_ERROR_CHECKPOINT: it cannot be used, or was begun with another key, or without. QUERN_ERROR_NO_MEMORY. */
quern_status qn_journal_open(qn_journal *journal, const char *path, const qn_cipher *cipher, json_t **lines_out,
                             qn_error *error);
/* The same to look at it: nothing is made or written, and it is not locked. *bytes_out: of the file, of which journal->bytes are of whole lines. Close it, too. */
quern_status qn_journal_look(qn_journal *journal, const char *path, const qn_cipher *cipher, json_t **lines_out,
                             uint64_t *bytes_out, qn_error *error);
/* Appends an object and syncs; takes the reference, NULL (no memory) too. Errors as above: nothing was appended then, as a reader sees it. */
quern_status qn_journal_append(qn_journal *journal, json_t *line, qn_error *error);
/* Goes on in a new file with the same lines, in the place of the old one: what somebody else writes into that is not seen any more. Errors as above:
 * the old one is as it was. */
quern_status qn_journal_renew(qn_journal *journal, qn_error *error);
void qn_journal_close(qn_journal *journal);

#endif
