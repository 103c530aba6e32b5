/* SPDX-License-Identifier: BSD-3-Clause */
#include "scheduler/sim/cluster_shuffle.h"

#include <stdbool.h>

enum { CHUNK_BYTES_GOOD = 1024, CHUNK_BYTES_MIN = 256, ROUND_PART = 32 };

static const double NS_PER_S = 1e9;

static double min_of(double a, double b)
{
    return a < b ? a : b;
}

/* Of what is sent, what leaves a node. */
static double away_share(const qn_cluster_config *config)
{
    return 1 - 1.0 / config->node_count;
}

static double round_links_ns(const qn_cluster_config *config, double bytes)
{
    double away = bytes * away_share(config);
    return config->link_bytes_per_s <= 0 ? 0 : away / config->node_count / config->link_bytes_per_s * NS_PER_S;
}

/* Of a rank, for so many bytes that all send. */
static double send_ns(const qn_cluster_config *config, double bytes)
{
    double away = bytes * away_share(config) / config->rank_count;
    return config->send_bytes_per_s <= 0 ? 0 : away / config->send_bytes_per_s * NS_PER_S;
}

double qn_cluster_depth(uint32_t count)
{
    double depth = 0;
    for (uint32_t left = count - 1; left > 0; left /= 2) {
        depth++;
    }
    return depth;
}

/* The collectives of a round among so many: what a rank spends on its messages, and what the last of them waits. */
static double collectives_ns(const qn_cluster_config *config, uint32_t count, uint64_t latency_ns)
{
    return 2.0 * (count - 1) * (double)config->exchange_ns + 2 * qn_cluster_depth(count) * (double)latency_ns;
}

static double two_level_round_ns(const qn_cluster_config *config, double bytes)
{
    double copies_ns = config->copy_bytes_per_s > 0 ? bytes / config->copy_bytes_per_s * NS_PER_S : 0;
    uint32_t node_size = config->rank_count / config->node_count;
    return collectives_ns(config, node_size, config->node_latency_ns) +
           collectives_ns(config, config->node_count, config->latency_ns) + copies_ns;
}

/* bytes: of a rank in a round. */
static void choose_levels(qn_cluster_shuffle *plan, const qn_cluster_config *config, double bytes)
{
    bool can = config->node_count > 1 && config->rank_count % config->node_count == 0 &&
               config->rank_count > config->node_count;
    plan->levels = 1;
    plan->round_ns = collectives_ns(config, config->rank_count, config->latency_ns);
    if (!can || config->levels == 1) {
        return;
    }
    double two_ns = two_level_round_ns(config, bytes);
    if (config->levels == 2 || two_ns < plan->round_ns) {
        plan->levels = 2;
        plan->round_ns = two_ns;
    }
}

static bool compresses(const qn_cluster_config *config)
{
    return config->packed_share > 0 && config->packed_share < 1;
}

/* As runtime/engine/settings.c has it. */
static uint64_t choose_chunk_bytes(const qn_cluster_config *config)
{
    uint64_t least = config->rank_memory_bytes / ROUND_PART / config->rank_count & ~UINT64_C(63);
    least = config->rank_memory_bytes == 0 || least > CHUNK_BYTES_GOOD ? CHUNK_BYTES_GOOD : least;
    least = least < CHUNK_BYTES_MIN ? CHUNK_BYTES_MIN : least;
    uint64_t chunk_bytes = config->round_bytes / config->rank_count;
    return chunk_bytes > least ? chunk_bytes : least;
}

double qn_cluster_read_ns(const qn_cluster_config *config)
{
    if (config->disk_bytes_per_s <= 0) {
        return 0;
    }
    return (double)config->task_bytes * config->rank_count / config->disk_bytes_per_s * NS_PER_S;
}

qn_cluster_shuffle qn_cluster_shuffle_plan(const qn_cluster_config *config)
{
    qn_cluster_shuffle plan = {0};
    uint64_t chunk_bytes = choose_chunk_bytes(config);
    double rank_bytes = (double)config->shuffle_bytes / config->rank_count;
    double round_bytes = (double)chunk_bytes * config->rank_count;
    choose_levels(&plan, config, min_of(round_bytes, rank_bytes));
    if (compresses(config) && config->pack_bytes_per_s > 0) {
        plan.round_ns += min_of(round_bytes, rank_bytes) / config->pack_bytes_per_s * NS_PER_S;
    }
    uint32_t in_flight = chunk_bytes < CHUNK_BYTES_GOOD ? 1 : 2;
    plan.buffer_bytes = in_flight * (1 + plan.levels) * chunk_bytes * config->rank_count;
    double rounds = rank_bytes / round_bytes;
    rounds = config->rank_count == 1 || config->shuffle_bytes == 0 ? 0 : (double)(uint64_t)rounds + 1;
    plan.round_count = (uint32_t)min_of(rounds, UINT32_MAX);

    double early_rounds = rounds * (1 - config->late_share);
    double packed_share = compresses(config) ? config->packed_share : 1;
    double sent_bytes = packed_share * (double)config->shuffle_bytes;
    double links_ns = round_links_ns(config, sent_bytes), sending_ns = send_ns(config, sent_bytes);
    double read_ns = qn_cluster_read_ns(config), work_ns = (double)config->task_ns;
    double even_ns = (work_ns > read_ns ? work_ns : read_ns) * config->task_count / config->rank_count;
    if (config->task_count > 0) {
        double early_ns = early_rounds * plan.round_ns + sending_ns * (1 - config->late_share);
        plan.task_ns += early_ns * config->rank_count / config->task_count;
    }
    double hidden_ns = min_of(links_ns * (1 - config->late_share), even_ns);
    plan.exposed_ns = links_ns - hidden_ns + config->late_share * (rounds * plan.round_ns + sending_ns);
    if (rounds > 0) {
        plan.exposed_ns += plan.round_ns; /* the one that says that all have ended */
    }
    return plan;
}
