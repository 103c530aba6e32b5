#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_links.py: shuffles between virtual nodes whose links have a rate and a delay (virtual_cluster.py, link_switch.c)."""
import atexit
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import Skip, main, read_file, test  # noqa: E402
import virtual_cluster  # noqa: E402

MBIT_PER_S, DELAY_US = 10, 1000
NODES, RANKS = 4, 2  # of each
RECORD, COUNT = 100, 25000
SECONDS_MAX = 120
FIGURES = ("sent_bytes", "sent_plain_bytes", "received_bytes")


class Nodes:
    """The cluster of all tests."""

    cluster = None

    def __init__(self, t):
        why_not = virtual_cluster.why_not(slurm=False, link=True)
        if why_not:
            raise Skip(why_not)
        self.t, build = t, os.path.join(os.path.dirname(os.path.realpath(t.options.wordcount)), "..")
        self.program = os.path.join(build, "examples", "sortrecords")
        if not Nodes.cluster:
            link = virtual_cluster.Link(os.path.join(build, "tests", "cluster", "link_switch"), MBIT_PER_S, DELAY_US)
            Nodes.cluster = virtual_cluster.Cluster(NODES, slurm=False, link=link).__enter__()
            atexit.register(Nodes.cluster.close)

    def write(self, name, records):
        path = self.cluster.path(name)
        with open(path, "wb") as file:
            file.write(b"".join(records))
        return path

    def sort(self, path, *options):
        """The output's bytes, sums of figures over ranks, and the seconds that the job took."""
        out, report = self.cluster.path("out"), self.cluster.path("report.json")
        hosts = ",".join("n%d:%d" % (number, RANKS) for number in self.cluster.inits)
        done = subprocess.run([self.t.options.mpirun, "--host", hosts, self.program, "-o", out, path, "--quern-report=" + report, "--quern-pin=off",
                               "--quern-split-bytes=256K", "--quern-round-bytes=256K", "--quern-memory=512M", *options],
                              env={**os.environ, **self.cluster.mpi_environment()}, cwd=self.cluster.dir, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=SECONDS_MAX)
        self.t.check(done.returncode == 0, "status %d: %s" % (done.returncode, done.stderr.decode(errors="replace")))
        run = json.loads(read_file(report))
        data = self.t.committed(out)
        shutil.rmtree(out)
        return data, {name: sum(rank[name] for rank in run["ranks"]) for name in FIGURES}, run["elapsed_seconds"]


def noise():
    return [random.Random(number).randbytes(RECORD) for number in range(COUNT)]


def records():
    return [random.Random(number).randbytes(10) + b"%010d" % number + b"filler" * 13 + b"\r\n" for number in range(COUNT)]


@test
def every_way_over_slow_links_gives_the_same_bytes_no_sooner_than_the_links_allow(t):
    nodes = Nodes(t)
    lines = noise()
    path, expected = nodes.write("noise", lines), b"".join(sorted(lines, key=lambda record: record[:10]))
    for levels in ("1", "2"):
        data, sums, seconds = nodes.sort(path, "--quern-shuffle-levels=" + levels)
        t.check(data == expected, "another answer on %s levels" % levels)
        # Of what ranks send others, those of another node get six sevenths: evenly, from and to four nodes.
        least = sums["sent_bytes"] * 6 / 7 / NODES * 8e-6 / MBIT_PER_S
        t.check(seconds > 0.7 * least, "%.2f s, %.2f s at least" % (seconds, least))
        t.check(sums["sent_bytes"] > 0.97 * sums["sent_plain_bytes"], "noise is compressed: %s" % sums)


@test
def slow_links_are_noticed_and_what_goes_over_them_is_compressed(t):
    nodes = Nodes(t)
    lines = records()
    path, expected = nodes.write("records", lines), b"".join(sorted(lines, key=lambda record: record[:10]))
    for levels in ("1", "2"):
        data, sums, _ = nodes.sort(path, "--quern-shuffle-levels=" + levels)
        t.check(data == expected, "another answer on %s levels" % levels)
        t.check(sums["sent_bytes"] < 0.9 * sums["sent_plain_bytes"], "not compressed: %s" % sums)
    sums = nodes.sort(path, "--quern-shuffle-compression=off")[1]
    t.check(sums["sent_bytes"] == sums["sent_plain_bytes"] == sums["received_bytes"], "compressed: %s" % sums)


if __name__ == "__main__":
    tempfile.tempdir = "/var/tmp"
    virtual_cluster.enter(slurm=False, link=True)
    main()
