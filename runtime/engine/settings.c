/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/engine/allocation.h"
#include "runtime/engine/scratch_choice.h"
#include "runtime/shuffle/shuffle.h"
#include "runtime/topology/memory_limit.h"
#include "scheduler/scheduler.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)

#define READER_BYTES            (11 * MIB / 2) /* a reader's buffer, operators, a part being written, plan and report */
#define POOL_BYTES_MIN          (2 * MIB)      /* below, every block would spill */
#define POOL_BYTES_MIN_MANY     (1 * MIB)      /* of each of several reductions: most of them only wait to be read */
#define ROUND_BYTES_MIN         (64 * KIB)
#define ROUND_BYTES_MAX         (4 * MIB)
#define ROUND_BYTES_LIMIT       (1024 * MIB) /* of what is asked for */
#define ROUND_PART              32           /* of a reduction's share; four such buffers exist, or six */
#define BLOCK_BYTES_MIN         (8 * KIB)
#define BLOCK_BYTES_MAX         (256 * KIB)
#define MERGE_PART              8 /* of a reduction's share, for the blocks of all runs that are merged */
#define RECORD_PART             8
#define KEPT_PART               8  /* of the rank's memory, for the rows of top k */
#define COLLECTED_PART          4  /* of the same, for collected records */
#define HELD_PART               64 /* of the rank's memory, for records of a block that may turn out to be bad */
#define HELD_BYTES_MIN          (1 * MIB)
#define HELD_BYTES_MAX          (64 * MIB)
#define KEPT_EIGHTHS_MAX        5 /* both, and what is broadcast */
#define RECORD_BYTES_MAX        (1024 * MIB)
#define BROADCAST_BYTES_DEFAULT (256 * MIB)
#define ATTEMPT_COUNT_DEFAULT   4
#define ATTEMPT_COUNT_MAX       8
#define TASK_TIMEOUT_S_MAX      1000000000
#define SHUFFLE_LEVELS_MAX      2
#define TASK_BATCH_MAX          (QN_SCHED_IN_HAND_MAX / 2)
#define NODE_MTBF_MS            (UINT64_C(30) * 24 * 3600 * 1000)
#define HANG_WARNING_MS_DEFAULT (UINT64_C(60) * 1000)
#define HANG_TIMEOUT_MS_DEFAULT (UINT64_C(20) * 60 * 1000)
#define HANG_MS_MIN             UINT64_C(1000)
#define HANG_MS_MAX             (UINT64_C(100) * 365 * 86400 * 1000)

static uint64_t clamp(uint64_t number, uint64_t least, uint64_t most)
{
    return number < least ? least : number > most ? most : number;
}

/* With very many ranks chunks are smaller than they should be, as long as their memory is no more than it is with fewer. */
static uint64_t round_bytes_min(const qn_comm *comm, uint64_t by_memory)
{
    uint64_t all_chunks = clamp(by_memory, (uint64_t)comm->size * QN_ROUNDS_CHUNK_BYTES_MIN,
                                (uint64_t)comm->size * QN_ROUNDS_CHUNK_BYTES_GOOD);
    return all_chunks > ROUND_BYTES_MIN ? all_chunks : ROUND_BYTES_MIN;
}

static uint64_t pool_bytes_min(uint32_t live_count)
{
    return live_count == 1 ? POOL_BYTES_MIN : POOL_BYTES_MIN_MANY;
}

/* All ranks must come to the same. */
static uint64_t choose_round_bytes(const qn_settings *settings, const qn_comm *comm, uint32_t live_count)
{
    uint64_t by_memory = settings->least_rank_memory_bytes / live_count / ROUND_PART;
    uint64_t wanted =
        settings->round_bytes ? settings->round_bytes : clamp(by_memory, ROUND_BYTES_MIN, ROUND_BYTES_MAX);
    return clamp(wanted, round_bytes_min(comm, by_memory), ROUND_BYTES_LIMIT);
}

static uint64_t choose_block_bytes(const qn_settings *settings, uint32_t live_count)
{
    uint64_t by_memory = settings->rank_memory_bytes / live_count / MERGE_PART / QN_MERGE_FAN_IN_MAX;
    return clamp(by_memory, BLOCK_BYTES_MIN, BLOCK_BYTES_MAX) & ~(uint64_t)4095;
}

/* With more memory the buffers become larger too, by a quarter of it at most, and so does what is kept beside the reductions, by
 * as many eighths of it as now: names what is enough for all. */
