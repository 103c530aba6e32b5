/* SPDX-License-Identifier: BSD-3-Clause */
/* Of link_run.h: the steps. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/callback_failure.h"
#include "runtime/base/suspension.h"
#include "runtime/data/key_text.h"
#include "runtime/engine/link_run.h"

#define TOLD_COUNT 3 /* what ranks tell each other after a step */

/* ---- calling ---- */

static void note_failure(qn_link_run *run, const quern_vertices *some, int code)
{
    size_t at = *some->failed < some->count ? *some->failed : 0;
    run->failed_vertex = some->first + at;
    qn_callback_failed(&run->failure, run->node->name, code);
}

/* By units: blocks of vertices, and hubs. */
static void add_totals(qn_link_run *run, const quern_vertices *some)
{
    for (uint32_t i = 0; i < run->program->total_count; i++)
        for (size_t at = 0; at < some->count;) {
            size_t left = QN_LINK_BLOCK_VERTICES - (some->first + at) % QN_LINK_BLOCK_VERTICES;
            size_t unit_end = left < some->count - at ? at + left : some->count;
            double sum = 0;
            uint64_t bits;
            for (; at < unit_end; at++)
                sum += some->totals[i][at];
            memcpy(&bits, &sum, sizeof bits);
            bool fits = qn_binned_sum_add(run->sums[i], bits);
            QN_ASSERT(fits);
        }
}

/* False: the callback failed, or does not keep its promise. */
static bool call(qn_link_run *run, uint32_t first, uint32_t count, const double *come)
{
    size_t failed = 0, at = first - run->pages.first_vertex;
    quern_vertices some = {.count = count,
                           .step = run->step,
                           .vertex_count = run->all_vertices,
                           .first = first,
                           .links = run->links + at,
                           .come = come,
                           .value = run->values + at,
                           .send = qn_link_column(run, run->step) + first,
                           .totals = run->totals,
                           .totals_before = run->totals_before,
                           .failed = &failed};
    for (uint32_t i = 0; i < run->program->total_count; i++)
        memset(run->totals[i], 0, count * sizeof *run->totals[i]);
    int code = run->engine->settings.check ? qn_link_check(run, &some, &run->failure)
                                           : run->program->step(&some, run->node->user);
    if (run->failure.status != QUERN_OK)
        return false;
    if (code != 0)
        note_failure(run, &some, code);
    else
        add_totals(run, &some);
    return code == 0;
}

/* ---- pages ---- */

static bool follow_vertices(qn_link_run *run, const qn_link_page *page)
{
    double nothing = qn_link_nothing(run->rule.combine);
    QN_ASSERT(page->vertex_count <= QN_LINK_BATCH_MAX);
    if (run->step > 0)
        qn_link_sums(&run->rule, qn_link_column(run, run->step - 1), qn_link_page_counts(page), page->vertex_count,
                     qn_link_page_sources(page), run->pages.config.has_weights ? qn_link_page_weights(page) : NULL,
                     run->come);
    for (uint32_t i = 0; run->step == 0 && i < page->vertex_count; i++)
        run->come[i] = nothing;
    return call(run, page->first, page->vertex_count, run->come);
}

/* What is being added up of a hub, over its pages. */
typedef struct hub_sum {
    uint32_t hub;
    bool is_begun;
    bool is_tail; /* its chunks go to slots */
    bool is_far;  /* and some that come before these have: its own are kept */
    double sum;
    uint64_t slot_count;
} hub_sum;

static bool keep_chunk(qn_link_run *run, double sum)
{
    if (run->chunk_count == run->chunk_capacity) {
        size_t larger = run->chunk_capacity > 0 ? 2 * run->chunk_capacity : 64;
        double *moved = realloc(run->chunks, larger * sizeof *moved);
        if (!moved)
            return false;
        run->chunks = moved;
        run->chunk_capacity = larger;
    }
    run->chunks[run->chunk_count++] = sum;
    return true;
}

static double *slots(const qn_link_run *run, uint32_t rank)
{
    uint32_t size = run->engine->comm->size;
    uint64_t totals_bytes = qn_link_begins(run, QN_LINK_TOTALS)[size];
    return (double *)(void *)(run->told.data + 2 * totals_bytes + qn_link_begins(run, QN_LINK_SLOTS)[rank]);
}

