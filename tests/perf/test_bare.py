#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The bare programs give the answers that plain Python finds: usage: test_bare.py DIRECTORY_OF_THE_PROGRAMS"""
import collections
import os
import re
import struct
import subprocess
import sys
import tempfile

WORD = (1 << 64) - 1
RECORD, KEY = 100, 10
DAMPING = 0.85


class Kit:
    """The programs, and a directory for their files."""

    def __init__(self, programs, scratch):
        self.programs, self.scratch = programs, scratch

    def path(self, name):
        return os.path.join(self.scratch, name)

    def run(self, program, *args, ok=(0,)):
        """(figures by name, standard output)"""
        done = subprocess.run([os.path.join(self.programs, program), *map(str, args)], capture_output=True, text=True,
                              check=False, timeout=60)
        if done.returncode not in ok:
            raise AssertionError(f"{program} {args}: status {done.returncode}: {done.stderr}")
        return dict(re.findall(r"(\w+)=([0-9a-f.]+)", done.stderr)), done.stdout

    def make(self, name, kind, **options):
        args = [word for option, value in options.items() for word in ("--" + option, value)]
        self.run("generate", kind, "-o", self.path(name), *args)
        return self.path(name)

    def parts(self, prefix):
        """What the threads wrote, one after the other."""
        names = sorted(name for name in os.listdir(self.scratch) if name.startswith(prefix + "-"))
        data = b"".join(read(self.path(name)) for name in names)
        for name in names:
            os.unlink(self.path(name))
        return data


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return path


def rows_of(data):
    return list(struct.iter_unpack("<qq", data))


def signed(number):
    number &= WORD
    return number - (1 << 64) if number >> 63 else number


def mix(number):
    number &= WORD
    number = (number ^ number >> 32) * 0x9e3779b97f4a7c15 & WORD
    number = (number ^ number >> 29) * 0xd6e8feb86659fd93 & WORD
    return number ^ number >> 32


def fnv(key):
    h = 0xcbf29ce484222325
    for byte in key:
        h = (h ^ byte) * 0x100000001b3 & WORD
    return h


def same(found, wanted, what):
    if found != wanted:
        raise AssertionError(f"{what}: {str(found)[:200]} instead of {str(wanted)[:200]}")


def check_sort(kit, data, *options):
    records = [data[at:at + RECORD] for at in range(0, len(data), RECORD)]
    wanted = b"".join(sorted(records))
    source, target = write(kit.path("records"), data), kit.path("sorted")
    kit.run("bare_sort", "-o", target, *options, source)
    same(read(target) == wanted, True, f"{len(records)} records sorted with {options}")
    figures, _ = kit.run("bare_sort", *options[:2], source)
    of_file, _ = kit.run("bare_sort", "--check", target)
    order = sum((i + 1) * mix(mix(int.from_bytes(r[:8], "big")) + int.from_bytes(r[8:KEY], "big"))
                for i, r in enumerate(sorted(records))) & WORD
    same((figures["order"], figures["records"]), (of_file["order"], of_file["records"]), "figures of memory and file")
    same(int(figures["order"], 16), order, "order")
    same(figures["sorted"], "1", "sorted")


def sort_in_memory_is_pythons(kit):
    data = read(kit.make("random", "records", rows=20011))
    for threads in 1, 2, 3:
        check_sort(kit, data, "-t", threads)
    for rows in 0, 1, 2, 41:
        check_sort(kit, data[:rows * RECORD], "-t", 2)


def sort_copes_with_equal_and_clustered_keys(kit):
    data = read(kit.make("random", "records", rows=3000))
    records = [data[at:at + RECORD] for at in range(0, len(data), RECORD)]
    check_sort(kit, b"".join(b"same key!!" + r[KEY:] for r in records), "-t", 2)
    check_sort(kit, b"".join(bytes([0, 0, 0, 0, 255, r[5] % 3]) + r[6:] for r in records), "-t", 2)
    check_sort(kit, b"".join(b"\xff" * KEY + r[KEY:] if r[0] & 1 else r for r in records), "-t", 2)
    check_sort(kit, read(kit.make("lines", "lines", rows=3000)), "-t", 2)


def sort_within_a_megabyte_is_pythons(kit):
    data = read(kit.make("random", "records", rows=50021))
    check_sort(kit, data, "-t", 2, "--memory", "1M", "--scratch", kit.scratch)
    check_sort(kit, data[:37 * RECORD], "-t", 1, "--memory", "1M", "--scratch", kit.scratch)


