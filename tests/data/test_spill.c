/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/data/test_spill.c: what is spilled is read back, and what was not written so is noticed. Linked with pread64
 * (what pread becomes) wrapped too, to know how much is read.
 */
#include "runtime/data/spill.h"
#include "tests/data/keykit.h"
#include "tests/data/spillkit.h"
#include "tests/refusal.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static kit_directory directory;
static qn_error error;
static qn_spill spill;
static uint64_t bytes_read;

ssize_t __real_pread64(int fd, void *data, size_t bytes, off_t offset);
ssize_t __wrap_pread64(int fd, void *data, size_t bytes, off_t offset);

/* Short reads, too: half of what is asked for at most. */
static bool reads_are_short;

ssize_t __wrap_pread64(int fd, void *data, size_t bytes, off_t offset)
{
    ssize_t got = __real_pread64(fd, data, reads_are_short ? (bytes + 1) / 2 : bytes, offset);
    bytes_read += got > 0 ? (uint64_t)got : 0;
    return got;
}

static void set_up(void)
{
    kit_make_directory(&directory);
    qn_error_clear(&error);
}

static void tear_down(void)
{
    qn_spill_fini(&spill);
    qn_spill_fini(&spill);
    kit_remove_directory(&directory);
}

/* The value of a key: made of its tag, so that it need not be kept. */
static const uint64_t *value_of(const qn_key *key)
{
    static uint64_t value[KEYKIT_WORDS_MAX];
    for (uint64_t word = 0; word < spill.value_words; word++)
        value[word] = key->tag * (word + 3);
    return value;
}

/* Writes every step-th key from the first on. */
static qn_run write_run(const keykit_set *set, size_t first, size_t step)
{
    qn_run_writer writer;
    qn_run run = {0};
    kit_assert_ok(qn_run_writer_open(&writer, &spill, &error), &error);
    for (size_t i = first; i < set->count; i += step)
        if (qn_run_writer_put(&writer, &set->keys[i].key, value_of(&set->keys[i].key), &error) != QUERN_OK)
            ck_abort_msg("%s", error.text);
    kit_assert_ok(qn_run_writer_close(&writer, &run, &error), &error);
    qn_run_writer_abandon(&writer);
    return run;
}

/* Reads a run to its end or to a failure. Aborts if a row is not what was written. */
static quern_status read_run(const qn_run *run, const keykit_set *set, size_t first, size_t step, size_t *count_out)
{
    qn_run_reader reader = {0};
    bool more = true;
    size_t i = first;
    quern_status status = qn_run_reader_open(&reader, &spill, run, &error);
    *count_out = 0;
    while (status == QUERN_OK && (status = qn_run_reader_next(&reader, &more, &error)) == QUERN_OK && more) {
        if (i >= set->count || qn_key_compare(&reader.key, &set->keys[i].key) != 0 ||
            memcmp(reader.value, value_of(&reader.key), 8 * (size_t)spill.value_words) != 0)
            ck_abort_msg("row %zu is another", *count_out);
        i += step;
        ++*count_out;
    }
    qn_run_reader_close(&reader);
    qn_run_reader_close(&reader);
    return status;
}

static void check_run(const qn_run *run, const keykit_set *set, size_t first, size_t step)
{
    size_t count = 0;
    qn_error_clear(&error);
    kit_assert_ok(read_run(run, set, first, step, &count), &error);
    ck_assert_uint_eq(count, first < set->count ? (set->count - first + step - 1) / step : 0);
    ck_assert_uint_eq(run->row_count, count);
}

