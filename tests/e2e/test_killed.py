#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_killed.py: whatever is killed of a job, and whenever, it ends with the right answer or says what is wrong, and nothing is left.

Word count, sort, join and page rank are killed at random moments of the time that they take undisturbed: a rank, rank 0 or mpirun, by
KILL, by SEGV, or by KILL after they were stopped for a while. Under `quern run --restarts` the job goes on by itself; under plain mpirun
the command is repeated with another number of ranks. Then the output has to be that of a run that nothing happened to. The moments come
from a seed, which is printed; E2E_SEED=SEED repeats them as far as the machine does. --slow kills hundreds of times.
"""
import collections
import os
import random
import re
import shutil
import signal
import time

from harness import Failure, main, process_env, read_file, test
from mortal_jobs import PROGRAMS, make_inputs

SEED = int(os.environ.get("E2E_SEED") or random.SystemRandom().randrange(1 << 32))
KILLS_SUPERVISED, KILLS_PLAIN = 6, 5  # of each program, at least; --slow: so many times more
SLOW_FACTOR = 12
RESTARTS = 8
END_SECONDS = 90  # for a run with up to three kills, one of them while stopped
LOCKED_SECONDS = 5
RANKS = (1, 2, 3, 4)
SIGNALS = ["KILL"] * 5 + ["SEGV"] * 3 + ["STOP"]
VICTIMS = ["a rank"] * 4 + ["rank 0"] * 3 + ["mpirun"] * 3
STOPPED_SECONDS = 0.7
CLEAR = re.compile(rb"^(wordcount|sortrecords|join|pagerank): .+|^quern: ", re.MULTILINE)


# ---------------------------------------------------------------- what is run


class Subject:
    """A program with its arguments, what comes of it undisturbed, and how long that takes."""

    def __init__(self, t, name):
        self.t, self.name = t, name
        t.use(name)
        self.program = t.program
        self.expected, self.seconds = None, 0
        run = t.succeed(2, *self.args(t.path("undisturbed")))
        self.expected, self.seconds = t.committed(t.path("undisturbed"), run), run.seconds
        shutil.rmtree(t.path("undisturbed"))

    def args(self, out, *more):
        return ("-o", out, "--quern-split-bytes=64K", *PROGRAMS[self.name], *more)


# ---------------------------------------------------------------- processes


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def state(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def ranks_below(mpirun, program):
    """Number to process, of those that run the program already."""
    found = {}
    for pid in children(mpirun):
        try:
            if os.path.samefile("/proc/%d/exe" % pid, program):
                found[int(process_env(pid, "OMPI_COMM_WORLD_RANK") or -1)] = pid
        except OSError:
            pass
    found.pop(-1, None)
    return found


def send(pid, name):
    try:
        os.kill(pid, getattr(signal, "SIG" + name))
        return True
    except OSError:
        return False


# ---------------------------------------------------------------- killing


class Killer:
    """Kills something of each attempt at a job at a random moment, until it has killed as often as it may."""

    def __init__(self, subject, chance, most):
        self.subject, self.chance, self.left = subject, chance, most
        self.kills = []
        self.attempt, self.began, self.stopped = None, 0, []
        self.moment = 0
        self.works = set()

    def begin(self, attempt):
        self.attempt, self.began = attempt, time.monotonic()
        self.moment = self.chance.random() * 1.05 * self.subject.seconds
        self.signal, self.victim, self.which = (self.chance.choice(SIGNALS), self.chance.choice(VICTIMS),
                                                self.chance.random())

    def choose(self):
        """The process to kill; None: there is none yet."""
        if self.victim == "mpirun":
            return self.attempt
        ranks = ranks_below(self.attempt, self.subject.program)
        for pid in list(ranks.values())[:1]:
            self.works.add(process_env(pid, "OMPI_MCA_btl_vader_backing_directory"))
        if self.victim == "rank 0":
            return ranks.get(0)
        return ranks[sorted(ranks)[int(self.which * len(ranks))]] if ranks else None

    def tick(self, attempt):
        """To be called often, with the process of mpirun, or None while there is none."""
        now = time.monotonic()
        for item in list(self.stopped):
            if now > item[0]:
                self.stopped.remove(item)
                send(item[1], "KILL")
        if attempt is None:
            return
        if attempt != self.attempt:
            self.begin(attempt)
        if self.left == 0 or now - self.began < self.moment:
            return
        pid = self.choose()
        if pid and send(pid, self.signal):
            self.left -= 1
            self.kills.append((self.signal, self.victim))
            self.moment = float("inf")  # one in each attempt
            if self.signal == "STOP":
                self.stopped.append((now + STOPPED_SECONDS, pid))


class Tally:
    def __init__(self):
        self.kills, self.programs, self.ends, self.errors = (collections.Counter() for _ in range(4))
        self.restarts = self.runs = self.locked = 0
        self.seconds_most = 0

    def add(self, subject, killer):
        self.kills.update(killer.kills)
        self.programs[subject.name] += len(killer.kills)

    def show(self):
        def text(counter):
            return ", ".join("%s %d" % (" of ".join(key) if isinstance(key, tuple) else key, count)
                             for key, count in sorted(counter.items()))
        print("# seed %d: %d jobs, %d kills (%s; %s)" % (SEED, self.runs, sum(self.kills.values()), text(self.kills),
                                                       text(self.programs)))
        print("# %d restarts, %d launchers locked up, longest job %.1f s; %s" % (
            self.restarts, self.locked, self.seconds_most, text(self.ends)))
        for error, count in self.errors.items():
            print("#   %d times: %s" % (count, error.decode("utf-8", "backslashreplace")[:300]))


def is_locked_up(pid, program, seen):
    """Whether mpirun stays without ranks, as Open MPI's sometimes does at its end: nothing of ours waits then."""
    living = [child for child in children(pid) if state(child) not in "ZX"]
    if living or (pid not in seen and not children(pid)) or state(pid) in "TtZX":
        seen[pid] = time.monotonic() if living else seen.get(pid, time.monotonic())
        return False
    return time.monotonic() - seen.setdefault(pid, time.monotonic()) > LOCKED_SECONDS


