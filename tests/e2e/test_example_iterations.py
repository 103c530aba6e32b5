#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_example_iterations.py: examples that go over their data again and again, against plain loops; prints TAP."""
import math
import os
import random
import signal
import struct
import time

import harness
from example_kit import RANKS, check_lines, output, output_of_all, refuses_misuse, tiny_memory
from harness import read_file, test, wait_until

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


# ---------------------------------------------------------------- graphs


def edges_of(text):
    """Two words of each line before its comment."""
    lines = [line.partition(b"#")[0].split() for line in text.split(b"\n")]
    return [tuple(line) for line in lines if line]


def nasty_edges(rng, vertices, count, word):
    """Half of the edges have one vertex; some are there twice, some go from a vertex to itself."""
    edges = [(0 if rng.random() < 0.5 else rng.randrange(vertices), rng.randrange(vertices)) for _ in range(count)]
    edges += edges[:50] + [(vertex, vertex) for vertex in range(0, vertices, 97)]
    edges += [(10 * vertices, 10 * vertices), (10 * vertices + 1, 10 * vertices + 2)]
    rng.shuffle(edges)
    spaces, ends = (b" ", b"\t", b" \t  "), (b"\n", b"\r\n", b" \n", b" # a comment\n", b"#\n\n", b"\n# 1 2 3\n")
    text = b"".join(rng.choice((b"", b" ")) + word(a) + rng.choice(spaces) + word(b) + rng.choice(ends)
                    for a, b in edges)
    return text.rstrip() + b"\n" + word(1) + b" " + word(2)  # no newline at the end


# ---------------------------------------------------------------- pagerank


def ranks_of(edges, iterations):
    targets = {vertex: [] for edge in edges for vertex in edge}
    for source, target in edges:
        targets[source].append(target)
    count = len(targets)
    ranks = dict.fromkeys(targets, 1 / count if count else 0)
    for _ in range(iterations):
        parts = {vertex: [] for vertex in targets}
        for source, given in targets.items():
            for target in given:
                parts[target].append(ranks[source] / len(given))
        dangling = math.fsum(ranks[vertex] for vertex in targets if not targets[vertex])
        ranks = {vertex: (1 - 0.85) / count + 0.85 * (math.fsum(parts[vertex]) + dangling / count)
                 for vertex in targets}
    return ranks


def check_ranks(t, data, expected):
    t.check(not data or data.endswith(b"\n"), "the last line has no end")
    got = {}
    for line in data.split(b"\n")[:-1]:
        vertex, _, rank = line.rpartition(b"\t")
        t.check(b"%.17g" % float(rank) == rank, "not 17 digits: %r" % rank)
        t.check(vertex not in got, "a vertex comes twice: %r" % vertex[:80])
        got[vertex] = float(rank)
    t.check(got.keys() == expected.keys(), "%d vertices, not %d" % (len(got), len(expected)))
    for vertex, rank in expected.items():
        t.check(math.isclose(rank, got[vertex], rel_tol=1e-13), "%r has %r, not %r" % (vertex, got[vertex], rank))
    t.check(not got or math.isclose(math.fsum(got.values()), 1, rel_tol=1e-12), "ranks do not sum to 1")


KEPT_MEMORY_BYTES_MIN = 34 << 20  # that a rank wants


@test
def pagerank_gives_the_ranks_that_plain_loops_give(t):
    t.use("pagerank")
    rng = random.Random(11)
    names = {vertex: rng.choice((b"v%d", b"\0\xff%d", b"a-rather-long-name-of-a-vertex-%d")) % vertex
             for vertex in range(6100)}
    text = nasty_edges(rng, 600, 3000, lambda vertex: names[vertex]) + b"\nhuge " + b"h" * 100000 + b"\nsink huge\n"
    path = t.write("edges", text)
    whole = output_of_all(t, path, "--iterations=4", tiny=())
    check_ranks(t, whole, ranks_of(edges_of(text), 4))
    for n in (2, 3):  # links are kept twice, as they came and in order: that wants more than the other examples
        data = output(t, n, path, "--iterations=4", "--quern-memory=%d" % (n * KEPT_MEMORY_BYTES_MIN))
        t.check(data == whole, "%d ranks with little memory give other bytes" % n)
    for iterations in (0, 1, 20):
        data = output(t, 2, path, *(["--iterations=%d" % iterations] if iterations != 20 else []))
        check_ranks(t, data, ranks_of(edges_of(text), iterations))


@test
def pagerank_is_the_same_on_several_nodes(t):
    t.use("pagerank")
    text = nasty_edges(random.Random(14), 3000, 20000, lambda vertex: b"%d" % vertex)
    text += b"\n" + b"\n".join(b"%d 5" % vertex for vertex in range(6000))  # the links to it are on several ranks
    path = t.write("edges", text)
    whole = output(t, None, path, "--iterations=3")
    check_ranks(t, whole, ranks_of(edges_of(text), 3))
    for sizes, launcher, more in (((2, 2), ("--map-by", "node"), ()), ((3, 1), (), ()), ((2, 1), (), ("--quern-shared-memory=off",))):
        data = output(t, sum(sizes), path, "--iterations=3", *more, **harness.nodes(t, sizes, None, *launcher))
        t.check(data == whole, "other bytes on nodes of %s ranks" % (sizes,))
    data = output(t, 3, path, "--iterations=3", "--quern-shared-memory=off")
    t.check(data == whole, "other bytes with a copy for each rank")


