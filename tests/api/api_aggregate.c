/* SPDX-License-Identifier: BSD-3-Clause */
/* Aggregations by accumulators, keys and distinct keys, against a naive model; in memory and spilled. */
#include <inttypes.h>
#include <stdlib.h>

#include "api_kit.h"

#define RECORD_COUNT 30000
#define WORD_COUNT   900
#define MANY_KEYS    60000

static const char *input[2]; /* few keys with many values; many keys with few */

/* Lines of a word, a space and a text of any length, which are the key and the value. */
static size_t put_line(kit_text *file, uint64_t *state, uint64_t word_count)
{
    uint64_t random = kit_random(state);
    size_t bytes = (size_t)(random >> 40) % (random % 50 == 0 ? 3000 : 30);
    kit_put(file, random % 3 ? "w%" PRIu64 " " : "a-rather-long-word-%" PRIu64 " ", (random >> 8) % word_count);
    for (size_t i = 0; i < bytes; i++)
        kit_put(file, "%c", (char)('a' + kit_random(state) % 26));
    kit_put(file, "\n");
    return bytes;
}

static void make_input(void)
{
    uint64_t state = 3;
    for (int number = 0; number < 2; number++) {
        kit_text file = {0};
        for (int i = 0; i < RECORD_COUNT * (1 + 3 * number); i++)
            put_line(&file, &state, number ? MANY_KEYS : WORD_COUNT);
        input[number] = strdup(kit_path("in%d", number));
        kit_write_for_all(input[number], &file);
        kit_free(&file);
    }
}

static const quern_schema text_to_text = {QUERN_BYTES, QUERN_BYTES, 0};

static int split_line(const quern_record *in, quern_record *out, void *user)
{
    const char *space = memchr(in->key.data, ' ', in->key.bytes);
    (void)user;
    out->key.bytes = (size_t)(space - (const char *)in->key.data);
    out->value = quern_bytes(space + 1, in->key.bytes - out->key.bytes - 1);
    return 0;
}

static quern_dataset *words_of(quern_context *context, int number)
{
    return quern_map(quern_read_text(context, &input[number], 1, NULL), text_to_text, split_line, NULL);
}

/* What is known of the values of a key; filled up to the largest accumulator. */
typedef struct summary {
    uint64_t magic, count, bytes, longest, shortest;
    uint8_t filler[QUERN_FIXED_BYTES_MAX - 40];
} summary;

#define MAGIC UINT64_C(0x5eed)

static int begin_summary(void *accumulator, void *user)
{
    static const summary zeros;
    summary *made = accumulator;
    CHECK(user == input && memcmp(made, &zeros, sizeof zeros) == 0 && (uintptr_t)made % 8 == 0);
    made->magic = MAGIC;
    made->shortest = UINT64_MAX;
    memset(made->filler, 7, sizeof made->filler);
    return 0;
}

static int add_value(void *accumulator, quern_span value, void *user)
{
    summary *into = accumulator;
    CHECK(user == input && into->magic == MAGIC && value.data);
    into->count++;
    into->bytes += value.bytes;
    into->longest = value.bytes > into->longest ? value.bytes : into->longest;
    into->shortest = value.bytes < into->shortest ? value.bytes : into->shortest;
    return 0;
}

static int merge_summaries(void *into_memory, const void *value, void *user)
{
    summary *into = into_memory;
    const summary *from = value;
    if (user != input || into->magic != MAGIC || from->magic != MAGIC || from->count == 0 || into->count == 0 ||
        from->filler[sizeof from->filler - 1] != 7)
        return 1;
    into->count += from->count;
    into->bytes += from->bytes;
    into->longest = from->longest > into->longest ? from->longest : into->longest;
    into->shortest = from->shortest < into->shortest ? from->shortest : into->shortest;
    return 0;
}

static int describe_summary(const quern_record *in, quern_record *out, void *user)
{
    static char text[128];
    const summary *made = in->value.data;
    CHECK(user == input && in->value.bytes == sizeof *made && made->magic == MAGIC);
    int bytes = snprintf(text, sizeof text, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, made->count, made->bytes,
                         made->longest, made->shortest);
    out->value = quern_bytes(text, (size_t)bytes);
    return 0;
}

static const quern_aggregation summarise = {
    .struct_size = sizeof(quern_aggregation),
    .accumulator_bytes = sizeof(summary),
    .init = begin_summary,
    .accumulate = add_value,
    .merge = merge_summaries,
    .finish = describe_summary,
    .schema = {QUERN_BYTES, QUERN_BYTES, 0},
};

