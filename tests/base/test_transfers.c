/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/base/test_transfers.c: transfers are what reads and writes are, while their owner works, is forked, or gives them up.
 */
#include "runtime/base/transfers.h"
#include "tests/disk.h"
#include "tests/kit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define PIECE_BYTES 4096
#define COUNT       50

static kit_directory directory;
static qn_transfers *transfers;
static int fd;
static uint8_t data[COUNT][PIECE_BYTES];
static qn_transfer made[COUNT];

static void set_up(void)
{
    disk_reset();
    kit_make_directory(&directory);
    fd = open(kit_path(&directory, "file"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    transfers = qn_transfers_create();
    ck_assert_ptr_nonnull(transfers);
    memset(made, 0, sizeof made);
    for (size_t i = 0; i < COUNT; i++)
        memset(data[i], 'A' + (int)i, PIECE_BYTES);
}

static void tear_down(void)
{
    qn_transfers_destroy(transfers);
    close(fd);
    kit_remove_directory(&directory);
}

static void start(size_t number, qn_way way, uint64_t offset)
{
    made[number] = (qn_transfer){.fd = fd, .way = way, .data = data[number], .bytes = PIECE_BYTES, .offset = offset};
    qn_transfers_start(transfers, &made[number]);
}

static void check_made(size_t number)
{
    qn_transfers_wait(transfers, &made[number]);
    ck_assert_int_eq(made[number].reason, 0);
    ck_assert_uint_eq(made[number].done_bytes, PIECE_BYTES);
}

static size_t file_bytes(void)
{
    struct stat about;
    ck_assert_int_eq(fstat(fd, &about), 0);
    return (size_t)about.st_size;
}

static int first_byte(void)
{
    char byte = 0;
    return __real_pread64(fd, &byte, 1, 0) == 1 ? byte : -1;
}

static void write_all(void)
{
    for (size_t i = 0; i < COUNT; i++)
        start(i, QN_WAY_WRITE, i * PIECE_BYTES);
    for (size_t i = 0; i < COUNT; i++)
        check_made(i);
}

static bool all_are_read(void)
{
    bool is_right = true;
    for (size_t i = 0; i < COUNT; i++) {
        qn_transfers_wait(transfers, &made[i]);
        is_right = is_right && made[i].reason == 0 && made[i].done_bytes == PIECE_BYTES;
        for (size_t n = 0; n < PIECE_BYTES; n++)
            is_right = is_right && data[i][n] == 'A' + (int)i;
    }
    return is_right;
}

START_TEST(a_transfer_goes_on_while_its_owner_works)
{
    disk_hold(true);
    start(0, QN_WAY_WRITE, 0);
    disk_await_call();
    ck_assert_uint_eq(file_bytes(), 0);
    disk_hold(false);
    check_made(0);
    ck_assert_uint_eq(file_bytes(), PIECE_BYTES);
    ck_assert_int_eq(first_byte(), 'A');
}
END_TEST

START_TEST(transfers_are_made_in_the_order_of_their_starts)
{
    disk_hold(true);
    for (size_t i = 0; i < COUNT; i++)
        start(i, QN_WAY_WRITE, 0);
    disk_hold(false);
    for (size_t i = COUNT; i-- > 0;)
        check_made(i);
    ck_assert_int_eq(first_byte(), 'A' + COUNT - 1);
}
END_TEST

START_TEST(what_was_written_is_read)
{
    write_all();
    memset(data, 0, sizeof data);
    for (size_t i = 0; i < COUNT; i++)
        start(i, QN_WAY_READ, i * PIECE_BYTES);
    ck_assert(all_are_read());
}
END_TEST

START_TEST(a_read_ends_with_the_file)
{
    ck_assert_int_eq(pwrite(fd, "abc", 3, 0), 3);
    start(0, QN_WAY_READ, 1);
    qn_transfers_wait(transfers, &made[0]);
    ck_assert_int_eq(made[0].reason, 0);
    ck_assert_uint_eq(made[0].done_bytes, 2);
    ck_assert_mem_eq(data[0], "bc", 2);
}
END_TEST

START_TEST(a_failure_is_that_of_one_transfer)
{
    start(0, QN_WAY_WRITE, 0);
    check_made(0);
    disk_fail(&disk.writes, 1, ENOSPC);
    start(0, QN_WAY_WRITE, 0);
    start(1, QN_WAY_WRITE, 0);
    start(2, QN_WAY_READ, 0);
    check_made(0);
    check_made(2);
    qn_transfers_wait(transfers, &made[1]);
    ck_assert_int_eq(made[1].reason, ENOSPC);
    ck_assert_uint_eq(made[1].done_bytes, 0);
}
END_TEST

START_TEST(what_has_not_begun_is_given_up_without_waiting)
{
    disk_hold(true);
    for (size_t i = 0; i < 4; i++)
        start(i, QN_WAY_WRITE, i * PIECE_BYTES);
    disk_await_call();
    qn_transfers_cancel(transfers, &made[3]); /* the last, */
    qn_transfers_cancel(transfers, &made[1]); /* the first that waits, */
    start(4, QN_WAY_WRITE, 4 * PIECE_BYTES);
    qn_transfers_cancel(transfers, &made[2]); /* and one that was in between */
    disk_hold(false);
    check_made(0);
    check_made(4);
    ck_assert_uint_eq(disk.writes.calls, 2);
}
END_TEST

START_TEST(what_has_begun_ends_before_it_is_given_up)
{
    pthread_t releaser;
    disk_hold(true);
    start(0, QN_WAY_WRITE, 0);
    disk_await_call();
    ck_assert_int_eq(pthread_create(&releaser, NULL, disk_release_later, NULL), 0);
    qn_transfers_cancel(transfers, &made[0]);
    ck_assert_int_eq(first_byte(), 'A');
    pthread_join(releaser, NULL);
    qn_transfers_cancel(transfers, &made[0]);
}
END_TEST

START_TEST(without_a_thread_they_are_made_at_once)
{
    qn_transfers *had = transfers;
    transfers = NULL;
    start(0, QN_WAY_WRITE, 0);
    ck_assert_int_eq(first_byte(), 'A');
    check_made(0);
    qn_transfers_cancel(transfers, &made[0]);
    qn_transfers_destroy(NULL);
    transfers = had;
}
END_TEST

START_TEST(a_child_makes_what_it_waits_for)
{
    write_all();
    for (int round = 0; round < 20; round++) {
        int status = -1;
        memset(data, 0, sizeof data);
        for (size_t i = 0; i < COUNT; i++)
            start(i, QN_WAY_READ, i * PIECE_BYTES);
        pid_t child = fork();
        if (child == 0) {
            bool is_right = disk.under_way == 0; /* nothing is while a process forks */
            is_right = all_are_read() && is_right;
            start(0, QN_WAY_READ, 0);
            qn_transfers_cancel(transfers, &made[0]);
            qn_transfers_destroy(transfers);
            transfers = qn_transfers_create(); /* of its own */
            start(1, QN_WAY_READ, PIECE_BYTES);
            _exit(is_right && all_are_read() ? 0 : 1);
        }
        ck_assert(all_are_read());
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
    }
}
END_TEST

START_TEST(a_child_never_makes_what_it_gives_up)
{
    int status = -1;
    disk_hold(true);
    for (size_t i = 0; i < 3; i++)
        start(i, QN_WAY_WRITE, i * PIECE_BYTES);
    disk_await_call();
    pthread_t releaser;
    ck_assert_int_eq(pthread_create(&releaser, NULL, disk_release_later, NULL), 0);
    pid_t child = fork(); /* waits for what is being written */
    if (child == 0) {
        uint64_t calls = disk.writes.calls;
        for (size_t i = 0; i < 3; i++)
            qn_transfers_cancel(transfers, &made[i]);
        _exit(disk.writes.calls == calls ? 0 : 1);
    }
    pthread_join(releaser, NULL);
    for (size_t i = 0; i < 3; i++)
        check_made(i);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_transfer_goes_on_while_its_owner_works,
        transfers_are_made_in_the_order_of_their_starts,
        what_was_written_is_read,
        a_read_ends_with_the_file,
        a_failure_is_that_of_one_transfer,
        what_has_not_begun_is_given_up_without_waiting,
        what_has_begun_ends_before_it_is_given_up,
        without_a_thread_they_are_made_at_once,
        a_child_makes_what_it_waits_for,
        a_child_never_makes_what_it_gives_up,
    };
    return kit_run_tests("transfers", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
