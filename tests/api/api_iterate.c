/* SPDX-License-Identifier: BSD-3-Clause */
/* Repetition: each step reads what the one before kept, and nothing again. */
#include <inttypes.h>
#include <stdlib.h>

#include "api_kit.h"

#define LINE_COUNT 3000

static const quern_schema u64_u64 = {QUERN_U64, QUERN_U64, 0};
static const quern_schema u64_bytes = {QUERN_U64, QUERN_BYTES, 0};
static const char *input[1];
static quern_counter *seen;

static quern_context *start(void)
{
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = 2000;
    options.memory_bytes = (uint64_t)kit_size() * 64 << 20;
    options.report_path = kit_path("report.json");
    quern_context *context = kit_context(&options);
    seen = quern_counter_create(context, "seen");
    return context;
}

static void make_input(void)
{
    input[0] = kit_write_numbers("lines", LINE_COUNT);
}

static int to_numbers(const quern_record *in, quern_record *out, void *user)
{
    static uint64_t line;
    (void)user;
    line = kit_number(in->key);
    quern_counter_add(seen, 1);
    out->key = out->value = quern_of_u64(&line);
    return 0;
}

static quern_dataset *read_numbers(quern_context *context)
{
    return quern_map(quern_read_text(context, input, 1, NULL), u64_u64, to_numbers, NULL);
}

static int take_double(const quern_record *in, quern_record *out, void *user)
{
    static uint64_t value;
    (void)user;
    value = 2 * quern_u64(in->value);
    out->value = quern_of_u64(&value);
    return 0;
}

typedef struct tally {
    uint64_t count, sum, weighed;
} tally;

static int add_value(const quern_record *record, void *user)
{
    tally *sum = user;
    sum->weighed += ++sum->count * quern_u64(record->value);
    sum->sum += quern_u64(record->value);
    return 0;
}

/* ---- doubling ---- */

typedef struct doubling {
    tally at[8]; /* the states that each step saw */
    uint64_t step_count;
    uint64_t stop_at; /* after this step */
    int fail_at;      /* … in the callback until, or -1 */
    quern_dataset *given;
} doubling;

static quern_dataset *double_all(quern_dataset *state, uint64_t step, void *user)
{
    doubling *all = user;
    CHECK_SAME(step, all->step_count);
    all->step_count++;
    quern_collect(state, QUERN_COLLECT_ALL, add_value, &all->at[step]);
    return quern_map(state, u64_u64, take_double, NULL);
}

static int until_step(uint64_t step, int *stop_out, void *user)
{
    const doubling *all = user;
    CHECK_SAME(*stop_out, 0);
    *stop_out = step == all->stop_at;
    return (int)step == all->fail_at ? 5 : 0;
}

static void each_step_reads_the_state_before_it_and_no_input(void)
{
    quern_context *context = start();
    doubling all = {.stop_at = 5, .fail_at = -1};
    quern_iteration iteration = {sizeof iteration, 100, double_all, until_step};
    quern_dataset *result = NULL;
    tally first = {0}, last = {0};
    quern_collect(read_numbers(context), QUERN_COLLECT_ALL, add_value, &first);
    quern_status status = quern_iterate(context, read_numbers(context), &iteration, &all, &result);
    CHECK_STATUS(status, QUERN_OK, quern_context_error_text(context));
    CHECK_SAME(all.step_count, 6);
    CHECK_SAME(quern_counter_value(seen), 0);
    CHECK_SAME(first.count, LINE_COUNT);
    for (uint64_t step = 0; step < 6; step++) {
        CHECK_SAME(all.at[step].count, LINE_COUNT);
        CHECK_SAME(all.at[step].weighed, first.weighed << step);
    }
    quern_collect(result, QUERN_COLLECT_ALL, add_value, &last);
    kit_run(context);
    CHECK_SAME(last.weighed, first.weighed << 6);
    CHECK_SAME(kit_reported("input_bytes"), 0);
    CHECK_SAME(kit_reported("cached_records"), LINE_COUNT);
    quern_uncache(result);
    quern_context_destroy(context);
}

