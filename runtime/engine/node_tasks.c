/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/node_tasks.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/beat.h"
#include "runtime/base/hash.h"
#include "runtime/engine/bad_log.h"

static bool is_on_nodes(const qn_stage *stage, uint32_t leg)
{
    return qn_leg_has_tasks(stage, leg) && qn_leg_source(stage, leg)->text.is_on_nodes;
}

bool qn_node_tasks_are_there(const qn_stage *stage)
{
    bool are_there = false;
    for (uint32_t leg = 0; leg < stage->leg_count; leg++)
        are_there |= is_on_nodes(stage, leg);
    return are_there;
}

static quern_status no_memory(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the tasks of nodes");
}

/* ---- on each node ---- */

/* Which of its paths are there, and its tasks. */
static void pack_leg(const qn_task_list *list, const qn_stage *stage, uint32_t leg, qn_buffer *message)
{
    const qn_task_leg *here = &list->legs[leg];
    for (size_t i = 0; i < qn_leg_source(stage, leg)->text.path_count; i++)
        qn_buffer_append_u64(message, here->path_marks[i]);
    qn_buffer_append_u32(message, here->splits.count);
    for (uint32_t i = 0; i < here->splits.count; i++) {
        qn_task_entry task = qn_task_list_find(list, here->first_task + i);
        qn_buffer_append_u64(message, task.bytes);
        qn_buffer_append_u32(message, task.is_packed);
        size_t begun = qn_buffer_begin_span(message);
        qn_task_list_encode(list, &task, message);
        qn_buffer_end_span(message, begun);
    }
}

void qn_node_tasks_pack(const qn_task_list *list, const qn_stage *stage, uint32_t node, qn_buffer *message)
{
    qn_buffer_append_u32(message, node);
    qn_buffer_append_u64(message, list->bytes);
    qn_buffer_append_u64(message, list->file_count);
    qn_buffer_append_u64(message, list->whole_count);
    for (uint32_t leg = 0; leg < stage->leg_count; leg++)
        if (is_on_nodes(stage, leg))
            pack_leg(list, stage, leg, message);
}

/* How all nodes cut; sent by rank 0. */
typedef struct node_cut {
    uint64_t split_bytes, record_bytes_max; /* of qn_task_cut */
    uint64_t worker_count;                  /* of the job */
} node_cut;

/* A node's share of the workers depends on nothing that another attempt at the job, with other ranks on it, would not know. */
static quern_status make_tasks(const qn_engine *engine, const qn_stage *stage, const node_cut *of_job,
                               qn_buffer *message, qn_error *error)
{
    uint32_t worker_count = (uint32_t)of_job->worker_count / engine->comm->node_count;
    qn_task_list list;
    qn_task_cut cut = {.scope = QN_TASKS_OF_NODE,
                       .node = engine->comm->node,
                       .split_bytes = of_job->split_bytes,
                       .record_bytes_max = of_job->record_bytes_max,
                       .worker_count = worker_count > 0 ? worker_count : 1,
                       .bad_legs = qn_bad_legs(&engine->settings, stage)};
    quern_status status = qn_task_list_create(&list, stage, &cut, error);
    if (status != QUERN_OK)
        return status;
    qn_node_tasks_pack(&list, stage, engine->comm->node, message);
    qn_task_list_destroy(&list);
    return message->failed ? no_memory(error) : QUERN_OK;
}

/* ---- on rank 0 ---- */

/* A path of a leg on a node. */
typedef struct place {
    uint64_t mark;
    size_t path;
    uint32_t leg, node;
} place;

/* What is read from the messages. */
typedef struct intake {
    const qn_stage *stage;
    qn_far_tasks *far;
    uint32_t capacity;
    place *places;
    size_t place_count, place_capacity;
} intake;

static bool add_task(intake *all, const qn_far_task *task)
{
    qn_far_tasks *far = all->far;
    if (far->count == all->capacity) {
        uint32_t capacity = all->capacity ? 2 * all->capacity : 64;
        qn_far_task *items = capacity > INT32_MAX ? NULL : realloc(far->items, capacity * sizeof *items);
        if (!items)
            return false;
        far->items = items;
        all->capacity = capacity;
    }
    far->items[far->count++] = *task;
    return true;
}

static bool add_place(intake *all, const place *found)
{
    if (all->place_count == all->place_capacity) {
        size_t capacity = all->place_capacity ? 2 * all->place_capacity : 64;
        place *places = realloc(all->places, capacity * sizeof *places);
        if (!places)
            return false;
        all->places = places;
        all->place_capacity = capacity;
    }
    all->places[all->place_count++] = *found;
    return true;
}