static quern_status refuse_memory(const qn_settings *settings, const qn_comm *comm, uint32_t live_count,
                                  uint64_t kept_bytes, uint64_t round_bytes, qn_error *error)
{
    uint64_t least_bytes =
        READER_BYTES + live_count * (pool_bytes_min(live_count) + QN_MERGE_FAN_IN_MAX * BLOCK_BYTES_MIN +
                                     qn_shuffle_buffer_bytes(comm, round_bytes));
    kept_bytes += settings->held_bytes;
    uint64_t kept_eighths =
        kept_bytes > 0 ? clamp(1 + (kept_bytes - 1) / (settings->rank_memory_bytes / 8), 1, KEPT_EIGHTHS_MAX) : 0;
    uint64_t need_bytes = least_bytes / (6 - kept_eighths) * 8;
    char what[64] = "";
    if (live_count > 1)
        snprintf(what, sizeof what, " and %u reductions at the same time", live_count);
    return qn_error_set(error, QUERN_ERROR_BUDGET, 0,
                        "memory of %llu MiB for the %u ranks of a node%s is too small: at least %llu MiB are needed",
                        (unsigned long long)(settings->node_memory_bytes / MIB), comm->node_size, what,
                        (unsigned long long)(need_bytes * comm->node_size / MIB + 1));
}

quern_status qn_settings_share(const qn_settings *settings, const qn_comm *comm, uint32_t live_count,
                               uint64_t kept_bytes, qn_memory_share *share_out, qn_error *error)
{
    uint64_t round_bytes = choose_round_bytes(settings, comm, live_count);
    uint64_t block_bytes = choose_block_bytes(settings, live_count);
    uint64_t fixed_bytes = qn_shuffle_buffer_bytes(comm, round_bytes) + QN_MERGE_FAN_IN_MAX * block_bytes;
    uint64_t apart_bytes = READER_BYTES + kept_bytes + settings->held_bytes;
    uint64_t memory_bytes = settings->rank_memory_bytes;
    uint64_t each_bytes = memory_bytes > apart_bytes ? (memory_bytes - apart_bytes) / live_count : 0;
    if (each_bytes < fixed_bytes + pool_bytes_min(live_count))
        return refuse_memory(settings, comm, live_count, kept_bytes, round_bytes, error);
    *share_out = (qn_memory_share){each_bytes - fixed_bytes, round_bytes, block_bytes};
    return QUERN_OK;
}

uint64_t qn_settings_cached_bytes_max(const qn_settings *settings, const qn_comm *comm, uint32_t live_count,
                                      uint64_t kept_bytes)
{
    uint64_t apart_bytes = READER_BYTES + kept_bytes + settings->held_bytes, memory_bytes = settings->rank_memory_bytes;
    uint64_t room_bytes = memory_bytes > apart_bytes ? memory_bytes - apart_bytes : 0;
    uint64_t round_bytes = choose_round_bytes(settings, comm, live_count);
    uint64_t fixed_bytes =
        qn_shuffle_buffer_bytes(comm, round_bytes) + QN_MERGE_FAN_IN_MAX * choose_block_bytes(settings, live_count);
    uint64_t least_bytes = live_count * (fixed_bytes + pool_bytes_min(live_count));
    uint64_t left_bytes = room_bytes > least_bytes ? room_bytes - least_bytes : 0;
    return left_bytes < room_bytes / 2 ? left_bytes : room_bytes / 2;
}

uint64_t qn_settings_held_bytes_max(const qn_settings *settings)
{
    return clamp(settings->least_rank_memory_bytes / HELD_PART, HELD_BYTES_MIN, HELD_BYTES_MAX);
}

uint64_t qn_settings_kept_bytes_max(const qn_settings *settings)
{
    return settings->rank_memory_bytes / KEPT_PART;
}

uint64_t qn_settings_collected_bytes_max(const qn_settings *settings, bool reduces)
{
    uint64_t memory_bytes = settings->rank_memory_bytes - settings->held_bytes;
    QN_ASSERT(settings->held_bytes < settings->rank_memory_bytes && memory_bytes > READER_BYTES);
    return reduces ? memory_bytes / COLLECTED_PART : (memory_bytes - READER_BYTES) / COLLECTED_PART * 3;
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
        settings->memory_is_machines = limit.is_physical;
        settings->node_memory_bytes = limit.bytes / 100 * QN_SETTINGS_MEMORY_PERCENT;
    }
    settings->rank_memory_bytes = settings->node_memory_bytes / comm->node_size;
    return QUERN_OK;
}

