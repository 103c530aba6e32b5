/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reductions by callbacks of the user's that run in processes of their own. Where records are combined as they come, a callback is called in the
 * middle of the rank's tables, millions of times a second; there is no other process in which that could be. So all values of a key
 * are brought together, as for a group, and the callback of that group, which may run elsewhere, is the fold below.
 */
#include <string.h>

#include "runtime/api/dataset_internal.h"

static int fold(quern_span key, quern_values *values, quern_emitter *out, void *user)
{
    const qn_reducer *reducer = user;
    uint64_t held[QUERN_FIXED_BYTES_MAX / 8] = {0}, next[QUERN_FIXED_BYTES_MAX / 8] = {0};
    quern_span value;
    int code = reducer->init ? reducer->init(held, reducer->user) : 0, more = 0;
    for (bool is_first = true; code == 0 && (more = quern_values_next(values, &value)) > 0; is_first = false) {
        if (reducer->accumulate) {
            code = reducer->accumulate(held, value, reducer->user);
            continue;
        }
        memcpy(is_first ? held : next, value.data, reducer->value_bytes);
        if (!is_first)
            code = reducer->fn(held, next, reducer->user);
    }
    if (code != 0 || more < 0)
        return code != 0 ? code : more;
    return quern_emit(out, key, (quern_span){held, reducer->value_bytes});
}

quern_dataset *qn_dataset_fold(quern_dataset *in, const qn_reducer *reducer, const quern_schema *schema)
{
    qn_reducer *copy = qn_arena_copy(&in->context->graph.arena, reducer, sizeof *reducer);
    if (!copy) {
        qn_error_set(qn_dataset_error_of(in->context), QUERN_ERROR_NO_MEMORY, 0, "no memory for a reduction");
        return NULL;
    }
    return quern_name(quern_group_by_key(in, *schema, fold, copy, NULL), "reduce by key");
}
