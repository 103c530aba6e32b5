#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_next_job.py: what a job wrote, in every form, is what quern verify says, what others read, and the input of the next job by its directory; prints TAP.

The program is written_job.c, and wordcount is the next job.
"""
import collections
import csv
import glob
import os
import random
import subprocess

from harness import count_words, main, read_file, test

FORMS = ("text", "csv", "gzip", "zstd", "one", "tar", "zip")


def lines_of(count):
    rng = random.Random(7)
    return [b" ".join(rng.choice((b"a", b"bb", b"c%d" % rng.randrange(99))) for _ in range(rng.randrange(1, 6))) for _ in range(count)]


def written(lines):
    """Each as often as the job writes it."""
    return [line for line in lines for _ in range(1 + len(line) % 3)]


def verify(t, out):
    return subprocess.run([os.path.realpath(t.options.quern), "verify", out], capture_output=True)


def largest(out):
    return max(glob.glob(os.path.join(out, "part-*")), key=os.path.getsize)


@test
def every_form_is_verified_and_read_by_the_next_job(t):
    lines = lines_of(3000)
    path, made = t.write("lines", b"\n".join(lines) + b"\n"), {}
    for form in FORMS:
        made[form] = t.new_output()
        t.succeed(3, form, "none", made[form], "-", path, "--quern-split-bytes=4000")
        done = verify(t, made[form])
        t.check(done.returncode == 0 and not done.stderr, "%s: a whole output is whole: %r" % (form, done.stderr))
    t.program = os.path.join(os.path.dirname(t.program), "..", "..", "examples", "wordcount")
    expected = count_words(b"\n".join(written(lines)))
    for form, out in made.items():
        t.count(2, [out], "--quern-split-bytes=3000", expected=expected)
    for form in ("one", "tar", "zip"):  # a byte of a record, and the last ones
        part = largest(made[form])
        whole = read_file(part)
        middle = len(whole) // 3
        for content in (whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1:], whole[:-3]):
            t.write(part, content)
            done = verify(t, made[form])
            t.check(done.returncode == 1 and done.stderr, "%s: damage was not found" % form)


@test
def csv_is_what_the_csv_module_of_python_reads(t):
    lines = [b'say "%d"' % n if n % 3 else b"one, two\r %d" % n for n in range(900)] + [b"", b'"', b",", b" spaced "]
    out = t.new_output()
    t.succeed(2, "csv", "none", out, "-", t.write("lines", b"\n".join(line for line in lines) + b"\n"), "--quern-split-bytes=2000")
    t.check(verify(t, out).returncode == 0, "it is not whole")
    rows = []
    for part in sorted(glob.glob(os.path.join(out, "part-*"))):
        with open(part, newline="", encoding="latin-1") as file:
            rows += list(csv.reader(file))
    found = collections.Counter(tuple(row) for row in rows)
    wanted = collections.Counter((line.decode(),) for line in written(lines))
    t.check(found == wanted, "other rows: %s, missing %s" % (list((found - wanted).items())[:3], list((wanted - found).items())[:3]))


if __name__ == "__main__":
    main()