START_TEST(runs_of_all_kinds_of_rows_come_back_one_behind_the_other)
{
    keykit_set set = keykit_make(2000, 1);
    static const size_t block_sizes[] = {sizeof(qn_block_header), 64, 200, 4096, 8192, 32768, 65536, 1 << 20};
    for (size_t i = 0; i < sizeof block_sizes / sizeof *block_sizes; i++) {
        for (uint32_t words = 1; words <= 32; words += 31) {
            qn_run runs[7];
            uint64_t rows = 0, bytes = 0;
            qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, words, block_sizes[i]);
            spill.cached_bytes_max = words == 1 ? 0 : 8192;
            spill.compressor.compression = QN_COMPRESS_ALL;
            for (size_t n = 0; n < 7; n++) {
                runs[n] = write_run(&set, n, n * n + 1);
                ck_assert_uint_eq(runs[n].offset, bytes);
                ck_assert_uint_le(runs[n].block_bytes_max, runs[n].bytes);
                rows += runs[n].row_count;
                bytes += (runs[n].bytes + QN_SPILL_ALIGN_BYTES - 1) & ~(QN_SPILL_ALIGN_BYTES - 1);
            }
            for (size_t n = 7; n-- > 0;)
                check_run(&runs[n], &set, n, n * n + 1);
            ck_assert_uint_eq(spill.written_rows, rows);
            ck_assert_uint_eq(spill.read_rows, rows);
            ck_assert_uint_eq(spill.written_bytes, bytes);
            ck_assert_uint_eq(spill.end, bytes);
            qn_spill_fini(&spill);
        }
    }
    keykit_free(&set);
}
END_TEST

START_TEST(short_reads_are_continued)
{
    keykit_set set = keykit_make(2000, 1);
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, 2, 4096);
    qn_run run = write_run(&set, 0, 1);
    for (int cached = 0; cached < 2; cached++) {
        bytes_read = 0;
        run.is_cached = cached;
        reads_are_short = true;
        check_run(&run, &set, 0, 1);
        reads_are_short = false;
        ck_assert_uint_ge(bytes_read, run.bytes);
    }
    keykit_free(&set);
}
END_TEST

START_TEST(a_run_of_no_rows_is_one)
{
    keykit_set set = keykit_make(10, 1);
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, 1, 4096);
    qn_run before = write_run(&set, 0, 1);
    qn_run run = write_run(&set, set.count, 1);
    qn_run after = write_run(&set, 0, 1);
    ck_assert_uint_eq(run.bytes, 0);
    check_run(&run, &set, set.count, 1);
    check_run(&before, &set, 0, 1);
    check_run(&after, &set, 0, 1);
    keykit_free(&set);
}
END_TEST

/* Every hundredth key is of a megabyte. */
static keykit_set make_giants(size_t count, size_t giant_bytes)
{
    keykit_set set = keykit_make(count, 5);
    free(set.data);
    set.data = kit_take(giant_bytes + set.count + QN_SLACK_BYTES);
    for (size_t i = 0; i < set.count; i++)
        set.keys[i].key = i % 100 ? (qn_key){i << 8 | 9, i, 0} : qn_key_of(set.data + i, (uint32_t)giant_bytes);
    for (size_t i = 0; i < set.count; i++)
        set.keys[i].key.tag = QN_TAG_CODE(set.keys[i].key.tag) | i << 8;
    return set;
}

START_TEST(giant_rows_come_back_and_do_not_make_their_neighbours_dear)
{
    keykit_set set = make_giants(3000, 1 << 20);
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, 1, 256);
    qn_run run = write_run(&set, 0, 1);
    ck_assert_uint_ge(run.block_bytes_max, 1 << 20);
    bytes_read = 0;
    check_run(&run, &set, 0, 1);
    ck_assert_uint_ge(bytes_read, run.bytes);
    ck_assert_msg(bytes_read <= 3 * run.bytes, "%llu bytes read of a run of %llu", (unsigned long long)bytes_read,
                  (unsigned long long)run.bytes);
    keykit_free(&set);
}
END_TEST

START_TEST(any_changed_byte_of_a_run_is_noticed)
{
    keykit_set set = keykit_make(60, 1);
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, 1, 512);
    qn_run first = write_run(&set, 0, 1);
    qn_run run = write_run(&set, 0, 1);
    for (uint64_t at = run.offset; at < run.offset + run.bytes; at++) {
        uint8_t byte = 0, changed = 0;
        size_t count = 0;
        uint8_t flip = (uint8_t)(1 << at % 8);
        spillkit_read(&spill, &byte, 1, at);
        changed = byte ^ flip;
        spillkit_write(&spill, &changed, 1, at);
        qn_error_clear(&error);
        quern_status status = read_run(&run, &set, 0, 1, &count);
        ck_assert_msg(status == QUERN_ERROR_CORRUPT, "byte %llu: status %d", (unsigned long long)at, (int)status);
        ck_assert_ptr_nonnull(strstr(error.text, directory.path));
        spillkit_write(&spill, &byte, 1, at);
    }
    check_run(&run, &set, 0, 1);
    check_run(&first, &set, 0, 1);
    keykit_free(&set);
}
END_TEST

