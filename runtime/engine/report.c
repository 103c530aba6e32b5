/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/report.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/utf8.h"
#include "runtime/engine/report_read.h"
#include "runtime/engine/run_view.h"
#include "runtime/engine/verdict.h"
#include "runtime/topology/cpu_quota.h"

#define HOT_PART 200 /* a key is hot from this part of the records on */

/* In place and not renamed: the path may be a device, a pipe, or the only file of the directory that may be written. */
static quern_status open_file(qn_report *report, qn_error *error)
{
    int fd = open(report->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    report->created_file = fd >= 0;
    if (fd < 0 && errno == EEXIST)
        fd = open(report->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666); /* O_CREAT: it may be a link to nowhere */
    if (fd >= 0 && !(report->file = fdopen(fd, "w")))
        close(fd);
    if (!report->file)
        return qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot write the report %s", report->path);
    return QUERN_OK;
}

quern_status qn_report_init(qn_report *report, uint32_t stage_count_max, const char *path, qn_error *error)
{
    *report = (qn_report){.start_ns = qn_clock_ns(), .path = path};
    report->stages = calloc(stage_count_max + 1, sizeof *report->stages);
    if (!report->stages)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the report");
    return path ? open_file(report, error) : QUERN_OK;
}

static void free_stage(qn_report_stage *stage)
{
    free(stage->ranks);
    free(stage->bad);
}

void qn_report_fini(qn_report *report)
{
    if (report->file)
        fclose(report->file);
    if (report->created_file)
        unlink(report->path);
    for (uint32_t i = 0; i < report->stage_count; i++)
        free_stage(&report->stages[i]);
    free(report->stages);
    *report = (qn_report){0};
}

/* What is summed over all ranks: what passed each step; then what the shuffles counted. */
typedef struct stage_sums {
    qn_edge_stats edges[QN_EDGE_COUNT_MAX];
    uint64_t sent, received;
    uint64_t read_bytes, sent_bytes, spilled_bytes;
    uint64_t inserted, copies, merged;      /* by the result at the end */
    uint64_t restored;                      /* into it, beside these */
    uint64_t delivered_before;              /* to the end, by an earlier attempt at the job */
    uint64_t read_merged[QN_LEG_COUNT_MAX]; /* as the results were read */
    uint64_t leg_bytes[QN_LEG_COUNT_MAX];
} stage_sums;

static void sum_up(const qn_stage_run *run, stage_sums *sums)
{
    memcpy(sums->edges, run->edges, sizeof sums->edges);
    memcpy(sums->leg_bytes, run->source_bytes, sizeof sums->leg_bytes);
    sums->delivered_before = run->delivered_before;
    sums->sent = run->figures.sent_records;
    sums->received = run->figures.received_records;
    sums->read_bytes = run->figures.input_bytes;
    sums->sent_bytes = run->figures.sent_bytes;
    sums->spilled_bytes = run->figures.spilled_bytes;
    if (run->into || run->stored) {
        qn_result_stats stats = qn_result_get_stats(run->into ? run->into : run->stored);
        sums->inserted = stats.records_in;
        sums->copies = stats.copies;
        sums->restored = stats.restored;
        sums->merged = stats.merged;
    }
    for (uint32_t leg = 0; leg < run->stage->leg_count; leg++)
        if (run->from[leg])
            sums->read_merged[leg] = qn_result_get_stats(run->from[leg]).result_merged;
}

static quern_status unbalanced(const char *what, uint64_t in, uint64_t out, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_IMBALANCE, 0, "%s: %llu records on one side, %llu on the other", what,
                        (unsigned long long)in, (unsigned long long)out);
}

