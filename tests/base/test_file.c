/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/base/test_file.c: whole reads and writes, files that must be new, files without a name.
 */
#include "runtime/base/file.h"
#include "tests/kit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static kit_directory directory;
static qn_error error;
static char *left;

static void set_up(void)
{
    kit_make_directory(&directory);
    qn_error_clear(&error);
}

static void tear_down(void)
{
    kit_remove_directory(&directory);
}

static int count_entries(void)
{
    char command[128];
    int count = -1;
    snprintf(command, sizeof command, "ls -A %s | wc -l", directory.path);
    FILE *list = popen(command, "r");
    ck_assert_int_eq(fscanf(list, "%d", &count), 1);
    pclose(list);
    return count;
}

START_TEST(what_is_written_is_read_back_and_reading_stops_at_the_end)
{
    int fd = -1;
    char data[16];
    size_t got = 99;
    kit_assert_ok(qn_file_open_scratch(directory.path, &fd, &left, &error), &error);
    kit_assert_ok(qn_file_write_at(fd, "0123456789", 10, 5, "x", QUERN_ERROR_OUTPUT, &error), &error);
    kit_assert_ok(qn_file_read_at(fd, data, 10, 5, "x", QUERN_ERROR_INPUT, &got, &error), &error);
    ck_assert_uint_eq(got, 10);
    ck_assert_mem_eq(data, "0123456789", 10);
    kit_assert_ok(qn_file_read_at(fd, data, 16, 10, "x", QUERN_ERROR_INPUT, &got, &error), &error);
    ck_assert_uint_eq(got, 5);
    ck_assert_mem_eq(data, "56789", 5);
    kit_assert_ok(qn_file_read_at(fd, data, 16, 100, "x", QUERN_ERROR_INPUT, &got, &error), &error);
    ck_assert_uint_eq(got, 0);
    close(fd);
}
END_TEST

START_TEST(failures_name_the_file_and_the_byte)
{
    char data[4];
    size_t got = 99;
    quern_status status = qn_file_read_at(-1, data, 4, 7, "the/input", QUERN_ERROR_INPUT, &got, &error);
    ck_assert_int_eq(status, QUERN_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(error.text, "the/input at byte 7: "));
    ck_assert_uint_eq(got, 99);
    qn_error_clear(&error);
    ck_assert_int_eq(qn_file_write_at(-1, data, 4, 8, "the/part", QUERN_ERROR_SCRATCH, &error), QUERN_ERROR_SCRATCH);
    ck_assert_ptr_nonnull(strstr(error.text, "the/part at byte 8: "));
}
END_TEST

START_TEST(a_new_file_has_its_content_and_an_old_one_is_left_alone)
{
    const char *path = kit_path(&directory, "new");
    kit_assert_ok(qn_file_create(path, "content", 7, &error), &error);
    ck_assert_int_eq(qn_file_create(path, "other", 5, &error), QUERN_ERROR_OUTPUT);
    ck_assert_ptr_nonnull(strstr(error.text, path));
    char *content = kit_read_file(path, NULL);
    ck_assert_str_eq(content, "content");
    free(content);
    kit_assert_ok(qn_file_create(kit_path(&directory, "empty"), "", 0, &error), &error);
}
END_TEST

START_TEST(a_file_that_cannot_be_written_whole_is_not_left_behind)
{
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){100, before.rlim_max});
    char data[1000] = {0};
    quern_status status = qn_file_create(kit_path(&directory, "large"), data, sizeof data, &error);
    setrlimit(RLIMIT_FSIZE, &before);
    ck_assert_int_eq(status, QUERN_ERROR_OUTPUT);
    ck_assert_ptr_nonnull(strstr(error.text, "large at byte 100: "));
    ck_assert_int_eq(count_entries(), 0);
}
END_TEST