static bool add_chunk(qn_link_run *run, hub_sum *on, double sum)
{
    if (on->is_tail)
        slots(run, run->engine->comm->rank)[on->slot_count++] = sum;
    else if (on->is_far)
        return keep_chunk(run, sum);
    else
        on->sum = qn_link_combine(run->rule.combine, on->sum, sum);
    return true;
}

/* How many of these links, which begin a unit of a hub, belong to it. A page that begins among copies begins with a unit of them. */
static uint32_t chunk_of(const uint32_t *sources, uint32_t link_count, uint32_t chunk_bits)
{
    uint32_t count = 1, copies = 1, chunk = qn_link_chunk(sources[0], chunk_bits);
    for (; count < link_count && qn_link_chunk(sources[count], chunk_bits) == chunk; count++) {
        bool is_copy = sources[count] == sources[count - 1];
        if (is_copy && copies == QN_LINK_COPIES_MAX)
            break;
        copies = is_copy ? copies + 1 : 1;
    }
    return count;
}

static bool follow_chunks(qn_link_run *run, const qn_link_page *page, hub_sum *on)
{
    const uint32_t *sources = qn_link_page_sources(page);
    const double *weights = run->pages.config.has_weights ? qn_link_page_weights(page) : NULL;
    const double *sent = qn_link_column(run, run->step - 1);
    for (uint32_t at = 0; at < page->link_count;) {
        uint32_t count = chunk_of(sources + at, page->link_count - at, run->pages.config.chunk_bits);
        double sum;
        qn_link_sums(&run->rule, sent, &count, 1, sources + at, weights ? weights + at : NULL, &sum);
        if (!add_chunk(run, on, sum))
            return qn_error_set(&run->failure, QUERN_ERROR_NO_MEMORY, 0, "no memory for links") == QUERN_OK;
        at += count;
    }
    return true;
}

static bool follow_hub(qn_link_run *run, const qn_link_page *page, hub_sum *on, bool is_first)
{
    const qn_link_pages *pages = &run->pages;
    if (!on->is_begun || on->hub != page->first)
        *on = (hub_sum){.hub = page->first,
                        .is_begun = true,
                        .is_tail = pages->tail_count > 0 && pages->tail_hub == page->first,
                        .is_far = is_first && run->has_far_hub,
                        .sum = qn_link_nothing(run->rule.combine)};
    if (run->step > 0 && !follow_chunks(run, page, on))
        return false;
    if (page->vertex_count == 0 || (run->step > 0 && on->is_far))
        return true;
    return call(run, page->first, 1, &on->sum);
}

/* All that is here, but for a hub that waits for others. */
static quern_status follow_pages(qn_link_run *run, qn_error *error)
{
    qn_link_reader reader;
    const qn_link_page *page = NULL;
    hub_sum on = {0};
    bool goes_on = true, is_first = true;
    run->chunk_count = 0;
    qn_link_reader_open(&reader, &run->pages);
    quern_status status = qn_link_reader_next(&reader, &page, error);
    while (status == QUERN_OK && page && goes_on) {
        goes_on = page->is_hub ? follow_hub(run, page, &on, is_first) : follow_vertices(run, page);
        is_first = false;
        if (goes_on)
            status = qn_link_reader_next(&reader, &page, error);
    }
    qn_link_reader_close(&reader);
    return status;
}

/* A hub that ends here, and the chunks of which are on ranks before. */
static void follow_far_hub(qn_link_run *run)
{
    const qn_comm *comm = run->engine->comm;
    uint32_t hub = run->pages.first_vertex;
    double sum = qn_link_nothing(run->rule.combine);
    for (uint32_t rank = 0; rank < comm->rank; rank++) {
        const qn_link_stretch *stretch = &run->stretches[rank];
        for (uint64_t i = 0; stretch->tail_hub == hub && i < stretch->tail_count; i++)
            sum = qn_link_combine(run->rule.combine, sum, slots(run, rank)[i]);
    }
    for (size_t i = 0; i < run->chunk_count; i++)
        sum = qn_link_combine(run->rule.combine, sum, run->chunks[i]);
    call(run, hub, 1, &sum);
}

/* ---- what ranks tell each other ---- */

