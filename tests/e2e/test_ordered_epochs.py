#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_ordered_epochs.py: a sort, a grouping or a join that died or was told to end goes on where it was last saved, with any number of ranks.

The program is ordered_job.c; the examples are built beside it.
"""
import glob
import json
import os
import random
import re
import shutil
import signal
import time

from harness import Told, main, read_file, test, wait_until

OFTEN = "--quern-checkpoint-every=1ms"
ORDERS = ("sort", "group", "join")
MIXED = ("later", "united", "kept")  # stages that read a result, and then files


def pairs_of(seed, count, side):
    """Half of the keys of the left side are one; the line that ends the job is among the last."""
    chance = random.Random(seed)
    lines = []
    for _ in range(count):
        key = 0 if side == "l" and chance.random() < 0.5 else chance.randrange(3000)
        lines.append(b"k%d\t%s%d" % (key, side.encode(), chance.randrange(10 ** 6)))
    lines += [b"", b"\0", b"big\t" + b"x" * 200, b"key alone", b"after\t"]
    chance.shuffle(lines)
    lines.insert(len(lines) * 9 // 10, b"die\t")
    return b"\n".join(lines) + b"\n"


class Job:
    """ordered_job with its inputs, output and checkpoint."""

    def __init__(self, t, order, count=120000):
        self.t = t
        self.order = order
        self.left = t.write("left", pairs_of(1, count, "l"))
        self.right = t.write("right", pairs_of(2, count // 30, "r"))
        self.saved = t.path("saved")
        shutil.rmtree(self.saved, ignore_errors=True)

    def args(self, where, *options):
        return (self.order, Told(where), self.t.path("out"), self.left, self.right, "--quern-progress=on", "--quern-broadcast=1",
                "--quern-split-bytes=32K", "--quern-checkpoint", self.saved, *options)

    def result(self, run):
        """The output's bytes and what was counted; it is taken away."""
        data = self.t.committed(self.t.path("out"), run)
        shutil.rmtree(self.t.path("out"))
        if run.status == 0 and os.path.exists(self.saved):  # else killed while it removed it
            self.t.check(os.listdir(self.saved) == [], "left: %s" % os.listdir(self.saved), run)
        return [run.stdout, data]

    def expected(self):
        return self.result(self.t.succeed(2, *self.args("none")))

    def is_over(self):
        return os.path.exists(self.t.path("out", "_SUCCESS")) and not os.path.exists(os.path.join(self.saved, "journal"))


def epochs_of(path):
    return len(re.findall(rb'"event": ?"epoch"', read_file(os.path.join(path, "journal"))))


def attempts_of(path):
    """Of which attempts the files are that the last epoch has."""
    last = [line for line in read_file(os.path.join(path, "journal")).splitlines() if re.search(rb'"event": ?"epoch"', line)][-1]
    return set(re.findall(rb"\.attempt-(\d+)\.", last))


def kill_behind_an_epoch(t, job, n, stage, number):
    """The stage of the run is read on n ranks until the job dies there. Ranks that others keep from working may die before an epoch is cut."""
    for _ in range(4):
        shutil.rmtree(job.saved, ignore_errors=True)
        shutil.rmtree(t.path("out"), ignore_errors=True)
        run = t.run(n, *job.args("split", OFTEN))
        t.check(run.status not in (0, 1, 2), "it was not killed", run)
        lines = [json.loads(line.partition(b" ")[2]) for line in read_file(os.path.join(job.saved, "journal")).splitlines()]
        if any(line["event"] == "epoch" and (line["stage"], line["run"]) == (stage, number) for line in lines):
            return
    t.check(False, "no epoch was cut in four attempts", run)


def went_on(run, stage=0, number=1):
    return b"stage %d of run %d goes on with" % (stage, number) in run.stderr


