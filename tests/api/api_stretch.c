/* SPDX-License-Identifier: BSD-3-Clause */
/* Operators that give what they give at the end of a stretch: every record once, whatever fails and wherever a stretch ends. */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "api_kit.h"

#define LINE_COUNT  30000
#define SPLIT_BYTES 20000
#define KEY_COUNT   97

static const quern_schema u64_u64 = {QUERN_U64, QUERN_U64, 0, 0};
static const char *input[1];
static quern_counter *seen;

typedef enum moment { NEVER, AT_BEGIN, AT_TAKE, AT_END, WHILE_EMITTING } moment;

/* Keeps the numbers of its records, and gives them at the end. */
typedef struct keeper {
    const char *name;
    moment fails;
    uint64_t times;     /* so often, each in another stretch if there is one */
    size_t loose_count; /* records that it gives before it fails at its end */
    bool emits_early;
    uint64_t *keys, *values;
    size_t count, capacity;
    uint64_t begun, ended, dropped;
    bool is_open;
} keeper;

static bool is_due(const keeper *of, moment now)
{
    for (uint64_t time = 0; of->fails == now && time < of->times; time++)
        if (kit_first_time("%s.%" PRIu64, of->name, time))
            return true;
    return false;
}

static int begin_keeping(const quern_stretch *stretch, quern_emitter *out, void *user)
{
    keeper *of = user;
    CHECK(!of->is_open && stretch->attempt >= 1);
    of->count = 0;
    if (is_due(of, AT_BEGIN))
        return quern_fail(out, 0, "not now");
    of->is_open = true;
    of->begun++;
    return 0;
}

static void keep(keeper *of, uint64_t key, uint64_t value)
{
    if (of->count == of->capacity) {
        of->capacity = of->capacity ? 2 * of->capacity : 1024;
        of->keys = realloc(of->keys, of->capacity * sizeof *of->keys);
        of->values = realloc(of->values, of->capacity * sizeof *of->values);
        CHECK(of->keys && of->values);
    }
    of->keys[of->count] = key;
    of->values[of->count++] = value;
}

/* Lines are numbers; pairs are taken as they are. */
static int take_records(const quern_block *in, quern_emitter *out, void *user)
{
    keeper *of = user;
    CHECK(of->is_open);
    for (size_t i = 0; i < in->count; i++) {
        quern_counter_add(seen, 1);
        if (in->value)
            keep(of, quern_u64(quern_bytes(in->key[i], 8)), quern_u64(quern_bytes(in->value[i], 8)));
        else {
            uint64_t line = kit_number(quern_bytes(in->key[i], in->key_bytes[i]));
            keep(of, line % KEY_COUNT, line);
        }
        if (of->emits_early && quern_emit(out, quern_of_u64(&of->keys[0]), quern_of_u64(&of->values[0])))
            return 1;
    }
    return of->count > 700 && is_due(of, AT_TAKE) ? 5 : 0;
}

static int give_records(quern_emitter *out, void *user)
{
    keeper *of = user;
    CHECK(of->is_open);
    of->is_open = false;
    of->ended++;
    if (is_due(of, AT_END))
        return quern_fail(out, 0, "not at the end");
    bool stops = of->count > of->loose_count && is_due(of, WHILE_EMITTING);
    for (size_t i = 0; i < of->count; i++) {
        if (stops && i == of->loose_count)
            return quern_fail(out, 0, "in the middle");
        if (quern_emit(out, quern_of_u64(&of->keys[i]), quern_of_u64(&of->values[i])))
            return 1;
    }
    return 0;
}

static void drop_records(void *user)
{
    keeper *of = user;
    CHECK(of->is_open);
    of->is_open = false;
    of->dropped++;
}

static const quern_stretch_operator callbacks = {.struct_size = sizeof callbacks,
                                                 .begin = begin_keeping,
                                                 .take = take_records,
                                                 .end = give_records,
                                                 .drop = drop_records};

static void check_closed(keeper *of)
{
    CHECK(!of->is_open);
    CHECK_SAME(of->begun, of->ended + of->dropped);
    free(of->keys);
    free(of->values);
}

