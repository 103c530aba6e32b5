/* SPDX-License-Identifier: BSD-3-Clause */
/* The option check: callbacks that break what callbacks promise are named; those that keep it give the same bytes as without. */
#include <inttypes.h>
#include <stdlib.h>

#include "api_kit.h"

#define LINE_COUNT 6000
#define WORD_COUNT 40

static const quern_schema bytes_u64 = {QUERN_BYTES, QUERN_U64, 0};
static const quern_schema only_key = {QUERN_BYTES, QUERN_NONE, 0};
static const char *input[1];

static void make_input(void)
{
    kit_text lines = {0};
    uint64_t state = 11;
    for (int i = 0; i < LINE_COUNT; i++)
        kit_put(&lines, "w%d %d\n", (int)(kit_random(&state) % WORD_COUNT), i);
    input[0] = strdup(kit_path("lines"));
    kit_write_for_all(input[0], &lines);
    kit_free(&lines);
}

static quern_context *begin(quern_switch check)
{
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = 8000;
    options.check = check;
    options.report_path = kit_path("report.json");
    return kit_context(&options);
}

static quern_dataset *lines_of(quern_context *context)
{
    return quern_read_text(context, input, 1, NULL);
}

/* "w7 123" as w7 and 123 */
static int split(const quern_record *in, quern_record *out, void *user)
{
    static uint64_t number;
    const char *space = memchr(in->key.data, ' ', in->key.bytes);
    (void)user;
    out->key.bytes = (size_t)(space - (const char *)in->key.data);
    number = kit_number(quern_bytes(space + 1, in->key.bytes - out->key.bytes - 1));
    out->value = quern_of_u64(&number);
    return 0;
}

static quern_dataset *numbers_of(quern_context *context)
{
    return quern_name(quern_map(lines_of(context), bytes_u64, split, NULL), "numbers");
}

static const char *expect_found(quern_context *context, const char *part)
{
    const char *text = kit_run_fails(context, QUERN_ERROR_CHECK);
    CHECK_HAS(text, " 'guilty' ");
    CHECK_HAS(text, part);
    kit_check_no_output(kit_path("failed"));
    return text;
}

/* ---- operators ---- */

static uint64_t calls;

static int count_calls(const quern_record *in, quern_record *out, void *user)
{
    (void)in;
    (void)user;
    calls++;
    out->value = quern_of_u64(&calls);
    return 0;
}

static int count_from_last(const quern_record *in, quern_record *out, void *user)
{
    static uint64_t last, difference;
    (void)user;
    difference = quern_u64(in->value) - last;
    last = quern_u64(in->value);
    out->value = quern_of_u64(&difference);
    return 0;
}

static int emit_sometimes(const quern_record *in, quern_emitter *out, void *user)
{
    (void)user;
    return ++calls % 7 == 0 ? 0 : quern_emit(out, in->key, in->value);
}

static int keep_new(const quern_record *in, int *keep_out, void *user)
{
    static uint64_t most;
    (void)user;
    *keep_out = quern_u64(in->value) >= most;
    most = *keep_out ? quern_u64(in->value) + 1 : most;
    return 0;
}

static int keep_first(const quern_block *in, uint8_t *keep_out, void *user)
{
    (void)user;
    memset(keep_out, 0, in->count);
    keep_out[0] = 1;
    return 0;
}

static int number_in_block(const quern_block *in, quern_emitter *out, void *user)
{
    (void)user;
    for (uint64_t i = 0; i < in->count; i++)
        if (quern_emit(out, quern_bytes(in->key[i], in->key_bytes[i]), quern_of_u64(&i)) != 0)
            return 1;
    return 0;
}

static int count_block(const quern_block *in, quern_emitter *out, void *user)
{
    uint64_t count = in->count;
    (void)user;
    return quern_emit(out, quern_text("records"), quern_of_u64(&count));
}

static int upper_key(const quern_record *in, quern_emitter *out, void *user)
{
    (void)user;
    *(char *)(uintptr_t)in->key.data = 'W';
    return quern_emit(out, in->key, in->value);
}

static int round_value(const quern_record *in, int *keep_out, void *user)
{
    uint64_t number = quern_u64(in->value) / 10 * 10;
    (void)keep_out;
    (void)user;
    memcpy((void *)(uintptr_t)in->value.data, &number, sizeof number);
    return 0;
}

typedef struct breach {
    quern_map_fn map;
    quern_flat_map_fn flat_map;
    quern_filter_fn filter;
    quern_flat_map_block_fn map_block, flat_map_block;
    quern_filter_block_fn filter_block;
    const char *part;
} breach;