def watch(t, job, killer, find_mpirun, tally=None):
    """Until the job has ended; then nothing of it may be left."""
    end, seen = time.monotonic() + END_SECONDS * t.options.patience, {}
    while job.process.poll() is None and time.monotonic() < end:
        mpirun = find_mpirun()
        killer.tick(mpirun)
        if tally and mpirun and is_locked_up(mpirun, killer.subject.program, seen):
            tally.locked += 1
            send(mpirun, "KILL")
        time.sleep(0.004)
    for _, pid in killer.stopped:
        send(pid, "KILL")
    return job.wait(timeout=0.1 if job.process.poll() is None else 5)


def launcher_below(job, mpirun):
    """The mpirun that `quern run` has now."""
    for pid in children(job.process.pid):
        try:
            if os.path.samefile("/proc/%d/exe" % pid, mpirun) and state(pid) not in "ZX":
                return pid
        except OSError:
            pass
    return None


# ---------------------------------------------------------------- judging


def outcome(t, subject, out, run, tally, allowed_left=()):
    """Right, or a clear error; else a Failure."""
    tally.runs += 1
    tally.seconds_most = max(tally.seconds_most, run.seconds)
    if run.status == 0:
        t.check(t.committed(out, run) == subject.expected, "another answer", run)
        tally.ends["ended right"] += 1
    else:
        lines = [line for line in run.stderr.split(b"\n") if CLEAR.match(line)]
        t.check(lines, "no clear error", run)
        if os.path.exists(os.path.join(out, "_SUCCESS")):
            t.check(t.committed(out, run) == subject.expected, "a wrong answer", run)
            tally.ends["clear error, output whole"] += 1
        else:
            tally.ends["clear error"] += 1
        tally.errors[re.sub(rb"/\S*|\d+", b"...", b" | ".join(lines[-2:]))] += 1
    shutil.rmtree(out, ignore_errors=True)


