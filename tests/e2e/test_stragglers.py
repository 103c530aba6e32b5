#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_stragglers.py: a slow rank does not decide when a stage ends, and whoever does its work the answer is the same, to the byte.

The program is straggling_job.c, which sleeps for each line, on one rank longer than on the others.
"""
import json
import os
import random
import shutil
import signal
import time

from harness import main, read_file, test, wait_until

WHATS = ("count", "text", "sort", "top", "collect")


def lines_of(seed, count):
    chance = random.Random(seed)
    return b"".join(b"%d %s\n" % (int(chance.paretovariate(0.4)) % 50000, b"x" * chance.randrange(60)) for _ in range(count))


class Straggler:
    """The job with its input; every run's answer is compared with that of one rank alone."""

    def __init__(self, t, count, seed=1):
        self.t = t
        self.input = t.write("input.txt", lines_of(seed, count))
        self.expected = {}

    def args(self, what, out, *options):
        return (what, out, self.input, "--quern-split-bytes=64K", "--quern-log", self.t.path("log"), *options)

    def answer(self, what, out, run):
        found = [sorted(run.stdout.splitlines()) if what == "top" else run.stdout]
        if what not in ("top", "collect"):
            data = self.t.committed(out, run)
            found.append(sorted(data.splitlines()) if what == "count" else data)
            shutil.rmtree(out)
        return found

    def compare(self, what, out, run):
        if what not in self.expected:
            alone = self.t.new_output()
            self.expected[what] = self.answer(what, alone, self.t.succeed(None, *self.args(what, alone)))
        self.t.check(self.answer(what, out, run) == self.expected[what], "another answer", run)

    def run(self, n, what, *options, straggle, **start):
        """The report of its first stage."""
        out, report = self.t.new_output(), self.t.path("report")
        run = self.t.succeed(n, *self.args(what, out, "--quern-report", report, *options), env={"STRAGGLE": straggle},
                             **start)
        self.compare(what, out, run)
        return json.loads(read_file(report))["stages"][0]


def total(stage, figure):
    return sum(rank[figure] for rank in stage["ranks"])


@test
def a_slow_rank_leaves_the_rest_of_its_task_to_others(t):
    job = Straggler(t, 20000)
    for what in ("count", "sort", "top"):
        slow = job.run(3, what, "--quern-split-bytes=256K", "--quern-speculate=off", straggle="2:150000:5000")
        fast = job.run(3, what, "--quern-split-bytes=256K", straggle="2:150000:5000")
        t.check(total(slow, "tasks_left") == total(slow, "second_attempts") == 0, "a task was left though it was not to be")
        t.check(fast["ranks"][2]["tasks_left"] > 0, "no task was left: %s" % fast["ranks"])
        t.check(fast["seconds"] < 0.7 * slow["seconds"], "%s: %g s, and %g s before" % (what, fast["seconds"], slow["seconds"]))


@test
def a_part_that_takes_long_is_made_a_second_time(t):
    job = Straggler(t, 20000)
    for what in ("text", "collect"):
        slow = job.run(3, what, "--quern-split-bytes=256K", "--quern-speculate=off", straggle="1:200000:5000")
        fast = job.run(3, what, "--quern-split-bytes=256K", straggle="1:200000:5000")
        t.check(total(slow, "second_attempts") == 0, "it was made a second time though it was not to be")
        t.check(total(fast, "second_attempts_won") > 0, "none was made a second time: %s" % fast["ranks"])
        t.check(fast["seconds"] < 0.7 * slow["seconds"], "%s: %g s, and %g s before" % (what, fast["seconds"], slow["seconds"]))


@test
def a_rank_that_is_in_one_block_for_long_has_a_second_that_goes_on_where_it_stops(t):
    job = Straggler(t, 20000)
    slow = job.run(3, "count", "--quern-split-bytes=256K", "--quern-speculate=off", straggle="2:1000000:5000")
    fast = job.run(3, "count", "--quern-split-bytes=256K", straggle="2:1000000:5000")
    t.check(total(fast, "second_attempts_won") > 0, "there was no second: %s" % fast["ranks"])
    t.check(b"makes a second attempt" in read_file(t.path("log")), "the log does not say so")
    t.check(fast["seconds"] < 0.5 * slow["seconds"], "%g s, and %g s before" % (fast["seconds"], slow["seconds"]))


@test
def without_a_slow_rank_nothing_is_done_twice(t):
    job = Straggler(t, 20000)
    for what in WHATS:
        stage = job.run(2, what, straggle="9:0:20000")
        t.check(total(stage, "second_attempts") <= 1, "%d second attempts" % total(stage, "second_attempts"))


