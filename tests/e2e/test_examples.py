#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_examples.py: sums, joins and an index by the examples, against coreutils and Python; prints TAP."""
import collections
import os
import random

import harness
from example_kit import check_lines, output, output_of_all, refuses_misuse, tiny_memory, tool
from harness import test

WORD_BYTES = b"abcdefghijklmnopqrstuvwxyz\0\x01\x7f\x80\xff,\"\\"


def word(rng):
    return bytes(rng.choices(WORD_BYTES, k=rng.randint(1, 9)))


# ---------------------------------------------------------------- groupsum


def sums_of(*contents):
    sums = collections.Counter()
    for content in contents:
        lines = content.split(b"\n")
        for line in lines if lines[-1] else lines[:-1]:
            key, number = line.split(b"\t")
            sums[key] += int(number)
    return [b"%s\t%d" % item for item in sums.items()]


def number_lines(rng, count):
    """Half of the lines have one key; keys may be empty, numbers large and of both signs."""
    lines = []
    for _ in range(count):
        key = b"half" if rng.random() < 0.5 else word(rng) if rng.random() < 0.9 else b""
        number = rng.choice((rng.randint(-9, 9), rng.randint(-2**40, 2**40)))
        lines.append(b"%s\t%s%d" % (key, b"+" if number > 0 and rng.random() < 0.1 else b"", number))
    return lines


@test
def groupsum_adds_up_signed_numbers_of_any_keys(t):
    t.use("groupsum")
    rng = random.Random(1)
    files = {
        "plain": b"\n".join(number_lines(rng, 9000)),  # the last line has no end
        "crlf": b"\r\n".join(number_lines(rng, 300)) + b"\r\n",
        "huge": b"k" * 700000 + b"\t5\n" + b"k" * 700000 + b"\t-0\n" + b"\t" + b"0" * 4000 + b"7\n",
        "ends": b"max\t9223372036854775807\nmin\t-9223372036854775808\n"
                b"both\t9223372036854775807\nboth\t9223372036854775807\nboth\t-9223372036854775808\n",
        "empty": b"", "one": b"\t0",
    }
    paths = [t.write(name, content) for name, content in files.items()]
    check_lines(t, output_of_all(t, *paths), sums_of(*files.values()))


@test
def groupsum_adds_up_more_than_fits_its_memory(t):
    t.use("groupsum")
    rng = random.Random(2)
    path = t.write("much", b"".join(b"a-rather-long-key-%040d\t%d\n" % (rng.randrange(150000), rng.randint(-99, 99))
                                    for _ in range(300000)))
    data = output(t, 2, tiny_memory(2), path)
    awk = tool("awk", "-F\t", "{s[$1] += $2} END {for (k in s) print k \"\\t\" s[k]}", path)
    check_lines(t, data, awk.split(b"\n")[:-1])


@test
def groupsum_names_file_and_byte_of_a_line_that_it_cannot_read(t):
    t.use("groupsum")
    good = b"".join(b"key%d\t%d\n" % (i, i) for i in range(3000))
    for n, bad in enumerate((b"no tab", b"", b"a\t", b"a\t-", b"a\t1 ", b"a\tx", b"a\t1\t2", b"a\t0x10", b"a\t1.0",
                             b"a\t9223372036854775808", b"a\t-9223372036854775809", b"a\t1\0", b"a\t\r", b"a\t--1")):
        path = t.write("bad%d" % n, good + bad + b"\n" + good)
        out = t.new_output()
        run = t.fail((None, None, None, 2)[n % 4], "-o", out, path, naming=(path, "byte %d " % len(good)))
        t.no_output(out, run)


@test
def groupsum_names_the_key_whose_sum_is_too_large(t):
    t.use("groupsum")
    path = t.write("large", b"fine\t1\nflood\t9223372036854775807\nfine\t2\nflood\t1\n")
    for n in (None, 3):
        out = t.new_output()
        t.no_output(out, t.fail(n, "-o", out, "--quern-split-bytes=8", path, naming="flood"))


@test
def groupsum_refuses_misuse(t):
    t.use("groupsum")
    path = t.write("x", b"a\t1\n")
    refuses_misuse(t, b"usage: groupsum", ("-o", "out"), (path,), (), ("-o",), ("-o", "out", "--top", "3", path),
                   ("--quern-nonsense=1", "-o", "out", path), ("-x", "-o", "out", path))


# ---------------------------------------------------------------- join


def rows_of(content):
    lines = content.split(b"\n")
    rows = collections.defaultdict(list)
    for line in lines if lines[-1] else lines[:-1]:
        key, _, rest = line.partition(b"\t")
        rows[key].append(rest)
    return rows


