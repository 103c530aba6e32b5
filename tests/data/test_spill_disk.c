/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/data/test_spill_disk.c: the bytes of runs on disk: their format, compressed or not, past the page cache or not, in large
 * pieces, while others go on, and on a disk that is full or fails.
 */
#include "runtime/base/pages.h"
#include "runtime/data/spill.h"
#include "tests/data/spillkit.h"
#include "tests/disk.h"
#include "tests/kit.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#define RECORD_BYTES 100
#define BLOCK_BYTES  65536
#define SKIP_CODE    77

static kit_directory directory;
static qn_error error;
static qn_spill spill;
static void set_up(void)
{
    kit_make_directory(&directory);
    qn_error_clear(&error);
    disk_reset();
}

static void tear_down(void)
{
    qn_spill_fini(&spill);
    kit_remove_directory(&directory);
}

static void make_record(uint64_t number, bool is_noise, uint8_t *record)
{
    uint64_t state = number;
    memset(record, 'a', RECORD_BYTES);
    memcpy(record, &number, sizeof number);
    for (size_t i = 8; i < RECORD_BYTES && is_noise; i++)
        record[i] = (uint8_t)kit_random(&state);
}

static quern_status try_write(uint64_t count, bool is_noise, qn_run *run_out)
{
    qn_run_writer writer = {0};
    uint8_t record[RECORD_BYTES];
    quern_status status = qn_run_writer_open(&writer, &spill, &error);
    for (uint64_t i = 0; i < count && status == QUERN_OK; i++) {
        make_record(i, is_noise, record);
        status = qn_run_writer_put_packed(&writer, record, sizeof record, &error);
    }
    if (status == QUERN_OK)
        return qn_run_writer_close(&writer, run_out, &error);
    qn_run_writer_abandon(&writer);
    return status;
}

static qn_run write_packed(uint64_t count, bool is_noise)
{
    qn_run run = {0};
    kit_assert_ok(try_write(count, is_noise, &run), &error);
    ck_assert_uint_eq(run.row_count, count);
    return run;
}

/* Reads a run of such records; returns how many came, all right, before the end or a failure. */
static uint64_t read_packed(const qn_run *run, bool is_noise, void *memory, size_t bytes, quern_status *status_out)
{
    qn_run_reader reader = {0};
    const uint8_t *records = NULL;
    uint64_t got_bytes = 1, count = 0;
    quern_status status = qn_run_reader_open_in(&reader, &spill, run, memory, bytes, &error);
    while (status == QUERN_OK && got_bytes > 0) {
        status = qn_run_reader_next_block(&reader, &records, &got_bytes, &error);
        for (uint64_t at = 0; status == QUERN_OK && at + RECORD_BYTES <= got_bytes; at += RECORD_BYTES) {
            uint8_t record[RECORD_BYTES];
            make_record(count++, is_noise, record);
            if (memcmp(record, records + at, RECORD_BYTES) != 0)
                ck_abort_msg("record %llu is another", (unsigned long long)count - 1);
        }
    }
    qn_run_reader_close(&reader);
    *status_out = status;
    return count;
}

static void check_packed(const qn_run *run, bool is_noise)
{
    quern_status status = QUERN_OK;
    ck_assert_uint_eq(read_packed(run, is_noise, NULL, 0, &status), run->row_count);
    kit_assert_ok(status, &error);
}