@test
def epochs_at_every_moment_change_nothing(t):
    for order, counts in (("sort", (None, 2, 3, 7)), ("group", (3,)), ("join", (None, 2, 5)), ("later", (3,)), ("united", (2,))):
        job = Job(t, order)
        expected = job.expected()
        for n in counts:
            log = t.path("log%s%s" % (order, n))
            run = t.succeed(n, *job.args("none", OFTEN, "--quern-log", log))
            t.check(read_file(log).count(b"an epoch in stage") > 0, "no epoch was cut on %s ranks" % n, run)
            t.check(job.result(run) == expected, "%s: another answer on %s ranks" % (order, n), run)


@test
def a_job_killed_within_a_stage_goes_on_there(t):
    for order in ORDERS:
        job = Job(t, order)
        expected = job.expected()
        for before, after in ((2, 2), (1, 3), (3, 1), (None, 4)) if order == "sort" or t.options.slow else ((3, 2), (None, 3)):
            run = t.run(before, *job.args("split", OFTEN))
            t.check(run.status not in (0, 1, 2), "it was not killed", run)
            t.check(epochs_of(job.saved) > 0, "no epoch was cut", run)
            run = t.succeed(after, *job.args("none", "--quern-resume=on"))
            t.check(went_on(run), "it began again", run)
            t.check(job.result(run) == expected, "%s: another answer" % order, run)


@test
def a_stage_that_reads_a_result_and_then_files_goes_on_within_the_files(t):
    for order, changes in (("later", ((3, 2), (1, 3))), ("united", ((2, 3),)), ("kept", ((3, 2),))):
        job = Job(t, order)
        expected = job.expected()
        for before, after in changes:
            number = 2 if order == "kept" else 1
            kill_behind_an_epoch(t, job, before, 1, number)
            run = t.run(after, *job.args("split", OFTEN, "--quern-resume=on"))
            t.check(went_on(run, 1, number) and run.status not in (0, 1, 2), "it began again, or was not killed", run)
            run = t.succeed(before, *job.args("none", OFTEN, "--quern-resume=on"))
            t.check(went_on(run, 1, number), "it began again", run)
            t.check(job.result(run) == expected, "%s: another answer" % order, run)


@test
def a_job_killed_behind_the_order_does_not_make_it_again(t):
    for order, changes in (("sort", ((2, 2), (1, 3))), ("group", ((3, 1),)), ("join", ((2, 3),))):
        job = Job(t, order)
        expected = job.expected()
        for before, after in changes:
            run = t.run(before, *job.args("after", OFTEN))
            t.check(run.status not in (0, 1, 2), "it was not killed", run)
            run = t.succeed(after, *job.args("none", "--quern-resume=on"))
            t.check(b"stage 0 of run 1 is reused" in run.stderr, "it began again", run)
            t.check(job.result(run) == expected, "%s: another answer" % order, run)


@test
def what_does_not_fit_memory_is_saved_and_restored_all_the_same(t):
    for order in ("sort", "join"):
        job = Job(t, order, 400000)
        expected = job.expected()
        little = ("--quern-memory=40M", "--quern-round-bytes=256K")
        for before, after in ((2, 3), (3, 1)):
            run = t.run(before, *job.args("split", OFTEN, *little))
            t.check(run.status not in (0, 1, 2), "it was not killed", run)
            run = t.run(after, *job.args("split", OFTEN, "--quern-resume=on", *little))
            t.check(went_on(run) and run.status not in (0, 1, 2), "it began again, or was not killed", run)
            t.check(attempts_of(job.saved) == {b"1", b"2"}, "what was restored was written again, or nothing was", run)
            run = t.succeed(before, *job.args("none", OFTEN, "--quern-resume=on", *little))
            t.check(went_on(run), "it began again", run)
            t.check(job.result(run) == expected, "%s: another answer" % order, run)


