/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The option check where records meet: callbacks of groups, cogroups, joins and places, comparisons, and the order of the work. Those that
 * break a promise are named; those that keep it give the same bytes as without.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "api_kit.h"

#define LINE_COUNT 6000
#define WORD_COUNT 40

static const quern_schema bytes_u64 = {QUERN_BYTES, QUERN_U64, 0};
static const char *input[1];

static void make_input(void)
{
    kit_text lines = {0};
    uint64_t state = 12;
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
    options.broadcast_bytes = 1; /* joins by sorting, however small */
    options.split_bytes = 1000;
    options.check = check;
    options.report_path = kit_path("report.json");
    return kit_context(&options);
}

static uint64_t number_in(quern_span line)
{
    const char *space = memchr(line.data, ' ', line.bytes);
    return kit_number(quern_bytes(space + 1, line.bytes - (size_t)(space + 1 - (const char *)line.data)));
}

/* "w7 123" as w7 and 123 */
static int split(const quern_record *in, quern_record *out, void *user)
{
    static uint64_t number;
    const char *space = memchr(in->key.data, ' ', in->key.bytes);
    (void)user;
    number = number_in(in->key);
    out->key.bytes = (size_t)(space - (const char *)in->key.data);
    out->value = quern_of_u64(&number);
    return 0;
}

static quern_dataset *numbers_of(quern_context *context)
{
    quern_dataset *lines = quern_read_text(context, input, 1, NULL);
    return quern_name(quern_map(lines, bytes_u64, split, NULL), "numbers");
}

static const char *expect_found(quern_context *context, quern_dataset *made, const char *begin, const char *part)
{
    quern_write_text(quern_name(made, "guilty"), kit_path("failed"));
    const char *text = kit_run_fails(context, QUERN_ERROR_CHECK);
    CHECK_HAS(text, begin);
    CHECK_HAS(text, part);
    kit_check_no_output(kit_path("failed"));
    return text;
}

/* ---- groups and joins ---- */

static uint64_t calls;

static int group_by_calls(quern_span key, quern_values *values, quern_emitter *out, void *user)
{
    (void)values;
    (void)user;
    calls++;
    return quern_emit(out, key, quern_of_u64(&calls));
}

static int cogroup_by_calls(quern_span key, quern_values *left, quern_values *right, quern_emitter *out, void *user)
{
    (void)right;
    return group_by_calls(key, left, out, user);
}

static int join_by_calls(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out,
                         void *user)
{
    (void)left;
    (void)right;
    return group_by_calls(key, NULL, out, user);
}

static int group_changing(quern_span key, quern_values *values, quern_emitter *out, void *user)
{
    quern_span value;
    (void)user;
    while (quern_values_next(values, &value) > 0)
        memset((void *)(uintptr_t)value.data, 0xff, value.bytes);
    return quern_emit(out, key, quern_of_u64(&calls));
}

static void a_callback_of_groups_that_breaks_a_promise_is_named_with_the_key(void)
{
    const char *const begin_of_text = "the callback of 'guilty' ", *const key = ", on the group with key \"w";
    const char *const other = "gave other records for the same input when it was called again";
    quern_context *context = begin(QUERN_ON);
    quern_dataset *numbers = numbers_of(context);
    CHECK_HAS(
        expect_found(context, quern_group_by_key(numbers, bytes_u64, group_by_calls, NULL, NULL), begin_of_text, other),
        key);
    CHECK_HAS(
        expect_found(context, quern_cogroup(numbers, numbers, bytes_u64, cogroup_by_calls, NULL), begin_of_text, other),
        key);
    CHECK_HAS(expect_found(context, quern_join(numbers, numbers, QUERN_JOIN_LEFT, bytes_u64, join_by_calls, NULL),
                           begin_of_text, other),
              key);
    CHECK_HAS(expect_found(context, quern_group_by_key(numbers, bytes_u64, group_changing, NULL, NULL), begin_of_text,
                           "changed a key or a value that it was given, and may only read"),
              key);
    quern_context_destroy(context);
}

/* ---- keys and places ---- */

static int key_by_calls(const quern_record *in, quern_span *key_out, void *user)
{
    (void)in;
    (void)user;
    calls++;
    *key_out = quern_of_u64(&calls);
    return 0;
}

static int zip_by_calls(const quern_record *in, uint64_t index, quern_record *out, void *user)
{
    (void)in;
    (void)user;
    calls += index;
    out->value = quern_of_u64(&calls);
    return 0;
}

