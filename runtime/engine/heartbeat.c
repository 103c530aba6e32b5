/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/heartbeat.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/crash.h"
#include "runtime/base/thread.h"
#include "runtime/base/thread_look.h"
#include "runtime/comm/shared.h"
#include "runtime/engine/pulse.h"

#define BEAT_NS           QN_NS_PER_S
#define LOOKS_PER_WARNING 8 /* where the bound is short, beats are quicker */
#define JUMP_NS_MIN       (5 * QN_NS_PER_S)
#define END_GRACE_NS      (30 * QN_NS_PER_S) /* for a stuck rank to end itself */
#define LINE_BYTES        1200
#define LINES_AT_ONCE_MAX 8
#define BEATS_MISSED_MIN  3 /* before a rank counts as silent for those who look */

struct qn_heartbeat {
    qn_comm *comm;
    qn_engine *engine;
    qn_shared memory;
    qn_pulse *pulses; /* [count] of the ranks of the node that are watched */
    uint32_t count, mine;
    qn_pulse_taker taker;
    qn_roll roll;
    qn_roll ring;        /* of one: the first rank of the node before */
    qn_comm_beat before; /* its last one */
    bool has_ring;
    uint64_t beat_ns, beats;
    uint32_t line_count; /* of this look */
    char host[64];
    pthread_t thread;
    bool runs;
    sem_t stop;
};

/* ---- telling */

static void say(const qn_heartbeat *heartbeat, const char *line)
{
    qn_crash_say(line);
    qn_log_line(&heartbeat->engine->log, "%s", line + strlen("quern: "));
}

/* On rank 0 others see it, too. */
static void alert(const qn_heartbeat *heartbeat, const char *line)
{
    qn_progress_alert(&heartbeat->engine->progress, QN_ALERT_SILENT, line + strlen("quern: "));
}

static unsigned long long seconds_of(uint64_t ns)
{
    return (unsigned long long)(ns / QN_NS_PER_S);
}

static void name_member(const qn_heartbeat *heartbeat, uint32_t member, char *text, size_t bytes)
{
    const qn_pulse *pulse = &heartbeat->pulses[member];
    snprintf(text, bytes, "quern: rank %u (process %d on %s)", pulse->rank, pulse->process, heartbeat->host);
}

static void describe(const qn_heartbeat *heartbeat, uint32_t member, const qn_roll_sign *sign, char *line, size_t bytes)
{
    const qn_pulse *pulse = &heartbeat->pulses[member];
    const qn_roll_entry *entry = &heartbeat->roll.entries[member];
    char state[600], doing[sizeof pulse->doing];
    memcpy(doing, pulse->doing, sizeof doing);
    doing[sizeof doing - 1] = '\0';
    name_member(heartbeat, member, line, bytes);
    size_t used = strlen(line);
    if (entry->misses_beats) {
        qn_thread_look_describe(pulse->process, pulse->process, state, sizeof state);
        snprintf(line + used, bytes - used, " has not run for %llu s, it is %s; at last it was %s",
                 seconds_of(entry->silent_ns), state, doing);
        return;
    }
    qn_thread_look_describe(pulse->process, pulse->thread, state, sizeof state);
    if (sign->kind == QN_ROLL_COMPUTES)
        snprintf(line + used, bytes - used, " has computed for %llu s in one call of a callback: it is %s",
                 seconds_of(sign->quiet_ns), doing);
    else
        snprintf(line + used, bytes - used, " has done nothing for %llu s, it is %s: it is %s",
                 seconds_of(entry->silent_ns), state, doing);
}

/* What the others of the node do meanwhile. */
static void tell_others(const qn_heartbeat *heartbeat)
{
    uint32_t silent_count = 0, waiting_count = 0;
    char line[LINE_BYTES];
    for (uint32_t i = 0; i < heartbeat->count; i++) {
        silent_count += heartbeat->roll.entries[i].silent_ns > 0;
        waiting_count += heartbeat->roll.entries[i].silent_ns == 0 && heartbeat->pulses[i].kind == QN_ROLL_WAITS;
    }
    snprintf(line, sizeof line, "quern: of %u ranks on %s %u are silent, %u wait for others, %u work", heartbeat->count,
             heartbeat->host, silent_count, waiting_count, heartbeat->count - silent_count - waiting_count);
    say(heartbeat, line);
}

