/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/run_view.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "runtime/base/clock.h"

static qn_rank_view draw(const qn_engine *engine, uint64_t begin_ns, uint64_t end_ns)
{
    qn_rank_view mine = {.clock_error_ns = (uint64_t)engine->clock_error_ns};
    struct statvfs scratch;
    uint64_t here_begin_ns = begin_ns - (uint64_t)engine->clock_ahead_ns;
    uint64_t here_end_ns = end_ns - (uint64_t)engine->clock_ahead_ns;
    qn_timeline_draw(engine->timeline, here_begin_ns, here_end_ns, QN_VIEW_COLUMNS, mine.letters);
    qn_timeline_sum(engine->timeline, mine.ns);
    qn_timeline_draw_memory(engine->timeline, here_begin_ns, here_end_ns, QN_VIEW_MEMORY_COLUMNS, mine.memory_bytes);
    if (statvfs(engine->settings.scratch_dir, &scratch) == 0) {
        mine.scratch_bytes = (uint64_t)scratch.f_blocks * scratch.f_frsize;
        mine.scratch_free_bytes = (uint64_t)scratch.f_bavail * scratch.f_frsize;
    }
    return mine;
}

/* Each rank puts in the row of its group. */
static quern_status sum_exchange(qn_run_view *view, const qn_engine *engine, qn_error *error)
{
    uint32_t count = view->group_count, group = qn_rounds_group_of(engine->comm, engine->comm->rank);
    for (uint32_t to = 0; to < count; to++)
        view->bytes[(size_t)group * count + to] = engine->sent_group_bytes[to];
    return qn_comm_reduce_sum(engine->comm, view->bytes, (size_t)count * count, error);
}

quern_status qn_run_view_gather(qn_run_view *view, qn_engine *engine, qn_error *error)
{
    qn_comm *comm = engine->comm;
    *view = (qn_run_view){.begin_ns = engine->run_ns, .group_count = qn_rounds_group_count(comm)};
    if (!engine->settings.is_seen)
        return QUERN_OK;
    qn_timeline_enter(QN_TIMELINE_OTHER); /* so that what it did last is written */
    view->end_ns = qn_clock_ns();
    view->ranks = calloc(comm->rank == 0 ? comm->size : 1, sizeof *view->ranks);
    view->bytes = calloc((size_t)view->group_count * view->group_count, sizeof *view->bytes);
    if (!view->ranks || !view->bytes)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the report");
    uint64_t when[] = {view->begin_ns, view->end_ns};
    quern_status status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = qn_comm_broadcast(comm, when, sizeof when, 0, error);
    qn_rank_view mine = draw(engine, when[0], when[1]);
    if (status == QUERN_OK)
        status = qn_comm_gather(comm, &mine, sizeof mine, comm->rank == 0 ? view->ranks : NULL, error);
    return status == QUERN_OK ? sum_exchange(view, engine, error) : status;
}

void qn_run_view_fini(qn_run_view *view)
{
    free(view->ranks);
    free(view->bytes);
    *view = (qn_run_view){0};
}

static json_t *describe_states(void)
{
    json_t *states = json_object();
#define SET_STATE(state, name, letter) json_object_set_new(states, (const char[]){letter, 0}, json_string(name));
    QN_TIMELINE_STATES(SET_STATE)
#undef SET_STATE
    return states;
}

static json_t *describe_exchange(const qn_run_view *view)
{
    json_t *rows = json_array();
    for (uint32_t from = 0; from < view->group_count; from++) {
        json_t *row = json_array();
        for (uint32_t to = 0; to < view->group_count; to++)
            json_array_append_new(row, json_integer((json_int_t)view->bytes[(size_t)from * view->group_count + to]));
        json_array_append_new(rows, row);
    }
    return rows;
}

void qn_run_view_describe(const qn_run_view *view, json_t *report)
{
    if (!view->ranks)
        return;
    json_t *timeline = json_object();
    json_object_set_new(timeline, "seconds", json_real((double)(view->end_ns - view->begin_ns) / 1e9));
    json_object_set_new(timeline, "columns", json_integer(QN_VIEW_COLUMNS));
    json_object_set_new(timeline, "states", describe_states());
    json_object_set_new(report, "timeline", timeline);
    json_object_set_new(report, "exchanged_bytes", describe_exchange(view));
}

void qn_run_view_describe_rank(const qn_run_view *view, uint32_t rank, json_t *object)
{
    if (!view->ranks)
        return;
    const qn_rank_view *one = &view->ranks[rank];
    json_t *seconds = json_object(), *memory = json_array();
#define SET_SECONDS(state, name, letter)                                                                               \
    json_object_set_new(seconds, name, json_real((double)one->ns[QN_TIMELINE_##state] / 1e9));
    QN_TIMELINE_STATES(SET_SECONDS)
#undef SET_SECONDS
    for (size_t i = 0; i < QN_VIEW_MEMORY_COLUMNS; i++)
        json_array_append_new(memory, json_integer((json_int_t)one->memory_bytes[i]));
    json_object_set_new(object, "line", json_stringn(one->letters, QN_VIEW_COLUMNS));
    json_object_set_new(object, "state_seconds", seconds);
    json_object_set_new(object, "resident_bytes", memory);
    json_object_set_new(object, "clock_error_seconds", json_real((double)one->clock_error_ns / 1e9));
    json_object_set_new(object, "scratch_bytes", json_integer((json_int_t)one->scratch_bytes));
    json_object_set_new(object, "scratch_free_bytes", json_integer((json_int_t)one->scratch_free_bytes));
}
