/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A packed file that one rank unpacks and all work on, in stages whose records have places: outputs, collected and kept records. They come in the
 * order of the input, each once, and so do counts, whoever worked on them and whatever fails.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api_kit.h"

#define LINE_COUNT  300000
#define SPLIT_BYTES 100000
#define BURST_COUNT 60000

static const quern_schema u64_only = {QUERN_U64, QUERN_NONE, 0};
static const quern_schema u64_u64 = {QUERN_U64, QUERN_U64, 0};
static const char *packed[2]; /* the first and the second half of the lines */
static quern_counter *seen, *weight;
static uint64_t worked; /* callbacks of this rank, in all attempts */

static void make_half(unsigned half)
{
    char text[10000];
    const uint64_t count = LINE_COUNT / 2;
    kit_text lines = {0};
    for (uint64_t i = half * count; i < (half + 1) * count; i++)
        kit_put(&lines, "%" PRIu64 "\n", i);
    const char *plain = kit_path("plain.%u", half);
    kit_write_for_all(plain, &lines);
    packed[half] = strdup(kit_path("lines.%u.gz", half));
    snprintf(text, sizeof text, "gzip -c '%s' > '%s'", plain, packed[half]);
    if (kit_rank() == 0)
        CHECK(system(text) == 0);
    kit_barrier();
    kit_free(&lines);
}

/* mib: of memory a rank; the less it is the smaller are pieces and what may wait. */
static quern_context *begin_with(uint64_t mib, uint64_t attempts)
{
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = SPLIT_BYTES;
    options.attempt_count_max = attempts;
    options.memory_bytes = (mib * (uint64_t)kit_size()) << 20;
    options.report_path = kit_path("report.json");
    quern_context *context = kit_context(&options);
    seen = quern_counter_create(context, "seen");
    weight = quern_counter_create(context, "weight");
    CHECK(seen != NULL && weight != NULL);
    worked = 0;
    return context;
}

static void check_counters(void)
{
    CHECK_SAME(quern_counter_value(seen), LINE_COUNT);
    CHECK_SAME(quern_counter_value(weight), -(int64_t)LINE_COUNT * (LINE_COUNT - 1) / 2);
}

/* What is asked of a callback. */
typedef struct trouble {
    const char *name;
    uint64_t once_every;  /* lines that are multiples of it fail once */
    uint64_t always_at;   /* this line fails always; 0: none */
    uint64_t burst_every; /* lines that are multiples of it give BURST_COUNT records */
} trouble;

static bool is_multiple(uint64_t line, uint64_t of)
{
    return of > 0 && line > 0 && line % of == 0;
}

static uint64_t copies_of(uint64_t line, const trouble *t)
{
    return is_multiple(line, t->burst_every) ? BURST_COUNT : line % 3;
}

/* The line's number, some times. Now and then it takes a while, so that there is something to help with. */
static int copy(const quern_record *in, quern_emitter *out, void *user)
{
    const trouble *t = user;
    uint64_t line = kit_number(in->key), count = copies_of(line, t);
    bool fails = is_multiple(line, t->once_every) && kit_first_time("%s.%" PRIu64, t->name, line);
    worked++;
    quern_counter_add(seen, 1);
    quern_counter_add(weight, -(int64_t)line);
    if (line % 500 == 0)
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    for (uint64_t i = 0; i < count; i++) {
        if ((fails || line == t->always_at) && i == count / 2)
            return 9;
        if (quern_emit(out, quern_of_u64(&line), quern_bytes("", 0)))
            return 1;
    }
    return fails || (t->always_at > 0 && line == t->always_at) ? 9 : 0;
}

static quern_dataset *copies(quern_context *context, trouble *t)
{
    return quern_flat_map(quern_read_text(context, packed, 2, NULL), u64_only, copy, t);
}

static kit_text model(const trouble *t)
{
    kit_text text = {0};
    for (uint64_t line = 0; line < LINE_COUNT; line++)
        for (uint64_t i = 0; i < copies_of(line, t); i++)
            kit_put(&text, "%" PRIu64 "\n", line);
    return text;
}

/* With more ranks than files somebody helps. */
static void check_all_worked(void)
{
    uint64_t ranks = kit_sum(worked > 0);
    if (kit_size() > 2)
        CHECK(ranks > 2);
}

static void write_and_check(trouble *t, uint64_t mib)
{
    quern_context *context = begin_with(mib, 8);
    kit_text expected = model(t);
    const char *output = kit_path("out.%s", t->name);
    quern_write_text(copies(context, t), output);
    kit_run(context);
    kit_check_output(output, &expected, true);
    check_counters();
    check_all_worked();
    kit_free(&expected);
    quern_context_destroy(context);
}

static void what_is_written_has_the_order_of_the_input(void)
{
    trouble none = {.name = "written"};
    write_and_check(&none, 64);
}

static void little_memory_changes_nothing(void)
{
    trouble none = {.name = "little"};
    write_and_check(&none, 12);
}

static void pieces_that_give_more_than_may_wait_are_gone_on_with_in_their_turn(void)
{
    trouble burst = {.name = "burst", .burst_every = 37000};
    write_and_check(&burst, 64);
}

static void pieces_that_fail_once_are_written_once(void)
{
    trouble once = {.name = "once", .once_every = 30011};
    write_and_check(&once, 64);
    trouble both = {.name = "both", .once_every = 37000, .burst_every = 37000};
    write_and_check(&both, 64);
}

