/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/data/test_link_pages.c: links that were divided anywhere are whole units again, and come back in order, wherever their pages lie.
 */
#include "runtime/data/link_pages.h"
#include "runtime/data/link_sums.h"
#include "tests/kit.h"

#include <math.h>

#define RANK_COUNT_MAX 5
#define BLOCK_BYTES    4096

static kit_directory directory;
static qn_error error;
static qn_link_pages pages[RANK_COUNT_MAX];

typedef struct sequence {
    uint64_t *keys;
    double *weights;
    size_t count, capacity;
} sequence;

static sequence made, read_back;

static void set_up(void)
{
    kit_make_directory(&directory);
    qn_error_clear(&error);
}

static void tear_down(void)
{
    for (size_t i = 0; i < RANK_COUNT_MAX; i++)
        qn_link_pages_fini(&pages[i]);
    free(made.keys), free(made.weights), free(read_back.keys), free(read_back.weights);
    made = read_back = (sequence){0};
    kit_remove_directory(&directory);
}

static void append(sequence *to, uint64_t key, double weight)
{
    if (to->count == to->capacity) {
        to->capacity = to->capacity > 0 ? 2 * to->capacity : 1024;
        to->keys = realloc(to->keys, to->capacity * sizeof *to->keys);
        to->weights = realloc(to->weights, to->capacity * sizeof *to->weights);
        if (!to->keys || !to->weights)
            abort();
    }
    to->keys[to->count] = key;
    to->weights[to->count++] = weight;
}

/* Each vertex has some links, and every `hub_every`-th is a hub. */
static void make(uint32_t vertex_count, uint32_t hub_every, uint64_t seed)
{
    for (uint32_t vertex = 0; vertex < vertex_count; vertex++) {
        bool is_hub = hub_every > 0 && vertex % hub_every == hub_every - 1;
        uint64_t count = is_hub ? QN_LINK_HUB_LINKS + kit_random(&seed) % 30000 : kit_random(&seed) % 40;
        uint64_t step = is_hub ? 5 : 1000, source = 0;
        for (uint64_t i = 0; i < count; i++, source += kit_random(&seed) % step)
            append(&made, qn_link_key(vertex, is_hub, (uint32_t)source), (double)i);
        append(&made, qn_link_key(vertex, is_hub, QN_LINK_NO_SOURCE), 0);
    }
}

static void read_page(const qn_link_page *page, bool has_weights)
{
    const uint32_t *counts = qn_link_page_counts(page), *sources = qn_link_page_sources(page);
    uint32_t at = 0;
    for (uint32_t i = 0; i < page->vertex_count || page->is_hub; i++) {
        uint32_t end = page->is_hub ? page->link_count : at + counts[i];
        for (; at < end; at++)
            append(&read_back, qn_link_key(page->first + i, page->is_hub, sources[at]),
                   has_weights ? qn_link_page_weights(page)[at] : 0);
        if (page->vertex_count > 0)
            append(&read_back, qn_link_key(page->first + i, page->is_hub, QN_LINK_NO_SOURCE), 0);
        if (page->is_hub)
            break;
    }
    ck_assert_uint_eq(at, page->link_count);
}

static void read_all(qn_link_pages *of)
{
    qn_link_reader reader;
    const qn_link_page *page = NULL;
    uint64_t count = 0;
    qn_link_reader_open(&reader, of);
    do {
        kit_assert_ok(qn_link_reader_next(&reader, &page, &error), &error);
        if (page)
            read_page(page, of->config.has_weights);
        count += page != NULL;
    } while (page);
    ck_assert_uint_eq(count, of->page_count);
    qn_link_reader_close(&reader);
}

static void put(qn_link_pages *to, size_t from, size_t end)
{
    quern_status status = QUERN_OK;
    for (size_t i = from; i < end && status == QUERN_OK; i++)
        status = qn_link_pages_put(to, made.keys[i], made.weights[i], &error);
    kit_assert_ok(status, &error);
}

static bool is_cut(size_t at, uint32_t chunk_bits)
{
    size_t copies = 0;
    while (copies < at && made.keys[at - 1 - copies] == made.keys[at])
        copies++;
    return copies > 0 ? qn_link_is_cut_in_copies(made.keys[at], copies)
                      : qn_link_is_cut(made.keys[at - 1], made.keys[at], chunk_bits);
}

