/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Graphs of each kind of job. Callbacks work (qn_fault_job_work()) after they emitted something, so that an attempt fails with a part of
 * it delivered. Ranks take turns within callbacks, so what these keep is each rank's own.
 */
#include "tools/faults/fault_graph.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/faults/fault_answer.h"
#include "tools/faults/fault_records.h"
#include "tools/faults/fault_text.h"

#define VALUE_BYTES_MAX 128

static const quern_schema numbers = {QUERN_BYTES, QUERN_U64, 0, 0}, texts = {QUERN_BYTES, QUERN_BYTES, 0, 0};

/* What a rank is handed, in the run that goes on. */
typedef struct handed {
    qn_fault_answer found;
    bool is_wrong;
} handed;

static const qn_fault_job *played;
static uint64_t made[QN_FAULT_RANKS_MAX];
static handed all_handed[QN_FAULT_RANKS_MAX];
static quern_dataset *bases[QN_FAULT_RANKS_MAX];

/* ---- what all begin with */

static int look(const quern_record *record, int *keep_out, void *user)
{
    (void)record, (void)user;
    *keep_out = 1;
    return qn_fault_job_work();
}

/* Records that are more than a block holds are on their way before the block is through. */
static int copy(const quern_record *record, quern_emitter *out, void *user)
{
    int failed = 0;
    (void)user;
    for (uint32_t i = 0; i < played->copy_count && !failed; i++)
        failed = quern_emit(out, record->key, record->value);
    return failed ? failed : qn_fault_job_work();
}

static quern_dataset *read_records(quern_context *context, const char *path, bool has_copies)
{
    bool has_values = played->kind != QN_FAULT_COUNTS;
    quern_schema words = {QUERN_BYTES, has_values ? QUERN_U64 : QUERN_NONE, 0, 0};
    quern_text_options offsets = {.struct_size = sizeof offsets, .value = QUERN_TEXT_OFFSET};
    quern_dataset *read = quern_read_text(context, &path, 1, has_values ? &offsets : NULL);
    return has_copies && played->copy_count > 0 ? quern_flat_map(read, words, copy, NULL)
                                                : quern_filter(read, look, NULL);
}

static quern_dataset *choose_source(quern_dataset *records)
{
    switch (played->source) {
    case QN_FAULT_REDUCED:
        return quern_count_by_key(records);
    case QN_FAULT_BOTH:
        return quern_union(quern_count_by_key(records), records);
    default:
        return records;
    }
}

/* ---- long values */

/* In the order of the numbers. */
static int pad_value(const quern_record *record, quern_emitter *out, void *user)
{
    static uint8_t all_padded[QN_FAULT_RANKS_MAX][sizeof(uint64_t) + QN_FAULT_PAD_BYTES_MAX];
    uint8_t *padded = all_padded[qn_fault_rank()];
    uint64_t number = quern_u64(record->value), big = __builtin_bswap64(number);
    (void)user;
    memcpy(padded, &big, sizeof big);
    return quern_emit(out, record->key, quern_bytes(padded, sizeof big + played->pad_bytes - number % 2));
}

static uint64_t number_of(quern_span value)
{
    uint64_t number = quern_u64(value);
    return value.bytes > sizeof number ? __builtin_bswap64(number) : number;
}

static int strip_value(const quern_record *record, quern_emitter *out, void *user)
{
    uint64_t number = number_of(record->value);
    (void)user;
    int failed = quern_emit(out, record->key, quern_of_u64(&number));
    return failed ? failed : qn_fault_job_work();
}

static quern_dataset *pad(quern_dataset *in)
{
    return played->pad_bytes > 0 ? quern_flat_map(in, texts, pad_value, NULL) : in;
}

static quern_dataset *strip(quern_dataset *in)
{
    return played->pad_bytes > 0 ? quern_flat_map(in, numbers, strip_value, NULL) : quern_filter(in, look, NULL);
}

/* ---- counts */