/* Filters and maps neither make nor lose records; flat maps and groups make what they like, and quantiles few. */
static quern_status check_operator(const qn_node *node, const qn_edge_stats *edge, qn_error *error)
{
    bool gives_any_number = node->kind == QN_NODE_FLAT_MAP || node->kind == QN_NODE_FLAT_MAP_BLOCK ||
                            node->kind == QN_NODE_QUANTILES || qn_node_is_grouping(node);
    if (gives_any_number)
        return QUERN_OK;
    if (edge->records_in != edge->records_out + edge->records_dropped)
        return unbalanced(node->name, edge->records_in, edge->records_out + edge->records_dropped, error);
    return QUERN_OK;
}

/* One leg, but for what arrives at the end; and the result that it reads, if it does. from: NULL: it reads none, or an earlier attempt did. */
static quern_status check_leg(const qn_stage *stage, uint32_t number, const stage_sums *sums, const qn_result *from,
                              qn_error *error)
{
    const qn_leg *leg = &stage->legs[number];
    const qn_edge_stats *edges = sums->edges + leg->first_step;
    quern_status status = QUERN_OK;
    for (uint32_t i = 1; i <= leg->operator_count && status == QUERN_OK; i++) {
        status = check_operator(stage->steps[leg->first_step + i], &edges[i], error);
        if (status == QUERN_OK && edges[i - 1].records_out != edges[i].records_in)
            status = unbalanced("between two operators", edges[i - 1].records_out, edges[i].records_in, error);
    }
    if (status != QUERN_OK || !from)
        return status;
    uint64_t given = from->all_merged + sums->read_merged[number] + edges[0].records_out;
    uint64_t all_in = from->all_in + (from->beside ? from->beside->all_in : 0);
    if (all_in != given)
        return unbalanced("in the result that was read", all_in, given, error);
    return QUERN_OK;
}

static quern_status check_balance(const qn_stage_run *run, const stage_sums *sums, qn_error *error)
{
    const qn_stage *stage = run->stage;
    uint64_t left = 0, arrived = sums->edges[stage->step_count].records_in;
    quern_status status = QUERN_OK;
    /* What an earlier attempt at the job delivered of a block that failed then is made once more, and dropped. */
    uint64_t due = arrived + sums->delivered_before;
    for (uint32_t i = 0; i < stage->leg_count && status == QUERN_OK; i++) {
        const qn_leg *leg = &stage->legs[i];
        status = check_leg(stage, i, sums, run->goes_on ? NULL : run->from[i], error);
        left += sums->edges[leg->first_step + leg->operator_count].records_out;
    }
    if (status == QUERN_OK && left != due)
        status = unbalanced("at the end of a stage", left, due, error);
    if (status == QUERN_OK && (run->into || run->stored) && arrived != sums->inserted)
        status = unbalanced("into the result", arrived, sums->inserted, error);
    if (status == QUERN_OK && sums->sent != sums->received)
        status = unbalanced("between ranks", sums->sent, sums->received, error);
    return status;
}

static const char *end_name(const qn_stage *stage)
{
    if (stage->result)
        return stage->result->name;
    switch (stage->sink->kind) {
    case QN_SINK_TEXT:
        return "write text";
    case QN_SINK_FIXED:
        return "write fixed";
    case QN_SINK_HDF5:
        return "write hdf5";
    case QN_SINK_TOP_K:
        return "top k";
    case QN_SINK_COLLECT:
        return "collect";
    }
    return "";
}

static void keep_edges(qn_report_stage *kept, const qn_stage_run *run, const stage_sums *sums)
{
    const qn_stage *stage = run->stage;
    uint32_t count = stage->step_count;
    kept->edge_count = count + 1;
    for (uint32_t i = 0; i < kept->edge_count; i++) {
        const char *name = i < count ? stage->steps[i]->name : end_name(stage);
        snprintf(kept->edges[i].name, sizeof kept->edges[i].name, "%.*s", (int)sizeof kept->edges[i].name - 1, name);
        kept->edges[i].stats = sums->edges[i];
        kept->edges[i].foreseen = qn_account_size_at(run->engine->account, run->index, i);
    }
    qn_edge_stats *end = &kept->edges[count].stats;
    end->records_out = end->records_in;
    memcpy(kept->leg_bytes, sums->leg_bytes, sizeof kept->leg_bytes);
    kept->read_bytes = sums->read_bytes;
    kept->sent_bytes = sums->sent_bytes;
    kept->spilled_bytes = sums->spilled_bytes;
}