static void make_input(void)
{
    input[0] = kit_write_numbers("lines", LINE_COUNT);
}

static quern_context *small_splits(void)
{
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = SPLIT_BYTES;
    options.report_path = kit_path("report.json");
    quern_context *context = kit_context(&options);
    seen = quern_counter_create(context, "seen");
    return context;
}

static quern_dataset *lines_of(quern_context *context)
{
    return quern_read_text(context, input, 1, NULL);
}

static uint64_t sum_of_key(uint64_t key)
{
    uint64_t sum = 0;
    for (uint64_t line = key; line < LINE_COUNT; line += KEY_COUNT)
        sum += line;
    return sum;
}

static void check_sums(const char *output)
{
    kit_text expected = {0};
    for (uint64_t key = 0; key < KEY_COUNT; key++)
        kit_put(&expected, "%" PRIu64 "\t%" PRIu64 "\n", key, sum_of_key(key));
    kit_check_output(output, &expected, false);
    kit_free(&expected);
}

/* All lines as pairs, in the order of the input or of pairs. */
static void check_pairs(const char *output, bool by_key)
{
    kit_text expected = {0};
    for (uint64_t i = 0; i < LINE_COUNT && !by_key; i++)
        kit_put(&expected, "%" PRIu64 "\t%" PRIu64 "\n", i % KEY_COUNT, i);
    for (uint64_t key = 0; key < KEY_COUNT && by_key; key++)
        for (uint64_t i = key; i < LINE_COUNT; i += KEY_COUNT)
            kit_put(&expected, "%" PRIu64 "\t%" PRIu64 "\n", key, i);
    kit_check_output(output, &expected, true);
    kit_free(&expected);
}

static void each_record_counts_once_whenever_a_stretch_fails(void)
{
    static const char *const names[] = {"never", "begin", "take", "end"};
    static const char *const written_names[] = {"w.never", "w.begin", "w.take", "w.end"};
    for (moment fails = NEVER; fails <= AT_END; fails++) {
        quern_context *context = small_splits();
        keeper reduced = {.name = names[fails], .fails = fails, .times = 3};
        const char *sums = kit_path("sums.%s", names[fails]), *pairs = kit_path("pairs.%s", names[fails]);
        quern_dataset *kept = quern_flat_map_stretch(lines_of(context), u64_u64, &callbacks, &reduced);
        quern_write_text(quern_reduce_by_key(kept, QUERN_SUM), sums);
        kit_run(context);
        check_sums(sums);
        CHECK_SAME(quern_counter_value(seen), LINE_COUNT);
        CHECK_SAME(kit_reported("attempts_failed"), fails == NEVER ? 0 : 3);
        keeper written = {.name = written_names[fails], .fails = fails, .times = 3};
        quern_write_text(quern_flat_map_stretch(lines_of(context), u64_u64, &callbacks, &written), pairs);
        kit_run(context);
        check_pairs(pairs, false);
        CHECK_SAME(quern_counter_value(seen), LINE_COUNT);
        check_closed(&reduced);
        check_closed(&written);
        quern_context_destroy(context);
    }
}

static void what_is_behind_a_result_is_one_stretch_for_each_rank_and_tried_again_there(void)
{
    const quern_sort_options whole = {.struct_size = sizeof whole, .whole_keys = 1};
    static const char *const names[] = {"s.never", "s.begin", "s.take", "s.end"};
    static const char *const reduced_names[] = {"r.never", "r.begin", "r.take", "r.end"};
    for (moment fails = NEVER; fails <= AT_END; fails++) {
        quern_context *context = small_splits();
        keeper first = {.name = "plain"}, sorted = {.name = names[fails], .fails = fails, .times = 2};
        keeper reduced = {.name = reduced_names[fails], .fails = fails == AT_TAKE ? NEVER : fails, .times = 2};
        const char *pairs = kit_path("sorted.%d", fails), *sums = kit_path("reduced.%d", fails);
        quern_dataset *kept = quern_flat_map_stretch(lines_of(context), u64_u64, &callbacks, &first);
        quern_write_text(quern_flat_map_stretch(quern_sort_by_key(kept, &whole), u64_u64, &callbacks, &sorted), pairs);
        quern_write_text(quern_flat_map_stretch(quern_reduce_by_key(kept, QUERN_SUM), u64_u64, &callbacks, &reduced),
                         sums);
        kit_run(context);
        check_pairs(pairs, true);
        check_sums(sums);
        check_closed(&first);
        check_closed(&sorted);
        check_closed(&reduced);
        quern_context_destroy(context);
    }
}

