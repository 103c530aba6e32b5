#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_hdf5_write.py: what is written as HDF5 is what numpy and h5py say it must be; prints TAP."""
import os
import signal
import subprocess

from harness import Skip, load_json, main, read_file, test, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHONS = ("python3", "/usr/bin/python3")
SPLITS = (50000, 1 << 20, 7000)


def python():
    for name in PYTHONS:
        if subprocess.run([name, "-c", "import h5py, numpy"], capture_output=True).returncode == 0:
            return name
    raise Skip("no Python here has h5py and numpy")


def answers(*args):
    return subprocess.run([python(), os.path.join(HERE, "hdf5_written.py"), *args], capture_output=True)


def make(t):
    os.mkdir(t.path("in"))
    done = answers("make", t.path("in"))
    t.check(done.returncode == 0, "the records cannot be made: %s" % done.stderr[-800:])
    build = os.path.dirname(os.path.dirname(t.options.wordcount))
    t.program = os.path.join(build, "tests", "e2e", "hdf5_write")
    return load_json(t.path("in", "cases.json"))


def write(t, n, case, name, *more):
    out = t.new_output()
    run = t.succeed(n, *more, "-o", out, *case["args"], case["file"])
    done = answers("check", t.path("in"), name, out)
    t.check(done.returncode == 0, "%s %s on %s ranks: %s" % (name, more, n, done.stderr[-800:].decode()), run)
    verified = subprocess.run([t.options.quern, "verify", out], capture_output=True)
    t.check(verified.returncode == 0, "quern verify: %s" % verified.stderr, run)
    left = set(os.listdir(out)) - {"_SUCCESS", "_MANIFEST.json"}
    expected = {"part-%05d.h5" % i for i in range((n or 1) if "-p" in more else 1)}
    t.check(left == expected, "%s is there, not %s" % (left, expected), run)
    return out


@test
def every_kind_of_element_is_what_h5py_reads(t):
    for i, (name, case) in enumerate(make(t).items()):
        n, split = (None, 2, 3, 7)[i % 4], SPLITS[i % 3]
        write(t, n, case, name, "--quern-split-bytes=%d" % split)
        write(t, n, case, name, "--quern-split-bytes=%d" % split, "-p")
