#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_plans.py: plans of jobs that are not run, and what became of those that were."""
import os
import re
import shutil
import stat
import subprocess

from harness import main, test


def explain(t, status, *args, env=None):
    done = subprocess.run([t.options.quern, "explain", *args], cwd=t.dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, timeout=60, env={**os.environ, "TMPDIR": t.tmp, **(env or {})})
    t.check(done.returncode == status, "status %d expected of %s, not %d: %s" % (status, args, done.returncode, done.stderr.decode()[-500:]))
    t.check(not any("quern-explain" in name for name in os.listdir(t.tmp)), "left: %s" % os.listdir(t.tmp))
    return done.stdout.decode(), done.stderr.decode()


def example(t, name):
    return os.path.join(os.path.dirname(t.options.wordcount), name)


@test
def a_plan_is_shown_and_nothing_is_done(t):
    path, out, saved, job = t.write("words", b"to be or not to be\n" * 100), t.path("out"), t.path("saved"), t.path("job")
    plan, said = explain(t, 0, "--", t.options.wordcount, "-o", out, path)
    t.check(plan.startswith("plan: 2 stages, 2 outputs\nstage 1: reads about 1900 bytes\n") or plan.startswith(
        "plan: 2 stages, 1 output\nstage 1: reads about 1900 bytes\n"), plan)
    t.check("  reduction: reduce by key (bytes, u64), count" in plan and '"%s"' % out in plan and not said, plan + said)
    # Whatever the job's own options, and on ranks of a launcher.
    options = ("--quern-checkpoint", saved, "--quern-job", job, "--quern-explain=text", "--quern-progress=on", "--quern-report", t.path("report"))
    for args in (options, ()):
        for ranks in ((), ("-n", "2", "--mpirun", t.options.mpirun)):
            t.check(explain(t, 0, *ranks, "--", t.options.wordcount, *args, "-o", out, path) == (plan, ""), "another plan: %s %s" % (ranks, args))
    made = [one for one in (out, saved, job, t.path("report")) if os.path.exists(one)]
    t.check(not made, "made: %s" % made)
    graph, _ = explain(t, 0, "--dot", t.options.wordcount, "-o", out, path)
    t.check(graph.startswith("digraph") and graph.rstrip().endswith("}"), graph)
    if shutil.which("dot"):
        t.check(subprocess.run(["dot", "-Tsvg"], input=graph.encode(), stdout=subprocess.PIPE, check=False).returncode == 0, "no graph")


@test
def of_several_runs_the_first_is_shown(t):
    points = t.write("points", b"1 2\n3 4\n5 7\n")
    plan, _ = explain(t, 0, "--", example(t, "kmeans"), "--k", "2", points)
    t.check(plan.count("plan: ") == 1 and "stage 1" in plan, plan)
    script = t.write("stubborn", b"#!/bin/sh\n%s \"$@\"\nexec sleep 100\n" % t.options.wordcount.encode())
    os.chmod(script, stat.S_IRWXU)
    t.check(explain(t, 0, "--", script, points)[0].startswith("plan: "), "no plan of who does not end")


@test
def the_option_alone_gives_a_status_that_is_no_failure(t):
    path, out = t.write("words", b"a b c\n"), t.path("out")
    for n in (None, 2):
        run = t.run(n, "--quern-explain=only", "-o", out, path)
        t.check(run.status == 0 and run.stderr.count(b"plan: ") == 1 and not run.stdout and not os.path.exists(out), "it ran", run)


@test
def jobs_without_a_plan_are_told_from_those_that_cannot_be_started(t):
    said = explain(t, 1, "--", t.options.wordcount, "--quern-memroy=1G", "x")[1]
    t.check("memroy" in said and "there is no plan: the job ended with status" in said, said)
    t.check("there is no plan" in explain(t, 1, "--", t.options.wordcount, "-o")[1], "of misuse")
    t.check("cannot start" in explain(t, 127, "--", t.path("no-job"))[1], "of nothing")
    t.check("ended with status 0 before its first run" in explain(t, 1, "--", "true")[1], "of a job that does not run")
    for args in ((), ("-n", "0", "--", "true"), ("--nonsense",)):
        explain(t, 2, *args)


@test
def what_was_foreseen_stands_beside_what_was_read(t):
    path, job = t.write("words", b"to be or not to be\n" * 100), t.path("job")
    t.succeed(2, "--quern-job", job, path)
    for name in (job, os.path.join(job, "report.json")):
        text, _ = explain(t, 0, name)
        t.check(re.search(r"^run: QUERN_OK, \S+ s on 2 ranks, 2 stages\n", text) and
                re.search(r"^  read text +about 1.90 kB +1.90 kB +600 +600 +0$", text, re.M), text)
        t.check(re.search(r"^stage 1: QUERN_OK, \S+ s; 1.90 kB read, ", text, re.M), text)
    explain(t, 2, "--dot", job)
    explain(t, 1, t.dir)
    explain(t, 1, t.write("no-report", b"{}"))


if __name__ == "__main__":
    main()