@test
def whoever_wins_the_answer_is_the_same(t):
    """Every idle rank makes second attempts at once, ranks differ at random, and callbacks fail now and then."""
    seed = int(os.environ.get("E2E_SEED", "1"))
    chance = random.Random(seed)
    job = Straggler(t, 30000)
    won = dropped = left = 0
    for turn in range(100 if t.options.slow else 15):
        n = chance.choice((2, 3, 4))
        straggle = "%d:%d:%d" % (chance.randrange(n), chance.choice((20000, 100000, 400000)), chance.choice((0, 2000, 10000)))
        options = ["--quern-speculate=on", "--quern-attempts=8",
                   "--quern-split-bytes=%dK" % chance.choice((32, 64, 200, 400))]
        if chance.random() < 0.3:
            options.append("--quern-memory=64M")
        what = WHATS[turn % len(WHATS)]
        if chance.random() < 0.5:
            os.environ["STRAGGLE_FAIL"] = str(chance.choice((17989, 29989)))
        try:
            stage = job.run(n, what, *options, straggle=straggle)
        finally:
            os.environ.pop("STRAGGLE_FAIL", None)
        won += total(stage, "second_attempts_won")
        dropped += total(stage, "second_attempts") - total(stage, "second_attempts_won")
        left += total(stage, "tasks_left")
    t.check(won > 0 and dropped > 0 and left > 0, "%d won, %d dropped, %d left: seed %d" % (won, dropped, left, seed))


@test
def a_stopped_rank_finds_its_work_done_when_it_goes_on(t):
    job = Straggler(t, 20000)
    for what in ("count", "text"):
        out = t.new_output()
        running = t.start(3, *job.args(what, out, "--quern-split-bytes=256K", "--quern-progress=on"),
                          env={"STRAGGLE": "9:0:300000"})
        t.check(wait_until(lambda: len(running.rank_pids()) == 3, 20), "it does not start")
        stopped = running.rank_pids()[2]
        t.check(wait_until(lambda: b"tasks on" in read_file(running.err_path), 20), "it does not run")
        time.sleep(0.2)
        os.kill(stopped, signal.SIGSTOP)
        seconds = wait_until(lambda: os.path.exists(t.path("log")) and b"second attempt" in read_file(t.path("log")), 15)
        time.sleep(0.5)
        os.kill(stopped, signal.SIGCONT)
        run = running.wait()
        t.check(run.status == 0, "the job failed", run)
        t.check(seconds, "nobody began its task a second time", run)
        job.compare(what, out, run)
        os.unlink(t.path("log"))


@test
def epochs_are_cut_while_there_are_second_attempts(t):
    job = Straggler(t, 30000)
    log = t.path("log")
    wanted = (b"an epoch in stage", b"makes a second attempt", b"takes over", b"drops its second attempt", b"is asked to leave")
    for straggle, every in (("2:100000:5000", "40ms"), ("1:400000:0", "300ms"), ("0:50000:10000", "1ms")) * 5:
        if os.path.exists(log) and all(what in read_file(log) for what in wanted):
            break
        out, saved = t.new_output(), t.path("saved")
        run = t.succeed(3, *job.args("count", out, "--quern-split-bytes=200K", "--quern-speculate=on", "--quern-checkpoint",
                                     saved, "--quern-checkpoint-every", every), env={"STRAGGLE": straggle})
        job.compare("count", out, run)
        shutil.rmtree(saved)
    text = read_file(log)
    for what in wanted:
        t.check(what in text, "%r never was" % what)


@test
def a_job_killed_while_there_are_second_attempts_goes_on(t):
    seed = int(os.environ.get("E2E_SEED", "1"))
    chance = random.Random(seed)
    job = Straggler(t, 30000)
    for turn in range(30 if t.options.slow else 4):
        what = ("count", "text", "sort", "collect")[turn % 4]
        out, saved = t.new_output(), t.path("saved%d" % turn)
        args = job.args(what, out, "--quern-split-bytes=200K", "--quern-speculate=on", "--quern-checkpoint", saved,
                        "--quern-checkpoint-every=5ms", "--quern-resume=on")
        env = {"STRAGGLE": "%d:200000:5000" % chance.randrange(3)}
        running = t.start(3, *args, env=env)
        t.check(wait_until(lambda: len(running.rank_pids()) == 3, 20), "it does not run")
        time.sleep(chance.random())
        pids = list(running.rank_pids().values())
        if pids:
            os.kill(chance.choice(pids), signal.SIGKILL)
        run = running.wait()
        if run.status != 0 and not os.path.exists(os.path.join(out, "_SUCCESS")):
            run = t.succeed(chance.choice((2, 3)), *args, env=env)
        elif what == "collect" and run.status != 0:
            continue
        job.compare(what, out, run) if run.status == 0 else shutil.rmtree(out)


if __name__ == "__main__":
    main()