/* ---- the model: the files once more, with plain C ---- */

static void model_file(int number, kit_model *model)
{
    kit_text file = kit_read(input[number]);
    for (size_t at = 0; at < file.bytes;) {
        const char *line = file.data + at, *end = memchr(line, '\n', file.bytes - at), *space = strchr(line, ' ');
        kit_entry *entry = kit_at(model, line, (size_t)(space - line));
        uint64_t bytes = (uint64_t)(end - space - 1);
        entry->value[3] = entry->is_new || bytes < entry->value[3] ? bytes : entry->value[3];
        entry->value[0]++;
        entry->value[1] += bytes;
        entry->value[2] = bytes > entry->value[2] ? bytes : entry->value[2];
        at = (size_t)(end + 1 - file.data);
    }
    kit_free(&file);
}

static void print_summary(const kit_entry *entry, void *text)
{
    kit_put_bytes(text, entry->key, entry->key_bytes);
    kit_put(text, "\t%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", entry->value[0], entry->value[1],
            entry->value[2], entry->value[3]);
}

static void print_key(const kit_entry *entry, void *text)
{
    kit_put_bytes(text, entry->key, entry->key_bytes);
    kit_put(text, "\n");
}

static void print_count(const kit_entry *entry, void *text)
{
    kit_put(text, "%zu\t%" PRIu64 "\n", entry->key_bytes, entry->value[0]);
}

static void check_output(const char *output, kit_model *model, void (*print)(const kit_entry *entry, void *user))
{
    kit_text expected = {0};
    kit_each(model, print, &expected);
    kit_check_output(output, &expected, false);
    kit_free(&expected);
}

/* ---- cases ---- */

static void check_summaries(int number, const quern_options *options, const char *output, bool spills)
{
    kit_model model = {0};
    quern_context *context = kit_context(options);
    model_file(number, &model);
    quern_write_text(quern_aggregate_by_key(words_of(context, number), &summarise, input), kit_path("%s", output));
    kit_run(context);
    check_output(kit_path("%s", output), &model, print_summary);
    CHECK_SAME(kit_reported("spill_runs") > 0, spills);
    CHECK(kit_reported("spill_runs") < 400); /* large values do not make a run of a few keys */
    kit_forget(&model);
    quern_context_destroy(context);
}

static void values_of_any_length_become_accumulators_of_one(void)
{
    check_summaries(0, NULL, "few", false);
    check_summaries(1, NULL, "many", false);
}

static void accumulators_that_do_not_fit_the_memory_are_spilled_and_merged(void)
{
    quern_options options;
    quern_options_init(&options);
    for (uint64_t mib = 10; mib <= 11; mib++) { /* and whole batches of them do not fit into the smallest table */
        options.memory_bytes = mib * (uint64_t)kit_size() << 20;
        check_summaries(1, &options, mib == 10 ? "crowded" : "spilled", true);
    }
}

static int count_value(void *accumulator, quern_span value, void *user)
{
    (void)user;
    CHECK(value.bytes == 0 && value.data);
    return ++*(uint64_t *)accumulator == 0;
}

static int add_counts(void *into, const void *value, void *user)
{
    (void)user;
    *(uint64_t *)into += *(const uint64_t *)value;
    return 0;
}

static int number_of(const quern_record *in, quern_record *out, void *user)
{
    static uint64_t count;
    (void)user;
    CHECK(in->value.bytes == 8);
    count = quern_u64(in->value);
    out->value = quern_of_u64(&count);
    return 0;
}

static int key_length(const quern_record *in, quern_record *out, void *user)
{
    static uint64_t bytes;
    (void)user;
    bytes = in->key.bytes;
    out->key = quern_of_u64(&bytes);
    return 0;
}

static void lengths_of_words(const kit_entry *entry, void *lengths)
{
    static const char zeros[4096];
    kit_at(lengths, zeros, entry->key_bytes)->value[0] += entry->value[0];
}

