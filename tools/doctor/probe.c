/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern-probe, which `quern doctor` starts as it would start a job: sets up what a job sets up, by the same code, measures a little, and says how it is.
 *
 *     quern-probe --about                        what it is linked with, as a line of JSON; without MPI
 *     quern-probe DIRECTORY [--quern-...]        a rank; DIRECTORY is empty, and seen by all ranks or not
 *
 * What the environment asks for is heeded, but for what would touch a job's files. A rank that cannot go on ends itself, and the launcher the others.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/api/context_internal.h"
#include "runtime/base/clock.h"
#include "runtime/comm/comm.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/scratch_choice.h"
#include "tools/doctor/findings.h"
#include "tools/doctor/machine_look.h"
#include "tools/doctor/probe.h"
#include "tools/doctor/probe_lines.h"
#include "tools/doctor/scratch_look.h"

#define STATUS_FAILED  1
#define STATUS_MISUSED 2

typedef struct probe {
    qn_comm *comm;
    qn_engine engine;
    bool has_engine;
    const char *directory;
    quern_options options;
    char allowed[QN_TOPOLOGY_SET_BYTES_MAX]; /* before we are bound */
    bool sees_directory, is_shared;          /* by this rank; by all */
    json_t *exchange, *hdf5;                 /* of rank 0 */
    char hdf5_failed[QN_ERROR_TEXT_BYTES_MAX], engine_failed[QN_ERROR_TEXT_BYTES_MAX];
} probe;

static _Noreturn void give_up(const char *why)
{
    quern_probe_say(PROBE_FAILED, "%s", why);
    _exit(STATUS_FAILED);
}

static void must(quern_status status, const qn_error *error)
{
    if (status != QUERN_OK)
        give_up(error->text);
}

/* ---- before there is a communicator ---- */

/* The first that is set of three variables. */
static const char *read_first(const char *one, const char *two, const char *three, const char *standard)
{
    const char *found = getenv(one);
    found = found ? found : getenv(two);
    found = found ? found : getenv(three);
    return found ? found : standard;
}

static void say_begun(void)
{
    quern_probe_say(PROBE_BEGUN, "%s %s", read_first("OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID", "-"),
                    read_first("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS", "0"));
}

/* As a job reads them; but nothing of a job is touched, and the clocks are compared, as for a report. */
static void read_options(probe *all, int *argc, char **argv)
{
    qn_error error = {0};
    quern_options given;
    quern_options_init(&given);
    if (quern_options_read_argv(&given, argc, argv) != QUERN_OK || *argc != 2) {
        fputs("usage: quern-probe --about | quern-probe DIRECTORY [--quern-...]\n", stderr);
        exit(STATUS_MISUSED);
    }
    must(qn_options_merge(&all->options, &given, &error), &error);
    all->options.job_dir = all->options.log_path = all->options.checkpoint_dir = all->options.quarantine_dir = NULL;
    all->options.node_local = NULL;
    all->options.report_path = "/dev/null";
    all->options.deadline_ms = 0;
    all->options.resume = all->options.progress = QUERN_OFF;
    all->directory = argv[1];
}

/* ---- what is done together ---- */

static void begin(probe *all)
{
    qn_error error = {0};
    qn_topology *topology = NULL;
    const qn_comm_start start = {.singleton = all->options.singleton == QUERN_ON};
    must(qn_comm_create(&start, &all->comm, &error), &error);
    quern_probe_say(PROBE_UP, "%u %u", all->comm->rank, all->comm->size);
    if (qn_topology_create(NULL, &topology, &error) == QUERN_OK)
        qn_topology_query_allowed(topology, all->allowed, &error);
    qn_topology_destroy(topology);
}

static void exchange(probe *all)
{
    qn_error error = {0};
    quern_probe_say(PROBE_STEP, "messages between all ranks");
    must(quern_probe_exchange(all->comm, &all->exchange, &error), &error);
}

static void share_file(probe *all)
{
    qn_error error = {0};
    quern_probe_say(PROBE_STEP, "a look at %s", all->directory);
    all->sees_directory = access(all->directory, W_OK | X_OK) == 0;
    uint64_t blind = !all->sees_directory;
    must(qn_comm_reduce_max(all->comm, &blind, 1, &error), &error);
    all->is_shared = !blind;
    if (!all->is_shared)
        return;
    quern_probe_say(PROBE_STEP, "a file of HDF5 in %s", all->directory);
    if (quern_probe_hdf5(all->comm, all->directory, &all->hdf5, &error) != QUERN_OK)
        snprintf(all->hdf5_failed, sizeof all->hdf5_failed, "%s", error.text);
}

static void set_up(probe *all)
{
    qn_error error = {0};
    quern_probe_say(PROBE_STEP, "what a job sets up");
    all->has_engine = qn_engine_create(&all->engine, all->comm, &all->options, &error) == QUERN_OK;
    if (!all->has_engine)
        snprintf(all->engine_failed, sizeof all->engine_failed, "%s", error.text);
}

/* ---- the report ---- */