static void a_piece_that_always_fails_ends_the_job(void)
{
    quern_context *context = begin_with(64, 3);
    trouble always = {.name = "always", .always_at = LINE_COUNT / 2 + 777};
    quern_write_text(copies(context, &always), kit_path("out.always"));
    const char *why = kit_run_fails(context, QUERN_ERROR_CALLBACK);
    CHECK_HAS(why, "lines.1.gz");
    kit_check_no_output(kit_path("out.always"));
    quern_context_destroy(context);
}

static int take_next(const quern_record *record, void *user)
{
    kit_put(user, "%" PRIu64 "\n", quern_u64(record->key));
    return 0;
}

static void check_text(kit_text *got, kit_text *expected)
{
    if (kit_rank() == 0) {
        CHECK_SAME(got->bytes, expected->bytes);
        CHECK(memcmp(got->data, expected->data, got->bytes) == 0);
    }
    kit_free(got);
}

static void what_is_collected_and_kept_has_the_order_of_the_input(void)
{
    quern_context *context = begin_with(64, 8);
    trouble once = {.name = "kept", .once_every = 30011};
    kit_text expected = model(&once), collected = {0}, kept = {0};
    quern_collect(copies(context, &once), QUERN_COLLECT_ROOT, take_next, &collected);
    kit_run(context);
    check_text(&collected, &expected);
    check_counters();
    check_all_worked();
    worked = 0;
    quern_dataset *cached = quern_cache(copies(context, &once));
    quern_collect(cached, QUERN_COLLECT_ROOT, take_next, &kept);
    kit_run(context);
    check_text(&kept, &expected);
    check_all_worked();
    kit_free(&expected);
    quern_context_destroy(context);
}

static int take_numbered(const quern_record *record, void *user)
{
    kit_put(user, "%" PRIu64 " %" PRIu64 "\n", quern_u64(record->key), quern_u64(record->value));
    return 0;
}

static void records_are_numbered_in_the_order_of_the_input(void)
{
    quern_context *context = begin_with(64, 8);
    trouble none = {.name = "numbered"};
    kit_text expected = {0}, got = {0};
    uint64_t next = 0;
    for (uint64_t line = 0; line < LINE_COUNT; line++)
        for (uint64_t i = 0; i < copies_of(line, &none); i++)
            kit_put(&expected, "%" PRIu64 " %" PRIu64 "\n", line, next++);
    quern_collect(quern_zip_with_index(copies(context, &none), u64_u64, NULL, NULL), QUERN_COLLECT_ROOT, take_numbered,
                  &got);
    kit_run(context);
    check_text(&got, &expected);
    check_counters();
    kit_free(&expected);
    quern_context_destroy(context);
}

static int take_descending(const quern_record *record, void *user)
{
    uint64_t *left = user;
    CHECK_SAME(quern_u64(record->value), *left);
    --*left;
    return 0;
}

static int as_value(const quern_record *in, quern_record *out, void *user)
{
    static uint64_t line;
    (void)user;
    line = kit_number(in->key);
    worked++;
    if (line % 500 == 0)
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    out->key = out->value = quern_of_u64(&line);
    return 0;
}

static void the_largest_are_found_by_all(void)
{
    quern_context *context = begin_with(64, 8);
    uint64_t left = LINE_COUNT - 1;
    quern_top_k(quern_map(quern_read_text(context, packed, 2, NULL), u64_u64, as_value, NULL), 1000, take_descending,
                &left);
    kit_run(context);
    if (kit_rank() == 0)
        CHECK_SAME(left, LINE_COUNT - 1001);
    check_all_worked();
    quern_context_destroy(context);
}

/* A file that is cut off ends the job, after attempts of which none leaves anything. */
static void a_file_that_is_cut_off_leaves_no_output(void)
{
    const char *whole[] = {packed[0], packed[1]};
    quern_context *context = begin_with(64, 3);
    trouble none = {.name = "cut"};
    kit_text bytes = kit_read(packed[1]);
    bytes.bytes -= bytes.bytes / 5;
    packed[1] = kit_path("cut.gz");
    kit_write_for_all(packed[1], &bytes);
    quern_write_text(copies(context, &none), kit_path("out.cut"));
    const char *why = kit_run_fails(context, QUERN_ERROR_INPUT);
    CHECK_HAS(why, "cut.gz");
    kit_check_no_output(kit_path("out.cut"));
    packed[0] = whole[0];
    packed[1] = whole[1];
    kit_free(&bytes);
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_half(0);
    make_half(1);
    RUN(what_is_written_has_the_order_of_the_input, 20);
    RUN(little_memory_changes_nothing, 20);
    RUN(pieces_that_give_more_than_may_wait_are_gone_on_with_in_their_turn, 20);
    RUN(pieces_that_fail_once_are_written_once, 20);
    RUN(a_piece_that_always_fails_ends_the_job, 20);
    RUN(what_is_collected_and_kept_has_the_order_of_the_input, 20);
    RUN(records_are_numbered_in_the_order_of_the_input, 20);
    RUN(the_largest_are_found_by_all, 20);
    RUN(a_file_that_is_cut_off_leaves_no_output, 20);
    return kit_finish();
}
