/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/task_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "runtime/base/assert.h"
#include "runtime/base/boot_id.h"
#include "runtime/base/hash.h"
#include "runtime/io/fixed_source.h"
#include "runtime/io/record_plan.h"

#define STRIDE_BITS_MIN  3  /* tasks of less than an eighth of the average come last */
#define DATASET_SPLITS   4  /* of the size chosen, in one task */
#define NODE_FILE_BITS   32 /* of the number of a file of a node */
#define BORDERS_OF_SPLIT 4  /* places where packed files can be cut are so much nearer to each other */
#define LOOK_BYTES_MIN                                                                                                 \
    ((uint64_t)1 << 20) /* a file that is no larger need not be cut, and so not be looked into beforehand */

/* What cannot be looked at may be there: listing it tells why. */
static uint64_t mark_on_this_node(const char *path)
{
    struct stat about;
    char boot[QN_BOOT_ID_BYTES + 1];
    if (stat(path, &about) != 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : QN_TASK_PATH_UNMARKED;
    if (!qn_boot_id_read(boot))
        return QN_TASK_PATH_UNMARKED;
    const uint64_t numbers[] = {about.st_dev, about.st_ino};
    return qn_checksum(numbers, sizeof numbers, qn_checksum(boot, QN_BOOT_ID_BYTES, 0)) | (QN_TASK_PATH_UNMARKED + 1);
}

/* Of the paths those that are on this node: maybe none. */
quern_status qn_task_leg_list_here(qn_task_leg *leg, const qn_text_input *text, uint32_t node, qn_error *error)
{
    const char **paths = calloc(text->path_count + 1, sizeof *paths);
    size_t count = 0;
    leg->path_marks = calloc(text->path_count + 1, sizeof *leg->path_marks);
    quern_status status = paths && leg->path_marks
                              ? QUERN_OK
                              : qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the inputs of a stage");
    for (size_t i = 0; i < text->path_count && status == QUERN_OK; i++) {
        leg->path_marks[i] = mark_on_this_node(text->paths[i]);
        if (leg->path_marks[i] != 0)
            paths[count++] = text->paths[i];
    }
    if (status == QUERN_OK)
        status = qn_listing_create(&leg->listing, paths, count, error);
    leg->listing.first_file = (uint64_t)(node + 1) << NODE_FILE_BITS;
    free(paths);
    return status;
}

/* Lists a leg's files. Those of fixed records are all looked into, since they are all checked. */
static quern_status list_leg(qn_task_leg *leg, const qn_node *source, const qn_task_cut *cut, bool passes_bad,
                             qn_error *error)
{
    qn_listing *listing = &leg->listing;
    quern_status status = cut->scope == QN_TASKS_OF_NODE
                              ? qn_task_leg_list_here(leg, &source->text, cut->node, error)
                              : qn_listing_create(listing, source->text.paths, source->text.path_count, error);
    if (status == QUERN_OK && source->text.as_stored)
        qn_listing_take_as_stored(listing);
    if (status == QUERN_OK && source->kind == QN_NODE_FIXED)
        status = qn_listing_examine(listing, 0, error);
    if (status == QUERN_OK && source->kind == QN_NODE_FIXED && !passes_bad)
        status = qn_fixed_check_files(&source->of.layout, listing, error);
    return status;
}

static quern_status list_datasets(qn_task_list *list, qn_hdf5_listing *datasets, const qn_node *source,
                                  uint64_t record_bytes_max, qn_error *error)
{
    quern_status status = qn_hdf5_listing_create(datasets, source->text.paths, source->text.path_count,
                                                 source->of.array, record_bytes_max, error);
    list->bytes += datasets->bytes;
    list->file_count += datasets->file_count;
    return status;
}

static bool is_listed(const qn_stage *stage, uint32_t leg, const qn_task_cut *cut)
{
    return qn_leg_has_tasks(stage, leg) &&
           qn_leg_source(stage, leg)->text.is_on_nodes == (cut->scope == QN_TASKS_OF_NODE);
}

static quern_status list_inputs(qn_task_list *list, const qn_stage *stage, const qn_task_cut *cut, qn_error *error)
{
    list->legs = calloc(stage->leg_count, sizeof *list->legs);
    if (!list->legs)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the inputs of a stage");
    list->leg_count = stage->leg_count;
    quern_status status = QUERN_OK;
    for (uint32_t i = 0; i < stage->leg_count && status == QUERN_OK; i++) {
        if (!is_listed(stage, i, cut))
            continue;
        const qn_node *source = qn_leg_source(stage, i);
        if (source->kind == QN_NODE_HDF5) {
            status = list_datasets(list, &list->legs[i].datasets, source, cut->record_bytes_max, error);
            continue;
        }
        status = list_leg(&list->legs[i], source, cut, cut->bad_legs >> i & 1, error);
        list->bytes += list->legs[i].listing.bytes;
        list->file_count += list->legs[i].listing.file_count;
    }
    return status;
}

/* Whether readers have to know which byte of what is unpacked that is: records of one length begin at multiples, and text can be told where
 * it is. */
static bool needs_offsets(const qn_node *source)
{
    bool is_told = source->text.value == QUERN_TEXT_OFFSET || source->text.value == QUERN_TEXT_PLACE;
    return source->kind == QN_NODE_FIXED || (source->kind == QN_NODE_TEXT && is_told);
}

/* Whether what is damaged of a packed file costs the same records wherever that is cut, for readers who pass over bad input. */
static bool goes_on_behind_damage(const qn_node *source)
{
    return source->kind == QN_NODE_FIXED || source->kind == QN_NODE_TEXT;
}

/* Looks for files that their format does not allow to cut. *count_out: of these, those of which others might be cut. */
static quern_status look_for_whole(qn_listing *listing, const qn_node *source, bool passes_bad, size_t *count_out,
                                   qn_error *error)
{
    bool is_of_lines = passes_bad && source->kind == QN_NODE_SEQUENCES &&
                       !source->of.records.sequences.interleaved; /* whatever files begin with */
    if (source->kind == QN_NODE_TEXT || source->kind == QN_NODE_FIXED || is_of_lines)
        return QUERN_OK;
    quern_status status = qn_record_plan(&source->of.records, listing, error);
    for (size_t i = 0; i < listing->file_count && source->kind == QN_NODE_SEQUENCES; i++)
        *count_out += listing->files[i].is_whole && listing->files[i].packing == QN_PACKING_NONE;
    return status;
}

qn_one_reader qn_task_list_find_one_reader(const qn_task_list *list)
{
    qn_one_reader found = {0};
    for (uint32_t leg = 0; list->legs && leg < list->leg_count; leg++)
        for (size_t i = 0; i < list->legs[leg].listing.file_count; i++) {
            const qn_input_file *file = &list->legs[leg].listing.files[i];
            if (file->packing != QN_PACKING_STREAM && !file->is_whole)
                continue;
            found.count++;
            if (file->bytes <= found.bytes)
                continue;
            found.bytes = file->bytes;
            snprintf(found.path, sizeof found.path, "%s", file->path);
        }
    return found;
}

static bool has_packed(const qn_listing *listing)
{
    for (size_t i = 0; i < listing->file_count; i++)
        if (listing->files[i].packing == QN_PACKING_STREAM)
            return true;
    return false;
}

static quern_status cut_files(qn_task_leg *leg, const qn_node *source, uint64_t split_bytes, bool passes_bad,
                              size_t *whole_count, qn_error *error)
{
    quern_status status =
        qn_listing_examine(&leg->listing, split_bytes < LOOK_BYTES_MIN ? split_bytes : LOOK_BYTES_MIN, error);
    if (status == QUERN_OK && (!passes_bad || goes_on_behind_damage(source)))
        status = qn_listing_find_units(&leg->listing, split_bytes / BORDERS_OF_SPLIT + 1, needs_offsets(source),
                                       passes_bad, error);
    if (status == QUERN_OK)
        status = look_for_whole(&leg->listing, source, passes_bad, whole_count, error);
    return status == QUERN_OK ? qn_splits_create(&leg->splits, &leg->listing, split_bytes, error) : status;
}

/* A chunk is unpacked in one go, and the master answers only between blocks: whoever waits for it has more in hand then. */
static quern_status cut_datasets(qn_task_leg *leg, uint64_t split_bytes, bool is_chosen, qn_error *error)
{
    return qn_hdf5_splits_create(&leg->splits, &leg->datasets, is_chosen ? DATASET_SPLITS * split_bytes : split_bytes,
                                 error);
}

/* Those of a leg lie together. */
static void take_far(qn_task_list *list, qn_task_leg *leg, uint32_t number, const qn_far_tasks *far)
{
    for (uint32_t i = 0; far && i < far->count; i++) {
        if (far->items[i].leg != number)
            continue;
        leg->far = leg->far_count == 0 ? &far->items[i] : leg->far;
        leg->far_count++;
        list->has_packed |= far->items[i].is_packed;
    }
}

static quern_status cut_inputs(qn_task_list *list, const qn_stage *stage, const qn_task_cut *cut, uint64_t split_bytes,
                               qn_error *error)
{
    bool is_chosen = cut->split_bytes == 0;
    quern_status status = QUERN_OK;
    for (uint32_t i = 0; i < list->leg_count && status == QUERN_OK; i++) {
        qn_task_leg *leg = &list->legs[i];
        leg->first_task = list->count;
        take_far(list, leg, i, cut->far);
        if (is_listed(stage, i, cut))
            status = leg->datasets.count > 0 ? cut_datasets(leg, split_bytes, is_chosen, error)
                                             : cut_files(leg, qn_leg_source(stage, i), split_bytes,
                                                         cut->bad_legs >> i & 1, &list->whole_count, error);
        if (status == QUERN_OK && (uint64_t)leg->splits.count + leg->far_count > INT32_MAX - list->count)
            return qn_error_set(error, QUERN_ERROR_INPUT, 0, "the inputs of a stage are more than 2^31 tasks");
        list->count += qn_task_leg_count(leg);
        list->has_packed |= has_packed(&leg->listing);
    }
    return status;
}

static uint64_t reversed(uint64_t number, uint32_t bits)
{
    uint64_t result = 0;
    for (uint32_t i = 0; i < bits; i++)
        result |= (number >> i & 1) << (bits - 1 - i);
    return result;
}

static quern_status no_memory_for_order(const qn_task_list *list, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the order of %u tasks", list->count);
}

/* The ends of all tasks in the bytes of the input; a task without any has one. */
static uint64_t add_up(const qn_task_list *list, uint64_t *ends)
{
    uint64_t all = 0;
    uint32_t task = 0;
    for (uint32_t leg = 0; leg < list->leg_count; leg++) {
        for (uint32_t i = 0; i < list->legs[leg].splits.count; i++)
            ends[task++] = all += list->legs[leg].splits.items[i].bytes + 1;
        for (uint32_t i = 0; i < list->legs[leg].far_count; i++)
            ends[task++] = all += list->legs[leg].far[i].bytes + 1;
    }
    return all;
}

/* The task that has byte `at` of the input. */
static uint32_t find_at(const uint64_t *ends, uint32_t count, uint64_t at)
{
    uint32_t first = 0, end = count;
    while (first < end) {
        uint32_t middle = first + (end - first) / 2;
        if (ends[middle] <= at)
            first = middle + 1;
        else
            end = middle;
    }
    QN_ASSERT(first < count);
    return first;
}

/* Goes through the bytes of the input in strides that are halved again and again, and takes each task when it is met. */
static quern_status scatter(qn_task_list *list, qn_error *error)
{
    uint64_t *ends = calloc(list->count + 1, sizeof *ends);
    uint32_t bits = STRIDE_BITS_MIN, filled = 0;
    if (!ends)
        return no_memory_for_order(list, error);
    uint64_t all_bytes = add_up(list, ends);
    bool *taken = calloc(list->count + 1, sizeof *taken);
    while ((uint64_t)1 << (bits - STRIDE_BITS_MIN) < list->count)
        bits++;
    for (uint64_t i = 0; taken && list->count > 0 && i < (uint64_t)1 << bits; i++) {
        uint64_t at = (uint64_t)((unsigned __int128)all_bytes * reversed(i, bits) >> bits);
        uint32_t task = find_at(ends, list->count, at);
        if (!taken[task])
            list->order[filled++] = task;
        taken[task] = true;
    }
    for (uint32_t task = 0; taken && task < list->count; task++)
        if (!taken[task])
            list->order[filled++] = task; /* the small ones */
    quern_status status = taken ? QUERN_OK : no_memory_for_order(list, error);
    free(taken);
    free(ends);
    return status;
}

static void shuffle(qn_task_list *list, uint64_t seed)
{
    for (uint32_t i = 0; i < list->count; i++) {
        uint32_t other = (uint32_t)(qn_hash_fold(seed + i, QN_HASH_TINY_1) % (i + 1));
        list->order[i] = list->order[other];
        list->order[other] = i;
    }
}

static quern_status put_in_order(qn_task_list *list, qn_task_turns turns, uint64_t seed, qn_error *error)
{
    if (turns == QN_TASKS_IN_ORDER)
        return QUERN_OK;
    list->order = malloc((list->count + 1) * sizeof *list->order);
    if (!list->order)
        return no_memory_for_order(list, error);
    if (turns == QN_TASKS_SCATTERED)
        return scatter(list, error);
    shuffle(list, seed);
    return QUERN_OK;
}

/* What is cut by itself is cut elsewhere in check mode: where has no meaning either. */
static uint64_t choose_split_bytes(const qn_task_list *list, const qn_task_cut *cut)
{
    uint64_t bytes = qn_splits_choose_bytes(list->bytes, cut->worker_count);
    return cut->turns == QN_TASKS_SHUFFLED ? 1 + bytes / 8 * 5 : bytes;
}

quern_status qn_task_list_create(qn_task_list *list, const qn_stage *stage, const qn_task_cut *cut, qn_error *error)
{
    *list = (qn_task_list){0};
    quern_status status = list_inputs(list, stage, cut, error);
    uint64_t split_bytes = cut->split_bytes ? cut->split_bytes : choose_split_bytes(list, cut);
    if (status == QUERN_OK)
        status = cut_inputs(list, stage, cut, split_bytes, error);
    if (cut->far) {
        list->bytes += cut->far->bytes;
        list->file_count += cut->far->file_count;
        list->whole_count += cut->far->whole_count;
    }
    if (status == QUERN_OK)
        status = put_in_order(list, cut->turns, cut->seed, error);
    if (status != QUERN_OK)
        qn_task_list_destroy(list);
    return status;
}

void qn_task_list_destroy(qn_task_list *list)
{
    for (uint32_t i = 0; i < list->leg_count; i++) {
        qn_splits_destroy(&list->legs[i].splits);
        qn_listing_destroy(&list->legs[i].listing);
        qn_hdf5_listing_destroy(&list->legs[i].datasets);
        free(list->legs[i].path_marks);
    }
    free(list->legs);
    free(list->order);
    *list = (qn_task_list){0};
}

/* Whether only one reader can unpack it. */
static bool is_stream(const qn_task_leg *leg, const qn_split *split)
{
    return leg->listing.file_count > 0 && leg->listing.files[split->file].packing == QN_PACKING_STREAM;
}

qn_task_entry qn_task_list_find(const qn_task_list *list, uint32_t task)
{
    uint32_t number = 0;
    while (task - list->legs[number].first_task >= qn_task_leg_count(&list->legs[number]))
        number++;
    const qn_task_leg *leg = &list->legs[number];
    qn_task_entry entry = {.leg = number, .place = task - leg->first_task, .node = UINT32_MAX};
    if (entry.place >= leg->splits.count) {
        const qn_far_task *far = &leg->far[entry.place - leg->splits.count];
        entry.node = far->node;
        entry.is_packed = far->is_packed;
        entry.bytes = far->bytes;
    } else {
        const qn_split *split = &leg->splits.items[entry.place];
        entry.is_packed = list->has_packed && is_stream(leg, split);
        entry.bytes = split->bytes;
    }
    return entry;
}

void qn_task_list_encode(const qn_task_list *list, const qn_task_entry *entry, qn_buffer *message)
{
    const qn_task_leg *leg = &list->legs[entry->leg];
    if (entry->place >= leg->splits.count) {
        const qn_far_task *far = &leg->far[entry->place - leg->splits.count];
        qn_buffer_append(message, far->packed, far->packed_bytes);
    } else if (leg->datasets.count > 0) {
        qn_hdf5_split_encode(&leg->splits.items[entry->place], &leg->datasets, message);
    } else {
        qn_split_encode(&leg->splits.items[entry->place], &leg->listing, message);
    }
}
