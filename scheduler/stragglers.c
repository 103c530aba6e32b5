/* SPDX-License-Identifier: BSD-3-Clause */
#include "scheduler/stragglers.h"

#include <string.h>

#include "scheduler/sched_assert.h"

#define NONE            UINT32_MAX
#define NS_PER_MS       UINT64_C(1000000)
#define LOOKS_EVERY_NS  (5 * NS_PER_MS)
#define LOOK_NS_OF_RANK UINT64_C(1000)    /* a look goes through all of them */
#define START_NS        (2 * NS_PER_MS)   /* that another rank takes to begin */
#define GAIN_NS_MIN     (20 * NS_PER_MS)  /* less is not worth to be asked for */
#define SECOND_NS_MIN   (50 * NS_PER_MS)  /* the same of a part that is made twice */
#define PATIENCE_NS     (100 * NS_PER_MS) /* with a rank that was asked */

_Static_assert(_Alignof(qn_rank_pace) == _Alignof(qn_held_task) &&
                   _Alignof(qn_held_task) == _Alignof(qn_straggler_finding),
               "one lies behind the other");

static uint32_t count_findings(uint32_t rank_count)
{
    uint32_t count = rank_count / QN_STRAGGLER_FINDING_OF_RANKS;
    return count > QN_STRAGGLER_FINDINGS_MAX ? count : QN_STRAGGLER_FINDINGS_MAX;
}

size_t qn_stragglers_bytes(const qn_straggler_config *config)
{
    return config->rank_count * (sizeof(qn_rank_pace) + config->hand_max * sizeof(qn_held_task)) +
           count_findings(config->rank_count) * sizeof(qn_straggler_finding);
}

void qn_stragglers_init(qn_stragglers *stragglers, void *memory, const qn_straggler_config *config)
{
    *stragglers = (qn_stragglers){.rank_count = config->rank_count,
                                  .hand_max = config->hand_max,
                                  .makes_parts = config->makes_parts,
                                  .may_second = config->may_second,
                                  .is_eager = config->is_eager,
                                  .idle_count = config->rank_count,
                                  .found_max = count_findings(config->rank_count),
                                  .ranks = memory};
    stragglers->found = (qn_straggler_finding *)(stragglers->ranks + config->rank_count);
    stragglers->hands = (qn_held_task *)(stragglers->found + stragglers->found_max);
    for (uint32_t rank = 0; rank < config->rank_count; rank++) {
        stragglers->ranks[rank] =
            (qn_rank_pace){.second = NONE, .held = stragglers->hands + (size_t)rank * config->hand_max};
    }
}

static bool is_idle(const qn_rank_pace *pace)
{
    return pace->held_count == 0 && pace->second == NONE;
}

void qn_stragglers_give(qn_stragglers *stragglers, uint32_t rank, uint32_t task, uint64_t bytes, bool is_whole,
                        uint64_t now_ns)
{
    if (!stragglers->ranks) {
        return;
    }
    qn_rank_pace *pace = &stragglers->ranks[rank];
    QN_SCHED_ASSERT(pace->held_count < stragglers->hand_max);
    stragglers->idle_count -= is_idle(pace);
    if (pace->held_count == 0) {
        pace->since_ns = now_ns;
    }
    pace->held[pace->held_count++] = (qn_held_task){.task = task, .is_whole = is_whole, .bytes = bytes};
}

void qn_stragglers_take(qn_stragglers *stragglers, uint32_t rank, uint32_t task, uint64_t left_bytes, uint64_t now_ns)
{
    if (!stragglers->ranks) {
        return;
    }
    qn_rank_pace *pace = &stragglers->ranks[rank];
    uint32_t slot = 0;
    while (slot < pace->held_count && pace->held[slot].task != task) {
        slot++;
    }
    if (slot == pace->held_count) {
        return;
    }
    uint64_t bytes = pace->held[slot].bytes;
    memmove(&pace->held[slot], &pace->held[slot + 1], (pace->held_count - slot - 1) * sizeof *pace->held);
    pace->held_count--;
    stragglers->idle_count += is_idle(pace);
    if (slot > 0) {
        return; /* it had not begun it */
    }
    uint64_t done_bytes = bytes > left_bytes ? bytes - left_bytes : 0, busy_ns = now_ns - pace->since_ns;
    pace->since_ns = now_ns;
    pace->done_bytes += done_bytes;
    pace->busy_ns += busy_ns;
    stragglers->done_bytes += done_bytes;
    stragglers->busy_ns += busy_ns;
}

/* NULL: the rank has it not, or no longer. */
static qn_held_task *find_held(const qn_stragglers *stragglers, uint32_t rank, uint32_t task)
{
    qn_rank_pace *pace = &stragglers->ranks[rank];
    for (uint32_t slot = 0; slot < pace->held_count; slot++) {
        if (pace->held[slot].task == task) {
            return &pace->held[slot];
        }
    }
    return NULL;
}

