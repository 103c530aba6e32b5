/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/base/test_lock_file.c: who gets a lock, who is refused, and that late owners do nothing to the next one. Other machines are texts with
 * another boot id; sleeps take no time, and in them others do what they do; some file systems have no flock().
 */
#include "runtime/base/lock_file.h"
#include "tests/kit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/boot_id.h"

#define ELSEWHERE "00000000-1111-2222-3333-444444444444 4711 elsewhere 0123456789abcdef\n"
#define WATCHED   (QN_BEATS_MISSED_MAX + 1) /* sleeps */

static kit_directory directory;
static qn_error error;
static qn_lock_file lock;
static char path[128];
static int sleeps;
static void (*while_asleep)(void);
static bool has_no_locks;

int __wrap_nanosleep(const struct timespec *pause, struct timespec *left);
int __wrap_nanosleep(const struct timespec *pause, struct timespec *left)
{
    (void)pause;
    (void)left;
    sleeps++;
    if (while_asleep)
        while_asleep();
    return 0;
}

int __real_flock(int fd, int how);
int __wrap_flock(int fd, int how);
int __wrap_flock(int fd, int how)
{
    if (!has_no_locks)
        return __real_flock(fd, how);
    errno = ENOSYS;
    return -1;
}

static quern_status refuse(const char *at, const qn_lock_owner *owner, qn_error *refused)
{
    return qn_error_set(refused, QUERN_ERROR_CHECKPOINT, 0, "%s: %ld on %s %s", at, owner->pid, owner->host,
                        owner->is_alive ? "lives" : "may live");
}

static quern_status take(qn_lock_file *into, bool *gone_out)
{
    static const qn_lock_kind kind = {.name = "lock", .mode = 0640, .failed = QUERN_ERROR_OUTPUT, .refuse = refuse};
    return qn_lock_file_take(into, directory.path, &kind, gone_out, &error);
}

static void take_it(void)
{
    bool gone = true;
    kit_assert_ok(take(&lock, &gone), &error);
    ck_assert(!gone);
    ck_assert(qn_lock_file_is_held(&lock));
}

static void check_refused(quern_status status, const char *text)
{
    qn_lock_file other = {0};
    bool gone = false;
    qn_error_clear(&error);
    ck_assert_int_eq(take(&other, &gone), status);
    ck_assert_msg(strstr(error.text, text) != NULL, "%s", error.text);
    ck_assert_ptr_null(other.path);
    qn_error_clear(&error);
}

/* A file that says so much, as if its owner had it; open. */
static int leave(const char *owner, int beat)
{
    char text[256];
    int bytes = snprintf(text, sizeof text, beat >= 0 ? "%s%020d\n" : "%s", owner, beat);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, (size_t)bytes), bytes);
    return fd;
}

static const char *ended_here(void)
{
    static char owner[128];
    char boot[QN_BOOT_ID_BYTES + 1];
    ck_assert(qn_boot_id_read(boot));
    snprintf(owner, sizeof owner, "%s 4711 here 0123456789abcdef\n", boot);
    return owner;
}

static void set_up(void)
{
    kit_make_directory(&directory);
    qn_error_clear(&error);
    lock = (qn_lock_file){0};
    snprintf(path, sizeof path, "%s/lock", directory.path);
    sleeps = 0;
    while_asleep = NULL;
    has_no_locks = false;
}

static void tear_down(void)
{
    qn_lock_file_drop(&lock);
    kit_remove_directory(&directory);
}

START_TEST(one_job_at_a_time_has_it_and_it_goes_with_the_file)
{
    struct stat about;
    take_it();
    ck_assert(!lock.was_left);
    ck_assert_int_eq(stat(path, &about), 0);
    ck_assert_uint_eq(about.st_mode & 0137, 0);
    check_refused(QUERN_ERROR_CHECKPOINT, "lives");
    qn_lock_file_drop(&lock);
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert(!qn_lock_file_is_held(&lock));
    take_it();
    ck_assert_int_eq(sleeps, 0);
}
END_TEST

START_TEST(a_lock_of_who_ended_on_this_machine_is_taken_over_at_once_in_a_new_file)
{
    struct stat before, after;
    int late = leave(ended_here(), 1);
    take_it();
    ck_assert(lock.was_left);
    ck_assert_str_eq(lock.left_by, "");
    ck_assert_int_eq(sleeps, 0);
    ck_assert_int_eq(fstat(late, &before), 0);
    ck_assert_int_eq(stat(path, &after), 0);
    ck_assert_uint_ne(before.st_ino, after.st_ino);
    close(late);
}
END_TEST

