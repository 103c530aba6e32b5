/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/quern/sim_plot.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/quern/commands.h"

extern char **environ;

static bool ends_in(const char *path, const char *suffix)
{
    size_t bytes = strlen(path), suffix_bytes = strlen(suffix);
    return bytes > suffix_bytes && strcmp(path + bytes - suffix_bytes, suffix) == 0;
}

static void write_curve(FILE *to, const char *name, const qn_cluster_result *result, double rank_count)
{
    double step_s = (double)result->bucket_ns / 1e9, done = 0, all = 0;
    for (uint32_t i = 0; i < result->bucket_count; i++)
        all += (double)result->buckets[i].tasks_done;
    fprintf(to, "$%s << EOD\n", name);
    for (uint32_t i = 0; i < result->bucket_count; i++) {
        const qn_cluster_bucket *bucket = &result->buckets[i];
        done += (double)bucket->tasks_done;
        fprintf(to, "%.9g %.6g %.6g %.6g\n", step_s * (i + 0.5),
                100 * bucket->busy_ns / (double)result->bucket_ns / rank_count, all > 0 ? 100 * done / all : 100,
                (double)bucket->messages / step_s);
    }
    fputs("EOD\n", to);
}

/* A name in quotes of gnuplot's, in which a quote is two. */
static void write_name(FILE *to, const char *path)
{
    putc('\'', to);
    for (; *path; path++) {
        if (*path == '\'')
            putc('\'', to);
        putc(*path, to);
    }
    putc('\'', to);
}

static void write_script(FILE *to, const char *path, const qn_cluster_result *result, double rank_count)
{
    fprintf(to, "set terminal %s size 1000,700\nset output ", ends_in(path, ".svg") ? "svg background 'white'" : "png");
    write_name(to, path);
    fputs("\nset multiplot layout 2,1\nset xlabel 'seconds'\nset yrange [0:*]\nset key outside\n", to);
    write_curve(to, "run", result, rank_count);
    fputs("set ylabel '%'\nplot $run using 1:2 with fillsteps title 'ranks at work', $run using 1:3 with lines lw 2 "
          "title "
          "'tasks done'\nset ylabel 'per second'\nplot $run using 1:4 with steps title 'messages and orders'\n"
          "unset multiplot\n",
          to);
}

static int start_gnuplot(int input, pid_t *pid_out)
{
    char *const arguments[] = {"gnuplot", "-", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    int number = posix_spawnp(pid_out, "gnuplot", &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return number;
}

int quern_sim_plot(const char *path, const qn_cluster_result *result, double rank_count)
{
    pid_t pid = 0;
    int status = 0;
    if (!ends_in(path, ".svg") && !ends_in(path, ".png"))
        return quern_command_fail(0, "sim: %s is to end in .svg or .png", path);
    FILE *script = tmpfile();
    if (!script)
        return quern_command_fail(errno, "sim: no temporary file");
    write_script(script, path, result, rank_count);
    rewind(script);
    int number = start_gnuplot(fileno(script), &pid);
    fclose(script);
    if (number != 0)
        return quern_command_fail(number, "sim: cannot start gnuplot, which draws (package gnuplot-nox)");
    if (waitpid(pid, &status, 0) != pid || status != 0)
        return quern_command_fail(0, "sim: gnuplot could not draw %s", path);
    return 0;
}
