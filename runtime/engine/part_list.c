/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/part_list.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"

#define CAPACITY_MIN    64
#define TEXT_BYTES_EACH 21 /* of a number */
#define NUMBERS         6  /* of a part, before what was counted */

void qn_part_list_fini(qn_part_list *list)
{
    free(list->items);
    free(list->counted);
    *list = (qn_part_list){.counter_count = list->counter_count};
}

static bool grow(qn_part_list *list)
{
    size_t capacity = list->capacity ? 2 * list->capacity : CAPACITY_MIN;
    qn_part_summary *items = realloc(list->items, capacity * sizeof *items);
    if (!items)
        return false;
    list->items = items;
    int64_t *counted = realloc(list->counted, (capacity * list->counter_count + 1) * sizeof *counted);
    if (!counted)
        return false;
    list->counted = counted;
    list->capacity = capacity;
    return true;
}

quern_status qn_part_list_add(qn_part_list *list, const qn_part_summary *summary, const int64_t *counted,
                              qn_error *error)
{
    size_t each = list->counter_count;
    if (list->count == list->capacity && !grow(list))
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to note a part");
    list->items[list->count] = *summary;
    if (each > 0)
        memcpy(list->counted + list->count * each, counted, each * sizeof *counted);
    list->count++;
    return QUERN_OK;
}

static void move(qn_part_list *list, size_t from, size_t to)
{
    size_t each = list->counter_count;
    list->items[to] = list->items[from];
    memmove(list->counted + to * each, list->counted + from * each, each * sizeof *list->counted);
}

void qn_part_list_drop(qn_part_list *list, const uint64_t *bad)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        if (!bad[i])
            move(list, i, kept++);
    list->count = kept;
}

/* A place in the list, to be sorted. */
typedef struct place {
    uint64_t number, at;
} place;

static int compare_places(const void *a, const void *b)
{
    const place *left = a, *right = b;
    if (left->number != right->number)
        return left->number < right->number ? -1 : 1;
    return left->at < right->at ? -1 : left->at > right->at;
}

/* Into new memory, since what belongs to a part stands in two places. */
static bool sort_into(const qn_part_list *list, place *places, qn_part_list *sorted)
{
    qn_error ignored = {0};
    for (size_t i = 0; i < list->count; i++)
        places[i] = (place){list->items[i].number, i};
    qsort(places, list->count, sizeof *places, compare_places);
    for (size_t i = 0; i < list->count; i++) {
        bool is_last = i + 1 == list->count || places[i + 1].number != places[i].number;
        size_t at = (size_t)places[i].at;
        if (is_last &&
            qn_part_list_add(sorted, &list->items[at], list->counted + at * list->counter_count, &ignored) != QUERN_OK)
            return false;
    }
    return true;
}

/* Without memory the list becomes empty: what is not in it is made again. */
void qn_part_list_sort(qn_part_list *list)
{
    qn_part_list sorted = {.counter_count = list->counter_count};
    place *places = calloc(list->count + 1, sizeof *places);
    bool is_sorted = places && (list->count == 0 || sort_into(list, places, &sorted));
    free(places);
    qn_part_list_fini(list);
    if (is_sorted)
        *list = sorted;
    else
        qn_part_list_fini(&sorted);
}

void qn_part_list_encode(qn_buffer *message, const qn_part_summary *summary, const int64_t *counted,
                         size_t counter_count)
{
    qn_buffer_append(message, summary, sizeof *summary);
    qn_buffer_append(message, counted, counter_count * sizeof *counted);
}

quern_status qn_part_list_decode(qn_part_list *list, const void *data, size_t bytes, qn_error *error)
{
    qn_part_summary summary;
    size_t counted_bytes = list->counter_count * sizeof *list->counted;
    int64_t *counted = malloc(counted_bytes + 1);
    quern_status status = QUERN_OK;
    if (!data || bytes != sizeof summary + counted_bytes)
        status = qn_error_set(error, QUERN_ERROR_INTERNAL, 0, "a control message about a part is too short");
    else if (!counted)
        status = qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to note a part");
    if (status == QUERN_OK) {
        memcpy(&summary, data, sizeof summary);
        memcpy(counted, (const uint8_t *)data + sizeof summary, counted_bytes);
        status = qn_part_list_add(list, &summary, counted, error);
    }
    free(counted);
    return status;
}

/* "number bytes records checksum content-bytes crc32", then what was counted. */
static json_t *pack_one(const qn_part_list *list, size_t at)
{
    const qn_part_summary *part = &list->items[at];
    size_t bytes = (NUMBERS + list->counter_count) * TEXT_BYTES_EACH + 1, used = 0;
    char *text = malloc(bytes);
    if (!text)
        return NULL;
    used +=
        (size_t)snprintf(text, bytes, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %016" PRIx64 " %" PRIu64 " %" PRIu32,
                         part->number, part->bytes, part->records, part->checksum, part->content_bytes, part->crc32);
    for (size_t i = 0; i < list->counter_count; i++)
        used += (size_t)snprintf(text + used, bytes - used, " %" PRId64, list->counted[at * list->counter_count + i]);
    QN_ASSERT(used < bytes);
    json_t *packed = json_string(text);
    free(text);
    return packed;
}

json_t *qn_part_list_pack(const qn_part_list *list)
{
    json_t *packed = json_array();
    bool is_whole = packed != NULL;
    for (size_t i = 0; is_whole && i < list->count; i++)
        is_whole = json_array_append_new(packed, pack_one(list, i)) == 0;
    if (is_whole)
        return packed;
    json_decref(packed);
    return NULL;
}

static bool parse_one(qn_part_list *list, const char *text, int64_t *counted, uint64_t part_count)
{
    qn_part_summary part = {0};
    qn_error ignored = {0};
    int used = 0;
    if (sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNx64 " %" SCNu64 " %" SCNu32 "%n", &part.number,
               &part.bytes, &part.records, &part.checksum, &part.content_bytes, &part.crc32, &used) != NUMBERS ||
        part.number >= part_count)
        return false;
    text += used;
    for (size_t i = 0; i < list->counter_count; i++, text += used)
        if (sscanf(text, " %" SCNd64 "%n", &counted[i], &used) != 1)
            return false;
    return *text == 0 && qn_part_list_add(list, &part, counted, &ignored) == QUERN_OK;
}

bool qn_part_list_parse(qn_part_list *list, const json_t *packed, uint64_t part_count)
{
    int64_t *counted = calloc(list->counter_count + 1, sizeof *counted);
    bool is_right = counted && json_is_array(packed);
    for (size_t i = 0; is_right && i < json_array_size(packed); i++) {
        const char *text = json_string_value(json_array_get(packed, i));
        is_right = text && parse_one(list, text, counted, part_count);
    }
    free(counted);
    if (is_right)
        qn_part_list_sort(list);
    else
        qn_part_list_fini(list);
    return is_right;
}
