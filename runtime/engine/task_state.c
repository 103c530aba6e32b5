/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/task_state.h"

#include <stdlib.h>

#define RESUME_NUMBERS 8

/* Stretches of tasks that are done: first, how many, first, how many … */
static json_t *pack_done(const qn_task_state *state)
{
    json_t *list = json_array();
    for (uint32_t task = 0; list && task < state->count;) {
        uint32_t end = task;
        while (end < state->count && state->done[end])
            end++;
        if (end > task) {
            json_array_append_new(list, json_integer(task));
            json_array_append_new(list, json_integer(end - task));
        }
        task = end + 1;
    }
    return list;
}

static json_t *pack_resumes(const qn_task_state *state)
{
    json_t *list = json_array();
    for (uint32_t task = 0; list && task < state->count; task++) {
        const qn_resume *resume = state->resumes[task];
        if (!resume || state->done[task])
            continue;
        const qn_text_place *place = &resume->place;
        json_array_append_new(list, json_pack("[I, I, b, b, I, I, I, I]", (json_int_t)task, (json_int_t)place->segment,
                                              (int)place->started, (int)place->inside, (json_int_t)place->member,
                                              (json_int_t)place->scan_offset, (json_int_t)place->record_offset,
                                              (json_int_t)resume->skip));
    }
    return list;
}

json_t *qn_task_state_pack(const qn_task_state *state)
{
    return json_pack("{s:I, s:I, s:I, s:b, s:I, s:I, s:o, s:o}", "split_bytes", (json_int_t)state->split_bytes,
                     "record_bytes", (json_int_t)state->record_bytes_max, "workers", (json_int_t)state->worker_count,
                     "scattered", (int)state->is_scattered, "digest", (json_int_t)state->digest, "count",
                     (json_int_t)state->count, "done", pack_done(state), "resumes", pack_resumes(state));
}

static bool parse_done(qn_task_state *state, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i += 2) {
        const json_t *numbers[] = {json_array_get(list, i), json_array_get(list, i + 1)};
        json_int_t first = json_integer_value(numbers[0]), count = json_integer_value(numbers[1]);
        if (!json_is_integer(numbers[0]) || !json_is_integer(numbers[1]) || first < 0 || count < 1 ||
            first > state->count || count > state->count - first)
            return false;
        for (json_int_t task = first; task < first + count; task++)
            state->done[task] = true;
    }
    return json_is_array(list);
}

static bool parse_resume(qn_task_state *state, json_t *packed)
{
    json_int_t numbers[RESUME_NUMBERS - 2] = {0};
    int started = 0, inside = 0;
    if (json_unpack(packed, "[I, I, b, b, I, I, I, I!]", &numbers[0], &numbers[1], &started, &inside, &numbers[2],
                    &numbers[3], &numbers[4], &numbers[5]) != 0)
        return false;
    bool is_right = numbers[0] < state->count && numbers[1] <= UINT32_MAX;
    for (int i = 0; i < RESUME_NUMBERS - 2; i++)
        is_right &= numbers[i] >= 0;
    if (!is_right || state->resumes[numbers[0]])
        return false;
    qn_resume *resume = state->resumes[numbers[0]] = calloc(1, sizeof *resume);
    if (!resume)
        return false;
    *resume = (qn_resume){.place = {.segment = (uint32_t)numbers[1],
                                    .started = started,
                                    .inside = inside,
                                    .member = (uint64_t)numbers[2],
                                    .scan_offset = (uint64_t)numbers[3],
                                    .record_offset = (uint64_t)numbers[4]},
                          .skip = (uint64_t)numbers[5]};
    return true;
}

bool qn_task_state_parse(qn_task_state *state, const json_t *packed)
{
    json_int_t split_bytes = 0, record_bytes = 0, workers = 0, digest = 0, count = 0;
    int is_scattered = 0;
    json_t *done = NULL, *resumes = NULL;
    *state = (qn_task_state){0};
    if (json_unpack((json_t *)packed, "{s:I, s:I, s:I, s:b, s:I, s:I, s:o, s:o}", "split_bytes", &split_bytes,
                    "record_bytes", &record_bytes, "workers", &workers, "scattered", &is_scattered, "digest", &digest,
                    "count", &count, "done", &done, "resumes", &resumes) != 0)
        return false;
    if (split_bytes < 0 || record_bytes < 0 || workers < 1 || workers > UINT32_MAX || count < 0 || count > UINT32_MAX)
        return false;
    state->split_bytes = (uint64_t)split_bytes;
    state->record_bytes_max = (uint64_t)record_bytes;
    state->worker_count = (uint32_t)workers;
    state->is_scattered = is_scattered;
    state->digest = (uint64_t)digest;
    state->done = calloc((size_t)count + 1, sizeof *state->done);
    state->resumes = calloc((size_t)count + 1, sizeof *state->resumes);
    state->count = state->done && state->resumes ? (uint32_t)count : 0;
    bool is_right = state->count == count && parse_done(state, done) && json_is_array(resumes);
    for (size_t i = 0; is_right && i < json_array_size(resumes); i++)
        is_right = parse_resume(state, json_array_get(resumes, i));
    if (!is_right)
        qn_task_state_fini(state);
    return is_right;
}

void qn_task_state_fini(qn_task_state *state)
{
    for (uint32_t task = 0; state->resumes && task < state->count; task++)
        free(state->resumes[task]);
    free(state->resumes);
    free(state->done);
    *state = (qn_task_state){0};
}
