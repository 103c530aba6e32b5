/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/task_list.h: the tasks of a stage: the splits of all its sources, leg after leg, and the order in which they are
 * handed out.
 *
 * Where the stage samples its input to divide the work, the order is scattered over the bytes of the whole of it (the halves, the quarters
 * and so on): the first tasks are then a sample, also of an input that is sorted, and of a large and a small one that are joined: the small
 * one, were it read early, would be all of itself in a sample that has little of the large one. In check mode it is shuffled, by a seed: no order has a
 * meaning, and a job that finds one in it is wrong.
 *
 * What is on one node only is listed, looked into and cut there (node_tasks.h); here such a task is bytes that its source understands.
 */
#ifndef QN_ENGINE_TASK_LIST_H
#define QN_ENGINE_TASK_LIST_H

#include "runtime/io/hdf5_listing.h"
#include "runtime/io/split.h"
#include "runtime/plan/stages.h"

typedef enum qn_task_turns {
    QN_TASKS_IN_ORDER,
    QN_TASKS_SCATTERED,
    QN_TASKS_SHUFFLED,
} qn_task_turns;

/* A task of files that only a node has, as that node made it. */
typedef struct qn_far_task {
    uint32_t leg, node;
    uint64_t bytes;
    bool is_packed;        /* a file that only one reader can unpack */
    const uint8_t *packed; /* [packed_bytes], as its source reads it */
    size_t packed_bytes;
} qn_far_task;

/* Of all nodes: leg after leg, in one node after node. */
typedef struct qn_far_tasks {
    qn_far_task *items; /* [count] */
    uint32_t count;
    uint64_t bytes;
    size_t file_count, whole_count;
    void *text; /* what `packed` borrows */
} qn_far_tasks;

/* A path that is on a node, but of which cannot be said what it is; others have the mark of the machine and file that they are. */
#define QN_TASK_PATH_UNMARKED UINT64_C(1)

typedef struct qn_task_leg {
    qn_listing listing;
    qn_hdf5_listing datasets; /* of a leg that reads HDF5, whose listing is empty */
    qn_splits splits;
    const qn_far_task *far; /* [far_count], behind the splits; borrowed */
    uint32_t far_count;
    uint64_t *path_marks; /* of a node's own list: of each path 0 if it is not there; owned */
    uint32_t first_task;
} qn_task_leg;

typedef struct qn_task_list {
    qn_task_leg *legs; /* [leg_count] as in the stage; those that read results or memory are empty */
    uint32_t leg_count;
    uint32_t count; /* of tasks */
    uint64_t bytes;
    size_t file_count;
    bool has_packed;    /* files that only one reader can unpack */
    size_t whole_count; /* of these, plain files that their format does not allow to cut: one rank reads each */
    uint32_t *order;    /* [count]; NULL: as they are */
} qn_task_list;

/* Whose. */
typedef enum qn_task_scope {
    QN_TASKS_OF_ALL,  /* what all nodes see, and what nodes told of their own */
    QN_TASKS_OF_NODE, /* what is on this node */
} qn_task_scope;

/* How they are cut. */
typedef struct qn_task_cut {
    qn_task_scope scope;
    uint32_t node;           /* of OF_NODE */
    const qn_far_tasks *far; /* of OF_ALL: borrowed as long as the list is there; NULL: none */

    uint64_t split_bytes; /* 0: by the input and the number of workers */
    uint64_t record_bytes_max;
    uint32_t worker_count;
    qn_task_turns turns;
    uint64_t seed; /* of SHUFFLED */
    uint32_t
        bad_legs; /* of qn_bad_legs(): packed files of theirs are cut only where damage means the same everywhere */
} qn_task_cut;

/* Lists the inputs and cuts them. QUERN_ERROR_INPUT, QUERN_ERROR_RECORD_TOO_LARGE, QUERN_ERROR_NO_MEMORY. Local. */
quern_status qn_task_list_create(qn_task_list *list, const qn_stage *stage, const qn_task_cut *cut, qn_error *error);
void qn_task_list_destroy(qn_task_list *list); /* takes a zeroed one */

/* Lists a leg, which is zeroed, with those of its paths that are on this node: the listing and path_marks, which the caller releases on failure, too.
 * QUERN_ERROR_INPUT, QUERN_ERROR_NO_MEMORY. */
quern_status qn_task_leg_list_here(qn_task_leg *leg, const qn_text_input *text, uint32_t node, qn_error *error);

/* The task that is the turn-th to be handed out. */
static inline uint32_t qn_task_list_at(const qn_task_list *list, uint32_t turn)
{
    return list->order ? list->order[turn] : turn;
}

#define QN_ONE_READER_PATH_BYTES 256

/* Files that cannot be cut, and that one rank reads each: how many there are, and the largest. */
typedef struct qn_one_reader {
    uint64_t count, bytes;
    char path[QN_ONE_READER_PATH_BYTES]; /* cut to fit */
} qn_one_reader;

qn_one_reader qn_task_list_find_one_reader(const qn_task_list *list);

static inline uint32_t qn_task_leg_count(const qn_task_leg *leg)
{
    return leg->splits.count + leg->far_count;
}

/* What is known of one task. */
typedef struct qn_task_entry {
    uint32_t leg, place; /* the leg, and its number there */
    uint32_t node;       /* that alone has it; UINT32_MAX: all have */
    bool is_packed;      /* a file that only one reader can unpack */
    uint64_t bytes;
} qn_task_entry;

qn_task_entry qn_task_list_find(const qn_task_list *list, uint32_t task);

/* Appends the task as its source reads it. */
void qn_task_list_encode(const qn_task_list *list, const qn_task_entry *entry, qn_buffer *message);

#endif
