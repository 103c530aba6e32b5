/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/listing.h: which files an input is made of.
 *
 * A path that names a file is that file, symbolic links followed; a path that names a directory is all regular files
 * below it, links in it not followed (no cycles, nothing twice). Of a directory that a job wrote only the parts count. One that a
 * job is writing, or left unfinished, is refused where it is named; below a named one its lock is left out. Files are in byte order of their paths within each given
 * path, so that the same input is the same sequence everywhere.
 */
#ifndef QN_IO_LISTING_H
#define QN_IO_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/arena.h"
#include "runtime/base/status.h"
#include "runtime/io/unpack.h"

typedef struct qn_input_file {
    const char *path; /* in the listing's arena */
    uint64_t bytes;   /* when it was listed */
    qn_packing packing;
    bool is_whole;     /* its format does not allow to cut it */
    qn_unit_kind kind; /* of what is packed */
    qn_units units;    /* QN_PACKING_UNITS, QN_PACKING_MEMBERS: where it can be cut */
} qn_input_file;

typedef struct qn_listing {
    qn_arena texts;
    qn_input_file *files; /* [file_count], empty ones left out */
    uint64_t first_file;  /* what the first one's number is in the input; 0 but for files of nodes */
    size_t file_count, capacity;
    uint64_t bytes;
    uint64_t empty_count;   /* files of no bytes */
    uint64_t skipped_count; /* below directories: links, sockets, pipes, devices, locks of outputs */
} qn_listing;

/* Lists the paths, in the order given, as files that nobody looked into. QUERN_ERROR_INPUT names what cannot be read. Local. */
quern_status qn_listing_create(qn_listing *listing, const char *const *paths, size_t path_count, qn_error *error);

/* Finds out which files of more than bytes_min bytes are packed: those that are not can be cut. One look costs as much as opening a
 * file, so small ones are left to their readers. QUERN_ERROR_INPUT, QUERN_ERROR_NO_MEMORY. */
quern_status qn_listing_examine(qn_listing *listing, uint64_t bytes_min, qn_error *error);
/* Finds out where those that are packed and have more than `spacing` (> 0) bytes can be cut. logical_only: only where it is known which byte of
 * what is unpacked that is. streams_only: not archives. QUERN_ERROR_INPUT, QUERN_ERROR_NO_MEMORY. */
quern_status qn_listing_find_units(qn_listing *listing, uint64_t spacing, bool logical_only, bool streams_only,
                                   qn_error *error);
/* Why a file that is packed as one stream is one, as a text. */
const char *qn_listing_why_stream(const qn_input_file *file);
/* Says that all files are to be taken as they are. */
void qn_listing_take_as_stored(qn_listing *listing);

#define QN_FORESEEN_ENTRY_COUNT_MAX 4096

/* The bytes of the input where that is quickly said: at most so many paths, and entries in the directories among them. False: not known,
 * and nothing of it is a failure. */
bool qn_listing_foresee(const char *const *paths, size_t path_count, uint64_t *bytes_out);
/* Adds paths, sizes and times of change of all files to a digest. False: one of them cannot be looked at. */
bool qn_listing_digest(const qn_listing *listing, uint64_t *digest);
void qn_listing_destroy(qn_listing *listing); /* takes a zeroed one */

#endif