/* Magic, flags, records, kind of values; bytes here, 8; bytes of what LZ4 made smaller, 8; checksum, 8; payload; zeros. */
START_TEST(a_run_is_the_bytes_that_it_was)
{
    static const uint8_t golden[] = {
        0x51, 0x42, 0x4b, 0x31, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0xff, 0xff,
        0xff, 0xff, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x15, 0x92, 0xcd, 0x3b, 0xd3, 0xb6, 0x63, 0xf0, 0x61, 0x6c,
        0x70, 0x68, 0x61, 0x62, 0x65, 0x74, 0x61, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    };
    uint8_t got[QN_SPILL_ALIGN_BYTES];
    qn_run_writer writer;
    qn_run run;
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, QN_BLOCK_PACKED, BLOCK_BYTES);
    kit_assert_ok(qn_run_writer_open(&writer, &spill, &error), &error);
    kit_assert_ok(qn_run_writer_put_packed(&writer, "alpha", 5, &error), &error);
    kit_assert_ok(qn_run_writer_put_packed(&writer, "beta", 4, &error), &error);
    kit_assert_ok(qn_run_writer_close(&writer, &run, &error), &error);
    ck_assert_uint_eq(run.bytes, sizeof golden);
    spillkit_read(&spill, got, sizeof got, 0);
    ck_assert_mem_eq(got, golden, sizeof golden);
    for (size_t i = sizeof golden; i < sizeof got; i++)
        ck_assert_uint_eq(got[i], 0);
}
END_TEST

START_TEST(a_compressed_run_is_what_its_bytes_were)
{
    static const uint8_t golden[] = {
        0x51, 0x42, 0x4b, 0x31, 0x02, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0xff, 0xff,
        0xff, 0xff, 0x0b, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x24, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0xd6, 0xea, 0xc0, 0x1d, 0xe7, 0xd5, 0x5c, 0xa1, 0x1f, 0x61,
        0x01, 0x00, 0x0b, 0x50, 0x62, 0x62, 0x62, 0x62, 0x62, 0x00, 0x00, 0x00, 0x00, 0x00,
    };
    qn_run_reader reader;
    const uint8_t *records = NULL;
    uint64_t bytes = 0;
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, QN_BLOCK_PACKED, BLOCK_BYTES);
    qn_run run = write_packed(1, true);
    spillkit_write(&spill, golden, sizeof golden, run.offset);
    run = (qn_run){.bytes = sizeof golden, .row_count = 3, .block_bytes_max = sizeof golden, .unpacked_bytes_max = 36};
    kit_assert_ok(qn_run_reader_open(&reader, &spill, &run, &error), &error);
    kit_assert_ok(qn_run_reader_next_block(&reader, &records, &bytes, &error), &error);
    ck_assert_uint_eq(bytes, 36);
    ck_assert_mem_eq(records, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbb", 36);
    qn_run_reader_close(&reader);
}
END_TEST

START_TEST(compressed_runs_take_less_and_come_back_in_blocks)
{
    for (int direct = 0; direct < 2; direct++) {
        qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, QN_BLOCK_PACKED, BLOCK_BYTES);
        spill.compressor.compression = QN_COMPRESS_ALL;
        spill.cached_bytes_max = direct ? 0 : QN_SPILL_CACHED_BYTES_MAX;
        qn_run runs[3] = {write_packed(50000, false), write_packed(1, false), write_packed(20000, false)};
        for (size_t n = 3; n-- > 0;) {
            ck_assert_uint_eq(runs[n].offset % QN_SPILL_ALIGN_BYTES, 0);
            check_packed(&runs[n], false);
        }
        ck_assert_uint_ge(spill.raw_bytes, 70001 * RECORD_BYTES);
        ck_assert_uint_lt(spill.raw_bytes, 70001 * RECORD_BYTES / 100 * 101);
        ck_assert_uint_lt(spill.written_bytes, spill.raw_bytes / 4);
        qn_spill_fini(&spill);
    }
}
END_TEST

START_TEST(noise_is_written_as_it_is)
{
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, QN_BLOCK_PACKED, BLOCK_BYTES);
    spill.compressor.compression = QN_COMPRESS_ALL;
    qn_run run = write_packed(50000, true);
    ck_assert_uint_eq(run.unpacked_bytes_max, 0);
    ck_assert_uint_lt(spill.written_bytes, 50000 * RECORD_BYTES / 100 * 101 + QN_SPILL_ALIGN_BYTES);
    check_packed(&run, true);
}
END_TEST

