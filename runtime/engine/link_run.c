/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/link_run.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/pages.h"

/* ---- what comes in ---- */

static quern_status take_notes(qn_link_run *run, const qn_batch *batch)
{
    uint64_t *links = (uint64_t *)(void *)qn_link_column(run, 0);
    double *values = qn_link_column(run, 1);
    for (size_t i = 0; i < batch->block.count; i++) {
        qn_vertex_note note;
        memcpy(&note, batch->block.value[i], sizeof note);
        QN_ASSERT(note.number < run->all_vertices);
        if (run->name_count++ == 0)
            run->first_name = note.number;
        QN_ASSERT(note.number == run->first_name + run->name_count - 1);
        links[note.number] = note.out;
        values[note.number] = note.value;
    }
    return QUERN_OK;
}

static quern_status take_keys(qn_link_run *run, const qn_batch *batch, qn_error *error)
{
    quern_status status = QUERN_OK;
    bool has_weights = run->pages.config.has_weights;
    for (size_t i = 0; i < batch->block.count && status == QUERN_OK; i++) {
        uint64_t key;
        double weight = 0;
        memcpy(&key, batch->block.key[i], sizeof key);
        if (has_weights)
            memcpy(&weight, batch->block.value[i], sizeof weight);
        status = qn_link_pages_put(&run->pages, key, weight, error);
    }
    return status;
}

quern_status qn_link_stage_end(void *user, const qn_batch *batch, qn_error *error)
{
    const qn_leg_end *end = user;
    qn_link_run *run = end->run->links;
    return end->run->stage->legs[end->leg].side == 0 ? take_notes(run, batch) : take_keys(run, batch, error);
}

/* ---- memory ---- */

quern_status qn_link_too_little(const qn_link_run *run, uint64_t need_bytes, qn_error *error)
{
    const qn_settings *settings = &run->engine->settings;
    return qn_error_set(
        error, QUERN_ERROR_BUDGET, 0,
        "'%s': the columns of %llu vertices take %llu MiB of a rank's memory, and there are %llu MiB for "
        "them of its %llu MiB: raise memory, or use more nodes",
        run->node->name, (unsigned long long)run->all_vertices, (unsigned long long)(need_bytes >> 20) + 1,
        (unsigned long long)(run->memory_bytes_max >> 20), (unsigned long long)(settings->rank_memory_bytes >> 20));
}

/* Rounds, and the reader of files, want nothing in this stage: most of what is left beside the two results that are read, if that is more than its share. */
static uint64_t memory_of(const qn_engine *engine, const qn_memory_share *share)
{
    uint64_t taken_bytes =
        engine->settings.held_bytes + qn_cache_get_memory_bytes(&engine->cache) + 2 * share->pool_bytes;
    uint64_t all_bytes = engine->settings.rank_memory_bytes, dealt_bytes = share->pool_bytes;
    uint64_t left_bytes = all_bytes > taken_bytes ? (all_bytes - taken_bytes) / 4 * 3 : 0;
    dealt_bytes -= dealt_bytes / QN_LINK_STORE_PART;
    return left_bytes > dealt_bytes ? left_bytes : dealt_bytes;
}

/* What there is for pages beside the columns: if this rank owned all vertices, or else if all ranks own about as many. */
static void open_pages(qn_link_run *run, const qn_memory_share *share, qn_error *error)
{
    uint64_t own_bytes = 16 * (run->all_vertices / run->engine->comm->size * 5 / 4 + QN_LINK_BATCH_MAX);
    uint64_t taken_bytes = qn_shared_charge_bytes(&run->columns) + 16 * run->all_vertices;
    if (taken_bytes > run->memory_bytes_max)
        taken_bytes = qn_shared_charge_bytes(&run->columns) + own_bytes;
    qn_link_pages_config config = {.has_weights = run->rule.weight != QUERN_WEIGHT_NONE,
                                   .chunk_bits = qn_link_chunk_bits(run->all_vertices),
                                   .block_bytes = share->block_bytes,
                                   .scratch = qn_settings_get_scratch(&run->engine->settings)};
    if (taken_bytes > run->memory_bytes_max)
        qn_link_too_little(run, taken_bytes, error);
    else {
        config.memory_bytes_max = run->memory_bytes_max - taken_bytes;
        qn_link_pages_init(&run->pages, &config, error);
    }
}