static int drop_count(const quern_record *record, quern_emitter *out, void *user)
{
    (void)user;
    int failed = quern_emit(out, record->key, quern_bytes(NULL, 0));
    return failed ? failed : qn_fault_job_work();
}

static void build_counts(quern_dataset *lines)
{
    quern_schema words = {QUERN_BYTES, QUERN_NONE, 0, 0};
    quern_dataset *counts = quern_count_by_key(lines);
    quern_write_text(counts, "first");
    if (played->writes_lines)
        quern_write_text(lines, "lines");
    if (played->has_two_stages)
        quern_write_text(quern_count_by_key(quern_filter(counts, look, NULL)), "second");
    if (played->reads_both)
        quern_write_text(quern_count_by_key(quern_union(quern_flat_map(counts, words, drop_count, NULL), lines)),
                         "both");
}

/* ---- orders */

static int compare_keys(quern_span left, quern_span right, void *user)
{
    (void)user;
    return qn_fault_text_compare(left.data, left.bytes, right.data, right.bytes);
}

static quern_dataset *sort(quern_dataset *in)
{
    quern_sort_options options = {.struct_size = sizeof options,
                                  .descending = played->descends,
                                  .compare = played->compares ? compare_keys : NULL,
                                  .whole_keys = played->has_whole_keys};
    return strip(quern_sort_by_key(pad(in), &options));
}

static int emit_text(quern_emitter *out, quern_span key, const char *text)
{
    int failed = quern_emit(out, key, quern_bytes(text, strlen(text)));
    return failed ? failed : qn_fault_job_work();
}

/* Of so many values at most; below 0: the job is ending. */
static int fold_values(quern_values *values, uint64_t count_max, uint64_t *count_out, uint64_t *digest_out)
{
    int there = 1;
    quern_span value;
    *count_out = *digest_out = 0;
    while (*count_out < count_max && (there = quern_values_next(values, &value)) > 0) {
        *digest_out = qn_fault_answer_fold(*digest_out, number_of(value));
        ++*count_out;
    }
    return there < 0 ? there : 0;
}

static int emit_each(quern_span key, quern_values *values, quern_emitter *out)
{
    char text[VALUE_BYTES_MAX];
    quern_span value;
    int there, failed = 0;
    for (uint64_t i = 0; !failed && (there = quern_values_next(values, &value)) != 0; i++) {
        if (there < 0)
            return there;
        char *at = qn_fault_text_put(text, i);
        *at++ = ',';
        *qn_fault_text_put(at, number_of(value)) = 0;
        failed = emit_text(out, key, text);
    }
    return failed;
}

static int take_group(quern_span key, quern_values *values, quern_emitter *out, void *user)
{
    char text[VALUE_BYTES_MAX];
    uint64_t count, digest, again = 0;
    (void)user;
    if (played->group_way == QN_FAULT_GROUP_EACH)
        return emit_each(key, values, out);
    bool is_whole = played->group_way == QN_FAULT_GROUP_WHOLE;
    int failed = fold_values(values, is_whole ? UINT64_MAX : played->some_count, &count, &digest);
    if (!failed && is_whole)
        failed = quern_values_rewind(values);
    if (!failed && is_whole)
        failed = fold_values(values, UINT64_MAX, &count, &again);
    if (failed)
        return failed;
    snprintf(text, sizeof text, is_whole && digest != again ? "other values" : "%" PRIx64, digest);
    return emit_text(out, key, text);
}

static quern_dataset *group(quern_dataset *in)
{
    quern_group_options options = {.struct_size = sizeof options, .values_descending = played->descends};
    if (played->group_way == QN_FAULT_GROUP_TOP)
        return strip(quern_top_k_by_key(pad(in), played->some_count));
    return quern_group_by_key(pad(in), texts, take_group, NULL, &options);
}

/* ---- joins */

static char *put_side(char *at, const quern_span *side)
{
    if (side)
        return qn_fault_text_put(at, number_of(*side));
    *at++ = '-';
    return at;
}

