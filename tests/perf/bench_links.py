#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""bench_links.py: shuffles on one level and on two, compressed and not, between virtual nodes whose links have a rate and a delay.

By hand, as root; it takes namespaces (tests/cluster/virtual_cluster.py), /dev/net/tun and 300 MB below /var/tmp:
    tests/perf/bench_links.py --build BUILD [--nodes 4] [--ranks 2] [--mbit 1000] [--delay-us 1000] [--runs 3] [--jobs sort,noise,words]
        [--rounds 64K,512K,4M]

Cases take turns; medians of seconds, of MB that were sent by all ranks, and of rounds. The nodes share this machine's processors, and so does the
switch: seconds tell of links as far as these are the slowest, and of nothing else.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster"))
import virtual_cluster  # noqa: E402

JOBS = {"sort": ("sortrecords", "records"), "noise": ("sortrecords", "noise"), "words": ("wordcount", "words")}
SHAPES = (("1", "off"), ("2", "off"), ("1", "on"), ("2", "on"), ("auto", "auto"))


def make(build, directory, name, million_rows):
    path = os.path.join(directory, name)
    if name == "noise":
        with open(path, "wb") as file:
            for _ in range(int(100 * million_rows)):
                file.write(os.urandom(1000000))
        return path
    rows, keys = (million_rows, []) if name == "records" else (12 * million_rows, ["--keys", str(int(3e6 * million_rows))])
    subprocess.run([os.path.join(build, "tests/perf/generate"), name, "-o", path, "--rows", str(int(1e6 * rows)), *keys], check=True)
    return path


def run_once(options, cluster, job, path, levels, compression, round_bytes):
    """(seconds, MB sent, MB before compression, rounds)"""
    program, report, out = JOBS[job][0], cluster.path("report.json"), cluster.path("out")
    hosts = ",".join("n%d:%d" % (number, options.ranks) for number in cluster.inits)
    words = ["--quern-report=" + report, "--quern-pin=off", "--quern-memory=1G", "--quern-round-bytes=" + round_bytes,
             "--quern-shuffle-compression=" + compression] + (["--quern-shuffle-levels=" + levels] if levels != "auto" else [])
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run([options.mpirun, "--host", hosts, os.path.join(options.build, "examples", program), "-o", out, path, *words], check=True,
                   env={**os.environ, **cluster.mpi_environment()}, cwd=cluster.dir, stdout=subprocess.DEVNULL, timeout=300)
    with open(report) as file:
        run = json.load(file)
    total = {name: sum(rank[name] for rank in run["ranks"]) for name in ("sent_bytes", "sent_plain_bytes", "shuffle_rounds")}
    return (run["elapsed_seconds"], total["sent_bytes"] / 1e6, total["sent_plain_bytes"] / 1e6, total["shuffle_rounds"] / len(run["ranks"]))


def measure(options, cluster, job, path, round_bytes):
    found = {shape: [] for shape in SHAPES}
    for _ in range(options.runs):
        for shape in SHAPES:
            found[shape].append(run_once(options, cluster, job, path, *shape, round_bytes))
    for (levels, compression), runs in found.items():
        seconds, sent, plain, rounds = (statistics.median(column) for column in zip(*runs))
        print("| %s | %s | %s | %s | %.2f (%.2f to %.2f) | %.0f of %.0f | %.0f |" % (job, round_bytes, levels, compression, seconds, min(runs)[0],
                                                                           max(runs)[0], sent, plain, rounds), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--mpirun", default="mpirun")
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--ranks", type=int, default=2, help="of a node")
    parser.add_argument("--mbit", type=float, default=1000)
    parser.add_argument("--delay-us", type=float, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--jobs", default="sort,noise,words")
    parser.add_argument("--rounds", default="64K,512K,4M")
    parser.add_argument("--million-rows", type=float, default=1, help="of 100 bytes; words: 12 times as many")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    if virtual_cluster.why_not(slurm=False, link=True):
        sys.exit(virtual_cluster.why_not(slurm=False, link=True))
    virtual_cluster.enter(slurm=False, link=True)
    link = virtual_cluster.Link(os.path.join(options.build, "tests/cluster/link_switch"), options.mbit, options.delay_us)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory, virtual_cluster.Cluster(options.nodes, slurm=False, link=link) as cluster:
        print("| job | round-bytes | levels | compression | seconds | MB sent | rounds |\n| --- | --- | --- | --- | --- | --- | --- |", flush=True)
        for job in options.jobs.split(","):
            path = make(options.build, directory, JOBS[job][1], options.million_rows)
            for round_bytes in options.rounds.split(","):
                measure(options, cluster, job, path, round_bytes)
            os.remove(path)


if __name__ == "__main__":
    main()