/* Rank 0 learns the figures of all ranks, and of a result what the most frequent keys of all ranks are. */
static quern_status gather_ranks(const qn_stage_run *run, qn_report_stage *kept, qn_error *error)
{
    qn_comm *comm = run->engine->comm;
    qn_hot_keys *all_keys = calloc(comm->rank == 0 ? comm->size : 1, sizeof *all_keys);
    kept->ranks = calloc(comm->size, sizeof *kept->ranks);
    if (!all_keys || !kept->ranks)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the report");
    quern_status status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = qn_comm_gather(comm, &run->figures, sizeof run->figures, kept->ranks, error);
    bool has_keys = status == QUERN_OK && run->stage->result;
    if (has_keys)
        status = qn_comm_gather(comm, &run->hot_keys, sizeof run->hot_keys, comm->rank == 0 ? all_keys : NULL, error);
    for (uint32_t rank = 0; has_keys && status == QUERN_OK && comm->rank == 0 && rank < comm->size; rank++)
        qn_hot_keys_merge(&kept->hot_keys, &all_keys[rank]);
    free(all_keys);
    return status;
}

static void keep_legs(qn_report_stage *kept, const qn_stage *stage)
{
    kept->leg_count = stage->leg_count;
    for (uint32_t i = 0; i < stage->leg_count; i++) {
        const qn_leg *leg = &stage->legs[i];
        const qn_text_input *input = &qn_leg_source(stage, i)->text;
        qn_report_leg *to = &kept->legs[i];
        *to = (qn_report_leg){leg->parent, leg->first_step, leg->operator_count, ""};
        if (!qn_leg_has_tasks(stage, i) || input->path_count == 0)
            continue;
        int used = snprintf(to->input, sizeof to->input, "%.100s", input->paths[0]);
        if (input->path_count > 1)
            snprintf(to->input + used, sizeof to->input - (size_t)used, " and %zu more", input->path_count - 1);
    }
}

/* For the check of those who read it, in this run or a later one. */
static void keep_balance(const qn_stage_run *run, const stage_sums *sums)
{
    qn_result *result = run->into ? run->into : run->stored;
    if (!result)
        return;
    result->all_in = sums->inserted + sums->copies + sums->restored;
    result->all_merged = sums->merged;
}

/* Rank 0 learns of all bad records. *found_out, on all ranks: there are too many of some leg. */
static quern_status gather_bad(const qn_stage_run *run, qn_report_stage *kept, quern_status *found_out, qn_error *error)
{
    qn_comm *comm = run->engine->comm;
    uint32_t leg_count = run->stage->leg_count, count = 0;
    for (uint32_t leg = 0; leg < leg_count; leg++)
        count += qn_bad_limit_passes(&run->bad[leg].limit);
    if (count == 0)
        return QUERN_OK;
    kept->bad = calloc(count, sizeof *kept->bad);
    if (!kept->bad)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the report");
    quern_status status = qn_comm_agree(comm, error);
    qn_error found = {0};
    for (uint32_t leg = 0; leg < leg_count && status == QUERN_OK; leg++) {
        if (!qn_bad_limit_passes(&run->bad[leg].limit))
            continue;
        qn_bad_log *all = &kept->bad[kept->bad_count++];
        status = qn_bad_log_gather(&run->bad[leg], comm, all, error);
        if (status == QUERN_OK && found.status == QUERN_OK)
            qn_bad_log_check(all, "", &found);
    }
    if (status == QUERN_OK)
        *found_out = qn_comm_agree(comm, &found);
    if (status == QUERN_OK && kept->status == QUERN_OK && *found_out != QUERN_OK)
        *error = found;
    return status;
}