static int take_pair(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    char text[VALUE_BYTES_MAX], *at = put_side(text, left);
    (void)user;
    *at++ = ',';
    *put_side(at, right) = 0;
    return emit_text(out, key, text);
}

static int take_both(quern_span key, quern_values *left, quern_values *right, quern_emitter *out, void *user)
{
    char text[VALUE_BYTES_MAX];
    uint64_t counts[2], digests[2];
    (void)user;
    int failed = fold_values(left, UINT64_MAX, &counts[0], &digests[0]);
    if (!failed)
        failed = fold_values(right, UINT64_MAX, &counts[1], &digests[1]);
    if (failed)
        return failed;
    snprintf(text, sizeof text, "%" PRIu64 ",%" PRIx64 ",%" PRIu64 ",%" PRIx64, counts[0], digests[0], counts[1],
             digests[1]);
    return emit_text(out, key, text);
}

static quern_dataset *join(quern_dataset *left, quern_context *context)
{
    quern_dataset *right = read_records(context, "other", false);
    if (played->is_other_reduced)
        right = quern_count_by_key(right);
    if (played->cogroups)
        return quern_cogroup(pad(left), right, texts, take_both, NULL);
    quern_join_options options = {.struct_size = sizeof options,
                                  .strategy = (quern_join_strategy)played->join_strategy,
                                  .outer = (quern_join_outer)played->join_outer};
    return quern_join_with(pad(left), right, (quern_join_type)played->join_type, texts, take_pair, NULL, &options);
}

/* ---- what is stored, and what is handed to the program */

static int take_handed(const quern_record *record, void *user)
{
    char line[QN_FAULT_LINE_BYTES_MAX + VALUE_BYTES_MAX];
    char *at = line + record->key.bytes;
    memcpy(line, record->key.data, record->key.bytes);
    *at++ = '\t';
    at = qn_fault_text_put(at, quern_u64(record->value));
    qn_fault_answer_add(&((handed *)user)->found, line, (size_t)(at - line));
    return 0;
}

static quern_dataset *store(quern_dataset *in)
{
    static const double quarters[] = {0, 0.25, 0.5, 0.75, 1};
    switch (played->store_way) {
    case QN_FAULT_STORE_DISTINCT:
        return quern_distinct(in);
    case QN_FAULT_STORE_INDEX:
        return quern_zip_with_index(in, numbers, NULL, NULL);
    case QN_FAULT_STORE_SUMS:
        return quern_prefix_sum(in);
    case QN_FAULT_STORE_QUANTILES:
        return quern_quantiles(in, quarters, sizeof quarters / sizeof *quarters);
    default:
        quern_top_k(in, played->some_count, take_handed, &all_handed[qn_fault_rank()]);
        return sort(in);
    }
}

/* ---- loops */

static int map_value(const quern_record *in, quern_record *out, void *user)
{
    uint64_t *value = &made[qn_fault_rank()];
    int failed = qn_fault_job_work();
    *value = qn_fault_records_mapped(quern_u64(in->value), *(const uint32_t *)user);
    out->value = quern_of_u64(value);
    return failed;
}

static int spread_value(const quern_record *in, quern_emitter *out, void *user)
{
    size_t bytes;
    uint32_t word = qn_fault_text_parse(in->key.data, in->key.bytes);
    uint64_t half = quern_u64(in->value) / 2 + 1;
    const char *line = qn_fault_text_of(qn_fault_records_neighbour(played, word, *(const uint32_t *)user), &bytes);
    int failed = quern_emit(out, in->key, in->value);
    failed = failed ? failed : quern_emit(out, quern_bytes(line, bytes), quern_of_u64(&half));
    return failed ? failed : qn_fault_job_work();
}

static int add_sides(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    uint64_t sum = quern_u64(*left) + quern_u64(*right);
    (void)user;
    int failed = quern_emit(out, key, quern_of_u64(&sum));
    return failed ? failed : qn_fault_job_work();
}

