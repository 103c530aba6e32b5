/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/comm/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/base/pages.h"

#define SMALL_PAGE_BYTES ((size_t)64 << 10) /* a multiple of the system's, on any machine */

/* Where the file of the node's first rank is, and how the others know that they opened that one and no other. */
typedef struct file_place {
    int64_t process;
    int64_t descriptor; /* below 0: there is none */
    uint64_t device, inode, bytes;
} file_place;

/* ---- who brings how much ---- */

static quern_status no_memory(uint64_t bytes, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, errno, "no memory for %llu bytes that all ranks are to have",
                        (unsigned long long)bytes);
}

/* Bytes lie in the order of nodes, and of the ranks of each. */
static quern_status lay_out(qn_shared *shared, uint64_t mine_bytes, qn_error *error)
{
    qn_comm *comm = shared->comm;
    uint64_t *begins = shared->node_begins, next = 0, before = 0;
    begins[comm->node] = mine_bytes;
    quern_status status = qn_comm_reduce_sum(comm, begins, comm->node_count, error);
    if (status == QUERN_OK)
        status = qn_comm_gather_node(comm, &mine_bytes, sizeof mine_bytes, shared->rank_bytes, error);
    for (uint32_t node = 0; node <= comm->node_count; node++) {
        uint64_t bytes = node < comm->node_count ? begins[node] : 0;
        begins[node] = next;
        next += bytes;
    }
    for (uint32_t i = 0; i < comm->node_rank; i++)
        before += shared->rank_bytes[i];
    shared->bytes = next;
    shared->mine_bytes = mine_bytes;
    shared->mine = (uint8_t *)(uintptr_t)(begins[comm->node] + before); /* until there is memory */
    return status;
}

/* ---- memory ---- */

/* A little memory is not worth a huge page. */
static size_t page_bytes(size_t bytes)
{
    return bytes <= QN_PAGE_HUGE_BYTES / 2 ? SMALL_PAGE_BYTES : QN_PAGE_HUGE_BYTES;
}

static size_t whole_pages(size_t bytes)
{
    size_t page = page_bytes(bytes);
    return (bytes + page - 1) & ~(page - 1);
}

static bool map_file(qn_shared *shared, int file)
{
    void *mapped = mmap(NULL, shared->mapped_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED)
        return false;
    madvise(mapped, shared->mapped_bytes, MADV_HUGEPAGE);
    shared->data = mapped;
    return true;
}

/* Takes this rank's share of the pages now, so that nobody is killed for touching one that the system does not have. An old kernel
 * cannot do that by address, and gives small pages. */
static bool take_pages(const qn_shared *shared, int file)
{
    uint32_t count = shared->comm->node_size, number = shared->comm->node_rank;
    size_t page = page_bytes(shared->mapped_bytes), pages = shared->mapped_bytes / page;
    size_t begin = pages * number / count * page, end = pages * (number + 1) / count * page;
    if (begin == end || madvise(shared->data + begin, end - begin, MADV_POPULATE_WRITE) == 0)
        return true;
    return errno == EINVAL && fallocate(file, 0, (off_t)begin, (off_t)(end - begin)) == 0;
}

/* Below 0: none. */
static int make_file(qn_shared *shared)
{
    int file = memfd_create("quern", MFD_CLOEXEC);
    if (file < 0)
        return -1;
    if (ftruncate(file, (off_t)shared->mapped_bytes) == 0 && map_file(shared, file) && take_pages(shared, file))
        return file;
    close(file);
    return -1;
}

static file_place place_of(int file)
{
    struct stat about;
    if (file < 0 || fstat(file, &about) != 0)
        return (file_place){.descriptor = -1};
    return (file_place){getpid(), file, about.st_dev, about.st_ino, (uint64_t)about.st_size};
}

static bool open_file(qn_shared *shared, const file_place *place)
{
    char path[64];
    struct stat about;
    if (place->descriptor < 0)
        return false;
    snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)place->process, (long long)place->descriptor);
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return false;
    bool same = fstat(file, &about) == 0 && about.st_dev == place->device && about.st_ino == place->inode &&
                (uint64_t)about.st_size == place->bytes;
    bool mapped = same && map_file(shared, file) && take_pages(shared, file);
    close(file);
    return mapped;
}

static void unmap(qn_shared *shared)
{
    if (shared->data)
        munmap(shared->data, shared->mapped_bytes);
    shared->data = NULL;
}

