#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""bench_reading.py: reading beside bare programs, in turns, as ratios of medians: plain text, many small files, packed text on 1 rank and on 2.

By hand, on a machine without other load, with memory for the files, which are read from the page cache (bgzip, pzstd, pigz, zip and bsdcat
make and unpack what is packed; what is not installed is left out):
    tests/perf/bench_reading.py --programs BUILD/tests/perf --examples BUILD/examples [--mib 1024] [--files 200000] [--runs 5]
"""
import argparse
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import time

BLOCK_BYTES = 16 << 20
PACKERS = {  # by name: the tool, how it is called with the file's path, and what it makes
    "BGZF": ("bgzip", "bgzip -k -@ 2 {0}", "{0}.gz"),
    "zstd, frames": ("pzstd", "pzstd -q -p 2 {0}", "{0}.zst"),
    "zip": ("zip", "cd {1} && rm -f {0}.zip && zip -q -r {0}.zip pieces", "{0}.zip"),
    "gzip, one stream": ("pigz", "pigz -c -p 2 {0} > {1}/one.gz", "{1}/one.gz"),
}


def make_text(path, mib):
    chance = random.Random(1)
    words = [bytes(chance.choices(b"etaoinshrdlucmfwypvbgkjqxz", k=chance.randint(1, 11))) for _ in range(20000)]
    block = b""
    while len(block) < BLOCK_BYTES:
        block += b"".join(b" ".join(chance.choices(words, k=chance.randint(1, 18))) + b"\n" for _ in range(20000))
    os.makedirs(os.path.join(os.path.dirname(path), "pieces"))
    with open(path, "wb") as file:
        for number in range(max(1, (mib << 20) // len(block))):
            file.write(block)
            with open(os.path.join(os.path.dirname(path), "pieces", "%03d" % number), "wb") as piece:
                piece.write(block)


def make_files(path, count):
    for number in range(count):
        if number % 1000 == 0:
            directory = os.path.join(path, "%04d" % (number // 1000))
            os.makedirs(directory)
        with open(os.path.join(directory, "%03d" % (number % 1000)), "wb") as file:
            file.write(b"%01023d\n" % number)


def told_seconds(command):
    """What the program says of itself: (what it counted, seconds)"""
    words = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.split()
    return words[:2], float(words[-1])


def wall_seconds(command, **more):
    begin = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **more)
    return time.monotonic() - begin


def in_turns(runs, **ways):
    """Medians of each, one after the other in each round."""
    taken = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            taken[name].append(way())
    return {name: statistics.median(times) for name, times in taken.items()}


class Bench:
    def __init__(self, options, directory):
        self.options, self.directory, self.text = options, directory, os.path.join(directory, "text")

    def ranks(self, n, program, *arguments):
        return [self.options.mpirun, "-n", str(n), program, *arguments]

    def beside_bare(self, title, path):
        programs = self.options.programs
        bare = [os.path.join(programs, "bare_read"), "2", path]
        quern = self.ranks(2, os.path.join(programs, "quern_read"), path)
        counted = told_seconds(bare)[0], told_seconds(quern)[0]
        assert counted[0] == counted[1], counted
        found = in_turns(self.options.runs, bare=lambda: told_seconds(bare)[1], quern=lambda: told_seconds(quern)[1])
        print("%-20s 2 workers: bare %.3f s, quern %.3f s: %.2f of bare's speed" % (
            title, found["bare"], found["quern"], found["bare"] / found["quern"]), flush=True)

    def count(self, n, path):
        out = os.path.join(self.directory, "out")
        shutil.rmtree(out, ignore_errors=True)
        return wall_seconds(self.ranks(n, os.path.join(self.options.examples, "wordcount"), "-o", out, path))

    def packed(self, title):
        tool, pack, made = PACKERS[title]
        if not shutil.which(tool):
            print("%-20s no %s here" % (title, tool), flush=True)
            return
        made = made.format(self.text, self.directory)
        subprocess.run(pack.format(self.text, self.directory), shell=True, check=True)
        unpack = None if title != "gzip, one stream" or not shutil.which("bsdcat") else ["bsdcat", made]
        ways = {"one": lambda: self.count(1, made), "two": lambda: self.count(2, made)}
        if unpack:
            ways["alone"] = lambda: wall_seconds(unpack)
        found = in_turns(self.options.runs, **ways)
        beside = ", unpacked alone by bsdcat %.2f s" % found["alone"] if unpack else ""
        print("%-20s word count: 1 rank %.2f s, 2 ranks %.2f s: gain %.2f%s" % (
            title, found["one"], found["two"], found["one"] / found["two"], beside), flush=True)
        os.unlink(made)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", required=True)
    parser.add_argument("--examples", required=True)
    parser.add_argument("--mpirun", default="mpirun")
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--files", type=int, default=200000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="rows whose title has this in it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        bench, files = Bench(options, directory), os.path.join(directory, "files")
        if options.only != "files":
            make_text(bench.text, options.mib)
        if options.only in "plain text":
            bench.beside_bare("plain text", bench.text)
        for title in PACKERS:
            if options.only in title:
                bench.packed(title)
        if options.files and options.only in "small files":
            make_files(files, options.files)
            bench.beside_bare("%d small files" % options.files, files)


if __name__ == "__main__":
    main()
