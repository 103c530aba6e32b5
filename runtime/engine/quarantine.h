/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/quarantine.h: bad records set apart in files: where each was, what is wrong with it, and its bytes.
 *
 * Each rank that has some writes one file, a line of JSON for each, under a temporary name; the files get their names when the job's
 * outputs do, and are removed if it fails. The directory is absent or empty when a context first runs with it.
 */
#ifndef QN_ENGINE_QUARANTINE_H
#define QN_ENGINE_QUARANTINE_H

#include <stdio.h>

#include "runtime/comm/comm.h"
#include "runtime/io/bad_list.h"

typedef struct qn_quarantine {
    const char *directory; /* borrowed; NULL: none was asked for */
    uint32_t run, rank;
    bool created;           /* rank 0: the directory */
    FILE *file;             /* NULL: nothing was put in */
    char *temporary, *path; /* of it */
    bool has_name;          /* the latter */
} qn_quarantine;

/* run: of the context, from 0. Rank 0 makes the directory. Collective. QUERN_ERROR_OUTPUT_EXISTS, QUERN_ERROR_OUTPUT. */
quern_status qn_quarantine_open(qn_quarantine *quarantine, qn_comm *comm, const char *directory, uint32_t run,
                                qn_error *error);
/* Local. path_bytes: of the item's name, those of the file's path. QUERN_ERROR_OUTPUT, QUERN_ERROR_NO_MEMORY. */
quern_status qn_quarantine_put(qn_quarantine *quarantine, const char *source, uint32_t stage, uint32_t path_bytes,
                               const qn_bad_item *item, qn_error *error);
/* What was put in is on disk, under its name. Local. QUERN_ERROR_OUTPUT. */
quern_status qn_quarantine_commit(qn_quarantine *quarantine, qn_error *error);
/* Frees; without keep the file is removed. Takes a zeroed one. */
void qn_quarantine_close(qn_quarantine *quarantine, bool keep);
/* Rank 0, after a failure, when all ranks closed theirs: removes the directory if it was made. */
void qn_quarantine_withdraw(qn_quarantine *quarantine);

#endif
