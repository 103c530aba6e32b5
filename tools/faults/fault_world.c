/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/faults/fault_world.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "runtime/engine/checkpoint.h"
#include "scheduler/sim/sim_random.h"
#include "tools/faults/fault_disk.h"

#define STACK_BYTES  ((size_t)1 << 20)
#define BASE_NS      UINT64_C(1000000000000) /* the clock never stands at 0 */
#define LOOK_NS      40                      /* a look at the clock takes */
#define HANG_NS      UINT64_C(120000000000)
#define NS_PER_S_INT UINT64_C(1000000000)

const char *const qn_fault_moment_names[QN_FAULT_MOMENT_COUNT] = {
    [QN_FAULT_SENDING] = "sending", [QN_FAULT_RECEIVING] = "receiving", [QN_FAULT_MEETING] = "meeting",
    [QN_FAULT_ROUND] = "round",     [QN_FAULT_DISK] = "disk",           [QN_FAULT_CALLBACK] = "callback",
};

typedef struct rank_fiber {
    ucontext_t begin;
    jmp_buf place;
    uint64_t now_ns;
    bool has_begun, is_over, is_dead;
} rank_fiber;

static struct {
    const qn_fault_weather *weather;
    qn_fault_report *report;
    void (*rank_main)(uint32_t rank);
    uint64_t random;
    jmp_buf turns;
    rank_fiber ranks[QN_FAULT_RANKS_MAX];
    rank_fiber *current; /* NULL: nobody's turn */
    uint64_t end_ns;     /* somebody died: then all others are ended */
} world;

const qn_fault_weather *qn_fault_get_weather(void)
{
    return world.weather;
}

qn_fault_report *qn_fault_get_report(void)
{
    return world.report;
}

uint32_t qn_fault_rank(void)
{
    return (uint32_t)(world.current - world.ranks);
}

uint64_t qn_fault_now_ns(void)
{
    return world.current->now_ns;
}

void qn_fault_pass(uint64_t ns)
{
    if (world.current)
        world.current->now_ns += ns;
}

uint64_t qn_fault_below(uint64_t bound)
{
    return qn_sim_below(&world.random, bound);
}

void qn_fault_trace(const char *format, ...)
{
    va_list arguments;
    if (!world.weather->traces)
        return;
    if (world.current)
        fprintf(stderr, "%12.6f rank %u: ", (double)(qn_fault_now_ns() - BASE_NS) / 1e9, qn_fault_rank());
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

/* swapcontext() asks the system for masks of signals each time, which nobody here changes: once begun, a context is left by jumps. */
static void give_turn(void)
{
    rank_fiber *self = world.current;
    if (_setjmp(self->place) == 0)
        _longjmp(world.turns, 1);
}

static void take_turn(rank_fiber *rank)
{
    if (_setjmp(world.turns) != 0)
        return;
    if (rank->has_begun)
        _longjmp(rank->place, 1);
    rank->has_begun = true;
    setcontext(&rank->begin);
}

/* The earliest; NULL: all are over. */
static rank_fiber *choose_next(void)
{
    rank_fiber *next = NULL;
    for (uint32_t i = 0; i < world.weather->rank_count; i++) {
        rank_fiber *rank = &world.ranks[i];
        if (!rank->is_over && !rank->is_dead && (!next || rank->now_ns < next->now_ns))
            next = rank;
    }
    return next;
}

void qn_fault_sleep(uint64_t ns)
{
    qn_fault_pass(ns);
    bool is_soon_over = qn_fault_now_ns() - BASE_NS > HANG_NS || world.end_ns > 0;
    if (is_soon_over || choose_next() != world.current)
        give_turn();
}

static void end_process(int status)
{
    if (world.weather->tears)
        world.report->torn_files = qn_fault_disk_tear();
    _exit(status);
}

void qn_fault_die(void)
{
    qn_fault_trace("dies");
    if (world.weather->outlive_ns == 0)
        end_process(QN_FAULT_DIED);
    world.end_ns = qn_fault_now_ns() + world.weather->outlive_ns;
    world.current->is_dead = true;
    give_turn();
}

bool qn_fault_is_last(qn_fault_moment kind)
{
    const qn_fault_weather *weather = world.weather;
    uint64_t number = ++world.report->moments[kind];
    uint64_t *trace = &world.report->trace;
    *trace = qn_sim_mix(*trace ^ qn_fault_now_ns() ^ (uint64_t)kind << 60 ^ (uint64_t)qn_fault_rank() << 56);
    return weather->dies && weather->death_kind == kind && weather->death_number == number;
}

void qn_fault_at(qn_fault_moment kind)
{
    if (qn_fault_is_last(kind))
        qn_fault_die();
}

/* ---- turns */

static void run_rank(void)
{
    world.rank_main(qn_fault_rank());
    world.current->is_over = true;
    give_turn();
}

static void prepare_rank(rank_fiber *rank)
{
    void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED)
        abort();
    getcontext(&rank->begin);
    rank->begin.uc_stack.ss_sp = stack;
    rank->begin.uc_stack.ss_size = STACK_BYTES;
    rank->now_ns = BASE_NS + qn_fault_below(NS_PER_S_INT / 1000);
    makecontext(&rank->begin, run_rank, 0);
}

