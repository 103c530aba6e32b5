/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/hand_size.h: how many tasks a rank is given at once, and tells of at once, so that the master can keep up.
 *
 * Intuition. A message costs the master some microseconds, however little is in it. As long as ranks end few tasks a second all together, each is told and followed
 * by the next one by itself: then the end of a stage is as even as it can be, and what a slow rank has in hand is little. With more, several go into a
 * message, as many as it takes; a rank then has two such batches in hand, one that it works on and one for the time until it is answered. A batch is never of more
 * work than BATCH_NS_MAX for a rank.
 *
 * Model. The tasks done are counted in windows of time; a window decides for the next one. Between two windows a batch at most doubles, or becomes half as
 * large. Pure: time is passed in.
 */
#ifndef QN_SCHEDULER_HAND_SIZE_H
#define QN_SCHEDULER_HAND_SIZE_H

#include <stdint.h>

#define QN_HAND_SIZE_LEAST 2 /* the running task and the next one */

typedef struct qn_hand_size {
    uint32_t hand_max;                      /* at least QN_HAND_SIZE_LEAST */
    uint32_t fixed;                         /* tasks of a batch, whatever the load; 0: by the load */
    uint32_t batch;                         /* tasks that a rank tells of at once */
    uint64_t since_ns, done_count, busy_ns; /* of the present window */
} qn_hand_size;

/* The largest hand that pays for so many tasks on so many ranks: what has to be set apart. QN_HAND_SIZE_LEAST … QN_SCHED_IN_HAND_MAX. */
uint32_t qn_hand_size_limit(uint32_t task_count, uint32_t rank_count);

void qn_hand_size_init(qn_hand_size *size, uint32_t hand_max, uint32_t fixed, uint64_t now_ns);

/* So many tasks were told to be done, on which ranks worked for so long: they may have waited as long as that besides. */
void qn_hand_size_note(qn_hand_size *size, uint32_t done_count, uint64_t busy_ns, uint64_t now_ns);

/* Tasks that a rank may hold now. */
static inline uint32_t qn_hand_size_get(const qn_hand_size *size)
{
    uint32_t wanted = 2 * size->batch;
    return wanted < size->hand_max ? wanted : size->hand_max;
}

#endif
