/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/task_list.h"

#include <stdlib.h>

#include "runtime/io/fixed_source.h"

#define BORDERS_OF_SPLIT 4 /* places where packed files can be cut are so much nearer to each other */
#define LOOK_BYTES_MIN                                                                                                 \
    ((uint64_t)1 << 20) /* a file that is no larger need not be cut, and so not be looked into beforehand */

/* Lists a leg's files. Those of fixed records are all looked into, since they are all checked. */
static quern_status list_leg(qn_listing *listing, const qn_node *source, qn_error *error)
{
    quern_status status = qn_listing_create(listing, source->text.paths, source->text.path_count, error);
    if (status == QUERN_OK && source->text.as_stored)
        qn_listing_take_as_stored(listing);
    if (status == QUERN_OK && source->kind == QN_NODE_FIXED)
        status = qn_listing_examine(listing, 0, error);
    if (status == QUERN_OK && source->kind == QN_NODE_FIXED)
        status = qn_fixed_check_files(&source->of.layout, listing, error);
    return status;
}

static quern_status list_inputs(qn_task_list *list, const qn_stage *stage, qn_error *error)
{
    list->legs = calloc(stage->leg_count, sizeof *list->legs);
    if (!list->legs)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the inputs of a stage");
    list->leg_count = stage->leg_count;
    quern_status status = QUERN_OK;
    for (uint32_t i = 0; i < stage->leg_count && status == QUERN_OK; i++) {
        if (stage->legs[i].parent != QN_STAGE_NONE)
            continue;
        status = list_leg(&list->legs[i].listing, qn_leg_source(stage, i), error);
        list->bytes += list->legs[i].listing.bytes;
        list->file_count += list->legs[i].listing.file_count;
    }
    return status;
}

/* Whether readers have to know which byte of what is unpacked that is: records of one length begin at multiples, and text can be told where
 * it is. */
static bool needs_offsets(const qn_node *source)
{
    return source->kind != QN_NODE_TEXT || source->text.value == QUERN_TEXT_OFFSET ||
           source->text.value == QUERN_TEXT_PLACE;
}

static quern_status cut_inputs(qn_task_list *list, const qn_stage *stage, uint64_t split_bytes, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (uint32_t i = 0; i < list->leg_count && status == QUERN_OK; i++) {
        qn_task_leg *leg = &list->legs[i];
        leg->first_task = list->count;
        status = qn_listing_examine(&leg->listing, split_bytes < LOOK_BYTES_MIN ? split_bytes : LOOK_BYTES_MIN, error);
        if (status == QUERN_OK)
            status = qn_listing_find_units(&leg->listing, split_bytes / BORDERS_OF_SPLIT + 1,
                                           needs_offsets(qn_leg_source(stage, i)), error);
        if (status == QUERN_OK)
            status = qn_splits_create(&leg->splits, &leg->listing, split_bytes, error);
        if (status == QUERN_OK && leg->splits.count > INT32_MAX - list->count)
            return qn_error_set(error, QUERN_ERROR_INPUT, 0, "the inputs of a stage are more than 2^31 tasks");
        list->count += leg->splits.count;
    }
    return status;
}

static uint32_t reversed(uint32_t number, uint32_t bits)
{
    uint32_t result = 0;
    for (uint32_t i = 0; i < bits; i++)
        result |= (number >> i & 1) << (bits - 1 - i);
    return result;
}

static quern_status scatter(qn_task_list *list, qn_error *error)
{
    uint32_t bits = 0, filled = 0;
    while ((uint64_t)1 << bits < list->count)
        bits++;
    list->order = malloc((list->count + 1) * sizeof *list->order);
    if (!list->order)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the order of %u tasks", list->count);
    for (uint64_t i = 0; i < (uint64_t)1 << bits; i++) {
        uint32_t task = reversed((uint32_t)i, bits);
        if (task < list->count)
            list->order[filled++] = task;
    }
    return QUERN_OK;
}

quern_status qn_task_list_create(qn_task_list *list, const qn_stage *stage, uint64_t split_bytes, uint32_t worker_count,
                                 bool scattered, qn_error *error)
{
    *list = (qn_task_list){0};
    quern_status status = list_inputs(list, stage, error);
    if (status == QUERN_OK)
        status = cut_inputs(list, stage, split_bytes ? split_bytes : qn_splits_choose_bytes(list->bytes, worker_count),
                            error);
    if (status == QUERN_OK && scattered)
        status = scatter(list, error);
    if (status != QUERN_OK)
        qn_task_list_destroy(list);
    return status;
}

void qn_task_list_destroy(qn_task_list *list)
{
    for (uint32_t i = 0; i < list->leg_count; i++) {
        qn_splits_destroy(&list->legs[i].splits);
        qn_listing_destroy(&list->legs[i].listing);
    }
    free(list->legs);
    free(list->order);
    *list = (qn_task_list){0};
}

uint32_t qn_task_list_leg_of(const qn_task_list *list, uint32_t task)
{
    uint32_t leg = 0;
    while (task - list->legs[leg].first_task >= list->legs[leg].splits.count)
        leg++;
    return leg;
}
