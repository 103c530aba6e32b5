/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/data/test_spill_encrypted.c: runs that are encrypted come back, nothing of them is to be seen, and no byte of them, no block and no file
 * can be put in the place of another.
 */
#include "runtime/data/spill.h"
#include "tests/data/spillkit.h"
#include "tests/kit.h"

#define BLOCK_BYTES 4096
#define RECORD      "a record of the user's, number "

static kit_directory directory;
static qn_error error;
static qn_spill spill;
static qn_cipher *cipher;

static void set_up(void)
{
    static const uint8_t key[QN_KEY_FILE_BYTES] = {1, 2, 3};
    kit_make_directory(&directory);
    qn_error_clear(&error);
    kit_assert_ok(qn_cipher_create(key, &cipher, &error), &error);
}

static void tear_down(void)
{
    qn_spill_fini(&spill);
    qn_cipher_destroy(cipher);
    kit_remove_directory(&directory);
}

static void begin(qn_spill *of, size_t block_bytes)
{
    qn_spill_init(of, (qn_scratch){directory.path, cipher}, QN_BLOCK_PACKED, block_bytes);
}

static size_t make_record(uint64_t number, char *record)
{
    return (size_t)sprintf(record, RECORD "%llu;", (unsigned long long)number);
}

static void put_all(qn_run_writer *writer, uint64_t first, uint64_t count)
{
    char record[100];
    for (uint64_t i = first; i < first + count; i++)
        kit_assert_ok(qn_run_writer_put_packed(writer, record, make_record(i, record), &error), &error);
}

static qn_run write_run(qn_spill *to, uint64_t first, uint64_t count)
{
    qn_run_writer writer;
    qn_run run = {0};
    kit_assert_ok(qn_run_writer_open(&writer, to, &error), &error);
    put_all(&writer, first, count);
    kit_assert_ok(qn_run_writer_close(&writer, &run, &error), &error);
    return run;
}

/* Records that came before the end or a failure; all are those that were written. */
static uint64_t read_run(qn_spill *from, const qn_run *run, uint64_t first, quern_status *status_out)
{
    qn_run_reader reader = {0};
    const uint8_t *records = NULL;
    uint64_t bytes = 1, count = 0;
    char record[100];
    qn_error_clear(&error);
    quern_status status = qn_run_reader_open(&reader, from, run, &error);
    while (status == QUERN_OK && bytes > 0) {
        status = qn_run_reader_next_block(&reader, &records, &bytes, &error);
        for (uint64_t at = 0; status == QUERN_OK && at < bytes; count++) {
            size_t record_bytes = make_record(first + count, record);
            ck_assert_uint_le(at + record_bytes, bytes);
            ck_assert_mem_eq(records + at, record, record_bytes);
            at += record_bytes;
        }
    }
    qn_run_reader_close(&reader);
    *status_out = status;
    return count;
}

static void check_run(qn_spill *from, const qn_run *run, uint64_t first)
{
    quern_status status = QUERN_OK;
    ck_assert_uint_eq(read_run(from, run, first, &status), run->row_count);
    kit_assert_ok(status, &error);
}

static void check_refused(qn_spill *from, const qn_run *run, uint64_t first, const char *what)
{
    quern_status status = QUERN_OK;
    read_run(from, run, first, &status);
    ck_assert_msg(status == QUERN_ERROR_CORRUPT, "%s: status %d", what, (int)status);
    ck_assert_ptr_nonnull(strstr(error.text, directory.path));
}

START_TEST(runs_of_all_sizes_come_back_and_nothing_of_them_is_in_the_file)
{
    static const size_t block_sizes[] = {sizeof(qn_block_header), 64, 4096, 8192, 32768, 65536, 1 << 20};
    for (size_t i = 0; i < sizeof block_sizes / sizeof *block_sizes; i++)
        for (int way = 0; way < 4; way++) {
            begin(&spill, block_sizes[i]);
            spill.cached_bytes_max = way & 1 ? 0 : 8192;
            spill.compressor.compression = way & 2 ? QN_COMPRESS_ALL : QN_COMPRESS_NONE;
            qn_run runs[] = {write_run(&spill, 0, 6000), write_run(&spill, 0, 0), write_run(&spill, 7, 1),
                             write_run(&spill, 99, 900)};
            check_run(&spill, &runs[3], 99);
            check_run(&spill, &runs[2], 7);
            check_run(&spill, &runs[1], 0);
            check_run(&spill, &runs[0], 0);
            uint8_t *file = kit_take(spill.end);
            spillkit_read(&spill, file, spill.end, 0);
            ck_assert_ptr_null(memmem(file, spill.end, "record", 6));
            ck_assert_ptr_null(memmem(file, spill.end, "QBK1", 4));
            free(file);
            qn_spill_fini(&spill);
        }
}
END_TEST

