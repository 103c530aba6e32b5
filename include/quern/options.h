/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern/options.h: what can be set, in one table.
 *
 * Each option has a field in quern_options, an environment variable QUERN_<NAME> and an argument
 * --quern-<name>=VALUE (or --quern-<name> VALUE). An argument wins over the field, the field over the environment,
 * the environment over the default. Zero (or NULL) in a field means: not set here.
 *
 *     quern_options options;
 *     quern_options_init(&options);
 *     options.memory_bytes = UINT64_C(8) << 30;
 *     options.report_path = "report.json";
 *
 * Limits: the struct grows only at its end, and struct_size says how much of it the caller knows. Fields behind it are not
 * set; a struct_size below that of version 0.1, 0 for one, is refused, and so is a struct longer than the library's with
 * something set in what the library does not know.
 */
#ifndef QUERN_OPTIONS_H
#define QUERN_OPTIONS_H

#include <quern/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum quern_switch {
    QUERN_AUTO = 0, /* not set here; where nothing is set, the library decides */
    QUERN_ON = 1,
    QUERN_OFF = 2,
    QUERN_DEFAULT = 3, /* the library decides, whatever the environment says: what the argument auto gives */
} quern_switch;

typedef enum quern_explain_form {
    QUERN_EXPLAIN_NOT_SET = 0,  /* in options; where nothing is set, off */
    QUERN_EXPLAIN_TEXT = 1,     /* lines for people */
    QUERN_EXPLAIN_DOT = 2,      /* a graph for Graphviz's dot */
    QUERN_EXPLAIN_OFF = 3,      /* in options: no plan, whatever the environment says */
    QUERN_EXPLAIN_ONLY = 4,     /* in options: as text, and nothing is run: quern_run() gives QUERN_ERROR_NOT_RUN */
    QUERN_EXPLAIN_ONLY_DOT = 5, /* the same as a graph */
} quern_explain_form;

/*
 * The only list of options: X(field, C type, name, kind, default, help).
 * Kinds: SIZE (bytes; K, M, G, T suffixes, powers of 1024), TIME (seconds; ms, s, m, h, d suffixes; milliseconds in the field), COUNT, SWITCH (auto, on, off), TEXT, FORM (off, text, dot, only, only-dot).
 */