quern_status qn_report_add_stage(qn_report *report, const qn_stage_run *run, quern_status outcome, double seconds,
                                 qn_error *error)
{
    qn_comm *comm = run->engine->comm;
    qn_report_stage *kept = &report->stages[report->stage_count];
    stage_sums sums = {0};
    *kept = (qn_report_stage){.name = qn_leg_source(run->stage, 0)->name,
                              .end_name = end_name(run->stage),
                              .status = outcome,
                              .seconds = seconds,
                              .start_seconds = (double)(qn_clock_ns() - run->engine->run_ns) / 1e9 - seconds,
                              .index = run->index,
                              .one_reader = run->one_reader};
    quern_status status = gather_ranks(run, kept, error);
    sum_up(run, &sums);
    if (status == QUERN_OK)
        status = qn_comm_reduce_sum(comm, (uint64_t *)&sums, sizeof sums / sizeof(uint64_t), error);
    quern_status bad_status = QUERN_OK;
    if (status == QUERN_OK)
        status = gather_bad(run, kept, &bad_status, error);
    if (status != QUERN_OK) {
        free_stage(kept);
        return status;
    }
    report->stage_count++;
    keep_edges(kept, run, &sums);
    keep_legs(kept, run->stage);
    keep_balance(run, &sums);
    if (outcome == QUERN_OK)
        kept->status = bad_status == QUERN_OK ? check_balance(run, &sums, error) : bad_status;
    return kept->status;
}

/* What a rank tells of itself. */
typedef struct rank_summary {
    char host[64];
    char place[QN_TOPOLOGY_PLACE_BYTES_MAX];
    uint64_t node;
    uint64_t peak_rss_bytes;
    uint64_t core_sharers;
    uint64_t cpu_quota; /* of the rank's cgroups, or QN_CPU_QUOTA_NONE */
} rank_summary;

/* The most that this process had in memory, in bytes. getrusage() is second choice: it counts what the process that started this one had. */
static uint64_t peak_rss_bytes(void)
{
    struct rusage usage = {0};
    unsigned long long peak_kib = 0;
    char line[128];
    FILE *file = fopen("/proc/self/status", "re");
    while (file && peak_kib == 0 && fgets(line, sizeof line, file))
        (void)sscanf(line, "VmHWM: %llu", &peak_kib);
    if (file)
        fclose(file);
    if (peak_kib == 0 && getrusage(RUSAGE_SELF, &usage) == 0)
        peak_kib = (unsigned long long)usage.ru_maxrss;
    return (uint64_t)peak_kib * 1024;
}

static rank_summary summarise(const qn_engine *engine)
{
    rank_summary summary = {.node = engine->comm->node};
    struct utsname names;
    if (uname(&names) == 0)
        snprintf(summary.host, sizeof summary.host, "%.*s", (int)sizeof summary.host - 1, names.nodename);
    qn_pin_describe(&engine->place, summary.place);
    summary.peak_rss_bytes = peak_rss_bytes();
    summary.core_sharers = engine->place.sharers;
    summary.cpu_quota = qn_cpu_quota_query("");
    return summary;
}

static void set_u64(json_t *object, const char *name, uint64_t number)
{
    json_object_set_new(object, name, json_integer((json_int_t)number));
}

/* Names and paths may be any bytes; JSON takes UTF-8 only. */
static json_t *text_json(const char *text)
{
    char *repaired = qn_utf8_repair(text);
    json_t *json = repaired ? json_string(repaired) : NULL;
    free(repaired);
    return json;
}

static json_t *describe_figures(const qn_stage_figures *figures)
{
    json_t *object = json_object();
#define SET_FIGURE(field, meaning) set_u64(object, #field, figures->field);
    QN_STAGE_FIGURES(SET_FIGURE)
#undef SET_FIGURE
    return object;
}

