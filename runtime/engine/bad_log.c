/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/bad_log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

qn_bad_limit qn_bad_limit_of(const qn_settings *settings, const qn_node *source)
{
    qn_bad_limit limit = source->bad;
    if (limit.policy == QUERN_BAD_DEFAULT)
        limit = (qn_bad_limit){settings->bad_policy, settings->bad_count_max};
    if (limit.policy == QUERN_BAD_DEFAULT || source->kind > QN_NODE_FILES)
        limit.policy = QUERN_BAD_FAIL;
    return limit;
}

uint32_t qn_bad_legs(const qn_settings *settings, const qn_stage *stage)
{
    static_assert(QN_LEG_COUNT_MAX <= 32, "each leg has a bit");
    uint32_t legs = 0;
    for (uint32_t leg = 0; leg < stage->leg_count; leg++) {
        qn_bad_limit limit = qn_bad_limit_of(settings, qn_leg_source(stage, leg));
        legs |= (uint32_t)qn_bad_limit_passes(&limit) << leg;
    }
    return legs;
}

bool qn_bad_are_set_apart(const qn_settings *settings, const qn_stages *stages)
{
    for (uint32_t i = 0; i < stages->count; i++)
        for (uint32_t leg = 0; leg < stages->items[i].leg_count; leg++)
            if (qn_bad_limit_of(settings, qn_leg_source(&stages->items[i], leg)).policy == QUERN_BAD_QUARANTINE)
                return true;
    return false;
}

void qn_bad_log_init(qn_bad_log *log, const qn_bad_limit *limit, const char *source, uint32_t stage,
                     qn_quarantine *quarantine)
{
    *log = (qn_bad_log){.limit = *limit, .source = source, .stage = stage, .quarantine = quarantine};
}

void qn_bad_log_fini(qn_bad_log *log)
{
    qn_bad_list_fini(&log->waiting);
}

static int order_numbers(uint64_t left, uint64_t right)
{
    return (left > right) - (left < right);
}

static int order_places(const qn_bad_place *left, const qn_bad_place *right)
{
    int order = order_numbers(left->file, right->file);
    if (order == 0)
        order = order_numbers(left->at.entry, right->at.entry);
    if (order == 0)
        order = order_numbers(left->at.unit, right->at.unit);
    if (order == 0)
        order = order_numbers(left->at.offset, right->at.offset);
    return order == 0 ? strcmp(left->reason, right->reason) : order;
}

/* Of an archive only its path is a file: a member's name behind it, and what is read in pieces has just both in one. */
static uint32_t find_path(const char *name)
{
    char path[QN_BAD_NAME_BYTES_MAX];
    struct stat facts;
    size_t bytes = strlen(name);
    for (size_t at = 1; at < bytes && at < sizeof path; at++) {
        if (name[at] != '/')
            continue;
        snprintf(path, sizeof path, "%.*s", (int)at, name);
        if (stat(path, &facts) != 0)
            break;
        if (S_ISREG(facts.st_mode))
            return (uint32_t)at;
    }
    return (uint32_t)bytes;
}

static qn_bad_place place_of(const qn_bad_item *item)
{
    qn_bad_place place = {.file = item->file, .bytes = item->bytes, .at = item->place};
    snprintf(place.name, sizeof place.name, "%s", qn_bad_item_name(item));
    snprintf(place.reason, sizeof place.reason, "%s", qn_bad_item_reason(item));
    place.path_bytes = find_path(place.name);
    return place;
}

static void note_place(qn_bad_log *log, const qn_bad_place *place)
{
    uint32_t at = log->listed_count;
    while (at > 0 && order_places(place, &log->listed[at - 1]) < 0)
        at--;
    if (at == QN_BAD_LISTED_MAX)
        return;
    uint32_t behind = log->listed_count - at - (log->listed_count == QN_BAD_LISTED_MAX);
    memmove(&log->listed[at + 1], &log->listed[at], behind * sizeof *place);
    log->listed[at] = *place;
    log->listed_count += log->listed_count < QN_BAD_LISTED_MAX;
}

static void note_last(qn_bad_log *log, const qn_bad_place *place, uint64_t count)
{
    if (log->count == 0 || order_places(place, &log->last) > 0)
        log->last = *place;
    log->count += count;
}