static void steps_end_with_their_number_and_none_may_be_asked_for(void)
{
    quern_context *context = start();
    for (uint64_t count = 0; count < 3; count++) {
        doubling all = {.fail_at = -1};
        tally last = {0};
        quern_iteration iteration = {sizeof iteration, count, double_all, NULL};
        quern_dataset *result = NULL;
        CHECK_SAME(quern_iterate(context, read_numbers(context), &iteration, &all, &result), QUERN_OK);
        CHECK_SAME(all.step_count, count);
        quern_collect(result, QUERN_COLLECT_ALL, add_value, &last);
        kit_run(context);
        CHECK_SAME(last.sum, (uint64_t)LINE_COUNT * (LINE_COUNT - 1) / 2 << count);
        quern_uncache(result);
    }
    quern_context_destroy(context);
}

static quern_dataset *give(quern_dataset *state, uint64_t step, void *user)
{
    const doubling *all = user;
    (void)step;
    return all->given ? all->given : state;
}

static void what_the_program_keeps_itself_stays_kept(void)
{
    quern_context *context = start();
    quern_dataset *mine = quern_cache(read_numbers(context)), *result = NULL;
    doubling all = {.fail_at = -1};
    quern_iteration same = {sizeof same, 3, give, NULL}, other = {sizeof other, 2, double_all, NULL};
    CHECK_SAME(quern_iterate(context, mine, &other, &all, &result), QUERN_OK);
    quern_uncache(result);
    CHECK_SAME(quern_iterate(context, mine, &same, &all, &result), QUERN_OK);
    all.given = mine;
    CHECK_SAME(quern_iterate(context, read_numbers(context), &same, &all, &result), QUERN_OK);
    tally last = {0};
    quern_collect(mine, QUERN_COLLECT_ALL, add_value, &last);
    kit_run(context);
    CHECK_SAME(last.count, LINE_COUNT);
    CHECK_SAME(quern_counter_value(seen), 0);
    quern_context_destroy(context);
}

/* ---- failures ---- */

static quern_dataset *give_nothing(quern_dataset *state, uint64_t step, void *user)
{
    (void)user;
    return step == 1 ? NULL : quern_map(state, u64_u64, take_double, NULL);
}

static int stop_on_one_rank(uint64_t step, int *stop_out, void *user)
{
    (void)user;
    *stop_out = step == 1 && kit_rank() == kit_size() - 1;
    return 0;
}

static int fail_late(const quern_record *in, quern_record *out, void *user)
{
    (void)user;
    (void)out;
    return quern_u64(in->value) == 8 * 2999;
}

static quern_dataset *double_or_fail(quern_dataset *state, uint64_t step, void *user)
{
    (void)step;
    (void)user;
    return quern_map(quern_map(state, u64_u64, fail_late, NULL), u64_u64, take_double, NULL);
}

static void check_fails(quern_context *context, quern_iteration iteration, doubling *all, quern_status expected,
                        const char *part)
{
    quern_dataset *result = (quern_dataset *)&iteration, *before = result;
    quern_status status = quern_iterate(context, read_numbers(context), &iteration, all, &result);
    CHECK_STATUS(status, expected, quern_context_error_text(context));
    kit_check_alike(status, quern_context_error_text(context));
    CHECK_HAS(quern_context_error_text(context), part);
    CHECK(result == before);
}

