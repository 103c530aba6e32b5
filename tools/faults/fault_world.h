/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/faults/fault_world.h: a whole job in one process: its ranks take turns, by a clock that is not the machine's.
 *
 * Each rank is a context of its own (ucontext) that runs the library as it is. It leaves its turn where it would wait: when it looks for
 * messages, sleeps, or is in a collective. The rank whose time is the earliest goes on. All chance comes from one seed, so a run can be
 * repeated.
 *
 * What the library asks of the system is answered here by names that the linker wraps: clock, sleep, threads (there are none: nobody helps
 * and nobody watches), signals that ask a job to end.
 */
#ifndef QN_FAULTS_FAULT_WORLD_H
#define QN_FAULTS_FAULT_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#define QN_FAULT_RANKS_MAX 8

/* Where a rank can die. */
typedef enum qn_fault_moment {
    QN_FAULT_SENDING,   /* a message; before it is on its way */
    QN_FAULT_RECEIVING, /* behind it */
    QN_FAULT_MEETING,   /* all ranks */
    QN_FAULT_ROUND,     /* of the shuffle: before its counts, or before its payload */
    QN_FAULT_DISK,      /* before, in the midst of, or behind a call that changes a file or makes it durable */
    QN_FAULT_CALLBACK,
    QN_FAULT_MOMENT_COUNT,
} qn_fault_moment;

extern const char *const qn_fault_moment_names[QN_FAULT_MOMENT_COUNT];

/* What happens to an attempt at a job. */
typedef struct qn_fault_weather {
    uint64_t seed;
    uint32_t rank_count, node_count;
    uint64_t slow_ns; /* some messages take up to so long */
    bool dies;
    qn_fault_moment death_kind;
    uint64_t death_number; /* of the moments of that kind, from 1 */
    uint64_t outlive_ns;   /* the other ranks go on for so long */
    bool tears;            /* what was not synced may be lost, cut, or garbled */
    bool is_asked;         /* to end */
    uint32_t asked_rank;
    uint64_t asked_ns;
    uint32_t failing_callbacks; /* so many calls at most */
    bool traces;
} qn_fault_weather;

/* Statuses of a process that played a job, besides those of the job. */
enum { QN_FAULT_DIED = 100, QN_FAULT_HUNG = 101, QN_FAULT_WRONG = 102 };

/* What comes of it, in memory that outlives the process. */
typedef struct qn_fault_report {
    uint64_t moments[QN_FAULT_MOMENT_COUNT];
    uint64_t epochs, resumed_epochs, now_ns;
    uint64_t trace; /* digest of what happened when */
    uint32_t torn_files;
    char text[512];
} qn_fault_report;

/* Runs `rank_main` on each rank until all have ended, or the process does. */
void qn_fault_world_run(const qn_fault_weather *weather, qn_fault_report *report, void (*rank_main)(uint32_t rank));

/* Of the rank whose turn it is. */
uint32_t qn_fault_rank(void);
uint64_t qn_fault_now_ns(void);
void qn_fault_pass(uint64_t ns);  /* time passes, and nobody else gets a turn */
void qn_fault_sleep(uint64_t ns); /* others do */
void qn_fault_at(qn_fault_moment kind);
/* For a moment that has a middle: whether the rank is to die in it; then qn_fault_die(). */
bool qn_fault_is_last(qn_fault_moment kind);
void qn_fault_die(void);
uint64_t qn_fault_below(uint64_t bound);
void qn_fault_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

const qn_fault_weather *qn_fault_get_weather(void);
qn_fault_report *qn_fault_get_report(void);

#endif
