# SPDX-License-Identifier: BSD-3-Clause
"""example_kit.py: what the tests of the examples share.

An example is run on 2 and 7 ranks, with the option check, and with hardly any memory (with --slow also on 1, 3 and 4 ranks
and on two numbers of them with hardly any memory): the output must be the same bytes each time. What it has to be comes from
somewhere else: coreutils, or Python.
"""
import os
import shutil
import subprocess

from harness import Failure, brief

RANKS = (1, 2, 3, 4, 7)
MEMORY_BYTES_MIN = 18 << 20  # that a rank wants, of the example that keeps the most


def tiny_memory(n):
    return "--quern-memory=%d" % (n * MEMORY_BYTES_MIN)


def output(t, n, *args, keep=False, **start):
    """Runs with -o and returns the bytes of the committed directory."""
    out = t.new_output()
    run = t.succeed(n, "-o", out, *args, **start)
    data = t.committed(out, run)
    if not keep:
        shutil.rmtree(out)
    return data


def output_of_all(t, *args, ranks=RANKS, tiny=(2, 3), **start):
    """The bytes that come on any number of ranks, in splits of several sizes, and with hardly any memory."""
    whole = output(t, None, *args, **start)
    runs = [(n, ["--quern-split-bytes=%d" % split]) for n, split in zip(ranks, (1 << 20, 1000, 777, 4096, 20000))]
    runs = runs if t.options.slow else runs[1::3]
    runs += [(n, [tiny_memory(n)]) for n in (tiny if t.options.slow else tiny[1:])]
    runs += [(2, ["--quern-check=on"])]  # its callbacks keep what callbacks promise
    for n, more in runs:
        data = output(t, n, *more, *args, **start)
        if data != whole:
            raise Failure("%s ranks with %s give other bytes: %s, not %s" % (n, more, *differ(data, whole)))
    return whole


def differ(left, right):
    """The first lines that differ."""
    pairs = zip(left.split(b"\n") + [b"(end)"], right.split(b"\n") + [b"(end)"])
    return next(((brief(a), brief(b)) for a, b in pairs if a != b), ("the same lines", "the same lines"))


def check_lines(t, got, expected):
    """The same lines, in any order; all end."""
    t.check(not got or got.endswith(b"\n"), "the last line has no end")
    got, expected = sorted(got.split(b"\n")[:-1]), sorted(expected)
    if got != expected:
        missing, extra = set(expected) - set(got), set(got) - set(expected)
        t.check(False, "%d lines expected, %d found; missing: %s; not expected: %s" % (
            len(expected), len(got), [brief(x) for x in list(missing)[:3]], [brief(x) for x in list(extra)[:3]]))


def tool(*command, env=None):
    """What a program of the system prints."""
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env={**os.environ, "LC_ALL": "C", **(env or {})})
    return done.stdout


def refuses_misuse(t, usage, *ways):
    """Each of the ways ends with status 2 and a line of usage, and makes nothing."""
    before = sorted(os.listdir(t.dir))
    for args in ways:
        run = t.run(None, *args)
        t.check(run.status == 2, "status 2 expected for %s" % list(args), run)
        t.check(usage in run.stderr and not run.stdout, "usage expected for %s" % list(args), run)
    run = t.run(2, *ways[0])
    t.check(run.status == 2 and run.stderr.count(usage) == 1, "status 2 and one usage expected of two ranks", run)
    t.check(sorted(os.listdir(t.dir)) == before, "something was made: %s" % os.listdir(t.dir))
