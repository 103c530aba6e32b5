#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""bench_verify.py: what checksums of all that is shuffled (verify-network) cost, in instructions, between virtual nodes that talk over TCP.

By hand, as root; it takes namespaces (tests/cluster/virtual_cluster.py), valgrind, and 300 MB below /var/tmp:
    tests/perf/bench_verify.py --build BUILD [--nodes 2] [--ranks 1] [--jobs sort,noise,words] [--million-rows 0.2]

Each rank is run under callgrind. What is printed is of all ranks together: instructions in user space of the job, those of them in checksums of chunks as they are
sent and received, and the same of a run without. Ranks that wait look again and again, which is counted too, and what the kernel does for TCP is not; so is the start of
MPI not left out: the share of the checksums is told of the run's instructions as they are, and of those of the same job on one rank, which neither waits nor sends.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bench_links import JOBS, make, virtual_cluster  # noqa: E402

SUM = "qn_block_sum"
WRAPPER = """#!/bin/sh
exec valgrind -q --tool=callgrind "--callgrind-out-file=%s/$(hostname).$OMPI_COMM_WORLD_RANK.calls" "$@"
"""


def count_calls(path):
    """(all instructions, those in checksums)"""
    text = subprocess.run(["callgrind_annotate", "--inclusive=yes", "--threshold=99.99", "--auto=no", path], check=True, capture_output=True, text=True).stdout
    total = re.search(r"([\d,]+) .*PROGRAM TOTALS", text)
    sums = [line.split()[0] for line in text.splitlines() if re.search(r":%s( |$)" % SUM, line) and "=>" not in line]
    return tuple(int(number.replace(",", "")) for number in (total.group(1), max(sums, key=len, default="0")))


def run(options, cluster, wrapper, job, path, hosts, verify):
    out = cluster.path("out")
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run([options.mpirun, "--host", hosts, wrapper, os.path.join(options.build, "examples", JOBS[job][0]), "-o", out, path,
                    "--quern-pin=off", "--quern-memory=1G", "--quern-shuffle-compression=off", "--quern-verify-network=" + verify], check=True,
                   env={**os.environ, **cluster.mpi_environment()}, cwd=cluster.dir, stdout=subprocess.DEVNULL, timeout=600)
    calls = [cluster.path(name) for name in os.listdir(cluster.dir) if name.endswith(".calls")]
    counts = [count_calls(name) for name in calls]
    for name in calls:
        os.unlink(name)
    return [sum(column) / 1e6 for column in zip(*counts)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--mpirun", default="mpirun")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--ranks", type=int, default=1, help="of a node")
    parser.add_argument("--jobs", default="sort,noise,words")
    parser.add_argument("--million-rows", type=float, default=0.2, help="of 100 bytes; words: 12 times as many")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    if virtual_cluster.why_not(slurm=False):
        sys.exit("bench_verify: " + virtual_cluster.why_not(slurm=False))
    tempfile.tempdir = "/var/tmp"
    virtual_cluster.enter(slurm=False)
    with virtual_cluster.Cluster(options.nodes, slurm=False) as cluster:
        wrapper = cluster.path("count")
        with open(wrapper, "w") as file:
            file.write(WRAPPER % cluster.dir)
        os.chmod(wrapper, 0o755)
        all_hosts = ",".join("n%d:%d" % (number, options.ranks) for number in cluster.inits)
        print("| job | millions of instructions | in checksums | share | of those of one rank | without checksums |")
        print("| --- | --- | --- | --- | --- | --- |", flush=True)
        for job in options.jobs.split(","):
            path = make(options.build, cluster.dir, JOBS[job][1], options.million_rows)
            alone = run(options, cluster, wrapper, job, path, "n1:1", "off")
            with_sums, without = (run(options, cluster, wrapper, job, path, all_hosts, verify) for verify in ("on", "off"))
            print("| %s | %.0f | %.1f | %.2f %% | %.2f %% | %.0f |" % (job, with_sums[0], with_sums[1], 100 * with_sums[1] / with_sums[0],
                                                                 100 * with_sums[1] / alone[0], without[0]), flush=True)


if __name__ == "__main__":
    main()
