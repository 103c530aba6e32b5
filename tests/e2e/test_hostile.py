#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_hostile.py: every operator with too much data, with dying ranks, full disks and damaged scratch files.

The program is hostile_jobs, which knows the right answer itself. With --slow (tools/nightly) every operator meets everything, with 1 GB
of data; otherwise a few of them do, with as little as is meaningful.
"""
import os
import random
import re
import signal
import struct
import time

from harness import Skip, control_group, load_json, main, read_file, test, wait_until

MIB = 1 << 20
RECORD_BYTES = 100
OPERATORS = ("sort", "sort-compared", "group", "group-ordered", "cogroup", "join", "join-many", "join-full", "join-anti",
             "join-broadcast", "reduce", "aggregate", "top", "distinct", "union", "cache", "cache-reduced", "iterate", "links", "zip",
             "prefix", "quantiles")
NOT_SPILLING = ("iterate", "join-broadcast")  # the report is of its last run, which only reads; the large side is not stored
MOVERS = ("sort", "group", "cogroup", "join", "join-many", "reduce", "cache", "iterate")  # one of each kind of result


def chosen(t, few, all_of_them=OPERATORS):
    return all_of_them if t.options.slow else few


def seeds(t, count):
    path = t.path("seeds%d" % count)
    if not os.path.exists(path):
        t.write(path, struct.pack("<%dQ" % count, *range(count)))
    return path


def make_scratch(t, name="scratch"):
    path = t.path(name)
    os.makedirs(path, exist_ok=True)
    return path


def job_arguments(t, operator, records, *more, budget=None, scratch=None):
    """Seeds of 1000 records each."""
    arguments = [operator, seeds(t, (records + 999) // 1000), *more]
    if budget:
        arguments.append("--quern-memory=%d" % budget)
    return arguments + ["--quern-scratch=" + (scratch or make_scratch(t))]


_needed = {}


def needed_memory(t, n, operator):
    """The least that the program asks for, asked once."""
    if (n, operator) not in _needed:
        _needed[n, operator] = ask_needed_memory(t, n, operator)
    return _needed[n, operator]


def ask_needed_memory(t, n, operator):
    run = t.run(n, *job_arguments(t, operator, 1000, budget=1024))
    budget = 0
    for _ in range(4):
        found = re.search(rb"at least (\d+) MiB are needed", run.stderr)
        if not found:
            break
        budget = int(found.group(1)) * MIB
        run = t.run(n, *job_arguments(t, operator, 1000, budget=budget))
    t.check(run.status == 0 and budget, "no smallest memory was found", run)
    return budget


def nothing_left(t, run, scratch):
    t.check(not os.listdir(scratch), "left in the scratch directory: %s" % os.listdir(scratch)[:9], run)


# ---------------------------------------------------------------- too much data


def empty_bytes(t, n, operator, budget):
    """The peak of the same job with hardly anything to do."""
    report = t.path("empty.json")
    t.succeed(n, *job_arguments(t, operator, 1, "each=1", budget=budget), "--quern-report=" + report)
    return sum(rank["peak_rss_bytes"] for rank in load_json(report)["ranks"])


def over_budget(t, n, operator, budget, times, *more):
    """Right, on disk, and within the memory."""
    scratch, report = make_scratch(t), t.path("report.json")
    empty = empty_bytes(t, n, operator, budget)
    run = t.succeed(n, *job_arguments(t, operator, times * budget // RECORD_BYTES, *more, budget=budget, scratch=scratch),
                    "--quern-report=" + report, timeout=1200)
    ranks = load_json(report)["ranks"]
    peak, spilled = sum(rank["peak_rss_bytes"] for rank in ranks), sum(rank["spilled_bytes"] for rank in ranks)
    limit = budget * 1.1 + empty
    print("# %s %s n=%s: budget %d MiB, spilled %d MiB, peak %d MiB (empty job %d), %.1f s" % (
        operator, " ".join(more), n, budget // MIB, spilled // MIB, peak // MIB, empty // MIB, run.seconds))
    nothing_left(t, run, scratch)
    if not t.options.sanitized:
        t.check(peak <= limit, "peak of %d MiB, over %d MiB" % (peak // MIB, limit // MIB), run)
    return spilled


@test
def twenty_times_the_memory_passes_through_every_operator_within_it(t):
    for n, operator in [(2, operator) for operator in chosen(t, ("cogroup", "cache"))]:
        budget = needed_memory(t, n, operator)
        spilled = over_budget(t, n, operator, budget, 20 if t.options.slow else 2)
        if operator not in NOT_SPILLING:
            t.check(spilled > budget, "%s: only %d MiB were spilled" % (operator, spilled // MIB))


@test
def one_key_with_all_records_passes_through_within_the_memory(t):
    for n, operator in [(2, operator) for operator in chosen(t, ("join-many",), MOVERS)]:
        over_budget(t, n, operator, needed_memory(t, n, operator), 20 if t.options.slow else 2, "keys=1")


@test
def a_hard_limit_of_the_system_is_enough_for_the_budget_that_quern_derives_from_it(t):
    """The page cache of spilled runs counts there too, but can be taken back."""
    scratch = make_scratch(t)
    for n, operator in [(2, operator) for operator in chosen(t, ("group",), MOVERS)]:
        limit = 96 * MIB
        with control_group("memory", ("memory.limit_in_bytes", limit)) as start:
            records = (5 if t.options.slow else 2) * limit // RECORD_BYTES
            run = t.succeed(n, *job_arguments(t, operator, records, scratch=scratch), launcher=start, timeout=1200)
            nothing_left(t, run, scratch)


# ---------------------------------------------------------------- hostile shapes


@test
def inputs_of_nothing_and_of_one_record_pass_through_every_operator(t):
    for operator in OPERATORS:
        for n, each in ((None, 0), (None, 1), (3, 1)) if t.options.slow else ((3, 1),):
            t.succeed(n, *job_arguments(t, operator, 1, "each=%d" % each))


@test
def empty_keys_and_values_pass_through(t):
    records = 10000000 if t.options.slow else 500000
    for operator in chosen(t, ("sort", "group")):
        for n in (None, 2) if t.options.slow else (2,):
            run = t.succeed(n, *job_arguments(t, operator, records, "keys=1", "key-bytes=0", "value-bytes=0", budget=64 * MIB),
                            timeout=120)
            print("# %s n=%s: %.1f s" % (operator, n, run.seconds))


@test
def giant_keys_and_values_pass_through_or_are_refused_by_name(t):
    giant = (100 if t.options.slow else 20) * MIB
    for operator in chosen(t, ("join-many",), MOVERS):
        for n in (None, 2) if t.options.slow else (2,):
            for what in ("key-bytes",) if operator == "reduce" else ("value-bytes", "key-bytes"):  # it sums numbers
                shape = ["each=3", "%s=%d" % (what, giant)]
                run = t.run(n, *job_arguments(t, operator, 1, *shape, budget=64 * MIB), timeout=200)
                refused = run.status == 1 and len(run.messages) == 1 and b"record-bytes" in run.stderr
                t.check(refused, "%s: not refused by name" % operator, run)
                t.succeed(n, *job_arguments(t, operator, 1, *shape, budget=64 * MIB), "--quern-record-bytes=1G", timeout=200)


@test
def a_megabyte_of_memory_is_refused_with_what_is_needed(t):
    for operator in OPERATORS if t.options.slow else ("sort",):
        t.fail(1, *job_arguments(t, operator, 1000, budget=MIB), naming="at least")


@test
def random_shapes_pass_through_random_operators_in_little_memory(t):
    """The same ones each time; E2E_SEED=N for others."""
    chance = random.Random(int(os.environ.get("E2E_SEED", "1")))
    for _ in range(150 if t.options.slow else 6):
        operator, n = chance.choice(OPERATORS), chance.choice((None, 1, 2, 3, 7))
        value_bytes = int(2 ** chance.uniform(0, 18)) - 1
        key_bytes = int(2 ** chance.uniform(3, 15 if chance.random() < 0.2 else 6))
        records = min(int(2 ** chance.uniform(0, 27)) // (value_bytes + key_bytes), 600000) + 1
        shape = ["each=1", "keys=%d" % chance.choice((0, 0, 1, 2, 30, records // 2 + 1)), "key-bytes=%d" % key_bytes,
                 "value-bytes=%d" % value_bytes]
        if key_bytes < 8:
            shape[1] = "keys=1"
        budget = needed_memory(t, n, operator) + chance.choice((0, 0, 5, 40)) * MIB
        arguments = job_arguments(t, operator, records * 1000, *shape, budget=budget)
        t.succeed(n, *arguments, "--quern-record-bytes=1M", "--quern-split-bytes=%dK" % chance.choice((1, 64, 1024)),
                  timeout=120)


# ---------------------------------------------------------------- death


PHASES = (("sort", "make"), ("sort", "look"), ("join", "meet"), ("group", "meet"), ("iterate", "look"), ("cache", "look"),
          ("reduce", "look"))


def start_lingering(t, n, operator, phase, *more, records=400000, budget=48 * MIB, **start):
    """A job that has come to a phase and would take long to leave it; and its scratch directory."""
    mark, scratch = t.path("mark"), make_scratch(t)
    if os.path.exists(mark):
        os.remove(mark)
    job = t.start(n, *job_arguments(t, operator, records, "linger=" + phase, "mark=" + mark, *more, budget=budget,
                                    scratch=scratch), **start)
    there = wait_until(lambda: job.process.poll() is not None or os.path.exists(mark), 60 * t.options.patience)
    t.check(there and job.process.poll() is None, "%s did not come to phase %s" % (operator, phase))
    return job, scratch


def go_on(t):
    os.remove(t.path("mark"))


def ended_by_signal(t, job, scratch, out, what):
    told = time.monotonic()
    run = job.wait(timeout=20)
    t.check(time.monotonic() - told < 10, "%s: took %.1f s to end" % (what, time.monotonic() - told), run)
    t.check(run.status != 0, "%s: called itself a success" % what, run)
    nothing_left(t, run, scratch)
    left = os.listdir(out) if os.path.isdir(out) else []
    t.check("_SUCCESS" not in left and not [name for name in left if not name.startswith(".")],
            "%s: left %s" % (what, left), run)


@test
def a_rank_that_is_killed_ends_the_job_soon_whatever_it_was_doing(t):
    for operator, phase in chosen(t, PHASES[2:3], PHASES):
        for victim, number in ((0, signal.SIGKILL), (1, signal.SIGKILL), (1, signal.SIGTERM)):
            if number == signal.SIGTERM and not t.options.slow:
                continue
            out = t.new_output()
            job, scratch = start_lingering(t, 2, operator, phase, "out=" + out, fast=False)
            os.kill(job.rank_pids()[victim], number)
            ended_by_signal(t, job, scratch, out, "%s in %s, rank %d killed by %d" % (operator, phase, victim, number))


@test
def a_rank_that_is_stopped_for_a_while_changes_no_answer(t):
    for operator, phase in chosen(t, PHASES[2:3], PHASES):
        job, scratch = start_lingering(t, 2, operator, phase)
        pid = job.rank_pids()[1]
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.5)
        os.kill(pid, signal.SIGCONT)
        go_on(t)
        run = job.wait(timeout=120)
        t.check(run.status == 0, "%s in %s: the job failed" % (operator, phase), run)
        nothing_left(t, run, scratch)


# ---------------------------------------------------------------- disks


@test
def a_full_scratch_disk_is_a_clear_error_of_every_operator(t):
    disk = t.mount_tmpfs("size=8m")
    for operator in chosen(t, ("sort", "cache"), MOVERS):
        for n in (None, 2) if t.options.slow else (2,):
            budget = needed_memory(t, n, operator)
            run = t.fail(n, *job_arguments(t, operator, 6 * budget // RECORD_BYTES, budget=budget, scratch=disk),
                         naming=("No space left", disk, "--quern-scratch"))
            nothing_left(t, run, disk)


@test
def all_ranks_learn_of_a_scratch_disk_that_is_full_for_one(t):
    disk = t.mount_tmpfs("size=8m")
    shell = ["sh", "-c", 'd=$1; [ "$OMPI_COMM_WORLD_RANK" != 1 ] || export QUERN_SCRATCH="$2"; shift 2; "$@"; '
             'echo $? >"$d/status.$OMPI_COMM_WORLD_RANK"', "sh", t.dir, disk]
    for operator in chosen(t, ("group",), MOVERS):
        budget = needed_memory(t, 3, operator)
        arguments = [argument for argument in job_arguments(t, operator, 6 * budget // RECORD_BYTES, budget=budget)
                     if not argument.startswith("--quern-scratch")]
        run = t.run(3, *arguments, launcher=shell)
        statuses = [read_file(t.path("status.%d" % rank)) for rank in range(3)]
        t.check(statuses == [b"1\n"] * 3, "the ranks ended with %s" % statuses, run)
        t.check(len(run.messages) == 1 and b"No space left" in run.stderr and disk.encode() in run.stderr, "not named", run)


@test
def a_full_output_disk_is_a_clear_error_and_nothing_is_left(t):
    disk = t.mount_tmpfs("size=4m")
    for operator in chosen(t, ("sort",), ("sort", "join", "reduce", "iterate")):
        for n in (None, 2):
            out = os.path.join(disk, "out")
            run = t.fail(n, *job_arguments(t, operator, 400000, "out=" + out), naming=("No space left", disk))
            t.no_output(out, run)


@test
def a_scratch_directory_that_cannot_be_written_or_vanishes_is_named(t):
    readonly = t.mount_tmpfs("size=1m,ro")
    budget = needed_memory(t, 2, "sort")
    t.fail(2, *job_arguments(t, "sort", 3 * budget // RECORD_BYTES, budget=budget, scratch=readonly), naming=readonly)
    gone = make_scratch(t, "gone")
    mark = t.path("mark")
    job = t.start(2, *job_arguments(t, "sort", 3 * budget // RECORD_BYTES, "linger=make", "mark=" + mark, budget=budget,
                                    scratch=gone))
    t.check(wait_until(lambda: os.path.exists(mark), 20), "the job did not start")
    os.rmdir(gone)
    go_on(t)
    run = job.wait(timeout=60)
    t.check(run.status == 1 and len(run.messages) == 1 and gone.encode() in run.stderr, "not named", run)


def scratch_files(job, scratch):
    """The nameless files of the ranks, as paths that can be opened."""
    for pid in job.rank_pids().values():
        for fd in os.listdir("/proc/%d/fd" % pid):
            link = "/proc/%d/fd/%s" % (pid, fd)
            try:
                if os.readlink(link).startswith(scratch):
                    yield link
            except OSError:
                pass


def flip(path):
    """A bit of each page's middle: whichever of them is still to be read."""
    with open(path, "r+b", buffering=0) as file:
        for at in range(2048, os.fstat(file.fileno()).st_size, 4096):
            byte = os.pread(file.fileno(), 1, at)
            os.pwrite(file.fileno(), bytes([byte[0] ^ 0x10]), at)


def cut(path):
    os.truncate(path, os.stat(path).st_size // 3)


@test
def damaged_scratch_files_are_an_error_and_never_an_answer(t):
    for operator, phase in chosen(t, (("sort", "look"), ("cache", "look")), PHASES[1:]):
        for damage in (flip, cut) if t.options.slow else (flip if operator == "sort" else cut,):
            job, scratch = start_lingering(t, 2, operator, phase, records=800000, budget=needed_memory(t, 2, operator))
            for pid in job.rank_pids().values():
                os.kill(pid, signal.SIGSTOP)
            files = list(scratch_files(job, scratch))
            for path in files:
                damage(path)
            for pid in job.rank_pids().values():
                os.kill(pid, signal.SIGCONT)
            go_on(t)
            run = job.wait(timeout=120)
            t.check(files, "%s has spilled nothing" % operator, run)
            t.check(run.status == 74 and len(run.messages) == 1 and b"damaged" in run.stderr and scratch.encode() in run.stderr,
                    "%s in %s: not a clear error" % (operator, phase), run)
            nothing_left(t, run, scratch)


if __name__ == "__main__":
    main()
