/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/engine/test_collect.c: the sink that keeps records for the program, and bringing together what two ranks have.
 *
 * The other rank is its bytes: a communicator that adds them wherever this rank meets it.
 */
#include <inttypes.h>

#include "runtime/engine/collect.h"
#include "tests/kit.h"
#include "tests/refusal.h"

#define KEPT_BYTES_MAX ((uint64_t)1 << 20)

static qn_node node;
static qn_sink sink;
static qn_sink_writer writer;
static qn_error error;

/* What arrived, as text. */
static struct arrived {
    char text[4096];
    size_t bytes;
    int fail_at; /* a number of calls; 0: never */
    int calls;
} arrived;

static int take(const quern_record *record, void *user)
{
    (void)user;
    if (++arrived.calls == arrived.fail_at)
        return 3;
    if (!record->key.data || !record->value.data)
        abort(); /* an assertion of Check's takes memory, which may be refused now */
    arrived.bytes += (size_t)snprintf(arrived.text + arrived.bytes, sizeof arrived.text - arrived.bytes, "%.*s=%.*s;",
                                      (int)record->key.bytes, (const char *)record->key.data, (int)record->value.bytes,
                                      (const char *)record->value.data);
    return 0;
}

static void open_writer(quern_schema schema, quern_collect_to to)
{
    node = (qn_node){.schema = schema};
    sink = (qn_sink){.kind = QN_SINK_COLLECT, .input = &node, .collect_to = to, .each = take};
    writer = (qn_sink_writer){.sink = &sink, .schema = schema, .kept_bytes_max = KEPT_BYTES_MAX};
    error = (qn_error){0};
    memset(&arrived, 0, sizeof arrived);
    kit_assert_ok(qn_collect_init(&writer, &error), &error);
}

static quern_status put_bytes(const void *key, uint32_t key_bytes, const void *value, uint32_t value_bytes)
{
    qn_batch batch = {
        .block = {.count = 1, .key = &key, .key_bytes = &key_bytes, .value = &value, .value_bytes = &value_bytes}};
    return qn_collect_put(&writer, &batch, &error);
}

static void put(const char *key, const char *value)
{
    kit_assert_ok(put_bytes(key, (uint32_t)strlen(key), value, (uint32_t)strlen(value)), &error);
}

static void begin(uint64_t number)
{
    kit_assert_ok(qn_collect_begin_part(&writer, number, &error), &error);
}

static void put_part(uint64_t number, const char *key, const char *value)
{
    begin(number);
    put(key, value);
    qn_collect_end_part(&writer);
}

/* ---- two ranks ---- */

static struct other {
    uint8_t bytes[4096];
    size_t byte_count, part_count;
    uint8_t all[8192]; /* what rank 0 broadcasts, when this is rank 1 */
    size_t sent_bytes;
    int collects, broadcasts;
} other;

static quern_status add_other(qn_comm *comm, uint64_t *numbers, size_t count, int operation, qn_error *failure)
{
    (void)comm, (void)operation, (void)failure;
    if (count == 2) { /* sums of bytes and parts; one number is an agreement */
        numbers[0] += other.byte_count;
        numbers[1] += other.part_count;
    }
    return QUERN_OK;
}

static quern_status collect_other(qn_comm *comm, const void *mine, size_t bytes, void **all_out, size_t *bytes_out,
                                  qn_error *failure)
{
    (void)failure;
    other.collects++;
    uint8_t *all = comm->rank == 0 ? kit_take(bytes + other.byte_count) : other.all;
    size_t at = comm->rank == 0 ? bytes : other.byte_count;
    memcpy(comm->rank == 0 ? all : all + at, mine, bytes);
    memcpy(comm->rank == 0 ? all + at : all, other.bytes, other.byte_count);
    *all_out = comm->rank == 0 ? all : NULL;
    *bytes_out = comm->rank == 0 ? bytes + other.byte_count : 0;
    return QUERN_OK;
}

static quern_status broadcast_all(qn_comm *comm, void *data, size_t bytes, uint32_t root, qn_error *failure)
{
    (void)root, (void)failure;
    if (data != &error) { /* an agreement sends the error, which stays */
        other.broadcasts++;
        if (comm->rank != 0)
            memcpy(data, other.all, bytes);
    }
    return QUERN_OK;
}

static const qn_comm_ops two_ops = {.reduce = add_other, .collect = collect_other, .broadcast = broadcast_all};

static qn_comm rank_of_two(uint32_t rank)
{
    return (qn_comm){.ops = &two_ops, .rank = rank, .size = 2};
}

/* What the writer has becomes the other rank's. */
static void give_to_other(void)
{
    memset(&other, 0, sizeof other);
    memcpy(other.bytes, writer.collected, writer.kept_bytes);
    other.byte_count = writer.kept_bytes;
    other.part_count = writer.kept_part_count;
    qn_collect_free(&writer);
}

static const quern_schema bytes_bytes = {QUERN_BYTES, QUERN_BYTES, 0};