static int fold_group(quern_span key, quern_values *values, quern_emitter *out, void *user)
{
    uint64_t count, digest;
    int failed = fold_values(values, UINT64_MAX, &count, &digest);
    (void)user;
    digest = qn_fault_records_bounded(digest);
    failed = failed ? failed : quern_emit(out, key, quern_of_u64(&digest));
    return failed ? failed : qn_fault_job_work();
}

static quern_dataset *make_turn(quern_dataset *state, uint32_t turn)
{
    static uint32_t turns[QN_FAULT_TURNS_MAX];
    turns[turn] = turn;
    quern_join_options options = {.struct_size = sizeof options,
                                  .strategy = (quern_join_strategy)played->join_strategy,
                                  .outer = (quern_join_outer)played->join_outer};
    switch (played->turn_ways[turn]) {
    case QN_FAULT_TURN_MAP:
        return quern_map(state, numbers, map_value, &turns[turn]);
    case QN_FAULT_TURN_SPREAD:
        return quern_reduce_by_key(quern_flat_map(state, numbers, spread_value, &turns[turn]), QUERN_SUM);
    case QN_FAULT_TURN_JOIN:
        return quern_join_with(state, bases[qn_fault_rank()], QUERN_JOIN_INNER, numbers, add_sides, NULL, &options);
    case QN_FAULT_TURN_SORT:
        return quern_sort_by_key(state, NULL);
    default:
        return quern_group_by_key(state, numbers, fold_group, NULL, NULL);
    }
}

static void give_turn(quern_dataset *state, uint32_t turn)
{
    char name[16];
    snprintf(name, sizeof name, "turn-%u", turn);
    if (played->gives[turn] & QN_FAULT_GIVES_FILES)
        quern_write_text(state, name);
    all_handed[qn_fault_rank()].found = (qn_fault_answer){0};
    if (played->gives[turn] & QN_FAULT_GIVES_RECORDS)
        quern_collect(state, QUERN_COLLECT_ALL, take_handed, &all_handed[qn_fault_rank()]);
}

static void judge_turn(uint32_t turn)
{
    handed *mine = &all_handed[qn_fault_rank()];
    const qn_fault_answer *right = qn_fault_answer_of_turn(turn);
    if (played->gives[turn] & QN_FAULT_GIVES_RECORDS)
        mine->is_wrong |= mine->found.sum != right->sum || mine->found.line_count != right->line_count;
}

static quern_dataset *step(quern_dataset *state, uint64_t turn, void *user)
{
    (void)user;
    quern_dataset *next = make_turn(state, (uint32_t)turn);
    give_turn(next, (uint32_t)turn);
    return next;
}

static int judge_step(uint64_t turn, int *stop_out, void *user)
{
    (void)stop_out, (void)user;
    judge_turn((uint32_t)turn);
    return 0;
}

/* As a program does that loops by itself. */
static quern_status loop_apart(quern_context *context, quern_dataset *source, quern_dataset **last_out)
{
    quern_status status = QUERN_OK;
    quern_dataset *state = quern_cache(source);
    for (uint32_t turn = 0; turn < played->turn_count && status == QUERN_OK; turn++) {
        quern_dataset *next = quern_cache(make_turn(state, turn));
        give_turn(next, turn);
        status = quern_run(context);
        if (status == QUERN_OK)
            judge_turn(turn);
        quern_uncache(state);
        state = next;
    }
    *last_out = state;
    return status;
}

static quern_dataset *end_loop(quern_dataset *last, quern_dataset *records)
{
    switch (played->end_way) {
    case QN_FAULT_END_REDUCED:
        return quern_reduce_by_key(quern_union(last, records), QUERN_SUM);
    case QN_FAULT_END_SORTED:
        return quern_sort_by_key(quern_union(last, records), NULL);
    case QN_FAULT_END_JOINED:
        return quern_join(last, quern_count_by_key(records), QUERN_JOIN_INNER, numbers, add_sides, NULL);
    default:
        return last;
    }
}

