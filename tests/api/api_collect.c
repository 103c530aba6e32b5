/* SPDX-License-Identifier: BSD-3-Clause */
/* Records handed to the program: what arrives where, in which order, and what happens when it is too much. */
#include <inttypes.h>
#include <stdlib.h>

#include "api_kit.h"

#define LINE_COUNT  20000
#define SPLIT_BYTES 10000
#define KEY_COUNT   1500

static const quern_schema u64_u64 = {QUERN_U64, QUERN_U64, 0};
static const quern_schema i64_only = {QUERN_I64, QUERN_NONE, 0};
static const quern_schema only_key = {QUERN_BYTES, QUERN_NONE, 0};
static const quern_schema bytes_bytes = {QUERN_BYTES, QUERN_BYTES, 0};
static const quern_schema bytes_u64 = {QUERN_BYTES, QUERN_U64, 0};
static const quern_schema bytes_fixed = {QUERN_BYTES, QUERN_FIXED, 13};
static const char *input[1];

static void make_input(void)
{
    input[0] = kit_write_numbers("lines", LINE_COUNT);
}

static quern_context *many_tasks(uint64_t mib)
{
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = SPLIT_BYTES;
    options.attempt_count_max = 8;
    options.memory_bytes = mib * (uint64_t)kit_size() << 20;
    options.report_path = kit_path("report.json"); /* copied */
    return kit_context(&options);
}

static quern_dataset *lines_of(quern_context *context)
{
    return quern_read_text(context, input, 1, NULL);
}

/* ---- what arrives ---- */

typedef struct sequence {
    kit_text bytes; /* of all records, with their lengths */
    uint64_t count;
} sequence;

static void add_record(sequence *to, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    uint64_t lengths[2] = {key_bytes, value_bytes};
    kit_put_bytes(&to->bytes, lengths, sizeof lengths);
    kit_put_bytes(&to->bytes, key, key_bytes);
    kit_put_bytes(&to->bytes, value, value_bytes);
    to->count++;
}

static int take(const quern_record *record, void *user)
{
    CHECK(record->key.data != NULL && record->value.data != NULL);
    add_record(user, record->key.data, record->key.bytes, record->value.data, record->value.bytes);
    return 0;
}

static void forget(sequence *records)
{
    kit_free(&records->bytes);
    records->count = 0;
}

static void check_same(const sequence *got, const sequence *expected)
{
    CHECK_SAME(got->count, expected->count);
    CHECK_SAME(got->bytes.bytes, expected->bytes.bytes);
    CHECK(got->bytes.bytes == 0 || memcmp(got->bytes.data, expected->bytes.data, got->bytes.bytes) == 0);
}

/* The three forms of one dataset. */
typedef struct forms {
    sequence root, all, local;
} forms;

static void ask_for_forms(quern_dataset *in, forms *into)
{
    CHECK_SAME(quern_collect(in, QUERN_COLLECT_ROOT, take, &into->root), QUERN_OK);
    CHECK_SAME(quern_collect(in, QUERN_COLLECT_ALL, take, &into->all), QUERN_OK);
    CHECK_SAME(quern_collect(in, QUERN_COLLECT_LOCAL, take, &into->local), QUERN_OK);
}

static void forget_forms(forms *of)
{
    forget(&of->root);
    forget(&of->all);
    forget(&of->local);
}

/* The local parts of all ranks, one behind the other, on rank 0;. */
static sequence join_local(const sequence *local)
{
    sequence joined = {.count = kit_sum(local->count)};
    static unsigned turn;
    turn++;
    kit_write(kit_path("local.%u.%d", turn, kit_rank()), &local->bytes);
    kit_barrier();
    for (int rank = 0; kit_rank() == 0 && rank < kit_size(); rank++) {
        kit_text part = kit_read(kit_path("local.%u.%d", turn, rank));
        kit_put_bytes(&joined.bytes, part.data, part.bytes);
        kit_free(&part);
    }
    kit_barrier();
    return joined;
}

/* On rank 0, for comparing across numbers of ranks. */
static void print_digest(const char *name, const sequence *records)
{
    uint64_t digest = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < records->bytes.bytes; i++)
        digest = (digest ^ (uint8_t)records->bytes.data[i]) * UINT64_C(1099511628211);
    if (kit_rank() == 0)
        printf("%s %" PRIu64 " %016" PRIx64 "\n", name, records->count, digest);
}