START_TEST(any_change_of_a_compressed_run_is_noticed)
{
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, QN_BLOCK_PACKED, BLOCK_BYTES);
    spill.compressor.compression = QN_COMPRESS_ALL;
    spill.cached_bytes_max = 0;
    qn_run run = write_packed(2000, false);
    for (uint64_t at = 0; at < run.bytes; at += at < 64 || at > run.bytes - 64 ? 1 : 31) {
        uint8_t byte = 0;
        quern_status status = QUERN_OK;
        spillkit_read(&spill, &byte, 1, at);
        byte ^= (uint8_t)(1 << at % 8);
        spillkit_write(&spill, &byte, 1, at);
        qn_error_clear(&error);
        ck_assert_uint_lt(read_packed(&run, false, NULL, 0, &status), run.row_count);
        ck_assert_msg(status == QUERN_ERROR_CORRUPT, "byte %llu", (unsigned long long)at);
        byte ^= (uint8_t)(1 << at % 8);
        spillkit_write(&spill, &byte, 1, at);
    }
    qn_error_clear(&error);
    check_packed(&run, false);
}
END_TEST

START_TEST(a_reader_reads_as_far_ahead_as_its_memory_lets_it_and_each_byte_once)
{
    static const size_t sizes[] = {BLOCK_BYTES, 1 << 20, 4 << 20};
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, QN_BLOCK_PACKED, BLOCK_BYTES);
    spill.cached_bytes_max = 0;
    qn_run run = write_packed(100000, true);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        quern_status status = QUERN_OK;
        void *memory = qn_pages_reserve(sizes[i], false);
        disk_reset();
        ck_assert_uint_eq(read_packed(&run, true, memory, sizes[i], &status), run.row_count);
        kit_assert_ok(status, &error);
        ck_assert_uint_ge(disk.reads.bytes, run.bytes);
        ck_assert_uint_lt(disk.reads.bytes, run.bytes + QN_SPILL_ALIGN_BYTES);
        ck_assert_uint_le(disk.reads.calls, 2 + run.bytes / (sizes[i] - BLOCK_BYTES / 2));
        qn_pages_unreserve(memory, sizes[i]);
    }
}
END_TEST

START_TEST(a_usual_block_needs_no_more_memory_than_it_is_said)
{
    static const size_t sizes[] = {8192, 12288, 32768, 65536, 262144};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int is_noise = 0; is_noise < 2; is_noise++) {
            qn_run_reader reader;
            qn_run_writer writer;
            uint8_t *memory = qn_pages_reserve(sizes[i], false);
            qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, QN_BLOCK_PACKED, sizes[i]);
            spill.compressor.compression = QN_COMPRESS_ALL;
            qn_run run = write_packed(20000, is_noise);
            kit_assert_ok(qn_run_reader_open_in(&reader, &spill, &run, memory, sizes[i], &error), &error);
            ck_assert_ptr_null(reader.memory);
            qn_run_reader_close(&reader);
            kit_assert_ok(qn_run_writer_open(&writer, &spill, &error), &error);
            ck_assert_uint_le(writer.memory_bytes, QN_SPILL_WRITER_BLOCKS * sizes[i]);
            qn_run_writer_abandon(&writer);
            qn_pages_unreserve(memory, sizes[i]);
            qn_spill_fini(&spill);
        }
    }
}
END_TEST

/* ---- while others go on ---- */

#define RUN_COUNT_MAX 5

typedef struct reading {
    qn_run run;
    qn_run_reader reader;
    uint8_t *memory;
    size_t bytes;
    uint64_t count; /* read so far */
} reading;

static void begin_reading(reading *one, const qn_run *run, size_t bytes)
{
    *one = (reading){.run = *run, .bytes = bytes, .memory = qn_pages_reserve(bytes, false)};
    ck_assert_ptr_nonnull(one->memory);
    kit_assert_ok(qn_run_reader_open_ahead(&one->reader, &spill, run, one->memory, bytes, &error), &error);
}