static void add_figures(qn_stage_figures *sum, const qn_stage_figures *figures)
{
    uint64_t peak =
        sum->table_bytes_peak > figures->table_bytes_peak ? sum->table_bytes_peak : figures->table_bytes_peak;
#define ADD_FIGURE(field, meaning) sum->field += figures->field;
    QN_STAGE_FIGURES(ADD_FIGURE)
#undef ADD_FIGURE
    sum->table_bytes_peak = peak;
}

static json_t *describe_edge(const qn_report_edge *edge)
{
    json_t *object = json_object();
    json_object_set_new(object, "name", text_json(edge->name));
    set_u64(object, "records_in", edge->stats.records_in);
    set_u64(object, "records_out", edge->stats.records_out);
    set_u64(object, "records_dropped", edge->stats.records_dropped);
    bool is_foreseen = edge->foreseen.kind != QN_FORESEEN_NOT;
    json_object_set_new(object, "foreseen_bytes",
                        is_foreseen ? json_integer((json_int_t)edge->foreseen.bytes) : json_null());
    json_object_set_new(object, "foreseen_at_most", json_boolean(edge->foreseen.kind == QN_FORESEEN_AT_MOST));
    return object;
}

static uint64_t sum_owned(const qn_report_stage *stage, uint32_t size)
{
    uint64_t sum = 0;
    for (uint32_t rank = 0; rank < size; rank++)
        sum += stage->ranks[rank].owned_records;
    return sum;
}

/* How even the ranks' work was: what they own of the stage's result, or read where that says nothing. */
static json_t *describe_load(const qn_report_stage *stage, uint32_t size)
{
    json_t *object = json_object();
    uint64_t sum = 0, most = 0;
    uint32_t busiest = 0;
    bool owns = sum_owned(stage, size) > 0;
    for (uint32_t rank = 0; rank < size; rank++) {
        const qn_stage_figures *figures = &stage->ranks[rank];
        uint64_t load = owns ? figures->owned_records : figures->source_records;
        sum += load;
        if (load > most) {
            most = load;
            busiest = rank;
        }
    }
    set_u64(object, "busiest_rank", busiest);
    json_object_set_new(object, "busiest_to_mean", json_real(sum > 0 ? (double)most * size / (double)sum : 1));
    return object;
}

static json_t *describe_hot_keys(const qn_report_stage *stage)
{
    const qn_hot_key *hottest[QN_HOT_KEYS_SHOWN];
    qn_hot_keys hot = stage->hot_keys;
    json_t *list = json_array();
    uint64_t least = 2 + hot.sample_count / HOT_PART;
    size_t count = qn_hot_keys_rank(&hot, least, hottest);
    for (size_t i = 0; i < count; i++) {
        json_t *object = json_object();
        json_object_set_new(object, "key", text_json(hottest[i]->text));
        json_object_set_new(object, "share", json_real((double)hottest[i]->count / (double)hot.sample_count));
        json_array_append_new(list, object);
    }
    return list;
}

static json_t *describe_bad_place(const qn_bad_place *place)
{
    json_t *object = json_object();
    char path[QN_BAD_NAME_BYTES_MAX];
    bool is_member = place->name[place->path_bytes] == '/';
    snprintf(path, sizeof path, "%.*s", (int)place->path_bytes, place->name);
    json_object_set_new(object, "file", text_json(path));
    json_object_set_new(object, "member", is_member ? text_json(place->name + place->path_bytes + 1) : json_null());
    json_object_set_new(object, "unit", place->at.unit > 0 ? json_integer((json_int_t)place->at.unit) : json_null());
    set_u64(object, "offset", place->at.offset);
    json_object_set_new(object, "bytes",
                        place->bytes == QN_BYTES_UNKNOWN ? json_null() : json_integer((json_int_t)place->bytes));
    json_object_set_new(object, "reason", text_json(place->reason));
    return object;
}

