/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/node_tasks.h: tasks of files that each node has for itself.
 *
 * Intuition. What lies on a node's own disk can be listed, looked into and read there only. So the first rank of each node makes the tasks
 * of its files, as rank 0 does of those that all see, and sends them to rank 0 as the bytes that a source reads. There they are handed out like all
 * others, but only to ranks of that node (task_stays of the scheduler).
 *
 * A path that a node does not have is nothing of that node's; one that no node has is an error. The input is what all nodes of the job have: if
 * one is lost on the way, the stage fails, since nobody else has its files. What MPI takes for two nodes may be one machine, and then a path may be the
 * same there: an error, too, as all would be read twice. So with each path comes a mark of its machine, file system and file.
 *
 * Files are numbered by their node and their place in its listing, so the order of the input is that of nodes.
 */
#ifndef QN_ENGINE_NODE_TASKS_H
#define QN_ENGINE_NODE_TASKS_H

#include "runtime/engine/engine.h"
#include "runtime/engine/task_list.h"
#include "runtime/engine/task_state.h"

/* Whether a leg of the stage reads such files. */
bool qn_node_tasks_are_there(const qn_stage *stage);

/* Collective; the same outcome on all ranks, of which one may come with an error. begun: rank 0's: by an earlier attempt at the job, which cut as
 * it says; NULL: nothing. *far_out: the tasks, on rank 0; elsewhere none. QUERN_ERROR_INPUT, and as qn_task_list_create(). */
quern_status qn_node_tasks_gather(const qn_engine *engine, const qn_stage *stage, const qn_task_state *begun,
                                  qn_far_tasks *far_out, qn_error *error);
void qn_node_tasks_destroy(qn_far_tasks *far); /* takes a zeroed one */

/* Makes the engine's node_files: of each stage that reads such files a digest of what there is, node after node: the node's name, paths, sizes and
 * times of change. 0: it reads none, or they cannot be listed. Where the run was begun when no node was lost, as it was then: what has been made of
 * the files of that node is as good as before. Collective; the same outcome on all ranks. QUERN_ERROR_NO_MEMORY, QUERN_ERROR_INTERNAL. */
quern_status qn_node_tasks_digest(qn_engine *engine, const qn_stages *stages, qn_error *error);

/* Appends what is on this node to a message. */
void qn_node_tasks_pack(const qn_task_list *list, const qn_stage *stage, uint32_t node, qn_buffer *message);
/* Reads the messages of all nodes, one behind the other, and takes the text, which is from malloc(), on success. QUERN_ERROR_INPUT: a path is on no
 * node, or on two the same. QUERN_ERROR_INTERNAL: these are no such messages. QUERN_ERROR_NO_MEMORY. */
quern_status qn_node_tasks_unpack(qn_far_tasks *far_out, const qn_stage *stage, void *text, size_t bytes,
                                  qn_error *error);

#endif