/* Of this node's clocks: that of the wall against that by which ranks are compared. */
static int64_t wall_ahead_ns(void)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    return (int64_t)wall.tv_sec * (int64_t)QN_NS_PER_S + wall.tv_nsec - (int64_t)qn_clock_ns();
}

static void add_engine(const probe *all, json_t *rank)
{
    char place[QN_TOPOLOGY_PLACE_BYTES_MAX];
    const qn_engine *engine = &all->engine;
    if (!all->has_engine)
        return;
    qn_pin_describe(&engine->place, place);
    json_object_set_new(rank, "place", json_string(place));
    json_object_set_new(rank, "sharers", json_integer(engine->settings.pin ? engine->place.sharers : 0));
    json_object_set_new(rank, "rank_memory", json_integer((json_int_t)engine->settings.rank_memory_bytes));
    json_object_set_new(rank, "node_memory", json_integer((json_int_t)engine->settings.node_memory_bytes));
    json_object_set_new(rank, "memory_source", json_string(engine->settings.memory_source));
    json_object_set_new(rank, "ahead_ns", json_integer(engine->clock_ahead_ns));
    json_object_set_new(rank, "clock_error_ns", json_integer(engine->clock_error_ns));
}

static void add_findings(const probe *all, json_t *rank)
{
    quern_findings findings = {0};
    quern_probe_say(PROBE_STEP, "a look at this machine");
    quern_machine_look(&findings);
    quern_scratch_look(&findings, qn_scratch_choose(all->options.scratch_dir));
    json_object_set_new(rank, "findings", quern_findings_to_json(&findings));
    quern_findings_fini(&findings);
}

/* The caller's; NULL: no memory. */
static char *describe_rank(const probe *all)
{
    const qn_comm *comm = all->comm;
    json_t *rank = json_pack("{si ss si si si si ss sb sI so}", "rank", (int)comm->rank, "host", quern_probe_host(),
                             "pid", (int)getpid(), "node", (int)comm->node, "node_rank", (int)comm->node_rank,
                             "node_size", (int)comm->node_size, "allowed", all->allowed, "sees_directory",
                             all->sees_directory, "wall_ns", (json_int_t)wall_ahead_ns(), "mpi", quern_probe_mpi());
    if (!rank)
        return NULL;
    add_engine(all, rank);
    if (comm->node_rank == 0)
        add_findings(all, rank);
    char *text = json_dumps(rank, JSON_COMPACT);
    json_decref(rank);
    return text;
}

static char *describe_world(const probe *all)
{
    const char *hdf5_failed = *all->hdf5_failed ? all->hdf5_failed : NULL,
               *engine_failed = *all->engine_failed ? all->engine_failed : NULL;
    json_t *world = json_pack("{si si sb sb sO* sO* ss* ss*}", "size", (int)all->comm->size, "node_count",
                              (int)all->comm->node_count, "tells_losses", all->comm->tells_losses, "is_shared",
                              all->is_shared, "exchange", all->exchange, "hdf5", all->hdf5, "hdf5_failed", hdf5_failed,
                              "engine_failed", engine_failed);
    char *text = world ? json_dumps(world, JSON_COMPACT) : NULL;
    json_decref(world);
    return text;
}

static void say_all(const probe *all, const char *texts, size_t bytes)
{
    for (const char *text = texts; text < texts + bytes; text += strlen(text) + 1)
        quern_probe_say_long(PROBE_RANK, text);
    char *world = describe_world(all);
    if (!world)
        give_up("no memory for a report");
    quern_probe_say_long(PROBE_WORLD, world);
    free(world);
}

static void report(const probe *all)
{
    qn_error error = {0};
    void *texts = NULL;
    size_t bytes = 0;
    char *mine = describe_rank(all);
    if (!mine)
        give_up("no memory for a report");
    quern_probe_say(PROBE_STEP, "the report");
    must(qn_comm_collect(all->comm, mine, strlen(mine) + 1, &texts, &bytes, &error), &error);
    if (all->comm->rank == 0) {
        qn_clock_sleep(PROBE_SETTLE_NS);
        say_all(all, texts, bytes);
        qn_clock_sleep(PROBE_SETTLE_NS);
    }
    must(qn_comm_agree(all->comm, &error), &error); /* until then nobody else says anything */
    free(texts);
    free(mine);
}

static void end(probe *all)
{
    quern_probe_say(PROBE_STEP, "the end of MPI");
    json_decref(all->exchange);
    json_decref(all->hdf5);
    if (all->has_engine)
        qn_engine_destroy(&all->engine);
    else
        qn_comm_destroy(all->comm);
    quern_probe_say(PROBE_DONE, "-");
}

static int say_about(void)
{
    json_t *about = quern_probe_about();
    if (!about || json_dumpf(about, stdout, JSON_COMPACT) != 0 || putchar('\n') == EOF)
        return STATUS_FAILED;
    json_decref(about);
    return 0;
}

int main(int argc, char **argv)
{
    static probe all;
    if (argc == 2 && strcmp(argv[1], "--about") == 0)
        return say_about();
    say_begun();
    read_options(&all, &argc, argv);
    begin(&all);
    exchange(&all);
    share_file(&all);
    set_up(&all);
    report(&all);
    end(&all);
    return 0;
}
