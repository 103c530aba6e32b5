#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_sim.py: `quern sim` gives the same figures for the same seed, as text, JSON and a picture, and refuses what cannot be."""
import json
import os
import shutil

from harness import Skip, main, test


def sim(t, *args, status=0, env=None):
    t.program = t.options.quern
    run = t.start(None, "sim", *args, env=env).wait()
    t.check(run.status == status, "status %d expected" % status, run)
    return run


def figures(t, *args):
    return json.loads(sim(t, *args, "--json").stdout)


@test
def the_same_seed_gives_the_same_figures_and_another_seed_others(t):
    weather = ("--ranks", "500", "--nodes", "20", "--tasks", "20k", "--distribution", "lognormal", "--stragglers", "0.1",
               "--mtbf", "0.05", "--restart-time", "2", "--state-bytes", "10G", "--disk-bandwidth", "20G", "--speculate", "on")
    first, second, other = (figures(t, *weather, "--seed", seed) for seed in "778")
    for run in (first, second, other):
        run.pop("here")
    t.check(first == second, "two runs of seed 7 differ")
    t.check(first["makespan_seconds"] != other["makespan_seconds"], "seeds 7 and 8 give the same")
    t.check(first["finished"] and first["failures"] > 0 and first["epochs"] > 0 and first["left"] > 0, "no weather: %s" % first["failures"])


@test
def a_hundred_thousand_ranks_and_a_million_tasks_take_seconds_and_little_memory(t):
    run = figures(t, "--ranks", "100k", "--cores", "128", "--tasks", "1M")
    t.check(run["orders"] == run["messages"] == 1000000, "%s orders" % run["orders"])
    t.check(run["makespan_seconds"] < 1.2 * run["ideal_seconds"], "%s s" % run["makespan_seconds"])
    t.check(run["here"]["peak_bytes"] < 200e6, "%s bytes" % run["here"]["peak_bytes"])


@test
def ranks_nodes_and_cores_settle_each_other(t):
    for args, ranks, nodes in ((("--ranks", "40"), 40, 3), (("--nodes", "3"), 48, 3), (("--nodes", "3", "--cores", "4"), 12, 3),
                               (("--ranks", "40", "--nodes", "4"), 40, 4)):
        given = figures(t, *args)["input"]
        t.check((given["ranks"], given["nodes"]) == (ranks, nodes), "%s: %s on %s" % (args, given["ranks"], given["nodes"]))


@test
def the_text_has_makespan_ideal_utilisation_master_failures_and_memory(t):
    text = sim(t, "--ranks", "64").stdout.decode()
    for word in ("makespan", "ideal", "utilisation", "messages/s", "failures", "epochs", "MB at most"):
        t.check(word in text, "not said: %s" % word)


@test
def with_slow_nodes_a_stage_is_over_sooner_where_tasks_are_left_and_begun_a_second_time(t):
    slow = ("--ranks", "800", "--tasks", "16k", "--stragglers", "0.05", "--slowdown", "5", "--distribution", "lognormal")
    for parts in ((), ("--parts",)):
        # Of one cluster the longest task may be on a rank that is not slow, or be drawn longer the second time.
        makespans = [[figures(t, *slow, *parts, "--seed", seed, "--speculate", speculate)["makespan_seconds"] for seed in "1234"] for speculate in ("off", "auto")]
        t.check(sum(makespans[1]) < 0.8 * sum(makespans[0]), "%s s are not less than %s" % (makespans[1], makespans[0]))
        off, auto = (figures(t, *slow, *parts, "--speculate", speculate) for speculate in ("off", "auto"))
        t.check(figures(t, *slow, *parts)["makespan_seconds"] == auto["makespan_seconds"], "auto is not what is done by itself")
        t.check(off["asked"] == off["left"] == off["second_attempts"] == off["twice_seconds"] == 0, "off does nothing")
        t.check(auto["left"] > 0 and (auto["second_attempts_won"] > 0 and auto["twice_seconds"] > 0) == bool(parts), "%s" % auto)
        if parts:
            t.check(auto["left"] == auto["second_attempts_won"], "what was begun is left, though no second has made its part: %s" % auto)
        text = sim(t, *slow, *parts).stdout.decode()
        t.check(("%d second attempts, of which %d won" % (auto["second_attempts"], auto["second_attempts_won"])) in text, text)
        t.check(("%d tasks were asked for" % auto["asked"]) in text, text)


@test
def gnuplot_draws_it(t):
    if not shutil.which("gnuplot"):
        raise Skip("there is no gnuplot")
    for name, begin in (("a'b.svg", b"<?xml"), ("run.png", b"\x89PNG")):
        path = t.path(name)
        sim(t, "--ranks", "64", "--plot", path)
        with open(path, "rb") as file:
            t.check(file.read(5).startswith(begin[:5]), "%s is none" % name)


@test
def without_gnuplot_it_says_what_is_missing(t):
    run = sim(t, "--ranks", "64", "--plot", t.path("run.svg"), status=1, env={"PATH": t.tmp})
    t.check(b"cannot start gnuplot" in run.stderr, "not said", run)
    t.check(b"makespan" in run.stdout, "the figures are there all the same", run)


@test
def misuse_is_told(t):
    for args, word in ((("--ranks", "0"), b"--ranks takes"), (("--ranks", "ten"), b"'ten'"), (("--seed", "1x"), b"'1x'"),
                       (("--distribution", "normal"), b"'normal'"), (("--speculate", "maybe"), b"'maybe'"), (("--json", "--faults"), b"first"), (("--runs", "9"), b"one of --faults"),
                       (("--nonsense",), b"sim --help"),
                       (("more",), b"sim --help")):
        t.check(word in sim(t, *args, status=2).stderr, "%s: %s expected" % (args, word))
    for args, word in ((("--ranks", "10", "--nodes", "3", "--cores", "2"), b"3 nodes of 2"), (("--plot", "x.gif"), b".svg"),
                       (("--parts", "--state-bytes", "1G"), b"--state-bytes"),
                       (("--distribution", "pareto", "--spread", "1"), b"no such cluster")):
        t.check(word in sim(t, *args, status=1).stderr, "%s: %s expected" % (args, word))


if __name__ == "__main__":
    main()