static json_t *describe_bad(const qn_bad_log *log)
{
    json_t *object = json_object(), *first = json_array();
    bool is_kept = log->limit.policy == QUERN_BAD_QUARANTINE;
    json_object_set_new(object, "source", text_json(log->source));
    set_u64(object, "skipped", is_kept ? 0 : log->count);
    set_u64(object, "quarantined", is_kept ? log->count : 0);
    for (uint32_t i = 0; i < log->listed_count; i++)
        json_array_append_new(first, describe_bad_place(&log->listed[i]));
    json_object_set_new(object, "first", first);
    return object;
}

/* The number from 1 in the report of the stage whose result is read; null: it was made before the run, or was not there to be made. */
static json_t *number_of(const qn_report *report, uint32_t index)
{
    for (uint32_t i = 0; i < report->stage_count; i++)
        if (index != QN_STAGE_NONE && report->stages[i].index == index)
            return json_integer(i + 1);
    return json_null();
}

static json_t *describe_legs(const qn_report *report, const qn_report_stage *stage)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < stage->leg_count; i++) {
        const qn_report_leg *leg = &stage->legs[i];
        json_t *object = json_object();
        json_object_set_new(object, "reads_stage", number_of(report, leg->parent));
        json_object_set_new(object, "input", *leg->input ? text_json(leg->input) : json_null());
        set_u64(object, "read_bytes", stage->leg_bytes[i]);
        set_u64(object, "first_edge", leg->first_edge);
        set_u64(object, "operators", leg->operator_count);
        json_array_append_new(list, object);
    }
    return list;
}

static json_t *describe_one_reader(const qn_one_reader *of)
{
    json_t *object = json_object();
    set_u64(object, "files", of->count);
    json_object_set_new(object, "largest", of->count > 0 ? text_json(of->path) : json_null());
    set_u64(object, "largest_bytes", of->bytes);
    return object;
}

static json_t *describe_stage(const qn_report *report, const qn_report_stage *stage, uint32_t size)
{
    json_t *object = json_object(), *edges = json_array(), *ranks = json_array(), *bad = json_array();
    for (uint32_t i = 0; i < stage->bad_count; i++)
        json_array_append_new(bad, describe_bad(&stage->bad[i]));
    json_object_set_new(object, "name", text_json(stage->name));
    json_object_set_new(object, "end", text_json(stage->end_name));
    json_object_set_new(object, "status", json_string(quern_status_name(stage->status)));
    json_object_set_new(object, "start_seconds", json_real(stage->start_seconds));
    json_object_set_new(object, "seconds", json_real(stage->seconds));
    json_object_set_new(object, "legs", describe_legs(report, stage));
    json_object_set_new(object, "one_reader", describe_one_reader(&stage->one_reader));
    for (uint32_t i = 0; i < stage->edge_count; i++)
        json_array_append_new(edges, describe_edge(&stage->edges[i]));
    for (uint32_t rank = 0; rank < size; rank++)
        json_array_append_new(ranks, describe_figures(&stage->ranks[rank]));
    json_object_set_new(object, "load", describe_load(stage, size));
    json_object_set_new(object, "hottest_keys", describe_hot_keys(stage));
    json_object_set_new(object, "bad_records", bad);
    json_object_set_new(object, "edges", edges);
    json_object_set_new(object, "ranks", ranks);
    return object;
}

/* A rank: where it sat, and its figures summed over the stages. */
static json_t *describe_rank(const qn_report *report, const rank_summary *summary, uint32_t rank)
{
    qn_stage_figures sum = {0};
    for (uint32_t i = 0; i < report->stage_count; i++)
        add_figures(&sum, &report->stages[i].ranks[rank]);
    json_t *object = describe_figures(&sum);
    json_object_set_new(object, "rank", json_integer(rank));
    json_object_set_new(object, "host", text_json(summary->host));
    json_object_set_new(object, "pinned", json_string(summary->place));
    set_u64(object, "node", summary->node);
    set_u64(object, "core_sharers", summary->core_sharers);
    json_object_set_new(object, "processors_allowed",
                        summary->cpu_quota == QN_CPU_QUOTA_NONE ? json_null()
                                                                : json_real((double)summary->cpu_quota / 1000));
    set_u64(object, "peak_rss_bytes", summary->peak_rss_bytes);
    return object;
}