static void end_reading(reading *one)
{
    qn_run_reader_close(&one->reader);
    qn_pages_unreserve(one->memory, one->bytes);
}

/* The next block of a run whose first record is number 0. */
static quern_status read_some(reading *one, bool is_noise, uint64_t *bytes_out)
{
    const uint8_t *records = NULL;
    uint8_t record[RECORD_BYTES];
    quern_status status = qn_run_reader_next_block(&one->reader, &records, bytes_out, &error);
    for (uint64_t at = 0; status == QUERN_OK && at + RECORD_BYTES <= *bytes_out; at += RECORD_BYTES) {
        make_record(one->count++, is_noise, record);
        if (memcmp(record, records + at, RECORD_BYTES) != 0)
            ck_abort_msg("record %llu is another", (unsigned long long)one->count - 1);
    }
    return status;
}

static void init_direct(qn_compression compression)
{
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, QN_BLOCK_PACKED, BLOCK_BYTES);
    spill.cached_bytes_max = 0;
    spill.compressor.compression = compression;
}

static void check_several(const qn_run *runs, size_t bytes, bool is_noise)
{
    static reading readings[RUN_COUNT_MAX];
    uint64_t run_bytes = 0, left = RUN_COUNT_MAX, state = bytes;
    disk_reset();
    for (size_t i = 0; i < RUN_COUNT_MAX; i++) {
        begin_reading(&readings[i], &runs[i], bytes);
        if (bytes >= 5 * BLOCK_BYTES)
            ck_assert_ptr_nonnull(readings[i].reader.coming);
        run_bytes += runs[i].bytes;
    }
    while (left > 0) {
        reading *one = &readings[kit_random_below(&state, RUN_COUNT_MAX)];
        uint64_t got_bytes = 1;
        if (one->reader.spill)
            kit_assert_ok(read_some(one, is_noise, &got_bytes), &error);
        if (got_bytes > 0)
            continue;
        ck_assert_uint_eq(one->count, one->run.row_count);
        end_reading(one);
        left--;
    }
    ck_assert_uint_ge(disk.reads.bytes, run_bytes);
    ck_assert_uint_lt(disk.reads.bytes, run_bytes + RUN_COUNT_MAX * QN_SPILL_ALIGN_BYTES);
}

START_TEST(several_runs_are_read_ahead_in_any_memory_and_each_byte_once)
{
    static const size_t sizes[] = {4096, BLOCK_BYTES, 160 << 10, 200 << 10, 333 << 10, 1 << 20, 4 << 20};
    for (int is_noise = 0; is_noise < 2; is_noise++) {
        init_direct(is_noise ? QN_COMPRESS_NONE : QN_COMPRESS_ALL);
        qn_run runs[RUN_COUNT_MAX] = {write_packed(30000, is_noise), write_packed(1, is_noise),
                                      write_packed(2500, is_noise), write_packed(20000, is_noise),
                                      write_packed(700, is_noise)};
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            check_several(runs, sizes[i], is_noise);
        qn_spill_fini(&spill);
    }
}
END_TEST

START_TEST(the_disk_reads_while_others_work)
{
    reading one, other;
    uint64_t bytes = 0;
    init_direct(QN_COMPRESS_NONE);
    qn_run run = write_packed(20000, true);
    if (!spill.transfers)
        return; /* the file system cannot do it */
    disk_hold(true);
    begin_reading(&one, &run, 1 << 20);
    begin_reading(&other, &run, 1 << 20);
    disk_await_call();
    disk_hold(false);
    kit_assert_ok(read_some(&one, true, &bytes), &error);
    disk_hold(true); /* what one block has begun to read, the others of the piece do not wait for */
    for (int i = 0; i < 5; i++)
        kit_assert_ok(read_some(&one, true, &bytes), &error);
    disk_hold(false);
    kit_assert_ok(read_some(&other, true, &bytes), &error);
    end_reading(&one);
    end_reading(&other);
}
END_TEST

