/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/pulse.h"

#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/thread_look.h"

void qn_pulse_init(qn_pulse_taker *taker, qn_pulse *pulse, const qn_site *site, const qn_comm *comm)
{
    *taker = (qn_pulse_taker){.pulse = pulse, .site = site, .comm = comm};
    pulse->rank = comm->rank;
    pulse->process = (int32_t)getpid();
    pthread_mutex_init(&taker->lock, NULL);
}

void qn_pulse_fini(qn_pulse_taker *taker)
{
    taker->pulse->kind = QN_ROLL_ABSENT;
    pthread_mutex_destroy(&taker->lock);
}

static qn_pulse_marks marks_of(const qn_pulse_taker *taker)
{
    const qn_site *site = taker->site;
    if (!taker->agent)
        return (qn_pulse_marks){.stage = site->between};
    const qn_chain *chain = site->chain;
    qn_pulse_marks marks = {.stage = site->stage,
                            .chain = chain,
                            .source = site->source,
                            .task = site->task,
                            .attempt = site->attempt,
                            .activity = *(volatile uint64_t *)&taker->agent->activity};
    if (chain) {
        marks.running = chain->own_shown.running;
        marks.record = chain->own_shown.record;
        marks.handed = chain->own_shown.handed;
    }
    return marks;
}

static bool is_same(const qn_pulse_marks *left, const qn_pulse_marks *right)
{
    return left->stage == right->stage && left->chain == right->chain && left->source == right->source &&
           left->task == right->task && left->attempt == right->attempt && left->running == right->running &&
           left->record == right->record && left->handed == right->handed && left->activity == right->activity;
}

static uint64_t processor_ns_of(const qn_pulse_taker *taker)
{
    struct timespec used;
    if (clock_gettime(taker->clock, &used) != 0)
        return 0;
    return (uint64_t)used.tv_sec * QN_NS_PER_S + (uint64_t)used.tv_nsec;
}

static qn_roll_kind kind_of(const qn_pulse_marks *marks, bool has_marks, bool has_waited, bool has_computed)
{
    if (has_marks)
        return QN_ROLL_WORKS;
    if (has_waited)
        return QN_ROLL_WAITS;
    if (has_computed)
        return marks->running ? QN_ROLL_COMPUTES : QN_ROLL_WORKS;
    return marks->running ? QN_ROLL_SLEEPS : QN_ROLL_STUCK;
}

/* A thread that would run, if it got a processor, does not hang. */
static bool is_still(const qn_pulse_taker *taker, qn_roll_kind kind)
{
    return (kind == QN_ROLL_SLEEPS || kind == QN_ROLL_STUCK) &&
           qn_thread_look_state(taker->pulse->process, taker->pulse->thread) != 'R';
}

/* Sets the kind and how long it has been so. */
static void judge(qn_pulse_taker *taker, uint64_t now_ns)
{
    qn_pulse_marks marks = marks_of(taker);
    uint64_t waits = taker->comm->waits, processor_ns = processor_ns_of(taker);
    bool has_marks = !is_same(&marks, &taker->marks);
    qn_roll_kind kind = kind_of(&marks, has_marks, waits != taker->waits, processor_ns != taker->processor_ns);
    taker->marks = marks;
    taker->waits = waits;
    taker->processor_ns = processor_ns;
    if (has_marks)
        taker->marked_ns = now_ns;
    bool stands_still = is_still(taker, kind);
    if (!stands_still)
        taker->moved_ns = now_ns;
    taker->pulse->quiet_ns = now_ns - (stands_still ? taker->moved_ns : taker->marked_ns);
    taker->pulse->kind = kind;
}

/* Whether the working thread is in a callback, and will be out of the source until the gate is left. */
static bool try_gate(const qn_pulse_taker *taker)
{
    const qn_chain *chain = taker->site->chain;
    if (!chain || !qn_chain_running_name(chain) || pthread_mutex_trylock(&taker->agent->gate) != 0)
        return false;
    chain = taker->site->chain;
    if (chain && qn_chain_running_name(chain))
        return true;
    qn_agent_leave(taker->agent);
    return false;
}

static void tell(const qn_pulse_taker *taker, char *text, size_t bytes)
{
    const qn_site *site = taker->site;
    const char *between = site->between;
    if (!taker->in_run) {
        snprintf(text, bytes, "in the program, outside of a run");
        return;
    }
    if (!taker->agent) {
        snprintf(text, bytes, "%s", between ? between : "between tasks or stages");
        return;
    }
    const char *stage = site->stage;
    snprintf(text, bytes, "in the stage '%s'", stage ? stage : "?");
    bool is_inside = try_gate(taker);
    qn_site_describe(site, is_inside, text, bytes);
    if (is_inside)
        qn_agent_leave(taker->agent);
}

/* Inside the lock. */
static void take(qn_pulse_taker *taker, uint64_t now_ns)
{
    qn_pulse *pulse = taker->pulse;
    char text[sizeof pulse->doing];
    if (taker->in_run)
        judge(taker, now_ns);
    else {
        pulse->kind = QN_ROLL_AWAY;
        pulse->quiet_ns = 0;
    }
    tell(taker, text, sizeof text);
    memcpy(pulse->doing, text, strlen(text) + 1);
    pulse->beat = pulse->beat + 1;
}

void qn_pulse_take(qn_pulse_taker *taker, uint64_t now_ns, bool restart)
{
    pthread_mutex_lock(&taker->lock);
    if (restart)
        taker->marked_ns = taker->moved_ns = now_ns;
    take(taker, now_ns);
    if (taker->agent)
        qn_agent_show_alone(taker->agent, now_ns);
    pthread_mutex_unlock(&taker->lock);
}

void qn_pulse_begin_run(qn_pulse_taker *taker)
{
    pthread_mutex_lock(&taker->lock);
    taker->worker = pthread_self();
    taker->pulse->thread = (int32_t)syscall(SYS_gettid);
    taker->in_run = pthread_getcpuclockid(taker->worker, &taker->clock) == 0;
    taker->marked_ns = taker->moved_ns = qn_clock_ns();
    take(taker, taker->moved_ns);
    pthread_mutex_unlock(&taker->lock);
}

void qn_pulse_end_run(qn_pulse_taker *taker)
{
    pthread_mutex_lock(&taker->lock);
    taker->in_run = false;
    take(taker, qn_clock_ns());
    pthread_mutex_unlock(&taker->lock);
}

void qn_pulse_see(qn_pulse_taker *taker, qn_agent *agent)
{
    pthread_mutex_lock(&taker->lock);
    taker->agent = agent;
    take(taker, qn_clock_ns());
    pthread_mutex_unlock(&taker->lock);
}

void qn_pulse_unsee(qn_pulse_taker *taker)
{
    qn_pulse_see(taker, NULL);
}
