/* SPDX-License-Identifier: BSD-3-Clause */
/* Records as columns, blocks out of callbacks, and callbacks that say why they fail. */
#include <inttypes.h>
#include <stdlib.h>

#include "api_kit.h"

#define ELEMENT_COUNT 3000

static const quern_schema u64_u64 = {QUERN_U64, QUERN_U64, 0, 0};
static uint64_t numbers[ELEMENT_COUNT];

static quern_dataset *elements_of(quern_context *context)
{
    for (uint64_t i = 0; i < ELEMENT_COUNT; i++)
        numbers[i] = i;
    quern_memory_array here = {.count = ELEMENT_COUNT, .key = numbers, .value = numbers};
    return quern_read_memory(context, u64_u64, &here, 1);
}

/* Keys of 0 to 4 bytes, values of one number, by the block. */
static int emit_texts(const quern_block *in, quern_emitter *out, void *user)
{
    static const char text[] = "aaaa";
    const void *keys[4096];
    uint32_t key_bytes[4096];
    uint64_t packed[4096];
    (void)user;
    CHECK(in->count <= 4096);
    CHECK_SAME(quern_pack_spans(in->value, in->value_bytes, in->count, packed), in->count * 8);
    for (size_t i = 0; i < in->count; i++) {
        keys[i] = text;
        key_bytes[i] = (uint32_t)(packed[i] % 5);
    }
    quern_block made = {in->count, keys, key_bytes, in->value, in->value_bytes};
    return quern_emit_block(out, &made);
}

static void columns_are_the_records_in_their_order(void)
{
    const quern_schema texts = {QUERN_BYTES, QUERN_U64, 0, 0};
    quern_context *context = kit_context(NULL);
    quern_dataset *made = quern_flat_map_block(elements_of(context), texts, emit_texts, NULL);
    quern_schema is = quern_dataset_schema(made);
    CHECK(is.key == QUERN_BYTES && is.value == QUERN_U64 && quern_dataset_schema(NULL).key == QUERN_NONE);
    quern_columns *all = quern_columns_collect(made, QUERN_COLLECT_ALL);
    quern_columns *keys = quern_columns_collect(quern_sort_by_key(quern_distinct(made), NULL), QUERN_COLLECT_ALL);
    CHECK_SAME(quern_columns_count(all), 0);
    kit_run(context);
    quern_context_destroy(context);
    CHECK_SAME(quern_columns_count(all), (uint64_t)kit_size() * ELEMENT_COUNT);
    const uint64_t *ends = quern_columns_key_ends(all), *values = quern_columns_values(all);
    CHECK(quern_columns_value_ends(all) == NULL);
    for (uint64_t i = 0, at = 0; i < quern_columns_count(all); i++) {
        CHECK_SAME(values[i], i % ELEMENT_COUNT);
        CHECK_SAME(ends[i] - at, i % ELEMENT_COUNT % 5);
        at = ends[i];
    }
    CHECK_SAME(quern_columns_count(keys), 5);
    CHECK_SAME(quern_columns_key_ends(keys)[4], 10);
    CHECK(quern_columns_values(keys) && memcmp(quern_columns_keys(keys), "aaaaaaaaaa", 10) == 0);
    quern_columns_free(all);
    quern_columns_free(keys);
    quern_columns_free(NULL);
}

static void columns_of_nothing_are_empty(void)
{
    quern_context *context = kit_context(NULL);
    CHECK(!quern_columns_collect(NULL, QUERN_COLLECT_ALL));
    quern_dataset *none = quern_sample(elements_of(context), 0, 1);
    quern_columns *found = quern_columns_collect(none, QUERN_COLLECT_ALL);
    kit_run(context);
    CHECK(quern_columns_count(found) == 0 && quern_columns_keys(found) && quern_columns_values(found));
    quern_columns_free(found);
    CHECK(!quern_columns_collect(none, (quern_collect_to)9));
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT), "collect");
    quern_context_destroy(context);
}

static int refuse_record(const quern_record *in, quern_record *out, void *user)
{
    (void)out;
    return quern_u64(in->key) == 2100 ? quern_fail_because(user) : 0;
}

static int refuse_key(const quern_record *in, int *keep_out, void *user)
{
    (void)keep_out;
    return quern_u64(in->key) == 7 ? quern_fail_because(user) : 0;
}

static int refuse_both(void *into, const void *value, void *user)
{
    (void)into;
    (void)value;
    return quern_fail_because(user);
}

static int refuse_result(const quern_record *record, void *user)
{
    (void)record;
    return quern_fail_because(user);
}

static void callbacks_without_an_emitter_say_why_they_fail(void)
{
    char text[] = "the moon was full";
    quern_context *context = kit_context(NULL);
    quern_dataset *all = elements_of(context);
    quern_write_text(quern_map(all, u64_u64, refuse_record, text), kit_path("none"));
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_CALLBACK), "'map': the moon was full");
    quern_write_text(quern_filter(all, refuse_key, text), kit_path("none"));
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_CALLBACK), "'filter': the moon was full, on");
    quern_write_text(quern_reduce_by_key_with(quern_union(all, all), refuse_both, text), kit_path("none"));
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_CALLBACK), "failed: the moon was full");
    quern_collect(all, QUERN_COLLECT_ROOT, refuse_result, text);
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_CALLBACK), "'collect': the moon was full");
    quern_top_k(all, 3, refuse_result, text);
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_CALLBACK), "'top k': the moon was full");
    quern_top_k(all, 3, refuse_result, NULL);
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_CALLBACK), "'top k': failed");
    quern_context_destroy(context);
}

/* It is one task, so that nothing has to be known of its quotes. */
static void a_small_file_of_rows_is_read_beside_others(void)
{
    const char *path = kit_path("rows.csv");
    kit_text rows = {0};
    kit_put(&rows, "a,\"1,2\"\nb,3\n");
    kit_write_for_all(path, &rows);
    quern_context *context = kit_context(NULL);
    quern_columns *found = quern_columns_collect(quern_read_csv(context, &path, 1, NULL), QUERN_COLLECT_ALL);
    quern_columns *lines = quern_columns_collect(quern_read_text(context, &path, 1, NULL), QUERN_COLLECT_ALL);
    kit_run(context);
    CHECK_SAME(quern_columns_count(found), 2);
    CHECK_SAME(quern_columns_count(lines), 2);
    CHECK_SAME(quern_columns_value_ends(found)[0], 7);
    quern_columns_free(found);
    quern_columns_free(lines);
    quern_context_destroy(context);
    kit_free(&rows);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    RUN(columns_are_the_records_in_their_order, 20);
    RUN(columns_of_nothing_are_empty, 20);
    RUN(callbacks_without_an_emitter_say_why_they_fail, 20);
    RUN(a_small_file_of_rows_is_read_beside_others, 20);
    return kit_finish();
}
