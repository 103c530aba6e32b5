/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/engine/test_disk_watch.c: a file system that does not answer holds up nobody. statvfs() is answered here.
 */
#include "runtime/engine/disk_watch.h"
#include "tests/kit.h"
#include "tests/refusal.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/suspension.h"
#include "runtime/engine/job_status.h"

#define MS QN_NS_PER_MS

static kit_directory directory;
static qn_error error;
static sem_t answer; /* posted: one look may end */
static atomic_bool is_dead, is_full;
static atomic_int looks, looks_over;

int __wrap_statvfs64(const char *path, struct statvfs *disk_out);
int __wrap_statvfs64(const char *path, struct statvfs *disk_out)
{
    (void)path;
    atomic_fetch_add(&looks, 1);
    while (atomic_load(&is_dead) && sem_wait(&answer) != 0 && errno == EINTR)
        ;
    *disk_out = (struct statvfs){.f_blocks = 1000, .f_bavail = atomic_load(&is_full) ? 49 : 51};
    atomic_fetch_add(&looks_over, 1);
    return 0;
}

static void set_up(void)
{
    kit_make_directory(&directory);
    qn_error_clear(&error);
    sem_init(&answer, 0, 0);
    atomic_store(&is_dead, false);
    atomic_store(&is_full, false);
    atomic_store(&looks, 0);
    atomic_store(&looks_over, 0);
}

static void tear_down(void)
{
    kit_remove_directory(&directory);
}

static bool comes_true(bool (*is_so)(void))
{
    for (int i = 0; i < 5000 && !is_so(); i++)
        qn_clock_sleep(MS);
    return is_so();
}

static bool is_looking(void)
{
    return atomic_load(&looks) > 0;
}

static bool all_looks_are_over(void)
{
    return atomic_load(&looks_over) == atomic_load(&looks);
}

START_TEST(a_file_system_with_less_than_a_twentieth_left_is_full)
{
    qn_disk_watch *watch = qn_disk_watch_start(directory.path);
    ck_assert_str_eq(qn_disk_watch_get_directory(watch), directory.path);
    ck_assert(comes_true(is_looking) && comes_true(all_looks_are_over));
    ck_assert(!qn_disk_watch_is_full(watch));
    atomic_store(&is_full, true);
    for (int i = 0; i < 5000 && !qn_disk_watch_is_full(watch); i++)
        qn_clock_sleep(MS);
    ck_assert(qn_disk_watch_is_full(watch));
    double start_ms = kit_now_ms();
    qn_disk_watch_stop(watch);
    ck_assert(kit_now_ms() - start_ms < 400); /* it did not wait in vain */
}
END_TEST

START_TEST(one_that_does_not_answer_is_left_behind)
{
    atomic_store(&is_dead, true);
    qn_disk_watch *watch = qn_disk_watch_start(directory.path);
    ck_assert(comes_true(is_looking));
    ck_assert(!qn_disk_watch_is_full(watch));
    double start_ms = kit_now_ms();
    qn_disk_watch_stop(watch);
    ck_assert(kit_now_ms() - start_ms < 5000);
    atomic_store(&is_dead, false);
    sem_post(&answer); /* it frees what is left, which sanitizers look at */
    ck_assert(comes_true(all_looks_are_over));
    qn_clock_sleep(50 * MS);
}
END_TEST

START_TEST(none_is_never_full)
{
    ck_assert(!qn_disk_watch_is_full(NULL));
    ck_assert_str_eq(qn_disk_watch_get_directory(NULL), "");
    qn_disk_watch_stop(NULL);
}
END_TEST

START_TEST(a_job_whose_scratch_does_not_answer_is_told_to_end)
{
    qn_job_status *status = NULL;
    const qn_comm comm = {.size = 1, .node_count = 1};
    char cancel[96];
    snprintf(cancel, sizeof cancel, "%s/cancel", directory.path);
    atomic_store(&is_dead, true);
    kit_assert_ok(qn_job_status_open(&status, directory.path, &comm, true, &error), &error);
    qn_job_status_watch_disk(status, "/scratch", NULL, NULL);
    ck_assert(comes_true(is_looking));
    kit_write_file(cancel, "", 0);
    ck_assert(!qn_suspension_is_asked());
    ck_assert(comes_true(qn_suspension_is_asked));
    qn_job_status_close(status, false);
    atomic_store(&is_dead, false);
    sem_post(&answer);
    ck_assert(comes_true(all_looks_are_over));
    qn_clock_sleep(50 * MS);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_file_system_with_less_than_a_twentieth_left_is_full,
        one_that_does_not_answer_is_left_behind,
        none_is_never_full,
        a_job_whose_scratch_does_not_answer_is_told_to_end,
    };
    return kit_run_tests("disk_watch", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
