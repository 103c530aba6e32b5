/* SPDX-License-Identifier: BSD-3-Clause */
#include <quern/operators.h>

#include "runtime/api/context_internal.h"
#include "runtime/api/dataset_internal.h"

/* The first versions of the structs ended with their last fields. */
#define SORT_OPTIONS_FIRST_BYTES  sizeof(quern_sort_options)
#define GROUP_OPTIONS_FIRST_BYTES sizeof(quern_group_options)
#define JOIN_OPTIONS_FIRST_BYTES  sizeof(quern_join_options)

quern_dataset *quern_union(quern_dataset *left, quern_dataset *right)
{
    if (!qn_dataset_are_together(left, right, "union"))
        return NULL;
    return qn_dataset_wrap(left->context, qn_graph_add_union(&left->context->graph, left->node, right->node,
                                                             qn_dataset_error_of(left->context)));
}

static quern_dataset *collate(quern_dataset *in, const quern_dataset *other, const qn_collate *how)
{
    qn_error *error = qn_dataset_error_of(in->context);
    return qn_dataset_wrap(in->context,
                           qn_graph_add_collate(&in->context->graph, in->node, other ? other->node : NULL, how, error));
}

quern_dataset *quern_sort_by_key(quern_dataset *in, const quern_sort_options *options)
{
    quern_sort_options known = {.struct_size = sizeof known};
    if (!in)
        return NULL;
    if (qn_struct_read(&known, sizeof known, SORT_OPTIONS_FIRST_BYTES, options, "sort by key: options",
                       "set it to sizeof(quern_sort_options)", qn_dataset_error_of(in->context)) != QUERN_OK)
        return NULL;
    return collate(in, NULL,
                   &(qn_collate){.kind = known.compare ? QN_COLLATE_BY_USER : QN_COLLATE_BY_KEY,
                                 .descending = known.descending != 0,
                                 .divides_keys = known.whole_keys == 0,
                                 .compare_keys = known.compare,
                                 .user = known.user});
}

/* The operator that reads what is collated. */
static quern_dataset *add_grouping(quern_dataset *collated, const qn_node *draft)
{
    qn_node node = *draft;
    if (!collated)
        return NULL;
    node.input = collated->node;
    quern_context *context = collated->context;
    return qn_dataset_wrap(context, qn_graph_add_node(&context->graph, &node, qn_dataset_error_of(context)));
}

quern_dataset *quern_group_by_key(quern_dataset *in, quern_schema schema, quern_group_fn fn, void *user,
                                  const quern_group_options *options)
{
    quern_group_options known = {.struct_size = sizeof known};
    if (!in)
        return NULL;
    if (!fn)
        return qn_dataset_refuse(in->context, "group by key: the callback is NULL");
    if (qn_struct_read(&known, sizeof known, GROUP_OPTIONS_FIRST_BYTES, options, "group by key: options",
                       "set it to sizeof(quern_group_options)", qn_dataset_error_of(in->context)) != QUERN_OK)
        return NULL;
    quern_dataset *collated = collate(in, NULL,
                                      &(qn_collate){.kind = QN_COLLATE_BY_HASH,
                                                    .values_descending = known.values_descending != 0,
                                                    .compare_values = known.compare_values,
                                                    .user = known.compare_user});
    return add_grouping(quern_name(collated, "gather groups"),
                        &(qn_node){.kind = QN_NODE_GROUP, .schema = schema, .fn.group = fn, .user = user});
}

quern_dataset *quern_top_k_by_key(quern_dataset *in, uint64_t k)
{
    if (!in)
        return NULL;
    if (k == 0)
        return qn_dataset_refuse(in->context, "top k by key: k must be 1 or more");
    quern_dataset *collated = collate(in, NULL, &(qn_collate){.kind = QN_COLLATE_BY_HASH, .values_descending = true});
    return add_grouping(quern_name(collated, "gather groups"),
                        &(qn_node){.kind = QN_NODE_TOP_OF_KEY, .schema = in->node->schema, .of.k = k});
}

quern_dataset *quern_cogroup(quern_dataset *left, quern_dataset *right, quern_schema schema, quern_cogroup_fn fn,
                             void *user)
{
    if (!qn_dataset_are_together(left, right, "cogroup"))
        return NULL;
    if (!fn)
        return qn_dataset_refuse(left->context, "cogroup: the callback is NULL");
    quern_dataset *collated = collate(left, right, &(qn_collate){.kind = QN_COLLATE_BY_HASH});
    return add_grouping(quern_name(collated, "gather both sides"),
                        &(qn_node){.kind = QN_NODE_COGROUP, .schema = schema, .fn.cogroup = fn, .user = user});
}

quern_dataset *quern_join_with(quern_dataset *left, quern_dataset *right, quern_join_type type, quern_schema schema,
                               quern_join_fn fn, void *user, const quern_join_options *options)
{
    quern_join_options known = {.struct_size = sizeof known};
    if (!qn_dataset_are_together(left, right, "join"))
        return NULL;
    quern_context *context = left->context;
    qn_error *error = qn_dataset_error_of(context);
    if (!fn)
        return qn_dataset_refuse(context, "join: the callback is NULL");
    if (type < QUERN_JOIN_INNER || type > QUERN_JOIN_ANTI)
        return qn_dataset_refuse(context, "join: the type must be one of quern_join_type");
    if (qn_struct_read(&known, sizeof known, JOIN_OPTIONS_FIRST_BYTES, options, "join: options",
                       "set it to sizeof(quern_join_options)", error) != QUERN_OK)
        return NULL;
    quern_dataset *together =
        qn_dataset_wrap(context, qn_graph_add_join_input(&context->graph, left->node, right->node, type, known.strategy,
                                                         known.outer, error));
    return add_grouping(
        together,
        &(qn_node){.kind = QN_NODE_JOIN, .schema = schema, .fn.join = fn, .user = user, .of.join_type = type});
}

quern_dataset *quern_join(quern_dataset *left, quern_dataset *right, quern_join_type type, quern_schema schema,
                          quern_join_fn fn, void *user)
{
    return quern_join_with(left, right, type, schema, fn, user, NULL);
}
