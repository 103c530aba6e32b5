/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/settings.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/shuffle/shuffle.h"
#include "runtime/topology/memory_limit.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)

#define MEMORY_PERCENT        70 /* of what the node allows, by default: the rest is the system's and the page cache's */
#define READER_BYTES          (5 * MIB) /* a reader's buffer, operators, a part being written */
#define POOL_BYTES_MIN        (2 * MIB) /* below, every block would spill */
#define ROUND_BYTES_MIN       (64 * KIB)
#define ROUND_BYTES_MAX       (4 * MIB)
#define ROUND_PART            32 /* of the rank's memory; four such buffers exist */
#define BLOCK_BYTES_MIN       (8 * KIB)
#define BLOCK_BYTES_MAX       (256 * KIB)
#define MERGE_PART            8 /* of the rank's memory, for the blocks of all runs that are merged */
#define RECORD_PART           8
#define RECORD_BYTES_MAX      (1024 * MIB)
#define ATTEMPT_COUNT_DEFAULT 4
#define ATTEMPT_COUNT_MAX     8

static uint64_t clamp(uint64_t number, uint64_t least, uint64_t most)
{
    return number < least ? least : number > most ? most : number;
}

static uint64_t round_bytes_min(const qn_comm *comm)
{
    uint64_t all_chunks = (uint64_t)comm->size * QN_ROUNDS_CHUNK_BYTES_MIN;
    return all_chunks > ROUND_BYTES_MIN ? all_chunks : ROUND_BYTES_MIN;
}

static uint64_t fixed_bytes(const qn_settings *settings, const qn_comm *comm)
{
    return READER_BYTES + qn_shuffle_buffer_bytes(comm, settings->round_bytes) +
           QN_MERGE_FAN_IN_MAX * settings->block_bytes;
}

uint64_t qn_settings_pool_bytes(const qn_settings *settings, const qn_comm *comm, uint32_t live_count)
{
    return (settings->rank_memory_bytes - fixed_bytes(settings, comm)) / live_count;
}

static quern_status decide_memory(qn_settings *settings, const quern_options *options, const qn_comm *comm,
                                  qn_error *error)
{
    settings->memory_source = "option";
    settings->node_memory_bytes = options->memory_bytes;
    if (options->memory_bytes == 0) {
        qn_memory_limit limit;
        quern_status status = qn_memory_limit_query("", &limit, error);
        if (status != QUERN_OK)
            return status;
        settings->memory_source = limit.source;
        settings->node_memory_bytes = limit.bytes / 100 * MEMORY_PERCENT;
    }
    settings->rank_memory_bytes = settings->node_memory_bytes / comm->node_size;
    return QUERN_OK;
}

static void decide_buffers(qn_settings *settings, const quern_options *options, const qn_comm *comm)
{
    uint64_t rank_bytes = settings->rank_memory_bytes;
    uint64_t round_bytes =
        options->round_bytes ? options->round_bytes : clamp(rank_bytes / ROUND_PART, ROUND_BYTES_MIN, ROUND_BYTES_MAX);
    settings->round_bytes = clamp(round_bytes, round_bytes_min(comm), (uint64_t)1 << 30);
    settings->block_bytes =
        clamp(rank_bytes / MERGE_PART / QN_MERGE_FAN_IN_MAX, BLOCK_BYTES_MIN, BLOCK_BYTES_MAX) & ~(uint64_t)4095;
    settings->record_bytes_max =
        options->record_bytes_max ? options->record_bytes_max : clamp(rank_bytes / RECORD_PART, 1, RECORD_BYTES_MAX);
    settings->record_bytes_max = clamp(settings->record_bytes_max, 1, ((uint64_t)1 << 31) - 1);
}

static quern_status check_memory(const qn_settings *settings, const qn_comm *comm, qn_error *error)
{
    if (settings->rank_memory_bytes >= fixed_bytes(settings, comm) + POOL_BYTES_MIN)
        return QUERN_OK;
    /* With more memory the buffers become larger too, by a quarter of it at most: name what is enough for both. */
    uint64_t least_bytes = READER_BYTES + POOL_BYTES_MIN + QN_MERGE_FAN_IN_MAX * BLOCK_BYTES_MIN +
                           qn_shuffle_buffer_bytes(comm, settings->round_bytes);
    uint64_t need_bytes = least_bytes / 3 * 4;
    return qn_error_set(error, QUERN_ERROR_BUDGET, 0,
                        "memory of %llu MiB for the %u ranks of a node is too small: at least %llu MiB are needed",
                        (unsigned long long)(settings->node_memory_bytes / MIB), comm->node_size,
                        (unsigned long long)(need_bytes * comm->node_size / MIB + 1));
}

static const char *choose_scratch(const quern_options *options)
{
    if (options->scratch_dir)
        return options->scratch_dir;
    const char *by_user = getenv("TMPDIR");
    return by_user && *by_user ? by_user : "/var/tmp"; /* not /tmp, which may be memory */
}

/* The caller's memory need not live as long as the engine. */
static quern_status copy_texts(qn_settings *settings, const quern_options *options, qn_error *error)
{
    settings->scratch_dir = strdup(choose_scratch(options));
    settings->report_path = options->report_path ? strdup(options->report_path) : NULL;
    if (!settings->scratch_dir || (options->report_path && !settings->report_path))
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the texts of options");
    return QUERN_OK;
}

void qn_settings_fini(qn_settings *settings)
{
    free(settings->scratch_dir);
    free(settings->report_path);
    *settings = (qn_settings){0};
}

quern_status qn_settings_resolve(qn_settings *settings, const quern_options *options, const qn_comm *comm,
                                 qn_error *error)
{
    *settings = (qn_settings){
        .split_bytes = options->split_bytes,
        .attempt_count_max = options->attempt_count_max ? (uint32_t)options->attempt_count_max : ATTEMPT_COUNT_DEFAULT,
        .show_progress = options->progress == QUERN_ON,
        .pin = options->pin == QUERN_AUTO ? !comm->in_host : options->pin == QUERN_ON,
    };
    if (options->attempt_count_max > ATTEMPT_COUNT_MAX)
        return qn_error_set(error, QUERN_ERROR_INVALID_OPTION, 0, "attempts: %llu is not 1 to %d",
                            (unsigned long long)options->attempt_count_max, ATTEMPT_COUNT_MAX);
    quern_status status = copy_texts(settings, options, error);
    if (status == QUERN_OK)
        status = decide_memory(settings, options, comm, error);
    if (status != QUERN_OK)
        return status;
    decide_buffers(settings, options, comm);
    return check_memory(settings, comm, error);
}
