/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/settings.h: options with everything decided, and the memory of a rank dealt out.
 *
 * A rank's budget is the node's divided by its ranks. Of it go: what the program has broadcast; the reader and the operators; the rows that top k keeps, and the records
 * that are collected for the program; what is kept of earlier runs; and the rest is shared among the results that exist at the same time. Each has of its share: the buffers of the shuffle's
 * rounds; the blocks that a merge of spilled runs reads; and the rest is the pool of its tables.
 */
#ifndef QN_ENGINE_SETTINGS_H
#define QN_ENGINE_SETTINGS_H

#include <quern/bad_records.h>
#include <quern/options.h>
#include <stdbool.h>

#include "runtime/base/cipher.h"
#include "runtime/comm/comm.h"
#include "runtime/data/spill.h"

/* Of what the node allows, by default: the rest is the system's and the page cache's. */
#define QN_SETTINGS_MEMORY_PERCENT 70

typedef struct qn_settings {
    uint64_t node_memory_bytes;
    const char *memory_source; /* what decided it; static */
    bool memory_is_machines;   /* all that the machine has, which nothing but itself limits */
    uint64_t rank_memory_bytes;
    uint64_t least_rank_memory_bytes; /* of all ranks: for what must be the same everywhere */
    uint64_t least_node_memory_bytes; /* the same of all nodes */
    uint64_t broadcast_bytes;         /* of the input of a side of a join that may be a table; the same everywhere */
    uint64_t round_bytes;             /* as asked for, within bounds; 0: by memory */
    uint64_t record_bytes_max;
    uint64_t split_bytes; /* 0: by the input */
    uint32_t attempt_count_max;
    char *scratch_dir;           /* owned */
    char *node_local;            /* owned; NULL: no paths are on nodes */
    char *job_dir;               /* owned; NULL: none */
    char *report_path;           /* owned; NULL: none */
    char *log_path;              /* owned; NULL: none */
    quern_bad_policy bad_policy; /* of sources that have none; those of rank 0 */
    uint64_t bad_count_max;
    char *quarantine_dir; /* owned; NULL: none */
    char *checkpoint_dir; /* owned; NULL: none */
    qn_cipher *cipher;    /* owned; NULL: what is spilled and saved is as it is */
    bool resumes;
    uint64_t checkpoint_every_ns; /* 0: by cost and failures */
    uint64_t node_failure_ns;     /* mean time between failures of a node */
    uint64_t
        deadline_ns; /* by qn_clock_ns() of this node; 0: none; after qn_settings_unify() one moment for all ranks */
    quern_explain_form explain;
    bool show_progress;
    bool only_explains;               /* nothing is to be run; the same everywhere */
    bool shows_ranks;                 /* somebody wants to see them while they work; the same everywhere */
    bool is_seen;                     /* some rank is to write a report or a job directory; the same everywhere */
    bool check;                       /* callbacks */
    quern_switch verify_network;      /* QUERN_AUTO: where there are several nodes */
    uint32_t shuffle_levels;          /* 0: by nodes and sizes of messages */
    quern_switch shuffle_compression; /* QUERN_AUTO: where it pays */
    bool recovers;                    /* from the loss of ranks */
    uint32_t task_batch;              /* 0: by the load of rank 0 */
    quern_switch speculate;           /* AUTO: where it seems to pay; ON: wherever a rank has nothing to do */
    bool pin;
    bool tells_crash;         /* when a signal ends it */
    bool isolate;             /* callbacks run in a process of their own */
    uint64_t task_timeout_ns; /* of a callback that neither comes back nor emits; 0: none */
    uint64_t hang_warning_ns; /* of a rank that shows no sign of life */
    uint64_t hang_timeout_ns; /* the job ends; 0: never */
    bool hang_in_callback;    /* a callback that sleeps is such a rank */
    bool shares_memory;       /* this rank may: one copy a node of what is broadcast */
    uint64_t held_bytes;      /* this rank's part of what the program has broadcast: set apart */
} qn_settings;

/* Decides. Local, but the same on all ranks of a node with the same options. QUERN_ERROR_BUDGET, QUERN_ERROR_INVALID_OPTION,
 * QUERN_ERROR_SYSTEM, QUERN_ERROR_NO_MEMORY. */
quern_status qn_settings_resolve(qn_settings *settings, const quern_options *options, const qn_comm *comm,
                                 qn_error *error);
/* So many nodes of the job are on this machine: what it has of memory, if that decided, is divided. As resolve. */
quern_status qn_settings_divide_machine(qn_settings *settings, const quern_options *options, const qn_comm *comm,
                                        uint32_t node_count, qn_error *error);
/* What all ranks must do alike, though their options or their nodes' memory may differ; tells comm how to exchange. Collective.
 * QUERN_ERROR_INVALID_OPTION. */
quern_status qn_settings_unify(qn_settings *settings, qn_comm *comm, qn_error *error);
void qn_settings_fini(qn_settings *settings); /* takes a zeroed one, and one that could not be resolved */

/* Where all that does not fit memory goes. Borrowed from the settings. */
static inline qn_scratch qn_settings_get_scratch(const qn_settings *settings)
{
    return (qn_scratch){settings->scratch_dir, settings->cipher};
}

/* What one reduction gets. */
typedef struct qn_memory_share {
    uint64_t pool_bytes;
    uint64_t round_bytes; /* the same on all ranks */
    uint64_t block_bytes;
} qn_memory_share;

/* The share of each of live_count reductions that exist at the same time, beside kept_bytes of rows that top k keeps and of records that
 * are collected. Local.
 * QUERN_ERROR_BUDGET names what would be enough. */
quern_status qn_settings_share(const qn_settings *settings, const qn_comm *comm, uint32_t live_count,
                               uint64_t kept_bytes, qn_memory_share *share_out, qn_error *error);
/* What results that are kept from earlier runs may take in memory, so that live_count reductions find room beside them: half of what there
 * is at most. The rest of them is spilled. */
uint64_t qn_settings_cached_bytes_max(const qn_settings *settings, const qn_comm *comm, uint32_t live_count,
                                      uint64_t kept_bytes);
/* What records of a block that wait for its end may take; the same on all ranks. */
uint64_t qn_settings_held_bytes_max(const qn_settings *settings);
/* What the rows of all top k of a run may take together. */
uint64_t qn_settings_kept_bytes_max(const qn_settings *settings);
/* What the collected records of a run may take together; more if it has no reduction. */
uint64_t qn_settings_collected_bytes_max(const qn_settings *settings, bool reduces);

#endif