/* ROOT has all on rank 0 and nothing elsewhere, ALL has the same on all ranks; LOCAL is a partition of it, in ranges if so said. */
static void check_forms(const char *name, forms *of, uint64_t count, bool in_ranges)
{
    sequence empty = {0}, joined = join_local(&of->local);
    check_same(&of->root, kit_rank() == 0 ? &of->all : &empty);
    CHECK_SAME(of->all.count, count);
    CHECK_SAME(joined.count, count);
    if (kit_rank() == 0) {
        CHECK_SAME(joined.bytes.bytes, of->all.bytes.bytes);
        CHECK(!in_ranges || count == 0 || memcmp(joined.bytes.data, of->all.bytes.data, joined.bytes.bytes) == 0);
    }
    uint64_t digest = 0;
    for (size_t i = 0; i < of->all.bytes.bytes; i++)
        digest = (digest ^ (uint8_t)of->all.bytes.data[i]) * UINT64_C(1099511628211);
    CHECK_SAME(kit_max(digest), digest);
    CHECK_SAME(~kit_max(~digest), digest);
    print_digest(name, &of->all);
    forget(&joined);
}

/* ---- a reduction ---- */

static int to_numbers(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t line = kit_number(in->key), key = line * line % KEY_COUNT;
    (void)user;
    return quern_emit(out, quern_of_u64(&key), quern_of_u64(&line));
}

static quern_dataset *sums_of(quern_context *context)
{
    return quern_reduce_by_key(quern_flat_map(lines_of(context), u64_u64, to_numbers, NULL), QUERN_SUM);
}

static void model_sums(kit_model *model)
{
    for (uint64_t line = 0; line < LINE_COUNT; line++) {
        uint64_t key = line * line % KEY_COUNT;
        kit_at(model, &key, 8)->value[0] += line;
    }
}

/* Each key once, with the model's sum. */
static int check_sum(const quern_record *record, void *user)
{
    CHECK_SAME(record->key.bytes, 8);
    CHECK_SAME(record->value.bytes, 8);
    kit_entry *entry = kit_at(user, record->key.data, 8);
    CHECK(!entry->is_new || entry->value[0] != 0 || quern_u64(record->key) == 0);
    CHECK_SAME(entry->value[1], 0);
    CHECK_SAME(quern_u64(record->value), entry->value[0]);
    entry->value[1] = 1;
    return 0;
}

static void a_reduction_arrives_in_one_order_wherever_it_is_asked_for(void)
{
    quern_context *context = many_tasks(64);
    forms got = {0};
    kit_model model = {0};
    model_sums(&model);
    size_t key_count = model.count;
    quern_dataset *sums = sums_of(context);
    ask_for_forms(sums, &got);
    quern_collect(sums, QUERN_COLLECT_ALL, check_sum, &model);
    kit_run(context);
    CHECK_SAME(model.count, key_count);
    check_forms("sums", &got, key_count, true);
    forget_forms(&got);
    kit_run(context); /* what was asked for is done */
    CHECK_SAME(got.all.count, 0);
    kit_forget(&model);
    quern_context_destroy(context);
}

static int next_key(const quern_record *in, quern_emitter *out, void *user)
{
    int64_t key = -(int64_t)quern_u64(in->key);
    (void)user;
    for (int i = 0; i < 2; i++, key--)
        if (quern_emit(out, quern_of_i64(&key), quern_text("")))
            return 1;
    return 0;
}

static void what_comes_from_a_reduction_keeps_its_order(void)
{
    quern_context *context = many_tasks(64);
    forms got = {0}, sums = {0};
    quern_dataset *summed = sums_of(context);
    ask_for_forms(summed, &sums);
    ask_for_forms(quern_flat_map(summed, i64_only, next_key, NULL), &got);
    kit_run(context);
    check_forms("behind", &got, 2 * sums.all.count, true);
    const char *at = sums.all.bytes.data;
    sequence expected = {0};
    for (uint64_t i = 0; i < sums.all.count; i++, at += 32) {
        int64_t key = -(int64_t)quern_u64(quern_bytes(at + 16, 8)), next = key - 1;
        add_record(&expected, &key, 8, "", 0);
        add_record(&expected, &next, 8, "", 0);
    }
    check_same(&got.all, &expected);
    forget(&expected);
    forget_forms(&got);
    forget_forms(&sums);
    quern_context_destroy(context);
}