static void make_other(quern_collect_to to)
{
    open_writer(bytes_bytes, to);
    put_part(3, "d", "4");
    put_part(0, "a", "1");
    give_to_other();
    open_writer(bytes_bytes, to);
    put_part(2, "c", "3");
    put_part(1, "b", "2");
}

START_TEST(parts_of_all_ranks_arrive_by_number)
{
    for (uint32_t rank = 0; rank < 2; rank++) {
        for (int to = QUERN_COLLECT_ROOT; to <= QUERN_COLLECT_LOCAL; to++) {
            qn_comm comm = rank_of_two(rank);
            make_other((quern_collect_to)to);
            kit_assert_ok(qn_collect_deliver(&writer, &comm, KEPT_BYTES_MAX, &error), &error);
            const char *gets_all = "a=1;b=2;c=3;d=4;", *expected = to == QUERN_COLLECT_LOCAL ? "b=2;c=3;" : gets_all;
            ck_assert_str_eq(arrived.text, to == QUERN_COLLECT_ROOT && rank == 1 ? "" : expected);
            ck_assert_int_eq(other.collects, to != QUERN_COLLECT_LOCAL);
            ck_assert_int_eq(other.broadcasts, to == QUERN_COLLECT_ALL);
            ck_assert_ptr_null(writer.collected);
        }
    }
}
END_TEST

START_TEST(what_does_not_fit_beside_its_own_is_refused_before_it_is_sent)
{
    for (int to = QUERN_COLLECT_ROOT; to <= QUERN_COLLECT_LOCAL; to++) {
        qn_comm comm = rank_of_two(0);
        make_other((quern_collect_to)to);
        uint64_t need_bytes = 2 * writer.kept_bytes + other.byte_count + 4 * 24;
        uint64_t memory_bytes = to == QUERN_COLLECT_LOCAL ? 0 : need_bytes - 1;
        quern_status status = qn_collect_deliver(&writer, &comm, memory_bytes, &error);
        ck_assert_int_eq(status, to == QUERN_COLLECT_LOCAL ? QUERN_OK : QUERN_ERROR_BUDGET);
        ck_assert_int_eq(other.collects, 0);
        make_other((quern_collect_to)to);
        kit_assert_ok(qn_collect_deliver(&writer, &comm, need_bytes, &error), &error);
    }
}
END_TEST

START_TEST(a_rank_that_gets_nothing_needs_no_room)
{
    qn_comm comm = rank_of_two(1);
    make_other(QUERN_COLLECT_ROOT);
    kit_assert_ok(qn_collect_deliver(&writer, &comm, 1, &error), &error);
    make_other(QUERN_COLLECT_ALL);
    ck_assert_int_eq(qn_collect_deliver(&writer, &comm, 1, &error), QUERN_ERROR_BUDGET);
    ck_assert_ptr_nonnull(strstr(error.text, "QUERN_COLLECT_LOCAL"));
}
END_TEST

START_TEST(refused_memory_is_an_error_and_nothing_leaks)
{
    for (int to = QUERN_COLLECT_ROOT; to <= QUERN_COLLECT_ALL; to++) {
        qn_comm comm = rank_of_two(1);
        quern_status status = QUERN_ERROR_NO_MEMORY;
        for (int left = 0; status != QUERN_OK; left++) {
            ck_assert_int_lt(left, 10);
            make_other((quern_collect_to)to);
            allocations_left = left;
            status = qn_collect_deliver(&writer, &comm, KEPT_BYTES_MAX, &error);
            allocations_left = -1;
            ck_assert_int_eq(status, status == QUERN_OK ? QUERN_OK : QUERN_ERROR_NO_MEMORY);
        }
    }
    allocations_left = 0;
    writer = (qn_sink_writer){.sink = &sink, .kept_bytes_max = KEPT_BYTES_MAX};
    error = (qn_error){0};
    quern_status status = qn_collect_init(&writer, &error);
    allocations_left = -1;
    ck_assert_int_eq(status, QUERN_ERROR_NO_MEMORY);
    qn_collect_free(&writer);
}
END_TEST

/* ---- one rank ---- */

static void deliver_here(void)
{
    qn_comm comm = {.ops = &two_ops, .size = 1};
    kit_assert_ok(qn_collect_deliver(&writer, &comm, 0, &error), &error);
}

START_TEST(a_dropped_part_was_never_there)
{
    memset(&other, 0, sizeof other);
    open_writer(bytes_bytes, QUERN_COLLECT_ROOT);
    put_part(1, "b", "2");
    uint64_t bytes = writer.kept_bytes;
    begin(0);
    put("a", "x");
    put("b", "y");
    qn_collect_drop_part(&writer);
    begin(7);
    qn_collect_end_part(&writer); /* empty */
    ck_assert_uint_eq(writer.kept_bytes, bytes);
    ck_assert_uint_eq(writer.kept_part_count, 1);
    put_part(0, "a", "1");
    deliver_here();
    ck_assert_str_eq(arrived.text, "a=1;b=2;");
}
END_TEST

