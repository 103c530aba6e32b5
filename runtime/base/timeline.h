/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/base/timeline.h: what a thread did with its time, in memory that does not grow.
 *
 * Intuition. A thread is in one state at a time. Whoever begins something else says so, and says afterwards what was before. The time is divided
 * into columns; each keeps how long the thread was in which state, so sums are exact and only the order within a column is lost. When
 * time comes to the last column, each two become one and columns are twice as wide: a second and a week take the same memory, and
 * at any time at least half of the columns are in use.
 *
 * The timeline that a thread writes is the thread's own variable, so that any room may say what it does without being handed one. Without one, all this does
 * nothing. Saying so costs a look at the clock: say it around what takes microseconds, not around records.
 *
 * Rejected: a list of intervals, shortened when it is full (what is left out is what was shortest, and a shuffle is thousands of these).
 */
#ifndef QN_BASE_TIMELINE_H
#define QN_BASE_TIMELINE_H

#include <stddef.h>
#include <stdint.h>

/* X(enumerator, name in the report, letter in the report) */
#define QN_TIMELINE_STATES(X)                                                                                          \
    X(OTHER, "other", 'o')     /* set-up, and between stages */                                                        \
    X(MAP, "map", 'm')         /* tasks: reading, operators, combining */                                              \
    X(REDUCE, "reduce", 'r')   /* reading an earlier result: merging, sorting, grouping, operators */                  \
    X(SHUFFLE, "shuffle", 's') /* moving rounds on */                                                                  \
    X(SPILL, "spill", 'd')     /* writing to scratch */                                                                \
    X(WAIT, "wait", 'w')       /* for other ranks, or for room */                                                      \
    X(IDLE, "idle", 'i')       /* there is no task for this rank */                                                    \
    X(COMMIT, "commit", 'c')   /* putting outputs in their place */                                                    \
    X(RECOVER, "recover", 'x') /* after the loss of ranks */

typedef enum qn_timeline_state {
#define QN_TIMELINE_ENUMERATOR(state, name, letter) QN_TIMELINE_##state,
    QN_TIMELINE_STATES(QN_TIMELINE_ENUMERATOR)
#undef QN_TIMELINE_ENUMERATOR
        QN_TIMELINE_STATE_COUNT
} qn_timeline_state;

#define QN_TIMELINE_COLUMNS 1024 /* even */

typedef struct qn_timeline qn_timeline;

/* NULL: no memory. */
qn_timeline *qn_timeline_create(void);
void qn_timeline_destroy(qn_timeline *timeline); /* takes NULL; must not be any thread's */

/* Forgets what there was, and begins now. Takes NULL. */
void qn_timeline_begin(qn_timeline *timeline, uint64_t now_ns);
/* From now on the calling thread writes this one; NULL: none. */
void qn_timeline_attach(qn_timeline *timeline);
/* The calling thread is in another state now; returns the one before, to be entered again. Without a timeline OTHER, and nothing happens. */
qn_timeline_state qn_timeline_enter(qn_timeline_state state);
/* The same at a time that is known already; no earlier than the last one, or it counts as that. */
void qn_timeline_note(qn_timeline *timeline, qn_timeline_state state, uint64_t now_ns);
/* What the process has in memory now. */
void qn_timeline_note_memory(qn_timeline *timeline, uint64_t bytes);

/* How long it was in each state so far. ns_out: [QN_TIMELINE_STATE_COUNT]. Takes NULL. */
void qn_timeline_sum(const qn_timeline *timeline, uint64_t *ns_out);

/* What others may ask while the thread goes on writing; each number is whole, and they may be a moment apart. They take NULL. */
qn_timeline_state qn_timeline_get_state(const qn_timeline *timeline);
/* As sum, with the time that it has been in its state by now. */
void qn_timeline_sum_now(const qn_timeline *timeline, uint64_t now_ns, uint64_t *ns_out);
/* What the process has in memory; 0: not known. */
uint64_t qn_timeline_query_memory(const qn_timeline *timeline);
/* The time from `begin_ns` to `end_ns` as `count` letters: of the state that took most of each part, or a blank where nothing was written. Takes
 * NULL, which is all blanks. */
void qn_timeline_draw(const qn_timeline *timeline, uint64_t begin_ns, uint64_t end_ns, size_t count, char *letters_out);
/* The same of memory, its most in each part; where nobody looked, what it was before. */
void qn_timeline_draw_memory(const qn_timeline *timeline, uint64_t begin_ns, uint64_t end_ns, size_t count,
                             uint64_t *bytes_out);

#endif