/* ---- without a reduction ---- */

static int drop_some(const quern_record *in, int *keep_out, void *user)
{
    (void)user;
    *keep_out = kit_number(in->key) % 7 != 0;
    return 0;
}

static sequence kept_lines(void)
{
    sequence kept = {0};
    char text[24];
    for (uint64_t i = 0; i < LINE_COUNT; i++)
        if (i % 7 != 0)
            add_record(&kept, text, (size_t)snprintf(text, sizeof text, "%" PRIu64, i), "", 0);
    return kept;
}

static void records_without_a_reduction_arrive_in_the_order_of_the_input(void)
{
    const uint64_t splits[] = {64, 5000, 1 << 20};
    sequence expected = kept_lines();
    for (int i = 0; i < 3; i++) {
        quern_options options;
        quern_options_init(&options);
        options.split_bytes = splits[i];
        quern_context *context = kit_context(&options);
        forms got = {0};
        ask_for_forms(quern_filter(lines_of(context), drop_some, NULL), &got);
        kit_run(context);
        check_forms("lines", &got, expected.count, false);
        check_same(&got.all, &expected);
        forget_forms(&got);
        quern_context_destroy(context);
    }
    forget(&expected);
}

static int none(const quern_record *in, int *keep_out, void *user)
{
    (void)in;
    (void)user;
    *keep_out = 0;
    return 0;
}

static void nothing_gives_no_calls(void)
{
    quern_context *context = many_tasks(64);
    const char *paths[] = {kit_path("empty")};
    kit_text text = {0};
    forms nothing = {0}, dropped = {0}, reduced = {0}, no_files = {0};
    kit_write_for_all(paths[0], &text);
    ask_for_forms(quern_read_text(context, paths, 1, NULL), &nothing);
    ask_for_forms(quern_filter(lines_of(context), none, NULL), &dropped);
    ask_for_forms(quern_reduce_by_key(quern_filter(lines_of(context), none, NULL), QUERN_COUNT), &reduced);
    ask_for_forms(quern_read_text(context, NULL, 0, NULL), &no_files);
    kit_run(context);
    check_forms("nothing", &nothing, 0, true);
    check_forms("dropped", &dropped, 0, true);
    check_forms("reduced", &reduced, 0, true);
    check_forms("no files", &no_files, 0, true);
    quern_context_destroy(context);
}

/* ---- any bytes ---- */

#define LONG_BYTES ((size_t)5 << 20)

/* Field `which` of a line: any bytes, NULs among them, of lengths from none to megabytes. */
static size_t make_field(uint64_t line, int which, uint8_t *to)
{
    uint64_t state = 2 * line + (uint64_t)which;
    size_t bytes = kit_random(&state) % 40;
    if (line % 9 == 4)
        bytes = 0;
    if (line % 4999 == 17)
        bytes = which == 0 ? 400000 + line : LONG_BYTES + line;
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(bytes > 1000 ? i * 7 + line + i / 251 : kit_random(&state) & 3);
    return bytes;
}

static int to_fields(const quern_record *in, quern_emitter *out, void *user)
{
    static uint8_t key[LONG_BYTES + LINE_COUNT], value[LONG_BYTES + LINE_COUNT];
    const quern_schema *schema = user;
    uint64_t line = kit_number(in->key);
    size_t key_bytes = make_field(line, 0, key), value_bytes = 0;
    if (schema->value == QUERN_BYTES)
        value_bytes = make_field(line, 1, value);
    else if (schema->value == QUERN_FIXED) {
        memset(value, (int)(line & 255), schema->value_bytes);
        value_bytes = schema->value_bytes;
    } else if (schema->value == QUERN_U64) {
        memcpy(value, &line, sizeof line);
        value_bytes = sizeof line;
    }
    return quern_emit(out, quern_bytes(key, key_bytes), quern_bytes(value, value_bytes));
}

