/* SPDX-License-Identifier: BSD-3-Clause */
/* Values that flow along links, against plain loops over an array of links. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api_kit.h"

#define VERTEX_COUNT 900
#define LINK_COUNT   14000
#define HUB          7 /* a third of all links come to it, and a third go out of … */
#define SOURCE       11
#define STEPS        6

static const quern_schema u64_u64 = {QUERN_U64, QUERN_U64, 0, 0}, u64_f64 = {QUERN_U64, QUERN_F64, 0, 0};
static const quern_schema pair_of_two = {QUERN_PAIR(QUERN_U64, QUERN_U32), QUERN_NONE, 0, 0};
static const quern_schema pair_f64 = {QUERN_PAIR(QUERN_U64, QUERN_U64), QUERN_F64, 0, 0};

typedef struct link {
    uint64_t source, target;
    double weight;
} link;

static link *links; /* [link_count]; the same on all ranks */
static size_t link_count;

static void add_link(uint64_t source, uint64_t target, double weight)
{
    links = realloc(links, (link_count + 1) * sizeof *links);
    CHECK(links != NULL);
    links[link_count++] = (link){source, target, weight};
}

/* Vertices are numbers below VERTEX_COUNT; some have no links out, some none in. */
static void make_links(size_t count)
{
    uint64_t seed = 5;
    link_count = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t source = kit_random(&seed) % (VERTEX_COUNT * 3 / 4), way = kit_random(&seed) % 3;
        uint64_t target = VERTEX_COUNT / 4 + kit_random(&seed) % (VERTEX_COUNT * 3 / 4);
        add_link(way == 1 ? SOURCE : source, way == 2 ? HUB : target, 1 + (double)(kit_random(&seed) % 1000) / 7);
    }
    for (uint64_t vertex = 0; count > 0 && vertex < VERTEX_COUNT; vertex += 50) {
        add_link(vertex, vertex, 2);
        add_link(vertex, (vertex + 1) % VERTEX_COUNT, 3);
        add_link(vertex, (vertex + 1) % VERTEX_COUNT, 4);
    }
}

static quern_context *start(uint64_t rank_memory_bytes)
{
    quern_options options;
    quern_options_init(&options);
    options.memory_bytes = (uint64_t)kit_size() * rank_memory_bytes;
    options.report_path = kit_path("report.json");
    return kit_context(&options);
}

/* ---- the links as datasets: each rank has a part of them in memory ---- */

static uint64_t *sources, *targets;
static double *weights;
static size_t own_count;

static void take_own_links(void)
{
    free(sources), free(targets), free(weights);
    sources = calloc(2 * link_count + 1, sizeof *sources); /* of pairs, too */
    targets = calloc(link_count + 1, sizeof *targets);
    weights = calloc(link_count + 1, sizeof *weights);
    CHECK(sources && targets && weights);
    own_count = 0;
    for (size_t i = (size_t)kit_rank(); i < link_count; i += (size_t)kit_size()) {
        sources[own_count] = links[i].source;
        targets[own_count] = links[i].target;
        weights[own_count++] = links[i].weight;
    }
}

static quern_dataset *read_links(quern_context *context)
{
    take_own_links();
    quern_memory_array array = {.key = sources, .value = targets, .count = own_count};
    return quern_read_memory(context, u64_u64, &array, 1);
}

static int pair_ends(const quern_record *in, quern_record *out, void *user)
{
    static uint64_t pair[2];
    static double weight;
    (void)user;
    uint64_t number = quern_u64(in->key);
    pair[0] = links[number].source;
    pair[1] = links[number].target;
    weight = links[number].weight;
    out->key = quern_bytes(pair, sizeof pair);
    out->value = quern_of_f64(&weight);
    return 0;
}

static quern_dataset *read_weighted(quern_context *context)
{
    take_own_links();
    for (size_t i = 0; i < own_count; i++)
        sources[i] = (size_t)kit_rank() + i * (size_t)kit_size();
    quern_memory_array array = {.key = sources, .value = sources, .count = own_count};
    return quern_map(quern_read_memory(context, u64_u64, &array, 1), pair_f64, pair_ends, NULL);
}

/* ---- what comes out ---- */

typedef struct outcome {
    double values[VERTEX_COUNT];
    uint64_t count, digest;
    bool is_there[VERTEX_COUNT];
} outcome;

