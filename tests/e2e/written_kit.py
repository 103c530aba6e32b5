# SPDX-License-Identifier: BSD-3-Clause
"""written_kit.py: written_job with its input, outputs and checkpoint, for the tests that kill it."""
import gzip
import os
import random
import re
import shutil

from harness import Told, read_file

OFTEN = "--quern-checkpoint-every=1ms"


def lines_of(seed, count):
    """The line that ends the job is among the last."""
    chance = random.Random(seed)
    lines = [b"%d" % int(chance.paretovariate(0.4)) for _ in range(count)] + [b"", b"x1", b"x" * 5000, b"y" * 5000]
    chance.shuffle(lines)
    lines.insert(len(lines) * 9 // 10, b"die")
    return b"\n".join(lines) + b"\n"


class Job:
    """written_job with its input, outputs and checkpoint. packed: into how many compressed files the lines are cut, none of which can be; 0: they
    are in one file as they are."""

    def __init__(self, t, count=120000, what="text", second="-", split="16K", packed=0):
        self.t, self.what, self.second, self.split = t, what, second, split
        text = lines_of(1, count)
        if packed:
            lines = text.splitlines(keepends=True)
            for i in range(packed):
                piece = lines[i * len(lines) // packed:(i + 1) * len(lines) // packed]
                t.write("packed/%d" % i, gzip.compress(b"".join(piece)))
        self.input = t.path("packed") if packed else t.write("input.txt", text)
        self.saved, self.out = t.path("saved"), t.path("out")

    def args(self, where, *options, checkpoint=True):
        saves = ("--quern-checkpoint", self.saved) if checkpoint else ()
        return (self.what, Told(where), self.out, self.second, self.input, "--quern-progress=on", "--quern-split-bytes", self.split, *saves,
                *options)

    def files(self, run):
        """All that is in the output, by name; it is taken away."""
        found = {name: read_file(os.path.join(self.out, name)) for name in os.listdir(self.out)}
        self.t.check("_SUCCESS" in found, "not whole: %s" % sorted(found)[:9], run)
        self.t.check(not [name for name in found if name.startswith(".")], "left: %s" % sorted(found)[:9], run)
        shutil.rmtree(self.out)
        if self.second != "-" and os.path.exists(self.second):
            shutil.rmtree(self.second)
        return found

    def expected(self):
        run = self.t.succeed(2, *self.args("none", checkpoint=False))
        return self.files(run), run.stdout

    def as_ever(self, expected, run):
        self.t.check(run.stdout == expected[0 + 1], "counted %r, not %r" % (run.stdout, expected[1]), run)
        found = self.files(run)
        self.t.check(sorted(found) == sorted(expected[0]), "files: %s" % sorted(found)[:9], run)
        wrong = [name for name in found if found[name] != expected[0][name]]
        self.t.check(not wrong, "other bytes in %s" % wrong[:5], run)
        self.t.check(os.listdir(self.saved) == [], "left: %s" % os.listdir(self.saved), run)

    def die(self, n, where, *options):
        run = self.t.run(n, *self.args(where, OFTEN, *options))
        self.t.check(run.status not in (0, 1, 2), "it was not killed", run)
        return run

    def go_on(self, n, *options, **start):
        return self.t.succeed(n, *self.args("none", "--quern-resume=on", *options), **start)


def taken_up(run):
    """How many parts, of how many; None: it did not go on."""
    found = re.search(rb"goes on with (\d+) of (\d+) parts", run.stderr)
    return tuple(map(int, found.groups())) if found else None


def read_bytes(run):
    """By the first run of the job, as it says."""
    number, unit = re.search(rb"done: ([\d.]+) (\w*)B in", run.stderr).groups()
    return float(number) * {b"": 1, b"k": 1e3, b"M": 1e6}[unit]


def parts_of(job):
    return sorted(name for name in os.listdir(job.out) if name.startswith(".part-"))
