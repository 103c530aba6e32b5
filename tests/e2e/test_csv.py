#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_csv.py: tables that are written as CSV and TSV are what Python's csv module reads, and what was read; prints TAP."""
import csv
import io
import os
import random
import re
import subprocess

from harness import main, read_file, test

PIECES = ["", "x", "yy", ",", ";", '"', '""', "\n", "\r", "\r\n", "\t", "\\", "\\t", " ", "\xff", "\xef\xbb\xbf", "\0", "1,5"]
NAMES = ["a", 'b "quoted"', "c, d", "", "e\nf", "g"]
UNESCAPED = {"\\t": "\t", "\\n": "\n", "\\r": "\r", "\\\\": "\\"}


def table(seed, count=1500, pieces=PIECES):
    chance = random.Random(seed)
    return [["".join(chance.choices(pieces, k=chance.choice((0, 1, 1, 2, 5)))) for _ in NAMES] for _ in range(count)]


def dump(rows, **dialect):
    """Bytes are the letters of Latin-1."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, **dialect).writerows(rows)
    return text.getvalue().encode("latin-1")


def parse(data, **dialect):
    return [row for row in csv.reader(io.StringIO(data.decode("latin-1"), newline=""), strict=True, **dialect)]


def parse_tsv(data):
    lines = data.decode("latin-1").split("\n")
    return [[re.sub(r"\\.", lambda found: UNESCAPED[found.group()], field) for field in line.split("\t")] for line in lines[:-1]]


def header_args(names=NAMES):
    return [arg for name in names for arg in ("-n", name)]


def part_files(t, out, run):
    t.check(os.path.exists(os.path.join(out, "_SUCCESS")), "not whole", run)
    return [read_file(os.path.join(out, name)) for name in sorted(os.listdir(out)) if name.startswith("part-")]


def written(t, n, *args):
    out = t.new_output()
    run = t.succeed(n, "--quern-split-bytes=3000", "-o", out, *args)
    return part_files(t, out, run)


@test
def a_table_that_was_read_is_written_as_the_same_table(t):
    rows = table(1)
    for i, (comma, args) in enumerate(((",", []), (";", ["-i", ";"]), ("\t", ["-i", "\t"]))):
        path = t.write("in%d.csv" % i, dump([NAMES] + rows, delimiter=comma, lineterminator=("\n", "\r\n")[i % 2]))
        for n, separator in ((None, ","), (2, ";"), (3, "\t")):
            whole, = written(t, n, "-1", "-H", *args, "-s", separator, *header_args(), path)
            t.check(parse(whole, delimiter=separator) == [NAMES] + rows, "%r to %r is another table" % (comma, separator))
    again = t.write("again.csv", whole)
    twice, = written(t, 2, "-1", "-H", "-i", "\t", "-s", "\t", *header_args(), again)
    t.check(twice == whole, "what was written is written otherwise")


@test
def each_part_begins_with_the_names_and_is_read_by_them(t):
    rows = table(2)
    path = t.write("in.csv", dump(rows))
    out = t.new_output()
    parts = part_files(t, out, t.succeed(3, "--quern-split-bytes=3000", "-o", out, *header_args(), path))
    t.check(len(parts) > 1, "there is one part")
    t.check(all(parse(part)[0] == NAMES for part in parts), "a part has no names")
    t.check([row for part in parts for row in parse(part)[1:]] == rows, "the parts are another table")
    back, = written(t, 2, "-1", "-H", out)
    t.check(parse(back) == rows, "the directory is read as another table")
    out = t.new_output()
    t.succeed(2, "--quern-split-bytes=3000", "-a", "-o", out, *header_args(), path)
    members = subprocess.run(["tar", "-xOf", os.path.join(out, "part-00000.tar"), "part-00000"], capture_output=True).stdout
    t.check(parse(members)[0] == NAMES, "a member has no names")


@test
def tsv_has_escapes_and_loses_nothing(t):
    rows = table(3)
    path = t.write("in.csv", dump(rows))
    for n in (None, 3):
        whole, = written(t, n, "-1", "-f", "tsv", *header_args(), path)
        t.check(parse_tsv(whole) == [NAMES] + rows, "another table")
    plain = table(4, 500, [piece for piece in PIECES if not re.search(r"[\t\r\n]", piece)])
    lines = "".join("\t".join(row) + "\n" for row in plain if row[0]).encode("latin-1")
    same, = written(t, 2, "-1", "-f", "tsv", "-i", "\t", "-q", t.write("plain.tsv", lines))
    t.check(same == lines, "plain TSV is not written as it was")


@test
def a_row_of_one_empty_field_is_a_row(t):
    rows = [["x"], [""], [","], [""], ["\n"]]
    whole, = written(t, 2, "-1", "-n", "", t.write("in.csv", dump(rows)))
    t.check(parse(whole) == [[""]] + rows, "written are %r" % whole)
    t.check(whole.startswith(b'""\r\n'), "the name without a letter is an empty line")


@test
def keys_and_values_are_two_columns_with_names(t):
    rows = table(5, 400)
    data = dump(rows)
    lines = [line for line in dump([row for row in rows]).decode("latin-1").split("\r\n")]
    whole, = written(t, 3, "-1", "-k", "-s", ";", "-n", "key", "-n", "row", t.write("in.csv", data))
    got = parse(whole, delimiter=";")
    t.check(got[0] == ["key", "row"] and [row[0] for row in got[1:]] == [row[0] for row in rows], "other keys")
    t.check("\r\n".join(row[1] for row in got[1:]) == "\r\n".join(lines[:-1]), "other values")


if __name__ == "__main__":
    main()