/* What each rank of so many has, cut at the keys in `cuts`, and where units make it end. */
static void divide(const size_t *cuts, size_t rank_count, uint64_t memory_bytes, bool has_weights)
{
    qn_link_pages_config config = {.has_weights = has_weights,
                                   .chunk_bits = 10,
                                   .memory_bytes_max = memory_bytes,
                                   .block_bytes = BLOCK_BYTES,
                                   .scratch.directory = directory.path};
    size_t unit_ends[RANK_COUNT_MAX + 1] = {0};
    for (size_t rank = 0; rank < rank_count; rank++) {
        size_t end = cuts[rank + 1];
        while (end > 0 && end < made.count && !is_cut(end, config.chunk_bits))
            end++;
        unit_ends[rank + 1] = end > unit_ends[rank] ? end : unit_ends[rank];
        kit_assert_ok(qn_link_pages_init(&pages[rank], &config, &error), &error);
        put(&pages[rank], cuts[rank], cuts[rank + 1]);
        bool keeps = unit_ends[rank] <= cuts[rank];
        ck_assert_uint_eq(pages[rank].key_count, cuts[rank + 1] - cuts[rank]);
        kit_assert_ok(qn_link_pages_settle_head(&pages[rank], keeps, &error), &error);
        put(&pages[rank], unit_ends[rank] > cuts[rank + 1] ? unit_ends[rank] : cuts[rank + 1], unit_ends[rank + 1]);
        kit_assert_ok(qn_link_pages_finish(&pages[rank], &error), &error);
    }
}

static void check_divided(const size_t *cuts, size_t rank_count, uint64_t memory_bytes, bool has_weights)
{
    uint64_t vertex_count = 0, link_count = 0;
    read_back.count = 0;
    divide(cuts, rank_count, memory_bytes, has_weights);
    for (size_t rank = 0; rank < rank_count; rank++) {
        qn_link_pages *own = &pages[rank];
        ck_assert_int_eq(own->vertex_count == 0 || own->first_vertex == vertex_count, 1);
        vertex_count += own->vertex_count;
        link_count += own->link_count;
        size_t before = read_back.count;
        read_all(own);
        read_back.count = before;
        read_all(own); /* as often as one likes */
        if (rank_count == 1)
            ck_assert_int_eq(own->has_run, memory_bytes < made.count * 4);
        qn_link_pages_fini(own);
    }
    ck_assert_uint_eq(vertex_count + link_count, made.count);
    ck_assert_uint_eq(read_back.count, made.count);
    ck_assert_mem_eq(read_back.keys, made.keys, made.count * sizeof *made.keys);
    uint64_t wrong = 0;
    for (size_t i = 0; i < made.count; i++)
        wrong += read_back.weights[i] != (has_weights ? made.weights[i] : 0);
    ck_assert_uint_eq(wrong, 0);
}

START_TEST(pages_give_every_link_back_in_order)
{
    static const uint64_t memories[] = {0, 100000, UINT64_C(64) << 20};
    make(3000, 400, 1);
    for (size_t i = 0; i < 3; i++)
        for (int has_weights = 0; has_weights < 2; has_weights++) {
            size_t cuts[] = {0, made.count};
            check_divided(cuts, 1, memories[i], has_weights);
        }
}
END_TEST

START_TEST(ranks_have_whole_units_wherever_links_were_divided)
{
    uint64_t seed = 3;
    make(300, 40, 2);
    for (int round = 0; round < 30; round++) {
        size_t cuts[RANK_COUNT_MAX + 1] = {0};
        for (size_t i = 1; i < RANK_COUNT_MAX; i++)
            cuts[i] = cuts[i - 1] + kit_random(&seed) % (made.count - cuts[i - 1] + 1) / (uint64_t)(round % 3 + 1);
        cuts[RANK_COUNT_MAX] = made.count;
        check_divided(cuts, RANK_COUNT_MAX, round % 2 ? 0 : 1 << 20, round % 5 == 0);
    }
}
END_TEST

