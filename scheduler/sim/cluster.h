/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/sim/cluster.h: how long a stage takes on a cluster that nobody has: the real scheduler, and everything else a model.
 *
 * Intuition. sim.h asks whether the scheduler is right; this asks what it costs, for any number of ranks. The scheduler is the one of real
 * jobs, event by event. Around it stands what decides the time: a master that looks for messages now and then and needs time for each;
 * ranks of unequal speed with tasks of unequal length; messages that take time; a file system and links that are shared; nodes that fail.
 *
 * Model. A rank works through its orders without a gap, so when an order is sent, when it ends is known: a happening for each task.
 *  - The master looks at its messages every poll_ns while it has nothing else to do, and takes them for look_ns, or batch_max of them. How many tasks a rank is given,
 *    and tells of, at once is decided as in real jobs (hand_size.h). A message of one task costs receive_ns, with the orders that follow send_ns for each rank; each
 *    further task of it receive_task_ns, or send_task_ns.
 *  - A task takes what was drawn for it, on a slow rank slow_factor times that; never less than its bytes take if all ranks read at once; and
 *    task_overhead_ns.
 *  - The shuffle is rounds of round_bytes a rank. A round costs each rank exchange_ns for each message (two for each other rank), which is
 *    added to its tasks; and the links the time for the bytes, which is hidden by the tasks, and the reading, but for the part that is late.
 *    What a rank sends to other nodes takes it time at send_bytes_per_s, in which it does nothing else.
 *    On two levels it is two messages for each other rank of the node and for each other node, and its bytes are copied at copy_bytes_per_s.
 *    Compressed, packed_share of the bytes are left for the links, and a rank's bytes take it time at pack_bytes_per_s.
 *  - Near the end ranks are asked to leave what they have, and second attempts are begun, as in real jobs (stragglers.h), of whose rules none knows how long a task was drawn:
 *    all have as many bytes. A rank leaves a task at a border of a block, which on a slow rank takes slow_factor times block_ns; what it has not begun it leaves at once. A second
 *    attempt keeps back all that it gives. Where attempts make parts a second begins at the begin, and what the loser did is lost.
 *  - A failure of any node ends the job, as with any MPI. After restart_ns it goes on from the last epoch, with as many ranks.
 *  - An epoch: a word to all along a tree, tasks left at a border of a block, the rounds, all that is there to the file system. When one is due
 *    is asked of the caller, who asks what real jobs ask.
 * What is left out: ranks that stop for a while, bounds on what second attempts keep back, contention within a switch, noise of the system, reading what an epoch holds when it is not read at full speed.
 *
 * The same configuration gives the same run, bit for bit.
 */
#ifndef QN_SCHEDULER_SIM_CLUSTER_H
#define QN_SCHEDULER_SIM_CLUSTER_H

#include "scheduler/scheduler.h"

#define QN_CLUSTER_BUCKETS_MAX 256 /* of the curve; even */

typedef enum qn_cluster_lengths {
    QN_CLUSTER_CONSTANT,
    QN_CLUSTER_LOGNORMAL,
    QN_CLUSTER_PARETO,
} qn_cluster_lengths;

/* As the option of jobs. */
typedef enum qn_cluster_speculate {
    QN_CLUSTER_SPECULATE_OFF,
    QN_CLUSTER_SPECULATE_AUTO,
    QN_CLUSTER_SPECULATE_ON,
} qn_cluster_speculate;

/* When an epoch is due, as runtime/engine/epochs.h has it. bytes: of a rank. */
typedef struct qn_cluster_epochs {
    bool (*is_due)(void *user, uint64_t now_ns, uint64_t bytes);
    void (*note)(void *user, uint64_t start_ns, uint64_t now_ns, uint64_t bytes);
    void (*restart)(void *user, uint64_t now_ns); /* the job begins once more */
    void *user;
} qn_cluster_epochs;

