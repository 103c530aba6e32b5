/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/topology/test_memory_limit.c: memory limits from small copies of /proc and /sys/fs/cgroup.
 */
#include "runtime/topology/memory_limit.h"
#include "tests/kit.h"

#include <limits.h>

#define KIB    UINT64_C(1024)
#define MIB    (1024 * KIB)
#define GIB    (1024 * MIB)
#define V2     "/sys/fs/cgroup"
#define V1     "/sys/fs/cgroup/memory"
#define HYBRID "/sys/fs/cgroup/unified"

static kit_directory root;
static qn_error error;

static void put(const char *path, const char *text)
{
    kit_write_below(root.path, path, text);
}

/* A machine of 64 GiB without cgroups or SLURM. */
static void make_machine(void)
{
    unsetenv("SLURM_MEM_PER_NODE");
    unsetenv("SLURM_MEM_PER_CPU");
    unsetenv("SLURM_CPUS_ON_NODE");
    kit_make_directory(&root);
    put("/proc/meminfo", "MemTotal:       67108864 kB\nMemFree:         1000 kB\n");
    qn_error_clear(&error);
}

static void remove_machine(void)
{
    kit_remove_directory(&root);
}

static void check_limit(uint64_t bytes, const char *source)
{
    qn_memory_limit limit = {0};
    kit_assert_ok(qn_memory_limit_query(root.path, &limit, &error), &error);
    ck_assert_uint_eq(limit.bytes, bytes);
    ck_assert_str_eq(limit.source, source);
}

START_TEST(a_bare_machine_may_use_its_physical_memory)
{
    check_limit(64 * GIB, "physical memory");
}
END_TEST

START_TEST(this_machine_has_a_limit)
{
    qn_memory_limit limit = {0};
    kit_assert_ok(qn_memory_limit_query("", &limit, &error), &error);
    ck_assert_uint_ge(limit.bytes, 16 * MIB);
    ck_assert_ptr_nonnull(limit.source);
}
END_TEST

START_TEST(a_machine_without_meminfo_is_an_error_that_names_it)
{
    qn_memory_limit limit = {.bytes = 77};
    ck_assert_int_eq(qn_memory_limit_query("/nonexistent", &limit, &error), QUERN_ERROR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(error.text, "/nonexistent/proc/meminfo"));
    ck_assert_uint_eq(limit.bytes, 77);
}
END_TEST

START_TEST(a_meminfo_that_cannot_be_understood_is_an_error)
{
    static const char *const odd[] = {"",
                                      "MemFree: 1 kB\n",
                                      "MemTotal: kB\n",
                                      "MemTotal: -1 kB\n",
                                      "MemTotal: 0 kB\n",
                                      "MemTotal: 5 MB\n",
                                      "MemTotal: 99999999999999999999999 kB\n"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        qn_memory_limit limit = {.bytes = 77};
        put("/proc/meminfo", odd[i]);
        qn_error_clear(&error);
        ck_assert_msg(qn_memory_limit_query(root.path, &limit, &error) == QUERN_ERROR_SYSTEM, "%s", odd[i]);
        ck_assert_uint_eq(limit.bytes, 77);
    }
}
END_TEST

START_TEST(v2_max_of_our_cgroup_is_the_limit)
{
    put("/proc/self/cgroup", "0::/job\n");
    put(V2 "/job/memory.max", "1073741824\n");
    put(V2 "/job/memory.high", "max\n");
    check_limit(GIB, "cgroup v2");
}
END_TEST

START_TEST(v2_high_counts_when_it_is_lower_than_max)
{
    put("/proc/self/cgroup", "0::/job\n");
    put(V2 "/job/memory.max", "2147483648\n");
    put(V2 "/job/memory.high", "1073741824\n");
    check_limit(GIB, "cgroup v2");
}
END_TEST

