/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/bad_list.h"

#include <stdlib.h>
#include <string.h>

void qn_bad_list_clear(qn_bad_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        qn_buffer_fini(&list->items[i].texts);
    list->count = 0;
}

void qn_bad_list_fini(qn_bad_list *list)
{
    qn_bad_list_clear(list);
    free(list->items);
    *list = (qn_bad_list){0};
}

static qn_bad_item *add_item(qn_bad_list *list)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 16;
        qn_bad_item *items = realloc(list->items, capacity * sizeof *items);
        if (!items)
            return NULL;
        list->items = items;
        list->capacity = capacity;
    }
    return &list->items[list->count++];
}

void qn_bad_list_begin(qn_bad_list *list, const qn_content *content, uint64_t offset, const char *reason)
{
    qn_content_place place = qn_content_place_of(content, offset);
    qn_bad_list_begin_at(list, content->name, content->file, &place, reason);
}

void qn_bad_list_begin_at(qn_bad_list *list, const char *name, uint64_t file, const qn_content_place *place,
                          const char *reason)
{
    qn_bad_item *item = add_item(list);
    list->failed |= !item;
    if (!item)
        return;
    *item = (qn_bad_item){.file = file, .place = *place};
    qn_buffer_append(&item->texts, name, strlen(name) + 1);
    item->reason_at = item->texts.bytes;
    qn_buffer_append(&item->texts, reason, strlen(reason) + 1);
    item->raw_at = item->texts.bytes;
    list->failed |= item->texts.failed;
}

void qn_bad_list_add_raw(qn_bad_list *list, const void *data, size_t bytes)
{
    if (!list->keeps_raw || list->failed || list->count == 0 || bytes == 0)
        return;
    qn_bad_item *item = &list->items[list->count - 1];
    size_t room = QN_BAD_RAW_BYTES_MAX - (item->texts.bytes - item->raw_at);
    qn_buffer_append(&item->texts, data, bytes < room ? bytes : room);
    list->failed |= item->texts.failed;
}

void qn_bad_list_end(qn_bad_list *list, uint64_t bytes)
{
    if (list->count > 0)
        list->items[list->count - 1].bytes = bytes;
}

void qn_bad_list_tell_damage(qn_bad_list *list, qn_content *content, uint64_t offset, const void *data, size_t bytes)
{
    qn_bad_list_begin(list, content, offset, content->damage);
    qn_bad_list_add_raw(list, data, bytes);
    qn_bad_list_end(list, QN_BYTES_UNKNOWN);
    qn_content_forget_damage(content);
}

void qn_bad_list_tell_missing(qn_bad_list *list, qn_content *content)
{
    if (!content->damage)
        return;
    qn_bad_list_tell_damage(list, content, 0, NULL, 0);
    qn_content_leave(content);
}

void qn_bad_list_move(qn_bad_list *list, qn_bad_item *item)
{
    qn_bad_item *to = add_item(list);
    list->failed |= !to;
    if (to)
        *to = *item;
    else
        qn_buffer_fini(&item->texts);
}