static void failures_are_told_on_all_ranks_and_leave_the_context_usable(void)
{
    quern_context *context = start();
    doubling all = {.stop_at = 5, .fail_at = 2}, more = {.stop_at = 2, .fail_at = -1};
    const size_t bytes = sizeof(quern_iteration);
    check_fails(context, (quern_iteration){bytes, 9, double_all, until_step}, &all, QUERN_ERROR_CALLBACK,
                "'until' returned 5");
    check_fails(context, (quern_iteration){bytes, 9, give_nothing, NULL}, &all, QUERN_ERROR_CALLBACK, "step 1 gave no");
    check_fails(context, (quern_iteration){bytes, 9, double_or_fail, NULL}, &all, QUERN_ERROR_CALLBACK,
                "the callback of");
    check_fails(context, (quern_iteration){bytes, 9, NULL, NULL}, &all, QUERN_ERROR_INVALID_ARGUMENT, "step is NULL");
    check_fails(context, (quern_iteration){0, 9, double_all, NULL}, &all, QUERN_ERROR_INVALID_ARGUMENT, "struct_size");
    if (kit_size() > 1)
        check_fails(context, (quern_iteration){bytes, 9, double_or_fail, stop_on_one_rank}, &all,
                    QUERN_ERROR_PLAN_MISMATCH, "on some ranks only");
    CHECK_SAME(quern_iterate(NULL, NULL, NULL, NULL, NULL), QUERN_ERROR_INVALID_ARGUMENT);
    CHECK_SAME(quern_iterate(context, NULL, NULL, NULL, NULL), QUERN_ERROR_INVALID_ARGUMENT);
    quern_iteration good = {bytes, 9, double_all, until_step};
    quern_dataset *result = NULL;
    CHECK_SAME(quern_iterate(context, read_numbers(context), &good, &more, &result), QUERN_OK);
    CHECK_SAME(more.at[2].count, LINE_COUNT);
    quern_context_destroy(context);
}

/* ---- components of a graph: the smallest label goes along the edges until nothing changes ---- */

#define VERTEX_COUNT 400
#define EDGE_COUNT   380

typedef struct vertex {
    uint64_t label, degree;
    uint64_t neighbour[30];
} vertex;

static quern_counter *edges_read;
static uint64_t edge_from[EDGE_COUNT], edge_to[EDGE_COUNT];

static void make_graph(void)
{
    uint64_t state = 7, degree[VERTEX_COUNT] = {0};
    kit_text lines = {0};
    for (size_t i = 0; i < EDGE_COUNT; i++) {
        do {
            edge_from[i] = kit_random(&state) % VERTEX_COUNT;
            edge_to[i] = kit_random(&state) % VERTEX_COUNT;
        } while (degree[edge_from[i]] > 20 || degree[edge_to[i]] > 20);
        degree[edge_from[i]]++;
        degree[edge_to[i]]++;
        kit_put(&lines, "%" PRIu64 " %" PRIu64 "\n", edge_from[i], edge_to[i]);
    }
    kit_write_for_all(kit_path("edges"), &lines);
    kit_free(&lines);
}

/* What is sent to a vertex: the letter says whether the number is a label or a neighbour. */
static int emit_number(quern_emitter *out, uint64_t to, char letter, uint64_t number)
{
    char text[9] = {letter};
    memcpy(text + 1, &number, sizeof number);
    return quern_emit(out, quern_of_u64(&to), quern_bytes(text, sizeof text));
}

/* Both directions of an edge. */
static int parse_edge(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t from = kit_number(in->key);
    const char *space = memchr(in->key.data, ' ', in->key.bytes);
    size_t before = (size_t)(space - (const char *)in->key.data) + 1;
    uint64_t to = kit_number(quern_bytes(space + 1, in->key.bytes - before));
    (void)user;
    quern_counter_add(edges_read, 1);
    return emit_number(out, from, 'N', to) || emit_number(out, to, 'N', from);
}

static int start_label(const quern_record *in, quern_record *out, void *user)
{
    (void)user;
    out->value = in->key;
    return 0;
}

static int send_label(const quern_record *in, quern_emitter *out, void *user)
{
    (void)user;
    return emit_number(out, quern_u64(in->key), 'L', quern_u64(in->value));
}

