/* SPDX-License-Identifier: BSD-3-Clause */
/* Sorting and uniting, against qsort() and concatenation. */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "api_kit.h"

#define FILE_COUNT 6
#define LINE_COUNT 3000   /* of each file */
#define BIG_COUNT  300000 /* for each of up to three ranks */
#define BIG_BYTES  96
#define HOT_COUNT  120000

static const quern_schema bytes_u64 = {QUERN_BYTES, QUERN_U64, 0};
static const quern_schema u64_u64 = {QUERN_U64, QUERN_U64, 0};
static const quern_schema u64_bytes = {QUERN_U64, QUERN_BYTES, 0};
static const char *inputs[FILE_COUNT], *numbers[1], *nothing[1];
static kit_text content[FILE_COUNT];

/* Words of many lengths and few sorts, so that much is equal; one file is sorted, one reversed. */
static void make_inputs(void)
{
    uint64_t state = 1;
    for (int file = 0; file < FILE_COUNT; file++) {
        for (int i = 0; i < LINE_COUNT; i++) {
            uint64_t number = kit_random(&state) % 4000, ordered = (uint64_t)(file == 1 ? i : LINE_COUNT - i);
            if (file == 1 || file == 2)
                kit_put(&content[file], "sorted%06" PRIu64 "\n", ordered);
            else
                kit_put(&content[file], "%.*s%" PRIu64 "\n", (int)(number % 30), "wwwwwwwwwwwwwwwwwwwwwwwwwwwwww",
                        number % 7 ? number : 3);
        }
        inputs[file] = strdup(kit_path("lines.%d", file));
        kit_write_for_all(inputs[file], &content[file]);
    }
    kit_text few = {0}, none = {0};
    for (int i = 0; i < 400; i++)
        kit_put(&few, "%d\n", i);
    numbers[0] = strdup(kit_path("numbers"));
    nothing[0] = strdup(kit_path("nothing"));
    kit_write_for_all(numbers[0], &few);
    kit_write_for_all(nothing[0], &none);
    kit_free(&few);
}

static quern_context *small_splits(uint64_t memory_bytes)
{
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = 5000;
    options.memory_bytes = memory_bytes;
    options.report_path = kit_path("report.json");
    return kit_context(&options);
}

static kit_text all_lines(int from, int to)
{
    kit_text all = {0};
    for (int file = from; file < to; file++)
        kit_put_bytes(&all, content[file].data, content[file].bytes);
    return all;
}

static quern_dataset *read_files(quern_context *context, int from, int to)
{
    return quern_read_text(context, inputs + from, (size_t)(to - from), NULL);
}

static void check(quern_context *context, quern_dataset *records, const char *name, kit_text *expected, bool ordered)
{
    const char *output = kit_path("out.%s", name);
    CHECK_STATUS(quern_write_text(records, output), QUERN_OK, quern_context_error_text(context));
    kit_run(context);
    kit_check_output(output, expected, ordered);
    kit_free(expected);
}

/* ---- sorting ---- */

static void lines_sort_as_the_model_does(void)
{
    quern_context *context = small_splits(0);
    kit_text expected = all_lines(0, FILE_COUNT);
    kit_sort_lines(&expected);
    check(context, quern_sort_by_key(read_files(context, 0, FILE_COUNT), NULL), "lines", &expected, true);
    quern_context_destroy(context);
}

/* The length of a line as its key, or the line as the key and its length as the value. */
static int length_first(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t bytes = in->key.bytes;
    (void)user;
    return quern_emit(out, quern_of_u64(&bytes), in->key);
}

static int line_first(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t bytes = in->key.bytes;
    (void)user;
    return quern_emit(out, in->key, quern_of_u64(&bytes));
}

static const char *const *sorting;

typedef struct entry {
    const char *line;
    size_t bytes;
} entry;