/* The name of the vertex on which a callback failed, from the rank that has it, for the text of the one that was called. */
static void find_name(const qn_link_run *run, const qn_stage_run *stage, uint64_t vertex, char *name_out,
                      qn_error *error)
{
    const qn_store *numbered = stage->from[0]->stored;
    qn_store_reader *reader = calloc(1, sizeof *reader);
    qn_batch batch = {0};
    if (!reader || qn_store_reader_open(reader, numbered, error) != QUERN_OK) {
        free(reader);
        return;
    }
    for (size_t part = 0; part < numbered->part_count; part++) {
        qn_store_reader_begin(reader, part);
        while (qn_store_reader_next(reader, &batch, error) == QUERN_OK && batch.block.count > 0)
            for (size_t i = 0; i < batch.block.count; i++) {
                qn_vertex_note note;
                memcpy(&note, batch.block.value[i], sizeof note);
                if (note.number == vertex)
                    qn_key_describe(run->node->schema.key, batch.block.key[i], batch.block.key_bytes[i], name_out);
            }
    }
    qn_store_reader_close(reader);
    free(reader);
}

static quern_status tell_failure(const qn_link_run *run, const qn_stage_run *stage, uint64_t vertex, qn_error *error)
{
    qn_comm *comm = run->engine->comm;
    const uint64_t *names = qn_link_begins(run, QN_LINK_NAMES);
    char name[QN_KEY_TEXT_BYTES_MAX + 1] = "";
    qn_error ignored = {0};
    uint32_t owner = 0;
    while (owner + 1 < comm->size && names[owner + 1] <= 8 * vertex)
        owner++;
    if (owner == comm->rank)
        find_name(run, stage, vertex, name, &ignored);
    quern_status status = qn_comm_broadcast(comm, name, sizeof name, owner, error);
    if (status == QUERN_OK && run->failed_vertex == vertex)
        qn_error_set(error, run->failure.status, 0, "%s, in step %llu, on vertex \"%s\"", run->failure.text,
                     (unsigned long long)run->step, name);
    return status == QUERN_OK ? qn_comm_agree(comm, error) : status;
}

/* As the master of a stage with tasks sees it. */
static bool must_end(const qn_link_run *run)
{
    qn_checkpoint *checkpoint = &run->engine->checkpoint;
    bool has_time = !checkpoint->directory || run->engine->comm->rank != 0 ||
                    !qn_epochs_must_end(&checkpoint->when, qn_clock_ns(), 0);
    return !has_time || qn_suspension_is_asked();
}

/* All are through, or one of them failed: then of the callbacks' failures that on the vertex with the lowest number; or the job is to end. */
static quern_status meet(const qn_link_run *run, const qn_stage_run *stage, qn_error *error)
{
    qn_comm *comm = run->engine->comm;
    if (run->failed_vertex == UINT64_MAX && run->failure.status != QUERN_OK && error->status == QUERN_OK)
        *error = run->failure;
    uint64_t told[TOLD_COUNT] = {error->status != QUERN_OK, UINT64_MAX - run->failed_vertex, must_end(run)};
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    quern_status status = qn_comm_reduce_max(comm, told, TOLD_COUNT, error);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (status != QUERN_OK)
        return status;
    if (told[0])
        return qn_comm_agree(comm, error);
    if (told[1])
        return tell_failure(run, stage, UINT64_MAX - told[1], error);
    return !told[2] ? QUERN_OK
                    : qn_error_set(error, QUERN_ERROR_SUSPENDED, 0,
                                   "%s: the job was told to end, or its time is over: of its steps nothing is saved",
                                   run->node->name);
}

static uint64_t totals_offset(const qn_link_run *run)
{
    return (run->step & 1) * qn_link_begins(run, QN_LINK_TOTALS)[run->engine->comm->size];
}

static void put_totals(const qn_link_run *run)
{
    const qn_comm *comm = run->engine->comm;
    uint8_t *to = run->told.data + totals_offset(run) + qn_link_begins(run, QN_LINK_TOTALS)[comm->rank];
    memcpy(to, run->sums, run->program->total_count * sizeof run->sums[0]);
}