static outcome got;

static int take_value(const quern_record *record, void *user)
{
    uint64_t vertex = quern_u64(record->key), bits;
    outcome *to = user;
    CHECK(vertex < VERTEX_COUNT && !to->is_there[vertex]);
    to->is_there[vertex] = true;
    to->values[vertex] = quern_f64(record->value);
    memcpy(&bits, &to->values[vertex], sizeof bits);
    to->digest = (to->digest ^ bits ^ vertex << 32) * UINT64_C(0x9e3779b97f4a7c15) + to->count++;
    return 0;
}

static void run(quern_context *context, quern_dataset *values)
{
    memset(&got, 0, sizeof got);
    CHECK_SAME(quern_collect(values, QUERN_COLLECT_ALL, take_value, &got), QUERN_OK);
    kit_run(context);
}

static uint64_t count_vertices(void)
{
    bool is_there[VERTEX_COUNT] = {false};
    uint64_t count = 0;
    for (size_t i = 0; i < link_count; i++)
        is_there[links[i].source] = is_there[links[i].target] = true;
    for (size_t i = 0; i < VERTEX_COUNT; i++)
        count += is_there[i];
    return count;
}

static void check_values(const double *expected)
{
    CHECK_SAME(got.count, count_vertices());
    for (size_t i = 0; i < VERTEX_COUNT; i++)
        if (got.is_there[i] && fabs(got.values[i] - expected[i]) > 1e-13 * fabs(expected[i]))
            kit_fail(__FILE__, __LINE__, "vertex %zu has %.17g, not %.17g", i, got.values[i], expected[i]);
}

/* One for all numbers of ranks: test_api.py compares what is printed. */
static void say_digest(const char *what)
{
    if (kit_rank() == 0)
        printf("digest %s %016" PRIx64 "\n", what, got.digest);
}

/* ---- page rank ---- */

static int rank_vertices(const quern_vertices *some, void *user)
{
    double count = (double)some->vertex_count, spread = some->totals_before[0] / count;
    (void)user;
    CHECK(some->count > 0 && some->first + some->count <= some->vertex_count);
    if (some->step > 0)
        CHECK(fabs(some->totals_before[1] - 1) < 1e-12);
    for (size_t i = 0; i < some->count; i++) {
        double rank = some->step == 0 ? 1 / count : 0.15 / count + 0.85 * (some->come[i] + spread);
        some->value[i] = rank;
        some->send[i] = some->links[i] > 0 ? rank / (double)some->links[i] : 0;
        some->totals[0][i] = some->links[i] > 0 ? 0 : rank;
        some->totals[1][i] = rank;
    }
    return 0;
}

static const quern_vertex_program page_rank = {.struct_size = sizeof page_rank,
                                               .combine = QUERN_SUM,
                                               .total_count = 2,
                                               .step_count_max = STEPS,
                                               .step = rank_vertices};

static void rank_plainly(double *ranks)
{
    double count = (double)count_vertices(), out[VERTEX_COUNT] = {0};
    long double next[VERTEX_COUNT]; /* one sum of very many would not be right */
    for (size_t i = 0; i < link_count; i++)
        out[links[i].source]++;
    for (size_t i = 0; i < VERTEX_COUNT; i++)
        ranks[i] = 1 / count;
    for (int step = 0; step < STEPS; step++) {
        double dangling = 0;
        for (size_t i = 0; i < VERTEX_COUNT; i++) {
            dangling += got.is_there[i] && out[i] == 0 ? ranks[i] : 0;
            next[i] = 0;
        }
        for (size_t i = 0; i < link_count; i++)
            next[links[i].target] += ranks[links[i].source] / out[links[i].source];
        for (size_t i = 0; i < VERTEX_COUNT; i++)
            ranks[i] = 0.15 / count + 0.85 * ((double)next[i] + dangling / count);
    }
}

static void ranks_are_those_of_plain_loops(void)
{
    double expected[VERTEX_COUNT];
    make_links(LINK_COUNT);
    quern_context *context = start(UINT64_C(64) << 20);
    run(context, quern_iterate_links(read_links(context), NULL, &page_rank, NULL));
    rank_plainly(expected);
    check_values(expected);
    CHECK_SAME(kit_reported("broadcast_bytes") > 0, 1);
    say_digest("ranks");
    quern_context_destroy(context);
}