START_TEST(any_changed_byte_is_noticed)
{
    begin(&spill, BLOCK_BYTES);
    write_run(&spill, 0, 10);
    qn_run run = write_run(&spill, 0, 200);
    for (uint64_t at = run.offset; at < run.offset + run.bytes; at++) {
        uint8_t byte = 0, changed = 0;
        spillkit_read(&spill, &byte, 1, at);
        changed = byte ^ (uint8_t)(1 << at % 8);
        spillkit_write(&spill, &changed, 1, at);
        check_refused(&spill, &run, 0, "a changed byte");
        spillkit_write(&spill, &byte, 1, at);
    }
    check_run(&spill, &run, 0);
}
END_TEST

START_TEST(a_run_that_is_cut_is_noticed_and_so_is_one_that_breaks_off_between_blocks)
{
    begin(&spill, BLOCK_BYTES);
    qn_run run = write_run(&spill, 0, 200);
    qn_envelope first;
    spillkit_read(&spill, &first, sizeof first, run.offset);
    uint64_t first_bytes = (sizeof first + first.bytes + 7) & ~UINT64_C(7);
    ck_assert_int_eq(ftruncate(spill.fd, (off_t)(run.offset + first_bytes)), 0);
    check_refused(&spill, &run, 0, "a cut between blocks");
    for (uint64_t bytes = 0; bytes < first_bytes; bytes += 13) {
        ck_assert_int_eq(ftruncate(spill.fd, (off_t)(run.offset + first_bytes - bytes)), 0);
        check_refused(&spill, &run, 0, "a cut");
    }
}
END_TEST

/* Both are of the same records, so that all envelopes have the same lengths. */
static void swap(const qn_spill *a, uint64_t a_offset, const qn_spill *b, uint64_t b_offset, uint64_t bytes)
{
    uint8_t *of_a = kit_take(bytes), *of_b = kit_take(bytes);
    spillkit_read(a, of_a, bytes, a_offset);
    spillkit_read(b, of_b, bytes, b_offset);
    spillkit_write(a, of_b, bytes, a_offset);
    spillkit_write(b, of_a, bytes, b_offset);
    free(of_a);
    free(of_b);
}

START_TEST(blocks_cannot_be_swapped_within_a_run_between_runs_or_between_files)
{
    qn_spill other;
    char record[100];
    begin(&spill, 64);
    begin(&other, 64);
    qn_run run = write_run(&spill, 100, 50), second = write_run(&spill, 100, 50),
           elsewhere = write_run(&other, 100, 50);
    uint64_t bytes = (sizeof(qn_envelope) + sizeof(qn_block_header) + make_record(100, record) + 7) & ~UINT64_C(7);
    swap(&spill, run.offset, &spill, run.offset + bytes, bytes);
    check_refused(&spill, &run, 100, "swapped within the run");
    swap(&spill, run.offset, &spill, run.offset + bytes, bytes);
    check_run(&spill, &run, 100);
    swap(&spill, run.offset, &spill, second.offset, bytes);
    check_refused(&spill, &run, 100, "swapped with another run");
    check_refused(&spill, &second, 100, "swapped with another run");
    swap(&spill, run.offset, &spill, second.offset, bytes);
    check_run(&spill, &second, 100);
    swap(&spill, run.offset, &other, elsewhere.offset, run.bytes);
    check_refused(&spill, &run, 100, "another file's");
    check_refused(&other, &elsewhere, 100, "another file's");
    qn_spill_fini(&other);
}
END_TEST

/* What an abandoned writer left lies where the next run begins. */
START_TEST(what_was_in_the_same_place_before_is_refused)
{
    qn_run_writer writer;
    uint8_t old[QN_SPILL_ALIGN_BYTES];
    begin(&spill, BLOCK_BYTES);
    kit_assert_ok(qn_run_writer_open(&writer, &spill, &error), &error);
    put_all(&writer, 100, 3000);
    spillkit_read(&spill, old, sizeof old, 0);
    qn_run_writer_abandon(&writer);
    qn_run run = write_run(&spill, 100, 3000);
    check_run(&spill, &run, 100);
    ck_assert_uint_eq(run.offset, 0);
    ck_assert_uint_eq(run.number, 1);
    spillkit_write(&spill, old, sizeof old, 0);
    check_refused(&spill, &run, 100, "of before");
}
END_TEST

