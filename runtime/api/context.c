/* SPDX-License-Identifier: BSD-3-Clause */
#include <quern/broadcast.h>
#include <quern/context.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/api/context_internal.h"

static _Thread_local qn_orphan last_orphan = {.size = 1};

qn_orphan *qn_orphan_get(void)
{
    return &last_orphan;
}

quern_status qn_context_check(const quern_context *context)
{
    if (context)
        return context->running ? QUERN_ERROR_INVALID_ARGUMENT : QUERN_OK;
    return last_orphan.error.status != QUERN_OK ? last_orphan.error.status : QUERN_ERROR_INVALID_ARGUMENT;
}

static void forget_orphan(void)
{
    qn_comm_destroy(last_orphan.comm);
    last_orphan = (qn_orphan){.size = 1};
}

/* A context on a communicator; takes it in any case. options_error: what reading the options gave on this rank. Every rank comes
 * here, so that all of them learn of a failure on one. */
static quern_status create_on_comm(qn_comm *comm, const quern_options *options, qn_error *error,
                                   quern_context **context_out)
{
    quern_context *context = NULL;
    last_orphan.rank = comm->rank;
    last_orphan.size = comm->size;
    if (error->status == QUERN_OK && !(context = calloc(1, sizeof *context)))
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a context");
    quern_status status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = qn_engine_create(&context->engine, comm, options, error);
    if (status != QUERN_OK) {
        free(context);
        last_orphan.comm = comm;
        return status;
    }
    qn_graph_init(&context->graph);
    context->graph.node_local = context->engine.settings.node_local;
    *context_out = context;
    return QUERN_OK;
}

static quern_status create(const quern_options *options, int *argc, char **argv, const void *mpi_comm,
                           quern_context **context_out)
{
    qn_error *error = &last_orphan.error;
    qn_error read_error = {0};
    quern_options given, merged;
    qn_comm *comm = NULL;
    forget_orphan();
    quern_options_init(&merged);
    /* A failure in reading options waits until the ranks can agree on it. */
    if (qn_options_read(&given, options, &read_error) == QUERN_OK && argc && argv)
        qn_options_take(&given, argc, argv, &read_error);
    if (read_error.status == QUERN_OK)
        qn_options_merge(&merged, &given, &read_error);
    qn_comm_start start = {.mpi_comm = mpi_comm, .singleton = merged.singleton == QUERN_ON};
    quern_status status = qn_comm_create(&start, &comm, error);
    if (status != QUERN_OK)
        return status;
    *error = read_error;
    if (start.singleton && !comm->in_host && comm->size > 1)
        qn_error_set(error, QUERN_ERROR_LAUNCHER, 0,
                     "singleton: a launcher started %u processes, which would run as many jobs: start the program "
                     "without mpirun or srun, or leave the option out",
                     comm->size);
    return create_on_comm(comm, &merged, error, context_out);
}

static quern_status refuse(const char *what)
{
    last_orphan = (qn_orphan){.size = 1};
    return qn_error_set(&last_orphan.error, QUERN_ERROR_INVALID_ARGUMENT, 0, "%s", what);
}

quern_status quern_context_create(int *argc, char **argv, const quern_options *options, quern_context **context_out)
{
    if (!context_out)
        return refuse("context create: the place for the context is NULL");
    return create(options, argc, argv, NULL, context_out);
}

quern_status quern_context_create_on(MPI_Comm comm, const quern_options *options, quern_context **context_out)
{
    if (!context_out)
        return refuse("context create: the place for the context is NULL");
    if (comm == MPI_COMM_NULL)
        return refuse("context create: the communicator is MPI_COMM_NULL");
    return create(options, NULL, NULL, &comm, context_out);
}

void quern_context_destroy(quern_context *context)
{
    if (!context) {
        forget_orphan();
        return;
    }
    while (context->shared)
        quern_shared_free(context->shared);
    qn_engine_destroy(&context->engine); /* which keeps results of nodes */
    qn_graph_fini(&context->graph);
    qn_pairings_destroy(context->pairings);
    free(context);
}

int quern_context_rank(const quern_context *context)
{
    return (int)(context ? context->engine.comm->rank : last_orphan.rank);
}

int quern_context_size(const quern_context *context)
{
    return (int)(context ? context->engine.comm->size : last_orphan.size);
}

const char *quern_context_error_text(const quern_context *context)
{
    if (!context)
        return last_orphan.error.text;
    /* What building failed with since the last run is newer than what that run failed with. */
    return context->build_error.status != QUERN_OK ? context->build_error.text : context->error.text;
}
