/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/api/context_internal.h: what the public calls share. */
#ifndef QN_API_CONTEXT_INTERNAL_H
#define QN_API_CONTEXT_INTERNAL_H

#include "runtime/engine/engine.h"

struct quern_dataset {
    struct quern_context *context;
    qn_node *node;
    qn_node *aggregation; /* of which node is the finish: both are one operator to the user; else NULL */
    struct quern_dataset *next;
};

struct quern_context {
    qn_engine engine;
    qn_graph graph;
    struct quern_counter *counters; /* in the graph's arena */
    struct quern_shared *shared;    /* all that was broadcast and is not freed */
    struct qn_pairing *pairings;    /* of all datasets of pairs */
    qn_error error;                 /* of the last call that failed */
    qn_error build_error;           /* the first failure in building the graph since the last run */
    bool running;
    bool is_explained; /* the plan of the first run was shown, where nothing is to be run */
};

/* What calls without a context failed with last, on this thread. */
typedef struct qn_orphan {
    qn_error error;
    uint32_t rank, size;
    qn_comm *comm; /* of a create that failed, until its caller had time to speak: destroying it may end other ranks */
} qn_orphan;

qn_orphan *qn_orphan_get(void);

/* Whether a call may use the context: not without one, which gives the status of the create that failed, nor from within a callback of a run. */
quern_status qn_context_check(const quern_context *context);

/* In the place of a run: shows its plan. Always fails, with QUERN_ERROR_NOT_RUN where nothing else does. Collective. */
quern_status qn_explain_only(quern_context *context, qn_error *error);

/* What datasets of pairs need as long as they are there. Takes NULL. */
void qn_pairings_destroy(struct qn_pairing *pairing);

/* Reads a sized struct of the caller's into `to`, the library's own, [to_bytes] and zeroed: what is missing in a shorter one stays
 * zero. first_bytes: its size in the first version that had it. NULL is all defaults. QUERN_ERROR_INVALID_ARGUMENT, the text
 * beginning with `what` and ending in `remedy`, if struct_size is no size of a version, or a longer struct asks for
 * something that is not known here. */
quern_status qn_struct_read(void *to, size_t to_bytes, size_t first_bytes, const void *from, const char *what,
                            const char *remedy, qn_error *error);

/* The same for quern_options. */
quern_status qn_options_read(quern_options *to, const quern_options *from, qn_error *error);

/* Defaults, then the environment, then the caller's fields; argv was read into those already. */
quern_status qn_options_merge(quern_options *merged_out, const quern_options *given, qn_error *error);

/* Reads --quern-… out of argv with an error text of the caller's. */
quern_status qn_options_take(quern_options *options, int *argc, char **argv, qn_error *error);

#endif
