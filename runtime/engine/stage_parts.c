/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/stage_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/io/file_sum.h"

#define AT_ONCE ((size_t)1 << 16) /* parts, in a message or a sum */

/* Why a part is made again. */
enum { GONE = 1, OTHER_SIZE, OTHER_SUM, WHY_COUNT };

static uint64_t look_at(const qn_part_summary *part, const char *path)
{
    struct stat about;
    qn_error failure = {0};
    uint64_t checksum = 0;
    if (lstat(path, &about) != 0 || !S_ISREG(about.st_mode))
        return GONE;
    if ((uint64_t)about.st_size != part->bytes)
        return OTHER_SIZE;
    quern_status status = qn_file_sync_and_sum(path, 0, part->bytes, &checksum, &failure);
    return status == QUERN_OK && checksum == part->checksum ? 0 : OTHER_SUM;
}

static char *path_of(const qn_stage_run *run, const qn_part_summary *part)
{
    return qn_part_temporary_path(run->writer->sink->directory, part->number, run->kept->part_count,
                                  run->writer->token);
}

/* This rank's share. */
static quern_status look_at_share(const qn_stage_run *run, uint64_t *bad, qn_error *error)
{
    static const char *const reasons[] = {
        [GONE] = "is gone", [OTHER_SIZE] = "has another size", [OTHER_SUM] = "has another checksum"};
    const qn_part_list *list = &run->kept->list;
    const qn_comm *comm = run->engine->comm;
    for (size_t i = comm->rank; i < list->count; i += comm->size) {
        char *path = path_of(run, &list->items[i]);
        if (!path)
            return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a file name");
        bad[i] = look_at(&list->items[i], path);
        if (bad[i]) {
            qn_log_line(&run->engine->log, "checkpoint: part %" PRIu64 " of %s is made again: it %s",
                        list->items[i].number, run->writer->sink->directory, reasons[bad[i]]);
            unlink(path);
        }
        free(path);
    }
    return QUERN_OK;
}

static quern_status share_list(qn_part_list *list, qn_comm *comm, qn_error *error)
{
    uint64_t count = list->count;
    quern_status status = qn_comm_broadcast(comm, &count, sizeof count, 0, error);
    if (status == QUERN_OK && comm->rank != 0) {
        list->items = calloc(count + 1, sizeof *list->items);
        list->counted = calloc(count * list->counter_count + 1, sizeof *list->counted); /* known to rank 0 only */
        list->count = list->capacity = count;
    }
    if ((!list->items || !list->counted) && count > 0)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the parts of an output");
    if (status == QUERN_OK)
        status = qn_comm_agree(comm, error);
    for (size_t at = 0; status == QUERN_OK && at < count; at += AT_ONCE) {
        size_t more = count - at < AT_ONCE ? count - at : AT_ONCE;
        status = qn_comm_broadcast(comm, &list->items[at], more * sizeof *list->items, 0, error);
    }
    return status;
}

static quern_status share_bad(uint64_t *bad, size_t count, qn_comm *comm, qn_error *error)
{
    quern_status status = qn_comm_agree(comm, error);
    for (size_t at = 0; status == QUERN_OK && at < count; at += AT_ONCE)
        status = qn_comm_reduce_max(comm, bad + at, count - at < AT_ONCE ? count - at : AT_ONCE, error);
    return status;
}

static void say_bad(const qn_stage_run *run, const uint64_t *bad)
{
    const qn_engine *engine = run->engine;
    uint64_t counts[WHY_COUNT] = {0};
    for (size_t i = 0; i < run->kept->list.count; i++)
        counts[bad[i] < WHY_COUNT ? bad[i] : 0]++;
    uint64_t all = counts[GONE] + counts[OTHER_SIZE] + counts[OTHER_SUM];
    if (engine->comm->rank == 0 && all > 0)
        qn_progress_say(&run->engine->progress,
                        "checkpoint: %" PRIu64 " parts of %s are made again: %" PRIu64 " are gone, %" PRIu64
                        " have another size, %" PRIu64 " another checksum",
                        all, run->writer->sink->directory, counts[GONE], counts[OTHER_SIZE], counts[OTHER_SUM]);
}