static void decide_bounds(qn_settings *settings, const quern_options *options)
{
    settings->least_rank_memory_bytes = settings->rank_memory_bytes; /* until the ranks told each other */
    settings->least_node_memory_bytes = settings->node_memory_bytes; /* the same */
    settings->round_bytes = options->round_bytes;
    settings->record_bytes_max = options->record_bytes_max
                                     ? options->record_bytes_max
                                     : clamp(settings->rank_memory_bytes / RECORD_PART, 1, RECORD_BYTES_MAX);
    settings->record_bytes_max = clamp(settings->record_bytes_max, 1, ((uint64_t)1 << 31) - 1);
}

/* What is asked for, or has its place in the job directory; NULL: neither, or no memory. */
static char *choose_path(const char *path, const char *job_dir, const char *name)
{
    char *joined = NULL;
    if (path || !job_dir)
        return path ? strdup(path) : NULL;
    return asprintf(&joined, "%s/%s", job_dir, name) < 0 ? NULL : joined;
}

/* The caller's memory need not live as long as the engine. */
static quern_status copy_texts(qn_settings *settings, const quern_options *options, qn_error *error)
{
    const char *job_dir = options->job_dir;
    settings->scratch_dir = strdup(qn_scratch_choose(options->scratch_dir));
    settings->job_dir = job_dir ? strdup(job_dir) : NULL;
    settings->node_local = options->node_local ? strdup(options->node_local) : NULL;
    settings->report_path = choose_path(options->report_path, job_dir, "report.json");
    settings->log_path = choose_path(options->log_path, job_dir, "log");
    settings->quarantine_dir = options->quarantine_dir ? strdup(options->quarantine_dir) : NULL;
    settings->checkpoint_dir = options->checkpoint_dir ? strdup(options->checkpoint_dir) : NULL;
    if (!settings->scratch_dir || (options->checkpoint_dir && !settings->checkpoint_dir) ||
        (job_dir && !settings->job_dir) || (options->node_local && !settings->node_local) ||
        ((options->report_path || job_dir) && !settings->report_path) ||
        ((options->log_path || job_dir) && !settings->log_path) ||
        (options->quarantine_dir && !settings->quarantine_dir))
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the texts of options");
    return QUERN_OK;
}

/* fail, skip:N, quarantine:N */
static quern_status decide_bad(qn_settings *settings, const char *text, qn_error *error)
{
    static const char *const words[] = {[QUERN_BAD_SKIP] = "skip:", [QUERN_BAD_QUARANTINE] = "quarantine:"};
    settings->bad_policy = QUERN_BAD_FAIL;
    if (!text || strcmp(text, "fail") == 0)
        return QUERN_OK;
    for (int policy = QUERN_BAD_SKIP; policy <= QUERN_BAD_QUARANTINE; policy++) {
        const char *number = text + strlen(words[policy]);
        char *end = NULL;
        if (strncmp(text, words[policy], strlen(words[policy])) != 0 || *number < '0' || *number > '9')
            continue;
        errno = 0;
        settings->bad_count_max = strtoull(number, &end, 10);
        settings->bad_policy = (quern_bad_policy)policy;
        if (*end == 0 && errno == 0 && settings->bad_count_max > 0)
            return QUERN_OK;
    }
    return qn_error_set(error, QUERN_ERROR_INVALID_OPTION, 0,
                        "bad-records: '%s' is not fail, skip:N or quarantine:N, with a number above 0", text);
}

/* A callback that takes long is not known to hang, and a host's processes are not ours to end, unless the user says so. */
static void decide_hang(qn_settings *settings, const quern_options *options, const qn_comm *comm)
{
    uint64_t timeout_ms = options->hang_timeout_ms ? options->hang_timeout_ms : HANG_TIMEOUT_MS_DEFAULT;
    uint64_t warning_ms = options->hang_warning_ms ? options->hang_warning_ms : HANG_WARNING_MS_DEFAULT;
    timeout_ms = clamp(timeout_ms, HANG_MS_MIN, HANG_MS_MAX);
    settings->hang_warning_ns = clamp(warning_ms, HANG_MS_MIN, timeout_ms) * QN_NS_PER_MS;
    settings->hang_timeout_ns = comm->in_host && options->hang_timeout_ms == 0 ? 0 : timeout_ms * QN_NS_PER_MS;
    settings->hang_in_callback = options->hang_timeout_ms != 0;
}