static void tell_end(const qn_heartbeat *heartbeat, const char *who, uint64_t silent_ns)
{
    char line[2 * LINE_BYTES];
    const char *kept = heartbeat->engine->settings.checkpoint_dir
                           ? "; what the checkpoint holds stays: resume=on goes on from it"
                           : "";
    snprintf(line, sizeof line,
             "%s gave no sign of life for %llu s (hang-timeout): the job ends, with exit status %d%s", who,
             seconds_of(silent_ns), QN_HEARTBEAT_EXIT_STATUS, kept);
    say(heartbeat, line);
}

/* ---- the ranks of the node */

static bool is_held(const qn_pulse *pulse)
{
    return qn_thread_look_state(pulse->process, pulse->process) == 't';
}

/* Where the launcher does not end the others when one ends, it is made to be lost, and they go on without it or end because of it. */
static void end_member(qn_heartbeat *heartbeat, uint32_t member)
{
    kill(heartbeat->pulses[member].process, SIGKILL);
    qn_roll_excuse(&heartbeat->roll, member);
}

/* A stuck rank ends itself, if it can. */
static void end_job(qn_heartbeat *heartbeat, uint32_t member, const qn_roll_sign *sign)
{
    char line[LINE_BYTES];
    const qn_roll_entry *entry = &heartbeat->roll.entries[member];
    bool is_mine = member == heartbeat->mine;
    if (!is_mine && !entry->misses_beats && entry->silent_ns < heartbeat->roll.bounds.timeout_ns + END_GRACE_NS)
        return;
    describe(heartbeat, member, sign, line, sizeof line);
    say(heartbeat, line);
    name_member(heartbeat, member, line, sizeof line);
    tell_end(heartbeat, line, entry->silent_ns);
    if (!is_mine && heartbeat->comm->tells_losses) {
        end_member(heartbeat, member);
        return;
    }
    if (is_mine)
        qn_crash_end(heartbeat->taker.worker, QN_HEARTBEAT_EXIT_STATUS);
    qn_crash_end_now(QN_HEARTBEAT_EXIT_STATUS);
}

static void tell_member(qn_heartbeat *heartbeat, uint32_t member, const qn_roll_sign *sign)
{
    char line[LINE_BYTES];
    qn_roll_verdict verdict = heartbeat->roll.entries[member].verdict;
    if (heartbeat->line_count++ >= LINES_AT_ONCE_MAX)
        return; /* the rest at the next look */
    name_member(heartbeat, member, line, sizeof line);
    if (verdict == QN_ROLL_BACK)
        snprintf(line + strlen(line), sizeof line - strlen(line), " is back");
    else
        describe(heartbeat, member, sign, line, sizeof line);
    say(heartbeat, line);
    if (verdict != QN_ROLL_BACK)
        alert(heartbeat, line);
    qn_roll_note_told(&heartbeat->roll, member);
}

static qn_roll_sign sign_of(const qn_pulse *pulse)
{
    return (qn_roll_sign){pulse->beat, (qn_roll_kind)pulse->kind, pulse->quiet_ns};
}

static void act(qn_heartbeat *heartbeat, uint32_t member)
{
    const qn_roll_entry *entry = &heartbeat->roll.entries[member];
    const qn_roll_sign sign = sign_of(&heartbeat->pulses[member]);
    if (entry->verdict == QN_ROLL_FINE)
        return;
    if (entry->misses_beats && is_held(&heartbeat->pulses[member]))
        qn_roll_excuse(&heartbeat->roll, member);
    else if (entry->verdict == QN_ROLL_OVERDUE)
        end_job(heartbeat, member, &sign);
    else
        tell_member(heartbeat, member, &sign);
}

