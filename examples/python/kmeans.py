#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Clusters points: mpirun -n N python3 kmeans.py --k K [--iterations 20] PATH

A point is a line of numbers between white space. What is done, and what is printed, is that of ../kmeans.c.
"""

import getopt
import math
import struct
import sys

import numpy

import quern

USAGE = "usage: kmeans --k K [--iterations N] PATH"
BUCKETS = 64  # among which ranks divide the choice of the first centres
HASH_KEY, MASK = 0x9e3779b97f4a7c15, (1 << 64) - 1
K_MAX = 100000


def number_of(word):
    if b"_" in word:
        raise ValueError("no number: %r" % word)
    return float.fromhex(word.decode()) if b"x" in word.lower() else float(word)


def parse_line(line, _):
    """The bytes of the line's numbers; nothing of an empty line."""
    try:
        numbers = [number_of(word) + 0.0 for word in line.split()]  # there is one zero only
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        raise ValueError("the line has something that is no finite number")
    return [struct.pack("=%dd" % len(numbers), *numbers)] if numbers else []


def hash_of(data):
    value = len(data) * HASH_KEY & MASK
    for byte in data:
        value = (value ^ byte) * HASH_KEY & MASK ^ value >> 29
    value = (value ^ value >> 32) * HASH_KEY & MASK
    return value ^ value >> 29


def rank_point(point, _):
    """A point under its bucket, behind its hash: compared as bytes, so with the high one first."""
    hashed = hash_of(point)
    return hashed % BUCKETS, struct.pack(">Q", hashed) + point


def choose_centers(context, points, k):
    """The k different points whose bytes have the largest hash: a choice as if by lot that is always the same."""
    buckets = points.distinct().map((quern.U64, quern.BYTES), rank_point).top_k_by_key(k)
    chosen = buckets.key_by(quern.U64, lambda key, value: 0).top_k_by_key(k).collect()
    context.run()
    if len(chosen) < k:
        raise ValueError("there are less different points than centres")
    if len(set(map(len, chosen.values))) != 1:
        raise ValueError("not all lines have the same number of numbers")
    return numpy.array([numpy.frombuffer(value[8:]) for value in chosen.values])


def nearest_centers(centers, points):
    """Of each point the nearest centre, the first of equals. Coordinates are added in their order, as a loop would."""
    distances = numpy.zeros((len(points), len(centers)))
    for axis in range(centers.shape[1]):
        difference = points[:, axis, None] - centers[None, :, axis]
        distances += difference * difference
    return distances.argmin(axis=1)


def improve_centers(context, points, centers, iterations):
    """Each point goes to the nearest centre, and each centre to the mean of its points, until nothing moves."""
    k, dimensions = centers.shape
    width = dimensions + 1

    def assign(keys, _):
        """Each coordinate under its place in the sums, and 1 under that of the number of points."""
        if any(len(key) != 8 * dimensions for key in keys):
            raise ValueError("the line has more or less numbers than others")
        block = numpy.frombuffer(b"".join(keys)).reshape(-1, dimensions)
        places = nearest_centers(centers, block)[:, None] * width + numpy.arange(width)
        return places.ravel().astype(numpy.uint64), numpy.column_stack([block, numpy.ones(len(block))]).ravel()

    sums = points.flat_map_block((quern.U64, quern.F64), assign).reduce_by_key(quern.SUM)
    for _ in range(iterations):
        found = sums.collect()
        context.run()
        totals = numpy.zeros(k * width)
        totals[found.keys] = found.values
        totals = totals.reshape(k, width)
        counts = totals[:, dimensions:]
        moved = numpy.where(counts > 0, totals[:, :dimensions] / numpy.maximum(counts, 1) + 0.0, centers)
        if (moved == centers).all():
            break
        centers[:] = moved
    return centers


def read_arguments(arguments):
    """(k, iterations, path); None: they are not understood."""
    values = {"--k": "", "--iterations": "20"}
    try:
        options, paths = getopt.gnu_getopt(arguments, "", ["k=", "iterations="])
    except getopt.GetoptError:
        return None
    values.update(options)
    if len(paths) != 1 or not all(text.isascii() and text.isdigit() for text in values.values()):
        return None
    k, iterations = int(values["--k"]), int(values["--iterations"])
    return (k, iterations, paths[0]) if 1 <= k <= K_MAX else None


def cluster(context, k, iterations, path):
    points = context.read_text(path).flat_map(quern.BYTES, parse_line).name("point of a line").cache()
    centers = improve_centers(context, points, choose_centers(context, points, k), iterations)
    if context.rank == 0:
        for center in centers.tolist():
            print(*("%.17g" % number for number in center))
        sys.stdout.flush()


def explain(error, rank):
    if rank == 0:
        print("kmeans: %s" % error, file=sys.stderr, flush=True)
    return 2 if getattr(error, "status", 0) == quern.Status.INVALID_OPTION else 1


def run(context):
    """Says why before the context ends: a rank that leaves MPI with an exit code may take the others along."""
    asked = read_arguments(sys.argv[1:])
    if not asked:
        if context.rank == 0:
            print(USAGE, file=sys.stderr, flush=True)
        return 2
    try:
        cluster(context, *asked)
        return 0
    except (quern.Error, ValueError) as error:  # the same on all ranks
        return explain(error, context.rank)


def main():
    try:
        with quern.Context(argv=sys.argv) as context:
            return run(context)
    except quern.Error as error:
        return explain(error, error.rank)


if __name__ == "__main__":
    sys.exit(main())