#define QUERN_OPTION_LIST(X)                                                                                           \
    X(memory_bytes, uint64_t, "memory", SIZE, "70% of what the node allows",                                           \
      "memory that all ranks of a node may use together for data")                                                     \
    X(scratch_dir, const char *, "scratch", TEXT, "$SLURM_TMPDIR, $TMPDIR or /var/tmp",                                \
      "directory for spill files; local disk is best")                                                                 \
    X(report_path, const char *, "report", TEXT, "none", "write the job report (JSON) to this file")                   \
    X(log_path, const char *, "log", TEXT, "none", "append log lines to this file; - is standard error")               \
    X(job_dir, const char *, "job", TEXT, "none",                                                                      \
      "directory for report, log and status, where these have no path of their own; on a file system that all nodes "  \
      "see")                                                                                                           \
    X(progress, quern_switch, "progress", SWITCH, "off", "show progress on standard error of rank 0")                  \
    X(pin, quern_switch, "pin", SWITCH, "on, but off inside a host application",                                       \
      "bind each worker to a core of its own")                                                                         \
    X(split_bytes, uint64_t, "split-bytes", SIZE, "by input size, 1M to 64M", "input of one task")                     \
    X(attempt_count_max, uint64_t, "attempts", COUNT, "4", "attempts of a task before the job fails, 1 to 8")          \
    X(record_bytes_max, uint64_t, "record-bytes", SIZE, "an eighth of a rank's memory, at most 1G",                    \
      "the longest record; a longer one fails the job")                                                                \
    X(round_bytes, uint64_t, "round-bytes", SIZE, "by memory, 64K to 4M", "what a rank sends in one shuffle round")    \
    X(singleton, quern_switch, "singleton", SWITCH, "off",                                                             \
      "run on one rank without MPI, though the environment promises more; not under mpirun")                           \
    X(explain, quern_explain_form, "explain", FORM, "off",                                                             \
      "show the plan of each run, with its figures, on standard error of rank 0; only: show that of the first, and "   \
      "run nothing")                                                                                                   \
    X(check, quern_switch, "check", SWITCH, "off",                                                                     \
      "call callbacks more than once, and name the operator that breaks what callbacks promise; slow")                 \
    X(crash_report, quern_switch, "crash-report", SWITCH, "on, but off inside a host application",                     \
      "tell what a rank worked on when a signal ends it, on its standard error")                                       \
    X(shared_memory, quern_switch, "shared-memory", SWITCH, "on",                                                      \
      "hold what is broadcast once a node; off: once a rank")                                                          \
    X(broadcast_bytes, uint64_t, "broadcast", SIZE, "256M",                                                            \
      "join by sending a side of at most so much input to every node; 1: never")                                       \
    X(bad_records, const char *, "bad-records", TEXT, "fail",                                                          \
      "bad records of sources: fail, skip:N or quarantine:N, where more than N fail the job")                          \
    X(quarantine_dir, const char *, "quarantine", TEXT, "none",                                                        \
      "directory for what bad-records sets apart; absent or empty")                                                    \
    X(checkpoint_dir, const char *, "checkpoint", TEXT, "none",                                                        \
      "directory for what a job that dies can go on from; on a file system that all nodes see")                        \
    X(resume, quern_switch, "resume", SWITCH, "off",                                                                   \
      "go on from what is in the checkpoint, if anything is; else a checkpoint must be empty")                         \
    X(checkpoint_every_ms, uint64_t, "checkpoint-every", TIME, "by cost and node-mtbf",                                \
      "how often to save within a stage; the end of every stage is saved then, too")                                   \
    X(node_mtbf_ms, uint64_t, "node-mtbf", TIME, "30d",                                                                \
      "mean time between failures of a node, by which it is decided how often to save")                                \
    X(deadline_ms, uint64_t, "deadline", TIME, "SLURM's, or none",                                                     \
      "time from the start on before whose end what there is is saved, and the job ends with QUERN_ERROR_SUSPENDED")   \
    X(isolate, quern_switch, "isolate", SWITCH, "off",                                                                 \
      "run the callbacks of operators in processes of their own: a crash costs an attempt, not the job")               \
    X(task_timeout_s, uint64_t, "task-timeout", COUNT, "none",                                                         \
      "seconds that a callback may take for a record, or between 512 that it emits")                                   \
    X(hang_warning_ms, uint64_t, "hang-warning", TIME, "1m",                                                           \
      "time without a sign of life of a rank after which the others say what it did last")                             \
    X(hang_timeout_ms, uint64_t, "hang-timeout", TIME, "20m, but never inside a host application",                     \
      "time without a sign of life of a rank after which the job ends, with exit status 76")                           \
    X(encrypt, const char *, "encrypt", TEXT, "none",                                                                  \
      "encrypt what is spilled and saved with the key in this file, which only its owner may read")                    \
    X(verify_network, quern_switch, "verify-network", SWITCH, "on between nodes",                                      \
      "checksums of what ranks send each other in shuffles, compared before it is used")                               \
    X(recover, quern_switch, "recover", SWITCH, "where MPI can, but not inside a host application",                    \
      "when a rank dies, the others go on without it, from the checkpoint if there is one")                            \
    X(speculate, quern_switch, "speculate", SWITCH, "where it pays",                                                   \
      "near the end of a stage, idle ranks take over from slow ones; on: from whoever has work left")                  \
    X(shuffle_levels, uint64_t, "shuffle-levels", COUNT, "by nodes and sizes of messages",                             \
      "1: ranks send each other what they shuffle; 2: first within a node, then between nodes")                        \
    X(shuffle_compression, quern_switch, "shuffle-compression", SWITCH, "where it pays",                               \
      "compress what is shuffled to other nodes; where it pays is measured")                                           \
    X(node_local, const char *, "node-local", TEXT, "none",                                                            \
      "paths, divided by colons, below which each node has files of its own, which are read there and all are input")  \
    X(task_batch, uint64_t, "task-batch", COUNT, "by the load of rank 0",                                              \
      "tasks that a rank is given, and tells of, at once, where there are enough")

typedef struct quern_options {
    size_t struct_size; /* sizeof(quern_options): set by quern_options_init() */
#define QUERN_OPTION_FIELD(field, type, name, kind, standard, help) type field;
    QUERN_OPTION_LIST(QUERN_OPTION_FIELD)
#undef QUERN_OPTION_FIELD
} quern_options;

/* Sets every field to "not set". Local, any thread, cannot fail. Since 0.1. Read next: quern_context_create(). */
QUERN_API void quern_options_init(quern_options *options);

/* Takes all --quern-… arguments out of argv[1 … *argc - 1] into options, keeping the order of the others and stopping
 * at "--". Local. Texts are borrowed from argv. QUERN_ERROR_INVALID_OPTION for an unknown name or a value that does
 * not parse; QUERN_ERROR_INVALID_ARGUMENT for NULL, and for options without quern_options_init(). Text by
 * quern_context_error_text(NULL); argc, argv and options are then unchanged. Since 0.1. */
QUERN_API quern_status quern_options_read_argv(quern_options *options, int *argc, char **argv);

/* The table of options as text for --help, a line each. Local, any thread, cannot fail. Static. Since 0.1. */
QUERN_API const char *quern_options_help(void);

#ifdef __cplusplus
}
#endif
#endif
