#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_checkpoint.py: a job that died goes on from what it saved, with any number of ranks, and gives what it would have given.

The program is resumed_job.c, of two runs: the first counts lines, then counts the counted ones; the second counts lines
again. It is killed in the callback that is named: `first` when the counts are saved, `second` when both results are,
`third` when the first run is done. --wordcount names it (the word is the harness's).
"""
import ctypes
import itertools
import json
import os
import random
import re
import shutil
import signal
import threading
import time

from harness import Told, main, read_file, test, wait_until

REUSED = {"lines": (), "first": ((0, 1),), "second": ((1, 1),)}  # (stage, run) that the next attempt need not run


def lines_of(seed, count=30000):
    chance = random.Random(seed)
    lines = [b"%d" % int(chance.paretovariate(0.4)) for _ in range(count)] + [b"die", b"", b"\0", b"x" * 5000]
    chance.shuffle(lines)
    return b"\n".join(lines) + b"\n"


class Job:
    """The same job again and again: its inputs, outputs and checkpoint."""

    def __init__(self, t, content=None, program=None):
        self.t = t
        self.input = t.write("input.txt", lines_of(1) if content is None else content)
        self.saved = t.path("saved")
        if program:
            t.program = program

    def args(self, where, *options):
        return (Told(where), self.t.path("out1"), self.t.path("out2"), self.input, "--quern-progress=on", "--quern-split-bytes=4K",
                "--quern-checkpoint", self.saved, "--quern-checkpoint-every=1h", *options)

    def die(self, n, where, *options):
        run = self.t.run(n, *self.args(where, *options))
        self.t.check(run.status not in (0, 1, 2), "it was not killed", run)
        return run

    def end(self, n, *options, where="none"):
        return self.t.succeed(n, *self.args(where, *options))

    def outputs(self):
        found = {}
        for out in ("out1", "out2"):
            self.t.committed(self.t.path(out))
            parts = sorted(name for name in os.listdir(self.t.path(out)) if name.startswith("part-"))
            found[out] = b"".join(sorted(b"".join(read_file(self.t.path(out, name)) for name in parts).splitlines(True)))
        return found

    def forget(self):
        for name in ("out1", "out2", "saved"):
            shutil.rmtree(self.t.path(name), ignore_errors=True)

    def as_ever(self, expected, run):
        """The outputs and counters are those of a job that nothing happened to, and nothing is left of the checkpoint."""
        self.t.check(self.outputs() == expected[0], "other outputs", run)
        self.t.check(run.stdout == expected[1], "other counters: %r" % run.stdout, run)
        self.t.check(os.listdir(self.saved) == [], "left: %s" % os.listdir(self.saved), run)

    def expected(self, n=2):
        run = self.end(n)
        found = self.outputs(), run.stdout
        self.t.check(b"lines 30004\n" in run.stdout, "lines are not counted", run)
        self.forget()
        return found


def says(t, run, *texts):
    for text in texts:
        t.check(text.encode() in run.stderr, "not said: %s" % text, run)


def forget_from(journal, text):
    """The line that holds the text was not written, and none after it."""
    lines = read_file(journal).splitlines(True)
    end = next(i for i, line in enumerate(lines) if text in line)
    with open(journal, "wb") as file:
        file.write(b"".join(lines[:end]))


@test
def a_killed_job_goes_on_with_any_number_of_ranks(t):
    job = Job(t)
    expected = job.expected()
    plan = [(2, "first", 2), (3, "first", 1), (1, "second", 4), (None, "second", 2), (4, "second", 7), (2, "lines", 3)]
    for before, where, after in plan:
        job.die(before, where)
        run = job.end(after, "--quern-resume=on")
        says(t, run, "attempt 2", *("stage %d of run %d is reused" % one for one in REUSED[where]))
        t.check(run.stderr.count(b"is reused") == len(REUSED[where]), "too much is reused", run)
        job.as_ever(expected, run)
        job.forget()


@test
def a_run_that_was_done_is_not_run_again(t):
    job = Job(t)
    expected = job.expected()
    for before, after in ((2, 3), (3, None)):
        job.die(before, "third")
        manifest = t.path("out1", "_MANIFEST.json")
        first = read_file(manifest), os.stat(manifest).st_mtime_ns
        run = job.end(after, "--quern-resume=on")
        says(t, run, "run 1 was done", "stage 0 of run 2 is reused")
        job.as_ever(expected, run)
        t.check((read_file(manifest), os.stat(manifest).st_mtime_ns) == first, "the first output was written again", run)
        job.forget()


def set_apart(t):
    """Of each file of bad records that has its last name, by its run: where the records are."""
    found = {}
    for name in os.listdir(t.path("bad")):
        t.check(re.fullmatch("bad-[0-9]{5}-[0-9]{5}[.]jsonl", name), "left: %s" % name)
        for line in read_file(t.path("bad", name)).splitlines():
            found.setdefault(int(name[4:9]), []).append(json.loads(line)["offset"])
    return {run: sorted(offsets) for run, offsets in found.items()}


@test
def bad_records_are_set_apart_once_however_a_job_was_killed(t):
    lines = lines_of(3, 8000).splitlines(True)
    lines[100::400] = [b"y" * 20000 + b"\n"] * len(lines[100::400])
    job = Job(t, b"".join(lines))
    bounds = list(itertools.accumulate(map(len, lines), initial=0))
    bad = [at for at, line in zip(bounds, lines) if len(line) > 10000]
    options = ("--quern-record-bytes=10000", "--quern-bad-records=quarantine:%d" % len(bad), "--quern-quarantine", t.path("bad"))

    def begin_again():
        shutil.rmtree(t.path("bad"), ignore_errors=True)
        job.forget()

    t.check(b"die\n" in lines and len(bad) > 19, "no such input")
    for before, where, after in ((2, "lines", 3), (3, "second", 1), (1, "third", 2)):
        job.die(before, where, *options)
        t.check([name for name in os.listdir(t.path("bad")) if name.endswith(".tmp")] or where == "lines", "nothing temporary is left")
        job.die(2, where, *options, "--quern-resume=on")
        run = job.end(after, *options, "--quern-resume=on")
        t.check(set_apart(t) == {0: bad, 1: bad}, "set apart: %s, expected each once: %s" % (set_apart(t), bad), run)
        t.check(where != "third" or b"run 1 was done" in run.stderr, "run 1 is done again", run)
        begin_again()
    job.die(2, "second", *options)
    shutil.rmtree(job.saved)  # a job that knows nothing of the killed one
    job.end(2, *options)
    t.check(set_apart(t) == {0: bad, 1: bad}, "set apart: %s" % set_apart(t))
    begin_again()
    job.die(2, "third", *options)
    shutil.rmtree(job.saved)
    shutil.rmtree(t.path("out1"))  # what has its last name is not another job's to remove
    run = t.fail(2, *job.args("none", *options), naming="is not empty")
    t.check([name for name in os.listdir(t.path("bad")) if name.startswith("bad-00000-")], "something was removed", run)
    begin_again()
    once = t.write("once", b"#!/bin/sh\nwhere=none\ntest -e %s.again || where=second\n: >$0.again\nwhere=$where exec %s \"$@\"\n" %
                   (os.fsencode(t.path("once")), os.fsencode(t.options.mpirun)))
    program = t.write("program", b"#!/bin/sh\nexec %s $where \"$@\"\n" % os.fsencode(t.program))
    for path in (once, program):
        os.chmod(path, 0o755)
    t.program, t.supervisor = program, [t.options.quern, "run", "--restarts", "1", "--mpirun", once]
    run = t.succeed(2, *job.args("", *options)[1:])
    t.check(b"starting again, 1 of 1" in run.stderr, "it was not killed", run)
    t.check(set_apart(t) == {0: bad, 1: bad}, "set apart: %s" % set_apart(t), run)


@test
def a_run_whose_outputs_are_there_is_done_though_nothing_says_so(t):
    job = Job(t)
    expected = job.expected()
    journal, manifest = t.path("saved", "journal"), t.path("out1", "_MANIFEST.json")
    for is_ours in (True, False):
        job.die(2, "third")
        forget_from(journal, b'"event":"run"')  # as if it had been killed before that line
        if is_ours:
            run = job.end(3, "--quern-resume=on")
            says(t, run, "run 1 was done")
            job.as_ever(expected, run)
        else:
            with open(manifest, "ab") as file:
                file.write(b" ")
            t.fail(2, *job.args("none")[:4], "--quern-resume=on", "--quern-checkpoint", job.saved, naming="not empty")
        job.forget()


@test
def a_job_that_was_killed_while_its_outputs_got_their_names_goes_on(t):
    job = Job(t)
    expected = job.expected()
    job.die(2, "third")
    forget_from(t.path("saved", "journal"), b'"event":"commit"')
    os.rename(t.path("out1", "_SUCCESS"), t.path("out1", ".quern-lock"))
    with open(t.path("out1", ".quern-lock"), "wb") as file:
        file.write(read_file("/proc/sys/kernel/random/boot_id").strip() + b" 1 here\n")
    run = job.end(3, "--quern-resume=on")
    job.as_ever(expected, run)


@test
def a_checkpoint_that_is_to_be_kept_is(t):
    job = Job(t)
    expected = job.expected()
    t.write("saved/keep", b"")
    run = job.end(2, "--quern-resume=on")
    t.check(job.outputs() == expected[0] and {"keep", "journal"} <= set(os.listdir(job.saved)), "not kept", run)
    run = job.end(3, "--quern-resume=on")
    says(t, run, "run 1 was done", "run 2 was done")
    t.check((job.outputs(), run.stdout) == expected, "another answer", run)


@test
def a_job_may_die_any_number_of_times(t):
    job = Job(t)
    expected = job.expected()
    for number, where in enumerate(("lines", "first", "first", "second", "second", "third", "third")):
        job.die(1 + number % 3, where, "--quern-resume=on")
    run = job.end(2, "--quern-resume=on")
    says(t, run, "attempt 8", "run 1 was done", "stage 0 of run 2 is reused")
    job.as_ever(expected, run)


@test
def what_changed_is_done_again_and_it_is_said_why(t):
    job = Job(t)
    expected = job.expected()
    job.die(2, "second")
    os.utime(job.input, (1, 1))
    run = job.end(2, "--quern-resume=on")
    why = "an input changed: %s has another time of change" % job.input
    says(t, run, "'counts' of run 1 is done again: " + why, "'ones' of run 1 is done again: " + why)
    job.as_ever(expected, run)
    job.forget()
    job.die(2, "second")
    other = t.path("another_program")
    shutil.copy(t.program, other)
    with open(other, "ab") as file:
        file.write(b"\0")
    kept, t.program = t.program, other
    libraries = os.path.join(os.path.dirname(kept), "..", "..", "runtime", "api")
    run = t.succeed(2, *job.args("none", "--quern-resume=on"), env={"LD_LIBRARY_PATH": libraries})
    t.program = kept
    says(t, run, "'counts' of run 1 is done again: the program is another one")
    job.as_ever(expected, run)
    job.forget()
    job.die(2, "first")
    run = job.end(2, "--quern-resume=on")
    says(t, run, "stage 0 of run 1 is reused", "'ones' of run 1 is done again: it was not over")
    job.forget()
    job.die(2, "first")
    more = t.write("more.txt", b"die\n")
    run = t.succeed(2, *job.args("none", "--quern-resume=on"), more)
    says(t, run, "'counts' of run 1 is done again: the command line is another one")


def damage(kind, path, chance):
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        if kind == "flip":
            at = chance.randrange(size)
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1 << chance.randrange(8)]))
        elif kind == "cut":
            file.truncate(chance.randrange(size))
        elif kind == "zeros":
            file.seek(0)
            file.write(bytes(min(size, 4096)))
    if kind == "gone":
        os.remove(path)


@test
def damaged_files_are_never_believed(t):
    chance = random.Random(7)
    job = Job(t)
    expected = job.expected()
    for kind, n in itertools.chain((("gone", 2), ("cut", 3), ("zeros", 1)), [("flip", 2)] * 4, [("cut", 2)] * 2):
        job.die(2, "first")
        names = sorted(name for name in os.listdir(job.saved) if name.startswith("run-1.stage-0."))
        t.check(len(names) == 2, "saved: %s" % names)
        damage(kind, os.path.join(job.saved, chance.choice(names)), chance)
        run = job.end(n, "--quern-resume=on")
        job.as_ever(expected, run)
        if kind != "flip":  # between blocks there are bytes of no meaning
            says(t, run, "'counts' of run 1 is done again", "is damaged")
        job.forget()


@test
def a_journal_that_breaks_off_anywhere_is_read_as_far_as_it_is_whole(t):
    chance = random.Random(11)
    job = Job(t)
    expected = job.expected()
    job.die(2, "second")
    kept = t.path("kept")
    shutil.copytree(job.saved, kept)
    journal = read_file(os.path.join(kept, "journal"))
    cuts = [0, 1, len(journal) - 1, journal.index(b"\n") + 1] + [chance.randrange(len(journal)) for _ in range(4)]
    for at in cuts:
        job.forget()
        shutil.copytree(kept, job.saved)
        with open(os.path.join(job.saved, "journal"), "wb") as file:
            file.write(journal[:at] + (b"garbage" if at % 2 else b""))
        run = job.end(2, "--quern-resume=on")
        whole = journal[:journal[:at].rfind(b"\n") + 1]
        t.check((b"is reused" in run.stderr) == (b'"event":"stage"' in whole), "cut at %d of %d" % (at, len(journal)), run)
        job.as_ever(expected, run)


def journal_sum(text):
    function = ctypes.CDLL("libxxhash.so.0").XXH3_64bits_withSeed
    function.restype = ctypes.c_uint64
    return b"%016x" % function(text, ctypes.c_size_t(len(text)), ctypes.c_uint64(0x6A6F75726E616C31))


@test
def lengths_in_a_journal_are_not_believed(t):
    job = Job(t)
    expected = job.expected()
    job.die(2, "first")
    kept = t.path("kept")
    shutil.copytree(job.saved, kept)
    lines = read_file(os.path.join(kept, "journal")).splitlines()
    t.check(all(line[:16] == journal_sum(line[17:]) for line in lines), "the checksums are others")
    for key in ("offset", "bytes", "rows", "block_bytes", "unpacked_bytes", "words", "rank", "ranks"):
        for lie in (b"-1", b"9223372036854775807", b"1"):
            job.forget()
            shutil.copytree(kept, job.saved)
            texts = [re.sub(b'"%s":[0-9]+' % key.encode(), b'"%s":%s' % (key.encode(), lie), line[17:]) for line in lines]
            with open(os.path.join(job.saved, "journal"), "wb") as file:
                file.write(b"".join(journal_sum(text) + b" " + text + b"\n" for text in texts))
            run = job.end(None, "--quern-resume=on")
            if key not in ("rank", "ranks", "unpacked_bytes"):  # with 1 of these a file may be what it was
                job.as_ever(expected, run)


@test
def a_directory_that_others_can_write_to_is_refused(t):
    job = Job(t)
    os.mkdir(job.saved)
    for mode in (0o777, 0o770, 0o1777, 0o702):
        os.chmod(job.saved, mode)
        t.fail(2, *job.args("none")[:4], "--quern-checkpoint", job.saved, naming=("others", job.saved), status=2)
    os.chmod(job.saved, 0o755)
    job.end(2)


@test
def a_checkpoint_is_not_overwritten_by_mistake(t):
    job = Job(t)
    job.die(2, "first")
    shutil.rmtree(t.path("out1"), ignore_errors=True)
    t.fail(2, *job.args("none")[:4], "--quern-checkpoint", job.saved, naming=("resume", job.saved), status=2)
    run = job.end(2, "--quern-resume=on")
    says(t, run, "stage 0 of run 1 is reused")
    job.forget()
    run = job.end(2, "--quern-resume=on")
    says(t, run, "nothing to go on from")
    t.fail(2, *job.args("none")[:4], "--quern-resume=on", naming="checkpoint", status=2)
    t.fail(2, *job.args("none")[:4], "--quern-checkpoint", t.path("no", "such"), naming="no/such", status=2)


def write_lock(path, beat):
    with open(path, "w") as file:
        file.write("00000000-1111-2222-3333-444444444444 4711 elsewhere 0123456789abcdef\n%020d\n" % beat)


@test
def one_job_at_a_time_has_a_checkpoint(t):
    job = Job(t)
    job.die(2, "first")
    lock = os.path.join(job.saved, "lock")
    os.remove(lock)
    first = t.start(2, *job.args("none", "--quern-resume=on"))
    t.check(wait_until(lambda: os.path.exists(lock) and read_file(lock), 30), "the lock is not taken")
    ranks = first.rank_pids().values()
    for pid in ranks:
        os.kill(pid, signal.SIGSTOP)
    t.check(len(ranks) == 2 and os.path.exists(lock), "the job was over before it could be stopped")
    t.fail(1, *job.args("none", "--quern-resume=on"), naming="a job that is running has the checkpoint", status=2)
    for pid in ranks:
        os.kill(pid, signal.SIGCONT)
    run = first.wait()
    t.check(run.status == 0, "the job that had it", run)
    job.forget()
    job.die(2, "first")
    write_lock(lock, 1)
    alive = threading.Event()

    def beat():
        for number in itertools.count(2):
            if alive.wait(0.5):
                return
            write_lock(lock, number)

    heart = threading.Thread(target=beat)
    heart.start()
    run = t.run(2, *job.args("none", "--quern-resume=on"))
    alive.set()
    heart.join()
    t.check(run.status == 2, "taken from a job that lives", run)
    says(t, run, "process 4711 on elsewhere")
    began = time.monotonic()
    run = job.end(2, "--quern-resume=on")  # now it is dead
    t.check(time.monotonic() - began > 9, "it was not watched", run)
    says(t, run, "stage 0 of run 1 is reused")


@test
def a_full_disk_ends_the_saving_and_not_the_job(t):
    job = Job(t, content=b"".join(b"%032d\n" % i for i in range(100000)))
    disk = t.mount_tmpfs("size=1m")
    job.saved = os.path.join(disk, "saved")
    run = job.end(2)
    says(t, run, "nothing more is saved: ", "No space left")
    t.check(not [name for name in os.listdir(job.saved) if name.startswith("run-")], "files are left", run)
    t.check(b"100000" in run.stdout, "the answer", run)


@test
def without_a_checkpoint_nothing_is_written(t):
    job = Job(t)
    before = set(os.listdir(t.dir))
    t.succeed(2, *job.args("none")[:4])
    t.check(set(os.listdir(t.dir)) == before | {"out1", "out2"}, "written: %s" % os.listdir(t.dir))


if __name__ == "__main__":
    main()
