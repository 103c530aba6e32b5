/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern/status.h: the one status type of the library.
 *
 * Every call that can fail returns a quern_status. Zero is success. A failed call changes nothing:
 * its outputs are untouched and its arguments are still the caller's. The text of the failure
 * (which file, which byte, which rank, which system error) is kept in the context: see
 * quern_context_error_text() in quern/context.h.
 *
 *     quern_status status = quern_run(context);
 *     if (status != QUERN_OK)
 *         fprintf(stderr, "%s: %s\n", quern_status_name(status), quern_context_error_text(context));
 *
 * Limits: codes are frozen; new ones are added at the end of their group, never renumbered.
 */
#ifndef QUERN_STATUS_H
#define QUERN_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The only list of failures: X(name, code, scope, text). The scope says what is lost by the failure:
 * CALL (only this call), JOB (the run ended without output), CONTEXT (nothing more can be done with it).
 */
#define QUERN_STATUS_LIST(X)                                                                                           \
    X(INVALID_ARGUMENT, 1, CALL, "an argument is outside of what the header allows")                                   \
    X(NO_MEMORY, 2, CALL, "the system refused memory")                                                                 \
    X(INVALID_OPTION, 3, CALL, "an option is unknown or its value cannot be used")                                     \
    X(INVALID_PLAN, 4, CALL, "the graph of datasets does not fit together")                                            \
    X(PLAN_MISMATCH, 5, JOB, "the ranks built different graphs or options")                                            \
    X(INPUT, 20, JOB, "an input cannot be listed, opened or read")                                                     \
    X(OUTPUT, 21, JOB, "an output cannot be written")                                                                  \
    X(OUTPUT_EXISTS, 22, JOB, "the output directory exists and is not empty")                                          \
    X(CORRUPT, 23, JOB, "data failed its checksum or cannot be decoded")                                               \
    X(SCRATCH, 24, JOB, "the scratch directory cannot be used")                                                        \
    X(RECORD_TOO_LARGE, 25, JOB, "a record exceeds the limit on its size")                                             \
    X(BAD_RECORDS, 26, JOB, "more records were bad than may be")                                                       \
    X(CHECKPOINT, 27, JOB, "the checkpoint cannot be used")                                                            \
    X(SUSPENDED, 28, JOB, "the job was told to end, or its time was over; it can be gone on with")                     \
    X(NOT_RUN, 29, JOB, "only the plan was asked for: nothing ran")                                                    \
    X(CALLBACK, 30, JOB, "a user callback reported failure")                                                           \
    X(BUDGET, 31, JOB, "the memory budget is too small for this job")                                                  \
    X(OVERFLOW, 32, JOB, "a built-in sum exceeded its limits")                                                         \
    X(IMBALANCE, 33, JOB, "records in, out and dropped do not add up: the result is not to be trusted")                \
    X(CHECK, 34, JOB, "a user callback broke what callbacks promise (found by the option check)")                      \
    X(LAUNCHER, 50, CONTEXT, "the program was not started as the environment promises")                                \
    X(MPI, 51, CONTEXT, "MPI reported an error")                                                                       \
    X(TOPOLOGY, 52, CONTEXT, "the machine's topology cannot be read")                                                  \
    X(SYSTEM, 53, CONTEXT, "the operating system refused a request")                                                   \
    X(INTERNAL, 99, CONTEXT, "an internal error: please report it")

#define QUERN_STATUS_ENUMERATOR(name, code, scope, text) QUERN_ERROR_##name = (code),
typedef enum quern_status { QUERN_OK = 0, QUERN_STATUS_LIST(QUERN_STATUS_ENUMERATOR) } quern_status;
#undef QUERN_STATUS_ENUMERATOR

#if defined(__GNUC__)
#define QUERN_API __attribute__((visibility("default")))
#else
#define QUERN_API
#endif

/* The enumerator's name ("QUERN_ERROR_INPUT"), for logs. Local, any thread, cannot fail; an unknown
 * code gives "QUERN_ERROR_UNKNOWN". The text is static. Since 0.1. */
QUERN_API const char *quern_status_name(quern_status status);

/* One line in plain words ("an input cannot be listed, opened or read"). Local, any thread, cannot
 * fail. The text is static. Since 0.1. See also quern_context_error_text(). */
QUERN_API const char *quern_status_text(quern_status status);

/* What a program is to exit with after its last run: 0 for QUERN_OK, and for QUERN_ERROR_NOT_RUN, which was asked for; 75 for QUERN_ERROR_SUSPENDED, by which scripts and
 * batch systems know that the same command with the option resume goes on; 74 for QUERN_ERROR_CORRUPT, which is no error of the program or its input, so that
 * the same command may succeed (`quern run` starts it again); else 1. Local, any thread, cannot fail. Since 0.1. */
QUERN_API int quern_exit_status(quern_status status);

#ifdef __cplusplus
}
#endif
#endif
