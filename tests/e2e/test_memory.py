#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_memory.py: more distinct words than fit are counted right, within the budget, and no scratch is left.

The budget is the smallest that the program itself says it needs, so these tests follow the engine as it
changes. The inputs are made so that the right answer needs no table: word i is its number in hexadecimal
and a filler, and comes twice when i is divisible by 4, else once; so the sorted output is known line by line.
Peak memory is measured from outside (VmHWM of the ranks), not taken from the report.

With --slow ten times the budget is also counted without a launcher.
"""
import os
import random
import re
import shutil
import signal
import time

from harness import (Skip, compare_counts, count_words, load_json, main, open_paths, parse_counts, read_file,
                     shared_directory, test, top_lines, wait_until)

MIB = 1 << 20
UNITS = {b"": 1, b"K": 1 << 10, b"M": 1 << 20, b"G": 1 << 30}
POOL = bytes(random.Random(1).choices(b"abcdefghijklmnopqrstuvwxyz0123456789+/", k=65536 + 256))
SHORT_JOB = b"a few words\n"


class Numbered:
    """The input of `distinct` words of `length` bytes, with its right answer."""

    def __init__(self, distinct, length):
        self.distinct, self.length = distinct, length

    def word(self, i):
        at = i * 37 % 65536
        return b"%08x" % i + POOL[at:at + self.length - 8]

    def folder(self):
        return shared_directory(write_numbered, self.distinct, self.length)

    def write(self, folder):
        """Two files: every word in an order that is neither sorted nor the other's, then every fourth again."""
        for name, step, stride in (("all", 1, 7368787), ("again", 4, 3267000013)):
            count = (self.distinct + step - 1) // step
            with open(os.path.join(folder, name), "wb") as file:
                for start in range(0, count, 20000):
                    file.write(b"\n".join(self.word(i * stride % count * step)
                                          for i in range(start, min(start + 20000, count))) + b"\n")

    def line(self, i):
        return self.word(i) + (b"\t2" if i % 4 == 0 else b"\t1")

    def check(self, t, data, run):
        lines = sorted(data.split(b"\n")[:-1])
        t.check(len(lines) == self.distinct, "%d words found, not %d" % (len(lines), self.distinct), run)
        for i, line in enumerate(lines):
            if line != self.line(i):
                t.check(False, "found %r\nexpected %r" % (line, self.line(i)), run)


def write_numbered(folder, distinct, length):
    Numbered(distinct, length).write(folder)


_needed = {}


def needed_memory(t, n):
    """The budget that the program asks for when it gets too little; asked once for each number of ranks."""
    if n not in _needed:
        _needed[n] = ask_needed_memory(t, n)
    return _needed[n]


def ask_needed_memory(t, n):
    """Its message must say it."""
    run = t.fail(n, "--quern-memory=1K", t.write("little", SHORT_JOB))
    sizes = [float(number) * UNITS[unit.upper()]
             for number, unit in re.findall(rb"\b(\d+(?:\.\d+)?) ?([KMGkmg]?)(?:i?B|bytes)?\b", run.messages[0])]
    t.check(sizes and max(sizes) >= 65536, "the message does not say how much is needed", run)
    return int(max(sizes))


def make_scratch(t):
    path = t.path("scratch")
    if not os.path.isdir(path):
        os.mkdir(path)
    return path


def empty_scratch(t, scratch, run):
    t.check(not os.listdir(scratch), "left in the scratch directory: %s" % os.listdir(scratch)[:9], run)


def spilled_bytes(report):
    return sum(rank["spilled_bytes"] for rank in report["ranks"])


def empty_job_bytes(t, n, options):
    """What a job takes that has hardly anything to do: by its report, since it is over before anybody could look at it."""
    report_path = t.path("empty.json")
    t.succeed(n, *options, "--quern-report=" + report_path, t.write("little", SHORT_JOB))
    return sum(rank["peak_rss_bytes"] for rank in load_json(report_path)["ranks"])