START_TEST(fields_may_be_empty_or_of_fixed_size)
{
    uint64_t number = UINT64_C(0x3837363534333231);
    open_writer(bytes_bytes, QUERN_COLLECT_ALL);
    begin(0);
    put("", "v");
    put("k", "");
    put("", "");
    qn_collect_end_part(&writer);
    deliver_here();
    ck_assert_str_eq(arrived.text, "=v;k=;=;");
    open_writer((quern_schema){QUERN_U64, QUERN_NONE, 0}, QUERN_COLLECT_ALL);
    begin(0);
    kit_assert_ok(put_bytes(&number, 8, "ignored", 7), &error);
    qn_collect_end_part(&writer);
    ck_assert_uint_eq(writer.kept_bytes, 16 + 8);
    deliver_here();
    ck_assert_str_eq(arrived.text, "12345678=;");
    open_writer((quern_schema){QUERN_I64, QUERN_FIXED, 3}, QUERN_COLLECT_ALL);
    begin(0);
    kit_assert_ok(put_bytes(&number, 8, "abc", 3), &error);
    qn_collect_end_part(&writer);
    ck_assert_uint_eq(writer.kept_bytes, 16 + 8 + 3);
    deliver_here();
    ck_assert_str_eq(arrived.text, "12345678=abc;");
    open_writer((quern_schema){QUERN_FIXED, QUERN_U32, 0, 5}, QUERN_COLLECT_ALL);
    begin(0);
    kit_assert_ok(put_bytes(&number, 5, "abcd", 4), &error);
    qn_collect_end_part(&writer);
    ck_assert_uint_eq(writer.kept_bytes, 16 + 5 + 4);
    deliver_here();
    ck_assert_str_eq(arrived.text, "12345=abcd;");
    open_writer((quern_schema){QUERN_PAIR(QUERN_I32, QUERN_BYTES), QUERN_F64, 0}, QUERN_COLLECT_ALL);
    begin(0);
    kit_assert_ok(put_bytes(&number, 5, "abcdefgh", 8), &error);
    kit_assert_ok(put_bytes(&number, 4, "ABCDEFGH", 8), &error);
    qn_collect_end_part(&writer);
    ck_assert_uint_eq(writer.kept_bytes, 16 + 4 + 5 + 8 + 4 + 4 + 8);
    deliver_here();
    ck_assert_str_eq(arrived.text, "12345=abcdefgh;1234=ABCDEFGH;");
}
END_TEST

START_TEST(the_budget_holds_to_the_byte)
{
    static char value[KEPT_BYTES_MAX];
    const uint32_t most = KEPT_BYTES_MAX - 16 - 8 - 1;
    memset(value, 'v', sizeof value);
    open_writer(bytes_bytes, QUERN_COLLECT_ALL);
    begin(0);
    ck_assert_int_eq(put_bytes("k", 1, value, most + 1), QUERN_ERROR_BUDGET);
    ck_assert_ptr_nonnull(strstr(error.text, "raise memory"));
    ck_assert_ptr_nonnull(strstr(error.text, "1.0 MiB"));
    qn_collect_drop_part(&writer);
    ck_assert_uint_eq(writer.kept_bytes, 0);
    error = (qn_error){0};
    begin(0);
    kit_assert_ok(put_bytes("k", 1, value, most), &error);
    qn_collect_end_part(&writer);
    ck_assert_uint_eq(writer.kept_bytes, KEPT_BYTES_MAX);
    ck_assert_int_eq(qn_collect_begin_part(&writer, 1, &error), QUERN_ERROR_BUDGET);
    qn_collect_free(&writer);
}
END_TEST

START_TEST(a_callback_that_fails_gets_no_more)
{
    qn_comm comm = {.ops = &two_ops, .size = 1};
    open_writer(bytes_bytes, QUERN_COLLECT_ALL);
    begin(0);
    for (int i = 0; i < 5; i++)
        put("k", "v");
    qn_collect_end_part(&writer);
    arrived.fail_at = 3;
    qn_collect_deliver(&writer, &comm, 0, &error);
    ck_assert_int_eq(error.status, QUERN_ERROR_CALLBACK);
    ck_assert_ptr_nonnull(strstr(error.text, "returned 3"));
    ck_assert_int_eq(arrived.calls, 3);
    ck_assert_ptr_null(writer.collected);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        parts_of_all_ranks_arrive_by_number,    what_does_not_fit_beside_its_own_is_refused_before_it_is_sent,
        a_rank_that_gets_nothing_needs_no_room, refused_memory_is_an_error_and_nothing_leaks,
        a_dropped_part_was_never_there,         fields_may_be_empty_or_of_fixed_size,
        the_budget_holds_to_the_byte,           a_callback_that_fails_gets_no_more,
    };
    return kit_run_tests("collect", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
