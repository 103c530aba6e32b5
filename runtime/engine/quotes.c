/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/quotes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/pages.h"
#include "runtime/io/row_grammar.h"

#define COUNT_BYTES ((size_t)1 << 20) /* read at once */

static bool leg_matters(const qn_stage *stage, uint32_t leg)
{
    if (stage->legs[leg].parent != QN_STAGE_NONE || qn_leg_source(stage, leg)->kind != QN_NODE_ROWS)
        return false;
    const qn_row_format *rows = &qn_leg_source(stage, leg)->of.records.rows;
    return rows->has_quotes && rows->has_quoted_newlines;
}

bool qn_quotes_matter(const qn_stage *stage)
{
    bool matter = false;
    for (uint32_t leg = 0; leg < stage->leg_count; leg++)
        matter |= leg_matters(stage, leg);
    return matter;
}

/* A split that ends within a file has a stretch: what it has of that file. Members of archives are not cut where quotes matter. */
static bool ends_within(const qn_task_leg *leg, const qn_split *split)
{
    return leg->listing.files[split->end_file].packing == QN_PACKING_NONE &&
           split->end_offset < leg->listing.files[split->end_file].bytes;
}

static void put_stretches(const qn_stage *stage, const qn_task_list *tasks, qn_buffer *to, uint64_t *count)
{
    *count = 0;
    for (uint32_t i = 0; i < tasks->leg_count; i++) {
        const qn_task_leg *leg = &tasks->legs[i];
        for (uint32_t at = 0; leg_matters(stage, i) && at < leg->splits.count; at++) {
            const qn_split *split = &leg->splits.items[at];
            const char *path = leg->listing.files[split->end_file].path;
            if (!ends_within(leg, split))
                continue;
            qn_buffer_append_u64(to, i);
            qn_buffer_append_u64(to, split->end_file == split->file ? split->offset : 0);
            qn_buffer_append_u64(to, split->end_offset);
            qn_buffer_append_span(to, path, strlen(path) + 1);
            (*count)++;
        }
    }
}

/* As below, of states: returns where the next leg's are. */
static const uint64_t *tell_states(const qn_stage *stage, uint32_t number, qn_task_leg *leg, const uint64_t *maps)
{
    qn_row_state state = QN_ROW_FIELD;
    for (uint32_t at = 0; leg_matters(stage, number) && at < leg->splits.count; at++) {
        qn_split *split = &leg->splits.items[at];
        state = split->offset > 0 ? state : QN_ROW_FIELD;
        split->row_state = (uint8_t)state;
        state = split->end_file == split->file ? state : QN_ROW_FIELD;
        if (ends_within(leg, split))
            state = qn_row_map_get((qn_row_map)*maps++, state);
    }
    return maps;
}

/* A stretch begins where the one before it ended, or at the begin of a file. */
static void tell_splits(const qn_stage *stage, uint32_t bad_legs, qn_task_list *tasks, const uint64_t *counts)
{
    for (uint32_t i = 0; i < tasks->leg_count; i++) {
        qn_task_leg *leg = &tasks->legs[i];
        bool quoted = false;
        if (bad_legs >> i & 1) {
            counts = tell_states(stage, i, leg, counts);
            continue;
        }
        for (uint32_t at = 0; leg_matters(stage, i) && at < leg->splits.count; at++) {
            qn_split *split = &leg->splits.items[at];
            quoted &= split->offset > 0;
            split->begins_quoted = quoted;
            quoted &= split->end_file == split->file;
            if (ends_within(leg, split))
                quoted ^= *counts++ & 1;
        }
    }
}

/* Bytes of a stretch, quotes or states. rows: of a leg whose bad rows are passed over; else NULL. */
static uint64_t count_bytes(const qn_row_format *rows, uint64_t begin, const uint8_t *data, size_t bytes,
                            uint64_t before)
{
    if (!rows)
        return before + qn_quotes_count(data, bytes);
    bool has_mark = begin == 0 && bytes >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0;
    size_t from = has_mark ? 3 : 0;
    return qn_row_map_run(rows, before, (const char *)data + from, bytes - from);
}

