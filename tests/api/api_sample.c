/* SPDX-License-Identifier: BSD-3-Clause */
/* Samples: as many records as chance says, each decided by itself, and always the same ones. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "api_kit.h"

#define LINE_COUNT 20000
#define SIGMAS                                                                                                         \
    5.0 /* a right sampler is beyond this once in two million checks; seeds are fixed, so it is so always or never */

static const quern_schema bytes_u64 = {QUERN_BYTES, QUERN_U64, 0};
static const char *lines_path[1], *equal_path[1];

static quern_context *make_context(uint64_t split_bytes, const char *report_path)
{
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = split_bytes;
    options.attempt_count_max = 8;
    options.report_path = report_path; /* copied */
    return kit_context(&options);
}

static quern_context *context_with(uint64_t split_bytes)
{
    return make_context(split_bytes, kit_path("report.json"));
}

static void make_input(void)
{
    kit_text lines = {0}, equal = {0};
    for (uint64_t i = 0; i < LINE_COUNT; i++) {
        kit_put(&lines, "%" PRIu64 "\n", i);
        kit_put(&equal, "same\n");
    }
    lines_path[0] = strdup(kit_path("lines"));
    equal_path[0] = strdup(kit_path("equal"));
    kit_write_for_all(lines_path[0], &lines);
    kit_write_for_all(equal_path[0], &equal);
    kit_free(&lines);
    kit_free(&equal);
}

static void check_share(uint64_t kept, uint64_t count, double fraction)
{
    double expected = (double)count * fraction, sigma = sqrt(expected * (1 - fraction));
    if (fabs((double)kept - expected) > SIGMAS * sigma)
        kit_fail(__FILE__, __LINE__, "%" PRIu64 " of %" PRIu64 " were kept, not about %.0f", kept, count, expected);
}

/* How often each line was kept. */
typedef struct kept_lines {
    uint64_t count;
    uint8_t times[LINE_COUNT];
} kept_lines;

static int keep_line(const quern_record *record, void *user)
{
    kept_lines *kept = user;
    uint64_t line = kit_number(record->key) % LINE_COUNT;
    kept->count++;
    kept->times[line]++;
    return 0;
}

/* On all ranks; runs. */
static void take_sample(quern_context *context, quern_dataset *sample, kept_lines *kept)
{
    *kept = (kept_lines){0};
    quern_collect(sample, QUERN_COLLECT_ALL, keep_line, kept);
    kit_run(context);
}

static uint64_t count_both(const kept_lines *a, const kept_lines *b, size_t distance)
{
    uint64_t both = 0;
    for (size_t i = distance; i < LINE_COUNT; i++)
        both += a->times[i] > 0 && b->times[i - distance] > 0;
    return both;
}

/* ---- how many ---- */

static void a_sample_keeps_its_share_and_neighbours_are_independent(void)
{
    static const double fractions[] = {0.01, 0.1, 0.5, 0.9};
    static kept_lines kept, other;
    quern_context *context = context_with(10000);
    quern_dataset *lines = quern_read_text(context, lines_path, 1, NULL);
    for (uint64_t seed = 0; seed < 3; seed++) {
        for (size_t i = 0; i < sizeof fractions / sizeof *fractions; i++) {
            double f = fractions[i];
            take_sample(context, quern_sample(lines, f, seed), &kept);
            check_share(kept.count, LINE_COUNT, f);
            check_share(count_both(&kept, &kept, 1), LINE_COUNT - 1, f * f);
            check_share(count_both(&kept, &kept, 2), LINE_COUNT - 2, f * f);
            take_sample(context, quern_sample(lines, f, seed + 100), &other);
            check_share(count_both(&kept, &other, 0), LINE_COUNT, f * f);
        }
    }
    quern_context_destroy(context);
}

static int count_record(const quern_record *record, void *user)
{
    (void)record;
    ++*(uint64_t *)user;
    return 0;
}

static void equal_records_at_different_places_are_decided_one_by_one(void)
{
    quern_context *context = context_with(3000);
    static kept_lines kept;
    const char *twice[] = {lines_path[0], lines_path[0]};
    quern_text_options words = {sizeof words, "\n", 1};
    for (int skip_empty = 0; skip_empty < 2; skip_empty++) {
        uint64_t count = 0;
        quern_dataset *same = quern_read_text(context, equal_path, 1, skip_empty ? &words : NULL);
        quern_collect(quern_sample(same, 0.3, 5), QUERN_COLLECT_ALL, count_record, &count);
        kit_run(context);
        check_share(count, LINE_COUNT, 0.3);
    }
    /* A file that is listed twice is two places. */
    take_sample(context, quern_sample(quern_read_text(context, twice, 2, NULL), 0.3, 5), &kept);
    uint64_t both_count = 0;
    for (size_t i = 0; i < LINE_COUNT; i++)
        both_count += kept.times[i] == 2;
    check_share(both_count, LINE_COUNT, 0.09);
    quern_context_destroy(context);
}

