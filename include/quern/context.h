/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern/context.h: the library on a set of ranks; the only header that knows mpi.h.
 *
 *     quern_context *context = NULL;
 *     quern_status status = quern_context_create(&argc, argv, NULL, &context);
 *     if (status != QUERN_OK && quern_context_rank(NULL) == 0)
 *         fprintf(stderr, "%s\n", quern_context_error_text(NULL));
 *     quern_context_destroy(context);
 *
 * Limits and caveats. The library never prints (unless options.progress, options.explain or options.log_path ask for it; a program of its own asks for
 * the events, quern/events.h) and never exits. It touches MPI_COMM_WORLD only in quern_context_create(). While quern_run() works, a helper thread
 * may call MPI when a user callback takes long; so callbacks may call MPI themselves only if MPI was initialised
 * with MPI_THREAD_MULTIPLE. With less than MPI_THREAD_SERIALIZED there is no helper thread, and a callback that takes
 * minutes stalls the shuffle of the other ranks for that long.
 */
#ifndef QUERN_CONTEXT_H
#define QUERN_CONTEXT_H

#ifndef OMPI_SKIP_MPICXX
#define OMPI_SKIP_MPICXX 1
#endif
#ifndef MPICH_SKIP_MPICXX
#define MPICH_SKIP_MPICXX 1
#endif
#include <mpi.h>
#include <quern/options.h>
#include <quern/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quern_context quern_context;

/* Starts the library in a job binary. Takes --quern-… arguments out of argc and argv (both NULL: none), then, when
 * a launcher started several ranks, initialises MPI if nobody has and works on a duplicate of MPI_COMM_WORLD; without a
 * launcher it works on this one process and leaves MPI alone.
 * Collective over MPI_COMM_WORLD; from the thread that will call quern_run(). options: borrowed during the call, NULL
 * is all defaults. The caller owns *context_out until quern_context_destroy().
 * QUERN_ERROR_INVALID_OPTION: correct the option. QUERN_ERROR_INVALID_ARGUMENT: options need quern_options_init()
 * first. QUERN_ERROR_LAUNCHER: the environment says that there are more
 * ranks than MPI sees: start with mpirun or srun --mpi=pmix; or a launcher started several processes and singleton is on:
 * leave one of the two out. QUERN_ERROR_BUDGET: raise the memory option. QUERN_ERROR_MPI,
 * QUERN_ERROR_TOPOLOGY, QUERN_ERROR_NO_MEMORY: the text says which. Same status on all ranks. Since 0.1. */
QUERN_API quern_status quern_context_create(int *argc, char **argv, const quern_options *options,
                                            quern_context **context_out);

/* Starts the library inside a program that runs MPI already, on a duplicate of its communicator. Binding of
 * threads is left alone unless options.pin is QUERN_ON, and so are handlers of signals unless options.crash_report is: see docs/howto/in-situ.md. Collective over comm. Ownership, errors and thread as above;
 * comm is borrowed during the call. MPI must be initialised: else QUERN_ERROR_INVALID_ARGUMENT. Since 0.1. */
QUERN_API quern_status quern_context_create_on(MPI_Comm comm, const quern_options *options,
                                               quern_context **context_out);

/* Ends it: frees every dataset and counter of the context, restores the thread's binding, finalises MPI if Quern
 * initialised it. Collective. NULL: ends what a quern_context_create() of this thread that failed has left of MPI, so call it then too, after
 * rank 0 said why: a rank that leaves MPI with an exit code may take the others along. Cannot fail. Since 0.1. */
QUERN_API void quern_context_destroy(quern_context *context);

/* This process's rank and the number of ranks. Local, cannot fail. NULL: the rank in the last
 * quern_context_create() of this thread that failed (0 and 1 if none). Since 0.1. */
QUERN_API int quern_context_rank(const quern_context *context);

/* The number of ranks of the context. Local, cannot fail; see quern_context_rank() for NULL. Since 0.1. */
QUERN_API int quern_context_size(const quern_context *context);

/* What failed last, in one line, with file, position, rank and system error as far as known; "" if nothing did.
 * Local, cannot fail. NULL: about the last call of this thread that had no context to tell. Borrowed until the next call on the context. Since 0.1. */
QUERN_API const char *quern_context_error_text(const quern_context *context);

#ifdef __cplusplus
}
#endif
#endif
