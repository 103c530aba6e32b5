/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Both forms are made of the same lines: the text shows them one below the other, with the figures behind them; the graph
 * has them as labels, and the numbers of records on its edges.
 */
#include "runtime/plan/explain.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/buffer.h"
#include "runtime/base/utf8.h"

#define PIECE_BYTES_MAX 256

typedef unsigned long long number; /* what printf takes */

/* With the joins as chosen; with none of them a broadcast one, if their stages would be too many. */
static quern_status cut_again(qn_stages *stages, const qn_graph *graph, qn_error *error)
{
    qn_error refused = {0};
    if (qn_stages_create(stages, graph, &refused) == QUERN_OK)
        return QUERN_OK;
    qn_joins_forget(graph);
    return qn_stages_create(stages, graph, error);
}

quern_status qn_account_create(const qn_graph *graph, const qn_known_sizes *sizes, qn_account **account_out,
                               qn_error *error)
{
    qn_account *account = calloc(1, sizeof *account);
    if (!account)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to explain a plan");
    qn_joins_forget(graph);
    quern_status status = qn_stages_create(&account->stages, graph, error);
    if (status == QUERN_OK && qn_joins_choose(graph, &account->stages, sizes))
        status = cut_again(&account->stages, graph, error);
    if (status != QUERN_OK) {
        free(account);
        return status;
    }
    *account_out = account;
    return QUERN_OK;
}