START_TEST(v2_ancestors_bind_their_children)
{
    put("/proc/self/cgroup", "0::/slurm/job_7/step_0/task_1\n");
    put(V2 "/slurm/memory.max", "34359738368\n");
    put(V2 "/slurm/job_7/memory.max", "4294967296\n");
    put(V2 "/slurm/job_7/step_0/memory.max", "8589934592\n");
    put(V2 "/slurm/job_7/step_0/task_1/memory.max", "max\n");
    check_limit(4 * GIB, "cgroup v2");
}
END_TEST

START_TEST(v2_siblings_do_not_bind_us)
{
    put("/proc/self/cgroup", "0::/job\n");
    put(V2 "/job/memory.max", "max\n");
    put(V2 "/other/memory.max", "4096\n");
    put(V2 "/job/child/memory.max", "4096\n");
    check_limit(64 * GIB, "physical memory");
}
END_TEST

START_TEST(v2_top_of_a_container_is_read)
{
    put("/proc/self/cgroup", "0::/\n");
    put(V2 "/memory.max", "1073741824\n");
    check_limit(GIB, "cgroup v2");
}
END_TEST

START_TEST(a_limit_above_physical_memory_does_not_count)
{
    put("/proc/self/cgroup", "0::/job\n");
    put(V2 "/job/memory.max", "1099511627776\n");
    check_limit(64 * GIB, "physical memory");
}
END_TEST

START_TEST(v1_limit_is_found_among_the_controllers)
{
    put("/proc/self/cgroup", "9:name=systemd:/x\n4:cpu,memory,blkio:/job\n3:cpuset:/\n");
    put(V1 "/job/memory.limit_in_bytes", "1073741824\n");
    check_limit(GIB, "cgroup v1");
}
END_TEST

START_TEST(v1_unlimited_is_no_limit)
{
    put("/proc/self/cgroup", "4:memory:/job\n");
    put(V1 "/job/memory.limit_in_bytes", "9223372036854771712\n");
    put(V1 "/memory.limit_in_bytes", "18446744073709551615\n");
    check_limit(64 * GIB, "physical memory");
}
END_TEST

START_TEST(v1_ancestors_bind_their_children)
{
    put("/proc/self/cgroup", "4:memory:/slurm/uid_0/job_7\n");
    put(V1 "/slurm/memory.limit_in_bytes", "2147483648\n");
    put(V1 "/slurm/uid_0/job_7/memory.limit_in_bytes", "9223372036854771712\n");
    check_limit(2 * GIB, "cgroup v1");
}
END_TEST

START_TEST(a_controller_is_not_taken_for_another_with_a_like_name)
{
    put("/proc/self/cgroup", "4:hugememory,memory2:/job\n");
    put(V1 "/job/memory.limit_in_bytes", "1073741824\n");
    check_limit(64 * GIB, "physical memory");
}
END_TEST

START_TEST(hybrid_machines_have_both_read)
{
    put("/proc/self/cgroup", "4:memory:/job\n0::/job\n");
    put(V1 "/job/memory.limit_in_bytes", "2147483648\n");
    check_limit(2 * GIB, "cgroup v1");
    put(HYBRID "/job/memory.max", "1073741824\n");
    check_limit(GIB, "cgroup v2");
}
END_TEST

START_TEST(mounts_elsewhere_are_found)
{
    put("/proc/self/cgroup", "4:memory:/job\n0::/job\n");
    put("/proc/self/mountinfo", "24 1 0:21 / /sys rw - sysfs sysfs rw\n"
                                "31 24 0:26 / /cg/two rw,nosuid shared:9 master:3 - cgroup2 cgroup2 rw,nsdelegate\n"
                                "32 24 0:27 / /cg/mem rw - cgroup cgroup rw,memory\n");
    put("/cg/mem/job/memory.limit_in_bytes", "2147483648\n");
    put(V1 "/job/memory.limit_in_bytes", "4096\n");
    check_limit(2 * GIB, "cgroup v1");
    put("/cg/two/job/memory.high", "1073741824\n");
    check_limit(GIB, "cgroup v2");
}
END_TEST