/* MPI tells of who was killed: that is dealt with elsewhere. Of who ended by itself nobody will ever hear. */
static void see_if_gone(qn_heartbeat *heartbeat, uint32_t member)
{
    qn_comm *comm = heartbeat->comm;
    int process = heartbeat->pulses[member].process;
    bool is_gone = (kill(process, 0) != 0 && errno == ESRCH) || qn_thread_look_state(process, process) == 'Z';
    if (!is_gone)
        return;
    if (!qn_comm_is_broken(comm) && !(comm->threads_allowed && qn_comm_sees_loss(comm)))
        qn_comm_end_job(comm, QN_COMM_EXIT_LOST, "another rank ended without a word");
    qn_roll_excuse(&heartbeat->roll, member);
    heartbeat->roll.entries[member].verdict = QN_ROLL_FINE;
}

/* The first one whose beats come speaks, and every rank ends itself. */
static void look_around(qn_heartbeat *heartbeat)
{
    bool is_silent = false;
    heartbeat->line_count = 0;
    for (uint32_t i = 0; i < heartbeat->count; i++) {
        const qn_roll_sign sign = sign_of(&heartbeat->pulses[i]);
        qn_roll_judge(&heartbeat->roll, i, &sign);
        if (heartbeat->comm->tells_losses && heartbeat->roll.entries[i].misses_beats)
            see_if_gone(heartbeat, i);
        is_silent |= heartbeat->roll.entries[i].verdict == QN_ROLL_SILENT && heartbeat->roll.entries[i].silent_ns > 0;
    }
    bool leads = qn_roll_leads(&heartbeat->roll, heartbeat->mine);
    for (uint32_t i = 0; i < heartbeat->count; i++) {
        qn_roll_verdict verdict = heartbeat->roll.entries[i].verdict;
        bool is_own_end = i == heartbeat->mine && verdict == QN_ROLL_OVERDUE;
        if (leads || is_own_end ||
            verdict == QN_ROLL_BACK) /* who told that a rank is silent does not lead if it is back */
            act(heartbeat, i);
    }
    if (leads && is_silent && heartbeat->count > 1)
        tell_others(heartbeat);
}

/* ---- the node before */

static void tell_node(qn_heartbeat *heartbeat)
{
    char line[LINE_BYTES];
    const qn_comm_beat *before = &heartbeat->before;
    uint64_t silent_ns = heartbeat->ring.entries[0].silent_ns;
    qn_roll_verdict verdict = heartbeat->ring.entries[0].verdict;
    if (verdict == QN_ROLL_FINE)
        return;
    snprintf(line, sizeof line, "quern: rank %u (process %d on %s)", before->rank, before->process, before->host);
    if (verdict == QN_ROLL_OVERDUE) {
        tell_end(heartbeat, line, silent_ns);
        qn_crash_end_now(QN_HEARTBEAT_EXIT_STATUS);
    }
    if (verdict == QN_ROLL_BACK)
        snprintf(line + strlen(line), sizeof line - strlen(line), " is back");
    else
        snprintf(line + strlen(line), sizeof line - strlen(line),
                 " has sent no sign of life to %s for %llu s: the process, its machine or the network between is down",
                 heartbeat->host, seconds_of(silent_ns));
    say(heartbeat, line);
    if (verdict != QN_ROLL_BACK)
        alert(heartbeat, line);
    qn_roll_note_told(&heartbeat->ring, 0);
}

static void look_at_ring(qn_heartbeat *heartbeat, uint64_t now_ns)
{
    qn_error ignored = {0};
    qn_comm_beat mine = {.number = heartbeat->beats,
                         .rank = heartbeat->comm->rank,
                         .process = heartbeat->pulses[heartbeat->mine].process},
                 theirs;
    memcpy(mine.host, heartbeat->host, sizeof mine.host);
    if (qn_comm_beat_once(heartbeat->comm, &mine, &theirs, &ignored) != QUERN_OK) {
        heartbeat->has_ring = false; /* MPI is broken: others will say so */
        return;
    }
    if (theirs.number > 0)
        heartbeat->before = theirs;
    bool is_here = heartbeat->before.number > 0 && heartbeat->before.number != QN_COMM_LAST_BEAT;
    qn_roll_sign sign = {heartbeat->before.number, is_here ? QN_ROLL_AWAY : QN_ROLL_ABSENT, 0};
    qn_roll_begin(&heartbeat->ring, now_ns);
    qn_roll_judge(&heartbeat->ring, 0, &sign);
    tell_node(heartbeat);
}