START_TEST(a_reader_may_be_closed_wherever_it_is)
{
    init_direct(QN_COMPRESS_NONE);
    qn_run run = write_packed(20000, true);
    for (uint64_t blocks = 0; blocks < 40; blocks += 3) {
        reading one;
        pthread_t releaser;
        uint64_t bytes = 1;
        begin_reading(&one, &run, 512 << 10);
        for (uint64_t i = 0; i < blocks && bytes > 0; i++)
            kit_assert_ok(read_some(&one, true, &bytes), &error);
        disk_hold(true);
        ck_assert_int_eq(pthread_create(&releaser, NULL, disk_release_later, NULL), 0);
        end_reading(&one);
        pthread_join(releaser, NULL);
    }
    check_packed(&run, true);
}
END_TEST

START_TEST(a_writer_may_be_abandoned_while_the_disk_writes)
{
    init_direct(QN_COMPRESS_NONE);
    qn_run first = write_packed(20000, true);
    qn_run_writer writer = {0};
    uint8_t record[RECORD_BYTES];
    pthread_t releaser;
    make_record(3, true, record);
    kit_assert_ok(qn_run_writer_open(&writer, &spill, &error), &error);
    if (spill.transfers)
        disk_hold(true);
    for (int i = 0; i < 8000; i++) /* more than one piece, less than two */
        kit_assert_ok(qn_run_writer_put_packed(&writer, record, sizeof record, &error), &error);
    ck_assert_int_eq(pthread_create(&releaser, NULL, disk_release_later, NULL), 0);
    qn_run_writer_abandon(&writer);
    pthread_join(releaser, NULL);
    qn_run second = write_packed(20000, true);
    ck_assert_uint_eq(second.offset, first.offset + ((first.bytes + 4095) & ~UINT64_C(4095)));
    check_packed(&first, true);
    check_packed(&second, true);
}
END_TEST

START_TEST(a_write_that_fails_meanwhile_is_the_error_of_its_run)
{
    int failed = 0;
    init_direct(QN_COMPRESS_NONE);
    qn_run first = write_packed(20000, true);
    for (quern_status status = QUERN_ERROR_SCRATCH; status != QUERN_OK; failed++) {
        qn_run run = {.offset = 7};
        qn_error_clear(&error);
        disk_fail(&disk.writes, failed, EIO);
        status = try_write(20000, true, &run);
        disk_fail(&disk.writes, -1, 0);
        if (status == QUERN_OK)
            check_packed(&run, true);
        if (status == QUERN_OK)
            break;
        ck_assert_int_eq(status, QUERN_ERROR_SCRATCH);
        ck_assert_uint_eq(run.offset, 7);
        ck_assert_msg(strstr(error.text, directory.path) && strstr(error.text, strerror(EIO)), "%s", error.text);
        check_packed(&first, true);
    }
    ck_assert_int_ge(failed, 4); /* pieces */
}
END_TEST

START_TEST(a_read_that_fails_meanwhile_is_the_error_of_its_reader)
{
    init_direct(QN_COMPRESS_NONE);
    qn_run run = write_packed(20000, true);
    for (int failed = 0; failed < 5; failed++) {
        reading one;
        uint64_t bytes = 1;
        quern_status status = QUERN_OK;
        qn_error_clear(&error);
        disk_fail(&disk.reads, failed, EIO);
        begin_reading(&one, &run, 512 << 10);
        while (status == QUERN_OK && bytes > 0)
            status = read_some(&one, true, &bytes);
        ck_assert_int_eq(status, QUERN_ERROR_SCRATCH);
        ck_assert_uint_lt(one.count, run.row_count);
        ck_assert_msg(strstr(error.text, directory.path) && strstr(error.text, strerror(EIO)), "%s", error.text);
        ck_assert_int_eq(read_some(&one, true, &bytes), QUERN_ERROR_SCRATCH); /* and stays so */
        end_reading(&one);
    }
    disk_reset();
    check_packed(&run, true);
}
END_TEST