def unsorted_files_are_noticed(kit):
    data = read(kit.make("random", "records", rows=1000))
    figures, _ = kit.run("bare_sort", "--check", write(kit.path("unsorted"), data), ok=(1,))
    same(figures["sorted"], "0", "sorted")


def check_ints(kit, rows, threads):
    source = write(kit.path("ints"), b"".join(struct.pack("<qq", *row) for row in rows))
    sums = collections.Counter()
    for key, value in rows:
        sums[key] += value
    figures, _ = kit.run("bare_groupsum", "-t", threads, "-o", kit.path("groups"), "--ints", source)
    same(sorted(rows_of(kit.parts("groups"))), sorted((key, signed(value)) for key, value in sums.items()), "groups")
    same(int(figures["check"], 16), sum(mix(mix(key) + value) for key, value in sums.items()) & WORD, "check")
    same(int(figures["groups"]), len(sums), "count of groups")


def sums_of_integers_are_pythons(kit):
    for choice in "uniform", "each", "zipf", "half":
        rows = rows_of(read(kit.make("rows", "ints", rows=30001, keys=9000, choice=choice)))
        check_ints(kit, rows, 2)
    check_ints(kit, [(0, 5), (7, -1), (0, -7), (-1, (1 << 63) - 1), (-1, 1)], 2)
    check_ints(kit, [(key, 1) for key in range(100000)], 1)
    check_ints(kit, [], 2)


def check_text(kit, data, threads):
    sums = collections.Counter()
    for line in data.splitlines():
        key, value = line.split(b"\t")
        sums[key] += int(value)
    figures, _ = kit.run("bare_groupsum", "-t", threads, "-o", kit.path("texts"), "--text",
                         write(kit.path("text"), data))
    wanted = sorted(b"%s\t%d" % (key, signed(value)) for key, value in sums.items())
    same(sorted(kit.parts("texts").splitlines()), wanted, "groups")
    same(int(figures["check"], 16), sum(mix(fnv(key) + value) for key, value in sums.items()) & WORD, "check")


def sums_of_text_rows_are_pythons(kit):
    data = read(kit.make("rows", "text", rows=150000, keys=40000))
    check_text(kit, data, 1)
    check_text(kit, data, 3)
    lengths = b"".join(b"%s\t%d\n" % (b"x" * (n % 70) + b"%d" % (n % 7), n * 12345678901 * (-1) ** n)
                       for n in range(20000))
    check_text(kit, lengths, 2)
    check_text(kit, b"\t1\na\t2\n\t3\nno newline at the end\t-123456789", 2)
    check_text(kit, b"", 2)


def bad_rows_are_refused(kit):
    for text in b"key 1\n", b"key\t\n", b"key\t1x\n", b"a\tb\t1\n", b"key\t12345678901x\n":
        kit.run("bare_groupsum", "--text", write(kit.path("bad"), text), ok=(1,))
    for text in b"1\n", b"1 x\n", b"1 2 3\n", b"1 4294967296\n", b"":
        kit.run("bare_pagerank", write(kit.path("bad"), text), ok=(1,))


def check_join(kit, build, probe, threads):
    files = [write(kit.path(name), b"".join(struct.pack("<qq", *row) for row in rows))
             for name, rows in (("build", build), ("probe", probe))]
    values = collections.defaultdict(list)
    for key, value in build:
        values[key].append(value)
    wanted = sorted((key, of_build, value) for key, value in probe for of_build in values.get(key, ()))
    figures, _ = kit.run("bare_join", "-t", threads, "-o", kit.path("matches"), *files)
    same(sorted(struct.iter_unpack("<qqq", kit.parts("matches"))), wanted, "matches")
    same(int(figures["matches"]), len(wanted), "count of matches")
    same(int(figures["check"], 16), sum(mix(mix(mix(key) + b) + p) for key, b, p in wanted) & WORD, "check")


def joins_are_pythons(kit):
    build = rows_of(read(kit.make("left", "ints", rows=20000, keys=20000, choice="each")))
    probe = rows_of(read(kit.make("right", "ints", rows=50000, keys=30000, seed=2)))
    check_join(kit, build, probe, 1)
    check_join(kit, build, probe, 3)
    many = rows_of(read(kit.make("left", "ints", rows=300, keys=40, choice="half")))
    check_join(kit, many, rows_of(read(kit.make("right", "ints", rows=500, keys=60, choice="half", seed=3))), 2)
    check_join(kit, [(0, 1), (0, 2), (-1, 3)], [(0, 4), (-1, 5), (9, 6)], 2)
    check_join(kit, [], probe[:10], 2)
    check_join(kit, build[:10], [], 2)


