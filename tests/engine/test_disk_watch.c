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
    *disk_out = (struct statvfs){.f_frsize = 4096, .f_blocks = 1000, .f_bavail = atomic_load(&is_full) ? 49 : 51};
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

START_TEST(what_is_left_of_a_file_system_is_seen_again_and_again)
{
    qn_disk_watch *watch = qn_disk_watch_start(directory.path, 50 * MS);
    ck_assert(comes_true(is_looking) && comes_true(all_looks_are_over));
    for (int i = 0; i < 5000 && qn_disk_watch_get(watch).bytes == 0; i++)
        qn_clock_sleep(MS);
    ck_assert_uint_eq(qn_disk_watch_get(watch).bytes, 1000 * 4096);
    ck_assert_uint_eq(qn_disk_watch_get(watch).free_bytes, 51 * 4096);
    atomic_store(&is_full, true);
    for (int i = 0; i < 5000 && qn_disk_watch_get(watch).free_bytes != 49 * 4096; i++)
        qn_clock_sleep(MS);
    ck_assert_uint_eq(qn_disk_watch_get(watch).free_bytes, 49 * 4096);
    double start_ms = kit_now_ms();
    qn_disk_watch_stop(watch);
    ck_assert(kit_now_ms() - start_ms < 400); /* it did not wait in vain */
}
END_TEST

START_TEST(one_that_does_not_answer_is_left_behind)
{
    atomic_store(&is_dead, true);
    qn_disk_watch *watch = qn_disk_watch_start(directory.path, QN_NS_PER_S);
    ck_assert(comes_true(is_looking));
    ck_assert_uint_eq(qn_disk_watch_get(watch).bytes, 0);
    double start_ms = kit_now_ms();
    qn_disk_watch_stop(watch);
    ck_assert(kit_now_ms() - start_ms < 5000);
    atomic_store(&is_dead, false);
    sem_post(&answer); /* it frees what is left, which sanitizers look at */
    ck_assert(comes_true(all_looks_are_over));
    qn_clock_sleep(50 * MS);
}
END_TEST

START_TEST(none_sees_nothing)
{
    ck_assert_uint_eq(qn_disk_watch_get(NULL).bytes, 0);
    qn_disk_watch_stop(NULL);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        what_is_left_of_a_file_system_is_seen_again_and_again,
        one_that_does_not_answer_is_left_behind,
        none_sees_nothing,
    };
    return kit_run_tests("disk_watch", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
