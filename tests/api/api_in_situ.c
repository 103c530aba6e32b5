/* SPDX-License-Identifier: BSD-3-Clause */
/* A guest in somebody else's program: thousands of small jobs take nothing that stays, and nothing of the host's is touched. */
#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api_kit.h"

#define ELEMENT_COUNT        1000
#define RUN_COUNT            9000 /* on one context; with those that have a context each, ten thousand jobs */
#define CONTEXT_COUNT        1000
#define FEW                  6   /* without E2E_SLOW=1 there are so many times fewer of both */
#define WARM_UP_COUNT        100 /* MPI takes memory for the first ones */
#define SECONDS_MAX          50  /* for each of these; on a machine that others keep busy there are fewer then */
#define HELD_CONTEXT_COUNT   20
#define HELD_ROUND_COUNT     6
#define HEAP_SLACK_BYTES     (256 << 10)
#define RESIDENT_SLACK_BYTES (1 << 20)

static uint32_t cells[ELEMENT_COUNT];
static uint64_t weights[ELEMENT_COUNT];

static quern_context *context_on(MPI_Comm comm, const quern_options *options)
{
    quern_context *context = NULL;
    quern_status status = quern_context_create_on(comm, options, &context);
    CHECK_STATUS(status, QUERN_OK, quern_context_error_text(NULL));
    return context;
}

static quern_dataset *sums_of(quern_context *context)
{
    const quern_memory_array here = {.count = ELEMENT_COUNT, .key = cells, .value = weights};
    quern_dataset *state = quern_read_memory(context, (quern_schema){QUERN_U32, QUERN_U64, 0, 0}, &here, 1);
    return quern_reduce_by_key(state, QUERN_SUM);
}

static int add_value(const quern_record *record, void *user)
{
    *(uint64_t *)user += quern_u64(record->value);
    return 0;
}

static uint64_t fill(uint64_t step)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < ELEMENT_COUNT; i++) {
        cells[i] = i % 64;
        weights[i] = step + i;
        sum += weights[i];
    }
    return sum * (uint64_t)kit_size();
}

static void run_step(quern_context *context, quern_dataset *sums, uint64_t step)
{
    uint64_t expected = fill(step), sum = 0;
    quern_collect(sums, QUERN_COLLECT_ALL, add_value, &sum);
    CHECK_STATUS(quern_run(context), QUERN_OK, quern_context_error_text(context));
    CHECK_SAME(sum, expected);
}

/* ---- what stays */

typedef struct holdings {
    unsigned long long resident_bytes, heap_bytes, files, threads;
} holdings;

