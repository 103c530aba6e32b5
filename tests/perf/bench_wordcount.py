#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Word count against the best bare C program for the same work, in the same run, on warm memory: medians and ratios.

Start-up is apart: the bare program's clock begins in main, Quern's is the report's elapsed_seconds (the run without MPI's
start). The runs alternate, so that a noisy machine is noisy for both. Also: a job on 1 MB against an empty MPI program."""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

WARM_GIB = "6"


def spawn(command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    if done.returncode != 0:
        sys.exit("failed: %s\n%s" % (" ".join(command), done.stderr.decode(errors="replace")))
    return done


def run_bare(args, threads):
    command = [args.warm, WARM_GIB, args.bare, "-t", str(threads), "-k", "20"] + args.paths
    done = spawn(command)
    figures = dict(re.findall(r"(\w+)=([0-9.]+)", done.stderr.decode()))
    return {"seconds": float(figures["total_s"]), "bytes": int(figures["bytes"]),
            "distinct": int(figures["distinct"]), "rss": float(figures["peak_rss_mb"]) * 1e6,
            "top": done.stdout}


def run_quern(args, ranks, scratch):
    report = os.path.join(scratch, "report.json")
    command = [args.warm, WARM_GIB, args.mpirun, "-n", str(ranks), args.wordcount, "--quern-report=" + report] + args.paths
    done = spawn(command)
    with open(report, encoding="utf-8") as file:
        figures = json.load(file)
    rows = figures["ranks"]
    return {"seconds": figures["elapsed_seconds"], "bytes": figures["input_bytes"],
            "shuffle": statistics.mean(row["shuffle_ns"] for row in rows) / 1e9,
            "exchange": statistics.mean(row["exchange_ns"] for row in rows) / 1e9,
            "rss": sum(row["peak_rss_bytes"] for row in rows), "top": done.stdout}


def median(runs, name):
    return statistics.median(run[name] for run in runs)


def wall(command):
    begin = time.monotonic()
    spawn(command)
    return time.monotonic() - begin


def bench_start_up(args, scratch):
    text = os.path.join(scratch, "megabyte")
    with open(text, "wb") as file:
        file.write(b"some words of a small text \n" * (1000000 // 28))
    empty = [wall([args.mpirun, "-n", "2", args.empty]) for _ in range(args.runs)]
    small = [wall([args.mpirun, "-n", "2", args.wordcount, text]) for _ in range(args.runs)]
    print("start-up: job on 1 MB %.3f s, empty MPI program %.3f s, difference %.3f s (mark: 0.15 s)"
          % (statistics.median(small), statistics.median(empty), statistics.median(small) - statistics.median(empty)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("wordcount", "bare", "warm", "empty", "mpirun"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("paths", nargs="*", default=None)
    args = parser.parse_args()
    args.paths = args.paths or [path for path in ("/usr/include", "/usr/share/doc") if os.path.isdir(path)]
    os.environ.setdefault("OMPI_ALLOW_RUN_AS_ROOT", "1")
    os.environ.setdefault("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
    with tempfile.TemporaryDirectory(prefix="quern-bench.") as scratch:
        bare, quern = [], []
        for _ in range(args.runs):
            bare.append(run_bare(args, 2))
            quern.append(run_quern(args, 2, scratch))
        if bare[0]["top"] != quern[0]["top"]:
            sys.exit("the two programs disagree about the 20 commonest words")
        b, q = median(bare, "seconds"), median(quern, "seconds")
        size = quern[0]["bytes"]
        print("word count, %.0f MB, %d distinct words, 2 workers, medians of %d:" % (size / 1e6, bare[0]["distinct"], args.runs))
        print("  bare C, 2 threads: %.2f s, %.0f MB/s, %.0f MB resident" % (b, size / b / 1e6, median(bare, "rss") / 1e6))
        print("  quern, 2 ranks:    %.2f s, %.0f MB/s, %.0f MB resident" % (q, size / q / 1e6, median(quern, "rss") / 1e6))
        pairs = statistics.median(one["seconds"] / other["seconds"] for one, other in zip(bare, quern))
        print("  speed ratio %.2f (mark: 0.85), of neighbouring runs %.2f, of the best runs %.2f; memory ratio %.2f"
              % (b / q, pairs, min(r["seconds"] for r in bare) / min(r["seconds"] for r in quern),
                 median(quern, "rss") / median(bare, "rss")))
        print("  time in the shuffle %.1f %% (mark: 3 %%), of this in the collectives themselves %.1f %%"
              % (100 * median(quern, "shuffle") / q, 100 * median(quern, "exchange") / q))
        bench_start_up(args, scratch)


if __name__ == "__main__":
    main()