/* ---- the thread */

static void *beat(void *user)
{
    qn_heartbeat *heartbeat = user;
    while (!qn_thread_pause(&heartbeat->stop, heartbeat->beat_ns)) {
        uint64_t now_ns = qn_clock_ns();
        bool has_jumped = qn_roll_begin(&heartbeat->roll, now_ns);
        heartbeat->beats++;
        qn_pulse_take(&heartbeat->taker, now_ns, has_jumped);
        heartbeat->pulses[heartbeat->mine].state = qn_timeline_get_state(heartbeat->engine->timeline);
        look_around(heartbeat);
        if (heartbeat->has_ring)
            look_at_ring(heartbeat, now_ns);
    }
    return NULL;
}

static qn_roll_bounds bounds_of(const qn_settings *settings, uint64_t beat_ns)
{
    uint64_t jump_ns = settings->hang_warning_ns / 4 * 3;
    jump_ns = jump_ns < JUMP_NS_MIN ? jump_ns : JUMP_NS_MIN;
    return (qn_roll_bounds){
        .warning_ns = settings->hang_warning_ns,
        .timeout_ns = settings->hang_timeout_ns,
        .ends_in_callback = settings->hang_in_callback,
        .jump_ns = jump_ns > 2 * beat_ns ? jump_ns : 2 * beat_ns,
    };
}

static quern_status set_up(qn_heartbeat *heartbeat, const qn_settings *settings, qn_error *error)
{
    uint64_t now_ns = qn_clock_ns();
    heartbeat->beat_ns = settings->hang_warning_ns / LOOKS_PER_WARNING;
    heartbeat->beat_ns = heartbeat->beat_ns < BEAT_NS ? heartbeat->beat_ns : BEAT_NS;
    qn_roll_bounds bounds = bounds_of(settings, heartbeat->beat_ns);
    if (qn_roll_init(&heartbeat->roll, heartbeat->count, &bounds, now_ns, error) != QUERN_OK ||
        qn_roll_init(&heartbeat->ring, 1, &bounds, now_ns, error) != QUERN_OK)
        return error->status;
    qn_pulse_init(&heartbeat->taker, &heartbeat->pulses[heartbeat->mine], &heartbeat->engine->site, heartbeat->comm);
    qn_pulse_take(&heartbeat->taker, now_ns, true); /* a rank that is stopped at once is missed, too */
    if (heartbeat->comm->tells_losses)
        qn_crash_end_by_signal();
    sem_init(&heartbeat->stop, 0, 0);
    int reason = qn_thread_start(&heartbeat->thread, beat, heartbeat);
    heartbeat->runs = reason == 0;
    return heartbeat->runs ? QUERN_OK : qn_error_set(error, QUERN_ERROR_SYSTEM, reason, "cannot start a thread");
}

/* Where ranks cannot have memory in common each watches itself. */
static quern_status share_pulses(qn_heartbeat *heartbeat, qn_error *error)
{
    qn_comm *comm = heartbeat->comm;
    qn_shared_wish wish = {.room_bytes = comm->node_size * sizeof *heartbeat->pulses, .may_share = true};
    quern_status status = qn_shared_create(&heartbeat->memory, comm, &wish, error);
    if (status != QUERN_OK)
        return status;
    heartbeat->pulses = (qn_pulse *)(void *)heartbeat->memory.data;
    heartbeat->count = comm->node_size;
    heartbeat->mine = comm->node_rank;
    if (heartbeat->memory.is_private && comm->node_size > 1) {
        heartbeat->pulses += comm->node_rank;
        heartbeat->count = 1;
        heartbeat->mine = 0;
        qn_log_line(&heartbeat->engine->log,
                    "the ranks of this node have no memory in common: a stopped one will not be noticed");
    }
    return QUERN_OK;
}