static quern_status count_vertices(qn_link_run *run, const qn_store *numbered, qn_error *error)
{
    run->all_vertices = numbered->record_count;
    return qn_comm_reduce_sum(run->engine->comm, &run->all_vertices, 1, error);
}

static void take_memory(qn_link_run *run, qn_error *error)
{
    uint32_t size = run->engine->comm->size;
    run->stretches = calloc(size, sizeof *run->stretches);
    run->begins = calloc(QN_LINK_BEGINS_COUNT * ((size_t)size + 1), sizeof *run->begins);
    run->come = calloc((1 + (size_t)run->program->total_count) * QN_LINK_BATCH_MAX, sizeof *run->come);
    if (!run->stretches || !run->begins || !run->come)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for links");
    for (uint32_t i = 0; run->come && i < run->program->total_count; i++)
        run->totals[i] = run->come + (1 + i) * (size_t)QN_LINK_BATCH_MAX;
}

static quern_status begin(qn_link_run *run, const qn_store *numbered, const qn_memory_share *share, qn_error *error)
{
    qn_comm *comm = run->engine->comm;
    take_memory(run, error);
    quern_status status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = count_vertices(run, numbered, error);
    uint64_t column_bytes = 8 * run->all_vertices;
    if (status == QUERN_OK && 2 * column_bytes / comm->node_size > run->memory_bytes_max)
        qn_link_too_little(run, 2 * column_bytes / comm->node_size, error);
    if (status == QUERN_OK)
        status = qn_comm_agree(comm, error);
    qn_shared_wish wish = {.room_bytes = 2 * column_bytes, .may_share = run->engine->settings.shares_memory};
    if (status == QUERN_OK)
        status = qn_shared_create(&run->columns, comm, &wish, error);
    if (status == QUERN_OK)
        open_pages(run, share, error);
    return status == QUERN_OK ? qn_comm_agree(comm, error) : status;
}

static void end(qn_link_run *run)
{
    qn_pages_unreserve(run->links, run->own_bytes);
    qn_link_pages_fini(&run->pages);
    if (run->columns.comm)
        qn_shared_destroy(&run->columns);
    if (run->told.comm)
        qn_shared_destroy(&run->told);
    free(run->stretches);
    free(run->begins);
    free(run->chunks);
    free(run->come);
}

/* ---- what goes out ---- */

static quern_status store_batch(const qn_link_run *run, const qn_batch *batch, qn_store *into, qn_error *error)
{
    const double *values = qn_link_column(run, run->step);
    double given[QN_BATCH_COUNT_MAX];
    const void *value[QN_BATCH_COUNT_MAX];
    uint32_t value_bytes[QN_BATCH_COUNT_MAX];
    qn_batch made = *batch;
    for (size_t i = 0; i < batch->block.count; i++) {
        qn_vertex_note note;
        memcpy(&note, batch->block.value[i], sizeof note);
        given[i] = values[note.number];
        value[i] = &given[i];
        value_bytes[i] = sizeof given[i];
    }
    made.block.value = value;
    made.block.value_bytes = value_bytes;
    return qn_store_put(into, &made, error);
}

static quern_status store_values(const qn_link_run *run, const qn_stage_run *stage, qn_store *into, qn_error *error)
{
    const qn_store *numbered = stage->from[0]->stored;
    qn_store_reader *reader = calloc(1, sizeof *reader);
    qn_batch batch = {0};
    if (!reader)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to read vertices");
    quern_status status = qn_store_reader_open(reader, numbered, error);
    if (status == QUERN_OK)
        status = qn_store_begin_part(into, run->engine->comm->rank, error);
    for (size_t part = 0; part < numbered->part_count && status == QUERN_OK; part++) {
        qn_store_reader_begin(reader, part);
        do {
            status = qn_store_reader_next(reader, &batch, error);
            if (status == QUERN_OK && batch.block.count > 0)
                status = store_batch(run, &batch, into, error);
        } while (status == QUERN_OK && batch.block.count > 0);
    }
    if (status == QUERN_OK)
        status = qn_store_end_part(into, error);
    qn_store_reader_close(reader);
    free(reader);
    return status;
}

