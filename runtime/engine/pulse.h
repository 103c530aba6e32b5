/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/pulse.h: what a rank shows of itself, taken by a thread beside the working thread.
 *
 * The working thread writes nothing down for this. It is looked at: what its chain, task and agent show (they change as work goes on),
 * how often it looked in vain for others (then it waits), and how much processor time it has taken. What takes no time at all between two looks
 * stands still, whatever the reason: whoever waits for other ranks wakes up a thousand times a second.
 *
 * A record can only be named where the source stands still: inside the gate while a callback runs, since
 * from a callback the working thread comes back into the gate before it reads on. The gate is tried, never waited for.
 */
#ifndef QN_ENGINE_PULSE_H
#define QN_ENGINE_PULSE_H

#include <pthread.h>
#include <time.h>

#include "runtime/engine/agent.h"
#include "runtime/engine/rank_figures.h"
#include "runtime/engine/roll.h"
#include "runtime/engine/site.h"

/* In memory that the ranks of a node have in common: one writes it, the others read. A text may be read half written. */
typedef struct qn_pulse {
    volatile uint64_t beat;
    volatile uint64_t quiet_ns;
    volatile uint32_t kind; /* qn_roll_kind */
    uint32_t rank;
    int32_t process, thread; /* the working thread */
    char doing[480];
    volatile uint32_t state; /* qn_timeline_state */
    uint32_t unused[9];
    qn_rank_show show; /* written by whoever makes progress (rank_shows.h) */
} qn_pulse;

static_assert(sizeof(qn_pulse) % 64 == 0, "a pulse is of whole cache lines");

/* What changes while a rank works. */
typedef struct qn_pulse_marks {
    const void *stage, *chain, *source;
    uint32_t task, attempt, running, record;
    uint64_t handed, activity;
} qn_pulse_marks;

typedef struct qn_pulse_taker {
    qn_pulse *pulse;     /* borrowed */
    const qn_site *site; /* borrowed */
    const qn_comm *comm; /* borrowed */
    pthread_mutex_t lock;
    qn_agent *agent; /* of the stage that runs; borrowed from see to unsee */
    bool in_run;
    pthread_t worker;
    clockid_t clock; /* processor time of the worker */
    qn_pulse_marks marks;
    uint64_t waits, processor_ns;
    uint64_t marked_ns; /* when the marks changed last */
    uint64_t moved_ns;  /* when anything did */
} qn_pulse_taker;

void qn_pulse_init(qn_pulse_taker *taker, qn_pulse *pulse, const qn_site *site, const qn_comm *comm);
void qn_pulse_fini(qn_pulse_taker *taker);

/* By the working thread, which takes a pulse with each: it is in a run until end; it has a stage until unsee, and what the site and the agent point to stays so long. */
void qn_pulse_begin_run(qn_pulse_taker *taker);
void qn_pulse_end_run(qn_pulse_taker *taker);
void qn_pulse_see(qn_pulse_taker *taker, qn_agent *agent);
void qn_pulse_unsee(qn_pulse_taker *taker);

/* By any thread: looks, and writes the pulse. restart: all that was seen before was seen long ago. */
void qn_pulse_take(qn_pulse_taker *taker, uint64_t now_ns, bool restart);

#endif