/* docker without cgroup namespaces: the path counts from the host's root, the mount starts at the container. */
START_TEST(a_mount_of_a_part_of_the_hierarchy_is_understood)
{
    put("/proc/self/cgroup", "0::/docker/abc/inner\n");
    put("/proc/self/mountinfo", "31 24 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
    put(V2 "/memory.max", "4294967296\n");
    check_limit(4 * GIB, "cgroup v2");
    put(V2 "/inner/memory.max", "1073741824\n");
    check_limit(GIB, "cgroup v2");
}
END_TEST

START_TEST(a_mount_of_another_part_does_not_bind_us)
{
    put("/proc/self/cgroup", "0::/docker/abcdef\n");
    put("/proc/self/mountinfo", "31 24 0:26 /docker/abc /mnt/other rw - cgroup2 cgroup rw\n"
                                "32 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
    put("/mnt/other/memory.max", "4096\n");
    put(V2 "/docker/abcdef/memory.max", "1073741824\n");
    check_limit(GIB, "cgroup v2");
}
END_TEST

START_TEST(a_path_outside_of_the_namespace_reads_only_the_top)
{
    put("/proc/self/cgroup", "0::/../../elsewhere\n");
    put("/memory.max", "4096\n");
    put("/elsewhere/memory.max", "4096\n");
    put("/sys/memory.max", "4096\n");
    put("/sys/elsewhere/memory.max", "4096\n");
    put(V2 "/memory.max", "1073741824\n");
    check_limit(GIB, "cgroup v2");
}
END_TEST

START_TEST(odd_limits_are_passed_over)
{
    static const char *const odd[] = {
        "", "\n", "max", "-1\n", "12x", "1 2", "0\n", "0x1000\n", "+4096", "99999999999999999999999999\n", "lots\n"};
    put("/proc/self/cgroup", "4:memory:/job\n0::/job\n");
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        put(V2 "/job/memory.max", odd[i]);
        put(V1 "/job/memory.limit_in_bytes", odd[i]);
        check_limit(64 * GIB, "physical memory");
    }
    char digits[4096];
    memset(digits, '0', sizeof digits);
    digits[sizeof digits - 2] = '9';
    digits[sizeof digits - 1] = 0;
    put(V2 "/job/memory.max", digits);
    check_limit(64 * GIB, "physical memory");
}
END_TEST

START_TEST(a_directory_where_a_limit_should_be_is_passed_over)
{
    put("/proc/self/cgroup", "0::/job\n");
    put(V2 "/job/memory.max/file", "1\n");
    put(V2 "/memory.max", "1073741824\n");
    check_limit(GIB, "cgroup v2");
}
END_TEST

START_TEST(odd_lists_of_cgroups_are_passed_over)
{
    static const char *const odd[] = {"",   "\n",         "0",           "0:",   "0::", "0::relative\n",
                                      "::", "4:memory\n", "4:memory:\n", ":::::"};
    put(V2 "/memory.max", "4096\n");
    put(V1 "/memory.limit_in_bytes", "4096\n");
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        put("/proc/self/cgroup", odd[i]);
        check_limit(64 * GIB, "physical memory");
    }
}
END_TEST

START_TEST(odd_lists_of_mounts_leave_the_usual_places)
{
    static const char *const odd[] = {"",
                                      "\n",
                                      "1 2 3\n",
                                      "31 24 0:26 / /x rw\n",
                                      "31 24 0:26 / /x rw -\n",
                                      "31 24 0:26 / /x rw - cgroup2\n",
                                      "- - - - - - - - -\n"};
    put("/proc/self/cgroup", "0::/job\n");
    put(V2 "/job/memory.max", "1073741824\n");
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        put("/proc/self/mountinfo", odd[i]);
        check_limit(GIB, "cgroup v2");
    }
}
END_TEST

START_TEST(a_path_too_long_is_passed_over)
{
    static char line[3 * PATH_MAX];
    memset(line, 'a', sizeof line - 1);
    memcpy(line, "0::/", 4);
    put("/proc/self/cgroup", line);
    check_limit(64 * GIB, "physical memory");
    line[PATH_MAX - 8] = 0;
    put("/proc/self/cgroup", line);
    put(V2 "/memory.max", "1073741824\n");
    check_limit(GIB, "cgroup v2");
}
END_TEST