static void a_callback_of_keys_or_places_that_breaks_a_promise_is_named(void)
{
    const char *const other = "gave other records for the same input when it was called again";
    quern_context *context = begin(QUERN_ON);
    quern_dataset *numbers = numbers_of(context);
    expect_found(context, quern_key_by(numbers, QUERN_U64, 0, key_by_calls, NULL), "the callback of 'guilty' ", other);
    expect_found(context, quern_zip_with_index(numbers, bytes_u64, zip_by_calls, NULL), "the callback of 'guilty' ",
                 other);
    quern_context_destroy(context);
}

/* ---- comparisons ---- */

static int in_a_ring(quern_span left, quern_span right, void *user)
{
    uint64_t turn = (number_in(left) + 3 * (uint64_t)LINE_COUNT - number_in(right)) % 3;
    (void)user;
    return turn == 0 ? 0 : turn == 1 ? 1 : -1;
}

static int first_always(quern_span left, quern_span right, void *user)
{
    (void)left;
    (void)right;
    (void)user;
    return -1;
}

static int by_end(quern_span left, quern_span right, void *user)
{
    uint64_t a = number_in(left) % 100, b = number_in(right) % 100;
    (void)user;
    return (a > b) - (a < b);
}

static int by_last_digit(quern_span left, quern_span right, void *user)
{
    (void)user;
    return (int)(quern_u64(left) % 10) - (int)(quern_u64(right) % 10);
}

static void a_comparison_that_is_no_order_is_named_with_the_keys(void)
{
    quern_context *context = begin(QUERN_ON);
    const quern_sort_options ring = {.struct_size = sizeof ring, .compare = in_a_ring};
    const quern_group_options first = {.struct_size = sizeof first, .compare_values = first_always};
    quern_dataset *lines = quern_read_text(context, input, 1, NULL);
    const char *text = expect_found(context, quern_sort_by_key(lines, &ring),
                                    "the comparison of keys of 'guilty' is not transitive", ": \"w");
    CHECK_HAS(text, "bytes), \"w");
    CHECK_HAS(text, ", on the record at byte ");
    expect_found(context, quern_group_by_key(numbers_of(context), bytes_u64, group_by_calls, NULL, &first),
                 "the comparison of values of 'guilty' is not reflexive", ": \"");
    quern_context_destroy(context);
}

/* ---- collected records ---- */

static int each_changing(const quern_record *record, void *user)
{
    (void)user;
    memset((void *)(uintptr_t)record->value.data, 0xff, record->value.bytes);
    return 0;
}

static int each_counting(const quern_record *record, void *user)
{
    (void)record;
    ++*(uint64_t *)user;
    return 0;
}

static void a_callback_of_collected_records_may_only_read_them_and_is_called_once(void)
{
    quern_context *context = begin(QUERN_ON);
    uint64_t count = 0;
    quern_collect(numbers_of(context), QUERN_COLLECT_ALL, each_changing, NULL);
    const char *text = kit_run_fails(context, QUERN_ERROR_CHECK);
    CHECK_HAS(text, "the callback of 'collect' of 'numbers' changed a record");
    quern_collect(numbers_of(context), QUERN_COLLECT_LOCAL, each_counting, &count);
    kit_run(context);
    CHECK_SAME(kit_sum(count), LINE_COUNT);
    quern_context_destroy(context);
}

/* ---- the order of the work ---- */

static int note_turns(const quern_block *in, quern_emitter *out, void *user)
{
    static uint64_t last;
    uint64_t number = number_in(quern_bytes(in->key[0], in->key_bytes[0]));
    *(uint64_t *)user += number < last;
    last = number;
    for (size_t i = 0; i < in->count; i++)
        if (quern_emit(out, quern_bytes(in->key[i], in->key_bytes[i]), quern_bytes("", 0)) != 0)
            return 1;
    return 0;
}

static uint64_t count_turns_back(quern_switch check, const char *name)
{
    const quern_schema only_key = {QUERN_BYTES, QUERN_NONE, 0};
    quern_context *context = begin(check);
    uint64_t count = 0;
    quern_dataset *lines = quern_read_text(context, input, 1, NULL);
    quern_write_text(quern_map_block(lines, only_key, note_turns, &count), kit_path("%s-turns", name));
    kit_run(context);
    quern_context_destroy(context);
    return kit_sum(count);
}