/* The first and the last key of each rank's stretch. */
static void whole_keys_are_in_one_stretch(void)
{
    const quern_sort_options whole = {.struct_size = sizeof whole, .whole_keys = 1};
    quern_context *context = small_splits();
    keeper first = {.name = "plain"}, sorted = {.name = "plain"};
    quern_dataset *kept = quern_flat_map_stretch(lines_of(context), u64_u64, &callbacks, &first);
    quern_write_text(quern_flat_map_stretch(quern_sort_by_key(kept, &whole), u64_u64, &callbacks, &sorted),
                     kit_path("whole"));
    kit_run(context);
    uint64_t keys = 0;
    for (size_t i = 0; i < sorted.count; i++)
        keys += i == 0 || sorted.keys[i] != sorted.keys[i - 1];
    CHECK_SAME(kit_sum(keys), KEY_COUNT);
    CHECK_SAME(kit_sum(sorted.ended), kit_size());
    check_closed(&first);
    check_closed(&sorted);
    quern_context_destroy(context);
}

static int pass_group(quern_span key, quern_values *values, quern_emitter *out, void *user)
{
    quern_span value;
    (void)user;
    while (quern_values_next(values, &value) > 0)
        if (quern_emit(out, key, value))
            return 1;
    return 0;
}

static void stretches_behind_each_other_and_behind_groups_and_memory_give_everything(void)
{
    quern_context *context = small_splits();
    keeper first = {.name = "plain"}, second = {.name = "second", .fails = AT_END, .times = 2};
    keeper third = {.name = "plain"}, fourth = {.name = "fourth", .fails = AT_END, .times = 1};
    quern_dataset *kept = quern_flat_map_stretch(lines_of(context), u64_u64, &callbacks, &first);
    kept = quern_flat_map_stretch(kept, u64_u64, &callbacks, &second);
    quern_dataset *groups = quern_group_by_key(kept, u64_u64, pass_group, NULL, NULL);
    quern_write_text(quern_reduce_by_key(quern_flat_map_stretch(groups, u64_u64, &callbacks, &third), QUERN_SUM),
                     kit_path("groups"));
    kit_run(context);
    check_sums(kit_path("groups"));
    static uint64_t keys[LINE_COUNT], values[LINE_COUNT];
    for (uint64_t i = 0; i < LINE_COUNT; i++) {
        keys[i] = i % KEY_COUNT;
        values[i] = i;
    }
    quern_memory_array arrays[] = {{.count = LINE_COUNT, .key = keys, .value = values}};
    quern_dataset *memory = quern_read_memory(context, u64_u64, arrays, kit_rank() == 0 ? 1 : 0);
    quern_write_text(quern_reduce_by_key(quern_flat_map_stretch(memory, u64_u64, &callbacks, &fourth), QUERN_SUM),
                     kit_path("memory"));
    kit_run(context);
    check_sums(kit_path("memory"));
    check_closed(&first);
    check_closed(&second);
    check_closed(&third);
    check_closed(&fourth);
    quern_context_destroy(context);
}