START_TEST(slurm_memory_per_node_is_in_mebibytes)
{
    setenv("SLURM_MEM_PER_NODE", "1000", 1);
    check_limit(1000 * MIB, "SLURM_MEM_PER_NODE");
}
END_TEST

START_TEST(slurm_memory_per_cpu_is_times_the_cpus_of_the_node)
{
    setenv("SLURM_MEM_PER_CPU", "500", 1);
    check_limit(64 * GIB, "physical memory");
    setenv("SLURM_CPUS_ON_NODE", "4", 1);
    check_limit(2000 * MIB, "SLURM_MEM_PER_CPU");
}
END_TEST

START_TEST(odd_slurm_variables_are_passed_over)
{
    static const char *const odd[] = {"", "0", "-1", "4G", "x", "17592186044417", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        setenv("SLURM_MEM_PER_NODE", odd[i], 1);
        setenv("SLURM_MEM_PER_CPU", odd[i], 1);
        setenv("SLURM_CPUS_ON_NODE", "17592186044417", 1);
        check_limit(64 * GIB, "physical memory");
    }
}
END_TEST

START_TEST(the_smallest_voice_wins)
{
    put("/proc/self/cgroup", "4:memory:/job\n0::/job\n");
    put(HYBRID "/job/memory.max", "4294967296\n");
    check_limit(4 * GIB, "cgroup v2");
    put(V1 "/job/memory.limit_in_bytes", "3221225472\n");
    check_limit(3 * GIB, "cgroup v1");
    setenv("SLURM_MEM_PER_NODE", "2048", 1);
    check_limit(2 * GIB, "SLURM_MEM_PER_NODE");
    setenv("SLURM_MEM_PER_CPU", "512", 1);
    setenv("SLURM_CPUS_ON_NODE", "2", 1);
    check_limit(GIB, "SLURM_MEM_PER_CPU");
    put("/proc/meminfo", "MemTotal: 1024 kB\n");
    check_limit(MIB, "physical memory");
}
END_TEST

START_TEST(what_the_kernel_enforces_is_named_when_slurm_says_the_same)
{
    put("/proc/self/cgroup", "0::/job\n");
    put(V2 "/job/memory.max", "2147483648\n");
    setenv("SLURM_MEM_PER_NODE", "2048", 1);
    check_limit(2 * GIB, "cgroup v2");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_bare_machine_may_use_its_physical_memory,
        this_machine_has_a_limit,
        a_machine_without_meminfo_is_an_error_that_names_it,
        a_meminfo_that_cannot_be_understood_is_an_error,
        odd_limits_are_passed_over,
        a_directory_where_a_limit_should_be_is_passed_over,
        odd_lists_of_cgroups_are_passed_over,
        odd_lists_of_mounts_leave_the_usual_places,
        a_path_too_long_is_passed_over,
        slurm_memory_per_node_is_in_mebibytes,
        slurm_memory_per_cpu_is_times_the_cpus_of_the_node,
        odd_slurm_variables_are_passed_over,
        the_smallest_voice_wins,
        what_the_kernel_enforces_is_named_when_slurm_says_the_same,
        v2_max_of_our_cgroup_is_the_limit,
        v2_high_counts_when_it_is_lower_than_max,
        v2_ancestors_bind_their_children,
        v2_siblings_do_not_bind_us,
        v2_top_of_a_container_is_read,
        a_limit_above_physical_memory_does_not_count,
        v1_limit_is_found_among_the_controllers,
        v1_unlimited_is_no_limit,
        v1_ancestors_bind_their_children,
        a_controller_is_not_taken_for_another_with_a_like_name,
        hybrid_machines_have_both_read,
        mounts_elsewhere_are_found,
        a_mount_of_a_part_of_the_hierarchy_is_understood,
        a_mount_of_another_part_does_not_bind_us,
        a_path_outside_of_the_namespace_reads_only_the_top,
    };
    return kit_run_tests("limits", tests, sizeof tests / sizeof *tests, make_machine, remove_machine);
}