static uint64_t entries_of(const char *path)
{
    uint64_t count = 0;
    DIR *directory = opendir(path);
    CHECK(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static holdings look(void)
{
    unsigned long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%lu %lu", &all, &resident) == 2);
    fclose(file);
    return (holdings){resident * (unsigned long)sysconf(_SC_PAGESIZE), mallinfo2().uordblks,
                      entries_of("/proc/self/fd"), entries_of("/proc/self/task")};
}

/* A rank that took more than it had says what. */
static void check_stable(const holdings *before, const holdings *after)
{
    bool is_stable = after->files == before->files && after->threads == before->threads &&
                     after->heap_bytes <= before->heap_bytes + HEAP_SLACK_BYTES;
#ifndef __SANITIZE_ADDRESS__ /* which keeps what is freed */
    is_stable = is_stable && after->resident_bytes <= before->resident_bytes + RESIDENT_SLACK_BYTES;
#endif
    if (!is_stable)
        kit_fail(__FILE__, __LINE__,
                 "resident %llu, then %llu; heap %llu, then %llu; files %llu, then %llu; threads %llu, then %llu",
                 before->resident_bytes, after->resident_bytes, before->heap_bytes, after->heap_bytes, before->files,
                 after->files, before->threads, after->threads);
}

/* On rank 0, for who reads along; times are of this machine and moment. */
static void tell(const char *what, uint64_t count, const holdings *before, const holdings *after, double mean,
                 double quickest)
{
    if (kit_rank() == 0)
        fprintf(
            stderr,
            "%llu %s: %.3f ms on average, %.3f the quickest; resident %llu KiB, then %llu; heap %llu KiB, then %llu\n",
            (unsigned long long)count, what, mean * 1e3, quickest * 1e3, before->resident_bytes >> 10,
            after->resident_bytes >> 10, before->heap_bytes >> 10, after->heap_bytes >> 10);
}

static bool is_slow(void)
{
    const char *slow = getenv("E2E_SLOW");
    return slow && strcmp(slow, "1") == 0;
}

static uint64_t how_many(uint64_t count)
{
    return is_slow() ? count : count / FEW;
}

/* The same on all ranks. */
static bool may_go_on(uint64_t step, uint64_t count, double since)
{
    bool looks = step % WARM_UP_COUNT == 0 && step >= 2 * WARM_UP_COUNT;
    return step < count && !(looks && kit_max(kit_seconds() - since > SECONDS_MAX) > 0);
}

/* Others have the processors, too: the quickest run tells what a run costs, if there are thousands. */
static void check_quick(double seconds)
{
#ifndef __SANITIZE_ADDRESS__
    if (seconds > (is_slow() ? 1e-3 : 5e-3))
        kit_fail(__FILE__, __LINE__, "the quickest small job took %.3f ms", seconds * 1e3);
#endif
    (void)seconds;
}

static void thousands_of_runs_on_one_context_take_nothing_that_stays(void)
{
    quern_context *context = context_on(MPI_COMM_WORLD, NULL);
    quern_dataset *sums = sums_of(context);
    holdings before = {0}, after;
    double all = 0, quickest = 1e9, since = kit_seconds();
    uint64_t step = 0, count = how_many(RUN_COUNT);
    for (; may_go_on(step, count, since); step++) {
        if (step == WARM_UP_COUNT)
            before = look();
        double begin = kit_seconds();
        run_step(context, sums, step);
        double seconds = kit_seconds() - begin;
        quickest = seconds < quickest ? seconds : quickest;
        all += seconds;
    }
    after = look();
    tell("runs on one context", step, &before, &after, all / (double)step, quickest);
    if (step == count) /* else the machine is too busy to tell */
        check_quick(quickest);
    check_stable(&before, &after);
    quern_context_destroy(context);
}

static void thousands_of_contexts_take_nothing_that_stays(void)
{
    holdings before = {0}, after;
    double all = 0, quickest = 1e9, since = kit_seconds();
    uint64_t step = 0;
    for (; may_go_on(step, how_many(CONTEXT_COUNT), since); step++) {
        if (step == WARM_UP_COUNT)
            before = look();
        double begin = kit_seconds();
        quern_context *context = context_on(MPI_COMM_WORLD, NULL);
        run_step(context, sums_of(context), step);
        quern_context_destroy(context);
        double seconds = kit_seconds() - begin;
        quickest = seconds < quickest ? seconds : quickest;
        all += seconds;
    }
    after = look();
    tell("contexts with a run each", step, &before, &after, all / (double)step, quickest);
    check_stable(&before, &after);
}

/* They go in any order. A communicator that stayed would be more than the heap may grow. */
static void contexts_live_at_once_and_leave_no_communicator(void)
{
    quern_context *held[HELD_CONTEXT_COUNT];
    holdings before = look(), after;
    for (int round = 0; round < HELD_ROUND_COUNT; round++) {
        for (int i = 0; i < HELD_CONTEXT_COUNT; i++)
            held[i] = context_on(MPI_COMM_WORLD, NULL);
        for (int i = 0; i < HELD_CONTEXT_COUNT; i++)
            run_step(held[i], sums_of(held[i]), (uint64_t)i);
        for (int i = 0; i < HELD_CONTEXT_COUNT; i++)
            quern_context_destroy(held[(i * 7 + round) % HELD_CONTEXT_COUNT]);
        if (round == HELD_ROUND_COUNT / 2)
            before = look();
    }
    after = look();
    check_stable(&before, &after);
}

/* ---- what is the host's */

typedef struct host {
    struct sigaction actions[NSIG];
    sigset_t blocked;
    stack_t signal_stack;
    cpu_set_t cores;
    MPI_Errhandler on_world, on_own;
    mode_t mask;
    char directory[4096];
    uint64_t environment;
} host;

static MPI_Comm own;

static uint64_t digest_environment(void)
{
    uint64_t digest = 14695981039346656037u;
    for (char **variable = environ; *variable; variable++)
        for (const char *at = *variable; *at; at++)
            digest = (digest ^ (unsigned char)*at) * 1099511628211u;
    return digest;
}

static void remember(host *seen)
{
    memset(seen, 0, sizeof *seen);
    for (int number = 1; number < NSIG; number++)
        sigaction(number, NULL, &seen->actions[number]);
    pthread_sigmask(SIG_SETMASK, NULL, &seen->blocked);
    sigaltstack(NULL, &seen->signal_stack);
    CHECK(sched_getaffinity(0, sizeof seen->cores, &seen->cores) == 0);
    MPI_Comm_get_errhandler(MPI_COMM_WORLD, &seen->on_world);
    MPI_Comm_get_errhandler(own, &seen->on_own);
    seen->mask = umask(0);
    umask(seen->mask);
    CHECK(getcwd(seen->directory, sizeof seen->directory));
    seen->environment = digest_environment();
}

static void forget(host *seen)
{
    MPI_Errhandler_free(&seen->on_world);
    MPI_Errhandler_free(&seen->on_own);
}

static void check_untouched(const host *before, const char *when)
{
    host now;
    remember(&now);
    for (int number = 1; number < NSIG; number++)
        if (now.actions[number].sa_sigaction != before->actions[number].sa_sigaction ||
            now.actions[number].sa_flags != before->actions[number].sa_flags)
            kit_fail(__FILE__, __LINE__, "%s: signal %d (%s) is handled by another", when, number, strsignal(number));
    CHECK(memcmp(&now.blocked, &before->blocked, sizeof now.blocked) == 0);
    CHECK(now.signal_stack.ss_sp == before->signal_stack.ss_sp);
    CHECK(CPU_EQUAL(&now.cores, &before->cores));
    CHECK(now.on_world == before->on_world && now.on_own == before->on_own);
    CHECK_SAME(now.mask, before->mask);
    CHECK(strcmp(now.directory, before->directory) == 0);
    CHECK(now.environment == before->environment);
    forget(&now);
}

static const host *as_it_was;

static int look_from_within(const quern_record *record, quern_emitter *out, void *user)
{
    check_untouched(as_it_was, "in a callback");
    return *(const bool *)user ? 1 : quern_emit(out, record->key, record->value);
}

static void own_errors(MPI_Comm *comm, int *code, ...)
{
    (void)comm, (void)code;
}

/* Threads of the library's take no signal that is for the host. */
static void check_threads_are_deaf(uint64_t thread_count)
{
    struct dirent *entry;
    DIR *tasks = opendir("/proc/self/task");
    uint64_t deaf = 0;
    CHECK(tasks);
    while ((entry = readdir(tasks))) {
        char path[320], line[256];
        unsigned long long blocked = 0;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        FILE *file = fopen(path, "r");
        while (file && fgets(line, sizeof line, file))
            sscanf(line, "SigBlk: %llx", &blocked);
        if (file)
            fclose(file);
        deaf += (blocked >> (SIGALRM - 1) & 1) && (blocked >> (SIGINT - 1) & 1);
    }
    closedir(tasks);
    CHECK(deaf >= thread_count);
}

static void work_as_a_guest(const quern_options *options, bool fails)
{
    host before;
    const quern_schema sums = {QUERN_U32, QUERN_U64, 0, 0};
    uint64_t threads = entries_of("/proc/self/task"), sum = 0, expected = fill(3);
    remember(&before);
    as_it_was = &before;
    quern_context *context = context_on(own, options);
    check_untouched(&before, "with a context");
    check_threads_are_deaf(entries_of("/proc/self/task") - threads);
    const quern_memory_array here = {.count = ELEMENT_COUNT, .key = cells, .value = weights};
    quern_dataset *state = quern_read_memory(context, sums, &here, 1);
    quern_dataset *seen = quern_flat_map(state, sums, look_from_within, &fails);
    quern_collect(quern_reduce_by_key(seen, QUERN_SUM), QUERN_COLLECT_ALL, add_value, &sum);
    quern_status status = quern_run(context);
    check_untouched(&before, "after a run");
    if (fails)
        CHECK(status != QUERN_OK);
    else
        CHECK_STATUS(status, QUERN_OK, quern_context_error_text(context));
    CHECK_SAME(sum, fails ? 0 : expected);
    quern_context_destroy(context);
    check_untouched(&before, "without a context");
    CHECK_SAME(entries_of("/proc/self/task"), threads);
    forget(&before);
}

/* What goes to standard output and error meanwhile lands in a file. */
static void divert(int to, int saved[2])
{
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        saved[i] = dup(i + 1);
        CHECK(dup2(to, i + 1) == i + 1);
    }
}

static void undivert(const int saved[2])
{
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        dup2(saved[i], i + 1);
        close(saved[i]);
    }
}