static void values_have_the_same_bits_with_little_memory(void)
{
    make_links(LINK_COUNT);
    quern_context *context = start(UINT64_C(64) << 20);
    run(context, quern_iterate_links(read_links(context), NULL, &page_rank, NULL));
    uint64_t digest = got.digest;
    quern_context_destroy(context);
    context = start(UINT64_C(34) << 20);
    run(context, quern_iterate_links(read_links(context), NULL, &page_rank, NULL));
    CHECK_SAME(got.digest, digest);
    quern_context_destroy(context);
}

/* ---- distances ---- */

static int take_nearer(const quern_vertices *some, void *user)
{
    (void)user;
    for (size_t i = 0; i < some->count; i++) {
        double before = some->value[i];
        some->value[i] = some->come[i] < before ? some->come[i] : before;
        some->send[i] = some->value[i];
        some->totals[0][i] = some->value[i] != before;
    }
    return 0;
}

static int nothing_changed(uint64_t step, const double *totals, int *stop_out, void *user)
{
    *stop_out = step > 0 && totals[0] == 0;
    *(uint64_t *)user = step;
    return 0;
}

static void walk_plainly(double *distances, bool both_ways)
{
    bool changes = true;
    while (changes) {
        changes = false;
        for (size_t i = 0; i < 2 * link_count; i++) {
            const link *on = &links[i / 2];
            uint64_t from = i % 2 ? on->target : on->source, to = i % 2 ? on->source : on->target;
            if ((i % 2 && !both_ways) || !(distances[from] + on->weight < distances[to]))
                continue;
            distances[to] = distances[from] + on->weight;
            changes = true;
        }
    }
}

static void distances_are_those_of_plain_loops(void)
{
    make_links(LINK_COUNT / 8);
    for (int both_ways = 0; both_ways < 2; both_ways++) {
        double expected[VERTEX_COUNT], zero[] = {0, 5, 7};
        uint64_t begin[] = {3, 3, 60}, last_step = 0;
        quern_vertex_program nearest = {.struct_size = sizeof nearest,
                                        .combine = QUERN_MIN,
                                        .weight = QUERN_WEIGHT_ADD,
                                        .both_ways = both_ways,
                                        .total_count = 1,
                                        .value = INFINITY,
                                        .step_count_max = 1000,
                                        .step = take_nearer,
                                        .until = nothing_changed};
        quern_context *context = start(UINT64_C(64) << 20);
        quern_memory_array array = {.key = begin, .value = zero, .count = kit_rank() == 0 ? 3 : 0};
        quern_dataset *initial = quern_read_memory(context, u64_f64, &array, 1);
        run(context, quern_iterate_links(read_weighted(context), initial, &nearest, &last_step));
        for (size_t i = 0; i < VERTEX_COUNT; i++)
            expected[i] = i == 3 ? 0 : i == 60 ? 7 : INFINITY;
        walk_plainly(expected, both_ways);
        CHECK(last_step > 1 && last_step < 1000);
        CHECK_SAME(got.count, count_vertices());
        for (size_t i = 0; i < VERTEX_COUNT; i++)
            CHECK(!got.is_there[i] || got.values[i] == expected[i] || fabs(got.values[i] - expected[i]) < 1e-9);
        say_digest(both_ways ? "both ways" : "one way");
        quern_context_destroy(context);
    }
}

/* ---- labels, weights ---- */

static int take_label(const quern_vertices *some, void *user)
{
    (void)user;
    for (size_t i = 0; i < some->count; i++) {
        double label = some->step == 0 ? (double)(some->first + i) : some->value[i];
        some->value[i] = some->come[i] > label ? some->come[i] : label;
        some->send[i] = some->value[i];
    }
    return 0;
}

static void labels_are_the_same_where_links_connect(void)
{
    link_count = 0;
    for (uint64_t vertex = 0; vertex + 3 < 300; vertex++)
        add_link(vertex + 3, vertex, 1); /* three chains */
    quern_vertex_program labels = {
        .struct_size = sizeof labels, .combine = QUERN_MAX, .both_ways = 1, .step_count_max = 110, .step = take_label};
    quern_context *context = start(UINT64_C(64) << 20);
    run(context, quern_iterate_links(read_links(context), NULL, &labels, NULL));
    CHECK_SAME(got.count, 300);
    for (size_t i = 0; i < 300; i++)
        CHECK(got.values[i] == got.values[i % 3] && (i % 3 == 0 || got.values[i] != got.values[i % 3 - 1]));
    quern_context_destroy(context);
}