def count_over_budget(t, n, budget, numbered, folder):
    """Counts with a budget far too small for the words; answer, spills, peak memory and scratch are checked."""
    scratch, out, report_path = make_scratch(t), t.new_output(), t.path("report.json")
    options = ["--quern-memory=%d" % budget, "--quern-scratch=" + scratch, "--quern-report=" + report_path]
    empty = empty_job_bytes(t, n, options[:2])
    run = t.succeed(n, "-o", out, *options, folder, watch_memory=True, timeout=60)
    numbered.check(t, t.committed(out, run), run)
    shutil.rmtree(out)
    empty_scratch(t, scratch, run)
    spilled = spilled_bytes(load_json(report_path))
    t.check(spilled > 0, "nothing was spilled", run)
    limit = budget * 1.1 + empty
    print("# n=%s: budget %d MiB, distinct words %d MiB, spilled %d MiB, peak %d MiB (empty job %d), %.1f s" % (
        n, budget // MIB, numbered.distinct * numbered.length // MIB, spilled // MIB, run.peak_rss_bytes // MIB,
        empty // MIB, run.seconds))
    if not t.options.sanitized:
        t.check(run.peak_rss_bytes <= limit, "peak of %d MiB, over %d MiB" % (run.peak_rss_bytes // MIB, limit // MIB),
                run)


# ---------------------------------------------------------------- budgets


@test
def a_budget_too_small_is_an_error_that_says_how_much_is_needed(t):
    path = t.write("text", SHORT_JOB)
    for n in (None, 2, 4):
        needed = needed_memory(t, n)
        t.check(needed <= 1 << 30, "asks for %d bytes for a handful of words" % needed)
        run = t.succeed(n, "--quern-memory=%d" % needed, path)
        t.check(run.stdout == top_lines(count_words(SHORT_JOB)), "wrong list", run)
        out = t.new_output()
        run = t.fail(n, "-o", out, "--quern-memory=1K", path)
        t.no_output(out, run)


@test
def distinct_words_of_ten_times_the_budget_are_counted_within_it(t):
    for n in (None, 2) if t.options.slow else (2,):
        budget = max(needed_memory(t, n), 16 * MIB)
        if budget > 64 * MIB:
            raise Skip("the smallest budget is %d MiB: ten times that is too much for a test" % (budget // MIB))
        numbered = Numbered(int(10.5 * budget) // 200, 200)
        count_over_budget(t, n, budget, numbered, numbered.folder())


@test
def short_words_that_exceed_the_budget_are_counted_within_it(t):
    """Here the table's own cost per word counts, not the words' bytes."""
    numbered = Numbered(1500000, 12)
    folder = numbered.folder()
    budget = max(needed_memory(t, 2), 16 * MIB)
    count_over_budget(t, 2, budget, numbered, folder)


@test
def spilling_does_not_change_the_bytes_of_the_output(t):
    numbered = Numbered(400000, 120)
    folder = numbered.folder()
    whole = t.count(None, [folder])
    for n in (None, 2, 3):
        budget = max(needed_memory(t, n), 16 * MIB)
        data = t.count(n, ["--quern-memory=%d" % budget, folder])
        t.check(data == whole, "n=%s with a budget of %d MiB gives other bytes" % (n, budget // MIB))


@test
def a_top_list_over_budget_is_right(t):
    numbered = Numbered(400000, 120)
    folder = numbered.folder()
    often = t.write("often", b"".join(b"often%d " % i * (100 - i) for i in range(15)))
    expected = top_lines(count_words(read_file(often)), 15)
    rest = b"".join(b"2\t%s\n" % numbered.word(4 * i) for i in range(5))
    for n in (None, 2):
        budget = max(needed_memory(t, n), 16 * MIB)
        run = t.succeed(n, "--quern-memory=%d" % budget, folder, often)
        t.check(run.stdout == expected + rest, "wrong list: %r" % run.stdout[:600], run)


@test
def a_small_job_does_not_spill(t):
    path = t.write("text", b"to be or not to be\n" * 1000)
    for n in (None, 2):
        run = t.succeed(n, "--quern-report=" + t.path("report"), path)
        t.check(spilled_bytes(load_json(t.path("report"))) == 0, "spilled without need", run)


@test
def a_file_larger_than_the_budget_with_few_words_needs_no_spill(t):
    block = b" ".join(b"word%d" % (i % 1000) for i in range(120000)) + b"\n"
    path = t.path("large")
    with open(path, "wb") as file:
        for _ in range(150):
            file.write(block)
    for n in (None, 2):
        budget = max(needed_memory(t, n), 16 * MIB)
        run = t.succeed(n, "--quern-memory=%d" % budget, "--quern-report=" + t.path("report"), path, watch_memory=True)
        expected = {word: count * 150 for word, count in count_words(block).items()}
        t.check(run.stdout == top_lines(expected), "wrong list: %r" % run.stdout[:200], run)
        t.check(spilled_bytes(load_json(t.path("report"))) == 0, "spilled a thousand words", run)


@test
def a_word_as_large_as_the_budget_is_counted_or_refused_clearly(t):
    giant = b"G" * (40 * MIB)
    path = t.write("giant", b"before " + giant + b" after " + giant)
    scratch = make_scratch(t)
    for n in (None, 2):
        budget = max(needed_memory(t, n), 16 * MIB)
        out = t.new_output()
        run = t.run(n, "-o", out, "--quern-memory=%d" % budget, "--quern-scratch=" + scratch, path)
        if run.status == 0:
            expected = count_words(read_file(path))
            difference = compare_counts(expected, parse_counts(t.committed(out, run)))
            t.check(difference is None, difference, run)
        else:
            t.check(run.status == 1 and len(run.messages) == 1, "one clear line expected", run)
            t.no_output(out, run)
        empty_scratch(t, scratch, run)


# ---------------------------------------------------------------- scratch


@test
def a_scratch_directory_that_cannot_be_used_is_an_error_that_names_it(t):
    path = t.write("text", SHORT_JOB)
    t.write("file", b"")
    for n in (None, 2):
        for name in ("no/such/scratch", "file"):
            t.fail(n, "--quern-scratch=" + t.path(name), "--quern-memory=1G", path, naming=t.path(name))


@test
def a_full_scratch_disk_is_a_clear_error_and_nothing_is_left(t):
    disk = t.mount_tmpfs("size=4m")
    numbered = Numbered(600000, 150)
    folder = numbered.folder()
    for n in (None, 2):
        budget = max(needed_memory(t, n), 16 * MIB)
        out = t.new_output()
        run = t.fail(n, "-o", out, "--quern-memory=%d" % budget, "--quern-scratch=" + disk, folder,
                     naming=("No space left", disk))
        t.no_output(out, run)
        empty_scratch(t, disk, run)


@test
def a_job_that_fails_after_spilling_leaves_no_scratch(t):
    disk, scratch = t.mount_tmpfs("size=2m"), make_scratch(t)
    numbered = Numbered(600000, 150)
    folder = numbered.folder()
    for n in (None, 2):
        budget = max(needed_memory(t, n), 16 * MIB)
        out = os.path.join(disk, "out")
        run = t.fail(n, "-o", out, "--quern-memory=%d" % budget, "--quern-scratch=" + scratch, folder,
                     naming="No space left")
        t.no_output(out, run)
        empty_scratch(t, scratch, run)


@test
def a_job_that_is_terminated_while_spilling_leaves_no_scratch_and_no_output(t):
    scratch, out = make_scratch(t), t.path("out")
    numbered = Numbered(1500000, 150)
    folder = numbered.folder()
    for n in (None, 2):
        budget = max(needed_memory(t, n), 16 * MIB)
        job = t.start(n, "-o", out, "--quern-memory=%d" % budget, "--quern-scratch=" + scratch, folder, fast=False)
        spilling = wait_until(lambda: job.process.poll() is not None or os.listdir(scratch) or any(
            path.startswith(scratch) for pid in job.rank_pids().values() for path in open_paths(pid)), 20)
        t.check(spilling and job.process.poll() is None, "the job did not get as far as spilling")
        time.sleep(0.1)
        job.process.send_signal(signal.SIGTERM)
        told = time.monotonic()
        run = job.wait(timeout=15)
        t.check(time.monotonic() - told < 10, "took %.1f s to end" % (time.monotonic() - told), run)
        t.check(run.status != 0, "a terminated job called itself a success", run)
        empty_scratch(t, scratch, run)
        left = [name for name in (os.listdir(out) if os.path.isdir(out) else []) if not name.startswith(".")]
        t.check(not left, "a terminated job left %s" % left, run)
        shutil.rmtree(out, ignore_errors=True)


if __name__ == "__main__":
    main()
