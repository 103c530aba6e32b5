/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/roll.h: who is silent, and what to do about it. Decides only: time and signs are handed in.
 *
 * A member beats as long as its process runs, and says with each beat what its working thread does. Two things are silence: no beat comes
 * (stopped, held by the system, its machine dead), or beats come and say that the working thread is stuck. The first is measured
 * by the observer's clock, the second by the member's own.
 *
 * False alarms are worse than silence. The observer may have been suspended itself, alone or with all the others, and then everybody seems
 * to have been silent for as long: when its own clock jumped between two looks, all counts begin anew. What is told is told at
 * the first bound, then whenever the silence is twice as long. What may take long by right (a callback that computes) is told
 * at bounds that never come down again, so a job of slow records says so a few times and not for each; and it ends nothing.
 */
#ifndef QN_ENGINE_ROLL_H
#define QN_ENGINE_ROLL_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/status.h"

typedef enum qn_roll_kind {
    QN_ROLL_ABSENT,   /* not here yet, or not here any more: its silence means nothing */
    QN_ROLL_AWAY,     /* in the program, outside of a run: its beats alone count */
    QN_ROLL_WORKS,    /* what it shows of itself changes, or it computes */
    QN_ROLL_WAITS,    /* for other ranks */
    QN_ROLL_COMPUTES, /* in one call of a callback, all the time */
    QN_ROLL_SLEEPS,   /* in one call of a callback, but it takes no processor time */
    QN_ROLL_STUCK,    /* elsewhere, and takes no processor time */
} qn_roll_kind;

/* What a member shows. */
typedef struct qn_roll_sign {
    uint64_t beat;
    qn_roll_kind kind;
    uint64_t quiet_ns; /* how long it has been so, by its own clock */
} qn_roll_sign;

typedef enum qn_roll_verdict {
    QN_ROLL_FINE,
    QN_ROLL_SILENT,  /* to be told now */
    QN_ROLL_BACK,    /* it was told silent, and is not any more */
    QN_ROLL_OVERDUE, /* silent beyond the bound: the job is to end */
} qn_roll_verdict;

typedef struct qn_roll_bounds {
    uint64_t warning_ns;
    uint64_t timeout_ns;   /* 0: never */
    bool ends_in_callback; /* a callback that sleeps may end the job, too */
    uint64_t jump_ns;      /* an observer that has not looked for so long was not running */
} qn_roll_bounds;

typedef struct qn_roll_entry {
    uint64_t beat, beat_ns;  /* the last one, and when it was seen first */
    uint64_t next_ns;        /* a silence that is to be told */
    uint64_t next_call_ns;   /* the same of callbacks that compute */
    uint64_t silent_ns;      /* at the last look; 0: it is not */
    uint64_t call_ns;        /* the same of a call that computes */
    bool misses_beats, told; /* the first: that is its silence */
    bool is_absent;
    qn_roll_verdict verdict; /* of the last look */
} qn_roll_entry;

typedef struct qn_roll {
    qn_roll_bounds bounds;
    uint32_t count;
    uint64_t looked_ns;
    qn_roll_entry *entries; /* [count] */
} qn_roll;

/* QUERN_ERROR_NO_MEMORY. */
quern_status qn_roll_init(qn_roll *roll, uint32_t count, const qn_roll_bounds *bounds, uint64_t now_ns,
                          qn_error *error);
void qn_roll_fini(qn_roll *roll); /* takes a zeroed one */

/* Begins a look at all members. True: the observer itself had not been running, and all counts begin anew. */
bool qn_roll_begin(qn_roll *roll, uint64_t now_ns);
/* What is to be done about a member, which shows this sign: its entry's verdict, silent_ns and misses_beats. */
void qn_roll_judge(qn_roll *roll, uint32_t member, const qn_roll_sign *sign);
/* It was told: the next time is when the silence is twice as long. Who does not act for all never says so, and is ready to. */
void qn_roll_note_told(qn_roll *roll, uint32_t member);
/* It has its reasons: its count begins anew. */
void qn_roll_excuse(qn_roll *roll, uint32_t member);
/* Whether this member is to act for all: those before it do not beat. After all were judged. */
bool qn_roll_leads(const qn_roll *roll, uint32_t member);

#endif