static bool map_private(qn_shared *shared)
{
    void *mapped =
        mmap(NULL, shared->mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED)
        return false;
    madvise(mapped, shared->mapped_bytes, MADV_HUGEPAGE);
    shared->data = mapped;
    return true;
}

/* *all_out: every rank of the node said yes. */
static quern_status agree_on_node(const qn_shared *shared, bool mine, bool *all_out, qn_error *error)
{
    uint8_t yes = mine;
    quern_status status = qn_comm_gather_node(shared->comm, &yes, 1, shared->answers, error);
    *all_out = status == QUERN_OK;
    for (uint32_t i = 0; i < shared->comm->node_size; i++)
        *all_out = *all_out && shared->answers[i];
    return status;
}

/* Tries to have it in common; *is_shared_out says whether the node has. */
static quern_status map_shared(qn_shared *shared, bool may_share, bool *is_shared_out, qn_error *error)
{
    qn_comm *comm = shared->comm;
    int file = comm->node_rank == 0 && may_share ? make_file(shared) : -1;
    file_place place = place_of(file);
    bool mapped = file >= 0;
    quern_status status = qn_comm_broadcast_within(comm, QN_COMM_NODE, &place, sizeof place, 0, error);
    if (status == QUERN_OK && comm->node_rank > 0)
        mapped = may_share && open_file(shared, &place);
    if (status == QUERN_OK)
        status = agree_on_node(shared, mapped, is_shared_out, error);
    if (file >= 0)
        close(file);
    return status;
}

static quern_status map(qn_shared *shared, bool may_share, qn_error *error)
{
    bool is_shared = false;
    uintptr_t at = (uintptr_t)shared->mine;
    shared->mapped_bytes = whole_pages(shared->bytes + shared->room_bytes + QN_SHARED_SLACK_BYTES);
    quern_status status = QUERN_OK;
    if (shared->comm->node_size > 1)
        status = map_shared(shared, may_share, &is_shared, error);
    if (!is_shared)
        unmap(shared);
    uint64_t bytes = shared->bytes + shared->room_bytes;
    shared->is_private = !is_shared;
    shared->charge_bytes = is_shared ? bytes / shared->comm->node_size + 1 : bytes;
    if (status == QUERN_OK && !is_shared && !map_private(shared))
        status = no_memory(shared->mapped_bytes, error);
    shared->mine = shared->data ? shared->data + at : NULL;
    return status;
}

quern_status qn_shared_create(qn_shared *shared, qn_comm *comm, const qn_shared_wish *wish, qn_error *error)
{
    *shared = (qn_shared){.comm = comm, .room_bytes = wish->room_bytes};
    shared->node_begins = calloc(comm->node_count + 1, sizeof *shared->node_begins);
    shared->rank_bytes = calloc(comm->node_size, sizeof *shared->rank_bytes);
    shared->answers = calloc(comm->node_size, 1);
    if (!shared->node_begins || !shared->rank_bytes || !shared->answers)
        no_memory(comm->node_count, error);
    quern_status status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = lay_out(shared, wish->bytes, error);
    if (status == QUERN_OK) {
        map(shared, wish->may_share, error);
        status = qn_comm_agree(comm, error);
    }
    if (status != QUERN_OK)
        qn_shared_destroy(shared);
    return status;
}

/* ---- bringing ---- */

/* Everybody on the node gets what the others there brought. */
static quern_status spread_on_node(qn_shared *shared, qn_error *error)
{
    qn_comm *comm = shared->comm;
    uint8_t *at = shared->data + shared->node_begins[comm->node];
    quern_status status = QUERN_OK;
    for (uint32_t i = 0; i < comm->node_size && status == QUERN_OK; i++) {
        status = qn_comm_broadcast_within(comm, QN_COMM_NODE, at, shared->rank_bytes[i], i, error);
        at += shared->rank_bytes[i];
    }
    return status;
}

static quern_status spread_among_nodes(qn_shared *shared, qn_comm_scope scope, qn_error *error)
{
    qn_comm *comm = shared->comm;
    quern_status status = QUERN_OK;
    for (uint32_t node = 0; node < comm->node_count && status == QUERN_OK; node++) {
        uint64_t begin = shared->node_begins[node], bytes = shared->node_begins[node + 1] - begin;
        uint32_t root = scope == QN_COMM_LEADS ? node : 0;
        if (scope == QN_COMM_LEADS || node != comm->node)
            status = qn_comm_broadcast_within(comm, scope, shared->data + begin, bytes, root, error);
    }
    return status;
}

