/* SPDX-License-Identifier: BSD-3-Clause */
/* Of link_run.h: a callback of vertices is called twice, for parts of a batch and for the whole, and must give the same. */
#include <stdlib.h>
#include <string.h>

#include "runtime/engine/link_run.h"

/* Columns of one batch: what the callback may change. */
typedef struct given {
    double *value, *send, *totals; /* [count], of totals [total_count][count] */
} given;

static int call_part(const qn_link_run *run, const quern_vertices *some, size_t from, size_t count)
{
    quern_vertices part = *some;
    double *totals[QUERN_TOTAL_COUNT_MAX];
    size_t failed = 0;
    for (uint32_t i = 0; i < run->program->total_count; i++)
        totals[i] = some->totals[i] + from;
    part.count = count;
    part.first += from;
    part.links += from;
    part.come += from;
    part.value += from;
    part.send += from;
    part.totals = totals;
    part.failed = &failed;
    int code = count > 0 ? run->program->step(&part, run->node->user) : 0;
    *some->failed = from + failed;
    return code;
}

/* What a callback leaves as it was is not the same the next time. */
static void clear(const qn_link_run *run, const quern_vertices *some, int byte)
{
    memset(some->send, byte, some->count * sizeof *some->send);
    for (uint32_t i = 0; i < run->program->total_count; i++)
        memset(some->totals[i], 0, some->count * sizeof *some->totals[i]);
}

static void keep(const qn_link_run *run, const quern_vertices *some, const given *to)
{
    size_t count = some->count;
    memcpy(to->value, some->value, count * sizeof *to->value);
    memcpy(to->send, some->send, count * sizeof *to->send);
    for (uint32_t i = 0; i < run->program->total_count; i++)
        memcpy(to->totals + i * count, some->totals[i], count * sizeof *to->totals);
}

static const char *difference(const qn_link_run *run, const quern_vertices *some, const given *before)
{
    size_t count = some->count, bytes = count * sizeof(double);
    if (memcmp(before->value, some->value, bytes) != 0)
        return "values";
    if (memcmp(before->send, some->send, bytes) != 0)
        return "what is sent";
    for (uint32_t i = 0; i < run->program->total_count; i++)
        if (memcmp(before->totals + i * count, some->totals[i], bytes) != 0)
            return "totals";
    return NULL;
}

static int call_twice(const qn_link_run *run, const quern_vertices *some, double *original, const given *before,
                      const char **different_out)
{
    size_t half = some->count / 2, bytes = some->count * sizeof *original;
    memcpy(original, some->value, bytes);
    clear(run, some, 0x7f);
    int code = call_part(run, some, 0, half);
    if (code == 0)
        code = call_part(run, some, half, some->count - half);
    if (code != 0)
        return code;
    keep(run, some, before);
    memcpy(some->value, original, bytes);
    clear(run, some, 0x3f);
    code = call_part(run, some, 0, some->count);
    if (code == 0)
        *different_out = difference(run, some, before);
    return code;
}

int qn_link_check(qn_link_run *run, const quern_vertices *some, qn_error *error)
{
    const char *different = NULL;
    double *memory = calloc((3 + (size_t)run->program->total_count) * some->count, sizeof *memory);
    if (!memory) {
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to check callbacks");
        return 0;
    }
    given before = {memory + some->count, memory + 2 * some->count, memory + 3 * some->count};
    int code = call_twice(run, some, memory, &before, &different);
    if (different)
        qn_error_set(error, QUERN_ERROR_CHECK, 0,
                     "the callback of '%s' does not give the same for the same: %s differ when vertices come in other "
                     "batches, in step %llu",
                     run->node->name, different, (unsigned long long)run->step);
    free(memory);
    return code;
}