static const breach breaches[] = {
    {.map = count_calls, .part = "gave other records for the same input when it was called again"},
    {.map = count_from_last, .part = "gave other records for the same input when it was called again"},
    {.flat_map = emit_sometimes, .part = "records for an input, and "},
    {.filter = keep_new, .part = "gave 1 records for an input, and 0 for the same when it was called again"},
    {.map_block = number_in_block, .part = "with the block cut in two"},
    {.flat_map_block = count_block, .part = "gave 1 records for an input, and 2 for the same"},
    {.filter_block = keep_first, .part = "with the block cut in two"},
    {.flat_map = upper_key, .part = "changed a record that it was given"},
    {.filter = round_value, .part = "changed a record that it was given"},
};

#define BREACH_COUNT (sizeof breaches / sizeof *breaches)

static quern_dataset *apply(quern_dataset *in, const breach *of)
{
    quern_dataset *made = NULL;
    if (of->map)
        made = quern_map(in, bytes_u64, of->map, NULL);
    else if (of->flat_map)
        made = quern_flat_map(in, bytes_u64, of->flat_map, NULL);
    else if (of->filter)
        made = quern_filter(in, of->filter, NULL);
    else if (of->map_block)
        made = quern_map_block(in, bytes_u64, of->map_block, NULL);
    else if (of->flat_map_block)
        made = quern_flat_map_block(in, bytes_u64, of->flat_map_block, NULL);
    else
        made = quern_filter_block(in, of->filter_block, NULL);
    return quern_name(made, "guilty");
}

static void a_callback_that_breaks_a_promise_is_named_with_the_place_in_its_file(void)
{
    quern_context *context = begin(QUERN_ON);
    for (size_t i = 0; i < BREACH_COUNT; i++) {
        quern_dataset *made = apply(numbers_of(context), &breaches[i]);
        if (i % 2)
            made = quern_reduce_by_key(made, QUERN_MAX);
        quern_write_text(made, kit_path("failed"));
        const char *text = expect_found(context, breaches[i].part);
        CHECK_HAS(text, ", on the record at byte ");
        CHECK_HAS(text, input[0]);
    }
    quern_context_destroy(context);
}

static void a_callback_behind_a_reduction_is_named_with_the_key(void)
{
    quern_context *context = begin(QUERN_ON);
    quern_dataset *most = quern_name(quern_reduce_by_key(numbers_of(context), QUERN_MAX), "most");
    quern_write_text(apply(most, &breaches[0]), kit_path("failed"));
    CHECK_HAS(expect_found(context, breaches[0].part), ", on the record of 'most' with key \"w");
    quern_context_destroy(context);
}

static void without_the_option_callbacks_are_called_once(void)
{
    quern_context *context = begin(QUERN_AUTO);
    calls = 0;
    quern_write_text(quern_map(numbers_of(context), bytes_u64, count_calls, NULL), kit_path("once"));
    kit_run(context);
    CHECK_SAME(kit_sum(calls), LINE_COUNT);
    quern_context_destroy(context);
}

/* ---- reductions ---- */

#define REDUCTION(name, work)                                                                                          \
    static int name(void *into_memory, const void *value_memory, void *user)                                           \
    {                                                                                                                  \
        uint64_t *into = into_memory, *value = (uint64_t *)(uintptr_t)value_memory;                                    \
        (void)user;                                                                                                    \
        work return 0;                                                                                                 \
    }

REDUCTION(add, *into += *value;)
REDUCTION(take_last, *into = *value;)
REDUCTION(average, *into = (*into + *value) / 2;)
REDUCTION(add_and_clear, *into += *value; *value = 0;)

static int put(void *accumulator, quern_span value, void *user)
{
    (void)user;
    *(uint64_t *)accumulator += quern_u64(value);
    return 0;
}

static int put_last(void *accumulator, quern_span value, void *user)
{
    (void)user;
    *(uint64_t *)accumulator = quern_u64(value);
    return 0;
}

static int put_mean(void *accumulator, quern_span value, void *user)
{
    uint64_t *mean = accumulator;
    (void)user;
    *mean = *mean ? (*mean + quern_u64(value) + 1) / 2 : quern_u64(value) + 1;
    return 0;
}

static int finish(const quern_record *in, quern_record *out, void *user)
{
    static uint64_t number;
    (void)user;
    number = quern_u64(in->value);
    out->value = quern_of_u64(&number);
    return 0;
}

static void a_reduction_that_breaks_a_law_is_named_with_law_and_key(void)
{
    const quern_reduce_fn wrong[] = {take_last, average, add_and_clear};
    const char *const laws[] = {"is not commutative", "is not associative", "changed the value that it combines"};
    quern_context *context = begin(QUERN_ON);
    for (int i = 0; i < 3; i++) {
        quern_dataset *made = quern_name(quern_reduce_by_key_with(numbers_of(context), wrong[i], NULL), "guilty");
        quern_write_text(made, kit_path("failed"));
        const char *text = expect_found(context, laws[i]);
        CHECK_HAS(text, "; values of key \"w");
        CHECK_HAS(text, input[0]);
    }
    quern_context_destroy(context);
}

