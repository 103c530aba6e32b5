/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/io/units_internal.h: what the finders of borders share. */
#ifndef QN_IO_UNITS_INTERNAL_H
#define QN_IO_UNITS_INTERNAL_H

#include "runtime/io/units.h"

#define QN_ENTRIES_OF_PART_MAX 4096 /* of an archive */

typedef struct qn_finder {
    qn_units *units;
    qn_arena *names;
    int fd;
    const char *path;
    uint64_t file_bytes, spacing;
    bool logical_only;
    qn_border from;       /* hops begin there */
    uint64_t next_offset; /* of qn_units_next(): the first border from here on ends the search; 0: all are wanted */
    qn_error *error;
    quern_status status; /* a failure to read, or of memory */
} qn_finder;

/* The bytes there; false: the file has fewer, or cannot be read (status). */
bool qn_finder_read(qn_finder *finder, void *to, size_t bytes, uint64_t offset);
/* Another border, if it is far enough behind the last one or `wanted`. false: no memory (status). */
bool qn_finder_add(qn_finder *finder, const qn_border *border, bool wanted);

void qn_find_xz_blocks(qn_finder *finder);
void qn_find_tar_members(qn_finder *finder);
void qn_find_zip_members(qn_finder *finder);

#endif
