#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_ulfm.py: where MPI tells of ranks that died (Open MPI 5, mpirun --with-ft ulfm), the others go on without them, and give the same answer.

Elsewhere all of it is skipped; tools/trixie runs it in a Debian 13. The moments come from a seed, which is printed; E2E_SEED=SEED repeats them as far as
the machine does. --slow kills ten times as often.
"""
import gzip
import os
import random
import re
import shutil
import signal
import subprocess
import time

from harness import Skip, Told, build_path, load_json, main, process_env, read_file, test, wait_until

SEED = int(os.environ.get("E2E_SEED") or random.SystemRandom().randrange(1 << 32))
TOLERANT = ("--with-ft", "ulfm")
OFTEN = "--quern-checkpoint-every=200ms"
KILLS = 300 if os.environ.get("E2E_SLOW") == "1" else 30
LOST = 137  # of a job that ends since it cannot go on
GOES_ON = re.compile(rb"^quern: ranks? ([\d, ]+) lost: the other (\d+) go on after", re.MULTILINE)
PROGRAMS = {
    "wordcount": ("words",),
    "sortrecords": ("records",),
    "join": ("--type", "full", "--left", "left", "--right", "right"),
    "pagerank": ("--iterations", "4", "edges"),
}


def need_ulfm(t):
    done = subprocess.run([t.options.mpirun, "--version"], capture_output=True)
    version = re.search(rb"Open MPI\D*(\d+)", done.stdout)
    if not version or int(version.group(1)) < 5:
        raise Skip("this MPI tells of no dead ranks; tools/trixie has one that does")


def ranks_of(job, program):
    """Rank, as it was at the start, to process."""
    found = {}
    for pid in job.pids():
        try:
            if os.path.samefile("/proc/%d/exe" % pid, program):
                found[int(process_env(pid, "OMPI_COMM_WORLD_RANK") or 0)] = pid
        except OSError:
            pass
    return found


class Job:
    """A program that is started below a launcher that lets ranks live, and ranks of it killed."""

    def __init__(self, t, n, *args, **start):
        self.t, self.n, self.log = t, n, t.path("log%d" % len(t.jobs))
        self.running = t.start(n, *args, "--quern-log", self.log, launcher=TOLERANT, fast=False, **start)

    def wait_for_begin(self):
        """Before all ranks have a context nothing can be done for them."""
        began = wait_until(lambda: os.path.exists(self.log) and read_file(self.log).count(b"if ranks are lost") == self.n, 20)
        self.t.check(began, "it does not begin")

    def kill(self, chance, which=None, number=signal.SIGKILL):
        """One of those that live, unless it is the last one; False: there is none."""
        ranks = ranks_of(self.running, self.t.program)
        if len(ranks) < 2:
            return False
        victim = which if which is not None else chance.choice(sorted(ranks))
        if victim not in ranks:
            return False
        try:
            os.kill(ranks[victim], number)
        except OSError:
            return False
        return True

    def wait(self, **how):
        return self.running.wait(**how)


class Slow:
    """resumed_job, whose first stage takes seconds."""

    def __init__(self, t):
        chance = random.Random(1)
        lines = [b"%d" % int(chance.paretovariate(0.4)) for _ in range(40000)]
        self.t, self.saved, self.report = t, t.path("saved"), t.path("report")
        self.input = t.write("input.txt", b"\n".join(lines) + b"\n")
        self.expected = self.result(t.succeed(2, *self.args("none")))

    def args(self, where, *options):
        return (Told(where), self.t.path("out1"), self.t.path("out2"), self.input, "--quern-split-bytes=8K", *options)

    def start(self, n, *options):
        return Job(self.t, n, *self.args("slow", *options))

    def saving(self):
        return ("--quern-checkpoint", self.saved, OFTEN)

    def result(self, run):
        found = [run.stdout]
        for out in ("out1", "out2"):
            found.append(sorted(self.t.committed(self.t.path(out), run).splitlines()))
            shutil.rmtree(self.t.path(out))
        return found

    def check(self, run, recovered=1):
        self.t.check(run.status == 0, "the job failed", run)
        self.t.check(len(GOES_ON.findall(run.stderr)) == recovered, "it was to go on %d times" % recovered, run)
        self.t.check(self.result(run) == self.expected, "another answer: %r" % run.stdout, run)
        self.t.check(not os.path.exists(self.saved) or os.listdir(self.saved) == [], "left in the checkpoint", run)


@test
def nothing_changes_while_nobody_dies(t):
    need_ulfm(t)
    job = Slow(t)
    running = job.start(3, "--quern-report", job.report)
    job.check(running.wait(), recovered=0)
    t.check(load_json(job.report)["recoveries"] == [], "recoveries are reported")


@test
def the_others_go_on_when_any_rank_dies(t):
    need_ulfm(t)
    job = Slow(t)
    for victim in range(3):
        for options in (job.saving(), ()):
            running = job.start(3, "--quern-report", job.report, *options)
            running.wait_for_begin()
            time.sleep(0.4)
            t.check(running.kill(None, victim), "nobody was killed")
            run = running.wait()
            job.check(run)
            t.check(GOES_ON.findall(run.stderr) == [(b"%d" % victim, b"2")], "others are said to be lost", run)
            t.check((b"from the checkpoint" in run.stderr) == bool(options), "another way to go on", run)


@test
def what_was_lost_is_in_the_report(t):
    need_ulfm(t)
    job = Slow(t)
    running = job.start(4, "--quern-report", job.report)
    running.wait_for_begin()
    time.sleep(0.2)
    running.kill(None, 0)
    run = running.wait()
    job.check(run)
    # the report is of the last run; what was lost is of the job
    found = load_json(job.report)["recoveries"]
    t.check([(one["lost_ranks"], one["survivors"], one["from_checkpoint"]) for one in found] == [([0], 3, False)],
            "the report says %s" % found, run)
    t.check(0 < found[0]["seconds"] < 10, "it took %s s" % found[0]["seconds"], run)
    t.check(len(load_json(job.report)["ranks"]) == 3, "another number of ranks in the report", run)


@test
def who_asked_for_events_is_told_what_was_lost(t):
    """By rank 0, or if that died by the next one, whose function is called from then on."""
    need_ulfm(t)
    job = Slow(t)
    for victim in (2, 0):
        events = t.path("events%d" % victim)
        running = Job(t, 3, *job.args("slow"), env={"JOB_EVENTS": events})
        running.wait_for_begin()
        time.sleep(0.4)
        running.kill(None, victim)
        run = running.wait()
        job.check(run)
        told = [line.split(b" ", 3) for line in read_file(events).splitlines()]
        losses = [i for i, event in enumerate(told) if event[0] == b"6"]
        t.check(len(losses) == 1 and told[losses[0]][3].startswith(b"rank %d lost: the other 2 go on" % victim), "told: %s" % told, run)
        behind = told[losses[0] + 1:]
        t.check([event[:2] for event in behind if event[0] == b"1"][:1] == [[b"1", b"1"]], "the run did not begin again: %s" % told, run)
        t.check(behind[-1][0] == b"11" and behind[-1][2] == b"0", "the end was not told: %s" % told, run)


@test
def who_lends_pieces_and_who_works_on_them_may_die(t):
    """One packed file, whose lines are written: one rank unpacks it, and what the others make of its pieces comes back."""
    need_ulfm(t)
    chance = random.Random(SEED)
    t.program = build_path(t, "written_job")
    lines = [b"%d" % int(chance.paretovariate(0.4)) for _ in range(60000)]
    path = t.write("lines.gz", gzip.compress(b"\n".join(lines) + b"\n"))
    expected = [line for line in lines for _ in range(1 + len(line) % 3)]
    for victim in (0, 1, 2, None) * (5 if t.options.slow else 1):
        out = t.new_output()
        running = Job(t, 3, "text", "slow", out, "-", path, "--quern-memory=192M")
        running.wait_for_begin()
        time.sleep(chance.uniform(0.2, 0.8))
        t.check(running.kill(chance, victim), "nobody was killed")
        run = running.wait()
        t.check(run.status == 0 and len(GOES_ON.findall(run.stderr)) == 1, "it did not go on", run)
        t.check(t.committed(out, run).splitlines() == expected, "another answer", run)


@test
def ranks_may_die_one_after_another(t):
    need_ulfm(t)
    job = Slow(t)
    chance = random.Random(SEED)
    for victims in ((0, 1), (3, 0), (1, 2, 0, 4)):
        running = job.start(5, *job.saving())
        running.wait_for_begin()
        for victim in victims:
            time.sleep(0.3)
            running.kill(chance, victim)
        run = running.wait()
        t.check(run.status == 0 and job.result(run) == job.expected, "another answer", run)
        t.check(GOES_ON.search(run.stderr), "nobody was lost", run)


@test
def ranks_may_die_together(t):
    need_ulfm(t)
    job = Slow(t)
    for victims in ((0, 1), (1, 2, 3)):
        running = job.start(4, *job.saving())
        running.wait_for_begin()
        time.sleep(0.4)
        for victim in victims:
            running.kill(None, victim)
        run = running.wait()
        t.check(run.status == 0 and job.result(run) == job.expected, "another answer", run)


@test
def work_before_the_last_epoch_is_not_done_again(t):
    need_ulfm(t)
    job = Slow(t)
    running = job.start(3, *job.saving())
    running.wait_for_begin()
    t.check(wait_until(lambda: read_file(running.log).count(b"an epoch in stage") > 1, 20), "no epoch was cut")
    running.kill(None, 1)
    run = running.wait()
    job.check(run)
    t.check(b"stage 0 of run 1 goes on with" in read_file(running.log), "it began again", run)


@test
def a_job_that_is_not_to_go_on_ends(t):
    need_ulfm(t)
    job = Slow(t)
    running = job.start(3, "--quern-recover=off")
    running.wait_for_begin()
    time.sleep(0.3)
    running.kill(None, 1)
    began = time.monotonic()
    run = running.wait()
    t.check(run.status == LOST, "status %d expected" % LOST, run)
    t.check(time.monotonic() - began < 10, "it took long to end", run)
    t.check(not os.path.exists(t.path("out1", "_SUCCESS")), "it says that it succeeded", run)


@test
def what_kills_every_rank_ends_in_a_bounded_time(t):
    need_ulfm(t)
    path = t.write("input.txt", b"a\n" * 20000 + b"die\n" + b"b\n" * 20000)
    running = Job(t, 4, "lines", t.path("out1"), t.path("out2"), path, "--quern-split-bytes=8K")
    run = running.wait()
    t.check(not os.path.exists(t.path("out1", "_SUCCESS")), "it says that it succeeded", run)
    t.check(len(GOES_ON.findall(run.stderr)) == 3, "others went on %d times" % len(GOES_ON.findall(run.stderr)), run)


@test
def a_stopped_rank_is_ended_and_the_others_go_on(t):
    need_ulfm(t)
    job = Slow(t)
    running = job.start(3, *job.saving(), "--quern-hang-warning=1", "--quern-hang-timeout=2")
    running.wait_for_begin()
    time.sleep(0.3)
    running.kill(None, 1, signal.SIGSTOP)
    run = running.wait()
    job.check(run)
    t.check(b"it is stopped" in run.stderr, "nothing is said of it", run)


@test
def the_command_lets_the_others_go_on_and_starts_nothing_again(t):
    need_ulfm(t)
    job = Slow(t)
    chance = random.Random(SEED)
    t.supervisor = [t.options.quern, "run", "--no-job", "--restarts", "3", "--checkpoint", job.saved]
    for victim in (0, 2):
        log = t.path("log%d" % victim)
        running = t.start(3, *job.args("slow", "--quern-log", log, OFTEN), fast=False)
        t.check(wait_until(lambda: os.path.exists(log) and read_file(log).count(b"if ranks are lost") == 3, 20), "it does not begin")
        time.sleep(chance.random())
        os.kill(ranks_of(running, t.program)[victim], signal.SIGKILL)
        run = running.wait()
        job.check(run)
        t.check(b"starting again" not in run.stderr, "it was started again", run)


def make_inputs(t):
    chance = random.Random(5)
    t.write("words", b" ".join(b"%x" % int(chance.paretovariate(0.3)) for _ in range(400000)))
    t.write("records", chance.randbytes(100 * 60000))
    for name in ("left", "right"):
        t.write(name, b"".join(b"%d\t%s %d\n" % (chance.randrange(20000), name.encode(), i) for i in range(30000)))
    t.write("edges", b"".join(b"%d %d\n" % (chance.randrange(5000), int(chance.paretovariate(0.5)) % 5000) for _ in range(60000)))


def kill_and_compare(t, chance, name, expected, seconds):
    """One job, of which ranks are killed; True: it went on without them."""
    out = t.new_output()
    n = chance.choice((2, 3, 4, 5))
    options = ("--quern-checkpoint", t.path("saved"), "--quern-checkpoint-every=20ms", "--quern-resume=on") if chance.random() < 0.6 else ()
    running = Job(t, n, "-o", out, *PROGRAMS[name], "--quern-split-bytes=64K", *options)
    running.wait_for_begin()
    for _ in range(chance.choice((1, 1, 1, 2))):
        time.sleep(chance.random() * seconds)
        running.kill(chance, 0 if chance.random() < 0.3 else None)
    run = running.wait()
    went_on = bool(GOES_ON.search(run.stderr))
    if run.status != 0:
        t.check(run.status == LOST and b"cannot go on" in run.stderr, "neither an answer nor a clear end", run)
    else:
        t.check(t.committed(out, run) == expected, "another answer of %s on %d ranks, seed %d" % (name, n, SEED), run)
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(t.path("saved"), ignore_errors=True)
    return went_on, run.status


@test
def any_program_survives_kills_at_any_moment(t):
    need_ulfm(t)
    print("# E2E_SEED=%d" % SEED)
    chance = random.Random(SEED)
    make_inputs(t)
    for name in PROGRAMS:
        t.program = os.path.realpath(os.path.join(os.path.dirname(t.options.wordcount), "..", "..", "examples", name))
        out = t.new_output()
        running = Job(t, 3, "-o", out, *PROGRAMS[name])
        running.wait_for_begin()
        began = time.monotonic()
        run = running.wait()
        t.check(run.status == 0, "the job failed", run)
        seconds = time.monotonic() - began
        expected = t.committed(out)
        found = [kill_and_compare(t, chance, name, expected, seconds) for _ in range(KILLS // len(PROGRAMS) + 1)]
        print("# %s: of %d jobs, %d went on and %d ended" % (name, len(found), sum(went for went, _ in found), sum(status != 0 for _, status in found)))


if __name__ == "__main__":
    main()