/* All links of one hub, and nothing else. */
START_TEST(a_hub_is_on_many_ranks_and_its_chunks_are_counted)
{
    uint64_t chunk_count = 0;
    for (uint32_t source = 0; source < 20000; source += 3)
        append(&made, qn_link_key(7, true, source), 0);
    append(&made, qn_link_key(7, true, QN_LINK_NO_SOURCE), 0);
    size_t cuts[] = {0, 1500, 1501, 4000, made.count};
    divide(cuts, 4, 0, false);
    for (size_t rank = 0; rank < 3; rank++) {
        ck_assert_uint_eq(pages[rank].vertex_count, 0);
        ck_assert_int_eq(pages[rank].tail_count == 0 || pages[rank].tail_hub == 7, 1);
        chunk_count += pages[rank].tail_count;
    }
    ck_assert_uint_eq(pages[2].tail_count + pages[1].tail_count + pages[0].tail_count, chunk_count);
    ck_assert_uint_eq(chunk_count, 4000 * 3 / 1024 + 1);
    ck_assert_uint_eq(pages[3].vertex_count, 1);
    ck_assert_uint_eq(pages[3].tail_count, 0);
}
END_TEST

/* Many copies of few links: no page and no head has all of them. Those of one link are on one rank. */
START_TEST(copies_of_a_link_are_divided_among_pages)
{
    const size_t copies = 5 * (size_t)QN_LINK_COPIES_MAX / 2;
    for (size_t i = 0; i < 3 * copies; i++)
        append(&made, qn_link_key(7, true, (uint32_t)(i / copies)), 0);
    append(&made, qn_link_key(7, true, QN_LINK_NO_SOURCE), 0);
    size_t cuts[] = {0, copies, 2 * copies, made.count};
    divide(cuts, 3, UINT64_C(64) << 20, false);
    uint64_t chunk_count = 0;
    for (size_t rank = 0; rank < 3; rank++) {
        qn_link_reader reader;
        const qn_link_page *page = NULL;
        ck_assert_uint_ge(pages[rank].page_count, 2);
        qn_link_reader_open(&reader, &pages[rank]);
        do {
            kit_assert_ok(qn_link_reader_next(&reader, &page, &error), &error);
            ck_assert(!page || page->link_count <= 2 * QN_LINK_COPIES_MAX);
        } while (page);
        qn_link_reader_close(&reader);
        chunk_count += pages[rank].tail_count;
        read_all(&pages[rank]);
    }
    ck_assert_uint_eq(read_back.count, made.count);
    ck_assert_mem_eq(read_back.keys, made.keys, made.count * sizeof *made.keys);
    ck_assert_uint_eq(chunk_count, 5); /* 7 in all: the last two are with the vertex */
}
END_TEST

static const double sent[] = {1, 2, 4, 8, NAN};

START_TEST(what_comes_is_combined_by_the_rule)
{
    static const uint32_t counts[] = {3, 0, 2, 1}, sources[] = {0, 1, 2, 3, 3, 4};
    static const double weights[] = {10, 1, 0.5, 2, -1, 1};
    static const double expected[3][3][3] = {
        {{7, 0, 16}, {18.5, 0, 17}, {14, 0, 8}},
        {{1, INFINITY, 8}, {3, INFINITY, 7}, {2, INFINITY, -8}},
        {{4, -INFINITY, 8}, {11, -INFINITY, 10}, {10, -INFINITY, 16}},
    };
    static const quern_reduction combines[] = {QUERN_SUM, QUERN_MIN, QUERN_MAX};
    for (int row = 0; row < 3; row++)
        for (int weight = 0; weight < 3; weight++) {
            double come[4];
            qn_link_rule rule = {combines[row], (quern_weight)weight};
            qn_link_sums(&rule, sent, counts, 4, sources, weights, come);
            for (int i = 0; i < 3; i++)
                ck_assert_double_eq(come[i], expected[row][weight][i]);
            ck_assert_int_eq(isnan(come[3]) != 0, row == 0); /* MIN and MAX pass over it */
            ck_assert_double_eq(qn_link_combine(rule.combine, qn_link_nothing(rule.combine), 5), 5);
        }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        pages_give_every_link_back_in_order,
        ranks_have_whole_units_wherever_links_were_divided,
        a_hub_is_on_many_ranks_and_its_chunks_are_counted,
        copies_of_a_link_are_divided_among_pages,
        what_comes_is_combined_by_the_rule,
    };
    return kit_run_tests("link pages", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