START_TEST(a_run_that_cannot_be_read_is_a_failure_of_the_scratch_directory)
{
    keykit_set set = keykit_make(60, 1);
    size_t count = 0;
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, 1, 512);
    qn_run run = write_run(&set, 0, 1);
    close(spill.fd);
    spill.fd = open(directory.path, O_RDONLY | O_DIRECTORY); /* reads of it fail */
    ck_assert_int_eq(read_run(&run, &set, 0, 1, &count), QUERN_ERROR_SCRATCH);
    ck_assert_ptr_nonnull(strstr(error.text, directory.path));
    keykit_free(&set);
}
END_TEST

START_TEST(a_run_cut_anywhere_is_noticed)
{
    keykit_set set = keykit_make(60, 1);
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, 3, 512);
    qn_run first = write_run(&set, 0, 1);
    qn_run run = write_run(&set, 0, 1);
    for (uint64_t at = run.offset + run.bytes - 1; at >= run.offset; at--) {
        size_t count = 0;
        ck_assert_int_eq(ftruncate(spill.fd, (off_t)at), 0);
        qn_error_clear(&error);
        ck_assert_int_eq(read_run(&run, &set, 0, 1, &count), QUERN_ERROR_CORRUPT);
        ck_assert_uint_lt(count, run.row_count);
    }
    check_run(&first, &set, 0, 1);
    keykit_free(&set);
}
END_TEST

START_TEST(a_hole_in_a_run_is_noticed)
{
    keykit_set set = keykit_make(2000, 1);
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, 1, 512);
    qn_run run = write_run(&set, 0, 1);
    size_t count = 0;
    uint8_t zeros[4096] = {0};
    spillkit_write(&spill, zeros, sizeof zeros, run.offset + run.bytes / 2);
    ck_assert_int_eq(read_run(&run, &set, 0, 1, &count), QUERN_ERROR_CORRUPT);
    keykit_free(&set);
}
END_TEST

/* A header that promises more than there is must not be believed before it is looked at. */
START_TEST(a_header_that_lies_about_its_length_is_refused)
{
    static const uint64_t lies[] = {0, 8, UINT64_MAX, UINT64_MAX - 39, UINT64_C(1) << 40, 100000};
    keykit_set set = keykit_make(60, 1);
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, 1, 512);
    qn_run run = write_run(&set, 0, 1);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        size_t count = 0;
        spillkit_write(&spill, &lies[i], 8, offsetof(qn_block_header, payload_bytes));
        qn_error_clear(&error);
        ck_assert_int_eq(read_run(&run, &set, 0, 1, &count), QUERN_ERROR_CORRUPT);
    }
    keykit_free(&set);
}
END_TEST

START_TEST(a_full_disk_is_an_error_that_names_the_directory_and_what_was_there_stays)
{
    keykit_set set = keykit_make(5000, 1);
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, 1, 4096);
    qn_run run = write_run(&set, 0, 1);
    uint64_t end = spill.end;
    for (rlim_t more = 0; more < run.bytes; more += run.bytes / 7) {
        qn_run_writer writer;
        qn_run unfinished = {.offset = 77};
        qn_error_clear(&error);
        kit_assert_ok(qn_run_writer_open(&writer, &spill, &error), &error);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){end + more, before.rlim_max});
        quern_status status = QUERN_OK;
        for (size_t i = 0; i < set.count && status == QUERN_OK; i++)
            status = qn_run_writer_put(&writer, &set.keys[i].key, value_of(&set.keys[i].key), &error);
        if (status == QUERN_OK)
            status = qn_run_writer_close(&writer, &unfinished, &error);
        setrlimit(RLIMIT_FSIZE, &before);
        qn_run_writer_abandon(&writer);
        ck_assert_int_eq(status, QUERN_ERROR_SCRATCH);
        ck_assert_ptr_nonnull(strstr(error.text, directory.path));
        ck_assert_uint_eq(unfinished.offset, 77);
        ck_assert_uint_eq(spill.end, end);
        check_run(&run, &set, 0, 1);
    }
    qn_run again = write_run(&set, 0, 1);
    check_run(&again, &set, 0, 1);
    keykit_free(&set);
}
END_TEST