static void nothing_or_all_is_kept_at_the_ends_and_no_other_fraction_is_taken(void)
{
    static kept_lines kept;
    const double bad[] = {-0.001, 1.001, NAN, INFINITY, -INFINITY};
    quern_context *context = context_with(10000);
    quern_dataset *lines = quern_read_text(context, lines_path, 1, NULL);
    take_sample(context, quern_sample(lines, 0, 1), &kept);
    CHECK_SAME(kept.count, 0);
    take_sample(context, quern_sample(lines, 1, 1), &kept);
    CHECK_SAME(kept.count, LINE_COUNT);
    CHECK_SAME(count_both(&kept, &kept, 0), LINE_COUNT);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(quern_sample(lines, bad[i], 1) == NULL);
        CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT), "fraction");
    }
    quern_context_destroy(context);
}

static void of_two_samples_with_one_seed_the_larger_holds_the_smaller(void)
{
    static kept_lines small, large, behind;
    quern_context *context = context_with(10000);
    quern_dataset *lines = quern_read_text(context, lines_path, 1, NULL);
    take_sample(context, quern_sample(lines, 0.2, 9), &small);
    take_sample(context, quern_sample(lines, 0.4, 9), &large);
    CHECK_SAME(count_both(&small, &large, 0), small.count);
    /* A sample of a sample is another place. */
    take_sample(context, quern_sample(quern_sample(lines, 0.4, 9), 0.5, 9), &behind);
    CHECK_SAME(count_both(&behind, &large, 0), behind.count);
    check_share(behind.count, LINE_COUNT, 0.2);
    quern_context_destroy(context);
}

/* ---- always the same ---- */

/* Lines become 0 to 3 records; some lines fail, the first time only. */
static int some_of(uint64_t line, quern_emitter *out, const char *trouble)
{
    bool due = trouble && line % 997 == 996 && kit_first_time("%s.%" PRIu64, trouble, line);
    for (uint64_t i = 0; i < line % 4; i++) {
        char text[40];
        snprintf(text, sizeof text, "%" PRIu64 "/%" PRIu64, line, i % 2);
        if (quern_emit(out, quern_text(text), quern_of_u64(&line)))
            return 1;
        if (due && i == 1)
            return 7;
    }
    return due ? 7 : 0;
}

static int explode(const quern_record *in, quern_emitter *out, void *trouble)
{
    return some_of(kit_number(in->key), out, trouble);
}

static int explode_block(const quern_block *in, quern_emitter *out, void *trouble)
{
    CHECK_SAME(in->count, 1);
    return some_of(kit_number(quern_bytes(in->key[0], in->key_bytes[0])), out, trouble);
}

static int drop_some(const quern_block *in, uint8_t *keep_out, void *user)
{
    (void)user;
    for (size_t i = 0; i < in->count; i++)
        keep_out[i] = quern_u64(quern_bytes(in->value[i], 8)) % 7 != 0;
    return 0;
}

static quern_dataset *exploded(quern_context *context, bool blocks, char *trouble)
{
    quern_dataset *lines = quern_read_text(context, lines_path, 1, NULL);
    quern_dataset *some = blocks ? quern_flat_map_block(lines, bytes_u64, explode_block, trouble)
                                 : quern_flat_map(lines, bytes_u64, explode, trouble);
    return quern_filter_block(some, drop_some, NULL);
}

static void check_same(quern_context *context, quern_dataset *sample, kit_text *first, const char *output)
{
    quern_write_text(sample, output);
    kit_run(context);
    if (kit_rank() == 0 && !first->data)
        *first = kit_read_output(output);
    kit_check_output(output, first, true);
    quern_context_destroy(context);
}

static void the_same_records_are_kept_wherever_the_input_is_cut_and_whatever_fails(void)
{
    kit_text first = {0};
    int number = 0;
    for (uint64_t split_bytes = 500; split_bytes < 1000000; split_bytes *= 17) {
        for (int blocks = 0; blocks < 2; blocks++) {
            for (int fails = 0; fails < 2; fails++) {
                char trouble[40];
                snprintf(trouble, sizeof trouble, "trouble.%d", ++number);
                quern_context *context = context_with(split_bytes);
                quern_dataset *some = exploded(context, blocks, fails && split_bytes < 10000 ? trouble : NULL);
                /* Emitted records are identified by their source record and their ordinal; once more behind that. */
                quern_dataset *sample =
                    quern_sample(quern_filter_block(quern_sample(some, 0.5, 3), drop_some, NULL), 0.7, 3);
                check_same(context, sample, &first, kit_path("out.same.%d", number));
            }
        }
    }
    if (kit_rank() == 0)
        CHECK(first.bytes > 10000);
    kit_free(&first);
}