static json_t *describe_counters(const struct quern_counter *counter)
{
    json_t *object = json_object();
    for (; counter; counter = counter->next) {
        char *name = qn_utf8_repair(counter->name);
        if (name)
            json_object_set_new(object, name, json_integer(counter->total));
        free(name);
    }
    return object;
}

static json_t *describe_recovered(const qn_recovered *recovered)
{
    json_t *object = json_object(), *lost = json_array();
    const qn_comm_loss *loss = &recovered->loss;
    for (uint32_t i = 0; i < loss->lost_count && i < QN_COMM_LOST_NAMED_MAX; i++)
        json_array_append_new(lost, json_integer(loss->lost[i]));
    json_object_set_new(object, "lost_ranks", lost);
    set_u64(object, "lost_count", loss->lost_count);
    set_u64(object, "survivors", loss->survivor_count);
    json_object_set_new(object, "seconds", json_real(recovered->seconds));
    json_object_set_new(object, "from_checkpoint", json_boolean(recovered->from_checkpoint));
    return object;
}

static json_t *describe_recoveries(const qn_engine *engine)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < engine->recovery_count; i++)
        json_array_append_new(list, describe_recovered(&engine->recovered[i]));
    return list;
}

static json_t *describe_failed(const qn_failed_attempts *failed)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < failed->count && i < QN_FAILED_ATTEMPTS_MAX; i++) {
        const qn_failed_attempt *attempt = &failed->first[i];
        json_t *object = json_object();
        set_u64(object, "stage", attempt->stage);
        set_u64(object, "task", attempt->task);
        set_u64(object, "attempt", attempt->attempt);
        set_u64(object, "rank", attempt->rank);
        json_object_set_new(object, "reason", text_json(attempt->text));
        json_array_append_new(list, object);
    }
    return list;
}

static json_t *describe_run(const qn_report *report, const qn_engine *engine, const rank_summary *summaries,
                            const qn_run_view *view, const qn_error *outcome)
{
    json_t *object = json_object(), *stages = json_array(), *edges = json_array(), *ranks = json_array();
    uint32_t size = summaries ? engine->comm->size : 0; /* without them the ranks are not known */
    uint64_t input_bytes = 0;
    for (uint32_t i = 0; i < report->stage_count; i++) {
        const qn_report_stage *stage = &report->stages[i];
        json_array_append_new(stages, describe_stage(report, stage, size));
        for (uint32_t e = 0; e < stage->edge_count; e++)
            json_array_append_new(edges, describe_edge(&stage->edges[e]));
        for (uint32_t rank = 0; rank < size; rank++)
            input_bytes += stage->ranks[rank].input_bytes;
    }
    for (uint32_t rank = 0; rank < size; rank++) {
        json_t *one = describe_rank(report, &summaries[rank], rank);
        qn_run_view_describe_rank(view, rank, one);
        json_array_append_new(ranks, one);
    }
    json_object_set_new(object, "quern_report", json_integer(1));
    json_object_set_new(object, "status", json_string(quern_status_name(outcome->status)));
    json_object_set_new(object, "error", outcome->status == QUERN_OK ? json_null() : text_json(outcome->text));
    json_object_set_new(object, "elapsed_seconds", json_real((double)(qn_clock_ns() - report->start_ns) / 1e9));
    set_u64(object, "input_bytes", input_bytes);
    set_u64(object, "memory_bytes_per_node", engine->settings.node_memory_bytes);
    json_object_set_new(object, "memory_source", json_string(engine->settings.memory_source));
    json_object_set_new(object, "recoveries", describe_recoveries(engine));
    json_object_set_new(object, "failed_attempts", describe_failed(&engine->failed));
    json_object_set_new(object, "counters", describe_counters(engine->counters));
    json_object_set_new(object, "stages", stages);
    json_object_set_new(object, "edges", edges);
    json_object_set_new(object, "ranks", ranks);
    qn_run_view_describe(view, object);
    json_object_set_new(object, "alerts", qn_job_status_copy_alerts(engine->status));
    qn_verdict_set(object);
    return object;
}