static void a_failure_while_the_end_is_given_ends_the_job_unless_a_part_is_made_again(void)
{
    quern_context *context = small_splits();
    keeper reduced = {.name = "middle", .fails = WHILE_EMITTING, .times = 1, .loose_count = 50};
    keeper written = {.name = "middle.w", .fails = WHILE_EMITTING, .times = 1, .loose_count = 2000};
    keeper late = {.name = "middle.l", .fails = WHILE_EMITTING, .times = 1, .loose_count = 2000};
    quern_dataset *kept = quern_flat_map_stretch(lines_of(context), u64_u64, &callbacks, &reduced);
    /* Fewer records than a block wait in front of the chain's end: none of them is there, and the stretch is tried again. */
    quern_write_text(quern_reduce_by_key(kept, QUERN_SUM), kit_path("middle"));
    kit_run(context);
    check_sums(kit_path("middle"));
    quern_write_text(quern_flat_map_stretch(lines_of(context), u64_u64, &callbacks, &written),
                     kit_path("middle.parts"));
    kit_run(context);
    check_pairs(kit_path("middle.parts"), false);
    kept = quern_flat_map_stretch(lines_of(context), u64_u64, &callbacks, &late);
    quern_write_text(quern_reduce_by_key(kept, QUERN_SUM), kit_path("failed"));
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_CALLBACK), "in the middle");
    kit_check_no_output(kit_path("failed"));
    check_closed(&late);
    check_closed(&reduced);
    check_closed(&written);
    quern_context_destroy(context);
}

static void who_fails_always_or_emits_early_ends_the_job(void)
{
    quern_context *context = small_splits();
    keeper always = {.name = "always", .fails = AT_END, .times = 100000},
           early = {.name = "early", .emits_early = true};
    quern_dataset *kept = quern_flat_map_stretch(lines_of(context), u64_u64, &callbacks, &always);
    quern_write_text(quern_reduce_by_key(quern_name(kept, "keeper"), QUERN_SUM), kit_path("failed"));
    const char *text = kit_run_fails(context, QUERN_ERROR_CALLBACK);
    CHECK_HAS(text, "'keeper': not at the end");
    CHECK_SAME(quern_counter_value(seen), 0);
    kit_check_no_output(kit_path("failed"));
    quern_write_text(quern_flat_map_stretch(lines_of(context), u64_u64, &callbacks, &early), kit_path("failed"));
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_CALLBACK), "emitted before its stretch ended");
    kit_check_no_output(kit_path("failed"));
    quern_context_destroy(context);
}

static void a_sample_may_be_in_front_of_a_stretch(void)
{
    quern_context *context = small_splits();
    keeper all = {.name = "all"};
    quern_dataset *kept = quern_flat_map_stretch(quern_sample(lines_of(context), 1, 1), u64_u64, &callbacks, &all);
    quern_write_text(quern_reduce_by_key(kept, QUERN_SUM), kit_path("sampled"));
    kit_run(context);
    check_sums(kit_path("sampled"));
    check_closed(&all);
    quern_context_destroy(context);
}

static void what_cannot_be_is_refused(void)
{
    quern_context *context = small_splits();
    keeper none = {.name = "none"};
    quern_stretch_operator wrong = callbacks;
    quern_dataset *kept = quern_flat_map_stretch(lines_of(context), u64_u64, &callbacks, &none);
    CHECK(quern_sample(quern_filter_block(kept, NULL, NULL), 0.5, 1) == NULL);
    CHECK(quern_sample(kept, 0.5, 1) == NULL);
    CHECK(quern_sample(quern_sort_by_key(kept, NULL), 0.5, 1) != NULL);
    wrong.end = NULL;
    CHECK(quern_flat_map_stretch(kept, u64_u64, &wrong, &none) == NULL);
    wrong = callbacks;
    wrong.struct_size = 0;
    CHECK(quern_flat_map_stretch(kept, u64_u64, &wrong, &none) == NULL);
    CHECK(quern_flat_map_stretch(NULL, u64_u64, &callbacks, &none) == NULL);
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_input();
    RUN(each_record_counts_once_whenever_a_stretch_fails, 15);
    RUN(what_is_behind_a_result_is_one_stretch_for_each_rank_and_tried_again_there, 15);
    RUN(whole_keys_are_in_one_stretch, 10);
    RUN(stretches_behind_each_other_and_behind_groups_and_memory_give_everything, 15);
    RUN(a_failure_while_the_end_is_given_ends_the_job_unless_a_part_is_made_again, 10);
    RUN(who_fails_always_or_emits_early_ends_the_job, 10);
    RUN(a_sample_may_be_in_front_of_a_stretch, 10);
    RUN(what_cannot_be_is_refused, 10);
    return kit_finish();
}