quern_status qn_stage_verify_parts(qn_stage_run *run, qn_error *error)
{
    qn_comm *comm = run->engine->comm;
    quern_status status = share_list(&run->kept->list, comm, error);
    uint64_t *bad = status == QUERN_OK ? calloc(run->kept->list.count + 1, sizeof *bad) : NULL;
    if (status == QUERN_OK)
        status = qn_comm_broadcast(comm, &run->kept->part_count, sizeof run->kept->part_count, 0, error);
    if (status != QUERN_OK) {
        free(bad);
        return status;
    }
    if (bad)
        look_at_share(run, bad, error);
    else
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the parts of an output");
    status = share_bad(bad, run->kept->list.count, comm, error);
    if (status == QUERN_OK) {
        say_bad(run, bad);
        qn_part_list_drop(&run->kept->list, bad);
    }
    free(bad);
    return status;
}

/* They count as if they had been made now. Rank 0. */
static quern_status count_again(qn_stage_run *run, qn_error *error)
{
    const qn_part_list *list = &run->kept->list;
    quern_status status = QUERN_OK;
    uint64_t records = 0;
    for (size_t i = 0; i < list->count && status == QUERN_OK; i++) {
        const int64_t *counted = list->counted + i * list->counter_count;
        for (struct quern_counter *counter = run->engine->counters; counter; counter = counter->next)
            counter->sum += *counted++;
        records += list->items[i].records;
        status = qn_part_list_add(&run->master.made, &list->items[i], list->counted + i * list->counter_count, error);
    }
    run->notes.taken_up = list->count;
    qn_progress_say(&run->engine->progress,
                    "checkpoint: stage %u of run %u goes on with %zu of %" PRIu64 " parts of %s, %" PRIu64 " records",
                    run->index, run->engine->checkpoint.run, list->count, run->kept->part_count,
                    run->writer->sink->directory, records);
    return status;
}

static void remove_share(const qn_stage_run *run)
{
    const qn_part_list *list = &run->kept->list;
    const qn_comm *comm = run->engine->comm;
    for (size_t i = comm->rank; i < list->count; i += comm->size) {
        char *path = path_of(run, &list->items[i]);
        if (path)
            unlink(path);
        free(path);
    }
    if (comm->rank == 0)
        qn_progress_say(&run->engine->progress,
                        "checkpoint: the output %s begins again: its input is cut in another way",
                        run->writer->sink->directory);
}

quern_status qn_stage_take_up_parts(qn_stage_run *run, bool goes_on, qn_error *error)
{
    const qn_part_list *list = &run->kept->list;
    qn_comm *comm = run->engine->comm;
    quern_status status = QUERN_OK;
    run->kept->is_settled = true;
    if (!goes_on)
        remove_share(run);
    for (size_t i = comm->rank; goes_on && i < list->count && status == QUERN_OK; i += comm->size)
        status = qn_sink_writer_take_up(run->writer, &list->items[i], run->kept->part_count, error);
    if (status == QUERN_OK && goes_on && comm->rank == 0)
        count_again(run, error);
    return qn_comm_agree(comm, error);
}

quern_status qn_stage_check_outputs(void *user, qn_error *error)
{
    const qn_stage_run *run = user;
    quern_status status = QUERN_OK;
    for (uint32_t i = 0; i < run->stages->count && status == QUERN_OK; i++)
        status = qn_output_check_not_lost(&run->writers[i].output, error);
    return status;
}

quern_status qn_stage_describe_part(const qn_stage_run *run, qn_buffer *part_out, qn_error *error)
{
    const qn_sink_writer *writer = run->writer;
    *part_out = (qn_buffer){0};
    if (!run->notes_parts)
        return QUERN_OK;
    size_t count = qn_counter_count(run->engine->counters);
    int64_t *counted = calloc(count + 1, sizeof *counted), *next = counted;
    for (const struct quern_counter *counter = run->engine->counters; counted && counter; counter = counter->next)
        *next++ = counter->sum - counter->marked;
    if (counted)
        qn_part_list_encode(part_out, &writer->parts[writer->part_count - 1].summary, counted, count);
    bool has_failed = !counted || part_out->failed;
    free(counted);
    return has_failed ? qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to tell of a part") : QUERN_OK;
}