static void write_json(qn_report *report, const json_t *object, qn_error *error)
{
    bool cut = ftruncate(fileno(report->file), 0) == 0 || errno == EINVAL; /* a device or a pipe cannot be cut */
    int reason = cut ? 0 : errno;
    errno = 0;
    bool written = cut && object && json_dumpf(object, report->file, JSON_INDENT(1)) == 0;
    if (fclose(report->file) != 0)
        written = false;
    report->file = NULL;
    report->created_file = false;
    if (!written)
        qn_error_set(error, QUERN_ERROR_OUTPUT, reason ? reason : errno, "cannot write the report %s", report->path);
}

/* What somebody should look at, also for those who look at the log or the status. */
static void tell_alerts(const qn_engine *engine, const json_t *report)
{
    const json_t *alerts = json_object_get(report, "alerts");
    for (size_t i = 0; i < json_array_size(alerts); i++) {
        const json_t *alert = json_array_get(alerts, i);
        qn_log_line(&engine->log, "alert: %s: %s", qn_report_text(alert, "kind"), qn_report_text(alert, "text"));
    }
    qn_job_status_set_alerts(engine->status, alerts);
}

quern_status qn_report_write(qn_report *report, qn_engine *engine, const qn_error *outcome, qn_error *error)
{
    if (!engine->settings.is_seen)
        return QUERN_OK;
    qn_comm *comm = engine->comm;
    rank_summary mine = summarise(engine);
    qn_error failure = {0};
    qn_run_view view = {0};
    rank_summary *all = calloc(comm->size, sizeof *all);
    if (!all)
        qn_error_set(&failure, QUERN_ERROR_NO_MEMORY, 0, "no memory for the report");
    quern_status status = qn_comm_agree(comm, &failure);
    if (status == QUERN_OK)
        status = qn_comm_gather(comm, &mine, sizeof mine, all, &failure);
    if (status == QUERN_OK)
        status = qn_run_view_gather(&view, engine, &failure);
    if (status == QUERN_OK && report->file) {
        json_t *object = describe_run(report, engine, all, &view, outcome);
        write_json(report, object, &failure);
        engine->has_report = true;
        tell_alerts(engine, object);
        qn_job_pages_update(&engine->pages, engine->settings.job_dir, object, outcome->status != QUERN_OK,
                            &engine->log);
        json_decref(object);
    }
    qn_run_view_fini(&view);
    free(all);
    status = qn_comm_agree(comm, &failure);
    if (status != QUERN_OK)
        qn_error_set(error, status, 0, "%s", failure.text);
    return status;
}

void qn_report_write_failure(qn_engine *engine, const qn_error *outcome)
{
    uint64_t begin_ns = engine->run_ns > 0 ? engine->run_ns : qn_clock_ns();
    qn_report report = {.path = engine->settings.report_path, .start_ns = begin_ns};
    const qn_run_view no_view = {0};
    qn_error ignored = {0}; /* the failure is to be told, and not another */
    if (engine->comm->rank != 0 || !report.path || engine->settings.only_explains)
        return;
    json_t *object = describe_run(&report, engine, NULL, &no_view, outcome);
    if (open_file(&report, &ignored) == QUERN_OK)
        write_json(&report, object, &ignored);
    tell_alerts(engine, object);
    qn_job_pages_update(&engine->pages, engine->settings.job_dir, object, true, &engine->log);
    json_decref(object);
}