START_TEST(a_run_that_ends_early_is_damaged_also_where_it_is_read_ahead)
{
    init_direct(QN_COMPRESS_NONE);
    qn_run run = write_packed(20000, true);
    for (uint64_t bytes = 0; bytes < run.bytes; bytes += 300000 / 4096 * 4096) {
        reading one;
        uint64_t got_bytes = 1;
        quern_status status = QUERN_OK;
        ck_assert_int_eq(ftruncate(spill.fd, (off_t)((run.bytes & ~UINT64_C(4095)) - bytes)), 0);
        begin_reading(&one, &run, 512 << 10);
        while (status == QUERN_OK && got_bytes > 0)
            status = read_some(&one, true, &got_bytes);
        ck_assert_int_eq(status, QUERN_ERROR_CORRUPT);
        ck_assert_ptr_nonnull(strstr(error.text, "truncated"));
        end_reading(&one);
    }
}
END_TEST

START_TEST(records_larger_than_a_block_are_read_without_reading_ahead)
{
    static uint8_t giant[300000];
    qn_run_writer writer = {0};
    qn_run run;
    reading one;
    const uint8_t *records = NULL;
    uint64_t bytes = 0;
    init_direct(QN_COMPRESS_NONE);
    kit_assert_ok(qn_run_writer_open(&writer, &spill, &error), &error);
    for (int i = 0; i < 12; i++) {
        memset(giant, 'a' + i, sizeof giant);
        kit_assert_ok(qn_run_writer_put_packed(&writer, giant, i % 3 ? sizeof giant : 100, &error), &error);
        kit_assert_ok(qn_run_writer_put_packed(&writer, giant, i % 3 ? 100 : 2 * sizeof giant / 4, &error), &error);
    }
    kit_assert_ok(qn_run_writer_close(&writer, &run, &error), &error);
    begin_reading(&one, &run, 4 << 20);
    for (uint64_t left = 8 * (300000 + 100) + 4 * (100 + 150000); left > 0; left -= bytes) {
        kit_assert_ok(qn_run_reader_next_block(&one.reader, &records, &bytes, &error), &error);
        ck_assert_uint_gt(bytes, 0);
        ck_assert_uint_le(bytes, left);
    }
    ck_assert_ptr_null(one.reader.coming);
    end_reading(&one);
}
END_TEST

START_TEST(runs_behind_the_first_bytes_of_a_file_pass_by_the_page_cache_where_they_can)
{
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, QN_BLOCK_PACKED, BLOCK_BYTES);
    spill.cached_bytes_max = 1 << 20;
    qn_run first = write_packed(20000, true);
    ck_assert(!spill.direct.is_on);
    qn_run second = write_packed(20000, true);
    ck_assert(spill.direct.is_on != spill.direct.is_refused);
    ck_assert(first.is_cached && !second.is_cached);
    check_packed(&first, true);
    check_packed(&second, true);
    check_packed(&first, true);
}
END_TEST

static bool write_line(const char *path, const char *format, unsigned id)
{
    FILE *file = fopen(path, "w");
    bool is_written = file && fprintf(file, format, id) > 0;
    return file && fclose(file) == 0 && is_written;
}

/* A file system in memory over the directory, for this process alone. */
static bool mount_small(const char *bytes)
{
    unsigned user = getuid(), group = getgid();
    if (unshare(CLONE_NEWNS) != 0 &&
        (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 || !write_line("/proc/self/setgroups", "deny", 0) ||
         !write_line("/proc/self/uid_map", "0 %u 1", user) || !write_line("/proc/self/gid_map", "0 %u 1", group)))
        return false;
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", directory.path, "tmpfs", 0, bytes) == 0;
}