START_TEST(what_a_late_owner_writes_changes_nothing)
{
    int late = leave(ELSEWHERE, 1);
    take_it();
    ck_assert_int_eq(sleeps, WATCHED);
    ck_assert_str_eq(lock.left_by, "process 4711 on elsewhere");
    ck_assert_int_eq(pwrite(late, ELSEWHERE "00000000000000000002\n", strlen(ELSEWHERE) + 21, 0),
                     (ssize_t)strlen(ELSEWHERE) + 21);
    ck_assert(qn_lock_file_is_held(&lock));
    close(late);
}
END_TEST

static void beat(void)
{
    close(leave(ELSEWHERE, sleeps + 1));
}

START_TEST(who_beats_elsewhere_is_respected)
{
    close(leave(ELSEWHERE, 1));
    while_asleep = beat;
    check_refused(QUERN_ERROR_CHECKPOINT, "4711 on elsewhere lives");
    ck_assert_int_eq(sleeps, 1);
    while_asleep = NULL;
    take_it();
}
END_TEST

static void remove_it(void)
{
    unlink(path);
}

START_TEST(a_lock_that_goes_while_it_is_watched_is_not_taken_and_may_be_tried_again)
{
    qn_lock_file other = {0};
    bool gone = false;
    close(leave(ELSEWHERE, 1));
    while_asleep = remove_it;
    kit_assert_ok(take(&other, &gone), &error);
    ck_assert(gone);
    ck_assert_ptr_null(other.path);
    take_it();
    ck_assert(!lock.was_left);
}
END_TEST

/* Somebody else watched as long, and renames a moment later. */
static void rename_over(void)
{
    char theirs[160];
    if (sleeps != WATCHED)
        return;
    snprintf(theirs, sizeof theirs, "%s/theirs", directory.path);
    kit_write_file(theirs, ELSEWHERE "00000000000000000001\n", strlen(ELSEWHERE) + 21);
    ck_assert_int_eq(rename(theirs, path), 0);
}

START_TEST(of_two_who_take_it_over_at_once_one_has_it)
{
    qn_lock_file other = {0};
    bool gone = false;
    close(leave(ELSEWHERE, 7));
    while_asleep = rename_over;
    kit_assert_ok(take(&other, &gone), &error);
    ck_assert(gone);
    ck_assert_ptr_null(other.path);
    ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(what_has_no_beat_is_refused_and_left)
{
    static const char *const owners[] = {"", "x", "00000000-1111-2222-3333-444444444444 4711 elsewhere\n", "\xff\xfe"};
    for (size_t i = 0; i < sizeof owners / sizeof *owners; i++) {
        close(leave(owners[i], -1));
        check_refused(QUERN_ERROR_CHECKPOINT, "may live");
        ck_assert_int_eq(access(path, F_OK), 0);
    }
    ck_assert_int_eq(sleeps, 0);
}
END_TEST

START_TEST(where_there_are_no_locks_it_is_watched_on_the_same_machine_too)
{
    has_no_locks = true;
    close(leave(ended_here(), 3));
    take_it();
    ck_assert_int_eq(sleeps, WATCHED);
    ck_assert_str_eq(lock.left_by, "process 4711 on here");
}
END_TEST

START_TEST(no_link_is_followed_and_a_directory_is_no_lock)
{
    char target[160];
    snprintf(target, sizeof target, "%s/target", directory.path);
    kit_write_file(target, "as it was", 9);
    ck_assert_int_eq(symlink("target", path), 0);
    check_refused(QUERN_ERROR_OUTPUT, "cannot use");
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    check_refused(QUERN_ERROR_OUTPUT, "cannot use");
    ck_assert_int_eq(rmdir(path), 0);
    char *text = kit_read_file(target, NULL);
    ck_assert_str_eq(text, "as it was");
    free(text);
}
END_TEST

START_TEST(who_was_taken_over_does_not_hold_it_and_removes_nothing)
{
    take_it();
    while_asleep = NULL;
    sleeps = WATCHED;
    rename_over();
    ck_assert(!qn_lock_file_is_held(&lock));
    qn_lock_file_drop(&lock);
    ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        one_job_at_a_time_has_it_and_it_goes_with_the_file,
        a_lock_of_who_ended_on_this_machine_is_taken_over_at_once_in_a_new_file,
        what_a_late_owner_writes_changes_nothing,
        who_beats_elsewhere_is_respected,
        a_lock_that_goes_while_it_is_watched_is_not_taken_and_may_be_tried_again,
        of_two_who_take_it_over_at_once_one_has_it,
        what_has_no_beat_is_refused_and_left,
        where_there_are_no_locks_it_is_watched_on_the_same_machine_too,
        no_link_is_followed_and_a_directory_is_no_lock,
        who_was_taken_over_does_not_hold_it_and_removes_nothing,
    };
    return kit_run_tests("lock_file", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