void qn_fault_world_run(const qn_fault_weather *weather, qn_fault_report *report, void (*rank_main)(uint32_t rank))
{
    world.weather = weather;
    world.report = report;
    world.rank_main = rank_main;
    world.random = weather->seed;
    for (uint32_t i = 0; i < weather->rank_count; i++)
        prepare_rank(&world.ranks[i]);
    while ((world.current = choose_next()) != NULL) {
        report->now_ns = world.current->now_ns - BASE_NS;
        if (world.end_ns > 0 && world.current->now_ns >= world.end_ns)
            end_process(QN_FAULT_DIED);
        if (report->now_ns > HANG_NS)
            _exit(QN_FAULT_HUNG);
        take_turn(world.current);
    }
    if (world.end_ns > 0)
        end_process(QN_FAULT_DIED);
}

/* ---- what the library asks of the system */

int __real_clock_gettime(clockid_t clock, struct timespec *now_out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now_out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now_out)
{
    if (!world.current)
        return __real_clock_gettime(clock, now_out);
    qn_fault_pass(LOOK_NS);
    uint64_t now_ns = qn_fault_now_ns();
    *now_out = (struct timespec){(time_t)(now_ns / NS_PER_S_INT), (long)(now_ns % NS_PER_S_INT)};
    return 0;
}

int __real_nanosleep(const struct timespec *pause, struct timespec *left_out);
int __wrap_nanosleep(const struct timespec *pause, struct timespec *left_out);
int __wrap_nanosleep(const struct timespec *pause, struct timespec *left_out)
{
    if (!world.current)
        return __real_nanosleep(pause, left_out);
    qn_fault_sleep((uint64_t)pause->tv_sec * NS_PER_S_INT + (uint64_t)pause->tv_nsec);
    return 0;
}

/* Nobody else would get a turn, and the machine's other processes need not. */
int __wrap_sched_yield(void);
int __wrap_sched_yield(void)
{
    return 0;
}

/* Threads that only look: at hanging ranks, at a lock's beat. */
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *user);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *user)
{
    (void)thread, (void)how, (void)run, (void)user;
    return 0;
}

int __wrap_pthread_join(pthread_t thread, void **result_out);
int __wrap_pthread_join(pthread_t thread, void **result_out)
{
    (void)thread, (void)result_out;
    return 0;
}

/* One that writes beside its owner is left out, as where the system has no more of them: the owner then writes. */
struct qn_transfers *__wrap_qn_transfers_create(void);
struct qn_transfers *__wrap_qn_transfers_create(void)
{
    return NULL;
}

bool __wrap_qn_suspension_is_asked(void);
bool __wrap_qn_suspension_is_asked(void)
{
    const qn_fault_weather *weather = world.weather;
    return weather->is_asked && qn_fault_rank() == weather->asked_rank % weather->rank_count &&
           qn_fault_now_ns() - BASE_NS >= weather->asked_ns;
}

uint64_t __wrap_qn_suspension_since_ns(void);
uint64_t __wrap_qn_suspension_since_ns(void)
{
    return 0;
}

/* These are only counted. */
quern_status __real_qn_checkpoint_cut(qn_checkpoint *checkpoint, const qn_checkpoint_stage *stage, qn_master *master,
                                      bool *ends_out, qn_error *error);
quern_status __wrap_qn_checkpoint_cut(qn_checkpoint *checkpoint, const qn_checkpoint_stage *stage, qn_master *master,
                                      bool *ends_out, qn_error *error);
quern_status __wrap_qn_checkpoint_cut(qn_checkpoint *checkpoint, const qn_checkpoint_stage *stage, qn_master *master,
                                      bool *ends_out, qn_error *error)
{
    world.report->epochs += qn_fault_rank() == 0;
    qn_fault_trace("cuts an epoch");
    return __real_qn_checkpoint_cut(checkpoint, stage, master, ends_out, error);
}

quern_status __real_qn_checkpoint_take_up(qn_checkpoint *checkpoint, const qn_checkpoint_stage *stage, qn_error *error);
quern_status __wrap_qn_checkpoint_take_up(qn_checkpoint *checkpoint, const qn_checkpoint_stage *stage, qn_error *error);
quern_status __wrap_qn_checkpoint_take_up(qn_checkpoint *checkpoint, const qn_checkpoint_stage *stage, qn_error *error)
{
    world.report->resumed_epochs += qn_fault_rank() == 0;
    qn_fault_trace("goes on from an epoch");
    return __real_qn_checkpoint_take_up(checkpoint, stage, error);
}