def nothing_left(t, run, *more):
    known = {"logs", "tmp", "words", "records", "left", "right", "edges", *more}
    left = sorted(set(os.listdir(t.dir)) - known)
    if run.status != 0:
        left = [name for name in left if not name.startswith("quern-checkpoint.")]
        for name in set(os.listdir(t.dir)) - known:
            shutil.rmtree(t.path(name))
    t.check(not left, "left: %s" % left, run)


def many_times(t, goal, once):
    """Until each program was killed often enough; what failed does not keep the rest from being tried."""
    tally, failures = Tally(), []
    goal *= SLOW_FACTOR if t.options.slow else 1
    make_inputs(t.write)
    for name in PROGRAMS:
        subject = Subject(t, name)
        for number in range(4 * goal):
            if tally.programs[name] >= goal:
                break
            try:
                once(subject, random.Random("%d %s %d" % (SEED, name, number)), tally)
            except Failure as failure:
                failures.append("%s, number %d: %s" % (name, number, failure))
                clear_away(t)
    tally.show()
    if failures:
        raise Failure("%d jobs failed, seed %d:\n%s" % (len(failures), SEED, "\n".join(failures[:5])))
    t.check(min(tally.programs[name] for name in PROGRAMS) >= goal, "too few kills")


def clear_away(t):
    for name in os.listdir(t.dir):
        if re.match(r"out|saved|quern-", name):
            shutil.rmtree(t.path(name), ignore_errors=True)
    for name in os.listdir(t.tmp):
        shutil.rmtree(os.path.join(t.tmp, name), ignore_errors=True)


# ---------------------------------------------------------------- tests


@test
def a_supervised_job_ends_right_whatever_is_killed(t):
    def once(subject, chance, tally):
        t.program = subject.program
        t.supervisor = [t.options.quern, "run", "--no-job", "--restarts", str(RESTARTS), "--mpirun", t.options.mpirun]
        out = t.new_output()
        job = t.start(chance.choice(RANKS), *subject.args(out))
        killer = Killer(subject, chance, 3)
        mpirun = shutil.which(t.options.mpirun)
        try:
            run = watch(t, job, killer, lambda: launcher_below(job, mpirun))
        finally:
            t.supervisor = None
            tally.add(subject, killer)
        tally.restarts += run.stderr.count(b": starting again, ")
        tally.locked += run.stderr.count(b"did not end though")
        outcome(t, subject, out, run, tally)
        t.check(run.status == 0, "it was not started again", run)
        nothing_left(t, run)
        t.check(not os.listdir(t.tmp), "left in TMPDIR: %s" % os.listdir(t.tmp), run)
        for work in filter(None, killer.works):
            t.check(not os.path.exists(work), "left: %s" % work, run)

    many_times(t, KILLS_SUPERVISED, once)


@test
def a_repeated_command_ends_right_whatever_was_killed(t):
    def once(subject, chance, tally):
        t.program = subject.program
        out, saved = t.new_output(), t.path("saved")
        args = subject.args(out, "--quern-checkpoint", saved, "--quern-resume=on")
        for kills_left in (1, 1, 0, 0):
            job = t.start(chance.choice(RANKS), *args)
            killer = Killer(subject, chance, kills_left)
            try:
                run = watch(t, job, killer, lambda: job.process.pid, tally)
            finally:
                tally.add(subject, killer)
            t.no_temporary_files(run)
            if run.status == 0 or (not killer.kills and kills_left == 0):
                break
            tally.restarts += 1
        outcome(t, subject, out, run, tally)
        if run.status == 0:
            t.check(os.listdir(saved) == [], "left in the checkpoint: %s" % os.listdir(saved), run)
        shutil.rmtree(saved, ignore_errors=True)
        nothing_left(t, run)

    many_times(t, KILLS_PLAIN, once)


if __name__ == "__main__":
    main()