static void expect_same_output(const char *part)
{
    if (kit_rank() != 0)
        return;
    kit_text off = kit_read_output(kit_path("off-%s", part)), on = kit_read_output(kit_path("on-%s", part));
    CHECK(off.bytes > 0 && off.bytes == on.bytes && memcmp(off.data, on.data, off.bytes) == 0);
    kit_free(&off);
    kit_free(&on);
}

static void tasks_are_handed_out_in_another_order_and_the_output_is_in_the_inputs(void)
{
    CHECK(count_turns_back(QUERN_OFF, "off") <= (uint64_t)kit_size()); /* where the last case ended may be behind */
    CHECK(count_turns_back(QUERN_ON, "on") > 5);
    expect_same_output("turns");
}

/* ---- those that keep every promise ---- */

static int sum_group(quern_span key, quern_values *values, quern_emitter *out, void *user)
{
    uint64_t sum = 0, place = 0;
    quern_span value;
    int more;
    while ((more = quern_values_next(values, &value)) > 0)
        sum += ++place * quern_u64(value);
    quern_counter_add(user, 1);
    return more < 0 ? more : quern_emit(out, key, quern_of_u64(&sum));
}

/* Stops early. */
static int first_of_both(quern_span key, quern_values *left, quern_values *right, quern_emitter *out, void *user)
{
    quern_span value;
    uint64_t sum = 0;
    (void)user;
    for (int i = 0; i < 2; i++)
        sum += quern_values_next(i ? right : left, &value) > 0 ? quern_u64(value) : 0;
    return quern_emit(out, key, quern_of_u64(&sum));
}

static int add_pair(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    uint64_t sum = quern_u64(*left) * 7 + (right ? quern_u64(*right) : 0);
    (void)user;
    return quern_emit(out, key, quern_of_u64(&sum));
}

static int keep_few(const quern_record *in, int *keep_out, void *user)
{
    (void)user;
    *keep_out = quern_u64(in->value) % 30 == 0;
    return 0;
}

static int add_index(const quern_record *in, uint64_t index, quern_record *out, void *user)
{
    static uint64_t sum;
    (void)user;
    sum = quern_u64(in->value) + index * 1000;
    out->value = quern_of_u64(&sum);
    return 0;
}

static void run_right(quern_switch check, const char *name)
{
    quern_context *context = begin(check);
    quern_counter *groups = quern_counter_create(context, "groups");
    quern_dataset *numbers = numbers_of(context), *few = quern_filter(numbers, keep_few, NULL);
    const quern_group_options by_digit = {.struct_size = sizeof by_digit, .compare_values = by_last_digit};
    const quern_sort_options ends = {.struct_size = sizeof ends, .compare = by_end};
    quern_write_text(quern_group_by_key(numbers, bytes_u64, sum_group, groups, &by_digit), kit_path("%s-groups", name));
    quern_write_text(quern_cogroup(few, numbers, bytes_u64, first_of_both, NULL), kit_path("%s-cogroups", name));
    quern_write_text(quern_join(few, few, QUERN_JOIN_LEFT, bytes_u64, add_pair, NULL), kit_path("%s-joined", name));
    quern_write_text(quern_sort_by_key(quern_read_text(context, input, 1, NULL), &ends), kit_path("%s-sorted", name));
    quern_write_text(quern_zip_with_index(numbers, bytes_u64, add_index, NULL), kit_path("%s-zipped", name));
    quern_write_text(quern_prefix_sum(numbers), kit_path("%s-sums", name));
    kit_run(context);
    CHECK_SAME(quern_counter_value(groups), WORD_COUNT);
    quern_context_destroy(context);
}

static void what_keeps_its_promises_gives_the_same_bytes_and_counts(void)
{
    const char *const parts[] = {"groups", "cogroups", "joined", "sorted", "zipped", "sums"};
    run_right(QUERN_OFF, "off");
    run_right(QUERN_ON, "on");
    for (int i = 0; i < 6; i++)
        expect_same_output(parts[i]);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_input();
    RUN(a_callback_of_groups_that_breaks_a_promise_is_named_with_the_key, 20);
    RUN(a_callback_of_keys_or_places_that_breaks_a_promise_is_named, 20);
    RUN(a_comparison_that_is_no_order_is_named_with_the_keys, 20);
    RUN(a_callback_of_collected_records_may_only_read_them_and_is_called_once, 20);
    RUN(tasks_are_handed_out_in_another_order_and_the_output_is_in_the_inputs, 20);
    RUN(what_keeps_its_promises_gives_the_same_bytes_and_counts, 20);
    return kit_finish();
}
