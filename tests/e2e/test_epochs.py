#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_epochs.py: a job that died or was told to end within a stage goes on there, with any number of ranks, whatever it reads.

The program is resumed_job.c; the examples are built beside it.
"""
import gzip
import os
import random
import re
import shutil
import signal
import subprocess
import time

from harness import Told, main, read_file, test, wait_until

OFTEN = "--quern-checkpoint-every=1ms"


def lines_of(seed, count):
    """The line that ends the job is among the last."""
    chance = random.Random(seed)
    lines = [b"%d" % int(chance.paretovariate(0.4)) for _ in range(count)] + [b"", b"\0", b"x" * 5000]
    chance.shuffle(lines)
    lines.insert(len(lines) * 9 // 10, b"die")
    return b"\n".join(lines) + b"\n"


class Job:
    """resumed_job with its inputs, outputs and checkpoint."""

    def __init__(self, t, count=200000):
        self.t = t
        self.input = t.write("input.txt", lines_of(1, count))
        self.saved = t.path("saved")

    def args(self, where, *options):
        return (Told(where), self.t.path("out1"), self.t.path("out2"), self.input, "--quern-progress=on",
                "--quern-split-bytes=32K", "--quern-checkpoint", self.saved, *options)

    def result(self, run):
        """What the outputs hold and what was counted; they are taken away."""
        found = [run.stdout]
        for out in ("out1", "out2"):
            data = self.t.committed(self.t.path(out), run)
            found.append(sorted(data.splitlines()))
            shutil.rmtree(self.t.path(out))
        if run.status == 0 and os.path.exists(self.saved):  # else killed while it removed it
            self.t.check(os.listdir(self.saved) == [], "left: %s" % os.listdir(self.saved), run)
        return found

    def start_slowly(self, n, **start):
        """In the midst of its first stage."""
        running = self.t.start(n, *self.args("slow"), **start)
        runs = wait_until(lambda: len(running.rank_pids()) == (n or 1) and os.path.exists(os.path.join(self.saved, "journal")), 20)
        self.t.check(runs, "it does not run")
        time.sleep(0.5)
        return running

    def expected(self):
        return self.result(self.t.succeed(2, *self.args("none")))

    def is_over(self):
        """It may be killed as it leaves: then all is there, and the checkpoint is gone."""
        return os.path.exists(self.t.path("out2", "_SUCCESS")) and not os.path.exists(os.path.join(self.saved, "journal"))


def epochs_of(path):
    return len(re.findall(rb'"event": ?"epoch"', read_file(os.path.join(path, "journal"))))


def cut_epochs(log):
    return read_file(log).count(b"an epoch in stage")


def read_bytes(run):
    """By the first run of the job, as it says."""
    number, unit = re.search(rb"done: ([\d.]+) (\w*)B in", run.stderr).groups()
    return float(number) * {b"": 1, b"k": 1e3, b"M": 1e6}[unit]


@test
def epochs_at_every_moment_change_nothing(t):
    job = Job(t)
    expected = job.expected()
    for n in (None, 2, 3, 7):
        log = t.path("log%s" % n)
        run = t.succeed(n, *job.args("none", OFTEN, "--quern-log", log))
        t.check(cut_epochs(log) > 0, "no epoch was cut on %s ranks" % n, run)
        t.check(job.result(run) == expected, "another answer on %s ranks" % n, run)


@test
def a_job_killed_within_a_stage_goes_on_there(t):
    job = Job(t)
    expected = job.expected()
    for before, after in ((2, 2), (1, 3), (3, 1), (None, 4)):
        run = t.run(before, *job.args("lines", OFTEN))
        t.check(run.status not in (0, 1, 2), "it was not killed", run)
        t.check(epochs_of(job.saved) > 0, "no epoch was cut", run)
        run = t.succeed(after, *job.args("none", "--quern-resume=on"))
        t.check(b"stage 0 of run 1 goes on with" in run.stderr, "it began again", run)
        t.check(read_bytes(run) < 0.7 * os.path.getsize(job.input), "all was read again", run)
        t.check(job.result(run) == expected, "another answer: %r" % run.stdout, run)


@test
def what_a_node_has_for_itself_is_saved_too(t):
    job = Job(t)
    expected = job.expected()
    local = "--quern-node-local=" + job.input
    for before, after, where, said in ((2, 3, "lines", b"stage 0 of run 1 goes on with"), (3, 1, "second", b"stage 1 of run 1 is reused")):
        run = t.run(before, *job.args(where, OFTEN, local))
        t.check(run.status not in (0, 1, 2), "it was not killed", run)
        run = t.succeed(after, *job.args("none", "--quern-resume=on", local))
        t.check(said in run.stderr, "it began again", run)
        t.check(job.result(run) == expected, "another answer: %r" % run.stdout, run)
    t.run(2, *job.args("lines", OFTEN, local))
    os.utime(job.input, (1, 1))
    run = t.succeed(2, *job.args("none", "--quern-resume=on", local))
    t.check(b"is done again: an input changed" in run.stderr, "it went on", run)
    t.check(job.result(run) == expected, "another answer: %r" % run.stdout, run)


@test
def a_job_may_be_killed_at_any_moment_any_number_of_times(t):
    seed = int(os.environ.get("E2E_SEED", "1"))
    chance = random.Random(seed)
    job = Job(t)
    expected = job.expected()
    began = time.monotonic()
    t.succeed(2, *job.args("none", OFTEN))
    seconds = time.monotonic() - began
    for out in ("out1", "out2"):
        shutil.rmtree(t.path(out))
    for _ in range(30 if t.options.slow else 3):
        kills = chance.randrange(1, 4)
        for _ in range(kills):
            n = chance.choice((1, 2, 3, 4))
            running = t.start(n, *job.args("none", OFTEN, "--quern-resume=on"))
            time.sleep(chance.random() * seconds)
            pids = list(running.rank_pids().values())
            if pids:
                os.kill(chance.choice(pids), signal.SIGKILL)
            run = running.wait()
            if run.status == 0 or job.is_over():
                break
        was_over = job.is_over()
        if run.status != 0 and not was_over:
            run = t.succeed(chance.choice((None, 2, 3)), *job.args("none", OFTEN, "--quern-resume=on"))
        found = job.result(run)
        t.check(found[was_over:] == expected[was_over:], "another answer after %d kills, seed %d" % (kills, seed), run)


def packed(t, kind, content):
    path = t.path("text." + kind)
    with open(path, "wb") as file:
        if kind == "gz":
            file.write(gzip.compress(content, 1))
        else:
            subprocess.run([{"bz2": "bzip2", "zst": "zstd", "xz": "xz"}[kind], "-c", "-1"], input=content, stdout=file, check=True)
    return path


@test
def any_source_can_be_left_and_gone_on_with_anywhere(t):
    chance = random.Random(5)
    words = b" ".join(b"w%d" % int(chance.paretovariate(0.6)) for _ in range(120000))
    reads = b"".join(b">s%d\n" % i + b"".join(bytes(chance.choice(b"ACGTN") for _ in range(70)) + b"\n" for _ in range(9)) for i in range(100))
    sums = b"".join(b"k%d\t%d\n" % (chance.randrange(5000), chance.randrange(-99, 99)) for _ in range(60000))
    jobs = [("wordcount", (), packed(t, "gz", words)), ("wordcount", (), packed(t, "bz2", words)),
            ("wordcount", ("--quern-isolate=on",), t.write("words", words)),
            ("kmercount", ("-k", "7"), t.write("reads.fa", reads)), ("kmercount", ("-k", "7"), packed(t, "gz", reads)),
            ("groupsum", (), t.write("sums", sums))]
    for name, options, path in jobs:
        t.program = os.path.join(os.path.dirname(t.options.wordcount), "..", "..", "examples", name)
        expected = None
        for n in (1, 2, 3) if t.options.slow else (2, 3):
            out, log = t.new_output(), t.path("log")
            often = (OFTEN, "--quern-checkpoint", t.path("saved"), "--quern-log", log) if expected is not None else ()
            run = t.succeed(n, *options, "-o", out, path, "--quern-split-bytes=64K", *often)
            t.check(not often or cut_epochs(log) > 0, "%s %s: no epoch was cut" % (name, path), run)
            if often:
                os.remove(log)
            data = t.committed(out, run)
            if expected is None:
                expected = sorted(data.splitlines())
            t.check(sorted(data.splitlines()) == expected, "%s %s on %d ranks" % (name, path, n), run)


@test
def a_signal_suspends_the_job_and_it_goes_on(t):
    job = Job(t, 30000)
    expected = job.expected()
    for n, after, whom in ((2, 3, "mpirun"), (3, 2, "one"), (None, 2, "mpirun")):
        running = job.start_slowly(n)
        os.kill(running.process.pid if whom == "mpirun" else running.rank_pids()[n - 1], signal.SIGUSR1)
        began = time.monotonic()
        run = running.wait()
        t.check(run.status == 75, "status 75 expected", run)
        t.check(time.monotonic() - began < 5, "it took %.1f s" % (time.monotonic() - began), run)
        t.check(b"told to end" in run.stderr and epochs_of(job.saved) == 1, "no epoch", run)
        run = t.succeed(after, *job.args("none", "--quern-resume=on"))
        t.check(b"stage 0 of run 1 goes on with" in run.stderr, "it began again", run)
        t.check(job.result(run) == expected, "another answer", run)


@test
def a_launcher_that_is_terminated_leaves_what_can_be_gone_on_with(t):
    job = Job(t, 30000)
    expected = job.expected()
    running = job.start_slowly(2, fast=False)
    running.process.terminate()
    run = running.wait()
    t.check(run.status != 0, "it was not terminated", run)
    t.check(epochs_of(job.saved) == 1, "no epoch", run)
    run = t.succeed(3, *job.args("none", "--quern-resume=on"))
    t.check(b"stage 0 of run 1 goes on with" in run.stderr, "it began again", run)
    t.check(job.result(run) == expected, "another answer", run)


@test
def a_job_ends_before_its_deadline_and_comes_to_its_end_in_pieces(t):
    job = Job(t, 30000)
    expected = job.expected()
    for piece in range(12):
        began = time.monotonic()
        run = t.run(1 + piece % 3, *job.args("slow", "--quern-deadline=1500ms", "--quern-resume=on"))
        t.check(run.status in (0, 75), "status 0 or 75 expected", run)
        if run.status == 0:
            break
        t.check(time.monotonic() - began < 4, "it took %.1f s" % (time.monotonic() - began), run)
    t.check(run.status == 0 and piece > 1, "ended with status %d after %d pieces" % (run.status, piece + 1), run)
    t.check(job.result(run) == expected, "another answer", run)
    end = "%d" % (time.time() + 1.5)
    run = t.run(2, *job.args("slow", OFTEN), env={"SLURM_JOB_END_TIME": end})
    t.check(run.status == 75, "SLURM's end is not known", run)
    t.fail(2, "none", t.path("out1"), t.path("out2"), job.input, "--quern-deadline=1s", naming="checkpoint", status=2)


@test
def what_slow_callbacks_have_in_hand_is_left_in_time_for_the_first_epoch(t):
    job = Job(t, 30000)
    run = t.run(2, *job.args("slower", "--quern-deadline=5s"))  # a block takes more than a second
    t.check(run.status == 75, "status 75 expected", run)
    t.check(epochs_of(job.saved) == 1, "nothing was saved", run)


@test
def a_damaged_epoch_is_not_believed(t):
    job = Job(t)
    expected = job.expected()
    chance = random.Random(3)
    for _ in range(4):
        t.run(2, *job.args("lines", OFTEN))
        names = [name for name in os.listdir(job.saved) if name.startswith("run-1.stage-0.")]
        path = os.path.join(job.saved, chance.choice(names))
        data = bytearray(read_file(path))
        data[chance.randrange(len(data) // 2)] ^= 1 << chance.randrange(8)
        is_cut = chance.random() < 0.5
        with open(path, "wb") as file:
            file.write(data[:len(data) // 2] if is_cut else data)
        run = t.succeed(2, *job.args("none", "--quern-resume=on"))
        if is_cut:  # a bit may be one between blocks, of no meaning
            t.check(b"is damaged" in run.stderr and b"goes on with" not in run.stderr, "it was believed", run)
        t.check(job.result(run) == expected, "another answer", run)


if __name__ == "__main__":
    main()