static void mark_second(qn_stragglers *stragglers, uint32_t holder, uint32_t task, bool has_second)
{
    qn_held_task *held = find_held(stragglers, holder, task);
    if (held) {
        held->has_second = has_second;
    }
}

void qn_stragglers_begin_second(qn_stragglers *stragglers, uint32_t rank, uint32_t holder, uint32_t task)
{
    if (!stragglers->ranks) {
        return;
    }
    mark_second(stragglers, holder, task, true);
    stragglers->idle_count -= is_idle(&stragglers->ranks[rank]);
    stragglers->ranks[rank].second = task;
    stragglers->ranks[rank].second_for = holder;
}

void qn_stragglers_end_second(qn_stragglers *stragglers, uint32_t rank)
{
    if (!stragglers->ranks || stragglers->ranks[rank].second == NONE) {
        return;
    }
    qn_rank_pace *pace = &stragglers->ranks[rank];
    mark_second(stragglers, pace->second_for, pace->second, false);
    pace->second = NONE;
    stragglers->idle_count += is_idle(pace);
}

/* How long so many bytes take, by what took so long before; UINT64_MAX: not known. */
static uint64_t foresee(uint64_t bytes, uint64_t done_bytes, uint64_t busy_ns)
{
    if (done_bytes == 0) {
        return UINT64_MAX;
    }
    double ns = (double)bytes * ((double)busy_ns / (double)done_bytes);
    return ns < 1e18 ? (uint64_t)ns : UINT64_MAX - 1;
}

/* What a rank's first task still takes there, and how much of it that is. Of one that is overdue that is not known: maybe all. */
typedef struct outlook {
    uint64_t rest_ns, rest_bytes;
} outlook;

static outlook look_ahead(const qn_stragglers *stragglers, const qn_rank_pace *pace, uint64_t now_ns)
{
    uint64_t bytes = pace->held[0].bytes, elapsed_ns = now_ns - pace->since_ns;
    uint64_t whole_ns = foresee(bytes, pace->done_bytes, pace->busy_ns);
    if (whole_ns == UINT64_MAX) {
        whole_ns = foresee(bytes, stragglers->done_bytes, stragglers->busy_ns);
    }
    if (whole_ns == UINT64_MAX || elapsed_ns >= whole_ns) {
        return (outlook){elapsed_ns, bytes};
    }
    double part = (double)(whole_ns - elapsed_ns) / (double)whole_ns;
    return (outlook){whole_ns - elapsed_ns, (uint64_t)((double)bytes * part)};
}

/* Whether the others, as fast as they were, would have so much done in half of the time. */
static bool pays(const qn_stragglers *stragglers, const qn_rank_pace *pace, uint64_t rest_ns, uint64_t bytes,
                 uint64_t least_ns)
{
    uint64_t other_ns = foresee(bytes, stragglers->done_bytes - pace->done_bytes, stragglers->busy_ns - pace->busy_ns);
    if (stragglers->is_eager) {
        return rest_ns > START_NS;
    }
    return other_ns < UINT64_MAX / 4 && rest_ns > 2 * (other_ns + START_NS) + least_ns;
}

/* Whether an answer may still come soon. */
static bool is_awaited(const qn_stragglers *stragglers, const qn_held_task *held, uint64_t now_ns)
{
    return held->is_asked && now_ns - held->asked_ns < (stragglers->is_eager ? LOOKS_EVERY_NS : PATIENCE_NS);
}

/* Whether there was nobody for it a moment ago. */
static bool is_refused(const qn_stragglers *stragglers, const qn_held_task *held, uint64_t now_ns)
{
    return held->was_refused && now_ns - held->refused_ns < (stragglers->is_eager ? LOOKS_EVERY_NS : PATIENCE_NS);
}

/* What there is to do about a rank's first task, and what that is worth. */
static qn_straggler_advice judge(const qn_stragglers *stragglers, const qn_rank_pace *pace, uint64_t now_ns,
                                 uint64_t *gain_ns_out)
{
    const qn_held_task *first = &pace->held[0];
    outlook ahead = look_ahead(stragglers, pace, now_ns);
    *gain_ns_out = ahead.rest_ns;
    if (is_refused(stragglers, first, now_ns)) {
        return QN_STRAGGLER_NONE;
    }
    bool may_second = stragglers->may_second && !first->has_second;
    if (stragglers->makes_parts) {
        bool is_late = pays(stragglers, pace, ahead.rest_ns, first->bytes, SECOND_NS_MIN);
        return may_second && is_late ? QN_STRAGGLER_SECOND : QN_STRAGGLER_NONE;
    }
    if (first->is_whole || is_awaited(stragglers, first, now_ns)) {
        return QN_STRAGGLER_NONE;
    }
    if (first->is_asked) {
        return may_second ? QN_STRAGGLER_SECOND : QN_STRAGGLER_NONE;
    }
    return pays(stragglers, pace, ahead.rest_ns, ahead.rest_bytes, GAIN_NS_MIN) ? QN_STRAGGLER_ASK : QN_STRAGGLER_NONE;
}

