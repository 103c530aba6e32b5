/* SPDX-License-Identifier: BSD-3-Clause */
#include "scheduler/hand_size.h"

#include "scheduler/sched_assert.h"
#include "scheduler/scheduler.h"

#define NS_PER_S UINT64_C(1000000000)

/* Of a message and its answer some 2.5 microseconds are the master's: an eighth of its time. */
static const uint64_t MESSAGES_PER_S_MAX = 50000;
static const uint64_t BATCH_NS_MAX = 2 * NS_PER_S;
static const uint64_t WINDOW_NS = NS_PER_S / 50;
/* Hands are not so deep that a rank has most of its tasks from the begin on. */
static const uint32_t HANDS_OF_TASKS = 2;

static uint32_t clamp(uint64_t number, uint32_t least, uint32_t most)
{
    return number < least ? least : number > most ? most : (uint32_t)number;
}

uint32_t qn_hand_size_limit(uint32_t task_count, uint32_t rank_count)
{
    QN_SCHED_ASSERT(rank_count > 0);
    return clamp(task_count / rank_count / HANDS_OF_TASKS, QN_HAND_SIZE_LEAST, QN_SCHED_IN_HAND_MAX);
}

void qn_hand_size_init(qn_hand_size *size, uint32_t hand_max, uint32_t fixed, uint64_t now_ns)
{
    QN_SCHED_ASSERT(hand_max >= QN_HAND_SIZE_LEAST);
    *size = (qn_hand_size){
        .hand_max = hand_max, .fixed = fixed, .batch = clamp(fixed, 1, hand_max / 2), .since_ns = now_ns};
}

static uint32_t choose_batch(const qn_hand_size *size, uint64_t ns)
{
    uint64_t a_second = size->done_count * NS_PER_S / ns;
    uint64_t by_load = (a_second + MESSAGES_PER_S_MAX - 1) / MESSAGES_PER_S_MAX;
    uint64_t by_time = size->busy_ns > 0 ? BATCH_NS_MAX * size->done_count / size->busy_ns : UINT32_MAX;
    uint64_t wanted = by_load < by_time ? by_load : by_time;
    uint32_t most = 2 * size->batch < size->hand_max / 2 ? 2 * size->batch : size->hand_max / 2;
    return clamp(wanted, (size->batch + 1) / 2, most);
}

void qn_hand_size_note(qn_hand_size *size, uint32_t done_count, uint64_t busy_ns, uint64_t now_ns)
{
    size->done_count += done_count;
    size->busy_ns += busy_ns;
    uint64_t ns = now_ns - size->since_ns;
    if (ns < WINDOW_NS || size->fixed > 0) {
        return;
    }
    size->batch = choose_batch(size, ns);
    size->since_ns = now_ns;
    size->done_count = size->busy_ns = 0;
}
