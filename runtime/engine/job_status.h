/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/job_status.h: files by which others see how far a job is, and by which they ask it to end.
 *
 * In the job directory rank 0 keeps `status.json`, a whole one at any time (docs/job-directory.md). A thread writes it once a
 * second, whatever the rank is busy with, so a file that gets old means a job that is gone. Beside it stands `ranks.json`, with what ranks show while
 * they work (board.h), written the more rarely the more ranks there are. It also looks for a file `cancel`, which
 * anybody may make who may write there: then the job ends as after SIGUSR1. There is no port and no daemon, so both work from any node that
 * sees the directory.
 *
 * Figures are told by the working thread, by its one owner, rank 0. Elsewhere, and without a directory, nothing happens.
 */
#ifndef QN_ENGINE_JOB_STATUS_H
#define QN_ENGINE_JOB_STATUS_H

#include <jansson.h>

#include "runtime/comm/comm.h"
#include "runtime/engine/board.h"

typedef struct qn_job_status qn_job_status;

/* On rank 0 makes the directory where it is absent, begins the file and starts the thread; elsewhere *status_out is NULL. directory: NULL:
 * none. is_new: a job that begins, for which no wish is meant that is there already, and whose ranks are others. Local. QUERN_ERROR_OUTPUT, QUERN_ERROR_NO_MEMORY,
 * QUERN_ERROR_SYSTEM. */
quern_status qn_job_status_open(qn_job_status **status_out, const char *directory, const qn_comm *comm, bool is_new,
                                qn_error *error);
/* From now on both files show what is on the board: until close, so it is destroyed later. */
void qn_job_status_show(qn_job_status *status, qn_board *board);
/* The last file stays, and says how the last run ended, or that the job did not come to one. Takes NULL, as all below. */
void qn_job_status_close(qn_job_status *status, bool has_failed);

/* After some were lost. */
void qn_job_status_set_ranks(qn_job_status *status, const qn_comm *comm);

void qn_job_status_begin_run(qn_job_status *status, uint32_t stage_count);
/* outcome: of the run. The job is said to run until it is closed: there may be another run. */
void qn_job_status_end_run(qn_job_status *status, const qn_error *outcome);

void qn_job_status_begin_stage(qn_job_status *status, const char *name);
void qn_job_status_end_stage(qn_job_status *status, uint64_t bytes, double seconds);
/* Of the stage that runs. bytes_before: of them, that an earlier attempt at the job was through with. */
void qn_job_status_set_size(qn_job_status *status, uint32_t tasks, uint64_t bytes, uint64_t bytes_before);
#define QN_ALERT_SILENT "silent rank" /* told while a run goes on, and not to be found in its figures */
#define QN_ALERT_DISK   "disk"        /* the same, of a disk that is empty again at the end */

/* Something that somebody should look at; the first 16 of a run are kept, each once. kind: as in the report. By any thread.
 * Read next: qn_progress_alert(). */
void qn_job_status_alert(qn_job_status *status, const char *kind, const char *text);
/* Those of the run so far: a list, which is the caller's. NULL: no memory. */
json_t *qn_job_status_copy_alerts(qn_job_status *status);
/* Those of the report, in the place of them. */
void qn_job_status_set_alerts(qn_job_status *status, const json_t *alerts);
void qn_job_status_update(qn_job_status *status, uint32_t tasks_done, uint64_t bytes_done);

#endif