/* Ranks that were asked and have not answered yet will fill so many hands. */
static uint32_t count_awaited(const qn_stragglers *stragglers, uint64_t now_ns)
{
    uint32_t count = 0;
    for (uint32_t rank = 0; rank < stragglers->rank_count; rank++) {
        for (uint32_t slot = 0; slot < stragglers->ranks[rank].held_count; slot++) {
            count += is_awaited(stragglers, &stragglers->ranks[rank].held[slot], now_ns);
        }
    }
    return count;
}

/* Among those that are worth as much, the one that was found first. */
static bool is_better(const qn_straggler_finding *a, const qn_straggler_finding *b)
{
    return a->gain_ns != b->gain_ns ? a->gain_ns > b->gain_ns : a->number < b->number;
}

/* The findings are a heap while it looks, the least one on top. One is put into a hole, and below what is less than it. */
static void sink(qn_straggler_finding *found, uint32_t count, uint32_t hole, qn_straggler_finding moved)
{
    for (uint32_t child = 2 * hole + 1; child < count; child = 2 * hole + 1) {
        child += child + 1 < count && is_better(&found[child], &found[child + 1]);
        if (!is_better(&moved, &found[child])) {
            break;
        }
        found[hole] = found[child];
        hole = child;
    }
    found[hole] = moved;
}

/* What is worth least falls out. */
static void keep_finding(qn_stragglers *stragglers, uint32_t count_max, const qn_straggler_finding *finding)
{
    qn_straggler_finding *found = stragglers->found;
    if (stragglers->found_count == count_max) {
        if (is_better(finding, &found[0])) {
            sink(found, count_max, 0, *finding);
        }
        return;
    }
    uint32_t hole = stragglers->found_count++;
    for (; hole > 0 && is_better(&found[(hole - 1) / 2], finding); hole = (hole - 1) / 2) {
        found[hole] = found[(hole - 1) / 2];
    }
    found[hole] = *finding;
}

/* The least one goes behind the others, again and again. */
static void sort_findings(qn_stragglers *stragglers)
{
    qn_straggler_finding *found = stragglers->found;
    for (uint32_t count = stragglers->found_count; count-- > 1;) {
        qn_straggler_finding least = found[0];
        sink(found, count, 0, found[count]);
        found[count] = least;
    }
}

/* What a rank has not begun, while others have nothing to do, comes before anything that is worked on. */
static void look_at_rank(qn_stragglers *stragglers, uint32_t rank, uint32_t count_max, uint64_t now_ns)
{
    const qn_rank_pace *pace = &stragglers->ranks[rank];
    qn_straggler_finding finding = {.advice = QN_STRAGGLER_ASK, .rank = rank, .gain_ns = UINT64_MAX};
    bool has_reserve = false;
    for (uint32_t slot = pace->held_count; slot-- > 1;) {
        if (pace->held[slot].is_asked || is_refused(stragglers, &pace->held[slot], now_ns)) {
            continue;
        }
        has_reserve = true;
        finding.task = pace->held[slot].task;
        finding.number = stragglers->seen_count++;
        keep_finding(stragglers, count_max, &finding);
    }
    if (has_reserve || pace->held_count == 0) {
        return;
    }
    finding.task = pace->held[0].task;
    finding.advice = judge(stragglers, pace, now_ns, &finding.gain_ns);
    finding.number = stragglers->seen_count++;
    if (finding.advice != QN_STRAGGLER_NONE) {
        keep_finding(stragglers, count_max, &finding);
    }
}

static void look(qn_stragglers *stragglers, uint64_t now_ns)
{
    uint32_t awaited = count_awaited(stragglers, now_ns);
    uint32_t count_max = stragglers->idle_count > awaited ? stragglers->idle_count - awaited : 0;
    if (count_max > stragglers->found_max) {
        count_max = stragglers->found_max;
    }
    stragglers->looked_ns = now_ns;
    stragglers->found_count = stragglers->told_count = stragglers->seen_count = 0;
    stragglers->has_refused = false;
    for (uint32_t rank = 0; count_max > 0 && rank < stragglers->rank_count; rank++) {
        look_at_rank(stragglers, rank, count_max, now_ns);
    }
    sort_findings(stragglers);
}