static quern_status loop(quern_context *context, quern_dataset *records)
{
    quern_status status = QUERN_OK;
    quern_dataset *source = choose_source(records), *last = NULL;
    quern_iteration steps = {sizeof steps, played->turn_count, step, judge_step};
    bases[qn_fault_rank()] = quern_cache(quern_count_by_key(records));
    if (played->has_two_stages) {
        quern_write_text(quern_count_by_key(source), "second");
        status = quern_run(context);
    }
    if (status == QUERN_OK)
        status =
            played->iterates ? quern_iterate(context, source, &steps, NULL, &last) : loop_apart(context, source, &last);
    if (status != QUERN_OK)
        return status;
    quern_write_text(end_loop(last, records), "first");
    return quern_run(context);
}

/* ---- links */

static int make_link(const quern_record *in, quern_emitter *out, void *user)
{
    size_t bytes;
    uint32_t word = qn_fault_text_parse(in->key.data, in->key.bytes);
    const char *target = qn_fault_text_of(qn_fault_records_target(played, word, quern_u64(in->value)), &bytes);
    (void)user;
    int failed = quern_emit(out, in->key, quern_bytes(target, bytes));
    return failed ? failed : qn_fault_job_work();
}

/* All numbers are whole ones, so sums are exact in any order. */
static int take_come(const quern_vertices *some, void *user)
{
    (void)user;
    for (size_t i = 0; i < some->count; i++) {
        some->value[i] = (double)qn_fault_records_bounded((uint64_t)(some->value[i] + some->come[i]));
        some->send[i] = some->value[i];
    }
    return 0;
}

static int make_whole(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t number = (uint64_t)quern_f64(in->value);
    (void)user;
    int failed = quern_emit(out, in->key, quern_of_u64(&number));
    return failed ? failed : qn_fault_job_work();
}

static quern_status flow(quern_context *context, quern_dataset *records)
{
    quern_vertex_program program = {.struct_size = sizeof program,
                                    .combine = QUERN_SUM,
                                    .value = 1,
                                    .step_count_max = played->turn_count,
                                    .step = take_come};
    quern_dataset *links = quern_flat_map(records, texts, make_link, NULL);
    quern_dataset *values = quern_iterate_links(links, NULL, &program, NULL);
    quern_write_text(quern_flat_map(values, numbers, make_whole, NULL), "first");
    return quern_run(context);
}

/* ---- a job */

static quern_dataset *build(quern_context *context, quern_dataset *records)
{
    quern_dataset *source = choose_source(records);
    switch (played->kind) {
    case QN_FAULT_SORT:
        return sort(source);
    case QN_FAULT_GROUP:
        return group(source);
    case QN_FAULT_JOIN:
        return join(source, context);
    default:
        return store(source);
    }
}

static quern_status run_once(quern_context *context, quern_dataset *records)
{
    handed *mine = &all_handed[qn_fault_rank()];
    if (played->kind == QN_FAULT_COUNTS) {
        build_counts(records);
        return quern_run(context);
    }
    quern_dataset *result = build(context, records);
    quern_write_text(result, "first");
    if (played->has_two_stages && played->store_way != QN_FAULT_STORE_QUANTILES)
        quern_write_text(quern_count_by_key(result), "second");
    quern_status status = quern_run(context);
    bool is_top = played->kind == QN_FAULT_STORE && played->store_way == QN_FAULT_STORE_TOP;
    if (status == QUERN_OK && is_top && qn_fault_rank() == 0)
        mine->is_wrong = memcmp(&mine->found, qn_fault_answer_of_top(), sizeof mine->found) != 0;
    return status;
}

quern_status qn_fault_graph_run(const qn_fault_job *job, quern_context *context, bool *is_wrong_out)
{
    played = job;
    quern_dataset *records = read_records(context, "input", true);
    quern_status status = played->kind != QN_FAULT_LOOP ? run_once(context, records)
                          : played->flows               ? flow(context, records)
                                                        : loop(context, records);
    *is_wrong_out |= all_handed[qn_fault_rank()].is_wrong;
    return status;
}