static quern_status count_stretch(const qn_row_format *rows, const char *path, uint64_t begin, uint64_t end,
                                  uint8_t *room, uint64_t *count_out, qn_error *error)
{
    *count_out = rows ? QN_ROW_MAP_NONE : 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return qn_error_set(error, QUERN_ERROR_INPUT, errno, "cannot open %s", path);
    quern_status status = QUERN_OK;
    room += qn_pages_place(begin);
    for (size_t got = 1; begin < end && got > 0 && status == QUERN_OK; begin += got) {
        size_t wanted = end - begin < COUNT_BYTES ? (size_t)(end - begin) : COUNT_BYTES;
        status = qn_file_read_at(fd, room, wanted, begin, path, QUERN_ERROR_INPUT, &got, error);
        *count_out = status == QUERN_OK ? count_bytes(rows, begin, room, got, *count_out) : 0;
    }
    close(fd);
    return status;
}

/* This rank's share of the stretches: stretch i is of rank i modulo their number. */
static quern_status count_share(const qn_comm *comm, const qn_stage *stage, uint32_t bad_legs, const void *stretches,
                                size_t bytes, uint64_t *counts, qn_error *error)
{
    qn_reader reader = qn_reader_of(stretches, bytes);
    uint8_t *room = aligned_alloc(QN_PAGE_SMALL_BYTES, COUNT_BYTES + QN_PAGE_SMALL_BYTES);
    quern_status status = room ? QUERN_OK : qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to count quotes");
    for (uint64_t i = 0; reader.left_bytes > 0 && !reader.failed && status == QUERN_OK; i++) {
        size_t path_bytes = 0;
        uint64_t leg = qn_reader_u64(&reader), begin = qn_reader_u64(&reader), end = qn_reader_u64(&reader);
        const char *path = qn_reader_span(&reader, &path_bytes);
        if (reader.failed || i % comm->size != comm->rank)
            continue;
        const qn_row_format *rows = &qn_leg_source(stage, (uint32_t)leg)->of.records.rows;
        status = count_stretch(bad_legs >> leg & 1 ? rows : NULL, path, begin, end, room, &counts[i], error);
    }
    free(room);
    return status;
}

quern_status qn_quotes_learn(qn_comm *comm, const qn_stage *stage, uint32_t bad_legs, qn_task_list *tasks,
                             qn_error *error)
{
    qn_buffer stretches = {0};
    uint64_t sizes[2] = {0};
    uint64_t *counts = NULL;
    uint8_t *received = NULL;
    if (tasks)
        put_stretches(stage, tasks, &stretches, &sizes[0]);
    sizes[1] = stretches.bytes;
    quern_status status = qn_comm_broadcast(comm, sizes, sizeof sizes, 0, error);
    if (status == QUERN_OK) {
        counts = calloc(sizes[0] + 1, sizeof *counts);
        received = tasks ? stretches.data : malloc(sizes[1] + 1);
        if (!counts || (!received && sizes[1] > 0) || stretches.failed)
            qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to count quotes");
        status = sizes[0] > 0 ? qn_comm_agree(comm, error) : QUERN_OK;
    }
    if (status == QUERN_OK && sizes[0] > 0) {
        status = qn_comm_broadcast(comm, received, sizes[1], 0, error);
        if (status == QUERN_OK)
            count_share(comm, stage, bad_legs, received, sizes[1], counts, error);
        status = qn_comm_agree(comm, error);
    }
    if (status == QUERN_OK && sizes[0] > 0)
        status = qn_comm_reduce_sum(comm, counts, sizes[0], error);
    if (status == QUERN_OK && tasks)
        tell_splits(stage, bad_legs, tasks, counts);
    if (!tasks)
        free(received);
    free(counts);
    qn_buffer_fini(&stretches);
    return status;
}
