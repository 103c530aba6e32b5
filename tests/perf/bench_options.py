#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""bench_options.py: what options cost: checkpoints, isolation, encryption, the job directory; each against the same job without, in turns.

By hand; it takes some GB below --scratch:
    tests/perf/bench_options.py --build BUILD [--ranks 2] [--runs 5] [--jobs words,sort] [--only checkpoint,isolate] [--million-rows 10]

Of each option and job: the medians of the elapsed seconds of the run (without MPI's start) and of all processor seconds of all ranks and their children, and the
ratios of these medians to those without it. The runs alternate, so that a noisy machine is noisy for both. A row where nothing of the option took place (no
epoch was cut, nothing was spilled) says so.
"""
import argparse
import collections
import contextlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bench_links import JOBS, make  # noqa: E402
from harness import load_json  # noqa: E402

Run = collections.namedtuple("Run", "elapsed processor saved_bytes report")
# What each adds to the command; {dir} is a new directory each time. A small memory is the base's, too.
OPTIONS = {
    "checkpoint": (["--quern-checkpoint={dir}/checkpoint"], []),
    "checkpoint each 2 s": (["--quern-checkpoint={dir}/checkpoint", "--quern-checkpoint-every=2s"], []),
    "isolate": (["--quern-isolate=on"], []),
    "encrypt": (["--quern-encrypt={key}"], ["--quern-memory=256M"]),
    "job": (["--quern-job={dir}/job"], []),
}


def size_of(directory):
    """Bytes of the files in it; others may take them away meanwhile."""
    sizes = []
    for name in os.listdir(directory) if os.path.isdir(directory) else []:
        with contextlib.suppress(FileNotFoundError):
            sizes.append(os.path.getsize(os.path.join(directory, name)))
    return sum(sizes)


def most_saved(process, directory):
    """Waits for the process; the largest size that the directory was seen to have until then."""
    most = 0
    while process.poll() is None:
        most = max(most, size_of(directory))
        time.sleep(0.1)
    return most


def run(options, job, path, words, scratch):
    """One run of the job with the words, which have {dir} and {key} filled in."""
    shutil.rmtree(scratch, ignore_errors=True)
    os.mkdir(scratch)
    report = os.path.join(scratch, "report.json")
    key = os.path.join(os.path.dirname(scratch), "key")
    filled = [word.format(dir=scratch, key=key) for word in words]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen([options.mpirun, "-n", str(options.ranks), "--oversubscribe", "--bind-to", "none",
                                os.path.join(options.build, "examples", JOBS[job][0]), "-o", os.path.join(scratch, "out"), path,
                                "--quern-report=" + report, "--quern-scratch=" + scratch, *filled], stdout=subprocess.DEVNULL)
    saved_bytes = most_saved(process, os.path.join(scratch, "checkpoint"))
    if process.returncode != 0:
        sys.exit("bench_options: %s with %s failed" % (job, " ".join(filled)))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = load_json(report)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(told["elapsed_seconds"], used, saved_bytes, told)


def took_place(name, runs):
    """What of the option took place, in words."""
    if name.startswith("checkpoint"):
        return "%d MB saved at a time" % (max(one.saved_bytes for one in runs) >> 20)
    if name == "encrypt":
        return "%d MB spilled" % (sum(rank["spilled_bytes"] for rank in runs[-1].report["ranks"]) >> 20)
    return ""


def compare(options, name, job, path, scratch):
    words, of_both = OPTIONS[name]
    runs = {"without": [], "with": []}
    for _ in range(options.runs):
        runs["without"].append(run(options, job, path, of_both, scratch))
        runs["with"].append(run(options, job, path, of_both + words, scratch))
    middle = {which: [statistics.median(one[i] for one in of) for i in (0, 1)] for which, of in runs.items()}
    elapsed, processor = ([middle[which][i] for which in ("without", "with")] for i in (0, 1))
    print("| %s | %s | %.2f s | %.2f s | %+.1f %% | %.2f s | %.2f s | %+.1f %% | %s |" % (
        name, job, *elapsed, 100 * (elapsed[1] / elapsed[0] - 1), *processor, 100 * (processor[1] / processor[0] - 1),
        took_place(name, runs["with"])), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--mpirun", default="mpirun")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--jobs", default="words,sort")
    parser.add_argument("--only", default=",".join(OPTIONS))
    parser.add_argument("--million-rows", type=float, default=10, help="of 100 bytes; words: 12 times as many")
    parser.add_argument("--scratch", default="/var/tmp")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    with tempfile.TemporaryDirectory(prefix="quern-options.", dir=options.scratch) as top:
        with open(os.path.join(top, "key"), "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(os.urandom(32).hex().encode() + b"\n")
        print("| option | job | elapsed without | with | more | processor without | with | more | of it |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
        for job in options.jobs.split(","):
            path = make(options.build, top, JOBS[job][1], options.million_rows)
            with open(path, "rb") as file:  # into the page cache
                while file.read(1 << 24):
                    pass
            for name in options.only.split(","):
                compare(options, name, job, path, os.path.join(top, "run"))


if __name__ == "__main__":
    main()