static int keep_sum(const quern_vertices *some, void *user)
{
    (void)user;
    for (size_t i = 0; i < some->count; i++) {
        some->value[i] = some->step == 0 ? some->value[i] : some->come[i];
        some->send[i] = some->value[i];
    }
    return 0;
}

static void weights_are_multiplied(void)
{
    double expected[VERTEX_COUNT] = {0};
    make_links(3000);
    quern_vertex_program sums = {.struct_size = sizeof sums,
                                 .combine = QUERN_SUM,
                                 .weight = QUERN_WEIGHT_MULTIPLY,
                                 .value = 2,
                                 .step_count_max = 1,
                                 .step = keep_sum};
    quern_context *context = start(UINT64_C(64) << 20);
    run(context, quern_iterate_links(read_weighted(context), NULL, &sums, NULL));
    for (size_t i = 0; i < link_count; i++)
        expected[links[i].target] += 2 * links[i].weight;
    check_values(expected);
    quern_context_destroy(context);
}

/* ---- small, and odd ---- */

static void graphs_of_nothing_and_of_one_vertex(void)
{
    quern_context *context = start(UINT64_C(64) << 20);
    link_count = 0;
    run(context, quern_iterate_links(read_links(context), NULL, &page_rank, NULL));
    CHECK_SAME(got.count, 0);
    add_link(5, 5, 1);
    run(context, quern_iterate_links(read_links(context), NULL, &page_rank, NULL));
    CHECK_SAME(got.count, 1);
    CHECK(fabs(got.values[5] - 1) < 1e-15);
    add_link(5, 6, 1);
    double alone[] = {0.5};
    uint64_t vertex[] = {8};
    quern_vertex_program none = {.struct_size = sizeof none, .combine = QUERN_SUM, .value = 3, .step = keep_sum};
    quern_memory_array array = {.key = vertex, .value = alone, .count = kit_rank() == 0};
    run(context, quern_iterate_links(read_links(context), quern_read_memory(context, u64_f64, &array, 1), &none, NULL));
    CHECK_SAME(got.count, 3);
    CHECK(got.values[5] == 3 && got.values[6] == 3 && got.values[8] == 0.5);
    quern_context_destroy(context);
}

static void check_ranks(const char *name)
{
    double expected[VERTEX_COUNT];
    quern_context *context = start(UINT64_C(64) << 20);
    run(context, quern_iterate_links(read_links(context), NULL, &page_rank, NULL));
    rank_plainly(expected);
    check_values(expected);
    say_digest(name);
    quern_context_destroy(context);
}

/* All links come to one vertex: their sums are divided among ranks. */
static void a_hub_is_divided_among_ranks(void)
{
    link_count = 0;
    for (uint64_t i = 0; i < 120000; i++)
        add_link(i * 7919 % VERTEX_COUNT, i % 2 ? HUB : i % VERTEX_COUNT, 1);
    check_ranks("hub");
}

/* Most links are the same few: copies of one are cut by their number, wherever they lie. */
static void copies_of_a_link_are_divided_alike(void)
{
    link_count = 0;
    for (uint64_t i = 0; i < 120000; i++)
        add_link(i % 10 == 0 ? i * 7919 % VERTEX_COUNT : i / 40000 * 3, HUB, 1);
    check_ranks("copies");
}

/* ---- failures ---- */

static int fail_on_a_vertex(const quern_vertices *some, void *user)
{
    (void)user;
    for (size_t i = 0; i < some->count; i++) {
        some->value[i] = some->send[i] = 0;
        if (some->step == 2 && some->first + i == 3) {
            *some->failed = i;
            return quern_fail_because("no luck");
        }
    }
    return 0;
}

static int give_another_each_time(const quern_vertices *some, void *user)
{
    static double counter;
    (void)user;
    for (size_t i = 0; i < some->count; i++)
        some->value[i] = some->send[i] = ++counter;
    return 0;
}