static void an_aggregation_that_breaks_a_law_is_named_with_its_callback(void)
{
    quern_aggregation wrong = {sizeof wrong, 8, NULL, put, take_last, finish, bytes_u64};
    const quern_reduce_fn merges[] = {take_last, average, add_and_clear, add, average};
    int (*const accumulates[])(void *, quern_span, void *) = {put, put_mean, put, put_last, put};
    const char *const laws[] = {"the merge of 'guilty' is not commutative", "the merge of 'guilty' is not associative",
                                "the merge of 'guilty' changed the value", "the accumulate of 'guilty' gave another",
                                "the accumulate of 'guilty' does not fit merge"};
    quern_context *context = begin(QUERN_ON);
    for (int i = 0; i < 5; i++) {
        wrong.merge = merges[i];
        wrong.accumulate = accumulates[i];
        wrong.finish = i % 2 ? NULL : finish;
        quern_dataset *made = quern_name(quern_aggregate_by_key(numbers_of(context), &wrong, NULL), "guilty");
        quern_write_text(quern_keys(made), kit_path("failed"));
        expect_found(context, laws[i]);
    }
    quern_context_destroy(context);
}

/* ---- those that keep every promise ---- */

static int drop_some(const quern_record *in, int *keep_out, void *user)
{
    *keep_out = quern_u64(in->value) % 5 != 0;
    if (!*keep_out)
        quern_counter_add(user, 1);
    return 0;
}

static int emit_some(const quern_record *in, quern_emitter *out, void *user)
{
    (void)user;
    for (uint64_t i = 0; i < quern_u64(in->value) % 4; i++)
        if (quern_emit(out, in->key, quern_of_u64(&i)) != 0)
            return 1;
    return 0;
}

static int copy_block(const quern_block *in, quern_emitter *out, void *user)
{
    (void)user;
    for (size_t i = 0; i < in->count; i++)
        if (quern_emit(out, quern_bytes(in->key[i], in->key_bytes[i]), quern_bytes(in->value[i], 8)) != 0)
            return 1;
    return 0;
}

static void run_right(quern_switch check, const char *name)
{
    quern_context *context = begin(check);
    quern_counter *dropped = quern_counter_create(context, "dropped");
    quern_aggregation sums = {sizeof sums, 8, NULL, put, add, finish, bytes_u64};
    quern_dataset *kept = quern_filter(numbers_of(context), drop_some, dropped);
    quern_dataset *some =
        quern_map_block(quern_flat_map(kept, bytes_u64, emit_some, NULL), bytes_u64, copy_block, NULL);
    quern_write_text(some, kit_path("%s-ordered", name));
    quern_write_text(quern_reduce_by_key_with(some, add, NULL), kit_path("%s-reduced", name));
    quern_write_text(quern_aggregate_by_key(some, &sums, NULL), kit_path("%s-aggregated", name));
    quern_write_text(quern_map(quern_distinct(lines_of(context)), only_key, split, NULL), kit_path("%s-keys", name));
    kit_run(context);
    CHECK_SAME(quern_counter_value(dropped), 3 * LINE_COUNT / 5);
    quern_context_destroy(context);
}

static void callbacks_that_keep_their_promises_give_the_same_bytes_and_counts(void)
{
    const char *const parts[] = {"ordered", "reduced", "aggregated", "keys"};
    run_right(QUERN_OFF, "off");
    run_right(QUERN_ON, "on");
    for (int i = 0; i < 4 && kit_rank() == 0; i++) {
        kit_text off = kit_read_output(kit_path("off-%s", parts[i])), on = kit_read_output(kit_path("on-%s", parts[i]));
        CHECK(off.bytes > 0 && off.bytes == on.bytes && memcmp(off.data, on.data, off.bytes) == 0);
        kit_free(&off);
        kit_free(&on);
    }
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_input();
    RUN(a_callback_that_breaks_a_promise_is_named_with_the_place_in_its_file, 20);
    RUN(a_callback_behind_a_reduction_is_named_with_the_key, 20);
    RUN(without_the_option_callbacks_are_called_once, 20);
    RUN(a_reduction_that_breaks_a_law_is_named_with_law_and_key, 20);
    RUN(an_aggregation_that_breaks_a_law_is_named_with_its_callback, 20);
    RUN(callbacks_that_keep_their_promises_give_the_same_bytes_and_counts, 20);
    return kit_finish();
}