quern_status qn_bad_limit_exceed(const qn_bad_limit *limit, uint64_t count, const char *source, const char *where,
                                 const char *last, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_BAD_RECORDS, 0,
                        "%llu bad records of '%s'%s, more than %llu; the last one at %s", (unsigned long long)count,
                        source, where, (unsigned long long)limit->count_max, last);
}

static void describe_last(const qn_bad_log *log, char *text, size_t text_bytes)
{
    const qn_bad_place *last = &log->last;
    char unit[64] = "";
    if (last->at.unit > 0)
        snprintf(unit, sizeof unit, "what is unpacked from byte %llu on of ", (unsigned long long)last->at.unit);
    snprintf(text, text_bytes, "byte %llu of %s%s: %s", (unsigned long long)last->at.offset, unit, last->name,
             last->reason);
}

quern_status qn_bad_log_check(const qn_bad_log *log, const char *where, qn_error *error)
{
    char last[QN_BAD_TEXT_BYTES_MAX];
    if (log->count <= log->limit.count_max)
        return QUERN_OK;
    describe_last(log, last, sizeof last);
    return qn_bad_limit_exceed(&log->limit, log->count, log->source, where, last, error);
}

uint64_t qn_bad_log_tell(qn_bad_log *log, char *text, size_t text_bytes)
{
    uint64_t count = log->count - log->told_count;
    text[0] = 0;
    if (count > 0)
        describe_last(log, text, text_bytes);
    log->told_count = log->count;
    return count;
}

static quern_status count_items(qn_bad_log *log, qn_bad_list *list, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (size_t i = 0; i < list->count && status == QUERN_OK; i++) {
        qn_bad_place place = place_of(&list->items[i]);
        note_last(log, &place, 1);
        note_place(log, &place);
        if (log->limit.policy == QUERN_BAD_QUARANTINE)
            status =
                qn_quarantine_put(log->quarantine, log->source, log->stage, place.path_bytes, &list->items[i], error);
    }
    qn_bad_list_clear(list);
    return status == QUERN_OK ? qn_bad_log_check(log, " on this rank alone", error) : status;
}

quern_status qn_bad_log_take(qn_bad_log *log, qn_bad_list *list, bool waits, qn_error *error)
{
    if (list->count == 0)
        return QUERN_OK;
    if (!waits)
        return count_items(log, list, error);
    for (size_t i = 0; i < list->count; i++)
        qn_bad_list_move(&log->waiting, &list->items[i]);
    list->count = 0;
    if (log->waiting.failed)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for bad records");
    return log->count + log->waiting.count > log->limit.count_max ? count_items(log, &log->waiting, error) : QUERN_OK;
}

quern_status qn_bad_log_settle(qn_bad_log *log, qn_error *error)
{
    return count_items(log, &log->waiting, error);
}

void qn_bad_log_drop(qn_bad_log *log)
{
    qn_bad_list_clear(&log->waiting);
}

/* What a rank tells: without its own pointers. */
typedef struct told_log {
    uint64_t count;
    uint32_t listed_count;
    qn_bad_place listed[QN_BAD_LISTED_MAX], last;
} told_log;

static void merge(qn_bad_log *all, const told_log *told)
{
    if (told->count > 0)
        note_last(all, &told->last, told->count);
    for (uint32_t i = 0; i < told->listed_count; i++)
        note_place(all, &told->listed[i]);
}

quern_status qn_bad_log_gather(const qn_bad_log *log, qn_comm *comm, qn_bad_log *all_out, qn_error *error)
{
    told_log *mine = calloc(1, sizeof *mine), *told = calloc(comm->rank == 0 ? comm->size : 1, sizeof *told);
    if (!mine || !told)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the report");
    quern_status status = qn_comm_agree(comm, error);
    qn_bad_log_init(all_out, &log->limit, log->source, log->stage, NULL);
    if (status == QUERN_OK) {
        *mine = (told_log){.count = log->count, .listed_count = log->listed_count, .last = log->last};
        memcpy(mine->listed, log->listed, sizeof mine->listed);
        status = qn_comm_gather(comm, mine, sizeof *mine, comm->rank == 0 ? told : NULL, error);
    }
    for (uint32_t rank = 0; status == QUERN_OK && comm->rank == 0 && rank < comm->size; rank++)
        merge(all_out, &told[rank]);
    free(mine);
    free(told);
    return status;
}
