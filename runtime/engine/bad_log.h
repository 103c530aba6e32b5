/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/bad_log.h: the bad records of a leg on one rank: counted once, held to the bound, the first of them listed.
 *
 * A block's bad records are put in when the block went through. Where an attempt is thrown away as a whole they wait until its part is ended, and
 * are dropped with it. What of a failed attempt counts stays counted on its rank, as its records stay in the tables there.
 *
 * A rank looks at the bound by itself, and the master adds up what comes with finished tasks, so that a job ends early; the exact look is when
 * the stage is over and all ranks add up.
 */
#ifndef QN_ENGINE_BAD_LOG_H
#define QN_ENGINE_BAD_LOG_H

#include "runtime/comm/comm.h"
#include "runtime/engine/quarantine.h"
#include "runtime/engine/settings.h"
#include "runtime/io/bad_list.h"
#include "runtime/plan/stages.h"

#define QN_BAD_LISTED_MAX       16 /* of each leg in the report */
#define QN_BAD_NAME_BYTES_MAX   400
#define QN_BAD_REASON_BYTES_MAX 200
#define QN_BAD_TEXT_BYTES_MAX   (QN_BAD_NAME_BYTES_MAX + QN_BAD_REASON_BYTES_MAX + 128)

/* One of them, as it is told. */
typedef struct qn_bad_place {
    uint64_t file, bytes;
    qn_content_place at;
    char name[QN_BAD_NAME_BYTES_MAX]; /* of the file, and of the member behind it; cut if need be */
    uint32_t path_bytes;              /* of these, of the file; all: it is no member */
    char reason[QN_BAD_REASON_BYTES_MAX];
} qn_bad_place;

typedef struct qn_bad_log {
    qn_bad_limit limit;
    const char *source;         /* its name */
    uint32_t stage;             /* from 0, in the run */
    qn_quarantine *quarantine;  /* borrowed */
    uint64_t count, told_count; /* the latter: to the master */
    uint32_t listed_count;
    qn_bad_place listed[QN_BAD_LISTED_MAX]; /* the first in the order of the input */
    qn_bad_place last;                      /* in that order; of count 0: of no meaning */
    qn_bad_list waiting;                    /* of the part that is being made */
} qn_bad_log;

/* What is to be done about bad records of a source: its own policy, or that of the option. Never DEFAULT. */
qn_bad_limit qn_bad_limit_of(const qn_settings *settings, const qn_node *source);
static inline bool qn_bad_limit_passes(const qn_bad_limit *limit)
{
    return limit->policy != QUERN_BAD_FAIL &&
           limit->policy != QUERN_BAD_DEFAULT; /* the latter: of a stage that failed before it began */
}

/* The legs of a stage whose bad records are passed over: bit i is leg i. */
uint32_t qn_bad_legs(const qn_settings *settings, const qn_stage *stage);

/* Whether a source of a run sets bad records apart. */
bool qn_bad_are_set_apart(const qn_settings *settings, const qn_stages *stages);

void qn_bad_log_init(qn_bad_log *log, const qn_bad_limit *limit, const char *source, uint32_t stage,
                     qn_quarantine *quarantine);
void qn_bad_log_fini(qn_bad_log *log); /* takes a zeroed one */

/* Takes what is in the list, which is then empty: for good, or until the part ends. QUERN_ERROR_BAD_RECORDS, QUERN_ERROR_NO_MEMORY, QUERN_ERROR_OUTPUT. */
quern_status qn_bad_log_take(qn_bad_log *log, qn_bad_list *list, bool waits, qn_error *error);
/* How many there are that the master was not told of, and of the last one what a message says, at most so many bytes. They are told now. */
uint64_t qn_bad_log_tell(qn_bad_log *log, char *text, size_t text_bytes);

/* What waits counts; or it does not. */
quern_status qn_bad_log_settle(qn_bad_log *log, qn_error *error);
void qn_bad_log_drop(qn_bad_log *log);

/* Those of all ranks together, on rank 0; on the others the sum alone. Collective. */
quern_status qn_bad_log_gather(const qn_bad_log *log, qn_comm *comm, qn_bad_log *all_out, qn_error *error);
/* QUERN_ERROR_BAD_RECORDS: so many, more than the bound; last: the last one as a text. */
quern_status qn_bad_limit_exceed(const qn_bad_limit *limit, uint64_t count, const char *source, const char *where,
                                 const char *last, qn_error *error);
/* More than the bound? QUERN_ERROR_BAD_RECORDS. */
quern_status qn_bad_log_check(const qn_bad_log *log, const char *where, qn_error *error);

#endif
