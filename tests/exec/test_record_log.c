/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/exec/test_record_log.c: records that wait come back as they went in, also on another rank; a log is bounded, and what is cut off of a
 * message is not believed.
 */
#include "runtime/exec/record_log.h"
#include "tests/exec/chain_kit.h"

static qn_record_log from, to;
static uint64_t state;

static void set_up(void)
{
    from = (qn_record_log){.bytes_max = (uint64_t)64 << 20};
    to = (qn_record_log){.bytes_max = 0}; /* of a log that is decoded it has no meaning */
    state = 12;
}

static void tear_down(void)
{
    qn_record_log_fini(&from);
    qn_record_log_fini(&to);
}

/* Keys and values of 0 to 40 bytes, now and then one of 100,000. */
static void add_random(size_t batches, bool has_values)
{
    static uint8_t bytes[100000 + QN_SLACK_BYTES];
    const void *keys[64], *values[64];
    uint32_t key_bytes[64], value_bytes[64];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)kit_random_below(&state, 256);
    for (size_t batch = 0; batch < batches; batch++) {
        size_t count = 1 + kit_random_below(&state, 64);
        for (size_t i = 0; i < count; i++) {
            key_bytes[i] = kit_random_below(&state, 500) ? (uint32_t)kit_random_below(&state, 41) : 100000;
            value_bytes[i] = (uint32_t)kit_random_below(&state, 41);
            keys[i] = bytes + kit_random_below(&state, sizeof bytes - QN_SLACK_BYTES - key_bytes[i] + 1);
            values[i] = bytes + kit_random_below(&state, 50000);
        }
        qn_batch one = {.block = {count, keys, key_bytes, has_values ? values : NULL, has_values ? value_bytes : NULL}};
        ck_assert(qn_record_log_add(&from, &one));
    }
}

static void check_same(void)
{
    qn_batch left, right;
    ck_assert_uint_eq(from.count, to.count);
    for (size_t at = 0, count; (count = qn_record_log_give(&from, at, &left)) > 0; at += count) {
        ck_assert_uint_eq(qn_record_log_give(&to, at, &right), count);
        ck_assert(!left.block.value == !right.block.value);
        for (size_t i = 0; i < count; i++) {
            quern_record one = qn_batch_record(&left, i), other = qn_batch_record(&right, i);
            ck_assert_uint_eq(one.key.bytes, other.key.bytes);
            ck_assert_uint_eq(one.value.bytes, other.value.bytes);
            ck_assert_int_eq(memcmp(one.key.data, other.key.data, one.key.bytes), 0);
            ck_assert_int_eq(memcmp(one.value.data, other.value.data, one.value.bytes), 0);
        }
    }
}

START_TEST(records_are_the_same_behind_a_message)
{
    for (size_t batches = 0; batches < 60; batches++) {
        qn_buffer message = {0};
        qn_record_log_cut(&from, 0);
        add_random(batches, batches % 2);
        qn_record_log_encode(&from, &message);
        ck_assert(!message.failed);
        qn_reader reader = qn_reader_of(message.data, message.bytes);
        ck_assert(qn_record_log_decode(&to, &reader));
        ck_assert_uint_eq(reader.left_bytes, 0);
        check_same();
        qn_buffer_fini(&message);
    }
}
END_TEST

START_TEST(a_message_that_is_cut_off_or_lies_is_refused)
{
    qn_buffer message = {0};
    add_random(3, true);
    qn_record_log_encode(&from, &message);
    for (size_t bytes = 0; bytes < message.bytes; bytes += 1 + message.bytes / 997) {
        uint8_t *copy = kit_take(bytes + 1); /* so that a read behind it is seen */
        memcpy(copy, message.data, bytes);
        qn_reader reader = qn_reader_of(copy, bytes);
        ck_assert(!qn_record_log_decode(&to, &reader));
        ck_assert_uint_eq(to.count, 0);
        free(copy);
    }
    message.data[0] += 1; /* a record more */
    qn_reader reader = qn_reader_of(message.data, message.bytes);
    ck_assert(!qn_record_log_decode(&to, &reader));
    memset(message.data, 0xff, sizeof(uint64_t));
    reader = qn_reader_of(message.data, message.bytes);
    ck_assert(!qn_record_log_decode(&to, &reader));
    qn_buffer_fini(&message);
}
END_TEST

START_TEST(a_full_log_takes_nothing_more_and_keeps_what_it_has)
{
    const char *text = "0123456789012345678901234567890123456789";
    const void *keys[] = {text, text};
    const uint32_t lengths[] = {10, 20};
    qn_batch two = {.block = {.count = 2, .key = keys, .key_bytes = lengths}};
    from.bytes_max = 10000;
    size_t count = 0;
    while (qn_record_log_add(&from, &two))
        count += 2;
    ck_assert_uint_eq(from.count, count);
    ck_assert(from.used_bytes + count * sizeof *from.records <= from.bytes_max && count > 50);
    qn_record_log_cut(&from, count - 1);
    qn_batch one = qn_batch_slice(&two, 1, 1);
    ck_assert(qn_record_log_add(&from, &one));
    ck_assert_uint_eq(from.records[0].key_bytes, 10);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        records_are_the_same_behind_a_message,
        a_message_that_is_cut_off_or_lies_is_refused,
        a_full_log_takes_nothing_more_and_keeps_what_it_has,
    };
    return kit_run_tests("record_log", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