typedef struct qn_cluster_config {
    uint64_t seed;
    uint32_t rank_count, node_count, task_count, attempt_count_max; /* as in qn_sched_config */
    qn_cluster_lengths lengths;
    uint64_t task_ns;  /* > 0; on average */
    double spread;     /* LOGNORMAL: sigma of the logarithm; PARETO: alpha, above 1 */
    double slow_share; /* of the nodes are slow, all ranks of each */
    double slow_factor;
    uint64_t task_overhead_ns, block_ns; /* block: what a rank works on at once, and so the time to leave a task */
    qn_cluster_speculate speculate;
    bool makes_parts; /* attempts do: there are no epochs */

    uint64_t receive_ns, send_ns, poll_ns, look_ns; /* of the master; look_ns 0: without a bound */
    uint64_t receive_task_ns, send_task_ns;
    uint32_t batch_max;  /* messages; 0: without a bound */
    uint32_t task_batch; /* tasks that a rank tells of at once; 0: by the load */

    uint64_t latency_ns, node_latency_ns;      /* between nodes, and within the node of the master */
    double link_bytes_per_s, disk_bytes_per_s; /* of a node; of the file system, shared; 0: without a bound */
    uint64_t task_bytes;                       /* that a task reads */
    uint64_t shuffle_bytes;                    /* that all ranks together send */
    double late_share;                         /* of these is sent when the last task is over */
    uint64_t round_bytes, exchange_ns;
    uint64_t rank_memory_bytes; /* by which chunks become smaller; 0: it is enough */
    uint32_t levels; /* of rounds; 2: on one all the same where nodes have unequal ranks, or one; 0: what takes less */
    double copy_bytes_per_s; /* of a rank, all copies that two levels take together; 0: without a bound */
    double send_bytes_per_s; /* of a rank, what it sends to other nodes, besides the link's time; 0: without a bound */
    double packed_share;     /* 0 or 1: nothing is compressed */
    double pack_bytes_per_s; /* there and back; 0: without a bound */
    uint64_t state_bytes;    /* of all ranks, that an epoch at the end of the stage would save */
    uint64_t sync_ns;        /* an epoch costs besides its bytes */

    double failure_ns; /* mean time between failures of a node; 0: none */
    double shape;      /* of Weibull */
    uint64_t restart_ns;
    uint32_t restart_count_max;
    const qn_cluster_epochs *epochs; /* NULL: nothing is saved */
} qn_cluster_config;

/* A stretch of time. */
typedef struct qn_cluster_bucket {
    double busy_ns; /* of all ranks together */
    uint64_t messages, tasks_done;
} qn_cluster_bucket;

typedef struct qn_cluster_result {
    bool finished;      /* false: it was started again too often */
    const char *broken; /* the scheduler's audit at the end, or what cannot be; NULL: fine */
    double makespan_ns;
    double ideal_ns;    /* all work, divided by what all ranks can do */
    double work_ns;     /* of all ranks together, that counts */
    double lost_ns;     /* the same, that failures took */
    double overhead_ns; /* of work_ns, what was not drawn: task_overhead, exchanges, waiting for the file system */
    double
        twice_ns; /* of all ranks together, what was worked on in second attempts, or by who lost against one, and does not count */
    double tail_ns;    /* from when the first rank found no more tasks to the end of the last task */
    double exposed_ns; /* the shuffle after the last task */
    double epochs_ns;  /* in which nobody worked */
    double down_ns;    /* between a failure and the next start */
    double master_busy_ns;
    double longest_queue_ns;                                        /* that a message waited for the master */
    uint64_t messages, orders, order_messages, peak_messages_per_s; /* orders: tasks that were given */
    uint32_t hand_most;                                             /* tasks that a rank might hold, at most */
    uint64_t asked, left;          /* tasks that ranks were asked to leave to others; that they had begun, and left */
    uint64_t seconds, seconds_won; /* second attempts begun; of these, of which something counts */
    uint32_t failures, epochs, round_count, levels;
    uint64_t round_buffer_bytes; /* of a rank, for its exchanges */
    uint64_t scheduler_bytes, event_count;
    uint64_t bucket_ns;
    uint32_t bucket_count;
    qn_cluster_bucket buckets[QN_CLUSTER_BUCKETS_MAX];
} qn_cluster_result;

/* False if the configuration is invalid or memory is short: result untouched. */
bool qn_cluster_run(const qn_cluster_config *config, qn_cluster_result *result_out);

#endif