/* What to_fields() emits for all lines. */
static sequence model_fields(const quern_schema *schema)
{
    static uint8_t key[LONG_BYTES + LINE_COUNT], value[LONG_BYTES + LINE_COUNT];
    sequence expected = {0};
    for (uint64_t line = 0; line < LINE_COUNT; line++) {
        size_t key_bytes = make_field(line, 0, key), value_bytes = 0;
        if (schema->value == QUERN_BYTES)
            value_bytes = make_field(line, 1, value);
        else if (schema->value == QUERN_FIXED)
            memset(value, (int)(line & 255), value_bytes = schema->value_bytes);
        else if (schema->value == QUERN_U64)
            memcpy(value, &line, value_bytes = sizeof line);
        add_record(&expected, key, key_bytes, value, value_bytes);
    }
    return expected;
}

static void keys_and_values_of_any_type_and_length_arrive_whole(void)
{
    const quern_schema *schemas[] = {&bytes_bytes, &bytes_fixed, &bytes_u64, &only_key};
    for (int i = 0; i < 4; i++) {
        quern_context *context = many_tasks(400);
        quern_schema schema = *schemas[i];
        sequence expected = model_fields(&schema), got = {0};
        quern_dataset *records = quern_flat_map(lines_of(context), schema, to_fields, &schema);
        quern_collect(records, i % 2 ? QUERN_COLLECT_ROOT : QUERN_COLLECT_ALL, take, &got);
        kit_run(context);
        if (i % 2 == 0 || kit_rank() == 0)
            check_same(&got, &expected);
        else
            CHECK_SAME(got.count, 0);
        forget(&got);
        forget(&expected);
        quern_context_destroy(context);
    }
}

static void rows_larger_than_a_round_arrive_whole(void)
{
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = SPLIT_BYTES;
    options.round_bytes = 64 << 10;
    options.memory_bytes = (uint64_t)128 * (uint64_t)kit_size() << 20;
    quern_context *context = kit_context(&options);
    quern_schema schema = only_key;
    forms got = {0};
    kit_model keys = {0};
    static uint8_t key[LONG_BYTES + LINE_COUNT];
    for (uint64_t line = 0; line < LINE_COUNT; line++)
        kit_at(&keys, key, make_field(line, 0, key));
    quern_dataset *records = quern_flat_map(lines_of(context), schema, to_fields, &schema);
    ask_for_forms(quern_reduce_by_key(records, QUERN_COUNT), &got);
    kit_run(context);
    check_forms("long keys", &got, keys.count, true);
    kit_forget(&keys);
    forget_forms(&got);
    quern_context_destroy(context);
}

/* ---- failures ---- */

static int fail_sometimes(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t line = kit_number(in->key);
    for (int i = 0; i < 3; i++) {
        if (i == 2 && line % 1999 == 1998 && kit_first_time("%s.%" PRIu64, (const char *)user, line))
            return 1;
        if (quern_emit(out, in->key, quern_text(i == 0 ? "" : i == 1 ? "first" : "second")))
            return 1;
    }
    return 0;
}

static int fail_behind(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t key = quern_u64(in->key);
    (void)user;
    for (uint64_t i = 0; i < 2; i++) {
        if (i == 1 && key % 500 == 144 && kit_first_time("behind.%" PRIu64, key))
            return 1;
        if (quern_emit(out, in->key, in->value))
            return 1;
    }
    return 0;
}

static void attempts_that_fail_leave_each_record_once(void)
{
    quern_context *context = many_tasks(64);
    forms got = {0}, behind = {0}, sums = {0};
    sequence expected = {0};
    char text[24];
    for (uint64_t i = 0; i < LINE_COUNT; i++) {
        size_t bytes = (size_t)snprintf(text, sizeof text, "%" PRIu64, i);
        add_record(&expected, text, bytes, "", 0);
        add_record(&expected, text, bytes, "first", 5);
        add_record(&expected, text, bytes, "second", 6);
    }
    quern_collect(quern_flat_map(lines_of(context), bytes_bytes, fail_sometimes, "root"), QUERN_COLLECT_ROOT, take,
                  &got.root);
    quern_collect(quern_flat_map(lines_of(context), bytes_bytes, fail_sometimes, "all"), QUERN_COLLECT_ALL, take,
                  &got.all);
    quern_collect(quern_flat_map(lines_of(context), bytes_bytes, fail_sometimes, "local"), QUERN_COLLECT_LOCAL, take,
                  &got.local);
    kit_run(context);
    CHECK(kit_reported("attempts_failed") > 0);
    check_forms("retried", &got, expected.count, false);
    check_same(&got.all, &expected);
    quern_dataset *summed = sums_of(context);
    ask_for_forms(summed, &sums);
    ask_for_forms(quern_flat_map(summed, u64_u64, fail_behind, NULL), &behind);
    kit_run(context);
    check_forms("retried behind", &behind, 2 * sums.all.count, true);
    forget(&expected);
    forget_forms(&got);
    forget_forms(&behind);
    forget_forms(&sums);
    quern_context_destroy(context);
}

