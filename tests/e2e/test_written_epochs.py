#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_written_epochs.py: a job that writes what it reads, and died or was told to end, keeps the parts that it had finished.

The program is written_job.c. The parts are one for each task, so an undisturbed run with the same size of split has the same files.
"""
import os
import random
import shutil
import signal
import time

from harness import main, read_file, test, wait_until
from written_kit import OFTEN, Job, parts_of, read_bytes, taken_up

KINDS = ("text", "fixed", "csv", "gzip", "zstd", "one", "tar", "zip")


@test
def parts_that_were_finished_stay_whatever_is_written(t):
    for number, what in enumerate(KINDS if t.options.slow else ("gzip", "zip")):
        job = Job(t, what=what)
        expected = job.expected()
        job.die(2, "lines")
        run = job.go_on(1 + number % 3)
        t.check(taken_up(run) and taken_up(run)[0] > 0, "%s: it began again" % what, run)
        t.check(read_bytes(run) < 0.7 * os.path.getsize(job.input), "%s: all was read again" % what, run)
        job.as_ever(expected, run)


@test
def a_killed_job_goes_on_with_any_number_of_ranks(t):
    job = Job(t)
    expected = job.expected()
    for before, after in ((2, 1), (1, 3), (3, 7), (None, 2)) if t.options.slow else ((2, 7), (3, 1)):
        job.die(before, "lines")
        run = job.go_on(after)
        count = taken_up(run)
        t.check(count and 0 < count[0] < count[1], "taken up: %s" % (count,), run)
        job.as_ever(expected, run)


@test
def parts_on_which_several_ranks_worked_count_once(t):
    """Those of files that one rank unpacks, and others work on pieces of."""
    job = Job(t, 400000, packed=6)
    expected = job.expected()
    for before, after in ((2, 1), (3, 3), (4, 7), (2, 4)) if t.options.slow else ((4, 3),):
        job.die(before, "lines")
        run = job.go_on(after)
        count = taken_up(run)
        t.check(count and 0 < count[0] < count[1], "taken up: %s" % (count,), run)
        job.as_ever(expected, run)


@test
def a_job_that_was_killed_behind_the_stage_has_all_parts_still(t):
    job = Job(t, second=t.path("counts"))
    expected = job.expected()
    job.die(2, "counts")
    run = job.go_on(3)
    count = taken_up(run)
    t.check(count and count[0] == count[1], "taken up: %s" % (count,), run)
    job.as_ever(expected, run)


@test
def a_job_may_be_killed_at_any_moment_any_number_of_times(t):
    seed = int(os.environ.get("E2E_SEED", "1"))
    chance = random.Random(seed)
    any_moment(t, chance, Job(t))
    any_moment(t, chance, Job(t, packed=5))


def any_moment(t, chance, job):
    expected = job.expected()
    began = time.monotonic()
    job.as_ever(expected, t.succeed(2, *job.args("none", OFTEN)))
    seconds = time.monotonic() - began
    for _ in range(40 if t.options.slow else 2):
        for _ in range(chance.randrange(1, 4)):
            running = t.start(chance.choice((1, 2, 3, 4)), *job.args("none", OFTEN, "--quern-resume=on"))
            time.sleep(chance.random() * seconds)
            pids = list(running.rank_pids().values())
            if pids:
                os.kill(chance.choice(pids), signal.SIGKILL)
            run = running.wait()
            if os.path.exists(os.path.join(job.out, "_SUCCESS")):
                break
        is_whole = os.path.exists(os.path.join(job.out, "_SUCCESS"))
        if not is_whole or os.listdir(job.saved):  # a job that was killed as it left has removed its checkpoint
            run = job.go_on(chance.choice((None, 2, 3)), OFTEN)
        if b"looks" not in run.stdout:
            run.stdout = expected[1]
        job.as_ever(expected, run)


@test
def a_signal_or_the_end_of_the_time_leaves_the_parts_for_the_next_attempt(t):
    job = Job(t, 60000, split="4K")
    expected = job.expected()
    for n, after in ((2, 3), (3, 1), (None, 2)) if t.options.slow else ((3, 2),):
        running = t.start(n, *job.args("slow"))
        t.check(wait_until(lambda: [name for name in os.listdir(job.out) if ".part-" in name][9:]
                           if os.path.exists(job.out) else [], 20), "no parts")
        os.kill(running.process.pid, signal.SIGUSR1)
        run = running.wait()
        t.check(run.status == 75, "status 75 expected", run)
        run = job.go_on(after)
        t.check(taken_up(run) and taken_up(run)[0] >= 2, "it began again", run)
        job.as_ever(expected, run)
    for piece in range(12):
        run = t.run((1, 2, 3, 7)[piece % 4], *job.args("slow", "--quern-deadline=2s", "--quern-resume=on"))
        t.check(run.status in (0, 75), "status 0 or 75 expected", run)
        if run.status == 0:
            break
    t.check(run.status == 0 and piece > 0, "ended with status %d after %d pieces" % (run.status, piece + 1), run)
    job.as_ever(expected, run)


def flip(path):
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


@test
def parts_that_are_not_as_they_were_are_made_again_and_it_is_said_why(t):
    job = Job(t)
    expected = job.expected()
    job.die(2, "lines")
    parts = parts_of(job)
    flip(os.path.join(job.out, parts[0]))
    os.truncate(os.path.join(job.out, parts[1]), 10)
    os.remove(os.path.join(job.out, parts[2]))
    log = t.path("log")
    run = job.go_on(3, "--quern-log", log)
    t.check(b"3 parts of %s are made again: 2 are gone, 0 have another size, 1 another checksum" % job.out.encode()
            in run.stderr, "not said", run)
    t.check(taken_up(run)[0] > 0 and b"is made again: it is gone" in read_file(log), "all began again", run)
    job.as_ever(expected, run)


@test
def an_output_in_another_state_is_begun_again_or_refused(t):
    job = Job(t)
    expected = job.expected()
    job.die(2, "lines")
    shutil.rmtree(job.out)
    run = job.go_on(2)
    t.check(b"are gone" in run.stderr and taken_up(run)[0] == 0, "what is gone is used", run)
    job.as_ever(expected, run)
    job.die(2, "lines")
    t.write("out/_SUCCESS", b"")
    t.fail(2, *job.args("none", "--quern-resume=on")[:5], "--quern-checkpoint", job.saved, "--quern-resume=on", naming="not empty")
    os.remove(t.path("out", "_SUCCESS"))
    t.write("out/notes", b"mine")
    t.fail(2, *job.args("none")[:5], "--quern-checkpoint", job.saved, "--quern-resume=on", naming="not empty")
    os.remove(t.path("out", "notes"))
    os.utime(job.input, (1, 1))
    run = job.go_on(2)
    t.check(b"begins again: an input changed" in run.stderr and not taken_up(run), "it went on", run)
    job.as_ever(expected, run)


@test
def isolated_callbacks_second_attempts_and_signed_journals_change_nothing(t):
    job = Job(t)
    expected = job.expected()
    key = t.write("key", os.urandom(32))
    os.chmod(key, 0o600)
    ways = (("--quern-isolate=on",), ("--quern-speculate=on",), ("--quern-encrypt", key))
    for options in ways if t.options.slow else (("--quern-isolate=on", "--quern-speculate=on", "--quern-encrypt", key),):
        running = t.start(3, *job.args("slow", OFTEN, *options))
        t.check(wait_until(lambda: os.path.exists(job.out) and len(parts_of(job)) > 6, 20), "no parts")
        running.kill()
        run = job.go_on(2, *options)
        t.check(taken_up(run) and taken_up(run)[0] > 0, "%s: it began again" % (options,), run)
        job.as_ever(expected, run)


if __name__ == "__main__":
    main()
