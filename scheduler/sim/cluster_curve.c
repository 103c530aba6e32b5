/* SPDX-License-Identifier: BSD-3-Clause */
#include "scheduler/sim/cluster_curve.h"

void qn_cluster_curve_init(qn_cluster_result *result, uint64_t bucket_ns)
{
    result->bucket_ns = bucket_ns > 0 ? bucket_ns : 1;
    result->bucket_count = 0;
}

static void merge_pairs(qn_cluster_result *result)
{
    for (uint32_t i = 0; i < QN_CLUSTER_BUCKETS_MAX; i++) {
        qn_cluster_bucket zero = {0};
        qn_cluster_bucket both = {0};
        if (2 * i < QN_CLUSTER_BUCKETS_MAX) {
            const qn_cluster_bucket *pair = &result->buckets[(size_t)2 * i];
            both.busy_ns = pair[0].busy_ns + pair[1].busy_ns;
            both.messages = pair[0].messages + pair[1].messages;
            both.tasks_done = pair[0].tasks_done + pair[1].tasks_done;
        }
        result->buckets[i] = 2 * i < QN_CLUSTER_BUCKETS_MAX ? both : zero;
    }
    result->bucket_ns *= 2;
    result->bucket_count = (result->bucket_count + 1) / 2;
}

static qn_cluster_bucket *bucket_of(qn_cluster_result *result, uint64_t now_ns)
{
    while (now_ns / result->bucket_ns >= QN_CLUSTER_BUCKETS_MAX) {
        merge_pairs(result);
    }
    uint32_t index = (uint32_t)(now_ns / result->bucket_ns);
    if (index >= result->bucket_count) {
        result->bucket_count = index + 1;
    }
    return &result->buckets[index];
}

void qn_cluster_curve_add_work(qn_cluster_result *result, uint64_t begin_ns, uint64_t end_ns)
{
    while (begin_ns < end_ns) {
        bucket_of(result, end_ns); /* which may make stretches longer */
        qn_cluster_bucket *bucket = bucket_of(result, begin_ns);
        uint64_t border_ns = (begin_ns / result->bucket_ns + 1) * result->bucket_ns;
        uint64_t stop_ns = border_ns < end_ns ? border_ns : end_ns;
        bucket->busy_ns += (double)(stop_ns - begin_ns);
        begin_ns = stop_ns;
    }
}

void qn_cluster_curve_add_messages(qn_cluster_result *result, uint64_t now_ns, uint64_t messages, uint64_t tasks_done)
{
    qn_cluster_bucket *bucket = bucket_of(result, now_ns);
    bucket->messages += messages;
    bucket->tasks_done += tasks_done;
}