static int accumulate_vertex(void *accumulator, quern_span value, void *user)
{
    vertex *at = accumulator;
    uint64_t number;
    (void)user;
    memcpy(&number, (const char *)value.data + 1, sizeof number);
    if (*(const char *)value.data == 'L')
        at->label = number + 1; /* 0: not known yet */
    else
        at->neighbour[at->degree++] = number;
    return 0;
}

static int merge_vertices(void *into, const void *from, void *user)
{
    vertex *at = into;
    const vertex *more = from;
    (void)user;
    at->label = at->label ? at->label : more->label;
    for (uint64_t i = 0; i < more->degree; i++)
        at->neighbour[at->degree++] = more->neighbour[i];
    return 0;
}

/* Its label to the vertex itself and to its neighbours. */
static int spread_label(const quern_record *in, quern_emitter *out, void *user)
{
    vertex at;
    memcpy(&at, in->value.data, sizeof at);
    uint64_t label = at.label - 1;
    (void)user;
    for (uint64_t i = 0; i < at.degree; i++)
        if (quern_emit(out, quern_of_u64(&at.neighbour[i]), quern_of_u64(&label)))
            return 1;
    return quern_emit(out, in->key, quern_of_u64(&label));
}

typedef struct components {
    quern_dataset *edges;
    uint64_t label_sum, step_count;
    tally now;
} components;

static quern_dataset *spread_labels(quern_dataset *labels, uint64_t step, void *user)
{
    components *all = user;
    const quern_aggregation aggregation = {.struct_size = sizeof aggregation,
                                           .accumulator_bytes = sizeof(vertex),
                                           .accumulate = accumulate_vertex,
                                           .merge = merge_vertices};
    all->step_count = step + 1;
    all->now = (tally){0};
    quern_collect(labels, QUERN_COLLECT_ALL, add_value, &all->now);
    quern_dataset *numbers = quern_union(quern_flat_map(labels, u64_bytes, send_label, NULL), all->edges);
    quern_dataset *vertices = quern_aggregate_by_key(numbers, &aggregation, NULL);
    return quern_reduce_by_key(quern_flat_map(vertices, u64_u64, spread_label, NULL), QUERN_MIN);
}

/* The state before the step was the one before that: nothing changes any more. */
static int labels_are_final(uint64_t step, int *stop_out, void *user)
{
    components *all = user;
    *stop_out = step > 0 && all->now.sum == all->label_sum;
    all->label_sum = all->now.sum;
    return 0;
}

static uint64_t root_of(uint64_t *parents, uint64_t at)
{
    while (parents[at] != at)
        at = parents[at] = parents[parents[at]];
    return at;
}

static int take_label(const quern_record *record, void *user)
{
    uint64_t *labels = user;
    labels[quern_u64(record->key)] = quern_u64(record->value);
    return 0;
}

static void check_components(const uint64_t *labels)
{
    uint64_t parents[VERTEX_COUNT], roots = 0;
    for (uint64_t i = 0; i < VERTEX_COUNT; i++)
        parents[i] = i;
    for (size_t i = 0; i < EDGE_COUNT; i++) {
        uint64_t left = root_of(parents, edge_from[i]), right = root_of(parents, edge_to[i]);
        parents[left > right ? left : right] = left > right ? right : left;
    }
    for (uint64_t i = 0; i < VERTEX_COUNT; i++) {
        bool has_edge = labels[i] != UINT64_MAX;
        roots += root_of(parents, i) == i && has_edge;
        if (has_edge)
            CHECK_SAME(labels[i], root_of(parents, i));
    }
    CHECK(roots > 10);
}

