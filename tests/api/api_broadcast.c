/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes that all ranks have: their values, their one copy, their part of the budget, and what callbacks do with them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api_kit.h"

#define WORD_COUNT  1000
#define LARGE_BYTES ((size_t)80 << 20) /* more than /dev/shm has in many containers */

static const quern_schema bytes_u64 = {QUERN_BYTES, QUERN_U64, 0};

static quern_context *with_memory(uint64_t memory_bytes, quern_switch shared_memory)
{
    quern_options options;
    quern_options_init(&options);
    options.memory_bytes = memory_bytes;
    options.shared_memory = shared_memory;
    options.report_path = kit_path("report.json");
    return kit_context(&options);
}

static quern_shared *share(quern_context *context, const void *data, size_t bytes)
{
    quern_shared *shared = NULL;
    bool first = kit_rank() == 0;
    quern_status status = quern_broadcast(context, first ? data : NULL, first ? bytes : 0, &shared);
    CHECK_STATUS(status, QUERN_OK, quern_context_error_text(context));
    CHECK(shared != NULL);
    return shared;
}

static uint8_t *make_bytes(size_t bytes, uint64_t seed)
{
    uint64_t *made = malloc(bytes + 8);
    CHECK(made != NULL);
    for (size_t i = 0; i < bytes / 8 + 1; i++)
        made[i] = kit_random(&seed);
    return (uint8_t *)made;
}

static void check_value(quern_context *context, size_t bytes)
{
    uint8_t *expected = make_bytes(bytes, bytes);
    quern_shared *shared = share(context, expected, bytes);
    CHECK_SAME(quern_shared_bytes(shared), bytes);
    CHECK(quern_shared_data(shared) != NULL && ((uintptr_t)quern_shared_data(shared) & 4095) == 0);
    CHECK(memcmp(quern_shared_data(shared), expected, bytes) == 0);
    free(expected);
    quern_shared_free(shared);
}

static void every_rank_has_the_bytes_of_rank_0(void)
{
    static const size_t sizes[] = {0, 1, 7, 4095, 4096, 4097, (2 << 20) - 64, 2 << 20, (5 << 20) + 3};
    quern_context *context = with_memory(UINT64_C(1) << 30, QUERN_AUTO);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        check_value(context, sizes[i]);
    quern_context_destroy(context);
}

static void a_value_may_be_larger_than_dev_shm(void)
{
    quern_context *context = with_memory(UINT64_C(1) << 30, QUERN_AUTO);
    check_value(context, LARGE_BYTES);
    quern_context_destroy(context);
}

static void ranks_of_a_node_share_one_copy_unless_told_not_to(void)
{
    quern_context *context = with_memory(UINT64_C(1) << 30, QUERN_AUTO);
    quern_shared *shared = share(context, "once", 4);
    CHECK_SAME(quern_shared_is_private(shared), 0);
    quern_context_destroy(context);
    context = with_memory(UINT64_C(1) << 30, QUERN_OFF);
    check_value(context, 100000);
    shared = share(context, "each", 4);
    CHECK_SAME(quern_shared_is_private(shared), kit_size() > 1);
    quern_context_destroy(context);
}

/* One rank that may not open the memory of another is enough. */
static void one_rank_that_cannot_share_gives_all_of_its_node_copies(void)
{
    quern_context *context = with_memory(UINT64_C(1) << 30, kit_rank() == kit_size() - 1 ? QUERN_OFF : QUERN_ON);
    check_value(context, 3 << 20);
    quern_shared *shared = share(context, "each", 4);
    CHECK_SAME(quern_shared_is_private(shared), kit_size() > 1);
    CHECK(memcmp(quern_shared_data(shared), "each", 4) == 0);
    quern_context_destroy(context);
}

/* ---- callbacks ---- */

typedef struct dictionary {
    uint64_t meanings[WORD_COUNT];
} dictionary;

static int look_up(const quern_record *in, quern_record *out, void *user)
{
    const dictionary *words = quern_shared_data(user);
    static uint64_t meaning;
    meaning = words->meanings[kit_number(in->key) % WORD_COUNT];
    *out = (quern_record){in->key, quern_of_u64(&meaning)};
    return 0;
}

static int share_inside(const quern_record *in, quern_record *out, void *user)
{
    quern_shared *shared = NULL;
    (void)in;
    *out = *in;
    CHECK(quern_broadcast(user, "x", 1, &shared) == QUERN_ERROR_INVALID_ARGUMENT);
    CHECK(shared == NULL);
    return 0;
}

static const char *write_numbers(void)
{
    static const char *path;
    kit_text lines = {0};
    for (int i = 0; i < 5000; i++)
        kit_put(&lines, "%d\n", i);
    path = kit_path("numbers");
    kit_write_for_all(path, &lines);
    kit_free(&lines);
    return path;
}

