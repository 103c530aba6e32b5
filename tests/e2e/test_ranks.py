#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_ranks.py: ranks agree, say things once, share the work, die together, and the report adds up.

These runs use mpirun as users have it (fast=False) where its own behaviour matters.
"""
import os
import shutil
import signal
import time

from harness import (compare_counts, count_words, load_json, main, open_paths, parse_counts, test, top_lines,
                     wait_until)

TEXT = b"to be or not to be that is the question\n" * 200


def each_rank_status(t, n, *args):
    """Runs with each rank inside a shell that keeps its status, so that mpirun sees no failure."""
    shell = ["sh", "-c", 'dir=$1; shift; "$@"; echo $? >"$dir/status.$OMPI_COMM_WORLD_RANK"', "sh", t.dir]
    run = t.run(n, *args, fast=False, launcher=shell)
    statuses = []
    for rank in range(n):
        path = t.path("status.%d" % rank)
        t.check(os.path.exists(path), "rank %d did not end by itself" % rank, run)
        with open(path) as file:
            statuses.append(int(file.read()))
        os.remove(path)
    return statuses, run


# ---------------------------------------------------------------- launching


@test
def a_plain_mpirun_with_its_default_transports_counts_right(t):
    path = t.write("text", TEXT)
    for n in (1, 2, 4):
        run = t.succeed(n, path, fast=False)
        t.check(run.stdout == top_lines(count_words(TEXT)), "wrong list", run)
        t.check(not run.messages, "a quiet job said something", run)
        t.count(n, [path], expected=count_words(TEXT), fast=False)


@test
def several_tasks_promised_by_slurm_and_no_launcher_is_refused_with_a_hint(t):
    path = t.write("text", TEXT)
    out = t.new_output()
    run = t.run(None, "-o", out, path, env={"SLURM_NTASKS": "2", "SLURM_JOB_ID": "1", "SLURM_PROCID": "0"})
    t.check(run.status not in (0, None) and run.status > 0, "ran alone as if it were the whole job", run)
    t.check(len(run.messages) == 1, "one line expected", run)
    t.check(any(word in run.stderr for word in (b"srun", b"mpirun")), "no hint how to start it", run)
    t.no_output(out, run)
    run = t.run(None, path, env={"SLURM_NTASKS": "2"})
    t.check(run.status > 0, "ran alone as if it were the whole job", run)
    run = t.succeed(None, path, env={"SLURM_NTASKS": "1", "SLURM_PROCID": "0"})
    t.check(run.stdout == top_lines(count_words(TEXT)), "wrong list", run)
    t.succeed(2, path, env={"SLURM_NTASKS": "2"})


@test
def all_ranks_end_with_the_same_status_and_one_speaks(t):
    present = t.write("text", TEXT)
    missing = t.path("missing")
    full = os.path.dirname(t.write("full/file", b""))
    cases = (([present], 0), ([present, missing], 1), (["-o", full, present], 1), (["--quern-memory=1K", present], 1),
             (["--quern-nonsense=1", present], 2), ([], 2))
    for args, expected in cases:
        for n in (2, 4) if expected == 1 and missing in args else (2,):
            statuses, run = each_rank_status(t, n, *args)
            t.check(statuses == [expected] * n, "the ranks ended with %s, expected %d" % (statuses, expected), run)
            speaking = [line for line in run.messages if b"usage" not in line.lower()]
            t.check(len(speaking) <= 1, "%d lines on stderr" % len(speaking), run)
            t.check(expected == 0 or run.messages, "failed without a word", run)


@test
def ranks_started_with_different_arguments_end_with_an_error(t):
    a, b = t.write("a", TEXT), t.write("b", TEXT + b"other")
    out = t.new_output()
    for second in (["--top", "5", b], ["--top", "5", a, b], ["--top", "3", a], ["-o", out, a],
                   ["--top", "5", "--quern-split-bytes=5", a]):
        run = mixed_launch(t, ["--top", "5", a], second)
        if run.status == 0 and run.stdout in (top_lines(count_words(TEXT), k) for k in (3, 5, 20)):
            continue  # an option that may differ, and a right answer
        t.check(run.status != 0, "an answer to two different questions: %r" % run.stdout[:100], run)
        t.check(run.messages, "failed without a word", run)
        t.no_output(out, run)


def mixed_launch(t, first, second):
    """mpirun -n 1 wordcount FIRST : -n 1 wordcount SECOND"""
    return t.run(1, *first, ":", "-n", "1", t.options.wordcount, *second, timeout=20)


@test
def more_ranks_than_work_is_fine(t):
    path = t.write("one", b"single")
    run = t.succeed(8, "--quern-report=" + t.path("report"), path)
    t.check(run.stdout == b"1\tsingle\n", "wrong list", run)
    t.check(len(load_json(t.path("report"))["ranks"]) == 8, "not all ranks are in the report", run)
    t.count(8, [path], expected=count_words(b"single"))


# ---------------------------------------------------------------- death


LONG_BLOCK = b" ".join(b"%x" % (i * 2654435761 % 2**32) for i in range(120000)) + b"\n"
LONG_COPIES, LONG_PATHS = 200, 8


def start_long_job(t, n, out):
    """Starts a job of 1.7 GB (200 MB, named 8 times) and returns when its ranks work on the input."""
    path = t.path("large")
    if not os.path.exists(path):
        with open(path, "wb") as file:
            for _ in range(LONG_COPIES):
                file.write(LONG_BLOCK)
    job = t.start(n, "-o", out, *[path] * LONG_PATHS, fast=False)
    started = wait_until(lambda: job.process.poll() is not None or (len(job.rank_pids()) == (n or 1) and any(
        path in open_paths(pid) for pid in job.rank_pids().values())), 20)
    t.check(started and job.process.poll() is None, "the job did not start, or ended too soon")
    return job


@test
def the_death_of_one_rank_ends_the_job_soon_and_without_output(t):
    for n, victim in ((2, 0), (2, 1), (4, 2)):
        out = t.new_output()
        job = start_long_job(t, n, out)
        time.sleep(0.05)
        os.kill(job.rank_pids()[victim], signal.SIGKILL)
        killed = time.monotonic()
        run = job.wait(timeout=20)
        t.check(time.monotonic() - killed < 10, "took %.1f s" % (time.monotonic() - killed), run)
        t.check(run.status != 0, "a job without rank %d called itself a success" % victim, run)
        left = os.listdir(out) if os.path.isdir(out) else []
        t.check("_SUCCESS" not in left, "left %s" % left, run)
        shutil.rmtree(out, ignore_errors=True)


@test
def a_stopped_rank_that_goes_on_later_does_not_change_the_answer(t):
    expected = None
    for n, victim in ((2, 1), (3, 0)):
        out = t.new_output()
        job = start_long_job(t, n, out)
        pid = job.rank_pids()[victim]
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.7)
        os.kill(pid, signal.SIGCONT)
        run = job.wait(timeout=60)
        t.check(run.status == 0, "the job failed", run)
        data = t.committed(out, run)
        expected = expected or data
        t.check(data == expected, "another answer", run)
    right = {word: count * LONG_COPIES * LONG_PATHS for word, count in count_words(LONG_BLOCK).items()}
    difference = compare_counts(right, parse_counts(expected))
    t.check(difference is None, difference)


def temporary_parts(out):
    return [name for name in os.listdir(out) if name.startswith(".part-")] if os.path.isdir(out) else []


@test
def a_directory_is_a_live_jobs_alone_and_free_again_when_the_job_was_killed(t):
    path = t.write("text", TEXT)
    for n in (None, 2):
        out = t.new_output()
        job = start_long_job(t, n, out)
        run = t.fail(n, "-o", out, path, naming=("written by another job", "process %d" % job.rank_pids()[0]))
        os.kill(job.rank_pids()[0], signal.SIGKILL)
        job.wait(timeout=20)
        t.check(wait_until(lambda: not job.rank_pids(), 10), "a rank of a killed job lives on", run)
        t.check(os.listdir(out) != [], "a killed job left nothing: this test is idle", run)
        t.write(os.path.join(out, ".part-00000.tmp"), b"left")
        run = t.succeed(n, "-o", out, path)
        t.check(parse_counts(t.committed(out, run)) == count_words(TEXT), "wrong counts", run)
        t.check(not temporary_parts(out), "leftovers in the output", run)


@test
def an_interrupt_ends_the_job_soon_and_without_output(t):
    for n in (None, 2):
        out = t.new_output()
        job = start_long_job(t, n, out)
        job.process.send_signal(signal.SIGINT)
        told = time.monotonic()
        run = job.wait(timeout=20)
        t.check(time.monotonic() - told < 10, "took %.1f s" % (time.monotonic() - told), run)
        t.check(run.status != 0, "an interrupted job called itself a success", run)
        left = os.listdir(out) if os.path.isdir(out) else []
        t.check("_SUCCESS" not in left, "left %s" % left, run)


# ---------------------------------------------------------------- report


@test
def both_ranks_work_when_there_is_enough_to_do(t):
    block = b" ".join(b"word%d" % (i % 9000) for i in range(200000)) + b"\n"
    for i in range(32):
        t.write("work/f%d" % i, block)
    run = t.succeed(2, "--quern-split-bytes=64K", "--quern-report=" + t.path("report"), t.path("work"))
    ranks = load_json(t.path("report"))["ranks"]
    t.check(len(ranks) == 2 and all(rank["tasks"] > 0 for rank in ranks),
            "tasks of the ranks: %s" % [rank["tasks"] for rank in ranks], run)


@test
def the_report_adds_up(t):
    files = {"f%d" % i: TEXT * (i + 1) for i in range(10)}
    for name, content in files.items():
        t.write("in/" + name, content)
    words = sum(len(content.split()) for content in files.values())
    for n in (None, 1, 2, 4):
        run = t.succeed(n, "--quern-report=" + t.path("report"), "--quern-split-bytes=10000", t.path("in"))
        report = load_json(t.path("report"))
        t.check(report["status"] in ("ok", "OK", "QUERN_OK", "success", 0), "status %r" % report["status"], run)
        t.check(report["input_bytes"] == sum(map(len, files.values())), "input %s" % report["input_bytes"], run)
        t.check(0 < report["elapsed_seconds"] <= run.seconds, "elapsed %s" % report["elapsed_seconds"], run)
        t.check(len(report["ranks"]) == (n or 1) and report["stages"] and report["edges"], "lists too short", run)
        for edge in report["edges"]:
            balance = edge["records_in"] - edge["records_out"] - edge["records_dropped"]
            t.check(balance == 0, "edge does not balance: %s" % edge, run)
        seen = [edge["records_in"] for edge in report["edges"]]
        t.check(words in seen, "no edge of %d words: %s" % (words, seen), run)
        for rank in report["ranks"]:
            t.check(rank["attempts"] >= rank["tasks"] >= 0 and rank["peak_rss_bytes"] > 0
                    and rank["shuffle_rounds"] >= 0 and rank["spilled_bytes"] >= 0, "strange rank: %s" % rank, run)
        t.check(sum(rank["tasks"] for rank in report["ranks"]) >= len(files), "too few tasks", run)
        os.remove(t.path("report"))


@test
def the_report_of_a_failed_job_does_not_call_it_a_success(t):
    path = t.write("text", TEXT)
    for n in (None, 2):
        run = t.fail(n, "--quern-report=" + t.path("report"), path, t.path("missing"), naming="missing")
        report = load_json(t.path("report"))
        t.check(report["status"] == "QUERN_ERROR_INPUT", "status %r" % report["status"], run)
        t.check([stage["status"] for stage in report["stages"]] == ["QUERN_ERROR_INPUT"], "stages of a failed job", run)
        os.remove(t.path("report"))


@test
def a_failure_whose_text_is_not_utf8_is_in_the_report(t):
    path = t.write("text", TEXT)
    for n in (None, 2):
        run = t.fail(n, "--quern-report=" + t.path("report"), path, os.fsencode(t.dir) + b"/gone-\xff-\xc3", naming="gone")
        error = load_json(t.path("report"))["error"]
        t.check("gone-\ufffd-\ufffd" in error, "the report says %r" % error, run)
        os.remove(t.path("report"))


if __name__ == "__main__":
    main()
