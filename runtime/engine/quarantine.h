/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/quarantine.h: bad records set apart in files: where each was, what is wrong with it, and its bytes.
 *
 * Each rank that has some writes one file, a line of JSON for each, under a temporary name; the files get their names when the job's
 * outputs do, and are removed if it fails. The directory is absent or empty when a context first runs with it.
 *
 * A job that is killed leaves files behind. Who has the directory is said by a lock_file.h, as of an output: what has a temporary name in a directory
 * whose lock was left is nobody's, and is removed. A file with its last name may be of a run that ended well, so it is removed only where the
 * checkpoint says that the directory is the same job's, and only of runs that are run again: of the first one that the job does not pass over, and all
 * behind it. Temporary names hold the lock's token, so that who was taken over cannot rename what is the next owner's.
 */
#ifndef QN_ENGINE_QUARANTINE_H
#define QN_ENGINE_QUARANTINE_H

#include <stdio.h>

#include "runtime/base/lock_file.h"
#include "runtime/comm/comm.h"
#include "runtime/io/bad_list.h"

typedef struct qn_quarantine {
    const char *directory; /* borrowed; NULL: none was asked for */
    uint32_t run, rank;
    bool created;                    /* rank 0: the directory */
    qn_lock_file lock;               /* rank 0; of the directory */
    char token[QN_BEAT_TOKEN_BYTES]; /* of it */
    FILE *file;                      /* NULL: nothing was put in */
    char *temporary, *path;          /* of it */
    bool has_name;                   /* the latter */
} qn_quarantine;

/* What a run is to have. */
typedef struct qn_quarantine_place {
    const char *directory; /* borrowed until the close; NULL: none was named */
    uint32_t run;          /* of the context, from 0 */
    bool is_ours; /* rank 0: an earlier attempt at the job had it, so what is there of this run and later ones may go */
} qn_quarantine_place;

/* Rank 0 makes and locks the directory, and removes what a killed job left. Collective. QUERN_ERROR_OUTPUT_EXISTS: another job has it, or there
 * are other files; QUERN_ERROR_OUTPUT, QUERN_ERROR_INVALID_OPTION, QUERN_ERROR_SYSTEM, QUERN_ERROR_NO_MEMORY. */
quern_status qn_quarantine_open(qn_quarantine *quarantine, qn_comm *comm, const qn_quarantine_place *place,
                                qn_error *error);
/* Local. path_bytes: of the item's name, those of the file's path. QUERN_ERROR_OUTPUT, QUERN_ERROR_NO_MEMORY. */
quern_status qn_quarantine_put(qn_quarantine *quarantine, const char *source, uint32_t stage, uint32_t path_bytes,
                               const qn_bad_item *item, qn_error *error);
/* What was put in is on disk, under its name, unless the directory was taken over (QUERN_ERROR_OUTPUT_EXISTS). Collective. QUERN_ERROR_OUTPUT. */
quern_status qn_quarantine_commit(qn_quarantine *quarantine, qn_comm *comm, qn_error *error);
/* Frees; without keep the file is removed; with it the lock is dropped. Takes a zeroed one. */
void qn_quarantine_close(qn_quarantine *quarantine, bool keep);
/* After a failure, when all ranks closed theirs: drops the lock, and removes the directory if it was made. Takes a zeroed one. */
void qn_quarantine_withdraw(qn_quarantine *quarantine);

#endif