/* No init, no finish, no values, and keys that are numbers. */
static void an_accumulator_without_finish_is_the_value(void)
{
    quern_context *context = kit_context(NULL);
    kit_model model = {0}, lengths = {0};
    const quern_aggregation counting = {sizeof counting, 8, NULL, count_value, add_counts, NULL, {0}};
    const quern_schema number_only = {QUERN_U64, QUERN_NONE, 0}, numbers = {QUERN_U64, QUERN_U64, 0};
    model_file(0, &model);
    kit_each(&model, lengths_of_words, &lengths);
    quern_dataset *in = quern_map(quern_keys(words_of(context, 0)), number_only, key_length, NULL);
    quern_dataset *counts = quern_map(quern_aggregate_by_key(in, &counting, NULL), numbers, number_of, NULL);
    quern_write_text(counts, kit_path("counts"));
    kit_run(context);
    check_output(kit_path("counts"), &lengths, print_count);
    kit_forget(&model);
    kit_forget(&lengths);
    quern_context_destroy(context);
}

static void distinct_keys_come_once_and_without_values(void)
{
    quern_context *context = kit_context(NULL);
    for (int number = 0; number < 2; number++) {
        kit_model model = {0};
        model_file(number, &model);
        quern_write_text(quern_distinct(words_of(context, number)), kit_path("distinct%d", number));
        /* distinct again changes nothing, and keys can be dropped anywhere in a chain */
        quern_write_text(quern_distinct(quern_keys(quern_distinct(words_of(context, number)))),
                         kit_path("again%d", number));
        kit_run(context);
        check_output(kit_path("distinct%d", number), &model, print_key);
        check_output(kit_path("again%d", number), &model, print_key);
        kit_forget(&model);
    }
    quern_context_destroy(context);
}

static int fail_to_begin(void *accumulator, void *user)
{
    (void)accumulator;
    return user != NULL;
}

static int fail_on_long_values(void *accumulator, quern_span value, void *user)
{
    (void)accumulator;
    (void)user;
    return value.bytes > 2000;
}

static int fail_to_merge(void *into, const void *value, void *user)
{
    (void)into;
    (void)value;
    (void)user;
    return 1;
}

static void a_failing_callback_of_an_aggregation_fails_the_job_and_names_the_key(void)
{
    const quern_aggregation failing[] = {
        {sizeof(quern_aggregation), 8, fail_to_begin, count_value, add_counts, NULL, {0}},
        {sizeof(quern_aggregation), 8, NULL, fail_on_long_values, add_counts, NULL, {0}},
        {sizeof(quern_aggregation), 8, NULL, fail_on_long_values, fail_to_merge, NULL, {0}},
    };
    for (int i = 0; i < 3; i++) {
        quern_context *context = kit_context(NULL);
        quern_dataset *made = quern_aggregate_by_key(words_of(context, 0), &failing[i], input);
        quern_write_text(quern_keys(made), kit_path("failed%d", i));
        CHECK_HAS(kit_run_fails(context, QUERN_ERROR_CALLBACK), "of key \"");
        kit_check_no_output(kit_path("failed%d", i));
        quern_context_destroy(context);
    }
}

static void check_refused(const quern_aggregation *aggregation, const char *part)
{
    quern_context *context = kit_context(NULL);
    CHECK(!quern_aggregate_by_key(words_of(context, 0), aggregation, NULL));
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT), part);
    quern_context_destroy(context);
}

static void an_aggregation_that_cannot_be_is_refused(void)
{
    quern_aggregation wrong = summarise;
    check_refused(NULL, "NULL");
    wrong.struct_size = 0;
    check_refused(&wrong, "struct_size");
    wrong = summarise;
    wrong.accumulator_bytes = 0;
    check_refused(&wrong, "accumulator_bytes");
    wrong.accumulator_bytes = QUERN_FIXED_BYTES_MAX + 1;
    check_refused(&wrong, "accumulator_bytes");
    wrong = summarise;
    wrong.merge = NULL;
    check_refused(&wrong, "merge");
    wrong = summarise;
    wrong.accumulate = NULL;
    check_refused(&wrong, "accumulate");
    CHECK(!quern_aggregate_by_key(NULL, &summarise, NULL) && !quern_keys(NULL) && !quern_distinct(NULL));
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_input();
    RUN(values_of_any_length_become_accumulators_of_one, 20);
    RUN(accumulators_that_do_not_fit_the_memory_are_spilled_and_merged, 30);
    RUN(an_accumulator_without_finish_is_the_value, 20);
    RUN(distinct_keys_come_once_and_without_values, 20);
    RUN(a_failing_callback_of_an_aggregation_fails_the_job_and_names_the_key, 20);
    RUN(an_aggregation_that_cannot_be_is_refused, 20);
    return kit_finish();
}