/* On which rank it fails, and how many records before. */
typedef struct failing {
    int rank, left;
} failing;

static int fail_on_a_rank(const quern_record *record, void *user)
{
    failing *how = user;
    (void)record;
    return kit_rank() == how->rank && how->left-- == 0 ? 5 : 0;
}

static void a_callback_that_fails_on_one_rank_fails_the_run_on_all(void)
{
    quern_context *context = many_tasks(64);
    quern_dataset *sums = sums_of(context);
    sequence later = {0};
    for (int to = QUERN_COLLECT_ROOT; to <= QUERN_COLLECT_LOCAL; to++) {
        for (int rank = 0; rank < (to == QUERN_COLLECT_ROOT ? 1 : kit_size()); rank++) {
            failing how = {rank, to == QUERN_COLLECT_LOCAL ? 0 : 100};
            quern_write_text(sums, kit_path("failed"));
            quern_collect(sums, (quern_collect_to)to, fail_on_a_rank, &how);
            quern_collect(sums, QUERN_COLLECT_ALL, take, &later);
            CHECK_HAS(kit_run_fails(context, QUERN_ERROR_CALLBACK), "'collect' returned 5");
            kit_check_no_output(kit_path("failed"));
            CHECK_SAME(later.count, 0);
        }
    }
    quern_collect(sums, QUERN_COLLECT_ALL, take, &later); /* the context is still good */
    kit_run(context);
    print_digest("sums", &later);
    forget(&later);
    quern_context_destroy(context);
}

static void arguments_that_cannot_be_are_refused(void)
{
    quern_context *context = many_tasks(64);
    quern_dataset *lines = lines_of(context);
    sequence got = {0};
    CHECK_SAME(quern_collect(NULL, QUERN_COLLECT_ALL, take, &got), QUERN_ERROR_INVALID_ARGUMENT);
    CHECK_SAME(quern_collect(lines, QUERN_COLLECT_ALL, NULL, &got), QUERN_ERROR_INVALID_ARGUMENT);
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT), "collect");
    CHECK_SAME(quern_collect(lines, (quern_collect_to)0, take, &got), QUERN_ERROR_INVALID_ARGUMENT);
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT), "QUERN_COLLECT_LOCAL");
    CHECK_SAME(quern_collect(lines, (quern_collect_to)4, take, &got), QUERN_ERROR_INVALID_ARGUMENT);
    kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT);
    if (kit_size() > 1) {
        quern_collect(lines, kit_rank() == 0 ? QUERN_COLLECT_ROOT : QUERN_COLLECT_ALL, take, &got);
        kit_run_fails(context, QUERN_ERROR_PLAN_MISMATCH);
    }
    CHECK_SAME(got.count, 0);
    quern_context_destroy(context);
}

/* ---- memory ---- */

static int to_long_keys(const quern_record *in, quern_emitter *out, void *user)
{
    static char key[1024];
    uint64_t line = kit_number(in->key), count = *(const uint64_t *)user, one = 1;
    if (line >= count)
        return 0;
    memset(key, 'k', sizeof key);
    memcpy(key, &line, sizeof line);
    return quern_emit(out, quern_bytes(key, sizeof key), quern_of_u64(&one));
}

static int ignore_record(const quern_record *record, void *user)
{
    (void)record;
    (void)user;
    return 0;
}