/* Returns the exit code of what a process of its own does on that file system; SKIP_CODE where there may be none. */
static int on_small_disk(const char *bytes, int (*act)(void))
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(mount_small(bytes) ? act() : SKIP_CODE);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Line of the first thing that is not as it should be. */
#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return __LINE__ % 199 + 1 == SKIP_CODE ? 1 : __LINE__ % 199 + 1;                                           \
    } while (0)

static int fill_disk(void)
{
    for (int direct = 0; direct < 2; direct++) {
        qn_run run = {0}, other = {.offset = 7};
        quern_status status = QUERN_OK;
        qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, QN_BLOCK_PACKED, BLOCK_BYTES);
        spill.cached_bytes_max = direct ? 0 : QN_SPILL_CACHED_BYTES_MAX;
        qn_error_clear(&error);
        EXPECT(try_write(3000, true, &run) == QUERN_OK);
        EXPECT(try_write(20000, true, &other) == QUERN_ERROR_SCRATCH && other.offset == 7);
        EXPECT(strstr(error.text, directory.path) && strstr(error.text, "--quern-scratch"));
        EXPECT(strstr(error.text, strerror(ENOSPC)));
        EXPECT(read_packed(&run, true, NULL, 0, &status) == 3000 && status == QUERN_OK);
        qn_spill_fini(&spill);
    }
    return 0;
}

START_TEST(a_full_disk_is_an_error_that_says_what_to_do_and_earlier_runs_stay)
{
    int code = on_small_disk("size=1m", fill_disk);
    ck_assert_msg(code == 0 || code == SKIP_CODE, "line %d", code);
}
END_TEST

static int go_around(void)
{
    quern_status status = QUERN_OK;
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, QN_BLOCK_PACKED, BLOCK_BYTES);
    spill.cached_bytes_max = 0;
    qn_run run = {0}, second = {0};
    EXPECT(try_write(50000, true, &run) == QUERN_OK && try_write(50000, true, &second) == QUERN_OK);
    EXPECT(read_packed(&run, true, NULL, 0, &status) == 50000 && status == QUERN_OK);
    EXPECT(read_packed(&second, true, NULL, 0, &status) == 50000 && status == QUERN_OK);
    qn_spill_fini(&spill);
    return 0;
}

START_TEST(memory_as_a_file_system_takes_runs_too)
{
    int code = on_small_disk("size=64m", go_around);
    ck_assert_msg(code == 0 || code == SKIP_CODE, "line %d", code);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_run_is_the_bytes_that_it_was,
        a_compressed_run_is_what_its_bytes_were,
        compressed_runs_take_less_and_come_back_in_blocks,
        noise_is_written_as_it_is,
        any_change_of_a_compressed_run_is_noticed,
        a_reader_reads_as_far_ahead_as_its_memory_lets_it_and_each_byte_once,
        a_usual_block_needs_no_more_memory_than_it_is_said,
        several_runs_are_read_ahead_in_any_memory_and_each_byte_once,
        the_disk_reads_while_others_work,
        a_reader_may_be_closed_wherever_it_is,
        a_writer_may_be_abandoned_while_the_disk_writes,
        a_write_that_fails_meanwhile_is_the_error_of_its_run,
        a_read_that_fails_meanwhile_is_the_error_of_its_reader,
        a_run_that_ends_early_is_damaged_also_where_it_is_read_ahead,
        records_larger_than_a_block_are_read_without_reading_ahead,
        runs_behind_the_first_bytes_of_a_file_pass_by_the_page_cache_where_they_can,
        a_full_disk_is_an_error_that_says_what_to_do_and_earlier_runs_stay,
        memory_as_a_file_system_takes_runs_too,
    };
    return kit_run_tests("spill_disk", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