static void labels_spread_over_kept_edges_to_the_components_of_a_graph(void)
{
    quern_context *context = start();
    edges_read = quern_counter_create(context, "edges read");
    components all = {0};
    make_graph();
    const char *paths[] = {kit_path("edges")};
    all.edges = quern_cache(quern_flat_map(quern_read_text(context, paths, 1, NULL), u64_bytes, parse_edge, NULL));
    quern_dataset *initial =
        quern_reduce_by_key(quern_map(quern_keys(all.edges), u64_u64, start_label, NULL), QUERN_MIN);
    quern_iteration iteration = {sizeof iteration, 100, spread_labels, labels_are_final};
    quern_dataset *labels = NULL;
    quern_status status = quern_iterate(context, initial, &iteration, &all, &labels);
    CHECK_STATUS(status, QUERN_OK, quern_context_error_text(context));
    CHECK_SAME(quern_counter_value(edges_read), 0);
    CHECK(all.step_count > 4 && all.step_count < 60);
    uint64_t found[VERTEX_COUNT];
    memset(found, 0xff, sizeof found);
    quern_collect(labels, QUERN_COLLECT_ALL, take_label, found);
    quern_write_text(labels, kit_path("out.components"));
    kit_run(context);
    check_components(found);
    kit_text expected = {0};
    for (uint64_t i = 0; i < VERTEX_COUNT; i++)
        if (found[i] != UINT64_MAX)
            kit_put(&expected, "%" PRIu64 "\t%" PRIu64 "\n", i, found[i]);
    kit_check_output(kit_path("out.components"), &expected, false);
    kit_free(&expected);
    quern_context_destroy(context);
}

/* ---- long ---- */

#define LONG_STEP_COUNT UINT64_C(2000)
#define STEP_BYTES_MAX  4096 /* that the graph of a step may take */

static long resident_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long all = 0, resident = 0;
    CHECK(file && fscanf(file, "%ld %ld", &all, &resident) == 2);
    fclose(file);
    return resident * 4;
}

typedef struct long_run {
    long before_kib, after_kib;
} long_run;

static quern_dataset *step_long(quern_dataset *state, uint64_t step, void *user)
{
    long_run *all = user;
    if (step == LONG_STEP_COUNT / 4)
        all->before_kib = resident_kib();
    all->after_kib = resident_kib();
    quern_dataset *next = quern_map(quern_map(state, u64_u64, take_double, NULL), u64_u64, take_double, NULL);
    return step % 2 ? quern_reduce_by_key(next, QUERN_MAX) : next;
}

static void thousands_of_steps_take_a_little_memory_each(void)
{
    quern_context *context = start();
    const char *paths[] = {kit_path("few")};
    kit_text few = {0};
    kit_put(&few, "1\n2\n3\n");
    kit_write_for_all(paths[0], &few);
    kit_free(&few);
    long_run all = {0};
    quern_iteration iteration = {sizeof iteration, LONG_STEP_COUNT / (kit_size() > 1 ? 8 : 1), step_long, NULL};
    quern_dataset *result = NULL;
    quern_dataset *numbers = quern_map(quern_read_text(context, paths, 1, NULL), u64_u64, to_numbers, NULL);
    CHECK_SAME(quern_iterate(context, numbers, &iteration, &all, &result), QUERN_OK);
    if (kit_size() == 1) {
        long step_bytes = (all.after_kib - all.before_kib) * 1024 / ((long)LONG_STEP_COUNT * 3 / 4);
        if (getenv("KIT_VERBOSE"))
            fprintf(stderr, "%ld bytes per step\n", step_bytes);
        CHECK(step_bytes < STEP_BYTES_MAX);
    }
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_input();
    RUN(each_step_reads_the_state_before_it_and_no_input, 40);
    RUN(steps_end_with_their_number_and_none_may_be_asked_for, 40);
    RUN(what_the_program_keeps_itself_stays_kept, 40);
    RUN(failures_are_told_on_all_ranks_and_leave_the_context_usable, 40);
    RUN(labels_spread_over_kept_edges_to_the_components_of_a_graph, 60);
    RUN(thousands_of_steps_take_a_little_memory_each, 120);
    return kit_finish();
}