@test
def a_job_may_be_killed_or_suspended_at_any_moment_any_number_of_times(t):
    seed = int(os.environ.get("E2E_SEED", "1"))
    chance = random.Random(seed)
    for order in (*ORDERS, *MIXED) if t.options.slow else ORDERS:
        job = Job(t, order, 250000)
        expected = job.expected()
        began = time.monotonic()
        t.succeed(2, *job.args("none", OFTEN))
        seconds = time.monotonic() - began
        shutil.rmtree(t.path("out"))
        for _ in range(30 if t.options.slow else 1):
            for _ in range(chance.randrange(1, 4)):
                n = chance.choice((1, 2, 3, 4))
                every = chance.choice((OFTEN, "--quern-checkpoint-every=20ms"))
                running = t.start(n, *job.args("none", every, "--quern-resume=on"))
                time.sleep(chance.random() * seconds)
                pids = list(running.rank_pids().values())
                if pids:
                    os.kill(chance.choice(pids), chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGUSR1)))
                run = running.wait()
                if run.status == 0 or job.is_over():
                    break
            was_over = job.is_over()
            if run.status != 0 and not was_over:
                run = t.succeed(chance.choice((None, 2, 3)), *job.args("none", OFTEN, "--quern-resume=on"))
            found = job.result(run)
            t.check(found[was_over:] == expected[was_over:], "%s: another answer, seed %d" % (order, seed), run)


@test
def a_signal_suspends_the_job_and_it_goes_on(t):
    for order, n, after in (("sort", 2, 3), ("join", 3, 2), ("group", None, 2)):
        job = Job(t, order, 30000)
        expected = job.expected()
        running = t.start(n, *job.args("slow"))
        runs = wait_until(lambda: len(running.rank_pids()) == (n or 1) and os.path.exists(os.path.join(job.saved, "journal")), 20)
        t.check(runs, "it does not run")
        time.sleep(0.5)
        os.kill(running.rank_pids()[(n or 1) - 1], signal.SIGUSR1)
        began = time.monotonic()
        run = running.wait()
        t.check(run.status == 75, "status 75 expected", run)
        t.check(time.monotonic() - began < 5, "it took %.1f s" % (time.monotonic() - began), run)
        t.check(epochs_of(job.saved) == 1, "no epoch", run)
        run = t.succeed(after, *job.args("none", "--quern-resume=on"))
        t.check(went_on(run), "it began again", run)
        t.check(job.result(run) == expected, "another answer", run)


@test
def a_damaged_epoch_is_not_believed(t):
    job = Job(t, "sort")
    expected = job.expected()
    chance = random.Random(3)
    for turn in range(4):
        t.run(2, *job.args("split", OFTEN))
        path = chance.choice(glob.glob(os.path.join(job.saved, "run-1.stage-0.*")))
        data = bytearray(read_file(path))
        data[chance.randrange(len(data) // 2)] ^= 1 << chance.randrange(8)
        is_cut = turn % 2 == 0
        with open(path, "wb") as file:
            file.write(data[:len(data) // 2] if is_cut else data)
        run = t.succeed(2, *job.args("none", "--quern-resume=on"))
        if is_cut:  # a bit may be one between blocks, of no meaning, or of an epoch before the last
            t.check(b"is damaged" in run.stderr and b"goes on with" not in run.stderr, "it was believed", run)
        t.check(job.result(run) == expected, "another answer", run)


@test
def an_encrypted_epoch_is_gone_on_with(t):
    key = t.write("key", random.Random(4).randbytes(32))
    os.chmod(key, 0o600)
    for order in ("sort", "join"):
        job = Job(t, order)
        expected = job.expected()
        run = t.run(2, *job.args("split", OFTEN, "--quern-encrypt", key))
        t.check(run.status not in (0, 1, 2) and epochs_of(job.saved) > 1, "it was not killed, or saved too little", run)
        for path in glob.glob(os.path.join(job.saved, "run-1.*")):
            t.check(b"key alone" not in read_file(path), "a record is to be seen in %s" % path, run)
        run = t.succeed(3, *job.args("none", "--quern-resume=on", "--quern-encrypt", key))
        t.check(went_on(run), "it began again", run)
        t.check(job.result(run) == expected, "another answer", run)


if __name__ == "__main__":
    main()
