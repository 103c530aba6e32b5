#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_example_iterations.py: examples that go over their data again and again, against plain loops; prints TAP."""
import math
import random
import struct

import harness
from example_kit import RANKS, refuses_misuse, tiny_memory
from harness import test

# ---------------------------------------------------------------- kmeans

HASH_KEY, MASK = 0x9e3779b97f4a7c15, (1 << 64) - 1


def hash_of(data):
    value = len(data) * HASH_KEY & MASK
    for byte in data:
        value = (value ^ byte) * HASH_KEY & MASK ^ value >> 29
    value = (value ^ value >> 32) * HASH_KEY & MASK
    return value ^ value >> 29


def packed(point):
    return struct.pack("=%dd" % len(point), *point)


def points_of(text):
    lines = [[float(number) + 0.0 for number in line.split()] for line in text.split(b"\n")]
    return [tuple(point) for point in lines if point]


def centers_of(points, k, iterations):
    """The centres by plain loops and exact sums."""
    different = sorted(set(points), key=lambda point: (hash_of(packed(point)), packed(point)), reverse=True)
    centers = [list(point) for point in different[:k]]
    for _ in range(iterations):
        groups = [[] for _ in centers]
        for point in points:
            distances = [sum((x - c) * (x - c) for x, c in zip(point, center)) for center in centers]
            groups[distances.index(min(distances))].append(point)
        means = [[math.fsum(axis) / len(group) + 0.0 for axis in zip(*group)] if group else center
                 for group, center in zip(groups, centers)]
        if means == centers:
            break
        centers = means
    return b"".join(b" ".join(b"%.17g" % x for x in center) + b"\n" for center in centers)


def blobs(rng, count, dimensions, k):
    centers = [[rng.uniform(-50, 50) for _ in range(dimensions)] for _ in range(k)]
    return [[rng.gauss(c, 2) for c in rng.choice(centers)] for _ in range(count)]


def lines_of(points, end=b"\n", space=b" "):
    return b"".join(space.join(repr(number).encode() for number in point) + end for point in points)


@test
def kmeans_finds_the_centres_that_plain_loops_find(t):
    t.use("kmeans")
    rng = random.Random(1)
    points = blobs(rng, 900, 3, 5)
    text = lines_of(points) + lines_of(blobs(rng, 50, 3, 2), b"\r\n", b" \t") + b"\n \t\r\n"
    text += lines_of(points[:1]) * 900 + b"-0 0 -0.0\n0 -0 0x0p0\n  1e2 +1. .5  "  # no newline at the end
    path = t.write("points", text)
    for k, iterations in ((5, 20), (1, 3), (7, 0), (40, 4)):
        expected = centers_of(points_of(text.replace(b"0x0p0", b"0")), k, iterations)
        for i, n in enumerate(RANKS if k == 5 else (2,)):
            more = [tiny_memory(n)] if i == 2 else ["--quern-split-bytes=%d" % (500 << 2 * i)]
            run = t.succeed(n, "--k", str(k), "--iterations=%d" % iterations, *more, path)
            t.check(run.stdout == expected, "other centres on %d ranks: %r, not %r" % (n, run.stdout, expected), run)


@test
def kmeans_reads_points_of_many_dimensions_and_directories(t):
    t.use("kmeans")
    texts = [lines_of(blobs(random.Random(i), 12, 2500, 2)) for i in range(3)]
    for i, text in enumerate(texts):
        t.write("many/%d" % i, text)
    t.write("many/none", b"")
    run = t.succeed(3, "--k=3", t.path("many"))
    t.check(run.stdout == centers_of(points_of(b"".join(texts)), 3, 20), "other centres", run)


@test
def kmeans_names_file_and_byte_of_a_line_that_it_cannot_read(t):
    t.use("kmeans")
    good = b"1 2\n" * 500
    for i, bad in enumerate((b"1 nan", b"inf 2", b"1 x", b"1 2x", b"1,2", b"1 2 3", b"1", b"1e999 0", b"1 2\0", b"- 1")):
        path = t.write("bad%d" % i, good + bad + b"\n" + good)
        run = t.fail(2 if i == 3 else None, "--k", "1", path, naming=("byte %d " % len(good), path))
        t.check(not run.stdout, "centres of a failed job", run)


@test
def kmeans_says_that_points_are_too_few_or_differ_in_length(t):
    t.use("kmeans")
    three = t.write("three", b"1 2\n3 4\n1 2\n5 6\n-0 0\n0 0")
    t.fail(2, "--k", "5", three, naming="less different points")
    t.succeed(2, "--k", "4", three)
    t.fail(1, "--k", "1", t.write("nothing", b""), naming="less different points")
    t.write("mixed/a", b"1 2\n" * 40)
    t.write("mixed/b", b"1 2 3\n" * 40)
    t.fail(3, "--k", "2", t.path("mixed"), "--quern-split-bytes=10", naming="number")


@test
def kmeans_refuses_misuse(t):
    t.use("kmeans")
    path = t.write("x", b"1 2\n")
    refuses_misuse(t, b"usage: kmeans", (), (path,), ("--k", "1"), ("--k=0", path), ("--k=-1", path), ("--k=", path),
                   ("--k=1", path, path), ("--k=1", "--iterations=x", path), ("--k=1", "-o", "out", path))


if __name__ == "__main__":
    harness.main()