static quern_status read_leg(intake *all, uint32_t leg, uint32_t node, qn_reader *reader, qn_error *error)
{
    for (size_t i = 0; i < qn_leg_source(all->stage, leg)->text.path_count && !reader->failed; i++) {
        place found = {qn_reader_u64(reader), i, leg, node};
        if (found.mark != 0 && !add_place(all, &found))
            return no_memory(error);
    }
    uint32_t count = qn_reader_u32(reader);
    for (uint32_t i = 0; i < count && !reader->failed; i++) {
        qn_far_task task = {.leg = leg, .node = node, .bytes = qn_reader_u64(reader)};
        task.is_packed = qn_reader_u32(reader) != 0;
        task.packed = qn_reader_span(reader, &task.packed_bytes);
        if (!reader->failed && !add_task(all, &task))
            return no_memory(error);
    }
    return QUERN_OK;
}

static quern_status read_node(intake *all, qn_reader *reader, qn_error *error)
{
    uint32_t node = qn_reader_u32(reader);
    quern_status status = QUERN_OK;
    all->far->bytes += qn_reader_u64(reader);
    all->far->file_count += qn_reader_u64(reader);
    all->far->whole_count += qn_reader_u64(reader);
    for (uint32_t leg = 0; leg < all->stage->leg_count && status == QUERN_OK; leg++)
        if (is_on_nodes(all->stage, leg))
            status = read_leg(all, leg, node, reader, error);
    if (status == QUERN_OK && reader->failed)
        status = qn_error_set(error, QUERN_ERROR_INTERNAL, 0, "a message with the tasks of a node is too short");
    return status;
}

/* By path, and then by mark. */
static int compare_places(const void *a, const void *b)
{
    const place *left = a, *right = b;
    if (left->leg != right->leg)
        return left->leg < right->leg ? -1 : 1;
    if (left->path != right->path)
        return left->path < right->path ? -1 : 1;
    return (left->mark > right->mark) - (left->mark < right->mark);
}

static quern_status say_same(const qn_text_input *text, const place *one, const place *other, qn_error *error)
{
    return qn_error_set(
        error, QUERN_ERROR_INPUT, 0,
        "%s is the same on node %u and on node %u, which are on one machine, and would be read twice: start the "
        "job so that MPI sees one node, or do without --quern-node-local",
        text->paths[one->path], one->node < other->node ? one->node : other->node,
        one->node < other->node ? other->node : one->node);
}

/* Each path is on some node, and on no two of them the same. The places are in order. */
static quern_status look_at_places(const intake *all, qn_error *error)
{
    const place *next = all->places, *end = all->places + all->place_count;
    for (uint32_t leg = 0; leg < all->stage->leg_count; leg++)
        for (size_t path = 0; is_on_nodes(all->stage, leg) && path < qn_leg_source(all->stage, leg)->text.path_count;
             path++) {
            const qn_text_input *text = &qn_leg_source(all->stage, leg)->text;
            const place *first = next;
            for (; next < end && next->leg == leg && next->path == path; next++)
                if (next > first && next->mark == next[-1].mark && next->mark != QN_TASK_PATH_UNMARKED)
                    return say_same(text, &next[-1], next, error);
            if (next == first)
                return qn_error_set(error, QUERN_ERROR_INPUT, 0, "no node has %s", text->paths[path]);
        }
    return QUERN_OK;
}

/* Nodes came one after the other; now legs do, and in these nodes. */
static quern_status sort_by_leg(qn_far_tasks *far, uint32_t leg_count, qn_error *error)
{
    qn_far_task *sorted = malloc((far->count + 1) * sizeof *sorted);
    uint32_t count = 0;
    if (!sorted)
        return no_memory(error);
    for (uint32_t leg = 0; leg < leg_count; leg++)
        for (uint32_t i = 0; i < far->count; i++)
            if (far->items[i].leg == leg)
                sorted[count++] = far->items[i];
    free(far->items);
    far->items = sorted;
    return QUERN_OK;
}

quern_status qn_node_tasks_unpack(qn_far_tasks *far_out, const qn_stage *stage, void *text, size_t bytes,
                                  qn_error *error)
{
    intake all = {.stage = stage, .far = far_out};
    qn_reader reader = qn_reader_of(text, bytes);
    quern_status status = QUERN_OK;
    *far_out = (qn_far_tasks){0};
    while (status == QUERN_OK && reader.left_bytes > 0)
        status = read_node(&all, &reader, error);
    if (all.place_count > 0)
        qsort(all.places, all.place_count, sizeof *all.places, compare_places);
    if (status == QUERN_OK)
        status = look_at_places(&all, error);
    if (status == QUERN_OK)
        status = sort_by_leg(far_out, stage->leg_count, error);
    free(all.places);
    if (status == QUERN_OK)
        far_out->text = text;
    else
        qn_node_tasks_destroy(far_out);
    return status;
}