static void work_with(const quern_options *options)
{
    int saved[2], said = open(kit_path("said%d", kit_rank()), O_RDWR | O_CREAT | O_TRUNC, 0600);
    struct stat about;
    divert(said, saved);
    work_as_a_guest(options, false);
    work_as_a_guest(options, true);
    undivert(saved);
    CHECK(fstat(said, &about) == 0);
    CHECK_SAME(about.st_size, 0);
    close(said);
}

static void signals_binding_error_handlers_and_output_are_the_hosts(void)
{
    MPI_Errhandler errors;
    quern_options options;
    MPI_Comm_dup(MPI_COMM_WORLD, &own);
    MPI_Comm_create_errhandler(own_errors, &errors);
    MPI_Comm_set_errhandler(own, errors);
    work_with(NULL);
    quern_options_init(&options); /* whatever is asked for but pin and crash-report, which say so */
    options.job_dir = kit_path("job");
    options.report_path = kit_path("report.json");
    work_with(&options);
    quern_options_init(&options);
    options.checkpoint_dir = kit_path("checkpoint");
    options.memory_bytes = (uint64_t)kit_size() * 64 << 20;
    work_with(&options);
    MPI_Errhandler_free(&errors);
    MPI_Comm_free(&own);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    unsetenv("QUERN_REPORT"); /* a file for each job, and synced, takes longer than the job */
    RUN(signals_binding_error_handlers_and_output_are_the_hosts, 30);
    RUN(contexts_live_at_once_and_leave_no_communicator, 60);
    RUN(thousands_of_contexts_take_nothing_that_stays, 200);
    RUN(thousands_of_runs_on_one_context_take_nothing_that_stays, 200);
    return kit_finish();
}