static void failures_name_operator_step_and_vertex(void)
{
    link_count = 0;
    for (uint64_t i = 0; i < 6; i++) /* the number of vertex i is i */
        for (uint64_t to = i; to < 6; to++)
            add_link(i, to, 1);
    quern_context *context = start(UINT64_C(64) << 20);
    quern_vertex_program program = page_rank;
    program.step = fail_on_a_vertex;
    quern_dataset *values = quern_name(quern_iterate_links(read_links(context), NULL, &program, NULL), "unlucky");
    quern_collect(values, QUERN_COLLECT_ALL, take_value, &got);
    const char *text = kit_run_fails(context, QUERN_ERROR_CALLBACK);
    CHECK_HAS(text, "unlucky");
    CHECK_HAS(text, "no luck, in step 2, on vertex \"3\"");
    run(context, quern_iterate_links(read_links(context), NULL, &page_rank, NULL));
    CHECK_SAME(got.count, 6);
    quern_context_destroy(context);
}

static void check_mode_finds_callbacks_that_are_not_the_same_twice(void)
{
    quern_options options;
    quern_options_init(&options);
    options.check = QUERN_ON;
    quern_context *context = kit_context(&options);
    make_links(500);
    run(context, quern_iterate_links(read_links(context), NULL, &page_rank, NULL));
    quern_vertex_program program = page_rank;
    program.step = give_another_each_time;
    quern_collect(quern_iterate_links(read_links(context), NULL, &program, NULL), QUERN_COLLECT_ALL, take_value, &got);
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_CHECK), "iterate links");
    quern_context_destroy(context);
}

static void wrong_programs_and_types_are_refused(void)
{
    const struct {
        quern_vertex_program program;
        quern_schema schema;
        quern_status status;
    } cases[] = {
        {{.struct_size = 1, .combine = QUERN_SUM, .step = keep_sum}, u64_u64, QUERN_ERROR_INVALID_ARGUMENT},
        {{.struct_size = sizeof page_rank, .combine = QUERN_SUM}, u64_u64, QUERN_ERROR_INVALID_ARGUMENT},
        {{.struct_size = sizeof page_rank, .combine = QUERN_COUNT, .step = keep_sum},
         u64_u64,
         QUERN_ERROR_INVALID_ARGUMENT},
        {{.struct_size = sizeof page_rank, .combine = QUERN_SUM, .step = keep_sum, .total_count = 9},
         u64_u64,
         QUERN_ERROR_INVALID_ARGUMENT},
        {{.struct_size = sizeof page_rank, .combine = QUERN_SUM, .step = keep_sum}, u64_f64, QUERN_ERROR_INVALID_PLAN},
        {{.struct_size = sizeof page_rank, .combine = QUERN_SUM, .step = keep_sum}, pair_f64, QUERN_ERROR_INVALID_PLAN},
        {{.struct_size = sizeof page_rank, .combine = QUERN_SUM, .step = keep_sum, .weight = QUERN_WEIGHT_ADD},
         u64_u64,
         QUERN_ERROR_INVALID_PLAN},
        {{.struct_size = sizeof page_rank, .combine = QUERN_SUM, .step = keep_sum},
         pair_of_two,
         QUERN_ERROR_INVALID_PLAN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        quern_context *context = start(UINT64_C(64) << 20);
        quern_dataset *some = quern_read_memory(context, cases[i].schema, NULL, 0);
        CHECK(quern_iterate_links(some, NULL, &cases[i].program, NULL) == NULL);
        kit_run_fails(context, cases[i].status);
        quern_context_destroy(context);
    }
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    RUN(ranks_are_those_of_plain_loops, 60);
    RUN(values_have_the_same_bits_with_little_memory, 60);
    RUN(distances_are_those_of_plain_loops, 60);
    RUN(labels_are_the_same_where_links_connect, 60);
    RUN(weights_are_multiplied, 60);
    RUN(graphs_of_nothing_and_of_one_vertex, 60);
    RUN(a_hub_is_divided_among_ranks, 60);
    RUN(copies_of_a_link_are_divided_alike, 60);
    RUN(failures_name_operator_step_and_vertex, 60);
    RUN(check_mode_finds_callbacks_that_are_not_the_same_twice, 60);
    RUN(wrong_programs_and_types_are_refused, 60);
    free(links), free(sources), free(targets), free(weights);
    return kit_finish();
}