static void callbacks_look_things_up_in_it(void)
{
    quern_context *context = with_memory(UINT64_C(1) << 28, QUERN_AUTO);
    const char *path = write_numbers();
    dictionary words;
    for (uint64_t i = 0; i < WORD_COUNT; i++)
        words.meanings[i] = i * i + 3;
    quern_shared *shared = share(context, &words, sizeof words);
    kit_text expected = {0};
    quern_dataset *lines = quern_read_text(context, &path, 1, NULL);
    quern_write_text(quern_map(lines, bytes_u64, look_up, shared), kit_path("out.meanings"));
    kit_run(context);
    for (uint64_t i = 0; i < 5000; i++)
        kit_put(&expected, "%" PRIu64 "\t%" PRIu64 "\n", i, (i % WORD_COUNT) * (i % WORD_COUNT) + 3);
    kit_check_output(kit_path("out.meanings"), &expected, true);
    kit_free(&expected);
    quern_context_destroy(context);
}

static void it_is_refused_inside_a_callback(void)
{
    quern_context *context = with_memory(UINT64_C(1) << 28, QUERN_AUTO);
    const char *path = write_numbers();
    quern_dataset *lines = quern_read_text(context, &path, 1, NULL);
    quern_schema lines_alone = {QUERN_BYTES, QUERN_NONE, 0};
    quern_write_text(quern_count_by_key(quern_map(lines, lines_alone, share_inside, context)), kit_path("out.inside"));
    kit_run(context);
    quern_context_destroy(context);
}

/* ---- the budget ---- */

static void more_than_half_of_the_memory_is_refused_on_all_ranks_alike(void)
{
    uint64_t memory_bytes = ((uint64_t)32 << 20) * (uint64_t)kit_size();
    quern_context *context = with_memory(memory_bytes, QUERN_AUTO);
    size_t third = memory_bytes / 3;
    uint8_t *bytes = make_bytes(third, 1);
    quern_shared *second = (quern_shared *)bytes;
    quern_shared *first = share(context, bytes, third);
    quern_status status = quern_broadcast(context, bytes, third, &second);
    kit_check_alike(status, quern_context_error_text(context));
    CHECK_STATUS(status, QUERN_ERROR_BUDGET, quern_context_error_text(context));
    CHECK_HAS(quern_context_error_text(context), "raise memory");
    CHECK(second == (quern_shared *)bytes);
    quern_shared_free(first);
    second = share(context, bytes, third); /* there is room again */
    quern_shared_free(second);
    free(bytes);
    quern_context_destroy(context);
}

/* With a copy for each rank the same bytes are too many. */
static void copies_count_once_for_each_rank(void)
{
    uint64_t memory_bytes = ((uint64_t)32 << 20) * (uint64_t)kit_size();
    quern_context *context = with_memory(memory_bytes, QUERN_OFF);
    size_t third = memory_bytes / 3;
    uint8_t *bytes = make_bytes(third, 1);
    quern_shared *shared = NULL;
    quern_status status = quern_broadcast(context, bytes, third, &shared);
    CHECK((status == QUERN_OK) == (kit_size() == 1));
    CHECK(kit_size() == 1 || status == QUERN_ERROR_BUDGET);
    free(bytes);
    quern_context_destroy(context);
}

static void what_is_broadcast_leaves_the_rest_to_runs(void)
{
    uint64_t memory_bytes = ((uint64_t)24 << 20) * (uint64_t)kit_size();
    quern_context *context = with_memory(memory_bytes, QUERN_AUTO);
    const char *path = write_numbers();
    uint8_t *bytes = make_bytes(memory_bytes / 4, 1);
    quern_shared *shared = share(context, bytes, memory_bytes / 4);
    quern_dataset *lines = quern_read_text(context, &path, 1, NULL);
    quern_write_text(quern_count_by_key(lines), kit_path("out.beside"));
    kit_run(context);
    CHECK(memcmp(quern_shared_data(shared), bytes, 4096) == 0);
    free(bytes);
    quern_context_destroy(context);
}

/* ---- arguments ---- */

static void wrong_arguments_of_one_rank_are_refused_on_all(void)
{
    quern_context *context = with_memory(UINT64_C(1) << 28, QUERN_AUTO);
    quern_shared *shared = NULL;
    quern_status status = quern_broadcast(context, NULL, 5, &shared);
    kit_check_alike(status, quern_context_error_text(context));
    CHECK_STATUS(status, QUERN_ERROR_INVALID_ARGUMENT, quern_context_error_text(context));
    status = quern_broadcast(context, "x", 1, kit_rank() == kit_size() - 1 ? NULL : &shared);
    kit_check_alike(status, quern_context_error_text(context));
    CHECK_STATUS(status, QUERN_ERROR_INVALID_ARGUMENT, quern_context_error_text(context));
    CHECK(shared == NULL);
    CHECK(quern_broadcast(NULL, "x", 1, &shared) != QUERN_OK);
    quern_shared_free(NULL);
    check_value(context, 10);
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    RUN(every_rank_has_the_bytes_of_rank_0, 20);
    RUN(a_value_may_be_larger_than_dev_shm, 20);
    RUN(ranks_of_a_node_share_one_copy_unless_told_not_to, 15);
    RUN(one_rank_that_cannot_share_gives_all_of_its_node_copies, 15);
    RUN(callbacks_look_things_up_in_it, 15);
    RUN(it_is_refused_inside_a_callback, 15);
    RUN(more_than_half_of_the_memory_is_refused_on_all_ranks_alike, 20);
    RUN(copies_count_once_for_each_rank, 15);
    RUN(what_is_broadcast_leaves_the_rest_to_runs, 15);
    RUN(wrong_arguments_of_one_rank_are_refused_on_all, 15);
    return kit_finish();
}