START_TEST(a_dropped_run_gives_its_disk_space_back_and_spares_the_others)
{
    keykit_set set = keykit_make(30000, 1);
    struct stat before, after;
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, 4, 65536);
    qn_run first = write_run(&set, 0, 1);
    qn_run second = write_run(&set, 0, 1);
    qn_run third = write_run(&set, 0, 1);
    fsync(spill.fd);
    ck_assert_int_eq(fstat(spill.fd, &before), 0);
    qn_spill_drop(&spill, &second);
    ck_assert_int_eq(fstat(spill.fd, &after), 0);
    ck_assert_int_le(after.st_blocks, before.st_blocks);
    check_run(&first, &set, 0, 1);
    check_run(&third, &set, 0, 1);
    keykit_free(&set);
}
END_TEST

START_TEST(nothing_is_left_in_the_directory_at_any_time)
{
    keykit_set set = keykit_make(100, 1);
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, 1, 4096);
    write_run(&set, 0, 1);
    DIR *open = opendir(directory.path);
    for (struct dirent *entry; (entry = readdir(open));)
        ck_assert_int_eq(entry->d_name[0], '.');
    closedir(open);
    keykit_free(&set);
}
END_TEST

START_TEST(a_missing_scratch_directory_is_an_error_that_names_it)
{
    qn_run_writer writer = {0};
    qn_spill_init(&spill, (qn_scratch){.directory = "/nonexistent"}, 1, 4096);
    ck_assert_int_eq(qn_run_writer_open(&writer, &spill, &error), QUERN_ERROR_SCRATCH);
    ck_assert_ptr_nonnull(strstr(error.text, "/nonexistent"));
    ck_assert_int_eq(spill.fd, -1);
    qn_run_writer_abandon(&writer);
}
END_TEST

START_TEST(refused_memory_is_an_error_and_nothing_leaks)
{
    keykit_set set = make_giants(300, 100000);
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, 1, 512);
    int failure_count = 0;
    for (;; failure_count++) {
        qn_run_writer writer = {0};
        qn_run_reader reader = {0};
        qn_run run = {0};
        bool more = false;
        qn_error_clear(&error);
        allocations_left = failure_count;
        quern_status status = qn_run_writer_open(&writer, &spill, &error);
        for (size_t i = 0; i < set.count && status == QUERN_OK; i++)
            status = qn_run_writer_put(&writer, &set.keys[i].key, value_of(&set.keys[i].key), &error);
        if (status == QUERN_OK)
            status = qn_run_writer_close(&writer, &run, &error);
        if (status == QUERN_OK)
            status = qn_run_reader_open(&reader, &spill, &run, &error);
        if (status == QUERN_OK)
            status = qn_run_reader_next(&reader, &more, &error);
        allocations_left = -1;
        qn_run_writer_abandon(&writer);
        qn_run_reader_close(&reader);
        if (status == QUERN_OK)
            break;
        ck_assert_int_eq(status, QUERN_ERROR_NO_MEMORY);
    }
    ck_assert_int_ge(failure_count, 3);
    keykit_free(&set);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        runs_of_all_kinds_of_rows_come_back_one_behind_the_other,
        short_reads_are_continued,
        a_run_of_no_rows_is_one,
        giant_rows_come_back_and_do_not_make_their_neighbours_dear,
        any_changed_byte_of_a_run_is_noticed,
        a_run_that_cannot_be_read_is_a_failure_of_the_scratch_directory,
        a_run_cut_anywhere_is_noticed,
        a_hole_in_a_run_is_noticed,
        a_header_that_lies_about_its_length_is_refused,
        a_full_disk_is_an_error_that_names_the_directory_and_what_was_there_stays,
        a_dropped_run_gives_its_disk_space_back_and_spares_the_others,
        nothing_is_left_in_the_directory_at_any_time,
        a_missing_scratch_directory_is_an_error_that_names_it,
        refused_memory_is_an_error_and_nothing_leaks,
    };
    return kit_run_tests("spill", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