START_TEST(a_scratch_file_has_no_name_and_nobody_else_may_read_it)
{
    int fd = -1;
    struct stat status;
    kit_assert_ok(qn_file_open_scratch(directory.path, &fd, &left, &error), &error);
    ck_assert_int_eq(fstat(fd, &status), 0);
    ck_assert_ptr_null(left);
    ck_assert_uint_eq(status.st_nlink, 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0600);
    ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    ck_assert_int_eq(count_entries(), 0);
    close(fd);
}
END_TEST

/* As on file systems that cannot do without names. What open() becomes is wrapped. */
static bool names_are_needed;

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, mode_t mode);

int __wrap_open64(const char *path, int flags, mode_t mode)
{
    if (names_are_needed && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return __real_open64(path, flags, mode);
}

START_TEST(a_scratch_file_that_needs_a_name_loses_it_at_once)
{
    int fd = -1;
    struct stat status;
    names_are_needed = true;
    kit_assert_ok(qn_file_open_scratch(directory.path, &fd, &left, &error), &error);
    ck_assert_int_eq(qn_file_open_scratch("/nonexistent", &fd, &left, &error), QUERN_ERROR_SCRATCH);
    names_are_needed = false;
    ck_assert_int_eq(fstat(fd, &status), 0);
    ck_assert_uint_eq(status.st_nlink, 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0600);
    ck_assert_ptr_null(left);
    ck_assert_int_eq(count_entries(), 0);
    close(fd);
}
END_TEST

/* As on NFS, where a file that is open keeps a name in its directory until it is closed. */
static bool directories_stay;

int __real_rmdir(const char *path);
int __wrap_rmdir(const char *path);

int __wrap_rmdir(const char *path)
{
    errno = ENOTEMPTY;
    return directories_stay ? -1 : __real_rmdir(path);
}

START_TEST(a_directory_that_outlives_its_removal_is_private_and_removed_later)
{
    int fd = -1;
    struct stat status;
    names_are_needed = directories_stay = true;
    kit_assert_ok(qn_file_open_scratch(directory.path, &fd, &left, &error), &error);
    names_are_needed = directories_stay = false;
    ck_assert_ptr_nonnull(left);
    ck_assert_int_eq(stat(left, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0700);
    ck_assert_int_eq(count_entries(), 1);
    close(fd);
    qn_file_remove_scratch(left);
    qn_file_remove_scratch(NULL);
    ck_assert_int_eq(count_entries(), 0);
}
END_TEST

START_TEST(a_scratch_directory_that_is_not_there_or_too_long_is_an_error_that_names_it)
{
    int fd = 77;
    char longer[8192];
    ck_assert_int_eq(qn_file_open_scratch("/nonexistent", &fd, &left, &error), QUERN_ERROR_SCRATCH);
    ck_assert_ptr_nonnull(strstr(error.text, "/nonexistent"));
    memset(longer, 'd', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    ck_assert_int_eq(qn_file_open_scratch(longer, &fd, &left, &error), QUERN_ERROR_SCRATCH);
    ck_assert_int_eq(fd, 77);
}
END_TEST

START_TEST(a_directory_can_be_synced_and_a_missing_one_cannot)
{
    kit_assert_ok(qn_file_sync_directory(directory.path, &error), &error);
    ck_assert_int_eq(qn_file_sync_directory("/nonexistent", &error), QUERN_ERROR_OUTPUT);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        what_is_written_is_read_back_and_reading_stops_at_the_end,
        failures_name_the_file_and_the_byte,
        a_new_file_has_its_content_and_an_old_one_is_left_alone,
        a_file_that_cannot_be_written_whole_is_not_left_behind,
        a_scratch_file_has_no_name_and_nobody_else_may_read_it,
        a_scratch_file_that_needs_a_name_loses_it_at_once,
        a_directory_that_outlives_its_removal_is_private_and_removed_later,
        a_scratch_directory_that_is_not_there_or_too_long_is_an_error_that_names_it,
        a_directory_can_be_synced_and_a_missing_one_cannot,
    };
    return kit_run_tests("file", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
