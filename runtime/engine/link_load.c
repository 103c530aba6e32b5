/* SPDX-License-Identifier: BSD-3-Clause */
/* Of link_run.h: keys come to the units that they belong to, and what is known of vertices to those who own them. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/pages.h"
#include "runtime/engine/link_run.h"

/* ---- heads ---- */

/* Every rank tells its own; the others' are zero in it. */
static quern_status tell_all(qn_link_run *run, qn_error *error)
{
    return qn_comm_reduce_sum(run->engine->comm, (uint64_t *)run->stretches,
                              run->engine->comm->size * sizeof *run->stretches / sizeof(uint64_t), error);
}

/* The rank's head goes on with what the rank before has. */
static bool moves_head(const qn_link_run *run, uint32_t rank)
{
    uint32_t before = rank;
    while (before > 0 && run->stretches[before - 1].key_count == 0)
        before--;
    return before > 0 && run->stretches[rank].key_count > 0 &&
           !qn_link_is_cut(run->stretches[before - 1].last_key, run->stretches[rank].first_key,
                           run->pages.config.chunk_bits);
}

static bool keeps_keys(const qn_link_run *run, uint32_t rank)
{
    const qn_link_stretch *stretch = &run->stretches[rank];
    return stretch->key_count > stretch->head_count || (stretch->key_count > 0 && !moves_head(run, rank));
}

static uint64_t moved_count(const qn_link_run *run, uint32_t rank)
{
    return moves_head(run, rank) ? run->stretches[rank].head_count : 0;
}

static uint64_t item_bytes(const qn_link_run *run)
{
    return run->pages.config.has_weights ? 16 : 8;
}

static void put_head(const qn_link_run *run, uint8_t *to)
{
    const qn_link_keys *head = &run->pages.head;
    memcpy(to, head->keys, 8 * head->count);
    if (head->weights)
        memcpy(to + 8 * head->count, head->weights, 8 * head->count);
}

/* Where a rank's bytes are: they lie in the order of nodes, and of the ranks of each. */
static const uint8_t *head_of(const qn_link_run *run, const qn_shared *heads, uint32_t rank)
{
    const qn_comm *comm = run->engine->comm;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < comm->size; i++) {
        uint32_t node = comm->node_of ? comm->node_of[i] : 0, own = comm->node_of ? comm->node_of[rank] : 0;
        bytes += node < own || (node == own && i < rank) ? moved_count(run, i) * item_bytes(run) : 0;
    }
    return heads->data + bytes;
}

static quern_status take_head(qn_link_run *run, const uint8_t *from, uint64_t count, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (uint64_t i = 0; i < count && status == QUERN_OK; i++) {
        uint64_t key;
        double weight = 0;
        memcpy(&key, from + 8 * i, sizeof key);
        if (run->pages.config.has_weights)
            memcpy(&weight, from + 8 * (count + i), sizeof weight);
        status = qn_link_pages_put(&run->pages, key, weight, error);
    }
    return status;
}

/* Those that go on with what this rank has. */
static quern_status take_heads(qn_link_run *run, const qn_shared *heads, qn_error *error)
{
    const qn_comm *comm = run->engine->comm;
    quern_status status = QUERN_OK;
    if (!keeps_keys(run, comm->rank))
        return status;
    for (uint32_t rank = comm->rank + 1; rank < comm->size && status == QUERN_OK; rank++) {
        if (run->stretches[rank].key_count > 0 && !moves_head(run, rank))
            break;
        status = take_head(run, head_of(run, heads, rank), moved_count(run, rank), error);
        if (keeps_keys(run, rank))
            break;
    }
    return status;
}

static quern_status move_heads(qn_link_run *run, qn_error *error)
{
    qn_comm *comm = run->engine->comm;
    qn_shared heads = {0};
    uint64_t count = 0;
    bool moves = moves_head(run, comm->rank);
    for (uint32_t rank = 0; rank < comm->size; rank++)
        count += moved_count(run, rank);
    qn_shared_wish wish = {.bytes = moved_count(run, comm->rank) * item_bytes(run),
                           .may_share = run->engine->settings.shares_memory};
    quern_status status = count > 0 ? qn_shared_create(&heads, comm, &wish, error) : QUERN_OK;
    if (status != QUERN_OK)
        return status;
    if (moves)
        put_head(run, heads.mine);
    if (count > 0)
        status = qn_shared_spread(&heads, error);
    if (status == QUERN_OK) {
        qn_link_pages_settle_head(&run->pages, !moves, error);
        if (error->status == QUERN_OK && count > 0)
            take_heads(run, &heads, error);
        if (error->status == QUERN_OK)
            qn_link_pages_finish(&run->pages, error);
        status = qn_comm_agree(comm, error);
    }
    if (heads.comm)
        qn_shared_destroy(&heads);
    return status;
}

/* ---- columns ---- */