def ranks_of(edges, iterations):
    vertices = {vertex for edge in edges for vertex in edge}
    outs = collections.Counter(source for source, _ in edges)
    ranks = {vertex: 1 / len(vertices) for vertex in vertices}
    for _ in range(iterations):
        dangling = sum(rank for vertex, rank in ranks.items() if vertex not in outs)
        flows = dict.fromkeys(vertices, 0.0)
        for source, target in edges:
            flows[target] += ranks[source] / outs[source]
        ranks = {vertex: (1 - DAMPING + DAMPING * dangling) / len(vertices) + DAMPING * flow
                 for vertex, flow in flows.items()}
    return ranks


def check_ranks(kit, path, threads, iterations):
    edges = [tuple(map(int, line.split())) for line in read(path).splitlines() if line.strip()]
    wanted = ranks_of(edges, iterations)
    figures, _ = kit.run("bare_pagerank", "-t", threads, "-n", iterations, "-o", kit.path("ranks"), path)
    found = [line.split() for line in read(kit.path("ranks")).splitlines()]
    same(sorted(int(vertex) for vertex, _ in found), sorted(wanted), "vertices")
    worst = max(abs(float(rank) - wanted[int(vertex)]) for vertex, rank in found)
    if worst > 1e-12 or abs(float(figures["sum"]) - 1) > 1e-9:
        raise AssertionError(f"a rank is {worst} off, their sum is {figures['sum']}")


def page_ranks_are_pythons(kit):
    check_ranks(kit, kit.make("rmat", "edges", rows=40000, keys=5000), 2, 7)
    check_ranks(kit, kit.make("skewed", "edges", rows=40000, keys=5000, choice="zipf"), 3, 3)
    check_ranks(kit, write(kit.path("few"), b"1 2\n\n 2\t 1 \r\n1 3\n1 3\n400000 1"), 2, 1)


def inputs_depend_on_the_seed_alone(kit):
    for kind in "records", "lines", "ints", "text", "words", "edges":
        one = made(kit, kind, 1, 1)
        same(made(kit, kind, 1, 3) == one, True, f"{kind} of one thread and of three")
        same(made(kit, kind, 2, 2) == one, False, f"{kind} of another seed")


def made(kit, kind, seed, threads):
    kit.run("generate", kind, "-o", kit.path("made"), "--rows", 140000, "--keys", 500, "--seed", seed, "-t", threads)
    return read(kit.path("made"))


def choices_are_what_they_say(kit):
    counts = {choice: collections.Counter(read(kit.make("words", "words", rows=100000, keys=20000, choice=choice)).split())
              for choice in ("uniform", "each", "zipf", "half")}
    same(len(counts["each"]), 20000, "keys of each")
    same(set(counts["each"].values()), {5}, "rows of a key of each")
    share = {choice: count.most_common(1)[0][1] / 100000 for choice, count in counts.items()}
    zipf = 1 / sum(k ** -1.2 for k in range(1, 20001))
    for choice, wanted in ("half", 0.5), ("zipf", zipf), ("uniform", 0.0002):
        if abs(share[choice] - wanted) > 0.01:
            raise AssertionError(f"the commonest key of {choice} has {share[choice]}, not {wanted}")
    second = counts["zipf"].most_common(2)[1][1] / 100000
    if abs(second - zipf * 2 ** -1.2) > 0.01:
        raise AssertionError(f"the second key of zipf has {second}")


TESTS = (sort_in_memory_is_pythons, sort_copes_with_equal_and_clustered_keys, sort_within_a_megabyte_is_pythons,
         unsorted_files_are_noticed, sums_of_integers_are_pythons, sums_of_text_rows_are_pythons, bad_rows_are_refused,
         joins_are_pythons, page_ranks_are_pythons, inputs_depend_on_the_seed_alone, choices_are_what_they_say)


def main():
    failed = 0
    print(f"1..{len(TESTS)}")
    for number, test in enumerate(TESTS, 1):
        with tempfile.TemporaryDirectory(prefix="quern-bare.") as scratch:
            try:
                test(Kit(sys.argv[1], scratch))
                print(f"ok {number} - {test.__name__}")
            except AssertionError as error:
                failed += 1
                print(f"not ok {number} - {test.__name__}\n# {error}")
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