quern_status qn_heartbeat_start(qn_heartbeat **heartbeat_out, struct qn_engine *engine, qn_error *error)
{
    qn_heartbeat *heartbeat = calloc(1, sizeof *heartbeat);
    if (!heartbeat)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to watch ranks");
    quern_status status = qn_comm_agree(engine->comm, error);
    if (status != QUERN_OK) {
        free(heartbeat);
        return status;
    }
    heartbeat->comm = engine->comm;
    heartbeat->engine = engine;
    heartbeat->has_ring = qn_comm_has_beats(engine->comm);
    gethostname(heartbeat->host, sizeof heartbeat->host - 1);
    status = share_pulses(heartbeat, error);
    if (status == QUERN_OK) {
        set_up(heartbeat, &engine->settings, error);
        status = qn_comm_agree(engine->comm, error);
    }
    if (status == QUERN_OK)
        *heartbeat_out = heartbeat;
    else
        qn_heartbeat_stop(heartbeat);
    return status;
}

void qn_heartbeat_stop(qn_heartbeat *heartbeat)
{
    qn_error ignored = {0};
    if (!heartbeat)
        return;
    if (heartbeat->runs) {
        sem_post(&heartbeat->stop);
        pthread_join(heartbeat->thread, NULL);
        sem_destroy(&heartbeat->stop);
        qn_pulse_fini(&heartbeat->taker);
        qn_comm_end_beats(heartbeat->comm, &ignored);
    }
    qn_roll_fini(&heartbeat->roll);
    qn_roll_fini(&heartbeat->ring);
    qn_shared_destroy(&heartbeat->memory);
    free(heartbeat);
}

void qn_heartbeat_begin_run(qn_heartbeat *heartbeat)
{
    qn_pulse_begin_run(&heartbeat->taker);
}

void qn_heartbeat_end_run(qn_heartbeat *heartbeat)
{
    qn_pulse_end_run(&heartbeat->taker);
}

void qn_heartbeat_see(qn_heartbeat *heartbeat, qn_agent *agent)
{
    qn_pulse_see(&heartbeat->taker, agent);
}

void qn_heartbeat_unsee(qn_heartbeat *heartbeat)
{
    qn_pulse_unsee(&heartbeat->taker);
}

/* ---- what ranks show */

qn_rank_show *qn_heartbeat_get_own_show(qn_heartbeat *heartbeat)
{
    return &heartbeat->pulses[heartbeat->mine].show;
}

uint32_t qn_heartbeat_get_count(const qn_heartbeat *heartbeat)
{
    return heartbeat->count;
}

bool qn_heartbeat_speaks(const qn_heartbeat *heartbeat)
{
    return heartbeat->mine == 0;
}

/* The roll is the thread's, which writes whole numbers. */
static uint64_t silent_ns_of(const qn_heartbeat *heartbeat, uint32_t member)
{
    const qn_pulse *pulse = &heartbeat->pulses[member];
    uint64_t beat_ns = *(const volatile uint64_t *)&heartbeat->roll.entries[member].beat_ns, now_ns = qn_clock_ns();
    if (now_ns > beat_ns && now_ns - beat_ns >= BEATS_MISSED_MIN * heartbeat->beat_ns)
        return now_ns - beat_ns;
    return pulse->kind == QN_ROLL_SLEEPS || pulse->kind == QN_ROLL_STUCK ? pulse->quiet_ns : 0;
}

qn_rank_show qn_heartbeat_look(const qn_heartbeat *heartbeat, uint32_t member)
{
    const qn_pulse *pulse = &heartbeat->pulses[member];
    qn_rank_show show = pulse->show;
    show.figures.rank = pulse->rank;
    show.figures.state = pulse->state;
    show.figures.silent_ns = silent_ns_of(heartbeat, member);
    for (size_t i = 0; i < QN_RANK_KEYS_MAX; i++)
        show.keys[i].text[sizeof show.keys[i].text - 1] = 0;
    return show;
}

void qn_heartbeat_get_host(const qn_heartbeat *heartbeat, char *host_out, size_t bytes)
{
    snprintf(host_out, bytes, "%.*s", (int)sizeof heartbeat->host - 1, heartbeat->host);
}