static void failed_attempts_before_a_shuffle_keep_the_same_records(void)
{
    kit_text first = {0};
    char trouble[] = "reduced";
    for (int fails = 0; fails < 2; fails++) {
        quern_context *context = context_with(3000);
        quern_dataset *sample = quern_sample(exploded(context, false, fails ? trouble : NULL), 0.4, 8);
        check_same(context, quern_count_by_key(sample), &first, kit_path("out.reduced.%d", fails));
    }
    CHECK(kit_exists(kit_path("first.reduced.996")) || kit_exists(kit_path("first.reduced.1993")));
    kit_free(&first);
}

static void the_records_of_a_result_are_kept_by_their_keys(void)
{
    static kept_lines kept, again;
    kit_text first = {0};
    for (uint64_t split_bytes = 999; split_bytes < 200000; split_bytes *= 20) {
        quern_context *context = context_with(split_bytes);
        quern_dataset *counts = quern_count_by_key(quern_read_text(context, lines_path, 1, NULL));
        quern_dataset *sample = quern_sample(counts, 0.25, 77);
        /* Read in order for the one, as it comes for the other. */
        quern_dataset *keys = quern_keys(quern_count_by_key(sample));
        quern_collect(keys, QUERN_COLLECT_ALL, keep_line, (again = (kept_lines){0}, &again));
        take_sample(context, sample, &kept);
        check_share(kept.count, LINE_COUNT, 0.25);
        CHECK_SAME(again.count, kept.count);
        CHECK_SAME(count_both(&again, &kept, 0), kept.count);
        check_same(context, sample, &first, kit_path("out.result.%" PRIu64, split_bytes));
    }
    kit_free(&first);
}

static void both_sides_of_a_union_are_decided_independently_and_a_dataset_is_one_sample(void)
{
    static kept_lines kept;
    quern_context *context =
        make_context(4000, kit_path("other.json")); /* its edges are of several legs: test_api.py adds up one */
    quern_dataset *lines = quern_read_text(context, lines_path, 1, NULL);
    take_sample(context, quern_sample(quern_union(lines, lines), 0.5, 4), &kept);
    uint64_t twice = 0;
    for (size_t i = 0; i < LINE_COUNT; i++)
        twice += kept.times[i] == 2;
    check_share(kept.count, 2 * LINE_COUNT, 0.5);
    check_share(twice, LINE_COUNT, 0.25);
    quern_dataset *sample = quern_sample(quern_union(lines, lines), 0.5, 4);
    static kept_lines four;
    take_sample(context, quern_union(sample, quern_union(sample, lines)), &four);
    for (size_t i = 0; i < LINE_COUNT; i++)
        CHECK_SAME(four.times[i], 1 + 2 * kept.times[i]);
    quern_context_destroy(context);
}

static void dropped_records_are_in_the_report_and_in_the_plan(void)
{
    static kept_lines kept;
    quern_context *context = context_with(4000);
    char *plan = NULL, part[100];
    take_sample(context, quern_sample(quern_read_text(context, lines_path, 1, NULL), 0.5, 4), &kept);
    CHECK(quern_explain(context, QUERN_EXPLAIN_TEXT, &plan) == QUERN_OK);
    snprintf(part, sizeof part, "sample (bytes, none) [in %d, out %" PRIu64 ", dropped %" PRIu64 "]", LINE_COUNT,
             kept.count, LINE_COUNT - kept.count);
    CHECK_HAS(plan, part);
    free(plan);
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_input();
    RUN(a_sample_keeps_its_share_and_neighbours_are_independent, 30);
    RUN(equal_records_at_different_places_are_decided_one_by_one, 10);
    RUN(nothing_or_all_is_kept_at_the_ends_and_no_other_fraction_is_taken, 10);
    RUN(of_two_samples_with_one_seed_the_larger_holds_the_smaller, 10);
    RUN(the_same_records_are_kept_wherever_the_input_is_cut_and_whatever_fails, 40);
    RUN(failed_attempts_before_a_shuffle_keep_the_same_records, 15);
    RUN(the_records_of_a_result_are_kept_by_their_keys, 15);
    RUN(both_sides_of_a_union_are_decided_independently_and_a_dataset_is_one_sample, 10);
    RUN(dropped_records_are_in_the_report_and_in_the_plan, 10);
    return kit_finish();
}
