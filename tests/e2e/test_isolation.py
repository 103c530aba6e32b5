#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_isolation.py: callbacks in processes of their own: what crashes or never returns costs an attempt, and no more.

The program is isolated_job.c. --wordcount names it (the word is the harness's).
"""
import gzip
import json
import os
import random
import shutil
import signal
import time

from harness import load_json, main, read_file, test, wait_until

LINES = [b"line %d" % i for i in range(3000)]
TEXT = b"\n".join(LINES + [b"crash"] + LINES) + b"\n"
AT = sum(len(line) + 1 for line in LINES)
RANKS = (1, 2, 3, 7)


def counted(lines, times=1):
    counts = {}
    for line in lines:
        counts[line] = counts.get(line, 0) + times
    return counts


def parts(t, out, run):
    counts = {}
    for line in t.committed(out, run).splitlines():
        key, _, count = line.rpartition(b"\t")
        t.check(key not in counts, "a key comes twice: %r" % key[:40], run)
        counts[key] = int(count)
    return counts


def isolated(t, n, how, shape, *options, content=TEXT, split="8K", **start):
    """Run, output directory, report."""
    path, out, report = t.write("text", content), t.new_output(), t.path("report")
    mark = t.path("mark")
    if os.path.exists(mark):
        os.remove(mark)
    before = os.listdir("/dev/shm")
    run = t.run(n, how, shape, out, path, "--quern-isolate=on", "--quern-report=" + report, "--quern-split-bytes=" + split,
                *options, env=dict(start.pop("env", {}), ISOLATED_MARK=mark), **start)
    left = [name for name in set(os.listdir("/dev/shm")).difference(before) if "quern" in name and not name.startswith("quern-run.")]
    t.check(not left, "left in /dev/shm: %s" % left, run)
    return run, out, load_json(report) if os.path.exists(report) and os.path.getsize(report) else None


def sums_of(report, figure):
    return sum(rank[figure] for stage in report["stages"] for rank in stage["ranks"])


def succeeded(t, run):
    t.check(run.status == 0, "the job failed", run)


def told(t, run, *words):
    for word in words:
        t.check(word in run.stderr, "not told: %r" % word, run)


@test
def without_anything_wrong_the_answer_and_the_counters_are_the_same(t):
    for i, shape in enumerate(("filter", "block", "map", "many", "memory", "result")):
        for n in RANKS if t.options.slow else RANKS[i % 2::2]:
            run, out, report = isolated(t, n, "none", shape)
            succeeded(t, run)
            got = parts(t, out, run)
            lines = LINES + [b"crash"] + LINES
            calls = len(lines)
            if shape == "map":
                lines = [line + b" seen" for line in lines]
            elif shape == "many":
                lines = [b"%s %d" % (line, i) for line in lines for i in range(300)] if n == 2 else None
            elif shape == "memory":
                lines, calls = [b"%d" % i for i in range(20000)], 20000
            elif shape == "result":
                calls = len(set(lines))
            t.check(lines is None or got == counted(lines), "the answer is wrong", run)
            t.check(run.stdout == b"%d calls\n" % calls, "counted %r" % run.stdout, run)
            t.check(sums_of(report, "attempts_failed") == 0, "attempts failed", run)


@test
def whatever_ends_a_process_of_callbacks_once_costs_one_attempt(t):
    for n, how in ((1, "segv"), (2, "bus"), (3, "fpe"), (7, "ill"), (2, "abort"), (2, "exit"), (3, "kill"), (1, "kill")):
        run, out, report = isolated(t, n, "once-" + how, "filter")
        succeeded(t, run)
        t.check(parts(t, out, run) == counted(LINES + [b"crash"] + LINES), "the answer is wrong after " + how, run)
        t.check(run.stdout == b"%d calls\n" % (2 * len(LINES) + 1), "counted %r" % run.stdout, run)
        t.check(sums_of(report, "attempts_failed") == 1, "not one attempt failed: %d" % sums_of(report, "attempts_failed"),
                run)
        told(t, run, b"'look closely'", b"(attempt 1)", b"on the record at byte %d of " % AT)


@test
def every_shape_of_callback_goes_on_after_a_crash_and_nothing_counts_twice(t):
    for n, shape in ((1, "block"), (2, "block"), (3, "map"), (2, "many"), (7, "many"), (1, "memory"), (2, "memory"),
                     (2, "result")):
        calm, wanted, _ = isolated(t, n, "none", shape)
        run, out, report = isolated(t, n, "once-segv", shape)
        succeeded(t, run)
        t.check(t.committed(out, run) == t.committed(wanted, calm), "the answer is another one", run)
        t.check(run.stdout == calm.stdout, "counted %r, not %r" % (run.stdout, calm.stdout), run)
        t.check(sums_of(report, "attempts_failed") == 1, "not one attempt failed", run)


@test
def a_crash_on_a_piece_of_a_packed_file_costs_one_attempt(t):
    """Lines are written in their order; those of pieces that others work on come back, as far as they may wait."""
    lines = [b"line %d" % i for i in range(120000)]
    lines.insert(100000, b"crash")
    for n, shape in ((2, "written"), (3, "written-many"), (7, "written")):
        few = lines if shape == "written" else lines[:2000] + [b"crash"] + lines[2000:4000]
        content = gzip.compress(b"\n".join(few) + b"\n")
        wanted = few if shape == "written" else [b"%s %d" % (line, i) for line in few for i in range(300)]
        for how in ("none", "once-segv"):
            run, out, report = isolated(t, n, how, shape, content=content)
            succeeded(t, run)
            t.check(t.committed(out, run).splitlines() == wanted, "the answer is wrong", run)
            t.check(run.stdout == b"%d calls\n" % len(few), "counted %r" % run.stdout, run)
            t.check(sums_of(report, "attempts_failed") == (how != "none"), "attempts failed", run)
            t.check(sums_of(report, "attempts") > 2, "there were no pieces", run)


BY_KEY = ("group", "group-many", "cogroup", "join", "join-kept", "reduce", "aggregate")
# Lines come twice; of one that comes once nothing is combined.
BY_KEY_TEXT = TEXT + b"crash\n"


def remove_runs(out):
    """What a shape of several runs has written before the last one."""
    for i in range(3):
        shutil.rmtree("%s-%d" % (out, i), ignore_errors=True)


@test
def what_is_done_by_key_goes_on_after_a_crash_and_nothing_counts_twice(t):
    for i, shape in enumerate(BY_KEY):
        for n in RANKS if t.options.slow else RANKS[i % 4:i % 4 + 1]:
            calm, wanted, _ = isolated(t, n, "none", shape, "--quern-isolate=off", content=BY_KEY_TEXT)
            remove_runs(wanted)
            for how in ("none", "once-segv", "once-kill") if t.options.slow else ("once-kill",):
                run, out, report = isolated(t, n, how, shape, content=BY_KEY_TEXT)
                remove_runs(out)
                succeeded(t, run)
                t.check(t.committed(out, run) == t.committed(wanted, calm), "the answer of %s is another one" % shape, run)
                t.check(run.stdout == calm.stdout, "counted %r, not %r" % (run.stdout, calm.stdout), run)
                if shape != "join-kept":  # the report is of its last run
                    t.check(sums_of(report, "attempts_failed") == (how != "none"), "attempts failed", run)
            told(t, run, b"'look closely'", b"signal 9", b"on the group with key \"crash\" (5 bytes)")


@test
def a_crash_on_a_group_in_every_attempt_fails_the_job_and_names_the_key(t):
    for n, how, shape, word in ((1, "segv", "group", b"signal 11"), (2, "exit", "cogroup", b"exit status 3"), (3, "kill", "reduce", b"signal 9"),
                                (2, "loop", "join", b"task-timeout"), (2, "fail", "group-many", b"'look closely'")):
        run, out, _ = isolated(t, n, how, shape, "--quern-attempts=2", "--quern-task-timeout=1", content=BY_KEY_TEXT)
        t.check(run.status == 1, "status %d" % run.status, run)
        t.check(not os.path.exists(os.path.join(out, "_SUCCESS")), "the output is there", run)
        told(t, run, word, b"on the group with key \"crash\" (5 bytes)")


@test
def groups_larger_than_memory_are_read_by_a_process_of_callbacks(t):
    """Runs on disk, encrypted, and values of one key with half of all records that are read from scratch."""
    numbers = random.Random(7)
    lines = [b"hot key of many" if i % 2 else b"line number %d and so on" % numbers.randrange(100000) for i in range(400000)]
    content = b"\n".join(lines + [b"crash", b"crash"]) + b"\n"
    key = t.write("key", b"k" * 32)
    os.chmod(key, 0o600)
    for n, shape in ((1, "group"), (2, "group-many"), (3, "cogroup"), (2, "reduce")):
        options = ("--quern-encrypt=" + key, "--quern-memory=%dM" % (12 * n))
        calm, wanted, _ = isolated(t, n, "none", shape, "--quern-isolate=off", *options, content=content, split="1M")
        run, out, report = isolated(t, n, "once-segv", shape, *options, content=content, split="1M")
        succeeded(t, run)
        t.check(t.committed(out, run) == t.committed(wanted, calm), "the answer of %s is another one" % shape, run)
        t.check(run.stdout == calm.stdout, "counted %r, not %r" % (run.stdout, calm.stdout), run)
        t.check(sums_of(report, "spilled_bytes") > 0, "nothing was spilled", run)
        t.check(sums_of(report, "attempts_failed") == 1, "not one attempt failed", run)


@test
def a_crash_in_every_attempt_fails_the_job_and_names_the_record(t):
    for n, how, word in ((1, "segv", b"signal 11"), (2, "exit", b"exit status 3"), (3, "kill", b"signal 9"),
                         (7, "abort", b"signal 6")):
        run, out, report = isolated(t, n, how, "filter")
        t.check(run.status == 1, "the job did not fail as jobs fail", run)
        told(t, run, word, b"the callback of 'look closely' ended its process", b"(attempt 4)", b"byte %d of " % AT)
        t.no_output(out, run)
        t.check(sums_of(report, "attempts_failed") == 4, "not four attempts failed", run)


@test
def what_crashes_in_every_attempt_is_left_out_where_bad_records_are(t):
    good = counted(LINES + LINES)
    for n, how in ((1, "segv"), (2, "exit"), (3, "kill"), (7, "segv")):
        run, out, report = isolated(t, n, how, "map", "--quern-bad-records=skip:2")
        succeeded(t, run)
        wanted = {line + b" seen": count for line, count in good.items()}
        t.check(parts(t, out, run) == wanted, "the answer is wrong", run)
        t.check(run.stdout == b"%d calls\n" % (2 * len(LINES)), "counted %r" % run.stdout, run)
        bad = [source for stage in report["stages"] for source in stage.get("bad_records", [])]
        t.check("'look closely'" in json.dumps(bad) and str(AT) in json.dumps(bad), "not listed: %s" % bad, run)


@test
def what_crashes_in_every_attempt_is_set_apart_with_its_bytes(t):
    for n in (1, 2):
        apart = t.path("apart%d" % n)
        run, out, _ = isolated(t, n, "segv", "many", "--quern-bad-records=quarantine:2", "--quern-quarantine=" + apart,
                               content=b"a\nb\ncrash\nc\n")
        succeeded(t, run)
        t.check(len(parts(t, out, run)) == 3 * 300, "the answer is wrong", run)
        lines = [json.loads(line) for name in os.listdir(apart) for line in read_file(os.path.join(apart, name)).splitlines()]
        t.check(len(lines) == 1 and lines[0]["offset"] == 4 and lines[0]["data"] == "Y3Jhc2g=", "set apart: %s" % lines,
                run)
        t.check("ended its process: signal 11" in lines[0]["reason"], "set apart: %s" % lines, run)


@test
def too_many_crashes_for_the_bound_fail_the_job(t):
    run, out, _ = isolated(t, 2, "segv", "filter", "--quern-bad-records=skip:1", content=b"crash\n" * 3)
    t.check(run.status == 1, "not failed", run)
    t.no_output(out, run)


@test
def a_callback_that_never_returns_is_ended_and_tried_again(t):
    for n in (1, 2, 3):
        run, out, report = isolated(t, n, "once-loop", "filter", "--quern-task-timeout=1")
        succeeded(t, run)
        t.check(parts(t, out, run) == counted(LINES + [b"crash"] + LINES), "the answer is wrong", run)
        t.check(sums_of(report, "attempts_failed") == 1, "not one attempt failed", run)
        told(t, run, b"(task-timeout)", b"byte %d of " % AT)
    run, out, _ = isolated(t, 2, "loop", "filter", "--quern-task-timeout=1", "--quern-attempts=2")
    t.check(run.status == 1, "not failed", run)
    told(t, run, b"neither came back nor emitted within 1 s (task-timeout)", b"byte %d of " % AT)
    t.no_output(out, run)
    run, out, _ = isolated(t, 2, "loop", "filter", "--quern-task-timeout=1", "--quern-attempts=2",
                           "--quern-bad-records=skip:1")
    succeeded(t, run)
    t.check(parts(t, out, run) == counted(LINES + LINES), "the answer is wrong", run)


@test
def a_callback_that_fails_as_it_should_fails_as_ever(t):
    for n in (1, 3):
        run, out, report = isolated(t, n, "fail", "filter")
        t.check(run.status == 1, "not failed", run)
        told(t, run, b"the callback of 'look closely' returned 1", b"byte %d of " % AT)
        t.check(sums_of(report, "attempts_failed") == 4, "not four attempts failed", run)
        run, out, report = isolated(t, n, "once-fail", "many")
        succeeded(t, run)
        t.check(len(parts(t, out, run)) == 3001 * 300, "the answer is wrong", run)


@test
def records_longer_than_what_was_made_for_them_come_through(t):
    content = b"".join(b"%07d\n" % i for i in range(40)) + b"crash\n"
    for n in (1, 2):
        for how in ("none", "once-segv"):
            run, out, _ = isolated(t, n, how, "longer", content=content)
            succeeded(t, run)
            got = parts(t, out, run)
            tail = bytes(ord("a") + i % 23 for i in range(300000))
            wanted = {}
            for line in content.split():
                wanted[line] = wanted[line + tail[len(line):]] = 1
            t.check(got == wanted, "the answer is wrong", run)
    whole = b"x" * 3000000 + b"\n" + b"y" * 40 + b"\n"
    run, out, _ = isolated(t, 2, "none", "filter", content=whole)
    t.check(parts(t, out, run) == counted(whole.split()), "long lines are lost", run)


@test
def check_mode_and_little_memory_work_in_isolation(t):
    for n, options in ((1, ["--quern-check=on"]), (3, ["--quern-check=on"]), (2, ["--quern-memory=32M"])):
        run, out, _ = isolated(t, n, "once-segv", "map", *options)
        succeeded(t, run)
        t.check(parts(t, out, run) == counted(line + b" seen" for line in LINES + [b"crash"] + LINES), "wrong", run)


@test
def packed_input_is_lent_in_isolation_too(t):
    import gzip
    lines = [b"line %d" % i for i in range(200000)]
    packed = gzip.compress(b"\n".join(lines + [b"crash"]) + b"\n", 1)
    for n in (1, 3):
        run, out, _ = isolated(t, n, "once-segv", "filter", content=packed)
        succeeded(t, run)
        t.check(parts(t, out, run) == counted(lines + [b"crash"]), "the answer is wrong", run)


@test
def the_death_of_a_rank_takes_its_process_of_callbacks_along(t):
    """The harness fails the test if a process is left."""
    for number in (signal.SIGKILL, signal.SIGSEGV):
        path, out = t.write("text", TEXT), t.new_output()
        job = t.start(2, "loop", "filter", out, path, "--quern-isolate=on")
        found = wait_until(lambda: len(all_of(t, job)) > 2 and all_of(t, job), 20)
        t.check(found, "no process of callbacks is there")
        time.sleep(0.2)
        ranks = [pid for pid in found if parent_of(pid) not in found]
        os.kill(ranks[0], number)
        run = job.wait(20)
        t.check(run.status != 0, "half a job is called a success", run)


def all_of(t, job):
    same = []
    for pid in job.pids():
        try:
            if os.path.samefile("/proc/%d/exe" % pid, t.program):
                same.append(pid)
        except OSError:
            pass
    return same


def parent_of(pid):
    try:
        return int(read_file("/proc/%d/stat" % pid).rsplit(b")", 1)[1].split()[1])
    except OSError:
        return 0


@test
def without_isolation_a_callback_that_never_returns_ends_the_job_with_last_words(t):
    for n in (None, 1, 3):
        path, out = t.write("text", TEXT), t.new_output()
        run = t.run(n, "loop", "filter", out, path, "--quern-task-timeout=1")
        t.check(run.status not in (0, None), "called a success", run)
        t.check(run.seconds < 15 * t.options.patience, "%.1f s until the job ended" % run.seconds, run)
        told(t, run, b"(task-timeout)", b"in rank ", b"'look closely'", b"byte %d of " % AT)
    for n in (1, 3):  # and one that takes its time is left alone
        run, out, _ = isolated(t, n, "none", "many", "--quern-task-timeout=1", "--quern-isolate=off")
        succeeded(t, run)


if __name__ == "__main__":
    main()