quern_status qn_shared_spread(qn_shared *shared, qn_error *error)
{
    qn_comm *comm = shared->comm;
    quern_status status = QUERN_OK;
    if (shared->is_private)
        status = spread_on_node(shared, error);
    else
        status = qn_shared_settle(shared, error); /* before the first rank sends what others wrote */
    if (status == QUERN_OK && comm->node_count > 1 && shared->is_private)
        status = qn_shared_settle(shared, error);
    if (status == QUERN_OK && comm->node_count > 1 && comm->node_rank == 0)
        status = spread_among_nodes(shared, QN_COMM_LEADS, error);
    if (status == QUERN_OK && comm->node_count > 1 && shared->is_private)
        status = spread_among_nodes(shared, QN_COMM_NODE, error);
    return status == QUERN_OK ? qn_shared_settle(shared, error) : status;
}

quern_status qn_shared_settle(qn_shared *shared, qn_error *error)
{
    uint64_t nothing = 0;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    quern_status status = qn_comm_reduce_max(shared->comm, &nothing, 1, error);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return status;
}

/* ---- what ranks write again and again ---- */

static uint32_t node_of(const qn_comm *comm, uint32_t rank)
{
    return comm->node_of ? comm->node_of[rank] : 0;
}

/* The bytes of ranks from `rank` on that follow each other on one node, and are of this node, or of others. Moves *rank behind them. */
static quern_status pass_on(qn_shared *shared, const qn_shared_area *area, qn_comm_scope scope, uint32_t *rank,
                            uint32_t end, uint32_t root, qn_error *error)
{
    uint64_t begin = area->begins[*rank];
    *rank = end;
    return qn_comm_broadcast_within(shared->comm, scope, shared->data + area->offset + begin, area->begins[end] - begin,
                                    root, error);
}

/* Ranks of this node have a copy each: what they wrote, to the others here. */
static quern_status exchange_on_node(qn_shared *shared, const qn_shared_area *area, qn_error *error)
{
    const qn_comm *comm = shared->comm;
    quern_status status = QUERN_OK;
    uint32_t root = 0;
    for (uint32_t rank = 0; rank < comm->size && status == QUERN_OK;) {
        if (node_of(comm, rank) == comm->node)
            status = pass_on(shared, area, QN_COMM_NODE, &rank, rank + 1, root++, error);
        else
            rank++;
    }
    return status;
}

/* Among the first ranks of nodes, or from there to the others of a node. */
static quern_status exchange_among_nodes(qn_shared *shared, const qn_shared_area *area, qn_comm_scope scope,
                                         qn_error *error)
{
    const qn_comm *comm = shared->comm;
    quern_status status = QUERN_OK;
    for (uint32_t rank = 0; rank < comm->size && status == QUERN_OK;) {
        uint32_t node = node_of(comm, rank), end = rank + 1;
        while (end < comm->size && node_of(comm, end) == node)
            end++;
        if (scope == QN_COMM_LEADS || node != comm->node)
            status = pass_on(shared, area, scope, &rank, end, scope == QN_COMM_LEADS ? node : 0, error);
        else
            rank = end;
    }
    return status;
}

quern_status qn_shared_exchange(qn_shared *shared, const qn_shared_area *areas, uint32_t area_count, qn_error *error)
{
    const qn_comm *comm = shared->comm;
    quern_status status = QUERN_OK;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < area_count && status == QUERN_OK; i++) {
        if (shared->is_private && comm->node_size > 1)
            status = exchange_on_node(shared, &areas[i], error);
        if (status == QUERN_OK && comm->node_count > 1 && comm->node_rank == 0)
            status = exchange_among_nodes(shared, &areas[i], QN_COMM_LEADS, error);
        if (status == QUERN_OK && comm->node_count > 1 && comm->node_size > 1 && shared->is_private)
            status = exchange_among_nodes(shared, &areas[i], QN_COMM_NODE, error);
    }
    return status == QUERN_OK && comm->node_count > 1 ? qn_shared_settle(shared, error) : status;
}

void qn_shared_seal(qn_shared *shared)
{
    int code = mprotect(shared->data, shared->mapped_bytes, PROT_READ);
    QN_ASSERT(code == 0);
}

void qn_shared_destroy(qn_shared *shared)
{
    unmap(shared);
    free(shared->node_begins);
    free(shared->rank_bytes);
    free(shared->answers);
    *shared = (qn_shared){0};
}

uint64_t qn_shared_charge_bytes(const qn_shared *shared)
{
    return shared->charge_bytes;
}
