/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/api/dataset_internal.h: what the files that build datasets share. */
#ifndef QN_API_DATASET_INTERNAL_H
#define QN_API_DATASET_INTERNAL_H

#include "runtime/api/context_internal.h"

/* The first failure of building is what quern_run() will tell. */
qn_error *qn_dataset_error_of(quern_context *context);
/* NULL for NULL. */
quern_dataset *qn_dataset_wrap(quern_context *context, qn_node *node);
/* Notes an invalid argument; returns NULL. */
quern_dataset *qn_dataset_refuse(quern_context *context, const char *what);
/* Whether both are there, and of one context; what: the operator, for the message. */
bool qn_dataset_are_together(const quern_dataset *left, const quern_dataset *right, const char *what);
/* Whether all paths are there; what: the call, for the message. */
bool qn_dataset_check_paths(quern_context *context, const char *const *paths, size_t path_count, const char *what);

/* A reduction by callbacks, where records are combined as they come. schema: of the result. */
quern_dataset *qn_dataset_combine(quern_dataset *in, const qn_reducer *reducer, const quern_schema *schema);
/* The same by groups: all values of a key come to one rank, and are combined as its group is read, where callbacks can run apart from the
 * rank. */
quern_dataset *qn_dataset_fold(quern_dataset *in, const qn_reducer *reducer, const quern_schema *schema);

#endif