def joined(left, right, kind):
    """The lines of a join, by the book."""
    left, right, lines = rows_of(left), rows_of(right), []
    for key in left.keys() | right.keys():
        if kind in ("semi", "anti"):
            if (key in right) == (kind == "semi"):
                lines += [b"%s\t%s" % (key, rest) for rest in left.get(key, ())]
            continue
        lefts = left.get(key) or ([b""] if kind in ("right", "full") else [])
        rights = right.get(key) or ([b""] if kind in ("left", "full") else [])
        lines += [b"%s\t%s\t%s" % (key, a, b) for a in lefts for b in rights]
    return lines


def table(rng, count, common):
    """Lines of one to four columns; a part of them under one key."""
    lines = []
    for _ in range(count):
        key = b"common" if rng.random() < common else b"%d" % rng.randrange(2000) if rng.random() < 0.8 else word(rng)
        lines.append(b"\t".join([key] + [word(rng) for _ in range(rng.randint(0, 3))]))
    return b"\n".join(lines)


@test
def join_gives_the_lines_of_every_type(t):
    t.use("join")
    rng = random.Random(3)
    left = table(rng, 1500, 0.5) + b"\n\n\t\nlone\r\nlone\r\n" + b"huge\t" + b"l" * 300000 + b"\n" + b"k" * 200000
    right = table(rng, 1200, 0.02) + b"\n\n\tx\nlone\r\nlone\nhuge\t\0" + b"r" * 100000 + b"\n" + b"k" * 200000 + b"\t"
    paths = ["--left", t.write("left", left), "--right", t.write("right", right)]
    check_lines(t, output_of_all(t, "--type", "full", *paths), joined(left, right, "full"))
    for n, kind in zip((1, 3, 2, 4, 2), ("inner", "left", "right", "semi", "anti")):
        alone = output(t, None, "--type", kind, *paths)
        check_lines(t, alone, joined(left, right, kind))
        t.check(output(t, n, "--type", kind, "--quern-split-bytes=3000", *paths) == alone,
                "%s gives other bytes on %d ranks" % (kind, n))
    t.check(output(t, 2, *paths) == output(t, None, "--type", "inner", *paths), "inner is not the default")


@test
def join_gives_the_same_bytes_whichever_side_is_larger_and_hot(t):
    t.use("join")
    rng = random.Random(5)
    hot, other = (b"".join(b"%s\t%d\n" % (b"hot" if rng.random() < share else b"%d" % rng.randrange(300),
                                          rng.randrange(1000)) for _ in range(count))
                  for share, count in ((0.5, 4000), (0.01, 500)))
    for larger, paths in (("left", (t.write("left", hot), t.write("right", other))), ("right", ("right", "left"))):
        sides = ["--left", t.path(paths[0]), "--right", t.path(paths[1]), "--quern-broadcast=1"]
        texts = (hot, other) if larger == "left" else (other, hot)
        for kind in ("inner", "left", "right", "full", "semi", "anti"):
            alone = output(t, None, "--type", kind, *sides)
            check_lines(t, alone, joined(*texts, kind))
            for n in (1, 2, 3, 4, 7) if kind == "full" else (rng.choice((2, 3, 4, 7)),):
                t.check(output(t, n, "--type", kind, "--quern-split-bytes=3000", *sides) == alone,
                        "%s, the %s side larger, gives other bytes on %d ranks" % (kind, larger, n))


@test
def join_gives_what_the_join_of_coreutils_gives(t):
    t.use("join")
    rng = random.Random(4)
    paths = []
    for side in ("left", "right"):
        text = b"".join(b"%d\t%s%d\n" % (rng.randrange(40000), side.encode(), i) for i in range(30000))
        paths.append(t.write(side, text))
        t.write(side + ".sorted", tool("sort", "-t\t", "-k1,1", paths[-1]))
    sides = ["--left", paths[0], "--right", paths[1]]
    files = [path + ".sorted" for path in paths]
    for n, kind, args in ((2, "inner", []), (3, "full", ["-a1", "-a2"]), (2, "left", ["-a1"]), (1, "right", ["-a2"])):
        expected = tool("join", "-t\t", "-o", "0,1.2,2.2", *args, *files)
        check_lines(t, output(t, n, "--type", kind, tiny_memory(n), *sides), expected.split(b"\n")[:-1])
    expected = tool("join", "-t\t", "-v1", *files)
    check_lines(t, output(t, 2, "--type", "anti", *sides), expected.split(b"\n")[:-1])


@test
def join_of_nothing_is_nothing_or_one_side(t):
    t.use("join")
    none, some = t.write("none", b""), t.write("some", b"a\t1\nb")
    os.mkdir(t.path("folder"))
    for left, right, kind, expected in (
            (none, some, "inner", []), (none, some, "full", [b"a\t\t1", b"b\t\t"]), (some, none, "semi", []),
            (some, none, "anti", [b"a\t1", b"b\t"]), (none, none, "full", []), (some, t.path("folder"), "left",
                                                                                [b"a\t1\t", b"b\t\t"])):
        check_lines(t, output(t, 2, "--type", kind, "--left", left, "--right", right), expected)