/* A process alone has nobody to lose. */
static quern_status decide_recovery(qn_settings *settings, quern_switch asked, const qn_comm *comm, qn_error *error)
{
    bool can = comm->tells_losses && comm->threads_allowed;
    settings->recovers = can && (asked == QUERN_ON || (asked != QUERN_OFF && !comm->in_host));
    if (asked != QUERN_ON || can || comm->size == 1)
        return QUERN_OK;
    return qn_error_set(error, QUERN_ERROR_INVALID_OPTION, 0,
                        "recover: this MPI does not tell of ranks that die: it takes Open MPI 5, started as mpirun "
                        "--with-ft ulfm%s",
                        comm->tells_losses ? ", with MPI_THREAD_MULTIPLE" : "");
}

void qn_settings_fini(qn_settings *settings)
{
    free(settings->scratch_dir);
    free(settings->job_dir);
    free(settings->node_local);
    free(settings->report_path);
    free(settings->log_path);
    free(settings->quarantine_dir);
    free(settings->checkpoint_dir);
    qn_cipher_destroy(settings->cipher);
    *settings = (qn_settings){0};
}

quern_status qn_settings_resolve(qn_settings *settings, const quern_options *options, const qn_comm *comm,
                                 qn_error *error)
{
    *settings = (qn_settings){
        .split_bytes = options->split_bytes,
        .attempt_count_max = options->attempt_count_max ? (uint32_t)options->attempt_count_max : ATTEMPT_COUNT_DEFAULT,
        .explain = options->explain,
        .resumes = options->resume == QUERN_ON,
        .show_progress = options->progress == QUERN_ON,
        .check = options->check == QUERN_ON,
        .verify_network = options->verify_network,
        .shuffle_levels = (uint32_t)options->shuffle_levels,
        .shuffle_compression = options->shuffle_compression,
        .task_batch = (uint32_t)options->task_batch,
        .speculate = options->speculate,
        .broadcast_bytes = options->broadcast_bytes ? options->broadcast_bytes : BROADCAST_BYTES_DEFAULT,
        .shares_memory = options->shared_memory != QUERN_OFF,
        .tells_crash = options->crash_report == QUERN_AUTO ? !comm->in_host : options->crash_report == QUERN_ON,
        .isolate = options->isolate == QUERN_ON,
        .pin = options->pin == QUERN_AUTO ? !comm->in_host : options->pin == QUERN_ON,
    };
    if (settings->resumes && !options->checkpoint_dir)
        return qn_error_set(error, QUERN_ERROR_INVALID_OPTION, 0,
                            "resume: name the checkpoint by the option checkpoint");
    if (options->deadline_ms > 0 && !options->checkpoint_dir)
        return qn_error_set(error, QUERN_ERROR_INVALID_OPTION, 0,
                            "deadline: name what to save to by the option checkpoint");
    if (options->attempt_count_max > ATTEMPT_COUNT_MAX)
        return qn_error_set(error, QUERN_ERROR_INVALID_OPTION, 0, "attempts: %llu is not 1 to %d",
                            (unsigned long long)options->attempt_count_max, ATTEMPT_COUNT_MAX);
    if (options->task_timeout_s > TASK_TIMEOUT_S_MAX)
        return qn_error_set(error, QUERN_ERROR_INVALID_OPTION, 0, "task-timeout: %llu is not 1 to %d",
                            (unsigned long long)options->task_timeout_s, TASK_TIMEOUT_S_MAX);
    if (options->shuffle_levels > SHUFFLE_LEVELS_MAX)
        return qn_error_set(error, QUERN_ERROR_INVALID_OPTION, 0, "shuffle-levels: %llu is not 1 or %d",
                            (unsigned long long)options->shuffle_levels, SHUFFLE_LEVELS_MAX);
    if (options->task_batch > TASK_BATCH_MAX)
        return qn_error_set(error, QUERN_ERROR_INVALID_OPTION, 0, "task-batch: %llu is not 1 to %d",
                            (unsigned long long)options->task_batch, TASK_BATCH_MAX);
    settings->task_timeout_ns = options->task_timeout_s * QN_NS_PER_S;
    settings->checkpoint_every_ns = options->checkpoint_every_ms * QN_NS_PER_MS;
    settings->node_failure_ns = (options->node_mtbf_ms > 0 ? options->node_mtbf_ms : NODE_MTBF_MS) * QN_NS_PER_MS;
    uint64_t left_ns = options->deadline_ms > 0 ? options->deadline_ms * QN_NS_PER_MS
                                                : qn_allocation_left_ns(options->checkpoint_dir && comm->rank == 0);
    settings->deadline_ns = left_ns > 0 ? qn_clock_ns() + left_ns : 0;
    decide_hang(settings, options, comm);
    if (decide_recovery(settings, options->recover, comm, error) != QUERN_OK)
        return error->status;
    quern_status status = copy_texts(settings, options, error);
    if (status == QUERN_OK && options->encrypt)
        status = qn_cipher_load(options->encrypt, &settings->cipher, error);
    if (status == QUERN_OK)
        status = decide_bad(settings, options->bad_records, error);
    if (status == QUERN_OK)
        status = decide_memory(settings, options, comm, error);
    if (status != QUERN_OK)
        return status;
    decide_bounds(settings, options);
    qn_memory_share unused;
    return qn_settings_share(settings, comm, 1, 0, &unused, error); /* the smallest job that there is */
}

