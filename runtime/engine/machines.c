/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/machines.h"

#include <stdlib.h>

#include "runtime/base/boot_id.h"
#include "runtime/base/hash.h"

qn_machine qn_machine_judge(const uint64_t *rank_marks, uint32_t rank_count, const uint64_t *node_marks,
                            uint32_t node_count, uint32_t node)
{
    qn_machine machine = {.is_one = true};
    for (uint32_t rank = 1; rank < rank_count; rank++)
        machine.is_one &= rank_marks[rank] == rank_marks[0] || rank_marks[rank] == 0 || rank_marks[0] == 0;
    for (uint32_t other = 0; other < node_count; other++)
        machine.node_count += other == node || (node_marks[other] == node_marks[node] && node_marks[node] != 0);
    return machine;
}

static uint64_t read_mark(void)
{
    char boot[QN_BOOT_ID_BYTES + 1];
    return qn_boot_id_read(boot) ? qn_checksum(boot, QN_BOOT_ID_BYTES, 0) : 0;
}

quern_status qn_machine_learn(qn_machine *machine_out, qn_comm *comm, qn_error *error)
{
    uint64_t mine = read_mark();
    uint64_t *rank_marks = calloc(comm->node_size, sizeof *rank_marks);
    uint64_t *node_marks = calloc(comm->node_count, sizeof *node_marks);
    if (!rank_marks || !node_marks)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to compare %u nodes", comm->node_count);
    quern_status status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = qn_comm_gather_node(comm, &mine, sizeof mine, rank_marks, error);
    if (status == QUERN_OK && comm->node_rank == 0)
        node_marks[comm->node] = mine;
    if (status == QUERN_OK)
        status = qn_comm_reduce_sum(comm, node_marks, comm->node_count, error); /* each is one node's and zeros */
    if (status == QUERN_OK)
        *machine_out = qn_machine_judge(rank_marks, comm->node_size, node_marks, comm->node_count, comm->node);
    free(rank_marks);
    free(node_marks);
    return status;
}