/* run->step is now the number of a column that nobody reads any more. */
static quern_status give(qn_link_run *run, const qn_stage_run *stage, qn_result *result, qn_error *error)
{
    const qn_link_pages *pages = &run->pages;
    qn_comm *comm = run->engine->comm;
    qn_shared_area area = {.offset = (run->step & 1) * 8 * run->all_vertices,
                           .begins = qn_link_begins(run, QN_LINK_OWNERS)};
    if (pages->vertex_count > 0)
        memcpy(qn_link_column(run, run->step) + pages->first_vertex, run->values, 8 * pages->vertex_count);
    quern_status status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = qn_shared_exchange(&run->columns, &area, 1, error);
    if (status == QUERN_OK && store_values(run, stage, result->stored, error) != QUERN_OK)
        qn_store_drop_part(result->stored);
    qn_store_finish(result->stored);
    result->part_count = comm->size;
    result->all_in = run->all_vertices;
    return status == QUERN_OK ? qn_comm_agree(comm, error) : status;
}

/* ---- the stage ---- */

static void keep_figures(const qn_link_run *run, qn_stage_run *stage, const qn_store *into, uint64_t work_ns)
{
    const qn_link_pages *pages = &run->pages;
    qn_stage_figures *figures = &stage->figures;
    figures->owned_records = pages->link_count + pages->vertex_count;
    figures->work_ns += work_ns;
    figures->spill_runs = pages->has_run + into->spill_runs;
    figures->spilled_bytes = pages->spill.written_bytes + into->spill.written_bytes;
    figures->broadcast_bytes += qn_shared_charge_bytes(&run->columns);
    figures->table_bytes_peak = pages->used_bytes + 16 * pages->vertex_count + into->memory_bytes_peak;
}

static quern_status follow_links(qn_link_run *run, qn_stage_run *stage, qn_result *result, qn_error *error)
{
    qn_engine *engine = run->engine;
    uint64_t start_ns = qn_clock_ns();
    engine->site.between = "putting links in order";
    quern_status status = qn_link_load(run, error);
    uint64_t loaded_ns = qn_clock_ns();
    engine->site.between = "following links";
    if (status == QUERN_OK)
        status = qn_link_steps(run, stage, error);
    uint64_t stepped_ns = qn_clock_ns();
    engine->site.between = "giving values to vertices";
    if (status == QUERN_OK)
        status = give(run, stage, result, error);
    engine->site.between = NULL;
    keep_figures(run, stage, result->stored, qn_clock_ns() - start_ns);
    if (status == QUERN_OK)
        qn_log_line(&engine->log,
                    "links: '%s', %llu of %llu vertices, %llu links: %.6f s to load, %llu steps in %.6f s",
                    run->node->name, (unsigned long long)run->pages.vertex_count, (unsigned long long)run->all_vertices,
                    (unsigned long long)run->pages.link_count, (double)(loaded_ns - start_ns) / 1e9,
                    (unsigned long long)(run->step > 0 ? run->step - 1 : 0), (double)(stepped_ns - loaded_ns) / 1e9);
    return status;
}

quern_status qn_link_stage_run(qn_stage_run *stage, qn_result *result, const qn_memory_share *share, qn_error *error)
{
    qn_engine *engine = stage->engine;
    const quern_vertex_program *program = stage->stage->result->of.program;
    qn_link_run *run = calloc(1, sizeof *run);
    if (!run)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for links");
    quern_status status = qn_comm_agree(engine->comm, error);
    if (status == QUERN_OK) {
        *run = (qn_link_run){.engine = engine,
                             .node = stage->stage->result,
                             .program = program,
                             .rule = {program->combine, program->weight},
                             .memory_bytes_max = memory_of(engine, share),
                             .failed_vertex = UINT64_MAX};
        status = begin(run, stage->from[0]->stored, share, error);
    }
    stage->links = run;
    if (status == QUERN_OK)
        status = qn_stage_run_all(stage, error);
    if (status == QUERN_OK)
        status = follow_links(run, stage, result, error);
    stage->links = NULL;
    if (run)
        end(run);
    free(run);
    return status;
}