quern_status qn_settings_divide_machine(qn_settings *settings, const quern_options *options, const qn_comm *comm,
                                        uint32_t node_count, qn_error *error)
{
    qn_memory_share unused;
    if (node_count < 2 || !settings->memory_is_machines)
        return QUERN_OK;
    settings->node_memory_bytes /= node_count;
    settings->rank_memory_bytes = settings->node_memory_bytes / comm->node_size;
    decide_bounds(settings, options);
    return qn_settings_share(settings, comm, 1, 0, &unused, error);
}

quern_status qn_settings_unify(qn_settings *settings, qn_comm *comm, qn_error *error)
{
    uint64_t asked = settings->round_bytes ? settings->round_bytes : UINT64_MAX;
    uint64_t key = settings->cipher ? qn_cipher_get_number(settings->cipher) : 0;
    bool is_asked = settings->verify_network == QUERN_ON, is_refused = settings->verify_network == QUERN_OFF;
    uint64_t largest[] = {
        ~asked,
        !settings->pin,
        ~settings->rank_memory_bytes,
        ~settings->node_memory_bytes,
        ~settings->broadcast_bytes,
        key,
        ~key,
        is_asked,
        is_refused,
        !settings->recovers,
        settings->shuffle_levels,
        settings->report_path || settings->job_dir,
        settings->job_dir || settings->show_progress,
        settings->explain == QUERN_EXPLAIN_ONLY || settings->explain == QUERN_EXPLAIN_ONLY_DOT,
    };
    quern_status status = qn_comm_reduce_max(comm, largest, sizeof largest / sizeof *largest, error);
    settings->round_bytes = ~largest[0] == UINT64_MAX ? 0 : ~largest[0];
    settings->pin = !largest[1];
    settings->least_rank_memory_bytes = ~largest[2];
    settings->least_node_memory_bytes = ~largest[3];
    settings->broadcast_bytes = ~largest[4];
    settings->recovers = !largest[9];
    comm->shuffle_levels = (uint32_t)largest[10];
    comm->compress_links = settings->shuffle_compression;
    settings->is_seen = largest[11];
    settings->shows_ranks = largest[12];
    settings->only_explains = largest[13];
    if (settings->only_explains) { /* and nothing begins what it would go on with */
        free(settings->checkpoint_dir);
        settings->checkpoint_dir = NULL;
        settings->resumes = false;
    }
    comm->trusts_network = !largest[7] && (largest[8] || comm->node_count == 1);
    if (status == QUERN_OK && largest[5] != ~largest[6]) /* what one rank writes another one may have to read */
        status = qn_error_set(error, QUERN_ERROR_INVALID_OPTION, 0, "encrypt: the ranks have different keys");
    uint64_t now_ns = qn_clock_ns(), deadline_ns = settings->deadline_ns;
    uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : deadline_ns > 0;
    uint64_t first[] = {settings->bad_policy, settings->bad_count_max, left_ns};
    if (status == QUERN_OK)
        status = qn_comm_broadcast(comm, first, sizeof first, 0, error);
    settings->bad_policy = (quern_bad_policy)first[0];
    settings->bad_count_max = first[1];
    settings->deadline_ns = first[2] > 0 ? now_ns + first[2] : 0; /* any rank may come to be the first */
    return status;
}