/* Words and numbers of our own. */
static void put(qn_buffer *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(qn_buffer *to, const char *format, ...)
{
    char piece[PIECE_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    int bytes = vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    QN_ASSERT(bytes >= 0 && (size_t)bytes < sizeof piece);
    qn_buffer_append(to, piece, (size_t)bytes);
}

/* Whether a character of so many bytes may stand in a line: C1 controls are none for terminals, and U+FFFE and U+FFFF none for
 * what reads XML. */
static bool is_shown(const char *text, size_t bytes)
{
    const uint8_t *at = (const uint8_t *)text;
    if (bytes == 1)
        return at[0] >= 0x20 && at[0] != 0x7F;
    bool control = bytes == 2 && at[0] == 0xC2 && at[1] < 0xA0;
    bool no_character = bytes == 3 && at[0] == 0xEF && at[1] == 0xBF && at[2] >= 0xBE;
    return bytes > 0 && !control && !no_character;
}

static void put_quoted(qn_buffer *to, const char *text)
{
    put(to, "\"");
    while (*text) {
        size_t bytes = qn_utf8_character_bytes(text);
        bool shown = is_shown(text, bytes);
        if (*text == '"' || *text == '\\')
            put(to, "\\");
        if (shown)
            qn_buffer_append(to, text, bytes);
        for (size_t i = 0; !shown && i < (bytes > 0 ? bytes : 1); i++)
            put(to, "\\x%02x", (unsigned)(uint8_t)text[i]);
        text += bytes > 0 ? bytes : 1;
    }
    put(to, "\"");
}

static void put_type(qn_buffer *to, quern_type type, uint32_t fixed_bytes)
{
    static const char *const names[] = {"none", "bytes", "i64", "u64", "fixed", "i32", "u32", "f32", "f64"};
    if (QUERN_IS_PAIR(type)) {
        quern_type first = QUERN_PAIR_FIRST(type), second = QUERN_PAIR_SECOND(type);
        put(to, "pair of %s and %s", names[first], names[second]);
    } else {
        QN_ASSERT((size_t)type < sizeof names / sizeof *names);
        put(to, "%s", names[type]);
    }
    if (qn_type_has_fixed(type))
        put(to, " %u", fixed_bytes);
}

static void put_schema(qn_buffer *to, const quern_schema *schema)
{
    put(to, " (");
    put_type(to, schema->key, schema->key_bytes);
    put(to, ", ");
    put_type(to, schema->value, schema->value_bytes);
    put(to, ")");
}

/* The operator, and its name if the user gave one. */
static void put_node(qn_buffer *to, const qn_node *node)
{
    const char *kind = qn_node_kind_name(node->kind);
    put(to, "%s", kind);
    if (strcmp(node->name, kind) != 0) {
        put(to, " ");
        put_quoted(to, node->name);
    }
    put_schema(to, &node->schema);
}

static void put_paths(qn_buffer *to, const qn_text_input *input)
{
    size_t shown = input->path_count < QN_EXPLAIN_PATH_COUNT_MAX ? input->path_count : QN_EXPLAIN_PATH_COUNT_MAX;
    for (size_t i = 0; i < shown; i++) {
        put(to, ", ");
        put_quoted(to, input->paths[i]);
    }
    if (input->path_count == 0)
        put(to, ", no paths");
    if (input->path_count > shown)
        put(to, " and %zu more", input->path_count - shown);
}

static void put_foreseen(qn_buffer *to, const char *before, qn_foreseen size)
{
    if (size.kind != QN_FORESEEN_NOT)
        put(to, "%s%s %llu bytes", before, size.kind == QN_FORESEEN_ABOUT ? "about" : "at most", (number)size.bytes);
}

static void put_source(qn_buffer *to, const qn_stage *stage, uint32_t leg)
{
    uint32_t parent = stage->legs[leg].parent;
    const qn_node *source = qn_leg_source(stage, leg);
    if (parent != QN_STAGE_NONE)
        put(to, "result of stage %u, ", parent + 1);
    put_node(to, source);
    if (qn_leg_has_tasks(stage, leg))
        put_paths(to, &source->text);
}

static const char *reducer_name(const qn_reducer *reducer)
{
    switch (reducer->kind) {
    case QN_REDUCER_COUNT:
        return "count";
    case QN_REDUCER_SUM_U64:
    case QN_REDUCER_SUM_I64:
        return "sum";
    case QN_REDUCER_MIN_U64:
    case QN_REDUCER_MIN_I64:
        return "min";
    case QN_REDUCER_MAX_U64:
    case QN_REDUCER_MAX_I64:
        return "max";
    case QN_REDUCER_PLAIN_F64:
        return "plain sum";
    case QN_REDUCER_MEAN_I64:
    case QN_REDUCER_MEAN_U64:
        return "mean";
    case QN_REDUCER_BINNED:
        return reducer->finish == QN_FINISH_MEAN ? "mean" : "sum";
    case QN_REDUCER_USER:
        return "by callback";
    case QN_REDUCER_AGGREGATE:
        return "into accumulators";
    }
    return "";
}

/* The stage that stored the side of a join of which a table is made. */
static uint32_t table_stage(const qn_stages *stages, const qn_node *collate)
{
    return qn_stages_find(stages, collate->join.stored[collate->build == QN_BUILD_RIGHT]);
}

/* Whether the stage has a join whose table is of the result. */
static bool looks_up_in(const qn_stages *stages, const qn_stage *stage, uint32_t index)
{
    for (uint32_t step = 0; step < stage->step_count; step++)
        if (qn_stage_looks_up(stage, step) && table_stage(stages, stage->steps[step]->input) == index)
            return true;
    return false;
}

static void put_readers(qn_buffer *to, const qn_stages *stages, uint32_t index)
{
    const char *before = ", read by stage ";
    for (uint32_t i = 0; i < stages->count; i++) {
        bool reads = qn_stage_reads(&stages->items[i], index) && !stages->items[i].is_left_out;
        if (!reads && !looks_up_in(stages, &stages->items[i], index))
            continue;
        put(to, "%s%u", before, i + 1);
        before = ", ";
    }
}

static void put_sink(qn_buffer *to, const qn_sink *sink)
{
    static const char *const places[] = {
        [QUERN_COLLECT_ROOT] = "on rank 0", [QUERN_COLLECT_ALL] = "on all ranks", [QUERN_COLLECT_LOCAL] = "in place"};
    static const char *const forms[] = {[QUERN_FORM_TEXT] = "text", [QUERN_FORM_CSV] = "csv", [QUERN_FORM_TSV] = "tsv"};
    switch (sink->kind) {
    case QN_SINK_TEXT:
    case QN_SINK_FIXED:
        put(to, "write %s, ", sink->kind == QN_SINK_FIXED ? "fixed" : forms[sink->text.form]);
        put_quoted(to, sink->directory);
        return;
    case QN_SINK_HDF5:
        put(to, "write hdf5, ");
        put_quoted(to, sink->path ? sink->path : sink->directory);
        put(to, ", dataset ");
        put_quoted(to, sink->array->options.dataset);
        return;
    case QN_SINK_TOP_K:
        put(to, "top k, %llu largest", (number)sink->k);
        return;
    case QN_SINK_COLLECT:
        put(to, "collect, %s", places[sink->collect_to]);
        return;
    }
}

/* What a kept result takes is counted, once it is there. */
static void put_kept(qn_buffer *to, qn_foreseen kept)
{
    if (kept.kind != QN_FORESEEN_NOT)
        put(to, ", takes %llu bytes", (number)kept.bytes);
}

static void put_end(qn_buffer *to, const qn_account *account, uint32_t index)
{
    const qn_stages *stages = &account->stages;
    const qn_stage *stage = &stages->items[index];
    if (stage->result) {
        put_node(to, stage->result);
        if (stage->result->kind == QN_NODE_REDUCE)
            put(to, ", %s", reducer_name(&stage->result->reducer));
        if (qn_node_is_joined(stage->result))
            put(to, ", %s side outer", stage->outer_side == 0 ? "left" : "right");
        if (stage->result->build != QN_BUILD_NONE && !account->ran)
            put(to, ", or a broadcast join of stage %u, if that is small", table_stage(stages, stage->result) + 1);
        if (stage->is_made)
            put(to, ", kept from an earlier run");
        else if (stage->result->is_cached)
            put(to, ", kept for later runs");
        put_kept(to, account->facts[index].kept);
        if (stage->kept != QN_STAGE_NONE)
            put(to, ", %s side kept in order by stage %u", stage->kept_side == 0 ? "left" : "right", stage->kept + 1);
        put_readers(to, stages, index);
    } else
        put_sink(to, stage->sink);
}

static bool is_source(const qn_stage *stage, uint32_t step)
{
    uint32_t leg = qn_stage_leg_of(stage, step);
    return leg < stage->leg_count && stage->legs[leg].first_step == step;
}

qn_foreseen qn_account_size_at(const qn_account *account, uint32_t index, uint32_t step)
{
    const qn_stage *stage = &account->stages.items[index];
    const qn_stage_facts *facts = &account->facts[index];
    return is_source(stage, step) ? facts->reads[qn_stage_leg_of(stage, step)] : facts->gives[step];
}

/* Of all legs together, if it is known of each. */
static qn_foreseen sum_reads(const qn_stage *stage, const qn_stage_facts *facts)
{
    qn_foreseen all = {stage->leg_count > 0 ? QN_FORESEEN_ABOUT : QN_FORESEEN_NOT, 0};
    for (uint32_t leg = 0; leg < stage->leg_count && all.kind != QN_FORESEEN_NOT; leg++) {
        qn_foreseen one = facts->reads[leg];
        all.bytes += one.bytes;
        if (one.kind == QN_FORESEEN_NOT || one.kind > all.kind)
            all.kind = one.kind;
    }
    return all;
}

static void put_step(qn_buffer *to, const qn_account *account, uint32_t index, uint32_t step)
{
    const qn_stage *stage = &account->stages.items[index];
    if (is_source(stage, step))
        put_source(to, stage, qn_stage_leg_of(stage, step));
    else if (qn_stage_looks_up(stage, step)) {
        put(to, "broadcast ");
        put_node(to, stage->steps[step]);
        put(to, ", table of stage %u", table_stage(&account->stages, stage->steps[step]->input) + 1);
    } else if (step < stage->step_count)
        put_node(to, stage->steps[step]);
    else
        put_end(to, account, index);
    if (!account->ran)
        put_foreseen(to, ", ", qn_account_size_at(account, index, step));
}

static void put_plan(qn_buffer *to, const qn_account *account)
{
    uint32_t outputs = 0;
    for (uint32_t i = 0; i < account->stages.count; i++)
        outputs += account->stages.items[i].sink != NULL;
    put(to, "plan: %u stage%s, %u output%s", account->stages.count, account->stages.count == 1 ? "" : "s", outputs,
        outputs == 1 ? "" : "s");
    if (account->ran)
        put(to, "; run: %s", quern_status_name(account->status));
}

static void put_stage(qn_buffer *to, const qn_account *account, uint32_t index)
{
    const qn_stage_facts *facts = &account->facts[index];
    put(to, "stage %u", index + 1);
    if (account->stages.items[index].is_left_out)
        put(to, ": left out for a broadcast join");
    else if (account->stages.items[index].is_made)
        put(to, ": kept");
    else if (facts->ran)
        put(to, ": %s", quern_status_name(facts->status));
    else if (account->ran)
        put(to, ": not run");
    else
        put_foreseen(to, ": reads ", sum_reads(&account->stages.items[index], facts));
}

static void put_bytes(qn_buffer *to, const qn_stage_facts *facts)
{
    put(to, "bytes: %llu read, %llu sent, %llu spilled", (number)facts->read_bytes, (number)facts->sent_bytes,
        (number)facts->spilled_bytes);
}

static void put_seconds(qn_buffer *to, const qn_stage_facts *facts)
{
    put(to, "seconds: %llu.%03llu", (number)facts->elapsed_ms / 1000, (number)facts->elapsed_ms % 1000);
}

/* ---- text ---- */

static bool is_filter(const qn_node *node)
{
    return node->kind == QN_NODE_FILTER || node->kind == QN_NODE_FILTER_BLOCK || node->kind == QN_NODE_SAMPLE;
}

static void put_step_facts(qn_buffer *to, const qn_stage *stage, uint32_t step, const qn_stage_facts *all)
{
    const qn_step_facts *facts = &all->steps[step];
    if (is_source(stage, step))
        put(to, " [out %llu, %llu bytes]", (number)facts->records_out,
            (number)all->leg_bytes[qn_stage_leg_of(stage, step)]);
    else if (step == stage->step_count)
        put(to, " [in %llu]", (number)facts->records_in);
    else if (is_filter(stage->steps[step]))
        put(to, " [in %llu, out %llu, dropped %llu]", (number)facts->records_in, (number)facts->records_out,
            (number)facts->records_dropped);
    else
        put(to, " [in %llu, out %llu]", (number)facts->records_in, (number)facts->records_out);
}

static const char *step_kind(const qn_stage *stage, uint32_t step)
{
    if (is_source(stage, step))
        return "source";
    if (step < stage->step_count)
        return "operator";
    if (!stage->result)
        return "output";
    if (stage->result->kind == QN_NODE_STORE)
        return "store";
    if (stage->result->kind == QN_NODE_LINKS)
        return "links";
    return stage->result->kind == QN_NODE_REDUCE ? "reduction" : "shuffle";
}

static void put_stage_lines(qn_buffer *to, const qn_account *account, uint32_t index)
{
    const qn_stage *stage = &account->stages.items[index];
    const qn_stage_facts *facts = &account->facts[index];
    put_stage(to, account, index);
    put(to, "\n");
    if (stage->is_left_out)
        return;
    for (uint32_t step = 0; step <= stage->step_count; step++) {
        put(to, "  %s: ", step_kind(stage, step));
        put_step(to, account, index, step);
        if (facts->ran)
            put_step_facts(to, stage, step, facts);
        put(to, "\n");
    }
    if (facts->ran) {
        put(to, "  ");
        put_bytes(to, facts);
        put(to, "\n  ");
        put_seconds(to, facts);
        put(to, "\n");
    }
}

static void put_text(qn_buffer *to, const qn_account *account)
{
    put_plan(to, account);
    put(to, "\n");
    for (uint32_t i = 0; i < account->stages.count; i++)
        put_stage_lines(to, account, i);
}

/* ---- dot ---- */

/* A label of dot's: it reads escapes and HTML's entities in it. Takes the line away. */
static void put_label(qn_buffer *to, qn_buffer *line)
{
    put(to, "label=\"");
    for (size_t i = 0; i < line->bytes; i++) {
        char byte = (char)line->data[i];
        if (byte == '"' || byte == '\\')
            put(to, "\\");
        if (byte == '\n')
            put(to, "\\n");
        else if (byte == '&')
            put(to, "&amp;");
        else
            qn_buffer_append(to, &byte, 1);
    }
    put(to, "\"");
    to->failed |= line->failed;
    qn_buffer_fini(line);
}

/* What is on its way behind a step: records when they are counted, and the bytes of a source; before that, bytes as far as they are foreseen. */
static void put_load(qn_buffer *to, const qn_account *account, uint32_t index, uint32_t step)
{
    const qn_stage *stage = &account->stages.items[index];
    const qn_stage_facts *facts = &account->facts[index];
    if (facts->ran && is_source(stage, step))
        put(to, "%llu, %llu bytes", (number)facts->steps[step].records_out,
            (number)facts->leg_bytes[qn_stage_leg_of(stage, step)]);
    else if (facts->ran)
        put(to, "%llu", (number)facts->steps[step].records_out);
    else if (!account->ran)
        put_foreseen(to, "", facts->gives[step]);
}

/* An edge with what is on it, if anything is known of that. The load is freed. */
static void put_loaded_edge(qn_buffer *to, const uint32_t from[2], const uint32_t into[2], qn_buffer *load)
{
    put(to, "s%u_%u -> s%u_%u", from[0] + 1, from[1], into[0] + 1, into[1]);
    if (load->bytes > 0) {
        put(to, " [label=\"");
        qn_buffer_append(to, load->data, load->bytes);
        put(to, "\"]");
    }
    to->failed |= load->failed;
    qn_buffer_fini(load);
    put(to, ";\n");
}

/* step: of stage index, whose records are on the edge. */
static void put_edge(qn_buffer *to, const uint32_t from[2], const uint32_t into[2], const qn_account *account,
                     uint32_t index, uint32_t step)
{
    qn_buffer load = {0};
    put_load(&load, account, index, step);
    put_loaded_edge(to, from, into, &load);
}

/* What a step gives its records to. */
static uint32_t step_after(const qn_stage *stage, uint32_t step)
{
    const qn_leg *leg = &stage->legs[qn_stage_leg_of(stage, step)];
    return step < leg->first_step + leg->operator_count ? step + 1 : stage->step_count;
}

/* A leg that reads a result has no node for its source: the edge from that result comes in its place. */
static bool has_box(const qn_stage *stage, uint32_t step)
{
    return !is_source(stage, step) || stage->legs[qn_stage_leg_of(stage, step)].parent == QN_STAGE_NONE;
}

static void put_cluster(qn_buffer *to, const qn_account *account, uint32_t index)
{
    const qn_stage *stage = &account->stages.items[index];
    const qn_stage_facts *facts = &account->facts[index];
    qn_buffer line = {0};
    put(to, "  subgraph cluster_%u {\n    ", index + 1);
    put_stage(&line, account, index);
    if (facts->ran) {
        put(&line, "\n");
        put_bytes(&line, facts);
        put(&line, "\n");
        put_seconds(&line, facts);
    }
    put_label(to, &line);
    put(to, ";\n");
    for (uint32_t step = 0; step <= stage->step_count; step++) {
        if (!has_box(stage, step))
            continue;
        put(to, "    s%u_%u [", index + 1, step);
        put_step(&line, account, index, step);
        put_label(to, &line);
        put(to, "];\n");
    }
    for (uint32_t step = 0; step < stage->step_count; step++) {
        if (!has_box(stage, step))
            continue;
        put(to, "    ");
        put_edge(to, (uint32_t[]){index, step}, (uint32_t[]){index, step_after(stage, step)}, account, index, step);
    }
    put(to, "  }\n");
}

/* The edges to a stage from the results that it reads. */
static void put_reads(qn_buffer *to, const qn_account *account, uint32_t index)
{
    const qn_stage *stage = &account->stages.items[index];
    for (uint32_t leg = 0; leg < stage->leg_count && !stage->is_left_out; leg++) {
        uint32_t parent = stage->legs[leg].parent, source = stage->legs[leg].first_step;
        if (parent == QN_STAGE_NONE)
            continue;
        put(to, "  ");
        put_edge(to, (uint32_t[]){parent, account->stages.items[parent].step_count},
                 (uint32_t[]){index, step_after(stage, source)}, account, index, source);
    }
    if (stage->kept != QN_STAGE_NONE) {
        put(to, "  ");
        put_loaded_edge(to, (uint32_t[]){stage->kept, account->stages.items[stage->kept].step_count},
                        (uint32_t[]){index, stage->step_count}, &(qn_buffer){0});
    }
}

/* The edges to its broadcast joins from what their tables are of. */
static void put_tables(qn_buffer *to, const qn_account *account, uint32_t index)
{
    const qn_stage *stage = &account->stages.items[index];
    for (uint32_t step = 0; step < stage->step_count; step++) {
        if (!qn_stage_looks_up(stage, step))
            continue;
        uint32_t from = table_stage(&account->stages, stage->steps[step]->input);
        uint32_t end = account->stages.items[from].step_count;
        qn_buffer load = {0};
        if (account->facts[from].ran)
            put(&load, "%llu", (number)account->facts[from].steps[end].records_in);
        put(to, "  ");
        put_loaded_edge(to, (uint32_t[]){from, end}, (uint32_t[]){index, step}, &load);
    }
}

static void put_graph(qn_buffer *to, const qn_account *account)
{
    qn_buffer line = {0};
    put(to, "digraph quern {\n  ");
    put_plan(&line, account);
    put_label(to, &line);
    put(to, ";\n  node [shape=box];\n");
    for (uint32_t i = 0; i < account->stages.count; i++)
        if (!account->stages.items[i].is_left_out)
            put_cluster(to, account, i);
    for (uint32_t i = 0; i < account->stages.count; i++) {
        put_reads(to, account, i);
        put_tables(to, account, i);
    }
    put(to, "}\n");
}

quern_status qn_account_explain(const qn_account *account, quern_explain_form form, char **text_out, qn_error *error)
{
    qn_buffer text = {0};
    QN_ASSERT(form == QUERN_EXPLAIN_TEXT || form == QUERN_EXPLAIN_DOT);
    if (form == QUERN_EXPLAIN_DOT)
        put_graph(&text, account);
    else
        put_text(&text, account);
    qn_buffer_append(&text, "", 1);
    if (text.failed) {
        qn_buffer_fini(&text);
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to explain a plan");
    }
    *text_out = (char *)text.data;
    return QUERN_OK;
}