@test
def pagerank_that_is_told_to_end_does_so_after_a_step(t):
    t.use("pagerank")
    path, out, saved, log = t.write("edges", b"a b\nb c\nc a\nd a\n"), t.new_output(), t.path("saved"), t.path("log")
    running = t.start(3, "-o", out, "--iterations=1000000000", "--quern-checkpoint=" + saved, "--quern-log=" + log, path)
    t.check(wait_until(lambda: os.path.exists(log) and b"'store' to a result" in read_file(log), 20), "it does not run")
    time.sleep(1)
    os.kill(running.process.pid, signal.SIGUSR1)  # which tells all ranks
    run = running.wait()
    t.check(run.status == 75 and b"iterate links: the job was told to end" in run.stderr, "status 75 expected", run)
    t.no_output(out, run)


@test
def pagerank_of_20_times_the_memory(t):
    if not t.options.slow:
        raise harness.Skip("only with E2E_SLOW=1")
    t.use("pagerank")
    rng = random.Random(15)
    some = b"".join(b"%d-of-a-long-name-that-takes-some-space %d-of-a-long-name-that-takes-some-space\n" % (
        rng.randrange(200000), rng.randrange(200000) if rng.random() < 0.5 else 7) for _ in range(1000000))
    path = t.write("edges", some * 16)
    whole = output(t, 2, path, "--iterations=3", timeout=900)
    data = output(t, 2, path, "--iterations=3", "--quern-memory=%d" % (2 * KEPT_MEMORY_BYTES_MIN), timeout=900)
    t.check(data == whole, "other bytes with little memory")


@test
def pagerank_of_small_graphs_is_what_it_has_to_be(t):
    t.use("pagerank")
    for n, text in ((1, b""), (2, b"# nothing\n\n"), (2, b"a a"), (3, b"a b\n"), (2, b"a b\nb c\nc a\n"), (1, b"a b\na b\na c")):
        check_ranks(t, output(t, n, t.write("edges", text)), ranks_of(edges_of(text), 20))


@test
def pagerank_names_file_and_byte_of_a_line_that_is_no_link(t):
    t.use("pagerank")
    good = b"a b\n" * 500
    for n, bad in ((None, b"a"), (2, b"a b c"), (None, b"a # b")):
        path, out = t.write("bad", good + bad + b"\n" + good), t.new_output()
        t.no_output(out, t.fail(n, "-o", out, path, naming=("byte %d " % len(good), path)))


@test
def pagerank_refuses_misuse(t):
    t.use("pagerank")
    path = t.write("x", b"1 2\n")
    refuses_misuse(t, b"usage: pagerank", (), (path,), ("-o", "out"), ("-o", "out", "--iterations=-1", path),
                   ("-o", "out", "--iterations=", path), ("-o", "out", "--nothing", path))


# ---------------------------------------------------------------- components


def components_of(edges):
    parent = {}

    def root_of(vertex):
        while parent[vertex] != vertex:
            parent[vertex] = parent[parent[vertex]]
            vertex = parent[vertex]
        return vertex

    for edge in edges:
        for vertex in edge:
            parent.setdefault(vertex, vertex)
        low, high = sorted(map(root_of, edge))
        parent[high] = low
    return [b"%d\t%d" % (vertex, root_of(vertex)) for vertex in parent]


def integer_edges_of(text):
    return [tuple(map(int, edge)) for edge in edges_of(text)]


@test
def components_finds_what_union_and_find_finds(t):
    t.use("components")
    rng = random.Random(12)

    def number(vertex):
        """Some are negative, some have zeros before them; and they are not in the order of their digits."""
        return rng.choice((b"%d", b"%03d", b"%+d")) % ((vertex - 2000) * 7919)

    text = nasty_edges(rng, 1500, 2600, number) + b"\n" + b"\n".join(
        b"%d %d" % (100000 + rng.randrange(3000), 100000 + rng.randrange(3000)) for _ in range(1400))
    text += b"\n9223372036854775807 -9223372036854775808\n-9223372036854775808 5"
    check_lines(t, output_of_all(t, t.write("edges", text)), components_of(integer_edges_of(text)))


@test
def components_needs_few_steps_for_long_chains(t):
    t.use("components")
    rng = random.Random(13)
    order = list(range(30000))
    for shuffled in (False, True):
        if shuffled:
            rng.shuffle(order)
        edges = list(zip(order, order[1:]))
        rng.shuffle(edges)
        out = t.new_output()
        run = t.succeed(2, "-o", out, t.write("chain", b"".join(b"%d %d\n" % edge for edge in edges)))
        check_lines(t, t.committed(out, run), [b"%d\t0" % vertex for vertex in range(30000)])
        t.check(run.seconds < 20 * t.options.patience, "as long as a step for each vertex", run)


@test
def components_of_small_graphs_are_what_they_have_to_be(t):
    t.use("components")
    star = b"".join(b"%d 7\n" % vertex for vertex in range(8, 300))
    for n, text in ((1, b""), (2, b"#\n"), (2, b"5 5"), (3, b"2 1\n2 1\n1 2"), (2, star), (2, b"3 1\n4 1\n3 4\n10 9")):
        check_lines(t, output(t, n, t.write("edges", text)), components_of(integer_edges_of(text)))


@test
def components_names_file_and_byte_of_a_line_that_is_no_edge(t):
    t.use("components")
    good = b"1 2\n" * 500
    for n, bad in ((None, b"1"), (2, b"1 2 3"), (None, b"1 x"), (None, b"1 9223372036854775808"), (None, b"1 -"),
                   (None, b"1 2\0"), (None, b"1.5 2")):
        path, out = t.write("bad", good + bad + b"\n" + good), t.new_output()
        t.no_output(out, t.fail(n, "-o", out, path, naming=("byte %d " % len(good), path)))


@test
def components_refuses_misuse(t):
    t.use("components")
    path = t.write("x", b"1 2\n")
    refuses_misuse(t, b"usage: components", (), (path,), ("-o", "out"), ("-o", "out", "--iterations=3", path))


if __name__ == "__main__":
    harness.main()
