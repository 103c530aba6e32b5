#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_hang.py: a rank that hangs is named, with what it did last, and ends the job after a bound; one that was only suspended does not.

The program is hung_job.c. --wordcount names it (the word is the harness's).
"""
import os
import signal
import time

from harness import Told, main, process_state, read_file, test, wait_until

ENDED = 76
LINES = [b"line %d" % (i % 700) for i in range(3000)]
TEXT = b"\n".join(LINES[:1500] + [b"hang"] + LINES[1500:]) + b"\n"
AT = sum(len(line) + 1 for line in LINES[:1500])
BOUNDS = ("--quern-hang-warning=1", "--quern-hang-timeout=2")


class Job:
    """One job, its inputs, output and checkpoint. The jobs of a test run beside each other: they mostly wait."""

    def __init__(self, t, contents=(TEXT,)):
        self.t, self.out = t, t.new_output()
        self.mark, self.saved = self.out + ".mark", self.out + ".saved"
        self.paths = [t.write("%s.input%d" % (self.out, i), content) for i, content in enumerate(contents)]

    def start(self, n, where, how, *options):
        self.running = self.t.start(n, Told(where), Told(how), self.out, self.mark, *self.paths, "--quern-split-bytes=4K",
                                    "--quern-checkpoint", self.saved, "--quern-checkpoint-every=1h", *options)
        return self

    def start_slowly(self, n, where, *options):
        """Ranks take their time there until go_on()."""
        self.t.write(self.mark + ".wait", b"")
        self.marks = ["%s.%d" % (self.mark, rank) for rank in range(n)]
        return self.start(n, where, "wait", *options)

    def arrive(self):
        """Waits until all ranks are there, and have been for some beats."""
        self.t.check(wait_until(lambda: all(map(os.path.exists, self.marks)), 20), "the ranks did not get there")
        left = max(os.stat(mark).st_mtime for mark in self.marks) + 0.5 - time.time()
        time.sleep(min(max(left, 0), 0.5))
        self.pids = self.running.rank_pids()

    def go_on(self):
        os.remove(self.mark + ".wait")

    def send(self, number, *ranks):
        for rank in ranks:
            os.kill(self.pids[rank], number)

    def says(self, *words):
        for word in words:
            self.t.check(wait_until(lambda: word in read_file(self.running.err_path), 20), "not told: %r" % word)

    def wait(self):
        run = self.running.wait(30)
        self.t.no_temporary_files(run)
        return run

    def has_ended(self, *words):
        """The job ends for that reason, and nothing is committed."""
        run = self.wait()
        self.t.check(run.status == ENDED, "status %d expected" % ENDED, run)
        for word in (b"(hang-timeout): the job ends, with exit status 76; what the checkpoint holds stays", *words):
            self.t.check(word in run.stderr, "not told: %r" % word, run)
        self.t.check(not os.path.exists(os.path.join(self.out, "_SUCCESS")), "committed", run)

    def resumes(self, reused=0):
        """The same command, without anything in its way, gives the answer."""
        run = self.start(2, "none", "none", "--quern-resume=on", "--quern-progress=on").wait()
        self.t.check(run.stderr.count(b"is reused") == reused, "not %d stages reused" % reused, run)
        self.is_right(run)

    def is_right(self, run):
        self.t.check(run.status == 0, "the job failed", run)
        words = set(b"".join(map(read_file, self.paths)).splitlines())
        lines = self.t.committed(self.out, run).splitlines()
        self.t.check(sorted(lines) == sorted(b"%s\t1" % word for word in words), "the answer is wrong", run)


@test
def a_stopped_rank_is_named_and_ends_the_job_which_can_be_resumed(t):
    cases = [(Job(t), *case) for case in ((2, "first", (1,)), (3, "second", (0,)), (3, "first", (0, 1)))]
    for job, n, where, ranks in cases:
        job.start_slowly(n, where, *BOUNDS)
    for job, n, where, ranks in cases:
        job.arrive()
        job.send(signal.SIGSTOP, *ranks)
    for job, n, where, ranks in cases:
        named = [b"quern: rank %d (process %d on " % (rank, job.pids[rank]) for rank in ranks]
        job.has_ended(b"it is stopped (T", b"of %d ranks on " % n, b"%d are silent" % len(ranks), *named,
                      b"in the stage 'counts'" if where == "second" else b", task ")
    for job, n, where, _ in cases[:2]:
        job.resumes(where == "second")


@test
def a_rank_that_is_stopped_for_a_while_is_told_of_and_comes_back(t):
    cases = [(Job(t), *case) for case in ((2, 0), (3, 2))]
    for job, n, rank in cases:
        job.start_slowly(n, "first", "--quern-hang-warning=1", "--quern-hang-timeout=60")
    for job, n, rank in cases:
        job.arrive()
        job.send(signal.SIGSTOP, rank)
    for job, n, rank in cases:
        job.says(b"has not run for")
        job.send(signal.SIGCONT, rank)
        job.says(b"is back")
        job.go_on()
        job.is_right(job.wait())


@test
def a_job_that_is_suspended_as_a_whole_goes_on(t):
    job = Job(t).start_slowly(3, "first", *BOUNDS)
    job.arrive()
    job.send(signal.SIGSTOP, 0, 1, 2)
    time.sleep(3.5)
    states = [process_state(pid) for pid in job.pids.values()]
    t.check(all("T (stopped)" in state for state in states), "not stopped: %s" % states)
    for rank in range(3):
        job.send(signal.SIGCONT, rank)
        time.sleep(0.1)
    time.sleep(0.5)
    job.go_on()
    run = job.wait()
    t.check(b"hang-timeout" not in run.stderr, "told to end", run)
    job.is_right(run)


@test
def what_hangs_is_named_with_its_record_or_its_file_and_ends_the_job(t):
    sleeping = [Job(t).start(n, "first", "sleep", *BOUNDS) for n in (None, 1, 3)]
    opening = [Job(t, (b"hang\n" + TEXT, b"never read\n" * 300)).start(n, "first", "fifo", *BOUNDS) for n in (1, 2)]
    for job in sleeping:
        job.has_ended(b"has done nothing for ", b"asleep (S", b"in the callback of 'look at lines'",
                      b"on the record at byte %d of %s" % (AT, os.fsencode(job.paths[0])), b"quern: signal 6", b"pause")
    for job in opening:
        job.has_ended(b"has done nothing for ", b", open of %s" % os.fsencode(job.paths[1]))
        os.remove(job.paths[1])
        t.write(job.paths[1], b"never read\n" * 300)
    for job in (sleeping[2], opening[1]):
        job.resumes()


@test
def a_callback_that_takes_long_is_told_of_and_ends_nothing_by_itself(t):
    spinning = Job(t).start(2, "first", "spin", "--quern-hang-warning=1", "--quern-hang-timeout=1")
    spinning.says(b"has computed for ")
    spinning.says(b"on the record at byte %d of " % AT)
    time.sleep(0.5)
    t.check(spinning.running.process.poll() is None, "the job ended")
    spinning.running.kill()


if __name__ == "__main__":
    main()
