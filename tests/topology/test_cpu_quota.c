/* SPDX-License-Identifier: BSD-3-Clause */
/* tests/topology/test_cpu_quota.c: processor time that cgroups allow, from small copies of /proc and /sys/fs/cgroup. */
#include "runtime/topology/cpu_quota.h"
#include "tests/kit.h"

#define V2 "/sys/fs/cgroup"
#define V1 "/sys/fs/cgroup/cpu,cpuacct"

static kit_directory root;

static void put(const char *path, const char *text)
{
    kit_write_below(root.path, path, text);
}

static void set_up(void)
{
    kit_make_directory(&root);
}

static void tear_down(void)
{
    kit_remove_directory(&root);
}

static void put_v2(void)
{
    put("/proc/self/cgroup", "0::/job/step\n");
    put("/proc/self/mountinfo", "31 24 0:26 / " V2 " rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
}

static void put_v1(void)
{
    put("/proc/self/cgroup", "4:memory:/other\n3:cpu,cpuacct:/job/step\n");
    put("/proc/self/mountinfo", "31 24 0:26 / " V1 " rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n");
}

START_TEST(without_a_quota_there_is_none)
{
    ck_assert_uint_eq(qn_cpu_quota_query(root.path), QN_CPU_QUOTA_NONE);
    put_v2();
    ck_assert_uint_eq(qn_cpu_quota_query(root.path), QN_CPU_QUOTA_NONE);
    put(V2 "/job/cpu.max", "max 100000\n");
    ck_assert_uint_eq(qn_cpu_quota_query(root.path), QN_CPU_QUOTA_NONE);
    put_v1();
    put(V1 "/job/cpu.cfs_quota_us", "-1\n");
    put(V1 "/job/cpu.cfs_period_us", "100000\n");
    ck_assert_uint_eq(qn_cpu_quota_query(root.path), QN_CPU_QUOTA_NONE);
}
END_TEST

START_TEST(the_least_of_all_ancestors_counts)
{
    put_v2();
    put(V2 "/job/step/cpu.max", "800000 100000\n");
    ck_assert_uint_eq(qn_cpu_quota_query(root.path), 8000);
    put(V2 "/job/cpu.max", "75000 50000\n");
    ck_assert_uint_eq(qn_cpu_quota_query(root.path), 1500);
    put(V2 "/job/step/cpu.max", "max 100000\n");
    ck_assert_uint_eq(qn_cpu_quota_query(root.path), 1500);
    put(V2 "/job/step/cpu.max", "1000 1000000\n");
    ck_assert_uint_eq(qn_cpu_quota_query(root.path), 1);
}
END_TEST

START_TEST(version_1_keeps_it_in_two_files)
{
    put_v1();
    put(V1 "/job/step/cpu.cfs_quota_us", "250000\n");
    ck_assert_uint_eq(qn_cpu_quota_query(root.path), QN_CPU_QUOTA_NONE);
    put(V1 "/job/step/cpu.cfs_period_us", "100000\n");
    ck_assert_uint_eq(qn_cpu_quota_query(root.path), 2500);
}
END_TEST

START_TEST(what_is_no_quota_does_not_count)
{
    static const char *const odd[] = {"",
                                      "0 100000",
                                      "100 0",
                                      "-5 100000",
                                      "x 100000",
                                      "100000",
                                      "99999999999999999999 1",
                                      "100000 99999999",
                                      " 100000 100000"};
    put_v2();
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        put(V2 "/job/cpu.max", odd[i]);
        ck_assert_msg(qn_cpu_quota_query(root.path) == QN_CPU_QUOTA_NONE, "\"%s\"", odd[i]);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        without_a_quota_there_is_none,
        the_least_of_all_ancestors_counts,
        version_1_keeps_it_in_two_files,
        what_is_no_quota_does_not_count,
    };
    return kit_run_tests("cpu_quota", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