static void take_totals(qn_link_run *run)
{
    const qn_comm *comm = run->engine->comm;
    for (uint32_t i = 0; i < run->program->total_count; i++) {
        uint64_t all[QN_BINNED_SUM_WORDS] = {0};
        for (uint32_t rank = 0; rank < comm->size; rank++) {
            uint64_t one[QN_BINNED_SUM_WORDS];
            const uint8_t *from = run->told.data + totals_offset(run) + qn_link_begins(run, QN_LINK_TOTALS)[rank];
            memcpy(one, from + i * sizeof one, sizeof one);
            bool fits = qn_binned_sum_merge(all, one);
            QN_ASSERT(fits);
        }
        run->totals_before[i] = qn_binned_sum_get(all);
    }
}

/* ---- steps ---- */

static quern_status bring_slots(qn_link_run *run, const qn_stage_run *stage, qn_error *error)
{
    uint32_t size = run->engine->comm->size;
    uint64_t totals_bytes = qn_link_begins(run, QN_LINK_TOTALS)[size];
    qn_shared_area area = {2 * totals_bytes, qn_link_begins(run, QN_LINK_SLOTS)};
    quern_status status = meet(run, stage, error);
    if (status == QUERN_OK)
        status = qn_shared_exchange(&run->told, &area, 1, error);
    if (status == QUERN_OK && run->has_far_hub)
        follow_far_hub(run);
    return status;
}

static quern_status make_step(qn_link_run *run, const qn_stage_run *stage, qn_error *error)
{
    uint32_t size = run->engine->comm->size;
    qn_shared_area sent = {(run->step & 1) * 8 * run->all_vertices, qn_link_begins(run, QN_LINK_OWNERS)};
    bool has_slots = qn_link_begins(run, QN_LINK_SLOTS)[size] > 0 && run->step > 0;
    memset(run->sums, 0, sizeof run->sums);
    qn_timeline_state before = qn_timeline_enter(QN_TIMELINE_REDUCE);
    quern_status status = follow_pages(run, error);
    qn_timeline_enter(before);
    if (has_slots)
        status = bring_slots(run, stage, error);
    if (status == QUERN_OK || !has_slots) { /* else all have met already */
        put_totals(run);
        status = meet(run, stage, error);
    }
    if (status == QUERN_OK)
        status = qn_shared_exchange(&run->columns, &sent, 1, error);
    if (status == QUERN_OK && run->program->total_count > 0) {
        qn_shared_area totals = {totals_offset(run), qn_link_begins(run, QN_LINK_TOTALS)};
        status = qn_shared_exchange(&run->told, &totals, 1, error);
    }
    if (status == QUERN_OK)
        take_totals(run);
    return status;
}

/* Ranks that do not decide alike would wait for each other. */
static quern_status decide(const qn_link_run *run, bool *stop_out, qn_error *error)
{
    int stop = 0;
    int code = run->program->until(run->step, run->totals_before, &stop, run->node->user);
    if (code != 0)
        qn_callback_failed(error, run->node->name, code);
    uint64_t answers[] = {error->status != QUERN_OK, stop != 0, stop == 0};
    quern_status status = qn_comm_reduce_max(run->engine->comm, answers, 3, error);
    if (status == QUERN_OK && answers[0])
        return qn_comm_agree(run->engine->comm, error);
    if (status == QUERN_OK && answers[1] && answers[2])
        status = qn_error_set(error, QUERN_ERROR_PLAN_MISMATCH, 0,
                              "'%s': until ended the steps on some ranks only: decide by the totals", run->node->name);
    *stop_out = stop != 0;
    return status;
}

/* The first vertex that is owned here is a hub, and ranks before this one have chunks of it. */
static bool has_far_hub(const qn_link_run *run)
{
    bool has = false;
    for (uint32_t rank = 0; rank < run->engine->comm->rank; rank++)
        has |= run->pages.vertex_count > 0 && run->stretches[rank].tail_count > 0 &&
               run->stretches[rank].tail_hub == run->pages.first_vertex;
    return has;
}

quern_status qn_link_steps(qn_link_run *run, const qn_stage_run *stage, qn_error *error)
{
    quern_status status = QUERN_OK;
    bool stop = run->all_vertices == 0;
    run->has_far_hub = has_far_hub(run);
    for (run->step = 0; status == QUERN_OK && !stop && run->step <= run->program->step_count_max; run->step++) {
        status = make_step(run, stage, error);
        if (status == QUERN_OK && run->program->until)
            status = decide(run, &stop, error);
    }
    return status;
}