START_TEST(another_key_or_none_opens_nothing)
{
    static const uint8_t key[QN_KEY_FILE_BYTES] = {1, 2, 4};
    qn_cipher *other = NULL;
    kit_assert_ok(qn_cipher_create(key, &other, &error), &error);
    begin(&spill, BLOCK_BYTES);
    qn_run run = write_run(&spill, 0, 1000);
    spill.cipher = other;
    check_refused(&spill, &run, 0, "another key");
    spill.cipher = NULL;
    check_refused(&spill, &run, 0, "no key");
    spill.cipher = cipher;
    check_run(&spill, &run, 0);
    qn_cipher_destroy(other);
}
END_TEST

START_TEST(what_is_not_encrypted_is_not_believed_where_there_is_a_key)
{
    begin(&spill, BLOCK_BYTES);
    spill.cipher = NULL;
    qn_run run = write_run(&spill, 0, 1000);
    check_run(&spill, &run, 0);
    spill.cipher = cipher;
    check_refused(&spill, &run, 0, "not encrypted");
}
END_TEST

START_TEST(an_envelope_that_lies_about_its_length_is_refused)
{
    static const uint64_t lies[] = {0, 1, 39, 40, UINT64_MAX, UINT64_MAX - 55, UINT64_C(1) << 40, 100000};
    begin(&spill, BLOCK_BYTES);
    qn_run run = write_run(&spill, 0, 1000);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        spillkit_write(&spill, &lies[i], 8, offsetof(qn_envelope, bytes));
        check_refused(&spill, &run, 0, "a lie");
    }
}
END_TEST

/* Magic, zero, bytes behind; nonce, tag; then the block, of which a test without encryption says what it is. */
START_TEST(a_saved_run_is_what_its_bytes_were)
{
    static const uint8_t golden[] = {
        0x51, 0x42, 0x45, 0x31, 0x00, 0x00, 0x00, 0x00, 0x31, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
        0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x0d, 0x59, 0x9b, 0x13, 0x5c, 0x55, 0x48, 0x20,
        0xb9, 0xba, 0xd4, 0x53, 0xb7, 0x74, 0x7d, 0x02, 0xa6, 0xb2, 0x75, 0xc4, 0x8c, 0xd2, 0x90, 0x02,
        0x6e, 0xb7, 0xed, 0x92, 0x5d, 0xc5, 0x6c, 0x63, 0x28, 0x55, 0x3a, 0xbe, 0xfc, 0xa5, 0xc9, 0x4d,
        0xa8, 0xc6, 0x28, 0x8f, 0x22, 0xac, 0xae, 0x58, 0x31, 0x2f, 0x3f, 0xad, 0x55, 0x01, 0x15, 0x6a,
        0x78, 0x16, 0x9a, 0xc7, 0xee, 0x70, 0x7a, 0x57, 0x79, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    };
    qn_run_reader reader;
    const uint8_t *records = NULL;
    uint64_t bytes = 0;
    begin(&spill, BLOCK_BYTES);
    write_run(&spill, 0, 1);
    memset(&spill.stamp, 7, sizeof spill.stamp);
    spillkit_write(&spill, golden, sizeof golden, 0);
    qn_run run = {.bytes = sizeof golden, .row_count = 2, .block_bytes_max = sizeof golden};
    kit_assert_ok(qn_run_reader_open(&reader, &spill, &run, &error), &error);
    kit_assert_ok(qn_run_reader_next_block(&reader, &records, &bytes, &error), &error);
    ck_assert_uint_eq(bytes, 9);
    ck_assert_mem_eq(records, "alphabeta", 9);
    qn_run_reader_close(&reader);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        runs_of_all_sizes_come_back_and_nothing_of_them_is_in_the_file,
        any_changed_byte_is_noticed,
        a_run_that_is_cut_is_noticed_and_so_is_one_that_breaks_off_between_blocks,
        blocks_cannot_be_swapped_within_a_run_between_runs_or_between_files,
        what_was_in_the_same_place_before_is_refused,
        another_key_or_none_opens_nothing,
        what_is_not_encrypted_is_not_believed_where_there_is_a_key,
        an_envelope_that_lies_about_its_length_is_refused,
        a_saved_run_is_what_its_bytes_were,
    };
    return kit_run_tests("spill_encrypted", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