static void more_than_a_rank_may_keep_is_refused_with_the_remedy(void)
{
    quern_context *context = many_tasks(12);
    uint64_t many = 8000 * (uint64_t)kit_size(), few = 1000; /* 5 MiB fit each rank */
    many = many < LINE_COUNT ? many : LINE_COUNT;
    if (kit_size() <= 2) {
        quern_dataset *records = quern_flat_map(lines_of(context), bytes_u64, to_long_keys, &many);
        for (int to = QUERN_COLLECT_ROOT; to <= QUERN_COLLECT_LOCAL; to++) {
            quern_collect(records, (quern_collect_to)to, ignore_record, NULL);
            CHECK_HAS(kit_run_fails(context, QUERN_ERROR_BUDGET), "raise memory");
        }
    }
    sequence got = {0};
    quern_collect(quern_flat_map(lines_of(context), bytes_u64, to_long_keys, &few), QUERN_COLLECT_ALL, take, &got);
    kit_run(context);
    CHECK_SAME(got.count, few);
    print_digest("few", &got);
    forget(&got);
    quern_context_destroy(context);
}

/* Not three MiB on each rank are within the five that it may keep of its twenty; with those of six others, twenty it has not. */
static void more_than_one_rank_can_hold_of_all_is_refused_before_it_is_sent(void)
{
    quern_context *context = many_tasks(20);
    uint64_t many = 2800 * (uint64_t)kit_size();
    many = many < LINE_COUNT ? many : LINE_COUNT;
    quern_dataset *counts =
        quern_reduce_by_key(quern_flat_map(lines_of(context), bytes_u64, to_long_keys, &many), QUERN_COUNT);
    sequence local = {0};
    for (int to = QUERN_COLLECT_ROOT; to <= QUERN_COLLECT_ALL; to++) {
        quern_collect(counts, (quern_collect_to)to, ignore_record, NULL);
        if (kit_size() >= 7)
            CHECK_HAS(kit_run_fails(context, QUERN_ERROR_BUDGET), "QUERN_COLLECT_LOCAL");
        else
            kit_run(context);
    }
    quern_collect(counts, QUERN_COLLECT_LOCAL, take, &local);
    kit_run(context);
    CHECK_SAME(kit_sum(local.count), many);
    forget(&local);
    quern_context_destroy(context);
}

static void memory_too_small_beside_a_reduction_is_refused_before_any_work(void)
{
    quern_context *context = many_tasks(12);
    forms got = {0};
    quern_dataset *sums = sums_of(context);
    ask_for_forms(sums, &got);
    quern_top_k(sums, UINT64_C(1) << 31, ignore_record, NULL);
    const char *text = kit_run_fails(context, QUERN_ERROR_BUDGET);
    const char *need = strstr(text, "at least ");
    CHECK(need != NULL);
    uint64_t mib = strtoull(need + strlen("at least "), NULL, 10);
    quern_context_destroy(context);
    context = many_tasks((mib + (uint64_t)kit_size() - 1) / (uint64_t)kit_size());
    sums = sums_of(context);
    ask_for_forms(sums, &got);
    quern_top_k(sums, UINT64_C(1) << 31, ignore_record, NULL);
    kit_run(context);
    check_forms("sums", &got, got.all.count, true);
    forget_forms(&got);
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_input();
    RUN(a_reduction_arrives_in_one_order_wherever_it_is_asked_for, 10);
    RUN(what_comes_from_a_reduction_keeps_its_order, 10);
    RUN(records_without_a_reduction_arrive_in_the_order_of_the_input, 10);
    RUN(nothing_gives_no_calls, 10);
    RUN(keys_and_values_of_any_type_and_length_arrive_whole, 30);
    RUN(rows_larger_than_a_round_arrive_whole, 20);
    RUN(attempts_that_fail_leave_each_record_once, 20);
    RUN(a_callback_that_fails_on_one_rank_fails_the_run_on_all, 20);
    RUN(arguments_that_cannot_be_are_refused, 10);
    RUN(more_than_a_rank_may_keep_is_refused_with_the_remedy, 10);
    RUN(more_than_one_rank_can_hold_of_all_is_refused_before_it_is_sent, 20);
    RUN(memory_too_small_beside_a_reduction_is_refused_before_any_work, 20);
    return kit_finish();
}