static void mark_told(qn_held_task *held, qn_straggler_advice advice, uint64_t now_ns)
{
    if (advice == QN_STRAGGLER_SECOND) {
        held->has_second = true; /* until it ends or is refused */
        return;
    }
    held->is_asked = true;
    held->asked_ns = now_ns;
}

static void refuse(qn_stragglers *stragglers, qn_held_task *held, uint64_t now_ns)
{
    stragglers->has_refused = true;
    held->was_refused = true;
    held->refused_ns = now_ns;
}

void qn_stragglers_refuse_second(qn_stragglers *stragglers, uint32_t rank, uint32_t task, uint64_t now_ns)
{
    qn_held_task *held = stragglers->ranks ? find_held(stragglers, rank, task) : NULL;
    if (!held) {
        return;
    }
    held->has_second = false;
    refuse(stragglers, held, now_ns);
}

/* The next finding of the last look that can be followed; NULL: there is none. */
static const qn_straggler_finding *tell_next(qn_stragglers *stragglers, const qn_sched *sched, uint64_t now_ns)
{
    while (stragglers->told_count < stragglers->found_count) {
        const qn_straggler_finding *finding = &stragglers->found[stragglers->told_count++];
        qn_held_task *held = find_held(stragglers, finding->rank, finding->task);
        if (held && (finding->advice != QN_STRAGGLER_ASK || qn_sched_has_taker(sched, finding->task))) {
            mark_told(held, finding->advice, now_ns);
            return finding;
        }
        if (held) {
            refuse(stragglers, held, now_ns);
        }
    }
    return NULL;
}

uint64_t qn_stragglers_get_due_ns(const qn_stragglers *stragglers)
{
    bool may_be = stragglers->ranks && stragglers->idle_count > 0;
    return may_be ? stragglers->looked_ns + LOOKS_EVERY_NS + stragglers->rank_count * LOOK_NS_OF_RANK : UINT64_MAX;
}

qn_straggler_advice qn_stragglers_next(qn_stragglers *stragglers, const qn_sched *sched, uint64_t now_ns,
                                       uint32_t *rank_out, uint32_t *task_out)
{
    if (!stragglers->ranks || stragglers->idle_count == 0) {
        return QN_STRAGGLER_NONE;
    }
    if (now_ns >= qn_stragglers_get_due_ns(stragglers)) {
        look(stragglers, now_ns);
    }
    while (stragglers->looked_ns == now_ns) {
        const qn_straggler_finding *finding = tell_next(stragglers, sched, now_ns);
        if (finding) {
            *rank_out = finding->rank;
            *task_out = finding->task;
            return finding->advice;
        }
        if (!stragglers->has_refused) {
            break;
        }
        look(stragglers, now_ns); /* others come into question now */
    }
    return QN_STRAGGLER_NONE;
}

/* Whether somebody begins it, too. */
static bool begin_second(qn_stragglers *stragglers, qn_sched *sched, uint64_t now_ns, const qn_straggler_order *order)
{
    qn_sched_event late = {QN_SCHED_TASK_LATE, order->rank, order->task, order->attempt};
    bool begins = order->attempt > 0 && qn_sched_feed(sched, &late);
    if (!begins) {
        qn_stragglers_refuse_second(stragglers, order->rank, order->task, now_ns); /* nobody who is idle may run it */
    }
    return begins;
}

bool qn_stragglers_press_on(qn_stragglers *stragglers, qn_sched *sched, uint64_t now_ns, qn_straggler_order *order_out)
{
    qn_straggler_order order = {0};
    while ((order.advice = qn_stragglers_next(stragglers, sched, now_ns, &order.rank, &order.task)) !=
           QN_STRAGGLER_NONE) {
        bool is_held = qn_sched_get_holder(sched, order.task, &order.attempt) == order.rank;
        order.attempt = is_held ? order.attempt : 0;
        bool is_to_do = order.advice == QN_STRAGGLER_ASK ? is_held : begin_second(stragglers, sched, now_ns, &order);
        if (is_to_do) {
            order.unless_begun = order.advice == QN_STRAGGLER_ASK && stragglers->makes_parts;
            *order_out = order;
            return true;
        }
    }
    return false;
}

bool qn_stragglers_second_is_ready(const qn_stragglers *stragglers, const qn_sched *sched, uint32_t rank, uint32_t task,
                                   qn_straggler_order *order_out)
{
    qn_straggler_order order = {.advice = QN_STRAGGLER_ASK, .task = task};
    order.rank = qn_sched_get_holder(sched, task, &order.attempt);
    bool is_second = stragglers->ranks && stragglers->ranks[rank].second == task;
    if (!is_second || order.rank == QN_SCHED_NONE) {
        return false;
    }
    *order_out = order;
    return true;
}