@test
def join_refuses_misuse(t):
    t.use("join")
    path = t.write("x", b"a\t1\n")
    sides = ("--left", path, "--right", path)
    refuses_misuse(t, b"usage: join", (), ("-o", "out", "--left", path), ("-o", "out", "--right", path), sides,
                   ("-o", "out", "--type", "outer", *sides), ("-o", "out", "--type", "", *sides),
                   ("-o", "out", *sides, path), ("-o", "out", "--typo", "inner", *sides))
    t.fail(None, "-o", t.new_output(), "--left", t.path("absent"), "--right", path, naming="absent")


# ---------------------------------------------------------------- sortrecords


def records_of(data, record_bytes):
    return [data[i:i + record_bytes] for i in range(0, len(data), record_bytes)]


@test
def sortrecords_sorts_bytes_of_any_kind(t):
    t.use("sortrecords")
    rng = random.Random(6)
    keys = [b"half of them", bytes(12), b"\xff" * 12, b"half of then"]
    keyed = [(keys[0] if rng.random() < 0.5 else rng.choice(keys) if rng.random() < 0.3 else rng.randbytes(12))
             + rng.randbytes(25) for _ in range(9000)]
    files = [b"".join(keyed[:5000]), b"", b"".join(keyed[5000:]), keyed[0]]
    paths = [t.write("r%d" % i, content) for i, content in enumerate(files)]
    expected = b"".join(sorted(record for content in files for record in records_of(content, 37)))
    got = output_of_all(t, "--record", "37", "--key", "12", *paths)
    t.check(got == expected, "the records are not sorted")


@test
def sortrecords_sorts_more_than_fits_its_memory(t):
    t.use("sortrecords")
    data = random.Random(7).randbytes(25000000)
    expected = b"".join(sorted(records_of(data, 100)))
    t.check(output(t, 2, tiny_memory(2), t.write("much", data)) == expected, "the records are not sorted")


@test
def sortrecords_takes_records_and_keys_of_any_length(t):
    t.use("sortrecords")
    data = random.Random(8).randbytes(120000)
    path = t.write("x", data)
    for n, record, key in ((None, 1, 1), (2, 3, 3), (3, 20000, 1), (2, 8, 7), (1, 60000, 60000)):
        got = output(t, n, "--record=%d" % record, "--key=%d" % key, path)
        t.check(got == b"".join(sorted(records_of(data, record))), "not sorted: records of %d bytes" % record)
    t.check(output(t, 2, t.write("empty", b"")) == b"", "records of an empty file")


@test
def sortrecords_refuses_files_that_end_within_a_record(t):
    t.use("sortrecords")
    path = t.write("short", bytes(1099))
    for n in (None, 2):
        out = t.new_output()
        t.no_output(out, t.fail(n, "-o", out, path, naming=(path, "1099", "99")))


@test
def sortrecords_refuses_misuse(t):
    t.use("sortrecords")
    path = t.write("x", bytes(100))
    refuses_misuse(t, b"usage: sortrecords", (), (path,), ("-o", "out"), ("-o", "out", "--key=0", path),
                   ("-o", "out", "--key=101", path), ("-o", "out", "--record=5", path),
                   ("-o", "out", "--record=1e3", path), ("-o", "out", "--record=", path),
                   ("-o", "out", "--record=-100", path), ("-o", "out", "--record=99999999999", path))


# ---------------------------------------------------------------- invertedindex


def index_of(files):
    found = collections.defaultdict(set)
    for path, content in files.items():
        for one in content.split():
            found[one].add(os.fsencode(path))
    return [b"%s\t%s" % (one, b",".join(sorted(paths))) for one, paths in found.items()]


@test
def invertedindex_lists_the_files_of_every_word(t):
    t.use("invertedindex")
    rng = random.Random(5)
    vocabulary = [word(rng) for _ in range(400)]
    files = {"tree/%s%d" % (rng.choice(("", "sub/", "other/deep/")), i): b"".join(
        rng.choice(vocabulary) + rng.choice((b" ", b"\n", b"\r\n", b"\t\v\f"))
        for _ in range(rng.choice((0, 1, 30, 3000)))) for i in range(60)}
    files.update({"tree/same": b"common " * 20000 + b"common", "tree/a b": b"common", "tree/\xff": b"common\0",
                  "tree/huge": b"x" * 400000 + b"\n" + b"x" * 400000, "tree/empty": b"", "tree/blank": b" \n\r\n"})
    paths = {t.write(name, content): content for name, content in files.items()}
    check_lines(t, output_of_all(t, t.path("tree")), index_of(paths))
    few = list(paths)[:3]
    check_lines(t, output(t, 2, *few), index_of({path: paths[path] for path in few}))


@test
def invertedindex_refuses_misuse(t):
    t.use("invertedindex")
    path = t.write("x", b"a\n")
    refuses_misuse(t, b"usage: invertedindex", (), (path,), ("-o", "out"), ("-o", "out", "--top=3", path))


if __name__ == "__main__":
    harness.main()