quern_status qn_node_tasks_gather(const qn_engine *engine, const qn_stage *stage, const qn_task_state *begun,
                                  qn_far_tasks *far_out, qn_error *error)
{
    qn_comm *comm = engine->comm;
    const qn_settings *settings = &engine->settings;
    node_cut of_job = {.split_bytes = begun ? begun->split_bytes : settings->split_bytes,
                       .record_bytes_max = begun ? begun->record_bytes_max : settings->record_bytes_max,
                       .worker_count = begun ? begun->worker_count : comm->size};
    qn_buffer message = {0};
    void *text = NULL;
    size_t bytes = 0;
    *far_out = (qn_far_tasks){0};
    if (error->status == QUERN_OK && engine->node_names != engine->first_node_names)
        qn_error_set(error, QUERN_ERROR_INPUT, 0, "a node is lost, and with it its files of '%s'",
                     qn_leg_source(stage, 0)->name);
    quern_status status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = qn_comm_broadcast(comm, &of_job, sizeof of_job, 0, error);
    if (status == QUERN_OK && comm->node_rank == 0)
        make_tasks(engine, stage, &of_job, &message, error);
    status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = qn_comm_collect(comm, message.data, message.bytes, &text, &bytes, error);
    if (status == QUERN_OK && comm->rank == 0 && qn_node_tasks_unpack(far_out, stage, text, bytes, error) != QUERN_OK)
        free(text);
    qn_buffer_fini(&message);
    return status == QUERN_OK ? qn_comm_agree(comm, error) : status;
}

void qn_node_tasks_destroy(qn_far_tasks *far)
{
    free(far->items);
    free(far->text);
    *far = (qn_far_tasks){0};
}

/* ---- what there is ---- */

/* 0: it reads none, or they cannot be listed, of which the stage will say more. */
static uint64_t digest_here(const qn_stage *stage, uint32_t node)
{
    char host[QN_BEAT_HOST_BYTES];
    qn_error ignored = {0};
    bool is_known = qn_node_tasks_are_there(stage);
    qn_beat_get_host(host);
    uint64_t digest = qn_checksum(host, strlen(host), 0);
    for (uint32_t leg = 0; leg < stage->leg_count && is_known; leg++) {
        qn_task_leg here = {0};
        if (!is_on_nodes(stage, leg))
            continue;
        is_known = qn_task_leg_list_here(&here, &qn_leg_source(stage, leg)->text, node, &ignored) == QUERN_OK &&
                   qn_listing_digest(&here.listing, &digest);
        qn_listing_destroy(&here.listing);
        free(here.path_marks);
    }
    return is_known ? digest | 1 : 0;
}

/* Those of all nodes, one behind the other. */
static quern_status combine(uint64_t *digests, uint32_t stage_count, const void *text, size_t bytes, qn_error *error)
{
    qn_reader reader = qn_reader_of(text, bytes);
    for (uint32_t i = 0; i < stage_count; i++)
        digests[i] = 1;
    while (reader.left_bytes > 0 && !reader.failed)
        for (uint32_t i = 0; i < stage_count; i++) {
            uint64_t digest = qn_reader_u64(&reader);
            bool is_known = digest != 0 && digests[i] != 0;
            digests[i] = is_known ? qn_checksum(&digest, sizeof digest, digests[i]) | 1 : 0;
        }
    return reader.failed ? qn_error_set(error, QUERN_ERROR_INTERNAL, 0, "a message on the files of nodes is too short")
                         : QUERN_OK;
}

static quern_status digest_all(qn_engine *engine, const qn_stages *stages, qn_error *error)
{
    qn_comm *comm = engine->comm;
    qn_buffer message = {0};
    void *text = NULL;
    size_t bytes = 0;
    for (uint32_t i = 0; i < stages->count && comm->node_rank == 0; i++)
        qn_buffer_append_u64(&message, digest_here(&stages->items[i], comm->node));
    if (message.failed)
        no_memory(error);
    quern_status status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = qn_comm_collect(comm, message.data, message.bytes, &text, &bytes, error);
    if (status == QUERN_OK && comm->rank == 0)
        combine(engine->node_files, stages->count, text, bytes, error);
    free(text);
    qn_buffer_fini(&message);
    if (status == QUERN_OK)
        status = qn_comm_agree(comm, error);
    return status == QUERN_OK ? qn_comm_broadcast(comm, engine->node_files, sizeof engine->node_files, 0, error)
                              : status;
}

quern_status qn_node_tasks_digest(qn_engine *engine, const qn_stages *stages, qn_error *error)
{
    bool is_lost = engine->node_names != engine->first_node_names, are_there = false;
    for (uint32_t i = 0; i < stages->count; i++)
        are_there |= qn_node_tasks_are_there(&stages->items[i]);
    if (!are_there || (is_lost && engine->node_files_run == engine->checkpoint.run + 1))
        return QUERN_OK;
    memset(engine->node_files, 0, sizeof engine->node_files);
    engine->node_files_run = engine->checkpoint.run + 1;
    return digest_all(engine, stages, error);
}
