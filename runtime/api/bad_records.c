/* SPDX-License-Identifier: BSD-3-Clause */
#include <quern/bad_records.h>

#include "runtime/api/dataset_internal.h"

quern_dataset *quern_tolerate(quern_dataset *dataset, quern_bad_policy policy, uint64_t bad_count_max)
{
    if (!dataset)
        return NULL;
    quern_context *context = dataset->context;
    qn_node *node = dataset->node;
    bool has_bound = policy == QUERN_BAD_SKIP || policy == QUERN_BAD_QUARANTINE;
    if (node->kind > QN_NODE_FILES)
        return qn_dataset_refuse(context, "tolerate: the dataset is not what a source gives");
    if ((unsigned)policy > QUERN_BAD_QUARANTINE)
        return qn_dataset_refuse(context, "tolerate: the policy is none of quern_bad_policy");
    if (has_bound && bad_count_max == 0)
        return qn_dataset_refuse(context, "tolerate: the bound must be above 0");
    node->bad = (qn_bad_limit){policy, has_bound ? bad_count_max : 0};
    uint64_t noted[] = {node->number, policy, bad_count_max};
    qn_graph_note_bytes(&context->graph, noted, sizeof noted);
    return dataset;
}