static int compare_bytes(const entry *a, const entry *b)
{
    size_t bytes = a->bytes < b->bytes ? a->bytes : b->bytes;
    int order = memcmp(a->line, b->line, bytes);
    return order ? order : (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

static int descending_lengths(const void *a, const void *b)
{
    const entry *left = a, *right = b;
    return left->bytes != right->bytes ? (left->bytes < right->bytes) - (left->bytes > right->bytes)
                                       : compare_bytes(left, right);
}

static int descending_lines(const void *a, const void *b)
{
    return -compare_bytes(a, b);
}

static int by_length_then_bytes(const void *a, const void *b)
{
    const entry *left = a, *right = b;
    return left->bytes != right->bytes ? (left->bytes > right->bytes) - (left->bytes < right->bytes)
                                       : compare_bytes(left, right);
}

static int by_length_then_bytes_backwards(const void *a, const void *b)
{
    return -by_length_then_bytes(a, b);
}

/* All lines in an order, each in a format: of its length and itself. */
static kit_text model_lines(int (*compare)(const void *, const void *), bool length_is_first)
{
    kit_text all = all_lines(0, FILE_COUNT), expected = {0};
    entry *entries = calloc(FILE_COUNT * LINE_COUNT, sizeof *entries);
    size_t count = 0;
    for (char *at = all.data, *end; at < all.data + all.bytes; at = end + 1) {
        end = strchr(at, '\n');
        entries[count++] = (entry){at, (size_t)(end - at)};
    }
    qsort(entries, count, sizeof *entries, compare);
    for (size_t i = 0; i < count; i++)
        if (length_is_first)
            kit_put(&expected, "%zu\t%.*s\n", entries[i].bytes, (int)entries[i].bytes, entries[i].line);
        else
            kit_put(&expected, "%.*s\t%zu\n", (int)entries[i].bytes, entries[i].line, entries[i].bytes);
    free(entries);
    kit_free(&all);
    return expected;
}

static int compare_lengths(quern_span left, quern_span right, void *user)
{
    CHECK(user == &sorting);
    return (left.bytes > right.bytes) - (left.bytes < right.bytes);
}

static void keys_descend_and_their_values_ascend(void)
{
    quern_context *context = small_splits(0);
    quern_sort_options options = {sizeof options, .descending = 1};
    kit_text expected = model_lines(descending_lengths, true);
    quern_dataset *records = quern_flat_map(read_files(context, 0, FILE_COUNT), u64_bytes, length_first, NULL);
    check(context, quern_sort_by_key(records, &options), "lengths", &expected, true);
    expected = model_lines(descending_lines, false);
    records = quern_flat_map(read_files(context, 0, FILE_COUNT), bytes_u64, line_first, NULL);
    check(context, quern_sort_by_key(records, &options), "descending", &expected, true);
    quern_context_destroy(context);
}

static void a_users_comparison_orders_both_ways_and_bytes_decide_what_it_calls_equal(void)
{
    quern_context *context = small_splits(0);
    quern_sort_options options = {sizeof options, .compare = compare_lengths, .user = &sorting};
    kit_text expected = model_lines(by_length_then_bytes, false);
    quern_dataset *records = quern_flat_map(read_files(context, 0, FILE_COUNT), bytes_u64, line_first, NULL);
    check(context, quern_sort_by_key(records, &options), "compared", &expected, true);
    options.descending = 1;
    expected = model_lines(by_length_then_bytes_backwards, false);
    check(context, quern_sort_by_key(records, &options), "backwards", &expected, true);
    quern_context_destroy(context);
}

static void results_are_sorted_and_sorted_again(void)
{
    quern_context *context = small_splits(0);
    quern_sort_options options = {sizeof options, .descending = 1};
    quern_dataset *sorted = quern_sort_by_key(quern_distinct(read_files(context, 0, FILE_COUNT)), NULL);
    quern_dataset *again = quern_sort_by_key(sorted, &options);
    kit_text all = all_lines(0, FILE_COUNT), ascending = {0}, descending = {0};
    kit_sort_lines(&all);
    char *last = NULL, *end;
    for (char *at = all.data; at < all.data + all.bytes; at = end + 1) {
        end = strchr(at, '\n');
        if (!last || strncmp(last, at, (size_t)(end + 1 - at)) != 0)
            kit_put_bytes(&ascending, at, (size_t)(end + 1 - at));
        last = at;
    }
    for (char *at = ascending.data + ascending.bytes - 1; at > ascending.data; at = end) {
        for (end = at; end > ascending.data && end[-1] != '\n'; end--)
            ;
        kit_put_bytes(&descending, end, (size_t)(at + 1 - end));
        end--;
    }
    quern_write_text(again, kit_path("out.again"));
    check(context, sorted, "distinct", &ascending, true);
    kit_check_output(kit_path("out.again"), &descending, true);
    kit_free(&all);
    quern_context_destroy(context);
}

static void nothing_is_sorted(void)
{
    quern_context *context = small_splits(0);
    kit_text expected = {0};
    check(context, quern_sort_by_key(quern_read_text(context, nothing, 1, NULL), NULL), "nothing", &expected, true);
    quern_context_destroy(context);
}

/* ---- keys that nobody expects ---- */

static int emit_hostile(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t number = kit_number(in->key);
    static char key[1 << 20];
    (void)user;
    memset(key, (int)(number % 3), sizeof key); /* NULs, too */
    if (quern_emit(out, quern_bytes("", 0), quern_bytes("", 0)) != 0)
        return 1;
    if (number % 40 == 0)
        return quern_emit(out, quern_bytes(key, sizeof key - number % 2), quern_bytes("", 0));
    memcpy(key + number % 5, "\0\0\377", 3);
    return quern_emit(out, quern_bytes(key, number % 9), quern_bytes(key, number % 6));
}

static uint64_t hostile_count, hostile_bytes, hostile_wrong;
static char hostile_last[1 << 20], hostile_first[1 << 20];
static size_t hostile_last_bytes, hostile_first_bytes;

static int note_hostile(const quern_record *in, int *keep_out, void *user)
{
    entry before = {hostile_last, hostile_last_bytes}, now = {in->key.data, in->key.bytes};
    (void)user;
    hostile_wrong += hostile_count > 0 && compare_bytes(&before, &now) > 0;
    if (hostile_count++ == 0) {
        memcpy(hostile_first, now.line, now.bytes);
        hostile_first_bytes = now.bytes;
    }
    hostile_bytes += now.bytes + in->value.bytes;
    memcpy(hostile_last, now.line, now.bytes);
    hostile_last_bytes = now.bytes;
    *keep_out = 0;
    return 0;
}

static void empty_keys_nuls_and_a_megabyte_are_keys_as_others(void)
{
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = 200;
    options.round_bytes = 1024 * (size_t)kit_size(); /* as small as can be */
    options.report_path = kit_path("report.json");
    quern_context *context = kit_context(&options);
    static const quern_schema bytes_bytes = {QUERN_BYTES, QUERN_BYTES, 0};
    hostile_count = hostile_bytes = hostile_wrong = 0;
    quern_dataset *records =
        quern_flat_map(quern_read_text(context, numbers, 1, NULL), bytes_bytes, emit_hostile, NULL);
    quern_write_text(quern_filter(quern_sort_by_key(records, NULL), note_hostile, NULL), kit_path("out.hostile"));
    kit_run(context);
    CHECK_SAME(kit_sum(hostile_wrong), 0);
    CHECK_SAME(kit_sum(hostile_count), 800);
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < 400; i++)
        bytes += i % 40 == 0 ? (1 << 20) - i % 2 : i % 9 + i % 6;
    CHECK_SAME(kit_sum(hostile_bytes), bytes);
    quern_context_destroy(context);
}

/* ---- much ---- */

static uint64_t seen_count, seen_wrong, seen_sum, seen_first, seen_last;

static uint64_t big_count_of_line(void)
{
    return BIG_COUNT / 400 * (uint64_t)(kit_size() < 3 ? kit_size() : 3);
}

static int emit_big(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t state = kit_number(in->key) + 77;
    char value[BIG_BYTES] = "";
    (void)user;
    for (uint64_t i = 0; i < big_count_of_line(); i++) {
        uint64_t key = kit_random(&state) >> 8;
        memcpy(value, &key, sizeof key);
        if (quern_emit(out, quern_of_u64(&key), quern_bytes(value, sizeof value)) != 0)
            return 1;
    }
    return 0;
}

static int note_big(const quern_record *in, int *keep_out, void *user)
{
    uint64_t key = quern_u64(in->key);
    (void)user;
    seen_wrong += (seen_count > 0 && key < seen_last) || in->value.bytes != BIG_BYTES ||
                  memcmp(in->value.data, &key, sizeof key) != 0;
    seen_first = seen_count++ == 0 ? key : seen_first;
    seen_last = key;
    seen_sum += key;
    *keep_out = 0;
    return 0;
}

/* Every rank's last key is not above the next one's first. */
static void check_borders(void)
{
    uint64_t reached = 0;
    for (int rank = 0; rank < kit_size(); rank++) {
        bool mine = rank == kit_rank() && seen_count > 0;
        CHECK(!mine || seen_first >= reached);
        uint64_t last = kit_max(mine ? seen_last : 0);
        reached = last > reached ? last : reached;
    }
}

static void many_times_the_memory_is_sorted_on_disk(void)
{
    quern_options options;
    quern_options_init(&options);
    options.memory_bytes = ((uint64_t)14 << 20) * (uint64_t)kit_size();
    options.split_bytes = 300;
    options.report_path = kit_path("report.json");
    quern_context *context = kit_context(&options);
    uint64_t sum = 0;
    seen_count = seen_wrong = seen_sum = seen_last = seen_first = 0;
    quern_dataset *records = quern_flat_map(quern_read_text(context, numbers, 1, NULL), u64_bytes, emit_big, NULL);
    quern_write_text(quern_filter(quern_sort_by_key(records, NULL), note_big, NULL), kit_path("out.big"));
    kit_run(context);
    for (uint64_t i = 0; i < 400; i++) {
        uint64_t state = i + 77;
        for (uint64_t k = 0; k < big_count_of_line(); k++)
            sum += kit_random(&state) >> 8;
    }
    CHECK_SAME(kit_sum(seen_wrong), 0);
    CHECK_SAME(kit_sum(seen_count), 400 * big_count_of_line());
    CHECK_SAME(kit_sum(seen_sum), sum);
    check_borders();
    CHECK(kit_reported("spill_runs") > 0);
    quern_context_destroy(context);
}

static int pair_nothing(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    (void)key;
    (void)left;
    (void)right;
    (void)out;
    (void)user;
    return 0;
}

/* The last rank's, by a limit on the size of its files. */
static void a_full_scratch_disk_is_the_same_error_on_all_ranks(void)
{
    for (int joins = 0; joins < 2; joins++) {
        quern_options options;
        quern_options_init(&options);
        options.memory_bytes = ((uint64_t)14 << 20) * (uint64_t)kit_size();
        options.split_bytes = 300;
        quern_context *context = kit_context(&options);
        struct rlimit before, few;
        getrlimit(RLIMIT_FSIZE, &before);
        few = before;
        few.rlim_cur = (rlim_t)1 << 20;
        signal(SIGXFSZ, SIG_IGN);
        quern_dataset *records = quern_flat_map(quern_read_text(context, numbers, 1, NULL), u64_bytes, emit_big, NULL);
        quern_write_text(joins ? quern_join(records, records, QUERN_JOIN_INNER, u64_bytes, pair_nothing, NULL)
                               : quern_sort_by_key(records, NULL),
                         kit_path("out.full.%d", joins));
        if (kit_rank() == kit_size() - 1)
            setrlimit(RLIMIT_FSIZE, &few);
        kit_run_fails(context, QUERN_ERROR_SCRATCH);
        setrlimit(RLIMIT_FSIZE, &before);
        kit_check_no_output(kit_path("out.full.%d", joins));
        quern_context_destroy(context);
    }
}

/* Half of all records have one key. */
static int emit_hot(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t number = kit_number(in->key), state = number;
    (void)user;
    for (uint64_t i = 0; i < HOT_COUNT / 400; i++) {
        uint64_t key = i % 2 ? 4242 : kit_random(&state) % 100000, value = number * 1000 + i;
        if (quern_emit(out, quern_of_u64(&key), quern_of_u64(&value)) != 0)
            return 1;
    }
    return 0;
}

/* test_api.py looks at the report of this case. */
static void load_of_a_sort_with_a_hot_key(void)
{
    quern_context *context = small_splits(0);
    quern_dataset *records = quern_flat_map(quern_read_text(context, numbers, 1, NULL), u64_u64, emit_hot, NULL);
    quern_write_text(quern_sort_by_key(records, NULL), kit_path("out.hot"));
    kit_run(context);
    if (kit_rank() == 0) {
        uint64_t key = 0, value = 0, key_before = 0, value_before = 0, count = 0;
        kit_text got = kit_read_output(kit_path("out.hot"));
        for (char *at = got.data; at < got.data + got.bytes; at = strchr(at, '\n') + 1, count++) {
            key = strtoull(at, &at, 10);
            value = strtoull(at, NULL, 10);
            CHECK(key > key_before || (key == key_before && value >= value_before));
            key_before = key;
            value_before = value;
        }
        CHECK_SAME(count, HOT_COUNT);
        kit_free(&got);
    }
    quern_context_destroy(context);
}

/* test_api.py looks at the report of this case. Ranks can hold but a small part of what they read before it is divided. */
static void even_load_of_a_sorted_input_larger_than_memory(void)
{
    static const char *path[1];
    quern_options options;
    quern_options_init(&options);
    options.memory_bytes = ((uint64_t)14 << 20) * (uint64_t)kit_size();
    options.split_bytes = 8000;
    options.report_path = kit_path("report.json");
    quern_context *context = kit_context(&options);
    kit_text lines = {0};
    for (int i = 0; i < 250000; i++)
        kit_put(&lines, "%08d this line is in order\n", i);
    path[0] = kit_path("in_order");
    kit_write_for_all(path[0], &lines);
    check(context, quern_sort_by_key(quern_read_text(context, path, 1, NULL), NULL), "in_order", &lines, true);
    quern_context_destroy(context);
}

/* ---- uniting ---- */

static void a_union_writes_left_then_right_in_the_order_of_the_input(void)
{
    quern_context *context = small_splits(0);
    kit_text expected = all_lines(3, 5), rest = all_lines(0, 3);
    kit_put_bytes(&expected, rest.data, rest.bytes);
    quern_dataset *both = quern_union(read_files(context, 3, 5), read_files(context, 0, 3));
    check(context, both, "union", &expected, true);
    kit_free(&rest);
    quern_context_destroy(context);
}

static void a_union_of_a_sorted_result_and_a_file_keeps_the_order_of_both(void)
{
    quern_context *context = small_splits(0);
    kit_text expected = all_lines(0, 3), rest = all_lines(3, 5);
    kit_sort_lines(&expected);
    kit_put_bytes(&expected, rest.data, rest.bytes);
    kit_put_bytes(&expected, rest.data, rest.bytes);
    quern_dataset *file = read_files(context, 3, 5);
    quern_dataset *both = quern_union(quern_sort_by_key(read_files(context, 0, 3), NULL), quern_union(file, file));
    check(context, both, "mixed", &expected, true);
    kit_free(&rest);
    quern_context_destroy(context);
}

static void unions_are_reduced_and_sorted(void)
{
    quern_context *context = small_splits(0);
    quern_dataset *twice = quern_union(read_files(context, 0, 2), read_files(context, 1, FILE_COUNT));
    kit_text expected = all_lines(0, FILE_COUNT), more = all_lines(1, 2), counted = {0};
    kit_put_bytes(&expected, more.data, more.bytes);
    kit_sort_lines(&expected);
    for (char *at = expected.data, *end; at < expected.data + expected.bytes;) {
        size_t bytes = (size_t)(strchr(at, '\n') + 1 - at), count = 0;
        for (end = at; end < expected.data + expected.bytes && strncmp(end, at, bytes) == 0; end += bytes)
            count++;
        kit_put(&counted, "%.*s\t%zu\n", (int)bytes - 1, at, count);
        at = end;
    }
    quern_write_text(quern_reduce_by_key(twice, QUERN_COUNT), kit_path("out.counted"));
    check(context, quern_sort_by_key(twice, NULL), "united", &expected, true);
    kit_check_output(kit_path("out.counted"), &counted, false);
    kit_free(&more);
    kit_free(&counted);
    quern_context_destroy(context);
}

static void wrong_arguments_are_refused(void)
{
    quern_context *context = small_splits(0);
    quern_dataset *lines = read_files(context, 0, 1);
    quern_dataset *pairs = quern_flat_map(lines, bytes_u64, line_first, NULL);
    quern_sort_options unset = {0};
    CHECK(quern_sort_by_key(NULL, NULL) == NULL);
    CHECK(quern_sort_by_key(lines, &unset) == NULL);
    CHECK_HAS(quern_context_error_text(context), "struct_size");
    CHECK(quern_union(lines, pairs) == NULL);
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_inputs();
    RUN(lines_sort_as_the_model_does, 15);
    RUN(keys_descend_and_their_values_ascend, 15);
    RUN(a_users_comparison_orders_both_ways_and_bytes_decide_what_it_calls_equal, 15);
    RUN(results_are_sorted_and_sorted_again, 15);
    RUN(nothing_is_sorted, 10);
    RUN(empty_keys_nuls_and_a_megabyte_are_keys_as_others, 20);
    RUN(many_times_the_memory_is_sorted_on_disk, 30);
    RUN(a_full_scratch_disk_is_the_same_error_on_all_ranks, 30);
    RUN(load_of_a_sort_with_a_hot_key, 15);
    RUN(even_load_of_a_sorted_input_larger_than_memory, 20);
    RUN(a_union_writes_left_then_right_in_the_order_of_the_input, 10);
    RUN(a_union_of_a_sorted_result_and_a_file_keeps_the_order_of_both, 10);
    RUN(unions_are_reduced_and_sorted, 15);
    RUN(wrong_arguments_are_refused, 10);
    return kit_finish();
}