/* In bytes, one behind the other. */
static void lay_out(const qn_link_run *run, uint32_t which, size_t offset, uint64_t bytes)
{
    uint64_t *begins = qn_link_begins(run, which);
    for (uint32_t rank = 0; rank < run->engine->comm->size; rank++) {
        uint64_t count;
        memcpy(&count, (const uint8_t *)&run->stretches[rank] + offset, sizeof count);
        begins[rank + 1] = begins[rank] + count * bytes;
    }
}

static void lay_out_all(const qn_link_run *run)
{
    uint64_t *totals = qn_link_begins(run, QN_LINK_TOTALS);
    lay_out(run, QN_LINK_OWNERS, offsetof(qn_link_stretch, vertex_count), 8);
    lay_out(run, QN_LINK_NAMES, offsetof(qn_link_stretch, name_count), 8);
    lay_out(run, QN_LINK_SLOTS, offsetof(qn_link_stretch, tail_count), 8);
    for (uint32_t rank = 0; rank < run->engine->comm->size; rank++)
        totals[rank + 1] = totals[rank] + run->program->total_count * sizeof run->sums[0];
}

/* What all ranks have said is one sequence of vertices. */
static quern_status check_stretches(const qn_link_run *run, qn_error *error)
{
    uint32_t rank = run->engine->comm->rank, size = run->engine->comm->size;
    const uint64_t *owners = qn_link_begins(run, QN_LINK_OWNERS), *names = qn_link_begins(run, QN_LINK_NAMES);
    bool fits = owners[size] == 8 * run->all_vertices && names[size] == owners[size];
    fits = fits && (run->pages.vertex_count == 0 || owners[rank] == 8 * (uint64_t)run->pages.first_vertex);
    fits = fits && (run->name_count == 0 || names[rank] == 8 * run->first_name);
    return fits ? QUERN_OK
                : qn_error_set(error, QUERN_ERROR_INTERNAL, 0, "'%s': vertices are not in one sequence",
                               run->node->name);
}

static quern_status tell_stretches(qn_link_run *run, qn_error *error)
{
    qn_comm *comm = run->engine->comm;
    memset(run->stretches, 0, comm->size * sizeof *run->stretches);
    run->stretches[comm->rank] = (qn_link_stretch){.vertex_count = run->pages.vertex_count,
                                                   .tail_hub = run->pages.tail_hub,
                                                   .tail_count = run->pages.tail_count,
                                                   .name_count = run->name_count};
    quern_status status = tell_all(run, error);
    if (status != QUERN_OK)
        return status;
    lay_out_all(run);
    check_stretches(run, error);
    return qn_comm_agree(comm, error);
}

static quern_status take_columns(qn_link_run *run, qn_error *error)
{
    const qn_link_pages *pages = &run->pages;
    uint64_t count = pages->vertex_count;
    uint64_t need_bytes = qn_shared_charge_bytes(&run->columns) + 16 * count;
    if (need_bytes > run->memory_bytes_max)
        return qn_link_too_little(run, need_bytes, error);
    run->own_bytes = 16 * count + 16;
    run->links = qn_pages_reserve(run->own_bytes, true);
    if (!run->links)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for columns of vertices");
    run->values = (double *)(void *)(run->links + count + 1);
    if (count > 0) {
        memcpy(run->links, qn_link_column(run, 0) + pages->first_vertex, 8 * count);
        memcpy(run->values, qn_link_column(run, 1) + pages->first_vertex, 8 * count);
    }
    return QUERN_OK;
}

static quern_status bring_columns(qn_link_run *run, qn_error *error)
{
    const uint64_t *names = qn_link_begins(run, QN_LINK_NAMES);
    const qn_shared_area areas[] = {{0, names}, {8 * run->all_vertices, names}};
    quern_status status = qn_shared_exchange(&run->columns, areas, 2, error);
    if (status == QUERN_OK) {
        take_columns(run, error);
        status = qn_comm_agree(run->engine->comm, error);
    }
    return status;
}

/* Where ranks tell each other of totals and chunks. */
static quern_status open_told(qn_link_run *run, qn_error *error)
{
    qn_comm *comm = run->engine->comm;
    uint64_t totals_bytes = qn_link_begins(run, QN_LINK_TOTALS)[comm->size];
    qn_shared_wish wish = {.room_bytes = 2 * totals_bytes + qn_link_begins(run, QN_LINK_SLOTS)[comm->size],
                           .may_share = run->engine->settings.shares_memory};
    return qn_shared_create(&run->told, comm, &wish, error);
}

quern_status qn_link_load(qn_link_run *run, qn_error *error)
{
    const qn_link_pages *pages = &run->pages;
    qn_comm *comm = run->engine->comm;
    run->stretches[comm->rank] = (qn_link_stretch){.key_count = pages->key_count,
                                                   .first_key = pages->first_key,
                                                   .last_key = pages->last_key,
                                                   .head_count = pages->head.count};
    quern_status status = tell_all(run, error);
    if (status == QUERN_OK)
        status = move_heads(run, error);
    if (status == QUERN_OK)
        status = tell_stretches(run, error);
    if (status == QUERN_OK)
        status = bring_columns(run, error);
    return status == QUERN_OK ? open_told(run, error) : status;
}
